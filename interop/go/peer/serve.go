package peer

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"example.com/samehost/go/socket"
)

// silenceTime is how long a server that stops waits for connections on which nothing was said yet.
const silenceTime = time.Second

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
	command.RunE = func(*cobra.Command, []string) error {
		options := socket.Options{
			Mode:     fs.FileMode(mode),
			Group:    int(group),
			Owner:    p.Library + " " + p.Version,
			Takeover: *takeover,
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
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)

	listener, err := socket.Listen(address, options)
	if err != nil {
		return err
	}
	defer listener.Withdraw()
	server := p.NewServer()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-signals: // before a predecessor was told to go
		return nil
	default:
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
	case <-signals:
	case <-listener.TakenOver():
	case <-removed:
		reason = errSaid
	}
	server.EndHealth()
	listener.Withdraw()
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
	case <-signals:
	}
	return reason
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
