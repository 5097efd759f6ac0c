// SPDX-License-Identifier: Apache-2.0
#pragma once

// A log line that is a JSON object. It finds each value under the names that servers give to it.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "log_time.hpp"

namespace weir::replay {

class JsonLine {
 public:
  /// @return nothing if the text is not one JSON object.
  [[nodiscard]] static std::optional<JsonLine> parse(std::string_view line);

  /// Each is empty, or nothing, if the line has no such part.
  [[nodiscard]] std::optional<LogTime> time() const;
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string path() const;

  /// A header of the request, by whatever name the server logs it; or the value of a key with that name.
  [[nodiscard]] std::string header(std::string_view name) const;

  /// The line of another program that this one wraps, as docker's json-file and journald do.
  [[nodiscard]] std::optional<std::string> message() const;

  /// The keys of the object, for a person who asks why it is not a request.
  [[nodiscard]] std::string keys() const;

 private:
  using Json = nlohmann::json;

  explicit JsonLine(Json object) : object_(std::move(object)) {}

  [[nodiscard]] const Json* find(std::string_view path) const;
  template <class Paths>
  [[nodiscard]] std::string first_of(const Paths& paths) const;

  Json object_;
};

}  // namespace weir::replay
