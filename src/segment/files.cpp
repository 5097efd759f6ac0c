// SPDX-License-Identifier: Apache-2.0
#include "segment/files.hpp"

#include <array>
#include <boost/interprocess/exceptions.hpp>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <fmt/format.h>
#include <system_error>
#include <unistd.h>

#include "base/descriptor.hpp"
#include "base/text.hpp"

namespace weir::detail {
namespace {

namespace ipc = boost::interprocess;

// What Boost's mapped_region maps: a file that is open already.
struct OpenFile {
  int fd;
  [[nodiscard]] ipc::mapping_handle_t get_mapping_handle() const { return {fd, false}; }
};

}  // namespace

std::string path_of(std::string_view name, std::uint32_t layout_version) {
  return fmt::format("{}/weir.v{}.{}", kSegmentDirectory, layout_version, name);
}

std::string maker_of(std::string_view name, std::uint32_t layout_version) {
  // What every layout begins with.
  struct Beginning {
    std::array<char, sizeof(kMagic)> magic{};
    std::uint32_t layout_version = 0;
    std::uint32_t section_count = 0;
    std::array<char, sizeof(Header::library_version)> library_version{};
  } found;
  static_assert(offsetof(Beginning, library_version) == offsetof(Header, library_version));
  const FileHandle file =
      open_file(path_of(name, layout_version).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file || ::read(file.get(), &found, sizeof found) != ssize_t{sizeof found}) return {};
  if (found.magic != kMagic || found.layout_version != layout_version) return {};
  const std::string_view version(found.library_version.data(), found.library_version.size());
  return std::string(version.substr(0, version.find('\0')));
}

std::string hint_to_maker(std::string_view name, std::uint32_t layout_version) {
  const std::string maker = maker_of(name, layout_version);
  return "look at it with the shm-inspect of " +
         (maker.empty() ? "its own version" : "weir " + escaped(maker));
}

std::string called(std::string_view name) {
  return name.empty() ? "private segment" : fmt::format("segment \"{}\"", name);
}

Result<void> check_name(std::string_view name) {
  if (valid_name(name)) return {};
  return fail(Errc::invalid_argument, "segment name: use " + std::string(kNameForm));
}

Error system_error(std::string_view name, std::string_view step, int error) {
  const bool denied = error == EACCES || error == EPERM;
  return fail(denied ? Errc::permission : Errc::system,
              fmt::format("{}: {}: {}", called(name), step, std::generic_category().message(error)),
              denied ? "run as the owner of the segment, or set segment.mode and segment.group" : "");
}

Result<ipc::mapped_region> map_file(int fd, OpenMode mode, std::uint64_t bytes, std::string_view name) {
  try {
    return ipc::mapped_region(OpenFile{fd}, mode == OpenMode::read_only ? ipc::read_only : ipc::read_write, 0,
                              bytes);
  } catch (const ipc::interprocess_exception& e) {
    return system_error(name, "mmap", e.get_native_error());
  }
}

std::optional<rlim_t> too_low_file_limit(std::uint64_t bytes) {
  rlimit largest{};
  if (::getrlimit(RLIMIT_FSIZE, &largest) == 0 && bytes > largest.rlim_cur) return largest.rlim_cur;
  return std::nullopt;
}

}  // namespace weir::detail
