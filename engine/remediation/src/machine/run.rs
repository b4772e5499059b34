//! Steps being done one after the other, forwards or backwards.

use crate::plan::{Call, Class, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// How far a step is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Nothing was sent.
    #[default]
    Idle,
    /// A request was about to be sent, or was sent: nobody knows what became of it.
    Intent {
        /// Which try.
        attempt: u32,
        /// When it was written down; microseconds since 1970.
        at: i64,
        /// Of whoever sent it.
        epoch: u64,
        /// Whether a try before it may have been done.
        is_unsure: bool,
        /// The request.
        call: Call,
    },
    /// It is known that the last try did nothing.
    Waiting {
        /// How often it was tried.
        attempts: u32,
        /// When it is tried again.
        until: i64,
        /// Whether a try before it may have been done.
        is_unsure: bool,
    },
    /// Nobody knows what became of the last try.
    Unsure {
        /// How often it was tried.
        attempts: u32,
        /// When the last one was written down.
        at: i64,
        /// When it is tried again.
        until: i64,
    },
    /// It is done.
    Done(Value),
    /// It was left, not knowing whether it is done.
    Skipped,
    /// It cannot be done.
    Failed {
        /// Why.
        reason: String,
        /// Whether a try before may have been done.
        is_unsure: bool,
    },
}

impl Progress {
    /// Whether the next step may follow.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Skipped)
    }

    /// Whether some try may have been done, as far as is known.
    pub fn is_unsure(&self) -> bool {
        match self {
            Self::Intent { .. } | Self::Unsure { .. } | Self::Skipped => true,
            Self::Waiting { is_unsure, .. } | Self::Failed { is_unsure, .. } => *is_unsure,
            Self::Idle | Self::Done(_) => false,
        }
    }

    /// How often it was tried.
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Intent { attempt, .. } => *attempt,
            Self::Waiting { attempts, .. } | Self::Unsure { attempts, .. } => *attempts,
            _ => 0,
        }
    }
}

/// Steps and how far each is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What is done, in this order.
    pub steps: Arc<[Step]>,
    /// How far each is.
    pub progress: Vec<Progress>,
    /// When its first request was written down, or somebody had it go on; microseconds since 1970.
    pub began: i64,
    /// When the newest request was written down of which nobody knows what became: it may be done later than what follows
    /// it. 0 without any.
    #[serde(default)]
    pub unsure: i64,
}

impl Run {
    /// Steps of which none is begun.
    pub fn of(steps: Arc<[Step]>, began: i64) -> Self {
        Self {
            progress: vec![Progress::Idle; steps.len()],
            steps,
            began,
            unsure: 0,
        }
    }

    /// The first step that is not over.
    pub fn at(&self) -> Option<usize> {
        self.progress.iter().position(|one| !one.is_over())
    }

    /// Whether all steps are over.
    pub fn is_over(&self) -> bool {
        self.at().is_none()
    }

    /// The request of a step with everything filled in that earlier steps answered; what is missing.
    pub fn call(&self, step: usize) -> Result<Call, String> {
        let call = &self.steps[step].call;
        let mut parameters = Map::new();
        for (name, value) in &call.parameters {
            parameters.insert(name.clone(), self.filled(value)?);
        }
        Ok(Call {
            parameters,
            ..call.clone()
        })
    }

    fn filled(&self, value: &Value) -> Result<Value, String> {
        fill(value, &|step, path| {
            let place = self.steps.iter().position(|one| one.id == step)?;
            match &self.progress[place] {
                Progress::Done(answer) => answer.pointer(path).cloned(),
                _ => None,
            }
        })
    }

    /// The steps that were or may have been done and that nothing takes back, and whether that is certain.
    pub fn left(&self) -> Vec<(&Step, bool)> {
        let left = self
            .steps
            .iter()
            .zip(&self.progress)
            .filter(|(step, progress)| {
                let may_be_done = matches!(progress, Progress::Done(_)) || progress.is_unsure();
                let can = |inverse: &Step| {
                    let mut values = inverse.call.parameters.values();
                    values.all(|value| self.filled(value).is_ok())
                };
                let is_taken_back = step.class != Class::Irreversible
                    && !step.inverse.is_empty()
                    && step.inverse.iter().all(can);
                may_be_done && !is_taken_back
            });
        left.map(|(step, progress)| (step, !progress.is_unsure()))
            .collect()
    }

    /// What takes back what was done, the last first, with everything filled in. A step that may have been done counts. What
    /// cannot be taken back is left out.
    pub fn inverse(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (place, step) in self.steps.iter().enumerate().rev() {
            let progress = &self.progress[place];
            let may_be_done = matches!(progress, Progress::Done(_)) || progress.is_unsure();
            if !may_be_done || step.class == Class::Irreversible {
                continue;
            }
            for (number, inverse) in step.inverse.iter().enumerate() {
                let mut inverse = inverse.clone();
                let filled: Result<Map<String, Value>, String> = inverse
                    .call
                    .parameters
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.filled(value)?)))
                    .collect();
                // What was never answered has left nothing that could be named.
                let Ok(filled) = filled else { continue };
                inverse.call.parameters = filled;
                inverse.id = format!("undo_{}_{number}", step.id);
                steps.push(inverse);
            }
        }
        steps
    }
}

/// Fills in what `$from` names.
fn fill(value: &Value, answer: &dyn Fn(&str, &str) -> Option<Value>) -> Result<Value, String> {
    Ok(match value {
        Value::Object(members) => {
            if let Some(from) = members.get("$from") {
                let text = |name: &str| from.get(name).and_then(Value::as_str).unwrap_or_default();
                let (step, path) = (text("step"), text("path"));
                return answer(step, path)
                    .ok_or_else(|| format!("step `{step}` answered nothing at `{path}`"));
            }
            let filled = members
                .iter()
                .map(|(name, value)| Ok((name.clone(), fill(value, answer)?)));
            Value::Object(filled.collect::<Result<_, String>>()?)
        }
        Value::Array(items) => {
            let filled = items.iter().map(|item| fill(item, answer));
            Value::Array(filled.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}
