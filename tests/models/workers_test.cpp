// SPDX-License-Identifier: Apache-2.0
#include "models/model.hpp"

namespace weir::models {
namespace {

/// A slot with two tenants, one after the other. Identity: 0 free, 1 the first, 2 free again, 3 the second.
struct Tenants : rl::test_suite<Tenants, 3> {
  enum { publish, load_identity, release };
  SharedWord identity, details;

  void before() {
    identity.store(0, mo_relaxed);
    details.store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      details.store(1, mo_relaxed);
      identity.exchange(0, 1, order[publish]);
    } else if (process == 1) {
      if (identity.load(order[load_identity]) != 1) return;
      identity.exchange(1, 2, order[release]);
      details.store(2, mo_relaxed);
      identity.exchange(2, 3, order[publish]);
    } else {
      const int seen = identity.load(order[load_identity]);
      const int read = details.load(mo_relaxed);
      if (seen == 1) RL_ASSERT(read >= 1);
      if (seen == 3) RL_ASSERT(read == 2);
    }
  }
};

TEST(WorkerModel, AProcessThatSeesATenantSeesItsDetails) {
  check<Tenants>({
      {"Registry::claim() publishes the slot, sync(slot)", mo_acq_rel, {mo_acquire}, {mo_release}},
      {"Registry::identity(), sync(slot)", mo_acquire, {mo_relaxed}},
      {"Registry::release()", mo_acq_rel, {}, {mo_relaxed}},
  });
}

/// One thread finds that its process was taken for dead, and joins again under another identity (2). Another
/// thread gives back what it holds under the first (1).
struct WasSelf : rl::test_suite<WasSelf, 2> {
  enum { join, load_joined };
  SharedWord joined, lost;

  void before() {
    joined.store(1, mo_relaxed);
    lost.store(0, mo_relaxed);
  }
  void thread(unsigned thread) {
    if (thread == 0) {
      lost.store(1, mo_relaxed);
      joined.exchange(1, 2, order[join]);
    } else {
      const bool known = joined.load(order[load_joined]) == 1 || lost.load(mo_relaxed) == 1;
      RL_ASSERT(known);
    }
  }
};

TEST(WorkerModel, AProcessKnowsTheIdentityThatItLost) {
  check<WasSelf>({
      {"Registry::join(), sync(lost)", mo_acq_rel, {mo_acquire}, {mo_release}},
      {"Registry::was_self(), sync(lost)", mo_acquire, {mo_relaxed}},
  });
}

}  // namespace
}  // namespace weir::models
