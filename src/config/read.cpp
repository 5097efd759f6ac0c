#include "config/read.hpp"

#include <fmt/format.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "base/text.hpp"
#include "config/fields.hpp"
#include "config/path.hpp"
#include "config/value_reader.hpp"

namespace weir::detail {
namespace {

bool valid_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !name.empty() && name.size() <= kMaxNameLength && name.find_first_not_of(kAllowed) == name.npos;
}

/// `false` in a file: without the limit that [defaults] would give.
bool switched_off(const Node& node) {
  const bool* flag = node.as<bool>();
  return flag != nullptr && !*flag;
}

/// How one kind of limit with a list is written.
template <class T>
struct ListForm;
template <>
struct ListForm<Rate> {
  static constexpr std::string_view what = "rate";
  static constexpr Names keys = kRateKeys;
  static constexpr const char* example = "write it as in \"30/min burst 10\"";
  static Result<Rate> parse(std::string_view text) { return parse_rate(text); }
};
template <>
struct ListForm<Window> {
  static constexpr std::string_view what = "window";
  static constexpr Names keys = kWindowKeys;
  static constexpr const char* example = "write it as in \"100 per 1min\"";
  static Result<Window> parse(std::string_view text) { return parse_window(text); }
};

/// Turns a tree into a Config.
class Reader : public ValueReader {
 public:
  Expected<Config> read(const Node& root) {
    check_keys(root, "", kRootKeys);
    Config config;
    if (const Node* table = section(root, "", "segment")) {
      read_fields(*table, "segment", kSegmentFields, config.segment);
    }
    if (const Node* table = section(root, "", "global"))
      config.global = policy(*table, "global", kGlobalKeys);
    if (const Node* table = section(root, "", "defaults")) policy(*table, "defaults", kOperationKeys);
    if (const Node* table = section(root, "", "operations")) read_operations(*table, config);
    if (const Node* table = section(root, "", "overrides")) read_overrides(*table, config);
    if (error()) return tl::make_unexpected(*error());
    return config;
  }

 private:
  void read_operations(const Node& operations, Config& config) {
    for (const Node::Member& member : table_of(operations)) {
      if (!valid_name(member.key)) {
        fail(member.key_place, "operations", quoted(member.key) + ": no name for an operation",
             fmt::format("use 1 to {} letters, digits, '_', '-' and '.'", kMaxNameLength));
      }
      const std::string path = joined("operations", member.key);
      if (!is_table(member.value, path)) continue;
      config.operations.emplace(member.key, policy(member.value, path, kOperationKeys));
    }
  }

  void read_overrides(const Node& overrides, Config& config) {
    check_keys(overrides, "overrides", kOverridesKeys);
    const Node* users = section(overrides, "overrides", "users");
    if (users == nullptr) return;
    for (const Node::Member& member : table_of(*users)) {
      const std::string path = joined("overrides.users", member.key);
      if (!is_table(member.value, path)) continue;
      check_keys(member.value, path, kOverrideKeys);
      UserOverride user{false, limits(member.value, path)};
      if (const Node* exempt = member.value.find("exempt")) read_into(user.exempt, *exempt, path + ".exempt");
      config.users.emplace(member.key, std::move(user));
    }
  }

  OperationPolicy policy(const Node& table, const std::string& path, Names keys) {
    check_keys(table, path, keys);
    OperationPolicy policy{limits(table, path), {}, breaker(table, path)};
    if (const Node* user = section(table, path, "user")) {
      check_keys(*user, path + ".user", kUserKeys);
      policy.user = limits(*user, path + ".user");
    }
    return policy;
  }

  Limits limits(const Node& table, const std::string& path) {
    Limits limits;
    limits.rates = list<Rate>(table, path);
    limits.windows = list<Window>(table, path);
    if (const Node* node = table.find("concurrent"))
      read_short(limits.concurrent, *node, path + ".concurrent");
    if (const Node* node = table.find("cooldown")) read_short(limits.cooldown, *node, path + ".cooldown");
    return limits;
  }

  std::optional<Breaker> breaker(const Node& table, const std::string& path) {
    const Node* node = table.find("breaker");
    const std::string here = path + ".breaker";
    if (node == nullptr || switched_off(*node) || !is_table(*node, here)) return std::nullopt;
    Breaker breaker;
    read_fields(*node, here, kBreakerFields, breaker);
    return breaker;
  }

  // Concurrency and cooldown: a table, or its first value alone.
  void read_short(Concurrency& into, const Node& node, const std::string& path) {
    read_short(into, node, path, kConcurrentFields, "limit", &Concurrency::limit);
  }
  void read_short(Cooldown& into, const Node& node, const std::string& path) {
    read_short(into, node, path, kCooldownFields, "for", &Cooldown::length);
    if (into.length.count() == 0) into = {};
  }
  template <class T, class Fields, class First>
  void read_short(T& into, const Node& node, const std::string& path, const Fields& fields,
                  std::string_view first, First T::*member) {
    if (switched_off(node)) return;
    if (node.as<Node::Table>() == nullptr) return read_into(into.*member, node, path, fields[0]);
    if (!check_keys(node, path, keys_of(fields))) return;
    if (node.find(first) == nullptr) return missing(node, path, first);
    read_fields(node, path, fields, into);
  }

  template <class T>
  std::vector<T> list(const Node& table, const std::string& path) {
    const Node* node = table.find(ListForm<T>::what);
    if (node == nullptr || switched_off(*node)) return {};
    const std::string here = joined(path, ListForm<T>::what);
    std::vector<T> result;
    if (const auto* nodes = node->as<Node::List>()) {
      for (std::size_t i = 0; i < nodes->size(); ++i)
        add_entry(result, (*nodes)[i], fmt::format("{}[{}]", here, i));
    } else {
      add_entry(result, *node, here);
    }
    return result;
  }

  template <class T>
  void add_entry(std::vector<T>& entries, const Node& node, const std::string& path) {
    if (node.as<Node::Table>() == nullptr) {
      if (auto entry = parse<T>(node, path)) entries.push_back(*entry);
      return;
    }
    if (!check_keys(node, path, ListForm<T>::keys)) return;
    const Node* limit = node.find("limit");
    if (limit == nullptr) return missing(node, path, "limit");
    std::optional<T> entry = parse<T>(*limit, path + ".limit");
    if (!entry) return;
    read_kind(*entry, node, path);
    bool shadow = false;
    if (const Node* flag = node.find("shadow")) read_into(shadow, *flag, path + ".shadow");
    if (shadow) entry->mode = Mode::shadow;
    entries.push_back(*entry);
    if (const Node* candidate = node.find("candidate")) {
      std::optional<T> second = parse<T>(*candidate, path + ".candidate");
      if (!second) return;
      read_kind(*second, node, path);
      second->mode = Mode::candidate;
      entries.push_back(*second);
    }
  }

  void read_kind(Rate& /*rate*/, const Node& /*table*/, const std::string& /*path*/) {}
  void read_kind(Window& window, const Node& table, const std::string& path) {
    if (const Node* kind = table.find("kind")) read_into(window.kind, *kind, path + ".kind");
  }

  template <class T>
  std::optional<T> parse(const Node& node, const std::string& path) {
    const auto* text = node.as<std::string>();
    if (text == nullptr) {
      fail(node.place, path, fmt::format("expected a {}, found {}", ListForm<T>::what, kind(node)),
           ListForm<T>::example);
      return std::nullopt;
    }
    const Result<T> entry = ListForm<T>::parse(*text);
    if (entry) return *entry;
    fail(node.place, path, entry.error().what, entry.error().hint);
    return std::nullopt;
  }
};

/// The whole check knows keys; the tree knows where they were written.
Error placed(const Error& error, const Node& root) {
  const std::string key = error.what.substr(0, error.what.find(": "));
  const std::string where = nearest_node(root, key).place.text();
  return {error.code, where.empty() ? error.what : fmt::format("{}: {}", where, error.what), error.hint};
}

}  // namespace

Expected<Config> read_config(const Node& root) {
  Expected<Config> config = Reader().read(root);
  if (!config) return config;
  if (const Result<void> valid = validate(*config); !valid) {
    return tl::make_unexpected(placed(valid.error(), root));
  }
  return config;
}

}  // namespace weir::detail
