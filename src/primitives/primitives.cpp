// The primitives are headers; this unit proves that each compiles on its own terms.
#include "primitives/token_bucket.hpp"
