//! Who works on which partition, and who sends findings.
//!
//! ```text
//! each process, every second: "I am here, and hold these" ──▶ members ──▶ everybody: the same rule, the same answer
//! ```
//!
//! Everybody who sees the same members comes to the same assignment. Whoever holds what is another's finishes it and lets
//! go; whoever is given something takes it when nobody says to hold it, or when whoever did fell silent. Two who see
//! different members may both take one for a moment: the ledger fences one of them off. So this decides how soon, never
//! whether it is right. Rejected: leases with a term, which fence by clocks; the ledger fences by order.

use crate::causes::with_causes;
use crate::channel::live::Silence;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tripline_core::port::{Members, Partition, Sequence};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How often everybody says that they are there.
const SAYS_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether nothing is to be said any more.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// Others of whom was heard longer ago than this may have become more.
const HEARD_LATELY: Duration = Duration::from_secs(3);

/// A complaint of the same kind is repeated this often.
const COMPLAINS_EVERY: Duration = Duration::from_secs(30);

/// What a process says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Words {
    /// The partitions that it works on.
    pub(crate) holds: BTreeSet<u32>,
    /// Which rules it has.
    pub(crate) rules: String,
    /// Where its API listens.
    pub(crate) address: String,
    /// It ends, and is given nothing more.
    pub(crate) leaves: bool,
    /// Its store is behind, so it is given nothing until it is not.
    pub(crate) is_behind: bool,
    /// Why it has not the rules that it should have, so that it is given nothing until it has.
    pub(crate) lacks_rules: String,
    /// The entry of the ledger that it has come to. 0 of one that does not say, which must find all entries there.
    pub(crate) place: u64,
    /// When something last came in here, by channel that is watched for silence; microseconds after 1970.
    pub(crate) heard: BTreeMap<String, i64>,
    /// What is known of silence, by channel, of the one who tells it.
    pub(crate) silences: BTreeMap<String, Silence>,
    /// It can answer findings, and whether it is the one that does.
    pub(crate) may_act: bool,
    pub(crate) acts: bool,
    /// The file is there on its machine that stops all actions.
    pub(crate) is_killed: bool,
    /// Those who said that it is there on theirs, and fell silent: it may be there still. Without what tells a process from the
    /// one before it on its machine. Whoever begins takes it over from all it hears, so that restarting one after the other
    /// forgets none.
    pub(crate) killed_silently: BTreeSet<String>,
}

impl Words {
    fn takes_part(&self) -> bool {
        !self.leaves && !self.is_behind && self.lacks_rules.is_empty()
    }
}

/// The name of a process without what tells it from the one before it.
fn machine_of(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(machine, _)| machine)
}

/// What this process is to do, as it is now.
pub(crate) struct Assignment {
    me: String,
    partitions: u32,
    members: Option<Box<dyn Members>>,
    now: Mutex<Now>,
    /// There is something new to say.
    changed: Condvar,
}

struct Now {
    is_told: bool,
    is_heard: bool,
    heard_at: Option<Instant>,
    lacks_since: Option<Instant>,
    words: Words,
    others: BTreeMap<String, Words>,
    assigned: BTreeSet<u32>,
    sends: bool,
}

impl Assignment {
    /// Everything is ours.
    pub(super) fn alone(partitions: u32) -> Self {
        Self {
            me: String::new(),
            partitions,
            members: None,
            changed: Condvar::new(),
            now: Mutex::new(Now {
                is_told: true,
                is_heard: true,
                heard_at: None,
                lacks_since: None,
                words: Words::default(),
                others: BTreeMap::new(),
                assigned: (0..partitions).collect(),
                sends: true,
            }),
        }
    }

    /// Nothing is ours until others were heard.
    pub(super) fn among(members: Box<dyn Members>, me: String, partitions: u32) -> Self {
        Self {
            me,
            partitions,
            members: Some(members),
            changed: Condvar::new(),
            now: Mutex::new(Now {
                is_told: false,
                is_heard: false,
                heard_at: None,
                lacks_since: None,
                words: Words::default(),
                others: BTreeMap::new(),
                assigned: BTreeSet::new(),
                sends: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether others share the work.
    pub(crate) fn is_shared(&self) -> bool {
        self.members.is_some()
    }

    /// What this process is to work on, held by others or not.
    pub(super) fn assigned(&self) -> BTreeSet<u32> {
        self.lock().assigned.clone()
    }

    /// What of it nobody else says to hold.
    pub(super) fn free(&self) -> BTreeSet<u32> {
        let now = self.lock();
        let held: BTreeSet<u32> = now
            .others
            .values()
            .flat_map(|words| words.holds.iter().copied())
            .collect();
        now.assigned.difference(&held).copied().collect()
    }

    /// Whether it is known who else is there.
    pub(super) fn is_known(&self) -> bool {
        self.lock().is_heard
    }

    /// Whether this process sends what is found.
    pub(super) fn sends(&self) -> bool {
        self.lock().sends
    }

    /// Whether this process is the one to answer findings. Whoever does goes on for as long as it is there: what it is in the
    /// middle of would have to be looked for by another. Two may believe it for a moment; their journal lets one of them.
    pub(crate) fn is_to_act(&self) -> bool {
        let now = self.lock();
        let may = |words: &Words| words.may_act && !words.leaves && !words.is_behind;
        if self.members.is_none() || !may(&now.words) || now.words.acts {
            return may(&now.words);
        }
        let is_known = now.heard_at.is_some_and(|at| at.elapsed() < HEARD_LATELY);
        let mut others = now.others.iter().filter(|(_, words)| may(words));
        is_known
            // Whoever leaves finishes what it is in the middle of.
            && !now.others.values().any(|words| words.acts)
            && others.all(|(name, _)| self.me < *name)
    }

    /// Where the file that stops all actions is, on the machine of any of the others and as far as anybody can tell.
    pub(crate) fn killed_elsewhere(&self) -> Option<String> {
        let now = self.lock();
        let mut killed = now.others.iter().filter(|(_, words)| words.is_killed);
        if let Some((name, _)) = killed.next() {
            return Some(format!("the kill file of {}", machine_of(name)));
        }
        let silent = now.words.killed_silently.iter().next()?;
        Some(format!("the kill file of {silent}, which fell silent,"))
    }

    /// The others, as they say of themselves.
    pub(crate) fn others(&self) -> BTreeMap<String, Words> {
        self.lock().others.clone()
    }

    /// What this process is called among others.
    pub(crate) fn me(&self) -> &str {
        &self.me
    }

    /// What is told to others from now on: soon, by the thread that does, for nobody here may wait for servers.
    pub(crate) fn tell(&self, change: impl FnOnce(&mut Words)) {
        let mut now = self.lock();
        let before = now.words.clone();
        change(&mut now.words);
        if now.words != before {
            now.is_told = false;
            self.changed.notify_all();
        }
    }

    /// A partition cannot be worked on here for want of its rules; somebody else may have them.
    pub(super) fn lacks(&self, partition: Partition, words: &str) {
        tracing::error!(
            partition = partition.0,
            fault = words,
            "partition left to others"
        );
        self.tell(|now| words.clone_into(&mut now.lacks_rules));
        self.lock().lacks_since = Some(Instant::now());
    }

    /// Whether rules of a partition are lacking for so long by now.
    pub(super) fn lacked_for(&self, time: Duration) -> bool {
        let now = self.lock();
        !now.words.lacks_rules.is_empty() && now.lacks_since.is_none_or(|at| at.elapsed() >= time)
    }

    /// This process has come so far in the ledger. Others hear of it the next time that they hear anything.
    pub(super) fn come_to(&self, place: Sequence) {
        self.lock().words.place = place.0;
    }

    /// What this process knows of channels that are watched. Others hear of it the next time that they hear anything.
    pub(super) fn listened(
        &self,
        heard: BTreeMap<String, i64>,
        silences: BTreeMap<String, Silence>,
    ) {
        let mut now = self.lock();
        (now.words.heard, now.words.silences) = (heard, silences);
    }

    /// What others say of channels: when something last came in anywhere, and what whoever tells it knows of silence.
    pub(super) fn others_listened(&self) -> (BTreeMap<String, i64>, BTreeMap<String, Silence>) {
        let (mut heard, mut silences) = (BTreeMap::new(), BTreeMap::new());
        for words in self.lock().others.values() {
            for (channel, at) in &words.heard {
                let last: &mut i64 = heard.entry(channel.clone()).or_default();
                *last = (*last).max(*at);
            }
            // While another one takes over there may be two, of whom the one who heard more is ahead.
            for (channel, one) in &words.silences {
                let known = silences.entry(channel.clone()).or_insert(*one);
                if (one.since, one.was_told) > (known.since, known.was_told) {
                    *known = *one;
                }
            }
        }
        (heard, silences)
    }

    /// Tells others at once that this process reads the ledger, and is to be given nothing yet.
    pub(super) fn announce_behind(&self, place: Sequence) {
        self.tell(|words| {
            words.is_behind = true;
            words.place = place.0;
        });
        if let Err(fault) = self.say() {
            tracing::warn!(fault, "others do not hear of this process yet");
        }
    }

    /// The entry of the ledger that everybody else who is there has come to; 0 when it is not known who is.
    pub(super) fn everybody_at(&self) -> Sequence {
        let now = self.lock();
        let is_known = now.heard_at.is_some_and(|at| at.elapsed() < HEARD_LATELY);
        let places = now.others.values().map(|words| words.place);
        Sequence(match is_known {
            true => places.min().unwrap_or(u64::MAX),
            false => 0,
        })
    }

    fn say(&self) -> Result<(), String> {
        let Some(members) = &self.members else {
            return Ok(());
        };
        let words = {
            let mut now = self.lock();
            now.is_told = true;
            serde_json::to_vec(&now.words).unwrap_or_default()
        };
        members
            .announce(&self.me, &words)
            .map_err(|fault| with_causes(&fault))
    }

    fn hear(&self) -> Result<(), String> {
        let Some(members) = &self.members else {
            return Ok(());
        };
        let present = members.present().map_err(|fault| with_causes(&fault))?;
        let mut others: BTreeMap<String, Words> = present
            .into_iter()
            .map(|(name, words)| {
                // Whoever says something else is there all the same.
                (name, serde_json::from_slice(&words).unwrap_or_default())
            })
            .collect();
        others.remove(&self.me);
        let mut now = self.lock();
        let mut names: BTreeSet<&str> = others
            .iter()
            .filter(|(_, words)| words.takes_part())
            .map(|(name, _)| name.as_str())
            .collect();
        if now.words.takes_part() {
            names.insert(&self.me);
        }
        let assigned = assign(&names, self.partitions);
        let mine: BTreeSet<u32> = (0..self.partitions)
            .filter(|one| assigned[*one as usize] == Some(self.me.as_str()))
            .collect();
        now.sends = names.first() == Some(&self.me.as_str());
        if mine != now.assigned {
            tracing::info!(partitions = ?mine, members = names.len(), "partitions assigned");
        }
        for (name, words) in &others {
            let is_known = now
                .others
                .get(name)
                .is_some_and(|one| one.rules == words.rules);
            if !is_known && !words.rules.is_empty() && words.rules != now.words.rules {
                tracing::warn!(
                    member = name,
                    its = words.rules,
                    ours = now.words.rules,
                    "other rules are in force there"
                );
            }
        }
        let mut killed_silently = std::mem::take(&mut now.words.killed_silently);
        if !now.is_heard {
            // Later it would be taken over again and again of whoever has missed that it is gone.
            let known = others.values().flat_map(|words| &words.killed_silently);
            killed_silently.extend(known.cloned());
        }
        for (name, words) in &now.others {
            if words.is_killed && !others.contains_key(name) {
                killed_silently.insert(machine_of(name).to_owned());
            }
        }
        // Whoever may act has looked for the file before.
        let is_heard = |machine: &str| {
            let mut heard = others.iter().filter(|(_, words)| words.may_act);
            heard.any(|(name, _)| machine_of(name) == machine)
        };
        // Of its own machine this one knows itself.
        let own = machine_of(&self.me);
        killed_silently.retain(|machine| machine != own && !is_heard(machine));
        now.words.killed_silently = killed_silently;
        now.assigned = mine;
        now.others = others;
        now.is_heard = true;
        now.heard_at = Some(Instant::now());
        Ok(())
    }

    /// Says that we are there and hears who else is, until told to end; then says that we are not.
    pub(super) fn run(&self, is_over: &AtomicBool) {
        if self.members.is_none() {
            return;
        }
        let mut told: Option<Instant> = None;
        while !is_over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            if let Err(fault) = self.say().and_then(|()| self.hear())
                && told.is_none_or(|at| at.elapsed() >= COMPLAINS_EVERY)
            {
                told = Some(Instant::now());
                tracing::warn!(fault, "others are not heard; partitions stay as they are");
            }
            while begun.elapsed() < SAYS_EVERY && !is_over.load(Ordering::Relaxed) {
                let now = self.lock();
                if !now.is_told {
                    break;
                }
                let waited = self.changed.wait_timeout(now, LOOKS_EVERY);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
        if let Some(members) = &self.members {
            // It falls silent by itself too, only later.
            let _ = members.leave(&self.me);
        }
    }
}

/// Who works on each partition: each member has as many as any other or one less, and few move when one comes or goes.
fn assign<'m>(members: &BTreeSet<&'m str>, partitions: u32) -> Vec<Option<&'m str>> {
    let mut assigned = vec![None; partitions as usize];
    let least = partitions as usize / members.len().max(1);
    // So many have one more than the others.
    let mut more = partitions as usize % members.len().max(1);
    let mut loads: BTreeMap<&str, usize> = BTreeMap::new();
    // The strongest wishes first, so that a full member turns away the weakest.
    let mut wishes: Vec<(u64, u32, &str)> = members
        .iter()
        .flat_map(|member| {
            (0..partitions).map(|partition| {
                let wish = xxh3_64_with_seed(member.as_bytes(), u64::from(partition));
                (wish, partition, *member)
            })
        })
        .collect();
    wishes.sort_unstable_by(|one, other| other.cmp(one));
    for (_, partition, member) in wishes {
        let load = loads.entry(member).or_default();
        let place = &mut assigned[partition as usize];
        let has_room = *load < least || *load == least && more > 0;
        if place.is_none() && has_room {
            more -= usize::from(*load == least);
            *place = Some(member);
            *load += 1;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::{Assignment, Words, assign};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet, VecDeque};
    use std::sync::Mutex;
    use tripline_core::port::{Members, PortFault};

    /// Others that say the same all the time.
    struct Others(Vec<(&'static str, Words)>);

    impl Members for Others {
        fn announce(&self, _: &str, _: &[u8]) -> Result<(), PortFault> {
            Ok(())
        }

        fn leave(&self, _: &str) -> Result<(), PortFault> {
            Ok(())
        }

        fn present(&self) -> Result<Vec<(String, Vec<u8>)>, PortFault> {
            let all = self.0.iter().map(|(name, words)| {
                let words = serde_json::to_vec(words).expect("is written");
                ((*name).to_owned(), words)
            });
            Ok(all.collect())
        }
    }

    /// Whether `b` is to act among others, as they say of themselves whether they may, do, and leave.
    fn check(me: (bool, bool), others: &[(&'static str, bool, bool, bool)], expected: bool) {
        let all = others.iter().map(|(name, may_act, acts, leaves)| {
            let words = Words {
                may_act: *may_act,
                acts: *acts,
                leaves: *leaves,
                ..Words::default()
            };
            (*name, words)
        });
        let members = Box::new(Others(all.collect()));
        let assignment = Assignment::among(members, "b".to_owned(), 1);
        assignment.tell(|words| (words.may_act, words.acts) = me);
        assert!(!assignment.is_to_act() || me.1, "nobody was heard yet");
        assignment.hear().expect("is heard");
        assert_eq!(assignment.is_to_act(), expected, "{me:?} {others:?}");
    }

    /// Others of whom each time something else is heard.
    struct Changing(Mutex<VecDeque<Vec<(&'static str, Words)>>>);

    impl Members for Changing {
        fn announce(&self, _: &str, _: &[u8]) -> Result<(), PortFault> {
            Ok(())
        }

        fn leave(&self, _: &str) -> Result<(), PortFault> {
            Ok(())
        }

        fn present(&self) -> Result<Vec<(String, Vec<u8>)>, PortFault> {
            let next = self.0.lock().expect("is whole").pop_front();
            Others(next.expect("there is more")).present()
        }
    }

    #[test]
    fn the_file_of_whoever_fell_silent_is_there_until_that_is_heard_to_be_gone() {
        let words = |is_killed: bool, may_act: bool| Words {
            is_killed,
            may_act,
            ..Words::default()
        };
        let rounds = [
            (vec![("c-1", words(false, true))], false),
            (vec![("c-1", words(true, true))], true),
            (vec![("d-1", words(false, true))], true),
            // One that begins has not looked yet.
            (vec![("c-2", words(false, false))], true),
            (vec![("c-2", words(true, true))], true),
            (vec![("c-2", words(false, true))], false),
            (vec![], false),
        ];
        let all = rounds.iter().map(|(words, _)| words.clone()).collect();
        let members = Box::new(Changing(Mutex::new(all)));
        let assignment = Assignment::among(members, "b-1".to_owned(), 1);
        for (number, (_, expected)) in rounds.iter().enumerate() {
            assignment.hear().expect("is heard");
            assert_eq!(
                assignment.killed_elsewhere().is_some(),
                *expected,
                "{number}"
            );
        }
    }

    #[test]
    fn whoever_begins_takes_over_whose_file_may_be_there() {
        let silent = |machine: &str| Words {
            killed_silently: BTreeSet::from([machine.to_owned()]),
            may_act: true,
            ..Words::default()
        };
        let looks = Words {
            may_act: true,
            ..Words::default()
        };
        let rounds = [
            (vec![("d-1", silent("c"))], true),
            (vec![("d-1", silent("c")), ("c-2", looks)], false),
            // It has not heard of `c-2`.
            (vec![("d-1", silent("c"))], false),
        ];
        let all = rounds.iter().map(|(words, _)| words.clone()).collect();
        let members = Box::new(Changing(Mutex::new(all)));
        let assignment = Assignment::among(members, "b-1".to_owned(), 1);
        let own = Others(vec![("d-1", silent("b"))]);
        let again = Assignment::among(Box::new(own), "b-2".to_owned(), 1);
        again.hear().expect("is heard");
        assert_eq!(again.killed_elsewhere(), None, "it looks itself");
        for (number, (_, expected)) in rounds.iter().enumerate() {
            assignment.hear().expect("is heard");
            let words = assignment.lock().words.clone();
            assert_eq!(!words.killed_silently.is_empty(), *expected, "{number}");
            assert_eq!(
                assignment.killed_elsewhere().is_some(),
                *expected,
                "{number}"
            );
        }
    }

    #[test]
    fn whoever_acts_goes_on_and_else_the_first_begins() {
        check((true, false), &[], true);
        check((false, false), &[], false);
        check((true, false), &[("a", true, false, false)], false);
        check((true, false), &[("a", false, false, false)], true);
        check((true, false), &[("c", true, false, false)], true);
        check((true, false), &[("c", true, true, false)], false);
        // What it is in the middle of it finishes.
        check((true, false), &[("c", true, true, true)], false);
        check((true, false), &[("a", true, false, true)], true);
        check((true, true), &[("a", true, true, false)], true);
        check((false, true), &[("a", true, false, false)], false);
    }

    proptest! {
        #[test]
        fn everything_is_assigned_evenly(names in proptest::collection::btree_set("[a-z]{1,8}", 1..9), partitions in 1..65u32) {
            let members: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let assigned = assign(&members, partitions);
            let mut loads: BTreeMap<&str, usize> = BTreeMap::new();
            for one in &assigned {
                *loads.entry(one.expect("somebody")).or_default() += 1;
            }
            let least = partitions as usize / members.len();
            let even = |load: usize| load == least || load == least + 1;
            prop_assert!(loads.values().all(|load| even(*load)), "{loads:?}");
            prop_assert!(least == 0 || loads.len() == members.len(), "{loads:?}");
        }

        #[test]
        fn most_stay_when_one_goes(names in proptest::collection::btree_set("[a-z]{4,8}", 3..9)) {
            let mut members: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let before = assign(&members, 64);
            let gone = members.pop_first().expect("one");
            let after = assign(&members, 64);
            let moved = before
                .iter()
                .zip(&after)
                .filter(|(one, other)| **one != Some(gone) && one != other)
                .count();
            prop_assert!(moved <= 40, "{moved} of 64");
        }
    }

    #[test]
    fn nobody_is_assigned_nothing() {
        assert_eq!(assign(&BTreeSet::new(), 3), [None, None, None]);
    }
}
