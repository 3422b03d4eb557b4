#pragma once

#include "frontends/torch_export/leaves.h"

namespace lathe::frontends::torch_export {

/// The leaf for a call of LSTM, GRU or RNN: its operator, and the zeros that are its first state if
/// it is given none. Nothing for anything else.
std::optional<RecoveredLeaf> recover_recurrent(const std::string& type, const Call& call,
                                               const LeafContext& context);

}  // namespace lathe::frontends::torch_export
