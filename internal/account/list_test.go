package account_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

const someID = "0b6e5a8e-58b4-4f4b-9f5a-0123456789ab"

func TestParseList(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"a@x", []string{"a@x"}},
		{"a@x,b@y", []string{"a@x", "b@y"}},
		{" B@y , a@X ", []string{"b@y", "a@x"}},
		{"a@x,A@X,b@y", []string{"a@x", "b@y"}},
		{strings.ToUpper(someID) + ",a@x", []string{someID, "a@x"}},
	} {
		got, err := account.ParseList(c.in)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("ParseList(%q) = %q, %v, want %q", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", " ", ",", "a@x,", "a@x,,b@y", "john", "a*@x", "a@x b@y"} {
		if got, err := account.ParseList(in); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseList(%q) = %q, %v, want Invalid", in, got, err)
		}
	}
}

func TestReadList(t *testing.T) {
	in := "\xef\xbb\xbf# accounts of the first floor\r\n\r\nA@x\r\n  b@y \n\t# more\n" + someID + "\na@x\nlast@z"
	got, err := account.ReadList("list.txt", strings.NewReader(in))
	want := []string{"a@x", "b@y", someID, "last@z"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestReadListNamesTheLine(t *testing.T) {
	long := strings.Repeat("a", account.ListLineBytesMax+1)
	for _, c := range []struct{ in, want string }{
		{"a@x\n\nb c@y\n", "list.txt line 3: "},
		{"a@x\njohn*@y\n", `list.txt line 2: "john*@y" is a pattern`},
		{"a@x\n#\n" + long + "\n", "list.txt line 3: more than 1024 bytes"},
		{"a@x\n" + long, "list.txt line 2: "},
		{"a@x,b@y\n", "list.txt line 1: "},
		{"\n# nothing\n", "list.txt names no account"},
		{"", "list.txt names no account"},
	} {
		got, err := account.ReadList("list.txt", strings.NewReader(c.in))
		if !fault.Is(err, fault.Invalid) || !strings.HasPrefix(fault.Message(err), c.want) {
			t.Errorf("ReadList(%.30q) = %q, %v, want Invalid %q…", c.in, got, err, c.want)
		}
	}
}

func TestReadListLimitsEntries(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		for i := range account.ListEntriesMax + 1 {
			if _, err := w.Write([]byte(fmt.Sprintf("u%d@x\n", i))); err != nil {
				return
			}
		}
		w.Close()
	}()
	_, err := account.ReadList("list.txt", r)
	r.CloseWithError(errors.New("read enough"))
	if !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want TooLarge", err)
	}
}

func TestReadListFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.txt")
	if _, err := account.ReadListFile(path); !fault.Is(err, fault.Invalid) ||
		!strings.Contains(fault.Message(err), "no such file") {
		t.Errorf("missing file: got %v", err)
	}
	if _, err := account.ReadListFile(t.TempDir()); !fault.Is(err, fault.Invalid) {
		t.Errorf("a directory: got %v, want Invalid", err)
	}
	if err := os.WriteFile(path, []byte("a@x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := account.ReadListFile(path); err != nil || !slices.Equal(got, []string{"a@x"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzReadList(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbfa@x\r\n# c\nb@y"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := account.ReadList("f", strings.NewReader(string(in)))
		if err != nil {
			return
		}
		again, err := account.ReadList("f", strings.NewReader(strings.Join(got, "\n")))
		if err != nil || !slices.Equal(got, again) {
			t.Fatalf("read %q again: %q, %v", got, again, err)
		}
	})
}

// FuzzParseList reads a command's argument. What is taken reads the same again, each entry once; ids are the same in either case.
func FuzzParseList(f *testing.F) {
	for _, s := range []string{"a@x,b@y", " A@X ,a@x", strings.ToUpper(someID), "a@x,", "ünï@x,\u212a@x", "a*@x", "\x00@x", "a@x\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := account.ParseList(s)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: got %v", s, err)
			}
			return
		}
		again, err := account.ParseList(strings.Join(got, ","))
		if err != nil || !slices.Equal(got, again) || len(got) == 0 {
			t.Errorf("%q: read %q again: %q, %v", s, got, again, err)
		}
		if id, err := account.ParseID(got[0]); err == nil && id.String() != got[0] {
			t.Errorf("%q: the id %q is %s", s, got[0], id)
		}
	})
}
