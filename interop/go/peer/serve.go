package peer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"example.com/samehost"
)

func (p *Peer) serveCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serves GreeterService, grpc.testing.TestService, ORCA, health and reflection until SIGTERM or SIGINT.",
		Args:  cobra.NoArgs,
	}
	socket := addSocketFlag(command)
	mode, group, grace := modeFlag(0o660), groupFlag(""), secondsFlag{Duration: 5 * time.Second}
	stopWhenRemoved := false
	command.Flags().Var(&mode, "mode", "permissions of the socket")
	command.Flags().Var(&group, "group", "group of the socket, a name or a number (default the group of a new file there)")
	command.Flags().Var(&grace, "grace", "seconds that calls have to finish after a signal")
	command.Flags().Func("on-removed",
		"when someone removes the socket, `serve|stop`: continue to serve (default), or drain and exit with 1",
		func(text string) error {
			stopWhenRemoved = text == "stop"
			if !stopWhenRemoved && text != "serve" {
				return errors.New("use serve or stop")
			}
			return nil
		})
	takeover := command.Flags().Bool("takeover", false, "replace a running server, which then drains and exits")
	trustFolder := command.Flags().Bool("trust-folder", false, "allow a folder that every user may write to, with a warning")
	command.RunE = func(*cobra.Command, []string) error {
		options := samehost.Options{
			Mode:          fs.FileMode(mode) | fs.ModeSocket, // --mode 0000 is not the default
			Group:         string(group),
			Owner:         p.Library + " " + p.Version,
			TrustFolder:   *trustFolder,
			AllowTakeover: true,
			TakeOver:      *takeover,
		}
		err := p.serve(socket.path, options, stopWhenRemoved, grace.Duration)
		if errors.Is(err, samehost.ErrUnsafeFolder) {
			err = fmt.Errorf("%w, or use --trust-folder", err)
		}
		if err != nil {
			return failure{err}
		}
		return nil
	}
	return command
}

// serve serves until a signal, a takeover or, with stopWhenRemoved, the removal of the socket. It then drains. A second
// signal ends it at once.
func (p *Peer) serve(path string, options samehost.Options, stopWhenRemoved bool, grace time.Duration) error {
	stop, hurry := awaitSignals()
	server := p.NewServer()
	listener, err := samehost.Listen(stop, path, options)
	switch {
	case errors.Is(err, context.Canceled):
		return nil
	case err != nil:
		return err
	}
	defer listener.Close()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if err := p.printReady(path); err != nil {
		return err
	}

	removed := make(chan struct{}) // closed if the removal is a reason to stop
	go func() {
		<-listener.Removed()
		slog.Warn("the socket " + path + " was removed or replaced, and new clients cannot connect; start the server again")
		if stopWhenRemoved {
			close(removed)
		}
	}()
	var reason error
	select {
	case err := <-failed:
		return fmt.Errorf("the server on %s failed: %w; start it again", path, err)
	case <-stop.Done():
	case <-listener.TakenOver():
	case <-removed:
		reason = errPrinted
	}
	server.EndHealth()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- server.Drain(ctx, listener) }()
	select {
	case err := <-drained:
		if err != nil {
			slog.Warn(fmt.Sprintf("calls on %s ran longer than the grace of %s and were cancelled", path, grace))
		}
	case <-hurry:
	}
	return reason
}

// awaitSignals returns a context that ends at the first signal, and a channel that is closed at the second signal.
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

func (p *Peer) printReady(path string) error {
	return printJSON(os.Stdout, struct {
		Event          string `json:"event"`
		Address        string `json:"address"`
		PID            int    `json:"pid"`
		Implementation string `json:"implementation"`
		Version        string `json:"version"`
	}{"ready", "unix:" + path, os.Getpid(), p.Library, p.Version})
}
