//! `[trust]`: which keys may sign what, and what never runs.

use crate::manifest::Capability;
use crate::manifest::read::{Fields, Part, Reader, span_of};
use crate::sign::{Digest, NamePattern, PublicKey, Trust, TrustedKey, Unsigned};

/// Most keys: one for each maker of plugins, twice during a change of keys.
const KEYS_MAX: usize = 256;
/// Most names of one key.
const NAMES_MAX: usize = 256;
/// Most components that are revoked.
const REVOKED_MAX: usize = 10_000;

pub(super) fn read_trust(reader: &mut Reader, part: Part<'_, '_>) -> Option<Trust> {
    let keys = ["unsigned", "keys", "revoked"];
    let fields = Fields::of(reader, "`[trust]`", "trust", part, &keys)?;
    let unsigned = match fields.part("unsigned") {
        None => Some(Unsigned::Refuse),
        Some(part) => {
            let words = [("refuse", Unsigned::Refuse), ("allow", Unsigned::Allow)];
            let text = reader.text("unsigned", part);
            text.and_then(|(text, span)| reader.word("unsigned", text, span, &words))
        }
    };
    let keys = read_keys(reader, &fields);
    let revoked = read_revoked(reader, &fields);
    Some(Trust {
        unsigned: unsigned?,
        keys,
        revoked,
    })
}

fn read_keys(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<TrustedKey> {
    let items = fields.items(reader, "keys");
    let span = fields.part("keys").map_or(fields.span, span_of);
    if !reader.within("keys", items.len(), KEYS_MAX, span) {
        return Vec::new();
    }
    let mut keys: Vec<TrustedKey> = Vec::with_capacity(items.len());
    for item in items {
        let Some(key) = read_key(reader, item) else {
            continue;
        };
        if keys.iter().any(|one| one.key == key.key) {
            reader.repeated(key.key.as_str(), span_of(item));
            continue;
        }
        keys.push(key);
    }
    keys
}

fn read_key(reader: &mut Reader, item: Part<'_, '_>) -> Option<TrustedKey> {
    let known = ["!key", "!names", "!capabilities"];
    let fields = Fields::of(reader, "a key", "keys", item, &known)?;
    let expected = "the second line of a minisign `.pub` file, such as `RWQ…`";
    let key = fields.parsed(reader, "key", "public key", expected, PublicKey::new);
    let texts = fields.texts(reader, "names");
    if !reader.within("names", texts.len(), NAMES_MAX, fields.span) {
        return None;
    }
    let expected = "the name of a plugin, or `who/*`, such as `acme/*`";
    let mut names = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        names.extend(reader.parsed(text, span, "pattern of names", expected, NamePattern::new));
    }
    let words = Capability::ALL.map(|capability| (capability.as_str(), capability));
    let mut capabilities = Vec::new();
    for (text, span) in fields.texts(reader, "capabilities") {
        match reader.word("capabilities", text, span, &words) {
            Some(found) if capabilities.contains(&found) => reader.repeated(text, span),
            found => capabilities.extend(found),
        }
    }
    Some(TrustedKey {
        key: key?,
        names,
        capabilities,
    })
}

fn read_revoked(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<Digest> {
    let texts = fields.texts(reader, "revoked");
    let span = fields.part("revoked").map_or(fields.span, span_of);
    if !reader.within("digests", texts.len(), REVOKED_MAX, span) {
        return Vec::new();
    }
    let expected = "`sha256:` and 64 digits of 0-9 and a-f";
    let mut revoked = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        revoked.extend(reader.parsed(text, span, "digest", expected, Digest::new));
    }
    revoked
}
