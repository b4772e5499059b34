//! Reads policies from the texts of files.

use super::check::policy;
use super::{Credentials, Exempt, Policy, Stage, exempt, terms};
use crate::action::Planner;
use crate::plan::Risk;
use jiff::civil::Date;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use tripline_core::diagnostic::{Code, Diagnostic, Source, Span};
use tripline_core::rule::Report;

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The policies without mistakes, by id.
    pub policies: Vec<Policy>,
    /// The exemptions.
    pub exempt: Vec<Exempt>,
    /// Whether an exemption could not be read: then nothing may be done, for nobody knows what it was to protect.
    pub is_exemption_lost: bool,
    /// What is wrong, by file and place.
    pub reports: Vec<Report>,
    /// Where each policy stands, for what is found out later.
    pub(crate) places: BTreeMap<String, Place>,
    /// Where each exemption stands.
    exempt_places: Vec<(Arc<Source>, Span)>,
}

/// Where a policy stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    source: Arc<Source>,
    /// Of its name.
    name: Span,
    /// Of its `when` and its parameters.
    parts: BTreeMap<String, Span>,
}

impl Loaded {
    /// Warns of policies that answer rules that are not among those known.
    pub fn warn_of_unknown_rules(&mut self, known: &std::collections::BTreeSet<String>) {
        for policy in &self.policies {
            for name in &policy.on_finding {
                let is_there = match name.strip_suffix('*') {
                    Some(start) => known.iter().any(|id| id.starts_with(start)),
                    None => known.contains(name),
                };
                let Some(place) = self.places.get(&policy.id).filter(|_| !is_there) else {
                    continue;
                };
                let span = place.parts.get("on_finding").copied().unwrap_or(place.name);
                let message = format!("no rule `{name}` is among those that were loaded");
                let help = "Mend the name, or give the rules as well.";
                self.reports.push(idle(&place.source, span, message, help));
            }
        }
    }

    /// Warns of what holds no more, or never, on a day: exemptions that are over, and bounds that another one is always before.
    pub fn warn_of_what_is_idle(&mut self, today: Date) {
        for (one, (source, span)) in self.exempt.iter().zip(&self.exempt_places) {
            if today > one.expires {
                let message = format!("the exemption of {} was until {}", one.arn, one.expires);
                let help = "Take it out, or have its owner say until when it holds.";
                self.reports.push(idle(source, *span, message, help));
            }
        }
        for policy in &self.policies {
            let Some(place) = self.places.get(&policy.id) else {
                continue;
            };
            let limits = &policy.terms.limits;
            let caps = [
                ("limits.per_policy", limits.per_policy),
                ("limits.per_account", limits.per_account),
                ("limits.per_kind", limits.per_kind),
            ];
            for (part, cap) in caps {
                let Some(cap) = cap else { continue };
                let span = place.parts.get(part).copied().unwrap_or(place.name);
                if cap.max == 0 {
                    let message = "with a cap of 0 nothing ever begins".to_owned();
                    let help = "`mode = \"dry_run\"` shows what would be done.";
                    self.reports.push(idle(&place.source, span, message, help));
                }
                let all = limits.per_policy.filter(|_| part == "limits.per_account");
                if let Some(all) = all
                    && cap.max > all.max
                    && cap.window.0 <= all.window.0
                {
                    let message = format!(
                        "{} within {} in one account are never reached: `per_policy` allows {} within {}",
                        cap.max, cap.window, all.max, all.window
                    );
                    let help = "Give one account less than all together.";
                    self.reports.push(idle(&place.source, span, message, help));
                }
            }
        }
    }

    /// Takes out the policies whose plugin is not there, makes no plans, or is another than they mean, with a report. To be
    /// called before [`crate::ask::Questions::of`].
    pub fn check_plugins(&mut self, planner: Option<&dyn Planner>) {
        let policies = self.policies.iter();
        let refused = policies.filter_map(|policy| {
            let plugin = policy.action.plugin()?;
            let known = match planner {
                Some(planner) => planner.knows(plugin),
                None => Err("no plugins are declared".to_owned()),
            };
            let (id, name) = (policy.id.clone(), policy.action.name().to_owned());
            known.err().map(|why| (id, format!("`{name}`: {why}")))
        });
        let refused: Vec<_> = refused.collect();
        for (policy, message) in refused {
            let help =
                "The policy is off until the operator's file of plugins and the policy agree.";
            self.refuse(&policy, "action", message, help);
        }
    }

    /// Says what is wrong with a part of a policy: `when`, a parameter, or anything else for its name. The policy is off.
    pub(crate) fn refuse(&mut self, policy: &str, part: &str, message: String, help: &str) {
        self.policies.retain(|one| one.id != policy);
        if let Some(place) = self.places.get(policy) {
            let span = place.parts.get(part).copied().unwrap_or(place.name);
            self.reports
                .push(report(&place.source, span, message, help));
        }
    }
}

fn report(source: &Arc<Source>, span: Span, message: String, help: &str) -> Report {
    let diagnostic = Diagnostic::new(Code::PolicyMistake, span, message);
    Report {
        source: source.clone(),
        diagnostic: match help {
            "" => diagnostic,
            help => diagnostic.with_help(help.to_owned()),
        },
    }
}

fn idle(source: &Arc<Source>, span: Span, message: String, help: &str) -> Report {
    Report {
        source: source.clone(),
        diagnostic: Diagnostic::new(Code::PolicyIdle, span, message).with_help(help.to_owned()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) version: String,
    pub(super) description: String,
    pub(super) runbook: String,
    pub(super) owner: String,
    pub(super) on_finding: Vec<String>,
    pub(super) min_severity: Option<String>,
    #[serde(default)]
    pub(super) when: String,
    pub(super) action: String,
    pub(super) plugin_digest: Option<String>,
    pub(super) risk: Option<Risk>,
    #[serde(default)]
    pub(super) allow_irreversible: bool,
    #[serde(default)]
    pub(super) params: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) stage: Stage,
    #[serde(default)]
    pub(super) limits: terms::Limits,
    #[serde(default)]
    pub(super) approval: terms::Approval,
    #[serde(default)]
    pub(super) execution: terms::Execution,
    #[serde(default)]
    pub(super) credentials: Credentials,
}

/// Reads the policies among files, given as path and text. A file that has none is passed over.
pub fn load<'f>(files: impl IntoIterator<Item = (&'f str, &'f str)>) -> Loaded {
    let mut loaded = Loaded::default();
    for (path, text) in files {
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(fault) => {
                // Whoever loads the rules says what is wrong with its TOML. What exemptions it has nobody can tell.
                if text.contains("exempt") {
                    let source = Arc::new(Source {
                        name: path.to_owned(),
                        text: text.to_owned(),
                    });
                    let span = fault.span().map_or(Span::new(0, 0), span_of);
                    let message = format!("the file cannot be read: {}", fault.message());
                    loaded.is_exemption_lost = true;
                    loaded
                        .reports
                        .push(report(&source, span, message, EXEMPTION));
                }
                continue;
            }
        };
        let table = table.into_inner();
        if !table.contains_key("remediation") && !table.contains_key("exempt") {
            continue;
        }
        let source = Arc::new(Source {
            name: path.to_owned(),
            text: text.to_owned(),
        });
        file(&mut loaded, &source, table);
    }
    for (one, (source, span)) in loaded.exempt.iter().zip(&loaded.exempt_places) {
        if let Some(name) = one
            .policies
            .iter()
            .find(|name| !loaded.places.contains_key(*name))
        {
            let message = format!("the exemption is for the policy `{name}`, which is not there");
            loaded.is_exemption_lost = true;
            loaded
                .reports
                .push(report(source, *span, message, EXEMPTION));
        }
    }
    loaded.policies.sort_by(|one, other| one.id.cmp(&other.id));
    loaded
}

fn span_of(range: Range<usize>) -> Span {
    Span::new(range.start, range.end)
}

fn file(loaded: &mut Loaded, source: &Arc<Source>, table: DeTable<'_>) {
    for (key, value) in table {
        let span = span_of(key.span());
        match (key.get_ref().as_ref(), value) {
            ("remediation", value) if value.get_ref().is_table() => {
                if let DeValue::Table(policies) = value.into_inner() {
                    for (id, policy) in policies {
                        one(loaded, source, &id, policy);
                    }
                }
            }
            ("exempt", value) if value.get_ref().is_array() => {
                if let DeValue::Array(list) = value.into_inner() {
                    for one in list {
                        let span = span_of(one.span());
                        let read = read::<exempt::Written>(one);
                        match read.and_then(|one| one.read().map_err(|fault| (fault, None))) {
                            Ok(one) => {
                                loaded.exempt_places.push((source.clone(), span));
                                loaded.exempt.push(one);
                            }
                            Err((fault, at)) => {
                                loaded.is_exemption_lost = true;
                                let at = at.map_or(span, span_of);
                                loaded.reports.push(report(source, at, fault, EXEMPTION));
                            }
                        }
                    }
                }
            }
            (name, _) => {
                let message = format!("`{name}` does not belong into a file of policies");
                let help = "A policy is a table `[remediation.ID]`, an exemption `[[exempt]]`.";
                loaded.is_exemption_lost |= name == "exempt";
                loaded.reports.push(report(source, span, message, help));
            }
        }
    }
}

const EXEMPTION: &str =
    "Until this is mended no policy acts: nobody can tell what the exemption was to protect.";

/// Reads a value as what it must be; what is wrong and where.
fn read<T: DeserializeOwned>(
    value: Spanned<DeValue<'_>>,
) -> Result<T, (String, Option<Range<usize>>)> {
    T::deserialize(ValueDeserializer::from(value))
        .map_err(|fault| (fault.message().to_owned(), fault.span()))
}

fn one(
    loaded: &mut Loaded,
    source: &Arc<Source>,
    id: &Spanned<std::borrow::Cow<'_, str>>,
    value: Spanned<DeValue<'_>>,
) {
    let span = span_of(id.span());
    let name = id.get_ref().to_string();
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > 60 || !name.bytes().all(is_name) {
        let message = format!("`{name}` is no name of a policy");
        let help = "Lower-case letters, digits and `_`, at most 60 bytes.";
        return loaded.reports.push(report(source, span, message, help));
    }
    if let Some(first) = loaded.places.get(&name) {
        let message = format!("the policy `{name}` is there already");
        let help = format!("The first one is in {}.", first.source.name);
        return loaded.reports.push(report(source, span, message, &help));
    }
    let place = Place {
        source: source.clone(),
        name: span,
        parts: parts_of(value.get_ref()),
    };
    loaded.places.insert(name.clone(), place);
    let text = whole_text(&source.text, &value);
    match read::<Written>(value) {
        Ok(written) => match policy(&name, &source.name, &text, written) {
            Ok(policy) => loaded.policies.push(policy),
            Err(wrong) => {
                for (part, message, help) in wrong {
                    loaded.refuse(&name, part, message, help);
                }
            }
        },
        Err((message, at)) => {
            let at = at.map_or(span, span_of);
            let help = "The policy is off. `rules/README.md` lists what a policy has.";
            loaded.reports.push(report(source, at, message, help));
        }
    }
}

/// The places of what is looked at later.
fn parts_of(value: &DeValue<'_>) -> BTreeMap<String, Span> {
    let mut parts = BTreeMap::new();
    if let Some(table) = value.as_table() {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            parts.insert(name.to_owned(), span_of(value.span()));
            if let (
                "params" | "limits" | "stage" | "approval" | "execution" | "credentials",
                Some(inner),
            ) = (name, value.get_ref().as_table())
            {
                for (key, value) in inner {
                    let name = format!("{name}.{}", key.get_ref());
                    parts.insert(name, span_of(value.span()));
                }
            }
        }
    }
    parts
}

/// A policy's own text: what its hash is of. The values as they were read, so that spaces and comments do not count.
fn whole_text(_: &str, value: &Spanned<DeValue<'_>>) -> String {
    format!("{:?}", strip(value.get_ref()))
}

/// A value without its places.
#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug, which is what is hashed")]
enum Plain {
    Text(String),
    List(Vec<Plain>),
    Table(BTreeMap<String, Plain>),
}

fn strip(value: &DeValue<'_>) -> Plain {
    match value {
        DeValue::Array(items) => {
            Plain::List(items.iter().map(|item| strip(item.get_ref())).collect())
        }
        DeValue::Table(table) => {
            let members = table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), strip(value.get_ref())));
            Plain::Table(members.collect())
        }
        DeValue::String(text) => Plain::Text(format!("s{text}")),
        DeValue::Integer(number) => Plain::Text(format!("i{number:?}")),
        DeValue::Float(number) => Plain::Text(format!("f{number:?}")),
        DeValue::Boolean(is) => Plain::Text(format!("b{is}")),
        DeValue::Datetime(time) => Plain::Text(format!("t{time}")),
    }
}
