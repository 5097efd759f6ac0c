// SPDX-License-Identifier: Apache-2.0
#include "captions.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string_view>
#include <utility>

namespace captions {
namespace {

constexpr std::size_t kMaxBatch = 100;
constexpr std::int64_t kMaxHashtags = 30;
constexpr std::int64_t kUsualHashtags = 5;
constexpr std::array<std::string_view, 4> kEndings = {"worth a second look.", "and the day is made.",
                                                      "no filter needed.", "you had to be there."};

weir::Error refused(std::string what) {
  return {weir::Errc::invalid_argument, std::move(what), {}};
}

/// Any byte of a character beyond ASCII counts as a letter, so a word never ends inside one.
bool is_letter(char byte) noexcept {
  const bool digit = byte >= '0' && byte <= '9';
  const bool ascii = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
  return digit || ascii || (static_cast<unsigned char>(byte) & 0x80) != 0;
}

char lower(char byte) noexcept {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
}

/// Adds `word` unless it is empty or there already.
void add_hashtag(std::vector<std::string>& hashtags, const std::string& word) {
  const std::string hashtag = "#" + word;
  if (word.empty() || std::find(hashtags.begin(), hashtags.end(), hashtag) != hashtags.end()) return;
  hashtags.push_back(hashtag);
}

/// The words of the text, then numbered ones.
std::vector<std::string> make_hashtags(std::string_view text, std::size_t count) {
  std::vector<std::string> hashtags;
  std::string word;
  for (std::size_t i = 0; i <= text.size() && hashtags.size() < count; ++i) {
    if (i < text.size() && is_letter(text[i])) {
      word += lower(text[i]);
    } else {
      add_hashtag(hashtags, std::exchange(word, {}));
    }
  }
  for (int number = 1; hashtags.size() < count; ++number) {
    add_hashtag(hashtags, fmt::format("caption{}", number));
  }
  return hashtags;
}

std::size_t sum_of_bytes(std::string_view text) noexcept {
  std::size_t sum = 0;
  for (const char byte : text) sum += static_cast<unsigned char>(byte);
  return sum;
}

}  // namespace

weir::Result<Json> parse_object(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return refused("the body is not JSON in UTF-8");
  if (!json.is_object()) return refused("the body is not a JSON object");
  return json;
}

weir::Result<std::int64_t> read_integer(const Json& object, const char* key, std::int64_t least,
                                        std::int64_t most) {
  const Json number = object.value(key, Json());
  // What an unsigned number beyond std::int64_t turns into is negative, so no `least` of ours lets it pass.
  const std::int64_t value = number.is_number_integer() ? number.get<std::int64_t>() : least - 1;
  if (value >= least && value <= most) return value;
  return refused(fmt::format("\"{}\" must be a whole number from {} to {}", key, least, most));
}

weir::Result<Wanted> read_wanted(const Json& object) {
  if (!object.is_object()) return refused("a request is not a JSON object");
  const Json description = object.value("content_description", Json());
  if (!description.is_string() || description.get_ref<const std::string&>().empty()) {
    return refused("\"content_description\" must be a string that is not empty");
  }
  const Json style = object.value("style", Json("neutral"));
  if (!style.is_string()) return refused("\"style\" must be a string");
  weir::Result<std::int64_t> hashtags = kUsualHashtags;
  if (object.contains("hashtag_count")) hashtags = read_integer(object, "hashtag_count", 0, kMaxHashtags);
  if (!hashtags) return hashtags.error();
  return Wanted{description.get<std::string>(), style.get<std::string>(), *hashtags};
}

weir::Result<std::vector<Wanted>> read_batch(const Json& object) {
  const auto requests = object.find("requests");
  if (requests == object.end() || !requests->is_array() || requests->empty() ||
      requests->size() > kMaxBatch) {
    return refused(fmt::format("\"requests\" must be an array of 1 to {} requests", kMaxBatch));
  }
  std::vector<Wanted> batch;
  for (const Json& request : *requests) {
    auto wanted = read_wanted(request);
    if (!wanted) {
      return refused(fmt::format("requests[{}]: {}", batch.size(), wanted.error().what));
    }
    batch.push_back(*std::move(wanted));
  }
  return batch;
}

Json make_caption(const Wanted& wanted) {
  const std::size_t mood = sum_of_bytes(wanted.description) + sum_of_bytes(wanted.style);
  const auto hashtags = make_hashtags(wanted.description, static_cast<std::size_t>(wanted.hashtags));
  return {{"caption", fmt::format("{}: {}", wanted.description, kEndings[mood % kEndings.size()])},
          {"style", wanted.style},
          {"hashtags", hashtags}};
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json error_body(std::string_view code, std::string_view message) {
  return {{"error", code}, {"message", message}};
}

}  // namespace captions
