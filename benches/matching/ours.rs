//! Tripline itself.

use jiff::civil::date;
use tripline_benches::cel_text::{Dialect, cel_text, rule_file};
use tripline_benches::rule::Rule;
use tripline_core::diagnostic::Level;
use tripline_core::evaluate::{Evaluator, RuleSet};
use tripline_core::event::{Event, FieldPath, FieldPlan, FieldSet, Parser, Slots};
use tripline_core::rule::{Catalog, File, load};

/// The rules as rule files, as a person would keep them.
pub(crate) fn files(rules: &[Rule]) -> Vec<File> {
    let texts: Vec<String> = rules
        .iter()
        .map(|rule| cel_text(rule, Dialect::Tripline))
        .collect();
    files_of(texts.iter().map(String::as_str))
}

/// Rule files with these selectors.
pub(crate) fn files_of<'t>(selectors: impl Iterator<Item = &'t str>) -> Vec<File> {
    let file = |(number, when): (usize, &str)| {
        File::found(format!("rule-{number}/rule.toml"), rule_file(number, when))
    };
    selectors.enumerate().map(file).collect()
}

/// Reads the files; none may have a mistake.
pub(crate) fn read(files: &[File]) -> Catalog {
    let catalog = load(files, date(2026, 1, 1));
    let mistake = catalog
        .reports
        .iter()
        .find(|_| catalog.rules.len() != files.len());
    assert!(mistake.is_none(), "a rule is refused: {mistake:?}");
    catalog
}

/// Checks and compiles what was read.
pub(crate) fn compile(catalog: &Catalog) -> RuleSet {
    let (set, reports) = RuleSet::of_catalog(catalog);
    let refused = set.rules().len() != catalog.rules.len();
    let mistake = reports
        .iter()
        .find(|report| refused && report.diagnostic.level == Level::Error);
    assert!(!refused, "a rule is refused: {mistake:?}");
    set
}

/// From the neutral form to the compiled set.
pub(crate) fn rule_set(rules: &[Rule]) -> RuleSet {
    compile(&read(&files(rules)))
}

/// One thread's way through the events: parse, evaluate, count.
pub(crate) struct Scan<'r> {
    parser: Parser,
    evaluator: Evaluator<'r>,
}

impl<'r> Scan<'r> {
    pub(crate) fn new(set: &'r RuleSet) -> Self {
        Self {
            parser: Parser::new(),
            evaluator: Evaluator::new(set),
        }
    }

    /// How many rules match.
    pub(crate) fn count(&mut self, bytes: &[u8]) -> usize {
        let document = self.parser.parse(bytes).expect("the corpus is JSON");
        self.evaluator.evaluate(&Event::new(document)).matched.len()
    }

    /// The numbers of the rules that match, and how many could not be decided.
    pub(crate) fn matches(&mut self, bytes: &[u8]) -> (Vec<usize>, usize) {
        let document = self.parser.parse(bytes).expect("the corpus is JSON");
        let evaluated = self.evaluator.evaluate(&Event::new(document));
        let numbers = evaluated
            .matched
            .iter()
            .map(|rule| rule.0 as usize)
            .collect();
        (numbers, evaluated.indeterminate.len())
    }
}

/// The fields that the mixed rules look at most.
const FIELDS: [&str; 15] = [
    "eventSource",
    "eventName",
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "readOnly",
    "recipientAccountId",
    "userIdentity.type",
    "userIdentity.arn",
    "userIdentity.sessionContext.sessionIssuer.userName",
    "requestParameters.bucketName",
    "requestParameters.functionName",
    "requestParameters.roleName",
    "additionalEventData.bytesTransferredOut",
];

/// Parsing, and finding fifteen fields.
pub(crate) struct Extract {
    parser: Parser,
    plan: FieldPlan,
    slots: Slots,
}

impl Extract {
    pub(crate) fn new() -> Self {
        let mut fields = FieldSet::new();
        for path in FIELDS {
            fields.intern(&FieldPath::dotted(path));
        }
        Self {
            parser: Parser::new(),
            plan: fields.plan(),
            slots: Slots::new(),
        }
    }

    pub(crate) fn run(&mut self, bytes: &[u8]) -> usize {
        let document = self.parser.parse(bytes).expect("the corpus is JSON");
        self.plan.extract(document.root(), &mut self.slots);
        usize::from(document.root().is_empty())
    }
}
