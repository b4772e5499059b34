//! Which records reach a plugin, in which batches, and whose answers come back to whom.

use super::gather::Ask;
use super::{Plugins, RowAnswer};
use crate::input::reader::{BatchReader, BufferPool, Portion};
use crate::input::resolve::Input;
use crate::scan::progress::Counters;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::FieldPath;
use tripline_core::limits::EVENT_BYTES_MAX;
use tripline_core::rule::{Answer, FactKind, File, load};
use tripline_host::batch::{BatchView, Cell, ColumnKind};

/// Says what it was asked, in capitals; fails when asked about `bad`.
struct Shouting {
    reads: Vec<(FieldPath, ColumnKind)>,
    rows_max: usize,
    is_pure: bool,
    calls: Mutex<Vec<usize>>,
}

impl Ask for Shouting {
    fn reads(&self) -> &[(FieldPath, ColumnKind)] {
        &self.reads
    }

    fn is_pure(&self) -> bool {
        self.is_pure
    }

    fn rows_max(&self) -> usize {
        self.rows_max
    }

    fn ask(&self, batch: &[u8], records: &[&[u8]], _: Option<Instant>) -> Vec<RowAnswer> {
        let kinds: Vec<ColumnKind> = self.reads.iter().map(|(_, kind)| *kind).collect();
        let view = BatchView::read(batch, records.len(), &kinds).expect("a sound batch");
        self.calls.lock().expect("no panic").push(records.len());
        let answer = |row: usize| match view.columns()[0].cell(row).expect("a cell") {
            Some(Cell::Text("bad")) => RowAnswer::Failed("it is bad".to_owned()),
            Some(Cell::Text(name)) => {
                assert!(
                    records[row]
                        .windows(name.len())
                        .any(|one| one == name.as_bytes())
                );
                let mut facts = Map::new();
                facts.insert("loud".to_owned(), json!(name.to_uppercase()));
                RowAnswer::Facts(facts)
            }
            other => panic!("{other:?}"),
        };
        (0..records.len()).map(answer).collect()
    }
}

#[test]
fn answers_come_back_to_the_records_that_awaited_them() {
    let rule = "id = \"one\"\nname = \"a\"\ndescription = \"a\"\nseverity = \"low\"\nstatus = \"test\"\n\
                when = 'event.kind == \"x\" && enrich.shout.loud == \"ONE\"'\n";
    let mut catalog = load(
        &[File::found("one.toml", rule)],
        jiff::civil::date(2026, 1, 1),
    );
    let columns = vec![("loud".to_owned(), FactKind::Text)];
    catalog
        .plugins
        .insert("shout".to_owned(), Answer::Columns(columns));
    let (rules, _) = RuleSet::of_catalog(&catalog);
    let shouting = Shouting {
        reads: vec![(FieldPath::dotted("name"), ColumnKind::Text)],
        rows_max: 2,
        is_pure: true,
        calls: Mutex::default(),
    };
    let text = concat!(
        "{\"kind\":\"x\",\"name\":\"one\"}\n",
        "{\"kind\":\"y\",\"name\":\"two\"}\n",
        "not JSON\n",
        "{\"kind\":\"x\",\"name\":\"bad\"}\n",
        "{\"Records\":[{\"kind\":\"x\",\"name\":\"three\"},{\"kind\":\"y\",\"name\":\"z\"},{\"kind\":\"x\",\"name\":\"four\"}]}\n",
        "{\"kind\":\"x\",\"name\":\"five\"}\n",
    );
    let input = Input::bundled("bundled", text.as_bytes());
    let (pool, counters) = (BufferPool::default(), Counters::default());
    let mut reader = BatchReader::open(&input, &counters.bytes, &pool, EVENT_BYTES_MAX);
    let Portion::Batch(batch) = reader.read(&pool) else {
        panic!("the text gives a batch");
    };
    let plugins = Plugins::new(
        vec![("shout".to_owned(), &shouting as &dyn Ask)],
        Vec::new(),
    );
    let places = plugins.of_rules(&rules);
    assert_eq!(places, [Some(0)]);
    let mut gatherer = plugins.gatherer();
    let mut evaluator = Evaluator::new(&rules);
    let answers = gatherer.gather(&batch, 0, &mut [(&mut evaluator, &places)]);
    assert_eq!(*shouting.calls.lock().expect("no panic"), [2, 2, 1]);
    let again = gatherer.gather(&batch, 0, &mut [(&mut evaluator, &places)]);
    assert_eq!(
        *shouting.calls.lock().expect("no panic"),
        [2, 2, 1, 1],
        "only what failed is asked again"
    );
    let start = text
        .find("{\"kind\":\"x\",\"name\":\"five\"}")
        .expect("it is there");
    assert_eq!(again.of(start), answers.of(start));
    let of = |needle: &str| {
        let start = text.find(needle).expect("it is there");
        let (json, failed) = answers.of(start)?;
        let json: Value = serde_json::from_str(json).expect("JSON");
        let failed = failed.iter().map(|one| one.reason.as_str());
        Some((json, failed.collect::<Vec<_>>().join("; ")))
    };
    let loud = |word: &str| {
        let said = json!({"enrich": {"shout": {"loud": word}}, "detect": {}, "policy": {}});
        Some((said, String::new()))
    };
    assert_eq!(of("{\"kind\":\"x\",\"name\":\"one\"}"), loud("ONE"));
    assert_eq!(of("{\"kind\":\"y\",\"name\":\"two\"}"), None);
    assert_eq!(of("{\"kind\":\"x\",\"name\":\"three\"}"), loud("THREE"));
    assert_eq!(of("{\"kind\":\"x\",\"name\":\"four\"}"), loud("FOUR"));
    assert_eq!(of("{\"kind\":\"x\",\"name\":\"five\"}"), loud("FIVE"));
    let nothing = json!({"enrich": {}, "detect": {}, "policy": {}});
    let bad = of("{\"kind\":\"x\",\"name\":\"bad\"}");
    assert_eq!(bad, Some((nothing, "it is bad".to_owned())));
}

/// One that did not start must not look like one that found nothing, just because another runs.
#[test]
fn a_plugin_that_does_not_run_is_told_beside_those_that_do() {
    let rule = |id: &str, asks: &str| {
        let text = format!(
            "id = \"{id}\"\nname = \"a\"\ndescription = \"a\"\nseverity = \"low\"\nstatus = \"test\"\nwhen = '{asks}'\n"
        );
        File::found(format!("{id}.toml"), text)
    };
    let files = [
        rule("one", "enrich.shout.loud == \"ONE\""),
        rule("two", "has(detect.gone)"),
    ];
    let mut catalog = load(&files, jiff::civil::date(2026, 1, 1));
    let columns = vec![("loud".to_owned(), FactKind::Text)];
    catalog.plugins = BTreeMap::from([
        ("shout".to_owned(), Answer::Columns(columns)),
        ("gone".to_owned(), Answer::Hit),
    ]);
    let (rules, _) = RuleSet::of_catalog(&catalog);
    let shouting = Shouting {
        reads: vec![(FieldPath::dotted("name"), ColumnKind::Text)],
        rows_max: 2,
        is_pure: true,
        calls: Mutex::default(),
    };
    let plugins = Plugins::new(
        vec![("shout".to_owned(), &shouting as &dyn Ask)],
        Vec::new(),
    );
    let answers = plugins.about(br#"{"name":"one"}"#, &rules);
    let (_, failed) = answers.of(0).expect("it was asked about");
    let told = failed
        .iter()
        .map(|one| (one.plugin.as_str(), one.reason.as_str()));
    assert_eq!(told.collect::<Vec<_>>(), [("gone", "it did not start")]);
}
