#pragma once

#include <stdexcept>
#include <string>

namespace lathe {

/// What went wrong, and so which exit code the command line gives.
enum class ErrorKind {
  kUser,      // an option, a path, a request that cannot be met: exit code 2
  kData,      // a file or tensor that is not what it should be: exit code 3
  kInternal,  // a bug in Lathe: exit code 70, asks for a report
};

/// Every error that Lathe throws. The message names the option, file, tensor or layer, what was
/// expected and what was found.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string message);

  ErrorKind kind() const { return kind_; }
  const char* what() const noexcept override { return message_.c_str(); }

  /// Puts "context: " before the message, on the way up.
  void add_context(const std::string& context);

 private:
  ErrorKind kind_;
  std::string message_;
};

class UserError : public Error {
 public:
  explicit UserError(std::string message) : Error(ErrorKind::kUser, std::move(message)) {}
};

class DataError : public Error {
 public:
  explicit DataError(std::string message) : Error(ErrorKind::kData, std::move(message)) {}
};

class InternalError : public Error {
 public:
  explicit InternalError(std::string message) : Error(ErrorKind::kInternal, std::move(message)) {}
};

}  // namespace lathe
