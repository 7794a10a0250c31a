package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

// failure is an error of a program that was used as it should be.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// errSaid is the error of a program that has said on stderr already what went wrong.
var errSaid = errors.New("said on stderr")

// Main runs the program and exits: 0 done, 1 it failed, 2 wrong usage, an error being one line on stderr.
func (p *Peer) Main() {
	root := &cobra.Command{
		Use:               p.Program,
		Short:             "The " + p.Library + " peer of the interop matrix.",
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(*cobra.Command, []string) error {
			return errors.New("no command; give serve, greet or interop, or --help")
		},
	}
	root.AddCommand(p.serveCommand(), p.greetCommand(), p.interopCommand())
	command, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", p.Program, oneLine(err, command))
	}
	if errors.As(err, &failure{}) {
		os.Exit(exitFailed)
	}
	os.Exit(exitUsage)
}

// oneLine is an error with the path of the socket, as far as one was given.
func oneLine(err error, command *cobra.Command) string {
	line := strings.Join(strings.Fields(err.Error()), " ")
	if flag := command.Flag("socket"); flag != nil && flag.Changed && !strings.Contains(line, flag.Value.String()) {
		line += "; the socket is " + flag.Value.String()
	}
	return line
}

func printJSON(to io.Writer, line any) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(line)
}
