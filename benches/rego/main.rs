//! What a decision costs beside regorus, the engine of Rego in Rust: the same policies, the same events, one process,
//! one core.
//!
//! Every policy refuses some calls unless something holds. Both engines are given the bytes of an event and say which
//! policies refuse it; they must say the same of a sample before anything is timed. regorus runs twice: its interpreter,
//! and the byte code of its virtual machine. `-- --quick` is a smaller round. Times are CPU time of the measuring
//! thread, medians of passes taken in turn.

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Value};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;
use tripline_benches::cel_text::{Dialect, cel_text};
use tripline_benches::deny_unless::policies;
use tripline_benches::linear;
use tripline_benches::rego_text::rego_text;
use tripline_benches::rule::Rule;
use tripline_benches::vocabulary::Vocabulary;
use tripline_core::evaluate::{DecisionDefaults, Evaluator, RuleSet};
use tripline_core::event::{Event, Parser};
use tripline_core::rule::{File, load};
use tripline_core::sample::{Generator, Options};

/// Policies of one module: a file of Rego may be so long and no longer.
const MODULE_POLICIES: usize = 100;
const ENTRY: &str = "data.bench.deny";

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let has = |word: &str| words.iter().any(|one| one == word);
    // `cargo test --benches` only wants to see that it runs.
    let is_test = has("--test");
    let (passes, pass, counts): (usize, Duration, &[usize]) = match (is_test, has("--quick")) {
        (true, _) => (1, Duration::from_millis(1), &[10]),
        (_, true) => (5, Duration::from_millis(50), &[10, 100, 1000]),
        _ => (11, Duration::from_millis(300), &[10, 100, 1000]),
    };
    let events = corpus(if is_test { 500 } else { 20_000 });
    let sampled = events.iter().step_by((events.len() / 5000).max(1));
    let vocabulary = Vocabulary::gather(sampled.map(Vec::as_slice));
    let agreement_events = if is_test { 20 } else { 1000 };
    println!("### a decision by policies of the form \"deny unless\", ns\n");
    println!(
        "| policies | refusals an event | Tripline | of it parsing | regorus | regorus, virtual machine | of both parsing | regorus / Tripline | virtual machine / Tripline |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for count in counts {
        let policies = policies(&vocabulary, *count, 17);
        assert_eq!(policies.len(), *count, "the vocabulary is rich enough");
        let set = rule_set(&policies);
        let (mut ours, mut parser) = (Ours::new(&set), Parser::new());
        let mut interpreter = Interpreter::new(&policies);
        let mut machine = Machine::new(&policies);
        let step = (events.len() / agreement_events).max(1);
        let mut refusals = 0;
        let mut asked = 0;
        for bytes in events.iter().step_by(step) {
            refusals += agree(
                bytes,
                &policies,
                (&mut ours, &mut interpreter, &mut machine),
            );
            asked += 1;
        }
        let figures = in_turn(
            (passes, pass),
            &events,
            &mut [
                &mut |bytes| ours.decide(bytes),
                &mut |bytes| {
                    let document = parser.parse(bytes).expect("the corpus is JSON");
                    usize::from(document.root().is_empty())
                },
                &mut |bytes| interpreter.decide(bytes),
                &mut |bytes| machine.decide(bytes),
                &mut |bytes| usize::from(input(bytes).as_object().is_ok()),
            ],
        );
        let [ours, parsing, interpreter, machine, input] = figures[..] else {
            panic!("five figures");
        };
        println!(
            "| {count} | {:.2} | {ours:.0} | {parsing:.0} | {interpreter:.0} | {machine:.0} | {input:.0} | {:.1} | {:.1} |",
            refusals as f64 / f64::from(asked),
            interpreter / ours,
            machine / ours
        );
    }
    println!("\nAgreed on {agreement_events} events for each number of policies.");
}

fn corpus(events: u64) -> Vec<Vec<u8>> {
    let options = Options {
        seed: 7,
        events,
        accounts: 200,
        days: 7,
        incidents: 36,
        ..Options::default()
    };
    Generator::new(&options)
        .map(|record| record.bytes)
        .collect()
}

/// All engines say the same of an event, and as the reference does; how many policies refuse it.
fn agree(
    bytes: &[u8],
    policies: &[Rule],
    (ours, interpreter, machine): (&mut Ours<'_>, &mut Interpreter, &mut Machine),
) -> usize {
    let event = serde_json::from_slice(bytes).expect("the corpus is JSON");
    let refused = (0..policies.len()).filter(|number| linear::matches(&policies[*number], &event));
    let mut expected: Vec<String> = refused.map(id).collect();
    expected.sort_unstable();
    assert_eq!(ours.refused(bytes), expected, "Tripline on {event}");
    assert_eq!(ids(&interpreter.ask(bytes)), expected, "regorus on {event}");
    assert_eq!(
        ids(&machine.ask(bytes)),
        expected,
        "its virtual machine on {event}"
    );
    expected.len()
}

fn id(number: usize) -> String {
    format!("rule-{number}")
}

/// The policies as rules with an effect.
fn rule_set(policies: &[Rule]) -> RuleSet {
    let file = |(number, policy): (usize, &Rule)| {
        let (id, when) = (id(number), cel_text(policy, Dialect::Tripline));
        let text = format!(
            "id = \"{id}\"\nname = \"Policy {number}\"\ndescription = \"Drawn for a benchmark.\"\nseverity = \"low\"\n\
             status = \"experimental\"\nsource = \"aws.cloudtrail\"\neffect = \"deny\"\nwhen = '''\n{when}\n'''\n"
        );
        File::found(format!("{id}/rule.toml"), text)
    };
    let files: Vec<File> = policies.iter().enumerate().map(file).collect();
    let catalog = load(&files, jiff::civil::date(2026, 1, 1));
    let (set, reports) = RuleSet::of_catalog(&catalog);
    let (is, of) = (set.rules().len(), policies.len());
    assert_eq!(
        is,
        of,
        "{:?} {:?}",
        catalog.reports.first(),
        reports.first()
    );
    set
}

struct Ours<'r> {
    parser: Parser,
    evaluator: Evaluator<'r>,
}

impl<'r> Ours<'r> {
    fn new(set: &'r RuleSet) -> Self {
        Self {
            parser: Parser::new(),
            evaluator: Evaluator::for_decisions(set),
        }
    }

    fn decide(&mut self, bytes: &[u8]) -> usize {
        let document = self.parser.parse(bytes).expect("the corpus is JSON");
        let event = Event::new(document);
        let decision = self.evaluator.decide(&event, DecisionDefaults::default());
        decision.rules.len()
    }

    fn refused(&mut self, bytes: &[u8]) -> Vec<String> {
        let document = self.parser.parse(bytes).expect("the corpus is JSON");
        let event = Event::new(document);
        let decision = self.evaluator.decide(&event, DecisionDefaults::default());
        assert!(decision.undecided.is_empty(), "{:?}", decision.undecided);
        let mut ids: Vec<String> = decision.rules.into_iter().map(|one| one.rule_id).collect();
        ids.sort_unstable();
        ids
    }
}

fn modules(policies: &[Rule]) -> Vec<String> {
    let chunks = policies.chunks(MODULE_POLICIES).enumerate();
    let modules = chunks.map(|(chunk, policies)| {
        let first = chunk * MODULE_POLICIES;
        let named = policies
            .iter()
            .enumerate()
            .map(|(number, policy)| (id(first + number), policy));
        rego_text("bench", named).expect("Rego has all of it")
    });
    modules.collect()
}

fn engine(policies: &[Rule]) -> Engine {
    let mut engine = Engine::new();
    for (number, module) in modules(policies).into_iter().enumerate() {
        engine
            .add_policy(format!("{number}.rego"), module)
            .expect("regorus reads the policies");
    }
    engine
}

/// An event as regorus has it.
fn input(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).expect("the corpus is text");
    Value::from_json_str(text).expect("the corpus is JSON")
}

/// What is in the set, in order; nothing where it is undefined.
fn ids(set: &Value) -> Vec<String> {
    let Ok(set) = set.as_set() else {
        return Vec::new();
    };
    let id = |one: &Value| one.as_string().expect("an id").to_string();
    let mut ids: Vec<String> = set.iter().map(id).collect();
    ids.sort_unstable();
    ids
}

fn size(set: &Value) -> usize {
    set.as_set().map_or(0, |set| set.len())
}

/// The interpreter, prepared once.
struct Interpreter(Engine);

impl Interpreter {
    fn new(policies: &[Rule]) -> Self {
        Self(engine(policies))
    }

    fn ask(&mut self, bytes: &[u8]) -> Value {
        self.0.set_input(input(bytes));
        self.0.eval_rule(ENTRY.to_owned()).expect("it evaluates")
    }

    fn decide(&mut self, bytes: &[u8]) -> usize {
        size(&self.ask(bytes))
    }
}

/// The virtual machine, with its program loaded once.
struct Machine(RegoVM);

impl Machine {
    fn new(policies: &[Rule]) -> Self {
        let policy = engine(policies)
            .compile_with_entrypoint(&ENTRY.into())
            .expect("regorus compiles the policies");
        let program = Compiler::compile_from_policy(&policy, &[ENTRY]);
        let mut machine = RegoVM::new();
        machine.load_program(program.expect("and makes byte code of them"));
        Self(machine)
    }

    fn ask(&mut self, bytes: &[u8]) -> Value {
        self.0.set_input(input(bytes));
        self.0.execute().expect("it evaluates")
    }

    fn decide(&mut self, bytes: &[u8]) -> usize {
        size(&self.ask(bytes))
    }
}

/// Nanoseconds an event of each of these, measured in turn: as many events as fit the time of a pass, from another place
/// in each.
fn in_turn(
    (passes, time): (usize, Duration),
    events: &[Vec<u8>],
    works: &mut [&mut dyn FnMut(&[u8]) -> usize],
) -> Vec<f64> {
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); works.len()];
    for number in 0..passes {
        let first = number * events.len() / passes;
        for (work, samples) in works.iter_mut().zip(&mut samples) {
            let from_there = events[first..].iter().chain(&events[..first]).cycle();
            let (begun, mut asked, mut took) = (thread_time(), 0_u32, Duration::ZERO);
            for event in from_there {
                black_box(work(event));
                asked += 1;
                // The clock is looked at now and then, since it costs as much as a short work.
                if asked.is_multiple_of(16) {
                    took = thread_time() - begun;
                    if took >= time {
                        break;
                    }
                }
            }
            samples.push(took.as_nanos() as f64 / f64::from(asked));
        }
    }
    samples.into_iter().map(median).collect()
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
