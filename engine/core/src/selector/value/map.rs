//! Maps: of the program, of the event, or built by an expression.
//!
//! Entries keep the order they were built in; a larger map has a sorted index beside it, so that looking up is
//! never linear in what an expression can build. Keys are equal across int, uint and double, as the spec says.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Value, compare_keys};
use crate::event::Json;

/// Maps up to this size are searched from the front.
const LINEAR_MAX: usize = 8;

/// A map of values.
#[derive(Clone, Debug)]
pub enum MapValue<'e> {
    /// In the program.
    Borrowed(&'e Entries<'e>),
    /// Built by an expression.
    Shared(Arc<Entries<'e>>),
    /// An object of an event.
    Json(Json<'e>),
}

/// The entries of a map in memory.
#[derive(Clone, Debug)]
pub struct Entries<'e> {
    entries: Box<[(Value<'e>, Value<'e>)]>,
    /// Positions in the order of keys; empty for small maps.
    order: Box<[u32]>,
}

/// Whether a value can be a key of a map that an expression builds.
pub(crate) fn is_key(value: &Value<'_>) -> bool {
    matches!(
        value,
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_)
    )
}

impl<'e> Entries<'e> {
    /// The map of these entries; `Err` when a key comes twice. Every key is a bool, an int, a uint or text.
    pub fn new(entries: Vec<(Value<'e>, Value<'e>)>) -> Result<Entries<'e>, RepeatedKey> {
        let mut order: Vec<u32> = (0..entries.len() as u32).collect();
        order.sort_by(|a, b| {
            compare_keys(&entries[*a as usize].0, &entries[*b as usize].0)
                .unwrap_or(Ordering::Equal)
        });
        let repeated = order.windows(2).any(|pair| {
            let (first, second) = (&entries[pair[0] as usize].0, &entries[pair[1] as usize].0);
            compare_keys(first, second) == Some(Ordering::Equal)
        });
        if repeated {
            return Err(RepeatedKey);
        }
        if entries.len() <= LINEAR_MAX {
            order.clear();
        }
        Ok(Entries {
            entries: entries.into(),
            order: order.into(),
        })
    }

    pub(crate) fn get(&self, key: &Value<'_>) -> Option<&Value<'e>> {
        let found = if self.order.is_empty() {
            self.entries
                .iter()
                .find(|(candidate, _)| compare_keys(candidate, key) == Some(Ordering::Equal))?
        } else {
            // A key that cannot be compared, such as NaN, is in no map.
            compare_keys(key, key)?;
            let at = self.order.binary_search_by(|at| {
                compare_keys(&self.entries[*at as usize].0, key).unwrap_or(Ordering::Less)
            });
            &self.entries[self.order[at.ok()?] as usize]
        };
        Some(&found.1)
    }
}

/// A map literal with the same key twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatedKey;

impl<'e> MapValue<'e> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(map) => map.entries.len(),
            Self::Shared(map) => map.entries.len(),
            Self::Json(json) => json.len(),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key of any kind.
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'e>> {
        match self {
            Self::Borrowed(map) => map.get(key).map(Value::borrow),
            Self::Shared(map) => map.get(key).cloned(),
            Self::Json(json) => json.get(key.as_text()?).map(Value::from_json),
        }
    }

    /// The value of a key that is text.
    pub fn get_text(&self, key: &str) -> Option<Value<'e>> {
        match self {
            Self::Json(json) => json.get(key).map(Value::from_json),
            _ => self.get(&Value::text(key)),
        }
    }

    /// Whether there is such a key.
    pub fn contains(&self, key: &Value<'_>) -> bool {
        match self {
            Self::Borrowed(map) => map.get(key).is_some(),
            Self::Shared(map) => map.get(key).is_some(),
            Self::Json(json) => key.as_text().is_some_and(|key| json.get(key).is_some()),
        }
    }

    /// The entries in a stable order.
    pub fn entries(&self) -> MapIter<'_, 'e> {
        match self {
            Self::Borrowed(map) => MapIter::Items(map.entries.iter()),
            Self::Shared(map) => MapIter::Items(map.entries.iter()),
            Self::Json(json) => MapIter::Json(json.entries()),
        }
    }
}

/// The entries of a map.
pub enum MapIter<'m, 'e> {
    /// Of a map in memory.
    Items(std::slice::Iter<'m, (Value<'e>, Value<'e>)>),
    /// Of an object of an event.
    Json(crate::event::Entries<'e>),
}

impl<'e> Iterator for MapIter<'_, 'e> {
    type Item = (Value<'e>, Value<'e>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Items(items) => items.next().cloned(),
            Self::Json(entries) => entries.next().map(|(key, value)| {
                let key = if key.is_escaped() {
                    Value::owned_text(key.decode().into_owned())
                } else {
                    Value::text(key.raw())
                };
                (key, Value::from_json(value))
            }),
        }
    }
}
