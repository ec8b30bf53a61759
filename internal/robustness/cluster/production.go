package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"mailreplica/internal/admin"
	"mailreplica/internal/config"
	"mailreplica/internal/engine/kafka"
	"mailreplica/internal/engine/mariadb"
	"mailreplica/internal/engine/s3"
	"mailreplica/internal/scenario"
)

const (
	brokers           = 3
	bucket            = "mail"
	directoryDatabase = "mailreplica_directory"
)

// production is three Kafka brokers, a MariaDB server for the directory and one for the metadata, and an S3 server.
type production struct {
	kafka     *kafka.Cluster
	directory *mariadb.Server
	metadata  *mariadb.Server
	s3        *s3.Gateway
	ways      map[*mariadb.Server]string
	frozen    map[scenario.Party]bool
	dead      map[scenario.Party]bool
}

func (p *production) start(ctx context.Context, c *Cluster) error {
	p.ways, p.frozen, p.dead = map[*mariadb.Server]string{}, map[scenario.Party]bool{}, map[scenario.Party]bool{}
	var failed [4]error
	var all sync.WaitGroup
	all.Go(func() {
		way := func(own string) (string, error) { return c.way(brokersName, own) }
		p.kafka, failed[0] = kafka.Start(ctx, kafka.Options{Folder: c.path("kafka"), Brokers: brokers, TLS: true, SCRAM: true, Way: way})
	})
	all.Go(func() { p.directory, failed[1] = mariadb.Start(ctx, mariadb.Options{Folder: c.path("maria-d")}) })
	all.Go(func() { p.metadata, failed[2] = mariadb.Start(ctx, mariadb.Options{Folder: c.path("maria-m")}) })
	all.Go(func() { p.s3, failed[3] = s3.Start(ctx, s3.Options{Folder: c.path("s3")}) })
	all.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return err
	}
	if err := c.write("brokers.password", p.kafka.Password()); err != nil {
		return err
	}
	for name, server := range map[string]*mariadb.Server{directoryName: p.directory, metadataName: p.metadata} {
		way, err := c.way(name, server.Address())
		if err != nil {
			return err
		}
		p.ways[server] = way
		if err := c.write(name+".password", server.Password()); err != nil {
			return err
		}
	}
	return p.directory.CreateDatabase(ctx, directoryDatabase)
}

func (p *production) configure(ctx context.Context, c *Cluster, m *config.Config, i int) error {
	database := fmt.Sprintf("mailreplica_mbox%d", i)
	if err := p.metadata.CreateDatabase(ctx, database); err != nil {
		return err
	}
	m.DirectoryMariaDB = p.at(c, p.directory, directoryName, directoryDatabase)
	m.MetadataMariaDB = p.at(c, p.metadata, metadataName, database)
	m.Log.Replication, m.Log.Streams = brokers, 4
	m.Log.TLS, m.Log.CA = true, p.kafka.CAFile()
	m.Log.SASL, m.Log.User, m.Log.PasswordFile = "SCRAM-SHA-512", p.kafka.Username(), c.path("brokers.password")
	if i > 1 {
		return nil
	}
	first := c.path("init.yaml")
	if err := writeYAML(first, *m); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, filepath.Join(c.options.Bin, "mailstored"), "init", "--config", first).CombinedOutput(); err != nil {
		return fmt.Errorf("mailstored init: %w\n%s", err, out)
	}
	return nil
}

func (p *production) at(c *Cluster, server *mariadb.Server, name, database string) *config.MariaDB {
	return &config.MariaDB{Address: p.ways[server], Database: database, User: server.User(), PasswordFile: c.path(name + ".password")}
}

// ready gives every mailstore a centralised volume in a bucket.
func (p *production) ready(ctx context.Context, c *Cluster) (string, error) {
	if err := p.s3.CreateBucket(ctx, bucket); err != nil {
		return "", err
	}
	way, err := c.way(volumeName, strings.TrimPrefix(p.s3.Endpoint(), "http://"))
	if err != nil {
		return "", err
	}
	made, err := c.Stores[0].Admin.CreateBucket(ctx, admin.CreateBucket{
		Kind: admin.BucketS3, Name: bucket, AccessKey: p.s3.AccessKey(), Secret: p.s3.Secret(), Label: bucket, URL: "http://" + way, Region: p.s3.Region(),
	})
	if err != nil {
		return "", err
	}
	for i, m := range c.Stores {
		if i == 0 {
			_, err = m.Admin.CreateVolume(ctx, admin.CreateVolume{Name: volumeName, Type: admin.VolumePrimary, Bucket: made.ID, Centralized: true})
		} else {
			_, err = m.Admin.CreateCentralized(ctx, admin.CreateCentralized{Server: c.Stores[0].FQDN, Name: volumeName})
		}
		if err != nil {
			return "", err
		}
	}
	return strings.Join(p.kafka.Addrs(), ","), nil
}

// has leaves out disks: the servers' lie on the machine's own.
func (p *production) has(step scenario.Step) bool {
	return step.Do != scenario.Fill && step.Do != scenario.Empty
}

// server is an engine that is one process.
type server interface {
	Kill() error
	Restart(context.Context) error
	Pause() error
	Continue() error
}

func (p *production) do(ctx context.Context, step scenario.Step) error {
	switch step.Do {
	case scenario.Kill, scenario.Start:
		p.dead[step.At] = step.Do == scenario.Kill
	case scenario.Freeze, scenario.Thaw:
		p.frozen[step.At] = step.Do == scenario.Freeze
	}
	switch step.At {
	case scenario.Broker:
		return onServer(ctx, broker{p.kafka, 0}, step)
	case scenario.Brokers:
		return p.all(func(i int) error { return onServer(ctx, broker{p.kafka, i}, step) })
	case scenario.Directory:
		return onServer(ctx, p.directory, step)
	case scenario.Volume:
		return onServer(ctx, p.s3, step)
	}
	return fmt.Errorf("the engines cannot %s", step)
}

func (p *production) all(do func(i int) error) error {
	var failed [brokers]error
	var all sync.WaitGroup
	for i := range failed {
		all.Go(func() { failed[i] = do(i) })
	}
	all.Wait()
	return errors.Join(failed[:]...)
}

// broker is one of the cluster's, as a server.
type broker struct {
	kafka *kafka.Cluster
	i     int
}

func (b broker) Kill() error                       { return b.kafka.Kill(b.i) }
func (b broker) Restart(ctx context.Context) error { return b.kafka.Restart(ctx, b.i) }
func (b broker) Pause() error                      { return b.kafka.Pause(b.i) }
func (b broker) Continue() error                   { return b.kafka.Continue(b.i) }

func onServer(ctx context.Context, s server, step scenario.Step) error {
	switch step.Do {
	case scenario.Kill:
		return s.Kill()
	case scenario.Start:
		return s.Restart(ctx)
	case scenario.Freeze:
		return s.Pause()
	case scenario.Thaw:
		return s.Continue()
	}
	return fmt.Errorf("an engine cannot %s", step)
}

func (p *production) mend(ctx context.Context) error {
	for party, frozen := range p.frozen {
		if frozen {
			if err := p.do(ctx, scenario.Step{Do: scenario.Thaw, At: party}); err != nil {
				return err
			}
		}
	}
	for party, dead := range p.dead {
		if dead {
			if err := p.do(ctx, scenario.Step{Do: scenario.Start, At: party}); err != nil {
				return err
			}
		}
	}
	return nil
}

// processes has none: the engines are no programs of ours.
func (p *production) processes() []*Process { return nil }

func (p *production) stop() error {
	var problems []error
	if p.kafka != nil {
		problems = append(problems, p.kafka.Close())
	}
	for _, server := range []*mariadb.Server{p.directory, p.metadata} {
		if server != nil {
			problems = append(problems, server.Close())
		}
	}
	if p.s3 != nil {
		problems = append(problems, p.s3.Close())
	}
	return errors.Join(problems...)
}
