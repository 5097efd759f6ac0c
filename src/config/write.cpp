#include "config/write.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <utility>
#include <variant>
#include <vector>

#include "weir/config.hpp"

#include "config/fields.hpp"

namespace weir::detail {
namespace {

Node table() {
  return {Node::Table{}, {}};
}

Node written(const std::string& text) {
  return {text, {}};
}
Node written(std::uint64_t number) {
  return {static_cast<std::int64_t>(number), {}};
}
Node written(std::uint32_t number) {
  return {std::int64_t{number}, {}};
}
Node written(double number) {
  return {number, {}};
}
Node written(bool flag) {
  return {flag, {}};
}
Node written(std::chrono::nanoseconds duration) {
  return {format_exact_duration(duration), {}};
}
template <class Enum>
requires std::is_enum_v<Enum> Node written(Enum value) {
  const Names names = names_of(value);
  const auto index = static_cast<std::size_t>(value);
  return {std::string(index < names.size() ? names[index] : "?"), {}};
}

template <class T, class Member>
Node written_setting(const T& from, Member T::*member) {
  return written(from.*member);
}
template <class T>
Node written_setting(const T& from, Octal<T> setting) {
  return written(fmt::format("{:04o}", from.*setting.member));
}

template <class T, std::size_t N>
Node all_fields(const T& from, const std::array<Field<T>, N>& fields) {
  Node node = table();
  for (const Field<T>& field : fields) {
    node.add(std::string(field.key),
             std::visit([&](auto setting) { return written_setting(from, setting); }, field.setting));
  }
  return node;
}

/// Only those that do not go without saying.
template <class T, std::size_t N>
Node changed_fields(const T& from, const std::array<Field<T>, N>& fields) {
  const Node unchanged = all_fields(T{}, fields);
  Node node = all_fields(from, fields);
  for (const Field<T>& field : fields) {
    if (inline_text(*node.find(field.key)) == inline_text(*unchanged.find(field.key))) node.erase(field.key);
  }
  return node;
}

/// { limit = "30/min" } is "30/min".
Node shortened(Node node, std::string_view first) {
  const auto& members = std::get<Node::Table>(node.value);
  if (members.size() != 1 || members.front().key != first) return node;
  return Node(members.front().value);
}

std::string text_of(const Rate& rate) {
  return format_rate(rate);
}
std::string text_of(const Window& window) {
  return format_window(window);
}

void add_kind(Node& /*entry*/, const Rate& /*rate*/) {}
void add_kind(Node& entry, const Window& window) {
  if (window.kind != WindowKind::automatic) entry.add("kind", written(window.kind));
}

/// A candidate is written into the table of the limit before it.
template <class T>
Node written_list(const std::vector<T>& limits) {
  Node::List list;
  for (const T& limit : limits) {
    if (limit.mode == Mode::candidate && !list.empty() && list.back().find("candidate") == nullptr) {
      list.back().add("candidate", written(text_of(limit)));
      continue;
    }
    Node entry = table();
    entry.add("limit", written(text_of(limit)));
    add_kind(entry, limit);
    if (limit.mode == Mode::shadow) entry.add("shadow", written(true));
    list.push_back(std::move(entry));
  }
  for (Node& entry : list) entry = shortened(std::move(entry), "limit");
  if (list.size() == 1) return std::move(list.front());
  return {std::move(list), {}};
}

void add_limits(Node& section, const Limits& limits) {
  if (!limits.rates.empty()) section.add("rate", written_list(limits.rates));
  if (!limits.windows.empty()) section.add("window", written_list(limits.windows));
  if (limits.concurrent.limit != 0) {
    section.add("concurrent", shortened(changed_fields(limits.concurrent, kConcurrentFields), "limit"));
  }
  if (limits.cooldown.length.count() != 0) {
    section.add("cooldown", shortened(changed_fields(limits.cooldown, kCooldownFields), "for"));
  }
}

Node written_policy(const OperationPolicy& policy) {
  Node section = table();
  add_limits(section, policy.shared);
  if (policy.breaker) section.add("breaker", write_breaker(*policy.breaker));
  Node user = table();
  add_limits(user, policy.user);
  if (!user.as<Node::Table>()->empty()) section.add("user", std::move(user));
  return section;
}

Node written_override(const UserOverride& user) {
  Node section = table();
  if (user.exempt) section.add("exempt", written(true));
  add_limits(section, user.limits);
  return section;
}

}  // namespace

Node write_breaker(const Breaker& breaker) {
  return changed_fields(breaker, kBreakerFields);
}

Node write_config(const Config& config) {
  Node root = table();
  root.add("segment", all_fields(config.segment, kSegmentFields));
  if (Node global = written_policy(config.global); !global.as<Node::Table>()->empty()) {
    root.add("global", std::move(global));
  }
  Node operations = table();
  for (const auto& [name, policy] : config.operations) operations.add(name, written_policy(policy));
  if (!config.operations.empty()) root.add("operations", std::move(operations));
  Node users = table();
  for (const auto& [name, user] : config.users) users.add(name, written_override(user));
  Node overrides = table();
  overrides.add("users", std::move(users));
  if (!config.users.empty()) root.add("overrides", std::move(overrides));
  return root;
}

}  // namespace weir::detail
