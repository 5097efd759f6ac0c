// SPDX-License-Identifier: Apache-2.0
#include "config/read.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "base/text.hpp"
#include "config/edit.hpp"
#include "policy/config_keys.hpp"
#include "policy/validate.hpp"

namespace weir::detail {
namespace {

bool contains(Names names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// Lists the choices, as in "a" or "b" or "c".
std::string any_of(Names names) {
  std::string result;
  for (const std::string_view name : names) result += (result.empty() ? "" : " or ") + quoted(name);
  return result;
}

std::string hint_for(const Node::Member& member, const std::string& path, Names known) {
  const std::string_view meant = nearest(member.key, known);
  if (!meant.empty()) return fmt::format("did you mean {}?", quoted(meant));
  if (member.key == "breaker") return "only operations and [defaults] have one";
  if ((member.key == "shadow" || member.key == "candidate") && contains(known, "rate")) {
    return fmt::format("it belongs to a limit, as in rate = {{ limit = \"30/min\", {} = ... }}", member.key);
  }
  constexpr std::string_view kOperations = "operations.";
  if (member.value.as<Node::Table>() != nullptr && path.starts_with(kOperations)) {
    return fmt::format("an operation with a dot in its name needs quotes: [operations.\"{}.{}\"]",
                       path.substr(kOperations.size()), escaped(member.key));
  }
  return "use " + any_of(known);
}

/// Turns a tree into a Config. It goes on after a mistake, and keeps the mistake that comes first in the file.
class Reader {
 public:
  Result<Config> load(const Node& root) {
    check_keys(root, "", kRootKeys);
    Config config;
    if (const Node* segment = root.find("segment"))
      read_table(config.segment, kSegmentFields, *segment, "segment");
    if (const Node* table = section(root, "", "global"))
      config.global = policy(*table, "global", kGlobalKeys);
    if (const Node* table = section(root, "", "defaults")) policy(*table, "defaults", kOperationKeys);
    if (const Node* table = section(root, "", "operations")) read_operations(*table, config);
    if (const Node* table = section(root, "", "overrides")) read_overrides(*table, config);
    if (error_) return *error_;
    return config;
  }

 private:
  // The tables of a file.

  void read_operations(const Node& operations, Config& config) {
    for (const auto& [name, node, position] : *operations.as<Node::Table>()) {
      if (!valid_name(name)) {
        fail(position, "operations", quoted(name) + ": not a name for an operation",
             std::string("use ") + kNameForm);
      }
      const std::string path = joined("operations", name);
      if (is_table(node, path)) config.operations.emplace(name, policy(node, path, kOperationKeys));
    }
  }

  void read_overrides(const Node& overrides, Config& config) {
    check_keys(overrides, "overrides", kOverridesKeys);
    const Node* users = section(overrides, "overrides", "users");
    if (users == nullptr) return;
    for (const auto& [name, node, position] : *users->as<Node::Table>()) {
      const std::string path = joined("overrides.users", name);
      if (!is_table(node, path)) continue;
      check_keys(node, path, kOverrideKeys);
      UserOverride& user = config.users[name];
      read_fields(user, kExemptField, node, path);
      read_fields(user.limits, kUserLimits, node, path);
    }
  }

  OperationPolicy policy(const Node& table, const std::string& path, std::span<const Key> keys) {
    check_keys(table, path, keys);
    OperationPolicy policy;
    read_fields(policy.shared, kSharedLimits, table, path);
    read_fields(policy, kBreakerField, table, path);
    read_fields(policy, kUserField, table, path);
    return policy;
  }

  bool is_table(const Node& node, const std::string& path) {
    return expect<Node::Table>(node, path, "a table") != nullptr;
  }

  /// The table under a key of another table; null if there is none.
  const Node* section(const Node& parent, const std::string& path, std::string_view key) {
    const Node* node = parent.find(key);
    return node != nullptr && is_table(*node, joined(path, key)) ? node : nullptr;
  }

  /// Checks that a table has no other keys than these.
  template <class Keys>
  bool check_keys(const Node& table, const std::string& path, const Keys& keys) {
    std::vector<std::string_view> known(std::size(keys));
    std::ranges::transform(keys, known.begin(), &Key::name);
    bool all_known = true;
    for (const Node::Member& member : *table.as<Node::Table>()) {
      if (contains(known, member.key)) continue;
      all_known = false;
      const std::string here = joined(path, member.key);
      if (contains(kLaterKeys, member.key)) {
        fail(member.key_position, here, "not supported by this version of weir", "remove it");
      } else {
        fail(member.key_position, here, "unknown key", hint_for(member, path, known));
      }
    }
    return all_known;
  }

  template <class T, std::size_t N>
  void read_table(T& into, const std::array<Field<T>, N>& fields, const Node& node, const std::string& path) {
    if (!is_table(node, path)) return;
    check_keys(node, path, fields);
    read_fields(into, fields, node, path);
  }

  template <class T, std::size_t N>
  void read_fields(T& into, const std::array<Field<T>, N>& fields, const Node& table,
                   const std::string& path) {
    for (const Field<T>& field : fields) {
      if (const Node* node = table.find(field.name)) read_field(into, field, *node, joined(path, field.name));
    }
  }
  template <class T>
  void read_field(T& into, const Field<T>& field, const Node& node, const std::string& path) {
    std::visit([&](const auto& setting) { read(into, setting, node, path); }, field.setting);
  }

  // The parts of a table: limits, and the table `user`.

  template <class T, class Value>
  void read(T& into, const Part<T, Value>& setting, const Node& node, const std::string& path) {
    if (!std::is_same_v<Value, Limits> && node.switched_off()) return;
    if constexpr (std::is_same_v<Value, Concurrency>) {
      const auto& fields = setting.per_user ? kUserConcurrentFields : kConcurrentFields;
      read_limit(into.*setting.member, fields, node, path);
    } else {
      read_part(into.*setting.member, node, path);
    }
  }

  void read_part(Limits& into, const Node& node, const std::string& path) {
    read_table(into, kUserLimits, node, path);
  }
  void read_part(std::optional<weir::Breaker>& into, const Node& node, const std::string& path) {
    read_table(into.emplace(), kBreakerFields, node, path);
  }
  void read_part(Cooldown& into, const Node& node, const std::string& path) {
    read_limit(into, kCooldownFields, node, path);
    if (into.length.count() == 0) into = {};
  }
  void read_part(std::vector<Rate>& into, const Node& node, const std::string& path) {
    read_list(into, kRateFields, node, path);
  }
  void read_part(std::vector<Window>& into, const Node& node, const std::string& path) {
    read_list(into, kWindowFields, node, path);
    for (std::size_t i = 1; i < into.size(); ++i) {
      if (into[i].mode == Mode::candidate) into[i].kind = into[i - 1].kind;
    }
  }

  /// Reads a table, or the value of its first key without the table.
  template <class T, std::size_t N>
  void read_limit(T& into, const std::array<Field<T>, N>& fields, const Node& node, const std::string& path) {
    const Field<T>& first = fields.front();
    if (node.as<Node::Table>() == nullptr) return read_field(into, first, node, path);
    if (!check_keys(node, path, fields)) return;
    if (node.find(first.name) == nullptr) {
      return fail(node.position, path, fmt::format("{} is missing", quoted(first.name)),
                  fmt::format("add {} = ... to the table", first.name));
    }
    read_fields(into, fields, node, path);
  }

  /// Reads one limit or a list of them. The candidate of a limit becomes the next limit.
  template <class T, std::size_t N>
  void read_list(std::vector<T>& into, const std::array<Field<T>, N>& fields, const Node& node,
                 const std::string& path) {
    const auto read_entry = [&](const Node& entry, const std::string& here) {
      read_limit(into.emplace_back(), fields, entry, here);
      const Node* candidate = entry.find(kCandidate);
      if (candidate == nullptr) return;
      read_field(into.emplace_back(), fields.front(), *candidate, joined(here, kCandidate));
      into.back().mode = Mode::candidate;
    };
    const auto* list = node.as<Node::List>();
    if (list == nullptr) return read_entry(node, path);
    for (std::size_t i = 0; i < list->size(); ++i) read_entry((*list)[i], fmt::format("{}[{}]", path, i));
  }

  // Values, as the settings of their keys describe them.

  template <class T, class Setting>
  void read(T& into, const Setting& setting, const Node& node, const std::string& path) {
    read(into.*setting.member, node, path);
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
  void read(T& into, const Octal<T>& setting, const Node& node, const std::string& path) {
    std::uint32_t& bits = into.*setting.member;
    if (const auto* digits = node.as<std::string>()) {
      const auto* end = digits->data() + digits->size();
      const auto parsed = std::from_chars(digits->data(), end, bits, 8);
      if (parsed.ec == std::errc() && parsed.ptr == end && bits <= 07777) return;
    }
    const auto* number = node.as<std::int64_t>();
    // Only accept a number that was written in octal: the decimal number 600 would silently mean 01130.
    if (number != nullptr && node.octal && *number >= 0 && *number <= 07777) {
      bits = static_cast<std::uint32_t>(*number);
    } else {
      fail(node.position, path, "expected octal permission bits", "write mode = \"0600\"");
    }
  }
  void read(Rate& into, const LimitText& setting, const Node& node, const std::string& path) {
    read_text(into, parse_rate, setting.what, setting.example, node, path);
  }
  void read(Window& into, const LimitText& setting, const Node& node, const std::string& path) {
    read_text(into, parse_window, setting.what, setting.example, node, path);
  }
  template <class T>
  void read(T& into, const ShadowMode& /*setting*/, const Node& node, const std::string& path) {
    bool shadow = false;
    read(shadow, node, path);
    if (shadow) into.mode = Mode::shadow;
  }
  template <class T>
  void read(T& /*into*/, const CandidateText& /*setting*/, const Node& /*node*/,
            const std::string& /*path*/) {}  // read_list() adds it as a limit of its own

  void read(std::string& into, const Node& node, const std::string& path) {
    if (const auto* number = node.as<std::int64_t>()) {
      return fail(node.position, path, "expected a string, found an integer",
                  fmt::format("write it in quotes: \"{}\"", *number));
    }
    if (const auto* text = expect<std::string>(node, path, "a string")) into = *text;
  }
  void read(bool& into, const Node& node, const std::string& path) {
    if (const auto* flag = expect<bool>(node, path, "true or false")) into = *flag;
  }
  void read(double& into, const Node& node, const std::string& path) {
    if (const auto* number = node.as<std::int64_t>()) {
      into = static_cast<double>(*number);
    } else if (const auto* decimal = expect<double>(node, path, "a number")) {
      into = *decimal;
      if (!std::isfinite(into)) fail(node.position, path, "not a finite number", "use a number as in 0.5");
    }
  }
  void read(std::chrono::nanoseconds& into, const Node& node, const std::string& path) {
    read_text(into, parse_duration, "a duration", "30s", node, path);
  }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void read(Enum& into, const Node& node, const std::string& path) {
    const auto* text = expect<std::string>(node, path, "a string");
    if (text == nullptr) return;
    const Names names = names_of(Enum{});
    const auto found = std::ranges::find(names, *text);
    if (found != names.end()) {
      into = static_cast<Enum>(found - names.begin());
      return;
    }
    const std::string_view meant = nearest(*text, names);
    fail(node.position, path, quoted(*text) + ": not one of the choices",
         meant.empty() ? "use " + any_of(names) : fmt::format("did you mean {}?", quoted(meant)));
  }

  template <class T>
  void read_text(T& into, Result<T> (*parse)(std::string_view) noexcept, std::string_view what,
                 std::string_view example, const Node& node, const std::string& path) {
    const auto* text = node.as<std::string>();
    if (text == nullptr) {
      return fail(node.position, path, fmt::format("expected {}, found {}", what, kind(node)),
                  fmt::format("write it as in \"{}\"", example));
    }
    const Result<T> value = parse(*text);
    if (!value) return fail(node.position, path, value.error().what, value.error().hint);
    into = *value;
  }

  // Mistakes.

  template <class T>
  const T* expect(const Node& node, const std::string& path, std::string_view expected) {
    const T* value = node.as<T>();
    if (value == nullptr)
      fail(node.position, path, fmt::format("expected {}, found {}", expected, kind(node)), "");
    return value;
  }

  void fail(const SourcePosition& position, const std::string& path, std::string_view problem,
            std::string hint) {
    const std::pair here{position.line, position.column};
    if (error_ && first_ <= here) return;
    first_ = here;
    error_ = position.error(path, problem, std::move(hint));
  }

  std::optional<Error> error_;
  std::pair<std::uint32_t, std::uint32_t> first_;  ///< the line and column of the error
};

}  // namespace

Result<Config> load_unchecked(const Node& root) {
  return Reader().load(root);
}

Result<Config> load_from_tree(const Node& root) {
  Result<Config> config = load_unchecked(root);
  if (!config) return config;
  std::optional<Fault> fault = find_fault(*config);
  if (!fault) return config;
  return find_node(root, fault->key)
      .node->position.error(path_text(fault->key), fault->problem, std::move(fault->hint));
}

}  // namespace weir::detail
