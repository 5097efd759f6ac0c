// SPDX-License-Identifier: Apache-2.0
#pragma once

// The limits that a request passes: from an operation and a user to the steps of a decision (Context).
//
// They come from the plan of the operation, which this process keeps for one turn of the limits (plans.hpp), and
// for a user with limits of its own from the steps of its override. What is not kept is compiled, and serves this
// request from its stack. If the limits stood still meanwhile, the next request finds it kept.
//
// A live change may move the turn while a request is worked on. So what has changed something in the segment
// asks have_changed() afterwards, and is done again, by the limits as they are then: until_they_stand().
//
// The usual path, prepare() with a plan that is kept, is inline in each kind of admission. What compiles is in
// functions of its own, so that the usual path needs no room for it on the stack.

#include <cstdint>

#include "weir/limiter.hpp"

#include "base/hash.hpp"
#include "limiter/context.hpp"
#include "limiter/operation_handles.hpp"
#include "plan/lease_pool.hpp"
#include "plan/plan.hpp"
#include "plan/plans.hpp"
#include "policy/schema.hpp"
#include "policy/turn.hpp"
#include "segment/mapping.hpp"
#include "users/table.hpp"

namespace weir::detail {

class LimitsInForce {
 public:
  LimitsInForce(const Segment& segment, const Sections& sections) noexcept
      : sections_(sections),
        hasher_(segment.header().secret),
        users_(sections_.users, sections_.user_counters),
        operations_(sections_, hasher_) {}

  [[nodiscard]] const Sections& sections() const noexcept { return sections_; }
  [[nodiscard]] UserTable& users() noexcept { return users_; }
  [[nodiscard]] OperationHandles& operations() noexcept { return operations_; }
  [[nodiscard]] const OperationHandles& operations() const noexcept { return operations_; }
  [[nodiscard]] UserKey key_of(std::string_view user) const noexcept { return users_.key(hasher_(user)); }

  [[nodiscard]] std::uint64_t turn() const noexcept { return turn_of_limits(sections_.control->turn); }

  /// Whether limits were changed live since they were looked up. It is asked after a request was charged:
  /// either this call sees the new turn, or the process that changes limits, which then reads what is owed,
  /// sees the charge.
  [[nodiscard]] bool have_changed(const Context& context) const noexcept {
    exchange_before_load();  // sync(turn): pairs with the one of the change
    return sections_.control->turn.load(std::memory_order_seq_cst) != context.turn;
  }

  /// The plan of an operation that is kept under a turn; nullptr: it has to be compiled.
  [[nodiscard]] const Plan* plan_of(Operation operation, std::uint64_t turn) const noexcept {
    const auto handle = static_cast<std::uint32_t>(operation);
    const Plan* const plan = plans_.find(handle % kMaxOperations, turn);
    return plan != nullptr && plan->handle == handle ? plan : nullptr;
  }

  /// Fills in what a request asks for, under the limits of a plan. The user's entries are fetched while the clock
  /// is read and the words of all callers are looked at.
  /// @param way  becomes the plan's way of deciding for a user, if the request passes limits of users.
  /// @return the block of a user with limits of its own, whose steps are still to be found; 0: all is there.
  [[gnu::always_inline]] std::uint32_t prepare(Context& context, const Plan& plan, std::uint64_t turn,
                                               Decide** way = nullptr) noexcept {
    context.plan = &plan;
    context.turn = turn;
    if (!plan.of_users || context.request.user.empty()) {
      context.users = &kNoUserSteps;
      return 0;
    }
    context.users = &plan.user;
    if (way != nullptr) *way = plan.decide_for_user;
    const Hash128 user = hasher_(context.request.user);
    const UserKey key = users_.key(user);
    users_.prefetch(key);
    context.user = user;
    context.key = key;
    return plan.overrides ? override_of(user) : 0;
  }

  /// The steps of a user with limits of its own, if they are kept under a turn; nullptr: they have to be compiled.
  [[nodiscard]] const UserSteps* override_kept(std::uint32_t block, std::uint64_t turn) const noexcept {
    return overrides_.find((block - kFirstOverride) % kMaxOverrides, turn);
  }

  /// Calls use(Context&) with what a request asks for under the limits in force.
  /// @return false: the operation is unknown, or the request asks for nothing.
  /// Errors  what `use` throws.
  template <class Use>
  bool with(Operation operation, const Request& request, Use&& use) {
    if (request.cost == 0 || request.weight == 0) return false;
    const std::uint64_t turn = this->turn();
    const Plan* const plan = plan_of(operation, turn);
    return plan != nullptr ? with_plan(*plan, turn, request, use) : with_own_plan(operation, request, use);
  }

  /// The same, again while use(Context&) says, by false, that limits were changed live meanwhile; but not without
  /// end.
  /// @return false: they were changed to the last.
  template <class Use>
  bool until_they_stand(Operation operation, const Request& request, Use&& use) {
    constexpr int kMostTurns = 16;
    for (int i = 0; i < kMostTurns; ++i) {
      bool stood = true;
      with(operation, request, [&](Context& context) { stood = use(context); });
      if (stood) return true;
    }
    return false;
  }

 private:
  template <class Use>
  bool with_plan(const Plan& plan, std::uint64_t turn, const Request& request, Use& use) {
    if (plan.retired) return false;
    Context context(sections_, users_, request);
    if (const std::uint32_t block = prepare(context, plan, turn); block != 0)
      return with_override(context, block, use);
    use(context);
    return true;
  }
  template <class Use>
  [[gnu::noinline]] bool with_own_plan(Operation operation, const Request& request, Use& use) {
    const std::uint64_t turn = this->turn();
    const std::uint32_t block = operations_.block_of(operation);
    if (block == 0) return false;
    const Plan plan = compile(operation, block, turn);
    return with_plan(plan, turn, request, use);
  }

  /// with_plan() for a user with limits of its own.
  template <class Use>
  [[gnu::noinline]] bool with_override(Context& context, std::uint32_t block, Use& use) {
    context.users = override_kept(block, context.turn);
    if (context.users == nullptr) return with_own_override(context, block, use);
    use(context);
    return true;
  }
  template <class Use>
  [[gnu::noinline]] bool with_own_override(Context& context, std::uint32_t block, Use& use) {
    const UserSteps steps = compile_override(block, context.turn);
    context.users = &steps;
    use(context);
    context.users = &kNoUserSteps;  // the steps end here
    return true;
  }

  /// The block of a user with limits of its own; 0: it has none, or a live change took them out.
  [[nodiscard]] std::uint32_t override_of(Hash128 user) const noexcept {
    const std::uint32_t block = find_block(sections_.override_index, user);
    return block != 0 && !sections_.blocks[block].presence(std::memory_order_acquire).retired() ? block : 0;
  }

  /// Each compiles what a block says, and keeps it if the limits have stood still since `turn` was read.
  [[nodiscard]] Plan compile(Operation operation, std::uint32_t block, std::uint64_t turn) noexcept;
  [[nodiscard]] UserSteps compile_override(std::uint32_t block, std::uint64_t turn) noexcept;

  Sections sections_;
  KeyHasher hasher_;
  UserTable users_;
  OperationHandles operations_;
  LeasePool leases_;
  PlanShelf<Plan, kMaxOperations> plans_;
  PlanShelf<UserSteps, kMaxOverrides> overrides_;
};

}  // namespace weir::detail
