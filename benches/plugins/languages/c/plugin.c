/* The rule of the measurements in C. `benches/plugins/rule.rs` is the same for the host. */

#include "bindings/detector.h"
#include "tripline.h"

enum { EVENT_NAME, ERROR_CODE, MFA, ADDRESS, POLICY, COLUMNS };

static const char *const ACTIONS[] = {
    "AttachUserPolicy", "AttachRolePolicy", "CreateAccessKey", "CreateLoginProfile",
    "DeleteTrail",      "PutUserPolicy",    "StopLogging",     "UpdateAssumeRolePolicy",
};

static const char OUTSIDE_NOT[] = "10.";
static const char ADMIN[] = "/AdministratorAccess";

static bool is_sensitive(tp_text name) {
  for (size_t at = 0; at < sizeof ACTIONS / sizeof *ACTIONS; at++) {
    if (tp_is(name, ACTIONS[at])) return true;
  }
  return false;
}

static bool begins_with(tp_text text, const char *begin, uint32_t length) {
  return text.ptr && text.len >= length && memcmp(text.ptr, begin, length) == 0;
}

static bool ends_with(tp_text text, const char *end, uint32_t length) {
  return text.ptr && text.len >= length && memcmp(text.ptr + text.len - length, end, length) == 0;
}

static bool fail(tripline_plugin_types_fault_t *fault, uint8_t kind, const char *message) {
  fault->kind = kind;
  detector_string_dup(&fault->message, message);
  fault->retry_after_ms.is_some = false;
  return false;
}

bool exports_tripline_plugin_setup_configure(detector_string_t *config, exports_tripline_plugin_setup_fault_t *err) {
  (void)err;
  detector_string_free(config);
  return true;
}

bool exports_tripline_plugin_detect_evaluate(detector_list_u8_t *bytes, exports_tripline_plugin_detect_list_hit_t *ret,
                                             exports_tripline_plugin_detect_fault_t *err) {
  static const enum tp_kind KINDS[COLUMNS] = {TP_SYMBOL, TP_SYMBOL, TP_BOOL, TP_TEXT, TP_TEXT};
  tp_batch batch;
  tp_column reads[COLUMNS];
  bool is_sound = tp_open(&batch, bytes->ptr, bytes->len);
  for (uint32_t number = 0; is_sound && number < COLUMNS; number++) {
    is_sound = tp_open_column(&batch, number, KINDS[number], &reads[number]);
  }
  if (!is_sound) {
    return fail(err, TRIPLINE_PLUGIN_TYPES_FAULT_KIND_INTERNAL, "the batch is not of the form of `reads`");
  }
  /* Once for each of the different names, not once for each row. */
  const tp_column *names = &reads[EVENT_NAME];
  bool *is_found = calloc(names->entries + 1, 1);
  size_t count = 0, room = 0;
  exports_tripline_plugin_detect_hit_t *hits = NULL;
  if (!is_found) return fail(err, TRIPLINE_PLUGIN_TYPES_FAULT_KIND_LIMIT, "no memory for the names");
  for (uint32_t symbol = 0; symbol < names->entries; symbol++) {
    is_found[symbol] = is_sensitive(tp_symbol_text(names, symbol));
  }
  for (uint32_t row = 0; row < batch.rows; row++) {
    uint32_t symbol = tp_symbol(names, row);
    if (symbol == UINT32_MAX || !is_found[symbol] || tp_has(&reads[ERROR_CODE], row)) continue;
    if (!tp_has(&reads[MFA], row) || tp_get_bool(&reads[MFA], row)) continue;
    bool is_outside = !begins_with(tp_get_text(&reads[ADDRESS], row), OUTSIDE_NOT, sizeof OUTSIDE_NOT - 1);
    if (!is_outside && !ends_with(tp_get_text(&reads[POLICY], row), ADMIN, sizeof ADMIN - 1)) continue;
    if (count == room) {
      room = room ? 2 * room : 16;
      exports_tripline_plugin_detect_hit_t *grown = realloc(hits, room * sizeof *hits);
      if (!grown) return fail(err, TRIPLINE_PLUGIN_TYPES_FAULT_KIND_LIMIT, "no memory for the hits");
      hits = grown;
    }
    exports_tripline_plugin_detect_hit_t *hit = &hits[count++];
    memset(hit, 0, sizeof *hit);
    hit->row = row;
    hit->finding.severity = TRIPLINE_PLUGIN_TYPES_SEVERITY_HIGH;
    hit->finding.score = 1;
    detector_string_dup(&hit->finding.title, "sensitive action");
  }
  free(is_found);
  detector_list_u8_free(bytes);
  ret->ptr = hits;
  ret->len = count;
  return true;
}
