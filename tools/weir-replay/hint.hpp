#pragma once

#include <string>
#include <string_view>

namespace weir::replay {

/// What a line that is not a request looks like, and what to do about it, for a person.
[[nodiscard]] std::string hint_for(std::string_view line);

}  // namespace weir::replay
