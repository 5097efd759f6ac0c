// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weir/clock.hpp"

#include "limiter/context.hpp"

namespace weir::test {

/// A clock whose every reading is an act of the test.
template <class Read>
struct TimeOf : detail::LaterClock {
  explicit TimeOf(Read& reads)
      : detail::LaterClock{[](const detail::LaterClock& self) noexcept {
          return static_cast<const TimeOf&>(self)();
        }},
        read(reads) {}
  [[nodiscard]] HostClock::time_point operator()() const noexcept { return read(); }
  [[nodiscard]] const detail::LaterClock* later() const noexcept { return this; }

  Read& read;
};

}  // namespace weir::test
