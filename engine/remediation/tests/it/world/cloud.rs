//! What the fake AWS holds, and what its operations do to it.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tripline_remediation::plan::{Answer, Call, is_like};

/// An instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    pub interfaces: BTreeMap<String, Vec<String>>,
    pub volumes: Vec<String>,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub id: String,
    pub volume: String,
    pub action: String,
}

/// All of it. Ids are unique over accounts, so accounts are not told apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cloud {
    pub groups: BTreeMap<String, BTreeMap<String, Value>>,
    /// Status of keys by user and key.
    pub keys: BTreeMap<(String, String), String>,
    pub instances: BTreeMap<String, Instance>,
    pub snapshots: Vec<Snapshot>,
    pub flow_logs: BTreeMap<String, Value>,
    pub tokens: BTreeMap<String, String>,
    pub functions: BTreeMap<String, Option<i64>>,
    pub posts: u64,
    pub made: u64,
}

/// What a request changed, if anything.
pub type Changed = Option<String>;

fn done(value: Value, changed: impl Into<String>) -> (Answer, Changed) {
    (Answer::Done(value), Some(changed.into()))
}

fn same(value: Value) -> (Answer, Changed) {
    (Answer::Done(value), None)
}

fn refused(code: &str) -> (Answer, Changed) {
    let answer = Answer::Refused {
        code: code.to_owned(),
        message: "by the fake".to_owned(),
    };
    (answer, None)
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

/// An open rule of a security group.
pub fn rule(id: &str, group: &str, port: i64) -> Value {
    json!({
        "SecurityGroupRuleId": id, "GroupId": group, "IsEgress": false, "IpProtocol": "tcp",
        "FromPort": port, "ToPort": port, "CidrIpv4": "0.0.0.0/0"
    })
}

impl Cloud {
    fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{:017x}", self.made)
    }

    /// Without what a name or a count alone tells apart, for comparing before and after.
    pub fn normal(&self) -> Self {
        let mut normal = self.clone();
        for rules in normal.groups.values_mut() {
            let mut all: Vec<Value> = rules.values().cloned().collect();
            for rule in &mut all {
                rule["SecurityGroupRuleId"] = Value::Null;
            }
            all.sort_by_key(Value::to_string);
            let numbered = all.into_iter().enumerate();
            *rules = numbered
                .map(|(place, rule)| (place.to_string(), rule))
                .collect();
        }
        normal.tokens.clear();
        normal.made = 0;
        normal
    }

    /// What a request answers and changes.
    pub fn apply(&mut self, call: &Call, action: &str) -> (Answer, Changed) {
        let asked = Value::Object(call.parameters.clone());
        match call.operation.as_str() {
            "ec2.DescribeSecurityGroupRules" => {
                match self.groups.get(&text(&asked, "/Filters/0/Values/0")) {
                    Some(rules) => {
                        let rules: Vec<&Value> = rules.values().collect();
                        same(json!({"SecurityGroupRules": rules}))
                    }
                    None => refused("InvalidGroup.NotFound"),
                }
            }
            "ec2.RevokeSecurityGroupIngress" => {
                let (group, id) = (
                    text(&asked, "/GroupId"),
                    text(&asked, "/SecurityGroupRuleIds/0"),
                );
                let removed = self
                    .groups
                    .get_mut(&group)
                    .and_then(|rules| rules.remove(&id));
                match removed {
                    Some(_) => done(json!({"Return": true}), format!("revoke {id}")),
                    None => refused("InvalidSecurityGroupRuleId.NotFound"),
                }
            }
            "ec2.AuthorizeSecurityGroupIngress" => self.authorize(&asked),
            "ec2.DescribeSecurityGroups" => {
                let id = text(&asked, "/GroupIds/0");
                same(json!({"SecurityGroups": [{"GroupId": id, "VpcId": "vpc-1"}]}))
            }
            "iam.ListAccessKeys" => {
                let user = text(&asked, "/UserName");
                let keys = self.keys.range((user.clone(), String::new())..);
                let keys = keys.take_while(|((of, _), _)| *of == user);
                let keys: Vec<Value> = keys
                    .map(|((_, id), status)| json!({"AccessKeyId": id, "Status": status}))
                    .collect();
                same(json!({"AccessKeyMetadata": keys}))
            }
            "iam.UpdateAccessKey" => {
                let place = (text(&asked, "/UserName"), text(&asked, "/AccessKeyId"));
                let to = text(&asked, "/Status");
                match self.keys.get_mut(&place) {
                    Some(status) if *status == to => same(json!({})),
                    Some(status) => {
                        status.clone_from(&to);
                        done(json!({}), format!("{} {to}", place.1))
                    }
                    None => refused("NoSuchEntity"),
                }
            }
            "ec2.DescribeInstances" => self.describe_instance(&text(&asked, "/InstanceIds/0")),
            "ec2.ModifyNetworkInterfaceAttribute" => self.modify_interface(&asked),
            "ec2.CreateSnapshots" => self.snapshot(&asked, action),
            "ec2.DescribeSnapshots" => {
                let tag = text(&asked, "/Filters/0/Values/0");
                let found = self.snapshots.iter().filter(|one| one.action == tag);
                let found: Vec<Value> = found
                    .map(|one| json!({"SnapshotId": one.id, "VolumeId": one.volume}))
                    .collect();
                same(json!({"Snapshots": found}))
            }
            "ec2.DeleteSnapshot" => {
                let id = text(&asked, "/SnapshotId");
                let before = self.snapshots.len();
                self.snapshots.retain(|one| one.id != id);
                match before == self.snapshots.len() {
                    true => refused("InvalidSnapshot.NotFound"),
                    false => done(json!({}), format!("delete {id}")),
                }
            }
            "ec2.DescribeFlowLogs" => {
                let resource = json!({"ResourceId": text(&asked, "/Filter/0/Values/0")});
                let found = self
                    .flow_logs
                    .values()
                    .filter(|one| is_like(one, &resource));
                let found: Vec<&Value> = found.collect();
                same(json!({"FlowLogs": found}))
            }
            "ec2.CreateFlowLogs" => self.create_flow_log(&asked),
            "ec2.DeleteFlowLogs" => {
                let id = text(&asked, "/FlowLogIds/0");
                match self.flow_logs.remove(&id) {
                    Some(_) => done(json!({}), format!("delete {id}")),
                    None => refused("InvalidFlowLogId.NotFound"),
                }
            }
            "lambda.GetFunctionConcurrency" => {
                match self.functions.get(&text(&asked, "/FunctionName")) {
                    Some(Some(places)) => same(json!({"ReservedConcurrentExecutions": places})),
                    Some(None) => same(json!({})),
                    None => refused("ResourceNotFoundException"),
                }
            }
            "lambda.PutFunctionConcurrency" | "lambda.DeleteFunctionConcurrency" => {
                let name = text(&asked, "/FunctionName");
                let to = asked
                    .get("ReservedConcurrentExecutions")
                    .and_then(Value::as_i64);
                match self.functions.get_mut(&name) {
                    Some(places) if *places == to => same(json!({})),
                    Some(places) => {
                        *places = to;
                        done(json!({}), format!("{name} {to:?}"))
                    }
                    None => refused("ResourceNotFoundException"),
                }
            }
            "http.request" => {
                self.posts += 1;
                done(json!({}), "post")
            }
            "iam.DeleteUser" => refused("AccessDenied"),
            other => panic!("the fake has no {other}"),
        }
    }

    fn authorize(&mut self, asked: &Value) -> (Answer, Changed) {
        let group = text(asked, "/GroupId");
        let of = |name: &str| asked["IpPermissions"][0][name].clone();
        let mut new = json!({
            "GroupId": group, "IsEgress": false, "IpProtocol": of("IpProtocol"),
            "FromPort": of("FromPort"), "ToPort": of("ToPort"),
            "CidrIpv4": asked["IpPermissions"][0]["IpRanges"][0]["CidrIp"]
        });
        let rules = self.groups.entry(group.clone()).or_default();
        if rules.values().any(|one| is_like(one, &new)) {
            return refused("InvalidPermission.Duplicate");
        }
        let id = self.id("sgr-");
        new["SecurityGroupRuleId"] = json!(id);
        self.groups
            .entry(group)
            .or_default()
            .insert(id.clone(), new);
        done(json!({}), format!("authorize {id}"))
    }

    fn describe_instance(&self, id: &str) -> (Answer, Changed) {
        let Some(instance) = self.instances.get(id) else {
            return refused("InvalidInstanceID.NotFound");
        };
        let interfaces = instance.interfaces.iter().map(|(id, groups)| {
            let groups: Vec<Value> = groups.iter().map(|id| json!({"GroupId": id})).collect();
            json!({"NetworkInterfaceId": id, "Groups": groups})
        });
        let volumes = instance.volumes.iter();
        let volumes: Vec<Value> = volumes.map(|id| json!({"Ebs": {"VolumeId": id}})).collect();
        same(json!({"Reservations": [{"Instances": [{
            "InstanceId": id, "VpcId": "vpc-1", "State": {"Name": "running"},
            "NetworkInterfaces": interfaces.collect::<Vec<_>>(), "BlockDeviceMappings": volumes
        }]}]}))
    }

    fn modify_interface(&mut self, asked: &Value) -> (Answer, Changed) {
        let id = text(asked, "/NetworkInterfaceId");
        let to: Vec<String> = serde_json::from_value(asked["Groups"].clone()).expect("are groups");
        let mut all = self.instances.values_mut();
        match all.find_map(|instance| instance.interfaces.get_mut(&id)) {
            Some(groups) if *groups == to => same(json!({})),
            Some(groups) => {
                groups.clone_from(&to);
                done(json!({}), format!("{id} {to:?}"))
            }
            None => refused("InvalidNetworkInterfaceID.NotFound"),
        }
    }

    fn snapshot(&mut self, asked: &Value, action: &str) -> (Answer, Changed) {
        let instance = text(asked, "/InstanceSpecification/InstanceId");
        let Some(volumes) = self.instances.get(&instance).map(|one| one.volumes.clone()) else {
            return refused("InvalidInstanceID.NotFound");
        };
        let mut made = Vec::new();
        for volume in volumes {
            let id = self.id("snap-");
            made.push(json!({"SnapshotId": id, "VolumeId": volume}));
            let action = action.to_owned();
            self.snapshots.push(Snapshot { id, volume, action });
        }
        done(json!({"Snapshots": made}), format!("snapshot {instance}"))
    }

    fn create_flow_log(&mut self, asked: &Value) -> (Answer, Changed) {
        let token = text(asked, "/ClientToken");
        if let Some(id) = self.tokens.get(&token) {
            return same(json!({"FlowLogIds": [id]}));
        }
        let id = self.id("fl-");
        let mut new = asked.clone();
        new["FlowLogId"] = json!(id);
        new["ResourceId"] = asked["ResourceIds"][0].clone();
        self.flow_logs.insert(id.clone(), new);
        self.tokens.insert(token, id.clone());
        done(json!({"FlowLogIds": [id]}), format!("flow log {id}"))
    }
}
