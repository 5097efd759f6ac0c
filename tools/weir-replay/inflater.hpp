// SPDX-License-Identifier: Apache-2.0
#pragma once

// Decompresses gzip: any number of members, one after the other, as `cat a.gz b.gz` makes them.

#include <cstddef>
#include <string>
#include <string_view>
#include <zlib.h>

namespace weir::replay {

class Inflater {
 public:
  /// Throws std::runtime_error if there is not enough memory.
  Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater();

  [[nodiscard]] static bool is_gzip(std::string_view bytes) noexcept { return bytes.starts_with("\x1f\x8b"); }

  /// Appends the decompressed `bytes` to `text`. Throws std::runtime_error if they are damaged.
  void append(std::string_view bytes, std::string& text);

  /// Whether the compressed data may end here.
  [[nodiscard]] bool is_whole() const noexcept { return between_members_; }

 private:
  z_stream stream_{};
  bool between_members_ = false;
};

}  // namespace weir::replay
