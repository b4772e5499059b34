//! How commands end. The numbers are published: scripts and CI depend on them.

use std::process::ExitCode;

/// Columns that every terminal has: what is not wrapped to its width stays within these.
const WIDTH: usize = 80;

/// What comes after the options in a `--help`: explanations and examples, then the codes that this command ends with,
/// and what each means for it.
pub(crate) fn after_help(text: &str, codes: &[(Exit, &str)]) -> String {
    format!("{}\n\n{}", flowing(text), exit_codes(codes))
}

/// Text whose paragraphs are one line each, so that they wrap to the width of the terminal. Lines that are indented are
/// left as they are.
pub(crate) fn flowing(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut flows = false;
    for line in text.lines() {
        let goes_on = flows && !line.is_empty() && !line.starts_with(' ');
        out.push(if goes_on { ' ' } else { '\n' });
        out.push_str(line);
        flows = !line.is_empty() && !line.starts_with(' ');
    }
    out.split_off(1.min(out.len()))
}

/// The codes, with words that wrap within their column.
fn exit_codes(codes: &[(Exit, &str)]) -> String {
    let mut out = "Exit codes:".to_owned();
    for (exit, words) in codes {
        let mut line = format!("  {:<3} ", exit.code());
        for word in words.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                out.push('\n');
                out.push_str(&line);
                line = " ".repeat(6);
            }
            line.push(' ');
            line.push_str(word);
        }
        out.push('\n');
        out.push_str(&line);
    }
    out
}

/// The codes of a command that only prints.
pub(crate) const PRINTING: &[(Exit, &str)] = &[
    (Exit::Success, "printed"),
    (
        Exit::Fault,
        "wrong usage, or something could not be read or written",
    ),
];

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done.
    Success,
    /// The answer is no: findings, failed tests, errors in rules.
    Findings,
    /// Usage or operating fault.
    Fault,
    /// Rejected input under `--strict`.
    Rejected,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Findings => 1,
            Self::Fault => 2,
            Self::Rejected => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, exit_codes, flowing};

    #[test]
    fn paragraphs_flow_and_examples_stay() {
        let check = |text: &str, expected: &str| assert_eq!(flowing(text), expected);
        check("a\nb\n\nc:\n  d\n  e\nf\ng", "a b\n\nc:\n  d\n  e\nf g");
        check("", "");
    }

    #[test]
    fn codes_wrap_within_their_column() {
        let words = "word ".repeat(20);
        let text = exit_codes(&[(Exit::Interrupted, words.trim_end())]);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert!(
            lines[0].starts_with("  130  word") && lines[1].starts_with("       word"),
            "{text}"
        );
        assert!(
            lines.len() == 2 && lines.iter().all(|line| line.len() <= 80),
            "{text}"
        );
    }
}
