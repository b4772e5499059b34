//! What is found in order is what the words of the documentation say, worked out again from all events at once.

use super::world::{Drawn, Run, at, config, found, in_order, rule, rule_set, stream};
use proptest::prelude::*;

/// A finding as the oracle tells it: time in seconds, user, and name of the event.
type Told = (i64, String, String);

/// An event in the order of time and name.
#[derive(Clone, Debug)]
struct Seen {
    at: i64,
    id: String,
    kind: &'static str,
    user: &'static str,
    host: &'static str,
}

fn seen(drawn: &[Drawn]) -> Vec<Seen> {
    let of_one = |(number, one): (usize, &Drawn)| Seen {
        at: one.at,
        id: Drawn::id(number),
        kind: one.kind,
        user: one.user,
        host: one.host,
    };
    let mut all: Vec<Seen> = drawn.iter().enumerate().map(of_one).collect();
    all.sort_by(|left, right| (left.at, &left.id).cmp(&(right.at, &right.id)));
    all
}

fn users(all: &[Seen]) -> Vec<Vec<Seen>> {
    let of_user = |user: &&str| {
        all.iter()
            .filter(|one| one.user == *user)
            .cloned()
            .collect()
    };
    ["u1", "u2", "u3"].iter().map(of_user).collect()
}

fn told(seen: &Seen, at: i64) -> Told {
    (at, seen.user.to_owned(), seen.id.clone())
}

/// What the engine finds, told as the oracle does.
fn engine(body: &str, drawn: &[Drawn]) -> Vec<Told> {
    let set = rule_set(&[rule("probe", &format!("group_by = ['event.user']\n{body}"))]);
    let found = found(&set, &in_order(drawn)).into_iter().map(|told| {
        let pattern = told.finding.pattern.expect("a rule that remembers");
        let time: jiff::Timestamp = pattern.end.parse().expect("a time");
        let start = at(0).to_timestamp();
        (
            time.as_second() - start.as_second(),
            pattern.group.concat(),
            told.finding.event_id,
        )
    });
    let mut found: Vec<Told> = found.collect();
    found.sort();
    found
}

fn same(body: &str, drawn: &[Drawn], mut expected: Vec<Told>) -> Result<(), TestCaseError> {
    expected.sort();
    prop_assert_eq!(engine(body, drawn), expected, "{}", body);
    Ok(())
}

/// A threshold holds at an event when the window that ends there has enough; it fires when it did not hold at the
/// event before, or when that one is no longer in the window.
fn threshold(all: &[Seen], window: i64, least: usize, distinct: bool) -> Vec<Told> {
    let mut expected = Vec::new();
    for own in users(all) {
        let mut held_at = None;
        for (number, one) in own.iter().enumerate() {
            let within = own[..=number]
                .iter()
                .filter(|other| other.at > one.at - window);
            let count = if distinct {
                within
                    .map(|other| other.host)
                    .collect::<std::collections::BTreeSet<_>>()
                    .len()
            } else {
                within.count()
            };
            let held = held_at.is_some_and(|held: i64| held > one.at - window);
            if count >= least && !held {
                expected.push(told(one, one.at));
            }
            held_at = (count >= least).then_some(one.at);
        }
    }
    expected
}

fn first_seen(all: &[Seen], history: i64, learning: i64) -> Vec<Told> {
    let began = all.iter().map(|one| one.at).min().unwrap_or(0);
    let mut expected = Vec::new();
    for own in users(all) {
        for (number, one) in own.iter().enumerate() {
            let before = &own[..number];
            let known = before
                .iter()
                .any(|other| other.host == one.host && other.at > one.at - history);
            if !known && one.at >= began + learning {
                expected.push(told(one, one.at));
            }
        }
    }
    expected
}

fn absence(all: &[Seen], within: i64) -> Vec<Told> {
    let mut expected = Vec::new();
    for own in users(all) {
        for one in own.iter().filter(|one| one.kind == "a") {
            let followed = own.iter().any(|other| {
                other.kind == "b"
                    && other.host == one.host
                    && (one.at..one.at + within).contains(&other.at)
            });
            if !followed {
                expected.push(told(one, one.at + within));
            }
        }
    }
    expected
}

/// An a counts when no c is less than `within` before or after it. With a b within the time the earliest that are enough
/// are told, when their time is up; then all begins anew.
fn temporal_without(all: &[Seen], within: i64, first: usize) -> Vec<Told> {
    let mut expected = Vec::new();
    for mut own in users(all) {
        own.sort_by(|left, right| {
            (left.at, left.kind, &left.id).cmp(&(right.at, right.kind, &right.id))
        });
        let undoes = |one: &Seen| {
            let mut cs = own.iter().filter(|other| other.kind == "c");
            cs.any(|other| (other.at - one.at).abs() < within)
        };
        let counts = |one: &&Seen| one.kind == "b" || one.kind == "a" && !undoes(one);
        let (mut firsts, mut second): (Vec<i64>, Option<i64>) = (Vec::new(), None);
        for one in own.iter().filter(counts) {
            firsts.retain(|at| *at > one.at - within);
            second = second.filter(|at| *at > one.at - within);
            match one.kind {
                "a" => firsts.push(one.at),
                _ => second = Some(one.at),
            }
            if let (Some(enough), Some(_)) = (firsts.get(first - 1), second) {
                expected.push(told(one, enough + within));
                (firsts, second) = (Vec::new(), None);
            }
        }
    }
    expected
}

/// `first` times a, then `second` times b. Between two b, the last a that ends such a row of a within the time
/// begins; what begins ends at the `second` b after it, if there is still time.
fn sequence(all: &[Seen], within: i64, first: usize, second: usize) -> Vec<Told> {
    let mut expected = Vec::new();
    for mut own in users(all) {
        // At the same time a comes before b.
        own.sort_by(|left, right| {
            (left.at, left.kind, &left.id).cmp(&(right.at, right.kind, &right.id))
        });
        let firsts: Vec<(usize, i64)> = own
            .iter()
            .enumerate()
            .filter(|(_, one)| one.kind == "a")
            .map(|(place, one)| (place, one.at))
            .collect();
        let begins = firsts.windows(first).filter_map(|row| {
            let (place, last) = row[first - 1];
            (row[0].1 > last - within).then_some((place, row[0].1))
        });
        let begins: Vec<(usize, i64)> = begins.collect();
        let seconds: Vec<usize> = (0..own.len()).filter(|at| own[*at].kind == "b").collect();
        for row in seconds.windows(second) {
            let number = seconds
                .iter()
                .position(|place| *place == row[0])
                .expect("among them");
            let from = number
                .checked_sub(1)
                .map_or(0, |before| seconds[before] + 1);
            let mut begun = begins
                .iter()
                .filter(|(place, _)| (from..row[0]).contains(place));
            let end = &own[row[second - 1]];
            if begun
                .next_back()
                .is_some_and(|(_, start)| *start > end.at - within)
            {
                expected.push(told(end, end.at));
            }
        }
    }
    expected
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn thresholds_are_as_documented(
        drawn in stream(150, 300),
        window in prop::sample::select(&[1i64, 7, 20, 90][..]),
        least in 1usize..6,
    ) {
        let all = seen(&drawn);
        let body = format!("when = 'true'\n[threshold]\nwindow = \"{window}s\"\nis = \">= {least}\"\n");
        same(&body, &drawn, threshold(&all, window, least, false))?;
        let body = format!("{body}measure = \"distinct\"\nof = 'event.host'\n");
        same(&body, &drawn, threshold(&all, window, least, true))?;
    }

    #[test]
    fn first_seen_is_as_documented(
        drawn in stream(150, 300),
        history in prop::sample::select(&[1i64, 10, 60, 900][..]),
        learning in prop::sample::select(&[0i64, 30, 200][..]),
    ) {
        let body = format!(
            "when = 'true'\n[first_seen]\nof = ['event.host']\nhistory = \"{history}s\"\n\
             learning = \"{learning}s\"\n"
        );
        same(&body, &drawn, first_seen(&seen(&drawn), history, learning))?;
    }

    #[test]
    fn absence_is_as_documented(
        drawn in stream(150, 300),
        within in prop::sample::select(&[1i64, 15, 120][..]),
    ) {
        let body = format!(
            "when = 'event.kind == \"a\"'\n[absence]\nwithin = \"{within}s\"\n\
             of = 'event.kind == \"b\" && event.host == step.start.host'\n"
        );
        same(&body, &drawn, absence(&seen(&drawn), within))?;
    }

    #[test]
    fn temporal_rules_with_without_are_as_documented(
        drawn in stream(150, 900),
        within in prop::sample::select(&[1i64, 8, 30, 120][..]),
        first in 1usize..4,
    ) {
        let body = format!(
            "[temporal]\nwithin = \"{within}s\"\nwithout = 'event.kind == \"c\"'\n\
             [[temporal.step]]\nname = \"one\"\nrepeat = {first}\nwhen = 'event.kind == \"a\"'\n\
             [[temporal.step]]\nname = \"two\"\nwhen = 'event.kind == \"b\"'\n"
        );
        same(&body, &drawn, temporal_without(&seen(&drawn), within, first))?;
    }

    #[test]
    fn sequences_are_as_documented(
        drawn in stream(150, 300),
        within in prop::sample::select(&[5i64, 40, 200][..]),
        first in 1usize..4,
        second in 1usize..5,
    ) {
        let body = format!(
            "[sequence]\nwithin = \"{within}s\"\n[[sequence.step]]\nname = \"one\"\nrepeat = {first}\n\
             when = 'event.kind == \"a\"'\n[[sequence.step]]\nname = \"two\"\nrepeat = {second}\n\
             when = 'event.kind == \"b\"'\n"
        );
        same(&body, &drawn, sequence(&seen(&drawn), within, first, second))?;
    }
}

/// Beginning a sequence again does not keep it from coming to its end.
#[test]
fn a_sequence_cannot_be_held_up() {
    let set = rule_set(&[rule(
        "probe",
        "[sequence]\nwithin = \"1h\"\n[[sequence.step]]\nname = \"one\"\nwhen = 'event.kind == \"a\"'\n\
         [[sequence.step]]\nname = \"two\"\nrepeat = 3\nwhen = 'event.kind == \"b\"'\n",
    )]);
    let mut run = Run::new(&set);
    for second in 0..20 {
        let kind = ["a", "b"][second as usize % 2];
        run.take(&format!(
            "{{\"eventID\":\"e{second}\",\"eventTime\":\"{}\",\"kind\":\"{kind}\"}}",
            at(second)
        ));
    }
    // Each of the ten beginnings but the last two is followed by three.
    assert_eq!(run.end().len(), 8);
}
