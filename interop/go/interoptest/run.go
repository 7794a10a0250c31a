// Package interoptest has the requests and checks of gRPC's official interop cases (grpc/grpc
// doc/interop-test-descriptions.md) for every gRPC library.
package interoptest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// caseTime is the deadline of each case, so that no case hangs. A case takes milliseconds over a socket. The slowest, 1,000
// large calls at once, takes a few seconds on a busy machine.
const caseTime = 60 * time.Second

// Case makes the calls of one official case.
type Case func(ctx context.Context, path string) error

// Cases are the cases of a client by their official names.
type Cases map[string]Case

var needGoogleCredentials = []string{
	"compute_engine_channel_credentials",
	"compute_engine_creds",
	"google_default_credentials",
	"jwt_token_creds",
	"oauth2_auth_token",
	"per_rpc_creds",
}

// IsOfficial reports whether an official case has this name, even if the client cannot run it.
func (c Cases) IsOfficial(name string) bool {
	_, known := c[name]
	return known || slices.Contains(needGoogleCredentials, name)
}

// Result is the result of a case. Detail is one line with the expected and the actual result; it is empty for a pass.
type Result struct {
	Case         string  `json:"case"`
	Result       string  `json:"result"`
	Detail       string  `json:"detail"`
	Milliseconds float64 `json:"ms"`
}

// Passed reports whether a case passed.
func (r Result) Passed() bool { return r.Result == "pass" }

// Run runs the case of this name.
func (c Cases) Run(ctx context.Context, name string, path string) Result {
	run, known := c[name]
	if !known {
		return Result{name, "unimplemented", "this client does not know the case: it needs Google credentials", 0}
	}
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	started := time.Now()
	err := run(ctx, path)
	milliseconds := math.Round(float64(time.Since(started).Microseconds())/100) / 10
	if err != nil {
		return Result{name, "fail", detail(err), milliseconds}
	}
	return Result{name, "pass", "", milliseconds}
}

func detail(err error) string {
	text := err.Error()
	if !errors.As(err, &checkError{}) {
		text = fmt.Sprintf("status: expected OK, got %s", text)
	}
	return strings.Join(strings.Fields(text), " ")
}
