#include "ops/expert_counts.h"

#include <ATen/ops/bincount.h>

#include "base/error.h"
#include "ops/leaf_arguments.h"

namespace lathe::ops {
namespace {

constexpr const char* kRouter = "TopKRouter";

void add_counts(const at::Tensor& experts, int64_t num_experts, std::vector<int64_t>& counts) {
  const at::Tensor seen = at::bincount(experts.flatten().to(at::kCPU), {}, num_experts);
  counts.resize(static_cast<size_t>(num_experts));
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += seen.const_data_ptr<int64_t>()[i];
}

}  // namespace

void ExpertCounts::watch(LeafTable& table) {
  const LeafFunction* route = table.find(kRouter);
  check_internal(route != nullptr, "the table has no {}", kRouter);
  table.add(kRouter, [route = *route, counts = counts_](const ir::Module& module,
                                                        LeafArguments arguments) {
    c10::IValue value = route(module, arguments);
    const at::Tensor& experts = value.toTupleRef().elements()[1].toTensor();
    add_counts(experts, tensor_argument(module, arguments, 0).size(1), (*counts)[&module]);
    return value;
  });
}

const std::vector<int64_t>& ExpertCounts::of(const ir::Module& router) const {
  static const std::vector<int64_t> none;
  const auto found = counts_->find(&router);
  return found == counts_->end() ? none : found->second;
}

}  // namespace lathe::ops
