#pragma once

#include <string_view>

namespace lathe::kernels {

/// The instruction set that the CPU kernels run on: "AVX3", "AVX2", "SSE4", ... The best that the
/// machine has, or the one that the environment variable LATHE_SIMD names (avx3, avx2, sse4, ssse3,
/// emu128).
std::string_view simd_level();

/// Reads LATHE_SIMD, once; every kernel calls it first. UserError if it names no level or one that
/// this machine lacks.
void init_simd();

}  // namespace lathe::kernels
