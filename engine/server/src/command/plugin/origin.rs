//! What a plugin is made of and with, as `build` writes it into the component for `inspect` and other tools.
//!
//! Packages are those that cargo resolved for the target, in the form of cargo-auditable, whose readers and scanners find
//! them; licenses are in a section of our own, since that form has no place for them. Nothing here depends on the
//! machine or the time, so that the same sources give the same bytes. The commit is not written: what is built may differ from it.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use tripline_host::manifest::Manifest;
use tripline_host::provenance::{LICENSES_SECTION, PACKAGES_SECTION};
use tripline_sdk_component::Origin;

/// What every plugin says: its version, licence and description, and that this program made it.
pub(super) fn of_manifest(manifest: &Manifest) -> Origin {
    let mut origin = Origin::default();
    producer(
        &mut origin,
        "processed-by",
        "tripline",
        env!("CARGO_PKG_VERSION"),
    );
    note(&mut origin, "version", &manifest.version.to_string());
    note(&mut origin, "licenses", &manifest.license);
    note(&mut origin, "description", &manifest.description);
    origin
}

/// The language, and the tool with what it says is its version.
pub(super) fn made_with(origin: &mut Origin, language: &str, tool: &str, version: &str) {
    producer(origin, "language", language, "");
    producer(origin, "processed-by", tool, version);
}

/// What a tool says is its version: nothing when it does not say.
pub(super) fn version_of(folder: &Path, program: &str, words: &[&str]) -> String {
    let told = Command::new(program)
        .args(words)
        .current_dir(folder)
        .output();
    let text = match told {
        Ok(told) if told.status.success() => told.stdout,
        _ => return String::new(),
    };
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default().trim();
    // `rustc 1.95.0 (59807616e 2026-04-14)`, `go version go1.25 linux/amd64`, `0.15.1`: from the first digit on.
    let from = line
        .find(|one: char| one.is_ascii_digit())
        .unwrap_or(line.len());
    line[from..].to_owned()
}

fn note(origin: &mut Origin, name: &str, text: &str) {
    if !text.is_empty() {
        origin
            .sections
            .push((name.to_owned(), text.as_bytes().to_vec()));
    }
}

fn producer(origin: &mut Origin, role: &str, name: &str, version: &str) {
    let texts = [role, name, version].map(str::to_owned);
    origin.producers.push(texts.into());
}

/// What `cargo metadata` says of the package with the id `root` and everything that it is built from.
pub(super) fn of_cargo(origin: &mut Origin, metadata: &Value, root: &str) -> io::Result<()> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let packages: BTreeMap<&str, &Value> = packages
        .filter_map(|one| Some((one["id"].as_str()?, one)))
        .collect();
    let own = packages.get(root).copied().unwrap_or(&Value::Null);
    let authors = own["authors"].as_array().into_iter().flatten();
    let authors: Vec<&str> = authors.filter_map(Value::as_str).collect();
    note(origin, "authors", &authors.join(", "));
    for (name, key) in [("source", "repository"), ("homepage", "homepage")] {
        note(origin, name, own[key].as_str().unwrap_or_default());
    }
    let used = used(metadata, &packages, root);
    // By name and version, so that the order of ids, which hold paths, makes no difference.
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let mut order: Vec<&str> = used.keys().copied().collect();
    order.sort_by_key(|id| {
        let one = packages[id];
        (text(one, "name"), text(one, "version"), source_of(one))
    });
    let mut licenses = BTreeMap::new();
    let mut list = Vec::with_capacity(order.len());
    for id in &order {
        let (one, uses) = (packages[id], &used[id]);
        let mut package = json!({
            "name": text(one, "name"),
            "version": text(one, "version"),
            "source": source_of(one),
        });
        if uses.is_for_build {
            package["kind"] = "build".into();
        }
        let mut dependencies: Vec<usize> = uses
            .dependencies
            .iter()
            .filter_map(|dependency| order.iter().position(|one| one == dependency))
            .collect();
        dependencies.sort_unstable();
        dependencies.dedup();
        if !dependencies.is_empty() {
            package["dependencies"] = dependencies.into();
        }
        if *id == root {
            package["root"] = true.into();
        }
        list.push(package);
        let key = format!("{} {}", text(one, "name"), text(one, "version"));
        if let Some(license) = one["license"].as_str() {
            licenses.insert(key, license.to_owned());
        }
    }
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(json!({ "packages": list }).to_string().as_bytes())?;
    origin
        .sections
        .push((PACKAGES_SECTION.to_owned(), zlib.finish()?));
    let licenses = serde_json::to_vec(&licenses)?;
    origin
        .sections
        .push((LICENSES_SECTION.to_owned(), licenses));
    Ok(())
}

struct Used<'m> {
    is_for_build: bool,
    dependencies: Vec<&'m str>,
}

/// What the root needs: what becomes part of the module, and what only helps to build it. Dependencies of tests are
/// neither.
fn used<'m>(
    metadata: &'m Value,
    packages: &BTreeMap<&'m str, &'m Value>,
    root: &'m str,
) -> BTreeMap<&'m str, Used<'m>> {
    let nodes = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten();
    let nodes: BTreeMap<&str, &Value> = nodes
        .filter_map(|one| Some((one["id"].as_str()?, one)))
        .collect();
    let mut used: BTreeMap<&str, Used<'_>> = BTreeMap::new();
    let mut waiting = VecDeque::from([(root, false)]);
    while let Some((id, is_for_build)) = waiting.pop_front() {
        let Some(package) = packages.get(id) else {
            continue;
        };
        let is_for_build = is_for_build || is_macro(package);
        match used.get(id) {
            // It was seen as part of the module, or as it is now.
            Some(known) if !known.is_for_build || is_for_build => continue,
            _ => {}
        }
        let edges = nodes.get(id).map(|node| &node["deps"]);
        let edges = edges.and_then(Value::as_array).into_iter().flatten();
        let mut dependencies = Vec::new();
        for edge in edges {
            let kinds = edge["dep_kinds"].as_array().into_iter().flatten();
            let kinds: Vec<Option<&str>> = kinds.map(|one| one["kind"].as_str()).collect();
            let Some(dependency) = edge["pkg"].as_str() else {
                continue;
            };
            let is_normal = kinds.contains(&None);
            if is_normal || kinds.contains(&Some("build")) {
                dependencies.push(dependency);
                waiting.push_back((dependency, is_for_build || !is_normal));
            }
        }
        let uses = Used {
            is_for_build,
            dependencies,
        };
        used.insert(id, uses);
    }
    used
}

/// Macros run in the compiler and are no part of what it makes.
fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    let mut kinds = targets.flat_map(|one| one["kind"].as_array().into_iter().flatten());
    kinds.any(|kind| kind == "proc-macro")
}

/// The words of cargo-auditable: paths and addresses of a maker's own are nobody's business.
fn source_of(package: &Value) -> &'static str {
    match package["source"].as_str() {
        None => "local",
        Some(source) if source.starts_with("git+") => "git",
        Some("registry+https://github.com/rust-lang/crates.io-index")
        | Some("sparse+https://index.crates.io/") => "crates.io",
        Some(_) => "registry",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::ZlibDecoder;
    use std::io::Read;

    /// `a` uses `b`, the macro `m`, which uses `b` and `s`, and `t` in its tests; `b` builds with `s`.
    fn metadata() -> Value {
        let package = |id: &str, kind: &str, source: Value, license: Value| {
            json!({
                "id": id, "name": id, "version": "1.0.0", "source": source, "license": license,
                "authors": ["Ada", "Bob"], "repository": "https://example.com/a",
                "targets": [{ "kind": [kind] }],
            })
        };
        let index = json!("registry+https://github.com/rust-lang/crates.io-index");
        let edge = |id: &str, kinds: &[Value]| {
            let kinds = kinds.iter().map(|kind| json!({ "kind": kind }));
            json!({ "pkg": id, "dep_kinds": kinds.collect::<Vec<_>>() })
        };
        let (normal, build, dev) = (Value::Null, json!("build"), json!("dev"));
        json!({
            "packages": [
                package("t", "lib", index.clone(), json!("MIT")),
                package("s", "lib", json!("git+https://example.com/s"), Value::Null),
                package("m", "proc-macro", index.clone(), json!("MIT")),
                package("b", "lib", index, json!("MIT OR Apache-2.0")),
                package("a", "cdylib", Value::Null, json!("0BSD")),
            ],
            "resolve": { "nodes": [
                { "id": "a", "deps": [
                    edge("m", std::slice::from_ref(&normal)),
                    edge("b", &[dev.clone(), normal.clone()]),
                    edge("t", &[dev]),
                ] },
                { "id": "m", "deps": [edge("b", std::slice::from_ref(&normal)), edge("s", &[normal])] },
                { "id": "b", "deps": [edge("s", &[build])] },
            ] },
        })
    }

    #[test]
    fn packages_are_those_of_the_target_and_not_those_of_tests() {
        let mut origin = Origin::default();
        of_cargo(&mut origin, &metadata(), "a").expect("it is memory");
        let section = |name: &str| {
            let found = origin.sections.iter().find(|(one, _)| one == name);
            found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
        };
        let mut text = String::new();
        let packed = section(PACKAGES_SECTION);
        let read = ZlibDecoder::new(packed.as_slice()).read_to_string(&mut text);
        read.expect("it is zlib");
        let found: Value = serde_json::from_str(&text).expect("it is JSON");
        let wanted = json!({ "packages": [
            { "name": "a", "version": "1.0.0", "source": "local", "dependencies": [1, 2], "root": true },
            { "name": "b", "version": "1.0.0", "source": "crates.io", "dependencies": [3] },
            { "name": "m", "version": "1.0.0", "source": "crates.io", "kind": "build", "dependencies": [1, 3] },
            { "name": "s", "version": "1.0.0", "source": "git", "kind": "build" },
        ] });
        assert_eq!(found, wanted);
        let licenses = br#"{"a 1.0.0":"0BSD","b 1.0.0":"MIT OR Apache-2.0","m 1.0.0":"MIT"}"#;
        assert_eq!(section(LICENSES_SECTION), licenses);
        assert_eq!(section("authors"), b"Ada, Bob");
        assert_eq!(section("source"), b"https://example.com/a");
        assert_eq!(section("homepage"), b"");
    }
}
