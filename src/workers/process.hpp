// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the kernel says about processes.

#include <array>
#include <cstdint>
#include <string>

#include "workers/slot.hpp"

namespace weir::detail {

/// The trace of the calling process. A field that /proc does not show is 0.
[[nodiscard]] ProcessTrace own_trace() noexcept;

/// Whether it is certain that the process which left `trace` has ended, or now runs another program. If a
/// process cannot be examined (no free descriptor, a /proc that hides it or belongs to another PID namespace,
/// a file that was not read completely), it counts as alive.
/// @param pid  a pid of our own PID namespace.
[[nodiscard]] bool has_ended(std::uint32_t pid, const ProcessTrace& trace) noexcept;

/// The inode of the PID namespace of this process; 0 if /proc does not show it, and has not shown it earlier
/// to this process or to the process that forked it.
[[nodiscard]] std::uint64_t own_pid_namespace() noexcept;

/// The name of the calling program, as ps shows it.
[[nodiscard]] std::string own_name();

/// By what a record tells people which process wrote it. Zeros: not known.
struct ProcessMark {
  std::uint32_t uid = 0;
  std::uint32_t pid = 0;
  std::array<char, 16> program{};  ///< its name as ps shows it, not terminated; any bytes
};

/// Asks the kernel for the mark of this process. The name is left out if it cannot be read.
[[nodiscard]] ProcessMark ask_process_mark() noexcept;
/// Asks, and remembers the answer for remembered_process_mark().
void remember_process_mark() noexcept;
/// The mark as this process last remembered it; zeros if it never did, and in a child that has not yet done so itself.
/// It makes no system call.
[[nodiscard]] ProcessMark remembered_process_mark() noexcept;

}  // namespace weir::detail
