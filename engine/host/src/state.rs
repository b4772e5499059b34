//! What a store holds: the way to what was granted, and the bounds on memory.

use crate::grant::Call;
use crate::limits::{CORE_MODULES_MAX, MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use std::fmt;
use wasmtime::ResourceLimiter;

/// The data of a store.
pub(crate) struct State {
    pub(crate) call: Call,
    pub(crate) limiter: Limiter,
}

/// An import was called with what the contract calls a trap.
#[derive(Debug)]
pub(crate) struct ForbiddenCall;

impl fmt::Display for ForbiddenCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an import was called with what the contract forbids")
    }
}

impl std::error::Error for ForbiddenCall {}

/// Bounds the memories of one instance together.
///
/// Growing is refused, not trapped: allocators of guests know what to do about it, and that it was refused is remembered
/// for naming what went wrong afterwards.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: usize,
    used: usize,
    refused: bool,
}

impl Limiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            refused: false,
        }
    }

    /// Bytes of all memories. They never shrink.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Whether something was refused since this was asked last.
    pub(crate) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let is_allowed = desired <= TABLE_ELEMENTS_MAX;
        self.refused |= !is_allowed;
        Ok(is_allowed)
    }

    fn instances(&self) -> usize {
        CORE_MODULES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
