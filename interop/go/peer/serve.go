package peer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"example.com/samehost/go/socket"
)

const (
	// silenceTime is how long a server that stops waits for connections on which nothing was said yet.
	silenceTime = time.Second
	// cutTime is how long it may take beyond the grace to cut what is left. Then the program ends without it.
	cutTime = time.Second
)

func (p *Peer) serveCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serves Greeter, grpc.testing.TestService, ORCA, health and reflection until SIGTERM or SIGINT.",
		Args:  cobra.NoArgs,
	}
	address := addSocketFlag(command)
	mode, group, grace := modeFlag(0o660), groupFlag(-1), secondsFlag{Duration: 5 * time.Second}
	var stopWhenRemoved removedFlag
	command.Flags().Var(&mode, "mode", "permissions of the socket")
	command.Flags().Var(&group, "group", "group of the socket, a name or a number (default the process's)")
	command.Flags().Var(&grace, "grace", "seconds that calls have to finish")
	command.Flags().Var(&stopWhenRemoved, "on-removed",
		"when someone removes the socket, serve what is in progress on, or stop with code 1")
	takeover := command.Flags().Bool("takeover", false, "take the path over from a server that has it, which drains and goes")
	trustFolder := command.Flags().Bool("trust-folder", false, "serve also in a folder that every user may write to")
	command.RunE = func(*cobra.Command, []string) error {
		options := socket.Options{
			Mode:        fs.FileMode(mode),
			Group:       int(group),
			Owner:       p.Library + " " + p.Version,
			Takeover:    *takeover,
			TrustFolder: *trustFolder,
		}
		if err := p.serve(address.Address, options, bool(stopWhenRemoved), grace.Duration); err != nil {
			return failure{err}
		}
		return nil
	}
	return command
}

// serve serves until a signal, a takeover or, where that is asked for, the removal of the socket; another signal ends it
// at once.
func (p *Peer) serve(address socket.Address, options socket.Options, stopWhenRemoved bool, grace time.Duration) error {
	stop, hurry := awaitSignals()
	listener, err := socket.Listen(stop, address, options)
	switch {
	case errors.Is(err, context.Canceled):
		return nil
	case err != nil:
		return err
	}
	defer listener.Withdraw()
	server := p.NewServer()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if stop.Err() != nil { // before a predecessor was told to go
		return nil
	}
	if err := listener.Publish(); err != nil {
		return err
	}
	if err := p.printReady(address); err != nil {
		return err
	}

	var removed <-chan struct{} // nil, from which nothing ever comes
	if stopWhenRemoved {
		removed = listener.Removed()
	}
	var reason error
	select {
	case err := <-failed:
		return fmt.Errorf("the server on %s gave up: %w; start it again", address.Path, err)
	case <-stop.Done():
	case <-listener.TakenOver():
	case <-removed:
		reason = errSaid
	}
	server.EndHealth()
	listener.Withdraw()
	drain(server, listener, grace, hurry)
	return reason
}

// awaitSignals returns a context that ends with the first signal, and a channel that is closed at the second.
func awaitSignals() (stop context.Context, hurry <-chan struct{}) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	stop, cancel := context.WithCancel(context.Background())
	second := make(chan struct{})
	go func() {
		<-signals
		cancel()
		<-signals
		close(second)
	}()
	return stop, second
}

// drain stops the server gracefully. It returns in bounded time, whatever clients and handlers do.
func drain(server Server, listener *socket.Listener, grace time.Duration, hurry <-chan struct{}) {
	defer time.AfterFunc(silenceTime, listener.HangUpOnSilent).Stop()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		server.Stop(ctx)
	}()
	select {
	case <-stopped:
	case <-hurry:
	case <-time.After(grace + cutTime):
	}
}

func (p *Peer) printReady(address socket.Address) error {
	return printJSON(os.Stdout, struct {
		Event          string `json:"event"`
		Address        string `json:"address"`
		PID            int    `json:"pid"`
		Implementation string `json:"implementation"`
		Version        string `json:"version"`
	}{"ready", address.String(), os.Getpid(), p.Library, p.Version})
}
