//! A proxy between the service and the emulator, which does to requests what networks and services do: it loses answers, resets
//! connections, dawdles, sends twice, refuses for now and answers with what was true a moment ago.
//!
//! It also counts. What it saw accepted is what was really done, whatever the service's own journal says, and every one of these
//! can be told as the event that CloudTrail would write of it. A request that was read is forwarded even if whoever sent it is
//! gone meanwhile, as the network would.

use super::wire::{self, Request};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Does {
    /// It is done, and nobody hears of it.
    DropAnswer,
    /// It never arrives.
    Reset,
    /// It arrives late.
    Delay(Duration),
    /// It arrives twice.
    Twice,
    /// It is refused, with a status and a code.
    Refuse(u16, &'static str),
    /// It is refused, and so is whatever comes in the same session from then on: it has expired.
    Expire,
    /// It is answered as the same question was answered before, for so long.
    Stale(Duration),
}

/// What is done to the next requests of an operation, as `iam.PutUserPolicy`, or of any.
#[derive(Clone, Debug)]
struct Fault {
    on: String,
    times: u32,
    does: Does,
    since: Instant,
}

/// A request that would change something, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// As `ec2.CreateSnapshots`.
    pub(super) operation: String,
    /// The session that sent it, as `rem-…`; empty for none.
    pub(super) session: String,
    /// The policy of the session.
    pub(super) may: String,
    /// The service's number for it.
    pub(super) request: String,
    /// Whether the emulator did it.
    pub(super) is_accepted: bool,
    /// Whether it is the second of two that the proxy made of one.
    pub(super) is_copy: bool,
    asked: Value,
    answered: Value,
    time: jiff::Timestamp,
    /// When it came, however long the emulator took.
    pub(super) arrived: Instant,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    /// Of a hundred requests so many are troubled, by chance from a seed.
    trouble: Option<(u32, u64)>,
    seen: Vec<Seen>,
    /// Names of sessions and their policies, by their access keys.
    sessions: HashMap<String, (String, String)>,
    /// Access keys of sessions that have expired.
    expired: Vec<String>,
    /// The last good answers to questions.
    answers: HashMap<String, Vec<u8>>,
    count: u64,
}

#[derive(Debug)]
struct Inner {
    to: SocketAddr,
    state: Mutex<State>,
    is_gone: AtomicBool,
}

/// See the module.
pub(super) struct Proxy {
    inner: Arc<Inner>,
    address: SocketAddr,
}

impl Proxy {
    /// Listens in front of an address.
    pub(super) fn before(to: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let inner = Arc::new(Inner {
            to,
            state: Mutex::default(),
            is_gone: AtomicBool::new(false),
        });
        let serving = inner.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.is_gone.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let serving = serving.clone();
                // Whoever went away is not waited for.
                thread::spawn(move || serving.serve(stream).ok());
            }
        });
        Self { inner, address }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has something done to the next requests of an operation.
    pub(super) fn on(&self, operation: &str, times: u32, does: Does) {
        self.inner.state().faults.push(Fault {
            on: operation.to_owned(),
            times,
            does,
            since: Instant::now(),
        });
    }

    /// Troubles so many of a hundred requests, by chance from a seed.
    pub(super) fn trouble(&self, percent: u32, seed: u64) {
        let mut state = self.inner.state();
        state.trouble = (percent > 0).then_some((percent, seed | 1));
        state.faults.clear();
    }

    /// Requests that were done.
    pub(super) fn done(&self) -> Vec<Seen> {
        let state = self.inner.state();
        let done = state.seen.iter().filter(|one| one.is_accepted);
        done.cloned().collect()
    }

    /// Requests that came, of those that ask and those that change.
    pub(super) fn count(&self) -> u64 {
        self.inner.state().count
    }

    /// How often each operation was done by an action.
    pub(super) fn by_action(&self, action: &str) -> Vec<String> {
        let session = format!("rem-{action}");
        let done = self.done().into_iter();
        done.filter(|one| one.session == session)
            .map(|one| one.operation)
            .collect()
    }

    /// What arrived as CloudTrail would tell it, what was refused among it.
    pub(super) fn events(&self, role: &str) -> Vec<String> {
        let state = self.inner.state();
        let told = state.seen.iter().map(|one| one.event(role).to_string());
        told.collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.is_gone.store(true, Ordering::Relaxed);
        // It wakes up and sees that.
        drop(TcpStream::connect(self.address));
    }
}

impl Seen {
    fn event(&self, role: &str) -> Value {
        let (service, name) = self.operation.split_once('.').unwrap_or_default();
        let account = super::ACCOUNT;
        let mut event = json!({
            "eventVersion": "1.11",
            "eventID": format!("event-of-{}-{}", self.request, u8::from(self.is_copy)),
            "eventTime": self.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "eventSource": format!("{service}.amazonaws.com"),
            "eventName": wire::event_name(service, name),
            "awsRegion": "us-east-1",
            "recipientAccountId": account,
            "readOnly": false,
            "requestID": self.request,
            "userIdentity": {
                "type": "AssumedRole",
                "arn": format!("arn:aws:sts::{account}:assumed-role/{role}/{}", self.session),
                "accountId": account,
                "sessionContext": { "sessionIssuer": {
                    "type": "Role",
                    "arn": format!("arn:aws:iam::{account}:role/{role}"),
                    "accountId": account,
                    "userName": role,
                } },
            },
            "requestParameters": self.asked,
            "responseElements": self.answered,
        });
        if !self.is_accepted {
            event["errorCode"] = "Client.Refused".into();
        }
        event
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(request) = Request::read(&mut stream)? else {
            return Ok(());
        };
        let arrived = Instant::now();
        let does = self.fate(&request);
        let forwarded = |is_copy| self.forward(&request, arrived, is_copy);
        let answer = match does {
            None => forwarded(false)?,
            Some(Does::Stale(_)) => match self.before(&request) {
                Some(before) => return stream.write_all(&before),
                None => forwarded(false)?,
            },
            Some(Does::Reset) => return Ok(()),
            Some(Does::DropAnswer) => {
                forwarded(false)?;
                return Ok(());
            }
            Some(Does::Delay(time)) => {
                thread::sleep(time);
                forwarded(false)?
            }
            Some(Does::Twice) => {
                let first = forwarded(false)?;
                forwarded(true)?;
                first
            }
            Some(Does::Expire) => request.refused(403, "ExpiredToken"),
            Some(Does::Refuse(status, code)) => request.refused(status, code),
        };
        if request.is_read() && wire::status_of(&answer) == 200 {
            self.state().answers.insert(request.key(), answer.clone());
        }
        stream.write_all(&answer)
    }

    /// What was answered to the same question before.
    fn before(&self, request: &Request) -> Option<Vec<u8>> {
        self.state().answers.get(&request.key()).cloned()
    }

    /// What is done to a request.
    fn fate(&self, request: &Request) -> Option<Does> {
        let mut state = self.state();
        state.count += 1;
        if state.expired.contains(&request.access_key) {
            return Some(Does::Expire);
        }
        let named = state.faults.iter_mut().find(|one| {
            let is_over = matches!(one.does, Does::Stale(time) if one.since.elapsed() > time);
            one.times > 0 && !is_over && (one.on.is_empty() || one.on == request.operation)
        });
        if let Some(fault) = named {
            if !matches!(fault.does, Does::Stale(_)) {
                fault.times -= 1;
            }
            let does = fault.does;
            if does == Does::Expire {
                state.expired.push(request.access_key.clone());
            }
            return Some(does);
        }
        let (percent, seed) = state.trouble.as_mut()?;
        let mut chance = |below: u64| {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            *seed % below
        };
        // What makes something is on its way when whoever sent it is long dead and looks for it in vain.
        if request.operation.contains(".Create") && chance(2) == 0 {
            return Some(Does::Delay(Duration::from_millis(chance(1_500))));
        }
        if chance(100) >= u64::from(*percent) {
            return None;
        }
        let late = Duration::from_millis(chance(300));
        Some(match chance(8) {
            0 | 1 if !request.is_read() => Does::DropAnswer,
            0 | 1 => Does::Reset,
            2 => Does::Reset,
            3 => Does::Refuse(503, "ServiceUnavailable"),
            4 => Does::Refuse(400, "Throttling"),
            // What carries requests does not double them; what makes something would make it twice.
            5 if !request.is_read() && !request.operation.contains(".Create") => Does::Twice,
            _ => Does::Delay(late),
        })
    }

    fn forward(
        &self,
        request: &Request,
        arrived: Instant,
        is_copy: bool,
    ) -> std::io::Result<Vec<u8>> {
        let mut upstream = TcpStream::connect(self.to)?;
        upstream.write_all(&request.bytes())?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer)?;
        let answer = wire::closing(&answer);
        let is_accepted = (200..300).contains(&wire::status_of(&answer));
        let body = String::from_utf8_lossy(wire::body_of(&answer)).into_owned();
        let mut state = self.state();
        if request.operation == "sts.AssumeRole" && is_accepted {
            let key = wire::between(&body, "AccessKeyId").unwrap_or_default();
            let fields = request.fields();
            let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
            state
                .sessions
                .insert(key, (field("RoleSessionName"), field("Policy")));
        }
        if !request.is_read() {
            let session = state.sessions.get(&request.access_key).cloned();
            let (session, may) = session.unwrap_or_default();
            state.seen.push(Seen {
                operation: request.operation.clone(),
                session,
                may,
                request: wire::request_id(&answer, &body),
                is_accepted,
                is_copy,
                asked: request.asked(),
                answered: wire::answered(&request.operation, &body),
                time: jiff::Timestamp::now(),
                arrived,
            });
        }
        Ok(answer)
    }
}
