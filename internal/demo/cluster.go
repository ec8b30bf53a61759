package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"mailreplica/internal/devcluster"
	"mailreplica/internal/pause"
)

const availableFor = 60 * time.Second

// cluster is the development cluster that the demonstration runs, in a folder that goes with it.
type cluster struct{ *devcluster.Cluster }

func startCluster(ctx context.Context, bin, engines string) (*cluster, error) {
	folder, err := os.MkdirTemp("", "mailreplica-demo-")
	if err != nil {
		return nil, err
	}
	c, err := devcluster.Start(ctx, devcluster.Options{Bin: bin, Folder: folder, Mailstores: 3, Engines: engines})
	if c == nil {
		return nil, err
	}
	return &cluster{c}, err
}

// stop ends everything. The folder stays if the demonstration failed: its logs say why.
func (c *cluster) stop(keep bool) {
	c.Stop()
	if keep {
		fmt.Println("logs and data are kept in", c.Folder)
		return
	}
	_ = os.RemoveAll(c.Folder)
}

// status is what getAccountStatus says of an account; the fields used here.
type status struct {
	AccountName     string `json:"accountName"`
	AccountMailHost string `json:"accountMailHost"`
	Sequence        *int64 `json:"sequence"`
	Digest          string `json:"digest"`
	Replicas        []struct {
		Destination string `json:"destination"`
		Available   bool   `json:"available"`
		Sequence    *int64 `json:"sequence"`
		Digest      string `json:"digest"`
	} `json:"replicas"`
}

func (c *cluster) status(ctx context.Context) ([]status, error) {
	text, err := c.Carbonio(ctx, "--json", "MailReplica", "getAccountStatus")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Response struct {
			Values []status `json:"values"`
		} `json:"response"`
	}
	return answer.Response.Values, json.Unmarshal([]byte(text), &answer)
}

// settled waits until every account has n available replicas whose digests equal the primary's.
func (c *cluster) settled(ctx context.Context, accounts, n int) error {
	problem := "no answer yet"
	for end := time.Now().Add(availableFor); time.Now().Before(end); _ = pause.For(ctx, 200*time.Millisecond) {
		all, err := c.status(ctx)
		if err != nil {
			return err
		}
		if problem = unsettled(all, accounts, n); problem == "" {
			return nil
		}
	}
	return fmt.Errorf("not every replica is available and equal: %s", problem)
}

func unsettled(all []status, accounts, n int) string {
	if len(all) != accounts {
		return fmt.Sprintf("%d accounts with replicas, want %d", len(all), accounts)
	}
	for _, a := range all {
		if len(a.Replicas) != n {
			return fmt.Sprintf("%s has %d replicas, want %d", a.AccountName, len(a.Replicas), n)
		}
		for _, r := range a.Replicas {
			if !r.Available {
				return fmt.Sprintf("the replica of %s on %s is not available", a.AccountName, r.Destination)
			}
			if a.Digest == "" || r.Digest != a.Digest {
				return fmt.Sprintf("the replica of %s on %s has digest %s, want %s", a.AccountName, r.Destination, r.Digest, a.Digest)
			}
		}
	}
	return ""
}
