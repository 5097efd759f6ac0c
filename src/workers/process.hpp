#pragma once

// What the kernel tells about processes.

#include <cstdint>
#include <optional>
#include <string>

#include "workers/slot.hpp"

namespace weir::detail {

/// The traces of a running process of our PID namespace; nullopt if there is none of that pid, or only a
/// zombie. Fields that this process may not read are 0.
[[nodiscard]] std::optional<ProcessTrace> trace_of(std::uint32_t pid) noexcept;

/// Inode of the PID namespace that we live in; 0 where /proc does not tell.
[[nodiscard]] std::uint64_t own_pid_namespace() noexcept;

/// The name of the calling program, as ps shows it.
[[nodiscard]] std::string own_name();

}  // namespace weir::detail
