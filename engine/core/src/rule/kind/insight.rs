//! `[insight]`: a rate that is unusual for its own series.
//!
//! ```toml
//! when = 'event.readOnly == false'
//! group_by = ['event.recipientAccountId', 'event.awsRegion', 'event.eventSource', 'event.eventName']
//!
//! [insight]
//! value = "count"             # or "errors", "error_share", "distinct", "sum", "average", "max", "min"
//! direction = "up"            # or "down", "both"
//! false_alarms_per_week = 1   # or a threshold of its own: is = ">= 3"
//!
//! [insight.attributions]      # whose the activity is, three at most
//! userIdentityArn = 'event.?userIdentity.?arn.orValue("")'
//! ```
//!
//! Each group is a series of values, one a minute. What is usual is learnt of each series and of all of them together
//! (`insight`); a minute is looked at when nothing of it can come any more, that is after `lateness`. A series that
//! becomes unusual is a detection whose event is the record of the insight, in the shape that CloudTrail has for them.

use super::comparison::{self, Relation};
use super::input::Input;
use super::{Kind, integer};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits::{
    INSIGHT_ATTRIBUTIONS_MAX, INSIGHT_FALSE_ALARMS_MAX, INSIGHT_SURPRISE_MAX, INSIGHT_SURPRISE_MIN,
    RULE_GROUP_PARTS_MAX,
};
use crate::rule::model::{Selector, words};
use crate::rule::read::{Fields, Reader, in_order, span_of};
use std::fmt;

/// What `[insight]` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Insight {
    /// What is counted in each minute.
    pub value: Counted,
    /// Of what, where it is a number or distinct values.
    pub of: Option<Selector>,
    /// Which events are errors; those with an `errorCode` without.
    pub fails: Option<Selector>,
    /// Which way is unusual.
    pub direction: Direction,
    /// When a series is unusual enough.
    pub alarm: Alarm,
    /// Whose the activity is: names with what is to be told apart.
    pub attributions: Vec<(String, Selector)>,
}

words! {
    /// What is counted in each minute.
    Counted {
        /// The number of events.
        Count = "count",
        /// The number of events that are errors.
        Errors = "errors",
        /// How many of the events are errors.
        ErrorShare = "error_share",
        /// The number of different values within each minute.
        Distinct = "distinct",
        /// The sum of a number.
        Sum = "sum",
        /// The average of a number within each minute.
        Average = "average",
        /// The highest of a number within each minute.
        Max = "max",
        /// The lowest of a number within each minute.
        Min = "min",
    }
}

impl Counted {
    /// Whether each minute has a measurement, or none, and not a count.
    pub fn is_measured(self) -> bool {
        matches!(self, Self::Average | Self::Max | Self::Min)
    }
}

words! {
    /// Which way is unusual.
    Direction {
        /// More than usual.
        Up = "up",
        /// Less than usual.
        Down = "down",
        /// Either.
        Both = "both",
    }
}

/// When a series is unusual enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Alarm {
    /// From this surprise on: 3 means that a series shows this on one day in a thousand.
    Surprise(f64),
    /// Such that about so many series a week, of all series of the rule, show it by chance.
    FalseAlarmsPerWeek(f64),
}

/// The attributions of rules that do not say, which are CloudTrail's own.
const ATTRIBUTIONS: [(&str, &str); 3] = [
    (
        "userIdentityArn",
        r#"event.?userIdentity.?arn.orValue(event.?userIdentity.?principalId.orValue(""))"#,
    ),
    ("userAgent", r#"event.?userAgent.orValue("")"#),
    ("errorCode", r#"event.?errorCode.orValue("null")"#),
];

/// The key of rules that do not say, which is CloudTrail's own.
const GROUP_BY: [&str; 4] = [
    r#"event.?recipientAccountId.orValue("")"#,
    r#"event.?awsRegion.orValue("")"#,
    r#"event.?eventSource.orValue("")"#,
    r#"event.?eventName.orValue("")"#,
];

/// The source whose fields those are.
const CLOUDTRAIL: &str = "aws.cloudtrail";

/// Which events are errors where the rule does not say.
const FAILS: &str = r#"event.?errorCode.orValue("") != """#;

/// Reads `[insight]`.
pub(super) fn read(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    own: Input,
    source: Option<&str>,
) -> Option<(Kind, Vec<Input>)> {
    let before = reader.errors();
    let word = |name: &str| fields.text(name).map(|(word, _)| word);
    let value = word("value").map_or(Some(Counted::Count), Counted::from_word);
    let direction = word("direction").map_or(Some(Direction::Up), Direction::from_word);
    let of = fields.selector(reader, "of");
    let fails = fields.selector(reader, "fails");
    let alarm = read_alarm(reader, fields);
    let attributions = read_attributions(reader, fields, source);
    if reader.errors() > before {
        return None;
    }
    let (value, direction) = (value?, direction?);
    let fails = fails.or_else(|| default_selector(reader, FAILS, fields.span));
    let insight = Insight {
        value,
        of,
        fails: fails.filter(|_| matches!(value, Counted::Errors | Counted::ErrorShare)),
        direction,
        alarm: alarm?,
        attributions: attributions?,
    };
    check(reader, fields, &insight).then_some((Kind::Insight(Box::new(insight)), vec![own]))
}

/// The key of a rule that does not say.
pub(super) fn default_group_by(
    reader: &mut Reader,
    source: Option<&str>,
    span: Span,
) -> Vec<Selector> {
    let parts = GROUP_BY.iter().filter(|_| is_cloudtrail(source));
    parts
        .filter_map(|text| default_selector(reader, text, span))
        .collect()
}

/// Whether CloudTrail's own fields may be there: the rule is about its events, or does not say what about.
fn is_cloudtrail(source: Option<&str>) -> bool {
    source.is_none_or(|source| source == CLOUDTRAIL)
}

/// A selector that is not in the file; mistakes in it are told at `span`.
fn default_selector(reader: &mut Reader, text: &str, span: Span) -> Option<Selector> {
    let written = reader.unwritten(text, span);
    reader.selector(written)
}

fn read_alarm(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Alarm> {
    let most = INSIGHT_FALSE_ALARMS_MAX;
    let budget = integer(reader, fields, "false_alarms_per_week", 1, most)?;
    let Some((_, span)) = fields.text("is") else {
        return Some(Alarm::FalseAlarmsPerWeek(budget.unwrap_or(1) as f64));
    };
    let is = comparison::read(reader, fields, "is")?;
    if budget.is_some() {
        let message = "`is` and `false_alarms_per_week` both say when it is unusual enough";
        reader.report(Diagnostic::new(Code::RuleKind, span, message).with_help(
            "Leave one out: `is` is a fixed surprise, `false_alarms_per_week` computes one.",
        ));
        return None;
    }
    let sound = (INSIGHT_SURPRISE_MIN..=INSIGHT_SURPRISE_MAX).contains(&is.number);
    if is.relation != Relation::AtLeast || !sound {
        let message = format!("`{is}` is no surprise to wait for");
        reader.report(Diagnostic::new(Code::RuleKind, span, message).with_help(
            "Such as `>= 3`: a series shows that on one day in a thousand; from 1.5 to 12.",
        ));
        return None;
    }
    Some(Alarm::Surprise(is.number))
}

fn read_attributions(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    source: Option<&str>,
) -> Option<Vec<(String, Selector)>> {
    let Some((table, span)) = fields.table("attributions") else {
        let defaults = ATTRIBUTIONS.iter().filter(|_| is_cloudtrail(source));
        let read = defaults.filter_map(|(name, text)| {
            let selector = default_selector(reader, text, fields.span)?;
            Some(((*name).to_owned(), selector))
        });
        return Some(read.collect());
    };
    if !reader.within("attributions", table.len(), INSIGHT_ATTRIBUTIONS_MAX, span) {
        return None;
    }
    let mut all = Vec::new();
    for (name, value) in in_order(table) {
        let text = value.get_ref().as_str()?;
        let written = reader.written(text, span_of(value));
        all.push((name.get_ref().to_string(), reader.selector(written)?));
    }
    Some(all)
}

fn check(reader: &mut Reader, fields: &Fields<'_, '_>, insight: &Insight) -> bool {
    let needs =
        matches!(insight.value, Counted::Distinct | Counted::Sum) || insight.value.is_measured();
    let mistake = match (&insight.of, needs) {
        (None, true) => Some((
            "of",
            format!("`{}` needs `of`: of what?", insight.value),
            "Add `of = '…'`: CEL on the event.",
        )),
        (Some(_), false) => Some((
            "of",
            "`of` says what to measure, and events are only counted".to_owned(),
            "Add `value = \"sum\"`, \"distinct\", \"average\", \"max\" or \"min\", or leave `of` out.",
        )),
        _ if insight.fails.is_none() && fields.value("fails").is_some() => Some((
            "fails",
            format!(
                "`fails` says which events are errors, and `{}` counts all",
                insight.value
            ),
            "Add `value = \"errors\"` or `value = \"error_share\"`, or leave `fails` out.",
        )),
        _ if insight.value == Counted::ErrorShare && insight.direction != Direction::Up => Some((
            "direction",
            "a share of errors is only unusual when it is high".to_owned(),
            "Leave `direction` out.",
        )),
        _ => None,
    };
    let Some((key, message, help)) = mistake else {
        return true;
    };
    let at = fields.value(key).map_or(fields.span, span_of);
    reader.report(Diagnostic::new(Code::RuleKind, at, message).with_help(help));
    false
}

impl Insight {
    /// Every selector that only this kind has.
    pub(super) fn selectors(&self) -> Vec<&Selector> {
        let attributions = self.attributions.iter().map(|(_, selector)| selector);
        self.of
            .iter()
            .chain(&self.fails)
            .chain(attributions)
            .collect()
    }
}

/// In one line: `count, more than usual, about 1 false alarm a week`.
impl fmt::Display for Insight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let than = match self.direction {
            Direction::Up => "more than usual",
            Direction::Down => "less than usual",
            Direction::Both => "more or less than usual",
        };
        write!(f, "{}, {than}, ", self.value)?;
        match self.alarm {
            Alarm::Surprise(least) => write!(f, "surprise of {least}"),
            Alarm::FalseAlarmsPerWeek(1.0) => f.write_str("about 1 false alarm a week"),
            Alarm::FalseAlarmsPerWeek(most) => write!(f, "about {most} false alarms a week"),
        }
    }
}

/// Most parts of the default key: it is within the bound of any key.
const _: () = assert!(GROUP_BY.len() <= RULE_GROUP_PARTS_MAX);
