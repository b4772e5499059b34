//! A folder in which rules keep what they remember from one run to the next.
//!
//! One file, `state.snapshot`, replaced as a whole: written beside it, flushed to the disk, renamed over it, and the
//! folder flushed too, so that after a crash at any point the old state or the new one is there, never a part. A
//! lock keeps two runs apart. What cannot be read is never written over: the person decides.

use crate::overwriting::whole;
use crate::terminal::{Shown, counted};
use crate::writing::fresh;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;
use tripline_core::limits::SNAPSHOT_BYTES_MAX;
use tripline_core::state::{Kept, SnapshotFault, State};
use tripline_core::wire::{Finding, PluginMemories};

const SNAPSHOT: &str = "state.snapshot";
const WRITING: &str = "state.snapshot.writing";
const LOCK: &str = "lock";
/// Findings of rules that are gone that are told one by one.
const ENDED_SHOWN: usize = 10;

/// Why a state folder cannot be used.
#[derive(Debug, Error)]
pub(crate) enum StateFault {
    /// The folder or a file in it cannot be opened, read or written.
    #[error("failed to {doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Another run has the folder.
    #[error("failed to lock {}: another run of tripline uses this state", path.display())]
    Taken { path: PathBuf },
    /// The snapshot is not sound.
    #[error(
        "failed to read {}; move it away to begin anew, or take the copy of another time",
        path.display()
    )]
    Snapshot {
        path: PathBuf,
        source: Box<SnapshotFault>,
    },
    /// What plugins remembered cannot be read or written.
    #[error("what plugins remember is broken in {}", path.display())]
    Plugins {
        path: PathBuf,
        source: serde_json::Error,
    },
}

/// Whether a file is one of those that a state folder holds.
pub(crate) fn is_state(file: &Path, folder: &Path) -> bool {
    let file = whole(file);
    let name = file.file_name();
    let is_ours = [SNAPSHOT, WRITING, LOCK]
        .iter()
        .any(|one| name == Some(one.as_ref()));
    is_ours && file.parent() == Some(&whole(folder))
}

/// What was counted on findings that were open, of rules that are gone: there is no rule any more to tell them as
/// findings of.
fn ended(findings: &[Finding]) -> Vec<String> {
    let counted_on = findings
        .iter()
        .filter_map(|finding| Some((finding, finding.suppressed.as_ref()?)));
    let mut lines: Vec<String> = counted_on
        .map(|(finding, suppressed)| {
            format!(
                "{} of the rule `{}` until {} belonged to its finding {} ({})",
                counted(suppressed.count, "more detection"),
                Shown(&finding.rule_id),
                Shown(&suppressed.last),
                Shown(&finding.finding_id),
                Shown(&finding.title)
            )
        })
        .collect();
    let more = lines.len().saturating_sub(ENDED_SHOWN);
    if more > 0 {
        lines.truncate(ENDED_SHOWN);
        lines.push(format!(
            "{} of rules that are gone had more detections",
            counted(more as u64, "more finding")
        ));
    }
    lines
}

/// A folder, locked for this run.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    /// Held as long as this is; the operating system gives it back however the process ends.
    _lock: File,
}

impl StateFolder {
    /// Opens a folder, and makes it if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, StateFault> {
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| StateFault::Io {
                doing,
                path,
                source,
            }
        };
        std::fs::create_dir_all(path).map_err(io("make the folder", path))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(StateFault::Taken {
                    path: path.to_owned(),
                });
            }
            Err(std::fs::TryLockError::Error(source)) => {
                return Err(io("lock", &lock_path)(source));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The snapshot's bytes; nothing when there is none yet.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>, StateFault> {
        let path = self.path.join(SNAPSHOT);
        let io = |source| StateFault::Io {
            doing: "read",
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let mut bytes = Vec::new();
        let most = SNAPSHOT_BYTES_MAX as u64;
        file.take(most).read_to_end(&mut bytes).map_err(io)?;
        Ok(Some(bytes))
    }

    /// Goes on from the snapshot, and tells of rules that could not; gives what plugins remembered.
    pub(crate) fn restore(&self, state: &mut State<'_>) -> Result<PluginMemories, StateFault> {
        let Some(bytes) = self.read()? else {
            return Ok(PluginMemories::new());
        };
        let restored = state
            .restore(&bytes)
            .map_err(|source| StateFault::Snapshot {
                path: self.path.join(SNAPSHOT),
                source: Box::new(source),
            })?;
        for (rule, kept) in restored.rules {
            let words = match kept {
                Kept::Kept => continue,
                Kept::Changed => "looks at something else now, and begins to remember anew",
                Kept::Absent => {
                    "is not in force (off, broken or not given); what it remembers is kept for it, up to 90 days"
                }
                Kept::Crowded => {
                    "is not in force, and what it remembers is dropped: such rules have a quarter of --state-memory"
                }
                Kept::Gone => "was not in force for 90 days; what it remembered is dropped",
            };
            // If standard error is closed, nobody wants to know.
            let _ = writeln!(io::stderr(), "state: the rule `{}` {words}", Shown(&rule));
        }
        for line in ended(&restored.ended) {
            let _ = writeln!(io::stderr(), "state: {line}");
        }
        match restored.note.as_str() {
            "" => Ok(PluginMemories::new()),
            note => serde_json::from_str(note).map_err(|source| StateFault::Plugins {
                path: self.path.join(SNAPSHOT),
                source,
            }),
        }
    }

    /// Replaces the snapshot, with what plugins remember in its note.
    pub(crate) fn save(
        &self,
        state: &State<'_>,
        plugins: &PluginMemories,
    ) -> Result<(), StateFault> {
        let note = match plugins.is_empty() {
            true => Ok(String::new()),
            false => serde_json::to_string(plugins),
        };
        let note = note.map_err(|source| StateFault::Plugins {
            path: self.path.join(SNAPSHOT),
            source,
        })?;
        let bytes = state
            .snapshot(&note)
            .map_err(|source| StateFault::Snapshot {
                path: self.path.join(SNAPSHOT),
                source: Box::new(source),
            })?;
        let writing = self.path.join(WRITING);
        let write = || -> io::Result<()> {
            let mut file = fresh(&writing)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&writing, self.path.join(SNAPSHOT))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| StateFault::Io {
            doing: "write",
            path: writing.clone(),
            source,
        })
    }
}
