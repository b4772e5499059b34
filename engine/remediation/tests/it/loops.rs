//! Loops: nothing is done about what was done itself, and what others undo again and again is left to people.

use crate::stage::{self, ACCOUNT, KINDS, Kind, WIDE, bad, open, policies_of, text_with};
use crate::world::{Cloud, Effect, Faults, HOUR, MINUTE, SECOND, START, World, event};
use serde_json::{Value, json};
use tripline_remediation::action::Action;
use tripline_remediation::engine::propose;
use tripline_remediation::guard::Protected;
use tripline_remediation::machine::State;

const OWN: &str = "arn:aws:sts::123456789012:assumed-role/tripline-remediation/rem-";

fn by(mut event: Value, arn: &str) -> Value {
    event["userIdentity"] = json!({"type": "AssumedRole", "accountId": ACCOUNT, "arn": arn});
    event
}

/// What CloudTrail says of an effect of an action.
fn event_of(effect: &Effect) -> Value {
    let (service, name) = effect
        .call
        .operation
        .split_once('.')
        .expect("has a service");
    let asked = Value::Object(effect.call.parameters.clone());
    let name = match service {
        "lambda" => format!("{name}20171031"),
        _ => name.to_owned(),
    };
    let more = match name.as_str() {
        "AuthorizeSecurityGroupIngress" => {
            let permission = &asked["IpPermissions"][0];
            let item = json!({"groupId": asked["GroupId"], "isEgress": false,
                "securityGroupRuleId": effect.what.replace("authorize ", ""),
                "ipProtocol": permission["IpProtocol"], "fromPort": permission["FromPort"],
                "toPort": permission["ToPort"], "cidrIpv4": permission["IpRanges"][0]["CidrIp"]});
            json!({"requestParameters": {"groupId": asked["GroupId"]},
                "responseElements": {"securityGroupRuleSet": {"items": [item]}}})
        }
        "DeleteFlowLogs" => {
            json!({"requestParameters": {"DeleteFlowLogsRequest": {"FlowLogId": {"content": asked["FlowLogIds"][0]}}}})
        }
        _ => {
            json!({"requestParameters": {"functionName": asked["FunctionName"], "userName": asked["UserName"],
            "instanceId": asked["InstanceSpecification"]["InstanceId"]}})
        }
    };
    let source = format!("{service}.amazonaws.com");
    by(
        event(&source, &name, effect.time, ACCOUNT, more),
        &format!("{OWN}{}", effect.action),
    )
}

#[test]
fn nothing_is_done_about_what_was_done_itself() {
    let mut cloud = Cloud::default();
    let bads: Vec<_> = KINDS
        .iter()
        .enumerate()
        .map(|(number, kind)| {
            bad(
                *kind,
                number as u64 + 1,
                ACCOUNT,
                START - MINUTE,
                &mut cloud,
            )
        })
        .collect();
    let world = World::new(11, Faults::default(), cloud);
    let folder = stage::folder();
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    for bad in &bads {
        bad.consider(&engine).expect("is considered");
    }
    let (mut told, mut refused) = (0, 0);
    for round in 0..3 {
        stage::run(&engine, world.time() + HOUR).expect("runs");
        if round == 0 {
            let ids: Vec<String> = engine.book().actions().map(|one| one.id.clone()).collect();
            for id in ids {
                engine.revert(&id, "alice", "no").expect("is reverted");
            }
            continue;
        }
        let effects = world.effects();
        for (number, effect) in effects.iter().enumerate().skip(told) {
            let event = event_of(effect);
            for rule in [
                "sg.open",
                "key.made",
                "instance.bad",
                "flow.deleted",
                "function.bad",
            ] {
                let finding = stage::finding(&format!("{rule} {number}"), rule, &event);
                let considered = engine
                    .consider(&finding, event.to_string().as_bytes())
                    .expect("is considered");
                refused += considered
                    .iter()
                    .filter(|one| one.action.is_some() && one.why.is_some())
                    .count();
            }
        }
        told = effects.len();
    }
    assert_eq!(world.effects().len(), told, "nothing more was done");
    assert!(refused >= 3, "some would have been answered: {refused}");
    let book = engine.book();
    let begun = book.actions().filter(|one| one.run.is_some()).count();
    assert_eq!(begun, bads.len());
}

#[test]
fn no_action_of_the_catalogue_answers_an_event_of_its_own_session() {
    let mut text = String::new();
    for action in Action::all() {
        let name = action.name().replace('.', "_");
        text.push_str(&format!(
            "[remediation.{name}]\nversion = \"1.0.0\"\ndescription = \"x\"\nrunbook = \"x\"\nowner = \"x\"\non_finding = [\"loop\"]\nwhen = \"true\"\naction = \"{}\"\nallow_irreversible = true\napproval = {{ quorum = 2 }}\nstage = {{ mode = \"approve\" }}\n",
            action.name()
        ));
        for parameter in action.parameters().iter().filter(|one| one.is_by_policy) {
            let value = match parameter.name {
                "resource" => "urn:anybody:1",
                "method" => "POST",
                "path" | "check_path" => "/1",
                _ => "anybody",
            };
            text.push_str(&format!("params.{} = \"'{value}'\"\n", parameter.name));
        }
    }
    let policies = policies_of(&text);
    let protected = Protected {
        own_roles: vec![stage::ROLE.to_owned()],
        ..Protected::default()
    };
    let (mut matched, mut proposed_for_others) = (0, 0);
    let parameters = json!({"requestParameters": {"functionName": "f", "userName": "u", "roleName": "r", "groupName": "g",
        "groupId": "sg-1", "instanceId": "i-1", "bucketName": "bucket", "name": "trail", "trailName": "trail", "detectorId": "d",
        "secretId": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-1", "keyId": "k", "imageId": "ami-1", "snapshotId": "snap-1",
        "policyArn": "arn:aws:iam::123456789012:policy/p", "policyName": "p", "documentName": "doc",
        "configurationRecorderName": "default", "logGroupName": "group", "dBSnapshotIdentifier": "s",
        "dBInstanceIdentifier": "db", "statementId": "s", "publiclyAccessible": true},
        "responseElements": {"securityGroupRuleSet": {"items": [{"groupId": "sg-1", "securityGroupRuleId": "sgr-1",
        "isEgress": false, "ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIpv4": "0.0.0.0/0"}]}}});
    for action in Action::all() {
        for (source, name) in action.makes() {
            let made = event(source, name, START, ACCOUNT, parameters.clone());
            let finding = stage::finding("loop", "loop", &made);
            let all = |event: &Value| {
                propose(
                    &policies,
                    &protected,
                    &finding,
                    event.to_string().as_bytes(),
                    START,
                )
            };
            proposed_for_others += all(&made)
                .iter()
                .filter(|one| one.proposal.is_ok() && one.refusal.is_none())
                .count();
            for one in all(&by(made.clone(), &format!("{OWN}00112233445566778899"))) {
                if one.proposal.is_ok() {
                    matched += 1;
                    let refusal = one.refusal.unwrap_or_default();
                    assert!(
                        refusal.starts_with("own event"),
                        "{} answers {name}: {refusal}",
                        one.policy
                    );
                }
            }
        }
    }
    println!("{matched} own events would have been answered");
    assert!(
        matched >= 20 && proposed_for_others >= 20,
        "{matched} {proposed_for_others}"
    );
}

#[test]
fn whoever_undoes_it_again_and_again_is_left_to_people_after_two_cycles() {
    let mut cloud = Cloud::default();
    let first = bad(Kind::Group, 1, ACCOUNT, START - MINUTE, &mut cloud);
    let world = World::new(13, Faults::default(), cloud);
    let folder = stage::folder();
    let engine = open(folder.path(), &world, stage::settings()).expect("opens");
    engine.set_policies(policies_of(&text_with(&format!(
        "{WIDE}, cooldown = \"1m\", max_flaps = 2"
    ))));
    first.consider(&engine).expect("is considered");
    let mut whys = Vec::new();
    for _ in 0..6 {
        stage::run(&engine, world.time() + 5 * MINUTE).expect("runs");
        let now = world.time() + 5 * MINUTE;
        world.pass(now);
        // Another automation puts it back, as its own policy says.
        let mut again = None;
        world.meddle(|cloud| again = Some(bad(Kind::Group, 1, ACCOUNT, now - SECOND, cloud)));
        let considered = again
            .expect("is made")
            .consider(&engine)
            .expect("is considered");
        whys.push(considered[0].why.clone());
    }
    let acted = engine
        .book()
        .actions()
        .filter(|one| one.state == State::Succeeded)
        .count();
    assert_eq!(acted, 2, "{whys:?}");
    assert!(
        whys[1]
            .as_ref()
            .is_some_and(|why| why.starts_with("flapping")),
        "{whys:?}"
    );
    // What was told once is told no more, until the cool-down is over.
    assert!(engine.book().actions().count() <= 2 + 5, "{whys:?}");
}
