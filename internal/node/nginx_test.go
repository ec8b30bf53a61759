package node_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"mailreplica/internal/config"
	"mailreplica/internal/node/nodetest"
)

// TestNginxIsAnsweredAlone: who may ask whether a password is right is who holds the token that is for that, and nobody where there
// is none. (Those who may are answered 400 here, for they do not ask what nginx does.)
func TestNginxIsAnsweredAlone(t *testing.T) {
	const token = "0123456789abcdef-nginx"
	file := filepath.Join(t.TempDir(), "nginx.token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	c := nodetest.StartWith(t, 2, func(i int, cfg *config.Config) {
		if i == 0 {
			cfg.Tokens.Nginx = file
		}
	})
	for _, one := range []struct {
		node             int
		method, path, as string
		want             int
	}{
		{0, http.MethodGet, "/nginx/auth", token, http.StatusBadRequest},
		{0, http.MethodGet, "/nginx/auth", "", http.StatusUnauthorized},
		{0, http.MethodGet, "/nginx/auth", nodetest.AdminToken, http.StatusUnauthorized},
		{0, http.MethodGet, "/metrics", token, http.StatusUnauthorized},
		{0, http.MethodPost, "/v1/ping", token, http.StatusUnauthorized},
		{1, http.MethodGet, "/nginx/auth", token, http.StatusUnauthorized},
		{1, http.MethodGet, "/nginx/auth", "", http.StatusUnauthorized},
	} {
		if got, _ := get(t, c, one.node, one.method, one.path, one.as); got != one.want {
			t.Errorf("%s %s with %q: %d, want %d", one.method, one.path, one.as, got, one.want)
		}
	}
}
