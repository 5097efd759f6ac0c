#include <nlohmann/json.hpp>

#include "report.hpp"

namespace weir::replay {
namespace {

using Json = nlohmann::ordered_json;

Json time_or_null(const std::string& time) {
  return time.empty() ? Json(nullptr) : Json(time);
}

Json first_unparsed(const Report& report) {
  if (report.first_unparsed_line == 0) return nullptr;
  return {{"line", report.first_unparsed_line}, {"text", report.first_unparsed.substr(0, 200)}};
}

}  // namespace

std::string to_json(const Report& report) {
  Json refused_by = Json::object();
  for (const LimitLine& limit : report.refused_by) refused_by[limit.name] = limit.refused;
  Json top_refused = Json::array();
  for (const UserLine& user : report.top_refused) {
    top_refused.push_back(
        {{"user", user.name}, {"requests", user.counts.requests}, {"refused", user.counts.refused}});
  }
  const Json all = {{"log", report.log},
                    {"operation", report.operation},
                    {"requests", report.requests},
                    {"unparsed", report.unparsed},
                    {"first_unparsed", first_unparsed(report)},
                    {"admitted", report.admitted()},
                    {"refused", report.refused},
                    {"refused_by", refused_by},
                    {"users", report.users},
                    {"from", time_or_null(report.from)},
                    {"until", time_or_null(report.until)},
                    {"top_refused", top_refused}};
  // An access log holds whatever clients sent: bytes that are no UTF-8 become U+FFFD.
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace weir::replay
