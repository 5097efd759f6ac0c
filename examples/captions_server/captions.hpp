// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "weir/error.hpp"

namespace captions {

using Json = nlohmann::json;

/// What a client asks for, checked.
struct Wanted {
  std::string description;
  std::string style;
  std::int64_t hashtags = 0;
};

/// Reads text that must be a JSON object in UTF-8.
/// Errors  Errc::invalid_argument, as all of this file, in words for the client.
[[nodiscard]] weir::Result<Json> parse_object(const std::string& text);

/// The whole number `object[key]`, which must be there.
[[nodiscard]] weir::Result<std::int64_t> read_integer(const Json& object, const char* key, std::int64_t least,
                                                      std::int64_t most);

[[nodiscard]] weir::Result<Wanted> read_wanted(const Json& object);

/// Reads `requests`: 1 to 100 of what `read_wanted` reads.
[[nodiscard]] weir::Result<std::vector<Wanted>> read_batch(const Json& object);

/// How long a model takes that is slow in a drill.
inline constexpr std::chrono::milliseconds kSlowModel(500);

/// Stands for the expensive model behind such a service: cheap, and always the same for the same wish.
[[nodiscard]] Json make_caption(const Wanted& wanted);

/// The text of an answer.
[[nodiscard]] std::string dump(const Json& json);

/// `{"error": code, "message": message}`
[[nodiscard]] Json error_body(std::string_view code, std::string_view message);

}  // namespace captions
