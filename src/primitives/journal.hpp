// SPDX-License-Identifier: Apache-2.0
#pragma once

// A ring of the last records that the processes of a host wrote, in one order for all of them.
//
//   tickets           how many records were begun: the number of the newest one, from 1
//   record n % size   sequence   number 63 | whole 1; 0: never used
//                     words      the content
//                     checksum   over the number and the words
//
// Writing takes a ticket, which is the number of the record; claims the record, {older, any} -> {n, writing}, by
// one compare-exchange; stores the words and the checksum; and publishes, {n, writing} -> {n, whole}, by another.
//
//   killed or stopped after      what is left, and what a reader says of number n
//     the ticket                 the record of number n - size: lost, unless the writer goes on
//     the claim, between words   a record that is being written: lost, unless the writer goes on
//     the publication            the record: whole
//   overtaken by a lap           a writer that finds a newer record where its own belongs writes nothing: number n
//                                is lost, as it would be by now if it had been written
//   stopped after the claim, and woken after a lap
//                                it stores its words into a newer record, and then cannot publish. The checksum of
//                                that record does not fit any more: it is lost, and never read garbled. The sequence
//                                alone would not show this, since it is that of the newer record all the time.
//
// A reader that finds the sequence {n, whole} copies the words, and believes them if the checksum fits. A second look at
// the sequence would add nothing: a later writer that has changed a word meanwhile has changed what the checksum says.
// While a record is unfinished, its writer may be at work, stopped or dead, so the reader gives it some time. Then it
// reports the number as lost. Numbers up to `tickets - size` are lost because newer records took their place.
//
// Order    sync(record): publishing releases and a look acquires, so a reader that finds a record whole also finds its
//          words. Claiming releases, too, and looking before it acquires, so a writer that finds a newer record also finds
//          its ticket, and does not take it for damage. Words need no order, because the checksum judges them.
// Progress lock-free: an exchange that fails means that another writer has claimed or published. A reader loads each
//          word once, whatever writers do.
// Damage   a sequence that is ahead of `tickets` is damage, so a writer replaces it. After damage to `tickets`, numbers
//          go on from the damaged value, and older records are lost. A record of random bytes does not fit its checksum.
//
// What would be written again and again, such as that a table is full, asks an Interval first: one word, in which one
// process each minute stores when the next record is due. Killed between that and the record: the record is missing,
// and the next one comes a minute later.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/word.hpp"

namespace weir::detail {

template <std::size_t kWords>
struct alignas(kCacheLine) BasicJournalRecord {
  using Words = std::array<std::uint64_t, kWords>;

  Word sequence;
  std::array<Word, kWords> words;
  Word checksum;
};

/// The steps of writing and reading one record.
namespace journal_record {

inline constexpr std::uint64_t kMaxNumber = ~std::uint64_t{0} >> 1;

[[nodiscard]] constexpr std::uint64_t writing(std::uint64_t number) noexcept {
  return number << 1;
}
[[nodiscard]] constexpr std::uint64_t whole(std::uint64_t number) noexcept {
  return number << 1 | 1;
}
[[nodiscard]] constexpr std::uint64_t number_of(std::uint64_t sequence) noexcept {
  return sequence >> 1;
}
/// The number of the newest record.
[[nodiscard]] inline std::uint64_t newest(const Word& tickets) noexcept {
  return tickets.load(std::memory_order_relaxed) & kMaxNumber;
}

/// Each step is a bijection of `sum`, so two contents that differ in one word never have the same checksum.
template <std::size_t kWords>
[[nodiscard]] constexpr std::uint64_t checksum(std::uint64_t number,
                                               const std::array<std::uint64_t, kWords>& words) noexcept {
  constexpr std::uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;
  std::uint64_t sum = (number + 1) * kOdd;
  for (const std::uint64_t word : words) {
    sum = (sum ^ word) * kOdd;
    sum ^= sum >> 29;
  }
  return sum;
}

/// @param tickets  the word of the ring.
/// @return false: a newer record is there.
template <std::size_t kWords>
[[nodiscard]] bool claim(BasicJournalRecord<kWords>& record, std::uint64_t number,
                         const Word& tickets) noexcept {
  std::uint64_t seen = record.sequence.load(std::memory_order_acquire);  // sync(record)
  do {
    // The writer of a newer record took its ticket before it claimed: a number beyond all tickets is damage.
    if (number_of(seen) > number && number_of(seen) <= newest(tickets)) return false;
  } while (!record.sequence.compare_exchange(seen, writing(number), std::memory_order_acq_rel,
                                             std::memory_order_acquire));
  return true;
}

template <std::size_t kWords>
void fill(BasicJournalRecord<kWords>& record, std::uint64_t number,
          const std::array<std::uint64_t, kWords>& words) noexcept {
  // relaxed: the checksum judges them. crash here, or after any of these stores: the record stays unfinished.
  for (std::size_t i = 0; i < kWords; ++i) record.words[i].store(words[i], std::memory_order_relaxed);
  record.checksum.store(checksum(number, words), std::memory_order_relaxed);
}

/// @return false: a later writer has claimed the record meanwhile.
template <std::size_t kWords>
bool publish(BasicJournalRecord<kWords>& record, std::uint64_t number) noexcept {
  std::uint64_t mine = writing(number);
  return record.sequence.compare_exchange(mine, whole(number), std::memory_order_release);  // sync(record)
}

/// Copies the words. @return the checksum that is stored with them.
template <std::size_t kWords>
[[nodiscard]] std::uint64_t copy(const BasicJournalRecord<kWords>& record,
                                 std::array<std::uint64_t, kWords>& words) noexcept {
  for (std::size_t i = 0; i < kWords; ++i) words[i] = record.words[i].load(std::memory_order_relaxed);
  return record.checksum.load(std::memory_order_relaxed);
}

}  // namespace journal_record

/// What a reader finds where a record belongs.
enum class JournalLook : std::uint8_t {
  whole,
  unfinished,  ///< its writer is at work, stopped or dead
  lost,        ///< a newer record took its place, or another writer spoiled it
};

/// A ring for a process that only reads.
template <std::size_t kWords>
class BasicJournalView {
 public:
  using Record = BasicJournalRecord<kWords>;
  using Words = typename Record::Words;

  BasicJournalView(const Word& tickets, std::span<const Record> records) noexcept
      : tickets_(tickets), records_(records) {}

  /// The number of the newest record; 0: there is none yet.
  [[nodiscard]] std::uint64_t newest() const noexcept { return journal_record::newest(tickets_); }
  /// The lowest number that may still be in the ring.
  [[nodiscard]] std::uint64_t oldest() const noexcept {
    const std::uint64_t last = newest();
    return last > records_.size() ? last - records_.size() + 1 : 1;
  }

  /// Looks for one record. `words` are its content if it is whole.
  [[nodiscard]] JournalLook look(std::uint64_t number, Words& words) const noexcept {
    const Record& record = records_[number % records_.size()];
    const std::uint64_t sequence = record.sequence.load(std::memory_order_acquire);  // sync(record)
    if (sequence != journal_record::whole(number)) {
      // A number beyond all tickets is damage, which a writer replaces; one that is older waits for its writer.
      const std::uint64_t there = journal_record::number_of(sequence);
      return there > number && there <= newest() ? JournalLook::lost : JournalLook::unfinished;
    }
    const std::uint64_t stored = journal_record::copy(record, words);
    return journal_record::checksum(number, words) == stored ? JournalLook::whole : JournalLook::lost;
  }

 private:
  const Word& tickets_;
  std::span<const Record> records_;
};

/// A ring for a process that writes.
template <std::size_t kWords>
class BasicJournal {
 public:
  using Record = BasicJournalRecord<kWords>;
  using Words = typename Record::Words;

  BasicJournal(Word& tickets, std::span<Record> records) noexcept : tickets_(tickets), records_(records) {}

  /// @return the number of the record; 0: it was overtaken by a lap, and is lost.
  std::uint64_t write(const Words& words) noexcept {
    // relaxed: the claim releases it.
    const std::uint64_t number =
        (tickets_.fetch_add(1, std::memory_order_relaxed) + 1) & journal_record::kMaxNumber;
    // crash here: the number is lost.
    Record& record = records_[number % records_.size()];
    if (!journal_record::claim(record, number, tickets_)) return 0;
    journal_record::fill(record, number, words);
    // crash here: the record is unfinished, although nothing is missing.
    return journal_record::publish(record, number) ? number : 0;
  }

 private:
  Word& tickets_;
  std::span<Record> records_;
};

/// Lets one process of the host through in each interval.
class Interval {
 public:
  explicit Interval(Word& due) noexcept : due_(due) {}

  /// Whether the caller is the one. Clocks differ a little, but a time that is two
  /// intervals ahead is damage.
  [[nodiscard]] bool begins(std::uint64_t now, std::uint64_t ticks) noexcept {
    std::uint64_t due = due_.load(std::memory_order_relaxed);
    if (now < due && due - now <= 2 * ticks) return false;
    return due_.compare_exchange(due, now + ticks, std::memory_order_relaxed);
  }

 private:
  Word& due_;
};

}  // namespace weir::detail
