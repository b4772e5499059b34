//! Three processes that share a journal, in a world of their own: servers that lose requests and answers, members that are
//! cut off, stopped in the middle of anything, and killed. Whoever looks asks the world, and never one of them.
//! `TRIPLINE_MEMBERS` sets how many trials there are.

use crate::stage::{self, Bad, KINDS, alice, bad, policies_with, vote_of};
use crate::storm::most_within;
use crate::world::{Cloud, Effect, Faults, HOUR, MINUTE, SECOND, START, World};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tempfile::TempDir;
use tripline_core::port::{Entry, FaultClass, Ledger, PortFault, Sequence};
use tripline_core::rule::kind::EventTime;
use tripline_remediation::book::Book;
use tripline_remediation::engine::{Engine, EngineFault, Identity, Outside, Sent, Settings, Turn};
use tripline_remediation::journal::{Entry as Record, Parcel, Scope, verify};
use tripline_remediation::machine::{Action, Input, State};
use tripline_remediation::plan::Call;

const MEMBERS: usize = 3;

/// How far clocks differ, in microseconds.
const SKEWS: [i64; MEMBERS] = [0, 900_000, -900_000];

const LIMITS: &str = r#"per_policy = { max = 3, window = "5m" }, per_account = { max = 2, window = "5m" }, concurrency = 10"#;

thread_local! {
    /// How deep steps of members are within steps of others.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// What the servers have.
#[derive(Default)]
struct Order {
    entries: Vec<Entry>,
    last: u64,
    /// The newest of the journal.
    newest: u64,
    /// Appends that land later: when, what is expected, and what.
    late: Vec<(i64, Option<Sequence>, Vec<u8>)>,
}

impl Order {
    fn land(&mut self, world: &World) {
        let now = world.time();
        let late = std::mem::take(&mut self.late);
        for (at, expected, bytes) in late {
            match at <= now {
                true => drop(self.take(world, expected, &bytes)),
                false => self.late.push((at, expected, bytes)),
            }
        }
    }

    fn take(
        &mut self,
        world: &World,
        expected: Option<Sequence>,
        bytes: &[u8],
    ) -> Result<Sequence, PortFault> {
        if expected.is_some_and(|expected| expected.0 != self.newest) {
            return Err(PortFault::new(FaultClass::Fenced, "append"));
        }
        // Places have holes.
        self.last += 1 + world.chance(2);
        let place = Sequence(self.last);
        if expected.is_some() {
            self.newest = self.last;
        }
        let taken = EventTime::from_micros(world.time());
        let bytes = bytes.to_vec();
        self.entries.push(Entry {
            place,
            taken,
            bytes,
        });
        Ok(place)
    }
}

/// One member.
#[derive(Default)]
struct Member {
    engine: Mutex<Option<Arc<Engine<Seen>>>>,
    /// It is in the middle of something, maybe stopped there.
    is_busy: AtomicBool,
    is_cut_off: AtomicBool,
}

/// All of it.
struct Sim {
    world: World,
    order: Mutex<Order>,
    members: Vec<Member>,
    folders: Vec<TempDir>,
    bads: Vec<Bad>,
    /// The finding that is considered next, as the store that all share says.
    cursor: AtomicUsize,
    /// Whether nothing goes wrong any more.
    is_calm: AtomicBool,
    steps: AtomicU64,
    figures: Mutex<BTreeMap<&'static str, u64>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The world as a member sees it: with a clock of its own.
struct Seen {
    sim: Weak<Sim>,
    world: World,
    member: usize,
    name: String,
}

impl Outside for Seen {
    fn now(&self) -> i64 {
        self.world.now() + SKEWS[self.member]
    }

    fn send(&self, call: &Call, identity: &Identity) -> Sent {
        self.world.send(call, identity)
    }

    fn send_if(&self, call: &Call, identity: &Identity, may: &dyn Fn() -> bool) -> Sent {
        let may = || {
            let may = may();
            if let (true, Some(sim)) = (may, self.sim.upgrade()) {
                sim.check_actor(&self.name);
            }
            may
        };
        self.world.send_if(call, identity, &may)
    }

    fn pause(&self, time: Duration) {
        let time = i64::try_from(time.as_micros()).expect("is short");
        self.world.pass(self.world.time() + time);
        if let Some(sim) = self.sim.upgrade() {
            sim.others(self.member, 3);
            // Whoever waits within others' steps would wait for ever.
            if DEPTH.get() >= 2 || self.world.chance(20) == 0 {
                sim.members[self.member]
                    .is_cut_off
                    .store(false, Ordering::SeqCst);
            }
        }
    }

    fn told(&self, _: &Action) {}
}

/// The servers as a member sees them.
struct Line {
    sim: Weak<Sim>,
    member: usize,
}

impl Line {
    fn ask<T>(
        &self,
        does: impl FnOnce(&Sim, &mut Order) -> Result<T, PortFault>,
    ) -> Result<T, PortFault> {
        let retry = || PortFault::new(FaultClass::Retry, "ask");
        let sim = self.sim.upgrade().ok_or_else(retry)?;
        let is_cut_off = sim.members[self.member].is_cut_off.load(Ordering::SeqCst);
        if is_cut_off || sim.goes_wrong(30) {
            return Err(retry());
        }
        let mut order = locked(&sim.order);
        order.land(&sim.world);
        does(&sim, &mut order)
    }
}

impl Ledger for Line {
    fn append(
        &self,
        key: &str,
        expected: Option<Sequence>,
        bytes: &[u8],
    ) -> Result<Sequence, PortFault> {
        let lost = || PortFault::new(FaultClass::Retry, "hear what became of it");
        self.ask(|sim, order| {
            assert_eq!(key == "journal", expected.is_some());
            if expected.is_none() {
                sim.note("asked to be let in");
            }
            if sim.goes_wrong(60) {
                let at = sim.world.time() + sim.world.chance(20 * SECOND as u64) as i64;
                order.late.push((at, expected, bytes.to_vec()));
                sim.note("appended late");
                return Err(lost());
            }
            let taken = order.take(&sim.world, expected, bytes);
            if sim.goes_wrong(60) {
                sim.note("answer lost");
                return Err(lost());
            }
            if taken.is_err() {
                sim.note("overtaken");
            }
            taken
        })
    }

    fn newest(&self, _: &str) -> Result<Sequence, PortFault> {
        self.last()
    }

    fn last(&self) -> Result<Sequence, PortFault> {
        self.ask(|_, order| Ok(Sequence(order.last)))
    }

    fn first(&self) -> Result<Sequence, PortFault> {
        Ok(Sequence(1))
    }

    fn purge(&self, _: Sequence) -> Result<(), PortFault> {
        panic!("the journal is never shortened")
    }

    fn read(&self, after: Sequence) -> Result<Vec<Entry>, PortFault> {
        self.ask(|sim, order| {
            let later = order.entries.iter().filter(|one| one.place > after);
            let most = 1 + sim.world.chance(20) as usize;
            Ok(later.take(most).cloned().collect())
        })
    }

    fn wait(&self, after: Sequence, _: Duration) -> Result<bool, PortFault> {
        self.ask(|_, order| Ok(order.last > after.0))
    }

    fn keep(&self, _: &str, _: &[u8]) -> Result<(), PortFault> {
        panic!("nothing is kept beside the journal")
    }

    fn kept(&self, _: &str) -> Result<Option<Vec<u8>>, PortFault> {
        panic!("nothing is kept beside the journal")
    }

    fn names(&self) -> Result<Vec<String>, PortFault> {
        panic!("nothing is kept beside the journal")
    }

    fn forget(&self, _: &str) -> Result<(), PortFault> {
        panic!("nothing is kept beside the journal")
    }
}

/// What became of a step of a member.
type Done = Result<(), EngineFault>;

impl Sim {
    fn new(seed: u64, count: u64) -> Arc<Self> {
        let mut cloud = Cloud::default();
        let bads = (0..count)
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
        Arc::new(Self {
            world: World::new(seed, faults, cloud),
            order: Mutex::default(),
            members: (0..MEMBERS).map(|_| Member::default()).collect(),
            folders: (0..MEMBERS).map(|_| stage::folder()).collect(),
            bads,
            cursor: AtomicUsize::new(0),
            is_calm: AtomicBool::new(false),
            steps: AtomicU64::new(0),
            figures: Mutex::default(),
        })
    }

    fn note(&self, what: &'static str) {
        *locked(&self.figures).entry(what).or_default() += 1;
    }

    /// Whether something goes wrong, of a thousand times.
    fn goes_wrong(&self, often: u64) -> bool {
        !self.is_calm.load(Ordering::SeqCst) && self.world.chance(1_000) < often
    }

    /// That whoever sends something is the one that acts, as the servers have it: nobody else took over more than a second
    /// ago.
    fn check_actor(&self, name: &str) {
        let order = locked(&self.order);
        for entry in order.entries.iter().rev() {
            let parcel = Parcel::of_bytes(&entry.bytes).expect("is a parcel");
            let takes_over = parcel
                .records
                .iter()
                .any(|(record, _, _)| matches!(record.entry, Record::TakenOver { .. }));
            if takes_over {
                let age = self.world.time() - entry.taken.micros();
                assert!(
                    parcel.by == name || age <= SECOND,
                    "{name} sends, and {} took over {age} us ago",
                    parcel.by
                );
                return;
            }
        }
        panic!("{name} sends, and nobody ever took over");
    }

    /// At a named point of a member: it may be stopped there for a while, or be killed.
    fn at_point(&self, member: usize, point: &'static str) -> bool {
        if self.goes_wrong(12) {
            self.note("killed");
            return true;
        }
        // A point at which nobody else could go on, as the member has its book locked.
        if self.goes_wrong(30) && point != "checkpoint.read" {
            self.note("stopped");
            let away = [SECOND, 5 * SECOND, 20 * SECOND, 2 * MINUTE, 9 * MINUTE];
            let until = self.world.time() + away[self.world.chance(away.len() as u64) as usize];
            while self.world.time() < until {
                self.world.pass(self.world.time() + SECOND);
                self.others(member, 2 + self.world.chance(6));
            }
        }
        false
    }

    /// Steps of others, while a member is stopped or waits.
    fn others(&self, but: usize, count: u64) {
        if DEPTH.get() >= 2 {
            return;
        }
        DEPTH.set(DEPTH.get() + 1);
        for _ in 0..count {
            let member = self.world.chance(MEMBERS as u64) as usize;
            if member != but {
                self.step(member);
            }
        }
        DEPTH.set(DEPTH.get() - 1);
    }

    fn this(&self) -> Arc<Self> {
        SIMS.with(|sims| {
            let sims = sims.borrow();
            let found = sims.iter().find(|one| std::ptr::eq(one.as_ref(), self));
            Arc::clone(found.expect("it is one of them"))
        })
    }

    fn open(&self, member: usize) -> Option<Arc<Engine<Seen>>> {
        let sim = Arc::downgrade(&self.this());
        let life = self.steps.load(Ordering::SeqCst);
        let name = format!("member-{member}-{life}");
        let outside = Seen {
            sim: sim.clone(),
            world: self.world.clone(),
            member,
            name: name.clone(),
        };
        let line = Line {
            sim: sim.clone(),
            member,
        };
        let settings = Settings {
            ends_at: Some(Box::new(move |point| {
                sim.upgrade().is_some_and(|sim| sim.at_point(member, point))
            })),
            ..stage::settings()
        };
        let opened = Engine::open_shared(
            self.folders[member].path(),
            (Arc::new(line), name),
            outside,
            settings,
            stage::checkpoint_key(),
        );
        match opened {
            Ok((engine, _)) => {
                engine.set_policies(policies_with(LIMITS));
                // What resources were like, everybody knows.
                for bad in &self.bads {
                    bad.known.iter().for_each(|event| {
                        engine.shadow().fold(event);
                    });
                }
                Some(Arc::new(engine))
            }
            Err(EngineFault::Unreachable(_)) => None,
            Err(fault) => panic!("member {member}: {fault}"),
        }
    }

    /// Who is to act, as far as anybody knows: whoever does, if it is there.
    fn chosen(&self) -> usize {
        let is_there = |member: &usize| {
            let one = &self.members[*member];
            !one.is_busy.load(Ordering::SeqCst)
                && !one.is_cut_off.load(Ordering::SeqCst)
                && locked(&one.engine).is_some()
        };
        let mut there = (0..MEMBERS).filter(is_there);
        let acts = |member: &usize| {
            let engine = locked(&self.members[*member].engine).clone();
            engine.is_some_and(|engine| engine.acts())
        };
        let acting = there.clone().find(acts);
        acting.or_else(|| there.next()).unwrap_or(0)
    }

    /// One step of a member that is not in the middle of another.
    fn step(&self, member: usize) {
        self.steps.fetch_add(1, Ordering::SeqCst);
        let one = &self.members[member];
        if one.is_busy.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.goes_wrong(8) {
            let was = one.is_cut_off.fetch_xor(true, Ordering::SeqCst);
            self.note(if was { "joined again" } else { "cut off" });
        }
        let engine = locked(&one.engine).clone();
        match engine {
            Some(engine) => match self.does(&engine, member) {
                Ok(()) => {}
                Err(EngineFault::Ended(_)) => {
                    *locked(&one.engine) = None;
                    if self.world.chance(3) == 0 {
                        tear(self.folders[member].path(), &self.world);
                    }
                }
                Err(
                    EngineFault::Unreachable(_)
                    | EngineFault::NotActing
                    | EngineFault::NoAction(_)
                    | EngineFault::Illegal(_)
                    | EngineFault::Vote(_),
                ) => {}
                Err(fault) => panic!("member {member}: {fault}"),
            },
            None => *locked(&one.engine) = self.open(member),
        }
        one.is_busy.store(false, Ordering::SeqCst);
    }

    fn does(&self, engine: &Engine<Seen>, member: usize) -> Done {
        let chance = |below: u64| self.world.chance(below);
        engine.follow(Duration::ZERO)?;
        let is_chosen = self.chosen() == member || self.goes_wrong(20);
        if is_chosen && !engine.acts() && engine.take_over()? {
            self.note("taken over");
        }
        match chance(12) {
            0..=5 => self.note(match engine.turn()? {
                Turn::Worked => "turns",
                _ => "turns without work",
            }),
            6 | 7 if engine.acts() => {
                let at = self.cursor.load(Ordering::SeqCst);
                let at = if chance(5) == 0 {
                    at.saturating_sub(1)
                } else {
                    at
                };
                if let Some(bad) = self.bads.get(at) {
                    bad.consider(engine)?;
                    // It may end before it says so.
                    if chance(6) > 0 {
                        self.cursor.fetch_max(at + 1, Ordering::SeqCst);
                    }
                }
            }
            8 => self.vote(engine)?,
            9 if chance(8) == 0 => {
                let scope = [Scope::All, Scope::Policy("sg".to_owned())];
                let scope = scope[chance(2) as usize].clone();
                let is_off = self.goes_wrong(500);
                engine.switch(scope, is_off, "alice", "a trial")?;
            }
            10 if chance(4) == 0 => {
                engine.checkpoint()?;
            }
            11 if chance(3) == 0 => {
                let id = engine.book().actions().next().map(|one| one.id.clone());
                if let Some(id) = id {
                    engine.witness(&id, "request", "event")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn vote(&self, engine: &Engine<Seen>) -> Done {
        let waiting = {
            let book = engine.book();
            let mut all = book.actions();
            let found = all.find(|one| matches!(one.state, State::AwaitingApproval { .. }));
            found.map(|one| one.id.clone())
        };
        let Some(id) = waiting else { return Ok(()) };
        let nonce = format!("{}", self.world.chance(u64::MAX));
        let vote = vote_of(engine, &id, "alice", alice(), &nonce);
        engine.vote(vote)?;
        self.note("votes");
        Ok(())
    }

    /// Ends all trouble, and goes on until there is nothing to do.
    fn calm_down(&self, until: i64) {
        self.is_calm.store(true, Ordering::SeqCst);
        self.world.set_faults(Faults::default());
        for one in &self.members {
            one.is_cut_off.store(false, Ordering::SeqCst);
        }
        for member in 0..MEMBERS {
            self.step(member);
            self.step(member);
        }
        let engines: Vec<_> = (0..MEMBERS)
            .map(|member| locked(&self.members[member].engine).clone().expect("runs"))
            .collect();
        for scope in [Scope::All, Scope::Policy("sg".to_owned())] {
            engines[1]
                .switch(scope, false, "alice", "the trial is over")
                .expect("is turned");
        }
        loop {
            for engine in &engines {
                engine.follow(Duration::ZERO).expect("follows");
            }
            let chosen = self.chosen();
            let engine = &engines[chosen];
            if !engine.acts() {
                assert!(engine.take_over().expect("takes over"), "nobody else does");
            }
            while let Some(bad) = self.bads.get(self.cursor.load(Ordering::SeqCst)) {
                bad.consider(engine).expect("is considered");
                self.cursor.fetch_add(1, Ordering::SeqCst);
            }
            self.vote(engine).expect("votes");
            let next = match engine.turn().expect("takes a turn") {
                Turn::Worked => continue,
                Turn::IdleUntil(at) => Some(at - SKEWS[chosen]),
                Turn::Idle => None,
            };
            let next = [next, self.world.lands()].into_iter().flatten().min();
            match next {
                Some(at) if at <= until => self.world.pass(at.max(self.world.time() + 1_000)),
                _ => break,
            }
        }
        self.world.pass(self.world.time() + 30 * SECOND);
        for engine in &engines {
            engine.follow(Duration::ZERO).expect("follows");
            engine.follow(Duration::ZERO).expect("follows");
        }
    }
}

thread_local! {
    static SIMS: std::cell::RefCell<Vec<Arc<Sim>>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Cuts the end of the newest file off, as a machine that lost its power does: what the servers have is read again.
fn tear(folder: &Path, world: &World) {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("is a folder")
        .flatten()
        .map(|one| one.path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    let Some(path) = files.last() else { return };
    let length = fs::metadata(path).expect("is there").len();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .expect("is opened");
    file.set_len(world.chance(length + 1)).expect("is cut");
}

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
    let mut times: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for effect in &effects {
        *times.entry((&effect.action, &effect.what)).or_default() += 1;
    }
    for ((action, what), count) in times {
        assert_eq!(count, 1, "{about}: {what} by {action}: {effects:#?}");
    }
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
    let sim = Sim::new(seed, 4 + seed % 9);
    SIMS.with(|sims| sims.borrow_mut().push(Arc::clone(&sim)));
    for _ in 0..600 {
        let member = sim.world.chance(MEMBERS as u64) as usize;
        sim.step(member);
        let passes = [1_000, 50_000, SECOND, 20 * SECOND][sim.world.chance(4) as usize];
        sim.world.pass(sim.world.time() + passes);
    }
    sim.calm_down(START + 40 * HOUR);
    check(&format!("seed {seed}"), &sim);
    SIMS.with(|sims| sims.borrow_mut().clear());
    for one in &sim.members {
        *locked(&one.engine) = None;
    }
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
