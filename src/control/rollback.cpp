// SPDX-License-Identifier: Apache-2.0
#include "control/rollback.hpp"

#include <fmt/format.h>
#include <limits>

#include "weir/config.hpp"

namespace weir::detail {
namespace {

Error gone(std::string fact) {
  return fail(Errc::not_in_segment, std::move(fact),
              "apply the file that you want instead: shm-inspect apply");
}

}  // namespace

std::uint64_t Rollback::last() const {
  std::uint64_t undone_from = std::numeric_limits<std::uint64_t>::max();
  for (const RecordedChange& one : history_) {  // newest first
    if (one.entry.generation >= undone_from || is_reset(one.entry)) continue;
    if (one.entry.undoes == 0) return one.entry.generation;
    undone_from = one.entry.undoes;
  }
  return 0;
}

Error Rollback::nothing_left(std::string_view segment) const {
  std::string why = "nothing was changed since it was made";
  if (!history_.empty()) {
    const std::uint64_t oldest = history_.back().entry.generation;
    why = oldest <= 1
              ? "all of them were taken back already"
              : fmt::format("the history begins at generation {}, and all since were taken back", oldest);
  }
  return gone(fmt::format("segment \"{}\": no change to take back: {}", segment, why));
}

std::vector<std::uint64_t> Rollback::resets_since(std::uint64_t generation) const {
  std::vector<std::uint64_t> found;
  for (const RecordedChange& one : history_) {
    if (one.entry.generation >= generation && is_reset(one.entry)) found.push_back(one.entry.generation);
  }
  return found;
}

Result<void> Rollback::take_back(std::uint64_t generation) {
  std::vector<ConfigChange> back;
  std::uint32_t together = 0;
  for (const RecordedChange& one : history_) {
    if (one.entry.generation != generation) continue;
    if (is_reset(one.entry)) return {};
    together = one.together;
    const ConfigChange& change = one.entry.change;
    if (change.from.size() >= decltype(ChangeRecord::from)::kBytes ||
        change.key.size() >= decltype(ChangeRecord::key)::kBytes) {
      return gone(fmt::format("generation {}: {}: its old value is too long for the history", generation,
                              change.key));
    }
    back.push_back({change.key, change.to, change.from});
  }
  if (back.empty() || back.size() != together) {
    return gone(fmt::format("generation {}: the history holds {} of its changes", generation, back.size()));
  }
  std::erase_if(back, [this](const ConfigChange& change) {
    const auto operation = switched_operation(change.key);
    if (operation) switches_[std::string(*operation)] = switch_named(change.to);
    return operation.has_value();
  });
  return apply_changes(config_, back);
}

}  // namespace weir::detail
