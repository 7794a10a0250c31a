package compression

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// The sizes of reads must not change which messages are compressed or which flags the receiver sees.
func TestFlagsWithDifferentReadSizes(t *testing.T) {
	frames := []byte("\x00\x00\x00\x00\x03one" + "\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x05three")
	for name, cut := range map[string]func(io.Reader) io.Reader{
		"whole":                  func(reader io.Reader) io.Reader { return reader },
		"bytes":                  iotest.OneByteReader,
		"halves":                 iotest.HalfReader,
		"EOF with the last byte": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			_, sender := WithCall(context.Background())
			sender.CompressEach(true, false, true)
			sent := &sentBody{ReadCloser: io.NopCloser(cut(bytes.NewReader(frames))), compressor: compressor{call: sender}}
			_, receiver := WithCall(context.Background())
			received := &receivedBody{io.NopCloser(iotest.HalfReader(sent)), observer{call: receiver}}
			if _, err := io.Copy(io.Discard, received); err != nil {
				t.Fatal(err)
			}
			if want := []bool{true, false, true}; !slices.Equal(receiver.Received(), want) {
				t.Errorf("received flags: %v; want %v", receiver.Received(), want)
			}
		})
	}
}
