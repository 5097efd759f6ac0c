// SPDX-License-Identifier: Apache-2.0
#pragma once

// Makes every access to a shared word a switch point of the scheduler: -DWEIR_WORD_HOOKS="..." names this
// file, and base/word.hpp includes it. Outside explore(), and in its check(), both hooks do nothing.

namespace weir::detail::hooks {

void before_access(Access access, const void* word, std::size_t size) noexcept;
void after_exchange(bool done) noexcept;

}  // namespace weir::detail::hooks
