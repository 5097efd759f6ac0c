#pragma once

// What the kernel tells about processes.

#include <cstdint>
#include <string>

#include "workers/slot.hpp"

namespace weir::detail {

/// The traces of the calling process. What /proc does not tell is 0.
[[nodiscard]] ProcessTrace own_trace() noexcept;

/// Whether it is certain that the process which left `trace` has ended, or now runs another program. A
/// process that cannot be looked at (no free descriptor, a /proc that hides it or belongs to another PID
/// namespace, a file that was not read whole) is in doubt, and a process in doubt lives.
/// @param pid  of our PID namespace.
[[nodiscard]] bool has_ended(std::uint32_t pid, const ProcessTrace& trace) noexcept;

/// Inode of the PID namespace that we live in; 0 where /proc does not tell, nor has told this process before,
/// or the one that forked it.
[[nodiscard]] std::uint64_t own_pid_namespace() noexcept;

/// The name of the calling program, as ps shows it.
[[nodiscard]] std::string own_name();

}  // namespace weir::detail
