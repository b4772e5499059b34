use super::{Dedup, Examination, Examined, Mark};
use crate::input::reader::{BatchReader, BufferPool, Portion};
use crate::input::resolve::Input;
use crate::output::{Format, FormatName, Rendered};
use crate::pipeline::{Resume, Worker};
use crate::plugins::{Ask, Plugins, RowAnswer};
use crate::scan::progress::Counters;
use crate::scan::report::Strictness;
use crate::scan::statistics::{RuleTimes, Statistics};
use serde_json::{Map, json};
use std::hash::RandomState;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tripline_core::diagnostic::Palette;
use tripline_core::evaluate::RuleSet;
use tripline_core::event::FieldPath;
use tripline_core::limits::EVENT_BYTES_MAX;
use tripline_core::rule::{Answer, FactKind};
use tripline_core::rule::{File, load};
use tripline_core::wire::PluginMemories;
use tripline_host::batch::ColumnKind;

/// Everything that is said of a text of one batch, turn by turn.
fn turns(
    conditions: &[&str],
    text: &'static str,
    findings_bytes_max: usize,
) -> Vec<Examined<Rendered>> {
    let files = conditions.iter().enumerate().map(|(at, when)| {
        let text = format!(
            "id = \"rule-{at}\"\nname = \"a\"\ndescription = \"a\"\nseverity = \"low\"\nstatus = \"test\"\nwhen = '''{when}'''\n"
        );
        File::found(format!("rule-{at}/rule.toml"), text)
    });
    let catalog = load(&files.collect::<Vec<_>>(), jiff::civil::date(2026, 1, 1));
    let (rules, _) = RuleSet::of_catalog(&catalog);
    assert_eq!(rules.rules().len(), conditions.len());
    let inputs = [Input::bundled("bundled", text.as_bytes())];
    turns_of(&rules, &Plugins::none(), &inputs, findings_bytes_max)
}

fn turns_of(
    rules: &RuleSet,
    plugins: &Plugins<'_>,
    inputs: &[Input],
    findings_bytes_max: usize,
) -> Vec<Examined<Rendered>> {
    let format = Format {
        name: FormatName::Jsonl,
        palette: Palette::PLAIN,
        now_ms: 0,
    };
    let times = RuleTimes::new(rules.rules().len());
    let counters = Counters::default();
    let examination = Examination {
        rules,
        baseline: None,
        inputs,
        shape: &format,
        counters: counters.clone(),
        dedup: Dedup::ById,
        strictness: Strictness::Tolerant,
        statistics: Statistics::Wanted,
        findings_bytes_max,
        times: &times,
        plugins,
        memories: PluginMemories::new(),
        answered: Mutex::default(),
        hash_states: [RandomState::new(), RandomState::new()],
    };
    let pool = BufferPool::default();
    let mut reader = BatchReader::open(&inputs[0], &counters.bytes, &pool, EVENT_BYTES_MAX);
    let Portion::Batch(batch) = reader.read(&pool) else {
        panic!("the text gives a batch");
    };
    let mut examiner = examination.examiner();
    let (mut turns, mut from) = (Vec::new(), Some(Resume::default()));
    while let Some(place) = from {
        let (examined, left) = examiner.work(0, &batch, place);
        assert_ne!(left, Some(place), "no turn is for nothing");
        turns.push(examined);
        from = left;
    }
    turns
}

/// What is said of records, by their number.
#[derive(Debug, Default, PartialEq)]
struct Said {
    found: Vec<(usize, Vec<u8>)>,
    undecided: Vec<(usize, u32)>,
    rejected: Vec<usize>,
}

fn said(turns: &[Examined<Rendered>]) -> Said {
    let mut said = Said::default();
    let mut begun = 0;
    for turn in turns {
        let mut numbers = Vec::new();
        for mark in &turn.marks {
            begun += usize::from(!matches!(mark, Mark::Continued));
            numbers.push(begun);
            if matches!(mark, Mark::Rejected(_)) {
                said.rejected.push(begun);
            }
        }
        let number = |record: u32| numbers[record as usize];
        let texts = turn.found.iter();
        said.found
            .extend(texts.map(|one| (number(one.record), one.shaped.text.clone())));
        said.undecided.extend(
            turn.undecided
                .iter()
                .map(|(at, count)| (number(*at), *count)),
        );
    }
    said
}

const MIXED: &str = "{\"a\":1}\n{\"b\":1}\nbroken\n{\"x\":1,\"Records\":[{\"a\":1,\"b\":2},7,{\"a\":1},{\"c\":1}]}\n\
    {\"detail-type\":\"t\",\"detail\":{\"Records\":[{\"a\":1},{\"a\":2}]}}\n{\"a\":1}{\"a\":1}\n{\"a\":1,\"a\":1}\n";

#[test]
fn a_batch_that_is_left_goes_on_where_it_was() {
    let conditions = [
        "has(event.a)",
        "event.a == 1",
        "!has(event.z)",
        "has(event.b)",
    ];
    let whole = turns(&conditions, MIXED, usize::MAX);
    assert_eq!(whole.len(), 1);
    let wanted = said(&whole);
    assert_eq!((wanted.found.len(), wanted.rejected.len()), (24, 3));
    for findings_bytes_max in [0, 1, 300, 700, 5000] {
        let turns = turns(&conditions, MIXED, findings_bytes_max);
        assert!(turns.len() > 1, "{findings_bytes_max}");
        assert_eq!(said(&turns), wanted, "{findings_bytes_max}");
        for turn in &turns {
            let last = turn
                .found
                .last()
                .map_or(0, |one| one.shaped.text.capacity());
            assert!(turn.found_bytes <= findings_bytes_max + last);
        }
    }
}

#[test]
fn what_is_undecided_takes_no_room_for_each_record() {
    let text: String = (0..4000)
        .map(|number| format!("{{\"n\":{number}}}\n"))
        .collect();
    let conditions = ["event.a == 1", "event.b == 1", "event.n < \"x\""];
    let turns = turns(&conditions, text.leak(), usize::MAX);
    let [whole] = turns.as_slice() else {
        panic!("one turn");
    };
    let records = whole.marks.len() as u64;
    assert_eq!(whole.undecided_by_fault.values().sum::<u64>(), 3 * records);
    assert_eq!(whole.undecided_by_fault.len(), 3);
}

/// Counts what it is asked, and gives another answer each time.
#[derive(Default)]
struct Counting {
    reads: Vec<(FieldPath, ColumnKind)>,
    rows: AtomicU64,
}

impl Ask for Counting {
    fn reads(&self) -> &[(FieldPath, ColumnKind)] {
        &self.reads
    }

    fn rows_max(&self) -> usize {
        100
    }

    fn is_pure(&self) -> bool {
        false
    }

    fn ask(&self, _: &[u8], records: &[&[u8]], _: Option<std::time::Instant>) -> Vec<RowAnswer> {
        let answer = |_: &&[u8]| {
            let number = self.rows.fetch_add(1, Ordering::Relaxed);
            RowAnswer::Facts(Map::from_iter([("number".to_owned(), json!(number))]))
        };
        records.iter().map(answer).collect()
    }
}

#[test]
fn plugins_are_asked_once_of_a_batch_that_is_left() {
    let rule = "id = \"one\"\nname = \"a\"\ndescription = \"a\"\nseverity = \"low\"\nstatus = \"test\"\n\
                when = 'event.kind == \"x\" && enrich.count.number >= 0'\n\
                [finding]\ntitle = 'number {enrich.count.number}'\n";
    let mut catalog = load(
        &[File::found("one.toml", rule)],
        jiff::civil::date(2026, 1, 1),
    );
    let columns = vec![("number".to_owned(), FactKind::Int)];
    catalog
        .plugins
        .insert("count".to_owned(), Answer::Columns(columns));
    let (rules, reports) = RuleSet::of_catalog(&catalog);
    assert_eq!(rules.rules().len(), 1, "{reports:?}");
    let counting = Counting {
        reads: vec![(FieldPath::dotted("kind"), ColumnKind::Text)],
        ..Counting::default()
    };
    let text = "{\"kind\":\"x\"}\n{\"kind\":\"y\"}\n".repeat(20);
    for findings_bytes_max in [usize::MAX, 0] {
        counting.rows.store(0, Ordering::Relaxed);
        let plugins = Plugins::new(vec![("count".to_owned(), &counting)], Vec::new());
        let inputs = [Input::bundled("bundled", text.clone().leak().as_bytes())];
        let turns = turns_of(&rules, &plugins, &inputs, findings_bytes_max);
        assert_eq!(turns.len() > 1, findings_bytes_max == 0);
        assert_eq!(counting.rows.load(Ordering::Relaxed), 20);
        let found = turns.iter().flat_map(|turn| &turn.found);
        let found = found.map(|one| String::from_utf8_lossy(&one.shaped.text).into_owned());
        for (at, text) in found.enumerate() {
            assert!(text.contains(&format!("number {at}\"")), "{at}: {text}");
        }
    }
}
