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
  return fmt::format("\"{}\"", fmt::join(names, "\" or \""));
}

std::string hint_for(const Node::Member& member, const std::string& path, Names known) {
  const std::string_view meant = nearest(member.key, known);
  if (!meant.empty()) return fmt::format("did you mean {}?", quoted(meant));
  if (member.key == "breaker") return "only operations and [defaults] have one";
  if (std::ranges::find(kQueueKeys, member.key, &Key::name) != kQueueKeys.end())
    return "only operations, [defaults] and [global] have a queue";
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

/// A node and the key under which it stands, as errors name it.
struct Keyed {
  const Node& node;
  std::string path;

  /// The value of a key of this table, if it has one.
  [[nodiscard]] std::optional<Keyed> find(std::string_view key) const {
    const Node* child = node.find(key);
    return child == nullptr ? std::nullopt : std::optional(Keyed{*child, joined(path, key)});
  }
};

/// Turns a tree into a Config. It goes on after a mistake, and keeps the mistake that comes first in the file.
class Reader {
 public:
  Result<Config> load(const Node& tree) {
    const Keyed root{tree, ""};
    check_keys(root, kRootKeys);
    Config config;
    if (const auto segment = root.find("segment")) read_table(config.segment, kSegmentFields, *segment);
    if (const auto global = section(root, "global")) config.global = policy(*global, kGlobalKeys);
    if (const auto defaults = section(root, "defaults")) policy(*defaults, kOperationKeys);
    if (const auto operations = section(root, "operations")) read_operations(*operations, config);
    if (const auto overrides = section(root, "overrides")) read_overrides(*overrides, config);
    if (error_) return *error_;
    return config;
  }

 private:
  // The tables of a file.

  void read_operations(const Keyed& operations, Config& config) {
    for (const Node::Member& member : members(operations)) {
      if (!valid_name(member.key)) {
        fail(member.key_position, operations.path, quoted(member.key) + ": not a name for an operation",
             std::string("use ") + kNameForm);
      }
      const Keyed operation{member.value, joined(operations.path, member.key)};
      if (is_table(operation)) config.operations.emplace(member.key, policy(operation, kOperationKeys));
    }
  }

  void read_overrides(const Keyed& overrides, Config& config) {
    check_keys(overrides, kOverridesKeys);
    const auto users = section(overrides, "users");
    if (!users) return;
    for (const Node::Member& member : members(*users)) {
      const Keyed table{member.value, joined(users->path, member.key)};
      if (!is_table(table)) continue;
      check_keys(table, kOverrideKeys);
      UserOverride& user = config.users[member.key];
      read_fields(user, kExemptField, table);
      read_fields(user.limits, kUserLimits, table);
    }
  }

  OperationPolicy policy(const Keyed& table, std::span<const Key> keys) {
    check_keys(table, keys);
    OperationPolicy policy;
    read_fields(policy.shared, kSharedLimits, table);
    read_fields(policy.queue, kQueueFields, table);
    read_fields(policy, kBreakerField, table);
    read_fields(policy, kUserField, table);
    return policy;
  }

  static const Node::Table& members(const Keyed& table) { return *table.node.as<Node::Table>(); }
  bool is_table(const Keyed& value) { return expect<Node::Table>(value, "a table") != nullptr; }

  /// The table under a key of another table, if there is one.
  std::optional<Keyed> section(const Keyed& parent, std::string_view key) {
    const std::optional<Keyed> value = parent.find(key);
    return value && is_table(*value) ? value : std::nullopt;
  }

  /// Checks that a table has no other keys than these.
  template <class Keys>
  bool check_keys(const Keyed& table, const Keys& keys) {
    std::vector<std::string_view> known(std::size(keys));
    std::ranges::transform(keys, known.begin(), &Key::name);
    bool all_known = true;
    for (const Node::Member& member : members(table)) {
      if (contains(known, member.key)) continue;
      all_known = false;
      fail(member.key_position, joined(table.path, member.key), "unknown key",
           hint_for(member, table.path, known));
    }
    return all_known;
  }

  template <class T, std::size_t N>
  void read_table(T& into, const std::array<Field<T>, N>& fields, const Keyed& value) {
    if (!is_table(value)) return;
    check_keys(value, fields);
    read_fields(into, fields, value);
  }

  template <class T, std::size_t N>
  void read_fields(T& into, const std::array<Field<T>, N>& fields, const Keyed& table) {
    for (const Field<T>& field : fields) {
      if (const auto value = table.find(field.name)) read_field(into, field, *value);
    }
  }
  template <class T>
  void read_field(T& into, const Field<T>& field, const Keyed& value) {
    std::visit([&](const auto& setting) { read(into, setting, value); }, field.setting);
  }

  // The parts of a table: limits, and the table `user`.

  template <class T, class Value>
  void read(T& into, const Part<T, Value>& setting, const Keyed& value) {
    if (!std::is_same_v<Value, Limits> && value.node.switched_off()) return;
    if constexpr (std::is_same_v<Value, Concurrency>) {
      const auto& fields = setting.per_user ? kUserConcurrentFields : kConcurrentFields;
      read_limit(into.*setting.member, fields, value);
    } else {
      read_part(into.*setting.member, value);
    }
  }

  void read_part(Limits& into, const Keyed& value) { read_table(into, kUserLimits, value); }
  void read_part(std::optional<weir::Breaker>& into, const Keyed& value) {
    read_table(into.emplace(), kBreakerFields, value);
  }
  void read_part(Cooldown& into, const Keyed& value) {
    read_limit(into, kCooldownFields, value);
    if (into.length.count() == 0) into = {};
  }
  void read_part(std::vector<Rate>& into, const Keyed& value) { read_list(into, kRateFields, value); }
  void read_part(std::vector<Window>& into, const Keyed& value) {
    read_list(into, kWindowFields, value);
    for (std::size_t i = 1; i < into.size(); ++i) {
      if (into[i].mode == Mode::candidate) into[i].kind = into[i - 1].kind;
    }
  }

  /// Reads a table, or the value of its first key without the table.
  template <class T, std::size_t N>
  void read_limit(T& into, const std::array<Field<T>, N>& fields, const Keyed& value) {
    const Field<T>& first = fields.front();
    if (value.node.as<Node::Table>() == nullptr) return read_field(into, first, value);
    if (!check_keys(value, fields)) return;
    if (value.node.find(first.name) == nullptr) {
      return fail(value, fmt::format("{} is missing", quoted(first.name)),
                  fmt::format("add {} = ... to the table", first.name));
    }
    read_fields(into, fields, value);
  }

  /// Reads one limit or a list of them. The candidate of a limit becomes the next limit.
  template <class T, std::size_t N>
  void read_list(std::vector<T>& into, const std::array<Field<T>, N>& fields, const Keyed& value) {
    const auto read_entry = [&](const Keyed& entry) {
      read_limit(into.emplace_back(), fields, entry);
      const auto candidate = entry.find(kCandidate);
      if (!candidate) return;
      read_field(into.emplace_back(), fields.front(), *candidate);
      into.back().mode = Mode::candidate;
    };
    const auto* list = value.node.as<Node::List>();
    if (list == nullptr) return read_entry(value);
    for (std::size_t i = 0; i < list->size(); ++i)
      read_entry({(*list)[i], fmt::format("{}[{}]", value.path, i)});
  }

  // Values, as the settings of their keys describe them.

  template <class T, class Setting>
  void read(T& into, const Setting& setting, const Keyed& value) {
    read(into.*setting.member, value);
  }
  template <class T, class Value>
  void read(T& into, const Whole<T, Value>& setting, const Keyed& value) {
    const auto* number = expect<std::int64_t>(value, "an integer");
    if (number == nullptr) return;
    if (in_bounds(setting, *number)) {
      into.*setting.member = static_cast<Value>(*number);
    } else {
      fail(value, fmt::format("{}: out of range", *number), "use " + bounds_text(setting));
    }
  }
  template <class T>
  void read(T& into, const Shares<T>& setting, const Keyed& value) {
    auto& shares = into.*setting.member;
    const auto* list = expect<Node::List>(value, fmt::format("a list of {} numbers", shares.size()));
    if (list == nullptr) return;
    const std::string hint =
        fmt::format("write {} numbers, {} at most together", shares.size(), setting.most);
    if (list->size() != shares.size()) return fail(value, fmt::format("a list of {}", list->size()), hint);
    for (std::size_t i = 0; i < shares.size(); ++i) {
      const Keyed entry{(*list)[i], fmt::format("{}[{}]", value.path, i)};
      const auto* number = expect<std::int64_t>(entry, "an integer");
      if (number == nullptr) return;
      if (*number < 0 || std::cmp_greater(*number, setting.most))
        return fail(entry, fmt::format("{}: out of range", *number), hint);
      shares[i] = static_cast<std::uint8_t>(*number);
    }
  }
  template <class T>
  void read(T& into, const Octal<T>& setting, const Keyed& value) {
    std::uint32_t& bits = into.*setting.member;
    if (const auto* digits = value.node.as<std::string>()) {
      const auto* end = digits->data() + digits->size();
      const auto parsed = std::from_chars(digits->data(), end, bits, 8);
      if (parsed.ec == std::errc() && parsed.ptr == end && bits <= 07777) return;
    }
    const auto* number = value.node.as<std::int64_t>();
    // Only accept a number that was written in octal: the decimal number 600 would silently mean 01130.
    if (number != nullptr && value.node.octal && *number >= 0 && *number <= 07777) {
      bits = static_cast<std::uint32_t>(*number);
    } else {
      fail(value, "expected octal permission bits", "write mode = \"0600\"");
    }
  }
  template <class T>
  void read(T& into, const CountOrOff<T>& setting, const Keyed& value) {
    const auto* text = value.node.as<std::string>();
    const auto* number = value.node.as<std::int64_t>();
    if (text != nullptr && *text == kOff) {
      into.*setting.member = 0;
    } else if (number != nullptr && *number >= 1 && *number <= setting.most) {
      into.*setting.member = static_cast<std::uint32_t>(*number);
    } else {
      fail(value,
           number != nullptr
               ? fmt::format("{}: out of range", *number)
               : fmt::format("expected a number or {}, found {}", quoted(kOff), kind(value.node)),
           fmt::format("use {} or 1 to {}", quoted(kOff), setting.most));
    }
  }
  void read(Rate& into, const LimitText& setting, const Keyed& value) {
    read_text(into, parse_rate, setting, value);
  }
  void read(Window& into, const LimitText& setting, const Keyed& value) {
    read_text(into, parse_window, setting, value);
  }
  template <class T>
  void read(T& into, const ShadowMode& /*setting*/, const Keyed& value) {
    bool shadow = false;
    read(shadow, value);
    if (shadow) into.mode = Mode::shadow;
  }
  /// A candidate becomes a limit of its own, which read_list() adds.
  template <class T>
  void read(T& /*into*/, const CandidateText& /*setting*/, const Keyed& /*value*/) {}

  void read(std::string& into, const Keyed& value) {
    if (const auto* number = value.node.as<std::int64_t>()) {
      return fail(value, "expected a string, found an integer",
                  fmt::format("write it in quotes: \"{}\"", *number));
    }
    if (const auto* text = expect<std::string>(value, "a string")) into = *text;
  }
  void read(bool& into, const Keyed& value) {
    if (const auto* flag = expect<bool>(value, "true or false")) into = *flag;
  }
  void read(double& into, const Keyed& value) {
    if (const auto* number = value.node.as<std::int64_t>()) {
      into = static_cast<double>(*number);
    } else if (const auto* decimal = expect<double>(value, "a number")) {
      into = *decimal;
      if (!std::isfinite(into)) fail(value, "not a finite number", "use a number as in 0.5");
    }
  }
  void read(std::chrono::nanoseconds& into, const Keyed& value) {
    read_text(into, parse_duration, {"a duration", "30s"}, value);
  }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void read(Enum& into, const Keyed& value) {
    const auto* text = expect<std::string>(value, "a string");
    if (text == nullptr) return;
    const Names names = names_of(Enum{});
    const auto found = std::ranges::find(names, *text);
    if (found != names.end()) {
      into = static_cast<Enum>(found - names.begin());
      return;
    }
    const std::string_view meant = nearest(*text, names);
    fail(value, quoted(*text) + ": not one of the choices",
         meant.empty() ? "use " + any_of(names) : fmt::format("did you mean {}?", quoted(meant)));
  }

  template <class T>
  void read_text(T& into, Result<T> (*parse)(std::string_view) noexcept, const LimitText& form,
                 const Keyed& value) {
    const auto* text = value.node.as<std::string>();
    if (text == nullptr) {
      return fail(value, fmt::format("expected {}, found {}", form.what, kind(value.node)),
                  fmt::format("write it as in \"{}\"", form.example));
    }
    const Result<T> parsed = parse(*text);
    if (!parsed) return fail(value, parsed.error().what, parsed.error().hint);
    into = *parsed;
  }

  // Mistakes.

  template <class T>
  const T* expect(const Keyed& value, std::string_view expected) {
    const T* found = value.node.as<T>();
    if (found == nullptr) fail(value, fmt::format("expected {}, found {}", expected, kind(value.node)), "");
    return found;
  }

  void fail(const Keyed& value, std::string_view problem, std::string hint) {
    fail(value.node.position, value.path, problem, std::move(hint));
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
