#include "segment/host.hpp"

#include <cstddef>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::detail {
namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// "c63b19f6-884f-4805-af6b-b59eff55a54a" to 16 bytes; whatever does not fit stays zero: unknown.
std::array<std::uint8_t, 16> parse_uuid(const char* text, std::size_t length) noexcept {
  std::array<std::uint8_t, 16> bytes{};
  std::size_t digits = 0;
  for (std::size_t i = 0; i < length && digits < 32; ++i) {
    const int digit = hex_digit(text[i]);
    if (digit < 0) continue;
    bytes[digits / 2] = static_cast<std::uint8_t>(bytes[digits / 2] * 16 + digit);
    ++digits;
  }
  return bytes;
}

}  // namespace

HostIdentity HostIdentity::current() noexcept {
  HostIdentity host;
  const int fd = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    std::array<char, 64> text{};
    const ssize_t length = ::read(fd, text.data(), text.size());
    if (length > 0) host.boot_id = parse_uuid(text.data(), static_cast<std::size_t>(length));
    ::close(fd);
  }
  struct stat info {};
  if (::stat("/proc/self/ns/time", &info) == 0) host.time_namespace = info.st_ino;
  return host;
}

}  // namespace weir::detail
