//! Plugins that make plans, as policies use them: `action = "plugin:NAME"`.
//!
//! Each has to be the one that the policy means, by its digest. What it asks goes through the engine, which asks services as it
//! does for its own actions; what it proposes is translated here, and judged there.

use crate::plugins::{Hosted, Installed, PluginsError};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tripline_host::manifest::World;
use tripline_host::proposal::{self as proposed, Draft, Proposal};
use tripline_host::{Disposition, Fault};
use tripline_remediation::action::{Asking, Pinned, PlanFault, Planned, Planner};
use tripline_remediation::aws;
use tripline_remediation::plan::{
    Call, Change, Check, Class, Expect, Plan, Resource, Risk, Step, hex,
};

/// The planners that run, and those that do not.
pub(crate) struct Planners {
    running: BTreeMap<String, Hosted>,
    /// Why a plugin makes no plans, by its name.
    others: BTreeMap<String, String>,
}

impl Planners {
    /// Starts the planners among the plugins; nobody when no plugin is declared.
    pub(crate) fn start(installed: &Installed) -> Result<Option<Arc<dyn Planner>>, PluginsError> {
        if installed.plugins.is_empty() && installed.off.is_empty() {
            return Ok(None);
        }
        let mut others = BTreeMap::new();
        for (alias, reason) in &installed.off {
            others.insert(alias.clone(), format!("the plugin is off: {reason}"));
        }
        let mut names = Vec::new();
        for one in &installed.plugins {
            let alias = one.alias.clone();
            let asked = &one.rights.reads;
            let odd = asked
                .iter()
                .find(|name| !aws::operation(name).is_some_and(|one| one.is_read));
            match (one.manifest.world, odd) {
                (World::Planner, None) => names.push(alias),
                (World::Planner, Some(name)) => {
                    let why =
                        format!("it is granted `{name}`, which is no operation that only reads");
                    others.insert(alias, why);
                }
                (world, _) => {
                    let why = format!("the plugin makes no plans: its world is {}", world.as_str());
                    others.insert(alias, why);
                }
            }
        }
        let started = installed.start(&names)?;
        for (alias, reason) in started.absent {
            others.insert(alias, format!("the plugin did not start: {reason}"));
        }
        let running = started.running.into_iter();
        let running = running.map(|one| (one.alias.clone(), one)).collect();
        Ok(Some(Arc::new(Self { running, others })))
    }

    fn known(&self, plugin: &Pinned) -> Result<&Hosted, String> {
        let Some(hosted) = self.running.get(&plugin.name) else {
            let why = self.others.get(&plugin.name).cloned();
            return Err(why.unwrap_or_else(|| "there is no such plugin".to_owned()));
        };
        let is = hex(hosted.plugin.digest());
        match is == plugin.digest {
            true => Ok(hosted),
            false => Err(format!(
                "the plugin is sha256:{is}, and the policy means sha256:{}",
                plugin.digest
            )),
        }
    }
}

impl Planner for Planners {
    fn knows(&self, plugin: &Pinned) -> Result<(), String> {
        self.known(plugin).map(drop)
    }

    fn plan(
        &self,
        plugin: &Pinned,
        subject: &Value,
        asking: &mut Asking<'_>,
    ) -> Result<Planned, PlanFault> {
        let hosted = self.known(plugin).map_err(PlanFault::Refused)?;
        let mut answering = |operation: &str, parameters: &str| {
            let parameters: Map<String, Value> =
                serde_json::from_str(parameters).map_err(|fault| fault.to_string())?;
            let answer = asking(operation, parameters)?;
            Ok(json!(answer).to_string())
        };
        match hosted.plugin.propose(&subject.to_string(), &mut answering) {
            Ok(Proposal::Nothing(why)) => Ok(Planned::Nothing(why)),
            Ok(Proposal::Draft(draft)) => Ok(Planned::Plan(Box::new(plan_of(*draft)))),
            Err(fault) => Err(refusal(&plugin.name, &fault)),
        }
    }
}

/// What it means that a plugin has no plan: it may have one later, or never.
fn refusal(name: &str, fault: &Fault) -> PlanFault {
    match fault.disposition() {
        Disposition::Retry { .. } => PlanFault::Read(format!("plugin:{name}"), fault.to_string()),
        _ => PlanFault::Refused(format!("plugin `{name}`: {fault}")),
    }
}

/// A plan as the engine has it, without what the engine fills in.
pub(crate) fn plan_of(draft: Draft) -> Plan {
    let changes = draft.changes.into_iter().map(|change| Change {
        field: change.field,
        before: change.before,
        after: change.after,
    });
    Plan {
        action: String::new(),
        resource: Resource {
            arn: String::new(),
            kind: String::new(),
            account: String::new(),
            region: String::new(),
        },
        summary: draft.summary,
        risk: match draft.risk {
            proposed::Risk::Low => Risk::Low,
            proposed::Risk::Medium => Risk::Medium,
            proposed::Risk::High => Risk::High,
        },
        diff: changes.collect(),
        preconditions: draft.preconditions.into_iter().map(check_of).collect(),
        steps: draft.steps.into_iter().map(step_of).collect(),
        verify: draft.verify.into_iter().map(check_of).collect(),
        is_rolled_back: draft.is_rolled_back,
    }
}

fn call_of(request: proposed::Request) -> Call {
    Call {
        operation: request.operation,
        account: String::new(),
        region: String::new(),
        parameters: request.parameters,
    }
}

fn check_of(check: proposed::Check) -> Check {
    let expect = check.expect.into_iter().map(|one| match one {
        proposed::Expect::Refused(codes) => Expect::Refused(codes),
        proposed::Expect::Is(path, value) => Expect::Is(path, value),
        proposed::Expect::IsNot(path, value) => Expect::IsNot(path, value),
        proposed::Expect::Has(path, value) => Expect::Has(path, value),
        proposed::Expect::HasNot(path, value) => Expect::HasNot(path, value),
    });
    Check {
        call: call_of(check.request),
        expect: expect.collect(),
    }
}

fn step_of(step: proposed::Step) -> Step {
    Step {
        id: step.id,
        summary: step.summary,
        call: call_of(step.request),
        class: match step.class {
            proposed::Class::Set => Class::Set,
            proposed::Class::Remove => Class::Remove,
            proposed::Class::Token => Class::Token,
            proposed::Class::Create => Class::Create,
            proposed::Class::Blind => Class::Blind,
            proposed::Class::Irreversible => Class::Irreversible,
        },
        done_codes: step.done_codes,
        probe: step.probe.map(check_of),
        inverse: step.inverse.into_iter().map(step_of).collect(),
    }
}

/// A plan as tests of plugins write it: without what the engine fills in.
pub(crate) fn draft_json(draft: Draft) -> Value {
    let mut plan = json!(plan_of(draft));
    if let Some(plan) = plan.as_object_mut() {
        plan.remove("action");
        plan.remove("resource");
    }
    plan
}
