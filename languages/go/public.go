package samehost

import (
	"io/fs"
	"os"
	"path/filepath"
)

// publicFile is a name in the folder of the socket. This process renames one of its sockets to it.
type publicFile struct {
	folder *folder
	name   string
	own    fs.FileInfo // identifies the socket of this process; nil before publish
}

func (f *publicFile) path() string { return f.folder.at(f.name) }

func (f *publicFile) publish(private string) (err error) {
	if f.own, err = os.Lstat(private); err != nil {
		return err
	}
	return os.Rename(private, f.path())
}

func (f *publicFile) isOwn() bool { return f.isAt(f.path()) }

// isAt reports whether the socket of this process is at a path.
func (f *publicFile) isAt(path string) bool {
	found, err := os.Lstat(path)
	return err == nil && os.SameFile(found, f.own)
}

// removeIfOwn removes the socket of this process. The caller must hold the lock: otherwise a successor could publish its
// own socket between the check and the removal.
func (f *publicFile) removeIfOwn() {
	if f.isOwn() {
		os.Remove(f.path())
	}
}

// keep gives the socket a second name, so that restore can bring it back.
func (f *publicFile) keep(kept *privateFolder) {
	if f.isOwn() {
		// Not every file system has hard links. Without a link, Removed reports that the name is lost.
		_ = os.Link(f.path(), kept.at(f.name))
	}
}

// restore gives the socket its public name again after a successor took the name and died. The caller must hold the lock.
func (f *publicFile) restore(kept *privateFolder) {
	if f.isOwn() {
		return
	}
	// f.path() may be too long to dial.
	if state, err := probe(filepath.Join(f.folder.name, f.name)); err == nil && (state == absent || state == stale) {
		_ = os.Rename(kept.at(f.name), f.path())
	}
}
