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
        (_, [Value::Timestamp(moment)]) => part(function, *moment, &Zone::UTC).map(Value::Int),
        (_, [Value::Timestamp(moment), Value::String(zone)]) => {
            meter.charge(5)?;
            part(function, *moment, &Zone::named(zone)?).map(Value::Int)
        }
        (_, [Value::Duration(length)]) => length_part(function, *length).map(Value::Int),
        _ => Err(Why::NoSuchOverload),
    }
}

/// What times of day and dates are counted from.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    /// Seconds east of Greenwich, at any time.
    Fixed(i32),
    /// As the table of time zones has it.
    Named(TimeZone),
}

impl Zone {
    pub(crate) const UTC: Zone = Zone::Fixed(0);

    /// The zone of a name of the table, or of `[+-]HH:MM`.
    pub(crate) fn named(name: &str) -> Result<Zone, Why> {
        if matches!(name, "UTC" | "Z") {
            return Ok(Zone::UTC);
        }
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
            return Ok(Zone::Fixed(sign * (hours * 3600 + minutes * 60) as i32));
        }
        TimeZone::get(name)
            .map(Zone::Named)
            .map_err(|_| Why::BadText)
    }

    fn seconds_at(&self, moment: Moment) -> i64 {
        i64::from(match self {
            Self::Fixed(seconds) => *seconds,
            Self::Named(zone) => zone.to_offset(moment.to_timestamp()).seconds(),
        })
    }
}

const DAY: i64 = 86_400;

/// A part of a moment, by the clock and calendar of a zone; an error after the year 9999.
///
/// Computed here and not by jiff, whose calendar types cost more to make than the rest of a condition.
pub(crate) fn part(function: Function, moment: Moment, zone: &Zone) -> Result<i64, Why> {
    let local = moment.seconds() + zone.seconds_at(moment);
    if local > Moment::SECONDS_MAX {
        return Err(Why::OutOfRange);
    }
    let (days, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
    Ok(match function {
        Function::GetHours => second / 3600,
        Function::GetMinutes => second / 60 % 60,
        Function::GetSeconds => second % 60,
        Function::GetMilliseconds => i64::from(moment.nanosecond()) / 1_000_000,
        // 1970 began on a Thursday.
        Function::GetDayOfWeek => (days + 4).rem_euclid(7),
        Function::GetDate => date(days).2,
        Function::GetDayOfMonth => date(days).2 - 1,
        Function::GetMonth => date(days).1 - 1,
        Function::GetFullYear => date(days).0,
        Function::GetDayOfYear => days - days_until(date(days).0, 1, 1),
        _ => return Err(Why::NoSuchOverload),
    })
}

/// Days from 1970 to a date of the Gregorian calendar. Years are counted from March in cycles of 400, so that the
/// leap day is the last of its year (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * 146_097 + day_of_cycle - 719_468
}

/// Year, month and day so many days after 1970-01-01; the inverse of [`days_until`].
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let cycle = days.div_euclid(146_097);
    let day_of_cycle = days.rem_euclid(146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
    (year, month, day)
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

/// Exactly `digits` decimal digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

/// RFC 3339: date, `T`, time, fraction, `Z` or an offset.
pub(crate) fn parse_timestamp(text: &str) -> Result<Moment, Why> {
    if let Some(moment) = parse_whole_seconds(text) {
        return Ok(moment);
    }
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

/// `YYYY-MM-DDTHH:MM:SSZ`, as nearly every time of an event is written; what is not of that form or no time is left
/// to the general way.
fn parse_whole_seconds(text: &str) -> Option<Moment> {
    let text: &[u8; 20] = text.as_bytes().try_into().ok()?;
    let mut valid = text[4] == b'-'
        && text[7] == b'-'
        && text[10] == b'T'
        && text[13] == b':'
        && text[16] == b':'
        && text[19] == b'Z';
    let mut two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        valid &= tens < 10 && ones < 10;
        i64::from(tens) * 10 + i64::from(ones)
    };
    let year = two(0) * 100 + two(2);
    let (month, day) = (two(5), two(8));
    let (hour, minute, second) = (two(11), two(14), two(17));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    valid &= (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if !valid {
        return None;
    }
    let seconds = days_until(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    Moment::new(seconds, 0)
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
    use super::{
        Function, Moment, Offset, Zone, civil, duration_text, parse_duration, parse_timestamp,
        part, timestamp_text,
    };
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
    fn the_calendar_is_that_of_jiff() {
        let span = Moment::SECONDS_MAX - Moment::SECONDS_MIN;
        for step in 0..4000 {
            let seconds = Moment::SECONDS_MIN + span / 4000 * step + step * 7919 % 86_400;
            let moment = Moment::new(seconds, 5_000_000).expect("it is in range");
            let local = civil(moment, Offset::UTC).expect("it is in range");
            let expected = [
                i64::from(local.year()),
                i64::from(local.month()) - 1,
                i64::from(local.day()),
                i64::from(local.day_of_year()) - 1,
                i64::from(local.weekday().to_sunday_zero_offset()),
                i64::from(local.hour()),
                i64::from(local.minute()),
                i64::from(local.second()),
            ];
            let found = [
                Function::GetFullYear,
                Function::GetMonth,
                Function::GetDate,
                Function::GetDayOfYear,
                Function::GetDayOfWeek,
                Function::GetHours,
                Function::GetMinutes,
                Function::GetSeconds,
            ]
            .map(|function| part(function, moment, &Zone::UTC).unwrap_or(-1));
            assert_eq!(found, expected, "{seconds}");
            let text = timestamp_text(Moment::new(seconds, 0).expect("it is in range"));
            let read = super::parse_whole_seconds(&text);
            assert_eq!(read.map(Moment::seconds), Some(seconds), "{text}");
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
