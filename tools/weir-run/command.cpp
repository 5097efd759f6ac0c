// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <signal.h>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weir/text.hpp"

#include "common/failure.hpp"

namespace weir::runner {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

constexpr int kPassedOn[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,
                             SIGALRM, SIGTERM, SIGCONT, SIGTSTP, SIGWINCH};

sigset_t only(int signal) noexcept {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  return set;
}

/// Blocks signals until they are asked for; the command gets back the signal state that we were started with.
class Signals {
 public:
  Signals() noexcept : awaited_(only(SIGCHLD)) {
    for (const int signal : kPassedOn) ::sigaddset(&awaited_, signal);
    // SIGCHLD may be ignored by the caller, and this is inherited: then the kernel would discard the exit
    // status.
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &by_default, &inherited_action_);
    ::sigprocmask(SIG_BLOCK, &awaited_, &inherited_mask_);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  void restore() const noexcept {
    ::sigaction(SIGCHLD, &inherited_action_, nullptr);
    ::sigprocmask(SIG_SETMASK, &inherited_mask_, nullptr);
  }

  [[nodiscard]] siginfo_t next() const noexcept {
    siginfo_t info{};
    while (::sigwaitinfo(&awaited_, &info) < 0) {  // EINTR: this process was stopped and continued
    }
    return info;
  }

 private:
  sigset_t awaited_;
  sigset_t inherited_mask_{};
  struct sigaction inherited_action_ {};
};

/// Whether a folder of PATH holds a file with this name. If there is none, execvp() blames a folder that may
/// not be searched, while a shell says that there is no such command.
bool lies_on_path(const char* name) noexcept {
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): one thread only
  if (path == nullptr) path = "/bin:/usr/bin";
  for (std::string_view rest = path;;) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    char file[PATH_MAX];
    const int length =
        std::snprintf(file, sizeof file, "%.*s/%s", static_cast<int>(folder.empty() ? 1 : folder.size()),
                      folder.empty() ? "." : folder.data(), name);
    struct stat info {};
    const bool whole = length > 0 && static_cast<std::size_t>(length) < sizeof file;
    if (whole && ::stat(file, &info) == 0 && !S_ISDIR(info.st_mode)) return true;
    if (folder.size() == rest.size()) return false;
    rest.remove_prefix(folder.size() + 1);
  }
}

// Runs in the child, which holds copies of everything: no exceptions and no destructors from here on.
[[noreturn]] void become(char** argv, const char* shown_name, pid_t parent, WhenKilled when_killed,
                         const Signals& signals) noexcept {
  if (when_killed == WhenKilled::command_dies) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // If the parent was killed before the prctl, no signal will come.
    if (::getppid() != parent) ::_exit(128 + SIGKILL);
  }
  signals.restore();
  ::execvp(argv[0], argv);
  int error = errno;
  if (error == EACCES && std::strchr(argv[0], '/') == nullptr && !lies_on_path(argv[0])) error = ENOENT;
  std::fprintf(stderr, "weir-run: command \"%s\": %s\n", shown_name, std::strerror(error));
  ::_exit(error == ENOENT ? 127 : 126);
}

pid_t start(char** argv, WhenKilled when_killed, const Signals& signals) {
  const pid_t self = ::getpid();
  const std::string shown_name = printable(argv[0]);
  const pid_t child = ::fork();
  if (child < 0) throw Failure(kFailed, std::string("cannot start a process: ") + std::strerror(errno));
  if (child == 0) become(argv, shown_name.c_str(), self, when_killed, signals);
  return child;
}

// Stops as a process that does not handle SIGTSTP: the shell sees the job stop. It returns when it is
// continued.
void stop() noexcept {
  const sigset_t stop = only(SIGTSTP);
  ::raise(SIGTSTP);
  ::sigprocmask(SIG_UNBLOCK, &stop, nullptr);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
}

void pass_on(const siginfo_t& info, pid_t child) noexcept {
  // A signal from the terminal (Ctrl-C) goes to the whole process group, so the command has it already.
  const bool sent_by_process = info.si_code <= 0;
  if (sent_by_process || ::getpgid(child) != ::getpgrp()) ::kill(child, info.si_signo);
  if (info.si_signo == SIGTSTP) stop();
}

std::optional<int> exit_status(pid_t child) noexcept {
  int status = 0;
  if (::waitpid(child, &status, WNOHANG) != child) return std::nullopt;  // the child stopped or continued
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

int run_command(char** argv, WhenKilled when_killed) {
  const Signals signals;
  const pid_t child = start(argv, when_killed, signals);
  for (;;) {
    const siginfo_t info = signals.next();
    if (info.si_signo != SIGCHLD) {
      pass_on(info, child);  // the child is not reaped yet, so the id is still its own
    } else if (const std::optional<int> status = exit_status(child)) {
      return *status;
    }
  }
}

}  // namespace weir::runner
