//! The allocator of plugins: a region that every instance has from the start, and std's allocator when that is full.
//!
//! std's own asks for memory before it gives its first byte. For a fresh instance that is dear: the host has to open pages
//! that it closed after the instance before, which stops all of its threads for a moment, twice a call. What a call
//! needs for a batch of usual size fits into the region. It is given out from front to back; the last piece can grow
//! and be taken back, and when nothing of it is in use any more, it begins anew. So an instance that is reused loses nothing
//! by it, and one that leaks loses the region once.
//!
//! A plugin that brings an allocator of its own switches the feature `allocator` off.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

/// Bytes of the region of a plugin: the batch of a call with 1,024 rows, and as much again for what is made of it.
#[cfg(target_arch = "wasm32")]
const REGION_BYTES: usize = 256 * 1024;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: RegionFirst<REGION_BYTES> = RegionFirst::new();

/// A region of so many bytes, then std's allocator.
#[repr(C, align(16))]
struct RegionFirst<const BYTES: usize> {
    bytes: UnsafeCell<[u8; BYTES]>,
    /// Where what was never given out, or was taken back, begins.
    next: Cell<usize>,
    /// Pieces that are in use.
    live: Cell<usize>,
}

// SAFETY: a component has one thread. Tests use one of their own, from one thread each.
unsafe impl<const BYTES: usize> Sync for RegionFirst<BYTES> {}

impl<const BYTES: usize> RegionFirst<BYTES> {
    const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new([0; BYTES]),
            next: Cell::new(0),
            live: Cell::new(0),
        }
    }

    fn start(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    /// Where in the region a piece is; nothing for one that std's allocator gave.
    #[inline]
    fn place(&self, piece: *mut u8) -> Option<usize> {
        let place = piece.addr().wrapping_sub(self.start().addr());
        (place < BYTES).then_some(place)
    }

    /// The next piece, if the region has room for it.
    #[inline]
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let unaligned = self.start().addr() + self.next.get();
        let gap = unaligned.wrapping_neg() & (layout.align() - 1);
        let place = self.next.get() + gap;
        let end = place.checked_add(layout.size())?;
        if end > BYTES {
            return None;
        }
        self.next.set(end);
        self.live.set(self.live.get() + 1);
        // SAFETY: `place` is within the region, or at its end for a piece without bytes.
        Some(unsafe { self.start().add(place) })
    }

    #[inline]
    fn give_back(&self, place: usize, layout: Layout) {
        self.live.set(self.live.get() - 1);
        if self.live.get() == 0 {
            self.next.set(0);
        } else if place + layout.size() == self.next.get() {
            self.next.set(place);
        }
    }
}

// SAFETY: pieces of the region are aligned, within it, and apart from each other: `next` goes back only behind pieces that
// are not in use. All others are std's allocator's.
unsafe impl<const BYTES: usize> GlobalAlloc for RegionFirst<BYTES> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(piece) => piece,
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match self.place(piece) {
            Some(place) => self.give_back(place, layout),
            // SAFETY: what is not of the region came from there.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(place) = self.place(piece) else {
            // SAFETY: what is not of the region came from there.
            return unsafe { System.realloc(piece, layout, size) };
        };
        let is_last = place + layout.size() == self.next.get();
        if is_last && size <= BYTES - place {
            self.next.set(place + size);
            return piece;
        }
        if size <= layout.size() {
            return piece;
        }
        // SAFETY: the caller promises that the size is one of a layout with this alignment, and not zero; the new piece is
        // longer than the old one, and they are apart.
        unsafe {
            let longer = Layout::from_size_align_unchecked(size, layout.align());
            let new = self.alloc(longer);
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(piece, new, layout.size());
                self.dealloc(piece, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    /// Pieces of all sizes come and go by chance; each keeps what was written into it until it goes.
    #[test]
    fn pieces_keep_apart() {
        let region = Box::new(RegionFirst::<4096>::new());
        let mut pieces: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut seed = 7_u64;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for round in 0..20_000_u32 {
            let mark = round as u8;
            match next(5) {
                0 | 1 => {
                    let layout = layout(1 + next(300), 1 << next(6));
                    // SAFETY: the layout is not of zero size.
                    let piece = unsafe { region.alloc(layout) };
                    assert_eq!(piece.addr() % layout.align(), 0);
                    // SAFETY: the piece is that long.
                    unsafe { piece.write_bytes(mark, layout.size()) };
                    pieces.push((piece, layout, mark));
                }
                2 if !pieces.is_empty() => {
                    let at = next(pieces.len());
                    let (piece, before, mark) = pieces[at];
                    let after = layout(1 + next(400), before.align());
                    // SAFETY: the piece was given for that layout.
                    let moved = unsafe { region.realloc(piece, before, after.size()) };
                    let kept = before.size().min(after.size());
                    // SAFETY: the piece is now as long as `after` says.
                    let bytes = unsafe { std::slice::from_raw_parts_mut(moved, after.size()) };
                    assert!(bytes[..kept].iter().all(|byte| *byte == mark));
                    bytes.fill(mark);
                    pieces[at] = (moved, after, mark);
                }
                _ if !pieces.is_empty() => {
                    let (piece, layout, mark) = pieces.swap_remove(next(pieces.len()));
                    // SAFETY: the piece is that long, and was given for that layout.
                    unsafe {
                        let bytes = std::slice::from_raw_parts(piece, layout.size());
                        assert!(bytes.iter().all(|byte| *byte == mark));
                        region.dealloc(piece, layout);
                    }
                }
                _ => {}
            }
        }
        let used: Vec<_> = pieces.iter().map(|piece| region.place(piece.0)).collect();
        assert!(used.iter().any(Option::is_some) && used.iter().any(Option::is_none));
        for (piece, layout, _) in pieces {
            // SAFETY: the piece was given for that layout.
            unsafe { region.dealloc(piece, layout) };
        }
        assert_eq!((region.next.get(), region.live.get()), (0, 0));
    }

    #[test]
    fn the_last_piece_grows_where_it_is() {
        let region = Box::new(RegionFirst::<4096>::new());
        // SAFETY: the layouts are those that the pieces were given for.
        unsafe {
            let first = region.alloc(layout(100, 1));
            let grown = region.realloc(first, layout(100, 1), 4096);
            assert_eq!(first, grown);
            let beyond = region.alloc(layout(1, 1));
            assert_eq!(region.place(beyond), None);
            let moved = region.realloc(grown, layout(4096, 1), 4097);
            assert_eq!(region.place(moved), None);
            assert_eq!(region.next.get(), 0);
            region.dealloc(beyond, layout(1, 1));
            region.dealloc(moved, layout(4097, 1));
        }
    }
}
