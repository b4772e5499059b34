//! The one integration-test binary of core.

mod absent_fields;
mod cel_front;
mod conformance;
mod correlation_cases;
mod differential;
mod floors;
mod fuzz_corpora;
mod index_agrees;
mod plugins;
mod shipped_rules;
mod sigma;
mod sources;
mod state;
