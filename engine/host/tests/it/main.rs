//! The host's tests: guests are written as text, made into components here, and behave as badly as they can.

mod cache;
mod calls;
mod compile;
mod contract;
mod figures;
mod fuzz;
mod grants;
mod guest;
mod hostile;
mod mutate;
mod planners;
mod poison;

#[test]
fn every_file_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).expect("the folder of tests") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        let name = name.trim_end_matches(".rs");
        assert!(
            name == "main" || listed.contains(&format!("mod {name};\n")),
            "{name}.rs is not listed"
        );
    }
}
