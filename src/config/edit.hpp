// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "weir/config.hpp"

#include "config/document.hpp"
#include "policy/key_path.hpp"

namespace weir::detail {

/// Sets one value of a tree, or a part of it. The form in which a limit is written does not matter: "30/min" becomes
/// a table when its candidate is set, and a list when its [1] is set. The result is not checked: that is left to the
/// reader of the tree.
/// Errors  Errc::config: an index beyond the end, a part of a value that has no parts.
[[nodiscard]] Result<void> set_node(Node& root, const KeyPath& path, const Node& value);

/// Sets a value that is given as text; "none" removes it.
/// Errors  as set_node(), and a value that is not TOML.
[[nodiscard]] Result<void> set_text(Node& root, const KeyPath& path, std::string_view text,
                                    const SourcePosition& position);

/// The tree of a configuration after changes, whose keys are as in "operations.x.rate[1]". A name with dots needs
/// quotes only where the configuration does not have it. The result is not checked.
/// Errors  Errc::config, quoting the key.
[[nodiscard]] Result<Node> changed_tree(const Config& config, const std::vector<ConfigChange>& changes);

/// The node at the end of a path, or the last node on the way there.
struct Found {
  const Node* node;
  bool whole;  ///< whether this is the end of the path
};
[[nodiscard]] Found find_node(const Node& root, std::span<const KeyStep> path);

}  // namespace weir::detail
