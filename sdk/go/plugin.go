package tripline

import (
	"errors"
	"math"
	"unsafe"
)

// FaultKind decides whether a call is made again.
type FaultKind uint8

// The kinds of faults, by their numbers.
const (
	InvalidConfig FaultKind = iota
	InvalidInput
	Unsupported
	Denied
	NotFound
	Limit
	Timeout
	Unavailable
	Internal
)

// Fault is an orderly failure.
type Fault struct {
	Kind    FaultKind
	Message string
}

func (fault *Fault) Error() string { return fault.Message }

// Fail is a fault of a kind.
func Fail(kind FaultKind, message string) *Fault { return &Fault{kind, message} }

// Severity is how bad a finding is.
type Severity uint8

// The severities, by their numbers.
const (
	Informational Severity = iota
	Low
	Medium
	High
	Critical
)

// Evidence is something that the plugin saw: a string, a bool, an int64 or a float64.
type Evidence struct {
	Name  string
	Value any
}

// Hit is a finding about a row.
type Hit struct {
	Row      int
	Severity Severity
	// From 0 to 1, how sure the plugin is.
	Score float64
	Title string
	// What the finding is filed under; empty stands for the rule's own key.
	DedupKey string
	Evidence []Evidence
}

// Memory lays values out for the host, as the canonical ABI has it, and holds on to what it points to: the collector
// does not see pointers that are numbers.
type Memory struct {
	held []any
	area [3]uint64
}

func address(pointer unsafe.Pointer) uint32 { return uint32(uintptr(pointer)) }

// Words is room for so many eights of bytes, aligned to eight.
func (memory *Memory) words(count int) ([]byte, uint32) {
	if count == 0 {
		return nil, 8
	}
	words := make([]uint64, count)
	memory.held = append(memory.held, words)
	pointer := unsafe.Pointer(unsafe.SliceData(words))
	return unsafe.Slice((*byte)(pointer), 8*count), address(pointer)
}

func (memory *Memory) text(at []byte, text string) {
	memory.held = append(memory.held, text)
	little.PutUint32(at, address(unsafe.Pointer(unsafe.StringData(text))))
	little.PutUint32(at[4:], uint32(len(text)))
}

func (memory *Memory) result() []byte {
	memory.held = nil
	memory.area = [3]uint64{}
	return unsafe.Slice((*byte)(unsafe.Pointer(&memory.area)), 24)
}

// Area is where the result lies.
func (memory *Memory) Area() unsafe.Pointer { return unsafe.Pointer(&memory.area) }

// Done is a result that says nothing, or the fault.
func (memory *Memory) Done(err error) {
	area := memory.result()
	if err == nil {
		return
	}
	fault := &Fault{Internal, err.Error()}
	errors.As(err, &fault)
	area[0], area[4] = 1, byte(fault.Kind)
	memory.text(area[8:], fault.Message)
}

// Bytes is a result of bytes.
func (memory *Memory) Bytes(bytes []byte) {
	area := memory.result()
	memory.held = append(memory.held, bytes)
	little.PutUint32(area[4:], address(unsafe.Pointer(unsafe.SliceData(bytes))))
	little.PutUint32(area[8:], uint32(len(bytes)))
}

// Hits is a result of hits.
func (memory *Memory) Hits(hits []Hit) {
	area := memory.result()
	list, at := memory.words(8 * len(hits))
	little.PutUint32(area[4:], at)
	little.PutUint32(area[8:], uint32(len(hits)))
	for number, hit := range hits {
		memory.hit(list[64*number:], hit)
	}
}

func (memory *Memory) hit(to []byte, hit Hit) {
	little.PutUint32(to, uint32(hit.Row))
	finding := to[8:]
	finding[0] = byte(hit.Severity)
	little.PutUint64(finding[8:], math.Float64bits(hit.Score))
	memory.text(finding[16:], hit.Title)
	if hit.DedupKey != "" {
		finding[24] = 1
		memory.text(finding[28:], hit.DedupKey)
	}
	list, at := memory.words(3 * len(hit.Evidence))
	little.PutUint32(finding[36:], at)
	little.PutUint32(finding[40:], uint32(len(hit.Evidence)))
	little.PutUint32(finding[44:], 8)
	for number, evidence := range hit.Evidence {
		pair := list[24*number:]
		memory.text(pair, evidence.Name)
		memory.value(pair[8:], evidence.Value)
	}
}

func (memory *Memory) value(to []byte, value any) {
	switch value := value.(type) {
	case bool:
		to[0] = 1
		if value {
			to[8] = 1
		}
	case int:
		to[0] = 2
		little.PutUint64(to[8:], uint64(value))
	case int64:
		to[0] = 2
		little.PutUint64(to[8:], uint64(value))
	case float64:
		to[0] = 3
		little.PutUint64(to[8:], math.Float64bits(value))
	case string:
		to[0] = 4
		memory.text(to[8:], value)
	}
}
