//! Trails: starting one again, and making a deleted one again as it was.

use super::building::{change, check, codes, is, picked, refused, step};
use super::events::Event;
use super::naming::{self, Arn};
use super::reading::{lacks, look};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Parameter, Recipe, nothing, required,
};
use super::{PlanFault, Reads};
use crate::plan::{Call, Class, Risk, Step};
use serde_json::{Map, Value, json};

const CLOUDTRAIL: &str = "cloudtrail.amazonaws.com";
/// What a service says when there is no such trail.
pub(super) const GONE: &[&str] = &["TrailNotFoundException"];
/// Fields of a trail that may be set, as answers name them.
pub(super) const FIELDS: &[&str] = &[
    "S3BucketName",
    "S3KeyPrefix",
    "SnsTopicName",
    "IncludeGlobalServiceEvents",
    "IsMultiRegionTrail",
    "LogFileValidationEnabled",
    "CloudWatchLogsLogGroupArn",
    "CloudWatchLogsRoleArn",
    "KmsKeyId",
    "IsOrganizationTrail",
];

/// The parameter that names a trail.
pub(super) const TRAIL: Parameter = required("trail", Kind::Text, "the trail's ARN or name");

/// A trail, which is spoken to in its home region.
pub(super) struct Trail<'a> {
    pub(super) name: &'a str,
    pub(super) arn: String,
    region: &'a str,
}

impl<'a> Trail<'a> {
    pub(super) fn of(asked: &Asked<'a>) -> Result<Self, PlanFault> {
        let text = asked.text("trail")?;
        let Some(arn) = Arn::of(text) else {
            let name = refuse_slash(naming::plain_name(text)?)?;
            return Ok(Self {
                name,
                arn: asked.arn("cloudtrail", &format!("trail/{name}")),
                region: asked.region,
            });
        };
        naming::arn(text, "cloudtrail")?;
        if arn.account != asked.account {
            let why = format!("the trail {text} belongs to another account");
            return Err(PlanFault::Refused(why));
        }
        let name = arn.rest.strip_prefix("trail/").unwrap_or_default();
        Ok(Self {
            name: refuse_slash(naming::plain_name(name)?)?,
            arn: text.to_owned(),
            region: naming::region(arn.region)?,
        })
    }

    /// A request about it, whose parameter `member` names it. It goes to the trail's own region, where its name tells it.
    pub(super) fn call(
        &self,
        asked: &Asked<'_>,
        operation: &str,
        member: &str,
        more: Map<String, Value>,
    ) -> Call {
        let mut parameters = Map::new();
        parameters.insert(member.to_owned(), json!(self.name));
        parameters.extend(more);
        asked.call_in(self.region, operation, Value::Object(parameters))
    }
}

fn refuse_slash(name: &str) -> Result<&str, PlanFault> {
    match name.contains(['/', ':']) {
        true => Err(PlanFault::Refused(format!(
            "{} is no trail",
            naming::shown(name)
        ))),
        false => Ok(name),
    }
}

/// The trail that an event is about.
pub(super) fn trail_of(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let trail = event.needs(
        "which trail",
        &[
            "/responseElements/trailARN",
            "/requestParameters/name",
            "/requestParameters/trailName",
        ],
    )?;
    let mut parameters = Map::new();
    parameters.insert("trail".to_owned(), json!(trail));
    Ok(parameters)
}

pub(super) const START_LOGGING: Recipe = Recipe {
    name: "aws.cloudtrail.start_logging",
    about: "Starts a trail again that was stopped.",
    risk: Risk::Low,
    kind: "aws.cloudtrail.trail",
    is_containment: false,
    is_rolled_back: false,
    triggers: &[(CLOUDTRAIL, "StopLogging")],
    makes: &[(CLOUDTRAIL, "StartLogging"), (CLOUDTRAIL, "StopLogging")],
    operations: &[
        "cloudtrail.GetTrailStatus",
        "cloudtrail.StartLogging",
        "cloudtrail.StopLogging",
    ],
    parameters: &[TRAIL],
    from_event: trail_of,
    subject: |asked| Ok(About::regional(Trail::of(asked)?.arn, json!("stopped"))),
    plan: start_logging,
};

fn start_logging(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let trail = Trail::of(&asked)?;
    let call = |operation| trail.call(&asked, operation, "Name", Map::new());
    let question = call("cloudtrail.GetTrailStatus");
    let Some(answer) = look(reads, &question, GONE)? else {
        return nothing("the trail is gone");
    };
    match answer.get("IsLogging").and_then(Value::as_bool) {
        Some(true) => return nothing("the trail is logging"),
        Some(false) => {}
        None => return Err(lacks(&question, "IsLogging")),
    }
    Ok(Drafted::Draft(Draft {
        summary: format!("start the trail {} again", trail.name),
        diff: vec![change("is logging", false, true)],
        preconditions: vec![check(&question, vec![is("/IsLogging", false)])],
        steps: vec![start_step(&trail, &asked)],
        verify: vec![check(&question, vec![is("/IsLogging", true)])],
    }))
}

fn start_step(trail: &Trail<'_>, asked: &Asked<'_>) -> Step {
    let call = |operation| trail.call(asked, operation, "Name", Map::new());
    let back = Step {
        done_codes: codes(GONE),
        ..step(
            "stop",
            format!("stop the trail {} again", trail.name),
            Class::Set,
            call("cloudtrail.StopLogging"),
        )
    };
    Step {
        inverse: vec![back],
        ..step(
            "start",
            format!("start the trail {} again", trail.name),
            Class::Set,
            call("cloudtrail.StartLogging"),
        )
    }
}

pub(super) const RECREATE: Recipe = Recipe {
    name: "aws.cloudtrail.recreate_trail",
    about: "Makes a deleted trail again as it was, with its selectors, and starts it.",
    risk: Risk::Medium,
    kind: "aws.cloudtrail.trail",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[(CLOUDTRAIL, "DeleteTrail")],
    makes: &[
        (CLOUDTRAIL, "CreateTrail"),
        (CLOUDTRAIL, "PutEventSelectors"),
        (CLOUDTRAIL, "PutInsightSelectors"),
        (CLOUDTRAIL, "StartLogging"),
        (CLOUDTRAIL, "StopLogging"),
        (CLOUDTRAIL, "DeleteTrail"),
    ],
    operations: &[
        "cloudtrail.CreateTrail",
        "cloudtrail.DeleteTrail",
        "cloudtrail.GetTrail",
        "cloudtrail.GetTrailStatus",
        "cloudtrail.PutEventSelectors",
        "cloudtrail.PutInsightSelectors",
        "cloudtrail.StartLogging",
        "cloudtrail.StopLogging",
    ],
    parameters: &[TRAIL],
    from_event: trail_of,
    subject: |asked| Ok(About::regional(Trail::of(asked)?.arn, json!("deleted"))),
    plan: recreate,
};

/// A trail's settings as requests name them.
pub(super) fn settings(definition: &Value) -> Map<String, Value> {
    let mut settings = picked(definition, FIELDS);
    if let Some(is_on) = settings.shift_remove("LogFileValidationEnabled") {
        settings.insert("EnableLogFileValidation".to_owned(), is_on);
    }
    settings
}

fn recreate(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let trail = Trail::of(&asked)?;
    let question = trail.call(&asked, "cloudtrail.GetTrail", "Name", Map::new());
    if look(reads, &question, GONE)?.is_some() {
        return nothing("the trail is there again");
    }
    let definition = context.known(&trail.arn, "trail")?;
    let bucket = definition
        .get("S3BucketName")
        .filter(|name| name.is_string());
    let unknown = || PlanFault::Unknown(format!("the bucket of {}", trail.arn));
    let bucket = bucket.ok_or_else(unknown)?.clone();
    let mut parameters = settings(&definition);
    parameters.insert("Name".to_owned(), json!(trail.name));
    parameters.insert("TagsList".to_owned(), context.tags());
    let delete = Step {
        done_codes: codes(GONE),
        ..step(
            "delete",
            format!("delete the trail {} again", trail.name),
            Class::Remove,
            trail.call(&asked, "cloudtrail.DeleteTrail", "Name", Map::new()),
        )
    };
    let found = json!({"Name": trail.name, "S3BucketName": bucket});
    let mut steps = vec![Step {
        done_codes: codes(&["TrailAlreadyExistsException"]),
        // Names of trails are unique, so the name tells as well as a tag.
        probe: Some(check(&question, vec![is("/Trail", found.clone())])),
        inverse: vec![delete],
        ..step(
            "create",
            format!("make the trail {} again", trail.name),
            Class::Create,
            asked.call_in(
                trail.region,
                "cloudtrail.CreateTrail",
                Value::Object(parameters),
            ),
        )
    }];
    for (aspect, id, operation) in [
        (
            "event_selectors",
            "event_selectors",
            "cloudtrail.PutEventSelectors",
        ),
        (
            "insight_selectors",
            "insight_selectors",
            "cloudtrail.PutInsightSelectors",
        ),
    ] {
        let Ok(Value::Object(known)) = context.known(&trail.arn, aspect) else {
            continue;
        };
        let put = |members| trail.call(&asked, operation, "TrailName", members);
        let mut empty = Map::new();
        match aspect {
            "event_selectors" => {
                empty.insert("EventSelectors".to_owned(), every_management_event())
            }
            _ => empty.insert("InsightSelectors".to_owned(), json!([])),
        };
        let back = Step {
            done_codes: codes(GONE),
            ..step(
                "reset",
                format!("give {} what new trails have", trail.name),
                Class::Set,
                put(empty),
            )
        };
        steps.push(Step {
            inverse: vec![back],
            ..step(
                id,
                format!(
                    "put back the {} of {}",
                    aspect.replace('_', " "),
                    trail.name
                ),
                Class::Set,
                put(known),
            )
        });
    }
    steps.push(start_step(&trail, &asked));
    let status = trail.call(&asked, "cloudtrail.GetTrailStatus", "Name", Map::new());
    Ok(Drafted::Draft(Draft {
        summary: format!(
            "make the trail {} again as it was, and start it",
            trail.name
        ),
        diff: vec![change("trail", Value::Null, definition)],
        preconditions: vec![check(&question, vec![refused(GONE)])],
        steps,
        verify: vec![
            check(&question, vec![is("/Trail", found)]),
            check(&status, vec![is("/IsLogging", true)]),
        ],
    }))
}

/// The selectors that a trail has when nobody sets any.
pub(crate) fn every_management_event() -> Value {
    json!([{"ReadWriteType": "All", "IncludeManagementEvents": true, "DataResources": []}])
}
