// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <string>
#include <system_error>
#include <unistd.h>

#include "weir/error.hpp"

#include "base/descriptor.hpp"

namespace weir::detail {

/// The error for a failed system call on a file of the configuration.
inline Error file_error(const std::string& path, int error) {
  const std::string what = path + ": " + std::generic_category().message(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return {Errc::not_found, what, "name an existing TOML file"};
    case EACCES:
    case EPERM:
      return {Errc::permission, what, "run as a user who may read it"};
    case EISDIR:
      return {Errc::config, what, "name the TOML file itself"};
    default:
      return {Errc::system, what, {}};
  }
}

/// Reads a whole text file.
inline Result<std::string> read_file(const std::string& path) {
  constexpr std::size_t kLargest = 16U << 20U;  // far beyond any configuration; also ends reading /dev/zero
  const FileHandle file = open_file(path.c_str(), O_RDONLY);
  if (!file) return file_error(path, errno);
  std::string text;
  std::array<char, 16'384> block;
  for (;;) {
    const ssize_t got = ::read(file.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(path, errno);
    if (got == 0) return text;
    text.append(block.data(), static_cast<std::size_t>(got));
    if (text.size() > kLargest) return Error{Errc::config, path + ": larger than 16 MiB", "name a TOML file"};
  }
}

}  // namespace weir::detail
