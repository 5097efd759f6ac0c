// SPDX-License-Identifier: Apache-2.0
#pragma once

// The numbers by which callers name operations: which block of the segment each of them means.
//
//   handle   tenancy of the block 8 | number of the operation 8
//
// A caller looks an operation up once and keeps its handle (weir::Operation) for as long as the limiter lives. A
// block may be given to another name by a live change. Its tenancy then goes up, so an old handle means no block
// instead of the block of another operation.
//
// When the limiter moves to another segment, an operation may lie in another block there. Then a list says what
// each handle means: those that callers already had are looked up by the names that they meant, and operations
// that are new get handles that no caller has. From then on the list alone counts.

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "weir/limiter.hpp"

#include "base/hash.hpp"
#include "policy/block_names.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

class OperationHandles {
 public:
  /// `sections` and `hasher` outlive the handles.
  OperationHandles(const Sections& sections, const KeyHasher& hasher) noexcept
      : sections_(sections), hasher_(hasher) {}

  /// The handle of an operation; nothing if there is none of that name.
  [[nodiscard]] std::optional<Operation> find(std::string_view operation) const noexcept;

  /// The block of an operation; 0 if there is none.
  [[nodiscard]] std::uint32_t block_of(Operation operation) const noexcept;

  /// Lets the handles that callers got of another segment mean the operations of the same names in this one.
  void take_over(const OperationHandles& before);

 private:
  /// What a handle of another segment means here.
  struct Meaning {
    std::uint32_t tenancy = 0;
    std::uint32_t block = 0;  ///< 0: no caller has this handle

    friend bool operator==(const Meaning&, const Meaning&) = default;
  };
  static constexpr std::uint32_t kGone = kMaxBlocks;  ///< the block of an operation that is not here
  static constexpr std::size_t kHandles = std::size_t{std::numeric_limits<std::uint16_t>::max()} + 1;
  static_assert(kMaxOperations == 256 && kNamesOfABlock == 256, "a handle is {tenancy 8 | operation 8}");

  [[nodiscard]] std::uint32_t tenancy_of(std::uint32_t block) const noexcept;
  [[nodiscard]] Meaning meaning_now(std::uint32_t block) const noexcept { return {tenancy_of(block), block}; }

  const Sections& sections_;
  const KeyHasher& hasher_;
  std::vector<Meaning> meanings_;  // by handle; empty: the handle says which block it means
};

}  // namespace weir::detail
