#pragma once

#include <filesystem>

#include "frontends/open.h"

// What a .pt2 archive becomes.
//
// Tree. Every module that the program's module_call_graph names is there, called or not, at its
// path in the original model ("layer1.0.conv1"); so are the owners of all parameters. The type of a
// called module is the last part of its class: "Conv2d" for torch.nn.modules.conv.Conv2d,
// "ResidualBlock" for my_package.blocks.ResidualBlock. A class that is not torch.nn's but has the
// name of one of its keeps its full name ("my_package.LayerNorm"). Modules that no graph calls are
// "ModuleList" if all of their children are numbered, "Module" otherwise; so torch.nn.Identity,
// which does nothing, and a Sequential that is indexed and never called, are never seen as such.
// Parameters and buffers of state_dict are `parameters`; buffers that are not saved and constants
// of the program are `buffers`. Tensors that share memory are one Parameter (Model::tied names
// them); two paths to the same parameters in the same places, one of which is never called, are one
// Module.
//
// Leaves. A torch.nn module whose operators are exactly its forward is a leaf with its type,
// parameters and attributes; the attributes are the operator's arguments, by the operator's names
// (ops/operator_leaves.h): Conv2d has stride, padding ([1, 1] or "same"), dilation, groups;
// BatchNorm2d training, momentum, eps; GroupNorm num_groups, eps; MaxPool2d kernel_size, stride,
// padding, dilation, ceil_mode; Flatten start_dim, end_dim; Softmax dim; Dropout p, train. Counts
// of channels and features are in the shapes of the weights. `inplace` marks what was traced in
// place; the leaf does not change its input (leaves are made of in-place operators only where
// nobody can tell). What run_decompositions made of convolutions, norms, max pools and linear is
// put together again. LSTM, GRU and RNN (ops/recurrent_leaves.h) take x and the states that they
// were given, and give a tuple of the output and the last states. Anything else, torch.nn's or not,
// is a composite with a graph: so MultiheadAttention, with its linears and its attention as
// call_op, and a convolution that pads by another mode than zeros.
//
// A class that is not torch.nn's, but does exactly what torch.nn's Linear, Embedding, Conv1d-3d,
// LayerNorm, GroupNorm or RMSNorm does with its own parameters, or calls its numbered children one
// after the other as Sequential does, gets that type; the attribute `class` has its own name. (A
// subclass that inherits its forward cannot be told from one that wrote the same.)
//
// Graphs. A composite's graph is what runs within its calls: call_op for its own operators,
// call_module for the calls of modules (target: the path below it, "layers.0"), get_attr for
// parameters of its own or of modules below it. Placeholders are the values that enter ("input",
// "input_1", ... in the order of their first use); parameters that belong to modules outside enter
// as values too. The output is the value that leaves; for several, a list of which the caller takes
// builtin::getitem; None if nobody reads any. The root's placeholders have the program's names of
// the user's inputs; its outputs are called by their place in what forward gives: "output",
// "output_0", "output_1" for a tuple, "logits", "cache_0" by the keys of dicts, data classes and
// named tuples, and what they hold.
//   Sequential: as any composite. Its children are called in the order of the graph.
//   Arguments: what the schema's order gives positionally, the rest by name.
//   Shapes: aten::sym_size.int gives a number; "builtin::add" and its like (ops/scalar_functions.h)
//   compute with numbers. Both are call_op nodes, whose values are no tensors.
//   In-place operators ("aten::add_.Tensor", "aten::relu_") stay as they are. An input of the user
//   that the program changes is cloned first; a buffer that it changes keeps its new value, as in
//   torch, until its parameter is released.
//
// Calls. A module that is called several times is one Module if all calls do the same; a call that
// does something else gets a module of its own beside it ("norm_call1"), with the same parameters.
// A module that a call reaches, but that lies outside of the caller's tree, is also a child of the
// caller, under its path with "_" for ".".
//
// Failure. A module one of whose own operators cannot be run (this LibTorch has no such operator,
// an argument is of an unknown kind) has the attribute `failed`, which says why, and no graph; its
// children have theirs. It is called by its parent like any other. A root that failed makes a model
// without a graph.

namespace lathe::frontends {

/// Opens a .pt2 archive of torch.export.save, torch 2.6 or later. Tensors stay in the mapped file
/// until they are asked for. UserError if it cannot be opened, DataError if it is broken.
OpenedModel open_torch_export(const std::filesystem::path& path, const OpenOptions& options);

}  // namespace lathe::frontends
