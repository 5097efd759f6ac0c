// SPDX-License-Identifier: Apache-2.0
#pragma once

// Writes any bytes into a live segment, between calls and while they run: no
// call may crash, hang or leave the mapping. The fuzzer uses this, and so does
// the test that runs it with a fixed seed.
//
// An input is a script. Its first byte says whether a second thread writes at
// the same time; each byte after that picks a step, which takes its arguments
// from the bytes that follow. The segment begins each script as it was made.

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"
#include "weir/log.hpp"

#include "policy/schema.hpp"

namespace weir::fuzz {

/// The bytes of an input, then zeros.
class Script {
 public:
  explicit Script(std::string_view bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] bool done() const noexcept { return bytes_.empty(); }
  std::uint8_t byte() noexcept {
    if (bytes_.empty()) return 0;
    const auto first = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return first;
  }
  std::uint64_t word() noexcept {
    std::uint64_t word = 0;
    for (int i = 0; i < 8; ++i) word = word << 8 | byte();
    return word;
  }
  std::size_t below(std::size_t end) noexcept { return (std::size_t{byte()} << 8 | byte()) % end; }

 private:
  std::string_view bytes_;
};

/// A segment with every kind of limit, and all its words.
class LiveSegment {
 public:
  LiveSegment() : name_("fuzz-" + std::to_string(::getpid())) {
    set_log([](std::string_view) {});
    limiter_.emplace(*Limiter::open(config()));
    segment_.emplace(*detail::Segment::attach(name_, detail::OpenMode::read_write, detail::kAbiFingerprint));
    for (const char* operation : {"all", "windows", "breaker", "shadow"}) {
      operations_.push_back(*limiter_->operation(operation));
    }
    map();
    use_every_limit();
    remember();
  }
  LiveSegment(const LiveSegment&) = delete;
  LiveSegment& operator=(const LiveSegment&) = delete;
  ~LiveSegment() {
    held_.clear();
    limiter_.reset();
    (void)remove_segment(name_);
  }

  void run(std::string_view input) {
    Script script(input);
    ::alarm(kSecondsOfAHang);
    std::atomic<bool> stop{false};
    std::thread writer;
    if ((script.byte() & 1) != 0) {
      writer = std::thread([this, &stop, random = std::mt19937_64(script.word())]() mutable {
        while (!stop.load(std::memory_order_relaxed)) write(random(), random(), random());
      });
    }
    while (!script.done()) {
      ::alarm(kSecondsOfAHang);
      step(script);
    }
    held_.clear();
    stop = true;
    if (writer.joinable()) writer.join();
    restore();
    ::alarm(0);
  }

 private:
  static constexpr unsigned kSecondsOfAHang = 60;  // a call takes milliseconds, also on a busy machine

  [[nodiscard]] Config config() const {
    const std::string text = "[segment]\nname = \"" + name_ + R"("
users = 64
workers = 6
key_names = 16
[global]
queue = 3
order = "lifo"
rate = "10000/s burst 1000"
concurrent = { limit = 40, candidate = 20 }
user = { rate = "1000/s", concurrent = { limit = 9, candidate = 5 } }
[operations.all]
rate = ["1000/s burst 50", { limit = "5000/min", candidate = "6000/min" }]
window = "100 per 1s"
concurrent = { limit = 8, candidate = 4 }
queue = 4
push_out = true
cooldown = { for = "10ms", refusals = 2 }
breaker = { failures = 2, recovery = "1ms", probes = 2 }
[operations.all.user]
rate = ["100/s burst 20", "5000/hour"]
window = { limit = "50 per 1s", kind = "fixed" }
concurrent = 3
cooldown = { for = "10ms", refusals = 2 }
[operations.windows]
window = [{ limit = "20 per 1s", kind = "log" }, { limit = "2000 per 1min", kind = "ring" }, { limit = "500 per 1h", kind = "fixed" }]
user.window = [{ limit = "10 per 1s" }, { limit = "100 per 1min", kind = "fixed" }]
[operations.breaker]
breaker = { failure_rate = 0.5, slow_rate = 0.5, slow_call = "1ms", window = "1s", minimum_calls = 2, recovery = "1ms", probes = 3 }
[operations.shadow]
rate = { limit = "1/s", shadow = true }
window = { limit = "3 per 1s", shadow = true }
concurrent = { limit = 1, shadow = true }
cooldown = { for = "1s", refusals = 1, shadow = true }
breaker = { failures = 1, recovery = "1s", shadow = true }
user = { rate = { limit = "1/s", shadow = true }, concurrent = { limit = 1, shadow = true }, cooldown = { for = "1s", refusals = 1, shadow = true } }
[overrides.users."dora"]
rate = "5/s"
concurrent = 2
[overrides.users."exempt"]
exempt = true
)";
    auto parsed = parse_config(text, "fuzz");
    if (!parsed) {
      std::fprintf(stderr, "%s\n", parsed.error().message().c_str());
      std::abort();
    }
    return *parsed;
  }

  /// All words of the file after its header. The header is left out, because
  /// no call reads it from the mapping.
  void map() {
    const detail::Header& header = segment_->header();
    for (std::uint32_t i = 0; i < header.section_count; ++i) {
      const detail::Section& section = header.sections[i];
      const std::span<std::byte> bytes = segment_->section(section.kind, section.stride);
      words_.push_back(
          {reinterpret_cast<std::uint64_t*>(bytes.data()), bytes.size() / sizeof(std::uint64_t)});
    }
  }

  void use_every_limit() {
    for (int round = 0; round < 30; ++round) {
      for (const Operation operation : operations_) {
        for (const char* user : kUsers) {
          Admission admission = limiter_->admit(operation, {.user = user});
          if (round == 29 && held_.size() < 8) {
            held_.push_back(std::move(admission));
          } else {
            admission.report(static_cast<Outcome>(round % 3));
          }
        }
      }
    }
    (void)set_limit(name_, "operations.all.rate[0]", "900/s burst 60");
  }

  /// The words that say something now are those worth changing; with the ones
  /// beside them.
  void remember() {
    for (const std::span<std::uint64_t> section : words_) {
      for (std::size_t i = 0; i < section.size(); ++i) {
        if (section[i] != 0 || (i > 0 && section[i - 1] != 0)) used_.push_back(&section[i]);
      }
    }
    held_.clear();
    for (const std::span<std::uint64_t> section : words_) made_.emplace_back(section.begin(), section.end());
  }

  void restore() {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (std::size_t j = 0; j < words_[i].size(); ++j) {
        if (words_[i][j] != made_[i][j]) store(&words_[i][j], made_[i][j]);
      }
    }
  }

  static void store(std::uint64_t* word, std::uint64_t value) noexcept {
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
  }

  /// Mostly a used word, and mostly a value that is near to one that could be
  /// there.
  void write(std::uint64_t where, std::uint64_t what, std::uint64_t how) noexcept {
    std::uint64_t* word = used_[where % used_.size()];
    if (how % 8 == 0) {
      const std::span<std::uint64_t> section = words_[where % words_.size()];
      if (section.empty()) return;
      word = &section[(where >> 8) % section.size()];
    }
    const std::uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED);
    switch (how >> 3 & 7) {
      case 0:
        return store(word, what);
      case 1:
        return store(word, before ^ std::uint64_t{1} << what % 64);
      case 2:
        return store(word, before + (what % 9) - 4);
      case 3:
        return store(word, __atomic_load_n(used_[what % used_.size()], __ATOMIC_RELAXED));
      case 4:
        return store(
            word, (before | before >> 32) & 0xffff'ffff ? (before | before << 32 | before >> 32) : ~before);
      case 5:
        return store(word, what % 2 == 0 ? 0 : ~std::uint64_t{0});
      case 6:
        return store(word, what >> what % 64);
      default:
        return store(word, (before & 0xffff'ffff) | what << 32);
    }
  }

  void step(Script& script) {
    const std::uint8_t kind = script.byte();
    const Operation operation = operations_[script.below(operations_.size())];
    const Request request{.user = kUsers[script.byte() % kUsers.size()],
                          .cost = cost(script),
                          .weight = weight(script),
                          .priority = static_cast<std::uint8_t>(kind / 32),
                          .wait_for = static_cast<WaitFor>(kind >> 6 & 1),
                          .wait = std::chrono::microseconds(kind / 32 == 7 ? 300 : 0)};
    switch (kind % 32) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
      case 7: {
        const std::uint64_t where = script.word();
        const std::uint64_t what = script.word();
        return write(where, what, script.byte());
      }
      case 8:
      case 9:
      case 10:
      case 11:
        return hold(limiter_->admit(operation, request), script);
      case 12:
        return hold(limiter_->admit_at(HostClock::now() + std::chrono::microseconds(script.word() >> 20),
                                       operation, request),
                    script);
      case 13:
        (void)limiter_->peek(operation, request);
        return;
      case 14:
        (void)limiter_->quotas(operation, request);
        return;
      case 15:
        (void)limiter_->count(operation, request);
        return;
      case 16:
        return limiter_->charge(operation, request);
      case 17:
        if (!held_.empty()) limiter_->refund(operation, request, held_.back());
        return;
      case 18:
        if (!held_.empty()) held_.erase(held_.begin());
        return;
      case 19:
        (void)limiter_->reset();
        return;
      case 20:
        (void)limiter_->reset(operation);
        return;
      case 21:
        (void)limiter_->reset_user(request.user);
        return;
      case 22:
        (void)limiter_->reap();
        return;
      case 23:
        (void)limiter_->config();
        (void)limiter_->limit_name(LimitId{static_cast<std::uint16_t>(script.word())});
        return;
      case 24:
        if (auto other = Limiter::attach(name_)) (void)other->admit("all", request);
        return;
      case 25:
        (void)take_snapshot(name_);
        return;
      case 26:
        (void)list_users(name_, UserQuery{20, "", static_cast<UserOrder>(script.byte() % 3)});
        return;
      case 27:
        (void)look_up_user(name_, request.user);
        return;
      case 28:
        return change(script);
      case 29:
        (void)roll_back(name_);
        return;
      case 30:
        (void)change_history(name_);
        // Not each time: it waits for records that damage left unfinished.
        if (script.byte() % 4 == 0) (void)list_events(name_, {.after = script.byte()});
        return;
      default:
        (void)switch_breaker(name_, "breaker", static_cast<BreakerSwitch>(script.byte() % 5));
        return;
    }
  }

  void hold(Admission admission, Script& script) {
    if (held_.size() == 8) {
      held_.front().report(static_cast<Outcome>(script.byte() % 3));
      held_.erase(held_.begin());
    }
    held_.push_back(std::move(admission));
  }

  void change(Script& script) {
    static constexpr std::array<std::array<const char*, 2>, 8> kChanges{{
        {"operations.all.rate[0]", "7/s burst 3"},
        {"operations.all.concurrent.limit", "3"},
        {"operations.windows.window[0]", "{ limit = \"900 per 1min\", kind = \"ring\" }"},
        {"operations.windows.window[1]", "{ limit = \"9 per 1s\", kind = \"log\" }"},
        {"operations.breaker.breaker.probes", "1"},
        {"operations.all.user.rate[0]", "50/s"},
        {"overrides.users.dora.rate", "9/s"},
        {"operations.all.breaker", "none"},
    }};
    const auto& [key, value] = kChanges[script.byte() % kChanges.size()];
    (void)set_limit(name_, key, value);
  }

  static std::uint32_t cost(Script& script) noexcept {
    const std::uint8_t kind = script.byte();
    return kind < 200 ? 1 + kind % 4 : static_cast<std::uint32_t>(script.word());
  }
  static std::uint32_t weight(Script& script) noexcept {
    const std::uint8_t kind = script.byte();
    return kind < 200 ? 1 + kind % 3 : kind;
  }

  static constexpr std::array<const char*, 6> kUsers{"", "alice", "bob", "carol", "dora", "exempt"};

  std::string name_;
  std::optional<Limiter> limiter_;
  std::optional<detail::Segment> segment_;
  std::vector<Operation> operations_;
  std::vector<std::span<std::uint64_t>> words_;  // of each section
  std::vector<std::vector<std::uint64_t>> made_;
  std::vector<std::uint64_t*> used_;
  std::vector<Admission> held_;
};

}  // namespace weir::fuzz
