//! Correlations: what must come together in time, read from a document or from the aggregation of an older rule.

use super::condition::Aggregation;
use super::yaml::{Node, Value, shorten};
use crate::diagnostic::{Code, Diagnostic, Span, did_you_mean};
use std::collections::BTreeMap;

/// What a correlation wants.
#[derive(Clone, Debug)]
pub(super) struct Correlation {
    pub(super) kind: Kind,
    pub(super) rules: Vec<(String, Span)>,
    pub(super) group_by: Vec<String>,
    pub(super) timespan_seconds: u64,
    pub(super) bounds: Vec<(Bound, f64)>,
    pub(super) fields: Vec<String>,
    pub(super) percentile: Option<f64>,
    pub(super) aliases: BTreeMap<String, BTreeMap<String, String>>,
    /// The rules that it is about report by themselves too.
    pub(super) generate: bool,
    pub(super) span: Span,
}

macro_rules! kinds {
    ($($name:ident = $text:literal,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($name,)+ }

        impl Kind {
            const WORDS: &'static [(&'static str, Kind)] = &[$(($text, Kind::$name),)+];

            pub(super) fn word(self) -> &'static str {
                match self { $(Kind::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    EventCount = "event_count",
    ValueCount = "value_count",
    Temporal = "temporal",
    TemporalOrdered = "temporal_ordered",
    ValueSum = "value_sum",
    ValueAvg = "value_avg",
    ValuePercentile = "value_percentile",
    ValueMedian = "value_median",
}

/// A comparison with the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Equal,
    NotEqual,
}

/// Reads a `correlation`.
pub(super) fn read(node: &Node, span: Span, mistakes: &mut Vec<Diagnostic>) -> Option<Correlation> {
    let before = mistakes.len();
    let mut shape = |span: Span, message: String| {
        mistakes.push(Diagnostic::new(Code::SigmaShape, span, message));
    };
    if !matches!(node.value, Value::Map(_)) {
        shape(
            node.span,
            format!("`correlation` is a map, not {}", node.kind()),
        );
        return None;
    }
    let kind = kind_of(node, span, &mut shape);
    let rules = texts(node, "rules");
    if rules.is_empty() {
        shape(span, "a correlation needs `rules`".to_owned());
    }
    let timespan_seconds = timespan_of(node, span, &mut shape);
    let condition = node.get("condition");
    let percentile = condition.and_then(|condition| {
        let number: u8 = condition.get("percentile")?.text()?.parse().ok()?;
        (1..=99).contains(&number).then(|| f64::from(number))
    });
    let (bounds, fields) =
        condition.map_or_else(Default::default, |one| condition_of(one, &mut shape));
    let kind = kind?;
    let counts = !matches!(kind, Kind::Temporal | Kind::TemporalOrdered);
    if counts && bounds.is_empty() {
        let message = format!("`{}` needs a `condition` such as `gte: 10`", kind.word());
        shape(span, message);
    }
    if counts && kind != Kind::EventCount && fields.is_empty() {
        let message = format!("`{}` needs a `field` in its condition", kind.word());
        shape(span, message);
    }
    let generate = node
        .get("generate")
        .is_some_and(|one| one.value == Value::Bool(true));
    let group_by = texts(node, "group-by").into_iter();
    (mistakes.len() == before).then_some(Correlation {
        kind,
        rules,
        group_by: group_by.map(|(text, _)| text).collect(),
        timespan_seconds,
        bounds,
        fields,
        percentile,
        aliases: aliases(node),
        generate,
        span,
    })
}

/// The texts of a list under a key, or the one text there.
fn texts(node: &Node, key: &str) -> Vec<(String, Span)> {
    let items = node.get(key).map_or(&[][..], Node::items).iter();
    items
        .filter_map(|one| Some((one.text()?.to_owned(), one.span)))
        .collect()
}

fn kind_of(node: &Node, span: Span, shape: &mut dyn FnMut(Span, String)) -> Option<Kind> {
    let word = node
        .get("type")
        .and_then(|one| Some((one.text()?, one.span)));
    let Some((word, span)) = word else {
        shape(span, "a correlation needs a `type`".to_owned());
        return None;
    };
    let found = Kind::WORDS.iter().find(|(text, _)| *text == word);
    if found.is_none() {
        let near = did_you_mean(word, Kind::WORDS.iter().map(|(text, _)| *text));
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        let message = format!("there is no correlation type `{}`{near}", shorten(word));
        shape(span, message);
    }
    found.map(|(_, kind)| *kind)
}

fn timespan_of(node: &Node, span: Span, shape: &mut dyn FnMut(Span, String)) -> u64 {
    let timespan = node.get("timespan").or_else(|| node.get("timeframe"));
    let (found, span) = match timespan {
        Some(one) => (one.text().and_then(seconds), one.span),
        None => {
            shape(span, "a correlation needs a `timespan`".to_owned());
            return 0;
        }
    };
    found.unwrap_or_else(|| {
        let message = "a `timespan` is a number and s, m, h or d, such as `90m`";
        shape(span, message.to_owned());
        0
    })
}

fn condition_of(
    node: &Node,
    shape: &mut dyn FnMut(Span, String),
) -> (Vec<(Bound, f64)>, Vec<String>) {
    let (mut bounds, mut fields) = (Vec::new(), Vec::new());
    if !matches!(node.value, Value::Map(_)) {
        shape(
            node.span,
            format!(
                "the `condition` of a correlation is a map, not {}",
                node.kind()
            ),
        );
    }
    for (key, value) in node.entries() {
        let word = key.text().unwrap_or_default();
        match word {
            "field" => {
                let texts = value.items().iter().filter_map(Node::text);
                fields.extend(texts.map(str::to_owned));
            }
            "percentile" => {}
            _ => match (bound(word), value.text().map(str::parse::<f64>)) {
                (Some(bound), Some(Ok(number))) if number.is_finite() => {
                    bounds.push((bound, number))
                }
                (Some(_), _) => shape(value.span, format!("`{word}` takes a number")),
                (None, _) => shape(
                    key.span,
                    format!("there is no comparison `{}`", shorten(word)),
                ),
            },
        }
    }
    (bounds, fields)
}

fn bound(word: &str) -> Option<Bound> {
    Some(match word {
        "gt" => Bound::Greater,
        "gte" => Bound::GreaterEqual,
        "lt" => Bound::Less,
        "lte" => Bound::LessEqual,
        "eq" => Bound::Equal,
        "neq" => Bound::NotEqual,
        _ => return None,
    })
}

fn aliases(node: &Node) -> BTreeMap<String, BTreeMap<String, String>> {
    let pairs = |node: &Node| -> BTreeMap<String, String> {
        let entries = node.entries().iter();
        entries
            .filter_map(|(rule, field)| Some((rule.text()?.to_owned(), field.text()?.to_owned())))
            .collect()
    };
    let entries = node.get("aliases").map_or(&[][..], Node::entries).iter();
    entries
        .filter_map(|(name, fields)| Some((name.text()?.to_owned(), pairs(fields))))
        .collect()
}

/// `90m` in seconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let split = text
        .len()
        .checked_sub(1)
        .filter(|at| text.is_char_boundary(*at))?;
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        "M" => 2_592_000,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(unit).filter(|seconds| *seconds > 0)
}

/// What the aggregation of an older rule comes to.
#[derive(Debug)]
pub(super) struct Older {
    pub(super) correlation: Correlation,
    pub(super) aggregated: Aggregated,
}

/// What it is about.
#[derive(Debug, PartialEq)]
pub(super) enum Aggregated {
    /// The events of the rule.
    Events,
    /// Those of them whose value is beyond a number.
    Extreme(Extreme),
    /// Those of the rule and those of further selections, which come near, and of others, which do not.
    Near(Near),
}

/// The names of selections.
#[derive(Debug, PartialEq)]
pub(super) struct Near {
    pub(super) wanted: Vec<String>,
    pub(super) unwanted: Vec<String>,
}

/// The largest value is above a number when some value is, the smallest below it when some value is.
#[derive(Debug, PartialEq)]
pub(super) struct Extreme {
    pub(super) field: String,
    operator: &'static str,
    number: f64,
}

impl Extreme {
    /// The condition of the rule and that the value is beyond the number; `field` is the literal of its path.
    pub(super) fn beside(&self, condition: &str, field: &str) -> String {
        let Self {
            operator, number, ..
        } = self;
        format!("({condition})\n  && numbers({field}).exists(n, n {operator} {number:?})")
    }
}

/// The aggregation of an older rule as a correlation of its events.
pub(super) fn of_aggregation(
    aggregation: &Aggregation,
    timeframe: Option<&(String, Span)>,
) -> Result<Older, Box<Diagnostic>> {
    let timespan_seconds = timeframe_of(aggregation, timeframe)?;
    let bound = match aggregation.operator.as_str() {
        ">" => Bound::Greater,
        ">=" => Bound::GreaterEqual,
        "<" => Bound::Less,
        "<=" => Bound::LessEqual,
        _ => Bound::Equal,
    };
    let number = aggregation.value.parse().unwrap_or(0.0);
    let (kind, aggregated) = match aggregation.function.as_str() {
        "count" if aggregation.field.is_none() => (Kind::EventCount, Aggregated::Events),
        "count" => (Kind::ValueCount, Aggregated::Events),
        "sum" => (Kind::ValueSum, Aggregated::Events),
        "avg" => (Kind::ValueAvg, Aggregated::Events),
        "near" => (Kind::Temporal, Aggregated::Near(near_of(aggregation))),
        _ => {
            let extreme = extreme_of(aggregation, bound, number)?;
            (Kind::EventCount, Aggregated::Extreme(extreme))
        }
    };
    let bounds = match aggregated {
        Aggregated::Events => vec![(bound, number)],
        Aggregated::Extreme(_) => vec![(Bound::GreaterEqual, 1.0)],
        Aggregated::Near(_) => Vec::new(),
    };
    let correlation = Correlation {
        kind,
        rules: Vec::new(),
        group_by: aggregation.group.clone(),
        timespan_seconds,
        bounds,
        fields: aggregation.field.clone().into_iter().collect(),
        percentile: None,
        aliases: BTreeMap::new(),
        generate: false,
        span: aggregation.span,
    };
    Ok(Older {
        correlation,
        aggregated,
    })
}

fn unsupported(aggregation: &Aggregation, message: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(
        Code::SigmaUnsupported,
        aggregation.span,
        message,
    ))
}

fn timeframe_of(
    aggregation: &Aggregation,
    timeframe: Option<&(String, Span)>,
) -> Result<u64, Box<Diagnostic>> {
    let wrong = |span: Span, message: &str| Diagnostic::new(Code::SigmaShape, span, message).into();
    let Some((text, span)) = timeframe else {
        let message = "an aggregation needs a `timeframe` beside the condition";
        return Err(wrong(aggregation.span, message));
    };
    let message = "a `timeframe` is a number and s, m, h or d, such as `10m`";
    seconds(text).ok_or_else(|| wrong(*span, message))
}

/// The selections that have to be near the rule's own events, and those that must not be.
fn near_of(aggregation: &Aggregation) -> Near {
    let of = |kept: bool| {
        let names = aggregation
            .near
            .iter()
            .filter(|(_, wanted)| *wanted == kept);
        names.map(|(name, _)| name.clone()).collect()
    };
    Near {
        wanted: of(true),
        unwanted: of(false),
    }
}

/// `max(field) > n` and `min(field) < n`; of any other comparison the last value of a window can change the answer.
fn extreme_of(
    aggregation: &Aggregation,
    bound: Bound,
    number: f64,
) -> Result<Extreme, Box<Diagnostic>> {
    let function = aggregation.function.as_str();
    let operator = match (function, bound) {
        ("max", Bound::Greater) => ">",
        ("max", Bound::GreaterEqual) => ">=",
        ("min", Bound::Less) => "<",
        ("min", Bound::LessEqual) => "<=",
        _ => {
            let message = format!(
                "`{function}` with `{}` holds as soon as one such value comes, whatever comes after it: `max` takes `>` or `>=`, \
                 `min` takes `<` or `<=`",
                aggregation.operator
            );
            return Err(unsupported(aggregation, message));
        }
    };
    let Some(field) = aggregation.field.clone() else {
        let message = format!("`{function}` needs a field: `{function}(field)`");
        return Err(unsupported(aggregation, message));
    };
    Ok(Extreme {
        field,
        operator,
        number,
    })
}
