//! For plugins of Tripline.
//!
//! A plugin is a type that implements one of seven traits – [`Enricher`], [`Detector`] (or [`StatefulDetector`]),
//! [`Scorer`], [`Policy`], [`Decoder`], [`Remediator`] and [`Planner`] – and one macro that exports it. Events come in [`Batch`]es
//! that hold only the fields which `plugin.toml` asks for; what the host offers is in the modules [`log`], [`kv`],
//! [`lookup`], [`http`], [`clock`], [`random`], [`events`], [`metrics`] and [`reads`]. What is not called is not linked, and so
//! needs no grant.
//!
//! ```
//! use tripline_plugin::{Batch, Detector, Fault, Hit, Severity, export_detector, fields};
//!
//! fields! {
//!     /// `reads` in plugin.toml, in the same order.
//!     struct Reads {
//!         event_name: symbol,
//!         source_address: text,
//!     }
//! }
//!
//! #[derive(Default)]
//! struct TrailTampering;
//!
//! impl Detector for TrailTampering {
//!     fn detect(&mut self, batch: &Batch<'_>) -> Result<Vec<Hit>, Fault> {
//!         let reads = Reads::of(batch)?;
//!         let is_tampering = reads.event_name.map(|name| name == "StopLogging");
//!         let mut hits = Vec::new();
//!         for row in batch.rows() {
//!             if is_tampering.get(row) != Some(&true) {
//!                 continue;
//!             }
//!             let hit = Hit::new(row, Severity::High, "a trail was stopped");
//!             hits.push(hit.evidence("address", reads.source_address.get(row)));
//!         }
//!         Ok(hits)
//!     }
//! }
//!
//! export_detector!(TrailTampering);
//! ```
//!
//! The same type runs in ordinary unit tests: batches are built with [`Columns`], and the host's functions are played
//! by [`testing`].

#[cfg(all(any(target_arch = "wasm32", test), feature = "allocator"))]
mod allocator;
mod batch;
#[allow(missing_docs, unreachable_pub, rust_2018_idioms, clippy::all)]
#[doc(hidden)]
#[rustfmt::skip]
pub mod bindings;
mod columns;
mod decoder;
mod detector;
mod enricher;
mod fields;
mod finding;
mod host;
mod kind;
mod planner;
mod policy;
mod remediator;
mod scorer;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod writers;

pub use batch::{
    Batch, BoolColumn, Cell, FloatColumn, IntColumn, SymbolColumn, SymbolMap, TextColumn,
};
pub use bindings::export_decide::exports::tripline::plugin::decide::{Decision, Effect};
pub use bindings::export_decode::exports::tripline::plugin::decode::{Bad, Decoded};
pub use bindings::export_remediate::exports::tripline::plugin::remediate::{Outcome, Step};
pub use bindings::host::tripline::plugin::types::{
    Attributes, Fault, FaultKind, Finding, Hit, Severity, Value,
};
pub use columns::{Column, Columns};
pub use decoder::{Decoder, Lines};
pub use detector::{Detector, StatefulDetector};
pub use enricher::Enricher;
pub use host::{clock, events, http, kv, log, lookup, metrics, random, reads};
pub use kind::Kind;
pub use planner::Planner;
pub use policy::Policy;
pub use remediator::Remediator;
pub use scorer::Scorer;

/// What plans are made of.
pub mod propose {
    pub use crate::bindings::export_propose::exports::tripline::plugin::propose::{
        Change, Check, Class, Draft, Expect, Found, InverseStep, Proposal, Risk, Step,
    };
}

/// For the macros.
#[doc(hidden)]
pub mod exported {
    pub use std::cell::RefCell;
    pub use std::option::Option;
    pub use std::result::Result;
    pub use std::string::String;
    pub use std::vec::Vec;

    pub use crate::bindings::export_checkpoint::exports::tripline::plugin::checkpoint::Guest as Checkpoint;
    pub use crate::bindings::export_decide::exports::tripline::plugin::decide::Guest as Decide;
    pub use crate::bindings::export_decode::exports::tripline::plugin::decode::Guest as Decode;
    pub use crate::bindings::export_detect::exports::tripline::plugin::detect::Guest as Detect;
    pub use crate::bindings::export_enrich::exports::tripline::plugin::enrich::Guest as Enrich;
    pub use crate::bindings::export_propose::exports::tripline::plugin::propose::Guest as Propose;
    pub use crate::bindings::export_remediate::exports::tripline::plugin::remediate::Guest as Remediate;
    pub use crate::bindings::export_score::exports::tripline::plugin::score::Guest as Score;
    pub use crate::bindings::export_setup::exports::tripline::plugin::setup::Guest as Setup;

    use crate::{Batch, Fault};

    /// The batch of a call. Only the host makes calls.
    #[inline(always)]
    pub fn batch(bytes: &[u8]) -> Result<Batch<'_>, Fault> {
        // SAFETY: the bytes are the argument of an exported function, so the host made them, which promises that texts
        // are UTF-8. Outside of a component there is no host, and everything is checked.
        #[cfg(target_arch = "wasm32")]
        return unsafe { Batch::from_host(bytes) };
        #[cfg(not(target_arch = "wasm32"))]
        Batch::read(bytes)
    }
}

/// Exports an interface for a type, by the name of its generated module. Outside of a component there is nobody to
/// export to.
#[doc(hidden)]
#[macro_export]
macro_rules! __exported {
    ($type:ty, $trait:ident { $($functions:tt)* } $($export:ident $module:ident)*) => {
        const _: () = {
            ::std::thread_local! {
                static PLUGIN: $crate::exported::RefCell<$type> =
                    $crate::exported::RefCell::new(<$type as ::core::default::Default>::default());
            }

            struct Exported;

            impl $crate::exported::Setup for Exported {
                fn configure(
                    config: $crate::exported::String,
                ) -> $crate::exported::Result<(), $crate::Fault> {
                    PLUGIN.with_borrow_mut(|plugin| {
                        <$type as $crate::$trait>::configure(plugin, &config)
                    })
                }
            }

            $($functions)*

            // Nobody calls it there, but what it calls is not dead code.
            #[cfg(not(target_arch = "wasm32"))]
            #[used]
            static USED: fn(
                $crate::exported::String,
            ) -> $crate::exported::Result<(), $crate::Fault> =
                <Exported as $crate::exported::Setup>::configure;

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                $crate::__export_export_setup_impl!(
                    Exported with_types_in $crate::bindings::export_setup
                );
                $($crate::$export!(Exported with_types_in $crate::bindings::$module);)*
            };
        };
    };
}
