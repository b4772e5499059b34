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
const SETTLED_MAX: usize = 50_000;

/// How many of those that were refused at once are kept in memory: they push nothing else out.
const REFUSED_MAX: usize = 10_000;

/// So many actions may be open. What comes then is refused.
const OPEN_MAX: usize = 200_000;

/// How many findings are remembered as answered.
const ANSWERED_MAX: usize = 1_000_000;

/// How many begins are remembered of one scope: more than any cap allows, see `policy`.
const SLOTS_MAX: usize = crate::policy::CAP_MAX as usize;

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
#[derive(Clone, Debug, Default, PartialEq)]
struct Slots {
    by_time: BTreeSet<(i64, String)>,
    times: HashMap<String, i64>,
    /// What is older than this is of no cap; microseconds.
    keep: i64,
}

impl Slots {
    /// How many others than one action began after a time, and when the oldest of them did.
    fn after(&self, time: i64, but: &str) -> (u32, Option<i64>) {
        let later = self
            .by_time
            .range((time.saturating_add(1), String::new())..);
        let mut counted = later.filter(|(_, id)| id != but).peekable();
        let oldest = counted.peek().map(|(at, _)| *at);
        (u32::try_from(counted.count()).unwrap_or(u32::MAX), oldest)
    }

    /// An action did something at a time, or may still do it until then.
    fn stamp(&mut self, id: &str, at: i64, keep: i64, now: i64) {
        self.keep = self.keep.max(keep);
        match self.times.get(id) {
            Some(old) if *old == at => {}
            old => {
                if let Some(old) = old {
                    self.by_time.remove(&(*old, id.to_owned()));
                }
                self.by_time.insert((at, id.to_owned()));
                self.times.insert(id.to_owned(), at);
            }
        }
        let oldest = now.saturating_sub(self.keep);
        while let Some((at, id)) = self.by_time.first()
            && (*at < oldest || self.times.len() > SLOTS_MAX)
        {
            let (at, id) = (*at, id.clone());
            self.by_time.remove(&(at, id.clone()));
            self.times.remove(&id);
        }
    }

    fn is_over(&self, now: i64) -> bool {
        let newest = self.by_time.last().map(|(at, _)| *at);
        newest.is_none_or(|at| at < now.saturating_sub(self.keep))
    }
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
        if let Some(lock) = self
            .locks
            .get(&resource.arn)
            .filter(|lock| lock.id != action.id && now < lock.until)
        {
            let why = format!("{} is at work on {}", lock.id, resource.arn);
            let until = now.saturating_add(SOON);
            return Err(Hold::Later(why, lock.until.min(until)));
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
                        .map_or(now + SOON, |at| at.min(now) + cap.window.0 + 1)
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
                let until = oldest.map_or(now + 60 * SOON, |at| at.min(now) + cap.window.0 + 1);
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
        let next = match self.actions.get(id) {
            Some(action) => action.after(input, now)?,
            None => Action::proposed(id.to_owned(), input, now).ok_or(Illegal {
                state: "not there",
                input: input.name(),
            })?,
        };
        let is_forward = self.actions.get(id).is_some_and(|was| {
            matches!(
                was.state,
                State::Approved
                    | State::Deferred { .. }
                    | State::Executing
                    | State::NeedsHuman { is_back: false, .. }
            )
        });
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
            next.proposal.event = serde_json::Value::Null;
        }
        let is_refused = matches!(next.state, State::Suppressed(_)) && next.revision <= 2;
        let was_settled = self
            .actions
            .insert(id.to_owned(), next)
            .map(|old| old.state.is_settled());
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

    /// Remembers that the finding of a proposal is answered.
    fn answer(&mut self, proposal: &Proposal) {
        let one = (short(&proposal.key), short(&proposal.origin.finding));
        if self.answered.insert(one) {
            self.answered_in_order.push_back(one);
        }
        if self.answered_in_order.len() > ANSWERED_MAX
            && let Some(oldest) = self.answered_in_order.pop_front()
        {
            self.answered.remove(&oldest);
        }
    }

    /// Counts what an action does where it is capped. A request takes effect after it was written down and before its answer
    /// was, and one that nobody knows of until it can have no effect any more: the latest of these times counts.
    fn stamp(&mut self, action: &Action, input: &Input, now: i64) {
        let Some(run) = &action.run else { return };
        let is_sent = matches!(input, Input::Began { .. } | Input::Intent { .. });
        let is_about_requests = matches!(
            input,
            Input::Answered { .. }
                | Input::Unanswered { .. }
                | Input::Adopted { .. }
                | Input::Skipped { .. }
                | Input::Ambiguous { .. }
                | Input::StepFailed { .. }
                | Input::Resolved { .. }
        );
        let at = match (is_sent, run.unsure) {
            _ if !is_sent && !is_about_requests => return,
            (true, _) => now.saturating_add(self.rules.fence),
            (false, 0) => now,
            (false, unsure) => now.max(unsure.saturating_add(self.rules.fence)),
        };
        let flaps = action.proposal.terms.limits.flap_window.0;
        for (scope, cap) in self.scopes(action) {
            let keep = match scope.starts_with("key:") {
                true => flaps,
                false => cap.map_or(0, |cap| cap.window.0),
            };
            let percent = action.proposal.terms.limits.per_policy;
            let keep = keep.max(percent.map_or(0, |cap| cap.window.0));
            let slots = self.slots.entry(scope).or_default();
            slots.stamp(&action.id, at, keep, now);
        }
    }

    /// Forgets the oldest settled actions when there are too many.
    fn forget(&mut self) {
        // A few at a time, as some are put in line again.
        for _ in 0..4 {
            let oldest = if self.refused.len() > REFUSED_MAX {
                self.refused.pop_front()
            } else if self.settled.len() > SETTLED_MAX {
                self.settled.pop_front()
            } else {
                None
            };
            let Some(id) = oldest else { return };
            let Some(action) = self.actions.get(&id) else {
                continue;
            };
            if !action.state.is_settled() {
                // It is at work again, and is put in line again when it has ended.
                continue;
            }
            if self.due_of.contains_key(&id) || action.state.is_running() {
                // It is to be looked at again, or somebody is to say what became of it: its turn comes later.
                self.settled.push_back(id);
                continue;
            }
            let key = action.proposal.key.clone();
            if let Some(one) = self.keys.get_mut(&key) {
                for place in [&mut one.last, &mut one.again, &mut one.refused] {
                    if place.as_ref() == Some(&id) {
                        *place = None;
                    }
                }
                if one.last.is_none() && one.again.is_none() && one.refused.is_none() {
                    self.keys.remove(&key);
                }
            }
            self.actions.remove(&id);
        }
    }

    /// Forgets what is over, whenever there is twice as much as was left the last time.
    fn sweep(&mut self, now: i64) {
        if self.slots.len() + self.locks.len() <= self.sweeps_at.max(1_000) {
            return;
        }
        self.slots.retain(|_, slots| !slots.is_over(now));
        self.locks.retain(|_, lock| now < lock.until);
        self.sweeps_at = 2 * (self.slots.len() + self.locks.len());
    }

    /// How much is kept, by what it is: for whoever looks whether it grows.
    pub fn sizes(&self) -> BTreeMap<&'static str, usize> {
        BTreeMap::from([
            ("actions", self.actions.len()),
            ("open", self.open),
            ("keys", self.keys.len()),
            ("locks", self.locks.len()),
            ("scopes", self.slots.len()),
            (
                "slots",
                self.slots.values().map(|slots| slots.times.len()).sum(),
            ),
            ("answered", self.answered.len()),
            ("tallies", self.tallies.len()),
            ("running", self.running.values().map(HashSet::len).sum()),
            ("waiting", self.waiting.len()),
            ("due", self.due_of.len()),
            ("settled", self.settled.len() + self.refused.len()),
        ])
    }

    /// The first part in which another book differs, of all that a journal tells. When something is looked at again is not
    /// of it.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            ("actions", self.actions == other.actions),
            ("keys", self.keys == other.keys),
            ("locks", self.locks == other.locks),
            ("slots", self.slots == other.slots),
            ("off", self.off == other.off),
            ("tallies", self.tallies == other.tallies),
            ("running", self.running == other.running),
            ("waiting", self.waiting == other.waiting),
            ("settled", self.settled == other.settled),
            ("refused", self.refused == other.refused),
            ("open", self.open == other.open),
            ("answered", self.answered == other.answered),
            ("epoch", self.epoch == other.epoch),
            (
                "due",
                self.due_of.len() == other.due_of.len()
                    && self.due_of.keys().all(|id| other.due_of.contains_key(id)),
            ),
        ];
        let differs = parts.iter().find(|(_, is_same)| !is_same)?;
        Some(differs.0)
    }

    /// Who did what is answered by an action, for votes.
    pub fn suspects(origin: &Origin, resource: &Resource) -> Vec<String> {
        let mut suspects = origin.actors.clone();
        suspects.push(resource.arn.clone());
        suspects
    }
}
