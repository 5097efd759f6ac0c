// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace weir::runner {

/// What happens to the command when this process is killed.
enum class WhenKilled { command_dies, command_goes_on };

/// Runs `argv` (found along PATH, nullptr at its end) as a child until it ends, and passes on to it the
/// signals that other processes send to this one meanwhile.
///
/// @return      the child's exit status as a shell reports it: 128 + the signal that killed it; 127 if there
///              is no such command, 126 if it cannot be executed (both are reported on stderr).
///
/// Errors       throws Failure if no process can be started.
/// Concurrency  one thread only: the command would die with the thread that started it.
/// Crash        if this process is killed, so is the command, if `when_killed` says so.
[[nodiscard]] int run_command(char** argv, WhenKilled when_killed);

}  // namespace weir::runner
