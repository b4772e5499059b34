//! The page of a channel for its partner: where to push, how to prove who one is, and examples to copy. Nothing in it is secret.

use super::Channel;
use super::file::{Scheme, SenderFile};
use super::pull::PullFile;
use std::fmt::Write;

/// The page, in Markdown.
pub(crate) fn page(channel: &Channel, url: &str) -> String {
    let file = &channel.file;
    let url = url.trim_end_matches('/');
    let mut page = format!("# Pushing events to {}\n\n", channel.id);
    if !file.description.is_empty() {
        put(&mut page, format_args!("{}\n\n", file.description));
    }
    put(&mut page, format_args!("Source: {}", file.source));
    if !file.owner.is_empty() {
        put(&mut page, format_args!(", answered for by {}", file.owner));
    }
    let form = match &file.decoder {
        None => "one JSON object, lines of them, or an array".to_owned(),
        Some(name) => format!("what the decoder `{name}` reads"),
    };
    put(
        &mut page,
        format_args!(
            ".\n\nSend events to `{url}/v1/channels/{}/events`: {form}; plain, gzip or zstd. An answer of 200 means that \
             they are durable. After 429 and 503 send the same again when `Retry-After` says so; an event that came already is \
             not taken twice, told by `{}`, by the `Idempotency-Key` of its request, or by its bytes.\n\n",
            channel.id, file.id_field
        ),
    );
    let limits = &file.limits;
    put(
        &mut page,
        format_args!(
            "Limits: {} KiB a request ({} KiB decompressed), {} events a request, {} KiB an event",
            limits.body_max_kib, limits.inflated_max_kib, limits.events_max, limits.event_max_kib
        ),
    );
    for (count, of) in [
        (limits.events_per_second, "events a second"),
        (limits.kib_per_second, "KiB a second"),
        (limits.events_per_day, "events a day"),
    ] {
        if count > 0 {
            put(&mut page, format_args!(", {count} {of}"));
        }
    }
    page.push_str(".\n");
    for (what, all) in [
        ("eventSource", &file.allow.event_sources),
        ("recipientAccountId", &file.allow.accounts),
        ("addresses", &file.allow.addresses),
    ] {
        if !all.is_empty() {
            put(
                &mut page,
                format_args!("\nOnly these {what} are taken: {}.\n", all.join(", ")),
            );
        }
    }
    if let Some(pull) = &file.pull {
        let words = match pull {
            PullFile::Folder { .. } => "a folder on the machine of the service".to_owned(),
            PullFile::S3 { bucket, prefix, .. } => format!("`s3://{bucket}/{prefix}`"),
        };
        let files = match &file.decoder {
            None => {
                "JSON, lines of it, or delivery files of CloudTrail, named .json, .jsonl or .ndjson"
                    .to_owned()
            }
            Some(name) => format!("whatever the decoder `{name}` reads, under any name"),
        };
        put(
            &mut page,
            format_args!(
                "\nFiles are taken from {words} every {} seconds: {files}, plain, .gz or .zst, each once.\n",
                pull.every().as_secs()
            ),
        );
    }
    for sender in &file.senders {
        put(&mut page, format_args!("\n## {}\n\n", sender.name()));
        of_sender(&mut page, channel, sender, url);
    }
    put(
        &mut page,
        format_args!(
            "\nHow it goes, proven as above: `GET {url}/v1/channels/{}/status`.\n",
            channel.id
        ),
    );
    page
}

fn of_sender(page: &mut String, channel: &Channel, sender: &SenderFile, url: &str) {
    let to = format!("{url}/v1/channels/{}/events", channel.id);
    match sender {
        SenderFile::Key { header, .. } => {
            let header = match header {
                None => "Authorization: Bearer $KEY".to_owned(),
                Some(name) => format!("{name}: $KEY"),
            };
            put(
                page,
                format_args!(
                    "A key that you were given goes with each request.\n\n```sh\ncurl --fail-with-body -H \"{header}\" --data-binary @events.jsonl {to}\n```\n"
                ),
            );
            if !header.starts_with("Authorization") {
                return;
            }
            put(
                page,
                format_args!(
                    "\nForwarders of Splunk send to `{url}/services/collector/event` with the key as their token, exporters of OpenTelemetry their logs to \
                     `{url}/v1/logs` with the header `Authorization: Bearer $KEY`.\n"
                ),
            );
        }
        SenderFile::Hmac { scheme, custom, .. } => {
            let words = match (scheme, custom) {
                (Scheme::StandardWebhooks, _) => {
                    "Requests are signed as Standard Webhooks has it: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,…`."
                        .to_owned()
                }
                (Scheme::Github, _) => "Requests are signed as GitHub does: `X-Hub-Signature-256`. Give the secret in the settings of the webhook, \
                                       content type `application/json`."
                    .to_owned(),
                (Scheme::Slack, _) => "Requests are signed as Slack does: `X-Slack-Signature` and `X-Slack-Request-Timestamp`.".to_owned(),
                (Scheme::Stripe, _) => "Requests are signed as Stripe does: `Stripe-Signature: t=…,v1=…`.".to_owned(),
                (Scheme::Custom, Some(custom)) => format!(
                    "Requests bear `{}: {}` and the HMAC ({:?}, {:?}) of `{}`.",
                    custom.header, custom.prefix, custom.algorithm, custom.encoding, custom.message
                ),
                (Scheme::Custom, None) => String::new(),
            };
            put(page, format_args!("{words}\n\nThe address is `{to}`.\n"));
        }
        SenderFile::Sigv4 { access_key_id, .. } => {
            put(
                page,
                format_args!(
                    "With the AWS CLI or an SDK, unchanged; the access key id is `{access_key_id}`, the secret you were given.\n\n```sh\naws cloudtrail-data put-audit-events --region us-east-1 \
                     --endpoint-url {url} --channel-arn {} --audit-events file://events.json\n```\n",
                    channel.arn()
                ),
            );
        }
        SenderFile::Certificate { names, .. } => {
            let names = match names.as_slice() {
                [] => String::new(),
                names => format!(" It bears the name {}.", names.join(" or ")),
            };
            put(
                page,
                format_args!(
                    "The certificate that you were given, or that you told us of, goes with the connection.{names}\n\n```sh\ncurl --fail-with-body --cert client.pem \
                     --key client.key --data-binary @events.jsonl {to}\n```\n"
                ),
            );
        }
        SenderFile::Jwt {
            issuer,
            audience,
            claims,
            ..
        } => {
            let claims: Vec<String> = claims
                .iter()
                .map(|(key, text)| format!(", `{key}` = `{text}`"))
                .collect();
            put(
                page,
                format_args!(
                    "A token of `{issuer}` for `{audience}`{} goes with each request, signed as RS256, ES256 or EdDSA.\n\n```sh\ncurl --fail-with-body -H \"Authorization: Bearer \
                     $TOKEN\" --data-binary @events.jsonl {to}\n```\n",
                    claims.concat()
                ),
            );
        }
        SenderFile::Nats { .. } => {
            put(
                page,
                format_args!(
                    "With the NATS login that you were given, as requests; the answer has the status and body of the address above. The subject begins as you \
                     were told.\n\n```sh\nnats request tripline.channels.{} \"$(cat events.jsonl)\"\n```\n",
                    channel.id
                ),
            );
        }
    }
}

fn put(page: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a text does not fail.
    let _ = page.write_fmt(words);
}
