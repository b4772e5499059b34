//! `tripline plugin bench`: what a plugin costs an event, and how much of that is its own.
//!
//! Beside each call, the same call of a plugin of the same world that answers nothing: what it costs is the price of the
//! crossing, which no author can make smaller. Both ways of having instances are measured, whichever the manifest says,
//! since that is what an author chooses by.

use super::author;
use super::build::Project;
use super::new::WIT;
use super::vectors::{self, Input, Vectors};
use crate::command::CommandError;
use crate::exit::Exit;
use crate::plugins::{Hosted, kept};
use crate::terminal::grouped;
use clap::Args;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tripline_host::grant::events::EventRows;
use tripline_host::manifest::{InstanceMode, World};
use tripline_host::{Batch, Fault};

/// Measure what a plugin costs an event, beside one that answers nothing.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The project: the events of its tests, or what else its cases give, are what is measured.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,

    /// Milliseconds to measure each line.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    time: u64,
}

/// Sizes of batches that are measured.
const SIZES: [usize; 5] = [0, 1, 16, 64, 256];
/// Bytes that a decoder is given at least, made of the chunk of its tests again and again.
const CHUNKS: [usize; 4] = [1, 4 << 10, 64 << 10, 512 << 10];
/// Samples of which the median is told.
const SAMPLES: u32 = 11;

/// A call that is measured.
struct Measured {
    label: String,
    /// What the time is divided by: rows, or events that a decoder makes.
    events: usize,
    call: Work,
}

enum Work {
    Batch {
        bytes: Vec<u8>,
        rows: usize,
        events: Arc<dyn EventRows>,
    },
    Chunk(Vec<u8>),
    Subject(String, Vec<(String, serde_json::Value)>),
    Finding(String),
}

impl Work {
    fn run(&self, hosted: &Hosted) -> Result<(), String> {
        let wrong = |fault: Fault| fault.to_string();
        match self {
            Self::Batch { .. } => self.batch().map_or(Ok(()), |batch| hosted.call(&batch)),
            Self::Chunk(chunk) => {
                let made = hosted.plugin.decode(chunk, &[], true);
                made.map(drop).map_err(wrong)
            }
            Self::Subject(subject, answers) => {
                let mut answering = |operation: &str, _: &str| {
                    let known = answers.iter().find(|(name, _)| name == operation);
                    known
                        .map(|(_, answer)| answer.to_string())
                        .ok_or_else(|| format!("the case has no answer of {operation}"))
                };
                let made = hosted.plugin.propose(subject, &mut answering);
                made.map(drop).map_err(wrong)
            }
            Self::Finding(finding) => hosted.plugin.plan(finding).map(drop).map_err(wrong),
        }
    }

    fn batch(&self) -> Option<Batch<'_>> {
        match self {
            Self::Batch {
                bytes,
                rows,
                events,
            } => Some(Batch {
                bytes,
                rows: *rows,
                events: Some(events.clone()),
                until: None,
            }),
            _ => None,
        }
    }
}

/// Measures.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let folder = &arguments.folder;
    let component = author::component(folder)?;
    author::check_project(folder, &component)?;
    let files = vectors::read(folder)?;
    let Some(file) = files.first() else {
        let words = "there are no tests whose events could be measured".to_owned();
        return Err(CommandError::Usage(words));
    };
    let empty = empty(folder)?;
    let first = author::hosted(&component, &file.given, folder, None)?;
    let world = first.plugin.manifest().world;
    let own = first.plugin.manifest().instance;
    let all = measured(&first, file)?;
    drop(first);
    let time = Duration::from_millis(arguments.time) / 4;
    let mut out = String::new();
    for mode in modes(world, own) {
        let bench = Bench {
            hosted: author::hosted(&component, &file.given, folder, Some(mode))?,
            empty: author::hosted(&empty, &file.given, folder, Some(mode))?,
            counted: author::counted(&component, &file.given, folder, mode)?,
            time,
        };
        let _ = writeln!(out, "{}", heading(mode, mode == own));
        bench.table(world, &all, &mut out)?;
    }
    let _ = writeln!(
        out,
        "medians of {SAMPLES} samples, by the clock, without packing\n\
         empty: the same call of a plugin of the same world that answers nothing, with the same instances\n\
         {}instructions: of WebAssembly, those of making a fresh instance included; the same on every machine",
        match world.reads_batches() {
            true => "natively: reading every field of every row once, and nothing else\n",
            false => "",
        }
    );
    io::stdout().write_all(out.as_bytes())?;
    Ok(Exit::Success)
}

/// The ways of having instances, first that of the manifest; only one where the host leaves no choice.
fn modes(world: World, own: InstanceMode) -> Vec<InstanceMode> {
    let other = match own {
        InstanceMode::PerBatch => InstanceMode::Reused,
        InstanceMode::Reused => InstanceMode::PerBatch,
    };
    match world {
        World::Planner | World::StatefulDetector => vec![own],
        _ => vec![own, other],
    }
}

fn heading(mode: InstanceMode, is_own: bool) -> String {
    let mode = match mode {
        InstanceMode::PerBatch => "a fresh instance for each call",
        InstanceMode::Reused => "one instance for all calls",
    };
    match is_own {
        true => format!("{mode}, as the manifest says"),
        false => mode.to_owned(),
    }
}

/// The component of a plugin that answers nothing, beside the project.
fn empty(folder: &Path) -> Result<PathBuf, CommandError> {
    let project = Project::open(folder)?;
    let own = folder.join(".tripline/empty");
    let contract = own.join("contract");
    let fault = |path: &Path, source| CommandError::Write {
        path: path.display().to_string(),
        source,
    };
    // Of this program, since it is this host that calls it.
    for (path, text) in WIT {
        let path = contract.join(path);
        let parent = path.parent().unwrap_or(&contract);
        std::fs::create_dir_all(parent).map_err(|source| fault(parent, source))?;
        std::fs::write(&path, text).map_err(|source| fault(&path, source))?;
    }
    let writes = project.manifest.writes.iter();
    let kinds: Vec<u32> = writes.map(|column| column.kind as u32).collect();
    let made = tripline_sdk_component::empty(&project.manifest_text, &contract, &kinds);
    let made = made.map_err(|error| CommandError::Usage(format!("{error:#}")))?;
    let path = own.join("empty.wasm");
    std::fs::write(&path, made).map_err(|source| fault(&path, source))?;
    Ok(path)
}

/// What of the cases is measured.
fn measured(hosted: &Hosted, file: &Vectors) -> Result<Vec<Measured>, CommandError> {
    let wrong = |what: &str| {
        let words = format!("{}: no case has {what}", file.path.display());
        CommandError::Usage(words)
    };
    let world = hosted.plugin.manifest().world;
    let all = match world {
        World::Decoder => chunks(hosted, file)?,
        World::Planner | World::Remediator => {
            // Cases of what is refused say little of what is done.
            let cases = file.cases.iter();
            let cases = cases.filter(|case| !case.wanted.iter().any(|(key, _)| key == "fault"));
            let works = cases.filter_map(|case| {
                let call = match &case.input {
                    Input::Subject(subject, answers) => {
                        Work::Subject(subject.clone(), answers.clone())
                    }
                    Input::Finding(finding) => Work::Finding(finding.clone()),
                    Input::Event(_) | Input::Chunk(_) => return None,
                };
                Some(Measured {
                    label: case.name.chars().take(LABEL_CHARS).collect(),
                    events: 1,
                    call,
                })
            });
            works.collect()
        }
        _ => batches(hosted, file)?,
    };
    match (all.is_empty(), world) {
        (false, _) => Ok(all),
        (true, World::Decoder) => Err(wrong("a chunk that it decodes")),
        (true, World::Planner) => Err(wrong("a subject that it plans for")),
        (true, World::Remediator) => Err(wrong("a finding that it plans for")),
        (true, _) => Err(wrong("an event")),
    }
}

/// Characters of a label: the names of cases are sentences.
const LABEL_CHARS: usize = 40;

fn batches(hosted: &Hosted, file: &Vectors) -> Result<Vec<Measured>, CommandError> {
    let events = file.cases.iter().filter_map(|case| match &case.input {
        Input::Event(event) => Some(event.as_bytes()),
        Input::Chunk(_) | Input::Subject(..) | Input::Finding(_) => None,
    });
    let events: Vec<&[u8]> = events.collect();
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let limit = hosted.plugin.limits().batch as usize;
    let sizes = SIZES.into_iter().filter(|size| *size <= limit);
    let measured = sizes.map(|size| {
        let rows: Vec<&[u8]> = events.iter().cycle().take(size).copied().collect();
        let bytes = hosted.packed(&rows).map_err(CommandError::Usage)?;
        Ok(Measured {
            label: size.to_string(),
            events: size,
            call: Work::Batch {
                bytes,
                rows: size,
                events: kept(&rows),
            },
        })
    });
    measured.collect()
}

/// The first chunk of the cases, again and again; no longer than the decoder can take it.
fn chunks(hosted: &Hosted, file: &Vectors) -> Result<Vec<Measured>, CommandError> {
    let mut chunks = file.cases.iter().filter_map(|case| match &case.input {
        Input::Chunk(chunk) if !chunk.is_empty() => Some(chunk.as_bytes()),
        _ => None,
    });
    let Some(chunk) = chunks.next() else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for bytes in CHUNKS {
        let times = bytes.div_ceil(chunk.len()).max(1);
        let mut repeated = Vec::with_capacity(times * (chunk.len() + 1));
        for _ in 0..times {
            repeated.extend_from_slice(chunk);
            if chunk.last() != Some(&b'\n') {
                repeated.push(b'\n');
            }
        }
        match hosted.plugin.decode(&repeated, &[], true) {
            Ok(decoded) => {
                let lines = decoded.events.split(|byte| *byte == b'\n');
                all.push(Measured {
                    label: grouped(repeated.len() as u64),
                    events: lines.filter(|line| !line.is_empty()).count(),
                    call: Work::Chunk(repeated),
                });
            }
            // Its output or its time is bounded, and so is what it can be measured with.
            Err(_) if !all.is_empty() => break,
            Err(fault) => return Err(CommandError::Usage(fault.to_string())),
        }
    }
    Ok(all)
}

struct Bench {
    hosted: Hosted,
    empty: Hosted,
    counted: Hosted,
    time: Duration,
}

impl Bench {
    fn table(&self, world: World, all: &[Measured], out: &mut String) -> Result<(), CommandError> {
        let what = match world {
            World::Decoder => "bytes a call",
            World::Planner | World::Remediator => "case",
            _ => "rows a call",
        };
        let width = all.iter().map(|one| one.label.chars().count());
        let width = width.chain([what.len()]).max().unwrap_or_default();
        let each = match world {
            World::Planner | World::Remediator => "ns a plan",
            _ => "ns an event",
        };
        let natively = if world.reads_batches() {
            "   natively"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "{what:>width$}   {each:>11}    empty   times empty{natively}   us a call   instructions a call"
        );
        for one in all {
            let label = &one.label;
            let call = median_of(self.time, || one.call.run(&self.hosted))?;
            let empty = median_of(self.time, || one.call.run(&self.empty))?;
            let an_event = |time: Duration| match one.events {
                0 => "–".to_owned(),
                some => format!("{:.0}", time.as_nanos() as f64 / some as f64),
            };
            let native = match one.call.batch() {
                Some(batch) => {
                    let native = median_of(self.time, || {
                        self.hosted.read(&batch).map(|read| {
                            black_box(read);
                        })
                    })?;
                    format!("   {:>8}", an_event(native))
                }
                None => String::new(),
            };
            let instructions = self.instructions(one).map_err(CommandError::Usage)?;
            let _ = writeln!(
                out,
                "{label:>width$}   {:>11}   {:>6}   {:>11.1}{native}   {:>9.1}   {:>19}",
                an_event(call),
                an_event(empty),
                call.as_nanos() as f64 / empty.as_nanos().max(1) as f64,
                call.as_nanos() as f64 / 1000.0,
                grouped(instructions)
            );
        }
        let memory = |hosted: &Hosted| hosted.plugin.statistics().memory_bytes_max / 1024;
        let _ = writeln!(
            out,
            "{} instances, at most {} KiB of memory each; empty {} KiB\n",
            grouped(self.hosted.plugin.statistics().instances),
            grouped(memory(&self.hosted)),
            memory(&self.empty)
        );
        Ok(())
    }

    /// Instructions of a call, when all that is made once is made.
    fn instructions(&self, one: &Measured) -> Result<u64, String> {
        one.call.run(&self.counted)?;
        let before = self.counted.plugin.statistics().instructions;
        one.call.run(&self.counted)?;
        Ok(self.counted.plugin.statistics().instructions - before)
    }
}

/// What one round takes: the median of samples that take `time` together, after one that makes everything warm.
fn median_of(
    time: Duration,
    mut round: impl FnMut() -> Result<(), String>,
) -> Result<Duration, CommandError> {
    round().map_err(CommandError::Usage)?;
    let sample = time / SAMPLES;
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        let (begun, mut rounds) = (Instant::now(), 0_u32);
        while begun.elapsed() < sample || rounds == 0 {
            round().map_err(CommandError::Usage)?;
            rounds += 1;
        }
        samples.push(begun.elapsed() / rounds);
    }
    samples.sort();
    Ok(samples[samples.len() / 2])
}
