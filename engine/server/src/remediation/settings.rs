//! Settings of remediation: from the configuration, and from the files that it names.

use crate::config::RemediationConfig;
use crate::serve::sink::read_secret;
use serde::Deserialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use tripline_remediation::book::Rules;
use tripline_remediation::engine::Settings;
use tripline_remediation::guard::Protected;
use tripline_remediation::journal::CheckpointKey;
use tripline_remediation::policy::{Cap, Period};
use tripline_remediation::vote::Approver;

/// The file of approvers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approvers {
    #[serde(default)]
    approver: Vec<Approver>,
}

/// Reads who may vote.
pub(crate) fn approvers(path: &str) -> Result<Vec<Approver>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let text = crate::channel::file::read_bounded(path.as_ref(), 1 << 20)
        .map_err(|fault| format!("{path}: {fault}"))?;
    let read: Approvers = toml::from_str(&text)
        .map_err(|fault| format!("{path}: {}", fault.to_string().trim_end()))?;
    for (number, one) in read.approver.iter().enumerate() {
        if one.principals.is_empty() && !one.break_glass {
            let words = "it is not known which ARNs are this person, who may so vote on what they did themselves";
            tracing::warn!(approver = one.name, words, "approver without principals");
        }
        if one.name.trim().is_empty() {
            return Err(format!("{path}: an approver has no name"));
        }
        if !one.key.starts_with('U') || nkeys::KeyPair::from_public_key(&one.key).is_err() {
            return Err(format!(
                "{path}: the key of `{}` is no public key; it begins with U (`tripline approvals key` makes one)",
                one.name
            ));
        }
        if read.approver[..number]
            .iter()
            .any(|other| other.name == one.name)
        {
            return Err(format!("{path}: two approvers are called `{}`", one.name));
        }
    }
    Ok(read.approver)
}

/// What the engine is told.
pub(crate) fn settings(config: &RemediationConfig, folder: &Path) -> Result<Settings, String> {
    let mut frozen = Vec::new();
    for one in &config.frozen {
        let time = |text: &str| {
            let time: Result<jiff::Timestamp, _> = text.parse();
            time.map(|time| time.as_microsecond())
                .map_err(|_| format!("remediation.frozen: `{text}` is no time with its zone, such as 2026-12-24T00:00:00Z"))
        };
        frozen.push((time(&one.from)?, time(&one.to)?, one.reason.clone()));
    }
    Ok(Settings {
        rules: Rules {
            global: Some(Cap {
                max: config.max,
                window: Period(config.window.period().micros()),
            }),
            storm: config.storm,
            fence: config.settled_after.period().micros(),
            skew: 0,
            frozen,
        },
        protected: Protected {
            arns: config.protected.clone(),
            accounts: config.protected_accounts.clone(),
            only: config.accounts.clone(),
            own_roles: config.roles.clone(),
        },
        approvers: approvers(&config.approvers_file)?,
        planner: None,
        told: super::telling::told(folder),
        ends_at: None,
    })
}

/// The key of checkpoints: the one of the file, which is made when there is none.
pub(crate) fn checkpoint_key(folder: &Path) -> Result<CheckpointKey, String> {
    let path: PathBuf = folder.join("checkpoint.seed");
    let wrong = |fault: String| format!("{}: {fault}", path.display());
    if path.exists() {
        let seed = read_secret(&path).map_err(wrong)?;
        return CheckpointKey::of_seed(&seed).map_err(wrong);
    }
    std::fs::create_dir_all(folder).map_err(|fault| wrong(fault.to_string()))?;
    let key = CheckpointKey::new();
    let seed = key.seed().map_err(wrong)?;
    write_private(&path, &format!("{seed}\n")).map_err(wrong)?;
    Ok(key)
}

/// Puts a file that only its owner may read in the place of another, whole.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension("part");
    // Made anew, so that nobody has it open, or has put a link there.
    match std::fs::remove_file(&part) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let mut file = private().create_new(true).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

/// How a file is opened that only its owner may read.
fn private() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Writes a file that only its owner may read, where there is none.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let opened = private().create_new(true).open(path);
    let mut file = opened.map_err(|fault| match fault.kind() {
        std::io::ErrorKind::AlreadyExists => {
            "a file is there already, and is not written over; give another name".to_owned()
        }
        _ => fault.to_string(),
    })?;
    file.write_all(text.as_bytes())
        .map_err(|fault| fault.to_string())?;
    file.sync_all().map_err(|fault| fault.to_string())
}
