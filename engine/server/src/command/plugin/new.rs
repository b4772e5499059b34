//! `tripline plugin new`: a project from templates that are in the binary, so that it works without a network.

use crate::command::CommandError;
use crate::exit::Exit;
use crate::terminal::Shown;
use clap::{Args, ValueEnum};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tripline_host::manifest::PluginName;

/// The templates, the SDKs and the contract when this was built: path and text.
static TEMPLATES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));
static SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
pub(super) static WIT: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/wit.rs"));

/// The language of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    Rust,
    Python,
    Js,
    Go,
    C,
}

impl Language {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Js => "js",
            Self::Go => "go",
            Self::C => "c",
        }
    }
}

/// Make the project of a new plugin.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Who and what: `acme/geo`. The folder is called like the second part.
    #[arg(value_name = "NAME")]
    name: String,

    /// The language that it is written in.
    #[arg(long, value_enum, default_value = "rust", value_name = "LANG")]
    lang: Language,

    /// What it is for: `enricher` or `detector`; in Rust also `stateful-detector`, `scorer`, `policy`, `decoder`,
    /// `remediator` or `planner`.
    #[arg(long, default_value = "enricher", value_name = "KIND")]
    kind: String,

    /// The folder to make.
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Makes the project.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let (owner, short) = names(&arguments.name)?;
    let language = arguments.lang.as_str();
    let prefix = format!("templates/{language}/{}/", arguments.kind);
    let files = TEMPLATES
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix(&prefix)?, *text)));
    let files: Vec<(&str, &str)> = files.collect();
    if files.is_empty() {
        let words = format!(
            "there is no template of kind `{}` for {language}; there {}{}",
            Shown(&arguments.kind),
            kinds_of(language),
            elsewhere(&arguments.kind)
        );
        return Err(CommandError::Usage(words));
    }
    let folder = match &arguments.output {
        Some(folder) => folder.clone(),
        None => PathBuf::from(short),
    };
    if folder.symlink_metadata().is_ok() {
        let words = format!("{} is there already", folder.display());
        return Err(CommandError::Usage(words));
    }
    let package = format!("{owner}-{short}");
    let values = [
        ("{{name}}", arguments.name.clone()),
        ("{{module}}", package.replace('-', "_")),
        ("{{description}}", format!("What {short} does")),
        ("{{license}}", "Apache-2.0".to_owned()),
        ("{{package}}", package),
    ];
    for (path, text) in files {
        let fill = |text: &str| {
            values.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(name, value)
            })
        };
        // Cargo takes a folder with a `Cargo.toml` for a package, so templates call it otherwise.
        let path = fill(path.strip_suffix(".template").unwrap_or(path));
        write(&folder.join(path), &fill(text))?;
    }
    write(
        &folder.join(".gitignore"),
        "target/\nnode_modules/\nmodule.wasm\n",
    )?;
    vendor(&folder, arguments.lang)?;
    let shown = folder.display();
    let text = format!(
        "made {shown}\n\nnext:\n  tripline plugin build {shown}\n  tripline plugin test {shown}\n"
    );
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}

/// The SDK and the contract beside a project, as they are in this binary.
pub(super) fn vendor(folder: &Path, language: Language) -> Result<(), CommandError> {
    let wanted = format!("{}/", language.as_str());
    for (path, text) in SDK.iter().filter(|(path, _)| path.starts_with(&wanted)) {
        write(&folder.join(".tripline/sdk").join(path), text)?;
    }
    for (path, text) in WIT {
        write(&folder.join(".tripline/contract").join(path), text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let fault = |source| CommandError::Write {
        path: path.display().to_string(),
        source,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(fault)?;
    }
    fs::write(path, text).map_err(fault)
}

/// The languages that have a template of a kind, for who asked for one in another.
fn elsewhere(kind: &str) -> String {
    let with = Language::value_variants().iter().filter(|language| {
        let prefix = format!("templates/{}/{kind}/", language.as_str());
        TEMPLATES.iter().any(|(path, _)| path.starts_with(&prefix))
    });
    let with: Vec<&str> = with.map(|language| language.as_str()).collect();
    match with.is_empty() {
        true => String::new(),
        false => format!(". In {} there is one of it", with.join(" and ")),
    }
}

fn kinds_of(language: &str) -> String {
    let prefix = format!("templates/{language}/");
    let kinds = TEMPLATES.iter().filter_map(|(path, _)| {
        let rest = path.strip_prefix(&prefix)?;
        rest.split('/').next()
    });
    let mut kinds: Vec<&str> = kinds.collect();
    kinds.dedup();
    match kinds.as_slice() {
        [] => "is none at all".to_owned(),
        [one] => format!("is {one}"),
        several => format!("are {}", several.join(", ")),
    }
}

/// `acme/geo` as its parts.
fn names(name: &str) -> Result<(&str, &str), CommandError> {
    let good = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let starts = part
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase());
        starts && part.len() <= 64 && part.bytes().all(plain)
    };
    let is_name = PluginName::new(name).is_some();
    match name.split_once('/') {
        Some((owner, short)) if is_name && good(owner) && good(short) => Ok((owner, short)),
        _ => Err(CommandError::Usage(format!(
            "`{}` is no name of a plugin; give who and what, each beginning with a small letter and of small letters, \
             digits and single hyphens: `acme/geo`",
            Shown(name)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_two_parts() {
        assert_eq!(names("acme/geo-ip").ok(), Some(("acme", "geo-ip")));
        for bad in [
            "geo",
            "acme/",
            "/geo",
            "Acme/geo",
            "acme/../x",
            "a/b/c",
            "acme/9x",
            "acme/con-",
            "acme/a--b",
        ] {
            assert!(names(bad).is_err(), "{bad}");
        }
    }

    /// A word of the name in a program would one day be a word that the program uses otherwise.
    #[test]
    fn programs_are_the_same_whatever_a_plugin_is_called() {
        let is_program = |path: &&str| {
            let endings = [".rs", ".go", ".c", ".h", ".js", ".py"];
            endings.iter().any(|ending| path.ends_with(ending))
        };
        let mut programs = 0;
        for (path, text) in TEMPLATES.iter().filter(|(path, _)| is_program(path)) {
            programs += 1;
            let code = text.lines().filter(|line| {
                // What it is for stands in the comment at its beginning, and headers have the comments of the contract.
                !["//", "/*", "\"\"\""]
                    .iter()
                    .any(|comment| line.trim_start().starts_with(comment))
            });
            let placeholders = ["{{name}}", "{{package}}", "{{module}}", "{{type}}"];
            let is_named = |line: &&str| placeholders.iter().any(|one| line.contains(one));
            let named: Vec<&str> = code.filter(is_named).collect();
            assert!(named.is_empty(), "{path}: {named:?}");
        }
        assert!(programs >= 13, "{programs}");
    }
}
