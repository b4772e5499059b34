//! Non-negative numbers in two bytes.
//!
//! What is remembered of a series is mostly counts, of which a per mille does not matter. Six bits of exponent and ten of
//! fraction: whole numbers up to 2048 are exact, the rest is within 0.05 %, from 1e-6 to 8e12. Must give the same bits on
//! every machine. The usual half precision ends at 65504, which one busy half hour passes.

/// A number in two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Half(pub(super) u16);

const EXPONENT_SHIFT: u32 = 127 - 20;

impl Half {
    /// The nearest; what is negative or no number is nothing.
    pub(super) fn new(value: f32) -> Self {
        if value.is_nan() || value <= 0.0 {
            return Self(0);
        }
        // Half of the last kept bit, so that cutting rounds.
        let bits = value.to_bits().saturating_add(1 << 12) >> 13;
        let low = EXPONENT_SHIFT << 10;
        if bits <= low {
            Self(0)
        } else {
            Self((bits - low).min(0xffff) as u16)
        }
    }

    pub(super) fn get(self) -> f32 {
        if self.0 == 0 {
            return 0.0;
        }
        f32::from_bits((u32::from(self.0) + (EXPONENT_SHIFT << 10)) << 13)
    }
}
