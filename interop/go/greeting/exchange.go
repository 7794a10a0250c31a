package greeting

import (
	"fmt"
	"io"
)

// Exchange is what one call sent and received, in order.
type Exchange struct {
	Method   string
	Sent     []string
	Received []string
}

// Say takes each exchange as soon as it is there.
type Say func(Exchange) error

// Party is who is greeted together with a name.
func Party(name string) []string { return []string{name, "Grace", "Edsger"} }

// Conversation is what a client says, depending on what it has just heard; "" ends it.
func Conversation(name string, heard []string) string {
	switch len(heard) {
	case 0:
		return name + " here."
	case 1:
		return "I heard: " + heard[0]
	case 2:
		return "Goodbye!"
	default:
		return ""
	}
}

// Print prints an exchange for people.
func (e Exchange) Print(to io.Writer) error {
	text := e.Method + "\n"
	for _, each := range e.Sent {
		text += fmt.Sprintf("  > %s\n", each)
	}
	for _, each := range e.Received {
		text += fmt.Sprintf("  < %s\n", each)
	}
	_, err := io.WriteString(to, text)
	return err
}
