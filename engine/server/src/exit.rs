//! How commands end. The numbers are published: scripts and CI depend on them.

use std::process::ExitCode;

/// Printed by every `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done; nothing to complain about
  1    findings at or above --fail-on, failed tests, or errors in rules
  2    wrong usage, or something could not be read or written
  3    input was rejected and --strict is on
  130  interrupted";

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
