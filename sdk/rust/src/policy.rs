//! Whether something may be done.

use crate::{Batch, Decision, Effect, Fault, Value};

/// Says whether something may be done. It has no clock, no chance and no network, so that the same question has the
/// same answer.
///
/// ```
/// use tripline_plugin::{Batch, Decision, Fault, Policy, export_policy};
///
/// #[derive(Default)]
/// struct NoRoot;
///
/// impl Policy for NoRoot {
///     fn decide(&mut self, batch: &Batch<'_>) -> Result<Vec<Decision>, Fault> {
///         let kinds = batch.symbol(0)?;
///         let decide = |row| match kinds.get(row) {
///             Some("Root") => Decision::deny("the root user does nothing here"),
///             _ => Decision::abstain(),
///         };
///         Ok(batch.rows().map(decide).collect())
///     }
/// }
///
/// export_policy!(NoRoot);
/// ```
pub trait Policy: Default + 'static {
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

    /// One decision a row.
    ///
    /// # Errors
    ///
    /// Whatever was asked about is not allowed.
    fn decide(&mut self, batch: &Batch<'_>) -> Result<Vec<Decision>, Fault>;
}

impl Decision {
    fn new(effect: Effect, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let obligations = Vec::new();
        Self {
            effect,
            reason,
            obligations,
        }
    }

    /// No opinion.
    pub fn abstain() -> Self {
        Self::new(Effect::Abstain, "")
    }

    /// It may be done.
    pub fn allow(reason: impl Into<String>) -> Self {
        Self::new(Effect::Allow, reason)
    }

    /// A person has to agree.
    pub fn require_approval(reason: impl Into<String>) -> Self {
        Self::new(Effect::RequireApproval, reason)
    }

    /// It must not be done.
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::new(Effect::Deny, reason)
    }

    /// Something else that is to be kept in mind.
    #[must_use]
    pub fn obligation(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.obligations.push((name.into(), value.into()));
        self
    }
}

/// Exports a [`Policy`]; once in a plugin.
#[macro_export]
macro_rules! export_policy {
    ($type:ty) => {
        $crate::__exported! { $type, Policy {
            impl $crate::exported::Decide for Exported {
                fn decide(
                    batch: $crate::exported::Vec<u8>,
                ) -> $crate::exported::Result<$crate::exported::Vec<$crate::Decision>, $crate::Fault> {
                    let batch = $crate::exported::batch(&batch)?;
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::Policy>::decide(plugin, &batch)
                    })
                }
            }
        } __export_export_decide_impl export_decide }
    };
}
