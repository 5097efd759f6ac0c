// SPDX-License-Identifier: Apache-2.0
#include "hint.hpp"

#include <array>
#include <fmt/format.h>

#include "json_line.hpp"
#include "log_line.hpp"

namespace weir::replay {
namespace {

struct Beginning {
  std::string_view bytes;
  std::string_view hint;
};

constexpr std::array kBeginnings = {
    Beginning{"\x28\xb5\x2f\xfd", "it is compressed by zstd: pipe it, zstdcat LOG | weir-replay ... -"},
    Beginning{"\xfd"
              "7zXZ",
              "it is compressed by xz: pipe it, xzcat LOG | weir-replay ... -"},
    Beginning{"BZh", "it is compressed by bzip2: pipe it, bzcat LOG | weir-replay ... -"},
    Beginning{"PK\x03\x04", "it is a zip archive: pipe it, unzip -p LOG | weir-replay ... -"},
    Beginning{"\xff\xfe", "it is text in UTF-16: pipe it, iconv -f UTF-16 -t UTF-8 LOG | weir-replay ... -"},
    Beginning{"\xfe\xff", "it is text in UTF-16: pipe it, iconv -f UTF-16 -t UTF-8 LOG | weir-replay ... -"},
    Beginning{"\x1f\x8b", "it is compressed by gzip twice, or not from its beginning: decompress it first"},
    Beginning{"#Fields:",
              "it is in the W3C extended format; write the log in the combined format or as JSON"},
    Beginning{"#Software:",
              "it is in the W3C extended format; write the log in the combined format or as JSON"},
    Beginning{"#Version:",
              "it is in the W3C extended format; write the log in the combined format or as JSON"},
};

std::string hint_for_json(std::string_view line) {
  const auto object = JsonLine::parse(line);
  if (!object) return "it looks like JSON, but is not one whole object; give a log with one object per line";
  const std::string keys = object->keys();
  if (!object->time()) {
    return fmt::format("it is JSON without a time under a known key; its keys are {}; call the time \"time\"",
                       keys);
  }
  return fmt::format(
      "it is JSON without an address under a known key; its keys are {}; call it \"remote_addr\"", keys);
}

bool looks_like_error_log(std::string_view line) {
  return line.find(" [error] ") != line.npos || line.find(" [warn] ") != line.npos ||
         line.find(" [notice] ") != line.npos || line.find(":error]") != line.npos;
}

}  // namespace

std::string hint_for(std::string_view line) {
  for (const Beginning& beginning : kBeginnings) {
    if (line.starts_with(beginning.bytes)) return std::string(beginning.hint);
  }
  const std::string_view bare = without_prefix(line);
  if (bare.starts_with('{')) return hint_for_json(bare);
  if (looks_like_error_log(line)) return "it looks like an error log; give the access log";
  if (bare.size() != line.size()) {
    return "it has the prefix of syslog or docker, but what follows is not a line of an access log";
  }
  if (line.find('\0') != line.npos) return "it contains zero bytes, so it is not text";
  return "a line should be: address - name [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" ..., perhaps with "
         "a "
         "virtual host before it, or a JSON object";
}

}  // namespace weir::replay
