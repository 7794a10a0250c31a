package peer

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"example.com/samehost/go/greeting"
	"example.com/samehost/go/socket"
)

func (p *Peer) greetCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "greet",
		Short: "Makes all four kinds of call of Greeter and prints what was said.",
		Args:  cobra.NoArgs,
	}
	address := addSocketFlag(command)
	timeout := secondsFlag{Duration: 5 * time.Second, positive: true}
	name := command.Flags().String("name", "", "who is greeted")
	command.Flags().Var(&timeout, "timeout", "seconds that a call may take, waiting for the server included")
	if err := command.MarkFlagRequired("name"); err != nil {
		panic(err) // there is no such flag
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := p.greet(command.Context(), address.Address, *name, timeout.Duration); err != nil {
			return failure{err}
		}
		return nil
	}
	return command
}

func (p *Peer) greet(ctx context.Context, address socket.Address, name string, timeout time.Duration) error {
	if err := p.waitForServer(ctx, address, timeout); err != nil {
		return err
	}
	err := p.Greet(ctx, address, name, timeout, func(exchange greeting.Exchange) error {
		return exchange.Print(os.Stdout)
	})
	return explain(err, address)
}

// waitForServer waits for a server that starts later, unless that could not help.
func (p *Peer) waitForServer(ctx context.Context, address socket.Address, timeout time.Duration) error {
	if err := socket.DiagnoseIncurable(address); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return explain(p.WaitForServer(ctx, address), address)
}
