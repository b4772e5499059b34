//! Finds the rows of a batch that make a plugin fail, by asking it for halves.
//!
//! Knows nothing of plugins: it is given a function that asks for some of the rows. The number of extra calls is
//! bounded, so that a batch of nothing but bad rows cannot cost hundreds of them; what is not told apart by then has the
//! fault of the rows it is among.

use crate::fault::Fault;
use crate::limits::{BISECT_CALLS_MAX, BISECT_DEADLINE_CALLS};
use std::ops::Range;

/// What became of some rows next to each other.
pub(crate) struct Piece<T> {
    pub(crate) rows: Range<usize>,
    pub(crate) answer: Result<T, Fault>,
}

/// What became of a batch: its pieces in order.
pub(crate) struct Pieces<T> {
    pub(crate) pieces: Vec<Piece<T>>,
}

impl<T> Pieces<T> {
    /// Whether any row has an answer.
    pub(crate) fn has_answers(&self) -> bool {
        self.pieces.iter().any(|piece| piece.answer.is_ok())
    }
}

/// Asks for all `rows`, and for halves of what fails.
pub(crate) fn ask<T>(
    rows: usize,
    mut call: impl FnMut(Range<usize>) -> Result<T, Fault>,
) -> Pieces<T> {
    let mut waiting: Vec<Range<usize>> = Vec::new();
    waiting.push(0..rows);
    let mut pieces = Vec::new();
    let mut left = BISECT_CALLS_MAX;
    while let Some(rows) = waiting.pop() {
        let answer = call(rows.clone());
        let Some(fault) = answer.as_ref().err().filter(|fault| fault.may_be_one_row()) else {
            pieces.push(Piece { rows, answer });
            continue;
        };
        let cost = match fault {
            Fault::Deadline { .. } => 2 * BISECT_DEADLINE_CALLS,
            _ => 2,
        };
        if rows.len() < 2 || left < cost {
            pieces.push(Piece { rows, answer });
            continue;
        }
        left -= cost;
        let middle = rows.start + rows.len() / 2;
        // The last in is the first out: pieces stay in order.
        waiting.push(middle..rows.end);
        waiting.push(rows.start..middle);
    }
    Pieces { pieces }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::TrapKind;

    const TRAP: Fault = Fault::Trap {
        kind: TrapKind::Unreachable,
    };

    /// Which rows have the fault, from and up to, and how many calls that took.
    fn check(rows: usize, poison: &[usize], fault: &Fault) -> (Vec<[usize; 2]>, u32, bool) {
        let mut calls = 0;
        let asked = ask(rows, |rows| {
            calls += 1;
            match poison.iter().any(|row| rows.contains(row)) {
                true => Err(fault.clone()),
                false => Ok(rows),
            }
        });
        let is_alone = |piece: &Piece<Range<usize>>| piece.answer.is_ok() || piece.rows.len() < 2;
        let is_told_apart = asked.pieces.iter().all(is_alone);
        let mut next = 0;
        let mut failed = Vec::new();
        for piece in asked.pieces {
            assert_eq!(piece.rows.start, next, "pieces are in order");
            next = piece.rows.end;
            match piece.answer {
                Ok(answered) => assert_eq!(answered, piece.rows),
                Err(_) => failed.push([piece.rows.start, piece.rows.end]),
            }
        }
        assert_eq!(next, rows, "no row is left out");
        (failed, calls, is_told_apart)
    }

    #[test]
    fn a_good_batch_is_one_call() {
        assert_eq!(check(256, &[], &TRAP), (Vec::new(), 1, true));
        assert_eq!(check(0, &[], &TRAP), (Vec::new(), 1, true));
    }

    #[test]
    fn one_bad_row_among_256_takes_sixteen_more() {
        assert_eq!(check(256, &[77], &TRAP), (vec![[77, 78]], 17, true));
        assert_eq!(check(1, &[0], &TRAP), (vec![[0, 1]], 1, true));
    }

    #[test]
    fn two_bad_rows_among_1024_are_both_found() {
        let (failed, calls, is_told_apart) = check(1024, &[3, 900], &TRAP);
        assert_eq!(failed, [[3, 4], [900, 901]]);
        assert!(calls <= 1 + BISECT_CALLS_MAX && is_told_apart, "{calls}");
    }

    #[test]
    fn nothing_but_bad_rows_is_bounded() {
        let all: Vec<usize> = (0..1024).collect();
        let (failed, calls, is_told_apart) = check(1024, &all, &TRAP);
        assert_eq!(
            failed.iter().map(|[start, end]| end - start).sum::<usize>(),
            1024
        );
        assert_eq!(calls, 1 + BISECT_CALLS_MAX);
        assert!(!is_told_apart);
    }

    #[test]
    fn slow_rows_are_looked_for_less_long() {
        let deadline = std::time::Duration::from_millis(1);
        let fault = Fault::Deadline { deadline };
        assert_eq!(check(256, &[77], &fault), (vec![[77, 78]], 17, true));
        let all: Vec<usize> = (0..1024).collect();
        let (_, calls, _) = check(1024, &all, &fault);
        assert_eq!(calls, 1 + BISECT_CALLS_MAX / BISECT_DEADLINE_CALLS);
    }

    #[test]
    fn what_no_row_causes_is_not_looked_for() {
        assert_eq!(check(256, &[0], &Fault::Busy), (vec![[0, 256]], 1, false));
    }
}
