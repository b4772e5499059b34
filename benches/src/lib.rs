//! What the benchmarks measure with: rule sets in a neutral form, translated to the language of every engine.
//!
//! A rule is an AND of conditions on fields. It becomes CEL text (for Tripline and for the `cel` crate), a
//! Sigma rule (for rsigma) and a plain linear matcher, which is the reference: all engines must count the same
//! matches on the same events before anything is timed. Rules are drawn from a seed and from the values seen
//! in the corpus, so the same options give the same rules. Nothing of this reaches the product.

pub mod cel_text;
pub mod deny_unless;
pub mod linear;
pub mod rego_text;
pub mod remember;
pub mod residual;
pub mod rule;
pub mod set;
pub mod sigma_text;
pub mod stress;
pub mod vocabulary;
