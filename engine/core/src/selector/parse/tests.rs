use super::{Macros, parse, parse_with};
use crate::diagnostic::{Palette, Source, render_text};
use crate::limits;
use crate::selector::ast::{Expr, ExprKind};
use crate::selector::print;
use expect_test::{Expect, expect};

/// `text` is read, and printed again as `canonical`.
fn check(text: &str, canonical: &str) {
    let printed = match parse(text) {
        Ok(expr) => print(&expr),
        Err(diagnostics) => rendered(text, &diagnostics),
    };
    assert_eq!(printed, canonical, "{text}");
    let again = parse(&printed).map(|expr| print(&expr)).unwrap_or_default();
    assert_eq!(again, printed, "printing {text} again");
}

fn rendered(text: &str, diagnostics: &[crate::diagnostic::Diagnostic]) -> String {
    let source = Source {
        name: "<selector>".to_owned(),
        text: text.to_owned(),
    };
    diagnostics
        .iter()
        .map(|one| render_text(one, &source, Palette::PLAIN))
        .collect()
}

/// `text` is refused with these diagnostics.
fn check_refused(text: &str, expected: Expect) {
    match parse(text) {
        Ok(expr) => panic!("read as {}", print(&expr)),
        Err(diagnostics) => expected.assert_eq(&rendered(text, &diagnostics)),
    }
}

fn codes(text: &str) -> Vec<&'static str> {
    parse(text)
        .err()
        .into_iter()
        .flatten()
        .map(|one| one.code.as_str())
        .collect()
}

#[test]
fn operators_bind_as_the_language_says() {
    check("1+2*3-4", "1 + 2 * 3 - 4");
    check("(1+2)*3", "(1 + 2) * 3");
    check("1-(2-3)", "1 - (2 - 3)");
    check("a<b==c", "a < b == c");
    check("a<(b==c)", "a < (b == c)");
    check("!a.b && -c.d<1", "!a.b && -c.d < 1");
    check("!(a&&b)||c", "!(a && b) || c");
    check("a||(b&&c)||((d||e))", "a || b && c || d || e");
    check("(a||b)&&(c&&d)", "(a || b) && c && d");
    check("a?b:c?d:e", "a ? b : c ? d : e");
    check("(a?b:c)?(d?e:f):g", "(a ? b : c) ? (d ? e : f) : g");
    check("-(1)", "-(1)");
    check("4--4", "4 - -4");
    check("-(1.a())", "-(1.a())");
    check("-1 .a()", "-1.a()");
    check("--1", "-(-1)");
    check("!!a", "!!a");
    check("(-a).b", "(-a).b");
}

#[test]
fn literals_are_read_and_printed() {
    check("0xFF", "255");
    check("-0x8000000000000000", "-9223372036854775808");
    check("0xFFu", "255u");
    check("1e3", "1000.0");
    check(".5", "0.5");
    check("1E-7", "1e-7");
    check(
        r#"'it\'s' + "a\tb\x41\u00e9\U0001F431\101\?\`""#,
        "\"it's\" + \"a\\tbAé🐱A?`\"",
    );
    check(r#"r"\d" + R'\"'"#, r#""\\d" + "\\\"""#);
    check("'''a\r\nb'c''d'''", r#""a\nb'c''d""#);
    check("\"\"\"\"\"\"", r#""""#);
    check(
        r#"b'\xff\377é' + B"" + bR'\x'"#,
        r#"b"\xff\xff\xc3\xa9" + b"" + b"\\x""#,
    );
    check("[true,false,null,]", "[true, false, null]");
    check("[,]", "[]");
    check("{,}", "{}");
    check("{1:2u,'a':{}, }", r#"{1: 2u, "a": {}}"#);
}

#[test]
fn fields_calls_and_messages() {
    check("a.b.c", "a.b.c");
    check("a.`b-c`.`d`.`in`", "a.`b-c`.d.`in`");
    check("a.?b[?0].c[?'k']", r#"a.?b[?0].c[?"k"]"#);
    check("[?a, b]", "[?a, b]");
    check("{?k: v}", "{?k: v}");
    check(".a.b(c, .d)", ".a.b(c, .d)");
    check(".size(x)", "size(x)");
    check("a . package . for (1)", "a.package.for(1)");
    check(
        "google.protobuf.Duration{seconds: 1, ?`x-y`: 2,}",
        "google.protobuf.Duration{seconds: 1, ?`x-y`: 2}",
    );
    check("a // first\n && b // second", "a && b");
    check(
        "math.greatest(1, .optional.of(2)).x(3)",
        "math.greatest(1, optional.of(2)).x(3)",
    );
}

#[test]
fn namespaced_functions_are_calls_and_other_dotted_names_are_not() {
    let call = |text: &str| match parse(text).map(|expr| expr.kind) {
        Ok(ExprKind::Call { function, .. }) => function,
        Ok(ExprKind::MemberCall { function, .. }) => format!("member {function}"),
        other => format!("{other:?}"),
    };
    assert_eq!(call("math.greatest(1)"), "math.greatest");
    assert_eq!(call("json.parse(x)"), "json.parse");
    assert_eq!(call("math.nothing(1)"), "member nothing");
    assert_eq!(call("event.parse(1)"), "member parse");
}

#[test]
fn macros_are_recognised() {
    check("has(a.b.c)", "has(a.b.c)");
    check("a.exists_one(x, x>1)", "a.existsOne(x, x > 1)");
    check("a.all(k,v,k==v)", "a.all(k, v, k == v)");
    check(
        "a.map(x, x>1, x*2).filter(y,y)",
        "a.map(x, x > 1, x * 2).filter(y, y)",
    );
    check("a.transformList(i,v,v)", "a.transformList(i, v, v)");
    check(
        "a.transformMap(k,v,v>1,v)",
        "a.transformMap(k, v, v > 1, v)",
    );
    check(
        "a.transformMapEntry(k,v,{v:k})",
        "a.transformMapEntry(k, v, {v: k})",
    );
    check("cel.bind(x, 1, x+1)", "cel.bind(x, 1, x + 1)");
    check(
        "a.?b.optMap(x, x).optFlatMap(y, a.?y)",
        "a.?b.optMap(x, x).optFlatMap(y, a.?y)",
    );
    check(
        "cel.block([1, cel.index(0)], [2].map(cel.iterVar(0, 1), cel.iterVar(0,1)+cel.index(1)))",
        "cel.block([1, cel.index(0)], [2].map(cel.iterVar(0, 1), cel.iterVar(0, 1) + cel.index(1)))",
    );
}

#[test]
fn macros_can_be_switched_off() {
    let expr = parse_with("has(a.b)", Macros::Ignored).map(|expr| expr.kind);
    assert!(matches!(expr, Ok(ExprKind::Call { function, .. }) if function == "has"));
    assert!(parse_with("a.all(1)", Macros::Ignored).is_ok());
}

#[test]
fn spans_are_exact() {
    let expr = parse("(a.b) == c.startsWith('x')").expect("valid");
    let ExprKind::Binary(_, left, right) = &expr.kind else {
        panic!("{expr:?}")
    };
    assert_eq!((expr.span.start, expr.span.end), (0, 26));
    assert_eq!((left.span.start, left.span.end), (1, 4));
    let ExprKind::MemberCall { function_span, .. } = &right.kind else {
        panic!("{right:?}")
    };
    assert_eq!((function_span.start, function_span.end), (11, 21));
}

#[test]
fn a_sign_too_many_is_taken_out() {
    check_refused(
        "a &&& b ||| c",
        expect![[r#"
        error[E1001]: `&&&` is not an operator of CEL
         --> <selector>:1:3
          |
        1 | a &&& b ||| c
          |   ^^^
          = help: both conditions is written `&&`
          = try: a && b ||| c

        error[E1001]: `|||` is not an operator of CEL
         --> <selector>:1:9
          |
        1 | a &&& b ||| c
          |         ^^^
          = help: either condition is written `||`
          = try: a &&& b || c

    "#]],
    );
}

#[test]
fn words_and_operators_of_other_languages_are_explained() {
    check_refused(
        "a = 1 and not b or c === 2 & d",
        expect![[r#"
        error[E1001]: `=` is not an operator of CEL
         --> <selector>:1:3
          |
        1 | a = 1 and not b or c === 2 & d
          |   ^
          = help: equality is written `==`
          = try: a == 1 and not b or c === 2 & d

        error[E1001]: `and` is not an operator of CEL
         --> <selector>:1:7
          |
        1 | a = 1 and not b or c === 2 & d
          |       ^^^
          = help: it is written `&&`
          = try: a = 1 && not b or c === 2 & d

        error[E1001]: `not` is not an operator of CEL
         --> <selector>:1:11
          |
        1 | a = 1 and not b or c === 2 & d
          |           ^^^
          = help: negation is written `!`
          = try: a = 1 and !b or c === 2 & d

        error[E1001]: `or` is not an operator of CEL
         --> <selector>:1:17
          |
        1 | a = 1 and not b or c === 2 & d
          |                 ^^
          = help: it is written `||`
          = try: a = 1 and not b || c === 2 & d

        error[E1001]: `===` is not an operator of CEL
         --> <selector>:1:22
          |
        1 | a = 1 and not b or c === 2 & d
          |                      ^^^
          = help: CEL has one equality, `==`, which never converts types
          = try: a = 1 and not b or c == 2 & d

        error[E1001]: `&` is not an operator of CEL
         --> <selector>:1:28
          |
        1 | a = 1 and not b or c === 2 & d
          |                            ^
          = help: both conditions is written `&&`
          = try: a = 1 and not b or c === 2 && d

    "#]],
    );
    check_refused(
        "event.arn contains \"root\" || x in (\"a\", \"b\")",
        expect![[r#"
            error[E1001]: `contains` is not an operator of CEL
             --> <selector>:1:11
              |
            1 | event.arn contains "root" || x in ("a", "b")
              |           ^^^^^^^^
              = help: call it on the text: `text.contains("part")`

            error[E1001]: expected `)`, found `,`
             --> <selector>:1:39
              |
            1 | event.arn contains "root" || x in ("a", "b")
              |                                       ^
              = help: a list of values is written in square brackets: `x in ["a", "b"]`

        "#]],
    );
    check_refused(
        "a?.b == 1 && x <> 2; y",
        expect![[r#"
        error[E1001]: `?.` is not an operator of CEL
         --> <selector>:1:2
          |
        1 | a?.b == 1 && x <> 2; y
          |  ^^
          = help: an optional field is written `.?`
          = try: a.?b == 1 && x <> 2; y

        error[E1001]: `<>` is not an operator of CEL
         --> <selector>:1:16
          |
        1 | a?.b == 1 && x <> 2; y
          |                ^^
          = help: not equal is written `!=`
          = try: a?.b == 1 && x != 2; y

        error[E1001]: unexpected `;`
         --> <selector>:1:20
          |
        1 | a?.b == 1 && x <> 2; y
          |                    ^
          = help: a selector is one expression: join conditions with `&&`

        error[E1001]: expected an operator or the end of the selector, found the name `y`
         --> <selector>:1:22
          |
        1 | a?.b == 1 && x <> 2; y
          |                      ^ expected an operator or the end of the selector

    "#]],
    );
    check_refused(
        "event.eventName == “StopLogging”",
        expect![[r#"
        error[E1001]: typographic quotes do not make a string
         --> <selector>:1:20
          |
        1 | event.eventName == “StopLogging”
          |                    ^^^^^^^^^^^^^
          = help: use straight quotes: `"text"` or `'text'`
          = try: event.eventName == "StopLogging"

    "#]],
    );
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    check_refused(
        "a == \"open",
        expect![[r#"
        error[E1003]: unterminated string
         --> <selector>:1:6
          |
        1 | a == "open
          |      ^^^^^
          = help: close it with `"`

    "#]],
    );
    check_refused(
        "f(a b, [1 2], c) && (d",
        expect![[r#"
            error[E1001]: expected `,` or `)`, found the name `b`
             --> <selector>:1:5
              |
            1 | f(a b, [1 2], c) && (d
              |     ^ expected `,` or `)`
            1 | f(a b, [1 2], c) && (d
              |  - opened here

            error[E1001]: expected `,` or `]`, found a number
             --> <selector>:1:11
              |
            1 | f(a b, [1 2], c) && (d
              |           ^ expected `,` or `]`
            1 | f(a b, [1 2], c) && (d
              |        - opened here

            error[E1001]: expected `)`, found the end of the selector
             --> <selector>:1:23
              |
            1 | f(a b, [1 2], c) && (d
              |                       ^ expected `)`
            1 | f(a b, [1 2], c) && (d
              |                     - opened here

        "#]],
    );
    check_refused(
        "a && && b || ) ",
        expect![[r#"
        error[E1001]: expected a value, found `&&`
         --> <selector>:1:6
          |
        1 | a && && b || ) 
          |      ^^ expected a value

        error[E1001]: expected a value, found `)`
         --> <selector>:1:14
          |
        1 | a && && b || ) 
          |              ^ expected a value

    "#]],
    );
    check_refused(
        "x.matches(\"\\d+\") && 99999999999999999999 > 0 && 10MB < y && 9223372036854775808 == z",
        expect![[r#"
            error[E1003]: unknown escape `\d`
             --> <selector>:1:12
              |
            1 | x.matches("\d+") && 99999999999999999999 > 0 && 10MB < y && 9223372036854775808 == z
              |            ^^
              = help: in a regular expression or path write `\\` or use a raw string: `r"\d+"`

            error[E1003]: the number does not fit 64 bits
             --> <selector>:1:21
              |
            1 | x.matches("\d+") && 99999999999999999999 > 0 && 10MB < y && 9223372036854775808 == z
              |                     ^^^^^^^^^^^^^^^^^^^^
              = help: integers reach from -9223372036854775808 to 9223372036854775807, unsigned ones to 18446744073709551615u

            error[E1003]: `MB` cannot follow a number
             --> <selector>:1:51
              |
            1 | x.matches("\d+") && 99999999999999999999 > 0 && 10MB < y && 9223372036854775808 == z
              |                                                   ^^
              = help: numbers are written `10`, `10u` (unsigned), `0x1f` or `1.5e3`

            error[E1003]: the number does not fit 64 bits
             --> <selector>:1:61
              |
            1 | x.matches("\d+") && 99999999999999999999 > 0 && 10MB < y && 9223372036854775808 == z
              |                                                             ^^^^^^^^^^^^^^^^^^^
              = help: as an unsigned number it is written `9223372036854775808u`

        "#]],
    );
    check_refused(
        "",
        expect![[r#"
        error[E1001]: expected a value, found the end of the selector
         --> <selector>:1:1
          |
        1 | 
          | ^ expected a value
          = help: write a condition, such as `event.eventName == "StopLogging"`

    "#]],
    );
    check_refused(
        "a.true || a.\"x\" || a.`x$` || `a` || 'x",
        expect![[r#"
        error[E1001]: expected a field name, found `true`
         --> <selector>:1:3
          |
        1 | a.true || a."x" || a.`x$` || `a` || 'x
          |   ^^^^ expected a field name
          = help: quote the field: `` .`true` ``

        error[E1001]: expected a field name, found a string
         --> <selector>:1:13
          |
        1 | a.true || a."x" || a.`x$` || `a` || 'x
          |             ^^^ expected a field name
          = help: fields of any name are reached by index: `event["any name"]`

        error[E1001]: a back-quoted name holds letters, digits and `_.-/ ` only
         --> <selector>:1:22
          |
        1 | a.true || a."x" || a.`x$` || `a` || 'x
          |                      ^^^^
          = help: index with a string instead: `["x$"]`

        error[E1001]: expected a value, found the name `` `a` ``
         --> <selector>:1:30
          |
        1 | a.true || a."x" || a.`x$` || `a` || 'x
          |                              ^^^ expected a value

        error[E1003]: unterminated string
         --> <selector>:1:37
          |
        1 | a.true || a."x" || a.`x$` || `a` || 'x
          |                                     ^^
          = help: close it with `'`

    "#]],
    );
    check_refused(
        "a ? b ? c : d : e",
        expect![[r#"
        error[E1001]: expected `:`, found `?`
         --> <selector>:1:7
          |
        1 | a ? b ? c : d : e
          |       ^
          = help: a conditional between `?` and `:` needs parentheses

    "#]],
    );
    check_refused(
        "if + {1 2} + [1, for] + f(1,)",
        expect![[r#"
        error[E1001]: `if` is a reserved word
         --> <selector>:1:1
          |
        1 | if + {1 2} + [1, for] + f(1,)
          | ^^
          = help: it can name a field, but no variable and no function

        error[E1001]: expected `:`, found a number
         --> <selector>:1:9
          |
        1 | if + {1 2} + [1, for] + f(1,)
          |         ^ expected `:`

    "#]],
    );
}

#[test]
fn misused_macros_are_reported() {
    check_refused(
        "has(a) || has(a[1]) || has(a.?b) || has(a.b, c)",
        expect![[r#"
            error[E1004]: `has` takes a field of something
             --> <selector>:1:5
              |
            1 | has(a) || has(a[1]) || has(a.?b) || has(a.b, c)
              |     ^
              = help: it is written `has(event.field)`

            error[E1004]: `has` takes a field, not an index
             --> <selector>:1:15
              |
            1 | has(a) || has(a[1]) || has(a.?b) || has(a.b, c)
              |               ^^^^
              = help: whether a map has a key is asked with `key in map`

            error[E1004]: `has` takes a plain field, not an optional one
             --> <selector>:1:28
              |
            1 | has(a) || has(a[1]) || has(a.?b) || has(a.b, c)
              |                            ^^^^
              = help: an optional has a value: `a.?b.hasValue()`

            error[E1004]: `has` takes one field
             --> <selector>:1:37
              |
            1 | has(a) || has(a[1]) || has(a.?b) || has(a.b, c)
              |                                     ^^^
              = help: it is written `has(event.field)`

        "#]],
    );
    check_refused(
        "a.all(1, x) || a.exists(x) || a.map(a.b, x) || a.all(x, x, x)",
        expect![[r#"
            error[E1004]: the variable of a macro is a plain name
             --> <selector>:1:7
              |
            1 | a.all(1, x) || a.exists(x) || a.map(a.b, x) || a.all(x, x, x)
              |       ^
              = help: it is written `list.all(x, condition) or map.all(key, value, condition)`

            error[E1004]: `exists` cannot take 1 argument
             --> <selector>:1:18
              |
            1 | a.all(1, x) || a.exists(x) || a.map(a.b, x) || a.all(x, x, x)
              |                  ^^^^^^
              = help: it is written `list.exists(x, condition) or map.exists(key, value, condition)`

            error[E1004]: the variable of a macro is a plain name
             --> <selector>:1:37
              |
            1 | a.all(1, x) || a.exists(x) || a.map(a.b, x) || a.all(x, x, x)
              |                                     ^^^
              = help: it is written `list.map(x, result) or list.map(x, condition, result)`

            error[E1004]: the two variables need different names
             --> <selector>:1:57
              |
            1 | a.all(1, x) || a.exists(x) || a.map(a.b, x) || a.all(x, x, x)
              |                                                         ^
              = help: it is written `list.all(x, condition) or map.all(key, value, condition)`

        "#]],
    );
    check_refused(
        "a.transformMapEntry(k, v, k) || cel.bind(1, 2, 3) || cel.block(1, 2) || cel.index(x)",
        expect![[r#"
            error[E1004]: the variable of a macro is a plain name
             --> <selector>:1:42
              |
            1 | a.transformMapEntry(k, v, k) || cel.bind(1, 2, 3) || cel.block(1, 2) || cel.index(x)
              |                                          ^
              = help: it is written `cel.bind(name, value, body)`

            error[E1004]: the values are a list literal
             --> <selector>:1:64
              |
            1 | a.transformMapEntry(k, v, k) || cel.bind(1, 2, 3) || cel.block(1, 2) || cel.index(x)
              |                                                                ^
              = help: it is written `cel.block([values], body)`

            error[E1004]: `cel.index` takes the number of a value
             --> <selector>:1:73
              |
            1 | a.transformMapEntry(k, v, k) || cel.bind(1, 2, 3) || cel.block(1, 2) || cel.index(x)
              |                                                                         ^^^^^^^^^
              = help: it is written `cel.index(0)`

        "#]],
    );
}

#[test]
fn hostile_text_is_refused_without_recursion() {
    let deep = limits::SELECTOR_DEPTH_MAX * 50;
    let closed = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(deep), close.repeat(deep))
    };
    for text in [
        vec!["1"; 20_000].join("+"),
        closed("(", "1", ")"),
        closed("[", "1", "]"),
        closed("{1:", "1", "}"),
        closed("f(", "1", ")"),
        closed("a[", "1", "]"),
        "(".repeat(deep),
        "!".repeat(deep),
        "-".repeat(deep),
        format!("{}a", "-".repeat(deep)),
        format!("a{}", ".b".repeat(deep)),
        format!("a{}", "[0]".repeat(deep)),
        format!("a{}", ".f()".repeat(deep)),
        format!("{}c", "a ? b : ".repeat(deep / 2)),
        format!("[{}]", vec!["1"; 30_000].join(",")),
        "a.map(x,".repeat(deep / 2),
    ] {
        let start = &text[..20];
        assert_eq!(codes(&text), ["E1002"], "{start}");
    }
    assert_eq!(
        codes(&"a".repeat(limits::SELECTOR_BYTES_MAX + 1)),
        ["E1002"]
    );
    let alternatives = vec!["a == 1"; 6_000].join(" || ");
    assert_eq!(parse(&alternatives).map(|_| ()), Ok(()));
    assert_eq!(codes(&"\"\n".repeat(30_000)).len(), super::DIAGNOSTICS_MAX);
}

#[test]
fn nesting_up_to_the_limit_is_accepted() {
    let levels = limits::SELECTOR_DEPTH_MAX - 1;
    let sum = vec!["1"; levels].join("+");
    assert!(parse(&sum).is_ok());
    assert!(parse(&format!("{}1{}", "[".repeat(levels), "]".repeat(levels))).is_ok());
}

/// Ids and places removed, as printing does not keep them.
fn bare(mut expr: Expr) -> String {
    expr.id = crate::selector::ast::ExprId(0);
    let text = format!("{expr:?}");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest
        .find("Span {")
        .into_iter()
        .chain(rest.find("ExprId("))
        .min()
    {
        out.push_str(&rest[..at]);
        let end = rest[at..]
            .find(['}', ')'])
            .map_or(rest.len(), |end| at + end + 1);
        rest = &rest[end..];
    }
    out + rest
}

#[test]
fn printing_keeps_the_tree() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    let leaf = prop_oneof![
        "[a-c]",
        "-?[0-9]{1,3}",
        "[0-9]u",
        "[0-9]\\.[0-9]",
        "\"[a-z\\\\n]?\"".prop_map(|text| text.replace('\\', "")),
        Just("has(a.b)".to_owned()),
        Just("b'\\x00'".to_owned()),
        Just("null".to_owned()),
    ];
    let tree = leaf.prop_recursive(6, 64, 4, |inner| {
        let many = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (
                inner.clone(),
                "(\\+|-|\\*|/|%|==|!=|<|<=|in|&&|\\|\\|)",
                inner.clone()
            )
                .prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
            (inner.clone(), "(\\+|-|\\*|==|&&|\\|\\|)", inner.clone())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("({a}).f")),
            inner.clone().prop_map(|a| format!("({a}).?g.`h i`")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}).exists(x, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("cel.bind(x, {a}, {b})")),
            many.clone()
                .prop_map(|items| format!("[{}]", items.join(", "))),
            many.clone()
                .prop_map(|items| format!("f({})", items.join(", "))),
            many.prop_map(|items| format!("{{1: {}}}", items.join(", 2: "))),
        ]
    });
    let mut runner = TestRunner::new(Config {
        cases: 600,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&tree, |text| {
        let Ok(expr) = parse(&text) else {
            return Err(TestCaseError::fail(text));
        };
        let printed = print(&expr);
        match parse(&printed) {
            Ok(again) => prop_assert_eq!(bare(again), bare(expr)),
            Err(_) => return Err(TestCaseError::fail(format!("{text} printed as {printed}"))),
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn any_text_is_read_or_refused_with_places_inside_it() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    let pieces = prop::collection::vec(
        prop_oneof![
            "\\PC{0,4}",
            "[\"'`()\\[\\]{}.,:?&|=!<>+*/%\\\\ \n-]{1,4}",
            Just("a".to_owned()),
            Just("has(".to_owned()),
            Just(".all(x,".to_owned()),
            Just("in".to_owned()),
        ],
        0..20,
    );
    let mut runner = TestRunner::new(Config {
        cases: 1500,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&pieces.prop_map(|pieces| pieces.concat()), |text| {
        match parse(&text) {
            Ok(expr) => prop_assert!(parse(&print(&expr)).is_ok()),
            Err(diagnostics) => {
                prop_assert!(!diagnostics.is_empty());
                let all = rendered(&text, &diagnostics);
                prop_assert!(all.contains("E10"));
                for one in diagnostics {
                    prop_assert!(one.span.start as usize <= text.len());
                }
            }
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}
