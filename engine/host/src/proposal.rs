//! What planners propose, as plain values, and the checks that make a proposal of what a plugin gave back.
//!
//! All that the contract promises is checked here: bounds, names of steps, JSON that is JSON. Whether an operation is known,
//! changes something or only reads is for whoever carries the plan out.

use crate::fault::Fault;
use crate::limits::{
    CHANGES_MAX, CHECKS_MAX, CODE_BYTES_MAX, CODES_MAX, DRAFT_STEPS_MAX, EXPECT_MAX,
    INVERSE_STEPS_MAX, LINE_BYTES_MAX, PROPOSED_JSON_BYTES_MAX, STEP_ID_BYTES_MAX,
};
use crate::manifest::value::operation;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use tripline_core::diagnostic::Printable;

/// What a planner proposes.
#[derive(Clone, Debug, PartialEq)]
pub enum Proposal {
    /// This is to be done.
    Draft(Box<Draft>),
    /// It is as it should be; why.
    Nothing(String),
}

/// What is to be done. `wit/propose.wit` says what each field is.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Draft {
    pub summary: String,
    pub risk: Risk,
    pub changes: Vec<Change>,
    pub preconditions: Vec<Check>,
    pub steps: Vec<Step>,
    pub verify: Vec<Check>,
    pub is_rolled_back: bool,
}

/// How much harm a plan can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // `propose.wit` says what each is.
pub enum Risk {
    Low,
    Medium,
    High,
}

/// What happens when a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `propose.wit` says what each is.
pub enum Class {
    Set,
    Remove,
    Token,
    Create,
    Blind,
    Irreversible,
}

/// A request that changes something, or one that takes it back: then `inverse` is empty.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // `propose.wit` says what each is.
pub struct Step {
    pub id: String,
    pub summary: String,
    pub request: Request,
    pub class: Class,
    pub done_codes: Vec<String>,
    pub probe: Option<Check>,
    pub inverse: Vec<Step>,
}

/// A request of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// As `ec2.CreateTags`.
    pub operation: String,
    /// By the names of the API.
    pub parameters: Map<String, Value>,
}

/// A question, and what its answer must be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The question.
    pub request: Request,
    /// All that must hold of the answer.
    pub expect: Vec<Expect>,
}

/// What an answer must be like: a JSON pointer and a value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // `propose.wit` says what each is.
pub enum Expect {
    Refused(Vec<String>),
    Is(String, Value),
    IsNot(String, Value),
    Has(String, Value),
    HasNot(String, Value),
}

/// One field that a plan changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which.
    pub field: String,
    /// What it is.
    pub before: Value,
    /// What it will be.
    pub after: Value,
}

/// One line that may be shown, cut where it is too long.
pub(crate) fn line(text: &str) -> String {
    let mut line = Printable(text).to_string();
    line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
    line
}

/// JSON of a bounded length.
pub(crate) fn json(text: &str, of: &str) -> Result<Value, Fault> {
    let bytes = text.len();
    if bytes > PROPOSED_JSON_BYTES_MAX {
        return Err(Fault::output(format!("{of} of {bytes} bytes")));
    }
    let value = serde_json::from_str(text);
    value.map_err(|fault| Fault::output(format!("{of}: no JSON: {fault}")))
}

/// A request whose parameters are a JSON object.
pub(crate) fn request(name: &str, parameters: &str) -> Result<Request, Fault> {
    let operation = operation(name).ok_or_else(|| {
        let name = line(&format!("`{name:.128}` is no name of an operation"));
        Fault::output(name)
    })?;
    let of = format!("parameters of {operation}");
    match json(parameters, &of)? {
        Value::Object(parameters) => Ok(Request {
            operation,
            parameters,
        }),
        _ => Err(Fault::output(format!("{of}: no JSON object"))),
    }
}

/// A JSON pointer of a bounded length.
pub(crate) fn pointer(path: String) -> Result<String, Fault> {
    let is_pointer = path.is_empty() || path.starts_with('/');
    match is_pointer && path.len() <= LINE_BYTES_MAX {
        true => Ok(path),
        false => Err(Fault::output(line(&format!(
            "`{path:.128}` is no JSON pointer"
        )))),
    }
}

fn within(of: &str, is: usize, least: usize, most: usize) -> Result<(), Fault> {
    match (least..=most).contains(&is) {
        true => Ok(()),
        false => Err(Fault::output(format!(
            "{is} {of} instead of {least} to {most}"
        ))),
    }
}

fn check_codes(codes: &[String], of: &str, least: usize) -> Result<(), Fault> {
    within(of, codes.len(), least, CODES_MAX)?;
    let is_code = |code: &String| {
        let may_stand = |byte: u8| byte.is_ascii_graphic();
        !code.is_empty() && code.len() <= CODE_BYTES_MAX && code.bytes().all(may_stand)
    };
    match codes.iter().all(is_code) {
        true => Ok(()),
        false => Err(Fault::output(format!("{of}: one is no code of an error"))),
    }
}

impl Check {
    fn check(&self) -> Result<(), Fault> {
        let operation = &self.request.operation;
        let of = format!("expectations of {operation}");
        within(&of, self.expect.len(), 1, EXPECT_MAX)?;
        for one in &self.expect {
            if let Expect::Refused(codes) = one {
                check_codes(codes, "refusals that are expected", 1)?;
            }
        }
        Ok(())
    }
}

fn check_all(checks: &[Check], of: &str, least: usize) -> Result<(), Fault> {
    within(of, checks.len(), least, CHECKS_MAX)?;
    checks.iter().try_for_each(Check::check)
}

/// Steps have ids of their own, and each what its class needs.
fn check_steps(steps: &[Step], of: &str, least: usize, most: usize) -> Result<(), Fault> {
    within(of, steps.len(), least, most)?;
    let mut ids = BTreeSet::new();
    for step in steps {
        let may_stand =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let id = step.id.as_str();
        let is_id = !id.is_empty() && id.len() <= STEP_ID_BYTES_MAX && id.bytes().all(may_stand);
        if !is_id {
            let words = line(&format!("{of}: `{id:.80}` is no name of a step"));
            return Err(Fault::output(words));
        }
        if !ids.insert(id) {
            return Err(Fault::output(format!("{of}: two are called `{id}`")));
        }
        check_codes(&step.done_codes, "errors that mean done", 0)?;
        match (&step.probe, step.class) {
            (None, Class::Create) => {
                let words = format!("the step `{id}` creates something and has no probe");
                return Err(Fault::output(words));
            }
            (Some(probe), _) => probe.check()?,
            (None, _) => {}
        }
        check_steps(
            &step.inverse,
            &format!("inverse of `{id}`"),
            0,
            INVERSE_STEPS_MAX,
        )?;
        let is_final = |step: &Step| step.class == Class::Irreversible;
        if step.inverse.iter().any(is_final) || (is_final(step) && !step.inverse.is_empty()) {
            let words = format!("the step `{id}` is irreversible, and yet it is not");
            return Err(Fault::output(words));
        }
    }
    Ok(())
}

impl Proposal {
    /// The same, if everything that it asks is among these operations.
    pub(crate) fn asks_only(self, granted: &[String]) -> Result<Self, Fault> {
        if let Self::Draft(draft) = &self {
            let steps = draft.steps.iter().flat_map(|step| {
                let inverse = step.inverse.iter();
                std::iter::once(step).chain(inverse)
            });
            let probes = steps.filter_map(|step| step.probe.as_ref());
            let checks = draft.preconditions.iter().chain(&draft.verify);
            for check in checks.chain(probes) {
                let operation = &check.request.operation;
                if !granted.contains(operation) {
                    let words = format!("a check asks {operation}, which is not granted");
                    return Err(Fault::output(words));
                }
            }
        }
        Ok(self)
    }
}

impl Draft {
    /// What the contract says of the whole.
    pub(crate) fn check(self) -> Result<Self, Fault> {
        within("changes", self.changes.len(), 0, CHANGES_MAX)?;
        check_all(&self.preconditions, "preconditions", 0)?;
        check_steps(&self.steps, "steps", 1, DRAFT_STEPS_MAX)?;
        check_all(&self.verify, "checks that verify", 1)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check_of(expect: Vec<Expect>) -> Check {
        Check {
            request: request("ec2.DescribeInstances", "{}").unwrap(),
            expect,
        }
    }

    fn step(id: &str) -> Step {
        Step {
            id: id.to_owned(),
            summary: "does it".to_owned(),
            request: request("ec2.CreateTags", "{}").unwrap(),
            class: Class::Set,
            done_codes: Vec::new(),
            probe: None,
            inverse: Vec::new(),
        }
    }

    fn draft(steps: Vec<Step>) -> Draft {
        Draft {
            summary: "does it".to_owned(),
            risk: Risk::Low,
            changes: Vec::new(),
            preconditions: Vec::new(),
            steps,
            verify: vec![check_of(vec![Expect::Is("/a".to_owned(), json!(1))])],
            is_rolled_back: true,
        }
    }

    #[test]
    fn what_the_contract_does_not_allow_is_refused_by_name() {
        let check = |draft: Draft, expected: &str| match draft.check() {
            Ok(_) => panic!("{expected}"),
            Err(fault) => assert!(fault.to_string().contains(expected), "{fault}"),
        };
        assert!(draft(vec![step("one"), step("two")]).check().is_ok());
        check(draft(Vec::new()), "0 steps instead of 1 to 100");
        let many = (0..101).map(|number| step(&format!("s{number}")));
        check(draft(many.collect()), "101 steps");
        check(
            draft(vec![step("one"), step("one")]),
            "two are called `one`",
        );
        for bad in ["", "One", "a-b", "a\u{1b}[0m", &"a".repeat(41)] {
            check(draft(vec![step(bad)]), "is no name of a step");
        }
        let mut creates = step("one");
        creates.class = Class::Create;
        check(draft(vec![creates]), "has no probe");
        let mut torn = step("one");
        torn.inverse = vec![Step {
            class: Class::Irreversible,
            ..step("back")
        }];
        check(draft(vec![torn]), "irreversible");
        let mut long = step("one");
        long.inverse = (0..17).map(|number| step(&format!("b{number}"))).collect();
        check(draft(vec![long]), "17 inverse of `one`");
        let mut codes = step("one");
        codes.done_codes = vec!["No Such".to_owned()];
        check(draft(vec![codes]), "no code of an error");
        let unseen = Draft {
            verify: Vec::new(),
            ..draft(vec![step("one")])
        };
        check(unseen, "0 checks that verify");
        let idle = Draft {
            preconditions: vec![check_of(Vec::new())],
            ..draft(vec![step("one")])
        };
        check(idle, "0 expectations of ec2.DescribeInstances");
    }

    #[test]
    fn requests_have_a_name_and_an_object() {
        let fault = |name: &str, text: &str| request(name, text).unwrap_err().to_string();
        assert!(request("ec2.CreateTags", r#"{"a": 1}"#).is_ok());
        for name in ["", "ec2", "ec2.", "EC2.X", "ec2.create", "ec2.A B", "a.b.C"] {
            assert!(
                fault(name, "{}").contains("no name of an operation"),
                "{name}"
            );
        }
        assert!(fault("ec2.CreateTags", "[]").contains("no JSON object"));
        assert!(fault("ec2.CreateTags", "{").contains("no JSON"));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(PROPOSED_JSON_BYTES_MAX));
        assert!(fault("ec2.CreateTags", &long).contains("bytes"));
        assert!(pointer("/a/0".to_owned()).is_ok());
        assert!(pointer("a".to_owned()).is_err());
    }
}
