//! `tripline remediate learn`: what resources were like, from history.

use super::CommandError;
use super::gathering::gather;
use crate::exit::{Exit, after_help};
use crate::input::reader::{BatchReader, BufferPool, Portion};
use crate::input::resolve::{Input, resolve};
use crate::input::split::PieceKind;
use crate::remediation::learning;
use crate::rule_files::RuleArguments;
use crate::terminal::{ColorChoice, Shown, counted, grouped};
use clap::Args;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tripline_remediation::shadow::Shadow;

const EXAMPLES: &str = "\
Examples:
  tripline remediate learn --data tripline-data 'logs/**/*.json.gz'
  tripline remediate learn --data tripline-data --known described.jsonl";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "learnt"),
    (
        Exit::Fault,
        "wrong usage, an input that cannot be read to its end, or a service that runs with this folder",
    ),
];

/// Learn what resources were like from events of before, so that what was changed since can be put back as it was. The service
/// learns by itself from what it evaluates; this is for what was before it. It must not run meanwhile.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Files, folders or patterns.
    #[arg(value_name = "INPUT", required_unless_present = "known")]
    inputs: Vec<String>,

    /// The folder of the service's data.
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,

    #[command(flatten)]
    rules: RuleArguments,

    /// Policies: a file or a folder; may be given several times. Those that came with tripline without it. What they would answer
    /// is never taken for what was good.
    #[arg(long = "policies", value_name = "PATH", action = clap::ArgAction::Append)]
    policies: Vec<String>,

    /// JSON lines of what is known otherwise: {"arn", "aspect", "value", "time"}; may be given several times.
    #[arg(long, value_name = "FILE", action = clap::ArgAction::Append)]
    known: Vec<PathBuf>,
}

/// The longest event that says something: CloudTrail's longest, with room.
const EVENT_BYTES_MAX: usize = 1 << 20;

pub(super) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let folder = arguments.data.join("remediation");
    let wrong = |words: String| CommandError::Usage(words);
    if arguments.inputs.iter().any(|one| one == "-") {
        let words = "standard input can be read only once, and inputs are read twice; give files";
        return Err(wrong(words.to_owned()));
    }
    std::fs::create_dir_all(&folder)
        .map_err(|fault| wrong(format!("{}: {fault}", folder.display())))?;
    let _lock = lock(&folder.join("lock")).map_err(wrong)?;
    let mut shadow = Shadow::default();
    learning::read(&folder, &mut shadow).map_err(wrong)?;
    let mut learnt = 0;
    for path in &arguments.known {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|source| CommandError::Read {
            path: shown.to_string(),
            source,
        })?;
        learnt += shadow
            .import(&text)
            .map_err(|fault| wrong(format!("{shown}: {fault}")))? as u64;
    }
    let resolved = resolve(&arguments.inputs)?;
    let mut faults = resolved.faults.len();
    for (path, fault) in &resolved.faults {
        tell(&format!("{}: {fault}", Shown(&path.to_string())));
    }
    // First: a few bad changes that were taken in as if they were good would push out the last that was.
    let mut bad = BTreeSet::new();
    if !arguments.inputs.is_empty() {
        let policies = crate::remediation::policies::read(&arguments.policies)?.policies;
        let wanted = |finding: &tripline_core::wire::Finding| {
            let mut all = policies.policies.iter();
            all.any(|policy| policy.answers(&finding.rule_id, &finding.severity))
        };
        let (found, exit) = gather(&arguments.inputs, &arguments.rules, &wanted, color)?;
        faults += usize::from(exit != Exit::Success);
        bad.extend(found.into_iter().map(|(finding, _)| finding.event_id));
    }
    let pool = BufferPool::default();
    let (mut read, mut doubted) = (0, 0);
    for input in &resolved.inputs {
        let fault = learn(
            input,
            &pool,
            (&mut shadow, &bad),
            (&mut read, &mut learnt, &mut doubted),
        );
        if let Some(fault) = fault {
            faults += 1;
            tell(&format!("{}: {fault}", Shown(&input.name)));
        }
    }
    learning::keep(&folder, &shadow).map_err(|source| CommandError::Write {
        path: folder.display().to_string(),
        source,
    })?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} read, {} of them said what something is like, {} of which policies would answer; {} aspects of resources are known",
        counted(read, "event"),
        grouped(learnt),
        grouped(doubted),
        grouped(shadow.len() as u64),
    )?;
    Ok(match faults {
        0 => Exit::Success,
        _ => Exit::Fault,
    })
}

/// The lock that the service holds.
fn lock(path: &std::path::Path) -> Result<File, String> {
    let told = |fault: io::Error| format!("{}: {fault}", path.display());
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(told)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(format!(
            "{}: a service runs with this folder; stop it, or let it learn by itself",
            path.display()
        )),
        Err(std::fs::TryLockError::Error(fault)) => Err(told(fault)),
    }
}

/// Learns from an input. What ended it before its end.
fn learn(
    input: &Input,
    pool: &BufferPool,
    (shadow, bad): (&mut Shadow, &BTreeSet<String>),
    (read, learnt, doubted): (&mut u64, &mut u64, &mut u64),
) -> Option<String> {
    let count = Arc::new(AtomicU64::new(0));
    let mut reader = BatchReader::open(input, &count, pool, EVENT_BYTES_MAX);
    let fault = loop {
        let batch = match reader.read(pool) {
            Portion::Batch(batch) => batch,
            Portion::End(fault) => break fault.map(|fault| fault.to_string()),
        };
        for piece in &batch.pieces {
            match piece.kind {
                PieceKind::Record => {
                    *read += 1;
                    let record = &batch.buffer[piece.start..piece.end];
                    if learning::may_say(record)
                        && let Ok(event) = serde_json::from_slice::<Value>(record)
                    {
                        let id = event.get("eventID").and_then(Value::as_str);
                        let is_bad = id.is_some_and(|id| bad.contains(id));
                        if is_bad {
                            shadow.doubt(&event);
                        }
                        let says = u64::from(shadow.fold(&event));
                        *learnt += says;
                        *doubted += says * u64::from(is_bad);
                    }
                }
                PieceKind::Fault(fault) => {
                    tell(&format!("{}:{}: {fault}", Shown(&input.name), piece.line));
                }
            }
        }
        pool.put(batch.buffer);
    };
    reader.close(pool);
    fault
}

fn tell(words: &str) {
    // If standard error is closed, nobody wants to know.
    let _ = writeln!(io::stderr(), "{words}");
}
