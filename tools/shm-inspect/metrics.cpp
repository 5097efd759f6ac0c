// SPDX-License-Identifier: Apache-2.0
#include "metrics.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/inspect.hpp"
#include "weir/report.hpp"

#include "common/arguments.hpp"
#include "common/failure.hpp"
#include "common/output.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

struct MetricsOptions {
  std::vector<std::string> segments;
  bool all = false;
  bool open_metrics = false;
  std::string textfile;
};

/// A file beside another one that takes its name once it is whole, so that a reader finds the old text or the new
/// one. If that is not reached, it goes.
class Replacement {
 public:
  explicit Replacement(std::string path) : path_(std::move(path)) {
    file_ = ::mkostemp(name_.data(), O_CLOEXEC);
    if (file_ < 0) fail();
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(file_, 0666 & ~mask) != 0) fail();  // mkostemp() lets only its user read
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement() { discard(); }

  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(file_, text.data(), text.size());
      if (written < 0 && errno != EINTR) fail();
      if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  /// Throws Failure, as the others do, if the file cannot be written.
  void take_the_name() {
    if (::close(std::exchange(file_, -1)) != 0 || ::rename(name_.c_str(), path_.c_str()) != 0) fail();
    is_there_ = false;
  }

 private:
  [[noreturn]] void fail() {
    const int error = errno;
    discard();
    throw Failure(kFailed, fmt::format("--textfile: cannot write {}: {}", path_, std::strerror(error)));
  }
  void discard() noexcept {
    if (file_ >= 0) ::close(std::exchange(file_, -1));
    if (std::exchange(is_there_, false)) ::unlink(name_.c_str());
  }

  std::string path_;
  std::string name_ = path_ + ".XXXXXX";  // not *.prom, which a collector would read
  int file_ = -1;
  bool is_there_ = true;
};

std::vector<std::string> names_of(const MetricsOptions& options, const Common& common) {
  std::vector<std::string> names = options.segments;
  if (options.all) {
    for (const SegmentEntry& entry : taken(list_segments())) names.push_back(entry.name);
  } else if (names.empty()) {
    names.push_back(common.segment_or_default());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void show_metrics(const MetricsOptions& options, const Common& common) {
  if (options.all && !options.segments.empty())
    throw Failure(kUsage, "metrics: --all and names of segments together; give one of them");
  std::vector<Snapshot> snapshots;
  std::vector<Error> errors;
  for (const std::string& name : names_of(options, common)) {
    Result<Snapshot> snapshot = take_snapshot(name);
    if (snapshot) {
      snapshots.push_back(*std::move(snapshot));
    } else {
      errors.push_back(snapshot.error());
    }
  }
  // What can be read is shown, and the exit status tells of the rest.
  if (!errors.empty() && snapshots.empty()) throw Failure(errors.front());
  const auto format = options.open_metrics ? MetricsFormat::open_metrics : MetricsFormat::prometheus;
  const std::string text = taken(to_metrics(snapshots, format));
  if (options.textfile.empty()) {
    fmt::print("{}", text);
  } else {
    Replacement file(options.textfile);
    file.write(text);
    file.take_the_name();
  }
  if (errors.empty()) return;
  finish_output();
  for (std::size_t i = 0; i + 1 < errors.size(); ++i) complain("shm-inspect", printable(errors[i].message()));
  throw Failure(errors.back());
}

}  // namespace

Action metrics(CLI::App& command) {
  const auto options = std::make_shared<MetricsOptions>();
  command
      .add_option("SEGMENT", options->segments,
                  "segments to show, if not the one of --segment; if there are several, each series has the "
                  "label segment")
      ->check(kNotEmpty);
  command.add_flag("--all", options->all, "show all segments of this host");
  command.add_flag("--openmetrics", options->open_metrics,
                   "write OpenMetrics 1.0 and not the text format 0.0.4 of Prometheus");
  command
      .add_option("--textfile", options->textfile,
                  "write to this file, which is replaced as a whole, as the textfile collector of "
                  "node_exporter wants it")
      ->type_name("PATH")
      ->check(kNotEmpty);
  command.footer("The series: shm-inspect fields --markdown, or docs/inspector.md.");
  return [options](const Common& common) { show_metrics(*options, common); };
}

}  // namespace weir::shm_inspect
