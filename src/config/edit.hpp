// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "weir/error.hpp"

#include "config/document.hpp"
#include "policy/key_path.hpp"

namespace weir::detail {

/// Reads "operations.x.rate[1]". A name with dots needs quotes only where `root` does not have it.
/// Errors  Errc::config, quoting the key.
[[nodiscard]] Result<KeyPath> parse_key(std::string_view key, const Node& root);

/// Sets one value of a tree, or a part of it; the value "none" removes it. The form in which a limit is written does
/// not matter: "30/min" becomes a table when its candidate is set, and a list when its [1] is set. The result is not
/// checked: that is left to the reader of the tree.
/// Errors  Errc::config: an index beyond the end, a part of a value that has no parts, a value that is not TOML.
[[nodiscard]] Result<void> edit(Node& root, const KeyPath& path, std::string_view value,
                                const SourcePosition& position);

/// The node at the end of a path, or the last node on the way there.
struct Found {
  const Node* node;
  bool whole;  ///< whether this is the end of the path
};
[[nodiscard]] Found find_node(const Node& root, std::span<const KeyStep> path);

}  // namespace weir::detail
