package cyrus

import (
	"errors"
	"reflect"
	"testing"
)

const jsonList = `{
"user.a": {"name": "user.a", "mtime": "1", "mbtype": "e", "partition": "default", "acl": {"a": "lrs"}, "uniqueid": "abc", "jmapId": "P-F", "name_history": [{"name": "user.b", "mbtype": "d", "partition": "p9"}]},
"user.a.old": {"name": "user.a.old", "mbtype": "ed", "acl": {}, "uniqueid": "abc"},
"user.a.#calendars": {"mbtype": "c", "partition": "p2", "uniqueid": "cal"},
"user.a.x": {"mbtype": "eil", "uniqueid": "i"},
"user.b": {"mbtype": "er", "partition": "default", "server": "other", "uniqueid": "r"},
"user.c": {"mbtype": "ez"},
"user.m": {"mbtype": "em", "partition": "default", "server": null, "uniqueid": "m"},
"example.org!user.l.v1^2": {"mbtype": "el", "partition": "default", "uniqueid": "leg"}
}
`

func TestMboxlist(t *testing.T) {
	fromJSON := []Mailbox{{"user.a", "abc", "default", false, false}, {"user.a.#calendars", "cal", "p2", false, false}, {"user.m", "m", "default", false, false}, {"example.org!user.l.v1^2", "leg", "default", true, false}}
	for name, c := range map[string]struct {
		text string
		want []Mailbox
	}{
		"one object": {jsonList, fromJSON},
		"lines":      {"{\"user.a\": {\"mbtype\": \"e\", \"partition\": \"p\", \"uniqueid\": \"x\"}}\n{\"b\": {\"mbtype\": \"el\", \"partition\": \"q\"}}\n", []Mailbox{{"user.a", "x", "p", false, false}, {"b", "", "q", true, false}}},
		"empty":      {"{\n\n}\n", nil},
		"nothing":    {"", nil},
		"text": {"user.a\t0 default a\tlrs\t\nuser.a.v1^2 notes\t0 p2 \nuser.gone\t16 default \nuser.far\t1 other!default a\tlrs\t\nuser.new\t2 default \nuser.a.i\t256 (null) (null)\n" +
			"user.mv\t8 other!default a\tlrs\t\nuser.cal\t32 default x y\tlrs\t", []Mailbox{{"user.a", "", "default", true, true}, {"user.a.v1^2 notes", "", "p2", true, true}, {"user.mv", "", "default", true, true}, {"user.cal", "", "default", true, true}}},
	} {
		got, err := ParseMboxlist([]byte(c.text))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, text := range []string{"{", "{\"user.a\"", "{\"user.a\": ", "{\"user.a\": 3}", "{\"user.a\": {\"partition\": {}}}", "{\"user.a\": {}", "{}x", "{}[]", "user.a", "user.a\tx default", "user.a\t0", "\t0 default x", "user.a\t-1 default x"} {
		if got, err := ParseMboxlist([]byte(text)); !errors.Is(err, ErrDamaged) || got != nil {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for n := 1; n < len(jsonList)-2; n++ { // cut, it must not pass for a shorter list
		if got, err := ParseMboxlist([]byte(jsonList[:n])); err == nil {
			t.Fatalf("cut at %d: %+v", n, got)
		}
	}
}

func FuzzParseMboxlist(f *testing.F) {
	f.Add([]byte(jsonList))
	f.Add([]byte("user.a\t0 other!default a\tlrs\t\nuser.b\t16 p x\n"))
	c, err := loadConfig("/a", filesOf(map[string]string{"/a": "configdirectory: /conf\npartition-default: /p"}))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseMboxlist(b)
		if err != nil && list != nil {
			t.Fatal("an error and a list")
		}
		for _, m := range list { // whatever it says, its consequences are harmless
			if p, err := c.Paths(m); err == nil && (len(p.Data) < 4 || p.Data[:3] != "/p/") {
				t.Fatalf("%+v lies at %+v", m, p)
			}
			c.UserFiles(m.Name.User(), &m)
			checkTree(t, m.Name.Archived())
		}
	})
}
