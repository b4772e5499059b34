//! What can be done about something, one file an action.

use crate::plan::{Answer, Call, Plan};
use serde_json::Value;

/// Asks services, for plans: operations that only read.
pub trait Reads {
    /// The answer. An error when there is none: the service is not there, or it answers nothing that can be understood.
    fn read(&mut self, call: &Call) -> Result<Answer, String>;
}

/// What was known of resources before something happened, from the events that were seen.
pub trait LastKnown {
    /// What an aspect of a resource was said to be, before a time in microseconds since 1970.
    fn before(&self, arn: &str, aspect: &str, time: i64) -> Option<Known>;
}

/// Something that was known.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// What it was.
    pub value: Value,
    /// When it was said; microseconds since 1970.
    pub time: i64,
    /// The event that said it.
    pub event: String,
}

/// What a plan comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    /// This is to be done.
    Plan(Box<Plan>),
    /// It is as it should be; why.
    Nothing(String),
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// The event lacks what the action needs; what.
    #[error("the event does not say {0}")]
    Lacks(String),
    /// Nothing is known of what it was before.
    #[error("nothing is known of {0} before this event: no event of it was seen")]
    Unknown(String),
    /// A service gave no answer, or one that is of no use; the operation and why.
    #[error("{0}: {1}")]
    Read(String, String),
    /// It must not be done; why.
    #[error("{0}")]
    Refused(String),
}
