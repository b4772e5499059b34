//! The switch that turns everything off: when it has returned, no request begins that changes something.

use crate::stage::{self, Kind, bad, open};
use crate::world::{Cloud, Faults, HOUR, MINUTE, START, World};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};
use tripline_remediation::engine::{Engine, Outside, Settings, Turn};
use tripline_remediation::journal::Scope;
use tripline_remediation::machine::State;

/// An engine that is switched off when it comes to a point for the first time.
fn switched_at(point: &'static str, scope: Scope) {
    let mut cloud = Cloud::default();
    let bad = bad(Kind::Group, 1, stage::ACCOUNT, START - MINUTE, &mut cloud);
    let world = World::new(5, Faults::default(), cloud);
    let folder = stage::folder();
    let place: Arc<OnceLock<Weak<Engine<World>>>> = Arc::default();
    let is_done = AtomicBool::new(false);
    let inner = place.clone();
    let off = scope.clone();
    let settings = Settings {
        ends_at: Some(Box::new(move |name| {
            if name == point && !is_done.swap(true, Ordering::Relaxed) {
                let engine = inner.get().and_then(Weak::upgrade).expect("is open");
                engine
                    .switch(off.clone(), true, "alice", "stop")
                    .expect("is switched");
            }
            false
        })),
        ..stage::settings()
    };
    let engine = Arc::new(open(folder.path(), &world, settings).expect("opens"));
    place.set(Arc::downgrade(&engine)).expect("is set once");
    bad.consider(&engine).expect("is considered");
    stage::run(&engine, START + 2 * MINUTE).expect("runs");
    let begun = world.begun().len();
    assert!(
        begun <= 1 && !bad.is_mended(&world.cloud()),
        "{point}: {begun}"
    );
    if !matches!(point, "answer.committed" | "request.sent" | "send") {
        assert_eq!(begun, 0, "{point}");
    }
    engine
        .switch(scope, false, "alice", "go on")
        .expect("is switched");
    stage::run(&engine, world.time() + MINUTE).expect("runs");
    assert!(
        bad.is_mended(&world.cloud()),
        "{point}: {:?}",
        engine.counts()
    );
}

#[test]
fn nothing_begins_after_the_switch_wherever_it_comes() {
    let scopes = [
        Scope::All,
        Scope::Policy("sg".to_owned()),
        Scope::Account(stage::ACCOUNT.to_owned()),
    ];
    for scope in scopes {
        for point in [
            "proposed.flushed",
            "plan.read",
            "plan.committed",
            "begin.checked",
            "begin.committed",
            "request.sent",
            "answer.committed",
            "send",
        ] {
            switched_at(point, scope.clone());
        }
    }
}

#[test]
fn a_switch_of_something_else_stops_nothing() {
    let mut cloud = Cloud::default();
    let bad = bad(Kind::Key, 1, stage::ACCOUNT, START - MINUTE, &mut cloud);
    let world = World::new(5, Faults::default(), cloud);
    let folder = stage::folder();
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    for scope in [
        Scope::Policy("sg".to_owned()),
        Scope::Account("000000000000".to_owned()),
    ] {
        engine
            .switch(scope, true, "alice", "stop")
            .expect("is switched");
    }
    bad.consider(&engine).expect("is considered");
    stage::run(&engine, START + HOUR).expect("runs");
    assert!(bad.is_mended(&world.cloud()));
}

#[test]
fn what_is_off_stays_off_after_a_restart() {
    let mut cloud = Cloud::default();
    let bad = bad(Kind::Key, 1, stage::ACCOUNT, START - MINUTE, &mut cloud);
    let world = World::new(5, Faults::default(), cloud);
    let folder = stage::folder();
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    engine
        .switch(Scope::All, true, "alice", "stop")
        .expect("is switched");
    bad.consider(&engine).expect("is considered");
    drop(engine);
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    stage::run(&engine, START + HOUR).expect("runs");
    assert!(world.begun().is_empty());
    assert_eq!(engine.counts().get("proposed"), Some(&1));
}

/// Who was told that it may send, and then had to wait for the processor, sends a little later.
const GRACE: Duration = Duration::from_millis(100);

#[test]
fn no_request_of_any_thread_begins_after_the_switch() {
    let mut cloud = Cloud::default();
    let bads: Vec<_> = (0..300)
        .map(|number| {
            bad(
                Kind::Key,
                number + 1,
                stage::ACCOUNT,
                START - MINUTE,
                &mut cloud,
            )
        })
        .collect();
    let world = World::new(9, Faults::default(), cloud);
    let folder = stage::folder();
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    for bad in &bads {
        bad.consider(&engine).expect("is considered");
    }
    let is_over = AtomicBool::new(false);
    let latencies = Mutex::new(Vec::new());
    let mut off: Vec<(Instant, Instant)> = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    match engine.turn().expect("takes a turn") {
                        Turn::Worked => {}
                        Turn::Idle => std::thread::yield_now(),
                        Turn::IdleUntil(at) => world.pass(at.min(engine.outside().now() + 1_000)),
                    }
                }
            });
        }
        for round in 0..20 {
            std::thread::sleep(Duration::from_millis(10 + round));
            let asked = Instant::now();
            engine
                .switch(Scope::All, true, "alice", "stop")
                .expect("is switched");
            let returned = Instant::now();
            latencies
                .lock()
                .expect("is not poisoned")
                .push(returned - asked);
            std::thread::sleep(GRACE + Duration::from_millis(15));
            off.push((returned + GRACE, Instant::now()));
            engine
                .switch(Scope::All, false, "alice", "go on")
                .expect("is switched");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let begun = world.begun();
    for (from, to) in &off {
        let within = begun
            .iter()
            .filter(|(_, at, _)| from < at && at < to)
            .count();
        assert_eq!(within, 0, "requests began while it was off");
    }
    stage::run(&engine, world.time() + HOUR).expect("runs");
    let book = engine.book();
    assert!(book.actions().all(|one| one.state == State::Succeeded));
    let mut latencies = latencies.into_inner().expect("is not poisoned");
    latencies.sort();
    println!(
        "the switch returned after {:?} at the median, {:?} at most",
        latencies[10], latencies[19]
    );
}
