//! Writes the bindings of the SDK in Rust and of the templates in C anew from the contract in `wit/`.
//!
//! The results are kept in the repository: who writes a plugin then builds one small crate instead of a generator and
//! what it depends on, which took longer than the plugin itself. `--check` fails if what is kept is not what would be
//! written.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_bindgen_core::{Files, WorldGenerator};

/// Interfaces that the Rust SDK exports, each in a world of its own, so that they can be put together freely.
const EXPORTS: [&str; 9] = [
    "setup",
    "enrich",
    "detect",
    "checkpoint",
    "score",
    "decide",
    "decode",
    "remediate",
    "propose",
];

/// What the host offers.
const IMPORTS: [&str; 9] = [
    "log", "clock", "random", "kv", "lookup", "events", "http", "metrics", "reads",
];

/// Worlds for which there are templates in C. Go's need a module that is not everywhere to be had, so its few exports
/// are written by hand.
const TEMPLATES: [&str; 2] = ["enricher", "detector"];

fn main() -> Result<()> {
    let is_check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("unknown argument `{other}`; the only one is `--check`"),
    };
    let sdk = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wanted = rust(&sdk)?;
    wanted.extend(c(&sdk)?);
    let mut stale = Vec::new();
    for (path, text) in wanted {
        if std::fs::read(&path).is_ok_and(|is| is == text) {
            continue;
        }
        stale.push(path.display().to_string());
        if !is_check {
            std::fs::create_dir_all(path.parent().context("a file without a folder")?)?;
            std::fs::write(&path, &text).with_context(|| format!("write {}", path.display()))?;
        }
    }
    match (is_check, stale.as_slice()) {
        (_, []) => println!("everything is up to date"),
        (false, stale) => println!("written:\n{}", stale.join("\n")),
        (true, stale) => bail!("not what would be generated:\n{}", stale.join("\n")),
    }
    Ok(())
}

type Written = Vec<(PathBuf, Vec<u8>)>;

fn contract(sdk: &Path) -> Result<Resolve> {
    let mut resolve = Resolve::default();
    let wit = sdk.join("../wit");
    resolve.push_dir(&wit).context("read the contract")?;
    Ok(resolve)
}

fn generate(
    generator: &mut dyn WorldGenerator,
    resolve: &mut Resolve,
    world: WorldId,
) -> Result<Files> {
    let mut files = Files::default();
    generator.generate(resolve, world, &mut files)?;
    Ok(files)
}

fn rust(sdk: &Path) -> Result<Written> {
    let list = |word: &str, names: &[&str]| -> String {
        let lines = names.iter();
        lines
            .map(|name| format!("{word} tripline:plugin/{name}@1.0.0;"))
            .collect()
    };
    let mut worlds = format!(
        "package tripline:sdk@1.0.0; world host {{ {} }}",
        list("import", &IMPORTS)
    );
    for name in EXPORTS {
        worlds += &format!("world export-{name} {{ {} }}", list("export", &[name]));
    }
    let mut written = Vec::new();
    let mut modules = String::from("// Written by `sdk/generate`.\n\n");
    let names = EXPORTS.map(|name| format!("export-{name}"));
    for world in std::iter::once("host").chain(names.iter().map(String::as_str)) {
        let mut resolve = contract(sdk)?;
        let package = resolve.push_str("sdk.wit", &worlds)?;
        let id = resolve.select_world(&[package], Some(world))?;
        let mut options = wit_bindgen_rust::Opts {
            format: true,
            generate_all: true,
            pub_export_macro: true,
            disable_custom_section_link_helpers: world != "host",
            disable_run_ctors_once_workaround: true,
            additional_derive_attributes: vec!["PartialEq".to_owned()],
            ..Default::default()
        };
        if world != "host" {
            let types = "tripline:plugin/types@1.0.0".to_owned();
            let path = "crate::bindings::host::tripline::plugin::types".to_owned();
            options
                .with
                .push((types, wit_bindgen_rust::WithOption::Path(path)));
        }
        let files = generate(&mut options.build(), &mut resolve, id)?;
        for (_, text) in files.iter() {
            let module = world.replace('-', "_");
            modules += &format!("pub mod {module};\n");
            let path = sdk.join(format!("rust/src/bindings/{module}.rs"));
            written.push((path, text.to_vec()));
        }
    }
    written.push((sdk.join("rust/src/bindings/mod.rs"), modules.into_bytes()));
    Ok(written)
}

fn c(sdk: &Path) -> Result<Written> {
    let mut written = Vec::new();
    for world in TEMPLATES {
        let mut resolve = contract(sdk)?;
        let package = resolve.packages.iter().next().context("no package")?.0;
        let id = resolve.select_world(&[package], Some(world))?;
        let options = wit_bindgen_c::Opts {
            no_object_file: true,
            ..Default::default()
        };
        let files = generate(options.build().as_mut(), &mut resolve, id)?;
        for (name, text) in files.iter() {
            let path = sdk.join(format!("templates/c/{world}/bindings/{name}"));
            let text = String::from_utf8(text.to_vec())?;
            // An object file would say which world the module is of; it is said when the component is made.
            let end = text.find("// Ensure that the *_component_type.o object is linked in");
            let text = text[..end.unwrap_or(text.len())].to_owned();
            written.push((path, text.into_bytes()));
        }
    }
    Ok(written)
}
