// SPDX-License-Identifier: Apache-2.0
#include "config/environment.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/text.hpp"
#include "config/edit.hpp"
#include "policy/config_keys.hpp"

namespace weir::detail {
namespace {

// Variables that name a key ----------------------------------------------------------------------------------

/// Writes a name as a part of a variable's name: "image-resize" becomes IMAGE_RESIZE.
std::string folded(std::string_view name) {
  std::string result(name);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if ((c < 'A' || c > 'Z') && (c < '0' || c > '9')) c = '_';
  }
  return result;
}

/// Calls visit(variable, path) for each key under `path` that a variable may set.
template <class Visit>
void each_variable(const KeyTable& table, const Node* node, KeyPath& path, const std::string& prefix,
                   const Visit& visit) {
  const auto child = [&](std::string_view key) { return node == nullptr ? nullptr : node->find(key); };
  const auto at = [&](std::string_view key, const auto& then) {
    path.emplace_back(std::string(key));
    then(prefix + folded(key));
    path.pop_back();
  };
  for (const Key& key : table.keys) {
    at(key.name, [&](const std::string& variable) {
      const bool names = key.parts != nullptr && key.parts->named != nullptr;
      if (!names && path.size() > 1) visit(variable, path);
      if (key.parts != nullptr) each_variable(*key.parts, child(key.name), path, variable + "__", visit);
    });
  }
  const auto* members = node == nullptr ? nullptr : node->as<Node::Table>();
  if (table.named == nullptr || members == nullptr) return;
  for (const Node::Member& member : *members) {
    at(member.key, [&](const std::string& variable) {
      each_variable(*table.named, &member.value, path, variable + "__", visit);
    });
  }
}

/// The path of the value that a variable sets.
Result<KeyPath> path_of(std::string_view name, const Node& root) {
  std::vector<KeyPath> meant;
  std::vector<std::string> names;
  KeyPath path;
  each_variable(kRootTable, &root, path, "WEIR_", [&](const std::string& variable, const KeyPath& key) {
    if (variable == folded(name)) meant.push_back(key);
    names.push_back(variable);
  });
  if (meant.size() == 1) return meant.front();
  if (meant.size() > 1) {
    return Error{Errc::config, fmt::format("may mean {} or {}", path_text(meant[0]), path_text(meant[1])),
                 "rename one of them in the file"};
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string_view near = nearest(folded(name), known);
  return Error{Errc::config, "there is no such key",
               near.empty() ? "write a key of the file with \"__\" for its dots, as in WEIR_GLOBAL__RATE"
                            : fmt::format("did you mean {}?", near)};
}

/// Whether a variable sets a key. WEIR_SEGMENT and WEIR_CONFIG, which the tools read, do not.
bool names_a_key(std::string_view name) {
  constexpr std::string_view kPrefix = "WEIR_";
  return name.starts_with(kPrefix) && name.find("__", kPrefix.size()) != name.npos;
}

/// One variable and its value.
struct Variable {
  std::string_view name;
  const std::string& value;

  [[nodiscard]] SourcePosition position() const {
    return {std::make_shared<const std::string>("environment " + escaped(name))};
  }
  /// Sets a key to the value of the variable.
  Result<void> set(Node& root, const KeyPath& path) const { return set_text(root, path, value, position()); }
  /// The same error, naming the variable that it is about.
  [[nodiscard]] Error refuse(const Error& error) const {
    return {error.code, fmt::format("environment {}: {}", escaped(name), error.what), error.hint};
  }
};

/// Sets the value that a variable names, if it is one of an operation or if it is not, as asked.
Result<void> set_key(Node& root, const Variable& variable, bool of_operation) {
  WEIR_TRY(const KeyPath path, path_of(variable.name, root));
  // An empty value is mostly an accident: it was to be made of another variable, which is not set. Accepting it
  // would silently drop a limit.
  if (variable.value.empty()) {
    return Error{Errc::config, "the value is empty", "unset the variable, or write none to remove the limit"};
  }
  if ((path.front() == KeyStep("operations")) != of_operation) return {};
  return variable.set(root, path);
}

// Variables that services commonly have already: they set values of [defaults] --------------------------------

Result<std::uint32_t> number(const std::string& text) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec == std::errc() && parsed.ptr == end && value >= 1) return value;
  return Error{Errc::config, quoted(text) + ": not a number of requests", fmt::format("use 1 to {}", kMost)};
}

/// Finds the rate of [defaults] with this period and its index in their list, which is the end if there is none.
std::pair<std::optional<Rate>, std::size_t> rate_of(const Node& root, std::chrono::nanoseconds period) {
  for (std::size_t i = 0;; ++i) {
    const Found entry = find_node(root, KeyPath{"defaults", "rate", i});
    if (!entry.whole || entry.node->as<bool>() != nullptr) return {std::nullopt, i};
    const Node* limit = entry.node->as<Node::Table>() != nullptr ? entry.node->find("limit") : entry.node;
    const auto* text = limit == nullptr ? nullptr : limit->as<std::string>();
    if (text == nullptr) continue;  // the reader of the tree will refuse it
    const Result<Rate> rate = parse_rate(*text);
    if (rate && rate->period == period) return {*rate, i};
  }
}

Result<void> set_rate(Node& root, std::size_t index, const Rate& rate, const Variable& variable) {
  return set_node(root, {"defaults", "rate", index, "limit"}, {format_rate(rate), variable.position()});
}

/// Sets the count of the rate with this period. Its burst stays as it is if it differed from the count.
template <class Period>
Result<void> set_count(Node& root, const Variable& variable) {
  WEIR_TRY(const std::uint32_t count, number(variable.value));
  const auto [before, index] = rate_of(root, Period(1));
  const bool own_burst = before && before->burst != before->count;
  return set_rate(root, index, {count, Period(1), own_burst ? before->burst : count}, variable);
}

Result<void> set_burst(Node& root, const Variable& variable) {
  WEIR_TRY(const std::uint32_t burst, number(variable.value));
  auto [rate, index] = rate_of(root, std::chrono::minutes(1));
  if (!rate) {
    return Error{Errc::config, "[defaults] has no rate per minute that could take this burst",
                 "set RATE_LIMIT_REQUESTS_PER_MINUTE too"};
  }
  rate->burst = burst;
  return set_rate(root, index, *rate, variable);
}

Result<void> set_concurrent(Node& root, const Variable& variable) {
  return variable.set(root, {"defaults", "concurrent", "limit"});
}
Result<void> set_user_concurrent(Node& root, const Variable& variable) {
  return variable.set(root, {"defaults", "user", "concurrent", "limit"});
}

/// A number of seconds, or a duration.
Result<void> set_seconds(Node& root, const KeyPath& path, const Variable& variable) {
  const bool seconds = variable.value.find_first_not_of("0123456789") == std::string::npos;
  return set_node(root, path, {variable.value + (seconds ? "s" : ""), variable.position()});
}

Result<void> set_timeout(Node& root, const Variable& variable) {
  return set_seconds(root, {"defaults", "timeout"}, variable);
}

/// Gives [defaults] the breaker of the built-in configuration if it has none.
Result<void> ensure_breaker(Node& root, const SourcePosition& position) {
  const KeyPath path = {"defaults", "breaker"};
  const Found breaker = find_node(root, path);
  if (breaker.whole && breaker.node->as<Node::Table>() != nullptr) return {};
  return set_text(root, path, "{ failures = 5, recovery = \"60s\" }", position);
}
Result<void> set_failures(Node& root, const Variable& variable) {
  WEIR_TRY_VOID(ensure_breaker(root, variable.position()));
  return variable.set(root, {"defaults", "breaker", "failures"});
}
Result<void> set_recovery(Node& root, const Variable& variable) {
  WEIR_TRY_VOID(ensure_breaker(root, variable.position()));
  return set_seconds(root, {"defaults", "breaker", "recovery"}, variable);
}

struct PlainName {
  std::string_view name;
  Result<void> (*set)(Node& root, const Variable& variable);
};
constexpr std::array kPlainNames = std::to_array<PlainName>({
    {"RATE_LIMIT_REQUESTS_PER_MINUTE", set_count<std::chrono::minutes>},
    {"RATE_LIMIT_REQUESTS_PER_HOUR", set_count<std::chrono::hours>},
    {"RATE_LIMIT_BURST_LIMIT", set_burst},
    {"MAX_CONCURRENT_REQUESTS", set_concurrent},
    {"MAX_CONCURRENT_PER_USER", set_user_concurrent},
    {"CONCURRENCY_TIMEOUT", set_timeout},
    {"CIRCUIT_BREAKER_FAILURE_THRESHOLD", set_failures},
    {"CIRCUIT_BREAKER_RECOVERY_TIMEOUT", set_recovery},
});

// [defaults] -------------------------------------------------------------------------------------------------

void mark_inherited(Node& node) {
  node.position.inherited = true;
  if (auto* list = node.as<Node::List>()) {
    for (Node& value : *list) mark_inherited(value);
  }
  if (auto* table = node.as<Node::Table>()) {
    for (Node::Member& member : *table) mark_inherited(member.value);
  }
}

/// Gives a table the keys that it leaves out, each with its whole value. The keys of `user` are inherited one by one.
void inherit(Node& limits, const Node& defaults) {
  auto* table = limits.as<Node::Table>();
  const auto* given = defaults.as<Node::Table>();
  if (table == nullptr || given == nullptr) return;  // the reader of the tree will refuse it
  for (const Node::Member& member : *given) {
    Node* own = limits.find(member.key);
    if (member.key == "user") {
      inherit(own != nullptr ? *own : limits.add("user", {Node::Table{}, member.value.position}),
              member.value);
    } else if (own == nullptr) {
      mark_inherited(table->emplace_back(member).value);
    }
  }
}

/// Sets the keys that variables name: those of operations, or all others.
Result<void> set_keys(Node& root, const Environment& environment, bool of_operations) {
  for (const auto& [name, value] : environment) {
    if (!names_a_key(name)) continue;
    const Variable variable{name, value};
    const Result<void> done = set_key(root, variable, of_operations);
    if (!done) return variable.refuse(done.error());
  }
  return {};
}

}  // namespace

Result<void> apply_environment(Node& root, const Environment& environment) {
  for (const auto& [name, set] : kPlainNames) {
    const auto found = environment.find(name);
    if (found == environment.end() || found->second.empty()) continue;
    const Variable variable{name, found->second};
    if (const Result<void> done = set(root, variable); !done) return variable.refuse(done.error());
  }
  WEIR_TRY_VOID(set_keys(root, environment, false));
  const Node* defaults = root.find("defaults");
  Node* operations = root.find("operations");
  auto* table = operations == nullptr ? nullptr : operations->as<Node::Table>();
  if (defaults != nullptr && table != nullptr) {
    for (Node::Member& operation : *table) inherit(operation.value, *defaults);
  }
  return set_keys(root, environment, true);
}

}  // namespace weir::detail

namespace weir {

Environment process_environment() {
  Environment environment;
  for (char** variable = ::environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::size_t equals = text.find('=');
    if (equals == text.npos) continue;
    const std::string_view name = text.substr(0, equals);
    const bool plain =
        std::ranges::find(detail::kPlainNames, name, &detail::PlainName::name) != detail::kPlainNames.end();
    if (plain || detail::names_a_key(name)) environment.emplace(name, text.substr(equals + 1));
  }
  return environment;
}

}  // namespace weir
