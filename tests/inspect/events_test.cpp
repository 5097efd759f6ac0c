// SPDX-License-Identifier: Apache-2.0

// The journal of a segment: which events are written, by which process, and how they are listed.

#include "policy/events.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <optional>
#include <random>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "policy/journal.hpp"
#include "policy/schema.hpp"
#include "segment/mapping.hpp"
#include "support/fork.hpp"
#include "support/segment_name.hpp"
#include "support/worker_process.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::SegmentName;
using test::WorkerProcess;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class Events : public ::testing::Test {
 protected:
  void open(const std::string& text) {
    Result<Config> config = parse_config(text, "test");
    ASSERT_TRUE(config) << config.error().message();
    config->segment.name = name.str();
    Result<Limiter> opened = Limiter::open(*config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
    joined = list().last;
  }

  /// The words of the segment, as a worker sees them.
  [[nodiscard]] const detail::Sections& sections() {
    if (!segment) {
      segment.emplace(
          *detail::Segment::attach(name.str(), detail::OpenMode::read_write, detail::kAbiFingerprint));
      sections_.emplace(*detail::Sections::of(*segment));
    }
    return *sections_;
  }

  [[nodiscard]] EventPage list(const EventQuery& query = {}) const {
    Result<EventPage> page = list_events(name.str(), query);
    EXPECT_TRUE(page) << page.error().message();
    return page ? *std::move(page) : EventPage{};
  }
  /// What happened since the limiter was opened.
  [[nodiscard]] std::vector<EventEntry> happened() const { return list({.after = joined}).events; }
  [[nodiscard]] std::vector<std::string> told() const {
    std::vector<std::string> texts;
    for (const EventEntry& entry : happened())
      texts.push_back(std::string(to_string(entry.kind)) + ": " + event_text(entry));
    return texts;
  }

  SegmentName name;
  std::optional<Limiter> limiter;
  std::optional<detail::Segment> segment;
  std::optional<detail::Sections> sections_;
  std::uint64_t joined = 0;
};

std::string comm() {
  std::string text(16, '\0');
  ::prctl(PR_GET_NAME, text.data());
  return text.c_str();
}

TEST_F(Events, AWorkerJoinsAndLeaves) {
  open("[global]\nrate = \"10/s\"\n");
  const EventPage page = list();
  ASSERT_THAT(page.events, SizeIs(1));
  const EventEntry& entry = page.events[0];
  EXPECT_EQ(page.last, 1U);
  EXPECT_EQ(entry.number, 1U);
  EXPECT_EQ(entry.kind, EventKind::joined);
  EXPECT_EQ(entry.severity, EventSeverity::note);
  EXPECT_EQ(entry.program, comm());
  EXPECT_EQ(entry.pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(entry.uid, ::getuid());
  EXPECT_EQ(event_text(entry), "joined in slot 0");
  EXPECT_LT(std::chrono::system_clock::now() - entry.when, 10min);
  EXPECT_TRUE(limiter->join()) << "it has joined already";
  limiter.reset();
  EXPECT_THAT(told(), ElementsAre("left: left slot 0"));
}

TEST_F(Events, AForkedWorkerIsNamedByItsOwnPidAndADeadOneByASweep) {
  open("[operations.work]\nconcurrent = 4\n");
  std::vector<Admission> held;
  WorkerProcess worker([&] {
    held.push_back(limiter->admit("work"));
    held.push_back(limiter->admit("work"));
  });
  ASSERT_TRUE(worker.ready());
  const auto pid = static_cast<std::uint32_t>(worker.pid());
  worker.signal(SIGSTOP);
  std::vector<EventEntry> events = happened();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].kind, EventKind::joined);
  EXPECT_EQ(events[0].pid, pid);
  worker.kill();
  limiter->reap();
  events = happened();
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[1].kind, EventKind::reaped);
  EXPECT_EQ(events[1].severity, EventSeverity::warning);
  EXPECT_EQ(events[1].pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(event_text(events[1]),
            comm() + " pid " + std::to_string(pid) + " had died in slot 1; 2 permits were taken back");
}

TEST_F(Events, ABreakerTellsEachOfItsTransitions) {
  open("[operations.work]\nbreaker = { failures = 3, recovery = \"1ms\" }\n");
  const auto call = [&](Outcome outcome) {
    for (;;) {
      Admission admission = limiter->admit("work");
      if (!admission) continue;  // until the recovery is over
      admission.report(outcome);
      return;
    }
  };
  for (int i = 0; i < 3; ++i) call(Outcome::failure);
  call(Outcome::failure);  // a bad probe
  call(Outcome::success);  // a good one
  const std::vector<EventEntry> events = happened();
  EXPECT_THAT(told(), ElementsAre("opened: closed to open after 3 failures in a row",  //
                                  "half_open: open to half_open", "opened: half_open to open",
                                  "half_open: open to half_open", "closed: half_open to closed"));
  for (const EventEntry& entry : events) {
    EXPECT_EQ(entry.operation, "work");
    EXPECT_EQ(entry.pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(entry.program, comm());
  }
  EXPECT_EQ(events.at(0).severity, EventSeverity::alarm);
}

TEST_F(Events, ABreakerOverAWindowSaysHowManyCallsFailed) {
  open(
      "[operations.work]\nbreaker = { failure_rate = 0.5, window = \"60s\", minimum_calls = 4, recovery = "
      "\"60s\" }\n");
  for (const Outcome outcome : {Outcome::success, Outcome::failure, Outcome::success, Outcome::failure})
    limiter->admit("work").report(outcome);
  EXPECT_THAT(told(), ElementsAre("opened: closed to open after 2 of 4 calls failed or were slow"));
}

TEST_F(Events, ARefusalThatFindsTooManyCallsHangingTellsThatTheBreakerOpened) {
  open(
      "[operations.work]\nbreaker = { slow_call = \"1ms\", slow_rate = 0.5, window = \"60s\", minimum_calls "
      "= 2, recovery = \"60s\" }\n");
  std::vector<Admission> hanging;
  while (hanging.size() < 1000) {
    Admission admission = limiter->admit("work");
    if (!admission) break;
    hanging.push_back(std::move(admission));
    std::this_thread::sleep_for(1ms);
  }
  const std::vector<EventEntry> events = happened();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].kind, EventKind::opened);
  EXPECT_GE(events[0].value, 1U);
  EXPECT_GE(events[0].of, 2U);
}

/// Makes the kernel kill this process at its next system call, unless that ends its thread. (The strict mode would also
/// forbid the processor's clock.)
void forbid_system_calls() {
  std::array<sock_filter, 4> code{{{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                                   {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_exit},
                                   {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
                                   {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL}}};
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) ::_exit(2);
}

/// Runs `body` in a child that may make no system call. @return whether it came to its end
bool without_system_calls(const std::function<void()>& prepare, const std::function<void()>& body) {
  return test::in_child([&] {
           prepare();
           forbid_system_calls();
           body();
           ::syscall(SYS_exit, 0);
           return 1;
         }) == 0;
}

TEST_F(Events, ATransitionMakesNoSystemCall) {
  open("[operations.work]\nbreaker = { failures = 2, recovery = \"1ms\" }\n");
  const Operation work = *limiter->operation("work");
  const auto fail = [&] {
    while (limiter->peek(work).verdict == Verdict::circuit_open) {
    }
    limiter->admit(work).report(Outcome::failure);
  };
  const bool clock_needs_none = without_system_calls([] { (void)std::chrono::system_clock::now(); },
                                                     [] { (void)std::chrono::system_clock::now(); });
  if (!clock_needs_none)
    GTEST_SKIP() << "here the clock is a system call, or filters are not permitted: it was NOT looked at";
  // The child joins by its first call. Then it trips, probes, and trips again.
  ASSERT_TRUE(without_system_calls([&] { limiter->admit(work).report(Outcome::success); },
                                   [&] {
                                     for (int i = 0; i < 4; ++i) fail();
                                   }));
  std::vector<EventEntry> events = happened();
  std::erase_if(events, [](const EventEntry& entry) { return entry.kind != EventKind::opened; });
  ASSERT_GE(events.size(), 2U);
  for (const EventEntry& entry : events) {
    EXPECT_NE(entry.pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_NE(entry.pid, 0U) << "the child is named all the same";
  }
}

TEST_F(Events, LiveChangesSwitchesAndResetsNameTheirProcess) {
  open("[operations.work]\nrate = \"10/s\"\nbreaker = { failures = 3, recovery = \"60s\" }\n");
  ASSERT_TRUE(set_limit(name.str(), "operations.work.rate", "20/s"));
  ASSERT_TRUE(roll_back(name.str()));
  ASSERT_TRUE(set_limit(name.str(), "operations.work.rate", "30/s", true)) << "a dry run changes nothing";
  ASSERT_TRUE(switch_breaker(name.str(), "work", BreakerSwitch::forced_open));
  ASSERT_TRUE(reset_limits(name.str(), "work"));
  limiter->reset();
  EXPECT_THAT(told(), ElementsAre("changed: generation 1: operations.work.rate",
                                  "rolled_back: generation 2: operations.work.rate",
                                  "changed: generation 3: operations.work.breaker.state",
                                  "forced: closed to forced_open",  //
                                  "closed: forced_open to closed",
                                  "reset: operations.work: 2 limits and 0 entries of users",
                                  "reset: everything: 2 limits and 0 entries of users"));
  for (const EventEntry& entry : happened()) {
    EXPECT_EQ(entry.program, comm());
    EXPECT_EQ(entry.pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(entry.uid, ::getuid());
  }
}

TEST_F(Events, TheNameOfAUserIsNotWritten) {
  open("[operations.work.user]\nrate = \"10/min\"\n[overrides.users.alice]\nrate = \"20/min\"\n");
  (void)limiter->admit("work", {.user = "alice"});
  ASSERT_TRUE(set_limit(name.str(), "overrides.users.alice.rate", "30/min"));
  ASSERT_TRUE(reset_limits(name.str(), "", "alice"));
  limiter->reset_user("alice");
  const std::vector<EventEntry> events = happened();
  ASSERT_THAT(events, SizeIs(3));
  EXPECT_EQ(event_text(events[0]), "generation 1: overrides");
  EXPECT_THAT(events[1].subject, testing::MatchesRegex("users\\.#[0-9a-f]{12}"));
  EXPECT_EQ(events[1].subject, events[2].subject);
  const auto* const bytes = reinterpret_cast<const char*>(sections().journal);
  const std::string_view journal(bytes, sizeof(detail::JournalSection));
  EXPECT_EQ(journal.find("alice"), journal.npos);
}

TEST_F(Events, AFullTableIsToldOnceAMinute) {
  for (const char* const policy : {"evict", "refuse", "admit"}) {
    const SegmentName other;
    Config config = *parse_config("[operations.work.user]\nrate = \"1/hour\"\n", "test");
    config.segment.name = other.str();
    config.segment.users = 8;
    config.segment.limits_per_user = 1;
    config.segment.when_full = policy == std::string("evict")    ? TableFull::evict
                               : policy == std::string("refuse") ? TableFull::refuse
                                                                 : TableFull::admit;
    Limiter full = *Limiter::open(config);
    for (int i = 0; i < 500; ++i) (void)full.admit("work", {.user = std::to_string(i)});
    const EventKind kind = policy == std::string("evict") ? EventKind::evicting : EventKind::table_full;
    const std::vector<EventEntry> events = list_events(other.str(), {.kinds = {kind}})->events;
    ASSERT_THAT(events, SizeIs(1)) << policy;
    EXPECT_EQ(events[0].value, 1U) << "the first one";
    EXPECT_GE(events[0].of, 8U);
  }
}

TEST_F(Events, ALateReleaseIsTold) {
  open("[operations.work]\nconcurrent = 2\n");
  Admission held = limiter->admit("work");
  ASSERT_TRUE(held);
  for (detail::Word& cell : sections().permit_cells)
    cell.store(0, std::memory_order_relaxed);  // as a sweep does
  held.release();
  EXPECT_THAT(told(),
              ElementsAre("late_release: 1 permit so far given back after a sweep had taken them back"));
}

TEST_F(Events, AProcessThatGetsNoSlotIsTold) {
  open("[segment]\nworkers = 1\n[operations.work]\nconcurrent = 2\n");
  pid_t child = 0;
  {
    WorkerProcess second([&] { (void)limiter->admit("work"); });
    child = second.pid();
    ASSERT_TRUE(second.ready());
  }
  const std::vector<EventEntry> events = happened();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].kind, EventKind::fault);
  EXPECT_EQ(events[0].pid, static_cast<std::uint32_t>(child));
  EXPECT_THAT(event_text(events[0]), HasSubstr("worker slots"));
}

TEST_F(Events, PagesFiltersAndLimits) {
  open("[operations.work]\nrate = \"10/s\"\n");
  for (std::uint64_t i = 1; i <= 10; ++i) {
    detail::write_event(sections(), {.kind = i % 2 == 0 ? EventKind::changed : EventKind::reset, .value = i});
  }
  const auto values = [&](const EventQuery& query) {
    std::vector<std::uint64_t> found;
    for (const EventEntry& entry : list(query).events) found.push_back(entry.value);
    return found;
  };
  EXPECT_THAT(values({.after = joined + 7}), ElementsAre(8, 9, 10));
  EXPECT_THAT(values({.kinds = {EventKind::changed}}), ElementsAre(2, 4, 6, 8, 10));
  EXPECT_THAT(values({.limit = 2}), ElementsAre(9, 10));
  EXPECT_THAT(values({.after = joined + 3, .limit = 2}), ElementsAre(4, 5));
  EXPECT_EQ(list({.after = joined + 3, .limit = 2}).last, joined + 5) << "the next page follows";
  EXPECT_THAT(values({.after = joined + 10}), IsEmpty());
  EXPECT_THAT(values({.after = joined + 11}), SizeIs(11)) << "a number of an earlier segment";
  EXPECT_THAT(values({.since = std::chrono::system_clock::now() + 1h}), IsEmpty());
  EXPECT_THAT(values({.after = joined, .since = std::chrono::system_clock::now() - 1h}), SizeIs(10));
}

TEST_F(Events, OverwrittenRecordsAreLostWithTheirNumbers) {
  open("[operations.work]\nrate = \"10/s\"\n");
  for (std::uint64_t i = 2; i <= 5'000; ++i)
    detail::write_event(sections(), {.kind = EventKind::changed, .value = i});
  const EventPage page = list();
  ASSERT_THAT(page.events, SizeIs(1 + detail::kJournalRecords));
  EXPECT_EQ(page.events[0].kind, EventKind::lost);
  EXPECT_EQ(event_text(page.events[0]), "records 1 to 904 were overwritten or never finished");
  for (std::uint64_t i = 905; i <= 5'000; ++i) ASSERT_EQ(page.events[i - 904].value, i);
  EXPECT_EQ(page.last, 5'000U);
}

// The writer is stopped between two words.
TEST_F(Events, ARecordThatIsNeverFinishedIsLostAndDoesNotHoldUpWhatFollows) {
  open("[operations.work]\nrate = \"10/s\"\n");
  detail::JournalSection& journal = *sections().journal;
  const std::uint64_t number = journal.tickets.fetch_add(1, std::memory_order_relaxed) + 1;
  auto& record = journal.records[number % detail::kJournalRecords];
  ASSERT_TRUE(detail::journal_record::claim(record, number, journal.tickets));
  detail::write_event(sections(), {.kind = EventKind::changed, .value = 7});
  EXPECT_THAT(told(),
              ElementsAre("lost: record 2 was overwritten or never finished", "changed: generation 7: "));
}

TEST_F(Events, ARecordThatIsBeingWrittenIsWaitedFor) {
  open("[operations.work]\nrate = \"10/s\"\n");
  detail::JournalSection& journal = *sections().journal;
  const std::uint64_t number = journal.tickets.fetch_add(1, std::memory_order_relaxed) + 1;
  auto& record = journal.records[number % detail::kJournalRecords];
  ASSERT_TRUE(detail::journal_record::claim(record, number, journal.tickets));
  detail::EventRecord content;
  content.kind = EventKind::changed;
  content.value = 7;
  // A reader that came too early has reported the record as lost, which is allowed on a slow machine; later ones see it.
  std::thread writer([&] {
    detail::journal_record::fill(record, number, content.words());
    detail::journal_record::publish(record, number);
  });
  (void)list();
  writer.join();
  EXPECT_THAT(told(), ElementsAre("changed: generation 7: "));
}

TEST_F(Events, AnyBytesInTheJournalAreListedWithoutHarm) {
  open("[operations.work]\nrate = \"10/s\"\n");
  for (std::uint64_t i = 0; i < 200; ++i)
    detail::write_event(sections(), {.kind = EventKind::changed, .value = i, .subject = "operations.work"});
  const EventPage before = list();
  std::mt19937_64 random(7);
  auto* const bytes = reinterpret_cast<unsigned char*>(sections().journal);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < (1 << round); ++i)
      bytes[random() %
            (round % 2 == 0 ? 201 * sizeof(detail::JournalRecord) : sizeof(detail::JournalSection))] =
          static_cast<unsigned char>(random());
    const EventPage page = list();
    EXPECT_LE(page.events.size(), detail::kJournalRecords + 1);
    for (const EventEntry& entry : page.events) {
      // What is not lost is as it was written.
      if (entry.kind == EventKind::changed) {
        EXPECT_EQ(entry.subject, "operations.work");
      }
      EXPECT_THAT(event_text(entry), Not(IsEmpty()));
    }
  }
  (void)limiter->admit("work");
}

TEST(EventRecord, IsReadAsItWasWritten) {
  detail::EventRecord record;
  record.kind = EventKind::opened;
  record.block = 511;
  record.was = detail::BreakerKind::half_open;
  record.is = detail::BreakerKind::open;
  record.wall_ns = 1'700'000'000'000'000'000;
  record.by = {1000, 4120, {'s', 'e', 'r', 'v', 'e', 'r'}};
  record.value = ~std::uint64_t{0};
  record.of = 5;
  std::memcpy(record.subject.data(), "upload", 6);
  const detail::EventRecord read = detail::EventRecord::from(record.words());
  EXPECT_EQ(read.words(), record.words());
  EXPECT_EQ(read.kind, record.kind);
  EXPECT_EQ(read.block, record.block);
  EXPECT_EQ(read.was, record.was);
  EXPECT_EQ(read.is, record.is);
  EXPECT_EQ(read.by.uid, 1000U);
  EXPECT_EQ(read.by.pid, 4120U);
  EXPECT_EQ(read.subject, record.subject);
}

}  // namespace
}  // namespace weir
