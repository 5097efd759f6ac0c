// SPDX-License-Identifier: Apache-2.0

// The commands that keep snapshots in a file, show them, and compare them.

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/text.hpp"

#include "command.hpp"
#include "common/arguments.hpp"
#include "common/failure.hpp"
#include "common/output.hpp"
#include "difference.hpp"
#include "recorded_text.hpp"
#include "recording.hpp"
#include "render.hpp"
#include "signals.hpp"
#include "watch.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
using std::chrono::steady_clock;
using std::chrono::system_clock;
namespace {

constexpr const char* kTimes =
    "A time is first, last, 12:30 or 12:30:05 (UTC), +5min after the first snapshot, -5min before the last,\n"
    "or 2024-01-31T12:30:00Z: it means the last snapshot that is not later. Without one, it is the last.";

struct Taking {
  std::string path;
  std::string every = "2";
  std::string time;  ///< empty: until a signal
};

/// Adds what the segment holds now to the file, or why that is not known.
void add_snapshot(RecordingFile& file, const std::string& segment) {
  const auto snapshot = take_snapshot(segment);
  const Moment now = system_clock::now();
  if (snapshot) return file.add(now, on_one_line(render_json(*snapshot)));
  file.add_notice(now, snapshot.error().message());
}

void record_as_asked(const Common& common, const Taking& taking) {
  const auto every = parse_interval(taking.every);
  auto end = steady_clock::time_point::max();
  if (!taking.time.empty()) end = steady_clock::now() + parse_time(taking.time, std::chrono::nanoseconds(0));
  const std::string segment = common.segment_or_default();
  (void)taken(take_snapshot(segment));  // a mistyped name must not make a recording of nothing

  const Signals signals;
  RecordingFile file(taking.path, segment);
  std::size_t count = 0;
  auto next = steady_clock::now();
  int signal = 0;
  while (!Signals::ends(signal)) {
    add_snapshot(file, segment);
    ++count;
    next = std::max(next + every, steady_clock::now());
    if (next > end) break;
    do {
      signal = signals.wait(next);
      if (signal == SIGTSTP) signals.stop();
    } while (signal != 0 && !Signals::ends(signal));
  }
  fmt::print("{}: {} snapshots\n", printable(taking.path), count);
}

Action record(CLI::App& command) {
  const auto taking = std::make_shared<Taking>();
  command.add_option("FILE", taking->path, "the file to make; it must not be there yet")
      ->required()
      ->check(kNotEmpty);
  command
      .add_option("--every", taking->every,
                  "how often to take a snapshot: seconds, or a duration as in 500ms")
      ->type_name("S")
      ->capture_default_str();
  command
      .add_option("--for", taking->time,
                  "for how long: seconds, or a duration as in 10min; by default until Ctrl-C")
      ->type_name("D");
  command.footer(
      "The file has one JSON object a line, each with the keys of status --json under status. Where the "
      "segment\n"
      "cannot be read, its line says why, and recording goes on. To look at it: shm-inspect play, diff.");
  return [taking](const Common& common) { record_as_asked(common, *taking); };
}

/// Tells on the standard error what is wrong with a file.
void complain_of(const std::string& path, const Recording& recording) {
  if (!recording.complaint().empty())
    complain("shm-inspect", fmt::format("{}: {}", printable(path), recording.complaint()));
}

struct Playing {
  std::string path;
  std::string time;
  std::string interval;
  bool json = false;
};

std::string shown(const Recording& recording, std::size_t number, const std::optional<Recorded>& recorded,
                  bool json, bool colours) {
  if (json) {
    if (!recorded) return {};
    const Json line{
        {"time", recorded->moment ? Json(text_of(*recorded->moment)) : Json(nullptr)},
        recorded->notice.empty() ? Json{"status", recorded->status} : Json{"notice", recorded->notice}};
    return line.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  }
  const std::string time = recorded && recorded->moment ? text_of(*recorded->moment) : "at an unknown time";
  std::string text = fmt::format("recorded {} ({} of {})\n", time, number + 1, recording.size());
  if (!recorded) return text + "this line of the file is damaged\n";
  if (!recorded->notice.empty()) return text + printable(recorded->notice) + "\n";
  return text + render_recorded(recorded->status, colours);
}

void play_as_asked(const Playing& playing) {
  Recording recording(playing.path);
  complain_of(playing.path, recording);
  const auto show = [&](std::size_t number) {
    return shown(recording, number, recording.read(number), playing.json, wants_colours());
  };
  if (playing.interval.empty()) {
    const std::size_t number = recording.at(playing.time.empty() ? "last" : playing.time);
    const std::string text = show(number);
    if (text.empty()) throw Failure(kFailed, playing.path + ": the line of that time is damaged");
    return fmt::print("{}", text);
  }
  std::size_t next = playing.time.empty() ? 0 : recording.at(playing.time);
  watch({.every = parse_interval(playing.interval),
         .json = playing.json,
         .look = [&] { return show(next++); },
         .is_over = [&] { return next == recording.size(); }});
}

Action play(CLI::App& command) {
  const auto playing = std::make_shared<Playing>();
  command.add_option("FILE", playing->path, "a file of record, or of status --json")
      ->required()
      ->check(kNotEmpty);
  command.add_option("--at", playing->time, "which snapshot; with --watch, where to begin")
      ->check(kNotEmpty)
      ->type_name("TIME");
  add_watch(command, playing->interval, "show one snapshot after the other, for 2 seconds each or as S says");
  command.add_flag("--json", playing->json, "print one JSON object a line: time, and status or notice");
  command.footer(kTimes);
  return [playing](const Common&) { play_as_asked(*playing); };
}

struct Comparing {
  std::string before;
  std::string after;
  bool json = false;
};

/// "FILE" or "FILE@TIME". A file whose own name has an "@" is meant if it is there.
Recorded snapshot_named(const std::string& text) {
  const std::size_t at = text.rfind('@');
  const bool has_time = at != text.npos && ::access(text.c_str(), F_OK) != 0;
  const std::string path = text.substr(0, has_time ? at : text.size());
  Recording recording(path);
  complain_of(path, recording);
  // Where the segment could not be read, or a line is damaged, the one before it counts.
  for (std::size_t number = recording.at(has_time ? text.substr(at + 1) : "last") + 1; number > 0; --number) {
    std::optional<Recorded> recorded = recording.read(number - 1);
    if (recorded && recorded->notice.empty()) return *std::move(recorded);
  }
  throw Failure(kFailed, path + ": has no whole snapshot at or before that time");
}

Recorded live(const Common& common) {
  const Snapshot snapshot = taken(take_snapshot(common.segment_or_default()));
  return {system_clock::now(), as_json<Json>(snapshot), {}};
}

Action diff(CLI::App& command) {
  const auto comparing = std::make_shared<Comparing>();
  command.add_option("BEFORE", comparing->before, "FILE or FILE@TIME, a file of record or of status --json")
      ->required()
      ->check(kNotEmpty);
  command.add_option("AFTER", comparing->after, "the same; by default what the segment holds now")
      ->check(kNotEmpty);
  command.add_flag(
      "--json", comparing->json,
      "print one JSON object: from, to, seconds, replaced, changes (a list of list, row, key, kind, from, "
      "to, and of counters difference and per_second)");
  command.footer(kTimes);
  return [comparing](const Common& common) {
    const Recorded before = snapshot_named(comparing->before);
    const Recorded after = comparing->after.empty() ? live(common) : snapshot_named(comparing->after);
    const Json difference = difference_between(before, after);
    if (comparing->json)
      return fmt::print("{}\n", difference.dump(2, ' ', true, Json::error_handler_t::replace));
    fmt::print("{}", render_difference(difference));
  };
}

constexpr std::array kCommands{
    Command{"record", "write what a segment holds into a file, again and again", record},
    Command{"play", "show what a file of record holds", play},
    Command{"diff", "show what changed between two snapshots, or from one until now", diff},
};

}  // namespace

std::span<const Command> recording_commands() {
  return kCommands;
}

}  // namespace weir::shm_inspect
