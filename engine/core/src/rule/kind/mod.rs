//! Rules that remember: what each kind wants to know, as its author wrote it, and how its memory moves.
//!
//! One file a kind: the TOML, the reading, the memory of one group, and the step that an observation takes in it.
//! Steps see observations in the order of event time, each once, and are given everything as plain values: times,
//! hashes, numbers, and answers to questions about other events. They evaluate no CEL, read no clock, and do
//! not know where their memory is kept; that is the floor of state above. Rejected: a trait object for each kind,
//! which would hide from the compiler where a new kind has to be thought of.

use super::model::{Rule, Selector};
use super::place::Place;
use super::read::{Fields, Reader, span_of};
use super::shape::{
    ABSENCE, ENTITY, FIRST_SEEN, INSIGHT, RARE, RISK, SEQUENCE, Shape, TEMPORAL, THRESHOLD,
};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::limits::{
    INSIGHT_KEY_PARTS_MAX, INSIGHT_LATENESS_SECONDS_DEFAULT, INSIGHT_SERIES_DEFAULT,
    LATENESS_SECONDS_DEFAULT, LATENESS_SECONDS_MAX, RULE_GROUP_PARTS_MAX, RULE_GROUPS_DEFAULT,
    RULE_GROUPS_MAX, RULE_INPUT_RULES_MAX, WINDOW_SECONDS_MAX,
};
use std::fmt;
use toml::de::DeTable;

mod absence;
mod comparison;
mod entity;
mod entries;
mod first_seen;
mod input;
mod insight;
mod moves;
mod of_hash;
mod period;
mod rare;
mod risk;
mod scored;
mod sequence;
mod suppress;
mod temporal;
mod threshold;

pub use absence::{Absence, AbsenceGroup, Order};
pub use comparison::{Comparison, Relation};
pub use entity::Entity;
pub use first_seen::{FirstSeen, Novelty};
pub use input::{Input, RuleRef};
pub use insight::{Alarm, Counted, Direction, Insight};
pub use moves::{Asked, CITED_MAX, Captured, CountedOf, EventKey, Firing, Observed, StoredEvent};
pub use of_hash::OfHash;
pub use period::{EventTime, Period};
pub use rare::{Rare, RareGroup};
pub use risk::{Risk, RiskGroup, default_score};
pub use scored::{Asks, ENTITY as ENTITY_VARIABLE, INSIGHT as INSIGHT_VARIABLE};
pub use sequence::{Sequence, SequenceGroup, Ties};
pub use suppress::{Suppress, SuppressGroup, Suppressed};
pub use temporal::{Temporal, TemporalGroup, TemporalWaitGroup};
pub use threshold::{Measure, Over, Threshold, ThresholdGroup};

pub(super) use scored::read_questions;
pub(super) use suppress::read_suppress;

/// Longest window, history or learning period.
const WINDOW_MAX: Period = Period::from_seconds(WINDOW_SECONDS_MAX);
/// Longest lateness, and the one of rules that do not say.
const LATENESS_MAX: Period = Period::from_seconds(LATENESS_SECONDS_MAX);
const LATENESS_DEFAULT: Period = Period::from_seconds(LATENESS_SECONDS_DEFAULT);

/// How far back an insight looks: CloudTrail's own baselines are of 28 days.
const INSIGHT_REACH: Period = Period::from_days(28);

/// What a rule remembers, and how long it waits for late events.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// The kind, with what only it knows.
    pub kind: Kind,
    /// Events are remembered apart for each value of these; all together without.
    pub group_by: Vec<Selector>,
    /// How much later than the newest event an event may come and still count.
    pub lateness: Period,
    /// Most groups remembered at a time.
    pub groups_max: usize,
    /// The table that makes the rule one of this kind.
    pub place: Place,
}

/// The kinds of rules that remember.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// So many events within a window.
    Threshold(Threshold),
    /// One thing after another.
    Sequence(Sequence),
    /// Several things in any order.
    Temporal(Temporal),
    /// One thing without another.
    Absence(Absence),
    /// A value that was not seen before.
    FirstSeen(FirstSeen),
    /// A value that is seldom seen.
    Rare(Rare),
    /// Many small things about one entity.
    Risk(Risk),
    /// A rate that is unusual for its series.
    Insight(Box<Insight>),
    /// What entities usually do, for others to ask about.
    Entity(Box<Entity>),
    /// One event, in the light of what is known of its series and its entity. It has no table.
    Scored,
}

impl Kind {
    /// As the table in the file is called, where there is one.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Threshold(_) => "threshold",
            Self::Sequence(_) => "sequence",
            Self::Temporal(_) => "temporal",
            Self::Absence(_) => "absence",
            Self::FirstSeen(_) => "first_seen",
            Self::Rare(_) => "rare",
            Self::Risk(_) => "risk",
            Self::Insight(_) => "insight",
            Self::Entity(_) => "entity",
            Self::Scored => "scored",
        }
    }

    /// Every selector that only this kind has, conditions of inputs not among them.
    pub fn selectors(&self) -> Vec<&Selector> {
        match self {
            Self::Threshold(kind) => kind.of.iter().collect(),
            Self::FirstSeen(kind) => kind.of.iter().collect(),
            Self::Rare(kind) => kind.of.iter().chain(&kind.by).collect(),
            Self::Risk(kind) => kind.score.iter().collect(),
            Self::Insight(kind) => kind.selectors(),
            Self::Entity(kind) => kind.selectors(),
            Self::Sequence(_) | Self::Temporal(_) | Self::Absence(_) | Self::Scored => Vec::new(),
        }
    }

    /// Whether an observation of this input means anything to a group that remembers nothing.
    pub fn begins(&self, input: usize) -> bool {
        match self {
            Self::Sequence(_) => input == 0,
            Self::Absence(kind) => kind.begins(input),
            _ => true,
        }
    }

    /// How far back in event time the kind looks.
    pub fn reach(&self) -> Period {
        match self {
            Self::Threshold(kind) => kind.window,
            Self::Sequence(kind) => kind.within,
            Self::Temporal(kind) => kind.within,
            Self::Absence(kind) => kind.within,
            Self::FirstSeen(kind) => kind.history,
            Self::Rare(kind) => kind.window,
            Self::Risk(kind) => kind.reach(),
            Self::Insight(_) => INSIGHT_REACH,
            Self::Entity(kind) => kind.history,
            Self::Scored => Period::ZERO,
        }
    }
}

/// In one line: `at least one of each within 1h, in order`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threshold(kind) => kind.fmt(f),
            Self::Sequence(kind) => match kind.repeats.as_slice() {
                [times] => write!(f, "one step {times} times within {}", kind.within),
                steps => write!(f, "{} steps in order within {}", steps.len(), kind.within),
            },
            Self::Temporal(kind) => {
                let (steps, within) = (kind.repeats.len(), kind.within);
                write!(f, "{steps} steps in any order within {within}")?;
                match kind.without {
                    Some(_) => f.write_str(" without another near the first"),
                    None => Ok(()),
                }
            }
            Self::Absence(kind) => {
                let side = match kind.order {
                    Order::After => "after",
                    Order::Before => "before",
                    Order::Either => "on either side of",
                };
                write!(
                    f,
                    "the second missing within {} {side} the first",
                    kind.within
                )
            }
            Self::FirstSeen(kind) => {
                write!(
                    f,
                    "not seen for {}, after {} of learning",
                    kind.history, kind.learning
                )
            }
            Self::Rare(kind) => {
                write!(
                    f,
                    "seen fewer than {} times within {}",
                    kind.fewer_than, kind.window
                )
            }
            Self::Risk(kind) => {
                write!(
                    f,
                    "scores of {} in sum, halved every {}",
                    kind.threshold, kind.half_life
                )
            }
            Self::Insight(kind) => kind.fmt(f),
            Self::Entity(kind) => kind.fmt(f),
            Self::Scored => f.write_str("with what is known at the event's time"),
        }
    }
}

/// Words of the tables that make a rule one that remembers, with their shapes.
pub(super) const TABLES: [(&str, &Shape); 9] = [
    ("threshold", &THRESHOLD),
    ("sequence", &SEQUENCE),
    ("temporal", &TEMPORAL),
    ("absence", &ABSENCE),
    ("first_seen", &FIRST_SEEN),
    ("rare", &RARE),
    ("risk", &RISK),
    ("insight", &INSIGHT),
    ("entity", &ENTITY),
];

/// What a rule looks at: its inputs, and its memory when it has one.
pub(super) struct Looks {
    pub(super) inputs: Vec<Input>,
    pub(super) memory: Option<Memory>,
}

/// Reads `when`, `rules` and the table of the kind.
pub(super) fn read_looks(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    table: &DeTable<'_>,
) -> Option<Looks> {
    let own = input::read_top(reader, fields);
    let mut found = TABLES.iter().filter(|(name, _)| table.contains_key(*name));
    let Some((name, shape)) = found.next() else {
        return read_plain(reader, fields, table, own);
    };
    if let Some((other, _)) = found.next() {
        let span = table.get(*other).map_or(fields.span, span_of);
        let message = format!("a rule is of one kind, not both `{name}` and `{other}`");
        reader
            .report(Diagnostic::new(Code::RuleKind, span, message).with_help(
                "Make two rules of it; one may take the other's detections as `rules`.",
            ));
        return None;
    }
    let (inner, span) = fields.table(name)?;
    let place = reader.place(span);
    let inner = Fields::open(reader, inner, shape, span);
    let source = fields.text("source").map(|(name, _)| name);
    let (kind, inputs) = read_kind(reader, (name, source), &inner, own)?;
    let parts_max = match kind {
        Kind::Insight(_) => INSIGHT_KEY_PARTS_MAX,
        _ => RULE_GROUP_PARTS_MAX,
    };
    let mut group_by = read_selectors(reader, fields, "group_by", parts_max)?;
    if group_by.is_empty() && matches!(kind, Kind::Insight(_)) {
        group_by = insight::default_group_by(reader, source, place.span);
    }
    if kind_needs_group(&kind) && group_by.is_empty() {
        let message = format!("`{name}` needs `group_by`: whose is it?");
        reader.report(
            Diagnostic::new(Code::MissingKey, span, message)
                .with_help("Such as `group_by = ['event.userIdentity.arn']`."),
        );
        return None;
    }
    check_keys(reader, &kind, &inputs, &group_by)?;
    let lateness = read_lateness(reader, fields, &kind)?;
    let groups_max = integer(reader, fields, "groups_max", 1, RULE_GROUPS_MAX as u64)?;
    let groups_max = groups_max.map_or(groups_default(&kind), |most| most as usize);
    let memory = Memory {
        kind,
        group_by,
        lateness,
        groups_max,
        place,
    };
    Some(Looks {
        inputs,
        memory: Some(memory),
    })
}

fn kind_needs_group(kind: &Kind) -> bool {
    matches!(kind, Kind::Risk(_) | Kind::Insight(_) | Kind::Entity(_))
}

/// Inputs whose keys differ in number of parts never come into one group.
fn check_keys(
    reader: &mut Reader,
    kind: &Kind,
    inputs: &[Input],
    group_by: &[Selector],
) -> Option<()> {
    let parts = |input: &Input| input.group_by.as_ref().map_or(group_by.len(), Vec::len);
    let name = |input: &Input| match (input.name.as_str(), kind) {
        ("", Kind::Temporal(_)) => "without".to_owned(),
        ("", _) => "until".to_owned(),
        (name, _) => name.to_owned(),
    };
    let (first, rest) = inputs.split_first()?;
    let other = rest.iter().find(|input| parts(input) != parts(first));
    let Some(other) = other else {
        return Some(());
    };
    let message = format!(
        "`{}` and `{}` never come into one group: their keys have {} and {} parts",
        name(first),
        name(other),
        parts(first),
        parts(other)
    );
    reader.report(
        Diagnostic::new(Code::RuleKind, other.place.span, message).with_help(
            "Give each a `group_by` of as many parts; one without takes that of the rule.",
        ),
    );
    None
}

/// A rule about single events has a condition and none of the keys of rules that remember.
fn read_plain(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    table: &DeTable<'_>,
    own: Option<Input>,
) -> Option<Looks> {
    // `lateness` is looked at when it is known whether the rule asks what makes it wait.
    for key in ["rules", "group_by", "groups_max"] {
        if let Some(value) = table.get(key) {
            refuse_key(reader, key, span_of(value));
        }
    }
    if !table.contains_key("when") {
        reader.report(
            Diagnostic::new(Code::MissingKey, fields.span, "a rule needs the key `when`")
                .with_help("Add `when = …`: a string holding CEL."),
        );
    }
    let own = own?;
    own.when.as_ref()?;
    Some(Looks {
        inputs: vec![own],
        memory: None,
    })
}

/// A key that a rule about single events does not have.
fn refuse_key(reader: &mut Reader, key: &str, span: Span) {
    let message = format!("`{key}` belongs to rules that remember");
    let kinds = TABLES.map(|(name, _)| format!("[{name}]")).join(", ");
    reader.report(
        Diagnostic::new(Code::RuleKind, span, message)
            .with_help(format!("Say of which kind the rule is: one of {kinds}.")),
    );
}

/// A rule that waits for nothing has no `lateness`.
fn refuse_lateness(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<()> {
    let value = fields.value("lateness");
    let Some(value) = value else {
        return Some(());
    };
    refuse_key(reader, "lateness", span_of(value));
    None
}

fn read_kind(
    reader: &mut Reader,
    (name, source): (&str, Option<&str>),
    fields: &Fields<'_, '_>,
    own: Option<Input>,
) -> Option<(Kind, Vec<Input>)> {
    match name {
        "sequence" | "temporal" => {
            if let Some(own) = own {
                let message = format!("`{name}` has steps, and so no `when` or `rules` of its own");
                reader.report(
                    Diagnostic::new(Code::RuleKind, own.place.span, message)
                        .with_help(format!("Move it into a `[[{name}.step]]`.")),
                );
                return None;
            }
            match name {
                "sequence" => sequence::read(reader, fields),
                _ => temporal::read(reader, fields),
            }
        }
        _ => {
            let Some(own) = own else {
                let message = format!("`{name}` needs `when` or `rules`: what does it look at?");
                reader.report(
                    Diagnostic::new(Code::MissingKey, fields.span, message).with_help(
                        "Add `when = '…'` above the table, or `rules = [\"…\"]` for the detections of \
                         other rules.",
                    ),
                );
                return None;
            };
            match name {
                "threshold" => threshold::read(reader, fields, own),
                "absence" => absence::read(reader, fields, own),
                "first_seen" => first_seen::read(reader, fields, own),
                "rare" => rare::read(reader, fields, own),
                "insight" => insight::read(reader, fields, own, source),
                "entity" => entity::read(reader, fields, own),
                _ => risk::read(reader, fields, own),
            }
        }
    }
}

fn groups_default(kind: &Kind) -> usize {
    match kind {
        Kind::Insight(_) => INSIGHT_SERIES_DEFAULT,
        _ => RULE_GROUPS_DEFAULT,
    }
}

fn read_lateness(reader: &mut Reader, fields: &Fields<'_, '_>, kind: &Kind) -> Option<Period> {
    let default = match kind {
        // Those that ask wait for those that are asked, so all wait equally long when none says.
        Kind::Insight(_) | Kind::Entity(_) | Kind::Scored => {
            Period::from_seconds(INSIGHT_LATENESS_SECONDS_DEFAULT)
        }
        _ => LATENESS_DEFAULT,
    };
    period(reader, fields, "lateness", Period::ZERO, LATENESS_MAX)
        .map(|lateness| lateness.unwrap_or(default))
}

/// What periods look like.
pub(super) const PERIODS_ARE: &str = "Whole numbers with the units `w`, `d`, `h`, `m`, `s`, the longest first and \
                                      each at most once: `1d12h`, `30m`.";

/// A period between two bounds: nothing when something is wrong with it, `Some(None)` when it is not there.
fn period(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: &str,
    least: Period,
    most: Period,
) -> Option<Option<Period>> {
    let Some((text, span)) = fields.text(name) else {
        return fields.value(name).is_none().then_some(None);
    };
    let Some(period) = Period::parse(text) else {
        reader.report(
            Diagnostic::new(Code::PeriodSyntax, span, format!("`{name}` is no period"))
                .with_caret("expected such as `90s`, `10m`, `1h30m`, `30d`")
                .with_help(PERIODS_ARE),
        );
        return None;
    };
    if period < least || period > most {
        let message = format!("`{name}` is out of bounds");
        reader.report(
            Diagnostic::new(Code::Bound, span, message)
                .with_help(format!("At least {least}, at most {most}.")),
        );
        return None;
    }
    Some(Some(period))
}

/// A period that must be there, at most as long as windows may be.
fn window(reader: &mut Reader, fields: &Fields<'_, '_>, name: &str) -> Option<Period> {
    period(reader, fields, name, Period::from_seconds(1), WINDOW_MAX)?
}

/// A whole number between two bounds: nothing when something is wrong, `Some(None)` when it is not there.
pub(super) fn integer(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: &str,
    least: u64,
    most: u64,
) -> Option<Option<u64>> {
    let Some(value) = fields.value(name) else {
        return Some(None);
    };
    let number = value
        .get_ref()
        .as_integer()
        .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok());
    match number {
        Some(number) if (least..=most).contains(&number) => Some(Some(number)),
        _ => {
            let message = format!("`{name}` is out of bounds");
            reader.report(
                Diagnostic::new(Code::Bound, span_of(value), message)
                    .with_help(format!("At least {least}, at most {most}.")),
            );
            None
        }
    }
}

/// A list of selectors; empty when it is not there.
fn read_selectors(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: &str,
    most: usize,
) -> Option<Vec<Selector>> {
    let Some(value) = fields.value(name) else {
        return Some(Vec::new());
    };
    let texts = fields.texts(name);
    if !reader.within(
        &format!("parts of `{name}`"),
        texts.len(),
        most,
        span_of(value),
    ) {
        return None;
    }
    let before = reader.errors();
    let written: Vec<_> = texts
        .into_iter()
        .map(|(text, span)| reader.written(text, span))
        .collect();
    let selectors: Vec<Selector> = written
        .into_iter()
        .filter_map(|one| reader.selector(one))
        .collect();
    (reader.errors() == before).then_some(selectors)
}

/// The ids or patterns of other rules.
fn read_rules(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<RuleRef> {
    let texts = fields.texts("rules");
    let span = fields.value("rules").map_or(fields.span, span_of);
    if !reader.within(
        "rules of one input",
        texts.len(),
        RULE_INPUT_RULES_MAX,
        span,
    ) {
        return Vec::new();
    }
    let place = |reader: &Reader, span: Span| reader.place(span);
    texts
        .into_iter()
        .map(|(text, span)| RuleRef {
            pattern: text.to_owned(),
            place: place(reader, span),
        })
        .collect()
}

impl Rule {
    /// What people call one of its inputs: `step login`, `until`; nothing when it is the only one.
    pub fn input_label(&self, number: usize) -> Option<String> {
        let name = &self.inputs.get(number)?.name;
        match self.memory.as_ref().map(|memory| &memory.kind) {
            Some(Kind::Sequence(sequence)) if sequence.until == Some(number) => {
                Some("until".to_owned())
            }
            Some(Kind::Temporal(temporal)) if temporal.without == Some(number) => {
                Some("without".to_owned())
            }
            Some(Kind::Sequence(_) | Kind::Temporal(_)) => Some(format!("step {name}")),
            _ => Some(name.clone()).filter(|name| !name.is_empty()),
        }
    }

    /// Whether the rule needs memory: its kind does, or its findings are suppressed for a time.
    pub fn remembers(&self) -> bool {
        self.memory.is_some() || self.suppress.is_some()
    }
}
