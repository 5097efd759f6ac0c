// SPDX-License-Identifier: Apache-2.0
#pragma once

// The requests of all logs, in the order of their times.
//
// Servers write a line when a request ends, with the time at which it began, so logs are not in order, and
// logs of several servers overlap. Files are read completely and sorted. Standard input is sorted within a
// window of requests, because it may never end: a request that comes later than that counts at the time that
// has been reached.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "log_line.hpp"
#include "log_source.hpp"
#include "names.hpp"
#include "progress_bar.hpp"
#include "routes.hpp"

namespace weir::replay {

struct TimedRequest {
  LogTime time;
  std::uint64_t line;  ///< counted from 1
  UserNumber user;
  Routes::Number operation;
  std::uint16_t log;  ///< index of the log
};

/// A line that is not a request.
struct BadLine {
  std::uint16_t log = 0;
  std::uint64_t line = 0;  ///< 0: there is no such line
  std::string text;        ///< the beginning of the line
};

/// What else reading found, beside requests.
struct ReadingNotes {
  std::uint64_t lines = 0;
  std::uint64_t requests = 0;
  std::uint64_t unparsed = 0;
  BadLine first_unparsed;
  std::uint64_t out_of_order = 0;  ///< requests that are earlier than the latest of their log
  std::uint64_t too_late = 0;      ///< those of them that sorting did not bring into order
  std::uint64_t nameless = 0;      ///< requests without a user
};

class Timeline {
 public:
  struct Settings {
    UserField user;
    bool sort = true;
    std::size_t window = 0;  ///< how many requests are held at once; 0: all of them
  };

  /// All arguments must outlive the timeline.
  Timeline(std::vector<LogSource>& logs, Names& names, const Routes& routes, Settings settings);

  /// The next requests, none of them earlier than those of the last call. It is empty if there are no more.
  /// Throws std::runtime_error if a log cannot be read, or spans more time than a segment serves.
  [[nodiscard]] std::span<const TimedRequest> next();

  [[nodiscard]] const ReadingNotes& notes() const noexcept { return notes_; }
  [[nodiscard]] LogTime first() const noexcept { return first_; }  ///< only if there are requests
  [[nodiscard]] LogTime last() const noexcept { return last_; }

 private:
  void read();
  void take(const LogEntry& entry);
  void note_unparsed(const BadLine& line);
  void drop_strays();
  void set_times(std::span<TimedRequest> requests);

  std::vector<LogSource>& logs_;
  Names& names_;
  const Routes& routes_;
  Settings settings_;
  LineParser parser_;
  ProgressBar bar_;
  ReadingNotes notes_;

  std::vector<TimedRequest> held_;
  std::size_t released_ = 0;  ///< the first of held_ that the last call returned
  bool begun_ = false;        ///< first_ and last_ are set
  LogTime first_{};
  LogTime last_{};

  std::size_t log_ = 0;  ///< the log that is being read
  std::uint64_t line_ = 0;
  std::optional<LogTime> latest_of_log_;
  std::string address_;
};

}  // namespace weir::replay
