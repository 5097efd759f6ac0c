// SPDX-License-Identifier: Apache-2.0
#pragma once

// What was changed in a running segment, by whom and when: the last changes, in a ring.
//
// A record is filled before the change is made and its sequence is stored last (sync(record)), so a reader
// takes a record for whole or leaves it. Killed between record and change: the record says more than
// happened; the limits themselves are the truth.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/word.hpp"

namespace weir::detail {

inline constexpr std::uint32_t kHistoryRecords = 64;

/// A text in words, zero-terminated where it is shorter.
template <std::size_t kWords>
struct TextWords {
  std::array<Word, kWords> words;

  static constexpr std::size_t kBytes = kWords * sizeof(std::uint64_t);

  /// What is longer is cut.
  void store(std::string_view text) noexcept;
  [[nodiscard]] std::string load() const;
};

struct alignas(kCacheLine) ChangeRecord {
  Word sequence;    ///< of this record, from 1; 0: none, or being written
  Word generation;  ///< changes made together have the same
  Word wall_ns;     ///< when
  Word who;         ///< {uid 32 | pid 32}
  Word undoes;      ///< of a rollback the first generation that it took back, with all up to its own; 0: none
  Word position;    ///< {how many changes were made together 32 | which of them this is 32}
  TextWords<4> program;
  TextWords<32> key;  ///< "operations.x.rate"
  TextWords<64> from;
  TextWords<64> to;
};

}  // namespace weir::detail
