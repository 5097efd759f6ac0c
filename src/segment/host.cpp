// SPDX-License-Identifier: Apache-2.0
#include "segment/host.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "base/descriptor.hpp"

namespace weir::detail {
namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Parses "c63b19f6-884f-4805-af6b-b59eff55a54a" into 16 bytes; anything that does not fit stays zero:
// unknown.
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

// Parses "-3600  500000000" into nanoseconds.
std::int64_t parse_offset(std::string_view line) noexcept {
  std::array<std::int64_t, 2> numbers{};  // seconds, nanoseconds
  for (std::int64_t& number : numbers) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error != std::errc()) return HostIdentity::kUnknownOffset;
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  }
  std::int64_t ns = 0;
  if (__builtin_mul_overflow(numbers[0], std::int64_t{1'000'000'000}, &ns) ||
      __builtin_add_overflow(ns, numbers[1], &ns))
    return HostIdentity::kUnknownOffset;
  return ns;
}

// The file describes the namespace in which our children will live. After unshare(CLONE_NEWTIME) that is not the one
// of this process, which is then known only if it is the first of the host, whose number is fixed.
std::array<std::int64_t, 2> own_clock_offsets(std::uint64_t own_namespace) noexcept {
  constexpr std::uint64_t kFirstNamespace = 0xeffffffa;
  constexpr std::array<std::int64_t, 2> kUnknown = {HostIdentity::kUnknownOffset,
                                                    HostIdentity::kUnknownOffset};
  if (own_namespace == 0) return kUnknown;
  if (own_namespace == kFirstNamespace) return {0, 0};
  struct stat children {};
  if (::stat("/proc/self/ns/time_for_children", &children) != 0 || children.st_ino != own_namespace)
    return kUnknown;
  const FileHandle file = open_file("/proc/self/timens_offsets", O_RDONLY);
  if (!file) return kUnknown;
  std::array<char, 256> text{};
  const ssize_t length = ::read(file.get(), text.data(), text.size());
  return parse_clock_offsets({text.data(), static_cast<std::size_t>(std::max(length, ssize_t{0}))});
}

}  // namespace

HostIdentity HostIdentity::current() noexcept {
  HostIdentity host;
  if (const FileHandle file = open_file("/proc/sys/kernel/random/boot_id", O_RDONLY)) {
    std::array<char, 64> text{};
    const ssize_t length = ::read(file.get(), text.data(), text.size());
    if (length > 0) host.boot_id = parse_uuid(text.data(), static_cast<std::size_t>(length));
  }
  struct stat info {};
  if (::stat("/proc/self/ns/time", &info) == 0) host.time_namespace = info.st_ino;
  host.clock_offsets = own_clock_offsets(host.time_namespace);
  return host;
}

std::array<std::int64_t, 2> parse_clock_offsets(std::string_view text) noexcept {
  constexpr std::array<std::string_view, 2> kClocks = {"monotonic", "boottime"};
  std::array<std::int64_t, 2> offsets{HostIdentity::kUnknownOffset, HostIdentity::kUnknownOffset};
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    for (std::size_t i = 0; i < kClocks.size(); ++i) {
      if (line.starts_with(kClocks[i])) offsets[i] = parse_offset(line.substr(kClocks[i].size()));
    }
  }
  return offsets;
}

}  // namespace weir::detail
