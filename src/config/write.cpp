// SPDX-License-Identifier: Apache-2.0
#include "config/write.hpp"

#include <array>
#include <optional>
#include <utility>
#include <variant>

namespace weir::detail {
namespace {

Node empty_table() {
  return {Node::Table{}, {}};
}

/// A table that has only this key is written as the value: "30/min" instead of { limit = "30/min" }.
Node shortened(Node node, std::string_view first) {
  const auto& members = std::get<Node::Table>(node.value);
  if (members.size() != 1 || members.front().key != first) return node;
  return Node(members.front().value);
}

/// Walks through a Config along the lists of its keys, and leaves out what is not configured.
class Saver {
 public:
  static Node config(const Config& config) {
    Node root = empty_table();
    root.add("segment", fields(config.segment, kSegmentFields, true));
    add_unless_empty(root, "global", policy(config.global));
    Node operations = empty_table();
    for (const auto& [name, operation] : config.operations) operations.add(name, policy(operation));
    add_unless_empty(root, "operations", std::move(operations));
    Node users = empty_table();
    for (const auto& [name, user] : config.users) {
      Node& section = users.add(name, fields(user, kExemptField));
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

  static Node policy(const OperationPolicy& policy) {
    Node section = fields(policy.shared, kSharedLimits);
    add_fields(section, policy, kBreakerField);
    add_fields(section, policy, kUserField);
    return section;
  }

  template <class T, std::size_t N>
  static Node fields(const T& from, const std::array<Field<T>, N>& list, bool defaults = false) {
    Node node = empty_table();
    add_fields(node, from, list, defaults);
    return node;
  }

  template <class T, std::size_t N>
  static void add_fields(Node& into, const T& from, const std::array<Field<T>, N>& list,
                         bool defaults = false) {
    for (const Field<T>& field : list) {
      auto node =
          std::visit([&](const auto& setting) { return value(from, setting, defaults); }, field.setting);
      if (node) into.add(std::string(field.name), *std::move(node));
    }
  }

  // These write one value, or nothing if it may be left out.
  template <class T, class Setting>
  static std::optional<Node> value(const T& from, const Setting& setting, bool defaults) {
    if (!defaults && from.*setting.member == default_of(setting.member)) return std::nullopt;
    return written(from, setting);
  }
  template <class T, class Value>
  static std::optional<Node> value(const T& from, const Part<T, Value>& setting, bool /*defaults*/) {
    return part(from.*setting.member);
  }
  template <class T>
  static std::optional<Node> value(const T& /*from*/, const Described& /*setting*/, bool /*defaults*/) {
    return std::nullopt;
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
  static std::optional<Node> part(const std::vector<Rate>& rates) {
    return list(rates, kRateFields, format_rate);
  }
  static std::optional<Node> part(const std::vector<Window>& windows) {
    return list(windows, kWindowFields, format_window);
  }

  /// A candidate is written into the table of the limit before it.
  template <class T, std::size_t N, class Format>
  static std::optional<Node> list(const std::vector<T>& limits, const std::array<Field<T>, N>& keys,
                                  const Format& format) {
    Node::List entries;
    for (const T& limit : limits) {
      if (limit.mode == Mode::candidate && !entries.empty() && entries.back().find("candidate") == nullptr) {
        entries.back().add("candidate", written(format(limit)));
        continue;
      }
      Node& entry = entries.emplace_back(empty_table());
      entry.add("limit", written(format(limit)));
      add_fields(entry, limit, keys);
      if (limit.mode == Mode::shadow) entry.add("shadow", written(true));
    }
    for (Node& entry : entries) entry = shortened(std::move(entry), "limit");
    if (entries.empty()) return std::nullopt;
    if (entries.size() == 1) return std::move(entries.front());
    return Node{std::move(entries), {}};
  }
};

}  // namespace

Node save_to_tree(const Config& config) {
  return Saver::config(config);
}

}  // namespace weir::detail
