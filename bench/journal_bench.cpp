// SPDX-License-Identifier: Apache-2.0

// One record of the journal beside the floor of an admission, with one process and with two.
//
// Measures  a record into the ring of a segment: the content, its checksum, a ticket and two exchanges; the same with the
//           wall clock, as an event is written; beside a clock reading with one compare-exchange on a shared line. The
//           argument is the number of processes that do it at once.
// Not       what happens before an event, which is rare.

#include <benchmark/benchmark.h>
#include <chrono>

#include "floors.hpp"
#include "neighbour.hpp"
#include "policy/journal.hpp"

namespace weir {
namespace {

using detail::BasicJournal;
using detail::EventRecord;
using detail::JournalSection;
using detail::kJournalWords;

void BM_Floor_ClockAndExchange(benchmark::State& state) {
  Shared<Line> line;
  measure(state, state.range(0), [&] { clock_and_exchange(*line); });
}
BENCHMARK(BM_Floor_ClockAndExchange)->Arg(1)->Arg(2);

void BM_Journal_Record(benchmark::State& state) {
  Shared<JournalSection> section;
  EventRecord record;
  record.kind = EventKind::opened;
  measure(state, state.range(0), [&] {
    ++record.value;
    benchmark::DoNotOptimize(
        BasicJournal<kJournalWords>(section->tickets, section->records).write(record.words()));
  });
}
BENCHMARK(BM_Journal_Record)->Arg(1)->Arg(2);

void BM_Journal_RecordWithItsTime(benchmark::State& state) {
  Shared<JournalSection> section;
  EventRecord record;
  record.kind = EventKind::opened;
  measure(state, state.range(0), [&] {
    record.wall_ns = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
    benchmark::DoNotOptimize(
        BasicJournal<kJournalWords>(section->tickets, section->records).write(record.words()));
  });
}
BENCHMARK(BM_Journal_RecordWithItsTime)->Arg(1)->Arg(2);

}  // namespace
}  // namespace weir
