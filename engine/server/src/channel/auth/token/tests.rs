//! Tokens that count and tokens that do not, of keys made here; the one with RSA was made by another program.

use super::keys::parse;
use super::{TokenSettings, Tokens};
use crate::channel::auth::Denied;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tripline_core::rule::kind::EventTime;

const RSA_N: &str = "rY_57z3aF2lGA8M67qQiX-yBYocS4Geg8G8naPfxrVUkMozVnGbzWaGQ_h_nokWoRQoQPDDCfEKTIYMto4cfcDQJW4uUyar1i9TJinA8-\
    aTYr0XUB7K81UhPkoINVnJ0sqvUf0VG208DoIx5FFzZ9erYsXK2F-\
    ppXypGwM6SHG5CqaMG1GIMiTm_uDEKd4g_brp1z_Jw_TN2NWOmHrnnZQCl7D3YH2xwFKmdDC-\
    sEpIbIrHnTCWrwa0yqXf109BCe4eQAkikKa2bSBbg5TwxG_yon3J2KBGC2dKnN7IyHEnLh2jSJbxQ40LpiTeqRGrRxivXx39uIMALsIQ-\
    Dumldw";
const RSA_TOKEN: &str = "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInIifQ.eyJpc3MiOiAiaHR0cHM6Ly9pc3N1ZXIiLCAiYXVkIjogInRyaXBsaW5lIiwgInN1YiI6ICJ\
    hcHAiLCAiZXhwIjogNDEwMjQ0NDgwMH0.S4GilP8QRoc695Ubu0g-\
    DY0ACr9XzNHogACCFJb4fv4t7jOA_WoF9Gt7l4TZwPME1s6NuNoun0Dtt2vWK8KWbOtwFsFj98dU8yuHZe7gWAUboqJ27mcNZ3ZBJ9OMWk1Z8X\
    vfVXzhvumk8POyb-frUj3EYD1OxS4H_-2A1r0NNtA_nz1FKqI1s4E37c7RRLMEKV9UWn-0nSAoZC-Xs_VFWyQuYOvvwTOp_C9U5kbUf3W-\
    8EriGeZo4G1X7DF-6T-r9lwmNSr13cbEEMm7qAF6J2D4kp3qP8e20iSX0Mmg4aM7v_8x_9xVNfnUZzuBr9IuQioAPv66jB1ag2sh5hzzfg";

/// The second at which tests ask.
const NOW: i64 = 1_767_225_600;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Keys that sign.
struct Signers {
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    random: SystemRandom,
}

impl Signers {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let ec = ec.expect("a key");
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random);
        let ed = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
        Self {
            ec: ec.expect("a key"),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).expect("a key"),
            random,
        }
    }

    fn set(&self) -> String {
        let (x, y) = self.ec.public_key().as_ref()[1..].split_at(32);
        json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "e", "x": encode(x), "y": encode(y), "use": "sig"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "d", "x": encode(self.ed.public_key()), "alg": "EdDSA"},
            {"kty": "RSA", "kid": "r", "n": RSA_N, "e": "AQAB"},
            {"kty": "oct", "kid": "h", "k": "c2VjcmV0"},
            {"kty": "EC", "crv": "P-256", "kid": "enc", "x": encode(x), "y": encode(y), "use": "enc"},
        ]})
        .to_string()
    }

    fn sign(&self, head: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            encode(head.to_string()),
            encode(claims.to_string())
        );
        let signature = match head["alg"].as_str() {
            Some("ES256") => {
                let signed = self.ec.sign(&self.random, signed.as_bytes());
                signed.expect("signed").as_ref().to_vec()
            }
            _ => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", encode(signature))
    }
}

fn tokens(set: &str, claims: &[(&str, &str)]) -> Tokens {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("jwks.json"), set).expect("written");
    let claims: BTreeMap<String, String> = claims
        .iter()
        .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
        .collect();
    let settings = TokenSettings {
        issuer: "https://issuer",
        audience: "tripline",
        jwks_file: Some(Path::new("jwks.json")),
        jwks_url: None,
        claims: &claims,
        leeway: None,
    };
    Tokens::new(&settings, folder.path()).expect("sound")
}

fn claims(more: &Value) -> Value {
    let mut all =
        json!({"iss": "https://issuer", "aud": "tripline", "sub": "app", "exp": NOW + 300});
    for (key, value) in more.as_object().expect("an object") {
        all[key] = value.clone();
    }
    all
}

fn ask(tokens: &Tokens, text: &str) -> Result<Option<String>, Denied> {
    tokens.verify(text, EventTime::from_micros(NOW * 1_000_000))
}

#[test]
fn tokens_of_every_way_that_counts() {
    let signers = Signers::new();
    let tokens = tokens(&signers.set(), &[]);
    let app = Ok(Some("app".to_owned()));
    for head in [
        json!({"alg": "ES256", "kid": "e"}),
        json!({"alg": "EdDSA", "kid": "d"}),
        json!({"alg": "ES256"}),
    ] {
        let token = signers.sign(&head, &claims(&json!({})));
        assert_eq!(ask(&tokens, &token), app, "{head}");
    }
    assert_eq!(ask(&tokens, RSA_TOKEN), app);
    let many = claims(&json!({"aud": ["other", "tripline"], "nbf": NOW - 5, "sub": null}));
    let token = signers.sign(&json!({"alg": "EdDSA", "kid": "d"}), &many);
    assert_eq!(ask(&tokens, &token), Ok(None));
}

#[test]
fn tokens_that_do_not_count() {
    let (signers, strangers) = (Signers::new(), Signers::new());
    let tokens = tokens(&signers.set(), &[("scope", "push"), ("admin", "true")]);
    let sound = json!({"scope": ["push", "read"], "admin": true});
    let head = json!({"alg": "ES256", "kid": "e"});
    let with = |key: &str, value: Value| {
        let mut more = sound.clone();
        more[key] = value;
        signers.sign(&head, &claims(&more))
    };
    let good = signers.sign(&head, &claims(&sound));
    assert!(ask(&tokens, &good).is_ok());
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (_, payload) = signed.split_once('.').expect("three parts");
    let none = encode(r#"{"alg":"none"}"#);
    let head_of = |head: Value| signers.sign(&head, &claims(&sound));
    let cases = [
        ("nothing", String::new(), Denied::Token),
        ("a key", "tl_0123_x".to_owned(), Denied::Token),
        ("not signed", format!("{none}.{payload}."), Denied::Token),
        (
            "not signed, with a signature",
            format!("{none}.{payload}.{signature}"),
            Denied::Token,
        ),
        (
            "a shared secret",
            head_of(json!({"alg": "HS256", "kid": "h"})),
            Denied::Token,
        ),
        (
            "a key of another kind",
            head_of(json!({"alg": "EdDSA", "kid": "e"})),
            Denied::Token,
        ),
        (
            "an unknown key",
            head_of(json!({"alg": "ES256", "kid": "x"})),
            Denied::Token,
        ),
        (
            "a key that encrypts",
            head_of(json!({"alg": "ES256", "kid": "enc"})),
            Denied::Token,
        ),
        (
            "critical",
            head_of(json!({"alg": "ES256", "kid": "e", "crit": ["x"]})),
            Denied::Token,
        ),
        (
            "a stranger",
            strangers.sign(&head, &claims(&sound)),
            Denied::Token,
        ),
        (
            "changed",
            format!("{}.{signature}", signed.replace(payload, &encode("{}"))),
            Denied::Token,
        ),
        (
            "another issuer",
            with("iss", "https://evil".into()),
            Denied::Claims,
        ),
        (
            "another audience",
            with("aud", "other".into()),
            Denied::Claims,
        ),
        (
            "a claim that is not there",
            with("scope", Value::Null),
            Denied::Claims,
        ),
        (
            "a claim that is another",
            with("scope", "pushy".into()),
            Denied::Claims,
        ),
        ("over", with("exp", (NOW - 60).into()), Denied::Time),
        ("too early", with("nbf", (NOW + 61).into()), Denied::Time),
        ("made later", with("iat", (NOW + 61).into()), Denied::Time),
        ("without an end", with("exp", Value::Null), Denied::Token),
    ];
    for (what, text, why) in cases {
        assert_eq!(ask(&tokens, &text), Err(why), "{what}");
    }
    assert!(
        ask(&tokens, &with("exp", (NOW - 59).into())).is_ok(),
        "clocks differ"
    );
}

#[test]
fn sets_without_a_key_that_counts_are_mistakes() {
    for (set, expected) in [
        ("x", "no JSON Web Key Set"),
        (r#"{"keys":[]}"#, "no key in it"),
        (r#"{"keys":[{"kty":"oct","k":"AA"}]}"#, "no key in it"),
        (
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#,
            "no key in it",
        ),
    ] {
        let told = parse(set.as_bytes()).expect_err("a mistake");
        assert!(told.contains(expected), "{told}");
    }
}
