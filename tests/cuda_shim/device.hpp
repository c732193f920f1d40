// What a CUDA C++ kernel sees of its device, for a C++ compiler on the host.
//
// Every CUDA thread is a fiber; the functions declared here are in runtime.cpp. Which
// barrier or shuffle a thread waits at is told by the line where it is called.
#pragma once
#include <cmath>
#include <cstring>
#include <utility>

#define __global__
#define __device__ static
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
// A section of their own makes all static shared variables one range of addresses.
#define __shared__ static __attribute__((section("cuda_shared")))

using std::abs; using std::erf; using std::exp; using std::fabs; using std::fmax;
using std::fmin; using std::isinf; using std::isnan; using std::log; using std::sqrt;
template <class A> static inline A max(A a, A b) { return a < b ? b : a; }
template <class A> static inline A min(A a, A b) { return b < a ? b : a; }

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };

namespace cuda_shim {
uint3 thread();
uint3 block();
dim3 block_size();
dim3 grid_size();
char* dynamic_shared();
void block_barrier(int line);
void warp_barrier(int line, unsigned mask);
unsigned lane();
// Of the lanes in mask, this one gives 8 bytes and gets those of lane `source`.
unsigned long long exchange(int line, unsigned mask, unsigned long long v, int source);

template <class V> V shuffle(int line, unsigned mask, V v, int source) {
    static_assert(sizeof(V) == 4 || sizeof(V) == 8, "shuffles move 4 or 8 bytes");
    unsigned long long bits = 0;
    memcpy(&bits, &v, sizeof v);
    bits = exchange(line, mask, bits, source);
    memcpy(&v, &bits, sizeof v);
    return v;
}
template <class V> V shuffle_at(int line, unsigned mask, V v, int at, int w = 32) {
    return shuffle(line, mask, v, int(lane()) / w * w + at % w);
}
template <class V> V shuffle_xor(int line, unsigned mask, V v, int x, int w = 32) {
    int l = lane(), from = l ^ x;
    return shuffle(line, mask, v, from / w <= l / w ? from : l);
}
template <class V> V shuffle_down(int line, unsigned mask, V v, int d, int w = 32) {
    int l = lane();
    return shuffle(line, mask, v, l % w + d < w ? l + d : l);
}
template <class V> V shuffle_up(int line, unsigned mask, V v, int d, int w = 32) {
    int l = lane();
    return shuffle(line, mask, v, l % w >= d ? l - d : l);
}

struct WarpBarrier {
    int line;
    void operator()(unsigned mask = 0xffffffffu) { warp_barrier(line, mask); }
};

// An argument's kind (p pointer, i integer, f floating) and the size of its value.
template <class A> struct Kind {
    static constexpr int value = std::is_floating_point<A>::value ? 'f' : 'i';
    static constexpr int size = sizeof(A);
};
template <class A> struct Kind<A*> {
    static constexpr int value = 'p';
    static constexpr int size = sizeof(A);
};
// The array of arguments is the host's: nobody watches these two reading it.
template <class... A, std::size_t... K>
__attribute__((no_sanitize_thread)) void call(void (*kernel)(A...), void** args, std::index_sequence<K...>) {
    kernel(*static_cast<A*>(args[K])...);
}
template <class... A>
__attribute__((no_sanitize_thread)) void call(void (*kernel)(A...), void** args) {
    call(kernel, args, std::index_sequence_for<A...>());
}
template <class... A> int signature(void (*)(A...), int* kinds, int* sizes) {
    int kind[] = {Kind<A>::value..., 0}, size[] = {Kind<A>::size..., 0};
    memcpy(kinds, kind, sizeof kind);
    memcpy(sizes, size, sizeof size);
    return sizeof...(A);
}
}  // namespace cuda_shim

extern "C" {
__attribute__((weak, visibility("hidden"))) extern char __start_cuda_shared[];
__attribute__((weak, visibility("hidden"))) extern char __stop_cuda_shared[];
}

// What the loader finds in the library of a kernel.
#define CUDA_SHIM_EXPORT(kernel)                                                      \
    extern "C" void cuda_shim_entry(void** args) { cuda_shim::call(kernel, args); }   \
    extern "C" int cuda_shim_signature(int* kinds, int* sizes) {                      \
        return cuda_shim::signature(kernel, kinds, sizes);                            \
    }                                                                                 \
    extern "C" char* cuda_shim_static() { return __start_cuda_shared; }               \
    extern "C" long cuda_shim_static_bytes() {                                        \
        return __start_cuda_shared ? __stop_cuda_shared - __start_cuda_shared : 0;    \
    }

#define threadIdx (cuda_shim::thread())
#define blockIdx (cuda_shim::block())
#define blockDim (cuda_shim::block_size())
#define gridDim (cuda_shim::grid_size())
#define warpSize 32
#define __syncthreads() cuda_shim::block_barrier(__LINE__)
#define __syncwarp(...) cuda_shim::WarpBarrier{__LINE__}(__VA_ARGS__)
#define __shfl_sync(...) cuda_shim::shuffle_at(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) cuda_shim::shuffle_xor(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) cuda_shim::shuffle_down(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) cuda_shim::shuffle_up(__LINE__, __VA_ARGS__)
#define __ldg(p) (*(p))
