#pragma once

// A named region of shared memory: published whole, attached checked.
//
// Publishing builds the segment in a file without a name, on the tmpfs of POSIX shared memory, takes all its
// memory (a full /dev/shm is an error here, never a SIGBUS later), fills it, and links it to its name. The
// link is the one step that others see.
//   crash before the link: the kernel frees the nameless file; nobody saw it.
//   crash after it:        the segment is complete.
//   the name is taken:     somebody else published; attach to theirs.

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "base/expected.hpp"
#include "segment/layout.hpp"

namespace weir::detail {

enum class OpenMode { read_only, read_write };

/// A file descriptor that closes itself.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) noexcept : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileHandle();

  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int get() const noexcept { return fd_; }
  /// Leaves the descriptor to the caller.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

struct SectionSpec {
  std::uint32_t kind = 0;
  std::uint64_t stride = 0;
  std::uint64_t count = 0;
  bool frozen = false;
};

/// What to publish, and under which name; an empty name: never linked, shared with forked children only.
struct PublishSpec {
  std::string name;
  mode_t mode = 0600;
  std::optional<gid_t> group;
  bool reserve = true;
  bool huge_pages = false;  ///< where the kernel has them for this tmpfs: see advise_huge()
  std::uint64_t abi_fingerprint = 0;
  std::span<const SectionSpec> sections;
};

class Segment {
 public:
  /// Writes the initial content, before anybody else sees the segment; what it leaves alone is zero.
  using Fill = std::function<void(const Segment& segment)>;

  /// Errors  Errc::conflict if the name is taken; Errc::no_space naming the size; permission, system.
  [[nodiscard]] static Expected<Segment> publish(const PublishSpec& spec, const Fill& fill);

  /// Errors  Errc::not_found, permission, foreign, incompatible, damaged, system.
  [[nodiscard]] static Expected<Segment> attach(std::string_view name, OpenMode mode,
                                                std::uint64_t abi_fingerprint);

  /// Errors  Errc::not_found, permission, system.
  [[nodiscard]] static Expected<void> remove(std::string_view name);

  /// The header as it was when it passed all checks: a private copy.
  [[nodiscard]] const Header& header() const noexcept { return header_; }
  [[nodiscard]] std::string_view name() const noexcept { return header_.name.data(); }

  /// The bytes of a section; empty if there is none of that kind and element size.
  [[nodiscard]] std::span<std::byte> section(std::uint32_t kind, std::uint64_t stride) const noexcept;

  /// Asks the kernel to map this segment by huge pages, which spares most misses of a large user table. They
  /// must have been taken at publication (PublishSpec::huge_pages).
  /// Errors  Errc::system naming the setting of the kernel or of the tmpfs that forbids them; the segment
  ///         serves as before.
  Expected<void> advise_huge() const;

  /// Calls visit(std::span<std::byte>) for the parts of `bytes`, which lie in this segment, that were ever
  /// written: whole pages. The rest is zeros, and even looking at it would take memory for it, unless the
  /// segment was reserved.
  template <class Visit>
  void for_each_taken(std::span<std::byte> bytes, Visit&& visit) const {
    while (!bytes.empty()) {
      const Taken taken = first_taken(bytes);
      if (taken.length != 0) visit(bytes.subspan(taken.begin, taken.length));
      bytes = bytes.subspan(taken.begin + taken.length);
    }
  }

  /// Another open file description of the same inode, for locks of its own: by our descriptor, or by name
  /// where somebody has closed that (daemonising code closes all it finds). Errors  Errc::permission, system.
  [[nodiscard]] Expected<FileHandle> reopen(OpenMode mode) const;

  /// Whether a descriptor is open on this segment's inode, and not reused for something else.
  [[nodiscard]] bool is_open_on(int fd) const noexcept;

  [[nodiscard]] const FileHandle& file() const noexcept { return file_; }

 private:
  Segment(FileHandle file, boost::interprocess::mapped_region region, const Header& header) noexcept;

  struct Taken {
    std::size_t begin;
    std::size_t length;  ///< 0: nothing from `begin`, the end
  };
  [[nodiscard]] Taken first_taken(std::span<std::byte> bytes) const noexcept;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return {static_cast<std::byte*>(region_.get_address()), region_.get_size()};
  }

  FileHandle file_;
  boost::interprocess::mapped_region region_;
  Header header_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// Whether a name may name a segment: letters, digits, '.', '_', '-', 1 to 64 of them.
[[nodiscard]] bool valid_segment_name(std::string_view name) noexcept;

}  // namespace weir::detail
