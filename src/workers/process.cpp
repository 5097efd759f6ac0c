#include "workers/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.hpp"

namespace weir::detail {
namespace {

std::string_view read_small_file(const char* path, std::array<char, 1024>& buffer) noexcept {
  const FileHandle file = open_file(path, O_RDONLY);
  if (!file) return {};
  const ssize_t length = ::read(file.get(), buffer.data(), buffer.size());
  return length > 0 ? std::string_view(buffer.data(), static_cast<std::size_t>(length)) : std::string_view();
}

/// Fields of /proc/PID/stat behind the program's name, which may itself hold spaces and parentheses. A line
/// that was not read whole has no fields.
class StatFields {
 public:
  explicit StatFields(std::string_view stat) noexcept {
    const std::size_t name_end = stat.rfind(')');
    if (name_end == std::string_view::npos || !stat.ends_with('\n')) return;
    rest_ = stat.substr(std::min(name_end + 2, stat.size()));
  }

  /// The field of that number in proc(5); the state is number 3.
  [[nodiscard]] std::string_view field(int number) const noexcept {
    std::string_view rest = rest_;
    for (int i = 3; i < number && !rest.empty(); ++i) {
      const std::size_t space = rest.find(' ');
      rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
    }
    return rest.substr(0, rest.find(' '));
  }

  /// 0: unknown.
  [[nodiscard]] std::uint64_t number(int field_number) const noexcept {
    const std::string_view text = field(field_number);
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    return error == std::errc() && stop == end ? value : 0;
  }

  [[nodiscard]] std::uint64_t start_time() const noexcept { return number(22); }
  [[nodiscard]] std::uint64_t stack() const noexcept { return number(28); }
  /// A process whose first thread has ended is shown as a zombie, too, while its other threads run on.
  [[nodiscard]] bool all_threads_ended() const noexcept {
    const std::string_view state = field(3);
    return (state == "Z" || state == "X") && field(20) == "1";
  }

 private:
  std::string_view rest_;
};

/// Whether /proc shows processes by the pids of our own PID namespace.
bool proc_is_ours() noexcept {
  std::array<char, 32> self{};
  const ssize_t length = ::readlink("/proc/self", self.data(), self.size());
  std::uint32_t pid = 0;
  if (length <= 0) return false;
  std::from_chars(self.data(), self.data() + length, pid);
  return pid == static_cast<std::uint32_t>(::getpid());
}

/// Whether both are known and differ.
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
  return ::stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

std::string own_name() {
  std::array<char, 1024> buffer;
  std::string_view name = read_small_file("/proc/self/comm", buffer);
  if (name.ends_with('\n')) name.remove_suffix(1);
  return std::string(name);
}

}  // namespace weir::detail
