package replica

import "github.com/klauspost/compress/zstd"

// frames packs and unpacks the chunks of snapshots. Its tables take megabytes, and making them more time than copying a small
// mailbox: all snapshots of a mailstore share them.
type frames struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// newFrames makes what packs quickly rather than small: a snapshot travels once.
func newFrames() frames {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err) // these options are constant: it is a defect
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(snapshotChunkBytesMax))
	if err != nil {
		panic(err)
	}
	return frames{encoder, decoder}
}

// pack appends a frame of a chunk, with its checksum. unpack undoes that, and fails where the checksum does.
func (f frames) pack(chunk, to []byte) []byte { return f.encoder.EncodeAll(chunk, to) }

func (f frames) unpack(frame []byte) ([]byte, error) { return f.decoder.DecodeAll(frame, nil) }
