// SPDX-License-Identifier: Apache-2.0
#include "binding/create.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <grp.h>
#include <system_error>

#include "base/hash.hpp"
#include "policy/schema.hpp"
#include "policy/stored_config.hpp"

namespace weir::detail {
namespace {

Result<std::optional<gid_t>> find_group(const std::string& name) {
  if (name.empty()) return std::optional<gid_t>();
  errno = 0;
  const ::group* found =
      ::getgrnam(name.c_str());  // NOLINT(concurrency-mt-unsafe): opening is one thread's business
  const int error = errno;
  if (found == nullptr && (error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO)) {
    return fail(
        Errc::system,
        fmt::format("segment.group: looking \"{}\" up: {}", name, std::generic_category().message(error)),
        "");
  }
  if (found == nullptr) {
    return fail(Errc::config, fmt::format("segment.group: this host has no group \"{}\"", name),
                "use a group of /etc/group");
  }
  return std::optional(found->gr_gid);
}

void write_new(const Segment& segment, const Config& config) {
  store_settings(segment, settings_of(config));
  if (const auto sections = Sections::of(segment)) {
    store_config(*sections, config, KeyHasher(segment.header().secret));
  }
}

}  // namespace

Result<Segment> publish_segment(const Config& config, std::string_view name,
                                const std::optional<SegmentBeginning>& beginning) {
  WEIR_TRY(const auto group, find_group(config.segment.group));
  const std::vector<SectionSpec> sections = sections_for(config);
  const PublishSpec spec{.name = std::string(name),
                         .mode = config.segment.mode,
                         .group = group,
                         .reserve = config.segment.reserve,
                         .huge_pages = config.segment.huge_pages && !name.empty(),
                         .abi_fingerprint = kAbiFingerprint,
                         .sections = sections,
                         .beginning = beginning};
  return Segment::publish(spec, [&](const Segment& segment) { write_new(segment, config); });
}

Result<Segment> attach_existing(const Config& config) {
  WEIR_TRY(const auto group, find_group(config.segment.group));
  const Trust trust{.root_trusts_all = false, .mode = config.segment.mode, .group = group};
  return Segment::attach(config.segment.name, OpenMode::read_write, kAbiFingerprint, trust);
}

Result<Segment> attach_or_publish(const Config& config) {
  constexpr int kAttempts = 100;
  const std::string& name = config.segment.name;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto attached = attach_existing(config);
    if (attached) return attached;
    // A segment of another layout version has another file name, so a new one is made beside it.
    const Errc code = attached.error().code;
    if (code != Errc::not_found && (code != Errc::incompatible || Segment::exists(name))) return attached;
    auto published = publish_segment(config, name);
    if (published || published.error().code != Errc::conflict) return published;
  }
  return fail(Errc::system,
              fmt::format("segment \"{}\": another process keeps creating and removing it", name), "");
}

}  // namespace weir::detail
