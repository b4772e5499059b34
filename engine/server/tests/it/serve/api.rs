//! What the API refuses, and how it says so.

use super::service::Service;
use super::{event, folder, run};
use std::io::Write;

#[test]
fn bodies_are_read_as_a_scan_reads_files_and_the_rest_is_named() {
    let folder = folder(
        "serve-bodies",
        "http.body_max_mib = 1\nhttp.inflated_max_mib = 2\n",
    );
    // Keys before the first table belong to it.
    let config =
        std::fs::read_to_string(format!("{}/tripline.toml", folder.path())).expect("it is there");
    let config = config.replace("http.body_max_mib = 1\nhttp.inflated_max_mib = 2\n", "");
    folder.file(
        "tripline.toml",
        format!("http.body_max_mib = 1\nhttp.inflated_max_mib = 2\n{config}"),
    );
    let service = Service::start(&folder);
    let (one, two) = (event(1, "Stop", 1), event(2, "Look", 1));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(format!("{one}\n{two}\n").as_bytes())
        .expect("memory");
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    bomb.write_all(&vec![b' '; 4 << 20]).expect("memory");
    for (body, status, expected) in [
        (format!("{one}\n{two}").into_bytes(), 200, "\"accepted\":2"),
        (format!("[{one},{two}]").into_bytes(), 200, "\"accepted\":2"),
        (
            format!("{{\"Records\":[{one},{two}]}}").into_bytes(),
            200,
            "\"accepted\":2",
        ),
        (gzip.finish().expect("memory"), 200, "\"accepted\":2"),
        (
            format!("{one}\n{{\"a\":1,\"a\":2}}\n").into_bytes(),
            200,
            "\"refused\":1",
        ),
        (b"".to_vec(), 400, "holds no event"),
        (b"nonsense".to_vec(), 400, "nothing in the body is an event"),
        (vec![b'['; 300], 400, "nothing in the body"),
        (
            b"\x1f\x8bnonsense".to_vec(),
            400,
            "cannot be read to its end",
        ),
        (
            bomb.finish().expect("memory"),
            413,
            "when it is decompressed",
        ),
        (vec![b' '; (1 << 20) + 1], 413, ""),
    ] {
        let begin = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let (code, text) = service.post("/v1/events", body);
        assert_eq!(code, status, "{begin}: {text}");
        assert!(text.contains(expected), "{begin}: {text}");
    }
    service.wait_for(9);
    let status = service.get("/v1/status");
    assert_eq!(
        status["tally"]["malformed"],
        serde_json::json!({}),
        "nothing malformed is in the log"
    );
    assert_eq!(service.post("/v1/nothing", "").0, 404);
    assert_eq!(service.post("/v1/findings", "").0, 405);
    assert_eq!(
        service.get("/v1/findings?since=yesterday")["error"],
        "bad_request"
    );
    assert_eq!(
        service.get("/v1/findings?colour=red")["error"],
        "bad_request"
    );
    assert_eq!(service.get("/v1/findings/none")["error"], "not_found");
    for (path, words) in [
        (
            "/v1/findings?limit=all",
            "limit is a whole number, and not `all`",
        ),
        (
            "/v1/findings?before=-1",
            "before is a whole number, and not `-1`",
        ),
        (
            "/v1/dead-letters?after=x",
            "after is a whole number, and not `x`",
        ),
        (
            "/v1/dead-letters/abc",
            "the end of the path is a whole number, and not `abc`",
        ),
    ] {
        assert_eq!(service.get(path)["message"], words, "{path}");
    }
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_token_is_demanded_of_everything_but_health() {
    let folder = folder("serve-token", "");
    let token = folder.file("token", "a secret\n");
    let config =
        std::fs::read_to_string(format!("{}/tripline.toml", folder.path())).expect("it is there");
    folder.file(
        "tripline.toml",
        format!("http.token_file = \"{token}\"\n{config}"),
    );
    let service = Service::start(&folder);
    assert_eq!(service.get("/healthz")["status"], "alive");
    service.wait_until("it is ready", || {
        service.get("/readyz")["status"] == "ready"
    });
    for path in ["/metrics", "/v1/status", "/v1/findings"] {
        assert_eq!(service.get(path)["error"], "unauthorized", "{path}");
    }
    assert_eq!(service.post("/v1/events", event(1, "Stop", 1)).0, 401);
    let refused = run(&["status", "--url", &service.url()]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("give the token"),
        "{}",
        refused.stderr
    );
    let ran = run(&["status", "--url", &service.url(), "--token-file", &token]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // Also when it is told by closing while a long body is on its way.
    let many: Vec<String> = (0..20_000).map(|number| event(number, "Look", 1)).collect();
    let many = folder.file("many.jsonl", many.join("\n"));
    let wrong = folder.file("wrong", "another secret\n");
    let by = |token: &str| {
        run(&[
            "publish",
            "--url",
            &service.url(),
            "--token-file",
            token,
            &many,
        ])
    };
    let refused = by(&wrong);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("give the token"),
        "{}",
        refused.stderr
    );
    let taken = by(&token);
    assert_eq!(taken.code, 0, "{}", taken.stderr);
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let folder = folder("serve-metrics", "");
    let service = Service::start(&folder);
    service.publish(&[event(1, "Stop", 1), event(2, "Look", 1)]);
    service.wait_for(2);
    service.wait_sent("file");
    // Ticks of the clock are records too: now and then one is in the log that is not yet evaluated.
    service.wait_until("nothing lags", || {
        service.text("/metrics").contains("tripline_log_lag 0\n")
    });
    let text = service.text("/metrics");
    for expected in [
        "tripline_events_evaluated_total 2\n",
        "tripline_findings_new_total 1\n",
        "tripline_rule_findings_total{rule=\"stopped\"} 1\n",
        "tripline_sink_sent_total{sink=\"file\"} 1\n",
        "tripline_ready 1\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    for line in text.lines() {
        let is_sound = line.starts_with("# HELP ") || line.starts_with("# TYPE ") || {
            let (name, value) = line.rsplit_once(' ').expect(line);
            name.starts_with("tripline_") && value.parse::<f64>().is_ok()
        };
        assert!(is_sound, "{line}");
    }
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn no_service_is_told_as_such() {
    let ran = run(&["status", "--url", "http://127.0.0.1:1"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("is `tripline serve` running there?"),
        "{}",
        ran.stderr
    );
}

#[test]
fn decisions_are_made_by_rules_with_an_effect() {
    let folder = folder("serve-decide", "");
    let rule = super::RULES
        .replace("when =", "effect = \"deny\"\nwhen =")
        .replace("\"stopped\"", "\"no-stopping\"");
    folder.file("rules/no-stopping.toml", &rule);
    let strict = rule.replace("no-stopping", "strict").replace(
        "event.?eventName.orValue(\"\") == \"Stop\"",
        "event.depth > 3",
    );
    folder.file(
        "rules/strict.toml",
        strict.replace("\"deny\"", "\"require_approval\""),
    );
    let service = Service::start(&folder);
    for (body, decision, rule) in [
        (
            r#"{"eventName":"Stop","depth":1,"who":"eve"}"#.to_owned(),
            "deny",
            "eve stopped it",
        ),
        (
            r#"{"eventName":"Look","depth":9}"#.to_owned(),
            "require_approval",
            "strict",
        ),
        (
            r#"{"eventName":"Look","depth":1}"#.to_owned(),
            "allow",
            "\"rules\":[]",
        ),
        (
            r#"{"eventName":"Look"}"#.to_owned(),
            "deny",
            "\"undecided\":[{",
        ),
        (
            "[{\"depth\":1},{\"depth\":7}]".to_owned(),
            "require_approval",
            "\"decision\":\"allow\"",
        ),
    ] {
        let (status, text) = service.post("/v1/decide", &body);
        let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (status, answer["decision"].as_str()),
            (200, Some(decision)),
            "{body}: {text}"
        );
        assert!(text.contains(rule), "{body}: {text}");
    }
    assert_eq!(service.post("/v1/decide", "{").0, 400);
    assert_eq!(service.post("/v1/decide", "{}\nnonsense").0, 400);
    assert!(
        service
            .text("/metrics")
            .contains("tripline_decisions_total{effect=\"deny\"} 2\n")
    );
    assert_eq!(
        service.get("/v1/status")["partitions"][0]["last"],
        0,
        "nothing was taken into the log"
    );
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn whoever_is_not_answered_in_time_gets_the_stated_default() {
    let folder = folder("serve-late", "");
    let config =
        std::fs::read_to_string(format!("{}/tripline.toml", folder.path())).expect("it is there");
    folder.file(
        "tripline.toml",
        format!("decisions.deadline = \"1ms\"\n{config}"),
    );
    let service = Service::start(&folder);
    let many = vec![r#"{"eventName":"Look"}"#; 1000].join("\n");
    service.wait_until("one comes too late", || {
        let (status, text) = service.post("/v1/decide", &many);
        let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(status, 200, "{text}");
        answer["decisions"][999]["is_default"] == true && answer["decision"] == "deny"
    });
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn whatever_is_in_an_event_it_is_stored_or_set_aside_and_the_service_goes_on() {
    let folder = folder("serve-odd", "");
    let service = Service::start(&folder);
    let long = "é".repeat(100_000);
    let odd = [
        format!(r#"{{"eventID":"{long}","eventName":"Stop","who":"a"}}"#),
        format!(r#"{{"eventID":"x","eventName":"Stop","who":"{long}"}}"#),
        r#"{"eventID":"","eventName":"Stop"}"#.to_owned(),
        r#"{"eventID":"a\u0000b\n","eventName":"Stop"}"#.to_owned(),
        r#"{"eventID":{"a":1},"eventName":"Stop"}"#.to_owned(),
        r#"{"eventName":"Start","who":{"deep":[[[[1]]]]},"eventTime":"9999-12-31T23:59:59Z"}"#
            .to_owned(),
        format!(
            r#"{{"eventID":"y","eventName":"Start","eventTime":"2026-01-02T00:00:00Z","who":"{long}"}}"#
        ),
    ];
    service.publish(&odd);
    service.wait_for(odd.len() as u64);
    let found = service.get("/v1/findings");
    assert_eq!(
        found["findings"].as_array().map(Vec::len),
        Some(5),
        "{found}"
    );
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn many_reloads_hold_nothing_against_the_events_that_follow() {
    let folder = folder("serve-storm", "");
    let service = Service::start(&folder);
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| assert_eq!(service.post("/v1/reload", "").0, 200));
        }
    });
    for round in 0..10 {
        assert_eq!(service.post("/v1/reload", "").0, 200);
        service.publish(&[event(round, "Stop", 1)]);
    }
    service.wait_for(10);
    let status = service.get("/v1/status");
    assert_eq!(status["tally"]["fatal"], 0, "{status}");
    assert_eq!(status["findings"]["new"], 10, "{status}");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn refusals_are_json_and_pages_may_not_ask() {
    let folder = folder("serve-refusals", "");
    let service = Service::start(&folder);
    for path in [
        "/v1/dead-letters/abc",
        "/v1/dead-letters/-1",
        "/v1/findings/%00%ff",
        "/v1/events/%ff",
    ] {
        assert_eq!(service.get(path)["error"], "bad_request", "{path}");
    }
    for header in [("origin", "http://evil.example"), ("host", "evil.example")] {
        let answer = ureq::get(format!("{}/v1/status", service.url()))
            .config()
            .http_status_as_error(false)
            .build();
        let answer = answer
            .header(header.0, header.1)
            .call()
            .expect("it answers");
        assert_eq!(answer.status(), 403, "{header:?}");
    }
    assert_eq!(service.terminate(), Some(0));
}
