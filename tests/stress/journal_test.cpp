// SPDX-License-Identifier: Apache-2.0

// Writers of a journal that are stopped and killed in the middle, in a ring that is lapped all the time.

#include "primitives/journal.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <gtest/gtest.h>
#include <iostream>
#include <memory>
#include <random>

#include "support/child.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using detail::BasicJournal;
using detail::BasicJournalRecord;
using detail::BasicJournalView;
using detail::JournalLook;
using detail::Word;

constexpr std::size_t kWords = 14;
constexpr std::size_t kRecords = 16;
using Words = std::array<std::uint64_t, kWords>;

struct Ring {
  Word tickets;
  std::array<BasicJournalRecord<kWords>, kRecords> records;
};

TEST(JournalStress, NoRecordIsGarbledWhileWritersAreStoppedAndKilled) {
  const SharedObject<Ring> ring;
  std::uint64_t next_writer = 0;
  const auto start_writer = [&] {
    const std::uint64_t first = ++next_writer << 32;
    return std::make_unique<Child>([&ring, first] {
      BasicJournal<kWords> journal(ring->tickets, ring->records);
      for (std::uint64_t value = first;; ++value) {
        Words words;
        words.fill(value);
        journal.write(words);
      }
    });
  };
  std::array<std::unique_ptr<Child>, 3> writers;
  for (auto& writer : writers) writer = start_writer();

  const BasicJournalView<kWords> view(ring->tickets, ring->records);
  std::uint64_t whole = 0;
  std::uint64_t lost = 0;
  std::uint64_t unfinished = 0;
  const auto read_all = [&] {
    for (std::uint64_t number = view.oldest(); number <= view.newest(); ++number) {
      Words words{};
      switch (view.look(number, words)) {
        case JournalLook::whole:
          ++whole;
          for (const std::uint64_t word : words) ASSERT_EQ(word, words[0]) << "record " << number;
          break;
        case JournalLook::lost:
          ++lost;
          break;
        case JournalLook::unfinished:
          ++unfinished;
          break;
      }
      // The writers may be far faster than this reader.
      number = std::max(number, view.oldest() - 1);
    }
  };

  std::mt19937_64 random(1);
  std::uint64_t stops = 0;
  const auto until = std::chrono::steady_clock::now() + 2s;
  while (std::chrono::steady_clock::now() < until) {
    auto& writer = writers[random() % writers.size()];
    if (random() % 16 == 0) {
      writer->kill();
      writer = start_writer();
    } else {
      writer->signal(SIGSTOP);
      ++stops;
      for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(read_all());
      writer->signal(SIGCONT);
    }
    ASSERT_NO_FATAL_FAILURE(read_all());
  }
  for (auto& writer : writers) writer->kill();
  ASSERT_NO_FATAL_FAILURE(read_all());
  EXPECT_GT(whole, 0U);
  std::cout << "[journal] " << view.newest() << " records, " << stops << " stops, "
            << next_writer - writers.size() << " kills; looks: " << whole << " whole, " << lost << " lost, "
            << unfinished << " unfinished\n";
}

}  // namespace
}  // namespace weir::test
