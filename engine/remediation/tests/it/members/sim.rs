//! The members and what becomes of them: they are cut off, stopped in the middle of anything, and killed. All that happens does in
//! one thread, so whoever is stopped is so within a step of somebody else.

use super::servers::{Line, Order};
use crate::stage::{self, Bad, alice, policies_with, vote_of};
use crate::world::{Faults, MINUTE, SECOND, World};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tempfile::TempDir;
use tripline_remediation::book::Rules;
use tripline_remediation::engine::{Engine, EngineFault, Identity, Outside, Sent, Settings, Turn};
use tripline_remediation::journal::Scope;
use tripline_remediation::machine::{Action, State};
use tripline_remediation::plan::Call;
use tripline_remediation::policy::Cap;

pub(super) const MEMBERS: usize = 3;

/// How far clocks differ, in microseconds.
const SKEWS: [i64; MEMBERS] = [0, 900_000, -900_000];

thread_local! {
    /// How deep steps of members are within steps of others.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static SIMS: RefCell<Vec<Arc<Sim>>> = const { RefCell::new(Vec::new()) };
}

/// How a world goes.
pub(super) struct Manner {
    pub(super) limits: &'static str,
    pub(super) global: Option<Cap>,
    /// What goes wrong at a point or with a request does so many times more rarely.
    pub(super) rarity: u64,
    /// So many findings may be considered, and turns be taken, in one step.
    pub(super) at_once: u64,
    /// So many entries of the order are read at once, at most.
    pub(super) reads_at_once: u64,
    /// One of so many steps that could be a vote is one.
    pub(super) votes: u64,
}

/// One member.
#[derive(Default)]
pub(super) struct Member {
    pub(super) engine: Mutex<Option<Arc<Engine<Seen>>>>,
    /// It is in the middle of something, maybe stopped there.
    is_busy: AtomicBool,
    pub(super) is_cut_off: AtomicBool,
    /// The file is there on its machine that stops everything, and whether it is told to be anywhere.
    has_file: AtomicBool,
    is_killed: AtomicBool,
}

/// All of it.
pub(super) struct Sim {
    pub(super) manner: Manner,
    pub(super) world: World,
    pub(super) order: Mutex<Order>,
    pub(super) members: Vec<Member>,
    pub(super) folders: Vec<TempDir>,
    pub(super) bads: Vec<Bad>,
    /// The finding that is considered next, as the store that all share says.
    pub(super) cursor: AtomicUsize,
    /// Whether nothing goes wrong any more.
    is_calm: AtomicBool,
    steps: AtomicU64,
    pub(super) figures: Mutex<BTreeMap<&'static str, u64>>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The world as a member sees it: with a clock of its own.
pub(super) struct Seen {
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
                let is_killed = sim.members[self.member].is_killed.load(Ordering::SeqCst);
                assert!(!is_killed, "{} sends, and was told not to", self.name);
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

/// What became of a step of a member.
type Done = Result<(), EngineFault>;

impl Sim {
    pub(super) fn new(manner: Manner, world: World, bads: Vec<Bad>) -> Arc<Self> {
        let sim = Arc::new(Self {
            manner,
            world,
            order: Mutex::default(),
            members: (0..MEMBERS).map(|_| Member::default()).collect(),
            folders: (0..MEMBERS).map(|_| stage::folder()).collect(),
            bads,
            cursor: AtomicUsize::new(0),
            is_calm: AtomicBool::new(false),
            steps: AtomicU64::new(0),
            figures: Mutex::default(),
        });
        SIMS.with(|sims| sims.borrow_mut().push(Arc::clone(&sim)));
        sim
    }

    /// Ends the members.
    pub(super) fn end(&self) {
        SIMS.with(|sims| sims.borrow_mut().clear());
        for one in &self.members {
            *locked(&one.engine) = None;
        }
    }

    /// A step of somebody, and some time.
    pub(super) fn live(&self, passes: &[i64]) {
        self.step(self.world.chance(MEMBERS as u64) as usize);
        let passes = passes[self.world.chance(passes.len() as u64) as usize];
        self.world.pass(self.world.time() + passes);
    }

    pub(super) fn note(&self, what: &'static str) {
        *locked(&self.figures).entry(what).or_default() += 1;
    }

    /// Whether something goes wrong, of a thousand times.
    fn goes_wrong(&self, often: u64) -> bool {
        !self.is_calm.load(Ordering::SeqCst) && self.world.chance(1_000) < often
    }

    /// The same of what happens so often in a storm that it must be rarer.
    pub(super) fn fails(&self, often: u64) -> bool {
        let dice = self.world.chance(1_000 * self.manner.rarity);
        !self.is_calm.load(Ordering::SeqCst) && dice < often
    }

    /// That whoever sends something is the one that acts, as the servers have it: nobody else took over more than a second
    /// ago.
    fn check_actor(&self, name: &str) {
        let actor = locked(&self.order).actor.clone();
        let (actor, taken) = actor.expect("somebody took over");
        let age = self.world.time() - taken;
        assert!(
            actor == name || age <= SECOND,
            "{name} sends, and {actor} took over {age} us ago"
        );
    }

    /// The file that stops everything comes or goes on the machine of a member. Those who are not cut off hear of it.
    fn put_file(&self, member: usize, is_there: bool) {
        self.members[member]
            .has_file
            .store(is_there, Ordering::SeqCst);
        for other in 0..MEMBERS {
            self.look(other);
        }
    }

    /// Looks whether the file is there, here or where others are who are heard, as the service does again and again.
    fn look(&self, member: usize) {
        let has = |one: &Member| one.has_file.load(Ordering::SeqCst);
        let is_heard = |one: &&Member| !one.is_cut_off.load(Ordering::SeqCst);
        let one = &self.members[member];
        let mut others = self.members.iter().filter(is_heard);
        let is_killed = has(one) || (is_heard(&one) && others.any(has));
        let engine = locked(&one.engine).clone();
        if let Some(engine) = engine {
            if !is_killed {
                one.is_killed.store(false, Ordering::SeqCst);
            }
            engine.kill(is_killed);
            one.is_killed.store(is_killed, Ordering::SeqCst);
        }
    }

    /// At a named point of a member: it may be stopped there for a while, or be killed.
    fn at_point(&self, member: usize, point: &'static str) -> bool {
        if self.fails(12) {
            self.note("killed");
            return true;
        }
        // A point at which nobody else could go on, as the member has its book locked.
        if self.fails(30) && point != "checkpoint.read" {
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
            rules: Rules {
                global: self.manner.global,
                ..stage::settings().rules
            },
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
                engine.set_policies(policies_with(self.manner.limits));
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
    pub(super) fn step(&self, member: usize) {
        self.steps.fetch_add(1, Ordering::SeqCst);
        let one = &self.members[member];
        if one.is_busy.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.goes_wrong(8) {
            let was = one.is_cut_off.fetch_xor(true, Ordering::SeqCst);
            self.note(if was { "joined again" } else { "cut off" });
        }
        let has_file = one.has_file.load(Ordering::SeqCst);
        if self.goes_wrong(if has_file { 100 } else { 3 }) {
            self.put_file(member, !has_file);
            self.note(if has_file { "file gone" } else { "file there" });
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
            // To wait for servers takes as long as that they are away, and would be tried again and again.
            None if one.is_cut_off.load(Ordering::SeqCst) && self.world.chance(10) == 0 => {
                one.is_cut_off.store(false, Ordering::SeqCst);
            }
            None => {
                let opened = self.open(member);
                *locked(&one.engine) = opened;
                // Before anything can begin.
                self.look(member);
            }
        }
        one.is_busy.store(false, Ordering::SeqCst);
    }

    fn does(&self, engine: &Engine<Seen>, member: usize) -> Done {
        let chance = |below: u64| self.world.chance(below);
        self.look(member);
        engine.follow(Duration::ZERO)?;
        self.note_file(engine, member)?;
        let is_chosen = self.chosen() == member || self.goes_wrong(20);
        if is_chosen && !engine.acts() && engine.take_over()? {
            self.note("taken over");
        }
        match chance(12) {
            0..=5 => {
                for _ in 0..=chance(self.manner.at_once) {
                    let turn = engine.turn()?;
                    self.note(match turn {
                        Turn::Worked => "turns",
                        _ => "turns without work",
                    });
                    if turn != Turn::Worked {
                        break;
                    }
                }
            }
            6 | 7 if engine.acts() => {
                for _ in 0..=chance(self.manner.at_once) {
                    self.consider(engine)?;
                }
            }
            8 if chance(self.manner.votes) == 0 => self.vote(engine)?,
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

    fn consider(&self, engine: &Engine<Seen>) -> Done {
        let chance = |below: u64| self.world.chance(below);
        let at = self.cursor.load(Ordering::SeqCst);
        let at = match chance(5) {
            0 => at.saturating_sub(1),
            _ => at,
        };
        if let Some(bad) = self.bads.get(at) {
            bad.consider(engine)?;
            // It may end before it says so.
            if chance(6) > 0 {
                self.cursor.fetch_max(at + 1, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    /// Notes when the file came or went, as whoever acts does.
    fn note_file(&self, engine: &Engine<Seen>, member: usize) -> Done {
        let is_there = self.members[member].is_killed.load(Ordering::SeqCst);
        let was_there = engine.book().off().contains_key(&Scope::KillFile);
        if engine.acts() && is_there != was_there {
            engine.switch(Scope::KillFile, is_there, "kill file", "a trial")?;
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
    pub(super) fn calm_down(&self, until: i64) {
        self.is_calm.store(true, Ordering::SeqCst);
        self.world.set_faults(Faults::default());
        for one in &self.members {
            one.is_cut_off.store(false, Ordering::SeqCst);
            one.has_file.store(false, Ordering::SeqCst);
        }
        for member in 0..MEMBERS {
            self.step(member);
            self.step(member);
        }
        let engines: Vec<_> = (0..MEMBERS)
            .map(|member| locked(&self.members[member].engine).clone().expect("runs"))
            .collect();
        for scope in [Scope::All, Scope::Policy("sg".to_owned()), Scope::KillFile] {
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
            if self.manner.votes == 1 {
                self.vote(engine).expect("votes");
            }
            let mut turn = Turn::Worked;
            for _ in 0..self.manner.at_once {
                turn = engine.turn().expect("takes a turn");
                if turn != Turn::Worked {
                    break;
                }
            }
            let next = match turn {
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
