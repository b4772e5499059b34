"""{{description}}"""

import json

from tripline_plugin import Detector, Fault, Hit, export_detector


class Plugin(Detector):
    names = frozenset()

    def configure(self, config):
        names = json.loads(config).get("names")
        if not isinstance(names, list):
            raise Fault("invalid-config", "`names` is no list")
        self.names = frozenset(names)

    def detect(self, batch):
        # `reads` in plugin.toml, in the same order.
        names, addresses, arns = batch.symbol(0), batch.text(1), batch.text(2)
        return [
            Hit(row, "high", f"{name} was called", dedup_key=arns[row], evidence={"address": addresses[row]})
            for row, name in enumerate(names)
            if name in self.names
        ]


Setup, Detect = export_detector(Plugin)
