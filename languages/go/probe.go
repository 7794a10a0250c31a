package samehost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// state is what is at a path.
type state int

const (
	absent state = iota
	notASocket
	stale     // a socket on which nobody listens
	forbidden // a socket to which this process may not connect
	live
)

func cannotLook(path string, err error) error {
	return fmt.Errorf("cannot look at %s: %w; check the folder it is in", path, cause(err))
}

// probe looks at the path and, where it is a socket, dials it. It never waits and never changes anything.
//
// A socket that is bound but does not listen yet looks stale, as connect(2) says ECONNREFUSED of both. That is why
// servers are kept apart by a lock and not by this.
func probe(path string) (state, error) {
	found, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return absent, nil
	case errors.Is(err, fs.ErrPermission):
		return forbidden, nil
	case err != nil:
		return 0, err
	case found.Mode().Type() != fs.ModeSocket:
		return notASocket, nil
	}
	switch err := dial(path); {
	case errors.Is(err, unix.ECONNREFUSED):
		return stale, nil
	case errors.Is(err, unix.ENOENT):
		return absent, nil
	case errors.Is(err, fs.ErrPermission):
		return forbidden, nil
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE): // this process could not dial
		return 0, err
	default: // connected, or EAGAIN: its backlog is full, so someone listens
		return live, nil
	}
}

func dial(path string) error {
	descriptor, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(descriptor)
	return unix.Connect(descriptor, &unix.SockaddrUnix{Name: path})
}

// describePermissions says whose a path is (or, where it can't be seen, the folder above), with which mode, and who asks.
func describePermissions(path string) string {
	for visible := path; ; visible = filepath.Dir(visible) {
		var found unix.Stat_t
		if unix.Stat(visible, &found) == nil {
			return fmt.Sprintf("%s belongs to uid %d and gid %d with mode %04o, and this process is uid %d with gids %s",
				visible, found.Uid, found.Gid, found.Mode&0o7777, os.Geteuid(), groups())
		}
		if visible == "/" {
			return "nothing above " + path + " can be seen"
		}
	}
}

func groups() string {
	ids, _ := os.Getgroups()
	ids = append(ids, os.Getegid())
	slices.Sort(ids)
	return strings.Trim(fmt.Sprint(slices.Compact(ids)), "[]")
}

// cause is what the system said, without the operation and the path that os wraps around it.
func cause(err error) error {
	var code syscall.Errno
	if errors.As(err, &code) {
		return code
	}
	return err
}
