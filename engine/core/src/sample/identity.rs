//! Who calls: the `userIdentity` of every type, with the fields each type really has, and the address and
//! user agent that go with it.
//!
//! What is absent matters more here than what is present: a service call has neither ARN nor account, a
//! failed sign-in no ARN, a session of the identity centre no user name. Rules that forget it go silent, and
//! the samples must be able to show that.

use std::fmt::Write as _;

use super::catalogue::{Operation, Service};
use super::random::{Random, spread};
use super::rhythm::{Rhythm, daylight};
use super::scene::Scene;
use super::template::Slot;
use super::world::{Account, push_base64, push_hex, push_upper};

/// The caller of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A program in a role.
    Machine,
    /// A person in a role, through single sign-on.
    Person,
    /// A person with an IAM user, in the console.
    ConsoleUser,
    /// A long-lived access key of an IAM user.
    UserKey,
    Root,
    AwsService,
    /// A role, called for by a service on its behalf.
    Forwarded,
    OtherAccount,
    Federated,
    WebIdentity,
    Saml,
    IdentityCenter,
    /// A sign-in that failed.
    FailedSignIn,
}

const SERVICE_HOSTS: [&str; 12] = [
    "lambda.amazonaws.com",
    "ec2.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "autoscaling.amazonaws.com",
    "config.amazonaws.com",
    "delivery.logs.amazonaws.com",
    "cloudtrail.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "backup.amazonaws.com",
    "athena.amazonaws.com",
    "rds.amazonaws.com",
    "AWS Internal",
];

const MACHINE_AGENTS: [&str; 10] = [
    "Boto3/1.34.131 md/Botocore#1.34.131 ua/2.0 os/linux#6.1.92-99.174.amzn2023.x86_64 md/arch#x86_64 lang/python#3.12.3 md/pyimpl#CPython exec-env/AWS_Lambda_python3.12 cfg/retry-mode#legacy Botocore/1.34.131",
    "aws-sdk-go/1.44.299 (go1.20.5; linux; amd64) amazon-ssm-agent/",
    "aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#arm64 api/dynamodb#1.34.4",
    "APN/1.0 HashiCorp/1.0 Terraform/1.5.7 (+https://www.terraform.io) terraform-provider-aws/5.31.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.24.0 os/linux lang/go#1.20.12 md/GOOS#linux md/GOARCH#amd64 api/iam#1.28.5",
    "aws-sdk-java/2.25.60 Linux/5.10.217-205.860.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/17.0.11+9-LTS Java/17.0.11 vendor/Amazon.com_Inc. io/sync http/Apache cfg/retry-mode/legacy",
    "aws-sdk-nodejs/2.1531.0 linux/v18.20.3 exec-env/AWS_Lambda_nodejs18.x promise",
    "karpenter.sh-1.0.0 aws-sdk-go/1.55.5 (go1.22.5; linux; amd64)",
    "aws-sdk-rust/1.3.3 os/linux lang/rust/1.80.0",
    "Botocore/1.31.62 md/awscrt#0.19.12 ua/2.0 os/linux md/arch#aarch64 lang/python#3.11.6 md/pyimpl#CPython",
    "kubelet/v1.29 ecr-credential-provider/v1.29.0 aws-sdk-go/1.51.16",
];
const PERSON_AGENTS: [&str; 7] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "aws-cli/2.17.9 md/awscrt#0.20.11 ua/2.0 os/macos#23.5.0 md/arch#arm64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#standard md/installer#source md/prompt#off md/command#s3.ls",
    "AWS Internal",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.750 Linux/5.10.217-183.860.amzn2int.x86_64 OpenJDK_64-Bit_Server_VM/25.412-b09 java/1.8.0_412 vendor/Oracle_Corporation cfg/retry-mode/standard]",
    "aws-cli/1.32.101 md/Botocore#1.34.101 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.10.12",
    "console.amazonaws.com",
];

impl Caller {
    /// Who calls an operation at an hour.
    pub(super) fn draw(
        service: &Service,
        operation: &Operation,
        hour: usize,
        random: &mut Random,
    ) -> Self {
        match operation.name {
            "AssumeRoleWithWebIdentity" => return Self::WebIdentity,
            "AssumeRoleWithSAML" => return Self::Saml,
            "ConsoleLogin" | "CheckMfa" | "SwitchRole" => return Self::ConsoleUser,
            "UpdateInstanceInformation" | "PutInventory" => return Self::Machine,
            _ => {}
        }
        if operation.traits.called_by_services {
            let share = if operation.name == "AssumeRole" {
                480
            } else {
                140
            };
            if random.per_mille(share) {
                return Self::AwsService;
            }
            if random.per_mille(90) {
                return Self::Forwarded;
            }
        }
        let people = match service.rhythm {
            Rhythm::Office => 150 + daylight(hour) * 6,
            Rhythm::Steady => 20 + daylight(hour) * 2,
            Rhythm::Night => 10 + daylight(hour),
        };
        if random.per_mille(people) {
            Self::draw_person(random)
        } else {
            Self::draw_machine(random)
        }
    }

    fn draw_person(random: &mut Random) -> Self {
        match random.below(1000) {
            0..620 => Self::Person,
            620..860 => Self::ConsoleUser,
            860..930 => Self::UserKey,
            930..965 => Self::Federated,
            965..998 => Self::IdentityCenter,
            _ => Self::Root,
        }
    }

    fn draw_machine(random: &mut Random) -> Self {
        match random.below(100) {
            0..89 => Self::Machine,
            89..96 => Self::UserKey,
            _ => Self::OtherAccount,
        }
    }

    /// Address and user agent of the call.
    pub(super) fn origin(self, account: &Account, random: &mut Random) -> Origin {
        match self {
            Self::AwsService | Self::Forwarded => {
                let host = *random.one_of(&SERVICE_HOSTS);
                Origin {
                    address: host.to_owned(),
                    agent: host.to_owned(),
                }
            }
            Self::Machine | Self::WebIdentity | Self::OtherAccount | Self::UserKey => Origin {
                address: machine_address(account, random),
                agent: MACHINE_AGENTS[random.favoured(MACHINE_AGENTS.len())].to_owned(),
            },
            _ => Origin {
                address: format!(
                    "203.0.113.{}",
                    account.number_of(20, random.favoured(5)) % 250 + 1
                ),
                agent: PERSON_AGENTS[random.favoured(PERSON_AGENTS.len())].to_owned(),
            },
        }
    }

    /// Whether the call came over the network with a TLS session of its own.
    pub(super) fn has_tls(self) -> bool {
        !matches!(self, Self::AwsService | Self::Forwarded)
    }
}

/// Where a call comes from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) address: String,
    pub(super) agent: String,
}

fn machine_address(account: &Account, random: &mut Random) -> String {
    let number = account.thing(21, 60, random);
    match number % 10 {
        0..6 => format!(
            "10.{}.{}.{}",
            account.mark % 200,
            number >> 8 & 15,
            number >> 16 & 255
        ),
        6..9 => format!(
            "198.{}.{}.{}",
            18 + (number >> 8 & 1),
            number >> 16 & 255,
            number >> 24 & 255
        ),
        _ => format!(
            "2001:db8:{:x}:{:x}::{:x}",
            number >> 8 & 0xffff,
            number >> 24 & 0xff,
            number >> 32 & 0xfff
        ),
    }
}

/// Appends the value of `userIdentity`.
pub(super) fn push_identity(
    caller: Caller,
    scene: &mut Scene<'_>,
    origin: &Origin,
    random: &mut Random,
    out: &mut String,
) {
    match caller {
        Caller::AwsService => {
            let _ = write!(
                out,
                r#"{{"type":"AWSService","invokedBy":"{}"}}"#,
                origin.address
            );
        }
        Caller::Machine | Caller::Person | Caller::Forwarded => {
            push_role_session(caller, scene, origin, random, out);
        }
        Caller::UserKey | Caller::ConsoleUser => push_user(caller, scene, random, out),
        Caller::Root => push_root(scene, random, out),
        Caller::OtherAccount => {
            out.push_str(r#"{"type":"AWSAccount","principalId":"AROA"#);
            push_upper(random.next(), 17, out);
            let session = scene.account.number_of(22, random.favoured(4)) % 90_000;
            let other =
                880_000_000_000 + scene.account.number_of(23, random.favoured(3)) % 1_000_000_000;
            let _ = write!(out, r#":session-{session}","accountId":"{other}"}}"#);
        }
        Caller::Federated => push_federated(scene, random, out),
        Caller::WebIdentity => push_web_identity(scene, random, out),
        Caller::Saml => {
            let email = scene.kept(Slot::Email, random);
            out.push_str(r#"{"type":"SAMLUser","principalId":""#);
            push_base64(scene.account.mark, 27, out);
            let _ = write!(
                out,
                r#"=:{email}","userName":"{email}","identityProvider":""#
            );
            push_base64(scene.account.mark, 27, out);
            out.push_str("=\"}");
        }
        Caller::IdentityCenter => {
            let id = &scene.account.id;
            let _ = write!(
                out,
                r#"{{"type":"IdentityCenterUser","accountId":"{id}","onBehalfOf":{{"userId":""#
            );
            push_hex(scene.account.thing(24, 12, random), 10, out);
            out.push_str(r#"-4c6b","identityStoreArn":"arn:aws:identitystore::"#);
            let _ = write!(
                out,
                r#"{id}:identitystore/d-9067012345"}},"credentialId":""#
            );
            push_hex(random.next(), 64, out);
            out.push_str("\"}");
        }
        Caller::FailedSignIn => {
            let user = scene.kept(Slot::User, random);
            out.push_str(r#"{"type":"IAMUser","principalId":""#);
            push_user_id(scene.account, &user, out);
            let id = &scene.account.id;
            let _ = write!(
                out,
                r#"","accountId":"{id}","accessKeyId":"","userName":"{user}"}}"#
            );
        }
    }
}

fn push_role_session(
    caller: Caller,
    scene: &mut Scene<'_>,
    origin: &Origin,
    random: &mut Random,
    out: &mut String,
) {
    let id = &scene.account.id;
    let (role, session) = match caller {
        Caller::Person => {
            let set = random.one_of(&["AdministratorAccess", "PowerUserAccess", "ReadOnlyAccess"]);
            let mut role = format!("AWSReservedSSO_{set}_");
            push_hex(spread(scene.account.mark ^ set.len() as u64), 16, &mut role);
            (
                role,
                format!("{}@example.com", scene.account.person(random)),
            )
        }
        _ => (
            scene.account.role(random),
            machine_session(scene.account, random),
        ),
    };
    let mut role_id = String::from("AROA");
    push_upper(
        scene.account.number_of(25, role.len()) ^ u64::from(role.as_bytes()[0]),
        17,
        &mut role_id,
    );
    let key = temporary_key(random);
    let path = if caller == Caller::Person {
        "aws-reserved/sso.amazonaws.com/"
    } else {
        ""
    };
    let _ = write!(
        out,
        r#"{{"type":"AssumedRole","principalId":"{role_id}:{session}","arn":"arn:aws:sts::{id}:assumed-role/{role}/{session}","accountId":"{id}","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{role_id}","arn":"arn:aws:iam::{id}:role/{path}{role}","accountId":"{id}","userName":"{role}"}},"#
    );
    if caller == Caller::Machine && random.per_mille(450) {
        out.push_str(r#""webIdFederationData":{},"#);
    }
    push_session_attributes(scene, caller, random, out);
    if session.starts_with("i-") {
        out.push_str(r#","ec2RoleDelivery":"2.0""#);
    }
    out.push('}');
    if caller == Caller::Forwarded {
        let _ = write!(out, r#","invokedBy":"{}""#, origin.address);
    }
    out.push('}');
}

fn machine_session(account: &Account, random: &mut Random) -> String {
    let number = account.thing(26, 40, random);
    let mut session = String::new();
    match number % 4 {
        0 => {
            session.push_str("i-");
            push_hex(number, 17, &mut session);
        }
        1 => {
            let _ = write!(
                session,
                "botocore-session-{}",
                1_700_000_000 + number % 90_000_000
            );
        }
        2 => push_hex(number, 32, &mut session),
        _ => {
            let _ = write!(session, "worker-{}", number % 500);
        }
    }
    session
}

fn push_session_attributes(
    scene: &Scene<'_>,
    caller: Caller,
    random: &mut Random,
    out: &mut String,
) {
    let created = scene.time.as_second() - i64::try_from(random.below(3600)).unwrap_or(0);
    let created = jiff::Timestamp::from_second(created).unwrap_or(scene.time);
    let mfa = caller == Caller::ConsoleUser;
    let _ = write!(
        out,
        r#""attributes":{{"creationDate":"{created}","mfaAuthenticated":"{mfa}"}}"#
    );
}

fn push_user(caller: Caller, scene: &mut Scene<'_>, random: &mut Random, out: &mut String) {
    let user = scene.acting_user(random);
    let id = &scene.account.id;
    out.push_str(r#"{"type":"IAMUser","principalId":""#);
    push_user_id(scene.account, &user, out);
    let _ = write!(
        out,
        r#"","arn":"arn:aws:iam::{id}:user/{user}","accountId":"{id}","#
    );
    if caller == Caller::UserKey {
        out.push_str(r#""accessKeyId":"AKIA"#);
        push_upper(scene.account.number_of(27, user.len()), 16, out);
        let _ = write!(out, r#"","userName":"{user}"}}"#);
        return;
    }
    let _ = write!(
        out,
        r#""accessKeyId":"{}","userName":"{user}","#,
        temporary_key(random)
    );
    out.push_str(r#""sessionContext":{"sessionIssuer":{},"webIdFederationData":{},"#);
    push_session_attributes(scene, caller, random, out);
    out.push_str("}}");
}

fn push_root(scene: &Scene<'_>, random: &mut Random, out: &mut String) {
    let id = &scene.account.id;
    let key = temporary_key(random);
    let _ = write!(
        out,
        r#"{{"type":"Root","principalId":"{id}","arn":"arn:aws:iam::{id}:root","accountId":"{id}","accessKeyId":"{key}","sessionContext":{{"#
    );
    push_session_attributes(scene, Caller::ConsoleUser, random, out);
    out.push_str("}}");
}

fn push_federated(scene: &mut Scene<'_>, random: &mut Random, out: &mut String) {
    let id = &scene.account.id;
    let (user, issuer) = (scene.account.person(random), scene.account.person(random));
    let key = temporary_key(random);
    let _ = write!(
        out,
        r#"{{"type":"FederatedUser","principalId":"{id}:{user}","arn":"arn:aws:sts::{id}:federated-user/{user}","accountId":"{id}","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"IAMUser","principalId":""#
    );
    push_user_id(scene.account, issuer, out);
    let _ = write!(
        out,
        r#"","arn":"arn:aws:iam::{id}:user/{issuer}","accountId":"{id}","userName":"{issuer}"}},"#
    );
    push_session_attributes(scene, Caller::Federated, random, out);
    out.push_str("}}");
}

fn push_web_identity(scene: &mut Scene<'_>, random: &mut Random, out: &mut String) {
    let id = scene.account.id.clone();
    let provider = format!(
        "arn:aws:iam::{id}:oidc-provider/oidc.eks.{}.amazonaws.com",
        scene.region
    );
    let name = format!(
        "system:serviceaccount:{}:{}",
        scene.kept(Slot::Team, random),
        scene.kept(Slot::Function, random)
    );
    let _ = write!(
        out,
        r#"{{"type":"WebIdentityUser","principalId":"{provider}:sts.amazonaws.com:{name}","userName":"{name}","identityProvider":"{provider}"}}"#
    );
}

fn push_user_id(account: &Account, user: &str, out: &mut String) {
    out.push_str("AIDA");
    let letters = user.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
    push_upper(account.number_of(28, 0) ^ letters, 17, out);
}

fn temporary_key(random: &mut Random) -> String {
    let mut key = String::from("ASIA");
    push_upper(random.next(), 16, &mut key);
    key
}
