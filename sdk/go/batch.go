// Package tripline is for plugins of Tripline in Go: packed batches, and what findings and faults are.
//
// A plugin gives a value to detector.Export or enricher.Export in an init function. Nothing here is generated, and
// nothing else is needed: the few exports of the contract are written out in those packages. Texts point into the batch
// and are valid during the call; keep a copy of what is kept.
package tripline

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// Kind is what a column holds, as reads and writes in plugin.toml name it.
type Kind uint32

// The kinds, by their numbers.
const (
	Bool Kind = iota + 1
	Int
	Float
	Text
	Symbol
	JSON
)

func (kind Kind) width() int {
	switch kind {
	case Bool:
		return 1
	case Symbol:
		return 4
	default:
		return 8
	}
}

var little = binary.LittleEndian

// Batch is events, a row each, of which only the fields are there that reads in plugin.toml names, in that order.
type Batch struct {
	bytes   []byte
	rows    int
	columns int
}

// Column is one of a batch.
type Column struct {
	kind                             Kind
	rows                             int
	present, data, arena, dictionary []byte
}

// Open reads a batch.
func Open(bytes []byte) (Batch, error) {
	if len(bytes) < 16 || string(bytes[:4]) != "TPB1" || int(little.Uint32(bytes[4:])) != len(bytes) {
		return Batch{}, Fail(InvalidInput, "the batch does not begin with `TPB1`, or is cut")
	}
	batch := Batch{bytes, int(little.Uint32(bytes[8:])), int(little.Uint32(bytes[12:]))}
	if batch.columns > (len(bytes)-16)/32 || batch.rows > math.MaxInt32/8 {
		return Batch{}, Fail(InvalidInput, "the columns reach beyond the batch")
	}
	return batch, nil
}

// Rows is how many there are.
func (batch Batch) Rows() int { return batch.rows }

// Columns opens the columns of a batch, which have to be of these kinds.
func (batch Batch) Columns(kinds ...Kind) ([]Column, error) {
	columns := make([]Column, len(kinds))
	for number, kind := range kinds {
		column, err := batch.Column(number, kind)
		if err != nil {
			return nil, err
		}
		columns[number] = column
	}
	return columns, nil
}

// Column opens a column, which has to be of this kind.
func (batch Batch) Column(number int, kind Kind) (Column, error) {
	if number < 0 || number >= batch.columns {
		return Column{}, Fail(Internal, fmt.Sprintf("the batch has %d columns and no column %d", batch.columns, number))
	}
	head := batch.bytes[16+32*number:]
	word := func(place int) int { return int(little.Uint32(head[4*place:])) }
	if is := Kind(word(0)); is != kind {
		return Column{}, Fail(Internal, fmt.Sprintf("column %d is of kind %d instead of %d", number, is, kind))
	}
	reaches := true
	part := func(offset int, length int64) []byte {
		if offset < 0 || length < 0 || int64(offset)+length > int64(len(batch.bytes)) {
			reaches = false
			return nil
		}
		return batch.bytes[offset : int64(offset)+length]
	}
	column := Column{kind: kind, rows: batch.rows}
	if word(1) != 0 {
		column.present = part(word(1), int64(batch.rows+7)/8)
	}
	column.data = part(word(2), int64(batch.rows)*int64(kind.width()))
	column.arena = part(word(3), int64(uint32(word(4))))
	if kind == Symbol {
		column.dictionary = part(word(5), 8*int64(uint32(word(6))))
	}
	if !reaches {
		return Column{}, Fail(InvalidInput, fmt.Sprintf("column %d reaches beyond the batch", number))
	}
	return column, nil
}

// Has says whether a row has a value.
func (column *Column) Has(row int) bool {
	if row < 0 || row >= column.rows {
		return false
	}
	return column.present == nil || column.present[row/8]>>(row%8)&1 == 1
}

// Bool is what a row of a column of bool holds, and whether it holds anything.
func (column *Column) Bool(row int) (value, ok bool) {
	if column.kind != Bool || !column.Has(row) {
		return false, false
	}
	return column.data[row] != 0, true
}

// Int is what a row of a column of int holds, and whether it holds anything.
func (column *Column) Int(row int) (int64, bool) {
	if column.kind != Int || !column.Has(row) {
		return 0, false
	}
	return int64(little.Uint64(column.data[8*row:])), true
}

// Float is what a row of a column of float holds, and whether it holds anything.
func (column *Column) Float(row int) (float64, bool) {
	if column.kind != Float || !column.Has(row) {
		return 0, false
	}
	return math.Float64frombits(little.Uint64(column.data[8*row:])), true
}

// Text is what a row of a column of text, symbol or JSON holds, and whether it holds anything.
func (column *Column) Text(row int) (string, bool) {
	switch column.kind {
	case Symbol:
		symbol, ok := column.Symbol(row)
		if !ok {
			return "", false
		}
		return column.text(column.dictionary, symbol)
	case Text, JSON:
		if column.Has(row) {
			return column.text(column.data, row)
		}
	}
	return "", false
}

// Symbol is the number of what a row holds: equal if and only if the texts are equal.
func (column *Column) Symbol(row int) (int, bool) {
	if column.kind != Symbol || !column.Has(row) {
		return 0, false
	}
	symbol := int(little.Uint32(column.data[4*row:]))
	return symbol, symbol >= 0 && symbol < len(column.dictionary)/8
}

// Symbols is the different texts of a column of symbol, by number.
func (column *Column) Symbols() []string {
	texts := make([]string, len(column.dictionary)/8)
	for symbol := range texts {
		texts[symbol], _ = column.text(column.dictionary, symbol)
	}
	return texts
}

func (column *Column) text(places []byte, at int) (string, bool) {
	offset, length := uint64(little.Uint32(places[8*at:])), uint64(little.Uint32(places[8*at+4:]))
	if offset+length > uint64(len(column.arena)) {
		return "", false
	}
	bytes := column.arena[offset : offset+length]
	return unsafe.String(unsafe.SliceData(bytes), len(bytes)), true
}

// Writer is a column that is being written. All rows are without a value at first.
type Writer struct {
	kind                             Kind
	rows, values                     int
	present, data, arena, dictionary []byte
	symbols                          map[string]uint32
}

// Write begins a column of so many rows.
func Write(kind Kind, rows int) *Writer {
	return &Writer{
		kind:    kind,
		rows:    rows,
		present: make([]byte, (rows+7)/8),
		data:    make([]byte, rows*kind.width()),
		symbols: map[string]uint32{},
	}
}

func (writer *Writer) place(row int, kind Kind) []byte {
	if writer.kind != kind {
		panic("a value of another kind than its column")
	}
	if writer.present[row/8]>>(row%8)&1 == 0 {
		writer.present[row/8] |= 1 << (row % 8)
		writer.values++
	}
	return writer.data[row*kind.width():]
}

// Bool sets a row of a column of bool.
func (writer *Writer) Bool(row int, value bool) {
	place := writer.place(row, Bool)
	place[0] = 0
	if value {
		place[0] = 1
	}
}

// Int sets a row of a column of int.
func (writer *Writer) Int(row int, value int64) {
	little.PutUint64(writer.place(row, Int), uint64(value))
}

// Float sets a row of a column of float. A number that is not finite leaves the row as it is.
func (writer *Writer) Float(row int, value float64) {
	if !math.IsNaN(value) && !math.IsInf(value, 0) {
		little.PutUint64(writer.place(row, Float), math.Float64bits(value))
	}
}

// Text sets a row of a column of text, symbol or JSON.
func (writer *Writer) Text(row int, value string) {
	if writer.kind != Symbol {
		kind := Text
		if writer.kind == JSON {
			kind = JSON
		}
		copy(writer.place(row, kind), writer.store(value))
		return
	}
	symbol, isKnown := writer.symbols[value]
	if !isKnown {
		symbol = uint32(len(writer.symbols))
		writer.dictionary = append(writer.dictionary, writer.store(value)...)
		writer.symbols[string([]byte(value))] = symbol
	}
	little.PutUint32(writer.place(row, Symbol), symbol)
}

func (writer *Writer) store(value string) []byte {
	place := make([]byte, 8)
	little.PutUint32(place, uint32(len(writer.arena)))
	little.PutUint32(place[4:], uint32(len(value)))
	writer.arena = append(writer.arena, value...)
	return place
}

// Pack is the batch of the columns.
func Pack(rows int, writers ...*Writer) []byte {
	bytes := make([]byte, 16+32*len(writers))
	add := func(buffer []byte) uint32 {
		if len(buffer) == 0 {
			return 0
		}
		start := len(bytes)
		bytes = append(bytes, buffer...)
		bytes = append(bytes, make([]byte, -len(bytes)&7)...)
		return uint32(start)
	}
	for number, writer := range writers {
		present := writer.present
		if writer.values == rows {
			present = nil
		}
		head := []uint32{
			uint32(writer.kind),
			add(present),
			add(writer.data),
			add(writer.arena),
			uint32(len(writer.arena)),
			add(writer.dictionary),
			uint32(len(writer.dictionary) / 8),
		}
		for field, word := range head {
			little.PutUint32(bytes[16+32*number+4*field:], word)
		}
	}
	copy(bytes, "TPB1")
	little.PutUint32(bytes[4:], uint32(len(bytes)))
	little.PutUint32(bytes[8:], uint32(rows))
	little.PutUint32(bytes[12:], uint32(len(writers)))
	return bytes
}
