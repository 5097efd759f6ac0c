// SPDX-License-Identifier: Apache-2.0
#include "workers/process.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <fmt/format.h>
#include <new>
#include <pthread.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.hpp"
#include "base/process_tag.hpp"
#include "base/wiped_memory.hpp"

namespace weir::detail {
namespace {

// The PID namespace that /proc showed last, for a process that has no /proc any more, as after a chroot. A
// process never leaves its PID namespace.
constinit std::atomic<std::uint64_t> g_namespace{0};
constinit std::atomic<std::uint64_t> g_known_to{0};  // the tag of the process that saw it; 0: none
constinit std::atomic<pid_t> g_parent{0};            // of the next child, if it may inherit what is known

void before_fork() noexcept {
  const std::uint64_t known_to = g_known_to.load(std::memory_order_relaxed);
  const bool known = known_to != 0 && known_to == process_tag();
  g_parent.store(known ? ::getpid() : 0, std::memory_order_relaxed);
}

// If a child sees its parent under the pid by which the parent knows itself, both are in the same namespace.
// A child in a new namespace does not see its parent at all.
void after_fork_in_child() noexcept {
  const pid_t parent = g_parent.load(std::memory_order_relaxed);
  if (parent != 0) g_known_to.store(::getppid() == parent ? process_tag() : 0, std::memory_order_relaxed);
}

[[maybe_unused]] const int g_installed = ::pthread_atfork(before_fork, nullptr, after_fork_in_child);

std::string_view read_small_file(const char* path, std::array<char, 1024>& buffer) noexcept {
  const FileHandle file = open_file(path, O_RDONLY);
  if (!file) return {};
  const ssize_t length = ::read(file.get(), buffer.data(), buffer.size());
  return length > 0 ? std::string_view(buffer.data(), static_cast<std::size_t>(length)) : std::string_view();
}

/// The fields of /proc/PID/stat after the program's name, which may itself contain spaces and parentheses. A
/// line that was not read completely has no fields.
class StatFields {
 public:
  explicit StatFields(std::string_view stat) noexcept {
    const std::size_t name_end = stat.rfind(')');
    if (name_end == std::string_view::npos || !stat.ends_with('\n')) return;
    rest_ = stat.substr(std::min(name_end + 2, stat.size()));
  }

  /// The field with this number in proc(5); the state is number 3.
  [[nodiscard]] std::string_view field(int number) const noexcept {
    std::string_view rest = rest_;
    for (int i = 3; i < number && !rest.empty(); ++i) {
      const std::size_t space = rest.find(' ');
      rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
    }
    return rest.substr(0, rest.find(' '));
  }

  /// @return 0 if it is unknown.
  [[nodiscard]] std::uint64_t number(int field_number) const noexcept {
    const std::string_view text = field(field_number);
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    return error == std::errc() && stop == end ? value : 0;
  }

  [[nodiscard]] std::uint64_t start_time() const noexcept { return number(22); }
  [[nodiscard]] std::uint64_t stack() const noexcept { return number(28); }
  /// A process whose first thread has ended is shown as a zombie, too, although its other threads still run.
  [[nodiscard]] bool all_threads_ended() const noexcept {
    const std::string_view state = field(3);
    return (state == "Z" || state == "X") && field(20) == "1";
  }

 private:
  std::string_view rest_;
};

/// Whether the pids in /proc are those of our own PID namespace.
bool proc_is_ours() noexcept {
  std::array<char, 32> self{};
  const ssize_t length = ::readlink("/proc/self", self.data(), self.size());
  std::uint32_t pid = 0;
  if (length <= 0) return false;
  std::from_chars(self.data(), self.data() + length, pid);
  return pid == static_cast<std::uint32_t>(::getpid());
}

/// Whether both are known and different.
bool differ(std::uint64_t a, std::uint64_t b) noexcept {
  return a != 0 && b != 0 && a != b;
}

}  // namespace

ProcessTrace own_trace() noexcept {
  std::array<char, 1024> buffer;
  const StatFields stat(read_small_file("/proc/self/stat", buffer));
  return {stat.start_time(), stat.stack(), own_pid_namespace()};
}

bool has_ended(std::uint32_t pid, const ProcessTrace& trace) noexcept {
  if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return true;
  if (!proc_is_ours()) return false;
  std::array<char, 32> path{};
  *fmt::format_to_n(path.data(), path.size() - 1, "/proc/{}/stat", pid).out = '\0';
  std::array<char, 1024> buffer;
  const StatFields now(read_small_file(path.data(), buffer));
  return now.all_threads_ended() || differ(now.start_time(), trace.start_time) ||
         differ(now.stack(), trace.stack);
}

std::uint64_t own_pid_namespace() noexcept {
  struct stat info {};
  if (::stat("/proc/self/ns/pid", &info) != 0) {
    const bool known = g_known_to.load(std::memory_order_relaxed) == process_tag();
    return known ? g_namespace.load(std::memory_order_relaxed) : 0;
  }
  if (g_namespace.load(std::memory_order_relaxed) != info.st_ino)
    g_namespace.store(info.st_ino, std::memory_order_relaxed);
  const std::uint64_t mine = process_tag();
  if (g_known_to.load(std::memory_order_relaxed) != mine) g_known_to.store(mine, std::memory_order_relaxed);
  return info.st_ino;
}

std::string own_name() {
  std::array<char, 1024> buffer;
  std::string_view name = read_small_file("/proc/self/comm", buffer);
  if (name.ends_with('\n')) name.remove_suffix(1);
  return std::string(name);
}

namespace {

/// A mark, in memory that the kernel clears in a child.
struct RememberedMark {
  std::atomic<std::uint64_t> process;  // {uid 32 | pid 32}; 0: nothing is remembered
  std::array<std::atomic<std::uint64_t>, 2> program;
};

constinit std::atomic<RememberedMark*> g_remembered{nullptr};

}  // namespace

ProcessMark ask_process_mark() noexcept {
  ProcessMark mark{static_cast<std::uint32_t>(::getuid()), static_cast<std::uint32_t>(::getpid())};
  try {
    const std::string name = own_name();
    std::copy_n(name.begin(), std::min(name.size(), mark.program.size()), mark.program.begin());
  } catch (const std::exception&) {  // out of memory
  }
  return mark;
}

void remember_process_mark() noexcept {
  RememberedMark* known = g_remembered.load(std::memory_order_acquire);
  if (known == nullptr) {
    void* const memory = map_wiped(sizeof(RememberedMark));
    if (memory == nullptr) return;
    auto* const mapped = new (memory) RememberedMark{};
    if (g_remembered.compare_exchange_strong(known, mapped, std::memory_order_acq_rel)) {
      known = mapped;
    } else {
      unmap_wiped(memory, sizeof(RememberedMark));  // another thread was faster
    }
  }
  const ProcessMark mark = ask_process_mark();
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), mark.program.data(), sizeof(words));
  for (std::size_t i = 0; i < words.size(); ++i) known->program[i].store(words[i], std::memory_order_relaxed);
  known->process.store(std::uint64_t{mark.uid} << 32 | mark.pid, std::memory_order_release);
}

ProcessMark remembered_process_mark() noexcept {
  const RememberedMark* const known = g_remembered.load(std::memory_order_acquire);
  if (known == nullptr) return {};
  const std::uint64_t process = known->process.load(std::memory_order_acquire);
  ProcessMark mark{static_cast<std::uint32_t>(process >> 32), static_cast<std::uint32_t>(process)};
  const std::array<std::uint64_t, 2> words{known->program[0].load(std::memory_order_relaxed),
                                           known->program[1].load(std::memory_order_relaxed)};
  std::memcpy(mark.program.data(), words.data(), sizeof(words));
  return mark;
}

}  // namespace weir::detail
