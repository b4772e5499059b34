//! When unusual activity began, within the window that showed it.
//!
//! The most recent stretch whose counts exceed a line halfway between what was expected then and what was observed by most:
//! the change point of a cumulative sum. Minutes for fifteen minutes back, blocks of five before. The start of the window itself would put
//! an hour of silence before a burst.

use super::windows::{BLOCK, Windows};

/// In which direction the counts went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    More,
    Fewer,
}

/// An earlier start must explain so much more, in part and in events: a job at its minute does not begin with the quiet hour before.
const MORE_PART: f32 = 0.25;
const MORE: f32 = 0.5;

/// Halfway between what is usual and what was counted: in calls a minute above it, or as a part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) part: f32,
    pub(super) more: f32,
}

/// The first minute of what a window of that length shows, and its sum up to and with `minute`. `usual` says what was expected
/// from one minute to another.
pub(super) fn onset(
    windows: &Windows,
    minute: u32,
    length: u32,
    line: Line,
    direction: Direction,
    usual: &dyn Fn(u32, u32) -> f32,
) -> (u32, f32) {
    let sign = if direction == Direction::More {
        1.0
    } else {
        -1.0
    };
    let (mut sum, mut excess) = (0.0, 0.0);
    let (mut best, mut found) = (f32::NEG_INFINITY, (minute, 0.0));
    let mut back = 0;
    while back < length {
        let at = minute.saturating_sub(back);
        // Whole blocks once the single minutes have run out at a block's edge.
        let whole = length > 15 && back >= 10 && at % BLOCK == BLOCK - 1;
        let step = if whole { BLOCK } else { 1 };
        let count = if whole {
            windows.at_block(at / BLOCK)
        } else {
            windows.sum(1, at)
        };
        let expected =
            line.part * usual((at + 1).saturating_sub(step), at + 1) + line.more * step as f32;
        sum += count;
        excess += sign * (count - expected);
        back += step;
        // A little more excess is chance: the later start stands.
        if excess > best + MORE + MORE_PART * best.max(0.0) || best == f32::NEG_INFINITY {
            best = excess;
            found = (minute.saturating_sub(back - 1), sum);
        }
    }
    found
}
