//! How unusual events are.

use crate::{Batch, Fault};

/// Says how unusual events are; rules see the number as `enrich.NAME.score`.
///
/// ```
/// use tripline_plugin::{Batch, Fault, Scorer, export_scorer};
///
/// #[derive(Default)]
/// struct Length;
///
/// impl Scorer for Length {
///     fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, Fault> {
///         let agents = batch.text(0)?;
///         let score = |agent: Option<&str>| agent.map_or(f64::NAN, |agent| agent.len() as f64);
///         Ok(agents.iter().map(score).collect())
///     }
/// }
///
/// export_scorer!(Length);
/// ```
pub trait Scorer: Default + 'static {
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

    /// One number a row; NaN stands for no opinion.
    ///
    /// # Errors
    ///
    /// The batch goes without numbers, or is tried again, as the kind of the fault says.
    fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, Fault>;
}

/// Exports a [`Scorer`]; once in a plugin.
#[macro_export]
macro_rules! export_scorer {
    ($type:ty) => {
        $crate::__exported! { $type, Scorer {
            impl $crate::exported::Score for Exported {
                fn score(
                    batch: $crate::exported::Vec<u8>,
                ) -> $crate::exported::Result<$crate::exported::Vec<f64>, $crate::Fault> {
                    let batch = $crate::exported::batch(&batch)?;
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::Scorer>::score(plugin, &batch)
                    })
                }
            }
        } __export_export_score_impl export_score }
    };
}
