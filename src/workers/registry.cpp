#include "workers/registry.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <new>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workers/inherited.hpp"
#include "workers/process.hpp"

namespace weir::detail {
namespace {

constexpr off_t kLockBase = off_t{1} << 62;  // beyond any file, so that nobody's ordinary lock meets ours
constexpr std::size_t kPage = 4096;

struct flock byte_of(std::uint32_t slot, short type) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = kLockBase + static_cast<off_t>(slot);
  lock.l_len = 1;
  return lock;
}

void write_details(WorkerSlot& slot, std::uint64_t now) {
  const ProcessTrace trace = trace_of(static_cast<std::uint32_t>(::getpid())).value_or(ProcessTrace{});
  std::array<std::uint64_t, 3> words{};
  const std::string name = own_name();
  std::memcpy(words.data(), name.data(), std::min(name.size(), sizeof(words)));
  slot.start_time.store(trace.start_time, std::memory_order_relaxed);
  slot.stack.store(trace.stack, std::memory_order_relaxed);
  slot.pid_namespace.store(own_pid_namespace(), std::memory_order_relaxed);
  slot.attached_at.store(now, std::memory_order_relaxed);
  for (std::size_t i = 0; i < words.size(); ++i) slot.name[i].store(words[i], std::memory_order_relaxed);
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
  auto claimed = claim_any(description->get(), now);
  std::uint64_t before = private_->joined.load(std::memory_order_relaxed);
  if (claimed) {
    const std::uint64_t mine = kJoined | std::uint64_t{claimed->generation} << 32 | claimed->slot;
    const bool stale = before != 0 && !self();  // an identity that somebody took for dead
    if (before == 0 || stale) {
      private_->lost.store(before, std::memory_order_relaxed);
      if (private_->joined.compare_exchange_strong(before, mine, std::memory_order_acq_rel)) {
        // What the number stood for before is the parent's, or a lock of the identity that was lost.
        const int old = lock_.exchange(description->get(), std::memory_order_relaxed);
        if (old != description->get() && segment_.is_open_on(old)) {
          keep_in_children(old);
          ::close(old);
        }
        (void)description->release();
        return *claimed;
      }
    }
    release(claimed->slot, identity(claimed->slot));  // another thread of ours was faster
  }
  keep_in_children(description->get());
  if (const auto mine = self()) return *mine;
  return claimed ? fail(Errc::system, "another thread gave this worker's slot away", "try again") : claimed;
}

Expected<Identity> Registry::claim_any(int lock, std::uint64_t now) {
  for (std::uint32_t slot = 0; slot < size(); ++slot) {
    if (const auto mine = claim(slot, lock, now)) return *mine;
  }
  return fail(Errc::no_space,
              fmt::format("segment \"{}\": all {} worker slots are taken", segment_.name(), size()),
              "raise segment.workers");
}

std::optional<Identity> Registry::claim(std::uint32_t slot, int lock, std::uint64_t now) {
  if (identity(slot).published) return std::nullopt;
  struct flock byte = byte_of(slot, F_WRLCK);
  if (::fcntl(lock, F_OFD_SETLK, &byte) != 0) return std::nullopt;  // somebody else is claiming it
  const SlotIdentity free = identity(slot);
  const SlotIdentity mine{true, free.generation, static_cast<std::uint32_t>(::getpid())};
  if (!free.published) {
    write_details(slots_[slot], now);  // ours alone: we hold the lock of a slot without a tenant
    std::uint64_t seen = free.word();
    // sync(slot): release; pairs with identity(), so whoever sees the tenant sees its details.
    if (slots_[slot].identity.compare_exchange(seen, mine.word(), std::memory_order_acq_rel)) {
      return Identity{slot, mine.generation};
    }
  }
  byte = byte_of(slot, F_UNLCK);
  ::fcntl(lock, F_OFD_SETLK, &byte);
  return std::nullopt;
}

bool Registry::is_dead(std::uint32_t slot, SlotIdentity tenant) const noexcept {
  const int file = segment_.file().get();
  if (!segment_.is_open_on(file)) return false;  // somebody closed it: we cannot ask, so nobody is dead
  struct flock byte = byte_of(slot, F_WRLCK);
  if (::fcntl(file, F_OFD_GETLK, &byte) != 0 || byte.l_type != F_UNLCK) return false;
  const std::uint64_t pid_namespace = slots_[slot].pid_namespace.load(std::memory_order_relaxed);
  if (pid_namespace == 0 || pid_namespace != own_pid_namespace())
    return true;  // the lock is all there is to ask
  const auto now_there = trace_of(tenant.pid);
  if (!now_there || now_there->start_time != slots_[slot].start_time.load(std::memory_order_relaxed))
    return true;
  const std::uint64_t stack = slots_[slot].stack.load(std::memory_order_relaxed);
  const bool same_program = stack == 0 || now_there->stack == 0 || stack == now_there->stack;
  return !same_program;
}

bool Registry::release(std::uint32_t slot, SlotIdentity tenant) noexcept {
  std::uint64_t seen = tenant.word();
  const SlotIdentity free{false, (tenant.generation + 1) & 0x7fff'ffffU, 0};
  return slots_[slot].identity.compare_exchange(seen, free.word(), std::memory_order_acq_rel);
}

}  // namespace weir::detail
