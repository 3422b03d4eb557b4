#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

namespace lathe::io {

/// A value of a pickle. Nothing is executed: a call is kept as what would be called, with what.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kTuple,
    kList,
    kDict,        // items: key, value, key, value, ...
    kGlobal,      // text: "torch._utils._rebuild_tensor_v2"
    kCall,        // items: the callable, the arguments' tuple; then what was set on the result
    kPersistent,  // items: the id
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double real = 0;
  std::string text = {};
  std::vector<const PickleValue*> items = {};
};

/// A read pickle owns its values, which may refer to each other in any way.
class Pickle {
 public:
  /// Protocols 2 to 5, the opcodes that torch.save writes. DataError, with the offset, for anything
  /// else.
  static Pickle parse(std::span<const std::byte> bytes, const std::string& source_name);

  const PickleValue& root() const { return *root_; }

 private:
  friend class PickleMachine;
  std::deque<PickleValue> values_;  // addresses stay
  const PickleValue* root_ = nullptr;
};

}  // namespace lathe::io
