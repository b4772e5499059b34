//! `tripline serve`: the engine as a service.

use super::CommandError;
use crate::config::Config;
use crate::exit::{Exit, after_help};
use crate::serve::http::Control;
use crate::serve::{Handles, Service, now};
use crate::telemetry;
use crate::terminal::ColorChoice;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tripline_core::port::{NewRecord, Partition, RecordKind};
use tripline_core::sample::{Generator, Options};

const EXAMPLES: &str = "\
Events are taken by POST /v1/events (see `tripline publish`) into a log in the data folder, evaluated in order, and what
is found is made durable before it goes to the sinks. An answer of 200 means that the events are as durable as it says.
SIGHUP reads the rules again, SIGTERM and SIGINT end the service in order, a second one ends it at once; nothing that was
acknowledged is lost by that, nor by kill -9.

API: POST /v1/events, POST /v1/decide, GET /v1/findings[/ID], GET /v1/events/ID, GET /v1/dead-letters[/N], POST /v1/dead-letters/N/retry,
DELETE /v1/dead-letters/N, GET /v1/channels[/ID], POST /v1/channels/ID/events (see `tripline channels`), GET /v1/status, POST /v1/reload, POST /v1/rules/publish, GET /metrics, GET /healthz, GET /readyz.

Examples:
  tripline serve --demo                        invented events, findings as they are found
  tripline serve                               rules that came with tripline, data in ./tripline-data
  tripline serve --config tripline.toml        everything as `tripline config` prints it
  tripline serve --rules my-rules/ --data /var/lib/tripline
  tripline publish trail.json.gz               and then this sends it events";

const EXIT_CODES: &[(Exit, &str)] = &[
    (Exit::Success, "it was asked to end, and ended in order"),
    (
        Exit::Fault,
        "wrong usage or configuration, no rule, or the log or the store cannot be opened or trusted any more",
    ),
    (Exit::Interrupted, "it was asked twice to end"),
];

/// Evaluate events as they come, and send on what is found.
#[derive(Args, Debug)]
#[command(after_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Arguments {
    /// The configuration; `tripline config` prints one with all defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The folder of the log, the findings and what rules remember; goes before the configuration.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Rules, overrides and lists; go before the configuration. May be given several times.
    #[arg(long = "rules", value_name = "PATH", action = clap::ArgAction::Append)]
    rules: Vec<String>,

    /// Where the API listens; goes before the configuration. Port 0 takes a free one, which is told.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Feed it a day of invented events with incidents among them, in a temporary folder unless --data is given.
    #[arg(long)]
    demo: bool,

    /// Invented events a second.
    #[arg(long, value_name = "N", default_value_t = 200, requires = "demo", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    demo_rate: u32,

    /// End when all invented events are evaluated and what was found is sent.
    #[arg(long, requires = "demo")]
    demo_once: bool,
}

/// Serves.
pub(crate) fn run(arguments: &Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let mut config = Config::read(arguments.config.as_deref(), environment())?;
    if let Some(data) = &arguments.data {
        config.data.clone_from(data);
    }
    if !arguments.rules.is_empty() {
        config.rules.paths.clone_from(&arguments.rules);
    }
    if let Some(listen) = &arguments.listen {
        config.http.listen.clone_from(listen);
        config.validate()?;
    }
    let temporary = match (arguments.demo, &arguments.data) {
        (true, None) => {
            let folder = std::env::temp_dir().join(format!("tripline-demo-{}", std::process::id()));
            config.data.clone_from(&folder);
            Some(Temporary(folder))
        }
        _ => None,
    };
    let traces = telemetry::begin(&config, color);
    let service = Service::open(config, color)?;
    let handles = service.handles();
    if let Some(traces) = &traces {
        handles.status.tell_traces(traces.counts());
    }
    signals(&handles.control)?;
    if arguments.demo {
        let (rate, once) = (arguments.demo_rate, arguments.demo_once);
        std::thread::spawn(move || demo(&handles, (rate, once)));
    }
    let ended = service.run(|address| {
        if let Some(address) = address {
            // If standard error is closed, nobody wants to know.
            let _ = writeln!(io::stderr(), "listening on http://{address}");
        }
    });
    if let Some(traces) = traces {
        traces.end();
    }
    ended?;
    drop(temporary);
    Ok(Exit::Success)
}

/// The environment, as far as it is text.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

/// A folder that is gone when it is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It lies where the system cleans up too.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Hears the signals that end the service or make it read its rules again.
fn signals(control: &Sender<Control>) -> Result<(), CommandError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let control = control.clone();
    std::thread::spawn(move || {
        let mut was_asked = false;
        for signal in signals.forever() {
            let asks = match signal {
                SIGHUP => Control::Reload(None),
                _ if was_asked => std::process::exit(i32::from(Exit::Interrupted.code())),
                _ => {
                    was_asked = true;
                    Control::Shutdown
                }
            };
            if control.send(asks).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// How many events the demo has.
const DEMO_EVENTS: u64 = 5_000;

/// Appends a day of invented events that ends now.
fn demo(handles: &Handles, (rate, once): (u32, bool)) {
    let (bus, status) = (handles.partitions.log(Partition(0)), &handles.status);
    let end = Timestamp::now();
    let start = end
        .checked_sub(SignedDuration::from_hours(24))
        .unwrap_or(end);
    let generator = Generator::new(&Options {
        events: DEMO_EVENTS,
        start,
        ..Options::default()
    });
    let at_a_time = ((rate / 20).max(1) as usize).min(bus.append_max().records);
    let pause = Duration::from_secs_f64(at_a_time as f64 / f64::from(rate));
    let records: Vec<Vec<u8>> = generator.map(|record| record.bytes).collect();
    let mut last = 0;
    for chunk in records.chunks(at_a_time) {
        let taken = now();
        let new: Vec<NewRecord<'_>> = chunk
            .iter()
            .map(|payload| NewRecord {
                kind: RecordKind::Event,
                taken,
                attributes: br#"{"channel":"demo"}"#,
                payload,
            })
            .collect();
        match bus.append(&new) {
            Ok(appended) => last = appended.first.0 + chunk.len() as u64 - 1,
            Err(fault) => {
                tracing::error!(%fault, "demo ended");
                return;
            }
        }
        status.set(|now| now.appended += chunk.len() as u64);
        std::thread::sleep(pause);
    }
    tracing::info!(events = DEMO_EVENTS, "demo events are in");
    if !once {
        return;
    }
    loop {
        let now = status.get();
        let newest = status.stored.newest();
        let is_sent = now.sinks.values().all(|sink| sink.position >= newest);
        let position = handles.store.position(Partition(0)).unwrap_or_default();
        if position.0 >= last && is_sent {
            // The service may have ended by itself.
            let _ = handles.control.send(Control::Shutdown);
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
