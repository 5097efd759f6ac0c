// SPDX-License-Identifier: Apache-2.0
#pragma once

// The lock of changes, which lets one process change limits at a time: an OFD lock on a byte of the segment's file.
// The kernel drops it when the process dies, and a child does not keep it. No process waits for it: a second one gets
// an error.

#include <memory>

#include "base/descriptor.hpp"
#include "base/result.hpp"
#include "segment/mapping.hpp"
#include "workers/inherited.hpp"

namespace weir::detail {

/// Releases the lock, also if a child has a copy of the descriptor.
struct GiveUpLock {
  void operator()(KeptFile* file) const noexcept;
};
using WriterLock = std::unique_ptr<KeptFile, GiveUpLock>;

/// Errors  Errc::conflict: another process holds the lock; permission; system.
[[nodiscard]] Result<WriterLock> take_writer_lock(const Segment& segment);

}  // namespace weir::detail
