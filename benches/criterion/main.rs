//! The stages of one event, each by itself, under criterion: for watching one of them over time.
//!
//! `cargo bench -p tripline-benches --bench stages`. The comparison with peers is the other benchmark, `matching`,
//! which measures the floor in turn with every figure so that ratios hold on a noisy machine; criterion measures
//! one thing after the other.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::civil::date;
use tripline_benches::cel_text::{Dialect, cel_text};
use tripline_benches::set::{Flavour, rules};
use tripline_benches::vocabulary::Vocabulary;
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::{File, load};
use tripline_core::sample::{Generator, Options};

const EVENTS: u64 = 10_000;

fn corpus() -> Vec<Vec<u8>> {
    let options = Options {
        seed: 7,
        events: EVENTS,
        accounts: 200,
        days: 7,
        ..Options::default()
    };
    Generator::new(&options)
        .map(|record| record.bytes)
        .collect()
}

fn files(corpus: &[Vec<u8>], count: usize) -> Vec<File> {
    let vocabulary = Vocabulary::gather(corpus.iter().take(5_000).map(Vec::as_slice));
    let drawn = rules(&vocabulary, Flavour::Mixed, count, 1);
    let file = |(number, rule)| {
        let when = cel_text(rule, Dialect::Tripline);
        let text = format!(
            "id = \"rule-{number}\"\nname = \"Rule\"\ndescription = \"Drawn.\"\nseverity = \"low\"\n\
             status = \"experimental\"\nsource = \"aws.cloudtrail\"\nwhen = '''\n{when}\n'''\n"
        );
        File::found(format!("rule-{number}/rule.toml"), text)
    };
    drawn.iter().enumerate().map(file).collect()
}

fn stages(criterion: &mut Criterion) {
    let corpus = corpus();
    let mut group = criterion.benchmark_group("event");
    group
        .throughput(Throughput::Elements(EVENTS))
        .sample_size(20);
    group.bench_function("sonic-rs DOM", |bench| {
        bench.iter(|| {
            for bytes in &corpus {
                let value = sonic_rs::from_slice::<sonic_rs::Value>(bytes);
                black_box(value.is_ok());
            }
        });
    });
    let mut parser = Parser::new();
    group.bench_function("parse", |bench| {
        bench.iter(|| {
            for bytes in &corpus {
                black_box(parser.parse(bytes).is_ok());
            }
        });
    });
    for count in [10, 1_000, 10_000] {
        let catalog = load(&files(&corpus, count), date(2026, 1, 1));
        let (set, _) = RuleSet::compile(catalog.rules.clone(), &catalog.lists, &|source| {
            catalog.schema(source)
        });
        assert_eq!(set.rules().len(), count, "every drawn rule is in force");
        let mut evaluator = Evaluator::new(&set);
        group.bench_function(format!("parse and evaluate {count} rules"), |bench| {
            bench.iter(|| {
                for bytes in &corpus {
                    let document = parser.parse(bytes).expect("the corpus is JSON");
                    black_box(evaluator.evaluate(&Event::new(document)).matched.len());
                }
            });
        });
    }
    group.finish();
    let catalog = load(&files(&corpus, 1_000), date(2026, 1, 1));
    criterion.bench_function("compile 1,000 rules", |bench| {
        bench.iter_batched(
            || catalog.rules.clone(),
            |rules| RuleSet::compile(rules, &catalog.lists, &|source| catalog.schema(source)),
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, stages);
criterion_main!(benches);
