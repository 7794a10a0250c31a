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

// lock is the exclusive lock on a sidecar file that keeps two servers off one path. The system releases it when the
// process dies. Keep it referenced: an os.File that is garbage closes itself, and with it goes the lock.
//
// The file stays when the lock is released: if it were removed, one server could lock the removed file while the next
// one locks a new one.
type lock struct {
	file   *os.File
	socket string
	path   string // of the file, for messages
}

// owner is what the file says of its owner, for error messages alone.
type owner struct {
	PID            int    `json:"pid"`
	Host           string `json:"host"`
	Implementation string `json:"implementation"`
}

func (o owner) String() string {
	return fmt.Sprintf("%s, process %d on host %s,", o.Implementation, o.PID, o.Host)
}

// lockMode keeps others from opening the file: whoever may open it may lock it.
const lockMode fs.FileMode = 0o600

// tryLock takes the lock of an address, or fails with ErrInUse where someone else holds it.
func tryLock(folder *folder, path string, implementation string) (*lock, error) {
	l := &lock{socket: path, path: path + ".lock"}
	if err := l.open(folder); err != nil {
		return nil, err
	}
	err := l.refuseWhatOthersMayLock(folder)
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
	// O_NONBLOCK, as someone may have put a FIFO there.
	const flags = os.O_RDWR | os.O_CREATE | unix.O_NOFOLLOW | unix.O_NONBLOCK
	l.file, err = os.OpenFile(folder.at(filepath.Base(l.path)), flags, lockMode)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO): // a link, folder, socket
		return l.irregular()
	case err != nil:
		return fmt.Errorf("cannot open the lock file %s: %w; %s; let this process write there",
			l.path, cause(err), describePermissions(l.path))
	}
	return nil
}

func (l *lock) irregular() error {
	return failed(ErrLockFile, "%s is needed as a lock file and is not a regular file with one name; "+
		"remove it, or choose another name for the socket", l.path)
}

func (l *lock) refuseWhatOthersMayLock(folder *folder) error {
	found, err := l.file.Stat()
	if err != nil {
		return fmt.Errorf("cannot look at the lock file %s: %w; check its file system", l.path, cause(err))
	}
	if !found.Mode().IsRegular() || found.Sys().(*syscall.Stat_t).Nlink != 1 {
		return l.irregular()
	}
	switch owner := ownerOf(found); owner {
	case os.Geteuid(), 0, ownerOf(folder.info):
	default:
		return failed(ErrLockFile, "the lock file %s belongs to uid %d, who could keep this server from starting; "+
			"remove it, or choose a folder that only this user may write to", l.path, owner)
	}
	if err := l.file.Chmod(lockMode); err != nil && found.Mode().Perm() != lockMode {
		return failed(ErrLockFile, "the lock file %s has mode %04o, with which others can hold it: %w; run chmod 600 %s",
			l.path, found.Mode().Perm(), cause(err), l.path)
	}
	return nil
}

// take takes two locks, because neither kind stops the other: flock(2), which most languages use, and a record lock,
// which Java's FileChannel.tryLock uses. The record lock is Linux's open file description lock: a POSIX one would be
// lost as soon as this process closed any other descriptor of the file (fcntl(2)).
func (l *lock) take() error {
	descriptor := l.file.Fd()
	err := unix.Flock(int(descriptor), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = unix.FcntlFlock(descriptor, unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES): // POSIX lets a record lock say either
		holder := "someone"
		if found, _ := l.read(); found != nil {
			holder = found.String()
		}
		return failed(ErrInUse, "%s has a server already: %s holds %s; stop that server or choose another path",
			l.socket, holder, l.path)
	default:
		return fmt.Errorf("cannot lock %s: %w; choose a folder on a file system that has locks", l.path, err)
	}
}

// read returns the owner, or nil where the file says nothing that a server wrote; and whether it says anything.
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
		return failed(ErrLockFile, "%s is needed as a lock file and holds something else; "+
			"choose another name for the socket %s, or move that file away", l.path, l.socket)
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
		return fmt.Errorf("cannot write the lock file %s: %w; see that its file system has space", l.path, cause(err))
	}
	return nil
}
