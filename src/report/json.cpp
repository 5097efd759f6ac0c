// SPDX-License-Identifier: Apache-2.0

// A snapshot as JSON: the lists of fields, by as_json(), into a small tree that is then written.

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weir/fields.hpp"
#include "weir/report.hpp"

#include "base/result.hpp"
#include "base/text.hpp"

namespace weir {
namespace {

/// The JSON type that as_json() fills. Keys of an object stay in the order in which they came.
class Json {
 public:
  Json() = default;
  explicit Json(std::nullptr_t) {}
  explicit Json(bool value) : value_(value) {}
  explicit Json(std::uint64_t value) : value_(value) {}
  explicit Json(double value) : value_(value) {}
  explicit Json(std::string value) : value_(std::move(value)) {}
  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  /// The lists have each key once, so none is looked for.
  Json& operator[](std::string key) {
    auto& member = std::get<Object>(value_).emplace_back();
    member.first = std::move(key);
    return member.second;
  }
  // Inlined for a number, g++ 12 warns of the members of the other alternatives.
  [[gnu::noinline]] void push_back(Json element) { std::get<Array>(value_).push_back(std::move(element)); }

  void write(std::string& out, std::size_t indent) const {
    std::visit(
        [&](const auto& value) {
          using T = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<T, std::nullptr_t>) {
            out += "null";
          } else if constexpr (std::is_same_v<T, bool>) {
            out += value ? "true" : "false";
          } else if constexpr (std::is_same_v<T, std::string>) {
            write_text(out, value);
          } else if constexpr (std::is_same_v<T, Array> || std::is_same_v<T, Object>) {
            write_elements(out, value, indent);
          } else {
            std::array<char, 32> digits{};
            out.append(digits.data(), std::to_chars(digits.begin(), digits.end(), value).ptr);
          }
        },
        value_);
  }

 private:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;
  explicit Json(Array value) : value_(std::move(value)) {}
  explicit Json(Object value) : value_(std::move(value)) {}

  template <class Elements>
  static void write_elements(std::string& out, const Elements& elements, std::size_t indent) {
    constexpr bool kIsObject = std::is_same_v<Elements, Object>;
    out += kIsObject ? '{' : '[';
    bool first = true;
    for (const auto& element : elements) {
      if (!std::exchange(first, false)) out += ',';
      out.append(1, '\n').append(indent + 2, ' ');
      if constexpr (kIsObject) {
        write_text(out, element.first);
        out += ": ";
        element.second.write(out, indent + 2);
      } else {
        element.write(out, indent + 2);
      }
    }
    if (!first) out.append(1, '\n').append(indent, ' ');
    out += kIsObject ? '}' : ']';
  }

  /// In ASCII alone; bytes that are not UTF-8 are replaced: names in a segment are whatever its writer put there.
  static void write_text(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
      const detail::Character next = detail::first_character(text);
      write_character(out, next.valid ? next.code : U'\ufffd');
      text.remove_prefix(next.bytes.size());
    }
    out += '"';
  }
  static void write_character(std::string& out, char32_t code) {
    if (code == U'"' || code == U'\\') {
      out.append(1, '\\').append(1, static_cast<char>(code));
    } else if (code >= 0x20 && code < 0x7f) {
      out += static_cast<char>(code);
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code));
    } else {
      const std::uint32_t rest = code - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
    }
  }

  std::variant<std::nullptr_t, bool, std::uint64_t, double, std::string, Array, Object> value_;
};

}  // namespace

Result<std::string> to_json(const Snapshot& snapshot) noexcept {
  return detail::guarded([&]() -> Result<std::string> {
    std::string text;
    as_json<Json>(snapshot).write(text, 0);
    text += '\n';
    return text;
  });
}

}  // namespace weir
