//! Lists: of the program, of the event, or built by an expression.

use std::sync::Arc;

use super::Value;
use crate::event::{Elements, Json};

/// A list of values.
#[derive(Clone, Debug)]
pub enum ListValue<'e> {
    /// In the program.
    Borrowed(&'e [Value<'e>]),
    /// Built by an expression.
    Shared(Arc<[Value<'e>]>),
    /// An array of an event.
    Json(Json<'e>),
}

impl<'e> ListValue<'e> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(items) => items.len(),
            Self::Shared(items) => items.len(),
            Self::Json(json) => json.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at a position; in an array of an event that means walking there.
    pub fn get(&self, index: usize) -> Option<Value<'e>> {
        match self {
            Self::Borrowed(items) => items.get(index).map(Value::borrow),
            Self::Shared(items) => items.get(index).cloned(),
            Self::Json(json) => json.elements().nth(index).map(Value::from_json),
        }
    }

    /// The elements in order.
    pub fn iter(&self) -> ListIter<'_, 'e> {
        match self {
            Self::Borrowed(items) => ListIter::Items(items.iter()),
            Self::Shared(items) => ListIter::Items(items.iter()),
            Self::Json(json) => ListIter::Json(json.elements()),
        }
    }
}

/// The elements of a list.
pub enum ListIter<'l, 'e> {
    /// Of a list in memory.
    Items(std::slice::Iter<'l, Value<'e>>),
    /// Of an array of an event.
    Json(Elements<'e>),
}

impl<'e> Iterator for ListIter<'_, 'e> {
    type Item = Value<'e>;

    #[inline]
    fn next(&mut self) -> Option<Value<'e>> {
        match self {
            Self::Items(items) => items.next().cloned(),
            Self::Json(elements) => elements.next().map(Value::from_json),
        }
    }
}
