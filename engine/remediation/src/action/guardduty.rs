//! GuardDuty: enabling a detector again, and making a deleted one again. Findings of a deleted one are lost.

use super::building::{change, check, codes, from_step, is, is_there, picked, step};
use super::naming;
use super::reading::{list, look, text};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Parameter, Recipe, nothing, required,
};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const GUARDDUTY: &str = "guardduty.amazonaws.com";
const DETECTOR: Parameter = required("detector_id", Kind::Text, "the detector");
/// What the service says of a detector that is not there.
const GONE: &[&str] = &["BadRequestException", "ResourceNotFoundException"];

pub(super) const ENABLE: Recipe = Recipe {
    name: "aws.guardduty.enable_detector",
    about: "Enables a GuardDuty detector again.",
    risk: Risk::Low,
    kind: "aws.guardduty.detector",
    is_containment: false,
    is_rolled_back: false,
    triggers: &[(GUARDDUTY, "UpdateDetector")],
    makes: &[(GUARDDUTY, "UpdateDetector")],
    operations: &["guardduty.GetDetector", "guardduty.UpdateDetector"],
    parameters: &[DETECTOR],
    from_event: |event| {
        if event.flag("/requestParameters/enable") != Some(false) {
            let why = "the event disables no detector";
            return Err(PlanFault::Refused(why.to_owned()));
        }
        let id = event.needs("which detector", &["/requestParameters/detectorId"])?;
        Ok(named(id))
    },
    subject: |asked| Ok(About::regional(arn(asked)?, json!("disabled"))),
    plan: enable,
};

fn named(id: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    parameters.insert("detector_id".to_owned(), json!(id));
    parameters
}

fn arn(asked: &Asked<'_>) -> Result<String, PlanFault> {
    let id = asked.id("detector_id", "")?;
    Ok(asked.arn("guardduty", &format!("detector/{id}")))
}

fn enable(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let id = asked.id("detector_id", "")?;
    let question = asked.call("guardduty.GetDetector", json!({"DetectorId": id}));
    let Some(answer) = look(reads, &question, GONE)? else {
        return nothing("the detector is gone");
    };
    let before = text(&answer, "/Status");
    if before == "ENABLED" {
        return nothing("the detector is enabled");
    }
    let set = |is_on: bool| {
        let parameters = json!({"DetectorId": id, "Enable": is_on});
        asked.call("guardduty.UpdateDetector", parameters)
    };
    let back = step(
        "disable",
        format!("disable the detector {id} again"),
        Class::Set,
        set(false),
    );
    let summary = format!("enable the detector {id}");
    let one = Step {
        inverse: vec![back],
        ..step("enable", summary.clone(), Class::Set, set(true))
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("status", before, "ENABLED")],
        preconditions: vec![check(&question, vec![is("/Status", before)])],
        steps: vec![one],
        verify: vec![check(&question, vec![is("/Status", "ENABLED")])],
    }))
}

pub(super) const RECREATE: Recipe = Recipe {
    name: "aws.guardduty.recreate_detector",
    about: "Makes a GuardDuty detector again where one was deleted, under a new id.",
    risk: Risk::Low,
    kind: "aws.guardduty.detector",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[(GUARDDUTY, "DeleteDetector")],
    makes: &[(GUARDDUTY, "CreateDetector"), (GUARDDUTY, "DeleteDetector")],
    operations: &[
        "guardduty.CreateDetector",
        "guardduty.DeleteDetector",
        "guardduty.ListDetectors",
    ],
    parameters: &[DETECTOR],
    from_event: |event| {
        let id = event.needs("which detector", &["/requestParameters/detectorId"])?;
        Ok(named(id))
    },
    subject: |asked| Ok(About::regional(arn(asked)?, json!("deleted"))),
    plan: recreate,
};

fn recreate(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let question = asked.call("guardduty.ListDetectors", json!({}));
    let answer = look(reads, &question, &[])?.unwrap_or_default();
    // A region has one detector at most.
    if !list(&answer, "/DetectorIds").is_empty() {
        return nothing("there is a detector");
    }
    // A detector of which nothing is known was made with what the service chooses, and is made so again.
    let known = context.known(&arn(&asked)?, "detector").unwrap_or_default();
    let mut parameters = picked(
        &known,
        &["FindingPublishingFrequency", "DataSources", "Features"],
    );
    parameters.insert("Enable".to_owned(), json!(true));
    parameters.insert("ClientToken".to_owned(), json!(context.token("create")));
    let tags = json!({"tripline-action": context.action_id});
    parameters.insert("Tags".to_owned(), tags);
    let made = from_step("create", "/DetectorId");
    let back = Step {
        done_codes: codes(GONE),
        ..step(
            "delete",
            "delete the new detector".to_owned(),
            Class::Remove,
            asked.call("guardduty.DeleteDetector", json!({"DetectorId": made})),
        )
    };
    let summary = format!("make a detector in {} again", naming::line(asked.region));
    let one = Step {
        inverse: vec![back],
        ..step(
            "create",
            summary.clone(),
            Class::Token,
            asked.call("guardduty.CreateDetector", Value::Object(parameters)),
        )
    };
    Ok(Drafted::Draft(Draft {
        summary,
        diff: vec![change("detector", Value::Null, known)],
        preconditions: vec![check(&question, vec![is("/DetectorIds", json!([]))])],
        steps: vec![one],
        verify: vec![check(&question, vec![is_there("/DetectorIds/0")])],
    }))
}
