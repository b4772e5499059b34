//! `tripline remediate backtest`: how often policies would have acted, per day, against their caps.

use super::CommandError;
use super::gathering::gather;
use crate::exit::Exit;
use crate::remediation::policies;
use crate::rule_files::RuleArguments;
use crate::terminal::{ColorChoice, Shown, grouped};
use clap::Args;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;
use tripline_remediation::book::{Book, Hold, Judged, Rules};
use tripline_remediation::engine::propose;
use tripline_remediation::guard::Protected;
use tripline_remediation::machine::{Action, Input, Proposal};
use tripline_remediation::plan::{Answer, Call, Class, Plan, Step};
use tripline_remediation::policy::{Mode, Policy};

/// What policies would have done over events that are there: each finding in the order of time, with cool-down, locks and caps
/// as they would have been then. Nothing is asked of AWS: an action that would have found nothing to do counts.
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

    /// End with the code for findings when an action would have had to wait for a cap.
    #[arg(long)]
    fail_over: bool,

    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What a policy would have done.
#[derive(Default)]
struct Tally {
    answered: u64,
    nothing: BTreeMap<String, u64>,
    suppressed: BTreeMap<String, u64>,
    repeated: u64,
    acted: u64,
    /// What it would have had to wait for.
    held: BTreeMap<String, u64>,
    days: BTreeMap<String, u64>,
    resources: BTreeSet<String>,
    principals: BTreeSet<String>,
    /// The times at which it would have acted.
    times: Vec<i64>,
}

impl Tally {
    /// Most within a window.
    fn peak(&self, window: i64) -> usize {
        let mut peak = 0;
        let mut first = 0;
        for (last, time) in self.times.iter().enumerate() {
            while time - self.times[first] >= window {
                first += 1;
            }
            peak = peak.max(last + 1 - first);
        }
        peak
    }
}

pub(super) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let read = policies::read(&arguments.policies)?;
    let complaints = read.complaints(color.palette(&io::stderr()));
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    let in_force = &read.policies;
    let wanted = |finding: &tripline_core::wire::Finding| {
        let answers = |policy: &Policy| policy.answers(&finding.rule_id, &finding.severity);
        in_force.policies.iter().any(answers)
    };
    let (found, exit) = gather(&arguments.inputs, &arguments.rules, &wanted, color)?;
    let mut tallies: BTreeMap<String, Tally> = in_force
        .policies
        .iter()
        .map(|one| (one.id.clone(), Tally::default()))
        .collect();
    let mut book = Book::new(Rules::default());
    for (finding, event) in &found {
        let time = finding
            .event_time
            .as_deref()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let Some(time) = time else { continue };
        let now = time.as_microsecond();
        for one in propose(in_force, &Protected::default(), finding, event, now) {
            let tally = tallies.entry(one.policy.clone()).or_default();
            tally.answered += 1;
            let proposal = match one.proposal {
                Ok(proposal) => proposal,
                Err(why) => {
                    *tally.nothing.entry(why).or_default() += 1;
                    continue;
                }
            };
            consider(
                &mut book,
                tally,
                proposal,
                one.refusal,
                now,
                &time.to_string()[..10],
            );
        }
    }
    let mut out = io::stdout().lock();
    let mut idle = 0;
    let is_over = tallies.values().any(|tally| !tally.held.is_empty());
    for policy in &in_force.policies {
        let tally = &tallies[&policy.id];
        match arguments.json {
            true => writeln!(out, "{}", as_json(policy, tally))?,
            false if tally.answered == 0 => idle += 1,
            false => write!(out, "{}", as_text(policy, tally))?,
        }
    }
    if idle > 0 {
        writeln!(out, "{idle} more policies had nothing to answer")?;
    }
    Ok(match exit {
        Exit::Success if !complaints.is_empty() || (is_over && arguments.fail_over) => {
            Exit::Findings
        }
        exit => exit,
    })
}

/// What would have become of a proposal, and what comes of it for those after it.
fn consider(
    book: &mut Book,
    tally: &mut Tally,
    proposal: Proposal,
    refusal: Option<String>,
    now: i64,
    day: &str,
) {
    let id = match book.judge(&proposal, now) {
        Judged::Known(_) => {
            tally.repeated += 1;
            return;
        }
        Judged::New(id) if refusal.is_none() => id,
        Judged::New(id) => {
            let why = refusal.unwrap_or_default();
            suppress(book, tally, proposal, id, (why, false), now);
            return;
        }
        Judged::Refused(id, why) => {
            let is_again = refusal.is_none();
            let why = refusal.unwrap_or(why);
            suppress(book, tally, proposal, id, (why, is_again), now);
            return;
        }
    };
    let arn = proposal.subject.resource.arn.clone();
    let actor = proposal.origin.actors.first().cloned();
    let mut proposal = proposal;
    // As if it had been agreed to, so that caps and cool-down are seen as they would be.
    proposal.terms.stage.mode = Mode::Auto;
    proposal.terms.stage.percent = 100;
    proposal.terms.risk = tripline_remediation::plan::Risk::Low;
    let plan = stand_in(&proposal);
    let call = plan.steps[0].call.clone();
    take(book, &id, Input::Proposed(Arc::new(proposal)), now);
    take(
        book,
        &id,
        Input::Planned {
            plan: Arc::new(plan),
            mode: Mode::Auto,
        },
        now,
    );
    let may = book
        .action(&id)
        .map(|action: &Action| book.may_send(action, now));
    match may {
        Some(Ok(())) => {}
        Some(Err(Hold::Later(why, until))) => {
            *tally.held.entry(why.clone()).or_default() += 1;
            take(book, &id, Input::Deferred { reason: why, until }, now);
            return;
        }
        Some(Err(Hold::Off(_))) | None => return,
    }
    take(book, &id, Input::Began { epoch: 1, call }, now);
    let answer = Answer::Done(json!({}));
    take(
        book,
        &id,
        Input::Answered {
            step: 0,
            answer,
            request: String::new(),
            is_done: true,
        },
        now,
    );
    take(book, &id, Input::Verified, now);
    tally.acted += 1;
    tally.times.push(now);
    *tally.days.entry(day.to_owned()).or_default() += 1;
    tally.resources.insert(arn);
    tally.principals.extend(actor);
}

fn suppress(
    book: &mut Book,
    tally: &mut Tally,
    proposal: Proposal,
    id: String,
    (why, is_again): (String, bool),
    now: i64,
) {
    let kind = why.split(':').next().unwrap_or_default().to_owned();
    *tally.suppressed.entry(kind).or_default() += 1;
    let input = Input::Refused {
        proposal: Arc::new(proposal),
        reason: why,
        is_again,
    };
    take(book, &id, input, now);
}

fn take(book: &mut Book, id: &str, input: Input, now: i64) {
    if let Ok(entry) = book.entry(id, input, now) {
        let _ = book.take(&entry, now);
    }
}

/// A plan of one step, for what is not planned because nothing is asked.
fn stand_in(proposal: &Proposal) -> Plan {
    let call = Call {
        operation: proposal.action.clone(),
        account: proposal.subject.resource.account.clone(),
        region: proposal.subject.resource.region.clone(),
        parameters: proposal.parameters.clone(),
    };
    Plan {
        action: proposal.action.clone(),
        resource: proposal.subject.resource.clone(),
        summary: String::new(),
        risk: tripline_remediation::plan::Risk::Low,
        diff: Vec::new(),
        preconditions: Vec::new(),
        steps: vec![Step {
            id: "act".to_owned(),
            summary: String::new(),
            call,
            class: Class::Set,
            done_codes: Vec::new(),
            probe: None,
            inverse: Vec::new(),
        }],
        verify: Vec::new(),
        is_rolled_back: false,
    }
}

fn as_json(policy: &Policy, tally: &Tally) -> serde_json::Value {
    let cap = policy.terms.limits.per_policy;
    json!({
        "policy": policy.id,
        "version": policy.version,
        "stage": policy.terms.stage.mode.name(),
        "findings": tally.answered,
        "actions": tally.acted,
        "repeated": tally.repeated,
        "suppressed": tally.suppressed,
        "nothing": tally.nothing,
        "held": tally.held,
        "days": tally.days,
        "resources": tally.resources.len(),
        "principals": tally.principals.len(),
        "cap": cap,
        "peak": cap.map(|cap| tally.peak(cap.window.0)),
    })
}

fn as_text(policy: &Policy, tally: &Tally) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} {} ({})  {}",
        Shown(&policy.id),
        policy.version,
        policy.terms.stage.mode.name(),
        policy.action.name()
    );
    let _ = writeln!(
        out,
        "  findings {}  actions {}  on {} resources after {} principals  repeated {}",
        grouped(tally.answered),
        grouped(tally.acted),
        grouped(tally.resources.len() as u64),
        grouped(tally.principals.len() as u64),
        grouped(tally.repeated),
    );
    if let Some(cap) = policy.terms.limits.per_policy {
        let _ = writeln!(
            out,
            "  peak {} within {} of at most {}",
            tally.peak(cap.window.0),
            cap.window,
            cap.max
        );
    }
    for (words, counts) in [
        ("held", &tally.held),
        ("suppressed", &tally.suppressed),
        ("nothing", &tally.nothing),
    ] {
        for (why, count) in counts {
            let _ = writeln!(out, "  {words} {}: {}", grouped(*count), Shown(why));
        }
    }
    for (day, count) in &tally.days {
        let _ = writeln!(out, "  {day} {}", grouped(*count));
    }
    out.push('\n');
    out
}
