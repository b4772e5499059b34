//! The rule sets: `mixed`, and what is left of it without this and that.
//!
//! | share | mixed |
//! |---|---|
//! | 35 % | source + list of names + account + *not* ARN prefix |
//! | 20 % | source + name + ARN prefix |
//! | 15 % | list of names + identity type + region *not* in + list of accounts |
//! | 8 % | ARN prefix + list of error codes |
//! | 2 % | ARN prefix + error code exists + region |
//! | 8 % | source + account + wildcard on the user agent |
//! | 2 % | source + account + numeric range |
//! | 5 % | prefix of the address + readOnly + account |
//! | 3 % | wildcard on a request parameter |
//! | 2 % | element of a nested array + account |
//!
//! Each rule is drawn around an event of the sample: one of its values in three is that of the event (so that
//! rules speak of things that happen together), the others are any of the distinct values seen. Every
//! expression is distinct.

use std::collections::BTreeSet;

use serde_json::Value;
use tripline_core::sample::Random;

use crate::cel_text::{Dialect, cel_text};
use crate::rule::{Condition, Guard, Rule, Test};
use crate::vocabulary::{Vocabulary, principal, text};

/// Which set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// All of the table above.
    Mixed,
    /// Mixed, its wildcards replaced by prefixes and equalities.
    NoWildcards,
    /// No negations either, nor numbers, existence and arrays.
    Positive,
    /// Equalities and lists only.
    Exact,
}

impl Flavour {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mixed, Self::NoWildcards, Self::Positive, Self::Exact];

    /// Its name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::NoWildcards => "nowild",
            Self::Positive => "pos",
            Self::Exact => "exact",
        }
    }
}

/// Draws `count` distinct rules; a smaller set is a prefix of a larger one.
///
/// Gives fewer when the vocabulary does not have as many.
#[must_use]
pub fn rules(vocabulary: &Vocabulary, flavour: Flavour, count: usize, seed: u64) -> Vec<Rule> {
    let mut draw = Draw {
        vocabulary,
        flavour,
        random: Random::new(seed),
    };
    let mut seen = BTreeSet::new();
    let mut rules = Vec::with_capacity(count);
    for _ in 0..count.saturating_mul(20) {
        if rules.len() == count {
            break;
        }
        let Some(rule) = draw.rule() else { continue };
        if seen.insert(cel_text(&rule, Dialect::Standard)) {
            rules.push(rule);
        }
    }
    rules
}

struct Draw<'v> {
    vocabulary: &'v Vocabulary,
    flavour: Flavour,
    random: Random,
}

/// Request parameters that wildcards look at.
const PARAMETERS: [&[&str]; 9] = [
    &["requestParameters", "bucketName"],
    &["requestParameters", "queueUrl"],
    &["requestParameters", "functionName"],
    &["requestParameters", "secretId"],
    &["requestParameters", "roleName"],
    &["requestParameters", "logGroupName"],
    &["requestParameters", "roleArn"],
    &["requestParameters", "tableName"],
    &["requestParameters", "keyId"],
];

/// Numbers that ranges look at.
const NUMBERS: [&[&str]; 4] = [
    &["additionalEventData", "bytesTransferredOut"],
    &["requestParameters", "maxResults"],
    &["requestParameters", "limit"],
    &["requestParameters", "durationSeconds"],
];

/// Arrays whose elements are looked at, and where in the element.
const ARRAYS: [(&[&str], &[&str]); 5] = [
    (&["resources"], &["ARN"]),
    (
        &["requestParameters", "instancesSet", "items"],
        &["instanceId"],
    ),
    (
        &["requestParameters", "securityGroupIdSet", "items"],
        &["groupId"],
    ),
    (&["requestParameters", "volumeSet", "items"], &["volumeId"]),
    (&["requestParameters", "tags"], &["value"]),
];

const ARN: &[&str] = &["userIdentity", "arn"];

impl<'v> Draw<'v> {
    fn rule(&mut self) -> Option<Rule> {
        let share = self.random.below(100);
        let rich = matches!(self.flavour, Flavour::Mixed | Flavour::NoWildcards);
        let event = self.vocabulary.event(&mut self.random);
        let conditions = match share {
            0..35 => self.pair_and_account(event),
            35..55 => self.name_and_principal(event)?,
            55..70 => self.names_and_regions(event)?,
            70..72 if rich => self.principal_and_any_error(event)?,
            70..80 => self.principal_and_errors(event)?,
            80..82 if rich => self.account_and_number()?,
            80..90 => self.account_and_agent(event)?,
            90..95 => self.address(event)?,
            95..97 if rich => self.array()?,
            _ => self.parameter()?,
        };
        Some(Rule { conditions })
    }

    fn guard(&mut self) -> Guard {
        if self.random.below(2) == 0 {
            Guard::Has
        } else {
            Guard::Optional
        }
    }

    /// One value in three is that of an event which the rule is drawn around, the others are drawn from the
    /// distinct values, each as likely as the other.
    fn flat(&mut self) -> bool {
        self.random.below(3) > 0
    }

    fn pair(&mut self, event: &Value) -> (String, String) {
        let seen = text(event, &["eventSource"]).zip(text(event, &["eventName"]));
        match seen {
            Some((source, name)) if !self.flat() => (source.to_owned(), name.to_owned()),
            _ => self.random.one_of(&self.vocabulary.pairs).clone(),
        }
    }

    fn account(&mut self, event: &Value) -> String {
        match text(event, &["recipientAccountId"]) {
            Some(account) if !self.flat() => account.to_owned(),
            _ => self.random.one_of(&self.vocabulary.accounts).clone(),
        }
    }

    /// The ARN prefix of a principal, or the whole ARN where prefixes are not wanted.
    fn principal(&mut self, event: &Value) -> Option<Test> {
        if self.flavour == Flavour::Exact {
            return Some(one(text(event, ARN)?.to_owned()));
        }
        let own = principal(event).filter(|_| !self.flat());
        let drawn = own.unwrap_or_else(|| self.random.one_of(&self.vocabulary.principals).clone());
        Some(Test::Prefix(drawn))
    }

    /// Other names of the same source, at most two, beside this one.
    fn names(&mut self, source: &str, name: String) -> Vec<String> {
        let of_source: Vec<&String> = self
            .vocabulary
            .pairs
            .iter()
            .filter(|(other, _)| other == source)
            .map(|(_, name)| name)
            .collect();
        let mut names = vec![name];
        for _ in 0..1 + self.random.below(2) {
            let other = self.random.one_of(&of_source).to_string();
            if !names.contains(&other) {
                names.push(other);
            }
        }
        names
    }

    fn pair_and_account(&mut self, event: &Value) -> Vec<Condition> {
        let (source, name) = self.pair(event);
        let names = self.names(&source, name);
        let account = self.account(event);
        let mut conditions = vec![
            Condition::always(&["eventSource"], one(source)),
            Condition::always(&["eventName"], Test::OneOf(names)),
            Condition::always(&["recipientAccountId"], one(account)),
        ];
        if matches!(self.flavour, Flavour::Mixed | Flavour::NoWildcards) {
            let other = self.random.one_of(&self.vocabulary.principals).clone();
            let guard = self.guard();
            conditions.push(Condition::guarded(ARN, Test::Prefix(other), guard).negated());
        }
        conditions
    }

    fn name_and_principal(&mut self, event: &Value) -> Option<Vec<Condition>> {
        let (source, name) = self.pair(event);
        let principal = self.principal(event)?;
        let guard = self.guard();
        Some(vec![
            Condition::always(&["eventSource"], one(source)),
            Condition::always(&["eventName"], one(name)),
            Condition::guarded(ARN, principal, guard),
        ])
    }

    fn names_and_regions(&mut self, event: &Value) -> Option<Vec<Condition>> {
        let (source, name) = self.pair(event);
        let names = self.names(&source, name);
        let kind = text(event, &["userIdentity", "type"])?.to_owned();
        let mut accounts = vec![self.account(event)];
        accounts.push(self.random.one_of(&self.vocabulary.accounts).clone());
        accounts.dedup();
        let mut regions: Vec<String> = (0..2)
            .map(|_| self.random.one_of(&self.vocabulary.regions).clone())
            .collect();
        regions.dedup();
        let region = Condition::always(&["awsRegion"], Test::OneOf(regions));
        let negative = matches!(self.flavour, Flavour::Mixed | Flavour::NoWildcards);
        Some(vec![
            Condition::always(&["eventName"], Test::OneOf(names)),
            Condition::always(&["userIdentity", "type"], one(kind)),
            if negative { region.negated() } else { region },
            Condition::always(&["recipientAccountId"], Test::OneOf(accounts)),
        ])
    }

    fn principal_and_errors(&mut self, event: &Value) -> Option<Vec<Condition>> {
        let principal = self.principal(event)?;
        let mut codes: Vec<String> = (0..1 + self.random.below(3))
            .map(|_| self.random.one_of(&self.vocabulary.errors).clone())
            .collect();
        codes.sort_unstable();
        codes.dedup();
        let guard = self.guard();
        Some(vec![
            Condition::guarded(ARN, principal, guard),
            Condition::guarded(&["errorCode"], Test::OneOf(codes), guard),
        ])
    }

    fn principal_and_any_error(&mut self, event: &Value) -> Option<Vec<Condition>> {
        let principal = self.principal(event)?;
        let guard = self.guard();
        let region = self.random.one_of(&self.vocabulary.regions).clone();
        Some(vec![
            Condition::guarded(ARN, principal, guard),
            Condition::guarded(&["errorCode"], Test::Exists, Guard::Has),
            Condition::always(&["awsRegion"], one(region)),
        ])
    }

    fn account_and_agent(&mut self, event: &Value) -> Option<Vec<Condition>> {
        let (source, _) = self.pair(event);
        let account = self.account(event);
        let agent = self.random.one_of(&self.vocabulary.agents).clone();
        let test = match self.flavour {
            Flavour::Mixed => self.wildcard(&agent, 8)?,
            Flavour::NoWildcards | Flavour::Positive => Test::Prefix(part(&agent, 0, 16)?),
            Flavour::Exact => one(agent),
        };
        Some(vec![
            Condition::always(&["eventSource"], one(source)),
            Condition::always(&["recipientAccountId"], one(account)),
            Condition::always(&["userAgent"], test),
        ])
    }

    fn account_and_number(&mut self) -> Option<Vec<Condition>> {
        let (path, event) = self.found(&NUMBERS)?;
        let number = path
            .iter()
            .try_fold(event, |value, key| value.get(key))?
            .as_i64()?;
        let source = text(event, &["eventSource"])?.to_owned();
        let account = self.account(event);
        let width = i64::try_from(self.random.between(0, 200)).unwrap_or(0);
        let guard = self.guard();
        let range = Test::Between((number - width).max(0), number + width);
        Some(vec![
            Condition::always(&["eventSource"], one(source)),
            Condition::always(&["recipientAccountId"], one(account)),
            Condition::guarded(path, range, guard),
        ])
    }

    fn address(&mut self, event: &Value) -> Option<Vec<Condition>> {
        let address = text(event, &["sourceIPAddress"])?;
        let dots: Vec<usize> = address.match_indices('.').map(|(place, _)| place).collect();
        let test = match (self.flavour, dots.get(1)) {
            (Flavour::Exact, _) | (_, None) => one(address.to_owned()),
            (_, Some(second)) => Test::Prefix(address[..=*second].to_owned()),
        };
        let account = self.account(event);
        let read = self.random.below(2) == 0;
        let source = text(event, &["eventSource"])?.to_owned();
        let mut conditions = vec![
            Condition::always(&["sourceIPAddress"], test),
            Condition::always(&["readOnly"], Test::Is(read)),
            Condition::always(&["recipientAccountId"], one(account)),
        ];
        // Without it there are not enough distinct ones.
        if self.random.below(3) > 0 {
            conditions.push(Condition::always(&["eventSource"], one(source)));
        }
        Some(conditions)
    }

    fn parameter(&mut self) -> Option<Vec<Condition>> {
        let (path, event) = self.found(&PARAMETERS)?;
        let value = text(event, path)?.to_owned();
        let test = match self.flavour {
            Flavour::Mixed => self.wildcard(&value, 12)?,
            _ => one(value),
        };
        let guard = self.guard();
        Some(vec![Condition::guarded(path, test, guard)])
    }

    fn array(&mut self) -> Option<Vec<Condition>> {
        let paths = ARRAYS.map(|(path, _)| path);
        let (path, event) = self.found(&paths)?;
        let (_, inner) = ARRAYS.iter().find(|(other, _)| *other == path)?;
        let elements = path
            .iter()
            .try_fold(event, |value, key| value.get(key))?
            .as_array()?;
        let value = text(elements.first()?, inner)?.to_owned();
        let by_prefix = self.flavour == Flavour::Mixed && self.flat();
        let test = if by_prefix {
            Test::Prefix(part(&value, 0, 9)?)
        } else {
            one(value)
        };
        let account = self.account(event);
        Some(vec![
            Condition::always(&["recipientAccountId"], one(account)),
            Condition::guarded(path, Test::Any(inner, Box::new(test)), Guard::Has),
        ])
    }

    /// A path out of these, and an event of the sample that has it.
    fn found(
        &mut self,
        paths: &[&'static [&'static str]],
    ) -> Option<(&'static [&'static str], &'v Value)> {
        let path = *self.random.one_of(paths);
        let vocabulary = self.vocabulary;
        (0..200).find_map(|_| {
            let event = vocabulary.event(&mut self.random);
            let value = path.iter().try_fold(event, |value, key| value.get(key))?;
            (!value.is_null()).then_some((path, event))
        })
    }

    /// A wildcard that the text fits: half with one part of at least this length, the others with two.
    fn wildcard(&mut self, text: &str, least: u64) -> Option<Test> {
        let length = text.len() as u64;
        let width = self.random.between(least, least + 6).min(length);
        let width = usize::try_from(width).ok()?;
        let start = usize::try_from(self.random.below(length.saturating_sub(6) + 1)).ok()?;
        match self.random.below(4) {
            0 if text.len() >= 16 => Some(Test::Ends(
                part(text, 0, width)?,
                part(text, text.len() - 5, 5)?,
            )),
            1 if text.len() >= 24 => {
                let half = text.len() / 2;
                let first = part(text, start.min(half - 6), 6)?;
                Some(Test::Parts(first, part(text, half + (start % 4), 6)?))
            }
            _ => Some(Test::Contains(part(
                text,
                start.min(text.len() - width),
                width,
            )?)),
        }
    }
}

fn one(value: String) -> Test {
    Test::OneOf(vec![value])
}

fn part(text: &str, start: usize, length: usize) -> Option<String> {
    text.get(start..start + length.min(text.len() - start))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tripline_core::sample::{Generator, Options};

    fn vocabulary() -> Vocabulary {
        let options = Options {
            events: 1500,
            accounts: 40,
            ..Options::default()
        };
        let events: Vec<Vec<u8>> = Generator::new(&options)
            .map(|record| record.bytes)
            .collect();
        Vocabulary::gather(events.iter().map(Vec::as_slice))
    }

    #[test]
    fn sets_are_as_large_as_asked_for_and_prefixes_of_each_other() {
        let vocabulary = vocabulary();
        for flavour in Flavour::ALL {
            let many = rules(&vocabulary, flavour, 600, 1);
            assert_eq!(many.len(), 600, "{}", flavour.as_str());
            assert_eq!(rules(&vocabulary, flavour, 100, 1), many[..100]);
        }
    }

    #[test]
    fn exact_rules_hold_nothing_but_equalities() {
        for rule in rules(&vocabulary(), Flavour::Exact, 300, 2) {
            let exact = |condition: &Condition| {
                matches!(condition.test, Test::OneOf(_) | Test::Is(_))
                    && condition.expect == crate::rule::Expect::Pass
            };
            assert!(rule.conditions.iter().all(exact), "{rule:?}");
        }
    }
}
