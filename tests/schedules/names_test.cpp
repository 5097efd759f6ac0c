// SPDX-License-Identifier: Apache-2.0

// A name's slot under every interleaving of two writers and a reader, and every kill.

#include "users/names.hpp"

#include <gtest/gtest.h>
#include <string_view>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::NameSlot;
using detail::NameTable;

constexpr std::string_view kAlice = "alice, whose name needs several of the words";
constexpr std::string_view kBob = "bob, whose name differs from hers in each word";

class NameSchedules : public ::testing::Test {
 protected:
  NameTable names() { return NameTable(std::span(&slot, 1)); }
  void writer(const char* name, std::uint64_t tag_hash, std::string_view user) {
    program.process(name, [this, tag_hash, user] { names().remember(tag_hash, user); });
  }
  void expect_whole() {
    names().for_each([&](std::uint64_t tag_hash, std::string_view name) {
      program.require((tag_hash == 1 && name == kAlice) || (tag_hash == 2 && name == kBob), "a torn name");
    });
  }
  std::size_t believed() {
    std::size_t count = 0;
    names().for_each([&](std::uint64_t, std::string_view) { ++count; });
    return count;
  }

  NameSlot slot;
  Program program;
};

TEST_F(NameSchedules, AReaderSeesACompleteNameOrNone) {
  program.shared(slot, "slot");
  writer("alice", 1, kAlice);
  writer("bob", 2, kBob);
  program.process("reader", [this] { expect_whole(); });
  program.check([this]() -> Complaint {
    expect_whole();
    // Whatever was left, the next writer leaves a whole name.
    names().remember(2, kBob);
    return believed() == 1 ? std::nullopt : Complaint("the slot cannot be used any more");
  });
  const Verdict verdict =
      explore(program, {.max_kills = 1, .max_preemptions = 3, .max_steps = 200, .min_states = 10'000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST_F(NameSchedules, ASingleWriterPublishesItsName) {
  program.shared(slot, "slot");
  names().remember(1, kAlice);
  writer("bob", 2, kBob);
  program.process("reader", [this] { expect_whole(); });
  program.check([this]() -> Complaint {
    const bool done = names().find(2).has_value();
    if (program.alive(ProcessId{0}) && !done) return "a name that was written is not remembered";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_steps = 200, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test
