#include "policy/line_up.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

namespace weir::detail {
namespace {

/// Over how long a limit looks, for telling which of two limits is the change of a third.
double span_of(std::uint32_t line, std::uint64_t params) {
  if (kind_of(line) == LimitKind::window) return static_cast<double>(packed::to_window(params).length_ms);
  const TokenBucketParams bucket = packed::to_token_bucket(params);
  return static_cast<double>(bucket.emission_interval) * bucket.burst;
}

double distance(double a, double b) {
  a = std::max(a, 1.0);
  b = std::max(b, 1.0);
  return a > b ? a / b : b / a;
}

/// One list: the lines of one kind in one scope.
class List {
 public:
  List(const Block& block, const BlockValue& value, LineMask lines)
      : block_(block), presence_(block.presence(std::memory_order_relaxed)), lines_(lines), free_(lines) {
    for (const std::uint32_t line : LineRange(lines)) {
      if (value[line].params != 0) wanted_.push_back(&value[line]);
    }
  }

  Expected<void> line_up(BlockValue& placed) {
    for (const std::uint32_t line : LineRange(lines_)) placed[line] = {};
    keep(placed, [this](std::uint32_t line, const LineValue& value) {
      return listed(line) && mode_of(block_, line) == value.mode;
    });
    keep(placed, [this](std::uint32_t line, const LineValue&) { return listed(line); });
    keep(placed, [this](std::uint32_t line, const LineValue&) {
      // An heir that was never enforced, its change having been killed, lacks what was counted since.
      const Listing listing = listing_of(block_.limits[line]);
      return !presence_.has(line) && !listing.superseded && listing.heir_of == 0;
    });
    return change(placed);
  }

 private:
  [[nodiscard]] std::uint64_t params(std::uint32_t line) const {
    return block_.limits[line].params.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool listed(std::uint32_t line) const {
    return (listed_lines(block_, presence_) >> line & 1) != 0;
  }

  void take(BlockValue& placed, std::uint32_t line, std::size_t wanted) {
    placed[line] = *wanted_[wanted];
    wanted_.erase(wanted_.begin() + static_cast<std::ptrdiff_t>(wanted));
    free_ &= ~(LineMask{1} << line);
  }

  template <class Allowed>
  void keep(BlockValue& placed, Allowed&& allowed) {
    for (std::size_t i = 0; i < wanted_.size();) {
      const std::size_t before = wanted_.size();
      for (const std::uint32_t line : LineRange(free_)) {
        if (params(line) != wanted_[i]->params || !allowed(line, *wanted_[i])) continue;
        take(placed, line, i);
        break;
      }
      if (wanted_.size() == before) ++i;
    }
  }

  /// What is left of both: the nearest pairs first.
  Expected<void> change(BlockValue& placed) {
    std::vector<std::pair<LineValue, std::uint32_t>> heirs;
    LineMask leaving = 0;
    for (const std::uint32_t line : LineRange(free_)) leaving |= listed(line) ? LineMask{1} << line : 0;
    while (!wanted_.empty() && leaving != 0) {
      const auto [line, i] = nearest(leaving);
      leaving &= ~(LineMask{1} << line);
      const bool shared_window = kind_of(line) == LimitKind::window && scope_of(line) == LimitScope::shared;
      if (!shared_window || goes_on(block_.limits[line], wanted_[i]->params)) {
        take(placed, line, i);
        continue;
      }
      heirs.emplace_back(*wanted_[i], line);
      wanted_.erase(wanted_.begin() + static_cast<std::ptrdiff_t>(i));
      free_ &= ~(LineMask{1} << line);  // until the heir has taken over
    }
    for (auto& [value, line] : heirs) {
      value.heir_of = line + 1;
      if (auto found = fresh(placed, value); !found) return found;
    }
    for (const LineValue* value : wanted_) {
      if (auto found = fresh(placed, *value); !found) return found;
    }
    return {};
  }

  [[nodiscard]] std::pair<std::uint32_t, std::size_t> nearest(LineMask leaving) const {
    std::pair<std::uint32_t, std::size_t> best{};
    double least = -1;
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      for (const std::uint32_t line : LineRange(leaving)) {
        const double apart = distance(span_of(line, params(line)), span_of(line, wanted_[i]->params));
        if (least >= 0 && apart >= least) continue;
        least = apart;
        best = {line, i};
      }
    }
    return best;
  }

  /// A line for a value that no line stands for.
  Expected<void> fresh(BlockValue& placed, const LineValue& value) {
    const LineMask usable = free_ & ~presence_.any();
    LineMask found = usable;
    for (const std::uint32_t line : LineRange(usable)) {
      if (found == usable || age(line) < age(static_cast<std::uint32_t>(std::countr_zero(found))))
        found = LineMask{1} << line;
    }
    if (found == 0) {
      return fail(Errc::no_space,
                  "too many windows change their length or kind at once: one line is to spare",
                  "change them one after the other");
    }
    const auto line = static_cast<std::uint32_t>(std::countr_zero(found));
    placed[line] = value;
    free_ &= ~found;
    return {};
  }

  /// When it was last given a value; 0: never.
  [[nodiscard]] std::uint64_t age(std::uint32_t line) const {
    return params(line) == 0 ? 0 : 1 + block_.limits[line].changed.load(std::memory_order_relaxed);
  }

  const Block& block_;
  Presence presence_;
  LineMask lines_;
  LineMask free_;
  std::vector<const LineValue*> wanted_;
};

}  // namespace

bool goes_on(const LimitLine& line, std::uint64_t params) noexcept {
  const packed::WindowParams before = packed::to_window(line.params.load(std::memory_order_relaxed));
  const packed::WindowParams after = packed::to_window(params);
  if (before.kind != after.kind) return false;
  if (after.kind != WindowKind::log) return before.length_ms == after.length_ms;
  // One cell more than times: see SharedWindow.
  return CellRange::from_word(line.cells.load(std::memory_order_relaxed)).count > after.limit;
}

Expected<BlockValue> line_up(const Block& block, const BlockValue& value) {
  BlockValue placed = value;
  for (const LineMask kind : {lines::kRates, lines::kWindows}) {
    for (const LineMask list : {kind, kind << kScopeLines}) {
      if (auto done = List(block, value, list).line_up(placed); !done)
        return tl::make_unexpected(done.error());
    }
  }
  return placed;
}

}  // namespace weir::detail
