//! Numbers: what the grammar allows, and what a number's text is worth.
//!
//! Relies on nothing. Checking is apart from reading the value, because nearly no number of an event is ever
//! looked at; only what cannot be told from the text alone (whether a long number or one with an exponent is
//! finite) is computed while checking. Must never round an integer that fits 64 bits.

use super::reason::Reason;

/// A number of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Integer text that fits.
    Int(i64),
    /// Integer text above the largest `Int`.
    Uint(u64),
    /// Everything else; always finite.
    Double(f64),
}

/// Integer text shorter than this many bytes is finite as a double (the largest has 309 digits), and so is
/// text with a fraction and without an exponent.
const FINITE_BYTES: usize = 300;

/// Whether a checked number is integer text or has a fraction or an exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Integer,
    Double,
}

/// Checks the number at `start` and gives its end and form. What follows it is for the caller to judge.
#[inline(always)]
pub(super) fn check(bytes: &[u8], start: usize) -> Result<(usize, Form), (Reason, usize)> {
    let mut at = start;
    if byte_at(bytes, at) == b'-' {
        at += 1;
    }
    let first = byte_at(bytes, at);
    if !first.is_ascii_digit() {
        return Err(no_digit(bytes, at));
    }
    at += 1;
    if first != b'0' {
        at = digits_end(bytes, at);
    }
    let next = byte_at(bytes, at);
    if next == b'.' || next | 0x20 == b'e' {
        return check_double(bytes, start, at);
    }
    if at - start >= FINITE_BYTES {
        return check_finite(bytes, start, at);
    }
    Ok((at, Form::Integer))
}

#[inline(never)]
fn check_double(
    bytes: &[u8],
    start: usize,
    whole: usize,
) -> Result<(usize, Form), (Reason, usize)> {
    let mut at = whole;
    if byte_at(bytes, at) == b'.' {
        at += 1;
        let end = digits_end(bytes, at);
        if end == at {
            return Err(no_digit(bytes, at));
        }
        at = end;
    }
    let mut exponent = false;
    if byte_at(bytes, at) | 0x20 == b'e' {
        exponent = true;
        at += 1;
        if matches!(byte_at(bytes, at), b'+' | b'-') {
            at += 1;
        }
        let end = digits_end(bytes, at);
        if end == at {
            return Err(no_digit(bytes, at));
        }
        at = end;
    }
    if exponent || at - start >= FINITE_BYTES {
        return check_finite(bytes, start, at).map(|(end, _)| (end, Form::Double));
    }
    Ok((at, Form::Double))
}

#[cold]
#[inline(never)]
fn check_finite(bytes: &[u8], start: usize, end: usize) -> Result<(usize, Form), (Reason, usize)> {
    if double(&bytes[start..end]).is_some_and(f64::is_finite) {
        Ok((end, Form::Integer))
    } else {
        Err((Reason::NumberOutOfRange, start))
    }
}

#[cold]
#[inline(never)]
fn no_digit(bytes: &[u8], at: usize) -> (Reason, usize) {
    match bytes.get(at) {
        None => (Reason::Truncated, at),
        Some(b'I' | b'N') if at > 0 && bytes[at - 1] == b'-' => (Reason::NotANumber, at - 1),
        Some(_) => (Reason::Syntax, at),
    }
}

/// The byte at `at`, or 0, which no number has, at the end of the text.
#[inline(always)]
fn byte_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

#[inline(always)]
fn digits_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while byte_at(bytes, at).is_ascii_digit() {
        at += 1;
    }
    at
}

/// The value of checked text.
#[inline]
pub(super) fn read(text: &[u8], form: Form) -> Number {
    if form == Form::Integer {
        if let Some(value) = short(text) {
            return Number::Int(value);
        }
        if let Some(value) = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
        {
            return Number::Int(value);
        }
        if let Some(value) = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
        {
            return Number::Uint(value);
        }
    }
    Number::Double(double(text).unwrap_or(0.0))
}

/// Digits so few that nothing can overflow, as most integers of events are.
#[inline]
fn short(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0i64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + i64::from(digit))
    })
}

fn double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_number(text: &str, expected: Result<Number, Reason>) {
        let found = check(text.as_bytes(), 0)
            .map_err(|(reason, _)| reason)
            .map(|(end, form)| {
                assert_eq!(end, text.len(), "{text}");
                read(text.as_bytes(), form)
            });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn integers() {
        check_number("0", Ok(Number::Int(0)));
        check_number("-0", Ok(Number::Int(0)));
        check_number("10", Ok(Number::Int(10)));
        check_number("-9223372036854775808", Ok(Number::Int(i64::MIN)));
        check_number("9223372036854775807", Ok(Number::Int(i64::MAX)));
        check_number("9223372036854775808", Ok(Number::Uint(1 << 63)));
        check_number("18446744073709551615", Ok(Number::Uint(u64::MAX)));
        check_number(
            "18446744073709551616",
            Ok(Number::Double(18446744073709551616.0)),
        );
        check_number(
            "-9223372036854775809",
            Ok(Number::Double(-9223372036854775809.0)),
        );
        check_number(&format!("1{}", "0".repeat(305)), Ok(Number::Double(1e305)));
    }

    #[test]
    fn doubles() {
        check_number("0.5", Ok(Number::Double(0.5)));
        check_number("-1.25e2", Ok(Number::Double(-125.0)));
        check_number("1E+2", Ok(Number::Double(100.0)));
        check_number("1e-999", Ok(Number::Double(0.0)));
        check_number("0e999", Ok(Number::Double(0.0)));
        check_number(&format!("0.{}1", "0".repeat(400)), Ok(Number::Double(0.0)));
    }

    #[test]
    fn refusals() {
        check_number("1e309", Err(Reason::NumberOutOfRange));
        check_number("-1e309", Err(Reason::NumberOutOfRange));
        check_number("1.0e400", Err(Reason::NumberOutOfRange));
        check_number(&"9".repeat(400), Err(Reason::NumberOutOfRange));
        check_number("-Infinity", Err(Reason::NotANumber));
        check_number("-NaN", Err(Reason::NotANumber));
        check_number("-", Err(Reason::Truncated));
        check_number("1.", Err(Reason::Truncated));
        check_number("1e", Err(Reason::Truncated));
        check_number("1e+", Err(Reason::Truncated));
        check_number("1.x", Err(Reason::Syntax));
        check_number("-x", Err(Reason::Syntax));
        check_number(".5", Err(Reason::Syntax));
        check_number("1.e5", Err(Reason::Syntax));
    }
}
