//! `texts`, `numbers`, `dateParts`, and conditions on what stands at a path.

use super::{EvalError, Evaluated, Evaluation, Node, NodeId, Why};
use crate::event::Json;
use crate::selector::meter::Meter;
use crate::selector::texts::{TextPath, scalar_number, scalar_text};
use crate::selector::value::Value;
use std::borrow::Cow;
use std::ops::ControlFlow;

impl<'e> Evaluation<'e> {
    /// A condition on the values at a path of the event.
    pub(super) fn on_path(
        &mut self,
        id: NodeId,
        ask: impl FnOnce(&TextPath, Json<'e>, &mut Meter) -> Result<bool, Why>,
        path: u32,
    ) -> Result<bool, EvalError> {
        let Some((_, view)) = &self.view else {
            return self.fail(id, Why::UnknownName);
        };
        let path = &self.program.paths[path as usize];
        ask(path, view.root, &mut self.meter).map_err(|why| EvalError { why, node: id })
    }

    /// The list of what stands at a path.
    pub(super) fn scalars(&mut self, id: NodeId) -> Evaluated<'e> {
        let Some((_, view)) = &self.view else {
            return self.fail(id, Why::UnknownName);
        };
        let node = self.program.nodes[id.0 as usize];
        let (Node::Texts(path) | Node::Numbers(path) | Node::DateParts(path, _)) = node else {
            return self.fail(id, Why::UnknownName);
        };
        let path = &self.program.paths[path as usize];
        let mut items = Vec::new();
        let walked = path.scalars(view.root, &mut self.meter, &mut |value, meter| {
            let value: Json<'e> = value;
            let item = match node {
                Node::Texts(_) => Some(match scalar_text(value) {
                    Cow::Borrowed(text) => Value::text(text),
                    Cow::Owned(text) => {
                        meter.charge(1 + text.len() as u64 / 10)?;
                        Value::owned_text(text)
                    }
                }),
                Node::DateParts(_, part) => part.of(&scalar_text(value)).map(Value::Int),
                _ => scalar_number(value).map(Value::Double),
            };
            meter.charge(1)?;
            items.extend(item);
            Ok(ControlFlow::Continue(()))
        });
        match walked {
            Ok(_) => Ok(Value::list(items)),
            Err(why) => self.fail(id, why),
        }
    }
}
