//! A run that is cut and goes on from its snapshot finds what an uninterrupted one finds.

use super::rules::everything;
use super::world::{Run, as_they_come, config, found, in_order, rule_set, sorted, stream};
use proptest::prelude::*;
use tripline_core::state::{Kept, SnapshotFault, State, StateSettings};
use tripline_core::wire::snapshot;

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn a_restart_changes_nothing(
        rules in everything(),
        drawn in stream(120, 400),
        advances in prop::collection::vec(any::<bool>(), 240),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40), 1..4),
    ) {
        let set = rule_set(&rules);
        let expected = found(&set, &in_order(&drawn));
        let arrivals = as_they_come(&drawn);
        let cuts: std::collections::BTreeMap<usize, usize> = cuts
            .into_iter()
            .map(|(at, overlap)| (at.index(arrivals.len()), overlap))
            .collect();
        let (mut run, mut told) = (Run::new(&set), Vec::new());
        for (number, arrival) in arrivals.iter().enumerate() {
            run.take(&arrival.text);
            if advances[number] {
                run.advance();
            }
            let Some(overlap) = cuts.get(&number) else { continue };
            told.extend(run.state.take_told());
            told.append(&mut run.told);
            let bytes = run.state.snapshot("here").expect("written");
            let mut next = Run::new(&set);
            let restored = next.state.restore(&bytes).expect("read");
            prop_assert_eq!(restored.note, "here");
            prop_assert!(restored.rules.iter().all(|(_, kept)| *kept == Kept::Kept));
            prop_assert_eq!(next.state.snapshot("here").expect("written"), bytes);
            prop_assert_eq!(next.state.counters().pending_bytes, run.state.counters().pending_bytes);
            next.newest = run.newest;
            run = next;
            // What the source gives once more, as nobody told it where to go on.
            for seen in &arrivals[(number + 1).saturating_sub(*overlap)..=number] {
                run.take(&seen.text);
            }
        }
        told.extend(run.end());
        prop_assert_eq!(sorted(told), expected);
    }
}

proptest! {
    #![proptest_config(config(6))]

    /// Damage is refused. What somebody made on purpose, with the right checksum, may be refused or read; it does not
    /// bring the program down.
    #[test]
    fn damaged_snapshots_are_refused(
        rules in everything(),
        drawn in stream(60, 200),
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 40),
    ) {
        let set = rule_set(&rules);
        let mut run = Run::new(&set);
        for arrival in as_they_come(&drawn) {
            run.take(&arrival.text);
        }
        run.advance();
        let sound = run.state.snapshot("").expect("written");
        let payload = snapshot::open(&sound).expect("sound").to_vec();
        for (at, byte) in at {
            let cut = &sound[..at.index(sound.len())];
            let mut state = State::new(&set, StateSettings::default());
            prop_assert!(matches!(state.restore(cut), Err(SnapshotFault::Envelope(_))));
            let mut flipped = sound.clone();
            flipped[at.index(sound.len())] ^= byte.max(1);
            prop_assert!(matches!(state.restore(&flipped), Err(SnapshotFault::Envelope(_))));
            let untouched = State::new(&set, StateSettings::default());
            prop_assert_eq!(state.snapshot("").expect("written"), untouched.snapshot("").expect("written"));

            let mut made = payload.clone();
            made[at.index(payload.len())] ^= byte.max(1);
            let mut made_run = Run::new(&set);
            let _ = made_run.state.restore(&snapshot::seal([snapshot::begin(), made].concat()));
            let short = payload[..at.index(payload.len())].to_vec();
            let short = snapshot::seal([snapshot::begin(), short].concat());
            prop_assert!(matches!(state.restore(&short), Err(SnapshotFault::Content(_))));
            for arrival in in_order(&drawn) {
                made_run.take(&arrival.text);
            }
            made_run.state.complete(tripline_core::rule::kind::EventTime::MAX);
            made_run.state.finish();
        }
    }
}
