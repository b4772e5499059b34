//! What an event says of a resource's state.
//!
//! A fact is whole: it is never added to an earlier one, because events arrive in any order. What only a part of a request says is
//! left to the answer, which mostly says everything.

use crate::action::shapes::{Arn, as_asked, content, function, is_called, parse, partition};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The aspect that tells whether a resource is there.
pub(super) const EXISTS: &str = "exists";

/// Something that an event says.
pub(super) struct Fact {
    pub(super) arn: String,
    pub(super) aspect: Cow<'static, str>,
    pub(super) value: Value,
}

/// When an event happened, in microseconds since 1970, and its id.
pub(super) fn said(event: &Value) -> Option<(i64, &str)> {
    let time: jiff::Timestamp = event.get("eventTime")?.as_str()?.parse().ok()?;
    let id = event.get("eventID")?.as_str()?;
    (id.len() <= 128).then_some((time.as_microsecond(), id))
}

/// An event's parts, as folding needs them.
struct Seen<'a> {
    event: &'a Value,
    account: &'a str,
    region: &'a str,
}

impl<'a> Seen<'a> {
    fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.event.pointer(pointer).filter(|value| !value.is_null())
    }

    /// A text of a request. What is longer than any ARN is no name.
    fn text(&self, pointer: &str) -> Option<&'a str> {
        let text = self.at(pointer)?.as_str()?;
        (!text.is_empty() && text.len() <= 2048).then_some(text)
    }

    fn asked(&self, name: &str) -> Option<&'a str> {
        self.text(&format!("/requestParameters/{name}"))
    }

    fn iam(&self, kind: &str, name: &str) -> String {
        let partition = partition(self.region);
        format!("arn:{partition}:iam::{}:{kind}/{name}", self.account)
    }

    fn regional(&self, service: &str, rest: &str) -> String {
        let (partition, region) = (partition(self.region), self.region);
        format!("arn:{partition}:{service}:{region}:{}:{rest}", self.account)
    }

    fn bucket(&self) -> Option<String> {
        let bucket = self.asked("bucketName")?;
        Some(format!("arn:{}:s3:::{bucket}", partition(self.region)))
    }

    fn function(&self) -> Option<String> {
        let name = function(self.asked("functionName")?)?;
        Some(self.regional("lambda", &format!("function:{name}")))
    }

    fn trail(&self) -> Option<String> {
        if let Some(arn) = self.text("/responseElements/trailARN") {
            return Some(arn.to_owned());
        }
        let name = self.asked("name").or_else(|| self.asked("trailName"))?;
        match name.starts_with("arn:") {
            true => Some(name.to_owned()),
            false => Some(self.regional("cloudtrail", &format!("trail/{name}"))),
        }
    }
}

fn fact(arn: String, aspect: impl Into<Cow<'static, str>>, value: Value) -> Fact {
    Fact {
        arn,
        aspect: aspect.into(),
        value,
    }
}

fn exists(arn: String, is_there: bool) -> Fact {
    fact(arn, EXISTS, json!(is_there))
}

/// All that an event says.
pub(super) fn of(event: &Value) -> Vec<Fact> {
    // Anything in the place of an error's code is an error.
    let has_failed = event.get("errorCode").is_some_and(|code| !code.is_null());
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let account = text("recipientAccountId").or_else(|| {
        let account = event.pointer("/userIdentity/accountId");
        account.and_then(Value::as_str)
    });
    let (Some(source), Some(name), Some(account), Some(region)) = (
        text("eventSource"),
        text("eventName"),
        account,
        text("awsRegion"),
    ) else {
        return Vec::new();
    };
    if has_failed {
        return Vec::new();
    }
    let seen = Seen {
        event,
        account,
        region,
    };
    let facts = match source {
        "iam.amazonaws.com" => iam(&seen, name),
        "s3.amazonaws.com" => s3(&seen, name),
        "cloudtrail.amazonaws.com" => cloudtrail(&seen, name),
        "ec2.amazonaws.com" => ec2(&seen, name),
        "lambda.amazonaws.com" => lambda(&seen, name),
        "guardduty.amazonaws.com" => guardduty(&seen, name),
        "config.amazonaws.com" => config(&seen, name),
        "logs.amazonaws.com" => logs(&seen, name),
        _ => None,
    };
    facts.unwrap_or_default()
}

fn iam(seen: &Seen<'_>, name: &str) -> Option<Vec<Fact>> {
    let document = |pointer: &str| seen.at(pointer).and_then(parse);
    let facts = match name {
        "CreateRole" => {
            let role = seen.iam("role", seen.asked("roleName")?);
            let document = document("/requestParameters/assumeRolePolicyDocument");
            let trust = document.map(|document| fact(role.clone(), "assume_role_policy", document));
            trust.into_iter().chain([exists(role, true)]).collect()
        }
        "UpdateAssumeRolePolicy" => {
            let role = seen.iam("role", seen.asked("roleName")?);
            let document = document("/requestParameters/policyDocument")?;
            vec![fact(role, "assume_role_policy", document)]
        }
        "PutUserPolicy" | "PutRolePolicy" | "PutGroupPolicy" | "DeleteUserPolicy"
        | "DeleteRolePolicy" | "DeleteGroupPolicy" => {
            let kinds = ["user", "role", "group"].into_iter();
            let mut named =
                kinds.filter_map(|kind| Some((kind, seen.asked(&format!("{kind}Name"))?)));
            let (kind, whose) = named.next()?;
            let aspect = format!("inline_policy/{}", seen.asked("policyName")?);
            let value = match name.starts_with("Put") {
                true => document("/requestParameters/policyDocument")?,
                false => Value::Null,
            };
            vec![fact(seen.iam(kind, whose), aspect, value)]
        }
        "CreatePolicy" => {
            let arn = seen.text("/responseElements/policy/arn")?;
            let version = seen.text("/responseElements/policy/defaultVersionId");
            let version = json!(version.unwrap_or("v1"));
            vec![
                fact(arn.to_owned(), "default_version", version),
                exists(arn.to_owned(), true),
            ]
        }
        "CreatePolicyVersion" => {
            let is_default = seen.at("/requestParameters/setAsDefault")?;
            if is_default != &json!(true) && is_default != &json!("true") {
                return None;
            }
            let version = seen.text("/responseElements/policyVersion/versionId")?;
            let arn = seen.asked("policyArn")?.to_owned();
            vec![fact(arn, "default_version", json!(version))]
        }
        "SetDefaultPolicyVersion" => {
            let version = json!(seen.asked("versionId")?);
            vec![fact(
                seen.asked("policyArn")?.to_owned(),
                "default_version",
                version,
            )]
        }
        "CreateUser" | "DeleteUser" => {
            let user = seen.iam("user", seen.asked("userName")?);
            vec![exists(user, name == "CreateUser")]
        }
        "DeleteRole" => vec![exists(seen.iam("role", seen.asked("roleName")?), false)],
        "CreateGroup" | "DeleteGroup" => {
            let group = seen.iam("group", seen.asked("groupName")?);
            vec![exists(group, name == "CreateGroup")]
        }
        "DeletePolicy" => vec![exists(seen.asked("policyArn")?.to_owned(), false)],
        _ => return None,
    };
    Some(facts)
}

fn s3(seen: &Seen<'_>, name: &str) -> Option<Vec<Fact>> {
    let bucket = seen.bucket()?;
    let (aspect, value) = match name {
        "CreateBucket" => return Some(vec![exists(bucket, true)]),
        "DeleteBucket" => return Some(vec![exists(bucket, false)]),
        "PutBucketPolicy" => {
            let policy = seen.at("/requestParameters/bucketPolicy").and_then(parse)?;
            ("bucket_policy", policy)
        }
        "DeleteBucketPolicy" => ("bucket_policy", Value::Null),
        // The ACL is written in several ways, of which none is the one that requests take: it is kept as it was said.
        "PutBucketAcl" => {
            let said = seen.at("/requestParameters")?.as_object()?;
            let is_acl = |name: &str| {
                let name = name.to_ascii_lowercase();
                name.contains("acl") || name.contains("access") || name.contains("grant")
            };
            let said = said.iter().filter(|member| is_acl(member.0));
            let said: Map<_, _> = said
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            ("bucket_acl", Value::Object(said))
        }
        "PutBucketPublicAccessBlock" => {
            let said = seen.at("/requestParameters/PublicAccessBlockConfiguration")?;
            let said = said
                .as_object()?
                .iter()
                .filter(|member| member.0 != "xmlns");
            let said: Map<_, _> = said
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            ("public_access_block", Value::Object(said))
        }
        "DeleteBucketPublicAccessBlock" => ("public_access_block", Value::Null),
        "PutBucketLifecycle" | "PutBucketLifecycleConfiguration" => {
            let said = seen.at("/requestParameters/LifecycleConfiguration")?;
            ("lifecycle", said.clone())
        }
        "DeleteBucketLifecycle" | "DeleteBucketLifecycleConfiguration" => {
            ("lifecycle", Value::Null)
        }
        _ => return None,
    };
    Some(vec![fact(bucket, aspect, value)])
}

fn cloudtrail(seen: &Seen<'_>, name: &str) -> Option<Vec<Fact>> {
    let selectors = |names: &[&str]| {
        let mut said = Map::new();
        for name in names {
            let places = ["responseElements", "requestParameters"];
            let mut given = places
                .iter()
                .map(|place| seen.at(&format!("/{place}/{name}")));
            if let Some(given) = given.find_map(|given| given) {
                said.insert((*name).to_owned(), given.clone());
            }
        }
        (!said.is_empty()).then(|| as_asked(&Value::Object(said)))
    };
    let trail = seen.trail()?;
    let facts = match name {
        "CreateTrail" | "UpdateTrail" => {
            // Only the answer is whole.
            let said = as_asked(seen.at("/responseElements")?);
            let said = said.as_object()?.iter().filter(|member| {
                !member.1.is_null() && !matches!(member.0.as_str(), "RequestId" | "TrailARN")
            });
            let said = said
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let mut facts = vec![fact(trail.clone(), "trail", Value::Object(said))];
            if name == "CreateTrail" {
                let selectors =
                    json!({"EventSelectors": crate::action::shapes::every_management_event()});
                facts.push(fact(trail.clone(), "event_selectors", selectors));
                facts.push(exists(trail, true));
            }
            facts
        }
        "DeleteTrail" => vec![exists(trail, false)],
        "PutEventSelectors" => {
            let said = selectors(&["eventSelectors", "advancedEventSelectors"])?;
            vec![fact(trail, "event_selectors", said)]
        }
        "PutInsightSelectors" => {
            vec![fact(
                trail,
                "insight_selectors",
                selectors(&["insightSelectors"])?,
            )]
        }
        _ => return None,
    };
    Some(facts)
}

/// The elements of a list as EC2's newer requests write it: one, a list, or `{"item": …}` around either.
fn elements(value: &Value) -> Vec<&Value> {
    match value.get("item").unwrap_or(value) {
        Value::Array(items) => items.iter().take(1000).collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn ec2(seen: &Seen<'_>, name: &str) -> Option<Vec<Fact>> {
    let instances = |pointer: &str, is_there: bool| {
        let items = seen.at(pointer)?.as_array()?;
        let ids = items
            .iter()
            .take(1000)
            .filter_map(|item| item.get("instanceId")?.as_str());
        let arns = ids.map(|id| seen.regional("ec2", &format!("instance/{id}")));
        Some(arns.map(|arn| exists(arn, is_there)).collect())
    };
    match name {
        "CreateFlowLogs" => flow_logs(seen),
        "RunInstances" => instances("/responseElements/instancesSet/items", true),
        "TerminateInstances" => instances("/responseElements/instancesSet/items", false),
        "CreateSecurityGroup" => {
            let group = seen.text("/responseElements/groupId")?;
            let arn = seen.regional("ec2", &format!("security-group/{group}"));
            Some(vec![exists(arn, true)])
        }
        "DeleteSecurityGroup" => {
            let arn = seen.regional("ec2", &format!("security-group/{}", seen.asked("groupId")?));
            Some(vec![exists(arn, false)])
        }
        _ => None,
    }
}

/// The ids of new flow logs are in the order of the resources that they are of.
fn flow_logs(seen: &Seen<'_>) -> Option<Vec<Fact>> {
    let asked = seen
        .at("/requestParameters/CreateFlowLogsRequest")?
        .as_object()?;
    let set = "/responseElements/CreateFlowLogsResponse/flowLogIdSet";
    let ids = elements(seen.at(set)?).into_iter().filter_map(content);
    let resources = asked
        .get("ResourceId")
        .or_else(|| asked.get("ResourceIds"))?;
    let resources = elements(resources).into_iter().filter_map(content);
    let whole = asked.iter().filter(|(name, value)| {
        let is_of_all = [
            "ResourceId",
            "ResourceIds",
            "ClientToken",
            "TagSpecification",
        ];
        !is_of_all.contains(&name.as_str()) && !value.is_null()
    });
    let whole: Map<_, _> = whole
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let facts = ids.zip(resources).map(|(id, resource)| {
        let mut definition = whole.clone();
        definition.insert("ResourceId".to_owned(), json!(resource));
        let arn = seen.regional("ec2", &format!("vpc-flow-log/{id}"));
        // Nothing is said when it is deleted: then its definition is what is asked for.
        fact(arn, "flow_log", Value::Object(definition))
    });
    Some(facts.collect())
}

fn lambda(seen: &Seen<'_>, name: &str) -> Option<Vec<Fact>> {
    let function = seen.function()?;
    let fact = if is_called(name, "PutFunctionConcurrency") {
        let places = seen.at("/requestParameters/reservedConcurrentExecutions")?;
        fact(function, "concurrency", places.clone())
    } else if is_called(name, "DeleteFunctionConcurrency") {
        fact(function, "concurrency", Value::Null)
    } else if is_called(name, "CreateFunction") {
        exists(function, true)
    } else if is_called(name, "DeleteFunction") {
        exists(function, false)
    } else {
        return None;
    };
    Some(vec![fact])
}

fn guardduty(seen: &Seen<'_>, name: &str) -> Option<Vec<Fact>> {
    let id = seen
        .text("/responseElements/detectorId")
        .or_else(|| seen.asked("detectorId"))?;
    let arn = seen.regional("guardduty", &format!("detector/{id}"));
    match name {
        "CreateDetector" => {
            let said = as_asked(seen.at("/requestParameters")?);
            let kept = ["FindingPublishingFrequency", "DataSources", "Features"];
            let said = said
                .as_object()?
                .iter()
                .filter(|member| kept.contains(&member.0.as_str()));
            let said = said
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            Some(vec![
                fact(arn.clone(), "detector", Value::Object(said)),
                exists(arn, true),
            ])
        }
        "DeleteDetector" => Some(vec![exists(arn, false)]),
        _ => None,
    }
}

fn config(seen: &Seen<'_>, name: &str) -> Option<Vec<Fact>> {
    let arn = |name: &str| seen.regional("config", &format!("config-recorder/{name}"));
    match name {
        "PutConfigurationRecorder" => {
            let recorder = seen.at("/requestParameters/configurationRecorder")?;
            let arn = arn(recorder
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or("default"));
            Some(vec![
                fact(arn.clone(), "recorder", recorder.clone()),
                exists(arn, true),
            ])
        }
        "DeleteConfigurationRecorder" => Some(vec![exists(
            arn(seen.asked("configurationRecorderName")?),
            false,
        )]),
        _ => None,
    }
}

fn logs(seen: &Seen<'_>, name: &str) -> Option<Vec<Fact>> {
    let group = seen.asked("logGroupName")?;
    let arn = seen.regional("logs", &format!("log-group:{group}"));
    match name {
        // A new log group keeps its logs for ever.
        "CreateLogGroup" => Some(vec![
            fact(arn.clone(), "retention", Value::Null),
            exists(arn, true),
        ]),
        "PutRetentionPolicy" => {
            let days = seen.at("/requestParameters/retentionInDays")?;
            Some(vec![fact(arn, "retention", days.clone())])
        }
        "DeleteRetentionPolicy" => Some(vec![fact(arn, "retention", Value::Null)]),
        "DeleteLogGroup" => Some(vec![exists(arn, false)]),
        _ => None,
    }
}

/// What a resource is, by its ARN.
pub(super) fn kind(arn: &str) -> Option<&'static str> {
    let arn = Arn::of(arn)?;
    let begins = |prefix: &str| arn.rest.starts_with(prefix);
    let kind = match arn.service {
        "iam" if begins("user/") => "aws.iam.user",
        "iam" if begins("role/") => "aws.iam.role",
        "iam" if begins("group/") => "aws.iam.group",
        "iam" if begins("policy/") => "aws.iam.policy",
        "s3" => "aws.s3.bucket",
        "cloudtrail" if begins("trail/") => "aws.cloudtrail.trail",
        "ec2" if begins("instance/") => "aws.ec2.instance",
        "ec2" if begins("security-group/") => "aws.ec2.security_group",
        "ec2" if begins("vpc-flow-log/") => "aws.ec2.flow_log",
        "lambda" if begins("function:") => "aws.lambda.function",
        "guardduty" if begins("detector/") => "aws.guardduty.detector",
        "config" if begins("config-recorder/") => "aws.config.recorder",
        "logs" if begins("log-group:") => "aws.logs.group",
        _ => return None,
    };
    Some(kind)
}
