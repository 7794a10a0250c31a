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

// failure is an error other than wrong usage.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// errPrinted is the error of a program that has already printed the reason on stderr.
var errPrinted = errors.New("already printed")

// Main runs the program and exits with 0 for success, 1 for a failure or 2 for wrong usage. It prints an error as one line
// on stderr.
func (p *Peer) Main() {
	root := &cobra.Command{
		Use:               p.Program,
		Short:             "The " + p.Library + " program of the interop matrix.",
		Args:              cobra.NoArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(*cobra.Command, []string) error {
			return errors.New("no command; use serve, greet or interop, or --help")
		},
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(p.serveCommand(), p.greetCommand(), p.interopCommand())
	command, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return
	}
	if !errors.Is(err, errPrinted) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", p.Program, oneLine(err, command))
	}
	if errors.As(err, &failure{}) {
		os.Exit(exitFailed)
	}
	os.Exit(exitUsage)
}

// oneLine returns an error as one line. It adds the path of the socket if the error does not name it.
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
