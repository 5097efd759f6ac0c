// SPDX-License-Identifier: Apache-2.0
#pragma once

// A token bucket of which processes take tokens in advance.
//
// Where several processes spend from one bucket, each exchange of its TAT takes the line away from the others. So a
// process takes k tokens with one exchange, a lease, and spends them from a word of its own until they are used
// up or the lease is void.
//
//   tat     shared    as of any bucket: a lease is one charge of k tokens
//   leased  shared    period 33 | tokens 31; 0: the bucket is not leased. Otherwise no lease is valid when the period
//                     after this one has passed. `tokens` are those that were leased in the period, for display.
//   lease   private   void at 50 | tokens 14; time in units of 128 ns; 0: none
//
// Bound  at most `burst` at one instant and burst + rate * t in any span t, as of one bucket that is not leased.
//        A token is spent less than `length` after it was charged, so the tokens that are spent from a to b were
//        charged after a - length. While a bucket is leased, a charge conforms only if it leaves the TAT at most
//        depth - length ahead. So those charges add up to at most (b + depth - length) - (a - length), which is
//        depth + b - a. A bucket that has been full for some time gives what it has earned since then, up to
//        `length`, on top: the charges before that are as much longer ago. So no cost becomes impossible.
// Begins `leased` is stored before the tokens are charged. A process that judged without it had read the TAT before
//        that charge (sync(leased)), and its exchange fails.
// Ends   once no lease is valid any more and the bucket has been full for `length`. A process that sees this stores 0.
//        If another one is stopped before it charges, and goes on after that, the lease that it gets is void.
// Stop   a process that is stopped between reading the clock and spending admits one request in each thread, as if
//        it had been stopped after the decision: no other process can have had the token.
// Crash  killed before the TAT is exchanged: the bucket is leased a little longer than it need be. After it: the
//        tokens are lost, and time refills them.
// Fork   the private word must lie in memory that the kernel clears in a child: a child has no lease.
// Change under another rate, leases are others: see LeasePool. Those of the rate before are not spent any more.

#include <algorithm>
#include <cstdint>

#include "base/ticks.hpp"
#include "base/tsc_anchor.hpp"
#include "base/word.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {

/// What may be leased of a bucket. A function of its rate and its configuration, so all processes go by the same.
struct LeaseTerms {
  std::uint64_t length = 0;  ///< ticks after which a lease is void
  std::uint32_t most = 0;    ///< tokens of one lease; 0: none
  std::uint32_t fixed = 0;   ///< tokens of every lease, from the first request on; 0: as it pays

  /// As long as a 64th of the depth, and at most 10 ms: for that long a process that stops spending keeps its tokens
  /// from the others. If fewer than 16 tokens are earned in that time, leases do not pay.
  [[nodiscard]] static constexpr LeaseTerms of(TokenBucketParams rate) noexcept {
    const LeaseTerms terms = longest(rate);
    return terms.most >= kFewest / 2 ? terms : LeaseTerms();
  }
  /// For leases of a size that the configuration says, as far as the rate allows.
  [[nodiscard]] static constexpr LeaseTerms of(TokenBucketParams rate, std::uint32_t tokens) noexcept {
    LeaseTerms terms = longest(rate);
    terms.fixed = std::min(tokens, terms.most);
    return terms.fixed != 0 ? terms : LeaseTerms();
  }
  /// The largest size that of() allows.
  [[nodiscard]] static constexpr std::uint32_t most_of(TokenBucketParams rate) noexcept {
    return longest(rate).most;
  }

  /// Whether the bucket may ever be leased.
  [[nodiscard]] constexpr bool any() const noexcept { return most != 0; }

  /// The bits of a private word that count tokens; the others are the time at which the lease is void.
  static constexpr std::uint64_t kTokens = (std::uint64_t{1} << 14) - 1;

  friend constexpr bool operator==(const LeaseTerms&, const LeaseTerms&) = default;

 private:
  static constexpr std::uint64_t kLongest = ticks_from_ns(10'000'000);
  static constexpr std::uint32_t kFewest = 16;

  [[nodiscard]] static constexpr LeaseTerms longest(TokenBucketParams rate) noexcept {
    const std::uint64_t length = std::min(rate.depth() / 64, kLongest) & ~kTokens;
    const std::uint64_t tokens = length / std::max<std::uint64_t>(rate.emission_interval, 1);
    return {length, static_cast<std::uint32_t>(std::min(tokens / 2, kTokens)), 0};
  }
};

/// The word that says whether a bucket is leased.
namespace leased_word {

inline constexpr unsigned kPeriodShift = 31;  // 17 ms, which is longer than any lease
inline constexpr std::uint64_t kTokens = (std::uint64_t{1} << kPeriodShift) - 1;

/// The word of a lease that begins now. Its period is one more than that of the clock, so it is never 0.
[[nodiscard]] constexpr std::uint64_t beginning(std::uint64_t now) noexcept {
  return ((now >> kPeriodShift) + 1) << kPeriodShift;
}
/// Whether `word` already says so of a lease that begins now.
[[nodiscard]] constexpr bool covers(std::uint64_t word, std::uint64_t now) noexcept {
  return word >= beginning(now);
}
/// Whether no lease is valid any more.
[[nodiscard]] constexpr bool over(std::uint64_t word, std::uint64_t now) noexcept {
  return now >> kPeriodShift > word >> kPeriodShift;
}
[[nodiscard]] constexpr std::uint64_t plus(std::uint64_t word, std::uint32_t tokens) noexcept {
  return word + std::min<std::uint64_t>(tokens, kTokens - (word & kTokens));
}
/// Tokens that were leased in the period that the clock is in.
[[nodiscard]] constexpr std::uint64_t tokens(std::uint64_t word, std::uint64_t now) noexcept {
  return covers(word, now) ? word & kTokens : 0;
}

/// The TAT by which a request is judged.
[[nodiscard]] constexpr std::uint64_t judged(std::uint64_t tat, std::uint64_t word,
                                             LeaseTerms terms) noexcept {
  return word != 0 ? tat + terms.length : tat;
}

}  // namespace leased_word

/// The lease of this process of one bucket; its threads share it. Zeroed memory is none.
///
/// Threads  a spend is an exchange of the one word, so it is of the lease that was looked at, or of one that equals
///          it. The rest are hints.
class alignas(kCacheLine) Lease {
 public:
  /// Whether the lease has `cost` tokens at `now`.
  [[nodiscard]] static constexpr bool covers(std::uint64_t word, std::uint64_t now,
                                             std::uint32_t cost) noexcept {
    return (word & ~LeaseTerms::kTokens) > now && (word & LeaseTerms::kTokens) >= cost;
  }
  [[nodiscard]] std::uint64_t word() const noexcept { return word_.load(std::memory_order_relaxed); }

  /// To spend `cost` tokens of a lease that covers them, exchange the word that was seen for one with `cost` less.
  [[nodiscard]] Word& to_spend() noexcept { return word_; }

  /// @return false: another thread was faster.
  [[nodiscard]] bool spend(std::uint64_t seen, std::uint32_t cost) noexcept {
    return word_.compare_exchange(seen, seen - cost, std::memory_order_relaxed);
  }

  /// The tokens that are left are not spent any more.
  void give_up() noexcept { word_.store(0, std::memory_order_relaxed); }

  /// Tokens that are left of the lease.
  [[nodiscard]] std::uint32_t left(std::uint64_t now) const noexcept {
    const std::uint64_t seen = word();
    return covers(seen, now, 0) ? static_cast<std::uint32_t>(seen & LeaseTerms::kTokens) : 0;
  }

  /// Tokens that the next lease is to have; 0: this process does not lease.
  [[nodiscard]] std::uint32_t size(LeaseTerms terms) const noexcept {
    return terms.fixed != 0 ? terms.fixed : static_cast<std::uint32_t>(size_.load(std::memory_order_relaxed));
  }

  /// Another process exchanged the TAT first. If that happens twice within the length of a lease, this process
  /// begins to lease.
  void lost_an_exchange(LeaseTerms terms, std::uint64_t now) noexcept {
    const std::uint64_t before = lost_at_.load(std::memory_order_relaxed);
    lost_at_.store(now, std::memory_order_relaxed);
    if (before != 0 && now - before <= terms.length && size(terms) == 0)
      size_.store(std::min(kFirstSize, terms.most), std::memory_order_relaxed);
  }

  /// Chooses the size of the next lease by what became of the last one: twice as large if it was used up in half its
  /// time, half as large if it became void before it was used up.
  [[nodiscard]] std::uint32_t next_size(LeaseTerms terms, std::uint64_t now) noexcept {
    std::uint32_t size = this->size(terms);
    if (terms.fixed != 0) return size;
    const std::uint64_t last = word();
    const std::uint64_t void_at = last & ~LeaseTerms::kTokens;
    if (void_at <= now && (last & LeaseTerms::kTokens) != 0) {
      size = size < 2 * kFirstSize ? 0 : size / 2;
    } else if (void_at > now + terms.length / 2) {
      size = std::min(size * 2, terms.most);
    }
    size_.store(size, std::memory_order_relaxed);
    return size;
  }

  /// Adds tokens that are void at `void_at`. With those that are left they become one lease, which is void when the
  /// first of them are.
  void add(std::uint32_t tokens, std::uint64_t void_at, std::uint64_t now) noexcept {
    std::uint64_t seen = word();
    for (;;) {
      std::uint64_t end = void_at & ~LeaseTerms::kTokens;
      std::uint64_t sum = tokens;
      if (covers(seen, now, 1)) {
        end = std::min(end, seen & ~LeaseTerms::kTokens);
        sum = std::min(sum + (seen & LeaseTerms::kTokens), LeaseTerms::kTokens);
      }
      if (word_.compare_exchange(seen, end | sum, std::memory_order_relaxed)) return;
    }
  }

 private:
  static constexpr std::uint32_t kFirstSize = 8;

  Word word_;
  Word lost_at_;
  Word size_;
};

/// A bucket that may be leased, over its two shared words.
class LeasedBucket {
 public:
  LeasedBucket(Word& tat, Word& leased, TokenBucketParams rate, LeaseTerms terms) noexcept
      : tat_(tat), leased_(leased), rate_(rate), terms_(terms) {}

  /// Spends `cost` tokens without a lease. @return 0, or the ticks until they are there, or kNever.
  std::uint64_t admit(std::uint64_t now, std::uint32_t cost) noexcept {
    Seen seen = look(load(), now, cost);
    while (seen.judged.wait == 0) {
      if (exchange(seen)) {
        end_leases(seen, now);
        return 0;
      }
      seen = look(seen.tat, now, cost);
    }
    return seen.judged.wait;
  }

  /// Spends `cost` tokens and leases more, as many as `mine` asks for and are there. @return as admit().
  std::uint64_t lease(Lease& mine, std::uint64_t now, std::uint32_t cost) noexcept {
    const std::uint32_t size = mine.next_size(terms_, now);
    if (size <= cost) return admit(now, cost);
    Seen seen = look(load(), now, cost);
    while (seen.judged.wait == 0) {
      begin_to_lease(now);
      const std::uint32_t tokens = std::min(size, gcra::available(rate_, seen.tat + terms_.length, now));
      if (tokens <= cost) return admit(now, cost);
      seen.judged.charged = gcra::judge(rate_, seen.tat, now, tokens).charged;
      if (exchange(seen)) {
        mine.add(tokens - cost, now + terms_.length - kClockLag, now);
        count_leased(tokens, now);
        return 0;
      }
      seen = look(seen.tat, now, cost);
    }
    return seen.judged.wait;
  }

 private:
  struct Seen {
    std::uint64_t tat;
    std::uint64_t leased;
    gcra::Judgement judged;  // if the request conforms, exchanging `tat` for judged.charged spends its cost
  };

  /// How far the clock of the taker may be behind that of the spender.
  static constexpr std::uint64_t kClockLag = ticks_from_ns(static_cast<std::uint64_t>(TscAnchor::kMaxLagNs));

  // sync(leased): acquire; pairs with exchange(): a TAT that a lease was charged to comes with the word `leased`.
  [[nodiscard]] std::uint64_t load() const noexcept { return tat_.load(std::memory_order_acquire); }

  [[nodiscard]] Seen look(std::uint64_t tat, std::uint64_t now, std::uint32_t cost) const noexcept {
    const std::uint64_t leased = leased_.load(std::memory_order_relaxed);
    gcra::Judgement judged = gcra::judge(rate_, tat, now, cost);
    if (leased != 0) judged.wait = gcra::wait(rate_, leased_word::judged(tat, leased, terms_), now, cost);
    return {tat, leased, judged};
  }

  /// If it fails, seen.tat becomes the TAT that is there.
  [[nodiscard]] bool exchange(Seen& seen) noexcept {
    std::uint64_t tat = seen.tat;
    const bool exchanged = tat_.compare_exchange(tat, seen.judged.charged, std::memory_order_acq_rel,
                                                 std::memory_order_acquire);  // sync(leased)
    if (!exchanged) seen.tat = tat;
    return exchanged;
  }

  void begin_to_lease(std::uint64_t now) noexcept {
    std::uint64_t seen = leased_.load(std::memory_order_relaxed);
    while (!leased_word::covers(seen, now)) {
      if (leased_.compare_exchange(seen, leased_word::beginning(now), std::memory_order_relaxed)) return;
    }
  }

  void count_leased(std::uint32_t tokens, std::uint64_t now) noexcept {
    std::uint64_t seen = leased_.load(std::memory_order_relaxed);
    while (seen != 0 && leased_word::covers(seen, now)) {
      if (leased_.compare_exchange(seen, leased_word::plus(seen, tokens), std::memory_order_relaxed)) return;
    }
  }

  // If another process has leased meanwhile, the word is another one, and stays.
  void end_leases(const Seen& seen, std::uint64_t now) noexcept {
    if (seen.leased == 0 || !leased_word::over(seen.leased, now)) return;
    if (gcra::debt(rate_, seen.tat + terms_.length, now) != 0) return;
    std::uint64_t leased = seen.leased;
    (void)leased_.compare_exchange(leased, 0, std::memory_order_relaxed);
  }

  Word& tat_;
  Word& leased_;
  TokenBucketParams rate_;
  LeaseTerms terms_;
};

}  // namespace weir::detail
