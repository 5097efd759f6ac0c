// SPDX-License-Identifier: Apache-2.0
#include "segment/list.hpp"

#include <algorithm>
#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <sys/stat.h>

#include "base/descriptor.hpp"
#include "base/text.hpp"
#include "segment/files.hpp"

namespace weir::detail {
namespace {

/// "weir.v2.captions"; the version of a file of another name is 0.
SegmentFile parsed(std::string_view file) {
  constexpr std::string_view kPrefix = "weir.v";
  SegmentFile segment;
  if (!file.starts_with(kPrefix)) return segment;
  const char* const end = file.data() + file.size();
  std::uint32_t version = 0;
  const auto number = std::from_chars(file.data() + kPrefix.size(), end, version);
  if (number.ec != std::errc() || number.ptr == end || *number.ptr != '.') return segment;
  segment.name.assign(number.ptr + 1, end);
  if (valid_name(segment.name)) segment.layout_version = version;
  return segment;
}

}  // namespace

std::vector<SegmentFile> segment_files() {
  std::vector<SegmentFile> files;
  FileHandle opened = open_file(kSegmentDirectory, O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opened ? ::fdopendir(opened.get()) : nullptr,
                                                      &::closedir);
  if (!directory) return files;
  (void)opened.release();  // closed with the directory
  while (const dirent* entry =
             ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    SegmentFile found = parsed(entry->d_name);
    struct stat info {};
    if (found.layout_version == 0 ||
        ::fstatat(::dirfd(directory.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    found.owner = info.st_uid;
    found.group = info.st_gid;
    found.mode = info.st_mode & 07777;
    found.bytes = static_cast<std::uint64_t>(info.st_size);
    files.push_back(std::move(found));
  }
  std::ranges::sort(files, {},
                    [](const SegmentFile& file) { return std::pair(file.name, file.layout_version); });
  return files;
}

std::string names_beside(std::string_view missing) {
  constexpr std::size_t kShown = 5;
  std::vector<std::string> names;
  for (const SegmentFile& file : segment_files()) {
    if (file.layout_version == kLayoutVersion) names.push_back(file.name);
  }
  std::vector<std::string_view> candidates(names.begin(), names.end());
  const std::string_view meant = nearest(missing, candidates);
  std::stable_partition(candidates.begin(), candidates.end(),
                        [&](std::string_view name) { return name == meant; });
  const std::size_t shown = std::min(kShown, candidates.size());
  std::string text =
      fmt::format("{}", fmt::join(candidates.begin(), candidates.begin() + std::ptrdiff_t(shown), ", "));
  if (candidates.size() > shown) text += fmt::format(" and {} more", candidates.size() - shown);
  return text;
}

}  // namespace weir::detail
