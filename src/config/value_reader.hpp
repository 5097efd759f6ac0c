// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weir/error.hpp"

#include "config/document.hpp"
#include "policy/config_keys.hpp"
#include "policy/validate.hpp"

namespace weir::detail {

/// Reads single values. It goes on after a mistake, and keeps the mistake that comes first in the file.
class ValueReader {
 public:
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 protected:
  void fail(const SourcePosition& position, const std::string& path, std::string_view problem,
            std::string hint);
  void missing(const Node& table, const std::string& path, std::string_view key);

  /// Checks that a table has no other keys than these.
  bool check_keys(const Node& table, const std::string& path, const KeyTable& known);

  bool is_table(const Node& node, const std::string& path);
  static const Node::Table& members_of(const Node& table) { return *table.as<Node::Table>(); }

  /// The table under a key of another table; null if there is none.
  const Node* section(const Node& parent, const std::string& path, std::string_view key);

  // These read one value of each kind.
  void read(std::string& into, const Node& node, const std::string& path);
  void read(bool& into, const Node& node, const std::string& path);
  void read(double& into, const Node& node, const std::string& path);
  void read(std::chrono::nanoseconds& into, const Node& node, const std::string& path);
  template <class Enum>
  requires std::is_enum_v<Enum>
  void read(Enum& into, const Node& node, const std::string& path) {
    if (const auto index = choice(node, path, names_of(Enum{}))) into = static_cast<Enum>(*index);
  }

  // These read one value as the setting of its key describes it.
  template <class T, class Setting>
  void read(T& into, const Setting& setting, const Node& node, const std::string& path) {
    read(into.*setting.member, node, path);
  }
  template <class T>
  void read(T& into, const Octal<T>& setting, const Node& node, const std::string& path) {
    into.*setting.member = octal(node, path);
  }
  template <class T, class Value>
  void read(T& into, const Whole<T, Value>& setting, const Node& node, const std::string& path) {
    const auto* number = expect<std::int64_t>(node, path, "an integer");
    if (number == nullptr) return;
    if (in_bounds(setting, *number)) {
      into.*setting.member = static_cast<Value>(*number);
    } else {
      fail(node.position, path, fmt::format("{}: out of range", *number), "use " + bounds_text(setting));
    }
  }
  template <class T>
  void read(T& /*into*/, const Described& /*setting*/, const Node& /*node*/, const std::string& /*path*/) {}

 private:
  std::optional<std::size_t> choice(const Node& node, const std::string& path, Names names);
  std::uint32_t octal(const Node& node, const std::string& path);

  template <class T>
  const T* expect(const Node& node, const std::string& path, std::string_view expected) {
    const T* value = node.as<T>();
    if (value == nullptr)
      fail(node.position, path, fmt::format("expected {}, found {}", expected, kind(node)), "");
    return value;
  }

  std::optional<Error> error_;
  std::pair<std::uint32_t, std::uint32_t> first_;  ///< the line and column of the error
};

}  // namespace weir::detail
