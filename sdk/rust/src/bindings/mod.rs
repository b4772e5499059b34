// Written by `sdk/generate`.

pub mod host;
pub mod export_setup;
pub mod export_enrich;
pub mod export_detect;
pub mod export_checkpoint;
pub mod export_score;
pub mod export_decide;
pub mod export_decode;
pub mod export_remediate;
pub mod export_propose;
