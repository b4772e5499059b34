//! From correlations, and the aggregations of older rules, to rules that remember.
//!
//! A group is the first text at each path of `group-by`, or nothing where there is none: events without the field are a
//! group of their own. Rules that a correlation is about become signals, unless it says `generate: true`. What has no
//! exact counterpart is refused: a range of counts, counts that a window passes through on its way to others.

use super::correlation::{Bound, Correlation, Kind as Type};
use super::draft::Draft;
use super::item::{Lowered, field_path, refused};
use super::lower::{rule, selector, source_of};
use crate::diagnostic::{Code, Span};
use crate::limits::{
    LATENESS_SECONDS_DEFAULT, RULE_GROUPS_DEFAULT, STEPS_MAX, THRESHOLD_EVENTS_MAX,
    WINDOW_SECONDS_MAX,
};
use crate::rule::kind::{
    Absence, Comparison, Input, Kind, Measure, Memory, Order, Over, Period, Relation, RuleRef,
    Sequence, Temporal, Threshold, Ties,
};
use crate::rule::{Place, Rule, RuleId, Selector};

/// A rule that a correlation is about.
pub(super) struct Base {
    pub(super) id: RuleId,
    /// Everything that the correlation may call it.
    pub(super) names: Vec<String>,
    pub(super) source: Option<String>,
}

/// What the events of a correlation are.
pub(super) enum Events {
    /// Detections of these rules, in the order of the correlation.
    Of(Vec<Base>),
    /// Events that meet the condition of an older rule.
    Meeting(String),
    /// Events that meet each of these conditions, near one another, and none that meets one of the others.
    Near(Vec<String>, Vec<String>),
}

/// The rule that a correlation is.
pub(super) fn lower(draft: &Draft, correlation: &Correlation, events: Events) -> Lowered<Rule> {
    let lowering = Lowering { draft, correlation };
    let seconds = i64::try_from(correlation.timespan_seconds).unwrap_or(i64::MAX);
    if seconds > WINDOW_SECONDS_MAX {
        let message = "the time span is longer than a year";
        return refused(Code::Bound, correlation.span, message);
    }
    let within = Period::from_seconds(seconds);
    let source = match (&events, source_of(&draft.logsource)) {
        (_, Some(own)) => Some(own.to_owned()),
        (Events::Of(bases), None) => bases.iter().find_map(|base| base.source.clone()),
        (Events::Meeting(_) | Events::Near(..), None) => None,
    };
    let (kind, inputs, group_by) = match correlation.kind {
        Type::Temporal | Type::TemporalOrdered => lowering.steps(events, within)?,
        _ => lowering.threshold(events, within)?,
    };
    let memory = Memory {
        kind,
        group_by,
        lateness: Period::from_seconds(LATENESS_SECONDS_DEFAULT),
        groups_max: RULE_GROUPS_DEFAULT,
        place: lowering.place(),
    };
    let mut rule = rule(draft, source.as_deref(), None)?;
    (rule.inputs, rule.memory) = (inputs, Some(memory));
    Ok(rule)
}

struct Lowering<'d> {
    draft: &'d Draft,
    correlation: &'d Correlation,
}

/// What makes a rule one that remembers: its kind, inputs and groups.
type Parts = (Kind, Vec<Input>, Vec<Selector>);

impl Lowering<'_> {
    fn span(&self) -> Span {
        self.correlation.span
    }

    fn place(&self) -> Place {
        Place {
            source: self.draft.source.clone(),
            span: self.span(),
        }
    }

    fn refuse<T>(&self, message: impl Into<String>) -> Lowered<T> {
        refused(Code::SigmaUnsupported, self.span(), message)
    }

    fn selector(&self, text: String) -> Lowered<Selector> {
        selector(self.draft, self.span(), text)
    }

    fn input(&self, name: String, bases: &[Base], when: Option<String>) -> Lowered<Input> {
        let place = self.place();
        let rules = bases.iter().map(|base| RuleRef {
            pattern: base.id.to_string(),
            place: place.clone(),
        });
        Ok(Input {
            name,
            when: when.map(|text| self.selector(text)).transpose()?,
            rules: rules.collect(),
            group_by: None,
            place: place.clone(),
        })
    }

    /// The groups of the events of one rule, whose fields an alias may name.
    fn groups(&self, base: Option<&Base>) -> Lowered<Vec<Selector>> {
        let mut groups = Vec::new();
        for name in &self.correlation.group_by {
            let field = match (self.correlation.aliases.get(name), base) {
                (None, _) => name,
                (Some(fields), Some(base)) => {
                    let found = base.names.iter().find_map(|name| fields.get(name));
                    let Some(field) = found else {
                        let message = format!("the alias `{name}` lacks a field of `{}`", base.id);
                        return refused(Code::SigmaReference, self.span(), message);
                    };
                    field
                }
                (Some(_), None) => {
                    return self.refuse("aliases are for correlations of several rules");
                }
            };
            let path = field_path(field, self.span())?;
            groups.push(self.selector(format!("texts({path}).first().orValue(\"\")"))?);
        }
        Ok(groups)
    }

    /// `temporal` and `temporal_ordered`.
    fn steps(&self, events: Events, within: Period) -> Lowered<Parts> {
        let bases = match events {
            Events::Of(bases) => bases,
            Events::Near(wanted, unwanted) => return self.near(wanted, unwanted, within),
            Events::Meeting(_) => return self.refuse("an older rule cannot be a sequence"),
        };
        self.few_enough(bases.len(), "rules")?;
        let all = bases.len() as f64;
        let every = self.correlation.bounds.iter().all(|bound| {
            matches!(bound, (Bound::GreaterEqual | Bound::Equal, number) if *number == all)
                || matches!(bound, (Bound::Greater, number) if *number == all - 1.0)
        });
        if !every {
            return self.refuse("some of the rules is no condition here: all of them must match");
        }
        let mut inputs = Vec::with_capacity(bases.len());
        let aliased = !self.correlation.aliases.is_empty();
        for (at, base) in bases.iter().enumerate() {
            let name = format!("step_{}", at + 1);
            let mut input = self.input(name, std::slice::from_ref(base), None)?;
            if aliased {
                input.group_by = Some(self.groups(Some(base))?);
            }
            inputs.push(input);
        }
        let group_by = self.groups(bases.first())?;
        let repeats = vec![1; bases.len()];
        let kind = match self.correlation.kind {
            Type::Temporal => Kind::Temporal(Temporal {
                within,
                repeats,
                without: None,
            }),
            _ => Kind::Sequence(Sequence {
                within,
                repeats,
                until: None,
                // Events of one second are in no order.
                ties: Ties::Apart,
            }),
        };
        Ok((kind, inputs, group_by))
    }

    /// `near`: in any order, and not in groups, as it names no field. What must not be near is one condition, as any of
    /// it is too much; when it is all there is, nothing has to come together and something is only absent.
    fn near(&self, wanted: Vec<String>, unwanted: Vec<String>, within: Period) -> Lowered<Parts> {
        let without = match &unwanted[..] {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(format!("({})", several.join(")\n  || ("))),
        };
        if let ([_], Some(_)) = (&wanted[..], &without) {
            let names = ["start", "missed"].into_iter();
            let inputs: Lowered<Vec<Input>> = names
                .zip(wanted.into_iter().chain(without))
                .map(|(name, when)| self.input(name.to_owned(), &[], Some(when)))
                .collect();
            let order = Order::Either;
            return Ok((
                Kind::Absence(Absence { within, order }),
                inputs?,
                Vec::new(),
            ));
        }
        self.few_enough(wanted.len(), "selections")?;
        let repeats = vec![1; wanted.len()];
        let without_at = without.as_ref().map(|_| wanted.len());
        let steps = (1..).zip(wanted);
        let named = steps.map(|(number, when)| (format!("step_{number}"), when));
        let inputs: Lowered<Vec<Input>> = named
            .chain(without.map(|when| (String::new(), when)))
            .map(|(name, when)| self.input(name, &[], Some(when)))
            .collect();
        let kind = Kind::Temporal(Temporal {
            within,
            repeats,
            without: without_at,
        });
        Ok((kind, inputs?, Vec::new()))
    }

    fn few_enough(&self, count: usize, what: &str) -> Lowered<()> {
        if (2..=STEPS_MAX).contains(&count) {
            return Ok(());
        }
        self.refuse(format!("this takes 2 to {STEPS_MAX} {what}"))
    }

    /// Everything that counts or measures.
    fn threshold(&self, events: Events, window: Period) -> Lowered<Parts> {
        let kind = self.correlation.kind;
        let (measure, percentile) = match kind {
            Type::EventCount => (Measure::Events, None),
            Type::ValueCount => (Measure::Distinct, None),
            Type::ValueSum => (Measure::Sum, None),
            Type::ValueAvg => (Measure::Average, None),
            Type::ValueMedian => (Measure::Median, None),
            Type::ValuePercentile => (Measure::Percentile, self.correlation.percentile),
            Type::Temporal | Type::TemporalOrdered => {
                return self.refuse("what comes together is no measure");
            }
        };
        if measure == Measure::Percentile && percentile.is_none() {
            return self
                .refuse("a `value_percentile` needs a `percentile` from 1 to 99 in its condition");
        }
        let is = self.comparison(measure)?;
        let (of, there) = self.measured(measure)?;
        let (input, group_by) = match events {
            Events::Of(bases) => {
                let group_by = self.common_groups(&bases)?;
                (self.input(String::new(), &bases, there)?, group_by)
            }
            Events::Meeting(condition) => {
                let when = match there {
                    Some(there) => format!("({condition})\n  && {there}"),
                    None => condition,
                };
                (
                    self.input(String::new(), &[], Some(when))?,
                    self.groups(None)?,
                )
            }
            Events::Near(..) => return self.refuse("`near` is no measure"),
        };
        let threshold = Threshold {
            window,
            over: Over::Sliding,
            measure,
            percentile: percentile.unwrap_or(95.0),
            of,
            is,
            events_min: 1,
        };
        if let Some(message) = threshold.fault() {
            return self.refuse(message);
        }
        Ok((Kind::Threshold(threshold), vec![input], group_by))
    }

    /// Groups that mean the same field for every rule.
    fn common_groups(&self, bases: &[Base]) -> Lowered<Vec<Selector>> {
        let mut all: Vec<Vec<Selector>> = Vec::new();
        for base in bases {
            let groups = self.groups(Some(base))?;
            if all.first().is_none_or(|first| *first != groups) {
                all.push(groups);
            }
        }
        if all.len() > 1 {
            return self
                .refuse("counts of several rules are grouped by the same fields: aliases differ");
        }
        Ok(all.pop().unwrap_or_default())
    }

    fn comparison(&self, measure: Measure) -> Lowered<Comparison> {
        let [(bound, number)] = self.correlation.bounds[..] else {
            return self.refuse(
                "a range is not supported, as a window that slides leaves and enters it on its way: give one comparison",
            );
        };
        let relation = match bound {
            Bound::Greater => Relation::Above,
            Bound::GreaterEqual => Relation::AtLeast,
            Bound::Less => Relation::Below,
            Bound::LessEqual => Relation::AtMost,
            Bound::Equal => Relation::Equal,
            Bound::NotEqual => Relation::Unequal,
        };
        let comparison = Comparison { relation, number };
        let counts = matches!(measure, Measure::Events | Measure::Distinct);
        if counts && !comparison.is_rising() {
            let message = match bound {
                Bound::Equal => format!(
                    "a window that slides passes through a count `{comparison}` on its way to more: `gte` says so many or more"
                ),
                _ => format!(
                    "a count `{comparison}` within a window that slides holds from the first event on"
                ),
            };
            return self.refuse(message);
        }
        if counts && number > THRESHOLD_EVENTS_MAX as f64 {
            return self.refuse(format!("at most {THRESHOLD_EVENTS_MAX} events are counted"));
        }
        Ok(comparison)
    }

    /// What is measured of an event, and the condition that it is there.
    fn measured(&self, measure: Measure) -> Lowered<(Option<Selector>, Option<String>)> {
        if measure == Measure::Events {
            return Ok((None, None));
        }
        let [field] = &self.correlation.fields[..] else {
            return self.refuse("one `field` is measured, not several together");
        };
        let path = field_path(field, self.span())?;
        let (list, none) = match measure {
            Measure::Distinct => (format!("texts({path})"), "\"\""),
            _ => (format!("numbers({path})"), "0.0"),
        };
        let of = self.selector(format!("{list}.first().orValue({none})"))?;
        Ok((Some(of), Some(format!("size({list}) > 0"))))
    }
}
