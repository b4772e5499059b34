//! Rules that are easier to write in a programming language.

use crate::{Batch, Fault, Hit};

/// Finds things in events, one by one: what it says of an event depends on that event alone. The example of the crate
/// is one.
pub trait Detector: Default + 'static {
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

    /// What is found in a batch: at most one hit a row, ordered by row.
    ///
    /// # Errors
    ///
    /// The events count as not judged, or the batch is tried again, as the kind of the fault says.
    fn detect(&mut self, batch: &Batch<'_>) -> Result<Vec<Hit>, Fault>;
}

/// A detector that remembers within itself. Its memory is kept over restarts with `save` and `restore`.
pub trait StatefulDetector: Detector {
    /// Everything that [`restore`](Self::restore) needs; begin it with the version of its form.
    ///
    /// # Errors
    ///
    /// What was saved before stays.
    fn save(&self) -> Result<Vec<u8>, Fault>;

    /// Takes what `save` of this version, or of an older one, gave. Called before the first batch.
    ///
    /// # Errors
    ///
    /// `unsupported`: the plugin starts anew, and that is counted.
    fn restore(&mut self, state: &[u8]) -> Result<(), Fault>;
}

#[doc(hidden)]
#[macro_export]
macro_rules! __detect {
    ($type:ty, { $($more:tt)* } $($export:ident $module:ident)*) => {
        $crate::__exported! { $type, Detector {
            impl $crate::exported::Detect for Exported {
                fn evaluate(
                    batch: $crate::exported::Vec<u8>,
                ) -> $crate::exported::Result<$crate::exported::Vec<$crate::Hit>, $crate::Fault> {
                    let batch = $crate::exported::batch(&batch)?;
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::Detector>::detect(plugin, &batch)
                    })
                }
            }
            $($more)*
        } __export_export_detect_impl export_detect $($export $module)* }
    };
}

/// Exports a [`Detector`]; once in a plugin.
#[macro_export]
macro_rules! export_detector {
    ($type:ty) => {
        $crate::__detect! { $type, {} }
    };
}

/// Exports a [`StatefulDetector`]; once in a plugin.
#[macro_export]
macro_rules! export_stateful_detector {
    ($type:ty) => {
        $crate::__detect! { $type, {
            impl $crate::exported::Checkpoint for Exported {
                fn save() -> $crate::exported::Result<$crate::exported::Vec<u8>, $crate::Fault> {
                    PLUGIN.with_borrow(|plugin| {
                        <$type as $crate::StatefulDetector>::save(plugin)
                    })
                }
                fn restore(
                    state: $crate::exported::Vec<u8>,
                ) -> $crate::exported::Result<(), $crate::Fault> {
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::StatefulDetector>::restore(plugin, &state)
                    })
                }
            }
        } __export_export_checkpoint_impl export_checkpoint }
    };
}
