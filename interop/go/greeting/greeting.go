// Package greeting implements GreeterService for every gRPC library. Its errors are the messages of INVALID_ARGUMENT.
package greeting

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	greeterv1 "example.com/samehost/go/gen/samehost/greeter/v1"
)

const (
	maxName     = 256
	maxText     = 4096
	maxInterval = 60 * time.Second
)

var (
	languages = []string{"de", "en", "es", "fr", "ja"}
	formats   = map[string]string{
		"de": "Hallo, %s!",
		"en": "Hello, %s!",
		"es": "¡Hola, %s!",
		"fr": "Bonjour, %s !",
		"ja": "こんにちは、%sさん！",
	}
)

// Greet answers Greet.
func Greet(request *greeterv1.GreetRequest) (*greeterv1.GreetResponse, error) {
	if err := CheckName(request.GetName()); err != nil {
		return nil, err
	}
	return &greeterv1.GreetResponse{Message: greet("en", request.GetName())}, nil
}

// InLanguages answers GreetInLanguages. The caller waits for the interval between the responses.
func InLanguages(request *greeterv1.GreetInLanguagesRequest) ([]*greeterv1.GreetInLanguagesResponse, error) {
	wanted := request.GetLanguages()
	for _, language := range wanted {
		if !slices.Contains(languages, language) {
			return nil, fmt.Errorf("languages has '%s'; the server knows %s", language, strings.Join(languages, ", "))
		}
	}
	if interval := request.GetInterval().AsDuration(); interval < 0 || interval > maxInterval {
		return nil, fmt.Errorf("interval is %v seconds; give 0 to %v", interval.Seconds(), maxInterval.Seconds())
	}
	if err := CheckName(request.GetName()); err != nil {
		return nil, err
	}
	if len(wanted) == 0 {
		wanted = languages
	}
	var responses []*greeterv1.GreetInLanguagesResponse
	for _, language := range wanted {
		message := greet(language, request.GetName())
		responses = append(responses, &greeterv1.GreetInLanguagesResponse{Language: language, Message: message})
	}
	return responses, nil
}

// Together answers GreetTogether. The caller checks each name when it arrives.
func Together(names []string) (*greeterv1.GreetTogetherResponse, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("the stream has no request; send at least one name")
	}
	everyone := names[len(names)-1]
	if others := names[:len(names)-1]; len(others) > 0 {
		everyone = strings.Join(others, ", ") + " and " + everyone
	}
	return &greeterv1.GreetTogetherResponse{Message: greet("en", everyone), Count: uint32(len(names))}, nil
}

// Answer answers one request of Converse. The first turn is 1.
func Answer(request *greeterv1.ConverseRequest, turn uint32) (*greeterv1.ConverseResponse, error) {
	text := request.GetText()
	if size := utf8.RuneCountInString(text); size > maxText {
		return nil, fmt.Errorf("text has %d characters; give at most %d", size, maxText)
	}
	answer := "You said nothing."
	if text != "" {
		answer = "You said: " + text
	}
	return &greeterv1.ConverseResponse{Text: answer, Turn: turn}, nil
}

// CheckName returns an error if the length of a name is invalid.
func CheckName(name string) error {
	if size := utf8.RuneCountInString(name); size < 1 || size > maxName {
		return fmt.Errorf("name has %d characters; give 1 to %d", size, maxName)
	}
	return nil
}

func greet(language, name string) string { return fmt.Sprintf(formats[language], name) }

// Pause waits for an interval, or until the call ends.
func Pause(ctx context.Context, interval time.Duration) error {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
