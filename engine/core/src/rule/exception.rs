//! Reading exceptions: of a rule, and of overrides.
//!
//! An exception without an end or an owner is how a site forgets that it looks away; owner and reason are
//! asked for by a warning, an end that has passed is reported when the caller says what day it is.

use super::model::{Condition, Exception, Expiry, Selector};
use super::place::{Place, Report};
use super::read::{Fields, Reader};
use super::shape::EXCEPTION;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits::RULE_EXCEPTIONS_MAX;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::de::DeTable;

/// The exceptions under the key `exceptions`.
pub(super) fn read_exceptions(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<Exception> {
    let tables = fields.tables("exceptions");
    if !reader.within("exceptions", tables.len(), RULE_EXCEPTIONS_MAX, fields.span) {
        return Vec::new();
    }
    let mut exceptions: Vec<Exception> = Vec::with_capacity(tables.len());
    for (table, span) in tables {
        let Some(exception) = read_exception(reader, table, span) else {
            continue;
        };
        if let Some(first) = exceptions.iter().find(|one| one.name == exception.name) {
            let message = format!("two exceptions are called `{}`", exception.name);
            reader.report(
                Diagnostic::new(Code::Repeated, exception.place.span, message)
                    .with_label(first.place.span, "the first one"),
            );
        }
        exceptions.push(exception);
    }
    exceptions
}

fn read_exception(reader: &mut Reader, table: &DeTable<'_>, span: Span) -> Option<Exception> {
    let before = reader.errors();
    let fields = Fields::open(reader, table, &EXCEPTION, span);
    let when = fields.selector(reader, "when");
    let list = fields
        .text("list")
        .map(|(name, at)| (name.to_owned(), reader.place(at)));
    let value = fields.selector(reader, "value");
    check_parts(reader, table, span);
    let expires = read_expiry(reader, &fields);
    let (name, at) = fields.text("name")?;
    let missing: Vec<&str> = ["owner", "reason"]
        .into_iter()
        .filter(|key| !table.contains_key(*key))
        .collect();
    if !missing.is_empty() {
        let message = format!("the exception `{name}` has no {}", missing.join(" and no "));
        reader.report(
            Diagnostic::new(Code::ExceptionUnowned, at, message)
                .with_help("Say who answers for looking away, and why."),
        );
    }
    // An exception with a mistake is left out whole: a misread end must not make it hold for ever.
    if reader.errors() > before {
        return None;
    }
    Some(Exception {
        name: name.to_owned(),
        condition: condition_of(when, list, value)?,
        owner: fields.string("owner"),
        reason: fields.string("reason"),
        expires,
        layer: None,
        place: reader.place(at),
    })
}

fn condition_of(
    when: Option<Selector>,
    list: Option<(String, Place)>,
    value: Option<Selector>,
) -> Option<Condition> {
    match (when, list, value) {
        (Some(when), None, None) => Some(Condition::When(when)),
        (None, Some((list, list_place)), Some(value)) => Some(Condition::Listed {
            list,
            list_place,
            value,
        }),
        _ => None,
    }
}

/// An exception has either `when`, or `list` and `value`.
fn check_parts(reader: &mut Reader, table: &DeTable<'_>, span: Span) {
    let has = |key: &str| table.contains_key(key);
    let message = match (has("when"), has("list"), has("value")) {
        (true, false, false) | (false, true, true) => return,
        (false, false, false) => "an exception says nothing about when it holds",
        (true, _, _) => "an exception has both `when` and `list` or `value`",
        (false, true, false) => "an exception names a `list` but no `value` to look up in it",
        (false, false, true) => "an exception has a `value` but no `list` to look it up in",
    };
    reader.report(
        Diagnostic::new(Code::ExceptionCondition, span, message)
            .with_help("Give either `when = '…'`, or `list = \"name\"` and `value = 'event.…'`."),
    );
}

fn read_expiry(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Expiry> {
    let value = fields.value("expires")?;
    let date = value.get_ref().as_datetime()?.date?;
    match expiry(date.year, date.month, date.day) {
        Some(expiry) => Some(expiry),
        None => {
            let span = super::read::span_of(value);
            reader.report(Diagnostic::new(
                Code::WrongType,
                span,
                "there is no such day",
            ));
            None
        }
    }
}

fn expiry(year: u16, month: u8, day: u8) -> Option<Expiry> {
    let number = |part: u8| i8::try_from(part).ok();
    let date = Date::new(i16::try_from(year).ok()?, number(month)?, number(day)?).ok()?;
    let next = date.tomorrow().ok()?;
    let end = next.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Expiry { date, end })
}

/// Reports the exceptions whose last day is before `today`.
pub(super) fn report_expired(exceptions: &[Exception], today: Date, reports: &mut Vec<Report>) {
    for exception in exceptions {
        let Some(expires) = exception.expires.filter(|expires| expires.date < today) else {
            continue;
        };
        let message = format!(
            "the exception `{}` expired on {}",
            exception.name, expires.date
        );
        let diagnostic = Diagnostic::new(Code::ExceptionExpired, exception.place.span, message)
            .with_help("Events since then are not excused. Remove it, or give it a new end.");
        reports.push(Report {
            source: exception.place.source.clone(),
            diagnostic,
        });
    }
}
