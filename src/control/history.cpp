// SPDX-License-Identifier: Apache-2.0
#include "control/history.hpp"

#include <algorithm>
#include <chrono>
#include <unistd.h>

#include "workers/process.hpp"

namespace weir::detail {
namespace {

void fill(ChangeRecord& record, const ConfigChange& change, std::uint64_t generation) {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  record.generation.store(generation, std::memory_order_release);
  record.wall_ns.store(
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(wall).count()),
      std::memory_order_release);
  record.who.store(std::uint64_t{::getuid()} << 32 | static_cast<std::uint32_t>(::getpid()),
                   std::memory_order_release);
  record.program.store(own_name());
  record.key.store(change.key);
  record.from.store(change.from);
  record.to.store(change.to);
}

std::uint64_t newest_sequence(std::span<const ChangeRecord> history) {
  std::uint64_t newest = 0;
  for (const ChangeRecord& record : history) {
    newest = std::max(newest, record.sequence.load(std::memory_order_acquire));
  }
  return newest;
}

std::chrono::system_clock::time_point wall_time(std::uint64_t ns) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds(static_cast<std::int64_t>(ns))));
}

}  // namespace

void append(std::span<ChangeRecord> history, const ChangeReport& report, std::uint64_t undoes) {
  std::uint64_t sequence = newest_sequence(history);
  std::uint64_t index = 0;
  for (const ConfigChange& change : report.changes) {
    ++sequence;
    ChangeRecord& record = history[sequence % history.size()];
    record.sequence.store(0, std::memory_order_relaxed);  // the release stores below publish it
    fill(record, change, report.generation);
    record.undoes.store(undoes, std::memory_order_release);
    record.position.store(std::uint64_t{report.changes.size()} << 32 | index++, std::memory_order_release);
    record.sequence.store(sequence, std::memory_order_release);  // sync(record)
  }
}

void note(ChangeRecord& difference, const std::vector<ConfigChange>& differs, std::uint64_t generation) {
  difference.sequence.store(0, std::memory_order_release);  // sync(record)
  if (differs.empty()) return;
  fill(difference, differs.front(), generation);
  difference.sequence.store(differs.size(), std::memory_order_release);  // sync(record)
}

std::vector<RecordedChange> read_history(std::span<const ChangeRecord> history) {
  std::vector<RecordedChange> found;
  for (const ChangeRecord& record : history) {
    const std::uint64_t sequence = record.sequence.load(std::memory_order_acquire);  // sync(record)
    if (sequence == 0) continue;
    const std::uint64_t who = record.who.load(std::memory_order_acquire);
    const auto together = static_cast<std::uint32_t>(record.position.load(std::memory_order_acquire) >> 32);
    ChangeEntry entry{record.generation.load(std::memory_order_acquire),
                      wall_time(record.wall_ns.load(std::memory_order_acquire)),
                      static_cast<std::uint32_t>(who >> 32),
                      static_cast<std::uint32_t>(who),
                      record.program.load(),
                      {record.key.load(), record.from.load(), record.to.load()},
                      record.undoes.load(std::memory_order_acquire)};
    // relaxed: every earlier load of the record was an acquire.
    if (record.sequence.load(std::memory_order_relaxed) == sequence)
      found.push_back({sequence, together, std::move(entry)});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.sequence > b.sequence; });
  return found;
}

}  // namespace weir::detail
