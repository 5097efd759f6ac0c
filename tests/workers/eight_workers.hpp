// SPDX-License-Identifier: Apache-2.0
#pragma once

// A segment with eight worker slots, and the registry of the process that tests it.

#include <cstdint>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <unistd.h>

#include "segment/mapping.hpp"
#include "support/segment_name.hpp"
#include "workers/registry.hpp"

namespace weir::detail {

class Workers : public ::testing::Test {
 protected:
  static constexpr SectionSpec kSections[] = {{1, sizeof(WorkerSlot), 8, false}};

  static Segment make_segment(const std::string& name) {
    return *Segment::publish({.name = name, .group = {}, .sections = kSections}, [](const Segment&) {});
  }
  static std::span<WorkerSlot> slots_of(const Segment& segment) {
    const auto bytes = segment.section(1, sizeof(WorkerSlot));
    return {reinterpret_cast<WorkerSlot*>(bytes.data()), bytes.size() / sizeof(WorkerSlot)};
  }
  bool dead(std::uint32_t slot) const { return registry.is_dead(slot, registry.identity(slot)); }
  std::uint32_t published() const {
    std::uint32_t count = 0;
    for (std::uint32_t slot = 0; slot < registry.size(); ++slot)
      count += registry.identity(slot).published ? 1 : 0;
    return count;
  }
  // The slot that a process with this pid has published; 99: none.
  std::uint32_t slot_of(pid_t pid) const {
    for (std::uint32_t slot = 0; slot < registry.size(); ++slot) {
      const SlotIdentity tenant = registry.identity(slot);
      if (tenant.published && tenant.pid == static_cast<std::uint32_t>(pid)) return slot;
    }
    return 99;
  }
  static void close_all_but(int kept) {
    for (int fd = 3; fd < 256; ++fd) {
      if (fd != kept) ::close(fd);
    }
  }
  bool is_locked(std::uint32_t slot) const {
    struct flock byte = byte_of(slot, F_WRLCK);
    return ::fcntl(segment.file().get(), F_OFD_GETLK, &byte) == 0 && byte.l_type != F_UNLCK;
  }
  void join() { ASSERT_TRUE(registry.join(1)); }

  test::SegmentName name;
  Segment segment = make_segment(name.str());
  Registry registry{slots_of(segment), segment};
};

}  // namespace weir::detail
