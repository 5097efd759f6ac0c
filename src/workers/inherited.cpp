// SPDX-License-Identifier: Apache-2.0
#include "workers/inherited.hpp"

#include <cerrno>
#include <cstddef>
#include <new>
#include <pthread.h>
#include <sys/mman.h>

#include "base/process_tag.hpp"

namespace weir::detail {
namespace {

constexpr std::uint64_t kBeingWritten = 2;  // tags are odd

constinit std::atomic<KeptFile*> g_files{nullptr};
constinit std::atomic<std::uint64_t> g_forks_begun{0};
constinit std::atomic<std::uint64_t> g_forks_ended{0};

void before_fork() noexcept {
  g_forks_begun.fetch_add(1, std::memory_order_seq_cst);
}

void after_fork_in_parent() noexcept {
  g_forks_ended.fetch_add(1, std::memory_order_seq_cst);
}

void after_fork_in_child() noexcept {
  g_forks_ended.store(g_forks_begun.load(std::memory_order_relaxed), std::memory_order_relaxed);
  close_inherited();
}

// The handlers are installed when the library is loaded: a fork while the first file is being listed must not
// find this half done.
[[maybe_unused]] const int g_installed =
    ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);

constexpr std::size_t kPage = 4096;

// Maps a page of a description, without access and not for children. @return nullptr if that is not possible.
void* map_page(int fd) noexcept {
  void* const page = ::mmap(nullptr, kPage, PROT_NONE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) return nullptr;
  if (::madvise(page, kPage, MADV_DONTFORK) == 0) return page;
  ::munmap(page, kPage);
  return nullptr;
}

KeptFile* claim_free_entry() noexcept {
  for (KeptFile* file = g_files.load(std::memory_order_acquire); file != nullptr; file = file->next) {
    std::uint64_t free = 0;
    if (file->owner.compare_exchange_strong(free, kBeingWritten, std::memory_order_acquire)) return file;
  }
  auto* const fresh = new (std::nothrow) KeptFile;
  if (fresh == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  fresh->owner.store(kBeingWritten, std::memory_order_relaxed);
  fresh->next = g_files.load(std::memory_order_relaxed);
  while (!g_files.compare_exchange_weak(fresh->next, fresh, std::memory_order_release)) {
  }
  return fresh;
}

}  // namespace

ForkCount fork_count() noexcept {
  const std::uint64_t ended = g_forks_ended.load(std::memory_order_seq_cst);
  return {g_forks_begun.load(std::memory_order_seq_cst), ended};
}

KeptFile* list_file(FileHandle file) noexcept {
  if (!file) return nullptr;
  KeptFile* const kept = claim_free_entry();
  if (kept == nullptr) return nullptr;
  kept->page = map_page(file.get());
  kept->mark = FileMark::put_on(file.release());
  kept->owner.store(process_tag(), std::memory_order_release);
  return kept;
}

void close_kept(KeptFile& file) noexcept {
  std::uint64_t owner = file.owner.load(std::memory_order_relaxed);
  if (owner != process_tag()) return;  // a child has closed its copy already
  // If a fork comes from here on, the child finds the number closed, or closes its copy.
  file.mark.close();
  if (file.page != nullptr) ::munmap(file.page, kPage);
  file.owner.store(0, std::memory_order_release);
}

void close_inherited() noexcept {
  if (g_files.load(std::memory_order_acquire) == nullptr) return;  // true in most children of most programs
  const std::uint64_t mine = process_tag();
  for (KeptFile* file = g_files.load(std::memory_order_acquire); file != nullptr; file = file->next) {
    std::uint64_t owner = file->owner.load(std::memory_order_acquire);
    if (owner == 0 || owner == kBeingWritten || owner == mine) continue;
    // One of several threads closes the file: no other thread gets this entry before it is free.
    if (!file->owner.compare_exchange_strong(owner, kBeingWritten, std::memory_order_acquire)) continue;
    file->mark.close();
    file->owner.store(0, std::memory_order_release);
  }
}

}  // namespace weir::detail
