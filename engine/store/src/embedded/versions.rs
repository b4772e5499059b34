//! Which versions of the rules there are, which one is published, and which one each partition is evaluated with.
//!
//! What a version is made of is kept elsewhere; here is what it must be to the byte. A version that is neither published nor a
//! partition's is forgotten in the same batch that makes it so, and whoever made it so removes what was kept of it.

use super::layout::{self, VersionKept};
use super::write::{State, held_by};
use super::{EmbeddedStore, Kept};
use crate::admit;
use fjall::OwnedWriteBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use tripline_core::port::{Epoch, Partition, PortFault, Sequence};

/// What is known of versions. Shared by states, as most changes leave it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) published: Option<String>,
    pub(crate) all: BTreeMap<String, VersionKept>,
    /// The version of a partition, and after which record it is that.
    pub(crate) partitions: BTreeMap<Partition, (Sequence, String)>,
}

/// What nobody needs any more of what is kept elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unused {
    pub(crate) versions: Vec<String>,
    pub(crate) snapshot: Option<Kept>,
}

impl EmbeddedStore {
    pub(crate) fn versions(&self) -> Arc<Versions> {
        self.look_at(|state| state.versions.clone())
    }

    /// Publishes a version. The names of what is kept of versions that nobody needs any more.
    pub(crate) fn publish(&self, version: &str, kept: &VersionKept) -> Result<Unused, PortFault> {
        admit::key("a version of the rules", version)?;
        self.change(|_, batch, after| {
            let mut unused = Unused::default();
            let versions = Arc::make_mut(&mut after.versions);
            // The same again takes the place of what was kept of it, which may be damaged.
            let old = versions.all.insert(version.to_owned(), kept.clone());
            unused.versions.extend(old.map(|old| old.object));
            let key = layout::version_key(version);
            batch.insert(&self.parts.versions, key, layout::write_version(kept));
            versions.published = Some(version.to_owned());
            let value = layout::write_text(version);
            batch.insert(&self.parts.versions, layout::PUBLISHED_KEY, value);
            self.prune(batch, after, &mut unused);
            Ok(unused)
        })
    }

    /// Evaluates a partition with another version from its position on; fenced like a commit. What was evaluated before must
    /// not come again: either nothing after the snapshot was, or the version so far remembers nothing, and `forgets` what an
    /// earlier one did.
    pub(crate) fn switch(
        &self,
        (partition, epoch): (Partition, Epoch),
        version: &str,
        forgets: bool,
    ) -> Result<Unused, PortFault> {
        self.change(|before, batch, after| {
            let mut kept = held_by(before, partition, epoch)?;
            // Whoever has not heard of the newest yet must not take a partition back.
            if before.versions.published.as_deref() != Some(version) {
                return Err(admit::reject(format!(
                    "evaluate partition {} with version {version} of the rules: it is not the one that is published",
                    partition.0
                )));
            }
            let mut unused = Unused::default();
            let is_named = before.versions.partitions.contains_key(&partition);
            let behind = kept.snapshot.filter(|one| one.position < kept.position);
            if let Some(snapshot) = behind.filter(|_| is_named) {
                if !forgets {
                    return Err(admit::reject(format!(
                        "evaluate partition {} with version {version} of the rules: records {} to {} are to be done again with \
                         the one before",
                        partition.0,
                        snapshot.position + 1,
                        kept.position
                    )));
                }
                kept.snapshot = None;
                unused.snapshot = Some(Kept::of(&snapshot));
                self.put_partition(batch, partition, &kept);
                after.partitions.insert(partition, kept);
            }
            let from = Sequence(kept.position);
            let versions = Arc::make_mut(&mut after.versions);
            versions.partitions.insert(partition, (from, version.to_owned()));
            let value = layout::write_partition_version(from, version);
            let key = layout::partition_version_key(partition);
            batch.insert(&self.parts.versions, key, value);
            self.prune(batch, after, &mut unused);
            Ok(unused)
        })
    }

    /// Forgets versions that are of no use any more.
    fn prune(&self, batch: &mut OwnedWriteBatch, after: &mut State, unused: &mut Unused) {
        let versions = Arc::make_mut(&mut after.versions);
        let named = versions.partitions.values().map(|(_, version)| version);
        let used: Vec<String> = named.chain(&versions.published).cloned().collect();
        versions.all.retain(|version, kept| {
            let is_used = used.contains(version);
            if !is_used {
                batch.remove(&self.parts.versions, layout::version_key(version));
                unused.versions.push(kept.object.clone());
            }
            is_used
        });
    }
}
