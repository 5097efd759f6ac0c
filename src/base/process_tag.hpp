#pragma once

#include <cstdint>

namespace weir::detail {

/// A number that differs between a process and its children, however they were made: by fork, or by a raw
/// clone, which runs no handlers. Never 0. What carries the tag of another process was inherited. Where the
/// kernel cannot wipe a page in children (before 4.14), it does not differ. Cost  two loads, but for a
/// process's first call. Async-signal-safe.
[[nodiscard]] std::uint64_t process_tag() noexcept;

}  // namespace weir::detail
