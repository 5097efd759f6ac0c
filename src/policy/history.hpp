// SPDX-License-Identifier: Apache-2.0
#pragma once

// The history of a running segment: a ring of its last changes, each with the process that made it and the time.
//
// A record is filled before its change is made, and its sequence is stored last (sync(record)), so a reader sees a
// whole record or none. If the writer is killed between record and change, the record tells of a change that did not
// happen; only the limits themselves say what is in force.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/word.hpp"

namespace weir::detail {

inline constexpr std::uint32_t kHistoryRecords = 64;

/// A text kept in shared words. A zero ends it if it is shorter than they are.
template <std::size_t kWords>
struct TextWords {
  std::array<Word, kWords> words;

  static constexpr std::size_t kBytes = kWords * sizeof(std::uint64_t);

  /// Cuts a text that is longer than the words.
  void store(std::string_view text) noexcept;
  [[nodiscard]] std::string load() const;
};

struct alignas(kCacheLine) ChangeRecord {
  Word sequence;    ///< the number of this record, from 1; 0: empty, or being written
  Word generation;  ///< the same number in all changes that were made together
  Word wall_ns;     ///< when the change was made
  Word who;         ///< {uid 32 | pid 32} of the process that made it
  Word undoes;    ///< the first generation that this rollback took back, with all after it; 0: another change
  Word position;  ///< {how many changes were made together 32 | which of them this is 32}
  TextWords<4> program;
  TextWords<32> key;  ///< "operations.x.rate"
  TextWords<64> from;
  TextWords<64> to;
};

}  // namespace weir::detail
