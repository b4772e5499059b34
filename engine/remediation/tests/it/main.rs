//! Tests of remediation against everything that is not its own.

mod aws;
