// {{description}}
package main

import (
	"net/netip"
	"strings"

	tripline "github.com/tripline/tripline/sdk/go"
	"github.com/tripline/tripline/sdk/go/enricher"
)

type plugin struct{}

func init() { enricher.Export(plugin{}) }

func main() {}

func (plugin) Configure([]byte) error { return nil }

func (plugin) Enrich(batch tripline.Batch) ([]*tripline.Writer, error) {
	// `reads` in plugin.toml, in the same order.
	reads, err := batch.Columns(tripline.Text, tripline.Symbol)
	if err != nil {
		return nil, err
	}
	address, agent := &reads[0], &reads[1]
	// `writes` in plugin.toml, in the same order.
	isPrivate := tripline.Write(tripline.Bool, batch.Rows())
	program := tripline.Write(tripline.Symbol, batch.Rows())
	for row := range batch.Rows() {
		if text, ok := address.Text(row); ok {
			if address, err := netip.ParseAddr(text); err == nil {
				isPrivate.Bool(row, address.IsPrivate() || address.IsLoopback())
			}
		}
		if text, ok := agent.Text(row); ok {
			if end := strings.IndexAny(text, " /"); end >= 0 {
				text = text[:end]
			}
			if text != "" {
				program.Text(row, text)
			}
		}
	}
	return []*tripline.Writer{isPrivate, program}, nil
}
