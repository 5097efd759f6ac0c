#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "weir/error.hpp"

#include "config/document.hpp"
#include "config/fields.hpp"

namespace weir::detail {

/// Reads single values and tables of them. Reads on after a mistake; keeps the one that comes first in the
/// file.
class ValueReader {
 public:
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 protected:
  void fail(const Place& place, const std::string& path, std::string_view problem, std::string hint);
  void missing(const Node& table, const std::string& path, std::string_view key);

  /// Whether a table has no other keys than these.
  bool check_keys(const Node& table, const std::string& path, Names known);

  bool is_table(const Node& node, const std::string& path);
  static const Node::Table& table_of(const Node& node) { return *node.as<Node::Table>(); }

  /// A table of tables or values, if it is there.
  const Node* section(const Node& parent, const std::string& path, std::string_view key);

  template <class T, std::size_t N>
  void read_fields(const Node& table, const std::string& path, const std::array<Field<T>, N>& fields,
                   T& into) {
    check_keys(table, path, keys_of(fields));
    for (const Field<T>& field : fields) {
      const Node* node = table.find(field.key);
      if (node == nullptr) continue;
      const std::string here = joined(path, field.key);
      std::visit([&](auto setting) { read_setting(into, setting, *node, here, field); }, field.setting);
    }
  }

  template <class T, class Member>
  void read_setting(T& into, Member T::*member, const Node& node, const std::string& path,
                    const Field<T>& field) {
    read_into(into.*member, node, path, field);
  }
  template <class T>
  void read_setting(T& into, Octal<T> setting, const Node& node, const std::string& path,
                    const Field<T>& /*field*/) {
    into.*setting.member = octal(node, path);
  }

  // One value of a known type. Only a whole number asks its field anything: its bounds.
  template <class Whole, class T>
  requires std::is_same_v<Whole, std::uint32_t> || std::is_same_v<Whole, std::uint64_t>
  void read_into(Whole& into, const Node& node, const std::string& path, const Field<T>& field) {
    const auto* number = expect<std::int64_t>(node, path, "an integer");
    if (number == nullptr) return;
    if (*number < 0 || static_cast<std::uint64_t>(*number) < field.least ||
        static_cast<std::uint64_t>(*number) > field.most) {
      return fail(node.place, path, fmt::format("{}: out of range", *number),
                  fmt::format("use {} to {}", field.least, field.most));
    }
    into = static_cast<Whole>(*number);
  }
  template <class Value, class T>
  requires(!std::is_same_v<Value, std::uint32_t> && !std::is_same_v<Value, std::uint64_t>) void read_into(
      Value& into, const Node& node, const std::string& path, const Field<T>& /*field*/) {
    read_into(into, node, path);
  }

  void read_into(std::string& into, const Node& node, const std::string& path);
  void read_into(bool& into, const Node& node, const std::string& path);
  void read_into(double& into, const Node& node, const std::string& path);
  void read_into(std::chrono::nanoseconds& into, const Node& node, const std::string& path);
  template <class Enum>
  requires std::is_enum_v<Enum>
  void read_into(Enum& into, const Node& node, const std::string& path) {
    if (const auto index = choice(node, path, names_of(Enum{}))) into = static_cast<Enum>(*index);
  }

 private:
  std::optional<std::size_t> choice(const Node& node, const std::string& path, Names names);
  std::uint32_t octal(const Node& node, const std::string& path);

  template <class T>
  const T* expect(const Node& node, const std::string& path, std::string_view expected) {
    const T* value = node.as<T>();
    if (value == nullptr)
      fail(node.place, path, fmt::format("expected {}, found {}", expected, kind(node)), "");
    return value;
  }

  std::optional<Error> error_;
  std::pair<std::uint32_t, std::uint32_t> position_;
};

}  // namespace weir::detail
