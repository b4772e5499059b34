//! What secrets look like.

/// Bytes that a secret is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    /// `A`–`Z` and `2`–`7`, `0`–`9`.
    Capitals,
    /// Letters and digits.
    Plain,
    /// Letters, digits, `_` and `-`.
    Url,
    /// Letters, digits, `_`, `-` and `.`.
    Dotted,
    /// Letters, digits, `+`, `/` and `=`.
    Base64,
    /// `0`–`9`, `a`–`f`.
    Hex,
}

impl Letters {
    pub(crate) fn has(self, byte: u8) -> bool {
        match self {
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Plain => byte.is_ascii_alphanumeric(),
            Self::Url => byte.is_ascii_alphanumeric() || b"_-".contains(&byte),
            Self::Dotted => byte.is_ascii_alphanumeric() || b"_-.".contains(&byte),
            Self::Base64 => byte.is_ascii_alphanumeric() || b"+/=".contains(&byte),
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}

/// A form: how it begins, what follows, and how long that is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) kind: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) letters: Letters,
    pub(crate) least: usize,
    pub(crate) most: usize,
}

const fn form(
    kind: &'static str,
    prefix: &'static str,
    letters: Letters,
    least: usize,
    most: usize,
) -> Form {
    Form {
        kind,
        prefix,
        letters,
        least,
        most,
    }
}

/// Forms with a prefix. Ids of keys of AWS are no secrets by themselves, but stand beside one, and name who leaked it.
pub(crate) const FORMS: [Form; 34] = [
    form("aws-access-key", "AKIA", Letters::Capitals, 16, 16),
    form("aws-session-key", "ASIA", Letters::Capitals, 16, 16),
    form("aws-bearer-token", "ABSK", Letters::Base64, 109, 269),
    form("github-token", "ghp_", Letters::Plain, 36, 255),
    form("github-token", "gho_", Letters::Plain, 36, 255),
    form("github-token", "ghu_", Letters::Plain, 36, 255),
    form("github-token", "ghs_", Letters::Plain, 36, 255),
    form("github-token", "ghr_", Letters::Plain, 36, 255),
    form("github-token", "github_pat_", Letters::Url, 50, 255),
    form("gitlab-token", "glpat-", Letters::Url, 20, 255),
    form("slack-token", "xoxb-", Letters::Url, 20, 255),
    form("slack-token", "xoxp-", Letters::Url, 20, 255),
    form("slack-token", "xoxa-", Letters::Url, 20, 255),
    form("slack-token", "xapp-", Letters::Url, 20, 255),
    form(
        "slack-webhook",
        "hooks.slack.com/services/",
        Letters::Base64,
        30,
        100,
    ),
    form("stripe-key", "sk_live_", Letters::Plain, 20, 255),
    form("stripe-key", "rk_live_", Letters::Plain, 20, 255),
    form("google-key", "AIza", Letters::Url, 35, 35),
    form("google-token", "ya29.", Letters::Url, 20, 512),
    form("openai-key", "sk-proj-", Letters::Url, 40, 255),
    form("anthropic-key", "sk-ant-", Letters::Url, 40, 255),
    form("npm-token", "npm_", Letters::Plain, 36, 36),
    form("pypi-token", "pypi-AgEI", Letters::Url, 50, 512),
    form("docker-token", "dckr_pat_", Letters::Url, 27, 64),
    form("sendgrid-key", "SG.", Letters::Dotted, 60, 80),
    form("twilio-key", "SK", Letters::Hex, 32, 32),
    form("digitalocean-token", "dop_v1_", Letters::Hex, 64, 64),
    form("databricks-token", "dapi", Letters::Hex, 32, 34),
    form("hashicorp-token", "hvs.", Letters::Url, 24, 255),
    form("shopify-token", "shpat_", Letters::Hex, 32, 32),
    form("linear-key", "lin_api_", Letters::Plain, 40, 64),
    form("telegram-token", "bot_token_", Letters::Url, 30, 64),
    form("age-key", "AGE-SECRET-KEY-1", Letters::Capitals, 58, 58),
    form("okta-token", "SSWS ", Letters::Url, 30, 64),
];

/// Names of fields whose values are secrets, without signs and in small letters.
pub(crate) const NAMES: [&str; 26] = [
    "password",
    "passwd",
    "masteruserpassword",
    "newpassword",
    "oldpassword",
    "dbpassword",
    "secret",
    "secretkey",
    "secretaccesskey",
    "secretstring",
    "secretbinary",
    "clientsecret",
    "sharedsecret",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "bearertoken",
    "apikey",
    "apisecret",
    "privatekey",
    "passphrase",
    "credentials",
    "presharedkey",
    "sessiontoken",
    "plaintext",
];
