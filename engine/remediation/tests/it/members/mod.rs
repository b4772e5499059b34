//! Three processes that share a journal, in a world of their own: servers that lose requests and answers, members that are
//! cut off, stopped in the middle of anything, and killed. Whoever looks asks the world, and never one of them.
//! `TRIPLINE_MEMBERS` sets how many trials there are.

mod servers;
mod sim;
mod storm;

use crate::stage::{KINDS, bad};
use crate::storm::most_within;
use crate::world::{Cloud, Effect, Faults, HOUR, MINUTE, SECOND, START, World};
use servers::Order;
use sim::{MEMBERS, Manner, Sim, locked};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tripline_remediation::book::Book;
use tripline_remediation::journal::{Entry as Record, Parcel, verify};
use tripline_remediation::machine::{Input, State};

const LIMITS: &str = r#"per_policy = { max = 3, window = "5m" }, per_account = { max = 2, window = "5m" }, concurrency = 10"#;

/// All lines of the journal of a folder.
fn lines(folder: &Path) -> String {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("is a folder")
        .flatten()
        .map(|one| one.path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| fs::read_to_string(path).expect("is read"))
        .collect()
}

/// Whether each request is of whoever had taken over last, as the servers have it.
fn check_epochs(about: &str, order: &Order) {
    let (mut epoch, mut actor) = (0, String::new());
    for entry in &order.entries {
        let parcel = Parcel::of_bytes(&entry.bytes).expect("is a parcel");
        for (record, _, _) in &parcel.records {
            match &record.entry {
                Record::TakenOver { epoch: new } => {
                    assert!(*new > epoch, "{about}");
                    (epoch, actor) = (*new, parcel.by.clone());
                }
                Record::Action { input, .. } => {
                    if let Input::Began { epoch: of, .. } | Input::Intent { epoch: of, .. } =
                        &**input
                    {
                        assert_eq!(*of, epoch, "{about}: record {}", record.seq);
                        assert_eq!(parcel.by, actor, "{about}: record {}", record.seq);
                    }
                }
                _ => {}
            }
        }
    }
}

/// That nothing was done twice.
fn check_once(about: &str, effects: &[Effect]) {
    let mut times: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for effect in effects {
        *times.entry((&effect.action, &effect.what)).or_default() += 1;
    }
    for ((action, what), count) in times {
        assert_eq!(count, 1, "{about}: {what} by {action}: {effects:#?}");
    }
}

fn check(about: &str, sim: &Sim) {
    let engines: Vec<_> = sim
        .members
        .iter()
        .map(|one| locked(&one.engine).clone().expect("runs"))
        .collect();
    let books: Vec<Book> = engines.iter().map(|one| one.ordered_book()).collect();
    let text = lines(sim.folders[0].path());
    for member in 0..MEMBERS {
        let folder = sim.folders[member].path();
        let verified = verify(folder, &[], &[]);
        verified.unwrap_or_else(|fault| panic!("{about}: member {member}: {fault}"));
        assert_eq!(books[0].difference(&books[member]), None, "{about}");
        assert_eq!(
            engines[member].book().difference(&books[0]),
            None,
            "{about}"
        );
        assert!(text == lines(folder), "{about}: the files differ");
    }
    check_epochs(about, &locked(&sim.order));
    let (book, cloud, effects) = (&books[0], sim.world.cloud(), sim.world.effects());
    assert_eq!(book.actions().count(), sim.bads.len(), "{about}: one each");
    check_once(about, &effects);
    let mut succeeded = 0;
    for action in book.actions() {
        assert!(action.state.is_settled(), "{about}: {:?}", action.state);
        succeeded += usize::from(action.state == State::Succeeded);
        let finding = &action.proposal.origin.event;
        let bad = sim
            .bads
            .iter()
            .find(|bad| bad.event["eventID"] == **finding);
        let bad = bad.expect("is of one");
        assert!(
            action.state != State::Succeeded || bad.is_mended(&cloud),
            "{about}: {:?} {effects:#?}",
            bad.kind
        );
    }
    *locked(&sim.figures).entry("actions").or_default() += sim.bads.len() as u64;
    *locked(&sim.figures).entry("succeeded").or_default() += succeeded as u64;
    // What is taken back waits for no cap.
    let forward: Vec<&Effect> = effects
        .iter()
        .filter(|one| {
            book.action(&one.action)
                .is_some_and(|one| one.back.is_none())
        })
        .collect();
    let mut by_scope: BTreeMap<(String, usize), Vec<&Effect>> = BTreeMap::new();
    for effect in forward {
        let proposal = &book.action(&effect.action).expect("is there").proposal;
        let (policy, account) = (&proposal.policy.id, &proposal.subject.resource.account);
        by_scope
            .entry((policy.clone(), 3))
            .or_default()
            .push(effect);
        by_scope
            .entry((format!("{policy} {account}"), 2))
            .or_default()
            .push(effect);
    }
    for ((scope, cap), effects) in &by_scope {
        let most = most_within(effects, 5 * MINUTE);
        assert!(most <= *cap, "{about}: {scope}: {most} of {cap}");
    }
}

fn trial(seed: u64) -> BTreeMap<&'static str, u64> {
    let mut cloud = Cloud::default();
    let bads = (0..4 + seed % 9)
        .map(|number| {
            let kind = KINDS[((number + seed) % 5) as usize];
            let account = format!("{:012}", 100_000_000_000 + number % 2);
            bad(kind, number + 1, &account, START - MINUTE, &mut cloud)
        })
        .collect();
    let faults = match seed % 3 {
        0 => Faults::default(),
        _ => Faults::ALL,
    };
    let manner = Manner {
        limits: LIMITS,
        global: None,
        rarity: 1,
        at_once: 1,
        reads_at_once: 20,
        votes: 1,
    };
    let sim = Sim::new(manner, World::new(seed, faults, cloud), bads);
    for _ in 0..600 {
        sim.live(&[1_000, 50_000, SECOND, 20 * SECOND]);
    }
    sim.calm_down(START + 40 * HOUR);
    check(&format!("seed {seed}"), &sim);
    sim.end();
    locked(&sim.figures).clone()
}

#[test]
fn three_members_do_everything_once_whatever_becomes_of_them() {
    let wanted: u64 = std::env::var("TRIPLINE_MEMBERS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(40);
    let (seeds, all) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = seeds.fetch_add(1, Ordering::Relaxed);
                    if seed >= wanted {
                        return;
                    }
                    for (what, count) in trial(seed) {
                        *locked(&all).entry(what).or_insert(0) += count;
                    }
                }
            });
        }
    });
    let all = all.into_inner().expect("is not poisoned");
    println!("{wanted} trials: {all:?}");
    let of = |what: &str| all.get(what).copied().unwrap_or(0);
    assert!(of("succeeded") * 10 >= of("actions") * 9, "{all:?}");
    for what in [
        "killed",
        "stopped",
        "cut off",
        "answer lost",
        "appended late",
        "overtaken",
    ] {
        assert!(of(what) > 0, "{what}: {all:?}");
    }
}
