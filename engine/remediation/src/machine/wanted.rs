//! What is to be done next about an action of which nothing is under way.

use super::{Action, Progress, State};
use crate::plan::Class;
use crate::policy::OnAmbiguous;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing, until somebody says something.
    Nothing,
    /// Nothing before a time.
    Wait(i64),
    /// A plan.
    Plan,
    /// What it needs is to be reserved, and its first request sent.
    Begin,
    /// A request is to be sent.
    Send {
        /// Which step.
        step: usize,
    },
    /// It is to be looked whether an earlier try made something.
    Probe {
        /// Which step.
        step: usize,
        /// When the earlier try can have no effect any more, so that it is sent again if nothing is found; `None`: it never
        /// is, and somebody is asked.
        send_at: Option<i64>,
    },
    /// It is left.
    Skip {
        /// Which step.
        step: usize,
    },
    /// Somebody is to be asked.
    Ask {
        /// Which step.
        step: usize,
    },
    /// The step is given up.
    Fail {
        /// Which step.
        step: usize,
        /// Why.
        reason: String,
    },
    /// It is to be looked whether it worked.
    Verify,
    /// It is to be looked again whether it holds.
    Recheck,
    /// Its time is over.
    TimeOver,
    /// It has stayed as long as it was to stay.
    Release,
}

/// What is to be done at a time. `fence`: how long after a request was written down it can still have an effect.
pub fn wanted(action: &Action, now: i64, fence: i64) -> Wanted {
    let terms = &action.proposal.terms;
    match &action.state {
        // What was outdated is planned again a little later: what is read right after a change may be of before it.
        State::Proposed if action.plans > 0 => {
            match action.changed.saturating_add(REPLAN << action.plans.min(4)) {
                until if now < until => Wanted::Wait(until),
                _ => Wanted::Plan,
            }
        }
        State::Proposed => Wanted::Plan,
        State::AwaitingApproval { until } | State::VetoWindow { until } => match *until <= now {
            true => Wanted::TimeOver,
            false => Wanted::Wait(*until),
        },
        State::Approved => match ends(action) <= now {
            true => Wanted::TimeOver,
            false => Wanted::Begin,
        },
        State::Deferred { until, .. } => {
            // What waits for room does not wait for ever: what it was to answer is long past then.
            let end = ends(action);
            match (end <= now, *until <= now) {
                (true, _) => Wanted::TimeOver,
                (_, true) => Wanted::Begin,
                _ => Wanted::Wait((*until).min(end)),
            }
        }
        State::Executing | State::RollingBack(_) | State::Reverting(_) => {
            running(action, now, fence)
        }
        State::Verifying { .. } => Wanted::Verify,
        State::Succeeded => {
            let Some(succeeded) = action.succeeded else {
                return Wanted::Nothing;
            };
            let release = terms
                .execution
                .release_after
                .filter(|_| {
                    action
                        .run
                        .as_ref()
                        .is_some_and(|run| !run.inverse().is_empty())
                })
                .map(|after| succeeded + after.0);
            let recheck = terms.execution.verify.then_recheck.get(action.rechecks);
            let recheck = recheck.map(|after| succeeded + after.0);
            match (release, recheck) {
                (Some(at), _) if at <= now => Wanted::Release,
                (_, Some(at)) if at <= now => Wanted::Recheck,
                (None, None) => Wanted::Nothing,
                (one, other) => {
                    Wanted::Wait(one.unwrap_or(i64::MAX).min(other.unwrap_or(i64::MAX)))
                }
            }
        }
        _ => Wanted::Nothing,
    }
}

/// At least so long an approved action waits for room: one day.
const DEFERRED_MAX: i64 = 86_400_000_000;

/// When no request of an action can have an effect any more of which nobody knows what became.
fn settles(action: &Action, fence: i64) -> i64 {
    match action.unsure() {
        0 => 0,
        at => at.saturating_add(fence),
    }
}

/// Before an action is planned again: half a second, doubled by each plan.
const REPLAN: i64 = 500_000;

/// Until when an approved action waits for room. Nobody has agreed to what it would do then.
fn ends(action: &Action) -> i64 {
    let longest = action.proposal.terms.approval.timeout.0.max(DEFERRED_MAX);
    action.proposed.saturating_add(longest)
}

fn running(action: &Action, now: i64, fence: i64) -> Wanted {
    let Some(run) = action.current() else {
        return Wanted::Nothing;
    };
    let Some(step) = run.at() else {
        return Wanted::Nothing;
    };
    let execution = &action.proposal.terms.execution;
    let progress = &run.progress[step];
    let is_forward = action.state == State::Executing;
    let is_late = is_forward && now.saturating_sub(run.began) > execution.total_timeout.0;
    let fail = |reason: String| Wanted::Fail { step, reason };
    let again = |attempts: u32| match (attempts >= execution.retry.max, is_late) {
        (true, _) => fail(format!("tried {attempts} times")),
        (_, true) => fail("the action took too long".to_owned()),
        _ => Wanted::Send { step },
    };
    let (attempts, at, until) = match progress {
        Progress::Idle if is_late => return fail("the action took too long".to_owned()),
        // What is taken back must not be done again by a request that was under way before.
        Progress::Idle if !is_forward && step == 0 && now < settles(action, fence) => {
            return Wanted::Wait(settles(action, fence));
        }
        Progress::Idle => return Wanted::Send { step },
        Progress::Waiting {
            attempts,
            until,
            is_unsure: false,
        } => {
            return match *until <= now {
                true => again(*attempts),
                false => Wanted::Wait(*until),
            };
        }
        Progress::Waiting {
            attempts, until, ..
        } => (*attempts, run.unsure, *until),
        Progress::Unsure {
            attempts,
            at,
            until,
        } => (*attempts, *at, *until),
        Progress::Intent { attempt, at, .. } => (*attempt, *at, now),
        Progress::Done(_) | Progress::Skipped | Progress::Failed { .. } => return Wanted::Nothing,
    };
    if now < until {
        return Wanted::Wait(until);
    }
    let one = &run.steps[step];
    match one.class {
        Class::Set | Class::Remove | Class::Token => again(attempts),
        Class::Create if one.probe.is_some() => Wanted::Probe {
            step,
            send_at: Some(at.saturating_add(fence)),
        },
        Class::Irreversible if one.probe.is_some() => Wanted::Probe {
            step,
            send_at: None,
        },
        Class::Create | Class::Irreversible => Wanted::Ask { step },
        Class::Blind => match execution.on_ambiguous {
            OnAmbiguous::Ask => Wanted::Ask { step },
            OnAmbiguous::Retry => again(attempts),
            OnAmbiguous::Skip => Wanted::Skip { step },
        },
    }
}
