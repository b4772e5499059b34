// The rule of the measurements in JavaScript. `benches/plugins/rule.rs` is the same for the host.

import { Hit, exportDetector } from "./.tripline/sdk/js/tripline-plugin.js";

const ACTIONS = new Set([
  "AttachUserPolicy",
  "AttachRolePolicy",
  "CreateAccessKey",
  "CreateLoginProfile",
  "DeleteTrail",
  "PutUserPolicy",
  "StopLogging",
  "UpdateAssumeRolePolicy",
]);

class Sensitive {
  detect(batch) {
    const names = batch.symbol(0);
    const codes = batch.symbol(1);
    const used = batch.bool(2);
    const addresses = batch.text(3);
    const policies = batch.text(4);
    const hits = [];
    for (let row = 0; row < batch.rows; row++) {
      if (!ACTIONS.has(names[row]) || codes[row] != null || used[row] !== false) continue;
      const isOutside = !addresses[row]?.startsWith("10.");
      if (!isOutside && !policies[row]?.endsWith("/AdministratorAccess")) continue;
      hits.push(new Hit(row, "high", "sensitive action"));
    }
    return hits;
  }
}

export const { setup, detect } = exportDetector(Sensitive);
