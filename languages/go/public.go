package samehost

import (
	"io/fs"
	"os"
	"path/filepath"
)

// publicFile is a name in the folder of the socket, to which this process renames a socket of its own.
type publicFile struct {
	folder *folder
	name   string
	own    fs.FileInfo // of this process's socket; nil before publish
}

func (f *publicFile) path() string { return f.folder.at(f.name) }

func (f *publicFile) publish(private string) (err error) {
	if f.own, err = os.Lstat(private); err != nil {
		return err
	}
	return os.Rename(private, f.path())
}

func (f *publicFile) isOwn() bool { return f.isAt(f.path()) }

// isAt tells whether this process's socket is at a path.
func (f *publicFile) isAt(path string) bool {
	found, err := os.Lstat(path)
	return err == nil && os.SameFile(found, f.own)
}

// removeIfOwn needs the lock: without it, a successor could publish its own file between the look and the removal.
func (f *publicFile) removeIfOwn() {
	if f.isOwn() {
		os.Remove(f.path())
	}
}

// keep gives the socket another name, for restore.
func (f *publicFile) keep(kept *privateFolder) {
	if f.isOwn() {
		// Not every file system has hard links. Without one, Removed tells when the name is lost.
		_ = os.Link(f.path(), kept.at(f.name))
	}
}

// restore gives the socket its public name again, where a successor has died that had taken it. It needs the lock.
func (f *publicFile) restore(kept *privateFolder) {
	if f.isOwn() {
		return
	}
	// Not f.path, which may be too long to dial.
	if state, err := probe(filepath.Join(f.folder.name, f.name)); err == nil && (state == absent || state == stale) {
		_ = os.Rename(kept.at(f.name), f.path())
	}
}
