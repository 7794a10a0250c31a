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

// state is the state of a path.
type state int

const (
	absent state = iota
	notASocket
	stale     // a socket without a listener
	forbidden // a socket to which this process may not connect
	live
)

// probe returns the state of a path. It dials a socket, but it never waits and never changes anything.
//
// A socket that is bound but does not listen yet is reported as stale, because connect(2) returns ECONNREFUSED for both.
// So probe cannot prevent two servers on one path; the lock does.
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
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE): // this process has no free descriptor
		return 0, err
	default: // connected, or EAGAIN because the backlog of the listener is full
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

// describePermissions describes the owner and mode of a path, and the user and groups of this process. If the path is not
// visible, it describes the nearest folder above that is.
func describePermissions(path string) string {
	for visible := path; ; visible = filepath.Dir(visible) {
		var found unix.Stat_t
		if unix.Stat(visible, &found) == nil {
			return fmt.Sprintf("%s belongs to uid %d and gid %d with mode %04o, and this process is uid %d with gids %s",
				visible, found.Uid, found.Gid, found.Mode&0o7777, os.Geteuid(), groups())
		}
		if visible == "/" {
			return "no folder above " + path + " is visible"
		}
	}
}

func groups() string {
	ids, _ := os.Getgroups()
	ids = append(ids, os.Getegid())
	slices.Sort(ids)
	return strings.Trim(fmt.Sprint(slices.Compact(ids)), "[]")
}

// cause returns the error number of the system, without the operation and the path that package os adds.
func cause(err error) error {
	var code syscall.Errno
	if errors.As(err, &code) {
		return code
	}
	return err
}
