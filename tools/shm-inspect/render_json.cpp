// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "weir/report.hpp"

#include "common/failure.hpp"
#include "render.hpp"

namespace weir::shm_inspect {
namespace {

using Json = nlohmann::ordered_json;

/// ASCII alone, and bytes that are not UTF-8 replaced: names in a segment are whatever its writer put there.
std::string text_of(const Json& json) {
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

/// One object, with the rows under the key of their list.
template <class Row>
std::string text_of(const FieldList<Row>& list, const std::vector<Row>& rows) {
  return text_of(Json{{std::string(list.key), as_json<Json>(list, rows)}});
}

}  // namespace

std::string render_json(const Snapshot& snapshot) {
  return tools::taken(to_json(snapshot));
}

std::string render_json(const LoadedConfig& loaded, const std::vector<Remark>& remarks) {
  Json list = Json::array();
  for (const auto& [key, warning, text] : remarks)
    list.push_back({{"key", key}, {"warning", warning}, {"text", text}});
  return text_of(Json{{std::string(kValueFields.key), as_json<Json>(kValueFields, loaded.values)},
                      {"remarks", std::move(list)}});
}

std::string render_json(const std::vector<UserEntry>& entries) {
  return text_of(kUserFields, entries);
}

std::string render_json(const std::vector<ChangeEntry>& entries) {
  return text_of(kHistoryFields, entries);
}

std::string render_json(const std::vector<SegmentEntry>& entries) {
  return text_of(kSegmentEntryFields, entries);
}

std::string render_json(const ChangeReport& report, bool dry_run) {
  return text_of(Json{{"generation", report.generation},
                      {"dry_run", dry_run},
                      {"resets", report.resets},
                      {std::string(kChangeFields.key), as_json<Json>(kChangeFields, report.changes)}});
}

std::string render_json(const ResetReport& report, bool dry_run) {
  Json json = as_json<Json>(kResetFields, report);
  json["dry_run"] = dry_run;
  return text_of(json);
}

std::string render_json(const EventPage& page) {
  return text_of(
      Json{{std::string(kEventFields.key), as_json<Json>(kEventFields, page.events)}, {"last", page.last}});
}

std::string render_json_line(const EventEntry& entry) {
  return as_json<Json>(kEventFields, entry).dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace weir::shm_inspect
