//! Findings that sinks refused before and are to send once more, because somebody asks for it.
//!
//! Whoever asks waits for what comes of it, and keeps the finding until then. One who gave up waiting is not served any more.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tripline_core::pipeline::SendFault;
use tripline_core::port::Outgoing;

/// Sent, or the words of whoever did not take it.
type Became = Result<(), String>;

/// Those that wait, by sink.
#[derive(Debug, Default)]
pub(crate) struct Resends(Mutex<BTreeMap<String, Vec<Asked>>>);

#[derive(Debug)]
struct Asked {
    outgoing: Outgoing,
    answer: Sender<Became>,
    /// Gone with whoever asked.
    waits: Weak<()>,
}

impl Resends {
    /// Lets a sink send a finding; what came of it, if that is known in time.
    pub(crate) fn ask(&self, sink: &str, outgoing: Outgoing, at_most: Duration) -> Option<Became> {
        let (answer, became) = channel();
        let waits = Arc::new(());
        let asked = Asked {
            outgoing,
            answer,
            waits: Arc::downgrade(&waits),
        };
        self.lock().entry(sink.to_owned()).or_default().push(asked);
        let became = became.recv_timeout(at_most).ok();
        drop(waits);
        became
    }

    /// Sends what a sink is asked for.
    pub(super) fn serve(
        &self,
        sink: &str,
        mut send: impl FnMut(&[Outgoing]) -> Result<(), SendFault>,
    ) {
        let all = self.lock().remove(sink).unwrap_or_default();
        for asked in all {
            let Some(_waits) = asked.waits.upgrade() else {
                continue;
            };
            let sent = send(std::slice::from_ref(&asked.outgoing));
            let became = sent.map_err(|fault| fault.detail().to_owned());
            // Whoever asked may have given up just now.
            let _ = asked.answer.send(became);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Asked>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
