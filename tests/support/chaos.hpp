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
// The seed fixes which signals go to whom and how long the pauses are; where they hit a worker is up to the
// kernel. Who wants every place uses the schedules and crash images.

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
  int kills = 100;  ///< ends after so many
  std::uint64_t seed = 1;
  double stop_share = 0.3;                   ///< of the signals to a running worker; the others kill
  std::chrono::microseconds pause{2'000};    ///< longest between two signals
  std::chrono::milliseconds finish{30'000};  ///< for the workers to return in, once told to stop
  /// Called by the test process after each kill, while the others run: look, sweep. May use EXPECT.
  std::function<void(int worker)> after_kill = [](int) {};
};

struct ChaosReport {
  std::uint64_t seed = 0;
  int kills = 0;
  int stops = 0;
  int starts = 0;                     ///< of workers, restarts included
  std::vector<std::string> failures;  ///< of workers: EXPECT, ASSERT, own deaths, hangs

  [[nodiscard]] bool ok() const noexcept { return failures.empty(); }
};
std::ostream& operator<<(std::ostream& out, const ChaosReport& report);

/// One worker's life: works until `stop`. It begins anew after a kill, with the same number.
using Work = std::function<void(int worker, const std::atomic<bool>& stop)>;

/// Starts the workers, torments them, then lets all return. None is left behind, even if the caller dies.
ChaosReport run_chaos(const ChaosOptions& options, const Work& work);

}  // namespace weir::test
