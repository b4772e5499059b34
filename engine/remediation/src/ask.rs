//! What policies ask of events: their `when` and their parameters, in the same CEL as rules.
//!
//! Each policy becomes a rule whose condition is its `when` and whose named facts are its parameters, so everything that
//! rules have holds for policies as well: types, bounds, errors with places.

use crate::policy::{Loaded, Policy};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tripline_core::diagnostic::Level;
use tripline_core::evaluate::{Evaluator, RuleIndex, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::{File, load};

/// Selectors of policies, compiled.
#[derive(Default)]
pub struct Questions {
    set: Option<RuleSet>,
    /// The policies by their rules' ids.
    names: BTreeMap<String, String>,
}

impl std::fmt::Debug for Questions {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_tuple("Questions").field(&self.names).finish()
    }
}

/// What an event answers to a policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// Its `when` does not hold.
    No,
    /// Its `when` cannot be decided, or a parameter cannot be computed; why.
    Unclear(String),
    /// Its `when` holds, and these parameters take the place of what the action reads.
    Yes(Map<String, Value>),
}

impl Questions {
    /// Compiles what policies ask; those with mistakes are taken out of `loaded`, with a report.
    pub fn of(loaded: &mut Loaded, today: jiff::civil::Date) -> Self {
        let texts: Vec<(String, File)> = loaded
            .policies
            .iter()
            .enumerate()
            .map(|(number, policy)| {
                let id = rule_id(number);
                let text = rule_text(policy, &id);
                (policy.id.clone(), File::found(format!("{id}.toml"), text))
            })
            .collect();
        let files: Vec<File> = texts.iter().map(|(_, file)| file.clone()).collect();
        let catalog = load(&files, today);
        let (set, reports) = RuleSet::of_catalog(&catalog);
        for report in catalog.reports.iter().chain(&reports) {
            if report.diagnostic.level != Level::Error {
                continue;
            }
            let Some((policy, file)) = texts
                .iter()
                .find(|(_, file)| file.path == report.source.name)
            else {
                continue;
            };
            let at = report.diagnostic.span.start as usize;
            let before = file.text.get(..at).unwrap_or_default();
            let line = before.rsplit('\n').next().unwrap_or_default();
            let name = line.split(" = ").next().unwrap_or_default().trim();
            let part = match before.contains("[finding.context]") {
                true => format!("params.{name}"),
                false => "when".to_owned(),
            };
            let place = part.replace("params.", "parameter ");
            let message = format!("{place}: {}", report.diagnostic.message);
            let help = report.diagnostic.help.first().cloned();
            let help = help.unwrap_or_else(|| {
                "The policy is off. It is CEL over `event`, as in rules.".to_owned()
            });
            loaded.refuse(policy, &part, message, &help);
        }
        let names = texts
            .into_iter()
            .enumerate()
            .map(|(number, (id, _))| (rule_id(number), id))
            .collect();
        Self {
            set: Some(set),
            names,
        }
    }

    /// What an event answers to each policy that asks something.
    pub fn ask(&self, event: &[u8]) -> BTreeMap<String, Asked> {
        let mut answers = BTreeMap::new();
        let Some(set) = &self.set else {
            return answers;
        };
        let mut parser = Parser::new();
        let document = match parser.parse(event) {
            Ok(document) => document,
            Err(fault) => {
                let why = format!("the event cannot be read: {fault}");
                let all = self.names.values();
                return all
                    .map(|id| (id.clone(), Asked::Unclear(why.clone())))
                    .collect();
            }
        };
        let event = Event::new(document);
        let mut evaluator = Evaluator::new(set);
        let evaluated = evaluator.evaluate(&event);
        let matched: Vec<RuleIndex> = evaluated.matched.to_vec();
        let unclear: Vec<RuleIndex> = evaluated.indeterminate.to_vec();
        for id in self.names.values() {
            answers.insert(id.clone(), Asked::No);
        }
        let name = |rule: RuleIndex| {
            let id = set.rules()[rule.0 as usize].rule.id.to_string();
            self.names.get(&id).cloned().unwrap_or_default()
        };
        for rule in unclear {
            let why = format!(
                "`when` cannot be decided: {}",
                evaluator.fault(rule, &event)
            );
            answers.insert(name(rule), Asked::Unclear(why));
        }
        for rule in matched {
            let finding = evaluator.finding(rule, &event);
            let notes: Vec<&String> = finding
                .notes
                .iter()
                .filter(|note| note.contains("context"))
                .collect();
            let answer = match notes.first() {
                Some(note) => Asked::Unclear(format!("a parameter cannot be computed: {note}")),
                None => Asked::Yes(finding.context),
            };
            answers.insert(name(rule), answer);
        }
        answers
    }
}

/// By number: names of policies may differ in ways in which names of rules cannot.
fn rule_id(number: usize) -> String {
    format!("policy-{number}")
}

fn rule_text(policy: &Policy, id: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let when = match policy.when.trim() {
        "" => "true",
        when => when,
    };
    let mut text = format!(
        "id = {}\nname = \"Policy\"\ndescription = \"A policy.\"\nseverity = \"low\"\nstatus = \"experimental\"\n{}when = {}\n\n[finding.context]\n",
        quoted(id),
        match policy.action.is_of_aws() {
            true => "source = \"aws.cloudtrail\"\n",
            false => "",
        },
        quoted(when),
    );
    for (name, value) in &policy.params {
        text.push_str(&format!("{name} = {}\n", quoted(value)));
    }
    text
}
