// The rule of the measurements in Go. `benches/plugins/rule.rs` is the same for the host.
package main

import (
	"strings"

	tripline "github.com/tripline/tripline/sdk/go"
	"github.com/tripline/tripline/sdk/go/detector"
)

var actions = map[string]bool{
	"AttachUserPolicy":       true,
	"AttachRolePolicy":       true,
	"CreateAccessKey":        true,
	"CreateLoginProfile":     true,
	"DeleteTrail":            true,
	"PutUserPolicy":          true,
	"StopLogging":            true,
	"UpdateAssumeRolePolicy": true,
}

type plugin struct{}

func init() { detector.Export(plugin{}) }

func main() {}

func (plugin) Configure([]byte) error { return nil }

func (plugin) Detect(batch tripline.Batch) ([]tripline.Hit, error) {
	reads, err := batch.Columns(tripline.Symbol, tripline.Symbol, tripline.Bool, tripline.Text, tripline.Text)
	if err != nil {
		return nil, err
	}
	name, code, mfa, address, policy := &reads[0], &reads[1], &reads[2], &reads[3], &reads[4]
	// Once for each of the different names, not once for each row.
	names := name.Symbols()
	isSensitive := make([]bool, len(names))
	for symbol, name := range names {
		isSensitive[symbol] = actions[name]
	}
	var hits []tripline.Hit
	for row := range batch.Rows() {
		symbol, ok := name.Symbol(row)
		if !ok || !isSensitive[symbol] || code.Has(row) {
			continue
		}
		if used, ok := mfa.Bool(row); !ok || used {
			continue
		}
		from, _ := address.Text(row)
		if strings.HasPrefix(from, "10.") {
			arn, _ := policy.Text(row)
			if !strings.HasSuffix(arn, "/AdministratorAccess") {
				continue
			}
		}
		hits = append(hits, tripline.Hit{Row: row, Severity: tripline.High, Score: 1, Title: "sensitive action"})
	}
	return hits, nil
}
