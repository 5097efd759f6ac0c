// SPDX-License-Identifier: Apache-2.0
#include "watch.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unistd.h>

#include "weir/config.hpp"
#include "weir/field.hpp"
#include "weir/text.hpp"

#include "common/failure.hpp"
#include "common/output.hpp"
#include "screen.hpp"
#include "signals.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;
namespace {

constexpr nanoseconds kLongest = std::chrono::hours(24 * 30);

/// What one look gave.
struct Found {
  std::string text;
  std::string notice;  ///< what went wrong, or has changed about the segment
};

class Watch {
 public:
  explicit Watch(const Watched& watched) : watched_(watched) {}

  Found look() {
    Found found;
    try {
      found.text = watched_.look();
    } catch (const Failure& failure) {
      // A name that is wrong at the first look was mistyped. Later, the segment has changed.
      if (failure.status() == kUsage && first_) throw;
      found.notice = failure.what();
    }
    first_ = false;
    if (found.notice.empty() && was_replaced())
      found.notice = "the segment was replaced by another one of the same name";
    return found;
  }

 private:
  bool was_replaced() {
    const std::string now = watched_.identity ? watched_.identity() : std::string();
    if (now.empty()) return false;
    const bool replaced = !before_.empty() && now != before_;
    before_ = now;
    return replaced;
  }

  const Watched& watched_;
  std::string before_;  ///< the identity of the last segment that there was
  bool first_ = true;
};

std::string time_text() {
  return utc_text(system_clock::now());
}

/// Shows one look after the other.
class Output {
 public:
  virtual ~Output() = default;
  virtual void show(const Found& found) = 0;
  virtual void resize() {}                                    ///< the terminal may have another size
  [[nodiscard]] virtual bool stays() const { return false; }  ///< whether something is in view until the end
  virtual void stop(const Signals& signals) { signals.stop(); }
};

class Lines : public Output {
 public:
  explicit Lines(bool json) : json_(json) {}

  void show(const Found& found) override {
    if (json_) {
      if (!found.notice.empty()) {
        using Json = nlohmann::ordered_json;
        const Json notice{{"time", time_text()}, {"notice", found.notice}};
        fmt::print("{}\n", notice.dump(-1, ' ', true, Json::error_handler_t::replace));
      }
      if (!found.text.empty()) fmt::print("{}\n", on_one_line(found.text));
    } else {
      fmt::print("--- {}\n", time_text());
      if (!found.notice.empty()) fmt::print("{}\n", printable(found.notice));
      fmt::print("{}", found.text);
    }
    finish_output();
  }

 private:
  bool json_;
};

class InPlace : public Output {
 public:
  explicit InPlace(nanoseconds every) : every_(every) {}

  void show(const Found& found) override {
    const std::string notice = printable(found.notice);
    // Without anything else to show it has the screen; otherwise it stays for as long as the segment lives.
    if (!found.text.empty() && !notice.empty()) remark_ = fmt::format("{} at {}; ", notice, time_text());
    text_ = found.text.empty() ? notice + "\n" : found.text;
    footer_ = fmt::format("{}every {}, {}; Ctrl-C ends", remark_, format_duration(every_), time_text());
    resize();
  }
  void resize() override { screen_.draw(text_, footer_); }
  [[nodiscard]] bool stays() const override { return true; }
  void stop(const Signals& signals) override {
    screen_.leave();
    signals.stop();
    screen_.enter();
    resize();
  }

 private:
  nanoseconds every_;
  Screen screen_;
  std::string text_;
  std::string footer_;
  std::string remark_;
};

std::unique_ptr<Output> output_for(const Watched& watched) {
  if (!watched.json && can_redraw(STDOUT_FILENO)) return std::make_unique<InPlace>(watched.every);
  return std::make_unique<Lines>(watched.json);
}

}  // namespace

nanoseconds parse_time(const std::string& text, nanoseconds least) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  std::optional<nanoseconds> time;
  if (error == std::errc() && end == text.data() + text.size()) {
    seconds = std::clamp(seconds, 0.0, 2 * std::chrono::duration<double>(kLongest).count());
    time = std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(seconds));
  } else if (const auto duration = parse_duration(text)) {
    time = *duration;
  }
  if (time && *time >= least && *time <= kLongest) return *time;
  throw Failure(kUsage,
                fmt::format("\"{}\" is not a time; give seconds, or a duration as in 500ms: at least {}, at "
                            "most {}",
                            text, format_duration(least), format_duration(kLongest)));
}

nanoseconds parse_interval(const std::string& text) {
  return parse_time(text, std::chrono::milliseconds(100));
}

void add_watch(CLI::App& command, std::string& interval, const char* help) {
  // A flag that may have a value, so that a word after it stays an argument of its own.
  command.add_flag("--watch{2}", interval, help);
}

void watch(const Watched& watched) {
  const Signals signals;
  Watch watch(watched);
  Found found = watch.look();  // a wrong command line must not be told on the second screen
  const std::unique_ptr<Output> output = output_for(watched);
  auto next = steady_clock::now();
  for (;; found = watch.look()) {
    output->show(found);
    next = std::max(next + watched.every, steady_clock::now());
    if (watched.is_over && watched.is_over()) {
      if (!output->stays()) return;
      next = steady_clock::now() + kLongest;
    }
    while (const int signal = signals.wait(next)) {
      if (Signals::ends(signal)) return;
      if (signal == SIGTSTP) output->stop(signals);
      if (signal == SIGWINCH) output->resize();
    }
  }
}

std::string on_one_line(const std::string& json) {
  std::string line;
  for (std::size_t i = 0; i < json.size(); ++i) {
    // A line is never broken within a string: it would be "\n" there.
    if (json[i] == '\n')
      i = std::min(json.find_first_not_of(' ', i + 1), json.size()) - 1;
    else
      line += json[i];
  }
  return line;
}

}  // namespace weir::shm_inspect
