use super::{Config, LogDurability, SinkKind};
use std::path::PathBuf;

fn write(text: &str) -> (PathBuf, impl Drop) {
    struct Gone(PathBuf);
    impl Drop for Gone {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!(
        "tripline-config-{}-{number}.toml",
        std::process::id()
    ));
    std::fs::write(&path, text).expect("a temporary file");
    (path.clone(), Gone(path))
}

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let (path, _gone) = write(text);
    let environment = environment
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::read(Some(&path), environment).map_err(|error| {
        error
            .to_string()
            .replace(&path.display().to_string(), "FILE")
    })
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = read("", &[]).expect("defaults hold");
    assert_eq!(config.log.durability, LogDurability::Fsync);
    assert_eq!(config.sinks.len(), 1);
    assert_eq!(config.sinks["console"].kind, SinkKind::Stdout);
}

#[test]
fn the_environment_goes_before_the_file() {
    let config = read(
        "[log]\ndurability = \"fsync\"\nsegment_mib = 8\n",
        &[
            ("TRIPLINE__LOG__DURABILITY", "process"),
            ("TRIPLINE__ENGINE__THREADS", "3"),
            ("TRIPLINE__RULES__PATHS", "[\"a\", \"b\"]"),
            ("OTHER", "x"),
        ],
    )
    .expect("sound");
    assert_eq!(config.log.durability, LogDurability::Process);
    assert_eq!(config.log.segment_mib, 8);
    assert_eq!(config.engine.threads, 3);
    assert_eq!(config.rules.paths, ["a", "b"]);
}

#[test]
fn sinks_of_a_file_replace_those_of_the_defaults() {
    let config = read("[sinks.mine]\ntype = \"file\"\npath = \"x\"\n", &[]).expect("sound");
    assert_eq!(config.sinks.keys().collect::<Vec<_>>(), ["mine"]);
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, environment, expected) in [
        (
            "[log]\ndurabilty = \"fsync\"\n",
            &[][..],
            "line 2, column 1",
        ),
        (
            "[log]\ndurability = \"sometimes\"\n",
            &[],
            "line 2, column 14",
        ),
        ("[log\n", &[], "line 1"),
        (
            "[engine]\nthreads = 1000\n",
            &[],
            "engine.threads = 1000 is out of range",
        ),
        (
            "[http]\nlisten = \"0.0.0.0:80\"\n",
            &[],
            "can be reached from elsewhere",
        ),
        ("[http]\nlisten = \"nowhere\"\n", &[], "is no address"),
        (
            "[traces]\notlp = \"collector:4318\"\n",
            &[],
            "traces.otlp = \"collector:4318\" begins neither with https:// nor with http://",
        ),
        (
            "[traces]\notlp = \"http://me:secret@collector/v1/traces\"\n",
            &[],
            "traces.otlp: an address with a user or a password in it; let a collector on this machine add them",
        ),
        (
            "[traces]\nsample_ratio = 1.5\n",
            &[],
            "traces.sample_ratio = 1.5 is out of range; give 0 to 1",
        ),
        (
            "[traces]\nservice_name = \"\"\n",
            &[],
            "traces.service_name has 0 characters; give 1 to 255",
        ),
        (
            "[history]\nretention = \"soon\"\n",
            &[],
            "is no length of time",
        ),
        (
            "[history]\nretention = \"0s\"\n",
            &[],
            "`0s` is no time at all; give something longer",
        ),
        (
            "[sinks.x]\ntype = \"webhook\"\n",
            &[],
            "sinks.x: a sink of this type needs `url`",
        ),
        (
            "[sinks.x]\ntype = \"webhook\"\nurl = \"ftp://x\"\n",
            &[],
            "begins neither",
        ),
        (
            "[sinks.x]\ntype = \"stdout\"\nurl = \"http://x\"\n",
            &[],
            "`url` means nothing",
        ),
        (
            "[sinks.\"a b\"]\ntype = \"stdout\"\n",
            &[],
            "a name has letters",
        ),
        (
            "[sinks.x]\ntype = \"webhook\"\nurl = \"http://x\"\ntemplate = \"pagerduty\"\n",
            &[],
            "needs `secret_file`",
        ),
        ("[telemetry]\nlevel = \"loud\"\n", &[], "is none of error"),
        ("[bus]\ntype = \"kafka\"\n", &[], "line 2, column 8"),
        ("[nats]\nurl = \"x\"\n", &[], "line 2, column 1"),
        ("[nats]\nurls = []\n", &[], "nats.urls is empty"),
        (
            "[nats]\nstart = \"yesterday\"\n",
            &[],
            "`yesterday` is no place in a log; give first, new, the number of a record from 1",
        ),
        ("[nats]\nstart = 0\n", &[], "line 2, column 9"),
        (
            "[nats]\nurls = [\"wss://x\"]\n",
            &[],
            "begins neither with nats:// nor with tls://",
        ),
        (
            "[nats]\nurls = [\"nats://anna:secret@x\"]\n",
            &[],
            "give nats.user and nats.password_file",
        ),
        ("[nats]\npartitions = 65\n", &[], "give 1 to 64"),
        (
            "[nats]\npartition_by = \"a..b\"\n",
            &[],
            "give a path in events",
        ),
        (
            "[store]\nshared = true\n",
            &[],
            "give `type = \"nats\"` of [bus]",
        ),
        ("[store]\nmember = \"a.b\"\n", &[], "store.member"),
        (
            "[store]\nshorten_every = 0\n",
            &[],
            "after how many entries",
        ),
        ("[nats]\nreplicas = 2\n", &[], "give 1, 3 or 5"),
        (
            "[nats]\nprefix = \"a.b\"\n",
            &[],
            "letters, digits, - and _",
        ),
        (
            "[nats]\nevent_max_kib = 65536\n",
            &[],
            "nats.event_max_kib = 65536 is out of range",
        ),
        (
            "[nats]\nduplicate_window = \"1s\"\n",
            &[],
            "give at least 30 s",
        ),
        (
            "[nats]\nage_max = \"30s\"\n",
            &[],
            "nats.age_max is too short",
        ),
        (
            "[nats]\ntoken_file = \"a\"\nnkey_file = \"b\"\n",
            &[],
            "nkey_file and token_file are given",
        ),
        (
            "[nats]\nuser = \"anna\"\n",
            &[],
            "user and password_file belong together",
        ),
        (
            "[nats]\ntls_cert_file = \"a\"\n",
            &[],
            "tls_cert_file and tls_key_file belong together",
        ),
        (
            "[sinks.x]\ntype = \"nats\"\n",
            &[],
            "sinks.x: a sink of this type needs `subject`",
        ),
        (
            "[sinks.x]\ntype = \"nats\"\nsubject = \"a.>\"\n",
            &[],
            "cannot be published on",
        ),
        (
            "",
            &[("TRIPLINE__LOG__SIZE", "1")],
            "TRIPLINE__LOG__SIZE: there is no setting `size` here",
        ),
        (
            "",
            &[
                ("TRIPLINE__LOG__DURABILITY", "process"),
                ("TRIPLINE__LOG__SIZE_MAX_MIB", "abc"),
                ("TRIPLINE__SINKS__X__URL", "http://127.0.0.1:1"),
                ("TRIPLINE__SINKS__X__TYPE", "webhook"),
            ],
            "the environment variable TRIPLINE__LOG__SIZE_MAX_MIB: invalid type: string \"abc\"",
        ),
        (
            "",
            &[("TRIPLINE__DATA__X", "1")],
            "`data` is a value, not a section",
        ),
    ] {
        let told = read(text, environment).expect_err(text);
        assert!(told.contains(expected), "{text}: {told}");
    }
}
