#pragma once

#include <optional>
#include <string_view>

#include "base/expected.hpp"
#include "config/document.hpp"
#include "config/path.hpp"

namespace weir::detail {

/// Sets or (nullopt) removes one value of a tree, or a part of it. What a limit is written as does not
/// matter: "30/min" becomes a table where its candidate is set, and a list where its [1] is. Whether the
/// tree means anything is for its reader to say.
/// Errors  Errc::config: an index beyond the end, a part of what has no parts.
[[nodiscard]] Expected<void> edit(Node& root, const Path& path, std::optional<Node> value);

/// The same with a value as text; "none" removes.
[[nodiscard]] Expected<void> edit(Node& root, const Path& path, std::string_view value, const Place& place);

/// "operations.x.rate[1]"
[[nodiscard]] std::string path_text(const Path& path);

}  // namespace weir::detail
