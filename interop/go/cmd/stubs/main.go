// Command stubs generates Go code from proto/. All languages share these files, so they have no go_package.
//
// It replaces `protoc` or `buf generate` and needs only Go: the library protocompile, which buf uses too, reads the files,
// and `go tool` runs the plugins that go.mod pins. In your own project, use buf.
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

// module is the prefix of all generated packages. It is not part of the file names.
const module = "example.com/samehost/go"

// goPackages is the go_package of each file, as buf's managed mode would set it. It omits the two files of ORCA, whose Go
// code is published as github.com/cncf/xds/go.
var goPackages = map[string]string{
	"samehost/greeter/v1/greeter.proto": module + "/gen/samehost/greeter/v1;greeterv1",
	"samehost/interop/testing.proto":    module + "/gen/samehost/interop;interop",
}

// main takes protoc plugins as arguments. They must be tools in go.mod. NAME=OPTIONS passes options to a plugin.
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

// addFile adds the imports of a file and then the file. Plugins expect this order.
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

// write does not touch a file that already has the content, so that Go does not rebuild it.
func write(name, content string) error {
	if found, err := os.ReadFile(name); err == nil && string(found) == content {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o644)
}
