// SPDX-License-Identifier: Apache-2.0
#pragma once

// Running weir-replay in a directory of its own.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "support/process.hpp"

namespace weir::test {

/// A directory that goes with its object.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-replay-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp: " + pattern);
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string operator/(std::string_view name) const { return (path_ / name).string(); }

  [[nodiscard]] std::string name() const { return path_.filename().string(); }

  [[nodiscard]] std::string write(std::string_view name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return *this / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

inline const std::string kWeirReplay = WEIR_BIN_DIR "/weir-replay";

/// One request of `user` at `time`, as nginx writes it.
inline std::string log_line(std::string_view user, std::string_view time) {
  return std::string(user) + " - - [" + std::string(time) + "] \"GET / HTTP/1.1\" 200 12 \"-\" \"curl/8\"\n";
}

/// A configuration and a log in files, and weir-replay over them.
class WeirReplay : public testing::Test {
 protected:
  static constexpr std::string_view kOnePerSecond = "[operations.http.user]\nrate = \"1/s burst 1\"\n";

  [[nodiscard]] Ran replay(std::string_view config, std::string_view log,
                           std::vector<std::string> options = {}) const {
    std::vector<std::string> argv = {kWeirReplay, "--config", dir_.write("limits.toml", config)};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.push_back(dir_.write("access.log", log));
    return run(std::move(argv));
  }

  [[nodiscard]] nlohmann::json report(std::string_view config, std::string_view log,
                                      std::vector<std::string> options = {}) const {
    options.emplace_back("--json");
    const Ran ran = replay(config, log, std::move(options));
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out);
  }

  /// What --decisions says, line by line.
  [[nodiscard]] std::vector<std::string> decisions(std::string_view config, std::string_view log,
                                                   std::vector<std::string> options = {}) const {
    options.insert(options.end(), {"--decisions", dir_ / "decisions"});
    const Ran ran = replay(config, log, std::move(options));
    EXPECT_EQ(ran.status, 0) << ran.err;
    return lines_of(read_file(dir_ / "decisions"));
  }

  TempDir dir_;
};

}  // namespace weir::test
