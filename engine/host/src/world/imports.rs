//! The host's side of what plugins import: nothing but a way to `grant`.

use super::convert::{fault_out, value_out};
use super::generated::imports::tripline::plugin::{
    clock, events, http, kv, log, lookup, metrics, random, reads, types,
};
use crate::grant;
use crate::manifest::Capability;
use crate::state::{ForbiddenCall, State};
use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker};

/// Puts the interface of one capability into a linker.
pub(crate) fn link(linker: &mut Linker<State>, capability: Capability) -> Result<()> {
    type Own = HasSelf<State>;
    match capability {
        Capability::Log => log::add_to_linker::<State, Own>(linker, |state| state),
        Capability::Clock => clock::add_to_linker::<State, Own>(linker, |state| state),
        Capability::Random => random::add_to_linker::<State, Own>(linker, |state| state),
        Capability::Kv => kv::add_to_linker::<State, Own>(linker, |state| state),
        Capability::Lookup => lookup::add_to_linker::<State, Own>(linker, |state| state),
        Capability::Events => events::add_to_linker::<State, Own>(linker, |state| state),
        Capability::Http => http::add_to_linker::<State, Own>(linker, |state| state),
        Capability::Metrics => metrics::add_to_linker::<State, Own>(linker, |state| state),
        Capability::Reads => reads::add_to_linker::<State, Own>(linker, |state| state),
    }
}

impl types::Host for State {}

impl log::Host for State {
    fn write(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> Result<()> {
        let level = match level {
            log::Level::Trace => grant::log::Level::Trace,
            log::Level::Debug => grant::log::Level::Debug,
            log::Level::Info => grant::log::Level::Info,
            log::Level::Warn => grant::log::Level::Warn,
            log::Level::Error => grant::log::Level::Error,
        };
        self.call.log(level, &message, &fields);
        Ok(())
    }
}

impl clock::Host for State {
    fn now_ms(&mut self) -> Result<u64> {
        Ok(self.call.now_ms())
    }
}

impl random::Host for State {
    fn bytes(&mut self, count: u32) -> Result<Vec<u8>> {
        let bytes = self.call.random(count);
        bytes.map_err(|_| ForbiddenCall.into())
    }
}

impl kv::Host for State {
    fn get(&mut self, keys: Vec<String>) -> Result<Result<Vec<Option<Vec<u8>>>, types::Fault>> {
        Ok(self.call.kv_get(&keys).map_err(fault_out))
    }

    fn set(
        &mut self,
        entries: Vec<(String, Vec<u8>)>,
        ttl_ms: u64,
    ) -> Result<Result<(), types::Fault>> {
        Ok(self.call.kv_set(&entries, ttl_ms).map_err(fault_out))
    }

    fn add(&mut self, key: String, delta: i64, ttl_ms: u64) -> Result<Result<i64, types::Fault>> {
        Ok(self.call.kv_add(&key, delta, ttl_ms).map_err(fault_out))
    }

    fn delete(&mut self, keys: Vec<String>) -> Result<Result<(), types::Fault>> {
        Ok(self.call.kv_delete(&keys).map_err(fault_out))
    }
}

impl lookup::Host for State {
    fn columns(&mut self, table: String) -> Result<Result<Vec<String>, types::Fault>> {
        Ok(self.call.lookup_columns(&table).map_err(fault_out))
    }

    fn find(&mut self, table: String, keys: Vec<String>) -> Result<Result<Vec<u8>, types::Fault>> {
        Ok(self.call.lookup_find(&table, &keys).map_err(fault_out))
    }
}

impl events::Host for State {
    fn get(&mut self, row: u32, path: String) -> Result<Result<types::Value, types::Fault>> {
        let value = self.call.event_get(row, &path);
        Ok(value.map(value_out).map_err(fault_out))
    }

    fn raw(&mut self, row: u32) -> Result<Result<Vec<u8>, types::Fault>> {
        Ok(self.call.event_raw(row).map_err(fault_out))
    }
}

impl http::Host for State {
    fn send(&mut self, request: http::Request) -> Result<Result<http::Response, types::Fault>> {
        let request = grant::http::Request {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout_ms: request.timeout_ms,
        };
        let response = self.call.http_send(&request);
        let response = response.map(|response| http::Response {
            status: response.status,
            headers: response.headers,
            body: response.body,
        });
        Ok(response.map_err(fault_out))
    }
}

impl metrics::Host for State {
    fn add(&mut self, name: String, delta: u64) -> Result<()> {
        self.call.metric_add(&name, delta);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> Result<()> {
        self.call.metric_observe(&name, value);
        Ok(())
    }
}

impl reads::Host for State {
    fn read(
        &mut self,
        operation: String,
        parameters: String,
    ) -> Result<Result<String, types::Fault>> {
        Ok(self.call.read(&operation, &parameters).map_err(fault_out))
    }
}
