//! Votes against everybody who should have none: forged, altered, replayed, late, of the suspect, of the owner, of one person
//! under two names.

use crate::stage::{self, Kind, WIDE, approver, bad, open, policies_of, text_with, vote_of};
use crate::world::{Cloud, Faults, HOUR, MINUTE, START, World};
use nkeys::KeyPair;
use std::path::Path;
use tripline_remediation::engine::{Engine, EngineFault, Outside};
use tripline_remediation::machine::State;
use tripline_remediation::vote::{Approver, Decision, SignedVote, Vote, VoteFault};

/// People and their keys.
struct People(Vec<(Approver, KeyPair)>);

impl People {
    fn new() -> Self {
        let one = |name: &str, groups: &[&str], principals: &[&str], break_glass: bool| {
            let pair = KeyPair::new_user();
            let mut one = approver(name, &pair);
            one.groups = groups.iter().map(|&one| one.to_owned()).collect();
            one.principals = principals.iter().map(|&one| one.to_owned()).collect();
            one.break_glass = break_glass;
            (one, pair)
        };
        let mut all = vec![
            one(
                "alice",
                &["security"],
                &["arn:aws:iam::*:user/alice"],
                false,
            ),
            one("bob", &["network"], &[], false),
            one("carol", &["network", "security"], &[], false),
            one("dave", &["sales"], &[], false),
            one(
                "mallory",
                &["security"],
                &["arn:aws:iam::*:user/mallory"],
                false,
            ),
            one("cloud", &["security"], &[], false),
            one("erin", &["security", "owner:cloud"], &[], false),
            one("glass", &[], &[], true),
        ];
        // One person, two names.
        let (mut double, pair) = (
            all[0].0.clone(),
            KeyPair::from_seed(&all[0].1.seed().expect("has one")),
        );
        double.name = "alice2".to_owned();
        double.groups = vec!["network".to_owned()];
        all.push((double, pair.expect("is a key")));
        Self(all)
    }

    fn pair(&self, name: &str) -> &KeyPair {
        let found = self.0.iter().find(|one| one.0.name == name);
        &found.expect("is there").1
    }

    fn open(&self, folder: &Path, world: &World, approval: &str) -> Engine<World> {
        let mut settings = stage::settings();
        settings.approvers = self.0.iter().map(|one| one.0.clone()).collect();
        let engine = open(folder, world, settings).expect("opens");
        let total = "execution = { total_timeout = \"1h\" }";
        let text = text_with(WIDE).replace(total, &format!("approval = {{ {approval} }}\n{total}"));
        engine.set_policies(policies_of(&text));
        engine
    }

    fn vote(&self, engine: &Engine<World>, id: &str, name: &str) -> SignedVote {
        let nonce = format!("{}", engine.outside().chance(u64::MAX));
        vote_of(engine, id, name, self.pair(name), &nonce)
    }

    fn altered(&self, signed: &SignedVote, name: &str, with: impl FnOnce(&mut Vote)) -> SignedVote {
        let mut vote = signed.vote.clone();
        with(&mut vote);
        vote.sign(&self.pair(name).seed().expect("has one"))
            .expect("is signed")
    }
}

const TWO_GROUPS: &str = r#"quorum = 2, groups = ["security", "network"]"#;

/// An instance of which the isolation waits for votes.
fn waiting(people: &People, folder: &Path, approval: &str) -> (Engine<World>, String) {
    let mut cloud = Cloud::default();
    let bad = bad(
        Kind::Instance,
        1,
        stage::ACCOUNT,
        START - MINUTE,
        &mut cloud,
    );
    let world = World::new(3, Faults::default(), cloud);
    let engine = people.open(folder, &world, approval);
    let considered = bad.consider(&engine).expect("is considered");
    let id = considered[0].action.clone().expect("is proposed");
    engine.turn().expect("is planned");
    assert!(matches!(
        engine.action(&id).expect("is there").state,
        State::AwaitingApproval { .. }
    ));
    (engine, id)
}

fn fault(engine: &Engine<World>, vote: SignedVote) -> VoteFault {
    let before = engine.action(&vote.vote.action);
    let fault = match engine.vote(vote.clone()) {
        Err(EngineFault::Vote(fault)) => fault,
        other => panic!("{other:?} of {vote:?}"),
    };
    assert_eq!(
        engine.action(&vote.vote.action),
        before,
        "a refused vote changes nothing"
    );
    fault
}

#[test]
fn whoever_has_no_vote_has_none() {
    let (people, folder) = (People::new(), stage::folder());
    let (engine, id) = waiting(&people, folder.path(), TWO_GROUPS);
    let good = people.vote(&engine, &id, "alice");
    // Each field altered after it was signed.
    let alter: [fn(&mut Vote); 8] = [
        |vote| vote.plan_hash.push('0'),
        |vote| vote.decision = Decision::Deny,
        |vote| vote.reason.push('!'),
        |vote| vote.approver = "carol".to_owned(),
        |vote| vote.nonce.push('0'),
        |vote| vote.not_after += 1,
        |vote| vote.break_glass = true,
        |vote| vote.approver = "glass".to_owned(),
    ];
    for with in alter {
        let mut forged = good.clone();
        with(&mut forged.vote);
        assert!(matches!(fault(&engine, forged), VoteFault::Forged(_)));
    }
    for signature in ["", "AAAA", "not base64", &"A".repeat(88)] {
        let forged = SignedVote {
            signature: signature.to_owned(),
            ..good.clone()
        };
        assert!(matches!(fault(&engine, forged), VoteFault::Forged(_)));
    }
    // Signed well, and of no use.
    let signed = |with: fn(&mut Vote)| people.altered(&good, "alice", with);
    assert_eq!(
        fault(&engine, signed(|vote| vote.plan_hash = "0".repeat(64))),
        VoteFault::OtherPlan
    );
    assert!(matches!(
        fault(&engine, signed(|vote| vote.approver = "nobody".to_owned())),
        VoteFault::Nobody(_)
    ));
    assert_eq!(
        fault(&engine, signed(|vote| vote.not_after = START)),
        VoteFault::Time
    );
    assert_eq!(
        fault(&engine, signed(|vote| vote.not_after += 24 * HOUR)),
        VoteFault::Time
    );
    assert_eq!(
        fault(&engine, signed(|vote| vote.not_after = i64::MAX)),
        VoteFault::Time
    );
    assert_eq!(
        fault(&engine, signed(|vote| vote.not_after = i64::MIN)),
        VoteFault::Time
    );
    assert!(matches!(
        fault(&engine, signed(|vote| vote.nonce = "short".to_owned())),
        VoteFault::Lacks(_)
    ));
    assert!(matches!(
        fault(&engine, signed(|vote| vote.reason = " ".to_owned())),
        VoteFault::Lacks(_)
    ));
    assert!(matches!(
        fault(&engine, signed(|vote| vote.reason = "x".repeat(1_001))),
        VoteFault::Lacks(_)
    ));
    assert!(matches!(
        fault(&engine, signed(|vote| vote.break_glass = true)),
        VoteFault::Glass(..)
    ));
    let of = |name: &str| fault(&engine, people.vote(&engine, &id, name));
    assert!(matches!(of("mallory"), VoteFault::Suspect(_)));
    assert!(matches!(of("cloud"), VoteFault::Owner(_)));
    assert!(matches!(of("erin"), VoteFault::Owner(_)));
    assert!(matches!(of("dave"), VoteFault::Group(..)));
    assert!(matches!(of("glass"), VoteFault::Glass(..)));
    // An emergency in which nothing is to be done is none.
    let deny = people.altered(&people.vote(&engine, &id, "glass"), "glass", |vote| {
        vote.break_glass = true;
        vote.decision = Decision::Deny;
    });
    assert!(matches!(fault(&engine, deny), VoteFault::Glass(..)));
    // Both groups are needed, and one person is one, by whatever name.
    let state = engine.vote(good.clone()).expect("counts");
    assert!(matches!(state, State::AwaitingApproval { .. }));
    assert!(matches!(fault(&engine, good.clone()), VoteFault::Again(_)));
    assert!(matches!(of("alice"), VoteFault::Again(_)));
    assert!(matches!(of("alice2"), VoteFault::Again(_)));
    let replayed = people.altered(&good, "bob", |vote| vote.approver = "bob".to_owned());
    assert!(
        matches!(fault(&engine, replayed), VoteFault::Again(_)),
        "one nonce is used once"
    );
    let state = engine
        .vote(people.vote(&engine, &id, "bob"))
        .expect("counts");
    assert_eq!(state, State::Approved);
    assert!(matches!(of("carol"), VoteFault::Closed(..)));
}

#[test]
fn two_of_one_group_are_not_enough_where_two_groups_are_asked() {
    let (people, folder) = (People::new(), stage::folder());
    let (engine, id) = waiting(
        &people,
        folder.path(),
        r#"quorum = 2, groups = ["security", "sales"]"#,
    );
    for name in ["alice", "carol"] {
        let state = engine
            .vote(people.vote(&engine, &id, name))
            .expect("counts");
        assert!(matches!(state, State::AwaitingApproval { .. }), "{name}");
    }
    let state = engine
        .vote(people.vote(&engine, &id, "dave"))
        .expect("counts");
    assert_eq!(state, State::Approved);
}

#[test]
fn votes_on_a_plan_that_is_void_are_not_cast_again() {
    let (people, folder) = (People::new(), stage::folder());
    let (engine, id) = waiting(&people, folder.path(), "quorum = 1");
    let world = engine.outside().clone();
    let vote = people.vote(&engine, &id, "alice");
    engine.vote(vote.clone()).expect("counts");
    // Somebody puts an interface elsewhere, and back: the plan is outdated, and the next one is the same.
    let was = world.cloud();
    world.meddle(|cloud| {
        let instance = cloud.instances.values_mut().next().expect("is there");
        *instance.interfaces.values_mut().next().expect("is there") =
            vec!["sg-00000002".to_owned()];
    });
    engine.turn().expect("is outdated");
    assert_eq!(engine.action(&id).expect("is there").state, State::Proposed);
    world.meddle(|cloud| *cloud = was);
    world.pass(world.time() + MINUTE);
    engine.turn().expect("is planned again");
    let action = engine.action(&id).expect("is there");
    assert_eq!(action.plan.expect("has one").1, vote.vote.plan_hash);
    assert!(matches!(fault(&engine, vote), VoteFault::Again(_)));
    let state = engine
        .vote(people.vote(&engine, &id, "alice"))
        .expect("a new one counts");
    assert_eq!(state, State::Approved);
}

#[test]
fn a_vote_that_lapsed_is_not_counted_for_the_quorum() {
    let (people, folder) = (People::new(), stage::folder());
    let (engine, id) = waiting(&people, folder.path(), r#"quorum = 2, timeout = "1d""#);
    let short = people.vote(&engine, &id, "alice");
    let short = people.altered(&short, "alice", |vote| vote.not_after = START + MINUTE);
    engine.vote(short).expect("counts");
    engine.outside().pass(START + HOUR);
    let state = engine
        .vote(people.vote(&engine, &id, "bob"))
        .expect("counts");
    assert!(
        matches!(state, State::AwaitingApproval { .. }),
        "alice's vote has lapsed"
    );
    let state = engine
        .vote(people.vote(&engine, &id, "alice"))
        .expect("she may vote anew");
    assert_eq!(state, State::Approved);
}

#[test]
fn in_an_emergency_one_key_is_enough_and_is_used_once() {
    let (people, folder) = (People::new(), stage::folder());
    let (engine, id) = waiting(&people, folder.path(), TWO_GROUPS);
    let glass = people.vote(&engine, &id, "glass");
    let glass = people.altered(&glass, "glass", |vote| vote.break_glass = true);
    assert_eq!(engine.vote(glass.clone()).expect("counts"), State::Approved);
    assert!(engine.action(&id).expect("is there").is_glass_broken);
    assert!(matches!(fault(&engine, glass), VoteFault::Again(_)));
    // Whoever did it is nobody, in an emergency too.
    let mut owned = People::new();
    owned.0.last_mut().expect("is there").0.break_glass = true;
    let folder = stage::folder();
    owned
        .0
        .iter_mut()
        .find(|one| one.0.name == "glass")
        .expect("is there")
        .0
        .principals = vec!["arn:aws:iam::*:user/mallory".to_owned()];
    let (engine, id) = waiting(&owned, folder.path(), TWO_GROUPS);
    let glass = owned.vote(&engine, &id, "glass");
    let glass = owned.altered(&glass, "glass", |vote| vote.break_glass = true);
    assert!(matches!(fault(&engine, glass), VoteFault::Suspect(_)));
}

#[test]
fn votes_at_the_same_moment_are_all_counted() {
    for _ in 0..10 {
        let (people, folder) = (People::new(), stage::folder());
        let (engine, id) = waiting(&people, folder.path(), "quorum = 3");
        let votes: Vec<_> = ["alice", "bob", "carol"]
            .iter()
            .map(|name| people.vote(&engine, &id, name))
            .collect();
        std::thread::scope(|scope| {
            for vote in votes {
                scope.spawn(|| engine.vote(vote).expect("counts"));
            }
        });
        let action = engine.action(&id).expect("is there");
        assert_eq!((action.votes.len(), action.state), (3, State::Approved));
        assert!(engine.outside().now() >= START);
    }
}
