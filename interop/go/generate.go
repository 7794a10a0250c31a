// Package samehost only holds the command that generates the stubs, so that `go generate` finds it.
package samehost

//go:generate go run ./cmd/stubs protoc-gen-go protoc-gen-go-grpc
