//! Macros over arrays of the event, as far as they ask what stands under a few keys of each element.
//!
//! `event.items.exists(i, i.protocol == "tcp" && i.port == 22)` asks two questions of each element. Many rules ask
//! the same arrays for the same keys, so the values under a key are looked up once per event, for all elements, as a
//! *column* (`eval::elements`), and rules compare what is in columns. Here is which macros can be read so, and as what.
//!
//! Relies on the program for nodes whose operands come first. Must never decide what it is not sure of: a question
//! that a column cannot answer leaves the macro to the general way.

use super::function::operator::holds;
use super::program::{ConstantId, Goal, Node, NodeId, Operator, ProgramBuilder, Variables};
use super::value::Value;

/// Most questions of one macro; with more, the general way costs little more.
const QUESTIONS_MAX: usize = 16;

/// Most columns of one macro.
pub(super) const COLUMNS_MAX: usize = 4;

/// Most other things of the event that elements are compared with.
pub(super) const OTHERS_MAX: usize = 2;

/// A macro over an array of the event, ready for columns.
#[derive(Debug)]
pub(super) struct ElementTest {
    /// The array.
    pub(super) range: NodeId,
    /// What of each element is asked about.
    pub(super) columns: Box<[Column]>,
    /// What else of the event they are compared with.
    pub(super) others: Box<[NodeId]>,
    /// How many questions there are, which is what an element costs.
    pub(super) questions: u64,
    /// What is asked.
    pub(super) test: Test,
}

/// What stands under some keys, one within the other, of each element of an array; the element itself without keys.
#[derive(Debug)]
pub(super) struct Column {
    /// Where it is remembered.
    pub(super) slot: u32,
    /// The keys, the outer first.
    pub(super) keys: Box<[ConstantId]>,
}

/// Questions about one element.
#[derive(Debug)]
pub(super) enum Test {
    All(Box<[Test]>),
    Any(Box<[Test]>),
    Not(Box<Test>),
    Ask {
        /// Which of the macro's columns.
        column: u32,
        question: Question,
        /// What an element without the key amounts to; `None` for an error.
        absent: Option<bool>,
    },
}

/// One question about what is in a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    /// `has(…)`
    Present,
    /// The value itself, where a condition is wanted.
    Holds,
    /// A comparison with an integer.
    Integer(Operator, i64),
    /// A comparison with another thing of the event, by its number among them, after adding a number where one is to be
    /// added.
    Other(Operator, Option<i64>, u32),
    /// `== "text"`
    Text(ConstantId),
    StartsWith(ConstantId),
    EndsWith(ConstantId),
    /// Membership in a constant list, by its set.
    In(u32),
    /// `contains`, `matches`, `glob` and networks, by the node that asks.
    Search(NodeId),
    /// No question: the value itself is wanted.
    Value,
}

/// The array of a macro and what it asks, with the keys of its columns.
pub(super) struct Reading {
    pub(super) range: NodeId,
    pub(super) test: Test,
    pub(super) keys: Vec<Box<[ConstantId]>>,
    pub(super) others: Vec<NodeId>,
    pub(super) questions: u64,
}

/// Reads a node as a macro over an array, if it is one that columns can answer. `about_event` says of the nodes before it
/// which depend on the event alone.
pub(super) fn read(builder: &ProgramBuilder, id: NodeId, about_event: &[bool]) -> Option<Reading> {
    let Node::Comprehension(shape, range, condition, transform) = builder.get(id) else {
        return None;
    };
    if shape.variables != Variables::One {
        return None;
    }
    let mut reader = Reader {
        builder,
        about_event,
        local: shape.local,
        keys: Vec::new(),
        others: Vec::new(),
        questions: 0,
    };
    let test = match (shape.goal, condition, transform) {
        (Goal::All | Goal::Exists | Goal::ExistsOne | Goal::Count, Some(condition), None) => {
            reader.test(condition)?
        }
        (Goal::List, None, Some(transform)) => reader.ask(transform, Question::Value)?,
        _ => return None,
    };
    let is_small = reader.keys.len() <= COLUMNS_MAX && reader.others.len() <= OTHERS_MAX;
    if !is_small || reader.questions > QUESTIONS_MAX {
        return None;
    }
    Some(Reading {
        range,
        test,
        keys: reader.keys,
        others: reader.others,
        questions: reader.questions as u64,
    })
}

struct Reader<'b> {
    builder: &'b ProgramBuilder,
    about_event: &'b [bool],
    /// The macro's variable.
    local: u32,
    keys: Vec<Box<[ConstantId]>>,
    others: Vec<NodeId>,
    questions: usize,
}

impl Reader<'_> {
    fn test(&mut self, id: NodeId) -> Option<Test> {
        match self.builder.get(id) {
            Node::And(operands) => {
                let operands = self.builder.operands_of(operands).to_vec();
                let tests = operands.into_iter().map(|operand| self.test(operand));
                Some(Test::All(tests.collect::<Option<_>>()?))
            }
            Node::Or(operands) => {
                let operands = self.builder.operands_of(operands).to_vec();
                let tests = operands.into_iter().map(|operand| self.test(operand));
                Some(Test::Any(tests.collect::<Option<_>>()?))
            }
            Node::Not(operand) => Some(Test::Not(Box::new(self.test(operand)?))),
            Node::Binary(operator, left, right) if operator < Operator::In => {
                if self.is_about_event(right) {
                    self.compared(operator, left, right)
                } else if self.is_about_event(left) {
                    self.compared(mirrored(operator), right, left)
                } else {
                    None
                }
            }
            Node::EqualsText(operand, text) => self.ask(operand, Question::Text(text)),
            Node::StartsWith(operand, text) => self.ask(operand, Question::StartsWith(text)),
            Node::EndsWith(operand, text) => self.ask(operand, Question::EndsWith(text)),
            Node::InSet(operand, set) => self.ask(operand, Question::In(set)),
            Node::Contains(operand, _)
            | Node::Matches(operand, _)
            | Node::Glob(operand, _)
            | Node::InNetwork(operand, _) => self.ask(operand, Question::Search(id)),
            Node::Has(operand, key) => {
                let mut keys = self.keys_of(operand)?;
                keys.push(key);
                Some(self.about(keys, Question::Present, Some(false)))
            }
            Node::Local(_) | Node::Select(..) | Node::OptionalOrValue(..) => {
                self.ask(id, Question::Holds)
            }
            _ => None,
        }
    }

    /// A comparison of something of the element with something of the event, or with a constant.
    fn compared(&mut self, operator: Operator, operand: NodeId, other: NodeId) -> Option<Test> {
        let (part, more) = self.sum(operand);
        if more.is_none()
            && let Some(number) = self.integer(other)
        {
            return self.ask(part, Question::Integer(operator, number));
        }
        // What stands in the place of an absent part is not compared here.
        let keys = self.keys_of(part)?;
        let known = self.others.iter().position(|known| *known == other);
        let number = known.unwrap_or_else(|| {
            self.others.push(other);
            self.others.len() - 1
        });
        let question = Question::Other(operator, more, number as u32);
        Some(self.about(keys, question, None))
    }

    /// What a constant is added to, and the constant; any other node itself.
    fn sum(&self, id: NodeId) -> (NodeId, Option<i64>) {
        let added = match self.builder.get(id) {
            Node::Binary(Operator::Add, left, right) => {
                let number = self.integer(right).map(|number| (left, number));
                number.or_else(|| Some((right, self.integer(left)?)))
            }
            Node::Binary(Operator::Subtract, left, right) => {
                let number = self.integer(right).and_then(i64::checked_neg);
                number.map(|number| (left, number))
            }
            _ => None,
        };
        added.map_or((id, None), |(part, number)| (part, Some(number)))
    }

    fn is_about_event(&self, id: NodeId) -> bool {
        self.about_event[id.0 as usize]
    }

    /// A question about a part of the element, or about a constant in the place of an absent part.
    fn ask(&mut self, operand: NodeId, question: Question) -> Option<Test> {
        let Node::OptionalOrValue(target, default) = self.builder.get(operand) else {
            let keys = self.keys_of(operand)?;
            return Some(self.about(keys, question, None));
        };
        let Node::OptionalSelect(inner, key) = self.builder.get(target) else {
            return None;
        };
        let Node::Constant(default) = self.builder.get(default) else {
            return None;
        };
        // Of `x.?a.?b` an absent `a` is no error, which a column cannot tell from one.
        let Node::Local(_) = self.builder.get(inner) else {
            return None;
        };
        let mut keys = self.keys_of(inner)?;
        keys.push(key);
        let absent = self.answer(question, &self.builder.constants[default.0 as usize])?;
        Some(self.about(keys, question, Some(absent)))
    }

    fn about(&mut self, keys: Vec<ConstantId>, question: Question, absent: Option<bool>) -> Test {
        let known = self.keys.iter().position(|known| **known == *keys);
        let column = known.unwrap_or_else(|| {
            self.keys.push(keys.into());
            self.keys.len() - 1
        });
        self.questions += 1;
        Test::Ask {
            column: column as u32,
            question,
            absent,
        }
    }

    /// The keys that lead from the element to a node.
    fn keys_of(&self, id: NodeId) -> Option<Vec<ConstantId>> {
        match self.builder.get(id) {
            Node::Local(local) if local == self.local => Some(Vec::new()),
            Node::Select(operand, key) => {
                let mut keys = self.keys_of(operand)?;
                keys.push(key);
                Some(keys)
            }
            _ => None,
        }
    }

    fn integer(&self, id: NodeId) -> Option<i64> {
        let Node::Constant(constant) = self.builder.get(id) else {
            return None;
        };
        match self.builder.constants[constant.0 as usize] {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// What a question comes to of a constant, where that is no error.
    fn answer(&self, question: Question, value: &Value<'static>) -> Option<bool> {
        let text = |constant: ConstantId| self.builder.constants[constant.0 as usize].as_text();
        match (question, value) {
            (Question::Holds, Value::Bool(value)) => Some(*value),
            (Question::Integer(operator, number), Value::Int(value)) => {
                Some(holds(operator, value.cmp(&number)))
            }
            (Question::Integer(Operator::Equal, _), Value::String(_)) => Some(false),
            (Question::Integer(Operator::NotEqual, _), Value::String(_)) => Some(true),
            (Question::Text(wanted), Value::String(value)) => Some(text(wanted)? == &**value),
            (Question::StartsWith(part), Value::String(value)) => {
                Some(value.starts_with(text(part)?))
            }
            (Question::EndsWith(part), Value::String(value)) => Some(value.ends_with(text(part)?)),
            _ => None,
        }
    }
}

/// The operator that says of `b`, `a` what this one says of `a`, `b`.
fn mirrored(operator: Operator) -> Operator {
    match operator {
        Operator::Less => Operator::Greater,
        Operator::LessEqual => Operator::GreaterEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterEqual => Operator::LessEqual,
        other => other,
    }
}
