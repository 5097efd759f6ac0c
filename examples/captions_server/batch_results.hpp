// SPDX-License-Identifier: Apache-2.0
#pragma once

// The results of batches that clients fetch later, in memory that all workers share.
//
// The request for a batch and the request for its result may come to different workers, so the parent makes this table before it
// forks. The table has no name: it ends with the last process, and leaves nothing behind. A real service would keep
// its results in a database or an object store, which outlives the server and is there for all its hosts.
//
//   slot    phase 3 | worker 22 | serial 39, in one word that changes last
//           free -> claimed -> processing -> completed or failed -> after its time: claimed for the next batch
//   text    in a memory file behind the slots; only the worker of the slot writes it, before the phase says so
//
// Killed   The parent learns of every death and fails what that worker had begun, so no batch stays `processing`.
// Stopped  A stopped worker keeps its slots, so it never writes into the result of another batch when it goes on.
// Readers  copy the text, and then look whether the slot is still the same.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "weir/error.hpp"

namespace captions {

enum class BatchStatus : std::uint8_t { processing, completed, failed };

struct BatchResult {
  BatchStatus status;
  std::string text;  ///< what finish() was given; empty: its worker ended before
};

class BatchResults {
 public:
  static constexpr std::size_t kMostText = 1024UL * 1024;

  /// @param most  results that are kept at a time.
  /// @param kept  how long a result is kept after it is there.
  [[nodiscard]] static weir::Result<BatchResults> create(std::uint32_t most, std::chrono::seconds kept);
  BatchResults(BatchResults&& other) noexcept;
  BatchResults& operator=(BatchResults&&) = delete;
  ~BatchResults();

  /// Makes room for a result that only `user` will get.
  /// @return the id of it; nothing: no slot is free, or this user has a quarter of them. Workers that look at the same
  ///         moment may each give a user one more.
  [[nodiscard]] std::optional<std::string> begin(std::string_view user) noexcept;
  /// The worker that has begun it says how it ended. A text of more than kMostText is not kept: the batch has failed.
  void finish(std::string_view id, BatchStatus status, std::string_view text) noexcept;
  /// The worker that has begun it gives the room back.
  void forget(std::string_view id) noexcept;
  /// Empty if the result does not exist, belongs to another user, or has expired.
  [[nodiscard]] std::optional<BatchResult> find(std::string_view id, std::string_view user) const;

  /// Fails what a dead worker had begun. Only the parent calls this, before another worker can have the same pid.
  void fail_all_of(pid_t worker) noexcept;

 private:
  enum class Phase : std::uint8_t { free, claimed, processing, completed, failed };
  struct State {
    Phase phase = Phase::free;
    std::uint32_t worker = 0;
    std::uint64_t serial = 0;

    [[nodiscard]] static State of(std::uint64_t word) noexcept;
    [[nodiscard]] std::uint64_t word() const noexcept;
    [[nodiscard]] bool is_over() const noexcept {
      return phase == Phase::completed || phase == Phase::failed;
    }
  };
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> state;
    std::atomic<std::uint64_t>
        user;  // keyed hash, so that no client can choose an address that has another's
    std::atomic<std::int64_t> expires_ns;
    std::atomic<std::uint64_t> size;  // of the text
  };
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
  /// Which slot an id names, and for which of its batches.
  struct Place {
    std::uint32_t slot;
    std::uint64_t serial;
  };

  BatchResults(int file, Slot* slots, std::uint32_t count, std::chrono::seconds kept,
               const std::array<char, 16>& secret) noexcept;

  [[nodiscard]] std::uint64_t hash(std::string_view user) const;
  [[nodiscard]] std::optional<Place> parse(std::string_view id) const noexcept;
  [[nodiscard]] bool is_free(const Slot& slot, State state) const noexcept;
  [[nodiscard]] std::uint32_t held_by(std::uint64_t user) const noexcept;
  [[nodiscard]] off_t text_of(std::uint32_t slot) const noexcept;
  [[nodiscard]] bool write_text(std::uint32_t slot, std::string_view text) const noexcept;
  [[nodiscard]] std::optional<std::string> read_text(std::uint32_t slot, std::size_t size) const;
  void end(Slot& slot, State state, Phase phase, std::size_t size) noexcept;
  /// Calls `change` with the slot and its state, if this worker has begun that batch and not ended it.
  template <class Change>
  void change_mine(std::string_view id, Change&& change) noexcept;

  int file_;
  Slot* slots_;
  std::uint32_t count_;
  std::chrono::seconds kept_;
  std::array<char, 16> secret_;
};

}  // namespace captions
