//! Processing pipelines as pySigma has them: renaming fields, adding conditions, changing log sources.
//!
//! A pipeline is a list of transformations, each with conditions on the rule, on the line of a selection and on the
//! field's name. What only matters to tools that make queries (`set_state`, post-processing) is told and has no effect;
//! what is not known is a mistake, and then no Sigma rule is used, for without it the rules would mean something else.

mod change;
mod read;
mod when;

use super::draft::Draft;
use super::item::Lowered;
use crate::rule::{File, Report};
use change::Change;
pub(super) use change::Growth;
use std::collections::BTreeSet;
use when::{FieldTest, Group, ItemTest, RuleTest};

/// All pipelines, in order.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    steps: Vec<Step>,
}

/// One transformation.
#[derive(Debug)]
struct Step {
    id: Option<String>,
    change: Change,
    rules: Group<RuleTest>,
    items: Group<ItemTest>,
    fields: Group<FieldTest>,
}

/// Reads pipelines; `None` when one of them cannot be used.
pub(super) fn read_all(files: &[File], reports: &mut Vec<Report>) -> Option<Pipelines> {
    let mut found = Vec::new();
    let mut sound = true;
    for file in files {
        match read::read(file, reports) {
            Some(pipeline) => found.push(pipeline),
            None => sound = false,
        }
    }
    found.sort_by_key(|(priority, _)| *priority);
    let mut steps: Vec<Step> = found.into_iter().flat_map(|(_, steps)| steps).collect();
    let mut asked = BTreeSet::new();
    steps.iter().for_each(|step| step.asks(&mut asked));
    steps.iter_mut().for_each(|step| step.forget_unless(&asked));
    sound.then_some(Pipelines { steps })
}

impl Step {
    /// The ids of which a condition wants to know whether they were applied.
    fn asks(&self, asked: &mut BTreeSet<String>) {
        for test in &self.rules.tests {
            if let RuleTest::Applied(id) = test {
                asked.insert(id.clone());
            }
        }
        for test in &self.items.tests {
            if let ItemTest::Applied(id) = test {
                asked.insert(id.clone());
            }
        }
        for test in &self.fields.tests {
            if let FieldTest::Applied(id) = test {
                asked.insert(id.clone());
            }
        }
        if let Change::Nested(steps) = &self.change {
            steps.iter().for_each(|step| step.asks(asked));
        }
    }

    /// What nobody asks is not noted on every line of every rule.
    fn forget_unless(&mut self, asked: &BTreeSet<String>) {
        self.id = self.id.take().filter(|id| asked.contains(id));
        if let Change::Nested(steps) = &mut self.change {
            steps.iter_mut().for_each(|step| step.forget_unless(asked));
        }
    }
}

impl Pipelines {
    /// Changes a draft; a mistake means that the rule cannot be used.
    pub(super) fn apply(&self, draft: &mut Draft) -> Lowered<()> {
        for step in &self.steps {
            if !step.rules.holds(|test| test.holds(draft)) {
                continue;
            }
            step.apply(draft)?;
            draft.applied.extend(step.id.clone());
        }
        Ok(())
    }
}
