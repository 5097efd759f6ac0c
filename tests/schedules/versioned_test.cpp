// SPDX-License-Identifier: Apache-2.0

// A value of several words under every interleaving and kill of its writer.

#include "primitives/versioned.hpp"

#include <gtest/gtest.h>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::Versioned;

// A value is whole if all its parts are equal.
struct Value {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
};

TEST(VersionedSchedules, AReaderSeesAWholeValueWhereverTheWriterIsKilled) {
  struct {
    Versioned<Value> value;
    std::uint64_t torn = 0;
    std::uint64_t back = 0;
  } memory;
  Program program;
  program.shared(memory, "memory");
  program.process("writer", [&] {
    for (std::uint64_t v = 1; v <= 3; ++v) memory.value.store({v, v, v});
  });
  program.process("reader", [&] {
    const Value first = memory.value.load();
    const Value second = memory.value.load();
    for (const Value& seen : {first, second}) memory.torn += seen.a != seen.b || seen.b != seen.c ? 1 : 0;
    const std::uint64_t third = memory.value.load_only(&Value::b);
    const Value last = memory.value.load();
    memory.torn += last.a != last.b || last.b != last.c ? 1 : 0;
    memory.back += second.a < first.a || third < second.b || last.a < third ? 1 : 0;
  });
  program.invariant([&]() -> Complaint {
    if (memory.torn != 0) return "a reader saw a mixture";
    if (memory.back != 0) return "a reader saw an older value after a newer one";
    return std::nullopt;
  });
  program.check([&]() -> Complaint {
    // A reader sees what is written next, also after a kill.
    memory.value.store({9, 9, 9});
    const Value seen = memory.value.load();
    return seen.a == 9 && seen.c == 9 ? std::nullopt : Complaint("the next writer's value is not read");
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test
