//! What the engine asks of the world.

use crate::plan::{Answer, Call, Plan};
use std::sync::Arc;
use std::time::Duration;

/// As whom a request is sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The action, which the session is named after; empty for reading without one.
    pub action: String,
    /// The role that is assumed; empty for the service's own credentials.
    pub role: String,
    /// What the session may do: what this plan says and nothing else. Without one it may read.
    pub plan: Option<Arc<Plan>>,
    /// How long the request may take, in microseconds.
    pub timeout: i64,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    /// It was answered for good.
    Answered {
        /// The answer.
        answer: Answer,
        /// The service's number for it.
        request: String,
    },
    /// It was certainly not done, and is worth another try: refused for now, or never sent.
    NotDone(String),
    /// It may have been done: the connection ended, the time was over, the service failed.
    Unknown(String),
}

/// The world. Shared by threads.
pub trait Outside: Send + Sync {
    /// The time; microseconds since 1970.
    fn now(&self) -> i64;

    /// Sends a request and waits for its answer, at most as long as the identity says.
    fn send(&self, call: &Call, identity: &Identity) -> Sent;

    /// The same for a request that changes something, if it may still be sent. That is asked last, just before the first byte
    /// goes out: who gets a session first must ask after that.
    fn send_if(&self, call: &Call, identity: &Identity, may: &dyn Fn() -> bool) -> Sent {
        match may() {
            true => self.send(call, identity),
            false => Sent::NotDone("it was switched off, or too late to be sent".to_owned()),
        }
    }

    /// Lets some time pass, while somebody is waited for who gave no answer.
    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// Tells people of an action that has just changed. Must not wait for them.
    fn told(&self, action: &crate::machine::Action);
}
