//! Everything that decides which selectors hold of an event, compiled from their trees.
//!
//! Relies on a program for residual expressions; conditions it packs itself. Knows no rules, so it can be
//! measured and tested alone.

use super::check::{Checks, ChecksBuilder, Residuals, Seen, column_id};
use super::filing::IndexBuilder;
use super::formula::formula;
use super::index::{Columns, Index, IndexSummary, Probe};
use super::key::FieldHint;
use super::outcome::Outcome;
use super::tables::UNASKED;
use crate::event::{Event, FieldId, FieldPath, FieldPlan, FieldSet, Slots};
use crate::selector::ast::Expr;
use crate::selector::{
    Environment, Evaluation, EventView, NodeId, Program, ProgramBuilder, Scratch,
};
use std::cell::Cell;

/// Many selectors, compiled together; immutable.
pub(super) struct Matcher {
    plan: FieldPlan,
    columns: Columns,
    parents: Vec<Option<FieldId>>,
    /// The columns that the index looks at.
    looked_at: Vec<u32>,
    index: Index,
    checks: Checks,
    program: Program,
    summary: IndexSummary,
    selectors: usize,
    unindexed: Vec<u32>,
}

/// Buffers of one thread.
#[derive(Default)]
pub(super) struct Workspace {
    slots: Slots,
    values: Vec<u32>,
    probe: Probe,
    scratch: Scratch,
    /// Outcome per selector, valid when its stamp is the current one.
    outcomes: Vec<(u32, Outcome)>,
    stamp: u32,
    /// Selectors whose outcome is not `False`.
    touched: Vec<u32>,
}

impl Matcher {
    /// Compiles `selectors`, which compiled one by one before. `hint` tells what is known of a field before
    /// any event is seen; `builder` holds the site lists.
    pub(super) fn new(
        selectors: &[&Expr],
        hint: &dyn Fn(&FieldPath) -> Option<FieldHint>,
        mut builder: ProgramBuilder,
    ) -> Self {
        let fields = builder.fields_mut();
        let formulas: Vec<_> = selectors.iter().map(|expr| formula(expr, fields)).collect();
        let hints: Vec<Option<FieldHint>> = fields.ids().map(|id| hint(fields.path(id))).collect();
        let of_field = |field: FieldId| hints.get(field.0 as usize).cloned().flatten();
        let mut columns = Columns::default();
        let (mut index, branches, summary) =
            IndexBuilder::new(&of_field).build(formulas, fields, &mut columns);
        let environment = Environment::event();
        let compile = |expr: &Expr| {
            builder
                .compile(expr, &environment)
                .map_or(NEVER, |node| node.0)
        };
        let (checks, numbers) =
            ChecksBuilder::new(&mut columns, compile).build(&branches, index.postings());
        index.renumber(&numbers);
        drop(branches);
        columns.finish();
        let program = builder.build();
        let fields: &FieldSet = program.fields();
        let parents = columns
            .all
            .iter()
            .map(|(field, _)| fields.parent(*field))
            .collect();
        let mut unindexed: Vec<u32> = index
            .always()
            .iter()
            .map(|branch| checks.rule_of(*branch))
            .collect();
        unindexed.dedup();
        let plan = fields.plan();
        let selectors = selectors.len();
        Self {
            plan,
            columns,
            parents,
            looked_at: index.columns(),
            index,
            checks,
            program,
            summary,
            selectors,
            unindexed,
        }
    }

    /// How the selectors were filed.
    pub(super) fn summary(&self) -> &IndexSummary {
        &self.summary
    }

    /// Selectors that are checked for every event, because nothing rare is needed for them to hold.
    pub(super) fn unindexed(&self) -> &[u32] {
        &self.unindexed
    }

    /// Calls `found` with every selector that is not false of `event`, in order.
    pub(super) fn matches(
        &self,
        event: &Event<'_>,
        workspace: &mut Workspace,
        mut found: impl FnMut(u32, Outcome),
    ) {
        let Workspace {
            slots,
            values,
            probe,
            scratch,
            outcomes,
            stamp,
            touched,
        } = workspace;
        let document = event.document();
        self.plan.extract(event.root(), slots);
        let (columns, parents) = (&self.columns.all, &self.parents);
        values.clear();
        values.resize(columns.len(), UNASKED);
        for &column in &self.looked_at {
            let place = (&columns[column as usize], parents[column as usize]);
            values[column as usize] = column_id(place, document, slots);
        }
        self.index.search(document, slots, values, probe);
        if probe.candidates.is_empty() {
            return;
        }
        *stamp = stamp.wrapping_add(1);
        if outcomes.len() != self.selectors || *stamp == 0 {
            *outcomes = vec![(0, Outcome::False); self.selectors];
            *stamp = 1;
        }
        touched.clear();
        self.checks.touch(&probe.candidates);
        let seen = Seen {
            document,
            slots,
            columns,
            parents,
            values: Cell::from_mut(&mut values[..]).as_slice_of_cells(),
        };
        let mut residuals = OnEvent {
            program: &self.program,
            event,
            slots,
            scratch,
            evaluation: None,
        };
        for &branch in &probe.candidates {
            let outcome = self.checks.branch(branch, &seen, &mut residuals);
            if outcome == Outcome::False {
                continue;
            }
            let selector = self.checks.rule_of(branch);
            let known = &mut outcomes[selector as usize];
            if known.0 == *stamp {
                known.1 = known.1.max(outcome);
            } else {
                *known = (*stamp, outcome);
                touched.push(selector);
            }
        }
        residuals.finish();
        touched.sort_unstable();
        for selector in touched {
            found(*selector, outcomes[*selector as usize].1);
        }
    }
}

/// Stands for an expression that does not compile; never reached, since such rules are left out before.
const NEVER: u32 = u32::MAX;

/// The program on the event at hand, as the checks want it; made when the first residual is met, since most
/// events meet none.
struct OnEvent<'m, 'd> {
    program: &'m Program,
    event: &'m Event<'d>,
    slots: &'m Slots,
    scratch: &'m mut Scratch,
    evaluation: Option<Evaluation<'m>>,
}

impl OnEvent<'_, '_> {
    /// Gives the memory back for the next event.
    fn finish(self) {
        if let Some(evaluation) = self.evaluation {
            evaluation.finish(self.scratch);
        }
    }
}

impl Residuals for OnEvent<'_, '_> {
    #[inline]
    fn residual(&mut self, node: u32) -> Outcome {
        if node == NEVER {
            return Outcome::Unknown;
        }
        let Self {
            program,
            event,
            slots,
            scratch,
            evaluation,
        } = self;
        let evaluation = evaluation.get_or_insert_with(|| {
            let view = EventView {
                root: event.root(),
                slots,
            };
            Evaluation::new(program, view, scratch)
        });
        match evaluation.test(NodeId(node)) {
            Ok(holds) => holds.into(),
            Err(_) => Outcome::Unknown,
        }
    }
}
