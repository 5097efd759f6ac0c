// SPDX-License-Identifier: Apache-2.0
#pragma once

// Processes that decide at the same time, for a fixed time, and say how it went.
//
// Each of them makes its first decisions, waits for all others, and then decides in a tight loop. It reads the clock
// after every kBatch decisions, which is how it knows when to end, its longest gap, and in which window of time it
// decided. The process that started them can stop one after the other, with SIGSTOP at random moments. The others stood
// still in a window if one process was stopped during all of it and no other process made a decision. A window in which
// none of the others got a CPU from the kernel says nothing, and is left out.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <pthread.h>
#include <random>
#include <span>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "cpus.hpp"
#include "neighbour.hpp"

namespace weir {

struct Run {
  int processes;
  bool pinned;    ///< to the CPUs that they may use, in turn
  bool stopping;  ///< one process after the other is stopped
  std::uint64_t length_ns;
};

struct alignas(64) Counts {
  std::uint64_t decisions = 0;
  std::uint64_t refused = 0;
  std::uint64_t longest_gap_ns = 0;  ///< of any process, without a decision of its own
  std::uint64_t windows = 0;         ///< in which one process was stopped and another could run
  std::uint64_t stood_still = 0;     ///< of those, in which no other process made a decision
};

namespace scale {

inline constexpr std::uint64_t kMs = 1'000'000;
inline constexpr std::uint64_t kWindowNs = 10 * kMs;
inline constexpr std::uint64_t kStopNs = 35 * kMs;    // two windows at least
inline constexpr std::uint64_t kWarmUpNs = 20 * kMs;  // a process learns the rate of its counter in 17 ms
inline constexpr int kBatch = 32;
inline constexpr std::uint32_t kNoCpu = ~0U;  // instead of the number of decisions in a window

/// How long this process has been ready to run without a CPU; always 0 where the kernel does not count it.
inline std::uint64_t waited_for_cpu_ns() {
  unsigned long long ran = 0;
  unsigned long long waited = 0;
  if (std::FILE* const file = std::fopen("/proc/self/schedstat", "re")) {
    if (std::fscanf(file, "%llu %llu", &ran, &waited) != 2) waited = 0;
    std::fclose(file);
  }
  return waited;
}

/// Where all processes wait for each other, and when they begin.
struct Begin {
  explicit Begin(int processes) {
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&barrier, &attributes, static_cast<unsigned>(processes));
    pthread_barrierattr_destroy(&attributes);
  }
  void wait() noexcept { pthread_barrier_wait(&barrier); }

  pthread_barrier_t barrier;
  std::uint64_t at_ns = 0;
};

using Stops = std::atomic<std::uint32_t>;  // how often a process has been stopped

/// Notes for one process in which window it made how many decisions.
class Timeline {
 public:
  Timeline(std::uint64_t begin, std::span<std::uint32_t> windows, const Stops& stops) noexcept
      : begin_(begin), windows_(windows), stops_(&stops), waited_(waited_for_cpu_ns()) {
    could_not_run(begin, now_ns());  // this process has only now got a CPU
  }

  void add(std::uint64_t now) noexcept { windows_[(now - begin_) / kWindowNs] += kBatch; }

  /// After a long time without a decision: tells whether the process could not run, or waited for something else. A
  /// process that was stopped often waits for a CPU when it goes on, so that all of its gap counts as the former.
  void add_gap(std::uint64_t from, std::uint64_t until) noexcept {
    const std::uint64_t waited = waited_for_cpu_ns() - waited_;
    const std::uint32_t stops = stops_->load(std::memory_order_relaxed);
    if (stops != met_stops_ || until - from < waited + kWindowNs / 2) could_not_run(from, until);
    waited_ += waited;
    met_stops_ = stops;
  }

 private:
  void could_not_run(std::uint64_t from, std::uint64_t until) noexcept {
    std::size_t i = (from - begin_ + kWindowNs - 1) / kWindowNs;
    for (; i < windows_.size() && begin_ + (i + 1) * kWindowNs <= until; ++i) windows_[i] = kNoCpu;
  }

  std::uint64_t begin_;
  std::span<std::uint32_t> windows_;
  const Stops* stops_;
  std::uint32_t met_stops_ = 0;
  std::uint64_t waited_;
};

/// Decides until `end`. What a batch that ends later has decided is not counted.
template <class Work>
void decide_until(std::uint64_t end, Work& work, Counts& counts, Timeline timeline) {
  for (std::uint64_t last = now_ns(); last < end;) {
    std::uint64_t admitted = 0;
    for (int i = 0; i < kBatch; ++i) admitted += work() ? 1 : 0;
    const std::uint64_t now = now_ns();
    const std::uint64_t gap = std::min(now, end) - last;
    counts.longest_gap_ns = std::max(counts.longest_gap_ns, gap);
    if (gap > kMs) timeline.add_gap(last, last + gap);
    last = now;
    if (now >= end) continue;
    counts.decisions += kBatch;
    counts.refused += kBatch - admitted;
    timeline.add(now);
  }
}

/// Stops one process after the other until `end`. @return which one was stopped during each whole window, or -1
inline std::vector<int> stop_some(const Children& children, const Run& run, std::uint64_t begin,
                                  std::size_t windows, std::span<Stops> stops) {
  const auto sleep_ns = [](std::uint64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); };
  std::mt19937_64 random(begin);
  std::vector<int> stopped(windows, -1);
  const std::uint64_t end = begin + run.length_ns;
  for (;;) {
    sleep_ns(5 * kMs + random() % (20 * kMs));
    if (now_ns() + kStopNs >= end) return stopped;
    const int one = static_cast<int>(random() % static_cast<std::uint64_t>(run.processes));
    stops[static_cast<std::size_t>(one)].fetch_add(1, std::memory_order_relaxed);
    ::kill(children.pid(one), SIGSTOP);
    ::waitpid(children.pid(one), nullptr, WUNTRACED);
    const std::uint64_t from = now_ns();
    sleep_ns(kStopNs);
    const std::uint64_t until = std::min(now_ns(), end);
    ::kill(children.pid(one), SIGCONT);
    for (std::size_t i = (from - begin) / kWindowNs + 1; begin + (i + 1) * kWindowNs <= until; ++i)
      stopped[i] = one;
  }
}

}  // namespace scale

/// @param work_of  makes the work of process i, which is called for each decision and returns whether it was admitted
template <class WorkOf>
Counts run_processes(const Run& run, WorkOf&& work_of) {
  using namespace scale;
  const std::size_t windows = run.length_ns / kWindowNs + 1;
  const auto count = static_cast<std::size_t>(run.processes);
  const SharedArray<Counts> counts(count);
  const SharedArray<std::uint32_t> decided(count * windows);
  const SharedArray<Stops> stops(count);
  const auto windows_of = [&](std::size_t i) { return decided.get().subspan(i * windows, windows); };
  const std::vector<int> cpus = usable_cpus();
  Shared<Begin> begin(run.processes + 1);

  ::alarm(60);  // a process that dies before the barrier would keep the others waiting
  Children children(run.processes, [&](int number) {
    const auto i = static_cast<std::size_t>(number);
    if (run.pinned) pin_to(cpus[i % cpus.size()]);
    auto work = work_of(number);
    for (const std::uint64_t until = now_ns() + kWarmUpNs; now_ns() < until;) (void)work();
    begin->wait();
    begin->wait();
    decide_until(begin->at_ns + run.length_ns, work, counts.get()[i],
                 {begin->at_ns, windows_of(i), stops.get()[i]});
  });
  begin->wait();
  ::alarm(0);
  begin->at_ns = now_ns();
  begin->wait();
  std::vector<int> stopped;
  if (run.stopping) stopped = stop_some(children, run, begin->at_ns, windows, stops.get());
  children.join();

  Counts all;
  for (const Counts& one : counts.get()) {
    all.decisions += one.decisions;
    all.refused += one.refused;
    all.longest_gap_ns = std::max(all.longest_gap_ns, one.longest_gap_ns);
  }
  for (std::size_t window = 0; window < stopped.size(); ++window) {
    if (stopped[window] < 0) continue;
    bool could_run = false;
    bool decided_one = false;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t decisions = windows_of(i)[window];
      if (static_cast<int>(i) == stopped[window] || decisions == kNoCpu) continue;
      could_run = true;
      decided_one |= decisions != 0;
    }
    if (could_run) ++all.windows;
    if (could_run && !decided_one) ++all.stood_still;
  }
  return all;
}

}  // namespace weir
