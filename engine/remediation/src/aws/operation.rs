//! What is known of the operations that remediation uses: their names, their wire, and what they need.
//!
//! Only what stands in a table can be asked of AWS at all: there is no way to send an operation by a name alone.

use super::table::{Kind, Shape, read};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// How requests and answers of a service are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A form, answered in XML: `iam`, `sts`, `rds`.
    Query,
    /// The same with other lists and names: `ec2`.
    Ec2,
    /// A JSON document and a header that names the operation.
    Json,
    /// Paths and JSON: `lambda`, `guardduty`.
    RestJson,
    /// Paths and XML: `s3`, `s3control`.
    RestXml,
}

/// A service of AWS.
#[derive(Debug)]
pub struct Service {
    /// Its name here, as `s3control`.
    pub name: &'static str,
    /// How it speaks.
    pub protocol: Protocol,
    /// The version of its API.
    pub version: &'static str,
    /// Its name in signatures, as `s3`.
    pub signing_name: &'static str,
    pub(super) json_version: &'static str,
    pub(super) target: &'static str,
    pub(super) shapes: BTreeMap<&'static str, Shape>,
}

/// How to read on where an answer was cut.
#[derive(Debug)]
pub(super) struct Pages {
    /// The parameter that takes the mark.
    pub(super) input: &'static str,
    /// The member of the answer that gives it.
    pub(super) output: &'static str,
    /// The lists of the answer that go on.
    pub(super) lists: Vec<&'static str>,
}

/// One operation of a service.
#[derive(Debug)]
pub struct Operation {
    /// Service and operation, as `ec2.RevokeSecurityGroupIngress`.
    pub name: String,
    /// Its service.
    pub service: Arc<Service>,
    /// The method of its requests.
    pub method: &'static str,
    /// The path of its requests; parameters stand in braces, and a fixed query may follow.
    pub path: &'static str,
    /// Whether it changes nothing.
    pub is_read: bool,
    /// Whether its requests carry no signature.
    pub is_unsigned: bool,
    /// What IAM calls it, as `ec2:RevokeSecurityGroupIngress`.
    pub iam_action: &'static str,
    /// Other actions of IAM that it needs, as `iam:PassRole`.
    pub iam_also: Vec<&'static str>,
    /// What it acts on: templates of ARNs with parameters in braces, or `*`.
    pub arns: Vec<&'static str>,
    /// The parameters that it cannot do without.
    pub required: Vec<&'static str>,
    /// The parameter by which it knows a repeated request again.
    pub token: Option<&'static str>,
    pub(super) input: Option<Kind>,
    pub(super) output: Option<Kind>,
    pub(super) wrapper: Option<&'static str>,
    pub(super) has_checksum: bool,
    pub(super) pages: Option<Pages>,
}

impl Operation {
    /// The name without the service, as `RevokeSecurityGroupIngress`.
    pub fn short_name(&self) -> &str {
        self.name.split_once('.').map_or("", |(_, short)| short)
    }
}

static TABLES: [&str; 16] = [
    include_str!("tables/cloudtrail.txt"),
    include_str!("tables/config.txt"),
    include_str!("tables/ec2.txt"),
    include_str!("tables/events.txt"),
    include_str!("tables/guardduty.txt"),
    include_str!("tables/iam.txt"),
    include_str!("tables/kms.txt"),
    include_str!("tables/lambda.txt"),
    include_str!("tables/logs.txt"),
    include_str!("tables/organizations.txt"),
    include_str!("tables/rds.txt"),
    include_str!("tables/s3.txt"),
    include_str!("tables/s3control.txt"),
    include_str!("tables/secretsmanager.txt"),
    include_str!("tables/ssm.txt"),
    include_str!("tables/sts.txt"),
];

// A table that cannot be read leaves its service out, and a test says so.
static OPERATIONS: LazyLock<BTreeMap<String, Operation>> = LazyLock::new(|| {
    let read = TABLES.iter().filter_map(|text| read(text).ok()).flatten();
    read.map(|operation| (operation.name.clone(), operation))
        .collect()
});

/// What is known of an operation, by a name as `ec2.RevokeSecurityGroupIngress`.
pub fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.get(name)
}

/// All operations, by their names.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.values()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_read() {
        for text in TABLES {
            if let Err(fault) = read(text) {
                panic!("{fault}: {}", text.lines().nth(1).unwrap_or_default());
            }
        }
        assert_eq!(operations().count(), 183);
    }

    #[test]
    fn an_operation_says_what_it_needs() {
        let found = operation("iam.UpdateAccessKey").unwrap();
        assert_eq!(found.required, ["AccessKeyId", "Status"]);
        assert_eq!(found.iam_action, "iam:UpdateAccessKey");
        assert!(!found.is_read);
        assert_eq!(found.service.protocol, Protocol::Query);
        let found = operation("guardduty.CreateDetector").unwrap();
        assert_eq!(found.token, Some("ClientToken"));
        let found = operation("ec2.CreateFlowLogs").unwrap();
        assert_eq!(found.token, Some("ClientToken"));
        assert!(operation("iam.DeleteUser").is_none());
        assert!(operation("").is_none());
    }

    #[test]
    fn reads_are_those_that_are_named_so() {
        for operation in operations() {
            let is_named_so = ["Get", "List", "Describe"]
                .iter()
                .any(|start| operation.short_name().starts_with(start));
            assert_eq!(operation.is_read, is_named_so, "{}", operation.name);
        }
    }

    #[test]
    fn every_placeholder_is_a_parameter() {
        for operation in operations() {
            for template in operation.arns.iter().chain([&operation.path]) {
                for part in template.split('{').skip(1) {
                    let name = part.split('}').next().unwrap();
                    if ["partition", "region", "account"].contains(&name) {
                        continue;
                    }
                    let first = name.split('.').next().unwrap();
                    let member = operation.input.and_then(|kind| {
                        operation
                            .service
                            .members(kind)
                            .iter()
                            .find(|member| member.name == first)
                    });
                    assert!(member.is_some(), "{}: {name}", operation.name);
                }
            }
        }
    }
}
