// SPDX-License-Identifier: Apache-2.0
#include "inflater.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <stdexcept>

namespace weir::replay {
namespace {

constexpr int kGzipOnly = 15 + 16;  // window bits of zlib's interface; other formats are refused

}  // namespace

Inflater::Inflater() {
  if (::inflateInit2(&stream_, kGzipOnly) != Z_OK)
    throw std::runtime_error("no memory to decompress the log");
}

Inflater::~Inflater() {
  ::inflateEnd(&stream_);
}

void Inflater::append(std::string_view bytes, std::string& text) {
  std::array<char, std::size_t{1} << 16> block;
  while (!bytes.empty()) {
    if (between_members_) {
      bytes.remove_prefix(std::min(bytes.find_first_not_of('\0'), bytes.size()));  // tapes pad with zeros
      if (bytes.empty()) return;
      ::inflateReset(&stream_);
      between_members_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    int status = Z_OK;
    while (status == Z_OK && (stream_.avail_in > 0 || stream_.avail_out == 0)) {
      stream_.next_out = reinterpret_cast<Bytef*>(block.data());
      stream_.avail_out = block.size();
      status = ::inflate(&stream_, Z_NO_FLUSH);
      text.append(block.data(), block.size() - stream_.avail_out);
    }
    if (status == Z_STREAM_END) {
      between_members_ = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {  // Z_BUF_ERROR: it wants more input
      throw std::runtime_error(fmt::format("the compressed data is damaged ({})",
                                           stream_.msg != nullptr ? stream_.msg : "not gzip"));
    }
    bytes.remove_prefix(bytes.size() - stream_.avail_in);
  }
}

}  // namespace weir::replay
