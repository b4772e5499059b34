//! `tripline plugin push` and `pull`: plugins in registries.

use super::inspect::short;
use super::sign::signature_path;
use crate::causes::with_causes;
use crate::command::CommandError;
use crate::exit::Exit;
use crate::plugins::{bytes_of, manifest_of, registry, text_of};
use crate::terminal::Shown;
use clap::Args;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tripline_host::limits::COMPONENT_BYTES_MAX;
use tripline_host::oci::{Blobs, PlainHttp, Reference, Which};
use tripline_host::scan::scan;

/// Push a component to a registry, with the signature that lies beside it.
///
/// Who asks is taken from TRIPLINE_REGISTRY (the registry that the login is for), TRIPLINE_REGISTRY_USER and
/// TRIPLINE_REGISTRY_PASSWORD, or from what `docker login` wrote.
#[derive(Args, Debug)]
pub(super) struct PushArguments {
    /// Where to: a registry, a name and a tag, such as `registry.example/acme/geo:1.4.2`.
    #[arg(value_name = "REF", value_parser = reference)]
    reference: Reference,

    /// The component.
    #[arg(value_name = "FILE")]
    component: PathBuf,

    /// Speak plain HTTP to a registry that is not on this machine.
    #[arg(long)]
    insecure_http: bool,
}

/// Pull a component from a registry, with its signature.
///
/// Who asks is taken as for `push`. What a tag means may change, so that the digest to pin is told.
#[derive(Args, Debug)]
pub(super) struct PullArguments {
    /// Where from: a registry, a name, and a tag or digest, such as `registry.example/acme/geo:1.4.2`.
    #[arg(value_name = "REF", value_parser = reference)]
    reference: Reference,

    /// Where to write the component, with its signature as FILE.minisig; a file called like the end of the name without it.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Speak plain HTTP to a registry that is not on this machine.
    #[arg(long)]
    insecure_http: bool,
}

fn reference(text: &str) -> Result<Reference, String> {
    Reference::new(text).ok_or_else(|| {
        "expected a registry, a name, and a tag or digest, such as `registry.example/acme/geo:1.4.2`"
            .to_owned()
    })
}

fn plain(is_insecure: bool) -> PlainHttp {
    match is_insecure {
        true => PlainHttp::Anywhere,
        false => PlainHttp::Loopback,
    }
}

/// Pushes what a host would take, and tells the digest.
pub(super) fn push(arguments: &PushArguments) -> Result<Exit, CommandError> {
    let reference = &arguments.reference;
    if matches!(reference.which, Which::Digest(_)) {
        let words = format!("{reference}: a tag is needed; the digest is told once it is pushed");
        return Err(CommandError::Usage(words));
    }
    let path = &arguments.component;
    let wrong = |what: String| CommandError::Usage(format!("{}: {what}", path.display()));
    let component = bytes_of(path, COMPONENT_BYTES_MAX as u64)?;
    let scanned = scan(&component).map_err(|fault| wrong(with_causes(&fault)))?;
    let manifest = manifest_of(&scanned, path).map_err(wrong)?;
    let beside = signature_path(path);
    let signature = match beside.exists() {
        true => Some(text_of(&beside)?),
        false => None,
    };
    let fault = |fault| CommandError::Usage(with_causes(&fault));
    let registry = registry(reference, plain(arguments.insecure_http)).map_err(fault)?;
    let digest = registry.push(
        reference,
        &component,
        &manifest,
        &scanned,
        signature.as_deref(),
    );
    let pinned = reference.pinned(digest.map_err(fault)?);
    let signed = match signature {
        Some(_) => "with its signature",
        None => "not signed: there is no signature beside it",
    };
    let text =
        format!("pushed {reference} ({signed})\n\noperators run it with:\n  oci = \"{pinned}\"\n");
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}

/// Pulls, writes two files and tells the digest. Whose it is, is for `verify` and the operator's file.
pub(super) fn pull(arguments: &PullArguments) -> Result<Exit, CommandError> {
    let reference = &arguments.reference;
    let fault = |fault| CommandError::Usage(with_causes(&fault));
    let registry = registry(reference, plain(arguments.insecure_http)).map_err(fault)?;
    let pulled = registry.pull(reference, &Blobs::default()).map_err(fault)?;
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => {
            let last = reference.repository.rsplit('/').next().unwrap_or_default();
            PathBuf::from(format!("{last}.wasm"))
        }
    };
    let beside = signature_path(&output);
    let write = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).map_err(|source| CommandError::Write {
            path: path.display().to_string(),
            source,
        })
    };
    write(&output, &pulled.component)?;
    let signed = match &pulled.signature {
        Some(signature) => {
            write(&beside, signature.as_bytes())?;
            "with its signature"
        }
        None => {
            // A signature of other bytes would only keep it from running.
            let _ = fs::remove_file(&beside);
            "not signed"
        }
    };
    let text = format!(
        "pulled {} ({signed}): {}\n\nto run it from the registry:\n  oci = \"{}\"\n",
        output.display(),
        Shown(&short(&pulled.component, &output)),
        reference.pinned(pulled.digest)
    );
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}
