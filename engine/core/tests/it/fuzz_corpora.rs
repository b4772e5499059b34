//! The seeds of the fuzz targets, and every input that once broke one, run as a plain test.
//!
//! The checks are the targets' own: a target is a file of `engine/fuzz/checks`, which is included here, so the
//! corpora are replayed without a nightly compiler.

use std::path::Path;

#[path = "../../../fuzz/checks/evaluate.rs"]
mod evaluate;
#[path = "../../../fuzz/checks/event.rs"]
mod event;
#[path = "../../../fuzz/checks/rule.rs"]
mod rule;
#[path = "../../../fuzz/checks/selector.rs"]
mod selector;
#[path = "../../../fuzz/checks/sigma.rs"]
mod sigma;

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

#[test]
fn every_seed_passes_its_check() {
    replay("evaluate", text(evaluate::run));
    replay("event", event::run);
    replay("rule", text(rule::run));
    replay("selector", text(selector::run));
    replay("sigma", text(sigma::run));
}
