// SPDX-License-Identifier: Apache-2.0

// Window limits beside their floors: one decision is one clock reading and a few words.
//
// Measures  an admission by the exact log, beside (clock + one compare-exchange); a refusal, beside (clock +
//           load); the ring of counts and the fixed window beside them. The argument is the number of
//           processes that do it at once.
// Not       whole admissions over several limits (admission_bench), or more processes than processors.

#include <array>
#include <benchmark/benchmark.h>

#include "weir/clock.hpp"

#include "base/ticks.hpp"
#include "floors.hpp"
#include "neighbour.hpp"
#include "primitives/fixed_window.hpp"
#include "primitives/window_log.hpp"
#include "primitives/window_ring.hpp"

namespace weir {
namespace {

using detail::Word;

constexpr std::uint32_t kLimit = 100;

struct alignas(64) Log {
  Word hint;
  std::array<Word, kLimit> times;

  [[nodiscard]] detail::WindowLog log() { return {times, hint}; }
};

std::uint64_t now() {
  return detail::ticks_from_ns(static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count()));
}

void BM_Floor_ClockAndExchange(benchmark::State& state) {
  Shared<Line> line;
  measure(state, state.range(0), [&] { clock_and_exchange(*line); });
}
BENCHMARK(BM_Floor_ClockAndExchange)->Arg(1)->Arg(2);

void BM_WindowLog_Admit(benchmark::State& state) {
  Shared<Log> log;
  measure(state, state.range(0),
          [&] { benchmark::DoNotOptimize(log->log().admit({.length = 1, .limit = kLimit}, now(), 1)); });
}
BENCHMARK(BM_WindowLog_Admit)->Arg(1)->Arg(2);

void BM_FixedWindow_Admit(benchmark::State& state) {
  Shared<Word> word;
  detail::FixedWindow window(*word);
  const detail::FixedWindowParams params{.length = std::uint64_t{1} << 40, .origin = 0, .limit = ~0U};
  measure(state, state.range(0), [&] { benchmark::DoNotOptimize(window.admit(params, now(), 1)); });
}
BENCHMARK(BM_FixedWindow_Admit)->Arg(1)->Arg(2);

void BM_WindowRing_Admit(benchmark::State& state) {
  Shared<std::array<Word, detail::kRingCells>> cells;
  detail::WindowRing ring(*cells);
  // Within a second not even this loop reaches the highest limit.
  const detail::WindowParams params{.length = detail::ticks_from_ns(1'000'000'000), .limit = ~0U};
  measure(state, state.range(0), [&] { benchmark::DoNotOptimize(ring.admit(params, now(), 1)); });
}
BENCHMARK(BM_WindowRing_Admit)->Arg(1)->Arg(2);

void BM_Floor_ClockAndLoad(benchmark::State& state) {
  Shared<Line> line;
  measure(state, state.range(0), [&] { clock_and_load(*line); });
}
BENCHMARK(BM_Floor_ClockAndLoad)->Arg(1)->Arg(2);

constexpr detail::WindowParams kFull{.length = detail::kMaxDepthTicks, .limit = kLimit};

void BM_WindowLog_Refuse(benchmark::State& state) {
  Shared<Log> log;
  log->log().charge(kFull, now(), kLimit);
  measure(state, state.range(0), [&] { benchmark::DoNotOptimize(log->log().admit(kFull, now(), 1)); });
}
BENCHMARK(BM_WindowLog_Refuse)->Arg(1)->Arg(2);

void BM_WindowRing_Refuse(benchmark::State& state) {
  Shared<std::array<Word, detail::kRingCells>> cells;
  detail::WindowRing ring(*cells);
  ring.charge(kFull, now(), kLimit);
  measure(state, state.range(0), [&] { benchmark::DoNotOptimize(ring.admit(kFull, now(), 1)); });
}
BENCHMARK(BM_WindowRing_Refuse)->Arg(1)->Arg(2);

}  // namespace
}  // namespace weir
