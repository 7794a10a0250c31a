package greeting

import (
	"fmt"
	"io"
)

// Exchange holds the messages that one call sent and received, in order.
type Exchange struct {
	Method   string
	Sent     []string
	Received []string
}

// Report receives each exchange as soon as its call has ended.
type Report func(Exchange) error

// Party returns the names that GreetTogether greets.
func Party(name string) []string { return []string{name, "Grace", "Edsger"} }

// Conversation returns the next text of a client after the answers so far, or "" at the end.
func Conversation(name string, answers []string) string {
	switch len(answers) {
	case 0:
		return name + " here."
	case 1:
		return "I heard: " + answers[0]
	case 2:
		return "Goodbye!"
	default:
		return ""
	}
}

// Print prints an exchange in a readable form.
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
