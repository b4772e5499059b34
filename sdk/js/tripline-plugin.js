// For plugins of Tripline in JavaScript.
//
// A plugin is a class with one method, and one line that exports it:
//
//     import { Hit, exportDetector } from "./.tripline/sdk/js/tripline-plugin.js";
//
//     class TrailTampering {
//       detect(batch) {
//         const names = batch.symbol(0);
//         const hits = [];
//         for (let row = 0; row < batch.rows; row++) {
//           if (names[row] === "StopLogging") hits.push(new Hit(row, "high", "a trail was stopped"));
//         }
//         return hits;
//       }
//     }
//
//     export const { setup, detect } = exportDetector(TrailTampering);
//
// The names on the left are the interfaces of the contract and must stay as they are. What the host offers is imported
// by its full name, such as `import lookup from "tripline:plugin/lookup@1.0.0"`.
//
// It relies on nothing but the language: QuickJS has no TextDecoder, and so text is coded here. Columns are read as a
// whole, into arrays, since a call for each cell costs more than the cell.

const KINDS = [null, "bool", "int", "float", "text", "symbol", "json"];
const HEADER_BYTES = 16;
const COLUMN_BYTES = 32;
const MAGIC = 0x31425054;

/** An orderly failure. `kind` is one of the contract's, such as `invalid-input` or `unavailable`. */
export class Fault extends Error {
  constructor(kind, message, retryAfterMs) {
    super(message);
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}

/** A finding about a row. `more` may hold `score`, `dedupKey` and `evidence`, an object of what the plugin saw. */
export class Hit {
  constructor(row, severity, title, more = {}) {
    this.row = row;
    this.severity = severity;
    this.title = title;
    this.score = more.score ?? 1;
    this.dedupKey = more.dedupKey;
    this.evidence = more.evidence ?? {};
  }
}

/**
 * Events, a row each, of which only the fields are there that `reads` in `plugin.toml` names, in that order. Each column
 * is an array with a value, or `null`, for each row.
 */
export class Batch {
  #bytes;
  #words;
  #floats;

  constructor(bytes) {
    bytes = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
    // Typed arrays over the whole are several times quicker than a DataView, and have to begin at a multiple of 8.
    if (bytes.byteOffset % 8 !== 0) bytes = bytes.slice();
    const { buffer, byteOffset, byteLength } = bytes;
    this.#bytes = bytes;
    this.#words = new Uint32Array(buffer, byteOffset, byteLength >> 2);
    this.#floats = new Float64Array(buffer, byteOffset, byteLength >> 3);
    const [magic, length, rows, columns] = this.#words;
    if (byteLength < HEADER_BYTES || magic !== MAGIC || length !== byteLength) {
      throw new Fault("invalid-input", "the batch does not begin with `TPB1`, or is cut");
    }
    this.rows = rows;
    this.columns = columns;
    if (HEADER_BYTES + columns * COLUMN_BYTES > byteLength) {
      throw new Fault("invalid-input", "the columns reach beyond the batch");
    }
  }

  /** A column of `bool`. */
  bool(column) { return this.#column(column, "bool"); }
  /** A column of `int`: numbers, which are exact up to 2^53. */
  int(column) { return this.#column(column, "int"); }
  /** A column of `float`. */
  float(column) { return this.#column(column, "float"); }
  /** A column of `text`. */
  text(column) { return this.#column(column, "text"); }
  /** A column of `symbol`: texts that repeat. */
  symbol(column) { return this.#column(column, "symbol"); }
  /** A column of `json`: JSON texts. */
  json(column) { return this.#column(column, "json"); }
  /** A column of whatever kind it is. */
  column(column) { return this.#column(column, null); }

  #column(column, wanted) {
    if (!(column >= 0 && column < this.columns)) {
      throw new Fault("internal", `the batch has ${this.columns} columns and no column ${column}`);
    }
    const at = (HEADER_BYTES + column * COLUMN_BYTES) / 4;
    const head = this.#words.subarray(at, at + 8);
    const kind = KINDS[head[0]];
    if (kind == null || (wanted !== null && kind !== wanted)) {
      throw new Fault("internal", `column ${column} is ${kind} instead of ${wanted}`);
    }
    const values = this.#values(kind, head);
    const present = head[1];
    if (present !== 0) {
      this.#check(present, (this.rows + 7) >> 3);
      const bytes = this.#bytes;
      for (let row = 0; row < values.length; row++) {
        if (((bytes[present + (row >> 3)] >> (row & 7)) & 1) === 0) values[row] = null;
      }
    }
    return values;
  }

  #values(kind, head) {
    const rows = this.rows;
    const data = head[2];
    this.#check(data, rows * (kind === "bool" ? 1 : kind === "symbol" ? 4 : 8));
    const words = this.#words.subarray(data / 4);
    switch (kind) {
      case "bool":
        return Array.from(this.#bytes.subarray(data, data + rows), (byte) => byte !== 0);
      case "int":
        return Array.from({ length: rows }, (_, row) => (words[2 * row + 1] | 0) * 0x100000000 + words[2 * row]);
      case "float":
        return Array.from(this.#floats.subarray(data / 8, data / 8 + rows));
      case "symbol": {
        const names = this.#texts(head[5], head[6], head[3], head[4]);
        const values = new Array(rows);
        for (let row = 0; row < rows; row++) values[row] = names[words[row]] ?? null;
        return values;
      }
      default:
        return this.#texts(data, rows, head[3], head[4]);
    }
  }

  #texts(places, count, arena, length) {
    this.#check(places, count * 8);
    this.#check(arena, length);
    const words = this.#words.subarray(places / 4);
    const bytes = this.#bytes.subarray(arena, arena + length);
    // Texts that are all ASCII are decoded once for the column, and then only cut.
    const plain = asciiOf(bytes);
    const texts = new Array(count);
    for (let at = 0; at < count; at++) {
      const start = words[2 * at];
      const end = start + words[2 * at + 1];
      if (end > length) texts[at] = null;
      else texts[at] = plain !== null ? plain.substring(start, end) : decodeUtf8(bytes, start, end);
    }
    return texts;
  }

  #check(offset, length) {
    if (offset % 8 !== 0 || offset + length > this.#bytes.length) {
      throw new Fault("invalid-input", "a column reaches beyond the batch");
    }
  }
}

/** Columns of the same number of rows, in the order of `writes`. A value is `null` where there is none. */
export class Columns {
  #rows;
  #columns = [];

  constructor(rows) {
    this.#rows = rows;
  }

  /** One column of `bool` more. */
  bool(values) {
    return this.#numbers(1, values, 1, (view, at, value) => view.setUint8(at, value ? 1 : 0));
  }

  /** One column of `int` more. */
  int(values) {
    return this.#numbers(2, values, 8, (view, at, value) => view.setBigInt64(at, BigInt(value), true));
  }

  /** One column of `float` more. Numbers that are not finite are left out: rules could not compare them. */
  float(values) {
    const finite = values.map((value) => (Number.isFinite(value) ? value : null));
    return this.#numbers(3, finite, 8, (view, at, value) => view.setFloat64(at, value, true));
  }

  /** One column of `text` more. */
  text(values) { return this.#texts(4, values); }
  /** One column of `json` more: JSON texts. */
  json(values) { return this.#texts(6, values); }

  /** One column of `symbol` more: texts that repeat are stored once. */
  symbol(values) {
    const symbols = new Map();
    const names = [];
    const data = new Uint8Array(values.length * 4);
    const view = new DataView(data.buffer);
    values.forEach((value, row) => {
      if (value == null) return;
      let symbol = symbols.get(value);
      if (symbol === undefined) {
        symbol = names.length;
        symbols.set(value, symbol);
        names.push(value);
      }
      view.setUint32(row * 4, symbol, true);
    });
    const [places, arena] = arenaOf(names);
    return this.#push(5, values, data, arena, places);
  }

  /** The batch. */
  pack() {
    const heads = HEADER_BYTES + this.#columns.length * COLUMN_BYTES;
    let length = heads;
    for (const { buffers } of this.#columns) {
      for (const buffer of buffers) length += (buffer.length + 7) & ~7;
    }
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    [MAGIC, length, this.#rows, this.#columns.length].forEach((word, at) => view.setUint32(at * 4, word, true));
    let at = heads;
    this.#columns.forEach(({ kind, buffers }, number) => {
      const places = buffers.map((buffer) => {
        if (buffer.length === 0) return 0;
        const start = at;
        bytes.set(buffer, start);
        at += (buffer.length + 7) & ~7;
        return start;
      });
      const [, , arena, dictionary] = buffers;
      const head = [kind, places[0], places[1], places[2], arena.length, places[3], dictionary.length >> 3];
      head.forEach((word, field) => {
        view.setUint32(HEADER_BYTES + number * COLUMN_BYTES + field * 4, word, true);
      });
    });
    return bytes;
  }

  #numbers(kind, values, width, set) {
    const data = new Uint8Array(values.length * width);
    const view = new DataView(data.buffer);
    values.forEach((value, row) => {
      if (value != null) set(view, row * width, value);
    });
    return this.#push(kind, values, data, new Uint8Array(0), new Uint8Array(0));
  }

  #texts(kind, values) {
    const [places, arena] = arenaOf(values.map((value) => value ?? ""));
    return this.#push(kind, values, places, arena, new Uint8Array(0));
  }

  #push(kind, values, data, arena, dictionary) {
    if (values.length !== this.#rows) {
      throw new Fault("internal", `a column of ${values.length} rows among columns of ${this.#rows} rows`);
    }
    let present = new Uint8Array(0);
    if (values.some((value) => value == null)) {
      present = new Uint8Array((this.#rows + 7) >> 3);
      values.forEach((value, row) => {
        if (value != null) present[row >> 3] |= 1 << (row & 7);
      });
    }
    this.#columns.push({ kind, buffers: [present, data, arena, dictionary] });
    return this;
  }
}

function arenaOf(texts) {
  const parts = texts.map(encodeUtf8);
  const arena = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  const places = new Uint8Array(texts.length * 8);
  const view = new DataView(places.buffer);
  let at = 0;
  parts.forEach((part, number) => {
    view.setUint32(number * 8, at, true);
    view.setUint32(number * 8 + 4, part.length, true);
    arena.set(part, at);
    at += part.length;
  });
  return [places, arena];
}

/** Text of ASCII, or `null` when it is more than that. */
function asciiOf(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 4096));
  }
  return /[^\0-\x7f]/.test(text) ? null : text;
}

// Units of text, collected: a text that grows by a character at a time is the slowest thing that this engine does.
const UNITS = new Uint16Array(4096);

/** Text of UTF-8; what is none becomes U+FFFD. */
export function decodeUtf8(bytes, start = 0, end = bytes.length) {
  let text = "";
  let count = 0;
  for (let at = start; at < end; ) {
    if (count > 4094) {
      text += String.fromCharCode.apply(null, UNITS.subarray(0, count));
      count = 0;
    }
    const first = bytes[at];
    if (first < 0x80) {
      UNITS[count++] = first;
      at++;
      continue;
    }
    let length = 1;
    let point = -1;
    let least = 0;
    if (first >= 0xc2 && first < 0xe0) {
      length = 2;
      least = 0x80;
      point = first & 0x1f;
    } else if (first >= 0xe0 && first < 0xf0) {
      length = 3;
      least = 0x800;
      point = first & 0x0f;
    } else if (first >= 0xf0 && first < 0xf5) {
      length = 4;
      least = 0x10000;
      point = first & 0x07;
    }
    for (let next = 1; next < length && point >= 0; next++) {
      const byte = at + next < end ? bytes[at + next] : 0;
      point = (byte & 0xc0) === 0x80 ? (point << 6) | (byte & 0x3f) : -1;
    }
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
      UNITS[count++] = 0xfffd;
      at += 1;
    } else if (point < 0x10000) {
      UNITS[count++] = point;
      at += length;
    } else {
      UNITS[count++] = 0xd800 + ((point - 0x10000) >> 10);
      UNITS[count++] = 0xdc00 + ((point - 0x10000) & 0x3ff);
      at += length;
    }
  }
  return text + String.fromCharCode.apply(null, UNITS.subarray(0, count));
}

/** UTF-8 of text; half a surrogate pair becomes U+FFFD. */
export function encodeUtf8(text) {
  // A unit takes at most three bytes, and two that are a pair take four.
  const bytes = new Uint8Array(text.length * 3);
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    let point = text.charCodeAt(at);
    if (point < 0x80) {
      bytes[count++] = point;
      continue;
    }
    if (point >= 0xd800 && point < 0xe000) {
      const next = at + 1 < text.length ? text.charCodeAt(at + 1) : 0;
      if (point < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
        point = 0x10000 + ((point - 0xd800) << 10) + (next - 0xdc00);
        at++;
      } else {
        point = 0xfffd;
      }
    }
    if (point < 0x800) {
      bytes[count++] = 0xc0 | (point >> 6);
    } else {
      if (point < 0x10000) {
        bytes[count++] = 0xe0 | (point >> 12);
      } else {
        bytes[count++] = 0xf0 | (point >> 18);
        bytes[count++] = 0x80 | ((point >> 12) & 0x3f);
      }
      bytes[count++] = 0x80 | ((point >> 6) & 0x3f);
    }
    bytes[count++] = 0x80 | (point & 0x3f);
  }
  return bytes.slice(0, count);
}

/** `{ setup, enrich }` of a class with a method `enrich(batch)` that gives `Columns`. */
export function exportEnricher(Plugin) {
  const plugin = new Plugin();
  const enrich = (bytes) => guarded(() => plugin.enrich(new Batch(bytes)).pack());
  return { setup: setupOf(plugin), enrich: { enrich } };
}

/** `{ setup, detect }` of a class with a method `detect(batch)` that gives `Hit`s, at most one a row, ordered by row. */
export function exportDetector(Plugin) {
  const plugin = new Plugin();
  const evaluate = (bytes) => guarded(() => plugin.detect(new Batch(bytes)).map(hitOf));
  return { setup: setupOf(plugin), detect: { evaluate } };
}

/** `{ setup, score }` of a class with a method `score(batch)` that gives a number a row; `null` is no opinion. */
export function exportScorer(Plugin) {
  const plugin = new Plugin();
  const score = (bytes) => guarded(() => plugin.score(new Batch(bytes)).map((score) => score ?? NaN));
  return { setup: setupOf(plugin), score: { score } };
}

function setupOf(plugin) {
  return { configure: (config) => guarded(() => void plugin.configure?.(config)) };
}

// Mistakes of JavaScript become faults too, so that one bad batch costs one batch and not the instance.
function guarded(call) {
  try {
    return call();
  } catch (mistake) {
    if (mistake instanceof Fault) throw faultOf(mistake.kind, mistake.message, mistake.retryAfterMs);
    if (mistake !== null && typeof mistake === "object" && "payload" in mistake) throw mistake;
    throw faultOf("internal", String(mistake), undefined);
  }
}

function faultOf(kind, message, retryAfterMs) {
  return { kind, message, retryAfterMs: retryAfterMs ?? null };
}

function hitOf(hit) {
  const evidence = Object.entries(hit.evidence).filter(([, value]) => value != null);
  const finding = {
    severity: hit.severity,
    score: hit.score,
    title: hit.title,
    dedupKey: hit.dedupKey ?? null,
    evidence: evidence.map(([name, value]) => [name, valueOf(value)]),
    extra: [],
  };
  return { row: hit.row, finding };
}

function valueOf(value) {
  switch (typeof value) {
    case "boolean": return { tag: "boolean", val: value };
    case "number": return Number.isSafeInteger(value) ? { tag: "int", val: value } : { tag: "float", val: value };
    default: return { tag: "text", val: String(value) };
  }
}
