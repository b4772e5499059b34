//! The five fields of parsed events: found in one walk over the event, as the engine finds those that rules name, for the native rule and
//! for packing alike.

use crate::rule::{is_bad, is_sensitive};
use tripline_core::event::{Document, FieldId, FieldPath, FieldPlan, FieldSet, Json, Slots, Text};

/// The fields of the rule, in the order of the columns of a batch.
const FIELDS: [&str; 5] = [
    "eventName",
    "errorCode",
    "mfa",
    "sourceIPAddress",
    "policyArn",
];

pub(crate) struct Reader {
    plan: FieldPlan,
    fields: [FieldId; 5],
    slots: Slots,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let mut set = FieldSet::new();
        let fields = FIELDS.map(|field| set.intern(&FieldPath::top(field)));
        Self {
            plan: set.plan(),
            fields,
            slots: Slots::new(),
        }
    }

    /// Finds the fields of an event.
    #[inline]
    pub(crate) fn find(&mut self, event: &Document<'_>) {
        self.plan.extract(event.root(), &mut self.slots);
    }

    /// One of them.
    #[inline]
    pub(crate) fn field<'e>(&self, event: &Document<'e>, number: usize) -> Option<Json<'e>> {
        let node = self.slots.get(self.fields[number]);
        node.map(|node| event.at(node))
    }

    /// What the native rule says of an event. It reads no more of the fields than it needs.
    pub(crate) fn finds(&mut self, event: &Document<'_>) -> bool {
        self.find(event);
        let text = |number| {
            let value = self.field(event, number);
            value.and_then(Json::as_text).map(Text::decode)
        };
        if !text(0).is_some_and(|name| is_sensitive(&name)) || text(1).is_some() {
            return false;
        }
        let mfa = self.field(event, 2).and_then(Json::as_bool);
        is_bad(mfa, &text(3).unwrap_or_default(), text(4).as_deref())
    }
}
