//! Who made a component: minisign signatures, the digest, and what a key may sign.
//!
//! Nothing of a component is parsed before its bytes are known to be the signer's: `verify` takes bytes alone, and what
//! the manifest then says is held against the key by `Verified::admit`. Pure: files, the clock and the record of
//! versions are the caller's. `decisions/minisign-signatures.md` says why minisign.

use crate::manifest::{Capability, PluginName, Version};
use sha2::{Digest as _, Sha256};
use std::fmt;
use thiserror::Error;

/// Longest signature file: four lines, of which the trusted comment is the longest.
pub const SIGNATURE_BYTES_MAX: usize = 8 * 1024;
/// Longest text of a key.
const KEY_BYTES_MAX: usize = 128;

/// The SHA-256 of a component's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// `sha256:` and 64 hexadecimal digits in small letters.
    pub fn new(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?.as_bytes();
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A minisign public key.
#[derive(Clone)]
pub struct PublicKey {
    text: String,
    key: minisign_verify::PublicKey,
}

impl PublicKey {
    /// The key of that text: the second line of a `.pub` file.
    pub fn new(text: &str) -> Option<Self> {
        if text.len() > KEY_BYTES_MAX {
            return None;
        }
        let key = minisign_verify::PublicKey::from_base64(text).ok()?;
        Some(Self {
            text: text.to_owned(),
            key,
        })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Which plugins a key may sign: `acme/*` or `acme/geo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// This one.
    Exact(PluginName),
    /// All of one maker; with the slash.
    Of(String),
}

impl NamePattern {
    /// The pattern of that text.
    pub fn new(text: &str) -> Option<Self> {
        match text.strip_suffix('*') {
            // Any name tells whether the maker is well formed.
            Some(maker) if maker.ends_with('/') => {
                PluginName::new(&format!("{maker}a")).map(|_| Self::Of(maker.to_owned()))
            }
            Some(_) => None,
            None => PluginName::new(text).map(Self::Exact),
        }
    }

    /// Whether the plugin is one of them.
    pub fn matches(&self, name: &PluginName) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Of(maker) => name.as_str().starts_with(maker.as_str()),
        }
    }
}

/// A key that the operator trusts, and how far.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// What it may sign.
    pub names: Vec<NamePattern>,
    /// What plugins that it signed may be granted at most.
    pub capabilities: Vec<Capability>,
}

/// What becomes of components without a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsigned {
    /// They do not run.
    #[default]
    Refuse,
    /// They run, for development.
    Allow,
}

/// Whom the operator trusts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// What becomes of components without a signature.
    pub unsigned: Unsigned,
    /// The keys.
    pub keys: Vec<TrustedKey>,
    /// Components that never run, whoever signed them.
    pub revoked: Vec<Digest>,
}

/// Why a component does not run. None of these is mended by trying again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // Each is its own sentence.
pub enum SignFault {
    #[error("the component is {is}, and {wanted} is what the operator pinned")]
    Pinned { is: Digest, wanted: Digest },
    #[error("the component {0} is revoked")]
    Revoked(Digest),
    #[error("the component has no signature")]
    Unsigned,
    #[error("the signature is not a minisign signature: {0}")]
    Malformed(String),
    #[error("the signature is by none of the keys that the operator trusts")]
    UnknownKey,
    #[error("the signature by {0} is not of these bytes")]
    Wrong(String),
    #[error("the key {key} may not sign `{name}`")]
    Name { key: String, name: PluginName },
    #[error(
        "version {is} is older than {known}, which ran before; to go back, pin it: `digest = \"{digest}\"`"
    )]
    Older {
        is: Version,
        known: Version,
        digest: Digest,
    },
    #[error(
        "version {is} is older than {least}, the least that the operator's file allows (`version_min`)"
    )]
    TooOld { is: Version, least: Version },
    #[error("the secret key cannot be read: {0}")]
    Secret(String),
    #[error("the file of the secret key is {0}")]
    NoSecret(String),
    #[error("the secret key is locked: its password was not given")]
    Locked,
    #[error("the secret key cannot be unlocked: the password is another, or the file is damaged")]
    Password,
    #[error("signing did not work: {0}")]
    Sign(String),
}

/// A component whose bytes are known to be somebody's, or that may run without.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Of its bytes.
    pub digest: Digest,
    /// Whose it is; nobody's when it has no signature and may run without.
    pub signer: Option<TrustedKey>,
}

/// Below which version nothing runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// What the operator says.
    pub least: Option<Version>,
    /// The newest that ran; none where the operator pinned these very bytes.
    pub ran: Option<Version>,
}

/// Holds the bytes of a component against its pin, the revocations and its signature file.
pub fn verify(
    component: &[u8],
    signature: Option<&str>,
    trust: &Trust,
    pin: Option<Digest>,
) -> Result<Verified, SignFault> {
    let digest = Digest::of(component);
    if let Some(wanted) = pin.filter(|pin| *pin != digest) {
        return Err(SignFault::Pinned { is: digest, wanted });
    }
    if trust.revoked.contains(&digest) {
        return Err(SignFault::Revoked(digest));
    }
    let signer = match signature {
        Some(signature) => Some(signer(component, signature, trust)?),
        None if trust.unsigned == Unsigned::Allow => None,
        None => return Err(SignFault::Unsigned),
    };
    Ok(Verified { digest, signer })
}

/// The key that signed these bytes. A signature that is there and wrong is refused even where none is needed.
fn signer(component: &[u8], signature: &str, trust: &Trust) -> Result<TrustedKey, SignFault> {
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(SignFault::Malformed("it is too long".into()));
    }
    let signature = minisign_verify::Signature::decode(signature);
    let signature = signature.map_err(|cause| SignFault::Malformed(cause.to_string()))?;
    let mut fault = SignFault::UnknownKey;
    for trusted in &trust.keys {
        match trusted.key.key.verify(component, &signature, false) {
            Ok(()) => return Ok(trusted.clone()),
            Err(minisign_verify::Error::UnexpectedKeyId) => {}
            // Makers choose the ids of their keys: one that took another's must not stand in its way.
            Err(minisign_verify::Error::InvalidSignature) => {
                fault = SignFault::Wrong(trusted.key.text.clone());
            }
            Err(cause) => return Err(SignFault::Malformed(cause.to_string())),
        }
    }
    Err(fault)
}

impl Verified {
    /// Holds what the manifest says against the key, and against the versions that may run.
    pub fn admit(
        &self,
        name: &PluginName,
        version: Version,
        floor: Floor,
    ) -> Result<(), SignFault> {
        if let Some(signer) = &self.signer
            && !signer.names.iter().any(|names| names.matches(name))
        {
            let key = signer.key.text.clone();
            let name = name.clone();
            return Err(SignFault::Name { key, name });
        }
        let is = version;
        if let Some(least) = floor.least.filter(|least| is < *least) {
            return Err(SignFault::TooOld { is, least });
        }
        match floor.ran.filter(|known| is < *known) {
            Some(known) => {
                let digest = self.digest;
                Err(SignFault::Older { is, known, digest })
            }
            None => Ok(()),
        }
    }

    /// What the plugin may be granted at most; all of it when nobody signed.
    pub fn ceiling(&self) -> Vec<Capability> {
        match &self.signer {
            Some(signer) => signer.capabilities.clone(),
            None => Capability::ALL.to_vec(),
        }
    }
}

/// A new pair of keys for `plugin sign`.
pub struct KeyPair {
    /// The text of the public key file; its second line is what operators trust.
    pub public: String,
    /// The text of the secret key file, in the format of the `minisign` tool.
    pub secret: String,
}

impl KeyPair {
    /// Makes a pair from the system's randomness; the secret key is encrypted when there is a password.
    pub fn generate(password: Option<&str>) -> Result<Self, SignFault> {
        let fault = |cause: minisign::PError| SignFault::Sign(cause.to_string());
        let pair = match password {
            Some(password) => minisign::KeyPair::generate_encrypted_keypair(Some(password.into())),
            None => minisign::KeyPair::generate_unencrypted_keypair(),
        };
        let pair = pair.map_err(fault)?;
        let secret = pair.sk.to_box(None);
        Ok(Self {
            public: pair.pk.to_box().map_err(fault)?.to_string(),
            secret: secret.map_err(fault)?.to_string(),
        })
    }
}

/// The text of the signature file of these bytes. `comment` is signed too, and shown by who verifies.
pub fn sign(
    component: &[u8],
    secret: &str,
    password: Option<&str>,
    comment: &str,
) -> Result<String, SignFault> {
    let secret = unlocked(secret, password)?;
    let signature = minisign::sign(None, &secret, component, Some(comment), None);
    let signature = signature.map_err(|cause| SignFault::Sign(cause.to_string()))?;
    Ok(signature.into_string())
}

/// The second line of a secret key: 158 bytes in base64.
const SECRET_CHARS: usize = 212;

/// The secret key of a file. A password that a key does not need is not held against it: it is there for other keys.
fn unlocked(secret: &str, password: Option<&str>) -> Result<minisign::SecretKey, SignFault> {
    let unlike = |what: &str| Err(SignFault::NoSecret(what.to_owned()));
    let mut lines = secret.lines();
    let (first, second) = (lines.next(), lines.next().unwrap_or_default());
    if PublicKey::new(second.trim()).is_some() || PublicKey::new(secret.trim()).is_some() {
        return unlike("a public key; the secret one was made with it and ends in `.key`");
    }
    if lines.next().is_some() {
        return unlike("a signature or something else; a secret key has two lines");
    }
    if first.is_none() {
        return unlike("empty");
    }
    if second.trim().len() != SECRET_CHARS {
        return unlike("something else; the second line of a secret key is the key");
    }
    let read = || minisign::SecretKeyBox::from_string(secret);
    let boxed = read().map_err(|cause| SignFault::Secret(cause.to_string()))?;
    if let Ok(key) = boxed.into_unencrypted_secret_key() {
        return Ok(key);
    }
    let Some(password) = password else {
        return Err(SignFault::Locked);
    };
    let boxed = read().map_err(|cause| SignFault::Secret(cause.to_string()))?;
    let key = boxed.into_secret_key(Some(password.to_owned()));
    key.map_err(|_| SignFault::Password)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"\0asm and what follows";

    struct Maker {
        pair: KeyPair,
        trusted: TrustedKey,
    }

    fn maker(names: &[&str], capabilities: &[Capability]) -> Maker {
        let pair = KeyPair::generate(None).expect("there is chance");
        let key = pair.public.lines().nth(1).expect("two lines");
        let names = names
            .iter()
            .map(|name| NamePattern::new(name).expect("a pattern"));
        let trusted = TrustedKey {
            key: PublicKey::new(key).expect("a key"),
            names: names.collect(),
            capabilities: capabilities.to_vec(),
        };
        Maker { pair, trusted }
    }

    fn trust(keys: &[&Maker]) -> Trust {
        Trust {
            keys: keys.iter().map(|maker| maker.trusted.clone()).collect(),
            ..Trust::default()
        }
    }

    fn signed(maker: &Maker) -> String {
        sign(COMPONENT, &maker.pair.secret, None, "acme/geo 1.4.2").expect("it signs")
    }

    fn name(text: &str) -> PluginName {
        PluginName::new(text).expect("a name")
    }

    #[test]
    fn what_a_trusted_key_signed_is_verified() {
        let (one, other) = (
            maker(&["acme/*"], &[Capability::Log]),
            maker(&["other/x"], &[]),
        );
        let trust = trust(&[&other, &one]);
        let pin = Digest::of(COMPONENT);
        let verified = verify(COMPONENT, Some(&signed(&one)), &trust, Some(pin)).expect("sound");
        assert_eq!(
            (verified.digest, verified.ceiling()),
            (pin, vec![Capability::Log])
        );
        let version = Version([1, 2, 3]);
        let admit = |name_text: &str, ran| {
            let floor = Floor { ran, least: None };
            verified.admit(&name(name_text), version, floor)
        };
        assert_eq!(admit("acme/geo", None), Ok(()));
        assert_eq!(admit("acme/geo", Some(version)), Ok(()));
        assert_eq!(admit("acme/geo", Some(Version([1, 2, 2]))), Ok(()));
        let known = Version([1, 10, 0]);
        let (is, digest) = (version, pin);
        let older = Err(SignFault::Older { is, known, digest });
        assert_eq!(admit("acme/geo", Some(known)), older);
        for (least, wanted) in [
            (Version([1, 2, 3]), Ok(())),
            (known, Err(SignFault::TooOld { is, least: known })),
        ] {
            let floor = Floor {
                least: Some(least),
                ran: None,
            };
            assert_eq!(verified.admit(&name("acme/geo"), is, floor), wanted);
        }
        for foreign in ["other/x", "acme-2/geo", "acm/e"] {
            assert!(
                matches!(admit(foreign, None), Err(SignFault::Name { .. })),
                "{foreign}"
            );
        }
        let verified = verify(COMPONENT, Some(&signed(&other)), &trust, None).expect("sound");
        assert!(
            verified
                .admit(&name("other/x"), version, Floor::default())
                .is_ok()
        );
        assert!(
            verified
                .admit(&name("other/y"), version, Floor::default())
                .is_err()
        );
    }

    #[test]
    fn what_is_not_signed_or_not_so_is_refused() {
        let (one, stranger) = (maker(&["acme/*"], &[]), maker(&["acme/*"], &[]));
        let trust = trust(&[&one]);
        let signature = signed(&one);
        let check = |bytes: &[u8], signature: Option<&str>, trust: &Trust| {
            verify(bytes, signature, trust, None).expect_err("it is refused")
        };
        assert_eq!(check(COMPONENT, None, &trust), SignFault::Unsigned);
        assert_eq!(
            check(COMPONENT, Some(&signed(&stranger)), &trust),
            SignFault::UnknownKey
        );
        let wrong = SignFault::Wrong(one.trusted.key.as_str().to_owned());
        assert_eq!(
            check(b"\0asm and what follow", Some(&signature), &trust),
            wrong
        );
        assert_eq!(check(b"", Some(&signature), &trust), wrong);
        for (at, _) in COMPONENT.iter().enumerate() {
            let mut bytes = COMPONENT.to_vec();
            bytes[at] ^= 1;
            assert_eq!(check(&bytes, Some(&signature), &trust), wrong, "{at}");
        }
        for bad in ["", "x", "a\nb\nc\nd\n", &"x".repeat(10_000)] {
            assert!(
                matches!(check(COMPONENT, Some(bad), &trust), SignFault::Malformed(_)),
                "{bad}"
            );
        }
        // The comment is signed too.
        let edited = signature.replace("1.4.2", "1.4.3");
        assert_ne!(edited, signature);
        assert_eq!(check(COMPONENT, Some(&edited), &trust), wrong);
        let lax = Trust {
            unsigned: Unsigned::Allow,
            ..trust.clone()
        };
        let verified = verify(COMPONENT, None, &lax, None).expect("it is allowed");
        assert_eq!(
            (verified.signer.is_none(), verified.ceiling().len()),
            (true, Capability::ALL.len())
        );
        // A signature that is there has to be good, all the same.
        assert_eq!(check(b"other", Some(&signature), &lax), wrong);
        assert_eq!(
            check(COMPONENT, Some(&signed(&stranger)), &lax),
            SignFault::UnknownKey
        );
    }

    #[test]
    fn pins_and_revocations_come_first() {
        let one = maker(&["acme/*"], &[]);
        let digest = Digest::of(COMPONENT);
        let wanted = Digest([7; 32]);
        let pinned = verify(
            COMPONENT,
            Some(&signed(&one)),
            &trust(&[&one]),
            Some(wanted),
        );
        assert_eq!(pinned, Err(SignFault::Pinned { is: digest, wanted }));
        let revoked = Trust {
            revoked: vec![digest],
            unsigned: Unsigned::Allow,
            ..trust(&[&one])
        };
        for signature in [None, Some(signed(&one))] {
            let found = verify(COMPONENT, signature.as_deref(), &revoked, Some(digest));
            assert_eq!(found, Err(SignFault::Revoked(digest)));
        }
    }

    #[test]
    fn passwords_keep_keys() {
        let pair = KeyPair::generate(Some("correct horse")).expect("there is chance");
        assert!(sign(COMPONENT, &pair.secret, Some("correct horse"), "x").is_ok());
        let found = sign(COMPONENT, &pair.secret, Some("wrong"), "x");
        assert!(matches!(found, Err(SignFault::Password)), "{found:?}");
        let found = sign(COMPONENT, &pair.secret, None, "x");
        assert!(matches!(found, Err(SignFault::Locked)), "{found:?}");
        // A password that is not needed keeps nothing.
        let open = KeyPair::generate(None).expect("there is chance");
        assert!(sign(COMPONENT, &open.secret, Some("correct horse"), "x").is_ok());
        let signature = sign(COMPONENT, &open.secret, None, "x").expect("it signs");
        for (other, told) in [
            (open.public.as_str(), "a public key"),
            (signature.as_str(), "a signature"),
            ("", "empty"),
        ] {
            match sign(COMPONENT, other, None, "x") {
                Err(SignFault::NoSecret(is)) => assert!(is.starts_with(told), "{is}"),
                found => panic!("{told}: {found:?}"),
            }
        }
        assert!(matches!(
            sign(COMPONENT, "nonsense", None, "x"),
            Err(SignFault::NoSecret(_))
        ));
    }

    #[test]
    fn digests_are_written_one_way() {
        let digest = Digest::of(b"");
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            (digest.to_string().as_str(), Digest::new(text)),
            (text, Some(digest))
        );
        let upper = text.to_uppercase();
        for bad in [
            "",
            "sha256:",
            &text[7..],
            &text[..70],
            &upper,
            &format!("{text}0"),
            &text.replace("e3", "é"),
        ] {
            assert_eq!(Digest::new(bad), None, "{bad}");
        }
    }
}
