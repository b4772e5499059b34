//! Writes one CloudTrail record, its keys in the order the service writes them.

use std::fmt::Write as _;

use super::catalogue::{Columns, Scope, Service, Traits};
use super::identity::{Caller, Origin, push_identity};
use super::random::{Random, spread};
use super::scene::{Scene, push_time};
use super::template::Template;
use super::world::{push_base64, push_hex, push_upper, push_uuid};

/// Everything a record is made of.
pub(super) struct Draft<'a> {
    pub(super) source: &'a str,
    pub(super) name: &'a str,
    pub(super) traits: Traits,
    pub(super) columns: &'a Columns,
    pub(super) resource: Option<&'a (&'static str, Template)>,
    pub(super) caller: Caller,
    pub(super) origin: Origin,
    pub(super) failure: Failure,
    pub(super) event_id: String,
    /// Fixes the principal, so that all calls of an incident have the same; drawn when there is none.
    pub(super) principal: Option<u64>,
}

/// How a call failed, if it did.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    None,
    Error {
        code: String,
        message: String,
    },
    /// A failed sign-in has a message, but no code.
    SignIn,
}

impl Failure {
    /// What a code means for a call.
    pub(super) fn of(code: &str, action: &str, scene: &Scene<'_>, random: &mut Random) -> Self {
        let message = match code {
            "AccessDenied" | "AccessDeniedException" | "AuthorizationError" => format!(
                "User: arn:aws:sts::{}:assumed-role/{}/session is not authorized to perform: {action} because no identity-based policy allows the {action} action",
                scene.account.id,
                scene.account.role(random)
            ),
            "Client.UnauthorizedOperation" => {
                let mut message = String::from(
                    "You are not authorized to perform this operation. Encoded authorization failure message: ",
                );
                push_base64(random.next(), 420, &mut message);
                message
            }
            code if code.contains("Throttl")
                || code.contains("Limit")
                || code.contains("TooMany") =>
            {
                "Rate exceeded".to_owned()
            }
            code if code.contains("NotFound") || code.starts_with("NoSuch") => {
                "The specified resource does not exist".to_owned()
            }
            _ => "The request could not be processed".to_owned(),
        };
        Self::Error {
            code: code.to_owned(),
            message,
        }
    }
}

/// The whole record as one line of JSON.
pub(super) fn write_record(
    draft: &Draft<'_>,
    scene: &mut Scene<'_>,
    random: &mut Random,
) -> String {
    let mut out = String::with_capacity(2048);
    let version = ["1.08", "1.09", "1.10", "1.11"][random.favoured(4)];
    let _ = write!(out, r#"{{"eventVersion":"{version}","userIdentity":"#);
    match draft.principal {
        Some(seed) => {
            push_identity(
                draft.caller,
                scene,
                &draft.origin,
                &mut Random::new(seed),
                &mut out,
            );
        }
        None => push_identity(draft.caller, scene, &draft.origin, random, &mut out),
    }
    out.push_str(r#","eventTime":""#);
    push_time(scene.time, &mut out);
    let _ = write!(
        out,
        r#"","eventSource":"{}","eventName":"{}","awsRegion":"{}","sourceIPAddress":"{}","userAgent":"{}","#,
        draft.source, draft.name, scene.region, draft.origin.address, draft.origin.agent
    );
    push_failure(&draft.failure, &mut out);
    push_columns(draft, scene, random, &mut out);
    push_request_id(draft.source, random, &mut out);
    let _ = write!(
        out,
        r#""eventID":"{}","readOnly":{},"#,
        draft.event_id, draft.traits.reads
    );
    push_resources(draft, scene, random, &mut out);
    push_tail(draft, scene, random, &mut out);
    out
}

fn push_failure(failure: &Failure, out: &mut String) {
    match failure {
        Failure::None => {}
        Failure::Error { code, message } => {
            let _ = write!(out, r#""errorCode":"{code}","errorMessage":"{message}","#);
        }
        Failure::SignIn => out.push_str(r#""errorMessage":"Failed authentication","#),
    }
}

fn push_columns(draft: &Draft<'_>, scene: &mut Scene<'_>, random: &mut Random, out: &mut String) {
    out.push_str("\"requestParameters\":");
    push_or_null(draft.columns.request.as_ref(), scene, random, out);
    out.push_str(",\"responseElements\":");
    let response = match draft.failure {
        Failure::Error { .. } => None,
        Failure::None | Failure::SignIn => draft.columns.response.as_ref(),
    };
    push_or_null(response, scene, random, out);
    out.push(',');
    if let Some(additional) = &draft.columns.additional {
        out.push_str("\"additionalEventData\":");
        scene.fill(additional, random, out);
        out.push(',');
    }
}

fn push_or_null(
    template: Option<&Template>,
    scene: &mut Scene<'_>,
    random: &mut Random,
    out: &mut String,
) {
    match template {
        Some(template) => scene.fill(template, random, out),
        None => out.push_str("null"),
    }
}

fn push_request_id(source: &str, random: &mut Random, out: &mut String) {
    match source {
        "signin.amazonaws.com" => {}
        "s3.amazonaws.com" => {
            out.push_str(r#""requestID":""#);
            push_upper(random.next(), 16, out);
            out.push_str("\",");
        }
        _ => {
            out.push_str(r#""requestID":""#);
            push_uuid(random, out);
            out.push_str("\",");
        }
    }
}

fn push_resources(draft: &Draft<'_>, scene: &mut Scene<'_>, random: &mut Random, out: &mut String) {
    let Some((kind, arn)) = draft.resource.filter(|_| draft.traits.names_resources) else {
        return;
    };
    let id = &scene.account.id;
    let _ = write!(
        out,
        r#""resources":[{{"accountId":"{id}","type":"{kind}","ARN":""#
    );
    scene.fill(arn, random, out);
    out.push_str("\"}");
    if draft.name == "GetObject" || draft.name == "PutObject" {
        out.push_str(r#",{"type":"AWS::S3::Object","ARN":""#);
        scene.fill(arn, random, out);
        out.push_str("/\"}");
    }
    out.push_str("],");
}

fn push_tail(draft: &Draft<'_>, scene: &mut Scene<'_>, random: &mut Random, out: &mut String) {
    let signs_in = draft.source == "signin.amazonaws.com";
    let kind = if signs_in {
        "AwsConsoleSignIn"
    } else {
        "AwsApiCall"
    };
    let (managed, category) = if draft.traits.data_event {
        ("false", "Data")
    } else {
        ("true", "Management")
    };
    let id = &scene.account.id;
    let _ = write!(
        out,
        r#""eventType":"{kind}","managementEvent":{managed},"recipientAccountId":"{id}","#
    );
    if matches!(draft.caller, Caller::OtherAccount | Caller::AwsService) && random.per_mille(350) {
        out.push_str(r#""sharedEventID":""#);
        push_uuid(random, out);
        out.push_str("\",");
    }
    if draft.origin.address.starts_with("10.") {
        out.push_str(r#""vpcEndpointId":"vpce-"#);
        push_hex(spread(scene.account.mark), 17, out);
        out.push_str("\",");
    }
    let _ = write!(out, r#""eventCategory":"{category}""#);
    if draft.caller.has_tls() {
        let tls = if random.per_mille(700) {
            ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
        } else {
            ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
        };
        let service = draft.source.split('.').next().unwrap_or(draft.source);
        let _ = write!(
            out,
            r#","tlsDetails":{{"tlsVersion":"{}","cipherSuite":"{}","clientProvidedHostHeader":"{service}.{}.amazonaws.com"}}"#,
            tls.0, tls.1, scene.region
        );
    }
    if draft.caller == Caller::ConsoleUser && !signs_in {
        out.push_str(r#","sessionCredentialFromConsole":"true""#);
    }
    out.push('}');
}

/// The region a service logs in: global ones in one place.
pub(super) fn region_of(service: &Service, regional: &'static str) -> &'static str {
    match service.scope {
        Scope::Regional => regional,
        Scope::Global => "us-east-1",
    }
}
