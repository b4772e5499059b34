//! Planned answers to findings.

use crate::{Fault, Outcome, Step, Value};

/// Plans answers to findings, carries them out and takes them back.
pub trait Remediator: Default + 'static {
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

    /// The steps for a finding, given as its JSON. Asks nothing outside: it is what a person agrees to.
    ///
    /// # Errors
    ///
    /// There is no plan, and a person is asked.
    fn plan(&mut self, finding: &str) -> Result<Vec<Step>, Fault>;

    /// Does a step, once for each key, however often it is called. With `dry_run`, only says what it would do.
    ///
    /// # Errors
    ///
    /// The plan stops, or the step is tried again, as the kind of the fault says.
    fn execute(
        &mut self,
        step: &Step,
        idempotency_key: &str,
        dry_run: bool,
    ) -> Result<Outcome, Fault>;

    /// Takes a step back.
    ///
    /// # Errors
    ///
    /// `unsupported`, unless the plugin does something else.
    fn undo(&mut self, step: &Step, undo_token: &str) -> Result<Outcome, Fault> {
        let _ = undo_token;
        let message = format!("step `{}` cannot be taken back", step.id);
        Err(Fault::unsupported(message))
    }
}

impl Step {
    /// A step that cannot be taken back.
    pub fn new(id: impl Into<String>, summary: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            summary: summary.into(),
            reversible: false,
            arguments: Vec::new(),
        }
    }

    /// The step, one that `undo` can take back.
    #[must_use]
    pub fn reversible(mut self) -> Self {
        self.reversible = true;
        self
    }

    /// Something that `execute` needs.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.arguments.push((name.into(), value.into()));
        self
    }

    /// What `argument` gave under a name.
    pub fn argument_named(&self, name: &str) -> Option<&Value> {
        let found = self.arguments.iter().find(|(is, _)| is == name);
        found.map(|(_, value)| value)
    }
}

impl Outcome {
    fn new(changed: bool, message: impl Into<String>) -> Self {
        Self {
            changed,
            message: message.into(),
            undo_token: None,
            extra: Vec::new(),
        }
    }

    /// Something is different now.
    pub fn changed(message: impl Into<String>) -> Self {
        Self::new(true, message)
    }

    /// Everything is as it was.
    pub fn unchanged(message: impl Into<String>) -> Self {
        Self::new(false, message)
    }

    /// What `undo` needs.
    #[must_use]
    pub fn undo_token(mut self, token: impl Into<String>) -> Self {
        self.undo_token = Some(token.into());
        self
    }
}

/// Exports a [`Remediator`]; once in a plugin.
#[macro_export]
macro_rules! export_remediator {
    ($type:ty) => {
        $crate::__exported! { $type, Remediator {
            impl $crate::exported::Remediate for Exported {
                fn plan(
                    finding: $crate::exported::String,
                ) -> $crate::exported::Result<$crate::exported::Vec<$crate::Step>, $crate::Fault> {
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::Remediator>::plan(plugin, &finding)
                    })
                }
                fn execute(
                    step: $crate::Step,
                    idempotency_key: $crate::exported::String,
                    dry_run: bool,
                ) -> $crate::exported::Result<$crate::Outcome, $crate::Fault> {
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::Remediator>::execute(
                            plugin, &step, &idempotency_key, dry_run,
                        )
                    })
                }
                fn undo(
                    step: $crate::Step,
                    undo_token: $crate::exported::String,
                ) -> $crate::exported::Result<$crate::Outcome, $crate::Fault> {
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::Remediator>::undo(plugin, &step, &undo_token)
                    })
                }
            }
        } __export_export_remediate_impl export_remediate }
    };
}
