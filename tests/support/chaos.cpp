// SPDX-License-Identifier: Apache-2.0
#include "support/chaos.hpp"

#include <csignal>
#include <fmt/format.h>
#include <memory>
#include <ostream>
#include <random>
#include <thread>

#include "support/child.hpp"
#include "support/shared_object.hpp"

namespace weir::test {

namespace {

class Chaos {
 public:
  Chaos(const ChaosOptions& options, const Work& work)
      : options_(options),
        work_(work),
        random_(options.seed),
        workers_(static_cast<std::size_t>(options.workers)) {
    report_.seed = options.seed;
    for (std::size_t i = 0; i < workers_.size(); ++i) start(i);
  }

  ChaosReport run() {
    while (report_.kills < options_.kills && report_.ok()) {
      std::this_thread::sleep_for(std::chrono::microseconds(below(options_.pause.count() + 1)));
      torment(static_cast<std::size_t>(below(options_.workers)));
    }
    finish();
    return report_;
  }

 private:
  struct Worker {
    std::unique_ptr<SharedObject<std::atomic<bool>>> begun =
        std::make_unique<SharedObject<std::atomic<bool>>>();
    std::unique_ptr<Child> child = nullptr;
    bool stopped = false;
  };

  void start(std::size_t number) {
    Worker& worker = workers_[number];
    worker.stopped = false;
    **worker.begun = false;
    worker.child = std::make_unique<Child>([&, number] {
      **worker.begun = true;
      work_(static_cast<int>(number), *stop_);
    });
    ++report_.starts;
  }

  void torment(std::size_t number) {
    Worker& worker = workers_[number];
    // A worker that is stopped before it has begun would not die with this process.
    const bool may_stop = !worker.stopped && **worker.begun;
    if (worker.stopped && chance(0.5)) {
      worker.child->signal(SIGCONT);
      worker.stopped = false;
    } else if (may_stop && chance(options_.stop_share)) {
      worker.child->signal(SIGSTOP);
      worker.stopped = true;
      ++report_.stops;
    } else {
      kill(number);
    }
  }

  void kill(std::size_t number) {
    Child& child = *workers_[number].child;
    child.kill();
    ++report_.kills;
    if (!child.died_of(SIGKILL)) fail(number, "ended although it was not told to. " + child.failure());
    options_.after_kill(static_cast<int>(number));
    start(number);
  }

  void finish() {
    *stop_ = true;
    for (const Worker& worker : workers_) worker.child->signal(SIGCONT);
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      Child& child = *workers_[i].child;
      if (!child.ends_within(options_.finish)) {
        fail(i, fmt::format("did not return within {} ms", options_.finish.count()));
      } else if (const std::string failure = child.failure(); !failure.empty()) {
        fail(i, failure);
      }
    }
  }

  void fail(std::size_t worker, const std::string& what) {
    report_.failures.push_back(fmt::format("worker {}: {}", worker, what));
  }

  long below(long bound) { return std::uniform_int_distribution<long>(0, bound - 1)(random_); }
  bool chance(double probability) { return std::bernoulli_distribution(probability)(random_); }

  const ChaosOptions& options_;
  const Work& work_;
  std::mt19937_64 random_;
  SharedObject<std::atomic<bool>> stop_;
  ChaosReport report_;
  std::vector<Worker> workers_;
};

}  // namespace

ChaosReport run_chaos(const ChaosOptions& options, const Work& work) {
  return Chaos(options, work).run();
}

std::ostream& operator<<(std::ostream& out, const ChaosReport& report) {
  out << fmt::format("seed {}: {} kills, {} stops, {} starts", report.seed, report.kills, report.stops,
                     report.starts);
  for (const std::string& failure : report.failures) out << "\n" << failure;
  return out;
}

}  // namespace weir::test
