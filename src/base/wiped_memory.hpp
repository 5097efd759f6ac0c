// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace weir::detail {

/// Maps zeroed memory that the kernel clears in a child, whether fork or a raw clone made it.
/// @return nullptr: memory has run out, or the kernel cannot do so (before Linux 4.14).
[[nodiscard]] void* map_wiped(std::size_t bytes) noexcept;
void unmap_wiped(void* memory, std::size_t bytes) noexcept;

}  // namespace weir::detail
