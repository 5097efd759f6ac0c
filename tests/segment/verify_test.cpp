// SPDX-License-Identifier: Apache-2.0

// Every check that a file passes before its first word is believed.

#include "segment/verify.hpp"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "segment/host.hpp"
#include "segment/mapping.hpp"
#include "segment/small_segment.hpp"
#include "support/fork.hpp"
#include "support/segment_name.hpp"

namespace weir::detail {
namespace {

using test::in_child;
using test::SegmentName;
using ::testing::HasSubstr;

TEST(Segment, RefusesADamagedHeaderByteByByte) {
  const SegmentName name;
  { ASSERT_TRUE(Segment::publish(spec_of(name.str()), fill_with_sevens)); }
  std::fstream file(name.path(), std::ios::in | std::ios::out | std::ios::binary);
  for (std::size_t i = 0; i < sizeof(Header); ++i) {
    for (const unsigned mask : {0x01U, 0x80U, 0xffU}) {
      file.seekg(static_cast<std::streamoff>(i));
      const int byte = file.get();
      file.seekp(static_cast<std::streamoff>(i));
      file.put(static_cast<char>(static_cast<unsigned>(byte) ^ mask)).flush();
      const auto attached = attach(name.str());
      ASSERT_FALSE(attached) << "byte " << i << " mask " << mask;
      EXPECT_THAT(attached.error().what, HasSubstr(name.str()));
      file.seekp(static_cast<std::streamoff>(i));
      file.put(static_cast<char>(byte)).flush();
    }
  }
  EXPECT_TRUE(attach(name.str())) << "all bytes restored";
}

TEST(Segment, RefusesADamagedFrozenSectionAndIgnoresTheRest) {
  const SegmentName name;
  const auto published = Segment::publish(spec_of(name.str()), fill_with_sevens);
  published->section(2, 64)[3] = std::byte{0xff};
  EXPECT_TRUE(attach(name.str()));
  published->section(1, 8)[3] = std::byte{0xff};
  const auto attached = attach(name.str());
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code, Errc::damaged);
}

TEST(Segment, RefusesEveryTruncation) {
  const SegmentName name;
  { ASSERT_TRUE(Segment::publish(spec_of(name.str()), fill_with_sevens)); }
  const auto size = static_cast<off_t>(std::filesystem::file_size(name.path()));
  for (off_t length = size - 1; length >= 0; length -= length > 1024 ? 97 : 1) {
    ASSERT_EQ(::truncate(name.path().c_str(), length), 0);
    EXPECT_FALSE(attach(name.str())) << length;
  }
}

// A header that says something impossible but whose checksum is right: made by an attacker, not by chance.
TEST(Segment, RefusesImpossibleGeometryWithAValidChecksum) {
  const SegmentName name;
  { ASSERT_TRUE(Segment::publish(spec_of(name.str()), fill_with_sevens)); }
  Header sound;
  std::fstream file(name.path(), std::ios::in | std::ios::out | std::ios::binary);
  file.read(reinterpret_cast<char*>(&sound), sizeof(sound));
  const auto expect_refused = [&](const std::function<void(Header&)>& forge, Errc code) {
    Header forged = sound;
    forge(forged);
    forged.header_checksum = header_checksum(forged);
    file.seekp(0);
    file.write(reinterpret_cast<const char*>(&forged), sizeof(forged)).flush();
    const auto attached = attach(name.str());
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().code, code) << attached.error().message();
  };
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  expect_refused([](Header& h) { h.section_count = 17; }, Errc::damaged);
  expect_refused([](Header& h) { h.sections[0].offset = kHuge & ~4095ULL; }, Errc::damaged);
  expect_refused([](Header& h) { h.sections[0].count = kHuge; }, Errc::damaged);
  expect_refused([](Header& h) { h.sections[0].stride = kHuge; }, Errc::damaged);
  expect_refused([](Header& h) { h.sections[0].stride = 0; }, Errc::damaged);
  expect_refused([](Header& h) { h.sections[1].offset = h.sections[0].offset; }, Errc::damaged);
  expect_refused([](Header& h) { h.sections[0].offset = 0; }, Errc::damaged);
  expect_refused([](Header& h) { h.total_bytes += 4096; }, Errc::damaged);
  expect_refused([](Header& h) { h.name.fill('x'); }, Errc::damaged);
  expect_refused([](Header& h) { h.abi_fingerprint = 1; }, Errc::incompatible);
  expect_refused([](Header& h) { h.layout_version = 99; }, Errc::incompatible);
  expect_refused([](Header& h) { h.boot_id[0] ^= 1; }, Errc::incompatible);
  expect_refused([](Header& h) { h.clock_offsets[0] += 1; }, Errc::incompatible);
  expect_refused([](Header& h) { h.name[0] = 'x'; }, Errc::foreign);
  expect_refused([](Header& h) { h.magic[0] = 'W'; }, Errc::foreign);
}

TEST(Segment, NamesTheVersionsItCannotRead) {
  const SegmentName name;
  { ASSERT_TRUE(Segment::publish(spec_of(name.str()), fill_with_sevens)); }
  const int fd = ::open(name.path().c_str(), O_RDWR | O_CLOEXEC);
  const std::uint32_t newer = kLayoutVersion + 1;
  ASSERT_EQ(::pwrite(fd, &newer, sizeof(newer), offsetof(Header, layout_version)), 4);
  ::close(fd);
  const auto attached = attach(name.str());
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().message(),
            "segment \"" + name.str() + "\": layout version " + std::to_string(newer) +
                ", this build reads " + std::to_string(kLayoutVersion) + "; inspect it with a newer weir");
}

// A newer build makes its own segment beside the old one, and does not disturb the processes that use that.
TEST(Segment, TellsOfASegmentOfAnotherLayoutThatStandsBesideIt) {
  const SegmentName name;
  const std::string old = "/dev/shm/weir.v1." + name.str();
  std::ofstream(old) << "of another version";
  const auto attached = attach(name.str());
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code, Errc::incompatible);
  EXPECT_THAT(attached.error().what, HasSubstr("layout version 1"));
  EXPECT_TRUE(Segment::publish(spec_of(name.str()), fill_with_sevens));
  EXPECT_TRUE(attach(name.str()));
  EXPECT_TRUE(std::filesystem::exists(old));
  std::filesystem::remove(old);
}

TEST(Segment, RefusesAForeignFileALinkAndADirectory) {
  const SegmentName name;
  std::ofstream(name.path()) << std::string(10'000, 'x');
  EXPECT_EQ(attach(name.str()).error().code, Errc::foreign);
  std::ofstream(name.path(), std::ios::trunc) << "short";
  EXPECT_EQ(attach(name.str()).error().code, Errc::foreign);
  std::filesystem::remove(name.path());
  std::filesystem::create_symlink("/dev/null", name.path());
  EXPECT_EQ(attach(name.str()).error().code, Errc::foreign);
  std::filesystem::remove(name.path());
  ASSERT_EQ(::mkfifo(name.path().c_str(), 0600), 0);
  EXPECT_FALSE(attach(name.str())) << "and does not hang on a pipe";
}

TEST(Segment, UnderAnotherNameThanItsOwnIsRefused) {
  const SegmentName name;
  const SegmentName alias;
  ASSERT_TRUE(Segment::publish(spec_of(name.str()), fill_with_sevens));
  ASSERT_EQ(::link(name.path().c_str(), alias.path().c_str()), 0);
  const auto attached = attach(alias.str());
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code, Errc::foreign);
  EXPECT_THAT(attached.error().what, HasSubstr(name.str()));
}

// In a time namespace whose monotonic clock is ahead by `seconds`: 0 if the segment is attached, 1 if it is
// refused for its clock.
int attached_in_time_namespace(const std::string& name, int seconds) {
  return in_child([&] {
    if (::unshare(CLONE_NEWTIME) != 0) return 77;
    if (seconds != 0 &&
        !(std::ofstream("/proc/self/timens_offsets") << "monotonic " << seconds << " 0\n").flush())
      return 77;
    // The unsharer itself stays in the old namespace, and sees the offsets of the new one.
    if (!attach(name)) return 2;
    return in_child([&] {  // its first child lives in the new one
      const auto attached = attach(name);
      if (attached) return 0;
      return attached.error().code == Errc::incompatible ? 1 : 3;
    });
  });
}

TEST(Segment, OfAnotherTimeNamespaceIsRefusedIfItsClockDiffersAndOnlyThen) {
  const SegmentName name;
  { ASSERT_TRUE(Segment::publish(spec_of(name.str()), fill_with_sevens)); }
  const int same_clock = attached_in_time_namespace(name.str(), 0);
  if (same_clock == 77) GTEST_SKIP() << "this host allows no time namespace";
  EXPECT_EQ(same_clock, 0);
  EXPECT_EQ(attached_in_time_namespace(name.str(), 1000), 1);
  EXPECT_EQ(attached_in_time_namespace(name.str(), -1), 1);
}

}  // namespace
}  // namespace weir::detail
