//! Which tactics and techniques the rules show: a table, and a layer for the ATT&CK Navigator.
//!
//! Counts rules that are on. A sub-technique also counts for its technique in the table, because that is how
//! people read "do we see T1562 at all"; the layer lists each id by itself, as the Navigator wants it.

use super::{Known, known, matrix};
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
        let serves = |id: &&str| known(id).is_some_and(|known| known.serves(&self.id));
        let ids = self
            .techniques
            .iter()
            .map(|technique| technique.id.as_str());
        let parents = ids.filter_map(|id| id.split('.').next());
        parents.filter(serves).collect::<BTreeSet<_>>().len()
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
    let name = |id: &str| known(id).map(|known| known.name);
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
        let techniques = match shown.len() {
            1 => "1 technique".to_owned(),
            more => format!("{more} techniques"),
        };
        let _ = match self.rules {
            1 => writeln!(out, "1 rule shows {techniques}"),
            rules => writeln!(out, "{rules} rules show {techniques}"),
        };
        let _ = match self.untagged.len() {
            0 => Ok(()),
            1 => writeln!(out, "1 rule carries no ATT&CK tag"),
            untagged => writeln!(out, "{untagged} rules carry no ATT&CK tag"),
        };
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
            "versions": { "attack": "17", "layer": "4.5", "navigator": "5.1.0" },
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

#[cfg(test)]
mod tests {
    use super::coverage;
    use crate::rule::{File, load};
    use expect_test::expect;
    use jiff::civil::date;

    fn rule(id: &str, attack: &str) -> File {
        let text = format!(
            "id = '{id}'\nname = 'A'\ndescription = 'A.'\nseverity = 'low'\nstatus = 'test'\n\
             when = 'true'\nattack = [{attack}]\n"
        );
        File::found(format!("{id}.toml"), text)
    }

    fn sample() -> super::Coverage {
        let files = [
            rule("b", "'TA0005/T1562.008', 'TA0005/T1562'"),
            rule("a", "'TA0005/T1562.008', 'TA0040/T1485'"),
            rule("c", "'TA0099/T9999'"),
            rule("d", ""),
            rule("e", "'TA0001/T1078'"),
            File::found("o.toml", "[[override]]\nrule = 'e'\ndisabled = true"),
        ];
        coverage(&load(&files, date(2026, 1, 1)).rules)
    }

    #[test]
    fn the_table_counts_by_tactic() {
        expect![[r#"
            tactic    name                  rules  techniques
            TA0043    Reconnaissance            0    0/3
            TA0042    Resource Development      0    0/6
            TA0001    Initial Access            0    0/7
            TA0002    Execution                 0    0/8
            TA0003    Persistence               0   0/12
            TA0004    Privilege Escalation      0   0/10
            TA0005    Defense Evasion           2   1/17  T1562 T1562.008
            TA0006    Credential Access         0   0/14
            TA0007    Discovery                 0   0/19
            TA0008    Lateral Movement          0    0/7
            TA0009    Collection                0    0/8
            TA0011    Command and Control       0    0/6
            TA0010    Exfiltration              0    0/6
            TA0040    Impact                    1   1/12  T1485
            TA0099    TA0099                    1    0/0  T9999
            4 rules show 4 techniques
            1 rule carries no ATT&CK tag
        "#]]
        .assert_eq(&sample().table());
    }

    #[test]
    fn the_layer_is_what_the_navigator_reads() {
        let layer = sample().navigator_layer("ours");
        assert_eq!(layer["versions"]["layer"], "4.5");
        assert_eq!(layer["domain"], "enterprise-attack");
        expect![[r#"
            [
              {
                "techniqueID": "T1562",
                "tactic": "defense-evasion",
                "score": 1,
                "comment": "b",
                "enabled": true,
                "showSubtechniques": false
              },
              {
                "techniqueID": "T1562.008",
                "tactic": "defense-evasion",
                "score": 2,
                "comment": "a\nb",
                "enabled": true,
                "showSubtechniques": true
              },
              {
                "techniqueID": "T1485",
                "tactic": "impact",
                "score": 1,
                "comment": "a",
                "enabled": true,
                "showSubtechniques": false
              },
              {
                "techniqueID": "T9999",
                "tactic": "ta0099",
                "score": 1,
                "comment": "c",
                "enabled": true,
                "showSubtechniques": false
              }
            ]"#]]
        .assert_eq(&format!("{:#}", layer["techniques"]));
    }
}
