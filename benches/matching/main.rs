//! Measures Tripline beside its peers: same events, same logical rules, one process, one core.
//!
//! `cargo bench -p tripline-benches` runs everything in about ten minutes, `-- --quick` a smaller round in less
//! than three. `--only WORD` runs the sections whose name has the word. Nothing is timed before all engines
//! agreed on every match of a sample. See README.md for the method and what the figures mean.

mod agreement;
mod counting;
mod ours;
mod peers;
mod report;
mod residuals;
mod round;
mod sigma_rules;
mod timing;

use std::hint::black_box;
use std::time::{Duration, Instant};

use counting::{Counting, counted};
use ours::{Extract, Scan};
use peers::{Cel, Sigma};
use report::{Table, count as count_text, number, per_second};
use round::{Round, corpus, on_all_cores, stay_on_one_core};
use sigma_rules::Public;
use timing::{Effort, measure, median, timed};
use tripline_benches::linear;
use tripline_benches::rule::Rule;
use tripline_benches::set::{Flavour, rules};
use tripline_benches::stress::Stress;
use tripline_benches::vocabulary::Vocabulary;
use tripline_core::evaluate::RuleSet;
use tripline_core::event::Parser;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let round = Round::from_arguments();
    stay_on_one_core();
    let corpus = corpus(&round);
    let step = (corpus.len() / 5000).max(1);
    let sample = corpus.iter().step_by(step).map(Vec::as_slice);
    let bench = Bench {
        vocabulary: Vocabulary::gather(sample),
        corpus,
        round,
    };
    let mut tables = vec![bench.describe()];
    let sections: [(&str, Section); 11] = [
        ("agreement", Bench::agreement),
        ("parse", Bench::parse),
        ("growth", Bench::growth),
        ("peers", Bench::peers),
        ("kinds", Bench::kinds),
        ("compile", Bench::compile),
        ("allocations", Bench::allocations),
        ("cores", Bench::cores),
        ("residuals", |bench| residuals::table(&bench.corpus)),
        ("stress", Bench::stress),
        ("sigma", Bench::sigma),
    ];
    for (name, section) in sections {
        if bench.round.wants(name) {
            tables.push(section(&bench));
        }
    }
    for table in tables {
        println!("{}", table.to_markdown());
    }
}

type Section = fn(&Bench) -> Table;

struct Bench {
    corpus: Vec<Vec<u8>>,
    vocabulary: Vocabulary,
    round: Round,
}

/// The floor: the whole text parsed by sonic-rs.
fn floor(bytes: &[u8]) -> usize {
    let value: sonic_rs::Value = sonic_rs::from_slice(bytes).expect("the corpus is JSON");
    usize::from(sonic_rs::JsonValueTrait::is_null(black_box(&value)))
}

impl Bench {
    fn rules(&self, flavour: Flavour, count: usize) -> Vec<Rule> {
        rules(&self.vocabulary, flavour, count, 11)
    }

    fn describe(&self) -> Table {
        let mut sizes: Vec<usize> = self.corpus.iter().map(Vec::len).collect();
        sizes.sort_unstable();
        let at = |per_cent: usize| number(sizes[(sizes.len() - 1) * per_cent / 100] as f64);
        let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
        let mut table = Table::new(
            "corpus",
            &[
                "events", "mean B", "median", "p5", "p95", "p99", "max", "pairs",
            ],
        );
        table.row(vec![
            count_text(sizes.len()),
            number(mean),
            at(50),
            at(5),
            at(95),
            at(99),
            at(100),
            self.vocabulary.pairs.len().to_string(),
        ]);
        table
    }

    fn parse(&self) -> Table {
        let mut table = Table::new("parsing alone", &["what", "ns/event", "events/s", "x P"]);
        let mut row = |name: &str, pass: &mut timing::Pass<'_>| {
            let pair = measure(&self.corpus, self.round.ours, &mut floor, pass);
            let ratio = number(pair.nanoseconds / pair.floor);
            let cells = [
                number(pair.nanoseconds),
                per_second(pair.nanoseconds),
                ratio,
            ];
            table.row([vec![name.to_owned()], cells.to_vec()].concat());
        };
        row("sonic-rs DOM (P)", &mut floor);
        row("serde_json Value", &mut |bytes| {
            let value: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
            usize::from(black_box(&value).is_null())
        });
        let mut parser = Parser::new();
        row("Tripline parser", &mut |bytes| {
            usize::from(parser.parse(bytes).expect("JSON").root().is_empty())
        });
        let mut extract = Extract::new();
        row("Tripline parser, 15 fields found", &mut |bytes| {
            extract.run(bytes)
        });
        table
    }

    /// Public Sigma rules as they are.
    fn sigma(&self) -> Table {
        let head = [
            "events",
            "rules",
            "engine",
            "ns/event",
            "events/s",
            "matches/event",
            "x P",
        ];
        let Some(public) = Public::find() else {
            println!("sigma: skipped, no public rules at hand; set TRIPLINE_SHARED");
            return Table::new("Sigma rules: skipped", &head);
        };
        let set = public.rule_set();
        let theirs = Sigma::of_texts(public.files.iter().map(|file| file.text.as_str()));
        let mut table = Table::new("Sigma rules as they are", &head);
        // Real events are few: over and over, so that a pass is long enough to be timed.
        let real = public
            .events
            .iter()
            .cycle()
            .take(20_000.min(public.events.len() * 40));
        let real: Vec<Vec<u8>> = real.cloned().collect();
        for (name, events) in [("sample", &self.corpus), ("real", &real)] {
            let mut scan = Scan::new(&set);
            let looked_at = events.iter().take(5000);
            let differs = |bytes: &&Vec<u8>| scan.count(bytes) != theirs.count(bytes);
            let differing = looked_at.filter(differs).count();
            println!("sigma: of 5,000 {name} events {differing} match other numbers of rules");
            let mut row = |engine: &str, effort: Effort, pass: &mut timing::Pass<'_>| {
                let pair = measure(events, effort, &mut floor, pass);
                let matches = format!("{:.3}", pair.matches);
                table.row(vec![
                    name.to_owned(),
                    count_text(public.files.len()),
                    engine.to_owned(),
                    number(pair.nanoseconds),
                    per_second(pair.nanoseconds),
                    matches,
                    number(pair.nanoseconds / pair.floor),
                ]);
            };
            row("Tripline", self.round.ours, &mut |bytes| scan.count(bytes));
            row("rsigma-eval", self.round.peers, &mut |bytes| {
                theirs.count(bytes)
            });
        }
        table
    }

    fn row_of_ours(&self, set: &RuleSet) -> timing::Pair {
        let mut scan = Scan::new(set);
        measure(&self.corpus, self.round.ours, &mut floor, &mut |bytes| {
            scan.count(bytes)
        })
    }

    fn growth(&self) -> Table {
        let mut table = Table::new(
            "Tripline by set and number of rules, parsing included",
            &[
                "set",
                "rules",
                "ns/event",
                "events/s",
                "x P",
                "matches/event",
            ],
        );
        for flavour in Flavour::ALL {
            let most = self.round.counts.iter().copied().max().unwrap_or(0);
            let all = self.rules(flavour, most);
            for &count in self.round.counts {
                let Some(rules) = all.get(..count) else {
                    continue;
                };
                let pair = self.row_of_ours(&ours::rule_set(rules));
                table.row(vec![
                    flavour.as_str().to_owned(),
                    count_text(count),
                    number(pair.nanoseconds),
                    per_second(pair.nanoseconds),
                    number(pair.nanoseconds / pair.floor),
                    number(pair.matches),
                ]);
            }
        }
        table
    }

    fn peers(&self) -> Table {
        let mut table = Table::new(
            "events/s on the mixed set, parsing included",
            &[
                "rules",
                "Tripline",
                "cel 0.15",
                "rsigma-eval 0.23",
                "linear",
                "Tripline x P",
                "cel x P",
                "rsigma x P",
                "linear x P",
            ],
        );
        let all = self.rules(Flavour::Mixed, 10_000);
        for &count in self.round.counts.iter().filter(|count| **count <= 10_000) {
            let rules = &all[..count];
            let (cel, sigma) = (
                Cel::compile(rules),
                Sigma::compile(rules).expect("Sigma has all of it"),
            );
            let peer = |pass: &mut timing::Pass<'_>| {
                measure(&self.corpus, self.round.peers, &mut floor, pass)
            };
            let pairs = [
                self.row_of_ours(&ours::rule_set(rules)),
                peer(&mut |bytes| cel.count(bytes)),
                peer(&mut |bytes| sigma.count(bytes)),
                peer(&mut |bytes| linear_count(rules, bytes)),
            ];
            let rates = pairs.iter().map(|pair| per_second(pair.nanoseconds));
            let ratios = pairs
                .iter()
                .map(|pair| number(pair.nanoseconds / pair.floor));
            let cells = rates.chain(ratios).collect::<Vec<_>>();
            table.row([vec![count_text(count)], cells].concat());
        }
        table
    }

    fn kinds(&self) -> Table {
        let mut table = Table::new(
            "10,000 rules by kind, ns/event",
            &[
                "set",
                "Tripline",
                "rsigma-eval 0.23",
                "linear",
                "Tripline x P",
                "rsigma x P",
            ],
        );
        for flavour in Flavour::ALL {
            let rules = self.rules(flavour, 10_000);
            let sigma = Sigma::compile(&rules).expect("Sigma has all of it");
            let own = self.row_of_ours(&ours::rule_set(&rules));
            let effort = self.round.peers;
            let by_sigma = measure(&self.corpus, effort, &mut floor, &mut |bytes| {
                sigma.count(bytes)
            });
            let linear = measure(&self.corpus, effort, &mut floor, &mut |bytes| {
                linear_count(&rules, bytes)
            });
            table.row(vec![
                flavour.as_str().to_owned(),
                number(own.nanoseconds),
                number(by_sigma.nanoseconds),
                number(linear.nanoseconds),
                number(own.nanoseconds / own.floor),
                number(by_sigma.nanoseconds / by_sigma.floor),
            ]);
        }
        table
    }

    fn compile(&self) -> Table {
        let mut table = Table::new(
            "compiling the mixed set",
            &[
                "engine",
                "rules",
                "read ms",
                "compile ms",
                "kept MB",
                "kept B/rule",
                "peak MB",
            ],
        );
        let megabytes = |bytes: usize| number(bytes as f64 / 1e6);
        let milliseconds = |time: Duration| number(time.as_secs_f64() * 1e3);
        for &count in self.round.counts.iter().filter(|count| **count >= 1000) {
            let rules = self.rules(Flavour::Mixed, count);
            let files = ours::files(&rules);
            let times: Vec<(f64, f64)> = (0..3)
                .map(|_| {
                    let (catalog, read) = timed(|| ours::read(&files));
                    let (set, compiled) = timed(|| ours::compile(&catalog));
                    drop(set);
                    (read.as_secs_f64(), compiled.as_secs_f64())
                })
                .collect();
            let (set, allocated) = counted(|| ours::compile(&ours::read(&files)));
            drop(set);
            table.row(vec![
                "Tripline".to_owned(),
                count_text(count),
                number(median(times.iter().map(|time| time.0).collect()) * 1e3),
                number(median(times.iter().map(|time| time.1).collect()) * 1e3),
                megabytes(allocated.kept),
                number(allocated.kept as f64 / count as f64),
                megabytes(allocated.peak),
            ]);
        }
        let rules = self.rules(Flavour::Mixed, 10_000);
        let mut peer = |name: &str, time: Duration, allocated: counting::Allocated| {
            let kept = number(allocated.kept as f64 / 1e4);
            let cells = [
                "10,000",
                "in compile",
                &milliseconds(time),
                &megabytes(allocated.kept),
                &kept,
                &megabytes(allocated.peak),
            ];
            let cells = cells.map(str::to_owned).to_vec();
            table.row([vec![name.to_owned()], cells].concat());
        };
        let ((cel, time), allocated) = counted(|| timed(|| Cel::compile(&rules)));
        drop(cel);
        peer("cel 0.15", time, allocated);
        let ((sigma, time), allocated) = counted(|| timed(|| Sigma::compile(&rules)));
        drop(sigma);
        peer("rsigma-eval 0.23", time, allocated);
        table
    }

    fn allocations(&self) -> Table {
        let mut table = Table::new(
            "allocations per event, warm, 10,000 rules",
            &["set", "events that match nothing", "all events"],
        );
        for flavour in Flavour::ALL {
            let set = ours::rule_set(&self.rules(flavour, 10_000));
            let mut scan = Scan::new(&set);
            let events = &self.corpus[..self.corpus.len().min(20_000)];
            let silent: Vec<&Vec<u8>> = events
                .iter()
                .filter(|event| scan.count(event) == 0)
                .collect();
            let (_, of_all) =
                counted(|| events.iter().map(|event| scan.count(event)).sum::<usize>());
            let (_, of_silent) =
                counted(|| silent.iter().map(|event| scan.count(event)).sum::<usize>());
            let share =
                |calls: usize, events: usize| format!("{:.4}", calls as f64 / events.max(1) as f64);
            table.row(vec![
                flavour.as_str().to_owned(),
                share(of_silent.calls, silent.len()),
                share(of_all.calls, events.len()),
            ]);
        }
        table
    }

    /// Wall time, because two threads are at work; the best of several rounds, because others are too.
    fn cores(&self) -> Table {
        on_all_cores();
        let set = ours::rule_set(&self.rules(Flavour::Mixed, 10_000));
        let mut table = Table::new(
            "threads, mixed set, 10,000 rules",
            &[
                "threads",
                "events/s (wall)",
                "times one",
                "CPU ns/event",
                "cores had",
            ],
        );
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let counts = [1, 2, 4].into_iter().filter(|threads| *threads <= cores);
        let mut best: Vec<_> = counts
            .map(|threads| (threads, Duration::MAX, Duration::MAX))
            .collect();
        // In turn, so that a quiet moment of the machine serves all of them.
        for _ in 0..4 * self.round.ours.passes {
            for (threads, best_wall, best_busy) in &mut best {
                let (wall, busy) = self.scan_on(&set, *threads);
                if wall < *best_wall {
                    (*best_wall, *best_busy) = (wall, busy);
                }
            }
        }
        let alone = best[0].1.as_secs_f64();
        for (threads, wall, busy) in best {
            let each = |time: Duration| time.as_nanos() as f64 / self.corpus.len() as f64;
            table.row(vec![
                threads.to_string(),
                per_second(each(wall)),
                number(alone / wall.as_secs_f64()),
                number(each(busy)),
                number(busy.as_secs_f64() / wall.as_secs_f64()),
            ]);
        }
        stay_on_one_core();
        table
    }

    /// Wall time of all threads, and the CPU time they took together.
    fn scan_on(&self, set: &RuleSet, threads: usize) -> (Duration, Duration) {
        let share = self.corpus.len().div_ceil(threads);
        let start = Instant::now();
        let busy = std::thread::scope(|scope| {
            let started: Vec<_> = self
                .corpus
                .chunks(share)
                .map(|events| {
                    scope.spawn(move || {
                        let mut scan = Scan::new(set);
                        timed(|| {
                            black_box(events.iter().map(|event| scan.count(event)).sum::<usize>())
                        })
                        .1
                    })
                })
                .collect();
            started
                .into_iter()
                .map(|thread| thread.join().unwrap_or_default())
                .sum()
        });
        (start.elapsed(), busy)
    }

    fn stress(&self) -> Table {
        let mut table = Table::new(
            "stress family: sets without an index to hold on to",
            &[
                "set",
                "rules",
                "Tripline ns/event",
                "x P",
                "ns per rule",
                "cel ns per rule",
                "rsigma ns per rule",
            ],
        );
        for stress in Stress::ALL {
            for &count in self.round.stress_counts {
                let rules = stress.rules(&self.vocabulary, count, 5);
                let own = self.row_of_ours(&ours::rule_set(&rules));
                let base = self.row_of_ours(&ours::rule_set(&rules[..1])).nanoseconds;
                let per_rule = |nanoseconds: f64| number(nanoseconds.max(0.0) / count as f64);
                let (cel, sigma) = if count <= 1000 {
                    let cel = Cel::compile(&rules);
                    let effort = Effort {
                        passes: 3,
                        ..self.round.peers
                    };
                    let by_cel = measure(&self.corpus, effort, &mut floor, &mut |bytes| {
                        cel.count(bytes)
                    });
                    let by_sigma = Sigma::compile(&rules).map(|sigma| {
                        measure(&self.corpus, effort, &mut floor, &mut |bytes| {
                            sigma.count(bytes)
                        })
                        .nanoseconds
                    });
                    (
                        per_rule(by_cel.nanoseconds),
                        by_sigma.map_or("–".to_owned(), per_rule),
                    )
                } else {
                    ("–".to_owned(), "–".to_owned())
                };
                table.row(vec![
                    stress.as_str().to_owned(),
                    count_text(count),
                    number(own.nanoseconds),
                    number(own.nanoseconds / own.floor),
                    per_rule(own.nanoseconds - base),
                    cel,
                    sigma,
                ]);
            }
        }
        table
    }
}

fn linear_count(rules: &[Rule], bytes: &[u8]) -> usize {
    let event: serde_json::Value = serde_json::from_slice(bytes).expect("the corpus is JSON");
    rules
        .iter()
        .filter(|rule| linear::matches(rule, &event))
        .count()
}
