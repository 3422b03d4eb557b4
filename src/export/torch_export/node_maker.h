#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "export/torch_export/edit_plan.h"
#include "export/torch_export/program_json.h"

namespace lathe::exporting {

/// An argument of a new node.
struct NewArgument {
  std::string name;
  Json value;  // the schema's Argument
  bool keyword = false;
};

Json tensor_argument(const std::string& value);
Json int_argument(int64_t value);
Json float_argument(double value);
Json dtype_argument(DType dtype);

/// What the schema says of a dense tensor of memory of its own, on the device of `like`.
Json tensor_meta(DType dtype, const std::vector<int64_t>& shape, bool requires_grad,
                 const Json& like);
/// What it says of a new tensor with the shape of `like`, in another dtype.
Json same_shape_meta(DType dtype, const Json& like);

/// Makes nodes and names of values as the program's torch writes them.
class NodeMaker {
 public:
  explicit NodeMaker(const ProgramJson& program);

  /// `base`, or `base` with a number that makes it new.
  std::string fresh_name(const std::string& base);

  /// A node of one tensor, `result`, within the modules of `place`.
  Json node(const std::string& target, const std::vector<NewArgument>& arguments,
            const std::string& result, const Place& place) const;
  /// One input of a node.
  Json input(const NewArgument& argument) const;

 private:
  const ProgramJson& program_;
  std::unordered_set<std::string> names_;
  std::unordered_map<std::string, size_t> counts_;
  bool has_kinds_ = false;  // schemas of torch 2.7 and later
  bool has_names_ = false;
};

}  // namespace lathe::exporting
