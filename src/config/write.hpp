#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "weir/policy.hpp"

#include "config/document.hpp"

namespace weir::detail {

/// The tree that reads as this configuration again, in the order of the file format, each value as short as
/// it can be written.
[[nodiscard]] Node write_config(const Config& config);

[[nodiscard]] Node write_breaker(const Breaker& breaker);

/// One value in TOML, on one line.
[[nodiscard]] std::string inline_text(const Node& value);

/// Calls `visit(path, table)` for each [section] of a written tree, in order.
using Visit = std::function<void(const std::string& path, const Node& table)>;
void for_each_section(const Node& root, const Visit& visit);

/// Whether a section's member is a section of its own, rather than one of its values.
[[nodiscard]] bool is_section(const Node::Member& member);

/// A whole file; comments by key.
[[nodiscard]] std::string file_text(const Node& root, const std::map<std::string, std::string>& comments);

}  // namespace weir::detail
