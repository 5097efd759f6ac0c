// SPDX-License-Identifier: Apache-2.0
#include "policy/line_up.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

namespace weir::detail {
namespace {

/// The length of time that a limit looks at. It helps to find which old limit a new one replaces.
double span_of(std::uint32_t index, std::uint64_t params) {
  if (kind_of(index) == LimitKind::window) return static_cast<double>(packed::to_window(params).length_ms);
  const TokenBucketParams bucket = packed::to_token_bucket(params);
  return static_cast<double>(bucket.emission_interval) * bucket.burst;
}

double distance(double a, double b) {
  a = std::max(a, 1.0);
  b = std::max(b, 1.0);
  return a > b ? a / b : b / a;
}

/// One list: the records of one kind in one scope.
class List {
 public:
  List(const Block& block, const BlockValue& value, LimitMask among)
      : block_(block), presence_(block.presence(std::memory_order_relaxed)), among_(among), free_(among) {
    for (const std::uint32_t index : LimitIndices(among)) {
      if (value[index].params != 0) wanted_.push_back(&value[index]);
    }
  }

  Result<void> line_up(BlockValue& placed) {
    for (const std::uint32_t index : LimitIndices(among_)) placed[index] = {};
    keep(placed, [this](std::uint32_t index, const LimitValue& value) {
      return listed(index) && mode_of(block_, index) == value.mode;
    });
    keep(placed, [this](std::uint32_t index, const LimitValue&) { return listed(index); });
    keep(placed, [this](std::uint32_t index, const LimitValue&) {
      // If a change was killed before its heir was enforced, that record lacks what was counted since.
      const Listing listing = listing_of(block_.limits[index]);
      return !presence_.has(index) && !listing.superseded && listing.heir_of == 0;
    });
    return change(placed);
  }

 private:
  [[nodiscard]] std::uint64_t params(std::uint32_t index) const {
    return block_.limits[index].params.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool listed(std::uint32_t index) const {
    return (listed_limits(block_, presence_) >> index & 1) != 0;
  }

  void take(BlockValue& placed, std::uint32_t index, std::size_t wanted) {
    placed[index] = *wanted_[wanted];
    wanted_.erase(wanted_.begin() + static_cast<std::ptrdiff_t>(wanted));
    free_ &= ~(LimitMask{1} << index);
  }

  template <class Allowed>
  void keep(BlockValue& placed, Allowed&& allowed) {
    for (std::size_t i = 0; i < wanted_.size();) {
      const std::size_t before = wanted_.size();
      for (const std::uint32_t index : LimitIndices(free_)) {
        if (params(index) != wanted_[i]->params || !allowed(index, *wanted_[i])) continue;
        take(placed, index, i);
        break;
      }
      if (wanted_.size() == before) ++i;
    }
  }

  /// Pairs the values that are left with the records that are left, the nearest first.
  Result<void> change(BlockValue& placed) {
    std::vector<std::pair<LimitValue, std::uint32_t>> heirs;
    LimitMask leaving = 0;
    for (const std::uint32_t index : LimitIndices(free_))
      leaving |= listed(index) ? LimitMask{1} << index : 0;
    while (!wanted_.empty() && leaving != 0) {
      const auto [index, i] = nearest(leaving);
      leaving &= ~(LimitMask{1} << index);
      const bool shared_window = kind_of(index) == LimitKind::window && scope_of(index) == LimitScope::shared;
      if (!shared_window || goes_on(block_.limits[index], wanted_[i]->params)) {
        take(placed, index, i);
        continue;
      }
      heirs.emplace_back(*wanted_[i], index);
      wanted_.erase(wanted_.begin() + static_cast<std::ptrdiff_t>(i));
      free_ &= ~(LimitMask{1} << index);  // in use until the heir has taken over
    }
    for (auto& [value, index] : heirs) {
      value.heir_of = index + 1;
      if (auto found = fresh(placed, value); !found) return found;
    }
    for (const LimitValue* value : wanted_) {
      if (auto found = fresh(placed, *value); !found) return found;
    }
    return {};
  }

  [[nodiscard]] std::pair<std::uint32_t, std::size_t> nearest(LimitMask leaving) const {
    std::pair<std::uint32_t, std::size_t> best{};
    double least = -1;
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      for (const std::uint32_t index : LimitIndices(leaving)) {
        const double apart = distance(span_of(index, params(index)), span_of(index, wanted_[i]->params));
        if (least >= 0 && apart >= least) continue;
        least = apart;
        best = {index, i};
      }
    }
    return best;
  }

  /// Gives a value a record that is not in use.
  Result<void> fresh(BlockValue& placed, const LimitValue& value) {
    const LimitMask usable = free_ & ~presence_.any();
    LimitMask found = usable;
    for (const std::uint32_t index : LimitIndices(usable)) {
      if (found == usable || age(index) < age(static_cast<std::uint32_t>(std::countr_zero(found))))
        found = LimitMask{1} << index;
    }
    if (found == 0) {
      return fail(Errc::no_space,
                  "too many windows change their length or kind at once: there is one spare record",
                  "change them one after the other");
    }
    const auto index = static_cast<std::uint32_t>(std::countr_zero(found));
    placed[index] = value;
    free_ &= ~found;
    return {};
  }

  /// When the record last got a value; 0: never.
  [[nodiscard]] std::uint64_t age(std::uint32_t index) const {
    return params(index) == 0 ? 0 : 1 + block_.limits[index].changed.load(std::memory_order_relaxed);
  }

  const Block& block_;
  Presence presence_;
  LimitMask among_;
  LimitMask free_;
  std::vector<const LimitValue*> wanted_;
};

}  // namespace

bool goes_on(const LimitRecord& record, std::uint64_t params) noexcept {
  const packed::WindowParams before = packed::to_window(record.params.load(std::memory_order_relaxed));
  const packed::WindowParams after = packed::to_window(params);
  if (before.kind != after.kind) return false;
  if (after.kind != WindowKind::log) return before.length_ms == after.length_ms;
  // A log has one cell more than it has times: see SharedWindow.
  return CellRange::from_word(record.cells.load(std::memory_order_relaxed)).count > after.limit;
}

Result<BlockValue> line_up(const Block& block, const BlockValue& value) {
  BlockValue placed = value;
  for (const LimitMask kind : {masks::kRates, masks::kWindows}) {
    for (const LimitMask list : {kind, kind << kScopeLimits}) {
      if (auto done = List(block, value, list).line_up(placed); !done) return done.error();
    }
  }
  return placed;
}

}  // namespace weir::detail
