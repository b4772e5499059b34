//! What a series counted in the last minutes, by windows.
//!
//! Sixteen single minutes and 96 blocks of five: windows up to 15 minutes are exact, longer ones end at the present minute
//! and begin at a block's edge, so they are up to four minutes shorter than their name; [`Windows::length`] says by how
//! much, and expectations are taken over that length. Single minutes for eight hours would take ten times the memory and
//! say nothing that a window of an hour can tell apart. Must never be asked about the past of its newest minute.

use super::half::Half;
use super::settings::WINDOWS_MAX;

/// Single minutes kept.
const SINGLES: usize = 16;
/// Blocks of five minutes kept: eight hours.
pub(super) const BLOCKS: usize = 96;
/// Minutes of a block.
pub(super) const BLOCK: u32 = 5;
/// Windows longer than this are made of blocks.
const EXACT_MAX: u32 = 15;

/// Counts of the last eight hours.
#[derive(Clone, Debug, PartialEq)]
#[repr(C)]
pub(super) struct Windows {
    /// The block that is not over.
    pub(super) block: f32,
    /// Sum of all blocks: nothing needs to be looked at when it is zero.
    pub(super) total: f32,
    /// Sums of the blocks that are over, of each window.
    pub(super) over: [f32; WINDOWS_MAX],
    pub(super) singles: [f32; SINGLES],
    pub(super) blocks: [Half; BLOCKS],
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            singles: [0.0; SINGLES],
            blocks: [Half(0); BLOCKS],
            block: 0.0,
            total: 0.0,
            over: [0.0; WINDOWS_MAX],
        }
    }
}

impl Windows {
    pub(super) fn add(&mut self, minute: u32, count: f32) {
        self.singles[minute as usize % SINGLES] += count;
        self.block += count;
    }

    /// A new minute begins, the one after the last.
    pub(super) fn next_minute(&mut self, minute: u32) {
        self.singles[minute as usize % SINGLES] = 0.0;
    }

    /// The block of that number is over.
    pub(super) fn close_block(&mut self, number: u32, windows: &[u32]) {
        if self.block == 0.0 && self.total == 0.0 {
            return;
        }
        let count = self.block;
        self.set_block(number, count);
        self.block = 0.0;
        // Sums of fractions drift, so they are made anew each half hour.
        if number % 6 == 5 {
            self.sum_over(number + 1, windows);
            return;
        }
        let new = self.at_block(number);
        for (over, window) in self.over.iter_mut().zip(windows) {
            if *window > EXACT_MAX {
                let gone = number.wrapping_sub(window / BLOCK - 1) as usize % BLOCKS;
                *over = (*over + new - self.blocks[gone].get()).max(0.0);
            }
        }
    }

    /// Sums the blocks that are over anew, before the block of that number.
    pub(super) fn sum_over(&mut self, number: u32, windows: &[u32]) {
        let (mut blocks, mut sum) = (0, 0.0);
        for (index, window) in windows.iter().enumerate() {
            if *window > EXACT_MAX {
                let wanted = window / BLOCK - 1;
                sum += self.blocks_before(number.wrapping_sub(blocks), (wanted - blocks) as usize);
                blocks = wanted;
                self.over[index] = sum;
            }
        }
        self.total = self.blocks.iter().map(|block| block.get()).sum();
    }

    /// Minutes that the window ending with `minute` really spans.
    pub(super) fn length(window: u32, minute: u32) -> u32 {
        if window <= EXACT_MAX {
            window
        } else {
            window - BLOCK + minute % BLOCK + 1
        }
    }

    /// What was counted in the window that ends with `minute`.
    pub(super) fn sum(&self, window: u32, minute: u32) -> f32 {
        if window <= EXACT_MAX {
            let singles = (0..window).map(|back| minute.wrapping_sub(back) as usize % SINGLES);
            return singles.map(|slot| self.singles[slot]).sum();
        }
        if self.total == 0.0 {
            return self.block;
        }
        self.blocks_before(minute / BLOCK, (window / BLOCK - 1) as usize) + self.block
    }

    /// Sums of all windows, which are in rising order and those that blocks were closed with; of the newest minute or the
    /// last of its block.
    pub(super) fn sums(&self, windows: &[u32], minute: u32, out: &mut [f32]) {
        let (mut minutes, mut singles) = (0, 0.0);
        for (index, (window, out)) in windows.iter().zip(out).enumerate() {
            if *window <= EXACT_MAX {
                while minutes < *window {
                    singles += self.singles[minute.wrapping_sub(minutes) as usize % SINGLES];
                    minutes += 1;
                }
                *out = singles;
            } else {
                *out = self.over[index] + self.block;
            }
        }
    }

    fn blocks_before(&self, number: u32, many: usize) -> f32 {
        let end = number as usize % BLOCKS;
        if many <= end {
            return self.blocks[end - many..end]
                .iter()
                .map(|block| block.get())
                .sum();
        }
        let wrapped = &self.blocks[BLOCKS + end - many..];
        self.blocks[..end]
            .iter()
            .chain(wrapped)
            .map(|block| block.get())
            .sum()
    }

    /// One block that is over.
    pub(super) fn at_block(&self, number: u32) -> f32 {
        self.blocks[number as usize % BLOCKS].get()
    }

    /// Says of a block that is over what it should have been; [`Self::sum_over`] must follow.
    pub(super) fn set_block(&mut self, number: u32, count: f32) {
        let slot = &mut self.blocks[number as usize % BLOCKS];
        let new = Half::new(count);
        self.total = (self.total + new.get() - slot.get()).max(0.0);
        *slot = new;
    }

    /// The same of a single minute.
    pub(super) fn set_single(&mut self, minute: u32, count: f32) {
        self.singles[minute as usize % SINGLES] = count;
    }
}
