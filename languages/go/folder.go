package samehost

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// folder is an open folder. Paths that begin with its own stay in it, also when someone renames it and puts another one
// in its place.
//
// os.Root does the same, but cannot bind a socket, and opening one needs permission to read the folder.
type folder struct {
	file *os.File
	name string      // how it was opened
	path string      // how it is reached while it is open
	info fs.FileInfo // from when it was opened
}

func openFolder(path string, flags int) (*folder, error) {
	// O_PATH needs no permission to read the folder.
	file, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY|flags, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	held := "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
	if _, err := os.Stat(held); err != nil { // no /proc is mounted
		held = path
	}
	return &folder{file, path, held, info}, nil
}

// at returns a path to what has this name in the folder. It is valid until the folder is closed.
func (f *folder) at(name string) string { return filepath.Join(f.path, name) }

func (f *folder) close() { f.file.Close() }

// openSocketFolder opens the folder of a socket. It refuses a folder in which every user can replace the socket, unless
// such a folder is trusted: whoever may write to a folder may do so, unless its sticky bit is set (unlink(2)).
func openSocketFolder(socket string, options Options) (*folder, error) {
	path := filepath.Dir(socket)
	opened, err := openFolder(path, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil, failed(fs.ErrNotExist, "no folder %s for the socket %s; create it or mount it", path, socket)
	case err != nil:
		return nil, fmt.Errorf("cannot open the folder of %s: %w; %s", socket, cause(err), describePermissions(path))
	}
	mode := opened.info.Mode()
	if mode.Perm()&0o002 == 0 || mode&fs.ModeSticky != 0 {
		return opened, nil
	}
	if !options.TrustFolder {
		opened.close()
		return nil, failed(ErrUnsafeFolder, "every user can replace the socket %s: %s has mode %04o; run chmod o-w %s",
			socket, path, mode.Perm(), path)
	}
	options.Logger.Warn("every user can replace the socket", "socket", socket, "folder", path,
		"mode", fmt.Sprintf("%04o", mode.Perm()))
	return opened, nil
}

// privateFolder is a folder in another one, which only this user may enter.
type privateFolder struct {
	*folder
	parent *folder
	name   string
}

// makePrivateFolder makes a new one. The prefix of its name is for sweep, when this process is killed.
func makePrivateFolder(parent *folder, prefix string) (*privateFolder, error) {
	name := prefix + randomDigits()
	if err := os.Mkdir(parent.at(name), 0o700); err != nil {
		return nil, err
	}
	made, err := openPrivateFolder(parent, name)
	if err != nil {
		return nil, err
	}
	mode := made.info.Mode()
	if mode.Perm() == 0o700 { // otherwise the umask has taken bits away
		return made, nil
	}
	// chmod(2) may clear the bit by which the folder's group is inherited.
	if err := os.Chmod(made.path, 0o700|mode&fs.ModeSetgid); err != nil {
		made.remove()
		return nil, err
	}
	return made, nil
}

// openPrivateFolder refuses a folder in which anybody else can have put something.
func openPrivateFolder(parent *folder, name string) (*privateFolder, error) {
	opened, err := openFolder(parent.at(name), unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	if ownerOf(opened.info) != os.Geteuid() || opened.info.Mode().Perm()&0o077 != 0 {
		opened.close()
		return nil, errors.New("another user can enter it")
	}
	return &privateFolder{opened, parent, name}, nil
}

// remove removes the folder and the sockets in it, and closes it. It must be called once.
func (f *privateFolder) remove() {
	entries, _ := os.ReadDir(f.path)
	for _, entry := range entries {
		if entry.Type() == fs.ModeSocket {
			os.Remove(f.at(entry.Name()))
		}
	}
	f.close()
	// os.Remove would remove a file, too, that someone has put in the folder's place.
	_ = unix.Rmdir(f.parent.at(f.name))
}

// sweep removes the private folders that killed servers have left. The caller holds the lock.
func sweep(parent *folder, prefix string) {
	entries, _ := os.ReadDir(parent.path) // not every folder that a server may write to can be read
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		if left, err := openPrivateFolder(parent, entry.Name()); err == nil {
			left.remove()
		}
	}
}

// privatePrefix begins the names of a socket's private folders. Two sockets of one folder share one once in 4 billion.
func privatePrefix(path string) string {
	digest := sha256.Sum256([]byte(filepath.Base(path)))
	return "." + hex.EncodeToString(digest[:4])
}

// randomDigits returns one of so many names that nobody can make all of them first.
func randomDigits() string {
	var token [4]byte
	rand.Read(token[:]) // never fails
	return hex.EncodeToString(token[:])
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
