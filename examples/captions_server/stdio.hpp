// SPDX-License-Identifier: Apache-2.0
#pragma once

// Prints the messages of the server so that no output can harm it: it may be closed, full, or a pipe that no process
// reads.

#include <string_view>

namespace captions {

/// Opens /dev/null on each of the descriptors 0, 1 and 2 that is closed, so that no socket and no segment of
/// ours gets a number under which a library writes messages. Ignores SIGPIPE. Call it first in main().
void secure_standard_descriptors() noexcept;

/// Writes one line to the standard output.
void announce(std::string_view line) noexcept;

/// Writes `captions_server: line` to the standard error. What cannot be written at once is dropped, so that
/// a reader which has stopped reading does not stop the server.
void say(std::string_view line) noexcept;

}  // namespace captions
