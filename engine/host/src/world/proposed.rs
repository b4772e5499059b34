//! What planners propose, from the contract's types to the plain ones.

use super::generated::planner::exports::tripline::plugin::propose as wit;
use crate::fault::Fault;
use crate::proposal::{
    Change, Check, Class, Draft, Expect, Proposal, Risk, Step, json, line, pointer, request,
};
use serde_json::Value;

/// Checks it too.
pub(crate) fn proposal_in(proposal: wit::Proposal) -> Result<Proposal, Fault> {
    match proposal {
        wit::Proposal::Nothing(why) => Ok(Proposal::Nothing(line(&why))),
        wit::Proposal::Draft(draft) => {
            let draft = draft_in(draft)?.check()?;
            Ok(Proposal::Draft(Box::new(draft)))
        }
    }
}

fn draft_in(draft: wit::Draft) -> Result<Draft, Fault> {
    let changes = draft.changes.iter().map(change_in);
    let steps = draft.steps.into_iter().map(step_in);
    Ok(Draft {
        summary: line(&draft.summary),
        risk: match draft.risk {
            wit::Risk::Low => Risk::Low,
            wit::Risk::Medium => Risk::Medium,
            wit::Risk::High => Risk::High,
        },
        changes: changes.collect::<Result<_, _>>()?,
        preconditions: checks_in(draft.preconditions)?,
        steps: steps.collect::<Result<_, _>>()?,
        verify: checks_in(draft.verify)?,
        is_rolled_back: draft.is_rolled_back,
    })
}

fn change_in(change: &wit::Change) -> Result<Change, Fault> {
    Ok(Change {
        field: line(&change.field),
        before: json(&change.before, "what a change finds")?,
        after: json(&change.after, "what a change leaves")?,
    })
}

fn checks_in(checks: Vec<wit::Check>) -> Result<Vec<Check>, Fault> {
    checks.into_iter().map(check_in).collect()
}

fn check_in(check: wit::Check) -> Result<Check, Fault> {
    let expect = check.expect.into_iter().map(expect_in);
    Ok(Check {
        request: request(&check.operation, &check.parameters)?,
        expect: expect.collect::<Result<_, _>>()?,
    })
}

fn expect_in(expect: wit::Expect) -> Result<Expect, Fault> {
    let found = |found: wit::Found| -> Result<(String, Value), Fault> {
        let value = json(&found.value, "what is expected")?;
        Ok((pointer(found.path)?, value))
    };
    Ok(match expect {
        wit::Expect::Refused(codes) => Expect::Refused(codes),
        wit::Expect::Is(one) => found(one).map(|(path, value)| Expect::Is(path, value))?,
        wit::Expect::IsNot(one) => found(one).map(|(path, value)| Expect::IsNot(path, value))?,
        wit::Expect::Has(one) => found(one).map(|(path, value)| Expect::Has(path, value))?,
        wit::Expect::HasNot(one) => found(one).map(|(path, value)| Expect::HasNot(path, value))?,
    })
}

fn class_in(class: wit::Class) -> Class {
    match class {
        wit::Class::Set => Class::Set,
        wit::Class::Remove => Class::Remove,
        wit::Class::Token => Class::Token,
        wit::Class::Create => Class::Create,
        wit::Class::Blind => Class::Blind,
        wit::Class::Irreversible => Class::Irreversible,
    }
}

fn step_in(step: wit::Step) -> Result<Step, Fault> {
    let inverse = step.inverse.into_iter().map(inverse_in);
    Ok(Step {
        summary: line(&step.summary),
        request: request(&step.operation, &step.parameters)?,
        class: class_in(step.class),
        done_codes: step.done_codes,
        probe: step.probe.map(check_in).transpose()?,
        inverse: inverse.collect::<Result<_, _>>()?,
        id: step.id,
    })
}

fn inverse_in(step: wit::InverseStep) -> Result<Step, Fault> {
    Ok(Step {
        summary: line(&step.summary),
        request: request(&step.operation, &step.parameters)?,
        class: class_in(step.class),
        done_codes: step.done_codes,
        probe: step.probe.map(check_in).transpose()?,
        inverse: Vec::new(),
        id: step.id,
    })
}
