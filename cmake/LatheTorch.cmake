# LibTorch from the `torch` wheel, CPU libraries alone: libtorch_cpu.so and libc10.so (they load libcudart.so.13 and
# libcupti.so.13, which the nvidia-cuda-runtime and nvidia-cuda-cupti wheels bring).
if(NOT LATHE_TORCH_ROOT)
  message(FATAL_ERROR "LATHE_TORCH_ROOT is not set: run ./dev build, which installs LibTorch, or pass the "
                      "site-packages folder that holds torch/ (see CONTRIBUTING.md)")
endif()
set(LATHE_TORCH_LIB ${LATHE_TORCH_ROOT}/torch/lib)
set(LATHE_CUDA_LIB ${LATHE_TORCH_ROOT}/nvidia/cu13/lib)
if(NOT EXISTS ${LATHE_TORCH_LIB}/libtorch_cpu.so)
  message(FATAL_ERROR "no libtorch_cpu.so in ${LATHE_TORCH_LIB}")
endif()

# The wheel's include folder also holds other libraries' headers (fmt, in another version than Debian's): only
# LibTorch's own folders are made visible.
set(torch_headers ${PROJECT_BINARY_DIR}/torch_headers)
file(MAKE_DIRECTORY ${torch_headers})
foreach(folder ATen c10 caffe2 torch)
  file(CREATE_LINK ${LATHE_TORCH_ROOT}/torch/include/${folder} ${torch_headers}/${folder} SYMBOLIC)
endforeach()

add_library(lathe_torch INTERFACE)
target_include_directories(lathe_torch SYSTEM INTERFACE ${torch_headers})
target_compile_definitions(lathe_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
target_link_libraries(lathe_torch INTERFACE ${LATHE_TORCH_LIB}/libtorch_cpu.so ${LATHE_TORCH_LIB}/libc10.so)
# The libraries that libtorch_cpu.so itself needs are found at run time through the rpath.
target_link_options(lathe_torch INTERFACE -Wl,--allow-shlib-undefined)
set(CMAKE_BUILD_RPATH ${LATHE_TORCH_LIB} ${LATHE_CUDA_LIB})
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib;${LATHE_TORCH_LIB};${LATHE_CUDA_LIB}")
set(CMAKE_EXE_LINKER_FLAGS "${CMAKE_EXE_LINKER_FLAGS} -Wl,--disable-new-dtags")
set(CMAKE_SHARED_LINKER_FLAGS "${CMAKE_SHARED_LINKER_FLAGS} -Wl,--disable-new-dtags")

# Parsing ATen's headers costs seconds a file: all libraries share one precompiled header, and all tests another.
# lathe_precompile(NAME DEPS target... HEADERS <header>...)
function(lathe_precompile name)
  cmake_parse_arguments(ARG "" "" "DEPS;HEADERS" ${ARGN})
  file(WRITE ${PROJECT_BINARY_DIR}/${name}.cpp "")
  add_library(${name} STATIC ${PROJECT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PUBLIC lathe_base lathe_torch ${ARG_DEPS})
  target_precompile_headers(${name} PRIVATE
    <algorithm> <functional> <map> <memory> <optional> <span> <string> <string_view> <unordered_map> <variant>
    <vector> <ATen/core/Tensor.h> <ATen/core/ivalue.h> <ATen/core/dispatch/Dispatcher.h> <fmt/format.h> ${ARG_HEADERS})
endfunction()

lathe_precompile(lathe_torch_pch)
if(LATHE_TESTS)
  find_package(GTest REQUIRED)
  lathe_precompile(lathe_test_pch DEPS GTest::gtest
                   HEADERS <ATen/TensorOperators.h> <nlohmann/json.hpp> <gtest/gtest.h>)
endif()

# lathe_use_torch(TARGET [PRECOMPILED]): PRECOMPILED is lathe_torch_pch or lathe_test_pch.
function(lathe_use_torch target)
  set(precompiled lathe_torch_pch)
  if(ARGC GREATER 1)
    set(precompiled ${ARGV1})
  endif()
  target_link_libraries(${target} PUBLIC lathe_torch)
  target_precompile_headers(${target} REUSE_FROM ${precompiled})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL EXECUTABLE)
    target_compile_options(${target} PRIVATE -fPIC)  # as the precompiled header; CMake says -fPIE
  endif()
endfunction()
