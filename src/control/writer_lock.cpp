// SPDX-License-Identifier: Apache-2.0
#include "control/writer_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>

namespace weir::detail {
namespace {

constexpr off_t kWriterByte = (off_t{1} << 62) - 1;  // the byte before those of the workers

struct flock writer_byte(short type) {
  struct flock byte {};
  byte.l_type = type;
  byte.l_whence = SEEK_SET;
  byte.l_start = kWriterByte;
  byte.l_len = 1;
  return byte;
}

}  // namespace

// A program may fork while it changes limits, and its child must not keep the lock. Closing is not enough, since a
// child that has not run yet has not closed its copy; so the byte is unlocked first.
void GiveUpLock::operator()(KeptFile* file) const noexcept {
  struct flock byte = writer_byte(F_UNLCK);
  if (file->mark.is_there()) (void)::fcntl(file->mark.fd(), F_OFD_SETLK, &byte);
  close_kept(*file);
}

Result<WriterLock> take_writer_lock(const Segment& segment) {
  Error error{Errc::system, "out of memory", ""};
  WriterLock lock(keep_here([&]() -> FileHandle {
    auto file = segment.reopen(OpenMode::read_write);
    if (file) return std::move(*file);
    error = file.error();
    return {};
  }));
  if (!lock) return error;
  struct flock byte = writer_byte(F_WRLCK);
  if (::fcntl(lock->mark.fd(), F_OFD_SETLK, &byte) == 0) return lock;
  return fail(Errc::conflict,
              fmt::format("segment \"{}\": another process is changing its limits", segment.name()),
              "try again; if it does not end, look for a stopped shm-inspect");
}

}  // namespace weir::detail
