package samehost

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPathBytes is the longest path of a socket. sun_path in Linux's unix(7) has 108 bytes, and the last one is a NUL.
const maxPathBytes = 107

// gRPC reads an address as a URI (grpc/grpc doc/naming.md). In a URI these characters start an escape, a query, a fragment
// and the next of several addresses. Not all libraries decode them, so one address could name two paths.
const reserved = "%?#,"

// ParseAddress returns the path of unix:/absolute/path, unix:///absolute/path or a plain absolute path. It returns
// [ErrAddress] if the address is invalid. Every function that takes a path also takes such an address.
func ParseAddress(address string) (path string, err error) {
	path = strings.TrimPrefix(address, "unix:")
	if strings.HasPrefix(path, "///") {
		path = path[2:]
	}
	if problem := checkPath(path); problem != "" {
		return "", failed(ErrAddress, "invalid socket address %q: %s", address, problem)
	}
	return path, nil
}

// checkPath returns the problem of a path and the remedy, or "" if the path is valid.
func checkPath(path string) string {
	switch {
	case path == "":
		return "the path is empty; use unix:/absolute/path"
	case strings.HasPrefix(path, "//"):
		return "a host follows two slashes; use unix:/absolute/path or unix:///absolute/path"
	case !strings.HasPrefix(path, "/"):
		return "the path is not absolute; use unix:/absolute/path"
	case strings.HasSuffix(path, "/"), strings.HasSuffix(path, "/."), strings.HasSuffix(path, "/.."):
		return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock"
	case !utf8.ValidString(path):
		return differentlyRead("invalid UTF-8")
	}
	for _, r := range path {
		if strings.ContainsRune(reserved, r) || !unicode.IsPrint(r) {
			return differentlyRead(strconv.QuoteRune(r))
		}
	}
	if len(path) > maxPathBytes {
		return fmt.Sprintf("the path has %d bytes, and a socket can have %d; use a shorter path", len(path), maxPathBytes)
	}
	return ""
}

func differentlyRead(character string) string {
	return fmt.Sprintf("gRPC libraries read %s in a path differently; use a path without it", character)
}
