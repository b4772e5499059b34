package tripline

import "testing"

func packed() []byte {
	text, symbol, number := Write(Text, 11), Write(Symbol, 11), Write(Int, 11)
	for row := range 11 {
		if row%4 == 3 {
			continue
		}
		text.Text(row, "äöü"[:2*(row%4)])
		symbol.Text(row, []string{"put", "get", "get"}[row%3])
		number.Int(row, int64(-row))
	}
	return Pack(11, text, symbol, number)
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	batch, err := Open(packed())
	if err != nil {
		t.Fatal(err)
	}
	columns, err := batch.Columns(Text, Symbol, Int)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := columns[0].Text(2)
	symbol, _ := columns[1].Text(2)
	number, _ := columns[2].Int(2)
	if text != "äö" || symbol != "get" || number != -2 {
		t.Error(text, symbol, number)
	}
	if _, ok := columns[1].Text(7); ok {
		t.Error("row 7 has a value")
	}
	if _, err := batch.Column(0, Bool); err == nil {
		t.Error("a text was taken for a bool")
	}
}

func TestNoByteMakesReadingPanic(t *testing.T) {
	sound := packed()
	for at := range sound {
		for _, value := range []byte{0, 1, 0x7f, 0xff} {
			bytes := append([]byte(nil), sound...)
			bytes[at] = value
			batch, err := Open(bytes)
			if err != nil {
				continue
			}
			for number, kind := range []Kind{Text, Symbol, Int} {
				column, err := batch.Column(number, kind)
				if err != nil {
					continue
				}
				for row := range min(batch.Rows(), 100) {
					column.Text(row)
					column.Int(row)
				}
			}
		}
	}
}
