//! A service that logs in to its servers: certificates of both sides, keys and tokens, and what is said when one is wrong.

use super::nats::{on_nats, refusal};
use super::service::Service;
use super::{Folder, event};
use crate::launcher::{NatsServer, Place};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair as NKey;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// Somebody who signs certificates, with their files in a folder.
pub(crate) struct Authority<'f> {
    folder: &'f Folder,
    issuer: Issuer<'static, KeyPair>,
    pub(crate) file: String,
}

impl<'f> Authority<'f> {
    pub(crate) fn new(folder: &'f Folder, name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let own = parameters.self_signed(&key).expect("a certificate");
        Self {
            folder,
            file: folder.file(&format!("{name}.pem"), own.pem()),
            issuer: Issuer::new(parameters, key),
        }
    }

    /// The files of a certificate for a host, or of somebody, and its key.
    pub(crate) fn sign(&self, name: &str, host: &str, is_expired: bool) -> (String, String) {
        let mut parameters = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if is_expired {
            parameters.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = parameters.signed_by(&key, &self.issuer);
        (
            self.folder
                .file(&format!("{name}.pem"), signed.expect("signs").pem()),
            self.folder
                .file(&format!("{name}.key"), key.serialize_pem()),
        )
    }
}

fn tls((certificate, key): &(String, String), more: &str) -> String {
    format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\"{more} }}\n")
}

/// An account whose only user is the holder of a key.
fn account_of(user: &NKey) -> String {
    format!(
        "accounts {{ A: {{ jetstream: enabled, users: [ {{ nkey: {} }} ] }} }}\n",
        user.public_key()
    )
}

fn seed(key: &NKey) -> String {
    key.seed().expect("it has a seed")
}

/// Takes, evaluates and keeps what is published, also after the server was killed.
fn works(folder: &Folder, server: &mut NatsServer) {
    let service = Service::start(folder);
    service.publish(&[event(1, "Stop", 1), event(2, "Look", 1)]);
    service.wait_for(2);
    server.kill();
    server.run();
    service.wait_until("events are taken again", || {
        service.post("/v1/events", event(3, "Stop", 1)).0 == 200
    });
    service.wait_for(3);
    assert_eq!(super::killed::findings(&service).len(), 2);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn both_sides_show_certificates_and_the_service_has_a_key() {
    let place = Place::new("encrypted");
    let files = Folder::new("encrypted-files");
    let authority = Authority::new(&files, "authority");
    let user = NKey::new_user();
    let verifying = format!(", ca_file: \"{}\", verify: true", authority.file);
    let own = authority.sign("server", "127.0.0.1", false);
    let more = format!("{}{}", tls(&own, &verifying), account_of(&user));
    let mut server = NatsServer::start(place.path(), &more);
    let (certificate, key) = authority.sign("service", "service.example", false);
    let settings = |authority: &str, certificate: &str, key: &str, nkey: &str| {
        format!(
            "tls_required = true\ntls_ca_file = \"{authority}\"\ntls_cert_file = \"{certificate}\"\ntls_key_file = \"{key}\"\nnkey_file = \"{nkey}\"\n"
        )
    };
    let nkey = files.file("user.nk", format!("{}\n", seed(&user)));
    let good = settings(&authority.file, &certificate, &key, &nkey);
    works(&on_nats("encrypted", &[&server], &good), &mut server);

    let other = Authority::new(&files, "other");
    let (strange, strange_key) = other.sign("stranger", "stranger.example", false);
    let (expired, expired_key) = authority.sign("late", "late.example", true);
    let wrong_nkey = files.file("other.nk", seed(&NKey::new_user()));
    let no_nkey = files.file("no.nk", "hush-hush\n");
    for (more, expected) in [
        (
            settings(&other.file, &certificate, &key, &nkey),
            "`tls_ca_file` of [nats] must hold the certificate of whoever signed it",
        ),
        (
            format!("tls_required = true\nnkey_file = \"{nkey}\"\n"),
            "give the certificate of whoever signed it as `tls_ca_file` of [nats]",
        ),
        (
            format!(
                "tls_ca_file = \"{}\"\nnkey_file = \"{nkey}\"\n",
                authority.file
            ),
            "give `tls_cert_file` and `tls_key_file` of [nats]",
        ),
        (
            settings(&authority.file, &strange, &strange_key, &nkey),
            "`tls_cert_file` of [nats] must be signed by whoever the server believes",
        ),
        (
            settings(&authority.file, &expired, &expired_key, &nkey),
            "be for clients, and be valid now",
        ),
        (
            settings(&authority.file, &certificate, &strange_key, &nkey),
            "stranger.key: is not the key of",
        ),
        (
            settings(&authority.file, &certificate, &certificate, &nkey),
            "service.pem: holds no private key",
        ),
        (
            settings(&nkey, &certificate, &key, &nkey),
            "`tls_ca_file` of [nats]: ",
        ),
        (
            settings(&authority.file, &certificate, &key, &wrong_nkey),
            "the server does not accept the NKey; look at `nkey_file` of [nats]",
        ),
        (
            settings(&authority.file, &certificate, &key, &no_nkey),
            "`nkey_file` of [nats] holds no seed of a user",
        ),
    ] {
        let told = refusal(&on_nats("encrypted-wrong", &[&server], &more));
        assert!(told.contains(expected), "{more}\n{told}");
        assert!(
            !told.contains("hush-hush") && !told.contains("PRIVATE"),
            "{told}"
        );
        assert!(!told.contains(&seed(&user)), "{told}");
    }
}

#[test]
fn certificates_of_servers_are_looked_at() {
    let place = Place::new("certificates");
    let files = Folder::new("certificates-files");
    let authority = Authority::new(&files, "authority");
    let believed = format!(
        "tls_required = true\ntls_ca_file = \"{}\"\n",
        authority.file
    );
    for (name, host, is_expired, expected) in [
        (
            "expired",
            "127.0.0.1",
            true,
            "give the server a certificate that is valid now",
        ),
        (
            "elsewhere",
            "nats.example",
            false,
            "give an address in `urls` of [nats] that the server's certificate names",
        ),
    ] {
        let own = authority.sign(name, host, is_expired);
        let server = NatsServer::start(&place.path().join(name), &tls(&own, ""));
        let told = refusal(&on_nats("certificates-wrong", &[&server], &believed));
        assert!(told.contains(expected), "{told}");
    }
    let plain = NatsServer::start(&place.path().join("plain"), "");
    let told = refusal(&on_nats("certificates-plain", &[&plain], &believed));
    assert!(told.contains("the server does not do TLS there"), "{told}");
    let own = authority.sign("first", "127.0.0.1", false);
    let more = tls(&own, ", handshake_first: \"500ms\"");
    let mut server = NatsServer::start(&place.path().join("first"), &more);
    let first = format!("{believed}tls_first = true\n");
    works(
        &on_nats("certificates-first", &[&server], &first),
        &mut server,
    );
}

/// A token of the servers' own kind, signed.
fn token(
    subject: &NKey,
    signer: &NKey,
    name: &str,
    expires: u64,
    nats: serde_json::Value,
) -> String {
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let mut claims = json!({
        "jti": name, "iat": now - 10, "iss": signer.public_key(), "name": name, "sub": subject.public_key(), "nats": nats,
    });
    if expires > 0 {
        claims["exp"] = json!(expires);
    }
    let head = encode(json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let text = format!("{head}.{}", encode(claims));
    let signature = signer.sign(text.as_bytes()).expect("signs");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn tokens_of_an_operator_are_a_login() {
    let place = Place::new("tokens");
    let files = Folder::new("tokens-files");
    let (operator, system) = (NKey::new_operator(), NKey::new_account());
    let (account, user) = (NKey::new_account(), NKey::new_user());
    let own = token(
        &operator,
        &operator,
        "O",
        0,
        json!({ "type": "operator", "version": 2 }),
    );
    let of_account = |key: &NKey, name: &str, disk: i64| {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": disk, "disk_storage": disk, "streams": disk, "consumer": disk,
        });
        token(
            key,
            &operator,
            name,
            0,
            json!({ "limits": limits, "default_permissions": {}, "type": "account", "version": 2 }),
        )
    };
    let more = format!(
        "operator: \"{own}\"\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload {{ {system}: \"{}\", {key}: \"{}\" }}\n",
        of_account(&system, "SYS", 0),
        of_account(&account, "A", -1),
        system = system.public_key(),
        key = account.public_key(),
    );
    let mut server = NatsServer::start(place.path(), &more);
    let credentials = |name: &str, expires: u64| {
        let claims = json!({ "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2 });
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            token(&user, &account, "service", expires, claims),
            seed(&user)
        );
        format!("credentials_file = \"{}\"\n", files.file(name, text))
    };
    let good = credentials("service.creds", 0);
    works(&on_nats("tokens", &[&server], &good), &mut server);
    for (more, expected) in [
        (
            credentials("late.creds", 1_600_000_000),
            "look at `credentials_file` of [nats]",
        ),
        (
            String::new(),
            "the server wants to know who we are; give `credentials_file`",
        ),
    ] {
        let told = refusal(&on_nats("tokens-wrong", &[&server], &more));
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains(&seed(&user)), "{told}");
    }
}
