package admin_test

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"

	"mailreplica/internal/admin"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// The end of an operation is told once: as a record, to every global administrator, and to the webhook.
func TestTheEndOfAnOperationIsTold(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	hooks := make(chan admin.Notification, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n admin.Notification
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Error(err)
		}
		hooks <- n
	}))
	defer hook.Close()
	_, err := c.SetConfig(t.Context(), "notificationWebhook", hook.URL)
	must(t, err)
	_, err = c.SetConfig(t.Context(), "notificationFrom", "postmaster@example.com")
	must(t, err)
	p.Account(t, 1, "a@example.com")
	p.Account(t, 1, "boss@example.com")
	yes := true
	_, err = c.ModifyAccount(t.Context(), admin.ModifyAccount{Name: "boss@example.com", IsGlobalAdmin: &yes})
	must(t, err)

	o, err := c.SetDestination(t.Context(), admin.SetDestination{Selection: named("a@example.com"), Destination: admintest.Name(2)})
	must(t, err)
	told := <-hooks
	if told.Operation != o.OperationID || told.Type != "Information" || told.Server != admintest.Name(1) {
		t.Errorf("got %+v", told)
	}
	admintest.Eventually(t, "the mail to the administrator", func() bool { return len(p.Mails()) > 0 })
	to, message, _ := strings.Cut(p.Mails()[0], "\n")
	read, err := mail.ReadMessage(strings.NewReader(message))
	must(t, err)
	if to != "boss@example.com" || read.Header.Get("From") != "Mailreplica <postmaster@example.com>" || !strings.Contains(read.Header.Get("Subject"), "1 of 1 accounts") {
		t.Errorf("got to %s %v", to, read.Header)
	}
	stored, err := c.GetNotifications(t.Context(), "")
	must(t, err)
	if len(stored) != 1 || stored[0].ID != told.ID {
		t.Errorf("got %+v, want the one that was told", stored)
	}
	one, err := c.GetNotifications(t.Context(), told.ID)
	must(t, err)
	if len(one) != 1 || !strings.Contains(one[0].Text, o.OperationID) {
		t.Errorf("got %+v", one)
	}
	_, err = c.GetNotifications(t.Context(), "no id")
	wantFault(t, err, fault.Invalid, "no id")
}

// What names and reasons hold never becomes a header.
func TestNotificationMailHoldsNoForeignHeader(t *testing.T) {
	p := admintest.Start(t, 1)
	boss := p.Account(t, 1, "boss@example.com")
	yes := true
	_, err := p.Directory.UpdateAccount(t.Context(), boss.ID, latest(t, p, boss), directory.AccountUpdate{GlobalAdmin: &yes})
	must(t, err)
	p.Poll(t)
	p.Mailstores[0].Admin.Notify(t.Context(), directory.Notification{ID: "1", Server: admintest.Name(1), Type: directory.Error,
		Subject: "umlaut ä\r\nBcc: victim@example.com\r\n\r\nbody", Text: "line\n.\nä" + strings.Repeat("x", 2000) + "\n"})
	_, message, _ := strings.Cut(p.Mails()[0], "\n")
	read, err := mail.ReadMessage(strings.NewReader(message))
	must(t, err)
	if read.Header.Get("Bcc") != "" || len(read.Header) != 9 {
		t.Errorf("got headers %v", read.Header)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject"))
	must(t, err)
	if want := "[Error] umlaut ä  Bcc: victim@example.com    body"; subject != want {
		t.Errorf("got subject %q, want %q", subject, want)
	}
	for line := range strings.SplitSeq(message, "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("got the line %.60q of %d bytes", line, len(line))
		}
	}
	_, err = io.ReadAll(read.Body)
	must(t, err)
}

func latest(t *testing.T, p *admintest.Platform, a directory.Account) int64 {
	t.Helper()
	stored, err := p.Directory.Account(t.Context(), a.ID)
	must(t, err)
	return stored.Version
}
