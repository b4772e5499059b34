//! Text in any case: every character in its lower case, one by one.
//!
//! `str::to_lowercase` is not used, because there the end of a word decides about a sigma, so that a part of a text
//! could be lowered otherwise than the whole.

/// The text in lower case.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Longest text that is lowered without allocating.
const ON_STACK_MAX: usize = 128;

/// Calls `work` with the text in lower case; nearly all texts need no memory for that.
#[inline]
pub(crate) fn with_folded<R>(text: &str, work: impl FnOnce(&str) -> R) -> R {
    if !text
        .bytes()
        .any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
    {
        return work(text);
    }
    if text.len() <= ON_STACK_MAX && text.is_ascii() {
        let mut buffer = [0u8; ON_STACK_MAX];
        let lowered = &mut buffer[..text.len()];
        lowered.copy_from_slice(text.as_bytes());
        lowered.make_ascii_lowercase();
        if let Ok(lowered) = std::str::from_utf8(lowered) {
            return work(lowered);
        }
    }
    work(&fold(text))
}
