//! The book: all actions as they are, and what concerns several of them: who may begin, what is switched off, what comes
//! back again and again.
//!
//! It is the fold over the journal and nothing else, so whoever reads a journal has the same book. It reads no clock.

mod keep;
mod room;
mod slots;

use crate::journal::{Entry, Scope};
use crate::machine::{Action, BY_POLICY, Illegal, Input, Origin, Proposal, State, Wanted, wanted};
use crate::plan::{Resource, hex};
use crate::policy::{Cap, Mode};
use sha2::{Digest, Sha256};
use slots::Slots;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// So many actions may be open. What comes then is refused.
const OPEN_MAX: usize = 200_000;

/// Microseconds after which something that cannot begin is looked at again.
const SOON: i64 = 1_000_000;

/// What concerns all policies.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// At most so many actions of all policies together.
    pub global: Option<Cap>,
    /// When more actions than this wait to begin or for people, new ones wait for people.
    pub storm: usize,
    /// How long after a request was written down it can still have an effect.
    pub fence: i64,
    /// By so much the windows of caps are longer, in microseconds: where several processes act one after the other, their
    /// clocks differ.
    pub skew: i64,
    /// Stretches of time in which nothing begins, in microseconds since 1970, and why.
    pub frozen: Vec<(i64, i64, String)>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            global: Some(Cap {
                max: 100,
                window: crate::policy::Period::seconds(600),
            }),
            storm: 100,
            // Signatures count for five minutes, and clocks differ.
            fence: 7 * 60 * 1_000_000,
            skew: 0,
            frozen: Vec::new(),
        }
    }
}

/// Why an action cannot begin now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is switched off.
    Off(Scope),
    /// There is no room; why, and when it is looked at again.
    Later(String, i64),
}

/// What becomes of a proposal.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// It is this action already.
    Known(String),
    /// It is a new action, of this id.
    New(String),
    /// It is a new action, and it is not done; why.
    Refused(String, String),
}

/// The actions of a key.
#[derive(Clone, Debug, Default, PartialEq)]
struct Key {
    /// How many there were.
    count: u64,
    /// The newest that a guardrail did not refuse at once.
    last: Option<String>,
    /// The newest that was refused because that one was lately.
    again: Option<String>,
    /// The newest that was refused for whatever reason.
    refused: Option<String>,
}

/// Who has a resource.
#[derive(Clone, Debug, PartialEq)]
struct Lock {
    id: String,
    /// Until when, once it is at work no more: a request of it may be under way until then.
    until: i64,
}

/// What has been done by a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Actions that were proposed.
    pub proposed: u64,
    /// That began.
    pub began: u64,
    /// That were seen to have worked.
    pub succeeded: u64,
    /// That did not work.
    pub failed: u64,
    /// That were taken back because somebody asked.
    pub reverted: u64,
    /// Times at which some did not work, the latest.
    #[serde(skip)]
    failures: VecDeque<i64>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Book {
    actions: HashMap<String, Action>,
    keys: HashMap<String, Key>,
    /// By ARN.
    locks: HashMap<String, Lock>,
    slots: BTreeMap<String, Slots>,
    off: BTreeMap<Scope, String>,
    tallies: BTreeMap<String, Tally>,
    running: HashMap<String, HashSet<String>>,
    /// What is to be done, by time.
    due: BTreeSet<(i64, String)>,
    due_of: HashMap<String, i64>,
    /// Actions that wait for people or for room.
    waiting: HashSet<String>,
    settled: VecDeque<String>,
    refused: VecDeque<String>,
    /// How many actions are not settled.
    open: usize,
    /// The findings that an action was proposed for, by its key, the oldest first.
    answered: HashSet<(u64, u64)>,
    answered_in_order: VecDeque<(u64, u64)>,
    /// How many scopes and locks there may be before those that are over are looked for.
    sweeps_at: usize,
    epoch: u64,
    inventory: BTreeMap<String, u64>,
    rules: Rules,
    /// Whether a file is there that stops everything. No record: it is as it is now.
    is_killed: bool,
}

/// When something is to be done about an action.
fn due(action: &Action, now: i64, fence: i64) -> Option<i64> {
    match wanted(action, now, fence) {
        Wanted::Nothing => None,
        Wanted::Wait(at) => Some(at),
        _ => Some(now),
    }
}

fn short(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    u64::from_be_bytes(digest[..8].try_into().unwrap_or_default())
}

/// What makes two proposals the same one.
pub fn key_of(policy: &str, major: &str, resource: &Resource, fingerprint: &str) -> String {
    let parts = [
        policy,
        major,
        &resource.account,
        &resource.region,
        &resource.arn,
        fingerprint,
    ];
    let text = serde_json::to_string(&parts).unwrap_or_default();
    hex(&Sha256::digest(text.as_bytes())[..16])
}

impl Book {
    /// An empty book.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// An action.
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.actions.get(id)
    }

    /// All actions in memory.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.values()
    }

    /// Stops everything, or no longer, whatever the switches say.
    pub fn kill(&mut self, is_killed: bool) {
        self.is_killed = is_killed;
    }

    /// Takes over from another book what no journal tells.
    pub(crate) fn carry_over(&mut self, from: &Self) {
        self.is_killed = from.is_killed;
        self.inventory.clone_from(&from.inventory);
    }

    /// What is switched off, and why.
    pub fn off(&self) -> &BTreeMap<Scope, String> {
        &self.off
    }

    /// What each policy has done.
    pub fn tallies(&self) -> &BTreeMap<String, Tally> {
        &self.tallies
    }

    /// The number of the newest process that took the journal over.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What concerns all policies.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How many wait for people or for room.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many resources of a kind are known to be there.
    pub fn set_inventory(&mut self, inventory: BTreeMap<String, u64>) {
        self.inventory = inventory;
    }

    /// The first thing to be done, and when; microseconds since 1970.
    pub fn due(&self) -> impl Iterator<Item = (i64, &str)> {
        self.due.iter().map(|(at, id)| (*at, id.as_str()))
    }

    /// Puts off what is to be done about an action that is as it was looked at.
    pub fn put_off(&mut self, id: &str, revision: u64, until: i64) {
        let is_so = |action: &Action| action.revision == revision;
        if self.due_of.contains_key(id) && self.actions.get(id).is_some_and(is_so) {
            self.set_due(id, Some(until));
        }
    }

    /// Has everything that was put off looked at again.
    pub fn look_again(&mut self, now: i64) {
        let all: Vec<String> = self.due_of.keys().cloned().collect();
        for id in all {
            if let Some(action) = self.actions.get(&id) {
                let at = due(action, now, self.rules.fence);
                self.set_due(&id, at);
            }
        }
    }

    fn set_due(&mut self, id: &str, at: Option<i64>) {
        if let Some(old) = self.due_of.remove(id) {
            self.due.remove(&(old, id.to_owned()));
        }
        if let Some(at) = at {
            self.due.insert((at, id.to_owned()));
            self.due_of.insert(id.to_owned(), at);
        }
    }

    /// What becomes of a proposal at a time.
    pub fn judge(&self, proposal: &Proposal, now: i64) -> Judged {
        let key = self.keys.get(&proposal.key);
        let new = {
            let count = key.map_or(0, |key| key.count);
            // With the time: when a key was forgotten, its count begins anew, and ids are never used twice.
            let text = format!("{}#{count}#{now}", proposal.key);
            hex(&Sha256::digest(text.as_bytes())[..10])
        };
        let named = |id: &Option<String>| self.actions.get(id.as_deref()?);
        let last = key.and_then(|key| named(&key.last));
        let again = key.and_then(|key| named(&key.again));
        let finding = (short(&proposal.key), short(&proposal.origin.finding));
        if self.answered.contains(&finding) {
            let refused = key.and_then(|key| named(&key.refused));
            let known = last.or(again).or(refused);
            return Judged::Known(known.map_or(new, |action| action.id.clone()));
        }
        if last.is_some_and(|last| !last.state.is_settled()) {
            return Judged::Known(last.map(|last| last.id.clone()).unwrap_or(new));
        }
        if self.open >= OPEN_MAX {
            return Judged::Refused(new, format!("{OPEN_MAX} actions are open, and no more are"));
        }
        let Some(last) = last else {
            return Judged::New(new);
        };
        // Until when what was done covers what happened before. When it is only looked at again, that is no later.
        let end = match last.state {
            State::Succeeded | State::Drifted(_) => last.succeeded.unwrap_or(last.changed),
            _ => last.changed,
        };
        // Most events tell whole seconds alone, and may be of the end of theirs.
        let event_time = match proposal.origin.event_time {
            time if time % SOON == 0 => time.saturating_add(SOON - 1),
            time => time,
        };
        if event_time <= end {
            return Judged::Known(last.id.clone());
        }
        let did_nothing = matches!(last.state, State::Noop(_) | State::Unplannable(_));
        let limits = &proposal.terms.limits;
        if !did_nothing && now < end.saturating_add(limits.cooldown.0) {
            // Once is enough: what comes back again within the same time is the same.
            if let Some(again) = again.filter(|again| again.proposed >= end) {
                return Judged::Known(again.id.clone());
            }
            let why = format!(
                "cool-down: it was answered by {}, which is {}, and came back; nothing is done for {}",
                last.id,
                last.state.name(),
                limits.cooldown
            );
            return Judged::Refused(new, why);
        }
        let begins = self.slots.get(&format!("key:{}", proposal.key));
        let (flaps, _) = begins.map_or((0, None), |slots| {
            slots.after(now.saturating_sub(limits.flap_window.0), "")
        });
        if flaps >= limits.max_flaps {
            let since = now.saturating_sub(limits.cooldown.0);
            if let Some(again) = again.filter(|again| again.proposed >= since) {
                return Judged::Known(again.id.clone());
            }
            let why = format!(
                "flapping: it was answered {flaps} times within {} and comes back; somebody or something undoes it",
                limits.flap_window
            );
            return Judged::Refused(new, why);
        }
        Judged::New(new)
    }

    /// How far an action goes by itself at a time: less when its policy fails, or when too much waits.
    pub fn mode(&self, action: &Action, now: i64) -> Mode {
        let terms = &action.proposal.terms;
        let demote = terms.stage.demote;
        let failures = self
            .tallies
            .get(&action.proposal.policy.id)
            .map_or(0, |tally| {
                let lately = tally
                    .failures
                    .iter()
                    .filter(|at| **at > now - demote.window.0);
                lately.count()
            });
        let is_demoted = demote.failures > 0 && failures >= demote.failures as usize;
        match is_demoted || self.waiting.len() >= self.rules.storm {
            true => terms.stage.mode.min(Mode::Approve),
            false => terms.stage.mode,
        }
    }

    /// The switch that stops an action, if one does.
    pub fn is_off(&self, policy: &str, account: &str) -> Option<&Scope> {
        if self.is_killed {
            return Some(&Scope::KillFile);
        }
        let scopes = [
            Scope::All,
            Scope::Policy(policy.to_owned()),
            Scope::Account(account.to_owned()),
        ];
        scopes
            .iter()
            .find_map(|scope| self.off.get_key_value(scope))
            .map(|(scope, _)| scope)
    }

    /// What an entry makes of an action, which is not changed; what is told of it in the journal.
    pub fn entry(&self, id: &str, input: Input, now: i64) -> Result<Entry, Illegal> {
        let (from, next) = match self.actions.get(id) {
            Some(action) => (action.state.name(), action.after(&input, now)?),
            None => {
                let new = Action::proposed(id.to_owned(), &input, now);
                let new = new.ok_or(Illegal {
                    state: "not there",
                    input: input.name(),
                })?;
                ("", new)
            }
        };
        Ok(Entry::Action {
            id: id.to_owned(),
            revision: next.revision,
            from: from.to_owned(),
            to: next.state.name().to_owned(),
            policy: next.proposal.policy.clone(),
            plan: next
                .plan
                .as_ref()
                .map(|(_, hash)| hash.clone())
                .unwrap_or_default(),
            input: Box::new(input),
        })
    }

    /// Takes an entry of the journal in.
    pub fn take(&mut self, entry: &Entry, time: i64) -> Result<(), Illegal> {
        match entry {
            Entry::Action { id, input, .. } => self.take_input(id, input, time),
            Entry::Switch {
                scope,
                is_off,
                reason,
                ..
            } => {
                match is_off {
                    true => {
                        self.off.insert(scope.clone(), reason.clone());
                    }
                    false => {
                        self.off.remove(scope);
                        self.look_again(time);
                    }
                }
                Ok(())
            }
            Entry::TakenOver { epoch } => {
                self.epoch = *epoch;
                Ok(())
            }
            Entry::Checkpoint(_) | Entry::Witnessed { .. } => Ok(()),
        }
    }

    fn take_input(&mut self, id: &str, input: &Input, now: i64) -> Result<(), Illegal> {
        let was = self.actions.remove(id);
        let was_settled = was.as_ref().map(|was| was.state.is_settled());
        let is_forward = was.as_ref().is_some_and(|was| {
            matches!(
                was.state,
                State::Approved
                    | State::Deferred { .. }
                    | State::Executing
                    | State::NeedsHuman { is_back: false, .. }
            )
        });
        // What cannot happen ends whoever reads a journal; whoever writes one has asked before.
        let next = match was {
            Some(action) => action.into_after(input, now)?,
            None => Action::proposed(id.to_owned(), input, now).ok_or(Illegal {
                state: "not there",
                input: input.name(),
            })?,
        };
        let policy = next.proposal.policy.id.clone();
        let key = next.proposal.key.clone();
        match input {
            Input::Proposed(proposal) => {
                self.answer(proposal);
                let key = self.keys.entry(key).or_default();
                key.count += 1;
                key.last = Some(id.to_owned());
            }
            Input::Refused {
                proposal, is_again, ..
            } => {
                self.answer(proposal);
                let key = self.keys.entry(key).or_default();
                key.count += 1;
                key.refused = Some(id.to_owned());
                if *is_again {
                    key.again = key.refused.clone();
                }
            }
            _ => {}
        }
        if is_forward {
            self.stamp(&next, input, now);
        }
        let tally = self.tallies.entry(policy.clone()).or_default();
        match (input, &next.state) {
            (Input::Proposed(_) | Input::Refused { .. }, _) => tally.proposed += 1,
            (Input::Began { .. }, _) => tally.began += 1,
            (Input::Verified, _) => tally.succeeded += 1,
            (Input::RevertAsked { by, .. }, _) if by != BY_POLICY => tally.reverted += 1,
            (
                Input::StepFailed { .. } | Input::Answered { .. } | Input::NotVerified { .. },
                State::Failed(_) | State::RollingBack(_) | State::RollbackFailed(_),
            ) => {
                tally.failed += 1;
                tally.failures.push_back(now);
                if tally.failures.len() > 1_000 {
                    tally.failures.pop_front();
                }
            }
            _ => {}
        }
        let arn = &next.proposal.subject.resource.arn;
        let is_mine = |lock: &Lock| lock.id == id;
        let is_free = match self.locks.get(arn) {
            Some(lock) => is_mine(lock) || lock.until <= now,
            None => true,
        };
        if next.state.is_running() {
            self.running
                .entry(policy)
                .or_default()
                .insert(id.to_owned());
            if is_free {
                let (id, until) = (id.to_owned(), i64::MAX);
                self.locks.insert(arn.clone(), Lock { id, until });
            }
        } else {
            if let Some(running) = self.running.get_mut(&policy) {
                running.remove(id);
                if running.is_empty() {
                    self.running.remove(&policy);
                }
            }
            if let Some(lock) = self.locks.get_mut(arn).filter(|lock| is_mine(lock)) {
                // A request of it that nobody knows of must not come after one of somebody else.
                lock.until = match next.unsure() {
                    0 => now,
                    at => at.saturating_add(self.rules.fence),
                };
                if lock.until <= now {
                    self.locks.remove(arn);
                }
            }
        }
        let waits = matches!(
            next.state,
            State::AwaitingApproval { .. } | State::VetoWindow { .. } | State::Deferred { .. }
        );
        match waits {
            true => self.waiting.insert(id.to_owned()),
            false => self.waiting.remove(id),
        };
        self.set_due(id, due(&next, now, self.rules.fence));
        let is_settled = next.state.is_settled();
        let mut next = next;
        // No plan is made of it any more, so its event is not needed.
        if next.run.is_some() || (is_settled && next.state != State::DryRun) {
            Arc::make_mut(&mut next.proposal).event = Arc::default();
        }
        let is_refused = matches!(next.state, State::Suppressed(_)) && next.revision <= 2;
        self.actions.insert(id.to_owned(), next);
        match (was_settled, is_settled) {
            (Some(true), false) | (None, false) => self.open += 1,
            (Some(false), true) => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        if is_settled && was_settled != Some(true) {
            match is_refused {
                true => self.refused.push_back(id.to_owned()),
                false => self.settled.push_back(id.to_owned()),
            }
        }
        self.forget();
        self.sweep(now);
        Ok(())
    }

    /// Who did what is answered by an action, for votes.
    pub fn suspects(origin: &Origin, resource: &Resource) -> Vec<String> {
        let mut suspects = origin.actors.clone();
        suspects.push(resource.arn.clone());
        suspects
    }
}
