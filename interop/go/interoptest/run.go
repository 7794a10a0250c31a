// Package interoptest is what gRPC's official interop cases send and assert (grpc/grpc
// doc/interop-test-descriptions.md), whichever library carries it.
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

// caseTime is the deadline of each case, so that nothing hangs; over a socket a case takes milliseconds, and the
// slowest, a thousand large calls at once, some seconds on a busy machine.
const caseTime = 60 * time.Second

// Case makes the calls of one official case.
type Case func(ctx context.Context, path string) error

// Cases has the cases of a client by their official names.
type Cases map[string]Case

var needGoogleCredentials = []string{
	"compute_engine_channel_credentials",
	"compute_engine_creds",
	"google_default_credentials",
	"jwt_token_creds",
	"oauth2_auth_token",
	"per_rpc_creds",
}

// IsOfficial is whether an official case has this name, whether or not the client can run it.
func (c Cases) IsOfficial(name string) bool {
	_, known := c[name]
	return known || slices.Contains(needGoogleCredentials, name)
}

// Result is how a case went: Detail says in one line what was expected and what came instead.
type Result struct {
	Case         string  `json:"case"`
	Result       string  `json:"result"`
	Detail       string  `json:"detail"`
	Milliseconds float64 `json:"ms"`
}

// Passed is whether a case passed.
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
