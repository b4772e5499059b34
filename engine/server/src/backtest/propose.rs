//! Exceptions for what is noisy, each tried out before it is shown.
//!
//! A proposal is CEL on fields that tell findings apart (`traits`). It is evaluated, by the engine and not by
//! arithmetic, on the traits of every finding of its rule; one that excuses a finding labelled true is never shown.
//! Where nothing is labelled, what is noisy is a key with a good share of the findings; where false positives are,
//! it is these. Only for rules about single events: an exception of a rule that remembers changes what it counts, which
//! no look at its findings can tell. A proposal has no owner and no reason: `check` warns until a person gives them.

use super::keep::{Keeper, KeptFinding};
use super::labels::Truth;
use super::tally::Tally;
use super::traits::{ADDRESSES, PATHS, value_at};
use crate::terminal::{counted, grouped};
use crate::writing::stream;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use thiserror::Error;
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::{File, Rule, load};

/// Findings that an exception must remove when nothing is labelled; it must be worth a person's look.
const REMOVED_MIN: u64 = 5;
/// A key is noisy with this share of a rule's findings, in a hundred.
const NOISY_PERCENT: u64 = 20;
const PROPOSALS_PER_RULE: usize = 3;
/// Proposals that are tried for a rule.
const TRIED_MAX: usize = 64;
/// Different traits of a rule's findings that are looked at for ideas; all are looked at for trying.
const TRAITS_FOR_IDEAS_MAX: usize = 256;

/// Number of the fields that name who acted, first among the paths.
const ACTORS: usize = 6;

/// What came of looking for exceptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proposals {
    pub(crate) tried: Vec<Proposal>,
    /// Rules that are noisy and remember several events, for which no exception is looked for.
    pub(crate) remembering: Vec<String>,
}

/// An exception that was tried.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) rule: String,
    pub(crate) name: String,
    pub(crate) when: String,
    /// Findings that it removes: all, and those labelled false.
    pub(crate) removes: u64,
    pub(crate) removes_false: u64,
    /// Of so many findings.
    pub(crate) of: u64,
    /// Findings labelled true, all of which stay.
    pub(crate) keeps_true: u64,
}

/// Findings of a rule with the same traits.
#[derive(Clone, Copy, Debug, Default)]
struct Alike {
    findings: u64,
    labelled_true: u64,
    labelled_false: u64,
    /// Findings that somebody would rather not see.
    unwanted: u64,
}

/// An idea for an exception.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Idea {
    /// The fewer fields, and the earlier among the paths, the better.
    rank: (usize, usize),
    when: String,
}

/// Looks for exceptions.
pub(crate) fn propose(
    rules: &RuleSet,
    (keeper, findings): (&Keeper, &[KeptFinding]),
    tallies: &[Tally],
    said: &HashMap<u32, Truth>,
) -> Proposals {
    let mut of_rules: Vec<BTreeMap<u32, Alike>> = vec![BTreeMap::new(); tallies.len()];
    let mut labelled_false = vec![false; tallies.len()];
    for (place, finding) in (0u32..).zip(findings) {
        labelled_false[finding.rule as usize] |= said.get(&place) == Some(&Truth::False);
    }
    let noisy: Vec<BTreeSet<u32>> = tallies.iter().map(|one| noisy_keys(one, keeper)).collect();
    for (place, finding) in (0u32..).zip(findings) {
        let rule = finding.rule as usize;
        let alike = of_rules[rule].entry(finding.traits).or_default();
        let truth = said.get(&place);
        alike.findings += 1;
        alike.labelled_true += u64::from(truth == Some(&Truth::True));
        alike.labelled_false += u64::from(truth == Some(&Truth::False));
        alike.unwanted += u64::from(match labelled_false[rule] {
            true => truth == Some(&Truth::False),
            false => truth.is_none() && noisy[rule].contains(&finding.key),
        });
    }
    let mut proposals = Proposals::default();
    for (number, alike) in of_rules.iter().enumerate() {
        let rule = &rules.rules()[number].rule;
        if !alike.values().any(|one| one.unwanted > 0) {
            continue;
        }
        if rule.remembers() {
            proposals.remembering.push(rule.id.to_string());
            continue;
        }
        let least = if labelled_false[number] {
            1
        } else {
            REMOVED_MIN
        };
        proposals.tried.extend(of_rule(rule, alike, keeper, least));
    }
    proposals
}

fn noisy_keys(tally: &Tally, keeper: &Keeper) -> BTreeSet<u32> {
    let noisiest = tally.noisiest(keeper, 100 / NOISY_PERCENT as usize);
    let noisy = |count: u64| count >= REMOVED_MIN && count * 100 >= tally.findings * NOISY_PERCENT;
    let keys = noisiest.into_iter().filter(|(_, count)| noisy(*count));
    keys.map(|(key, _)| key).collect()
}

fn of_rule(
    rule: &Rule,
    alike: &BTreeMap<u32, Alike>,
    keeper: &Keeper,
    least: u64,
) -> Vec<Proposal> {
    let mut unwanted: Vec<(u32, &Alike)> =
        alike.iter().map(|(traits, one)| (*traits, one)).collect();
    unwanted.retain(|(_, one)| one.unwanted > 0);
    unwanted.sort_by_key(|(traits, one)| (std::cmp::Reverse(one.unwanted), *traits));
    unwanted.truncate(TRAITS_FOR_IDEAS_MAX);
    let traits: Vec<Value> = unwanted
        .iter()
        .filter_map(|(traits, _)| serde_json::from_str(keeper.texts.text(*traits)).ok())
        .collect();
    let ideas = ideas(&traits);
    let covers = try_out(&ideas, alike, keeper);
    let count = |covered: &BTreeSet<u32>, of: fn(&Alike) -> u64| -> u64 {
        covered.iter().map(|traits| of(&alike[traits])).sum()
    };
    let all: u64 = alike.values().map(|one| one.findings).sum();
    let keeps_true = alike.values().map(|one| one.labelled_true).sum();
    let mut tried: Vec<(Idea, BTreeSet<u32>)> = ideas.into_iter().zip(covers).collect();
    tried.retain(|(idea, covered)| {
        let removes = count(covered, |one| one.findings);
        // What is the same of all findings is the rule's business, unless it is who acted.
        let telling = removes < all || idea.rank.1 < ACTORS;
        count(covered, |one| one.labelled_true) == 0 && removes >= least && telling
    });
    let mut proposals: Vec<Proposal> = Vec::new();
    let mut excused: BTreeSet<u32> = BTreeSet::new();
    while proposals.len() < PROPOSALS_PER_RULE {
        let gain = |covered: &BTreeSet<u32>| -> u64 {
            let more = covered.difference(&excused);
            more.map(|traits| alike[traits].unwanted).sum()
        };
        let best = tried.iter().max_by_key(|(idea, covered)| {
            let others = count(covered, |one| one.findings - one.unwanted);
            (gain(covered), std::cmp::Reverse((others, idea)))
        });
        let Some((idea, covered)) = best else { break };
        if gain(covered) < least {
            break;
        }
        proposals.push(Proposal {
            rule: rule.id.to_string(),
            name: free_name(rule, &proposals),
            when: idea.when.clone(),
            removes: count(covered, |one| one.findings),
            removes_false: count(covered, |one| one.labelled_false),
            of: all,
            keeps_true,
        });
        excused.extend(covered);
    }
    proposals
}

fn free_name(rule: &Rule, proposals: &[Proposal]) -> String {
    let taken = |name: &String| {
        let own = rule.exceptions.iter().any(|one| one.name == *name);
        own || proposals.iter().any(|one| one.name == *name)
    };
    let mut names = (1..).map(|number| format!("proposed {number}"));
    names.find(|name| !taken(name)).unwrap_or_default()
}

/// What the traits of unwanted findings suggest, best first.
fn ideas(traits: &[Value]) -> Vec<Idea> {
    let mut ideas = BTreeSet::new();
    let mut networks: BTreeMap<(usize, String), BTreeSet<&str>> = BTreeMap::new();
    for one in traits {
        let values: Vec<(usize, &str)> = (0..)
            .zip(PATHS)
            .filter_map(|(at, path)| Some((at, value_at(one, path)?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        for (at, value) in &values {
            ideas.insert(Idea {
                rank: (1, *at),
                when: equals(*at, value),
            });
            if let Some(network) = network(*at, value) {
                networks.entry((*at, network)).or_default().insert(value);
            }
        }
        let who = values.iter().filter(|(at, _)| *at < ACTORS).take(1);
        for (actor, name) in who {
            for (at, value) in values.iter().filter(|(at, _)| *at >= ACTORS) {
                ideas.insert(Idea {
                    rank: (2, *actor),
                    when: format!("{}\n  && {}", equals(*actor, name), equals(*at, value)),
                });
            }
        }
    }
    for ((at, network), addresses) in networks {
        if addresses.len() > 1 {
            let field = field(at);
            ideas.insert(Idea {
                rank: (1, at),
                when: format!("cidr(\"{network}\").contains({field})"),
            });
        }
    }
    ideas.into_iter().take(TRIED_MAX).collect()
}

/// `event.?userIdentity.?arn.orValue("")`.
fn field(path: usize) -> String {
    format!("event.?{}.orValue(\"\")", PATHS[path].join(".?"))
}

fn equals(path: usize, value: &str) -> String {
    format!("{} == {}", field(path), cel_text(value))
}

/// A string as CEL. What does not print is written as escapes, so that nothing in the file is other than it looks.
fn cel_text(value: &str) -> String {
    let mut out = String::from("\"");
    for one in value.chars() {
        match one {
            '"' | '\\' => out.extend(['\\', one]),
            ' '..='~' => out.push(one),
            other if other.is_alphanumeric() => out.push(other),
            other => out.push_str(&format!("\\U{:08x}", u32::from(other))),
        }
    }
    out.push('"');
    out
}

/// The network around an address: /24, or /64 of IPv6.
fn network(path: usize, value: &str) -> Option<String> {
    if !ADDRESSES.contains(&PATHS[path]) {
        return None;
    }
    Some(match value.parse().ok()? {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            format!("{}/64", std::net::Ipv6Addr::from(network))
        }
    })
}

/// Evaluates each idea on the traits of all findings, and says which it excuses. One that is no sound CEL excuses
/// nothing.
fn try_out(ideas: &[Idea], alike: &BTreeMap<u32, Alike>, keeper: &Keeper) -> Vec<BTreeSet<u32>> {
    let files = ideas.iter().enumerate().map(|(number, idea)| {
        let when = toml::Value::from(idea.when.as_str());
        let text = format!(
            "id = \"idea-{number}\"\nname = \"Idea\"\ndescription = \"An idea.\"\nseverity = \"low\"\nstatus = \"experimental\"\nwhen = {when}\n"
        );
        File::found(format!("idea-{number}/rule.toml"), text)
    });
    let files: Vec<File> = files.collect();
    let (rules, _) = RuleSet::of_catalog(&load(&files, jiff::civil::Date::MIN));
    let numbers = rules.rules().iter().map(|one| {
        let id = one.rule.id.as_str();
        id.strip_prefix("idea-")
            .and_then(|number| number.parse().ok())
    });
    let numbers: Vec<Option<usize>> = numbers.collect();
    let mut covers = vec![BTreeSet::new(); ideas.len()];
    let (mut parser, mut evaluator) = (Parser::new(), Evaluator::new(&rules));
    for traits in alike.keys() {
        let Ok(document) = parser.parse(keeper.texts.text(*traits).as_bytes()) else {
            continue;
        };
        for rule in evaluator.evaluate(&Event::new(document)).matched {
            if let Some(idea) = numbers[rule.0 as usize] {
                covers[idea].insert(*traits);
            }
        }
    }
    covers
}

/// How every file of proposals begins.
const HEAD: &str = "# Exceptions proposed by `tripline backtest`, each tried on the findings of its rule. Look at each, take out what\n# you would rather see, and say who answers for it and why: `tripline check` warns of those that do not say.\n";

/// Why proposals are not written.
#[derive(Debug, Error)]
pub(crate) enum ProposeError {
    #[error(
        "--propose {path}: there is a file that no backtest wrote; name another, or move it away"
    )]
    Foreign { path: String },
    #[error(
        "--propose {path}: somebody answers for exceptions in this file; name another, or move it away"
    )]
    Answered { path: String },
    #[error("--propose {path}: there is a file that cannot be read; name another")]
    Unreadable { path: String, source: io::Error },
}

/// Whether proposals may be written at this path: where nothing is, or earlier proposals to which nobody has put an
/// owner or a reason yet.
pub(crate) fn may_be_written(path: &str) -> Result<(), ProposeError> {
    // Nothing is lost in a device or a stream, and reading one may take forever.
    if stream(path).is_some() || !std::fs::metadata(path).is_ok_and(|data| data.is_file()) {
        return Ok(());
    }
    let path = path.to_owned();
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(ProposeError::Unreadable { path, source }),
    };
    if !text.starts_with(HEAD.as_bytes()) {
        return Err(ProposeError::Foreign { path });
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(str::trim_start);
    if lines.any(|line| line.starts_with("owner") || line.starts_with("reason")) {
        return Err(ProposeError::Answered { path });
    }
    Ok(())
}

/// Proposals as a file of overrides.
pub(crate) fn to_toml(proposals: &[Proposal]) -> String {
    let mut out = String::from(HEAD);
    let mut rule = "";
    for proposal in proposals {
        if proposal.rule != rule {
            rule = &proposal.rule;
            out.push_str(&format!("\n[[override]]\nrule = \"{rule}\"\n"));
        }
        let when = if proposal.when.contains("'''") {
            toml::Value::from(proposal.when.as_str()).to_string()
        } else if proposal.when.contains('\n') {
            format!("'''\n{}\n'''", proposal.when)
        } else {
            toml::Value::from(proposal.when.as_str()).to_string()
        };
        out.push_str(&format!(
            "\n# {}\n[[override.exceptions]]\nname = \"{}\"\nwhen = {when}\n# owner = \"who answers for this\"\n# reason = \"why it is harmless\"\n",
            proposal.effect(),
            proposal.name
        ));
    }
    out
}

impl Proposal {
    /// What it does, in words.
    pub(crate) fn effect(&self) -> String {
        let mut out = format!(
            "Removes {} of {}",
            grouped(self.removes),
            counted(self.of, "finding")
        );
        if self.removes_false > 0 {
            out.push_str(&format!(", {} of them labelled false", self.removes_false));
        }
        if self.keeps_true > 0 {
            out.push_str(&format!("; keeps all {} labelled true", self.keeps_true));
        }
        out.push('.');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{cel_text, ideas, network};
    use serde_json::json;

    #[test]
    fn texts_become_cel() {
        assert_eq!(cel_text("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(cel_text("é\u{202e}\n'"), "\"é\\U0000202e\\U0000000a'\"");
    }

    #[test]
    fn addresses_have_networks() {
        assert_eq!(network(6, "192.0.2.77").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(network(6, "2001:db8::1").as_deref(), Some("2001:db8::/64"));
        assert_eq!(network(6, "s3.amazonaws.com"), None);
        assert_eq!(network(0, "192.0.2.77"), None);
    }

    #[test]
    fn ideas_are_single_fields_networks_and_pairs() {
        let traits = [
            json!({"userIdentity": {"arn": "a"}, "sourceIPAddress": "192.0.2.1"}),
            json!({"userIdentity": {"arn": "a"}, "sourceIPAddress": "192.0.2.2"}),
        ];
        let texts: Vec<String> = ideas(&traits).into_iter().map(|one| one.when).collect();
        assert!(
            texts[0].ends_with(".?arn.orValue(\"\") == \"a\""),
            "{texts:?}"
        );
        assert!(
            texts
                .iter()
                .any(|one| one.starts_with("cidr(\"192.0.2.0/24\")"))
        );
        assert_eq!(texts.iter().filter(|one| one.contains("&&")).count(), 2);
    }
}
