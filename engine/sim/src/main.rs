//! `sim`: runs the simulation by seeds.

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use std::time::Instant;
use tripline_sim::workload::rules;
use tripline_sim::{Length, World, run};

#[derive(Parser, Debug)]
#[command(about = "Simulates the pipeline: virtual time, faults from a seed, an auditor")]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// Records that the producer sends in each run.
    #[arg(long, default_value_t = 300, global = true)]
    records: u64,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// One seed, with everything that happens when --trace is given.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Print everything that happens.
        #[arg(long)]
        trace: bool,
    },
    /// Many seeds on all cores; prints those that fail.
    Sweep {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Each seed twice; fails when the runs differ.
    Meta {
        /// How many.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let records = arguments.records;
    let is_well = match arguments.command {
        Command::Run { seed, trace } => one(seed, records, trace),
        Command::Sweep { seeds, from } => sweep(from, seeds, records),
        Command::Meta { seeds } => meta(seeds, records),
    };
    match is_well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn one(seed: u64, records: u64, trace: bool) -> bool {
    let (first, second) = (rules(false), rules(true));
    let world = World::new(seed, Length { records }, [&first, &second], None);
    let world = if trace { world.traced() } else { world };
    let (report, text) = world.run();
    if let Some(text) = text {
        print!("{text}");
    }
    println!("{report:#?}");
    report.violations.is_empty()
}

fn sweep(from: u64, seeds: u64, records: u64) -> bool {
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let totals = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let (first, second) = (rules(false), rules(true));
                    let mut totals = [0u64; 7];
                    for seed in (from..from + seeds).filter(|seed| seed % threads == thread) {
                        let report = run(seed, records, [&first, &second]);
                        let counts = [
                            report.acknowledged,
                            report.findings as u64,
                            report.crashes,
                            report.takeovers,
                            report.reloads,
                            report.steps,
                            u64::from(!report.violations.is_empty()),
                        ];
                        for (total, count) in totals.iter_mut().zip(counts) {
                            *total += count;
                        }
                        for words in report.violations {
                            println!("seed {seed}: {words}");
                        }
                    }
                    totals
                })
            })
            .collect();
        let mut totals = [0u64; 7];
        for worker in workers {
            let counted = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for (total, count) in totals.iter_mut().zip(counted) {
                *total += count;
            }
        }
        totals
    });
    let [
        acknowledged,
        findings,
        crashes,
        takeovers,
        reloads,
        steps,
        failed,
    ] = totals;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds, {failed} failed: {acknowledged} records acknowledged, {findings} findings, {crashes} crashes, \
         {takeovers} take-overs, {reloads} reloads, {steps} steps; {:.0} seeds a minute",
        seeds as f64 * 60.0 / seconds
    );
    failed == 0
}

fn meta(seeds: u64, records: u64) -> bool {
    let (first, second) = (rules(false), rules(true));
    let differing: Vec<u64> = (0..seeds)
        .filter(|seed| {
            let once = run(*seed, records, [&first, &second]);
            once != run(*seed, records, [&first, &second])
        })
        .collect();
    println!(
        "{seeds} seeds twice, {} differ {differing:?}",
        differing.len()
    );
    differing.is_empty()
}
