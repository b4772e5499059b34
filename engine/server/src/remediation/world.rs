//! The world: requests to AWS, signed as the role that a policy names, in a session that may do what its plan says.

use super::targets::Targets;
use crate::causes::with_causes;
use crate::outgoing::{Proxy, agent};
use crate::serve::now;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tripline_remediation::aws::encode;
use tripline_remediation::aws::endpoint;
use tripline_remediation::aws::{BODY_BYTES_MAX, Retry, decode};
use tripline_remediation::aws::{Credentials, sign};
use tripline_remediation::aws::{
    Fetched, Provider, from_assumed_role, from_metadata, from_profile, providers,
};
use tripline_remediation::aws::{Operation, operation};
use tripline_remediation::aws::{join_page, next_page};
use tripline_remediation::aws::{session_name, session_policy};
use tripline_remediation::engine::{Identity, Outside, Sent};
use tripline_remediation::machine::{Action, State};
use tripline_remediation::plan::{Answer, Call, Plan, Step};
use ureq::Agent;

/// No request may take longer, whatever a policy says.
pub(super) const TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// At most so many pages of an answer are asked for.
const PAGES_MAX: usize = 50;

/// Credentials are fetched anew when they are good for less than this, in seconds.
const GOOD_FOR: i64 = 120;

/// How long a session of a role lasts, in seconds: the shortest that there is.
const SESSION_SECONDS: u32 = 900;

/// At most so many sessions are kept.
const SESSIONS_MAX: usize = 1_000;

/// See the module.
pub(crate) struct World {
    agent: Agent,
    /// For what is beside the process: never by a proxy, which would see keys.
    near: Agent,
    endpoint: Option<String>,
    own: Mutex<Option<Credentials>>,
    sessions: Mutex<HashMap<(String, String), Credentials>>,
    targets: Targets,
    environment: fn(&str) -> Option<String>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("World")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What became of a request before it was read.
pub(super) enum Failed {
    /// It was certainly not done.
    NotDone(String),
    /// It may have been done.
    Unknown(String),
}

impl World {
    /// The world, or what answers at an address in its place.
    pub(crate) fn new(endpoint: &str) -> Self {
        Self {
            agent: agent(TIMEOUT_MAX, Proxy::AsTheEnvironmentSays),
            near: agent(METADATA, Proxy::Never),
            endpoint: Some(endpoint.trim_end_matches('/').to_owned()).filter(|one| !one.is_empty()),
            own: Mutex::default(),
            sessions: Mutex::default(),
            targets: Targets::default(),
            environment: from_environment,
        }
    }

    /// The same, with targets of `http.request`.
    pub(crate) fn with_targets(self, targets: Targets) -> Self {
        Self { targets, ..self }
    }

    /// The same with credentials that are known.
    pub(crate) fn with_credentials(endpoint: &str, credentials: Credentials) -> Self {
        let world = Self::new(endpoint);
        *world.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials);
        world
    }

    fn own_credentials(&self, timeout: Duration) -> Result<Credentials, String> {
        let own = || self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let time = Timestamp::now();
        if let Some(known) = own().as_ref().filter(|one| one.is_good(time, GOOD_FOR)) {
            return Ok(known.clone());
        }
        // Not under the lock: several may fetch at once, and none waits for another.
        let mut why = Vec::new();
        for provider in providers(&self.environment) {
            match self.provided(&provider, timeout) {
                Ok(found) => {
                    *own() = Some(found.clone());
                    return Ok(found);
                }
                Err(fault) => why.push(fault),
            }
        }
        Err(format!(
            "no credentials of AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or run with a role ({})",
            why.join("; ")
        ))
    }

    fn provided(&self, provider: &Provider, timeout: Duration) -> Result<Credentials, String> {
        let read = |path: &str| {
            let text = crate::channel::file::read_bounded(path.as_ref(), 1 << 20);
            text.map_err(|fault| format!("{path}: {fault}"))
        };
        let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| "not text".to_owned());
        match provider {
            Provider::Environment(credentials) => Ok(credentials.clone()),
            Provider::File { path, profile } => {
                let text = read(path)?;
                from_profile(&text, profile).map_err(|fault| format!("{path}: {fault}"))
            }
            Provider::WebIdentity {
                token_path,
                role,
                session,
            } => {
                let token = read(token_path)?;
                let parameters = json!({
                    "RoleArn": role,
                    "RoleSessionName": session,
                    "WebIdentityToken": token.trim(),
                });
                let call = Call {
                    operation: "sts.AssumeRoleWithWebIdentity".to_owned(),
                    account: String::new(),
                    region: self.region(),
                    parameters: object(parameters),
                };
                match self.exchange(&call, None, Timestamp::now(), timeout) {
                    Ok(Sent::Answered {
                        answer: Answer::Done(value),
                        ..
                    }) => from_assumed_role(&value)
                        .map(|one| one.credentials)
                        .map_err(|fault| fault.to_string()),
                    Ok(other) => Err(format!("sts.AssumeRoleWithWebIdentity: {}", told(&other))),
                    Err(Failed::NotDone(why) | Failed::Unknown(why)) => Err(why),
                }
            }
            Provider::Container { url, authorization } => {
                let mut request = self.near.get(url);
                match authorization {
                    Some(Fetched::Text(text)) => request = request.header("authorization", text),
                    Some(Fetched::Path(path)) => {
                        request = request.header("authorization", read(path)?.trim());
                    }
                    None => {}
                }
                let body = plain(
                    request
                        .config()
                        .timeout_global(Some(METADATA))
                        .build()
                        .call(),
                    url,
                )?;
                from_metadata(&body).map_err(|fault| fault.to_string())
            }
            Provider::Instance { endpoint } => {
                let put = self
                    .near
                    .put(format!("{endpoint}/latest/api/token"))
                    .header("x-aws-ec2-metadata-token-ttl-seconds", "60");
                let put = put.config().timeout_global(Some(METADATA)).build();
                let token = text_of(plain(put.send_empty(), endpoint)?)?;
                let get = |path: &str| {
                    let url =
                        format!("{endpoint}/latest/meta-data/iam/security-credentials/{path}");
                    let get = self
                        .agent
                        .get(&url)
                        .header("x-aws-ec2-metadata-token", &token);
                    plain(
                        get.config().timeout_global(Some(METADATA)).build().call(),
                        &url,
                    )
                };
                let role = text_of(get("")?)?;
                let role = role.lines().next().unwrap_or_default().trim().to_owned();
                from_metadata(&get(&role)?).map_err(|fault| fault.to_string())
            }
        }
    }

    /// What was refused as expired is fetched anew, whatever the clock here says.
    fn forget(&self, refused: &Credentials) {
        let is_it = |one: &Credentials| one.access_key == refused.access_key;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, one| !is_it(one));
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.take_if(|one| is_it(one));
    }

    fn region(&self) -> String {
        (self.environment)("AWS_REGION")
            .or_else(|| (self.environment)("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| "us-east-1".to_owned())
    }

    /// Credentials of a session for an action.
    fn session(
        &self,
        identity: &Identity,
        call: &Call,
        timeout: Duration,
    ) -> Result<Credentials, Sent> {
        let own = self.own_credentials(timeout).map_err(Sent::NotDone)?;
        if identity.role.is_empty() {
            return Ok(own);
        }
        let purpose = match &identity.plan {
            Some(plan) => format!("{} {}", identity.action, plan.hash()),
            None => format!("{} reading", identity.action),
        };
        let key = (identity.role.clone(), purpose);
        let known = |sessions: &HashMap<_, Credentials>| {
            let one: Option<&Credentials> = sessions.get(&key);
            one.filter(|one| one.is_good(Timestamp::now(), GOOD_FOR))
                .cloned()
        };
        let sessions = || self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known(&sessions()) {
            return Ok(found);
        }
        let calls = match &identity.plan {
            Some(plan) => calls_of(plan),
            None => Vec::new(),
        };
        let mut parameters = json!({
            "RoleArn": identity.role,
            "RoleSessionName": session_name(&identity.action),
            "DurationSeconds": SESSION_SECONDS,
        });
        if !calls.is_empty() {
            let policy = session_policy(calls.iter().copied())
                .map_err(|fault| refused("SessionPolicy", &fault.to_string()))?;
            parameters["Policy"] = policy.into();
        }
        let assume = Call {
            operation: "sts.AssumeRole".to_owned(),
            account: call.account.clone(),
            region: match call.region.as_str() {
                "" => self.region(),
                region => region.to_owned(),
            },
            parameters: object(parameters),
        };
        let sent = match self.exchange(&assume, Some(&own), Timestamp::now(), timeout) {
            Ok(sent) => sent,
            // That a role was assumed changes nothing.
            Err(Failed::NotDone(why) | Failed::Unknown(why)) => return Err(Sent::NotDone(why)),
        };
        match sent {
            Sent::Answered {
                answer: Answer::Done(value),
                ..
            } => {
                let assumed = from_assumed_role(&value)
                    .map_err(|fault| refused("AssumeRole", &fault.to_string()))?;
                let mut sessions = sessions();
                if sessions.len() >= SESSIONS_MAX {
                    sessions.retain(|_, one| one.is_good(Timestamp::now(), GOOD_FOR));
                }
                if sessions.len() >= SESSIONS_MAX {
                    sessions.clear();
                }
                sessions.insert(key, assumed.credentials.clone());
                Ok(assumed.credentials)
            }
            Sent::Answered {
                answer: Answer::Refused { code, message },
                ..
            } => Err(refused(
                &code,
                &format!("sts.AssumeRole of {}: {message}", identity.role),
            )),
            Sent::NotDone(why) | Sent::Unknown(why) => Err(Sent::NotDone(format!(
                "sts.AssumeRole of {}: {why}",
                identity.role
            ))),
        }
    }

    /// Sends one request, signed as of a time, and reads its answer.
    fn exchange(
        &self,
        call: &Call,
        credentials: Option<&Credentials>,
        signed: Timestamp,
        timeout: Duration,
    ) -> Result<Sent, Failed> {
        let Some(operation) = operation(&call.operation) else {
            return Ok(refused(
                "UnknownOperation",
                &format!("{} is not known", call.operation),
            ));
        };
        let mut all: Option<Value> = None;
        let mut parameters = call.parameters.clone();
        for _ in 0..PAGES_MAX {
            let by = credentials.map(|credentials| (credentials, signed));
            let sent = self.page(operation, &parameters, call, by, timeout)?;
            let Sent::Answered {
                answer: Answer::Done(page),
                request,
            } = sent
            else {
                return Ok(sent);
            };
            let next = next_page(operation, &parameters, &page).filter(|_| operation.is_read);
            let whole = match all.take() {
                Some(mut before) => {
                    join_page(operation, &mut before, page);
                    before
                }
                None => page,
            };
            match next {
                Some(next) => {
                    parameters = next;
                    all = Some(whole);
                }
                None => {
                    let answer = Answer::Done(whole);
                    return Ok(Sent::Answered { answer, request });
                }
            }
        }
        Err(Failed::NotDone(format!(
            "{}: its answer has more than {PAGES_MAX} pages",
            call.operation
        )))
    }

    fn page(
        &self,
        operation: &Operation,
        parameters: &Map<String, Value>,
        call: &Call,
        by: Option<(&Credentials, Timestamp)>,
        timeout: Duration,
    ) -> Result<Sent, Failed> {
        let wrong = |fault: String| Ok(refused("InvalidRequest", &fault));
        let mut request = match encode(operation, parameters, &call.account) {
            Ok(request) => request,
            Err(fault) => return wrong(format!("{}: {fault}", call.operation)),
        };
        let place = endpoint(
            &operation.service,
            &call.region,
            &call.account,
            self.endpoint.as_deref(),
        );
        let place = match place {
            Ok(place) => place,
            Err(fault) => return wrong(format!("{}: {fault}", call.operation)),
        };
        if let (Some((credentials, signed)), false) = (by, operation.is_unsigned) {
            sign(
                &mut request,
                &operation.service,
                &place,
                credentials,
                signed,
            );
        }
        let url = format!("{}://{}{}", place.scheme, place.host, request.target());
        let mut built = ureq::http::Request::builder()
            .method(request.method)
            .uri(&url);
        for (name, value) in &request.headers {
            if name != "host" {
                built = built.header(name, value);
            }
        }
        let built = match built.body(request.body) {
            Ok(built) => built,
            Err(fault) => return wrong(format!("{}: {fault}", call.operation)),
        };
        let configured = self.agent.configure_request(built);
        let configured = configured.timeout_global(Some(timeout));
        let configured = configured.allow_non_standard_methods(true).build();
        let answer = self.agent.run(configured);
        let mut answer = answer.map_err(|fault| failed(&call.operation, &fault))?;
        let status = answer.status().as_u16();
        let headers: Vec<(String, String)> = answer
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        let mut body = Vec::new();
        let most = BODY_BYTES_MAX as u64 + 1;
        let read = answer
            .body_mut()
            .as_reader()
            .take(most)
            .read_to_end(&mut body);
        if let Err(fault) = read {
            return Err(Failed::Unknown(format!(
                "{}: its answer ended: {fault}",
                call.operation
            )));
        }
        let decoded = decode(operation, status, &headers, &body)
            .map_err(|fault| Failed::Unknown(format!("{}: {fault}", call.operation)))?;
        if let (Retry::Signature, Some((credentials, _))) = (decoded.retry, by) {
            self.forget(credentials);
        }
        if let Answer::Refused { code, message } = &decoded.answer
            && decoded.retry.is_passing()
        {
            let why = format!("{}: {code}: {message}", call.operation);
            // A service that failed may have done it all the same; one that refused did not.
            return Err(match status >= 500 && !decoded.retry.is_throttled() {
                true => Failed::Unknown(why),
                false => Failed::NotDone(why),
            });
        }
        Ok(Sent::Answered {
            answer: decoded.answer,
            request: decoded.request_id.unwrap_or_default(),
        })
    }
}

/// How long what is beside the process may take.
const METADATA: Duration = Duration::from_secs(2);

fn plain(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    url: &str,
) -> Result<Vec<u8>, String> {
    let mut answer = answer.map_err(|fault| format!("{url}: {fault}"))?;
    if !answer.status().is_success() {
        return Err(format!("{url}: {}", answer.status()));
    }
    let body = answer.body_mut().with_config().limit(1 << 20).read_to_vec();
    body.map_err(|fault| format!("{url}: {fault}"))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

pub(super) fn refused(code: &str, message: &str) -> Sent {
    Sent::Answered {
        answer: Answer::Refused {
            code: code.to_owned(),
            message: message.to_owned(),
        },
        request: String::new(),
    }
}

fn told(sent: &Sent) -> String {
    match sent {
        Sent::Answered {
            answer: Answer::Refused { code, message },
            ..
        } => format!("{code}: {message}"),
        Sent::Answered { .. } => "answered".to_owned(),
        Sent::NotDone(why) | Sent::Unknown(why) => why.clone(),
    }
}

/// Whether a request that got no answer can have been done.
pub(super) fn failed(operation: &str, fault: &ureq::Error) -> Failed {
    let why = format!("{operation}: {}", with_causes(fault));
    let never_sent = match fault {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) => true,
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => true,
        ureq::Error::Io(fault) => fault.kind() == std::io::ErrorKind::ConnectionRefused,
        ureq::Error::Tls(_) => true,
        _ => false,
    };
    match never_sent {
        true => Failed::NotDone(why),
        false => Failed::Unknown(why),
    }
}

/// All requests that a plan may need.
fn calls_of(plan: &Plan) -> Vec<&Call> {
    fn steps<'p>(list: &'p [Step], calls: &mut Vec<&'p Call>) {
        for step in list {
            calls.push(&step.call);
            calls.extend(step.probe.as_ref().map(|check| &check.call));
            steps(&step.inverse, calls);
        }
    }
    let mut calls = Vec::new();
    steps(&plan.steps, &mut calls);
    let checks = plan.preconditions.iter().chain(&plan.verify);
    calls.extend(checks.map(|check| &check.call));
    calls
}

/// Whether a plan has a request, but for what its answers fill in.
fn has(plan: &Plan, call: &Call) -> bool {
    let is_it = |one: &&Call| {
        one.operation == call.operation && one.account == call.account && one.region == call.region
    };
    calls_of(plan).iter().any(is_it)
}

impl Outside for World {
    fn now(&self) -> i64 {
        now().micros()
    }

    fn send(&self, call: &Call, identity: &Identity) -> Sent {
        self.send_if(call, identity, &|| true)
    }

    fn send_if(&self, call: &Call, identity: &Identity, may: &dyn Fn() -> bool) -> Sent {
        let timeout = Duration::from_micros(identity.timeout.max(1) as u64).min(TIMEOUT_MAX);
        let is_http = call.operation.starts_with("http.");
        let is_read = call.operation == "http.read"
            || operation(&call.operation).is_some_and(|one| one.is_read);
        // Whatever is wrong elsewhere: what changes something is in a plan that was journaled, or it is not sent.
        if !is_read && !identity.plan.as_ref().is_some_and(|plan| has(plan, call)) {
            return refused(
                "NotPlanned",
                &format!("{} changes something and is in no plan", call.operation),
            );
        }
        let told = |sent: Result<Sent, Failed>| match sent {
            Ok(sent) => sent,
            Err(Failed::NotDone(why)) => Sent::NotDone(why),
            Err(Failed::Unknown(why)) if is_read => Sent::NotDone(why),
            Err(Failed::Unknown(why)) => Sent::Unknown(why),
        };
        let stopped = || Sent::NotDone("it was switched off, or too late to be sent".to_owned());
        if is_http {
            if !may() {
                return stopped();
            }
            return told(
                self.targets
                    .send(&self.agent, &call.parameters, is_read, timeout),
            );
        }
        let credentials = match self.session(identity, call, timeout) {
            Ok(credentials) => credentials,
            Err(sent) => return sent,
        };
        // A session may have taken a while. And whoever is stopped for long after this question sends what AWS does not take
        // any more, as it is signed as of before.
        let signed = Timestamp::now();
        if !may() {
            return stopped();
        }
        told(self.exchange(call, Some(&credentials), signed, timeout))
    }

    fn told(&self, action: &Action) {
        let proposal = &action.proposal;
        if proposal.terms.stage.mode == tripline_remediation::policy::Mode::Shadow {
            return;
        }
        let (id, policy) = (action.id.as_str(), proposal.policy.id.as_str());
        let (state, resource) = (action.state.name(), proposal.subject.resource.arn.as_str());
        let reason = action.state.reason().unwrap_or_default();
        match &action.state {
            State::Failed(_)
            | State::RollbackFailed(_)
            | State::NeedsHuman { .. }
            | State::Drifted(_) => {
                tracing::error!(id, policy, state, resource, reason, "action");
            }
            State::RollingBack(_) | State::RolledBack(_) | State::Unplannable(_) => {
                tracing::warn!(id, policy, state, resource, reason, "action");
            }
            _ => tracing::info!(id, policy, state, resource, reason, "action"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tripline_remediation::action;
    use tripline_remediation::aws::operation;

    #[test]
    fn every_operation_of_every_action_is_known() {
        let all = action::operations().iter().copied();
        let unknown: Vec<&str> = all
            .filter(|name| !name.starts_with("http.") && operation(name).is_none())
            .collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }
}
