//! Facts to attach beside events.

use crate::{Batch, Columns, Fault};

/// Attaches facts to events; rules read them as `enrich.NAME.COLUMN`.
///
/// ```
/// use tripline_plugin::{Batch, Columns, Enricher, Fault, export_enricher, fields, writes};
///
/// fields! { struct Reads { user_agent: symbol } }
/// writes! { struct Writes { is_cli: bool } }
///
/// #[derive(Default)]
/// struct Agent;
///
/// impl Enricher for Agent {
///     fn enrich(&mut self, batch: &Batch<'_>) -> Result<Columns, Fault> {
///         let reads = Reads::of(batch)?;
///         let mut writes = Writes::of(batch);
///         for row in batch.rows() {
///             if let Some(agent) = reads.user_agent.get(row) {
///                 writes.is_cli.set(row, agent.starts_with("aws-cli/"));
///             }
///         }
///         Ok(writes.into())
///     }
/// }
///
/// export_enricher!(Agent);
/// ```
pub trait Enricher: Default + 'static {
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

    /// The columns of `writes`, in that order, for the rows of the batch.
    ///
    /// # Errors
    ///
    /// The whole batch goes without facts, or is tried again, as the kind of the fault says.
    fn enrich(&mut self, batch: &Batch<'_>) -> Result<Columns, Fault>;
}

/// Exports an [`Enricher`]; once in a plugin.
#[macro_export]
macro_rules! export_enricher {
    ($type:ty) => {
        $crate::__exported! { $type, Enricher {
            impl $crate::exported::Enrich for Exported {
                fn enrich(
                    batch: $crate::exported::Vec<u8>,
                ) -> $crate::exported::Result<$crate::exported::Vec<u8>, $crate::Fault> {
                    let batch = $crate::exported::batch(&batch)?;
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::Enricher>::enrich(plugin, &batch)?.try_into()
                    })
                }
            }
        } __export_export_enrich_impl export_enrich }
    };
}
