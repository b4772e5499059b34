//! One event of Okta, in the form of CloudTrail.

use serde_json::{Map, Value, json};

/// Events by which somebody signs in, or tries to.
const SIGN_INS: [&str; 4] = [
    "user.session.start",
    "user.authentication.sso",
    "user.authentication.auth_via_mfa",
    "user.authentication.verify",
];

/// Parts of event names by which something is only looked at.
const READING: [&str; 4] = [".read", ".view", ".list", ".evaluate"];

/// The event; a message when it is none of Okta's.
pub(crate) fn of(record: Value, is_keeping: bool) -> Result<Value, &'static str> {
    let okta = match record.get("detail") {
        Some(detail) if detail.is_object() && record.get("detail-type").is_some() => detail.clone(),
        _ => record,
    };
    let text = |path: &str| okta.pointer(path).and_then(Value::as_str);
    let name = text("/eventType").ok_or("no `eventType`")?;
    let time = text("/published").ok_or("no `published`")?;
    let mut event = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            event.insert(name.to_owned(), value);
        }
    };
    let own = |path: &str| okta.pointer(path).cloned().unwrap_or_default();
    set("eventVersion", json!("1.08"));
    set("userIdentity", identity(&okta));
    set("eventTime", json!(time));
    set("eventSource", json!("okta.com"));
    set("eventName", json!(name));
    set("sourceIPAddress", own("/client/ipAddress"));
    set("userAgent", own("/client/userAgent/rawUserAgent"));
    if let Some(result) = text("/outcome/result")
        && matches!(
            result,
            "FAILURE" | "DENY" | "RATE_LIMIT" | "UNANSWERED" | "ABANDONED"
        )
    {
        let reason = text("/outcome/reason").filter(|reason| !reason.is_empty());
        set("errorCode", json!(reason.unwrap_or(result)));
        set("errorMessage", own("/displayMessage"));
    }
    set("requestParameters", request(&okta));
    set(
        "responseElements",
        json!({ "result": own("/outcome/result") }),
    );
    set("requestID", own("/transaction/id"));
    set("eventID", own("/uuid"));
    set(
        "readOnly",
        json!(READING.iter().any(|part| name.contains(part))),
    );
    let kind = match SIGN_INS.contains(&name) {
        true => "OktaSignIn",
        false => "OktaSystemLog",
    };
    set("eventType", json!(kind));
    set("eventCategory", json!("Management"));
    set("resources", resources(&okta));
    let mut more = Map::new();
    for (name, path) in [
        ("severity", "/severity"),
        ("displayMessage", "/displayMessage"),
        ("country", "/client/geographicalContext/country"),
        ("city", "/client/geographicalContext/city"),
        ("isProxy", "/securityContext/isProxy"),
        ("asNumber", "/securityContext/asNumber"),
        ("sessionId", "/authenticationContext/externalSessionId"),
        ("credentialType", "/authenticationContext/credentialType"),
        ("threatSuspected", "/debugContext/debugData/threatSuspected"),
        ("behaviors", "/debugContext/debugData/behaviors"),
    ] {
        let value = own(path);
        if !value.is_null() {
            more.insert(name.to_owned(), value);
        }
    }
    if is_keeping {
        more.insert("okta".to_owned(), okta.clone());
    }
    set("additionalEventData", more.into());
    Ok(event.into())
}

fn identity(okta: &Value) -> Value {
    let own = |path: &str| okta.pointer(path).cloned().unwrap_or_default();
    let kind = match okta.pointer("/actor/type").and_then(Value::as_str) {
        Some("User") => "OktaUser",
        Some("SystemPrincipal") => "OktaSystem",
        Some("PublicClientApp" | "ServiceClientApp") => "OktaApp",
        Some(_) => "OktaOther",
        None => return Value::Null,
    };
    let mut identity = Map::new();
    identity.insert("type".to_owned(), json!(kind));
    for (name, path) in [
        ("principalId", "/actor/id"),
        ("userName", "/actor/alternateId"),
        ("displayName", "/actor/displayName"),
    ] {
        let value = own(path);
        if !value.is_null() {
            identity.insert(name.to_owned(), value);
        }
    }
    let has_mfa = okta.pointer("/eventType").and_then(Value::as_str)
        == Some("user.authentication.auth_via_mfa");
    if has_mfa {
        let attributes = json!({ "attributes": { "mfaAuthenticated": "true" } });
        identity.insert("sessionContext".to_owned(), attributes);
    }
    identity.into()
}

/// What it was done to, by the kind of target: the last of a kind counts.
fn request(okta: &Value) -> Value {
    let mut request = Map::new();
    for target in targets(okta) {
        let Some(kind) = target.get("type").and_then(Value::as_str) else {
            continue;
        };
        let name = target.get("alternateId").filter(|name| name.is_string());
        let name = name.or_else(|| target.get("displayName"));
        if let Some(name) = name.filter(|name| name.is_string()) {
            request.insert(small(kind), name.clone());
        }
        if let Some(details) = target
            .get("changeDetails")
            .filter(|details| details.is_object())
        {
            request.insert("changeDetails".to_owned(), details.clone());
        }
    }
    request.into()
}

fn resources(okta: &Value) -> Value {
    let resource = |target: &Value| {
        let (id, kind) = (target.get("id")?, target.get("type")?);
        Some(json!({ "ARN": id, "type": format!("Okta::{}", kind.as_str()?) }))
    };
    let resources: Vec<Value> = targets(okta).iter().filter_map(resource).collect();
    match resources.is_empty() {
        true => Value::Null,
        false => resources.into(),
    }
}

fn targets(okta: &Value) -> &[Value] {
    match okta.get("target").and_then(Value::as_array) {
        // Okta writes a handful; what is beyond is somebody's play.
        Some(targets) => &targets[..targets.len().min(64)],
        None => &[],
    }
}

/// `AppInstance` as `appInstance`.
fn small(kind: &str) -> String {
    let mut letters = kind.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
