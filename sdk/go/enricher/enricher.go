// Package enricher exports an enricher.
package enricher

import tripline "github.com/tripline/tripline/sdk/go"

// Enricher attaches facts to events.
type Enricher interface {
	// Configure takes the operator's settings as JSON; it is not called without [config] in the manifest.
	Configure(config []byte) error
	// Enrich gives the columns of writes, in that order, for the rows of the batch.
	Enrich(batch tripline.Batch) ([]*tripline.Writer, error)
}

var plugin Enricher

// Export says which enricher the plugin is; once, in an init function.
func Export(enricher Enricher) { plugin = enricher }
