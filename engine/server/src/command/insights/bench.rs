//! `tripline insights bench`: how well the detector does on series of which it is known what is unusual in them.

use super::{CommandError, EXIT_CODES, labelled, nab};
use crate::exit::{Exit, after_help};
use clap::{Args, ValueEnum};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tripline_core::insight::labelled::trial::{THRESHOLDS, Trial, best, trial, within};
use tripline_core::insight::labelled::{Profile, Set, generate};

const EXAMPLES: &str = "\
The sets are invented from seeds, or read from folders in the format that the help of --data names. One threshold holds for all
series; what is shown is the best F1 of several thresholds, the highest recall within budgets of false alarms, and
delays in minutes from the start of a label until the last minute that was needed is over.

Examples:
  tripline insights bench
  tripline insights bench --seeds 7001-7003
  tripline insights bench --data api_counts/ --kinds
  tripline insights bench --nab nab/                 series of measurements, by the rule of the Numenta benchmark";

/// Measure the detector on labelled series.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// Invent sets from these seeds: one, or a range such as 7001-7003.
    #[arg(long, value_name = "SEEDS", default_value = "1", value_parser = seeds, conflicts_with = "data")]
    seeds: (u64, u64),

    /// How large invented sets are.
    #[arg(long, value_enum, default_value = "full", value_name = "SIZE")]
    size: Size,

    /// Read sets from folders with keys.csv, counts.csv, labels.csv, gaps.csv, ignore.csv and meta.json.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,

    /// Try only this threshold, a surprise such as 3, instead of twelve from 1.75 to 6.
    #[arg(long, value_name = "SURPRISE")]
    threshold: Option<f64>,

    /// Measure the detector for measurements instead, on the files of the Numenta Anomaly Benchmark below this folder:
    /// CATEGORY/FILE.csv with timestamp and value, and windows.csv with file, start and end.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "seeds", "threshold", "kinds"])]
    nab: Option<PathBuf>,

    /// Write the scores of all rows into this folder too, as other scorers read them.
    #[arg(long, value_name = "DIR", requires = "nab")]
    scores: Option<PathBuf>,

    /// Tell hits and labels of each kind too, at the best F1.
    #[arg(long)]
    kinds: bool,
}

/// How large invented sets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Size {
    /// Sixty keys.
    Full,
    /// Twenty keys.
    Small,
}

/// Most seeds at a time: each takes some seconds.
const SEEDS_MAX: u64 = 100;

/// Budgets of false alarms per series-week for which the recall is told.
const BUDGETS: [f64; 3] = [0.1, 0.05, 0.02];

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let words = "give a number, or a range of at most 100 such as 7001-7003";
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u64>().map_err(|_| words.to_owned());
    let (first, last) = (number(first)?, number(last)?);
    match last.checked_sub(first) {
        Some(more) if more < SEEDS_MAX => Ok((first, last)),
        _ => Err(words.to_owned()),
    }
}

/// Measures.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    if let Some(folder) = &arguments.nab {
        return nab::run(folder, arguments.scores.as_deref());
    }
    let sets = sets(arguments)?;
    let thresholds: Vec<f64> = match arguments.threshold {
        Some(threshold) => vec![threshold],
        None => THRESHOLDS.to_vec(),
    };
    let trials = trials(&sets, &thresholds)?;
    let mut out = io::stdout().lock();
    let labels: usize = sets.iter().map(|set| set.labels.len()).sum();
    let weeks: f64 = sets.iter().map(Set::series_weeks).sum();
    writeln!(
        out,
        "{} sets, {} series, {labels} labels, {weeks:.0} series-weeks scored\n",
        sets.len(),
        sets.iter().map(|set| set.keys.len()).sum::<usize>()
    )?;
    writeln!(
        out,
        "| at | threshold | precision | recall | F1 | false alarms per series-week | delay median | p90 |\n\
         |---|---|---|---|---|---|---|---|"
    )?;
    let row = |out: &mut dyn Write, name: &str, trial: Option<&Trial>| -> io::Result<()> {
        let Some(trial) = trial else {
            return writeln!(out, "| {name} | - | - | - | - | - | - | - |");
        };
        let delay = |part: f64| {
            trial
                .delay(part)
                .map_or("-".to_owned(), |one| one.to_string())
        };
        writeln!(
            out,
            "| {name} | {} | {:.2} | {:.3} | {:.3} | {:.3} | {} | {} |",
            trial.threshold,
            trial.precision(),
            trial.recall(),
            trial.f1(),
            trial.false_alarms_per_series_week(),
            delay(0.5),
            delay(0.9)
        )
    };
    row(&mut out, "best F1", best(&trials))?;
    for budget in BUDGETS {
        row(
            &mut out,
            &format!("at most {budget} false alarms"),
            within(&trials, budget),
        )?;
    }
    if let Some(best) = best(&trials).filter(|_| arguments.kinds) {
        writeln!(out, "\n| kind | labels | found |\n|---|---|---|")?;
        for (kind, (labels, hits)) in &best.kinds {
            writeln!(out, "| {} | {labels} | {hits} |", kind.name())?;
        }
    }
    Ok(Exit::Success)
}

fn sets(arguments: &Arguments) -> Result<Vec<Set>, CommandError> {
    if !arguments.data.is_empty() {
        return arguments
            .data
            .iter()
            .map(|folder| labelled::read(folder))
            .collect();
    }
    let profile = match arguments.size {
        Size::Full => Profile::Full,
        Size::Small => Profile::Small,
    };
    let (first, last) = arguments.seeds;
    Ok((first..=last).map(|seed| generate(seed, profile)).collect())
}

/// Every threshold, on all cores.
fn trials(sets: &[Set], thresholds: &[f64]) -> Result<Vec<Trial>, CommandError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(threshold) = thresholds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let trial = trial(sets, *threshold);
                    let mut done = done
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    done.push(trial);
                }
            });
        }
    });
    let done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let trials: Result<Vec<Trial>, _> = done.into_iter().collect();
    let mut trials = trials.map_err(|fault| CommandError::Usage(fault.to_string()))?;
    trials.sort_by(|left, right| left.threshold.total_cmp(&right.threshold));
    Ok(trials)
}
