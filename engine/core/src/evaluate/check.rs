//! What is left to check once a rule is a candidate: its conditions, packed.
//!
//! Every condition of every rule is one 16-byte `Check` in one array, a branch is a range of it, and constants
//! live in pools beside it. Values that were interned to find candidates are compared as numbers. The rest of a
//! selector goes to the CEL program. Checks of a branch run in the order given, cheap ones first, and stop at the
//! first that is false.

use super::filing::Branch;
use super::formula::{Comparison, Condition, Constant, Formula, Test};
use super::index::{Columns, absent_id};
use super::outcome::Outcome;
use super::tables::{Column, ODD, OTHER, UNASKED};
use super::texts::TextsAsk;
use crate::event::{Document, FieldId, Number, Slots, Text};
use crate::selector::ast::Expr;
use std::cell::Cell;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Op {
    /// The column's value is `operand`.
    Is,
    /// The column's value is in the list `operand`.
    IsIn,
    /// The column's lowered text is `operand`, or in the list `operand`; odd ones are evaluated as `required`.
    TextIs,
    TextIsIn,
    Present,
    IsTrue,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Prefix,
    Suffix,
    Contains,
    /// A nested `&&` or `||`.
    All,
    Any,
    /// An expression of the program.
    Residual,
    /// Decided when compiled.
    Fixed,
    /// What a branch begins with: its rule in `place`, the end of its checks in `operand`. Never checked.
    Branch,
}

/// One condition.
#[derive(Clone, Copy, Debug)]
struct Check {
    op: Op,
    negated: bool,
    /// What an absent field amounts to, before negation.
    absent: Outcome,
    /// Column (`Is`, `IsIn`) or field.
    place: u32,
    /// Field that must be there, or `NONE`; of texts the program node.
    required: u32,
    /// Constant, list, text, number, group or program node.
    operand: u32,
}

/// A half-open range in one of the pools.
type Range = (u32, u32);

/// The checks of all branches.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// Those of a branch follow its `Op::Branch`, so that a candidate is one place in memory; the number of a branch is
    /// where that is.
    checks: Vec<Check>,
    groups: Vec<Range>,
    lists: Vec<Range>,
    list_ids: Vec<u32>,
    texts: Vec<Range>,
    text_bytes: String,
    numbers: Vec<Number>,
}

/// What checks need of one event.
pub(super) struct Seen<'v, 'd> {
    pub(super) document: Document<'d>,
    pub(super) slots: &'v Slots,
    pub(super) columns: &'v [(FieldId, Column)],
    /// What the field of each column is in.
    pub(super) parents: &'v [Option<FieldId>],
    /// Ids of the columns, as far as somebody asked for them.
    pub(super) values: &'v [Cell<u32>],
}

impl Seen<'_, '_> {
    /// The id of a column. What no look of the index wants is found out when the first check asks: most events have no
    /// candidate that does.
    #[inline]
    fn value(&self, column: u32) -> u32 {
        let value = &self.values[column as usize];
        if value.get() == UNASKED {
            value.set(self.find_value(column as usize));
        }
        value.get()
    }

    #[inline(never)]
    fn find_value(&self, column: usize) -> u32 {
        let place = (&self.columns[column], self.parents[column]);
        column_id(place, self.document, self.slots)
    }
}

/// Evaluates an expression of the program on the event at hand.
pub(super) trait Residuals {
    fn residual(&mut self, node: u32) -> Outcome;
}

impl Checks {
    /// The rule of a branch.
    #[inline]
    pub(super) fn rule_of(&self, branch: u32) -> u32 {
        self.checks[branch as usize].place
    }

    /// Reads a word of the checks of all `branches`, none of which waits for another: each is in memory of its own, and
    /// checks, which jump by what they find, would ask for one after the other.
    #[inline]
    pub(super) fn touch(&self, branches: &[u32]) {
        let ends = branches
            .iter()
            .map(|branch| self.checks[*branch as usize].operand);
        std::hint::black_box(ends.fold(0, |all, end| all ^ end));
    }

    /// What a branch says of the event.
    #[inline]
    pub(super) fn branch(
        &self,
        branch: u32,
        seen: &Seen<'_, '_>,
        residuals: &mut impl Residuals,
    ) -> Outcome {
        let end = self.checks[branch as usize].operand;
        self.all((branch + 1, end), seen, residuals)
    }

    #[inline]
    fn all(&self, range: Range, seen: &Seen<'_, '_>, residuals: &mut impl Residuals) -> Outcome {
        let mut least = Outcome::True;
        for check in &self.checks[range.0 as usize..range.1 as usize] {
            let outcome = self.check(check, seen, residuals);
            if outcome == Outcome::False {
                return Outcome::False;
            }
            least = least.min(outcome);
        }
        least
    }

    fn any(&self, range: Range, seen: &Seen<'_, '_>, residuals: &mut impl Residuals) -> Outcome {
        let mut most = Outcome::False;
        for check in &self.checks[range.0 as usize..range.1 as usize] {
            most = most.max(self.check(check, seen, residuals));
            if most == Outcome::True {
                break;
            }
        }
        most
    }

    #[inline]
    fn check(&self, check: &Check, seen: &Seen<'_, '_>, residuals: &mut impl Residuals) -> Outcome {
        let outcome = match check.op {
            Op::Is | Op::IsIn => self.value(check, seen),
            Op::TextIs | Op::TextIsIn => {
                let id = seen.value(check.place);
                match id {
                    ODD => residuals.residual(check.required),
                    _ if id < OTHER => Outcome::False,
                    _ if check.op == Op::TextIs => (id == check.operand).into(),
                    _ => self.is_listed(id, check.operand),
                }
            }
            Op::All => self.all(self.groups[check.operand as usize], seen, residuals),
            Op::Any => self.any(self.groups[check.operand as usize], seen, residuals),
            Op::Residual => residuals.residual(check.operand),
            Op::Fixed | Op::Branch => check.absent,
            _ => match seen.slots.get(FieldId(check.place)) {
                None => absent(check, seen),
                Some(node) => self.field(check, seen.document.at(node)),
            },
        };
        outcome.negated_if(check.negated)
    }

    #[inline]
    fn value(&self, check: &Check, seen: &Seen<'_, '_>) -> Outcome {
        let id = seen.value(check.place);
        if id < OTHER {
            return absent(check, seen);
        }
        if check.op == Op::Is {
            return (id == check.operand).into();
        }
        self.is_listed(id, check.operand)
    }

    #[inline]
    fn is_listed(&self, id: u32, list: u32) -> Outcome {
        let (start, end) = self.lists[list as usize];
        let list = &self.list_ids[start as usize..end as usize];
        if list.len() <= 8 {
            list.contains(&id)
        } else {
            list.binary_search(&id).is_ok()
        }
        .into()
    }

    #[inline]
    fn field(&self, check: &Check, value: crate::event::Json<'_>) -> Outcome {
        let compare = |op: Comparison| match value.as_number() {
            Some(number) => op
                .holds(number, self.numbers[check.operand as usize])
                .into(),
            None => Outcome::Unknown,
        };
        let text = |test: fn(&str, &str) -> bool| match value.as_text() {
            Some(text) => with_text(text, |text| test(text, self.text(check.operand))).into(),
            None => Outcome::Unknown,
        };
        match check.op {
            Op::Present => Outcome::True,
            Op::IsTrue => value.as_bool().map_or(Outcome::Unknown, Outcome::from),
            Op::Less => compare(Comparison::Less),
            Op::LessEqual => compare(Comparison::LessEqual),
            Op::Greater => compare(Comparison::Greater),
            Op::GreaterEqual => compare(Comparison::GreaterEqual),
            Op::Prefix => text(|text, prefix| text.starts_with(prefix)),
            Op::Suffix => text(|text, suffix| text.ends_with(suffix)),
            _ => text(contains),
        }
    }

    fn text(&self, at: u32) -> &str {
        let (start, end) = self.texts[at as usize];
        &self.text_bytes[start as usize..end as usize]
    }
}

fn contains(text: &str, needle: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some()
}

#[inline]
fn with_text(text: Text<'_>, test: impl FnOnce(&str) -> bool) -> bool {
    if text.is_escaped() {
        test(&text.decode())
    } else {
        test(text.raw())
    }
}

#[inline]
fn absent(check: &Check, seen: &Seen<'_, '_>) -> Outcome {
    if check.required != NONE && seen.slots.get(FieldId(check.required)).is_none() {
        return Outcome::Unknown;
    }
    check.absent
}

/// The id of a column for one event.
#[inline]
pub(super) fn column_id(
    ((field, column), parent): (&(FieldId, Column), Option<FieldId>),
    document: Document<'_>,
    slots: &Slots,
) -> u32 {
    if let Some(id) = column.id_at_path(document, slots) {
        return id;
    }
    match slots.get(*field) {
        Some(node) => column.id_of(document.at(node)),
        None => absent_id(parent, slots),
    }
}

/// Packs the branches of a rule set.
pub(super) struct ChecksBuilder<'c, F> {
    columns: &'c mut Columns,
    /// Compiles a residual and gives its node.
    compile: F,
    checks: Checks,
    text_ids: std::collections::BTreeMap<Box<str>, u32>,
}

impl<'c, F: FnMut(&Expr) -> u32> ChecksBuilder<'c, F> {
    pub(super) fn new(columns: &'c mut Columns, compile: F) -> Self {
        let checks = Checks::default();
        Self {
            columns,
            compile,
            checks,
            text_ids: Default::default(),
        }
    }

    /// Packs all branches; those first that `together` has, in its order, which may have one more than once: what is a
    /// candidate together lies together. Gives their new numbers, by the old ones.
    pub(super) fn build(mut self, branches: &[Branch<'_>], together: &[u32]) -> (Checks, Vec<u32>) {
        let mut numbers = vec![NONE; branches.len()];
        for at in together.iter().copied().chain(0..branches.len() as u32) {
            let (branch, number) = (&branches[at as usize], &mut numbers[at as usize]);
            if *number == NONE {
                *number = self.branch(branch);
            }
        }
        (self.checks, numbers)
    }

    fn branch(&mut self, branch: &Branch<'_>) -> u32 {
        let parts = self.parts(&branch.parts);
        let number = self.checks.checks.len() as u32;
        self.checks.checks.push(Check {
            op: Op::Branch,
            negated: false,
            absent: Outcome::Unknown,
            place: branch.rule,
            required: NONE,
            operand: number + 1 + parts.len() as u32,
        });
        self.checks.checks.extend(parts);
        number
    }

    /// Packs `parts`, nested groups at once, in the order in which they are checked.
    fn parts(&mut self, parts: &[Formula<'_>]) -> Vec<Check> {
        let mut packed: Vec<Check> = parts.iter().map(|part| self.pack(part)).collect();
        packed.sort_by_key(|check| (check.op, check.negated));
        packed
    }

    fn group(&mut self, parts: &[Formula<'_>]) -> Range {
        let packed = self.parts(parts);
        let start = self.checks.checks.len() as u32;
        self.checks.checks.extend(packed);
        (start, self.checks.checks.len() as u32)
    }

    fn pack(&mut self, part: &Formula<'_>) -> Check {
        let bare = |op, negated, absent, operand| Check {
            op,
            negated,
            absent,
            place: NONE,
            required: NONE,
            operand,
        };
        match part {
            Formula::Fixed(outcome) => bare(Op::Fixed, false, *outcome, 0),
            Formula::Condition { condition, negated } => self.condition(condition, *negated),
            Formula::Residual { expr, negated, .. } => {
                let node = (self.compile)(expr);
                bare(Op::Residual, *negated, Outcome::Unknown, node)
            }
            Formula::Texts {
                expr,
                negated,
                texts,
            } => {
                let node = (self.compile)(expr);
                let column = self.columns.known_texts(texts.field);
                match (&texts.ask, column) {
                    (TextsAsk::Is(all), Some(column)) => {
                        self.text_is(all, (column, node), *negated)
                    }
                    _ => bare(Op::Residual, *negated, Outcome::Unknown, node),
                }
            }
            Formula::And(parts) | Formula::Or(parts) => {
                let op = if matches!(part, Formula::And(_)) {
                    Op::All
                } else {
                    Op::Any
                };
                let range = self.group(parts);
                self.checks.groups.push(range);
                bare(
                    op,
                    false,
                    Outcome::Unknown,
                    self.checks.groups.len() as u32 - 1,
                )
            }
        }
    }

    fn text_is(&mut self, all: &[Box<str>], (column, node): (u32, u32), negated: bool) -> Check {
        let table = &mut self.columns.all[column as usize].1;
        let mut ids: Vec<u32> = Vec::with_capacity(all.len());
        for text in all {
            ids.push(table.intern(&Constant::Folded(text.clone())));
        }
        ids.sort_unstable();
        ids.dedup();
        let (op, operand) = match ids[..] {
            [only] => (Op::TextIs, only),
            _ => (Op::TextIsIn, self.list(&ids)),
        };
        Check {
            op,
            negated,
            absent: Outcome::False,
            place: column,
            required: node,
            operand,
        }
    }

    fn condition(&mut self, condition: &Condition, negated: bool) -> Check {
        let field = condition.field.0;
        let (op, place, operand) = match &condition.test {
            Test::AnyOf(values) => {
                let column = self.columns.of(condition.field);
                let table = &mut self.columns.all[column as usize].1;
                let mut ids: Vec<u32> = values.iter().map(|value| table.intern(value)).collect();
                ids.sort_unstable();
                ids.dedup();
                match ids[..] {
                    [only] => (Op::Is, column, only),
                    _ => (Op::IsIn, column, self.list(&ids)),
                }
            }
            Test::Present => (Op::Present, field, 0),
            Test::IsTrue => (Op::IsTrue, field, 0),
            Test::Prefix(text) => (Op::Prefix, field, self.text(text)),
            Test::Suffix(text) => (Op::Suffix, field, self.text(text)),
            Test::Contains(text) => (Op::Contains, field, self.text(text)),
            Test::Compare(comparison, number) => {
                self.checks.numbers.push(*number);
                let op = match comparison {
                    Comparison::Less => Op::Less,
                    Comparison::LessEqual => Op::LessEqual,
                    Comparison::Greater => Op::Greater,
                    Comparison::GreaterEqual => Op::GreaterEqual,
                };
                (op, field, self.checks.numbers.len() as u32 - 1)
            }
        };
        let required = condition.required.map_or(NONE, |field| field.0);
        Check {
            op,
            negated,
            absent: condition.absent,
            place,
            required,
            operand,
        }
    }

    fn list(&mut self, ids: &[u32]) -> u32 {
        let start = self.checks.list_ids.len() as u32;
        self.checks.list_ids.extend(ids);
        self.checks
            .lists
            .push((start, self.checks.list_ids.len() as u32));
        self.checks.lists.len() as u32 - 1
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(id) = self.text_ids.get(text) {
            return *id;
        }
        let start = self.checks.text_bytes.len() as u32;
        self.checks.text_bytes.push_str(text);
        self.checks
            .texts
            .push((start, self.checks.text_bytes.len() as u32));
        let id = self.checks.texts.len() as u32 - 1;
        self.text_ids.insert(text.into(), id);
        id
    }
}
