//! Plugins in registries: pushed and pulled as the CNCF's Wasm artifacts, so that other tools find their way with them.
//!
//! An artifact is a config, one layer `application/wasm`, which is the component with its manifest inside, and the
//! signature as an annotation: tools that run components take artifacts of one layer and no others. Nothing of a registry is
//! believed: what was asked for by digest is held against it, what a manifest names is held against its digest and length,
//! and whether a component may run is decided by its signature as for a file. Tags move, so only people use them, in
//! `pull`. `decisions/own-registry-client.md` says why this is no crate.

mod blobs;
mod client;
mod credentials;
mod reference;
#[cfg(test)]
mod tests;

pub use blobs::Blobs;
pub use client::{PlainHttp, Registry};
pub use credentials::{Credentials, Login};
pub use reference::{Reference, Which};

use crate::limits::{COMPONENT_BYTES_MAX, OCI_MANIFEST_BYTES_MAX};
use crate::manifest::Manifest;
use crate::sign::{Digest, SIGNATURE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use thiserror::Error;

/// What a manifest is.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What the config of a Wasm artifact is.
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// What its layer is.
pub const COMPONENT_TYPE: &str = "application/wasm";
/// The annotation with the text of the signature file.
pub const SIGNATURE_ANNOTATION: &str = "tripline.minisig";

/// Why a registry was of no use.
#[derive(Debug, Error)]
#[allow(missing_docs)] // Each is its own sentence.
pub enum OciFault {
    #[error("{registry}: requests cannot be sent: {why}")]
    Client { registry: String, why: String },
    #[error("{url}: no answer")]
    Unreachable {
        url: String,
        source: Box<ureq::Error>,
    },
    #[error("{url}: the registry says {status}{words}")]
    Refused {
        url: String,
        status: u16,
        words: String,
    },
    #[error("{registry}: it wants to know who asks: {why}")]
    Login { registry: String, why: String },
    #[error("{url}: the answer is longer than {most} bytes")]
    TooLong { url: String, most: usize },
    #[error("{url}: a redirect is refused: {why}")]
    Redirect { url: String, why: &'static str },
    #[error("{reference}: the registry gave {is}, and {wanted} was asked for")]
    Digest {
        reference: String,
        is: Digest,
        wanted: Digest,
    },
    #[error("{reference}: it is no plugin: {why}")]
    NoPlugin { reference: String, why: String },
    #[error("what was pulled cannot be kept")]
    Keep(#[source] io::Error),
}

/// What a manifest says of a part.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes).to_string(),
            size: bytes.len() as u64,
        }
    }
}

/// The manifest of an artifact, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    schema_version: u32,
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Of the artifact: what to pin.
    pub digest: Digest,
    /// The component.
    pub component: Vec<u8>,
    /// The text of its signature file.
    pub signature: Option<String>,
}

/// What is sent.
struct Made {
    config: Vec<u8>,
    artifact: Vec<u8>,
}

/// The artifact of a component: the same bytes for the same component and signature.
fn artifact(
    component: &[u8],
    manifest: &Manifest,
    imports: &[String],
    exports: &[String],
    signature: Option<&str>,
) -> serde_json::Result<Made> {
    let layer = Descriptor::of(COMPONENT_TYPE, component);
    let config = json!({
        // Readers of the layout want a time; a true one would give the same component another digest each time.
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer.digest],
        "component": { "exports": exports, "imports": imports, "target": null },
    });
    let config = serde_json::to_vec(&config)?;
    let mut annotations = BTreeMap::new();
    for (name, text) in [
        ("title", manifest.name.as_str()),
        ("version", &manifest.version.to_string()),
        ("description", &manifest.description),
        ("licenses", &manifest.license),
    ] {
        annotations.insert(format!("org.opencontainers.image.{name}"), text.to_owned());
    }
    if let Some(signature) = signature {
        annotations.insert(SIGNATURE_ANNOTATION.to_owned(), signature.to_owned());
    }
    let artifact = Artifact {
        schema_version: 2,
        media_type: Some(MANIFEST_TYPE.to_owned()),
        config: Descriptor::of(CONFIG_TYPE, &config),
        layers: vec![layer],
        annotations,
    };
    let artifact = serde_json::to_vec(&artifact)?;
    Ok(Made { config, artifact })
}

/// The one layer of a plugin's artifact: its digest and length, and the signature.
fn layer_of(bytes: &[u8]) -> Result<(Digest, usize, Option<String>), String> {
    let artifact: Artifact = serde_json::from_slice(bytes)
        .map_err(|_| "its manifest is not that of an artifact".to_owned())?;
    if artifact.config.media_type != CONFIG_TYPE {
        let is = &artifact.config.media_type;
        return Err(format!("its config is `{is:.100}`, not `{CONFIG_TYPE}`"));
    }
    let [layer] = artifact.layers.as_slice() else {
        return Err(format!("it has {} layers, not one", artifact.layers.len()));
    };
    if layer.media_type != COMPONENT_TYPE {
        let is = &layer.media_type;
        return Err(format!("its layer is `{is:.100}`, not `{COMPONENT_TYPE}`"));
    }
    let Some(digest) = Digest::new(&layer.digest) else {
        return Err("the digest of its layer is no SHA-256".to_owned());
    };
    let Some(size) = usize::try_from(layer.size)
        .ok()
        .filter(|size| *size <= COMPONENT_BYTES_MAX)
    else {
        return Err(format!(
            "it is {} bytes long; at most {COMPONENT_BYTES_MAX} are allowed",
            layer.size
        ));
    };
    let mut annotations = artifact.annotations;
    let signature = annotations.remove(SIGNATURE_ANNOTATION);
    match &signature {
        Some(text) if text.len() > SIGNATURE_BYTES_MAX => Err("its signature is too long".into()),
        _ => Ok((digest, size, signature)),
    }
}

impl Registry {
    /// Pulls an artifact, as far as it is not kept already.
    pub fn pull(&self, reference: &Reference, blobs: &Blobs) -> Result<Pulled, OciFault> {
        let no_plugin = |why: String| OciFault::NoPlugin {
            reference: reference.to_string(),
            why,
        };
        let pinned = reference.digest();
        let kept = pinned.and_then(|digest| blobs.get(digest, OCI_MANIFEST_BYTES_MAX));
        let (manifest, is_kept) = match kept {
            Some(manifest) => (manifest, true),
            None => (self.manifest(reference)?, false),
        };
        let digest = Digest::of(&manifest);
        if let Some(wanted) = pinned.filter(|wanted| *wanted != digest) {
            let reference = reference.to_string();
            return Err(OciFault::Digest {
                reference,
                is: digest,
                wanted,
            });
        }
        let (layer, size, signature) = layer_of(&manifest).map_err(no_plugin)?;
        let component = match blobs.get(layer, size) {
            Some(component) => component,
            None => {
                let component = self.blob(reference, layer, size)?;
                blobs.put(layer, &component).map_err(OciFault::Keep)?;
                component
            }
        };
        if !is_kept {
            blobs.put(digest, &manifest).map_err(OciFault::Keep)?;
        }
        Ok(Pulled {
            digest,
            component,
            signature,
        })
    }

    /// Pushes a component with what it says of itself, and gives the digest of the artifact.
    pub fn push(
        &self,
        reference: &Reference,
        component: &[u8],
        manifest: &Manifest,
        scanned: &crate::scan::Scanned,
        signature: Option<&str>,
    ) -> Result<Digest, OciFault> {
        let (imports, exports) = (&scanned.imports, &scanned.exports);
        let made = artifact(component, manifest, imports, exports, signature);
        let made = made.map_err(|fault| OciFault::NoPlugin {
            reference: reference.to_string(),
            why: fault.to_string(),
        })?;
        self.put_blob(reference, component)?;
        self.put_blob(reference, &made.config)?;
        self.put_manifest(reference, &made.artifact)?;
        Ok(Digest::of(&made.artifact))
    }
}
