"""What the host offers. Each function needs its capability in the manifest; without it the component has no such import,
and the call raises `ModuleNotFoundError`. Tests put a stand-in into `modules`, under the name of the interface."""

from .batch import Batch

#: Stand-ins for interfaces, by name: `modules["lookup"] = SomeObject()`.
modules = {}


def _interface(name):
    stand_in = modules.get(name)
    if stand_in is not None:
        return stand_in
    from importlib import import_module

    return import_module(f"wit_world.imports.{name}")


def log(level, message, **fields):
    """Writes a line for the operator; `level` is `trace`, `debug`, `info`, `warn` or `error`."""
    interface = _interface("log")
    fields = [(name, str(value)) for name, value in fields.items()]
    interface.write(interface.Level[level.upper()], message, fields)


def lookup(table, keys):
    """A batch with a row for each key and a column for each column of the table."""
    return Batch(_interface("lookup").find(table, keys))


def lookup_columns(table):
    """The names of a table's columns."""
    return _interface("lookup").columns(table)


def kv_get(keys):
    """The values under the keys, in their order, as bytes or None."""
    return _interface("kv").get(keys)


def kv_set(entries, ttl_ms):
    """Keeps a dictionary of bytes for so many milliseconds."""
    _interface("kv").set(list(entries.items()), ttl_ms)


def kv_add(key, delta, ttl_ms):
    """Adds to a number and gives the new one."""
    return _interface("kv").add(key, delta, ttl_ms)


def now_ms():
    """Milliseconds since 1970."""
    return _interface("clock").now_ms()


def count(name, delta=1):
    """Adds to a counter."""
    _interface("metrics").add(name, delta)


def observe(name, value):
    """Tells a value, such as a duration."""
    _interface("metrics").observe(name, value)
