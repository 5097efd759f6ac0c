#include "workers/process.hpp"

#include <array>
#include <charconv>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::detail {
namespace {

std::string_view read_small_file(const char* path, std::array<char, 1024>& buffer) noexcept {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t length = ::read(fd, buffer.data(), buffer.size());
  ::close(fd);
  return length > 0 ? std::string_view(buffer.data(), static_cast<std::size_t>(length)) : std::string_view();
}

/// Fields of /proc/PID/stat behind the program's name, which may itself hold spaces and parentheses.
class StatFields {
 public:
  explicit StatFields(std::string_view stat) noexcept {
    const std::size_t name_end = stat.rfind(')');
    rest_ = name_end == std::string_view::npos ? std::string_view() : stat.substr(name_end + 2);
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

  [[nodiscard]] std::uint64_t number(int field_number) const noexcept {
    const std::string_view text = field(field_number);
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::optional<ProcessTrace> trace_of(std::uint32_t pid) noexcept {
  std::array<char, 32> path{};
  *fmt::format_to_n(path.data(), path.size() - 1, "/proc/{}/stat", pid).out = '\0';
  std::array<char, 1024> buffer;
  const StatFields stat(read_small_file(path.data(), buffer));
  const std::string_view state = stat.field(3);
  if (state.empty() || state == "Z" || state == "X") return std::nullopt;
  return ProcessTrace{stat.number(22), stat.number(28), own_pid_namespace()};
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
