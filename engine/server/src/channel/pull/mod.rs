//! Files that a channel takes itself: delivery files in a folder or under a prefix of S3, each once.
//!
//! ```text
//! list ─▶ those not taken yet ─▶ read, decompress, split ─▶ into the log ─▶ remembered as taken
//! ```
//!
//! A file is known by its name, size and state (the ETag, or the time of its last change), and is remembered after its events
//! are durable: what is taken twice because the process ended between the two is told by the ids of its events. It must never
//! leave a file out because another one is broken, nor follow a link out of its folder.

mod folder;
mod s3;
pub(crate) mod taken;

use crate::config::Length;
use folder::Folder;
use s3::S3;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is looked for files, if the channel does not say otherwise, and at most.
const EVERY: Duration = Duration::from_secs(60);
const EVERY_MIN: Duration = Duration::from_secs(1);

/// The longest file, as it lies and decompressed, if the channel does not say otherwise.
const FILE_MAX_MIB: u64 = 64;
const INFLATED_MAX_MIB: u64 = 256;

/// What the file of a channel says of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum PullFile {
    /// A folder of this machine, and those in it.
    Folder {
        path: PathBuf,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<Length>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_max_mib: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inflated_max_mib: Option<u64>,
    },
    /// A prefix of a bucket.
    S3 {
        bucket: String,
        #[serde(default)]
        prefix: String,
        region: String,
        /// Where it is, if it is not at AWS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// A file with the access key id, the secret access key and maybe a session token, a line each; else they are in the
        /// environment, as AWS has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials_file: Option<PathBuf>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<Length>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_max_mib: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inflated_max_mib: Option<u64>,
    },
}

impl PullFile {
    pub(crate) fn validate(&self) -> Result<(), String> {
        let (Self::Folder {
            every,
            file_max_mib,
            inflated_max_mib,
            ..
        }
        | Self::S3 {
            every,
            file_max_mib,
            inflated_max_mib,
            ..
        }) = self;
        if every.as_ref().is_some_and(|one| one.duration() < EVERY_MIN) {
            return Err("pull.every is 1s at least".to_owned());
        }
        for (name, value) in [
            ("file_max_mib", file_max_mib),
            ("inflated_max_mib", inflated_max_mib),
        ] {
            if value.is_some_and(|value| !(1..=4096).contains(&value)) {
                return Err(format!("pull.{name} is out of range; give 1 to 4096"));
            }
        }
        match self {
            Self::Folder { path, .. } if path.as_os_str().is_empty() => {
                Err("pull.path names no folder".to_owned())
            }
            Self::Folder { .. } => Ok(()),
            Self::S3 {
                bucket,
                region,
                endpoint,
                ..
            } => s3::check(bucket, region, endpoint.as_deref()),
        }
    }

    pub(crate) fn every(&self) -> Duration {
        let (Self::Folder { every, .. } | Self::S3 { every, .. }) = self;
        every.as_ref().map_or(EVERY, Length::duration)
    }

    /// The longest file, as it lies and decompressed, in bytes.
    pub(crate) fn bytes_max(&self) -> (u64, u64) {
        let (Self::Folder {
            file_max_mib,
            inflated_max_mib,
            ..
        }
        | Self::S3 {
            file_max_mib,
            inflated_max_mib,
            ..
        }) = self;
        let bytes = |given: &Option<u64>, default| given.unwrap_or(default) << 20;
        (
            bytes(file_max_mib, FILE_MAX_MIB),
            bytes(inflated_max_mib, INFLATED_MAX_MIB),
        )
    }

    /// What proves where its events come from.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "folder",
            Self::S3 { .. } => "s3",
        }
    }
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) size: u64,
    /// Another one when the file was changed.
    pub(crate) state: String,
}

impl Found {
    /// Whether it is named as files with events are. Digests of CloudTrail lie beside them, and prove them; they hold none.
    pub(crate) fn is_wanted(&self, names: Names) -> bool {
        let name = self.name.rsplit('/').next().unwrap_or("");
        let plain = name
            .strip_suffix(".gz")
            .or_else(|| name.strip_suffix(".zst"))
            .unwrap_or(name);
        let is_named = match names {
            Names::Any => true,
            Names::Json => [".json", ".jsonl", ".ndjson"]
                .iter()
                .any(|ending| plain.ends_with(ending)),
        };
        let is_digest = self.name.split('/').any(|part| part == "CloudTrail-Digest");
        is_named && !is_digest && !name.starts_with('.')
    }
}

/// Which files hold events, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Those that are named as JSON is.
    Json,
    /// All but hidden ones: a decoder knows what they are.
    Any,
}

/// Why files are not had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PullFault {
    /// It may be had later.
    Later(String),
    /// It is another one by now, and is taken when it is found again.
    Changed,
    /// It is longer than it may be.
    TooLarge(String),
}

/// Where files are.
pub(crate) enum Source {
    Folder(Folder),
    S3(Box<S3>),
}

impl Source {
    /// Paths are relative to the folder of the channel's file.
    pub(crate) fn of(file: &PullFile, base: &Path) -> Self {
        match file {
            PullFile::Folder { path, .. } => Self::Folder(Folder::new(base.join(path))),
            PullFile::S3 {
                bucket,
                prefix,
                region,
                endpoint,
                credentials_file,
                ..
            } => Self::S3(Box::new(S3::new(
                (bucket, prefix, region),
                endpoint.as_deref(),
                credentials_file.as_ref().map(|path| base.join(path)),
            ))),
        }
    }

    /// Hands over the files that are there, some at a time, until `see` says that it is enough. Whether all were.
    pub(crate) fn list(&self, see: &mut dyn FnMut(Vec<Found>) -> bool) -> Result<bool, PullFault> {
        let is_wanted = |one: &Found| one.is_wanted(Names::Any);
        let mut wanted = |found: Vec<Found>| see(found.into_iter().filter(is_wanted).collect());
        match self {
            Self::Folder(folder) => folder.list(&mut wanted),
            Self::S3(s3) => s3.list(&mut wanted),
        }
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, found: &Found, most: u64) -> Result<Vec<u8>, PullFault> {
        if found.size > most {
            let words = format!(
                "{} bytes are more than {most} (pull.file_max_mib)",
                found.size
            );
            return Err(PullFault::TooLarge(words));
        }
        match self {
            Self::Folder(folder) => folder.read(found),
            Self::S3(s3) => s3.read(found, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Names, PullFile};

    #[test]
    fn files_with_events_by_their_names() {
        for (name, is, is_of_any) in [
            ("AWSLogs/1/CloudTrail/eu/2026/01/01/a.json.gz", true, true),
            (
                "AWSLogs/1/CloudTrail-Digest/eu/2026/01/01/a.json.gz",
                false,
                false,
            ),
            ("a.jsonl", true, true),
            ("a.ndjson.zst", true, true),
            (".a.json", false, false),
            ("a.json.tmp", false, true),
            ("a.txt", false, true),
        ] {
            let found = Found {
                name: name.to_owned(),
                size: 1,
                state: String::new(),
            };
            let told = [Names::Json, Names::Any].map(|names| found.is_wanted(names));
            assert_eq!(told, [is, is_of_any], "{name}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (text, expected) in [
            ("type = \"folder\"\npath = \"\"", "names no folder"),
            (
                "type = \"folder\"\npath = \"x\"\nevery = \"10ms\"",
                "1s at least",
            ),
            (
                "type = \"folder\"\npath = \"x\"\nfile_max_mib = 0",
                "out of range",
            ),
            (
                "type = \"s3\"\nbucket = \"a/b\"\nregion = \"r\"",
                "no bucket",
            ),
            (
                "type = \"s3\"\nbucket = \"abc\"\nregion = \"r x\"",
                "no region",
            ),
            (
                "type = \"s3\"\nbucket = \"abc\"\nregion = \"r\"\nendpoint = \"ftp://x\"",
                "http",
            ),
        ] {
            let file: PullFile = toml::from_str(text).expect("sound");
            let told = file.validate().expect_err("a mistake");
            assert!(told.contains(expected), "{told}");
        }
    }
}
