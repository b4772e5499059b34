//! Runs the test vectors in a plugin's `tests/` natively, and what holds for every plugin.
//!
//! `tripline plugin test` does the same with the component; this is for `cargo test`, where a failing case can be looked
//! at in a debugger. The form of the vectors is in `sdk/README.md`. Beyond them, for every plugin: all cases in one
//! batch, backwards, give what they give one by one; no rows and rows without values are fine; and cells full of nonsense
//! do not panic.

mod file;
mod nonsense;
mod pack;
mod planned;

use file::{Case, Vectors};
use serde_json::Value as Json;
use std::path::Path;
use tripline_plugin::propose::Proposal;
use tripline_plugin::{
    Batch, Cell, Decoder, Detector, Enricher, Fault, Hit, Planner, Value, testing,
};

/// Runs the vectors of an enricher; `folder` has `plugin.toml` and `tests/`.
///
/// # Panics
///
/// When a case fails.
pub fn check_enricher<T: Enricher>(folder: &str) {
    let enrich = |plugin: &mut T, manifest: &file::Manifest, events: &[Json]| {
        let bytes = pack::events(&manifest.reads, events);
        let batch = Batch::read(&bytes).expect("the vectors make a sound batch");
        let columns = plugin.enrich(&batch);
        let columns = columns.unwrap_or_else(|fault| panic!("{}", fault.message));
        columns_of(&columns.pack(), manifest, events.len())
    };
    for vectors in file::read(Path::new(folder)) {
        vectors.give_tables();
        let mut plugin = T::default();
        vectors.configure(|config| plugin.configure(config));
        let manifest = &vectors.manifest;
        let events: Vec<Json> = vectors.cases.iter().map(Case::event).collect();
        for (case, event) in vectors.cases.iter().zip(&events) {
            let is = enrich(&mut plugin, manifest, std::slice::from_ref(event)).remove(0);
            assert_eq!(is, case.columns(), "{}", case.name);
        }
        let mut together = events.clone();
        together.reverse();
        let mut is = enrich(&mut plugin, manifest, &together);
        is.reverse();
        for (case, is) in vectors.cases.iter().zip(is) {
            assert_eq!(is, case.columns(), "{}, with others", case.name);
        }
        for events in nonsense::batches(&manifest.reads) {
            enrich(&mut plugin, manifest, &events);
        }
    }
}

/// Runs the vectors of a detector.
///
/// # Panics
///
/// When a case fails.
pub fn check_detector<T: Detector>(folder: &str) {
    let detect = |plugin: &mut T, manifest: &file::Manifest, events: &[Json]| {
        let bytes = pack::events(&manifest.reads, events);
        let batch = Batch::read(&bytes).expect("the vectors make a sound batch");
        let hits = plugin.detect(&batch);
        let hits = hits.unwrap_or_else(|fault| panic!("{}", fault.message));
        let mut rows = vec![None; events.len()];
        for hit in hits {
            let row = &mut rows[hit.row as usize];
            assert!(row.is_none(), "two hits of one row");
            *row = Some(hit);
        }
        rows
    };
    for vectors in file::read(Path::new(folder)) {
        vectors.give_tables();
        let mut plugin = T::default();
        vectors.configure(|config| plugin.configure(config));
        let manifest = &vectors.manifest;
        let mut events: Vec<Json> = vectors.cases.iter().map(Case::event).collect();
        for (case, event) in vectors.cases.iter().zip(&events) {
            let hits = detect(&mut plugin, manifest, std::slice::from_ref(event));
            check_hit(case, hits[0].as_ref());
        }
        events.reverse();
        let mut hits = detect(&mut plugin, manifest, &events);
        hits.reverse();
        for (case, hit) in vectors.cases.iter().zip(&hits) {
            check_hit(case, hit.as_ref());
        }
        for events in nonsense::batches(&manifest.reads) {
            detect(&mut plugin, manifest, &events);
        }
    }
}

/// Runs the vectors of a decoder.
///
/// # Panics
///
/// When a case fails.
pub fn check_decoder<T: Decoder>(folder: &str) {
    for vectors in file::read(Path::new(folder)) {
        let mut plugin = T::default();
        vectors.configure(|config| plugin.configure(config));
        for case in &vectors.cases {
            let chunk = case.text("chunk");
            check_decoded(case, decode(&mut plugin, chunk.as_bytes(), usize::MAX));
            // A chunk may end anywhere, so the same must come out of small ones.
            check_decoded(case, decode(&mut plugin, chunk.as_bytes(), 7));
        }
        for chunk in nonsense::chunks() {
            decode(&mut plugin, &chunk, 64);
        }
    }
}

/// Runs the vectors of a planner.
///
/// # Panics
///
/// When a case fails.
pub fn check_planner<T: Planner>(folder: &str) {
    for vectors in file::read(Path::new(folder)) {
        vectors.give_tables();
        let mut plugin = T::default();
        vectors.configure(|config| plugin.configure(config));
        for case in &vectors.cases {
            let name = &case.name;
            let subject = case.text("subject");
            let answers = case.answers();
            testing::services(move |operation, _| {
                let answer = answers.get(operation).cloned();
                answer.ok_or_else(|| Fault::unavailable(format!("no answer of {operation}")))
            });
            let planned = plugin.plan(subject);
            assert_eq!(planned, plugin.plan(subject), "{name}, asked again");
            match (planned, case.wanted()) {
                (Ok(Proposal::Nothing(why)), ("nothing", wanted)) => {
                    assert!(why.contains(wanted), "{name}: {why}");
                }
                (Err(fault), ("fault", wanted)) => {
                    assert!(fault.message.contains(wanted), "{name}: {}", fault.message);
                }
                (Ok(Proposal::Draft(draft)), ("plan", wanted)) => {
                    let wanted = serde_json::from_str(wanted).expect("`plan` is JSON");
                    let is = planned::draft(&draft);
                    assert!(planned::is_within(&wanted, &is), "{name}: {is:#}");
                }
                (other, wanted) => panic!("{name}: {other:?} instead of {wanted:?}"),
            }
            for odd in ["", "{}", "7", "{\"done\": []}", "{\"refused\": {}}"] {
                testing::services(move |_, _| Ok(odd.to_owned()));
                // A fault or nothing to do; only a panic would be wrong.
                let _ = plugin.plan(subject);
            }
        }
        for subject in ["", "[]", "{}", "{\"resource\": 7}"] {
            assert!(plugin.plan(subject).is_err(), "`{subject}` is no subject");
        }
    }
}

/// Events and bad parts of an input that comes in chunks of so many bytes.
fn decode<T: Decoder>(plugin: &mut T, input: &[u8], bytes: usize) -> (Vec<Json>, usize) {
    let (mut state, mut waiting) = (Vec::new(), Vec::new());
    let (mut events, mut bad) = (Vec::new(), 0);
    let mut chunks = input.chunks(bytes.min(input.len()).max(1)).peekable();
    loop {
        waiting.extend_from_slice(chunks.next().unwrap_or_default());
        let is_last = chunks.peek().is_none();
        let decoded = plugin.decode(&waiting, &state, is_last);
        let decoded = decoded.unwrap_or_else(|fault| panic!("{}", fault.message));
        for line in decoded.events.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                events.push(serde_json::from_slice(line).expect("events are JSON"));
            }
        }
        bad += decoded.bad.len();
        waiting.drain(..decoded.consumed as usize);
        state = decoded.state;
        if is_last {
            return (events, bad);
        }
    }
}

fn check_decoded(case: &Case, (events, bad): (Vec<Json>, usize)) {
    let wanted = case.texts("events");
    let wanted = wanted.iter().map(|text| serde_json::from_str(text));
    let wanted: Vec<Json> = wanted.collect::<Result<_, _>>().expect("events are JSON");
    assert_eq!(events, wanted, "{}", case.name);
    assert_eq!(bad, case.count("bad"), "{}", case.name);
}

/// What each row has, by column.
fn columns_of(bytes: &[u8], manifest: &file::Manifest, rows: usize) -> Vec<Json> {
    let batch = Batch::read(bytes).expect("what the plugin gives is a sound batch");
    assert_eq!(batch.len(), rows, "as many rows as events");
    assert_eq!(
        batch.columns(),
        manifest.writes.len(),
        "the columns of `writes`"
    );
    let mut all = Vec::new();
    for row in 0..rows {
        let mut cells = serde_json::Map::new();
        for (column, (name, kind)) in manifest.writes.iter().enumerate() {
            assert_eq!(batch.kind(column), Some(*kind), "kind of `{name}`");
            let Some(cell) = batch.cell(column, row) else {
                continue;
            };
            let json = match cell {
                Cell::Bool(value) => value.into(),
                Cell::Int(value) => value.into(),
                Cell::Float(value) => value.into(),
                Cell::Text(value) => value.into(),
                Cell::Json(value) => serde_json::from_str(value).expect("`json` cells are JSON"),
            };
            cells.insert(name.clone(), json);
        }
        all.push(Json::from(cells));
    }
    all
}

fn check_hit(case: &Case, hit: Option<&Hit>) {
    let name = &case.name;
    let (wanted, hit) = match (case.hit(), hit) {
        (None, None) => return,
        (None, Some(hit)) => panic!("{name}: found `{}`", hit.finding.title),
        (Some(_), None) => panic!("{name}: nothing was found"),
        (Some(wanted), Some(hit)) => (wanted, hit),
    };
    let mut is = serde_json::Map::new();
    let finding = &hit.finding;
    let severity = format!("{:?}", finding.severity).to_lowercase();
    let severity = severity.rsplit(':').next().unwrap_or_default();
    is.insert("severity".to_owned(), severity.into());
    is.insert("score".to_owned(), finding.score.into());
    is.insert("title".to_owned(), finding.title.as_str().into());
    if let Some(key) = &finding.dedup_key {
        is.insert("dedup_key".to_owned(), key.as_str().into());
    }
    let evidence = finding.evidence.iter();
    let evidence = evidence.map(|(name, value)| (name.clone(), json_of(value)));
    let evidence = serde_json::Map::from_iter(evidence);
    for (key, wanted) in wanted {
        if key != "evidence" {
            assert_eq!(is.get(&key), Some(&wanted), "{name}: {key}");
            continue;
        }
        for (key, wanted) in wanted.as_object().expect("`evidence` is a table") {
            assert_eq!(evidence.get(key), Some(wanted), "{name}: evidence {key}");
        }
    }
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(value) => value.as_str().into(),
        Value::Bytes(value) => String::from_utf8_lossy(value).into_owned().into(),
    }
}

impl Vectors {
    fn configure(&self, configure: impl FnOnce(&str) -> Result<(), tripline_plugin::Fault>) {
        let Some(config) = &self.config else {
            return;
        };
        configure(&config.to_string()).unwrap_or_else(|fault| panic!("{}", fault.message));
    }
}
