package socket

// IsLost is what the timer asks, without waiting for it.
func (l *Listener) IsLost() bool {
	l.changing.Lock()
	defer l.changing.Unlock()
	return l.isLost()
}
