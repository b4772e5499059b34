"""Pushes numbered events to a channel with the client library of a scheme, and says how many were taken.

Called as `push.py CLIENT URL CHANNEL COUNT [SECRET …]`; see the test that calls it for what each client needs.
"""

import base64
import hashlib
import json
import sys
import urllib.error
import urllib.request
from datetime import datetime, timezone


def event(number, client):
    return {
        "version": "1.0",
        "userIdentity": {"type": "User", "principalId": f"user-{number % 7}"},
        "eventSource": f"{client}.example.com",
        "eventName": "Stop" if number % 100 == 0 else "Look",
        "eventTime": f"2026-01-02T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        "UID": f"{client}-{number}",
        "recipientAccountId": "111122223333",
        "who": f"user-{number % 7}",
    }


def post(url, body, headers):
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def batches(count, size):
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def boto3_client(url, channel, count, key, secret):
    import boto3

    client = boto3.client(
        "cloudtrail-data",
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    taken = 0
    for numbers in batches(count, 100):
        entries = []
        for number in numbers:
            data = json.dumps(event(number, "boto3"))
            checksum = base64.b64encode(hashlib.sha256(data.encode()).digest()).decode()
            entries.append({"id": f"boto3-{number}", "eventData": data, "eventDataChecksum": checksum})
        answer = client.put_audit_events(
            auditEvents=entries, channelArn=f"arn:aws:cloudtrail:eu-central-1:111122223333:channel/{channel}"
        )
        assert not answer["failed"], answer["failed"][:3]
        taken += len(answer["successful"])
    return taken


def awscli_client(url, channel, count, key, secret):
    """The commands of the AWS CLI one after another in one process: starting it takes longer than all else."""
    import contextlib
    import io
    import os
    import pathlib
    import tempfile

    from awscli.clidriver import create_clidriver

    os.environ.update(AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)
    driver = create_clidriver()
    taken = 0
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "entries.json"
        for numbers in batches(count, 100):
            entries = [
                {"id": f"awscli-{number}", "eventData": json.dumps(event(number, "awscli"))} for number in numbers
            ]
            file.write_text(json.dumps(entries))
            arn = f"arn:aws:cloudtrail:eu-central-1:111122223333:channel/{channel}"
            words = ["cloudtrail-data", "put-audit-events", "--endpoint-url", url, "--region", "eu-central-1"]
            with contextlib.redirect_stdout(io.StringIO()) as told:
                code = driver.main([*words, "--channel-arn", arn, "--audit-events", f"file://{file}"])
            assert code == 0, code
            answer = json.loads(told.getvalue())
            assert not answer["failed"], answer["failed"][:3]
            taken += len(answer["successful"])
    return taken


def cloudevents(url, channel, count, key):
    from cloudevents.v1.conversion import to_binary, to_structured
    from cloudevents.v1.http import CloudEvent

    taken = 0
    for number in range(count):
        attributes = {
            "id": f"ce-{number}",
            "source": "https://example.com/ce",
            "type": "com.example.look",
            "time": datetime.now(timezone.utc).isoformat(),
        }
        one = CloudEvent(attributes, event(number, "cloudevents"))
        headers, body = (to_binary if number % 2 else to_structured)(one)
        headers = {**headers, "authorization": f"Bearer {key}"}
        taken += post(f"{url}/v1/channels/{channel}/events", body, headers)["accepted"]
    return taken


def standard_webhooks(url, channel, count, secret):
    from standardwebhooks.webhooks import Webhook

    webhook = Webhook(secret)
    taken = 0
    for numbers in batches(count, 10):
        body = json.dumps([event(number, "webhooks") for number in numbers])
        now, name = datetime.now(timezone.utc), f"msg_{numbers.start}"
        headers = {
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": webhook.sign(name, now, body),
            "content-type": "application/json",
        }
        taken += post(f"{url}/v1/channels/{channel}/events", body.encode(), headers)["accepted"]
    return taken


CLIENTS = {
    "awscli": awscli_client,
    "boto3": boto3_client,
    "cloudevents": cloudevents,
    "standardwebhooks": standard_webhooks,
}

if __name__ == "__main__":
    client, url, channel, count, *secrets = sys.argv[1:]
    try:
        print(CLIENTS[client](url, channel, int(count), *secrets))
    except urllib.error.HTTPError as refused:
        sys.exit(f"{refused.code} {refused.read().decode()}")
