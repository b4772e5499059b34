//! What a running service has done and waits for, and words to it.

use super::{CommandError, Service};
use crate::command::service_client::escaped;
use crate::exit::Exit;
use crate::terminal::Shown;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::io::{self, Write};

/// What policies are in force, what they did, what is switched off.
#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    /// Everything, as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

/// Actions of a running service, the newest first.
#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Only in this state, as awaiting_approval or succeeded.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    /// Only of this policy.
    #[arg(long, value_name = "ID")]
    policy: Option<String>,

    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,

    /// The answer of the service as it is.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

/// One action: its plan, what each step came to, and why.
#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// The action.
    #[arg(value_name = "ID")]
    id: String,

    /// All that is known of it, as JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

#[derive(Args, Debug)]
pub(crate) struct SayArguments {
    /// The action.
    #[arg(value_name = "ID")]
    id: String,

    /// Who says so.
    #[arg(long, value_name = "NAME")]
    by: String,

    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,

    #[command(flatten)]
    service: Service,
}

/// Say what became of a request of which nothing tells.
#[derive(Args, Debug)]
pub(crate) struct ResolveArguments {
    /// The action.
    #[arg(value_name = "ID")]
    id: String,

    /// What became of it.
    #[arg(value_enum, value_name = "OUTCOME")]
    outcome: Outcome,

    /// Who says so.
    #[arg(long, value_name = "NAME")]
    by: String,

    #[command(flatten)]
    service: Service,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Outcome {
    /// It was done: go on after it.
    Done,
    /// It was not done: send it again.
    Again,
    /// Leave it all as it is.
    GiveUp,
}

#[derive(Args, Debug)]
pub(crate) struct SwitchArguments {
    /// A policy; everything without this and --account.
    #[arg(long, value_name = "ID", conflicts_with = "account")]
    policy: Option<String>,

    /// An account.
    #[arg(long, value_name = "ID")]
    account: Option<String>,

    /// Who says so.
    #[arg(long, value_name = "NAME")]
    by: String,

    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,

    #[command(flatten)]
    service: Service,
}

fn pretty(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    crate::terminal::printable_json(&text).to_string()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub(super) fn status(arguments: &StatusArguments) -> Result<Exit, CommandError> {
    let answer = arguments.service.client()?.get("/v1/remediation")?;
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", pretty(&answer))?;
        return Ok(Exit::Success);
    }
    let members = &answer["members"];
    if let Some(why) = members["paused"].as_str() {
        writeln!(out, "PAUSED  {}", Shown(why))?;
    }
    if let Some(actor) = members["actor"].as_str() {
        let epoch = members["epoch"].as_u64().unwrap_or(0);
        let here = if members["acts"] == true {
            ", which was asked"
        } else {
            ""
        };
        writeln!(out, "{} acts, the {epoch}. to do so{here}", Shown(actor))?;
    }
    for one in answer["off"].as_array().into_iter().flatten() {
        writeln!(
            out,
            "OFF  {}  {}",
            Shown(&one["scope"].to_string()),
            Shown(text(one, "reason"))
        )?;
    }
    for (state, count) in answer["states"].as_object().into_iter().flatten() {
        writeln!(out, "{state:<18} {count}")?;
    }
    writeln!(
        out,
        "\n{:<32} {:<10} {:>9} {:>7} {:>10} {:>7} {:>9}",
        "policy", "stage", "proposed", "began", "succeeded", "failed", "reverted"
    )?;
    for one in answer["policies"].as_array().into_iter().flatten() {
        let count = |key: &str| one["done"][key].as_u64().unwrap_or(0);
        writeln!(
            out,
            "{:<32} {:<10} {:>9} {:>7} {:>10} {:>7} {:>9}",
            Shown(text(one, "id")).to_string(),
            text(one, "stage"),
            count("proposed"),
            count("began"),
            count("succeeded"),
            count("failed"),
            count("reverted"),
        )?;
    }
    Ok(Exit::Success)
}

pub(super) fn list(arguments: &ListArguments) -> Result<Exit, CommandError> {
    let mut path = format!("/v1/remediation/actions?limit={}", arguments.limit);
    for (name, value) in [("state", &arguments.state), ("policy", &arguments.policy)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    let answer = arguments.service.client()?.get(&path)?;
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", pretty(&answer))?;
        return Ok(Exit::Success);
    }
    for one in answer["actions"].as_array().into_iter().flatten() {
        writeln!(out, "{}", line(one))?;
    }
    Ok(Exit::Success)
}

/// An action on one line.
pub(crate) fn line(one: &Value) -> String {
    let what = match text(one, "summary") {
        "" => text(one, "action"),
        summary => summary,
    };
    let reason = match text(one, "reason") {
        "" => String::new(),
        reason => format!("  ({})", Shown(reason)),
    };
    format!(
        "{}  {}  {:<17}  {}  {}{reason}",
        Shown(text(one, "id")),
        Shown(text(one, "proposed")),
        text(one, "state"),
        Shown(text(one, "policy")),
        Shown(what),
    )
}

pub(super) fn show(arguments: &ShowArguments) -> Result<Exit, CommandError> {
    let path = format!("/v1/remediation/actions/{}", escaped(&arguments.id));
    let answer = arguments.service.client()?.get(&path)?;
    let mut out = io::stdout().lock();
    match arguments.json {
        true => writeln!(out, "{}", pretty(&answer))?,
        false => write!(out, "{}", whole(&answer))?,
    }
    Ok(Exit::Success)
}

/// An action as a person reads it before agreeing to it.
pub(crate) fn whole(answer: &Value) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let _ = writeln!(out, "{}", line(answer));
    let record = &answer["record"];
    let proposal = &record["proposal"];
    let origin = &proposal["origin"];
    let actors: Vec<&str> = origin["actors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let _ = writeln!(
        out,
        "  answers   {} ({}) by {}",
        Shown(text(origin, "event_name")),
        Shown(text(origin, "rule")),
        Shown(&actors.join(", "))
    );
    let _ = writeln!(out, "  resource  {}", Shown(text(answer, "resource")));
    let ingest = &proposal["event"]["ingest"];
    if ingest.is_object() {
        let _ = writeln!(
            out,
            "  came by   channel {}, sender {}, {}",
            Shown(text(ingest, "channel")),
            Shown(text(ingest, "sender")),
            Shown(text(ingest, "verified")),
        );
    }
    let _ = writeln!(out, "  runbook   {}", Shown(text(proposal, "runbook")));
    let plan = &record["plan"][0];
    if plan.is_object() {
        out.push_str(&plan_text(plan));
        let _ = writeln!(out, "  plan hash {}", text(answer, "plan_hash"));
    }
    for (name, key) in [("steps", "run"), ("taking it back", "back")] {
        let run = &record[key];
        let steps = run["steps"].as_array().into_iter().flatten();
        let steps: Vec<_> = steps
            .zip(run["progress"].as_array().into_iter().flatten())
            .collect();
        if steps.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  {name}");
        for (step, progress) in steps {
            let word = match progress {
                Value::String(word) => word.clone(),
                Value::Object(members) => members.keys().next().cloned().unwrap_or_default(),
                _ => String::new(),
            };
            let _ = writeln!(out, "    {word:<8} {}", Shown(text(step, "summary")));
        }
    }
    for vote in record["votes"].as_array().into_iter().flatten() {
        let vote = &vote["vote"];
        let _ = writeln!(
            out,
            "  {}   {}: {}",
            text(vote, "decision"),
            Shown(text(vote, "approver")),
            Shown(text(vote, "reason"))
        );
    }
    out
}

/// A plan as a person reads it.
pub(crate) fn plan_text(plan: &Value) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "  plan      {} (risk {})",
        Shown(text(plan, "summary")),
        text(plan, "risk")
    );
    for change in plan["diff"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "    {}", Shown(text(change, "field")));
        let _ = writeln!(out, "      - {}", Shown(&shown_value(&change["before"])));
        let _ = writeln!(out, "      + {}", Shown(&shown_value(&change["after"])));
    }
    for (number, step) in plan["steps"].as_array().into_iter().flatten().enumerate() {
        let _ = writeln!(
            out,
            "    {}. {}  [{}, {}]",
            number + 1,
            Shown(text(step, "summary")),
            text(&step["call"], "operation"),
            text(step, "class")
        );
        for inverse in step["inverse"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "       back: {}", Shown(text(inverse, "summary")));
        }
    }
    out
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn say(arguments: &SayArguments, what: &str) -> Result<Exit, CommandError> {
    let path = format!("/v1/remediation/actions/{}/{what}", escaped(&arguments.id));
    let body = json!({ "by": arguments.by, "reason": arguments.reason }).to_string();
    let answer = arguments.service.client()?.post(&path, body.as_bytes())?;
    writeln!(io::stdout().lock(), "{}", line(&answer))?;
    Ok(Exit::Success)
}

pub(super) fn resolve(arguments: &ResolveArguments) -> Result<Exit, CommandError> {
    let path = format!("/v1/remediation/actions/{}/resolve", escaped(&arguments.id));
    let outcome = match arguments.outcome {
        Outcome::Done => "done",
        Outcome::Again => "again",
        Outcome::GiveUp => "give_up",
    };
    let body = json!({ "by": arguments.by, "resolution": outcome }).to_string();
    let answer = arguments.service.client()?.post(&path, body.as_bytes())?;
    writeln!(io::stdout().lock(), "{}", line(&answer))?;
    Ok(Exit::Success)
}

pub(super) fn switch(arguments: &SwitchArguments, is_off: bool) -> Result<Exit, CommandError> {
    let scope = match (&arguments.policy, &arguments.account) {
        (Some(policy), _) => json!({ "policy": policy }),
        (None, Some(account)) => json!({ "account": account }),
        (None, None) => json!("all"),
    };
    let body =
        json!({ "scope": scope, "off": is_off, "by": arguments.by, "reason": arguments.reason });
    let answer = arguments
        .service
        .client()?
        .post("/v1/remediation/switch", body.to_string().as_bytes())?;
    let off = answer["off"].as_array().map_or(0, Vec::len);
    let mut out = io::stdout().lock();
    match off {
        0 => writeln!(out, "nothing is switched off")?,
        _ => {
            for one in answer["off"].as_array().into_iter().flatten() {
                writeln!(
                    out,
                    "OFF  {}  {}",
                    Shown(&one["scope"].to_string()),
                    Shown(text(one, "reason"))
                )?;
            }
        }
    }
    Ok(Exit::Success)
}
