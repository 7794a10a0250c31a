#include "json.h"

#include <google/protobuf/util/json_util.h>

namespace samehost::internal {

std::optional<google::protobuf::Struct> ParseObject(const std::string& text) {
  google::protobuf::Struct object;
  if (!google::protobuf::util::JsonStringToMessage(text, &object).ok()) return std::nullopt;
  return object;
}

std::string Quoted(const std::string& text) {
  google::protobuf::Value value;
  value.set_string_value(text);
  std::string quoted;
  // It fails where the text is not UTF-8.
  if (!google::protobuf::util::MessageToJsonString(value, &quoted).ok()) return "\"\"";
  return quoted;
}

}  // namespace samehost::internal
