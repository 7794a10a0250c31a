// Package samehost only holds the command that generates the stubs, so that `go generate` finds it. The messages are
// generated in ../go.
package samehost

//go:generate go generate -C ../go
//go:generate go tool stubs protoc-gen-connect-go=simple
