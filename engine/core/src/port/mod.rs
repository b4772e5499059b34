//! What the pipeline asks of the world: a bus that hands over records, and a store that keeps what came of them.
//!
//! Adapters sit outside: the embedded log, NATS and the simulator implement [`Bus`]; the embedded store and the one in
//! memory implement [`Store`]. All of them pass the same tests (`conformance`). Both traits block: the threads that use
//! them have nothing else to do meanwhile, and the pipeline itself calls neither. Rejected: async traits here, which
//! would put a runtime into core for the sake of one adapter.

mod bus;
pub mod conformance;
mod fault;
mod ledger;
mod store;

pub use bus::{
    AppendMax, Appended, Attributes, Bus, Delivered, Durability, Each, NewRecord, ReadMax, Record,
    RecordKind, Sequence, Span,
};
pub use fault::{FaultClass, PortFault};
pub use ledger::{Entry, Ledger, Members};
pub use store::{
    Checkpoint, Commit, Committed, DeadFilter, DeadLetter, DeadNumber, DeadReason, Epoch,
    FindingFilter, FindingPage, KeptEvent, Outgoing, Partition, SnapshotKept, Store, StoredFinding,
    supersedes,
};
