//! What can be done about something, one file an action or a few that are alike.
//!
//! An action is asked three things, in this order. What does an event say that it needs: [`Action::parameters_of`]. What is it
//! about, and which bad state would it end: [`Action::subject`], without asking anybody. What is to be done about it now:
//! [`Action::plan`], which first asks what the state is. A plan is made of the finished parameters and of what is read, so that
//! a policy may set each of them. Nothing here sends what changes something.
//!
//! A new action is a `Recipe` in a file of its own and a line in `actions!` below.

mod building;
mod chosen;
mod document;
mod events;
mod naming;
pub(crate) mod planner;
mod principal;
mod reading;
mod recipe;

mod aws_config;
mod cloudtrail;
mod cloudtrail_restore;
mod ebs_encryption;
mod event_rule;
mod flow_logs;
mod guardduty;
mod http;
mod iam_access_key;
mod iam_attached_policy;
mod iam_contain;
mod iam_inline_policy;
mod iam_membership;
mod iam_policy_version;
mod iam_sign_in;
mod iam_trust_policy;
mod imdsv2;
mod instance_profile;
mod isolate_instance;
mod kms_key;
mod kubernetes;
mod lambda_access;
mod lambda_concurrency;
mod log_retention;
mod move_account;
mod rds;
mod s3_acl;
mod s3_block;
mod s3_policy;
mod secret;
mod security_group;
mod shared_image;
mod ssm_document;
mod stop_instances;

/// How events and ARNs are read, for what folds events.
pub(crate) mod shapes {
    pub(crate) use super::cloudtrail::every_management_event;
    pub(crate) use super::document::parse;
    pub(crate) use super::events::{as_asked, content, is_called};
    pub(crate) use super::naming::{Arn, function, partition};
}

pub use chosen::Chosen;
pub use planner::{Asking, Pinned, Planner};
pub use recipe::{Context, Kind, Parameter, Subject};

use crate::plan::{Answer, Call, Plan, Risk};
use events::Event;
use recipe::{Asked, Drafted, Recipe};
use serde_json::{Map, Value};

/// How many things of one kind a plan does at most: more than that is not one finding.
pub const ITEMS_MAX: usize = 100;

/// Asks services, for plans: operations that only read.
pub trait Reads {
    /// The answer. An error when there is none: the service is not there, or it answers nothing that can be understood.
    fn read(&mut self, call: &Call) -> Result<Answer, String>;
}

/// What was known of resources before something happened, from the events that were seen.
pub trait LastKnown {
    /// What an aspect of a resource was said to be, before a time in microseconds since 1970.
    fn before(&self, arn: &str, aspect: &str, time: i64) -> Option<Known>;
}

/// Something that was known.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// What it was.
    pub value: Value,
    /// When it was said; microseconds since 1970.
    pub time: i64,
    /// The event that said it.
    pub event: String,
}

/// What a plan comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    /// This is to be done.
    Plan(Box<Plan>),
    /// It is as it should be; why.
    Nothing(String),
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// The event lacks what the action needs; what.
    #[error("the event does not say {0}")]
    Lacks(String),
    /// Nothing is known of what it was before.
    #[error("nothing is known of {0} before this event: no event of it was seen")]
    Unknown(String),
    /// A service gave no answer, or one that is of no use; the operation and why.
    #[error("{0}: {1}")]
    Read(String, String),
    /// It must not be done; why.
    #[error("{0}")]
    Refused(String),
}

/// The enum, its list and its recipes, from one list.
macro_rules! actions {
    ($($(#[$about:meta])* $variant:ident => $recipe:path,)*) => {
        /// What can be done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$about])* $variant,)*
        }

        const ALL: &[Action] = &[$(Action::$variant,)*];

        impl Action {
            fn recipe(self) -> &'static Recipe {
                match self {
                    $(Self::$variant => &$recipe,)*
                }
            }
        }
    };
}

actions! {
    /// An access key that should not be is switched off.
    DeactivateAccessKey => iam_access_key::DEACTIVATE,
    /// An access key that was switched off is deleted.
    DeleteAccessKey => iam_access_key::DELETE,
    /// A managed policy is detached.
    DetachPolicy => iam_attached_policy::DETACH,
    /// The quarantine policy of AWS is attached to a user.
    QuarantineUser => iam_attached_policy::QUARANTINE,
    /// An inline policy is put back, or removed where none was.
    RemoveInlinePolicy => iam_inline_policy::REMOVE,
    /// A principal is denied everything.
    DenyAll => iam_contain::DENY_ALL,
    /// Sessions of a role from before the event are denied everything.
    RevokeSessions => iam_contain::REVOKE_SESSIONS,
    /// A user's password is deleted.
    DeleteLoginProfile => iam_sign_in::DELETE_LOGIN_PROFILE,
    /// An MFA device is taken from a user.
    DeactivateMfaDevice => iam_sign_in::DEACTIVATE_MFA_DEVICE,
    /// A role's trust policy is put back.
    RestoreTrustPolicy => iam_trust_policy::RESTORE,
    /// A managed policy's default version is put back.
    RestorePolicyVersion => iam_policy_version::RESTORE,
    /// A user is taken from a group.
    RemoveUserFromGroup => iam_membership::REMOVE,
    /// A trail is started again.
    StartLogging => cloudtrail::START_LOGGING,
    /// A trail's event selectors are put back.
    RestoreEventSelectors => cloudtrail_restore::EVENT_SELECTORS,
    /// A trail's insight selectors are put back.
    RestoreInsightSelectors => cloudtrail_restore::INSIGHT_SELECTORS,
    /// A trail's settings are put back.
    RestoreTrail => cloudtrail_restore::TRAIL_SETTINGS,
    /// A deleted trail is made again.
    RecreateTrail => cloudtrail::RECREATE,
    /// A bucket blocks public access.
    BlockPublicAccess => s3_block::BUCKET,
    /// An account blocks public access to all its buckets.
    BlockAccountPublicAccess => s3_block::ACCOUNT,
    /// Public statements are removed from a bucket's policy.
    RemovePublicStatements => s3_policy::REMOVE,
    /// Public grants are removed from a bucket's ACL.
    RemovePublicGrants => s3_acl::REMOVE,
    /// Rules that let the world in are revoked.
    RevokeIngressRule => security_group::REVOKE,
    /// An instance is snapshotted and put behind a quarantine group.
    IsolateInstance => isolate_instance::ISOLATE,
    /// An instance's profile is taken from it.
    DisassociateInstanceProfile => instance_profile::DISASSOCIATE,
    /// Instances are stopped.
    StopInstances => stop_instances::STOP,
    /// An image is no longer shared.
    UnshareImage => shared_image::IMAGE,
    /// A snapshot of a volume is no longer shared.
    UnshareSnapshot => shared_image::SNAPSHOT,
    /// Deleted flow logs are made again.
    RecreateFlowLogs => flow_logs::RECREATE,
    /// An instance's metadata service asks for session tokens.
    RequireImdsV2 => imdsv2::REQUIRE,
    /// New volumes are encrypted by default.
    EnableEbsEncryption => ebs_encryption::ENABLE,
    /// A function runs no longer.
    StopInvocations => lambda_concurrency::STOP,
    /// A statement is removed from a function's policy.
    RemovePermission => lambda_access::REMOVE_PERMISSION,
    /// A function's open URL is deleted.
    DeleteFunctionUrl => lambda_access::DELETE_URL,
    /// A key is kept from deletion and enabled.
    RestoreKey => kms_key::RESTORE,
    /// A snapshot of a database is no longer shared.
    UnshareDbSnapshot => rds::UNSHARE,
    /// A database is no longer reachable from the internet.
    MakeDbInstancePrivate => rds::MAKE_PRIVATE,
    /// A GuardDuty detector is enabled again.
    EnableDetector => guardduty::ENABLE,
    /// A deleted GuardDuty detector is made again.
    RecreateDetector => guardduty::RECREATE,
    /// A configuration recorder is started again.
    StartRecorder => aws_config::START,
    /// A deleted configuration recorder is made again.
    RecreateRecorder => aws_config::RECREATE,
    /// A secret is kept from deletion.
    RestoreSecret => secret::RESTORE,
    /// An EventBridge rule is enabled again.
    EnableRule => event_rule::ENABLE,
    /// A log group's retention is put back.
    RestoreRetention => log_retention::RESTORE,
    /// An SSM document is no longer shared.
    UnshareDocument => ssm_document::UNSHARE,
    /// An account is moved to a quarantine unit.
    MoveAccount => move_account::MOVE,
    /// A workload of a cluster runs no longer.
    ScaleToZero => kubernetes::SCALE_TO_ZERO,
    /// A cron job of a cluster begins no longer.
    SuspendCronJob => kubernetes::SUSPEND_CRON_JOB,
    /// A node of a cluster takes no new pods.
    CordonNode => kubernetes::CORDON_NODE,
    /// A binding of a role in a cluster is deleted.
    DeleteRoleBinding => kubernetes::DELETE_ROLE_BINDING,
    /// A pod of a cluster is cut off.
    QuarantinePod => kubernetes::QUARANTINE_POD,
    /// A request to an API of anybody.
    HttpRequest => http::REQUEST,
}

impl Action {
    /// The action of a name, as `aws.ec2.revoke_ingress_rule`.
    pub fn parse(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|action| action.name() == name)
    }

    /// All of them.
    pub fn all() -> &'static [Self] {
        ALL
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.recipe().name
    }

    /// What it does, in a sentence.
    pub fn about(self) -> &'static str {
        self.recipe().about
    }

    /// The least harm that it can do.
    pub fn risk(self) -> Risk {
        self.recipe().risk
    }

    /// What it is about, as `aws.ec2.security_group`.
    pub fn resource_kind(self) -> &'static str {
        self.recipe().kind
    }

    /// Whether it shuts something off: then it stays even when it cannot be seen to have worked.
    pub fn is_containment(self) -> bool {
        self.recipe().is_containment
    }

    /// Whether what it does cannot be taken back by anybody.
    pub fn is_irreversible(self) -> bool {
        self.name() == iam_access_key::DELETE.name
    }

    /// The events that it answers, as source and name. Empty when it answers any event that is said to be bad, because it is
    /// about who did it or where.
    pub fn triggers(self) -> &'static [(&'static str, &'static str)] {
        self.recipe().triggers
    }

    /// The events that its own steps, and what takes them back, cause.
    pub fn makes(self) -> &'static [(&'static str, &'static str)] {
        self.recipe().makes
    }

    /// What it asks and does: names of operations.
    pub fn operations(self) -> &'static [&'static str] {
        self.recipe().operations
    }

    /// Its parameters.
    pub fn parameters(self) -> &'static [Parameter] {
        self.recipe().parameters
    }

    /// Whether it answers an event of a source and a name. Lambda's names end in the date of its API.
    pub fn answers(self, source: &str, name: &str) -> bool {
        let triggers = self.triggers();
        triggers.is_empty()
            || triggers
                .iter()
                .any(|one| one.0 == source && events::is_called(name, one.1))
    }

    /// What an event says of its parameters. Policies may set any of them, and those that no event knows.
    pub fn parameters_of(self, event: &Value) -> Result<Map<String, Value>, PlanFault> {
        let recipe = self.recipe();
        let event = Event::of(event)?;
        if let Some(code) = event.error() {
            return Err(PlanFault::Refused(format!("the event failed with {code}")));
        }
        // Who reads with stolen credentials is contained all the same: that is about who did it, and not about what was done.
        if event.is_read_only() && !recipe.triggers.is_empty() {
            return Err(PlanFault::Refused("the event only reads".to_owned()));
        }
        if !self.answers(event.source(), event.name()) {
            return Err(PlanFault::Refused(format!(
                "{} is no event that {} answers",
                naming::shown(event.name()),
                recipe.name
            )));
        }
        let parameters = (recipe.from_event)(&event)?;
        recipe.check(&parameters)?;
        Ok(parameters)
    }

    /// What it would be about, and which bad state it would end.
    pub fn subject(
        self,
        account: &str,
        region: &str,
        parameters: &Map<String, Value>,
    ) -> Result<Subject, PlanFault> {
        let recipe = self.recipe();
        recipe.check(parameters)?;
        let asked = Asked::of(account, region, parameters)?;
        let about = (recipe.subject)(&asked)?;
        Ok(about.finished(recipe, &asked))
    }

    /// What is to be done now. It asks what the state is, and changes nothing.
    pub fn plan(self, context: &Context<'_>, reads: &mut dyn Reads) -> Result<Planned, PlanFault> {
        let recipe = self.recipe();
        let subject = self.subject(context.account, context.region, context.parameters)?;
        naming::action_id(context.action_id)?;
        let draft = match (recipe.plan)(context, reads)? {
            Drafted::Nothing(why) => return Ok(Planned::Nothing(why)),
            Drafted::Draft(draft) => draft,
        };
        let mut plan = Plan {
            action: recipe.name.to_owned(),
            resource: subject.resource,
            summary: naming::line(&draft.summary),
            risk: recipe.risk,
            diff: draft.diff,
            preconditions: draft.preconditions,
            steps: draft.steps,
            verify: draft.verify,
            is_rolled_back: recipe.is_rolled_back,
        };
        for step in &mut plan.steps {
            step.summary = naming::line(&step.summary);
            for inverse in &mut step.inverse {
                inverse.summary = naming::line(&inverse.summary);
            }
        }
        Ok(Planned::Plan(Box::new(plan)))
    }
}

/// The actions that answer an event of a source and a name, without those that answer any.
pub fn answering(source: &str, name: &str) -> Vec<Action> {
    let is_named = |action: &Action| !action.triggers().is_empty() && action.answers(source, name);
    ALL.iter().copied().filter(is_named).collect()
}

/// All that the actions ask and do: names of operations, sorted.
pub fn operations() -> &'static [&'static str] {
    static ALL_OF_THEM: std::sync::OnceLock<Vec<&'static str>> = std::sync::OnceLock::new();
    ALL_OF_THEM.get_or_init(|| {
        let all = ALL.iter().flat_map(|action| action.operations());
        let all: std::collections::BTreeSet<_> = all.copied().collect();
        all.into_iter().collect()
    })
}
