//! Whether there is room for an action: switches, locks, caps.

use super::{Book, Hold, SOON};
use crate::machine::{Action, Input, State};
use crate::policy::Cap;

impl Book {
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
        let skew = self.rules.skew;
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
                let (count, oldest) = slots.after(now - cap.window.0 - skew, &action.id);
                if count >= cap.max {
                    let until = oldest
                        .map_or(now + SOON, |at| at.min(now) + cap.window.0 + skew + 1)
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
            .map_or(0, |ids| ids.len() - usize::from(ids.contains(&action.id)));
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
            slots.after(now - cap.window.0 - self.rules.skew, &action.id)
        });
        let most = (*known as f64 * share.percent / 100.0).floor();
        match f64::from(count) + 1.0 > most {
            true => {
                let window = cap.window.0 + self.rules.skew;
                let until = oldest.map_or(now + 60 * SOON, |at| at.min(now) + window + 1);
                let why = format!(
                    "{} of a hundred of {known} {} are {most}",
                    share.percent, share.of
                );
                Err(Hold::Later(why, until))
            }
            false => Ok(()),
        }
    }

    /// Counts what an action does where it is capped. A request takes effect after it was written down and before its answer
    /// was, and one that nobody knows of until it can have no effect any more: the latest of these times counts.
    pub(super) fn stamp(&mut self, action: &Action, input: &Input, now: i64) {
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
            let keep = keep.max(percent.map_or(0, |cap| cap.window.0)) + self.rules.skew;
            let slots = self.slots.entry(scope).or_default();
            slots.stamp(&action.id, at, keep, now);
        }
    }
}
