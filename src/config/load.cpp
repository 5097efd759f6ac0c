// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "base/descriptor.hpp"
#include "base/result.hpp"
#include "config/edit.hpp"
#include "config/environment.hpp"
#include "config/read.hpp"
#include "config/text.hpp"
#include "config/write.hpp"

namespace weir {
namespace {

using detail::Node;
using detail::SourcePosition;

/// The error for a failed system call on a file of the configuration.
Error file_error(const std::string& path, int error) {
  const std::string what = path + ": " + std::generic_category().message(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return {Errc::not_found, what, "name an existing TOML file"};
    case EACCES:
    case EPERM:
      return {Errc::permission, what, "run as a user who may read it"};
    case EISDIR:
      return {Errc::config, what, "name the TOML file itself"};
    default:
      return {Errc::system, what, {}};
  }
}

/// Reads a whole text file.
Result<std::string> read_file(const std::string& path) {
  constexpr std::size_t kLargest = 16U << 20U;  // far beyond any configuration; also ends reading /dev/zero
  const detail::FileHandle file = detail::open_file(path.c_str(), O_RDONLY);
  if (!file) return file_error(path, errno);
  std::string text;
  std::array<char, 16'384> block;
  for (;;) {
    const ssize_t got = ::read(file.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(path, errno);
    if (got == 0) return text;
    text.append(block.data(), static_cast<std::size_t>(got));
    if (text.size() > kLargest) return Error{Errc::config, path + ": larger than 16 MiB", "name a TOML file"};
  }
}

constexpr const char* kBuiltIn = "built in";

std::string position_text(const SourcePosition& position) {
  if (!position.inherited) return position.text();
  return (position.line == 0 ? "defaults, " : "defaults at ") + position.text();
}

/// Adds the origins of a value's parts, each once: the line on which the value begins, and the variables that changed
/// a part of it.
void add_origins(const Node& node, const SourcePosition& around, std::vector<std::string>& origins) {
  const bool further = node.position.origin == around.origin && node.position.inherited == around.inherited;
  const SourcePosition& position = further ? around : node.position;
  const auto* list = node.as<Node::List>();
  const auto* table = node.as<Node::Table>();
  if (list != nullptr && !list->empty()) {
    for (const Node& value : *list) add_origins(value, position, origins);
  } else if (table != nullptr && !table->empty()) {
    for (const Node::Member& member : *table) add_origins(member.value, position, origins);
  } else if (position.origin) {
    const std::string origin = position_text(position);
    if (std::ranges::find(origins, origin) == origins.end()) origins.push_back(origin);
  }
}

std::string origin_of(const detail::KeyPath& key, const Node& root) {
  std::vector<std::string> origins;
  const detail::Found found = detail::find_node(root, key);
  if (found.whole) add_origins(*found.node, found.node->position, origins);
  return origins.empty() ? kBuiltIn : fmt::format("{}", fmt::join(origins, " and "));
}

SourcePosition first_line_of(std::string_view origin) {
  return {std::make_shared<const std::string>(origin), 1, 1};
}

Result<Node> tree_of(std::string_view toml, const SourcePosition& start, const Environment& environment) {
  WEIR_TRY(Node root, detail::parse_document(toml, start));
  WEIR_TRY_VOID(detail::apply_environment(root, environment));
  return root;
}

/// The tree of a file, or without a path that of the built-in limits, under an environment.
Result<Node> tree_of(const std::optional<std::string>& path, const Environment& environment) {
  if (!path)
    return tree_of(builtin_config_text(), {std::make_shared<const std::string>(kBuiltIn)}, environment);
  WEIR_TRY(const std::string text, read_file(*path));
  return tree_of(text, first_line_of(*path), environment);
}

}  // namespace

Result<LoadedConfig> load_effective_config(const std::optional<std::string>& path,
                                           const Environment& environment) noexcept {
  return detail::guarded([&]() -> Result<LoadedConfig> {
    WEIR_TRY(const Node root, tree_of(path, environment));
    WEIR_TRY(Config config, detail::load_from_tree(root));
    std::vector<ConfigValue> values;
    for (detail::SavedValue& value : detail::values_of(config)) {
      const detail::KeyPath key = value.key();
      values.push_back({detail::path_text(key), std::move(value.text), origin_of(key, root)});
    }
    return LoadedConfig{std::move(config), std::move(values)};
  });
}

Result<Config> parse_config(std::string_view toml, std::string_view origin) noexcept {
  return detail::guarded(
      [&] { return tree_of(toml, first_line_of(origin), {}).and_then(detail::load_from_tree); });
}

Result<Config> load_config(const std::string& path) noexcept {
  return detail::guarded(
      [&] { return tree_of(path, process_environment()).and_then(detail::load_from_tree); });
}

Result<Config> load_builtin_config() noexcept {
  return detail::guarded(
      [&] { return tree_of(std::nullopt, process_environment()).and_then(detail::load_from_tree); });
}

}  // namespace weir
