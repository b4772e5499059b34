//! What one rule costs an event as a plugin here, beside the same rule natively, as a plain core module of wasmtime, and
//! as a plugin of extism: in one process, on one core, taken in turn.
//!
//! Every guest is compiled from the same Rust, and has to find what the native rule finds before anything is timed.

#[path = "../../plugins/guest.rs"]
mod guest;
#[path = "../../plugins/json.rs"]
mod json;
#[path = "../../plugins/measure.rs"]
mod measure;
#[path = "../../plugins/native.rs"]
mod native;
#[path = "../../plugins/pack.rs"]
mod pack;
#[path = "../../plugins/read.rs"]
mod read;
#[path = "../../plugins/rule.rs"]
mod rule;

mod core_module;
mod parsed;

use core_module::CoreModule;
use extism::{CompiledPlugin, PluginBuilder};
use pack::Packer;
use read::Reader;
use rule::{finds, rows};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tripline_core::diagnostic::Source;
use tripline_core::event::{Document, Parser};
use tripline_host::grant::{Means, Shared, SystemClock};
use tripline_host::manifest::{Limits, Manifest};
use tripline_host::operator::Rights;
use tripline_host::{Batch, Compiler, Host, Loading, Plugin, Settings};

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = here.join("target/guests");
    let ours = here.join("../plugins/guest");
    let manifest = std::fs::read_to_string(ours.join("plugin.toml")).expect("a manifest");
    let wit = here.join("../../wit");
    let component = guest::component(&ours, &target, "bench_guest.wasm", &manifest, &wit);
    let core = guest::module(&here.join("guests/core"), &target, "peer_core.wasm");
    let extism = guest::module(&here.join("guests/extism"), &target, "peer_extism.wasm");

    let host = Host::open(Settings::new(Compiler::InProcess)).expect("the engine starts");
    let fresh = load(&host, &component, &manifest);
    let reused = load(&host, &component, &manifest.replace("per-batch", "reused"));
    let core = CoreModule::new(&core);
    let mut core_reused = core.instance();
    let compiled = CompiledPlugin::new(PluginBuilder::new(extism)).expect("extism compiles it");
    let extism_fresh = || extism::Plugin::new_from_compiled(&compiled).expect("it starts");
    let mut extism_reused = extism_fresh();

    for size in [64, 256, 1024] {
        let rows = rows(size);
        let events: Vec<Vec<u8>> = rows.iter().map(json::event).collect();
        let bytes: usize = events.iter().map(Vec::len).sum();
        let found = rows.iter().filter(|row| finds(row)).count();
        let mut parsers: Vec<Parser> = rows.iter().map(|_| Parser::new()).collect();
        let parsed: Vec<Document<'_>> = parsers
            .iter_mut()
            .zip(&events)
            .map(|(parser, event)| parser.parse(event).expect("an event"))
            .collect();
        let mut reader = Reader::new();
        let (mut of_rows, mut of_events) = (Packer::new(), Packer::new());
        let packed = of_rows.pack_rows(&rows).to_vec();
        let mut each = extism_fresh();
        let mut works: Vec<(&str, Box<dyn FnMut() -> usize + '_>)> = vec![
            (
                "native, on rows that were read",
                Box::new(|| rows.iter().filter(|row| finds(row)).count()),
            ),
            (
                NATIVE,
                Box::new(|| parsed.iter().filter(|event| reader.finds(event)).count()),
            ),
            (
                NATIVE_JSON,
                Box::new(|| events.iter().filter(|event| parsed::finds(event)).count()),
            ),
            // As many as are found, as all of them tell.
            (
                PACKING_ROWS,
                Box::new(|| of_rows.pack_rows(&rows).len().min(found)),
            ),
            (
                PACKING_EVENTS,
                Box::new(|| of_events.pack_events(&parsed).len().min(found)),
            ),
            (NATIVE_PACKED, Box::new(|| native::finds(&packed))),
            (
                "here, packed, fresh instance",
                Box::new(|| detect(&fresh, &packed, size)),
            ),
            (
                "here, packed, reused",
                Box::new(|| detect(&reused, &packed, size)),
            ),
            (
                "core module, packed, fresh instance",
                Box::new(|| core.instance().find(&packed)),
            ),
            (
                "core module, packed, reused",
                Box::new(|| core_reused.find(&packed)),
            ),
            (
                "extism, packed, fresh instance",
                Box::new(|| batch(&mut extism_fresh(), &packed)),
            ),
            (
                "extism, packed, reused",
                Box::new(|| batch(&mut extism_reused, &packed)),
            ),
            (
                EXTISM_JSON,
                Box::new(|| events.iter().filter(|one| event(&mut each, one)).count()),
            ),
        ];
        for (name, work) in &mut works {
            assert_eq!(work(), found, "{name} agrees");
        }
        let sample = Duration::from_millis(20);
        let mut borrowed: Vec<&mut dyn FnMut() -> usize> = Vec::new();
        for (_, work) in &mut works {
            borrowed.push(work);
        }
        let figures = measure::in_turn(sample, size, &mut borrowed);
        drop(borrowed);
        println!(
            "### batches of {size}, events of {} bytes as JSON\n",
            bytes / size
        );
        println!(
            "| what | ns an event | rows packed too | times native so | events packed too | times native so |\n|---|---|---|---|---|---|"
        );
        let figure_of = |wanted: &str| {
            let at = works.iter().position(|(name, _)| *name == wanted);
            figures[at.expect("it is measured")]
        };
        for ((name, _), figure) in works.iter().zip(&figures) {
            if name.contains(", packed") {
                let rows = figure + figure_of(PACKING_ROWS);
                let native = figure_of(NATIVE_PACKED) + figure_of(PACKING_ROWS);
                let events = figure + figure_of(PACKING_EVENTS);
                println!(
                    "| {name} | {figure:.1} | {rows:.1} | {:.2} | {events:.1} | {:.2} |",
                    rows / native,
                    events / figure_of(NATIVE)
                );
            } else {
                println!("| {name} | {figure:.1} | | | | |");
            }
        }
        let times = figure_of(EXTISM_JSON) / figure_of(NATIVE_JSON);
        println!("\nextism by JSON is {times:.2} times native from JSON.");
        println!();
    }
}

/// What those are compared with for which rows are packed: the source of the guests on the same batch.
const NATIVE_PACKED: &str = "native, packed";
/// What those are compared with for which events are packed.
const NATIVE: &str = "native, from parsed events";
/// What those are compared with that are given JSON.
const NATIVE_JSON: &str = "native, from JSON";
const EXTISM_JSON: &str = "extism, JSON one by one, reused";
const PACKING_ROWS: &str = "packing rows that were read";
const PACKING_EVENTS: &str = "packing parsed events";

fn detect(plugin: &Plugin, bytes: &[u8], rows: usize) -> usize {
    let events = None;
    let batch = Batch {
        bytes,
        rows,
        events,
        until: None,
    };
    let answer = plugin.detect(&batch).expect("the guest answers");
    answer.value.len()
}

fn batch(plugin: &mut extism::Plugin, packed: &[u8]) -> usize {
    let found: Vec<u8> = plugin.call("batch", packed).expect("the guest answers");
    found.len() / 4
}

fn event(plugin: &mut extism::Plugin, event: &[u8]) -> bool {
    let found: Vec<u8> = plugin.call("event", event).expect("the guest answers");
    found == [1]
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
