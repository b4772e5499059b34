//! The shape of the house, guarded: who may know whom, how long a file may be, what every file starts with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates that must never be reachable from core, because each drags a world behind it.
const NEVER_IN_CORE: [&str; 8] = [
    "wasmtime",
    "datafusion",
    "arrow",
    "parquet",
    "async-nats",
    "fjall",
    "tokio",
    "hyper",
];

/// Modules of core, lowest first; a module may use those before it on the list.
const FLOORS: [&str; 14] = [
    "limits",
    "diagnostic",
    "event",
    "selector",
    "rule",
    "insight",
    "sigma",
    "wire",
    "port",
    "evaluate",
    "state",
    "pipeline",
    "rule_test",
    "sample",
];

/// Modules that stand beside the floors: all they may use.
const BESIDE: [(&str, &[&str]); 1] = [("sample", &["event"])];

/// Longest source file, tests at its end not counted.
const LINES_MAX: usize = 700;

fn core() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()))
    {
        let path = entry.expect("folder entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn heavy_crates_stay_out_of_core() {
    let manifest: toml::Table = read(&core().join("Cargo.toml"))
        .parse()
        .expect("core's Cargo.toml is TOML");
    let lock: toml::Table = read(&core().join("../../Cargo.lock"))
        .parse()
        .expect("Cargo.lock is TOML");
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name").to_owned();
        let empty = Vec::new();
        let wanted = package
            .get("dependencies")
            .and_then(|all| all.as_array())
            .unwrap_or(&empty);
        let wanted = wanted
            .iter()
            .filter_map(|one| one.as_str()?.split(' ').next());
        needs
            .entry(name)
            .or_default()
            .extend(wanted.map(str::to_owned));
    }
    // The lock file mixes in what only tests need, so the walk starts from the manifest's own list.
    let mut waiting: Vec<String> = manifest["dependencies"]
        .as_table()
        .expect("dependencies")
        .keys()
        .cloned()
        .collect();
    assert!(!waiting.is_empty());
    let mut reached = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if reached.insert(name.clone()) {
            waiting.extend(needs.get(&name).cloned().unwrap_or_default());
        }
    }
    for name in NEVER_IN_CORE {
        assert!(!reached.contains(name), "core can reach {name}");
    }
    assert!(
        !reached.contains("cel"),
        "the cel crate is an oracle for tests, not a part of core"
    );
}

#[test]
fn modules_only_look_down() {
    let folder = core().join("src");
    let floor_of = |name: &str| FLOORS.iter().position(|floor| *floor == name);
    let mut looked_at = 0;
    for path in sources(&folder) {
        let relative = path.strip_prefix(&folder).expect("below src");
        let module = relative
            .iter()
            .next()
            .and_then(|one| one.to_str())
            .unwrap_or("");
        let module = module.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let own = floor_of(module)
            .unwrap_or_else(|| panic!("{module} stands on no floor: add it to FLOORS"));
        let beside = BESIDE.iter().find(|(name, _)| *name == module);
        for (number, line) in read(&path).lines().enumerate() {
            for used in line.split("crate::").skip(1) {
                let used: String = used
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let Some(floor) = floor_of(&used) else {
                    continue;
                };
                let allowed = match beside {
                    Some((_, allowed)) => used == module || allowed.contains(&used.as_str()),
                    None => floor <= own,
                };
                looked_at += 1;
                assert!(
                    allowed,
                    "{}:{}: {module} uses {used}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
    assert!(looked_at > 10, "the test no longer sees the imports");
}

#[test]
fn every_file_says_what_it_is_for_and_is_short_enough() {
    let root = core().join("../..");
    let folders = [
        "engine/core/src",
        "engine/bus/src",
        "engine/store/src",
        "engine/sim/src",
        "engine/server/src",
        "benches/src",
        "benches/benches",
    ];
    for folder in folders.map(|folder| root.join(folder)) {
        if !folder.exists() {
            continue;
        }
        for path in sources(&folder) {
            let text = read(&path);
            let tests = path
                .components()
                .any(|part| part.as_os_str().to_string_lossy().starts_with("tests"));
            assert!(
                tests || text.starts_with("//!"),
                "{} has no header",
                path.display()
            );
            let own = text.lines().position(|line| line == "#[cfg(test)]");
            let lines = own.unwrap_or_else(|| text.lines().count());
            assert!(
                tests || lines <= LINES_MAX,
                "{} has {lines} lines before its tests",
                path.display()
            );
        }
    }
}

#[test]
fn every_test_file_is_run() {
    for binary in ["engine/core/tests/it", "engine/server/tests/it"] {
        let folder = core().join("../..").join(binary);
        if !folder.exists() {
            continue;
        }
        let main = read(&folder.join("main.rs"));
        for path in sources(&folder) {
            let relative = path.strip_prefix(&folder).expect("below the folder");
            if relative.components().count() > 1 {
                continue;
            }
            let name = path.file_stem().and_then(|one| one.to_str()).unwrap_or("");
            let listed = name == "main" || main.contains(&format!("mod {name};"));
            assert!(listed, "{} is not listed in main.rs", path.display());
        }
    }
}
