#pragma once

// Whether the kernel gives huge pages to files of a tmpfs, and who says no.

#include <string>
#include <string_view>

namespace weir::detail {

/// What forbids huge pages to a mapping that asks for them.
struct HugePagesRefused {
  std::string why;   ///< empty: nothing does
  std::string hint;  ///< the command that allows them
};

/// @param directory  where the tmpfs is mounted.
/// @param mountinfo  the text of /proc/self/mountinfo.
/// @param shmem_enabled  the text of /sys/kernel/mm/transparent_hugepage/shmem_enabled: it decides for a
///                       mounted tmpfs only when it says "deny" or "force"; else the mount's huge= option
///                       does.
[[nodiscard]] HugePagesRefused huge_pages_refused(std::string_view directory, std::string_view mountinfo,
                                                  std::string_view shmem_enabled);

/// The same, for this process on this host.
[[nodiscard]] HugePagesRefused huge_pages_refused(std::string_view directory);

}  // namespace weir::detail
