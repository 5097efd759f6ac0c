#include "config/read.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "base/text.hpp"
#include "config/fields.hpp"
#include "config/path.hpp"

namespace weir::detail {
namespace {

bool contains(Names names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// "a" or "b" or "c".
std::string any_of(Names names) {
  std::string result;
  for (const std::string_view name : names) result += (result.empty() ? "" : " or ") + quoted(name);
  return result;
}

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

/// Turns a tree into a Config. Reads on after a mistake; keeps the one that comes first in the file.
class Reader {
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
    if (error_) return tl::make_unexpected(*std::move(error_));
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

  void read_into(std::string& into, const Node& node, const std::string& path) {
    if (const auto* number = node.as<std::int64_t>()) {
      return fail(node.place, path, "expected a string, found an integer",
                  fmt::format("write it in quotes: \"{}\"", *number));
    }
    if (const auto* text = expect<std::string>(node, path, "a string")) into = *text;
  }
  void read_into(bool& into, const Node& node, const std::string& path) {
    if (const auto* flag = expect<bool>(node, path, "true or false")) into = *flag;
  }
  void read_into(double& into, const Node& node, const std::string& path) {
    if (const auto* number = node.as<std::int64_t>()) {
      into = static_cast<double>(*number);
    } else if (const auto* decimal = expect<double>(node, path, "a number")) {
      if (!std::isfinite(*decimal))
        return fail(node.place, path, "no finite number", "use a number as in 0.5");
      into = *decimal;
    }
  }
  void read_into(std::chrono::nanoseconds& into, const Node& node, const std::string& path) {
    const auto* text = node.as<std::string>();
    if (text == nullptr) {
      return fail(node.place, path, fmt::format("expected a duration, found {}", kind(node)),
                  "write it as in \"30s\"");
    }
    const Result<std::chrono::nanoseconds> duration = parse_duration(*text);
    if (!duration) return fail(node.place, path, duration.error().what, duration.error().hint);
    into = *duration;
  }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void read_into(Enum& into, const Node& node, const std::string& path) {
    const auto* text = expect<std::string>(node, path, "a string");
    if (text == nullptr) return;
    const Names names = names_of(Enum{});
    const auto found = std::ranges::find(names, *text);
    if (found == names.end()) {
      const std::string_view meant = nearest(*text, names);
      return fail(node.place, path, quoted(*text) + ": no such choice",
                  meant.empty() ? "use " + any_of(names) : fmt::format("did you mean {}?", quoted(meant)));
    }
    into = static_cast<Enum>(found - names.begin());
  }

  std::uint32_t octal(const Node& node, const std::string& path) {
    std::uint32_t bits = 0;
    if (const auto* digits = node.as<std::string>()) {
      const auto* end = digits->data() + digits->size();
      const auto parsed = std::from_chars(digits->data(), end, bits, 8);
      if (parsed.ec == std::errc() && parsed.ptr == end && bits <= 07777) return bits;
    }
    const auto* number = node.as<std::int64_t>();
    // A decimal 600 would silently mean 01130.
    if (number != nullptr && node.octal && *number >= 0 && *number <= 07777) {
      return static_cast<std::uint32_t>(*number);
    }
    fail(node.place, path, "expected octal permission bits", "write mode = \"0600\"");
    return 0;
  }

  template <class T>
  const T* expect(const Node& node, const std::string& path, std::string_view expected) {
    const T* value = node.as<T>();
    if (value == nullptr)
      fail(node.place, path, fmt::format("expected {}, found {}", expected, kind(node)), "");
    return value;
  }

  static const Node::Table& table_of(const Node& node) { return *node.as<Node::Table>(); }

  bool is_table(const Node& node, const std::string& path) {
    return expect<Node::Table>(node, path, "a table") != nullptr;
  }

  /// A table of tables or values, if it is there.
  const Node* section(const Node& parent, const std::string& path, std::string_view key) {
    const Node* node = parent.find(key);
    return node != nullptr && is_table(*node, joined(path, key)) ? node : nullptr;
  }

  void missing(const Node& table, const std::string& path, std::string_view key) {
    fail(table.place, path, fmt::format("{} is missing", quoted(key)),
         fmt::format("add {} = ... to the table", key));
  }

  bool check_keys(const Node& table, const std::string& path, Names known) {
    bool all_known = true;
    for (const Node::Member& member : table_of(table)) {
      if (contains(known, member.key)) continue;
      all_known = false;
      const std::string here = joined(path, member.key);
      if (contains(kLaterKeys, member.key)) {
        fail(member.key_place, here, "not supported by this version of weir", "remove it");
      } else {
        fail(member.key_place, here, "unknown key", hint_for(member, path, known));
      }
    }
    return all_known;
  }

  static std::string hint_for(const Node::Member& member, const std::string& path, Names known) {
    const std::string_view meant = nearest(member.key, known);
    if (!meant.empty()) return fmt::format("did you mean {}?", quoted(meant));
    if (member.key == "breaker") return "only operations and [defaults] have one";
    if ((member.key == "shadow" || member.key == "candidate") && contains(known, "rate")) {
      return fmt::format("it belongs to a limit, as in rate = {{ limit = \"30/min\", {} = ... }}",
                         member.key);
    }
    constexpr std::string_view kOperations = "operations.";
    if (member.value.as<Node::Table>() != nullptr && path.starts_with(kOperations)) {
      return fmt::format("an operation with a dot in its name needs quotes: [operations.\"{}.{}\"]",
                         path.substr(kOperations.size()), escaped(member.key));
    }
    return "use " + any_of(known);
  }

  void fail(const Place& place, const std::string& path, std::string_view problem, std::string hint) {
    const std::pair position{place.line, place.column};
    if (error_ && position_ <= position) return;
    position_ = position;
    const std::string where = place.text();
    error_ = Error{Errc::config,
                   fmt::format("{}{}{}: {}", where, where.empty() ? "" : ": ", escaped(path), problem),
                   std::move(hint)};
  }

  std::optional<Error> error_;
  std::pair<std::uint32_t, std::uint32_t> position_;
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
