#include "workers/registry.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <new>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "primitives/owner_set.hpp"
#include "workers/inherited.hpp"
#include "workers/process.hpp"
#include "workers/tenancy.hpp"

namespace weir::detail {
namespace {

constexpr off_t kLockBase = off_t{1} << 62;  // beyond any file, so that nobody's ordinary lock meets ours
constexpr std::uint32_t kSweepersByte = kMaxWorkers;  // held, shared, by sweepers that have no slot
constexpr std::size_t kPage = 4096;

struct flock byte_of(std::uint32_t slot, short type) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = kLockBase + static_cast<off_t>(slot);
  lock.l_len = 1;
  return lock;
}

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

// Maps a page of a description, without access and not for children. @return nullptr if that cannot be had.
void* map_lasting(int description) noexcept {
  void* const page = ::mmap(nullptr, kPage, PROT_NONE, MAP_SHARED, description, 0);
  if (page == MAP_FAILED) return nullptr;
  if (::madvise(page, kPage, MADV_DONTFORK) == 0) return page;
  ::munmap(page, kPage);
  return nullptr;
}

void unmap(void* page) noexcept {
  if (page != nullptr) ::munmap(page, kPage);
}

}  // namespace

// Where the kernel cannot wipe a page (before 4.14), nobody joins: a child that took itself for its parent
// would give back its parent's permits.
Registry::PrivatePage Registry::never_joined_{};

Registry::PrivatePage* Registry::map_private_page() noexcept {
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return &never_joined_;
  if (::madvise(page, kPage, MADV_WIPEONFORK) == 0) return new (page) PrivatePage{};
  ::munmap(page, kPage);
  return &never_joined_;
}

Registry::Registry(std::span<WorkerSlot> slots, const Segment& segment) noexcept
    : slots_(slots), segment_(segment), private_(map_private_page()) {}

Registry::~Registry() {
  if (const auto mine = self()) release(mine->slot, identity(mine->slot));
  // In a child this is the parent's description, if the fork handler has not closed it: close, never unlock.
  if (const int lock = lock_.load(std::memory_order_relaxed); segment_.is_open_on(lock)) {
    keep_in_children(lock);
    ::close(lock);
  }
  unmap(private_->lasting.load(std::memory_order_relaxed));
  if (private_ != &never_joined_) ::munmap(private_, kPage);
}

Expected<Identity> Registry::join(std::uint64_t now) {
  if (const auto mine = self()) return *mine;
  if (private_ == &never_joined_) {
    return fail(Errc::system, "this kernel has no MADV_WIPEONFORK", "run Linux 4.14 or newer");
  }
  auto description = segment_.reopen(OpenMode::read_write);
  if (!description) return tl::make_unexpected(description.error());
  struct stat info {};
  ::fstat(description->get(), &info);
  close_in_children(description->get(), info.st_dev, info.st_ino);
  void* const lasting = map_lasting(description->get());
  auto claimed = claim_any({description->get(), lasting != nullptr}, now);
  std::uint64_t before = private_->joined.load(std::memory_order_relaxed);
  if (claimed) {
    const std::uint64_t mine = kJoined | std::uint64_t{claimed->generation} << 32 | claimed->slot;
    const bool stale = before != 0 && !self();  // an identity that somebody took for dead
    if (before == 0 || stale) {
      private_->lost.store(before, std::memory_order_relaxed);
      // sync(lost): release; pairs with was_self().
      if (private_->joined.compare_exchange_strong(before, mine, std::memory_order_acq_rel)) {
        // What the number stood for before is the parent's, or a lock of the identity that was lost.
        const int old = lock_.exchange(description->get(), std::memory_order_relaxed);
        if (old != description->get() && segment_.is_open_on(old)) {
          keep_in_children(old);
          ::close(old);
        }
        unmap(private_->lasting.exchange(lasting, std::memory_order_relaxed));
        (void)description->release();
        return *claimed;
      }
    }
    release(claimed->slot, identity(claimed->slot));  // another thread of ours was faster
  }
  unmap(lasting);
  keep_in_children(description->get());
  if (const auto mine = self()) return *mine;
  return claimed ? fail(Errc::system, "another thread gave this worker's slot away", "try again") : claimed;
}

Expected<Identity> Registry::claim_any(Lock lock, std::uint64_t now) {
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

std::optional<Identity> Registry::claim(std::uint32_t slot, Lock lock, std::uint64_t now) {
  if (identity(slot).published) return std::nullopt;
  struct flock byte = byte_of(slot, F_WRLCK);
  if (::fcntl(lock.description, F_OFD_SETLK, &byte) != 0)
    return std::nullopt;  // somebody else is claiming it
  const SlotIdentity free = identity(slot);
  const SlotIdentity mine{true, free.generation, static_cast<std::uint32_t>(::getpid())};
  if (!free.published && may_publish(slot, free.generation, lock)) {
    write_details(slots_[slot], lock.lasting,
                  now);  // ours alone: we hold the lock of a slot without a tenant
    std::uint64_t seen = free.word();
    // sync(slot): release; pairs with identity(): a process that sees the tenant sees its details.
    if (slots_[slot].identity.compare_exchange(seen, mine.word(), std::memory_order_acq_rel)) {
      return Identity{slot, mine.generation};
    }
  }
  byte = byte_of(slot, F_UNLCK);
  ::fcntl(lock.description, F_OFD_SETLK, &byte);
  return std::nullopt;
}

std::uint32_t Registry::find_sweeper() const noexcept {
  return tenancy::find_sweeper(
      slots_, [this](std::uint32_t slot, SlotIdentity tenant) { return is_dead(slot, tenant); });
}

bool Registry::may_publish(std::uint32_t slot, std::uint32_t generation, Lock lock) const noexcept {
  // Half of them are kept for the time of a sweeper that is stopped. The moment without one serves all slots.
  if (tenancy::may_publish(slots_[slot], generation, owner_set::kGenerations / 2)) return true;
  std::array<std::uint32_t, kMaxWorkers> generations;
  for (std::uint32_t i = 0; i < size(); ++i) generations[i] = identity(i).generation;
  struct flock byte = byte_of(kSweepersByte, F_WRLCK);
  const bool quiet = ::fcntl(lock.description, F_OFD_GETLK, &byte) == 0 && byte.l_type == F_UNLCK &&
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
  try {
    auto file = registry.segment_.reopen(OpenMode::read_write);
    if (!file) return;
    struct flock byte = byte_of(kSweepersByte, F_RDLCK);
    struct stat info {};
    ::fstat(file->get(), &info);
    close_in_children(file->get(), info.st_dev, info.st_ino);
    if (::fcntl(file->get(), F_OFD_SETLK, &byte) == 0) {
      file_ = std::move(*file);
    } else {
      keep_in_children(file->get());
    }
  } catch (const std::exception&) {  // out of memory
  }
}

Registry::Sweeping::~Sweeping() {
  if (slot_ != nullptr) tenancy::end_sweep(*slot_);
  if (file_) keep_in_children(file_.get());
}

bool Registry::pid_is_free(std::uint32_t slot, SlotIdentity tenant,
                           std::uint64_t own_namespace) const noexcept {
  if (own_namespace == 0 || slots_[slot].pid_namespace.load(std::memory_order_relaxed) != own_namespace)
    return false;
  return ::kill(static_cast<pid_t>(tenant.pid), 0) != 0 && errno == ESRCH;
}

bool Registry::is_unlocked(std::uint32_t slot) const noexcept {
  struct flock byte = byte_of(slot, F_WRLCK);
  const auto ask = [&](int file) {
    // A number that was closed and used again while we asked would speak of another file.
    return segment_.is_open_on(file) && ::fcntl(file, F_OFD_GETLK, &byte) == 0 && segment_.is_open_on(file);
  };
  if (ask(segment_.file().get())) return byte.l_type == F_UNLCK;
  // In a child that has not joined the number may stand for its parent's description, which sees no lock of
  // its own.
  if (self() && ask(lock_.load(std::memory_order_relaxed))) return byte.l_type == F_UNLCK;
  try {  // code that makes a daemon has closed them
    const auto reopened = segment_.reopen(OpenMode::read_only);
    return reopened && ask(reopened->get()) && byte.l_type == F_UNLCK;
  } catch (const std::exception&) {  // out of memory
    return false;
  }
}

bool Registry::is_dead(std::uint32_t slot, SlotIdentity tenant) const noexcept {
  // Our own description sees no lock of ours.
  if (const auto mine = self(); mine && mine->slot == slot && mine->generation == tenant.generation)
    return false;
  if (!is_unlocked(slot)) return false;
  const WorkerSlot& line = slots_[slot];
  const bool lasting = line.lasting.load(std::memory_order_relaxed) == 1;
  const ProcessTrace trace{line.start_time.load(std::memory_order_relaxed),
                           line.stack.load(std::memory_order_relaxed),
                           line.pid_namespace.load(std::memory_order_relaxed)};
  if (identity(slot) != tenant) return false;  // these are the traces of the next tenant
  if (lasting) return true;
  const std::uint64_t own = own_pid_namespace();
  if (own == 0) return false;
  if (trace.pid_namespace != own) return true;  // the lock is all there is to ask
  return has_ended(tenant.pid, trace);
}

bool Registry::release(std::uint32_t slot, SlotIdentity tenant) noexcept {
  std::uint64_t seen = tenant.word();
  const SlotIdentity free{false, (tenant.generation + 1) & 0x7fff'ffffU, 0};
  return slots_[slot].identity.compare_exchange(seen, free.word(), std::memory_order_acq_rel);
}

}  // namespace weir::detail
