//! What rules learnt elsewhere, for a service that has nothing yet: `engine.state_from`.
//!
//! The snapshot of a folder that `tripline insights learn` or `scan --state` wrote becomes that of the partition before its first
//! record. It is tried first, because a store with a snapshot that cannot be read would be of no use any more. A file beside the
//! store says which snapshot was taken, so that a service that starts again with the same configuration just goes on. Must never
//! touch a store in which anything was evaluated: what is remembered there would be lost.

use super::rules::Prepared;
use super::service::ServeError;
use crate::causes::with_causes;
use crate::config::Config;
use crate::state_folder::StateFolder;
use sha2::{Digest, Sha256};
use std::path::Path;
use tripline_core::pipeline::goes_on_from;
use tripline_core::port::{Partition, Sequence, SnapshotKept, Store};

/// The hash of what was taken.
const TAKEN: &str = "state-from";

const MIB: u64 = 1024 * 1024;

/// The only partition of a log of one's own.
const PARTITION: Partition = Partition(0);

/// Begins with what was learnt elsewhere, if that is asked for and was not done before.
pub(super) fn begin_with(
    config: &Config,
    store: &dyn Store,
    prepared: &Prepared,
) -> Result<(), ServeError> {
    let folder = config.engine.state_from.as_path();
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    let wrong = |words: String| {
        let folder = folder.display();
        ServeError::StateFrom(format!("engine.state_from = \"{folder}\": {words}"))
    };
    let marker = config.data.join(TAKEN);
    let taken = match std::fs::read_to_string(&marker) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(wrong(format!("{}: {error}", marker.display()))),
    };
    let position = store.position(PARTITION).map_err(ServeError::Store)?;
    if taken.is_some() && !folder.exists() {
        // It was taken, and whoever runs this tidied up.
        return Ok(());
    }
    let bytes = read(folder).map_err(wrong)?;
    let hash = hex(&Sha256::digest(&bytes));
    if taken.as_deref().map(str::trim) == Some(hash.as_str()) {
        return Ok(());
    }
    if taken.is_some() || position > Sequence(0) {
        return Err(wrong(
            "the service remembers something already, which this would replace; leave engine.state_from out, or begin with \
             another data folder"
                .to_owned(),
        ));
    }
    let most = usize::try_from(config.engine.state_memory_mib * MIB).unwrap_or(usize::MAX);
    goes_on_from(&prepared.rules, most, &bytes).map_err(|fault| wrong(with_causes(&fault)))?;
    let keep = || {
        let epoch = store.take_over(PARTITION)?.epoch;
        let snapshot = SnapshotKept {
            position: Sequence(0),
            bytes,
        };
        store.keep_snapshot(PARTITION, epoch, &snapshot)
    };
    keep().map_err(ServeError::Store)?;
    std::fs::write(&marker, hash)
        .map_err(|error| wrong(format!("{}: {error}", marker.display())))?;
    tracing::info!(folder = %folder.display(), "rules begin with what was learnt there");
    Ok(())
}

fn read(folder: &Path) -> Result<Vec<u8>, String> {
    if !folder.is_dir() {
        return Err("there is no such folder".to_owned());
    }
    let opened = StateFolder::open(folder).map_err(|fault| with_causes(&fault))?;
    let bytes = opened.read().map_err(|fault| with_causes(&fault))?;
    bytes.ok_or_else(|| "it holds no state; `tripline insights learn` writes one".to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
