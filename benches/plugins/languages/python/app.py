"""The rule of the measurements in Python. `benches/plugins/rule.rs` is the same for the host."""

from tripline_plugin import Detector, Hit, export_detector

ACTIONS = frozenset({
    "AttachUserPolicy",
    "AttachRolePolicy",
    "CreateAccessKey",
    "CreateLoginProfile",
    "DeleteTrail",
    "PutUserPolicy",
    "StopLogging",
    "UpdateAssumeRolePolicy",
})


class Sensitive(Detector):
    def detect(self, batch):
        names, codes, used = batch.symbol(0), batch.symbol(1), batch.bool(2)
        addresses, policies = batch.text(3), batch.text(4)
        hits = []
        for row, name in enumerate(names):
            if name not in ACTIONS or codes[row] is not None or used[row] is not False:
                continue
            address = addresses[row]
            if address is not None and address.startswith("10."):
                policy = policies[row]
                if policy is None or not policy.endswith("/AdministratorAccess"):
                    continue
            hits.append(Hit(row, "high", "sensitive action"))
        return hits


Setup, Detect = export_detector(Sensitive)
