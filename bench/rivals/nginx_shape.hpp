// SPDX-License-Identifier: Apache-2.0
#pragma once

// The shape of nginx's limit_req: a spin lock in shared memory, a red-black tree of nodes that hold the key,
// and a queue by recency in which every request moves its node. This version is small: it has no slab
// allocator and no expiry, and its trees are those of Boost.Intrusive. nginx caches the time; here every
// request reads the clock.

#include <array>
#include <atomic>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <cstring>
#include <sched.h>
#include <span>
#include <string_view>

#include "primitives/token_bucket.hpp"

namespace weir::rivals {

namespace bi = boost::intrusive;

struct alignas(64) NginxNode : bi::set_base_hook<>, bi::list_base_hook<> {
  std::uint64_t hash = 0;
  std::uint64_t tat = 0;
  std::uint16_t length = 0;
  std::array<char, 46> key{};
};
static_assert(sizeof(NginxNode) == 128);

class NginxShape {
 public:
  explicit NginxShape(std::span<NginxNode> nodes) noexcept : nodes_(nodes) {}

  bool admit(std::string_view key, std::uint64_t hash, detail::TokenBucketParams params,
             std::uint64_t now) noexcept {
    lock();
    NginxNode& node = find(key, hash);
    recency_.splice(recency_.begin(), recency_, recency_.iterator_to(node));
    const detail::gcra::Judgement judged = detail::gcra::judge(params, node.tat, now, 1);
    const bool admitted = judged.wait == 0;
    if (admitted) node.tat = judged.charged;
    lock_.store(0, std::memory_order_release);
    return admitted;
  }

 private:
  struct Compare {
    static int order(std::uint64_t hash, std::string_view key, const NginxNode& node) {
      if (hash != node.hash) return hash < node.hash ? -1 : 1;
      return key.compare({node.key.data(), node.length});
    }
    bool operator()(const NginxNode& a, const NginxNode& b) const {
      return order(a.hash, {a.key.data(), a.length}, b) < 0;
    }
  };

  // Works like ngx_shmtx_lock(): it spins twice as long each time, then yields the processor.
  void lock() noexcept {
    for (;;) {
      for (unsigned n = 1; n < 2048; n <<= 1) {
        std::uint32_t free = 0;
        if (lock_.load(std::memory_order_relaxed) == 0 && lock_.compare_exchange_strong(free, 1)) return;
        for (unsigned i = 0; i < n; ++i) __builtin_ia32_pause();
      }
      ::sched_yield();
    }
  }

  NginxNode& find(std::string_view key, std::uint64_t hash) noexcept {
    struct Sought {
      std::uint64_t hash;
      std::string_view key;
    };
    struct Order {
      bool operator()(const Sought& a, const NginxNode& b) const {
        return Compare::order(a.hash, a.key, b) < 0;
      }
      bool operator()(const NginxNode& a, const Sought& b) const {
        return Compare::order(b.hash, b.key, a) > 0;
      }
    };
    const auto found = tree_.find(Sought{hash, key}, Order{});
    if (found != tree_.end()) return *found;
    NginxNode& node = nodes_[used_++];
    node.hash = hash;
    node.length = static_cast<std::uint16_t>(std::min(key.size(), node.key.size()));
    std::memcpy(node.key.data(), key.data(), node.length);
    tree_.insert(node);
    recency_.push_front(node);
    return node;
  }

  alignas(64) std::atomic<std::uint32_t> lock_{0};
  alignas(64) bi::set<NginxNode, bi::compare<Compare>> tree_;
  bi::list<NginxNode> recency_;
  std::span<NginxNode> nodes_;
  std::size_t used_ = 0;
};

}  // namespace weir::rivals
