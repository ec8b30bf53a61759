package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailreplica/internal/engine/enginetest"
)

// TestSystemd starts what systemd starts, as it does: it is told when the process answers, not before.
func TestSystemd(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	if err := os.WriteFile(at("token"), []byte("a-token-of-a-test"), 0o600); err != nil {
		t.Fatal(err)
	}
	lmtp, broker := enginetest.FreeAddress(t, enginetest.Loopback), enginetest.FreeAddress(t, enginetest.Loopback)
	configuration := fmt.Sprintf("fqdn: mbox1.example.com\ndata: data\ndirectory: directory.db\ntokens: {admin: token, peer: token}\n"+
		"listen: {lmtp: %q, admin: %q, peer: %q}\n", lmtp, enginetest.FreeAddress(t, enginetest.Loopback), enginetest.FreeAddress(t, enginetest.Loopback))
	if err := os.WriteFile(at("mbox1.yaml"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	if code := run(t.Context(), []string{"init", "--directory", at("directory.db")}, &told, &told); code != 0 {
		t.Fatal(told.String())
	}
	for _, test := range []struct {
		address string
		command []string
	}{
		{lmtp, []string{"serve", "--config", at("mbox1.yaml")}},
		{broker, []string{"broker", "--data", at("broker"), "--listen", broker}},
	} {
		t.Run(test.command[0], func(t *testing.T) { answersWhenReady(t, test.address, test.command) })
	}
}

func answersWhenReady(t *testing.T, address string, command []string) {
	folder, err := os.MkdirTemp("", "notify-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", manager.LocalAddr().String())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errors bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, command, &out, &errors) }()
	if err := manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 100)
	n, err := manager.Read(message)
	if err != nil || string(message[:n]) != "READY=1" {
		t.Fatalf("systemd was told %q, %v", message[:n], err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("it was told that the process is ready, but: %v", err)
	} else {
		conn.Close()
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("it ended with %d: %s", code, errors.String())
	}
}

// TestSystemdCannotBeTold: a process whose start systemd would wait for without end ends instead.
func TestSystemdCannotBeTold(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(folder, "none"))
	var out, errors bytes.Buffer
	code := run(t.Context(), []string{"broker", "--data", filepath.Join(folder, "data"), "--listen", enginetest.FreeAddress(t, enginetest.Loopback)}, &out, &errors)
	if code != 1 || !bytes.Contains(errors.Bytes(), []byte("systemd cannot be told")) {
		t.Errorf("exit %d: %s", code, errors.String())
	}
}
