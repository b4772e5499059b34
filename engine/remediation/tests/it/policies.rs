//! What is refused when policies are loaded: in which file and line, and what is said to help.

use crate::stage::{WIDE, text_with};
use tripline_remediation::ask::Questions;
use tripline_remediation::policy::{Loaded, load};

fn loaded(files: &[(&str, &str)]) -> Loaded {
    let mut loaded = load(files.iter().copied());
    Questions::of(&mut loaded, jiff::civil::date(2027, 1, 1));
    loaded
}

/// The line of a report, from 1, and what is said.
fn said(loaded: &Loaded) -> Vec<(String, usize, String, String)> {
    let said = loaded.reports.iter().map(|one| {
        let before = &one.source.text[..one.diagnostic.span.start as usize];
        let line = before.matches('\n').count() + 1;
        (
            one.source.name.clone(),
            line,
            one.diagnostic.message.clone(),
            one.diagnostic.help.join(" "),
        )
    });
    said.collect()
}

const ONE: &str = r#"# a comment
[remediation.one]
version = "1.0.0"
description = "It is mended."
runbook = "https://runbooks.example.com/one"
owner = "cloud"
on_finding = ["one.*"]
when = "event.eventName == 'AuthorizeSecurityGroupIngress'"
action = "aws.ec2.revoke_ingress_rule"
risk = "medium"
stage = { mode = "auto", percent = 50 }
limits = { per_policy = { max = 20, window = "10m" }, per_account = { max = 5, window = "10m" } }
approval = { quorum = 1 }
execution = { step_timeout = "10s" }

[remediation.one.params]
open_ports = "['443']"
"#;

#[test]
fn whatever_is_wrong_is_refused_with_its_line_and_what_helps() {
    assert_eq!(said(&loaded(&[("one.toml", ONE)])), Vec::new());
    // What is written instead of what, in which line, and what is said of it.
    let wrong = [
        ("version = \"1.0.0\"", "version = \"1.0\"", 3, "no version"),
        (
            "description = \"It is mended.\"",
            "description = \"\"",
            4,
            "`description` is empty",
        ),
        (
            "runbook = \"https://runbooks.example.com/one\"",
            "runbook = \" \"",
            5,
            "`runbook` is empty",
        ),
        ("owner = \"cloud\"", "owner = \"\"", 6, "`owner` is empty"),
        ("owner = \"cloud\"\n", "", 2, "missing field `owner`"),
        ("[\"one.*\"]", "[]", 7, "no rule is named"),
        (
            "when = \"event.eventName == 'AuthorizeSecurityGroupIngress'\"",
            "when = \"\"",
            9,
            "makes events of the kind",
        ),
        ("'AuthorizeSecurityGroupIngress'\"", "\"", 8, "when"),
        (
            "aws.ec2.revoke_ingress_rule",
            "aws.ec2.revoke_everything",
            9,
            "there is no action",
        ),
        (
            "aws.ec2.revoke_ingress_rule",
            "aws.iam.delete_access_key",
            17,
            "no parameter",
        ),
        ("risk = \"medium\"", "risk = \"low\"", 10, "at least medium"),
        (
            "risk = \"medium\"",
            "risk = \"none\"",
            10,
            "unknown variant",
        ),
        (
            "risk = \"medium\"",
            "risks = \"medium\"",
            10,
            "unknown field",
        ),
        (
            "risk = \"medium\"",
            "min_severity = \"bad\"",
            10,
            "no severity",
        ),
        ("percent = 50", "percent = 101", 11, "101 of a hundred"),
        ("percent = 50", "percents = 50", 11, "unknown field"),
        (
            "mode = \"auto\"",
            "mode = \"always\"",
            11,
            "unknown variant",
        ),
        (
            "percent = 50",
            "promote = { after_successes = 1, max_revert_rate = nan, min_days = 1 }",
            11,
            "unknown field",
        ),
        (
            "per_policy = { max = 20, window = \"10m\" }, ",
            "",
            12,
            "needs `limits.per_policy`",
        ),
        (
            ", per_account = { max = 5, window = \"10m\" }",
            "",
            12,
            "needs `limits.per_account`",
        ),
        (
            "max = 20, window = \"10m\"",
            "max = 20, window = \"0s\"",
            12,
            "a cap of 20",
        ),
        ("max = 20,", "max = 200000,", 12, "a cap of 200000"),
        ("max = 20,", "max = -1,", 12, "invalid value"),
        (
            "window = \"10m\"",
            "window = \"10 minutes\"",
            12,
            "not a length of time",
        ),
        (
            "limits = { ",
            "limits = { concurrency = 0, ",
            12,
            "nothing could ever run",
        ),
        (
            "limits = { ",
            "limits = { max_percent = { of = \"aws.ec2.security_group\", percent = nan }, ",
            12,
            "of a hundred",
        ),
        (
            "limits = { per_policy = { max = 20, window = \"10m\" }, ",
            "limits = { max_percent = { of = \"x\", percent = 1.0 }, ",
            12,
            "per_policy",
        ),
        ("quorum = 1", "quorum = 0", 13, "a quorum of 0"),
        ("quorum = 1", "quorum = 21", 13, "a quorum of 21"),
        (
            "quorum = 1",
            "on_timeout = \"approve\"",
            13,
            "unknown variant",
        ),
        (
            "step_timeout = \"10s\"",
            "step_timeout = \"0s\"",
            14,
            "a request may take",
        ),
        (
            "step_timeout = \"10s\"",
            "step_timeout = \"1h\"",
            14,
            "a request may take",
        ),
        (
            "open_ports = \"['443']\"",
            "open_ports = \"['443'\"",
            17,
            "parameter open_ports",
        ),
        (
            "open_ports = \"['443']\"",
            "open_port = \"'443'\"",
            17,
            "no parameter `open_port`",
        ),
        (
            "remediation.one",
            "remediation.One",
            2,
            "no name of a policy",
        ),
    ];
    for (what, instead, line, message) in wrong {
        assert!(ONE.contains(what), "{what}");
        let text = ONE.replace(what, instead);
        let other = text_with(WIDE);
        let loaded = loaded(&[("one.toml", &text), ("other.toml", &other)]);
        let all = said(&loaded);
        let found = all.iter().find(|one| one.2.contains(message));
        let found = found.unwrap_or_else(|| panic!("{instead}: {all:?}"));
        assert_eq!(found.0, "one.toml", "{instead}");
        let about = if message == "missing field `owner`" {
            0
        } else {
            line
        };
        let is_near = about == 0 || found.1 == line || (line == 17 && found.1 == 16);
        assert!(is_near, "{instead}: line {} and not {line}", found.1);
        assert!(!found.3.is_empty(), "{instead}: nothing helps");
        // One that is wrong puts no other out of force.
        assert!(
            loaded.policies.iter().all(|one| one.id != "one"),
            "{instead}"
        );
        assert_eq!(loaded.policies.len(), 5, "{instead}: {all:?}");
        assert!(!loaded.is_exemption_lost, "{instead}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_policy_is_told_at_once() {
    let text = ONE
        .replace("version = \"1.0.0\"", "version = \"1\"")
        .replace("owner = \"cloud\"", "owner = \"\"")
        .replace("percent = 50", "percent = 101")
        .replace("max = 5,", "max = 500000,")
        .replace("quorum = 1", "quorum = 0")
        .replace("step_timeout = \"10s\"", "step_timeout = \"2m\"")
        .replace("open_ports", "open_port")
        + "[remediation.one.credentials]\nrole = \"remediation\"\n";
    let all = said(&loaded(&[("one.toml", &text)]));
    let lines: std::collections::BTreeSet<usize> = all.iter().map(|one| one.1).collect();
    let wanted = [3, 6, 11, 12, 13, 14, 16, 19];
    assert_eq!(Vec::from_iter(lines), wanted, "{all:?}");
}

#[test]
fn what_no_event_says_the_policy_must() {
    let text = ONE
        .replace("aws.ec2.revoke_ingress_rule", "kubernetes.cordon_node")
        .replace("open_ports = \"['443']\"", "name = \"event.node\"");
    let all = said(&loaded(&[("one.toml", &text)]));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].2.contains("needs the parameter `target`"), "{all:?}");
    let good = text.replace("name = ", "target = \"'prod'\"\nname = ");
    assert_eq!(said(&loaded(&[("one.toml", &good)])), Vec::new());
}

#[test]
fn what_never_has_an_effect_is_warned_of() {
    let exempt = |expires: &str| {
        format!(
            "[[exempt]]\narn = \"urn:kubernetes:prod:*\"\nreason = \"r\"\nowner = \"o\"\nexpires = {expires}\n"
        )
    };
    let warned = |one: &str, exempt: &str| {
        let mut loaded = loaded(&[("one.toml", one), ("exempt.toml", exempt)]);
        assert_eq!(said(&loaded), Vec::new());
        loaded.warn_of_what_is_idle(jiff::civil::date(2027, 1, 1));
        assert_eq!((loaded.policies.len(), loaded.exempt.len()), (1, 1));
        said(&loaded)
    };
    assert_eq!(warned(ONE, &exempt("2027-01-01")), Vec::new());
    let is_over = warned(ONE, &exempt("2026-12-31"));
    assert_eq!((is_over[0].0.as_str(), is_over.len()), ("exempt.toml", 1));
    let wide = warned(&ONE.replace("max = 5,", "max = 21,"), &exempt("2027-01-01"));
    assert!(wide[0].2.contains("never reached"), "{wide:?}");
    let slow = "max = 21, window = \"20m\"";
    let slow = ONE.replace("max = 5, window = \"10m\"", slow);
    assert_eq!(warned(&slow, &exempt("2027-01-01")), Vec::new());
    let never = warned(&ONE.replace("max = 20,", "max = 0,"), &exempt("2027-01-01"));
    assert!(
        never
            .iter()
            .any(|one| one.2.contains("nothing ever begins")),
        "{never:?}"
    );
}

#[test]
fn what_cannot_be_taken_back_needs_two_people() {
    let text = ONE
        .replace("aws.ec2.revoke_ingress_rule", "aws.iam.delete_access_key")
        .replace("risk = \"medium\"", "allow_irreversible = true")
        .replace("[remediation.one.params]\nopen_ports = \"['443']\"\n", "");
    let good = text
        .replace("mode = \"auto\"", "mode = \"approve\"")
        .replace("quorum = 1", "quorum = 2");
    assert_eq!(said(&loaded(&[("one.toml", &good)])), Vec::new());
    for (what, instead) in [
        ("quorum = 2", "quorum = 1"),
        ("mode = \"approve\"", "mode = \"veto\""),
        ("mode = \"approve\"", "mode = \"auto\""),
        ("allow_irreversible = true", "allow_irreversible = false"),
    ] {
        let all = said(&loaded(&[("one.toml", &good.replace(what, instead))]));
        assert!(
            all.iter()
                .any(|one| one.1 == 9 && one.2.contains("cannot be taken back")),
            "{instead}: {all:?}"
        );
    }
}

#[test]
fn an_exemption_that_cannot_be_read_puts_all_policies_out_of_force() {
    const EXEMPT: &str = "[[exempt]]\narn = \"arn:aws:ec2:*:*:security-group/sg-1\"\npolicies = [\"one\"]\nreason = \"bastion\"\nowner = \"ops\"\nexpires = 2027-03-01\n";
    let all = |exempt: &str| loaded(&[("one.toml", ONE), ("exempt.toml", exempt)]);
    assert!(!all(EXEMPT).is_exemption_lost);
    assert_eq!(all(EXEMPT).exempt.len(), 1);
    for (what, instead) in [
        ("expires = 2027-03-01\n", ""),
        ("expires = 2027-03-01\n", "expires = \"never\"\n"),
        ("expires = 2027-03-01\n", "expires = 10:00:00\n"),
        ("owner = \"ops\"\n", ""),
        ("reason = \"bastion\"\n", "reason = \" \"\n"),
        ("arn = \"arn:aws:ec2:*:*:security-group/sg-1\"\n", ""),
        ("arn:aws:ec2", "sg-1"),
        ("policies = [\"one\"]", "policies = [\"onw\"]"),
        ("policies", "policy"),
        ("[[exempt]]", "[exempt]"),
        ("reason = \"bastion\"", "reason = \"bastion"),
    ] {
        assert!(EXEMPT.contains(what), "{what}");
        let loaded = all(&EXEMPT.replace(what, instead));
        assert!(loaded.is_exemption_lost, "{instead}");
        let said = said(&loaded);
        assert!(
            said.iter()
                .any(|one| one.0 == "exempt.toml" && !one.3.is_empty()),
            "{instead}: {said:?}"
        );
    }
    // An exemption of a policy that is itself refused is not lost.
    let wrong = ONE.replace("percent = 50", "percent = 500");
    let loaded = loaded(&[("one.toml", &wrong), ("exempt.toml", EXEMPT)]);
    assert!(!loaded.is_exemption_lost);
}

#[test]
fn policies_of_like_names_ask_their_own_questions() {
    let other = ONE.replace("remediation.one", "remediation.o__ne").replace(
        "'AuthorizeSecurityGroupIngress'",
        "'ModifySecurityGroupRules'",
    );
    let one = ONE.replace("remediation.one", "remediation.o_ne");
    let mut loaded = load([("one.toml", one.as_str()), ("other.toml", other.as_str())]);
    let questions = Questions::of(&mut loaded, jiff::civil::date(2027, 1, 1));
    assert_eq!(said(&loaded), Vec::new());
    let answers = questions
        .ask(br#"{"eventSource": "ec2.amazonaws.com", "eventName": "ModifySecurityGroupRules"}"#);
    use tripline_remediation::ask::Asked;
    assert_eq!(answers["o_ne"], Asked::No);
    assert!(matches!(answers["o__ne"], Asked::Yes(_)));
}

#[test]
fn a_name_is_there_once() {
    let all = said(&loaded(&[("one.toml", ONE), ("two.toml", ONE)]));
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].0.as_str(), all[0].1), ("two.toml", 2));
}
