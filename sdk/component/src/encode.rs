//! From a core module to a component.

use crate::stub;
use anyhow::{Context, Result};
use std::path::Path;
use wasm_encoder::{CustomSection, Encode, Section};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

const WASI: &str = "wasi_snapshot_preview1";

/// A component of a module and the text of its world. WASI is answered by stubs.
pub(crate) fn encode(mut module: Vec<u8>, world: &str, wit: &Path) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    resolve.push_dir(wit).context("read the contract")?;
    let package = resolve.push_str("plugin.wit", world)?;
    let id = resolve.select_world(&[package], Some("plugin"))?;
    wit_component::embed_component_metadata(&mut module, &resolve, id, StringEncoding::UTF8, false)
        .context("say which world the module is of")?;
    let stub = stub::adapter(&module, WASI)?;
    let mut encoder = ComponentEncoder::default();
    encoder.module(&module)?;
    if let Some(stub) = &stub {
        encoder.adapter(WASI, stub).context("stub WASI away")?;
    }
    encoder.encode().context("encode the component")
}

/// Appends a custom section.
pub(crate) fn append(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    let section = CustomSection {
        name: name.into(),
        data: data.into(),
    };
    component.push(section.id());
    section.encode(component);
}
