#pragma once

namespace lathe::ops {

/// Registers PyTorch's quantized_decomposed operators, which its PT2E flow writes into programs and
/// defines in Python (torch.ao.quantization.fx._decomposed): the same schemas, the same arithmetic.
/// Does nothing where they are defined already. Once.
void register_decomposed_operators();

}  // namespace lathe::ops
