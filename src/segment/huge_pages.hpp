// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether the kernel gives huge pages to files of a tmpfs, and what forbids it.

#include <string>
#include <string_view>

namespace weir::detail {

/// What forbids huge pages to a mapping that asks for them.
struct HugePagesRefused {
  std::string why;   ///< empty: nothing forbids them
  std::string hint;  ///< the command that allows them
};

/// @param directory  where the tmpfs is mounted.
/// @param mountinfo  the text of /proc/self/mountinfo.
/// @param shmem_enabled  the text of /sys/kernel/mm/transparent_hugepage/shmem_enabled. It decides for a
///                       mounted tmpfs only if it says "deny" or "force"; otherwise the huge= option of the
///                       mount does.
[[nodiscard]] HugePagesRefused huge_pages_refused(std::string_view directory, std::string_view mountinfo,
                                                  std::string_view shmem_enabled);

/// As above, for this process on this host.
[[nodiscard]] HugePagesRefused huge_pages_refused(std::string_view directory);

}  // namespace weir::detail
