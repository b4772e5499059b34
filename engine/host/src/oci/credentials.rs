//! Who asks a registry: from the environment, or from what `docker login` wrote.
//!
//! A name and a password are for one registry, which is named with them: an operator's file may name several, and none
//! of them learns what is another's. Programs that docker would ask for passwords are not run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub user: String,
    /// Not shown.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login of {:?}", self.user)
    }
}

impl Login {
    /// The header that says it.
    pub(super) fn header(&self) -> String {
        let both = format!("{}:{}", self.user, self.password);
        format!("Basic {}", STANDARD.encode(both))
    }
}

/// Where logins are looked for.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Of the environment: for this registry.
    pub given: Option<(String, Login)>,
    /// The text of docker's `config.json`.
    pub docker: Option<String>,
}

/// What docker writes, as far as it is looked at.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Docker {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    auth: Option<String>,
}

impl Credentials {
    /// The login for a registry, or why there is none.
    pub(super) fn of(&self, registry: &str) -> Result<Login, String> {
        if let Some((_, login)) = self.given.as_ref().filter(|(one, _)| one == registry) {
            return Ok(login.clone());
        }
        let say = "set TRIPLINE_REGISTRY, TRIPLINE_REGISTRY_USER and TRIPLINE_REGISTRY_PASSWORD";
        let Some(text) = &self.docker else {
            return Err(format!("`docker login {registry}`, or {say}"));
        };
        let docker: Docker = serde_json::from_str(text)
            .map_err(|_| format!("docker's config.json is not what docker writes; {say}"))?;
        let hub = "https://index.docker.io/v1/";
        let names = [registry, &format!("https://{registry}")].map(str::to_owned);
        let entry = names.iter().find_map(|name| docker.auths.get(name));
        let entry = match registry {
            "docker.io" => entry.or_else(|| docker.auths.get(hub)),
            _ => entry,
        };
        if let Some(auth) = entry.and_then(|entry| entry.auth.as_deref()) {
            let login = STANDARD.decode(auth).ok();
            let login = login.and_then(|bytes| String::from_utf8(bytes).ok());
            let login = login.as_deref().and_then(|text| text.split_once(':'));
            return match login {
                Some((user, password)) => Ok(Login {
                    user: user.to_owned(),
                    password: password.to_owned(),
                }),
                None => Err(format!(
                    "what docker's config.json says of it is no login; {say}"
                )),
            };
        }
        match docker.cred_helpers.contains_key(registry) || docker.creds_store.is_some() {
            true => Err(format!(
                "docker keeps the password in a program of its own, which is not run; {say}"
            )),
            false => Err(format!("`docker login {registry}`, or {say}")),
        }
    }
}
