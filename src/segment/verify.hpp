// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every check that a region passes before its first word is believed.

#include <cstddef>
#include <span>
#include <string_view>

#include "base/result.hpp"
#include "segment/host.hpp"
#include "segment/layout.hpp"

namespace weir::detail {

/// Checks a private copy of a header against the file's size, this build and this host.
/// Errors  Errc::foreign, incompatible, damaged: each names the segment and what to do.
[[nodiscard]] Result<void> verify_header(const Header& header, std::uint64_t file_bytes,
                                         std::uint64_t abi_fingerprint, const HostIdentity& host,
                                         std::string_view name);

/// Checks the content of the frozen sections of a mapping whose header has passed.
[[nodiscard]] Result<void> verify_frozen(const Header& header, std::span<const std::byte> mapping,
                                         std::string_view name);

[[nodiscard]] std::uint64_t header_checksum(const Header& header) noexcept;
[[nodiscard]] std::uint64_t frozen_checksum(const Header& header,
                                            std::span<const std::byte> mapping) noexcept;

}  // namespace weir::detail
