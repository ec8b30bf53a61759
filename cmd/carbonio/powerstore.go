package main

import (
	"context"
	"fmt"

	"mailreplica/internal/admin"
)

const aboutVolumes = `The mailstore that the command talks to (--host) gets the volume. New messages of a mailstore go to its primary volume, of
which it has one; secondary ones are read. Accounts can have replicas only where every mailstore with a copy has the volumes
that their messages lie on, centralised.`

func volumeCommands() []*command {
	name := parameter{name: "volume_name", help: "its name, which never changes: every message there names it"}
	kind := parameter{name: "volume_type", help: "primary: new messages go there from now on; secondary: it is only read"}
	inBucket := func(store string) *command {
		return &command{
			module: "powerstore", name: "doCreateVolume " + store, summary: "Make a volume of a mailstore (--host) in a bucket",
			text: aboutVolumes + `
The place is marked as this volume's, and proven by writing, reading and deleting, before anything is recorded. One that is
another volume's is refused.`,
			positional: []parameter{name, kind, {name: "bucket_configuration_id", help: "the bucket: its id, as listBuckets shows it, or its label"}},
			options: []parameter{{name: "volume_prefix", also: "prefix", value: "P", help: "below which the blobs lie in the bucket"},
				{name: "centralized", value: "true|false", help: "whether other mailstores may have it, too (false if left out)"}},
			examples: []string{"powerstore doCreateVolume " + store + " central primary 7f0e9b52-0d5c-4f55-9d3c-52d8c1a1f7aa centralized true"},
			run:      runCreateVolume,
		}
	}
	return []*command{
		inBucket(admin.BucketS3),
		inBucket(admin.BucketMinIO),
		{
			module: "powerstore", name: "doCreateVolume Centralized", summary: "Give a mailstore (--host) a centralised volume of another",
			text:       aboutVolumes,
			positional: []parameter{{name: "server_name", help: "the mailstore that has it"}, name},
			options:    []parameter{{name: "volume_type", value: "primary|secondary", help: "as it is on that mailstore if left out"}},
			examples:   []string{"--host mbox2.example.com powerstore doCreateVolume Centralized mbox1.example.com central"},
			run:        runCreateCentralized,
		},
		{
			module: "powerstore", name: "doUpdateVolume", summary: "Send the new messages of a mailstore (--host) to another of its volumes",
			skips:      []string{admin.BucketS3, admin.BucketMinIO, admin.StoreFolder},
			text:       `Messages that are there stay where they are. The word S3, MinIO or FileBlob may stand before the name.`,
			positional: []parameter{name},
			options: []parameter{{name: "volume_type", value: "primary|secondary", help: "primary: new messages go there from now on"},
				{name: "current_volume", value: "true|false", help: "true is the same as volume_type primary"},
				{name: "centralized", value: "true|false", help: "whether other mailstores may have it, too"}},
			refused: map[string]string{"volume_prefix": "blobs lie below the one it has", "bucket_configuration_id": "blobs lie in the bucket it has",
				"volume_path": "it stands in the mailstore's configuration"},
			examples: []string{"--host mbox1.example.com powerstore doUpdateVolume central volume_type primary",
				"powerstore doUpdateVolume S3 central current_volume true"},
			run: runUpdateVolume,
		},
		{
			module: "powerstore", name: "doDeleteVolume", summary: "Take a volume from a mailstore (--host); refused while messages lie there",
			text:       "Blobs in the bucket stay there. It looks through all messages of the mailstore, which may take a while.",
			positional: []parameter{name}, examples: []string{"--host mbox1.example.com powerstore doDeleteVolume old"}, run: runDeleteVolume,
		},
		{
			module: "powerstore", name: "getAllVolumes", summary: "List the volumes of a mailstore (--host)",
			examples: []string{"--host mbox1.example.com powerstore getAllVolumes"}, run: runGetAllVolumes,
		},
	}
}

func runCreateVolume(ctx context.Context, s *session) error {
	in := admin.CreateVolume{Name: s.values["volume_name"], Type: s.values["volume_type"], Bucket: s.values["bucket_configuration_id"],
		Prefix: s.values["volume_prefix"]}
	centralized, err := s.truth("centralized")
	if err != nil {
		return err
	}
	in.Centralized = centralized != nil && *centralized
	made, err := s.client.CreateVolume(ctx, in)
	if err != nil {
		return err
	}
	s.notes(made.Notes)
	return s.printOne(volumeRecord(made))
}

func runCreateCentralized(ctx context.Context, s *session) error {
	made, err := s.client.CreateCentralized(ctx, admin.CreateCentralized{Server: s.values["server_name"], Name: s.values["volume_name"],
		Type: s.values["volume_type"]})
	if err != nil {
		return err
	}
	s.notes(made.Notes)
	return s.printOne(volumeRecord(made))
}

func runUpdateVolume(ctx context.Context, s *session) (err error) {
	in := admin.UpdateVolume{Name: s.values["volume_name"]}
	if text, given := s.values["volume_type"]; given {
		in.Type = &text
	}
	if in.Current, err = s.truth("current_volume"); err != nil {
		return err
	}
	if in.Centralized, err = s.truth("centralized"); err != nil {
		return err
	}
	changed, err := s.client.UpdateVolume(ctx, in)
	if err != nil {
		return err
	}
	return s.printOne(volumeRecord(changed))
}

func runDeleteVolume(ctx context.Context, s *session) error {
	if err := s.client.DeleteVolume(ctx, s.values["volume_name"]); err != nil {
		return err
	}
	fmt.Fprintf(s.stderr, "the mailstore has the volume %s no more; its blobs stay where they are\n", printable(s.values["volume_name"]))
	return nil
}

func runGetAllVolumes(ctx context.Context, s *session) error {
	found, err := s.client.GetAllVolumes(ctx)
	if err != nil {
		return err
	}
	all := make(records, len(found))
	for i, v := range found {
		all[i] = volumeRecord(v)
	}
	return s.print(all)
}

func volumeRecord(v admin.Volume) record {
	return record{{name: "mailstore", value: v.Mailstore, spare: 1}, {name: "name", value: v.Name}, {name: "storeType", value: v.StoreType},
		{name: "volumeType", value: v.VolumeType}, {name: "isCurrent", value: v.IsCurrent, more: true}, {name: "centralized", value: v.Centralized},
		{name: "path", value: v.Path, spare: 2}, {name: "bucketName", value: v.BucketName, spare: 3},
		{name: "bucketConfigurationId", value: v.BucketID, spare: 5}, {name: "volumePrefix", value: v.Prefix, spare: 4}}
}
