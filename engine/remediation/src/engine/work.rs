//! What is done about one action at a time.

use super::consider::day_of;
use super::{Engine, EngineFault, Identity, Outside, Sent, locked};
use crate::action::{self, Context, LastKnown, PlanFault, Planned, Planner, Reads};
use crate::book::Hold;
use crate::guard;
use crate::machine::{Action, BY_POLICY, Input, Progress, Proposal, State, Wanted, wanted};
use crate::plan::{Answer, Call, Check, Plan};
use crate::policy::Mode;
use serde_json::Value;

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something was done; there may be more.
    Worked,
    /// There is nothing to do before this time; microseconds since 1970.
    IdleUntil(i64),
    /// There is nothing to do.
    Idle,
}

/// How soon what is switched off is looked at again: after a minute, and when a switch is turned on.
const SWITCHED: i64 = 60_000_000;

/// The pause after something that must not be.
const FAULT_PAUSE: i64 = 60_000_000;

/// A request is not sent later than this after it was written down: 60 s. How long it can have an effect is counted from then.
const SEND_WITHIN: i64 = 60_000_000;

/// So long after an event it is not believed that there is nothing to do: what is read may be of before it. 10 s.
const STALE: i64 = 10_000_000;

/// The longest answer that is kept: 1 MiB.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The longest plan: 4 MiB.
const PLAN_BYTES_MAX: usize = 4 << 20;

/// An answer as it is kept. What is too long is not: nobody needs it, and a record must hold it.
fn kept(answer: Answer) -> Answer {
    match answer {
        Answer::Done(value) if value.to_string().len() > ANSWER_BYTES_MAX => {
            Answer::Done(serde_json::json!({}))
        }
        Answer::Refused { code, message } => Answer::Refused {
            code: code.chars().take(256).collect(),
            message: message.chars().take(2_048).collect(),
        },
        answer => answer,
    }
}

/// So long after the time for it, an answer is still waited for that shows whether an action worked: an hour.
const UNANSWERED: i64 = 3_600_000_000;

/// The pause after a read that failed: 2 s.
const READ_PAUSE: i64 = 2_000_000;

struct Reading<'e, O> {
    outside: &'e O,
    identity: Identity,
}

impl<O: Outside> Reads for Reading<'_, O> {
    fn read(&mut self, call: &Call) -> Result<Answer, String> {
        match self.outside.send(call, &self.identity) {
            Sent::Answered { answer, .. } => Ok(answer),
            Sent::NotDone(why) | Sent::Unknown(why) => Err(why),
        }
    }
}

/// Gives an action free when its turn ends, however it ends.
struct Busy<'e, O: Outside>(&'e Engine<O>, String);

impl<O: Outside> Drop for Busy<'_, O> {
    fn drop(&mut self) {
        locked(&self.0.busy).remove(&self.1);
    }
}

impl<O: Outside> Engine<O> {
    /// Does what is due about one action that nobody else is at. Several threads may take turns.
    pub fn turn(&self) -> Result<Turn, EngineFault> {
        let now = self.outside.now();
        if self.is_paused() || self.rests() {
            return Ok(Turn::Idle);
        }
        let (id, next) = {
            let book = self.book();
            if !self.is_acting(&book) {
                return Ok(Turn::Idle);
            }
            let mut busy = locked(&self.busy);
            let mut next = None;
            let mut found = None;
            for (at, id) in book.due() {
                if at > now {
                    next = Some(at);
                    break;
                }
                if !busy.contains(id) {
                    busy.insert(id.to_owned());
                    found = Some(id.to_owned());
                    break;
                }
            }
            (found, next)
        };
        let Some(id) = id else {
            return Ok(next.map_or(Turn::Idle, Turn::IdleUntil));
        };
        let _busy = Busy(self, id.clone());
        let Some(action) = self.action(&id) else {
            return Ok(Turn::Worked);
        };
        match self.work(&action) {
            Ok(()) => {}
            Err(EngineFault::Changed(_) | EngineFault::NotActing) => {}
            Err(EngineFault::Held(hold)) => match self.held(&action, hold) {
                Err(EngineFault::Changed(_) | EngineFault::NotActing) => {}
                done => done?,
            },
            Err(fault) => {
                // Whatever it is, it is not tried without a pause.
                let later = self.outside.now().saturating_add(FAULT_PAUSE);
                self.put_off(&action, later);
                return Err(fault);
            }
        }
        if let Some(now) = self.action(&id)
            && now.state != action.state
        {
            self.outside.told(&now);
        }
        Ok(Turn::Worked)
    }

    fn put_off(&self, action: &Action, until: i64) {
        self.book().put_off(&action.id, action.revision, until);
    }

    fn held(&self, action: &Action, hold: Hold) -> Result<(), EngineFault> {
        let now = self.outside.now();
        match hold {
            Hold::Off(_) => self.put_off(action, now + SWITCHED),
            Hold::Later(reason, until) => {
                // Once is enough for the trail; what waits is looked at again and again.
                if action.state == State::Approved {
                    let input = Input::Deferred { reason, until };
                    let current = self
                        .action(&action.id)
                        .map_or(action.revision, |one| one.revision);
                    self.commit(&action.id, current, input)?;
                    self.point("held.committed")?;
                } else {
                    self.put_off(action, until);
                }
            }
        }
        Ok(())
    }

    fn identity(&self, action: &Action, is_acting: bool) -> Identity {
        let terms = &action.proposal.terms;
        let resource = &action.proposal.subject.resource;
        let partition = resource.arn.split(':').nth(1).unwrap_or("aws");
        let role = terms.role.replace("{account}", &resource.account);
        Identity {
            action: action.id.clone(),
            role: role.replace("{partition}", partition),
            plan: match (is_acting, &action.plan) {
                (true, Some((plan, _))) => Some(plan.clone()),
                _ => None,
            },
            timeout: terms.execution.step_timeout.0,
        }
    }

    fn work(&self, action: &Action) -> Result<(), EngineFault> {
        let now = self.outside.now();
        let (id, revision) = (action.id.as_str(), action.revision);
        let fence = self.book().rules().fence;
        match wanted(action, now, fence) {
            Wanted::Nothing => self.put_off(action, i64::MAX),
            Wanted::Wait(until) => self.put_off(action, until),
            Wanted::Plan => return self.plan(action),
            Wanted::Begin => return self.begin(action),
            Wanted::Send { step } => return self.send(action, step),
            Wanted::Probe { step, send_at } => return self.probe(action, step, send_at),
            Wanted::Skip { step } => self.commit(id, revision, Input::Skipped { step })?,
            Wanted::Ask { step } => {
                let reason =
                    "nobody knows whether the request was done, and nothing tells".to_owned();
                self.commit(id, revision, Input::Ambiguous { step, reason })?;
            }
            Wanted::Fail { step, reason } => {
                self.commit(id, revision, Input::StepFailed { step, reason })?;
                self.point("step.failed")?;
            }
            Wanted::Verify => return self.verify(action),
            Wanted::Recheck => return self.recheck(action),
            Wanted::TimeOver => self.commit(id, revision, Input::TimeOver)?,
            Wanted::Release => {
                let (by, reason) = (BY_POLICY.to_owned(), "it was to stay no longer".to_owned());
                self.commit(id, revision, Input::RevertAsked { by, reason })?;
            }
        }
        Ok(())
    }

    fn plan(&self, action: &Action) -> Result<(), EngineFault> {
        let proposal = &action.proposal;
        let now = self.outside.now();
        if self
            .book()
            .is_off(&proposal.policy.id, &proposal.subject.resource.account)
            .is_some()
        {
            self.put_off(action, now + SWITCHED);
            return Ok(());
        }
        let mut reads = Reading {
            outside: &self.outside,
            identity: self.identity(action, false),
        };
        let planner = self.planner();
        let planned = plan_with(planner.as_deref(), proposal, &action.id, self, &mut reads);
        self.point("plan.read")?;
        // The resource was looked at before; a plugin may plan something about others.
        let protects = |plan: &Plan| match proposal.plugin {
            Some(_) => guard::protected_of(plan, &self.settings.protected),
            None => None,
        };
        let input = match planned {
            Ok(Planned::Plan(plan))
                if serde_json::to_vec(&plan).map_or(0, |text| text.len()) > PLAN_BYTES_MAX =>
            {
                Input::Unplannable {
                    reason: "its plan is longer than 4 MiB".to_owned(),
                }
            }
            Ok(Planned::Plan(plan)) => match protects(&plan) {
                Some(reason) => Input::Unplannable { reason },
                None => {
                    let mode = self.book().mode(action, now);
                    let plan = plan.into();
                    Input::Planned { plan, mode }
                }
            },
            Ok(Planned::Nothing(_))
                if (0..STALE).contains(&now.saturating_sub(proposal.origin.event_time)) =>
            {
                self.put_off(action, now + READ_PAUSE);
                return Ok(());
            }
            Ok(Planned::Nothing(reason)) => Input::Nothing { reason },
            Err(PlanFault::Read(operation, why)) => {
                // The service may be there again soon; the finding is not gone because it is not.
                if now - action.changed <= proposal.terms.execution.total_timeout.0 {
                    self.trouble_with(action, format!("{operation}: {why}"));
                    self.put_off(action, now + READ_PAUSE);
                    return Ok(());
                }
                Input::Unplannable {
                    reason: format!("{operation}: {why}"),
                }
            }
            Err(fault) => Input::Unplannable {
                reason: fault.to_string(),
            },
        };
        self.commit(&action.id, action.revision, input)?;
        self.point("plan.committed")
    }

    /// The checks of which the answers are not as expected; `Err` when a service gave none.
    fn failing(&self, checks: &[Check], action: &Action) -> Result<Option<String>, String> {
        let identity = self.identity(action, false);
        for check in checks {
            let answer = match self.outside.send(&check.call, &identity) {
                Sent::Answered { answer, .. } => answer,
                Sent::NotDone(why) | Sent::Unknown(why) => {
                    return Err(format!("{}: {why}", check.call.operation));
                }
            };
            if !check.holds(&answer) {
                let seen = match &answer {
                    Answer::Refused { code, message } => format!("{code}: {message}"),
                    Answer::Done(_) => "it is not as expected".to_owned(),
                };
                return Ok(Some(format!("{}: {seen}", check.call.operation)));
            }
        }
        Ok(None)
    }

    /// Why an action that was agreed to is not begun: what has changed since it was proposed.
    fn revoked(&self, action: &Action, now: i64) -> Option<String> {
        let policies = self.policies();
        if policies.is_exemption_lost {
            return Some("an exemption cannot be read, so nothing is done".to_owned());
        }
        let proposal = &action.proposal;
        let mut all = policies.policies.iter();
        let Some(policy) = all.find(|policy| policy.id == proposal.policy.id) else {
            return Some("its policy is not in force any more".to_owned());
        };
        let stage = policy.terms.stage.mode;
        if stage < Mode::Approve && !action.is_glass_broken {
            return Some(format!("its policy is in the stage {} now", stage.name()));
        }
        guard::refusal(
            policy,
            &proposal.subject,
            &proposal.event,
            &self.settings.protected,
            &policies.exempt,
            day_of(now),
        )
    }

    fn begin(&self, action: &Action) -> Result<(), EngineFault> {
        let now = self.outside.now();
        self.book()
            .may_send(action, now)
            .map_err(EngineFault::Held)?;
        let Some((plan, _)) = &action.plan else {
            return Ok(());
        };
        if let Some(reason) = self.revoked(action, now) {
            return self.commit(&action.id, action.revision, Input::Suppressed { reason });
        }
        match self.failing(&plan.preconditions, action) {
            Ok(None) => {}
            Ok(Some(reason)) => {
                return self.commit(&action.id, action.revision, Input::Outdated { reason });
            }
            Err(why) => {
                self.trouble_with(action, why);
                self.put_off(action, now + READ_PAUSE);
                return Ok(());
            }
        }
        self.point("begin.checked")?;
        let Some(first) = plan.steps.first() else {
            return Ok(());
        };
        let (epoch, call) = (self.epoch(), first.call.clone());
        self.commit(
            &action.id,
            action.revision,
            Input::Began {
                epoch,
                call: call.clone(),
            },
        )?;
        self.point("begin.committed")?;
        self.request(action, 0, &call, 1)
    }

    fn send(&self, action: &Action, step: usize) -> Result<(), EngineFault> {
        let Some(run) = action.current() else {
            return Ok(());
        };
        let attempt = run.progress[step].attempts() + 1;
        let call = match run.call(step) {
            Ok(call) => call,
            Err(reason) => {
                return self.commit(
                    &action.id,
                    action.revision,
                    Input::StepFailed { step, reason },
                );
            }
        };
        let input = Input::Intent {
            step,
            attempt,
            epoch: self.epoch(),
            call: call.clone(),
        };
        let is_back = action.state != State::Executing;
        self.point(if is_back { "back.send" } else { "send" })?;
        self.commit(&action.id, action.revision, input)?;
        self.point(if is_back {
            "back.intent.committed"
        } else {
            "intent.committed"
        })?;
        self.request(action, step, &call, attempt)
    }

    /// Sends the request of a step whose intent is on the disk, and writes down what became of it.
    fn request(
        &self,
        action: &Action,
        step: usize,
        call: &Call,
        attempt: u32,
    ) -> Result<(), EngineFault> {
        let Some(action) = self.action(&action.id) else {
            return Ok(());
        };
        let Some(run) = action.current() else {
            return Ok(());
        };
        let one = &run.steps[step];
        let written = match &run.progress[step] {
            Progress::Intent { at, .. } => *at,
            _ => return Ok(()),
        };
        let resource = &action.proposal.subject.resource;
        let policy = &action.proposal.policy.id;
        // Between the record and the request there may be a flush, a session, and somebody who switches it off.
        let may = || {
            let is_late = self.outside.now().saturating_sub(written) > SEND_WITHIN;
            // Asking whether somebody else acts brings the switches that were turned elsewhere.
            !is_late && self.still_acts() && self.book().is_off(policy, &resource.account).is_none()
        };
        let identity = self.identity(&action, true);
        let sent = self.outside.send_if(call, &identity, &may);
        let is_back = action.state != State::Executing;
        self.point(if is_back {
            "back.request.sent"
        } else {
            "request.sent"
        })?;
        let until = self.outside.now() + action.proposal.terms.execution.retry.pause(attempt);
        let input = match sent {
            Sent::Answered { answer, request } => {
                let is_done = match &answer {
                    Answer::Done(_) => true,
                    Answer::Refused { code, .. } => one.done_codes.contains(code),
                };
                Input::Answered {
                    step,
                    answer: kept(answer),
                    request: request.chars().take(256).collect(),
                    is_done,
                }
            }
            Sent::NotDone(reason) => Input::Unanswered {
                step,
                reason,
                is_undone: true,
                until,
            },
            Sent::Unknown(reason) => Input::Unanswered {
                step,
                reason,
                is_undone: false,
                until,
            },
        };
        self.commit(&action.id, action.revision, input)?;
        self.point(if is_back {
            "back.answer.committed"
        } else {
            "answer.committed"
        })
    }

    fn probe(&self, action: &Action, step: usize, send_at: Option<i64>) -> Result<(), EngineFault> {
        let Some(run) = action.current() else {
            return Ok(());
        };
        let now = self.outside.now();
        let Some(check) = &run.steps[step].probe else {
            return Ok(());
        };
        let answer = self
            .outside
            .send(&check.call, &self.identity(action, false));
        self.point("probe.read")?;
        let answer = match answer {
            Sent::Answered { answer, .. } => answer,
            Sent::NotDone(_) | Sent::Unknown(_) => {
                self.put_off(action, now + READ_PAUSE);
                return Ok(());
            }
        };
        // A question that is refused says nothing about what is there.
        if let Answer::Refused { code, message } = &answer
            && !check.holds(&answer)
        {
            return match send_at {
                Some(at) if now < at => {
                    self.put_off(action, at.min(now + READ_PAUSE));
                    Ok(())
                }
                _ => {
                    let reason = format!("{}: {code}: {message}", check.call.operation);
                    self.commit(
                        &action.id,
                        action.revision,
                        Input::Ambiguous { step, reason },
                    )
                }
            };
        }
        if let (Answer::Done(value), true) = (kept(answer.clone()), check.holds(&answer)) {
            let answer = value;
            self.commit(&action.id, action.revision, Input::Adopted { step, answer })?;
            return self.point("probe.adopted");
        }
        match send_at {
            Some(at) if at <= now => {
                let attempts = run.progress[step].attempts();
                match attempts >= action.proposal.terms.execution.retry.max {
                    true => {
                        let reason = format!("tried {attempts} times");
                        self.commit(
                            &action.id,
                            action.revision,
                            Input::StepFailed { step, reason },
                        )
                    }
                    false => self.send(action, step),
                }
            }
            Some(at) => {
                self.put_off(action, at.min(now + READ_PAUSE));
                Ok(())
            }
            None => {
                let reason = "nothing shows that the request was done".to_owned();
                self.commit(
                    &action.id,
                    action.revision,
                    Input::Ambiguous { step, reason },
                )
            }
        }
    }

    fn verify(&self, action: &Action) -> Result<(), EngineFault> {
        let State::Verifying { until } = action.state else {
            return Ok(());
        };
        let Some((plan, _)) = &action.plan else {
            return Ok(());
        };
        let failing = self.failing(&plan.verify, action);
        self.point("verify.read")?;
        let now = self.outside.now();
        let reason = match failing {
            Ok(None) => {
                self.commit(&action.id, action.revision, Input::Verified)?;
                return self.point("verify.committed");
            }
            Ok(Some(reason)) => reason,
            // No answer says nothing: what was done is not taken back because a service is busy, or we were away.
            Err(reason) if now < until.saturating_add(UNANSWERED) => {
                self.trouble_with(action, reason);
                self.put_off(action, now + READ_PAUSE);
                return Ok(());
            }
            Err(reason) => reason,
        };
        match now < until {
            true => {
                let every = action.proposal.terms.execution.verify.every.0.max(1_000);
                self.put_off(action, now + every);
                Ok(())
            }
            false => self.commit(&action.id, action.revision, Input::NotVerified { reason }),
        }
    }

    fn recheck(&self, action: &Action) -> Result<(), EngineFault> {
        let Some((plan, _)) = &action.plan else {
            return Ok(());
        };
        let failing = self.failing(&plan.verify, action);
        self.point("recheck.read")?;
        match failing {
            Ok(None) => self.commit(&action.id, action.revision, Input::Rechecked),
            Ok(Some(reason)) => self.commit(&action.id, action.revision, Input::Drifted { reason }),
            Err(_) => {
                let now = self.outside.now();
                self.put_off(action, now + READ_PAUSE);
                Ok(())
            }
        }
    }
}

/// The plan of a proposal, for an action of an id. It asks what the state is, and changes nothing. No plugin is asked.
pub fn plan(
    proposal: &Proposal,
    id: &str,
    last_known: &dyn LastKnown,
    reads: &mut dyn Reads,
) -> Result<Planned, PlanFault> {
    plan_with(None, proposal, id, last_known, reads)
}

/// The same, with somebody who runs plugins.
pub fn plan_with(
    planner: Option<&dyn Planner>,
    proposal: &Proposal,
    id: &str,
    last_known: &dyn LastKnown,
    reads: &mut dyn Reads,
) -> Result<Planned, PlanFault> {
    let resource = &proposal.subject.resource;
    let said = || proposal.event.get("awsRegion").and_then(Value::as_str);
    let region = match resource.region.as_str() {
        "" => said().unwrap_or("us-east-1"),
        region => region,
    };
    if let Some(plugin) = &proposal.plugin {
        return action::planner::plan((planner, plugin), (proposal, id, region), reads);
    }
    let kind = action::Action::parse(&proposal.action);
    let kind = kind.ok_or_else(|| {
        PlanFault::Refused(format!("there is no action `{}` any more", proposal.action))
    })?;
    let context = Context {
        account: &resource.account,
        region,
        action_id: id,
        event_time: proposal.origin.event_time,
        event: &proposal.event,
        parameters: &proposal.parameters,
        last_known,
    };
    kind.plan(&context, reads)
}
