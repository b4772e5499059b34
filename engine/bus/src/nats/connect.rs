//! The connection to the servers: logins, TLS, and the version demanded.
//!
//! It relies on the client to reconnect by itself, for ever. It must never let a secret into a message, nor work with a
//! server whose promises are weaker than what appends say. Rejected: one runtime for the whole process handed in, whose
//! owner would have to know that blocking calls come from inside it.

use super::denied::Denials;
use super::fault::{Doing, refused, retry};
use super::limits::{
    CLIENT_THREADS, CONNECT_TIMEOUT, PAUSE_FIRST, PAUSE_LONGEST, PING_EVERY, SERVER_MIN,
    TRY_TIMEOUT, UNANSWERED_MAX,
};
use super::refusal::{check_files, not_connected};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ClientError, ConnectOptions, Event, ServerAddr, ServerError};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tripline_core::port::PortFault;

/// How long the client may take to hear that it is to connect anew.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Who we are to the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nobody, or whom the client certificate names.
    None,
    /// Whoever has the token.
    Token(Secret),
    /// A user with a password.
    User {
        /// The user.
        name: String,
        /// The password.
        password: Secret,
    },
    /// The holder of a key: its seed.
    NKey(Secret),
    /// The text of a credentials file: a token of the operator's and a seed.
    Credentials(Secret),
}

/// TLS beside what the address says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Whose certificates are believed; those that the machine believes when there is none.
    pub authorities: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Nothing is said in the clear.
    pub is_required: bool,
    /// The server begins with TLS, before it says anything.
    pub is_first: bool,
}

/// Where the servers are and who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectSettings {
    /// Their addresses, `nats://host:port` or `tls://host:port`. Others of the cluster are learnt.
    pub urls: Vec<String>,
    /// Who we are.
    pub login: Login,
    /// TLS.
    pub tls: Tls,
    /// What the servers call this connection.
    pub name: String,
}

/// A connection, with the threads that it lives on.
pub(super) struct Connection {
    runtime: Option<Runtime>,
    pub(super) client: Client,
    pub(super) context: Context,
    denials: Arc<Denials>,
    /// Why there is no connection, while there is none.
    why: Arc<Mutex<Option<String>>>,
    /// Since when no question was answered.
    unanswered: Mutex<Option<Instant>>,
    /// How often the connection was lost.
    losses: watch::Receiver<u64>,
    urls: String,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, or says why not.
    pub(super) fn open(settings: &ConnectSettings) -> Result<Self, PortFault> {
        let urls = settings.urls.join(", ");
        let doing = Doing::new(format!("connect to NATS at {urls}"));
        let mut addresses = Vec::new();
        for url in &settings.urls {
            let address = url.parse::<ServerAddr>();
            let address = address.map_err(|fault| {
                refused(&doing, format!("the address {url} cannot be read: {fault}"))
            })?;
            addresses.push(address);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(CLIENT_THREADS)
            .thread_name("nats")
            .enable_all()
            .build()
            .map_err(|fault| retry(&doing, fault))?;
        check_files(&doing, &settings.tls)?;
        let heard = Heard::default();
        let (lost, losses) = watch::channel(0);
        let options = options(settings, heard.clone(), lost, &doing)?;
        let connected = runtime.block_on(async {
            tokio::time::timeout(
                CONNECT_TIMEOUT * addresses.len().max(1) as u32,
                options.connect(addresses),
            )
            .await
        });
        let client = match connected {
            Ok(Ok(client)) => client,
            Ok(Err(fault)) => return Err(not_connected(&doing, settings, &fault)),
            Err(_) => {
                return Err(retry(
                    &doing,
                    "no server answered in time; look at `urls` of [nats]",
                ));
            }
        };
        let info = client.server_info();
        check_version(&doing, &info.version)?;
        if !info.jetstream {
            return Err(refused(
                &doing,
                format!(
                    "the server {} has no JetStream; start it with `-js`, or with a `jetstream` section in its configuration",
                    info.server_name
                ),
            ));
        }
        // It starts a task of its own.
        let mut context = {
            let _entered = runtime.enter();
            jetstream::new(client.clone())
        };
        context.set_timeout(TRY_TIMEOUT);
        Ok(Self {
            runtime: Some(runtime),
            client,
            context,
            denials: heard.denials,
            why: heard.why,
            unanswered: Mutex::new(None),
            losses,
            urls,
        })
    }

    /// Runs something to its end on this thread.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime().block_on(work)
    }

    pub(super) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken only when dropped")
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Changes each time that the connection is lost from now on.
    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        let mut losses = self.losses.clone();
        losses.mark_unchanged();
        losses
    }

    /// A question was answered.
    pub(super) fn answered(&self) {
        *self.unanswered_lock() = None;
    }

    /// A question was not answered, though a server is connected. One that is cut off from the others of its cluster has
    /// nothing to say and does not go away: after some time of that another one is asked.
    pub(super) async fn unanswered(&self) {
        let is_long = {
            let mut unanswered = self.unanswered_lock();
            let since = *unanswered.get_or_insert_with(Instant::now);
            let is_long = since.elapsed() >= UNANSWERED_MAX;
            if is_long {
                *unanswered = None;
            }
            is_long
        };
        if is_long {
            // The client ends only with this connection. One that is full of what a silent server does not take hears of nothing
            // until it notices by itself, so it is not waited for.
            let asked = self.client.force_reconnect();
            let _ = tokio::time::timeout(RECONNECT_TIMEOUT, asked).await;
        }
    }

    fn unanswered_lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// That no server is connected, and why not as far as is known.
    pub(super) fn not_connected(&self) -> String {
        match &*self.why.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => format!("no server is connected ({why})"),
            None => "no server is connected".to_owned(),
        }
    }

    /// What a server refused us lately of what is being done, if it did; told once.
    pub(super) fn take_denied(&self, doing: &Doing) -> Option<String> {
        self.denials.take(doing.about())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Whoever drops it may be on a thread of another runtime, where waiting for this one is forbidden.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What is heard of the servers beside answers.
#[derive(Clone, Debug, Default)]
struct Heard {
    denials: Arc<Denials>,
    why: Arc<Mutex<Option<String>>>,
}

impl Heard {
    fn hear(&self, event: &Event) {
        let why = match event {
            Event::Connected => {
                // Whoever logs in anew may be permitted more.
                self.denials.forget();
                None
            }
            Event::ClientError(ClientError::Other(words)) => Some(words.clone()),
            Event::ServerError(ServerError::Other(words)) => {
                self.denials.hear(words);
                return;
            }
            _ => return,
        };
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

fn options(
    settings: &ConnectSettings,
    heard: Heard,
    lost: watch::Sender<u64>,
    doing: &Doing,
) -> Result<ConnectOptions, PortFault> {
    let mut options = ConnectOptions::new()
        .name(&settings.name)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(TRY_TIMEOUT))
        .ping_interval(PING_EVERY)
        .max_reconnects(None)
        .require_tls(settings.tls.is_required)
        .reconnect_delay_callback(|tries| {
            let doubled = PAUSE_FIRST * (1 << tries.min(6) as u32);
            doubled.min(PAUSE_LONGEST)
        })
        .event_callback(move |event| {
            if matches!(event, Event::Disconnected) {
                lost.send_modify(|count| *count += 1);
            }
            heard.hear(&event);
            async {}
        });
    if settings.tls.is_first {
        options = options.tls_first();
    }
    options = match &settings.login {
        Login::None => options,
        Login::Token(token) => options.token(token.0.clone()),
        Login::User { name, password } => {
            options.user_and_password(name.clone(), password.0.clone())
        }
        Login::NKey(seed) => options.nkey(seed.0.clone()),
        Login::Credentials(text) => options.credentials(&text.0).map_err(|_| {
            // Its own words may quote the text.
            refused(doing, "`credentials_file` of [nats] holds no credentials; it must be as `nsc generate creds` writes it")
        })?,
    };
    if let Some(authorities) = &settings.tls.authorities {
        options = options.add_root_certificates(authorities.clone());
    }
    if let Some((certificate, key)) = &settings.tls.identity {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

/// Refuses servers that cannot do what is asked of them.
fn check_version(doing: &Doing, version: &str) -> Result<(), PortFault> {
    let (major, minor, patch) = SERVER_MIN;
    if version_of(version).is_some_and(|found| found >= SERVER_MIN) {
        return Ok(());
    }
    Err(refused(
        doing,
        format!(
            "the server is version {}; {major}.{minor}.{patch} or newer is needed, since older ones cannot take several events as a whole",
            version.escape_debug()
        ),
    ))
}

fn version_of(text: &str) -> Option<(u64, u64, u64)> {
    let numbers = text.split(['-', '+']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse::<u64>().ok());
    let version = (parts.next()??, parts.next()??, parts.next()??);
    // What comes before a release is not it yet.
    match text.contains('-') && version == SERVER_MIN {
        true => None,
        false => Some(version),
    }
}

#[cfg(test)]
mod tests {
    use super::{Login, SERVER_MIN, Secret, version_of};

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (text, is_enough) in [
            ("2.15.1", true),
            ("2.12.1", true),
            ("3.0.0", true),
            ("2.14.0-RC.2", true),
            ("2.12.1-RC.1", false),
            ("2.12.0", false),
            ("2.9.10", false),
            ("2.12", false),
            ("", false),
            ("latest", false),
        ] {
            let found = version_of(text).is_some_and(|version| version >= SERVER_MIN);
            assert_eq!(found, is_enough, "{text}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        for login in [
            Login::Token(Secret::new("hush")),
            Login::NKey(Secret::new("hush")),
            Login::Credentials(Secret::new("hush")),
            Login::User {
                name: "anna".to_owned(),
                password: Secret::new("hush"),
            },
        ] {
            let shown = format!("{login:?}");
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}
