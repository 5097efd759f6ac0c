// SPDX-License-Identifier: Apache-2.0

// Decisions a second of several processes in all, and whether the others go on while one of them is stopped.
//
// Measures  1, 2, 8 and 32 processes, each pinned to a CPU and not, that decide over five limits and a breaker for
//           1,000 users, each of which comes to one process, in a table of the default size, and over one rate:
//           weir          as a service would call it
//           no leases     the same with `lease = "off"` for the rates over all users
//           robust mutex  the same limits as plain words under one robust process-shared mutex
//           spin lock     the same under a spin lock
//           own line      clock + one compare-exchange on a line that no other process uses: what the machine allows
//           Before each group of these the time that a line needs from the first CPU to the second and back is
//           measured, because on a virtual machine it changes with the hour. In runs of their own, processes are
//           stopped for 35 ms each, at random moments, and the windows of 10 ms are counted in which the others stood
//           still meanwhile, although the kernel gave one of them a CPU. Where `own line` has some of them, too, the
//           machine did it.
// Not       refusals, or processes that work between their decisions: a service never contends as much.
//
//   scale_bench [ROUNDS [SECONDS [PROCESSES...]]]     default: 5 0.5 1 2 8 32, which takes about seven minutes
//
// The subjects take turns in every round. Figures are medians over the rounds; windows and refusals are added up.
// Rows of comma-separated values go to the standard output, tables in Markdown to the standard error. taskset chooses
// the CPUs, and so the distance: `taskset -c 0,64 scale_bench`.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fmt/format.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpus.hpp"
#include "floors.hpp"
#include "limits.hpp"
#include "neighbour.hpp"
#include "processes.hpp"
#include "rivals/locked_limits.hpp"
#include "rivals/locks.hpp"

namespace weir {
namespace {

constexpr std::int64_t kUsers = 1'000;
constexpr std::int64_t kRoom = 100'000;

// kWide, of which no process takes anything in advance.
constexpr std::string_view kWithoutLeases = "{ limit = '10000000/s burst 1000000000', lease = 'off' }";

/// The users of process i. Each process has its own, as if a user's connection stayed with its worker.
class Users {
 public:
  Users(std::span<const std::string> names, const Run& run, int i)
      : names_(names.subspan(begin(names, run, i), begin(names, run, i + 1) - begin(names, run, i))) {}

  const std::string& next() noexcept {
    next_ = next_ + 1 < names_.size() ? next_ + 1 : 0;
    return names_[next_];
  }

 private:
  static std::size_t begin(std::span<const std::string> names, const Run& run, int i) {
    return names.size() * static_cast<std::size_t>(i) / static_cast<std::size_t>(run.processes);
  }

  std::span<const std::string> names_;
  std::size_t next_ = 0;
};

template <const std::string_view& kRate>
Counts weir_five_limits(const Run& run) {
  Limiter limiter = limiter_with(room_for(kRoom) + five_limits(kRate, kWide));
  const Operation x = *limiter.operation("x");
  const std::vector<std::string> names = user_names(kUsers);
  for (const std::string& name : names) (void)limiter.admit(x, {.user = name});
  return run_processes(run, [&](int i) {
    return [&, users = Users(names, run, i)]() mutable {
      Admission admission = limiter.admit(x, {.user = users.next()});
      admission.succeed();
      return admission.verdict() == Verdict::admitted;
    };
  });
}

template <const std::string_view& kRate>
Counts weir_one_rate(const Run& run) {
  Limiter limiter = limiter_with(one_rate("operations.x", kRate));
  const Operation x = *limiter.operation("x");
  return run_processes(run,
                       [&](int) { return [&] { return limiter.admit(x).verdict() == Verdict::admitted; }; });
}

template <class Lock>
Counts locked_five_limits(const Run& run) {
  using Limits = rivals::LockedFiveLimits<Lock>;
  const SharedArray<typename Limits::User> table(Limits::entries_for(kUsers));
  Shared<Limits> limits(table.get());
  const std::vector<std::string> names = user_names(kUsers);
  return run_processes(run, [&](int i) {
    return [&, users = Users(names, run, i)]() mutable {
      auto* const user = limits->admit(users.next());
      if (user != nullptr) limits->release(*user);
      return user != nullptr;
    };
  });
}

template <class Lock>
Counts locked_one_rate(const Run& run) {
  Shared<rivals::LockedRate<Lock>> rate;
  return run_processes(run, [&](int) { return [&] { return rate->admit(); }; });
}

Counts own_line(const Run& run) {
  const SharedArray<Line> lines(static_cast<std::size_t>(run.processes));
  return run_processes(run, [&](int i) {
    return [&line = lines.get()[static_cast<std::size_t>(i)]] {
      clock_and_exchange(line);
      return true;
    };
  });
}

struct Subject {
  std::string_view name;
  Counts (*five_limits)(const Run&);
  Counts (*one_rate)(const Run&);
};
constexpr std::array kSubjects{
    Subject{"weir", weir_five_limits<kWide>, weir_one_rate<kWide>},
    Subject{"weir, no leases", weir_five_limits<kWithoutLeases>, weir_one_rate<kWithoutLeases>},
    Subject{"robust mutex", locked_five_limits<rivals::RobustMutex>, locked_one_rate<rivals::RobustMutex>},
    Subject{"spin lock", locked_five_limits<rivals::SpinLock>, locked_one_rate<rivals::SpinLock>},
    Subject{"own line", own_line, own_line},
};

/// The lowest, the middle and the highest of some values.
struct Spread {
  double low;
  double median;
  double high;

  explicit Spread(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const bool none = values.empty();
    low = none ? std::nan("") : values.front();
    median = none ? std::nan("") : values[values.size() / 2];
    high = none ? std::nan("") : values.back();
  }
};

/// What all rounds have measured of one subject.
struct Row {
  std::vector<double> per_second;
  std::vector<double> gap_us;
  std::uint64_t refused = 0;
  std::uint64_t windows = 0;
  std::uint64_t stood_still = 0;

  void add(const Counts& counts, double seconds) {
    per_second.push_back(static_cast<double>(counts.decisions) / seconds);
    gap_us.push_back(static_cast<double>(counts.longest_gap_ns) / 1e3);
    refused += counts.refused;
  }
  void add_stopped(const Counts& counts) {
    windows += counts.windows;
    stood_still += counts.stood_still;
    refused += counts.refused;
  }
};

/// The subjects side by side, under the same conditions.
struct Group {
  bool five_limits;
  bool pinned;
  int processes;
  std::vector<double> line_ns;
  std::array<Row, kSubjects.size()> rows;

  void measure(double seconds) {
    const std::vector<int> cpus = usable_cpus();
    if (cpus.size() > 1) line_ns.push_back(there_and_back_ns(cpus[0], cpus[1]));
    Run run{.processes = processes,
            .pinned = pinned,
            .stopping = false,
            .length_ns = static_cast<std::uint64_t>(seconds * 1e9)};
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].add(decide(i, run), seconds);
    if (processes == 1) return;
    run.stopping = true;
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].add_stopped(decide(i, run));
  }

 private:
  [[nodiscard]] Counts decide(std::size_t i, const Run& run) const {
    return five_limits ? kSubjects[i].five_limits(run) : kSubjects[i].one_rate(run);
  }
};

void print_rows(const std::vector<Group>& groups) {
  fmt::print(
      "limits,processes,pinned,subject,decisions_per_s,lowest,highest,longest_gap_us,refused,windows,"
      "stood_still,line_ns,line_lowest_ns,line_highest_ns\n");
  for (const Group& group : groups) {
    const Spread line(group.line_ns);
    for (std::size_t i = 0; i < kSubjects.size(); ++i) {
      const Row& row = group.rows[i];
      const Spread speed(row.per_second);
      fmt::print("{},{},{},{},", group.five_limits ? "five" : "one", group.processes,
                 group.pinned ? "yes" : "no", kSubjects[i].name);
      fmt::print("{:.0f},{:.0f},{:.0f},{:.1f},", speed.median, speed.low, speed.high,
                 Spread(row.gap_us).median);
      fmt::print("{},{},{},{:.0f},{:.0f},{:.0f}\n", row.refused, row.windows, row.stood_still, line.median,
                 line.low, line.high);
    }
  }
}

void print_head(const Group& group) {
  fmt::print(stderr, "\n{}, {}:\n\n| Processes | line, ns |",
             group.five_limits ? "Five limits and a breaker" : "One rate",
             group.pinned ? "pinned" : "not pinned");
  for (const Subject& subject : kSubjects) fmt::print(stderr, " {} | still |", subject.name);
  fmt::print(stderr, "\n|---|---|");
  for (std::size_t i = 0; i < kSubjects.size(); ++i) fmt::print(stderr, "---|---|");
  fmt::print(stderr, "\n");
}

void print_table(const std::vector<Group>& groups) {
  const Group* first = nullptr;
  for (const Group& group : groups) {
    if (first == nullptr || group.five_limits != first->five_limits || group.pinned != first->pinned) {
      first = &group;
      print_head(group);
    }
    fmt::print(stderr, "| {} | {:.0f} |", group.processes, Spread(group.line_ns).median);
    for (std::size_t i = 0; i < kSubjects.size(); ++i) {
      const Row& row = group.rows[i];
      const double speed = Spread(row.per_second).median;
      fmt::print(stderr, " {:.1f} ({:.2f} x) |", speed / 1e6,
                 speed / Spread(first->rows[i].per_second).median);
      if (row.windows == 0)
        fmt::print(stderr, " |");
      else
        fmt::print(stderr, " {:.1f} % |",
                   100 * static_cast<double>(row.stood_still) / static_cast<double>(row.windows));
    }
    fmt::print(stderr, "\n");
  }
  fmt::print(stderr,
             "\nMillion decisions a second in all (times the first row); windows in which the others "
             "stood still.\n");
}

/// The decisions of pinned processes over five limits, as bars.
void print_figure(const std::vector<Group>& groups) {
  constexpr double kWidth = 60;
  double most = 0;
  const auto speed_of = [](const Group& group, std::size_t i) {
    return Spread(group.rows[i].per_second).median;
  };
  const auto for_each_bar = [&](auto&& visit) {
    for (const Group& group : groups) {
      // The last subject is what the machine allows, and no decision.
      for (std::size_t i = 0; group.five_limits && group.pinned && i + 1 < kSubjects.size(); ++i)
        visit(group, i);
    }
  };
  for_each_bar([&](const Group& group, std::size_t i) { most = std::max(most, speed_of(group, i)); });
  fmt::print(stderr, "\nMillion decisions a second over five limits and a breaker, pinned:\n```\n");
  for_each_bar([&](const Group& group, std::size_t i) {
    const double speed = speed_of(group, i);
    const auto length = static_cast<std::size_t>(std::lround(kWidth * speed / most));
    fmt::print(stderr, "{:>2} {:<16} {} {:.1f}\n", group.processes, kSubjects[i].name,
               std::string(length, '#'), speed / 1e6);
  });
  fmt::print(stderr, "```\n");
}

int scale_bench(int rounds, double seconds, const std::vector<int>& processes) {
  std::vector<Group> groups;
  for (const bool five : {true, false}) {
    for (const bool pinned : {true, false}) {
      for (const int count : processes) groups.push_back({five, pinned, count, {}, {}});
    }
  }
  for (int round = 1; round <= rounds; ++round) {
    fmt::print(stderr, "round {} of {}\n", round, rounds);
    for (Group& group : groups) group.measure(seconds);
  }
  print_rows(groups);
  print_table(groups);
  print_figure(groups);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.5;
  std::vector<int> processes;
  for (int i = 3; i < argc; ++i) processes.push_back(std::atoi(argv[i]));
  if (processes.empty()) processes = {1, 2, 8, 32};
  const bool sound =
      std::all_of(processes.begin(), processes.end(), [](int count) { return count >= 1 && count <= 64; });
  if (rounds < 1 || !(seconds > 0 && seconds <= 60) || !sound) {
    fmt::print(stderr,
               "usage: scale_bench [ROUNDS [SECONDS [PROCESSES...]]]: at least 1 round, up to 60 seconds, 1 "
               "to 64 processes\n");
    return 2;
  }
  try {
    return weir::scale_bench(rounds, seconds, processes);
  } catch (const std::exception& error) {
    fmt::print(stderr, "scale_bench: {}\n", error.what());
    return 1;
  }
}
