//! Conditions on text.
//!
//! Text that stands in the event as it is, is looked at there. Text that must be built first (escapes, changed case,
//! joined texts) and is only looked at, is built in room that is kept; everything else, errors included, takes the
//! general way by a value, which is the only one that decides.

use super::{ConstantId, EvalError, Evaluation, Node, NodeId, Why};
use crate::event::Text;
use crate::selector::function::{self, Function};
use crate::selector::program::Operator;
use crate::selector::value::Value;

impl<'e> Evaluation<'e> {
    /// Membership in a constant list, and how a text begins or ends.
    pub(super) fn test_text(&mut self, id: NodeId) -> Result<bool, EvalError> {
        let program = self.program;
        let operand = match program.nodes[id.0 as usize] {
            Node::InSet(operand, _)
            | Node::InList(operand, _)
            | Node::StartsWith(operand, _)
            | Node::EndsWith(operand, _) => operand,
            Node::Call(function, operands) => {
                if let [text, part] = *program.operands(operands)
                    && let Some(text) = self.plain_text(text)
                    && let Some(part) = self.plain_text(part)
                {
                    return Ok(match function {
                        Function::StartsWith => text.starts_with(part),
                        _ => text.ends_with(part),
                    });
                }
                return self.condition_of_value(id);
            }
            _ => return self.fail(id, Why::NoSuchOverload),
        };
        if let Node::InSet(_, set) = program.nodes[id.0 as usize]
            && let Node::TimePart(..) | Node::Call(..) = program.nodes[operand.0 as usize]
        {
            let before = self.meter;
            if let Some(value) = self.integer(operand) {
                let set = &program.sets[set as usize];
                let result = set.contains(&Value::Int(value), &mut self.meter);
                return result.map_err(|why| EvalError { why, node: id });
            }
            self.meter = before;
        }
        let seen = match self.plain_text(operand) {
            Some(text) => Some(self.holds_of_text(id, text)),
            None => self.with_built(operand, |this, text| this.holds_of_text(id, text)),
        };
        if let Some(holds) = seen {
            return Ok(holds);
        }
        let value = self.value(operand)?;
        let result = match (program.nodes[id.0 as usize], &value) {
            (Node::InSet(_, set), value) => {
                program.sets[set as usize].contains(value, &mut self.meter)
            }
            (_, Value::String(text)) => Ok(self.holds_of_text(id, text)),
            (Node::InList(..), _) => Ok(false),
            _ => Err(Why::NoSuchOverload),
        };
        result.map_err(|why| EvalError { why, node: id })
    }

    /// What [`Self::test_text`] says of a text. Only text equals a text, so members of other kinds need not be asked.
    #[inline]
    fn holds_of_text(&self, id: NodeId, text: &str) -> bool {
        let program = self.program;
        match program.nodes[id.0 as usize] {
            Node::InSet(_, set) | Node::InList(_, set) => {
                program.sets[set as usize].contains_text(text)
            }
            Node::StartsWith(_, part) => text.starts_with(program.constant_text(part)),
            Node::EndsWith(_, part) => text.ends_with(program.constant_text(part)),
            _ => false,
        }
    }

    pub(super) fn equals_text(
        &mut self,
        operand: NodeId,
        constant: ConstantId,
    ) -> Result<bool, EvalError> {
        let wanted = self.program.constant_text(constant);
        if let Some(text) = self.plain_text(operand) {
            return Ok(text == wanted);
        }
        if let Node::Call(Function::LowerAscii, operands) = self.program.nodes[operand.0 as usize]
            && let [text] = *self.program.operands(operands)
            && let Some(text) = self.plain_text(text)
        {
            self.charge(operand, 1 + text.len() as u64 / 10)?;
            let lower = text.bytes().map(|byte| byte.to_ascii_lowercase());
            return Ok(text.len() == wanted.len() && lower.eq(wanted.bytes()));
        }
        // A field is compared where it stands, escapes and all, without becoming a value.
        if let Node::Field(field) = self.program.nodes[operand.0 as usize] {
            return match self.field(field) {
                Ok(json) => Ok(json.as_text().is_some_and(|text| text.eq_str(wanted))),
                Err(why) => self.fail(operand, why),
            };
        }
        if let Some(equal) = self.equals_built(operand, wanted) {
            return Ok(equal);
        }
        let operand = self.chosen(operand)?;
        let value = self.value(operand)?;
        Ok(value.as_text() == Some(wanted))
    }

    /// Looking for something constant in text: the work depends on the text.
    pub(super) fn search(&mut self, id: NodeId) -> Result<bool, EvalError> {
        let program = self.program;
        let operand = match program.nodes[id.0 as usize] {
            Node::Contains(operand, _)
            | Node::InNetwork(operand, _)
            | Node::Matches(operand, _)
            | Node::Glob(operand, _) => operand,
            _ => return self.fail(id, Why::NoSuchOverload),
        };
        if let Some(text) = self.plain_text(operand) {
            return self
                .found(id, text)
                .map_err(|why| EvalError { why, node: id });
        }
        if let Some(found) = self.with_built(operand, |this, text| this.found(id, text)) {
            return found.map_err(|why| EvalError { why, node: id });
        }
        let value = self.value(operand)?;
        match (program.nodes[id.0 as usize], &value) {
            (_, Value::String(text)) => self
                .found(id, text)
                .map_err(|why| EvalError { why, node: id }),
            (Node::InNetwork(_, network), value) => Ok(function::contains_ip(
                program.networks[network as usize],
                value,
            )),
            (Node::Contains(_, finder), Value::Cidr(network)) => {
                let needle = program.finders[finder as usize].needle();
                let text = std::str::from_utf8(needle).unwrap_or("");
                Ok(function::contains_ip(*network, &Value::text(text)))
            }
            _ => self.fail(id, Why::NoSuchOverload),
        }
    }

    /// Whether the constant of a node is in a text.
    pub(super) fn found(&mut self, id: NodeId, text: &str) -> Result<bool, Why> {
        let program = self.program;
        let node = program.nodes[id.0 as usize];
        let factor = match node {
            Node::Matches(..) => 5,
            Node::Glob(_, pattern) if program.constant_text(pattern).contains('?') => {
                program.constant_text(pattern).len()
            }
            _ => 1,
        };
        self.meter.charge_bytes(text.len().saturating_mul(factor))?;
        Ok(match node {
            Node::Contains(_, finder) => program.finders[finder as usize]
                .find(text.as_bytes())
                .is_some(),
            Node::Matches(_, regex) => program.regexes[regex as usize].is_match(text),
            Node::Glob(_, pattern) => function::pattern::glob(text, program.constant_text(pattern)),
            Node::InNetwork(_, network) => {
                function::contains_ip(program.networks[network as usize], &Value::text(text))
            }
            _ => false,
        })
    }

    /// What `look` makes of a text that has to be built first.
    pub(super) fn with_built<T>(
        &mut self,
        id: NodeId,
        look: impl FnOnce(&mut Self, &str) -> T,
    ) -> Option<T> {
        let slot = self.program.slot(id);
        let before = self.meter;
        if let Some((range, paid)) = self.memo.text(slot) {
            self.meter.charge(paid).ok()?;
            let texts = self.memo.take_texts()?;
            let result = texts.get(range).map(|text| look(self, text));
            self.memo.put_texts(texts);
            return result;
        }
        let mut texts = self.memo.take_texts_with_room()?;
        let start = texts.len();
        let is_built = self.build(id, &mut texts).is_some();
        let mut result = None;
        if is_built {
            let paid = self.meter.since(&before);
            result = texts.get(start..).map(|text| look(self, text));
            self.memo.remember_text(slot, start..texts.len(), paid);
        } else {
            self.meter = before;
        }
        if !is_built || slot.is_none() {
            texts.truncate(start);
        }
        self.memo.put_texts(texts);
        result
    }

    /// Whether two nodes give the same text, when one of them has to be built.
    pub(super) fn equal_built(&mut self, left: NodeId, right: NodeId) -> Option<bool> {
        if let Some(one) = self.string(left)
            && let Some(other) = self.string(right)
        {
            let length = one.raw().len().min(other.raw().len());
            self.meter.charge(1 + length as u64 / 10).ok()?;
            return Some(one == other);
        }
        if let Some(left) = self.plain_text(left) {
            return self.equals_built(right, left);
        }
        if let Some(right) = self.plain_text(right) {
            return self.equals_built(left, right);
        }
        let mut texts = self.memo.take_texts_with_room()?;
        let start = texts.len();
        let mut equal = None;
        if self.build(left, &mut texts).is_some() {
            let end = texts.len();
            if self.build(right, &mut texts).is_some() {
                equal = Some(texts[start..end] == texts[end..]);
            }
        }
        texts.truncate(start);
        self.memo.put_texts(texts);
        equal
    }

    /// Whether a text that has to be built is this one.
    fn equals_built(&mut self, id: NodeId, wanted: &str) -> Option<bool> {
        if let Node::Replace(text, part, with) = self.program.nodes[id.0 as usize]
            && self.program.slot(id).is_none()
            && let Some(text) = self.plain_text(text)
            && let Some(with) = self.plain_text(with)
        {
            // Nobody else wants it, so nothing is built that is only looked at once.
            let before = self.meter;
            let mut rest = Some(wanted.as_bytes());
            let replaced = self.replaced(text, part, with, |piece| {
                rest = rest.and_then(|rest| rest.strip_prefix(piece.as_bytes()));
            });
            if replaced.is_none() {
                self.meter = before;
            }
            return replaced.map(|()| rest.is_some_and(<[u8]>::is_empty));
        }
        self.with_built(id, |_, built| built == wanted)
    }

    /// Puts the text of a node behind what is in `out`, and pays for it first.
    fn build(&mut self, id: NodeId, out: &mut String) -> Option<()> {
        let program = self.program;
        match program.nodes[id.0 as usize] {
            Node::Binary(Operator::Add, left, right) => {
                self.build(left, out)?;
                self.build(right, out)
            }
            Node::Call(function @ (Function::LowerAscii | Function::UpperAscii), operands) => {
                let [text] = *program.operands(operands) else {
                    return None;
                };
                let start = out.len();
                self.build(text, out)?;
                self.meter.charge_bytes(out.len() - start).ok()?;
                match function {
                    Function::LowerAscii => out[start..].make_ascii_lowercase(),
                    _ => out[start..].make_ascii_uppercase(),
                }
                Some(())
            }
            Node::Replace(text, part, with) => {
                let (text, with) = (self.plain_text(text)?, self.plain_text(with)?);
                self.replaced(text, part, with, |piece| out.push_str(piece))
            }
            _ => {
                if let Some(text) = self.plain_text(id) {
                    self.meter.charge(1 + text.len() as u64 / 10).ok()?;
                    out.push_str(text);
                    return Some(());
                }
                let text = self.string(id)?;
                self.meter.charge(1 + text.raw().len() as u64 / 10).ok()?;
                text.decode_into(out);
                Some(())
            }
        }
    }

    /// The pieces of a text in which something is replaced, in their order, paid for.
    fn replaced<'t>(
        &mut self,
        text: &'t str,
        part: u32,
        with: &'t str,
        mut piece: impl FnMut(&'t str),
    ) -> Option<()> {
        let part = &self.program.finders[part as usize];
        self.meter.charge(1 + text.len() as u64 / 5).ok()?;
        let mut rest = text;
        while let Some(found) = part.find(rest.as_bytes()) {
            self.meter.charge(1 + with.len() as u64 / 10).ok()?;
            piece(rest.get(..found)?);
            piece(with);
            rest = rest.get(found + part.needle().len()..)?;
        }
        piece(rest);
        Some(())
    }

    /// The string of the event that a node gives, escapes and all.
    #[inline]
    pub(super) fn string(&mut self, id: NodeId) -> Option<Text<'e>> {
        match self.program.nodes[id.0 as usize] {
            Node::OptionalOrValue(target, _) => {
                let place = self.optional_place(target)??;
                self.part(place)?.as_text()
            }
            _ => self.cursor(id)?.as_text(),
        }
    }
}
