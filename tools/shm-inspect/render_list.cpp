// SPDX-License-Identifier: Apache-2.0
#include <grp.h>
#include <pwd.h>
#include <string>
#include <vector>

#include "weir/field_table.hpp"
#include "weir/inspect.hpp"
#include "weir/text.hpp"
#include "weir/text_table.hpp"

#include "render.hpp"

namespace weir::shm_inspect {
namespace {

std::string owner(const SegmentEntry& entry) {
  const passwd* const user = ::getpwuid(entry.owner);  // NOLINT(concurrency-mt-unsafe): one thread
  const std::string name = user != nullptr ? user->pw_name : std::to_string(entry.owner);
  const group* const group = ::getgrgid(entry.group);  // NOLINT(concurrency-mt-unsafe): one thread
  return printable(name + ":" + (group != nullptr ? group->gr_name : std::to_string(entry.group)));
}

}  // namespace

std::string render_list(const std::vector<SegmentEntry>& entries, bool colours) {
  if (entries.empty()) return "no segments on this host\n";
  TextTable table({"SEGMENT", "LAYOUT", "BY WEIR", "CREATED (UTC)", "OWNER", "MODE", "SIZE", "WORKERS"});
  for (const SegmentEntry& entry : entries) {
    const bool known = entry.problem.empty();
    table.add(
        {printable(entry.name), std::to_string(entry.layout_version),
         entry.library_version.empty() ? "-" : printable(entry.library_version),
         known ? utc_text(entry.created) : "-", owner(entry), mode_text(entry.mode), size_text(entry.bytes),
         known ? std::to_string(entry.workers) : "? " + printable(entry.problem)},
        !known);
  }
  return table.text(colours);
}

}  // namespace weir::shm_inspect
