//! Findings by HTTP: signed JSON for programs, or the words of Slack, Teams and PagerDuty.
//!
//! JSON is signed as Standard Webhooks has it: `webhook-id` (the same when a batch is sent again), `webhook-timestamp` in
//! seconds, `webhook-signature: v1,<base64 of HMAC-SHA256 over id.timestamp.body>`. The secret may be `whsec_` and base64,
//! or text whose bytes are the key.

use super::http::{agent, post};
use super::{Sink, Surroundings};
use crate::config::{SinkConfig, Template};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tripline_core::pipeline::SendFault;
use tripline_core::port::Outgoing;
use tripline_core::wire::Finding;
use ureq::Agent;

/// A receiver of findings.
pub(super) struct Webhook {
    agent: Agent,
    url: String,
    template: Template,
    secret: Option<String>,
    around: Surroundings,
}

/// Findings named in one message to people; of the others only the number is told.
const SHOWN_MAX: usize = 10;

/// Longest event that goes with its finding: CloudTrail's longest.
const EVENT_BYTES_SHOWN_MAX: usize = 256 * 1024;

impl Webhook {
    pub(super) fn new(config: &SinkConfig, secret: Option<String>, around: Surroundings) -> Self {
        Self {
            agent: agent(config.timeout.as_ref()),
            url: config.url.clone().unwrap_or_default(),
            template: config.template.unwrap_or(Template::Json),
            secret,
            around,
        }
    }

    fn json(&self, batch: &[Outgoing]) -> Result<(), SendFault> {
        let findings: Vec<Value> = batch.iter().map(|one| self.with_event(one)).collect();
        let body = json!({ "version": 1, "findings": findings })
            .to_string()
            .into_bytes();
        let mut headers = Vec::new();
        if let Some(secret) = &self.secret {
            let id = id_of(batch);
            let timestamp = (super::super::now().micros() / 1_000_000).to_string();
            headers.push(("webhook-signature", sign(secret, &id, &timestamp, &body)));
            headers.push(("webhook-timestamp", timestamp));
            headers.push(("webhook-id", id));
        }
        post(&self.agent, &self.url, &headers, &body)
    }

    /// A finding with the event that it is about.
    fn with_event(&self, outgoing: &Outgoing) -> Value {
        let mut value = json!(outgoing.finding);
        let bytes = self
            .around
            .store
            .event(&outgoing.finding.event_id)
            .ok()
            .flatten();
        // A batch of long events would be more than a receiver takes; they can be asked for by id.
        let bytes = bytes.filter(|bytes| bytes.len() <= EVENT_BYTES_SHOWN_MAX);
        let event = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        value["event"] = event.unwrap_or(Value::Null);
        value
    }
}

impl Sink for Webhook {
    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendFault> {
        let send = |body: Value| post(&self.agent, &self.url, &[], body.to_string().as_bytes());
        match self.template {
            Template::Json => self.json(batch),
            Template::Slack => send(json!({ "text": message(batch, &slack_line) })),
            Template::Teams => send(teams(batch)),
            // Its interface takes one at a time; what is sent again has the same key and is one incident.
            Template::Pagerduty => {
                let key = self.secret.as_deref().unwrap_or("");
                batch
                    .iter()
                    .try_for_each(|one| send(pagerduty(&one.finding, key)))
            }
        }
    }
}

/// The same findings have the same id.
fn id_of(batch: &[Outgoing]) -> String {
    let mut hash = Sha256::new();
    for one in batch {
        hash.update(&one.finding.finding_id);
        hash.update(one.finding.revision.to_le_bytes());
    }
    let digest = hash.finalize();
    digest[..16]
        .iter()
        .fold("msg_".to_owned(), |id, byte| format!("{id}{byte:02x}"))
}

fn sign(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = secret
        .strip_prefix("whsec_")
        .and_then(|text| STANDARD.decode(text).ok());
    let key = key.unwrap_or_else(|| secret.as_bytes().to_vec());
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else {
        return String::new();
    };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Lines for people, with the number of those that are not shown.
fn message(batch: &[Outgoing], line: &dyn Fn(&Finding) -> String) -> String {
    let mut lines: Vec<String> = batch
        .iter()
        .take(SHOWN_MAX)
        .map(|one| line(&one.finding))
        .collect();
    if batch.len() > SHOWN_MAX {
        lines.push(format!("and {} more", batch.len() - SHOWN_MAX));
    }
    lines.join("\n")
}

/// Text of a finding is from outside: it must not mention everybody or hide a link.
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn slack_line(finding: &Finding) -> String {
    let time = finding.event_time.as_deref().unwrap_or("unknown time");
    format!(
        "*{}* {}  `{}` at {time} ({})",
        finding.severity.to_uppercase(),
        slack_escaped(&finding.title),
        slack_escaped(&finding.rule_id),
        slack_escaped(&finding.finding_id)
    )
}

fn teams(batch: &[Outgoing]) -> Value {
    let block = |one: &Outgoing| {
        let finding = &one.finding;
        json!({
            "type": "TextBlock",
            "wrap": true,
            "text": format!("{} {} ({})", finding.severity.to_uppercase(), markdown_escaped(&finding.title), finding.rule_id),
        })
    };
    let mut body: Vec<Value> = batch.iter().take(SHOWN_MAX).map(block).collect();
    if batch.len() > SHOWN_MAX {
        body.push(
            json!({ "type": "TextBlock", "text": format!("and {} more", batch.len() - SHOWN_MAX) }),
        );
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": { "type": "AdaptiveCard", "version": "1.4", "body": body },
        }],
    })
}

fn markdown_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        if matches!(
            one,
            '\\' | '*' | '_' | '[' | ']' | '(' | ')' | '`' | '#' | '<' | '>'
        ) {
            escaped.push('\\');
        }
        escaped.push(one);
    }
    escaped
}

fn pagerduty(finding: &Finding, routing_key: &str) -> Value {
    let severity = match finding.severity.as_str() {
        "critical" => "critical",
        "high" => "error",
        "medium" => "warning",
        _ => "info",
    };
    let summary: String = finding.title.chars().take(1024).collect();
    json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": finding.finding_id,
        "payload": {
            "summary": summary,
            "severity": severity,
            "source": finding.rule_id,
            "timestamp": finding.event_time,
            "custom_details": finding,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{markdown_escaped, sign, slack_escaped};

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The example of the specification's reference implementations.
        let signature = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn titles_mention_nobody_and_hide_no_link() {
        assert_eq!(
            slack_escaped("<!channel> & co"),
            "&lt;!channel&gt; &amp; co"
        );
        assert_eq!(markdown_escaped("[x](http://y)"), "\\[x\\]\\(http://y\\)");
    }
}
