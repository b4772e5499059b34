//! What an action is after something happened to it.

use super::{Action, Input, Progress, Resolution, Run, State};
use crate::plan::{Class, Plan, Risk, Step};
use crate::policy::{Mode, OnTimeout, Rollback};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use thiserror::Error;

/// Something that cannot happen to an action as it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an action that is {state} cannot be {input}")]
pub struct Illegal {
    /// What it is.
    pub state: &'static str,
    /// What was to happen.
    pub input: &'static str,
}

/// How often an action is planned at most, because what it was planned for changes.
const PLANS_MAX: u32 = 3;

impl Action {
    /// A new action.
    pub fn proposed(id: String, input: &Input, now: i64) -> Option<Self> {
        let (proposal, state) = match input {
            Input::Proposed(proposal) => (proposal, State::Proposed),
            Input::Refused {
                proposal, reason, ..
            } => (proposal, State::Suppressed(reason.clone())),
            _ => return None,
        };
        Some(Self {
            id,
            revision: 1,
            proposal: Arc::clone(proposal),
            state,
            plan: None,
            plans: 0,
            votes: Vec::new(),
            run: None,
            back: None,
            proposed: now,
            changed: now,
            succeeded: None,
            rechecks: 0,
            mode: Mode::default(),
            is_glass_broken: false,
            nonces: Vec::new(),
        })
    }

    /// What it is after an input at a time.
    pub fn after(&self, input: &Input, now: i64) -> Result<Self, Illegal> {
        self.clone().into_after(input, now)
    }

    /// The same of one that is needed no more: with its event and its plan it is long, and whoever reads a journal has many.
    pub fn into_after(mut self, input: &Input, now: i64) -> Result<Self, Illegal> {
        let state = self.state.name();
        if !self.take(input, now) {
            return Err(Illegal {
                state,
                input: input.name(),
            });
        }
        self.revision += 1;
        self.changed = now;
        Ok(self)
    }

    /// Whether it can be.
    fn take(&mut self, input: &Input, now: i64) -> bool {
        match input {
            Input::Proposed(_) | Input::Refused { .. } => false,
            Input::Suppressed { reason } => {
                let is_before = matches!(
                    self.state,
                    State::Proposed | State::Approved | State::Deferred { .. }
                );
                self.become_if(is_before, State::Suppressed(reason.clone()))
            }
            Input::Planned { plan, mode } => self.planned(plan, *mode, now),
            Input::Nothing { reason } => {
                let is_open = self.state == State::Proposed;
                self.become_if(is_open, State::Noop(reason.clone()))
            }
            Input::Unplannable { reason } => {
                let is_open = self.state == State::Proposed;
                self.become_if(is_open, State::Unplannable(reason.clone()))
            }
            Input::Voted { vote, is_enough } => {
                let waits = matches!(
                    self.state,
                    State::AwaitingApproval { .. } | State::VetoWindow { .. }
                );
                if !waits {
                    return false;
                }
                self.votes.push(vote.clone());
                self.nonces.push(vote.vote.nonce.clone());
                match vote.vote.decision {
                    crate::vote::Decision::Deny => self.state = State::Rejected,
                    crate::vote::Decision::Approve if *is_enough => self.state = State::Approved,
                    crate::vote::Decision::Approve => {}
                }
                true
            }
            Input::BrokenGlass { vote, .. } => {
                let waits = matches!(
                    self.state,
                    State::AwaitingApproval { .. }
                        | State::VetoWindow { .. }
                        | State::Deferred { .. }
                        | State::DryRun
                );
                self.votes.extend(waits.then(|| vote.clone()));
                self.nonces.extend(waits.then(|| vote.vote.nonce.clone()));
                self.is_glass_broken |= waits;
                self.become_if(waits, State::Approved)
            }
            Input::TimeOver => self.time_over(now),
            Input::Deferred { reason, until } => {
                let may = matches!(self.state, State::Approved | State::Deferred { .. });
                let reason = reason.clone();
                self.become_if(
                    may,
                    State::Deferred {
                        reason,
                        until: *until,
                    },
                )
            }
            Input::Outdated { reason } => {
                let may = matches!(self.state, State::Approved | State::Deferred { .. });
                if may && self.plans >= PLANS_MAX {
                    let text =
                        format!("planned {PLANS_MAX} times, and each time outdated: {reason}");
                    return self.become_if(true, State::Expired(text));
                }
                if may {
                    self.plan = None;
                    self.votes.clear();
                    self.is_glass_broken = false;
                }
                self.become_if(may, State::Proposed)
            }
            Input::Began { epoch, call } => {
                let may = matches!(self.state, State::Approved | State::Deferred { .. });
                let (true, Some((plan, _))) = (may, &self.plan) else {
                    return false;
                };
                let mut run = Run::of(plan.steps.as_slice().into(), now);
                let Some(first) = run.progress.first_mut() else {
                    return false;
                };
                *first = Progress::Intent {
                    attempt: 1,
                    at: now,
                    epoch: *epoch,
                    is_unsure: false,
                    call: call.clone(),
                };
                self.run = Some(run);
                self.become_if(true, State::Executing)
            }
            Input::Intent {
                step,
                attempt,
                epoch,
                call,
            } => {
                let (at, attempt, epoch) = (now, *attempt, *epoch);
                self.note_unsure(*step);
                let call = call.clone();
                self.step(*step, |progress| {
                    (attempt == progress.attempts() + 1).then_some(Progress::Intent {
                        attempt,
                        at,
                        epoch,
                        is_unsure: progress.is_unsure(),
                        call,
                    })
                })
            }
            Input::Answered {
                step,
                answer,
                is_done,
                ..
            } => {
                let mut was_unsure = false;
                let is_sent = self.step(*step, |progress| {
                    let Progress::Intent { is_unsure, .. } = progress else {
                        return None;
                    };
                    was_unsure = *is_unsure;
                    Some(match answer {
                        crate::plan::Answer::Done(value) => Progress::Done(value.clone()),
                        crate::plan::Answer::Refused { .. } => Progress::Done(json!({})),
                    })
                });
                match (is_sent, is_done) {
                    (false, _) => false,
                    (true, true) => self.went_on(now),
                    (true, false) => {
                        let reason = match answer {
                            crate::plan::Answer::Refused { code, message } => {
                                format!("{code}: {message}")
                            }
                            crate::plan::Answer::Done(_) => "the answer makes no sense".to_owned(),
                        };
                        self.failed(*step, reason, was_unsure, now)
                    }
                }
            }
            Input::Unanswered {
                step,
                is_undone,
                until,
                ..
            } => {
                if !is_undone {
                    self.note_unsure(*step);
                }
                self.step(*step, |progress| {
                    let Progress::Intent {
                        attempt,
                        at,
                        is_unsure: was_unsure,
                        ..
                    } = progress
                    else {
                        return None;
                    };
                    Some(if *is_undone {
                        Progress::Waiting {
                            attempts: *attempt,
                            until: *until,
                            is_unsure: *was_unsure,
                        }
                    } else {
                        Progress::Unsure {
                            attempts: *attempt,
                            at: *at,
                            until: *until,
                        }
                    })
                })
            }
            Input::Adopted { step, answer } => {
                let answer = answer.clone();
                self.step(*step, |progress| {
                    progress.is_unsure().then_some(Progress::Done(answer))
                }) && self.went_on(now)
            }
            Input::Skipped { step } => {
                self.note_unsure(*step);
                self.step(*step, |progress| {
                    progress.is_unsure().then_some(Progress::Skipped)
                }) && self.went_on(now)
            }
            Input::Ambiguous { step, reason } => {
                let is_back = matches!(self.state, State::RollingBack(_) | State::Reverting(_));
                let mut is_so = false;
                self.note_unsure(*step);
                self.step(*step, |progress| {
                    is_so = progress.is_unsure();
                    None
                });
                let (reason, was) = (reason.clone(), Box::new(self.state.clone()));
                self.become_if(
                    is_so,
                    State::NeedsHuman {
                        reason,
                        is_back,
                        was,
                    },
                )
            }
            Input::StepFailed { step, reason } => {
                let mut unsure = None;
                self.note_unsure(*step);
                self.step(*step, |progress| {
                    unsure = Some(progress.is_unsure());
                    None
                });
                match unsure {
                    Some(unsure) => self.failed(*step, reason.clone(), unsure, now),
                    None => false,
                }
            }
            Input::Verified => {
                let may = matches!(self.state, State::Verifying { .. });
                if may {
                    self.succeeded = Some(now);
                }
                self.become_if(may, State::Succeeded)
            }
            Input::NotVerified { reason } => {
                if !matches!(self.state, State::Verifying { .. }) {
                    return false;
                }
                let rolls = self.proposal.terms.execution.rollback == Rollback::OnVerifyFailure;
                let stays = self
                    .plan
                    .as_ref()
                    .is_none_or(|(plan, _)| !plan.is_rolled_back);
                match rolls && !stays {
                    true => self.roll_back(reason.clone(), now),
                    false => self.become_if(
                        true,
                        State::Failed(format!("done, but not seen to have worked: {reason}")),
                    ),
                }
            }
            Input::Drifted { reason } => {
                let may = self.state == State::Succeeded;
                self.become_if(may, State::Drifted(reason.clone()))
            }
            Input::Rechecked => {
                let may = self.state == State::Succeeded;
                self.rechecks += usize::from(may);
                may
            }
            Input::RevertAsked { by, reason } => {
                let may = matches!(
                    self.state,
                    State::Succeeded
                        | State::Failed(_)
                        | State::Drifted(_)
                        | State::RollbackFailed(_)
                );
                let steps = self.run.as_ref().map(Run::inverse).unwrap_or_default();
                if !may || steps.is_empty() {
                    return false;
                }
                self.set_back(steps, now);
                self.become_if(true, State::Reverting(format!("{by}: {reason}")))
            }
            Input::Canceled { by, reason } => {
                let may = matches!(
                    self.state,
                    State::Proposed
                        | State::AwaitingApproval { .. }
                        | State::VetoWindow { .. }
                        | State::Approved
                        | State::Deferred { .. }
                );
                self.become_if(may, State::Canceled(format!("{by}: {reason}")))
            }
            Input::Resolved { resolution, .. } => self.resolved(*resolution, now),
        }
    }

    fn become_if(&mut self, may: bool, state: State) -> bool {
        if may {
            self.state = state;
        }
        may
    }

    fn planned(&mut self, plan: &Arc<Plan>, mode: Mode, now: i64) -> bool {
        if self.state != State::Proposed || plan.steps.is_empty() {
            return false;
        }
        let terms = &self.proposal.terms;
        let mode = mode.min(terms.stage.mode);
        let asks = || State::AwaitingApproval {
            until: now.saturating_add(terms.approval.timeout.0),
        };
        let risk = plan.risk.max(terms.risk);
        let state = match mode {
            Mode::Shadow | Mode::DryRun => State::DryRun,
            _ if plan.is_irreversible() || risk == Risk::High => asks(),
            Mode::Approve => asks(),
            Mode::Veto => State::VetoWindow {
                until: now.saturating_add(terms.approval.veto_window.0),
            },
            Mode::Auto if share(&plan.resource.arn) < terms.stage.percent => State::Approved,
            Mode::Auto => asks(),
        };
        self.plan = Some((Arc::clone(plan), plan.hash()));
        self.plans += 1;
        self.mode = mode;
        self.become_if(true, state)
    }

    fn time_over(&mut self, now: i64) -> bool {
        match self.state {
            State::AwaitingApproval { until } if until <= now => {
                let is_gentle = self.plan.as_ref().is_some_and(|(plan, _)| {
                    let gentle = |class| matches!(class, Class::Set | Class::Remove);
                    plan.is_reversible() && plan.steps.iter().all(|step| gentle(step.class))
                });
                let contains =
                    self.proposal.terms.approval.on_timeout == OnTimeout::ContainReversible;
                // Nothing that waits because its policy failed too often, too much waited, or it can do much harm.
                let terms = &self.proposal.terms;
                let is_plain = self.mode == terms.stage.mode
                    && self
                        .plan
                        .as_ref()
                        .is_some_and(|(plan, _)| plan.risk.max(terms.risk) < Risk::High);
                let state = match contains && is_gentle && is_plain {
                    true => State::Approved,
                    false => State::Expired("nobody agreed in time".to_owned()),
                };
                self.become_if(true, state)
            }
            State::VetoWindow { until } if until <= now => self.become_if(true, State::Approved),
            State::Approved | State::Deferred { .. } => {
                let waited = "it could not begin in time".to_owned();
                self.become_if(true, State::Expired(waited))
            }
            _ => false,
        }
    }

    /// A request of the step of the run may be under way that nothing more is known of.
    fn note_unsure(&mut self, step: usize) {
        if let Some(run) = self.current_mut()
            && let Some(Progress::Intent { at, .. }) = run.progress.get(step)
        {
            run.unsure = run.unsure.max(*at);
        }
    }

    /// Begins to take back. What an earlier attempt at that left under way may still be done.
    fn set_back(&mut self, steps: Vec<Step>, now: i64) {
        let unsure = self.back.as_ref().map_or(0, |back| back.unsure);
        let mut back = Run::of(steps.into(), now);
        back.unsure = unsure;
        self.back = Some(back);
    }

    /// What it is after everything was taken back that can be.
    fn back(&self, reason: String, as_it_was: impl FnOnce(String) -> State) -> State {
        let left = self.run.as_ref().map(Run::left).unwrap_or_default();
        let names = |is_certain: bool| {
            let names = left.iter().filter(|(_, certain)| *certain == is_certain);
            let names: Vec<_> = names.map(|(step, _)| format!("`{}`", step.id)).collect();
            names.join(", ")
        };
        match (names(false), names(true)) {
            (maybe, done) if maybe.is_empty() && done.is_empty() => as_it_was(reason),
            (maybe, done) if maybe.is_empty() => {
                as_it_was(format!("{reason}; {done} cannot be taken back and stays"))
            }
            (maybe, _) => State::RollbackFailed(format!(
                "{reason}; {maybe} may have been done, and nothing names what it left"
            )),
        }
    }

    /// Changes how far the step of the run is that is next; whether it is that step, and it can be so.
    fn step(&mut self, step: usize, to: impl FnOnce(&Progress) -> Option<Progress>) -> bool {
        // While somebody is asked nothing is known, and nothing is sent.
        if matches!(self.state, State::NeedsHuman { .. }) {
            return false;
        }
        let Some(run) = self.current_mut() else {
            return false;
        };
        if run.at() != Some(step) || matches!(run.progress[step], Progress::Failed { .. }) {
            return false;
        }
        match to(&run.progress[step]) {
            Some(progress) => {
                run.progress[step] = progress;
                true
            }
            None => false,
        }
    }

    /// After a step was over: what follows.
    fn went_on(&mut self, now: i64) -> bool {
        if !self.current().is_some_and(Run::is_over) {
            return true;
        }
        let within = self.proposal.terms.execution.verify.within.0;
        self.state = match &self.state {
            State::Executing => State::Verifying {
                until: now.saturating_add(within),
            },
            State::RollingBack(reason) => self.back(reason.clone(), State::RolledBack),
            State::Reverting(reason) => self.back(reason.clone(), State::Reverted),
            other => other.clone(),
        };
        true
    }

    fn failed(&mut self, step: usize, reason: String, is_unsure: bool, now: i64) -> bool {
        let Some(run) = self.current_mut() else {
            return false;
        };
        let name = run.steps[step].id.clone();
        run.progress[step] = Progress::Failed {
            reason: reason.clone(),
            is_unsure,
        };
        let reason = format!("step `{name}` failed: {reason}");
        match self.state {
            State::Executing if self.proposal.terms.execution.rollback == Rollback::Never => {
                self.become_if(true, State::Failed(reason))
            }
            State::Executing => self.roll_back(reason, now),
            _ => self.become_if(true, State::RollbackFailed(reason)),
        }
    }

    fn roll_back(&mut self, reason: String, now: i64) -> bool {
        let steps = self.run.as_ref().map(Run::inverse).unwrap_or_default();
        if steps.is_empty() {
            return self.become_if(true, State::Failed(reason));
        }
        self.set_back(steps, now);
        self.become_if(true, State::RollingBack(reason))
    }

    fn resolved(&mut self, resolution: Resolution, now: i64) -> bool {
        let State::NeedsHuman {
            reason,
            is_back,
            was,
        } = self.state.clone()
        else {
            return false;
        };
        let Some(step) = self.current().and_then(Run::at) else {
            return false;
        };
        let on = *was;
        // People take longer than requests: the time that all of it may take begins anew.
        if resolution != Resolution::GiveUp
            && let Some(run) = self.current_mut()
        {
            run.began = now;
        }
        match resolution {
            Resolution::GiveUp if is_back => self.become_if(true, State::RollbackFailed(reason)),
            Resolution::GiveUp => self.become_if(true, State::Failed(reason)),
            Resolution::Done => {
                self.state = on;
                self.step(step, |_| {
                    Some(Progress::Done(Value::Object(Default::default())))
                }) && self.went_on(now)
            }
            Resolution::Again => {
                self.state = on;
                self.step(step, |progress| {
                    Some(Progress::Waiting {
                        attempts: progress.attempts(),
                        until: now,
                        is_unsure: false,
                    })
                })
            }
        }
    }
}

impl Input {
    /// Its name, as it stands in records.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proposed(_) => "proposed",
            Self::Refused { .. } => "refused",
            Self::Suppressed { .. } => "suppressed",
            Self::Planned { .. } => "planned",
            Self::Nothing { .. } => "nothing",
            Self::Unplannable { .. } => "unplannable",
            Self::Voted { .. } => "voted",
            Self::BrokenGlass { .. } => "broken_glass",
            Self::TimeOver => "time_over",
            Self::Deferred { .. } => "deferred",
            Self::Began { .. } => "began",
            Self::Outdated { .. } => "outdated",
            Self::Intent { .. } => "intent",
            Self::Answered { .. } => "answered",
            Self::Unanswered { .. } => "unanswered",
            Self::Adopted { .. } => "adopted",
            Self::Skipped { .. } => "skipped",
            Self::Ambiguous { .. } => "ambiguous",
            Self::StepFailed { .. } => "step_failed",
            Self::Verified => "verified",
            Self::NotVerified { .. } => "not_verified",
            Self::Drifted { .. } => "drifted",
            Self::Rechecked => "rechecked",
            Self::RevertAsked { .. } => "revert_asked",
            Self::Canceled { .. } => "canceled",
            Self::Resolved { .. } => "resolved",
        }
    }
}

/// Which of a hundred a resource is, the same for ever.
fn share(arn: &str) -> u8 {
    let digest = Sha256::digest(arn.as_bytes());
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    (number % 100) as u8
}
