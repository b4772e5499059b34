package detector

import (
	"unsafe"

	tripline "github.com/tripline/tripline/sdk/go"
)

var memory tripline.Memory

//go:wasmexport tripline:plugin/setup@1.0.0#configure
func configure(pointer unsafe.Pointer, length uint32) unsafe.Pointer {
	memory.Done(plugin.Configure(tripline.Take(pointer, length)))
	return memory.Area()
}

//go:wasmexport tripline:plugin/detect@1.0.0#evaluate
func evaluate(pointer unsafe.Pointer, length uint32) unsafe.Pointer {
	batch, err := tripline.Open(tripline.Take(pointer, length))
	if err != nil {
		memory.Done(err)
		return memory.Area()
	}
	hits, err := plugin.Detect(batch)
	if err != nil {
		memory.Done(err)
	} else {
		memory.Hits(hits)
	}
	return memory.Area()
}
