// SPDX-License-Identifier: Apache-2.0
#pragma once

// The files of segments: where they lie, how they are mapped, and what is said when the kernel refuses something.

#include <boost/interprocess/mapped_region.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/resource.h>

#include "base/result.hpp"
#include "segment/layout.hpp"

namespace weir::detail {

enum class OpenMode { read_only, read_write };

inline constexpr const char* kSegmentDirectory = "/dev/shm";  // where POSIX shared memory lives on Linux

/// The layout version is part of the file's name: a newer weir builds its segment beside the old one and disturbs
/// no worker of the old version.
[[nodiscard]] std::string path_of(std::string_view name, std::uint32_t layout_version = kLayoutVersion);

/// The version of weir that made the segment of that name and layout, which may be another one than ours; empty if its
/// file does not say.
[[nodiscard]] std::string maker_of(std::string_view name, std::uint32_t layout_version);
/// What to do about a segment of another layout: "look at it with the shm-inspect of weir 0.0.9".
[[nodiscard]] std::string hint_to_maker(std::string_view name, std::uint32_t layout_version);

/// What errors call a segment: `segment "checkout"`, or `private segment`, whose name is empty.
[[nodiscard]] std::string called(std::string_view name);

/// Errors  Errc::invalid_argument.
[[nodiscard]] Result<void> check_name(std::string_view name);

/// The failure of a system call.
[[nodiscard]] Error system_error(std::string_view name, std::string_view step, int error);

[[nodiscard]] Result<boost::interprocess::mapped_region> map_file(int fd, OpenMode mode, std::uint64_t bytes,
                                                                  std::string_view name);

/// Whether RLIMIT_FSIZE forbids a file of that size. The kernel would not only refuse it: it kills with
/// SIGXFSZ.
[[nodiscard]] std::optional<rlim_t> too_low_file_limit(std::uint64_t bytes);

}  // namespace weir::detail
