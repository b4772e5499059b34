//! What a service does because others share its work: follows the ledger, says how far, and shortens it.
//!
//! Whoever is alive is waited for before entries go; whoever was not heard of loads an image when it comes back. It must never
//! take part in the work before it has caught up.

use super::assignment::Assignment;
use super::bus::{Sharing, patiently};
use super::http::Control;
use super::status::Status;
use crate::causes::with_causes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};
use tripline_core::port::{PortFault, Sequence};
use tripline_store::embedded::EmbeddedStore;
use tripline_store::shared::{Began, SharedStore, Shortened};

/// How often it is looked whether the ledger is followed, and after how long others take the work of whoever is held up.
const WATCHES_EVERY: Duration = Duration::from_millis(250);
const BEHIND_AFTER: Duration = Duration::from_secs(10);

/// How often it is looked whether the ledger is to be shortened, and how long after a fault the next look is.
const SHORTENS_EVERY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(30);

/// How often reading the ledger is begun anew, because it was shortened meanwhile.
const OPENS: usize = 5;

/// Opens the store of several processes, and catches up with the ledger.
pub(super) fn open(
    shared: Sharing,
    open_store: &dyn Fn() -> Result<EmbeddedStore, PortFault>,
    partitions: u32,
) -> Result<(SharedStore, Assignment), PortFault> {
    let assignment = Assignment::among(shared.members, shared.me.clone(), partitions);
    let mut tries = 0;
    loop {
        tries += 1;
        let store = patiently(|| {
            let (ledger, me) = (shared.ledger.clone(), shared.me.clone());
            SharedStore::open(open_store()?, ledger, me)
        })?;
        tell_began(store.began());
        let caught_up = store.catch_up(|at, last| {
            tracing::info!(at = at.0, last = last.0, "following the ledger");
            // So that the ledger is not shortened before this process has read it.
            assignment.announce_behind(at);
        });
        match caught_up {
            Ok(()) => {
                tracing::info!(member = assignment.me(), "work is shared");
                return Ok((store, assignment));
            }
            Err(fault) if store.follows().is_overtaken && tries < OPENS => {
                let fault = with_causes(&fault);
                tracing::warn!(fault, "the ledger is read anew");
            }
            Err(fault) => return Err(fault),
        }
    }
}

fn tell_began(began: &Began) {
    for wrong in &began.wrong {
        tracing::error!(wrong, "an image of the store cannot be loaded");
    }
    let Some(image) = began.loaded.map(|image| image.0) else {
        return;
    };
    match began.had.0 {
        0 => tracing::info!(image, "image of the store loaded"),
        had => tracing::warn!(
            had,
            image,
            "away longer than the ledger reaches back; an image of the store takes the place of what was there"
        ),
    }
}

/// Looks whether the ledger is followed: whoever is behind is given nothing, and whoever cannot follow any more ends.
pub(super) fn watch(
    shared: &SharedStore,
    assignment: &Assignment,
    status: &Status,
    failed: &Sender<Control>,
    is_gone: &AtomicBool,
) {
    let mut held_up_since: Option<Instant> = None;
    while !is_gone.load(Ordering::Relaxed) {
        let follows = shared.follows();
        if let Some(words) = follows.stopped {
            tracing::error!(fault = words, "the ledger cannot be followed");
            // The service may have ended by itself.
            let _ = failed.send(Control::Failed);
            return;
        }
        match &follows.held_up {
            None => held_up_since = None,
            Some(_) => {
                held_up_since.get_or_insert_with(Instant::now);
            }
        }
        let is_behind = held_up_since.is_some_and(|since| since.elapsed() > BEHIND_AFTER);
        assignment.come_to(follows.place);
        assignment.tell(|words| words.is_behind = is_behind);
        status.set(|now| now.ledger = Some((follows.place, follows.held_up.clone())));
        thread::sleep(WATCHES_EVERY);
    }
}

/// Shortens the ledger when it is long, if this process is the one that does what one does for all.
pub(super) fn shorten(
    shared: &SharedStore,
    assignment: &Assignment,
    every: u64,
    is_gone: &AtomicBool,
) {
    let everybody = || match is_gone.load(Ordering::Relaxed) {
        true => None,
        false => Some(assignment.everybody_at().min(shared.follows().place)),
    };
    let mut looks_at = Instant::now();
    let mut waits = None;
    while !is_gone.load(Ordering::Relaxed) {
        thread::sleep(WATCHES_EVERY);
        if Instant::now() < looks_at || !assignment.sends() {
            continue;
        }
        looks_at = Instant::now() + SHORTENS_EVERY;
        match shared.shorten(every, &everybody) {
            Ok(done) => {
                tell(&done, &mut waits);
            }
            Err(_) if is_gone.load(Ordering::Relaxed) => return,
            Err(fault) => {
                looks_at = Instant::now() + PAUSE;
                let fault = with_causes(&fault);
                tracing::error!(fault, "the ledger is not shortened");
            }
        }
    }
}

fn tell(done: &Shortened, waits: &mut Option<Sequence>) {
    if let Some(image) = done.image {
        tracing::info!(entry = image.0, "image of the store written");
    }
    if let Some(through) = done.through {
        tracing::info!(through = through.0, "ledger shortened");
    }
    if done.waits.is_some() && done.waits != *waits {
        let through = done.waits.map(|one| one.0);
        tracing::info!(
            through,
            "the ledger is shortened when all members have come so far"
        );
    }
    *waits = done.waits;
}
