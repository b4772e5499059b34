//! Versions of the rules: what they are made of is kept beside the ledger, entries say which is published and from which record
//! on a partition is evaluated with which.
//!
//! So whoever takes a partition over evaluates what comes with the version that the one before would have taken, and does again
//! what must be done again with the one that did it first.

use super::change::Change;
use super::{Outcome, PATIENCE, SharedStore, name_of, unexpected};
use crate::embedded::{Unused, VersionKept};
use crate::limits::RULES_BYTES_MAX;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tripline_core::port::{Epoch, FaultClass, Partition, PortFault, Sequence};
use xxhash_rust::xxh3::xxh3_64;

/// How long after it was not there a version is looked for again.
const PAUSE: Duration = Duration::from_millis(200);

impl SharedStore {
    /// The version that partitions are to be evaluated with.
    pub fn published(&self) -> Option<String> {
        self.core.local.versions().published.clone()
    }

    /// The version that a partition is evaluated with, and after which record; nothing while none was ever named.
    pub fn version_of(&self, partition: Partition) -> Option<(Sequence, String)> {
        self.core
            .local
            .versions()
            .partitions
            .get(&partition)
            .cloned()
    }

    /// Whether everything up to a partition's position is in what its rules remember: then another version may go on there.
    pub fn may_switch(&self, partition: Partition) -> bool {
        self.core.local.is_remembered(partition)
    }

    /// Makes this the version that partitions are to be evaluated with.
    pub fn publish(&self, version: &str, bytes: &[u8]) -> Result<(), PortFault> {
        let core = &self.core;
        if bytes.len() > RULES_BYTES_MAX {
            return Err(crate::admit::reject(format!(
                "publish rules: packed they have {} bytes, more than {RULES_BYTES_MAX}",
                bytes.len()
            )));
        }
        let number = core.numbers.fetch_add(1, Ordering::SeqCst) + 1;
        let kept = VersionKept {
            object: format!("rules-{version}-{}-{number}", core.me),
            length: bytes.len() as u64,
            checksum: xxh3_64(bytes),
        };
        core.ledger.keep(&kept.object, bytes)?;
        let change = Change::Publish {
            version: version.to_owned(),
            kept,
        };
        match core.make(change)? {
            Outcome::Switched(unused) => {
                self.forget(Partition(0), &unused);
                Ok(())
            }
            other => unexpected(other),
        }
    }

    /// What a version that is published or a partition's is made of.
    pub fn version(&self, version: &str) -> Result<Vec<u8>, PortFault> {
        let core = &self.core;
        let doing = || format!("read version {version} of the rules");
        let begun = Instant::now();
        loop {
            let Some(kept) = core.local.versions().all.get(version).cloned() else {
                return Err(PortFault::new(
                    FaultClass::Retry,
                    format!("{}: it is gone, as a newer one was published", doing()),
                ));
            };
            let wrong = match core.ledger.kept(&kept.object) {
                Ok(Some(bytes))
                    if bytes.len() as u64 == kept.length && xxh3_64(&bytes) == kept.checksum =>
                {
                    return Ok(bytes);
                }
                Ok(Some(_)) => "it is damaged",
                Ok(None) => "it is missing",
                Err(fault) => return Err(fault),
            };
            if begun.elapsed() > PATIENCE / 4 {
                return Err(PortFault::new(
                    FaultClass::Reject,
                    format!("{} ({}): {wrong}; publish it again", doing(), kept.object),
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Evaluates a partition with another version from its position on. `forgets` what rules remembered, where the version so
    /// far remembers nothing.
    pub fn switch(
        &self,
        (partition, epoch): (Partition, Epoch),
        version: &str,
        forgets: bool,
    ) -> Result<(), PortFault> {
        let change = Change::Switch {
            partition,
            epoch,
            version: version.to_owned(),
            forgets,
        };
        match self.core.make(change)? {
            Outcome::Switched(unused) => {
                self.forget(partition, &unused);
                Ok(())
            }
            other => unexpected(other),
        }
    }

    /// What stays takes room, and nothing else.
    fn forget(&self, partition: Partition, unused: &Unused) {
        for object in &unused.versions {
            let _ = self.core.ledger.forget(object);
        }
        if let Some(snapshot) = unused.snapshot {
            let _ = self
                .core
                .ledger
                .forget(&name_of(partition, snapshot.number));
        }
    }
}
