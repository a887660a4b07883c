# Read by llama.cpp's own project() call: its common library is a third of the compile time and nothing here uses it.
# llama-cpp-python forces the cache entry on; a plain variable goes before it (CMake policy CMP0077).
set(LLAMA_BUILD_COMMON OFF)
