#include "base/error.h"

namespace lathe {

Error::Error(ErrorKind kind, std::string message)
    : std::runtime_error(message), kind_(kind), message_(std::move(message)) {}

void Error::add_context(const std::string& context) { message_ = context + ": " + message_; }

}  // namespace lathe
