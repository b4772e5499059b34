//! Moments and lengths of time: text, arithmetic, parts of a moment in a time zone.
//!
//! Relies on jiff for the calendar and for named time zones, whose table is built in. Text is read here, not by
//! jiff, as the language allows RFC 3339 and nothing else. A moment is in the years 1 to 9999; a length of time is
//! shorter than the whole of them, as the conformance cases ask.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::Function;
use crate::selector::error::Why;
use crate::selector::meter::Meter;
use crate::selector::value::{Moment, Value};

pub(super) fn call<'e>(
    function: Function,
    arguments: &[Value<'e>],
    meter: &mut Meter,
) -> Result<Value<'e>, Why> {
    match (function, arguments) {
        (Function::ToTimestamp, [Value::Timestamp(_)])
        | (Function::ToDuration, [Value::Duration(_)]) => Ok(arguments[0].clone()),
        (Function::ToTimestamp, [Value::String(text)]) => {
            meter.charge_bytes(text.len())?;
            parse_timestamp(text).map(Value::Timestamp)
        }
        (Function::ToTimestamp, [Value::Int(seconds)]) => Moment::new(*seconds, 0)
            .map(Value::Timestamp)
            .ok_or(Why::OutOfRange),
        (Function::ToDuration, [Value::String(text)]) => {
            meter.charge_bytes(text.len())?;
            parse_duration(text).map(Value::Duration)
        }
        (_, [Value::Timestamp(moment)]) => part(function, *moment, None).map(Value::Int),
        (_, [Value::Timestamp(moment), Value::String(zone)]) => {
            meter.charge(5)?;
            part(function, *moment, Some(zone)).map(Value::Int)
        }
        (_, [Value::Duration(length)]) => length_part(function, *length).map(Value::Int),
        _ => Err(Why::NoSuchOverload),
    }
}

fn part(function: Function, moment: Moment, zone: Option<&str>) -> Result<i64, Why> {
    let offset = match zone {
        None | Some("UTC" | "Z") => Offset::UTC,
        Some(name) => parse_zone(name, moment)?,
    };
    let local = civil(moment, offset)?;
    Ok(match function {
        Function::GetDate => i64::from(local.day()),
        Function::GetDayOfMonth => i64::from(local.day()) - 1,
        Function::GetDayOfWeek => i64::from(local.weekday().to_sunday_zero_offset()),
        Function::GetDayOfYear => i64::from(local.day_of_year()) - 1,
        Function::GetFullYear => i64::from(local.year()),
        Function::GetHours => i64::from(local.hour()),
        Function::GetMilliseconds => i64::from(local.subsec_nanosecond()) / 1_000_000,
        Function::GetMinutes => i64::from(local.minute()),
        Function::GetMonth => i64::from(local.month()) - 1,
        Function::GetSeconds => i64::from(local.second()),
        _ => return Err(Why::NoSuchOverload),
    })
}

fn length_part(function: Function, length: SignedDuration) -> Result<i64, Why> {
    Ok(match function {
        Function::GetHours => length.as_secs() / 3600,
        Function::GetMinutes => length.as_secs() / 60,
        Function::GetSeconds => length.as_secs(),
        Function::GetMilliseconds => i64::from(length.subsec_millis()),
        _ => return Err(Why::NoSuchOverload),
    })
}

/// The calendar and clock at an offset from UTC; an error where that is outside of what a calendar has.
fn civil(moment: Moment, offset: Offset) -> Result<DateTime, Why> {
    let offset = SignedDuration::from_secs(i64::from(offset.seconds()));
    let since = since_epoch(moment)
        .checked_add(offset)
        .ok_or(Why::OutOfRange)?;
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
        .checked_add(since)
        .map_err(|_| Why::OutOfRange)
}

/// The offset at a moment: of a name of the time zone table, or `[+-]HH:MM`.
fn parse_zone(name: &str, moment: Moment) -> Result<Offset, Why> {
    let (sign, digits) = match name.as_bytes().first() {
        Some(b'-') => (-1, &name[1..]),
        Some(b'+') => (1, &name[1..]),
        _ => (1, name),
    };
    if let Some((hours, minutes)) = digits.split_once(':') {
        let hours = number(hours, 2)
            .filter(|hours| *hours < 24)
            .ok_or(Why::BadText)?;
        let minutes = number(minutes, 2)
            .filter(|minutes| *minutes < 60)
            .ok_or(Why::BadText)?;
        let seconds = sign * (hours * 3600 + minutes * 60);
        return Offset::from_seconds(seconds as i32).map_err(|_| Why::BadText);
    }
    let zone = TimeZone::get(name).map_err(|_| Why::BadText)?;
    Ok(zone.to_offset(moment.to_timestamp()))
}

/// Exactly `digits` decimal digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

/// RFC 3339: date, `T`, time, fraction, `Z` or an offset.
pub(crate) fn parse_timestamp(text: &str) -> Result<Moment, Why> {
    let field = |from: usize, digits: usize| {
        text.get(from..from + digits)
            .and_then(|one| number(one, digits))
    };
    let mark = |at: usize, marks: &[u8]| {
        text.as_bytes()
            .get(at)
            .is_some_and(|byte| marks.contains(byte))
    };
    let marked =
        mark(4, b"-") && mark(7, b"-") && mark(10, b"Tt") && mark(13, b":") && mark(16, b":");
    if !marked {
        return Err(Why::BadText);
    }
    let fields = [
        field(0, 4),
        field(5, 2),
        field(8, 2),
        field(11, 2),
        field(14, 2),
        field(17, 2),
    ];
    let [
        Some(year),
        Some(month),
        Some(day),
        Some(hour),
        Some(minute),
        Some(second),
    ] = fields
    else {
        return Err(Why::BadText);
    };
    let rest = text.get(19..).ok_or(Why::BadText)?;
    let (nanosecond, rest) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if length == 0 {
                return Err(Why::BadText);
            }
            let kept = &fraction[..length.min(9)];
            let value: i32 = kept.parse().map_err(|_| Why::BadText)?;
            (
                value * 10i32.pow(9 - kept.len() as u32),
                &fraction[length..],
            )
        }
        None => (0, rest),
    };
    let offset = match rest {
        "Z" | "z" => Offset::UTC,
        _ => rfc_offset(rest)?,
    };
    let (year, month, day) = (year as i16, month as i8, day as i8);
    let local = DateTime::new(
        year,
        month,
        day,
        hour as i8,
        minute as i8,
        second as i8,
        nanosecond,
    )
    .map_err(|_| Why::BadText)?;
    let since = local.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let offset = SignedDuration::from_secs(i64::from(offset.seconds()));
    moment_at(since.checked_sub(offset).ok_or(Why::OutOfRange)?)
}

fn rfc_offset(text: &str) -> Result<Offset, Why> {
    let sign = match text.as_bytes() {
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return Err(Why::BadText),
    };
    let (hours, minutes) = text[1..].split_once(':').ok_or(Why::BadText)?;
    let hours = number(hours, 2)
        .filter(|hours| *hours < 24)
        .ok_or(Why::BadText)?;
    let minutes = number(minutes, 2)
        .filter(|minutes| *minutes < 60)
        .ok_or(Why::BadText)?;
    Offset::from_seconds((sign * (hours * 3600 + minutes * 60)) as i32).map_err(|_| Why::BadText)
}

/// The moment so long after 1970.
fn moment_at(since: SignedDuration) -> Result<Moment, Why> {
    let (mut seconds, mut nanosecond) = (since.as_secs(), since.subsec_nanos());
    if nanosecond < 0 {
        seconds = seconds.checked_sub(1).ok_or(Why::OutOfRange)?;
        nanosecond += 1_000_000_000;
    }
    Moment::new(seconds, nanosecond.cast_unsigned()).ok_or(Why::OutOfRange)
}

fn since_epoch(moment: Moment) -> SignedDuration {
    SignedDuration::new(moment.seconds(), moment.nanosecond().cast_signed())
}

/// The moment so much later.
pub(crate) fn shift(moment: Moment, length: SignedDuration) -> Result<Moment, Why> {
    moment_at(
        since_epoch(moment)
            .checked_add(length)
            .ok_or(Why::OutOfRange)?,
    )
}

/// How much later the first moment is than the second.
pub(crate) fn between(later: Moment, earlier: Moment) -> Result<SignedDuration, Why> {
    in_range(
        since_epoch(later)
            .checked_sub(since_epoch(earlier))
            .ok_or(Why::OutOfRange)?,
    )
}

/// The length of time, when it is shorter than all years that moments can be in.
pub(crate) fn in_range(length: SignedDuration) -> Result<SignedDuration, Why> {
    let seconds = length.as_secs().unsigned_abs();
    if seconds < (Moment::SECONDS_MAX - Moment::SECONDS_MIN) as u64 {
        Ok(length)
    } else {
        Err(Why::OutOfRange)
    }
}

/// A sequence of decimal numbers with units, perhaps with a sign: `1h30m`, `-1.5s`.
pub(crate) fn parse_duration(text: &str) -> Result<SignedDuration, Why> {
    let (negative, mut rest) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(Why::BadText);
    }
    let mut nanoseconds: i128 = 0;
    while !rest.is_empty() {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let whole = digits(rest);
        let mut after = &rest[whole..];
        let mut fraction = "";
        if let Some(tail) = after.strip_prefix('.') {
            fraction = &tail[..digits(tail)];
            after = &tail[fraction.len()..];
        }
        // Seconds alone need 12 digits at most; 30 keep everything far from the ends of an `i128`.
        if (whole == 0 && fraction.is_empty()) || whole > 30 {
            return Err(if whole > 30 {
                Why::OutOfRange
            } else {
                Why::BadText
            });
        }
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let unit: i128 = match &after[..letters] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(Why::BadText),
        };
        let value: i128 = if whole == 0 {
            0
        } else {
            rest[..whole].parse().map_err(|_| Why::BadText)?
        };
        let whole_part = value.checked_mul(unit).ok_or(Why::OutOfRange)?;
        let kept = &fraction[..fraction.len().min(18)];
        let fraction_value: i128 = if kept.is_empty() {
            0
        } else {
            kept.parse().map_err(|_| Why::BadText)?
        };
        let fraction_part = fraction_value * unit / 10i128.pow(kept.len() as u32);
        nanoseconds = whole_part
            .checked_add(fraction_part)
            .and_then(|part| nanoseconds.checked_add(part))
            .ok_or(Why::OutOfRange)?;
        rest = &after[letters..];
    }
    if negative {
        nanoseconds = -nanoseconds;
    }
    let seconds = i64::try_from(nanoseconds / 1_000_000_000).map_err(|_| Why::OutOfRange)?;
    in_range(SignedDuration::new(
        seconds,
        (nanoseconds % 1_000_000_000) as i32,
    ))
}

/// RFC 3339 in UTC, with as much of a fraction as there is.
pub(crate) fn timestamp_text(moment: Moment) -> String {
    let local = civil(moment, Offset::UTC).unwrap_or(DateTime::MAX);
    let mut text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second()
    );
    push_fraction(&mut text, local.subsec_nanosecond());
    text.push('Z');
    text
}

/// Seconds, with as much of a fraction as there is: `5400s`, `1.5s`.
pub(crate) fn duration_text(length: SignedDuration) -> String {
    let sign = if length.is_negative() { "-" } else { "" };
    let mut text = format!("{sign}{}", length.as_secs().unsigned_abs());
    push_fraction(&mut text, length.subsec_nanos().abs());
    text.push('s');
    text
}

fn push_fraction(text: &mut String, nanoseconds: i32) {
    if nanoseconds != 0 {
        let digits = format!("{nanoseconds:09}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::{duration_text, parse_duration, parse_timestamp, timestamp_text};
    use crate::selector::error::Why;

    #[test]
    fn moments() {
        let check = |text: &str, expected: Result<&str, Why>| {
            let read = parse_timestamp(text).map(timestamp_text);
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        };
        check("2009-02-13T23:31:30Z", Ok("2009-02-13T23:31:30Z"));
        check("2009-02-13T23:31:30.5+01:30", Ok("2009-02-13T22:01:30.5Z"));
        check(
            "0001-01-01T00:00:00.000000001Z",
            Ok("0001-01-01T00:00:00.000000001Z"),
        );
        check("0001-01-01T00:00:00+00:01", Err(Why::OutOfRange));
        check(
            "9999-12-31T23:59:59.999999999Z",
            Ok("9999-12-31T23:59:59.999999999Z"),
        );
        check("9999-12-31T23:59:59-00:01", Err(Why::OutOfRange));
        for bad in [
            "",
            "2009-02-13",
            "2009-02-13 23:31:30Z",
            "2009-02-13T23:31:30",
            "2009-02-13T23:31Z",
            "2009-02-30T23:31:30Z",
            "2009-02-13T24:00:00Z",
            "2009-02-13T23:31:30.Z",
            "2009-02-13T23:31:30+1:00",
            "+009-02-13T23:31:30Z",
            "2009-02-13T23:31:30Zé",
            "2009-é2-13T23:31:30Z",
        ] {
            assert!(parse_timestamp(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths() {
        let check = |text: &str, expected: Result<&str, Why>| {
            let read = parse_duration(text).map(duration_text);
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        };
        check("1h30m", Ok("5400s"));
        check("-1.5s", Ok("-1.5s"));
        check("-0.5s", Ok("-0.5s"));
        check(".5s", Ok("0.5s"));
        check("1.s", Ok("1s"));
        check("0", Ok("0s"));
        check("1ms2us3ns", Ok("0.001002003s"));
        check("315537897598s", Ok("315537897598s"));
        check("315537897599s", Err(Why::OutOfRange));
        check(
            "99999999999999999999999999999999999999999h",
            Err(Why::OutOfRange),
        );
        check("0.123456789123456789123456789s", Ok("0.123456789s"));
        for bad in ["", "-", "1", "s", "1x", "1s2", "--1s", "1é", ".s"] {
            assert_eq!(parse_duration(bad), Err(Why::BadText), "{bad}");
        }
    }
}
