//! The five fields of parsed events: found in one walk over the event, as the engine finds those that rules name, for the native rule and
//! for packing alike.

use std::borrow::Cow;
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

    /// The fields of an event.
    #[inline]
    pub(crate) fn read<'e>(&mut self, event: &Document<'e>) -> [Option<Json<'e>>; 5] {
        self.plan.extract(event.root(), &mut self.slots);
        self.fields
            .map(|field| self.slots.get(field).map(|node| event.at(node)))
    }

    /// What the native rule says of an event.
    pub(crate) fn finds(&mut self, event: &Document<'_>) -> bool {
        let [name, error, mfa, address, policy] = self.read(event);
        let [name, error, address, policy] = [name, error, address, policy].map(text);
        let mfa = mfa.and_then(Json::as_bool);
        let (name, address) = (name.unwrap_or_default(), address.unwrap_or_default());
        crate::rule::finds_in(&name, error.as_deref(), mfa, &address, policy.as_deref())
    }
}

fn text(value: Option<Json<'_>>) -> Option<Cow<'_, str>> {
    value.and_then(Json::as_text).map(Text::decode)
}
