// The protocol of a live change that lets another window take over, under every interleaving and kill: what
// write_block() does and what an admission does (LimiterImpl::turned()), over fixed windows of one hour.

#include <algorithm>
#include <array>
#include <gtest/gtest.h>

#include "primitives/fixed_window.hpp"
#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::FixedWindow;
using detail::FixedWindowParams;
using detail::Word;

constexpr std::uint64_t kNow = 1'000;
constexpr FixedWindowParams kHour{std::uint64_t{1} << 40U, 0, 2};
constexpr std::uint64_t kOld = 1;
constexpr std::uint64_t kNew = 2;
constexpr auto kOrder = std::memory_order_seq_cst;

enum class Looks : std::uint8_t { again, never };  // at the turn, after a charge

struct Memory {
  Memory() : present(kOld) {}

  Word present;
  Word turn;
  std::array<Word, 2> counts;  // of the old window, of its heir
  std::array<std::uint64_t, 2> admitted{};

  [[nodiscard]] FixedWindow window(std::size_t i) { return FixedWindow(counts[i]); }

  void take_back(std::uint64_t charged) {
    for (std::size_t i = 0; i < 2; ++i) {
      if ((charged >> i & 1) != 0) window(i).refund(kHour, kNow, 1, kNow);
    }
  }

  /// One request. @return whether it was admitted.
  bool admit(Looks looks) {
    for (int round = 0; round < 3; ++round) {
      const std::uint64_t seen = turn.load(kOrder);
      const std::uint64_t limits = present.load(kOrder);
      std::uint64_t charged = 0;
      for (std::size_t i = 0; i < 2; ++i) {
        if ((limits >> i & 1) == 0) continue;
        if (window(i).admit(kHour, kNow, 1) != 0) {
          take_back(charged);
          return false;
        }
        charged |= std::uint64_t{1} << i;
      }
      if (looks == Looks::never || turn.load(kOrder) == seen) return true;
      take_back(charged);
    }
    return false;
  }

  [[nodiscard]] std::uint32_t owed() { return window(0).read(kHour, kNow).count; }

  void change() {
    const std::uint32_t known = owed();
    if (known != 0) window(1).charge(kHour, kNow, known);
    present.store(kOld | kNew, kOrder);
    turn.fetch_add(1, kOrder);
    const std::uint32_t since = owed() - std::min(known, owed());
    if (since != 0) window(1).charge(kHour, kNow, since);
    present.store(kNew, kOrder);
  }
};

Verdict explored(Looks looks) {
  Memory memory;
  Program program;
  program.shared(memory, "memory");
  for (std::size_t p = 0; p < 2; ++p) {
    program.process("worker " + std::to_string(p), [&, p] {
      for (int i = 0; i < 2; ++i) memory.admitted[p] += memory.admit(looks) ? 1 : 0;
    });
  }
  program.process("change", [&] { memory.change(); });
  program.check([&]() -> Complaint {
    if (memory.admitted[0] + memory.admitted[1] > kHour.limit) return "a change handed out what was spent";
    return std::nullopt;
  });
  return explore(program, {.max_kills = 1, .max_preemptions = 3, .min_states = 100});
}

TEST(ChangeSchedules, AWindowThatTakesOverHandsOutNothingWhoeverIsKilledOrStopped) {
  const Verdict verdict = explored(Looks::again);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// The planted fault: an admission that does not look whether limits have changed since.
TEST(ChangeSchedules, AChargeThatDoesNotLookAgainIsFound) {
  EXPECT_FALSE(explored(Looks::never).ok());
}

}  // namespace
}  // namespace weir::test
