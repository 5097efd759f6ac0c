// SPDX-License-Identifier: Apache-2.0
#include "segment/mapping.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "segment/files.hpp"
#include "segment/host.hpp"
#include "segment/huge_pages.hpp"
#include "segment/list.hpp"
#include "segment/trust.hpp"
#include "segment/verify.hpp"

namespace weir::detail {
namespace {

namespace ipc = boost::interprocess;

/// The newest other layout version under which there is a segment of that name; 0: none.
std::uint32_t other_layout_of(std::string_view name) {
  constexpr std::uint32_t kNewestToAskFor = 16;
  for (std::uint32_t version = kNewestToAskFor; version > 0; --version) {
    const std::string path = path_of(name, version);
    if (version != kLayoutVersion && ::access(path.c_str(), F_OK) == 0) return version;
  }
  return 0;
}

Error missing(std::string_view name) {
  if (const std::uint32_t other = other_layout_of(name); other != 0) {
    return fail(Errc::incompatible,
                fmt::format("{}: there is only one of layout version {}, this build reads {}", called(name),
                            other, kLayoutVersion),
                hint_to_maker(name, other) + "; this one makes its own beside it");
  }
  const std::string others = names_beside(name);
  return fail(Errc::not_found, fmt::format("{}: no such segment", called(name)),
              others.empty()
                  ? "start a server that uses it, or create it with: shm-inspect create CONFIG"
                  : fmt::format("there are: {}; or create it with: shm-inspect create CONFIG", others));
}

Result<FileHandle> open_existing(std::string_view name, OpenMode mode) {
  // There is no O_CREAT here: with fs.protected_regular the kernel would refuse another user's file even to root.
  const int flags = (mode == OpenMode::read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK;
  FileHandle file = open_file(path_of(name).c_str(), flags);
  if (file) return file;
  if (errno == ENOENT) return missing(name);
  if (errno == ELOOP) {
    return fail(Errc::foreign, fmt::format("{}: is a symbolic link", called(name)),
                "use another segment name");
  }
  return system_error(name, "open", errno);
}

Result<Header> read_header(int fd, std::string_view name) {
  Header header;
  ssize_t got = -1;
  do {
    got = ::pread(fd, &header, sizeof(header), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return system_error(name, "read", errno);
  if (static_cast<std::size_t>(got) < sizeof(header)) {
    return fail(Errc::foreign,
                fmt::format("{}: {} bytes long, too short for a weir segment", called(name), got),
                "use another segment name, or remove the file");
  }
  return header;
}

// Tells the processes that have the segment open. The word is written through the descriptor, because the owner of
// the file could truncate it under a mapping.
void tell_removed(int fd) noexcept {
  struct stat info {};
  constexpr std::uint64_t kEnd = kRemovedOffset + sizeof(std::uint64_t);
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < static_cast<off_t>(kEnd)) return;
  Header header;
  if (::pread(fd, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) return;
  if (header.magic != kMagic || header.layout_version != kLayoutVersion || too_low_file_limit(kEnd)) return;
  constexpr std::uint64_t kRemoved = 1;
  (void)!::pwrite(fd, &kRemoved, sizeof(kRemoved), static_cast<off_t>(kRemovedOffset));
}

}  // namespace

Result<Segment> Segment::attach(std::string_view name, OpenMode mode, std::uint64_t abi_fingerprint,
                                const Trust& trust) {
  WEIR_TRY_VOID(check_name(name));
  WEIR_TRY(auto file, open_existing(name, mode));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error(name, "stat", errno);
  WEIR_TRY_VOID(check_owner(info, name, trust));
  WEIR_TRY(const auto header, read_header(file.get(), name));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  WEIR_TRY_VOID(verify_header(header, size, abi_fingerprint, HostIdentity::current(), name));
  WEIR_TRY_VOID(check_openness(info, name, trust));
  WEIR_TRY(auto region, map_file(file.get(), mode, size, name));
  Segment segment(std::move(file), std::move(region), header);
  WEIR_TRY_VOID(verify_frozen(header, segment.bytes(), name));
  return segment;
}

bool Segment::exists(std::string_view name) noexcept {
  return ::access(path_of(name).c_str(), F_OK) == 0;
}

Result<void> Segment::remove(std::string_view name) {
  WEIR_TRY_VOID(check_name(name));
  const std::string path = path_of(name);
  const FileHandle file = open_file(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (::unlink(path.c_str()) == 0) {
    // crash here: other processes find out when they look for their segment, once a second.
    if (file) tell_removed(file.get());
    return {};
  }
  if (errno == ENOENT) return missing(name);
  return system_error(name, "remove", errno);
}

Segment::Segment(FileHandle file, ipc::mapped_region region, const Header& header) noexcept
    : file_(std::move(file)), region_(std::move(region)), header_(header) {}

bool Segment::take_memory(std::span<std::byte> bytes) const noexcept {
#ifndef MADV_POPULATE_WRITE
  constexpr int MADV_POPULATE_WRITE = 23;  // Linux 5.14
#endif
  if (::madvise(bytes.data(), bytes.size(), MADV_POPULATE_WRITE) == 0) return true;
  if (errno != EINVAL) return false;  // no memory
  // An older kernel. A segment that lies in no file is memory that cannot be refused.
  if (!has_file()) return true;
  if (!is_open()) return false;
  const auto offset = static_cast<off_t>(bytes.data() - this->bytes().data());
  return ::posix_fallocate(file_.get(), offset, static_cast<off_t>(bytes.size())) == 0;
}

Result<void> Segment::advise_huge() const {
  const HugePagesRefused refused = huge_pages_refused(kSegmentDirectory);
  if (!refused.why.empty()) {
    return fail(Errc::system, fmt::format("{}: no huge pages: {}", called(name()), refused.why),
                refused.hint);
  }
  if (::madvise(region_.get_address(), dense_bytes(header_), MADV_HUGEPAGE) == 0) return {};
  return system_error(name(), "ask for huge pages", errno);
}

// A private segment that lies in no file.
bool Segment::lies_outside(int file) const noexcept {
  struct stat info {};
  return ::fstat(file, &info) != 0 || static_cast<std::uint64_t>(info.st_size) < header_.total_bytes;
}

Segment::Taken Segment::first_taken(int scan, std::span<const std::byte> bytes) const noexcept {
  const Taken all{0, bytes.size()};
  const auto offset = static_cast<off_t>(bytes.data() - this->bytes().data());
  const off_t end = offset + static_cast<off_t>(bytes.size());
  const off_t begin = ::lseek(scan, offset, SEEK_DATA);
  if (begin < 0 && errno == ENXIO && !lies_outside(scan)) return {bytes.size(), 0};
  if (begin < 0) return all;
  if (begin >= end) return {bytes.size(), 0};
  const off_t hole = ::lseek(scan, begin, SEEK_HOLE);
  const off_t stop = hole < 0 ? end : std::min(hole, end);
  return {static_cast<std::size_t>(begin - offset), static_cast<std::size_t>(stop - begin)};
}

Segment::Taken Segment::first_read(std::span<const std::byte> bytes) const noexcept {
  constexpr std::array<std::byte, kSectionAlignment> kZeros{};
  std::array<std::byte, kSectionAlignment> block;
  const Taken all{0, bytes.size()};
  if (!is_open()) return all;  // the descriptor was closed: better to visit too much than too little
  const auto offset = static_cast<off_t>(bytes.data() - this->bytes().data());
  for (std::size_t at = 0; at < bytes.size(); at += block.size()) {
    const std::size_t length = std::min(block.size(), bytes.size() - at);
    const ssize_t got = ::pread(file_.get(), block.data(), length, offset + static_cast<off_t>(at));
    if (got != static_cast<ssize_t>(length)) return all;
    if (std::memcmp(block.data(), kZeros.data(), length) != 0) return {at, length};
  }
  return {bytes.size(), 0};
}

bool Segment::is_replaced() const noexcept {
  std::array<char, 128> path{};
  *fmt::format_to_n(path.data(), path.size() - 1, "{}/weir.v{}.{}", kSegmentDirectory, kLayoutVersion, name())
       .out = '\0';
  struct stat info {};
  return ::lstat(path.data(), &info) == 0 && !file_.mark().is_file(info.st_dev, info.st_ino);
}

Result<FileHandle> Segment::reopen(OpenMode mode) const {
  const int flags = mode == OpenMode::read_only ? O_RDONLY : O_RDWR;
  FileHandle file;
  if (is_open()) file = open_file(fmt::format("/proc/self/fd/{}", file_.get()).c_str(), flags);
  if (!file && !name().empty()) file = open_file(path_of(name()).c_str(), flags | O_NOFOLLOW);
  if (!file) return system_error(name(), "open it once more", errno);
  if (file_.mark().is_of_this_file(file.get())) return file;
  return fail(Errc::system, fmt::format("{}: its descriptor was closed and its name removed", called(name())),
              "keep the limiter's descriptor open when daemonising");
}

std::span<std::byte> Segment::section(std::uint32_t kind, std::uint64_t stride) const noexcept {
  for (std::size_t i = 0; i < header_.section_count; ++i) {
    const Section& section = header_.sections[i];
    if (section.kind == kind && section.stride == stride) {
      return bytes().subspan(section.offset, section.stride * section.count);
    }
  }
  return {};
}

}  // namespace weir::detail
