//! What servers said is not permitted, until whoever waits for an answer that never comes asks for it.
//!
//! A refusal comes beside the answers, on the connection, and names a subject; whoever waits knows what it asks, and takes
//! only what was refused of that. It must never hand a refusal to somebody else's question, nor keep more than a few.
//! Rejected: one slot for each connection, in which a sink's refusal was told as that of an append.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most refusals that are kept: several for each thing that is done at a time.
const KEPT_MAX: usize = 64;

/// How long one is kept: longer than any try waits for its answer.
const KEPT_FOR: Duration = Duration::from_secs(20);

/// What all answers come by. Without it nothing that asks gets one, for as long as the connection lasts.
const INBOX: &str = "_INBOX.";

/// What somebody asks, as far as a server may refuse it. Nothing given means all of it.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    subjects: Vec<String>,
    streams: Vec<String>,
}

impl About {
    pub(super) fn add_subject(&mut self, subject: String) {
        self.subjects.push(subject);
    }

    pub(super) fn add_stream(&mut self, stream: String) {
        self.streams.push(stream);
    }

    fn has(&self, subject: &str) -> bool {
        let is_within = |begin: &String| {
            let rest = subject.strip_prefix(begin.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_of = |stream: &String| {
            subject.starts_with("$JS.") && subject.split('.').any(|token| token == stream)
        };
        (self.subjects.is_empty() && self.streams.is_empty())
            || self.subjects.iter().any(is_within)
            || self.streams.iter().any(is_of)
    }
}

/// What was refused lately on a connection.
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    inbox: Option<String>,
    others: VecDeque<(Instant, String, String)>,
}

impl Denials {
    /// Keeps what a server said, if it is a refusal.
    pub(super) fn hear(&self, words: &str) {
        if !words.to_ascii_lowercase().contains("permissions violation") {
            return;
        }
        let subject = words.split('"').nth(1).unwrap_or_default().to_owned();
        let mut kept = self.lock();
        if subject.starts_with(INBOX) && words.contains("Subscription") {
            kept.inbox = Some(words.to_owned());
            return;
        }
        if kept.others.len() == KEPT_MAX {
            kept.others.pop_front();
        }
        let words = words.to_owned();
        kept.others.push_back((Instant::now(), subject, words));
    }

    /// Another connection may be permitted more.
    pub(super) fn forget(&self) {
        *self.lock() = Kept::default();
    }

    /// What was refused of this; told once, but for what all answers come by.
    pub(super) fn take(&self, about: &About) -> Option<String> {
        let mut kept = self.lock();
        kept.others.retain(|(heard, ..)| heard.elapsed() < KEPT_FOR);
        let found = kept
            .others
            .iter()
            .position(|(_, subject, _)| about.has(subject));
        match found {
            Some(found) => kept.others.remove(found).map(|(.., words)| words),
            None => kept.inbox.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{About, Denials, KEPT_MAX};

    fn of(subject: &str) -> About {
        let mut about = About::default();
        about.add_subject(subject.to_owned());
        about
    }

    #[test]
    fn everybody_hears_what_was_refused_of_their_own() {
        let denials = Denials::default();
        denials.hear("Permissions Violation for Publish to \"found.all\"");
        denials.hear("Permissions Violation for Publish to \"$JS.API.STREAM.MSG.GET.t-events-10\"");
        denials.hear("maximum connections exceeded");
        assert_eq!(denials.take(&of("t.events.0")), None);
        let mut stream = About::default();
        stream.add_stream("t-events-1".to_owned());
        assert_eq!(denials.take(&stream), None);
        stream.add_stream("t-events-10".to_owned());
        assert!(
            denials
                .take(&stream)
                .is_some_and(|words| words.contains("MSG.GET"))
        );
        assert_eq!(denials.take(&stream), None, "told once");
        assert!(denials.take(&of("found")).is_some(), "what lies below it");
        assert_eq!(denials.take(&About::default()), None);
    }

    #[test]
    fn without_an_inbox_nobody_gets_an_answer() {
        let denials = Denials::default();
        denials.hear("Permissions Violation for Subscription to \"_INBOX.abc.*\"");
        for _ in 0..2 {
            assert!(denials.take(&of("t.events.0")).is_some());
        }
        denials.forget();
        assert_eq!(denials.take(&of("t.events.0")), None);
    }

    #[test]
    fn only_so_many_are_kept() {
        let denials = Denials::default();
        for number in 0..KEPT_MAX + 5 {
            denials.hear(&format!(
                "Permissions Violation for Publish to \"s.{number}\""
            ));
        }
        assert_eq!(denials.take(&of("s.4")), None);
        assert!(denials.take(&of("s.5")).is_some());
    }
}
