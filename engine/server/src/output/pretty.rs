//! Findings as a person reads them.
//!
//! Everything that comes from an event is made safe for the terminal first. The lines are cut at no width:
//! a person copies what stands here.

use super::{Rendered, Sighting};
use crate::terminal::{NO_TEXT, Shown, cell, joined};
use serde_json::Value;
use tripline_core::diagnostic::Palette;
use tripline_core::wire::Pattern;

/// One finding: severity and title, then what one asks first.
pub(crate) fn finding(sighting: &Sighting<'_>, palette: &Palette) -> Rendered {
    let finding = sighting.finding;
    let mut out = Rendered::default();
    let Palette {
        bold, quiet, reset, ..
    } = palette;
    let colour = severity_colour(&finding.severity, palette);
    out.push(&format!(
        "{colour}{:<13}{reset} {bold}{}{reset}\n",
        finding.severity.to_uppercase(),
        Shown(&finding.title)
    ));
    let attack = match finding.attack.as_slice() {
        [] => String::new(),
        tags => format!("  {quiet}{}{reset}", Shown(&tags.join(" "))),
    };
    row(
        &mut out,
        palette,
        "rule",
        &format!("{}{attack}", finding.rule_id),
    );
    let time = finding.event_time.as_deref().unwrap_or("unknown time");
    row(&mut out, palette, "when", &Shown(time).to_string());
    if let Some(actor) = sighting.actor() {
        row(&mut out, palette, "who", &Shown(&actor).to_string());
    }
    let from = sighting.text_at(&["sourceIPAddress"]);
    let region = sighting.text_at(&["awsRegion"]);
    if let Some(from) = from.or_else(|| sighting.text_at(&["client", "ipAddress"])) {
        let region = region.map_or(String::new(), |region| format!(" in {region}"));
        row(
            &mut out,
            palette,
            "from",
            &Shown(&format!("{from}{region}")).to_string(),
        );
    }
    if let Some(pattern) = &finding.pattern {
        pattern_rows(&mut out, palette, pattern);
    }
    if let Some(suppressed) = &finding.suppressed {
        let text = format!("{} more, the last at {}", suppressed.count, suppressed.last);
        row(&mut out, palette, "and", &Shown(&text).to_string());
    }
    for (name, value) in &finding.context {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        row(&mut out, palette, name, &Shown(&text).to_string());
    }
    row(
        &mut out,
        palette,
        "event",
        &Shown(&finding.event_id).to_string(),
    );
    out.push(&format!(
        "  {quiet}{:<10}{reset}  {}:",
        "at",
        Shown(sighting.file)
    ));
    out.mark_position();
    out.push("\n");
    for note in &finding.notes {
        row(&mut out, palette, "note", &Shown(note).to_string());
    }
    out.push("\n");
    out
}

/// What a rule that remembers saw.
fn pattern_rows(out: &mut Rendered, palette: &Palette, pattern: &Pattern) {
    if pattern.count > 1 {
        let text = format!(
            "{} events from {} to {}",
            pattern.count, pattern.start, pattern.end
        );
        row(out, palette, "saw", &Shown(&text).to_string());
    }
    if !pattern.group.is_empty() {
        let group = joined(&pattern.group, ", ");
        row(out, palette, "group", &Shown(&group).to_string());
    }
}

fn row(out: &mut Rendered, palette: &Palette, name: &str, text: &str) {
    let Palette { quiet, reset, .. } = palette;
    let text = if text.is_empty() { NO_TEXT } else { text };
    out.push(&format!("  {quiet}{}{reset}  {text}\n", cell(name, 10)));
}

/// The colour of a severity.
pub(crate) fn severity_colour(severity: &str, palette: &Palette) -> &'static str {
    match severity {
        "critical" | "high" => palette.error,
        "medium" => palette.warning,
        _ => palette.quiet,
    }
}
