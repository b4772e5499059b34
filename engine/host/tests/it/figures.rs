//! How long things take: printed when asked for, since a busy machine says nothing.

use crate::guest::{
    batch, component, each_row, echo, enrich, folder, jail, load, load_into, manifest, module,
    numbers, settings,
};
use std::time::{Duration, Instant};
use tripline_host::operator::Rights;
use tripline_host::{Compiler, Fault, Host};

fn median_and_worst(mut samples: Vec<Duration>) -> String {
    samples.sort();
    let at = |share: usize| samples[(samples.len() - 1) * share / 100];
    format!("p50 {:?}, p99 {:?}", at(50), at(99))
}

#[test]
fn how_long_things_take() {
    if std::env::var_os("TRIPLINE_FIGURES").is_none() {
        eprintln!("skipped: set TRIPLINE_FIGURES to measure");
        return;
    }
    let bytes = numbers(&[1]);
    let short = "[limits]\ndeadline = \"5ms\"\n";
    let forever = module(&enrich("(loop $forever (br $forever)) unreachable"));
    let looping = load("enricher", &forever, short).expect("it loads");
    let samples = (0..300).map(|_| {
        let begun = Instant::now();
        let fault = looping.enrich(&batch(&bytes, 1)).expect_err("it is ended");
        assert!(matches!(fault, Fault::Deadline { .. }));
        begun.elapsed()
    });
    eprintln!("a loop with 5 ms: {}", median_and_worst(samples.collect()));

    let values: Vec<i64> = (0..256).collect();
    let many = numbers(&values);
    for mode in ["per-batch", "reused"] {
        let more = format!("[instance]\nmode = \"{mode}\"\n");
        let plugin = load("enricher", &module(&each_row("nop")), &more).expect("it loads");
        let samples = (0..20_000).map(|_| {
            let begun = Instant::now();
            plugin.enrich(&batch(&many, 256)).expect("an answer");
            begun.elapsed()
        });
        eprintln!("256 rows, {mode}: {}", median_and_worst(samples.collect()));
    }

    let sound = component("enricher", &echo());
    let mut settings = settings();
    settings.compiler = Compiler::Jail(jail());
    settings.cache = Some(folder("figures"));
    let host = Host::open(settings).expect("the host opens");
    let load = || {
        let begun = Instant::now();
        load_into(&host, &sound, manifest("enricher", ""), Rights::default()).expect("it loads");
        begun.elapsed()
    };
    eprintln!("{} bytes, compiled in a child: {:?}", sound.len(), load());
    let samples = (0..200).map(|_| load());
    eprintln!(
        "loaded from the cache: {}",
        median_and_worst(samples.collect())
    );
}
