// SPDX-License-Identifier: Apache-2.0
#pragma once

// The journal of a segment: a ring of the last 4,096 events, in one order for all processes of the host. The protocol
// of its words: primitives/journal.hpp. The processes that write to it: events.hpp.
//
//   word 0       kind 8 | block 16 | breaker was 8 | breaker is 8 | 0
//   word 1       when it was written, by the wall clock, in ns
//   word 2       {uid 32 | pid 32} of its writer
//   words 3, 4   two numbers, by the kind
//   words 5, 6   the name of its writer's program, 16 bytes
//   words 7..13  what it is about, 56 bytes: an operation, a key, a program. Never the name of a user

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "weir/inspect.hpp"

#include "base/word.hpp"
#include "primitives/breaker_phase.hpp"
#include "primitives/journal.hpp"
#include "workers/process.hpp"

namespace weir::detail {

inline constexpr std::size_t kJournalRecords = 4'096;
inline constexpr std::size_t kJournalWords = 14;
using JournalRecord = BasicJournalRecord<kJournalWords>;
using JournalWords = JournalRecord::Words;
using JournalView = BasicJournalView<kJournalWords>;
static_assert(sizeof(JournalRecord) == 2 * kCacheLine);

/// Kinds of events that are written at most once a minute have a word each that says when the next one is due.
inline constexpr std::size_t kSparseKinds = 8;

struct JournalSection {
  alignas(kCacheLine) Word tickets;
  alignas(kCacheLine) std::array<Word, kSparseKinds> due;  ///< ticks
  alignas(2 * kCacheLine) std::array<JournalRecord, kJournalRecords> records;
};

/// The content of a record.
struct EventRecord {
  EventKind kind = EventKind::lost;
  std::uint32_t block = 0;
  BreakerKind was = BreakerKind::closed;  ///< of a transition
  BreakerKind is = BreakerKind::closed;
  std::uint64_t wall_ns = 0;
  ProcessMark by;
  std::uint64_t value = 0;
  std::uint64_t of = 0;
  std::array<char, 56> subject{};  ///< zero-terminated if it is shorter

  [[nodiscard]] JournalWords words() const noexcept {
    JournalWords words{};
    words[0] = static_cast<std::uint64_t>(kind) | std::uint64_t{block & 0xffff} << 8 |
               static_cast<std::uint64_t>(was) << 24 | static_cast<std::uint64_t>(is) << 32;
    words[1] = wall_ns;
    words[2] = std::uint64_t{by.uid} << 32 | by.pid;
    words[3] = value;
    words[4] = of;
    std::memcpy(&words[5], by.program.data(), sizeof(by.program));
    std::memcpy(&words[7], subject.data(), sizeof(subject));
    return words;
  }

  /// Whatever the words are, the result is harmless: kinds may be unknown ones, and texts any bytes.
  [[nodiscard]] static EventRecord from(const JournalWords& words) noexcept {
    EventRecord record;
    record.kind = static_cast<EventKind>(words[0] & 0xff);
    record.block = static_cast<std::uint32_t>(words[0] >> 8 & 0xffff);
    record.was = static_cast<BreakerKind>(words[0] >> 24 & 0xff);
    record.is = static_cast<BreakerKind>(words[0] >> 32 & 0xff);
    record.wall_ns = words[1];
    record.by.uid = static_cast<std::uint32_t>(words[2] >> 32);
    record.by.pid = static_cast<std::uint32_t>(words[2]);
    record.value = words[3];
    record.of = words[4];
    std::memcpy(record.by.program.data(), &words[5], sizeof(record.by.program));
    std::memcpy(record.subject.data(), &words[7], sizeof(record.subject));
    return record;
  }
};

}  // namespace weir::detail
