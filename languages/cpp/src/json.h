#ifndef SAMEHOST_SRC_JSON_H_
#define SAMEHOST_SRC_JSON_H_

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <optional>
#include <string>

namespace samehost::internal {

// JSON through protobuf, which gRPC depends on anyway.

// Parses an object. Returns nothing if the text is not an object.
inline std::optional<google::protobuf::Struct> ParseObject(const std::string& text) {
  google::protobuf::Struct object;
  if (!google::protobuf::util::JsonStringToMessage(text, &object).ok()) return std::nullopt;
  return object;
}

// Returns a string as JSON with quotes, or the empty JSON string if the text is not UTF-8.
inline std::string Quoted(const std::string& text) {
  google::protobuf::Value value;
  value.set_string_value(text);
  std::string quoted;
  const bool is_text = google::protobuf::util::MessageToJsonString(value, &quoted).ok();
  return is_text ? quoted : "\"\"";
}

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_JSON_H_
