//! The engine: findings in, requests out, and a commit before and after each of them.
//!
//! It decides nothing that the `machine` and the `book` do not decide. What it asks of the world goes through [`Outside`],
//! clock included, so a test can end it anywhere and go on with the journal that is left.

mod consider;
mod news;
mod outside;
mod settings;
mod sharing;
mod work;

pub use consider::{Considered, Proposed, propose};
pub use news::News;
pub use outside::{Identity, Outside, Sent};
pub use settings::{EndsAt, Settings};
pub use sharing::Standing;
pub use work::{Turn, plan, plan_with};

use crate::action::{LastKnown, Planner};
use crate::ask::Questions;
use crate::book::{Book, Hold};
use crate::journal::{CheckpointKey, Entry, FileJournal, JournalFault, Opened, Record, Scope};
use crate::machine::{Action, Illegal, Input, Resolution, State};
use crate::policy::{Exempt, Policy};
use crate::shadow::Shadow;
use crate::vote::{Ballot, SignedVote, VoteFault, count};
use sharing::{Fate, PATIENCE, Shared};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use thiserror::Error;
use tripline_core::port::Ledger;

/// Why something was not done.
#[derive(Debug, Error)]
pub enum EngineFault {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// It cannot be so.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// A vote.
    #[error(transparent)]
    Vote(#[from] VoteFault),
    /// There is no such action.
    #[error("there is no action {0}")]
    NoAction(String),
    /// Somebody else was faster; it is looked at again.
    #[error("the action {0} changed meanwhile")]
    Changed(String),
    /// It cannot begin.
    #[error("it cannot begin now")]
    Held(Hold),
    /// Another process acts.
    #[error("another process acts")]
    NotActing,
    /// Somebody else's record came first; it is decided anew.
    #[error("somebody else was faster")]
    Overtaken,
    /// The servers on which several processes agree give no answer.
    #[error(
        "the servers give no answer, so nothing is done, and it is not known whether this counts: {0}"
    )]
    Unreachable(String),
    /// A test ended it here.
    #[error("ended at {0}")]
    Ended(&'static str),
    /// Something that it was given cannot be used.
    #[error("{0}")]
    Settings(String),
}

/// What policies are in force.
#[derive(Debug, Default)]
pub struct Policies {
    /// The policies.
    pub policies: Vec<Policy>,
    /// What they ask.
    pub questions: Questions,
    /// The exemptions.
    pub exempt: Vec<Exempt>,
    /// Whether an exemption could not be read: then nothing is done.
    pub is_exemption_lost: bool,
}

/// See the module.
pub struct Engine<O> {
    outside: O,
    settings: Settings,
    policies: RwLock<Arc<Policies>>,
    /// Who runs the plugins that make plans; [`EngineSettings::planner`] to begin with.
    planner: RwLock<Option<Arc<dyn Planner>>>,
    book: Mutex<Book>,
    shadow: Mutex<Shadow>,
    /// The journal of one process; what several share is in `shared`.
    journal: Option<FileJournal>,
    shared: Option<Box<Shared>>,
    key: CheckpointKey,
    busy: Mutex<HashSet<String>>,
    /// Of this process, when it acts or did; 0 when it never did.
    epoch: AtomicU64,
    /// Nothing more is begun, as somebody else is to act.
    rests: AtomicBool,
    checkpointed: Mutex<u64>,
    /// How often something happened that may be due at once, for those who wait.
    bell: (Mutex<u64>, Condvar),
    /// What keeps actions from going on, as far as it is no record: what was asked and gave no answer.
    troubles: Mutex<HashMap<String, String>>,
    /// What happened to actions and was not told yet, in the order of the journal.
    news: Mutex<VecDeque<News>>,
}

impl<O: std::fmt::Debug> std::fmt::Debug for Engine<O> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Engine")
            .field("epoch", &self.epoch.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a record is waited for by.
enum Ticket {
    /// Its number in the files.
    Line(u64),
    /// What becomes of it.
    Carried(Arc<Fate>),
}

/// Takes a record of a journal that is opened into a book; whether it is to be told is decided by its number.
fn fold(
    book: &mut Book,
    (news, shadow): (&mut VecDeque<News>, &mut Shadow),
    record: &Record,
    told: u64,
) -> Result<(), JournalFault> {
    doubt(shadow, &record.entry);
    book.take(&record.entry, record.time)
        .map_err(|fault| JournalFault::Record(format!("record {}: {fault}", record.seq)))?;
    if record.seq > told {
        news.extend(News::of(record.seq, record.time, &record.entry, book));
    }
    Ok(())
}

/// What is to be put right is not what was good, whoever acts later, and after a restart.
fn doubt(shadow: &mut Shadow, entry: &Entry) {
    if let Entry::Action { input, .. } = entry
        && let Input::Proposed(proposal) | Input::Refused { proposal, .. } = &**input
    {
        shadow.doubt(&proposal.event);
    }
}

impl<O: Outside> Engine<O> {
    /// Opens the journal of a folder and takes it over.
    pub fn open(
        folder: &Path,
        outside: O,
        settings: Settings,
        key: CheckpointKey,
    ) -> Result<(Self, Opened), EngineFault> {
        let mut book = Book::new(settings.rules.clone());
        let (mut news, mut shadow) = (VecDeque::new(), Shadow::default());
        let (journal, opened) = FileJournal::open(folder, |record| {
            fold(&mut book, (&mut news, &mut shadow), &record, settings.told)
        })?;
        let epoch = book.epoch() + 1;
        let engine = Self::of((outside, settings, key), (book, news, shadow));
        let engine = Self {
            journal: Some(journal),
            epoch: AtomicU64::new(epoch),
            ..engine
        };
        engine.write(Entry::TakenOver { epoch }, None)?;
        Ok((engine, opened))
    }

    /// Follows the journal that several processes share, with files of its own in a folder. Nothing is taken over yet. `me`
    /// tells this process from all others, and from itself at other times.
    pub fn open_shared(
        folder: &Path,
        (ledger, me): (Arc<dyn Ledger>, String),
        outside: O,
        mut settings: Settings,
        key: CheckpointKey,
    ) -> Result<(Self, Opened), EngineFault> {
        settings.rules.skew = sharing::SKEW;
        let (mut news, mut shadow) = (VecDeque::new(), Shadow::default());
        let told = settings.told;
        let book = Book::new(settings.rules.clone());
        let (shared, opened) = Shared::open(folder, (ledger, me), book, |book, record| {
            fold(book, (&mut news, &mut shadow), record, told)
        })?;
        let engine = Self::of((outside, settings, key), (shared.book(), news, shadow));
        let shared = Some(Box::new(shared));
        Ok((Self { shared, ..engine }, opened))
    }

    fn of(
        (outside, settings, key): (O, Settings, CheckpointKey),
        (book, news, shadow): (Book, VecDeque<News>, Shadow),
    ) -> Self {
        Self {
            outside,
            planner: RwLock::new(settings.planner.clone()),
            settings,
            policies: RwLock::default(),
            book: Mutex::new(book),
            shadow: Mutex::new(shadow),
            journal: None,
            shared: None,
            key,
            busy: Mutex::default(),
            epoch: AtomicU64::new(0),
            rests: AtomicBool::new(false),
            checkpointed: Mutex::new(0),
            bell: Default::default(),
            troubles: Mutex::default(),
            news: Mutex::new(news),
        }
    }

    /// Puts policies in force.
    pub fn set_policies(&self, policies: Policies) {
        let mut place = self
            .policies
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *place = Arc::new(policies);
    }

    /// Has plans made by others from now on. One that is being made is made to its end by whom it was asked of.
    pub fn set_planner(&self, planner: Option<Arc<dyn Planner>>) {
        let mut place = self.planner.write().unwrap_or_else(PoisonError::into_inner);
        *place = planner;
    }

    /// Who makes plans now.
    pub fn planner(&self) -> Option<Arc<dyn Planner>> {
        self.planner
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The policies in force.
    pub fn policies(&self) -> Arc<Policies> {
        self.policies
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What is known of resources.
    pub fn shadow(&self) -> MutexGuard<'_, Shadow> {
        locked(&self.shadow)
    }

    /// All actions, for whoever looks.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        locked(&self.book)
    }

    /// What keeps an action from going on, when it is no record of it.
    pub fn trouble(&self, id: &str) -> Option<String> {
        locked(&self.troubles).get(id).cloned()
    }

    fn trouble_with(&self, action: &Action, why: String) {
        let mut troubles = locked(&self.troubles);
        // It is for people, who look at what is there now.
        if troubles.len() >= TROUBLES_MAX {
            troubles.clear();
        }
        troubles.insert(action.id.clone(), why);
    }

    /// The world.
    pub fn outside(&self) -> &O {
        &self.outside
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// An action as it is.
    pub fn action(&self, id: &str) -> Option<Action> {
        self.book().action(id).cloned()
    }

    /// Wakes those who wait.
    pub fn ring(&self) {
        *locked(&self.bell.0) += 1;
        self.bell.1.notify_all();
    }

    /// How often it rang: to be asked before it is looked what is due, and given to [`Self::wait`].
    pub fn rung(&self) -> u64 {
        *locked(&self.bell.0)
    }

    /// Waits until it rings again, at most so long.
    pub fn wait(&self, rung: u64, at_most: Duration) {
        let bell = locked(&self.bell.0);
        let waits = |now: &mut u64| *now == rung;
        drop(self.bell.1.wait_timeout_while(bell, at_most, waits));
    }

    fn point(&self, name: &'static str) -> Result<(), EngineFault> {
        match &self.settings.ends_at {
            Some(ends) if ends(name) => Err(EngineFault::Ended(name)),
            _ => Ok(()),
        }
    }

    /// Has an entry written that was decided on the book, and takes it in.
    fn record(&self, book: &mut Book, now: i64, entry: Entry) -> Result<Ticket, EngineFault> {
        if let Some(shared) = &self.shared {
            let fate = shared.queue(now, entry.clone())?;
            book.take(&entry, now)?;
            return Ok(Ticket::Carried(fate));
        }
        let Some(journal) = &self.journal else {
            return Err(EngineFault::Settings("there is no journal".to_owned()));
        };
        let seq = journal.append(now, VERSION, entry.clone())?;
        book.take(&entry, now)?;
        locked(&self.news).extend(News::of(seq, now, &entry, book));
        Ok(Ticket::Line(seq))
    }

    /// Waits until a record and all before it are on the disk; where several share a journal until they are in its order, at
    /// most so long.
    fn flush(&self, ticket: &Ticket, patience: Option<Duration>) -> Result<(), EngineFault> {
        match (ticket, &self.journal, &self.shared) {
            (Ticket::Line(seq), Some(journal), _) => Ok(journal.flush(*seq)?),
            (Ticket::Carried(fate), _, Some(shared)) => self.carried(shared, fate, patience),
            _ => Err(EngineFault::Settings("there is no journal".to_owned())),
        }
    }

    /// Writes an entry that is about no action, and waits until it is on the disk.
    fn write(&self, entry: Entry, patience: Option<Duration>) -> Result<(), EngineFault> {
        for times in 1.. {
            let now = self.outside.now();
            let ticket = self.record(&mut self.book(), now, entry.clone())?;
            self.point("written.appended")?;
            match self.flush(&ticket, patience) {
                Err(EngineFault::Overtaken) => self.ask_in(times),
                done => {
                    done?;
                    break;
                }
            }
        }
        self.point("written.flushed")
    }

    /// Lets something happen to an action that must be as it was looked at. It is in the journal when `flush` of the ticket
    /// returned has returned.
    fn append(&self, id: &str, revision: u64, input: Input) -> Result<Ticket, EngineFault> {
        let mut book = self.book();
        // The clock is read within the lock, so that records are in the order of their times.
        let now = self.outside.now();
        if !input.is_of_people() && !self.is_acting(&book) {
            return Err(EngineFault::NotActing);
        }
        match book.action(id) {
            Some(action) if action.revision != revision => {
                return Err(EngineFault::Changed(id.to_owned()));
            }
            Some(action) => {
                if matches!(input, Input::Began { .. } | Input::Intent { .. }) {
                    book.may_send(action, now).map_err(EngineFault::Held)?;
                }
            }
            None if revision == 0 => {}
            None => return Err(EngineFault::NoAction(id.to_owned())),
        }
        let entry = book.entry(id, input, now)?;
        self.record(&mut book, now, entry)
    }

    /// The same, on the disk when it returns.
    fn commit(&self, id: &str, revision: u64, input: Input) -> Result<(), EngineFault> {
        self.commit_within(id, revision, input, None)
    }

    /// The same for those who do not wait for ever for servers.
    fn commit_within(
        &self,
        id: &str,
        revision: u64,
        input: Input,
        patience: Option<Duration>,
    ) -> Result<(), EngineFault> {
        for times in 1.. {
            let ticket = self.append(id, revision, input.clone())?;
            locked(&self.troubles).remove(id);
            self.point("appended")?;
            match self.flush(&ticket, patience) {
                // What was decided is decided again on what is there now.
                Err(EngineFault::Overtaken) => self.ask_in(times),
                done => {
                    done?;
                    break;
                }
            }
        }
        self.point("flushed")
    }

    /// Counts a vote. How the action is then.
    pub fn vote(&self, signed: SignedVote) -> Result<State, EngineFault> {
        let id = signed.vote.action.clone();
        loop {
            let action = self
                .action(&id)
                .ok_or_else(|| VoteFault::NoAction(id.clone()))?;
            let input = self.counted(&action, &signed)?;
            self.point("vote.counted")?;
            match self.commit_within(&action.id, action.revision, input, Some(PATIENCE)) {
                // Somebody else voted at the same moment: it is counted with theirs.
                Err(EngineFault::Changed(_)) => continue,
                done => done?,
            }
            self.point("vote.committed")?;
            self.ring();
            let action = self.action(&action.id).unwrap_or(action);
            self.outside.told(&action);
            return Ok(action.state);
        }
    }

    /// What a vote is for an action as it is.
    fn counted(&self, action: &Action, signed: &SignedVote) -> Result<Input, VoteFault> {
        let proposal = &action.proposal;
        let plan_hash = action
            .plan
            .as_ref()
            .map(|(_, hash)| hash.as_str())
            .unwrap_or_default();
        let suspects = Book::suspects(&proposal.origin, &proposal.subject.resource);
        let approval = &proposal.terms.approval;
        let ballot = Ballot {
            action: &action.id,
            plan_hash,
            suspects: suspects.iter().map(String::as_str).collect(),
            owner: &proposal.terms.owner,
            groups: &approval.groups,
            quorum: approval.quorum,
            votes: &action.votes,
            nonces: &action.nonces,
            now: self.outside.now(),
        };
        let is_enough = count(&ballot, signed, &self.settings.approvers)?;
        let takes_votes = matches!(
            action.state,
            State::AwaitingApproval { .. } | State::VetoWindow { .. }
        );
        let takes_glass =
            takes_votes || matches!(action.state, State::Deferred { .. } | State::DryRun);
        let is_open = match signed.vote.break_glass {
            true => takes_glass,
            false => takes_votes,
        };
        if !is_open {
            let state = action.state.name().to_owned();
            return Err(VoteFault::Closed(action.id.clone(), state));
        }
        let vote = signed.clone();
        Ok(match signed.vote.break_glass {
            true => Input::BrokenGlass {
                by: vote.vote.approver.clone(),
                reason: vote.vote.reason.clone(),
                vote,
            },
            false => Input::Voted { vote, is_enough },
        })
    }

    /// Takes an action back.
    pub fn revert(&self, id: &str, by: &str, reason: &str) -> Result<(), EngineFault> {
        self.say(
            id,
            |by, reason| Input::RevertAsked { by, reason },
            by,
            reason,
        )
    }

    /// Withdraws an action that has not begun.
    pub fn cancel(&self, id: &str, by: &str, reason: &str) -> Result<(), EngineFault> {
        self.say(id, |by, reason| Input::Canceled { by, reason }, by, reason)
    }

    /// Says what became of a request of which nothing tells.
    pub fn resolve(&self, id: &str, by: &str, resolution: Resolution) -> Result<(), EngineFault> {
        self.say(id, |by, _| Input::Resolved { by, resolution }, by, "")
    }

    fn say(
        &self,
        id: &str,
        input: impl Fn(String, String) -> Input,
        by: &str,
        reason: &str,
    ) -> Result<(), EngineFault> {
        loop {
            let action = self
                .action(id)
                .ok_or_else(|| EngineFault::NoAction(id.to_owned()))?;
            let input = input(by.to_owned(), reason.to_owned());
            match self.commit_within(id, action.revision, input, Some(PATIENCE)) {
                // Something happened to it at the same moment: it is said of what it is then.
                Err(EngineFault::Changed(_)) => continue,
                done => done?,
            }
            break;
        }
        self.point("said.committed")?;
        self.ring();
        if let Some(action) = self.action(id) {
            self.outside.told(&action);
        }
        Ok(())
    }

    /// Stops everything while a file is there, or no longer.
    pub fn kill(&self, is_killed: bool) {
        self.book().kill(is_killed);
    }

    /// Turns a switch. When it returns no request is let go any more that it stops; one that was, just before, begins at once.
    pub fn switch(
        &self,
        scope: Scope,
        is_off: bool,
        by: &str,
        reason: &str,
    ) -> Result<(), EngineFault> {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        let turned = Entry::Switch {
            scope,
            is_off,
            by,
            reason,
        };
        self.write(turned, Some(PATIENCE))?;
        self.ring();
        Ok(())
    }

    /// Writes that the service's own trail shows a request of ours. Whether it is one that the journal knows.
    pub fn witness(&self, action: &str, request: &str, event: &str) -> Result<bool, EngineFault> {
        if self.action(action).is_none() {
            return Ok(false);
        }
        let (id, request, event) = (action.to_owned(), request.to_owned(), event.to_owned());
        let witnessed = Entry::Witnessed { id, request, event };
        self.write(witnessed, Some(PATIENCE))?;
        Ok(true)
    }

    /// Signs how far the journal is, if anything was written since the last time. The line, to be kept elsewhere.
    pub fn checkpoint(&self) -> Result<Option<String>, EngineFault> {
        let mut done = locked(&self.checkpointed);
        let mut book = self.book();
        if !self.is_acting(&book) {
            return Ok(None);
        }
        let (seq, hash) = match (&self.journal, &self.shared) {
            (Some(journal), _) => journal.newest()?,
            (None, Some(shared)) => shared.last(),
            (None, None) => return Ok(None),
        };
        if seq == *done {
            return Ok(None);
        }
        let now = self.outside.now();
        self.point("checkpoint.read")?;
        let signed = self
            .key
            .sign(seq, &hash, now)
            .map_err(EngineFault::Settings)?;
        let line = signed.line();
        let ticket = self.record(&mut book, now, Entry::Checkpoint(signed))?;
        drop(book);
        self.point("checkpoint.appended")?;
        match self.flush(&ticket, None) {
            // What it signs has another number now.
            Err(EngineFault::Overtaken) => return Ok(None),
            flushed => flushed?,
        }
        self.point("checkpoint.flushed")?;
        // The checkpoint itself is of no need of another.
        *done = seq + 1;
        Ok(Some(line))
    }

    /// How many actions are in each state.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for action in self.book().actions() {
            *counts.entry(action.state.name()).or_default() += 1;
        }
        counts
    }
}

impl<O: Outside> LastKnown for Engine<O> {
    fn before(&self, arn: &str, aspect: &str, time: i64) -> Option<crate::action::Known> {
        self.shadow().before(arn, aspect, time)
    }
}

/// So many troubles are remembered at most.
const TROUBLES_MAX: usize = 10_000;

/// What stands in records.
const VERSION: &str = env!("CARGO_PKG_VERSION");
