//! The state machine of one action: a pure function from what it is and what happened to what it is then.
//!
//! What happened is what the journal keeps; what an action is, is the fold over it. What is not in [`Action::after`] cannot
//! happen: it is refused, and nothing is written. Reservations that concern several actions (caps, locks, the switch) are
//! the [`crate::book`]'s.

mod input;
mod reading;
mod run;
mod state;
mod transition;
mod wanted;

pub use input::{BY_POLICY, Input, Origin, PolicyName, Proposal, Resolution, Subject};
pub use run::{Progress, Run};
pub use state::{Action, State};
pub use transition::Illegal;
pub use wanted::{Wanted, wanted};
