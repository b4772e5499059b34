//! Packs files of the repository into the binary: the rules, so that it finds things without being told where, and what
//! `tripline plugin new` makes projects of.
//!
//! Writes lists of `include_str!`; the texts themselves are never copied or changed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folders and files that compilers and package managers make.
const MADE: [&str; 5] = ["target", "node_modules", "__pycache__", "tests", "released"];

fn main() -> io::Result<()> {
    let top = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    let top = top.canonicalize()?;
    let is_rule = |path: &Path| has_extension(path, &["toml", "json", "csv"]);
    pack(
        "shipped.rs",
        &top.join("rules"),
        "rules/",
        &[""],
        &is_rule,
        &[],
    )?;
    let all = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name != "package-lock.json" && name != "Cargo.lock"
    };
    let sdk = top.join("sdk");
    let templates = ["templates"];
    pack("templates.rs", &sdk, "", &templates, &all, &MADE[..3])?;
    let parts = ["rust", "python/tripline_plugin", "js", "go", "c"];
    let is_sdk = |path: &Path| all(path) && is_source(path);
    pack("sdk.rs", &sdk, "", &parts, &is_sdk, &MADE)?;
    let is_wit = |path: &Path| has_extension(path, &["wit"]);
    pack("wit.rs", &top.join("wit"), "", &[""], &is_wit, &MADE)
}

/// What of an SDK a plugin is built with, tests left out.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_test = name.ends_with("_test.go");
    has_extension(path, &["rs", "toml", "py", "js", "go", "mod", "h"]) && !is_test
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| known.contains(&extension))
}

/// A list of the files in some folders below `root`, by their paths from there.
fn pack(
    to: &str,
    root: &Path,
    prefix: &str,
    folders: &[&str],
    wanted: &dyn Fn(&Path) -> bool,
    left_out: &[&str],
) -> io::Result<()> {
    let mut files = Vec::new();
    for folder in folders {
        collect(&root.join(folder), wanted, left_out, &mut files)?;
    }
    files.sort();
    let mut text = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(root).unwrap_or(file).display();
        let _ = writeln!(
            text,
            "    ({:?}, include_str!({file:?})),",
            format!("{prefix}{name}")
        );
    }
    text.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default()).join(to);
    fs::write(out, text)
}

fn collect(
    folder: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    left_out: &[&str],
    files: &mut Vec<PathBuf>,
) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !left_out.contains(&name.as_ref()) {
                collect(&path, wanted, left_out, files)?;
            }
        } else if wanted(&path) {
            files.push(path);
        }
    }
    Ok(())
}
