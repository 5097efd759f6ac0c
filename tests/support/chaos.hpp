// SPDX-License-Identifier: Apache-2.0
#pragma once

// Worker processes under random SIGKILL, SIGSTOP and SIGCONT.
//
//   SharedObject<Segment> segment;
//   const ChaosReport report = run_chaos({.workers = 4, .kills = 200}, [&](int, const std::atomic<bool>&
//   stop) {
//     while (!stop) EXPECT_TRUE(use(*segment));
//   });
//   EXPECT_TRUE(report.ok()) << report;
//
// The seed determines which worker gets which signal and how long the pauses are; where a signal hits a
// worker is up to the kernel. A test that wants to hit every point uses the schedules and crash images.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace weir::test {

struct ChaosOptions {
  int workers = 4;
  int kills = 100;  ///< the run ends after this many
  std::uint64_t seed = 1;
  double stop_share = 0.3;                   ///< share of SIGSTOP among signals to running workers
  std::chrono::microseconds pause{2'000};    ///< longest pause between two signals
  std::chrono::milliseconds finish{30'000};  ///< how long workers may take to return at the end
  /// The test process calls it after each kill, while the others run, to look or to sweep. It may use EXPECT.
  std::function<void(int worker)> after_kill = [](int) {};
};

struct ChaosReport {
  std::uint64_t seed = 0;
  int kills = 0;
  int stops = 0;
  int starts = 0;                     ///< starts of workers, restarts included
  std::vector<std::string> failures;  ///< failures of workers: EXPECT, ASSERT, unexpected deaths, hangs

  [[nodiscard]] bool ok() const noexcept { return failures.empty(); }
};
std::ostream& operator<<(std::ostream& out, const ChaosReport& report);

/// The life of one worker: it works until `stop`. After a kill it starts again, with the same number.
using Work = std::function<void(int worker, const std::atomic<bool>& stop)>;

/// Starts the workers, torments them, then lets all return. No worker is left behind, even if the caller
/// dies.
ChaosReport run_chaos(const ChaosOptions& options, const Work& work);

}  // namespace weir::test
