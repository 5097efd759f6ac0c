// SPDX-License-Identifier: Apache-2.0

// What the built library and tools need at run time.

#include <cstring>
#include <elf.h>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace weir {
namespace {

template <class Entry>
std::vector<Entry> table_at(const std::string& image, std::size_t offset, std::size_t count) {
  if (offset > image.size() || count > (image.size() - offset) / sizeof(Entry)) return {};
  std::vector<Entry> entries(count);
  std::memcpy(entries.data(), image.data() + offset, count * sizeof(Entry));
  return entries;
}

/// The symbols that a 64-bit ELF file leaves to others.
std::vector<std::string> undefined_symbols(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  const std::string image = std::move(content).str();
  std::vector<std::string> names;
  for (const auto& header : table_at<Elf64_Ehdr>(image, 0, 1)) {
    const auto sections = table_at<Elf64_Shdr>(image, header.e_shoff, header.e_shnum);
    for (const Elf64_Shdr& section : sections) {
      if (section.sh_type != SHT_DYNSYM) continue;
      const std::size_t text = sections.at(section.sh_link).sh_offset;
      for (const auto& symbol :
           table_at<Elf64_Sym>(image, section.sh_offset, section.sh_size / sizeof(Elf64_Sym))) {
        if (symbol.st_shndx == SHN_UNDEF && symbol.st_name != 0)
          names.emplace_back(image.c_str() + text + symbol.st_name);
      }
    }
  }
  return names;
}

// libatomic's fallback locks a table that is private to each process, so it does not exclude other processes.
TEST(Binaries, CallNoLibatomic) {
  const std::string bin = WEIR_BIN_DIR "/";
  for (const std::string& file :
       {bin + "../lib/libweir.so", bin + "shm-inspect", bin + "weir-replay", bin + "weir-run"}) {
    const auto symbols = undefined_symbols(file);
    EXPECT_THAT(symbols, testing::Contains("memcpy")) << file << ": not read as it should be";
    EXPECT_THAT(symbols, testing::Each(testing::Not(testing::HasSubstr("__atomic_")))) << file;
  }
}

}  // namespace
}  // namespace weir
