#include "greeter_service.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pause.h"

namespace samehost::interop {
namespace {

using greeter::v1::ConverseRequest;
using greeter::v1::ConverseResponse;
using greeter::v1::GreetInLanguagesRequest;
using greeter::v1::GreetInLanguagesResponse;
using greeter::v1::GreetRequest;
using greeter::v1::GreetResponse;
using greeter::v1::GreetTogetherRequest;
using greeter::v1::GreetTogetherResponse;

struct Language {
  std::string_view tag;
  std::string_view before;
  std::string_view after;

  std::string Greet(std::string_view name) const {
    return fmt::format("{}{}{}", before, name, after);
  }
};

constexpr std::array<Language, 5> kLanguages = {{
    {"de", "Hallo, ", "!"},
    {"en", "Hello, ", "!"},
    {"es", "¡Hola, ", "!"},
    {"fr", "Bonjour, ", " !"},
    {"ja", "こんにちは、", "さん！"},
}};
constexpr Language kEnglish = kLanguages[1];

constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxText = 4096;
constexpr Seconds kMaxInterval{60};

const Language* FindLanguage(std::string_view tag) {
  const auto* found = std::find_if(kLanguages.begin(), kLanguages.end(),
                                   [tag](const Language& language) { return language.tag == tag; });
  return found == kLanguages.end() ? nullptr : found;
}

// Counts the code points of UTF-8, which are the bytes that are not continuation bytes.
std::size_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; });
}

grpc::Status Invalid(const std::string& fault) {
  return {grpc::StatusCode::INVALID_ARGUMENT, fault};
}

grpc::Status CheckName(const std::string& name) {
  const std::size_t length = CountCharacters(name);
  if (1 <= length && length <= kMaxName) return grpc::Status::OK;
  return Invalid(fmt::format("name has {} characters; give 1 to {}", length, kMaxName));
}

grpc::Status CheckText(const std::string& text) {
  const std::size_t length = CountCharacters(text);
  if (length <= kMaxText) return grpc::Status::OK;
  return Invalid(fmt::format("text has {} characters; give at most {}", length, kMaxText));
}

grpc::Status CheckRequest(const GreetInLanguagesRequest& request) {
  for (const std::string& tag : request.languages()) {
    if (FindLanguage(tag) != nullptr) continue;
    std::vector<std::string_view> known;
    for (const Language& language : kLanguages) known.push_back(language.tag);
    return Invalid(
        fmt::format("languages has '{}'; the server knows {}", tag, fmt::join(known, ", ")));
  }
  if (const Seconds interval = ToSeconds(request.interval());
      interval < Seconds::zero() || interval > kMaxInterval) {
    return Invalid(fmt::format("interval is {} seconds; give 0 to {}", interval.count(),
                               kMaxInterval.count()));
  }
  return CheckName(request.name());
}

class GreetInLanguagesReactor final : public grpc::ServerWriteReactor<GreetInLanguagesResponse> {
 public:
  explicit GreetInLanguagesReactor(const GreetInLanguagesRequest& request)
      : name_(request.name()), interval_(ToSeconds(request.interval())) {
    if (grpc::Status status = CheckRequest(request); !status.ok()) {
      Finish(status);
      return;
    }
    for (const std::string& tag : request.languages()) languages_.push_back(*FindLanguage(tag));
    if (languages_.empty()) languages_.assign(kLanguages.begin(), kLanguages.end());
    WriteNext();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    if (next_ == languages_.size()) return Finish(grpc::Status::OK);
    pause_.Start(interval_, [this](bool completed) {
      completed ? WriteNext() : Finish(grpc::Status::CANCELLED);
    });
  }

  void OnCancel() override { pause_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  void WriteNext() {
    const Language& language = languages_[next_++];
    response_.set_language(std::string(language.tag));
    response_.set_message(language.Greet(name_));
    StartWrite(&response_);
  }

  const std::string name_;
  const Seconds interval_;
  std::vector<Language> languages_;
  std::size_t next_ = 0;
  GreetInLanguagesResponse response_;
  Pause pause_;
};

class GreetTogetherReactor final : public grpc::ServerReadReactor<GreetTogetherRequest> {
 public:
  explicit GreetTogetherReactor(GreetTogetherResponse* response) : response_(response) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return FinishWithGreeting();
    if (grpc::Status status = CheckName(request_.name()); !status.ok()) return Finish(status);
    names_.push_back(request_.name());
    StartRead(&request_);
  }

  void OnDone() override { delete this; }

 private:
  void FinishWithGreeting() {
    if (names_.empty()) return Finish(Invalid("the stream has no request; send at least one name"));
    std::string everyone = names_.back();
    if (names_.size() > 1) {
      everyone =
          fmt::format("{} and {}", fmt::join(names_.begin(), names_.end() - 1, ", "), everyone);
    }
    response_->set_message(kEnglish.Greet(everyone));
    response_->set_count(static_cast<std::uint32_t>(names_.size()));
    Finish(grpc::Status::OK);
  }

  GreetTogetherResponse* const response_;
  GreetTogetherRequest request_;
  std::vector<std::string> names_;
};

class ConverseReactor final : public grpc::ServerBidiReactor<ConverseRequest, ConverseResponse> {
 public:
  ConverseReactor() { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    if (grpc::Status status = CheckText(request_.text()); !status.ok()) return Finish(status);
    response_.set_text(request_.text().empty() ? "You said nothing."
                                               : "You said: " + request_.text());
    response_.set_turn(response_.turn() + 1);
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartRead(&request_);
  }

  void OnDone() override { delete this; }

 private:
  ConverseRequest request_;
  ConverseResponse response_;
};

}  // namespace

grpc::ServerUnaryReactor* GreeterService::Greet(grpc::CallbackServerContext* context,
                                                const GreetRequest* request,
                                                GreetResponse* response) {
  const grpc::Status status = CheckName(request->name());
  if (status.ok()) response->set_message(kEnglish.Greet(request->name()));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

grpc::ServerWriteReactor<GreetInLanguagesResponse>* GreeterService::GreetInLanguages(
    grpc::CallbackServerContext* /*context*/, const GreetInLanguagesRequest* request) {
  return new GreetInLanguagesReactor(*request);
}

grpc::ServerReadReactor<GreetTogetherRequest>* GreeterService::GreetTogether(
    grpc::CallbackServerContext* /*context*/, GreetTogetherResponse* response) {
  return new GreetTogetherReactor(response);
}

grpc::ServerBidiReactor<ConverseRequest, ConverseResponse>* GreeterService::Converse(
    grpc::CallbackServerContext* /*context*/) {
  return new ConverseReactor();
}

}  // namespace samehost::interop
