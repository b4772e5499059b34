//! New, gone and changed findings between two versions of the rules.
//!
//! The identity of a finding is its rule, event and key; never its rule's version, which every edit changes. What is
//! found for the same rule and event under another key is a change of the key. Works on sorted numbers, so that
//! millions of findings need little more memory than they take already.

use super::keep::{EventName, KeptFinding};
use std::cmp::Ordering;

/// What differs between two findings of one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    Severity,
    Title,
    Count,
    Key,
}

impl Difference {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Title => "title",
            Self::Count => "count",
            Self::Key => "key",
        }
    }
}

/// Findings by what became of them; numbers of findings, in input order.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) new: Vec<u32>,
    pub(crate) gone: Vec<u32>,
    /// Before and now.
    pub(crate) changed: Vec<(u32, u32)>,
    pub(crate) same: u64,
}

type Identity = (u32, EventName, u32);

/// Compares. Rules are told by `names`: for each side, the number of a rule's id by the number of the rule.
pub(crate) fn compare(
    (now, now_names): (&[KeptFinding], &[u32]),
    (before, before_names): (&[KeptFinding], &[u32]),
) -> Comparison {
    let of_now = |at: u32| identity(&now[at as usize], now_names);
    let of_before = |at: u32| identity(&before[at as usize], before_names);
    let mut pairs = Vec::new();
    let (rest_now, rest_before) = pair(
        (0..now.len() as u32).collect(),
        (0..before.len() as u32).collect(),
        (&of_now, &of_before),
        &mut pairs,
    );
    let without_key = |(rule, event, _): Identity| (rule, event, 0);
    let (mut new, mut gone) = pair(
        rest_now,
        rest_before,
        (&|at| without_key(of_now(at)), &|at| {
            without_key(of_before(at))
        }),
        &mut pairs,
    );
    new.sort_unstable();
    gone.sort_unstable();
    pairs.sort_unstable();
    let mut comparison = Comparison {
        new,
        gone,
        ..Comparison::default()
    };
    for (now_at, before_at) in pairs {
        let (one, other) = (&now[now_at as usize], &before[before_at as usize]);
        if differences(other, one).is_empty() {
            comparison.same += 1;
        } else {
            comparison.changed.push((before_at, now_at));
        }
    }
    comparison
}

fn identity(finding: &KeptFinding, names: &[u32]) -> Identity {
    (names[finding.rule as usize], finding.event, finding.key)
}

/// Pairs what has the same identity, in input order, and gives what is left of both.
fn pair(
    mut now: Vec<u32>,
    mut before: Vec<u32>,
    (of_now, of_before): (&dyn Fn(u32) -> Identity, &dyn Fn(u32) -> Identity),
    pairs: &mut Vec<(u32, u32)>,
) -> (Vec<u32>, Vec<u32>) {
    now.sort_unstable_by_key(|at| (of_now(*at), *at));
    before.sort_unstable_by_key(|at| (of_before(*at), *at));
    let (mut new, mut gone) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (now.into_iter().peekable(), before.into_iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return (new, gone),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => of_now(*one).cmp(&of_before(*other)),
        };
        match order {
            Ordering::Less => new.extend(left.next()),
            Ordering::Greater => gone.extend(right.next()),
            Ordering::Equal => pairs.extend(left.next().zip(right.next())),
        }
    }
}

/// What differs.
pub(crate) fn differences(before: &KeptFinding, now: &KeptFinding) -> Vec<Difference> {
    let all = [
        (before.severity != now.severity, Difference::Severity),
        (before.title != now.title, Difference::Title),
        (before.count != now.count, Difference::Count),
        (before.key != now.key, Difference::Key),
    ];
    let differing = all.into_iter().filter(|(differs, _)| *differs);
    differing.map(|(_, difference)| difference).collect()
}

#[cfg(test)]
mod tests {
    use super::{Difference, compare, differences};
    use crate::backtest::keep::{EventName, KeptFinding};
    use tripline_core::rule::Severity;

    fn finding(rule: u32, event: u128, key: u32, title: u32) -> KeptFinding {
        KeptFinding {
            event: EventName::Uuid(event),
            finding_id: 0,
            seconds: None,
            position: 1,
            count: 1,
            rule,
            key,
            title,
            file: 0,
            traits: 0,
            severity: Severity::Low,
        }
    }

    #[test]
    fn findings_are_paired_by_rule_event_and_key() {
        let now = [
            finding(0, 3, 1, 0),
            finding(0, 1, 1, 0),
            finding(0, 2, 1, 9),
            finding(1, 4, 2, 0),
        ];
        let before = [
            finding(1, 1, 1, 0),
            finding(1, 2, 1, 0),
            finding(0, 4, 1, 0),
            finding(1, 9, 1, 0),
        ];
        let compared = compare((&now, &[0, 1]), (&before, &[1, 0]));
        assert_eq!(compared.new, [0]);
        assert_eq!(compared.gone, [3]);
        assert_eq!(compared.changed, [(1, 2), (2, 3)]);
        assert_eq!(compared.same, 1);
        assert_eq!(differences(&before[1], &now[2]), [Difference::Title]);
        assert_eq!(differences(&before[2], &now[3]), [Difference::Key]);
    }

    #[test]
    fn the_same_finding_twice_is_two() {
        let (one, two) = (finding(0, 1, 1, 0), finding(0, 1, 1, 0));
        let compared = compare((&[one, two], &[0]), (&[one], &[0]));
        assert_eq!((compared.same, compared.new.len()), (1, 1));
    }
}
