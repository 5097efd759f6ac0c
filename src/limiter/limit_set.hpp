#pragma once

// The limits that one request passes: 64 places, four scopes of sixteen lines.
//
//    0 to 15   global                       the global block
//   16 to 31   global, of each user         the global block; none for a user with limits of its own
//   32 to 47   of the operation             its block
//   48 to 63   of the operation, each user  its block; or that of a user with limits of its own
//
// So "every rate over all users" is one mask, and a place leads to its line by arithmetic.

#include <array>
#include <cstdint>

#include "policy/blocks.hpp"

namespace weir::detail {

using PlaceMask = std::uint64_t;

namespace places {
/// The same lines of both shared scopes; of both scopes of users.
[[nodiscard]] constexpr PlaceMask of_all(LineMask lines) noexcept {
  return PlaceMask{lines} | PlaceMask{lines} << kBlockLines;
}
[[nodiscard]] constexpr PlaceMask of_each(LineMask lines) noexcept {
  return of_all(lines) << kScopeLines;
}
inline constexpr PlaceMask kUsers = of_each(lines::kShared);
inline constexpr PlaceMask kQuotas =
    of_all(lines::kRates | lines::kWindows) | of_each(lines::kRates | lines::kWindows);
inline constexpr PlaceMask kBreakers = of_all(lines::kBreakers);
}  // namespace places

class LimitSet {
 public:
  /// @param operation   its block.
  /// @param has_user    whether limits per user apply.
  /// @param user_block  of a user with limits of its own; 0: none.
  void gather(std::span<Block> blocks, std::uint32_t operation, bool has_user,
              std::uint32_t user_block) noexcept {
    operation_ = operation;
    scopes_[0] = scope(blocks, kGlobalBlock, 0);
    scopes_[1] = scope(blocks, kGlobalBlock, kScopeLines);
    scopes_[2] = scope(blocks, operation, 0);
    scopes_[3] = scope(blocks, operation, kScopeLines);
    // sync(present): acquire; pairs with write_block(): who sees the bit sees the line.
    const Presence global = blocks[kGlobalBlock].presence(std::memory_order_acquire);
    const Presence own = blocks[operation].presence(std::memory_order_acquire);
    retired_ = own.retired();
    enforced_ = global.enforced() | PlaceMask{own.enforced()} << kBlockLines;
    counting_ = global.counting() | PlaceMask{own.counting()} << kBlockLines;
    // The block of a user whose own limits were taken out stands for nothing: a user as any other.
    const bool own_limits =
        user_block != 0 && !blocks[user_block].presence(std::memory_order_acquire).retired();
    if (has_user && !own_limits) return;
    enforced_ &= ~places::kUsers;
    counting_ &= ~places::kUsers;
    if (has_user) add_own(blocks, user_block);
  }

  /// Whether the operation is there no more.
  [[nodiscard]] bool retired() const noexcept { return retired_; }
  [[nodiscard]] PlaceMask enforced() const noexcept { return enforced_; }
  /// Those that only count.
  [[nodiscard]] PlaceMask counting() const noexcept { return counting_; }
  /// The operation's block.
  [[nodiscard]] std::uint32_t operation() const noexcept { return operation_; }

  [[nodiscard]] LimitLine& line(std::uint32_t place) const noexcept {
    return scopes_[place / kScopeLines].lines[place % kScopeLines];
  }
  [[nodiscard]] LimitId id(std::uint32_t place) const noexcept {
    return LimitId{static_cast<std::uint16_t>(scopes_[place / kScopeLines].first + place % kScopeLines)};
  }
  [[nodiscard]] static constexpr bool is_of_users(std::uint32_t place) noexcept {
    return (place & kScopeLines) != 0;
  }

 private:
  struct Scope {
    LimitLine* lines;
    std::uint32_t first;  // id of the first line
  };

  static Scope scope(std::span<Block> blocks, std::uint32_t block, std::uint32_t first_line) noexcept {
    return {&blocks[block].limits[first_line],
            static_cast<std::uint32_t>(LimitPlace{block, first_line}.id())};
  }

  void add_own(std::span<Block> blocks, std::uint32_t user_block) noexcept {
    const Presence own = blocks[user_block].presence(std::memory_order_acquire);  // sync(present)
    enforced_ |= PlaceMask{own.enforced() & lines::kUser} << kBlockLines;
    counting_ |= PlaceMask{own.counting() & lines::kUser} << kBlockLines;
    scopes_[3] = scope(blocks, user_block, kScopeLines);
  }

  // Not zeroed: gather() fills all, and every request would pay for it twice.
  PlaceMask enforced_;
  PlaceMask counting_;
  std::array<Scope, 4> scopes_;
  std::uint32_t operation_;
  bool retired_;
};

}  // namespace weir::detail
