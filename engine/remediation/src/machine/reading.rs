//! Inputs as they stand in records.
//!
//! What is tagged within itself is held as it came until its tag is known, and read from that: twice the work for events and
//! plans, which are most of a journal. Inputs are written with their tag first, so those that are long are read at once. What is
//! written otherwise means the same, and takes longer.

use super::{Input, Proposal};
use crate::plan::Plan;
use crate::policy::Mode;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The member that says what it is.
const TAG: &str = "what";

#[derive(Deserialize)]
struct Planned {
    plan: Arc<Plan>,
    mode: Mode,
}

#[derive(Deserialize)]
struct Refused {
    proposal: Arc<Proposal>,
    reason: String,
    is_again: bool,
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, to)
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Input;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("what happened to an action")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Input, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            if all.is_empty() && name == TAG {
                let what: String = members.next_value()?;
                let rest = MapAccessDeserializer::new(&mut members);
                match what.as_str() {
                    "proposed" => return Arc::deserialize(rest).map(Input::Proposed),
                    "planned" => {
                        let Planned { plan, mode } = Planned::deserialize(rest)?;
                        return Ok(Input::Planned { plan, mode });
                    }
                    "refused" => {
                        let Refused {
                            proposal,
                            reason,
                            is_again,
                        } = Refused::deserialize(rest)?;
                        return Ok(Input::Refused {
                            proposal,
                            reason,
                            is_again,
                        });
                    }
                    _ => {}
                }
                all.insert(TAG.to_owned(), Value::String(what));
                continue;
            }
            if all
                .insert(name.to_string(), members.next_value()?)
                .is_some()
            {
                return Err(A::Error::custom(format_args!("`{name}` is there twice")));
            }
        }
        Input::deserialize(Value::Object(all)).map_err(A::Error::custom)
    }
}
