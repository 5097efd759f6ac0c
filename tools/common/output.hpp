#pragma once

// What a tool writes, and what becomes of it. Messages on the standard error decide nothing: closed, on a
// full disk or read by nobody, the exit status is the same. The standard output is what most tools are for,
// so a text that cannot be written there is a failure.

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

/// Call it first. Without it, a message could kill the tool (SIGPIPE, or SIGXFSZ under a limit on file
/// sizes), or could go into a file that was opened under the number of a closed output.
inline void prepare_output() noexcept {
  // Closed ones are filled with what fails as they do, and closed again by an exec.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    (void)::open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
  }
  // Caught rather than ignored: an exec then resets them for the command that it starts.
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

/// Whether a line of the standard error can be drawn over: on a terminal that is not dumb.
inline bool can_redraw() noexcept {
  return is_capable(std::getenv("TERM")) && ::isatty(STDERR_FILENO) == 1;  // NOLINT(concurrency-mt-unsafe)
}

/// Whether red lines are welcome: on a terminal that knows colours, unless NO_COLOR is set (no-color.org).
inline bool wants_colours() noexcept {
  const char* const refused = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): one thread
  if (refused != nullptr && *refused != '\0') return false;
  return is_capable(std::getenv("TERM")) && ::isatty(STDOUT_FILENO) == 1;  // NOLINT(concurrency-mt-unsafe)
}

/// Writes a line to the standard error. What cannot be written is lost.
inline void complain(std::string_view program, std::string_view message) noexcept {
  const auto write = [](std::string_view text) { (void)std::fwrite(text.data(), 1, text.size(), stderr); };
  ::flockfile(stderr);  // one line, also beside other threads
  write(program);
  write(": ");
  write(message);
  write("\n");
  ::funlockfile(stderr);
}

/// Buffered bytes may fail as late as here: a full disk must not pass for success. Throws Failure.
inline void finish_output() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return;
  const int error = errno;  // 0: it had failed before
  // A reader that has gone (`| head`) knows it.
  throw Failure(kFailed, error == EPIPE ? std::string()
                                        : std::string("standard output: ") +
                                              (error != 0 ? std::strerror(error) : "cannot be written"));
}

/// The main function of a tool: runs it, says what it throws, and tells its exit status.
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
