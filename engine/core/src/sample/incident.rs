//! The planted incidents: small attacks over minutes, whose records are known beforehand.
//!
//! They are written when the generator is made, so the manifest is complete before the first event is read
//! and the incidents do not depend on how the noise around them was drawn.

use jiff::{SignedDuration, Timestamp};

use super::catalogue::{Columns, Traits, parse_columns, parse_flags};
use super::identity::{Caller, Origin};
use super::random::Random;
use super::record::{Draft, Failure, write_record};
use super::scene::Scene;
use super::template::Slot;
use super::world::{UNUSED_REGIONS, World, push_uuid};
use super::{Incident, Record};

const ATTACKER_AGENTS: [&str; 4] = [
    "aws-cli/2.15.30 Python/3.11.8 Linux/6.6.15-amd64 exe/x86_64.kali.2024 prompt/off",
    "Boto3/1.26.90 Python/3.10.6 Linux/5.15.0-generic Botocore/1.29.90",
    "python-requests/2.31.0",
    "aws-sdk-go/1.44.120 (go1.19.3; linux; amd64)",
];

/// One kind of incident, as `incidents.txt` has it.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    kind: &'static str,
    technique: &'static str,
    title: &'static str,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    after: i64,
    times: u32,
    actor: &'static str,
    source: &'static str,
    name: &'static str,
    traits: Traits,
    error: Option<&'static str>,
    columns: Columns,
}

/// The built-in scenarios.
pub(super) fn builtin() -> Vec<Scenario> {
    match parse(include_str!("incidents.txt")) {
        Ok(scenarios) => scenarios,
        Err(error) => unreachable!("the built-in incidents: {error}"),
    }
}

fn parse(text: &'static str) -> Result<Vec<Scenario>, String> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for line in text.lines().map(str::trim) {
        let within = |error: String| format!("{line}: {error}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let (kind, rest) = header
                .split_once("] ")
                .ok_or_else(|| within("no kind".to_owned()))?;
            let (technique, title) = rest
                .split_once(' ')
                .ok_or_else(|| within("no title".to_owned()))?;
            scenarios.push(Scenario {
                kind,
                technique,
                title,
                steps: Vec::new(),
            });
            continue;
        }
        let step = parse_step(line).map_err(within)?;
        scenarios
            .last_mut()
            .ok_or_else(|| within("no incident yet".to_owned()))?
            .steps
            .push(step);
    }
    Ok(scenarios)
}

fn parse_step(line: &'static str) -> Result<Step, String> {
    let (head, columns) = line.split_once(" | ").unwrap_or((line, ""));
    let mut words = head.split_whitespace();
    let mut next = || words.next().ok_or_else(|| "too short".to_owned());
    let after = next()?
        .strip_prefix('+')
        .and_then(|seconds| seconds.parse().ok());
    let mut step = Step {
        after: after.ok_or("does not start with +SECONDS")?,
        times: 1,
        actor: next()?,
        source: next()?,
        name: next()?,
        traits: parse_flags(next()?)?,
        error: None,
        columns: parse_columns(columns)?,
    };
    for word in words {
        if let Some(code) = word.strip_prefix('!') {
            step.error = Some(code);
        } else {
            let times = word.strip_prefix('x').and_then(|times| times.parse().ok());
            step.times = times.ok_or_else(|| format!("unexpected {word}"))?;
        }
    }
    Ok(step)
}

impl Scenario {
    /// Plays the scenario once: the records, and what the manifest says of them.
    pub(super) fn play(
        &self,
        world: &World,
        start: Timestamp,
        random: &mut Random,
    ) -> (Incident, Vec<Record>) {
        let account = random.one_of(&world.accounts);
        let region = account.region(random);
        let far = *random.one_of(&UNUSED_REGIONS);
        let mut scene = Scene::new(account, region, start);
        let origin = attacker(random);
        // All calls of the incident come from the same principal.
        let principal = random.next();
        let mut records = Vec::new();
        for step in &self.steps {
            let (actor, place) = step.actor.split_once('@').unwrap_or((step.actor, ""));
            let global = matches!(
                step.source,
                "iam.amazonaws.com" | "signin.amazonaws.com" | "organizations.amazonaws.com"
            );
            scene.region = match place {
                "far" => far,
                _ if global => "us-east-1",
                _ => region,
            };
            for turn in 0..step.times {
                let pause = if turn == 0 {
                    step.after
                } else {
                    i64::try_from(random.between(2, 6)).unwrap_or(2)
                };
                scene.time = scene
                    .time
                    .checked_add(SignedDuration::from_secs(pause))
                    .unwrap_or(scene.time);
                records.push(step.write(
                    caller(actor, step.error),
                    principal,
                    &mut scene,
                    &origin,
                    random,
                ));
            }
        }
        let incident = Incident {
            kind: self.kind,
            technique: self.technique,
            title: self.title,
            account: account.id.clone(),
            first: records.first().map_or(start, |record| record.time),
            last: records.last().map_or(start, |record| record.time),
            event_ids: records
                .iter()
                .map(|record| record.event_id.clone())
                .collect(),
        };
        (incident, records)
    }
}

impl Step {
    fn write(
        &self,
        caller: Caller,
        principal: u64,
        scene: &mut Scene<'_>,
        origin: &Origin,
        random: &mut Random,
    ) -> Record {
        let service = self.source.split('.').next().unwrap_or(self.source);
        let failure = match self.error {
            None => Failure::None,
            Some("login") => Failure::SignIn,
            Some(code) => Failure::of(code, &format!("{service}:{}", self.name), scene, random),
        };
        let mut event_id = String::new();
        push_uuid(random, &mut event_id);
        // The victim is drawn from the main stream, before somebody acts.
        let victim = scene.kept(Slot::User, random);
        scene.actor = match self.actor {
            "key" | "key@far" => Some(scene.account.person_other_than(&victim)),
            _ => None,
        };
        let draft = Draft {
            source: self.source,
            name: self.name,
            traits: self.traits,
            columns: &self.columns,
            resource: None,
            caller,
            origin: origin.clone(),
            failure,
            event_id: event_id.clone(),
            principal: Some(principal),
        };
        let json = write_record(&draft, scene, random);
        Record {
            event_id,
            time: scene.time,
            bytes: json.into_bytes(),
        }
    }
}

fn caller(actor: &str, error: Option<&str>) -> Caller {
    match actor {
        "key" => Caller::UserKey,
        "console" => Caller::ConsoleUser,
        "root" | "rootsignin" => Caller::Root,
        "signin" if error == Some("login") => Caller::FailedSignIn,
        "signin" => Caller::ConsoleUser,
        _ => Caller::Machine,
    }
}

fn attacker(random: &mut Random) -> Origin {
    Origin {
        address: format!("198.51.100.{}", random.between(1, 254)),
        agent: (*random.one_of(&ATTACKER_AGENTS)).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_incidents_are_well_formed() {
        let scenarios = parse(include_str!("incidents.txt")).expect("well formed");
        assert!(scenarios.len() >= 12, "{}", scenarios.len());
        for scenario in &scenarios {
            assert!(!scenario.steps.is_empty(), "{}", scenario.kind);
            let (tactic, technique) = scenario
                .technique
                .split_once('/')
                .expect("tactic/technique");
            assert!(
                tactic.starts_with("TA00") && technique.starts_with('T'),
                "{}",
                scenario.kind
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        fn check(text: &'static str, expected: &str) {
            assert_eq!(parse(text).err().as_deref(), Some(expected), "{text}");
        }
        check("+1 key s n r", "+1 key s n r: no incident yet");
        check("[kind] T1", "[kind] T1: no title");
        check(
            "[kind] T1 Title\n1 key s n r",
            "1 key s n r: does not start with +SECONDS",
        );
        check(
            "[kind] T1 Title\n+1 key s n r y",
            "+1 key s n r y: unexpected y",
        );
    }
}
