//! The rule itself, for guests of every kind.

use tripline_plugin::{Batch, Fault, fields};

fields! {
    struct Reads {
        event_name: symbol,
        error_code: symbol,
        mfa: bool,
        address: text,
        policy: text,
    }
}

const ACTIONS: [&str; 8] = [
    "AttachUserPolicy",
    "AttachRolePolicy",
    "CreateAccessKey",
    "CreateLoginProfile",
    "DeleteTrail",
    "PutUserPolicy",
    "StopLogging",
    "UpdateAssumeRolePolicy",
];

/// Calls `found` with each row that the rule finds.
#[inline(always)]
pub(crate) fn find(batch: &Batch<'_>, mut found: impl FnMut(usize)) -> Result<(), Fault> {
    let reads = Reads::of(batch)?;
    let is_sensitive = reads.event_name.map(|name| ACTIONS.contains(&name));
    for row in batch.rows() {
        if is_sensitive.get(row) != Some(&true) || reads.error_code.get(row).is_some() {
            continue;
        }
        let (address, policy) = (|| reads.address.get(row), || reads.policy.get(row));
        if is_bad(reads.mfa.get(row), address, policy) {
            found(row);
        }
    }
    Ok(())
}

/// The same of one event.
#[allow(dead_code)] // Not every guest is given single events.
pub(crate) fn finds(
    name: &str,
    error: Option<&str>,
    mfa: Option<bool>,
    address: Option<&str>,
    policy: Option<&str>,
) -> bool {
    ACTIONS.contains(&name) && error.is_none() && is_bad(mfa, || address, || policy)
}

#[inline(always)]
fn is_bad<'e>(
    mfa: Option<bool>,
    address: impl Fn() -> Option<&'e str>,
    policy: impl Fn() -> Option<&'e str>,
) -> bool {
    let outside = || !address().is_some_and(|one| one.starts_with("10."));
    let admin = || policy().is_some_and(|one| one.ends_with("/AdministratorAccess"));
    mfa == Some(false) && (outside() || admin())
}
