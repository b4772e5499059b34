//! Plugins that make plans, end to end: built, pinned in a policy, agreed to, carried out, verified and taken back.

use crate::harness::{Folder, Ran, tripline};
use crate::plugins::{good, run};
use crate::serve::service::Service;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The component of `open-rules`, built once, and its digest.
fn open_rules() -> &'static (PathBuf, String) {
    static BUILT: OnceLock<(PathBuf, String)> = OnceLock::new();
    BUILT.get_or_init(|| {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let ran = |arguments: &[&str]| -> Ran {
            let output = tripline(arguments).current_dir(&plugins).output();
            let ran: Ran = output.expect("the binary runs").into();
            assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
            ran
        };
        ran(&["plugin", "build", "open-rules"]);
        let component = "open-rules/tripline-open-rules.wasm";
        let told = ran(&["plugin", "inspect", component]).stdout;
        let digest = told.lines().find_map(|line| {
            let (_, digest) = line.split_once("sha256:")?;
            line.trim_start()
                .starts_with("digest")
                .then(|| digest.trim().to_owned())
        });
        let path = plugins.join(component).canonicalize();
        (
            path.expect("it is there"),
            digest.expect("a digest is told"),
        )
    })
}

fn policy(plugin: &str, digest: &str, more: &str) -> String {
    format!(
        r#"[remediation.close_group]
version = "1.0.0"
description = "Close a group."
runbook = "https://runbooks.example/close-group"
owner = "cloud-security"
on_finding = ["aws-ec2-security-group-open-to-world"]
when = '!has(event.errorCode)'
action = "plugin:{plugin}"
plugin_digest = "sha256:{digest}"
risk = "medium"
{more}
[remediation.close_group.params]
resource = "'arn:aws:ec2:' + event.awsRegion + ':' + event.recipientAccountId + ':security-group/' + event.requestParameters.groupId"
resource_kind = "'aws.ec2.security_group'"
fingerprint = "'open to the world'"

[remediation.close_group.stage]
mode = "approve"

[remediation.close_group.execution]
verify = {{ within = "10s", every = "100ms" }}
"#
    )
}

/// A folder with the operator's file, of which `granted` is what the planner may ask.
fn site(name: &str, granted: &str) -> Folder {
    let folder = Folder::new(name);
    let (component, _) = open_rules();
    let operator = format!(
        "[trust]\nunsigned = \"allow\"\n[plugins.open_rules]\npath = {component:?}\n\
         [plugins.open_rules.limits]\ndeadline = \"30s\"\n[plugins.open_rules.grant]\nreads = [{granted}]\n"
    );
    folder.file("plugins.toml", operator);
    folder
}

const DEMO: [&str; 6] = [
    "remediate",
    "demo",
    "--policy",
    "policy.toml",
    "--plugins",
    "plugins.toml",
];

#[test]
fn what_a_plugin_plans_is_agreed_to_done_verified_and_taken_back() {
    let folder = site("planner", "\"ec2.DescribeSecurityGroupRules\"");
    let (_, digest) = open_rules();
    folder.file("policy.toml", policy("open_rules", digest, ""));
    let ran = good(&folder, &DEMO);
    let mut rest = ran.stdout.as_str();
    // In this order: planned, done, seen to have worked, and taken back.
    for wanted in [
        "sgr-0d3m0000000000ssh  tcp 22-22 from 0.0.0.0/0",
        "revoke the rule of sg-0d3m00000000000aa that lets the whole world in",
        "ec2.RevokeSecurityGroupIngress",
        "plan hash",
        "done: revoke tcp 22 from 0.0.0.0/0 (sgr-0d3m0000000000ssh)",
        "web, from inside",
        "it taken back",
        "reverted",
        "done: add the rule tcp 22 from 0.0.0.0/0",
        "tcp 22-22 from 0.0.0.0/0",
        "The trail is whole",
        "2 requests changed something",
    ] {
        let at = rest.find(wanted);
        let at = at.unwrap_or_else(|| panic!("no `{wanted}` in\n{rest}\nof\n{}", ran.stdout));
        rest = &rest[at + wanted.len()..];
    }
}

#[test]
fn a_policy_and_a_plugin_that_do_not_agree_are_off() {
    let folder = site("planner-off", "\"ec2.DescribeSecurityGroupRules\"");
    let (_, digest) = open_rules();
    let check = |policy: String, expected: &str| {
        folder.file("policy.toml", policy);
        let ran = run(&folder, &DEMO);
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    };
    let other = "0".repeat(64);
    let means = format!("the plugin is sha256:{digest}, and the policy means sha256:{other}");
    check(policy("open_rules", &other, ""), &means);
    check(policy("missing", digest, ""), "there is no such plugin");
    let unpinned = policy("open_rules", digest, "").replace("plugin_digest", "# plugin_digest");
    check(unpinned, "`plugin:open_rules` needs `plugin_digest`");
    let unrated = policy("open_rules", digest, "").replace("risk =", "# risk =");
    check(unrated, "`plugin:open_rules` needs `risk`");
    let endless = policy("open_rules", digest, "").replace("when =", "# when =");
    check(endless, "may make events of the kind that it answers");
    let nameless = policy("open_rules", digest, "").replace("fingerprint =", "other =");
    check(nameless, "needs the parameter `fingerprint`");
    let alone = policy("open_rules", digest, "allow_irreversible = true");
    check(alone, "cannot be taken back");
    folder.file("policy.toml", policy("open_rules", digest, ""));
    let ran = run(&folder, &DEMO[..4]);
    assert!(
        ran.stderr.contains("no plugins are declared"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_plugin_that_is_granted_too_much_or_too_little_makes_no_plans() {
    let (_, digest) = open_rules();
    for (name, granted, expected) in [
        ("planner-little", "", "did not start"),
        ("planner-other", "\"ec2.DescribeVpcs\"", "did not start"),
    ] {
        let folder = site(name, granted);
        folder.file("policy.toml", policy("open_rules", digest, ""));
        let ran = run(&folder, &DEMO);
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    }
}

#[test]
fn a_planner_is_made_from_its_template() {
    let folder = Folder::new("planner-template");
    good(
        &folder,
        &["plugin", "new", "--kind", "planner", "acme/sample"],
    );
    good(&folder, &["plugin", "build", "sample"]);
    let ran = good(&folder, &["plugin", "test", "sample"]);
    assert_eq!(ran.stdout, "6 passed, 0 failed\n");
}

/// Policies are read again with the plugins that plan for them: whoever puts another plugin in place restarts nothing.
#[test]
fn a_plugin_that_plans_is_there_when_it_is_read_again() {
    let folder = crate::serve::folder("planner-again", "");
    let (component, digest) = open_rules();
    let path = folder.path();
    let operator = |unsigned: &str| {
        format!(
            "[trust]\nunsigned = \"{unsigned}\"\n[plugins.open_rules]\npath = {component:?}\n\
             [plugins.open_rules.grant]\nreads = [\"ec2.DescribeSecurityGroupRules\"]\n"
        )
    };
    folder.file("plugins.toml", operator("refuse"));
    folder.file("policies/close.toml", policy("open_rules", digest, ""));
    let config = std::fs::read_to_string(format!("{path}/tripline.toml")).expect("it is there");
    let config = format!(
        "rules.plugins = \"{path}/plugins.toml\"\n{config}\n[remediation]\nenabled = true\n\
         policies = [\"{path}/policies\"]\nown_credentials = true\nendpoint = \"http://127.0.0.1:1\"\n"
    );
    folder.file("tripline.toml", config);
    let service = Service::start(&folder);
    let in_force = || {
        let state = service.get("/v1/remediation");
        state["policies"].as_array().expect("a list").len()
    };
    assert_eq!(in_force(), 0, "nobody signed the plugin");
    folder.file("plugins.toml", operator("allow"));
    let (status, text) = service.post("/v1/reload", "");
    assert_eq!(status, 200, "{text}");
    assert_eq!(in_force(), 1);
    // What cannot be read changes nothing.
    folder.file("plugins.toml", "[trust]\nunsigned = 7\n");
    let (status, text) = service.post("/v1/reload", "");
    assert_eq!(status, 409, "{text}");
    assert_eq!(in_force(), 1);
    folder.file("plugins.toml", operator("refuse"));
    let (status, text) = service.post("/v1/reload", "");
    assert_eq!(status, 200, "{text}");
    assert_eq!(in_force(), 0);
    assert_eq!(service.terminate(), Some(0));
}
