package imap_test

import (
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailreplica/internal/imap"
)

// TestForeignClient drives the server with a client written by others, which refuses what it cannot parse.
func TestForeignClient(t *testing.T) {
	b, _ := backendWithTest()
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
	expunged := make(chan uint32, 8)
	c, err := imapclient.DialInsecure(address, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Expunge: func(n uint32) { expunged <- n },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("LOGIN", c.Login("test", "pass").Wait())
	check("CREATE", c.Create("Projekte/Köln", nil).Wait())
	listed, err := c.List("", "Projekte/*", &goimap.ListOptions{ReturnStatus: &goimap.StatusOptions{NumMessages: true}}).Collect()
	check("LIST", err)
	if len(listed) != 1 || listed[0].Mailbox != "Projekte/Köln" || listed[0].Status == nil {
		t.Errorf("LIST: got %+v", listed)
	}

	const text = "From: Anna <anna@example.com>\r\nSubject: hello\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--b--\r\n"
	date := time.Date(1996, 7, 17, 2, 44, 25, 0, time.FixedZone("", -7*3600))
	appending := c.Append("INBOX", int64(len(text)), &goimap.AppendOptions{Flags: []goimap.Flag{goimap.FlagFlagged}, Time: date})
	_, err = appending.Write([]byte(text))
	check("APPEND", err)
	check("APPEND", appending.Close())
	appended, err := appending.Wait()
	check("APPEND", err)

	selected, err := c.Select("INBOX", &goimap.SelectOptions{CondStore: true}).Wait()
	check("SELECT", err)
	if selected.NumMessages != 1 || selected.UIDNext != appended.UID+1 || selected.HighestModSeq == 0 {
		t.Errorf("SELECT: got %+v", selected)
	}
	section := &goimap.FetchItemBodySection{Specifier: goimap.PartSpecifierText, Part: []int{}, Peek: true}
	messages, err := c.Fetch(goimap.SeqSetNum(1), &goimap.FetchOptions{
		Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true, ModSeq: true,
		BodyStructure: &goimap.FetchItemBodyStructure{Extended: true}, BodySection: []*goimap.FetchItemBodySection{section},
	}).Collect()
	check("FETCH", err)
	m := messages[0]
	if m.UID != appended.UID || m.Envelope.Subject != "hello" || !m.InternalDate.Equal(date) || m.RFC822Size != int64(len(text)) ||
		m.BodyStructure.MediaType() != "multipart/alternative" || !strings.HasPrefix(string(m.FindBodySection(section)), "--b\r\n") {
		t.Errorf("FETCH: got %+v", m)
	}
	found, err := c.UIDSearch(&goimap.SearchCriteria{Text: []string{"PLAIN"}, Header: []goimap.SearchCriteriaHeaderField{{Key: "From", Value: "anna"}}},
		&goimap.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait()
	check("SEARCH", err)
	if found.Count != 1 || found.AllUIDs()[0] != appended.UID {
		t.Errorf("SEARCH: got %+v", found)
	}
	copied, err := c.Copy(goimap.UIDSetNum(appended.UID), "Projekte/Köln").Wait()
	check("COPY", err)
	if copied.DestUIDs.String() != "1" {
		t.Errorf("COPY: got %+v", copied)
	}
	_, err = c.Move(goimap.UIDSetNum(appended.UID), "Trash").Wait()
	check("MOVE", err)
	if n := <-expunged; n != 1 {
		t.Errorf("MOVE: got EXPUNGE of %d", n)
	}
	status, err := c.Status("Trash", &goimap.StatusOptions{NumMessages: true, Size: true, UIDNext: true}).Wait()
	check("STATUS", err)
	if *status.NumMessages != 1 || *status.Size != int64(len(text)) {
		t.Errorf("STATUS: got %+v", status)
	}
	check("LOGOUT", c.Logout().Wait())
}
