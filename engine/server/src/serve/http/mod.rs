//! The HTTP API: events in, findings and dead letters out, health, metrics, reload.
//!
//! Handlers only translate: what they ask of the log and the store blocks, so it is done on threads made for that. Bodies
//! are bounded before and after they are decompressed. With a token every request but the health checks must bear it;
//! the comparison takes equally long whatever the difference.

mod answer;
mod dead;
mod decide;
mod events;
mod findings;
mod metrics;

use super::desk::{Decisions, Desk};
use super::status::Status;
use answer::Refusal;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tripline_core::port::{Bus, Store};

/// What handlers share.
pub(crate) struct Api {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) status: Arc<Status>,
    pub(crate) control: Sender<Control>,
    pub(crate) desk: Arc<Desk>,
    /// How long whoever asks for a decision waits, and what counts then.
    pub(crate) decisions: Decisions,
    pub(crate) token: Option<String>,
    pub(crate) body_bytes_max: usize,
    pub(crate) inflated_bytes_max: u64,
    pub(crate) event_bytes_max: usize,
}

/// What somebody asks of the service as a whole.
pub(crate) enum Control {
    /// Read the rules again; the answer is what is wrong with them, if anything.
    Reload(Option<oneshot::Sender<Result<String, String>>>),
    /// Finish what was begun, and end.
    Shutdown,
}

type Shared = Arc<Api>;

/// Serves until `until` is done, then lets requests that were begun finish.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Shared,
    until: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let limit = DefaultBodyLimit::max(api.body_bytes_max);
    let guarded = Router::new()
        .route("/v1/events", post(events::take))
        .route("/v1/events/{id}", get(findings::event))
        .route("/v1/findings", get(findings::list))
        .route("/v1/findings/{id}", get(findings::one))
        .route("/v1/decide", post(decide::decide))
        .route("/v1/dead-letters", get(dead::list))
        .route(
            "/v1/dead-letters/{number}",
            get(dead::one).delete(dead::drop),
        )
        .route("/v1/dead-letters/{number}/retry", post(dead::retry))
        .route("/v1/status", get(metrics::status))
        .route("/v1/reload", post(reload))
        .route("/metrics", get(metrics::metrics))
        .layer(middleware::from_fn_with_state(api.clone(), authorize));
    let app = Router::new()
        .route("/healthz", get(metrics::health))
        .route("/readyz", get(metrics::ready))
        .merge(guarded)
        .fallback(|| async {
            Refusal::not_found("there is nothing here; see `tripline serve --help`")
        })
        .method_not_allowed_fallback(|| async { Refusal::method() })
        .layer(limit)
        .with_state(api);
    axum::serve(listener, app)
        .with_graceful_shutdown(until)
        .await
}

async fn authorize(State(api): State<Shared>, request: Request, next: Next) -> Response {
    let Some(token) = &api.token else {
        return next.run(request).await;
    };
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let given = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or("");
    match is_same(token.as_bytes(), given.trim().as_bytes()) {
        true => next.run(request).await,
        false => Refusal::unauthorized().into_response(),
    }
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    use sha2::{Digest, Sha256};
    let (left, right) = (Sha256::digest(left), Sha256::digest(right));
    left.iter()
        .zip(right.iter())
        .fold(0, |differs, (a, b)| differs | (a ^ b))
        == 0
}

async fn reload(State(api): State<Shared>) -> Result<Response, Refusal> {
    let (answer, answered) = oneshot::channel();
    let asked = api.control.send(Control::Reload(Some(answer)));
    if asked.is_err() {
        return Err(Refusal::ending());
    }
    match answered.await {
        Ok(Ok(words)) => Ok(answer::json(&serde_json::json!({ "reloaded": words }))),
        Ok(Err(words)) => Err(Refusal::conflict(words)),
        Err(_) => Err(Refusal::ending()),
    }
}

/// Does what blocks on a thread made for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(Refusal::ours()),
    }
}
