//! Where requests go.
//!
//! Buckets stand in the path and not in the host, so that a certificate fits names with dots in them.

use super::operation::Service;

/// A part of AWS that knows nothing of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// `aws`.
    Standard,
    /// `aws-cn`.
    China,
    /// `aws-us-gov`.
    UsGov,
}

impl Partition {
    /// The partition of a region; no region is the standard one's.
    pub fn of(region: &str) -> Self {
        match region {
            _ if region.starts_with("cn-") => Self::China,
            _ if region.starts_with("us-gov-") => Self::UsGov,
            _ => Self::Standard,
        }
    }

    /// Its name in ARNs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "aws",
            Self::China => "aws-cn",
            Self::UsGov => "aws-us-gov",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::China => "amazonaws.com.cn",
            Self::Standard | Self::UsGov => "amazonaws.com",
        }
    }
}

/// Where a request goes, and for which region it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https`, or `http` for one that was given so.
    pub scheme: &'static str,
    /// The value of the header `host`: a name, and a port where it is not the usual one.
    pub host: String,
    /// The region in the signature.
    pub region: String,
}

/// Why it is not known where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    /// No region is called so.
    #[error("{0:?} is no region of a known partition")]
    Region(String),
    /// An account has 12 digits.
    #[error("{0:?} is no account")]
    Account(String),
    /// Not `http://HOST` or `https://HOST`.
    #[error("{0:?} is no endpoint: it is http:// or https://, a host, and perhaps a port")]
    Override(String),
}

/// Where requests to a service go. What is given instead, as `http://127.0.0.1:5000`, is taken for all services.
pub fn endpoint(
    service: &Service,
    region: &str,
    account: &str,
    instead: Option<&str>,
) -> Result<Endpoint, EndpointFault> {
    check_region(region)?;
    let partition = Partition::of(region);
    let suffix = partition.suffix();
    let (host, region) = match (service.name, partition) {
        ("iam", Partition::Standard) => (format!("iam.{suffix}"), "us-east-1"),
        ("iam", Partition::China) => (format!("iam.cn-north-1.{suffix}"), "cn-north-1"),
        ("iam", Partition::UsGov) => (format!("iam.us-gov.{suffix}"), "us-gov-west-1"),
        ("organizations", partition) => {
            let region = match partition {
                Partition::Standard => "us-east-1",
                Partition::China => "cn-northwest-1",
                Partition::UsGov => "us-gov-west-1",
            };
            (format!("organizations.{region}.{suffix}"), region)
        }
        (_, _) if region.is_empty() => return Err(EndpointFault::Region(String::new())),
        ("s3control", _) => {
            if instead.is_none() && !is_account(account) {
                return Err(EndpointFault::Account(account.to_owned()));
            }
            (format!("{account}.s3-control.{region}.{suffix}"), region)
        }
        (name, _) => (format!("{name}.{region}.{suffix}"), region),
    };
    let region = region.to_owned();
    let Some(instead) = instead else {
        return Ok(Endpoint {
            scheme: "https",
            host,
            region,
        });
    };
    let fault = || EndpointFault::Override(instead.to_owned());
    let (scheme, host) = instead.split_once("://").ok_or_else(fault)?;
    let host = host.strip_suffix('/').unwrap_or(host);
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err(fault());
    }
    Ok(Endpoint {
        scheme: match scheme {
            "http" => "http",
            "https" => "https",
            _ => return Err(fault()),
        },
        host: host.to_ascii_lowercase(),
        region,
    })
}

/// Whether a text is an account: 12 digits.
pub(super) fn is_account(account: &str) -> bool {
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

// A region becomes a part of a host: one that comes from an event must not lead elsewhere.
fn check_region(region: &str) -> Result<(), EndpointFault> {
    let mut parts = region.rsplit('-');
    let ends_in_number = parts
        .next()
        .is_some_and(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
    let words: Vec<_> = parts.collect();
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_known =
        ends_in_number && words.len() >= 2 && words.iter().all(is_word) && region.len() <= 32;
    let is_isolated = region.contains("-iso") || region.starts_with("eusc-");
    if region.is_empty() || (is_known && !is_isolated) {
        return Ok(());
    }
    Err(EndpointFault::Region(region.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::operation::operation;

    #[track_caller]
    fn check(name: &str, region: &str, instead: Option<&str>, wanted: &str) {
        let service = &operation(name).unwrap().service;
        let found = match endpoint(service, region, "123456789012", instead) {
            Ok(found) => format!("{}://{} {}", found.scheme, found.host, found.region),
            Err(fault) => fault.to_string(),
        };
        assert_eq!(found, wanted);
    }

    #[test]
    fn every_service_has_its_host() {
        check(
            "ec2.StopInstances",
            "eu-central-1",
            None,
            "https://ec2.eu-central-1.amazonaws.com eu-central-1",
        );
        check(
            "ec2.StopInstances",
            "cn-north-1",
            None,
            "https://ec2.cn-north-1.amazonaws.com.cn cn-north-1",
        );
        check(
            "iam.GetUser",
            "eu-central-1",
            None,
            "https://iam.amazonaws.com us-east-1",
        );
        check(
            "iam.GetUser",
            "",
            None,
            "https://iam.amazonaws.com us-east-1",
        );
        check(
            "iam.GetUser",
            "us-gov-east-1",
            None,
            "https://iam.us-gov.amazonaws.com us-gov-west-1",
        );
        check(
            "sts.AssumeRole",
            "eu-west-1",
            None,
            "https://sts.eu-west-1.amazonaws.com eu-west-1",
        );
        check(
            "s3control.GetPublicAccessBlock",
            "eu-west-1",
            None,
            "https://123456789012.s3-control.eu-west-1.amazonaws.com eu-west-1",
        );
        check(
            "iam.GetUser",
            "eu-west-1",
            Some("http://127.0.0.1:5000/"),
            "http://127.0.0.1:5000 us-east-1",
        );
    }

    #[test]
    fn nothing_leads_elsewhere() {
        for region in [
            "evil.example/",
            "eu-west-1.evil",
            "EU-WEST-1",
            "eu--1",
            "a",
            "us-iso-east-1",
            "eu-west-1 ",
        ] {
            let wanted = format!("{region:?} is no region of a known partition");
            check("ec2.StopInstances", region, None, &wanted);
        }
        check(
            "ec2.StopInstances",
            "",
            None,
            "\"\" is no region of a known partition",
        );
        for instead in [
            "ftp://a",
            "http://",
            "127.0.0.1",
            "http://a/b",
            "http://user@a",
            "https://a?b",
        ] {
            let wanted = format!(
                "{instead:?} is no endpoint: it is http:// or https://, a host, and perhaps a port"
            );
            check("ec2.StopInstances", "eu-west-1", Some(instead), &wanted);
        }
        let service = &operation("s3control.GetPublicAccessBlock").unwrap().service;
        assert!(endpoint(service, "eu-west-1", "evil.example/", None).is_err());
    }
}
