//! The rule as a plain core module, whose host copies a packed batch into its memory.

#[path = "../../../../plugins/guest/src/find.rs"]
mod find;

use std::cell::RefCell;
use tripline_plugin::Batch;

thread_local! {
    static BATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static FOUND: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Room for a batch of so many bytes, aligned as batches are.
#[unsafe(no_mangle)]
extern "C" fn room(bytes: usize) -> *mut u8 {
    BATCH.with_borrow_mut(|batch| {
        batch.clear();
        batch.reserve(bytes);
        batch.as_mut_ptr()
    })
}

/// Looks at the batch that was put there; gives the place of the rows that were found above, and their number below.
#[unsafe(no_mangle)]
extern "C" fn find_rows(bytes: usize) -> u64 {
    BATCH.with_borrow_mut(|batch| {
        // SAFETY: the host wrote so many bytes into the room for them.
        unsafe { batch.set_len(bytes) };
        FOUND.with_borrow_mut(|found| {
            found.clear();
            // SAFETY: the host made the batch, whose texts are UTF-8.
            let view = unsafe { Batch::from_host(batch) }.expect("a batch");
            find::find(&view, |row| found.push(row as u32)).expect("its columns");
            (found.as_ptr() as u64) << 32 | found.len() as u64
        })
    })
}
