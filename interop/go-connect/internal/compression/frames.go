package compression

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
)

// A gRPC frame has one byte with the compressed flag, 4 bytes with the length of the message, and the message (grpc/grpc
// doc/PROTOCOL-HTTP2.md).
const (
	headerBytes    = 5
	compressedFlag = 1
)

// observer records the flags of frames, which arrive in pieces of any size.
type observer struct {
	call   *Call
	header []byte
	left   int // of the message
}

func (o *observer) observe(piece []byte) {
	for len(piece) > 0 {
		if o.left > 0 {
			skipped := min(o.left, len(piece))
			o.left -= skipped
			piece = piece[skipped:]
			continue
		}
		wanted := min(headerBytes-len(o.header), len(piece))
		o.header = append(o.header, piece[:wanted]...)
		piece = piece[wanted:]
		if len(o.header) == headerBytes {
			o.call.received = append(o.call.received, o.header[0]&compressedFlag != 0)
			o.left = int(binary.BigEndian.Uint32(o.header[1:]))
			o.header = o.header[:0]
		}
	}
}

// compressor compresses the frames that the call selects. They arrive in pieces of any size.
type compressor struct {
	call    *Call
	pending []byte
}

// compress adds a piece and returns the frames that are complete.
func (c *compressor) compress(piece []byte) ([]byte, error) {
	c.pending = append(c.pending, piece...)
	var complete []byte
	for len(c.pending) >= headerBytes {
		size := headerBytes + int(binary.BigEndian.Uint32(c.pending[1:headerBytes]))
		if len(c.pending) < size {
			break
		}
		frame := c.pending[:size]
		c.pending = c.pending[size:]
		if c.call.next() {
			var err error
			if frame, err = compressed(frame[headerBytes:]); err != nil {
				return nil, err
			}
		}
		complete = append(complete, frame...)
	}
	return complete, nil
}

// compressed returns a frame with the compressed message.
func compressed(message []byte) ([]byte, error) {
	frame := bytes.NewBuffer(make([]byte, headerBytes))
	writer := gzip.NewWriter(frame)
	if _, err := writer.Write(message); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	frame.Bytes()[0] = compressedFlag
	binary.BigEndian.PutUint32(frame.Bytes()[1:], uint32(frame.Len()-headerBytes))
	return frame.Bytes(), nil
}
