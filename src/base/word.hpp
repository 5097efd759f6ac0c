// SPDX-License-Identifier: Apache-2.0
#pragma once

// All access to shared words: every load, store and compare-exchange on the segment is a call of this file.
//
// A word is 8 bytes; a pair is 16 bytes and changes as one. Both must be lock-free on every platform, or the
// build fails: the fallback of libatomic would use locks in a table that is private to each process.
//
// The schedule tests compile the same sources with WEIR_WORD_HOOKS, which names a header that defines the two
// hooks. Every access is then a point at which a logical process can be stopped, killed or overtaken. In this
// build the hooks are empty and cost nothing.

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weir::detail {
/// The kind of access that is about to happen to a word.
enum class Access : std::uint8_t { load, store, exchange, add };
}  // namespace weir::detail

#ifdef WEIR_WORD_HOOKS
#include WEIR_WORD_HOOKS
#else
namespace weir::detail::hooks {
/// Called before an access to the word of `size` bytes at `word`.
inline void before_access(Access /*access*/, const void* /*word*/, std::size_t /*size*/) noexcept {}
/// Called after a compare-exchange, with whether it took place.
inline void after_exchange(bool /*done*/) noexcept {}
}  // namespace weir::detail::hooks
#endif

namespace weir::detail {

inline constexpr std::size_t kCacheLine = 64;

/// One shared word. A zeroed word has the value 0.
class Word {
 public:
  Word() = default;
  explicit Word(std::uint64_t value) noexcept : value_(value) {}

  [[nodiscard]] std::uint64_t load(std::memory_order order) const noexcept {
    hooks::before_access(Access::load, this, sizeof *this);
    return value_.load(order);
  }

  void store(std::uint64_t value, std::memory_order order) noexcept {
    hooks::before_access(Access::store, this, sizeof *this);
    value_.store(value, order);
  }

  /// A strong compare-exchange. If it fails, `expected` becomes the value seen.
  [[nodiscard]] bool compare_exchange(std::uint64_t& expected, std::uint64_t desired,
                                      std::memory_order success,
                                      std::memory_order failure = std::memory_order_relaxed) noexcept {
    hooks::before_access(Access::exchange, this, sizeof *this);
    const bool done = value_.compare_exchange_strong(expected, desired, success, failure);
    hooks::after_exchange(done);
    return done;
  }

  std::uint64_t fetch_add(std::uint64_t amount, std::memory_order order) noexcept {
    hooks::before_access(Access::add, this, sizeof *this);
    return value_.fetch_add(amount, order);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};
static_assert(sizeof(Word) == 8 && std::atomic<std::uint64_t>::is_always_lock_free);

/// Stands between an exchange of one word and a load of another, so that the load does not pass the exchange.
/// On x86-64 every exchange is such a barrier already.
inline void exchange_before_load() noexcept {
#if defined(__x86_64__)
  std::atomic_signal_fence(std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// The value of a PairWord.
struct Pair {
  std::uint64_t first = 0;
  std::uint64_t second = 0;

  friend bool operator==(const Pair&, const Pair&) = default;
};

/// Two words that change as one.
class alignas(16) PairWord {
 public:
  /// Each half is read by a load of its own, so the halves may be of different moments. A caller that acts on
  /// both compare-exchanges both; a caller that only looks reads `first` again.
  [[nodiscard]] std::uint64_t load_first(std::memory_order order) const noexcept {
    return first_.load(order);
  }
  [[nodiscard]] std::uint64_t load_second(std::memory_order order) const noexcept {
    return second_.load(order);
  }

  /// A strong, sequentially consistent compare-exchange. If it fails, `expected` becomes the value seen, with
  /// both halves of one moment.
  ///
  /// It uses the __sync built-in because g++ 12 turns a 16-byte std::atomic into a call to libatomic. On
  /// arm64 it becomes CASP if the processor has it, otherwise a loop of LDXP and STLXP.
  [[nodiscard]] bool compare_exchange(Pair& expected, Pair desired) noexcept {
    hooks::before_access(Access::exchange, this, sizeof *this);
    const Wide wanted = widen(expected);
    const Wide seen = exchange(wanted, widen(desired));
    const bool done = seen == wanted;
    if (!done) expected = narrow(whole(seen));
    hooks::after_exchange(done);
    return done;
  }

  /// A compare-exchange for a caller that does not need the value it met, which spares comparing both halves.
  [[nodiscard]] bool replace(Pair expected, Pair desired) noexcept {
    hooks::before_access(Access::exchange, this, sizeof *this);
    const bool done =
        __sync_bool_compare_and_swap(reinterpret_cast<Wide*>(this), widen(expected), widen(desired));
    hooks::after_exchange(done);
    return done;
  }

 private:
  __extension__ using Wide __attribute__((may_alias)) = unsigned __int128;

  static Wide widen(Pair pair) noexcept { return (static_cast<Wide>(pair.second) << 64) | pair.first; }
  static Pair narrow(Wide wide) noexcept {
    return {static_cast<std::uint64_t>(wide), static_cast<std::uint64_t>(wide >> 64)};
  }

  /// @return the value that was there before.
  Wide exchange(Wide wanted, Wide desired) noexcept {
    return __sync_val_compare_and_swap(reinterpret_cast<Wide*>(this), wanted, desired);
  }

  /// The value that a failed exchange saw, with both halves of one moment.
  ///
  /// An arm64 without CASP guarantees that only if the store follows, which a failed comparison leaves out
  /// (Arm ARM, B2.2.1, load-exclusive pair). Exchanging the value for itself proves that it was there.
  Wide whole(Wide seen) noexcept {
#if defined(__aarch64__) && !defined(__ARM_FEATURE_ATOMICS)
    for (Wide now = exchange(seen, seen); now != seen; now = exchange(seen, seen)) seen = now;
#endif
    return seen;
  }

  Word first_;
  Word second_;
};
static_assert(sizeof(PairWord) == 16);
static_assert(alignof(PairWord) == 16);
static_assert(std::endian::native == std::endian::little, "widen() puts `first` at the lower address");

}  // namespace weir::detail
