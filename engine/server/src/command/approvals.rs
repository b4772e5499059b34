//! `tripline approvals`: what waits for people, and their votes.

use super::CommandError;
use super::remediate::show::{line, whole};
use super::service_client::{ServiceArguments, escaped};
use crate::exit::{Exit, after_help};
use crate::remediation::settings::write_private;
use crate::serve::sink::read_secret;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use tripline_remediation::plan::Plan;
use tripline_remediation::vote::{Decision, Vote};

const EXAMPLES: &str = "\
Examples:
  tripline approvals key alice.seed                the key pair of an approver
  tripline approvals list
  tripline approvals show 0123456789abcdef0123
  tripline approvals vote 0123456789abcdef0123 --approve --name alice --key-file alice.seed --reason 'not ours'";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "told, or the vote counts"),
    (
        Exit::Fault,
        "wrong usage, a vote that does not count, or a service that cannot be reached or refuses",
    ),
];

/// How long a vote counts: a quarter of an hour, in microseconds.
const COUNTS_FOR: i64 = 900_000_000;

/// See what waits for people, and vote on it.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    List(ListArguments),
    Show(ShowArguments),
    Vote(VoteArguments),
    Key(KeyArguments),
}

/// What waits for people.
#[derive(Args, Debug)]
struct ListArguments {
    /// The answer of the service as it is.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: ServiceArguments,
}

/// What would be done, what it changes, how it is taken back, and who did what it answers.
#[derive(Args, Debug)]
struct ShowArguments {
    /// The action.
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    service: ServiceArguments,
}

/// Vote on the plan as it is shown: the vote is signed, and counts for that plan alone.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("decision").required(true))]
struct VoteArguments {
    /// The action.
    #[arg(value_name = "ID")]
    id: String,

    /// It may be done.
    #[arg(long, group = "decision")]
    approve: bool,

    /// It must not be done.
    #[arg(long, group = "decision")]
    deny: bool,

    /// Your name in the file of approvers.
    #[arg(long, value_name = "NAME")]
    name: String,

    /// The file with your seed.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,

    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// The hash of the plan that you looked at. Without it the plan that waits now is shown, and voted on.
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,

    /// It is an emergency: with a key that is for emergencies, one vote is enough and caps do not hold.
    #[arg(long, requires = "approve")]
    break_glass: bool,

    #[command(flatten)]
    service: ServiceArguments,
}

/// Make the key pair of an approver: the seed goes into a file that only its owner may read, the public key is told.
#[derive(Args, Debug)]
struct KeyArguments {
    /// Where the seed goes; a file that is not there.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Does what was asked.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    match &arguments.command {
        Command::List(arguments) => list(arguments),
        Command::Show(arguments) => show(arguments),
        Command::Vote(arguments) => vote(arguments),
        Command::Key(arguments) => key(arguments),
    }
}

fn list(arguments: &ListArguments) -> Result<Exit, CommandError> {
    let client = arguments.service.client()?;
    let mut out = io::stdout().lock();
    let mut all = Vec::new();
    for state in ["awaiting_approval", "veto_window"] {
        let answer = client.get(&format!("/v1/remediation/actions?limit=1000&state={state}"))?;
        all.extend(answer["actions"].as_array().cloned().unwrap_or_default());
    }
    if arguments.json {
        let text = serde_json::to_string_pretty(&all).unwrap_or_default();
        writeln!(out, "{}", crate::terminal::printable_json(&text))?;
        return Ok(Exit::Success);
    }
    for one in &all {
        writeln!(out, "{}", line(one))?;
    }
    Ok(Exit::Success)
}

fn show(arguments: &ShowArguments) -> Result<Exit, CommandError> {
    let client = arguments.service.client()?;
    let answer = client.get(&format!(
        "/v1/remediation/actions/{}",
        escaped(&arguments.id)
    ))?;
    write!(io::stdout().lock(), "{}", whole(&answer))?;
    Ok(Exit::Success)
}

fn vote(arguments: &VoteArguments) -> Result<Exit, CommandError> {
    let usage = CommandError::Usage;
    let seed = read_secret(&arguments.key_file)
        .map_err(|words| usage(format!("{}: {words}", arguments.key_file.display())))?;
    let client = arguments.service.client()?;
    let plan_hash = match &arguments.plan_hash {
        Some(hash) => hash.clone(),
        None => {
            let answer: Value = client.get(&format!(
                "/v1/remediation/actions/{}",
                escaped(&arguments.id)
            ))?;
            let plan: Option<Plan> =
                serde_json::from_value(answer["record"]["plan"][0].clone()).ok();
            let plan =
                plan.ok_or_else(|| usage(format!("the action {} has no plan", arguments.id)))?;
            // What is signed is what is shown, and not what the service says it is.
            let hash = plan.hash();
            if answer["plan_hash"] != hash.as_str() {
                let words =
                    "the service shows another plan than the one whose hash it gives; do not vote";
                return Err(usage(words.to_owned()));
            }
            write!(io::stderr(), "{}", whole(&answer))?;
            hash
        }
    };
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|fault| usage(format!("no chance can be had: {fault}")))?;
    let vote = Vote {
        action: arguments.id.clone(),
        plan_hash,
        decision: match arguments.approve {
            true => Decision::Approve,
            false => Decision::Deny,
        },
        reason: arguments.reason.clone(),
        approver: arguments.name.clone(),
        nonce: tripline_remediation::plan::hex(&nonce),
        not_after: jiff::Timestamp::now().as_microsecond() + COUNTS_FOR,
        break_glass: arguments.break_glass,
    };
    let signed = vote.sign(&seed).map_err(|words| {
        usage(format!(
            "{}: no seed of an approver: {words}",
            arguments.key_file.display()
        ))
    })?;
    let answer = client.post(
        "/v1/remediation/votes",
        json!(signed).to_string().as_bytes(),
    )?;
    let state = answer["state"].as_str().unwrap_or_default();
    writeln!(
        io::stdout().lock(),
        "the vote counts; the action is {state}"
    )?;
    Ok(Exit::Success)
}

fn key(arguments: &KeyArguments) -> Result<Exit, CommandError> {
    let pair = nkeys::KeyPair::new_user();
    let path = arguments.file.display();
    let wrong = |words: String| CommandError::Usage(format!("{path}: {words}"));
    let seed = pair.seed().map_err(|fault| wrong(fault.to_string()))?;
    write_private(&arguments.file, &format!("{seed}\n")).map_err(wrong)?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "# The seed is in {path}; keep it. For the file of approvers:"
    )?;
    writeln!(
        out,
        "[[approver]]\nname = \"\"\nkey = \"{}\"\ngroups = []\nprincipals = []",
        pair.public_key()
    )?;
    Ok(Exit::Success)
}
