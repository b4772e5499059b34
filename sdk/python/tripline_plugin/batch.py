"""Packed batches: how events cross, and how columns go back. The form is in `wit/README.md`.

Numbers and symbols are read as a whole, into lists: in Python a call for each cell costs more than the cell. Texts are cut
out when they are asked for; those of a column that are all ASCII are decoded once for the column.
"""

import math
import struct
from collections.abc import Sequence

_MAGIC = b"TPB1"
_HEADER = struct.Struct("<4sIII")
_COLUMN = struct.Struct("<8I")
_KINDS = {1: "bool", 2: "int", 3: "float", 4: "text", 5: "symbol", 6: "json"}
_NUMBERS = {kind: number for number, kind in _KINDS.items()}


class Texts(Sequence):
    """A column of texts, each decoded when it is asked for: detectors look at few rows of most columns."""

    __slots__ = ("_arena", "_places", "_present", "_text")

    def __init__(self, places, arena, present):
        self._places = places
        self._arena = arena
        self._present = present
        self._text = arena.decode("ascii") if arena.isascii() else None

    def __len__(self):
        return len(self._places) // 2

    def __getitem__(self, row):
        if isinstance(row, slice):
            return list(self)[row]
        count = len(self._places) // 2
        if row < 0:
            row += count
        if not 0 <= row < count:
            raise IndexError(row)
        if self._present and not self._present[row >> 3] >> (row & 7) & 1:
            return None
        return self._cut(self._places[2 * row], self._places[2 * row + 1])

    def __iter__(self):
        if self._present:
            return (self[row] for row in range(len(self)))
        places = iter(self._places)
        if self._text is None:
            return map(self._cut, places, places)
        text = self._text
        return (text[start : start + length] for start, length in zip(places, places))

    def __eq__(self, other):
        return list(self) == list(other)

    def _cut(self, start, length):
        if self._text is not None:
            return self._text[start : start + length]
        return self._arena[start : start + length].decode("utf-8", "replace")


class Batch:
    """Events, a row each, of which only the fields are there that `reads` in `plugin.toml` names, in that order.

    Each column is a sequence with a value, or None, for each row.
    """

    def __init__(self, data):
        self._data = bytes(data)
        if len(self._data) < _HEADER.size:
            raise ValueError("the batch does not begin with `TPB1`")
        magic, length, self.rows, self.columns = _HEADER.unpack_from(self._data)
        if magic != _MAGIC or length != len(self._data):
            raise ValueError("the batch does not begin with `TPB1`, or is cut")
        if _HEADER.size + self.columns * _COLUMN.size > length:
            raise ValueError("the columns reach beyond the batch")

    def __len__(self):
        return self.rows

    def bool(self, column):
        """A column of `bool`."""
        return [value != 0 if value is not None else None for value in self._column(column, "bool")]

    def int(self, column):
        """A column of `int`."""
        return self._column(column, "int")

    def float(self, column):
        """A column of `float`."""
        return self._column(column, "float")

    def text(self, column):
        """A column of `text`."""
        return self._column(column, "text")

    def symbol(self, column):
        """A column of `symbol`: texts that repeat. Equal ones are the same object."""
        return self._column(column, "symbol")

    def json(self, column):
        """A column of `json`: JSON texts."""
        return self._column(column, "json")

    def column(self, column):
        """A column of whatever kind it is."""
        return self._column(column, None)

    def _column(self, column, wanted):
        if not 0 <= column < self.columns:
            raise ValueError(f"the batch has {self.columns} columns and no column {column}")
        head = _COLUMN.unpack_from(self._data, _HEADER.size + column * _COLUMN.size)
        kind, present, data, arena, arena_length, dictionary, entries, _ = head
        kind = _KINDS.get(kind)
        if kind is None or wanted is not None and kind != wanted:
            raise ValueError(f"column {column} is {kind} instead of {wanted}")
        rows = self.rows
        if kind == "bool":
            values = list(self._part(data, rows))
        elif kind == "int":
            values = list(struct.unpack(f"<{rows}q", self._part(data, rows * 8)))
        elif kind == "float":
            values = list(struct.unpack(f"<{rows}d", self._part(data, rows * 8)))
        elif kind == "symbol":
            names = list(self._texts(dictionary, entries, arena, arena_length, b""))
            symbols = struct.unpack(f"<{rows}I", self._part(data, rows * 4))
            count = len(names)
            values = [names[symbol] if symbol < count else None for symbol in symbols]
        else:
            bits = self._part(present, (rows + 7) // 8) if present else b""
            return self._texts(data, rows, arena, arena_length, bits)
        if present:
            bits = self._part(present, (rows + 7) // 8)
            for row in range(rows):
                if not bits[row >> 3] >> (row & 7) & 1:
                    values[row] = None
        return values

    def _part(self, offset, length):
        if offset + length > len(self._data):
            raise ValueError("a column reaches beyond the batch")
        return self._data[offset : offset + length]

    def _texts(self, offset, count, arena, arena_length, present):
        places = struct.unpack(f"<{count * 2}I", self._part(offset, count * 8))
        return Texts(places, self._part(arena, arena_length), present)


class Columns:
    """Columns of the same number of rows, in the order of `writes`. A value is None where there is none.

        Columns(2).symbol(["DE", None]).int([64500, None])
    """

    def __init__(self, rows):
        self.rows = rows
        self._columns = []

    def bool(self, values):
        """One column of `bool` more."""
        return self._add("bool", values, lambda values: bytes(bool(value) for value in values))

    def int(self, values):
        """One column of `int` more."""
        return self._add("int", values, lambda values: self._numbers("q", values))

    def float(self, values):
        """One column of `float` more. Numbers that are not finite are left out: rules could not compare them."""
        values = [value if value is not None and math.isfinite(value) else None for value in values]
        return self._add("float", values, lambda values: self._numbers("d", values))

    def text(self, values):
        """One column of `text` more."""
        return self._texts("text", values)

    def json(self, values):
        """One column of `json` more: JSON texts."""
        return self._texts("json", values)

    def symbol(self, values):
        """One column of `symbol` more: texts that repeat are stored once."""
        values = self._checked(values)
        symbols, names = {}, []
        numbers = []
        for value in values:
            if value is None:
                numbers.append(0)
                continue
            symbol = symbols.get(value)
            if symbol is None:
                symbol = symbols[value] = len(names)
                names.append(value)
            numbers.append(symbol)
        places, arena = _arena(names)
        data = struct.pack(f"<{len(numbers)}I", *numbers)
        return self._push("symbol", values, data, arena, places)

    def pack(self):
        """The batch."""
        at = _HEADER.size + len(self._columns) * _COLUMN.size
        heads, buffers = [], []

        def append(buffer):
            nonlocal at
            if not buffer:
                return 0
            start = at
            padding = -len(buffer) % 8
            buffers.append(buffer + bytes(padding))
            at += len(buffer) + padding
            return start

        for kind, present, data, arena, dictionary in self._columns:
            places = [append(buffer) for buffer in (present, data, arena, dictionary)]
            heads.append(
                _COLUMN.pack(
                    _NUMBERS[kind],
                    places[0],
                    places[1],
                    places[2],
                    len(arena),
                    places[3],
                    len(dictionary) // 8,
                    0,
                )
            )
        header = _HEADER.pack(_MAGIC, at, self.rows, len(self._columns))
        return b"".join([header, *heads, *buffers])

    def _checked(self, values):
        values = list(values)
        if len(values) != self.rows:
            raise ValueError(f"a column of {len(values)} rows among columns of {self.rows} rows")
        return values

    def _numbers(self, form, values):
        return struct.pack(f"<{len(values)}{form}", *(0 if value is None else value for value in values))

    def _add(self, kind, values, encode):
        values = self._checked(values)
        return self._push(kind, values, encode(values), b"", b"")

    def _texts(self, kind, values):
        values = self._checked(values)
        places, arena = _arena("" if value is None else value for value in values)
        return self._push(kind, values, places, arena, b"")

    def _push(self, kind, values, data, arena, dictionary):
        present = b""
        if None in values:
            bits = bytearray((self.rows + 7) // 8)
            for row, value in enumerate(values):
                if value is not None:
                    bits[row >> 3] |= 1 << (row & 7)
            present = bytes(bits)
        self._columns.append((kind, present, data, arena, dictionary))
        return self


def _arena(texts):
    places, parts, at = [], [], 0
    for text in texts:
        part = text.encode("utf-8", "replace")
        places += (at, len(part))
        parts.append(part)
        at += len(part)
    return struct.pack(f"<{len(places)}I", *places), b"".join(parts)
