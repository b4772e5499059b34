use super::{CheckEnv, check as check_expr};
use crate::diagnostic::{Palette, Source, render_text};
use crate::selector::{Schema, Type, parse};
use expect_test::{Expect, expect};

fn cloudtrail() -> Option<&'static Schema> {
    Schema::builtin("aws.cloudtrail")
}

fn rendered(text: &str, env: &CheckEnv<'_>) -> String {
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(diagnostics) => panic!("{text}: {diagnostics:?}"),
    };
    let source = Source {
        name: "<selector>".to_owned(),
        text: text.to_owned(),
    };
    let checked = check_expr(&expr, env);
    checked
        .diagnostics
        .iter()
        .map(|one| render_text(one, &source, Palette::PLAIN))
        .collect()
}

/// The diagnostics of `text` as a condition on a CloudTrail record.
fn check(text: &str, expected: Expect) {
    let lists = ["trusted-accounts".to_owned(), "break-glass".to_owned()];
    expected.assert_eq(&rendered(
        text,
        &CheckEnv::condition(text, cloudtrail()).with_lists(&lists),
    ));
}

/// `text` has nothing wrong, and this type on an untyped event.
fn check_type(text: &str, expected: &str) {
    let expr = parse(text).expect("valid");
    let checked = check_expr(&expr, &CheckEnv::value(text, None));
    let found: Vec<&str> = checked
        .diagnostics
        .iter()
        .map(|one| one.message.as_str())
        .collect();
    assert_eq!(
        (checked.result.to_string().as_str(), found),
        (expected, vec![]),
        "{text}"
    );
}

#[test]
fn types_are_deduced() {
    check_type("1 + 2 * 3", "int");
    check_type("1 < 2.0 && 2u >= 1", "bool");
    check_type("[1, 2]", "list(int)");
    check_type("[1, 'a']", "list(dyn)");
    check_type("[]", "list(dyn)");
    check_type("{'a': [1u]}", "map(string, list(uint))");
    check_type("{'a': 1}.a + 1", "int");
    check_type("[1, 2].map(x, [x, x])", "list(list(int))");
    check_type("['a'].filter(x, x.startsWith('a'))[0].size()", "int");
    check_type(
        "{'a': 1}.transformMap(k, v, v > 1, string(v))",
        "map(string, string)",
    );
    check_type("{'a': 1}.transformList(k, v, k)", "list(string)");
    check_type("[1].exists(i, v, i == v)", "bool");
    check_type("event.x.y[0].z", "dyn");
    check_type("event.?x.?y", "optional_type(dyn)");
    check_type("optional.of(1).orValue(2)", "int");
    check_type("[1].first().optMap(x, x + 1)", "optional_type(int)");
    check_type("{?'a': optional.of(1)}", "map(string, int)");
    check_type("cel.bind(x, 1, [x])", "list(int)");
    check_type("cel.block([1, cel.index(0) + 1], cel.index(1))", "int");
    check_type(
        "timestamp('2026-05-04T09:12:33Z') - duration('1h')",
        "timestamp",
    );
    check_type("timestamp(event.t).getHours('Europe/Berlin')", "int");
    check_type("math.greatest(1, 2.0)", "dyn");
    check_type("math.greatest(1, 2)", "int");
    check_type("math.least([1u])", "uint");
    check_type("cidr('10.0.0.0/8').contains(event.ip)", "bool");
    check_type("ip('10.0.0.1').family()", "int");
    check_type("json.parse(event.text).a.b", "dyn");
    check_type("type(1) == int", "bool");
    check_type("true ? 1 : dyn('a')", "int");
    check_type("google.protobuf.Timestamp{seconds: 1}", "timestamp");
    check_type("'a,b'.split(',').join('-')", "string");
    check_type("null == event.x", "bool");
    check_type("[null, 'a']", "list(dyn)");
    check_type("optional.none()", "optional_type(dyn)");
}

#[test]
fn names_that_do_not_exist_get_suggestions() {
    check(
        "eventName == 'x' && arn == 'y'",
        expect![[r#"
        error[E2001]: there is no variable `eventName`
         --> <selector>:1:1
          |
        1 | eventName == 'x' && arn == 'y'
          | ^^^^^^^^^
          = help: did you mean `event.eventName`?
          = try: event.eventName == 'x' && arn == 'y'

        error[E2001]: there is no variable `arn`
         --> <selector>:1:21
          |
        1 | eventName == 'x' && arn == 'y'
          |                     ^^^
          = help: did you mean `event.userIdentity.arn`?
          = try: eventName == 'x' && event.userIdentity.arn == 'y'

    "#]],
    );
    check(
        "evnt.eventName == 'x'",
        expect![[r#"
        error[E2001]: there is no variable `evnt`
         --> <selector>:1:1
          |
        1 | evnt.eventName == 'x'
          | ^^^^
          = help: did you mean `event`?
          = try: event.eventName == 'x'

    "#]],
    );
    check(
        "event.evenName == 'x' && event.userIdentity.username == 'y'",
        expect![[r#"
            error[E2004]: `event` has no field `evenName` in aws.cloudtrail
             --> <selector>:1:7
              |
            1 | event.evenName == 'x' && event.userIdentity.username == 'y'
              |       ^^^^^^^^
              = help: did you mean `eventName`?
              = try: event.eventName == 'x' && event.userIdentity.username == 'y'

            error[E2004]: `event.userIdentity` has no field `username` in aws.cloudtrail
             --> <selector>:1:45
              |
            1 | event.evenName == 'x' && event.userIdentity.username == 'y'
              |                                             ^^^^^^^^
              = help: did you mean `userName`?
              = try: event.evenName == 'x' && event.userIdentity.userName == 'y'

        "#]],
    );
    check(
        "event.arn == 'x' && event.userIdentity.colour == 'y'",
        expect![[r#"
            error[E2004]: `event` has no field `arn` in aws.cloudtrail
             --> <selector>:1:7
              |
            1 | event.arn == 'x' && event.userIdentity.colour == 'y'
              |       ^^^
              = help: did you mean `event.userIdentity.arn`?
              = try: event.userIdentity.arn == 'x' && event.userIdentity.colour == 'y'

            error[E2004]: `event.userIdentity` has no field `colour` in aws.cloudtrail
             --> <selector>:1:40
              |
            1 | event.arn == 'x' && event.userIdentity.colour == 'y'
              |                                        ^^^^^^
              = help: its fields are accessKeyId, accountId, arn, credentialId, identityProvider, inScopeOf, invokedBy, onBehalfOf, principalId, sessionContext, type, userName

        "#]],
    );
    check(
        "event.eventName == StopLogging || None == event.x",
        expect![[r#"
            error[E2001]: there is no variable `StopLogging`
             --> <selector>:1:20
              |
            1 | event.eventName == StopLogging || None == event.x
              |                    ^^^^^^^^^^^
              = help: fields are reached as `event.StopLogging`; text belongs in quotes: `"StopLogging"`

            error[E2001]: there is no variable `None`
             --> <selector>:1:35
              |
            1 | event.eventName == StopLogging || None == event.x
              |                                   ^^^^
              = help: it is written `null`
              = try: event.eventName == StopLogging || null == event.x

            error[E2004]: `event` has no field `x` in aws.cloudtrail
             --> <selector>:1:49
              |
            1 | event.eventName == StopLogging || None == event.x
              |                                                 ^
              = help: its fields are addendum, additionalEventData, annotation, apiVersion, awsRegion, edgeDeviceDetails, errorCode, errorMessage, eventCategory, eventContext, eventID, eventName

        "#]],
    );
    check(
        "event.eventName.lower() == 'x' && startsWith(event.eventName, 'x')",
        expect![[r#"
            error[E2002]: there is no function `lower`
             --> <selector>:1:17
              |
            1 | event.eventName.lower() == 'x' && startsWith(event.eventName, 'x')
              |                 ^^^^^
              = help: use `text.lowerAscii()`

            error[E2002]: there is no function `startsWith`
             --> <selector>:1:35
              |
            1 | event.eventName.lower() == 'x' && startsWith(event.eventName, 'x')
              |                                   ^^^^^^^^^^
              = help: it is called on its first argument: `event.eventName.startsWith("x")`

        "#]],
    );
    check(
        "event.eventName.startWith('x') && math.greatst(1, 2) == 2 && nothing()",
        expect![[r#"
            error[E2002]: there is no function `startWith`
             --> <selector>:1:17
              |
            1 | event.eventName.startWith('x') && math.greatst(1, 2) == 2 && nothing()
              |                 ^^^^^^^^^
              = help: did you mean `startsWith`?
              = try: event.eventName.startsWith('x') && math.greatst(1, 2) == 2 && nothing()

            error[E2002]: there is no function `greatst`
             --> <selector>:1:40
              |
            1 | event.eventName.startWith('x') && math.greatst(1, 2) == 2 && nothing()
              |                                        ^^^^^^^
              = help: did you mean `math.greatest`?
              = try: event.eventName.startWith('x') && math.greatest(1, 2) == 2 && nothing()

            error[E2002]: there is no function `nothing`
             --> <selector>:1:62
              |
            1 | event.eventName.startWith('x') && math.greatst(1, 2) == 2 && nothing()
              |                                                              ^^^^^^^

        "#]],
    );
    check(
        "sets.contains([1], [2]) || proto.hasExt(event, x) || [1].sortBy(x, x) == []",
        expect![[r#"
            error[E2010]: `sets.contains` is not supported
             --> <selector>:1:6
              |
            1 | sets.contains([1], [2]) || proto.hasExt(event, x) || [1].sortBy(x, x) == []
              |      ^^^^^^^^
              = help: ask every value: `wanted.all(x, x in list)`

            error[E2010]: `proto.hasExt` is not supported
             --> <selector>:1:34
              |
            1 | sets.contains([1], [2]) || proto.hasExt(event, x) || [1].sortBy(x, x) == []
              |                                  ^^^^^^
              = help: events are JSON and have no protobuf extensions

            error[E2010]: `sortBy` is not supported
             --> <selector>:1:58
              |
            1 | sets.contains([1], [2]) || proto.hasExt(event, x) || [1].sortBy(x, x) == []
              |                                                          ^^^^^^
              = help: `sort` sorts by the values themselves

        "#]],
    );
    check(
        "ip.isLoopback('127.0.0.1')",
        expect![[r#"
            error[E2001]: there is no variable `ip`
             --> <selector>:1:1
              |
            1 | ip.isLoopback('127.0.0.1')
              | ^^
              = help: `ip` is a function: call it, `ip(…)`

        "#]],
    );
    check(
        "event.resources.ARN == 'x'",
        expect![[r#"
        error[E2003]: a list(object) has no fields
         --> <selector>:1:17
          |
        1 | event.resources.ARN == 'x'
          |                 ^^^
          = help: ask its elements: `event.resources.exists(item, item.ARN == …)`

    "#]],
    );
}

#[test]
fn types_that_do_not_fit_are_explained() {
    check(
        "event.awsRegion == 1 || event.readOnly == 'true'",
        expect![[r#"
            error[E2003]: a string can never equal an int
             --> <selector>:1:1
              |
            1 | event.awsRegion == 1 || event.readOnly == 'true'
              | ^^^^^^^^^^^^^^^^^^^^
            1 | event.awsRegion == 1 || event.readOnly == 'true'
              | --------------- a string
            1 | event.awsRegion == 1 || event.readOnly == 'true'
              |                    - an int
              = help: write it as a string: `"1"`
              = try: event.awsRegion == "1" || event.readOnly == 'true'

            error[E2003]: a bool can never equal a string
             --> <selector>:1:25
              |
            1 | event.awsRegion == 1 || event.readOnly == 'true'
              |                         ^^^^^^^^^^^^^^^^^^^^^^^^
            1 | event.awsRegion == 1 || event.readOnly == 'true'
              |                         -------------- a bool
            1 | event.awsRegion == 1 || event.readOnly == 'true'
              |                                           ------ a string
              = help: write it as a bool: `true`
              = try: event.awsRegion == 1 || event.readOnly == true

        "#]],
    );
    check(
        "event.eventTime < timestamp('2026-05-04T00:00:00Z')",
        expect![[r#"
            error[E2003]: `<` does not take a string and a timestamp
             --> <selector>:1:1
              |
            1 | event.eventTime < timestamp('2026-05-04T00:00:00Z')
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            1 | event.eventTime < timestamp('2026-05-04T00:00:00Z')
              | --------------- a string
            1 | event.eventTime < timestamp('2026-05-04T00:00:00Z')
              |                   --------------------------------- a timestamp
              = help: read the text as a moment: `timestamp(event.eventTime)`
              = try: timestamp(event.eventTime) < timestamp('2026-05-04T00:00:00Z')

        "#]],
    );
    check(
        "event.awsRegion != null",
        expect![[r#"
            error[E2003]: a string can never equal null
             --> <selector>:1:1
              |
            1 | event.awsRegion != null
              | ^^^^^^^^^^^^^^^^^^^^^^^
            1 | event.awsRegion != null
              | --------------- a string
            1 | event.awsRegion != null
              |                    ---- null
              = help: `event.awsRegion` is never null, but may be absent: ask `has(event.awsRegion)`

        "#]],
    );
    check(
        "event.eventName == ['a', 'b'] && event.eventName in 'abc'",
        expect![[r#"
            error[E2003]: a string can never equal a list(string)
             --> <selector>:1:1
              |
            1 | event.eventName == ['a', 'b'] && event.eventName in 'abc'
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            1 | event.eventName == ['a', 'b'] && event.eventName in 'abc'
              | --------------- a string
            1 | event.eventName == ['a', 'b'] && event.eventName in 'abc'
              |                    ---------- a list(string)
              = help: whether a list has a value is asked with `value in ["a", "b"]`

            error[E2003]: `in` cannot look for a string in a string
             --> <selector>:1:34
              |
            1 | event.eventName == ['a', 'b'] && event.eventName in 'abc'
              |                                  ^^^^^^^^^^^^^^^^^^^^^^^^
            1 | event.eventName == ['a', 'b'] && event.eventName in 'abc'
              |                                  --------------- a string
            1 | event.eventName == ['a', 'b'] && event.eventName in 'abc'
              |                                                     ----- a string
              = help: look for a part of a text with `"abc".contains(event.eventName)`

        "#]],
    );
    check(
        "event.eventName in ['a', 1u, true][0] || 'a' && 1",
        expect![[r#"
            error[E2003]: `&&` joins conditions, this is a string
             --> <selector>:1:42
              |
            1 | event.eventName in ['a', 1u, true][0] || 'a' && 1
              |                                          ^^^
              = help: repeat the field for every value, or use `field in [value, value]`

            error[E2003]: `&&` joins conditions, this is a int
             --> <selector>:1:49
              |
            1 | event.eventName in ['a', 1u, true][0] || 'a' && 1
              |                                                 ^
              = help: repeat the field for every value, or use `field in [value, value]`

        "#]],
    );
    check(
        "event.eventName.startsWith(1)",
        expect![[r#"
        error[E2003]: `startsWith` cannot be called on a string with (int)
         --> <selector>:1:17
          |
        1 | event.eventName.startsWith(1)
          |                 ^^^^^^^^^^
          = help: it is declared as
                  string.startsWith(string) -> bool

    "#]],
    );
    check(
        "event.?userIdentity.?arn == 'x' || event.?errorCode.contains('x')",
        expect![[r#"
            error[E2003]: an optional string can never equal a string
             --> <selector>:1:1
              |
            1 | event.?userIdentity.?arn == 'x' || event.?errorCode.contains('x')
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            1 | event.?userIdentity.?arn == 'x' || event.?errorCode.contains('x')
              | ------------------------ an optional string
            1 | event.?userIdentity.?arn == 'x' || event.?errorCode.contains('x')
              |                             --- a string
              = help: an optional needs a default first: `event.?userIdentity.?arn.orValue("")`
              = try: event.?userIdentity.?arn.orValue("") == 'x' || event.?errorCode.contains('x')

            error[E2003]: `contains` cannot be called on an optional string with (string)
             --> <selector>:1:53
              |
            1 | event.?userIdentity.?arn == 'x' || event.?errorCode.contains('x')
              |                                                     ^^^^^^^^
              = help: an optional needs a default first: `event.?errorCode.orValue("")`

        "#]],
    );
    check(
        "event.eventName",
        expect![[r#"
        error[E2005]: expected bool, found string
         --> <selector>:1:1
          |
        1 | event.eventName
          | ^^^^^^^^^^^^^^^ this is a string
          = help: ask whether the field is there with `has(event.eventName)`, or compare it with something

    "#]],
    );
    check(
        "event.eventName.exists(x, x == 'a')",
        expect![[r#"
        error[E2003]: a string cannot be gone through
         --> <selector>:1:1
          |
        1 | event.eventName.exists(x, x == 'a')
          | ^^^^^^^^^^^^^^^ a list or a map is needed
          = help: `split` makes a list of pieces: `text.split(",")`

    "#]],
    );
    check(
        "event.readOnly ? 1 : 'a'",
        expect![[r#"
            error[E2003]: one branch is an int, the other a string
             --> <selector>:1:18
              |
            1 | event.readOnly ? 1 : 'a'
              |                  ^^^^^^^
              = help: both branches need one type; `dyn(x)` switches the check off

        "#]],
    );
    check(
        "-event.awsRegion == '' || !event.awsRegion",
        expect![[r#"
        error[E2003]: this operator does not take a string
         --> <selector>:1:1
          |
        1 | -event.awsRegion == '' || !event.awsRegion
          | ^^^^^^^^^^^^^^^^

        error[E2003]: this operator does not take a string
         --> <selector>:1:27
          |
        1 | -event.awsRegion == '' || !event.awsRegion
          |                           ^^^^^^^^^^^^^^^^

    "#]],
    );
    check(
        "test.Message{a: 1} == event",
        expect![[r#"
        error[E2010]: there is no message type `test.Message`
         --> <selector>:1:1
          |
        1 | test.Message{a: 1} == event
          | ^^^^^^^^^^^^
          = help: events are JSON: write a map, `{"field": value}`

    "#]],
    );
}

#[test]
fn what_always_errs_is_told() {
    check(
        "1/0 == 1",
        expect![[r#"
        warning[W2005]: `1 / 0` always errs: division by zero
         --> <selector>:1:1
          |
        1 | 1/0 == 1
          | ^^^ this has no value, whatever the event holds
          = help: an error decides nothing, so no rule fires by it: mend it or take it out

    "#]],
    );
    check(
        "event.eventName == 'a' && [1].exists(x, x == [1, 2][5] - 1)",
        expect![[r#"
            warning[W2005]: `[1, 2][5]` always errs: index out of range
             --> <selector>:1:46
              |
            1 | event.eventName == 'a' && [1].exists(x, x == [1, 2][5] - 1)
              |                                              ^^^^^^^^^ this has no value, whatever the event holds
              = help: an error decides nothing, so no rule fires by it: mend it or take it out

        "#]],
    );
    check(
        "9223372036854775807 + 1 > 0 || event.eventName == 'a'",
        expect![[r#"
            warning[W2005]: `9223372036854775807 + 1` always errs: the result does not fit its type
             --> <selector>:1:1
              |
            1 | 9223372036854775807 + 1 > 0 || event.eventName == 'a'
              | ^^^^^^^^^^^^^^^^^^^^^^^ this has no value, whatever the event holds
              = help: an error decides nothing, so no rule fires by it: mend it or take it out

        "#]],
    );
    check(
        "size(event.eventName) % 0 == 1",
        expect![[r#"
        warning[W2005]: `size(event.eventName) % 0` always errs: division by zero
         --> <selector>:1:1
          |
        1 | size(event.eventName) % 0 == 1
          | ^^^^^^^^^^^^^^^^^^^^^^^^^ this has no value, whatever the event holds
          = help: an error decides nothing, so no rule fires by it: mend it or take it out

    "#]],
    );
    check(
        "event.eventName in ['a', {'a': 'b'}['c']]",
        expect![[r#"
        warning[W2005]: `{"a": "b"}["c"]` always errs: no such key
         --> <selector>:1:26
          |
        1 | event.eventName in ['a', {'a': 'b'}['c']]
          |                          ^^^^^^^^^^^^^^^ this has no value, whatever the event holds
          = help: an error decides nothing, so no rule fires by it: mend it or take it out

    "#]],
    );
}

/// What has a value, is absorbed, or depends on something, is left alone.
#[test]
fn what_need_not_err_is_left_alone() {
    for text in [
        "1 / 1 == 1 && event.eventName == 'a'",
        "1.0 / 0.0 > 1.0 && event.eventName == 'a'",
        "(true || 1 / 0 == 1) == true && event.eventName == 'a'",
        "event.eventName == 'a' && inList('trusted-accounts', 'x')",
        "event.eventName == 'a' && [1, 2, 3].exists(x, 6 / x == 2)",
        "event.eventName in ['a', 'b'].map(x, x + 'c')",
        "cel.bind(x, 0, event.eventName == 'a' && size(event.eventName) / (x + 1) > 3)",
    ] {
        check(text, expect![[""]]);
    }
}

/// Looking for the innermost part that errs is bounded however deep it lies.
#[test]
fn deep_errors_are_found_quickly() {
    let text = format!("{}1 / 0{} == 1", "-(1 + ".repeat(60), ")".repeat(60));
    let found = rendered(&text, &CheckEnv::condition(&text, None));
    assert!(
        found.contains("warning[W2005]: `1 / 0` always errs"),
        "{found}"
    );
    let wide = vec!["1 / 0 == 1"; 1000].join(" || ");
    let found = rendered(&wide, &CheckEnv::condition(&wide, None));
    assert!(found.contains("warning[W2005]"), "{found}");
}

#[test]
fn constants_that_can_never_be_read_are_refused() {
    check(
        r#"event.awsRegion.matches("us-(east|west")"#,
        expect![[r#"
        error[E2006]: this regular expression cannot be compiled: unclosed group
         --> <selector>:1:29
          |
        1 | event.awsRegion.matches("us-(east|west")
          |                             ^

    "#]],
    );
    check(
        r#"event.awsRegion.matches(r"(?!us)\d")"#,
        expect![[r#"
        error[E2006]: this regular expression cannot be compiled: look-around, including look-ahead and look-behind, is not supported
         --> <selector>:1:27
          |
        1 | event.awsRegion.matches(r"(?!us)\d")
          |                           ^^^
          = help: patterns are matched in linear time, without look-around: negate outside, `!text.matches(…)`

    "#]],
    );
    check(
        r#"event.awsRegion.matches("*-east")"#,
        expect![[r#"
        error[E2006]: this regular expression cannot be compiled: repetition operator missing expression
         --> <selector>:1:26
          |
        1 | event.awsRegion.matches("*-east")
          |                          ^
          = help: for wildcards use `glob(text, "*part*")`

    "#]],
    );
    check(
        r#"event.awsRegion.matches("((a{100}){100}){100}")"#,
        expect![[r#"
            error[E2006]: this regular expression cannot be compiled: Compiled regex exceeds size limit of 1048576 bytes
             --> <selector>:1:25
              |
            1 | event.awsRegion.matches("((a{100}){100}){100}")
              |                         ^^^^^^^^^^^^^^^^^^^^^^

        "#]],
    );
    check(
        "cidr('10.0.0.0/33').contains(event.sourceIPAddress)",
        expect![[r#"
            error[E2007]: "10.0.0.0/33" is not a network
             --> <selector>:1:6
              |
            1 | cidr('10.0.0.0/33').contains(event.sourceIPAddress)
              |      ^^^^^^^^^^^^^
              = help: the number after the slash is 0 to 32

        "#]],
    );
    check(
        "cidr('10.0.0.1').contains(event.sourceIPAddress)",
        expect![[r#"
            error[E2007]: "10.0.0.1" is not a network
             --> <selector>:1:6
              |
            1 | cidr('10.0.0.1').contains(event.sourceIPAddress)
              |      ^^^^^^^^^^
              = help: a single address is the network "10.0.0.1/32"
              = try: cidr("10.0.0.1/32").contains(event.sourceIPAddress)

        "#]],
    );
    check(
        "ip('08.1.2.3') == ip(event.sourceIPAddress)",
        expect![[r#"
        error[E2007]: "08.1.2.3" is not an IP address
         --> <selector>:1:4
          |
        1 | ip('08.1.2.3') == ip(event.sourceIPAddress)
          |    ^^^^^^^^^^
          = help: addresses are written `10.1.2.3` or `2001:db8::1`

    "#]],
    );
    check(
        "timestamp('yesterday') < timestamp(event.eventTime) + duration('1d')",
        expect![[r#"
            error[E2007]: "yesterday" is not a moment
             --> <selector>:1:11
              |
            1 | timestamp('yesterday') < timestamp(event.eventTime) + duration('1d')
              |           ^^^^^^^^^^^
              = help: moments are written `2026-05-04T09:12:33Z`

            error[E2007]: "1d" is not a length of time
             --> <selector>:1:64
              |
            1 | timestamp('yesterday') < timestamp(event.eventTime) + duration('1d')
              |                                                                ^^^^
              = help: lengths of time are written `1h30m`, `90s`, `1.5s` or `100ms`; a day is `24h`

        "#]],
    );
    check(
        "timestamp(event.eventTime).getHours('Berlin') > 20",
        expect![[r#"
            error[E2007]: "Berlin" is not a time zone
             --> <selector>:1:37
              |
            1 | timestamp(event.eventTime).getHours('Berlin') > 20
              |                                     ^^^^^^^^
              = help: time zones are written `Europe/Berlin`, `UTC` or `+02:00`

        "#]],
    );
    check(
        "inList('trusted-acounts', event.awsRegion)",
        expect![[r#"
        error[E2008]: there is no list "trusted-acounts"
         --> <selector>:1:8
          |
        1 | inList('trusted-acounts', event.awsRegion)
          |        ^^^^^^^^^^^^^^^^^
          = help: did you mean "trusted-accounts"?
          = try: inList("trusted-accounts", event.awsRegion)

    "#]],
    );
    check(
        "base64.decode('*') == b'' && json.parse('{') == 1",
        expect![[r#"
            error[E2007]: this is not base64
             --> <selector>:1:15
              |
            1 | base64.decode('*') == b'' && json.parse('{') == 1
              |               ^^^
              = help: base64 has letters, digits, `+`, `/` and `=` at the end

            error[E2007]: this is not JSON: EOF while parsing an object at line 1 column 1
             --> <selector>:1:41
              |
            1 | base64.decode('*') == b'' && json.parse('{') == 1
              |                                         ^^^
              = help: `json.parse` reads one JSON value

        "#]],
    );
}

#[test]
fn values_that_a_field_never_has_are_doubted() {
    check(
        "event.userIdentity.type == 'root'",
        expect![[r#"
        warning[W2004]: `userIdentity.type` is never "root" as far as known
         --> <selector>:1:28
          |
        1 | event.userIdentity.type == 'root'
          |                            ^^^^^^
          = help: did you mean "Root"?
          = try: event.userIdentity.type == "Root"

    "#]],
    );
    check(
        "event.?eventType.orValue('') in ['AwsApiCal', 'AwsServiceEvent']",
        expect![[r#"
            warning[W2004]: `eventType` is never "AwsApiCal" as far as known
             --> <selector>:1:34
              |
            1 | event.?eventType.orValue('') in ['AwsApiCal', 'AwsServiceEvent']
              |                                  ^^^^^^^^^^^
              = help: did you mean "AwsApiCall"?
              = try: event.?eventType.orValue('') in ["AwsApiCall", 'AwsServiceEvent']

        "#]],
    );
    check(
        "event.userIdentity.sessionContext.attributes.mfaAuthenticated == 'yes'",
        expect![[r#"
            warning[W2004]: `userIdentity.sessionContext.attributes.mfaAuthenticated` is never "yes" as far as known
             --> <selector>:1:66
              |
            1 | event.userIdentity.sessionContext.attributes.mfaAuthenticated == 'yes'
              |                                                                  ^^^^^
              = help: its values are true, false

        "#]],
    );
}

#[test]
fn expensive_selectors_are_refused() {
    let nested = "event.requestParameters.a.exists(a, event.requestParameters.b.exists(b, \
                  event.requestParameters.c.exists(c, a == b && b == c)))";
    check(
        nested,
        expect![[r#"
            error[E2009]: this could cost 116495626 units on one event, more than 1000000
             --> <selector>:1:109
              |
            1 | event.requestParameters.a.exists(a, event.requestParameters.b.exists(b, event.requestParameters.c.exists(c, a == b && b == c)))
              |                                                                                                             ^^^^^^^^^^^^^^^^ most of it is here
              = help: lists are taken to have 100 elements and texts 512 bytes: use `in` instead of a nested macro, or test something cheap and rare in a rule of its own
                      a == b && b == c

        "#]],
    );
    let doubling: String = (0..40)
        .map(|n| format!("cel.bind(x{}, x{n} + x{n}, ", n + 1))
        .collect();
    let doubling = format!(
        "cel.bind(x0, event.awsRegion, {doubling}x40 == 'a'{}",
        ")".repeat(41)
    );
    check(
        &doubling,
        expect![[r#"
            error[E2009]: this could cost 112589990684306 units on one event, more than 1000000
             --> <selector>:1:952
              |
            1 | …3, x32 + x32, cel.bind(x34, x33 + x33, cel.bind(x35, x34 + x34, cel.bind(x36, x35 + x35, cel.bind(x37, x36 + x36, cel.bind(x38, x37 + x37, cel.bind(x39, x38 + x38, cel.bind(x40, x39 + x39, x40 == 'a')))))))))))))))))))))))))))))))))))))))))
              |                                                                                                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ most of it is here
              = help: lists are taken to have 100 elements and texts 512 bytes: use `in` instead of a nested macro, or test something cheap and rare in a rule of its own
                      cel.bind(x39, x38 + x38, cel.bind(x40, x39 + x39, x40 == "a"))

        "#]],
    );
}

#[test]
fn ordinary_rules_are_cheap() {
    let text = "event.eventSource == 'ec2.amazonaws.com' && event.eventName in ['A', 'B'] && \
                event.requestParameters.ipPermissions.items.exists(p, p.ipRanges.items.exists(r, r.cidrIp == '0.0.0.0/0'))";
    let expr = parse(text).expect("valid");
    let checked = check_expr(&expr, &CheckEnv::condition(text, cloudtrail()));
    assert!(checked.cost < 200_000, "{}", checked.cost);
    assert_eq!(checked.result, Type::Bool);
    let simple = parse("event.eventName == 'StopLogging'").expect("valid");
    assert!(check_expr(&simple, &CheckEnv::condition("", cloudtrail())).cost < 20);
}

#[test]
fn hostile_types_stay_small() {
    let text: String = (0..150)
        .map(|n| format!("cel.bind(x{}, [x{n}, x{n}].map(y, {{1: y}}), ", n + 1))
        .collect();
    let text = format!("cel.bind(x0, [1], {text}x150 == x149{}", ")".repeat(151));
    let expr = parse(&text).expect("valid");
    let checked = check_expr(&expr, &CheckEnv::value(&text, None));
    assert!(checked.result.to_string().len() < 10_000);
    let many: Vec<String> = (0..2_500).map(|n| format!("event.f{n} != {n}")).collect();
    let many = many.join(" && ");
    let expr = parse(&many).expect("valid");
    let schema =
        Schema::from_toml("id = \"x\"\ntitle = \"x\"\nopen = true\n[fields]\n").expect("valid");
    let checked = check_expr(&expr, &CheckEnv::condition(&many, Some(&schema)));
    assert!(!checked.has_errors());
}

#[test]
fn conditions_without_meaning_are_explained() {
    check(
        "event.eventName == 'CreateUser' && event.eventName == 'DeleteUser'",
        expect![[r#"
            warning[W2002]: this condition can never hold
             --> <selector>:1:36
              |
            1 | event.eventName == 'CreateUser' && event.eventName == 'DeleteUser'
              |                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            1 | event.eventName == 'CreateUser' && event.eventName == 'DeleteUser'
              | ------------------------------- because of this
              = help: a value is one thing at a time: join alternatives with `||` or `in [...]`

        "#]],
    );
    check(
        "event.eventName != 'CreateUser' || event.eventName != 'DeleteUser'",
        expect![[r#"
            warning[W2003]: these alternatives cover every value
             --> <selector>:1:36
              |
            1 | event.eventName != 'CreateUser' || event.eventName != 'DeleteUser'
              |                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            1 | event.eventName != 'CreateUser' || event.eventName != 'DeleteUser'
              | ------------------------------- together with this
              = help: join with `&&`, or negate a list: `!(value in [...])`

        "#]],
    );
    check(
        "!(event.eventName == 'CreateUser' && event.eventName == 'DeleteUser')",
        expect![[r#"
            warning[W2003]: this can never hold, so its negation always does
             --> <selector>:1:38
              |
            1 | !(event.eventName == 'CreateUser' && event.eventName == 'DeleteUser')
              |                                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            1 | !(event.eventName == 'CreateUser' && event.eventName == 'DeleteUser')
              |   ------------------------------- because of this
              = help: join with `&&`, or negate a list: `!(value in [...])`

        "#]],
    );
    check(
        "event.awsRegion in []",
        expect![[r#"
        warning[W2002]: this condition can never hold
         --> <selector>:1:1
          |
        1 | event.awsRegion in []
          | ^^^^^^^^^^^^^^^^^^^^^
          = help: nothing is in an empty list, and `false` is never true

    "#]],
    );
}

#[test]
fn the_deepest_text_is_checked_and_printed() {
    let levels = crate::limits::SELECTOR_DEPTH_MAX - 3;
    let nested = |open: &str, inner: &str, close: &str, levels: usize| {
        format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
    };
    for text in [
        nested("!(", "event.readOnly", ")", levels / 2),
        nested("[", "event.awsRegion", "]", levels),
        nested("size([", "event.awsRegion", "])", levels / 2 - 1),
        nested("event.a.filter(x, ", "x == 1", ").size() == 1", levels / 3),
        nested("cel.bind(x, event.awsRegion, ", "x == 'a'", ")", levels),
        nested(
            "event.readOnly ? true : (",
            "event.awsRegion == 'a'",
            ")",
            levels / 2,
        ),
        format!(
            "event.awsRegion{} == 'a'",
            ".lowerAscii()".repeat(levels - 2)
        ),
        format!("event{} == 'a'", ".requestParameters".repeat(levels - 2)),
    ] {
        let expr = match parse(&text) {
            Ok(expr) => expr,
            Err(diagnostics) => panic!("{}: {diagnostics:?}", &text[..40]),
        };
        check_expr(&expr, &CheckEnv::condition(&text, cloudtrail()));
        let printed = crate::selector::print(&expr);
        assert!(parse(&printed).is_ok(), "{}", &text[..40]);
    }
}

#[test]
fn whatever_can_be_read_can_be_checked() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    let leaf = prop_oneof![
        "(event|x|1|'a'|null|true|\\[\\]|event\\.errorCode|event\\.userIdentity\\.arn|event\\.resources|event\\.eventName)",
        "event\\.requestParameters\\.[ab]",
        Just("event.?tlsDetails.?tlsVersion".to_owned()),
    ];
    let tree = leaf.prop_recursive(5, 48, 3, |inner| {
        prop_oneof![
            (inner.clone(), "(==|!=|<|in|&&|\\|\\||\\+)", inner.clone())
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            inner.clone().prop_map(|one| format!("!({one})")),
            inner.clone().prop_map(|one| format!("size({one})")),
            (
                inner.clone(),
                "(startsWith|contains|matches|orValue|or)",
                inner.clone()
            )
                .prop_map(|(left, name, right)| format!("({left}).{name}({right})")),
            (
                inner.clone(),
                "(all|exists|filter|map|optMap)",
                inner.clone()
            )
                .prop_map(|(left, name, right)| format!("({left}).{name}(x, {right})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(one, two, three)| format!("({one} ? {two} : {three})")),
        ]
    });
    let config = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&tree, |text| {
        let expr = parse(&text).map_err(|_| TestCaseError::fail(text.clone()))?;
        let checked = check_expr(&expr, &CheckEnv::condition(&text, cloudtrail()));
        for one in checked.diagnostics {
            if let Some(suggestion) = one.suggestion {
                let mut fixed = text.clone();
                let range = suggestion.span.start as usize..suggestion.span.end as usize;
                fixed.replace_range(range, &suggestion.replacement);
                prop_assert!(parse(&fixed).is_ok(), "{} became {}", text, fixed);
            }
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn defaults_of_fields_that_may_be_null_are_told() {
    let github = Schema::builtin("github.audit");
    let found = |text: &str| rendered(text, &CheckEnv::condition(text, github));
    for (text, mend) in [
        (
            "event.?actor.orValue('') == ''",
            "event.?actor.orValue(\"\") in [\"\", null]",
        ),
        (
            "'none' != event.?actor.orValue('none')",
            "!(event.?actor.orValue(\"none\") in [\"none\", null])",
        ),
        (
            "event.?actor.orValue('') in ['', 'ghost']",
            "event.?actor.orValue(\"\") in [\"\", \"ghost\", null]",
        ),
        (
            "event.?actor_location.?country_code.orValue('') == ''",
            "event.?actor_location.?country_code.orValue(\"\") in [\"\", null]",
        ),
    ] {
        let said = found(text);
        assert!(said.starts_with("warning[W2006]: "), "{text}: {said}");
        assert!(said.contains(&format!("`{mend}`")), "{text}: {said}");
        assert_eq!(found(mend), "", "{mend}");
    }
    // With another text null and absent say the same; other fields are never null.
    for text in [
        "event.?actor.orValue('') == 'alice'",
        "event.?actor.orValue('') in ['alice', 'bob']",
        "event.?actor.orValue('') != 'alice'",
        "event.?action.orValue('') == ''",
    ] {
        assert_eq!(found(text), "", "{text}");
    }
    let text = "event.?userIdentity.?invokedBy.orValue('') == ''";
    assert_eq!(rendered(text, &CheckEnv::condition(text, cloudtrail())), "");
    expect![[r#"
        warning[W2006]: `actor` may be null, and null is not ""
         --> <selector>:1:1
          |
        1 | event.?actor.orValue("") == ""
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the default only stands for an absent field
          = help: to take null for it too: `event.?actor.orValue("") in ["", null]`
          = try: event.?actor.orValue("") in ["", null]

    "#]]
    .assert_eq(&found("event.?actor.orValue(\"\") == \"\""));
}

#[test]
fn names_in_brackets_are_mended_as_texts() {
    check(
        "event[\"eventNam\"] == 'x'",
        expect![[r#"
            error[E2004]: `event` has no field `eventNam` in aws.cloudtrail
             --> <selector>:1:7
              |
            1 | event["eventNam"] == 'x'
              |       ^^^^^^^^^^
              = help: did you mean `eventName`?
              = try: event["eventName"] == 'x'

        "#]],
    );
}
