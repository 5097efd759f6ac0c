// SPDX-License-Identifier: Apache-2.0
#include "top.hpp"

// The screen of `top`: what the keys do, and how pages get onto a terminal by ncurses. What the pages say is in
// top_rows.cpp. Without a terminal, or if it was built without ncurses, it is `status --watch`.

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/report.hpp"
#include "weir/text.hpp"

#include "common/failure.hpp"
#include "common/output.hpp"
#include "render.hpp"
#include "screen.hpp"
#include "top_rows.hpp"
#include "watch.hpp"

#ifdef WEIR_NCURSES
#include <clocale>
#include <csignal>
#define NCURSES_NOMACROS  // its functions are functions
#include <ncurses.h>
#else
// What the table of keys needs of it.
enum : int {
  KEY_UP = -1,
  KEY_DOWN = -1,
  KEY_PPAGE = -1,
  KEY_NPAGE = -1,
  KEY_HOME = -1,
  KEY_END = -1,
  KEY_ENTER = -1,
  KEY_BACKSPACE = -1
};
#endif

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

namespace {

/// What a key does. The handling of keys, the help page, --help and the manual page follow from the table of these.
enum class Does {
  up,
  down,
  page_up,
  page_down,
  first,
  last,
  open,
  back,
  users,
  workers,
  left,
  right,
  reverse,
  filter,
  idle,
  pause,
  slower,
  faster,
  redraw,
  help,
  quit
};

struct Key {
  std::string_view names;  ///< what stands in the help: "Up, k"
  std::string_view what;
  Does does;
  std::array<int, 3> codes;  ///< as ncurses gives them; 0: none
};

constexpr std::array kKeys{
    Key{"Up, k", "go one line up", Does::up, {KEY_UP, 'k'}},
    Key{"Down, j", "go one line down", Does::down, {KEY_DOWN, 'j'}},
    Key{"PgUp", "go one screen up", Does::page_up, {KEY_PPAGE}},
    Key{"PgDn", "go one screen down", Does::page_down, {KEY_NPAGE}},
    Key{"g, Home", "go to the first line", Does::first, {'g', KEY_HOME}},
    Key{"G, End", "go to the last line", Does::last, {'G', KEY_END}},
    Key{"Enter", "open the operation: its limits and users", Does::open, {'\n', '\r', KEY_ENTER}},
    Key{"Esc, Backspace", "go back to the operations", Does::back, {27, KEY_BACKSPACE, 127}},
    Key{"u", "show the users against whom most is held", Does::users, {'u'}},
    Key{"w", "show the workers, and the requests that wait", Does::workers, {'w'}},
    Key{"<", "sort by the column to the left", Does::left, {'<'}},
    Key{">", "sort by the column to the right", Does::right, {'>'}},
    Key{"r", "reverse the order", Does::reverse, {'r'}},
    Key{"/", "show only operations whose name holds a text; an empty one shows all", Does::filter, {'/'}},
    Key{"i", "hide operations that are idle, or show them again", Does::idle, {'i'}},
    Key{"Space", "pause, or go on", Does::pause, {' '}},
    Key{"-", "look less often", Does::slower, {'-'}},
    Key{"+", "look more often", Does::faster, {'+'}},
    Key{"Ctrl-L", "draw the screen again", Does::redraw, {12}},
    Key{"?, h", "show these keys", Does::help, {'?', 'h'}},
    Key{"q", "quit", Does::quit, {'q'}},
};

std::string key_help() {
  std::string text = "The keys:\n";
  for (const Key& key : kKeys) text += fmt::format("  {:<16}{}\n", key.names, key.what);
#ifdef WEIR_NCURSES
  return text + "\nWithout a terminal it is status --watch.";
#else
  return text + "\nIt was built without ncurses, so that it is status --watch.";
#endif
}

#ifdef WEIR_NCURSES

enum class Page { operations, operation, users, workers, help };

volatile std::sig_atomic_t ended = 0;

/// The terminal as ncurses keeps it, from the first screen until the end.
class Curses {
 public:
  Curses() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
      struct sigaction action {};
      action.sa_handler = [](int) { ended = 1; };  // without SA_RESTART: getch() returns
      ::sigaction(signal, &action, nullptr);
    }
    std::setlocale(LC_CTYPE, "");  // NOLINT(concurrency-mt-unsafe): one thread
    ::set_escdelay(25);
    if (::newterm(nullptr, stdout, stdin) == nullptr)
      throw Failure(kFailed, "the terminal is not known; use status --watch, or another TERM");
    ::cbreak();
    ::noecho();
    ::keypad(stdscr, TRUE);
    (void)::curs_set(0);
    if (wants_colours() && ::has_colors()) {
      ::start_color();
      ::use_default_colors();
      ::init_pair(1, COLOR_RED, -1);
    }
  }
  Curses(const Curses&) = delete;
  Curses& operator=(const Curses&) = delete;
  ~Curses() { ::endwin(); }

  static void put(int row, std::string_view text, attr_t attributes) {
    const std::string cut = cut_line(text, static_cast<std::size_t>(std::max(COLS, 0)));
    ::attrset(static_cast<int>(attributes));
    ::mvaddstr(row, 0, cut.c_str());
    ::attrset(A_NORMAL);
  }
};

class Top {
 public:
  Top(std::string segment, nanoseconds every) : segment_(std::move(segment)), every_(every) {
    look();
    if (!now_) throw Failure(kNoSegment, problem_);
  }

  void run() {
    const Curses curses;
    auto next = steady_clock::now() + every_;
    while (ended == 0) {
      draw();
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next - steady_clock::now());
      ::timeout(std::max(static_cast<int>(left.count()), 0));
      const int code = ::getch();
      if (code != ERR && !handle(code)) return;
      if (steady_clock::now() < next) continue;
      if (!paused_) look();
      next = steady_clock::now() + every_;
    }
  }

 private:
  void look() {
    Result<Snapshot> snapshot = take_snapshot(segment_);
    if (!snapshot) {
      problem_ = printable(snapshot.error().message());
      return;
    }
    problem_.clear();
    before_ = std::exchange(now_, Look{*std::move(snapshot), steady_clock::now()});
    rows_ = operation_rows(*now_, before_);
  }

  /// Returns whether to go on.
  bool handle(int code) {
    if (typing_) {
      type(code);
      return true;
    }
    for (const Key& key : kKeys) {
      if (std::ranges::find(key.codes, code) == key.codes.end()) continue;
      if (key.does == Does::quit) return false;
      act(key.does);
    }
    return true;
  }

  void type(int code) {
    if (code == '\n' || code == '\r' || code == KEY_ENTER) {
      typing_ = false;
    } else if (code == 27) {
      typing_ = false;
      filter_.clear();
    } else if (code == KEY_BACKSPACE || code == 127 || code == '\b') {
      if (!filter_.empty()) filter_.pop_back();
    } else if (code >= ' ' && code < 127) {
      filter_ += static_cast<char>(code);
    }
  }

  void act(Does does) {
    const int screen = std::max(LINES - 5, 1);
    switch (does) {
      case Does::up:
        return move(-1);
      case Does::down:
        return move(1);
      case Does::page_up:
        return move(-screen);
      case Does::page_down:
        return move(screen);
      case Does::first:
        return move(-kFar);
      case Does::last:
        return move(kFar);
      case Does::open:
        return open();
      case Does::back:
        return show(Page::operations);
      case Does::users:
        return show(Page::users);
      case Does::workers:
        return show(Page::workers);
      case Does::help:
        return show(Page::help);
      case Does::left:
        return sort_by(-1);
      case Does::right:
        return sort_by(1);
      case Does::reverse:
        reversed_ = !reversed_;
        return;
      case Does::filter:
        typing_ = true;
        filter_.clear();
        return show(Page::operations);
      case Does::idle:
        hides_idle_ = !hides_idle_;
        return;
      case Does::pause:
        paused_ = !paused_;
        return;
      case Does::slower:
        every_ = std::min<nanoseconds>(every_ * 2, std::chrono::minutes(5));
        return;
      case Does::faster:
        every_ = std::max<nanoseconds>(every_ / 2, std::chrono::milliseconds(100));
        return;
      case Does::redraw:
        ::clearok(curscr, TRUE);
        return;
      case Does::quit:
        return;
    }
  }

  void show(Page page) {
    page_ = page;
    first_line_ = 0;
  }
  void open() {
    const std::vector<OperationRow> rows = shown_rows();
    if (page_ != Page::operations || rows.empty()) return;
    operation_ = rows[selected_].name;
    show(Page::operation);
  }
  void move(int by) {
    if (page_ == Page::operations) {
      const int last = std::max(static_cast<int>(shown_rows().size()) - 1, 0);
      selected_ = static_cast<std::size_t>(std::clamp(static_cast<int>(selected_) + by, 0, last));
    } else {
      first_line_ = std::max(first_line_ + by, 0);
    }
  }
  void sort_by(int by) {
    const auto columns = static_cast<int>(columns_for(static_cast<std::size_t>(COLS)).size());
    sorted_by_ = (sorted_by_ + by + columns) % columns;
  }

  [[nodiscard]] std::vector<OperationRow> shown_rows() const {
    std::vector<OperationRow> rows;
    for (const OperationRow& row : rows_) {
      if (row.name.find(filter_) != row.name.npos && !(hides_idle_ && row.is_idle)) rows.push_back(row);
    }
    const std::vector<OperationColumn> columns = columns_for(static_cast<std::size_t>(std::max(COLS, 1)));
    const auto column = std::min(static_cast<std::size_t>(sorted_by_), columns.size() - 1);
    std::stable_sort(rows.begin(), rows.end(), columns[column].comes_first);
    if (reversed_) std::reverse(rows.begin(), rows.end());
    return rows;
  }

  void draw() {
    ::erase();
    int row = 0;
    for (const PageLine& line : heading(*now_, rows_)) put(row++, line);
    if (!problem_.empty()) Curses::put(row++, "! " + problem_, A_BOLD);
    ++row;
    if (page_ == Page::operations)
      draw_operations(row);
    else
      draw_lines(row, page_lines());
    Curses::put(LINES - 1, bottom_line(), A_REVERSE);
    ::refresh();
  }

  static void put(int row, const PageLine& line) {
    Curses::put(row, line.text, line.alarm ? A_BOLD | static_cast<attr_t>(COLOR_PAIR(1)) : A_NORMAL);
  }

  void draw_operations(int row) {
    const std::vector<OperationColumn> columns = columns_for(static_cast<std::size_t>(std::max(COLS - 1, 1)));
    Curses::put(row++, " " + titles_of(columns), A_BOLD);
    const std::vector<OperationRow> rows = shown_rows();
    selected_ = std::min(selected_, rows.empty() ? 0 : rows.size() - 1);
    const auto room = static_cast<std::size_t>(std::max(LINES - 1 - row, 1));
    const std::size_t first = selected_ < room ? 0 : selected_ - room + 1;
    for (std::size_t i = first; i < std::min(rows.size(), first + room); ++i) {
      const char* const mark = i == selected_ ? ">" : rows[i].needs_attention ? "!" : " ";
      put(row++, {mark + line_of(columns, rows[i]), rows[i].needs_attention});
    }
    if (rows.empty()) Curses::put(row, " no operation is shown", A_NORMAL);
  }

  void draw_lines(int row, const std::vector<PageLine>& lines) {
    const int room = std::max(LINES - 1 - row, 1);
    first_line_ = std::clamp(first_line_, 0, std::max(static_cast<int>(lines.size()) - room, 0));
    for (int i = first_line_; i < std::min(static_cast<int>(lines.size()), first_line_ + room); ++i)
      put(row++, lines[static_cast<std::size_t>(i)]);
  }

  [[nodiscard]] std::vector<PageLine> page_lines() const {
    switch (page_) {
      case Page::operation:
        return operation_page(*now_, operation_, users_of(operation_, UserOrder::refused));
      case Page::users:
        return lines_of(users_text());
      case Page::workers:
        return lines_of(taken(to_workers_text(now_->snapshot, false)));
      default:
        return lines_of(key_help());
    }
  }

  [[nodiscard]] std::vector<UserEntry> users_of(const std::string& operation, UserOrder order) const {
    const auto users =
        list_users(segment_, {static_cast<std::size_t>(std::max(LINES, 10)), operation, order});
    return users ? *users : std::vector<UserEntry>();
  }
  [[nodiscard]] std::string users_text() const {
    return render_users(users_of({}, UserOrder::nearest_limit), false);
  }

  static std::vector<PageLine> lines_of(std::string_view text) {
    std::vector<PageLine> lines;
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      lines.push_back({std::string(text.substr(0, end))});
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
  }

  [[nodiscard]] std::string bottom_line() const {
    if (typing_) return "filter: " + filter_ + "_";
    const std::vector<OperationColumn> columns = columns_for(static_cast<std::size_t>(std::max(COLS, 1)));
    const auto column = std::min(static_cast<std::size_t>(sorted_by_), columns.size() - 1);
    const std::size_t hidden = rows_.size() - shown_rows().size();
    return fmt::format(" by {}{}  {}{}every {}{}  Enter open  u users  w workers  / filter  ? help  q quit",
                       columns[column].title, reversed_ ? " (reversed)" : "",
                       hidden == 0 ? "" : fmt::format("{} hidden  ", hidden), paused_ ? "PAUSED  " : "",
                       format_duration(every_), filter_.empty() ? "" : "  filter: " + filter_);
  }

  static constexpr int kFar = 1'000'000;

  std::string segment_;
  nanoseconds every_;
  std::optional<Look> before_;
  std::optional<Look> now_;
  std::vector<OperationRow> rows_;
  std::string problem_;  ///< why the segment cannot be read now
  Page page_ = Page::operations;
  std::string operation_;  ///< which one the page shows
  std::size_t selected_ = 0;
  int first_line_ = 0;
  int sorted_by_ = 0;
  bool reversed_ = false;
  bool hides_idle_ = false;
  bool paused_ = false;
  bool typing_ = false;  ///< the text after "/"
  std::string filter_;
};

#endif

}  // namespace

Action top(CLI::App& command) {
  const auto every = std::make_shared<std::string>("2");
  command.add_option("--every", *every, "how often to look: seconds, or a duration as in 500ms")
      ->type_name("S")
      ->capture_default_str();
  command.footer(key_help());
  return [every](const Common& common) {
    const std::string segment = common.segment_or_default();
    const nanoseconds interval = parse_interval(*every);
#ifdef WEIR_NCURSES
    if (can_redraw(STDOUT_FILENO) && ::isatty(STDIN_FILENO) == 1) return Top(segment, interval).run();
#endif
    watch({.every = interval,
           .look = [&] { return taken(to_text(taken(take_snapshot(segment)), wants_colours())); }});
  };
}

}  // namespace weir::shm_inspect
