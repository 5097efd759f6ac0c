// SPDX-License-Identifier: Apache-2.0
#pragma once

// One change at a time: the process that changes limits holds an OFD lock on a byte of the segment. The kernel
// drops it at the death of that process, and no child keeps it. No process waits for it: a second one is told
// that it is taken.

#include <memory>

#include "base/descriptor.hpp"
#include "base/result.hpp"
#include "segment/mapping.hpp"
#include "workers/inherited.hpp"

namespace weir::detail {

/// Ends a lock of this process alone.
struct GiveUpLock {
  void operator()(KeptFile* file) const noexcept;
};
using WriterLock = std::unique_ptr<KeptFile, GiveUpLock>;

/// Errors  Errc::conflict: another process holds it; permission, system.
[[nodiscard]] Result<WriterLock> take_writer_lock(const Segment& segment);

}  // namespace weir::detail
