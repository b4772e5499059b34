/* {{description}} */

#include "bindings/detector.h"
#include "tripline.h"

/* `reads` in plugin.toml, in the same order. */
enum { EVENT_NAME, SOURCE_ADDRESS, ARN };

/* The setting `names`, as its JSON. */
static detector_string_t names;

static bool fail(tripline_plugin_types_fault_t *fault, uint8_t kind, const char *message) {
  fault->kind = kind;
  detector_string_dup(&fault->message, message);
  fault->retry_after_ms.is_some = false;
  return false;
}

/* Whether the settings hold a text, in quotes. Names of calls have nothing that JSON escapes. */
static bool is_named(tp_text name) {
  for (size_t at = 0; at + name.len + 2 <= names.len; at++) {
    const uint8_t *found = names.ptr + at;
    if (found[0] == '"' && found[name.len + 1] == '"' && memcmp(found + 1, name.ptr, name.len) == 0) return true;
  }
  return false;
}

static void copy(detector_string_t *to, tp_text text) { detector_string_dup_n(to, text.ptr, text.len); }

bool exports_tripline_plugin_setup_configure(detector_string_t *config, exports_tripline_plugin_setup_fault_t *err) {
  (void)err;
  detector_string_free(&names);
  /* Only the list counts, and not the name of the setting. */
  size_t start = 0;
  while (start < config->len && config->ptr[start] != '[') start++;
  detector_string_dup_n(&names, (const char *)config->ptr + start, config->len - start);
  detector_string_free(config);
  return true;
}

bool exports_tripline_plugin_detect_evaluate(detector_list_u8_t *bytes, exports_tripline_plugin_detect_list_hit_t *ret,
                                             exports_tripline_plugin_detect_fault_t *err) {
  tp_batch batch;
  tp_column name, source, arn;
  if (!tp_open(&batch, bytes->ptr, bytes->len) || !tp_open_column(&batch, EVENT_NAME, TP_SYMBOL, &name) ||
      !tp_open_column(&batch, SOURCE_ADDRESS, TP_TEXT, &source) || !tp_open_column(&batch, ARN, TP_TEXT, &arn)) {
    detector_list_u8_free(bytes);
    return fail(err, TRIPLINE_PLUGIN_TYPES_FAULT_KIND_INTERNAL, "the batch is not of the form of `reads`");
  }
  /* Once for each of the different names, not once for each row. */
  bool *is_found = calloc(name.entries + 1, 1);
  exports_tripline_plugin_detect_hit_t *hits = calloc(batch.rows + 1, sizeof *hits);
  if (!is_found || !hits) {
    free(is_found);
    free(hits);
    detector_list_u8_free(bytes);
    return fail(err, TRIPLINE_PLUGIN_TYPES_FAULT_KIND_LIMIT, "no memory for the hits");
  }
  for (uint32_t symbol = 0; symbol < name.entries; symbol++) {
    tp_text text = tp_symbol_text(&name, symbol);
    is_found[symbol] = text.ptr && is_named(text);
  }
  size_t count = 0;
  for (uint32_t row = 0; row < batch.rows; row++) {
    uint32_t symbol = tp_symbol(&name, row);
    if (symbol == UINT32_MAX || !is_found[symbol]) continue;
    exports_tripline_plugin_detect_hit_t *hit = &hits[count++];
    tripline_plugin_types_finding_t *finding = &hit->finding;
    hit->row = row;
    finding->severity = TRIPLINE_PLUGIN_TYPES_SEVERITY_HIGH;
    finding->score = 1;
    detector_string_dup(&finding->title, "a call was made that is looked for");
    tp_text text = tp_get_text(&arn, row);
    if ((finding->dedup_key.is_some = text.ptr != NULL)) copy(&finding->dedup_key.val, text);
    text = tp_get_text(&source, row);
    if (!text.ptr || !(finding->evidence.ptr = calloc(1, sizeof *finding->evidence.ptr))) continue;
    finding->evidence.len = 1;
    detector_string_dup(&finding->evidence.ptr->f0, "address");
    finding->evidence.ptr->f1.tag = TRIPLINE_PLUGIN_TYPES_VALUE_TEXT;
    copy(&finding->evidence.ptr->f1.val.text, text);
  }
  free(is_found);
  detector_list_u8_free(bytes);
  ret->ptr = hits;
  ret->len = count;
  return true;
}
