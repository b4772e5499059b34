//! Plays the host in unit tests. Each test thread has a host of its own, which begins empty.
//!
//! Tables are given, the clock stands still until it is set, and what the plugin told the operator can be looked at.
//! Networks are not understood here: a table of networks is given by the addresses that the test asks for.

use crate::http::{Request, Response};
use crate::log::Level;
use crate::{Columns, Fault, FaultKind, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

type Respond = Box<dyn Fn(&Request) -> Result<Response, Fault>>;
type Services = Box<dyn Fn(&str, &str) -> Result<String, Fault>>;

#[derive(Default)]
struct Host {
    tables: BTreeMap<String, Table>,
    kept: BTreeMap<String, Vec<u8>>,
    fields: BTreeMap<(u32, String), Value>,
    raw: Vec<Vec<u8>>,
    lines: Vec<(Level, String)>,
    counters: BTreeMap<String, u64>,
    now_ms: u64,
    random: u64,
    respond: Option<Respond>,
    services: Option<Services>,
}

struct Table {
    columns: Vec<String>,
    rows: BTreeMap<String, Vec<String>>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Gives a lookup table: its columns, and a key with a text for each column. An empty text stands for no value.
pub fn table(name: &str, columns: &[&str], rows: &[(&str, &[&str])]) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let table = Table {
        columns: owned(columns),
        rows: rows
            .iter()
            .map(|(key, row)| ((*key).to_owned(), owned(row)))
            .collect(),
    };
    HOST.with_borrow_mut(|host| host.tables.insert(name.to_owned(), table));
}

/// Sets the clock.
pub fn set_now_ms(now_ms: u64) {
    HOST.with_borrow_mut(|host| host.now_ms = now_ms);
}

/// Gives the events of the batch at hand, byte for byte.
pub fn set_raw(events: &[&str]) {
    let events = events.iter().map(|event| event.as_bytes().to_vec());
    HOST.with_borrow_mut(|host| host.raw = events.collect());
}

/// Gives a field of an event of the batch at hand.
pub fn set_field(row: usize, path: &str, value: impl Into<Value>) {
    let key = (row as u32, path.to_owned());
    HOST.with_borrow_mut(|host| host.fields.insert(key, value.into()));
}

/// Says how requests are answered.
pub fn answer_with(respond: impl Fn(&Request) -> Result<Response, Fault> + 'static) {
    HOST.with_borrow_mut(|host| host.respond = Some(Box::new(respond)));
}

/// Says what services answer, by operation and parameters; see [`reads`](crate::reads) for what an answer is.
pub fn services(answer: impl Fn(&str, &str) -> Result<String, Fault> + 'static) {
    HOST.with_borrow_mut(|host| host.services = Some(Box::new(answer)));
}

/// The lines that were written, each with how loud it was.
pub fn lines() -> Vec<(Level, String)> {
    HOST.with_borrow(|host| host.lines.clone())
}

/// How high a counter is.
pub fn counter(name: &str) -> u64 {
    HOST.with_borrow(|host| host.counters.get(name).copied().unwrap_or_default())
}

/// The functions themselves, of the same form as the generated ones.
pub(crate) mod imports {
    use super::*;

    pub(crate) mod log {
        use super::*;

        pub(crate) fn write(level: Level, message: &str, fields: &[(String, String)]) {
            let mut line = message.to_owned();
            for (name, value) in fields {
                line += &format!(" {name}={value}");
            }
            HOST.with_borrow_mut(|host| host.lines.push((level, line)));
        }
    }

    pub(crate) mod clock {
        use super::*;

        pub(crate) fn now_ms() -> u64 {
            HOST.with_borrow(|host| host.now_ms)
        }
    }

    pub(crate) mod random {
        use super::*;

        pub(crate) fn bytes(count: u32) -> Vec<u8> {
            assert!(count <= 4096, "at most 4,096 bytes a call");
            HOST.with_borrow_mut(|host| {
                let mut next = || {
                    host.random = host.random.wrapping_mul(0x5851_f42d_4c95_7f2d);
                    host.random = host.random.wrapping_add(0x1405_7b7e_f767_814f);
                    (host.random >> 56) as u8
                };
                (0..count).map(|_| next()).collect()
            })
        }
    }

    pub(crate) mod kv {
        use super::*;

        pub(crate) fn get(keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
            check(keys.iter())?;
            HOST.with_borrow(|host| {
                Ok(keys.iter().map(|key| host.kept.get(key).cloned()).collect())
            })
        }

        pub(crate) fn set(entries: &[(String, Vec<u8>)], ttl_ms: u64) -> Result<(), Fault> {
            let _ = ttl_ms;
            check(entries.iter().map(|(key, _)| key))?;
            HOST.with_borrow_mut(|host| host.kept.extend(entries.iter().cloned()));
            Ok(())
        }

        pub(crate) fn add(key: &str, delta: i64, ttl_ms: u64) -> Result<i64, Fault> {
            let _ = ttl_ms;
            HOST.with_borrow_mut(|host| {
                let kept = host.kept.get(key);
                let text = kept.map(|value| String::from_utf8_lossy(value).into_owned());
                let number = text.map_or(Ok(0), |text| text.parse::<i64>());
                let number = number.map_err(|_| Fault::invalid_input("the value is no number"))?;
                let sum = number.checked_add(delta);
                let sum = sum.ok_or_else(|| Fault::invalid_input("the sum is too large"))?;
                host.kept
                    .insert(key.to_owned(), sum.to_string().into_bytes());
                Ok(sum)
            })
        }

        pub(crate) fn delete(keys: &[String]) -> Result<(), Fault> {
            check(keys.iter())?;
            HOST.with_borrow_mut(|host| keys.iter().for_each(|key| drop(host.kept.remove(key))));
            Ok(())
        }

        fn check<'k>(keys: impl ExactSizeIterator<Item = &'k String>) -> Result<(), Fault> {
            if keys.len() > 1024 {
                return Err(Fault::new(FaultKind::Limit, "more than 1,024 keys"));
            }
            for key in keys {
                if key.is_empty() || key.len() > 256 {
                    return Err(Fault::invalid_input("a key is 1 to 256 bytes long"));
                }
            }
            Ok(())
        }
    }

    pub(crate) mod lookup {
        use super::*;

        fn no_table(table: &str) -> Fault {
            Fault::new(FaultKind::NotFound, format!("no table `{table}`"))
        }

        pub(crate) fn columns(table: &str) -> Result<Vec<String>, Fault> {
            HOST.with_borrow(|host| {
                let found = host.tables.get(table).ok_or_else(|| no_table(table))?;
                Ok(found.columns.clone())
            })
        }

        pub(crate) fn find(table: &str, keys: &[String]) -> Result<Vec<u8>, Fault> {
            if keys.len() > crate::lookup::KEYS_MAX {
                return Err(Fault::new(FaultKind::Limit, "more than 4,096 keys"));
            }
            HOST.with_borrow(|host| {
                let table = host.tables.get(table).ok_or_else(|| no_table(table))?;
                let mut answer = Columns::new(keys.len());
                for column in 0..table.columns.len() {
                    let cell = |key: &String| {
                        let text = table.rows.get(key)?.get(column)?.as_str();
                        (!text.is_empty()).then_some(text)
                    };
                    answer = answer.with_text(keys.iter().map(cell));
                }
                Ok(answer.pack())
            })
        }
    }

    pub(crate) mod events {
        use super::*;

        pub(crate) fn get(row: u32, path: &str) -> Result<Value, Fault> {
            HOST.with_borrow(|host| {
                let field = host.fields.get(&(row, path.to_owned()));
                Ok(field.cloned().unwrap_or(Value::Null))
            })
        }

        pub(crate) fn raw(row: u32) -> Result<Vec<u8>, Fault> {
            HOST.with_borrow(|host| {
                let raw = host.raw.get(row as usize).cloned();
                raw.ok_or_else(|| Fault::invalid_input("no such row"))
            })
        }
    }

    pub(crate) mod http {
        use super::*;

        pub(crate) fn send(request: &Request) -> Result<Response, Fault> {
            HOST.with_borrow(|host| match &host.respond {
                Some(respond) => respond(request),
                None => Err(Fault::unavailable("nothing answers in this test")),
            })
        }
    }

    pub(crate) mod reads {
        use super::*;

        pub(crate) fn read(operation: &str, parameters: &str) -> Result<String, Fault> {
            HOST.with_borrow(|host| match &host.services {
                Some(answer) => answer(operation, parameters),
                None => Err(Fault::unavailable("nobody answers in this test")),
            })
        }
    }

    pub(crate) mod metrics {
        use super::*;

        pub(crate) fn add(name: &str, delta: u64) {
            HOST.with_borrow_mut(|host| {
                *host.counters.entry(name.to_owned()).or_default() += delta
            });
        }

        pub(crate) fn observe(name: &str, value: f64) {
            let _ = value;
            add(name, 1);
        }
    }
}
