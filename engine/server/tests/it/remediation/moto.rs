//! An emulator of AWS, and the hand that makes bad states in it and tells how things are.
//!
//! The emulator checks signatures and what a principal may do. What it gets wrong: a key that was switched off still works, any
//! condition denies, sessions' policies are passed over, and signatures of questions without a body (Lambda) are refused.

use crate::plugins::python_with;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A key of somebody.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
}

/// See the module.
pub(super) struct Moto {
    server: Child,
    pub(super) address: SocketAddr,
    hand: Mutex<Hand>,
    /// The key of the user that the service is.
    pub(super) key: Key,
}

struct Hand {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

fn python() -> PathBuf {
    python_with("moto", &["moto[server]==5.2.5", "boto3==1.44.5"])
}

/// A port that is free now.
fn free() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it has an address")
}

impl Moto {
    /// Starts it, with an administrator, a role for actions, and a user who may assume that and do nothing else.
    pub(super) fn start() -> Self {
        let (bin, address) = (python(), free());
        let mut server = Command::new(bin.join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            // Without them there is no policy to attach.
            .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
            .env_remove("INITIAL_NO_AUTH_ACTION_COUNT")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the emulator starts");
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = server.try_wait().expect("it can be asked");
            assert_eq!(ended, None, "moto_server ended");
            assert!(begun.elapsed() < PATIENCE, "moto_server does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        let script = format!(
            "{}/tests/it/remediation/world.py",
            env!("CARGO_MANIFEST_DIR")
        );
        let mut process = Command::new(bin.join("python"))
            .args([&script, &format!("http://{address}")])
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let input = process.stdin.take().expect("it has standard input");
        let output = BufReader::new(process.stdout.take().expect("it has standard output"));
        let hand = Hand {
            process,
            input,
            output,
        };
        let mut moto = Self {
            server,
            address,
            hand: Mutex::new(hand),
            key: Key {
                id: String::new(),
                secret: String::new(),
            },
        };
        let begun = moto.ask(&json!({ "do": "begin" }));
        assert_eq!(begun["wrong"], "SignatureDoesNotMatch", "it checks");
        let text = |name: &str| begun["keys"][name].as_str().expect("a key").to_owned();
        moto.key = Key {
            id: text("aws_access_key_id"),
            secret: text("aws_secret_access_key"),
        };
        moto
    }

    fn ask(&self, asked: &Value) -> Value {
        let mut hand = self.hand.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(hand.input, "{asked}").expect("it reads");
        let mut line = String::new();
        hand.output.read_line(&mut line).expect("it writes");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        if let Some(error) = answer["error"].as_str() {
            panic!("{asked}: {error}");
        }
        answer["ok"].clone()
    }

    /// Makes a bad state; the event that tells of it.
    pub(super) fn set(&self, name: &str, tag: &str) -> Value {
        self.ask(&json!({ "do": "set", "name": name, "tag": tag }))
    }

    /// How things are.
    pub(super) fn get(&self, name: &str, tag: &str) -> Value {
        self.ask(&json!({ "do": "get", "name": name, "tag": tag }))
    }

    /// Anything else that it can do.
    pub(super) fn again(&self, what: &str, tag: &str) -> Value {
        self.ask(&json!({ "do": what, "tag": tag }))
    }

    /// Whether signatures and permissions are checked.
    pub(super) fn checks(&self, is_on: bool) {
        self.ask(&json!({ "do": "auth", "on": is_on }));
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let hand = self.hand.get_mut().unwrap_or_else(PoisonError::into_inner);
        for process in [&mut hand.process, &mut self.server] {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
