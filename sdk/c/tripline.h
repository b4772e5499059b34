/* Packed batches for plugins of Tripline in C: how events cross, and how columns go back.
 *
 * The form is in wit/README.md. Reading copies nothing and checks every offset against the batch; texts are not ended by
 * a zero byte, so they come with their length. Writing uses malloc; a column that cannot be had leaves its rows without
 * values. Everything is static, so that this file is all there is.
 */
#ifndef TRIPLINE_H
#define TRIPLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum tp_kind { TP_BOOL = 1, TP_INT = 2, TP_FLOAT = 3, TP_TEXT = 4, TP_SYMBOL = 5, TP_JSON = 6 };

/* Bytes that are UTF-8. `ptr` is NULL where a row has no value. */
typedef struct {
  const char *ptr;
  uint32_t len;
} tp_text;

typedef struct {
  const uint8_t *bytes;
  uint32_t length, rows, columns;
} tp_batch;

typedef struct {
  const uint8_t *present, *data, *arena, *dictionary;
  uint32_t rows, arena_length, entries;
  enum tp_kind kind;
} tp_column;

static inline uint32_t tp_word(const uint8_t *at) {
  uint32_t word;
  memcpy(&word, at, 4);
  return word;
}

static inline bool tp_reaches(const tp_batch *batch, uint32_t offset, uint64_t length) {
  return offset + length <= batch->length;
}

/* Opens a batch. False when the bytes are none. */
static inline bool tp_open(tp_batch *batch, const uint8_t *bytes, size_t length) {
  if (length < 16 || length > UINT32_MAX || memcmp(bytes, "TPB1", 4) != 0 || tp_word(bytes + 4) != length) return false;
  batch->bytes = bytes;
  batch->length = (uint32_t)length;
  batch->rows = tp_word(bytes + 8);
  batch->columns = tp_word(bytes + 12);
  return 16 + 32 * (uint64_t)batch->columns <= length;
}

/* Opens a column, by its number in `reads`. False when it is not there or of another kind. */
static inline bool tp_open_column(const tp_batch *batch, uint32_t number, enum tp_kind kind, tp_column *column) {
  if (number >= batch->columns) return false;
  const uint8_t *head = batch->bytes + 16 + 32 * number;
  uint32_t present = tp_word(head + 4), data = tp_word(head + 8), arena = tp_word(head + 12);
  uint32_t dictionary = tp_word(head + 20);
  uint64_t rows = batch->rows, width = kind == TP_BOOL ? 1 : kind == TP_SYMBOL ? 4 : 8;
  if (tp_word(head) != (uint32_t)kind) return false;
  column->kind = kind;
  column->rows = batch->rows;
  column->arena_length = tp_word(head + 16);
  column->entries = kind == TP_SYMBOL ? tp_word(head + 24) : 0;
  if (present && !tp_reaches(batch, present, (rows + 7) / 8)) return false;
  if (!tp_reaches(batch, data, rows * width) || !tp_reaches(batch, arena, column->arena_length)) return false;
  if (!tp_reaches(batch, dictionary, 8 * (uint64_t)column->entries)) return false;
  column->present = present ? batch->bytes + present : NULL;
  column->data = batch->bytes + data;
  column->arena = batch->bytes + arena;
  column->dictionary = batch->bytes + dictionary;
  return true;
}

/* Whether a row has a value. */
static inline bool tp_has(const tp_column *column, uint32_t row) {
  return row < column->rows && (!column->present || (column->present[row / 8] >> (row % 8) & 1));
}

static inline tp_text tp_text_at(const tp_column *column, const uint8_t *place) {
  uint32_t offset = tp_word(place), length = tp_word(place + 4);
  tp_text text = {NULL, 0};
  if ((uint64_t)offset + length > column->arena_length) return text;
  text.ptr = (const char *)column->arena + offset;
  text.len = length;
  return text;
}

/* The number of a row's symbol: equal if and only if the texts are. UINT32_MAX when there is no value. */
static inline uint32_t tp_symbol(const tp_column *column, uint32_t row) {
  uint32_t symbol = tp_has(column, row) ? tp_word(column->data + 4 * row) : UINT32_MAX;
  return symbol < column->entries ? symbol : UINT32_MAX;
}

/* The text of a symbol. */
static inline tp_text tp_symbol_text(const tp_column *column, uint32_t symbol) {
  tp_text none = {NULL, 0};
  return symbol < column->entries ? tp_text_at(column, column->dictionary + 8 * symbol) : none;
}

/* The text of a row of a column of `text`, `symbol` or `json`. */
static inline tp_text tp_get_text(const tp_column *column, uint32_t row) {
  tp_text none = {NULL, 0};
  if (column->kind == TP_SYMBOL) return tp_symbol_text(column, tp_symbol(column, row));
  return tp_has(column, row) ? tp_text_at(column, column->data + 8 * row) : none;
}

/* The values below are to be asked for only where `tp_has` is true. */
static inline bool tp_get_bool(const tp_column *column, uint32_t row) { return column->data[row] != 0; }

static inline int64_t tp_get_int(const tp_column *column, uint32_t row) {
  int64_t value;
  memcpy(&value, column->data + 8 * row, 8);
  return value;
}

static inline double tp_get_float(const tp_column *column, uint32_t row) {
  double value;
  memcpy(&value, column->data + 8 * row, 8);
  return value;
}

/* Whether a text is exactly this. */
static inline bool tp_is(tp_text text, const char *word) {
  return text.ptr && strlen(word) == text.len && memcmp(text.ptr, word, text.len) == 0;
}

/* A column that is being written. All rows are without a value at first. */
typedef struct {
  enum tp_kind kind;
  uint32_t rows, values, arena_length, arena_room, entries, entries_room;
  uint8_t *present, *data, *arena, *dictionary;
} tp_writer;

static inline void tp_write(tp_writer *writer, enum tp_kind kind, uint32_t rows) {
  uint32_t width = kind == TP_BOOL ? 1 : kind == TP_SYMBOL ? 4 : 8;
  memset(writer, 0, sizeof *writer);
  writer->kind = kind;
  writer->rows = rows;
  writer->present = calloc(rows / 8 + 1, 1);
  writer->data = calloc(rows + 1, width);
}

static inline void tp_write_value(tp_writer *writer, uint32_t row, const void *value, size_t width) {
  if (row >= writer->rows || !writer->present || !writer->data) return;
  if (!(writer->present[row / 8] >> (row % 8) & 1)) writer->values++;
  writer->present[row / 8] |= (uint8_t)(1 << (row % 8));
  memcpy(writer->data + width * row, value, width);
}

static inline void tp_set_bool(tp_writer *writer, uint32_t row, bool value) {
  uint8_t byte = value;
  tp_write_value(writer, row, &byte, 1);
}

static inline void tp_set_int(tp_writer *writer, uint32_t row, int64_t value) { tp_write_value(writer, row, &value, 8); }

static inline void tp_set_float(tp_writer *writer, uint32_t row, double value) { tp_write_value(writer, row, &value, 8); }

static inline uint8_t *tp_room(uint8_t *bytes, uint32_t used, uint32_t more, uint32_t *room) {
  if (bytes && more <= *room - used) return bytes;
  uint64_t wanted = 2 * ((uint64_t)used + more) + 64;
  uint8_t *grown = wanted > UINT32_MAX / 2 ? NULL : realloc(bytes, wanted);
  if (grown) *room = (uint32_t)wanted;
  return grown;
}

/* Sets a row of a column of `text`, `symbol` or `json`. */
static inline void tp_set_text(tp_writer *writer, uint32_t row, tp_text text) {
  if (!text.ptr) return;
  if (writer->kind == TP_SYMBOL) {
    /* Batches are small and symbols few: looking through them is quicker than hashing. */
    for (uint32_t symbol = 0; symbol < writer->entries; symbol++) {
      const uint8_t *place = writer->dictionary + 8 * symbol;
      if (tp_word(place + 4) == text.len && memcmp(writer->arena + tp_word(place), text.ptr, text.len) == 0) {
        tp_write_value(writer, row, &symbol, 4);
        return;
      }
    }
  }
  uint8_t *arena = tp_room(writer->arena, writer->arena_length, text.len, &writer->arena_room);
  if (!arena) return;
  writer->arena = arena;
  uint32_t place[2] = {writer->arena_length, text.len};
  memcpy(arena + writer->arena_length, text.ptr, text.len);
  writer->arena_length += text.len;
  if (writer->kind != TP_SYMBOL) {
    tp_write_value(writer, row, place, 8);
    return;
  }
  uint8_t *dictionary = tp_room(writer->dictionary, 8 * writer->entries, 8, &writer->entries_room);
  if (!dictionary) return;
  writer->dictionary = dictionary;
  memcpy(dictionary + 8 * writer->entries, place, 8);
  tp_write_value(writer, row, &writer->entries, 4);
  writer->entries++;
}

static inline uint32_t tp_append(uint8_t *bytes, uint32_t *at, const uint8_t *buffer, uint32_t length) {
  if (!length || !buffer) return 0;
  uint32_t start = *at;
  memcpy(bytes + start, buffer, length);
  *at += (length + 7) & ~7u;
  return start;
}

/* The batch of the columns, which are freed; NULL when there is no memory for it. The caller frees it. */
static inline uint8_t *tp_pack(tp_writer *writers, uint32_t columns, uint32_t rows, size_t *length) {
  uint64_t total = 16 + 32 * (uint64_t)columns;
  for (uint32_t number = 0; number < columns; number++) {
    const tp_writer *writer = &writers[number];
    total += rows / 8 + 8ull * rows + writer->arena_length + 8ull * writer->entries + 40;
  }
  uint8_t *bytes = total > UINT32_MAX / 2 ? NULL : calloc(total, 1);
  uint32_t at = 16 + 32 * columns;
  for (uint32_t number = 0; number < columns; number++) {
    tp_writer *writer = &writers[number];
    uint32_t width = writer->kind == TP_BOOL ? 1 : writer->kind == TP_SYMBOL ? 4 : 8;
    bool is_full = writer->values == rows;
    if (bytes) {
      uint32_t head[8] = {(uint32_t)writer->kind};
      head[1] = tp_append(bytes, &at, writer->present, is_full ? 0 : (rows + 7) / 8);
      head[2] = tp_append(bytes, &at, writer->data, rows * width);
      head[3] = tp_append(bytes, &at, writer->arena, writer->arena_length);
      head[4] = writer->arena_length;
      head[5] = tp_append(bytes, &at, writer->dictionary, 8 * writer->entries);
      head[6] = writer->entries;
      memcpy(bytes + 16 + 32 * number, head, 32);
    }
    free(writer->present);
    free(writer->data);
    free(writer->arena);
    free(writer->dictionary);
  }
  if (!bytes) return NULL;
  uint32_t head[3] = {at, rows, columns};
  memcpy(bytes, "TPB1", 4);
  memcpy(bytes + 4, head, 12);
  *length = at;
  return bytes;
}

#endif
