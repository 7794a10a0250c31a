package samehost

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPathBytes is the longest path of a socket: sun_path of Linux's unix(7) has 108 bytes, one of them the final NUL.
const maxPathBytes = 107

// gRPC reads an address as a URI (grpc/grpc doc/naming.md), in which these begin an escape, a query, a fragment and the
// next of several addresses. Libraries differ in whether they undo it, so such a path would not be one path.
const reserved = "%?#,"

// ParseAddress returns the path in unix:/absolute/path, unix:///absolute/path or a plain absolute path, or [ErrAddress].
// Every function that takes a path takes such an address too.
func ParseAddress(address string) (path string, err error) {
	path = strings.TrimPrefix(address, "unix:")
	if strings.HasPrefix(path, "///") {
		path = path[2:]
	}
	if fault := pathFault(path); fault != "" {
		return "", failed(ErrAddress, "bad socket address '%s': %s", address, fault)
	}
	return path, nil
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
	if len(path) > maxPathBytes {
		return fmt.Sprintf("the path has %d bytes and a Unix socket's may have %d; choose a shorter one", len(path), maxPathBytes)
	}
	return ""
}
