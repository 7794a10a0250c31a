package peer

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"example.com/samehost"
)

// flagError returns the error of a flag. It names the flag and its value once.
func flagError(_ *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	switch {
	case !errors.As(err, &invalid):
		return err
	case errors.Is(err, samehost.ErrAddress):
		return invalid.Unwrap()
	default:
		return fmt.Errorf("invalid --%s %q: %w", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
	}
}

// socketFlag is --socket, a path or an address.
type socketFlag struct{ path string }

func (f *socketFlag) String() string { return f.path }
func (f *socketFlag) Type() string   { return "path" }

func (f *socketFlag) Set(text string) (err error) {
	f.path, err = samehost.ParseAddress(text)
	return err
}

func addSocketFlag(command *cobra.Command) *socketFlag {
	socket := &socketFlag{}
	command.Flags().Var(socket, "socket", "absolute path of the socket, or its address")
	if err := command.MarkFlagRequired("socket"); err != nil {
		panic(err) // the flag does not exist
	}
	return socket
}

// modeFlag is --mode, permissions in octal.
type modeFlag fs.FileMode

func (f *modeFlag) String() string { return fmt.Sprintf("%04o", uint32(*f)) }
func (f *modeFlag) Type() string   { return "octal" }

func (f *modeFlag) Set(text string) error {
	mode, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || mode > 0o777 {
		return errors.New("use 0000 to 0777, in octal")
	}
	*f = modeFlag(mode)
	return nil
}

// groupFlag is --group, a name or a gid.
type groupFlag string

func (f *groupFlag) String() string { return string(*f) }
func (f *groupFlag) Type() string   { return "group" }

func (f *groupFlag) Set(text string) error {
	if found, err := user.LookupGroup(text); err == nil {
		text = found.Gid
	}
	if _, err := strconv.ParseUint(text, 10, 31); err != nil {
		return errors.New("no group has this name; create it, or use its number")
	}
	*f = groupFlag(text)
	return nil
}

// maxSeconds is 30 years. A time.Duration holds 292 years.
const maxSeconds = 1_000_000_000

// secondsFlag is a time in seconds, such as 5 or 0.5.
type secondsFlag struct {
	time.Duration
	positive bool // refuses 0
}

func (f *secondsFlag) String() string { return strconv.FormatFloat(f.Seconds(), 'f', -1, 64) }
func (f *secondsFlag) Type() string   { return "seconds" }

func (f *secondsFlag) Set(text string) error {
	seconds, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > maxSeconds:
		return fmt.Errorf("use seconds from 0 to %d, such as 5 or 0.5", maxSeconds)
	case f.positive && seconds == 0:
		return errors.New("use more than 0 seconds, such as 5 or 0.5")
	}
	f.Duration = time.Duration(seconds * float64(time.Second))
	return nil
}
