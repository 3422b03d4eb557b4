#pragma once

/// The C++ API of Lathe: open a model, quantize, evaluate, export. See examples/quantize_fp8.cpp.

#include "lathe/data.h"
#include "lathe/dtype.h"
#include "lathe/error.h"
#include "lathe/evaluate.h"
#include "lathe/export.h"
#include "lathe/inspect.h"
#include "lathe/job.h"
#include "lathe/model.h"
#include "lathe/quantize.h"
#include "lathe/session.h"
#include "lathe/symbol.h"
#include "lathe/tensor.h"
#include "lathe/trace.h"
