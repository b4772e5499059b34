//! A backtest for people, fitted to the width of their terminal.
//!
//! Whatever comes from an event goes through `Shown`.

use super::compare::differences;
use super::histogram::{bars, day, days};
use super::keep::{KeptFinding, key_parts};
use super::labels::{About, LabelReport, Outcome, Truth};
use super::report::{Report, Versions};
use crate::output::summary::{Ending, summary};
use crate::scan::outlet::Side;
use crate::terminal::{Shown, counted, grouped, joined};
use tripline_core::diagnostic::Palette;
use tripline_core::evaluate::RuleSet;

/// Columns before the histogram, beside the rule's own.
const FIGURES_WIDTH: usize = 58;
/// A histogram is never narrower, and never wider.
const BARS_WIDTH: (usize, usize) = (12, 96);
const ID_WIDTH_MAX: usize = 44;
/// Findings that are shown of each kind of difference, and rules of each list.
const SHOWN_MAX: usize = 10;
/// Keys with a smaller share of a rule's findings are not shown.
const NOISY_PERCENT_MIN: f64 = 5.0;
/// Longest key or title on a line.
const TEXT_CHARS_MAX: usize = 100;

/// How wide histograms may be with lines of this width.
pub(crate) fn bars_width(rules: &RuleSet, width: usize) -> usize {
    let (least, most) = BARS_WIDTH;
    width
        .saturating_sub(id_width(rules) + FIGURES_WIDTH)
        .clamp(least, most)
}

fn id_width(rules: &RuleSet) -> usize {
    let ids = rules.rules().iter().map(|one| one.rule.id.as_str().len());
    ids.max().unwrap_or(4).clamp(4, ID_WIDTH_MAX)
}

/// The report.
pub(crate) fn to_text(report: &Report<'_>, palette: &Palette) -> String {
    let mut out = summary(report.accounting, Ending::Complete, palette);
    // The reasons follow; nobody has to ask for them.
    out = out.replace("; --stats tells why", "");
    out.push_str(&rules(report, palette));
    let silent = report.silent();
    if !silent.is_empty() {
        let ids: Vec<&str> = silent.iter().map(|rule| report.id(*rule)).collect();
        out.push_str(&format!(
            "\n{}Never fired{}: {}: {}\n",
            palette.bold,
            palette.reset,
            counted(ids.len() as u64, "rule"),
            some(&ids)
        ));
    }
    out.push_str(&undecided(report, palette));
    if !report.broken.is_empty() {
        out.push_str(&broken("the rules", report.broken, palette));
    }
    if let Some(versions) = &report.baseline {
        out.push_str(&baseline(report, versions, palette));
    }
    out.push_str(&expectations(report, palette));
    if let Some(labels) = &report.labels {
        out.push_str(&of_labels(labels, palette));
    }
    out.push_str(&proposals(report, palette));
    out
}

fn some(ids: &[&str]) -> String {
    let shown = ids.iter().take(SHOWN_MAX).copied().collect::<Vec<_>>();
    let more = ids.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 {
        format!(" and {} more", grouped(more as u64))
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}

fn broken(whose: &str, files: &[String], palette: &Palette) -> String {
    let shown: Vec<String> = files.iter().map(|one| Shown(one).to_string()).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    format!(
        "\n{}warning{}: errors in {whose}; what has one is not used, be it a rule, a test or a list: {}\n",
        palette.warning,
        palette.reset,
        some(&shown)
    )
}

/// A table of the rules that found something, with the noisiest keys of each.
fn rules(report: &Report<'_>, palette: &Palette) -> String {
    let fired = report.fired();
    if fired.is_empty() {
        return String::new();
    }
    let Palette {
        bold, quiet, reset, ..
    } = palette;
    let id_width = id_width(report.rules);
    let all_days = report.span.map_or(1, |(first, last)| days(first, last));
    let axis = report.axis.map_or(String::new(), |axis| axis.words());
    let head = format!(
        "{:<id_width$}  {:>10}  {:>9}  {:<10}  {:<10}  {:>7}",
        "rule", "findings", "entities", "first", "last", "per day"
    );
    // Where both do not fit on a line, what the histograms show is told above them.
    let mut out = match head.len() + 2 + axis.len() <= report.width {
        true => format!("\n{bold}{head}  {axis}{reset}\n"),
        false => format!("\nhistograms {axis}\n{bold}{head}{reset}\n"),
    };
    for rule in fired {
        let tally = &report.tallies[rule];
        let date = |second: Option<i64>| second.map_or("-".to_owned(), day);
        let line = format!(
            "{:<id_width$}  {:>10}  {:>9}  {:<10}  {:<10}  {:>7.1}  {}",
            report.id(rule),
            grouped(tally.findings),
            grouped(tally.keys.len() as u64),
            date(tally.first),
            date(tally.last),
            tally.findings as f64 / all_days as f64,
            bars(&tally.bars),
        );
        out.push_str(line.trim_end());
        out.push('\n');
        for (key, count) in tally.noisiest(report.keeper, report.top) {
            let share = count as f64 * 100.0 / tally.findings as f64;
            if count < 2 || share < NOISY_PERCENT_MIN {
                break;
            }
            let parts = joined(&key_parts(report.keeper.texts.text(key)), " | ");
            out.push_str(&format!(
                "  {quiet}{:>10}  {share:>3.0}%  {}{reset}\n",
                grouped(count),
                short(&parts)
            ));
        }
    }
    out
}

/// Text from an event, made safe and not too long.
fn short(text: &str) -> String {
    let mut out = Shown(text).to_string();
    if let Some((cut, _)) = out.char_indices().nth(TEXT_CHARS_MAX) {
        out.truncate(cut);
        out.push('…');
    }
    out
}

fn undecided(report: &Report<'_>, palette: &Palette) -> String {
    let rules = report.undecided();
    if rules.is_empty() {
        return String::new();
    }
    let mut out = format!("\n{}Could not be decided{}\n", palette.bold, palette.reset);
    for rule in rules.iter().take(SHOWN_MAX) {
        let counts = &report.counts[*rule];
        let reasons = counts.faults().into_iter();
        let reasons =
            reasons.map(|(reason, count)| format!("{} {}", grouped(count), short(reason)));
        let times = grouped(counts.indeterminate);
        let reasons: Vec<String> = reasons.collect();
        out.push_str(&format!(
            "  {}  {times}: {}\n",
            report.id(*rule),
            reasons.join("; ")
        ));
    }
    if rules.len() > SHOWN_MAX {
        let more = (rules.len() - SHOWN_MAX) as u64;
        out.push_str(&format!("  and {}\n", counted(more, "more rule")));
    }
    out
}

fn baseline(report: &Report<'_>, versions: &Versions<'_>, palette: &Palette) -> String {
    let Palette { bold, reset, .. } = palette;
    let comparison = &versions.comparison;
    let mut out = format!(
        "\n{bold}Compared with {}{reset}: {} new, {} gone, {} changed, {} the same\n",
        Shown(&versions.name),
        grouped(comparison.new.len() as u64),
        grouped(comparison.gone.len() as u64),
        grouped(comparison.changed.len() as u64),
        grouped(comparison.same),
    );
    for (words, ids) in [
        ("only in the rules", &versions.added),
        ("only in the baseline", &versions.removed),
    ] {
        if !ids.is_empty() {
            out.push_str(&format!("  {words}: {}\n", some(ids)));
        }
    }
    if !versions.broken.is_empty() {
        out.push_str(broken("the baseline", versions.broken, palette).trim_start());
    }
    let (now, before) = (
        report.findings(Side::Rules),
        report.findings(Side::Baseline),
    );
    let mut list = |sign: &str, numbers: &[u32], findings: &[KeptFinding], rules: &RuleSet| {
        for at in numbers.iter().take(SHOWN_MAX) {
            let finding = &findings[*at as usize];
            out.push_str(&format!("  {sign} {}\n", line(report, finding, rules)));
        }
        if numbers.len() > SHOWN_MAX {
            let more = grouped((numbers.len() - SHOWN_MAX) as u64);
            out.push_str(&format!("  {sign} and {more} more\n"));
        }
    };
    list("+", &comparison.new, now, report.rules);
    list("-", &comparison.gone, before, versions.rules);
    for (was, is) in comparison.changed.iter().take(SHOWN_MAX) {
        let (was, is) = (&before[*was as usize], &now[*is as usize]);
        out.push_str(&format!("  ~ {}\n", line(report, is, report.rules)));
        for difference in differences(was, is) {
            out.push_str(&format!("      {}\n", change(report, difference, was, is)));
        }
    }
    if comparison.changed.len() > SHOWN_MAX {
        let more = grouped((comparison.changed.len() - SHOWN_MAX) as u64);
        out.push_str(&format!("  ~ and {more} more\n"));
    }
    out
}

fn change(
    report: &Report<'_>,
    difference: super::compare::Difference,
    was: &KeptFinding,
    is: &KeptFinding,
) -> String {
    use super::compare::Difference;
    let of = |one: &KeptFinding| match difference {
        Difference::Severity => one.severity.to_string(),
        Difference::Title => short(report.keeper.texts.text(one.title)),
        Difference::Count => grouped(one.count),
        Difference::Key => short(&joined(&report.keeper.key(one), " | ")),
    };
    format!("{}: {} -> {}", difference.as_str(), of(was), of(is))
}

/// A finding on a line.
fn line(report: &Report<'_>, finding: &KeptFinding, rules: &RuleSet) -> String {
    let keeper = report.keeper;
    format!(
        "{}  {}  {}  ({}:{})",
        rules.rules()[finding.rule as usize].rule.id,
        finding.severity,
        short(keeper.texts.text(finding.title)),
        Shown(keeper.texts.text(finding.file)),
        finding.position,
    )
}

fn expectations(report: &Report<'_>, palette: &Palette) -> String {
    let Some(judged) = &report.expectations else {
        return String::new();
    };
    let Palette {
        bold, error, reset, ..
    } = palette;
    let failed = judged.iter().filter(|one| one.failure.is_some()).count();
    let mut out = format!(
        "\n{bold}Expectations{reset}: {} met, {} not\n",
        grouped((judged.len() - failed) as u64),
        grouped(failed as u64)
    );
    for one in judged {
        if let Some(found) = &one.failure {
            out.push_str(&format!(
                "  {error}NOT MET{reset} {}: expected {}: {}\n",
                Shown(&one.rule),
                one.expected,
                Shown(found)
            ));
        }
    }
    out
}

fn of_labels(labels: &LabelReport, palette: &Palette) -> String {
    let Palette {
        bold, error, reset, ..
    } = palette;
    let mut out = format!(
        "\n{bold}Labels{reset}: {}\n",
        counted(labels.labels.len() as u64, "label")
    );
    let percent = |share: Option<f64>| match share {
        Some(share) => format!("{:.0}%", share * 100.0),
        None => "-".to_owned(),
    };
    for (rule, counts) in &labels.rules {
        let (verdict, reason) = counts.verdict();
        out.push_str(&format!(
            "  {bold}{verdict}{reset} {}: {reason} (precision {}, recall {})\n",
            Shown(rule),
            percent(counts.precision()),
            percent(counts.recall()),
        ));
        if counts.not_read > 0 {
            let count = counted(counts.not_read, "label");
            out.push_str(&format!(
                "    {count} of events that are not among the input\n"
            ));
        }
    }
    let missed = labels.labels.iter().filter(|(label, outcome)| {
        label.truth == Truth::True && matches!(outcome, Outcome::Missed | Outcome::NoRule)
    });
    for (label, outcome) in missed.take(SHOWN_MAX) {
        let about = match &label.about {
            About::Event(id) => format!("event {}", short(id)),
            About::Finding(id) => format!("finding {id:032x}"),
        };
        let why = match outcome {
            Outcome::NoRule => "no rule with this id is in force",
            _ => "labelled true and not found",
        };
        out.push_str(&format!(
            "  {error}MISSED{reset} {}: {about}: {why}\n",
            Shown(&label.rule)
        ));
    }
    out
}

fn proposals(report: &Report<'_>, palette: &Palette) -> String {
    let Some(proposals) = &report.proposals else {
        return String::new();
    };
    let Palette { bold, reset, .. } = palette;
    let count = counted(proposals.tried.len() as u64, "exception");
    let mut out = format!("\n{bold}Proposed{reset}: {count}\n");
    for one in &proposals.tried {
        let when = one.when.replace("\n  ", " ");
        out.push_str(&format!(
            "  {}: {}\n    {}\n",
            one.rule,
            one.effect(),
            Shown(&when)
        ));
    }
    for (rule, why) in &proposals.without {
        out.push_str(&format!(
            "  {rule}: noisy, but nothing is proposed: {}\n",
            why.as_str()
        ));
    }
    out
}
