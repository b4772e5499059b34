// What is written is read; what lies is refused. Run with `npm test` in the folder above.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Batch, Columns, Fault, decodeUtf8, encodeUtf8 } from "../tripline-plugin.js";

function packed() {
  const each = (value) => Array.from({ length: 11 }, (_, row) => (row % 4 === 3 ? null : value(row)));
  return new Columns(11)
    .bool(each((row) => row % 2 === 0))
    .int(each((row) => -row))
    .float(each((row) => row / 2))
    .text(each((row) => "ä".repeat(row)))
    .symbol(each((row) => ["put", "get", "get"][row % 3]))
    .json(each(() => '{"a":1}'))
    .pack();
}

test("what is written is read", () => {
  const batch = new Batch(packed());
  const columns = [batch.bool(0), batch.int(1), batch.float(2), batch.text(3), batch.symbol(4), batch.json(5)];
  assert.deepEqual(columns.map((column) => column[2]), [true, -2, 1, "ää", "get", '{"a":1}']);
  assert.deepEqual(columns.map((column) => column[7]), [null, null, null, null, null, null]);
});

test("another kind is refused", () => {
  assert.throws(() => new Batch(packed()).text(0), /column 0 is bool instead of text/);
  assert.throws(() => new Batch(packed()).text(6), /no column 6/);
});

test("no byte makes reading fail otherwise", () => {
  const sound = packed();
  for (let at = 0; at < sound.length; at++) {
    for (const value of [0, 1, 0x7f, 0xff]) {
      const changed = sound.slice();
      changed[at] = value;
      try {
        const batch = new Batch(changed);
        for (let column = 0; column < batch.columns; column++) batch.column(column);
      } catch (fault) {
        assert.ok(fault instanceof Fault || fault instanceof RangeError, String(fault));
      }
    }
  }
});

test("text is coded as the platform does it", () => {
  const utf8 = new TextDecoder();
  for (const text of ["", "plain", "äöü€", "😀 and 漢字", "x".repeat(10000)]) {
    assert.deepEqual(encodeUtf8(text), new TextEncoder().encode(text));
    assert.equal(decodeUtf8(encodeUtf8(text)), text);
  }
  // Long ones are put together of several parts, whose bounds are in no character.
  for (const text of ["é", "\u{1f469}", "a\u{1f469}", "ẞb"]) {
    for (const length of [4093, 4094, 4095, 4096, 4097, 10000]) {
      const long = text.repeat(length);
      assert.equal(decodeUtf8(new TextEncoder().encode(long)), long);
    }
  }
  assert.equal(decodeUtf8(Uint8Array.of(0x61, 0xff, 0x62)), utf8.decode(Uint8Array.of(0x61, 0xff, 0x62)));
  assert.equal(decodeUtf8(Uint8Array.of(0xc0, 0xaf)), utf8.decode(Uint8Array.of(0xc0, 0xaf)));
});
