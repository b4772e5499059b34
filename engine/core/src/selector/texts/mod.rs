//! The texts at a path of the event, whatever stands there: `texts("a.b")` and what asks of them.
//!
//! A path goes through objects by key and through lists by every element; a key that itself holds dots comes before
//! the way through objects. What stands at its end gives its text: strings, numbers as they are written, `true` and
//! `false`; a list or an object gives those of everything inside; null gives nothing. So a path of a field that is
//! absent has no texts, and nothing here ever fails but for its cost. This is the reading of fields that Sigma rules
//! rely on (`decisions/sigma-values.md`); conditions in plain CEL compare one value of one type instead.
//!
//! Relies on the event's cursors. Every text looked at is paid for, so that no event makes a path run away.

use super::error::Why;
use super::meter::Meter;
use crate::event::{FieldPath, Json, Kind, Number};
use jiff::civil::DateTime;
use std::borrow::Cow;
use std::ops::ControlFlow;

mod fold;
mod test;

pub(crate) use fold::{fold, with_folded};
pub(crate) use test::{Ask, Like, TextTest};

/// Most keys of a path; an event is not deeper.
const KEYS_MAX: usize = 32;

/// A path as `texts` reads it. Without keys it is the whole event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TextPath {
    keys: Box<[Box<str>]>,
    /// From each key on, what is left of the path as one key.
    rests: Box<[Box<str>]>,
}

/// What a visitor wants next.
pub(crate) type Visit = Result<ControlFlow<()>, Why>;
const MORE: Visit = Ok(ControlFlow::Continue(()));

impl TextPath {
    /// The path that `text` spells; `None` when a key is empty or there are too many.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let keys: Vec<&str> = text.split('.').collect();
        if keys.len() > KEYS_MAX || keys.iter().any(|key| key.is_empty()) {
            return None;
        }
        let rests = (0..keys.len()).map(|at| keys[at..].join(".").into());
        Some(Self {
            rests: rests.collect(),
            keys: keys.iter().map(|key| (*key).into()).collect(),
        })
    }

    /// The whole event.
    pub(crate) fn whole() -> Self {
        Self {
            keys: Box::default(),
            rests: Box::default(),
        }
    }

    /// The field that the path leads to when there are neither lists nor keys with dots on the way.
    pub(crate) fn field(&self) -> Option<FieldPath> {
        FieldPath::from_keys(self.keys.iter().map(|key| key.to_string()))
    }

    /// The fields that come before it: those whose last key is several of the path's.
    pub(crate) fn shortcuts(&self) -> impl Iterator<Item = FieldPath> + '_ {
        (0..self.keys.len().saturating_sub(1)).filter_map(|at| {
            let before = self.keys[..at].iter().chain([&self.rests[at]]);
            FieldPath::from_keys(before.map(|key| key.to_string()))
        })
    }

    /// Calls `found` with every value at the end of the path.
    pub(crate) fn ends<'d>(
        &self,
        root: Json<'d>,
        meter: &mut Meter,
        found: &mut dyn FnMut(Json<'d>, &mut Meter) -> Visit,
    ) -> Visit {
        self.walk(root, 0, meter, found)
    }

    fn walk<'d>(
        &self,
        value: Json<'d>,
        at: usize,
        meter: &mut Meter,
        found: &mut dyn FnMut(Json<'d>, &mut Meter) -> Visit,
    ) -> Visit {
        meter.charge(1)?;
        let Some(key) = self.keys.get(at) else {
            return found(value, meter);
        };
        match value.kind() {
            Kind::Object => {
                if at + 1 < self.keys.len()
                    && let Some(inner) = value.get(&self.rests[at])
                {
                    return found(inner, meter);
                }
                match value.get(key) {
                    Some(inner) => self.walk(inner, at + 1, meter, found),
                    None => MORE,
                }
            }
            Kind::Array => {
                for element in value.elements() {
                    if self.walk(element, at, meter, found)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                MORE
            }
            _ => MORE,
        }
    }

    /// Calls `found` with every string, number and boolean at the path.
    pub(crate) fn scalars<'d>(
        &self,
        root: Json<'d>,
        meter: &mut Meter,
        found: &mut dyn FnMut(Json<'d>, &mut Meter) -> Visit,
    ) -> Visit {
        self.ends(root, meter, &mut |value, meter| {
            scalars(value, meter, found)
        })
    }

    /// Whether there is anything at the path, null included.
    pub(crate) fn is_present(&self, root: Json<'_>, meter: &mut Meter) -> Result<bool, Why> {
        let flow = self.ends(root, meter, &mut |_, _| Ok(ControlFlow::Break(())))?;
        Ok(flow.is_break())
    }

    /// Whether there is nothing at the path, or null.
    pub(crate) fn is_null_or_absent(&self, root: Json<'_>, meter: &mut Meter) -> Result<bool, Why> {
        let mut present = false;
        let flow = self.ends(root, meter, &mut |value, _| {
            present = true;
            Ok(match value.kind() {
                Kind::Null => ControlFlow::Break(()),
                Kind::Array if value.elements().any(|one| one.kind() == Kind::Null) => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            })
        })?;
        Ok(!present || flow.is_break())
    }

    /// Whether some text at the path passes the test.
    pub(crate) fn any(
        &self,
        root: Json<'_>,
        test: &TextTest,
        meter: &mut Meter,
    ) -> Result<bool, Why> {
        let flow = self.scalars(root, meter, &mut |value, meter| {
            let text = scalar_text(value);
            meter.charge(test.units(text.len()))?;
            Ok(match test.holds(&text) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        Ok(flow.is_break())
    }
}

/// Recurses as deep as the event, whose depth the parser bounds.
fn scalars<'d>(
    value: Json<'d>,
    meter: &mut Meter,
    found: &mut dyn FnMut(Json<'d>, &mut Meter) -> Visit,
) -> Visit {
    match value.kind() {
        Kind::Null => return MORE,
        Kind::Array => {
            for element in value.elements() {
                meter.charge(1)?;
                if scalars(element, meter, found)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Kind::Object => {
            for (_, inner) in value.entries() {
                meter.charge(1)?;
                if scalars(inner, meter, found)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        _ => return found(value, meter),
    }
    MORE
}

/// The text of a string, number or boolean; numbers as they are written.
pub(crate) fn scalar_text<'d>(value: Json<'d>) -> Cow<'d, str> {
    match value.as_text() {
        Some(text) => text.decode(),
        None => Cow::Borrowed(std::str::from_utf8(value.raw()).unwrap_or_default()),
    }
}

/// The number that a scalar is, or that its text spells.
pub(crate) fn scalar_number(value: Json<'_>) -> Option<f64> {
    match value.as_number() {
        Some(Number::Int(value)) => Some(value as f64),
        Some(Number::Uint(value)) => Some(value as f64),
        Some(Number::Double(value)) => Some(value),
        None => {
            let text = value.as_text()?.decode();
            let digits = text.strip_prefix('-').unwrap_or(&text);
            // Not the words that Rust reads as numbers: `inf`, `nan`.
            let plain = digits.starts_with(|c: char| c.is_ascii_digit());
            text.parse().ok().filter(|_| plain)
        }
    }
}

/// What `dateParts` can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The words of the language.
pub enum DatePart {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl DatePart {
    /// The part of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// The part of a moment that begins `2026-01-31`, or `2026-01-31T12:59:00`; as written, without time zones.
    pub(crate) fn of(self, text: &str) -> Option<i64> {
        let moment = moment(text)?;
        Some(i64::from(match self {
            Self::Minute => i16::from(moment.minute()),
            Self::Hour => i16::from(moment.hour()),
            Self::Day => i16::from(moment.day()),
            Self::Week => i16::from(moment.date().iso_week_date().week()),
            Self::Month => i16::from(moment.month()),
            Self::Year => moment.year(),
        }))
    }
}

fn moment(text: &str) -> Option<DateTime> {
    let date: jiff::civil::Date = text.get(..10)?.parse().ok()?;
    let rest = &text[10..];
    if rest.is_empty() {
        return Some(date.at(0, 0, 0, 0));
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let number = |from: usize| clock.get(from..from + 2)?.parse::<i8>().ok();
    let (hour, minute) = (number(0)?, number(3)?);
    let sound =
        clock.get(2..3) == Some(":") && (0..24).contains(&hour) && (0..60).contains(&minute);
    sound.then(|| date.at(hour, minute, 0, 0))
}

#[cfg(test)]
mod tests;
