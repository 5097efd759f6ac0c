// SPDX-License-Identifier: Apache-2.0

// Everything that looks at a segment, on one that has a damaged word: it ends, stays within the segment, and either shows
// what it finds or says what is wrong.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <optional>
#include <span>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"
#include "weir/report.hpp"
#include "weir/ticket.hpp"

#include "support/segment_name.hpp"

namespace weir {
namespace {

/// The words of a file, as another process that shares it could write them.
class Words {
 public:
  explicit Words(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat info {};
    EXPECT_EQ(::fstat(fd, &info), 0);
    const auto bytes = static_cast<std::size_t>(info.st_size);
    void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    EXPECT_NE(mapped, MAP_FAILED);
    words_ = {static_cast<std::uint64_t*>(mapped), bytes / sizeof(std::uint64_t)};
  }
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;
  ~Words() { ::munmap(words_.data(), words_.size_bytes()); }

  [[nodiscard]] std::size_t size() const { return words_.size(); }
  [[nodiscard]] std::uint64_t get(std::size_t i) const {
    return __atomic_load_n(&words_[i], __ATOMIC_RELAXED);
  }
  void set(std::size_t i, std::uint64_t value) const {
    __atomic_store_n(&words_[i], value, __ATOMIC_RELAXED);
  }

 private:
  std::span<std::uint64_t> words_;
};

/// A segment with every kind of limit, in use.
class InUse {
 public:
  InUse() {
    Config config = *parse_config(R"(
[segment]
users = 8
workers = 2
key_names = 8
[global]
rate = "1000/s burst 50"
[operations.all]
rate = ["1000/s burst 50", { limit = "5000/min", candidate = "6000/min" }]
window = [{ limit = "20 per 1h", kind = "log" }, { limit = "2000 per 1min", kind = "ring" }]
concurrent = { limit = 2, candidate = 1 }
queue = 2
cooldown = { for = "10s", refusals = 2 }
breaker = { failure_rate = 0.5, slow_rate = 0.5, slow_call = "1ms", window = "1min", minimum_calls = 2, recovery = "1s" }
[operations.all.user]
rate = "100/hour burst 2"
window = { limit = "50 per 1h", kind = "fixed" }
concurrent = 2
cooldown = { for = "10s", refusals = 2 }
)",
                                  "test");
    config.segment.name = name_.str();
    limiter_.emplace(*Limiter::open(config));
    for (const char* user : {"alice", "bob", "carol"}) {
      for (int i = 0; i < 3; ++i) held_.push_back(limiter_->admit("all", {.user = user}));
    }
    held_.front().fail();
    ticket_.emplace(limiter_->enqueue(*limiter_->operation("all"), {.user = "dora", .wait = kAsConfigured}));
    EXPECT_TRUE(set_limit(name_.str(), "global.rate", "900/s burst 60"));
  }

  [[nodiscard]] const test::SegmentName& name() const { return name_; }

 private:
  test::SegmentName name_;
  std::optional<Limiter> limiter_;
  std::vector<Admission> held_;
  std::optional<Ticket> ticket_;
};

/// Whether the answer has a value, or an error that tells an operator what to do.
template <class T>
bool is_answer(const Result<T>& result) {
  return result || (!result.error().what.empty() &&
                    (result.error().code == Errc::damaged || result.error().code == Errc::incompatible ||
                     result.error().code == Errc::foreign || result.error().code == Errc::not_in_segment));
}

/// Calls everything that looks. Returns whether the segment could be read.
bool look(const std::string& name) {
  const Result<Snapshot> snapshot = take_snapshot(name);
  EXPECT_TRUE(is_answer(snapshot)) << snapshot.error().message();
  if (snapshot) {
    EXPECT_TRUE(to_text(*snapshot));
    EXPECT_TRUE(to_workers_text(*snapshot));
    EXPECT_TRUE(to_json(*snapshot));
    EXPECT_TRUE(to_prometheus(*snapshot));
    EXPECT_TRUE(to_open_metrics(*snapshot));
  }
  for (const UserOrder order : {UserOrder::refused, UserOrder::nearest_limit, UserOrder::permits}) {
    const auto users = list_users(name, {20, "", order});
    EXPECT_TRUE(is_answer(users)) << users.error().message();
  }
  const auto user = look_up_user(name, "alice");
  EXPECT_TRUE(is_answer(user)) << user.error().message();
  const auto changes = change_history(name);
  EXPECT_TRUE(is_answer(changes)) << changes.error().message();
  const auto segments = list_segments();
  EXPECT_TRUE(segments);
  return static_cast<bool>(snapshot);
}

TEST(Damage, OfAnyWordStopsNothingThatLooks) {
  const InUse segment;
  const Words words(segment.name().path());
  ASSERT_TRUE(look(segment.name().str()));
  constexpr std::size_t kHeader = 4096 / sizeof(std::uint64_t);
  std::size_t tried = 0;
  std::size_t refused = 0;
  std::size_t beside = 0;  // words after one that is used
  for (std::size_t i = 0; i < words.size(); ++i) {
    // The header, every word that is used with the one behind it, and a sample of the others.
    const std::uint64_t before = words.get(i);
    beside = before != 0 ? 2 : beside - (beside > 0 ? 1 : 0);
    if (i >= kHeader && beside == 0 && i % 509 != 0) continue;
    for (const std::uint64_t damage :
         {~std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xff} << i % 8 * 8}) {
      words.set(i, before ^ damage);
      ++tried;
      if (!look(segment.name().str())) ++refused;
      words.set(i, before);
      ASSERT_FALSE(testing::Test::HasFailure()) << "word " << i << " ^ " << damage;
    }
  }
  EXPECT_GT(refused, 3 * 100U) << "every word of the header that is used";
  EXPECT_LT(refused, tried / 2) << "what lies behind the header is shown";
  EXPECT_TRUE(look(segment.name().str()));
}

// A file that was cut, by a full disk or by a program that truncates what it finds.
TEST(Damage, OfTheLengthStopsNothingThatLooks) {
  const InUse segment;
  struct stat info {};
  ASSERT_EQ(::stat(segment.name().path().c_str(), &info), 0);
  const test::SegmentName cut_name;
  std::vector<char> bytes(static_cast<std::size_t>(info.st_size));
  const int whole = ::open(segment.name().path().c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::pread(whole, bytes.data(), bytes.size(), 0), info.st_size);
  ::close(whole);
  for (off_t length = 0; length < info.st_size; length += length < 8192 ? 1021 : info.st_size / 7) {
    const int cut = ::open(cut_name.path().c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT_EQ(::pwrite(cut, bytes.data(), static_cast<std::size_t>(length), 0), length);
    ::close(cut);
    EXPECT_FALSE(look(cut_name.str())) << length;
  }
}

}  // namespace
}  // namespace weir
