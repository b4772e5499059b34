//! Security groups: revoking rules that let the whole world in, and only those.
//!
//! Each rule is a step of its own. One request could revoke several, but when one of them is gone the service refuses the whole
//! request, and the refusal would look as if all of them were.

use super::building::{change, check, codes, has, has_not, picked, step};
use super::document::is_all_addresses;
use super::events::Event;
use super::reading::{find, list, look, text};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Recipe, nothing, optional, required,
};
use super::{PlanFault, Reads};
use crate::plan::{Class, Risk, Step};
use serde_json::{Map, Value, json};

const EC2: &str = "ec2.amazonaws.com";

pub(super) const REVOKE: Recipe = Recipe {
    name: "aws.ec2.revoke_ingress_rule",
    about: "Revokes the rules of a security group that let the whole world in. Connections that are open stay open.",
    risk: Risk::Medium,
    kind: "aws.ec2.security_group",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[
        (EC2, "AuthorizeSecurityGroupIngress"),
        (EC2, "ModifySecurityGroupRules"),
    ],
    makes: &[
        (EC2, "RevokeSecurityGroupIngress"),
        (EC2, "AuthorizeSecurityGroupIngress"),
    ],
    operations: &[
        "ec2.AuthorizeSecurityGroupIngress",
        "ec2.DescribeSecurityGroupRules",
        "ec2.RevokeSecurityGroupIngress",
    ],
    parameters: &[
        required("group_id", Kind::Text, "the security group"),
        required("rule_ids", Kind::Texts, "the rules"),
        optional(
            "rules",
            Kind::Json,
            "what they let in, which tells a rule that was added again from the one that was revoked",
        ),
        optional(
            "open_ports",
            Kind::Texts,
            "ports that may be open to the world, as 443",
        ),
    ],
    from_event,
    subject,
    plan,
};

/// What a rule lets in, in one spelling for events and answers.
fn opened(rule: &Value, names: [&str; 5]) -> Value {
    let [protocol, from, to, four, six] = names.map(|name| rule.get(name));
    let port = |port: Option<&Value>| port.and_then(Value::as_i64).filter(|&port| port >= 0);
    let cidr = four.or(six).and_then(Value::as_str);
    json!({
        "protocol": protocol,
        "from_port": port(from),
        "to_port": port(to),
        "cidr": cidr,
    })
}

fn is_open(rule: &Value) -> bool {
    rule.get("cidr")
        .and_then(Value::as_str)
        .is_some_and(is_all_addresses)
}

fn from_event(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let (group, found) = match event.name() {
        "ModifySecurityGroupRules" => modified(event)?,
        _ => added(event)?,
    };
    if found.is_empty() {
        let why = "no rule of the event lets the whole world in";
        return Err(PlanFault::Refused(why.to_owned()));
    }
    let mut rules: Vec<Value> = Vec::new();
    let mut ids = Vec::new();
    for (id, rule) in found {
        ids.push(id);
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules.sort_by_cached_key(Value::to_string);
    let mut parameters = Map::new();
    parameters.insert("group_id".to_owned(), json!(group));
    parameters.insert("rule_ids".to_owned(), json!(ids));
    parameters.insert("rules".to_owned(), json!(rules));
    Ok(parameters)
}

type Found<'a> = (&'a str, Vec<(&'a str, Value)>);

/// The rules of `AuthorizeSecurityGroupIngress`: what was answered tells their ids.
fn added<'a>(event: &Event<'a>) -> Result<Found<'a>, PlanFault> {
    let group = "/requestParameters/groupId";
    let answered = "/responseElements/securityGroupRuleSet/items/0/groupId";
    let group = event.needs("which security group", &[group, answered])?;
    let names = ["ipProtocol", "fromPort", "toPort", "cidrIpv4", "cidrIpv6"];
    let mut found = Vec::new();
    for rule in event.list("/responseElements/securityGroupRuleSet/items")? {
        let opened = opened(rule, names);
        let is_egress = rule.get("isEgress") == Some(&Value::Bool(true));
        if is_open(&opened) && !is_egress {
            let id = rule.get("securityGroupRuleId").and_then(Value::as_str);
            let lacks = || PlanFault::Lacks("the id of the rule".to_owned());
            found.push((id.ok_or_else(lacks)?, opened));
        }
    }
    Ok((group, found))
}

/// The rules of `ModifySecurityGroupRules`: what was asked tells their ids.
fn modified<'a>(event: &Event<'a>) -> Result<Found<'a>, PlanFault> {
    let asked = "/requestParameters/ModifySecurityGroupRulesRequest";
    let group = event.needs("which security group", &[&format!("{asked}/GroupId")])?;
    let names = ["IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6"];
    let mut found = Vec::new();
    for update in event.list(&format!("{asked}/SecurityGroupRule"))? {
        let rule = update.get("SecurityGroupRule").unwrap_or(&Value::Null);
        let opened = opened(rule, names);
        if is_open(&opened) {
            let id = update.get("SecurityGroupRuleId").and_then(Value::as_str);
            let lacks = || PlanFault::Lacks("the id of the rule".to_owned());
            found.push((id.ok_or_else(lacks)?, opened));
        }
    }
    Ok((group, found))
}

fn subject(asked: &Asked<'_>) -> Result<About, PlanFault> {
    let group = asked.id("group_id", "sg-")?;
    let ids = asked.ids("rule_ids", "sgr-")?;
    let bad = match asked.json("rules") {
        Some(rules) => json!({"open": rules}),
        None => json!({"rules": ids}),
    };
    let arn = asked.arn("ec2", &format!("security-group/{group}"));
    Ok(About::regional(arn, bad))
}

fn plan(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let group = asked.id("group_id", "sg-")?;
    let filters = json!([{"Name": "group-id", "Values": [group]}]);
    let question = asked.call(
        "ec2.DescribeSecurityGroupRules",
        json!({"Filters": filters}),
    );
    let Some(answer) = look(reads, &question, &["InvalidGroup.NotFound"])? else {
        return nothing("the security group is gone");
    };
    let names = ["IpProtocol", "FromPort", "ToPort", "CidrIpv4", "CidrIpv6"];
    let kept = asked.texts("open_ports");
    let mut draft = Draft::default();
    let (mut held, mut gone) = (Vec::new(), Vec::new());
    for (place, id) in asked.ids("rule_ids", "sgr-")?.into_iter().enumerate() {
        let found = find(
            list(&answer, "/SecurityGroupRules"),
            "SecurityGroupRuleId",
            id,
        );
        let Some(rule) = found else { continue };
        let opened = opened(rule, names);
        let is_ingress = rule.get("IsEgress") != Some(&Value::Bool(true));
        if !is_open(&opened) || !is_ingress || is_kept(&opened, &kept) {
            continue;
        }
        let words = words(&opened);
        let revoke = json!({"GroupId": group, "SecurityGroupRuleIds": [id]});
        let back = Step {
            done_codes: codes(&["InvalidPermission.Duplicate"]),
            ..step(
                "authorize",
                format!("add the rule {words} to {group} again, under a new id"),
                Class::Set,
                asked.call("ec2.AuthorizeSecurityGroupIngress", authorized(group, rule)),
            )
        };
        draft.steps.push(Step {
            done_codes: codes(&[
                "InvalidPermission.NotFound",
                "InvalidSecurityGroupRuleId.NotFound",
                "InvalidGroup.NotFound",
            ]),
            inverse: vec![back],
            ..step(
                &format!("revoke_{}", place + 1),
                format!("revoke {words} ({id}) from {group}; open connections stay open"),
                Class::Remove,
                asked.call("ec2.RevokeSecurityGroupIngress", revoke),
            )
        });
        draft.diff.push(change(
            format!("ingress {words}"),
            rule.clone(),
            Value::Null,
        ));
        let pointer = "/SecurityGroupRules";
        let mut still = picked(rule, &["SecurityGroupRuleId"]);
        gone.push(has_not(pointer, still.clone()));
        still.extend(picked(rule, &names));
        held.push(has(pointer, still));
    }
    if draft.steps.is_empty() {
        return nothing("none of the rules lets the whole world in any more");
    }
    draft.summary = format!(
        "revoke {} of the rules of {group}: they let the whole world in",
        draft.steps.len()
    );
    draft.preconditions = vec![check(&question, held)];
    draft.verify = vec![check(&question, gone)];
    Ok(Drafted::Draft(draft))
}

/// Whether a rule is about one port that may be open.
fn is_kept(opened: &Value, kept: &[&str]) -> bool {
    let (from, to) = (&opened["from_port"], &opened["to_port"]);
    from == to
        && from
            .as_i64()
            .is_some_and(|port| kept.contains(&port.to_string().as_str()))
}

/// A rule for people, as `tcp 22 from 0.0.0.0/0`.
fn words(opened: &Value) -> String {
    let protocol = match text(opened, "/protocol") {
        "-1" => "all",
        protocol => protocol,
    };
    let ports = match (opened["from_port"].as_i64(), opened["to_port"].as_i64()) {
        (Some(from), Some(to)) if from == to => format!(" {from}"),
        (Some(from), Some(to)) => format!(" {from}-{to}"),
        _ => String::new(),
    };
    format!("{protocol}{ports} from {}", text(opened, "/cidr"))
}

/// The request that adds a rule again.
fn authorized(group: &str, rule: &Value) -> Value {
    let mut permission = picked(rule, &["IpProtocol", "FromPort", "ToPort"]);
    let (ranges, member, cidr) = match rule.get("CidrIpv4") {
        Some(cidr) => ("IpRanges", "CidrIp", cidr),
        None => ("Ipv6Ranges", "CidrIpv6", &rule["CidrIpv6"]),
    };
    let mut range = Map::new();
    range.insert(member.to_owned(), cidr.clone());
    range.extend(picked(rule, &["Description"]));
    permission.insert(ranges.to_owned(), json!([range]));
    let mut parameters = json!({"GroupId": group, "IpPermissions": [permission]});
    let tags = list(rule, "/Tags");
    if !tags.is_empty() {
        let tags = json!([{"ResourceType": "security-group-rule", "Tags": tags}]);
        parameters["TagSpecifications"] = tags;
    }
    parameters
}
