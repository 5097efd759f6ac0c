// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <functional>

#include "weir/clock.hpp"
#include "weir/inspect.hpp"

#include "base/result.hpp"
#include "base/text.hpp"
#include "policy/queues.hpp"
#include "policy/schema.hpp"
#include "policy/user_rule.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/seat.hpp"
#include "users/names.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): this file uses names of many layers

/// An entry of the table, with its rank in the wanted order: the highest comes first.
struct Row {
  double rank = 0;
  UserLimit limit;
  std::uint64_t tag_hash = 0;
  std::uint64_t state = 0;
};

class UserReader {
 public:
  UserReader(const Segment& segment, const SectionsView& sections)
      : segment_(segment),
        sections_(sections),
        hasher_(segment.header().secret),
        now_(ticks_at(segment.header(), HostClock::now())) {
    for (const Seat& seat : sections.seats) {
      const Seated seated = Seated::of(seat.load());
      if (seated.taken() && (seated.lacks.what & kOfUser) != Lacks::nothing) waiters_.push_back(seated.lacks);
    }
  }

  [[nodiscard]] std::uint32_t operation(std::string_view name) const {
    return find_block(sections_.operation_index, hasher_(name));
  }

  /// Lists the `top` entries of highest rank. Only these are kept, in a heap, since the table may be larger than the
  /// memory of this process.
  [[nodiscard]] std::vector<UserEntry> list(const UserQuery& query, std::uint32_t only_block) const {
    const auto later = [](const Row& a, const Row& b) { return a.rank > b.rank; };
    std::vector<Row> heap;
    sections_.for_each_user_entry(segment_,
                                  [&](UserLimit limit, std::uint64_t state, std::uint64_t tag_hash) {
                                    const LimitRef ref = LimitRef::of(LimitId{limit.id});
                                    if (state == 0 || limit.id == 0 || ref.block >= kMaxBlocks) return;
                                    if (only_block != 0 && ref.block != only_block) return;
                                    const double rank = rank_of(query.order, ref, state);
                                    if (rank <= 0 || query.top == 0) return;
                                    if (heap.size() == query.top && rank <= heap.front().rank) return;
                                    if (heap.size() == query.top) {
                                      std::pop_heap(heap.begin(), heap.end(), later);
                                      heap.pop_back();
                                    }
                                    heap.push_back({rank, limit, tag_hash, state});
                                    std::push_heap(heap.begin(), heap.end(), later);
                                  });
    std::sort_heap(heap.begin(), heap.end(), later);
    std::vector<UserEntry> entries;
    entries.reserve(heap.size());
    for (const Row& row : heap) {
      const LimitRef ref = LimitRef::of(LimitId{row.limit.id});
      entries.push_back(entry(ref, row.state, {}));
      entries.back().waiting = waiting(ref, row.tag_hash);
      name(entries.back(), row.tag_hash);
    }
    return entries;
  }

  /// Looks up all limits that apply to one user, in the order of the configuration.
  [[nodiscard]] std::vector<UserEntry> look_up(std::string_view user) const {
    const Hash128 hash = hasher_(user);
    const std::uint32_t own = find_block(sections_.override_index, hash);
    std::vector<UserEntry> entries;
    const auto add = [&](std::uint32_t block_index) {
      const Presence presence = sections_.blocks[block_index].presence(std::memory_order_acquire);
      for (const std::uint32_t index : in_order(sections_.blocks[block_index], presence, masks::kUser)) {
        const LimitRef ref{block_index, index};
        entries.push_back(look_up(hash, ref, user));
        entries.back().waiting = waiting(ref, UserTable::tag_hash(hash));
      }
    };
    if (own != 0 && !sections_.blocks[own].presence(std::memory_order_acquire).retired()) {
      add(own);
      return entries;
    }
    add(kGlobalBlock);
    for (std::uint32_t i = 0; i < sections_.operations(); ++i) add(kFirstOperation + i);
    return entries;
  }

 private:
  [[nodiscard]] std::uint64_t params(LimitRef ref) const {
    return sections_.blocks[ref.block].limits[ref.index].params.load(std::memory_order_relaxed);
  }

  [[nodiscard]] double rank_of(UserOrder order, LimitRef ref, std::uint64_t state) const {
    if (kind_of(ref.index) == LimitKind::permits) {
      const double held = owner_set::count(state);
      const double limit = static_cast<double>(std::max<std::uint64_t>(1, params(ref)));
      return order == UserOrder::permits ? held : order == UserOrder::nearest_limit ? held / limit : 0;
    }
    if (order == UserOrder::permits || kind_of(ref.index) == LimitKind::breaker) return 0;
    const UserRule rule = UserRule::of(sections_, ref);
    const std::uint64_t wait = rule.wait(state, now_, 1);
    if (order == UserOrder::refused) return wait == kNever ? 0 : static_cast<double>(wait);
    if (rule.kind() == UserRule::Kind::cooldown) return wait == 0 ? 0 : 2;
    return 1 - static_cast<double>(rule.available(state, now_)) / std::max(1U, rule.limit());
  }

  [[nodiscard]] UserEntry entry(LimitRef ref, std::uint64_t state, std::string user) const {
    UserEntry entry{std::move(user), limit_name(sections_.blocks, ref)};
    if (kind_of(ref.index) == LimitKind::permits) {
      entry.of = static_cast<std::uint32_t>(params(ref));
      entry.permits = owner_set::count(state);
      entry.available = entry.of - std::min(entry.of, entry.permits);
      return entry;
    }
    const UserRule rule = UserRule::of(sections_, ref);
    entry.of = rule.kind() == UserRule::Kind::cooldown ? 1 : rule.limit();
    entry.available = std::min(entry.of, rule.available(state, now_));
    const std::uint64_t wait = rule.wait(state, now_, 1);
    if (wait != kNever) entry.retry_after = std::chrono::nanoseconds(ns_from_ticks(wait));
    return entry;
  }

  [[nodiscard]] UserEntry look_up(Hash128 hash, LimitRef ref, std::string_view user) const {
    const auto id = static_cast<std::uint16_t>(ref.id());
    if (kind_of(ref.index) == LimitKind::permits) {
      UserEntry all = entry(ref, 0, std::string(user));
      const LimitRecord& record = sections_.blocks[ref.block].limits[ref.index];
      for (std::uint32_t part = 0; part < permit_parts(record, all.of); ++part) {
        const UserKey key = UserTable::key(sections_.users, hash, part / UserTable::kPartsTogether);
        all.permits += owner_set::count(
            UserTable::look_up(sections_.users, key, {id, static_cast<std::uint8_t>(part)}).value_or(0));
      }
      all.available = all.of - std::min(all.of, all.permits);
      return all;
    }
    const auto found = UserTable::look_up(sections_.users, UserTable::key(sections_.users, hash), {id, 0});
    const std::uint64_t state = found ? *found : UserRule::of(sections_, ref).at_rest(now_);
    return entry(ref, state, std::string(user));
  }

  /// How many requests of a user wait for what one limit holds against it.
  [[nodiscard]] std::uint32_t waiting(LimitRef ref, std::uint64_t tag_hash) const {
    const Wants of_entry{lacks_of(LimitId{static_cast<std::uint16_t>(ref.id())}), ref.block,
                         user_in_seat(tag_hash)};
    return static_cast<std::uint32_t>(
        std::ranges::count_if(waiters_, [&](const Wants& lacks) { return lacks.concerns(of_entry); }));
  }

  void name(UserEntry& entry, std::uint64_t tag_hash) const {
    if (auto name = NameTable::find(sections_.names, tag_hash)) {
      entry.user = std::move(name->text);
      entry.name = name->cut ? NameKind::cut : NameKind::whole;
      if (name->cut) drop_part_of_a_character(entry.user);
    } else {
      entry.user = fmt::format("#{:012x}", tag_hash);
      entry.name = NameKind::hash;
    }
  }

  /// Removes the last character of a cut text if only some of its bytes are left.
  static void drop_part_of_a_character(std::string& text) {
    for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
      const auto byte = static_cast<unsigned char>(text[text.size() - back]);
      if ((byte & 0xc0U) == 0x80) continue;
      const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
      if (length > back) text.resize(text.size() - back);
      return;
    }
  }

  const Segment& segment_;
  SectionsView sections_;
  KeyHasher hasher_;
  std::uint64_t now_;
  std::vector<Wants> waiters_;  // of all requests that wait for a limit of their user, what they lack
};

template <class Call>
Result<std::vector<UserEntry>> with_reader(std::string_view segment, Call&& call) noexcept {
  return guarded([&]() -> Result<std::vector<UserEntry>> {
    WEIR_TRY(const auto attached, Segment::attach(segment, OpenMode::read_only, kAbiFingerprint));
    WEIR_TRY(const auto sections, SectionsView::of(attached));
    return call(UserReader(attached, sections));
  });
}

}  // namespace

Result<std::vector<UserEntry>> list_users(std::string_view segment, const UserQuery& query) noexcept {
  return with_reader(segment, [&](const UserReader& reader) -> Result<std::vector<UserEntry>> {
    const std::uint32_t only = query.operation.empty() ? 0 : reader.operation(query.operation);
    if (only == 0 && !query.operation.empty()) {
      return Error{Errc::not_in_segment,
                   fmt::format("operation {}: not in the segment", quoted(query.operation)),
                   "list its operations with: shm-inspect status"};
    }
    return reader.list(query, only);
  });
}

Result<std::vector<UserEntry>> look_up_user(std::string_view segment, std::string_view user) noexcept {
  return with_reader(segment, [&](const UserReader& reader) -> Result<std::vector<UserEntry>> {
    return reader.look_up(user);
  });
}

}  // namespace weir
