//! Short texts as words, which are hashed, compared and copied without a branch on their length.
//!
//! Most texts of events are short and each is of another length than the one before, so that a loop over their bytes, or a call
//! that chooses a way by the length, is guessed wrongly by the processor once a text. That costs more than the work itself.

/// Bytes of the longest text that is taken so.
pub(super) const SHORT: usize = 32;

/// A short text, and zeros behind it.
pub(super) type Words = [u64; SHORT / 8];

/// Ones, then zeros: 32 bytes from `SHORT - length` on keep the first `length` bytes.
static KEEP: [u8; 2 * SHORT] = {
    let mut keep = [0; 2 * SHORT];
    let mut index = 0;
    while index < SHORT {
        keep[index] = 0xFF;
        index += 1;
    }
    keep
};

/// The first `length` bytes of `room`.
#[inline(always)]
pub(super) fn words_in(room: &[u8; SHORT], length: usize) -> Words {
    let keep = KEEP[SHORT - length.min(SHORT)..].first_chunk::<SHORT>();
    let (room, _) = room.as_chunks::<8>();
    let (keep, _) = keep
        .map_or(&[][..], |keep| keep.as_slice())
        .as_chunks::<8>();
    let mut words = [0; SHORT / 8];
    for ((word, room), keep) in words.iter_mut().zip(room).zip(keep) {
        *word = u64::from_le_bytes(*room) & u64::from_le_bytes(*keep);
    }
    words
}

/// A text of at most [`SHORT`] bytes of which nobody knows what stands behind it.
#[inline]
pub(super) fn words_of(text: &[u8]) -> Words {
    /// `text` has at most 16 bytes.
    #[inline(always)]
    fn pair(text: &[u8]) -> [u64; 2] {
        let length = text.len();
        if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            return [u64::from_le_bytes(*first), above(*last, 16 - length)];
        }
        if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            let last = u64::from(u32::from_le_bytes(*last)) << (8 * (length - 4));
            return [u64::from(u32::from_le_bytes(*first)) | last, 0];
        }
        let byte = |at: usize| text.get(at).map_or(0, |byte| u64::from(*byte) << (8 * at));
        [byte(0) | byte(1) | byte(2), 0]
    }
    /// The last bytes of a text, without those that are in the word before: of eight, so many.
    #[inline(always)]
    fn above(last: [u8; 8], known: usize) -> u64 {
        let bits = 8 * known as u32;
        u64::from_le_bytes(last).checked_shr(bits).unwrap_or(0)
    }
    let (first, rest) = text.split_at_checked(16).unwrap_or((text, &[]));
    let ([one, two], [three, four]) = (pair(first), pair(rest));
    [one, two, three, four]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_give_the_same_words() {
        let room: [u8; SHORT] = std::array::from_fn(|at| (at * 7 + 129) as u8);
        for length in 0..=SHORT {
            let mut padded = [0; SHORT];
            padded[..length].copy_from_slice(&room[..length]);
            let words = words_in(&room, length);
            assert_eq!(words, words_of(&room[..length]), "{length}");
            assert_eq!(words.map(u64::to_le_bytes).concat(), padded, "{length}");
        }
    }
}
