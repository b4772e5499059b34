//! Runs the real binary, as a person or a script does.

mod answers;
mod authors;
mod backtest;
mod bad_input;
mod commands;
mod golden;
mod harness;
mod inputs;
mod insights;
mod labelled_cases;
mod learnt;
// The bus's own tests use more of it.
#[allow(dead_code)]
#[path = "../../../bus/src/nats/tests/launcher.rs"]
mod launcher;
mod memory;
mod order;
mod planners;
mod plugins;
mod printable;
mod proposals;
mod published_schemas;
mod readme;
mod real_data;
mod remediation;
mod remember;
mod serve;
mod sigma;
mod stateful;
mod supply;

/// Every test file beside this one is listed above.
#[test]
fn every_test_file_is_listed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let listed = std::fs::read_to_string(folder.join("main.rs")).expect("main.rs is here");
    for entry in std::fs::read_dir(&folder).expect("the folder is here") {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a plain name");
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(
                listed.contains(&format!("mod {module};")),
                "{module} is not listed"
            );
        }
    }
}
