//! The fields that rules mention, and finding them in an event in one pass.
//!
//! Relies on key hashes being in the nodes. A plan is a trie of keys; extraction walks only objects on the way
//! to some field and steps over everything else. Must never give a field of the wrong name: a hash only
//! proposes, the key's text decides. Looking each path up by itself was rejected: its cost grows with the
//! number of fields times the number of keys.

use std::collections::BTreeMap;
use std::fmt;

use super::document::Json;
use super::key;
use super::node::Node;

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

/// No table, no field.
const NONE: u32 = u32::MAX;

/// Where the keys of one object are looked for: a power of two of entries, by hash.
#[derive(Clone, Copy, Debug)]
struct Table {
    first: u32,
    shift: u32,
}

/// Slots of a table per key of it: keys that no field has nearly always meet a free slot.
const SLOTS_PER_FIELD: usize = 4;

/// One key of a table.
#[derive(Clone, Copy, Debug)]
struct PlanEntry {
    hash: u32,
    /// The field that this key leads to; [`NONE`] for a free slot.
    field: u32,
    /// The table for the fields in it; [`NONE`] when there are none.
    table: u32,
    /// Another entry for the same slot, behind all tables; 0 when there is none.
    next: u32,
    /// Where the key is in `FieldPlan::keys`.
    key: (u32, u32),
}

const FREE: PlanEntry = PlanEntry {
    hash: 0,
    field: NONE,
    table: NONE,
    next: 0,
    key: (0, 0),
};

/// How to find all fields of a [`FieldSet`] in one event.
#[derive(Clone, Debug)]
pub struct FieldPlan {
    entries: Vec<PlanEntry>,
    /// The table of the root first.
    tables: Vec<Table>,
    /// All keys in a row.
    keys: String,
    fields: usize,
}

impl FieldPlan {
    fn new(set: &FieldSet) -> FieldPlan {
        // Fields by what they are in; `None` sorts first and is always there, so the root's table is the first.
        let mut children = BTreeMap::from([(None, Vec::new())]);
        for id in set.ids() {
            children
                .entry(set.parent(id))
                .or_insert_with(Vec::new)
                .push(id);
        }
        let tables: BTreeMap<FieldId, u32> = children
            .keys()
            .flatten()
            .zip(1..)
            .map(|(id, table)| (*id, table))
            .collect();
        let mut plan = FieldPlan {
            entries: Vec::new(),
            tables: Vec::new(),
            keys: String::new(),
            fields: set.len(),
        };
        for fields in children.values() {
            let size = (fields.len() * SLOTS_PER_FIELD).next_power_of_two().max(2);
            let first = plan.entries.len() as u32;
            plan.tables.push(Table {
                first,
                shift: 32 - size.trailing_zeros(),
            });
            plan.entries.resize(plan.entries.len() + size, FREE);
        }
        for (fields, table) in children.values().zip(plan.tables.clone()) {
            for field in fields {
                let key = set.path(*field).keys().last().map_or("", String::as_str);
                let below = tables.get(field).copied().unwrap_or(NONE);
                plan.add(
                    table,
                    key,
                    PlanEntry {
                        field: field.0,
                        table: below,
                        ..FREE
                    },
                );
            }
        }
        plan
    }

    fn add(&mut self, table: Table, key: &str, entry: PlanEntry) {
        let start = self.keys.len() as u32;
        self.keys.push_str(key);
        let hash = key::hash(key.as_bytes());
        let entry = PlanEntry {
            hash,
            key: (start, self.keys.len() as u32),
            ..entry
        };
        let slot = table.first as usize + key::first_slot(hash, table.shift);
        if self.entries[slot].field == NONE {
            self.entries[slot] = entry;
        } else {
            let next = self.entries[slot].next;
            self.entries[slot].next = self.entries.len() as u32;
            self.entries.push(PlanEntry { next, ..entry });
        }
    }

    /// Finds the fields in `root` and writes their places into `slots`. Fields of the last event are
    /// forgotten.
    pub fn extract(&self, root: Json<'_>, slots: &mut Slots) {
        slots.nodes.clear();
        slots.nodes.resize(self.fields, 0);
        self.extract_object(0, root, slots);
    }

    /// Recurses as deep as the deepest path, and no deeper than the event.
    fn extract_object(&self, table: u32, object: Json<'_>, slots: &mut Slots) {
        let (nodes, text) = object.nodes();
        let node = nodes[object.node_index() as usize];
        if !node.is_object() {
            return;
        }
        let table = self.tables[table as usize];
        let mut at = object.node_index() as usize + 1;
        let end = node.next() as usize;
        while at < end {
            let Some([key, value]) = nodes.get(at..).and_then(|rest| rest.first_chunk()) else {
                return;
            };
            let found = self.find(table, *key, text);
            if let Some(entry) = found {
                slots.nodes[entry.field as usize] = at as u32 + 1;
            }
            if !value.is_container() {
                // Not `value.next()`: the processor need not wait for the value's node to find the next key.
                at += 2;
                continue;
            }
            if let Some(entry) = found
                && entry.table != NONE
            {
                self.extract_object(entry.table, object.document().at(at as u32 + 1), slots);
            }
            at = value.next() as usize;
        }
    }

    #[inline(always)]
    fn find(&self, table: Table, key: Node, text: &str) -> Option<&PlanEntry> {
        let slot = table.first as usize + key::first_slot(key.hash(), table.shift);
        let mut entry = &self.entries[slot];
        loop {
            if entry.hash == key.hash() && entry.field != NONE && self.is_key(entry, key, text) {
                return Some(entry);
            }
            if entry.next == 0 {
                return None;
            }
            entry = &self.entries[entry.next as usize];
        }
    }

    #[inline(always)]
    fn is_key(&self, entry: &PlanEntry, key: Node, text: &str) -> bool {
        let name = &self.keys.as_bytes()[entry.key.0 as usize..entry.key.1 as usize];
        if key.is_escaped() {
            return key.text(text).decode().as_bytes() == name;
        }
        key::is_same(&text.as_bytes()[key.start()..key.end()], name)
    }
}

/// Where the fields of one event are. Reused from event to event.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    /// Node index per field; 0, which is the document's root and never a field, when absent.
    nodes: Vec<u32>,
}

impl Slots {
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
