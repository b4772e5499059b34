//! All rules in force, compiled together; immutable and shared by every thread.
//!
//! Two programs: the matcher's, small and met by every event, and a second one for what only matches need: titles,
//! keys, context, exceptions, and each selector as it was written. A rule that cannot be compiled is left out and
//! reported; the others are in force. Compiling is deterministic: the same rules give the same tables.

use super::index::IndexSummary;
use super::key::{FieldHint, Often};
use super::lint;
use super::matcher::Matcher;
use super::source::{Marks, Sources};
use crate::event::{FieldPath, FieldPlan};
use crate::rule::{Catalog, Condition, Exception, Lists, Part, Report, Rule, Selector};
use crate::selector::ast::Expr;
use crate::selector::schema::Presence;
use crate::selector::{Environment, NodeId, Program, ProgramBuilder, Schema, parse};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Number of a rule within its rule set, from 0, in the order of the rules given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub u32);

/// A rule with everything compiled that its findings need.
pub struct RulePre {
    /// The rule as it was read.
    pub rule: Rule,
    /// 16 hexadecimal digits; changes when anything changes that can change what the rule finds.
    pub version: String,
    pub(super) when: NodeId,
    pub(super) exceptions: Vec<ExceptionPre>,
    pub(super) title: Vec<TitlePart>,
    pub(super) dedup_key: Vec<NodeId>,
    pub(super) severity: Option<NodeId>,
    pub(super) context: Vec<(String, NodeId)>,
}

pub(super) struct ExceptionPre {
    pub(super) name: String,
    pub(super) node: NodeId,
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

/// All rules in force, compiled together.
pub struct RuleSet {
    rules: Vec<RulePre>,
    pub(super) matcher: Matcher,
    /// What only matches need.
    pub(super) program: Program,
    pub(super) plan: FieldPlan,
    pub(super) sources: Sources,
    lists: Lists,
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
        let lists = lint::list_names(catalog);
        let (mut sound, mut reports) = (Vec::new(), Vec::new());
        for rule in catalog.enabled() {
            let found = lint::check_rule(rule, lint::schema_of(rule, catalog), &lists);
            if !lint::has_errors(&found) {
                sound.push(rule.clone());
            }
            reports.extend(found);
        }
        let (set, more) = Self::compile(sound, &catalog.lists, &|source| catalog.schema(source));
        reports.extend(more);
        (set, reports)
    }

    /// Compiles the enabled ones of `rules` without checking types. Mistakes that only compiling shows come
    /// back beside the set, and the rules that have them are not in it.
    pub fn compile<'s>(
        rules: Vec<Rule>,
        lists: &Lists,
        schema: &dyn Fn(&str) -> Option<&'s Schema>,
    ) -> (Self, Vec<Report>) {
        let mut builder = builder_with(lists);
        let default_key: Vec<Expr> = DEFAULT_KEY
            .iter()
            .filter_map(|text| parse(text).ok())
            .collect();
        let (mut prepared, mut reports) = (Vec::new(), Vec::new());
        for rule in rules.into_iter().filter(Rule::is_enabled) {
            let mut compiling = Compiling {
                builder: &mut builder,
                reports: Vec::new(),
            };
            let compiled = compiling.rule(rule, &default_key);
            reports.append(&mut compiling.reports);
            prepared.extend(compiled);
        }
        let hints = Hints::of(&prepared, schema);
        let sources = Sources::of(&prepared, schema);
        let selectors: Vec<&Expr> = prepared.iter().map(|rule| &rule.rule.when.expr).collect();
        let matcher = Matcher::new(&selectors, &|path| hints.get(path), builder_with(lists));
        let program = builder.build();
        let plan = program.fields().plan();
        let lists = lists.clone();
        (
            Self {
                rules: prepared,
                matcher,
                program,
                plan,
                sources,
                lists,
            },
            reports,
        )
    }

    /// The rules in force, in order.
    pub fn rules(&self) -> &[RulePre] {
        &self.rules
    }

    /// How the rules were filed.
    pub fn summary(&self) -> &IndexSummary {
        self.matcher.summary()
    }

    /// Rules that are checked for every event: nothing that they need is rare enough to find them by.
    pub fn unindexed(&self) -> impl Iterator<Item = RuleIndex> {
        self.matcher.unindexed().iter().map(|rule| RuleIndex(*rule))
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
    reports: Vec<Report>,
}

impl Compiling<'_> {
    fn rule(&mut self, rule: Rule, default_key: &[Expr]) -> Option<RulePre> {
        let when = self.selector(&rule.when);
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
                    title.extend(self.selector(selector).map(TitlePart::Value));
                }
            }
        }
        let dedup_key = match &rule.finding.dedup_key {
            Some(key) => key.iter().filter_map(|part| self.selector(part)).collect(),
            None => default_key
                .iter()
                .filter_map(|part| self.expr(part))
                .collect(),
        };
        let severity = rule
            .severity_computed()
            .and_then(|selector| self.selector(selector));
        let context = rule.finding.context.iter();
        let context = context
            .filter_map(|(name, selector)| Some((name.clone(), self.selector(selector)?)))
            .collect();
        if !self.reports.is_empty() {
            return None;
        }
        let version = version(&rule);
        let when = when?;
        Some(RulePre {
            rule,
            version,
            when,
            exceptions,
            title,
            dedup_key,
            severity,
            context,
        })
    }

    fn exception(&mut self, exception: &Exception) -> Option<ExceptionPre> {
        let node = match &exception.condition {
            Condition::When(selector) => self.selector(selector)?,
            Condition::Listed { list, value, .. } => {
                let listed = listed(list, &value.expr);
                match self.builder.compile(&listed, &Environment::event()) {
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
            node,
            end,
        })
    }

    fn selector(&mut self, selector: &Selector) -> Option<NodeId> {
        match self.builder.compile(&selector.expr, &Environment::event()) {
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

/// Hash of everything that can change what a rule finds: its selectors and severity in effect, not its prose.
fn version(rule: &Rule) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    part(rule.severity.as_str());
    for selector in rule.selectors() {
        part(&selector.text);
    }
    for exception in &rule.exceptions {
        part(
            &exception
                .expires
                .map_or(String::new(), |expiry| expiry.end.to_string()),
        );
        if let Condition::Listed { list, .. } = &exception.condition {
            part(list);
        }
    }
    if let Some(title) = &rule.finding.title {
        part(&title.text);
    }
    for (name, _) in &rule.finding.context {
        part(name);
    }
    super::finding::hex(&hash.finalize()[..8])
}

/// Distinct values of a field of which nobody says.
const UNKNOWN_DISTINCT: u32 = 8;

/// What the schemas of the rules' sources say of fields, for the index.
struct Hints(BTreeMap<String, FieldHint>);

impl Hints {
    fn of<'s>(rules: &[RulePre], schema: &dyn Fn(&str) -> Option<&'s Schema>) -> Self {
        let mut sources: Vec<&str> = rules
            .iter()
            .filter_map(|rule| rule.rule.source.as_deref())
            .collect();
        sources.sort_unstable();
        sources.dedup();
        let mut hints: BTreeMap<String, FieldHint> = BTreeMap::new();
        for field in sources
            .iter()
            .filter_map(|source| schema(source))
            .flat_map(Schema::fields)
        {
            let distinct = field.distinct.unwrap_or(match field.values.len() {
                0 => UNKNOWN_DISTINCT,
                values => values as u32,
            });
            let presence = match (field.presence, field.usual) {
                (Presence::Always, _) => Often::Always,
                (Presence::Sometimes, true) => Often::Usually,
                (Presence::Sometimes, false) => Often::Sometimes,
            };
            // Of two sources, the one that promises less is believed.
            let follows = field.follows.as_deref().map(FieldPath::dotted);
            let hint = FieldHint {
                distinct,
                presence,
                follows,
            };
            let known = hints.entry(field.path.clone()).or_insert(hint);
            known.distinct = known.distinct.min(distinct);
            known.presence = known.presence.min(presence);
        }
        Self(hints)
    }

    fn get(&self, path: &FieldPath) -> Option<FieldHint> {
        self.0.get(&path.keys().join(".")).cloned()
    }
}
