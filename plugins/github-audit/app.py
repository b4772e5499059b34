"""GitHub's audit log as events of the form of CloudTrail.

Takes what the API, the export and the stream give: an array of entries, or an entry a line. Who did it stands in
`userIdentity`, from where in `sourceIPAddress`, what in `eventName` under the source `github.com`; everything else of the
entry goes under `requestParameters`, where the parameters of a call would be.
"""

import json
import re
from datetime import datetime, timedelta, timezone

from tripline_plugin import Decoder, export_decoder

#: The longest entry; what is longer is passed over, so that input never stands still.
RECORD_BYTES_MAX = 1024 * 1024

# What counts while looking for the end of an object: whole texts, braces, and a text that does not end.
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}]|"', re.DOTALL)
BETWEEN = re.compile(rb"[\s,]*")
BRACKETS = re.compile(rb"[\s,\[\]]*")

#: What is remembered between chunks while an array is open.
OPEN = b"["

#: Fields that have a place of their own in the event.
PLACED = {
    "@timestamp",
    "_document_id",
    "action",
    "actor",
    "actor_id",
    "actor_ip",
    "actor_is_bot",
    "actor_location",
    "business",
    "business_id",
    "created_at",
    "external_identity_nameid",
    "operation_type",
    "request_id",
    "user_agent",
}

#: Fields that name what it was done to, and the kind of that.
RESOURCES = (("repo", "Repository"), ("team", "Team"), ("org", "Organization"))

#: Parts of actions by which something failed.
FAILED = (".failed", ".rejected", ".denied", "failed_login", ".reject")


class GitHubAudit(Decoder):
    keeps_original = True

    def configure(self, config):
        self.keeps_original = bool(json.loads(config).get("original", True))

    def decode(self, chunk, state, last):
        events, bad, at, is_open = [], [], 0, state == OPEN
        while True:
            at = BETWEEN.match(chunk, at).end()
            if at == len(chunk):
                break
            if chunk[at] in b"[]":
                opens = chunk[at] == OPEN[0]
                if opens == is_open:
                    # All of them at once: what is bad a million times is one part that is bad.
                    bad.append((at, "brackets that hold no objects"))
                    at = BRACKETS.match(chunk, at).end()
                else:
                    is_open = opens
                    at += 1
                continue
            start, end, problem = record(chunk, at, last)
            if end is None:
                break
            at = end
            if problem is None:
                try:
                    events.append(text_of(self.event(parsed(chunk[start:end]))))
                except (ValueError, RecursionError) as mistake:
                    problem = str(mistake) or "not JSON"
            if problem is not None:
                bad.append((start, problem[:200]))
        # Something is missing, unless what is told already was the end of the array.
        if is_open and last and not bad:
            bad.append((at, "the input ends within an array"))
        return at, events, bad, OPEN if is_open else b""

    def event(self, entry):
        """One entry in the form of CloudTrail."""
        action = entry.get("action")
        if not isinstance(action, str) or not action:
            raise ValueError("no `action`")
        event = {
            "eventVersion": "1.08",
            "userIdentity": identity(entry),
            "eventTime": time_of(entry),
            "eventSource": "github.com",
            "eventName": action,
            "sourceIPAddress": text(entry, "actor_ip"),
            "userAgent": text(entry, "user_agent"),
        }
        if any(part in action for part in FAILED):
            event["errorCode"] = "Failed"
            event["errorMessage"] = text(entry, "reason") or text(entry, "message")
        event["requestParameters"] = {
            name: value for name, value in entry.items() if name not in PLACED and value is not None
        }
        event["requestID"] = text(entry, "request_id")
        event["eventID"] = text(entry, "_document_id")
        event["readOnly"] = entry.get("operation_type") == "access"
        event["eventType"] = "GitHubAudit"
        event["eventCategory"] = "Management"
        event["recipientAccountId"] = text(entry, "business") or text(entry, "org")
        resources = [
            {"ARN": entry[name], "type": f"GitHub::{kind}"} for name, kind in RESOURCES if text(entry, name)
        ]
        event["resources"] = resources or None
        more = {"operationType": text(entry, "operation_type")}
        location = entry.get("actor_location")
        more["country"] = text(location, "country_code") if isinstance(location, dict) else None
        if self.keeps_original:
            more["github"] = entry
        event["additionalEventData"] = without_none(more)
        return without_none(event)


def record(chunk, start, last):
    """Where the object that begins here ends, and what is wrong with it. Without an end it needs more of the input."""
    if chunk[start : start + 1] != b"{":
        line = chunk.find(b"\n", start)
        brace = chunk.find(b"{", start)
        ends = [end for end in (line, brace) if end >= 0]
        if not ends and not last and len(chunk) - start <= RECORD_BYTES_MAX:
            return start, None, None
        return start, min(ends, default=len(chunk)), "not a JSON object"
    depth = 0
    # What is longer is not looked at, and passed over as a whole: to begin with the next line would read it all again.
    most = start + RECORD_BYTES_MAX
    for token in TOKENS.finditer(chunk, start, most):
        byte = chunk[token.start()]
        if byte == 0x7B:
            depth += 1
        elif byte == 0x7D:
            depth -= 1
            if depth == 0:
                return start, token.end(), None
        elif token.end() - token.start() == 1:
            break
    if len(chunk) - start > RECORD_BYTES_MAX:
        line = chunk.find(b"\n", most)
        return start, len(chunk) if line < 0 else line + 1, "an object that is too long"
    return start, len(chunk) if last else None, "the input ends within an object"


def parsed(record):
    value = json.loads(record.decode("utf-8", "replace"), parse_constant=refused)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def refused(constant):
    raise ValueError(f"`{constant}` is no JSON")


def text_of(event):
    return json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def text(entry, name):
    value = entry.get(name)
    return value if isinstance(value, str) and value else None


def identity(entry):
    name = text(entry, "actor")
    if name is None and entry.get("actor_id") is None:
        return None
    is_bot = entry.get("actor_is_bot") is True or (name or "").endswith("[bot]")
    actor_id = entry.get("actor_id")
    return without_none(
        {
            "type": "GitHubBot" if is_bot else "GitHubUser",
            "principalId": str(actor_id) if isinstance(actor_id, int) else None,
            "userName": name,
            "displayName": text(entry, "external_identity_nameid"),
            "accessKeyId": text(entry, "hashed_token"),
        }
    )


def time_of(entry):
    """GitHub counts milliseconds since 1970; some exports write the time out."""
    for name in ("@timestamp", "created_at"):
        value = entry.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=value)
            except (OverflowError, ValueError):
                continue
            return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", value):
            return value
    raise ValueError("no `@timestamp`")


def without_none(fields):
    return {name: value for name, value in fields.items() if value is not None}


Setup, Decode = export_decoder(GitHubAudit)
