package samehost

import "time"

// watchInterval is the time between two checks of the file. Clients that wait for a server dial about as often, and a
// check takes a few microseconds. inotify(7) would report a change at once, but a user has only 128 instances, and it
// misses changes from the other side of a network mount.
const watchInterval = time.Second

// Removed returns a channel that is closed when someone removes the socket or puts another file in its place. New clients
// cannot connect to this server then. A takeover does not close the channel. The first call starts the checks.
func (l *Listener) Removed() <-chan struct{} {
	l.watching.Do(l.watch)
	return l.removed
}

func (l *Listener) watch() { time.AfterFunc(watchInterval, l.check) }

func (l *Listener) check() {
	l.changing.Lock()
	defer l.changing.Unlock()
	switch {
	case l.withdrawn:
	case l.isLost():
		close(l.removed)
	default:
		l.watch()
	}
}

// isLost reports whether the path no longer names this socket. The caller must hold l.changing: while the lock is lent, a
// successor may own the path. It checks l.path like a client, because someone may have replaced the folder.
func (l *Listener) isLost() bool { return l.lock != nil && !l.file.isAt(l.path) }
