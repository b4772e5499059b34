//! Residual conditions by kind, and events that have what they look at.
//!
//! Each kind is one expression of which an index can say nothing, with a number in it where that is natural, so
//! that a hundred rules of a kind are not one. The events are drawn here and not taken from the corpus: there most
//! records lack the arrays and objects that the conditions walk, and an absent field costs next to nothing.

use tripline_core::sample::Random;

/// A kind of residual condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its name in tables.
    pub name: &'static str,
    /// The condition; `@` stands for a number that differs from rule to rule.
    pub text: &'static str,
}

impl Kind {
    /// The condition of one rule.
    #[must_use]
    pub fn condition(&self, number: usize) -> String {
        self.text.replace('@', &(number + 3).to_string())
    }
}

const fn kind(name: &'static str, text: &'static str) -> Kind {
    Kind { name, text }
}

/// All kinds, those of fields first.
pub const KINDS: [Kind; 45] = [
    kind(
        "field == field",
        "event.userIdentity.accountId == event.recipientAccountId",
    ),
    kind(
        "field != field, guarded",
        "has(event.requestParameters.owner) && event.requestParameters.owner != event.recipientAccountId",
    ),
    kind(
        "field in list of fields",
        "event.recipientAccountId in [event.userIdentity.accountId, event.requestParameters.owner]",
    ),
    kind(
        "text in array",
        "\"name-@\" in event.requestParameters.names",
    ),
    kind(
        "`.?` and `orValue`",
        "event.?requestParameters.?owner.orValue(\"\") == event.?userIdentity.?invokedBy.orValue(\"x@\")",
    ),
    kind(
        "four operators on a size",
        "size(event.userAgent) * @ % 10007 == 17",
    ),
    kind(
        "four operators on numbers",
        "event.requestParameters.bytesOut * 8 - event.requestParameters.bytesIn * 8 > @000",
    ),
    kind(
        "field + field > number",
        "event.requestParameters.bytesOut + event.requestParameters.bytesIn > @000",
    ),
    kind("size of text", "size(event.userAgent) == @"),
    kind("size of array", "size(event.requestParameters.items) == @"),
    kind(
        "exists, two objects, one condition",
        "event.requestParameters.items.exists(item, item.port == @)",
    ),
    kind(
        "exists, two objects, two conditions",
        "event.requestParameters.items.exists(item, item.protocol == \"tcp\" && item.port == @)",
    ),
    kind(
        "exists, two objects, guarded",
        "event.requestParameters.items.exists(item, has(item.port) && item.port == @)",
    ),
    kind(
        "exists, two objects, all optional",
        "event.?requestParameters.?items.orValue([]).exists(item, item.?port.orValue(0) == @)",
    ),
    kind(
        "exists, two objects, with a field",
        "event.requestParameters.items.exists(item, item.port + @ == event.requestParameters.bytesIn)",
    ),
    kind(
        "exists, three texts",
        "event.requestParameters.names.exists(name, name.startsWith(\"x@\"))",
    ),
    kind(
        "all, two objects",
        "event.requestParameters.items.all(item, item.port > 0 && item.port != @)",
    ),
    kind(
        "exists_one, two objects",
        "event.requestParameters.items.exists_one(item, item.port == @)",
    ),
    kind(
        "size of filter",
        "size(event.requestParameters.items.filter(item, item.port == @)) > 1",
    ),
    kind(
        "text in map()",
        "\"p@\" in event.requestParameters.items.map(item, item.protocol)",
    ),
    kind(
        "element of array by number",
        "event.requestParameters.items[1].port == @",
    ),
    kind(
        "optional element",
        "event.requestParameters.items[?1].?port.orValue(0) == @",
    ),
    kind(
        "time getter",
        "timestamp(event.eventTime).getHours() + @ == 20",
    ),
    kind(
        "time getters, two",
        "timestamp(event.eventTime).getHours() > 20 || timestamp(event.eventTime).getDayOfWeek() == @",
    ),
    kind(
        "time getter, zone",
        "timestamp(event.eventTime).getHours(\"+02:00\") == @",
    ),
    kind(
        "time getter, named zone",
        "timestamp(event.eventTime).getHours(\"Europe/Berlin\") == @",
    ),
    kind(
        "time getter in a list",
        "timestamp(event.eventTime).getHours(\"Europe/Berlin\") in [@, 22, 23]",
    ),
    kind(
        "time compared",
        "timestamp(event.eventTime) > timestamp(\"2027-01-01T00:00:00Z\") - duration(\"@h\")",
    ),
    kind(
        "duration compared",
        "timestamp(event.eventTime) - timestamp(event.userIdentity.sessionContext.attributes.creationDate) > duration(\"@h\")",
    ),
    kind(
        "lowerAscii() compared",
        "event.requestParameters.roleName.lowerAscii() != \"admin-@\"",
    ),
    kind(
        "lowerAscii().contains()",
        "!event.requestParameters.roleName.lowerAscii().contains(\"admin-@\")",
    ),
    kind(
        "split() and element",
        "event.userIdentity.arn.split(\":\")[4] != \"000000000@\"",
    ),
    kind(
        "substring()",
        "event.userIdentity.arn.substring(13, 25) != \"000000000@\"",
    ),
    kind(
        "indexOf()",
        "event.userIdentity.arn.indexOf(\"role-@/\") > 3",
    ),
    kind(
        "replace()",
        "event.userIdentity.arn.replace(\"assumed-role\", \"role\") == event.requestParameters.roleName",
    ),
    kind(
        "replace(), its own",
        "event.userIdentity.arn.replace(\"assumed-role\", \"role-@\") == event.requestParameters.roleName",
    ),
    kind(
        "joined with +",
        "event.requestParameters.roleName == event.recipientAccountId + \"-@\"",
    ),
    kind("int(text)", "int(event.recipientAccountId) % 1009 == @"),
    kind(
        "cidr contains",
        "!cidr(\"10.@.0.0/16\").containsIP(event.sourceIPAddress)",
    ),
    kind(
        "escaped text == field",
        "event.requestParameters.description == event.requestParameters.comment",
    ),
    kind(
        "escaped text, glob",
        "!glob(event.requestParameters.description, \"*a@*b*\")",
    ),
    kind(
        "escaped text, size",
        "size(event.requestParameters.description) == @",
    ),
    kind(
        "ternary",
        "(event.readOnly ? size(event.userAgent) : event.requestParameters.bytesIn) == @",
    ),
    kind(
        "map literal looked up",
        "{\"AssumedRole\": @, \"IAMUser\": 2, \"Root\": 1}[event.userIdentity.type] == 5",
    ),
    kind(
        "cel.bind",
        "cel.bind(account, event.recipientAccountId, account == event.requestParameters.owner || account == \"@\")",
    ),
];

const REGIONS: [&str; 4] = ["us-east-1", "eu-west-1", "ap-southeast-2", "eu-central-1"];
const TYPES: [&str; 3] = ["AssumedRole", "IAMUser", "Root"];
const AGENTS: [&str; 3] = [
    "aws-cli/2.15.30 Python/3.11.8 Linux/5.10.0 botocore/2.4.5 md/Botocore#1.34.69 exec-env/CloudShell",
    "Boto3/1.34.69 md/Botocore#1.34.69 ua/2.0 os/linux#6.1.0 lang/python#3.12.1 cfg/retry-mode#legacy",
    "console.amazonaws.com",
];
const WORDS: [&str; 4] = ["nightly", "billing", "audit", "Platform"];

/// Events with everything that [`KINDS`] look at.
#[must_use]
pub fn events(count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    (0..count)
        .map(|_| event(&mut random).into_bytes())
        .collect()
}

fn event(random: &mut Random) -> String {
    let account = || 100_000_000_000_u64;
    let mine = account() + random.below(200);
    let theirs = if random.below(2) == 0 {
        mine
    } else {
        account() + random.below(200)
    };
    let word = *random.one_of(&WORDS);
    let (agent, region, kind) = (
        *random.one_of(&AGENTS),
        *random.one_of(&REGIONS),
        *random.one_of(&TYPES),
    );
    let (day, hour, minute) = (1 + random.below(28), random.below(24), random.below(60));
    let ports = [random.below(9000), random.below(9000)];
    let bytes = [random.below(1_000_000), random.below(1_000_000)];
    let read_only = random.below(2) == 0;
    let (network, host) = (random.below(250), random.below(250));
    format!(
        r#"{{"eventVersion":"1.09","userIdentity":{{"type":"{kind}","arn":"arn:aws:sts::{mine}:assumed-role/{word}-role/session-{host}","accountId":"{mine}","sessionContext":{{"attributes":{{"creationDate":"2026-03-01T00:00:00Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2026-03-{day:02}T{hour:02}:{minute:02}:17Z","eventSource":"ec2.amazonaws.com","eventName":"AuthorizeSecurityGroupIngress","awsRegion":"{region}","sourceIPAddress":"10.{network}.7.{host}","userAgent":"{agent}","requestParameters":{{"roleName":"{word}-Operator-{host}","owner":"{theirs}","bytesIn":{},"bytesOut":{},"names":["{word}","name-{host}","last"],"items":[{{"port":{},"protocol":"tcp","cidr":"0.0.0.0/0"}},{{"port":{},"protocol":"udp","cidr":"10.0.0.0/8"}}],"description":"run by \"{word}\" of account {mine}\nand nobody else, see C:\\ops\\{word}","comment":"run by \"{word}\" of account {theirs}\nand nobody else, see C:\\ops\\{word}"}},"responseElements":null,"readOnly":{read_only},"recipientAccountId":"{theirs}"}}"#,
        bytes[0], bytes[1], ports[0], ports[1]
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{KINDS, events};

    #[test]
    fn events_are_json_and_kinds_have_names_of_their_own() {
        for event in events(100, 1) {
            assert!(serde_json::from_slice::<serde_json::Value>(&event).is_ok());
        }
        let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
    }
}
