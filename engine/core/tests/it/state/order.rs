//! What is found does not depend on the order in which events come, nor on how often time goes on.

use super::rules::everything;
use super::world::{Run, as_they_come, config, found, in_order, rule_set, sorted, stream};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn every_order_within_lateness_finds_the_same(
        rules in everything(),
        drawn in stream(120, 400),
        advances in prop::collection::vec(any::<bool>(), 240),
    ) {
        let set = rule_set(&rules);
        let expected = found(&set, &in_order(&drawn));
        let mut run = Run::new(&set);
        for (arrival, advances) in as_they_come(&drawn).iter().zip(&advances) {
            run.take(&arrival.text);
            if *advances {
                run.advance();
            }
        }
        let counters = run.state.counters();
        let actual = run.end();
        prop_assert_eq!(counters.late(), 0);
        prop_assert_eq!(&actual, &expected);

        // All at once, the newest first.
        let mut run = Run::new(&set);
        for arrival in as_they_come(&drawn).iter().rev() {
            run.take(&arrival.text);
        }
        prop_assert_eq!(&run.end(), &expected);
    }
}

/// The streams above would prove nothing if nothing were found in them.
#[test]
fn every_kind_finds_something_in_such_streams() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen: std::collections::BTreeMap<String, u64> = Default::default();
    for _ in 0..12 {
        let drawn = (everything(), stream(120, 400)).new_tree(&mut runner);
        let (rules, drawn) = drawn.expect("a case").current();
        let set = rule_set(&rules);
        for told in sorted(found(&set, &in_order(&drawn))) {
            *seen.entry(told.finding.rule_id).or_default() += 1;
            let counted = u64::from(told.finding.suppressed.is_some());
            *seen.entry("suppressed".to_owned()).or_default() += counted;
        }
    }
    for id in [
        "kind-threshold",
        "kind-sequence",
        "temporal",
        "kind-absence",
        "kind-first-seen",
        "kind-rare",
        "risk",
        "fed",
        "fed-sequence",
        "plain",
        "asks",
        "kind-asks",
        "suppressed",
    ] {
        assert!(seen.get(id).copied().unwrap_or(0) >= 2, "{id}: {seen:?}");
    }
}
