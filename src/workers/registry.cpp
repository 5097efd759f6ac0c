// SPDX-License-Identifier: Apache-2.0
#include "workers/registry.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <new>
#include <unistd.h>

#include "base/wiped_memory.hpp"
#include "primitives/owner_set.hpp"
#include "workers/inherited.hpp"
#include "workers/process.hpp"
#include "workers/tenancy.hpp"

namespace weir::detail {
namespace {

constexpr std::uint32_t kSweepersByte = kMaxWorkers;  // sweepers that have no slot hold a shared lock on it

void write_details(WorkerSlot& slot, bool lasting, std::uint64_t now) {
  const ProcessTrace trace = own_trace();
  std::array<std::uint64_t, 3> words{};
  const std::string name = own_name();
  std::memcpy(words.data(), name.data(), std::min(name.size(), sizeof(words)));
  slot.start_time.store(trace.start_time, std::memory_order_relaxed);
  slot.stack.store(trace.stack, std::memory_order_relaxed);
  slot.pid_namespace.store(trace.pid_namespace, std::memory_order_relaxed);
  slot.sweeping.store(0, std::memory_order_relaxed);  // a tenant may have been killed in a sweep
  slot.lasting.store(lasting ? 1 : 0, std::memory_order_relaxed);
  slot.attached_at.store(now, std::memory_order_relaxed);
  for (std::size_t i = 0; i < words.size(); ++i) slot.name[i].store(words[i], std::memory_order_relaxed);
}

}  // namespace

// Where the kernel cannot wipe a page (before 4.14), no process joins: a child that mistook itself for its
// parent would give back its parent's permits.
Registry::PrivatePage Registry::never_joined_{};

Registry::PrivatePage* Registry::map_private_page() noexcept {
  void* const memory = map_wiped(sizeof(PrivatePage));
  return memory != nullptr ? new (memory) PrivatePage{} : &never_joined_;
}

Registry::Registry(std::span<WorkerSlot> slots, const Segment& segment) noexcept
    : slots_(slots), segment_(segment), private_(map_private_page()) {}

Registry::~Registry() {
  close_inherited();
  const SlotLock lock = SlotLock::from_word(private_->lock.load(std::memory_order_relaxed));
  if (const auto mine = self()) leave(mine->slot, lock);
  lock.close();
  if (private_ != &never_joined_) unmap_wiped(private_, sizeof(PrivatePage));
}

Result<Identity> Registry::join(std::uint64_t now) {
  if (const auto mine = self()) return *mine;
  if (private_ == &never_joined_) {
    return fail(Errc::system, "this kernel has no MADV_WIPEONFORK", "run Linux 4.14 or newer");
  }
  close_inherited();  // if a raw clone made this child, no fork handler has closed them
  auto lock = SlotLock::open(segment_);
  if (!lock) return lock.error();
  auto claimed = claim_any(*lock, now);
  std::uint64_t before = private_->joined.load(std::memory_order_relaxed);
  if (claimed) {
    const std::uint64_t mine = pack(*claimed);
    const bool stale = before != 0 && !self();  // another process took us for dead
    if (before == 0 || stale) {
      private_->lost.store(before, std::memory_order_relaxed);
      // sync(lost): release; pairs with was_self().
      if (private_->joined.compare_exchange_strong(before, mine, std::memory_order_acq_rel)) {
        // The previous lock belongs to the identity that was lost.
        SlotLock::from_word(private_->lock.exchange(lock->word(), std::memory_order_relaxed)).close();
        return *claimed;
      }
    }
    leave(claimed->slot, *lock);  // another thread of this process was faster
  }
  lock->close();
  if (const auto mine = self()) return *mine;
  return claimed ? fail(Errc::system, "another thread gave this worker's slot away", "try again") : claimed;
}

Result<Identity> Registry::claim_any(SlotLock lock, std::uint64_t now) {
  for (std::uint32_t slot = 0; slot < size(); ++slot) {
    if (const auto mine = claim(slot, lock, now)) return *mine;
  }
  const std::uint32_t sweeper = find_sweeper();
  const bool all_published = std::all_of(slots_.begin(), slots_.end(), [](const WorkerSlot& slot) {
    return SlotIdentity::from_word(slot.identity.load(std::memory_order_relaxed)).published;
  });
  if (!all_published && sweeper < size()) {
    return fail(Errc::no_space,
                fmt::format("segment \"{}\": no worker slot may be used again before pid {} ends its sweep",
                            segment_.name(), identity(sweeper).pid),
                "if that process is stopped, let it go on, or end it");
  }
  return fail(Errc::no_space,
              fmt::format("segment \"{}\": all {} worker slots are taken", segment_.name(), size()),
              "raise segment.workers");
}

std::optional<Identity> Registry::claim(std::uint32_t slot, SlotLock lock, std::uint64_t now) {
  if (identity(slot).published) return std::nullopt;
  if (!segment_.has_file()) return claim_unlocked(slot, now);
  if (!lock.take(segment_, slot)) return std::nullopt;  // another process is claiming it
  const SlotIdentity free = identity(slot);
  const SlotIdentity mine{true, free.generation, static_cast<std::uint32_t>(::getpid())};
  if (!free.published && may_publish(slot, free.generation, lock)) {
    write_details(slots_[slot], lock.lasts(),
                  now);  // no other process writes here: we hold the lock of a slot without a tenant
    std::uint64_t seen = free.word();
    // sync(slot): release; pairs with identity(): a process that sees the tenant sees its details.
    if (slots_[slot].identity.compare_exchange(seen, mine.word(), std::memory_order_acq_rel)) {
      return Identity{slot, mine.generation};
    }
  }
  lock.drop(segment_, slot);
  return std::nullopt;
}

std::optional<Identity> Registry::claim_unlocked(std::uint32_t slot, std::uint64_t now) {
  const SlotIdentity free = identity(slot);
  if (free.published || !tenancy::may_publish(slots_[slot], free.generation)) return std::nullopt;
  const SlotIdentity mine{true, free.generation, static_cast<std::uint32_t>(::getpid())};
  std::uint64_t seen = free.word();
  if (!slots_[slot].identity.compare_exchange(seen, mine.word(), std::memory_order_acq_rel))
    return std::nullopt;
  // crash here: the tenant is published without a PID namespace, so it is not known to be dead, and the slot
  // stays taken.
  write_details(slots_[slot], false, now);
  return Identity{slot, mine.generation};
}

void Registry::leave(std::uint32_t slot, SlotLock lock) noexcept {
  lock.leave(segment_, slot);
  release(slot, identity(slot));
}

std::uint32_t Registry::find_sweeper() const noexcept {
  return tenancy::find_sweeper(
      slots_, [this](std::uint32_t slot, SlotIdentity tenant) { return is_dead(slot, tenant); });
}

bool Registry::may_publish(std::uint32_t slot, std::uint32_t generation, SlotLock lock) const noexcept {
  // Half of the generations are kept for the time when a sweeper is stopped. A moment without a sweeper
  // serves all slots.
  if (tenancy::may_publish(slots_[slot], generation, owner_set::kGenerations / 2)) return true;
  std::array<std::uint32_t, kMaxWorkers> generations;
  for (std::uint32_t i = 0; i < size(); ++i) generations[i] = identity(i).generation;
  struct flock byte = byte_of(kSweepersByte, F_WRLCK);
  const bool quiet = ::fcntl(lock.fd(segment_), F_OFD_GETLK, &byte) == 0 && byte.l_type == F_UNLCK &&
                     find_sweeper() == size();
  if (!quiet) return tenancy::may_publish(slots_[slot], generation);
  for (std::uint32_t i = 0; i < size(); ++i) tenancy::set_quiet(slots_[i], generations[i]);
  return true;
}

Registry::Sweeping::Sweeping(Registry& registry) noexcept {
  if (const auto mine = registry.self()) {
    slot_ = &registry.slots_[mine->slot];
    tenancy::begin_sweep(*slot_);
    return;
  }
  if (!registry.segment_.has_file()) {
    need_not_say_ = true;
    return;
  }
  KeptFile* const file = keep_here([&]() -> FileHandle {
    try {
      auto reopened = registry.segment_.reopen(OpenMode::read_write);
      return reopened ? std::move(*reopened) : FileHandle();
    } catch (const std::exception&) {  // out of memory
      return {};
    }
  });
  if (file == nullptr) return;
  struct flock byte = byte_of(kSweepersByte, F_RDLCK);
  if (::fcntl(file->mark.fd(), F_OFD_SETLK, &byte) == 0) {
    file_ = file;
  } else {
    close_kept(*file);
  }
}

Registry::Sweeping::~Sweeping() {
  if (slot_ != nullptr) tenancy::end_sweep(*slot_);
  if (file_ != nullptr) close_kept(*file_);
}

bool WorkerView::pid_is_free(std::uint32_t slot, SlotIdentity tenant,
                             std::uint64_t own_namespace) const noexcept {
  if (own_namespace == 0 || slots_[slot].pid_namespace.load(std::memory_order_relaxed) != own_namespace)
    return false;
  return ::kill(static_cast<pid_t>(tenant.pid), 0) != 0 && errno == ESRCH;
}

// Asks for the pid first: nearly every worker is alive, and then nothing else is asked.
bool WorkerView::has_no_process(std::uint32_t slot, SlotIdentity tenant) const noexcept {
  if (::kill(static_cast<pid_t>(tenant.pid), 0) == 0 || errno != ESRCH) return false;
  return pid_is_free(slot, tenant, own_pid_namespace()) && identity(slot) == tenant;
}

bool WorkerView::is_unlocked(std::uint32_t slot, const FileMark* another) const noexcept {
  struct flock byte = byte_of(slot, F_WRLCK);
  const auto ask = [&](const FileMark& file) {
    // If the number was closed and used again while we asked, the answer is about another file.
    return file.is_there() && ::fcntl(file.fd(), F_OFD_GETLK, &byte) == 0 && file.is_there();
  };
  if (ask(segment_->file().mark())) return byte.l_type == F_UNLCK;
  if (another != nullptr && ask(*another)) return byte.l_type == F_UNLCK;
  try {  // code that makes a daemon has closed them
    const auto reopened = segment_->reopen(OpenMode::read_only);
    return reopened && ::fcntl(reopened->get(), F_OFD_GETLK, &byte) == 0 && byte.l_type == F_UNLCK;
  } catch (const std::exception&) {  // out of memory
    return false;
  }
}

bool Registry::is_dead(std::uint32_t slot, SlotIdentity tenant) const noexcept {
  // Our own description does not see its own locks.
  if (const auto mine = self(); mine && mine->slot == slot && mine->generation == tenant.generation)
    return false;
  const SlotLock own = SlotLock::from_word(private_->lock.load(std::memory_order_relaxed));
  return view().is_dead(slot, tenant, own.file());
}

bool WorkerView::is_dead(std::uint32_t slot, SlotIdentity tenant, const FileMark* another) const noexcept {
  const bool unlocked = segment_->has_file() && is_unlocked(slot, another);
  // Our own pid may be that of the program that was here before us, and left us its descriptions.
  const bool perhaps_we_were = segment_->has_file() && tenant.pid == static_cast<std::uint32_t>(::getpid());
  if (!unlocked && !perhaps_we_were) return has_no_process(slot, tenant);
  const WorkerSlot& line = slots_[slot];
  const bool lasting = line.lasting.load(std::memory_order_relaxed) == 1;
  const ProcessTrace trace{line.start_time.load(std::memory_order_relaxed),
                           line.stack.load(std::memory_order_relaxed),
                           line.pid_namespace.load(std::memory_order_relaxed)};
  if (identity(slot) != tenant) return false;  // the trace belongs to the next tenant
  if (unlocked && lasting) return true;
  const std::uint64_t own = own_pid_namespace();
  if (own == 0) return false;
  if (trace.pid_namespace != own) return unlocked;  // the lock is the only evidence
  return has_ended(tenant.pid, trace);
}

bool Registry::release(std::uint32_t slot, SlotIdentity tenant) noexcept {
  // Without locks a tenant's PID namespace is written after the tenant is published, so that of the previous
  // tenant must not be taken for it. If this store comes late it clears the next tenant's, which then counts
  // as alive.
  if (!segment_.has_file()) slots_[slot].pid_namespace.store(0, std::memory_order_relaxed);
  std::uint64_t seen = tenant.word();
  const SlotIdentity free{false, (tenant.generation + 1) & 0x7fff'ffffU, 0};
  return slots_[slot].identity.compare_exchange(seen, free.word(), std::memory_order_acq_rel);
}

}  // namespace weir::detail
