//! What happened to actions, as events for rules and for whoever watches.
//!
//! What the journal has is told at least once: whoever tells keeps the number of the newest record that it told, and gives it
//! back when the engine is opened again.

use super::{Engine, EngineFault, Outside, locked};
use crate::book::Book;
use crate::journal::Entry;
use crate::machine::State;
use crate::policy::Mode;
use serde_json::{Value, json};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// The number of its record.
    pub seq: u64,
    /// When; microseconds since 1970.
    pub time: i64,
    /// The account that it is about; empty when it is about none.
    pub account: String,
    /// What happened, as `ActionSucceeded` or `RemediationSwitchedOff`.
    pub name: String,
    /// What is to be known of it.
    pub about: Value,
}

impl News {
    /// What an entry tells, after it was taken into the book. Most tell nothing: only what an action became is news, and not
    /// each of its requests.
    pub fn of(seq: u64, time: i64, entry: &Entry, book: &Book) -> Option<Self> {
        match entry {
            Entry::Action { id, from, to, .. } if from != to => {
                let action = book.action(id)?;
                let is_quiet = matches!(action.state, State::Proposed | State::Approved);
                let is_shadow = action.proposal.terms.stage.mode == Mode::Shadow;
                if is_quiet || is_shadow {
                    return None;
                }
                let proposal = &action.proposal;
                let resource = &proposal.subject.resource;
                let plan = action.plan.as_ref();
                Some(Self {
                    seq,
                    time,
                    account: resource.account.clone(),
                    name: format!("Action{}", camel(to)),
                    about: json!({
                        "actionId": id,
                        "state": to,
                        "before": from,
                        "reason": action.state.reason(),
                        "policy": proposal.policy.id,
                        "policyVersion": proposal.policy.version,
                        "action": proposal.action,
                        "resource": resource.arn,
                        "region": resource.region,
                        "summary": plan.map(|(plan, _)| &plan.summary),
                        "planHash": plan.map(|(_, hash)| hash),
                        "risk": proposal.terms.risk,
                        "runbook": proposal.runbook,
                        "owner": proposal.terms.owner,
                        "findingId": proposal.origin.finding,
                        "ruleId": proposal.origin.rule,
                        "causedBy": proposal.origin.event,
                    }),
                })
            }
            Entry::Switch {
                scope,
                is_off,
                by,
                reason,
            } => Some(Self {
                seq,
                time,
                account: String::new(),
                name: match is_off {
                    true => "RemediationSwitchedOff".to_owned(),
                    false => "RemediationSwitchedOn".to_owned(),
                },
                about: json!({ "scope": scope, "by": by, "reason": reason }),
            }),
            _ => None,
        }
    }
}

/// `rolled_back` as `RolledBack`.
fn camel(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|one| one.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

impl<O: Outside> Engine<O> {
    /// What happened and was not told yet, the oldest first, all of it on the disk. It stays until [`Self::told_until`].
    pub fn news(&self, max: usize) -> Result<Vec<News>, EngineFault> {
        let news: Vec<News> = locked(&self.news).iter().take(max).cloned().collect();
        // What several share is told when it is in their order.
        if let (Some(last), Some(journal)) = (news.last(), &self.journal) {
            journal.flush(last.seq)?;
        }
        Ok(news)
    }

    /// Forgets what was told, up to a record.
    pub fn told_until(&self, seq: u64) {
        let mut news = locked(&self.news);
        while news.front().is_some_and(|one| one.seq <= seq) {
            news.pop_front();
        }
    }
}
