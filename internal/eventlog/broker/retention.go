package broker

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	segmentBytes      = 16 << 20 // a segment is deleted as a whole, and is read as a whole after a crash
	retentionInterval = 10 * time.Minute

	// kfakeRetentionNever keeps kfake's own retention away. It trims the newest record too; a partition whose records
	// are all gone starts at offset 0 again after a crash, and every reader would take new records for old ones.
	kfakeRetentionNever = 10 * 365 * 24 * time.Hour
)

// startRetention trims the topics by their retention.ms, periodically, until the returned function is called.
func (b *Broker) startRetention() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(retentionInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := b.ApplyRetention(ctx, time.Now()); err != nil && ctx.Err() == nil {
					b.config.Logger.Warn("broker: retention", slog.Any("error", err))
				}
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// ApplyRetention trims every topic that has a retention.ms of its own: records older than that go, but never the last
// one of a partition.
func (b *Broker) ApplyRetention(ctx context.Context, now time.Time) error {
	options := []kgo.Opt{kgo.SeedBrokers(b.address), kgo.DisableClientMetrics()}
	if b.config.Network != nil {
		options = append(options, kgo.Dialer(b.config.Network.DialContext))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	for _, topic := range topics.Names() {
		info := b.cluster.TopicInfo(topic)
		if info == nil {
			continue // deleted meanwhile
		}
		setting := info.Configs["retention.ms"]
		if setting == nil {
			continue
		}
		ms, err := strconv.ParseInt(*setting, 10, 64)
		if err != nil || ms < 0 {
			continue
		}
		kept, err := admin.ListOffsetsAfterMilli(ctx, now.UnixMilli()-ms, topic)
		if err != nil {
			return err
		}
		if err := b.trim(kept); err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) trim(kept kadm.ListedOffsets) error {
	var failed error
	kept.Each(func(o kadm.ListedOffset) {
		info := b.cluster.PartitionInfo(o.Topic, o.Partition)
		if failed != nil || o.Err != nil || info == nil {
			return
		}
		from := info.HighWatermark - 1
		if o.Offset >= 0 {
			from = min(from, o.Offset)
		}
		if from > info.LogStartOffset {
			failed = b.cluster.DeleteRecords(o.Topic, o.Partition, from)
		}
	})
	return failed
}
