"""For plugins of Tripline in Python.

A plugin is a class with one method, and one line that exports it:

    from tripline_plugin import Detector, Hit, export_detector

    class TrailTampering(Detector):
        def detect(self, batch):
            names = batch.symbol(0)
            return [Hit(row, "high", "a trail was stopped")
                    for row, name in enumerate(names) if name == "StopLogging"]

    Setup, Detect = export_detector(TrailTampering)

The names on the left are those that componentize-py looks for, and must stay as they are. What the host offers is in
`tripline_plugin.host`; a component imports what `[capabilities]` of the manifest names.
"""

from .batch import Batch, Columns
from .plugin import (
    Decoder,
    Detector,
    Enricher,
    Fault,
    Hit,
    Scorer,
    export_decoder,
    export_detector,
    export_enricher,
    export_scorer,
)

__all__ = [
    "Batch",
    "Columns",
    "Decoder",
    "Detector",
    "Enricher",
    "Fault",
    "Hit",
    "Scorer",
    "export_decoder",
    "export_detector",
    "export_enricher",
    "export_scorer",
]
