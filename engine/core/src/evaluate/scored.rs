//! `insight` and `entity`: what rules may ask of the series and of the entity of their event.
//!
//! A rule that asks has two forms, like one that asks about earlier steps: what of its condition is about the event alone is
//! filed in the index, and the whole is evaluated when state has come to the event's time, with both variables at hand.
//! Both are objects whose fields are listed here, so that `check` finds a slip and evaluation finds every field.
//!
//! Relies on the state above for what is known; nothing here remembers anything. Where nothing is known the fields are
//! there and say so (`unknown`, 0): a rule must not be undecided because a series is new. Rejected: absent fields, which
//! every condition would have to ask for first.

use super::evaluator::{Evaluator, describe};
use super::memory::{CapturePre, event_part, is_true};
use super::observe::counted;
use super::rule_set::{RuleIndex, RulePre, RuleSet};
use crate::diagnostic::{Code, Diagnostic};
use crate::event::Event;
use crate::insight::detect::{Reading, SeriesState};
use crate::insight::entity::{First, Habit, Habits, Seen};
use crate::rule::kind::{Asks, ENTITY_VARIABLE, INSIGHT_VARIABLE, Kind};
use crate::rule::{Catalog, Report, Rule};
use crate::selector::value::{Entries, MapValue, Moment};
use crate::selector::{Evaluation, EventView, Type, Value};
use std::sync::Arc;

/// The fields of `insight`, and of each rule in `insight.of`.
const INSIGHT_FIELDS: [(&str, Type); 8] = [
    ("rule", Type::String),
    ("state", Type::String),
    ("score", Type::Double),
    ("surprise", Type::Double),
    ("observed", Type::Double),
    ("expected", Type::Double),
    ("window_minutes", Type::Int),
    ("baseline", Type::Double),
];

/// The fields of `entity`, and of each rule in `entity.of`; the last two may be null.
const ENTITY_FIELDS: [(&str, Type); 15] = [
    ("rule", Type::String),
    ("known", Type::Bool),
    ("first_seen", Type::Bool),
    ("rarity", Type::Double),
    ("surprise", Type::Double),
    ("self", Type::String),
    ("peers", Type::String),
    ("all", Type::String),
    ("self_rarity", Type::Double),
    ("peers_rarity", Type::Double),
    ("all_rarity", Type::Double),
    ("count", Type::Int),
    ("days", Type::Int),
    ("since", Type::Timestamp),
    ("last_seen", Type::Timestamp),
];

/// The field that has what each rule says by itself.
const OF: &str = "of";

/// The rules of a catalog that can be asked about, by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Askable {
    insights: Vec<String>,
    profiles: Vec<String>,
}

impl Askable {
    pub(super) fn of(catalog: &Catalog) -> Self {
        let named = |is: fn(&Rule) -> bool| {
            let rules = catalog.rules.iter().filter(|rule| is(rule));
            rules.map(|rule| rule.id.to_string()).collect()
        };
        Self {
            insights: named(is_readable),
            profiles: named(is_profile),
        }
    }

    /// The types of both variables.
    pub(super) fn types(&self) -> [(&'static str, Type); 2] {
        [
            (INSIGHT_VARIABLE, record(&INSIGHT_FIELDS, &self.insights)),
            (ENTITY_VARIABLE, record(&entity_fields(), &self.profiles)),
        ]
    }

    /// Warnings about questions that nothing answers.
    pub(super) fn unanswered(&self, rule: &Rule) -> Vec<Report> {
        let asked = [
            (INSIGHT_VARIABLE, &self.insights, "[insight]"),
            (ENTITY_VARIABLE, &self.profiles, "[entity]"),
        ];
        let mut reports = Vec::new();
        for (variable, rules, table) in asked {
            let mut asking = rule.selectors().filter(|one| one.expr.mentions(variable));
            let Some(selector) = asking.next().filter(|_| rules.is_empty()) else {
                continue;
            };
            let message = format!("no rule answers what is asked of `{variable}`");
            let help = format!(
                "It comes from rules with `{table}`: add one, or give the paths of those that there are."
            );
            let diagnostic = Diagnostic::new(Code::RuleSilent, selector.expr.span, message);
            reports.push(selector.report(diagnostic.with_help(help)));
        }
        reports
    }
}

fn entity_fields() -> Vec<(&'static str, Type)> {
    let fields = ENTITY_FIELDS.iter().cloned();
    let nullable = |of: Type| match of {
        Type::Timestamp => Type::nullable(of),
        other => other,
    };
    fields.map(|(name, of)| (name, nullable(of))).collect()
}

fn record(fields: &[(&'static str, Type)], rules: &[String]) -> Type {
    let of_one = Type::fixed(fields.iter().cloned());
    let of = Type::fixed(rules.iter().map(|rule| (rule, of_one.clone())));
    Type::fixed(fields.iter().cloned().chain([(OF, of)]))
}

/// An insight that counts events and not detections: those come after the rules that ask.
fn is_readable(rule: &Rule) -> bool {
    let is_insight = matches!(
        rule.memory.as_ref().map(|memory| &memory.kind),
        Some(Kind::Insight(_))
    );
    is_insight && rule.inputs.iter().all(|input| input.rules.is_empty())
}

fn is_profile(rule: &Rule) -> bool {
    matches!(
        rule.memory.as_ref().map(|memory| &memory.kind),
        Some(Kind::Entity(_))
    )
}

fn is_scored(rule: &Rule) -> bool {
    matches!(
        rule.memory.as_ref().map(|memory| &memory.kind),
        Some(Kind::Scored)
    )
}

/// What is wrong with what a rule asks: rules that remember something else, and plugins beside it.
pub(super) fn refusals(rule: &Rule) -> Vec<Report> {
    let mut reports = Vec::new();
    for variable in [INSIGHT_VARIABLE, ENTITY_VARIABLE] {
        let asking = rule.selectors().filter(|one| one.expr.mentions(variable));
        for selector in asking.filter(|_| !is_scored(rule)) {
            let (message, help) = match &rule.memory {
                Some(memory) => (
                    format!(
                        "a rule with `[{}]` cannot ask about `{variable}`",
                        memory.kind.as_str()
                    ),
                    "Put the question into a rule of its own with `signal = true`, and take its detections here by `rules`.",
                ),
                None => (
                    format!(
                        "only a rule that asks about `{variable}` in its own file can be asked so here"
                    ),
                    "The rule is decided before that is known. Ask about the event alone.",
                ),
            };
            let diagnostic = Diagnostic::new(Code::RuleKind, selector.expr.span, message);
            reports.push(selector.report(diagnostic.with_help(help)));
        }
    }
    if !is_scored(rule) {
        return reports;
    }
    for selector in rule.selectors() {
        if super::ask::asks_plugins(&selector.expr) {
            let message = "a rule that asks about insights or entities cannot ask plugins";
            let help = "Plugins answer when the event comes, and this is decided later. Put one of the questions into a \
                        `signal` rule, and take the detections of both in a `[temporal]`.";
            let diagnostic = Diagnostic::new(Code::PluginMisplaced, selector.expr.span, message);
            reports.push(selector.report(diagnostic.with_help(help)));
        }
    }
    for when in rule.inputs.iter().filter_map(|input| input.when.as_ref()) {
        if is_true(&event_part(&when.expr)) {
            let message = "nothing in this condition is about the event alone";
            let help = "Every event is kept until it is asked. Say what the event itself must be, such as \
                        `event.eventName == \"…\" && …`.";
            let diagnostic = Diagnostic::new(Code::AlwaysMatches, when.expr.span, message);
            reports.push(when.report(diagnostic.with_help(help)));
        }
    }
    reports
}

/// The rules of a rule set that ask, and those that are asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Rules that ask.
    pub asking: Vec<RuleIndex>,
    /// Insights that some rule asks about.
    pub insights: Vec<RuleIndex>,
    /// Profiles that some rule asks about.
    pub profiles: Vec<RuleIndex>,
}

impl Asked {
    pub(super) fn of(rules: &[RulePre]) -> Self {
        let of_kind = |is: fn(&Rule) -> bool| -> Vec<RuleIndex> {
            let all = (0u32..).zip(rules).filter(|(_, rule)| is(&rule.rule));
            all.map(|(at, _)| RuleIndex(at)).collect()
        };
        let asking = of_kind(is_scored);
        let any = |of: fn(&Asks) -> bool| {
            let mut all = asking.iter().map(|rule| rules[rule.0 as usize].asks);
            all.any(|asks| of(&asks))
        };
        let when = |is: bool, rules: Vec<RuleIndex>| if is { rules } else { Vec::new() };
        Self {
            insights: when(any(|asks| asks.insight), of_kind(is_readable)),
            profiles: when(any(|asks| asks.entity), of_kind(is_profile)),
            asking,
        }
    }

    /// Every rule that has to see events at the same moments.
    pub fn all(&self) -> impl Iterator<Item = RuleIndex> {
        let all = self.asking.iter().chain(&self.insights);
        all.chain(&self.profiles).copied()
    }
}

impl RuleSet {
    /// Whether a rule asks what is known of its event.
    pub fn is_asking(&self, rule: RuleIndex) -> bool {
        is_scored(&self.rules()[rule.0 as usize].rule)
    }
}

/// What is known of one event, as rules see it.
#[derive(Clone, Debug)]
pub struct Known {
    insight: Value<'static>,
    entity: Value<'static>,
}

impl Known {
    /// Of an event whose series read so, and whose entities were seen so: each rule that may be asked, in order.
    pub fn new(
        set: &RuleSet,
        insights: &[(RuleIndex, Option<Reading>)],
        entities: &[(RuleIndex, Option<Seen>)],
    ) -> Self {
        Self {
            insight: answer(set, insights, |reading| reading.rarity, insight_values),
            entity: answer(set, entities, |seen| seen.score, entity_values),
        }
    }

    /// `insight` and `entity`.
    pub(super) fn values(&self) -> [Value<'static>; 2] {
        [self.insight.clone(), self.entity.clone()]
    }
}

/// The same of rules that do not ask.
pub(super) fn nothing_known() -> [Value<'static>; 2] {
    [Value::Null, Value::Null]
}

type Named = (&'static str, Value<'static>);

/// The answer that weighs most, with those of all rules beside it. Of equal ones it is that of the first rule.
fn answer<T: Copy>(
    set: &RuleSet,
    all: &[(RuleIndex, Option<T>)],
    weight: impl Fn(&T) -> f64,
    values: impl Fn(&str, Option<T>) -> Vec<Named>,
) -> Value<'static> {
    let id = |rule: RuleIndex| set.rules()[rule.0 as usize].rule.id.as_str();
    let mut best: Option<(RuleIndex, T)> = None;
    for (rule, known) in all {
        let Some(known) = known else { continue };
        if best.is_none_or(|(_, best)| weight(known).total_cmp(&weight(&best)).is_gt()) {
            best = Some((*rule, *known));
        }
    }
    let of = all.iter().map(|(rule, known)| {
        let id = id(*rule);
        (Value::owned_text(id), map(named(values(id, *known))))
    });
    let of = map(of.collect());
    let mut own = match best {
        Some((rule, known)) => values(id(rule), Some(known)),
        None => values("", None),
    };
    own.push((OF, of));
    map(named(own))
}

fn named(values: Vec<Named>) -> Vec<(Value<'static>, Value<'static>)> {
    let all = values.into_iter();
    all.map(|(name, value)| (Value::text(name), value))
        .collect()
}

fn map(entries: Vec<(Value<'static>, Value<'static>)>) -> Value<'static> {
    match Entries::new(entries) {
        Ok(entries) => Value::Map(MapValue::Shared(Arc::new(entries))),
        // Names differ, so that this cannot be.
        Err(_) => Value::Null,
    }
}

/// A number that can be compared.
fn number(number: f64) -> Value<'static> {
    Value::Double(if number.is_finite() { number } else { 0.0 })
}

/// The values of [`INSIGHT_FIELDS`].
fn insight_values(rule: &str, reading: Option<Reading>) -> Vec<Named> {
    let state = match reading.map(|reading| reading.state) {
        None => "unknown",
        Some(SeriesState::Warming) => "warming",
        Some(SeriesState::Quiet) => "quiet",
        Some(SeriesState::Open) => "open",
    };
    let of = |field: fn(&Reading) -> f64| number(reading.as_ref().map_or(0.0, field));
    let window = reading.map_or(0, |reading| i64::from(reading.window_minutes));
    let rule = if reading.is_some() { rule } else { "" };
    vec![
        ("rule", Value::owned_text(rule)),
        ("state", Value::text(state)),
        ("score", of(|reading| reading.score)),
        ("surprise", of(|reading| reading.rarity)),
        ("observed", of(|reading| reading.observed)),
        ("expected", of(|reading| reading.expected)),
        ("window_minutes", Value::Int(window)),
        ("baseline", of(|reading| reading.baseline_average)),
    ]
}

/// The values of [`ENTITY_FIELDS`].
fn entity_values(rule: &str, seen: Option<Seen>) -> Vec<Named> {
    let first = seen.map_or(First::Unknown, |seen| seen.first);
    let moment = |seconds: i64| Moment::new(seconds, 0).map_or(Value::Null, Value::Timestamp);
    let (since, last, count, days) = match first {
        First::Known {
            first_seen,
            last_seen,
            count,
            days,
        } => (moment(first_seen), moment(last_seen), count, days),
        First::New | First::Unknown => (Value::Null, Value::Null, 0, 0),
    };
    let rule = if seen.is_some() { rule } else { "" };
    let of = |field: fn(&Seen) -> f64| number(seen.as_ref().map_or(0.0, field));
    let word = |field: fn(&Habits) -> Habit| {
        let habit = seen
            .as_ref()
            .map_or(Habit::Unknown, |seen| field(&seen.habits));
        Value::text(habit.as_str())
    };
    vec![
        ("rule", Value::owned_text(rule)),
        ("known", Value::Bool(first != First::Unknown)),
        ("first_seen", Value::Bool(first == First::New)),
        ("rarity", of(|seen| seen.score)),
        ("surprise", of(|seen| seen.surprise)),
        ("self", word(|habits| habits.own)),
        ("peers", word(|habits| habits.peers)),
        ("all", word(|habits| habits.all)),
        ("self_rarity", of(|seen| seen.own)),
        ("peers_rarity", of(|seen| seen.peer)),
        ("all_rarity", of(|seen| seen.all)),
        ("count", Value::Int(i64::from(count))),
        ("days", Value::Int(i64::from(days))),
        ("since", since),
        ("last_seen", last),
    ]
}

impl Evaluator<'_> {
    /// The series that an event counts in, by the insights that rules ask about.
    pub fn series_of(&mut self, event: &Event<'_>) -> Vec<(RuleIndex, u128)> {
        let set = self.set;
        let mut keys = std::mem::take(&mut self.keys);
        keys.begin();
        let time = event.time();
        let found = self.on_event(event, |evaluation, program| {
            let mut found = Vec::new();
            for rule in &set.asked().insights {
                let pre = &set.rules()[rule.0 as usize];
                let mut excusing = pre.exceptions.iter().filter(|one| one.covers(time));
                if excusing.any(|one| evaluation.test(one.node) == Ok(true)) {
                    continue;
                }
                for input in &pre.inputs {
                    let holds = input
                        .when
                        .is_none_or(|when| evaluation.test(when) == Ok(true));
                    let CapturePre::Counted(of) = &input.captures else {
                        continue;
                    };
                    if !holds || !matches!(counted(of, evaluation, set), Ok(Some(_))) {
                        continue;
                    }
                    if let Ok((groups, _)) =
                        keys.hashes(&set.keys, input.group_by, evaluation, program)
                    {
                        found.extend(groups.iter().map(|group| (*rule, *group)));
                    }
                }
            }
            found
        });
        self.keys = keys;
        found
    }

    /// Whether a rule that asks holds of an event, and no exception of it that asks, or why that cannot be decided.
    pub fn holds_knowing(
        &mut self,
        rule: RuleIndex,
        event: &Event<'_>,
        known: &Known,
    ) -> Result<bool, String> {
        let set = self.set;
        let pre = &set.rules()[rule.0 as usize];
        let [insight, entity] = known.values();
        let null = || Value::Null;
        let variables = [null(), null(), null(), null(), null(), insight, entity];
        let program = &set.program;
        set.plan.extract(event.root(), &mut self.slots);
        let view = EventView {
            root: event.root(),
            slots: &self.slots,
        };
        let mut evaluation =
            Evaluation::new(program, view, &mut self.scratch).with_variables(&variables);
        let mut holds = Ok(true);
        for when in pre.inputs.iter().filter_map(|input| input.when) {
            holds = evaluation
                .test(when)
                .map_err(|fault| describe(&fault, program));
        }
        if holds == Ok(true) {
            let mut asking = pre.exceptions.iter();
            let time = event.time();
            holds = Ok(!asking.any(|one| {
                one.asks_known && one.covers(time) && evaluation.test(one.node) == Ok(true)
            }));
        }
        evaluation.finish(&mut self.scratch);
        holds
    }

    /// What is found from now on is shaped with what is known of its event; without, with nothing.
    pub fn know(&mut self, known: Option<Known>) {
        self.known = known;
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTITY_FIELDS, INSIGHT_FIELDS, entity_values, insight_values};
    use crate::insight::detect::{Reading, SeriesState, Test};
    use crate::insight::entity::{First, Habit, Habits, Seen};
    use crate::selector::{Type, Value};

    fn types(values: &[super::Named]) -> Vec<(&'static str, Type)> {
        let all = values.iter().map(|(name, value)| {
            let of = match value {
                Value::Int(_) => Type::Int,
                Value::Double(_) => Type::Double,
                Value::Bool(_) => Type::Bool,
                Value::String(_) => Type::String,
                Value::Timestamp(_) | Value::Null => Type::Timestamp,
                other => panic!("{name} has a value of another type: {other}"),
            };
            (*name, of)
        });
        all.collect()
    }

    #[test]
    fn what_may_be_asked_is_what_is_there_known_or_not() {
        let reading = Reading {
            state: SeriesState::Open,
            score: 0.5,
            rarity: 1.0,
            test: Test::Up,
            window_minutes: 5,
            observed: 1.0,
            expected: f64::NAN,
            baseline_average: 0.1,
        };
        let habits = Habits {
            own: Habit::Rare,
            peers: Habit::Unseen,
            all: Habit::Frequent,
        };
        let seen = Seen {
            first: First::Known {
                first_seen: 1,
                last_seen: 2,
                count: 3,
                days: 1,
            },
            own: 1.0,
            peer: 2.0,
            all: 3.0,
            surprise: 1.0,
            score: 0.9,
            habits,
        };
        assert_eq!(types(&insight_values("a", Some(reading))), INSIGHT_FIELDS);
        assert_eq!(types(&insight_values("a", None)), INSIGHT_FIELDS);
        assert_eq!(types(&entity_values("a", Some(seen))), ENTITY_FIELDS);
        assert_eq!(types(&entity_values("a", None)), ENTITY_FIELDS);
    }
}
