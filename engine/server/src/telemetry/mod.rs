//! What the service tells of itself: lines on standard error, and spans to a collector.
//!
//! Both come from `tracing`. Lines are made of its events and spans of its spans, so that neither changes when the other is
//! switched on. Rejected: the SDK of OpenTelemetry, which brings 20 packages for a queue and a message that has seven fields.

mod encode;
mod export;
mod spans;
#[cfg(test)]
mod tests;

pub(crate) use export::{Counts, Traces};
pub(crate) use spans::{TRACES, traceparent, unix_nanos};

use crate::config::{Config, TelemetryFormat};
use crate::terminal::ColorChoice;
use spans::{Sampling, Spans};
use std::io;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

/// Begins to tell. What is given back sends what is left when it is told to end.
pub(crate) fn begin(config: &Config, color: ColorChoice) -> Option<Traces> {
    let level = config
        .telemetry
        .level
        .parse()
        .unwrap_or(tracing::Level::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false);
    let lines = match config.telemetry.format {
        TelemetryFormat::Json => lines.json().flatten_event(true).boxed(),
        TelemetryFormat::Text => {
            let is_colored = !color.palette(&io::stderr()).reset.is_empty();
            lines.with_ansi(is_colored).boxed()
        }
    };
    let is_line = filter_fn(move |about| about.is_event() && *about.level() <= level);
    let lines = lines.with_filter(is_line.with_max_level_hint(level));
    let traces = (!config.traces.otlp.is_empty()).then(|| Traces::start(&config.traces));
    let spans = traces.as_ref().map(|traces| {
        let is_ours = filter_fn(|about| about.is_span() && about.target() == TRACES);
        let sampling = Sampling::of(config.traces.sample_ratio);
        Spans::new(traces.queue(), sampling)
            .with_filter(is_ours.with_max_level_hint(LevelFilter::INFO))
    });
    let set = tracing_subscriber::registry()
        .with(lines)
        .with(spans)
        .try_init();
    // There is one service in a process, so nobody was before.
    debug_assert!(set.is_ok());
    traces
}
