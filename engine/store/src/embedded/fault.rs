//! What faults of the database and of files mean for whoever uses the store.

use std::error::Error;
use std::io;
use std::path::Path;
use tripline_core::port::{FaultClass, PortFault};

/// A fault of the database. All of them stop: it takes no writes any more after one that failed, and what it cannot
/// read is damaged.
pub(super) fn of_database(doing: impl Into<String>, fault: fjall::Error) -> PortFault {
    PortFault::new(FaultClass::Stop, doing).because(fault)
}

/// A fault of a file that is not part of the database: without room it is `Full`, and nothing was changed.
pub(super) fn of_file(doing: &str, path: &Path, fault: io::Error) -> PortFault {
    let class = match fault.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultClass::Full,
        _ => FaultClass::Stop,
    };
    PortFault::new(class, format!("{doing} {}", path.display())).because(fault)
}

/// Why a database does not open, in words that say what to do.
pub(super) fn of_opening(path: &Path, fault: fjall::Error) -> PortFault {
    let path = path.display();
    let doing = match &fault {
        fjall::Error::Locked => format!(
            "open the store in {path}: another process has it open, and only one may; stop that one, or name another \
             folder"
        ),
        fjall::Error::InvalidVersion(_) => format!(
            "open the store in {path}: its database has a version that this program does not know; use the program \
             that wrote it"
        ),
        fjall::Error::Io(_) => format!("open the store in {path}"),
        _ => format!("open the store in {path}: it is damaged; restore it from a copy"),
    };
    PortFault::new(FaultClass::Stop, doing).because(fault)
}

/// A bug of the database that showed as a panic.
pub(super) fn of_panic(path: &Path, panic: &(dyn std::any::Any + Send)) -> PortFault {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no words");
    let cause: Box<dyn Error + Send + Sync> = text.into();
    PortFault::new(
        FaultClass::Stop,
        format!(
            "open the store in {}: it is damaged; restore it from a copy",
            path.display()
        ),
    )
    .because(cause)
}
