//! Small things to remember, of one plugin alone. See `wit/kv.wit`.
//!
//! In memory, one map a plugin, so that no key reaches another plugin's. Time is an argument. Each change is whole: what
//! would not fit changes nothing, and what has expired makes room first. The quota counts keys and what an entry costs
//! beside them, so that a plugin cannot take more memory than it was granted by writing many empty values.

use super::Fault;
use super::limits::{
    KV_ANSWER_BYTES_MAX, KV_ENTRY_COST, KV_KEY_BYTES_MAX, KV_KEYS_MAX, KV_VALUE_BYTES_MAX,
};
use crate::manifest::KvBounds;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The memories of all plugins, by name. They outlive a plugin that is loaded anew.
#[derive(Debug, Default)]
pub struct Stores {
    by_name: Mutex<BTreeMap<String, Arc<Kv>>>,
}

impl Stores {
    /// The memory of the plugin of that name, from now on with these bounds.
    pub fn open(&self, name: &str, bounds: KvBounds) -> Arc<Kv> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let kv = by_name
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Kv::new(bounds)));
        kv.lock().bounds = bounds;
        kv.clone()
    }
}

/// The memory of one plugin.
#[derive(Debug)]
pub struct Kv {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bounds: KvBounds,
    entries: HashMap<Arc<str>, Entry>,
    by_expiry: BTreeSet<(u64, Arc<str>)>,
    used: u64,
}

#[derive(Debug)]
struct Entry {
    value: Box<[u8]>,
    expires_ms: u64,
}

impl Kv {
    /// Nothing yet.
    pub fn new(bounds: KvBounds) -> Self {
        let state = State {
            bounds,
            entries: HashMap::new(),
            by_expiry: BTreeSet::new(),
            used: 0,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of the quota is used.
    pub fn used(&self) -> u64 {
        self.lock().used
    }

    /// The values under `keys`, in their order.
    pub fn get(&self, keys: &[String], now_ms: u64) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        check_keys(keys.len(), keys.iter().map(String::as_str))?;
        let state = self.lock();
        let mut bytes = 0;
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let entry = state.entries.get(key.as_str());
            let entry = entry.filter(|entry| entry.expires_ms > now_ms);
            bytes += entry.map_or(0, |entry| entry.value.len());
            if bytes > KV_ANSWER_BYTES_MAX {
                return Err(Fault::limit(format!(
                    "the values of one call have more than {KV_ANSWER_BYTES_MAX} bytes"
                )));
            }
            values.push(entry.map(|entry| entry.value.to_vec()));
        }
        Ok(values)
    }

    /// Keeps all entries for `ttl_ms`, or none of them. Of a key that is there twice the last counts.
    pub fn set(
        &self,
        entries: &[(String, Vec<u8>)],
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<(), Fault> {
        check_keys(entries.len(), entries.iter().map(|(key, _)| key.as_str()))?;
        if let Some((key, value)) = entries
            .iter()
            .find(|(_, value)| value.len() > KV_VALUE_BYTES_MAX)
        {
            return Err(Fault::input(format!(
                "the value of `{key}` has {} bytes; at most {KV_VALUE_BYTES_MAX} are kept",
                value.len()
            )));
        }
        let mut state = self.lock();
        state.check_ttl(ttl_ms)?;
        state.expire(now_ms);
        let last: HashMap<&str, &[u8]> = entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
            .collect();
        state.check_room(last.iter().map(|(key, value)| (*key, value.len())))?;
        for (key, value) in last {
            state.insert(key, value.into(), now_ms.saturating_add(ttl_ms));
        }
        Ok(())
    }

    /// Adds to a number, kept as its decimal text, and gives the new one.
    pub fn add(&self, key: &str, delta: i64, ttl_ms: u64, now_ms: u64) -> Result<i64, Fault> {
        check_keys(1, [key].into_iter())?;
        let mut state = self.lock();
        state.check_ttl(ttl_ms)?;
        state.expire(now_ms);
        let old = match state.entries.get(key) {
            None => 0,
            Some(entry) => number(&entry.value)
                .ok_or_else(|| Fault::input(format!("the value of `{key}` is no number")))?,
        };
        let sum = old.checked_add(delta);
        let sum = sum.ok_or_else(|| Fault::input(format!("the sum under `{key}` is too large")))?;
        let value = sum.to_string().into_bytes();
        state.check_room([(key, value.len())].into_iter())?;
        state.insert(key, value.into(), now_ms.saturating_add(ttl_ms));
        Ok(sum)
    }

    /// Forgets the keys; those that are not there are ignored.
    pub fn delete(&self, keys: &[String]) -> Result<(), Fault> {
        check_keys(keys.len(), keys.iter().map(String::as_str))?;
        let mut state = self.lock();
        for key in keys {
            state.remove(key);
        }
        Ok(())
    }
}

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn check_keys<'k>(count: usize, keys: impl Iterator<Item = &'k str>) -> Result<(), Fault> {
    if count > KV_KEYS_MAX {
        let message = format!("{count} keys in one call; at most {KV_KEYS_MAX} are taken");
        return Err(Fault::limit(message));
    }
    for key in keys {
        if key.is_empty() || key.len() > KV_KEY_BYTES_MAX {
            let message = format!(
                "a key of {} bytes; keys have 1 to {KV_KEY_BYTES_MAX}",
                key.len()
            );
            return Err(Fault::input(message));
        }
    }
    Ok(())
}

fn cost(key: &str, value_bytes: usize) -> u64 {
    (key.len() + value_bytes + KV_ENTRY_COST) as u64
}

impl State {
    fn check_ttl(&self, ttl_ms: u64) -> Result<(), Fault> {
        let most = self.bounds.ttl_ms_max;
        if ttl_ms == 0 {
            return Err(Fault::input("a lifetime of nothing"));
        }
        if ttl_ms > most {
            let message = format!("a lifetime of {ttl_ms} ms; at most {most} are granted");
            return Err(Fault::limit(message));
        }
        Ok(())
    }

    fn expire(&mut self, now_ms: u64) {
        while let Some((expires_ms, key)) = self.by_expiry.first()
            && *expires_ms <= now_ms
        {
            let key = key.clone();
            self.remove(&key);
        }
    }

    /// Whether the entries fit in place of those of the same keys; changes nothing.
    fn check_room<'k>(&self, entries: impl Iterator<Item = (&'k str, usize)>) -> Result<(), Fault> {
        let (mut added, mut freed) = (0, 0);
        for (key, value_bytes) in entries {
            added += cost(key, value_bytes);
            let old = self.entries.get(key);
            freed += old.map_or(0, |entry| cost(key, entry.value.len()));
        }
        let most = self.bounds.bytes;
        // What makes a store smaller works even when the quota was lowered under it.
        if self.used + added - freed > most && added > freed {
            return Err(Fault::limit(format!(
                "the quota of {most} bytes is used up: {} are kept, and {added} more were to be",
                self.used
            )));
        }
        Ok(())
    }

    fn insert(&mut self, key: &str, value: Box<[u8]>, expires_ms: u64) {
        self.remove(key);
        self.used += cost(key, value.len());
        let key: Arc<str> = key.into();
        self.by_expiry.insert((expires_ms, key.clone()));
        self.entries.insert(key, Entry { value, expires_ms });
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, entry)) = self.entries.remove_entry(key) {
            self.used -= cost(&key, entry.value.len());
            self.by_expiry.remove(&(entry.expires_ms, key));
        }
    }
}
