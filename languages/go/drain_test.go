package samehost

import (
	"context"
	"errors"
	"net"
	"net/http"
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
	err := listener.Drain(done, func() { select {} }, func() { close(cut) })
	if took := time.Since(started); took < cutTime || took > patience {
		t.Errorf("Drain took %s; want about %s", took, cutTime)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Drain returned %v; want %v", err, context.Canceled)
	}
	expectClosed(t, cut, "cut was called")
	expectState(t, listener.path, absent)
}

func TestDrainReturnsNoErrorWhenAllCallsFinished(t *testing.T) {
	listener := bind(t, newAddress(t))
	publish(t, listener)
	if err := listener.Drain(t.Context(), func() {}, func() { t.Error("cut was called") }); err != nil {
		t.Errorf("Drain returned %v; want nil", err)
	}
}

func TestDrainHTTPReturnsTheErrorOfTheContextWhenItCutsCalls(t *testing.T) {
	listener := bind(t, newAddress(t))
	publish(t, listener)
	called, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(called)
		<-end
	})}
	go func() { _ = server.Serve(listener) }()
	client, err := net.Dial("unix", listener.path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	expectClosed(t, called, "the call started")
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := listener.DrainHTTP(done, server); !errors.Is(err, context.Canceled) {
		t.Errorf("DrainHTTP returned %v; want %v", err, context.Canceled)
	}
}
