//! What an evaluation may still spend.
//!
//! Every step of every evaluation is paid for here, before it is done, so that no expression and no event can
//! make matching run away. A unit is about one comparison or ten bytes of text touched.

use super::error::Why;
use crate::limits;

/// The budget of one selector on one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    left: u64,
}

/// Text up to this long is part of the unit that every step costs.
const BYTES_FREE: usize = 64;

impl Meter {
    /// A full budget.
    pub(crate) fn new() -> Self {
        Self {
            left: limits::SELECTOR_COST_MAX,
        }
    }

    /// A budget of so many units.
    pub(crate) fn with_budget(units: u64) -> Self {
        Self { left: units }
    }

    /// What was spent of a full budget.
    pub(crate) fn spent(&self) -> u64 {
        limits::SELECTOR_COST_MAX.saturating_sub(self.left)
    }

    /// What was spent since the meter stood so.
    #[inline]
    pub(crate) fn since(&self, before: &Meter) -> u64 {
        before.left.saturating_sub(self.left)
    }

    /// Pays for so many units.
    #[inline]
    pub(crate) fn charge(&mut self, units: u64) -> Result<(), Why> {
        match self.left.checked_sub(units) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Why::CostExceeded)
            }
        }
    }

    /// Pays for touching so many bytes.
    #[inline]
    pub(crate) fn charge_bytes(&mut self, bytes: usize) -> Result<(), Why> {
        if bytes <= BYTES_FREE {
            return Ok(());
        }
        self.charge(bytes as u64 / 10)
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}
