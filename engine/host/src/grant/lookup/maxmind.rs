//! Databases of MaxMind and those made like them.
//!
//! Such a file says nothing of its columns, so each family that is known by its type has some; of any other the whole
//! record comes as JSON. Keys are addresses.

use super::{Room, TableFault};
use crate::batch::{ColumnKind, ColumnWriter};
use crate::grant::Fault;
use maxminddb::{LookupResult, PathElement, Reader};
use std::net::IpAddr;

type Found<'r> = LookupResult<'r, Vec<u8>>;

/// A fact of a record.
#[derive(Debug)]
struct Fact {
    name: &'static str,
    kind: ColumnKind,
    path: &'static [PathElement<'static>],
}

macro_rules! facts {
    ($($name:literal: $kind:ident = $($step:expr),+;)+) => {
        &[$(Fact { name: $name, kind: ColumnKind::$kind, path: &[$($step),+] }),+]
    };
}

use PathElement::{Index, Key};

const PLACE: &[Fact] = facts! {
    "country": Symbol = Key("country"), Key("iso_code");
    "continent": Symbol = Key("continent"), Key("code");
    "registered_country": Symbol = Key("registered_country"), Key("iso_code");
    "subdivision": Symbol = Key("subdivisions"), Index(0), Key("iso_code");
    "city": Symbol = Key("city"), Key("names"), Key("en");
    "latitude": Float = Key("location"), Key("latitude");
    "longitude": Float = Key("location"), Key("longitude");
    "time_zone": Symbol = Key("location"), Key("time_zone");
};
/// How many facts of a place files of countries have.
const COUNTRY_FACTS: usize = 3;

const NUMBER: &[Fact] = facts! {
    "asn": Int = Key("autonomous_system_number");
    "organization": Symbol = Key("autonomous_system_organization");
};

const ANONYMOUS: &[Fact] = facts! {
    "anonymous": Bool = Key("is_anonymous");
    "vpn": Bool = Key("is_anonymous_vpn");
    "hosting": Bool = Key("is_hosting_provider");
    "public_proxy": Bool = Key("is_public_proxy");
    "residential_proxy": Bool = Key("is_residential_proxy");
    "tor": Bool = Key("is_tor_exit_node");
};

const RECORD: &[Fact] = &[Fact {
    name: "record",
    kind: ColumnKind::Json,
    path: &[],
}];

/// A database.
#[derive(Debug)]
pub(super) struct MaxMind {
    reader: Reader<Vec<u8>>,
    facts: &'static [Fact],
}

impl MaxMind {
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, TableFault> {
        let reader = Reader::from_source(bytes).map_err(|cause| {
            TableFault::Form(format!("the file is no MaxMind database: {cause}"))
        })?;
        let facts = match reader.metadata().database_type.as_str() {
            kind if kind.contains("City") || kind.contains("Enterprise") => PLACE,
            kind if kind.contains("Country") => &PLACE[..COUNTRY_FACTS],
            kind if kind.contains("ASN") || kind.contains("ISP") => NUMBER,
            kind if kind.contains("Anonymous-IP") => ANONYMOUS,
            _ => RECORD,
        };
        Ok(Self { reader, facts })
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.facts.iter().map(|fact| fact.name)
    }

    pub(super) fn find(
        &self,
        keys: &[String],
        room: &mut Room,
    ) -> Result<Vec<ColumnWriter>, Fault> {
        let found: Vec<Option<Found<'_>>> = keys.iter().map(|key| self.record(key)).collect();
        let mut writers = Vec::with_capacity(self.facts.len());
        for fact in self.facts {
            let mut writer = ColumnWriter::new(fact.kind);
            for record in &found {
                let before = writer.arena_bytes();
                if record
                    .as_ref()
                    .and_then(|record| push(&mut writer, record, fact))
                    .is_none()
                {
                    writer.push_absent();
                }
                room.take(&writer, before)?;
            }
            writers.push(writer);
        }
        Ok(writers)
    }

    /// The record of an address. A file of IPv4 knows none of IPv6.
    fn record(&self, key: &str) -> Option<Found<'_>> {
        let address = key.parse::<IpAddr>().ok()?.to_canonical();
        let found = self.reader.lookup(address).ok()?;
        found.has_data().then_some(found)
    }
}

/// Writes a fact, when the record has it.
fn push(writer: &mut ColumnWriter, record: &Found<'_>, fact: &Fact) -> Option<()> {
    match fact.kind {
        ColumnKind::Bool => writer.push_bool(record.decode_path(fact.path).ok()??),
        // Numbers of networks have 32 bits, and the decoder takes no other width for them.
        ColumnKind::Int => {
            writer.push_int(i64::from(record.decode_path::<u32>(fact.path).ok()??));
        }
        ColumnKind::Float => {
            let number: f64 = record.decode_path(fact.path).ok()??;
            writer.push_float(Some(number).filter(|number| number.is_finite())?);
        }
        ColumnKind::Text | ColumnKind::Symbol => {
            writer.push_text(record.decode_path::<&str>(fact.path).ok()??);
        }
        ColumnKind::Json => {
            let record: serde_json::Value = record.decode().ok()??;
            writer.push_text(&record.to_string());
        }
    }
    Some(())
}
