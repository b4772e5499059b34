//! An allocator that counts, while it is told to: how many allocations an event costs, and how much memory a
//! rule set takes.
//!
//! The only unsafe code of the benchmarks: a global allocator cannot be written without. It passes every call
//! to the system's allocator unchanged. Off, it costs one relaxed load per call, for all engines alike.

#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The allocator of the benchmarks.
pub(crate) struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// What was allocated while a piece of work ran.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allocated {
    pub(crate) calls: usize,
    /// Bytes that are still there.
    pub(crate) kept: usize,
    /// Most bytes that were there at once.
    pub(crate) peak: usize,
}

/// Runs the work and counts what it allocates.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, Allocated) {
    // Memory from before may be given back meanwhile, so the count starts high.
    const START: usize = 1 << 40;
    CALLS.store(0, Relaxed);
    LIVE.store(START, Relaxed);
    PEAK.store(START, Relaxed);
    ON.store(true, Relaxed);
    let result = work();
    ON.store(false, Relaxed);
    let allocated = Allocated {
        calls: CALLS.load(Relaxed),
        kept: LIVE.load(Relaxed).saturating_sub(START),
        peak: PEAK.load(Relaxed).saturating_sub(START),
    };
    (result, allocated)
}

fn grown(bytes: usize) {
    CALLS.fetch_add(1, Relaxed);
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(live, Relaxed);
}

// SAFETY: every call is handed to `System` with the arguments it came with; counting touches no memory of
// the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ON.load(Relaxed) {
            grown(layout.size());
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if ON.load(Relaxed) {
            LIVE.fetch_sub(layout.size(), Relaxed);
        }
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if ON.load(Relaxed) {
            LIVE.fetch_sub(layout.size(), Relaxed);
            grown(size);
        }
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
