//! Any bytes as a component, of any size: what is looked through before a compiler sees it is refused or told within its bounds, the
//! same each time, and so is what a component says of its making.
//!
//! Beside `component`, which compiles what passes, this takes microseconds for an input, so that many more are tried.

use tripline_host::limits::{
    BODY_BYTES_MAX, BODY_LOCALS_MAX, CORE_MODULES_MAX, FUNCTIONS_MAX, NAMES_MAX, NOTES_MAX,
    PACKAGES_MAX, PRODUCERS_MAX,
};
use tripline_host::manifest::MANIFEST_BYTES_MAX;
use tripline_host::provenance::provenance;
use tripline_host::scan::scan;

/// Holds the input to the claims above.
pub(crate) fn run(bytes: &[u8]) {
    let read = scan(bytes);
    assert_eq!(read, scan(bytes));
    let made = provenance(bytes);
    assert!(made.notes.len() <= NOTES_MAX);
    assert!(made.producers.len() <= PRODUCERS_MAX);
    assert!(made.packages.len() <= PACKAGES_MAX);
    let scanned = match read {
        Ok(scanned) => scanned,
        Err(fault) => return assert!(!fault.to_string().is_empty()),
    };
    assert!(scanned.imports.len() <= NAMES_MAX && scanned.exports.len() <= NAMES_MAX);
    assert!(scanned.functions <= FUNCTIONS_MAX && scanned.core_modules <= CORE_MODULES_MAX);
    assert!(scanned.body_bytes <= BODY_BYTES_MAX.min(bytes.len() as u64));
    assert!(scanned.body_locals <= u64::from(BODY_LOCALS_MAX));
    let manifest = scanned.manifest.unwrap_or_default();
    assert!(manifest.len() <= MANIFEST_BYTES_MAX);
}
