#include "log_file.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipe.hpp"

namespace weir::replay {
namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  throw std::runtime_error(
      fmt::format("log \"{}\": {}; give an access log, or - for standard input", path, std::strerror(error)));
}

// A log that is rotated by cutting it loses pages under our feet, and the kernel says so with SIGBUS.
extern "C" void on_lost_page(int /*signal*/) {
  constexpr std::string_view kMessage =
      "weir-replay: the log was cut short while it was read; replay a copy of it\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
  ::_exit(1);
}

Fd open_log(const std::string& path) {
  Fd fd(path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) fail(path, errno);
  return fd;
}

// A file that can be mapped. Standard input may be one that was read in part: then what is left of it counts.
bool mappable(const Fd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
         ::lseek(fd.get(), 0, SEEK_CUR) == 0;
}

// What a pipe holds, as a file in memory: grows without ever being moved, and is shared by all workers.
Fd copy_to_memory(const Fd& from, const std::string& path) {
  Fd file(::memfd_create("weir-replay", MFD_CLOEXEC));
  if (file.get() < 0 || !copy_all(from, file)) fail(path, errno);
  return file;
}

std::size_t size_of(const Fd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

}  // namespace

LogFile::~LogFile() {
  if (!mapped_.empty()) ::munmap(const_cast<char*>(mapped_.data()), mapped_.size());
}

LogFile::LogFile(const std::string& path) {
  Fd fd = open_log(path);
  if (!mappable(fd)) fd = copy_to_memory(fd, path);
  const std::size_t size = size_of(fd);
  if (size == 0) return;  // no mapping can be empty
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) fail(path, errno);
  mapped_ = {static_cast<const char*>(address), size};
  std::signal(SIGBUS, on_lost_page);
}

std::vector<std::string_view> split_into_blocks(std::string_view log, std::size_t size) {
  std::vector<std::string_view> blocks;
  while (!log.empty()) {
    const std::size_t line_end = log.size() <= size ? log.npos : log.find('\n', size - 1);
    const std::size_t length = line_end == log.npos ? log.size() : line_end + 1;
    blocks.push_back(log.substr(0, length));
    log.remove_prefix(length);
  }
  return blocks;
}

}  // namespace weir::replay
