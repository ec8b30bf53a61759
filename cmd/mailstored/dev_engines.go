package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"mailreplica/internal/admin"
	"mailreplica/internal/config"
	"mailreplica/internal/directory"
	"mailreplica/internal/engine/kafka"
	"mailreplica/internal/engine/mariadb"
	"mailreplica/internal/engine/s3"
	"mailreplica/internal/fault"
	client "mailreplica/internal/mariadb"
)

// The engines that a development cluster can stand on.
const (
	enginesEmbedded   = "embedded"
	enginesProduction = "production"
)

// engines are what the mailstores of the cluster stand on. All of them keep what they hold when the cluster is started again.
type engines interface {
	// start runs what the mailstores need; directory and configure speak of it after that.
	start(ctx context.Context) error
	// directory is where the directory is.
	directory() directory.Options
	// brokers is the global setting of that name.
	brokers() string
	// configure puts the engines into the configuration of the i-th mailstore.
	configure(ctx context.Context, m *config.Config, i int) error
	// volumes sees to it that every mailstore has a centralised primary volume; the mailstores run.
	volumes(ctx context.Context) error
	// stop ends the engines, after the mailstores.
	stop() error
}

func (c *cluster) chooseEngines(name string) error {
	switch name {
	case enginesEmbedded:
		c.engines = &embedded{c: c}
	case enginesProduction:
		c.engines = &production{c: c}
	default:
		return fault.New(fault.Invalid, "--engines is %q; want %s or %s", name, enginesEmbedded, enginesProduction)
	}
	return nil
}

// embedded is one broker of this program, SQLite files, and a folder of blobs.
type embedded struct {
	c      *cluster
	broker *child
}

func (e *embedded) start(ctx context.Context) (err error) {
	c := e.c
	e.broker, err = c.run("broker", "broker", "--data", c.path("broker"), "--listen", e.brokers(), "--pid-file", c.path("run", "broker.pid"),
		"--profile", c.profile(0))
	if err != nil {
		return err
	}
	return c.wait(ctx, e.broker, e.brokers())
}

func (e *embedded) directory() directory.Options {
	return directory.Options{Path: e.c.path("directory", "directory.db")}
}

func (e *embedded) brokers() string { return net.JoinHostPort(e.c.address(0), "9092") }

func (e *embedded) configure(_ context.Context, m *config.Config, _ int) error {
	m.Directory = e.directory().Path
	m.Volumes = []config.Volume{{Name: devVolume, Path: e.c.path("blobs"), Centralised: true}}
	m.PrimaryVolume = devVolume
	m.Log.Replication, m.Log.Streams = 1, cmp.Or(e.c.streams, 1) // one broker, whose syncs and batches more streams would only multiply
	return nil
}

// volumes has nothing to make: they are in the configuration. It makes sure that the broker that answered is ours: one that had the
// address before would answer for it, and ours would have ended by now.
func (e *embedded) volumes(ctx context.Context) error { return e.c.wait(ctx, e.broker, e.brokers()) }

func (e *embedded) stop() error {
	if e.broker != nil {
		e.c.end(e.broker)
	}
	return nil
}

// production is three Kafka brokers, a MariaDB server with a database for the directory and one for each mailstore, and an S3
// server.
type production struct {
	c *cluster

	kafka   *kafka.Cluster
	mariadb *mariadb.Server
	s3      *s3.Gateway
}

const (
	devVolume   = "blobs"
	devBucket   = "mail"
	devBrokers  = 3
	devDatabase = "mailreplica_directory"
)

func (p *production) start(ctx context.Context) (err error) {
	for _, step := range []struct {
		name  string
		start func() error
	}{
		{"three Kafka brokers", func() (err error) {
			p.kafka, err = kafka.Start(ctx, kafka.Options{Folder: p.c.path("kafka"), Brokers: devBrokers, TLS: true, SCRAM: true})
			return err
		}},
		{"a MariaDB server", func() (err error) {
			p.mariadb, err = mariadb.Start(ctx, mariadb.Options{Folder: p.c.path("mariadb")})
			return err
		}},
		{"an S3 server", func() (err error) {
			p.s3, err = s3.Start(ctx, s3.Options{Folder: p.c.path("s3")})
			return err
		}},
	} {
		fmt.Fprintln(p.c.stdout, "starting", step.name)
		if err := step.start(); err != nil {
			return err
		}
	}
	for i := range devBrokers {
		if err := p.writePID(fmt.Sprintf("kafka%d", i+1), p.kafka.PID(i)); err != nil {
			return err
		}
	}
	if err := p.secret("brokers", p.kafka.Password()); err != nil {
		return err
	}
	if err := p.secret("mariadb", p.mariadb.Password()); err != nil {
		return err
	}
	return p.database(ctx, devDatabase)
}

func (p *production) writePID(name string, pid int) error {
	return writePrivate(p.c.path("run", name+".pid"), strconv.Itoa(pid))
}

func (p *production) secret(name, text string) error {
	return writePrivate(p.c.path("etc", name+".password"), text)
}

func writePrivate(path, text string) error {
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		return fault.Wrap(fault.Invalid, err, "%s cannot be written", path)
	}
	return nil
}

// database makes a database, unless it is there from an earlier run.
func (p *production) database(ctx context.Context, name string) error {
	return p.mariadb.Execute(ctx, "CREATE DATABASE IF NOT EXISTS "+name)
}

func (p *production) directory() directory.Options {
	return directory.Options{MariaDB: &client.Config{
		Address: p.mariadb.Address(), Database: devDatabase, User: p.mariadb.User(), Password: p.mariadb.Password(),
	}}
}

func (p *production) brokers() string { return strings.Join(p.kafka.Addrs(), ",") }

func (p *production) configure(ctx context.Context, m *config.Config, i int) error {
	name := "mailreplica_" + short(i)
	if err := p.database(ctx, name); err != nil {
		return err
	}
	at := func(database string) *config.MariaDB {
		return &config.MariaDB{
			Address: p.mariadb.Address(), Database: database, User: p.mariadb.User(), PasswordFile: p.c.path("etc", "mariadb.password"),
		}
	}
	m.DirectoryMariaDB, m.MetadataMariaDB = at(devDatabase), at(name)
	m.Log.Replication, m.Log.Streams = devBrokers, cmp.Or(p.c.streams, 16)
	m.Log.TLS, m.Log.CA = true, p.kafka.CAFile()
	m.Log.SASL, m.Log.User, m.Log.PasswordFile = "SCRAM-SHA-512", p.kafka.Username(), p.c.path("etc", "brokers.password")
	return nil
}

// volumes does what an operator does with carbonio: a bucket, a centralised volume in it, and the same volume on every mailstore.
// In a later run the bucket is told where its server is now.
func (p *production) volumes(ctx context.Context) error {
	first, err := p.c.admin(1)
	if err != nil {
		return err
	}
	bucket, err := p.bucket(ctx, first)
	if err != nil {
		return err
	}
	for i := 1; i <= p.c.count; i++ {
		client, err := p.c.admin(i)
		if err != nil {
			return err
		}
		there, err := client.GetAllVolumes(ctx)
		switch {
		case err != nil:
			return err
		case len(there) > 0:
			continue
		case i == 1:
			_, err = client.CreateVolume(ctx, admin.CreateVolume{Name: devVolume, Type: admin.VolumePrimary, Bucket: bucket, Centralized: true})
		default:
			_, err = client.CreateCentralized(ctx, admin.CreateCentralized{Server: fqdn(1), Name: devVolume})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket makes the bucket, or tells where it is, and gives its id.
func (p *production) bucket(ctx context.Context, client *admin.Client) (string, error) {
	there, err := client.ListBuckets(ctx, "all")
	if err != nil {
		return "", err
	}
	url, access, secret := p.s3.Endpoint(), p.s3.AccessKey(), p.s3.Secret()
	if len(there) > 0 {
		_, err := client.UpdateBucket(ctx, admin.UpdateBucket{ID: there[0].ID, URL: &url, AccessKey: &access, Secret: &secret})
		return there[0].ID, err
	}
	if err := p.s3.CreateBucket(ctx, devBucket); err != nil {
		return "", err
	}
	made, err := client.CreateBucket(ctx, admin.CreateBucket{
		Kind: admin.BucketS3, Name: devBucket, AccessKey: access, Secret: secret, Label: devBucket, URL: url, Region: p.s3.Region(),
	})
	return made.ID, err
}

func (p *production) stop() error {
	var problems []error
	if p.s3 != nil {
		problems = append(problems, p.s3.Close())
	}
	if p.mariadb != nil {
		problems = append(problems, p.mariadb.Close())
	}
	if p.kafka != nil {
		problems = append(problems, p.kafka.Close())
	}
	return errors.Join(problems...)
}
