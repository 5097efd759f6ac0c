// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a child changes in order to see something else: its mounts.

#include <fmt/format.h>
#include <fstream>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <unistd.h>

#include "support/fork.hpp"

namespace weir::test {

/// Gives the calling process mounts of its own: directly if it is root, otherwise in a user namespace, where
/// it keeps its user. (A user that is not mapped cannot create files.)
inline bool own_mounts() {
  if (::unshare(CLONE_NEWNS) == 0) return true;
  const std::string user = std::to_string(::geteuid());
  const std::string group = std::to_string(::getegid());
  if (::unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0) return false;
  const auto write = [](const char* path, const std::string& text) {
    return static_cast<bool>(std::ofstream(path) << text << std::flush);
  };
  return write("/proc/self/setgroups", "deny") && write("/proc/self/uid_map", user + " " + user + " 1") &&
         write("/proc/self/gid_map", group + " " + group + " 1");
}

/// Gives the calling process a /dev/shm of its own, mounted with `options`. @return false if the kernel
/// forbids it.
inline bool own_shared_memory(const char* options) {
  if (!own_mounts()) return false;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  // Its owner is root, and root may not be mapped, so it is open to all.
  const std::string open_to_all = fmt::format("mode=1777,{}", options);
  return ::mount("tmpfs", "/dev/shm", "tmpfs", 0, open_to_all.c_str()) == 0;
}

}  // namespace weir::test
