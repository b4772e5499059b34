//! All rules in force, compiled together; immutable and shared by every thread.
//!
//! Two programs: the matcher's, small and met by every event, and a second one for what only matches need: titles,
//! keys, context, exceptions, and each selector as it was written. A rule that cannot be compiled is left out and
//! reported; the others are in force. Compiling is deterministic: the same rules give the same tables.

use super::ask::{self, PluginIndex, plugins_of};
use super::feeds::{Feeds, drop_misfed, feeds};
use super::group_key::{KeyId, Keys};
use super::hints::Hints;
use super::index::IndexSummary;
use super::lint;
use super::matcher::Matcher;
use super::memory::{self, CapturePre, CountedPre, CountedValue, InputPre};
use super::observe::detected_by;
use super::scored::{Askable, Asked};
use super::source::{Marks, Sources};
use super::version::{memory_version, version};
use crate::event::{FieldPath, FieldPlan};
use crate::rule::kind::{Absence, Asks, Counted, Insight, Kind, Measure};
use crate::rule::{
    Catalog, Condition, Exception, Lists, Part, Report, Rule, RuleEffect, RuleId, Selector,
};
use crate::selector::ast::Expr;
use crate::selector::{Environment, NodeId, Program, ProgramBuilder, Schema, parse, print};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Number of a rule within its rule set, from 0, in the order of the rules given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub u32);

/// A rule with everything compiled that its findings need.
pub struct RulePre {
    /// The rule as it was read.
    pub rule: Rule,
    /// 16 hexadecimal digits; changes when anything changes that can change what the rule finds.
    pub version: String,
    /// 16 hexadecimal digits; changes when what the rule remembers would mean something else.
    pub memory_version: String,
    pub(super) inputs: Vec<InputPre>,
    /// What it asks of what is known of its events.
    pub asks: Asks,
    /// The plugins that only its findings ask.
    pub(super) shaped_by: Vec<PluginIndex>,
    /// Tells its detections apart from those of other rules.
    pub(super) detected_by: u64,
    pub(super) exceptions: Vec<ExceptionPre>,
    pub(super) title: Vec<TitlePart>,
    pub(super) dedup_key: Vec<NodeId>,
    pub(super) severity: Option<NodeId>,
    pub(super) context: Vec<(String, NodeId)>,
    /// The key by which findings are suppressed, when it is not the de-duplication key.
    pub(super) suppress_by: Option<Vec<NodeId>>,
}

impl RulePre {
    /// Whether a detection is a finding right away: the rule remembers nothing and is more than a signal.
    pub fn finds_at_once(&self) -> bool {
        !self.rule.signal && !self.rule.remembers()
    }

    /// The key by which findings are suppressed, in one way of writing.
    pub fn suppress_key(&self) -> Vec<String> {
        let suppress = self.rule.suppress.iter();
        let keys = suppress.filter_map(|suppress| {
            let by = suppress.by.as_ref();
            by.or(self.rule.finding.dedup_key.as_ref())
        });
        keys.flatten().map(|part| print(&part.expr)).collect()
    }

    /// The order in which inputs of the same time are to be seen.
    pub fn rank(&self, input: u16) -> u16 {
        self.inputs
            .get(input as usize)
            .map_or(0, |input| input.rank)
    }
}

pub(super) struct ExceptionPre {
    pub(super) name: String,
    pub(super) node: NodeId,
    /// The plugins that it asks.
    pub(super) asks_of: Vec<PluginIndex>,
    /// It asks what is known of the event, and is asked with it.
    pub(super) asks_known: bool,
    end: Option<Timestamp>,
}

impl ExceptionPre {
    /// Whether it was in force at the event's time.
    pub(super) fn covers(&self, time: Option<Timestamp>) -> bool {
        match (self.end, time) {
            (None, _) => true,
            (Some(end), Some(time)) => time < end,
            (Some(_), None) => false,
        }
    }
}

pub(super) enum TitlePart {
    Text(String),
    Value(NodeId),
}

/// What a selector of the matcher stands for, and what has to be known of its rule whenever it holds: rules themselves are
/// too large and too far apart to be looked at for every match.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) rule: RuleIndex,
    pub(super) input: u16,
    /// It is an input of a rule that remembers.
    pub(super) is_observed: bool,
    /// The rule has exceptions.
    pub(super) has_exceptions: bool,
    /// The rule asks plugins: what is filed is only a part of its condition.
    pub(super) asks_plugins: bool,
    /// Its findings ask plugins.
    pub(super) shows_plugins: bool,
}

/// What tells which events plugins are to be asked about.
pub(super) struct Asking {
    pub(super) matcher: Matcher,
    /// The rule and the input of each selector of the matcher.
    pub(super) rules: Vec<(RuleIndex, u16)>,
}

/// All rules in force, compiled together.
pub struct RuleSet {
    rules: Vec<RulePre>,
    slots: Vec<Slot>,
    feeds: Feeds,
    asked: Asked,
    scores: BTreeMap<u64, f64>,
    pub(super) matcher: Matcher,
    /// The rules that ask plugins; nothing when none does.
    pub(super) asking: Option<Asking>,
    plugins: Vec<String>,
    /// What only matches need.
    pub(super) program: Program,
    pub(super) plan: FieldPlan,
    /// Keys of groups, and values that are told apart.
    pub(super) keys: Keys,
    pub(super) sources: Sources,
    lists: Lists,
    /// Rules with an effect that are left out for their mistakes.
    deciding_off: Vec<(RuleId, RuleEffect)>,
}

/// What a finding is filed under when its rule does not say: the account and the principal.
const DEFAULT_KEY: [&str; 2] = [
    "event.?recipientAccountId.orValue(event.?userIdentity.?accountId.orValue(null))",
    "event.?userIdentity.?arn.orValue(event.?userIdentity.?principalId.orValue(null))",
];

impl RuleSet {
    /// Checks and compiles the enabled rules of a catalog. Rules with errors are not in the set; the reports,
    /// warnings too, come back beside it.
    pub fn of_catalog(catalog: &Catalog) -> (Self, Vec<Report>) {
        Self::of_rules(catalog.enabled().cloned(), catalog)
    }

    /// The same of some rules of a catalog.
    pub fn of_rules(
        rules: impl IntoIterator<Item = Rule>,
        catalog: &Catalog,
    ) -> (Self, Vec<Report>) {
        let lists = lint::list_names(catalog);
        let askable = Askable::of(catalog);
        let (mut sound, mut reports) = (Vec::new(), Vec::new());
        let mut deciding = Vec::new();
        for rule in rules {
            let schema = lint::schema_of(&rule, catalog);
            let found = lint::check_rule(&rule, schema, &lists, (&catalog.plugins, &askable));
            deciding.extend(rule.effect.clone().map(|effect| (rule.id.clone(), effect)));
            if !lint::has_errors(&found) {
                sound.push(rule);
            }
            reports.extend(found);
        }
        let schema = |source: &str| catalog.schema(source);
        let (mut set, more) = Self::compile_among(sound, &catalog.ids, &catalog.lists, &schema);
        reports.extend(more);
        let in_force: BTreeSet<&RuleId> = set.rules.iter().map(|one| &one.rule.id).collect();
        deciding.retain(|(id, _)| !in_force.contains(id));
        set.deciding_off = deciding;
        (set, reports)
    }

    /// Compiles the enabled ones of `rules` without checking types. Mistakes that only compiling shows come
    /// back beside the set, and the rules that have them are not in it.
    pub fn compile<'s>(
        rules: Vec<Rule>,
        lists: &Lists,
        schema: &dyn Fn(&str) -> Option<&'s Schema>,
    ) -> (Self, Vec<Report>) {
        let known = rules.iter().map(|rule| rule.id.to_string()).collect();
        Self::compile_among(rules, &known, lists, schema)
    }

    /// As [`Self::compile`], where `known` are all ids that there are, also of rules that are off.
    pub fn compile_among<'s>(
        rules: Vec<Rule>,
        known: &BTreeSet<String>,
        lists: &Lists,
        schema: &dyn Fn(&str) -> Option<&'s Schema>,
    ) -> (Self, Vec<Report>) {
        let (mut builder, mut keys) = (builder_with(lists), Keys::default());
        let default_key: Vec<Expr> = DEFAULT_KEY
            .iter()
            .filter_map(|text| parse(text).ok())
            .collect();
        let (mut prepared, mut reports) = (Vec::new(), Vec::new());
        for rule in rules.into_iter().filter(Rule::is_enabled) {
            let mut compiling = Compiling {
                builder: &mut builder,
                keys: &mut keys,
                reports: Vec::new(),
            };
            let compiled = compiling.rule(rule, &default_key);
            reports.append(&mut compiling.reports);
            prepared.extend(compiled);
        }
        reports.extend(drop_misfed(&mut prepared, known));
        let (feeds, unfed) = feeds(&prepared);
        reports.extend(unfed);
        let hints = Hints::of(&prepared, schema);
        let sources = Sources::of(&prepared, schema);
        let plugins = plugins_of(prepared.iter().map(|rule| &rule.rule));
        for rule in &mut prepared {
            let numbered = |names: BTreeSet<String>| -> Vec<PluginIndex> {
                let numbers = names
                    .iter()
                    .filter_map(|name| plugins.binary_search(name).ok());
                numbers.map(|number| PluginIndex(number as u32)).collect()
            };
            for (number, input) in rule.inputs.iter_mut().enumerate() {
                input.asks_of = numbered(ask::asked_in(ask::deciding(&rule.rule, number)));
            }
            for (exception, of) in rule.exceptions.iter_mut().zip(&rule.rule.exceptions) {
                let selector = std::iter::once(of.selector());
                exception.asks_of = numbered(ask::asked_in(selector));
            }
            rule.shaped_by = numbered(ask::asked_in(rule.rule.shaping()));
        }
        let (mut slots, mut selectors): (Vec<Slot>, Vec<&Expr>) = Default::default();
        for (at, rule) in (0u32..).zip(&prepared) {
            for (number, input) in (0u16..).zip(&rule.inputs) {
                slots.extend(input.filed.is_some().then_some(Slot {
                    rule: RuleIndex(at),
                    input: number,
                    is_observed: rule.rule.memory.is_some(),
                    has_exceptions: !rule.exceptions.is_empty(),
                    asks_plugins: !input.asks_of.is_empty(),
                    shows_plugins: !rule.shaped_by.is_empty(),
                }));
                selectors.extend(&input.filed);
            }
        }
        let scores = prepared
            .iter()
            .map(|rule| (rule.detected_by, rule.rule.score()));
        let scores = scores.collect();
        let hint = |path: &FieldPath| hints.get(path);
        let matcher = Matcher::new(&selectors, &hint, builder_with(lists));
        let asking = slots.iter().zip(&selectors);
        let asking: (Vec<(RuleIndex, u16)>, Vec<&Expr>) = asking
            .filter(|(slot, _)| slot.asks_plugins || slot.shows_plugins)
            .map(|(slot, selector)| ((slot.rule, slot.input), *selector))
            .unzip();
        let asking = (!asking.0.is_empty()).then(|| Asking {
            matcher: Matcher::new(&asking.1, &hint, builder_with(lists)),
            rules: asking.0,
        });
        let program = builder.build();
        let plan = program.fields().plan();
        let lists = lists.clone();
        (
            Self {
                asked: Asked::of(&prepared),
                rules: prepared,
                slots,
                feeds,
                scores,
                matcher,
                asking,
                plugins,
                program,
                plan,
                keys,
                sources,
                lists,
                deciding_off: Vec::new(),
            },
            reports,
        )
    }

    /// Rules with an effect that are not in force because of their mistakes.
    pub(super) fn deciding_off(&self) -> &[(RuleId, RuleEffect)] {
        &self.deciding_off
    }

    /// The rules in force, in order.
    pub fn rules(&self) -> &[RulePre] {
        &self.rules
    }

    /// The names of the plugins that some rule asks, in order.
    pub fn plugins(&self) -> &[String] {
        &self.plugins
    }

    /// How the rules were filed.
    pub fn summary(&self) -> &IndexSummary {
        self.matcher.summary()
    }

    /// Rules that are checked for every event: nothing that they need is rare enough to find them by.
    pub fn unindexed(&self) -> impl Iterator<Item = RuleIndex> {
        let mut rules: Vec<RuleIndex> = self
            .matcher
            .unindexed()
            .iter()
            .map(|selector| self.slot(*selector).rule)
            .collect();
        rules.dedup();
        rules.into_iter()
    }

    /// What a selector of the matcher stands for.
    #[inline]
    pub(super) fn slot(&self, selector: u32) -> Slot {
        self.slots[selector as usize]
    }

    /// The inputs that take a rule's detections.
    pub fn feeds(&self, rule: RuleIndex) -> &[(RuleIndex, u16)] {
        &self.feeds.of[rule.0 as usize]
    }

    /// Whether other rules take a rule's detections.
    pub fn feeds_others(&self, rule: RuleIndex) -> bool {
        !self.feeds(rule).is_empty()
    }

    /// The rules that remember, those whose detections others take before those others.
    pub fn remembering(&self) -> &[RuleIndex] {
        &self.feeds.order
    }

    /// The rules that ask what is known of their events, and those that know it.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The rules whose detections a rule takes.
    pub fn fed_by(&self, rule: RuleIndex) -> impl Iterator<Item = RuleIndex> {
        let all = (0u32..).zip(&self.feeds.of);
        all.filter(move |(_, fed)| fed.iter().any(|(one, _)| *one == rule))
            .map(|(from, _)| RuleIndex(from))
    }

    /// What a detection of a rule adds to a risk.
    pub(super) fn score_of(&self, detected_by: u64) -> f64 {
        self.scores.get(&detected_by).copied().unwrap_or(0.0)
    }

    /// How events of a rule's source are told; nothing when its field schema does not say.
    pub fn marks(&self, rule: RuleIndex) -> Option<&Marks> {
        self.sources.marks(rule)
    }

    /// An empty program that knows the site's lists.
    pub(super) fn builder(&self) -> ProgramBuilder {
        builder_with(&self.lists)
    }
}

fn builder_with(lists: &Lists) -> ProgramBuilder {
    let mut builder = ProgramBuilder::new();
    for list in lists.values() {
        builder.add_list(list.name.clone(), list.values().iter().cloned());
    }
    builder
}

struct Compiling<'b> {
    builder: &'b mut ProgramBuilder,
    keys: &'b mut Keys,
    reports: Vec<Report>,
}

impl Compiling<'_> {
    fn rule(&mut self, rule: Rule, default_key: &[Expr]) -> Option<RulePre> {
        let inputs = self.inputs(&rule);
        let suppress_by = rule
            .suppress
            .as_ref()
            .and_then(|suppress| suppress.by.as_ref());
        let suppress_by = suppress_by.map(|by| {
            by.iter()
                .filter_map(|part| self.finding_part(&rule, part))
                .collect()
        });
        let exceptions: Vec<_> = rule
            .exceptions
            .iter()
            .filter_map(|one| self.exception(one))
            .collect();
        let mut title = Vec::new();
        for part in rule.finding.title.iter().flat_map(|title| &title.parts) {
            match part {
                Part::Text(text) => title.push(TitlePart::Text(text.clone())),
                Part::Value(selector) => {
                    title.extend(self.finding_part(&rule, selector).map(TitlePart::Value));
                }
            }
        }
        let dedup_key = match &rule.finding.dedup_key {
            Some(key) => key
                .iter()
                .filter_map(|part| self.finding_part(&rule, part))
                .collect(),
            None => default_key
                .iter()
                .filter_map(|part| self.expr(part))
                .collect(),
        };
        let severity = rule
            .severity_computed()
            .and_then(|selector| self.finding_part(&rule, selector));
        let context = rule.finding.context.iter();
        let context = context
            .filter_map(|(name, selector)| {
                Some((name.clone(), self.finding_part(&rule, selector)?))
            })
            .collect();
        if !self.reports.is_empty() {
            return None;
        }
        let version = version(&rule);
        let memory_version = memory_version(&rule);
        let detected_by = detected_by(rule.id.as_str());
        Some(RulePre {
            asks: match rule.memory.as_ref().map(|memory| &memory.kind) {
                Some(Kind::Scored) => Asks::of(&rule),
                _ => Asks::default(),
            },
            rule,
            version,
            memory_version,
            inputs,
            shaped_by: Vec::new(),
            detected_by,
            suppress_by,
            exceptions,
            title,
            dedup_key,
            severity,
            context,
        })
    }

    fn inputs(&mut self, rule: &Rule) -> Vec<InputPre> {
        let groups: Vec<NodeId> = rule
            .memory
            .iter()
            .flat_map(|memory| &memory.group_by)
            .filter_map(|part| self.selector(part))
            .collect();
        let later = |number: usize| {
            rule.inputs[number + 1..]
                .iter()
                .filter_map(|input| input.when.as_ref())
        };
        let mut inputs = Vec::with_capacity(rule.inputs.len());
        for (number, input) in rule.inputs.iter().enumerate() {
            let own = input.group_by.as_ref();
            let group_by = own.map(|parts| {
                parts
                    .iter()
                    .filter_map(|part| self.selector(part))
                    .collect()
            });
            let asks = input.when.iter().any(|when| memory::asks_state(&when.expr));
            let filed = input.when.as_ref().filter(|_| input.rules.is_empty());
            let later: Vec<&Expr> = later(number).map(|when| &when.expr).collect();
            let asked = memory::asked_of(&input.name, &later);
            inputs.push(InputPre {
                when: input
                    .when
                    .as_ref()
                    .and_then(|when| self.finding_part(rule, when)),
                asks,
                filed: filed.map(|when| memory::event_part(&when.expr)),
                captures: self.captures(rule, number, &asked),
                rank: rank(rule, number),
                asks_of: Vec::new(),
                grouped_by_value: matches!(
                    rule.memory.as_ref().map(|memory| &memory.kind),
                    Some(Kind::FirstSeen(_))
                ),
                group_by: self.with_values(rule, group_by.unwrap_or_else(|| groups.clone())),
            });
        }
        inputs
    }

    /// What is remembered of values is kept by value, so they are part of the key.
    fn with_values(&mut self, rule: &Rule, mut group: Vec<NodeId>) -> KeyId {
        if let Some(Kind::Rare(rare)) = rule.memory.as_ref().map(|memory| &memory.kind) {
            group.extend(rare.of.iter().filter_map(|part| self.selector(part)));
        }
        self.keys.add(group)
    }

    fn captures(&mut self, rule: &Rule, number: usize, asked: &[Expr]) -> CapturePre {
        let Some(memory) = &rule.memory else {
            return CapturePre::Nothing;
        };
        match &memory.kind {
            Kind::Threshold(threshold) => {
                let of = threshold.of.as_ref().and_then(|of| self.selector(of));
                match (threshold.measure, of) {
                    (Measure::Events, _) | (_, None) => CapturePre::Nothing,
                    (Measure::Distinct, Some(of)) => CapturePre::Values(self.keys.add(vec![of])),
                    (Measure::Share, Some(of)) => CapturePre::Flag(of),
                    (_, Some(of)) => CapturePre::Number(of),
                }
            }
            Kind::FirstSeen(first_seen) => {
                let of = first_seen.of.iter();
                let of = of.filter_map(|part| self.selector(part)).collect();
                CapturePre::Values(self.keys.add(of))
            }
            Kind::Rare(rare) => match rare.by.as_ref().and_then(|by| self.selector(by)) {
                Some(by) => CapturePre::Values(self.keys.add(vec![by])),
                None => CapturePre::Nothing,
            },
            Kind::Risk(risk) => match risk.score.as_ref().and_then(|score| self.selector(score)) {
                Some(score) => CapturePre::Number(score),
                None => CapturePre::Score,
            },
            Kind::Sequence(_) if number < rule.inputs.len() && !asked.is_empty() => {
                let nodes = asked.iter().filter_map(|expr| self.expr(expr));
                CapturePre::Asked(nodes.collect())
            }
            Kind::Sequence(_) | Kind::Temporal(_) | Kind::Absence(_) | Kind::Scored => {
                CapturePre::Nothing
            }
            Kind::Entity(entity) => {
                let (of, peers) = (self.selectors(&entity.of), self.selectors(&entity.peers));
                CapturePre::Sight {
                    of: self.keys.add(of),
                    peers: self.keys.add(peers),
                }
            }
            Kind::Insight(insight) => CapturePre::Counted(self.counted(insight)),
        }
    }

    fn selectors(&mut self, parts: &[Selector]) -> Vec<NodeId> {
        parts
            .iter()
            .filter_map(|part| self.selector(part))
            .collect()
    }

    fn counted(&mut self, insight: &Insight) -> CountedPre {
        let of = insight.of.as_ref().and_then(|of| self.selector(of));
        CountedPre {
            of: match (insight.value, of) {
                (Counted::Sum, Some(of)) => CountedValue::Number(of),
                (value, Some(of)) if value.is_measured() => CountedValue::Measured(of),
                (Counted::Distinct, Some(of)) => CountedValue::Distinct(of),
                _ => CountedValue::One,
            },
            fails: insight
                .fails
                .as_ref()
                .and_then(|fails| self.selector(fails)),
            only_errors: insight.value == Counted::Errors,
            names: insight
                .attributions
                .iter()
                .filter_map(|(_, name)| self.selector(name))
                .collect(),
        }
    }

    /// A part that may ask about steps and the window, in rules that have them.
    fn finding_part(&mut self, rule: &Rule, selector: &Selector) -> Option<NodeId> {
        match rule.memory {
            None => self.selector(selector),
            Some(_) => self.compile(selector, &memory::environment()),
        }
    }

    fn exception(&mut self, exception: &Exception) -> Option<ExceptionPre> {
        let node = match &exception.condition {
            Condition::When(selector) => self.selector(selector)?,
            Condition::Listed { list, value, .. } => {
                let listed = listed(list, &value.expr);
                match self.builder.compile(&listed, &ask::environment()) {
                    Ok(node) => node,
                    Err(diagnostics) => {
                        self.reports
                            .extend(diagnostics.into_iter().map(|one| value.report(one)));
                        return None;
                    }
                }
            }
        };
        let end = exception.expires.map(|expiry| expiry.end);
        Some(ExceptionPre {
            name: exception.name.clone(),
            asks_of: Vec::new(),
            asks_known: memory::asks_state(&exception.selector().expr),
            node,
            end,
        })
    }

    fn selector(&mut self, selector: &Selector) -> Option<NodeId> {
        self.compile(selector, &ask::environment())
    }

    fn compile(&mut self, selector: &Selector, environment: &Environment) -> Option<NodeId> {
        match self.builder.compile(&selector.expr, environment) {
            Ok(node) => Some(node),
            Err(diagnostics) => {
                self.reports
                    .extend(diagnostics.into_iter().map(|one| selector.report(one)));
                None
            }
        }
    }

    fn expr(&mut self, expr: &Expr) -> Option<NodeId> {
        self.builder.compile(expr, &Environment::event()).ok()
    }
}

fn rank(rule: &Rule, input: usize) -> u16 {
    match rule.memory.as_ref().map(|memory| &memory.kind) {
        Some(Kind::Sequence(sequence)) => sequence.rank(input),
        Some(Kind::Absence(absence)) => Absence::rank(absence, input),
        _ => input as u16,
    }
}

/// `inList("name", value)`.
fn listed(list: &str, value: &Expr) -> Expr {
    use crate::selector::ast::{ExprId, ExprKind, Literal};
    // Compiling tells parts apart by tree, not by number, so a number from beyond the text is good enough.
    let id = ExprId(u32::MAX);
    let kind = ExprKind::Literal(Literal::String(list.to_owned()));
    let name = Expr {
        id,
        span: value.span,
        kind,
    };
    let kind = ExprKind::Call {
        function: "inList".to_owned(),
        function_span: value.span,
        args: vec![name, value.clone()],
    };
    Expr {
        id,
        span: value.span,
        kind,
    }
}
