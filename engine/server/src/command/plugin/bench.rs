//! `tripline plugin bench`: what a plugin costs an event.

use super::author;
use super::vectors::{self, Input};
use crate::command::CommandError;
use crate::exit::Exit;
use crate::plugins::{Hosted, kept};
use crate::terminal::grouped;
use clap::Args;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tripline_host::Batch;

/// Measure what a plugin costs an event.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The project: the events of its tests are what is measured.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,

    /// Milliseconds to measure each batch size.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    time: u64,
}

/// Sizes of batches that are measured. Without rows, a call costs what it costs any plugin that does nothing.
const SIZES: [usize; 5] = [0, 1, 16, 64, 256];
/// Samples of which the median is told.
const SAMPLES: u32 = 11;

/// Measures.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let component = author::component(&arguments.folder)?;
    let files = vectors::read(&arguments.folder)?;
    let Some(file) = files.first() else {
        let words = "there are no tests whose events could be measured".to_owned();
        return Err(CommandError::Usage(words));
    };
    let hosted = author::hosted(&component, &file.given, &arguments.folder)?;
    let counted = author::counted(&component, &file.given, &arguments.folder)?;
    let events = file.cases.iter().filter_map(|case| match &case.input {
        Input::Event(event) => Some(event.as_bytes()),
        Input::Chunk(_) | Input::Subject(..) | Input::Finding(_) => None,
    });
    let events: Vec<&[u8]> = events.collect();
    if events.is_empty() {
        let words = format!("{}: no case has an event", file.path.display());
        return Err(CommandError::Usage(words));
    }
    let time = Duration::from_millis(arguments.time) / 2;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "rows a call   ns an event   natively   us a call   instructions a call"
    );
    let limit = hosted.plugin.limits().batch as usize;
    for size in SIZES.into_iter().filter(|size| *size <= limit) {
        let batch: Vec<&[u8]> = events.iter().cycle().take(size).copied().collect();
        let packed = hosted.packed(&batch).map_err(CommandError::Usage)?;
        let batch = Batch {
            bytes: &packed,
            rows: size,
            events: Some(kept(&batch)),
            until: None,
        };
        let call = median_of(time, || hosted.call(&batch))?;
        let native = median_of(time, || {
            hosted.read(&batch).map(|read| {
                black_box(read);
            })
        })?;
        let instructions = instructions(&counted, &batch).map_err(CommandError::Usage)?;
        let an_event = |time: Duration| match size {
            0 => "–".to_owned(),
            _ => format!("{:.0}", time.as_nanos() as f64 / size as f64),
        };
        let _ = writeln!(
            out,
            "{size:>11}   {:>11}   {:>8}   {:>9.1}   {:>19}",
            an_event(call),
            an_event(native),
            call.as_nanos() as f64 / 1000.0,
            grouped(instructions)
        );
    }
    let statistics = hosted.plugin.statistics();
    let mode = match hosted.plugin.manifest().instance {
        tripline_host::manifest::InstanceMode::PerBatch => "a fresh one for each call",
        tripline_host::manifest::InstanceMode::Reused => "reused",
    };
    let _ = writeln!(
        out,
        "\n{} instances ({mode}), at most {} KiB of memory each; medians of {SAMPLES} samples, by the clock, without packing\n\
         natively: reading every field of every row once, and nothing else\n\
         instructions: of WebAssembly, those of making the instance included; the same on every machine",
        statistics.instances,
        statistics.memory_bytes_max / 1024
    );
    io::stdout().write_all(out.as_bytes())?;
    Ok(Exit::Success)
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

/// Instructions of a call about a batch, when all that is made once is made.
fn instructions(counted: &Hosted, batch: &Batch<'_>) -> Result<u64, String> {
    counted.call(batch)?;
    let before = counted.plugin.statistics().instructions;
    counted.call(batch)?;
    Ok(counted.plugin.statistics().instructions - before)
}
