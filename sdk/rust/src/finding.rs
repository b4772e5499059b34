//! What findings, faults and values are made of. The types are those of the contract; here are the ways to make them.

use crate::{Attributes, Fault, FaultKind, Finding, Hit, Severity, Value};

impl Hit {
    /// A finding about a row.
    pub fn new(row: usize, severity: Severity, title: impl Into<String>) -> Self {
        let finding = Finding {
            severity,
            score: 1.0,
            title: title.into(),
            dedup_key: None,
            evidence: Attributes::new(),
            extra: Attributes::new(),
        };
        let row = row as u32;
        Self { row, finding }
    }

    /// How sure the plugin is, from 0 to 1; 1 if nothing is said. What is outside is brought inside.
    #[must_use]
    pub fn score(mut self, score: f64) -> Self {
        self.finding.score = match score.is_nan() {
            true => 0.0,
            false => score.clamp(0.0, 1.0),
        };
        self
    }

    /// What the finding is filed under; without one, the rule's own key.
    #[must_use]
    pub fn dedup_key(mut self, key: impl Into<String>) -> Self {
        self.finding.dedup_key = Some(key.into());
        self
    }

    /// Something that the plugin saw. `None` is left out.
    #[must_use]
    pub fn evidence(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => {}
            value => self.finding.evidence.push((name.into(), value)),
        }
        self
    }
}

impl Fault {
    /// An orderly failure.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// The configuration makes no sense.
    pub fn invalid_config(message: impl Into<String>) -> Self {
        Self::new(FaultKind::InvalidConfig, message)
    }

    /// The rows, the key or the argument make no sense.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(FaultKind::InvalidInput, message)
    }

    /// The thing asked for is not implemented.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Unsupported, message)
    }

    /// Something outside is not there now; the call is made again.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Unavailable, message)
    }

    /// A mistake of the plugin.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Internal, message)
    }

    /// When the call may be made again, in milliseconds from now.
    #[must_use]
    pub fn retry_after_ms(mut self, milliseconds: u32) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        match value.is_finite() {
            true => Self::Float(value),
            false => Self::Null,
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
