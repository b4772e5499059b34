//! Storms: more findings than anybody can answer. What the world itself counts is within every cap, nothing is lost, and
//! what is kept is bounded. `TRIPLINE_STORM` sets how many findings there are.

use crate::crashes::folded;
use crate::stage::{self, KINDS, Kind, bad, open, policies_with};
use crate::world::{Cloud, Effect, Faults, HOUR, MINUTE, START, World};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tripline_remediation::engine::{Engine, Turn};
use tripline_remediation::machine::State;
use tripline_remediation::policy::{Cap, Period};

const LIMITS: &str = r#"per_policy = { max = 20, window = "10m" }, per_account = { max = 5, window = "10m" }, per_kind = { max = 15, window = "10m" }, concurrency = 4"#;

/// The most different actions that did something within a window, by what they did first and every time.
pub fn most_within(effects: &[&Effect], window: i64) -> usize {
    let mut within: HashMap<&str, usize> = HashMap::new();
    let (mut first, mut most) = (0, 0);
    for one in effects {
        *within.entry(&one.action).or_default() += 1;
        while effects[first].time <= one.time - window {
            let oldest = &effects[first].action;
            if let Some(count) = within.get_mut(oldest.as_str()) {
                *count -= 1;
                if *count == 0 {
                    within.remove(oldest.as_str());
                }
            }
            first += 1;
        }
        most = most.max(within.len());
    }
    most
}

/// Takes turns until it is said to be enough; time passes when there is nothing to do.
fn take_turns(engine: &Engine<World>, until: i64) {
    loop {
        match engine.turn().expect("takes a turn") {
            Turn::Worked => {}
            Turn::IdleUntil(at) if at <= until => {
                let world = engine.outside();
                let lands = world.lands().unwrap_or(at);
                world.pass(at.min(lands));
            }
            _ => return,
        }
    }
}

#[test]
fn a_storm_exceeds_no_cap_and_loses_nothing() {
    let count: u64 = std::env::var("TRIPLINE_STORM")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_500);
    let mut cloud = Cloud::default();
    let accounts = 40;
    let kinds = [Kind::Group, Kind::Key];
    let bads: Vec<_> = (0..count)
        .map(|number| {
            let account = format!("{:012}", 100_000_000_000 + number % accounts);
            bad(
                kinds[(number % 2) as usize],
                number + 1,
                &account,
                START - MINUTE,
                &mut cloud,
            )
        })
        .collect();
    let faults = Faults {
        dropped: 50,
        delayed: 50,
        failed: 50,
        throttled: 50,
        ..Faults::default()
    };
    let world = World::new(7, faults, cloud);
    let folder = stage::folder();
    let mut settings = stage::settings();
    settings.rules.global = Some(Cap {
        max: 40,
        window: Period::seconds(600),
    });
    let engine = open(folder.path(), &world, settings).expect("opens");
    engine.set_policies(policies_with(LIMITS));
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(bad) = bads.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let considered = bad.consider(&engine).expect("is considered");
                        assert!(
                            considered.iter().any(|one| one.action.is_some()),
                            "{considered:?}"
                        );
                        // Some arrive twice.
                        if bad.number % 7 == 0 {
                            let again = bad.consider(&engine).expect("is considered");
                            assert_eq!(again[0].action, considered[0].action);
                        }
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    take_turns(&engine, engine.outside().time() + MINUTE);
                    std::thread::yield_now();
                }
            });
        }
        for worker in workers {
            worker.join().expect("considers");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let triaged = began.elapsed();
    let stormed = engine.counts();
    take_turns(&engine, START + 30 * HOUR);
    let sizes = engine.book().sizes();
    println!(
        "{count} findings considered in {triaged:?}, all settled after {:?}; then {stormed:?}, at the end {:?}; kept {sizes:?}",
        began.elapsed(),
        engine.counts()
    );
    // Storm mode: most of them wait for people.
    assert!(
        stormed.get("awaiting_approval").copied().unwrap_or(0) > count / 2,
        "{stormed:?}"
    );
    let effects = world.effects();
    let all: Vec<&Effect> = effects.iter().collect();
    assert!(most_within(&all, 10 * MINUTE) <= 40);
    let book = engine.book();
    let mut by_scope: BTreeMap<(String, usize), Vec<&Effect>> = BTreeMap::new();
    for effect in &effects {
        let Some(action) = book.action(&effect.action) else {
            continue;
        };
        let proposal = &action.proposal;
        let account = &proposal.subject.resource.account;
        by_scope
            .entry((proposal.policy.id.clone(), 15))
            .or_default()
            .push(effect);
        by_scope
            .entry((format!("{} {account}", proposal.policy.id), 5))
            .or_default()
            .push(effect);
    }
    for ((scope, cap), effects) in &by_scope {
        let most = most_within(effects, 10 * MINUTE);
        assert!(most <= *cap, "{scope}: {most} of {cap}");
    }
    // Nothing is lost: each is settled, and has a reason where it was not done.
    assert_eq!(sizes["open"], 0);
    assert_eq!(sizes["due"], 0);
    assert_eq!((sizes["waiting"], sizes["running"]), (0, 0), "{sizes:?}");
    // Those that are over are looked for whenever there are many.
    assert!(sizes["locks"] + sizes["scopes"] <= 1_000, "{sizes:?}");
    let tallies = book.tallies();
    assert_eq!(tallies.values().map(|one| one.proposed).sum::<u64>(), count);
    for action in book.actions() {
        assert!(
            action.state == State::Succeeded || action.state.reason().is_some(),
            "{:?}",
            action.state
        );
    }
    let (kept, copy) = (book.clone(), folder.path().to_owned());
    drop(book);
    drop(engine);
    assert_eq!(kept.difference(&folded(&copy)), None);
}

#[test]
fn what_is_kept_does_not_grow_with_what_was_done() {
    let mut cloud = Cloud::default();
    let bads: Vec<_> = (0..400)
        .map(|number| {
            bad(
                KINDS[(number % 2) as usize],
                number + 1,
                stage::ACCOUNT,
                START,
                &mut cloud,
            )
        })
        .collect();
    let world = World::new(1, Faults::default(), cloud);
    let folder = stage::folder();
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    let mut sizes = Vec::new();
    for half in bads.chunks(200) {
        for bad in half {
            bad.consider(&engine).expect("is considered");
        }
        stage::run(&engine, world.time() + 12 * HOUR).expect("runs");
        world.pass(world.time() + 24 * HOUR);
        sizes.push(engine.book().sizes());
    }
    let last = &sizes[1];
    assert_eq!((last["running"], last["waiting"], last["open"]), (0, 0, 0));
    assert!(last["slots"] <= 1_000 + 400 * 5, "{last:?}");
}
