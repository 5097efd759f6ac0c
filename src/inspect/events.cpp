// SPDX-License-Identifier: Apache-2.0

// Reads the journal of a segment. A record that is unfinished when it is met may be one that its writer just writes, so
// the reader looks again for up to 100 ms. After that its writer is stopped or dead, and the record counts as lost.

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <thread>

#include "weir/inspect.hpp"

#include "base/result.hpp"
#include "inspect/breaker_state.hpp"
#include "policy/journal.hpp"
#include "policy/schema.hpp"
#include "segment/mapping.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): this file uses names of many layers
using std::chrono::system_clock;

constexpr std::chrono::milliseconds kLookAgain{5};
constexpr int kLooks = 20;

/// A text in an array: up to the first zero.
template <std::size_t kSize>
std::string text_in(const std::array<char, kSize>& bytes) {
  return {bytes.begin(), std::find(bytes.begin(), bytes.end(), '\0')};
}

system_clock::time_point wall_time(std::uint64_t ns) {
  return system_clock::time_point(std::chrono::duration_cast<system_clock::duration>(
      std::chrono::nanoseconds(static_cast<std::int64_t>(ns))));
}

bool is_known(EventKind kind) {
  return std::find(kEventKinds.begin() + 1, kEventKinds.end(), kind) != kEventKinds.end();
}

EventSeverity severity_of(const EventRecord& record) {
  switch (record.kind) {
    case EventKind::opened:
    case EventKind::alert_raised:
    case EventKind::fault:
      return EventSeverity::alarm;
    case EventKind::lost:
    case EventKind::reaped:
    case EventKind::half_open:
    case EventKind::forced:
    case EventKind::evicting:
    case EventKind::table_full:
    case EventKind::late_release:
      return EventSeverity::warning;
    default:
      return EventSeverity::note;
  }
}

bool is_transition(EventKind kind) {
  return kind == EventKind::opened || kind == EventKind::half_open || kind == EventKind::closed ||
         kind == EventKind::forced;
}

class Reader {
 public:
  Reader(const SectionsView& sections, const EventQuery& query)
      : sections_(sections), query_(query), view_(sections.journal->tickets, sections.journal->records) {}

  EventPage page() {
    EventPage page;
    page.last = view_.newest();
    const std::uint64_t after = query_.after <= page.last ? query_.after : 0;
    // At most as many records as the ring has; what is older is lost.
    const std::uint64_t first =
        std::max(after + 1, page.last - std::min(page.last, kJournalRecords - std::uint64_t{1}));
    lose(after + 1, std::min(first, page.last + 1));
    for (std::uint64_t number = first; number <= page.last; ++number) {
      JournalWords words{};
      if (look_again(number, words) == JournalLook::whole) {
        add(number, EventRecord::from(words));
      } else {
        lose(number, number + 1);
      }
    }
    keep_lost();
    page.events = std::move(events_);
    shorten(page, after);
    return page;
  }

 private:
  JournalLook look_again(std::uint64_t number, JournalWords& words) {
    JournalLook seen = view_.look(number, words);
    for (; seen == JournalLook::unfinished && looks_left_ > 0; --looks_left_) {
      std::this_thread::sleep_for(kLookAgain);
      seen = view_.look(number, words);
    }
    return seen;
  }

  void lose(std::uint64_t first, std::uint64_t end) {
    if (first >= end) return;
    if (lost_ == 0) first_lost_ = first;
    lost_ = end - first_lost_;
  }

  void keep_lost() {
    if (lost_ == 0) return;
    EventEntry entry;
    entry.number = first_lost_;
    entry.severity = EventSeverity::warning;
    entry.value = lost_;
    events_.push_back(std::move(entry));
    lost_ = 0;
  }

  void add(std::uint64_t number, const EventRecord& record) {
    if (!is_known(record.kind)) return lose(number, number + 1);
    const system_clock::time_point when = wall_time(record.wall_ns);
    if (query_.since && when < *query_.since) {
      lost_ = 0;  // what was lost before it is older, too
      return;
    }
    keep_lost();
    const auto& kinds = query_.kinds;
    if (!kinds.empty() && std::find(kinds.begin(), kinds.end(), record.kind) == kinds.end()) return;
    EventEntry entry;
    entry.number = number;
    entry.kind = record.kind;
    entry.severity = severity_of(record);
    entry.when = when;
    entry.operation = operation_of(record);
    entry.subject = subject_of(record);
    entry.value = record.value;
    entry.of = record.of;
    entry.program = text_in(record.by.program);
    entry.pid = record.by.pid;
    entry.uid = record.by.uid;
    events_.push_back(std::move(entry));
  }

  /// The name that was written, or the whole name of the block if it was cut.
  [[nodiscard]] std::string operation_of(const EventRecord& record) const {
    if (record.block < kFirstOperation || record.block >= kFirstOperation + kMaxOperations) return {};
    std::string name = read_name(sections_.blocks[record.block].name);
    if (!is_transition(record.kind)) return name;
    std::string then = text_in(record.subject);
    const bool cut = then.size() == record.subject.size() && name.starts_with(then);
    return cut ? name : then;
  }

  [[nodiscard]] static std::string subject_of(const EventRecord& record) {
    if (is_transition(record.kind))
      return fmt::format("{} to {}", to_string(state_of(record.was)), to_string(state_of(record.is)));
    std::string subject = text_in(record.subject);
    if (subject.size() == record.subject.size()) subject += "...";
    return subject;
  }

  void shorten(EventPage& page, std::uint64_t after) const {
    if (query_.limit == 0 || page.events.size() <= query_.limit) return;
    if (after == 0) {
      page.events.erase(page.events.begin(), page.events.end() - static_cast<std::ptrdiff_t>(query_.limit));
      return;
    }
    page.events.resize(query_.limit);
    const EventEntry& last = page.events.back();
    page.last = last.kind == EventKind::lost ? last.number + last.value - 1 : last.number;
  }

  const SectionsView& sections_;
  const EventQuery& query_;
  JournalView view_;
  std::vector<EventEntry> events_;
  std::uint64_t first_lost_ = 0;
  std::uint64_t lost_ = 0;  // not yet in events_
  int looks_left_ = kLooks;
};

std::string number_text(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string breaker_text(const EventEntry& entry) {
  if (entry.kind != EventKind::opened) return entry.subject;
  if (entry.of != 0) {
    return fmt::format("{} after {} of {} calls failed or were slow", entry.subject, entry.value, entry.of);
  }
  if (entry.value != 0) {
    return fmt::format("{} after {} in a row", entry.subject,
                       number_text(entry.value, "failure", "failures"));
  }
  return entry.subject;
}

}  // namespace

std::string_view to_string(EventKind kind) noexcept {
  switch (kind) {
    case EventKind::lost:
      return "lost";
    case EventKind::joined:
      return "joined";
    case EventKind::left:
      return "left";
    case EventKind::reaped:
      return "reaped";
    case EventKind::opened:
      return "opened";
    case EventKind::half_open:
      return "half_open";
    case EventKind::closed:
      return "closed";
    case EventKind::forced:
      return "forced";
    case EventKind::changed:
      return "changed";
    case EventKind::rolled_back:
      return "rolled_back";
    case EventKind::reset:
      return "reset";
    case EventKind::evicting:
      return "evicting";
    case EventKind::table_full:
      return "table_full";
    case EventKind::late_release:
      return "late_release";
    case EventKind::fault:
      return "fault";
    case EventKind::alert_raised:
      return "alert_raised";
    case EventKind::alert_cleared:
      return "alert_cleared";
  }
  return "lost";
}

std::string_view to_string(EventSeverity severity) noexcept {
  switch (severity) {
    case EventSeverity::note:
      return "note";
    case EventSeverity::warning:
      return "warning";
    case EventSeverity::alarm:
      break;
  }
  return "alarm";
}

std::string event_text(const EventEntry& entry) {
  switch (entry.kind) {
    case EventKind::lost:
      return entry.value == 1 ? fmt::format("record {} was overwritten or never finished", entry.number)
                              : fmt::format("records {} to {} were overwritten or never finished",
                                            entry.number, entry.number + entry.value - 1);
    case EventKind::joined:
      return fmt::format("joined in slot {}", entry.value);
    case EventKind::left:
      return fmt::format("left slot {}", entry.value);
    case EventKind::reaped:
      return fmt::format("{} had died in slot {}; {} taken back", entry.subject, entry.value,
                         number_text(entry.of, "permit was", "permits were"));
    case EventKind::opened:
    case EventKind::half_open:
    case EventKind::closed:
    case EventKind::forced:
      return breaker_text(entry);
    case EventKind::changed:
    case EventKind::rolled_back:
      return fmt::format("generation {}: {}{}", entry.value, entry.subject,
                         entry.of > 1 ? fmt::format(" and {} more", entry.of - 1) : std::string());
    case EventKind::reset:
      return fmt::format("{}: {} and {}", entry.subject.empty() ? "everything" : entry.subject,
                         number_text(entry.value, "limit", "limits"),
                         number_text(entry.of, "entry of users", "entries of users"));
    case EventKind::evicting:
      return fmt::format("{} so far forgotten while they still owed something; {} entries are too few",
                         number_text(entry.value, "user", "users"), entry.of);
    case EventKind::table_full:
      return fmt::format("{} so far met a full user table; {} entries are too few",
                         number_text(entry.value, "request", "requests"), entry.of);
    case EventKind::late_release:
      return fmt::format("{} so far given back after a sweep had taken them back",
                         number_text(entry.value, "permit", "permits"));
    case EventKind::fault:
      return entry.subject;
    case EventKind::alert_raised:
    case EventKind::alert_cleared:
      return fmt::format("{}: {}, threshold {}", entry.subject, entry.value, entry.of);
  }
  return {};
}

Result<EventPage> list_events(std::string_view segment, const EventQuery& query) noexcept {
  return guarded([&]() -> Result<EventPage> {
    WEIR_TRY(const auto attached, Segment::attach(segment, OpenMode::read_only, kAbiFingerprint));
    WEIR_TRY(const auto sections, SectionsView::of(attached));
    return Reader(sections, query).page();
  });
}

}  // namespace weir
