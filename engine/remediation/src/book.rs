//! The book: all actions as they are, and what concerns several of them: who may begin, what is switched off, what comes
//! back again and again.
//!
//! It is the fold over the journal and nothing else, so whoever reads a journal has the same book. It reads no clock.

use crate::journal::{Entry, Scope};
use crate::machine::{Action, Illegal, Input, Origin, Proposal, State, Wanted, wanted};
use crate::plan::{Resource, hex};
use crate::policy::{Cap, Mode};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// How many settled actions are kept in memory beside those that are not settled. The journal has all.
const SETTLED_MAX: usize = 100_000;

/// How many begins are remembered of one scope: more than any cap allows.
const SLOTS_MAX: usize = 100_000;

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

/// What happened lately in a scope.
#[derive(Clone, Debug, Default)]
struct Slots(VecDeque<(i64, String)>);

impl Slots {
    /// How many others than one action began after a time, and when the oldest of them did.
    fn after(&self, time: i64, but: &str) -> (u32, Option<i64>) {
        let counted = self.0.iter().filter(|(at, id)| *at > time && id != but);
        let mut oldest = None;
        let mut count = 0;
        for (at, _) in counted {
            count += 1;
            oldest = Some(oldest.map_or(*at, |old: i64| old.min(*at)));
        }
        (count, oldest)
    }

    fn stamp(&mut self, id: &str, now: i64) {
        self.0.retain(|(_, other)| other != id);
        self.0.push_back((now, id.to_owned()));
        if self.0.len() > SLOTS_MAX {
            self.0.pop_front();
        }
    }
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
    /// The actions of a key, the oldest first, and how many there were.
    keys: HashMap<String, Vec<String>>,
    /// Who has a resource.
    locks: HashMap<String, String>,
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
    /// The findings that an action was proposed for, by its key.
    answered: HashSet<(u64, u64)>,
    epoch: u64,
    inventory: BTreeMap<String, u64>,
    rules: Rules,
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

    /// Puts off what is to be done about an action.
    pub fn put_off(&mut self, id: &str, until: i64) {
        if self.due_of.contains_key(id) {
            self.set_due(id, Some(until));
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
        let before = self.keys.get(&proposal.key).map_or(&[][..], Vec::as_slice);
        let id = |generation: usize| {
            let text = format!("{}#{generation}", proposal.key);
            hex(&Sha256::digest(text.as_bytes())[..10])
        };
        let new = id(before.len());
        if self
            .answered
            .contains(&(short(&proposal.key), short(&proposal.origin.finding)))
        {
            return Judged::Known(before.last().cloned().unwrap_or(new));
        }
        let last = before.last().and_then(|id| self.actions.get(id));
        let Some(last) = last else {
            return Judged::New(new);
        };
        let limits = &proposal.terms.limits;
        let was_done = matches!(last.state, State::Succeeded | State::Drifted(_));
        // An event of before the end of an action is of what that answered.
        if !last.state.is_settled() || (was_done && proposal.origin.event_time <= last.changed) {
            return Judged::Known(last.id.clone());
        }
        let until = last.changed.saturating_add(limits.cooldown.0);
        if now < until {
            return match was_done {
                true => Judged::Refused(
                    new,
                    format!(
                        "cool-down: it was answered by {} and came back; nothing is done for {}",
                        last.id, limits.cooldown
                    ),
                ),
                false => Judged::Known(last.id.clone()),
            };
        }
        let begins = self.slots.get(&format!("key:{}", proposal.key));
        let (flaps, _) = begins.map_or((0, None), |slots| {
            slots.after(now - limits.flap_window.0, "")
        });
        if flaps >= limits.max_flaps {
            return Judged::Refused(
                new,
                format!(
                    "flapping: it was answered {flaps} times within {} and comes back; somebody or something undoes it",
                    limits.flap_window
                ),
            );
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

    /// The scopes that an action counts in, and their caps.
    fn scopes(&self, action: &Action) -> Vec<(String, Option<Cap>)> {
        let proposal = &action.proposal;
        let (policy, resource) = (&proposal.policy.id, &proposal.subject.resource);
        let limits = &proposal.terms.limits;
        vec![
            ("all".to_owned(), self.rules.global),
            (format!("policy:{policy}"), limits.per_policy),
            (
                format!("account:{policy}:{}", resource.account),
                limits.per_account,
            ),
            (format!("kind:{}", resource.kind), limits.per_kind),
            (format!("key:{}", proposal.key), None),
        ]
    }

    /// Whether an action may send a request at a time: its first one, or one more after it was interrupted.
    pub fn may_send(&self, action: &Action, now: i64) -> Result<(), Hold> {
        let proposal = &action.proposal;
        let resource = &proposal.subject.resource;
        if let Some(scope) = self.is_off(&proposal.policy.id, &resource.account) {
            return Err(Hold::Off(scope.clone()));
        }
        let is_back = matches!(action.state, State::RollingBack(_) | State::Reverting(_));
        if let Some(other) = self
            .locks
            .get(&resource.arn)
            .filter(|other| **other != action.id)
        {
            let why = format!("{other} is at work on {}", resource.arn);
            return Err(Hold::Later(why, now + SOON));
        }
        if is_back {
            return Ok(());
        }
        if let Some((_, end, why)) = self
            .rules
            .frozen
            .iter()
            .find(|(from, to, _)| (*from..*to).contains(&now))
            && action.run.is_none()
        {
            return Err(Hold::Later(format!("nothing begins now: {why}"), *end));
        }
        if !action.is_glass_broken {
            for (scope, cap) in self.scopes(action) {
                let (Some(cap), Some(slots)) = (cap, self.slots.get(&scope)) else {
                    if cap.is_some_and(|cap| cap.max == 0) {
                        return Err(Hold::Later(
                            format!("the cap of {scope} is 0"),
                            now + 60 * SOON,
                        ));
                    }
                    continue;
                };
                let (count, oldest) = slots.after(now - cap.window.0, &action.id);
                if count >= cap.max {
                    let until = oldest
                        .map_or(now + SOON, |at| at + cap.window.0 + 1)
                        .max(now + SOON);
                    let why = format!(
                        "the cap of {scope} is reached: {} within {}",
                        cap.max, cap.window
                    );
                    return Err(Hold::Later(why, until));
                }
            }
            self.may_by_percent(action, now)?;
        }
        let policy = &proposal.policy.id;
        let running = self
            .running
            .get(policy)
            .map_or(0, |ids| ids.iter().filter(|id| **id != action.id).count());
        if action.run.is_none() && running >= proposal.terms.limits.concurrency as usize {
            return Err(Hold::Later(
                format!("{running} actions of {policy} are at work"),
                now + SOON,
            ));
        }
        Ok(())
    }

    fn may_by_percent(&self, action: &Action, now: i64) -> Result<(), Hold> {
        let limits = &action.proposal.terms.limits;
        let (Some(share), Some(cap)) = (&limits.max_percent, limits.per_policy) else {
            return Ok(());
        };
        let Some(known) = self.inventory.get(&share.of).filter(|known| **known > 0) else {
            return Ok(());
        };
        let slots = self
            .slots
            .get(&format!("policy:{}", action.proposal.policy.id));
        let (count, oldest) = slots.map_or((0, None), |slots| {
            slots.after(now - cap.window.0, &action.id)
        });
        let most = (*known as f64 * share.percent / 100.0).floor();
        match f64::from(count) + 1.0 > most {
            true => {
                let until = oldest.map_or(now + 60 * SOON, |at| at + cap.window.0 + 1);
                let why = format!(
                    "{} of a hundred of {known} {} are {most}",
                    share.percent, share.of
                );
                Err(Hold::Later(why, until))
            }
            false => Ok(()),
        }
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
                    true => self.off.insert(scope.clone(), reason.clone()),
                    false => self.off.remove(scope),
                };
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
        let next = match self.actions.get(id) {
            Some(action) => action.after(input, now)?,
            None => Action::proposed(id.to_owned(), input, now).ok_or(Illegal {
                state: "not there",
                input: input.name(),
            })?,
        };
        let policy = next.proposal.policy.id.clone();
        if let Input::Proposed(proposal) = input {
            self.keys
                .entry(proposal.key.clone())
                .or_default()
                .push(id.to_owned());
            self.answered
                .insert((short(&proposal.key), short(&proposal.origin.finding)));
        }
        if matches!(input, Input::Began { .. } | Input::Intent { .. })
            && next.state == State::Executing
        {
            for (scope, _) in self.scopes(&next) {
                self.slots.entry(scope).or_default().stamp(id, now);
            }
        }
        let tally = self.tallies.entry(policy.clone()).or_default();
        match (input, &next.state) {
            (Input::Proposed(_), _) => tally.proposed += 1,
            (Input::Began { .. }, _) => tally.began += 1,
            (Input::Verified, _) => tally.succeeded += 1,
            (Input::RevertAsked { by, .. }, _) if by != "policy" => tally.reverted += 1,
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
        let running = self.running.entry(policy).or_default();
        if next.state.is_running() {
            self.locks.insert(arn.clone(), id.to_owned());
            running.insert(id.to_owned());
        } else {
            running.remove(id);
            if self.locks.get(arn).is_some_and(|other| other == id) {
                self.locks.remove(arn);
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
        let at = match wanted(&next, now, self.rules.fence) {
            Wanted::Nothing => None,
            Wanted::Wait(at) => Some(at),
            _ => Some(now),
        };
        self.set_due(id, at);
        let is_settled = next.state.is_settled();
        let mut next = next;
        if is_settled && next.run.is_none() && !matches!(next.state, State::DryRun) {
            // What is over and did nothing needs no event any more.
            next.proposal.event = serde_json::Value::Null;
        }
        let was_settled = self
            .actions
            .insert(id.to_owned(), next)
            .is_some_and(|old| old.state.is_settled());
        if is_settled && !was_settled {
            self.settled.push_back(id.to_owned());
            self.forget();
        }
        Ok(())
    }

    /// Forgets the oldest settled actions when there are too many.
    fn forget(&mut self) {
        while self.settled.len() > SETTLED_MAX {
            let Some(id) = self.settled.pop_front() else {
                return;
            };
            let is_idle = self
                .actions
                .get(&id)
                .is_some_and(|action| action.state.is_settled())
                && !self.due_of.contains_key(&id);
            if is_idle {
                self.actions.remove(&id);
            }
        }
    }

    /// Who did what is answered by an action, for votes.
    pub fn suspects(origin: &Origin, resource: &Resource) -> Vec<String> {
        let mut suspects = origin.actors.clone();
        suspects.push(resource.arn.clone());
        suspects
    }
}
