//! Plans that the host carries out: answers to findings, as data.

use crate::Fault;
use crate::propose::{
    Change, Check, Class, Draft, Expect, Found, InverseStep, Proposal, Risk, Step,
};
use std::fmt::Display;

/// Plans answers to findings. The host shows a plan, has it agreed to, carries it out, sees that it worked, and takes it back;
/// so what is planned has to follow from the question and what services answer, and from nothing else.
pub trait Planner: Default + 'static {
    /// Takes the operator's settings as JSON, already checked against `[config]` of the manifest; not called without
    /// it.
    ///
    /// # Errors
    ///
    /// `invalid-config`: the plugin is not started.
    fn configure(&mut self, config: &str) -> Result<(), Fault> {
        let _ = config;
        Ok(())
    }

    /// What is to be done now about a subject: JSON with `finding`, `event`, `parameters`, `resource`, `action-id` and
    /// `event-time`. Ask what the state is with [`reads`](crate::reads); when it is as it should be, say so.
    ///
    /// # Errors
    ///
    /// There is no plan: for good, or for now when the kind of the fault is `timeout` or `unavailable`.
    fn plan(&mut self, subject: &str) -> Result<Proposal, Fault>;
}

impl Draft {
    /// A plan without steps, which is taken back when it cannot be seen to have worked.
    pub fn new(summary: impl Into<String>, risk: Risk) -> Self {
        Self {
            summary: summary.into(),
            risk,
            changes: Vec::new(),
            preconditions: Vec::new(),
            steps: Vec::new(),
            verify: Vec::new(),
            is_rolled_back: true,
            extra: Vec::new(),
        }
    }

    /// It stays even when it cannot be seen to have worked: it shuts something off.
    #[must_use]
    pub fn containment(mut self) -> Self {
        self.is_rolled_back = false;
        self
    }

    /// Something that it changes.
    #[must_use]
    pub fn change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Something that must still hold just before the first step.
    #[must_use]
    pub fn precondition(mut self, check: Check) -> Self {
        self.preconditions.push(check);
        self
    }

    /// The next step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Something that must hold afterwards.
    #[must_use]
    pub fn verify(mut self, check: Check) -> Self {
        self.verify.push(check);
        self
    }
}

impl From<Draft> for Proposal {
    fn from(draft: Draft) -> Self {
        Self::Draft(draft)
    }
}

impl Change {
    /// A field, what it is and what it will be; both are JSON, such as a `Value` of serde_json.
    pub fn new(field: impl Into<String>, before: impl Display, after: impl Display) -> Self {
        Self {
            field: field.into(),
            before: before.to_string(),
            after: after.to_string(),
        }
    }
}

impl Step {
    /// A request that changes something; `parameters` is a JSON object, such as a `Value` of serde_json.
    pub fn new(
        id: impl Into<String>,
        summary: impl Into<String>,
        class: Class,
        operation: impl Into<String>,
        parameters: impl Display,
    ) -> Self {
        Self {
            id: id.into(),
            summary: summary.into(),
            operation: operation.into(),
            parameters: parameters.to_string(),
            class,
            done_codes: Vec::new(),
            probe: None,
            inverse: Vec::new(),
        }
    }

    /// Errors of the service that mean that it is as wanted already.
    #[must_use]
    pub fn done_when(mut self, codes: &[&str]) -> Self {
        self.done_codes = codes.iter().map(|code| (*code).to_owned()).collect();
        self
    }

    /// How to find what an earlier try made.
    #[must_use]
    pub fn probe(mut self, check: Check) -> Self {
        self.probe = Some(check);
        self
    }

    /// What takes it back, after what was given before.
    #[must_use]
    pub fn inverse(mut self, step: InverseStep) -> Self {
        self.inverse.push(step);
        self
    }
}

impl InverseStep {
    /// A request that takes something back; `parameters` is a JSON object, such as a `Value` of serde_json.
    pub fn new(
        id: impl Into<String>,
        summary: impl Into<String>,
        class: Class,
        operation: impl Into<String>,
        parameters: impl Display,
    ) -> Self {
        Self {
            id: id.into(),
            summary: summary.into(),
            operation: operation.into(),
            parameters: parameters.to_string(),
            class,
            done_codes: Vec::new(),
            probe: None,
        }
    }

    /// Errors of the service that mean that it is as wanted already.
    #[must_use]
    pub fn done_when(mut self, codes: &[&str]) -> Self {
        self.done_codes = codes.iter().map(|code| (*code).to_owned()).collect();
        self
    }
}

impl Check {
    /// A question, of which nothing is expected yet; `parameters` is a JSON object, such as a `Value` of serde_json.
    pub fn new(operation: impl Into<String>, parameters: impl Display) -> Self {
        Self {
            operation: operation.into(),
            parameters: parameters.to_string(),
            expect: Vec::new(),
        }
    }

    fn expecting(mut self, one: Expect) -> Self {
        self.expect.push(one);
        self
    }

    /// What stands at a JSON pointer is this, which is JSON.
    #[must_use]
    pub fn is(self, path: impl Into<String>, value: impl Display) -> Self {
        self.expecting(Expect::Is(found(path, value)))
    }

    /// What stands at a JSON pointer is nothing like this.
    #[must_use]
    pub fn is_not(self, path: impl Into<String>, value: impl Display) -> Self {
        self.expecting(Expect::IsNot(found(path, value)))
    }

    /// The list at a JSON pointer has an element like this.
    #[must_use]
    pub fn has(self, path: impl Into<String>, value: impl Display) -> Self {
        self.expecting(Expect::Has(found(path, value)))
    }

    /// The list at a JSON pointer has no element like this.
    #[must_use]
    pub fn has_not(self, path: impl Into<String>, value: impl Display) -> Self {
        self.expecting(Expect::HasNot(found(path, value)))
    }

    /// The service refuses with one of these errors.
    #[must_use]
    pub fn refused(self, codes: &[&str]) -> Self {
        let codes = codes.iter().map(|code| (*code).to_owned());
        self.expecting(Expect::Refused(codes.collect()))
    }
}

fn found(path: impl Into<String>, value: impl Display) -> Found {
    Found {
        path: path.into(),
        value: value.to_string(),
    }
}

/// Exports a [`Planner`]; once in a plugin.
#[macro_export]
macro_rules! export_planner {
    ($type:ty) => {
        $crate::__exported! { $type, Planner {
            impl $crate::exported::Propose for Exported {
                fn plan(
                    subject: $crate::exported::String,
                ) -> $crate::exported::Result<$crate::propose::Proposal, $crate::Fault> {
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::Planner>::plan(plugin, &subject)
                    })
                }
            }
        } __export_export_propose_impl export_propose }
    };
}
