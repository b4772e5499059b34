//! What generated sets and measures must be.

use super::trial::{Trial, best, within};
use super::{Found, Kind, Label, Profile, Set, breakdown, generate, measure};

/// The sum of a span, of calls or errors.
fn sum(set: &Set, label: &Label) -> u64 {
    let span = (label.start - set.begin) as usize..(label.end - set.begin) as usize;
    let counts = set.counts[label.key][span].iter();
    counts
        .map(|(calls, errors)| {
            u64::from(if label.kind.is_error() {
                *errors
            } else {
                *calls
            })
        })
        .sum()
}

#[test]
fn a_set_is_what_its_seed_says() {
    let set = generate(7, Profile::Small);
    assert_eq!(set, generate(7, Profile::Small));
    assert_ne!(set.counts, generate(8, Profile::Small).counts);
    assert_eq!(
        (set.keys.len(), set.counts.len(), set.gaps.len()),
        (20, 20, 3)
    );
    assert!(set.labels.len() > 40, "{}", set.labels.len());
    for label in &set.labels {
        assert!(
            label.start >= set.warm_until && label.start < label.end && label.end < set.end,
            "{label:?}"
        );
        assert!(label.grace_end >= label.end, "{label:?}");
        let there = sum(&set, label);
        let added = u64::try_from(label.excess).unwrap_or(0);
        assert!(there >= added, "{label:?} has {there}");
    }
    for (calls, errors) in set.counts.iter().flatten() {
        assert!(errors <= calls);
    }
    for (from, until) in &set.gaps {
        let span = (from - set.begin) as usize..(until - set.begin) as usize;
        assert!(
            set.counts
                .iter()
                .all(|counts| counts[span.clone()].iter().all(|count| count.0 == 0))
        );
    }
}

#[test]
fn a_full_set_has_all_kinds() {
    let set = generate(3, Profile::Full);
    let kinds = breakdown(&set, &measure(&set, &[], 0.0));
    assert_eq!(kinds.len(), Kind::ALL.len(), "{kinds:?}");
    assert!(
        (150..300).contains(&set.labels.len()),
        "{}",
        set.labels.len()
    );
    assert!(!set.ignored.is_empty());
}

/// Two keys, three labels, one gap.
fn little() -> Set {
    let label = |key, kind, start, end| Label {
        key,
        kind,
        start,
        end,
        grace_end: end + 60,
        excess: 9,
        ratio: 2.0,
    };
    let key = |name: &str| super::Key {
        name: name.to_owned(),
        class: "low",
    };
    Set {
        begin: 0,
        warm_until: 10_000,
        end: 30_160,
        keys: vec![key("a"), key("b")],
        labels: vec![
            label(0, Kind::Spike, 12_000, 12_003),
            label(0, Kind::Slow, 15_000, 15_300),
            label(1, Kind::NewError, 12_000, 12_010),
        ],
        gaps: vec![(20_000, 20_030)],
        ignored: vec![(1, (25_000, 26_000))],
        ..Set::default()
    }
}

/// Hits, false alarms, repeats and ignored of finds, each of key, start, and minute of decision.
fn check(finds: &[(usize, u32, u32)], wanted: (usize, usize, usize, usize)) {
    let found = |(key, start, detected_at): &(usize, u32, u32)| Found {
        key: *key,
        start: *start,
        detected_at: *detected_at,
        score: 3.0,
    };
    let found = finds.iter().map(found).collect::<Vec<_>>();
    let measure = measure(&little(), &found, 0.0);
    let counted = (
        measure.hits.len(),
        measure.false_alarms.len(),
        measure.repeats,
        measure.ignored,
    );
    assert_eq!(counted, wanted, "{finds:?}");
}

#[test]
fn finds_are_hits_repeats_ignored_or_false() {
    check(&[(0, 11_995, 12_000)], (1, 0, 0, 0));
    check(&[(0, 11_994, 12_000)], (0, 1, 0, 0));
    check(&[(0, 12_000, 12_013)], (1, 0, 0, 0));
    check(&[(0, 12_000, 12_014)], (0, 0, 1, 0));
    check(&[(0, 12_000, 12_001), (0, 12_002, 12_005)], (1, 0, 1, 0));
    check(&[(0, 12_062, 12_070), (0, 12_063, 12_070)], (0, 1, 1, 0));
    check(&[(1, 15_000, 15_001)], (0, 1, 0, 0));
    check(&[(0, 9000, 9999), (0, 9000, 10_000)], (0, 1, 0, 1));
    check(&[(1, 25_999, 26_010), (0, 25_999, 26_010)], (0, 1, 0, 1));
    check(&[(1, 20_044, 20_050), (1, 20_045, 20_050)], (0, 1, 0, 1));
}

#[test]
fn thresholds_trade_recall_for_precision() {
    let set = little();
    let find = |key, start, score| Found {
        key,
        start,
        detected_at: start + 4,
        score,
    };
    let found = [
        find(0, 12_000, 9.0),
        find(0, 15_100, 4.0),
        find(1, 14_000, 5.0),
        find(1, 12_000, 2.0),
    ];
    let at = |threshold: f64| {
        let mut trial = Trial {
            threshold,
            ..Trial::default()
        };
        trial.add(&set, &measure(&set, &found, threshold));
        trial
    };
    let trials = [9.0, 5.0, 4.0, 2.0].map(at);
    let top = best(&trials).expect("there are trials");
    assert_eq!(
        (top.threshold, top.precision(), top.recall()),
        (2.0, 0.75, 1.0)
    );
    assert_eq!((top.delay(0.5), top.delay(0.9)), (Some(5), Some(105)));
    let strict = within(&trials, 0.1).expect("there is a threshold");
    assert_eq!((strict.threshold, strict.recall()), (9.0, 1.0 / 3.0));
    let loose = within(&trials, 0.5).expect("there is a threshold");
    assert_eq!((loose.threshold, loose.recall()), (2.0, 1.0));
    assert!(best(&[]).is_none() && within(&trials, -1.0).is_none());
}
