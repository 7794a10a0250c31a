package peer

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// serverTime is how long to wait for the server before the first case.
const serverTime = 5 * time.Second

func (p *Peer) interopCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "interop",
		Short: "Runs official interop cases and prints a line of JSON for each; exits with 0 if all passed.",
		Args:  cobra.NoArgs,
	}
	socket := addSocketFlag(command)
	names := command.Flags().StringArray("case", nil, "official case to run; can be repeated")
	if err := command.MarkFlagRequired("case"); err != nil {
		panic(err) // the flag does not exist
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		for _, name := range *names {
			if !p.Cases.IsOfficial(name) {
				return fmt.Errorf("invalid --case %q: no official case has this name; "+
					"see grpc/grpc doc/interop-test-descriptions.md", name)
			}
		}
		if err := p.waitForServer(command.Context(), socket.path, serverTime); err != nil {
			return failure{err}
		}
		passed := true
		for _, name := range *names {
			result := p.Cases.Run(command.Context(), name, socket.path)
			passed = passed && result.Passed()
			if err := printJSON(os.Stdout, result); err != nil {
				return failure{err}
			}
		}
		if !passed {
			return failure{errors.New("some cases did not pass; see stdout")}
		}
		return nil
	}
	return command
}
