package samehost

import (
	"context"
	"testing"
	"time"
)

func TestDrainEndsThoughTheServerDoesNot(t *testing.T) {
	listener := bind(t, newAddress(t))
	publish(t, listener)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	cut := make(chan struct{})
	begun := time.Now()
	listener.Drain(done, func() { select {} }, func() { close(cut) })
	if took := time.Since(begun); took < cutTime || took > patience {
		t.Errorf("Drain took %s; want about %s", took, cutTime)
	}
	expectClosed(t, cut, "what is left is cut")
	expectState(t, listener.path, absent)
}
