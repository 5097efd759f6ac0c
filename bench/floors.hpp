// SPDX-License-Identifier: Apache-2.0
#pragma once

// The least that a shared limiter must do: read the clock, and exchange or load one word.

#include <atomic>
#include <benchmark/benchmark.h>
#include <cstdint>

#include "weir/clock.hpp"

namespace weir {

struct alignas(64) Line {
  std::atomic<std::uint64_t> word{0};
};

inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count());
}

/// The floor of an admission.
inline void clock_and_exchange(Line& line) {
  const std::uint64_t now = now_ns();
  std::uint64_t seen = line.word.load(std::memory_order_relaxed);
  benchmark::DoNotOptimize(line.word.compare_exchange_strong(seen, now, std::memory_order_relaxed));
}

/// The floor of a refusal.
inline void clock_and_load(const Line& line) {
  const std::uint64_t now = now_ns();
  benchmark::DoNotOptimize(line.word.load(std::memory_order_relaxed) > now);
}

}  // namespace weir
