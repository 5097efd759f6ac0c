// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace weir::detail {

/// A list that any thread extends at its head. What is in it stays there, at its address, until the list goes.
///
/// Fork  A member is complete before it is linked, so a child finds a whole list, whenever it was forked.
template <class T>
class GrowingList {
 public:
  GrowingList() = default;
  GrowingList(const GrowingList&) = delete;
  GrowingList& operator=(const GrowingList&) = delete;
  ~GrowingList() {
    for (Node* node = head(); node != nullptr;) {
      const std::unique_ptr<Node> last(node);
      node = node->before;
    }
  }

  T& push(T value) {
    auto* const node = new Node{std::move(value), head()};
    while (!head_.compare_exchange_weak(node->before, node, std::memory_order_acq_rel)) {
    }
    return node->value;
  }

  /// The member for which `is_wanted` is true; nullptr if there is none.
  template <class IsWanted>
  [[nodiscard]] T* find(IsWanted&& is_wanted) const {
    for (Node* node = head(); node != nullptr; node = node->before) {
      if (is_wanted(std::as_const(node->value))) return &node->value;
    }
    return nullptr;
  }

  template <class Visit>
  void for_each(Visit&& visit) {
    for (Node* node = head(); node != nullptr; node = node->before) visit(node->value);
  }

 private:
  struct Node {
    T value;
    Node* before;
  };
  // acquire: pairs with push(); a node that is seen is complete.
  [[nodiscard]] Node* head() const noexcept { return head_.load(std::memory_order_acquire); }

  std::atomic<Node*> head_{nullptr};
};

}  // namespace weir::detail
