// SPDX-License-Identifier: Apache-2.0
#pragma once

// Open files that a forked child must not keep: as long as it keeps them, its parent's lock outlives the
// parent.
//
// A child closes its copies once: in a fork handler, or at its first call if a raw clone made it. The list
// says for each file which process opened it (process_tag) and which description it is (FileMark). So a child
// closes what it inherited and nothing that it opened itself, and a number that was closed and used again
// stays open.
//
// A fork between the opening and the listing of a file would give the child a copy that it never closes; a fork
// between the mapping of a page and its MADV_DONTFORK would give it a mapping. keep_here() notices a fork
// that began in between, and opens the file again.

#include <atomic>
#include <cstdint>
#include <sched.h>

#include "base/descriptor.hpp"

namespace weir::detail {

/// An entry of the list. Entries are reused and never freed, so a child may walk the list at any time.
struct KeptFile {
  std::atomic<std::uint64_t> owner{0};  ///< the tag of the process that opened it; 0: free
  FileMark mark;
  void* page = nullptr;  ///< a page of the file, mapped for this process alone; nullptr: none
  KeptFile* next = nullptr;
};

/// Keeps a file for this process alone, and maps a page of it, without access, if that is possible.
/// @return nullptr if the file could not be opened, or memory ran out.
[[nodiscard]] KeptFile* list_file(FileHandle file) noexcept;

/// Unmaps the page, closes the file if its number is still ours, and takes it off the list.
void close_kept(KeptFile& file) noexcept;

/// Closes the files that this process has inherited.
void close_inherited() noexcept;

/// How many forks of this process have begun and ended.
struct ForkCount {
  std::uint64_t begun;
  std::uint64_t ended;
};
[[nodiscard]] ForkCount fork_count() noexcept;

/// Calls list_file(open()) in such a way that no child keeps a copy.
template <class Open>
[[nodiscard]] KeptFile* keep_here(Open&& open) noexcept {
  constexpr int kAttempts =
      1000;  // a fork takes a moment; a process that never stops forking gets its lock, too
  for (int attempt = 0;; ++attempt) {
    const ForkCount before = fork_count();
    KeptFile* const kept = list_file(open());
    const bool forked = before.begun != before.ended || fork_count().begun != before.begun;
    if (kept == nullptr || !forked || attempt == kAttempts) return kept;
    close_kept(*kept);
    ::sched_yield();
  }
}

}  // namespace weir::detail
