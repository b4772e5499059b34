// {{description}}

import { Columns, exportEnricher } from "./.tripline/sdk/js/tripline-plugin.js";

class Plugin {
  enrich(batch) {
    // `reads` in plugin.toml, in the same order.
    const addresses = batch.text(0);
    const agents = batch.symbol(1);
    // `writes` in plugin.toml, in the same order.
    return new Columns(batch.rows).bool(addresses.map(isPrivate)).symbol(agents.map(program));
  }
}

// Whether an address belongs to a private network; null when it is no address.
function isPrivate(address) {
  if (address === null) return null;
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address)?.slice(1).map(Number);
  if (parts === undefined) return address.includes(":") ? /^(f[cd]|::1$)/i.test(address) : null;
  if (parts.some((part) => part > 255)) return null;
  const [first, second] = parts;
  return first === 10 || first === 127 || (first === 192 && second === 168) || (first === 172 && second >> 4 === 1);
}

// The first program of a user agent, without its version.
function program(agent) {
  return agent === null ? null : agent.split(/[ /]/, 1)[0] || null;
}

export const { setup, enrich } = exportEnricher(Plugin);
