//! The manifest and the vectors, as far as tests need them.

use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};
use tripline_plugin::{Kind, testing};

/// What tests need of a manifest.
#[derive(Clone)]
pub(crate) struct Manifest {
    pub(crate) reads: Vec<(String, Kind)>,
    pub(crate) writes: Vec<(String, Kind)>,
}

/// One file of vectors.
pub(crate) struct Vectors {
    pub(crate) manifest: Manifest,
    /// What `configure` gets, with the defaults of the manifest; nothing when the manifest has no settings.
    pub(crate) config: Option<Json>,
    tables: Table,
    pub(crate) cases: Vec<Case>,
}

/// One case.
pub(crate) struct Case {
    pub(crate) name: String,
    table: Table,
}

/// All files of a plugin's `tests/`, in the order of their names.
pub(crate) fn read(folder: &Path) -> Vec<Vectors> {
    let table = |path: &Path| -> Table {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        text.parse()
            .unwrap_or_else(|error| panic!("{path:?}: {error}"))
    };
    let manifest = table(&folder.join("plugin.toml"));
    let entries = std::fs::read_dir(folder.join("tests")).expect("a plugin has `tests/`");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("`tests/` is read").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    assert!(!paths.is_empty(), "there are vectors");
    paths
        .iter()
        .map(|path| vectors(&manifest, table(path)))
        .collect()
}

fn vectors(manifest: &Table, mut file: Table) -> Vectors {
    let given = match file.remove("config") {
        Some(Value::Table(given)) => given,
        _ => Table::new(),
    };
    let tables = match file.remove("tables") {
        Some(Value::Table(tables)) => tables,
        _ => Table::new(),
    };
    let cases = match file.remove("case") {
        Some(Value::Array(cases)) => cases.into_iter().map(case).collect(),
        _ => panic!("a file of vectors has `[[case]]`"),
    };
    Vectors {
        manifest: Manifest {
            reads: columns(manifest, "reads", "fields"),
            writes: columns(manifest, "writes", "columns"),
        },
        config: config(manifest, &given),
        tables,
        cases,
    }
}

fn case(case: Value) -> Case {
    let Value::Table(table) = case else {
        panic!("a case is a table");
    };
    let name = table.get("name").and_then(Value::as_str);
    let name = name.expect("a case has a name").to_owned();
    Case { name, table }
}

fn columns(manifest: &Table, part: &str, key: &str) -> Vec<(String, Kind)> {
    let texts = manifest
        .get(part)
        .and_then(|part| part.get(key)?.as_array());
    let column = |text: &Value| {
        let (name, kind) = text.as_str()?.rsplit_once(':')?;
        Some((name.to_owned(), Kind::named(kind)?))
    };
    let columns = texts.into_iter().flatten();
    columns
        .map(|text| column(text).unwrap_or_else(|| panic!("no column: {text}")))
        .collect()
}

fn config(manifest: &Table, given: &Table) -> Option<Json> {
    let settings = manifest.get("config")?.as_table()?;
    let mut config = Map::new();
    for (name, setting) in settings {
        let value = given.get(name).or_else(|| setting.get("default"));
        let value = value.unwrap_or_else(|| panic!("`{name}` has no default and is not given"));
        config.insert(name.clone(), json(value));
    }
    Some(Json::from(config))
}

fn json(value: &Value) -> Json {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(value) => (*value).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(values) => values.iter().map(json).collect(),
        Value::Table(table) => object(table).into(),
    }
}

fn object(table: &Table) -> Map<String, Json> {
    table
        .iter()
        .map(|(name, value)| (name.clone(), json(value)))
        .collect()
}

impl Vectors {
    /// Gives the host of the tests the tables of this file.
    pub(crate) fn give_tables(&self) {
        for (name, table) in &self.tables {
            let texts = |value: &Value| -> Vec<String> {
                let texts = value
                    .as_array()
                    .expect("rows and columns are arrays")
                    .iter();
                texts
                    .map(|text| text.as_str().unwrap_or_default().to_owned())
                    .collect()
            };
            let columns = texts(&table["columns"]);
            let rows = table["rows"].as_table().expect("`rows` is a table");
            let rows: Vec<(&String, Vec<String>)> =
                rows.iter().map(|(key, row)| (key, texts(row))).collect();
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let rows: Vec<(&str, Vec<&str>)> = rows
                .iter()
                .map(|(key, row)| (key.as_str(), row.iter().map(String::as_str).collect()))
                .collect();
            let rows: Vec<(&str, &[&str])> = rows
                .iter()
                .map(|(key, row)| (*key, row.as_slice()))
                .collect();
            testing::table(name, &columns, &rows);
        }
    }
}

impl Case {
    /// The event.
    pub(crate) fn event(&self) -> Json {
        let text = self.text("event");
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What an enricher should say.
    pub(crate) fn columns(&self) -> Json {
        let columns = self.table.get("columns").and_then(Value::as_table);
        object(columns.unwrap_or_else(|| panic!("{}: no `columns`", self.name))).into()
    }

    /// What a detector should find; nothing for `hit = false`.
    pub(crate) fn hit(&self) -> Option<Map<String, Json>> {
        match self.table.get("hit") {
            Some(Value::Boolean(false)) => None,
            Some(Value::Boolean(true)) => Some(Map::new()),
            Some(Value::Table(hit)) => Some(object(hit)),
            _ => panic!("{}: no `hit`", self.name),
        }
    }

    /// What services answer a planner, by the names of operations.
    pub(crate) fn answers(&self) -> BTreeMap<String, String> {
        let answers = self.table.get("answers").and_then(Value::as_table);
        let answers = answers.into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        answers
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// What a planner should say.
    pub(crate) fn wanted(&self) -> (&str, &str) {
        let there = |key: &'static str| Some((key, self.table.get(key)?.as_str()?));
        let wanted = ["plan", "nothing", "fault"].into_iter().find_map(there);
        wanted.unwrap_or_else(|| panic!("{}: no `plan`, `nothing` or `fault`", self.name))
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        let text = self.table.get(key).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("{}: no `{key}`", self.name))
    }

    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        let texts = self
            .table
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        texts
            .map(|text| text.as_str().unwrap_or_default().to_owned())
            .collect()
    }

    pub(crate) fn count(&self, key: &str) -> usize {
        let count = self.table.get(key).and_then(Value::as_integer);
        usize::try_from(count.unwrap_or(0)).unwrap_or_default()
    }
}
