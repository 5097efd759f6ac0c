#pragma once

// Messages to a person. A message that cannot be written changes nothing: the exit status still tells what
// happened.

#include <cstdio>
#include <string_view>

namespace weir::replay {

inline void say(std::string_view text) noexcept {
  [[maybe_unused]] const std::size_t written = std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace weir::replay
