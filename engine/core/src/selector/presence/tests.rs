use crate::selector::check::{CheckEnv, check as check_expr};
use crate::selector::{Schema, parse};
use expect_test::{Expect, expect};

/// The same as `check` for another source.
fn check_source(source: &str, text: &str, expected: &str) {
    let fixed = fixed(text, &|text| findings_of(source, text));
    assert_eq!(fixed, expected, "{text}");
}

fn findings(text: &str) -> Vec<crate::diagnostic::Diagnostic> {
    findings_of("aws.cloudtrail", text)
}

fn findings_of(source: &str, text: &str) -> Vec<crate::diagnostic::Diagnostic> {
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(diagnostics) => panic!("{text}: {diagnostics:?}"),
    };
    let schema = Schema::builtin(source);
    check_expr(&expr, &CheckEnv::condition(text, schema)).diagnostics
}

/// The text with the suggestion of every warning taken, last first; the unchanged text when there is none.
fn check(text: &str, expected: &str) {
    assert_eq!(fixed(text, &findings), expected, "{text}");
}

fn fixed(text: &str, findings: &dyn Fn(&str) -> Vec<crate::diagnostic::Diagnostic>) -> String {
    let mut fixed = text.to_owned();
    let mut found = findings(text);
    found.sort_by_key(|one| std::cmp::Reverse(one.span.start));
    for one in &found {
        assert_eq!(one.code.as_str(), "W2001", "{text}: {one:?}");
        let Some(suggestion) = &one.suggestion else {
            panic!("{text}: no suggestion in {one:?}")
        };
        let range = suggestion.span.start as usize..suggestion.span.end as usize;
        fixed.replace_range(range, &suggestion.replacement);
    }
    let again = findings(&fixed);
    assert!(again.is_empty(), "{fixed} still has {again:#?}");
    fixed
}

fn check_silent(text: &str) {
    check(text, text);
}

fn check_rendered(text: &str, expected: Expect) {
    use crate::diagnostic::{Palette, Source, render_text};
    let source = Source {
        name: "<selector>".to_owned(),
        text: text.to_owned(),
    };
    let all: String = findings(text)
        .iter()
        .map(|one| render_text(one, &source, Palette::PLAIN))
        .collect();
    expected.assert_eq(&all);
}

#[test]
fn positive_tests_are_left_alone() {
    check_silent("event.eventName != 'x' && !event.eventSource.startsWith('y')");
    check_silent("event.userIdentity.arn == 'x'");
    check_silent("event.userIdentity.arn.startsWith('x') && event.errorCode in ['a', 'b']");
    check_silent(
        "event.eventName == 'x' && (event.errorCode == 'a' || event.userIdentity.userName == 'b')",
    );
    check_silent("event.userIdentity.sessionContext.sessionIssuer.userName == 'x'");
    check_silent("event.requestParameters.policyDocument.contains('*')");
    check_silent("event.resources.exists(r, r.ARN == 'x')");
    check_silent("event.resources.all(r, r.type == 'x')");
    check_silent("event.readOnly == false && event.managementEvent");
    check_silent("event.userIdentity.accessKeyId != ''");
    check_silent("event.requestParameters != null && event.requestParameters.size() > 3");
}

#[test]
fn negated_tests_of_absent_fields_are_reported_with_the_fix() {
    check(
        "!event.userIdentity.arn.startsWith('x')",
        "!event.userIdentity.?arn.orValue(\"\").startsWith(\"x\")",
    );
    check(
        "event.errorCode != 'x'",
        "event.?errorCode.orValue(\"\") != \"x\"",
    );
    check(
        "event.errorCode == ''",
        "event.?errorCode.orValue(\"\") == \"\"",
    );
    check(
        "event.eventName == 'x' && !(event.userIdentity.type in ['Root', 'AWSService'])",
        "event.eventName == 'x' && !(event.userIdentity.?type.orValue(\"\") in [\"Root\", \"AWSService\"])",
    );
    check("!event.readOnly", "!event.?readOnly.orValue(false)");
    check(
        "event.additionalEventData.MFAUsed != 'Yes'",
        "event.?additionalEventData.?MFAUsed.orValue(\"\") != \"Yes\"",
    );
    check(
        "event.userIdentity.sessionContext.attributes.mfaAuthenticated != 'true'",
        "event.userIdentity.?sessionContext.?attributes.?mfaAuthenticated.orValue(\"\") != \"true\"",
    );
    check(
        "!(event.eventName == 'x' && event.errorCode == 'y')",
        "!(event.eventName == 'x' && event.?errorCode.orValue(\"\") == \"y\")",
    );
    check(
        "event.eventName == 'x' || !(event.userAgent.contains('y'))",
        "event.eventName == 'x' || !event.?userAgent.orValue(\"\").contains(\"y\")",
    );
    check(
        "!(event.userIdentity.userName.lowerAscii() == 'x') && !event.userIdentity.arn.endsWith('y')",
        "!(event.userIdentity.?userName.orValue(\"\").lowerAscii() == \"x\") && \
         !event.userIdentity.?arn.orValue(\"\").endsWith(\"y\")",
    );
    check(
        "event.requestParameters['x-y'] != 1",
        "event.requestParameters[?\"x-y\"].orValue(0) != 1",
    );
    check(
        "size(event.resources) == 0",
        "size(event.?resources.orValue([])) == 0",
    );
    check(
        "!has(event.userIdentity.sessionContext.sessionIssuer)",
        "!event.userIdentity.?sessionContext.?sessionIssuer.hasValue()",
    );
}

#[test]
fn tests_compared_with_false_are_negated_tests() {
    check(
        "event.userAgent.contains('x') == false",
        "event.?userAgent.orValue(\"\").contains(\"x\") == false",
    );
    check(
        "event.errorCode in ['x'] ? false : event.eventName == 'y'",
        "event.?errorCode.orValue(\"\") in [\"x\"] ? false : event.eventName == 'y'",
    );
}

#[test]
fn functions_that_read_text_get_text_they_can_read() {
    check(
        "!(timestamp(event.userIdentity.sessionContext.attributes.creationDate) < timestamp(event.eventTime))",
        "!(timestamp(event.userIdentity.?sessionContext.?attributes.?creationDate.orValue(\"1970-01-01T00:00:00Z\")) < \
         timestamp(event.eventTime))",
    );
    check(
        "!(int(event.requestParameters.maxSessionDuration) < 3600)",
        "!(int(event.requestParameters.?maxSessionDuration.orValue(\"0\")) < 3600)",
    );
    check(
        "event.requestParameters.policy != event.responseElements.policy",
        "event.requestParameters.?policy.orValue(\"\") != event.responseElements.?policy.orValue(\"\")",
    );
}

#[test]
fn macros_over_elements_are_understood() {
    check(
        "!event.resources.exists(r, r.ARN == 'x')",
        "!event.?resources.orValue([]).exists(r, r.?ARN.orValue(\"\") == \"x\")",
    );
    check(
        "event.?resources.orValue([]).exists(r, r.type != 'x')",
        "event.?resources.orValue([]).exists(r, r.?type.orValue(\"\") != \"x\")",
    );
    check(
        "event.resources.filter(r, r.type == 'x').size() > 0",
        "event.?resources.orValue([]).filter(r, r.?type.orValue(\"\") == \"x\").size() > 0",
    );
}

#[test]
fn guards_count_wherever_they_stand() {
    check_silent("has(event.errorCode) && event.errorCode != 'x'");
    check_silent("event.errorCode != 'x' && has(event.errorCode)");
    check_silent("!has(event.errorCode) || event.errorCode != 'x'");
    check_silent("has(event.errorCode) ? event.errorCode != 'x' : event.eventName == 'y'");
    check_silent("(has(event.errorCode) ? event.errorCode : '') != 'x'");
    check_silent("event.?errorCode.orValue('') != 'x'");
    check_silent("!event.?userIdentity.?arn.orValue('').startsWith('x')");
    check_silent("event.?errorCode.hasValue() && event.errorCode != 'x'");
    check_silent("event.errorCode.startsWith('Client.') && event.errorCode != 'Client.x'");
    check_silent(
        "has(event.userIdentity.sessionContext) && !has(event.userIdentity.sessionContext.sessionIssuer)",
    );
    check_silent("event.requestParameters != null && !has(event.requestParameters.kmsKeyId)");
    check_silent("!has(event.requestParameters.kmsKeyId)");
    check_silent("has(event.errorCode) == false || event.errorCode != 'x'");
    check_silent("!isIP(event.sourceIPAddress)");
    check_silent("!cidr('10.0.0.0/8').contains(event.sourceIPAddress)");
    check_silent("cel.bind(arn, event.userIdentity.?arn.orValue(''), !arn.startsWith('x'))");
    check_silent("event.?errorCode.optMap(code, code != 'x').orValue(true)");
}

#[test]
fn nulls_are_understood() {
    check_source(
        "okta.system-log",
        "!event.outcome.reason.contains('x')",
        "!optional.ofNonZeroValue(event.?outcome.?reason.orValue(\"\")).orValue(\"\").contains(\"x\")",
    );
    check_source(
        "okta.system-log",
        "event.actor.alternateId != 'x'",
        "event.?actor.?alternateId.orValue(\"\") != \"x\"",
    );
    check_source(
        "okta.system-log",
        "event.outcome.result == 'FAILURE'",
        "event.outcome.result == 'FAILURE'",
    );
}

#[test]
fn the_warning_says_what_where_and_what_to_do() {
    check_rendered(
        "event.eventName == 'x' && !event.userIdentity.arn.startsWith('arn:aws:iam::111122223333:role/ci-')",
        expect![[r#"
            warning[W2001]: the rule silently does not fire on events without `event.userIdentity.arn`
             --> <selector>:1:28
              |
            1 | event.eventName == 'x' && !event.userIdentity.arn.startsWith('arn:aws:iam::111122223333:role/ci-')
              |                            ^^^^^^^^^^^^^^^^^^^^^^ `arn` may be absent; reading it is then an error
              = help: if an absent field counts as empty: `!event.userIdentity.?arn.orValue("").startsWith("arn:aws:iam::111122223333:role/ci-")`
              = help: if the rule is only about events that have it: `has(event.userIdentity.arn) && !event.userIdentity.arn.startsWith("arn:aws:iam::111122223333:role/ci-")`
              = try: event.eventName == 'x' && !event.userIdentity.?arn.orValue("").startsWith("arn:aws:iam::111122223333:role/ci-")

        "#]],
    );
    check_rendered(
        "event.responseElements.ConsoleLogin == 'Success' && event.additionalEventData.MFAUsed != 'Yes'",
        expect![[r#"
            warning[W2001]: the rule silently does not fire on events without `event.additionalEventData.MFAUsed`
             --> <selector>:1:53
              |
            1 | event.responseElements.ConsoleLogin == 'Success' && event.additionalEventData.MFAUsed != 'Yes'
              |                                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `additionalEventData` and `MFAUsed` may be absent or null; reading it is then an error
              = help: if an absent field counts as empty: `event.?additionalEventData.?MFAUsed.orValue("") != "Yes"`
              = help: if the rule is only about events that have it: `has(event.additionalEventData) && has(event.additionalEventData.MFAUsed) && event.additionalEventData.MFAUsed != "Yes"`
              = try: event.responseElements.ConsoleLogin == 'Success' && event.?additionalEventData.?MFAUsed.orValue("") != "Yes"

        "#]],
    );
    check_rendered(
        "event.userIdentity.sessionContext.sessionIssuer.userName != 'x'",
        expect![[r#"
            warning[W2001]: the rule silently does not fire on events without `event.userIdentity.sessionContext.sessionIssuer.userName`
             --> <selector>:1:1
              |
            1 | event.userIdentity.sessionContext.sessionIssuer.userName != 'x'
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `sessionContext`, `sessionIssuer` and `userName` may be absent; reading it is then an error
              = help: if an absent field counts as empty: `event.userIdentity.?sessionContext.?sessionIssuer.?userName.orValue("") != "x"`
              = help: if the rule is only about events that have it: `has(event.userIdentity.sessionContext) && has(event.userIdentity.sessionContext.sessionIssuer) && has(event.userIdentity.sessionContext.sessionIssuer.userName) && event.userIdentity.sessionContext.sessionIssuer.userName != "x"`
              = try: event.userIdentity.?sessionContext.?sessionIssuer.?userName.orValue("") != "x"

        "#]],
    );
}

/// What stands in for an absent field may be absent too.
#[test]
fn two_fields_absent_at_once() {
    check(
        "event.?userAgent.orValue(event.errorCode) != 'x'",
        "event.?userAgent.orValue(event.?errorCode.orValue(\"\")) != \"x\"",
    );
    check(
        "!event.?userIdentity.?arn.orValue(event.userIdentity.userName).startsWith('svc-')",
        "!event.?userIdentity.?arn.orValue(event.userIdentity.?userName.orValue(\"\")).startsWith(\"svc-\")",
    );
    check_silent("event.?userAgent.orValue(event.errorCode) == 'x'");
    check_silent("event.?userAgent.orValue(event.eventName) != 'x'");
    // What is always there needs nothing in its stead.
    check_silent("event.?eventName.orValue(event.errorCode) != 'x'");
    check_silent("event.?userAgent.or(event.?errorCode).orValue('') != 'x'");
    check_silent(
        "has(event.userAgent) ? event.userAgent != 'x' : event.?errorCode.orValue('') != 'x'",
    );
}
