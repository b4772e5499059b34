//! `tripline plugin test`: the cases of a project through the real host, and checks that need no case.

use super::author;
use super::nonsense;
use super::vectors::{self, Case, Input, Vectors};
use crate::command::CommandError;
use crate::exit::Exit;
use crate::plugins::{Hosted, RowAnswer};
use crate::remediation::planners::draft_json;
use crate::terminal::{ColorChoice, Shown};
use clap::Args;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use tripline_host::grant::events::Value as Argument;
use tripline_host::manifest::World;
use tripline_host::proposal::Proposal;
use tripline_host::{ExecuteMode, Fault};

/// Run the test vectors of a plugin, with the limits and grants that it would run with.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The project: the folder of its plugin.toml, with `tests/` in it.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Runs the cases, and ends with `Findings` when one fails.
pub(super) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let component = author::component(&arguments.folder)?;
    author::check_project(&arguments.folder, &component)?;
    let files = vectors::read(&arguments.folder)?;
    let palette = color.palette(&io::stdout());
    let (mut passed, mut failed) = (0_u64, 0_u64);
    let mut out = String::new();
    for file in &files {
        let hosted = author::hosted(&component, &file.given, &arguments.folder, None)?;
        let results = file.cases.iter().map(|case| {
            let wrong = judge(&hosted, case);
            (case.name.as_str(), Some(case.line), wrong)
        });
        let mut results: Vec<(&str, Option<usize>, Vec<String>)> = results.collect();
        let free = free_checks(&hosted, file).into_iter();
        results.extend(free.map(|(name, wrong)| (name, None, wrong)));
        for (name, line, wrong) in results {
            if wrong.is_empty() {
                passed += 1;
                continue;
            }
            failed += 1;
            let mut place = file.path.display().to_string();
            if let Some(line) = line {
                let _ = write!(place, ":{line}");
            }
            let _ = writeln!(
                out,
                "{}FAILED{} {}: {}",
                palette.error,
                palette.reset,
                Shown(&place),
                Shown(name)
            );
            for line in wrong {
                let _ = writeln!(out, "  {}", Shown(&line));
            }
        }
    }
    let _ = writeln!(out, "{passed} passed, {failed} failed");
    io::stdout().write_all(out.as_bytes())?;
    let good = failed == 0 && passed > 0;
    Ok(if good { Exit::Success } else { Exit::Findings })
}

/// What is wrong with what came out of a case.
fn judge(hosted: &Hosted, case: &Case) -> Vec<String> {
    let got = match &case.input {
        Input::Event(event) => event_answer(hosted, event),
        Input::Chunk(chunk) => chunk_answer(hosted, chunk.as_bytes()),
        Input::Subject(subject, answers) => subject_answer(hosted, subject, answers),
        Input::Finding(finding) => finding_answer(hosted, finding),
    };
    let mut wrong = Vec::new();
    if let Some(fault) = got.get("fault")
        && !case.wanted.iter().any(|(key, _)| key == "fault")
    {
        wrong.push(format!("it failed: {}", fault.as_str().unwrap_or_default()));
        return wrong;
    }
    for (key, wanted) in &case.wanted {
        match got.get(key.as_str()) {
            Some(is) if agrees(key, wanted, is) => {}
            Some(is) => wrong.push(format!("{key}: wanted {wanted}, got {is}")),
            None => wrong.push(missing(key, wanted, &got, hosted.plugin.manifest().world)),
        }
    }
    if let Some(parts) = got.get("passed_over").filter(|_| !wrong.is_empty()) {
        let parts = parts.as_array().into_iter().flatten();
        wrong.extend(parts.map(|part| format!("passed over: {part}")));
    }
    wrong
}

/// What to say of an outcome that did not come.
fn missing(key: &str, wanted: &Value, got: &Map<String, Value>, world: World) -> String {
    let gives = given_by(world);
    if !gives.contains(&key) {
        let gives = gives.join("`, `");
        return format!("wanted `{key}`, but a plugin of this kind gives `{gives}`");
    }
    let got: Vec<String> = got
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let got = got.join(", ");
    match key {
        "fault" => format!("fault: wanted {wanted}, but it did not fail; it gave {got}"),
        _ => format!("{key}: wanted {wanted}, but it gave {got}"),
    }
}

/// The outcomes of a world, by the words of cases.
fn given_by(world: World) -> &'static [&'static str] {
    match world {
        World::Enricher => &["columns", "fault"],
        World::Detector | World::StatefulDetector => &["hit", "fault"],
        World::Scorer => &["score", "fault"],
        World::Policy => &["decision", "fault"],
        World::Decoder => &["events", "bad", "fault"],
        World::Planner => &["plan", "nothing", "fault"],
        World::Remediator => &["steps", "dry_run", "fault"],
    }
}

/// Columns have to be all there are; of hits and decisions, what is named is compared.
fn agrees(key: &str, wanted: &Value, is: &Value) -> bool {
    match (key, wanted, is) {
        ("hit", Value::Bool(true), found) => found.is_object(),
        // No opinion, which TOML has no other word for.
        ("score", Value::Bool(false), found) => found.is_null(),
        // Rules write the same words with an underscore.
        ("decision", Value::String(effect), found) => found["effect"] == effect.replace('_', "-"),
        ("columns", Value::Object(wanted), Value::Object(is)) => {
            let given = is.iter().filter(|(_, value)| !value.is_null());
            let all: Map<String, Value> = given
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            same(&Value::Object(wanted.clone()), &Value::Object(all))
        }
        ("fault" | "nothing", Value::String(wanted), Value::String(is)) => {
            is.contains(wanted.as_str())
        }
        // Steps in their order, and of each what is named.
        ("plan" | "steps" | "dry_run", wanted, is) => is_within(wanted, is),
        (_, Value::Object(wanted), Value::Object(is)) => wanted
            .iter()
            .all(|(name, value)| is.get(name).is_some_and(|found| agrees("", value, found))),
        _ => same(wanted, is),
    }
}

/// Numbers are the same when they are about the same.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64(), right.as_f64());
            left.zip(right)
                .is_some_and(|(left, right)| (left - right).abs() <= 1e-9 * left.abs().max(1.0))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, value)| right.get(name).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

/// What a plugin says of one event, by the word that cases use.
pub(super) fn event_answer(hosted: &Hosted, event: &str) -> Map<String, Value> {
    let fault = |reason: String| Map::from_iter([("fault".to_owned(), json!(reason))]);
    if hosted.plugin.manifest().world == World::Policy {
        return match hosted.decide(&[event.as_bytes()]) {
            Ok(decision) => Map::from_iter([("decision".to_owned(), decision)]),
            Err(reason) => fault(reason),
        };
    }
    match hosted.ask_events(&[event.as_bytes()]) {
        Err(reason) => fault(reason),
        Ok(mut answers) => match answers.pop() {
            Some(RowAnswer::Facts(facts)) => match facts.get("score") {
                Some(score) if hosted.plugin.manifest().world == World::Scorer => {
                    Map::from_iter([("score".to_owned(), score.clone())])
                }
                _ => Map::from_iter([("columns".to_owned(), Value::Object(facts))]),
            },
            Some(RowAnswer::Decision(decision)) => {
                Map::from_iter([("decision".to_owned(), Value::Object(decision))])
            }
            Some(RowAnswer::Hit(hit)) => Map::from_iter([("hit".to_owned(), Value::Object(hit))]),
            Some(RowAnswer::Nothing) => Map::from_iter([("hit".to_owned(), json!(false))]),
            Some(RowAnswer::Failed(reason)) => fault(reason),
            None => fault("no answer came".to_owned()),
        },
    }
}

/// What a decoder makes of a chunk that is a whole input. What it passed over is told with where in the chunk that begins.
pub(super) fn chunk_answer(hosted: &Hosted, chunk: &[u8]) -> Map<String, Value> {
    match hosted.plugin.decode(chunk, &[], true) {
        Err(fault) => Map::from_iter([("fault".to_owned(), json!(fault.to_string()))]),
        Ok(decoded) => {
            let lines = decoded.events.split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.is_empty());
            let events: Vec<Value> = lines
                .map(|line| serde_json::from_slice(line).unwrap_or(Value::Null))
                .collect();
            let passed_over: Vec<Value> = decoded
                .bad
                .iter()
                .map(|bad| json!({"offset": bad.offset, "message": bad.message}))
                .collect();
            Map::from_iter([
                ("events".to_owned(), json!(events)),
                ("bad".to_owned(), json!(decoded.bad.len())),
                ("passed_over".to_owned(), json!(passed_over)),
            ])
        }
    }
}

/// The steps of a remediator, and what it says that each would do. Nothing is done: a test is not to change anything.
pub(super) fn finding_answer(hosted: &Hosted, finding: &str) -> Map<String, Value> {
    let fault = |fault: Fault| Map::from_iter([("fault".to_owned(), json!(fault.to_string()))]);
    let steps = match hosted.plugin.plan(finding) {
        Ok(steps) => steps,
        Err(why) => return fault(why),
    };
    let told = steps.iter().map(|step| {
        let outcome = hosted
            .plugin
            .execute(step, "dry-run", ExecuteMode::DryRun)?;
        Ok(json!({"changed": outcome.changed, "message": outcome.message}))
    });
    let told: Vec<Value> = match told.collect::<Result<_, Fault>>() {
        Ok(told) => told,
        Err(why) => return fault(why),
    };
    let steps = steps.iter().map(|step| {
        let arguments = step.arguments.iter();
        let arguments: Map<String, Value> = arguments
            .map(|(name, value)| (name.clone(), argument(value)))
            .collect();
        json!({
            "id": step.id,
            "summary": step.summary,
            "reversible": step.reversible,
            "arguments": arguments,
        })
    });
    let steps: Vec<Value> = steps.collect();
    Map::from_iter([
        ("steps".to_owned(), json!(steps)),
        ("dry_run".to_owned(), json!(told)),
    ])
}

fn argument(value: &Argument) -> Value {
    match value {
        Argument::Null => Value::Null,
        Argument::Boolean(value) => json!(value),
        Argument::Int(value) => json!(value),
        Argument::Float(value) => json!(value),
        Argument::Text(value) => json!(value),
        Argument::Bytes(bytes) => json!(String::from_utf8_lossy(bytes)),
    }
}

/// Whether what is wanted is there: of objects what is named, of lists every element.
fn is_within(wanted: &Value, is: &Value) -> bool {
    match (wanted, is) {
        (Value::Object(wanted), Value::Object(is)) => wanted
            .iter()
            .all(|(name, wanted)| is.get(name).is_some_and(|is| is_within(wanted, is))),
        (Value::Array(wanted), Value::Array(is)) => {
            let mut pairs = wanted.iter().zip(is);
            wanted.len() == is.len() && pairs.all(|(wanted, is)| is_within(wanted, is))
        }
        _ => same(wanted, is),
    }
}

/// What a planner proposes, with services that always answer so.
pub(super) fn subject_answer(
    hosted: &Hosted,
    subject: &str,
    answers: &[(String, Value)],
) -> Map<String, Value> {
    let mut answering = |operation: &str, _: &str| {
        let known = answers.iter().find(|(name, _)| name == operation);
        let answer = known.map(|(_, answer)| answer.to_string());
        answer.ok_or_else(|| format!("the case has no answer of {operation}"))
    };
    let (key, value) = match hosted.plugin.propose(subject, &mut answering) {
        Err(fault) => ("fault", json!(fault.to_string())),
        Ok(Proposal::Nothing(why)) => ("nothing", json!(why)),
        Ok(Proposal::Draft(draft)) => ("plan", draft_json(*draft)),
    };
    Map::from_iter([(key.to_owned(), value)])
}

/// Checks that hold of every planner: the same question has the same answer, and nothing that it is told makes it trap.
fn planner_checks(hosted: &Hosted, file: &Vectors) -> Vec<(&'static str, Vec<String>)> {
    let (mut differ, mut traps) = (Vec::new(), Vec::new());
    for case in &file.cases {
        let Input::Subject(subject, answers) = &case.input else {
            continue;
        };
        let first = subject_answer(hosted, subject, answers);
        if first != subject_answer(hosted, subject, answers) {
            differ.push(format!("{}: asked twice, it answers otherwise", case.name));
        }
        let odd = [
            json!({}),
            json!({"done": []}),
            json!({"refused": {}}),
            json!(7),
        ];
        for odd in odd {
            let answers: Vec<(String, Value)> = answers
                .iter()
                .map(|(name, _)| (name.clone(), odd.clone()))
                .collect();
            traps.extend(trapped(hosted, subject, &answers, &case.name));
        }
    }
    for subject in ["", "[]", "{}", "{\"resource\": 7, \"parameters\": []}"] {
        traps.extend(trapped(hosted, subject, &[], "nonsense"));
    }
    vec![
        ("(the same question has the same answer)", differ),
        ("(nonsense is a fault and no trap)", traps),
    ]
}

/// How a planner failed, if that was worse than saying so.
fn trapped(
    hosted: &Hosted,
    subject: &str,
    answers: &[(String, Value)],
    name: &str,
) -> Option<String> {
    let mut answering = |operation: &str, _: &str| {
        let known = answers.iter().find(|(name, _)| name == operation);
        known
            .map(|(_, answer)| answer.to_string())
            .ok_or_else(String::new)
    };
    match hosted.plugin.propose(subject, &mut answering) {
        Ok(_) | Err(Fault::Guest(_)) => None,
        Err(fault) => Some(format!("{name}: {fault}")),
    }
}

/// Checks that hold of every decoder: how an input is cut makes no difference, and no bytes are a trap.
fn decoder_checks(hosted: &Hosted, file: &Vectors) -> Vec<(&'static str, Vec<String>)> {
    let (mut differ, mut traps) = (Vec::new(), Vec::new());
    for case in &file.cases {
        let Input::Chunk(chunk) = &case.input else {
            continue;
        };
        let whole = hosted.plugin.decode(chunk.as_bytes(), &[], true);
        let whole = whole.map(|decoded| decoded.events);
        match (whole, decoded_in_parts(hosted, chunk.as_bytes())) {
            (Ok(whole), Ok(parts)) if lines_of(&whole) == lines_of(&parts) => {}
            (Err(_), _) => {}
            (Ok(_), Ok(_)) => differ.push(format!("{}: other events come of it", case.name)),
            (Ok(_), Err(why)) => differ.push(format!("{}: {why}", case.name)),
        }
    }
    let deep = [b"[".repeat(NONSENSE_BYTES), b"{".repeat(NONSENSE_BYTES)];
    let other = [b"\xff\xfe\0".to_vec(), vec![b'"'; NONSENSE_BYTES]];
    for nonsense in deep.iter().chain(&other) {
        match hosted.plugin.decode(nonsense, &[], true) {
            Ok(_) | Err(Fault::Guest(_)) => {}
            Err(fault) => {
                let first = String::from_utf8_lossy(&nonsense[..1]);
                traps.push(format!(
                    "{} bytes from `{first}` on: {fault}",
                    nonsense.len()
                ));
            }
        }
    }
    vec![
        ("(chunks of 7 bytes make no difference)", differ),
        ("(nonsense is no trap)", traps),
    ]
}

/// Bytes of nonsense that a decoder is given.
const NONSENSE_BYTES: usize = 10_000;

fn lines_of(events: &[u8]) -> Vec<&[u8]> {
    let lines = events.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.is_empty()).collect()
}

/// What comes of an input that arrives 7 bytes at a time.
fn decoded_in_parts(hosted: &Hosted, input: &[u8]) -> Result<Vec<u8>, String> {
    let (mut events, mut state, mut held) = (Vec::new(), Vec::new(), Vec::new());
    let mut parts = input.chunks(7).peekable();
    loop {
        held.extend_from_slice(parts.next().unwrap_or_default());
        let last = parts.peek().is_none();
        let decoded = hosted.plugin.decode(&held, &state, last);
        let decoded = decoded.map_err(|fault| fault.to_string())?;
        held.drain(..decoded.consumed as usize);
        events.extend(decoded.events);
        events.push(b'\n');
        state = decoded.state;
        if last {
            return Ok(events);
        }
    }
}

/// Checks that hold of every remediator: a plan that somebody agreed to is the plan that is carried out, and findings that
/// are nonsense are no trap.
fn remediator_checks(hosted: &Hosted, file: &Vectors) -> Vec<(&'static str, Vec<String>)> {
    let findings = file.cases.iter().filter_map(|case| match &case.input {
        Input::Finding(finding) => Some((case, finding)),
        _ => None,
    });
    let differ = findings.filter_map(|(case, finding)| {
        let (first, again) = (
            finding_answer(hosted, finding),
            finding_answer(hosted, finding),
        );
        (first != again).then(|| format!("{}: asked twice, it answers otherwise", case.name))
    });
    let differ = differ.collect();
    let odd = ["", "[]", "{}", "{\"evidence\": 7}"];
    let traps = odd
        .into_iter()
        .filter_map(|finding| match hosted.plugin.plan(finding) {
            Ok(_) | Err(Fault::Guest(_)) => None,
            Err(fault) => Some(format!("`{finding}`: {fault}")),
        });
    vec![
        ("(the same finding has the same steps)", differ),
        ("(nonsense is a fault and no trap)", traps.collect()),
    ]
}

/// Checks that hold of every plugin that looks at events one by one.
fn free_checks(hosted: &Hosted, file: &Vectors) -> Vec<(&'static str, Vec<String>)> {
    let world = hosted.plugin.manifest().world;
    if world == World::Planner {
        return planner_checks(hosted, file);
    }
    if world == World::Decoder {
        return decoder_checks(hosted, file);
    }
    if world == World::Remediator {
        return remediator_checks(hosted, file);
    }
    if !matches!(
        world,
        World::Enricher | World::Detector | World::Scorer | World::Policy
    ) {
        return Vec::new();
    }
    let events = file.cases.iter().filter_map(|case| match &case.input {
        Input::Event(event) => Some(event.as_bytes()),
        Input::Chunk(_) | Input::Subject(..) | Input::Finding(_) => None,
    });
    let rows_max = hosted.plugin.limits().batch as usize;
    let events: Vec<&[u8]> = events.take(rows_max).collect();
    let together = hosted.ask_events(&events);
    let alone: Result<Vec<RowAnswer>, String> = events
        .iter()
        .map(|event| {
            let mut answers = hosted.ask_events(&[event])?;
            answers.pop().ok_or_else(|| "no answer came".to_owned())
        })
        .collect();
    let reversed: Vec<&[u8]> = events.iter().rev().copied().collect();
    let backwards = hosted.ask_events(&reversed).map(|mut answers| {
        answers.reverse();
        answers
    });
    let differ = |other: &Result<Vec<RowAnswer>, String>, how: &str| match (&together, other) {
        (Ok(left), Ok(right)) => {
            let pairs = left.iter().zip(right).enumerate();
            let differing = pairs.filter(|(_, (left, right))| left != right);
            let told = differing.map(|(row, (left, right))| {
                let row = row + 1;
                format!("event {row} of the file: together {left:?}, {how} {right:?}")
            });
            told.collect()
        }
        (Err(fault), _) | (_, Err(fault)) => vec![fault.clone()],
    };
    let fails = |events: &[&[u8]]| match hosted.ask_events(events) {
        Ok(answers) => {
            let failed = answers.iter().find_map(|answer| match answer {
                RowAnswer::Failed(reason) => Some(reason.clone()),
                _ => None,
            });
            failed.into_iter().collect()
        }
        Err(fault) => vec![fault],
    };
    vec![
        (
            "(each event by itself is as all together)",
            differ(&alone, "alone"),
        ),
        (
            "(the order of events makes no difference)",
            differ(&backwards, "the other way round"),
        ),
        ("(an empty batch is no trouble)", fails(&[])),
        (
            "(an event without any field is no trouble)",
            fails(&[b"{}".as_slice()]),
        ),
        (
            "(columns full of nonsense are no trap)",
            nonsense::troubles(hosted),
        ),
    ]
}
