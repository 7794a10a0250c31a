package samehost

import "time"

// watchPace is how often to look whether the file is still there: clients that wait for a server dial about as often,
// and a look takes some microseconds. inotify(7) would tell at once, but a user has 128 of them, and it hears nothing
// of what the other side of a network mount does.
const watchPace = time.Second

// Removed returns a channel that is closed when someone has removed the file, or put another in its place, and did not
// take the path over: no new client finds this server. The first call begins to watch.
func (l *Listener) Removed() <-chan struct{} {
	l.watching.Do(l.watch)
	return l.removed
}

func (l *Listener) watch() { time.AfterFunc(watchPace, l.look) }

func (l *Listener) look() {
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

// isLost needs l.changing: without the lock, a successor may have the path. It looks where clients do, as someone may have
// put another folder in the place of the one that is open.
func (l *Listener) isLost() bool { return l.lock != nil && !l.file.isAt(l.path) }
