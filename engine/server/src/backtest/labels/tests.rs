use super::{About, RuleLabels, Truth, read};

#[test]
fn json_lines_and_csv_say_the_same() {
    let json = "{\"rule_id\":\"a\",\"event_id\":\"e,1\",\"label\":\"tp\",\"event\":{}}\n\n{\"rule_id\":\"a\",\"finding_id\":\"000000000000000000000000000000ff\",\"label\":\"False-Positive\",\"note\":\"a \\\"b\\\"\"}\n";
    let csv = "\u{feff}rule_id,label,event_id,finding_id,note,other\r\na,true positive,\"e,1\",,,x\r\n\na,fp,,000000000000000000000000000000ff,\"a \"\"b\"\"\",\n";
    for text in [json, csv] {
        let labels = read("l", text).expect(text);
        assert_eq!(labels.len(), 2);
        assert_eq!(labels[0].about, About::Event("e,1".to_owned()));
        assert_eq!(labels[0].truth, Truth::True);
        assert_eq!(labels[1].about, About::Finding(255));
        assert_eq!(labels[1].note.as_deref(), Some("a \"b\""));
    }
}

#[test]
fn mistakes_have_a_place() {
    let check = |text: &str, expected: &str| {
        let error = read("l", text).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("", "holds no label");
    check("rule_id,event_id\n", "l:1: the first line must name");
    check(
        "rule_id,event_id,label\na,e\n",
        "l:2: 2 values under 3 columns",
    );
    check(
        "rule_id,event_id,label\na,\"e\n",
        "l:2: a quote is not closed",
    );
    check(
        "rule_id,event_id,label\na,e,tp\na,e,fp\n",
        "l:3: an earlier line says the opposite",
    );
    check("{\n", "l:1: EOF while parsing an object (column 1)");
    check(
        "\n{\"rule_id\":3}",
        "l:2: invalid type: integer `3`, expected a string (column 12)",
    );
    check("rule_id,event_id,label\na,e,maybe\n", "l:2: label `maybe`");
    check(
        "{\"rule_id\":\"a\",\"label\":\"tp\"}",
        "l:1: neither event_id nor",
    );
    check(
        "{\"rule_id\":\"a\",\"label\":\"tp\",\"finding_id\":\"x\"}",
        "l:1: finding_id",
    );
    check("{\"rule_id\":", "l:1: EOF");
}

#[test]
fn verdicts() {
    let check = |true_found, true_missed, false_found, expected: &str| {
        let labels = RuleLabels {
            true_found,
            true_missed,
            false_found,
            not_read: 0,
        };
        assert_eq!(labels.verdict().0, expected, "{labels:?}");
    };
    check(4, 0, 0, "undecided");
    check(5, 0, 0, "keep");
    check(5, 0, 5, "keep");
    check(5, 0, 6, "tune");
    check(5, 1, 0, "tune");
    check(0, 0, 9, "tune");
    check(0, 0, 10, "retire");
    check(0, 1, 10, "tune");
}
