//! The compiling child on its own, for tests and benches: the server starts itself instead.

use std::process::ExitCode;

fn main() -> ExitCode {
    tripline_host::jail::child_main()
}
