//! What `tripline remediate demo` acts on: the part of EC2 that knows the rules of one security group.
//!
//! It listens on this machine alone, takes requests that are signed with the demo's key and refuses all others, and does what
//! `DescribeSecurityGroupRules`, `AuthorizeSecurityGroupIngress` and `RevokeSecurityGroupIngress` do, in EC2's words.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tripline_remediation::aws::Request;
use tripline_remediation::aws::endpoint;
use tripline_remediation::aws::operation;
use tripline_remediation::aws::{Credentials, sign};

/// A rule of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) protocol: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) cidr: String,
    pub(super) description: String,
}

struct Inner {
    group: String,
    rules: Mutex<Vec<Rule>>,
    made: Mutex<u32>,
    credentials: Credentials,
    region: String,
    is_gone: AtomicBool,
}

/// See the module.
pub(super) struct Target {
    inner: Arc<Inner>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

/// No request is longer.
const REQUEST_BYTES_MAX: u64 = 1 << 20;

impl Target {
    /// Starts it, with a group and its rules.
    pub(super) fn start(
        group: &str,
        region: &str,
        rules: Vec<Rule>,
        credentials: Credentials,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            group: group.to_owned(),
            rules: Mutex::new(rules),
            made: Mutex::new(0),
            credentials,
            region: region.to_owned(),
            is_gone: AtomicBool::new(false),
        });
        let serving = inner.clone();
        let thread = std::thread::Builder::new()
            .name("target".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    if serving.is_gone.load(Ordering::Relaxed) {
                        return;
                    }
                    // Whoever goes away while it is answered has no use for the answer.
                    let _ = stream.and_then(|stream| serving.serve(stream));
                }
            })?;
        Ok(Self {
            inner,
            address,
            thread: Some(thread),
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The rules as they are.
    pub(super) fn rules(&self) -> Vec<Rule> {
        self.inner.rules().clone()
    }

    /// Adds a rule, as somebody does who is not us.
    pub(super) fn open(&self, rule: Rule) {
        self.inner.rules().push(rule);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.inner.is_gone.store(true, Ordering::Relaxed);
        // So that it wakes up and sees it.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

type Fields = BTreeMap<String, String>;

/// A refusal in EC2's words.
struct Refused(u16, &'static str, String);

impl Inner {
    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut reader = BufReader::new(stream.try_clone()?.take(REQUEST_BYTES_MAX));
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (method, path) = (
            words.next().unwrap_or_default().to_owned(),
            words.next().unwrap_or_default().to_owned(),
        );
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length
            .and_then(|(_, value)| value.parse::<usize>().ok())
            .unwrap_or(0);
        let mut body = vec![0; length.min(REQUEST_BYTES_MAX as usize)];
        reader.read_exact(&mut body)?;
        let (status, text) = match self.answer(&method, &path, &headers, &body) {
            Ok(text) => (200, text),
            Err(Refused(status, code, words)) => (
                status,
                format!(
                    "<Response><Errors><Error><Code>{code}</Code><Message>{}</Message></Error></Errors><RequestID>demo</RequestID></Response>",
                    escaped(&words)
                ),
            ),
        };
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status} {}\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            if status == 200 { "OK" } else { "Refused" },
            text.len()
        )?;
        stream.flush()
    }

    fn answer(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<String, Refused> {
        self.verify(method, path, headers, body)?;
        let fields = fields(body);
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        match field("Action").as_str() {
            "DescribeSecurityGroupRules" => Ok(self.described()),
            "RevokeSecurityGroupIngress" => self.revoke(&fields),
            "AuthorizeSecurityGroupIngress" => self.authorize(&fields),
            other => Err(Refused(
                400,
                "InvalidAction",
                format!("The action {other} is not valid for this target."),
            )),
        }
    }

    fn verify(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<(), Refused> {
        let refused = || {
            Refused(
                401,
                "AuthFailure",
                "The request is not signed as it must be.".to_owned(),
            )
        };
        let header = |name: &str| {
            headers
                .iter()
                .find(|(one, _)| one == name)
                .map(|(_, value)| value.as_str())
        };
        let given = header("authorization").ok_or_else(refused)?;
        let signed = given
            .split("SignedHeaders=")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
            .ok_or_else(refused)?;
        let time = header("x-amz-date").ok_or_else(refused)?;
        let time = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", time)
            .and_then(|parsed| parsed.to_datetime())
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
            .map_err(|_| refused())?;
        let service = &operation("ec2.DescribeSecurityGroupRules")
            .ok_or_else(refused)?
            .service;
        let host = format!("http://{}", header("host").unwrap_or_default());
        let place = endpoint(service, &self.region, "", Some(&host)).map_err(|_| refused())?;
        let mut request = Request {
            method: if method == "POST" { "POST" } else { "GET" },
            path: path.to_owned(),
            query: Vec::new(),
            headers: headers
                .iter()
                .filter(|(name, _)| signed.split(';').any(|one| one == name))
                .cloned()
                .collect(),
            body: body.to_vec(),
        };
        sign(
            &mut request,
            service,
            &place,
            &self.credentials,
            time.timestamp(),
        );
        match request.header("authorization") == Some(given) {
            true => Ok(()),
            false => Err(refused()),
        }
    }

    fn described(&self) -> String {
        let mut text = String::from(
            "<DescribeSecurityGroupRulesResponse><requestId>demo</requestId><securityGroupRuleSet>",
        );
        for rule in self.rules().iter() {
            text.push_str(&item(&self.group, rule));
        }
        text.push_str("</securityGroupRuleSet></DescribeSecurityGroupRulesResponse>");
        text
    }

    fn revoke(&self, fields: &Fields) -> Result<String, Refused> {
        let wanted: Vec<&String> = (1..)
            .map_while(|number| fields.get(&format!("SecurityGroupRuleId.{number}")))
            .collect();
        let mut rules = self.rules();
        for id in &wanted {
            if !rules.iter().any(|rule| &&rule.id == id) {
                return Err(Refused(
                    400,
                    "InvalidSecurityGroupRuleId.NotFound",
                    format!("The security group rule ID '{id}' does not exist"),
                ));
            }
        }
        rules.retain(|rule| !wanted.contains(&&rule.id));
        Ok("<RevokeSecurityGroupIngressResponse><requestId>demo</requestId><return>true</return></RevokeSecurityGroupIngressResponse>".to_owned())
    }

    fn authorize(&self, fields: &Fields) -> Result<String, Refused> {
        let field = |name: &str| {
            fields
                .get(&format!("IpPermissions.1.{name}"))
                .cloned()
                .unwrap_or_default()
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        *made += 1;
        let rule = Rule {
            id: format!("sgr-0{:016x}", *made),
            protocol: field("IpProtocol"),
            from: field("FromPort"),
            to: field("ToPort"),
            cidr: field("IpRanges.1.CidrIp"),
            description: field("IpRanges.1.Description"),
        };
        let mut rules = self.rules();
        let is_same = |one: &&Rule| {
            (&one.protocol, &one.from, &one.to, &one.cidr)
                == (&rule.protocol, &rule.from, &rule.to, &rule.cidr)
        };
        if rules.iter().find(is_same).is_some() {
            return Err(Refused(
                400,
                "InvalidPermission.Duplicate",
                "the specified rule already exists".to_owned(),
            ));
        }
        let text = format!(
            "<AuthorizeSecurityGroupIngressResponse><requestId>demo</requestId><return>true</return><securityGroupRuleSet>{}</securityGroupRuleSet></AuthorizeSecurityGroupIngressResponse>",
            item(&self.group, &rule)
        );
        rules.push(rule);
        Ok(text)
    }
}

fn item(group: &str, rule: &Rule) -> String {
    format!(
        "<item><securityGroupRuleId>{}</securityGroupRuleId><groupId>{}</groupId><groupOwnerId>123456789012</groupOwnerId><isEgress>false</isEgress>\
         <ipProtocol>{}</ipProtocol><fromPort>{}</fromPort><toPort>{}</toPort><cidrIpv4>{}</cidrIpv4><description>{}</description></item>",
        escaped(&rule.id),
        escaped(group),
        escaped(&rule.protocol),
        escaped(&rule.from),
        escaped(&rule.to),
        escaped(&rule.cidr),
        escaped(&rule.description),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The fields of a form.
fn fields(body: &[u8]) -> Fields {
    let text = String::from_utf8_lossy(body);
    let decoded = |text: &str| {
        let bytes = crate::channel::auth::percent_decoded(&text.replace('+', " "))?;
        String::from_utf8(bytes).ok()
    };
    text.split('&')
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((decoded(name)?, decoded(value)?))
        })
        .collect()
}
