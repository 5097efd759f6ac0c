#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/expected.hpp"
#include "config/document.hpp"

namespace weir::detail {

/// One step into a tree: a table's key or a list's index.
using Step = std::variant<std::string, std::size_t>;
using Path = std::vector<Step>;

/// Reads "operations.x.rate[1]". A name with dots needs quotes only where `root` does not have it.
[[nodiscard]] Expected<Path> parse_path(std::string_view key, const Node& root);

/// The part of the tree that `key` names; null where there is none.
[[nodiscard]] const Node* find_node(const Node& root, std::string_view key);

/// The same, or what there is of the way to it.
[[nodiscard]] const Node& nearest_node(const Node& root, std::string_view key);

}  // namespace weir::detail
