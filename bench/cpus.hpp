// SPDX-License-Identifier: Apache-2.0
#pragma once

// The CPUs that a benchmark may use, and the distance between two of them.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <sched.h>
#include <thread>
#include <vector>

#include "floors.hpp"

namespace weir {

/// taskset chooses them.
inline std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof(set), &set);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

/// Keeps the calling thread on one CPU.
inline void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(0, sizeof(set), &set);
}

/// How long a line takes from one CPU to the other and back, in nanoseconds. It is the median of many short series, so
/// that a thread that loses its CPU for a while does not count.
inline double there_and_back_ns(int near, int far) {
  constexpr int kSeries = 201;
  constexpr int kTrips = 100;
  Line line;
  std::thread answering([&] {
    pin_to(far);
    for (std::uint64_t turn = 1; turn < 2 * kSeries * kTrips; turn += 2) {
      while (line.word.load(std::memory_order_acquire) != turn) continue;
      line.word.store(turn + 1, std::memory_order_release);
    }
  });
  std::vector<double> times;
  std::thread asking([&] {
    pin_to(near);
    std::uint64_t turn = 0;
    for (int series = 0; series < kSeries; ++series) {
      const std::uint64_t begin = now_ns();
      for (int trip = 0; trip < kTrips; ++trip) {
        line.word.store(turn + 1, std::memory_order_release);
        turn += 2;
        while (line.word.load(std::memory_order_acquire) != turn) continue;
      }
      times.push_back(static_cast<double>(now_ns() - begin) / kTrips);
    }
  });
  asking.join();
  answering.join();
  std::nth_element(times.begin(), times.begin() + kSeries / 2, times.end());
  return times[kSeries / 2];
}

}  // namespace weir
