//! The fields that rules mention.
//!
//! Relies on nothing but paths. Ids are dense, so that what is known of fields is kept in lists by id; they depend on
//! the order in which rules are read, and mean nothing outside of their set. Interned strings instead of
//! ids were rejected: every look-up while rules are evaluated would compare text.

use std::collections::BTreeMap;
use std::fmt;

use super::plan::FieldPlan;

/// A way through objects from the event's root: one or more keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// The field `key` of the event itself.
    pub fn top(key: impl Into<String>) -> FieldPath {
        FieldPath(vec![key.into()])
    }

    /// The field `key` of the object at this path.
    #[must_use]
    pub fn child(&self, key: impl Into<String>) -> FieldPath {
        let mut keys = self.0.clone();
        keys.push(key.into());
        FieldPath(keys)
    }

    /// The path of these keys; `None` when there are none, since the event itself is no field.
    pub fn from_keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Option<FieldPath> {
        let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
        if keys.is_empty() {
            None
        } else {
            Some(FieldPath(keys))
        }
    }

    /// The path of keys between dots, `userIdentity.arn`. Keys that contain dots need the other constructors.
    pub fn dotted(path: &str) -> FieldPath {
        FieldPath(path.split('.').map(str::to_owned).collect())
    }

    /// The keys, outermost first; at least one.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// The path of the object this field is in; `None` when that is the event itself.
    pub fn parent(&self) -> Option<FieldPath> {
        let (_, rest) = self.0.split_last()?;
        FieldPath::from_keys(rest.iter().cloned())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("event")?;
        for key in &self.0 {
            if is_identifier(key) {
                write!(formatter, ".{key}")?;
            } else {
                write!(formatter, "[{key:?}]")?;
            }
        }
        Ok(())
    }
}

fn is_identifier(key: &str) -> bool {
    key.bytes()
        .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        && key
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit())
}

/// Names a field within one [`FieldSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u32);

/// All fields that some rule mentions, and all objects on the way to them.
#[derive(Clone, Debug, Default)]
pub struct FieldSet {
    ids: BTreeMap<FieldPath, FieldId>,
    fields: Vec<(FieldPath, Option<FieldId>)>,
}

impl FieldSet {
    /// No fields.
    pub fn new() -> FieldSet {
        FieldSet::default()
    }

    /// The id of `path`, which is added with its parents when it is new.
    pub fn intern(&mut self, path: &FieldPath) -> FieldId {
        if let Some(id) = self.find(path) {
            return id;
        }
        let mut parent = None;
        for length in 1..=path.0.len() {
            let prefix = FieldPath(path.0[..length].to_vec());
            let id = match self.ids.get(&prefix) {
                Some(id) => *id,
                None => {
                    let id = FieldId(self.fields.len() as u32);
                    self.fields.push((prefix.clone(), parent));
                    self.ids.insert(prefix, id);
                    id
                }
            };
            parent = Some(id);
        }
        parent.unwrap_or(FieldId(0))
    }

    /// The id of `path`, if it was added.
    pub fn find(&self, path: &FieldPath) -> Option<FieldId> {
        self.ids.get(path).copied()
    }

    /// The path of a field of this set.
    pub fn path(&self, id: FieldId) -> &FieldPath {
        &self.fields[id.0 as usize].0
    }

    /// The object that a field is in; `None` when that is the event itself.
    pub fn parent(&self, id: FieldId) -> Option<FieldId> {
        self.fields[id.0 as usize].1
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Every field, in order of id; parents come before what is in them.
    pub fn ids(&self) -> impl Iterator<Item = FieldId> + use<> {
        (0..self.fields.len() as u32).map(FieldId)
    }

    /// The plan that finds all of them.
    pub fn plan(&self) -> FieldPlan {
        FieldPlan::new(self)
    }
}

/// Where the fields of one event are. Reused from event to event.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    /// Node index per field; 0, which is the document's root and never a field, when absent.
    nodes: Vec<u32>,
}

impl Slots {
    /// Forgets all fields and makes room for `count`.
    pub(super) fn start(&mut self, count: usize) -> &mut [u32] {
        self.nodes.clear();
        self.nodes.resize(count, 0);
        &mut self.nodes
    }

    /// No fields so far.
    pub fn new() -> Slots {
        Slots::default()
    }

    /// The node of a field, for `Document::at`; `None` when the event does not have it.
    #[inline]
    pub fn get(&self, id: FieldId) -> Option<u32> {
        match self.nodes.get(id.0 as usize) {
            None | Some(0) => None,
            Some(node) => Some(*node),
        }
    }
}
