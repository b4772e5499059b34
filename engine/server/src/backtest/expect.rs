//! What a person expects of rules, and whether it came.
//!
//! A file of expectations is TOML or JSON. Every key that is not described is a mistake; so is an expectation that
//! says nothing. One whose rule is not there fails like any other: the rule was to find something.

use super::keep::{Keeper, key_parts, key_text};
use super::tally::Tally;
use crate::terminal::counted;
use serde::Deserialize;
use std::collections::BTreeSet;
use thiserror::Error;
use tripline_core::diagnostic::did_you_mean;
use tripline_core::evaluate::RuleSet;

/// Keys that are named in a failure.
const KEYS_NAMED_MAX: usize = 5;

/// Why expectations could not be read.
#[derive(Debug, Error)]
pub(crate) enum ExpectError {
    #[error("{path}: not what expectations look like: {reason}")]
    Shape { path: String, reason: String },
    #[error(
        "{path}: the expectation of `{rule}` says nothing; give findings, at_least, at_most or keys"
    )]
    Empty { path: String, rule: String },
    #[error("{path}: the file expects nothing; add [[expect]] with a rule, or others = \"none\"")]
    Nothing { path: String },
    #[error("{path}: expectation {number}, of `{rule}`, can never be met: {reason}")]
    Contradiction {
        path: String,
        /// Which of the file, from 1.
        number: usize,
        rule: String,
        reason: String,
    },
}

/// All that is expected.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expectations {
    #[serde(default)]
    expect: Vec<Expectation>,
    #[serde(default)]
    others: Others,
}

/// What rules without an expectation may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Others {
    #[default]
    Any,
    None,
}

/// What is expected of one rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    rule: String,
    /// So many findings, no more and no fewer.
    findings: Option<u64>,
    at_least: Option<u64>,
    at_most: Option<u64>,
    /// These keys and no others.
    keys: Option<Vec<Vec<String>>>,
}

/// A number of findings, and what says so.
type Bound = Option<(u64, String)>;

/// One thing that was expected.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) rule: String,
    pub(crate) expected: String,
    /// What came instead; nothing when it is met.
    pub(crate) failure: Option<String>,
}

impl Expectations {
    /// Reads a file of them.
    pub(crate) fn read(path: &str, text: &str) -> Result<Self, ExpectError> {
        let is_json = text.trim_start().starts_with('{');
        let read: Result<Self, String> = if is_json {
            serde_json::from_str(text).map_err(|error| error.to_string())
        } else {
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
        };
        let read = read.map_err(|reason| ExpectError::Shape {
            path: path.to_owned(),
            reason,
        })?;
        let says_nothing = |one: &&Expectation| {
            one.keys.is_none() && [one.findings, one.at_least, one.at_most] == [None; 3]
        };
        if let Some(empty) = read.expect.iter().find(says_nothing) {
            return Err(ExpectError::Empty {
                path: path.to_owned(),
                rule: empty.rule.clone(),
            });
        }
        if read.expect.is_empty() && read.others == Others::Any {
            return Err(ExpectError::Nothing {
                path: path.to_owned(),
            });
        }
        match read.contradiction(path) {
            Some(contradiction) => Err(contradiction),
            None => Ok(read),
        }
    }

    /// The first entry that can never be met: by itself, or because of one before it that is about the same rule.
    fn contradiction(&self, path: &str) -> Option<ExpectError> {
        for (number, one) in (1..).zip(&self.expect) {
            let before = (1..).zip(&self.expect[..number - 1]);
            let same = before.filter(|(_, earlier)| earlier.rule == one.rule);
            let own = one.contradiction(one);
            let reason = own.or_else(|| {
                let mut reasons = same.filter_map(|(first, earlier)| {
                    let reason = one.contradiction(earlier)?;
                    Some(format!("expectation {first} is of this rule too: {reason}"))
                });
                reasons.next()
            });
            if let Some(reason) = reason {
                return Some(ExpectError::Contradiction {
                    path: path.to_owned(),
                    number,
                    rule: one.rule.clone(),
                    reason,
                });
            }
        }
        None
    }

    /// Judges what was found.
    pub(crate) fn judge(&self, rules: &RuleSet, tallies: &[Tally], keeper: &Keeper) -> Vec<Judged> {
        let ids: Vec<&str> = rules
            .rules()
            .iter()
            .map(|one| one.rule.id.as_str())
            .collect();
        let mut judged = Vec::new();
        for one in &self.expect {
            match ids.iter().position(|id| *id == one.rule) {
                Some(rule) => one.judge(&tallies[rule], keeper, &mut judged),
                None => judged.push(Judged {
                    rule: one.rule.clone(),
                    expected: "the rule is in force".to_owned(),
                    failure: Some(absent(&one.rule, &ids)),
                }),
            }
        }
        if self.others == Others::None {
            let named: BTreeSet<&str> = self.expect.iter().map(|one| one.rule.as_str()).collect();
            for (id, tally) in ids.iter().zip(tallies) {
                if !named.contains(id) {
                    judged.push(count(id, "no finding", tally.findings, tally.findings == 0));
                }
            }
        }
        judged
    }
}

fn absent(rule: &str, ids: &[&str]) -> String {
    let near = did_you_mean(rule, ids.iter().copied());
    let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
    format!("no rule with this id is in force{near}")
}

fn count(rule: &str, expected: &str, found: u64, met: bool) -> Judged {
    Judged {
        rule: rule.to_owned(),
        expected: expected.to_owned(),
        failure: (!met).then(|| counted(found, "finding")),
    }
}

impl Expectation {
    /// Why no findings could be what is expected here, together with what an `earlier` entry expects of the same rule;
    /// that may be this one.
    fn contradiction(&self, earlier: &Self) -> Option<String> {
        if let (Some(own), Some(others)) = (self.key_set(), earlier.key_set())
            && own != others
        {
            return Some(
                "a finding has one of the keys there or of those here, not both".to_owned(),
            );
        }
        let (own, others) = (self.bounds(), earlier.bounds());
        let excluded = |least: Bound, most: Bound| {
            let ((least, needs), (most, allows)) = (least?, most?);
            (least > most).then(|| format!("{needs} and {allows} exclude each other"))
        };
        excluded(own.0, others.1).or_else(|| excluded(others.0, own.1))
    }

    fn key_set(&self) -> Option<BTreeSet<&Vec<String>>> {
        Some(self.keys.as_ref()?.iter().collect())
    }

    /// How many findings there are at least and at most, and what says so.
    fn bounds(&self) -> (Bound, Bound) {
        // Each key has at least one finding, and each finding has a key.
        let keys = self.key_set().map(|keys| keys.len() as u64);
        let none = keys.filter(|keys| *keys == 0);
        let named = |name: &str, count: Option<u64>| {
            count.map(|count| (count, format!("{name} = {count}")))
        };
        let least = [
            named("findings", self.findings),
            named("at_least", self.at_least),
            keys.map(|keys| (keys, counted(keys, "key"))),
        ];
        let most = [
            named("findings", self.findings),
            named("at_most", self.at_most),
            none.map(|none| (none, "no key".to_owned())),
        ];
        (
            least.into_iter().flatten().max_by_key(|(count, _)| *count),
            most.into_iter().flatten().min_by_key(|(count, _)| *count),
        )
    }

    fn judge(&self, tally: &Tally, keeper: &Keeper, judged: &mut Vec<Judged>) {
        let found = tally.findings;
        let mut counts = |words: &str, wanted: Option<u64>, met: fn(u64, u64) -> bool| {
            if let Some(wanted) = wanted {
                let expected = format!("{words} {}", counted(wanted, "finding"));
                judged.push(count(&self.rule, &expected, found, met(found, wanted)));
            }
        };
        counts("exactly", self.findings, |found, wanted| found == wanted);
        counts("at least", self.at_least, |found, wanted| found >= wanted);
        counts("at most", self.at_most, |found, wanted| found <= wanted);
        if let Some(keys) = &self.keys {
            judged.push(self.judge_keys(keys, tally, keeper));
        }
    }

    fn judge_keys(&self, keys: &[Vec<String>], tally: &Tally, keeper: &Keeper) -> Judged {
        let wanted: BTreeSet<String> = keys.iter().map(|key| key_text(key)).collect();
        let found = tally.keys.keys();
        let found: BTreeSet<String> = found
            .map(|key| keeper.texts.text(*key).to_owned())
            .collect();
        let mut failures = Vec::new();
        for (words, these, those) in [("lacks", &wanted, &found), ("also has", &found, &wanted)] {
            let differing: Vec<&String> = these.difference(those).collect();
            if differing.is_empty() {
                continue;
            }
            let named = differing.iter().take(KEYS_NAMED_MAX);
            let named: Vec<String> = named.map(|key| shown(key)).collect();
            let more = differing.len().saturating_sub(KEYS_NAMED_MAX);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            failures.push(format!("{words} {}{more}", named.join(", ")));
        }
        Judged {
            rule: self.rule.clone(),
            expected: format!("exactly the {} given", counted(wanted.len() as u64, "key")),
            failure: (!failures.is_empty()).then(|| failures.join("; ")),
        }
    }
}

fn shown(key: &str) -> String {
    format!("`{}`", key_parts(key).join(" | "))
}

#[cfg(test)]
mod tests {
    use super::Expectations;

    #[test]
    fn what_can_be_met_is_read() {
        for text in [
            "others = 'none'",
            "[[expect]]\nrule = 'a'\nat_least = 2\nat_most = 2\nfindings = 2\nkeys = [['x'], ['y'], ['x']]\n",
            "[[expect]]\nrule = 'a'\nfindings = 0\nkeys = []\n",
            "[[expect]]\nrule = 'a'\nat_least = 2\n[[expect]]\nrule = 'a'\nat_most = 2\n",
            "[[expect]]\nrule = 'a'\nkeys = [['x'], ['y']]\n[[expect]]\nrule = 'a'\nkeys = [['y'], ['x']]\nfindings = 2\n",
            "[[expect]]\nrule = 'a'\nfindings = 1\n[[expect]]\nrule = 'b'\nfindings = 2\n",
        ] {
            Expectations::read("e.toml", text).expect(text);
        }
    }

    #[test]
    fn mistakes_are_refused() {
        let check = |text: &str, expected: &str| {
            let error = Expectations::read("e.toml", text).expect_err(text);
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(
            "[[expect]]\nrule = 'a'\nfindigs = 1\n",
            "unknown field `findigs`",
        );
        check("[[expect]]\nrule = 'a'\n", "says nothing");
        check("{\"expect\": [{\"rule\": 1}]}", "expected a string");
        check("", "expects nothing");
        check("{}", "expects nothing");
        check("expect = []\nothers = 'any'\n", "expects nothing");
        let twice = |said: &str| {
            format!("[[expect]]\nrule = 'a'\nfindings = 1\n[[expect]]\nrule = 'b'\n{said}\n")
        };
        for (said, reason) in [
            (
                "at_least = 3\nat_most = 2",
                "at_least = 3 and at_most = 2 exclude each other",
            ),
            (
                "findings = 1\nat_least = 2",
                "at_least = 2 and findings = 1 exclude each other",
            ),
            (
                "findings = 3\nat_most = 2",
                "findings = 3 and at_most = 2 exclude each other",
            ),
            (
                "findings = 1\nkeys = [['x'], ['y']]",
                "2 keys and findings = 1 exclude each other",
            ),
            (
                "at_least = 1\nkeys = []",
                "at_least = 1 and no key exclude each other",
            ),
        ] {
            check(
                &twice(said),
                &format!("e.toml: expectation 2, of `b`, can never be met: {reason}"),
            );
        }
        let together = |first: &str, second: &str| {
            format!("[[expect]]\nrule = 'a'\n{first}\n[[expect]]\nrule = 'a'\n{second}\n")
        };
        for (first, second, reason) in [
            (
                "findings = 1",
                "findings = 2",
                "findings = 2 and findings = 1 exclude each other",
            ),
            (
                "at_least = 3",
                "at_most = 2",
                "at_least = 3 and at_most = 2 exclude each other",
            ),
            (
                "at_most = 1",
                "keys = [['x'], ['y']]",
                "2 keys and at_most = 1 exclude each other",
            ),
            (
                "keys = [['x']]",
                "keys = [['y']]",
                "a finding has one of the keys there or of those here, not both",
            ),
        ] {
            check(
                &together(first, second),
                &format!(
                    "e.toml: expectation 2, of `a`, can never be met: expectation 1 is of this rule too: {reason}"
                ),
            );
        }
        check("others = 'some'", "unknown variant");
        check("[[expect]]\nrule = 'a'\nfindings = -1\n", "e.toml");
    }
}
