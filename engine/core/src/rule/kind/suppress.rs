//! `[suppress]`: findings of one key within a window are one finding.
//!
//! ```toml
//! [suppress]
//! window = "1h"
//! by = ['event.?sourceIPAddress.orValue("")']      # the finding's dedup_key without
//! ```
//!
//! The first detection of a key opens a window of fixed length and makes the finding; later ones within the window are
//! counted on it, with the time of the last. A detection that is more severe than the finding makes a new one and
//! opens a new window: what gets worse must not be silent. Fixed windows, because a window that every
//! detection prolongs can silence a rule for ever.

use super::period::{EventTime, Period};
use super::{read_selectors, window};
use crate::limits::RULE_DEDUP_KEY_MAX;
use crate::rule::model::{Selector, Severity};
use crate::rule::read::{Fields, Reader};
use crate::rule::shape::SUPPRESS;
use serde::{Deserialize, Serialize};

/// What `[suppress]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Suppress {
    /// How long the key is silent after a finding.
    pub window: Period,
    /// The key; the finding's de-duplication key without.
    pub by: Option<Vec<Selector>>,
}

/// Reads `[suppress]`.
pub(in crate::rule) fn read_suppress(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
) -> Option<Suppress> {
    let (table, span) = fields.table("suppress")?;
    let fields = Fields::open(reader, table, &SUPPRESS, span);
    let window = window(reader, &fields, "window");
    let by = read_selectors(reader, &fields, "by", RULE_DEDUP_KEY_MAX)?;
    Some(Suppress {
        window: window?,
        by: Some(by).filter(|by| !by.is_empty()),
    })
}

/// The memory of one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuppressGroup {
    /// When the window is over.
    pub until: EventTime,
    /// Severity of the finding that opened it, from 0.
    severity: u8,
    /// How many were suppressed.
    pub count: u64,
    /// When the last of them came.
    pub last: EventTime,
}

/// What becomes of a detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppressed {
    /// It opens a window.
    Opens,
    /// It is more severe than the finding of the window that it ends.
    Reopens,
    /// It is counted on the finding.
    Counted,
}

impl Suppress {
    /// A detection comes.
    pub fn observe(
        &self,
        group: &mut Option<SuppressGroup>,
        time: EventTime,
        severity: Severity,
    ) -> Suppressed {
        let severity = severity as u8;
        let opened = SuppressGroup {
            until: time.plus(self.window),
            severity,
            count: 0,
            last: time,
        };
        match group {
            Some(open) if time < open.until && severity <= open.severity => {
                open.count += 1;
                open.last = time;
                Suppressed::Counted
            }
            Some(open) if time < open.until => {
                *open = opened;
                Suppressed::Reopens
            }
            _ => {
                *group = Some(opened);
                Suppressed::Opens
            }
        }
    }
}
