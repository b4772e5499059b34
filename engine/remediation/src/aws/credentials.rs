//! Credentials: where they may come from, and how each source writes them down.
//!
//! Which source it is is decided here, from the environment as it was handed in; the server only reads the file or asks
//! the address. Secrets are in no fault.

use super::sign::Credentials;
use jiff::Timestamp;
use serde_json::Value;

/// A source of credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// They stand in the environment.
    Environment(Credentials),
    /// They stand in a file: its path and the profile.
    File {
        /// The file; where none is named, `.aws/credentials` in the home.
        path: String,
        /// The part of the file that is meant.
        profile: String,
    },
    /// A token in a file is given to `sts.AssumeRoleWithWebIdentity`, which takes no signature.
    WebIdentity {
        /// The file that holds the token, which changes.
        token_path: String,
        /// The role.
        role: String,
        /// The name of the session.
        session: String,
    },
    /// A service beside the container gives them.
    Container {
        /// What is asked.
        url: String,
        /// What goes into the header `authorization`: this text, or what stands in a file.
        authorization: Option<Fetched>,
    },
    /// The instance's metadata give them: a token by PUT, then the role's name, then the credentials.
    Instance {
        /// What paths are put behind, as `http://169.254.169.254`.
        endpoint: String,
    },
}

/// A text, or where it stands.
#[derive(Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The text.
    Text(String),
    /// The path of a file that holds it.
    Path(String),
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => formatter.write_str("Text(..)"),
            Self::Path(path) => formatter.debug_tuple("Path").field(path).finish(),
        }
    }
}

/// Why there are no credentials in what was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsFault {
    /// The file has no such profile.
    #[error("there is no profile {0:?}")]
    Profile(String),
    /// A profile or an answer has no such value.
    #[error("there is no {0}")]
    Lacks(&'static str),
    /// It is no JSON, or an error of the service; its code.
    #[error("the answer holds no credentials: {0}")]
    Form(String),
    /// Keys with control characters cannot be put into a header.
    #[error("{0} has characters that a key cannot have")]
    Characters(&'static str),
}

/// Credentials of a role, and what they are called in events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// The credentials.
    pub credentials: Credentials,
    /// As `arn:aws:sts::123456789012:assumed-role/NAME/SESSION`.
    pub arn: String,
    /// The role's id and the session's name, as `AROA...:SESSION`.
    pub id: String,
}

/// Sources in the order in which they are asked: the first that gives any is taken. Addresses of containers that are
/// neither safe by their scheme nor on this machine or its link are left out.
pub fn providers(environment: &dyn Fn(&str) -> Option<String>) -> Vec<Provider> {
    let get = |name: &str| {
        let value = environment(name)?.trim().to_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    let mut all = Vec::new();
    if let (Some(access_key), Some(secret_key)) =
        (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY"))
    {
        all.push(Provider::Environment(Credentials {
            access_key,
            secret_key,
            token: get("AWS_SESSION_TOKEN"),
            expires: None,
        }));
    }
    let home = get("HOME").map(|home| format!("{home}/.aws/credentials"));
    if let Some(path) = get("AWS_SHARED_CREDENTIALS_FILE").or(home) {
        let profile = get("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        all.push(Provider::File { path, profile });
    }
    if let (Some(token_path), Some(role)) =
        (get("AWS_WEB_IDENTITY_TOKEN_FILE"), get("AWS_ROLE_ARN"))
    {
        all.push(Provider::WebIdentity {
            token_path,
            role,
            session: get("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "tripline".to_owned()),
        });
    }
    let relative = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        .filter(|path| path.starts_with('/'))
        .map(|path| format!("http://169.254.170.2{path}"));
    let full = get("AWS_CONTAINER_CREDENTIALS_FULL_URI").filter(|url| is_near(url));
    if let Some(url) = relative.or(full) {
        let path = get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(Fetched::Path);
        let text = || get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Fetched::Text);
        let authorization = path.or_else(text);
        all.push(Provider::Container { url, authorization });
    }
    let is_off =
        get("AWS_EC2_METADATA_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"));
    if !is_off {
        let endpoint = get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let endpoint = endpoint.unwrap_or_else(|| "http://169.254.169.254".to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        all.push(Provider::Instance { endpoint });
    }
    all
}

/// Whether a container's address is one that cannot be listened to.
fn is_near(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(inner) => inner.split(']').next(),
        None => authority.split(':').next(),
    };
    const NEAR: [&str; 6] = [
        "localhost",
        "127.0.0.1",
        "::1",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::23",
    ];
    let is_host = host.is_some_and(|host| !host.is_empty()) && !authority.contains('@');
    is_host
        && (scheme == "https"
            || (scheme == "http" && host.is_some_and(|host| NEAR.contains(&host))))
}

/// Reads a profile of a file of credentials.
pub fn from_profile(text: &str, profile: &str) -> Result<Credentials, CredentialsFault> {
    let mut is_found = false;
    let mut is_inside = false;
    let mut values = [const { None }; 3];
    const NAMES: [&str; 3] = [
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
    ];
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = trimmed.strip_prefix('[') {
            let name = section.split(']').next().unwrap_or_default().trim();
            let name = name.strip_prefix("profile ").unwrap_or(name).trim();
            is_inside = name == profile;
            is_found |= is_inside;
            continue;
        }
        // A line that is moved in belongs to the setting above it.
        let is_moved_in = line.starts_with([' ', '\t']);
        let Some((name, value)) = trimmed
            .split_once('=')
            .filter(|_| is_inside && !is_moved_in)
        else {
            continue;
        };
        let place = NAMES
            .iter()
            .position(|wanted| name.trim().eq_ignore_ascii_case(wanted));
        if let Some(slot) = place.and_then(|place| values.get_mut(place)) {
            *slot = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
    }
    if !is_found {
        return Err(CredentialsFault::Profile(profile.to_owned()));
    }
    let [access_key, secret_key, token] = values;
    checked(Credentials {
        access_key: access_key.ok_or(CredentialsFault::Lacks("aws_access_key_id"))?,
        secret_key: secret_key.ok_or(CredentialsFault::Lacks("aws_secret_access_key"))?,
        token,
        expires: None,
    })
}

/// Reads what the metadata of an instance or a container's service answer.
pub fn from_metadata(body: &[u8]) -> Result<Credentials, CredentialsFault> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|_| CredentialsFault::Form("it is no JSON".to_owned()))?;
    // A container's service says no code.
    if let Some(code) = value
        .get("Code")
        .and_then(Value::as_str)
        .filter(|code| *code != "Success")
    {
        let code = code.chars().filter(|one| !one.is_control()).take(128);
        return Err(CredentialsFault::Form(code.collect()));
    }
    read(&value, "Token")
}

/// Reads what `sts.AssumeRole` or `sts.AssumeRoleWithWebIdentity` answered.
pub fn from_assumed_role(answer: &Value) -> Result<Assumed, CredentialsFault> {
    let credentials = answer
        .get("Credentials")
        .ok_or(CredentialsFault::Lacks("Credentials"))?;
    let credentials = read(credentials, "SessionToken")?;
    let user = answer
        .get("AssumedRoleUser")
        .ok_or(CredentialsFault::Lacks("AssumedRoleUser"))?;
    Ok(Assumed {
        credentials,
        arn: text(user, "Arn")?,
        id: text(user, "AssumedRoleId")?,
    })
}

fn read(value: &Value, token: &'static str) -> Result<Credentials, CredentialsFault> {
    let expires: Timestamp = text(value, "Expiration")?
        .parse()
        .map_err(|_| CredentialsFault::Lacks("Expiration"))?;
    checked(Credentials {
        access_key: text(value, "AccessKeyId")?,
        secret_key: text(value, "SecretAccessKey")?,
        token: Some(text(value, token)?),
        expires: Some(expires),
    })
}

fn text(value: &Value, name: &'static str) -> Result<String, CredentialsFault> {
    let text = value
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or(CredentialsFault::Lacks(name))
}

fn checked(credentials: Credentials) -> Result<Credentials, CredentialsFault> {
    let is_bad = |text: &str| text.bytes().any(|byte| !(b'!'..=b'~').contains(&byte));
    let check = |name, text: &str| match is_bad(text) {
        true => Err(CredentialsFault::Characters(name)),
        false => Ok(()),
    };
    check("the access key", &credentials.access_key)?;
    check("the secret key", &credentials.secret_key)?;
    check(
        "the token",
        credentials.token.as_deref().unwrap_or_default(),
    )?;
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FILE: &str = "# mine\n[default]\naws_access_key_id = AKIA1\naws_secret_access_key=s=1\n\n\
                        [profile other]\nAWS_ACCESS_KEY_ID = AKIA2\n aws_secret_access_key = no\n\
                        aws_secret_access_key = s2\naws_session_token = t2\ns3 =\n  aws_access_key_id = AKIA9\n[half]\n\
                        aws_access_key_id = AKIA3\n";

    #[test]
    fn a_profile_is_read() {
        let found = from_profile(FILE, "default").unwrap();
        assert_eq!(
            (found.access_key.as_str(), found.secret_key.as_str()),
            ("AKIA1", "s=1")
        );
        assert_eq!(found.token, None);
        let found = from_profile(FILE, "other").unwrap();
        assert_eq!(
            (found.access_key.as_str(), found.secret_key.as_str()),
            ("AKIA2", "s2")
        );
        assert_eq!(found.token.as_deref(), Some("t2"));
        let fault = |profile: &str| from_profile(FILE, profile).unwrap_err().to_string();
        assert_eq!(fault("half"), "there is no aws_secret_access_key");
        assert_eq!(fault("none"), "there is no profile \"none\"");
        let file = "[default]\naws_access_key_id = A B\naws_secret_access_key = s";
        let fault = from_profile(file, "default").unwrap_err();
        assert_eq!(fault, CredentialsFault::Characters("the access key"));
    }

    #[test]
    fn metadata_are_read() {
        let body = json!({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIA1", "SecretAccessKey": "s",
                          "Token": "t", "Expiration": "2026-01-01T00:00:00Z"});
        let found = from_metadata(body.to_string().as_bytes()).unwrap();
        assert_eq!(found.expires.unwrap().as_second(), 1_767_225_600);
        assert_eq!(found.token.as_deref(), Some("t"));
        let fault = |body: &str| from_metadata(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            fault(r#"{"Code":"AssumeRoleUnauthorizedAccess"}"#),
            "the answer holds no credentials: AssumeRoleUnauthorizedAccess"
        );
        assert_eq!(
            fault("<html>"),
            "the answer holds no credentials: it is no JSON"
        );
        assert_eq!(fault("{}"), "there is no Expiration");
    }

    #[test]
    fn an_assumed_role_is_read() {
        let answer = json!({
            "Credentials": {"AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "t",
                            "Expiration": "2026-01-01T00:00:00Z"},
            "AssumedRoleUser": {"AssumedRoleId": "AROA1:rem-1", "Arn": "arn:aws:sts::1:assumed-role/r/rem-1"}});
        let found = from_assumed_role(&answer).unwrap();
        assert_eq!(found.id, "AROA1:rem-1");
        assert_eq!(
            from_assumed_role(&json!({})).unwrap_err().to_string(),
            "there is no Credentials"
        );
    }

    fn names(pairs: &[(&str, &str)]) -> Vec<Provider> {
        providers(&|name| {
            let mut found = pairs.iter().filter(|(one, _)| *one == name);
            found.next().map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn sources_come_in_their_order() {
        let all = names(&[
            ("AWS_ACCESS_KEY_ID", "AKIA1"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("HOME", "/home/a"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/a"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret"),
        ]);
        assert!(matches!(
            all.as_slice(),
            [
                Provider::Environment(_),
                Provider::File { .. },
                Provider::WebIdentity { .. },
                Provider::Container { .. },
                Provider::Instance { .. }
            ]
        ));
        assert!(!format!("{all:?}").contains("secret"));
        let only = names(&[
            ("AWS_EC2_METADATA_DISABLED", "TRUE"),
            ("AWS_ACCESS_KEY_ID", "AKIA1"),
        ]);
        assert_eq!(only, []);
    }

    #[test]
    fn a_container_is_only_asked_nearby() {
        for url in [
            "https://any.example/x",
            "http://127.0.0.1:80/x",
            "http://169.254.170.23/v1",
            "http://[fd00:ec2::23]/v1",
        ] {
            assert!(is_near(url), "{url}");
        }
        for url in [
            "http://any.example/",
            "http://127.0.0.1@evil.example/",
            "ftp://127.0.0.1/",
            "x",
            "https:///",
            "http://127.0.0.1.evil.example/",
        ] {
            assert!(!is_near(url), "{url}");
        }
    }
}
