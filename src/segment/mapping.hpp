// SPDX-License-Identifier: Apache-2.0
#pragma once

// A named region of shared memory: published whole, attached checked.
//
// Publishing builds the segment in a file without a name, on the tmpfs of POSIX shared memory, takes all its
// memory (a full /dev/shm is an error here, never a SIGBUS later), fills it, and links it to its name. The
// link is the one step that others see.
//   crash before the link: the kernel frees the nameless file, which no other process has seen.
//   crash after it:        the segment is complete.
//   the name is taken:     another process has published a segment; attach to that one.

#include <array>
#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "base/descriptor.hpp"
#include "base/result.hpp"
#include "base/word.hpp"
#include "segment/files.hpp"
#include "segment/layout.hpp"
#include "segment/trust.hpp"

namespace weir::detail {

struct SectionSpec {
  std::uint32_t kind = 0;
  std::uint64_t stride = 0;
  std::uint64_t count = 0;
  bool frozen = false;
  bool sparse = false;  ///< its memory is taken by take_memory(), and never in advance; these come last
};

/// What a segment begins with, where that must not depend on the host's clock and on chance.
struct SegmentBeginning {
  std::int64_t monotonic_ns = 0;
  std::int64_t wall_ns = 0;
  std::array<std::uint64_t, 2> secret{};
};

/// What to publish, and under which name. A segment with an empty name is never linked and is shared with forked
/// children only; if no descriptor is free, it lies in no file at all.
struct PublishSpec {
  std::string name;
  mode_t mode = 0600;
  std::optional<gid_t> group;
  bool reserve = true;
  bool huge_pages = false;  ///< where the kernel has them for this tmpfs: see advise_huge()
  std::uint64_t abi_fingerprint = 0;
  std::span<const SectionSpec> sections;
  std::optional<SegmentBeginning> beginning = std::nullopt;
};

class Segment {
 public:
  /// Writes the initial content, before any other process sees the segment. What it does not write is zero.
  using Fill = std::function<void(const Segment& segment)>;

  /// Errors  Errc::conflict if the name is taken; Errc::no_space naming the size; permission, system.
  [[nodiscard]] static Result<Segment> publish(const PublishSpec& spec, const Fill& fill);

  /// Errors  Errc::not_found, permission, foreign, incompatible, damaged, system.
  [[nodiscard]] static Result<Segment> attach(std::string_view name, OpenMode mode,
                                              std::uint64_t abi_fingerprint, const Trust& trust = {});

  /// Whether there is a file of that name, under the layout version of this build.
  [[nodiscard]] static bool exists(std::string_view name) noexcept;

  /// Removes the name, and then tells the processes that have the segment open, if the caller may write to it.
  /// Errors  Errc::not_found, incompatible, permission, system.
  [[nodiscard]] static Result<void> remove(std::string_view name);

  /// The header as it was when it passed all checks: a private copy.
  [[nodiscard]] const Header& header() const noexcept { return header_; }
  [[nodiscard]] std::string_view name() const noexcept { return header_.name.data(); }

  /// The bytes of a section; empty if there is none of that kind and element size.
  [[nodiscard]] std::span<std::byte> section(std::uint32_t kind, std::uint64_t stride) const noexcept;

  /// Takes memory for `bytes`, whole pages of a sparse section, so that writing to them cannot fail.
  /// @return whether it is there. Cost  one or two system calls.
  [[nodiscard]] bool take_memory(std::span<std::byte> bytes) const noexcept;

  /// Asks the kernel to map this segment by huge pages, which spares most misses of a large user table. They
  /// must have been taken at publication (PublishSpec::huge_pages).
  /// Errors  Errc::system naming the setting of the kernel or of the tmpfs that forbids them; the segment
  ///         serves as before.
  Result<void> advise_huge() const;

  /// Calls visit(std::span<Byte>) for the parts of `bytes`, which lie in this segment, that were ever written:
  /// whole pages. The rest is zeros, and even looking at it would take memory for it, unless the segment was
  /// reserved.
  /// @tparam Byte  std::byte, const for a caller that only looks.
  template <class Byte, class Visit>
  void for_each_taken(std::span<Byte> bytes, Visit&& visit) const {
    // Looking for what was written moves the offset of a description: not of the one that is marked by it.
    const auto scan = reopen(OpenMode::read_only);
    while (!bytes.empty()) {
      const Taken taken = scan ? first_taken(scan->get(), bytes) : first_read(bytes);
      if (taken.length != 0) visit(bytes.subspan(taken.begin, taken.length));
      bytes = bytes.subspan(taken.begin + taken.length);
    }
  }

  /// Opens another file description of the same inode, for locks of its own: through our descriptor, or by name if
  /// that was closed (code that makes a daemon closes all descriptors that it finds).
  /// Errors  Errc::permission, system.
  [[nodiscard]] Result<FileHandle> reopen(OpenMode mode) const;

  /// Not 0 once remove() was called for it; a file that was unlinked by other means keeps 0.
  [[nodiscard]] const Word& removed() const noexcept {
    return *reinterpret_cast<const Word*>(bytes().data() + kRemovedOffset);
  }
  /// Whether the segment lies in a file. A private segment for which no descriptor was free is memory alone.
  [[nodiscard]] bool has_file() const noexcept { return file_.get() >= 0; }
  /// Whether our descriptor is still open, and not reused for something else.
  [[nodiscard]] bool is_open() const noexcept { return file_.mark().is_there(); }
  /// Whether the segment that its name leads to now is another one: it was removed, and made once more.
  [[nodiscard]] bool is_replaced() const noexcept;

  [[nodiscard]] const MarkedFile& file() const noexcept { return file_; }

 private:
  Segment(FileHandle file, boost::interprocess::mapped_region region, const Header& header) noexcept;

  struct Taken {
    std::size_t begin;
    std::size_t length;  ///< 0: nothing from `begin`, the end
  };
  [[nodiscard]] Taken first_taken(int scan, std::span<const std::byte> bytes) const noexcept;
  [[nodiscard]] bool lies_outside(int file) const noexcept;
  /// The same for a process that may not open the segment once more: by reading, which takes no memory.
  [[nodiscard]] Taken first_read(std::span<const std::byte> bytes) const noexcept;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return {static_cast<std::byte*>(region_.get_address()), region_.get_size()};
  }

  MarkedFile file_;
  boost::interprocess::mapped_region region_;
  Header header_;
};

}  // namespace weir::detail
