// SPDX-License-Identifier: Apache-2.0
#include "base/descriptor.hpp"

#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process_tag.hpp"
#include "support/fork.hpp"

namespace weir::detail {
namespace {

using test::in_child;

// The same inode, by another description.
FileHandle once_more(int fd) {
  return open_file(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR);
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(Descriptors, AreNeverThoseOfTheStandardStreams) {
  EXPECT_EQ(in_child([] {
              for (int fd = 0; fd < 3; ++fd) ::close(fd);
              const FileHandle file = open_file("/proc/self/stat", O_RDONLY);
              const FileHandle memory = create_memory_file("test");
              if (file.get() < 3 || memory.get() < 3) return 1;
              if ((::fcntl(file.get(), F_GETFD) & FD_CLOEXEC) == 0) return 2;
              for (int fd = 0; fd < 3; ++fd) {
                if (is_open(fd)) return 3;
              }
              return 0;
            }),
            0);
}

TEST(Descriptors, ThatCannotBeHadLeaveTheReasonInErrno) {
  errno = 0;
  EXPECT_FALSE(open_file("/nonexistent", O_RDONLY));
  EXPECT_EQ(errno, ENOENT);
}

TEST(MarkedFiles, AreClosedWhileTheyAreOurs) {
  int number = -1;
  {
    const MarkedFile file(create_memory_file("test"));
    number = file.get();
    EXPECT_TRUE(file.mark().is_there());
  }
  EXPECT_FALSE(is_open(number));
}

TEST(MarkedFiles, LeaveANumberThatStandsForAnotherDescriptionEvenOfTheSameInode) {
  const FileHandle inode = create_memory_file("test");
  auto file = std::make_unique<MarkedFile>(once_more(inode.get()));
  const int number = file->get();
  ::close(number);
  const FileHandle other = once_more(inode.get());
  ASSERT_EQ(other.get(), number) << "the number is used again";
  EXPECT_FALSE(file->mark().is_there());
  file.reset();
  EXPECT_TRUE(is_open(number));
}

TEST(MarkedFiles, AreClosedInAChildThatInheritedThem) {
  auto file = std::make_unique<MarkedFile>(create_memory_file("test"));
  const int number = file->get();
  EXPECT_EQ(in_child([&] {
              if (!file->mark().is_there()) return 1;
              file.reset();
              return is_open(number) ? 2 : 0;
            }),
            0);
  EXPECT_TRUE(file->mark().is_there()) << "our own is untouched";
}

bool locked_by_another(int fd, off_t byte) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_start = byte;
  lock.l_len = 1;
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

TEST(ProcessLocks, OutliveTheClosingOfOtherDescriptorsAndNotTheirProcess) {
  const MarkedFile file(create_memory_file("test"));
  ASSERT_TRUE(take_process_lock(file.mark(), 100));
  { const FileHandle other = once_more(file.get()); }
  { const MarkedFile other(once_more(file.get())); }
  EXPECT_TRUE(locked_by_another(file.get(), 100)) << "a description is not its process";
  EXPECT_EQ(in_child([&] {
              if (take_process_lock(file.mark(), 100)) return 1;  // the parent's, and not inherited
              return take_process_lock(file.mark(), 101) ? 0 : 2;
            }),
            0);
  EXPECT_FALSE(locked_by_another(file.get(), 101)) << "its holder is dead";
  drop_process_lock(file.mark(), 100);
  EXPECT_FALSE(locked_by_another(file.get(), 100));
  { const FileHandle other = once_more(file.get()); }
  EXPECT_FALSE(locked_by_another(file.get(), 100)) << "what was dropped is not taken again";
}

TEST(ProcessLocks, ThatTwoThreadsTookAreHeldUntilBothHaveDroppedThem) {
  const MarkedFile file(create_memory_file("test"));
  ASSERT_TRUE(take_process_lock(file.mark(), 100));
  ASSERT_TRUE(take_process_lock(file.mark(), 100));
  drop_process_lock(file.mark(), 100);
  { const FileHandle other = once_more(file.get()); }
  EXPECT_TRUE(locked_by_another(file.get(), 100));
  drop_process_lock(file.mark(), 100);
  EXPECT_FALSE(locked_by_another(file.get(), 100));
}

TEST(ProcessTags, DifferInAChildHoweverItWasMade) {
  const std::uint64_t mine = process_tag();
  EXPECT_EQ(process_tag(), mine);
  EXPECT_EQ(in_child([&] { return process_tag() != mine && process_tag() == process_tag() ? 0 : 1; }), 0);
  EXPECT_EQ(test::result_of(test::clone_child([&] { return process_tag() == mine ? 1 : 0; })), 0);
  EXPECT_EQ(process_tag(), mine);
}

}  // namespace
}  // namespace weir::detail
