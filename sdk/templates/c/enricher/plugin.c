/* {{description}} */

#include "bindings/enricher.h"
#include "tripline.h"

/* `reads` and `writes` in plugin.toml, in the same order. */
enum { SOURCE_ADDRESS, USER_AGENT };
enum { IS_PRIVATE, PROGRAM, WRITES };

static bool fail(tripline_plugin_types_fault_t *fault, uint8_t kind, const char *message) {
  fault->kind = kind;
  enricher_string_dup(&fault->message, message);
  fault->retry_after_ms.is_some = false;
  return false;
}

/* 1 for an address of a private network, 0 for another, -1 for what is no address. */
static int is_private(tp_text text) {
  uint32_t parts[4] = {0}, part = 0, digits = 0;
  for (uint32_t at = 0; at < text.len; at++) {
    char byte = text.ptr[at];
    if (byte == '.' && digits && part < 3) {
      part++;
      digits = 0;
    } else if (byte >= '0' && byte <= '9' && digits < 3) {
      parts[part] = parts[part] * 10 + (uint32_t)(byte - '0');
      digits++;
      if (parts[part] > 255) return -1;
    } else {
      return -1;
    }
  }
  if (part != 3 || !digits) return -1;
  return parts[0] == 10 || parts[0] == 127 || (parts[0] == 192 && parts[1] == 168) ||
         (parts[0] == 172 && parts[1] >> 4 == 1);
}

/* The first program of a user agent, without its version. */
static tp_text program(tp_text agent) {
  uint32_t length = 0;
  while (length < agent.len && agent.ptr[length] != ' ' && agent.ptr[length] != '/') length++;
  agent.len = length;
  if (!length) agent.ptr = NULL;
  return agent;
}

bool exports_tripline_plugin_setup_configure(enricher_string_t *config, exports_tripline_plugin_setup_fault_t *err) {
  (void)err;
  enricher_string_free(config);
  return true;
}

bool exports_tripline_plugin_enrich_enrich(enricher_list_u8_t *bytes, enricher_list_u8_t *ret,
                                           exports_tripline_plugin_enrich_fault_t *err) {
  tp_batch batch;
  tp_column source, agent;
  if (!tp_open(&batch, bytes->ptr, bytes->len) || !tp_open_column(&batch, SOURCE_ADDRESS, TP_TEXT, &source) ||
      !tp_open_column(&batch, USER_AGENT, TP_SYMBOL, &agent)) {
    enricher_list_u8_free(bytes);
    return fail(err, TRIPLINE_PLUGIN_TYPES_FAULT_KIND_INTERNAL, "the batch is not of the form of `reads`");
  }
  tp_writer writers[WRITES];
  tp_write(&writers[IS_PRIVATE], TP_BOOL, batch.rows);
  tp_write(&writers[PROGRAM], TP_SYMBOL, batch.rows);
  for (uint32_t row = 0; row < batch.rows; row++) {
    int private_ = is_private(tp_get_text(&source, row));
    if (private_ >= 0) tp_set_bool(&writers[IS_PRIVATE], row, private_);
    tp_set_text(&writers[PROGRAM], row, program(tp_get_text(&agent, row)));
  }
  ret->ptr = tp_pack(writers, WRITES, batch.rows, &ret->len);
  enricher_list_u8_free(bytes);
  return ret->ptr || fail(err, TRIPLINE_PLUGIN_TYPES_FAULT_KIND_LIMIT, "no memory for the columns");
}
