// Package samehost holds nothing but the command that generates the stubs, so that `go generate` finds it. The messages
// are those of the project beside this one.
package samehost

//go:generate go generate -C ../go
//go:generate go tool stubs protoc-gen-connect-go=simple
