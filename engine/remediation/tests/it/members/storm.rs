//! A storm at three members: more findings than anybody can answer, offered to whichever acts, while members are killed, stopped
//! and cut off. The world itself counts what it did, and in no window is that more than a cap allows.
//! `TRIPLINE_MEMBERS_STORM` sets how many findings there are.

use super::sim::{MEMBERS, Manner, Sim, locked};
use super::{check_epochs, check_once};
use crate::stage::{Bad, Kind, bad};
use crate::storm::most_within;
use crate::world::{Cloud, Effect, Faults, HOUR, MINUTE, SECOND, START, World};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tripline_remediation::book::Book;
use tripline_remediation::journal::{Entry as Record, Parcel, verify};
use tripline_remediation::machine::Input;
use tripline_remediation::policy::{Cap, Period};

const GLOBAL: usize = 25;
const PER_KIND: usize = 15;
const PER_ACCOUNT: usize = 5;
const LIMITS: &str = r#"per_policy = { max = 20, window = "10m" }, per_account = { max = 5, window = "10m" }, per_kind = { max = 15, window = "10m" }, concurrency = 4"#;

/// Looks at what the world did, and never at what members say. The most within a window of each kind of cap.
fn check_caps(effects: &[Effect]) -> [usize; 3] {
    let mut by_scope: BTreeMap<(usize, String), Vec<&Effect>> = BTreeMap::new();
    for one in effects {
        // What is taken back waits for no cap.
        let is_back = one.what.starts_with("authorize") || one.what.ends_with(" Active");
        if is_back {
            continue;
        }
        let (kind, account) = (&one.call.operation, &one.call.account);
        for scope in [
            (GLOBAL, String::new()),
            (PER_KIND, kind.clone()),
            (PER_ACCOUNT, format!("{kind} {account}")),
        ] {
            by_scope.entry(scope).or_default().push(one);
        }
    }
    [GLOBAL, PER_KIND, PER_ACCOUNT].map(|cap| {
        let of = by_scope.iter().filter(|((of, _), _)| *of == cap);
        of.map(|((_, scope), effects)| {
            let most = most_within(effects, 10 * MINUTE);
            assert!(most <= cap, "{scope}: {most} of {cap}");
            most
        })
        .max()
        .unwrap_or(0)
    })
}

/// That each finding was answered once, in the order that the servers have.
fn check_answered(sim: &Sim) {
    let mut answered: BTreeMap<String, u64> = BTreeMap::new();
    for entry in &locked(&sim.order).entries {
        let parcel = Parcel::of_bytes(&entry.bytes).expect("is a parcel");
        for (record, _, _) in &parcel.records {
            if let Record::Action { input, .. } = &record.entry
                && let Input::Proposed(proposal) | Input::Refused { proposal, .. } = &**input
            {
                *answered
                    .entry(proposal.origin.event.to_string())
                    .or_default() += 1;
            }
        }
    }
    for bad in &sim.bads {
        let id = bad.event["eventID"].as_str().expect("has one");
        assert_eq!(answered.get(id), Some(&1), "{id}");
    }
    assert_eq!(answered.len(), sim.bads.len());
}

/// That all members have the same journal, whole, and nothing is left to be done.
fn check_members(sim: &Sim) {
    let books: Vec<Book> = sim
        .members
        .iter()
        .map(|one| locked(&one.engine).clone().expect("runs").ordered_book())
        .collect();
    let mut hashes = Vec::new();
    for member in 0..MEMBERS {
        let verified = verify(sim.folders[member].path(), &[], &[]);
        let verified = verified.unwrap_or_else(|fault| panic!("member {member}: {fault}"));
        hashes.push((verified.records, verified.hash));
        assert_eq!(books[0].difference(&books[member]), None, "{member}");
    }
    assert!(hashes.iter().all(|one| *one == hashes[0]), "{hashes:?}");
    let sizes = books[0].sizes();
    for what in ["open", "due", "waiting", "running"] {
        assert_eq!(sizes[what], 0, "{what}: {sizes:?}");
    }
    println!("{} records; kept {sizes:?}", hashes[0].0);
}

fn bads(count: u64, cloud: &mut Cloud) -> Vec<Bad> {
    let kinds = [Kind::Group, Kind::Key];
    (0..count)
        .map(|number| {
            let kind = kinds[(number % 2) as usize];
            let account = format!("{:012}", 100_000_000_000 + number % 6);
            bad(kind, number + 1, &account, START - MINUTE, cloud)
        })
        .collect()
}

#[test]
fn a_storm_at_three_members_exceeds_no_cap_and_loses_nothing() {
    let count: u64 = std::env::var("TRIPLINE_MEMBERS_STORM")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(600);
    let mut cloud = Cloud::default();
    let bads = bads(count, &mut cloud);
    let faults = Faults {
        dropped: 50,
        delayed: 50,
        failed: 50,
        throttled: 50,
        ..Faults::default()
    };
    let window = Period::seconds(600);
    let manner = Manner {
        limits: LIMITS,
        global: Some(Cap {
            max: GLOBAL as u32,
            window,
        }),
        // Whoever was killed reads the whole journal again.
        rarity: (count / 150).clamp(5, 300),
        at_once: (count / 100).clamp(20, 400),
        reads_at_once: 1_000,
        votes: 10,
    };
    let sim = Sim::new(manner, World::new(11, faults, cloud), bads);
    let began = Instant::now();
    while sim.cursor.load(Ordering::SeqCst) < sim.bads.len() {
        sim.live(&[100, 1_000, 50_000, 2 * SECOND]);
    }
    let stormed = began.elapsed();
    let lasted = (sim.world.time() - START) / SECOND;
    // What waits is gone on with in the same trouble.
    for _ in 0..300 {
        sim.live(&[1_000, 50_000, SECOND, 20 * SECOND]);
    }
    println!(
        "{count} findings considered in {stormed:?}, in {lasted} s of the world; in trouble until {:?}",
        began.elapsed()
    );
    sim.calm_down(START + 1_000 * HOUR);
    let effects = sim.world.effects();
    println!(
        "settled after {:?}; {} effects; {:?}",
        began.elapsed(),
        effects.len(),
        locked(&sim.figures)
    );
    let most = check_caps(&effects);
    println!(
        "the most in 10 minutes: {most:?} of {:?}",
        [GLOBAL, PER_KIND, PER_ACCOUNT]
    );
    check_once("the storm", &effects);
    check_answered(&sim);
    check_epochs("the storm", &locked(&sim.order));
    check_members(&sim);
    sim.end();
    let figures = locked(&sim.figures);
    for what in ["killed", "stopped", "cut off", "taken over", "overtaken"] {
        assert!(figures.contains_key(what), "{what}: {figures:?}");
    }
}
