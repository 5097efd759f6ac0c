// SPDX-License-Identifier: Apache-2.0
#include "recording.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

#include "weir/config.hpp"
#include "weir/text.hpp"

#include "common/failure.hpp"
#include "recorded_text.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
using std::chrono::milliseconds;
using std::chrono::system_clock;
namespace {

constexpr std::string_view kTime = "{\"time\":\"";
constexpr std::size_t kTimeLength = std::string_view("2024-01-31T12:00:00.250Z").size();

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::optional<Json> parsed(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return std::nullopt;
  return json;
}

}  // namespace

std::string text_of(Moment moment) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(moment);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(system_clock::to_time_t(whole)),
                     std::chrono::duration_cast<milliseconds>(moment - whole).count());
}

std::optional<Moment> parse_moment(std::string_view text) {
  std::tm day{};
  int fraction = 0;
  int read = 0;
  const std::string copy(text);
  const char* const format =
      text.find('.') == text.npos ? "%4d-%2d-%2dT%2d:%2d:%2dZ%n" : "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n";
  std::sscanf(copy.c_str(), format, &day.tm_year, &day.tm_mon, &day.tm_mday, &day.tm_hour, &day.tm_min,
              &day.tm_sec, text.find('.') == text.npos ? &read : &fraction, &read);
  if (read == 0 || static_cast<std::size_t>(read) != text.size()) return std::nullopt;
  if (day.tm_year < 1970 || day.tm_year > 2200) return std::nullopt;
  day.tm_year -= 1900;
  day.tm_mon -= 1;
  return system_clock::from_time_t(::timegm(&day)) + milliseconds(fraction);
}

RecordingFile::RecordingFile(std::string path, const std::string& segment) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0 && errno == EEXIST)
    throw Failure(kFailed,
                  path_ + ": exists already; give the recording another name, or move that file away");
  if (fd_ < 0) throw Failure(kFailed, path_ + ": " + std::strerror(errno));
  write(dumped({{"weir_recording", 1}, {"segment", segment}, {"by", "shm-inspect " WEIR_VERSION}}) + "\n");
}

RecordingFile::~RecordingFile() {
  ::close(fd_);
}

void RecordingFile::add(Moment moment, std::string_view status) {
  write(fmt::format("{}{}\",\"status\":{}}}\n", kTime, text_of(moment), status));
}

void RecordingFile::add_notice(Moment moment, const std::string& notice) {
  write(fmt::format("{}{}\",\"notice\":{}}}\n", kTime, text_of(moment), dumped(notice)));
}

void RecordingFile::write(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(fd_, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw Failure(kFailed, path_ + ": " + std::strerror(errno));
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

Recording::Recording(const std::string& path) : path_(path), file_(path, std::ios::binary) {
  if (!file_) throw Failure(kFailed, path + ": " + std::strerror(errno));
  if (is_status_alone()) return;
  find_lines();
  if (lines_.empty()) {
    throw Failure(kFailed,
                  path + ": holds no snapshot; give a file of shm-inspect record, or of status --json");
  }
}

bool Recording::is_status_alone() {
  // That of a recording says so in its first line, however long the rest is.
  std::string text;
  std::getline(file_, text);
  file_.clear();
  file_.seekg(0);
  if (text.starts_with("{\"weir_recording\":") || text.starts_with(kTime)) return false;
  text.assign(std::istreambuf_iterator<char>(file_), {});
  file_.clear();
  std::optional<Json> status = parsed(text);
  if (!status || member(*status, "segment") == nullptr) return false;
  alone_ = Recorded{std::nullopt, *std::move(status), {}};
  if (const Json* const taken = member(alone_->status, "taken"); taken != nullptr && taken->is_string())
    alone_->moment = parse_moment(taken->get_ref<const std::string&>());
  lines_.push_back({alone_->moment.value_or(Moment()), 0, 0});
  return true;
}

void Recording::find_lines() {
  file_.seekg(0);
  std::uint64_t offset = 0;
  std::size_t number = 0;
  std::size_t damaged = 0;
  std::size_t first_damaged = 0;
  bool cut = false;
  for (std::string line; std::getline(file_, line); offset += line.size() + 1) {
    ++number;
    cut = file_.eof();  // there was no end of the line
    if (cut && line.empty()) break;
    if (number == 1 && line.starts_with("{\"weir_recording\":")) continue;
    const std::string_view text = line;
    const auto moment =
        text.starts_with(kTime) ? parse_moment(text.substr(kTime.size(), kTimeLength)) : std::nullopt;
    if (moment && text.ends_with('}')) {
      lines_.push_back({*moment, offset, line.size()});
      continue;
    }
    if (cut) break;
    ++damaged;
    if (first_damaged == 0) first_damaged = number;
  }
  file_.clear();
  if (damaged != 0)
    complaint_ = fmt::format("{} damaged lines are left out, the first is line {}", damaged, first_damaged);
  if (cut)
    complaint_ += std::string(complaint_.empty() ? "" : "; ") + "it ends within a line, which is left out";
}

std::optional<Recorded> Recording::read(std::size_t number) {
  if (alone_) return alone_;
  const Line& line = lines_.at(number);
  std::string text(line.length, '\0');
  file_.clear();
  file_.seekg(static_cast<std::streamoff>(line.offset));
  file_.read(text.data(), static_cast<std::streamsize>(text.size()));
  std::optional<Json> json = parsed(text);
  if (!json) return std::nullopt;
  Recorded recorded{line.moment, {}, {}};
  if (const Json* const status = member(*json, "status"); status != nullptr && status->is_object()) {
    recorded.status = *status;
    return recorded;
  }
  const Json* const notice = member(*json, "notice");
  if (notice == nullptr || !notice->is_string()) return std::nullopt;
  recorded.notice = notice->get<std::string>();
  return recorded;
}

Moment Recording::asked(const std::string& time) const {
  const Moment first = lines_.front().moment;
  const Moment last = lines_.back().moment;
  if (time == "first") return first;
  if (time == "last") return last;
  if (time.size() > 1 && (time.front() == '+' || time.front() == '-')) {
    if (const auto distance = parse_duration(std::string_view(time).substr(1))) {
      const auto by = std::chrono::duration_cast<system_clock::duration>(*distance);
      return time.front() == '+' ? first + by : last - by;
    }
  }
  // A time of day is that of the first day, or after midnight that of the next one.
  const std::string day = text_of(first).substr(0, std::string_view("2024-01-31T").size());
  for (const std::string& whole : {time, day + time + "Z", day + time + ":00Z"}) {
    if (const auto moment = parse_moment(whole))
      return whole != time && *moment < first - std::chrono::minutes(1) ? *moment + std::chrono::hours(24)
                                                                        : *moment;
  }
  throw Failure(kUsage,
                "\"" + time +
                    "\" is not a time; use first, last, 12:30, +5min after the first, -5min before the last, "
                    "or 2024-01-31T12:30:00Z");
}

std::size_t Recording::at(const std::string& time) const {
  const Moment moment = asked(time);
  const auto after = std::ranges::upper_bound(lines_, moment, {}, &Line::moment);
  if (after == lines_.begin()) {
    throw Failure(kUsage, fmt::format("{}: begins at {}, and has nothing of {}", path_,
                                      text_of(lines_.front().moment), text_of(moment)));
  }
  return static_cast<std::size_t>(after - lines_.begin()) - 1;
}

}  // namespace weir::shm_inspect
