// SPDX-License-Identifier: Apache-2.0
#include "segment/host.hpp"

#include <array>
#include <cstdint>
#include <gtest/gtest.h>

namespace weir::detail {
namespace {

TEST(ClockOffsets, AreReadAsTheKernelWritesThem) {
  using Offsets = std::array<std::int64_t, 2>;
  constexpr std::int64_t kUnknown = HostIdentity::kUnknownOffset;
  EXPECT_EQ(parse_clock_offsets("monotonic           0         0\nboottime            0         0\n"),
            (Offsets{0, 0}));
  EXPECT_EQ(parse_clock_offsets("monotonic          -1 500000000\nboottime         3600         7\n"),
            (Offsets{-500'000'000, 3'600'000'000'007}));
  EXPECT_EQ(parse_clock_offsets(""), (Offsets{kUnknown, kUnknown}));
  EXPECT_EQ(parse_clock_offsets("monotonic x\nboottime 1\n"), (Offsets{kUnknown, kUnknown}));
  EXPECT_EQ(parse_clock_offsets("monotonic 99999999999 0\nboottime 1 0"), (Offsets{kUnknown, 1'000'000'000}));
}

}  // namespace
}  // namespace weir::detail
