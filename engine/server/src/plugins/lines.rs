//! What plugins write, on standard error: bounded, for a plugin that complains of each event would hide everything else.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tripline_host::grant::log::{CallLog, Level};

/// Most lines of a plugin that are shown in a while: what is wrong with many events shows in the first.
const LINES_SHOWN_MAX: u64 = 50;
/// The same where everything is shown, to its author: a case has a few lines.
const LINES_SHOWN_MAX_ALL: u64 = 10_000;
/// The while, so that a plugin of a service is heard again however much it said before.
const WHILE: Duration = Duration::from_secs(60);

/// The lines of one plugin.
pub(super) struct Lines {
    alias: String,
    /// Shown from this level on.
    from: Level,
    most: u64,
    written: Mutex<Written>,
}

/// What it wrote in a while.
struct Written {
    since: Instant,
    shown: u64,
    /// Lines that were not shown, and those that the host dropped: a call had written enough, or may not write.
    hidden: u64,
}

impl Written {
    /// How many were not shown; leaves none.
    fn rest(&mut self, alias: &str) -> Option<String> {
        let more = std::mem::take(&mut self.hidden);
        let lines = if more == 1 { "line" } else { "lines" };
        (more > 0).then(|| format!("plugin {alias}: {more} more {lines} not shown\n"))
    }
}

impl Lines {
    pub(super) fn new(alias: String, from: Level) -> Self {
        Self {
            alias,
            from,
            most: match from {
                Level::Trace => LINES_SHOWN_MAX_ALL,
                _ => LINES_SHOWN_MAX,
            },
            written: Mutex::new(Written {
                since: Instant::now(),
                shown: 0,
                hidden: 0,
            }),
        }
    }

    /// Shows the lines of a call, as long as there is room.
    pub(super) fn show(&self, log: &CallLog) {
        let text = self.text(log, Instant::now());
        // Nobody may be listening; what the plugin says changes nothing.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    fn text(&self, log: &CallLog, now: Instant) -> String {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        if now.saturating_duration_since(written.since) >= WHILE {
            text.extend(written.rest(&self.alias));
            written.since = now;
            written.shown = 0;
        }
        written.hidden += log.dropped;
        for line in log.lines.iter().filter(|line| line.level >= self.from) {
            if written.shown >= self.most {
                written.hidden += 1;
                continue;
            }
            written.shown += 1;
            let fields = line.fields.iter();
            let fields: String = fields
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            let word = level_word(line.level);
            let alias = &self.alias;
            let _ = writeln!(text, "plugin {alias}: {word}: {}{fields}", line.message);
        }
        text
    }

    /// How many were not shown.
    fn rest(&self) -> Option<String> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.rest(&self.alias)
    }
}

/// The run is over.
impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(text) = self.rest() {
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warning",
        Level::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tripline_host::grant::log::Line;

    fn log(level: Level, count: usize) -> CallLog {
        let line = Line {
            level,
            message: "odd".to_owned(),
            fields: vec![("at".to_owned(), "1".to_owned())],
        };
        let mut log = CallLog::default();
        log.lines.extend(vec![line; count]);
        log
    }

    #[test]
    fn what_is_too_much_is_counted_and_a_while_later_there_is_room_again() {
        let lines = Lines::new("geo".to_owned(), Level::Warn);
        let now = Instant::now();
        assert_eq!(lines.text(&log(Level::Info, 100), now), "");
        let one = "plugin geo: warning: odd at=1\n";
        assert_eq!(lines.text(&log(Level::Warn, 2), now), one.repeat(2));
        assert_eq!(lines.text(&log(Level::Warn, 48), now), one.repeat(48));
        assert_eq!(lines.rest(), None);
        assert_eq!(lines.text(&log(Level::Error, 5), now), "");
        let mut cut = log(Level::Error, 1);
        cut.dropped = 1;
        assert_eq!(lines.text(&cut, now), "");
        assert_eq!(
            lines.text(&log(Level::Warn, 1), now + WHILE),
            format!("plugin geo: 7 more lines not shown\n{one}")
        );
        assert_eq!(lines.rest(), None);
        assert_eq!(
            lines.text(&log(Level::Warn, 50), now + WHILE),
            one.repeat(49)
        );
        let rest = lines.rest();
        assert_eq!(rest.as_deref(), Some("plugin geo: 1 more line not shown\n"));
        let lines = Lines::new("geo".to_owned(), Level::Trace);
        assert_eq!(
            lines.text(&log(Level::Trace, 100), now).lines().count(),
            100
        );
    }
}
