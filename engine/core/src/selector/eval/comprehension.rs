//! Macros over lists and maps, and list and map literals.
//!
//! `all` and `exists` absorb errors as `&&` and `||` do: an element that decides wins over elements that fail.
//! The others fail with the first element that fails. Every element pays a unit besides what its parts cost.

use std::sync::Arc;

use super::{ConstantId, EvalError, Evaluated, Evaluation, Local, Node, NodeId, OperandsId, Why};
use crate::selector::program::{Goal, Shape, Variables};
use crate::selector::value::{Entries, ListValue, MapValue, Value, is_key};

/// Condition and transform of a comprehension.
type Parts = (Option<NodeId>, Option<NodeId>);

/// What the elements so far come to.
enum Progress<'e> {
    /// `all`, `exists`: undecided, with the first error.
    Undecided(Option<EvalError>),
    /// `exists_one`: how many hold.
    Count(u64),
    /// Lists.
    Items(Vec<Value<'e>>),
    /// Maps.
    Entries(Vec<(Value<'e>, Value<'e>)>),
}

/// Whether to look at more elements.
enum Next {
    More,
    Decided(bool),
}

impl<'e> Evaluation<'e> {
    pub(super) fn comprehension(
        &mut self,
        id: NodeId,
        shape: Shape,
        range: NodeId,
        parts: Parts,
    ) -> Evaluated<'e> {
        let range = self.value(range)?;
        let mut progress = match shape.goal {
            Goal::All | Goal::Exists => Progress::Undecided(None),
            Goal::ExistsOne | Goal::Count => Progress::Count(0),
            Goal::Filter | Goal::List => Progress::Items(Vec::new()),
            Goal::Map | Goal::MapEntry => Progress::Entries(Vec::new()),
        };
        let result = self.run(id, shape, &range, parts, &mut progress);
        self.locals.truncate(shape.local as usize);
        if let Next::Decided(value) = result? {
            return Ok(Value::Bool(value));
        }
        match progress {
            Progress::Undecided(Some(error)) => Err(error),
            Progress::Undecided(None) => Ok(Value::Bool(shape.goal == Goal::All)),
            Progress::Count(count) if shape.goal == Goal::Count => Ok(Value::Int(count as i64)),
            Progress::Count(count) => Ok(Value::Bool(count == 1)),
            Progress::Items(items) => Ok(Value::list(items)),
            Progress::Entries(entries) => self.entries(id, entries),
        }
    }

    /// What a part of a comprehension that is in no other gives for its first elements, and how many there are.
    pub(crate) fn elements(
        &mut self,
        id: NodeId,
        body: NodeId,
        count_max: usize,
    ) -> (Vec<(Value<'e>, Evaluated<'e>)>, usize) {
        let mut found = Vec::new();
        let Node::Comprehension(shape, range, ..) = self.program.nodes[id.0 as usize] else {
            return (found, 0);
        };
        match self.eval(range) {
            Ok(Value::List(list)) => {
                for (position, item) in list.iter().take(count_max).enumerate() {
                    let two = shape.variables == Variables::Two;
                    let first = if two {
                        Value::Int(position as i64)
                    } else {
                        item.clone()
                    };
                    self.assign(shape, first, item.clone());
                    found.push((item, self.value(body)));
                }
                (found, list.len())
            }
            Ok(Value::Map(map)) => {
                for (key, value) in map.entries().take(count_max) {
                    self.assign(shape, key.clone(), value);
                    found.push((key, self.value(body)));
                }
                (found, map.len())
            }
            _ => (found, 0),
        }
    }

    /// `all` and `exists`, the common macros: over an array of the event they make nothing but the element.
    pub(super) fn quantify(
        &mut self,
        id: NodeId,
        shape: Shape,
        range: NodeId,
        condition: NodeId,
    ) -> Result<bool, EvalError> {
        let deciding = shape.goal == Goal::Exists;
        if let Some(holds) = self.quantified(id, deciding) {
            return Ok(holds);
        }
        let array = self.array(range);
        let Some(array) = array.filter(|_| shape.variables == Variables::One) else {
            let value = self.comprehension(id, shape, range, (Some(condition), None))?;
            return Ok(matches!(value, Value::Bool(true)));
        };
        let local = shape.local as usize;
        let mut failed = None;
        for element in array.elements() {
            self.charge(id, 2)?;
            self.set_part(shape.local, element);
            match self.condition(condition) {
                Ok(value) if value == deciding => {
                    self.locals.truncate(local);
                    return Ok(deciding);
                }
                Ok(_) => {}
                Err(error) if error.why == Why::CostExceeded => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        self.locals.truncate(local);
        match failed {
            Some(error) => Err(error),
            None => Ok(!deciding),
        }
    }

    /// How many elements hold, for `exists_one` and where only the size of a `filter` is wanted.
    pub(super) fn count(
        &mut self,
        id: NodeId,
        shape: Shape,
        range: NodeId,
        condition: NodeId,
    ) -> Result<u64, EvalError> {
        if let Some(count) = self.counted(id) {
            return Ok(count);
        }
        let array = self.array(range);
        let Some(array) = array.filter(|_| shape.variables == Variables::One) else {
            return match self.comprehension(id, shape, range, (Some(condition), None))? {
                Value::Int(count) => Ok(count.unsigned_abs()),
                value => Ok(u64::from(matches!(value, Value::Bool(true)))),
            };
        };
        let mut count = 0;
        for element in array.elements() {
            self.charge(id, 2)?;
            self.set_part(shape.local, element);
            count += u64::from(self.condition(condition)?);
        }
        self.locals.truncate(shape.local as usize);
        Ok(count)
    }

    fn run(
        &mut self,
        id: NodeId,
        shape: Shape,
        range: &Value<'e>,
        parts: Parts,
        progress: &mut Progress<'e>,
    ) -> Result<Next, EvalError> {
        let two = shape.variables == Variables::Two;
        match range {
            Value::List(ListValue::Json(array)) if !two && self.view.is_some() => {
                for element in array.elements() {
                    self.locals.truncate(shape.local as usize);
                    self.set_part(shape.local, element);
                    let next = self.step(id, shape, parts, progress)?;
                    if let Next::Decided(_) = next {
                        return Ok(next);
                    }
                }
                Ok(Next::More)
            }
            Value::List(list) => {
                for (position, item) in list.iter().enumerate() {
                    let first = if two {
                        Value::Int(position as i64)
                    } else {
                        item.clone()
                    };
                    self.assign(shape, first, item);
                    let next = self.step(id, shape, parts, progress)?;
                    if let Next::Decided(_) = next {
                        return Ok(next);
                    }
                }
                Ok(Next::More)
            }
            Value::Map(map) => {
                for (key, value) in map.entries() {
                    self.assign(shape, key, value);
                    let next = self.step(id, shape, parts, progress)?;
                    if let Next::Decided(_) = next {
                        return Ok(next);
                    }
                }
                Ok(Next::More)
            }
            _ => self.fail(id, Why::NoSuchOverload),
        }
    }

    #[inline]
    fn assign(&mut self, shape: Shape, first: Value<'e>, second: Value<'e>) {
        self.locals.truncate(shape.local as usize);
        self.locals.push(Local::Value(Ok(first)));
        if shape.variables == Variables::Two {
            self.locals.push(Local::Value(Ok(second)));
        }
    }

    fn step(
        &mut self,
        id: NodeId,
        shape: Shape,
        (condition, transform): Parts,
        progress: &mut Progress<'e>,
    ) -> Result<Next, EvalError> {
        self.charge(id, 1)?;
        if let Progress::Undecided(failed) = progress {
            let deciding = shape.goal == Goal::Exists;
            let Some(condition) = condition else {
                return self.fail(id, Why::NoSuchOverload);
            };
            match self.condition(condition) {
                Ok(value) if value == deciding => return Ok(Next::Decided(deciding)),
                Ok(_) => {}
                Err(error) if error.why == Why::CostExceeded => return Err(error),
                Err(error) => *failed = failed.or(Some(error)),
            }
            return Ok(Next::More);
        }
        if let Some(condition) = condition
            && !self.condition(condition)?
        {
            return Ok(Next::More);
        }
        match progress {
            Progress::Count(count) => *count += 1,
            Progress::Items(items) => items.push(match transform {
                Some(transform) => self.value(transform)?,
                None => self.local(id, shape.local)?,
            }),
            Progress::Entries(entries) => {
                let entry = self.pair(id, shape, transform)?;
                entries.push(entry);
            }
            Progress::Undecided(_) => {}
        }
        Ok(Next::More)
    }

    fn pair(
        &mut self,
        id: NodeId,
        shape: Shape,
        transform: Option<NodeId>,
    ) -> Result<(Value<'e>, Value<'e>), EvalError> {
        let Some(transform) = transform else {
            return self.fail(id, Why::NoSuchOverload);
        };
        match self.program.nodes[transform.0 as usize] {
            Node::Pair(key, value) if shape.goal == Goal::MapEntry => {
                Ok((self.value(key)?, self.value(value)?))
            }
            _ => Ok((self.local(id, shape.local)?, self.value(transform)?)),
        }
    }

    fn entries(&mut self, id: NodeId, entries: Vec<(Value<'e>, Value<'e>)>) -> Evaluated<'e> {
        if !entries.iter().all(|(key, _)| is_key(key)) {
            return self.fail(id, Why::BadKey);
        }
        self.charge(id, entries.len() as u64)?;
        match Entries::new(entries) {
            Ok(entries) => Ok(Value::Map(MapValue::Shared(Arc::new(entries)))),
            Err(_) => self.fail(id, Why::RepeatedKey),
        }
    }

    pub(super) fn list(
        &mut self,
        id: NodeId,
        operands: OperandsId,
        optional: Option<ConstantId>,
    ) -> Evaluated<'e> {
        let program = self.program;
        let operands = program.operands(operands);
        let mut items = Vec::with_capacity(operands.len());
        for (index, operand) in operands.iter().enumerate() {
            if self.is_marked(optional, index) {
                items.extend(self.optional(*operand)?);
            } else {
                items.push(self.value(*operand)?);
            }
        }
        self.charge(id, items.len() as u64)?;
        Ok(Value::list(items))
    }

    pub(super) fn map(
        &mut self,
        id: NodeId,
        operands: OperandsId,
        optional: Option<ConstantId>,
    ) -> Evaluated<'e> {
        let program = self.program;
        let (pairs, _) = program.operands(operands).as_chunks::<2>();
        let mut entries = Vec::with_capacity(pairs.len());
        for (index, [key, value]) in pairs.iter().enumerate() {
            let key = self.value(*key)?;
            if self.is_marked(optional, index) {
                if let Some(value) = self.optional(*value)? {
                    entries.push((key, value));
                }
            } else {
                entries.push((key, self.value(*value)?));
            }
        }
        self.entries(id, entries)
    }

    /// Whether a literal's part is written with `?`.
    fn is_marked(&self, optional: Option<ConstantId>, index: usize) -> bool {
        let Some(Value::List(marks)) = optional.map(|id| self.program.constant(id)) else {
            return false;
        };
        matches!(marks.get(index), Some(Value::Bool(true)))
    }
}
