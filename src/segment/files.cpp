// SPDX-License-Identifier: Apache-2.0
#include "segment/files.hpp"

#include <boost/interprocess/exceptions.hpp>
#include <cerrno>
#include <fmt/format.h>
#include <system_error>

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
