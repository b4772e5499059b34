//! Requests to AWS as they stand on the wire: which operation one is, who sent it, what it asks, and refusals of all protocols.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::TcpStream;

/// A request, whole.
#[derive(Debug)]
pub(super) struct Request {
    /// As `ec2.CreateSnapshots`.
    pub(super) operation: String,
    pub(super) access_key: String,
    service: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Reads one; none when whoever connected went away before it was whole.
    pub(super) fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 * 1024];
        let end = loop {
            if let Some(end) = find(&bytes, b"\r\n\r\n") {
                break end;
            }
            match stream.read(&mut chunk)? {
                0 => return Ok(None),
                read => bytes.extend(&chunk[..read]),
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (first.next(), first.next());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let header = |name: &str| {
            let found = headers.iter().find(|one| one.0 == name);
            found.map(|one| one.1.clone()).unwrap_or_default()
        };
        assert_eq!(
            header("transfer-encoding"),
            "",
            "the length of a body is told"
        );
        let length: usize = header("content-length").parse().unwrap_or(0);
        let mut body = bytes[end + 4..].to_vec();
        while body.len() < length {
            match stream.read(&mut chunk)? {
                0 => return Ok(None),
                read => body.extend(&chunk[..read]),
            }
        }
        // AWS4-HMAC-SHA256 Credential=KEY/20260102/us-east-1/iam/aws4_request, …
        let authorization = header("authorization");
        let scope = authorization.split_once("Credential=");
        let scope: Vec<&str> = scope.unwrap_or_default().1.split('/').collect();
        let service = scope.get(3).copied().unwrap_or_default().to_owned();
        let aimed = header("x-amz-target");
        let mut request = Self {
            operation: String::new(),
            access_key: scope.first().copied().unwrap_or_default().to_owned(),
            service,
            method: method.unwrap_or_default().to_owned(),
            target: target.unwrap_or_default().to_owned(),
            headers,
            body,
        };
        let name = match aimed.rsplit_once('.') {
            Some((_, name)) => name.to_owned(),
            None => match request.fields().get("Action") {
                Some(name) => name.clone(),
                None => request.name_by_path(),
            },
        };
        // What is about the buckets of an account is signed as what is about one.
        let of = match request.target.starts_with("/v20180820/") {
            true => "s3control",
            false => &request.service,
        };
        request.operation = format!("{of}.{name}");
        Ok(Some(request))
    }

    /// The name of an operation that only its path tells: those of S3, Lambda and GuardDuty that are tried.
    fn name_by_path(&self) -> String {
        let verb = match self.method.as_str() {
            "GET" | "HEAD" => "Get",
            "DELETE" => "Delete",
            _ => "Put",
        };
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let query = query.trim_end_matches('=');
        let noun = match (self.service.as_str(), query) {
            ("s3", "policy") => "BucketPolicy",
            ("s3", "acl") => "BucketAcl",
            ("s3", "publicAccessBlock") => "PublicAccessBlock",
            ("s3", _) if path.ends_with("/publicAccessBlock") => "PublicAccessBlock",
            ("lambda", _) if path.ends_with("/concurrency") => "FunctionConcurrency",
            ("lambda", _) if path.ends_with("/url") => match verb {
                "Put" => return "CreateFunctionUrlConfig".to_owned(),
                _ => "FunctionUrlConfig",
            },
            ("lambda", _) if path.ends_with("/policy") && verb == "Put" => {
                return "AddPermission".to_owned();
            }
            ("lambda", _) if path.contains("/policy/") => return "RemovePermission".to_owned(),
            ("guardduty", _) if verb == "Put" => {
                let is_one = path.trim_matches('/').contains('/');
                return if is_one {
                    "UpdateDetector"
                } else {
                    "CreateDetector"
                }
                .to_owned();
            }
            ("guardduty", _) => "Detector",
            _ => return format!("{verb} {}", self.target),
        };
        format!("{verb}{noun}")
    }

    pub(super) fn is_read(&self) -> bool {
        let name = self.operation.split_once('.').unwrap_or_default().1;
        ["Describe", "Get", "List", "AssumeRole"]
            .iter()
            .any(|one| name.starts_with(one))
    }

    /// What tells one question from another.
    pub(super) fn key(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        format!("{} {} {body}", self.operation, self.target)
    }

    /// As it is sent on.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            if name != "connection" {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str("connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    /// The fields of a form.
    pub(super) fn fields(&self) -> BTreeMap<String, String> {
        let text = String::from_utf8_lossy(&self.body);
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect()
    }

    /// What it asks, as events tell it.
    pub(super) fn asked(&self) -> Value {
        let body = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        let path = self.target.split('?').next().unwrap_or_default();
        match self.service.as_str() {
            "s3" => json!({ "bucketName": path.trim_matches('/'), "bucketPolicy": body }),
            "lambda" => json!({ "functionName": path.split('/').nth(3) }),
            _ if body.is_object() => small(&body),
            _ => {
                let mut asked = json!({});
                for (name, value) in self.fields() {
                    if name != "Action" && name != "Version" {
                        put(&mut asked, &name, value);
                    }
                }
                asked
            }
        }
    }

    /// A refusal of it.
    pub(super) fn refused(&self, status: u16, code: &str) -> Vec<u8> {
        let error = format!("<Code>{code}</Code><Message>not now</Message>");
        let body = match self.service.as_str() {
            "ec2" => format!(
                "<Response><Errors><Error>{error}</Error></Errors><RequestID>proxy</RequestID></Response>"
            ),
            "s3" => format!("<Error>{error}</Error>"),
            "iam" | "sts" | "rds" => {
                format!(
                    "<ErrorResponse><Error>{error}</Error><RequestId>proxy</RequestId></ErrorResponse>"
                )
            }
            _ => json!({ "__type": code, "message": "not now" }).to_string(),
        };
        let length = body.len();
        format!("HTTP/1.1 {status} Refused\r\nx-amzn-errortype: {code}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
            .into_bytes()
    }
}

/// `IpPermissions.1.FromPort` is `{"ipPermissions": {"items": [{"fromPort": …}]}}`.
fn put(to: &mut Value, name: &str, value: String) {
    let mut place = to;
    for part in name.split('.') {
        place = match part.parse::<usize>() {
            Ok(number) if number > 0 => {
                let items = &mut place["items"];
                if !items.is_array() {
                    *items = json!([]);
                }
                let list = items.as_array_mut().expect("it is a list");
                while list.len() < number {
                    list.push(json!({}));
                }
                &mut list[number - 1]
            }
            _ => &mut place[first_small(part)],
        };
    }
    *place = value.into();
}

/// Members' names as events have them.
fn small(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let named = members.iter();
            let named = named.map(|(name, value)| (first_small(name), small(value)));
            Value::Object(named.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(small).collect(),
        other => other.clone(),
    }
}

fn first_small(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// What events call an operation.
pub(super) fn event_name(service: &str, name: &str) -> String {
    match (service, name) {
        ("s3", "PutPublicAccessBlock") => "PutBucketPublicAccessBlock".to_owned(),
        ("s3", "DeletePublicAccessBlock") => "DeleteBucketPublicAccessBlock".to_owned(),
        ("lambda", name) => format!("{name}20171031"),
        (_, name) => name.to_owned(),
    }
}

/// What events tell of an answer, where an action reads it.
pub(super) fn answered(operation: &str, body: &str) -> Value {
    if operation != "ec2.AuthorizeSecurityGroupIngress" {
        return Value::Null;
    }
    let text = |name: &str| between(body, name);
    let port = |name: &str| between(body, name).and_then(|port| port.parse::<i64>().ok());
    json!({ "securityGroupRuleSet": { "items": [{
        "groupId": text("groupId"),
        "securityGroupRuleId": text("securityGroupRuleId"),
        "isEgress": false,
        "ipProtocol": text("ipProtocol"),
        "fromPort": port("fromPort"),
        "toPort": port("toPort"),
        "cidrIpv4": text("cidrIpv4"),
    }] } })
}

/// The service's number for a request.
pub(super) fn request_id(answer: &[u8], body: &str) -> String {
    let head = String::from_utf8_lossy(&answer[..answer.len().min(4096)]).into_owned();
    let names = ["x-amzn-requestid", "x-amz-request-id"];
    let named = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| names.contains(&name.to_ascii_lowercase().as_str()));
    let named = named.map(|(_, value)| value.trim().to_owned());
    named
        .or_else(|| between(body, "RequestId"))
        .or_else(|| between(body, "requestId"))
        .unwrap_or_default()
}

/// The text of the first element of a name.
pub(super) fn between(text: &str, name: &str) -> Option<String> {
    let rest = text.split_once(&format!("<{name}>"))?.1;
    Some(rest.split_once("</")?.0.to_owned())
}

/// The status of an answer.
pub(super) fn status_of(answer: &[u8]) -> u16 {
    let head = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
    let status = head.split(' ').nth(1).map(str::parse);
    status.and_then(Result::ok).unwrap_or(0)
}

/// The body of an answer.
pub(super) fn body_of(answer: &[u8]) -> &[u8] {
    find(answer, b"\r\n\r\n").map_or(&[], |end| &answer[end + 4..])
}

/// An answer after which the connection ends, and which says so.
pub(super) fn closing(answer: &[u8]) -> Vec<u8> {
    let Some(end) = find(answer, b"\r\n\r\n") else {
        return answer.to_vec();
    };
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines: Vec<&str> = head.split("\r\n").collect();
    lines.retain(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let mut all = format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n")).into_bytes();
    all.extend(&answer[end + 4..]);
    all
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(Option::unwrap_or_default);
                let digits = String::from_utf8_lossy(&digits).into_owned();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
