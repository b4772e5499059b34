//! Which nodes of a program are worth remembering per event, and macros made ready for columns.
//!
//! A node has a *slot* when more than one place asks for it, when it takes longer to find out than to look up, and when
//! it is about the event alone: what depends on a macro's variable, or on a variable beside the event, is another thing
//! each time. Which is decided once, when the program is built; what is remembered is in `eval::memo`.

use std::collections::BTreeMap;

use super::elements::{self, Column, ElementTest};
use super::function::Function;
use super::program::{ConstantId, Node, NodeId, Operator, ProgramBuilder};

/// Marks a node without a slot and without a test.
const NONE: u32 = u32::MAX;
/// Marks the number of a test in the place of a slot's.
const TEST: u32 = 1 << 31;

/// What is remembered per event, by node.
#[derive(Debug, Default)]
pub(super) struct Recall {
    /// Per node its slot, of a macro over an array its test.
    numbers: Box<[u32]>,
    tests: Box<[ElementTest]>,
    slots: u32,
}

impl Recall {
    /// What is worth remembering of the nodes so far.
    pub(super) fn of(builder: &ProgramBuilder) -> Self {
        let mut recall = Self::default();
        let mut numbers = Vec::with_capacity(builder.len());
        let mut tests = Vec::new();
        let mut columns = BTreeMap::new();
        let mut about_event: Vec<bool> = Vec::with_capacity(builder.len());
        for id in (0..builder.len() as u32).map(NodeId) {
            about_event.push(is_about_event(builder, id, &about_event));
            let number = if let Some(reading) = elements::read(builder, id, &about_event)
                && about_event[reading.range.0 as usize]
            {
                tests.push(recall.test(reading, &mut columns));
                TEST | (tests.len() as u32 - 1)
            } else if about_event[id.0 as usize] && builder.is_shared(id) && is_dear(builder, id) {
                recall.next_slot()
            } else {
                NONE
            };
            numbers.push(number);
        }
        Self {
            numbers: numbers.into(),
            tests: tests.into(),
            slots: recall.slots,
        }
    }

    fn next_slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots - 1
    }

    fn test(
        &mut self,
        reading: elements::Reading,
        slots: &mut BTreeMap<(NodeId, Box<[ConstantId]>), u32>,
    ) -> ElementTest {
        let range = reading.range;
        let column = |keys: Box<[ConstantId]>| {
            let slot = *slots
                .entry((range, keys.clone()))
                .or_insert_with(|| self.next_slot());
            Column { slot, keys }
        };
        ElementTest {
            range,
            columns: reading.keys.into_iter().map(column).collect(),
            others: reading.others.into(),
            questions: reading.questions,
            test: reading.test,
        }
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.slots as usize
    }

    /// The slot of a node.
    #[inline]
    pub(super) fn slot(&self, id: NodeId) -> Option<u32> {
        let number = *self.numbers.get(id.0 as usize)?;
        (number < TEST).then_some(number)
    }

    /// The test of a macro.
    #[inline]
    pub(super) fn test_of(&self, id: NodeId) -> Option<&ElementTest> {
        let number = *self.numbers.get(id.0 as usize)?;
        self.tests.get(number.checked_sub(TEST)? as usize)
    }
}

/// Whether finding out takes longer than looking up. Of fields that is so where their text has escapes.
fn is_dear(builder: &ProgramBuilder, id: NodeId) -> bool {
    match builder.get(id) {
        Node::Field(_)
        | Node::OptionalOrValue(..)
        | Node::Binary(Operator::Add, ..)
        | Node::TimePart(..)
        | Node::IndexOf(..)
        | Node::Replace(..) => true,
        Node::Call(function, _) => {
            function.is_time_part()
                || matches!(
                    function,
                    Function::Size
                        | Function::LowerAscii
                        | Function::UpperAscii
                        | Function::Replace
                )
        }
        _ => false,
    }
}

/// Whether a node depends on nothing but the event. `known` says so of the nodes before it, among them its operands.
fn is_about_event(builder: &ProgramBuilder, id: NodeId, known: &[bool]) -> bool {
    let known = |node: NodeId| known[node.0 as usize];
    match builder.get(id) {
        Node::Constant(_) | Node::Field(_) | Node::OptionalField { .. } => true,
        Node::Select(operand, _)
        | Node::OptionalSelect(operand, _)
        | Node::TimePart(_, operand, _)
        | Node::IndexOf(operand, _) => known(operand),
        Node::Replace(text, _, with) => known(text) && known(with),
        Node::Index(left, right)
        | Node::OptionalIndex(left, right)
        | Node::OptionalOrValue(left, right)
        | Node::Binary(_, left, right) => known(left) && known(right),
        Node::Call(_, operands) => builder
            .operands_of(operands)
            .iter()
            .all(|operand| known(*operand)),
        _ => false,
    }
}
