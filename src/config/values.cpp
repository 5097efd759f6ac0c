#include "config/values.hpp"

#include <exception>
#include <fmt/format.h>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "config/edit.hpp"
#include "config/path.hpp"
#include "config/read.hpp"
#include "config/write.hpp"

namespace weir {
namespace {

using detail::Expected;
using detail::Node;

constexpr const char* kNone = "none";

Expected<void> set(Node& root, std::string_view key, std::string_view value) {
  const Expected<detail::Path> path = detail::parse_path(key, root);
  if (!path) return tl::make_unexpected(path.error());
  if ((*path)[0] == detail::Step("defaults")) {
    return detail::fail(Errc::config, detail::path_text(*path) + ": defaults are part of a file",
                        "set the value of an operation, as in operations.x.rate");
  }
  return detail::edit(root, *path, value, {});
}

/// Operations, and users with an override: they come and go as wholes. By key, as TOML.
using Wholes = std::map<std::string, std::string>;

Wholes wholes_of(const Node& written) {
  Wholes wholes;
  const auto add = [&](const std::string& path, const Node* names) {
    if (names == nullptr) return;
    for (const auto& [name, value, place] : *names->as<Node::Table>()) {
      wholes.emplace(detail::joined(path, name), detail::inline_text(value));
    }
  };
  add("operations", written.find("operations"));
  if (const Node* overrides = written.find("overrides")) add("overrides.users", overrides->find("users"));
  return wholes;
}

bool part_of_any(std::string_view key, const Wholes& wholes) {
  for (std::size_t dot = key.find('.'); dot != key.npos; dot = key.find('.', dot + 1)) {
    if (wholes.count(std::string(key.substr(0, dot))) != 0) return true;
  }
  return wholes.count(std::string(key)) != 0;
}

/// One side of a comparison.
struct Side {
  explicit Side(const Config& config) : Side(detail::write_config(config)) {}
  explicit Side(const Node& written) : wholes(wholes_of(written)), values(detail::values_of(written)) {}

  [[nodiscard]] Wholes without(const Side& other) const {
    Wholes only_here;
    for (const auto& [key, value] : wholes) {
      if (other.wholes.count(key) == 0) only_here.emplace(key, value);
    }
    return only_here;
  }

  /// The value of a key, unless it stands for an operation that is there but empty.
  [[nodiscard]] std::string value_of(std::string_view key) const {
    for (const ConfigValue& value : values) {
      if (value.key == key && wholes.count(value.key) == 0) return value.value;
    }
    return kNone;
  }

  Wholes wholes;
  std::vector<ConfigValue> values;
};

void add_change(std::vector<ConfigChange>& changes, const std::string& key, std::string from,
                std::string to) {
  if (from != to) changes.push_back({key, std::move(from), std::move(to)});
}

}  // namespace

namespace detail {

std::vector<ConfigValue> values_of(const Node& written) {
  std::vector<ConfigValue> values;
  for_each_section(written, [&](const std::string& path, const Node& section) {
    const auto& members = *section.as<Node::Table>();
    if (members.empty())
      values.push_back({path, "{}", {}});  // an operation without limits is there all the same
    for (const Node::Member& member : members) {
      if (is_section(member)) continue;
      values.push_back({joined(path, member.key), inline_text(member.value), {}});
    }
  });
  return values;
}

}  // namespace detail

std::vector<ConfigValue> config_values(const Config& config) {
  return detail::values_of(detail::write_config(config));
}

std::vector<ConfigChange> config_difference(const Config& from, const Config& to) {
  const Side before(from);
  const Side after(to);
  const Wholes gone = before.without(after);
  const Wholes come = after.without(before);
  std::vector<ConfigChange> changes;
  for (const auto& [key, value] : gone) add_change(changes, key, value, kNone);
  for (const ConfigValue& value : before.values) {
    if (!part_of_any(value.key, gone) && after.value_of(value.key) == kNone) {
      add_change(changes, value.key, before.value_of(value.key), kNone);
    }
  }
  for (const ConfigValue& value : after.values) {
    if (part_of_any(value.key, come)) continue;
    add_change(changes, value.key, before.value_of(value.key), after.value_of(value.key));
  }
  for (const auto& [key, value] : come) add_change(changes, key, kNone, value);
  return changes;
}

Result<void> set_value(Config& config, std::string_view key, std::string_view value) noexcept try {
  return apply_changes(config, {{std::string(key), {}, std::string(value)}});
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

Result<void> apply_changes(Config& config, const std::vector<ConfigChange>& changes) noexcept try {
  Node root = detail::write_config(config);
  for (const ConfigChange& change : changes) {
    if (const Expected<void> done = set(root, change.key, change.to); !done) return done.error();
  }
  Expected<Config> changed = detail::read_config(root);
  if (!changed) return changed.error();
  config = *std::move(changed);
  return {};
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

}  // namespace weir
