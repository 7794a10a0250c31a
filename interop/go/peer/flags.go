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

	"example.com/samehost"
)

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
		panic(err) // there is no such flag
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
		return fmt.Errorf("mode %q is none that a socket can have; write it in octal, from 0000 to 0777", text)
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
		return fmt.Errorf("no group is named %q on this machine; create it, or give its number", text)
	}
	*f = groupFlag(text)
	return nil
}

// maxSeconds is 30 years; a time.Duration holds 292.
const maxSeconds = 1_000_000_000

// secondsFlag is a time in seconds, as in 5 or 0.5.
type secondsFlag struct {
	time.Duration
	positive bool // 0 is too short
}

func (f *secondsFlag) String() string { return strconv.FormatFloat(f.Seconds(), 'f', -1, 64) }
func (f *secondsFlag) Type() string   { return "seconds" }

func (f *secondsFlag) Set(text string) error {
	seconds, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > maxSeconds:
		return fmt.Errorf("give seconds from 0 to %d, as in 5 or 0.5", maxSeconds)
	case f.positive && seconds == 0:
		return errors.New("give more than 0 seconds, as in 5 or 0.5")
	}
	f.Duration = time.Duration(seconds * float64(time.Second))
	return nil
}
