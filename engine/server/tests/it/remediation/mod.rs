//! Remediation as it is run: the service answers findings by acting on an emulator of AWS, through a proxy that troubles and
//! counts requests.

mod anybody;
mod clusters;
mod crashes;
mod members;
mod moto;
mod proxy;
mod scenarios;
mod stages;
mod wire;

use crate::harness::{Folder, Ran, run, tripline};
use moto::Moto;
use proxy::Proxy;
use serde_json::Value;
use std::fmt::Write;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use ureq::Agent;

pub(super) const ACCOUNT: &str = "123456789012";
const ROLE: &str = "tripline-remediation";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// An emulator, the proxy before it, and a folder with rules, policies and a configuration.
struct Ground {
    folder: Folder,
    moto: Moto,
    proxy: Proxy,
}

/// A policy, and the event that a rule finds: one of its own, or one that comes with the binary.
struct Policy<'p> {
    id: &'p str,
    action: &'p str,
    /// Source and name of the event.
    event: (&'p str, &'p str),
    /// The rule that comes with the binary.
    shipped: &'p str,
    mode: &'p str,
    /// Actions of it in ten minutes.
    cap: u32,
    /// How long it is looked for whether an action worked.
    within: &'p str,
    /// The account of the role that it acts as.
    account: &'p str,
    /// More of it, as TOML: settings, and tables.
    settings: &'p str,
    more: &'p str,
}

impl<'p> Policy<'p> {
    fn auto(id: &'p str, action: &'p str, event: (&'p str, &'p str)) -> Self {
        Self {
            id,
            action,
            event,
            shipped: "",
            mode: "auto",
            cap: 1000,
            within: "20s",
            account: "{account}",
            settings: "",
            more: "",
        }
    }

    fn rule_id(&self) -> String {
        match self.shipped {
            "" => format!("test-{}", self.id.replace('_', "-")),
            shipped => shipped.to_owned(),
        }
    }

    fn rule(&self) -> String {
        let (id, rule, event) = (self.id, self.rule_id(), self.event);
        format!(
            "id = \"{rule}\"\nname = \"{id}\"\ndescription = \"What the policy {id} answers.\"\nseverity = \"high\"\n\
             status = \"test\"\nauthors = [\"Tripline\"]\n\
             when = 'event.?eventSource.orValue(\"\") == \"{}.amazonaws.com\" && event.?eventName.orValue(\"\").startsWith(\"{}\") && event.?userIdentity.?userName.orValue(\"\") != \"admin\"'\n",
            event.0, event.1
        )
    }

    fn text(&self) -> String {
        let Self {
            id,
            action,
            mode,
            cap,
            within,
            account,
            settings,
            more,
            ..
        } = self;
        let rule = self.rule_id();
        format!(
            "[remediation.{id}]\nversion = \"1.0.0\"\ndescription = \"Of a test.\"\nrunbook = \"https://runbooks.example.com/{id}\"\n\
             owner = \"cloud-sec\"\non_finding = [\"{rule}\"]\nwhen = '!has(event.errorCode)'\naction = \"{action}\"\n{settings}\n\
             [remediation.{id}.stage]\nmode = \"{mode}\"\n\
             [remediation.{id}.limits]\nper_policy = {{ max = {cap}, window = \"10m\" }}\nper_account = {{ max = 1000, window = \"10m\" }}\n\
             cooldown = \"1s\"\nconcurrency = 16\n\
             [remediation.{id}.execution]\nstep_timeout = \"2s\"\nretry = {{ max = 20, base = \"50ms\", cap = \"400ms\" }}\n\
             verify = {{ within = \"{within}\", every = \"100ms\" }}\n\
             [remediation.{id}.credentials]\nrole = \"arn:aws:iam::{account}:role/{ROLE}\"\n{more}\n"
        )
    }
}

impl Ground {
    fn new(name: &str, policies: &[Policy<'_>]) -> Self {
        let moto = Moto::start();
        let proxy = Proxy::before(moto.address);
        let folder = Folder::new(name);
        let shipped = format!("{}/../../rules/aws", env!("CARGO_MANIFEST_DIR"));
        let mut rules = vec![format!("{}/rules", folder.path())];
        for policy in policies {
            match policy.shipped {
                "" => {
                    folder.file(&format!("rules/{}.toml", policy.id), policy.rule());
                }
                rule => rules.push(format!("{shipped}/{rule}/rule.toml")),
            }
            folder.file(&format!("policies/{}.toml", policy.id), policy.text());
        }
        let path = folder.path();
        folder.file("approvers.toml", "");
        let mut config = format!(
            "data = \"{path}/data\"\nrules.paths = {rules:?}\nhttp.listen = \"127.0.0.1:0\"\n\
             engine.commit_every = \"20ms\"\n\
             [sinks.file]\ntype = \"file\"\npath = \"{path}/findings.jsonl\"\n"
        );
        let _ = write!(
            config,
            "[remediation]\nenabled = true\npolicies = [\"{path}/policies\"]\nthreads = 4\nendpoint = \"{}\"\n\
             roles = [\"arn:aws:iam::*:role/{ROLE}\"]\napprovers_file = \"{path}/approvers.toml\"\n\
             kill_file = \"{path}/stop\"\ncheckpoint_every = \"1s\"\ncheckpoints_file = \"{path}/checkpoints.jsonl\"\n\
             max = 10000\nstorm = 10000\n\
             # The proxy holds no request for longer.\nsettled_after = \"4s\"\n",
            proxy.url()
        );
        folder.file("tripline.toml", config);
        Self {
            folder,
            moto,
            proxy,
        }
    }

    fn start(&self) -> Service {
        Service::start(self)
    }

    /// A voter; the file with the seed.
    fn approver(&self, name: &str, principal: &str) -> String {
        let seed = format!("{}/{name}.seed", self.folder.path());
        let ran = run(&["approvals", "key", &seed]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let entry = ran
            .stdout
            .replace("name = \"\"", &format!("name = \"{name}\""));
        let entry = entry.replace(
            "principals = []",
            &format!("principals = [\"{principal}\"]"),
        );
        let path = format!("{}/approvers.toml", self.folder.path());
        let before = std::fs::read_to_string(path).expect("a file");
        self.folder.file("approvers.toml", before + &entry);
        seed
    }

    /// That the journal is whole, to its end.
    fn verify(&self) -> String {
        let path = self.folder.path();
        let ran = run(&[
            "remediate",
            "audit",
            "verify",
            &format!("{path}/data/remediation"),
            "--checkpoints",
            &format!("{path}/checkpoints.jsonl"),
        ]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.starts_with("whole: "), "{}", ran.stdout);
        ran.stdout
    }
}

/// The service, which tells what it tells into a file.
struct Service {
    child: Child,
    url: String,
    agent: Agent,
    told: String,
}

impl Service {
    fn start(ground: &Ground) -> Self {
        let key = &ground.moto.key;
        Self::start_in(&ground.folder.path(), &key.id, &key.secret)
    }

    /// The service of the configuration in a folder, with a key of AWS.
    fn start_in(path: &str, id: &str, secret: &str) -> Self {
        let told = format!("{path}/told.txt");
        let file = std::fs::File::create(&told).expect("a file");
        let child = tripline(&["serve", "--config", &format!("{path}/tripline.toml")])
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env_remove("AWS_SESSION_TOKEN")
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the binary starts");
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        let mut service = Self {
            child,
            url: String::new(),
            agent,
            told,
        };
        let begun = Instant::now();
        service.url = loop {
            let told = service.told();
            let url = told.lines().find_map(|line| {
                let (_, url) = line.trim().split_once("listening on ")?;
                Some(url.to_owned())
            });
            // The line may be half written.
            if let Some(url) = url.filter(|_| told.ends_with('\n')) {
                break url;
            }
            let ended = service.child.try_wait().expect("it can be asked");
            assert_eq!(ended, None, "it ended: {told}");
            assert!(begun.elapsed() < PATIENCE, "it does not listen: {told}");
            thread::sleep(Duration::from_millis(10));
        };
        service
    }

    /// What it told.
    fn told(&self) -> String {
        std::fs::read_to_string(&self.told).expect("a file of text")
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.agent.get(format!("{}{path}", self.url)).call();
        let text = answer.expect("it answers").body_mut().read_to_string();
        serde_json::from_str(&text.expect("text")).expect("JSON")
    }

    /// Status and text of the answer to a body; none when it is gone.
    fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Option<(u16, String)> {
        let mut answer = self
            .agent
            .post(format!("{}{path}", self.url))
            .send(body.as_ref())
            .ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), text))
    }

    fn publish(&self, events: &[String]) {
        let (status, text) = self
            .post("/v1/events", events.join("\n"))
            .expect("it answers");
        assert_eq!(status, 200, "{text}");
    }

    /// Actions, the newest first.
    fn actions(&self) -> Vec<Value> {
        let answer = self.get("/v1/remediation/actions?limit=1000");
        answer["actions"].as_array().cloned().expect("a list")
    }

    /// Actions in a state; none when the service is gone.
    fn try_actions(&self, state: &str) -> Option<Vec<Value>> {
        let path = format!(
            "{}/v1/remediation/actions?limit=1000&state={state}",
            self.url
        );
        let text = self
            .agent
            .get(path)
            .call()
            .ok()?
            .body_mut()
            .read_to_string();
        let answer: Value = serde_json::from_str(&text.ok()?).ok()?;
        answer["actions"].as_array().cloned()
    }

    /// The newest action of a policy.
    fn newest(&self, policy: &str) -> Option<Value> {
        let answer = self.get(&format!("/v1/remediation/actions?policy={policy}&limit=1"));
        answer["actions"].get(0).cloned()
    }

    fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(
                begun.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}; {:#?}\n{}",
                self.actions(),
                self.told()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the newest action of a policy is in a state; its id.
    fn wait_for(&self, policy: &str, state: &str) -> String {
        let is_there = || {
            let newest = self.newest(policy);
            newest.filter(|one| one["state"] == state)
        };
        self.wait_until(&format!("{policy} is {state}"), || is_there().is_some());
        let newest = self.newest(policy).expect("it was there");
        newest["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until an action is in a state.
    fn wait_state(&self, id: &str, state: &str) {
        self.wait_until(&format!("{id} is {state}"), || {
            self.get(&format!("/v1/remediation/actions/{id}"))["state"] == state
        });
    }

    /// Waits until everything that was sent was evaluated, and what was found considered.
    fn wait_considered(&self) {
        let places = |name: &str| -> Vec<u64> {
            let status = self.get("/v1/status");
            let partitions = status["partitions"].as_array().expect("a list");
            let place = |one: &Value| one[name].as_u64().expect("a place");
            partitions.iter().map(place).collect()
        };
        let last = places("last");
        self.wait_until("everything is evaluated", || {
            let now = places("position");
            now.iter().zip(&last).all(|(now, last)| now >= last)
        });
        self.wait_until("everything is considered", || {
            let newest = self.get("/v1/findings?limit=1")["findings"][0]["number"].clone();
            let status = self.get("/v1/status");
            newest.is_null() || status["sinks"]["remediation"]["position"] == newest
        });
    }

    /// Runs a command that asks this service.
    fn command(&self, arguments: &[&str]) -> Ran {
        let output = tripline(arguments).env("TRIPLINE_URL", &self.url).output();
        output.expect("the binary runs").into()
    }

    /// The same; it must work.
    fn good(&self, arguments: &[&str]) -> String {
        let ran = self.command(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// A vote by the command.
    fn vote(&self, id: &str, name: &str, seed: &str) -> Ran {
        let head = ["approvals", "vote", id, "--approve", "--name", name];
        self.command(&[&head[..], &["--key-file", seed, "--reason", "of a test"]].concat())
    }

    /// Asks it to end; how it did.
    fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be asked");
        self.child.wait().expect("it ends").code()
    }

    fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
