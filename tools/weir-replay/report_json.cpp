// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "report.hpp"

namespace weir::replay {
namespace {

using Json = nlohmann::ordered_json;

Json time_or_null(const std::string& time) {
  return time.empty() ? Json(nullptr) : Json(time);
}

Json first_unparsed(const Report& report) {
  const BadLine& first = report.notes.first_unparsed;
  if (first.line == 0) return nullptr;
  Json line = {{"line", first.line}, {"text", first.text.substr(0, 200)}};
  if (report.logs.size() > 1) line["log"] = report.logs[first.log];
  return line;
}

}  // namespace

std::string to_json(const Report& report) {
  Json refused_by = Json::object();
  for (const LimitLine& limit : report.refused_by) refused_by[limit.name] = limit.refused;
  Json top_refused = Json::array();
  for (const CountsLine& user : report.top_refused) {
    top_refused.push_back(
        {{"user", user.name}, {"requests", user.counts.requests}, {"refused", user.counts.refused}});
  }
  Json by_operation = Json::object();
  for (const CountsLine& line : report.by_operation) {
    by_operation[std::string(line.name)] = {{"requests", line.counts.requests},
                                            {"refused", line.counts.refused}};
  }
  const Json all = {{"log", report.logs.size() == 1 ? Json(report.logs[0]) : Json(report.logs)},
                    {"operation", report.operation},
                    {"requests", report.counts.requests},
                    {"unparsed", report.notes.unparsed},
                    {"first_unparsed", first_unparsed(report)},
                    {"sorted", report.sorted},
                    {"out_of_order", report.notes.out_of_order},
                    {"too_late", report.notes.too_late},
                    {"not_tried", report.not_tried},
                    {"admitted", report.admitted()},
                    {"refused", report.counts.refused},
                    {"refused_by", refused_by},
                    {"by_operation", by_operation},
                    {"users", report.users},
                    {"without_user", report.notes.nameless},
                    {"from", time_or_null(report.from)},
                    {"until", time_or_null(report.until)},
                    {"top_refused", top_refused}};
  // An access log contains whatever clients sent: bytes that are not UTF-8 become U+FFFD.
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace weir::replay
