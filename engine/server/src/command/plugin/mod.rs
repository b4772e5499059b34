//! `tripline plugin`: everything that an author of plugins needs, and what an operator wants to know of one.

mod author;
mod bench;
mod build;
mod inspect;
mod new;
mod nonsense;
mod oci;
mod origin;
mod run;
mod sign;
mod test;
mod vectors;

pub(crate) use inspect::unfit;

use super::CommandError;
use crate::exit::{Exit, after_help};
use crate::terminal::ColorChoice;
use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
A plugin is a WebAssembly component for a world of the contract in wit/. It can do nothing but what its
operator grants: no files, no network, no clock. See \"Write a plugin\" in the README.

Examples:
  tripline plugin new --lang rust acme/geo
  tripline plugin build geo
  tripline plugin test geo
  tripline plugin inspect geo/acme-geo.wasm
  tripline plugin bench geo
  tripline plugin run geo --event login.json
  tripline plugin keygen acme && tripline plugin sign geo/acme-geo.wasm --key acme.key
  tripline plugin push registry.example/acme/geo:1.4.2 geo/acme-geo.wasm
  tripline plugin pull registry.example/acme/geo:1.4.2 -o geo.wasm
  tripline scan --plugins plugins.toml --rules rules/ logs/";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "done; of `test`, everything passed"),
    (
        Exit::Findings,
        "a test failed, or a plugin is not what it should be",
    ),
    (
        Exit::Fault,
        "wrong usage, a missing tool, or something could not be read or written",
    ),
];

/// Write, build, test, sign, inspect, push and pull plugins.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    New(new::Arguments),
    Build(build::Arguments),
    Test(test::Arguments),
    Bench(bench::Arguments),
    Inspect(inspect::Arguments),
    Run(run::Arguments),
    Keygen(sign::KeygenArguments),
    Sign(sign::SignArguments),
    Verify(sign::VerifyArguments),
    Push(oci::PushArguments),
    Pull(oci::PullArguments),
    /// Compile a component from standard input; the child that compiles plugins.
    #[command(hide = true)]
    CompileFromStdin,
}

/// Runs the action.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    match arguments.action {
        Action::New(arguments) => new::run(&arguments),
        Action::Build(arguments) => build::run(&arguments),
        Action::Test(arguments) => test::run(&arguments, color),
        Action::Bench(arguments) => bench::run(&arguments),
        Action::Inspect(arguments) => inspect::run(&arguments),
        Action::Run(arguments) => run::run(&arguments),
        Action::Keygen(arguments) => sign::keygen(&arguments),
        Action::Sign(arguments) => sign::sign(&arguments),
        Action::Verify(arguments) => sign::verify(&arguments),
        Action::Push(arguments) => oci::push(&arguments),
        Action::Pull(arguments) => oci::pull(&arguments),
        Action::CompileFromStdin => Ok(child()),
    }
}

/// Compiles what comes in; its own limits end it when that takes too much.
fn child() -> Exit {
    let code = tripline_host::jail::child_main();
    match code == std::process::ExitCode::SUCCESS {
        true => Exit::Success,
        false => Exit::Fault,
    }
}
