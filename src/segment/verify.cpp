// SPDX-License-Identifier: Apache-2.0
#include "segment/verify.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "base/hash.hpp"
#include "base/text.hpp"

namespace weir::detail {
namespace {

constexpr std::string_view kRemoveHint = "remove it with: shm-inspect --segment {} remove";

constexpr const char* kOtherClock =
    "start the process in the time namespace of the other workers, or use another segment name";

std::string remove_hint(std::string_view name) {
  return fmt::format(fmt::runtime(kRemoveHint), name);
}

auto damaged(std::string_view name, std::string_view fact) {
  return fail(Errc::damaged, fmt::format("segment \"{}\": damaged: {}", name, fact), remove_hint(name));
}

// Whether the whole section lies between the header and the end of the file. No sum here overflows.
bool section_fits(const Section& section, std::uint64_t total_bytes) {
  if (section.offset % kSectionAlignment != 0 || section.offset < kSectionAlignment) return false;
  if (section.stride == 0 || section.offset > total_bytes) return false;
  return section.count <= (total_bytes - section.offset) / section.stride;
}

bool sections_overlap(const Header& header) {
  std::uint64_t end = kSectionAlignment;
  for (std::size_t i = 0; i < header.section_count; ++i) {
    if (header.sections[i].offset < end) return true;
    end = header.sections[i].offset + header.sections[i].stride * header.sections[i].count;
  }
  return false;
}

template <std::size_t N>
bool terminated(const std::array<char, N>& text) {
  return std::find(text.begin(), text.end(), '\0') != text.end();
}

Result<void> verify_geometry(const Header& header, std::uint64_t file_bytes, std::string_view name) {
  if (header.total_bytes != file_bytes) {
    return damaged(name, fmt::format("says {} bytes, the file has {}", header.total_bytes, file_bytes));
  }
  if (header.section_count > kMaxSections) return damaged(name, "too many sections");
  for (std::size_t i = 0; i < header.section_count; ++i) {
    if (!section_fits(header.sections[i], file_bytes)) {
      return damaged(name, fmt::format("section {} lies outside the file", i));
    }
  }
  if (sections_overlap(header)) return damaged(name, "sections overlap");
  if (!terminated(header.name) || !terminated(header.library_version)) {
    return damaged(name, "unterminated text in the header");
  }
  return {};
}

Result<void> verify_host(const Header& header, const HostIdentity& host, std::string_view name) {
  constexpr HostIdentity unknown;
  if (header.boot_id != unknown.boot_id && host.boot_id != unknown.boot_id &&
      header.boot_id != host.boot_id) {
    return fail(Errc::incompatible,
                fmt::format("segment \"{}\": made before the last boot; its times mean nothing now", name),
                remove_hint(name));
  }
  const auto known = [](const std::array<std::int64_t, 2>& offsets) {
    return std::find(offsets.begin(), offsets.end(), HostIdentity::kUnknownOffset) == offsets.end();
  };
  const bool both_known = known(header.clock_offsets) && known(host.clock_offsets);
  if (both_known && header.clock_offsets != host.clock_offsets) {
    return fail(
        Errc::incompatible,
        fmt::format("segment \"{}\": made in a time namespace whose clock is set {} ns off ours", name,
                    static_cast<std::int64_t>(static_cast<std::uint64_t>(header.clock_offsets[0]) -
                                              static_cast<std::uint64_t>(host.clock_offsets[0]))),
        kOtherClock);
  }
  const bool both_named = header.time_namespace != 0 && host.time_namespace != 0;
  if (!both_known && both_named && header.time_namespace != host.time_namespace) {
    return fail(
        Errc::incompatible,
        fmt::format("segment \"{}\": made in another time namespace, and /proc does not tell whether its "
                    "clock is ours",
                    name),
        kOtherClock);
  }
  return {};
}

}  // namespace

std::uint64_t header_checksum(const Header& header) noexcept {
  return checksum(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, header_checksum)));
}

std::uint64_t frozen_checksum(const Header& header, std::span<const std::byte> mapping) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < header.section_count; ++i) {
    const Section& section = header.sections[i];
    if (section.frozen == 0) continue;
    sum = sum * 31 + checksum(mapping.subspan(section.offset, section.stride * section.count));
  }
  return sum;
}

Result<void> verify_header(const Header& header, std::uint64_t file_bytes, std::uint64_t abi_fingerprint,
                           const HostIdentity& host, std::string_view name) {
  if (header.magic != kMagic) {
    return fail(Errc::foreign,
                fmt::format("segment \"{}\": the file of that name is not a weir segment", name),
                "use another segment name, or remove the file");
  }
  if (header.layout_version != kLayoutVersion) {
    return fail(Errc::incompatible,
                fmt::format("segment \"{}\": layout version {}, this build reads {}", name,
                            header.layout_version, kLayoutVersion),
                header.layout_version > kLayoutVersion ? "inspect it with a newer weir" : remove_hint(name));
  }
  if (header_checksum(header) != header.header_checksum)
    return damaged(name, "the header's checksum differs");
  if (header.abi_fingerprint != abi_fingerprint) {
    return fail(Errc::incompatible,
                fmt::format("segment \"{}\": built for other structure sizes (weir {})", name,
                            header.library_version.data()),
                "build all workers with the same weir, compiler and architecture");
  }
  if (auto geometry = verify_geometry(header, file_bytes, name); !geometry) return geometry;
  if (name != header.name.data()) {
    return fail(Errc::foreign,
                fmt::format("segment \"{}\": its file is that of segment \"{}\", renamed or linked", name,
                            escaped(header.name.data())),
                "use another segment name, or remove the file");
  }
  return verify_host(header, host, name);
}

Result<void> verify_frozen(const Header& header, std::span<const std::byte> mapping, std::string_view name) {
  if (frozen_checksum(header, mapping) != header.frozen_checksum) {
    return damaged(name, "the checksum of its policy differs");
  }
  return {};
}

}  // namespace weir::detail
