//! Event ids as numbers: small enough to remember millions, exact for the ids that nearly all events have.

use std::hash::{BuildHasher, RandomState};

/// 128 bits that stand for an event id: the id itself when it is a UUID, as nearly all are.
pub(crate) fn id_number(id: &str, states: &[RandomState; 2]) -> u128 {
    uuid(id.as_bytes()).unwrap_or_else(|| {
        let [high, low] = states;
        u128::from(high.hash_one(id)) << 64 | u128::from(low.hash_one(id))
    })
}

/// The number of a UUID in lower case, from which it can be written again.
pub(crate) fn uuid(id: &[u8]) -> Option<u128> {
    if id.len() != 36 {
        return None;
    }
    let mut number = 0u128;
    for (at, byte) in id.iter().enumerate() {
        let digit = match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => byte - b'0',
            (_, b'a'..=b'f') => byte - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::{id_number, uuid};
    use std::hash::RandomState;

    #[test]
    fn ids_become_numbers() {
        let states = [RandomState::new(), RandomState::new()];
        let number = |id| id_number(id, &states);
        assert_eq!(uuid(b"00000000-0000-0000-0000-0000000000ff"), Some(255));
        assert_eq!(uuid(b"00000000-0000-0000-0000-0000000000fF"), None);
        assert_eq!(uuid(b"00000000x0000-0000-0000-0000000000ff"), None);
        assert_eq!(number("event-1"), number("event-1"));
        assert_ne!(number("event-1"), number("event-2"));
    }
}
