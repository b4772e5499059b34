//! Compiling in a child process, so that whatever the compiler does to itself, it does to the child.
//!
//! The caller says which program to start: the server starts itself with a hidden command, which calls [`child_main`].
//! The child bounds itself before it reads a byte of the component; the parent bounds it by the clock and takes a dead
//! child as an answer. Compiling within the host's own process was rejected: an allocation that fails there aborts it.

use crate::engine::{Memory, Meter, engine};
use crate::limits::{
    ARTEFACT_BYTES_MAX, COMPILE_ADDRESS_SPACE_BYTES, COMPILE_CPU_SECONDS,
    COMPILE_CPU_SECONDS_LARGE, COMPILE_LARGE_BYTES, COMPILE_WALL_FACTOR, COMPONENT_BYTES_MAX,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How the child is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jail {
    /// The program.
    pub program: PathBuf,
    /// What makes it call [`child_main`].
    pub arguments: Vec<OsString>,
    /// Variables of its environment; it has no others.
    pub environment: Vec<(OsString, OsString)>,
}

/// Why a component was not compiled.
#[derive(Debug, Error)]
pub enum CompileFault {
    /// The child died at one of its bounds, or was killed.
    #[error("the compile limit was reached: {how}")]
    Limit {
        /// How it died.
        how: String,
    },
    /// The compiler says that it is not valid.
    #[error("the compiler refuses it: {0}")]
    Refused(String),
    /// The child was not started, or could not be talked to.
    #[error("the compiling child cannot be used")]
    Child(#[source] io::Error),
}

const COMPILED: u8 = b'K';
const REFUSED: u8 = b'R';

/// How the child is told what the code is to count.
fn word_of(meter: Meter) -> u8 {
    match meter {
        Meter::Time => b'T',
        Meter::Instructions => b'I',
    }
}

impl Jail {
    /// Compiles a component that was scanned, to count what the meter says.
    pub fn compile(&self, component: &[u8], meter: Meter) -> Result<Vec<u8>, CompileFault> {
        let seconds = cpu_seconds(component.len() as u64);
        let wall = Duration::from_secs(seconds) * COMPILE_WALL_FACTOR;
        self.compile_within(component, meter, wall)
    }

    /// The same, killed after `wall` by the clock.
    pub fn compile_within(
        &self,
        component: &[u8],
        meter: Meter,
        wall: Duration,
    ) -> Result<Vec<u8>, CompileFault> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(CompileFault::Child)?;
        let answer = talk(&mut child, component, meter, wall);
        if answer.is_none() {
            // Fails when it ended just now, which `wait` tells.
            let _ = child.kill();
        }
        let status = child.wait().map_err(CompileFault::Child)?;
        let Some(answer) = answer else {
            let how = format!("it took longer than {} s", wall.as_secs_f32());
            return Err(CompileFault::Limit { how });
        };
        understand(answer, status)
    }
}

/// Gives the child the component and takes what it writes; nothing when it took too long.
///
/// Both pipes have a thread of their own, so that a child that does not read, or does not stop writing, holds up nobody.
fn talk(child: &mut Child, component: &[u8], meter: Meter, wall: Duration) -> Option<Vec<u8>> {
    let (mut stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
    let until = Instant::now() + wall;
    let (answered, answer) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A child that died does not read; how it died says more than that.
            let _ = stdin
                .write_all(&[word_of(meter)])
                .and_then(|()| stdin.write_all(&(component.len() as u64).to_le_bytes()))
                .and_then(|()| stdin.write_all(component));
        });
        scope.spawn(move || {
            let mut bytes = Vec::new();
            let mut stdout = stdout.take(ARTEFACT_BYTES_MAX as u64 + 1024);
            let _ = stdout.read_to_end(&mut bytes);
            let _ = answered.send(bytes);
        });
        let left = until.saturating_duration_since(Instant::now());
        match answer.recv_timeout(left) {
            Ok(bytes) => Some(bytes),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                // The threads end when the pipes do.
                let _ = child.kill();
                None
            }
        }
    })
}

fn understand(mut answer: Vec<u8>, status: ExitStatus) -> Result<Vec<u8>, CompileFault> {
    let how = how_it_ended(status);
    if !status.success() {
        return Err(CompileFault::Limit { how });
    }
    match answer.first() {
        Some(&COMPILED) if answer.len() <= ARTEFACT_BYTES_MAX => {
            answer.remove(0);
            Ok(answer)
        }
        Some(&COMPILED) => Err(CompileFault::Limit {
            how: format!("what it made is longer than {ARTEFACT_BYTES_MAX} bytes"),
        }),
        Some(&REFUSED) => {
            let mut message = String::from_utf8_lossy(&answer[1..]).into_owned();
            message.truncate(message.floor_char_boundary(1024));
            Err(CompileFault::Refused(message))
        }
        _ => Err(CompileFault::Child(io::Error::other(format!(
            "it gave no answer: {how}"
        )))),
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (_, Some(signal)) => match signal {
            6 => "it aborted, as it does without memory".to_owned(),
            9 => "it was killed".to_owned(),
            24 => "it used up its processor time".to_owned(),
            signal => format!("it died of signal {signal}"),
        },
        (Some(code), _) => format!("it ended with {code}"),
        _ => "it ended".to_owned(),
    }
}

fn cpu_seconds(component_bytes: u64) -> u64 {
    match component_bytes > COMPILE_LARGE_BYTES as u64 {
        true => COMPILE_CPU_SECONDS_LARGE,
        false => COMPILE_CPU_SECONDS,
    }
}

/// What the child does: bounds itself, reads a component, writes what became of it.
pub fn child_main() -> ExitCode {
    match child() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn child() -> io::Result<()> {
    let bounded = |resource, current, maximum| {
        let limit = Rlimit {
            current: Some(current),
            maximum: Some(maximum),
        };
        setrlimit(resource, limit).map_err(io::Error::from)
    };
    bounded(Resource::Core, 0, 0)?;
    let space = COMPILE_ADDRESS_SPACE_BYTES;
    bounded(Resource::As, space, space)?;
    // The soft bound is that of small components until the length is known.
    let most = COMPILE_CPU_SECONDS_LARGE;
    bounded(Resource::Cpu, COMPILE_CPU_SECONDS, most)?;
    let mut stdin = io::stdin().lock();
    let mut word = [0; 1];
    stdin.read_exact(&mut word)?;
    let meters = [Meter::Time, Meter::Instructions];
    let meter = meters.into_iter().find(|meter| word_of(*meter) == word[0]);
    let meter = meter.ok_or(io::ErrorKind::InvalidData)?;
    let mut length = [0; 8];
    stdin.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > COMPONENT_BYTES_MAX as u64 {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    bounded(Resource::Cpu, cpu_seconds(length), most)?;
    let mut component = Vec::new();
    stdin.take(length).read_to_end(&mut component)?;
    let mut stdout = io::stdout().lock();
    match compile(&component, meter) {
        Ok(artefact) => {
            stdout.write_all(&[COMPILED])?;
            stdout.write_all(&artefact)?;
        }
        Err(fault) => {
            stdout.write_all(&[REFUSED])?;
            stdout.write_all(format!("{fault:#}").as_bytes())?;
        }
    }
    stdout.flush()
}

/// Compiles in this very process: for the child, and for who has no child and trusts the component.
pub(crate) fn compile(component: &[u8], meter: Meter) -> wasmtime::Result<Vec<u8>> {
    let (engine, _) = engine(Memory::OnDemand, meter)?;
    engine.precompile_component(component)
}
