//! What tests of the engine have in common: policies, findings, an engine over a world, and going on until all is quiet.

use crate::world::{Cloud, HOUR, Instance, World, event, rule};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::OnceLock;
use tripline_core::wire::Finding;
use tripline_remediation::ask::Questions;
use tripline_remediation::engine::{
    Considered, Engine, EngineFault, Outside, Policies, Settings, Turn,
};
use tripline_remediation::guard::Protected;
use tripline_remediation::journal::CheckpointKey;
use tripline_remediation::machine::State;
use tripline_remediation::policy::load;
use tripline_remediation::vote::{Approver, Decision, SignedVote, Vote};

pub const ACCOUNT: &str = "123456789012";
pub const ROLE: &str = "arn:aws:iam::*:role/tripline-remediation";
pub const QUARANTINE: &str = "sg-0fffffffffffffff0";

const POLICIES: &str = r#"
[remediation.sg]
version = "1.0.0"
description = "Rules that let the world in are revoked."
runbook = "https://runbooks.example.com/sg"
owner = "cloud"
on_finding = ["sg.open"]
when = "event.eventName == 'AuthorizeSecurityGroupIngress'"
action = "aws.ec2.revoke_ingress_rule"
stage = { mode = "auto" }
limits = { LIMITS }
credentials = { role = "arn:aws:iam::{account}:role/tripline-remediation" }

[remediation.key]
version = "1.0.0"
description = "Keys are switched off."
runbook = "https://runbooks.example.com/key"
owner = "cloud"
on_finding = ["key.made"]
action = "aws.iam.deactivate_access_key"
stage = { mode = "auto" }
limits = { LIMITS }
execution = { verify = { then_recheck = ["5m", "30m"] } }

[remediation.isolate]
version = "1.0.0"
description = "Instances are isolated."
runbook = "https://runbooks.example.com/instance"
owner = "cloud"
on_finding = ["instance.bad"]
action = "aws.ec2.isolate_instance"
stage = { mode = "auto" }
limits = { LIMITS }
execution = { total_timeout = "1h" }
[remediation.isolate.params]
quarantine_group = "'sg-0fffffffffffffff0'"

[remediation.flow]
version = "1.0.0"
description = "Flow logs are made again."
runbook = "https://runbooks.example.com/flow"
owner = "cloud"
on_finding = ["flow.deleted"]
when = "event.eventName == 'DeleteFlowLogs'"
action = "aws.ec2.recreate_flow_logs"
stage = { mode = "auto" }
limits = { LIMITS }

[remediation.stop]
version = "1.0.0"
description = "Functions are stopped."
runbook = "https://runbooks.example.com/stop"
owner = "cloud"
on_finding = ["function.bad"]
action = "aws.lambda.stop_invocations"
stage = { mode = "auto" }
limits = { LIMITS }
"#;

pub const WIDE: &str = r#"per_policy = { max = 100000, window = "1m" }, per_account = { max = 100000, window = "1m" }, concurrency = 1000"#;

/// The text of the policies, with limits.
pub fn text_with(limits: &str) -> String {
    POLICIES.replace("LIMITS", limits)
}

/// The policies, with limits.
pub fn policies_with(limits: &str) -> Policies {
    policies_of(&text_with(limits))
}

pub fn policies_of(text: &str) -> Policies {
    let mut loaded = load([("policies.toml", text)]);
    let questions = Questions::of(&mut loaded, jiff::civil::date(2027, 1, 1));
    let wrong: Vec<_> = loaded
        .reports
        .iter()
        .map(|one| &one.diagnostic.message)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    Policies {
        policies: loaded.policies,
        questions,
        exempt: loaded.exempt,
        is_exemption_lost: loaded.is_exemption_lost,
    }
}

pub fn policies() -> Policies {
    policies_with(WIDE)
}

/// A finding on an event.
pub fn finding(id: &str, rule: &str, event: &Value) -> Finding {
    let finding = json!({
        "version": 1, "finding_id": id, "rule_id": rule, "rule_version": "1", "rule_name": rule,
        "severity": "high", "title": "it is bad", "dedup_key": [], "event_id": event["eventID"],
    });
    serde_json::from_value(finding).expect("is a finding")
}

pub fn approver(name: &str, pair: &nkeys::KeyPair) -> Approver {
    Approver {
        name: name.to_owned(),
        key: pair.public_key(),
        groups: Vec::new(),
        principals: Vec::new(),
        break_glass: false,
    }
}

/// The key of whoever approves.
pub fn alice() -> &'static nkeys::KeyPair {
    static PAIR: OnceLock<nkeys::KeyPair> = OnceLock::new();
    PAIR.get_or_init(nkeys::KeyPair::new_user)
}

pub fn checkpoint_key() -> CheckpointKey {
    static SEED: OnceLock<String> = OnceLock::new();
    let seed = SEED.get_or_init(|| CheckpointKey::new().seed().expect("has a seed"));
    CheckpointKey::of_seed(seed).expect("is a seed")
}

pub fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.rules.global = None;
    settings.protected = Protected {
        own_roles: vec![ROLE.to_owned()],
        ..Protected::default()
    };
    settings.approvers = vec![approver("alice", alice())];
    settings
}

/// A folder in memory where there is one: how fast a disk is, is no question here.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.expect("a folder")
}

pub fn open(
    folder: &Path,
    world: &World,
    settings: Settings,
) -> Result<Engine<World>, EngineFault> {
    let (engine, _) = Engine::open(folder, world.clone(), settings, checkpoint_key())?;
    engine.set_policies(policies());
    Ok(engine)
}

/// A vote.
pub fn vote_of(
    engine: &Engine<impl Outside>,
    id: &str,
    name: &str,
    pair: &nkeys::KeyPair,
    nonce: &str,
) -> SignedVote {
    let action = engine.action(id).expect("is there");
    let vote = Vote {
        action: id.to_owned(),
        plan_hash: action.plan.map(|(_, hash)| hash).unwrap_or_default(),
        decision: Decision::Approve,
        reason: "looked at it".to_owned(),
        approver: name.to_owned(),
        nonce: format!("{nonce:0>16}"),
        not_after: engine.outside().now() + HOUR,
        break_glass: false,
    };
    vote.sign(&pair.seed().expect("has a seed"))
        .expect("is signed")
}

/// Goes on until there is nothing to do before a time; whoever waits for a vote gets it.
pub fn run(engine: &Engine<World>, until: i64) -> Result<(), EngineFault> {
    let world = engine.outside();
    loop {
        let waiting: Vec<String> = {
            let book = engine.book();
            let waits = book
                .actions()
                .filter(|one| matches!(one.state, State::AwaitingApproval { .. }));
            waits.map(|one| one.id.clone()).collect()
        };
        for id in waiting {
            let nonce = format!("{}", world.chance(u64::MAX));
            engine.vote(vote_of(engine, &id, "alice", alice(), &nonce))?;
        }
        let next = match engine.turn()? {
            Turn::Worked => continue,
            Turn::IdleUntil(at) => Some(at),
            Turn::Idle => None,
        };
        let next = [next, world.lands()].into_iter().flatten().min();
        match next {
            Some(at) if at <= until => world.pass(at),
            _ => return Ok(()),
        }
    }
}

/// What is bad, in a world of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Group,
    Key,
    Instance,
    FlowLog,
    Function,
}

pub const KINDS: [Kind; 5] = [
    Kind::Group,
    Kind::Key,
    Kind::Instance,
    Kind::FlowLog,
    Kind::Function,
];

/// Something bad: the finding's rule and the event.
pub struct Bad {
    pub kind: Kind,
    pub number: u64,
    pub rule: &'static str,
    pub event: Value,
    /// An event that is folded before.
    pub known: Option<Value>,
}

/// Makes something bad.
pub fn bad(kind: Kind, number: u64, account: &str, time: i64, cloud: &mut Cloud) -> Bad {
    let hex = format!("{number:017x}");
    let (rule_name, event, known) = match kind {
        Kind::Group => {
            let group = format!("sg-{hex}");
            let rules = [22, 3389].map(|port| (format!("sgr-{hex}{port:05}"), port));
            let mut of = std::collections::BTreeMap::new();
            let mut items = Vec::new();
            for (id, port) in &rules {
                of.insert(id.clone(), rule(id, &group, *port));
                items.push(json!({"groupId": group, "securityGroupRuleId": id, "isEgress": false,
                    "ipProtocol": "tcp", "fromPort": port, "toPort": port, "cidrIpv4": "0.0.0.0/0"}));
            }
            cloud.groups.insert(group.clone(), of);
            let more = json!({"requestParameters": {"groupId": group},
                "responseElements": {"_return": true, "securityGroupRuleSet": {"items": items}}});
            let name = "AuthorizeSecurityGroupIngress";
            (
                "sg.open",
                event("ec2.amazonaws.com", name, time, account, more),
                None,
            )
        }
        Kind::Key => {
            let (user, key) = (format!("user{number}"), format!("AKIA{:016X}", number));
            cloud
                .keys
                .insert((user.clone(), key.clone()), "Active".to_owned());
            let more = json!({"requestParameters": {"userName": user},
                "responseElements": {"accessKey": {"accessKeyId": key, "userName": user}}});
            (
                "key.made",
                event("iam.amazonaws.com", "CreateAccessKey", time, account, more),
                None,
            )
        }
        Kind::Instance => {
            let id = format!("i-{hex}");
            let interface =
                |place: u64| (format!("eni-{hex}{place}"), vec!["sg-00000001".to_owned()]);
            let instance = Instance {
                interfaces: [interface(1), interface(2)].into_iter().collect(),
                volumes: vec![format!("vol-{hex}1"), format!("vol-{hex}2")],
            };
            cloud.instances.insert(id.clone(), instance);
            let more = json!({"requestParameters": {"instanceId": id}});
            let name = "ModifyInstanceAttribute";
            (
                "instance.bad",
                event("ec2.amazonaws.com", name, time, account, more),
                None,
            )
        }
        Kind::FlowLog => {
            let (id, vpc) = (format!("fl-{hex}"), format!("vpc-{hex}"));
            let definition = json!({"ResourceId": vpc, "ResourceType": "VPC", "TrafficType": "ALL",
                "LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::logs"});
            let more = json!({"requestParameters": {"CreateFlowLogsRequest": definition},
                "responseElements": {"CreateFlowLogsResponse": {"flowLogIdSet": {"item": id}}}});
            let name = "CreateFlowLogs";
            let known = event("ec2.amazonaws.com", name, time - HOUR, account, more);
            let more = json!({"requestParameters": {"DeleteFlowLogsRequest": {"FlowLogId": {"content": id, "tag": 1}}}});
            let name = "DeleteFlowLogs";
            (
                "flow.deleted",
                event("ec2.amazonaws.com", name, time, account, more),
                Some(known),
            )
        }
        Kind::Function => {
            let name = format!("function{number}");
            let places = number.is_multiple_of(2).then_some(7);
            cloud.functions.insert(name.clone(), places);
            let more = json!({"requestParameters": {"functionName": name}});
            let called = "UpdateFunctionCode20150331v2";
            (
                "function.bad",
                event("lambda.amazonaws.com", called, time, account, more),
                None,
            )
        }
    };
    let mut event = event;
    event["eventID"] = json!(format!("event-{kind:?}-{number}-{time}"));
    Bad {
        kind,
        number,
        rule: rule_name,
        event,
        known,
    }
}

impl Bad {
    /// Whether it is bad no more.
    pub fn is_mended(&self, cloud: &Cloud) -> bool {
        let hex = format!("{:017x}", self.number);
        match self.kind {
            Kind::Group => cloud.groups[&format!("sg-{hex}")].is_empty(),
            Kind::Key => {
                let mut keys = cloud.keys.iter();
                keys.any(|((user, _), status)| {
                    *user == format!("user{}", self.number) && status == "Inactive"
                })
            }
            Kind::Instance => {
                let instance = &cloud.instances[&format!("i-{hex}")];
                let mut interfaces = instance.interfaces.values();
                interfaces.all(|groups| *groups == [QUARANTINE])
                    && instance.volumes.iter().all(|volume| {
                        let of = |one: &&_| matches!(one, crate::world::Snapshot { volume: its, .. } if its == volume);
                        cloud.snapshots.iter().filter(of).count() == 1
                    })
            }
            Kind::FlowLog => {
                let vpc = json!(format!("vpc-{hex}"));
                cloud
                    .flow_logs
                    .values()
                    .filter(|one| one["ResourceId"] == vpc)
                    .count()
                    == 1
            }
            Kind::Function => cloud.functions[&format!("function{}", self.number)] == Some(0),
        }
    }

    /// Hands its finding over.
    pub fn consider(&self, engine: &Engine<impl Outside>) -> Result<Vec<Considered>, EngineFault> {
        if let Some(known) = &self.known {
            engine.shadow().fold(known);
        }
        let id = format!("finding-{}", self.event["eventID"]);
        let finding = finding(&id, self.rule, &self.event);
        engine.consider(&finding, self.event.to_string().as_bytes())
    }
}
