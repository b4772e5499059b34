//! What a plugin costs an event, beside the same rule natively, in one process on one core.
//!
//! The guest is built from source by cargo for `wasm32-unknown-unknown` and encoded with the library that
//! `tripline plugin build` uses. Times are thread CPU time, medians of samples taken in turn.

mod guest;
mod json;
mod measure;
mod pack;
mod read;
mod rule;

use measure::{in_turn, median};
use pack::Packer;
use read::Reader;
use rule::{finds, rows};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tripline_core::diagnostic::Source;
use tripline_core::event::{Document, Parser};
use tripline_host::grant::{Means, Shared, SystemClock};
use tripline_host::manifest::{Limits, Manifest};
use tripline_host::operator::Rights;
use tripline_host::{Batch, Compiler, Host, Loading, Plugin, Settings};

fn main() {
    // `cargo bench` and `cargo test --benches` give words that are not ours.
    let is_test = std::env::args().any(|word| word == "--test");
    let mut words = std::env::args().skip_while(|word| word != "--only");
    let only = words.nth(1);
    let wants = |section: &str| only.as_deref().is_none_or(|only| only == section);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let manifest = std::fs::read_to_string(here.join("guest/plugin.toml")).expect("a manifest");
    let folder = here.join("guest");
    let target = here.join("../../target/bench-guest");
    let wit = here.join("../../wit");
    let component = guest::component(&folder, &target, "bench_guest.wasm", &manifest, &wit);
    let sample = Duration::from_millis(if is_test { 1 } else { 20 });
    let host = host(None);
    let fresh = load(&host, &component, &manifest);
    let reusing = manifest.replace("per-batch", "reused");
    let reused = load(&host, &component, &reusing);
    if wants("cost") {
        cost(&fresh, &reused, sample);
    }
    if wants("instances") {
        instances(&fresh, is_test);
    }
    if wants("loading") {
        loading(&component, &manifest, is_test);
    }
    if wants("idle") {
        idle(&component, &manifest, if is_test { 10 } else { 1000 });
    }
}

/// A plugin beside the same rule natively, once on rows whose fields were read before, and once from parsed events.
fn cost(fresh: &Plugin, reused: &Plugin, sample: Duration) {
    println!("### plugin against native, ns an event\n");
    println!(
        "| batch | from | native | packing | fresh | fresh + packing | / native | reused | reused + packing | / native |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for size in [64, 256, 1024] {
        let rows = rows(size);
        let texts: Vec<Vec<u8>> = rows.iter().map(json::event).collect();
        let mut parsers: Vec<Parser> = rows.iter().map(|_| Parser::new()).collect();
        let parsed = parsers.iter_mut().zip(&texts);
        let events: Vec<Document<'_>> = parsed
            .map(|(parser, text)| parser.parse(text).expect("an event"))
            .collect();
        let found = rows.iter().filter(|row| finds(row)).count();
        let (mut of_rows, mut of_events) = (Packer::new(), Packer::new());
        let mut reader = Reader::new();
        let packed = of_rows.pack_rows(&rows).to_vec();
        assert_eq!(packed, of_events.pack_events(&events), "the same is packed");
        let native = events.iter().filter(|event| reader.finds(event)).count();
        assert_eq!(native, found, "the same is read");
        for plugin in [fresh, reused] {
            assert_eq!(detect(plugin, &packed, size), found, "the guest agrees");
        }
        let figures = in_turn(
            sample,
            size,
            &mut [
                &mut || rows.iter().filter(|row| finds(row)).count(),
                &mut || of_rows.pack_rows(&rows).len(),
                &mut || events.iter().filter(|event| reader.finds(event)).count(),
                &mut || of_events.pack_events(&events).len(),
                &mut || detect(fresh, &packed, size),
                &mut || detect(reused, &packed, size),
            ],
        );
        let [native, packing, native_read, packing_read, fresh, reused] = figures[..] else {
            panic!("six figures");
        };
        for (from, native, packing) in [
            ("rows", native, packing),
            ("events", native_read, packing_read),
        ] {
            let (once, again) = (fresh + packing, reused + packing);
            println!(
                "| {size} | {from} | {native:.1} | {packing:.1} | {fresh:.1} | {once:.1} | {:.1} | {reused:.1} | {again:.1} | {:.1} |",
                once / native,
                again / native
            );
        }
    }
    println!();
}

fn detect(plugin: &Plugin, bytes: &[u8], rows: usize) -> usize {
    let batch = Batch {
        bytes,
        rows,
        events: None,
        until: None,
    };
    plugin
        .detect(&batch)
        .expect("the guest answers")
        .value
        .len()
}

fn host(cache: Option<PathBuf>) -> Host {
    let mut settings = Settings::new(Compiler::InProcess);
    settings.cache = cache;
    Host::open(settings).expect("the engine starts")
}

fn load(host: &Host, component: &[u8], manifest: &str) -> Plugin {
    let source = Arc::new(Source {
        name: "plugin.toml".to_owned(),
        text: manifest.to_owned(),
    });
    let means = Means {
        base: Path::new("."),
        clock: Arc::new(SystemClock),
        kv: None,
        secret: &|_| None,
        requests_per_minute: 1,
    };
    let loading = Loading {
        component,
        manifest: Manifest::read(&source).expect("the manifest is sound"),
        limits: Limits::MOST,
        shared: Arc::new(Shared::open(Rights::default(), means).expect("nothing is granted")),
        config: None,
        log: None,
    };
    host.load(loading).expect("it starts")
}

/// A fresh instance for a call about one event, by the clock.
fn instances(plugin: &Plugin, is_test: bool) {
    let rows = rows(1);
    let packed = Packer::new().pack_rows(&rows).to_vec();
    let calls = if is_test { 100 } else { 20_000 };
    let mut times: Vec<f64> = (0..calls)
        .map(|_| {
            let begun = Instant::now();
            detect(plugin, &packed, 1);
            begun.elapsed().as_nanos() as f64 / 1000.0
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    println!("### a fresh instance and one call, by the clock, us\n");
    println!("| p50 | p99 | p99.9 |\n|---|---|---|");
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("| {:.1} | {:.1} | {:.1} |\n", at(0.5), at(0.99), at(0.999));
}

/// Compiling, and loading what was compiled.
fn loading(component: &[u8], manifest: &str, is_test: bool) {
    let folder = std::env::temp_dir().join(format!("tripline-bench-{}", std::process::id()));
    let milliseconds = |host: &Host| {
        let begun = Instant::now();
        drop(load(host, component, manifest));
        begun.elapsed().as_nanos() as f64 / 1e6
    };
    let first = milliseconds(&host(Some(folder.clone())));
    let rounds = if is_test { 2 } else { 51 };
    let kept = host(Some(folder.clone()));
    let again = median((0..rounds).map(|_| milliseconds(&kept)).collect());
    println!(
        "### loading a component of {} KiB, ms\n",
        component.len() / 1024
    );
    println!("| compiled here | from the cache |\n|---|---|\n| {first:.1} | {again:.2} |\n");
    let _ = std::fs::remove_dir_all(folder);
}

/// Memory of plugins that are loaded and asked nothing.
fn idle(component: &[u8], manifest: &str, count: usize) {
    let folder = std::env::temp_dir().join(format!("tripline-bench-idle-{}", std::process::id()));
    let cached = host(Some(folder.clone()));
    drop(load(&cached, component, manifest));
    let before = resident();
    let plugins: Vec<Plugin> = (0..count)
        .map(|_| load(&cached, component, manifest))
        .collect();
    let after = resident();
    println!("### idle plugins\n\n| plugins | KiB each |\n|---|---|");
    println!(
        "| {} | {:.0} |",
        plugins.len(),
        (after - before) as f64 / count as f64
    );
    let _ = std::fs::remove_dir_all(folder);
}

/// KiB of this process in memory.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.into_iter().flat_map(str::split_whitespace);
    words
        .filter_map(|word| word.parse().ok())
        .next()
        .unwrap_or(0)
}
