// Package s3 starts and stops a real S3 server (versitygw over a folder) on a free loopback port, for the tests, the demo and
// the development cluster.
//
// It must not know Mailreplica: a mailstore meets the server only over its protocol.
package s3

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"mailreplica/internal/engine"
	"mailreplica/internal/fault"
)

const (
	program = "versitygw-v1.8.0" // as scripts/engines installs it
	region  = "us-east-1"
	health  = "/health"

	startMax  = 30 * time.Second
	stopMax   = 10 * time.Second
	pollEvery = 10 * time.Millisecond
)

// Options say where a gateway keeps its objects.
type Options struct {
	Folder string // holds the objects and the log; made if it is missing, kept by Close
}

// Gateway is a running S3 server, or one that was killed.
type Gateway struct {
	folder, access, secret string
	port                   int
	process                *engine.Process // nil when none runs
}

// Start starts a gateway and returns when it answers. Close ends it.
func Start(ctx context.Context, o Options) (*Gateway, error) {
	folder, err := filepath.Abs(o.Folder)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the folder of the S3 server has no path")
	}
	g := &Gateway{folder: folder, access: "ACCESS" + rand.Text()[:14], secret: rand.Text() + rand.Text()[:14]}
	if g.port, err = engine.FreePort(); err != nil {
		return nil, err
	}
	for _, folder := range []string{g.data(), g.metadata()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the folder of the S3 server cannot be made")
		}
	}
	if err := g.start(ctx); err != nil {
		return nil, err
	}
	return g, nil
}

// Endpoint is the server's URL.
func (g *Gateway) Endpoint() string { return "http://" + g.address() }

// AccessKey is that of the account that may do everything on this server.
func (g *Gateway) AccessKey() string { return g.access }

// Secret is that of AccessKey.
func (g *Gateway) Secret() string { return g.secret }

// Region is what requests are signed for.
func (g *Gateway) Region() string { return region }

// Folder is where the objects of a bucket lie, each as a file, for those who damage one.
func (g *Gateway) Folder(bucket string) string { return filepath.Join(g.data(), bucket) }

// CreateBucket makes an empty bucket.
func (g *Gateway) CreateBucket(ctx context.Context, name string) error {
	client, err := minio.New(g.address(), &minio.Options{
		Creds: credentials.NewStaticV4(g.access, g.secret, ""), Region: region, BucketLookup: minio.BucketLookupPath})
	if err == nil {
		err = client.MakeBucket(ctx, name, minio.MakeBucketOptions{})
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the S3 server makes no bucket %s", name)
	}
	return nil
}

// Kill ends the server as a loss of its process does: kill -9.
func (g *Gateway) Kill() error {
	if g.process != nil {
		g.process.Kill()
		g.process = nil
	}
	return nil
}

// Pause freezes the server: connections stand, nothing is answered.
func (g *Gateway) Pause() error { return g.signal(syscall.SIGSTOP) }

// Continue ends a Pause.
func (g *Gateway) Continue() error { return g.signal(syscall.SIGCONT) }

func (g *Gateway) signal(which syscall.Signal) error {
	if g.process == nil {
		return fault.New(fault.Invalid, "the S3 server does not run")
	}
	return g.process.Signal(which)
}

// Restart starts the server again over the same objects, on the same port. One that still runs is stopped in an orderly way.
func (g *Gateway) Restart(ctx context.Context) error {
	if g.process != nil {
		g.process.Stop(stopMax)
		g.process = nil
	}
	return g.start(ctx)
}

// Close ends the server. Its folder stays.
func (g *Gateway) Close() error { return g.Kill() }

func (g *Gateway) address() string  { return net.JoinHostPort("127.0.0.1", strconv.Itoa(g.port)) }
func (g *Gateway) data() string     { return filepath.Join(g.folder, "buckets") }
func (g *Gateway) metadata() string { return filepath.Join(g.folder, "metadata") }

// start starts the process and waits until it answers. The credentials travel in the environment: arguments are seen by all.
func (g *Gateway) start(ctx context.Context) error {
	path, err := engine.Find(program)
	if err != nil {
		return err
	}
	// The metadata has a folder of its own, since not every filesystem (tmpfs) keeps extended attributes.
	cmd := exec.Command(path, "--port", g.address(), "--keep-alive", "--quiet", "--health", health, "posix", "--sidecar", g.metadata(), g.data())
	cmd.Dir = g.folder
	cmd.Env = append(environment(), "ROOT_ACCESS_KEY="+g.access, "ROOT_SECRET_KEY="+g.secret, "GOMEMLIMIT=256MiB")
	if g.process, err = engine.StartProcess(cmd, filepath.Join(g.folder, "s3.log")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	if err := g.answers(ctx); err != nil {
		_ = g.Kill()
		return err
	}
	return nil
}

// environment is ours without what would change the server's settings.
func environment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "VGW_") && !strings.HasPrefix(variable, "ROOT_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

func (g *Gateway) answers(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is on this machine
	again := time.NewTicker(pollEvery)
	defer again.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Endpoint()+health, nil)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "the S3 server has no address")
		}
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-g.process.Ended():
			return fault.New(fault.Internal, "the S3 server ended while it started; its log says:\n%s", g.process.LogTail())
		case <-ctx.Done():
			return fault.Wrap(fault.Internal, err, "the S3 server does not answer; its log says:\n%s", g.process.LogTail())
		case <-again.C:
		}
	}
}
