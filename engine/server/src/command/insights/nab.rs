//! `tripline insights bench --nab`: the detector for measurements on files of the Numenta Anomaly Benchmark.
//!
//! Each file is one series, judged row by row by its past alone. What is told: the threshold that every rule has, the one that
//! suits these files best, which is how published figures are made, and what thresholds found on one half of the files give on the
//! other. Must never let a row that cannot be read pass for one that scored nothing.

use super::CommandError;
use crate::exit::Exit;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tripline_core::insight::gauge::{Gauge, GaugeSettings};
use tripline_core::insight::labelled::nab::{Bench, Judgement, Labelled, PROFILES};

/// Longest file that is read: the benchmark's have less than a megabyte.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The threshold of the gauge itself.
const OWN: f64 = 0.5;

/// A file, scored.
struct Scored {
    name: String,
    stamps: Vec<String>,
    times: Vec<i64>,
    scores: Vec<f64>,
    windows: Vec<(i64, i64)>,
}

/// Measures.
pub(super) fn run(folder: &Path, scores: Option<&Path>) -> Result<Exit, CommandError> {
    let mut all = Vec::new();
    for (name, windows) in windows(folder)? {
        all.push(scored(folder, name, windows)?);
    }
    if let Some(into) = scores {
        for one in &all {
            write_scores(into, one)?;
        }
    }
    let whole = bench(&all, |_| true)?;
    let halves = [
        bench(&all, |at| at % 2 == 0)?,
        bench(&all, |at| at % 2 == 1)?,
    ];
    let mut out = io::stdout().lock();
    let windows: usize = all.iter().map(|one| one.windows.len()).sum();
    let rows: usize = all.iter().map(|one| one.times.len()).sum();
    writeln!(out, "{} files, {windows} windows, {rows} rows\n", all.len())?;
    writeln!(
        out,
        "| profile | threshold | score | windows hit | false alarms |"
    )?;
    writeln!(out, "|---|---|---|---|---|")?;
    for profile in &PROFILES {
        let mut row = |how: &str, judged: &Judgement| {
            writeln!(
                out,
                "| {} | {how} {:.6} | {:.3} | {} of {} | {} |",
                profile.name,
                judged.threshold,
                judged.score,
                judged.windows_hit,
                judged.windows,
                judged.false_alarms
            )
        };
        row("its own:", &whole.at(profile, OWN))?;
        row("best of these files:", &whole.best(profile))?;
        for (which, other) in [(0, 1), (1, 0)] {
            let found = halves[other].best(profile).threshold;
            let words = [
                "even files, of the odd ones:",
                "odd files, of the even ones:",
            ];
            row(words[which], &halves[which].at(profile, found))?;
        }
    }
    Ok(Exit::Success)
}

/// Those of the files whose number is wanted.
fn bench(all: &[Scored], is_wanted: impl Fn(usize) -> bool) -> Result<Bench, CommandError> {
    let mut bench = Bench::new();
    for (at, one) in all.iter().enumerate() {
        if is_wanted(at) {
            let series = Labelled {
                times: &one.times,
                scores: &one.scores,
                windows: &one.windows,
            };
            bench
                .add(&series)
                .map_err(|fault| CommandError::Usage(format!("{}: {fault}", one.name)))?;
        }
    }
    Ok(bench)
}

type Windows = BTreeMap<String, Vec<(i64, i64)>>;

/// The windows of each file; a file without any is there too.
fn windows(folder: &Path) -> Result<Windows, CommandError> {
    let path = folder.join("windows.csv");
    let mut files = Windows::new();
    for (number, line) in text(&path)?.lines().enumerate().skip(1) {
        let wrong = || wrong(&path, number, "no file, start and end");
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [name, start, end] = fields.as_slice() else {
            return Err(wrong());
        };
        let is_below = Path::new(name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if name.is_empty() || !is_below {
            return Err(wrong());
        }
        let of_file = files.entry((*name).to_owned()).or_default();
        if !start.is_empty() {
            let span = seconds(start).zip(seconds(end));
            of_file.push(span.ok_or_else(wrong)?);
        }
    }
    match files.is_empty() {
        true => Err(wrong(&path, 0, "no file is named")),
        false => Ok(files),
    }
}

fn scored(folder: &Path, name: String, windows: Vec<(i64, i64)>) -> Result<Scored, CommandError> {
    let path = folder.join(&name);
    let mut gauge = Gauge::new(&GaugeSettings::default());
    let (mut stamps, mut times, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for (number, line) in text(&path)?.lines().enumerate().skip(1) {
        let row = line.split_once(',').and_then(|(stamp, value)| {
            let value: f64 = value.trim().parse().ok()?;
            Some((stamp.trim(), seconds(stamp)?, value))
        });
        let (stamp, time, value) = row.ok_or_else(|| wrong(&path, number, "no time and value"))?;
        stamps.push(stamp.to_owned());
        times.push(time);
        scores.push(gauge.push(time, value).score);
    }
    Ok(Scored {
        name,
        stamps,
        times,
        scores,
        windows,
    })
}

fn write_scores(folder: &Path, of: &Scored) -> Result<(), CommandError> {
    let path = folder.join(&of.name);
    let mut lines = String::from("timestamp,anomaly_score\n");
    for (stamp, score) in of.stamps.iter().zip(&of.scores) {
        lines.push_str(&format!("{stamp},{score}\n"));
    }
    let parent = path.parent().unwrap_or(folder);
    let written = std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, lines));
    written.map_err(|source| CommandError::Write {
        path: path.display().to_string(),
        source,
    })
}

fn text(path: &Path) -> Result<String, CommandError> {
    use std::io::Read;
    let read = || {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|source| CommandError::Read {
        path: path.display().to_string(),
        source,
    })
}

fn wrong(path: &Path, line: usize, words: &str) -> CommandError {
    let path: PathBuf = path.to_owned();
    CommandError::Usage(format!("{}, line {}: {words}", path.display(), line + 1))
}

/// Seconds of `2014-04-01 00:05:00` or `2014-04-01T00:05:00.000000`: the benchmark's clocks have no zone.
fn seconds(stamp: &str) -> Option<i64> {
    let civil: jiff::civil::DateTime = stamp.trim().replace(' ', "T").parse().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_second())
}
