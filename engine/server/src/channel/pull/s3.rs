//! Files under a prefix of S3, or of what speaks as it does: lists of names, and the bytes of one.
//!
//! Two kinds of requests and their signature, by the client that sinks have. Credentials are read anew for each round, so that whoever
//! renews them needs not tell. Rejected: `object_store`, which has wasmtime and the client of NATS built anew for features of
//! crates that they share, and brings a dozen packages for these two requests.

use super::super::auth::{encode, hex, is_here, percent_decoded, signing};
use super::{Found, PullFault};
use crate::causes::with_causes;
use crate::channel::file::read_bounded;
use crate::outgoing::{Proxy, agent};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Response;

/// How long a request may take, a whole file at most.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);

/// The longest list of names, of which there are a thousand in one.
const LIST_BYTES_MAX: u64 = 8 << 20;

/// Lists of one round.
const LISTS_MAX: usize = 2_000;

/// The longest answer that says no.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;

const SERVICE: &str = "s3";

/// What is wrong with where it is said to be.
pub(super) fn check(bucket: &str, region: &str, endpoint: Option<&str>) -> Result<(), String> {
    let is_word = |text: &str, most: usize| {
        (1..=most).contains(&text.len())
            && text
                .bytes()
                .all(|one| one.is_ascii_alphanumeric() || matches!(one, b'-' | b'.' | b'_'))
    };
    if bucket.len() < 3 || !is_word(bucket, 255) {
        return Err(format!(
            "pull.bucket: \"{}\" is no bucket",
            bucket.escape_debug()
        ));
    }
    if !is_word(region, 64) {
        return Err(format!(
            "pull.region: \"{}\" is no region",
            region.escape_debug()
        ));
    }
    match endpoint {
        Some(url) if !url.starts_with("https://") && !url.starts_with("http://") => {
            Err("pull.endpoint begins with https:// or http://".to_owned())
        }
        _ => Ok(()),
    }
}

/// A prefix of a bucket.
pub(crate) struct S3 {
    agent: Agent,
    /// What a key is put behind.
    base: String,
    host: String,
    /// The path of the bucket.
    path: String,
    prefix: String,
    region: String,
    credentials_file: Option<PathBuf>,
}

struct Credentials {
    id: String,
    secret: String,
    session: Option<String>,
}

impl S3 {
    pub(super) fn new(
        (bucket, prefix, region): (&str, &str, &str),
        endpoint: Option<&str>,
        credentials_file: Option<PathBuf>,
    ) -> Self {
        let (base, path) = match endpoint {
            Some(url) => (url.trim_end_matches('/').to_owned(), format!("/{bucket}/")),
            // A name with dots is none that a certificate of AWS has.
            None if bucket.contains('.') => (
                format!("https://s3.{region}.amazonaws.com"),
                format!("/{bucket}/"),
            ),
            None => (
                format!("https://{bucket}.s3.{region}.amazonaws.com"),
                "/".to_owned(),
            ),
        };
        let proxy = match is_here(&base) {
            true => Proxy::Never,
            false => Proxy::AsTheEnvironmentSays,
        };
        let (_, host) = base.split_once("://").unwrap_or(("", ""));
        Self {
            agent: agent(ANSWERS_WITHIN, proxy),
            host: host.to_owned(),
            base,
            path,
            prefix: prefix.to_owned(),
            region: region.to_owned(),
            credentials_file,
        }
    }

    pub(super) fn list(&self, see: &mut dyn FnMut(Vec<Found>) -> bool) -> Result<bool, PullFault> {
        let mut next: Option<String> = None;
        for _ in 0..LISTS_MAX {
            let mut query = vec![
                ("encoding-type", "url".to_owned()),
                ("list-type", "2".to_owned()),
                ("prefix", self.prefix.clone()),
            ];
            if let Some(token) = &next {
                query.insert(0, ("continuation-token", token.clone()));
            }
            let mut answer = self.get(&self.path, &query, None)?;
            let body = answer.body_mut().with_config().limit(LIST_BYTES_MAX);
            let text = body.read_to_string().map_err(|fault| later(&fault))?;
            if !text.contains("<ListBucketResult") {
                return Err(PullFault::Later("what answers is no S3".to_owned()));
            }
            let is_last = element(&text, "IsTruncated") != Some("true");
            next = element(&text, "NextContinuationToken").map(unescaped);
            if !see(names(&text)) {
                return Ok(false);
            }
            if is_last || next.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn read(&self, found: &Found, most: u64) -> Result<Vec<u8>, PullFault> {
        let mut path = self.path.clone();
        encode(found.name.as_bytes(), "/", &mut path);
        let mut answer = self.get(&path, &[], Some(&found.state))?;
        let body = answer.body_mut().with_config().limit(most + 1);
        let bytes = body.read_to_vec().map_err(|fault| later(&fault))?;
        match bytes.len() as u64 == found.size {
            true => Ok(bytes),
            false => Err(PullFault::Changed),
        }
    }

    fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
        state: Option<&str>,
    ) -> Result<Response<ureq::Body>, PullFault> {
        let credentials = self.credentials().map_err(PullFault::Later)?;
        let mut pairs = Vec::new();
        for (key, value) in query {
            let mut pair = format!("{key}=");
            encode(value.as_bytes(), "", &mut pair);
            pairs.push(pair);
        }
        let query = pairs.join("&");
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let nothing = hex(&Sha256::digest(b""));
        let mut headers = vec![
            ("host", self.host.clone()),
            ("x-amz-content-sha256", nothing.clone()),
            ("x-amz-date", time.clone()),
        ];
        if let Some(session) = credentials.session {
            headers.push(("x-amz-security-token", session));
        }
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let lines: Vec<String> = headers
            .iter()
            .map(|(name, text)| format!("{name}:{text}\n"))
            .collect();
        let signed = names.join(";");
        let request = format!(
            "GET\n{path}\n{query}\n{}\n{signed}\n{nothing}",
            lines.concat()
        );
        let (scope, signature) = signing(
            (&credentials.secret, &self.region, SERVICE),
            &time,
            &request,
        );
        let proof = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            credentials.id
        );
        let url = match query.is_empty() {
            true => format!("{}{path}", self.base),
            false => format!("{}{path}?{query}", self.base),
        };
        let mut request = self.agent.get(url).header("authorization", proof);
        for (name, text) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, text);
        }
        if let Some(state) = state {
            request = request.header("if-match", state);
        }
        let answer = request.call().map_err(|fault| later(&fault))?;
        judge(answer)
    }

    fn credentials(&self) -> Result<Credentials, String> {
        let Some(path) = &self.credentials_file else {
            let read = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
            let (id, secret) = (read("AWS_ACCESS_KEY_ID"), read("AWS_SECRET_ACCESS_KEY"));
            return match (id, secret) {
                (Some(id), Some(secret)) => Ok(Credentials {
                    id,
                    secret,
                    session: read("AWS_SESSION_TOKEN"),
                }),
                _ => Err(
                    "no credentials: give pull.credentials_file, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
                        .to_owned(),
                ),
            };
        };
        let told = |words: String| format!("{}: {words}", path.display());
        let text = read_bounded(path, 64 * 1024).map_err(told)?;
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        let lines = [lines.next(), lines.next(), lines.next()]
            .map(|line| line.filter(|line| !line.is_empty()));
        let [Some(id), Some(secret), session] = lines else {
            let words = "the access key id and the secret access key stand on its first two lines";
            return Err(told(words.to_owned()));
        };
        Ok(Credentials {
            id,
            secret,
            session,
        })
    }
}

fn later(fault: &ureq::Error) -> PullFault {
    PullFault::Later(with_causes(fault))
}

/// An answer, unless it says no.
fn judge(mut answer: Response<ureq::Body>) -> Result<Response<ureq::Body>, PullFault> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = answer.body_mut().with_config().limit(REFUSAL_BYTES_MAX);
    let text = body.read_to_string().unwrap_or_default();
    let code = element(&text, "Code").unwrap_or("");
    let is_code = code.len() <= 64 && code.bytes().all(|one| one.is_ascii_alphanumeric());
    match (status.as_u16(), code) {
        // Another one is there by now, or none.
        (412, _) | (404, "NoSuchKey") => Err(PullFault::Changed),
        (status, code) if is_code && !code.is_empty() => {
            Err(PullFault::Later(format!("S3 answers {status} {code}")))
        }
        (status, _) => Err(PullFault::Later(format!("S3 answers {status}"))),
    }
}

/// The text of the first element of a name.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// The files of a list.
fn names(text: &str) -> Vec<Found> {
    let is_encoded = element(text, "EncodingType") == Some("url");
    let name = |key: &str| {
        let key = unescaped(key);
        match is_encoded {
            true => String::from_utf8(percent_decoded(&key.replace('+', " "))?).ok(),
            false => Some(key),
        }
    };
    let parts = text.split("<Contents>").skip(1);
    parts
        .filter_map(|part| {
            Some(Found {
                name: name(element(part, "Key")?)?,
                size: element(part, "Size")?.parse().ok()?,
                state: unescaped(element(part, "ETag")?),
            })
        })
        .collect()
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&apos;", "'")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::{Found, names};

    #[test]
    fn lists_are_read_in_both_encodings() {
        let one = |key: &str| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>x</LastModified><ETag>&quot;e1&quot;</ETag><Size>7</Size></Contents>"
            )
        };
        let found = |name: &str| Found {
            name: name.to_owned(),
            size: 7,
            state: "\"e1\"".to_owned(),
        };
        let list = format!(
            "<ListBucketResult><EncodingType>url</EncodingType>{}{}</ListBucketResult>",
            one("a/b%20c.json"),
            one("a+d%2B.json")
        );
        assert_eq!(names(&list), [found("a/b c.json"), found("a d+.json")]);
        let list = format!(
            "<ListBucketResult>{}</ListBucketResult>",
            one("a&amp;b+c.json")
        );
        assert_eq!(names(&list), [found("a&b+c.json")]);
        assert!(names("<ListBucketResult><Contents><Key>").is_empty());
    }
}
