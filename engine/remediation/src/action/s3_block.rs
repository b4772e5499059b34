//! Public access blocks: of a bucket, and of an account with all its buckets.

use super::building::{change, check, is, refused, step};
use super::document::{is_public, parse, statements};
use super::events::{Event, flag};
use super::reading::{self, ask};
use super::recipe::{About, Asked, Draft, Drafted, Kind, Recipe, nothing, required};
use super::s3_acl::is_public_acl;
use super::{PlanFault, Reads, naming};
use crate::plan::{Answer, Call, Class, Risk, Step};
use serde_json::{Map, Value, json};

const S3: &str = "s3.amazonaws.com";
const FLAGS: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];
const POINTER: &str = "/PublicAccessBlockConfiguration";
const NONE: &[&str] = &["NoSuchPublicAccessBlockConfiguration"];

pub(super) const BUCKET: Recipe = Recipe {
    name: "aws.s3.block_public_access",
    about: "Has a bucket block and ignore whatever would make it public.",
    risk: Risk::Medium,
    kind: "aws.s3.bucket",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[
        (S3, "PutBucketPolicy"),
        (S3, "PutBucketAcl"),
        (S3, "PutBucketPublicAccessBlock"),
        (S3, "DeleteBucketPublicAccessBlock"),
    ],
    makes: &[
        (S3, "PutBucketPublicAccessBlock"),
        (S3, "DeleteBucketPublicAccessBlock"),
    ],
    operations: &[
        "s3.DeletePublicAccessBlock",
        "s3.GetPublicAccessBlock",
        "s3.PutPublicAccessBlock",
    ],
    parameters: &[required("bucket", Kind::Text, "the bucket")],
    from_event: from_bucket_event,
    subject: |asked| {
        let bucket = naming::bucket(asked.text("bucket")?)?;
        Ok(About::regional(
            asked.bucket_arn(bucket),
            json!("not blocked"),
        ))
    },
    plan: |context, reads| {
        let asked = context.asked()?;
        let bucket = asked.text("bucket")?;
        let to = Blocked {
            words: format!("the bucket {bucket}"),
            service: "s3",
            member: ("Bucket", json!(bucket)),
            gone: &["NoSuchBucket"],
        };
        block(&asked, reads, &to)
    },
};

pub(super) const ACCOUNT: Recipe = Recipe {
    name: "aws.s3.block_account_public_access",
    about: "Has an account block and ignore whatever would make any of its buckets public.",
    risk: Risk::High,
    kind: "aws.account",
    is_containment: true,
    is_rolled_back: false,
    triggers: &[
        (S3, "PutAccountPublicAccessBlock"),
        (S3, "DeleteAccountPublicAccessBlock"),
    ],
    makes: &[
        (S3, "PutAccountPublicAccessBlock"),
        (S3, "DeleteAccountPublicAccessBlock"),
    ],
    operations: &[
        "s3control.DeletePublicAccessBlock",
        "s3control.GetPublicAccessBlock",
        "s3control.PutPublicAccessBlock",
    ],
    parameters: &[],
    from_event: |event| {
        refuse_strong_block(event)?;
        Ok(Map::new())
    },
    subject: |asked| Ok(About::global(asked.account_arn(), json!("not blocked"))),
    plan: |context, reads| {
        let asked = context.asked()?;
        let to = Blocked {
            words: format!("the account {}", asked.account),
            service: "s3control",
            member: ("AccountId", json!(asked.account)),
            gone: &[],
        };
        block(&asked, reads, &to)
    },
};

fn from_bucket_event(event: &Event<'_>) -> Result<Map<String, Value>, PlanFault> {
    let bucket = event.needs("which bucket", &["/requestParameters/bucketName"])?;
    refuse_strong_block(event)?;
    if event.name() == "PutBucketPolicy" {
        let policy = event.at("/requestParameters/bucketPolicy").and_then(parse);
        let is_open = |policy: Value| statements(&policy).into_iter().any(is_public);
        if policy.is_some_and(|policy| !is_open(policy)) {
            let why = "the policy has no public statement";
            return Err(PlanFault::Refused(why.to_owned()));
        }
    }
    if event.name() == "PutBucketAcl" && !is_public_acl(event) {
        return Err(PlanFault::Refused("the ACL is not public".to_owned()));
    }
    let mut parameters = Map::new();
    parameters.insert("bucket".to_owned(), json!(bucket));
    Ok(parameters)
}

/// A block that blocks everything is nothing to answer.
fn refuse_strong_block(event: &Event<'_>) -> Result<(), PlanFault> {
    let set = event.at("/requestParameters/PublicAccessBlockConfiguration");
    let is_on = |set: &Value, name: &&str| set.get(*name).and_then(flag) == Some(true);
    match set.is_some_and(|set| FLAGS.iter().all(|name| is_on(set, name))) {
        true => Err(PlanFault::Refused("the event blocks everything".to_owned())),
        false => Ok(()),
    }
}

/// What is to be blocked.
struct Blocked {
    words: String,
    service: &'static str,
    member: (&'static str, Value),
    gone: &'static [&'static str],
}

impl Blocked {
    fn call(&self, asked: &Asked<'_>, operation: &str, block: Option<&Value>) -> Call {
        let mut parameters = Map::new();
        parameters.insert(self.member.0.to_owned(), self.member.1.clone());
        if let Some(block) = block {
            let name = "PublicAccessBlockConfiguration";
            parameters.insert(name.to_owned(), block.clone());
        }
        let operation = format!("{}.{operation}", self.service);
        asked.call(&operation, Value::Object(parameters))
    }
}

fn block(
    asked: &Asked<'_>,
    reads: &mut dyn Reads,
    blocked: &Blocked,
) -> Result<Drafted, PlanFault> {
    let question = blocked.call(asked, "GetPublicAccessBlock", None);
    let before = match ask(reads, &question)? {
        Answer::Done(answer) => answer.pointer(POINTER).cloned().unwrap_or_default(),
        Answer::Refused { code, .. } if NONE.contains(&code.as_str()) => Value::Null,
        Answer::Refused { code, .. } if blocked.gone.contains(&code.as_str()) => {
            return nothing(format!("{} is gone", blocked.words));
        }
        Answer::Refused { code, message } => {
            return Err(reading::refused(&question, &code, &message));
        }
    };
    let is_on = |name: &str| before.get(name) == Some(&Value::Bool(true));
    if FLAGS.iter().all(|name| is_on(name)) {
        return nothing(format!("{} blocks public access already", blocked.words));
    }
    let all = json!({
        "BlockPublicAcls": true,
        "IgnorePublicAcls": true,
        "BlockPublicPolicy": true,
        "RestrictPublicBuckets": true,
    });
    let put = |block: &Value| blocked.call(asked, "PutPublicAccessBlock", Some(block));
    let back = match before.is_null() {
        true => step(
            "unblock",
            format!("let {} have no block of public access again", blocked.words),
            Class::Remove,
            blocked.call(asked, "DeletePublicAccessBlock", None),
        ),
        false => step(
            "unblock",
            format!("block public access to {} as before", blocked.words),
            Class::Set,
            put(&before),
        ),
    };
    let summary = format!("block public access to {}", blocked.words);
    let one = Step {
        inverse: vec![back],
        ..step("block", summary.clone(), Class::Set, put(&all))
    };
    let held = match before.is_null() {
        true => refused(NONE),
        false => is(POINTER, before.clone()),
    };
    let diff = FLAGS.iter().filter(|name| !is_on(name));
    let diff = diff.map(|name| change(*name, before.get(*name).cloned().unwrap_or_default(), true));
    Ok(Drafted::Draft(Draft {
        summary,
        diff: diff.collect(),
        preconditions: vec![check(&question, vec![held])],
        steps: vec![one],
        verify: vec![check(&question, vec![is(POINTER, all)])],
    }))
}
