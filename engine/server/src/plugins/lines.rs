//! What plugins write, on standard error: bounded, for a plugin that complains of each event would hide everything else.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use tripline_host::grant::log::{CallLog, Level};

/// Most lines of a plugin that a run shows: what is wrong with many events shows in the first.
const LINES_SHOWN_MAX: u64 = 50;
/// The same where everything is shown, to its author: a case has a few lines.
const LINES_SHOWN_MAX_ALL: u64 = 10_000;

/// The lines of one plugin in one run.
pub(super) struct Lines {
    alias: String,
    /// Shown from this level on.
    from: Level,
    most: u64,
    written: AtomicU64,
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
            written: AtomicU64::new(0),
        }
    }

    /// Shows the lines of a call, as long as there is room.
    pub(super) fn show(&self, log: &CallLog) {
        let text = self.text(log);
        // Nobody may be listening; what the plugin says changes nothing.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    fn text(&self, log: &CallLog) -> String {
        let mut text = String::new();
        for line in log.lines.iter().filter(|line| line.level >= self.from) {
            if self.written.fetch_add(1, Ordering::Relaxed) >= self.most {
                continue;
            }
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
        let more = self
            .written
            .load(Ordering::Relaxed)
            .checked_sub(self.most)?;
        let alias = &self.alias;
        (more > 0).then(|| format!("plugin {alias}: {more} more lines not shown\n"))
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
    fn what_is_too_much_is_counted() {
        let lines = Lines::new("geo".to_owned(), Level::Warn);
        assert_eq!(lines.text(&log(Level::Info, 100)), "");
        let one = "plugin geo: warning: odd at=1\n";
        assert_eq!(lines.text(&log(Level::Warn, 2)), one.repeat(2));
        assert_eq!(lines.text(&log(Level::Warn, 48)), one.repeat(48));
        assert_eq!(lines.rest(), None);
        assert_eq!(lines.text(&log(Level::Error, 7)), "");
        let rest = lines.rest();
        assert_eq!(
            rest.as_deref(),
            Some("plugin geo: 7 more lines not shown\n")
        );
        let lines = Lines::new("geo".to_owned(), Level::Trace);
        assert_eq!(lines.text(&log(Level::Trace, 100)).lines().count(), 100);
    }
}
