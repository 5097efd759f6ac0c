// SPDX-License-Identifier: Apache-2.0
#pragma once

// The output of a tool, and what happens if it cannot be written. Messages on the standard error do not
// decide anything: if it is closed, on a full disk or without a reader, the exit status is the same. Most
// tools are run for their standard output, so a text that cannot be written there is a failure.

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <signal.h>
#include <string>
#include <string_view>
#include <unistd.h>

#include "weir/text.hpp"

#include "common/failure.hpp"

namespace weir::tools {

/// Call this first. Without it, a message could kill the tool (SIGPIPE, or SIGXFSZ under a limit on file
/// sizes), or could be written into a file that was opened under the number of a closed output.
inline void prepare_output() noexcept {
  // A closed descriptor is filled with one that fails in the same way, and that an exec closes again.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    (void)::open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
  }
  // The signals are caught rather than ignored, because an exec then resets them for the command that it
  // starts.
  for (const int signal : {SIGPIPE, SIGXFSZ}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
  }
}

inline bool is_capable(const char* terminal) noexcept {
  return terminal != nullptr && std::string_view(terminal) != "dumb";
}

/// Whether what was written to an output can be drawn over: it is a terminal that is not dumb.
inline bool can_redraw(int output) noexcept {
  return is_capable(std::getenv("TERM")) &&
         ::isatty(output) == 1;  // NOLINT(concurrency-mt-unsafe): one thread
}

/// Whether to colour lines red: on a terminal that knows colours, unless NO_COLOR is set (no-color.org).
inline bool wants_colours() noexcept {
  const char* const refused = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): one thread
  if (refused != nullptr && *refused != '\0') return false;
  return can_redraw(STDOUT_FILENO);
}

/// Writes a line to the standard error. A line that cannot be written is lost.
inline void complain(std::string_view program, std::string_view message) noexcept {
  const auto write = [](std::string_view text) { (void)std::fwrite(text.data(), 1, text.size(), stderr); };
  ::flockfile(stderr);  // keeps the line whole beside other threads
  write(program);
  write(": ");
  write(message);
  write("\n");
  ::funlockfile(stderr);
}

/// Buffered bytes may fail as late as here, and a full disk must not pass for success. Throws Failure.
inline void finish_output() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return;
  const int error = errno;  // 0 if it had failed before
  // A reader that has gone (`| head`) need not be told.
  throw Failure(kFailed, error == EPIPE ? std::string()
                                        : std::string("standard output: ") +
                                              (error != 0 ? std::strerror(error) : "cannot be written"));
}

/// The main function of a tool: runs it, prints the message of an exception, and returns the exit status.
inline int run_tool(const char* program, int argc, char** argv, int (*run)(int, char**)) noexcept {
  prepare_output();
  int status = kFailed;
  std::string message;
  try {
    status = run(argc, argv);
    if (status == kDone) finish_output();
    return status;
  } catch (const Failure& failure) {
    status = failure.status();
    message = failure.what();
  } catch (const std::exception& failure) {
    status = kFailed;
    message = failure.what();
  }
  if (!message.empty()) complain(program, printable(message));
  return status;
}

}  // namespace weir::tools
