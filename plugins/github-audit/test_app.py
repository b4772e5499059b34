"""The vectors in `tests/`, and input that nobody meant. Run with the SDK in the path:

    PYTHONPATH=../../sdk/python python -m unittest
"""

import json
import tomllib
import unittest
from pathlib import Path

from app import RECORD_BYTES_MAX, GitHubAudit


def decode(plugin, data, size):
    waiting, events, bad, state = b"", [], 0, b""
    parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    for number, part in enumerate(parts):
        waiting += part
        consumed, new, problems, state = plugin.decode(waiting, state, number == len(parts) - 1)
        waiting = waiting[consumed:]
        events += [json.loads(event) for event in new]
        bad += len(problems)
    return events, bad


class GitHubAuditTest(unittest.TestCase):
    def test_vectors(self):
        for path in sorted(Path(__file__).parent.glob("tests/*.toml")):
            vectors = tomllib.loads(path.read_text())
            plugin = GitHubAudit()
            plugin.configure(json.dumps(vectors.get("config", {})))
            for case in vectors["case"]:
                for size in (1 << 20, 7):
                    with self.subTest(case["name"], size=size):
                        events, bad = decode(plugin, case["chunk"].encode(), size)
                        self.assertEqual(events, [json.loads(event) for event in case["events"]])
                        self.assertEqual(bad, case.get("bad", 0))

    def test_nonsense_is_passed_over(self):
        inputs = [
            b"",
            b"\xff\xfe{}",
            b"{" * 5000,
            b'{"a":' * 2000 + b"1" + b"}" * 2000,
            b'{"@timestamp":1e400,"action":"x"}',
            b'{"@timestamp":-9223372036854775808,"action":"x"}',
            b'{"@timestamp":1,"action":"\\ud800","actor":[]}',
            b'{"@timestamp":1,"action":{},"actor_location":7}',
            bytes(range(256)),
        ]
        for data in inputs:
            for size in (1 << 20, 64):
                decode(GitHubAudit(), data, size)

    def test_brackets_that_are_no_array_of_objects_are_bad(self):
        for data, bad in [
            (b"[" * 900_000, 1),
            (b"]]]\n", 1),
            (b"[]\n[ ]\n", 0),
            (b'[{"action":"x"', 1),
            (b"[", 1),
            (b"", 0),
        ]:
            with self.subTest(data[:20]):
                self.assertEqual(decode(GitHubAudit(), data, 1 << 20), ([], bad))
        self.assertEqual(decode(GitHubAudit(), b"[\n]\n[", 1), ([], 1))

    def test_what_never_ends_does_not_stand_still(self):
        data = b'{"a":"' + b"x" * RECORD_BYTES_MAX
        self.assertEqual(GitHubAudit().decode(data, b"", False)[0], len(data))


if __name__ == "__main__":
    unittest.main()
