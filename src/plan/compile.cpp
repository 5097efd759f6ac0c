#include "plan/compile.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace weir::detail {
namespace {

/// A block whose limits of one scope are compiled.
struct Source {
  std::uint32_t block;
  Presence presence;
};

Source source(const Sections& sections, std::uint32_t block) noexcept {
  // sync(present): acquire; pairs with write_block(): a bit that is seen comes with its line.
  return {block, sections.blocks[block].presence(std::memory_order_acquire)};
}

/// Calls visit(LimitPlace, LimitLine&, bool counts_only) for the lines of a mask that are limits: those that
/// are enforced, block by block, then those that only count.
template <class Visit>
void for_each_limit(const Sections& sections, std::span<const Source> sources, LineMask among,
                    Visit&& visit) noexcept {
  for (const bool counts_only : {false, true}) {
    for (const Source& source : sources) {
      const LineMask lines = counts_only ? source.presence.counting() : source.presence.enforced();
      for (const std::uint32_t line : LineRange(lines & among)) {
        visit(LimitPlace{source.block, line}, sections.blocks[source.block].limits[line], counts_only);
      }
    }
  }
}

std::uint64_t params_of(const LimitLine& line) noexcept {
  return line.params.load(std::memory_order_relaxed);
}

CooldownStep cooldown_step(LimitPlace place, LimitLine& line) noexcept {
  const packed::CooldownParams params = packed::to_cooldown(params_of(line));
  return {&line, {params.refusals, params.length()}, place.id()};
}

PermitStep permit_step(const Sections& sections, LimitPlace place, LimitLine& line) noexcept {
  // sync(reach): acquire; pairs with write_block(): permit_cells() reaches as far as this limit.
  const auto limit = static_cast<std::uint32_t>(line.params.load(std::memory_order_acquire));
  return {&line, Permits(permit_cells(line, limit, sections.permit_cells)), limit, place.id()};
}

UserPermitStep user_permit_step(LimitPlace place, LimitLine& line) noexcept {
  const std::uint64_t params = line.params.load(std::memory_order_acquire);  // sync(reach)
  const auto limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(params, kMaxUserPermits));
  return {&line, limit, permit_parts(line, limit), place.id()};
}

SharedSteps compile_shared(const Sections& sections, std::span<const Source> sources) noexcept {
  SharedSteps steps;
  const auto each = [&](LineMask among, auto&& visit) { for_each_limit(sections, sources, among, visit); };
  each(lines::kRates, [&](LimitPlace place, LimitLine& line, bool counts_only) {
    steps.rates.add({&line, packed::to_token_bucket(params_of(line)), place.id()}, counts_only);
  });
  each(lines::kBulkheads, [&](LimitPlace place, LimitLine& line, bool counts_only) {
    steps.permits.add(permit_step(sections, place, line), counts_only);
  });
  each(lines::kWindows, [&](LimitPlace place, LimitLine& line, bool counts_only) {
    const SharedWindow window(line, sections.window_cells, sections.created_wall_ns);
    steps.windows.add({&line, window, place.id()}, counts_only);
  });
  each(lines::kCooldowns, [&](LimitPlace place, LimitLine& line, bool counts_only) {
    steps.cooldowns.add(cooldown_step(place, line), counts_only);
  });
  steps.rare = !steps.windows.enforced().empty() || !steps.cooldowns.enforced().empty();
  steps.more_than_rates = steps.rare || !steps.permits.enforced().empty();
  return steps;
}

UserSteps compile_user(const Sections& sections, std::span<const Source> sources) noexcept {
  UserSteps steps;
  const auto each = [&](LineMask among, auto&& visit) {
    for_each_limit(sections, sources, among << kScopeLines, visit);
  };
  // All that are enforced come before those that only count: so kind by kind would not do.
  const auto add_quota = [&](bool of_counting) {
    for (const LineMask kind : {lines::kRates, lines::kWindows}) {
      each(kind, [&](LimitPlace place, LimitLine& line, bool counts_only) {
        if (counts_only == of_counting)
          steps.quotas.add({&line, UserRule::of(sections, place), place.id()}, counts_only);
      });
    }
  };
  add_quota(false);
  add_quota(true);
  each(lines::kBulkheads, [&](LimitPlace place, LimitLine& line, bool counts_only) {
    steps.permits.add(user_permit_step(place, line), counts_only);
  });
  each(lines::kCooldowns, [&](LimitPlace place, LimitLine& line, bool counts_only) {
    steps.cooldowns.add(cooldown_step(place, line), counts_only);
  });
  steps.rare = !steps.cooldowns.enforced().empty();
  return steps;
}

bool has_counting(const SharedSteps& steps) noexcept {
  return steps.rates.counting().size() + steps.permits.counting().size() + steps.windows.counting().size() +
             steps.cooldowns.counting().size() !=
         0;
}
bool has_counting(const UserSteps& steps) noexcept {
  return steps.quotas.counting().size() + steps.permits.counting().size() +
             steps.cooldowns.counting().size() !=
         0;
}

}  // namespace

Plan compile_plan(const Sections& sections, std::uint32_t block, std::uint32_t handle) noexcept {
  Plan plan;
  plan.block = block;
  plan.handle = handle;
  const std::array sources{source(sections, kGlobalBlock), source(sections, block)};
  const Presence own = sources[1].presence;
  plan.retired = own.retired();
  plan.overrides = sections.overrides() != 0;
  plan.shared = compile_shared(sections, sources);
  if (own.has(kBreaker)) {
    plan.shared.breaker = &sections.breaker(block);
    plan.shared.breaker_id = LimitPlace{block, kBreaker}.id();
    plan.shared.more_than_rates = true;
  }
  plan.user = compile_user(sections, sources);
  plan.of_users = plan.overrides || !plan.user.empty();
  plan.counting = has_counting(plan.shared) || has_counting(plan.user);
  return plan;
}

UserSteps compile_override(const Sections& sections, std::uint32_t block) noexcept {
  const std::array sources{source(sections, block)};
  return compile_user(sections, sources);
}

}  // namespace weir::detail
