package socket

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lock is the exclusive lock on a sidecar file that keeps two servers off one path. The system releases it when the
// process dies. Keep it referenced: an os.File that is garbage closes itself, and with it goes the lock.
//
// The file stays when the lock is released: if it were removed, one server could lock the removed file while the next
// one locks a new one.
type lock struct{ file *os.File }

// owner is what the file says of its owner, for error messages alone.
type owner struct {
	PID            int    `json:"pid"`
	Host           string `json:"host"`
	Implementation string `json:"implementation"`
}

func (o owner) String() string {
	return fmt.Sprintf("%s, process %d on host %s,", o.Implementation, o.PID, o.Host)
}

// inUseError says that someone else holds the lock.
type inUseError struct{ error }

// pace is how often to try for a lock: the system tells nobody of its release who won't wait for it without end.
const pace = 5 * time.Millisecond

// lockFor tries for so long while someone else holds the lock; 0 tries once.
func lockFor(path, implementation string, try time.Duration) (*lock, error) {
	name := path + ".lock"
	// 0600: whoever may open the file may lock it, and clients must not be able to.
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no folder %s for the socket %s; create it or mount it", filepath.Dir(path), path)
	case err != nil:
		return nil, fmt.Errorf("cannot open the lock file %s: %w; %s; let this process write there",
			name, cause(err), describePermissions(name))
	}
	if err := takeWithin(try, file, path); err != nil {
		file.Close()
		return nil, err
	}
	if err := write(file, implementation); err != nil {
		file.Close()
		return nil, err
	}
	return &lock{file}, nil
}

func takeWithin(try time.Duration, file *os.File, path string) error {
	deadline := time.Now().Add(try)
	for {
		err := take(file, path)
		if !errors.As(err, &inUseError{}) || !time.Now().Before(deadline) {
			return err
		}
		time.Sleep(pace)
	}
}

// take takes two locks, because neither kind stops the other: flock(2), which most languages use, and a record lock,
// which Java's FileChannel.tryLock uses. The record lock is Linux's open file description lock: a POSIX one would be
// lost as soon as this process closed any other descriptor of the file (fcntl(2)).
func take(file *os.File, path string) error {
	descriptor := file.Fd()
	err := unix.Flock(int(descriptor), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = unix.FcntlFlock(descriptor, unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES): // POSIX lets a record lock say either
		holder := "someone"
		if found, _ := read(file); found != nil {
			holder = found.String()
		}
		return inUseError{fmt.Errorf("%s has a server already: %s holds %s; stop that server or choose another path",
			path, holder, file.Name())}
	default:
		return fmt.Errorf("cannot lock %s: %w; choose a folder on a file system that has locks", file.Name(), err)
	}
}

// read returns the owner, or nil where the file says nothing that a server wrote; and whether it says anything.
func read(file *os.File) (*owner, bool) {
	text := make([]byte, 4096)
	size, _ := file.ReadAt(text, 0)
	var found owner
	if json.Unmarshal(text[:size], &found) != nil || found.Implementation == "" {
		return nil, size > 0
	}
	return &found, true
}

func write(file *os.File, implementation string) error {
	if found, used := read(file); used && found == nil {
		return fmt.Errorf("%s is needed as a lock file and holds something else; "+
			"choose another name for the socket %s, or move that file away",
			file.Name(), strings.TrimSuffix(file.Name(), ".lock"))
	}
	host, _ := os.Hostname()
	text, err := json.Marshal(owner{PID: os.Getpid(), Host: host, Implementation: implementation})
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = file.WriteAt(append(text, '\n'), 0)
	}
	if err != nil {
		return fmt.Errorf("cannot write the lock file %s: %w; see that its file system has space", file.Name(), cause(err))
	}
	return nil
}

func (l *lock) release() { l.file.Close() }
