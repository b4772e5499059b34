// {{description}}

import { Fault, Hit, exportDetector } from "./.tripline/sdk/js/tripline-plugin.js";

class Plugin {
  names = new Set();

  configure(config) {
    const { names } = JSON.parse(config);
    if (!Array.isArray(names)) throw new Fault("invalid-config", "`names` is no list");
    this.names = new Set(names);
  }

  detect(batch) {
    // `reads` in plugin.toml, in the same order.
    const names = batch.symbol(0);
    const addresses = batch.text(1);
    const arns = batch.text(2);
    const hits = [];
    for (let row = 0; row < batch.rows; row++) {
      if (!this.names.has(names[row])) continue;
      const more = { dedupKey: arns[row], evidence: { address: addresses[row] } };
      hits.push(new Hit(row, "high", `${names[row]} was called`, more));
    }
    return hits;
  }
}

export const { setup, detect } = exportDetector(Plugin);
