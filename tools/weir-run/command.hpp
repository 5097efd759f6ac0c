#pragma once

namespace weir::runner {

/// What becomes of the command when this process is killed.
enum class WhenKilled { command_dies, command_goes_on };

/// Runs `argv` (found along PATH, nullptr at its end) as a child to its end, and passes on to it the signals
/// that other processes send to this one meanwhile.
///
/// @return      its exit status as a shell tells it: 128 + the signal that killed it; 127 no such command,
/// 126
///              it cannot be executed (both said on stderr).
///
/// Errors       throws Failure when there is no process to be had.
/// Concurrency  one thread only: the command would die with the thread that started it.
/// Crash        killed inside: so is the command, if `when_killed` says so.
[[nodiscard]] int run_command(char** argv, WhenKilled when_killed);

}  // namespace weir::runner
