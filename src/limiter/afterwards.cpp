#include "limiter/afterwards.hpp"

#include "limiter/user_changes.hpp"
#include "primitives/cooldown.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::detail {
namespace {

TokenBucketParams rate(const LimitLine& line) noexcept {
  return packed::to_token_bucket(line.params.load(std::memory_order_relaxed));
}

void overdraw_user(const Context& context, std::uint32_t place, const UserRule& rule) noexcept {
  const Overdraw change{UserChangeBase(context), rule, context.ask.cost};
  context.users.update(context.ask.key, entry_of(context.ask.limits.id(place)), change);
}

BitRange<PlaceMask> quotas(const Context& context) noexcept {
  return BitRange<PlaceMask>(context.ask.limits.enforced() & places::kQuotas);
}

fixed_window::Count count_in(const Context& context, std::uint32_t place,
                             const packed::WindowParams& window) noexcept {
  if (!LimitSet::is_of_users(place)) return shared_window(context, place).add(context.now, context.ask.cost);
  overdraw_user(context, place, user_rule(context, place));
  const UserLimit entry = entry_of(context.ask.limits.id(place));
  return fixed_window::read(SharedWindow::fixed_params(window, context.sections.created_wall_ns),
                            context.users.find(context.ask.key, entry).state, context.now);
}

}  // namespace

void charge(const Context& context) noexcept {
  for (const std::uint32_t place : quotas(context)) {
    LimitLine& line = context.ask.limits.line(place);
    if (LimitSet::is_of_users(place)) {
      overdraw_user(context, place, user_rule(context, place));
    } else if (kind_of(place) == LimitKind::rate) {
      TokenBucket(line.state).charge(rate(line), context.now, context.ask.cost);
    } else {
      shared_window(context, place).charge(context.now, context.ask.cost);
    }
  }
}

void refund(const Context& context, std::uint64_t charged_at) noexcept {
  for (const std::uint32_t place : quotas(context)) refund(context, place, charged_at);
}

// What was spent under another rate cannot be told in tokens of this one: it stays spent, but nobody owes
// more than an empty bucket for it.
void refund(const Context& context, std::uint32_t place, std::uint64_t charged_at) noexcept {
  const Ask& ask = context.ask;
  LimitLine& line = ask.limits.line(place);
  if (LimitSet::is_of_users(place)) {
    const UserRule rule = user_rule(context, place);
    if (kind_of(place) == LimitKind::rate && line.changed_since(charged_at)) {
      const std::uint64_t deepest = rate(line).depth();
      const std::uint64_t now = context.clock();
      context.users.modify(ask.key, entry_of(ask.limits.id(place)), nullptr, [&](std::uint64_t tat) {
        return gcra::debt(tat, now) > deepest ? std::optional(now + deepest) : std::nullopt;
      });
      return;
    }
    context.users.modify(ask.key, entry_of(ask.limits.id(place)), nullptr, [&](std::uint64_t state) {
      // The clock after the state, as TokenBucket::refund() does.
      return std::optional(rule.refunded(state, context.clock(), ask.cost, charged_at));
    });
  } else if (kind_of(place) == LimitKind::rate) {
    if (line.changed_since(charged_at)) return TokenBucket(line.state).clamp(rate(line), context.clock());
    TokenBucket(line.state).refund(rate(line), context.clock, ask.cost, charged_at);
  } else {
    shared_window(context, place).refund(context.clock(), ask.cost, charged_at);
  }
}

std::optional<WindowCount> count_in_fixed_windows(const Context& context) noexcept {
  std::optional<WindowCount> most;
  for (const std::uint32_t place : quotas(context)) {
    const std::uint64_t params = context.ask.limits.line(place).params.load(std::memory_order_relaxed);
    const packed::WindowParams window = packed::to_window(params);
    if (kind_of(place) != LimitKind::window || window.kind != WindowKind::fixed) continue;
    const fixed_window::Count counted = count_in(context, place, window);
    const auto over = [](std::uint32_t count, std::uint32_t of) { return std::int64_t{count} - of; };
    if (most && over(most->count, most->of) >= over(counted.count, window.limit)) continue;
    const std::chrono::nanoseconds expires(static_cast<std::int64_t>(
        context.sections.created_wall_ns + ns_from_ticks(context.now + counted.expires_in)));
    using std::chrono::system_clock;
    most = {context.ask.limits.id(place), counted.count, window.limit,
            system_clock::time_point(std::chrono::duration_cast<system_clock::duration>(expires))};
  }
  return most;
}

std::uint64_t cooldown_state(const Context& context, std::uint32_t place) noexcept {
  const LimitSet& limits = context.ask.limits;
  return LimitSet::is_of_users(place) ? context.users.find(context.ask.key, entry_of(limits.id(place))).state
                                      : limits.line(place).state.load(std::memory_order_relaxed);
}

std::uint64_t note_refusal(const Context& context, LimitId refused_by) noexcept {
  const LimitPlace refused = LimitPlace::of(refused_by);
  const bool user = scope_of(refused.line) == LimitScope::user;
  const std::uint32_t at = (user ? kScopeLines : 0) + kCooldown;
  Block& block = context.sections.blocks[refused.block];
  const Presence presence = block.presence(std::memory_order_acquire);
  if (!presence.has(at)) return 0;
  const bool enforced = !presence.counts_only(at);
  const auto packed = packed::to_cooldown(block.limits[at].params.load(std::memory_order_relaxed));
  const cooldown::Params params{packed.refusals, packed.length()};
  if (user) {
    const UserLimit entry = entry_of(LimitPlace{refused.block, at}.id());
    const NoteRefusal change{UserChangeBase(context), params};
    const bool noted = context.users.update(context.ask.key, entry, change) != UserTable::Outcome::full;
    return enforced && noted ? change.wait : 0;
  }
  const std::uint64_t wait = CooldownWord(block.limits[at].state).refuse(params, context.now);
  return enforced ? wait : 0;
}

void end_streaks(const Context& context, PlaceMask cooldowns) noexcept {
  const LimitSet& limits = context.ask.limits;
  for (const std::uint32_t place : BitRange<PlaceMask>(cooldowns)) {
    if (LimitSet::is_of_users(place)) {
      context.users.modify(context.ask.key, entry_of(limits.id(place)), nullptr,
                           [](std::uint64_t state) { return std::optional(cooldown::admitted(state)); });
      continue;
    }
    CooldownWord(limits.line(place).state).admit();
  }
}

}  // namespace weir::detail
