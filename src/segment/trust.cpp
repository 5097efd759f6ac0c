// SPDX-License-Identifier: Apache-2.0
#include "segment/trust.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "segment/files.hpp"

namespace weir::detail {
namespace {

bool is_trusted_owner(const struct stat& info, const Trust& trust) {
  if (info.st_uid == ::geteuid() || info.st_uid == 0) return true;
  if (::geteuid() == 0 && trust.root_trusts_all) return true;
  if ((info.st_mode & S_IWGRP) == 0) return false;
  // Only a member of the group can have given the file to it. Without a configuration to ask, the kernel has let this
  // process in as a member of that group; root is let in everywhere.
  return trust.mode ? trust.group == info.st_gid : ::geteuid() != 0;
}

}  // namespace

Result<void> check_owner(const struct stat& info, std::string_view name, const Trust& trust) {
  if (!S_ISREG(info.st_mode)) {
    return fail(Errc::foreign, fmt::format("{}: is not a regular file", called(name)),
                "use another segment name");
  }
  const std::string removed = fmt::format("shm-inspect --segment {} remove", name);
  if (!is_trusted_owner(info, trust)) {
    return fail(
        Errc::permission,
        fmt::format("{}: belongs to user {}, and neither to user {} nor to root", called(name), info.st_uid,
                    ::geteuid()),
        fmt::format("if that user should share it, set segment.group and segment.mode; else find out who "
                    "made it, remove it (as that user, or root) with: {}, or use another segment name",
                    removed));
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return fail(Errc::permission,
                fmt::format("{}: anybody may write to it (mode {:04o})", called(name), info.st_mode & 07777),
                fmt::format("another program changed it; remove it with: {}", removed));
  }
  return {};
}

Result<void> check_openness(const struct stat& info, std::string_view name, const Trust& trust) {
  const std::string removed = fmt::format("shm-inspect --segment {} remove", name);
  if (trust.group && info.st_gid != *trust.group) {
    return fail(Errc::permission,
                fmt::format("{}: belongs to group {}, and segment.group is group {}", called(name),
                            info.st_gid, *trust.group),
                fmt::format("stop its workers and remove it with: {}", removed));
  }
  if (trust.mode && (info.st_mode & 0777 & ~*trust.mode) != 0) {
    return fail(Errc::permission,
                fmt::format("{}: its mode is {:04o}, more open than segment.mode, {:04o}", called(name),
                            info.st_mode & 07777, *trust.mode),
                fmt::format("chmod {:04o} {}, or remove it with: {}", *trust.mode, path_of(name), removed));
  }
  return {};
}

}  // namespace weir::detail
