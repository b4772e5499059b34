//! The state of one plugin, and of one call of it.

use super::clock::Clock;
use super::events::{self, EventRows, Value};
use super::http::{self, Client, Secrets};
use super::kv::Kv;
use super::log::{CallLog, Level};
use super::lookup::{Table, TableFault};
use super::metrics::Metrics;
use super::random::{self, TooMuch};
use super::reads::Asking;
use super::{Fault, FaultKind};
use crate::operator::{Rights, SecretSource};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;
use tripline_core::diagnostic::Printable;

/// Why what a plugin was granted cannot be given.
#[derive(Debug, Error)]
pub enum SharedFault {
    /// A file is not there, or not what it should be.
    #[error("the table `{name}` cannot be read: {path}")]
    Table {
        /// As the plugin calls it.
        name: String,
        /// Where it is to be.
        path: String,
        /// Why.
        source: TableFault,
    },
    /// It is not where the operator said, or it is unusable.
    #[error("the secret `{name}` cannot be used: {why}")]
    Secret {
        /// As the plugin calls it.
        name: String,
        /// Why; never what it is.
        why: &'static str,
    },
    /// Nothing can be sent.
    #[error("requests cannot be sent: {0}")]
    Http(String),
}

/// What all instances of one plugin share.
pub struct Shared {
    rights: Rights,
    clock: Arc<dyn Clock>,
    kv: Option<Arc<Kv>>,
    tables: BTreeMap<String, Table>,
    metrics: Metrics,
    http: Option<Client>,
}

/// What a plugin needs from outside of its rights.
pub struct Means<'m> {
    /// Where relative paths of the operator file begin.
    pub base: &'m Path,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Its memory, when it was granted one.
    pub kv: Option<Arc<Kv>>,
    /// Gives a secret.
    pub secret: &'m dyn Fn(&SecretSource) -> Option<String>,
    /// Requests to the outside.
    pub requests_per_minute: u64,
}

impl Shared {
    /// Reads the tables and the secrets; refuses when one of them is not there.
    pub fn open(rights: Rights, means: Means<'_>) -> Result<Self, SharedFault> {
        let mut tables = BTreeMap::new();
        for (name, path) in &rights.lookup {
            let path = means.base.join(path);
            let table = Table::open(&path);
            let table = table.map_err(|source| SharedFault::Table {
                name: name.clone(),
                path: Printable(&path.to_string_lossy()).to_string(),
                source,
            })?;
            tables.insert(name.clone(), table);
        }
        let http = match rights.http.granted.is_empty() {
            true => None,
            false => {
                let secrets = Secrets::gather(&rights.http, means.secret)
                    .map_err(|(name, why)| SharedFault::Secret { name, why })?;
                let rights = rights.http.clone();
                let client = Client::new(rights, secrets, means.requests_per_minute);
                Some(client.map_err(SharedFault::Http)?)
            }
        };
        Ok(Self {
            metrics: Metrics::new(&rights.metrics),
            kv: means.kv.filter(|_| rights.kv.is_some()),
            clock: means.clock,
            tables,
            http,
            rights,
        })
    }

    /// What the plugin may do.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Its counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// One call of a plugin: what its imports lead to.
pub struct Call {
    shared: Arc<Shared>,
    events: Option<Arc<dyn EventRows>>,
    deadline: Instant,
    log: CallLog,
    asking: Option<Asking>,
}

impl Call {
    /// A call about these events that has to be done at `deadline`.
    pub fn new(shared: Arc<Shared>, events: Option<Arc<dyn EventRows>>, deadline: Instant) -> Self {
        Self {
            shared,
            events,
            deadline,
            log: CallLog::default(),
            asking: None,
        }
    }

    /// The same, with a way to ask services.
    pub(crate) fn asking(self, asking: Option<Asking>) -> Self {
        Self { asking, ..self }
    }

    /// What all calls share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What was written, at the end of the call.
    pub fn into_log(self) -> CallLog {
        self.log
    }

    /// What was written so far; leaves nothing, so that an instance can be used for the next call.
    pub fn take_log(&mut self) -> CallLog {
        std::mem::take(&mut self.log)
    }

    /// `log.write`.
    pub fn log(&mut self, level: Level, message: &str, fields: &[(String, String)]) {
        if !self.shared.rights.log {
            self.log.dropped += 1;
            return;
        }
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        self.log.write(level, message, fields);
    }

    /// `clock.now-ms`; 0 when no clock was granted.
    pub fn now_ms(&self) -> u64 {
        match self.shared.rights.clock {
            true => self.shared.clock.now_ms(),
            false => 0,
        }
    }

    /// `random.bytes`; what is not given is a trap.
    pub fn random(&self, count: u32) -> Result<Vec<u8>, TooMuch> {
        match self.shared.rights.random {
            true => random::bytes(count),
            false => Err(TooMuch(count)),
        }
    }

    fn kv(&self) -> Result<(&Kv, u64), Fault> {
        let kv = self.shared.kv.as_deref();
        let kv = kv.ok_or_else(|| Fault::denied("`kv` is not granted"))?;
        Ok((kv, self.shared.clock.now_ms()))
    }

    /// `kv.get`.
    pub fn kv_get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let (kv, now_ms) = self.kv()?;
        kv.get(keys, now_ms)
    }

    /// `kv.set`.
    pub fn kv_set(&self, entries: &[(String, Vec<u8>)], ttl_ms: u64) -> Result<(), Fault> {
        let (kv, now_ms) = self.kv()?;
        kv.set(entries, ttl_ms, now_ms)
    }

    /// `kv.add`.
    pub fn kv_add(&self, key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Fault> {
        let (kv, now_ms) = self.kv()?;
        kv.add(key, delta, ttl_ms, now_ms)
    }

    /// `kv.delete`.
    pub fn kv_delete(&self, keys: &[String]) -> Result<(), Fault> {
        let (kv, _) = self.kv()?;
        kv.delete(keys)
    }

    fn table(&self, name: &str) -> Result<&Table, Fault> {
        let table = self.shared.tables.get(name);
        table.ok_or_else(|| {
            let message = format!("no table `{name:.80}` is granted");
            Fault::new(FaultKind::NotFound, message)
        })
    }

    /// `lookup.columns`.
    pub fn lookup_columns(&self, table: &str) -> Result<Vec<String>, Fault> {
        Ok(self.table(table)?.columns())
    }

    /// `lookup.find`.
    pub fn lookup_find(&self, table: &str, keys: &[String]) -> Result<Vec<u8>, Fault> {
        self.table(table)?.find(keys)
    }

    fn events(&self) -> Result<&dyn EventRows, Fault> {
        if !self.shared.rights.events {
            return Err(Fault::denied("`events` is not granted"));
        }
        let events = self.events.as_deref();
        events.ok_or_else(|| Fault::input("there is no batch at hand"))
    }

    /// `events.get`.
    pub fn event_get(&self, row: u32, path: &str) -> Result<Value, Fault> {
        events::get(self.events()?, row, path)
    }

    /// `events.raw`.
    pub fn event_raw(&self, row: u32) -> Result<Vec<u8>, Fault> {
        events::raw(self.events()?, row)
    }

    /// `metrics.add`.
    pub fn metric_add(&self, name: &str, delta: u64) {
        self.shared.metrics.add(name, delta);
    }

    /// `metrics.observe`.
    pub fn metric_observe(&self, name: &str, value: f64) {
        self.shared.metrics.observe(name, value);
    }

    /// `http.send`. Takes no longer than the call has left.
    pub fn http_send(&self, request: &http::Request) -> Result<http::Response, Fault> {
        let client = self.shared.http.as_ref();
        let client = client.ok_or_else(|| Fault::denied("`http` is not granted"))?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        client.send(request, left, self.shared.clock.now_ms())
    }

    /// `reads.read`. Takes no longer than the call has left.
    pub fn read(&mut self, operation: &str, parameters: &str) -> Result<String, Fault> {
        if !self.shared.rights.reads.iter().any(|one| one == operation) {
            return Err(Fault::denied(format!("`{operation:.128}` is not granted")));
        }
        let asking = self.asking.as_mut();
        let asking = asking.ok_or_else(|| Fault::denied("there is no plan at hand"))?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        asking.read(operation, parameters, left)
    }
}
