// SPDX-License-Identifier: Apache-2.0
#include "weir/client_key.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <span>

namespace weir {
namespace {

using Text = std::array<char, INET6_ADDRSTRLEN>;

// Removes what is not the address from "[2001:db8::1]:443", "192.0.2.7:80" and "fe80::1%eth0".
std::string_view without_port_and_zone(std::string_view text) noexcept {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    const bool port_follows = end != text.npos && (end + 1 == text.size() || text[end + 1] == ':');
    if (!port_follows) return text;
    text = text.substr(1, end - 1);
  } else if (const std::size_t colon = text.find(':');
             colon != text.npos && text.find(':', colon + 1) == text.npos) {
    text = text.substr(0, colon);  // an IPv6 address has at least two colons
  }
  return text.substr(0, text.find('%'));
}

// Parses the bits of an address. @return whether the text is an address of that family.
template <std::size_t N>
bool parse(int family, std::string_view text, std::array<unsigned char, N>& bits) noexcept {
  Text terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != text.npos) return false;
  std::copy(text.begin(), text.end(), terminated.begin());
  return ::inet_pton(family, terminated.data(), bits.data()) == 1;
}

std::string to_text(int family, std::span<unsigned char> bits, unsigned prefix) {
  const auto all = static_cast<unsigned>(8 * bits.size());
  for (unsigned i = 0; i < bits.size(); ++i) {
    const unsigned kept = prefix <= 8 * i ? 0 : std::min(prefix - 8 * i, 8U);
    bits[i] &= static_cast<unsigned char>(0xff00U >> kept);
  }
  Text text{};
  std::string key(::inet_ntop(family, bits.data(), text.data(), text.size()));
  return prefix >= all ? key : key + '/' + std::to_string(prefix);
}

}  // namespace

std::string client_key(std::string_view address, unsigned prefix4, unsigned prefix6) {
  constexpr std::array<unsigned char, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const std::string_view bare = without_port_and_zone(address);
  std::array<unsigned char, 4> bits4{};
  if (parse(AF_INET, bare, bits4)) return to_text(AF_INET, bits4, prefix4);
  std::array<unsigned char, 16> bits6{};
  if (!parse(AF_INET6, bare, bits6)) return std::string(address);
  if (std::equal(kMapped.begin(), kMapped.end(), bits6.begin())) {
    return to_text(AF_INET, std::span(bits6).subspan(kMapped.size()), prefix4);
  }
  return to_text(AF_INET6, bits6, prefix6);
}

}  // namespace weir
