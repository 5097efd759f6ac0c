#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "weir/config.hpp"

#include "config/file.hpp"
#include "config/read.hpp"
#include "config/text.hpp"

namespace weir {
namespace {

using detail::Expected;

Result<Config> parse(std::string_view toml, std::string_view origin) {
  Expected<detail::Node> root = detail::parse_document(toml, origin);
  if (!root) return root.error();
  detail::inherit(*root);
  Expected<Config> config = detail::read_config(*root);
  if (!config) return config.error();
  return *std::move(config);
}

}  // namespace

Result<Config> parse_config(std::string_view toml, std::string_view origin) noexcept try {
  return parse(toml, origin);
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

Result<Config> load_config(const std::string& path) noexcept try {
  const Result<std::string> text = detail::read_file(path);
  if (!text) return text.error();
  return parse(*text, path);
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

}  // namespace weir
