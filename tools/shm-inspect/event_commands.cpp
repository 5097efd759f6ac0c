// SPDX-License-Identifier: Apache-2.0

// The journal: what happened, in the order of the host, and what happens next.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/signalfd.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/text.hpp"

#include "command.hpp"
#include "common/arguments.hpp"
#include "common/failure.hpp"
#include "common/output.hpp"
#include "reading.hpp"
#include "render.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

constexpr int kLookAgainMs = 200;

/// What the command line asks for.
struct Asked {
  EventQuery query;
  std::optional<std::chrono::nanoseconds> since;
  bool follow = false;

  [[nodiscard]] EventQuery now() const {
    EventQuery query_now = query;
    if (since) {
      query_now.since = std::chrono::system_clock::now() -
                        std::chrono::duration_cast<std::chrono::system_clock::duration>(*since);
    }
    return query_now;
  }
};

EventKind kind_named(const std::string& name) {
  std::string all;
  for (const EventKind kind : kEventKinds) {
    if (kind == EventKind::lost) continue;
    if (to_string(kind) == name) return kind;
    all += (all.empty() ? "" : ", ") + std::string(to_string(kind));
  }
  throw Failure(kUsage, "--kind: there are no events of the kind \"" + name + "\"; use " + all);
}

std::chrono::nanoseconds since_named(const std::string& text) {
  const Result<std::chrono::nanoseconds> since = parse_duration(text);
  if (!since) throw Failure(kUsage, "--since: " + since.error().message());
  return *since;
}

/// "     12  2026-01-31 12:00:00  opened        upload: closed to open after 5 failures in a row  (server pid 7 uid 33)"
std::string line(const EventEntry& entry, bool colours) {
  std::string text;
  if (entry.kind == EventKind::lost) {
    text =
        fmt::format("{:>8}  {:<19}  {:<13}  {}", entry.number, "-", to_string(entry.kind), event_text(entry));
  } else {
    const auto when = fmt::gmtime(std::chrono::system_clock::to_time_t(entry.when));
    text = fmt::format("{:>8}  {:%Y-%m-%d %H:%M:%S}  {:<13}  {}{}{}", entry.number, when,
                       to_string(entry.kind), printable(entry.operation), entry.operation.empty() ? "" : ": ",
                       printable(event_text(entry)));
    text += entry.pid != 0
                ? fmt::format("  ({} pid {} uid {})", printable(entry.program), entry.pid, entry.uid)
                : std::string("  (a process that is not known)");
  }
  return (colours && entry.severity == EventSeverity::alarm ? "\x1b[1;31m" + text + "\x1b[0m" : text) + "\n";
}

std::string lines(const std::vector<EventEntry>& events, bool colours) {
  std::string text;
  for (const EventEntry& entry : events) text += line(entry, colours);
  return text;
}

/// Waits between two looks, and notices that it is time to end.
class Pause {
 public:
  Pause() {
    ::sigemptyset(&ends_);
    ::sigaddset(&ends_, SIGINT);
    ::sigaddset(&ends_, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &ends_, nullptr);
    signals_ = ::signalfd(-1, &ends_, SFD_CLOEXEC);
  }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;
  ~Pause() { ::close(signals_); }

  /// @return false: a signal asks for the end, or the reader of the output has gone.
  [[nodiscard]] bool wait() const {
    std::array<pollfd, 2> files{{{signals_, POLLIN, 0}, {STDOUT_FILENO, 0, 0}}};
    (void)::poll(files.data(), files.size(), kLookAgainMs);
    return files[0].revents == 0 && (files[1].revents & (POLLERR | POLLHUP)) == 0;
  }

 private:
  sigset_t ends_{};
  int signals_ = -1;
};

/// @return false: the reader has gone, which is how a pipe of commands ends.
bool show(const std::string& text) {
  errno = 0;
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written && errno == EPIPE) {
    std::clearerr(stdout);
    return false;
  }
  if (!written) finish_output();  // throws, and says why
  return true;
}

void follow(const Common& common, const Asked& asked, bool json) {
  const Pause pause;
  const std::string segment = common.segment_or_default();
  EventQuery query = asked.now();
  for (bool go_on = true; go_on; go_on = pause.wait()) {
    const EventPage page = taken(list_events(segment, query));
    std::string text;
    for (const EventEntry& entry : page.events)
      text += json ? render_json_line(entry) : line(entry, wants_colours());
    if (!text.empty() && !show(text)) return;
    query.after = page.last;
    query.since.reset();
    query.limit = 0;
  }
}

Action events(CLI::App& command) {
  const auto asked = std::make_shared<Asked>();
  command.add_flag("--follow", asked->follow, "go on with what happens next, until it is interrupted");
  command
      .add_option_function<std::string>(
          "--since", [asked](const std::string& text) { asked->since = since_named(text); },
          "only what happened within this time: 10min")
      ->type_name("TIME");
  command
      .add_option_function<std::vector<std::string>>(
          "--kind",
          [asked](const std::vector<std::string>& names) {
            for (const std::string& name : names) asked->query.kinds.push_back(kind_named(name));
          },
          "only events of this kind; may be given more than once")
      ->type_name("KIND")
      ->allow_extra_args(false);  // one for each --kind
  command.add_option("--last", asked->query.limit, "at most this many, the newest")
      ->check(CLI::Range(1, 1'000'000));
  command.footer(
      "The order is that of the host; the times are those of the clocks of the writers. The journal keeps "
      "the last\n"
      "4,096 records. Records that newer ones have overwritten, and those whose writers were killed or "
      "stopped in\n"
      "the middle, are shown as lost, with their numbers. With --follow --json each event is an object on a "
      "line of\n"
      "its own. What the keys mean: shm-inspect fields.");
  const Action look = reading(
      command, "print one JSON object: events, and last, the number up to which they are complete",
      [asked](const Common& common, const View& view) {
        const EventPage page = taken(list_events(common.segment_or_default(), asked->now()));
        if (view.json) return render_json(page);
        return page.events.empty() ? std::string("nothing has happened\n") : lines(page.events, view.colours);
      });
  const CLI::Option* const json = command.get_option("--json");
  return [asked, look, json](const Common& common) {
    if (!asked->follow) return look(common);
    follow(common, *asked, json->count() != 0);
  };
}

constexpr std::array kCommands{
    Command{"events", "show what happened: breakers, workers, changes, full tables", events},
};

}  // namespace

std::span<const Command> event_commands() {
  return kCommands;
}

}  // namespace weir::shm_inspect
