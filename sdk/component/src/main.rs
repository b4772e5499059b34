//! Makes a component of what a compiler gave, in the way that the templates and first-party plugins are built:
//!
//! ```text
//! component build MODULE.wasm --manifest plugin.toml -o COMPONENT.wasm
//! component wit --manifest plugin.toml -o FOLDER
//! component show COMPONENT.wasm
//! ```
//!
//! `build` takes a core module (Rust, C, Go), says in it which world it is of, encodes it, stubs WASI away and puts the
//! manifest in as the custom section `tripline:manifest`; of a component (Python, JavaScript) it only does the last.
//! `wit` writes the contract with a world `plugin` that imports no more than the manifest's capabilities, for toolchains
//! that import whatever a world names.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let mut input = None;
    let mut manifest = PathBuf::from("plugin.toml");
    let mut output = None;
    let mut wit = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit"));
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next().map(PathBuf::from);
            value.with_context(|| format!("`{argument}` needs a value"))
        };
        match argument.as_str() {
            "--manifest" => manifest = value()?,
            "--wit" => wit = value()?,
            "-o" => output = Some(value()?),
            _ => input = Some(PathBuf::from(argument)),
        }
    }
    let output = || output.clone().context("`-o` is missing");
    let input = || input.clone().context("no file is named");
    match command.as_str() {
        "build" => build(&input()?, &manifest, &wit, &output()?),
        "wit" => {
            let text = std::fs::read_to_string(&manifest).context("read the manifest")?;
            tripline_sdk_component::write_wit(&text, &wit, &output()?)
        }
        "show" => {
            print!("{}", tripline_sdk_component::show(&read(&input()?)?)?);
            Ok(())
        }
        other => bail!("unknown command `{other}`: there are `build`, `wit` and `show`"),
    }
}

fn build(input: &Path, manifest: &Path, wit: &Path, output: &Path) -> Result<()> {
    let bytes = read(input)?;
    let text = std::fs::read_to_string(manifest).context("read the manifest")?;
    let component = tripline_sdk_component::build(&bytes, &text, wit)?;
    std::fs::write(output, &component).context("write the component")?;
    print!("{}", tripline_sdk_component::show(&component)?);
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}
