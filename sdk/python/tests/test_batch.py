"""What is written is read; what lies is refused. Run with `python -m unittest` in the folder above."""

import unittest

from tripline_plugin import Batch, Columns


def packed():
    columns = Columns(11)
    rows = range(11)

    def each(value):
        return [None if row % 4 == 3 else value(row) for row in rows]

    columns.bool(each(lambda row: row % 2 == 0)).int(each(lambda row: -row))
    columns.float(each(lambda row: row / 2)).text(each(lambda row: "ä" * row))
    columns.symbol(each(lambda row: ["put", "get", "get"][row % 3])).json(each(lambda row: '{"a":1}'))
    return columns.pack()


class BatchTest(unittest.TestCase):
    def test_what_is_written_is_read(self):
        batch = Batch(packed())
        self.assertEqual(len(batch), 11)
        columns = [batch.bool(0), batch.int(1), batch.float(2), batch.text(3), batch.symbol(4), batch.json(5)]
        self.assertEqual([column[2] for column in columns], [True, -2, 1.0, "ää", "get", '{"a":1}'])
        self.assertEqual([column[7] for column in columns], [None] * 6)

    def test_another_kind_is_refused(self):
        with self.assertRaisesRegex(ValueError, "column 0 is bool instead of text"):
            Batch(packed()).text(0)
        with self.assertRaisesRegex(ValueError, "no column 6"):
            Batch(packed()).text(6)

    def test_no_byte_makes_reading_fail_otherwise(self):
        sound = packed()
        for at in range(len(sound)):
            for value in (0, 1, 0x7F, 0xFF):
                changed = bytearray(sound)
                changed[at] = value
                try:
                    batch = Batch(changed)
                    for column in range(batch.columns):
                        batch.column(column)
                except (ValueError, MemoryError):
                    pass

    def test_no_rows(self):
        self.assertEqual(Batch(Columns(0).symbol([]).pack()).symbol(0), [])


if __name__ == "__main__":
    unittest.main()
