// SPDX-License-Identifier: Apache-2.0
#include "batch_results.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <functional>
#include <new>
#include <random>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace captions {
namespace {

constexpr unsigned kSerialBits = 39;
constexpr unsigned kWorkerBits = 22;  // a pid is below 2^22
constexpr std::uint64_t kSerialMask = (std::uint64_t{1} << kSerialBits) - 1;
constexpr std::uint32_t kWorkerMask = (1U << kWorkerBits) - 1;
constexpr std::size_t kSlotDigits = 4;  // of an id, before those of the serial
constexpr std::size_t kIdDigits = kSlotDigits + 10;

std::int64_t now_ns() noexcept {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

std::uint32_t this_worker() noexcept {
  return static_cast<std::uint32_t>(::getpid()) & kWorkerMask;
}

std::size_t size_of_slots(std::uint32_t count, std::size_t slot) noexcept {
  constexpr std::size_t kPage = 4096;
  return (count * slot + kPage - 1) / kPage * kPage;
}

/// A number in lower-case hexadecimal digits, all of `text`.
std::optional<std::uint64_t> parse_hex(std::string_view text) noexcept {
  if (text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

}  // namespace

BatchResults::State BatchResults::State::of(std::uint64_t word) noexcept {
  return {static_cast<Phase>(word >> (kSerialBits + kWorkerBits)),
          static_cast<std::uint32_t>(word >> kSerialBits) & kWorkerMask, word & kSerialMask};
}

std::uint64_t BatchResults::State::word() const noexcept {
  return static_cast<std::uint64_t>(phase) << (kSerialBits + kWorkerBits) |
         std::uint64_t{worker} << kSerialBits | (serial & kSerialMask);
}

weir::Result<BatchResults> BatchResults::create(std::uint32_t most, std::chrono::seconds kept) {
  const auto failed = [](const char* what) {
    return weir::Error{weir::Errc::system, fmt::format("batch results: {}: {}", what, std::strerror(errno)),
                       "keep fewer with --batch-results"};
  };
  const std::size_t slots = size_of_slots(most, sizeof(Slot));
  const int file = ::memfd_create("captions-batches", MFD_CLOEXEC);
  if (file < 0) return failed("memfd_create");
  void* const mapped = ::ftruncate(file, static_cast<off_t>(slots + most * kMostText)) == 0
                           ? ::mmap(nullptr, slots, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                           : MAP_FAILED;
  if (mapped == MAP_FAILED) {
    weir::Error error = failed("memory");
    ::close(file);
    return error;
  }
  Slot* const first = new (mapped) Slot[most]();
  // A serial begins anywhere, so that an id of an earlier server does not name a result of this one.
  std::random_device random;
  for (std::uint32_t i = 0; i < most; ++i) {
    const std::uint64_t serial = std::uint64_t{random()} << 32 | random();
    first[i].state.store(State{Phase::free, 0, serial}.word(), std::memory_order_relaxed);
  }
  std::array<char, 16> secret;
  std::generate(secret.begin(), secret.end(), [&] { return static_cast<char>(random()); });
  return BatchResults(file, first, most, kept, secret);
}

BatchResults::BatchResults(int file, Slot* slots, std::uint32_t count, std::chrono::seconds kept,
                           const std::array<char, 16>& secret) noexcept
    : file_(file), slots_(slots), count_(count), kept_(kept), secret_(secret) {}

BatchResults::BatchResults(BatchResults&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      slots_(std::exchange(other.slots_, nullptr)),
      count_(std::exchange(other.count_, 0)),
      kept_(other.kept_),
      secret_(other.secret_) {}

BatchResults::~BatchResults() {
  if (slots_ == nullptr) return;
  ::munmap(slots_, size_of_slots(count_, sizeof(Slot)));
  ::close(file_);
}

std::optional<std::string> BatchResults::begin(std::string_view user) noexcept try {
  const std::uint64_t mine = hash(user);
  if (held_by(mine) >= std::max(count_ / 4, 1U)) return std::nullopt;
  for (std::uint32_t i = 0; i < count_; ++i) {
    Slot& slot = slots_[i];
    std::uint64_t seen = slot.state.load(std::memory_order_acquire);
    if (!is_free(slot, State::of(seen))) continue;
    State next{Phase::claimed, this_worker(), (State::of(seen).serial + 1) & kSerialMask};
    std::string id = fmt::format("{:04x}{:010x}", i, next.serial);
    if (!slot.state.compare_exchange_strong(seen, next.word(), std::memory_order_acq_rel)) continue;
    // A reader that sees anything of the new batch then also sees that the state has changed: see find().
    std::atomic_thread_fence(std::memory_order_release);
    slot.user.store(mine, std::memory_order_relaxed);
    next.phase = Phase::processing;
    slot.state.store(next.word(), std::memory_order_release);
    return id;
  }
  return std::nullopt;
} catch (const std::bad_alloc&) {
  return std::nullopt;
}

void BatchResults::finish(std::string_view id, BatchStatus status, std::string_view text) noexcept {
  change_mine(id, [&](std::uint32_t index, State state) {
    const bool kept = write_text(index, text);
    const bool completed = kept && status == BatchStatus::completed;
    end(slots_[index], state, completed ? Phase::completed : Phase::failed, kept ? text.size() : 0);
  });
}

void BatchResults::forget(std::string_view id) noexcept {
  change_mine(id, [&](std::uint32_t index, State state) { end(slots_[index], state, Phase::free, 0); });
}

std::optional<BatchResult> BatchResults::find(std::string_view id, std::string_view user) const {
  const auto place = parse(id);
  if (!place) return std::nullopt;
  const Slot& slot = slots_[place->slot];
  const std::uint64_t seen = slot.state.load(std::memory_order_acquire);
  const State state = State::of(seen);
  if (state.serial != place->serial || slot.user.load(std::memory_order_relaxed) != hash(user)) {
    return std::nullopt;
  }
  BatchResult result{BatchStatus::processing, {}};
  if (state.is_over()) {
    if (is_free(slot, state)) return std::nullopt;
    auto text = read_text(place->slot, slot.size.load(std::memory_order_relaxed));
    if (!text) return std::nullopt;
    result = {state.phase == Phase::completed ? BatchStatus::completed : BatchStatus::failed,
              *std::move(text)};
  } else if (state.phase != Phase::processing) {
    return std::nullopt;
  }
  // Since then the slot may have been given to another batch, of another user.
  std::atomic_thread_fence(std::memory_order_acquire);
  if (slot.state.load(std::memory_order_relaxed) != seen) return std::nullopt;
  return result;
}

void BatchResults::fail_all_of(pid_t worker) noexcept {
  for (std::uint32_t i = 0; i < count_; ++i) {
    const State state = State::of(slots_[i].state.load(std::memory_order_acquire));
    if (state.worker != (static_cast<std::uint32_t>(worker) & kWorkerMask)) continue;
    if (state.phase == Phase::claimed) end(slots_[i], state, Phase::free, 0);
    if (state.phase == Phase::processing) end(slots_[i], state, Phase::failed, 0);
  }
}

std::uint64_t BatchResults::hash(std::string_view user) const {
  return std::hash<std::string>()(std::string(secret_.begin(), secret_.end()).append(user));
}

std::optional<BatchResults::Place> BatchResults::parse(std::string_view id) const noexcept {
  if (id.size() != kIdDigits) return std::nullopt;
  const auto slot = parse_hex(id.substr(0, kSlotDigits));
  const auto serial = parse_hex(id.substr(kSlotDigits));
  if (!slot || !serial || *slot >= count_) return std::nullopt;
  return Place{static_cast<std::uint32_t>(*slot), *serial};
}

bool BatchResults::is_free(const Slot& slot, State state) const noexcept {
  return state.phase == Phase::free ||
         (state.is_over() && slot.expires_ns.load(std::memory_order_relaxed) <= now_ns());
}

std::uint32_t BatchResults::held_by(std::uint64_t user) const noexcept {
  std::uint32_t held = 0;
  for (std::uint32_t i = 0; i < count_; ++i) {
    const State state = State::of(slots_[i].state.load(std::memory_order_acquire));
    held += !is_free(slots_[i], state) && slots_[i].user.load(std::memory_order_relaxed) == user ? 1 : 0;
  }
  return held;
}

off_t BatchResults::text_of(std::uint32_t slot) const noexcept {
  return static_cast<off_t>(size_of_slots(count_, sizeof(Slot)) + slot * kMostText);
}

bool BatchResults::write_text(std::uint32_t slot, std::string_view text) const noexcept {
  if (text.size() > kMostText) return false;
  for (off_t at = text_of(slot); !text.empty();) {
    const ssize_t written = ::pwrite(file_, text.data(), text.size(), at);
    if (written <= 0) return false;  // out of memory
    at += written;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::optional<std::string> BatchResults::read_text(std::uint32_t slot, std::size_t size) const {
  std::string text(std::min(size, kMostText), '\0');
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t got =
        ::pread(file_, text.data() + at, text.size() - at, text_of(slot) + static_cast<off_t>(at));
    if (got <= 0) return std::nullopt;
    at += static_cast<std::size_t>(got);
  }
  return text;
}

void BatchResults::end(Slot& slot, State state, Phase phase, std::size_t size) noexcept {
  slot.size.store(size, std::memory_order_relaxed);
  slot.expires_ns.store(now_ns() + std::chrono::nanoseconds(kept_).count(), std::memory_order_relaxed);
  state.phase = phase;
  slot.state.store(state.word(), std::memory_order_release);  // only its worker, or the parent of a dead one
}

template <class Change>
void BatchResults::change_mine(std::string_view id, Change&& change) noexcept {
  const auto place = parse(id);
  if (!place) return;
  const State state = State::of(slots_[place->slot].state.load(std::memory_order_acquire));
  const State mine{Phase::processing, this_worker(), place->serial};
  if (state.word() == mine.word()) change(place->slot, state);
}

}  // namespace captions
