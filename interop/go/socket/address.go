// Package socket has what a Unix domain socket adds to gRPC, and nothing of a gRPC library: the address, the life of the
// file, and why a server can't be reached. PROTOCOL.md says what is kept here.
package socket

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPathBytes is the longest path of a socket: sun_path of Linux's unix(7) has 108 bytes, one of them the final NUL.
const MaxPathBytes = 107

const scheme = "unix:"

// gRPC reads an address as a URI (grpc/grpc doc/naming.md), in which these begin an escape, a query, a fragment and the
// next of several addresses. Libraries differ in whether they undo it, so such a path would not be one path.
const reserved = "%?#,"

// Address is where a server listens: an absolute path of at most MaxPathBytes.
type Address struct{ Path string }

// String is the address as every gRPC library takes it for a target: unix:/absolute/path.
func (a Address) String() string { return scheme + a.Path }

// ParseAddress reads unix:/absolute/path, unix:///absolute/path or a plain absolute path.
func ParseAddress(text string) (Address, error) {
	path := strings.TrimPrefix(text, scheme)
	if strings.HasPrefix(path, "///") {
		path = path[2:]
	}
	if fault := pathFault(path); fault != "" {
		return Address{}, fmt.Errorf("bad socket address '%s': %s", text, fault)
	}
	return Address{Path: path}, nil
}

// pathFault says what is wrong with a path, and the remedy.
func pathFault(path string) string {
	switch {
	case path == "":
		return "the path is empty; write unix:/absolute/path"
	case strings.HasPrefix(path, "//"):
		return "two slashes make the next word a host; write unix:/absolute/path or unix:///absolute/path"
	case !strings.HasPrefix(path, "/"):
		return "the path is not absolute; write unix:/absolute/path"
	case strings.HasSuffix(path, "/"), strings.HasSuffix(path, "/."), strings.HasSuffix(path, "/.."):
		return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock"
	case !utf8.ValidString(path):
		return "the path is not UTF-8, which gRPC libraries do not all read alike; choose another one"
	}
	for _, r := range path {
		if strings.ContainsRune(reserved, r) || !unicode.IsPrint(r) {
			return fmt.Sprintf("the path contains %q, which gRPC libraries do not all read alike; choose a path without it", r)
		}
	}
	if len(path) > MaxPathBytes {
		return fmt.Sprintf("the path has %d bytes and a Unix socket's may have %d; choose a shorter one", len(path), MaxPathBytes)
	}
	return ""
}
