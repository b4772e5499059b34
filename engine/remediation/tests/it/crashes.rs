//! Crashes: an engine is ended at named points, what is left of it goes on, and the world is asked whether everything was
//! done, and nothing twice. `TRIPLINE_CRASHES` sets how many crashes there are.

use crate::stage::{self, Bad, KINDS, Kind, bad, open, policies, policies_with, run};
use crate::world::{Cloud, Effect, Faults, HOUR, Instance, MINUTE, SECOND, START, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tripline_remediation::book::Book;
use tripline_remediation::engine::{EndsAt, Engine, EngineFault, Outside, Settings, propose};
use tripline_remediation::journal::{FileJournal, verify};
use tripline_remediation::machine::{Input, State};
use tripline_remediation::plan::{Call, Check, Class, Expect, Plan, Resource, Risk, Step};
use tripline_remediation::policy::{Mode, OnAmbiguous, Period};

/// Ends the engine when a point is reached for the n-th time.
#[derive(Clone, Default)]
struct Ending(Arc<Mutex<Ends>>);

/// Where it ends and for the how manieth time, and the points that were reached.
type Ends = (Option<&'static str>, u64, BTreeSet<&'static str>);

impl Ending {
    fn at(&self, point: &'static str, times: u64) {
        let mut inner = self.0.lock().expect("is not poisoned");
        (inner.0, inner.1) = (Some(point), times);
    }

    fn reached(&self) -> BTreeSet<&'static str> {
        self.0.lock().expect("is not poisoned").2.clone()
    }

    fn hook(&self) -> EndsAt {
        let this = self.clone();
        Box::new(move |point| {
            let mut inner = this.0.lock().expect("is not poisoned");
            inner.2.insert(point);
            if inner.0 != Some(point) {
                return false;
            }
            inner.1 = inner.1.saturating_sub(1);
            if inner.1 == 0 {
                inner.0 = None;
            }
            inner.1 == 0
        })
    }
}

fn settings(ending: &Ending) -> Settings {
    Settings {
        ends_at: Some(ending.hook()),
        ..stage::settings()
    }
}

/// Cuts the newest record in two, as a crash in the middle of writing it does. Only where nothing was done because of it.
fn tear(folder: &Path, world: &World) -> bool {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("is a folder")
        .flatten()
        .map(|one| one.path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    let Some(path) = files.last() else {
        return false;
    };
    let text = fs::read(path).expect("is read");
    let Some(body) = text.strip_suffix(b"\n") else {
        return false;
    };
    let start = body
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let cut = start as u64 + world.chance((text.len() - start) as u64);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .expect("is opened");
    file.set_len(cut).expect("is cut");
    true
}

/// Points right after a flush: the record may as well have been half written, as nothing was done because of it yet.
fn may_be_torn(point: &str) -> bool {
    matches!(
        point,
        "flushed"
            | "written.flushed"
            | "checkpoint.flushed"
            | "intent.committed"
            | "begin.committed"
            | "plan.committed"
            | "back.intent.committed"
    )
}

/// The book that the journal of a folder tells.
pub fn folded(folder: &Path) -> Book {
    let mut book = Book::new(stage::settings().rules);
    let journal = FileJournal::open(folder, |record| {
        book.take(&record.entry, record.time).expect("follows");
        Ok(())
    });
    drop(journal.expect("opens"));
    book
}

#[derive(Default)]
struct Figures {
    by_point: BTreeMap<&'static str, u64>,
    torn: u64,
    trials: u64,
    effects: u64,
    ends: BTreeMap<String, u64>,
    /// Actions of the catalogue that did not work and were not put back either.
    gave_up: u64,
}

/// What is done in a trial once everything is quiet.
fn go(
    engine: &Engine<World>,
    bads: &[Bad],
    considered: &mut BTreeSet<usize>,
    reverts: bool,
) -> Result<(), EngineFault> {
    for (place, bad) in bads.iter().enumerate() {
        if let Some(known) = &bad.known {
            engine.shadow().fold(known);
        }
        if considered.contains(&place) {
            continue;
        }
        bad.consider(engine)?;
        considered.insert(place);
    }
    let world = engine.outside();
    let end = START + 6 * HOUR;
    // A checkpoint is somewhere in between.
    run(engine, START + 3 * SECOND)?;
    engine.checkpoint()?;
    run(engine, end)?;
    engine.checkpoint()?;
    if reverts {
        let ids: Vec<String> = {
            let book = engine.book();
            let done = book.actions().filter(|one| one.state == State::Succeeded);
            done.map(|one| one.id.clone()).collect()
        };
        for id in ids {
            engine.revert(&id, "alice", "it was meant to be so")?;
        }
        run(engine, end + 6 * HOUR)?;
    }
    world.pass(end + 12 * HOUR);
    Ok(())
}

/// What a trial is about. Trials of one scenario differ by chance alone.
struct Scenario {
    faults: Faults,
    kinds: Vec<Kind>,
    reverts: bool,
    /// At most one action of a policy within five minutes.
    is_capped: bool,
    /// Of a plan of all classes, of which the last step is refused, so that all of it is taken back; what is done when
    /// nothing tells.
    all_classes: Option<OnAmbiguous>,
}

const SCENARIOS: u64 = 600;

impl Scenario {
    fn of(number: u64) -> Self {
        let kind = |number: u64| KINDS[(number % 5) as usize];
        let kinds = match number % 6 {
            0 => vec![kind(number / 6)],
            1 => vec![Kind::Instance],
            2 => vec![Kind::FlowLog, Kind::Group],
            3 => vec![kind(number / 6), kind(number / 30)],
            4 => vec![Kind::Group],
            _ => vec![kind(number / 6), kind(number / 6)],
        };
        let all = [OnAmbiguous::Ask, OnAmbiguous::Retry, OnAmbiguous::Skip];
        Self {
            faults: match number / 150 {
                0 => Faults::default(),
                _ => Faults::ALL,
            },
            kinds,
            reverts: number % 5 < 2 && number % 6 < 4,
            is_capped: number % 6 == 5,
            all_classes: (number % 6 == 4).then(|| all[(number / 6 % 3) as usize]),
        }
    }
}

/// A plan with steps of all classes, on a function and an instance; the last is refused.
fn plan_of_all_classes(id: &str, resource: Resource) -> Plan {
    let call = |operation: &str, parameters: Value| Call {
        operation: operation.to_owned(),
        account: stage::ACCOUNT.to_owned(),
        region: "eu-central-1".to_owned(),
        parameters: parameters.as_object().expect("is an object").clone(),
    };
    let step = |id: &str, class: Class, call: Call, inverse: Vec<Step>| Step {
        id: id.to_owned(),
        summary: id.to_owned(),
        call,
        class,
        done_codes: vec![
            "InvalidSnapshot.NotFound".to_owned(),
            "InvalidFlowLogId.NotFound".to_owned(),
        ],
        probe: None,
        inverse,
    };
    let from = |step: &str, path: &str| json!({"$from": {"step": step, "path": path}});
    let put = |places: i64| {
        let parameters = json!({"FunctionName": "f", "ReservedConcurrentExecutions": places});
        call("lambda.PutFunctionConcurrency", parameters)
    };
    let delete = |place: u64| {
        let id = from("snapshots", &format!("/Snapshots/{place}/SnapshotId"));
        let call = call("ec2.DeleteSnapshot", json!({"SnapshotId": id}));
        step(&format!("delete_{place}"), Class::Remove, call, Vec::new())
    };
    let tagged = json!({"Filters": [{"Name": "tag:tripline-action", "Values": [id]}]});
    let probe = Check {
        call: call("ec2.DescribeSnapshots", tagged),
        expect: vec![Expect::Has(
            "/Snapshots".to_owned(),
            json!({"VolumeId": "vol-1"}),
        )],
    };
    let snapshots = json!({"InstanceSpecification": {"InstanceId": "i-1"}});
    let logs = json!({"ClientToken": format!("{id}-logs"), "ResourceIds": ["vpc-1"]});
    let forget = json!({"FlowLogIds": [from("logs", "/FlowLogIds/0")]});
    let forget = step(
        "forget",
        Class::Remove,
        call("ec2.DeleteFlowLogs", forget),
        Vec::new(),
    );
    let steps = vec![
        step(
            "stop",
            Class::Set,
            put(0),
            vec![step("start", Class::Set, put(7), Vec::new())],
        ),
        Step {
            probe: Some(probe),
            ..step(
                "snapshots",
                Class::Create,
                call("ec2.CreateSnapshots", snapshots),
                vec![delete(0), delete(1)],
            )
        },
        step(
            "logs",
            Class::Token,
            call("ec2.CreateFlowLogs", logs),
            vec![forget],
        ),
        step(
            "post",
            Class::Blind,
            call("http.request", json!({"url": "https://example.com"})),
            Vec::new(),
        ),
        step(
            "last",
            Class::Remove,
            call("iam.DeleteUser", json!({"UserName": "nobody"})),
            Vec::new(),
        ),
    ];
    Plan {
        action: "aws.ec2.revoke_ingress_rule".to_owned(),
        resource,
        summary: "all classes".to_owned(),
        risk: Risk::Medium,
        diff: Vec::new(),
        preconditions: Vec::new(),
        steps,
        verify: Vec::new(),
        is_rolled_back: true,
    }
}

/// Writes a journal in which a plan of all classes is approved.
fn write_plan(folder: &Path, bad: &Bad, on_ambiguous: OnAmbiguous) {
    let finding = stage::finding("planned", bad.rule, &bad.event);
    let text = bad.event.to_string();
    let proposed = propose(
        &policies(),
        &Default::default(),
        &finding,
        text.as_bytes(),
        START,
    );
    let mut proposal = proposed
        .into_iter()
        .next()
        .expect("is proposed")
        .proposal
        .expect("is proposed");
    proposal.terms.execution.on_ambiguous = on_ambiguous;
    proposal.terms.execution.total_timeout = Period::seconds(7_200);
    let plan = plan_of_all_classes("0123456789abcdef0123", proposal.subject.resource.clone());
    let mut book = Book::new(stage::settings().rules);
    let (journal, _) = FileJournal::open(folder, |_| Ok(())).expect("opens");
    let planned = Input::Planned {
        plan: Arc::new(plan),
        mode: Mode::Auto,
    };
    for input in [Input::Proposed(Arc::new(proposal)), planned] {
        let entry = book
            .entry("0123456789abcdef0123", input, START)
            .expect("is legal");
        book.take(&entry, START).expect("is legal");
        journal.append(START, "test", entry).expect("is written");
    }
    journal.newest().expect("is flushed");
}

/// One trial: what is bad by chance, ended where it is said.
fn trial(
    seed: u64,
    number: u64,
    point: &'static str,
    figures: &mut Figures,
    reached: &mut BTreeSet<&'static str>,
) {
    let scenario = Scenario::of(number);
    let mut cloud = Cloud::default();
    let kinds = scenario.kinds.iter().enumerate();
    let mut bads: Vec<Bad> = kinds
        .map(|(place, kind)| {
            bad(
                *kind,
                place as u64 + 1,
                stage::ACCOUNT,
                START - MINUTE,
                &mut cloud,
            )
        })
        .collect();
    let folder = stage::folder();
    if let Some(on_ambiguous) = scenario.all_classes {
        cloud.functions.insert("f".to_owned(), Some(7));
        let instance = Instance {
            volumes: vec!["vol-1".to_owned(), "vol-2".to_owned()],
            ..Instance::default()
        };
        cloud.instances.insert("i-1".to_owned(), instance);
        write_plan(folder.path(), &bads.remove(0), on_ambiguous);
    }
    let before = cloud.normal();
    let world = World::new(seed, scenario.faults, cloud);
    let ending = Ending::default();
    ending.at(point, 1 + world.chance(3));
    let mut considered = BTreeSet::new();
    for life in 0.. {
        assert!(life < 30, "seed {seed} of {number} at {point} never ends");
        let done = open(folder.path(), &world, settings(&ending)).and_then(|engine| {
            if scenario.is_capped {
                engine.set_policies(policies_with(CAPPED));
            }
            go(&engine, &bads, &mut considered, scenario.reverts)
        });
        match done {
            Ok(()) => break,
            Err(EngineFault::Ended(at)) => {
                *figures.by_point.entry(at).or_default() += 1;
                if may_be_torn(at) && world.chance(2) == 0 && tear(folder.path(), &world) {
                    figures.torn += 1;
                    // What was torn may be what was considered: it was not told to be.
                    considered.clear();
                }
                let away = [0, SECOND, MINUTE, 8 * MINUTE][world.chance(4) as usize];
                world.pass(world.now() + away);
                // Sometimes it ends again, somewhere else.
                if world.chance(3) == 0 {
                    let all: Vec<&'static str> = ending.reached().into_iter().collect();
                    ending.at(
                        all[world.chance(all.len() as u64) as usize],
                        1 + world.chance(4),
                    );
                }
            }
            Err(fault) => panic!("seed {seed} of {number} at {point}: {fault}"),
        }
    }
    reached.extend(ending.reached());
    figures.trials += 1;
    let about = format!("seed {seed} of {number} at {point}");
    check(
        &about,
        &world,
        &bads,
        &before,
        &scenario,
        folder.path(),
        figures,
    );
}

fn check(
    about: &str,
    world: &World,
    bads: &[Bad],
    before: &Cloud,
    scenario: &Scenario,
    folder: &Path,
    figures: &mut Figures,
) {
    let (cloud, effects) = (world.cloud(), world.effects());
    figures.effects += effects.len() as u64;
    let verified = verify(folder, &[&stage::checkpoint_key().public()], &[]);
    verified.unwrap_or_else(|fault| panic!("{about}: {fault}"));
    let book = folded(folder);
    let all_classes = scenario.all_classes.is_some();
    let actions = bads.len() + usize::from(all_classes);
    assert_eq!(book.actions().count(), actions, "{about}: one action each");
    let (mut is_as_wanted, mut is_as_before) = (true, true);
    for action in book.actions() {
        *figures
            .ends
            .entry(action.state.name().to_owned())
            .or_default() += 1;
        assert!(action.state.is_settled(), "{about}: {:?}", action.state);
        let is_given_up = matches!(action.state, State::Failed(_) | State::RollbackFailed(_));
        figures.gave_up += u64::from(is_given_up && !all_classes);
        is_as_wanted &= action.state == State::Succeeded;
        is_as_before &= matches!(action.state, State::Reverted(_) | State::RolledBack(_));
        assert!(!all_classes || action.state != State::Succeeded, "{about}");
    }
    // Nothing twice: each thing was changed once, and once back.
    let mut times: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for effect in &effects {
        if effect.what != "post" {
            *times.entry((&effect.action, &effect.what)).or_default() += 1;
        }
    }
    for ((action, what), count) in times {
        assert!(
            count == 1,
            "{about}: {what} {count} times by {action}: {effects:#?}"
        );
    }
    let of = |start: &str| {
        effects
            .iter()
            .filter(|one| one.what.starts_with(start))
            .count()
    };
    let instances =
        bads.iter().filter(|bad| bad.kind == Kind::Instance).count() + usize::from(all_classes);
    assert!(of("snapshot") <= instances, "{about}: {effects:#?}");
    let logs =
        bads.iter().filter(|bad| bad.kind == Kind::FlowLog).count() + usize::from(all_classes);
    assert!(of("flow log") <= logs, "{about}: {effects:#?}");
    match scenario.all_classes {
        Some(OnAmbiguous::Retry) => assert!(!is_as_before || cloud.posts >= 1, "{about}"),
        Some(_) => assert!(cloud.posts <= 1, "{about}: {} posts", cloud.posts),
        None => {}
    }
    if is_as_before {
        let mut after = cloud.normal();
        after.posts = 0;
        assert_eq!(after, *before, "{about}: {effects:#?}");
    }
    if is_as_wanted {
        for bad in bads {
            assert!(
                bad.is_mended(&cloud),
                "{about}: {:?} {effects:#?}",
                bad.kind
            );
        }
    }
    // What is taken back waits for no cap.
    let is_back = book.actions().any(|action| action.back.is_some());
    if scenario.is_capped && !is_back {
        for one in &effects {
            let is_within =
                |other: &&Effect| (one.time..=one.time + 5 * MINUTE).contains(&other.time);
            let other = effects
                .iter()
                .filter(is_within)
                .find(|other| other.action != one.action);
            assert!(
                other.is_none(),
                "{about}: the cap is exceeded: {effects:#?}"
            );
        }
    }
}

const CAPPED: &str = r#"per_policy = { max = 1, window = "5m" }, per_account = { max = 1, window = "5m" }, concurrency = 10"#;

#[test]
fn nothing_is_lost_and_nothing_is_done_twice_wherever_it_ends() {
    let wanted: u64 = std::env::var("TRIPLINE_CRASHES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(600);
    let seeds = AtomicU64::new(0);
    let first = BTreeMap::from([("flushed", BTreeSet::from([0]))]);
    let all = Mutex::new((Figures::default(), first));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = seeds.fetch_add(1, Ordering::Relaxed);
                    let (point, number) = {
                        let all = all.lock().expect("is not poisoned");
                        if all.0.by_point.values().sum::<u64>() >= wanted {
                            return;
                        }
                        // The point that was ended at least often so far, or any; of a scenario that gets there, or any.
                        let points: Vec<_> = all.1.keys().copied().collect();
                        let count =
                            |point: &&&str| all.0.by_point.get(**point).copied().unwrap_or(0);
                        let point = match seed % 3 {
                            0 => *points.iter().min_by_key(count).expect("there are some"),
                            _ => points[(seed / 3) as usize % points.len()],
                        };
                        let known: Vec<u64> = all.1[point].iter().copied().collect();
                        match seed % 4 {
                            1 => (point, seed / 4 * 7 % SCENARIOS),
                            _ => (point, known[(seed / 2) as usize % known.len()]),
                        }
                    };
                    let mut figures = Figures::default();
                    let mut reached = BTreeSet::new();
                    trial(seed, number, point, &mut figures, &mut reached);
                    let mut all = all.lock().expect("is not poisoned");
                    for point in reached {
                        all.1.entry(point).or_default().insert(number);
                    }
                    for (point, count) in figures.by_point {
                        *all.0.by_point.entry(point).or_default() += count;
                    }
                    for (end, count) in figures.ends {
                        *all.0.ends.entry(end).or_default() += count;
                    }
                    all.0.gave_up += figures.gave_up;
                    all.0.torn += figures.torn;
                    all.0.trials += figures.trials;
                    all.0.effects += figures.effects;
                }
            });
        }
    });
    let (figures, reached) = all.into_inner().expect("is not poisoned");
    let sum: u64 = figures.by_point.values().sum();
    println!(
        "{sum} crashes in {} trials, {} torn, {} effects, ends {:?}",
        figures.trials, figures.torn, figures.effects, figures.ends
    );
    println!("{:#?}", figures.by_point);
    assert!(reached.len() >= 25, "only {} points", reached.len());
    let most: u64 = figures.ends.values().sum();
    let gave_up = figures.gave_up;
    assert!(gave_up * 50 <= most, "{gave_up} of {most} gave up");
    if wanted >= 5_000 {
        let never = reached
            .keys()
            .filter(|point| !figures.by_point.contains_key(*point));
        assert_eq!(
            never.collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "never ended there"
        );
    }
}
