// SPDX-License-Identifier: Apache-2.0
#include "config/read.hpp"

#include <array>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "base/text.hpp"
#include "config/edit.hpp"
#include "config/value_reader.hpp"

namespace weir::detail {
namespace {

/// Whether a file says `false`, which takes away a limit that [defaults] would give.
bool switched_off(const Node& node) {
  const bool* flag = node.as<bool>();
  return flag != nullptr && !*flag;
}

/// How rates and windows, which may stand in a list, are written.
struct RateForm {
  static constexpr std::string_view kWhat = "rate";
  static constexpr const auto& kTable = kRateTable;
  static constexpr const char* kExample = "write it as in \"30/min burst 10\"";
  static constexpr auto parse = parse_rate;
};
struct WindowForm {
  static constexpr std::string_view kWhat = "window";
  static constexpr const auto& kTable = kWindowTable;
  static constexpr const char* kExample = "write it as in \"100 per 1min\"";
  static constexpr auto parse = parse_window;
};

/// Turns a tree into a Config.
class Reader : public ValueReader {
 public:
  Result<Config> load(const Node& root) {
    check_keys(root, "", kRootTable);
    Config config;
    if (const Node* table = section(root, "", "segment")) {
      check_keys(*table, "segment", kSegmentTable);
      read_fields(config.segment, kSegmentFields, *table, "segment");
    }
    if (const Node* table = section(root, "", "global"))
      config.global = policy(*table, "global", kGlobalTable);
    if (const Node* table = section(root, "", "defaults")) policy(*table, "defaults", kOperationTable);
    if (const Node* table = section(root, "", "operations")) read_operations(*table, config);
    if (const Node* table = section(root, "", "overrides")) read_overrides(*table, config);
    if (error()) return *error();
    return config;
  }

 private:
  void read_operations(const Node& operations, Config& config) {
    for (const Node::Member& member : members_of(operations)) {
      if (!valid_name(member.key)) {
        fail(member.key_position, "operations", quoted(member.key) + ": not a name for an operation",
             std::string("use ") + kNameForm);
      }
      const std::string path = joined("operations", member.key);
      if (is_table(member.value, path)) {
        config.operations.emplace(member.key, policy(member.value, path, kOperationTable));
      }
    }
  }

  void read_overrides(const Node& overrides, Config& config) {
    check_keys(overrides, "overrides", kOverridesTable);
    const Node* users = section(overrides, "overrides", "users");
    if (users == nullptr) return;
    for (const Node::Member& member : members_of(*users)) {
      const std::string path = joined("overrides.users", member.key);
      if (!is_table(member.value, path)) continue;
      check_keys(member.value, path, kOverrideTable);
      UserOverride& user = config.users[member.key];
      read_fields(user, kExemptField, member.value, path);
      read_fields(user.limits, kUserLimits, member.value, path);
    }
  }

  OperationPolicy policy(const Node& table, const std::string& path, const KeyTable& keys) {
    check_keys(table, path, keys);
    OperationPolicy policy;
    read_fields(policy.shared, kSharedLimits, table, path);
    read_fields(policy, kBreakerField, table, path);
    read_fields(policy, kUserField, table, path);
    return policy;
  }

  template <class T, std::size_t N>
  void read_fields(T& into, const std::array<Field<T>, N>& fields, const Node& table,
                   const std::string& path) {
    for (const Field<T>& field : fields) {
      const Node* node = table.find(field.name);
      if (node == nullptr) continue;
      const std::string here = joined(path, field.name);
      std::visit([&](const auto& setting) { read(into, setting, *node, here); }, field.setting);
    }
  }

  using ValueReader::read;
  template <class T, class Value>
  void read(T& into, const Part<T, Value>& setting, const Node& node, const std::string& path) {
    read_part(into.*setting.member, node, path, setting.per_user);
  }

  void read_part(Limits& into, const Node& node, const std::string& path, bool /*per_user*/) {
    if (!is_table(node, path)) return;
    check_keys(node, path, kLimitTable);
    read_fields(into, kUserLimits, node, path);
  }

  void read_part(std::optional<weir::Breaker>& into, const Node& node, const std::string& path,
                 bool /*per_user*/) {
    if (switched_off(node) || !is_table(node, path)) return;
    check_keys(node, path, kBreakerTable);
    read_fields(into.emplace(), kBreakerFields, node, path);
  }

  void read_part(Concurrency& into, const Node& node, const std::string& path, bool per_user) {
    read_short(into, per_user ? kUserConcurrentFields : kConcurrentFields, kConcurrentTable, node, path);
  }
  void read_part(Cooldown& into, const Node& node, const std::string& path, bool /*per_user*/) {
    read_short(into, kCooldownFields, kCooldownTable, node, path);
    if (into.length.count() == 0) into = {};
  }
  /// Reads a table, or the value of its first key without the table.
  template <class T, std::size_t N>
  void read_short(T& into, const std::array<Field<T>, N>& fields, const KeyTable& keys, const Node& node,
                  const std::string& path) {
    if (switched_off(node)) return;
    const Field<T>& first = fields.front();
    if (node.as<Node::Table>() == nullptr) {
      std::visit([&](const auto& setting) { read(into, setting, node, path); }, first.setting);
      return;
    }
    if (!check_keys(node, path, keys)) return;
    if (node.find(first.name) == nullptr) return missing(node, path, first.name);
    read_fields(into, fields, node, path);
  }

  void read_part(std::vector<Rate>& into, const Node& node, const std::string& path, bool /*per_user*/) {
    read_list<RateForm>(into, node, path);
  }
  void read_part(std::vector<Window>& into, const Node& node, const std::string& path, bool /*per_user*/) {
    read_list<WindowForm>(into, node, path);
  }

  template <class Form, class T>
  void read_list(std::vector<T>& into, const Node& node, const std::string& path) {
    if (switched_off(node)) return;
    const auto* list = node.as<Node::List>();
    if (list == nullptr) return read_entry<Form>(into, node, path);
    for (std::size_t i = 0; i < list->size(); ++i)
      read_entry<Form>(into, (*list)[i], fmt::format("{}[{}]", path, i));
  }

  template <class Form, class T>
  void read_entry(std::vector<T>& into, const Node& node, const std::string& path) {
    if (node.as<Node::Table>() == nullptr) {
      if (auto entry = parse<Form>(node, path)) into.push_back(*entry);
      return;
    }
    if (!check_keys(node, path, Form::kTable)) return;
    const Node* limit = node.find("limit");
    if (limit == nullptr) return missing(node, path, "limit");
    auto entry = parse<Form>(*limit, path + ".limit");
    if (!entry) return;
    if constexpr (std::is_same_v<T, Window>) read_fields(*entry, kWindowFields, node, path);
    bool shadow = false;
    if (const Node* flag = node.find("shadow")) read(shadow, *flag, path + ".shadow");
    if (shadow) entry->mode = Mode::shadow;
    into.push_back(*entry);
    const Node* candidate = node.find("candidate");
    auto second = candidate == nullptr ? std::nullopt : parse<Form>(*candidate, path + ".candidate");
    if (!second) return;
    if constexpr (std::is_same_v<T, Window>) second->kind = entry->kind;
    second->mode = Mode::candidate;
    into.push_back(*second);
  }

  template <class Form>
  auto parse(const Node& node, const std::string& path) {
    using T = std::remove_cvref_t<decltype(*Form::parse({}))>;
    const auto* text = node.as<std::string>();
    if (text == nullptr) {
      fail(node.position, path, fmt::format("expected a {}, found {}", Form::kWhat, kind(node)),
           Form::kExample);
      return std::optional<T>();
    }
    const Result<T> entry = Form::parse(*text);
    if (entry) return std::optional<T>(*entry);
    fail(node.position, path, entry.error().what, entry.error().hint);
    return std::optional<T>();
  }
};

}  // namespace

Result<Config> load_unchecked(const Node& root) {
  return Reader().load(root);
}

Result<Config> load_from_tree(const Node& root) {
  Result<Config> config = load_unchecked(root);
  if (!config) return config;
  const std::optional<Fault> fault = find_fault(*config);
  if (!fault) return config;
  const std::string where = find_node(root, fault->key).node->position.text();
  return Error{Errc::config,
               fmt::format("{}{}{}: {}", where, where.empty() ? "" : ": ", escaped(path_text(fault->key)),
                           fault->problem),
               fault->hint};
}

}  // namespace weir::detail
