//! A rule of a security group that lets the whole world in.

use serde_json::{Map, Value, json};

/// One that is open, as EC2 describes it.
pub(crate) struct Rule<'v> {
    pub(crate) id: &'v str,
    pub(crate) value: &'v Value,
    protocol: &'v str,
    cidr: &'v str,
    ports: Option<(i64, i64)>,
}

/// Whether a text names a port of a protocol, as `tcp/443` or `icmp/*`.
pub(crate) fn is_port(text: &str) -> bool {
    let Some((protocol, port)) = text.split_once('/') else {
        return false;
    };
    let is_protocol = !protocol.is_empty()
        && protocol
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_protocol && (port == "*" || port.parse::<u16>().is_ok())
}

impl<'v> Rule<'v> {
    /// The rule, if it is an inbound one that is open to all addresses.
    pub(crate) fn open(value: &'v Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str();
        let cidr = text("CidrIpv4").or_else(|| text("CidrIpv6"))?;
        // However the network before it is written, a prefix of no bits is every address.
        if !cidr.ends_with("/0") || value["IsEgress"].as_bool() == Some(true) {
            return None;
        }
        let port = |name: &str| value[name].as_i64().filter(|port| *port >= 0);
        Some(Self {
            id: text("SecurityGroupRuleId").filter(|id| id.starts_with("sgr-"))?,
            value,
            protocol: text("IpProtocol")?,
            cidr,
            ports: port("FromPort").zip(port("ToPort")),
        })
    }

    /// Whether it opens one port of a protocol and no more.
    pub(crate) fn is_of(&self, port: &str) -> bool {
        let Some((protocol, port)) = port.split_once('/') else {
            return false;
        };
        let is_port = match (port, self.ports) {
            ("*", _) => true,
            (port, Some((from, to))) => from == to && port == from.to_string(),
            (_, None) => false,
        };
        self.protocol == protocol && is_port
    }

    /// For people, as `tcp 22 from 0.0.0.0/0`.
    pub(crate) fn words(&self) -> String {
        let protocol = match self.protocol {
            "-1" => "all",
            protocol => protocol,
        };
        let ports = match self.ports {
            Some((from, to)) if from == to => format!(" {from}"),
            Some((from, to)) => format!(" {from}-{to}"),
            None => String::new(),
        };
        format!("{protocol}{ports} from {}", self.cidr)
    }

    fn picked(&self, names: &[&str]) -> Map<String, Value> {
        let there = names.iter().filter_map(|name| {
            let value = self.value.get(*name).filter(|value| !value.is_null())?;
            Some(((*name).to_owned(), value.clone()))
        });
        there.collect()
    }

    /// What of it must still be so when it is revoked.
    pub(crate) fn seen(&self) -> Value {
        let names = [
            "SecurityGroupRuleId",
            "IpProtocol",
            "FromPort",
            "ToPort",
            "CidrIpv4",
            "CidrIpv6",
        ];
        self.picked(&names).into()
    }

    /// The request that adds it again.
    pub(crate) fn authorized(&self, group: &str) -> Value {
        let mut permission = self.picked(&["IpProtocol", "FromPort", "ToPort"]);
        let (ranges, member) = match self.value["CidrIpv4"].is_string() {
            true => ("IpRanges", "CidrIp"),
            false => ("Ipv6Ranges", "CidrIpv6"),
        };
        let mut range = Map::new();
        range.insert(member.to_owned(), self.cidr.into());
        range.extend(self.picked(&["Description"]));
        permission.insert(ranges.to_owned(), json!([range]));
        let mut parameters = json!({"GroupId": group, "IpPermissions": [permission]});
        if self.value["Tags"]
            .as_array()
            .is_some_and(|tags| !tags.is_empty())
        {
            let tags = json!([{"ResourceType": "security-group-rule", "Tags": self.value["Tags"]}]);
            parameters["TagSpecifications"] = tags;
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_compared_as_a_whole() {
        let value = json!({"SecurityGroupRuleId": "sgr-1", "IsEgress": false, "IpProtocol": "tcp",
            "FromPort": 443, "ToPort": 444, "CidrIpv6": "::/0"});
        let rule = Rule::open(&value).expect("it is open");
        assert!(!rule.is_of("tcp/443") && !rule.is_of("udp/*") && rule.is_of("tcp/*"));
        assert_eq!(rule.words(), "tcp 443-444 from ::/0");
        for port in ["tcp/443", "icmp/*", "50/*"] {
            assert!(is_port(port), "{port}");
        }
        for port in ["", "tcp", "tcp/", "/443", "tcp/70000", "TCP/1"] {
            assert!(!is_port(port), "{port}");
        }
    }
}
