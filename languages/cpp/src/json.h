#ifndef SAMEHOST_SRC_JSON_H_
#define SAMEHOST_SRC_JSON_H_

#include <google/protobuf/struct.pb.h>

#include <optional>
#include <string>

namespace samehost::internal {

// JSON as protobuf reads and writes it, which gRPC needs anyway.

// Reads an object; nothing where the text is something else.
std::optional<google::protobuf::Struct> ParseObject(const std::string& text);

// A string as JSON, with its quotes.
std::string Quoted(const std::string& text);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_JSON_H_
