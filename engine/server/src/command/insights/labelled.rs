//! Labelled series in files: the format of the published sample, read.
//!
//! `keys.csv` (id, key, …), `counts.csv` (minute, id, calls, errors; only rows that are not zero), `labels.csv` (key, type, kind,
//! start, end, grace_end, excess, ratio, …), `gaps.csv` (start, end), `ignore.csv` (key, start, end) and `meta.json` (t0, warmup_end,
//! t_end). Minutes count from 1970. A file that does not fit is refused with its name and its line.

use super::CommandError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tripline_core::insight::labelled::{Key, Kind, Label, Set};

/// Most minutes of a set: four years.
const MINUTES_MAX: u32 = 4 * 366 * 1440;

/// Most keys of a set.
const KEYS_MAX: usize = 10_000;

/// Reads a folder.
pub(crate) fn read(folder: &Path) -> Result<Set, CommandError> {
    let meta: Value = serde_json::from_str(&text(&folder.join("meta.json"))?)
        .map_err(|_| bad(folder, "meta.json", 1, "no JSON"))?;
    let minute = |name: &str| {
        let number = meta[name]
            .as_u64()
            .and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| bad(folder, "meta.json", 1, &format!("`{name}` is no minute")))
    };
    let mut set = Set {
        begin: minute("t0")?,
        warm_until: minute("warmup_end")?,
        end: minute("t_end")?,
        ..Set::default()
    };
    let minutes = set
        .end
        .checked_sub(set.begin)
        .filter(|count| *count <= MINUTES_MAX);
    let Some(minutes) = minutes.filter(|_| (set.begin..=set.end).contains(&set.warm_until)) else {
        return Err(bad(folder, "meta.json", 1, "its minutes are in no order"));
    };
    let mut keys = BTreeMap::new();
    let table = Table::read(folder, "keys.csv", 2)?;
    for row in table.rows() {
        keys.insert(row.text(1).to_owned(), row.number::<usize>(0)?);
        set.keys.push(Key {
            name: row.text(1).to_owned(),
            class: "",
        });
    }
    if set.keys.len() > KEYS_MAX || keys.values().any(|id| *id >= set.keys.len()) {
        return Err(bad(folder, "keys.csv", 1, "ids do not count from 0"));
    }
    let counts = vec![(0, 0); minutes as usize];
    set.counts = vec![counts; set.keys.len()];
    let table = Table::read(folder, "counts.csv", 4)?;
    for row in table.rows() {
        let (minute, id) = (row.number::<u32>(0)?, row.number::<usize>(1)?);
        let at = minute.checked_sub(set.begin).map(|at| at as usize);
        let place = set.counts.get_mut(id).zip(at);
        let place = place.and_then(|(counts, at)| counts.get_mut(at));
        let Some(place) = place else {
            return Err(row.bad("a key or a minute that the set does not have"));
        };
        *place = (row.number(2)?, row.number(3)?);
    }
    let table = Table::read(folder, "gaps.csv", 2)?;
    for row in table.rows() {
        set.gaps.push((row.number(0)?, row.number(1)?));
    }
    let key = |row: &Row<'_>| {
        let known = keys.get(row.text(0)).copied();
        known.ok_or_else(|| row.bad("a key that the set does not have"))
    };
    let table = Table::read(folder, "ignore.csv", 3)?;
    for row in table.rows() {
        set.ignored
            .push((key(&row)?, (row.number(1)?, row.number(2)?)));
    }
    let table = Table::read(folder, "labels.csv", 8)?;
    for row in table.rows() {
        let kind = Kind::ALL.iter().find(|kind| kind.name() == row.text(2));
        set.labels.push(Label {
            key: key(&row)?,
            kind: *kind.ok_or_else(|| row.bad("a kind that is not known"))?,
            start: row.number(3)?,
            end: row.number(4)?,
            grace_end: row.number(5)?,
            excess: row.number(6)?,
            ratio: row.number(7)?,
        });
    }
    Ok(set)
}

/// A file of values with commas between them, which no value holds.
struct Table {
    name: String,
    text: String,
    columns: usize,
}

struct Row<'t> {
    name: &'t str,
    line: usize,
    values: Vec<&'t str>,
}

impl Table {
    fn read(folder: &Path, name: &str, columns: usize) -> Result<Self, CommandError> {
        let path = folder.join(name);
        let table = Self {
            name: path.display().to_string(),
            text: text(&path)?,
            columns,
        };
        for row in table.rows() {
            if row.values.len() < table.columns {
                return Err(row.bad("too few values"));
            }
        }
        Ok(table)
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let lines = self.text.lines().enumerate().skip(1);
        lines.map(|(number, line)| Row {
            name: &self.name,
            line: number + 1,
            values: line.split(',').collect(),
        })
    }
}

impl Row<'_> {
    fn text(&self, at: usize) -> &str {
        self.values.get(at).copied().unwrap_or("")
    }

    fn number<T: std::str::FromStr>(&self, at: usize) -> Result<T, CommandError> {
        let parsed = self.text(at).parse();
        parsed.map_err(|_| self.bad(&format!("`{}` is no number that fits", self.text(at))))
    }

    fn bad(&self, why: &str) -> CommandError {
        CommandError::Usage(format!("{}:{}: {why}", self.name, self.line))
    }
}

fn bad(folder: &Path, file: &str, line: usize, why: &str) -> CommandError {
    CommandError::Usage(format!("{}:{line}: {why}", folder.join(file).display()))
}

fn text(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|source| CommandError::Read {
        path: path.display().to_string(),
        source,
    })
}
