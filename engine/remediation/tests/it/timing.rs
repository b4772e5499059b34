//! How long it takes. Not for CI: `cargo test --release -p tripline-remediation --test it timing -- --ignored --nocapture`.

use crate::stage::{self, ACCOUNT, Kind, bad, checkpoint_key, open, policies};
use crate::world::{Cloud, Faults, MINUTE, START, World};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tripline_remediation::book::Book;
use tripline_remediation::engine::{Turn, propose};
use tripline_remediation::journal::{Entry, FileJournal, verify};
use tripline_remediation::machine::{Input, State};
use tripline_remediation::policy::Mode;

fn shown(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 1_000];
    format!("p50 {:?}, p99 {:?}, most {:?}", at(500), at(990), at(1_000))
}

#[test]
#[ignore = "measures the disk"]
fn from_a_finding_to_its_first_request() {
    let count = 1_000;
    let mut cloud = Cloud::default();
    let bads: Vec<_> = (0..count)
        .map(|number| bad(Kind::Key, number + 1, ACCOUNT, START - MINUTE, &mut cloud))
        .collect();
    let world = World::new(1, Faults::default(), cloud);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut file = File::create(folder.path().join("file")).expect("is made");
    let mut flushes = Vec::new();
    for _ in 0..count {
        file.write_all(&[b'x'; 2_000]).expect("is written");
        let began = Instant::now();
        file.sync_data().expect("is flushed");
        flushes.push(began.elapsed());
    }
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    let mut times = Vec::new();
    for bad in &bads {
        let before = world.begun().len();
        let began = Instant::now();
        bad.consider(&engine).expect("is considered");
        while engine.turn().expect("takes a turn") == Turn::Worked {}
        let begun = world.begun();
        times.push(begun[before].1 - began);
        world.pass(world.time() + MINUTE);
    }
    println!("flush of the disk: {}", shown(flushes));
    println!("finding to first request: {}", shown(times));
}

#[test]
#[ignore = "measures the disk"]
fn a_restart_with_ten_thousand_open_actions() {
    let count = 10_000;
    let mut cloud = Cloud::default();
    let bads: Vec<_> = (0..count)
        .map(|number| bad(Kind::Key, number + 1, ACCOUNT, START - MINUTE, &mut cloud))
        .collect();
    let world = World::new(1, Faults::default(), cloud);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let all = policies();
    {
        let mut book = Book::new(stage::settings().rules);
        let (journal, _) = FileJournal::open(folder.path(), |_| Ok(())).expect("opens");
        struct Nothing;
        impl tripline_remediation::action::LastKnown for Nothing {
            fn before(
                &self,
                _: &str,
                _: &str,
                _: i64,
            ) -> Option<tripline_remediation::action::Known> {
                None
            }
        }
        struct Reads(Cloud);
        impl tripline_remediation::action::Reads for Reads {
            fn read(
                &mut self,
                call: &tripline_remediation::plan::Call,
            ) -> Result<tripline_remediation::plan::Answer, String> {
                Ok(self.0.apply(call, "").0)
            }
        }
        let begins = Entry::TakenOver { epoch: 1 };
        book.take(&begins, START).expect("is legal");
        journal.append(START, "test", begins).expect("is written");
        let mut reads = Reads(world.cloud());
        for bad in &bads {
            let finding = stage::finding(&format!("{}", bad.number), bad.rule, &bad.event);
            let text = bad.event.to_string();
            let proposed = propose(&all, &Default::default(), &finding, text.as_bytes(), START);
            let proposal = proposed.into_iter().next().expect("is proposed").proposal;
            let proposal = proposal.expect("is proposed");
            let id = format!("{:020x}", bad.number);
            let planned = tripline_remediation::engine::plan(&proposal, &id, &Nothing, &mut reads);
            let Ok(tripline_remediation::action::Planned::Plan(plan)) = planned else {
                panic!("is planned");
            };
            let call = plan.steps[0].call.clone();
            let plan = plan.into();
            let inputs = [
                Input::Proposed(Arc::new(proposal)),
                Input::Planned {
                    plan,
                    mode: Mode::Auto,
                },
                Input::Began { epoch: 1, call },
            ];
            for input in inputs {
                let entry = book.entry(&id, input, START).expect("is legal");
                book.take(&entry, START).expect("is legal");
                journal.append(START, "test", entry).expect("is written");
            }
        }
        journal.newest().expect("is flushed");
    }
    let began = Instant::now();
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    let opened = began.elapsed();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| while engine.turn().expect("takes a turn") == Turn::Worked {});
        }
    });
    let resumed = began.elapsed();
    let done = engine
        .book()
        .actions()
        .filter(|one| one.state == State::Succeeded)
        .count();
    println!(
        "{count} open actions: read after {opened:?}, all resumed and {done} done after {resumed:?}"
    );
    drop(engine);
    let began = Instant::now();
    let verified = verify(folder.path(), &[&checkpoint_key().public()], &[]).expect("is whole");
    let took = began.elapsed();
    println!(
        "verified {} records in {took:?}: {:.0} a second",
        verified.records,
        verified.records as f64 / took.as_secs_f64()
    );
}
