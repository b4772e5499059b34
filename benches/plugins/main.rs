//! What a plugin costs an event, beside the same rule natively, in one process on one core.
//!
//! The guest is built from source by cargo for `wasm32-unknown-unknown` and encoded with the library that
//! `tripline plugin build` uses. Times are thread CPU time, medians of samples taken in turn.

mod guest;
mod json;
mod languages;
mod loading;
mod measure;
mod native;
mod pack;
mod read;
mod rule;

use languages::{Guest, languages, of_languages};
use loading::{child, host, idle, instances, loading};
use measure::in_turn;
use pack::Packer;
use read::Reader;
use rule::{finds, rows};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tripline_core::diagnostic::Source;
use tripline_core::event::{Document, Parser};
use tripline_host::grant::{Means, Shared, SystemClock};
use tripline_host::manifest::{Limits, Manifest};
use tripline_host::operator::Rights;
use tripline_host::{Batch, Compiler, Host, Loading, Plugin};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(loading::CHILD) {
        return tripline_host::jail::child_main();
    }
    // `cargo bench` and `cargo test --benches` give words that are not ours.
    let is_test = std::env::args().any(|word| word == "--test");
    let mut words = std::env::args().skip_while(|word| word != "--only");
    let only = words.nth(1);
    let wants = |section: &str| only.as_deref().is_none_or(|only| only == section);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let folder = here.join("guest");
    let manifest = std::fs::read_to_string(folder.join("plugin.toml")).expect("a manifest");
    let target = here.join("../../target/bench-guest");
    let wit = here.join("../../wit");
    let rust = Guest {
        name: "rust".to_owned(),
        component: guest::component(&folder, &target, "bench_guest.wasm", &manifest, &wit),
        manifest,
    };
    let sample = Duration::from_millis(if is_test { 1 } else { 20 });
    let inside = host(Compiler::InProcess, None);
    let fresh = load(&inside, &rust.component, &rust.manifest);
    let reusing = rust.manifest.replace("per-batch", "reused");
    let reused = load(&inside, &rust.component, &reusing);
    if wants("cost") {
        cost(&fresh, &reused, sample);
    }
    if wants("instances") {
        instances([("fresh", &fresh), ("reused", &reused)], is_test);
    }
    if wants("idle") {
        idle(&rust, if is_test { 10 } else { 1000 });
    }
    let mut guests = vec![rust];
    if !is_test {
        guests.extend(of_languages(&here.join("languages")));
    }
    if wants("languages") {
        // Some take the compiler half a minute, once.
        let kept = target.join("compiled");
        languages(&host(child(), Some(&kept)), &guests, sample);
    }
    if wants("loading") {
        loading(&guests, is_test);
    }
    ExitCode::SUCCESS
}

/// A plugin beside the same rule natively: on rows whose fields were read before, on the batch that they were packed into, and from
/// parsed events.
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
        assert_eq!(native::finds(&packed), found, "the same is unpacked");
        for plugin in [fresh, reused] {
            assert_eq!(detect(plugin, &packed, size), found, "the guest agrees");
        }
        let figures = in_turn(
            sample,
            size,
            &mut [
                &mut || rows.iter().filter(|row| finds(row)).count(),
                &mut || of_rows.pack_rows(&rows).len(),
                &mut || native::finds(&packed),
                &mut || events.iter().filter(|event| reader.finds(event)).count(),
                &mut || of_events.pack_events(&events).len(),
                &mut || detect(fresh, &packed, size),
                &mut || detect(reused, &packed, size),
            ],
        );
        let [
            native,
            packing,
            unpacking,
            native_read,
            packing_read,
            fresh,
            reused,
        ] = figures[..]
        else {
            panic!("seven figures");
        };
        for (from, native, packing) in [
            ("rows", native, packing),
            ("rows, packed for both", unpacking + packing, packing),
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
