// SPDX-License-Identifier: Apache-2.0
#include "policy/blocks.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <tuple>

namespace weir::detail {

Mode mode_of(const Block& block, std::uint32_t index) noexcept {
  if (!block.presence(std::memory_order_relaxed).counts_only(index)) return Mode::enforced;
  return listing_of(block.limits[index]).mode == Mode::candidate ? Mode::candidate : Mode::shadow;
}

LimitMask listed_limits(const Block& block, Presence presence) noexcept {
  LimitMask listed = presence.any();
  for (const std::uint32_t index : LimitIndices(presence.any())) {
    const std::uint32_t heir_of = listing_of(block.limits[index]).heir_of;
    if (heir_of != 0 && heir_of <= kBlockLimits) listed &= ~(LimitMask{1} << (heir_of - 1));
  }
  return listed;
}

std::vector<std::uint32_t> in_order(const Block& block, Presence presence, LimitMask among) {
  // Read each order once: if a change moved one during the sort, the sort could leave its bounds.
  std::vector<std::tuple<LimitScope, LimitKind, std::uint32_t, std::uint32_t>> ranked;
  for (const std::uint32_t index : LimitIndices(listed_limits(block, presence) & among)) {
    const bool list = kind_of(index) == LimitKind::rate || kind_of(index) == LimitKind::window;
    ranked.emplace_back(scope_of(index), kind_of(index), list ? listing_of(block.limits[index]).order : index,
                        index);
  }
  std::sort(ranked.begin(), ranked.end());  // ties are broken by the index
  std::vector<std::uint32_t> indices;
  indices.reserve(ranked.size());
  for (const auto& entry : ranked) indices.push_back(std::get<3>(entry));
  return indices;
}

Rate rate_of(const Block& block, std::uint32_t index) noexcept {
  const LimitRecord& record = block.limits[index];
  const std::uint64_t params = record.params.load(std::memory_order_relaxed);
  Rate rate{
      record.before.load(std::memory_order_relaxed),
      std::chrono::nanoseconds(static_cast<std::int64_t>(record.period.load(std::memory_order_relaxed))),
      packed::to_token_bucket(params).burst, mode_of(block, index), listing_of(record).lease};
  const bool as_written = rate.count != 0 && rate.period.count() > 0 && packed::rate(rate) == params;
  if (as_written) return rate;
  // A change is half written, or the record is damaged: what the operator wrote is not available, so report the
  // enforced rate in normalised form.
  rate.count = 1;
  rate.period = std::chrono::nanoseconds(std::max<std::int64_t>(
      1, static_cast<std::int64_t>(ns_from_ticks(packed::to_token_bucket(params).emission_interval))));
  return rate;
}

std::string read_name(const NameWords& name) {
  std::array<char, sizeof(NameWords)> bytes{};
  for (std::size_t i = 0; i < name.size(); ++i) {
    const std::uint64_t word = name[i].load(std::memory_order_relaxed);
    std::memcpy(bytes.data() + i * sizeof(word), &word, sizeof(word));
  }
  return {bytes.data(),
          static_cast<std::size_t>(std::find(bytes.begin(), bytes.end() - 1, '\0') - bytes.begin())};
}

void write_name(NameWords& name, std::string_view text) noexcept {
  std::array<char, sizeof(NameWords)> bytes{};
  std::copy_n(text.data(), std::min(text.size(), bytes.size() - 1), bytes.begin());
  for (std::size_t i = 0; i < name.size(); ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i * sizeof(word), sizeof(word));
    name[i].store(word, std::memory_order_relaxed);
  }
}

std::uint32_t find_block(std::span<const IndexSlot> index, Hash128 hash) noexcept {
  for (std::uint32_t i = 0; i < kIndexSlots && i < index.size(); ++i) {
    const IndexSlot& slot = index[(hash.low + i) % kIndexSlots];
    // sync(index): acquire; pairs with publish_block(). A slot that names a block has the hash of its name, and
    // the block has its limits.
    const std::uint64_t block = slot.block.load(std::memory_order_acquire);
    if (block == 0) return 0;
    if (slot.hash_low.load(std::memory_order_relaxed) != hash.low ||
        slot.hash_high.load(std::memory_order_relaxed) != hash.high)
      continue;
    return block < kMaxBlocks ? static_cast<std::uint32_t>(block) : 0;
  }
  return 0;
}

std::string limit_name(std::span<const Block> blocks, LimitRef ref) {
  const Block& block = blocks[ref.block];
  std::string owner = "global";
  if (ref.block >= kFirstOverride) {
    owner = fmt::format("overrides.users.\"{}\"", read_name(block.name));
  } else if (ref.block >= kFirstOperation) {
    owner = fmt::format("operations.{}", read_name(block.name));
  }
  const bool user = scope_of(ref.index) == LimitScope::user;
  if (user && ref.block < kFirstOverride) owner += ".user";
  const auto is_candidate = [&](std::uint32_t index) { return mode_of(block, index) == Mode::candidate; };
  const auto order = [&](std::uint32_t index) { return listing_of(block.limits[index]).order; };
  const LimitMask present = listed_limits(block, block.presence(std::memory_order_relaxed));
  const auto listed = [&](std::string_view key, LimitMask kind) {
    // A candidate is not an element of the list: it belongs to the element before it.
    std::uint32_t siblings = 0;
    std::uint32_t before = 0;
    for (const std::uint32_t index : LimitIndices(present & (user ? kind << kScopeLimits : kind))) {
      if (is_candidate(index)) continue;
      ++siblings;
      if (order(index) < order(ref.index)) ++before;
    }
    if (is_candidate(ref.index) && before > 0) --before;
    std::string name =
        siblings <= 1 ? fmt::format("{}.{}", owner, key) : fmt::format("{}.{}[{}]", owner, key, before);
    return is_candidate(ref.index) ? name + ".candidate" : name;
  };
  switch (kind_of(ref.index)) {
    case LimitKind::rate:
      return listed("rate", masks::kRates);
    case LimitKind::window:
      return listed("window", masks::kWindows);
    case LimitKind::permits:
      return ref.index % kScopeLimits == kPermits ? owner + ".concurrent" : owner + ".concurrent.candidate";
    case LimitKind::cooldown:
      return owner + ".cooldown";
    case LimitKind::breaker:
      return owner + ".breaker";
    case LimitKind::queue:
      break;
  }
  return owner + ".queue";
}

}  // namespace weir::detail
