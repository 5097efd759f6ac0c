#include "segment/mapping.hpp"

#include <algorithm>
#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/exceptions.hpp>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "weir/clock.hpp"
#include "weir/version.hpp"

#include "base/text.hpp"
#include "segment/host.hpp"
#include "segment/huge_pages.hpp"
#include "segment/list.hpp"
#include "segment/verify.hpp"

namespace weir::detail {
namespace {

namespace ipc = boost::interprocess;

#ifndef MADV_POPULATE_WRITE  // since Linux 5.14; an older kernel answers EINVAL
constexpr int MADV_POPULATE_WRITE = 23;
#endif

constexpr const char* kDirectory = "/dev/shm";  // where POSIX shared memory lives on Linux

// The layout version is part of the file's name: a newer weir builds its segment beside the old one and
// disturbs no worker of the old version.
std::string path_of(std::string_view name) {
  return fmt::format("{}/weir.v{}.{}", kDirectory, kLayoutVersion, name);
}

std::string who(std::string_view name) {
  return name.empty() ? "private segment" : fmt::format("segment \"{}\"", name);
}

auto system_error(std::string_view name, std::string_view step, int error) {
  const bool denied = error == EACCES || error == EPERM;
  return fail(denied ? Errc::permission : Errc::system,
              fmt::format("{}: {}: {}", who(name), step, std::generic_category().message(error)),
              denied ? "run as the owner of the segment, or set segment.mode and segment.group" : "");
}

auto out_of_space(std::string_view name, std::uint64_t bytes) {
  return fail(Errc::no_space,
              fmt::format("{}: {} has no room for {} bytes ({:.1f} MiB)", who(name), kDirectory, bytes,
                          static_cast<double>(bytes) / 1048576.0),
              "lower segment.users, enlarge the tmpfs, or set reserve = false");
}

// What Boost's mapped_region maps: a file that is open already.
struct OpenFile {
  int fd;
  [[nodiscard]] ipc::mapping_handle_t get_mapping_handle() const { return {fd, false}; }
};

Result<ipc::mapped_region> map_file(int fd, OpenMode mode, std::uint64_t bytes, std::string_view name) {
  try {
    return ipc::mapped_region(OpenFile{fd}, mode == OpenMode::read_only ? ipc::read_only : ipc::read_write, 0,
                              bytes);
  } catch (const ipc::interprocess_exception& e) {
    return system_error(name, "mmap", e.get_native_error());
  }
}

std::uint64_t align_up(std::uint64_t bytes) {
  return (bytes + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
}

template <std::size_t N>
void copy_text(std::array<char, N>& to, std::string_view from) {
  std::copy_n(from.data(), std::min(from.size(), N - 1), to.begin());
}

void fill_random(void* bytes, std::size_t size) {
  // Cannot fail for 256 bytes and less once the kernel's pool is ready, which it is before any service
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
    header.sections[header.section_count++] = {section.kind, section.frozen ? 1U : 0U, end, section.stride,
                                               section.count};
    end = align_up(end + section.stride * section.count);
  }
  header.total_bytes = end;
  return header;
}

// A file on the tmpfs that has no name yet. Where the kernel or the file system knows no O_TMPFILE, a private
// name serves; a creator killed before the rename leaves it behind, empty of meaning, and nobody opens it.
struct NewFile {
  FileHandle file;           // none: of a private segment alone
  std::string private_path;  // empty: the file has no name
};

Result<NewFile> create_file(const PublishSpec& spec) {
  // Private: works where there is no /dev/shm, or a full one; and without any file, where no descriptor is
  // free.
  if (spec.name.empty()) return NewFile{create_memory_file("weir"), {}};
  FileHandle unnamed = open_file(kDirectory, O_TMPFILE | O_RDWR, spec.mode);
  if (unnamed) return NewFile{std::move(unnamed), {}};
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
    return system_error(spec.name, "create", errno);
  std::uint64_t nonce = 0;
  fill_random(&nonce, sizeof(nonce));
  std::string path = fmt::format("{}/.weir.{:016x}", kDirectory, nonce);
  FileHandle named = open_file(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, spec.mode);
  if (!named) return system_error(spec.name, "create", errno);
  return NewFile{std::move(named), std::move(path)};
}

/// Whether RLIMIT_FSIZE forbids a file of that size. The kernel would not only refuse it: it kills with
/// SIGXFSZ.
std::optional<rlim_t> too_low_file_limit(std::uint64_t bytes) {
  rlimit largest{};
  if (::getrlimit(RLIMIT_FSIZE, &largest) == 0 && bytes > largest.rlim_cur) return largest.rlim_cur;
  return std::nullopt;
}

Result<void> size_file(const PublishSpec& spec, int fd, std::uint64_t bytes) {
  if (!spec.name.empty() && ::fchmod(fd, spec.mode) != 0)
    return system_error(spec.name, "set the mode", errno);  // the umask had a say
  if (!spec.name.empty() && spec.group && ::fchown(fd, static_cast<uid_t>(-1), *spec.group) != 0) {
    return system_error(spec.name, "set the group", errno);
  }
  if (const auto largest = too_low_file_limit(bytes)) {
    return fail(Errc::no_space,
                fmt::format("{}: {} bytes are more than RLIMIT_FSIZE lets this process write to a file ({})",
                            who(spec.name), bytes, *largest),
                "raise that limit (ulimit -f, or LimitFSIZE= of the service), or lower segment.users");
  }
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return errno == EFBIG || errno == EINVAL ? Result<void>(out_of_space(spec.name, bytes))
                                             : system_error(spec.name, "set the size", errno);
  }
  return {};
}

Result<void> reserve_memory(const PublishSpec& spec, int fd, std::uint64_t bytes) {
  if (!spec.reserve) return {};
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  if (error == ENOSPC || error == EFBIG || error == ENOMEM) return out_of_space(spec.name, bytes);
  if (error != 0) return system_error(spec.name, "reserve memory", error);
  return {};
}

// A huge page is taken when a mapping that was advised to touches it first; posix_fallocate() knows of no
// mapping. Whatever fails here is left to posix_fallocate(), which then takes small pages.
void take_huge_pages(const ipc::mapped_region& region) {
  if (::madvise(region.get_address(), region.get_size(), MADV_HUGEPAGE) != 0) return;
  (void)::madvise(region.get_address(), region.get_size(), MADV_POPULATE_WRITE);
}

// The memory of a new segment. A private one lies in no file where there is no descriptor for one, or where
// the file may not be that large: that then stays empty, and serves for locks alone.
Result<ipc::mapped_region> make_region(const PublishSpec& spec, int fd, std::uint64_t bytes) {
  if (spec.name.empty() && (fd < 0 || too_low_file_limit(bytes))) {
    try {
      return ipc::anonymous_shared_memory(bytes);
    } catch (const ipc::interprocess_exception& e) {
      return system_error(spec.name, "mmap", e.get_native_error());
    }
  }
  if (auto sized = size_file(spec, fd, bytes); !sized) return sized.error();
  auto region = map_file(fd, OpenMode::read_write, bytes, spec.name);
  if (!region) return region;
  if (spec.huge_pages && spec.reserve) take_huge_pages(*region);
  if (auto reserved = reserve_memory(spec, fd, bytes); !reserved) return reserved.error();
  return region;
}

Result<void> link_file(const PublishSpec& spec, int fd, const std::string& private_path) {
  if (spec.name.empty()) return {};
  const std::string path = path_of(spec.name);
  int linked = -1;
  if (private_path.empty()) {
    const std::string self = fmt::format("/proc/self/fd/{}", fd);
    linked = ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
    if (linked != 0 && errno == ENOENT) {  // no /proc: allowed with CAP_DAC_READ_SEARCH only
      linked = ::linkat(fd, "", AT_FDCWD, path.c_str(), AT_EMPTY_PATH);
    }
  } else {
    linked = ::link(private_path.c_str(), path.c_str());
  }
  if (linked == 0) return {};
  if (errno == EEXIST) return fail(Errc::conflict, fmt::format("{}: exists already", who(spec.name)));
  return system_error(spec.name, "publish", errno);
}

bool is_trusted_owner(const struct stat& info, const Trust& trust) {
  if (info.st_uid == ::geteuid() || info.st_uid == 0) return true;
  if (::geteuid() == 0 && trust.root_trusts_all) return true;
  if ((info.st_mode & S_IWGRP) == 0) return false;
  // Only a member of the group can have given it the file. Without a configuration to ask, the kernel has let
  // us in as one of its members; root it lets in everywhere.
  return trust.mode ? trust.group == info.st_gid : ::geteuid() != 0;
}

// Whoever may write the segment can change every limit: its owner, group and mode must be as private as we
// would make them.
Result<void> check_owner(const struct stat& info, std::string_view name, const Trust& trust) {
  if (!S_ISREG(info.st_mode)) {
    return fail(Errc::foreign, fmt::format("{}: is no regular file", who(name)), "use another segment name");
  }
  const std::string removed = fmt::format("shm-inspect --segment {} remove", name);
  if (!is_trusted_owner(info, trust)) {
    return fail(
        Errc::permission,
        fmt::format("{}: belongs to user {}, and neither to user {} nor to root", who(name), info.st_uid,
                    ::geteuid()),
        fmt::format("if that user should share it, set segment.group and segment.mode; else find out who "
                    "made it, remove it (as that user, or root) with: {}, or use another segment name",
                    removed));
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return fail(Errc::permission,
                fmt::format("{}: anybody may write to it (mode {:04o})", who(name), info.st_mode & 07777),
                fmt::format("somebody changed it: remove it with: {}", removed));
  }
  return {};
}

// What a configuration says of its segment, of a file that is one.
Result<void> check_openness(const struct stat& info, std::string_view name, const Trust& trust) {
  const std::string removed = fmt::format("shm-inspect --segment {} remove", name);
  if (trust.group && info.st_gid != *trust.group) {
    return fail(Errc::permission,
                fmt::format("{}: belongs to group {}, and segment.group is group {}", who(name), info.st_gid,
                            *trust.group),
                fmt::format("stop its workers and remove it with: {}", removed));
  }
  if (trust.mode && (info.st_mode & 0777 & ~*trust.mode) != 0) {
    return fail(Errc::permission,
                fmt::format("{}: its mode is {:04o}, more open than segment.mode, {:04o}", who(name),
                            info.st_mode & 07777, *trust.mode),
                fmt::format("chmod {:04o} {}, or remove it with: {}", *trust.mode, path_of(name), removed));
  }
  return {};
}

/// The newest other layout version under which there is a segment of that name; 0: none.
std::uint32_t other_layout_of(std::string_view name) {
  constexpr std::uint32_t kNewestToAskFor = 16;
  for (std::uint32_t version = kNewestToAskFor; version > 0; --version) {
    const std::string path = fmt::format("{}/weir.v{}.{}", kDirectory, version, name);
    if (version != kLayoutVersion && ::access(path.c_str(), F_OK) == 0) return version;
  }
  return 0;
}

Error missing(std::string_view name) {
  if (const std::uint32_t other = other_layout_of(name); other != 0) {
    return fail(Errc::incompatible,
                fmt::format("{}: there is only one of layout version {}, this build reads {}", who(name),
                            other, kLayoutVersion),
                "look at it with the shm-inspect of its own version; this one makes its own beside it");
  }
  const std::string others = names_beside(name);
  return fail(Errc::not_found, fmt::format("{}: no such segment", who(name)),
              others.empty()
                  ? "start a server that uses it, or create it with: shm-inspect create CONFIG"
                  : fmt::format("there are: {}; or create it with: shm-inspect create CONFIG", others));
}

Result<FileHandle> open_existing(std::string_view name, OpenMode mode) {
  // No O_CREAT: with fs.protected_regular the kernel would refuse even root another user's file.
  const int flags = (mode == OpenMode::read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK;
  FileHandle file = open_file(path_of(name).c_str(), flags);
  if (file) return file;
  if (errno == ENOENT) return missing(name);
  if (errno == ELOOP) {
    return fail(Errc::foreign, fmt::format("{}: is a symbolic link", who(name)), "use another segment name");
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
    return fail(Errc::foreign, fmt::format("{}: {} bytes long, too short for a weir segment", who(name), got),
                "use another segment name, or remove the file");
  }
  return header;
}

// Tells the processes that have the segment open. Written, not mapped: whoever owns the file could truncate
// it under a mapping.
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

Result<void> check_name(std::string_view name) {
  if (valid_name(name)) return {};
  return fail(Errc::invalid_argument, "segment name: use " + std::string(kNameForm));
}

}  // namespace

Result<Segment> Segment::publish(const PublishSpec& spec, const Fill& fill) {
  if (!spec.name.empty()) {
    if (auto named = check_name(spec.name); !named) return named.error();
  }
  Header header = make_header(spec);
  auto created = create_file(spec);
  if (!created) return created.error();
  const int fd = created->file.get();
  const auto give_up = [&](const Error& error) {
    if (!created->private_path.empty()) ::unlink(created->private_path.c_str());
    return error;
  };
  auto region = make_region(spec, fd, header.total_bytes);
  if (!region) return give_up(region.error());
  // The file keeps its number and the region its address when they move into the segment.
  const std::string path = created->private_path;
  Segment segment(std::move(created->file), std::move(*region), header);
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

Result<Segment> Segment::attach(std::string_view name, OpenMode mode, std::uint64_t abi_fingerprint,
                                const Trust& trust) {
  if (auto named = check_name(name); !named) return named.error();
  auto file = open_existing(name, mode);
  if (!file) return file.error();
  struct stat info {};
  if (::fstat(file->get(), &info) != 0) return system_error(name, "stat", errno);
  if (auto owner = check_owner(info, name, trust); !owner) return owner.error();
  auto header = read_header(file->get(), name);
  if (!header) return header.error();
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (auto sound = verify_header(*header, size, abi_fingerprint, HostIdentity::current(), name); !sound) {
    return sound.error();
  }
  if (auto open = check_openness(info, name, trust); !open) return open.error();
  auto region = map_file(file->get(), mode, size, name);
  if (!region) return region.error();
  Segment segment(std::move(*file), std::move(*region), *header);
  if (auto sound = verify_frozen(*header, segment.bytes(), name); !sound) return sound.error();
  return segment;
}

bool Segment::exists(std::string_view name) noexcept {
  return ::access(path_of(name).c_str(), F_OK) == 0;
}

Result<void> Segment::remove(std::string_view name) {
  if (auto named = check_name(name); !named) return named;
  const std::string path = path_of(name);
  const FileHandle file = open_file(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (::unlink(path.c_str()) == 0) {
    // crash here: the others find out when they look for their segment, once a second.
    if (file) tell_removed(file.get());
    return {};
  }
  if (errno == ENOENT) return missing(name);
  return system_error(name, "remove", errno);
}

Segment::Segment(FileHandle file, ipc::mapped_region region, const Header& header) noexcept
    : file_(std::move(file)), region_(std::move(region)), header_(header) {}

Result<void> Segment::advise_huge() const {
  const HugePagesRefused refused = huge_pages_refused(kDirectory);
  if (!refused.why.empty()) {
    return fail(Errc::system, fmt::format("{}: no huge pages: {}", who(name()), refused.why), refused.hint);
  }
  if (::madvise(region_.get_address(), region_.get_size(), MADV_HUGEPAGE) == 0) return {};
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
  if (!is_open()) return all;  // somebody closed it: better too much than too little
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
  *fmt::format_to_n(path.data(), path.size() - 1, "{}/weir.v{}.{}", kDirectory, kLayoutVersion, name()).out =
      '\0';
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
  return fail(Errc::system, fmt::format("{}: its descriptor was closed and its name removed", who(name())),
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
