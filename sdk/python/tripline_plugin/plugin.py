"""What plugins are, and how they become what componentize-py looks for.

The generated modules `wit_world` and `componentize_py_types` are there in a component only, so they are named only in
what the host calls: everything above runs in ordinary unit tests.
"""

from .batch import Batch

_SEVERITIES = ("informational", "low", "medium", "high", "critical")


class Fault(Exception):
    """An orderly failure. `kind` is one of the contract's, such as `invalid-input` or `unavailable`; the latter and
    `timeout` are tried again."""

    def __init__(self, kind, message, retry_after_ms=None):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_ms = retry_after_ms


class Hit:
    """A finding about a row. `evidence` holds what the plugin saw: text, numbers, booleans, bytes; None is left out."""

    def __init__(self, row, severity, title, score=1.0, dedup_key=None, evidence=None):
        if severity not in _SEVERITIES:
            raise ValueError(f"severity {severity!r} is none of {', '.join(_SEVERITIES)}")
        self.row = row
        self.severity = severity
        self.title = title
        self.score = score
        self.dedup_key = dedup_key
        self.evidence = evidence or {}


class _Plugin:
    def configure(self, config):
        """Takes the operator's settings as JSON text; not called without `[config]` in the manifest."""


class Enricher(_Plugin):
    """Attaches facts to events."""

    def enrich(self, batch):
        """The `Columns` of `writes`, in that order, for the rows of the batch."""
        raise NotImplementedError


class Detector(_Plugin):
    """Finds things in events, one by one."""

    def detect(self, batch):
        """The `Hit`s of a batch: at most one a row, ordered by row."""
        raise NotImplementedError


class Scorer(_Plugin):
    """Says how unusual events are."""

    def score(self, batch):
        """One number a row; None stands for no opinion."""
        raise NotImplementedError


class Decoder(_Plugin):
    """Turns what a source sends into events."""

    def decode(self, chunk, state, last):
        """A tuple of how many bytes are done with, the events as JSON texts, what was passed over as pairs of offset
        and message, and the state."""
        raise NotImplementedError


def export_enricher(plugin):
    """The classes `Setup, Enrich` for a class of yours."""
    plugin = plugin()

    class Enrich:
        def enrich(self, batch):
            return _guarded(lambda: plugin.enrich(Batch(batch)).pack())

    return _setup(plugin), Enrich


def export_detector(plugin):
    """The classes `Setup, Detect` for a class of yours."""
    plugin = plugin()

    class Detect:
        def evaluate(self, batch):
            return _guarded(lambda: [_hit(hit) for hit in plugin.detect(Batch(batch))])

    return _setup(plugin), Detect


def export_scorer(plugin):
    """The classes `Setup, Score` for a class of yours."""
    plugin = plugin()

    class Score:
        def score(self, batch):
            scores = _guarded(lambda: plugin.score(Batch(batch)))
            return [float("nan") if score is None else float(score) for score in scores]

    return _setup(plugin), Score


def export_decoder(plugin):
    """The classes `Setup, Decode` for a class of yours."""
    plugin = plugin()

    class Decode:
        def decode(self, chunk, state, last):
            from wit_world.exports import decode

            consumed, events, bad, state = _guarded(lambda: plugin.decode(chunk, state, last))
            lines = "".join(f"{event}\n" for event in events)
            bad = [decode.Bad(offset, message) for offset, message in bad]
            return decode.Decoded(consumed, lines.encode("utf-8", "replace"), bad, state)

    return _setup(plugin), Decode


def _setup(plugin):
    class Setup:
        def configure(self, config):
            _guarded(lambda: plugin.configure(config))

    return Setup


def _guarded(call):
    """Faults become those of the contract. Mistakes of Python do too, so that one bad batch costs one batch and not the
    instance, which takes long to make anew."""
    try:
        return call()
    except Exception as mistake:
        from componentize_py_types import Err
        from wit_world.imports import types

        if isinstance(mistake, Fault):
            name, message = mistake.kind, mistake.message
            retry_after_ms = mistake.retry_after_ms
        elif isinstance(mistake, Err):
            raise
        else:
            name, message, retry_after_ms = "internal", repr(mistake), None
        kind = types.FaultKind[name.upper().replace("-", "_")]
        raise Err(types.Fault(kind, message, retry_after_ms)) from None


def _hit(hit):
    from wit_world.imports import types

    evidence = hit.evidence.items()
    evidence = [(name, _value(value)) for name, value in evidence if value is not None]
    severity = types.Severity[hit.severity.upper()]
    finding = types.Finding(severity, hit.score, hit.title, hit.dedup_key, evidence, [])
    return types.Hit(hit.row, finding)


def _value(value):
    from wit_world.imports import types

    if isinstance(value, bool):
        return types.Value_Boolean(value)
    if isinstance(value, int):
        return types.Value_Int(value)
    if isinstance(value, float):
        return types.Value_Float(value)
    if isinstance(value, bytes):
        return types.Value_Bytes(value)
    return types.Value_Text(str(value))
