//! Whether the service takes events and evaluates them: asked by whoever sends it events, and watched, so that its log says when it no
//! longer does, also when nobody asks.

use super::answer::{Refusal, json, json_with};
use super::events::no_space;
use super::{Control, Shared, blocking};
use crate::causes::with_causes;
use crate::serve::status::StatusNow;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json as value;
use std::pin::pin;
use std::time::Duration;
use tripline_core::port::FaultClass;

/// How often it is looked.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

/// Looks, one after the other, by which a log is believed to take nothing any more. A stream that is gone does not come back, but a
/// server that only just started may not know of it yet.
const STOPPED_LOOKS: u32 = 3;

/// Why the service cannot take and evaluate events now.
pub(super) struct WhyNot {
    pub(super) words: String,
    /// It ends, or only begins.
    is_passing: bool,
    /// A log takes nothing any more.
    has_stopped: bool,
}

impl WhyNot {
    fn now(words: String) -> Self {
        Self {
            words,
            is_passing: false,
            has_stopped: false,
        }
    }
}

/// Whether it takes events and evaluates them.
pub(super) async fn ready(State(api): State<Shared>) -> Response {
    let why = blocking(move || Ok(why_not(&api, &api.status.get()))).await;
    match why {
        Ok(None) => json(&value!({ "status": "ready" })),
        Ok(Some(why)) => json_with(
            StatusCode::SERVICE_UNAVAILABLE,
            &value!({ "status": why.words }),
        ),
        Err(refusal) => refusal.into_response(),
    }
}

/// Why the service cannot take and evaluate events now; it may ask a server.
pub(super) fn why_not(api: &Shared, now: &StatusNow) -> Option<WhyNot> {
    let passing = |words: &str| WhyNot {
        is_passing: true,
        ..WhyNot::now(words.to_owned())
    };
    if now.is_draining {
        return Some(passing("draining"));
    }
    if !now.is_ready {
        return Some(passing("starting"));
    }
    let mut faults = api.partitions.all().filter_map(|(partition, log)| {
        let fault = log.span().err()?;
        let words = with_causes(&fault);
        let number = partition.0;
        Some(WhyNot {
            has_stopped: fault.class == FaultClass::Stop,
            ..WhyNot::now(format!(
                "the log of partition {number} cannot be looked at: {words}"
            ))
        })
    });
    now.commit_fault
        .clone()
        .or_else(|| no_space(api))
        .map(WhyNot::now)
        .or_else(|| faults.next())
}

/// Says in the log when the service cannot take and evaluate events, and when it can again. Ends it when its log is gone.
pub(crate) async fn watch(api: Shared, until: impl Future<Output = ()>) {
    let mut until = pin!(until);
    let mut told = false;
    let mut stopped = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOKS_EVERY) => {}
            () = &mut until => return,
        }
        let asked = api.clone();
        let why: Result<_, Refusal> =
            blocking(move || Ok(why_not(&asked, &asked.status.get()))).await;
        let Ok(why) = why else { continue };
        match &why {
            Some(why) if !why.is_passing && !told => {
                tracing::warn!(fault = why.words, "not ready");
                told = true;
            }
            None if told => {
                tracing::info!("ready again");
                told = false;
            }
            _ => {}
        }
        stopped = match &why {
            Some(why) if why.has_stopped => stopped + 1,
            _ => 0,
        };
        if stopped == STOPPED_LOOKS {
            // Nobody is there to hear it only when the service ends already.
            let _ = api.control.send(Control::Failed);
        }
    }
}
