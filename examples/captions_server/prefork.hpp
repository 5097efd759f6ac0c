#pragma once

#include <functional>

namespace captions {

/// Keeps `count` forked processes running `work`: one that ends, however it ends, is replaced and named on
/// stderr. Returns when SIGTERM or SIGINT has arrived and all of them are gone. They die with their parent.
void run_preforked(int count, const std::function<void()>& work);

}  // namespace captions
