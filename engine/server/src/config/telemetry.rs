//! The sections `[telemetry]` and `[traces]`: what the service tells of itself.

use serde::{Deserialize, Serialize};

/// Levels of what is logged.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Longest name of a service.
const NAME_CHARS_MAX: usize = 255;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Telemetry {
    pub(crate) level: String,
    pub(crate) format: TelemetryFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TelemetryFormat {
    Text,
    Json,
}

impl Telemetry {
    /// What is wrong with it.
    pub(super) fn validate(&self) -> Result<(), String> {
        match LEVELS.contains(&self.level.as_str()) {
            true => Ok(()),
            false => Err(format!(
                "telemetry.level = \"{}\" is none of {}",
                self.level,
                LEVELS.join(", ")
            )),
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TracesConfig {
    pub(crate) otlp: String,
    pub(crate) sample_ratio: f64,
    pub(crate) service_name: String,
}

impl TracesConfig {
    /// What is wrong with it.
    pub(super) fn validate(&self) -> Result<(), String> {
        let url = &self.otlp;
        if !(url.is_empty() || url.starts_with("https://") || url.starts_with("http://")) {
            return Err(format!(
                "traces.otlp = \"{}\" begins neither with https:// nor with http://",
                url.escape_debug()
            ));
        }
        // It would be printed with the configuration, and told when the collector is away.
        let host = url.split('/').nth(2).unwrap_or_default();
        if host.contains('@') {
            return Err(
                "traces.otlp: an address with a user or a password in it; let a collector on this machine add them"
                    .to_owned(),
            );
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(format!(
                "traces.sample_ratio = {} is out of range; give 0 to 1",
                self.sample_ratio
            ));
        }
        let chars = self.service_name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX {
            return Err(format!(
                "traces.service_name has {chars} characters; give 1 to {NAME_CHARS_MAX}"
            ));
        }
        Ok(())
    }
}
