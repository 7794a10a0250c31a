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

// folder is an open folder. Paths below its path stay in it even if someone renames it and puts another folder in its
// place.
//
// os.Root does the same, but it cannot bind a socket, and it needs permission to read the folder.
type folder struct {
	file *os.File
	name string      // the path that was opened
	path string      // the path through the descriptor, valid while the folder is open
	info fs.FileInfo // as of the opening
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

// at returns the path of a name in the folder. It is valid until the folder is closed.
func (f *folder) at(name string) string { return filepath.Join(f.path, name) }

func (f *folder) close() { f.file.Close() }

// openSocketFolder opens the folder of a socket. It refuses a folder in which every user can replace the socket, unless
// TrustFolder allows it. Every user with write permission on a folder can replace its files, unless it has the sticky bit
// (unlink(2)).
func openSocketFolder(socket string, options Options) (*folder, error) {
	path := filepath.Dir(socket)
	opened, err := openFolder(path, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil, failed(fs.ErrNotExist, "cannot listen on %s: the folder %s does not exist; create it or mount it",
			socket, path)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: cannot open its folder: %w: %s; give this process search permission",
			socket, cause(err), describePermissions(path))
	}
	mode := opened.info.Mode()
	if mode.Perm()&0o002 == 0 || mode&fs.ModeSticky != 0 {
		return opened, nil
	}
	if !options.TrustFolder {
		opened.close()
		return nil, failed(ErrUnsafeFolder,
			"cannot listen on %s: every user can replace the socket, because %s has mode %04o; run chmod o-w %s",
			socket, path, mode.Perm(), path)
	}
	options.Logger.Warn("every user can replace the socket", "socket", socket, "folder", path,
		"mode", fmt.Sprintf("%04o", mode.Perm()))
	return opened, nil
}

// privateFolder is a subfolder that only this user can enter.
type privateFolder struct {
	*folder
	parent *folder
	name   string
}

// makePrivateFolder creates a private folder. If this process is killed, sweep finds the folder by its prefix.
func makePrivateFolder(parent *folder, prefix string) (*privateFolder, error) {
	name := prefix + randomDigits()
	if err := os.Mkdir(parent.at(name), 0o700); err != nil {
		return nil, err
	}
	created, err := openPrivateFolder(parent, name)
	if err != nil {
		return nil, err
	}
	mode := created.info.Mode()
	if mode.Perm() == 0o700 { // otherwise the umask removed bits
		return created, nil
	}
	// Keep the set-gid bit, which chmod(2) may clear: the socket inherits the group of the folder through it.
	if err := os.Chmod(created.path, 0o700|mode&fs.ModeSetgid); err != nil {
		created.remove()
		return nil, err
	}
	return created, nil
}

// openPrivateFolder opens a private folder. It refuses a folder that another user can enter.
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

// remove removes the folder and the sockets in it, and closes it. Call it once.
func (f *privateFolder) remove() {
	entries, _ := os.ReadDir(f.path)
	for _, entry := range entries {
		if entry.Type() == fs.ModeSocket {
			os.Remove(f.at(entry.Name()))
		}
	}
	f.close()
	// os.Remove would also remove a file that someone put in place of the folder.
	_ = unix.Rmdir(f.parent.at(f.name))
}

// sweep removes the private folders of killed servers. The caller must hold the lock.
func sweep(parent *folder, prefix string) {
	entries, _ := os.ReadDir(parent.path) // fails if this process may not read the folder
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		if left, err := openPrivateFolder(parent, entry.Name()); err == nil {
			left.remove()
		}
	}
}

// privatePrefix returns the prefix of the private folders of a socket. Two sockets in one folder have the same prefix with
// a probability of 1 in 4 billion.
func privatePrefix(path string) string {
	digest := sha256.Sum256([]byte(filepath.Base(path)))
	return "." + hex.EncodeToString(digest[:4])
}

// randomDigits returns 8 random hexadecimal digits. Another user cannot create all these names in advance.
func randomDigits() string {
	var token [4]byte
	rand.Read(token[:]) // never fails
	return hex.EncodeToString(token[:])
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
