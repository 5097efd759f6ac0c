// shm-inspect: looks at the limits that the processes of this host keep in shared memory.

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fmt/format.h>
#include <string>

#include "commands.hpp"
#include "common/failure.hpp"
#include "options.hpp"
#include "printable.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): how all tools fail
namespace {

int run(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  run_command(std::get<Options>(parsed));
  // Buffered bytes may fail as late as here: a full disk must not pass for success.
  if (std::fflush(stdout) != 0)
    throw Failure(kFailed, std::string("standard output: ") + std::strerror(errno));
  return kDone;
}

int report(int status, const char* message) {
  fmt::print(stderr, "shm-inspect: {}\n", printable(message));
  return status;
}

}  // namespace
}  // namespace weir::shm_inspect

int main(int argc, char** argv) {
  using namespace weir::shm_inspect;
  try {
    return run(argc, argv);
  } catch (const Failure& failure) {
    return report(failure.status(), failure.what());
  } catch (const std::exception& failure) {
    return report(kFailed, failure.what());
  }
}
