// SPDX-License-Identifier: Apache-2.0
#include "policy/events.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/ticks.hpp"
#include "policy/journal.hpp"

namespace weir::detail {
namespace {

std::uint64_t wall_ns() noexcept {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

void write(const Sections& sections, EventRecord& record) noexcept {
  record.wall_ns = wall_ns();
  JournalSection& journal = *sections.journal;
  BasicJournal<kJournalWords>(journal.tickets, journal.records).write(record.words());
}

EventRecord record_of(const Event& event, const ProcessMark& by) noexcept {
  EventRecord record;
  record.kind = event.kind;
  record.block = event.block;
  record.by = by;
  record.value = event.value;
  record.of = event.of;
  std::copy_n(event.subject.data(), std::min(event.subject.size(), record.subject.size()),
              record.subject.begin());
  return record;
}

/// The word of a kind that is written at most once a minute.
Word& due_of(JournalSection& journal, EventKind kind) noexcept {
  constexpr auto kFirst = static_cast<std::size_t>(EventKind::evicting);
  static_assert(static_cast<std::size_t>(EventKind::fault) - kFirst < kSparseKinds);
  return journal.due[(static_cast<std::size_t>(kind) - kFirst) % kSparseKinds];
}

EventKind kind_of_transition(BreakerKind to) noexcept {
  switch (to) {
    case BreakerKind::closed:
      return EventKind::closed;
    case BreakerKind::open:
      return EventKind::opened;
    case BreakerKind::half_open:
      return EventKind::half_open;
    default:
      return EventKind::forced;
  }
}

/// The name of an operation's block, without the memory that read_name() takes.
void copy_name(EventRecord& record, const Block& block) noexcept {
  constexpr std::size_t kWords = sizeof(EventRecord::subject) / sizeof(std::uint64_t);
  static_assert(kWords <= std::tuple_size_v<NameWords>);
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint64_t word = block.name[i].load(std::memory_order_relaxed);
    std::memcpy(record.subject.data() + i * sizeof(word), &word, sizeof(word));
  }
}

}  // namespace

void write_event(const Sections& sections, const Event& event, const ProcessMark& by) noexcept {
  EventRecord record = record_of(event, by);
  write(sections, record);
}

void write_sparse_event(const Sections& sections, const Event& event, std::uint64_t now) noexcept {
  constexpr std::uint64_t kMinute = ticks_from_ns(60'000'000'000);
  if (Interval(due_of(*sections.journal, event.kind)).begins(now, kMinute)) write_event(sections, event);
}

void write_transition(const Sections& sections, std::uint32_t block, const BreakerTransition& transition,
                      std::uint64_t now, const ProcessMark& by) noexcept {
  if (!transition || transition.from == transition.to) return;
  const BreakerRecord& breaker = sections.breaker(block);
  EventRecord record = record_of({.kind = kind_of_transition(transition.to), .block = block}, by);
  record.was = transition.from;
  record.is = transition.to;
  if (record.kind == EventKind::opened) {
    const BreakerCounts counts = breaker.breaker.counted_before(breaker.params.load(), transition, now);
    record.value = std::max(counts.failures, counts.slow);
    record.of = counts.calls;
  }
  copy_name(record, sections.blocks[block % kMaxBlocks]);
  write(sections, record);
}

void write_reset(const Sections& sections, std::string_view subject, const ResetReport& report) noexcept {
  write_event(sections,
              {.kind = EventKind::reset, .value = report.limits, .of = report.users, .subject = subject},
              ask_process_mark());
}

OperationSubject::OperationSubject(const Sections& sections, std::uint32_t block) noexcept {
  constexpr std::string_view kOperations = "operations.";
  static_assert(kOperations.size() + sizeof(NameWords) <= std::tuple_size_v<decltype(text_)>);
  std::copy(kOperations.begin(), kOperations.end(), text_.begin());
  const NameWords& name = sections.blocks[block % kMaxBlocks].name;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const std::uint64_t word = name[i].load(std::memory_order_relaxed);
    std::memcpy(text_.data() + kOperations.size() + i * sizeof(word), &word, sizeof(word));
  }
  size_ = strnlen(text_.data(), text_.size());
}

UserSubject::UserSubject(std::uint64_t tag_hash) noexcept {
  constexpr std::string_view kUsers = "users.#";
  static_assert(kUsers.size() + 12 == std::tuple_size_v<decltype(text_)>);
  std::copy(kUsers.begin(), kUsers.end(), text_.begin());
  for (std::size_t digit = 0; digit < 12; ++digit)
    text_[kUsers.size() + digit] = "0123456789abcdef"[tag_hash >> (44 - 4 * digit) & 0xf];
}

}  // namespace weir::detail
