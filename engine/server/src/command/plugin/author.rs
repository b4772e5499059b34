//! A plugin as its author runs it: through the real host, with the real limits, and what the tests grant.

use super::build::Project;
use super::vectors::Given;
use crate::causes::with_causes;
use crate::command::CommandError;
use crate::plugins::{Declared, Hosted, Installed, counting_host, host};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tripline_core::diagnostic::Source;
use tripline_host::Host;
use tripline_host::manifest::InstanceMode;
use tripline_host::scan::scan;

/// The component that an argument names: a file, or that of a project.
pub(super) fn component(path: &Path) -> Result<PathBuf, CommandError> {
    match path.is_dir() {
        true => Ok(Project::open(path)?.component()),
        false => Ok(path.to_owned()),
    }
}

/// Refuses a component that is older than its project, where a project is given.
pub(super) fn check_project(given: &Path, component: &Path) -> Result<(), CommandError> {
    match given.is_dir() {
        true => check_fresh(given, component),
        false => Ok(()),
    }
}

/// Refuses a component that is older than what it is made of: its tests would say something of another plugin.
fn check_fresh(folder: &Path, component: &Path) -> Result<(), CommandError> {
    let modified = |path: &Path| path.metadata().and_then(|found| found.modified());
    // That it is not there is told by who reads it.
    let Ok(built) = modified(component) else {
        return Ok(());
    };
    let mut waiting = vec![(folder.to_owned(), 0)];
    let mut looked_at = 0;
    while let Some((folder, depth)) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            looked_at += 1;
            if looked_at > SOURCES_MAX {
                return Ok(());
            }
            let (path, name) = (entry.path(), entry.file_name());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_source(&name.to_string_lossy()) {
                continue;
            }
            if is_folder && depth < SOURCES_DEPTH_MAX {
                waiting.push((path, depth + 1));
            } else if !is_folder && modified(&path).is_ok_and(|changed| changed > built) {
                return Err(CommandError::Usage(format!(
                    "{} is older than {}: `tripline plugin build` makes it anew",
                    component.display(),
                    path.display()
                )));
            }
        }
    }
    Ok(())
}

/// Most files of a project that are looked at: one with more is looked at in part.
const SOURCES_MAX: usize = 10_000;
/// How deep they may lie.
const SOURCES_DEPTH_MAX: usize = 16;

/// Whether a file or folder is something that a component is made of, by its name.
fn is_source(name: &str) -> bool {
    let made = ["target", "node_modules", "__pycache__", "tests", "LICENSE"];
    let endings = [".wasm", ".minisig", ".md", ".pyc", ".lock", ".sum"];
    !(name.starts_with('.')
        || made.contains(&name)
        || endings.iter().any(|ending| name.ends_with(ending)))
}

/// The plugin in a component, with what `given` (tables `grant`, `config`, `limits` of an operator's file) says. Files that
/// it names lie relative to `folder`.
pub(super) fn declared(
    component: &Path,
    given: &Given,
    folder: &Path,
) -> Result<(Installed, Declared), CommandError> {
    let component = component
        .canonicalize()
        .map_err(|source| CommandError::Read {
            path: component.display().to_string(),
            source,
        })?;
    let mut plugin = toml::Table::new();
    plugin.insert("path".to_owned(), component.display().to_string().into());
    for key in ["config", "limits"] {
        if let Some(value) = given.table.get(key) {
            plugin.insert(key.to_owned(), value.clone());
        }
    }
    let mut grant = match given.table.get("grant") {
        Some(toml::Value::Table(grant)) => grant.clone(),
        _ => asked(&component)?,
    };
    if let Some(toml::Value::Table(tables)) = given.table.get("tables") {
        grant.insert("lookup".to_owned(), written(tables, folder)?.into());
    }
    plugin.insert("grant".to_owned(), grant.into());
    let mut plugins = toml::Table::new();
    plugins.insert("plugin".to_owned(), plugin.into());
    let mut trust = toml::Table::new();
    trust.insert("unsigned".to_owned(), "allow".into());
    let mut operator = toml::Table::new();
    operator.insert("trust".to_owned(), trust.into());
    operator.insert("plugins".to_owned(), plugins.into());
    let text =
        toml::to_string(&operator).map_err(|error| CommandError::Usage(error.to_string()))?;
    let name = format!("{} (as an operator's file)", given.name);
    // An author runs what was built just now, whatever signature lies beside it.
    let source = Arc::new(Source { name, text });
    let mut installed = Installed::of_source(&source, folder)?;
    if let Some((_, reason)) = installed.off.pop() {
        let path = component.display();
        return Err(CommandError::Usage(format!("{path}: {reason}")));
    }
    match installed.plugins.pop() {
        Some(declared) => Ok((installed, declared)),
        None => Err(CommandError::Usage("there is no plugin".to_owned())),
    }
}

/// What the manifest of a component asks for, but for requests to the outside and tables, which an author has to give.
fn asked(component: &Path) -> Result<toml::Table, CommandError> {
    let wrong = |what: String| CommandError::Usage(format!("{}: {what}", component.display()));
    let bytes = std::fs::read(component).map_err(|source| CommandError::Read {
        path: component.display().to_string(),
        source,
    })?;
    let scanned = scan(&bytes).map_err(|fault| wrong(with_causes(&fault)))?;
    let manifest: toml::Table = match scanned.manifest.as_deref().map(str::parse) {
        Some(Ok(manifest)) => manifest,
        // What is wrong with it is told when it is read as a manifest.
        _ => return Ok(toml::Table::new()),
    };
    let mut asked = match manifest.get("capabilities") {
        Some(toml::Value::Table(asked)) => asked.clone(),
        _ => toml::Table::new(),
    };
    asked.remove("http");
    asked.remove("lookup");
    if let Some(metrics) = asked.get_mut("metrics") {
        *metrics = true.into();
    }
    Ok(asked)
}

/// Writes the tables of a file of cases as JSON, and gives their paths by name.
fn written(tables: &toml::Table, folder: &Path) -> Result<toml::Table, CommandError> {
    let wrong = |name: &str| {
        let words = "give `columns`, a list of names, and `rows`, a list of values for each key";
        CommandError::Usage(format!("tables.{name}: {words}"))
    };
    let folder = folder.join(".tripline/tables");
    let mut paths = toml::Table::new();
    for (name, table) in tables {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || !name.bytes().all(plain) {
            let words = format!("tables.{name}: a name has letters, digits, `-` and `_`");
            return Err(CommandError::Usage(words));
        }
        let columns = table.get("columns").and_then(toml::Value::as_array);
        let rows = table.get("rows").and_then(toml::Value::as_table);
        let (columns, rows) = columns.zip(rows).ok_or_else(|| wrong(name))?;
        let mut json = serde_json::Map::new();
        for (key, row) in rows {
            let values = row
                .as_array()
                .filter(|values| values.len() == columns.len());
            let values = values.ok_or_else(|| wrong(name))?;
            let cells = columns.iter().zip(values).filter_map(|(column, value)| {
                let value = value.as_str().filter(|text| !text.is_empty())?;
                Some((column.as_str()?.to_owned(), value.into()))
            });
            json.insert(key.clone(), serde_json::Value::Object(cells.collect()));
        }
        // Every column is there, also one that no row has a value in.
        let path = folder.join(format!("{name}.json"));
        let fault = |source| CommandError::Write {
            path: path.display().to_string(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(fault)?;
        let text = serde_json::Value::Object(json).to_string();
        std::fs::write(&path, text).map_err(fault)?;
        let path = path.canonicalize().map_err(fault)?;
        paths.insert(name.clone(), path.display().to_string().into());
    }
    Ok(paths)
}

/// The same, running; with another way of having instances than its manifest says, if one is given.
pub(super) fn hosted(
    component: &Path,
    given: &Given,
    folder: &Path,
    mode: Option<InstanceMode>,
) -> Result<Hosted, CommandError> {
    let (installed, mut declared) = declared(component, given, folder)?;
    if let Some(mode) = mode {
        declared.manifest.instance = mode;
    }
    hosted_by(&host(None)?, component, &installed.talking(), declared)
}

/// The same, counting its instructions and without a word of its own.
pub(super) fn counted(
    component: &Path,
    given: &Given,
    folder: &Path,
    mode: InstanceMode,
) -> Result<Hosted, CommandError> {
    let (installed, mut declared) = declared(component, given, folder)?;
    declared.manifest.instance = mode;
    hosted_by(&counting_host()?, component, &installed, declared)
}

fn hosted_by(
    host: &Host,
    component: &Path,
    installed: &Installed,
    declared: Declared,
) -> Result<Hosted, CommandError> {
    let plugin = installed.load(host, &declared).map_err(|reason| {
        let path = component.display();
        let hint = match reason.contains("its operator grants") {
            true => "\nwhat it may do in tests is said by `[grant]` in the file of the tests, as in an operator's file",
            false => "",
        };
        CommandError::Usage(format!("{path}: {reason}{hint}"))
    })?;
    Ok(Hosted::new(declared.alias, plugin))
}
