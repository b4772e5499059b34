//! Whether what is written makes a policy. Everything that is wrong is told, not the first of it.

use super::load::Written;
use super::{CAP_MAX, Policy, SEVERITIES, terms};
use crate::action::{Action, Chosen, Pinned};
use crate::plan::{Risk, hex};
use sha2::{Digest, Sha256};

/// The longest time that a request may take: one minute.
const STEP_MAX: i64 = 60_000_000;

type Refusal = (&'static str, String, &'static str);

/// The policy that is written, or all that is wrong with it: the part, what, and what to do.
pub(super) fn policy(
    id: &str,
    file: &str,
    text: &str,
    written: Written,
) -> Result<Policy, Vec<Refusal>> {
    let mut wrong = Vec::new();
    words(&written, &mut wrong);
    let action = match chosen(&written) {
        Ok(action) => Some(action),
        Err(refusal) => {
            wrong.push(refusal);
            None
        }
    };
    if let Some(action) = &action {
        of_action(&written, action, &mut wrong);
    }
    bounds(&written, &mut wrong);
    let Some(action) = action.filter(|_| wrong.is_empty()) else {
        return Err(wrong);
    };
    let least = action.risk();
    let digest = Sha256::digest(format!("{id}\n{text}").as_bytes());
    Ok(Policy {
        id: id.to_owned(),
        version: written.version,
        hash: hex(&digest),
        file: file.to_owned(),
        description: written.description,
        runbook: written.runbook,
        on_finding: written.on_finding,
        min_severity: written.min_severity,
        when: written.when,
        risk: written.risk.unwrap_or(least),
        params: written.params,
        terms: terms::Terms {
            stage: written.stage,
            limits: written.limits,
            approval: written.approval,
            execution: written.execution,
            role: written.credentials.role,
            allow_irreversible: written.allow_irreversible,
            risk: written.risk.unwrap_or(least),
            owner: written.owner.clone(),
        },
        owner: written.owner,
        action,
    })
}

fn words(written: &Written, wrong: &mut Vec<Refusal>) {
    let needed = [
        ("runbook", &written.runbook),
        ("owner", &written.owner),
        ("description", &written.description),
    ];
    for (part, text) in needed {
        if text.trim().is_empty() {
            let help = "Whoever is woken at night needs to know what it does, whose it is, and where to read on.";
            wrong.push((part, format!("`{part}` is empty"), help));
        }
    }
    let numbers: Vec<_> = written.version.split('.').collect();
    if numbers.len() != 3 || numbers.iter().any(|one| one.parse::<u32>().is_err()) {
        let message = format!("`{}` is no version", written.version);
        wrong.push((
            "version",
            message,
            "Write MAJOR.MINOR.PATCH, as in \"1.0.0\".",
        ));
    }
    if written.on_finding.is_empty() {
        wrong.push((
            "on_finding",
            "no rule is named".to_owned(),
            "Name the rules whose findings are answered; a name may end in `*`.",
        ));
    }
    if let Some(severity) = &written.min_severity
        && !SEVERITIES.contains(&severity.as_str())
    {
        let message = format!("`{severity}` is no severity");
        wrong.push((
            "min_severity",
            message,
            "One of informational, low, medium, high, critical.",
        ));
    }
}

/// What depends on what the policy has done.
fn of_action(written: &Written, action: &Chosen, wrong: &mut Vec<Refusal>) {
    for name in written.params.keys() {
        if action.plugin().is_none() && !action.parameters().iter().any(|one| one.name == name) {
            let message = format!("`{}` has no parameter `{name}`", written.action);
            wrong.push((
                "params",
                message,
                "`tripline remediate actions` lists the parameters of each action.",
            ));
        }
    }
    for parameter in action.parameters() {
        if parameter.is_by_policy && !written.params.contains_key(parameter.name) {
            wrong.push((
                "params",
                format!(
                    "`{}` needs the parameter `{}`",
                    written.action, parameter.name
                ),
                "Say it in `params`, as CEL over `event`: no event says it by itself.",
            ));
        }
    }
    let least = action.risk();
    if written.risk.is_some_and(|risk| risk < least) {
        let message = format!(
            "the risk of `{}` is at least {}",
            written.action,
            risk_name(least)
        );
        wrong.push(("risk", message, "A policy may only say that it is more."));
    }
    let may_be_final = action.plugin().is_some() && written.allow_irreversible;
    if (action.is_irreversible() || may_be_final)
        && !(written.allow_irreversible
            && written.approval.quorum >= 2
            && written.stage.mode <= terms::Mode::Approve)
    {
        let message = format!("`{}` cannot be taken back", written.action);
        wrong.push((
            "action",
            message,
            "It needs `allow_irreversible = true`, a quorum of at least 2, and at most `mode = \"approve\"`.",
        ));
    }
    if action.may_answer_itself() && written.when.trim().is_empty() {
        let makes = match action.plugin() {
            Some(_) => "may make",
            None => "makes",
        };
        let message = format!(
            "`{}` {makes} events of the kind that it answers",
            written.action
        );
        wrong.push((
            "action",
            message,
            "Give a `when` that holds only while the state is bad, so that what it does itself does not start it again.",
        ));
    }
}

fn bounds(written: &Written, wrong: &mut Vec<Refusal>) {
    let stage = &written.stage;
    if stage.percent > 100 {
        wrong.push((
            "stage.percent",
            format!("{} of a hundred", stage.percent),
            "0 to 100.",
        ));
    }
    // What nobody voted on in time, and is done then, runs by itself as well.
    let runs_alone = stage.mode >= terms::Mode::Veto
        || written.approval.on_timeout == terms::OnTimeout::ContainReversible;
    if runs_alone {
        let limits = &written.limits;
        for (part, cap) in [
            ("limits.per_policy", limits.per_policy),
            ("limits.per_account", limits.per_account),
        ] {
            if cap.is_none() {
                let message = format!("`mode = \"{}\"` needs `{part}`", stage.mode.name());
                let help = "What runs by itself needs a bound, as in `per_policy = { max = 20, window = \"10m\" }`.";
                wrong.push((
                    if part == "limits.per_policy" {
                        "limits"
                    } else {
                        "limits.per_policy"
                    },
                    message,
                    help,
                ));
            }
        }
    }
    let limits = &written.limits;
    let caps = [
        ("limits.per_policy", limits.per_policy),
        ("limits.per_account", limits.per_account),
        ("limits.per_kind", limits.per_kind),
    ];
    for (part, cap) in caps {
        let Some(cap) = cap else { continue };
        if cap.window.0 == 0 || cap.max > CAP_MAX {
            let message = format!("a cap of {} within {}", cap.max, cap.window);
            wrong.push((part, message, "At most 100000, within more than no time."));
        }
    }
    if let Some(share) = &limits.max_percent {
        if !(0.0..=100.0).contains(&share.percent) {
            let message = format!("{} of a hundred", share.percent);
            wrong.push(("limits.max_percent", message, "0 to 100."));
        }
        if limits.per_policy.is_none() {
            let help = "The share is counted in the window of `per_policy`.";
            let message = "`max_percent` needs `per_policy`".to_owned();
            wrong.push(("limits.max_percent", message, help));
        }
    }
    let step = written.execution.step_timeout.0;
    if step == 0 || step > STEP_MAX {
        let message = format!("a request may take {}", written.execution.step_timeout);
        // How long a request of which nobody knows can have an effect is bounded by this.
        wrong.push((
            "execution.step_timeout",
            message,
            "More than 0s, at most 1m.",
        ));
    }
    if written.approval.quorum == 0 || written.approval.quorum > 20 {
        let message = format!("a quorum of {}", written.approval.quorum);
        wrong.push(("approval.quorum", message, "1 to 20 people."));
    }
    if written.limits.concurrency == 0 {
        wrong.push((
            "limits.concurrency",
            "nothing could ever run".to_owned(),
            "At least 1.",
        ));
    }
    let role = written.credentials.role.as_str();
    let is_role = || {
        let (_, rest) = role.strip_prefix("arn:")?.split_once(":iam::")?;
        let (account, name) = rest.split_once(":role/")?;
        let is_account = account == "{account}"
            || (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()));
        (is_account && !name.is_empty()).then_some(())
    };
    if !role.is_empty() && is_role().is_none() {
        wrong.push((
            "credentials.role",
            format!("`{role}` is no role"),
            "Write its ARN, as in \"arn:{partition}:iam::{account}:role/remediation\".",
        ));
    }
}

/// What a policy has done: an action, or what a plugin plans.
fn chosen(written: &Written) -> Result<Chosen, Refusal> {
    let Some(name) = written.action.strip_prefix(crate::action::planner::PREFIX) else {
        if written.plugin_digest.is_some() {
            let message = format!("`{}` is no plugin and has no digest", written.action);
            return Err(("plugin_digest", message, "Leave it out."));
        }
        let action = Action::parse(&written.action);
        let unknown = || {
            let message = format!("there is no action `{}`", written.action);
            let help = "`tripline remediate actions` lists them.";
            ("action", message, help)
        };
        return Ok(Chosen::Own(action.ok_or_else(unknown)?));
    };
    let is_name = |text: &str| {
        let may_stand =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        !text.is_empty() && text.len() <= 64 && text.bytes().all(may_stand)
    };
    if !is_name(name) {
        let message = format!("`{name}` is no name of a plugin");
        return Err((
            "action",
            message,
            "The name that the operator's file gives it.",
        ));
    }
    let digest = written.plugin_digest.as_deref();
    let digest = digest.and_then(|text| text.strip_prefix("sha256:"));
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let Some(digest) = digest.filter(|text| text.len() == 64 && text.bytes().all(is_hex)) else {
        let message = format!("`{}` needs `plugin_digest`", written.action);
        let help = "`plugin_digest = \"sha256:…\"` says which bytes of it are meant; `tripline plugin inspect` tells it.";
        return Err(("plugin_digest", message, help));
    };
    if written.risk.is_none() {
        let message = format!("`{}` needs `risk`", written.action);
        return Err((
            "risk",
            message,
            "Nobody else knows how much harm it can do: low, medium or high.",
        ));
    }
    for one in crate::action::planner::PARAMETERS {
        if !written.params.contains_key(one.name) {
            let message = format!("`{}` needs the parameter `{}`", written.action, one.name);
            return Err((
                "params",
                message,
                "CEL over `event`; the plugin does not say it.",
            ));
        }
    }
    if written.params.len() > 32 || !written.params.keys().all(|name| is_name(name)) {
        let message = "a parameter of a plugin has no name".to_owned();
        return Err((
            "params",
            message,
            "Lower-case letters, digits and `_`; at most 32 of them.",
        ));
    }
    Ok(Chosen::of_plugin(Pinned {
        name: name.to_owned(),
        digest: digest.to_owned(),
    }))
}

fn risk_name(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    }
}
