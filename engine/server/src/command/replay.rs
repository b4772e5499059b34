//! `tripline replay`: evaluates a stretch of a service's log again.

use super::CommandError;
use super::serve::environment;
use crate::config::{Config, Place};
use crate::exit::{Exit, after_help};
use crate::serve::{Stretch, replay};
use crate::telemetry;
use crate::terminal::{ColorChoice, counted};
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;

const EXAMPLES: &str = "\
For events that were evaluated before a rule was there, or by a rule that was wrong. The service must not run meanwhile: its
data folder has one process at a time. What was found before is not found twice, as findings have their identity from what
they are about; what is new goes to the sinks when the service runs again. Positions, what rules remember and dead letters
stay as they are.

Rules that remember, and suppression, begin with nothing where the stretch begins: begin earlier than what you look for by the
longest of their windows, or what they find at first may be about a part of what they must see, and what an earlier finding
counted as suppressed may become a finding. What they would only find when more time has passed than the stretch has is not found.

Examples:
  tripline replay --config tripline.toml --from 2026-01-02T00:00:00Z
  tripline replay --config tripline.toml --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z
  tripline replay --config tripline.toml --from first
  tripline replay --config tripline.toml --partition 3 --from 1200 --to 1300";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "all of it was evaluated"),
    (
        Exit::Findings,
        "records of it are lost, and the others were evaluated",
    ),
    (
        Exit::Fault,
        "wrong usage or configuration, a service that runs, no rule, or the log or the store cannot be opened or trusted any more",
    ),
];

/// Evaluate a stretch of the log again, by the rules of now.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// The configuration of the service.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The data folder of the service; goes before the configuration.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where it begins: `first`, the number of a record, or a time, at which the log took it.
    #[arg(long, value_name = "PLACE")]
    from: Place,

    /// The last record, or a time before which it was taken; as far as the service has come when not given.
    #[arg(long, value_name = "PLACE")]
    to: Option<Place>,

    /// Of this partition only.
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
}

/// Evaluates it again.
pub(crate) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let mut config = Config::read(arguments.config.as_deref(), environment())?;
    if let Some(data) = &arguments.data {
        config.data.clone_from(data);
    }
    let traces = telemetry::begin(&config, color);
    let stretch = Stretch {
        from: arguments.from,
        to: arguments.to,
        partition: arguments.partition,
    };
    let mut written = Ok(());
    let mut lost = 0;
    let replayed = replay(&config, color, stretch, |done| {
        let partition = done.partition;
        lost += done.lost;
        let line = match done.records {
            None => format!("partition {partition}: nothing there that was evaluated"),
            Some((first, last)) => format!(
                "partition {partition}: records {first} to {last}, {} evaluated again, {} new, {} with more counted on them{}{}",
                counted(done.events, "event"),
                counted(done.new, "finding"),
                done.renewed,
                match done.not_set_aside {
                    0 => String::new(),
                    count => format!("; {} stay as they are", counted(count, "dead letter")),
                },
                match done.lost {
                    0 => String::new(),
                    count => format!("; {} lost, as was said above", counted(count, "record")),
                }
            ),
        };
        if written.is_ok() {
            written = writeln!(io::stdout(), "{line}");
        }
    });
    if let Some(traces) = traces {
        traces.end();
    }
    replayed?;
    written?;
    Ok(match lost {
        0 => Exit::Success,
        _ => Exit::Findings,
    })
}
