// SPDX-License-Identifier: Apache-2.0
#pragma once

// A segment of two operations, whose limits are changed while a limiter uses them.

#include <gtest/gtest.h>
#include <optional>
#include <string_view>
#include <utility>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/limiter.hpp"

#include "support/segment_name.hpp"

namespace weir {

class LiveChange : public ::testing::Test {
 protected:
  void SetUp() override {
    config = *parse_config(R"(
[operations.work]
rate = "1/day burst 10"
concurrent = 4
user.rate = "1/day burst 5"
[operations.other]
rate = "5/s"
)",
                           "test");
    config.segment.name = name.str();
    auto opened = Limiter::open(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
  }
  int admitted(int asked, const Request& request = {}, const char* operation = "work") {
    int count = 0;
    for (int i = 0; i < asked; ++i) count += limiter->admit(operation, request) ? 1 : 0;
    return count;
  }
  ChangeReport set(std::string_view key, std::string_view value, bool dry_run = false) {
    auto report = set_limit(name.str(), key, value, dry_run);
    EXPECT_TRUE(report) << report.error().message();
    return report ? *report : ChangeReport{};
  }

  test::SegmentName name;
  Config config;
  std::optional<Limiter> limiter;
};

}  // namespace weir
