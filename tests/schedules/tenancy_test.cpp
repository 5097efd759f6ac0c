// SPDX-License-Identifier: Apache-2.0

// A sweeper that is stopped between judging an owner and removing it, while tenants of a slot pass.

#include "workers/tenancy.hpp"

#include <array>
#include <gtest/gtest.h>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::SlotIdentity;
using detail::Word;
using detail::WorkerSlot;
namespace tenancy = detail::tenancy;

constexpr auto kOrder = std::memory_order_seq_cst;

// Owners tell two tenants apart, so the third looks like the first. The tenants of slot 0 change; slot 1
// belongs to a sweeper.
constexpr std::uint32_t kGenerations = 2;
struct Memory {
  std::array<WorkerSlot, 2> slots;
  Word permit;  // the only one: the owner's low bits + 1; 0: free
};

std::uint64_t owner(std::uint32_t generation) {
  return generation % kGenerations + 1;
}
SlotIdentity tenant_of(const WorkerSlot& slot) {
  return SlotIdentity::from_word(slot.identity.load(kOrder));
}
// The first tenant was killed while it held the permit. All others live until they leave.
bool dead(SlotIdentity tenant) {
  return tenant.published && tenant.generation == 0;
}

void sweep(Memory& memory) {
  std::uint64_t seen = memory.permit.load(kOrder);
  const SlotIdentity tenant = tenant_of(memory.slots[0]);
  const bool gone = !tenant.published || owner(tenant.generation) != seen || dead(tenant);
  if (seen != 0 && gone) (void)memory.permit.compare_exchange(seen, 0, kOrder);
  if (!dead(tenant)) return;
  std::uint64_t word = tenant.word();
  (void)memory.slots[0].identity.compare_exchange(word, SlotIdentity{false, tenant.generation + 1, 0}.word(),
                                                  kOrder);
}

enum class Claim { checked, unchecked };

Verdict explore_tenants(Claim claim) {
  Memory memory;
  memory.slots[0].identity.store(SlotIdentity{true, 0, 1}.word(), kOrder);
  memory.slots[1].identity.store(SlotIdentity{true, 0, 2}.word(), kOrder);
  memory.permit.store(owner(0), kOrder);
  Program program;
  program.shared(memory, "memory").name(memory.permit, "permit").name(memory.slots, "slot");
  const auto sweepers = [&](const Program& in, ProcessId sweeping) {
    const auto dead = [&](std::uint32_t, SlotIdentity) { return !in.alive(sweeping); };
    return tenancy::find_sweeper(memory.slots, dead) < memory.slots.size() ? 1 : 0;
  };
  const ProcessId sweeper = program.process("sweeper", [&] {
    tenancy::begin_sweep(memory.slots[1]);
    sweep(memory);
    tenancy::end_sweep(memory.slots[1]);
  });
  program.process("tenants", [&] {
    sweep(memory);  // another sweeper, which is never stopped here
    for (std::uint32_t generation = 1; generation <= 2; ++generation) {
      WorkerSlot& slot = memory.slots[0];
      const bool quiet = sweepers(program, sweeper) == 0;
      if (quiet) tenancy::set_quiet(slot, generation);
      if (claim == Claim::checked && !tenancy::may_publish(slot, generation, kGenerations)) return;
      slot.identity.store(SlotIdentity{true, generation, 1}.word(), kOrder);
      std::uint64_t free = 0;
      if (memory.permit.compare_exchange(free, owner(generation), kOrder)) {
        std::uint64_t mine = owner(generation);
        program.require(memory.permit.compare_exchange(mine, 0, kOrder),
                        "a permit of the living was taken away");
      }
      slot.identity.store(SlotIdentity{false, generation + 1, 0}.word(), kOrder);
    }
  });
  program.check([&]() -> Complaint {
    if (sweepers(program, sweeper) == 0 || program.alive(sweeper)) return std::nullopt;
    return "a dead sweeper keeps a slot from being used";
  });
  return explore(program, {.max_kills = 1, .min_states = 50});
}

TEST(TenancySchedules, AStoppedSweeperTakesNoPermitOfALaterTenant) {
  const Verdict verdict = explore_tenants(Claim::checked);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(TenancySchedules, ClaimingWithoutLookingForSweepersIsFound) {
  EXPECT_EQ(explore_tenants(Claim::unchecked).failure, "a permit of the living was taken away");
}

}  // namespace
}  // namespace weir::test
