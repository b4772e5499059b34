//! The seeds of the fuzz targets for what channels read of strangers, and every input that once broke one, run as a plain test.
//!
//! The checks are the targets' own: files of `engine/fuzz/checks`, which are included here and there.

use std::path::Path;

#[path = "../../../fuzz/checks/channel_audit_events.rs"]
mod audit_events;
#[path = "../../../fuzz/checks/channel_body.rs"]
mod body;
#[path = "../../../fuzz/checks/channel_cloud_events.rs"]
mod cloud_events;
#[path = "../../../fuzz/checks/channel_hec.rs"]
mod hec;
#[path = "../../../fuzz/checks/channel_otlp.rs"]
mod otlp;
#[path = "../../../fuzz/checks/channel_shape.rs"]
mod shape;
#[path = "../../../fuzz/checks/channel_signature.rs"]
mod signature;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(format!("channel_{target}"));
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

#[test]
fn every_seed_passes_its_check() {
    replay("audit_events", audit_events::run);
    replay("body", body::run);
    replay("cloud_events", cloud_events::run);
    replay("hec", hec::run);
    replay("otlp", otlp::run);
    replay("shape", shape::run);
    replay("signature", signature::run);
}
