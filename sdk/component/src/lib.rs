//! Makes a component of what a compiler gave: the contract, no WASI, the manifest inside.
//!
//! Knows nothing of files but the folder of the contract; `tripline plugin build` reads and writes the others.

mod encode;
mod manifest;
mod stub;

use anyhow::{Context, Result};
use std::path::Path;

pub use manifest::write_wit;

/// The component of a core module (Rust, C, Go), or of what is one already (Python, JavaScript), with its manifest.
pub fn build(bytes: &[u8], manifest: &str, wit: &Path) -> Result<Vec<u8>> {
    let component = match wasmparser::Parser::is_component(bytes) {
        true => bytes.to_vec(),
        false => encode::encode(bytes.to_vec(), &manifest::world(manifest, wit)?, wit)?,
    };
    let component = encode::with_manifest(component, manifest);
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(&component)
        .context("validate the component")?;
    Ok(component)
}
