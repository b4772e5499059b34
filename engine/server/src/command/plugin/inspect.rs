//! `tripline plugin inspect`: what a component is, imports, asks for and is granted.

use super::author;
use crate::causes::with_causes;
use crate::command::CommandError;
use crate::exit::Exit;
use crate::plugins::{Declared, Installed, manifest_of};
use crate::terminal::{Shown, counted};
use clap::Args;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tripline_host::LoadError;
use tripline_host::batch::ColumnKind;
use tripline_host::fit;
use tripline_host::manifest::{Capability, Column, Manifest};
use tripline_host::provenance::{Note, Package, provenance};
use tripline_host::scan::{Scanned, scan};
use tripline_host::sign::Digest;

/// Show what a plugin imports, asks for and is granted. Nothing of it runs.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// A component, or a project.
    #[arg(value_name = "DIR|FILE", required_unless_present = "plugins")]
    plugin: Option<PathBuf>,

    /// Show the plugins of an operator's file, and what each is granted.
    #[arg(long, value_name = "FILE", conflicts_with = "plugin")]
    plugins: Option<String>,

    /// The folder with the versions that ran; `tripline/plugins` in the user's cache without it.
    #[arg(long = "plugin-cache", value_name = "DIR", requires = "plugins")]
    cache: Option<PathBuf>,
}

/// Shows, and ends with `Findings` when a plugin cannot run as it is.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let mut out = String::new();
    let good = match (&arguments.plugin, &arguments.plugins) {
        (Some(plugin), _) => {
            let component = author::component(plugin)?;
            author::check_project(plugin, &component)?;
            of_component(&component, &mut out)?
        }
        (None, file) => {
            let installed = Installed::read(file.as_deref(), arguments.cache.clone())?;
            of_operator(&installed, &mut out)
        }
    };
    io::stdout().write_all(out.as_bytes())?;
    Ok(if good { Exit::Success } else { Exit::Findings })
}

fn of_component(path: &Path, out: &mut String) -> Result<bool, CommandError> {
    let bytes = std::fs::read(path).map_err(|source| CommandError::Read {
        path: path.display().to_string(),
        source,
    })?;
    let scanned = match scan(&bytes) {
        Ok(scanned) => scanned,
        Err(fault) => {
            let _ = writeln!(out, "{}: refused: {}", path.display(), with_causes(&fault));
            return Ok(false);
        }
    };
    match manifest_of(&scanned, path) {
        Ok(manifest) => {
            about(&manifest, out);
            component(&bytes, &scanned, out);
            asks(&manifest, out);
            let is_fit = told_fit(fit::check(&scanned, &manifest, None), out);
            origin(&bytes, Some(&manifest), Packages::Each, out);
            Ok(is_fit)
        }
        Err(reason) => {
            component(&bytes, &scanned, out);
            origin(&bytes, None, Packages::Each, out);
            let _ = writeln!(out, "{reason}");
            Ok(false)
        }
    }
}

fn of_operator(installed: &Installed, out: &mut String) -> bool {
    let mut is_good = installed.off.is_empty();
    for one in &installed.plugins {
        let _ = writeln!(out, "[{}]", one.alias);
        about(&one.manifest, out);
        component(&one.component, &one.scanned, out);
        granted(one, out);
        is_good &= told_fit(
            fit::check(&one.scanned, &one.manifest, Some(&one.rights)),
            out,
        );
        if let Err(reason) = installed.shared(one) {
            let _ = writeln!(out, "  cannot run  {}", Shown(&reason));
            is_good = false;
        }
        origin(&one.component, Some(&one.manifest), Packages::Counted, out);
        out.push('\n');
    }
    for (alias, reason) in &installed.off {
        let _ = writeln!(out, "[{alias}]\n  off         {reason}\n");
    }
    is_good
}

/// Says what loading it would say.
fn told_fit(fit: Result<Vec<Capability>, LoadError>, out: &mut String) -> bool {
    if let Err(fault) = &fit {
        let _ = writeln!(out, "  cannot run  {}", Shown(&with_causes(fault)));
    }
    fit.is_ok()
}

/// Plugins of an operator's file that cannot run as they are, and why.
pub(crate) fn unfit(installed: &Installed) -> Vec<(String, String)> {
    let off = installed.off.iter().cloned();
    let unfit = installed.plugins.iter().filter_map(|one| {
        let fit = fit::check(&one.scanned, &one.manifest, Some(&one.rights));
        let why = match fit {
            Err(fault) => with_causes(&fault),
            Ok(_) => installed.shared(one).err()?,
        };
        Some((one.alias.clone(), why))
    });
    off.chain(unfit).collect()
}

fn about(manifest: &Manifest, out: &mut String) {
    let Manifest {
        name,
        version,
        world,
        contract,
        description,
        license,
        ..
    } = manifest;
    let _ = writeln!(out, "  plugin      {} {version}", Shown(name.as_str()));
    let _ = writeln!(out, "  about       {}", Shown(description));
    let _ = writeln!(out, "  license     {}", Shown(license));
    let _ = writeln!(
        out,
        "  world       {} of tripline:plugin {}.{}",
        world.as_str(),
        contract.0,
        contract.1
    );
    columns("reads", &manifest.reads, out);
    columns("writes", &manifest.writes, out);
}

fn columns(what: &str, columns: &[Column], out: &mut String) {
    if columns.is_empty() {
        return;
    }
    let written = |column: &Column| {
        let kind: ColumnKind = column.kind;
        format!("{}:{}", Shown(&column.name), kind.as_str())
    };
    let written: Vec<String> = columns.iter().map(written).collect();
    let _ = writeln!(out, "  {what:<11} {}", written.join(", "));
}

fn component(bytes: &[u8], scanned: &Scanned, out: &mut String) {
    let _ = writeln!(out, "  digest      {}", Digest::of(bytes));
    let _ = writeln!(
        out,
        "  size        {} KiB, {}, largest {} bytes",
        bytes.len().div_ceil(1024),
        counted(scanned.functions as u64, "function"),
        scanned.body_bytes
    );
    let imports: Vec<String> = imported(scanned)
        .map(|name| Shown(name).to_string())
        .collect();
    let imports = match imports.is_empty() {
        true => "nothing".to_owned(),
        false => imports.join(", "),
    };
    let _ = writeln!(out, "  imports     {imports}");
}

fn asks(manifest: &Manifest, out: &mut String) {
    let asked: Vec<&str> = Capability::ALL
        .into_iter()
        .filter(|one| manifest.asks.has(*one))
        .map(Capability::as_str)
        .collect();
    let asked = match asked.is_empty() {
        true => "nothing".to_owned(),
        false => asked.join(", "),
    };
    let _ = writeln!(out, "  asks for    {asked}");
    // Whoever agrees to a plan should know what it was made of.
    if !manifest.asks.reads.is_empty() {
        let _ = writeln!(out, "  questions   {}", manifest.asks.reads.join(", "));
    }
    limits(manifest.limits, out);
}

fn limits(limits: tripline_host::manifest::Limits, out: &mut String) {
    let _ = writeln!(
        out,
        "  limits      {} MiB of memory, {} ms a call, {} KiB of output, {} rows a call",
        limits.memory >> 20,
        limits.deadline_ms,
        limits.output >> 10,
        limits.batch
    );
}

fn granted(one: &Declared, out: &mut String) {
    let given: Vec<&str> = Capability::ALL
        .into_iter()
        .filter(|capability| one.rights.has(*capability))
        .map(Capability::as_str)
        .collect();
    let given = match given.is_empty() {
        true => "nothing".to_owned(),
        false => given.join(", "),
    };
    asks(&one.manifest, out);
    let _ = writeln!(out, "  granted     {given}");
    let _ = writeln!(out, "  effective{}", effective(one));
    for shortfall in &one.shortfalls {
        let _ = writeln!(out, "  not granted {}", Shown(&shortfall.to_string()));
    }
    let signer = match &one.verified.signer {
        Some(signer) => format!("by {}", signer.key.as_str()),
        None => "not".to_owned(),
    };
    let _ = writeln!(out, "  signed      {signer}");
}

/// Whether the packages are told one by one: of many plugins, that would hide the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packages {
    Each,
    Counted,
}

/// What the component says of where it comes from: the maker's words.
fn origin(bytes: &[u8], manifest: Option<&Manifest>, packages: Packages, out: &mut String) {
    let origin = provenance(bytes);
    for note in origin.notes.iter().filter(|one| !is_said(one, manifest)) {
        let within = if note.is_within { " (of a part)" } else { "" };
        let _ = writeln!(out, "  {:<11} {}{within}", note.name, Shown(&note.text));
    }
    let made: Vec<String> = origin
        .producers
        .iter()
        .map(|one| {
            format!("{} {}", Shown(&one.name), Shown(&one.version))
                .trim_end()
                .to_owned()
        })
        .collect();
    if !made.is_empty() {
        let _ = writeln!(out, "  made with   {}", made.join(", "));
    }
    if !origin.packages.is_empty() {
        let _ = writeln!(out, "  packages    {}", licenses(&origin.packages));
    }
    for one in origin
        .packages
        .iter()
        .filter(|_| packages == Packages::Each)
    {
        let license = one.license.as_deref().unwrap_or("license not known");
        let source = match one.source.as_str() {
            "crates.io" => String::new(),
            other => format!(", {}", Shown(other)),
        };
        let building = if one.is_for_build {
            ", only to build"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "              {} {}: {}{source}{building}",
            Shown(&one.name),
            Shown(&one.version),
            Shown(license)
        );
    }
    for what in &origin.passed_over {
        let _ = writeln!(out, "  not read    {}", Shown(what));
    }
}

/// Whether the manifest says the same.
fn is_said(note: &Note, manifest: Option<&Manifest>) -> bool {
    let said = manifest.and_then(|manifest| match note.name {
        "version" => Some(manifest.version.to_string()),
        "licenses" => Some(manifest.license.clone()),
        "description" => Some(manifest.description.clone()),
        _ => None,
    });
    !note.is_within && said.as_ref() == Some(&note.text)
}

/// `12, of which 3 only to build: 9 MIT OR Apache-2.0, 2 MIT, 1 not known`.
fn licenses(packages: &[Package]) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for one in packages {
        *counts
            .entry(one.license.as_deref().unwrap_or("not known"))
            .or_default() += 1;
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(license, count)| format!("{count} {}", Shown(license)))
        .collect();
    let building = packages.iter().filter(|one| one.is_for_build).count();
    let building = match building {
        0 => String::new(),
        some => format!(", of which {some} only to build"),
    };
    format!("{}{building}: {}", packages.len(), counts.join(", "))
}

/// The interfaces with functions that a component imports: types are nothing that it can do.
fn imported(scanned: &Scanned) -> impl Iterator<Item = &String> {
    let all = scanned.imports.iter();
    all.filter(|name| !name.starts_with("tripline:plugin/types@"))
}

/// What bounds the calls of a plugin: the smaller of what it asks for and what it is given.
fn effective(one: &Declared) -> String {
    let mut line = String::new();
    limits(one.limits.least(one.manifest.limits), &mut line);
    line.trim_end()
        .trim_start_matches("  limits    ")
        .to_owned()
}

/// A line about a component.
pub(super) fn short(component: &[u8], path: &Path) -> String {
    match scan(component) {
        Ok(scanned) => {
            let size = component.len().div_ceil(1024);
            let imports = imported(&scanned).count() as u64;
            let manifest = match manifest_of(&scanned, path) {
                Ok(manifest) => format!("{} {}", manifest.name.as_str(), manifest.version),
                Err(reason) => reason,
            };
            format!("{manifest}, {size} KiB, {}", counted(imports, "import"))
        }
        Err(fault) => format!("but a host refuses it: {}", with_causes(&fault)),
    }
}
