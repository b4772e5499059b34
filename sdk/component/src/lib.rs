//! Makes a component of what a compiler gave: the contract, no WASI, the manifest inside.
//!
//! Knows nothing of files but the folder of the contract; `tripline plugin build` reads and writes the others.

mod check;
mod empty;
mod encode;
mod manifest;
mod stub;

use anyhow::{Context, Result};
use std::path::Path;
use wasm_metadata::Producers;

pub use empty::empty;
pub use manifest::write_wit;

/// Where a component comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Role (`language`, `processed-by`, `sdk`), name and version; joined with those that are there.
    pub producers: Vec<(String, String, String)>,
    /// Custom sections by name: notes such as `authors`, and lists of packages.
    pub sections: Vec<(String, Vec<u8>)>,
}

/// The same component, saying where it comes from.
pub fn with_origin(component: &[u8], origin: &Origin) -> Result<Vec<u8>> {
    let mut producers = Producers::empty();
    for (role, name, version) in &origin.producers {
        producers.add(role, name, version);
    }
    let mut component = producers
        .add_to_wasm(component)
        .context("say what made it")?;
    for (name, data) in &origin.sections {
        encode::append(&mut component, name, data);
    }
    Ok(component)
}

/// The component of a core module (Rust, C, Go), or of what is one already (Python, JavaScript), with its manifest.
pub fn build(bytes: &[u8], manifest: &str, wit: &Path) -> Result<Vec<u8>> {
    let said = manifest::said(manifest, wit)?;
    let mut component = match wasmparser::Parser::is_component(bytes) {
        true => bytes.to_vec(),
        false => encode::encode(bytes.to_vec(), &manifest::world(&said), wit)?,
    };
    encode::append(&mut component, "tripline:manifest", manifest.as_bytes());
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(&component)
        .context("validate the component")?;
    check::check(&component, &said)?;
    Ok(component)
}
