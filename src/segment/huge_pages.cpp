// SPDX-License-Identifier: Apache-2.0
#include "segment/huge_pages.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/descriptor.hpp"

namespace weir::detail {
namespace {

constexpr const char* kShmemEnabled = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

std::string text_of(const char* path) {
  std::string text;
  std::array<char, 4096> block{};
  const FileHandle file = open_file(path, O_RDONLY);
  if (!file) return text;
  for (ssize_t got = 0; (got = ::read(file.get(), block.data(), block.size())) > 0;)
    text.append(block.data(), static_cast<std::size_t>(got));
  return text;
}

// The huge= option of the file system that was mounted last on `directory`. A line holds "... root
// mount-point options - type source options".
std::string_view huge_option(std::string_view directory, std::string_view mountinfo) {
  std::string_view last = "never";  // the kernel's default
  const std::string mounted = fmt::format(" {} ", directory);
  while (!mountinfo.empty()) {
    const std::string_view line = mountinfo.substr(0, mountinfo.find('\n'));
    mountinfo.remove_prefix(std::min(line.size() + 1, mountinfo.size()));
    if (line.find(mounted) == std::string_view::npos) continue;
    const std::size_t option = line.find("huge=");
    last = option == std::string_view::npos ? "never" : line.substr(option + 5);
    last = last.substr(0, last.find_first_of(", "));
  }
  return last;
}

}  // namespace

HugePagesRefused huge_pages_refused(std::string_view directory, std::string_view mountinfo,
                                    std::string_view shmem_enabled) {
  if (shmem_enabled.find("[force]") != std::string_view::npos) return {};
  if (shmem_enabled.find("[deny]") != std::string_view::npos)
    return {fmt::format("{} says deny", kShmemEnabled), fmt::format("echo advise > {}", kShmemEnabled)};
  if (shmem_enabled.empty()) return {"this kernel has no huge pages for shared memory", ""};
  const std::string_view option = huge_option(directory, mountinfo);
  if (option != "never") return {};
  return {fmt::format("{} is mounted with huge=never", directory),
          fmt::format("mount -o remount,huge=advise {}", directory)};
}

HugePagesRefused huge_pages_refused(std::string_view directory) {
  return huge_pages_refused(directory, text_of("/proc/self/mountinfo"), text_of(kShmemEnabled));
}

}  // namespace weir::detail
