// SPDX-License-Identifier: Apache-2.0
#include "log_source.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

#include "inflater.hpp"

namespace weir::replay {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 18;
constexpr std::size_t kCompressedBlock = std::size_t{1} << 14;  // zeros become a thousand times as long
constexpr int kFirstOwnFd = 3;

int open_log(const std::string& path) {
  if (path == "-") return ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, kFirstOwnFd);
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
}

}  // namespace

LogSource::LogSource(const std::string& path)
    : name_(path == "-" ? "standard input" : path), fd_(open_log(path)) {
  struct stat status {};
  if (fd_.get() < 0 || ::fstat(fd_.get(), &status) != 0) fail(std::strerror(errno));
  if (S_ISDIR(status.st_mode)) fail(std::strerror(EISDIR));
  device_ = status.st_dev;
  inode_ = status.st_ino;
  if (S_ISREG(status.st_mode)) {
    // Standard input may be a file that was partly read: then only the rest of it counts.
    const off_t at = ::lseek(fd_.get(), 0, SEEK_CUR);
    size_ = static_cast<std::uint64_t>(std::max<off_t>(status.st_size - std::max<off_t>(at, 0), 0));
  }
}

LogSource::LogSource(LogSource&&) noexcept = default;
LogSource& LogSource::operator=(LogSource&&) noexcept = default;
LogSource::~LogSource() = default;

bool LogSource::is_same_file_as(const LogSource& other) const noexcept {
  return device_ == other.device_ && inode_ == other.inode_ && size_ != 0;
}

void LogSource::fail(std::string_view what) const {
  throw std::runtime_error(
      fmt::format("log \"{}\": {}; give an access log, or - for standard input", name_, what));
}

std::size_t LogSource::read_raw(char* to, std::size_t size) {
  ssize_t got = 0;
  do {
    got = ::read(fd_.get(), to, size);
  } while (got < 0 && errno == EINTR);
  if (got < 0) fail(std::strerror(errno));
  taken_ += static_cast<std::uint64_t>(got);
  // A log that is truncated by rotation would give an answer for only a part of it.
  if (got == 0 && taken_ < size_) {
    throw std::runtime_error(
        fmt::format("log \"{}\": it was cut short while it was read; replay a copy of it", name_));
  }
  return static_cast<std::size_t>(got);
}

void LogSource::find_compression() {
  constexpr std::size_t kMagic = 2;
  started_ = true;
  buffer_.resize(kMagic);
  std::size_t got = 0;
  while (got < kMagic) {
    const std::size_t more = read_raw(buffer_.data() + got, kMagic - got);
    if (more == 0) break;
    got += more;
  }
  buffer_.resize(got);
  if (!Inflater::is_gzip(buffer_)) return;
  inflater_ = std::make_unique<Inflater>();
  const std::string magic = std::move(buffer_);
  buffer_.clear();
  inflater_->append(magic, buffer_);
}

// Appends more bytes to those that are there. @return false if there are no more.
bool LogSource::refill() {
  if (!started_) {
    find_compression();
    return true;
  }
  buffer_.erase(0, begin_);
  scanned_ = buffer_.size();
  begin_ = 0;
  std::string block(inflater_ == nullptr ? kBlock : kCompressedBlock, '\0');
  block.resize(read_raw(block.data(), block.size()));
  if (inflater_ == nullptr) {
    buffer_ += block;
    return !block.empty();
  }
  try {
    if (block.empty() && !inflater_->is_whole()) {
      throw std::runtime_error("it ends in the middle of its compressed data");
    }
    inflater_->append(block, buffer_);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("log \"{}\": {}; replay a whole copy of it", name_, error.what()));
  }
  return !block.empty();
}

bool LogSource::next(std::string_view& line) {
  for (;;) {
    const std::size_t end = buffer_.find('\n', scanned_);
    if (end != buffer_.npos) {
      const std::string_view found = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = scanned_ = end + 1;
      if (std::exchange(skipping_, false)) continue;
      line = found.substr(0, kLongestLine);
      return true;
    }
    if (skipping_) {
      begin_ = buffer_.size();
    } else if (buffer_.size() - begin_ >= kLongestLine) {
      line = std::string_view(buffer_).substr(begin_, kLongestLine);
      begin_ = scanned_ = buffer_.size();
      skipping_ = true;
      return true;
    }
    scanned_ = buffer_.size();
    if (!at_end_) {
      at_end_ = !refill();
      continue;
    }
    if (begin_ >= buffer_.size()) return false;
    line = std::string_view(buffer_).substr(begin_);  // the last line may lack a newline
    begin_ = scanned_ = buffer_.size();
    return true;
  }
}

}  // namespace weir::replay
