use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn records(options: &Options) -> Vec<Record> {
    Generator::new(options).collect()
}

fn checksum(records: &[Record]) -> u64 {
    // FNV-1a: the bytes of every record in order.
    let bytes = records.iter().flat_map(|record| &record.bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn json(record: &Record) -> serde_json::Value {
    let text = String::from_utf8_lossy(&record.bytes);
    serde_json::from_slice(&record.bytes).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn per_mille(records: &[serde_json::Value], holds: impl Fn(&serde_json::Value) -> bool) -> usize {
    records.iter().filter(|record| holds(record)).count() * 1000 / records.len()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let options = Options {
        events: 400,
        ..Options::default()
    };
    let first = records(&options);
    assert_eq!(first, records(&options));
    assert_ne!(
        first,
        records(&Options {
            seed: 2,
            ..options.clone()
        })
    );
    expect_test::expect!["5db0371514c713c9"].assert_eq(&format!("{:016x}", checksum(&first)));
}

#[test]
fn sizes_are_those_of_real_records() {
    let records = records(&Options {
        events: 4000,
        accounts: 50,
        ..Options::default()
    });
    let mut sizes: Vec<usize> = records.iter().map(|record| record.bytes.len()).collect();
    sizes.sort_unstable();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    let (median, p99) = (sizes[sizes.len() / 2], sizes[sizes.len() * 99 / 100]);
    assert!((1330..=1480).contains(&mean), "mean {mean}");
    assert!((1000..=1600).contains(&median), "median {median}");
    assert!((2000..=2700).contains(&p99), "p99 {p99}");
    assert!(
        sizes[sizes.len() - 1] <= 5400,
        "max {}",
        sizes[sizes.len() - 1]
    );
}

#[test]
fn shares_are_those_of_real_records() {
    let parsed: Vec<_> = records(&Options {
        events: 4000,
        incidents: 0,
        ..Options::default()
    })
    .iter()
    .map(json)
    .collect();
    let check = |what: &str, share: usize, least: usize, most: usize| {
        assert!((least..=most).contains(&share), "{what}: {share} per mille");
    };
    check(
        "errors",
        per_mille(&parsed, |event| event.get("errorCode").is_some()),
        40,
        80,
    );
    check(
        "reads",
        per_mille(&parsed, |event| event["readOnly"] == true),
        600,
        900,
    );
    check(
        "no request",
        per_mille(&parsed, |event| event["requestParameters"].is_null()),
        10,
        120,
    );
    let identity =
        |name: &'static str| move |event: &serde_json::Value| event["userIdentity"]["type"] == name;
    check(
        "roles",
        per_mille(&parsed, identity("AssumedRole")),
        500,
        800,
    );
    check("users", per_mille(&parsed, identity("IAMUser")), 60, 200);
    check(
        "services",
        per_mille(&parsed, identity("AWSService")),
        60,
        200,
    );
    let service_address = |event: &serde_json::Value| {
        event["sourceIPAddress"]
            .as_str()
            .is_some_and(|address| address.contains("amazon"))
    };
    check(
        "service addresses",
        per_mille(&parsed, service_address),
        80,
        250,
    );
}

#[test]
fn every_type_of_identity_comes_with_the_fields_it_really_has() {
    let parsed: Vec<_> = records(&Options {
        events: 12_000,
        accounts: 20,
        ..Options::default()
    })
    .iter()
    .map(json)
    .collect();
    let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in &parsed {
        let identity = event["userIdentity"].as_object().expect("an object");
        let kind = identity["type"].as_str().expect("a type").to_owned();
        fields
            .entry(kind)
            .or_default()
            .extend(identity.keys().cloned());
    }
    for kind in [
        "AWSAccount",
        "AWSService",
        "AssumedRole",
        "FederatedUser",
        "IAMUser",
        "IdentityCenterUser",
        "Root",
        "SAMLUser",
        "WebIdentityUser",
    ] {
        assert!(fields.contains_key(kind), "no {kind}");
    }
    assert!(!fields["AWSService"].contains("arn") && !fields["AWSService"].contains("accountId"));
    assert!(!fields["AWSAccount"].contains("arn"));
    assert!(fields["AssumedRole"].contains("sessionContext"));
}

#[test]
fn the_manifest_names_records_that_come() {
    let options = Options {
        events: 2000,
        incidents: 36,
        ..Options::default()
    };
    let generator = Generator::new(&options);
    let manifest = generator.manifest().clone();
    let records: Vec<Record> = generator.collect();
    assert_eq!(records.len(), 2000);
    assert!(records.is_sorted_by_key(|record| record.time));
    let ids: BTreeSet<&str> = records
        .iter()
        .map(|record| record.event_id.as_str())
        .collect();
    assert_eq!(ids.len(), records.len(), "ids are unique");
    let kinds: BTreeSet<&str> = manifest
        .incidents
        .iter()
        .map(|incident| incident.kind)
        .collect();
    assert!(kinds.len() >= 12, "{kinds:?}");
    for incident in &manifest.incidents {
        assert!(incident.first <= incident.last);
        assert!(
            incident
                .event_ids
                .iter()
                .all(|id| ids.contains(id.as_str())),
            "{}",
            incident.kind
        );
    }
    let read: serde_json::Value = serde_json::from_str(&manifest.to_json()).expect("JSON");
    assert_eq!(read["incidents"].as_array().map(Vec::len), Some(36));
}

#[test]
fn an_incident_has_one_principal_who_is_not_the_victim() {
    for seed in 0..6 {
        let generator = Generator::new(&Options {
            seed,
            events: 0,
            ..Options::default()
        });
        let manifest = generator.manifest().clone();
        let parsed: Vec<_> = generator.map(|record| json(&record)).collect();
        for incident in &manifest.incidents {
            let of_incident = |event: &&serde_json::Value| {
                event["eventID"]
                    .as_str()
                    .is_some_and(|id| incident.event_ids.iter().any(|own| own == id))
            };
            let names = parsed
                .iter()
                .filter(of_incident)
                .map(|event| event["userIdentity"]["arn"].as_str());
            let names: BTreeSet<_> = names.flatten().collect();
            assert_eq!(names.len(), 1, "{}: {names:?}", incident.kind);
        }
        for event in parsed
            .iter()
            .filter(|event| event["eventName"] == "CreateAccessKey")
        {
            assert_ne!(
                event["userIdentity"]["userName"],
                event["requestParameters"]["userName"]
            );
        }
    }
}

#[test]
fn duplicates_are_exact_and_as_many_as_asked_for() {
    let options = Options {
        events: 3000,
        duplicates_per_mille: 210,
        ..Options::default()
    };
    let records = records(&options);
    assert_eq!(records.len(), 3000);
    let mut seen: BTreeMap<&str, &[u8]> = BTreeMap::new();
    let mut copies = 0;
    for record in &records {
        if let Some(bytes) = seen.insert(&record.event_id, &record.bytes) {
            assert_eq!(bytes, record.bytes);
            copies += 1;
        }
    }
    assert!((550..700).contains(&copies), "{copies}");
}

#[test]
fn disorder_stays_within_its_bound_and_loses_nothing() {
    let ordered = Options {
        events: 1500,
        ..Options::default()
    };
    let late = records(&Options {
        disorder_seconds: 600,
        ..ordered.clone()
    });
    assert_eq!(late.len(), 1500);
    assert!(!late.is_sorted_by_key(|record| record.time));
    let mut newest = late[0].time;
    for record in &late {
        assert!(newest.as_second() - record.time.as_second() <= 600);
        newest = newest.max(record.time);
    }
    let ids: BTreeSet<&str> = late.iter().map(|record| record.event_id.as_str()).collect();
    assert_eq!(ids.len(), 1500);
}

#[test]
fn offices_keep_hours() {
    let options = Options {
        events: 6000,
        days: 7,
        incidents: 0,
        ..Options::default()
    };
    let mut by_hour = [0_usize; 24];
    for record in records(&options) {
        let event = json(&record);
        if event["eventSource"] == "iam.amazonaws.com" {
            by_hour[hour_of_week(record.time) % 24] += 1;
        }
    }
    let (day, night) = (
        by_hour[8..17].iter().sum::<usize>(),
        by_hour[0..5].iter().sum::<usize>(),
    );
    assert!(day > 8 * night, "{by_hour:?}");
}

#[test]
fn options_out_of_bounds_still_give_something() {
    let check = |options: Options, expected: usize| {
        assert_eq!(records(&options).len(), expected, "{options:?}");
    };
    let tiny = Options {
        accounts: 0,
        days: 0,
        incidents: 0,
        events: 3,
        ..Options::default()
    };
    check(tiny.clone(), 3);
    check(
        Options {
            events: 0,
            ..tiny.clone()
        },
        0,
    );
    check(
        Options {
            start: Timestamp::MAX,
            ..tiny.clone()
        },
        3,
    );
    check(
        Options {
            duplicates_per_mille: u32::MAX,
            ..tiny
        },
        3,
    );
}
