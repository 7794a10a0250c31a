package samehost

import (
	"context"
	"testing"
	"time"
)

func TestDrainReturnsWhenGracefulHangs(t *testing.T) {
	listener := bind(t, newAddress(t))
	publish(t, listener)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	cut := make(chan struct{})
	started := time.Now()
	listener.Drain(done, func() { select {} }, func() { close(cut) })
	if took := time.Since(started); took < cutTime || took > patience {
		t.Errorf("Drain took %s; want about %s", took, cutTime)
	}
	expectClosed(t, cut, "cut was called")
	expectState(t, listener.path, absent)
}
