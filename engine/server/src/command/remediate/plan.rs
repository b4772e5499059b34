//! `tripline remediate plan` and `dry-run`: what policies would answer to what is found in files.

use super::CommandError;
use super::gathering::gather;
use super::show::plan_text;
use crate::exit::Exit;
use crate::remediation::planners::Planners;
use crate::remediation::policies;
use crate::remediation::world::World;
use crate::rule_files::RuleArguments;
use crate::terminal::{ColorChoice, Shown, counted};
use clap::Args;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Arc;
use tripline_remediation::action::{Planned, Planner, Reads};
use tripline_remediation::book::{Book, Judged, Rules};
use tripline_remediation::engine::{Identity, Outside, Proposed, Sent, plan_with, propose};
use tripline_remediation::guard::Protected;
use tripline_remediation::machine::Proposal;
use tripline_remediation::plan::{Answer, Call};
use tripline_remediation::shadow::Shadow;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Files, folders, patterns, or - for standard input.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<String>,

    #[command(flatten)]
    rules: RuleArguments,

    /// Policies: a file or a folder; may be given several times. Those that came with tripline without it.
    #[arg(long = "policies", value_name = "PATH", action = clap::ArgAction::Append)]
    policies: Vec<String>,

    /// What is asked instead of AWS, as http://127.0.0.1:5000.
    #[arg(long, value_name = "URL", default_value = "")]
    endpoint: String,

    /// One JSON object for each finding and policy.
    #[arg(long)]
    json: bool,
}

struct Reading<'w> {
    world: &'w World,
    identity: Identity,
}

impl Reads for Reading<'_> {
    fn read(&mut self, call: &Call) -> Result<Answer, String> {
        match self.world.send(call, &self.identity) {
            Sent::Answered { answer, .. } => Ok(answer),
            Sent::NotDone(why) | Sent::Unknown(why) => Err(why),
        }
    }
}

pub(super) fn run(
    arguments: &Arguments,
    asks: bool,
    color: ColorChoice,
) -> Result<Exit, CommandError> {
    let planner = Planners::start(&*arguments.rules.plugins.read()?)?;
    let planner = planner.as_deref();
    let read = policies::read_with(&arguments.policies, planner)?;
    let complaints = read.complaints(color.palette(&io::stderr()));
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    let in_force = &read.policies;
    let wanted = |finding: &tripline_core::wire::Finding| {
        let answers = |policy: &tripline_remediation::policy::Policy| {
            policy.answers(&finding.rule_id, &finding.severity)
        };
        in_force.policies.iter().any(answers)
    };
    let (found, exit) = gather(&arguments.inputs, &arguments.rules, &wanted, color)?;
    let world = World::new(&arguments.endpoint);
    let protected = Protected::default();
    let mut book = Book::new(Rules::default());
    let mut shadow = Shadow::default();
    let mut out = io::stdout().lock();
    let (mut actions, mut nothing) = (0_u64, 0_u64);
    for (finding, event) in &found {
        let time = finding
            .event_time
            .as_deref()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let now = time.map_or(0, jiff::Timestamp::as_microsecond);
        for one in propose(in_force, &protected, finding, event, now) {
            let asked = asks.then_some((&world, planner));
            let what = answer(&one, &mut book, now, asked, &shadow);
            match what["is"].as_str() {
                Some("planned" | "proposed") => actions += 1,
                Some("known") => continue,
                _ => nothing += 1,
            }
            let mut value = json!({
                "finding": finding.finding_id,
                "rule": finding.rule_id,
                "event_time": finding.event_time,
                "policy": one.policy,
            });
            if let (Some(value), Some(what)) = (value.as_object_mut(), what.as_object()) {
                value.extend(what.clone());
            }
            match arguments.json {
                true => writeln!(out, "{value}")?,
                false => write!(out, "{}", shown(&value, &finding.title))?,
            }
        }
        if let Ok(event) = serde_json::from_slice::<Value>(event) {
            // What a finding is about is not what was good.
            shadow.doubt(&event);
        }
    }
    if !arguments.json {
        writeln!(
            out,
            "{} looked at, {}: {}, and {nothing} times nothing",
            counted(found.len() as u64, "finding"),
            if asks {
                "with the state as it is now"
            } else {
                "without asking AWS"
            },
            counted(actions, "action"),
        )?;
    }
    Ok(match (exit, complaints.is_empty()) {
        (Exit::Success, false) => Exit::Findings,
        (exit, _) => exit,
    })
}

/// What becomes of a proposal.
fn answer(
    one: &Proposed,
    book: &mut Book,
    now: i64,
    asked: Option<(&World, Option<&dyn Planner>)>,
    shadow: &Shadow,
) -> Value {
    let proposal = match &one.proposal {
        Ok(proposal) => proposal,
        Err(why) => return json!({ "is": "nothing", "why": why }),
    };
    let about = json!({
        "action": proposal.action,
        "resource": proposal.subject.resource.arn,
        "parameters": proposal.parameters,
        "stage": proposal.terms.stage.mode.name(),
    });
    let with = |more: Value| {
        let mut all = about.clone();
        if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
            all.extend(more.clone());
        }
        all
    };
    let id = match book.judge(proposal, now) {
        Judged::Known(id) => return with(json!({ "is": "known", "id": id })),
        Judged::Refused(_, why) => return with(json!({ "is": "suppressed", "why": why })),
        Judged::New(id) => id,
    };
    let input = tripline_remediation::machine::Input::Proposed(Arc::new(proposal.clone()));
    if let Ok(entry) = book.entry(&id, input, now) {
        let _ = book.take(&entry, now);
    }
    if let Some(why) = &one.refusal {
        return with(json!({ "is": "suppressed", "why": why }));
    }
    let Some((world, planner)) = asked else {
        return with(json!({ "is": "proposed", "id": id }));
    };
    let mut reads = Reading {
        world,
        identity: identity_of(proposal, &id),
    };
    match plan_with(planner, proposal, &id, shadow, &mut reads) {
        Ok(Planned::Plan(plan)) => {
            with(json!({ "is": "planned", "id": id, "hash": plan.hash(), "plan": plan }))
        }
        Ok(Planned::Nothing(why)) => with(json!({ "is": "noop", "why": why })),
        Err(fault) => with(json!({ "is": "unplannable", "why": fault.to_string() })),
    }
}

fn identity_of(proposal: &Proposal, id: &str) -> Identity {
    let resource = &proposal.subject.resource;
    let partition = resource.arn.split(':').nth(1).unwrap_or("aws");
    let role = proposal.terms.role.replace("{account}", &resource.account);
    Identity {
        action: id.to_owned(),
        role: role.replace("{partition}", partition),
        plan: None,
        timeout: proposal.terms.execution.step_timeout.0,
    }
}

fn shown(value: &Value, title: &str) -> String {
    use std::fmt::Write as _;
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}", Shown(text("event_time")), Shown(title));
    let _ = writeln!(out, "  policy    {}", Shown(text("policy")));
    if !text("resource").is_empty() {
        let _ = writeln!(out, "  resource  {}", Shown(text("resource")));
    }
    match text("is") {
        "planned" => out.push_str(&plan_text(&value["plan"])),
        "proposed" => {
            let _ = writeln!(
                out,
                "  action    {} in the stage {}",
                text("action"),
                text("stage")
            );
            for (name, value) in value["parameters"].as_object().into_iter().flatten() {
                let value = value.to_string();
                let _ = writeln!(out, "    {name} = {}", Shown(&value));
            }
        }
        is => {
            let _ = writeln!(out, "  {is:<9} {}", Shown(text("why")));
        }
    }
    out.push('\n');
    out
}
