//! The rule of the measurements, as a plugin: eight sensitive actions that succeeded, without a second factor, from an
//! address outside, or with an administrator's policy. `benches/plugins/rule.rs` is the same for the host.

use tripline_plugin::{Batch, Detector, Fault, Hit, Severity, export_detector, fields};

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

#[derive(Default)]
struct Sensitive;

impl Detector for Sensitive {
    fn detect(&mut self, batch: &Batch<'_>) -> Result<Vec<Hit>, Fault> {
        let reads = Reads::of(batch)?;
        let is_sensitive = reads.event_name.map(|name| ACTIONS.contains(&name));
        let mut hits = Vec::new();
        for row in batch.rows() {
            if is_sensitive.get(row) != Some(&true) || reads.error_code.get(row).is_some() {
                continue;
            }
            let no_mfa = reads.mfa.get(row) == Some(false);
            let outside = || !reads.address.get(row).is_some_and(|one| one.starts_with("10."));
            let admin = || {
                reads
                    .policy
                    .get(row)
                    .is_some_and(|one| one.ends_with("/AdministratorAccess"))
            };
            if no_mfa && (outside() || admin()) {
                hits.push(Hit::new(row, Severity::High, "sensitive action"));
            }
        }
        Ok(hits)
    }
}

export_detector!(Sensitive);
