//! What can be taken back is taken back: the state after it is the one before.

use crate::stage::{self, ACCOUNT, KINDS, bad, open};
use crate::world::{Cloud, Faults, HOUR, MINUTE, START, World};
use tripline_remediation::machine::State;

#[test]
fn what_is_reverted_is_as_it_was() {
    for (number, kind) in KINDS.into_iter().enumerate() {
        for seed in 0..12 {
            let mut cloud = Cloud::default();
            let bad = bad(
                kind,
                number as u64 + seed,
                ACCOUNT,
                START - MINUTE,
                &mut cloud,
            );
            let before = cloud.normal();
            let faults = match seed {
                0 => Faults::default(),
                _ => Faults::ALL,
            };
            let world = World::new(seed * 31, faults, cloud);
            let folder = stage::folder();
            let engine = open(folder.path(), &world, stage::settings()).expect("opens");
            let considered = bad.consider(&engine).expect("is considered");
            let id = considered[0].action.clone().expect("is proposed");
            stage::run(&engine, START + HOUR).expect("runs");
            let state = engine.action(&id).expect("is there").state;
            if seed > 0 && state != State::Succeeded {
                continue;
            }
            assert_eq!(state, State::Succeeded, "{kind:?}");
            assert!(bad.is_mended(&world.cloud()), "{kind:?}");
            engine
                .revert(&id, "alice", "it was meant to be so")
                .expect("is reverted");
            stage::run(&engine, world.time() + HOUR).expect("runs");
            world.pass(world.time() + HOUR);
            let state = engine.action(&id).expect("is there").state;
            if seed > 0 && !matches!(state, State::Reverted(_)) {
                assert!(matches!(state, State::RollbackFailed(_)), "{state:?}");
                continue;
            }
            assert!(matches!(state, State::Reverted(_)), "{kind:?}: {state:?}");
            assert_eq!(world.cloud().normal(), before, "{kind:?} of seed {seed}");
        }
    }
}
