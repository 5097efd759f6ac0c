// SPDX-License-Identifier: Apache-2.0
#include "config/write.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "base/text.hpp"

namespace weir::detail {
namespace {

Node empty_table() {
  return {Node::Table{}, {}};
}

/// Walks through a Config along the lists of its keys, and leaves out what is not configured.
class Saver {
 public:
  explicit Saver(Defaults defaults) : defaults_(defaults) {}

  Node config(const Config& config) const {
    Node root = empty_table();
    Node& segment = root.add("segment", empty_table());
    Saver(Defaults::written).add_settings(segment, config.segment, kSegmentFields);
    add_unless_empty(root, "global", policy(config.global));
    Node operations = empty_table();
    for (const auto& [name, operation] : config.operations) operations.add(name, policy(operation));
    add_unless_empty(root, "operations", std::move(operations));
    Node users = empty_table();
    for (const auto& [name, user] : config.users) {
      Node& section = users.add(name, empty_table());
      add_settings(section, user, kExemptField);
      add_fields(section, user.limits, kUserLimits);
    }
    Node overrides = empty_table();
    add_unless_empty(overrides, "users", std::move(users));
    add_unless_empty(root, "overrides", std::move(overrides));
    return root;
  }

 private:
  static void add_unless_empty(Node& into, std::string key, Node node) {
    if (!node.as<Node::Table>()->empty()) into.add(std::move(key), std::move(node));
  }

  [[nodiscard]] Node policy(const OperationPolicy& policy) const {
    Node section = fields(policy.shared, kSharedLimits);
    add_settings(section, policy.queue, kQueueFields);
    add_fields(section, policy, kBreakerField);
    add_fields(section, policy, kUserField);
    return section;
  }

  /// Adds keys that always have a value, that of their default if they are left out.
  template <class T, std::size_t N>
  void add_settings(Node& into, const T& from, const std::array<Field<T>, N>& list) const {
    if (defaults_ == Defaults::left_out) return add_fields(into, from, list);
    for (const Field<T>& field : list) {
      const auto value = [&](const auto& setting) { return written(from, setting); };
      into.add(std::string(field.name), std::visit(value, field.setting));
    }
  }

  template <class T, std::size_t N>
  static Node fields(const T& from, const std::array<Field<T>, N>& list) {
    Node node = empty_table();
    add_fields(node, from, list);
    return node;
  }

  template <class T, std::size_t N>
  static void add_fields(Node& into, const T& from, const std::array<Field<T>, N>& list) {
    for (const Field<T>& field : list) {
      auto node = std::visit([&](const auto& setting) { return value(from, setting); }, field.setting);
      if (node) into.add(std::string(field.name), *std::move(node));
    }
  }

  // These write one value, or nothing if it may be left out.
  template <class T, class Setting>
  static std::optional<Node> value(const T& from, const Setting& setting) {
    if (from.*setting.member == default_of(setting.member)) return std::nullopt;
    return written(from, setting);
  }
  template <class T, class Value>
  static std::optional<Node> value(const T& from, const Part<T, Value>& setting) {
    return part(from.*setting.member);
  }
  static std::optional<Node> value(const Rate& from, const LimitText& /*setting*/) {
    return written(format_rate(from));
  }
  static std::optional<Node> value(const Window& from, const LimitText& /*setting*/) {
    return written(format_window(from));
  }
  template <class T>
  static std::optional<Node> value(const T& from, const ShadowMode& /*setting*/) {
    return from.mode == Mode::shadow ? std::optional(written(true)) : std::nullopt;
  }
  template <class T>
  static std::optional<Node> value(const T& /*from*/, const CandidateText& /*setting*/) {
    return std::nullopt;  // limits() writes it
  }

  static std::optional<Node> part(const Limits& limits) {
    Node node = fields(limits, kUserLimits);
    return node.as<Node::Table>()->empty() ? std::nullopt : std::optional(std::move(node));
  }
  static std::optional<Node> part(const std::optional<weir::Breaker>& breaker) {
    return breaker ? std::optional(fields(*breaker, kBreakerFields)) : std::nullopt;
  }
  static std::optional<Node> part(const Concurrency& concurrent) {
    if (concurrent.limit == 0) return std::nullopt;
    return shortened(fields(concurrent, kConcurrentFields), "limit");
  }
  static std::optional<Node> part(const Cooldown& cooldown) {
    if (cooldown.length.count() == 0) return std::nullopt;
    return shortened(fields(cooldown, kCooldownFields), "for");
  }
  static std::optional<Node> part(const std::vector<Rate>& rates) { return limits(rates, kRateFields); }
  static std::optional<Node> part(const std::vector<Window>& windows) {
    return limits(windows, kWindowFields);
  }

  /// A candidate is written into the table of the limit before it.
  template <class T, std::size_t N>
  static std::optional<Node> limits(const std::vector<T>& from, const std::array<Field<T>, N>& list) {
    Node::List entries;
    for (const T& limit : from) {
      Node entry = fields(limit, list);
      if (limit.mode == Mode::candidate && !entries.empty() && entries.back().find(kCandidate) == nullptr) {
        entries.back().add(std::string(kCandidate), std::move(*entry.find(list.front().name)));
      } else {
        entries.push_back(std::move(entry));
      }
    }
    for (Node& entry : entries) entry = shortened(std::move(entry), list.front().name);
    if (entries.empty()) return std::nullopt;
    return entries.size() == 1 ? std::move(entries.front()) : Node{std::move(entries), {}};
  }

  /// A table that has only this key is written as the value: "30/min" instead of { limit = "30/min" }.
  static Node shortened(Node node, std::string_view first) {
    const auto& members = std::get<Node::Table>(node.value);
    if (members.size() != 1 || members.front().key != first) return node;
    return Node(members.front().value);
  }

  Defaults defaults_;
};

std::string list_text(const Node::List& list) {
  std::string text;
  for (const Node& value : list) text += (text.empty() ? "" : ", ") + inline_text(value);
  return '[' + text + ']';
}

std::string table_text(const Node::Table& table) {
  std::string text;
  for (const auto& [key, value, position] : table) {
    text += fmt::format("{}{} = {}", text.empty() ? " " : ", ", key_part(key), inline_text(value));
  }
  return text.empty() ? "{}" : '{' + text + " }";
}

KeyPath within(KeyPath path, std::string_view key) {
  path.emplace_back(std::string(key));
  return path;
}

/// Adds the values of a [section] and of the section of its users.
void add_values(std::vector<SavedValue>& values, const KeyPath& path, const Node& section) {
  const auto& members = *section.as<Node::Table>();
  if (members.empty()) values.push_back({path, "", "{}"});
  for (const auto& [key, value, position] : members) {
    if (key == "user" && value.as<Node::Table>() != nullptr) {
      add_values(values, within(path, key), value);
    } else {
      values.push_back({path, key, inline_text(value)});
    }
  }
}

/// Writes the lines of a section, with the comments below each other.
std::string with_comments(const std::vector<std::pair<std::string, std::string>>& lines) {
  constexpr std::size_t kWidest = 60;
  std::size_t width = 0;
  for (const auto& [line, comment] : lines) width = std::max(width, std::min(line.size(), kWidest));
  std::string text;
  for (const auto& [line, comment] : lines) {
    text += comment.empty() ? line + '\n' : fmt::format("{:<{}}  # {}\n", line, width, comment);
  }
  return text;
}

/// Writes a whole file, with the origins of those values that have one as comments.
std::string file_text(const Config& config, const std::map<std::string, std::string>& origins) {
  const std::vector<SavedValue> values = values_of(config);
  std::string text;
  for (auto value = values.begin(); value != values.end();) {
    const KeyPath& section = value->section;
    text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", path_text(section));
    std::vector<std::pair<std::string, std::string>> lines;
    for (; value != values.end() && value->section == section; ++value) {
      if (value->name.empty()) continue;
      const auto origin = origins.find(path_text(value->key()));
      lines.emplace_back(fmt::format("{} = {}", value->name, value->text),
                         origin == origins.end() ? "" : escaped(origin->second));
    }
    text += with_comments(lines);
  }
  return text;
}

}  // namespace

Node save_to_tree(const Config& config, Defaults defaults) {
  return Saver(defaults).config(config);
}

std::string inline_text(const Node& value) {
  if (const auto* text = value.as<std::string>()) return toml_string(*text);
  if (const auto* number = value.as<std::int64_t>()) return std::to_string(*number);
  if (const auto* decimal = value.as<double>()) return fmt::format("{}", *decimal);
  if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
  if (const auto* list = value.as<Node::List>()) return list_text(*list);
  return table_text(std::get<Node::Table>(value.value));
}

std::vector<SavedValue> values_of(const Config& config, Defaults defaults) {
  const Node root = save_to_tree(config, defaults);
  std::vector<SavedValue> values;
  for (const auto& [key, section, position] : *root.as<Node::Table>()) {
    const bool users = key == "overrides";
    if (!users && key != "operations") {
      add_values(values, {key}, section);
      continue;
    }
    const KeyPath path = users ? KeyPath{key, "users"} : KeyPath{key};
    const Node* const names = users ? section.find("users") : &section;
    if (names == nullptr) continue;
    for (const auto& [name, whole, at] : *names->as<Node::Table>())
      add_values(values, within(path, name), whole);
  }
  return values;
}

}  // namespace weir::detail

namespace weir {

std::string to_toml(const Config& config) {
  return detail::file_text(config, {});
}

std::string to_toml(const LoadedConfig& loaded) {
  std::map<std::string, std::string> origins;
  for (const ConfigValue& value : loaded.values) origins.emplace(value.key, value.origin);
  return detail::file_text(loaded.config, origins);
}

}  // namespace weir
