// SPDX-License-Identifier: Apache-2.0
#pragma once

// A file of snapshots, for a post-mortem. Its first line is {"weir_recording": 1, ...}; each other one is
// {"time": ..., "status": {...}}, with the keys of status --json, or {"time": ..., "notice": "..."} where the segment
// could not be read. It may end within a line, if the recorder was killed or the disk was full. A file that holds one
// object of status --json is read as a recording of that one moment.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::shm_inspect {

using Json = nlohmann::ordered_json;
using Moment = std::chrono::system_clock::time_point;

/// "2024-01-31T12:00:00.250Z"
[[nodiscard]] std::string text_of(Moment moment);
/// The same, with a fraction of a second or without.
[[nodiscard]] std::optional<Moment> parse_moment(std::string_view text);

/// Makes the file, which must not be there yet, and adds lines to it. Throws tools::Failure.
class RecordingFile {
 public:
  RecordingFile(std::string path, const std::string& segment);
  RecordingFile(const RecordingFile&) = delete;
  RecordingFile& operator=(const RecordingFile&) = delete;
  ~RecordingFile();

  /// `status` is JSON on one line.
  void add(Moment moment, std::string_view status);
  void add_notice(Moment moment, const std::string& notice);

 private:
  void write(std::string_view line);

  std::string path_;
  int fd_ = -1;
};

/// One snapshot of a file.
struct Recorded {
  std::optional<Moment> moment;  ///< not known of a file of status --json
  Json status;                   ///< empty where there is a notice
  std::string notice;
};

/// Reads such a file. Only one snapshot at a time is in memory.
class Recording {
 public:
  /// Throws tools::Failure if the file cannot be read, or holds no snapshot.
  explicit Recording(const std::string& path);

  [[nodiscard]] std::size_t size() const noexcept { return lines_.size(); }
  /// The snapshot with that number, from 0; nothing if its line is damaged.
  [[nodiscard]] std::optional<Recorded> read(std::size_t number);
  /// The number of the last one that is not later than a time: "first", "last", "12:30", "12:30:05", "+5min" after the
  /// first, "-5min" before the last, or "2024-01-31T12:30:00Z". Throws tools::Failure.
  [[nodiscard]] std::size_t at(const std::string& time) const;
  /// What is wrong with the file; empty if nothing is.
  [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }

 private:
  struct Line {
    Moment moment;
    std::uint64_t offset;
    std::size_t length;
  };

  void find_lines();
  [[nodiscard]] bool is_status_alone();
  [[nodiscard]] Moment asked(const std::string& time) const;

  std::string path_;
  std::ifstream file_;
  std::vector<Line> lines_;
  std::optional<Recorded> alone_;  ///< what the file holds if it is one object of status --json
  std::string complaint_;
};

}  // namespace weir::shm_inspect
