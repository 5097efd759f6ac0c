// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything that a process can leave behind in shared memory if it is killed inside an operation.
//
// crash_images() runs the operation once, in a forked process, one instruction at a time, and keeps each
// distinct image of the memory. for_each_image() then lets a new process recover from each of them.
//
//   SharedObject<Bucket> bucket;
//   const CrashImages crash = crash_images(bucket.bytes(), [&] { bucket->take(); });
//   ASSERT_EQ(crash.error, "");
//   EXPECT_THAT(for_each_image(crash, bucket.bytes(), [&](const Image&) { EXPECT_LE(bucket->taken(), 1); }),
//               IsEmpty());
//
// The memory must be MAP_SHARED. This is one execution on its own: the schedules test other processes in
// between. On arm64 build with LSE atomics, because a single-stepped load-exclusive never completes.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace weir::test {

struct Image {
  std::uint64_t instruction = 0;  ///< instructions that had run when it was first seen
  std::vector<std::byte> bytes;   ///< of the whole mapping
};

struct CrashImages {
  std::vector<Image> images;       ///< distinct, in order of appearance; the first is the state before
  std::uint64_t instructions = 0;  ///< of the whole operation
  std::string error;               ///< empty: the operation ran to its end
};

/// Whether this process may trace its children. If not, a test must report that it was skipped.
[[nodiscard]] bool can_single_step();

/// @param watched  where to look for changes after each instruction, if the mapping is large; if empty,
///                 everywhere.
[[nodiscard]] CrashImages crash_images(std::span<std::byte> mapping, const std::function<void()>& operation,
                                       const std::vector<std::span<std::byte>>& watched = {});

/// Restores each image and runs `recover` (with EXPECT and ASSERT) in a forked process; a hang is a failure.
/// @return the failures, by image. The mapping is left as the last `recover` left it.
[[nodiscard]] std::vector<std::string> for_each_image(
    const CrashImages& crash, std::span<std::byte> mapping, const std::function<void(const Image&)>& recover,
    std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace weir::test
