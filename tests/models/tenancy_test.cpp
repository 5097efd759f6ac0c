// SPDX-License-Identifier: Apache-2.0
#include "models/model.hpp"

namespace weir::models {
namespace {

/// A sweeper has announced that it sweeps, and may be stopped before it removes the permit of a dead tenant. Another
/// sweeper removes it too, and frees the slot. A claimant that finds no sweeper publishes the next tenant, which looks
/// like the first one and takes a permit.
///
/// Identity: 0 the dead tenant, 1 free, 2 the next tenant. Permit: 1 the low bits of both tenants.
struct StoppedSweeper : rl::test_suite<StoppedSweeper, 3> {
  enum { announce, sweeper_fence, end, free_slot, load_identity, claimant_fence, look };
  SharedWord sweeping, identity, permit;

  void before() {
    sweeping.store(0, mo_relaxed);
    identity.store(0, mo_relaxed);
    permit.store(1, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      sweeping.exchange(0, 1, order[announce]);
      fence(order[sweeper_fence]);
      const int seen = permit.load(mo_acquire);
      const bool gone = identity.load(mo_acquire) != 2;
      if (seen == 1 && gone) permit.exchange(1, 0, mo_acq_rel);
      sweeping.exchange(1, 0, order[end]);
    } else if (process == 1) {
      permit.exchange(1, 0, mo_acq_rel);
      identity.exchange(0, 1, order[free_slot]);
    } else {
      if (identity.load(order[load_identity]) != 1) return;
      fence(order[claimant_fence]);
      if (sweeping.load(order[look]) != 0) return;
      identity.exchange(1, 2, mo_acq_rel);
      if (!permit.exchange(0, 1, mo_acq_rel)) return;
      const bool kept = permit.exchange(1, 0, mo_acq_rel);
      RL_ASSERT(kept);
    }
  }
  static void fence(rl::memory_order with) {
    if (with != mo_relaxed) rl::atomic_thread_fence(with, $);
  }
};

TEST(TenancyModel, AStoppedSweeperTakesNoPermitOfALaterTenant) {
  check<StoppedSweeper>({
      {"begin_sweep() announces", mo_relaxed, {}},
      {"begin_sweep(), fence, sync(sweeping)", mo_seq_cst, {mo_acq_rel, mo_relaxed}},
      // The release, and the acquire of the look, keep the exchange of a sweep before its end. Relacy cannot show that,
      // because it keeps the writes of one word in the order in which they ran.
      {"end_sweep(), sync(swept)", mo_release, {}, {mo_relaxed}},
      {"Registry::release() frees the slot", mo_acq_rel, {mo_relaxed}},
      {"Registry::identity()", mo_acquire, {}, {mo_relaxed}},  // the fence after it acquires, too
      {"find_sweeper(), fence, sync(sweeping)", mo_seq_cst, {mo_acq_rel, mo_relaxed}},
      {"find_sweeper() looks, sync(swept)", mo_acquire, {}, {mo_relaxed}},
  });
}

}  // namespace
}  // namespace weir::models
