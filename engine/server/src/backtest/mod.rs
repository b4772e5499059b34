//! Backtests: what rules would have found in past events, and whether that is what was wanted.
//!
//! A backtest is a scan whose findings go to `keep` instead of to a format, so everything about inputs, records,
//! duplicates and rules that remember is the scan's (`reading`). `baseline` reads another version of the rules; both are
//! asked about each event in one pass. At the end `tally` counts per rule, `compare` tells the versions apart, `expect`
//! and `labels` judge, `propose` looks for exceptions: `ideas` has them, `trial` and `prove` read the inputs again where
//! findings cannot tell, `proposed_file` writes them. `report` puts the results together and `text`, `json` and `junit`
//! write them. Memory follows the number of findings, never that of events.

pub(crate) mod baseline;
pub(crate) mod compare;
pub(crate) mod expect;
mod git;
pub(crate) mod histogram;
mod ideas;
pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod keep;
pub(crate) mod labels;
pub(crate) mod propose;
pub(crate) mod proposed_file;
mod prove;
pub(crate) mod reading;
pub(crate) mod report;
pub(crate) mod tally;
pub(crate) mod text;
pub(crate) mod traits;
pub(crate) mod trial;
