//! From a TOML table to a rule.
//!
//! Relies on `read` for keys, types and empties; here is what only a rule knows: its id, its tags, its title.
//! Gives a rule only when its table had no mistake of its own.

use super::attack;
use super::exception::read_exceptions;
use super::kind::{Kind, integer, read_looks, read_questions, read_suppress};
use super::model::{AttackTag, Effect, FindingTemplate, Rule, RuleId, Selector, Severity, Status};
use super::plugin::{OnError, RuleEffect, policy_named};
use super::read::{Fields, Reader, asks_policy, in_order, span_of};
use super::shape::{FINDING, RULE};
use super::template::Template;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits::{RISK_SCORE_MAX, RULE_CONTEXT_MAX, RULE_DEDUP_KEY_MAX};
use toml::de::DeTable;

/// The rule in `table`, or nothing when something is wrong with it.
pub(super) fn read_rule(reader: &mut Reader, table: &DeTable<'_>) -> Option<Rule> {
    let before = reader.errors();
    let fields = Fields::open(reader, table, &RULE, Span::new(0, 0));
    let id = read_id(reader, &fields);
    let looks = read_looks(reader, &fields, table);
    let suppress = read_suppress(reader, &fields);
    let risk_score = read_risk_score(reader, &fields);
    check_signal(reader, &fields);
    let remembers = looks.as_ref().is_some_and(|looks| looks.memory.is_some());
    check_effect(reader, &fields, remembers);
    let effect = read_effect(reader, &fields);
    let attack = read_attack(reader, &fields);
    check_references(reader, &fields);
    let finding = read_finding(reader, &fields);
    let exceptions = read_exceptions(reader, &fields);
    if reader.errors() > before {
        return None;
    }
    let (id, id_span) = id?;
    let severity = Severity::from_word(fields.text("severity")?.0)?;
    let looks = looks?;
    let mut rule = Rule {
        id,
        name: fields.string("name")?,
        description: fields.string("description")?.trim().to_owned(),
        severity,
        severity_declared: severity,
        status: Status::from_word(fields.text("status")?.0)?,
        source: fields.string("source"),
        source_place: fields.text("source").map(|(_, span)| reader.place(span)),
        authors: fields.strings("authors"),
        references: fields.strings("references"),
        false_positives: fields.strings("false_positives"),
        runbook: fields.string("runbook").map(|text| text.trim().to_owned()),
        attack,
        tags: fields.strings("tags"),
        inputs: looks.inputs,
        memory: looks.memory,
        suppress,
        signal: fields
            .value("signal")
            .and_then(|value| value.get_ref().as_bool())
            .unwrap_or(false),
        risk_score,
        on_error: fields
            .text("on_error")
            .and_then(|(word, _)| OnError::from_word(word))
            .unwrap_or(OnError::Indeterminate),
        on_error_place: fields
            .value("on_error")
            .map(|value| reader.place(span_of(value))),
        effect,
        finding,
        exceptions,
        disabled: None,
        layers: Vec::new(),
        place: reader.place(id_span),
    };
    check_profile(reader, &fields, &rule)?;
    read_questions(reader, &fields, &mut rule)?;
    Some(rule)
}

/// A profile finds nothing, so nothing shapes its findings.
fn check_profile(reader: &mut Reader, fields: &Fields<'_, '_>, rule: &Rule) -> Option<()> {
    let kind = rule.memory.as_ref().map(|memory| &memory.kind);
    if !matches!(kind, Some(Kind::Entity(_))) {
        return Some(());
    }
    let idle = ["suppress", "finding", "risk_score"];
    let (name, value) = idle
        .into_iter()
        .find_map(|name| Some((name, fields.value(name)?)))
        .unzip();
    let (Some(name), Some(value)) = (name, value) else {
        return Some(());
    };
    let message = format!("a profile finds nothing, so `{name}` has no effect");
    reader.report(
        Diagnostic::new(Code::RuleKind, span_of(value), message)
            .with_help("Take it out: rules that mention `entity` make findings."),
    );
    None
}

/// A signal makes no findings, so there is nothing to suppress.
fn check_signal(reader: &mut Reader, fields: &Fields<'_, '_>) {
    let signal = fields.value("signal");
    let is_signal = signal.and_then(|value| value.get_ref().as_bool()) == Some(true);
    if let Some((_, span)) = fields.table("suppress").filter(|_| is_signal) {
        let message = "a signal has no findings to suppress";
        reader.report(
            Diagnostic::new(Code::RuleKind, span, message)
                .with_help("Remove `[suppress]`, or `signal = true`."),
        );
    }
}

/// What is decided about one event is decided at once.
fn check_effect(reader: &mut Reader, fields: &Fields<'_, '_>, remembers: bool) {
    if let Some((_, span)) = fields.text("effect").filter(|_| remembers) {
        let message = "a rule that remembers decides nothing about an event that has not happened";
        reader.report(
            Diagnostic::new(Code::RuleKind, span, message)
                .with_help("Remove `effect`, or write a rule about single events with it."),
        );
    }
}

/// A word, or the policy that says.
fn read_effect(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<RuleEffect> {
    let (word, span) = fields.text("effect")?;
    if let Some(effect) = Effect::from_word(word) {
        return Some(RuleEffect::Fixed(effect));
    }
    if !asks_policy(word) {
        // The word was refused when it was compared with the shape.
        return None;
    }
    let asked = fields.selector(reader, "effect")?;
    if let Some(policy) = policy_named(&asked.expr).map(str::to_owned) {
        return Some(RuleEffect::OfPolicy { policy, asked });
    }
    let message = format!("`{}` is no effect", shorten(word));
    reader.report(
        Diagnostic::new(Code::UnknownWord, span, message)
            .with_caret("expected `policy.NAME`")
            .with_help(
                "The effect is what the policy decides, as a whole: write `policy.NAME`, and conditions on its decision \
                 into `when`.",
            ),
    );
    None
}

fn read_risk_score(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<u64> {
    integer(reader, fields, "risk_score", 0, RISK_SCORE_MAX).flatten()
}

fn read_id(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<(RuleId, Span)> {
    let (text, span) = fields.text("id")?;
    let Some(id) = RuleId::new(text) else {
        let most = crate::limits::RULE_ID_BYTES_MAX;
        reader.report(
            Diagnostic::new(
                Code::RuleId,
                span,
                format!("`{}` is no rule id", shorten(text)),
            )
            .with_caret("expected lower-case words and digits joined by hyphens")
            .with_help(format!(
                "Such as `aws-trail-stopped`; at most {most} characters."
            )),
        );
        return None;
    };
    if let Some(folder) = folder_of_rule(&reader.source.name).filter(|folder| *folder != text) {
        let message = format!("the id `{text}` differs from its folder `{folder}`");
        reader.report(
            Diagnostic::new(Code::RuleFolder, span, message)
                .with_caret("differs from the folder")
                .with_help("Rename one of them: people look a rule up by its folder.")
                .with_suggestion(span, format!("\"{folder}\"")),
        );
    }
    Some((id, span))
}

/// The start of a text that may be very long.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The folder that names a rule: only a file called `rule.toml` is named by its folder.
fn folder_of_rule(path: &str) -> Option<&str> {
    let (folders, file) = path.rsplit_once(['/', '\\'])?;
    let folder = folders.rsplit(['/', '\\']).next().unwrap_or(folders);
    let named = file == "rule.toml" && !matches!(folder, "" | "." | "..");
    named.then_some(folder)
}

fn read_attack(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<AttackTag> {
    let mut tags: Vec<AttackTag> = Vec::new();
    for (text, span) in fields.texts("attack") {
        let Some((tactic, technique)) = attack::split_tag(text) else {
            reader.report(
                Diagnostic::new(Code::AttackTag, span, "this is no ATT&CK tag")
                    .with_caret("expected a tactic and a technique, such as `TA0005/T1562.008`"),
            );
            continue;
        };
        if let Some(mistake) = attack::mistake_in(tactic, technique) {
            let mut diagnostic = Diagnostic::new(Code::AttackUnknown, span, mistake.message);
            if let Some(near) = mistake.instead {
                let help = format!("Did you mean `{near}`?");
                diagnostic = diagnostic
                    .with_help(help)
                    .with_suggestion(span, format!("\"{near}\""));
            }
            reader.report(diagnostic);
        }
        if tags
            .iter()
            .any(|tag| tag.tactic == tactic && tag.technique == technique)
        {
            let message = format!("`{text}` is listed twice");
            reader.report(Diagnostic::new(Code::Repeated, span, message));
            continue;
        }
        let place = reader.place(span);
        tags.push(AttackTag {
            tactic: tactic.into(),
            technique: technique.into(),
            place,
        });
    }
    tags
}

fn check_references(reader: &mut Reader, fields: &Fields<'_, '_>) {
    for (text, span) in fields.texts("references") {
        if !text.starts_with("https://") && !text.starts_with("http://") {
            reader.report(
                Diagnostic::new(Code::Reference, span, "a reference is no web address")
                    .with_caret("expected `https://…`"),
            );
        }
    }
}

fn read_finding(reader: &mut Reader, fields: &Fields<'_, '_>) -> FindingTemplate {
    let Some((table, span)) = fields.table("finding") else {
        return FindingTemplate::default();
    };
    let fields = Fields::open(reader, table, &FINDING, span);
    FindingTemplate {
        title: read_title(reader, &fields),
        dedup_key: read_dedup_key(reader, &fields),
        severity: fields.selector(reader, "severity"),
        context: read_context(reader, &fields),
    }
}

fn read_title(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Template> {
    let written = fields.written(reader, "title")?;
    reader.template(written)
}

fn read_dedup_key(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Vec<Selector>> {
    let value = fields.value("dedup_key")?;
    let texts = fields.texts("dedup_key");
    let span = span_of(value);
    if value
        .get_ref()
        .as_array()
        .is_some_and(|items| items.is_empty())
    {
        reader.report(
            Diagnostic::new(Code::EmptyValue, span, "`dedup_key` is empty").with_help(
                "All findings of the rule would be one; leave the key out for the default.",
            ),
        );
    }
    if !reader.within("parts of a key", texts.len(), RULE_DEDUP_KEY_MAX, span) {
        return None;
    }
    let written = texts
        .into_iter()
        .map(|(text, span)| reader.written(text, span));
    let written: Vec<_> = written.collect();
    Some(
        written
            .into_iter()
            .filter_map(|one| reader.selector(one))
            .collect(),
    )
}

fn read_context(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<(String, Selector)> {
    let Some((table, span)) = fields.table("context") else {
        return Vec::new();
    };
    if !reader.within("facts of a context", table.len(), RULE_CONTEXT_MAX, span) {
        return Vec::new();
    }
    let mut context = Vec::with_capacity(table.len());
    for (key, value) in in_order(table) {
        let Some(text) = value
            .get_ref()
            .as_str()
            .filter(|text| !text.trim().is_empty())
        else {
            continue;
        };
        let written = reader.written(text, span_of(value));
        let selector = reader.selector(written);
        context.extend(selector.map(|selector| (key.get_ref().to_string(), selector)));
    }
    context
}
