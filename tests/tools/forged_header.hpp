// SPDX-License-Identifier: Apache-2.0
#pragma once

// A segment whose header is not as the library wrote it.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "segment/layout.hpp"
#include "support/segment_name.hpp"

namespace weir {

/// Changes the header of a segment behind the library's back.
template <class Change>
void forge_header(const test::SegmentName& segment, Change&& change) {
  const int fd = ::open(segment.path().c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0) << segment.path();
  detail::Header header;
  EXPECT_EQ(::pread(fd, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
  change(header);
  EXPECT_EQ(::pwrite(fd, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
  ::close(fd);
}

}  // namespace weir
