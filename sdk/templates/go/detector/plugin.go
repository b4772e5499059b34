// {{description}}
package main

import (
	"encoding/json"

	tripline "github.com/tripline/tripline/sdk/go"
	"github.com/tripline/tripline/sdk/go/detector"
)

type plugin struct {
	names map[string]bool
}

func init() { detector.Export(&plugin{}) }

func main() {}

func (plugin *plugin) Configure(config []byte) error {
	var settings struct {
		Names []string `json:"names"`
	}
	if err := json.Unmarshal(config, &settings); err != nil {
		return tripline.Fail(tripline.InvalidConfig, err.Error())
	}
	plugin.names = map[string]bool{}
	for _, name := range settings.Names {
		plugin.names[name] = true
	}
	return nil
}

func (plugin *plugin) Detect(batch tripline.Batch) ([]tripline.Hit, error) {
	// `reads` in plugin.toml, in the same order.
	reads, err := batch.Columns(tripline.Symbol, tripline.Text, tripline.Text)
	if err != nil {
		return nil, err
	}
	name, address, arn := &reads[0], &reads[1], &reads[2]
	// Once for each of the different names, not once for each row.
	names := name.Symbols()
	isFound := make([]bool, len(names))
	for symbol, name := range names {
		isFound[symbol] = plugin.names[name]
	}
	var hits []tripline.Hit
	for row := range batch.Rows() {
		symbol, ok := name.Symbol(row)
		if !ok || !isFound[symbol] {
			continue
		}
		hit := tripline.Hit{Row: row, Severity: tripline.High, Score: 1, Title: names[symbol] + " was called"}
		hit.DedupKey, _ = arn.Text(row)
		if text, ok := address.Text(row); ok {
			hit.Evidence = append(hit.Evidence, tripline.Evidence{Name: "address", Value: text})
		}
		hits = append(hits, hit)
	}
	return hits, nil
}
