#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <exception>
#include <fmt/format.h>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weir/config.hpp"

#include "base/text.hpp"
#include "config/file.hpp"
#include "config/toml.hpp"

namespace weir {
namespace {

using detail::escaped;
using detail::quoted;
using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 4> kRootKeys = {"segment", "global", "defaults", "operations"};
constexpr std::array<std::string_view, 7> kSegmentKeys = {"name", "users", "workers", "when_full",
                                                          "mode", "group", "reserve"};
constexpr std::array<std::string_view, 3> kOperationKeys = {"rate", "concurrent", "user"};
constexpr std::array<std::string_view, 2> kUserKeys = {"rate", "concurrent"};
// In the order of TableFull.
constexpr std::array<std::string_view, 3> kTableFull = {"evict", "refuse", "admit"};

/// Keys that the format reserves. Ignoring one would promise a limit that nobody enforces.
constexpr std::array<std::string_view, 10> kLaterKeys = {"queue",     "timeout", "breaker",   "cooldown",
                                                         "window",    "shadow",  "candidate", "key_names",
                                                         "overrides", "on_fault"};

bool contains(Names names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// "a" or "b" or "c".
std::string any_of(Names names) {
  std::string result;
  for (const std::string_view name : names) result += (result.empty() ? "" : " or ") + quoted(name);
  return result;
}

std::string_view kind(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a decimal number";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

bool valid_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !name.empty() && name.size() <= kMaxNameLength && name.find_first_not_of(kAllowed) == name.npos;
}

std::string joined(std::string_view path, std::string_view key) {
  return path.empty() ? escaped(key) : fmt::format("{}.{}", path, escaped(key));
}

/// Limits as they are written: what is left out is still open to the defaults.
struct DraftLimits {
  std::optional<std::vector<Rate>> rates;
  std::optional<std::uint32_t> concurrent;

  [[nodiscard]] Limits over(const DraftLimits& defaults) const {
    return {rates.value_or(defaults.rates.value_or(std::vector<Rate>{})),
            {},
            concurrent.value_or(defaults.concurrent.value_or(0)),
            {}};
  }
};

struct Draft {
  DraftLimits shared;
  DraftLimits user;

  [[nodiscard]] OperationPolicy over(const Draft& defaults) const {
    return {shared.over(defaults.shared), user.over(defaults.user), {}};
  }
};

/// Turns the parsed file into a Config. Reads on after a mistake; keeps the one that comes first in the file.
class Reader {
 public:
  explicit Reader(std::string_view origin) : origin_(origin) {}

  Result<Config> read(const toml::table& root) {
    check_keys(root, "", kRootKeys);
    Config config;
    if (const toml::table* table = get<toml::table>(root, "", "segment")) config.segment = segment(*table);
    config.global = policy(root, "", "global").over({});
    const Draft defaults = policy(root, "", "defaults");
    if (const toml::table* table = get<toml::table>(root, "", "operations")) {
      for (const auto& [key, node] : *table) {
        check_operation_name(key);
        config.operations.emplace(key.str(), policy(*table, "operations", key.str()).over(defaults));
      }
    }
    if (error_) return *std::move(error_);
    return config;
  }

 private:
  Draft policy(const toml::table& parent, std::string_view path, std::string_view key) {
    const toml::table* table = get<toml::table>(parent, path, key);
    if (table == nullptr) return {};
    const std::string here = joined(path, key);
    check_keys(*table, here, kOperationKeys);
    Draft draft{limits(*table, here), {}};
    if (const toml::table* user = get<toml::table>(*table, here, "user")) {
      check_keys(*user, here + ".user", kUserKeys);
      draft.user = limits(*user, here + ".user");
    }
    return draft;
  }

  DraftLimits limits(const toml::table& table, std::string_view path) {
    DraftLimits draft{rates(table, path), {}};
    if (const auto* permits = get<std::int64_t>(table, path, "concurrent")) {
      draft.concurrent = small_count(*permits, joined(path, "concurrent"));
    }
    return draft;
  }

  std::optional<std::vector<Rate>> rates(const toml::table& table, std::string_view path) {
    const toml::node* node = table.get("rate");
    if (node == nullptr) return std::nullopt;
    const std::string here = joined(path, "rate");
    std::vector<Rate> result;
    if (const toml::array* list = node->as_array()) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        add_rate(result, (*list)[i], fmt::format("{}[{}]", here, i));
      }
    } else {
      add_rate(result, *node, here);
    }
    return result;
  }

  void add_rate(std::vector<Rate>& rates, const toml::node& node, const std::string& path) {
    const auto* text = node.as_string();
    if (text == nullptr) {
      return fail(node.source(), path, fmt::format("expected a rate, found {}", kind(node)),
                  "write it as in \"30/min burst 10\"");
    }
    const Result<Rate> rate = parse_rate(text->get());
    if (!rate) return fail(node.source(), path, rate.error().what, rate.error().hint);
    rates.push_back(*rate);
  }

  SegmentPolicy segment(const toml::table& table) {
    check_keys(table, "segment", kSegmentKeys);
    SegmentPolicy policy;
    if (const auto* name = get<std::string>(table, "segment", "name")) policy.name = name->get();
    if (const auto* users = get<std::int64_t>(table, "segment", "users")) policy.users = count(*users);
    if (const auto* workers = get<std::int64_t>(table, "segment", "workers")) {
      policy.workers = small_count(*workers, "segment.workers");
    }
    if (const auto* full = get<std::string>(table, "segment", "when_full"))
      policy.when_full = when_full(*full);
    if (const toml::node* bits = table.get("mode")) policy.mode = mode(*bits);
    if (const auto* group = get<std::string>(table, "segment", "group")) policy.group = group->get();
    if (const auto* reserve = get<bool>(table, "segment", "reserve")) policy.reserve = reserve->get();
    return policy;
  }

  std::uint64_t count(const toml::value<std::int64_t>& users) {
    if (users.get() < 1) {
      fail(users.source(), "segment.users", fmt::format("{}: must be at least 1", users.get()),
           "say how many users may owe something at once, as in users = 100_000");
    }
    return static_cast<std::uint64_t>(users.get());
  }

  // 0 permits would refuse everything; leaving the key out says "unlimited".
  std::uint32_t small_count(const toml::value<std::int64_t>& number, const std::string& path) {
    if (number.get() < 1 || number.get() > 65'535) {
      fail(number.source(), path, fmt::format("{}: out of range", number.get()), "use 1 to 65535");
    }
    return static_cast<std::uint32_t>(number.get());
  }

  TableFull when_full(const toml::value<std::string>& text) {
    const auto found = std::ranges::find(kTableFull, text.get());
    if (found == kTableFull.end()) {
      fail(text.source(), "segment.when_full", quoted(text.get()) + ": unknown policy",
           "use " + any_of(kTableFull));
    }
    return static_cast<TableFull>(found - kTableFull.begin());
  }

  std::uint32_t mode(const toml::node& node) {
    std::uint32_t bits = 0;
    if (const auto* text = node.as_string()) {
      const std::string& digits = text->get();
      const auto end = digits.data() + digits.size();
      const auto parsed = std::from_chars(digits.data(), end, bits, 8);
      if (parsed.ec == std::errc() && parsed.ptr == end && bits <= 07777) return bits;
    }
    const auto* number = node.as_integer();
    // A decimal 600 would silently mean 01130.
    const bool octal = number != nullptr && number->flags() == toml::value_flags::format_as_octal;
    if (octal && number->get() >= 0 && number->get() <= 07777)
      return static_cast<std::uint32_t>(number->get());
    fail(node.source(), "segment.mode", "expected octal permission bits", "write mode = \"0600\"");
    return 0;
  }

  /// The value of a key, if it is there and of the right type.
  template <class T>
  auto get(const toml::table& table, std::string_view path, std::string_view key)
      -> decltype(table.get_as<T>(key)) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return nullptr;
    if (const auto* value = node->as<T>()) return value;
    const toml::impl::wrap_node<T> expected{};
    fail(node->source(), joined(path, key), fmt::format("expected {}, found {}", kind(expected), kind(*node)),
         "");
    return nullptr;
  }

  void check_keys(const toml::table& table, std::string_view path, Names known) {
    for (const auto& [key, node] : table) {
      if (contains(known, key.str())) continue;
      const std::string here = joined(path, key.str());
      if (contains(kLaterKeys, key.str())) {
        fail(key.source(), here, "not supported by this version of weir", "remove it");
      } else {
        fail(key.source(), here, "unknown key", hint_for(key.str(), node, path, known));
      }
    }
  }

  static std::string hint_for(std::string_view key, const toml::node& node, std::string_view path,
                              Names known) {
    constexpr std::string_view kOperations = "operations.";
    const std::string_view meant = detail::nearest(key, known);
    if (!meant.empty()) return fmt::format("did you mean {}?", quoted(meant));
    if (node.is_table() && path.starts_with(kOperations)) {
      return fmt::format("an operation with a dot in its name needs quotes: [operations.\"{}.{}\"]",
                         path.substr(kOperations.size()), escaped(key));
    }
    return "use " + any_of(known);
  }

  void check_operation_name(const toml::key& key) {
    if (valid_name(key.str())) return;
    fail(key.source(), "operations", quoted(key.str()) + ": no name for an operation",
         fmt::format("use 1 to {} letters, digits, '_', '-' and '.'", kMaxNameLength));
  }

  void fail(const toml::source_region& where, std::string_view path, std::string_view problem,
            std::string hint) {
    const std::pair position{where.begin.line, where.begin.column};
    if (error_ && position_ <= position) return;
    position_ = position;
    error_ = Error{Errc::config,
                   fmt::format("{}:{}:{}: {}: {}", origin_, position.first, position.second, path, problem),
                   std::move(hint)};
  }

  std::string_view origin_;
  std::optional<Error> error_;
  std::pair<toml::source_index, toml::source_index> position_;
};

Error syntax_error(const toml::parse_error& error, std::string_view origin) {
  const toml::source_position& where = error.source().begin;
  return {Errc::config,
          fmt::format("{}:{}:{}: {}", origin, where.line, where.column, escaped(error.description())),
          "this is no TOML; text needs quotes, as in rate = \"30/min\""};
}

// toml++ follows the parts of a dotted key by recursion: a line of a hundred thousand of them would end the
// stack.
std::optional<Error> overlong_line(std::string_view toml, std::string_view origin) {
  constexpr std::size_t kLongest = 16'384;
  std::size_t number = 1;
  for (std::size_t begin = 0; begin < toml.size(); ++number) {
    const std::size_t end = std::min(toml.find('\n', begin), toml.size());
    if (end - begin > kLongest) {
      return Error{Errc::config, fmt::format("{}:{}: a line of {} bytes", origin, number, end - begin),
                   fmt::format("break it: a line may have {} bytes", kLongest)};
    }
    begin = end + 1;
  }
  return std::nullopt;
}

Result<Config> parse_checked(std::string_view toml, std::string_view origin) {
  if (auto overlong = overlong_line(toml, origin)) return *std::move(overlong);
  const toml::parse_result parsed = toml::parse(toml);
  if (!parsed) return syntax_error(parsed.error(), origin);
  Result<Config> config = Reader(origin).read(parsed.table());
  if (!config) return config;
  if (const Result<void> valid = validate(*config); !valid) {
    const Error& error = valid.error();
    return Error{error.code, fmt::format("{}: {}", origin, error.what), error.hint};
  }
  return config;
}

}  // namespace

Result<Config> parse_config(std::string_view toml, std::string_view origin) noexcept try {
  return parse_checked(toml, origin);
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

Result<Config> load_config(const std::string& path) noexcept try {
  const Result<std::string> text = detail::read_file(path);
  if (!text) return text.error();
  return parse_checked(*text, path);
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

}  // namespace weir
