//! `tripline plugin bench`: what a plugin costs an event.

use super::author;
use super::vectors::{self, Input};
use crate::command::CommandError;
use crate::exit::Exit;
use crate::plugins::kept;
use clap::Args;
use std::fmt::Write as _;
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

/// Sizes of batches that are measured.
const SIZES: [usize; 4] = [1, 16, 64, 256];
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
    let events = file.cases.iter().filter_map(|case| match &case.input {
        Input::Event(event) => Some(event.as_bytes()),
        Input::Chunk(_) => None,
    });
    let events: Vec<&[u8]> = events.collect();
    if events.is_empty() {
        let words = format!("{}: no case has an event", file.path.display());
        return Err(CommandError::Usage(words));
    }
    let mut out = String::new();
    let _ = writeln!(out, "rows a call   ns an event   us a call");
    let limit = hosted.plugin.limits().batch as usize;
    for size in SIZES.into_iter().filter(|size| *size <= limit) {
        let batch: Vec<&[u8]> = events.iter().cycle().take(size).copied().collect();
        let packed = hosted.packed(&batch).map_err(CommandError::Usage)?;
        let batch = Batch {
            bytes: &packed,
            rows: size,
            events: Some(kept(&batch)),
        };
        // Once before, so that everything is warm.
        hosted.call(&batch).map_err(CommandError::Usage)?;
        let sample = Duration::from_millis(arguments.time) / SAMPLES;
        let mut samples = Vec::new();
        for _ in 0..SAMPLES {
            let (begun, mut calls) = (Instant::now(), 0_u32);
            while begun.elapsed() < sample || calls == 0 {
                hosted.call(&batch).map_err(CommandError::Usage)?;
                calls += 1;
            }
            samples.push(begun.elapsed() / calls);
        }
        samples.sort();
        let call = samples[samples.len() / 2];
        let nanoseconds = call.as_nanos() as f64 / size as f64;
        let microseconds = call.as_nanos() as f64 / 1000.0;
        let _ = writeln!(
            out,
            "{size:>11}   {nanoseconds:>11.0}   {microseconds:>9.1}"
        );
    }
    let statistics = hosted.plugin.statistics();
    let mode = match hosted.plugin.manifest().instance {
        tripline_host::manifest::InstanceMode::PerBatch => "a fresh one for each call",
        tripline_host::manifest::InstanceMode::Reused => "reused",
    };
    let _ = writeln!(
        out,
        "\n{} instances ({mode}), at most {} KiB of memory each; medians of {SAMPLES} samples, by the clock, without packing",
        statistics.instances,
        statistics.memory_bytes_max / 1024
    );
    io::stdout().write_all(out.as_bytes())?;
    Ok(Exit::Success)
}
