//! Lines for the operator. Capability `log`.
//!
//! ```
//! use tripline_plugin::log;
//!
//! log::warn("table is empty", &[("table", "networks")]);
//! ```

pub use crate::bindings::host::tripline::plugin::log::Level;

/// Writes a line. Message and fields are cut at 1,024 bytes together.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields = fields.iter();
    let fields = fields.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    super::imports::log::write(level, message, &fields.collect::<Vec<_>>());
}

/// For who writes the plugin.
pub fn debug(message: &str, fields: &[(&str, &str)]) {
    write(Level::Debug, message, fields);
}

/// Normal news.
pub fn info(message: &str, fields: &[(&str, &str)]) {
    write(Level::Info, message, fields);
}

/// Something is odd.
pub fn warn(message: &str, fields: &[(&str, &str)]) {
    write(Level::Warn, message, fields);
}

/// Something failed.
pub fn error(message: &str, fields: &[(&str, &str)]) {
    write(Level::Error, message, fields);
}
