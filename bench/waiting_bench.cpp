// SPDX-License-Identifier: Apache-2.0

// What it costs to wait for a permit, and to let others wait.
//
// Measures  hand-over   two processes and one permit: the time from the beginning of a release to the moment at which the
//                       other process, which slept, has the permit. Median and 99th percentile of a run, and the median
//                       over the runs.
//           throughput  processes that do nothing but take the one permit, work for a fixed time, and give it back
//           take+give   one process and one permit, for which no process waits
//           Each beside a process-shared POSIX semaphore (sem_timedwait), which forgets a wake-up whose receiver dies,
//           and beside SysV semtimedop with SEM_UNDO, which does not.
// Not       queues of several classes, or waiters that die: the tests have those.
//
//   waiting_bench [RUNS [HAND_OVERS [SECONDS]]]        default: 15 1500 1
//
// The subjects take turns. A table in Markdown goes to the standard output.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fmt/format.h>
#include <semaphore.h>
#include <stdexcept>
#include <string>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "cpus.hpp"
#include "limits.hpp"
#include "neighbour.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

// The subjects: each takes and gives back one permit, and is made before the processes are forked.

class Weir {
 public:
  static constexpr const char* kName = "weir";
  Weir() : limiter_(limiter_with("[operations.x]\nconcurrent = 1\nqueue = 100\ntimeout = '60s'\n")) {
    x_ = *limiter_.operation("x");
  }
  void take() {
    admission_ = limiter_.admit(x_, {.wait = 60s});
    if (!admission_) throw std::runtime_error("weir: not admitted");
  }
  void give() { admission_.release(); }

 private:
  Limiter limiter_;
  Operation x_{};
  Admission admission_{Decision{}};
};

class Posix {
 public:
  static constexpr const char* kName = "sem_timedwait";
  Posix() { ::sem_init(&*semaphore_, 1, 1); }
  void take() {
    timespec until{};
    ::clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    while (::sem_timedwait(&*semaphore_, &until) != 0) {
      if (errno != EINTR) throw std::runtime_error("sem_timedwait");
    }
  }
  void give() { ::sem_post(&*semaphore_); }

 private:
  Shared<sem_t> semaphore_;
};

class SysV {
 public:
  static constexpr const char* kName = "semtimedop + undo";
  SysV() : id_(::semget(IPC_PRIVATE, 1, 0600)) {
    if (id_ < 0) throw std::runtime_error("semget");
    sembuf one{0, 1, 0};
    ::semop(id_, &one, 1);
  }
  SysV(const SysV&) = delete;
  SysV& operator=(const SysV&) = delete;
  ~SysV() { ::semctl(id_, 0, IPC_RMID); }
  void take() {
    sembuf down{0, -1, SEM_UNDO};
    const timespec limit{60, 0};
    while (::semtimedop(id_, &down, 1, &limit) != 0) {
      if (errno != EINTR) throw std::runtime_error("semtimedop");
    }
  }
  void give() {
    sembuf up{0, 1, SEM_UNDO};
    ::semop(id_, &up, 1);
  }

 private:
  int id_;
};

template <class T>
T middle(std::vector<T> values, double at = 0.5) {
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(at * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

struct HandOver {
  double median_us;
  double p99_us;
};

/// Two processes that take turns. Each waits for the permit asleep while the other has it for a while.
template <class Subject>
HandOver hand_over(int count) {
  Subject subject;
  struct Turns {
    std::atomic<std::uint64_t> released_ns{0};
    std::atomic<int> taken{0};
  };
  Shared<Turns> turns;
  const SharedArray<std::uint64_t> took_ns(static_cast<std::size_t>(count));
  Children children(2, [&](int /*number*/) {
    for (;;) {
      subject.take();
      const std::uint64_t now = now_ns();
      const int mine = turns->taken.fetch_add(1) + 1;
      if (mine < count) took_ns.get()[static_cast<std::size_t>(mine)] = now - turns->released_ns.load();
      // The other one is asleep by then.
      for (const std::uint64_t until = now_ns() + 50'000; now_ns() < until;) {
      }
      turns->released_ns.store(now_ns());
      subject.give();
      if (mine >= count) return;
      // A release that takes the permit itself again would be no hand-over.
      while (turns->taken.load() == mine && turns->taken.load() < count) std::this_thread::yield();
      if (turns->taken.load() >= count) return;
    }
  });
  children.join();
  std::vector<std::uint64_t> times(took_ns.get().begin() + count / 10, took_ns.get().end());
  return {static_cast<double>(middle(times)) / 1000, static_cast<double>(middle(times, 0.99)) / 1000};
}

template <class Subject>
double throughput(int processes, std::uint64_t work_ns, double seconds) {
  Subject subject;
  const SharedArray<std::uint64_t> admitted(static_cast<std::size_t>(processes) * 8);
  const std::uint64_t begin = now_ns() + 50'000'000;
  const auto end = begin + static_cast<std::uint64_t>(seconds * 1e9);
  Children children(processes, [&](int number) {
    std::uint64_t mine = 0;
    while (now_ns() < begin) ::usleep(1000);
    while (now_ns() < end) {
      subject.take();
      for (const std::uint64_t until = now_ns() + work_ns; now_ns() < until;) {
      }
      subject.give();
      ++mine;
    }
    admitted.get()[static_cast<std::size_t>(number) * 8] = mine;
  });
  children.join();
  std::uint64_t all = 0;
  for (const std::uint64_t one : admitted.get()) all += one;
  return static_cast<double>(all) / seconds;
}

template <class Subject>
double take_and_give_ns() {
  Subject subject;
  constexpr int kPairs = 200'000;
  for (int i = 0; i < kPairs / 10; ++i) subject.take(), subject.give();
  const std::uint64_t begin = now_ns();
  for (int i = 0; i < kPairs; ++i) subject.take(), subject.give();
  return static_cast<double>(now_ns() - begin) / kPairs;
}

template <class Figure>
void print(const std::string& what, const char* format, int runs, Figure&& figure) {
  std::vector<double> weir;
  std::vector<double> posix;
  std::vector<double> sysv;
  std::vector<double> ratios;
  for (int i = 0; i < runs; ++i) {
    weir.push_back(figure(static_cast<Weir*>(nullptr)));
    posix.push_back(figure(static_cast<Posix*>(nullptr)));
    sysv.push_back(figure(static_cast<SysV*>(nullptr)));
    ratios.push_back(weir.back() / posix.back());
  }
  const auto text = [&](double value) { return fmt::format(fmt::runtime(format), value); };
  fmt::print("| {} | {} | {} | {} | {:.2f} ({:.2f} to {:.2f}) |\n", what, text(middle(weir)),
             text(middle(posix)), text(middle(sysv)), middle(ratios), middle(ratios, 0), middle(ratios, 1));
  std::fflush(stdout);
}

int run(int runs, int hand_overs, double seconds) {
  fmt::print("| | weir | sem_timedwait | semtimedop + undo | weir : sem_timedwait, median (range) of {} |\n",
             runs);
  fmt::print("|---|---|---|---|---|\n");
  print("hand-over, median, us", "{:.1f}", runs,
        [&]<class Subject>(Subject*) { return hand_over<Subject>(hand_overs).median_us; });
  print("hand-over, 99th percentile, us", "{:.1f}", runs,
        [&]<class Subject>(Subject*) { return hand_over<Subject>(hand_overs).p99_us; });
  for (const int processes : {4, 16, 64}) {
    for (const std::uint64_t work_us : {10, 100}) {
      print(fmt::format("{} processes, work of {} us, admissions a second", processes, work_us), "{:.0f}",
            std::max(runs / 3, 1),
            [&]<class Subject>(Subject*) { return throughput<Subject>(processes, work_us * 1000, seconds); });
    }
  }
  print("take + give, no process waits, ns", "{:.1f}", runs,
        []<class Subject>(Subject*) { return take_and_give_ns<Subject>(); });
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  try {
    return weir::run(argc > 1 ? std::atoi(argv[1]) : 15, argc > 2 ? std::atoi(argv[2]) : 1500,
                     argc > 3 ? std::atof(argv[3]) : 1);
  } catch (const std::exception& error) {
    fmt::print(stderr, "waiting_bench: {}\n", error.what());
    return 1;
  }
}
