//! How many requests: a bucket of a minute's worth that fills steadily.

use crate::grant::{Fault, FaultKind};
use std::sync::{Mutex, PoisonError};

const MINUTE_MS: u64 = 60_000;

#[derive(Debug)]
pub(super) struct Rate {
    per_minute: u64,
    state: Mutex<State>,
}

/// In sixty-thousandths of a request, so that nothing is lost to rounding.
#[derive(Debug)]
struct State {
    left: u64,
    at_ms: u64,
}

impl Rate {
    pub(super) fn new(per_minute: u64) -> Self {
        let left = per_minute * MINUTE_MS;
        Self {
            per_minute,
            state: Mutex::new(State { left, at_ms: 0 }),
        }
    }

    /// Takes one, or says when there will be one.
    pub(super) fn take(&self, now_ms: u64) -> Result<(), Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that goes back gives nothing, and takes nothing either.
        let passed = now_ms.saturating_sub(state.at_ms).min(MINUTE_MS);
        state.at_ms = now_ms;
        let full = self.per_minute * MINUTE_MS;
        state.left = (state.left + passed * self.per_minute).min(full);
        match state.left.checked_sub(MINUTE_MS) {
            Some(left) => {
                state.left = left;
                Ok(())
            }
            None => {
                let missing_ms = (MINUTE_MS - state.left).div_ceil(self.per_minute.max(1));
                let message = format!("more than {} requests in a minute", self.per_minute);
                Err(Fault {
                    retry_after_ms: u32::try_from(missing_ms).ok(),
                    ..Fault::new(FaultKind::Limit, message)
                })
            }
        }
    }
}
