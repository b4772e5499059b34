//! Numbers of different types in one exact order.
//!
//! Converting both to double, as CEL does, would call 2^53 and 2^53 + 1 equal. Constants that large are no
//! conditions (see `formula`), so for those that are, both orders say the same.

use crate::event::Number;
use std::cmp::Ordering;

/// How `left` stands to `right`; nothing for a NaN.
pub(super) fn compare(left: Number, right: Number) -> Option<Ordering> {
    use Number::{Double, Int, Uint};
    match (left, right) {
        (Int(left), Int(right)) => Some(left.cmp(&right)),
        (Double(left), Double(right)) => left.partial_cmp(&right),
        (Double(left), right) => Some(whole_to_double(whole(right), left)?.reverse()),
        (left, Double(right)) => whole_to_double(whole(left), right),
        (Uint(_), _) | (_, Uint(_)) => Some(whole(left).cmp(&whole(right))),
    }
}

fn whole(number: Number) -> i128 {
    match number {
        Number::Int(value) => value.into(),
        Number::Uint(value) => value.into(),
        Number::Double(_) => 0,
    }
}

/// `whole` fits 64 bits with or without sign, so a double beyond 2^65 is beyond it.
fn whole_to_double(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    if double.abs() > 36_893_488_147_419_103_232.0 {
        return Some(if double > 0.0 {
            Ordering::Less
        } else {
            Ordering::Greater
        });
    }
    let floor = double.floor();
    let above = if double > floor {
        Ordering::Less
    } else {
        Ordering::Equal
    };
    Some(whole.cmp(&(floor as i128)).then(above))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Number::{Double, Int, Uint};

    #[test]
    fn types_do_not_blur_the_order() {
        let check = |left, right, expected| {
            assert_eq!(compare(left, right), Some(expected), "{left:?} {right:?}");
            assert_eq!(
                compare(right, left),
                Some(expected.reverse()),
                "{right:?} {left:?}"
            );
        };
        check(Int(1), Double(1.0), Ordering::Equal);
        check(Int(1), Double(1.5), Ordering::Less);
        check(Int(-1), Double(-1.5), Ordering::Greater);
        check(
            Int(9_007_199_254_740_993),
            Double(9_007_199_254_740_992.0),
            Ordering::Greater,
        );
        check(
            Uint(u64::MAX),
            Double(18_446_744_073_709_551_616.0),
            Ordering::Less,
        );
        check(Int(-1), Uint(u64::MAX), Ordering::Less);
        check(Uint(u64::MAX), Double(1e300), Ordering::Less);
        check(Int(i64::MIN), Double(-1e300), Ordering::Greater);
        assert_eq!(compare(Double(f64::NAN), Int(1)), None);
    }
}
