"""{{description}}"""

import ipaddress

from tripline_plugin import Columns, Enricher, export_enricher


class Plugin(Enricher):
    def enrich(self, batch):
        # `reads` in plugin.toml, in the same order.
        addresses, agents = batch.text(0), batch.symbol(1)
        # `writes` in plugin.toml, in the same order.
        columns = Columns(len(batch))
        columns.bool(is_private(address) for address in addresses)
        columns.symbol(program(agent) for agent in agents)
        return columns


def is_private(address):
    """Whether an address belongs to a private network; None when it is no address."""
    if address is None:
        return None
    try:
        address = ipaddress.ip_address(address)
    except ValueError:
        return None
    return any(address in network for network in PRIVATE)


PRIVATE = [
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128")
]


def program(agent):
    """The first program of a user agent, without its version."""
    return agent.split(" ")[0].split("/")[0] or None if agent else None


Setup, Enrich = export_enricher(Plugin)
