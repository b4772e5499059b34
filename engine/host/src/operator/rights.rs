//! What a plugin may really do: what its manifest asks for, and its operator grants, and its signer may have.
//!
//! A pure function of the three. What was asked for and is not given is listed with the reason, since a plugin that
//! runs with less than it wants is the commonest riddle of operators. For requests to the outside both lists are kept:
//! a request has to be in both, which is their intersection without an algebra of patterns.

use super::{Grant, HttpGrant};
use crate::manifest::{Asks, Capability, HttpAsk, HttpTarget, KvBounds, value};
use std::fmt;
use std::path::PathBuf;

/// What a plugin may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Lines for the operator.
    pub log: bool,
    /// The time.
    pub clock: bool,
    /// Chance.
    pub random: bool,
    /// Events beyond the declared fields.
    pub events: bool,
    /// Names of counters.
    pub metrics: Vec<String>,
    /// Things to remember.
    pub kv: Option<KvBounds>,
    /// Tables and their files.
    pub lookup: Vec<(String, PathBuf)>,
    /// Requests to the outside.
    pub http: HttpRights,
    /// Operations of services that only read.
    pub reads: Vec<String>,
}

/// A request has to be asked for by one, and granted by the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRights {
    /// By the manifest.
    pub asked: Vec<HttpAsk>,
    /// By the operator.
    pub granted: Vec<HttpGrant>,
}

impl Rights {
    /// Whether anything of the capability is given, so that its interface is there at all.
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Log => self.log,
            Capability::Clock => self.clock,
            Capability::Random => self.random,
            Capability::Events => self.events,
            Capability::Metrics => !self.metrics.is_empty(),
            Capability::Kv => self.kv.is_some(),
            Capability::Lookup => !self.lookup.is_empty(),
            Capability::Http => !self.http.granted.is_empty(),
            Capability::Reads => !self.reads.is_empty(),
        }
    }
}

/// Something that was asked for and is not given, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Of which capability.
    pub capability: Capability,
    /// What of it, as the manifest writes it; empty when all of it.
    pub what: String,
    /// Why.
    pub why: Why,
}

/// Why something is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The operator did not grant it.
    NotGranted,
    /// The operator granted less.
    Less,
    /// The key that signed the plugin may not have it.
    BeyondKey,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.capability.as_str())?;
        if !self.what.is_empty() {
            write!(f, " {}", self.what)?;
        }
        f.write_str(match self.why {
            Why::NotGranted => " is not granted",
            Why::Less => " is granted in part",
            Why::BeyondKey => " is more than the signing key may have",
        })
    }
}

/// What is asked for, and granted, and within the ceiling of the key; and what is missing of what was asked for.
pub fn rights(asks: &Asks, grant: &Grant, ceiling: &[Capability]) -> (Rights, Vec<Shortfall>) {
    let mut missing = Vec::new();
    let mut may = |capability: Capability, granted: bool| {
        if !asks.has(capability) {
            return false;
        }
        let why = match (ceiling.contains(&capability), granted) {
            (false, _) => Why::BeyondKey,
            (true, false) => Why::NotGranted,
            (true, true) => return true,
        };
        let what = String::new();
        missing.push(Shortfall {
            capability,
            what,
            why,
        });
        false
    };
    let mut rights = Rights {
        log: may(Capability::Log, grant.log),
        clock: may(Capability::Clock, grant.clock),
        random: may(Capability::Random, grant.random),
        events: may(Capability::Events, grant.events),
        ..Rights::default()
    };
    if may(Capability::Metrics, grant.metrics) {
        rights.metrics.clone_from(&asks.metrics);
    }
    let may_kv = may(Capability::Kv, grant.kv.is_some());
    let may_look = may(Capability::Lookup, !grant.lookup.is_empty());
    let may_send = may(Capability::Http, !grant.http.is_empty());
    let may_read = may(Capability::Reads, !grant.reads.is_empty());
    if may_kv {
        rights.kv = kv(asks.kv, grant.kv, &mut missing);
    }
    if may_look {
        rights.lookup = lookup(&asks.lookup, &grant.lookup, &mut missing);
    }
    if may_send {
        rights.http = http(&asks.http, &grant.http, &mut missing);
    }
    if may_read {
        rights.reads = reads(&asks.reads, &grant.reads, &mut missing);
    }
    (rights, missing)
}

fn kv(
    asked: Option<KvBounds>,
    granted: Option<KvBounds>,
    missing: &mut Vec<Shortfall>,
) -> Option<KvBounds> {
    let (asked, granted) = (asked?, granted?);
    let less = [
        (
            asked.bytes > granted.bytes,
            format!("bytes = {}", value::shown_size(asked.bytes)),
        ),
        (
            asked.ttl_ms_max > granted.ttl_ms_max,
            format!("ttl_max = {}", value::shown_period(asked.ttl_ms_max)),
        ),
    ];
    missing.extend(
        less.into_iter()
            .filter(|(is_less, _)| *is_less)
            .map(|(_, what)| Shortfall {
                capability: Capability::Kv,
                what,
                why: Why::Less,
            }),
    );
    Some(KvBounds {
        bytes: asked.bytes.min(granted.bytes),
        ttl_ms_max: asked.ttl_ms_max.min(granted.ttl_ms_max),
    })
}

fn lookup(
    asked: &[String],
    granted: &[(String, PathBuf)],
    missing: &mut Vec<Shortfall>,
) -> Vec<(String, PathBuf)> {
    let mut tables = Vec::new();
    for name in asked {
        match granted.iter().find(|(table, _)| table == name) {
            Some(table) => tables.push(table.clone()),
            None => missing.push(Shortfall {
                capability: Capability::Lookup,
                what: name.clone(),
                why: Why::NotGranted,
            }),
        }
    }
    tables
}

fn reads(asked: &[String], granted: &[String], missing: &mut Vec<Shortfall>) -> Vec<String> {
    let (given, refused): (Vec<_>, Vec<_>) =
        asked.iter().cloned().partition(|one| granted.contains(one));
    missing.extend(refused.into_iter().map(|what| Shortfall {
        capability: Capability::Reads,
        what,
        why: Why::NotGranted,
    }));
    given
}

fn http(asked: &[HttpAsk], granted: &[HttpGrant], missing: &mut Vec<Shortfall>) -> HttpRights {
    let mut short = |what: String, why: Why| {
        missing.push(Shortfall {
            capability: Capability::Http,
            what,
            why,
        });
    };
    let mut rights = HttpRights::default();
    for ask in asked {
        let meeting = || {
            granted
                .iter()
                .filter(|grant| meets(&ask.target, &grant.target))
        };
        if meeting().next().is_none() {
            short(shown(&ask.target), Why::NotGranted);
            continue;
        }
        if !is_covered(&ask.target, granted) {
            short(shown(&ask.target), Why::Less);
        }
        for secret in &ask.secrets {
            if !meeting().any(|grant| grant.secrets.iter().any(|(name, _)| name == secret)) {
                short(
                    format!("secret `{secret}` for {}", ask.target.host),
                    Why::NotGranted,
                );
            }
        }
        rights.asked.push(ask.clone());
    }
    let is_of_use = |grant: &&HttpGrant| {
        rights
            .asked
            .iter()
            .any(|ask| meets(&ask.target, &grant.target))
    };
    rights.granted = granted.iter().filter(is_of_use).cloned().collect();
    rights
}

/// Whether some request is of both shapes.
fn meets(one: &HttpTarget, other: &HttpTarget) -> bool {
    one.scheme == other.scheme
        && one.port == other.port
        && (one.host.covers(&other.host) || other.host.covers(&one.host))
        && one
            .methods
            .iter()
            .any(|method| other.methods.contains(method))
        && one.paths.iter().any(|path| {
            other
                .paths
                .iter()
                .any(|with| path.covers(with) || with.covers(path))
        })
}

/// Whether each method and path that is asked for is granted as a whole by one grant.
fn is_covered(ask: &HttpTarget, granted: &[HttpGrant]) -> bool {
    let is_granted = |method: &&'static str, path: &crate::grant::http::PathPattern| {
        granted.iter().map(|grant| &grant.target).any(|grant| {
            grant.scheme == ask.scheme
                && grant.port == ask.port
                && grant.host.covers(&ask.host)
                && grant.methods.contains(method)
                && grant.paths.iter().any(|pattern| pattern.covers(path))
        })
    };
    ask.methods
        .iter()
        .all(|method| ask.paths.iter().all(|path| is_granted(method, path)))
}

fn shown(target: &HttpTarget) -> String {
    let paths: Vec<String> = target.paths.iter().map(ToString::to_string).collect();
    format!(
        "{} {}://{}:{}{}",
        target.methods.join(","),
        target.scheme.as_str(),
        target.host,
        target.port,
        paths.join(",")
    )
}
