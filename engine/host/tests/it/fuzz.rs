//! The seeds of the fuzz targets for what plugins, their authors and operators write, and every input that once broke one.
//!
//! The checks are the targets' own. Seeds that are text are in the repository; those of components, batches and databases are
//! made here, since no binary is kept there, and `cargo fuzz run --features plugins` is given the folders that this prints.

use crate::guest::{component, each_row, echo, enrich, folder, hits, module, numbers, scores};
use crate::mutate::Mutator;
use std::path::Path;
use tripline_host::batch::{BatchWriter, ColumnKind, ColumnWriter};

#[path = "../../../fuzz/checks/batch.rs"]
mod batch;
#[path = "../../../fuzz/checks/component.rs"]
mod check;
#[path = "../../../fuzz/checks/lookup.rs"]
mod lookup;
#[path = "../../../fuzz/checks/operator.rs"]
mod operator;
#[path = "../../../fuzz/checks/plugin_manifest.rs"]
mod plugin_manifest;
#[path = "../../../fuzz/checks/scan.rs"]
mod scan;
#[path = "../../../fuzz/checks/url.rs"]
mod url;

fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let entries = std::fs::read_dir(&folder).expect("the corpus is in the repository");
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    for path in paths {
        println!("{}", path.display());
        run(&std::fs::read(&path).expect("the seed can be read"));
    }
}

fn text(run: fn(&str)) -> impl Fn(&[u8]) {
    move |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            run(text);
        }
    }
}

/// Runs seeds that are made here, and leaves them for the target.
fn made(target: &str, seeds: Vec<(&str, Vec<u8>)>, run: impl Fn(&[u8])) {
    let folder = folder(&format!("fuzz-{target}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, bytes) in seeds {
        run(&bytes);
        std::fs::write(folder.join(name), bytes).expect("written");
    }
    println!("{}", folder.display());
}

#[test]
fn every_seed_passes_its_check() {
    replay("lookup", lookup::run);
    replay("operator", text(operator::run));
    replay("plugin_manifest", text(plugin_manifest::run));
    replay("url", text(url::run));
}

/// Components of guests that do well and of such that do not.
fn components() -> Vec<(&'static str, Vec<u8>)> {
    let forever = "(loop $forever (br $forever)) unreachable";
    let enricher = |text: &str| component("enricher", text);
    vec![
        ("echo", enricher(&echo())),
        ("rows", enricher(&module(&each_row("nop")))),
        ("trap", enricher(&module(&enrich("unreachable")))),
        ("loop", enricher(&module(&enrich(forever)))),
        (
            "detector",
            component("detector", &module(&hits(&[(0, 1, 0.5)], "title"))),
        ),
        ("scorer", component("scorer", &scores(&[0.5]))),
    ]
}

#[test]
fn every_component_passes_its_check() {
    made("component", components(), |bytes| {
        scan::run(bytes);
        check::run(bytes);
    });
}

/// One in so many mutants goes on from the scan to the compiler, which takes a hundred times as long.
const COMPILED_EVERY: u32 = 16;

/// Not led by coverage, as fuzzing is, but it needs no other compiler; `TRIPLINE_MUTANTS` says how many.
#[test]
fn mutants_pass_their_check() {
    let count = std::env::var("TRIPLINE_MUTANTS").ok();
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(2_000);
    let seeds: Vec<Vec<u8>> = components().into_iter().map(|(_, bytes)| bytes).collect();
    let mut mutator = Mutator::new(1);
    for number in 0..count {
        let mutant = mutator.mutant(&seeds);
        scan::run(&mutant);
        if number % COMPILED_EVERY == 0 {
            check::run(&mutant);
        }
    }
}

#[test]
fn every_batch_passes_its_check() {
    let led = |kinds: &[ColumnKind], rows: usize, packed: &[u8]| {
        let mut bytes = vec![rows as u8, kinds.len() as u8];
        let place = |kind: &ColumnKind| ColumnKind::ALL.iter().position(|one| one == kind);
        bytes.extend(kinds.iter().filter_map(place).map(|place| place as u8));
        bytes.extend(packed);
        bytes
    };
    let mut columns = ColumnKind::ALL.map(ColumnWriter::new);
    for row in 0..3 {
        let [bools, ints, floats, texts @ ..] = &mut columns;
        bools.push_bool(row == 1);
        match row {
            1 => ints.push_absent(),
            _ => ints.push_int(row),
        }
        floats.push_float(row as f64 / 2.0);
        for column in texts {
            column.push_text(["", "a", "\u{e9}"][row as usize]);
        }
    }
    let all = BatchWriter::default().pack(3, columns.iter()).to_vec();
    let seeds = vec![
        ("all", led(&ColumnKind::ALL, 3, &all)),
        ("numbers", led(&[ColumnKind::Int], 2, &numbers(&[1, -1]))),
    ];
    made("batch", seeds, batch::run);
}

#[test]
fn every_database_passes_its_check() {
    // Lengths from 29 on are written in a byte of their own.
    let text = |text: &str| match text.len() as u8 {
        length @ ..29 => [&[0x40 | length], text.as_bytes()].concat(),
        length => [&[0x5d, length - 29], text.as_bytes()].concat(),
    };
    // A tree of one node over IPv4, of which the lower half has a record.
    let database = |kind: &str, record: &[u8]| {
        let mut bytes = b"m1.2.3.4 200.1.1.1 ::1\n".to_vec();
        bytes.extend([0, 0, 17, 0, 0, 1]);
        bytes.extend([0; 16]);
        bytes.extend(record);
        bytes.extend(b"\xab\xcd\xefMaxMind.com\xe9");
        let fields: [(&str, Vec<u8>); 9] = [
            ("node_count", vec![0xc1, 1]),
            ("record_size", vec![0xa1, 24]),
            ("ip_version", vec![0xa1, 4]),
            ("database_type", text(kind)),
            ("languages", vec![0x00, 0x04]),
            ("binary_format_major_version", vec![0xa1, 2]),
            ("binary_format_minor_version", vec![0xa0]),
            ("build_epoch", vec![0x00, 0x02]),
            ("description", vec![0xe0]),
        ];
        for (name, value) in fields {
            bytes.extend(text(name));
            bytes.extend(value);
        }
        bytes
    };
    let number = [
        vec![0xe2],
        text("autonomous_system_number"),
        vec![0xc2, 1, 0],
        text("autonomous_system_organization"),
        text("Example"),
    ]
    .concat();
    let record = [vec![0xe1], text("a"), text("b")].concat();
    let seeds = vec![
        ("number", database("GeoLite2-ASN", &number)),
        ("record", database("Own", &record)),
    ];
    made("lookup", seeds, lookup::run);
}
