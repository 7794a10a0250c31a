// Command stubs generates Go code from the contract in proto/, which is shared by all languages and so has no
// go_package. It does what `protoc` or `buf generate` would do, with nothing to install but Go: protocompile, which buf
// is built on, reads the files, and `go tool` runs the plugins that go.mod pins. In a project of its own, use buf.
package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// module is the prefix of all packages generated here, and not part of the files' paths.
const module = "example.com/samehost/go"

// goPackages has what buf's managed mode would put into each file. The two of ORCA are missing: their Go code is
// published as github.com/cncf/xds/go.
var goPackages = map[string]string{
	"samehost/greeter/v1/greeter.proto": module + "/gen/samehost/greeter/v1;greeterv1",
	"samehost/interop/testing.proto":    module + "/gen/samehost/interop;interop",
}

// main takes plugins of protoc that are tools of go.mod, with options as in NAME=OPTIONS.
func main() {
	if err := generate(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "stubs: %v\n", err)
		os.Exit(1)
	}
}

func generate(ctx context.Context, plugins []string) error {
	request, err := read(ctx)
	if err != nil {
		return err
	}
	for _, plugin := range plugins {
		plugin, options, _ := strings.Cut(plugin, "=")
		request.Parameter = proto.String("module=" + module + "," + options)
		if err := run(ctx, plugin, request); err != nil {
			return fmt.Errorf("%s: %w", plugin, err)
		}
	}
	return nil
}

func read(ctx context.Context) (*pluginpb.CodeGeneratorRequest, error) {
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: slices.Sorted(maps.Keys(goPackages))}
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			ImportPaths: []string{filepath.Join("..", "..", "proto")},
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, request.FileToGenerate...)
	if err != nil {
		return nil, err
	}
	added := map[string]bool{}
	for _, file := range files {
		addFile(request, file, added)
	}
	return request, nil
}

// addFile adds a file behind the files that it imports, which is the order that plugins expect.
func addFile(request *pluginpb.CodeGeneratorRequest, file protoreflect.FileDescriptor, added map[string]bool) {
	if added[file.Path()] {
		return
	}
	added[file.Path()] = true
	for i := range file.Imports().Len() {
		addFile(request, file.Imports().Get(i).FileDescriptor, added)
	}
	descriptor := protodesc.ToFileDescriptorProto(file)
	if goPackage, ours := goPackages[file.Path()]; ours {
		descriptor.Options = &descriptorpb.FileOptions{GoPackage: proto.String(goPackage)}
	}
	request.ProtoFile = append(request.ProtoFile, descriptor)
}

func run(ctx context.Context, plugin string, request *pluginpb.CodeGeneratorRequest) error {
	input, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, "go", "tool", plugin)
	command.Stdin = bytes.NewReader(input)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return err
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(output, response); err != nil {
		return err
	}
	if response.Error != nil {
		return fmt.Errorf("%s", response.GetError())
	}
	for _, file := range response.File {
		if err := write(file.GetName(), file.GetContent()); err != nil {
			return err
		}
	}
	return nil
}

// write leaves alone a file that has the content already, so that nothing is built again.
func write(name, content string) error {
	if found, err := os.ReadFile(name); err == nil && string(found) == content {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o644)
}
