package samehost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock is an exclusive lock on the file <path>.lock. It prevents two servers on one path. The system releases it when the
// process dies. Keep a reference to it: the garbage collector closes an unreachable os.File, and that releases the lock.
//
// The file stays when the lock is released. If it were removed, one server could lock the removed file while the next
// server locks a new one.
type lock struct {
	file   *os.File
	socket string
	path   string // of the file, for messages
}

// owner describes the owner of the lock in the file, for error messages only.
type owner struct {
	PID            int    `json:"pid"`
	Host           string `json:"host"`
	Implementation string `json:"implementation"`
}

func (o owner) String() string {
	return fmt.Sprintf("%s, process %d on host %s,", o.Implementation, o.PID, o.Host)
}

// lockMode prevents other users from opening the file. Every user who can open it can lock it.
const lockMode fs.FileMode = 0o600

// tryLock takes the lock of a path. It returns ErrInUse if another process holds it.
func tryLock(folder *folder, path string, implementation string) (*lock, error) {
	l := &lock{socket: path, path: path + ".lock"}
	if err := l.open(folder); err != nil {
		return nil, err
	}
	err := l.refuseUnsafe(folder)
	if err == nil {
		err = l.take()
	}
	if err == nil {
		err = l.write(implementation)
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *lock) release() { l.file.Close() }

func (l *lock) open(folder *folder) (err error) {
	// Without O_NONBLOCK, opening a FIFO would block.
	const flags = os.O_RDWR | os.O_CREATE | unix.O_NOFOLLOW | unix.O_NONBLOCK
	l.file, err = os.OpenFile(folder.at(filepath.Base(l.path)), flags, lockMode)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO): // a link, folder, socket
		return l.notRegular()
	case err != nil:
		return l.cannotOpen(err)
	}
	return nil
}

func (l *lock) cannotOpen(err error) error {
	return fmt.Errorf("cannot listen on %s: cannot open %s: %w: %s; "+
		"start this server as that user, or use a folder with write permission and space",
		l.socket, l.path, cause(err), describePermissions(l.path))
}

func (l *lock) notRegular() error {
	return failed(ErrLockFile,
		"cannot listen on %s: %s is not a regular file with one name; remove it or use another path", l.socket, l.path)
}

// refuseUnsafe refuses a lock file that other users could lock, and sets its mode.
func (l *lock) refuseUnsafe(folder *folder) error {
	found, err := l.file.Stat()
	if err != nil {
		return l.cannotOpen(err)
	}
	if !found.Mode().IsRegular() || found.Sys().(*syscall.Stat_t).Nlink != 1 {
		return l.notRegular()
	}
	switch owner := ownerOf(found); owner {
	case os.Geteuid(), 0, ownerOf(folder.info):
	default:
		return failed(ErrLockFile, "cannot listen on %s: %s belongs to uid %d, who could block this server; "+
			"remove it or use a folder that only this user can write to", l.socket, l.path, owner)
	}
	if err := l.file.Chmod(lockMode); err != nil && found.Mode().Perm() != lockMode {
		return failed(ErrLockFile,
			"cannot listen on %s: %s has mode %04o, so that other users could lock it: %w; run chmod 600 %s",
			l.socket, l.path, found.Mode().Perm(), cause(err), l.path)
	}
	return nil
}

// take takes two locks, because neither kind excludes the other. Most languages use flock(2), and Java's
// FileChannel.tryLock uses a record lock. The record lock here is an open file description lock of Linux: a POSIX lock
// would be lost when this process closes any other descriptor of the file (fcntl(2)).
func (l *lock) take() error {
	descriptor := l.file.Fd()
	err := unix.Flock(int(descriptor), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = unix.FcntlFlock(descriptor, unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES): // POSIX allows both for a record lock
		holder := "another process"
		if found, _ := l.read(); found != nil {
			holder = found.String()
		}
		return failed(ErrInUse, "cannot listen on %s: %s holds %s; "+
			"stop that server, replace it with takeover, or use another path", l.socket, holder, l.path)
	default:
		return fmt.Errorf("cannot listen on %s: cannot lock %s: %w; use a file system that has locks",
			l.socket, l.path, err)
	}
}

// read returns the owner in the file, or nil if no server wrote it. It also reports whether the file has any content.
func (l *lock) read() (*owner, bool) {
	text := make([]byte, 4096)
	size, _ := l.file.ReadAt(text, 0)
	var found owner
	if json.Unmarshal(text[:size], &found) != nil || found.Implementation == "" {
		return nil, size > 0
	}
	return &found, true
}

func (l *lock) write(implementation string) error {
	if found, used := l.read(); used && found == nil {
		return failed(ErrLockFile,
			"cannot listen on %s: %s holds the data of another program; move it or use another path", l.socket, l.path)
	}
	host, _ := os.Hostname()
	text, err := json.Marshal(owner{PID: os.Getpid(), Host: host, Implementation: implementation})
	if err == nil {
		err = l.file.Truncate(0)
	}
	if err == nil {
		_, err = l.file.WriteAt(append(text, '\n'), 0)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %s: cannot write %s: %w; free space on its file system",
			l.socket, l.path, cause(err))
	}
	return nil
}
