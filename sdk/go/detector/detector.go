// Package detector exports a detector.
package detector

import tripline "github.com/tripline/tripline/sdk/go"

// Detector finds things in events, one by one.
type Detector interface {
	// Configure takes the operator's settings as JSON; it is not called without [config] in the manifest.
	Configure(config []byte) error
	// Detect gives what is found in a batch: at most one hit a row, ordered by row.
	Detect(batch tripline.Batch) ([]tripline.Hit, error)
}

var plugin Detector

// Export says which detector the plugin is; once, in an init function.
func Export(detector Detector) { plugin = detector }
