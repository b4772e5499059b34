//! How commands end. The numbers are published: scripts and CI depend on them.

use std::process::ExitCode;

/// The last part of a `--help`: the codes that this command ends with, and what each means for it.
pub(crate) fn exit_codes(codes: &[(Exit, &str)]) -> String {
    let mut out = "Exit codes:".to_owned();
    for (exit, words) in codes {
        out.push_str(&format!("\n  {:<3}  {words}", exit.code()));
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
