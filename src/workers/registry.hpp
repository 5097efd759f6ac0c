// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which workers are attached, and which of them are alive.
//
// A worker claims a slot and holds, until it dies, a lock on one byte of the segment's inode (slot_lock.hpp).
// The kernel drops the lock at any kind of death; pid reuse, zombies and other PID namespaces do not matter.
// Looking asks the kernel (F_OFD_GETLK) and takes nothing, so a stopped sweeper hinders no other process.
//
// A lock of a description lasts as long as anything refers to the description. The worker therefore also maps
// a page of the segment through it: closing all descriptors leaves the mapping, and with it the lock. The
// mapping ends with the program, at death and at exec, and is not passed to children. So a free byte means
// that the worker is dead, and nothing else needs to be looked at (WorkerSlot::lasting). A locked byte means
// that the worker is alive, unless its pid is unused: another process may have the description (see raw
// clone).
//
// States of a slot: the transition, which process makes it, and what a kill right after it leaves
//   free {0, gen, 0} -> published: the claimant, which holds the byte's lock. Killed between lock and
//     publish: the lock is dropped, and the slot is free.
//   published {1, gen, pid} -> free {0, gen + 1, 0}: any sweeper, after it gave back what the dead worker
//     held. Killed before: the slot is still published and unlocked; the next sweeper does it again.
//
// Traps, each with a test:
//   fork        a child inherits the description. It must close it (an unlock would take the parent's lock),
//               never use the parent's identity, and claim a slot of its own at its first call. The identity
//               and the lock lie in a page that the kernel wipes in the child, so that a raw clone is
//               noticed, and the child has no number left that it could take for its own.
//   raw clone   no fork handler runs. A child that never calls the library keeps the description, and with it
//               the lock, after its parent's death. In the same PID namespace the unused pid shows the death.
//   closefrom   closing all descriptors drops the lock of a worker that could not map the page. For such a
//               worker pid, start time and stack are asked as second evidence if the PID namespace is the
//               same, and in doubt it counts as alive: see has_ended().
//   exec        keeps pid and start time, and without address randomisation the stack, too; but not the
//               mapping. A zombie holds nothing. Where the host clears close-on-exec of all descriptors, the
//               program that follows inherits the lock: it finds its own pid in a slot that it has not claimed,
//               with the stack of another program.
//   two threads get the same lock twice through one description: a description serves one claim and nothing
//               else.

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "base/owner.hpp"
#include "base/result.hpp"
#include "segment/mapping.hpp"
#include "workers/slot.hpp"
#include "workers/slot_lock.hpp"

namespace weir::detail {

/// The slot that this process owns.
struct Identity {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;

  [[nodiscard]] Owner owner() const noexcept { return {slot, generation}; }
  friend bool operator==(const Identity&, const Identity&) = default;
};

/// The worker slots of a segment, for a process that only reads them.
class WorkerView {
 public:
  /// `segment` outlives the view; `slots` lie in it.
  WorkerView(std::span<const WorkerSlot> slots, const Segment& segment) noexcept
      : slots_(slots), segment_(&segment) {}

  [[nodiscard]] SlotIdentity identity(std::uint32_t slot) const noexcept {
    // sync(slot): acquire; pairs with Registry::claim().
    return SlotIdentity::from_word(slots_[slot].identity.load(std::memory_order_acquire));
  }
  /// As Registry::is_over().
  [[nodiscard]] bool is_over(std::uint64_t identity) const noexcept {
    const Owner owner = Owner::from_own_bits(static_cast<std::uint32_t>(identity));
    if (!owner || owner.slot() >= slots_.size()) return true;
    const std::uint64_t tenant = slots_[owner.slot()].identity.load(std::memory_order_acquire);  // sync(slot)
    return (tenant ^ identity) >> 32 != 0;
  }

  /// Whether the tenant of a slot is dead. It asks the kernel; in doubt the answer is no.
  /// @param another  another description of the segment through which to ask if the segment's own was closed.
  [[nodiscard]] bool is_dead(std::uint32_t slot, SlotIdentity tenant,
                             const FileMark* another = nullptr) const noexcept;
  /// Whether the tenant's pid is unused: a hint that it is worth asking whether the tenant is dead.
  /// Cost  one system call. Like is_dead(), it does not take longer with more workers.
  [[nodiscard]] bool pid_is_free(std::uint32_t slot, SlotIdentity tenant,
                                 std::uint64_t own_namespace) const noexcept;

  [[nodiscard]] std::span<const WorkerSlot> slots() const noexcept { return slots_; }
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(slots_.size()); }

 private:
  /// Whether it is certain that no process holds the slot's byte.
  [[nodiscard]] bool is_unlocked(std::uint32_t slot, const FileMark* another) const noexcept;
  /// Whether it is certain that the tenant's pid is of our own PID namespace and is unused.
  [[nodiscard]] bool has_no_process(std::uint32_t slot, SlotIdentity tenant) const noexcept;

  std::span<const WorkerSlot> slots_;
  const Segment* segment_;
};

class Registry {
 public:
  /// `segment` outlives the registry; `slots` lie in it.
  Registry(std::span<WorkerSlot> slots, const Segment& segment) noexcept;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  /// Gives the slot back; in a forked child it only closes what is the child's own.
  ~Registry();

  /// The identity of this process; nullopt before it has claimed one, and after another process took it for
  /// dead.
  /// Cost  two loads.
  [[nodiscard]] std::optional<Identity> self() const noexcept {
    const std::uint64_t word =
        private_->joined.load(std::memory_order_relaxed);  // relaxed: it publishes nothing
    if (word == 0) return std::nullopt;
    return is_tenant(word) ? std::optional(unpack(word)) : std::nullopt;
  }

  /// The owner that this process is; nullopt where self() is. Cost  two loads.
  [[nodiscard]] std::optional<Owner> owner() const noexcept {
    const std::uint64_t word = private_->joined.load(std::memory_order_relaxed);
    return word != 0 && is_tenant(word) ? std::optional(owner_in(word)) : std::nullopt;
  }

  /// The identity of this process as one number, {1 | generation 31 | owner 32}; 0: it has claimed none. It does not ask
  /// whether another process took this one for dead. Cost  one load.
  [[nodiscard]] std::uint64_t joined() const noexcept {
    return private_->joined.load(std::memory_order_relaxed);
  }
  /// Whether the process of an identity, as joined() gives it, has left its slot, or was swept. Any number may be asked
  /// about.
  [[nodiscard]] bool is_over(std::uint64_t identity) const noexcept { return view().is_over(identity); }

  /// Whether an owner is this process now, as owner() says. Cost  two loads.
  [[nodiscard]] bool is_self(Owner owner) const noexcept {
    const std::uint64_t word = private_->joined.load(std::memory_order_relaxed);
    return is(word, owner) && is_tenant(word);
  }

  /// Whether an owner is this process, now or before another process took it for dead; never true for a
  /// parent's owner.
  /// Cost  one load, or two.
  [[nodiscard]] bool was_self(Owner owner) const noexcept {
    // sync(lost): acquire; pairs with join(): a thread that meets the new identity also meets the lost one.
    return is(private_->joined.load(std::memory_order_acquire), owner) ||
           is(private_->lost.load(std::memory_order_relaxed), owner);
  }

  /// Claims a slot for this process, if it has none.
  /// Errors  Errc::no_space: all slots are published; Errc::permission, system.
  [[nodiscard]] Result<Identity> join(std::uint64_t now);

  /// Whether the tenant of a slot is dead. It asks the kernel; in doubt the answer is no.
  [[nodiscard]] bool is_dead(std::uint32_t slot, SlotIdentity tenant) const noexcept;

  [[nodiscard]] SlotIdentity identity(std::uint32_t slot) const noexcept { return view().identity(slot); }

  /// Announces that this process sweeps, as long as the object lives: see tenancy.hpp.
  class Sweeping {
   public:
    explicit Sweeping(Registry& registry) noexcept;
    Sweeping(const Sweeping&) = delete;
    Sweeping& operator=(const Sweeping&) = delete;
    ~Sweeping();
    /// It is false if the sweep could not be announced: then nothing may be swept.
    [[nodiscard]] explicit operator bool() const noexcept {
      return slot_ != nullptr || file_ != nullptr || need_not_say_;
    }

   private:
    WorkerSlot* slot_ = nullptr;
    KeptFile* file_ = nullptr;   // for a process without a slot
    bool need_not_say_ = false;  // without a file no slot has more tenants than a sweeper can tell apart
  };

  /// As WorkerView::pid_is_free().
  [[nodiscard]] bool pid_is_free(std::uint32_t slot, SlotIdentity tenant,
                                 std::uint64_t own_namespace) const noexcept {
    return view().pid_is_free(slot, tenant, own_namespace);
  }

  /// Frees a slot whose dead tenant holds nothing any more. @return whether this call freed it.
  bool release(std::uint32_t slot, SlotIdentity tenant) noexcept;

  [[nodiscard]] std::span<const WorkerSlot> slots() const noexcept { return slots_; }
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(slots_.size()); }

 private:
  // {joined 1 | generation 31 | owner 32}
  static constexpr std::uint64_t kJoined = std::uint64_t{1} << 63;
  static_assert(SlotIdentity{true, 0, 0}.word() == kJoined, "self() compares the upper halves");
  /// What only this process knows, on a page of its own that the kernel wipes in a forked child.
  struct PrivatePage {
    std::atomic<std::uint64_t> joined;  ///< our identity; 0: none
    std::atomic<std::uint64_t> lost;    ///< the identity before it, if another process took us for dead
    std::atomic<std::uintptr_t> lock;   ///< the lock that shows that we are alive, as SlotLock::word()
  };

  /// Whether an identity of ours is still the tenant of its slot.
  [[nodiscard]] bool is_tenant(std::uint64_t word) const noexcept {
    // sync(slot): acquire; pairs with claim(). Both words begin with {1 | generation 31}.
    const std::uint64_t tenant = slots_[owner_in(word).slot()].identity.load(std::memory_order_acquire);
    return (tenant ^ word) >> 32 == 0;
  }
  [[nodiscard]] static bool is(std::uint64_t word, Owner owner) noexcept {
    return word != 0 && owner_in(word) == owner;
  }
  [[nodiscard]] static std::uint64_t pack(Identity mine) noexcept {
    return kJoined | std::uint64_t{mine.generation} << 32 | mine.owner().bits();
  }
  [[nodiscard]] static Identity unpack(std::uint64_t word) noexcept {
    return {owner_in(word).slot(), static_cast<std::uint32_t>(word >> 32) & 0x7fff'ffffU};
  }
  [[nodiscard]] static Owner owner_in(std::uint64_t word) noexcept {
    return Owner::from_own_bits(static_cast<std::uint32_t>(word));
  }

  [[nodiscard]] std::optional<Identity> claim(std::uint32_t slot, SlotLock lock, std::uint64_t now);
  /// claim() for a segment that has no file to lock.
  [[nodiscard]] std::optional<Identity> claim_unlocked(std::uint32_t slot, std::uint64_t now);
  [[nodiscard]] Result<Identity> claim_any(SlotLock lock, std::uint64_t now);
  /// Gives up a slot that this process has claimed.
  void leave(std::uint32_t slot, SlotLock lock) noexcept;
  [[nodiscard]] WorkerView view() const noexcept { return {slots_, segment_}; }
  /// Whether a claimant may publish this generation of a slot whose byte it has locked.
  [[nodiscard]] bool may_publish(std::uint32_t slot, std::uint32_t generation, SlotLock lock) const noexcept;
  [[nodiscard]] std::uint32_t find_sweeper() const noexcept;

  std::span<WorkerSlot> slots_;
  const Segment& segment_;
  [[nodiscard]] static PrivatePage* map_private_page() noexcept;
  static PrivatePage never_joined_;

  PrivatePage* private_;
};

}  // namespace weir::detail
