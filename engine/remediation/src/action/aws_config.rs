//! AWS Config: starting a recorder again, and making a deleted one again as it was.

use super::building::{change, check, codes, has, is, picked, refused, step};
use super::events::Event;
use super::naming;
use super::reading::{find, list, look};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Parameter, Recipe, nothing, required,
};
use super::{PlanFault, Reads};
use crate::plan::{Call, Class, Risk, Step};
use serde_json::{Map, Value, json};

const CONFIG: &str = "config.amazonaws.com";
const GONE: &[&str] = &["NoSuchConfigurationRecorderException"];
const RECORDER: Parameter = required("recorder", Kind::Text, "the recorder's name");

pub(super) const START: Recipe = Recipe {
    name: "aws.config.start_recorder",
    about: "Starts a configuration recorder again that was stopped.",
    risk: Risk::Low,
    kind: "aws.config.recorder",
    is_containment: false,
    is_rolled_back: false,
    triggers: &[(CONFIG, "StopConfigurationRecorder")],
    makes: &[
        (CONFIG, "StartConfigurationRecorder"),
        (CONFIG, "StopConfigurationRecorder"),
    ],
    operations: &[
        "config.DescribeConfigurationRecorderStatus",
        "config.StartConfigurationRecorder",
        "config.StopConfigurationRecorder",
    ],
    parameters: &[RECORDER],
    from_event: recorder_of,
    subject: |asked| Ok(About::regional(arn(asked)?, json!("stopped"))),
    plan: start,
};

fn recorder_of(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let name = "/requestParameters/configurationRecorderName";
    let name = event.needs("which recorder", &[name])?;
    let mut parameters = Map::new();
    parameters.insert("recorder".to_owned(), json!(name));
    Ok(parameters)
}

fn arn(asked: &Asked<'_>) -> Result<String, PlanFault> {
    let name = naming::plain_name(asked.text("recorder")?)?;
    Ok(asked.arn("config", &format!("config-recorder/{name}")))
}

/// The question about a recorder's status, and its pointer.
fn status(asked: &Asked<'_>, name: &str) -> (Call, &'static str) {
    let names = json!({"ConfigurationRecorderNames": [name]});
    let question = asked.call("config.DescribeConfigurationRecorderStatus", names);
    (question, "/ConfigurationRecordersStatus")
}

fn start_step(asked: &Asked<'_>, name: &str) -> Step {
    let call = |operation| asked.call(operation, json!({"ConfigurationRecorderName": name}));
    let back = Step {
        done_codes: codes(GONE),
        ..step(
            "stop",
            format!("stop the configuration recorder {name} again"),
            Class::Set,
            call("config.StopConfigurationRecorder"),
        )
    };
    Step {
        inverse: vec![back],
        ..step(
            "start",
            format!("start the configuration recorder {name} again"),
            Class::Set,
            call("config.StartConfigurationRecorder"),
        )
    }
}

fn start(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let name = asked.text("recorder")?;
    let (question, pointer) = status(&asked, name);
    let answer = look(reads, &question, GONE)?.unwrap_or_default();
    let Some(found) = find(list(&answer, pointer), "name", name) else {
        return nothing("the recorder is gone");
    };
    if found.get("recording") == Some(&Value::Bool(true)) {
        return nothing("the recorder is recording");
    }
    let state = |is_on: bool| has(pointer, json!({"name": name, "recording": is_on}));
    let one = start_step(&asked, name);
    Ok(Drafted::Draft(Draft {
        summary: one.summary.clone(),
        diff: vec![change("recording", false, true)],
        preconditions: vec![check(&question, vec![state(false)])],
        steps: vec![one],
        verify: vec![check(&question, vec![state(true)])],
    }))
}

pub(super) const RECREATE: Recipe = Recipe {
    name: "aws.config.recreate_recorder",
    about: "Makes a deleted configuration recorder again as it was, and starts it.",
    risk: Risk::Low,
    kind: "aws.config.recorder",
    is_containment: false,
    is_rolled_back: true,
    triggers: &[(CONFIG, "DeleteConfigurationRecorder")],
    makes: &[
        (CONFIG, "PutConfigurationRecorder"),
        (CONFIG, "StartConfigurationRecorder"),
        (CONFIG, "StopConfigurationRecorder"),
        (CONFIG, "DeleteConfigurationRecorder"),
    ],
    operations: &[
        "config.DeleteConfigurationRecorder",
        "config.DescribeConfigurationRecorderStatus",
        "config.DescribeConfigurationRecorders",
        "config.PutConfigurationRecorder",
        "config.StartConfigurationRecorder",
        "config.StopConfigurationRecorder",
    ],
    parameters: &[RECORDER],
    from_event: recorder_of,
    subject: |asked| Ok(About::regional(arn(asked)?, json!("deleted"))),
    plan: recreate,
};

fn recreate(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let name = asked.text("recorder")?;
    let names = json!({"ConfigurationRecorderNames": [name]});
    let question = asked.call("config.DescribeConfigurationRecorders", names);
    let answer = look(reads, &question, GONE)?.unwrap_or_default();
    if find(list(&answer, "/ConfigurationRecorders"), "name", name).is_some() {
        return nothing("the recorder is there again");
    }
    let arn = arn(&asked)?;
    let known = context.known(&arn, "recorder")?;
    // Members of this service begin with small letters, in requests as well.
    let mut recorder = picked(&known, &["roleARN", "recordingGroup", "recordingMode"]);
    if !recorder.contains_key("roleARN") {
        return Err(PlanFault::Unknown(format!("the role of {arn}")));
    }
    recorder.insert("name".to_owned(), json!(name));
    let delete = json!({"ConfigurationRecorderName": name});
    let back = Step {
        done_codes: codes(GONE),
        ..step(
            "delete",
            format!("delete the configuration recorder {name} again"),
            Class::Remove,
            asked.call("config.DeleteConfigurationRecorder", delete),
        )
    };
    let one = Step {
        inverse: vec![back],
        ..step(
            "put",
            format!("make the configuration recorder {name} again"),
            Class::Set,
            asked.call(
                "config.PutConfigurationRecorder",
                json!({"ConfigurationRecorder": recorder}),
            ),
        )
    };
    let (status, pointer) = status(&asked, name);
    let is_on = has(pointer, json!({"name": name, "recording": true}));
    let held = match answer.is_null() {
        true => refused(GONE),
        false => is("/ConfigurationRecorders", json!([])),
    };
    Ok(Drafted::Draft(Draft {
        summary: format!("make the configuration recorder {name} again as it was, and start it"),
        diff: vec![change("recorder", Value::Null, known)],
        preconditions: vec![check(&question, vec![held])],
        steps: vec![one, start_step(&asked, name)],
        verify: vec![check(&status, vec![is_on])],
    }))
}
