// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace weir::detail {

/// A number that differs between a process and its children, whether they were made by fork or by a raw
/// clone, which runs no handlers. It is never 0. If an object carries the tag of another process, it was
/// inherited. Where the kernel cannot wipe a page in children (before 4.14), the number does not differ. The
/// call is async-signal-safe.
/// Cost  two loads, except for the first call in a process.
[[nodiscard]] std::uint64_t process_tag() noexcept;

}  // namespace weir::detail
