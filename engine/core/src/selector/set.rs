//! Constant lists as sets: `x in ["a", "b"]` and `inList("name", x)` in one look-up.
//!
//! Text goes into an open-addressing table, integers into a sorted slice; what is left (doubles, lists, null) is
//! compared one by one. Membership is exactly the language's equality. Chains of a table depend only on the
//! list's own values, so no event can make a look-up slow.

use std::cmp::Ordering;

use super::error::Why;
use super::meter::Meter;
use super::value::{Value, compare_numbers, equals};

/// The members of a constant list.
#[derive(Debug, Default)]
pub(crate) struct ValueSet {
    texts: TextSet,
    integers: Box<[i128]>,
    others: Box<[Value<'static>]>,
}

/// Texts by hash; at least half of the slots are free.
#[derive(Debug, Default)]
struct TextSet {
    texts: Box<[Box<str>]>,
    /// One more than the position in `texts`; 0 for a free slot.
    slots: Box<[u32]>,
    length_max: usize,
}

impl ValueSet {
    /// The set of these values.
    pub(crate) fn new<'v>(values: impl IntoIterator<Item = &'v Value<'static>>) -> Self {
        let (mut texts, mut integers, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            match value {
                Value::String(text) => texts.push((**text).into()),
                Value::Int(value) => integers.push(i128::from(*value)),
                Value::Uint(value) => integers.push(i128::from(*value)),
                other => others.push(other.clone()),
            }
        }
        integers.sort_unstable();
        integers.dedup();
        Self {
            texts: TextSet::new(texts),
            integers: integers.into(),
            others: others.into(),
        }
    }

    /// The set of these texts.
    pub(crate) fn of_texts(texts: impl IntoIterator<Item = String>) -> Self {
        let texts = texts.into_iter().map(String::into_boxed_str).collect();
        Self {
            texts: TextSet::new(texts),
            ..Self::default()
        }
    }

    /// Whether some member equals `value`.
    #[inline]
    pub(crate) fn contains(&self, value: &Value<'_>, meter: &mut Meter) -> Result<bool, Why> {
        match value {
            Value::String(text) => {
                meter.charge_bytes(text.len().min(self.texts.length_max))?;
                if self.texts.contains(text) {
                    return Ok(true);
                }
            }
            Value::Int(value) if self.has_integer(i128::from(*value)) => return Ok(true),
            Value::Uint(value) if self.has_integer(i128::from(*value)) => return Ok(true),
            Value::Double(value) => {
                let is_member = |integer: &i128| match i64::try_from(*integer) {
                    Ok(integer) => Value::Int(integer),
                    Err(_) => Value::Uint(u64::try_from(*integer).unwrap_or(u64::MAX)),
                };
                let found = self.integers.binary_search_by(|integer| {
                    compare_numbers(&is_member(integer), &Value::Double(*value))
                        .unwrap_or(Ordering::Less)
                });
                if found.is_ok() {
                    return Ok(true);
                }
            }
            _ => {}
        }
        for other in &self.others {
            if equals(other, value, meter)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_integer(&self, value: i128) -> bool {
        self.integers.binary_search(&value).is_ok()
    }

    /// Whether some member is this text.
    pub(crate) fn contains_text(&self, text: &str) -> bool {
        self.texts.contains(text)
    }
}

impl TextSet {
    fn new(mut texts: Vec<Box<str>>) -> Self {
        texts.sort_unstable();
        texts.dedup();
        let length_max = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let mut slots = vec![0u32; (texts.len() * 2).next_power_of_two().max(2)];
        let mask = slots.len() - 1;
        for (index, text) in texts.iter().enumerate() {
            let mut at = hash(text) as usize & mask;
            while slots[at] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = index as u32 + 1;
        }
        Self {
            texts: texts.into(),
            slots: slots.into(),
            length_max,
        }
    }

    #[inline]
    fn contains(&self, text: &str) -> bool {
        if text.len() > self.length_max || self.texts.is_empty() {
            return false;
        }
        let mask = self.slots.len() - 1;
        let mut at = hash(text) as usize & mask;
        loop {
            match self.slots[at] {
                0 => return false,
                number if *self.texts[number as usize - 1] == *text => return true,
                _ => at = (at + 1) & mask,
            }
        }
    }
}

/// Multiply and fold, eight bytes at a time.
#[inline]
fn hash(text: &str) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = text.len() as u64;
    let (words, tail) = text.as_bytes().as_chunks::<8>();
    for word in words {
        state = (state.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
    }
    let mut last = [0u8; 8];
    last[..tail.len()].copy_from_slice(tail);
    state = (state.rotate_left(5) ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    state ^ (state >> 32)
}

#[cfg(test)]
mod tests {
    use super::{Meter, Value, ValueSet};

    #[test]
    fn members_are_found_by_the_equality_of_the_language() {
        let list = [
            Value::text("a"),
            Value::text(""),
            Value::Int(3),
            Value::Uint(u64::MAX),
            Value::Double(1.5),
            Value::Double(f64::NAN),
            Value::Null,
            Value::list(vec![Value::Int(1)]),
        ];
        let set = ValueSet::new(&list);
        let check = |value: Value<'_>, expected: bool| {
            assert_eq!(
                set.contains(&value, &mut Meter::new()),
                Ok(expected),
                "{value:?}"
            );
        };
        check(Value::text("a"), true);
        check(Value::text(""), true);
        check(Value::text("b"), false);
        check(Value::text("a longer text than any of the list"), false);
        check(Value::Int(3), true);
        check(Value::Uint(3), true);
        check(Value::Double(3.0), true);
        check(Value::Double(3.5), false);
        check(Value::Double(1.5), true);
        check(Value::Double(f64::NAN), false);
        check(Value::Uint(u64::MAX), true);
        check(Value::Double(18_446_744_073_709_551_616.0), true);
        check(Value::Null, true);
        check(Value::Bool(false), false);
        check(Value::list(vec![Value::Double(1.0)]), true);
        check(Value::list(vec![]), false);
    }

    #[test]
    fn many_texts() {
        let set =
            ValueSet::of_texts((0..5000).map(|number| format!("arn:aws:iam::{number:012}:root")));
        assert!(set.contains_text("arn:aws:iam::000000004999:root"));
        assert!(!set.contains_text("arn:aws:iam::000000005000:root"));
    }
}
