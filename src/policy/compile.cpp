#include "policy/compile.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "policy/line_up.hpp"
#include "policy/turn.hpp"
#include "policy/window_books.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {
namespace {

Mode shadow_if(bool shadow) {
  return shadow ? Mode::shadow : Mode::enforced;
}

LimitValue value_of(const Rate& rate) {
  return {packed::rate(emission_interval(rate), rate.burst), rate.count,
          static_cast<std::uint64_t>(rate.period.count()), rate.mode};
}

WindowKind chosen(const Window& window, LimitScope scope) {
  if (window.kind != WindowKind::automatic) return window.kind;
  if (scope == LimitScope::user) return WindowKind::weighted;
  return window.limit <= kMaxPermits ? WindowKind::log : WindowKind::ring;
}

LimitValue value_of(const Window& window, LimitScope scope) {
  return {packed::window({window.limit, chosen(window, scope), whole_ms(window.length)}), 0, 0, window.mode};
}

LimitValue value_of(const Cooldown& cooldown) {
  if (cooldown.length.count() == 0) return {};
  return {packed::cooldown({cooldown.refusals, whole_ms(cooldown.length)}), 0, 0, shadow_if(cooldown.shadow)};
}

void compile_into(BlockValue& block, const Limits& limits, LimitScope scope) {
  const std::uint32_t first = scope == LimitScope::user ? kScopeLimits : 0;
  for (std::uint32_t i = 0; i < limits.rates.size(); ++i) {
    block[first + kFirstRate + i] = value_of(limits.rates[i]);
    block[first + kFirstRate + i].order = i;
  }
  for (std::uint32_t i = 0; i < limits.windows.size(); ++i) {
    block[first + kFirstWindow + i] = value_of(limits.windows[i], scope);
    block[first + kFirstWindow + i].order = i;
  }
  block[first + kPermits] = {limits.concurrent.limit, 0, 0, shadow_if(limits.concurrent.shadow)};
  block[first + kPermitsCandidate] = {limits.concurrent.candidate, 0, 0, Mode::candidate};
  block[first + kCooldown] = value_of(limits.cooldown);
}

bool is_ring(std::uint32_t index, std::uint64_t params) {
  return kind_of(index) == LimitKind::window && packed::to_window(params).kind == WindowKind::ring;
}

/// Gives out a part of a cells section: the next words that nobody ever had.
Result<CellRange> take_cells(Word& used, std::span<Word> section, std::uint32_t count) {
  const std::uint64_t offset = used.load(std::memory_order_relaxed);
  if (offset + count > section.size()) {
    return fail(Errc::no_space,
                fmt::format("{} more cells: this segment has {} left of {}", count,
                            section.size() - std::min<std::uint64_t>(offset, section.size()), section.size()),
                "remove the segment and let it be created again with the new limits");
  }
  used.store(offset + count, std::memory_order_relaxed);
  return CellRange{static_cast<std::uint32_t>(offset), count};
}

SharedWindow window_of(const Sections& sections, LimitRecord& record) {
  return {record, sections.window_cells, sections.created_wall_ns};
}

/// How many times a log has to keep: as many as its limit, and what the window counts that it takes over from,
/// since a higher limit may follow.
std::uint32_t times_of_log(const Sections& sections, Block& block, const LimitValue& value,
                           std::uint64_t now) {
  const std::uint32_t limit = packed::to_window(value.params).limit;
  if (value.heir_of == 0) return limit;
  const WindowBooks books = WindowBooks::of(window_of(sections, block.limits[value.heir_of - 1]), now);
  return std::max(limit, static_cast<std::uint32_t>(std::min<std::uint64_t>(books.total(), kMaxPermits)));
}

/// How many new cells the new value of a record needs; 0: those that it has will do.
Result<std::uint32_t> cells_to_take(const Sections& sections, Block& block, std::uint32_t index,
                                    const LimitValue& value, std::uint64_t now) {
  const bool permits = kind_of(index) == LimitKind::permits;
  const LimitRecord& where = block.limits[index];
  std::uint32_t wanted = permits ? permit_cells_for(index, value) : window_cells_for(index, value);
  if (wanted == 0) return 0U;
  const CellRange has = CellRange::from_word(where.cells.load(std::memory_order_relaxed));
  std::uint32_t least = permits ? static_cast<std::uint32_t>(value.params) : kRingCells;
  if (!permits && !is_ring(index, value.params)) {
    least = times_of_log(sections, block, value, now) + 1;
    wanted = std::max(wanted, least);
  }
  if (has.count >= least) return 0U;
  const bool in_use = where.params.load(std::memory_order_relaxed) != 0;
  if (permits && has.count != 0 &&
      in_use) {  // permits are held in the old cells: two ranges would be two limits
    return fail(
        Errc::no_space,
        fmt::format("concurrent: at most {} in this segment, whose cells were given out at first", has.count),
        "remove the segment and let it be created again");
  }
  return wanted;
}

Result<void> provide_cells(const Sections& sections, Block& block, std::uint32_t index,
                           const LimitValue& value, std::uint64_t now) {
  const auto wanted = cells_to_take(sections, block, index, value, now);
  if (!wanted) return wanted.error();
  if (*wanted == 0) return {};
  auto cells = kind_of(index) == LimitKind::permits
                   ? take_cells(sections.control->permit_cells, sections.permit_cells, *wanted)
                   : take_cells(sections.control->window_cells, sections.window_cells, *wanted);
  if (!cells) return cells.error();
  block.limits[index].cells.store(cells->word(), std::memory_order_relaxed);
  return {};
}

/// Whether a record says this already, in these words.
bool is_written(const LimitRecord& record, std::uint32_t index, const LimitValue& value) noexcept {
  if (record.params.load(std::memory_order_relaxed) != value.params) return false;
  return kind_of(index) != LimitKind::rate || (record.before.load(std::memory_order_relaxed) == value.count &&
                                               record.period.load(std::memory_order_relaxed) == value.period);
}

bool is_shared_window(std::uint32_t index) {
  return kind_of(index) == LimitKind::window && scope_of(index) == LimitScope::shared;
}

/// Writes the params of a record, and what goes with them.
void write_record(LimitRecord& record, std::uint32_t index, const LimitValue& value, std::uint64_t now) {
  const std::uint64_t before = record.params.load(std::memory_order_relaxed);
  if (kind_of(index) == LimitKind::rate) {
    record.before.store(value.count, std::memory_order_relaxed);
    record.period.store(value.period, std::memory_order_relaxed);
    // crash here: shown as 1 in its interval until it is set again; enforced as before.
  } else if (kind_of(index) == LimitKind::window && scope_of(index) == LimitScope::user) {
    const packed::WindowParams old = packed::to_window(before);
    const packed::WindowParams next = packed::to_window(value.params);
    // crash here: the params say the same as `before` then, and mean what they meant.
    if (before != 0 && (old.kind != next.kind || old.length_ms != next.length_ms)) {
      record.before.store(before, std::memory_order_relaxed);
      record.period.store(1, std::memory_order_relaxed);
    }
  }
  if (kind_of(index) == LimitKind::permits && record.state.load(std::memory_order_relaxed) < value.params) {
    record.state.store(value.params, std::memory_order_relaxed);
  }
  if (before != 0) record.changed.store(std::max<std::uint64_t>(now, 1), std::memory_order_relaxed);
  // sync(reach), sync(changed): release; pairs with the acquire of whoever goes on to permit_cells(), and of
  // whoever asks how old the params are.
  record.params.store(value.params, std::memory_order_release);
}

/// Of a record that nobody decides over.
void clear_books(const Sections& sections, LimitRecord& record) {
  record.state.store(0, std::memory_order_relaxed);
  const CellRange cells = CellRange::from_word(record.cells.load(std::memory_order_relaxed));
  for (Word& cell : cells.in(sections.window_cells)) cell.store(0, std::memory_order_relaxed);
}

/// Adds what an old record counts, and is not in `known` yet, to its heir.
void take_over(const Sections& sections, LimitRecord& heir, LimitRecord& old, const WindowBooks& known,
               std::uint64_t now) {
  const WindowBooks books = WindowBooks::of(window_of(sections, old), now);
  books.without(known).charge_to(window_of(sections, heir));
}

}  // namespace

Config canonical(Config config) {
  const auto limits = [](Limits& of, LimitScope scope) {
    for (Window& window : of.windows) window.kind = chosen(window, scope);
    for (Rate& rate : of.rates) rate.burst = packed::to_token_bucket(value_of(rate).params).burst;
  };
  const auto operation = [&](OperationPolicy& policy) {
    limits(policy.shared, LimitScope::shared);
    limits(policy.user, LimitScope::user);
    if (policy.breaker) policy.breaker = to_policy(to_params(*policy.breaker, 0), policy.breaker->shadow);
  };
  operation(config.global);
  for (auto& entry : config.operations) operation(entry.second);
  for (auto& entry : config.users) limits(entry.second.limits, LimitScope::user);
  return config;
}

BlockValue compile(const OperationPolicy& policy) {
  BlockValue block{};
  compile_into(block, policy.shared, LimitScope::shared);
  compile_into(block, policy.user, LimitScope::user);
  if (policy.breaker) block[kBreaker] = {1, 0, 0, shadow_if(policy.breaker->shadow)};
  return block;
}

BlockValue compile(const UserOverride& user) {
  BlockValue block{};
  if (!user.exempt) compile_into(block, user.limits, LimitScope::user);
  return block;
}

std::uint32_t permit_cells_for(std::uint32_t index, const LimitValue& value) noexcept {
  if (kind_of(index) != LimitKind::permits || scope_of(index) != LimitScope::shared || value.params == 0)
    return 0;
  constexpr std::uint64_t kLeast = 64;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(2 * value.params, kLeast, kMaxPermits));
}

std::uint32_t window_cells_for(std::uint32_t index, const LimitValue& value) noexcept {
  if (kind_of(index) != LimitKind::window || scope_of(index) != LimitScope::shared || value.params == 0)
    return 0;
  const packed::WindowParams window = packed::to_window(value.params);
  if (window.kind == WindowKind::ring) return kRingCells;
  if (window.kind != WindowKind::log) return 0;
  return 1 + static_cast<std::uint32_t>(
                 std::clamp<std::uint64_t>(2 * std::uint64_t{window.limit}, 8, kMaxPermits));
}

Result<Room> room_for(const Sections& sections, std::uint32_t block_index, const BlockValue& value,
                      std::uint64_t now) {
  Block& block = sections.blocks[block_index];
  const auto lined_up = line_up(block, value);
  if (!lined_up) return lined_up.error();
  Room room;
  for (std::uint32_t i = 0; i < kBlockLimits; ++i) {
    const auto cells = cells_to_take(sections, block, i, (*lined_up)[i], now);
    if (!cells) return cells.error();
    (kind_of(i) == LimitKind::permits ? room.permit_cells : room.window_cells) += *cells;
  }
  return room;
}

Result<LimitMask> write_block(const Sections& sections, std::uint32_t block_index, const BlockValue& value,
                              std::uint64_t now) {
  Block& block = sections.blocks[block_index];
  const auto lined_up = line_up(block, value);
  if (!lined_up) return lined_up.error();
  for (std::uint32_t i = 0; i < kBlockLimits; ++i) {
    if (auto cells = provide_cells(sections, block, i, (*lined_up)[i], now); !cells) return cells.error();
  }
  const Presence before = block.presence(std::memory_order_relaxed);
  LimitMask changed = 0;
  LimitMask heirs = 0;
  Presence presence;
  Presence with_old;  // records that have an heir are enforced until that has taken over
  std::array<WindowBooks, kBlockLimits> known;
  for (std::uint32_t i = 0; i < kBlockLimits; ++i) {
    LimitRecord& record = block.limits[i];
    const LimitValue& next = (*lined_up)[i];
    // What goes does so by its bit alone, and may come back as it was.
    if (next.params == 0) continue;
    presence.add(i, next.mode);
    with_old.add(i, next.mode);
    const bool with_new_books =
        is_shared_window(i) && !before.has(i) &&
        (next.heir_of != 0 || listing_of(record).superseded || !goes_on(record, next.params));
    // Before params: killed between the two, an heir would pass for a limit that went with these params.
    record.listing.store(Listing{next.mode, next.order, next.heir_of, false}.word(),
                         std::memory_order_relaxed);
    if (!is_written(record, i, next)) {
      write_record(record, i, next, now);
      changed |= LimitMask{1} << i;
    }
    if (with_new_books) clear_books(sections, record);
    if (next.heir_of == 0) continue;
    LimitRecord& old = block.limits[next.heir_of - 1];
    heirs |= LimitMask{1} << i;
    with_old.add(next.heir_of - 1, mode_of(block, next.heir_of - 1));
    known[i] = WindowBooks::of(window_of(sections, old), now);
    known[i].charge_to(window_of(sections, record));
  }
  // sync(present): release; pairs with the acquire of a decision. crash before: new records are nobody's.
  block.present.store(with_old.word(), std::memory_order_release);
  move_turn(sections.control->turn);
  // crash here: heirs are enforced beside what they take over from, and finish_block() adds what is missing.
  for (const std::uint32_t i : LimitIndices(heirs)) {
    LimitRecord& old = block.limits[(*lined_up)[i].heir_of - 1];
    take_over(sections, block.limits[i], old, known[i], now);
    Listing left = listing_of(old);
    left.superseded = true;
    old.listing.store(left.word(), std::memory_order_relaxed);
  }
  if (heirs != 0) block.present.store(presence.word(), std::memory_order_release);
  for (const std::uint32_t i : LimitIndices(heirs)) {
    block.limits[i].listing.store(Listing{(*lined_up)[i].mode, (*lined_up)[i].order}.word(),
                                  std::memory_order_relaxed);
  }
  return changed | (before.enforced() ^ presence.enforced()) | (before.counting() ^ presence.counting());
}

void finish_block(const Sections& sections, std::uint32_t block_index, std::uint64_t now) {
  Block& block = sections.blocks[block_index];
  const Presence before = block.presence(std::memory_order_relaxed);
  if (listed_limits(block, before) == before.any()) return;
  move_turn(sections.control->turn);
  Presence presence;
  for (const std::uint32_t i : LimitIndices(listed_limits(block, before))) {
    presence.add(i, mode_of(block, i));
    LimitRecord& record = block.limits[i];
    Listing listing = listing_of(record);
    if (listing.heir_of == 0 || listing.heir_of > kBlockLimits) continue;
    LimitRecord& old = block.limits[listing.heir_of - 1];
    // How much the killed change had taken over is not known: all of it, perhaps twice.
    if (is_shared_window(i) && before.has(listing.heir_of - 1)) take_over(sections, record, old, {}, now);
    Listing left = listing_of(old);
    left.superseded = true;
    old.listing.store(left.word(), std::memory_order_relaxed);
  }
  block.present.store(presence.word(), std::memory_order_release);
  for (const std::uint32_t i : LimitIndices(presence.any())) {
    Listing listing = listing_of(block.limits[i]);
    listing.heir_of = 0;
    block.limits[i].listing.store(listing.word(), std::memory_order_relaxed);
  }
}

namespace {

struct FamilyBlocks {
  Word& count;
  BlockIndex index;
  std::uint32_t first;
  std::uint32_t most;
};

FamilyBlocks blocks_of(const Sections& sections, Family family) {
  if (family == Family::operations) {
    return {sections.control->operations, sections.operation_index, kFirstOperation, kMaxOperations};
  }
  return {sections.control->overrides, sections.override_index, kFirstOverride, kMaxOverrides};
}

}  // namespace

Result<std::uint32_t> block_for(const Sections& sections, Family family, std::string_view name, Hash128 hash,
                                std::uint32_t& taken) {
  const FamilyBlocks blocks = blocks_of(sections, family);
  if (const std::uint32_t known = find_block(blocks.index, hash); known != 0) return known;
  const std::uint64_t count = blocks.count.load(std::memory_order_relaxed) + taken;
  if (count >= blocks.most) {
    return fail(Errc::no_space,
                fmt::format("all {} {} of this segment are taken", blocks.most,
                            family == Family::operations ? "operations" : "users with own limits"),
                "leave out those that nobody uses, and let the segment be created again");
  }
  const std::uint32_t block = blocks.first + static_cast<std::uint32_t>(count);
  write_name(sections.blocks[block].name, name);
  ++taken;
  return block;
}

void retire_block(const Sections& sections, std::uint32_t block) noexcept {
  sections.blocks[block].present.store(Presence::of_retired().word(), std::memory_order_release);
}

void give_block(const Sections& sections, Family family, std::uint32_t block,
                std::string_view name) noexcept {
  for (IndexSlot& slot : blocks_of(sections, family).index) {
    if (slot.block.load(std::memory_order_relaxed) == block)
      slot.block.store(kGap, std::memory_order_release);
  }
  // crash here: the old name is gone for good, and the block is still nobody's.
  Block& given = sections.blocks[block];
  given.tenancy.fetch_add(1, std::memory_order_release);
  given.exempt.store(0, std::memory_order_relaxed);
  for (LimitRecord& record : given.limits) {
    for (Word* word : {&record.params, &record.state, &record.before, &record.period, &record.would_refuse,
                       &record.changed, &record.listing}) {
      word->store(0, std::memory_order_relaxed);
    }
    const std::uint32_t index = static_cast<std::uint32_t>(&record - given.limits.data());
    if (is_shared_window(index)) clear_books(sections, record);
  }
  write_name(given.name, name);
}

void publish_block(const Sections& sections, Family family, Hash128 hash, std::uint32_t block) noexcept {
  const FamilyBlocks blocks = blocks_of(sections, family);
  const bool indexed = find_block(blocks.index, hash) != 0;
  for (std::uint32_t i = 0; i < kIndexSlots && !indexed; ++i) {
    IndexSlot& slot = blocks.index[(hash.low + i) % kIndexSlots];
    const std::uint64_t taken = slot.block.load(std::memory_order_relaxed);
    if (taken != 0 && taken != kGap) continue;
    slot.hash_low.store(hash.low, std::memory_order_relaxed);
    slot.hash_high.store(hash.high, std::memory_order_relaxed);
    // sync(index): release; pairs with find_block(). crash before: nobody sees the block, the next change
    // takes it again.
    slot.block.store(block, std::memory_order_release);
    break;
  }
  // crash here: found by its name, and not yet listed; the next change finds it so and lists it.
  // sync(blocks): release; pairs with Sections::operations() and overrides().
  const std::uint64_t count = blocks.count.load(std::memory_order_relaxed);
  blocks.count.store(std::max<std::uint64_t>(count, block - blocks.first + 1), std::memory_order_release);
}

void store_breaker(const Sections& sections, std::uint32_t block, const std::optional<Breaker>& breaker) {
  if (!breaker) return;
  BreakerRecord& record = sections.breaker(block);
  const BreakerParams params = to_params(*breaker, sections.seed + block);
  const BreakerKind kind = breaker->shadow ? BreakerKind::metrics_only : BreakerKind::closed;
  const Block& here = sections.blocks[block];
  const bool was_there = here.presence(std::memory_order_relaxed).has(kBreaker);
  const bool same_mode = (mode_of(here, kBreaker) != Mode::enforced) == breaker->shadow;
  record.breaker.watch(params.slow_rate != 0);
  // crash here: calls in flight are counted or not before their rate is in force; the next change says it again.
  const BreakerParams before = record.params.load();
  const bool same = to_policy(before, breaker->shadow) == *breaker && before.recovery != 0;
  if (was_there && same && same_mode) return;
  if (!same) record.params.store(params);
  // crash here: the new thresholds over the old counts; the next change sees to it.
  if (!was_there || !same_mode || !is_switched(record.breaker.status(params, 0).kind, breaker->shadow))
    record.breaker.set(kind);
}

void store_config(const Sections& sections, const Config& config, const KeyHasher& hasher) {
  // Sized for it: none of these can fail.
  (void)write_block(sections, kGlobalBlock, compile(config.global), 0);
  for (const auto& [name, policy] : config.operations) {
    std::uint32_t taken = 0;
    const auto block = block_for(sections, Family::operations, name, hasher(name), taken);
    if (!block) continue;
    store_breaker(sections, *block, policy.breaker);
    (void)write_block(sections, *block, compile(policy), 0);
    publish_block(sections, Family::operations, hasher(name), *block);
  }
  for (const auto& [key, user] : config.users) {
    std::uint32_t taken = 0;
    const auto block = block_for(sections, Family::overrides, key, hasher(key), taken);
    if (!block) continue;
    (void)write_block(sections, *block, compile(user), 0);
    sections.blocks[*block].exempt.store(user.exempt ? 1 : 0, std::memory_order_relaxed);
    publish_block(sections, Family::overrides, hasher(key), *block);
  }
}

namespace {

Limits read_limits(const Block& block, LimitScope scope) {
  const std::uint32_t first = scope == LimitScope::user ? kScopeLimits : 0;
  const Presence presence = block.presence(std::memory_order_acquire);
  const auto params = [&](std::uint32_t index) {
    return block.limits[index].params.load(std::memory_order_relaxed);
  };
  Limits limits;
  for (const std::uint32_t index : in_order(block, presence, masks::kRates << first)) {
    limits.rates.push_back(rate_of(block, index));
  }
  for (const std::uint32_t index : in_order(block, presence, masks::kWindows << first)) {
    const packed::WindowParams window = packed::to_window(params(index));
    limits.windows.push_back(
        {window.limit, std::chrono::milliseconds(window.length_ms), window.kind, mode_of(block, index)});
  }
  if (presence.has(first + kPermits)) {
    limits.concurrent.limit = static_cast<std::uint32_t>(params(first + kPermits));
    limits.concurrent.shadow = presence.counts_only(first + kPermits);
  }
  if (presence.has(first + kPermitsCandidate)) {
    limits.concurrent.candidate = static_cast<std::uint32_t>(params(first + kPermitsCandidate));
  }
  if (presence.has(first + kCooldown)) {
    const packed::CooldownParams cooldown = packed::to_cooldown(params(first + kCooldown));
    limits.cooldown = {std::chrono::milliseconds(cooldown.length_ms), cooldown.refusals,
                       presence.counts_only(first + kCooldown)};
  }
  return limits;
}

}  // namespace

template <bool kWritable>
Config load_config(const BasicSections<kWritable>& sections, std::string_view segment_name) {
  Config config;
  config.segment = segment_policy(sections.settings, segment_name);
  const auto read = [&](std::uint32_t block_index) {
    const Block& block = sections.blocks[block_index];
    OperationPolicy policy{read_limits(block, LimitScope::shared), read_limits(block, LimitScope::user), {}};
    if (block.presence(std::memory_order_relaxed).has(kBreaker) && block_index != kGlobalBlock) {
      const bool shadow = mode_of(block, kBreaker) != Mode::enforced;
      policy.breaker = to_policy(sections.breaker(block_index).params.load(), shadow);
    }
    return policy;
  };
  config.global = read(kGlobalBlock);
  for (std::uint32_t i = 0; i < sections.operations(); ++i) {
    if (sections.blocks[kFirstOperation + i].presence(std::memory_order_acquire).retired()) continue;
    config.operations[read_name(sections.blocks[kFirstOperation + i].name)] = read(kFirstOperation + i);
  }
  for (std::uint32_t i = 0; i < sections.overrides(); ++i) {
    const Block& block = sections.blocks[kFirstOverride + i];
    if (block.presence(std::memory_order_acquire).retired()) continue;
    config.users[read_name(block.name)] = {block.exempt.load(std::memory_order_relaxed) != 0,
                                           read_limits(block, LimitScope::user)};
  }
  return config;
}
template Config load_config(const Sections& sections, std::string_view segment_name);
template Config load_config(const SectionsView& sections, std::string_view segment_name);

}  // namespace weir::detail
