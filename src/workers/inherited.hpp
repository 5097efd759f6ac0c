#pragma once

// File descriptions that a forked child must not keep: as long as it does, its parent's lock outlives the
// parent.

#include <sys/types.h>

namespace weir::detail {

/// Has `fd` closed in every child forked from now on, as long as it is open on that inode (its number may be
/// reused by then). Remembers up to 64; more are left to the child's first call.
void close_in_children(int fd, dev_t device, ino_t inode) noexcept;

/// Forgets it, before it is closed here.
void keep_in_children(int fd) noexcept;

}  // namespace weir::detail
