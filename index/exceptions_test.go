package index

import (
	"bytes"
	"reflect"
	"testing"

	"backupfs/cyrus"
)

var someExceptions = Exceptions{
	Fingerprint: "1254175711.17",
	Message:     map[uint32]cyrus.GUID{17: {1, 2, 3}, 4294967295: {0xff}},
	Missing:     map[uint32]bool{2: true, 17: true},
}

const someLines = `backupfs-folder 1
fingerprint 1254175711.17
missing 2
message 17 0102030000000000000000000000000000000000
missing 17
message 4294967295 ff00000000000000000000000000000000000000
`

func TestExceptions(t *testing.T) {
	if b := someExceptions.Marshal(); string(b) != someLines {
		t.Errorf("Marshal gives\n%s", b)
	}
	for _, c := range []struct{ name, text string }{
		{"as written", someLines},
		{"with what is yet to come", someLines + "colour 17 blue\n\n"},
	} {
		if e, err := ParseExceptions([]byte(c.text)); err != nil || !reflect.DeepEqual(e, someExceptions) {
			t.Errorf("%s: %v, %v", c.name, e, err)
		}
	}
}

func TestExceptionsRefused(t *testing.T) {
	for _, text := range []string{
		"", "backupfs-folder 1", "backupfs-folder 2\n", exceptionsMagic + "\nmissing 17", exceptionsMagic + "\nmissing -1\n",
		exceptionsMagic + "\nmissing 4294967296\n", exceptionsMagic + "\nmissing 1 2\n", exceptionsMagic + "\nmessage 1\n",
		exceptionsMagic + "\nmessage 1 0102\n", exceptionsMagic + "\nfingerprint\n",
	} {
		if e, err := ParseExceptions([]byte(text)); err == nil || !reflect.DeepEqual(e, Exceptions{}) {
			t.Errorf("%q is read as %v", text, e)
		}
	}
}

func FuzzExceptions(f *testing.F) {
	f.Add([]byte(someLines))
	f.Add([]byte(exceptionsMagic + "\nmissing 007\nmessage 7 FF00000000000000000000000000000000000000\nmissing 7\n"))
	f.Add([]byte("backupfs-folder 2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseExceptions(b)
		if err != nil {
			return
		}
		again, err := ParseExceptions(e.Marshal())
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("%q: %v, and marshalled %v, %v", b, e, again, err)
		}
		if !bytes.Equal(e.Marshal(), again.Marshal()) {
			t.Fatal("two ways to write the same")
		}
	})
}
