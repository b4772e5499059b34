//! The service as a whole: opens what it needs, runs one epoch after the other, and ends in order.
//!
//! Ends in this order: no new events are taken, the worker finishes what it began and keeps what rules remember, sinks
//! finish the batch at hand, requests get their answers. A second signal ends at once; nothing acknowledged is lost by that.

use super::assignment::Assignment;
use super::bus::{self, Opened};
use super::clock::now;
use super::desk::{Decisions, Desk};
use super::door::Door;
use super::driver::DriveFault;
use super::epochs::{Epochs, check_exact};
use super::http::{
    Api, Audience, Control, channel_message, decide_message, serve, vote_message,
    watch as watch_readiness,
};
use super::learnt;
use super::opening::open_store;
use super::outboxes::{SinkRun, run_sink};
use super::partitions::Partitions;
use super::pulling::Pulling;
use super::rules::Prepared;
use super::sharing::{self, shorten};
use super::sink::{self, Sink, SinkError, Surroundings};
use super::status::Status;
use super::tls;
use super::versions::Versions;
use crate::channel::ids::IdsFault;
use crate::config::{Config, ConfigError, From, RulesFrom};
use crate::remediation::facts::Facts;
use crate::remediation::learning::Learning;
use crate::remediation::planners::Planners;
use crate::remediation::targets::Targets;
use crate::remediation::{
    Remediation, policies, running, settings, sink as answering, telling, world::World,
};
use crate::terminal::ColorChoice;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tripline_bus::nats::{Answering, NatsConnection, Question};
use tripline_core::evaluate::DecisionDefaults;
use tripline_core::limits::OUTBOX_FINDINGS_MAX;
use tripline_core::pipeline::OutboxSettings;
use tripline_core::port::{Ledger, PortFault, Sequence, Store};
use tripline_host::grant::kv::Stores;
use tripline_remediation::engine::Engine;
use tripline_store::shared::SharedStore;

/// Why the service cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    RuleFiles(#[from] crate::rule_files::RuleFilesError),
    #[error(transparent)]
    Plugins(#[from] crate::plugins::PluginsError),
    #[error(transparent)]
    Destination(#[from] crate::channel::destination::DestinationError),
    #[error("the rules that members share: {0}")]
    Published(String),
    #[error("no rule is left to evaluate; `tripline check` tells why")]
    NoRules,
    #[error("{path}: the folder cannot be made")]
    Folder { path: PathBuf, source: io::Error },
    #[error("the log cannot be opened")]
    Log(#[source] PortFault),
    #[error(
        "not everything that was found could be stored; make room or see to the store, and evaluate the stretch again"
    )]
    NotStored,
    #[error("what was pushed already cannot be known")]
    Ids(#[source] IdsFault),
    #[error("channels.{setting}: {words}")]
    Tls {
        setting: &'static str,
        words: String,
    },
    #[error("the store cannot be opened")]
    Store(#[source] PortFault),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("{0}")]
    NatsFile(String),
    #[error(
        "requests cannot be answered on decisions.subject, channels.nats_subject or remediation.votes_subject"
    )]
    Nats(#[source] PortFault),
    #[error(
        "several partitions, and rules that would see only a part of what they must see:\n  {}\nadd it to the key, give another \
         nats.partition_by, or allow them (nats.inexact_rules)", .0.join("\n  ")
    )]
    Inexact(Vec<String>),
    #[error("http.token_file: {0}")]
    Token(String),
    #[error("cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error("the threads of the API cannot be started")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Drive(#[from] DriveFault),
    #[error("nothing can be evaluated again: {0}")]
    Replay(String),
    #[error("remediation: {0}")]
    Remediation(String),
    #[error("{0}")]
    StateFrom(String),
    #[error("another process took the data over")]
    Fenced,
    #[error(
        "the log or the store failed and cannot be trusted until it is opened again; what was said above tells why"
    )]
    Failed,
}

/// How often what is too old is looked for.
const FORGETS_EVERY: Duration = Duration::from_secs(600);

const MIB: u64 = 1024 * 1024;

/// A sink and how its outbox goes about it.
type Built = (OutboxSettings, Box<dyn Sink>);

/// What others on this process need of the service.
pub(crate) struct Handles {
    pub(crate) partitions: Partitions,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) status: Arc<Status>,
    pub(crate) control: Sender<Control>,
}

/// The service.
pub(crate) struct Service {
    config: Config,
    color: ColorChoice,
    partitions: Partitions,
    door: Arc<Door>,
    assignment: Arc<Assignment>,
    store: Arc<dyn Store>,
    shared: Option<Arc<SharedStore>>,
    versions: Option<Arc<Versions>>,
    status: Arc<Status>,
    desk: Arc<Desk>,
    control: (Sender<Control>, Receiver<Control>),
    first: Arc<Prepared>,
    /// What plugins keep for later, whatever rules are in force.
    stores: Arc<Stores>,
}

impl Service {
    /// Opens everything, so that what is wrong is told before anything runs.
    pub(crate) fn open(config: Config, color: ColorChoice) -> Result<Self, ServeError> {
        raise_descriptors();
        let stores = Arc::default();
        let own = match config.store.rules {
            RulesFrom::Own => Some(Prepared::read(&config, Arc::clone(&stores), color)?),
            RulesFrom::Members => None,
        };
        make_folder(&config.data)?;
        let Opened { logs, shared } = bus::open(&config)?;
        let partitions = Partitions::new(logs, &config.nats.partition_by);
        if let Some(own) = &own {
            check_exact(&config, &partitions, own)?;
        }
        let open_store = || open_store(&config);
        let count = partitions.count();
        let (store, assignment, shared): (Arc<dyn Store>, _, _) = match shared {
            None => {
                let store = open_store().map_err(ServeError::Store)?;
                if let Some(own) = &own {
                    learnt::begin_with(&config, &store, own)?;
                }
                (Arc::new(store), Assignment::alone(count), None)
            }
            Some(shared) => {
                let (store, assignment) =
                    sharing::open(shared, &open_store, count).map_err(ServeError::Store)?;
                let store = Arc::new(store);
                (store.clone(), assignment, Some(store))
            }
        };
        let versions = shared.clone().filter(|_| own.is_none());
        let versions = versions.map(|shared| {
            Arc::new(Versions::new(
                shared,
                &config,
                color,
                &partitions,
                Arc::clone(&stores),
            ))
        });
        let first = match (own, &versions) {
            (Some(own), _) => Arc::new(own),
            (None, None) => return Err(ServeError::NoRules),
            (None, Some(versions)) => {
                store.set_now(now());
                let (first, lacks) = versions.first()?;
                if let Some(words) = lacks {
                    tracing::error!(
                        fault = words,
                        "published rules not taken; partitions are left to others"
                    );
                    assignment.tell(|now| now.lacks_rules = words);
                }
                first
            }
        };
        let door = Door::open(&config, &partitions, bus::event_bytes_max(&config))?;
        Ok(Self {
            config,
            color,
            partitions,
            door: Arc::new(door),
            assignment: Arc::new(assignment),
            store,
            shared,
            versions,
            status: Arc::default(),
            desk: Arc::default(),
            control: channel(),
            first,
            stores,
        })
    }

    /// What others on this process need of it.
    pub(crate) fn handles(&self) -> Handles {
        Handles {
            partitions: self.partitions.clone(),
            store: self.store.clone(),
            status: self.status.clone(),
            control: self.control.0.clone(),
        }
    }

    /// Runs until it is asked to end. `listening` gets the address of the API.
    pub(crate) fn run(
        self,
        listening: impl FnOnce(Option<std::net::SocketAddr>),
    ) -> Result<(), ServeError> {
        let mut sinks = self.sinks()?;
        let ledger = self.remediation_ledger()?;
        let remediation = self.remediation(ledger.clone())?;
        let learning = match &remediation {
            Some(engine) => {
                let folder = self.config.data.join("remediation");
                let channels = &self.config.remediation.channels;
                let facts = match &ledger {
                    None => None,
                    Some(_) => {
                        let ledger =
                            bus::known_ledger(&self.config).map_err(ServeError::Remediation)?;
                        Some(Facts::new(Arc::new(ledger), self.assignment.me(), &folder))
                    }
                };
                let opened = Learning::open(engine.clone(), &folder, channels, facts);
                Some(Arc::new(opened.map_err(ServeError::Remediation)?))
            }
            None => None,
        };
        let decisions = self.decisions();
        self.store.set_now(now());
        let newest = self.store.newest().map_err(ServeError::Store)?;
        self.status.stored.tell(newest);
        self.register_sinks(newest)?;
        if let (Some(engine), Some(learning)) = (&remediation, &learning) {
            let settings = OutboxSettings {
                sink: answering::NAME.to_owned(),
                batch: OUTBOX_FINDINGS_MAX.min(100),
                tries_max: None,
                waiting_max: None,
            };
            let sink = answering::Answering {
                engine: engine.clone(),
                learning: Arc::clone(learning),
                store: self.store.clone(),
                channels: self.config.remediation.channels.clone(),
            };
            sinks.push((settings, Box::new(sink)));
        }
        let api = self.api(remediation.clone())?;
        let _answering = self.answering(&api)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(ServeError::Runtime)?;
        let (close, closed) = watch::channel(());
        let pulling = Pulling::new(api.clone(), &self.config);
        let (watched, watched_until) = (api.clone(), closed.clone());
        let mut servers = Vec::new();
        let mut address = None;
        if !self.config.http.listen.is_empty() {
            let listener = listen(&runtime, self.config.listen()?)?;
            address = listener.local_addr().ok();
            let until = gone(closed.clone());
            servers.push(runtime.spawn(serve(listener, api.clone(), Audience::All, until)));
        }
        let channels = &self.config.channels;
        if let Some(wanted) = channels.address().map_err(ServeError::NatsFile)? {
            let tls = tls::acceptor(channels)?;
            let listener = listen(&runtime, wanted)?;
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, tls = tls.is_some(), "channels listening");
            }
            let until = gone(closed);
            let audience = Audience::Partners(tls);
            servers.push(runtime.spawn(serve(listener, api, audience, until)));
        }
        runtime.spawn(watch_readiness(watched, gone(watched_until)));
        listening(address);
        let Self {
            config,
            color,
            partitions,
            door,
            assignment,
            store,
            shared,
            versions,
            status,
            desk,
            control,
            first,
            stores,
        } = self;
        if let Some(address) = address {
            assignment.tell(|words| words.address = address.to_string());
        }
        let is_gone = AtomicBool::new(false);
        // Others go on with what this process had when it says nothing any more.
        let is_silent = AtomicBool::new(false);
        let has_actions = ledger.is_some();
        let is_ending = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            for (settings, mut sink) in sinks {
                let acting = remediation.as_ref();
                let acting = acting.filter(|_| settings.sink == answering::NAME);
                let run = SinkRun {
                    acting,
                    store: store.as_ref(),
                    status: &status,
                    is_ending: &is_ending,
                    assignment: &assignment,
                    settings,
                };
                scope.spawn(move || run_sink(&run, sink.as_mut()));
            }
            scope.spawn(|| assignment.run(&is_silent));
            scope.spawn(|| door.run(&assignment, &is_gone));
            scope.spawn(|| pulling.run(&is_gone));
            if let Some(learning) = &learning {
                scope.spawn(|| learning.follow(&is_gone));
            }
            if let Some(engine) = &remediation {
                let folder = config.data.join("remediation");
                let settings = (&config.remediation, folder.as_path());
                let among = running::Among {
                    partitions: &partitions,
                    assignment: &assignment,
                    ledger,
                    is_silent: &is_silent,
                };
                running::start(scope, (engine, among), settings, &is_gone);
            }
            if let Some(shared) = &shared {
                let (assignment, status, failed) = (&assignment, &status, control.0.clone());
                let is_gone = &is_gone;
                scope.spawn(move || sharing::watch(shared, assignment, status, &failed, is_gone));
                let every = config.store.shorten_every;
                scope.spawn(move || shorten(shared, assignment, every, is_gone));
            }
            let (stop_forgetting, stopped) = channel::<()>();
            let (forgetful, retention) = (store.clone(), config.history.retention.period());
            let forgets = assignment.clone();
            scope.spawn(move || {
                loop {
                    forgetful.set_now(now());
                    let forgotten = match forgets.sends() {
                        true => forgetful.forget_before(now().minus(retention)),
                        false => Ok(0),
                    };
                    match forgotten {
                        Ok(0) => {}
                        Ok(count) => tracing::info!(count, "findings forgotten"),
                        Err(fault) => tracing::error!(%fault, "forgetting failed"),
                    }
                    match stopped.recv_timeout(FORGETS_EVERY) {
                        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                        _ => return,
                    }
                }
            });
            let epochs = Epochs {
                config: &config,
                color,
                stores: &stores,
                partitions: &partitions,
                assignment: &assignment,
                store: store.as_ref(),
                door: &door,
                versions: versions.as_deref(),
                status: &status,
                desk: &desk,
                decisions,
                control: &Mutex::new(control.1),
                back: control.0,
                remediation: remediation.as_ref(),
                learning: learning.as_deref(),
            };
            let ended = epochs.run(first);
            is_gone.store(true, Ordering::Relaxed);
            if !has_actions {
                is_silent.store(true, Ordering::Relaxed);
            }
            leave_in_time(ended.is_ok());
            is_ending.store(true, Ordering::Relaxed);
            status.stored.tell(status.stored.newest());
            drop(stop_forgetting);
            ended
        });
        drop(close);
        for server in servers {
            let _ = runtime
                .block_on(async { tokio::time::timeout(Duration::from_secs(5), server).await });
        }
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended
    }

    /// Makes every sink of the configuration known to the store, which keeps for it what it has yet to take. One that is new
    /// begins with what is found from now on, unless it says otherwise.
    fn register_sinks(&self, newest: Sequence) -> Result<(), ServeError> {
        let known = self.store.sinks().map_err(ServeError::Store)?;
        for (name, config) in &self.config.sinks {
            if known.iter().any(|(one, _)| one == name) {
                continue;
            }
            let from = match config.from {
                Some(From::Beginning) => Sequence(0),
                Some(From::Now) | None => newest,
            };
            self.store
                .sink_reached(name, from, &[])
                .map_err(ServeError::Store)?;
        }
        let is_new = !known.iter().any(|(name, _)| name == answering::NAME);
        if !self.config.remediation.enabled && !is_new {
            // What is found while nobody wants answers is not answered later.
            let name = answering::NAME;
            self.store.forget_sink(name).map_err(ServeError::Store)?;
        }
        if self.config.remediation.enabled && is_new {
            // What was found before nobody wanted answered.
            self.store
                .sink_reached(answering::NAME, newest, &[])
                .map_err(ServeError::Store)?;
        }
        let unknown: Vec<String> = known
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !self.config.sinks.contains_key(name))
            .filter(|name| name != answering::NAME)
            .collect();
        for sink in &unknown {
            let words = "it is not in the configuration; what it has yet to take is kept until it is there again, or until \
                         `DELETE /v1/sinks/NAME`";
            tracing::warn!(sink, words, "sink unknown");
        }
        self.status.set(|now| now.sinks_unknown = unknown);
        Ok(())
    }

    /// What the journal of remediation is, when several share the work and it is to be done.
    fn remediation_ledger(&self) -> Result<Option<Arc<dyn Ledger>>, ServeError> {
        if !self.config.remediation.enabled || self.shared.is_none() {
            return Ok(None);
        }
        let ledger = bus::remediation_ledger(&self.config).map_err(ServeError::Remediation)?;
        Ok(Some(Arc::new(ledger)))
    }

    /// The engine that answers findings, when it is to.
    fn remediation(
        &self,
        ledger: Option<Arc<dyn Ledger>>,
    ) -> Result<Option<Remediation>, ServeError> {
        let config = &self.config.remediation;
        if !config.enabled {
            return Ok(None);
        }
        let wrong = ServeError::Remediation;
        let installed = super::plugins_of(&self.config).read()?;
        let planner = Planners::start(&installed)?;
        let mut read = policies::read_with(&config.policies, planner.as_deref())?;
        read.keep_to_roles(&config.roles, config.own_credentials);
        for complaint in read.complaints(self.color.palette(&io::stderr())) {
            eprintln!("{complaint}");
        }
        let folder = self.config.data.join("remediation");
        let key = settings::checkpoint_key(&folder).map_err(wrong)?;
        let public = key.public();
        let targets = Targets::new(config.http.clone()).map_err(wrong)?;
        let world = World::new(&config.endpoint).with_targets(targets);
        let mut settings = settings::settings(config, &folder).map_err(wrong)?;
        settings.planner = planner;
        let opened = match ledger {
            None => Engine::open(&folder, world, settings, key),
            Some(ledger) => {
                let told = telling::told_by_any(ledger.as_ref());
                settings.told = told.map_err(|fault| wrong(crate::causes::with_causes(&fault)))?;
                let shared = (ledger, self.assignment.me().to_owned());
                Engine::open_shared(&folder, shared, world, settings, key)
            }
        };
        let (engine, opened) = opened.map_err(|fault| wrong(crate::causes::with_causes(&fault)))?;
        tracing::info!(
            policies = read.policies.policies.len(),
            records = opened.records,
            cut = opened.cut,
            checkpoints = public,
            "remediation"
        );
        engine.set_policies(read.policies);
        Ok(Some(Arc::new(engine)))
    }

    fn sinks(&self) -> Result<Vec<Built>, ServeError> {
        let around = Surroundings {
            store: self.store.clone(),
            descriptions: self.status.descriptions.clone(),
            palette: self.color.palette(&io::stdout()),
        };
        let mut sinks = Vec::new();
        for (name, config) in &self.config.sinks {
            let settings = OutboxSettings {
                sink: name.clone(),
                batch: config.batch.unwrap_or(100).min(OUTBOX_FINDINGS_MAX),
                tries_max: config.tries_max,
                waiting_max: config.waiting_max,
            };
            let nats = || bus::connect_settings(&self.config.nats);
            sinks.push((settings, sink::build(name, config, around.clone(), &nats)?));
        }
        Ok(sinks)
    }

    /// Answers questions and takes events by NATS, when it is to.
    fn answering(&self, api: &Arc<Api>) -> Result<Vec<Answering>, ServeError> {
        let (decisions, channels, votes) = (
            &self.config.decisions.subject,
            &self.config.channels.nats_subject,
            &self.config.remediation.votes_subject,
        );
        let mut answering = Vec::new();
        if decisions.is_empty() && channels.is_empty() && votes.is_empty() {
            return Ok(answering);
        }
        let settings = bus::connect_settings(&self.config.nats)?;
        let connection = NatsConnection::open(&settings).map_err(ServeError::Nats)?;
        if !decisions.is_empty() {
            let api = api.clone();
            let answer = move |question: Question| decide_message(api.clone(), question.body);
            let one = connection.answer(decisions, "tripline", answer);
            answering.push(one.map_err(ServeError::Nats)?);
        }
        if !channels.is_empty() {
            let api = api.clone();
            let answer = move |question| channel_message(api.clone(), question);
            let one = connection.answer(&format!("{channels}.*"), "tripline-channels", answer);
            answering.push(one.map_err(ServeError::Nats)?);
        }
        if !votes.is_empty() {
            let api = api.clone();
            let answer = move |question: Question| vote_message(api.clone(), question.body);
            let one = connection.answer(votes, "tripline-votes", answer);
            answering.push(one.map_err(ServeError::Nats)?);
        }
        Ok(answering)
    }

    fn decisions(&self) -> Decisions {
        let config = &self.config.decisions;
        Decisions {
            defaults: DecisionDefaults {
                unmatched: config.unmatched.effect(),
                undecided: config.undecided.effect(),
            },
            deadline: config.deadline.duration(),
            has_threads: config.threads > 0,
        }
    }

    fn api(&self, remediation: Option<Remediation>) -> Result<Arc<Api>, ServeError> {
        let http = &self.config.http;
        let token = match http.token_file.as_str() {
            "" => None,
            path => Some(
                sink::read_secret(Path::new(path))
                    .map_err(|words| ServeError::Token(format!("{path}: {words}")))?,
            ),
        };
        let streams_mib = u32::try_from(http.memory_max_mib / 4)
            .unwrap_or(u32::MAX)
            .max(2);
        Ok(Arc::new(Api {
            partitions: self.partitions.clone(),
            door: self.door.clone(),
            assignment: self.assignment.clone(),
            store: self.store.clone(),
            versions: self.versions.clone(),
            status: self.status.clone(),
            control: self.control.0.clone(),
            desk: self.desk.clone(),
            decisions: self.decisions(),
            token,
            body_bytes_max: usize::try_from(http.body_max_mib * MIB).unwrap_or(usize::MAX),
            inflated_bytes_max: http.inflated_max_mib * MIB,
            event_bytes_max: bus::event_bytes_max(&self.config),
            memory: Arc::new(Semaphore::new(http.memory_max_mib as usize)),
            memory_mib: u32::try_from(http.memory_max_mib).unwrap_or(u32::MAX),
            streams: Arc::new(Semaphore::new(streams_mib as usize)),
            streams_mib,
            data: self.config.data.clone(),
            free_bytes_min: self.config.data_free_min_mib * MIB,
            sinks: self.config.sinks.keys().cloned().collect(),
            remediation,
        }))
    }
}

fn listen(
    runtime: &tokio::runtime::Runtime,
    wanted: std::net::SocketAddr,
) -> Result<tokio::net::TcpListener, ServeError> {
    let bound = runtime.block_on(tokio::net::TcpListener::bind(wanted));
    bound.map_err(|source| ServeError::Listen {
        address: wanted.to_string(),
        source,
    })
}

/// Until the other end is gone.
async fn gone(mut closed: watch::Receiver<()>) {
    while closed.changed().await.is_ok() {}
}

/// How long sinks and requests may take to end; what a sink has yet to take is in the store.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// Ends the process in time, though a sink hangs in a write that nobody reads.
fn leave_in_time(is_well: bool) {
    thread::spawn(move || {
        thread::sleep(LEAVES_WITHIN);
        tracing::warn!("a sink or a request does not end; it is left");
        std::process::exit(if is_well { 0 } else { 2 });
    });
}

/// As many descriptors as the system allows: connections must not take those of the log.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Then there are fewer.
    let _ = setrlimit(Resource::Nofile, limit);
}

pub(super) fn make_folder(path: &Path) -> Result<(), ServeError> {
    tripline_bus::embedded::make_folder(path).map_err(|source| ServeError::Folder {
        path: path.to_owned(),
        source,
    })
}
