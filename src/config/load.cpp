#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "config/environment.hpp"
#include "config/file.hpp"
#include "config/path.hpp"
#include "config/read.hpp"
#include "config/text.hpp"
#include "config/values.hpp"
#include "config/write.hpp"

namespace weir {
namespace {

using detail::Expected;
using detail::Node;
using detail::Place;

constexpr const char* kBuiltIn = "built in";

std::string place_text(const Place& place) {
  if (!place.inherited) return place.text();
  return (place.line == 0 ? "defaults, " : "defaults at ") + place.text();
}

/// Adds each origin of a value's parts once: the line on which it begins, the variables that changed some.
void add_origins(const Node& node, const Place& around, std::vector<std::string>& origins) {
  const bool further = node.place.origin == around.origin && node.place.inherited == around.inherited;
  const Place& place = further ? around : node.place;
  const auto* list = node.as<Node::List>();
  const auto* table = node.as<Node::Table>();
  if (list != nullptr && !list->empty()) {
    for (const Node& value : *list) add_origins(value, place, origins);
  } else if (table != nullptr && !table->empty()) {
    for (const Node::Member& member : *table) add_origins(member.value, place, origins);
  } else if (place.origin) {
    const std::string origin = place_text(place);
    if (std::ranges::find(origins, origin) == origins.end()) origins.push_back(origin);
  }
}

std::string origin_of(const std::string& key, const Node& root) {
  std::vector<std::string> origins;
  if (const Node* node = detail::find_node(root, key)) add_origins(*node, node->place, origins);
  std::string text;
  for (const std::string& origin : origins) text += (text.empty() ? "" : " and ") + origin;
  return text.empty() ? kBuiltIn : text;
}

Result<LoadedConfig> load(std::string_view toml, const Place& start, const Environment& environment) {
  Expected<Node> root = detail::parse_document(toml, start);
  if (!root) return root.error();
  if (const Expected<void> done = detail::apply_environment(*root, environment); !done) return done.error();
  Expected<Config> config = detail::read_config(*root);
  if (!config) return config.error();
  std::vector<ConfigValue> values = detail::values_of(detail::write_config(*config));
  for (ConfigValue& value : values) value.origin = origin_of(value.key, *root);
  return LoadedConfig{*std::move(config), std::move(values)};
}

Place first_line_of(std::string_view origin) {
  return {std::make_shared<const std::string>(origin), 1, 1};
}

Result<Config> config_of(Result<LoadedConfig> loaded) {
  if (!loaded) return loaded.error();
  return std::move(loaded->config);
}

}  // namespace

Result<LoadedConfig> load_effective_config(const std::optional<std::string>& path,
                                           const Environment& environment) noexcept try {
  if (!path) {
    return load(builtin_config_text(), {std::make_shared<const std::string>(kBuiltIn)}, environment);
  }
  const Result<std::string> text = detail::read_file(*path);
  if (!text) return text.error();
  return load(*text, first_line_of(*path), environment);
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

Result<Config> parse_config(std::string_view toml, std::string_view origin) noexcept try {
  return config_of(load(toml, first_line_of(origin), {}));
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

Result<Config> load_config(const std::string& path) noexcept try {
  return config_of(load_effective_config(path, process_environment()));
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

Result<Config> load_builtin_config() noexcept try {
  return config_of(load_effective_config(std::nullopt, process_environment()));
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

}  // namespace weir
