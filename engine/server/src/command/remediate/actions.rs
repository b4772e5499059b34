//! `tripline remediate actions`: what can be done.

use super::CommandError;
use crate::exit::Exit;
use clap::Args;
use serde_json::{Value, json};
use std::io::{self, Write};
use tripline_remediation::action::Action;

/// What can be done: the actions that policies may name.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// One action, with its parameters, the events that it answers, and what it asks and does.
    #[arg(value_name = "ACTION")]
    action: Option<String>,

    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let wanted: Vec<Action> = match &arguments.action {
        None => Action::all().to_vec(),
        Some(name) => {
            let one = Action::parse(name).ok_or_else(|| {
                CommandError::Usage(format!(
                    "there is no action `{name}`; `tripline remediate actions` lists them"
                ))
            })?;
            vec![one]
        }
    };
    let mut out = io::stdout().lock();
    if arguments.json {
        let all: Vec<Value> = wanted.iter().copied().map(described).collect();
        writeln!(
            out,
            "{}",
            serde_json::to_string_pretty(&all).unwrap_or_default()
        )?;
        return Ok(Exit::Success);
    }
    if arguments.action.is_some() {
        for one in wanted {
            write_one(one, &mut out)?;
        }
        return Ok(Exit::Success);
    }
    let width = wanted.iter().map(|one| one.name().len()).max().unwrap_or(0);
    for one in wanted {
        writeln!(out, "{:<width$}  {}", one.name(), one.about())?;
    }
    Ok(Exit::Success)
}

fn described(one: Action) -> Value {
    let parameters: Vec<Value> = one
        .parameters()
        .iter()
        .map(|parameter| json!({ "name": parameter.name, "required": parameter.is_required, "about": parameter.about }))
        .collect();
    json!({
        "action": one.name(),
        "about": one.about(),
        "resource": one.resource_kind(),
        "risk": one.risk(),
        "containment": one.is_containment(),
        "irreversible": one.is_irreversible(),
        "answers": one.triggers(),
        "makes": one.makes(),
        "operations": one.operations(),
        "parameters": parameters,
    })
}

fn write_one(one: Action, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}\n  {}\n", one.name(), one.about())?;
    let risk = json!(one.risk());
    writeln!(out, "  resource   {}", one.resource_kind())?;
    writeln!(out, "  risk       {}", risk.as_str().unwrap_or_default())?;
    let back = match one.is_irreversible() {
        true => "no",
        false => "yes",
    };
    writeln!(out, "  taken back {back}")?;
    let answers: Vec<&str> = one.triggers().iter().map(|(_, name)| *name).collect();
    let answers = match answers.is_empty() {
        true => "any event that a rule says is bad".to_owned(),
        false => answers.join(", "),
    };
    writeln!(out, "  answers    {answers}")?;
    writeln!(out, "  operations {}", one.operations().join(", "))?;
    writeln!(
        out,
        "\n  parameters, each read from the event unless a policy gives it:"
    )?;
    for parameter in one.parameters() {
        let needed = if parameter.is_required {
            ""
        } else {
            " (may be left out)"
        };
        writeln!(
            out,
            "    {:<20} {}{needed}",
            parameter.name, parameter.about
        )?;
    }
    Ok(())
}
