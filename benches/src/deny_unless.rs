//! Policies of the form "nobody may do this, unless": what is refused, and who or where it is let pass.
//!
//! Each is drawn around an event of the sample: one to three calls of one service, refused unless the principal begins
//! with a name, the region is one of some, or the account is one of some. Policies are neutral rules, true where they
//! refuse, and every one is distinct.

use std::collections::BTreeSet;

use serde_json::Value;
use tripline_core::sample::Random;

use crate::cel_text::{Dialect, cel_text};
use crate::rule::{Condition, Guard, Rule, Test};
use crate::vocabulary::{Vocabulary, principal, text};

/// Draws `count` distinct policies; a smaller set is a prefix of a larger one.
///
/// Gives fewer when the vocabulary does not have as many.
#[must_use]
pub fn policies(vocabulary: &Vocabulary, count: usize, seed: u64) -> Vec<Rule> {
    let mut random = Random::new(seed);
    let mut seen = BTreeSet::new();
    let mut policies = Vec::with_capacity(count);
    for _ in 0..count.saturating_mul(20) {
        if policies.len() == count {
            break;
        }
        let event = vocabulary.event(&mut random);
        let Some(policy) = policy(vocabulary, event, &mut random) else {
            continue;
        };
        if seen.insert(cel_text(&policy, Dialect::Standard)) {
            policies.push(policy);
        }
    }
    policies
}

fn policy(vocabulary: &Vocabulary, event: &Value, random: &mut Random) -> Option<Rule> {
    let source = text(event, &["eventSource"])?;
    let mut conditions = vec![
        Condition::always(&["eventSource"], Test::OneOf(vec![source.to_owned()])),
        Condition::always(
            &["eventName"],
            Test::OneOf(names(vocabulary, source, event, random)?),
        ),
    ];
    let form = random.below(4);
    if form == 0 || form == 3 {
        let who = principal(event).filter(|_| random.below(3) == 0);
        let who = who.unwrap_or_else(|| random.one_of(&vocabulary.principals).clone());
        let guard = match random.below(2) {
            0 => Guard::Has,
            _ => Guard::Optional,
        };
        let begins = Condition::guarded(&["userIdentity", "arn"], Test::Prefix(who), guard);
        conditions.push(begins.negated());
    }
    if form == 1 || form == 3 {
        let regions = Test::OneOf(some(&vocabulary.regions, random));
        conditions.push(Condition::always(&["awsRegion"], regions).negated());
    }
    if form == 2 {
        let accounts = Test::OneOf(some(&vocabulary.accounts, random));
        conditions.push(Condition::always(&["recipientAccountId"], accounts).negated());
    }
    Some(Rule { conditions })
}

/// The call of the event, and up to two others of its service.
fn names(
    vocabulary: &Vocabulary,
    source: &str,
    event: &Value,
    random: &mut Random,
) -> Option<Vec<String>> {
    let of_source = vocabulary.pairs.iter().filter(|(one, _)| one == source);
    let of_source: Vec<&String> = of_source.map(|(_, name)| name).collect();
    let mut names = vec![text(event, &["eventName"])?.to_owned()];
    for _ in 0..random.below(3) {
        let other = random.one_of(&of_source).to_string();
        if !names.contains(&other) {
            names.push(other);
        }
    }
    Some(names)
}

/// Two or three of them.
fn some(all: &[String], random: &mut Random) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    for _ in 0..2 + random.below(2) {
        let one = random.one_of(all);
        if !chosen.contains(one) {
            chosen.push(one.clone());
        }
    }
    chosen
}
