// SPDX-License-Identifier: Apache-2.0

// Making a segment: a file without a name, its memory, its content, and at last its name.

#include <algorithm>
#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/exceptions.hpp>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/clock.hpp"
#include "weir/version.hpp"

#include "segment/files.hpp"
#include "segment/host.hpp"
#include "segment/mapping.hpp"
#include "segment/verify.hpp"

namespace weir::detail {
namespace {

namespace ipc = boost::interprocess;

#ifndef MADV_POPULATE_WRITE  // since Linux 5.14; an older kernel answers EINVAL
constexpr int MADV_POPULATE_WRITE = 23;
#endif

Error out_of_space(std::string_view name, std::uint64_t bytes) {
  return fail(Errc::no_space,
              fmt::format("{}: {} has no room for {} bytes ({:.1f} MiB)", called(name), kSegmentDirectory,
                          bytes, static_cast<double>(bytes) / 1048576.0),
              "lower segment.users, enlarge the tmpfs, or set reserve = false");
}

std::uint64_t align_up(std::uint64_t bytes) {
  return (bytes + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
}

template <std::size_t N>
void copy_text(std::array<char, N>& to, std::string_view from) {
  std::copy_n(from.data(), std::min(from.size(), N - 1), to.begin());
}

void fill_random(void* bytes, std::size_t size) {
  // This cannot fail for 256 bytes and less once the kernel's pool is ready, which it is before any service
  // starts.
  [[maybe_unused]] const ssize_t got = ::getrandom(bytes, size, 0);
}

Header make_header(const PublishSpec& spec) {
  Header header;
  header.magic = kMagic;
  header.layout_version = kLayoutVersion;
  copy_text(header.library_version, kVersion);
  copy_text(header.name, spec.name);
  header.abi_fingerprint = spec.abi_fingerprint;
  fill_random(header.uuid.data(), header.uuid.size());
  fill_random(header.secret.data(), sizeof(header.secret));
  const HostIdentity host = HostIdentity::current();
  header.boot_id = host.boot_id;
  header.time_namespace = host.time_namespace;
  header.clock_offsets = host.clock_offsets;
  header.created_monotonic_ns = HostClock::now().time_since_epoch().count();
  header.created_wall_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  if (spec.beginning) {
    header.created_monotonic_ns = spec.beginning->monotonic_ns;
    header.created_wall_ns = spec.beginning->wall_ns;
    header.secret = spec.beginning->secret;
  }
  std::uint64_t end = kSectionAlignment;
  for (const SectionSpec& section : spec.sections) {
    header.sections[header.section_count++] = {section.kind,
                                               static_cast<std::uint16_t>(section.frozen ? 1 : 0),
                                               static_cast<std::uint16_t>(section.sparse ? 1 : 0),
                                               end,
                                               section.stride,
                                               section.count};
    end = align_up(end + section.stride * section.count);
  }
  header.total_bytes = end;
  return header;
}

// A file on the tmpfs that has no name yet. Where the kernel or the file system does not know O_TMPFILE, the file gets
// a private name instead. A process that is killed before the rename leaves that file behind; no process opens it.
struct NewFile {
  FileHandle file;           // a private segment may have none
  std::string private_path;  // empty: the file has no name
};

Result<NewFile> create_file(const PublishSpec& spec) {
  // A private segment also works where /dev/shm is missing or full, and, if no descriptor is free, without a file.
  if (spec.name.empty()) return NewFile{create_memory_file("weir"), {}};
  FileHandle unnamed = open_file(kSegmentDirectory, O_TMPFILE | O_RDWR, spec.mode);
  if (unnamed) return NewFile{std::move(unnamed), {}};
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
    return system_error(spec.name, "create", errno);
  std::uint64_t nonce = 0;
  fill_random(&nonce, sizeof(nonce));
  std::string path = fmt::format("{}/.weir.{:016x}", kSegmentDirectory, nonce);
  FileHandle named = open_file(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, spec.mode);
  if (!named) return system_error(spec.name, "create", errno);
  return NewFile{std::move(named), std::move(path)};
}

Result<void> size_file(const PublishSpec& spec, int fd, std::uint64_t bytes) {
  if (!spec.name.empty() && ::fchmod(fd, spec.mode) != 0)
    return system_error(spec.name, "set the mode", errno);  // the umask may have cleared some of its bits
  if (!spec.name.empty() && spec.group && ::fchown(fd, static_cast<uid_t>(-1), *spec.group) != 0) {
    return system_error(spec.name, "set the group", errno);
  }
  if (const auto largest = too_low_file_limit(bytes)) {
    return fail(Errc::no_space,
                fmt::format("{}: {} bytes are more than RLIMIT_FSIZE lets this process write to a file ({})",
                            called(spec.name), bytes, *largest),
                "raise that limit (ulimit -f, or LimitFSIZE= of the service), or lower segment.users");
  }
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return errno == EFBIG || errno == EINVAL ? out_of_space(spec.name, bytes)
                                             : system_error(spec.name, "set the size", errno);
  }
  return {};
}

/// @param bytes  up to the first sparse section.
Result<void> reserve_memory(const PublishSpec& spec, int fd, std::uint64_t bytes) {
  if (!spec.reserve) return {};
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (error == ENOSPC || error == EFBIG || error == ENOMEM) return out_of_space(spec.name, bytes);
  if (error != 0) return system_error(spec.name, "reserve memory", error);
  return {};
}

// A huge page is taken when a mapping that was advised to use them touches it first; posix_fallocate() does not know
// of any mapping. What fails here is left to posix_fallocate(), which then takes small pages.
void take_huge_pages(const ipc::mapped_region& region, std::uint64_t bytes) {
  if (::madvise(region.get_address(), bytes, MADV_HUGEPAGE) != 0) return;
  (void)::madvise(region.get_address(), bytes, MADV_POPULATE_WRITE);
}

// The memory of a new segment. A private segment does not lie in a file if no descriptor is free, or if the file may
// not be that large. In the second case the file stays empty, and serves for locks alone.
Result<ipc::mapped_region> make_region(const PublishSpec& spec, int fd, const Header& header) {
  const std::uint64_t bytes = header.total_bytes;
  if (spec.name.empty() && (fd < 0 || too_low_file_limit(bytes))) {
    try {
      return ipc::anonymous_shared_memory(bytes);
    } catch (const ipc::interprocess_exception& e) {
      return system_error(spec.name, "mmap", e.get_native_error());
    }
  }
  WEIR_TRY_VOID(size_file(spec, fd, bytes));
  WEIR_TRY(auto region, map_file(fd, OpenMode::read_write, bytes, spec.name));
  if (spec.huge_pages && spec.reserve) take_huge_pages(region, dense_bytes(header));
  WEIR_TRY_VOID(reserve_memory(spec, fd, dense_bytes(header)));
  return region;
}

Result<void> link_file(const PublishSpec& spec, int fd, const std::string& private_path) {
  if (spec.name.empty()) return {};
  const std::string path = path_of(spec.name);
  int linked = -1;
  if (private_path.empty()) {
    const std::string self = fmt::format("/proc/self/fd/{}", fd);
    linked = ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
    if (linked != 0 && errno == ENOENT) {  // without /proc, linking needs CAP_DAC_READ_SEARCH
      linked = ::linkat(fd, "", AT_FDCWD, path.c_str(), AT_EMPTY_PATH);
    }
  } else {
    linked = ::link(private_path.c_str(), path.c_str());
  }
  if (linked == 0) return {};
  if (errno == EEXIST) return fail(Errc::conflict, fmt::format("{}: exists already", called(spec.name)));
  return system_error(spec.name, "publish", errno);
}

}  // namespace

Result<Segment> Segment::publish(const PublishSpec& spec, const Fill& fill) {
  if (!spec.name.empty()) WEIR_TRY_VOID(check_name(spec.name));
  Header header = make_header(spec);
  WEIR_TRY(auto created, create_file(spec));
  const std::string path = created.private_path;
  auto region = make_region(spec, created.file.get(), header);
  if (!region) {
    if (!path.empty()) ::unlink(path.c_str());
    return region.error();
  }
  // The file keeps its number and the region its address when they move into the segment.
  Segment segment(std::move(created.file), std::move(*region), header);
  fill(segment);
  header.frozen_checksum = frozen_checksum(header, segment.bytes());
  header.header_checksum = header_checksum(header);
  segment.header_ = header;
  std::memcpy(segment.bytes().data(), &header, sizeof(header));
  auto linked = link_file(spec, segment.file_.get(), path);
  if (!path.empty()) ::unlink(path.c_str());
  if (!linked) return linked.error();
  return segment;
}

}  // namespace weir::detail
