//! Questions to services, for plans. Capability `reads`, one operation at a time.
//!
//! ```
//! use tripline_plugin::{reads, testing};
//!
//! testing::services(|operation, _| match operation {
//!     "iam.GetUser" => Ok(r#"{"done": {"User": {"UserName": "alice"}}}"#.to_owned()),
//!     _ => Ok(r#"{"refused": {"code": "NoSuchEntity", "message": "there is none"}}"#.to_owned()),
//! });
//!
//! let answer = reads::read("iam.GetUser", r#"{"UserName": "alice"}"#)?;
//! assert!(answer.contains("alice"));
//! # Ok::<(), tripline_plugin::Fault>(())
//! ```

use crate::Fault;
use std::fmt::Display;

/// Asks a service, in the account and the region of the resource, with an operation that only reads. Parameters are a JSON
/// object; the answer is one with `done`, which is what the service answered, or with `refused`, which has its `code` and
/// `message`.
///
/// # Errors
///
/// `denied` for an operation that was not granted, `limit` for too many questions, `unavailable` or `timeout` when there is no
/// answer.
pub fn read(operation: &str, parameters: impl Display) -> Result<String, Fault> {
    super::imports::reads::read(operation, &parameters.to_string())
}
