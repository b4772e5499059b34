//! JSON text with slots, as the catalogue and the incidents write it.
//!
//! A template is compiled once and filled for every event. Values of slots never need escaping (the world
//! makes them of plain letters), so filling is appending. It must never fail on the built-in texts: a test
//! compiles them all. Rejected: building `serde_json` values, three times slower and no more readable.

/// One compiled template.
#[derive(Debug, Clone, Default)]
pub(super) struct Template {
    pub(super) pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(String),
    /// A value that stays the same within an event (within an incident).
    Kept(Slot),
    /// A value drawn anew at each place.
    Anew(Slot),
    /// `<*2-5> … <*>`: the pieces, so many times, with commas between.
    Repeat {
        least: u64,
        most: u64,
        pieces: Vec<Piece>,
    },
}

/// What may stand between angle brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Slot {
    Account,
    Stranger,
    Region,
    User,
    Role,
    RoleId,
    Session,
    Email,
    Team,
    Env,
    Word,
    Bucket,
    Key,
    Instance,
    Volume,
    Snapshot,
    Group,
    Vpc,
    Subnet,
    Interface,
    Image,
    Size,
    Function,
    Table,
    Queue,
    Topic,
    Stream,
    Parameter,
    Secret,
    Database,
    Cluster,
    Stack,
    Repository,
    Domain,
    Zone,
    Alarm,
    Policy,
    Kms,
    AccessKey,
    TempKey,
    Uuid,
    Hex8,
    Hex16,
    Hex17,
    Hex32,
    Hex64,
    UpperHex12,
    UpperHex17,
    UpperHex32,
    Token,
    Base64,
    Private,
    Cidr,
    Port,
    Number,
    Count,
    Bytes,
    Memory,
    Time,
    Seconds,
    Millis,
    Host,
}

/// Every slot by name, in the order of the variants.
pub(super) const SLOTS: [(&str, Slot); 62] = [
    ("account", Slot::Account),
    ("stranger", Slot::Stranger),
    ("region", Slot::Region),
    ("user", Slot::User),
    ("role", Slot::Role),
    ("roleid", Slot::RoleId),
    ("session", Slot::Session),
    ("email", Slot::Email),
    ("team", Slot::Team),
    ("env", Slot::Env),
    ("word", Slot::Word),
    ("bucket", Slot::Bucket),
    ("key", Slot::Key),
    ("instance", Slot::Instance),
    ("volume", Slot::Volume),
    ("snapshot", Slot::Snapshot),
    ("group", Slot::Group),
    ("vpc", Slot::Vpc),
    ("subnet", Slot::Subnet),
    ("interface", Slot::Interface),
    ("image", Slot::Image),
    ("size", Slot::Size),
    ("function", Slot::Function),
    ("table", Slot::Table),
    ("queue", Slot::Queue),
    ("topic", Slot::Topic),
    ("stream", Slot::Stream),
    ("parameter", Slot::Parameter),
    ("secret", Slot::Secret),
    ("database", Slot::Database),
    ("cluster", Slot::Cluster),
    ("stack", Slot::Stack),
    ("repository", Slot::Repository),
    ("domain", Slot::Domain),
    ("zone", Slot::Zone),
    ("alarm", Slot::Alarm),
    ("policy", Slot::Policy),
    ("kms", Slot::Kms),
    ("accesskey", Slot::AccessKey),
    ("tempkey", Slot::TempKey),
    ("uuid", Slot::Uuid),
    ("hex8", Slot::Hex8),
    ("hex16", Slot::Hex16),
    ("hex17", Slot::Hex17),
    ("hex32", Slot::Hex32),
    ("hex64", Slot::Hex64),
    ("HEX12", Slot::UpperHex12),
    ("HEX17", Slot::UpperHex17),
    ("HEX32", Slot::UpperHex32),
    ("token", Slot::Token),
    ("base64", Slot::Base64),
    ("private", Slot::Private),
    ("cidr", Slot::Cidr),
    ("port", Slot::Port),
    ("number", Slot::Number),
    ("count", Slot::Count),
    ("bytes", Slot::Bytes),
    ("memory", Slot::Memory),
    ("time", Slot::Time),
    ("seconds", Slot::Seconds),
    ("millis", Slot::Millis),
    ("host", Slot::Host),
];

impl Template {
    /// Compiles a text; the error names what is wrong with it.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let pieces = compile_until(&mut rest, End::OfText)?;
        Ok(Self { pieces })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    OfText,
    OfRepeat,
}

fn compile_until(rest: &mut &str, end: End) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    while let Some(open) = rest.find('<') {
        if open > 0 {
            pieces.push(Piece::Text(rest[..open].to_owned()));
        }
        let close = rest[open..]
            .find('>')
            .ok_or_else(|| format!("unclosed slot in {rest}"))?
            + open;
        let name = &rest[open + 1..close];
        *rest = &rest[close + 1..];
        match name.strip_prefix('*') {
            Some("") if end == End::OfRepeat => return Ok(pieces),
            Some(counts) => pieces.push(compile_repeat(counts, rest, end)?),
            None => pieces.push(compile_slot(name)?),
        }
    }
    if end == End::OfRepeat {
        return Err("a repeat that does not end".to_owned());
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text((*rest).to_owned()));
        *rest = "";
    }
    Ok(pieces)
}

fn compile_repeat(counts: &str, rest: &mut &str, end: End) -> Result<Piece, String> {
    if end == End::OfRepeat {
        return Err("a repeat within a repeat".to_owned());
    }
    let wrong = || format!("`{counts}` is no range such as 1-4");
    let (least, most) = counts.split_once('-').ok_or_else(wrong)?;
    let least = least.parse().map_err(|_| wrong())?;
    let most = most.parse().map_err(|_| wrong())?;
    let pieces = compile_until(rest, End::OfRepeat)?;
    Ok(Piece::Repeat {
        least,
        most,
        pieces,
    })
}

fn compile_slot(name: &str) -> Result<Piece, String> {
    let bare = name.strip_suffix('+').unwrap_or(name);
    let slot = SLOTS
        .iter()
        .find(|(known, _)| *known == bare)
        .map(|(_, slot)| *slot);
    let slot = slot.ok_or_else(|| format!("unknown slot <{name}>"))?;
    Ok(if bare == name {
        Piece::Kept(slot)
    } else {
        Piece::Anew(slot)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<usize, &str>) {
        let compiled = Template::compile(text);
        match (compiled, expected) {
            (Ok(template), Ok(pieces)) => assert_eq!(template.pieces.len(), pieces, "{text}"),
            (Err(error), Err(expected)) => assert_eq!(error, expected, "{text}"),
            (compiled, expected) => panic!("{text}: {compiled:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn texts_become_pieces() {
        check("", Ok(0));
        check("{}", Ok(1));
        check(r#"{"a":"<bucket>","b":<number>}"#, Ok(5));
        check("[<*1-3>\"<instance+>\"<*>]", Ok(3));
    }

    #[test]
    fn mistakes_are_named() {
        check("<nothing>", Err("unknown slot <nothing>"));
        check("<*1>x<*>", Err("`1` is no range such as 1-4"));
        check("<*1-2>x", Err("a repeat that does not end"));
        check("<*1-2><*1-2>x<*><*>", Err("a repeat within a repeat"));
        check("<bucket", Err("unclosed slot in <bucket"));
    }

    #[test]
    fn slots_are_listed_in_the_order_of_their_variants() {
        for (index, (name, slot)) in SLOTS.iter().enumerate() {
            assert_eq!(*slot as usize, index, "{name}");
        }
    }
}
