//! The file of proposals: overrides to which nobody has put an owner or a reason yet.
//!
//! A person goes on from it, so it is written only where nothing is, or over earlier proposals that are still as they
//! were written. A proposal has no owner and no reason: `check` warns until a person gives them.

use super::propose::Proposal;
use crate::writing::stream;
use std::io;
use thiserror::Error;

/// How every file of proposals begins.
const HEAD: &str = "# Exceptions proposed by `tripline backtest`, each tried on the findings of its rule. Look at each, take out what\n# you would rather see, and say who answers for it and why: `tripline check` warns of those that do not say.\n";

/// Why proposals are not written.
#[derive(Debug, Error)]
pub(crate) enum ProposeError {
    #[error(
        "--propose {path}: there is a file that no backtest wrote; name another, or move it away"
    )]
    Foreign { path: String },
    #[error(
        "--propose {path}: somebody answers for exceptions in this file; name another, or move it away"
    )]
    Answered { path: String },
    #[error("--propose {path}: there is a file that cannot be read; name another")]
    Unreadable { path: String, source: io::Error },
}

/// Whether proposals may be written at this path: where nothing is, or earlier proposals to which nobody has put an
/// owner or a reason yet.
pub(crate) fn may_be_written(path: &str) -> Result<(), ProposeError> {
    // Nothing is lost in a device or a stream, and reading one may take forever.
    if stream(path).is_some() || !std::fs::metadata(path).is_ok_and(|data| data.is_file()) {
        return Ok(());
    }
    let path = path.to_owned();
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(ProposeError::Unreadable { path, source }),
    };
    if !text.starts_with(HEAD.as_bytes()) {
        return Err(ProposeError::Foreign { path });
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(str::trim_start);
    if lines.any(|line| line.starts_with("owner") || line.starts_with("reason")) {
        return Err(ProposeError::Answered { path });
    }
    Ok(())
}

/// Proposals as a file of overrides.
pub(crate) fn to_toml(proposals: &[Proposal]) -> String {
    let mut out = String::from(HEAD);
    let mut rule = "";
    for proposal in proposals {
        if proposal.rule != rule {
            rule = &proposal.rule;
            out.push_str(&format!("\n[[override]]\nrule = \"{rule}\"\n"));
        }
        let when = if proposal.when.contains("'''") {
            toml::Value::from(proposal.when.as_str()).to_string()
        } else if proposal.when.contains('\n') {
            format!("'''\n{}\n'''", proposal.when)
        } else {
            toml::Value::from(proposal.when.as_str()).to_string()
        };
        out.push_str(&format!(
            "\n# {}\n[[override.exceptions]]\nname = \"{}\"\nwhen = {when}\n# owner = \"who answers for this\"\n# reason = \"why it is harmless\"\n",
            proposal.effect(),
            proposal.name
        ));
    }
    out
}
