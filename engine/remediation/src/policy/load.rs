//! Reads policies from the texts of files.

use super::{CAP_MAX, Credentials, Exempt, Policy, SEVERITIES, Stage, exempt, terms};
use crate::action::{Action, Chosen, Pinned, Planner};
use crate::plan::{Risk, hex};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
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
    /// The policies that exemptions name, and where.
    named: Vec<(Vec<String>, Arc<Source>, Span)>,
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
                self.reports.push(Report {
                    source: place.source.clone(),
                    diagnostic: Diagnostic::new(Code::PolicyIdle, span, message)
                        .with_help(help.to_owned()),
                });
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: String,
    description: String,
    runbook: String,
    owner: String,
    on_finding: Vec<String>,
    min_severity: Option<String>,
    #[serde(default)]
    when: String,
    action: String,
    plugin_digest: Option<String>,
    risk: Option<Risk>,
    #[serde(default)]
    allow_irreversible: bool,
    #[serde(default)]
    params: BTreeMap<String, String>,
    #[serde(default)]
    stage: Stage,
    #[serde(default)]
    limits: terms::Limits,
    #[serde(default)]
    approval: terms::Approval,
    #[serde(default)]
    execution: terms::Execution,
    #[serde(default)]
    credentials: Credentials,
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
    for (exempt, source, span) in std::mem::take(&mut loaded.named) {
        if let Some(name) = exempt
            .iter()
            .find(|name| !loaded.places.contains_key(*name))
        {
            let message = format!("the exemption is for the policy `{name}`, which is not there");
            loaded.is_exemption_lost = true;
            loaded
                .reports
                .push(report(&source, span, message, EXEMPTION));
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
                                let named = (one.policies.clone(), source.clone(), span);
                                loaded.named.push(named);
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
            Err((part, message, help)) => loaded.refuse(&name, part, message, help),
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
            if let ("params" | "limits" | "stage" | "approval" | "execution", Some(inner)) =
                (name, value.get_ref().as_table())
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

/// The longest time that a request may take: one minute.
const STEP_MAX: i64 = 60_000_000;

type Refusal = (&'static str, String, &'static str);

fn policy(id: &str, file: &str, text: &str, written: Written) -> Result<Policy, Refusal> {
    let needed = [
        ("runbook", &written.runbook),
        ("owner", &written.owner),
        ("description", &written.description),
    ];
    for (part, text) in needed {
        if text.trim().is_empty() {
            let help = "Whoever is woken at night needs to know what it does, whose it is, and where to read on.";
            return Err((part, format!("`{part}` is empty"), help));
        }
    }
    let numbers: Vec<_> = written.version.split('.').collect();
    if numbers.len() != 3 || numbers.iter().any(|one| one.parse::<u32>().is_err()) {
        let message = format!("`{}` is no version", written.version);
        return Err((
            "version",
            message,
            "Write MAJOR.MINOR.PATCH, as in \"1.0.0\".",
        ));
    }
    if written.on_finding.is_empty() {
        return Err((
            "on_finding",
            "no rule is named".to_owned(),
            "Name the rules whose findings are answered; a name may end in `*`.",
        ));
    }
    if let Some(severity) = &written.min_severity
        && !SEVERITIES.contains(&severity.as_str())
    {
        let message = format!("`{severity}` is no severity");
        return Err((
            "min_severity",
            message,
            "One of informational, low, medium, high, critical.",
        ));
    }
    let action = chosen(&written)?;
    for name in written.params.keys() {
        if action.plugin().is_none() && !action.parameters().iter().any(|one| one.name == name) {
            let message = format!("`{}` has no parameter `{name}`", written.action);
            return Err((
                "params",
                message,
                "`tripline remediate actions` lists the parameters of each action.",
            ));
        }
    }
    let least = action.risk();
    if written.risk.is_some_and(|risk| risk < least) {
        let message = format!(
            "the risk of `{}` is at least {}",
            written.action,
            risk_name(least)
        );
        return Err(("risk", message, "A policy may only say that it is more."));
    }
    let stage = &written.stage;
    if stage.percent > 100 {
        return Err((
            "stage.percent",
            format!("{} of a hundred", stage.percent),
            "0 to 100.",
        ));
    }
    // What nobody voted on in time, and is done then, runs by itself as well.
    let runs_alone = stage.mode >= terms::Mode::Veto
        || written.approval.on_timeout == terms::OnTimeout::ContainReversible;
    if runs_alone {
        let limits = &written.limits;
        for (part, cap) in [
            ("limits.per_policy", limits.per_policy),
            ("limits.per_account", limits.per_account),
        ] {
            if cap.is_none() {
                let message = format!("`mode = \"{}\"` needs `{part}`", stage.mode.name());
                let help = "What runs by itself needs a bound, as in `per_policy = { max = 20, window = \"10m\" }`.";
                return Err((
                    if part == "limits.per_policy" {
                        "limits"
                    } else {
                        "limits.per_policy"
                    },
                    message,
                    help,
                ));
            }
        }
    }
    let limits = &written.limits;
    let caps = [
        ("limits.per_policy", limits.per_policy),
        ("limits.per_account", limits.per_account),
        ("limits.per_kind", limits.per_kind),
    ];
    for (part, cap) in caps {
        let Some(cap) = cap else { continue };
        if cap.window.0 == 0 || cap.max > CAP_MAX {
            let message = format!("a cap of {} within {}", cap.max, cap.window);
            return Err((part, message, "At most 100000, within more than no time."));
        }
    }
    if let Some(share) = &limits.max_percent {
        if !(0.0..=100.0).contains(&share.percent) {
            let message = format!("{} of a hundred", share.percent);
            return Err(("limits.max_percent", message, "0 to 100."));
        }
        if limits.per_policy.is_none() {
            let help = "The share is counted in the window of `per_policy`.";
            let message = "`max_percent` needs `per_policy`".to_owned();
            return Err(("limits.max_percent", message, help));
        }
    }
    let step = written.execution.step_timeout.0;
    if step == 0 || step > STEP_MAX {
        let message = format!("a request may take {}", written.execution.step_timeout);
        // How long a request of which nobody knows can have an effect is bounded by this.
        return Err((
            "execution.step_timeout",
            message,
            "More than 0s, at most 1m.",
        ));
    }
    if written.approval.quorum == 0 || written.approval.quorum > 20 {
        let message = format!("a quorum of {}", written.approval.quorum);
        return Err(("approval.quorum", message, "1 to 20 people."));
    }
    let may_be_final = action.plugin().is_some() && written.allow_irreversible;
    if (action.is_irreversible() || may_be_final)
        && !(written.allow_irreversible
            && written.approval.quorum >= 2
            && stage.mode <= terms::Mode::Approve)
    {
        let message = format!("`{}` cannot be taken back", written.action);
        return Err((
            "action",
            message,
            "It needs `allow_irreversible = true`, a quorum of at least 2, and at most `mode = \"approve\"`.",
        ));
    }
    if written.limits.concurrency == 0 {
        return Err((
            "limits.concurrency",
            "nothing could ever run".to_owned(),
            "At least 1.",
        ));
    }
    if action.may_answer_itself() && written.when.trim().is_empty() {
        let makes = match action.plugin() {
            Some(_) => "may make",
            None => "makes",
        };
        let message = format!(
            "`{}` {makes} events of the kind that it answers",
            written.action
        );
        return Err((
            "action",
            message,
            "Give a `when` that holds only while the state is bad, so that what it does itself does not start it again.",
        ));
    }
    let digest = Sha256::digest(format!("{id}\n{text}").as_bytes());
    Ok(Policy {
        id: id.to_owned(),
        version: written.version,
        hash: hex(&digest),
        file: file.to_owned(),
        description: written.description,
        runbook: written.runbook,
        on_finding: written.on_finding,
        min_severity: written.min_severity,
        when: written.when,
        risk: written.risk.unwrap_or(least),
        params: written.params,
        terms: terms::Terms {
            stage: written.stage,
            limits: written.limits,
            approval: written.approval,
            execution: written.execution,
            role: written.credentials.role,
            allow_irreversible: written.allow_irreversible,
            risk: written.risk.unwrap_or(least),
            owner: written.owner.clone(),
        },
        owner: written.owner,
        action,
    })
}

/// What a policy has done: an action, or what a plugin plans.
fn chosen(written: &Written) -> Result<Chosen, Refusal> {
    let Some(name) = written.action.strip_prefix(crate::action::planner::PREFIX) else {
        if written.plugin_digest.is_some() {
            let message = format!("`{}` is no plugin and has no digest", written.action);
            return Err(("plugin_digest", message, "Leave it out."));
        }
        let action = Action::parse(&written.action);
        let unknown = || {
            let message = format!("there is no action `{}`", written.action);
            let help = "`tripline remediate actions` lists them.";
            ("action", message, help)
        };
        return Ok(Chosen::Own(action.ok_or_else(unknown)?));
    };
    let is_name = |text: &str| {
        let may_stand =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        !text.is_empty() && text.len() <= 64 && text.bytes().all(may_stand)
    };
    if !is_name(name) {
        let message = format!("`{name}` is no name of a plugin");
        return Err((
            "action",
            message,
            "The name that the operator's file gives it.",
        ));
    }
    let digest = written.plugin_digest.as_deref();
    let digest = digest.and_then(|text| text.strip_prefix("sha256:"));
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let Some(digest) = digest.filter(|text| text.len() == 64 && text.bytes().all(is_hex)) else {
        let message = format!("`{}` needs `plugin_digest`", written.action);
        let help = "`plugin_digest = \"sha256:…\"` says which bytes of it are meant; `tripline plugin inspect` tells it.";
        return Err(("plugin_digest", message, help));
    };
    if written.risk.is_none() {
        let message = format!("`{}` needs `risk`", written.action);
        return Err((
            "risk",
            message,
            "Nobody else knows how much harm it can do: low, medium or high.",
        ));
    }
    for one in crate::action::planner::PARAMETERS {
        if !written.params.contains_key(one.name) {
            let message = format!("`{}` needs the parameter `{}`", written.action, one.name);
            return Err((
                "params",
                message,
                "CEL over `event`; the plugin does not say it.",
            ));
        }
    }
    if written.params.len() > 32 || !written.params.keys().all(|name| is_name(name)) {
        let message = "a parameter of a plugin has no name".to_owned();
        return Err((
            "params",
            message,
            "Lower-case letters, digits and `_`; at most 32 of them.",
        ));
    }
    Ok(Chosen::of_plugin(Pinned {
        name: name.to_owned(),
        digest: digest.to_owned(),
    }))
}

fn risk_name(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    }
}
