//! The program: one immutable arena of nodes that all rules share.
//!
//! Nodes are hash-consed: two equal sub-expressions, of one rule or of two, are one node with one number, so a
//! condition that a thousand rules repeat is stored once and can be remembered per event. Constants, fields,
//! regular expressions, lists and networks are made ready here, once. Nodes know their operands by number, never
//! by reference, so the arena is a few flat slices that threads share without counting.
//!
//! Relies on [`super::compile`] to add nodes in an order in which operands come first: a program has no cycles.
//! A tree of boxes per rule was rejected: ten thousand rules would share nothing and scatter over memory.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::ast::{BinaryOp, ComprehensionKind};
use super::elements::ElementTest;
use super::function::Function;
use super::function::time::Zone;
use super::recall::Recall;
use super::set::ValueSet;
use super::texts::{Ask, DatePart, TextPath, TextTest};
use super::value::{Cidr, Value};
use crate::event::{FieldId, FieldSet, Json, KeyHash};

/// Names a node of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// Names a constant of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConstantId(pub u32);

/// Names an operand list of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperandsId(pub u32);

/// One operation. Locals are numbered by how many are around them, so equal bodies are equal nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A constant.
    Constant(ConstantId),
    /// The whole event.
    Event,
    /// A field of the event.
    Field(FieldId),
    /// Whether the event has a field.
    HasField(FieldId),
    /// A field of the event as an optional; without the base field, the field error is the base's.
    OptionalField {
        /// The whole path.
        field: FieldId,
        /// The part before the first `.?`; `None` when that is the event.
        base: Option<FieldId>,
    },
    /// A variable other than the event, by its number in the environment.
    Variable(u32),
    /// A variable of a macro.
    Local(u32),
    /// `operand.key`
    Select(NodeId, ConstantId),
    /// `operand.?key`
    OptionalSelect(NodeId, ConstantId),
    /// `has(operand.key)`
    Has(NodeId, ConstantId),
    /// `operand[index]`
    Index(NodeId, NodeId),
    /// `operand[?index]`
    OptionalIndex(NodeId, NodeId),
    /// `!operand`
    Not(NodeId),
    /// `-operand`
    Negate(NodeId),
    /// `left op right`
    Binary(Operator, NodeId, NodeId),
    /// `a && b && …`
    And(OperandsId),
    /// `a || b || …`
    Or(OperandsId),
    /// `condition ? then : otherwise`
    Conditional(NodeId, NodeId, NodeId),
    /// A function and its arguments, the receiver first.
    Call(Function, OperandsId),
    /// `optional.or(other)`: the other is only evaluated when needed.
    OptionalOr(NodeId, NodeId),
    /// `optional.orValue(other)`
    OptionalOrValue(NodeId, NodeId),
    /// `optional.hasValue()`
    OptionalHasValue(NodeId),
    /// `[a, ?b]`: operands, and a constant list of bools saying which are optional.
    List(OperandsId, Option<ConstantId>),
    /// `{a: b, ?c: d}`: keys and values in turn, and which are optional.
    Map(OperandsId, Option<ConstantId>),
    /// A comprehension: its shape, and its parts as operands.
    Comprehension(Shape, NodeId, Option<NodeId>, Option<NodeId>),
    /// The key and value that `transformMapEntry` gives.
    Pair(NodeId, NodeId),
    /// `cel.bind` and `cel.block`: values to remember from the local number on, and the body.
    Bind(u32, OperandsId, NodeId),
    /// `optMap`, `optFlatMap`: local, target, body.
    OptionalMap(u32, NodeId, NodeId, Flatness),
    /// `operand in [constants]`, `inList("name", operand)`
    InSet(NodeId, u32),
    /// As [`Node::InSet`], where only text can be a member: anything else is no member.
    InList(NodeId, u32),
    /// `texts("path")`
    Texts(u32),
    /// `numbers("path")`
    Numbers(u32),
    /// `dateParts("path", "part")`
    DateParts(u32, DatePart),
    /// `hasField("path")`
    HasPath(u32),
    /// `isNullOrAbsent("path")`
    NullPath(u32),
    /// `texts("path").anyIs("constant")` and its kin: the path, and the question.
    AnyText(u32, u32),
    /// `operand.matches("constant")`
    Matches(NodeId, u32),
    /// `operand.contains("constant")`
    Contains(NodeId, u32),
    /// `operand.startsWith("constant")`
    StartsWith(NodeId, ConstantId),
    /// `operand.endsWith("constant")`
    EndsWith(NodeId, ConstantId),
    /// `glob(operand, "constant")`
    Glob(NodeId, ConstantId),
    /// `operand.indexOf("constant")`
    IndexOf(NodeId, u32),
    /// `operand.replace("constant", with)`, where the constant is not empty.
    Replace(NodeId, u32, NodeId),
    /// `cidr("constant").contains(operand)`, for addresses and their text.
    InNetwork(NodeId, u32),
    /// `operand.getHours("constant")` and its like, with a time zone that there is.
    TimePart(Function, NodeId, u32),
    /// `operand == constant` and `operand != constant` with a constant that is text.
    EqualsText(NodeId, ConstantId),
    /// Something that always fails, where the environment allows it: an unknown name or function.
    Unknown(Missing),
}

/// What an unchecked expression names in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// A variable.
    Name,
    /// A function.
    Function,
    /// A regular expression that cannot be compiled.
    Pattern,
}

/// Whether the body of an `optMap` gives a value or an optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flatness {
    /// `optMap`: a value.
    Wrapped,
    /// `optFlatMap`: an optional.
    Flat,
}

/// [`BinaryOp`], with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The same names as in the tree.
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl From<BinaryOp> for Operator {
    fn from(operator: BinaryOp) -> Self {
        match operator {
            BinaryOp::Equal => Self::Equal,
            BinaryOp::NotEqual => Self::NotEqual,
            BinaryOp::Less => Self::Less,
            BinaryOp::LessEqual => Self::LessEqual,
            BinaryOp::Greater => Self::Greater,
            BinaryOp::GreaterEqual => Self::GreaterEqual,
            BinaryOp::In => Self::In,
            BinaryOp::Add => Self::Add,
            BinaryOp::Subtract => Self::Subtract,
            BinaryOp::Multiply => Self::Multiply,
            BinaryOp::Divide => Self::Divide,
            BinaryOp::Remainder => Self::Remainder,
        }
    }
}

/// What a comprehension does, and where its variables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// The macro.
    pub goal: Goal,
    /// The first variable's local number; the second's is one more.
    pub local: u32,
    /// How many variables.
    pub variables: Variables,
}

/// One or two variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Variables {
    One,
    Two,
}

/// What a comprehension gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The macros of those names; `List` is `map` and `transformList`.
pub enum Goal {
    All,
    Exists,
    ExistsOne,
    Filter,
    /// `size(….filter(…))`
    Count,
    List,
    Map,
    MapEntry,
}

impl From<ComprehensionKind> for Goal {
    fn from(kind: ComprehensionKind) -> Self {
        match kind {
            ComprehensionKind::All => Self::All,
            ComprehensionKind::Exists => Self::Exists,
            ComprehensionKind::ExistsOne => Self::ExistsOne,
            ComprehensionKind::Filter => Self::Filter,
            ComprehensionKind::Map | ComprehensionKind::TransformList => Self::List,
            ComprehensionKind::TransformMap => Self::Map,
            ComprehensionKind::TransformMapEntry => Self::MapEntry,
        }
    }
}

/// The compiled expressions of all rules, shareable between threads.
#[derive(Debug)]
pub struct Program {
    pub(super) nodes: Box<[Node]>,
    operands: Box<[NodeId]>,
    operand_ends: Box<[u32]>,
    pub(super) constants: Box<[Value<'static>]>,
    /// Per constant: its hash as a key of an object, when it is text.
    key_hashes: Box<[KeyHash]>,
    pub(super) zones: Box<[Zone]>,
    pub(super) sets: Box<[ValueSet]>,
    pub(super) regexes: Box<[regex::Regex]>,
    pub(super) finders: Box<[memchr::memmem::Finder<'static>]>,
    pub(super) networks: Box<[Cidr]>,
    pub(super) paths: Box<[TextPath]>,
    pub(super) text_tests: Box<[TextTest]>,
    recall: Recall,
    fields: FieldSet,
}

impl Program {
    /// The fields that the expressions mention.
    pub fn fields(&self) -> &FieldSet {
        &self.fields
    }

    /// The operation with this number.
    pub fn node(&self, id: NodeId) -> Node {
        self.nodes[id.0 as usize]
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no operations.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The operands of a list of operands.
    #[inline]
    pub fn operands(&self, id: OperandsId) -> &[NodeId] {
        operands_within(&self.operands, &self.operand_ends, id)
    }

    /// How many nodes are remembered per event.
    pub(super) fn slots(&self) -> usize {
        self.recall.slots()
    }

    /// Where what a node gives is remembered, if it is.
    #[inline]
    pub(super) fn slot(&self, id: NodeId) -> Option<u32> {
        self.recall.slot(id)
    }

    /// What a macro asks of the elements of an array, if that can be read from columns.
    #[inline]
    pub(super) fn element_test(&self, id: NodeId) -> Option<&ElementTest> {
        self.recall.test_of(id)
    }

    /// The constant with this number.
    #[inline]
    pub fn constant(&self, id: ConstantId) -> Value<'_> {
        self.constants[id.0 as usize].borrow()
    }

    /// The value under a constant key.
    #[inline]
    pub(super) fn get<'d>(&self, json: Json<'d>, key: ConstantId) -> Option<Json<'d>> {
        json.get_hashed(self.constant_text(key), self.key_hashes[key.0 as usize])
    }

    /// The text of a constant that is text.
    #[inline]
    pub(super) fn constant_text(&self, id: ConstantId) -> &str {
        self.constants[id.0 as usize].as_text().unwrap_or("")
    }
}

/// Collects the expressions of all rules.
#[derive(Debug, Default)]
pub struct ProgramBuilder {
    pub(super) fields: FieldSet,
    nodes: Vec<Node>,
    /// Per node, whether more than one place asks for it.
    shared: Vec<bool>,
    node_ids: BTreeMap<Node, NodeId>,
    operands: Vec<NodeId>,
    operand_ends: Vec<u32>,
    operand_ids: BTreeMap<Box<[NodeId]>, OperandsId>,
    pub(super) constants: Vec<Value<'static>>,
    constant_ids: BTreeMap<Vec<u8>, ConstantId>,
    sets: Vec<ValueSet>,
    set_ids: BTreeMap<ConstantId, u32>,
    lists: BTreeMap<String, u32>,
    regexes: Vec<regex::Regex>,
    regex_ids: BTreeMap<ConstantId, u32>,
    finders: Vec<memchr::memmem::Finder<'static>>,
    finder_ids: BTreeMap<ConstantId, u32>,
    zones: Vec<Zone>,
    zone_ids: BTreeMap<ConstantId, u32>,
    networks: Vec<Cidr>,
    network_ids: BTreeMap<(IpAddr, u8), u32>,
    paths: Vec<TextPath>,
    path_ids: BTreeMap<TextPath, u32>,
    text_tests: Vec<TextTest>,
    text_test_ids: BTreeMap<(Ask, ConstantId), u32>,
}

impl ProgramBuilder {
    /// No expressions, no lists.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a list known to `inList`. The last list of a name is the one that counts.
    pub fn add_list(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = String>) {
        self.sets.push(ValueSet::of_texts(values));
        self.lists.insert(name.into(), self.sets.len() as u32 - 1);
    }

    /// The fields that the expressions mention so far; others may add theirs.
    pub fn fields_mut(&mut self) -> &mut FieldSet {
        &mut self.fields
    }

    /// The program. Nothing can be added any more.
    pub fn build(self) -> Program {
        let key_hash = |value: &Value<'_>| KeyHash::of(value.as_text().unwrap_or(""));
        Program {
            recall: Recall::of(&self),
            key_hashes: self.constants.iter().map(key_hash).collect(),
            zones: self.zones.into(),
            nodes: self.nodes.into(),
            operands: self.operands.into(),
            operand_ends: self.operand_ends.into(),
            constants: self.constants.into(),
            sets: self.sets.into(),
            regexes: self.regexes.into(),
            finders: self.finders.into(),
            networks: self.networks.into(),
            paths: self.paths.into(),
            text_tests: self.text_tests.into(),
            fields: self.fields,
        }
    }

    pub(super) fn node(&mut self, node: Node) -> NodeId {
        let next = NodeId(self.nodes.len() as u32);
        let id = *self.node_ids.entry(node).or_insert(next);
        if id == next {
            self.nodes.push(node);
            self.shared.push(false);
        } else {
            self.shared[id.0 as usize] = true;
        }
        id
    }

    /// How many nodes there are so far.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether more than one place asks for a node.
    pub(super) fn is_shared(&self, id: NodeId) -> bool {
        self.shared[id.0 as usize]
    }

    /// The operands of a list of operands.
    pub(super) fn operands_of(&self, id: OperandsId) -> &[NodeId] {
        operands_within(&self.operands, &self.operand_ends, id)
    }

    pub(super) fn get(&self, id: NodeId) -> Node {
        self.nodes[id.0 as usize]
    }

    /// The constant that a node is.
    pub(super) fn constant_of(&self, id: NodeId) -> Option<ConstantId> {
        match self.get(id) {
            Node::Constant(constant) => Some(constant),
            _ => None,
        }
    }

    /// The constant text that a node is.
    pub(super) fn text_of(&self, id: NodeId) -> Option<(ConstantId, &str)> {
        let constant = self.constant_of(id)?;
        Some((constant, self.constants[constant.0 as usize].as_text()?))
    }

    pub(super) fn operands(&mut self, operands: &[NodeId]) -> OperandsId {
        if let Some(id) = self.operand_ids.get(operands) {
            return *id;
        }
        let id = OperandsId(self.operand_ends.len() as u32);
        self.operands.extend_from_slice(operands);
        self.operand_ends.push(self.operands.len() as u32);
        self.operand_ids.insert(operands.into(), id);
        id
    }

    pub(super) fn constant(&mut self, value: Value<'static>) -> ConstantId {
        let mut key = Vec::new();
        identity(&value, &mut key);
        if let Some(id) = self.constant_ids.get(&key) {
            return *id;
        }
        let id = ConstantId(self.constants.len() as u32);
        self.constants.push(value);
        self.constant_ids.insert(key, id);
        id
    }

    /// The set of a constant list.
    pub(super) fn set(&mut self, list: ConstantId) -> Option<u32> {
        if let Some(id) = self.set_ids.get(&list) {
            return Some(*id);
        }
        let Value::List(items) = &self.constants[list.0 as usize] else {
            return None;
        };
        let items: Vec<Value<'static>> = items.iter().collect();
        self.sets.push(ValueSet::new(&items));
        let id = self.sets.len() as u32 - 1;
        self.set_ids.insert(list, id);
        Some(id)
    }

    /// The set of a list of the site.
    pub(super) fn list(&self, name: &str) -> Option<u32> {
        self.lists.get(name).copied()
    }

    pub(super) fn regex(&mut self, pattern: ConstantId) -> Result<u32, regex::Error> {
        if let Some(id) = self.regex_ids.get(&pattern) {
            return Ok(*id);
        }
        let text = self.constants[pattern.0 as usize].as_text().unwrap_or("");
        self.regexes.push(super::function::pattern::compile(text)?);
        let id = self.regexes.len() as u32 - 1;
        self.regex_ids.insert(pattern, id);
        Ok(id)
    }

    pub(super) fn finder(&mut self, part: ConstantId) -> u32 {
        if let Some(id) = self.finder_ids.get(&part) {
            return *id;
        }
        let text = self.constants[part.0 as usize].as_text().unwrap_or("");
        self.finders
            .push(memchr::memmem::Finder::new(text).into_owned());
        let id = self.finders.len() as u32 - 1;
        self.finder_ids.insert(part, id);
        id
    }

    /// The question whether a text is, holds or looks like one of the constant's texts; `None` when the constant is no
    /// text and no list of texts.
    pub(super) fn text_test(
        &mut self,
        ask: Ask,
        constant: ConstantId,
    ) -> Option<Result<u32, regex::Error>> {
        if let Some(id) = self.text_test_ids.get(&(ask, constant)) {
            return Some(Ok(*id));
        }
        let value = &self.constants[constant.0 as usize];
        let values = super::function::texts::constants(value).ok()?;
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match TextTest::new(ask, &values, super::function::pattern::compile) {
            Ok(test) => self.text_tests.push(test),
            Err(error) => return Some(Err(error)),
        }
        let id = self.text_tests.len() as u32 - 1;
        self.text_test_ids.insert((ask, constant), id);
        Some(Ok(id))
    }

    pub(super) fn text_path(&mut self, path: TextPath) -> u32 {
        let next = self.paths.len() as u32;
        let id = *self.path_ids.entry(path.clone()).or_insert(next);
        if id == next {
            self.paths.push(path);
        }
        id
    }

    /// The time zone of this name, when there is one.
    pub(super) fn zone(&mut self, name: ConstantId) -> Option<u32> {
        if let Some(id) = self.zone_ids.get(&name) {
            return Some(*id);
        }
        let text = self.constants[name.0 as usize].as_text()?;
        self.zones.push(Zone::named(text).ok()?);
        let id = self.zones.len() as u32 - 1;
        self.zone_ids.insert(name, id);
        Some(id)
    }

    pub(super) fn network(&mut self, network: Cidr) -> u32 {
        let next = self.networks.len() as u32;
        let id = *self
            .network_ids
            .entry((network.address, network.prefix))
            .or_insert(next);
        if id == next {
            self.networks.push(network);
        }
        id
    }
}

#[inline]
fn operands_within<'p>(operands: &'p [NodeId], ends: &[u32], id: OperandsId) -> &'p [NodeId] {
    let end = ends[id.0 as usize] as usize;
    let start = match id.0 {
        0 => 0,
        number => ends[number as usize - 1] as usize,
    };
    &operands[start..end]
}

/// Bytes that are equal exactly when two constants are the same, kind and all.
fn identity(value: &Value<'_>, out: &mut Vec<u8>) {
    out.push(value.value_type() as u8);
    let mut sized = |bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Null => {}
        Value::Bool(value) => out.push(u8::from(*value)),
        Value::Int(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::Uint(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::Double(value) => out.extend_from_slice(&value.to_bits().to_le_bytes()),
        Value::String(text) => sized(text.as_bytes()),
        Value::Bytes(bytes) => sized(bytes),
        Value::List(list) => {
            out.extend_from_slice(&(list.len() as u64).to_le_bytes());
            for item in list.iter() {
                identity(&item, out);
            }
        }
        Value::Map(map) => {
            out.extend_from_slice(&(map.len() as u64).to_le_bytes());
            for (key, value) in map.entries() {
                identity(&key, out);
                identity(&value, out);
            }
        }
        Value::Timestamp(value) => {
            out.extend_from_slice(&value.seconds().to_le_bytes());
            out.extend_from_slice(&value.nanosecond().to_le_bytes());
        }
        Value::Duration(value) => out.extend_from_slice(&value.as_nanos().to_le_bytes()),
        Value::Type(value) => out.push(*value as u8),
        Value::Optional(None) => out.push(0),
        Value::Optional(Some(value)) => {
            out.push(1);
            identity(value, out);
        }
        Value::Ip(value) => sized(value.to_string().as_bytes()),
        Value::Cidr(value) => sized(value.to_string().as_bytes()),
    }
}
