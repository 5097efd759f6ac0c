// SPDX-License-Identifier: Apache-2.0
#pragma once

// Writes to the journal of a segment. A writer that is in the path of a request makes no system call: the process is
// named by what it remembered when it joined, and the clock is read without one.
//
// An event is written after what it tells of has happened, so a process that is killed in between leaves no record of it,
// and two events may be recorded in the other order if a process is stopped in between. Only a live change is written
// before it is made, as it is in the history. The words of the segment are the truth; the journal is for people.

#include <array>
#include <cstdint>
#include <string_view>

#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "primitives/breaker.hpp"
#include "workers/process.hpp"

namespace weir::detail {

/// What happened. EventEntry and event_text() say what the numbers mean for each kind.
struct Event {
  EventKind kind = EventKind::fault;
  std::uint64_t value = 0;
  std::uint64_t of = 0;
  std::string_view subject = {};  ///< cut to 56 bytes; never the name of a user
  std::uint32_t block = 0;        ///< of the operation that it is about; 0: another thing
};

/// @param by  a process that is not in the path of a request passes ask_process_mark().
void write_event(const Sections& sections, const Event& event,
                 const ProcessMark& by = remembered_process_mark()) noexcept;

/// Writes an event unless one of its kind was written within the last minute. Only for evicting, table_full, late_release
/// and fault.
void write_sparse_event(const Sections& sections, const Event& event, std::uint64_t now) noexcept;

/// Writes what became of the breaker of an operation's block, if its state is another one than before.
void write_transition(const Sections& sections, std::uint32_t block, const BreakerTransition& transition,
                      std::uint64_t now, const ProcessMark& by = remembered_process_mark()) noexcept;

/// Writes that limits were reset.
/// @param subject  what was; empty: everything.
void write_reset(const Sections& sections, std::string_view subject, const ResetReport& report) noexcept;

/// "operations.image_resize": the operation of a block.
class OperationSubject {
 public:
  OperationSubject(const Sections& sections, std::uint32_t block) noexcept;
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }

 private:
  std::array<char, 96> text_{};
  std::size_t size_ = 0;
};

/// "users.#0123456789ab": names a user without the name.
class UserSubject {
 public:
  explicit UserSubject(std::uint64_t tag_hash) noexcept;
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), text_.size()}; }

 private:
  std::array<char, 19> text_;
};

}  // namespace weir::detail
