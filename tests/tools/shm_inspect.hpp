// SPDX-License-Identifier: Apache-2.0
#pragma once

// shm-inspect, and a segment of its own.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "support/process.hpp"
#include "support/segment_name.hpp"

namespace weir {

using Variables = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view kConfig = R"(
[segment]
users = 1_000
[global]
rate = "1000/s"
[operations.upload]
rate = "6/hour burst 2"
user.rate = "4/hour burst 1"
[operations.search]
rate = "60/hour"
)";

/// Runs the tool with WEIR_SEGMENT empty, which is as good as unset.
inline test::Ran inspect(std::vector<std::string> arguments,
                         const Variables& environment = {{"WEIR_SEGMENT", ""}}) {
  arguments.insert(arguments.begin(), WEIR_BIN_DIR "/shm-inspect");
  return test::run(std::move(arguments), {}, environment);
}

class ShmInspect : public testing::Test {
 protected:
  ShmInspect() { EXPECT_NE(::mkdtemp(directory_.data()), nullptr); }
  ~ShmInspect() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string write(const std::string& name, std::string_view text) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  /// The tool, on this test's segment.
  [[nodiscard]] test::Ran on_segment(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--segment", segment_.str()});
    return inspect(std::move(arguments));
  }

  /// A limiter in this process, on a segment with the limits above.
  [[nodiscard]] Limiter open() const {
    Config config = *parse_config(kConfig, "test");
    config.segment.name = segment_.str();
    Result<Limiter> limiter = Limiter::open(config);
    EXPECT_TRUE(limiter) << limiter.error().message();
    return *std::move(limiter);
  }

  [[nodiscard]] nlohmann::json status() const {
    const test::Ran ran = on_segment({"status", "--json"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out);
  }

  test::SegmentName segment_;
  std::string directory_ = testing::TempDir() + "weir-inspect-XXXXXX";
};

inline nlohmann::json named(const nlohmann::json& limits, std::string_view name) {
  for (const nlohmann::json& limit : limits) {
    if (limit.at("name") == name) return limit;
  }
  ADD_FAILURE() << "no limit " << name << " in " << limits.dump(2);
  return nlohmann::json::object();
}

}  // namespace weir
