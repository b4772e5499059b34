//! A fake AWS in memory, with a clock of its own and everything that can go wrong between a request and its answer.
//!
//! It writes down what it did itself: whoever asks whether something was done twice never looks at a journal.

mod cloud;

pub use cloud::{Cloud, Instance, Snapshot, rule};

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tripline_remediation::engine::{Identity, Outside, Sent};
use tripline_remediation::machine::Action;
use tripline_remediation::plan::{Answer, Call};

pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

/// When worlds begin.
pub const START: i64 = 1_800_000_000 * SECOND;

/// So long a signature counts.
const VALID: i64 = 5 * MINUTE;

/// How often something goes wrong, of a thousand requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// It is done, and the answer is lost.
    pub dropped: u64,
    /// It is not done, and nobody knows.
    pub reset: u64,
    /// It is done later, when nobody waits any more.
    pub delayed: u64,
    /// It is done twice.
    pub doubled: u64,
    /// It is refused for now.
    pub throttled: u64,
    /// The service fails, before or after it did it.
    pub failed: u64,
    /// A few times it cannot be changed yet.
    pub unmodifiable: u64,
    /// What is read is of a while ago.
    pub stale: u64,
    /// A question is not answered.
    pub unread: u64,
}

impl Faults {
    /// A bit of everything.
    pub const ALL: Self = Self {
        dropped: 60,
        reset: 60,
        delayed: 60,
        doubled: 60,
        throttled: 60,
        failed: 60,
        unmodifiable: 60,
        stale: 100,
        unread: 50,
    };
}

/// Something that was changed.
#[derive(Clone, Debug)]
pub struct Effect {
    pub time: i64,
    pub action: String,
    pub what: String,
    pub call: Call,
}

/// A request under way: when it lands, what it is, of which action.
type UnderWay = (i64, Call, String);

#[derive(Default)]
struct Inner {
    now: i64,
    chance: u64,
    faults: Faults,
    cloud: Cloud,
    /// What was before, for reads of a while ago.
    before: Vec<(i64, Cloud)>,
    under_way: Vec<UnderWay>,
    effects: Vec<Effect>,
    begun: Vec<(i64, Instant, String)>,
    unmodifiable: BTreeMap<String, u64>,
    refused_reads: Vec<String>,
    latency: i64,
    requests: u64,
    keeps_history: bool,
}

/// See the module.
#[derive(Clone, Default)]
pub struct World(Arc<Mutex<Inner>>);

impl Inner {
    fn chance(&mut self, below: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut one = self.chance;
        one = (one ^ (one >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        one = (one ^ (one >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (one ^ (one >> 31)) % below.max(1)
    }

    /// Lets time pass, and land what is under way.
    fn pass(&mut self, to: i64) {
        self.under_way.sort_by_key(|one| one.0);
        while self.under_way.first().is_some_and(|one| one.0 <= to) {
            let (at, call, action) = self.under_way.remove(0);
            self.now = self.now.max(at);
            self.apply(&call, &action);
        }
        self.now = self.now.max(to);
    }

    fn apply(&mut self, call: &Call, action: &str) -> Answer {
        if self.keeps_history {
            self.before.push((self.now, self.cloud.clone()));
        }
        let (answer, changed) = self.cloud.apply(call, action);
        match changed {
            Some(what) => self.effects.push(Effect {
                time: self.now,
                action: action.to_owned(),
                what,
                call: call.clone(),
            }),
            None if self.keeps_history => drop(self.before.pop()),
            None => {}
        }
        answer
    }

    fn read(&mut self, call: &Call) -> Sent {
        let dice = self.chance(1_000);
        if dice < self.faults.unread {
            return Sent::Unknown("the connection ended".to_owned());
        }
        if self.refused_reads.contains(&call.operation) {
            return answered(
                Answer::Refused {
                    code: "AccessDenied".to_owned(),
                    message: String::new(),
                },
                self.requests,
            );
        }
        if dice < self.faults.unread + self.faults.stale {
            let seen = self.now - self.chance(5 * SECOND as u64) as i64;
            if let Some((_, before)) = self.before.iter().find(|(until, _)| *until > seen) {
                return answered(before.clone().apply(call, "").0, self.requests);
            }
        }
        answered(self.cloud.apply(call, "").0, self.requests)
    }

    /// Has a request land when nobody waits for it any more, but while its signature counts.
    fn later(&mut self, call: &Call, action: &str) {
        let at = self.now + 1 + self.chance(VALID as u64 - 2) as i64;
        let under_way = (at, call.clone(), action.to_owned());
        self.under_way.push(under_way);
    }

    fn change(&mut self, call: &Call, action: &str) -> Sent {
        let faults = self.faults;
        let mut dice = self.chance(1_000);
        let mut is = |often: u64| {
            let is = dice < often;
            dice = if is {
                u64::MAX
            } else {
                dice.wrapping_sub(often)
            };
            is
        };
        let lost = || Sent::Unknown("no answer".to_owned());
        // What is not safe to repeat is not repeated by anything on the way.
        let is_repeatable =
            !call.operation.contains("CreateSnapshots") && call.operation != "http.request";
        if is(faults.dropped) {
            self.apply(call, action);
            if is_repeatable && self.chance(2) == 0 {
                self.later(call, action);
            }
            return lost();
        }
        if is(faults.reset) {
            return lost();
        }
        if is(faults.delayed) {
            self.later(call, action);
            self.now += 10 * SECOND;
            return lost();
        }
        if is(faults.doubled) {
            // Something on the way sends it again, and answers when both are through.
            if is_repeatable {
                self.apply(call, action);
            }
        } else if is(faults.throttled) {
            return Sent::NotDone("Throttling".to_owned());
        } else if is(faults.failed) {
            if self.chance(2) == 0 {
                self.apply(call, action);
            }
            return Sent::Unknown("500".to_owned());
        } else if is(faults.unmodifiable) {
            let times = self.chance(3);
            let place = format!("{action} {}", call.operation);
            self.unmodifiable.entry(place).or_insert(times);
        }
        let place = format!("{action} {}", call.operation);
        if let Some(left) = self.unmodifiable.get_mut(&place)
            && *left > 0
        {
            *left -= 1;
            return Sent::NotDone("EntityTemporarilyUnmodifiable".to_owned());
        }
        let answer = self.apply(call, action);
        answered(answer, self.requests)
    }
}

fn answered(answer: Answer, request: u64) -> Sent {
    let request = format!("{request:08}");
    Sent::Answered { answer, request }
}

/// Whether an operation only reads.
pub fn is_read(operation: &str) -> bool {
    let name = operation.split('.').next_back().unwrap_or_default();
    ["Describe", "List", "Get"]
        .iter()
        .any(|start| name.starts_with(start))
}

impl World {
    /// A world with faults by a seed.
    pub fn new(seed: u64, faults: Faults, cloud: Cloud) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            now: START,
            chance: seed,
            keeps_history: faults.stale > 0,
            faults,
            cloud,
            latency: 5_000,
            ..Inner::default()
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn cloud(&self) -> Cloud {
        self.inner().cloud.clone()
    }

    pub fn time(&self) -> i64 {
        self.inner().now
    }

    /// Changes what is there, as somebody else would.
    pub fn meddle(&self, with: impl FnOnce(&mut Cloud)) {
        let mut inner = self.inner();
        let (now, was) = (inner.now, inner.cloud.clone());
        if inner.keeps_history {
            inner.before.push((now, was));
        }
        with(&mut inner.cloud);
    }

    pub fn effects(&self) -> Vec<Effect> {
        self.inner().effects.clone()
    }

    /// When requests began that change something, and of which actions.
    pub fn begun(&self) -> Vec<(i64, Instant, String)> {
        self.inner().begun.clone()
    }

    pub fn pass(&self, to: i64) {
        self.inner().pass(to);
    }

    pub fn turn_clock_back(&self, by: i64) {
        self.inner().now -= by;
    }

    pub fn set_faults(&self, faults: Faults) {
        self.inner().faults = faults;
    }

    pub fn refuse_reads(&self, operations: &[&str]) {
        self.inner().refused_reads = operations.iter().map(|&one| one.to_owned()).collect();
    }

    /// The next of some chance.
    pub fn chance(&self, below: u64) -> u64 {
        self.inner().chance(below)
    }

    /// When the next thing lands that is under way.
    pub fn lands(&self) -> Option<i64> {
        self.inner().under_way.iter().map(|one| one.0).min()
    }
}

impl Outside for World {
    fn now(&self) -> i64 {
        self.inner().now
    }

    fn send(&self, call: &Call, identity: &Identity) -> Sent {
        assert!(
            is_read(&call.operation),
            "{} was not asked first",
            call.operation
        );
        let mut inner = self.inner();
        inner.requests += 1;
        let at = inner.now + inner.latency;
        inner.pass(at);
        assert!(identity.plan.is_none(), "reading needs no plan");
        inner.read(call)
    }

    fn send_if(&self, call: &Call, identity: &Identity, may: &dyn Fn() -> bool) -> Sent {
        // Some time passes before the request goes out, as getting a session takes some.
        let to = self.now() + 1_000;
        self.pass(to);
        if !may() {
            return Sent::NotDone("not any more".to_owned());
        }
        let mut inner = self.inner();
        inner.requests += 1;
        let now = inner.now;
        inner
            .begun
            .push((now, Instant::now(), identity.action.clone()));
        let plan = identity
            .plan
            .as_ref()
            .expect("what changes something is of a plan");
        let steps = plan
            .steps
            .iter()
            .flat_map(|step| std::iter::once(step).chain(&step.inverse));
        let is_planned =
            steps.into_iter().any(|step| {
                let filled = |value: &Value| value.to_string().contains("$from");
                step.call.operation == call.operation
                    && step.call.parameters.iter().all(|(name, value)| {
                        filled(value) || call.parameters.get(name) == Some(value)
                    })
            });
        assert!(is_planned, "{call:?} is in no plan");
        let at = inner.now + inner.latency;
        inner.pass(at);
        inner.change(call, &identity.action)
    }

    fn told(&self, _: &Action) {}
}

/// An event of CloudTrail.
pub fn event(source: &str, name: &str, time: i64, account: &str, more: Value) -> Value {
    let time = jiff::Timestamp::from_microsecond(time).expect("is a time");
    let mut event = json!({
        "eventVersion": "1.08", "eventID": format!("{source}-{name}-{time}"), "eventTime": time.to_string(),
        "eventSource": source, "eventName": name, "awsRegion": "eu-central-1",
        "recipientAccountId": account, "readOnly": false,
        "userIdentity": {"type": "IAMUser", "accountId": account, "userName": "mallory",
            "arn": format!("arn:aws:iam::{account}:user/mallory")},
    });
    let members = more.as_object().expect("is an object").clone();
    event.as_object_mut().expect("is an object").extend(members);
    event
}
