//! Golden tests of formatting, and its property: doing it twice is doing it once, and the meaning stays.

use super::{format, write};
use expect_test::{Expect, expect};
use proptest::prelude::*;

/// Wants this text, and that formatting it again changes nothing.
fn check(text: &str, expected: Expect) {
    let once = format("a.toml", text).expect("the sample can be formatted");
    expected.assert_eq(&once);
    assert_eq!(
        format("a.toml", &once).expect("what was written can be read"),
        once
    );
}

#[test]
fn rules_are_written_in_one_way() {
    check(
        r#"

# About the whole file,
#   in two lines.

# About severity.
severity="high"   # for now


   # About id.
id   =   'a-b'
colour.of.it = 1
name = "with \"quotes\""
references = ["https://example.com/one/which/is/rather/long", 'https://example.com/two/which/is/long/too']
authors = [ # first
  "a", # is a
  # before b
  "b"
  # last
]
tags = ['x',
  'y',
]
when = """
    event.a == "x"   
      && event.b == \"\"\"y \"\"\"
"""
description = 'one line'
runbook = "1. a  \n2. b \"q\"\n"

[[exceptions]]   # an exception
name = "one"
expires = 2027-01-31
when = '''
       event.a
         && event.b  
  '''
# before the context
[finding.context]
b = "event.b"
"a b" = 'event.x == "y"'
[finding]
dedup_key = ['event.a', 'event["b"]']

title = "T"
# The end.

# Really.
"#,
        expect![[r##"
            # About the whole file,
            #   in two lines.

            # About id.
            id = "a-b"
            name = 'with "quotes"'
            description = "one line"
            # About severity.
            severity = "high" # for now
            authors = [ # first
                "a", # is a
                # before b
                "b", # last
            ]
            references = [
                "https://example.com/one/which/is/rather/long",
                "https://example.com/two/which/is/long/too",
            ]
            runbook = """
            1. a
            2. b "q"
            """
            tags = ["x", "y"]
            when = '''
                event.a == "x"   
                  && event.b == """y """
            '''
            colour.of.it = 1

            [finding]
            title = "T"
            dedup_key = ["event.a", 'event["b"]']

            # before the context
            [finding.context]
            b = "event.b"
            "a b" = 'event.x == "y"'

            [[exceptions]] # an exception
            name = "one"
            when = '''
            event.a
              && event.b
            '''
            expires = 2027-01-31

            # The end.

            # Really.
        "##]],
    );
}

#[test]
fn tests_are_written_in_one_way() {
    check(
        r#"# Head.

[[test]]
expect = "match"
name = "t"
event = "b"
[events.b.set]
x = {a=1,  b = {c=[ ]}}
y.z = 1979-05-27T07:32:00Z
long = """
 kept
   as is """
[events.b]
null = []
extends = "a"
[[events.b.set.list]]
k = 0x1F
[events."a.c"]
json = "{\"a\":\n1}"
[events.a]
"#,
        expect![[r##"
            # Head.

            [events.b]
            extends = "a"
            null = []

            [events.b.set]
            x = { a = 1, b = { c = [] } }
            y.z = 1979-05-27T07:32:00Z
            long = """
             kept
               as is """

            [[events.b.set.list]]
            k = 0x1F

            [events."a.c"]
            json = '''
            {"a":
            1}
            '''

            [events.a]

            [[test]]
            name = "t"
            event = "b"
            expect = "match"
        "##]],
    );
}

#[test]
fn other_files_and_mistakes() {
    check(
        "[settings]\n  x=1",
        expect![[r#"
        [settings]
          x=1"#]],
    );
    check(
        "values = [ 'a' ]\r\n# end",
        expect![[r#"
        values = ["a"]

        # end
    "#]],
    );
    check(
        "override = [{rule='a', disabled=true}] # why",
        expect![[r#"
            override = [{ rule = "a", disabled = true }] # why
        "#]],
    );
    let reports = format("a.toml", "when = ").expect_err("this is not TOML");
    assert_eq!(reports.len(), 1);
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\n]{0,12}".prop_map(|text| {
            text.lines()
                .map(|line| format!("# {line}\n"))
                .collect::<String>()
        }),
        Just("\n".to_owned()),
        ("[a-c]", "[ -~]{0,8}")
            .prop_map(|(key, text)| { format!("{key} = {} # c\n", toml::Value::from(text)) }),
        ("(id|when|name|description|tags)", "[a-z'\"\\\\{}\n ]{0,12}")
            .prop_map(|(key, text)| format!("{key} = {}\n", toml::Value::from(text))),
        (
            "(tags|authors)",
            proptest::collection::vec("[a-z']{0,30}", 0..6),
            "[#\n ]{0,4}"
        )
            .prop_map(|(key, items, gap)| {
                let items: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
                format!(
                    "{key} = [{gap}\n{}{gap}\n]\n",
                    items.join(&format!(",{gap}\n"))
                )
            }),
        "(finding|finding.context|events.[ab]|events.a.set|x)"
            .prop_map(|name| format!("[{name}]\n")),
        "(test|exceptions|override|y)".prop_map(|name| format!("[[{name}]] # c\n")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn formatting_twice_is_formatting_once(lines in proptest::collection::vec(line(), 0..14)) {
        let text = lines.concat();
        if let Ok(once) = format("a.toml", &text) {
            let twice = format("a.toml", &once).expect("what was written can be read");
            prop_assert_eq!(&twice, &once);
        }
        if let Ok(document) = text.parse::<toml_edit::DocumentMut>() {
            for shape in [&super::RULE, &super::TESTS] {
                let written = write(&document, shape);
                prop_assert!(super::means_the_same(&text, &written, shape), "{}", written);
                let marks = |text: &str| text.matches('#').count();
                prop_assert_eq!(marks(&text), marks(&written), "{}", written);
            }
        }
    }
}
