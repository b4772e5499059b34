//! A service that runs while a test needs it, and is killed when the test ends.

use super::{Folder, tripline};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use ureq::Agent;

/// A process.
pub(crate) struct Service {
    child: Child,
    url: String,
    agent: Agent,
    said: Arc<Mutex<VecDeque<String>>>,
}

/// Lines of standard error that are kept.
const LINES_KEPT: usize = 100;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

impl Service {
    /// Starts it with the configuration of the folder, and waits until it listens.
    pub(crate) fn start(folder: &Folder) -> Self {
        let config = format!("{}/tripline.toml", folder.path());
        Self::start_by(tripline(&["serve", "--config", &config]))
    }

    /// The same by another command.
    pub(crate) fn start_by(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it has standard error"));
        let mut told = String::new();
        let url = loop {
            let mut line = String::new();
            let read = lines.read_line(&mut line).expect("it writes text");
            told.push_str(&line);
            assert!(read > 0, "it ended: {told}");
            if let Some((_, url)) = line.trim().split_once("listening on ") {
                break url.to_owned();
            }
        };
        // Somebody must read, or it waits for that.
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let last = said.clone();
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut last = last.lock().expect("nobody panicked");
                last.push_back(line);
                if last.len() > LINES_KEPT {
                    last.pop_front();
                }
            }
        });
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self {
            child,
            url,
            agent: config.new_agent(),
            said,
        }
    }

    /// The last lines that it wrote to standard error.
    pub(crate) fn said(&self) -> String {
        let said = self.said.lock().expect("nobody panicked");
        said.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// What is at a path.
    pub(crate) fn get(&self, path: &str) -> Value {
        let mut answer = self
            .agent
            .get(format!("{}{path}", self.url))
            .call()
            .expect("it answers");
        serde_json::from_str(&answer.body_mut().read_to_string().expect("text")).expect("JSON")
    }

    /// The text at a path.
    pub(crate) fn text(&self, path: &str) -> String {
        let mut answer = self
            .agent
            .get(format!("{}{path}", self.url))
            .call()
            .expect("it answers");
        answer.body_mut().read_to_string().expect("text")
    }

    /// Status and text of the answer to a body.
    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> (u16, String) {
        self.try_post(path, body).expect("it answers")
    }

    /// The same, when it may be gone.
    pub(crate) fn try_post(&self, path: &str, body: impl AsRef<[u8]>) -> Option<(u16, String)> {
        let mut answer = self
            .agent
            .post(format!("{}{path}", self.url))
            .send(body.as_ref())
            .ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), text))
    }

    /// Sends events, all of which must be taken.
    pub(crate) fn publish(&self, events: &[String]) {
        let (status, text) = self.post("/v1/events", events.join("\n"));
        assert_eq!(status, 200, "{text}");
    }

    /// Waits until so many records were evaluated and are durable.
    pub(crate) fn wait_for(&self, records: u64) {
        self.wait_until("so many are evaluated", || {
            self.get("/v1/status")["tally"]["events"].as_u64() >= Some(records)
        });
        self.wait_evaluated();
    }

    /// Waits until what is in the logs now is evaluated and durable. That nothing lags may never be seen: while rules wait
    /// for time to pass, ticks come all the time.
    pub(crate) fn wait_evaluated(&self) {
        let places = |name: &str| -> Vec<u64> {
            let status = self.get("/v1/status");
            let partitions = status["partitions"].as_array().expect("a list");
            partitions
                .iter()
                .map(|one| one[name].as_u64().expect("a place"))
                .collect()
        };
        let last = places("last");
        self.wait_until("everything is evaluated", || {
            let positions = places("position");
            positions
                .iter()
                .zip(&last)
                .all(|(position, last)| position >= last)
        });
    }

    /// Waits until a sink has all that is stored.
    pub(crate) fn wait_sent(&self, sink: &str) {
        self.wait_until("the sink has everything", || {
            let status = self.get("/v1/status");
            let newest = self.get("/v1/findings?limit=1")["findings"][0]["number"]
                .as_u64()
                .unwrap_or(0);
            status["sinks"][sink]["position"].as_u64() == Some(newest)
        });
    }

    /// Waits until something holds.
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(
                begun.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}; {}",
                self.text("/v1/status")
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it as a loss of power would, as far as the process goes.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// How it ended by itself, and its last lines.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(ended) = self.child.try_wait().expect("it can be asked") {
                // The thread that reads what it said may be behind.
                thread::sleep(Duration::from_millis(200));
                return (ended.code(), self.said());
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("it still runs:\n{}", self.said());
    }

    /// Asks it to end; how it did.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be asked");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
