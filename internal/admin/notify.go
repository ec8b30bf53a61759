package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/http"
	"strings"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/pause"
)

// Limits of telling.
const (
	webhookWait   = 10 * time.Second
	tellTriesMax  = 3
	tellRetryWait = 2 * time.Second
)

// Notify sends a stored notification to the mailboxes of the global administrators, and to the webhook if one is set. The
// record is in the directory whatever becomes of the messages; what could not be sent is logged.
func (a *Admin) Notify(ctx context.Context, n directory.Notification) {
	admins := a.copy.Accounts(func(one *directory.Account) bool {
		return one.GlobalAdmin && one.Kind == directory.User && !one.Deleting
	})
	for _, to := range admins {
		if a.Deliver == nil {
			break
		}
		message, err := a.notificationMail(n, to.Name)
		if err == nil {
			err = again(ctx, func() error { return a.Deliver(ctx, to.Name, message) })
		}
		if err != nil {
			a.Logger.Warn("a notification could not be mailed", "notification", n.ID, "to", to.Name, "error", err)
		}
	}
	hook, _ := a.copy.Config(SettingNotificationWebhook)
	if hook == "" {
		return
	}
	if err := again(ctx, func() error { return post(ctx, hook, n) }); err != nil {
		a.Logger.Warn("a notification could not be sent to the webhook", "notification", n.ID, "error", err)
	}
}

// again repeats f a few times.
func again(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || try == tellTriesMax {
			return err
		}
		if ended := pause.For(ctx, tellRetryWait); ended != nil {
			return errors.Join(err, ended)
		}
	}
}

func post(ctx context.Context, hook string, n directory.Notification) error {
	ctx, cancel := context.WithTimeout(ctx, webhookWait)
	defer cancel()
	body, err := json.Marshal(viewNotification(n))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	if response.StatusCode >= 300 {
		return fmt.Errorf("the webhook answers %s", response.Status)
	}
	return nil
}

// notificationMail writes a notification as a message (RFC 5322). Nothing of it can start a header line: the subject is
// encoded, and addresses are checked when they are set.
func (a *Admin) notificationMail(n directory.Notification, to string) ([]byte, error) {
	from, _ := a.copy.Config(SettingNotificationFrom)
	if from == "" {
		from = "mailreplica@" + a.Self
	}
	var m bytes.Buffer
	subject := mime.QEncoding.Encode("utf-8", oneLine(fmt.Sprintf("[%s] %s", n.Type, n.Subject)))
	headers := [][2]string{
		{"From", "Mailreplica <" + from + ">"}, {"To", "<" + to + ">"}, {"Subject", subject},
		{"Date", n.Date.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000")},
		{"Message-ID", "<" + account.NewID().String() + "@" + a.Self + ">"},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834: no vacation answers this
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	}
	for _, h := range headers {
		fmt.Fprintf(&m, "%s: %s\r\n", h[0], h[1])
	}
	m.WriteString("\r\n")
	body := quotedprintable.NewWriter(&m)
	text := fmt.Sprintf("%s\n\nServer: %s\nNotification: %s\n", strings.TrimRight(n.Text, "\n"), n.Server, n.ID)
	_, err := body.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	return m.Bytes(), errors.Join(err, body.Close())
}

// oneLine makes control characters blanks.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
