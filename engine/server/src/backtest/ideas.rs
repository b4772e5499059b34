//! Ideas for exceptions, from the traits of findings that nobody wants.
//!
//! An idea is one field with its value, the network of several addresses, or who acted together with one more field:
//! what a person would write by hand and can judge at a glance. Whether it helps is for others to find out.

use super::keep::Keeper;
use super::traits::{ADDRESSES, PATHS, value_at};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::{File, load};

/// Ideas that are tried for a rule on its findings.
const TRIED_MAX: usize = 64;

/// Number of the fields that name who acted, first among the paths.
pub(super) const ACTORS: usize = 6;

/// An idea for an exception.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Idea {
    /// The fewer fields, and the earlier among the paths, the better.
    pub(super) rank: (usize, usize),
    pub(super) when: String,
}

/// What the traits of unwanted findings suggest, best first.
pub(super) fn ideas(traits: &[Value]) -> Vec<Idea> {
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

/// Evaluates each idea on `all` traits, and says which it excuses. One that is no sound CEL excuses
/// nothing.
pub(super) fn try_out(
    ideas: &[Idea],
    all: impl Iterator<Item = u32>,
    keeper: &Keeper,
) -> Vec<Vec<u32>> {
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
    let mut covers = vec![Vec::new(); ideas.len()];
    let (mut parser, mut evaluator) = (Parser::new(), Evaluator::new(&rules));
    for traits in all {
        let Ok(document) = parser.parse(keeper.texts.text(traits).as_bytes()) else {
            continue;
        };
        for rule in evaluator.evaluate(&Event::new(document)).matched {
            if let Some(idea) = numbers[rule.0 as usize] {
                covers[idea].push(traits);
            }
        }
    }
    covers
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
