//! Which tactics and techniques the rules show: a table, and a layer for the ATT&CK Navigator.
//!
//! Counts rules that are on. A sub-technique also counts for its technique in the table, because that is how
//! people read "do we see T1562 at all"; the layer lists each id by itself, as the Navigator wants it.

use super::{Known, matrix};
use crate::rule::model::{Rule, RuleId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What a set of rules covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Per tactic, in the order of the matrix; tactics that only the rules know come last.
    pub tactics: Vec<TacticCoverage>,
    /// Rules that are on.
    pub rules: usize,
    /// Rules that are on and carry no tag.
    pub untagged: Vec<RuleId>,
}

/// What is covered of one tactic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TacticCoverage {
    /// `TA0005`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Rules with a tag of this tactic.
    pub rules: usize,
    /// Top-level techniques of it that we know of.
    pub techniques_known: usize,
    /// Its techniques and sub-techniques that some rule shows, by id.
    pub techniques: Vec<TechniqueCoverage>,
}

impl TacticCoverage {
    /// Known top-level techniques that some rule shows, itself or by a sub-technique.
    pub fn techniques_shown(&self) -> usize {
        let known = |id: &&str| matrix().any(|known| known.id == *id && known.serves(&self.id));
        let parents = self
            .techniques
            .iter()
            .filter_map(|technique| technique.id.split('.').next());
        parents.filter(known).collect::<BTreeSet<_>>().len()
    }
}

/// The rules for one technique under one tactic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TechniqueCoverage {
    /// `T1562.008`
    pub id: String,
    /// Its name, with the technique's before a sub-technique's.
    pub name: String,
    /// The rules, by id.
    pub rules: Vec<RuleId>,
}

/// Counts what `rules` cover.
pub fn coverage<'r>(rules: impl IntoIterator<Item = &'r Rule>) -> Coverage {
    let mut shown: BTreeMap<&str, BTreeMap<&str, BTreeSet<&RuleId>>> = BTreeMap::new();
    let (mut count, mut untagged) = (0, Vec::new());
    for rule in rules.into_iter().filter(|rule| rule.is_enabled()) {
        count += 1;
        if rule.attack.is_empty() {
            untagged.push(rule.id.clone());
        }
        for tag in &rule.attack {
            let techniques = shown.entry(tag.tactic.as_str()).or_default();
            techniques
                .entry(tag.technique.as_str())
                .or_default()
                .insert(&rule.id);
        }
    }
    let tactics: Vec<Known> = matrix().filter(Known::is_tactic).collect();
    let unknown = shown
        .keys()
        .copied()
        .filter(|id| tactics.iter().all(|known| known.id != *id));
    let names = tactics
        .iter()
        .map(|known| (known.id, known.name))
        .chain(unknown.map(|id| (id, id)));
    let empty = BTreeMap::new();
    let tactics =
        names.map(|(id, name)| tactic_coverage(id, name, shown.get(id).unwrap_or(&empty)));
    let tactics = tactics.collect();
    untagged.sort();
    Coverage {
        tactics,
        rules: count,
        untagged,
    }
}

fn tactic_coverage(
    id: &str,
    name: &str,
    shown: &BTreeMap<&str, BTreeSet<&RuleId>>,
) -> TacticCoverage {
    let all: BTreeSet<&RuleId> = shown.values().flatten().copied().collect();
    let top_level = matrix().filter(|known| known.serves(id) && !known.id.contains('.'));
    let techniques = shown.iter().map(|(technique, rules)| TechniqueCoverage {
        id: (*technique).to_owned(),
        name: full_name(technique),
        rules: rules.iter().copied().cloned().collect(),
    });
    TacticCoverage {
        id: id.to_owned(),
        name: name.to_owned(),
        rules: all.len(),
        techniques_known: top_level.count(),
        techniques: techniques.collect(),
    }
}

fn full_name(technique: &str) -> String {
    let name = |id: &str| {
        matrix()
            .find(|known| known.id == id)
            .map(|known| known.name)
    };
    match (technique.split_once('.'), name(technique)) {
        (Some((parent, _)), Some(own)) => match name(parent) {
            Some(parent) => format!("{parent}: {own}"),
            None => own.to_owned(),
        },
        (_, Some(own)) => own.to_owned(),
        (_, None) => technique.to_owned(),
    }
}

impl Coverage {
    /// A table by tactic: its rules, and how many of its techniques are shown.
    pub fn table(&self) -> String {
        let width = self
            .tactics
            .iter()
            .map(|tactic| tactic.name.chars().count())
            .max()
            .unwrap_or(6);
        let mut out = format!(
            "{:8}  {:width$}  {:>5}  techniques\n",
            "tactic", "name", "rules"
        );
        for tactic in &self.tactics {
            let ids: Vec<&str> = tactic
                .techniques
                .iter()
                .map(|one| one.id.as_str())
                .collect();
            let part = format!("{}/{}", tactic.techniques_shown(), tactic.techniques_known);
            let line = format!(
                "{:8}  {:width$}  {:>5}  {part:>5}  {}",
                tactic.id,
                tactic.name,
                tactic.rules,
                ids.join(" ")
            );
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let shown: BTreeSet<&str> = self.techniques().map(|one| one.id.as_str()).collect();
        let _ = writeln!(out, "{} rules show {} techniques", self.rules, shown.len());
        if !self.untagged.is_empty() {
            let _ = writeln!(out, "{} rules carry no ATT&CK tag", self.untagged.len());
        }
        out
    }

    fn techniques(&self) -> impl Iterator<Item = &TechniqueCoverage> {
        self.tactics.iter().flat_map(|tactic| &tactic.techniques)
    }

    /// A layer in the Navigator's format 4.5; the score of a technique is its number of rules.
    pub fn navigator_layer(&self, name: &str) -> serde_json::Value {
        let most = self
            .techniques()
            .map(|one| one.rules.len())
            .max()
            .unwrap_or(1);
        let techniques: Vec<serde_json::Value> = self
            .tactics
            .iter()
            .flat_map(|tactic| {
                tactic
                    .techniques
                    .iter()
                    .map(move |one| layer_technique(tactic, one))
            })
            .collect();
        serde_json::json!({
            "name": name,
            "versions": { "layer": "4.5", "navigator": "4.9.1" },
            "domain": "enterprise-attack",
            "description": format!("{} rules of Tripline", self.rules),
            "filters": { "platforms": ["IaaS", "Identity Provider", "SaaS", "Office Suite"] },
            "sorting": 3,
            "layout": { "layout": "side", "showID": true, "showName": true },
            "hideDisabled": false,
            "techniques": techniques,
            "gradient": { "colors": ["#d6e8fa", "#1b62a5"], "minValue": 0, "maxValue": most },
            "legendItems": [],
            "showTacticRowBackground": false,
            "selectTechniquesAcrossTactics": false,
            "selectSubtechniquesWithParent": false,
        })
    }
}

fn layer_technique(tactic: &TacticCoverage, technique: &TechniqueCoverage) -> serde_json::Value {
    let rules: Vec<&str> = technique.rules.iter().map(RuleId::as_str).collect();
    serde_json::json!({
        "techniqueID": technique.id,
        "tactic": tactic.name.to_ascii_lowercase().replace(' ', "-"),
        "score": rules.len(),
        "comment": rules.join("\n"),
        "enabled": true,
        "showSubtechniques": technique.id.contains('.'),
    })
}
