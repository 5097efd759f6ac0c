// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bytes of a segment file. A release that changes them raises kLayoutVersion, and a segment of another
// version is refused with an error that names both. Builds between two releases are told apart by the ABI
// fingerprint and the header's checksum.
//
//   offset 0     Header: which process made this, when, for which build; the sections; two checksums
//   4088         one word: not 0 once the segment was removed from its name (Segment::removed())
//   4096         section 0  (every section starts on a page)
//   ...          section 1, 2, ... each `count` elements of `stride` bytes
//   total_bytes  end of file
//
// Frozen sections never change after publication and are covered by a checksum; the others are words that
// every worker writes. Sparse sections come last: the file has holes there, and a worker takes memory for what it uses. The header is read once, checked, and copied; it is not read from the mapping again.
// The word behind it is a hint: a process that finds it set checks whether the segment's name leads to
// another segment.

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace weir::detail {

inline constexpr std::array<char, 8> kMagic{'w', 'e', 'i', 'r', '-', 's', 'h', 'm'};
inline constexpr std::uint32_t kLayoutVersion = 3;
inline constexpr std::size_t kSectionAlignment = 4096;
inline constexpr std::size_t kMaxSections = 24;

struct Section {
  std::uint32_t kind = 0;    ///< what it contains; only policy/schema.hpp knows what that means
  std::uint16_t frozen = 0;  ///< 1: its content is covered by `frozen_checksum`
  std::uint16_t sparse =
      0;  ///< 1: a hole of the file, of which memory is taken as it is used; such sections are last
  std::uint64_t offset = 0;
  std::uint64_t stride = 0;
  std::uint64_t count = 0;
};
static_assert(sizeof(Section) == 32);

struct Header {
  std::array<char, 8> magic{};
  std::uint32_t layout_version = 0;
  std::uint32_t section_count = 0;
  std::array<char, 16> library_version{};  ///< zero-terminated
  std::array<char, 72> name{};             ///< zero-terminated
  std::uint64_t total_bytes = 0;
  std::uint64_t abi_fingerprint = 0;  ///< sizes and offsets of everything shared
  std::array<std::uint8_t, 16> uuid{};
  std::array<std::uint8_t, 16> boot_id{};       ///< monotonic time starts at boot; zero: unknown
  std::uint64_t time_namespace = 0;             ///< inode, for use if the offsets are unknown; 0: unknown
  std::array<std::int64_t, 2> clock_offsets{};  ///< of monotonic and boot time, as in HostIdentity
  std::int64_t created_monotonic_ns = 0;        ///< the epoch of all ticks in the segment
  std::int64_t created_wall_ns = 0;
  std::array<std::uint64_t, 2> secret{};  ///< the key of the hash of users' names
  std::array<Section, kMaxSections> sections{};
  std::uint64_t frozen_checksum = 0;
  std::uint64_t header_checksum = 0;  ///< of all bytes before it
};
inline constexpr std::size_t kRemovedOffset = kSectionAlignment - sizeof(std::uint64_t);
static_assert(sizeof(Header) == 992 && sizeof(Header) <= kRemovedOffset);
static_assert(std::is_trivially_copyable_v<Header> && std::has_unique_object_representations_v<Header>);

/// The bytes before the first sparse section: those that are reserved when the segment is made.
[[nodiscard]] inline std::uint64_t dense_bytes(const Header& header) noexcept {
  for (std::size_t i = 0; i < header.section_count; ++i) {
    if (header.sections[i].sparse != 0) return header.sections[i].offset;
  }
  return header.total_bytes;
}

}  // namespace weir::detail
