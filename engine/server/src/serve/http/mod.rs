//! The HTTP API: events in, findings and dead letters out, health, metrics, reload.
//!
//! Handlers only translate: what they ask of the log and the store blocks, so it is done on threads made for that. Bodies
//! are bounded before and after they are decompressed. With a token every request but the health checks must bear it;
//! the comparison takes equally long whatever the difference.

mod answer;
mod audit;
mod channel_admin;
mod channel_metrics;
mod channels;
mod dead;
mod decide;
mod events;
mod findings;
mod hec;
mod metrics;
mod otlp;
mod peers;
mod plugins;
mod readiness;
mod remediation;
mod streaming;
mod subjects;
mod totals;

pub(crate) use decide::decide_message;
pub(crate) use events::no_space;
pub(crate) use readiness::watch;
pub(crate) use remediation::vote_message;
pub(crate) use subjects::channel_message;

use crate::channel::auth::certificate::Certificate;

use super::assignment::Assignment;
use super::desk::{Decisions, Desk};
use super::door::Door;
use super::partitions::Partitions;
use super::status::Status;
use super::versions::Versions;
use crate::telemetry::TRACES;
use answer::Refusal;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, MatchedPath, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use peers::Peers;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;
use tracing::Span;
use tripline_core::port::Store;

/// What handlers share.
pub(crate) struct Api {
    pub(crate) partitions: Partitions,
    pub(crate) door: Arc<Door>,
    pub(crate) assignment: Arc<Assignment>,
    pub(crate) store: Arc<dyn Store>,
    /// Where members have their rules from each other.
    pub(crate) versions: Option<Arc<Versions>>,
    pub(crate) status: Arc<Status>,
    pub(crate) control: Sender<Control>,
    pub(crate) desk: Arc<Desk>,
    /// How long whoever asks for a decision waits, and what counts then.
    pub(crate) decisions: Decisions,
    pub(crate) token: Option<String>,
    pub(crate) body_bytes_max: usize,
    pub(crate) inflated_bytes_max: u64,
    pub(crate) event_bytes_max: usize,
    /// MiB that bodies may take together once they are decompressed.
    pub(crate) memory: Arc<Semaphore>,
    pub(crate) memory_mib: u32,
    /// MiB beside that which bodies that go on may take, for as long as they do.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) streams_mib: u32,
    /// The folder of the log and what must stay free where it is.
    pub(crate) data: PathBuf,
    pub(crate) free_bytes_min: u64,
    /// Sinks of the configuration.
    pub(crate) sinks: Vec<String>,
    /// What answers findings, when it is to.
    pub(crate) remediation: Option<crate::remediation::Remediation>,
}

/// What somebody asks of the service as a whole.
pub(crate) enum Control {
    /// Read the rules again; the answer is what is wrong with them, if anything.
    Reload(Option<oneshot::Sender<Result<String, String>>>),
    /// Finish what was begun, and end.
    Shutdown,
    /// The log takes nothing any more.
    Failed,
}

type Shared = Arc<Api>;

/// Most connections at a time; others wait to be accepted. Each may cost a body in memory and a descriptor.
const CONNECTIONS_MAX: usize = 256;

/// How long the head of a request may take to come, and a connection may be idle.
const HEAD_SECONDS: Duration = Duration::from_secs(15);

/// How long a request may take altogether, its body included.
const REQUEST_SECONDS: Duration = Duration::from_secs(120);

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Who is served.
pub(crate) enum Audience {
    /// Operators and programs of this service; partners too.
    All,
    /// Partners only, by TLS unless that ends before.
    Partners(Option<TlsAcceptor>),
}

/// How long a handshake may take.
const HANDSHAKE_SECONDS: Duration = Duration::from_secs(10);

/// Serves until `until` is done, then lets requests that were begun finish.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Shared,
    audience: Audience,
    until: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let door = api.door.clone();
    let peers = Peers::default();
    let (app, tls) = match audience {
        Audience::All => (app(api), None),
        Audience::Partners(tls) => (outer_app(api), tls),
    };
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut until = std::pin::pin!(until);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let permit = connections.clone().acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        let (stream, peer, permit) = tokio::select! {
            (Ok((stream, peer)), permit) = accepted => (stream, peer, permit),
            () = &mut until => break,
            // Out of descriptors: some come back when connections end.
            else => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(connected) = peers.connect(peer.ip(), door.is_proxy(peer.ip())) else {
            // Closed, and nothing said: there is nobody to tell who would not know.
            continue;
        };
        let inner = TowerToHyperService::new(app.clone());
        let service = move |certificate: Option<Arc<Certificate>>| {
            service_fn(move |mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer.ip()));
                if let Some(certificate) = &certificate {
                    request.extensions_mut().insert(certificate.clone());
                }
                inner.call(request)
            })
        };
        let (watcher, tls) = (graceful.watcher(), tls.clone());
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_SECONDS);
            // Whoever sends no HTTP, or goes away, is nothing to tell anybody of.
            match tls {
                None => {
                    let connection = builder.serve_connection(TokioIo::new(stream), service(None));
                    let _ = watcher.watch(connection).await;
                }
                Some(tls) => {
                    let shaken = tokio::time::timeout(HANDSHAKE_SECONDS, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        let certificates = stream.get_ref().1.peer_certificates();
                        let own = certificates.and_then(<[_]>::first);
                        let service = service(own.map(|one| Arc::new(Certificate::read(one))));
                        let connection = builder.serve_connection(TokioIo::new(stream), service);
                        let _ = watcher.watch(connection).await;
                    }
                }
            }
            drop((permit, connected));
        });
    }
    graceful.shutdown().await;
    Ok(())
}

fn app(api: Shared) -> Router {
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
        .route("/v1/sinks/{name}", delete(metrics::forget_sink))
        .route("/v1/channels", get(channel_admin::list))
        .route(
            "/v1/channels/{id}",
            get(channel_admin::one)
                .put(channel_admin::put)
                .delete(channel_admin::delete),
        )
        .route("/v1/channels/{id}/pause", post(channel_admin::pause))
        .route("/v1/channels/{id}/resume", post(channel_admin::resume))
        .route("/v1/channels/{id}/rotate", post(channel_admin::rotate))
        .route("/v1/channels/{id}/test", post(channel_admin::test))
        .route("/v1/remediation", get(remediation::status))
        .route("/v1/remediation/actions", get(remediation::list))
        .route("/v1/remediation/actions/{id}", get(remediation::one))
        .route(
            "/v1/remediation/actions/{id}/revert",
            post(remediation::revert),
        )
        .route(
            "/v1/remediation/actions/{id}/cancel",
            post(remediation::cancel),
        )
        .route(
            "/v1/remediation/actions/{id}/resolve",
            post(remediation::resolve),
        )
        .route("/v1/remediation/votes", post(remediation::vote))
        .route("/v1/remediation/switch", post(remediation::switch))
        .route("/v1/status", get(metrics::status))
        .route("/v1/reload", post(reload))
        .route("/v1/rules/publish", post(publish_rules))
        .route("/metrics", get(metrics::metrics))
        .layer(middleware::from_fn_with_state(api.clone(), authorize));
    Router::new()
        .route("/healthz", get(metrics::health))
        .route("/readyz", get(readiness::ready))
        .merge(guarded)
        .merge(doors())
        .fallback(|| async {
            Refusal::not_found("there is nothing here; see `tripline serve --help`")
        })
        .method_not_allowed_fallback(|| async { Refusal::method() })
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(traced))
        .layer(limit)
        .with_state(api)
}

/// What the ways in of partners take and answer, for their tools.
async fn openapi() -> Response {
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (kind, include_str!("openapi.json")).into_response()
}

/// The ways in of partners, who prove who they are to a channel.
fn doors() -> Router<Shared> {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route(
            "/v1/channels/{id}/events",
            post(channels::push).get(channels::challenge),
        )
        .route("/v1/channels/{id}/status", get(channels::status))
        .route("/PutAuditEvents", post(audit::put_audit_events))
        .route("/v1/logs", post(otlp::logs))
        .route("/v1/channels/{id}/v1/logs", post(otlp::logs_of))
        .merge(hec::doors())
}

/// What is there for partners alone.
fn outer_app(api: Shared) -> Router {
    Router::new()
        .route("/healthz", get(metrics::health))
        .merge(doors())
        .fallback(|| async { Refusal::not_found("there is nothing here") })
        .method_not_allowed_fallback(|| async { Refusal::method() })
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(traced))
        .with_state(api)
}

/// Tells of a request, in the trace that it names.
async fn traced(request: Request, next: Next) -> Response {
    let span = span_of(&request);
    let response = next.run(request).await;
    let status = response.status();
    span.record("http.response.status_code", u64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("fault", status.as_str());
    }
    response
}

fn span_of(request: &Request) -> Span {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    // The path as it was asked for may say who asks about what.
    let route = request.extensions().get::<MatchedPath>();
    tracing::info_span!(
        target: TRACES,
        parent: None,
        "request",
        kind = "server",
        traceparent = header("traceparent"),
        http.request.method = request.method().as_str(),
        http.route = route.map(MatchedPath::as_str),
        http.response.status_code = tracing::field::Empty,
        fault = tracing::field::Empty,
    )
}

/// Set by whoever answers a request that may take as long as it goes on.
#[derive(Clone, Default)]
struct Unhurried(Arc<AtomicBool>);

/// Answers in time, whatever becomes of the body.
async fn in_time(mut request: Request, next: Next) -> Response {
    let unhurried = Unhurried::default();
    request.extensions_mut().insert(unhurried.clone());
    let mut answer = pin!(next.run(request));
    loop {
        match tokio::time::timeout(REQUEST_SECONDS, &mut answer).await {
            Ok(response) => return response,
            Err(_) if unhurried.0.load(Ordering::Relaxed) => {}
            Err(_) => {
                let words = "the request did not come, or was not done, in time";
                let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", words);
                return refusal.into_response();
            }
        }
    }
}

/// Whether a request may come from a page that a browser of this machine shows: it names where it comes from, or a host
/// that is not this machine.
fn is_from_a_page(request: &Request) -> bool {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    let is_here = matches!(name, "localhost" | "[::1]")
        || name.parse::<Ipv4Addr>().is_ok_and(|one| one.is_loopback());
    request.headers().contains_key(ORIGIN) || !is_here
}

async fn authorize(State(api): State<Shared>, request: Request, next: Next) -> Response {
    let Some(token) = &api.token else {
        // Without a token, that it is asked from this machine is all that is known of whoever asks.
        return match is_from_a_page(&request) {
            false => next.run(request).await,
            true => Refusal::page().into_response(),
        };
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
    let words = read_again(&api).await?;
    Ok(answer::json(&serde_json::json!({ "reloaded": words })))
}

/// Makes what the files of this process say the rules of all that share the work.
async fn publish_rules(State(api): State<Shared>) -> Result<Response, Refusal> {
    let Some(versions) = api.versions.clone() else {
        let words = "nobody has rules from this process (store.rules is \"own\"); `POST /v1/reload` puts its files in force here";
        return Err(Refusal::conflict(words));
    };
    let words = read_again(&api).await?;
    let published = versions.published();
    Ok(answer::json(
        &serde_json::json!({ "published": published, "reloaded": words }),
    ))
}

/// Has the rules read again: what is in force then, or why it is not.
async fn read_again(api: &Api) -> Result<String, Refusal> {
    let (answer, answered) = oneshot::channel();
    let asked = api.control.send(Control::Reload(Some(answer)));
    if asked.is_err() {
        return Err(Refusal::ending());
    }
    match answered.await {
        Ok(Ok(words)) => Ok(words),
        Ok(Err(words)) => Err(Refusal::conflict(words)),
        Err(_) => Err(Refusal::ending()),
    }
}

/// The part of a path that a request is about.
fn part<T>(path: Result<Path<T>, PathRejection>) -> Result<T, Refusal> {
    path.map(|Path(part)| part)
        .map_err(|rejection| Refusal::bad(rejection.body_text()))
}

/// The part of a path that is a number.
fn number_in(path: Result<Path<String>, PathRejection>) -> Result<u64, Refusal> {
    number("the end of the path", &part(path)?)
}

/// A number that a query may give.
fn number_of<T: FromStr>(name: &str, given: Option<String>) -> Result<Option<T>, Refusal> {
    given.map(|text| number(name, &text)).transpose()
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        let words = format!(
            "{name} is a whole number, and not `{}`",
            shown.escape_debug()
        );
        Refusal::bad(words)
    })
}

/// The body of a request.
fn body_of(api: &Shared, body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let words = format!(
                "the body is longer than {} bytes (http.body_max_mib)",
                api.body_bytes_max
            );
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", words)
        }
        _ => Refusal::bad(rejection.body_text()),
    })
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
