package tripline

import "unsafe"

// What the host was given room for and has not handed over yet.
var lent [][]uint64

//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldBytes, align, bytes uint32) unsafe.Pointer {
	words := make([]uint64, (bytes+7)/8+1)
	lent = append(lent, words)
	pointer := unsafe.Pointer(unsafe.SliceData(words))
	if old != nil && oldBytes > 0 {
		copy(unsafe.Slice((*byte)(pointer), bytes), unsafe.Slice((*byte)(old), oldBytes))
	}
	return pointer
}

// Take is an argument that the host wrote: a list of bytes.
func Take(pointer unsafe.Pointer, length uint32) []byte {
	lent = nil
	return unsafe.Slice((*byte)(pointer), length)
}
