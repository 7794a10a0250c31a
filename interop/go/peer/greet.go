package peer

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"example.com/samehost"
	"example.com/samehost/go/greeting"
)

func (p *Peer) greetCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "greet",
		Short: "Makes all four kinds of call of GreeterService and prints the messages.",
		Args:  cobra.NoArgs,
	}
	socket := addSocketFlag(command)
	timeout := secondsFlag{Duration: 5 * time.Second, positive: true}
	name := command.Flags().String("name", "", "name to greet")
	command.Flags().Var(&timeout, "timeout", "deadline of each call in seconds, including the wait for the server")
	if err := command.MarkFlagRequired("name"); err != nil {
		panic(err) // the flag does not exist
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := p.greet(command.Context(), socket.path, *name, timeout.Duration); err != nil {
			return failure{err}
		}
		return nil
	}
	return command
}

func (p *Peer) greet(ctx context.Context, path string, name string, timeout time.Duration) error {
	if err := p.waitForServer(ctx, path, timeout); err != nil {
		return err
	}
	err := p.Greet(ctx, path, name, timeout, func(exchange greeting.Exchange) error {
		return exchange.Print(os.Stdout)
	})
	return explain(err, path)
}

// waitForServer waits until a server answers, unless waiting cannot help.
func (p *Peer) waitForServer(ctx context.Context, path string, timeout time.Duration) error {
	if err := samehost.Probe(path); err != nil && !errors.Is(err, samehost.ErrNoServer) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return explain(p.WaitForServer(ctx, path), path)
}
