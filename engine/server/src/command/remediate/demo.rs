//! `tripline remediate demo`: one answer to one finding, from the event to the trail of it.

use super::CommandError;
use super::show::plan_text;
use super::target::{Rule, Target};
use crate::exit::Exit;
use crate::plugins::{Installed, text_of};
use crate::remediation::planners::Planners;
use crate::remediation::policies::{self, Read};
use crate::remediation::world::World;
use crate::rule_files::RuleArguments;
use crate::rule_loading::today_of;
use clap::Args;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tripline_core::diagnostic::Palette;
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::File;
use tripline_core::wire::Finding;
use tripline_remediation::action::Planner;
use tripline_remediation::aws::Credentials;
use tripline_remediation::engine::{Engine, Settings, Turn};
use tripline_remediation::journal::{CheckpointKey, verify};
use tripline_remediation::machine::State;
use tripline_remediation::plan::hex;
use tripline_remediation::vote::{Approver, Decision, Vote};

/// A security group is opened to the world, the plan that closes it is agreed to, carried out and verified, and taken back; then
/// the trail of all that is verified. Nothing leaves this machine: what is acted on is a part of EC2 that comes with it.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Where the journal is kept; without it, it is gone when the demo is over.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,

    /// The policy that answers, instead of the demo's own: a file. It has to wait for people.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// The operator's file that declares plugins, for a policy with `action = "plugin:NAME"`.
    #[arg(long, value_name = "FILE", requires = "policy")]
    plugins: Option<String>,
}

const POLICY: &str = include_str!("demo.toml");
const GROUP: &str = "sg-0d3m00000000000aa";
const REGION: &str = "eu-central-1";
const ACCOUNT: &str = "123456789012";
const RULE: &str = "aws-ec2-security-group-open-to-world";

/// Nothing in the demo takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

fn wrong(words: impl ToString) -> CommandError {
    CommandError::Usage(words.to_string())
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let mut out = io::stdout().lock();
    let folder = match &arguments.keep {
        Some(folder) => folder.clone(),
        None => {
            std::env::temp_dir().join(format!("tripline-remediation-demo-{}", std::process::id()))
        }
    };
    let done = play(arguments, &folder, &mut out);
    if arguments.keep.is_none() {
        // What cannot be removed is in the folder for such things.
        let _ = std::fs::remove_dir_all(&folder);
    }
    done
}

/// The policy that answers, and the plugins that may plan for it.
fn policy(arguments: &Arguments) -> Result<(Read, Option<Arc<dyn Planner>>), CommandError> {
    let installed = Installed::read(arguments.plugins.as_deref(), None)?;
    installed.tell_off();
    let planner = Planners::start(&installed)?;
    let file = match &arguments.policy {
        None => File::found("demo.toml", POLICY),
        Some(path) => File::found(path.display().to_string(), text_of(path)?),
    };
    let loaded = policies::loaded(&[file]);
    let read = policies::of_loaded(loaded, planner.as_deref());
    match read.complaints(Palette::PLAIN).first() {
        Some(complaint) => Err(wrong(complaint)),
        None => Ok((read, planner)),
    }
}

fn play(
    arguments: &Arguments,
    folder: &std::path::Path,
    out: &mut impl Write,
) -> Result<Exit, CommandError> {
    let (read, planner) = policy(arguments)?;
    let credentials = Credentials {
        access_key: "AKIADEMO000000000000".to_owned(),
        secret_key: "the key of the demo, which opens nothing else".to_owned(),
        token: None,
        expires: None,
    };
    let web = Rule {
        id: "sgr-0d3m0000000000web".to_owned(),
        protocol: "tcp".to_owned(),
        from: "443".to_owned(),
        to: "443".to_owned(),
        cidr: "10.0.0.0/8".to_owned(),
        description: "web, from inside".to_owned(),
    };
    let target = Target::start(GROUP, REGION, vec![web], credentials.clone())?;
    let alice = nkeys::KeyPair::new_user();
    let settings = Settings {
        approvers: vec![Approver {
            name: "alice".to_owned(),
            key: alice.public_key(),
            groups: vec!["cloud-security-on-call".to_owned()],
            principals: vec![format!("arn:aws:iam::{ACCOUNT}:user/alice")],
            break_glass: false,
        }],
        planner,
        ..Settings::default()
    };
    let world = World::with_credentials(&target.url(), credentials);
    let key = CheckpointKey::new();
    let public = key.public();
    let (engine, _) = Engine::open(folder, world, settings, key)
        .map_err(|fault| wrong(crate::causes::with_causes(&fault)))?;
    engine.set_policies(read.policies);

    writeln!(
        out,
        "1. Mallory opens port 22 of the security group {GROUP} to the whole internet."
    )?;
    let opened = Rule {
        id: "sgr-0d3m0000000000ssh".to_owned(),
        protocol: "tcp".to_owned(),
        from: "22".to_owned(),
        to: "22".to_owned(),
        cidr: "0.0.0.0/0".to_owned(),
        description: "for later".to_owned(),
    };
    target.open(opened.clone());
    shown(&target, out)?;
    let event = event_of(&opened).to_string();
    let finding = finding_of(event.as_bytes())?;
    writeln!(
        out,
        "\n2. The rule {RULE} finds it: {} ({}).",
        finding.title, finding.severity
    )?;

    let considered = engine
        .consider(&finding, event.as_bytes())
        .map_err(|fault| wrong(crate::causes::with_causes(&fault)))?;
    let id = considered.first().and_then(|one| one.action.clone());
    let id = id.ok_or_else(|| wrong(format!("the policy proposed nothing: {considered:?}")))?;
    let waits = |state: &State| matches!(state, State::AwaitingApproval { .. });
    until(&engine, &id, &waits)?;
    writeln!(
        out,
        "\n3. The policy plans an answer, and waits for somebody to agree:\n"
    )?;
    write!(out, "{}", planned(&engine, &id))?;

    let hash = engine
        .action(&id)
        .and_then(|action| action.plan)
        .map(|(_, hash)| hash)
        .unwrap_or_default();
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(wrong)?;
    let vote = Vote {
        action: id.clone(),
        plan_hash: hash,
        decision: Decision::Approve,
        reason: "nobody needs SSH from outside".to_owned(),
        approver: "alice".to_owned(),
        nonce: hex(&nonce),
        not_after: jiff::Timestamp::now().as_microsecond() + 60_000_000,
        break_glass: false,
    };
    let seed = alice.seed().map_err(wrong)?;
    let signed = vote.sign(&seed).map_err(wrong)?;
    engine
        .vote(signed)
        .map_err(|fault| wrong(crate::causes::with_causes(&fault)))?;
    writeln!(
        out,
        "\n4. Alice agrees, with her signature under this very plan. It is carried out and verified."
    )?;
    until(&engine, &id, &|state| state.is_settled())?;
    steps(&engine, &id, out)?;
    shown(&target, out)?;

    engine
        .revert(&id, "alice", "it was a drill")
        .map_err(|fault| wrong(crate::causes::with_causes(&fault)))?;
    until(&engine, &id, &|state| state.is_settled())?;
    writeln!(out, "\n5. It was a drill; alice has it taken back.")?;
    steps(&engine, &id, out)?;
    shown(&target, out)?;

    engine
        .checkpoint()
        .map_err(|fault| wrong(crate::causes::with_causes(&fault)))?;
    let verified = verify(folder, &[&public], &[])
        .map_err(|fault| wrong(crate::causes::with_causes(&fault)))?;
    writeln!(
        out,
        "\n6. The trail is whole: {} records, each bound to the one before, {} of them signed; {} requests changed something.",
        verified.records,
        verified.checkpoints,
        verified.requests.len(),
    )?;
    Ok(Exit::Success)
}

/// Lets the engine work until an action is so.
fn until(
    engine: &Engine<World>,
    id: &str,
    is_so: &dyn Fn(&State) -> bool,
) -> Result<(), CommandError> {
    let begun = Instant::now();
    loop {
        match engine.action(id) {
            Some(action) if is_so(&action.state) => return Ok(()),
            _ => {}
        }
        let turn = engine
            .turn()
            .map_err(|fault| wrong(crate::causes::with_causes(&fault)))?;
        if turn != Turn::Worked {
            std::thread::sleep(Duration::from_millis(10));
        }
        if begun.elapsed() > PATIENCE {
            let state = engine.action(id).map_or("gone", |one| one.state.name());
            return Err(wrong(format!("the action {id} stays {state}")));
        }
    }
}

/// What is agreed to.
fn planned(engine: &Engine<World>, id: &str) -> String {
    let Some((plan, hash)) = engine.action(id).and_then(|action| action.plan) else {
        return String::new();
    };
    let text = plan_text(&json!(plan));
    format!("{text}  plan hash {hash}\n")
}

/// How an action is, and what became of its steps.
fn steps(engine: &Engine<World>, id: &str, out: &mut impl Write) -> io::Result<()> {
    let Some(action) = engine.action(id) else {
        return Ok(());
    };
    let reason = action.state.reason().map(|reason| format!(" ({reason})"));
    writeln!(
        out,
        "   {}{}",
        action.state.name(),
        reason.unwrap_or_default()
    )?;
    let run = match &action.state {
        State::Reverted(_) => action.back,
        _ => action.run,
    };
    for (step, progress) in run
        .iter()
        .flat_map(|run| run.steps.iter().zip(&run.progress))
    {
        let word = if progress.is_over() { "done" } else { "open" };
        writeln!(out, "   {word}: {}", step.summary)?;
    }
    Ok(())
}

fn shown(target: &Target, out: &mut impl Write) -> io::Result<()> {
    for rule in target.rules() {
        writeln!(
            out,
            "   {}  {} {}-{} from {}  \"{}\"",
            rule.id, rule.protocol, rule.from, rule.to, rule.cidr, rule.description
        )?;
    }
    Ok(())
}

fn event_of(rule: &Rule) -> Value {
    let port = |text: &str| text.parse::<u32>().unwrap_or_default();
    json!({
        "eventVersion": "1.10",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDADEMOMALLORY",
            "arn": format!("arn:aws:iam::{ACCOUNT}:user/mallory"),
            "accountId": ACCOUNT,
            "userName": "mallory",
        },
        "eventTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "eventSource": "ec2.amazonaws.com",
        "eventName": "AuthorizeSecurityGroupIngress",
        "awsRegion": REGION,
        "sourceIPAddress": "198.51.100.23",
        "userAgent": "aws-cli/2.15.0",
        "requestParameters": {
            "groupId": GROUP,
            "ipPermissions": { "items": [{
                "ipProtocol": rule.protocol,
                "fromPort": port(&rule.from),
                "toPort": port(&rule.to),
                "groups": {},
                "ipRanges": { "items": [{ "cidrIp": rule.cidr, "description": rule.description }] },
                "ipv6Ranges": {},
                "prefixListIds": {},
            }] },
        },
        "responseElements": {
            "_return": true,
            "securityGroupRuleSet": { "items": [{
                "groupOwnerId": ACCOUNT,
                "groupId": GROUP,
                "securityGroupRuleId": rule.id,
                "description": rule.description,
                "isEgress": false,
                "ipProtocol": rule.protocol,
                "fromPort": port(&rule.from),
                "toPort": port(&rule.to),
                "cidrIpv4": rule.cidr,
            }] },
        },
        "requestID": "3b0b0c5e-0000-4000-8000-00000000demo",
        "eventID": "6f1c1f4a-0000-4000-8000-00000000demo",
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    })
}

/// What the rule that came with the binary finds in an event.
fn finding_of(event: &[u8]) -> Result<Finding, CommandError> {
    let catalog = RuleArguments::default().load(Vec::new(), today_of(jiff::Timestamp::now()))?;
    let rule = catalog.rule(RULE).cloned();
    let (set, _) = RuleSet::of_rules(rule, &catalog);
    let mut parser = Parser::new();
    let document = parser
        .parse(event)
        .map_err(|fault| wrong(format!("the demo's event: {fault}")))?;
    let event = Event::new(document);
    let mut evaluator = Evaluator::new(&set);
    let matched = evaluator.evaluate(&event).matched.first().copied();
    let rule = matched.ok_or_else(|| wrong("the rule finds nothing in the demo's event"))?;
    Ok(evaluator.finding(rule, &event))
}
