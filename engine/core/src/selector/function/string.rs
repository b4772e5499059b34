//! Text functions. Positions count code points, never bytes.
//!
//! Results that are a piece of borrowed text borrow it; texts that a function leaves as they are, are not copied.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Function, pattern};
use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::value::{StringValue, Value};

/// Standard alphabet; padding is written, and read when it is there.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn call<'e>(
    function: Function,
    arguments: &[Value<'e>],
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    use Function as F;
    for argument in arguments {
        if let Value::String(text) = argument {
            meter.charge_bytes(text.len())?;
        }
    }
    match (function, arguments) {
        (F::Base64Encode, [Value::Bytes(bytes)]) => {
            meter.charge_bytes(bytes.len())?;
            Ok(Value::owned_text(BASE64.encode(&**bytes)))
        }
        (F::Base64Decode, [Value::String(text)]) => BASE64
            .decode(text.as_bytes())
            .map(Value::owned_bytes)
            .map_err(|_| Why::BadText),
        (F::Join, [Value::List(_)] | [Value::List(_), Value::String(_)]) => join(arguments, meter),
        (_, [Value::String(text), rest @ ..]) => on_text(function, text, rest, meter),
        _ => Err(Why::NoSuchOverload),
    }
}

fn on_text<'e>(
    function: Function,
    text: &StringValue<'e>,
    rest: &[Value<'e>],
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    use Function as F;
    match (function, rest) {
        (F::StartsWith, [Value::String(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
        (F::EndsWith, [Value::String(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
        (F::Contains, [Value::String(part)]) => Ok(Value::Bool(
            memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some(),
        )),
        (F::Matches, [Value::String(regex)]) => {
            // Compiling costs about as much as matching some kilobytes.
            meter.charge(500 + 50 * regex.len() as u64)?;
            Ok(Value::Bool(pattern::compile_dynamic(regex)?.is_match(text)))
        }
        (F::Glob, [Value::String(glob)]) => {
            let parts = if glob.contains('?') {
                glob.len() as u64
            } else {
                1
            };
            meter.charge(text.len() as u64 * parts / 10)?;
            Ok(Value::Bool(pattern::glob(text, glob)))
        }
        (F::CharAt, [Value::Int(at)]) => {
            let from = offset(text, *at)?;
            let length = text[from..].chars().next().map_or(0, char::len_utf8);
            Ok(Value::String(text.slice(from..from + length)))
        }
        (F::IndexOf | F::LastIndexOf, [Value::String(part)]) => {
            index_of(function, text, part, None).map(Value::Int)
        }
        (F::IndexOf | F::LastIndexOf, [Value::String(part), Value::Int(at)]) => {
            index_of(function, text, part, Some(*at)).map(Value::Int)
        }
        (F::LowerAscii, []) => Ok(changed(
            text,
            |byte| byte.is_ascii_uppercase(),
            str::to_ascii_lowercase,
        )),
        (F::UpperAscii, []) => Ok(changed(
            text,
            |byte| byte.is_ascii_lowercase(),
            str::to_ascii_uppercase,
        )),
        (F::Reverse, []) => Ok(Value::owned_text(text.chars().rev().collect::<String>())),
        (F::Trim, []) => {
            let start = text.len() - text.trim_start_matches(is_blank).len();
            let end = text.trim_end_matches(is_blank).len();
            Ok(Value::String(text.slice(start..end.max(start))))
        }
        (F::Quote, []) => Ok(Value::owned_text(quote(text))),
        (F::Substring, [Value::Int(from)]) => {
            let from = offset(text, *from)?;
            Ok(Value::String(text.slice(from..text.len())))
        }
        (F::Substring, [Value::Int(from), Value::Int(to)]) => {
            let (start, end) = (offset(text, *from)?, offset(text, *to)?);
            if start > end {
                return Err(Why::BadArgument);
            }
            Ok(Value::String(text.slice(start..end)))
        }
        (F::Replace, [Value::String(part), Value::String(with)]) => {
            replace(text, part, with, -1, meter)
        }
        (F::Replace, [Value::String(part), Value::String(with), Value::Int(limit)]) => {
            replace(text, part, with, *limit, meter)
        }
        (F::Split, [Value::String(separator)]) => split(text, separator, -1, meter),
        (F::Split, [Value::String(separator), Value::Int(limit)]) => {
            split(text, separator, *limit, meter)
        }
        _ => Err(Why::NoSuchOverload),
    }
}

/// The blanks of the Unicode White_Space property, as Go and the extension have them.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
}

fn changed<'e>(
    text: &StringValue<'e>,
    affected: impl Fn(u8) -> bool,
    change: impl Fn(&str) -> String,
) -> Value<'e> {
    if text.bytes().any(affected) {
        Value::owned_text(change(text))
    } else {
        Value::String(text.clone())
    }
}

/// The byte where the code point at a position begins; the end is a position too.
fn offset(text: &str, position: i64) -> Result<usize, Why> {
    let position = usize::try_from(position).map_err(|_| Why::IndexOutOfRange)?;
    if text.is_ascii() {
        return if position <= text.len() {
            Ok(position)
        } else {
            Err(Why::IndexOutOfRange)
        };
    }
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.nth(position).ok_or(Why::IndexOutOfRange)
}

/// How many code points are before a byte.
fn position(text: &str, offset: usize) -> i64 {
    text[..offset].chars().count() as i64
}

/// Where a part is in a text, at or after (before) a position; -1 for nowhere.
pub(crate) fn index_of(
    function: Function,
    text: &str,
    part: &str,
    at: Option<i64>,
) -> Result<i64, Why> {
    let found = if function == Function::IndexOf {
        let from = offset(text, at.unwrap_or(0))?;
        memchr::memmem::find(&text.as_bytes()[from..], part.as_bytes()).map(|found| from + found)
    } else {
        // The part may begin at the position and reach beyond it.
        let end = match at {
            Some(at) => (offset(text, at)? + part.len()).min(text.len()),
            None => text.len(),
        };
        memchr::memmem::rfind(&text.as_bytes()[..end], part.as_bytes())
    };
    Ok(found.map_or(-1, |found| position(text, found)))
}

/// As [`index_of`], for a part that is looked for in many texts.
pub(crate) fn index_of_ready(text: &str, part: &memchr::memmem::Finder<'_>) -> i64 {
    let found = part.find(text.as_bytes());
    found.map_or(-1, |found| position(text, found))
}

fn replace<'e>(
    text: &StringValue<'e>,
    part: &str,
    with: &str,
    limit: i64,
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    let count = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = text.matches(part).take(count).count();
    if found == 0 {
        return Ok(Value::String(text.clone()));
    }
    meter.charge((text.len() as u64 + found as u64 * with.len() as u64) / 10)?;
    Ok(Value::owned_text(text.replacen(part, with, count)))
}

fn split<'e>(
    text: &StringValue<'e>,
    separator: &str,
    limit: i64,
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    let most = match limit {
        0 => return Ok(Value::list(Vec::new())),
        1 => return Ok(Value::list(vec![Value::String(text.clone())])),
        _ => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut push = |range: std::ops::Range<usize>, meter: &mut Meter| {
        meter.charge(1)?;
        pieces.push(Value::String(text.slice(range)));
        Ok::<usize, Why>(pieces.len())
    };
    if separator.is_empty() {
        let mut count = 0;
        while start < text.len() && count + 1 < most {
            let length = text[start..].chars().next().map_or(1, char::len_utf8);
            count = push(start..start + length, meter)?;
            start += length;
        }
        if start < text.len() {
            push(start..text.len(), meter)?;
        }
        return Ok(Value::list(pieces));
    }
    let mut count = 0;
    while count + 1 < most {
        let Some(found) = memchr::memmem::find(&text.as_bytes()[start..], separator.as_bytes())
        else {
            break;
        };
        count = push(start..start + found, meter)?;
        start += found + separator.len();
    }
    push(start..text.len(), meter)?;
    Ok(Value::list(pieces))
}

fn join<'e>(arguments: &[Value<'e>], meter: &mut Meter) -> Result<Value<'e>, Why> {
    let (list, separator) = match arguments {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return Err(Why::NoSuchOverload),
    };
    let mut out = String::new();
    for (index, item) in list.iter().enumerate() {
        let Value::String(item) = item else {
            return Err(Why::NoSuchOverload);
        };
        meter.charge(1 + (item.len() + separator.len()) as u64 / 10)?;
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(&item);
    }
    Ok(Value::owned_text(out))
}

/// The text as a literal: the escapes of the language, everything printable as it is.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        let escaped = match c {
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{b}' => "\\v",
            '\\' => "\\\\",
            '"' => "\\\"",
            other => {
                out.push(other);
                continue;
            }
        };
        out.push_str(escaped);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Function, call};
    use crate::selector::error::Why;
    use crate::selector::meter::Meter;
    use crate::selector::value::Value;

    fn check(function: Function, arguments: &[Value<'_>], expected: Result<&str, Why>) {
        let found = call(function, arguments, &mut Meter::new()).map(|value| value.to_string());
        assert_eq!(
            found,
            expected.map(str::to_owned),
            "{function:?} {arguments:?}"
        );
    }

    #[test]
    fn positions_are_code_points() {
        let text = Value::text("aéc");
        check(Function::Size, std::slice::from_ref(&text), Ok("3"));
        check(
            Function::CharAt,
            &[text.clone(), Value::Int(1)],
            Ok("\"é\""),
        );
        check(Function::CharAt, &[text.clone(), Value::Int(3)], Ok("\"\""));
        check(
            Function::CharAt,
            &[text.clone(), Value::Int(4)],
            Err(Why::IndexOutOfRange),
        );
        check(
            Function::CharAt,
            &[text.clone(), Value::Int(-1)],
            Err(Why::IndexOutOfRange),
        );
        check(
            Function::IndexOf,
            &[text.clone(), Value::text("c")],
            Ok("2"),
        );
        check(
            Function::LastIndexOf,
            &[text.clone(), Value::text("é"), Value::Int(1)],
            Ok("1"),
        );
        check(
            Function::LastIndexOf,
            &[text.clone(), Value::text("é"), Value::Int(0)],
            Ok("-1"),
        );
        check(
            Function::Substring,
            &[text.clone(), Value::Int(1), Value::Int(2)],
            Ok("\"é\""),
        );
        check(Function::Reverse, &[text], Ok("\"céa\""));
    }

    #[test]
    fn pieces() {
        let text = Value::text("a,b,c");
        let comma = Value::text(",");
        check(
            Function::Split,
            &[text.clone(), comma.clone()],
            Ok(r#"["a", "b", "c"]"#),
        );
        check(
            Function::Split,
            &[text.clone(), comma.clone(), Value::Int(2)],
            Ok(r#"["a", "b,c"]"#),
        );
        check(
            Function::Split,
            &[text.clone(), comma.clone(), Value::Int(0)],
            Ok("[]"),
        );
        check(
            Function::Split,
            &[text.clone(), comma.clone(), Value::Int(1)],
            Ok(r#"["a,b,c"]"#),
        );
        check(
            Function::Split,
            &[text, Value::text("")],
            Ok(r#"["a", ",", "b", ",", "c"]"#),
        );
        check(Function::Split, &[Value::text(""), comma], Ok(r#"[""]"#));
        check(
            Function::Split,
            &[Value::text(""), Value::text("")],
            Ok("[]"),
        );
    }

    #[test]
    fn growth_is_paid_for() {
        let long = "a".repeat(100_000);
        let arguments = [Value::text(&long), Value::text("a"), Value::text(&long)];
        check(Function::Replace, &arguments, Err(Why::CostExceeded));
    }
}
