// Stands in for CUDA on a CPU, so that the kernels' own source computes numbers where no GPU is: a block's threads are fibers
// that take turns and meet at barriers. A thread that misses a barrier that others reach ends the process, as it may hang a GPU.
// Below: a driver (cuda.h) of the few calls that launches need, over kernels that are compiled into the same library.
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <utility>

#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(threads)

struct Index { unsigned int x; };
static Index threadIdx, blockIdx, blockDim, gridDim;

static inline float __uint_as_float(unsigned int bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline unsigned int __float_as_uint(float x) { unsigned int bits; memcpy(&bits, &x, 4); return bits; }
static inline unsigned int __umulhi(unsigned int a, unsigned int b) { return (unsigned long long)a * b >> 32; }

namespace host {
const int most = 512, stackBytes = 32768;
enum State { ended, atBarrier, atShuffle };
// Contexts start fibers; jumps, which ask nothing of the kernel, switch between them.
static ucontext_t scheduler, fibers[most];
static jmp_buf back, jumps[most];
static char stacks[most][stackBytes];
static State states[most];
static float exchanged[most];
static void (*body)(void**);
static void** arguments;

static void wait(State state) {
  unsigned int me = threadIdx.x;
  states[me] = state;
  if (!_setjmp(jumps[me])) _longjmp(back, 1);
}
static void fiber() {
  body(arguments);
  states[threadIdx.x] = ended;
  _longjmp(back, 1);
}
// Runs thread i to its next barrier or its end.
static void resume(unsigned int i, bool begun) {
  threadIdx.x = i;
  if (_setjmp(back)) return;
  if (begun) _longjmp(jumps[i], 1);
  swapcontext(&scheduler, &fibers[i]);
}
static void expect(unsigned int i, State state) {
  if (states[i] == state) return;
  fprintf(stderr, "thread %u is not where the others are\n", i);
  abort();
}
static void run(void (*kernel)(void**), unsigned int blocks, unsigned int threads, void** given) {
  body = kernel;
  arguments = given;
  gridDim.x = blocks;
  blockDim.x = threads;
  for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
    for (unsigned int i = 0; i < threads; i++) {
      getcontext(&fibers[i]);
      fibers[i].uc_stack.ss_sp = stacks[i];
      fibers[i].uc_stack.ss_size = stackBytes;
      makecontext(&fibers[i], fiber, 0);
    }
    bool begun = false;
    do {
      // A warp runs ahead of the others as far as it may: what a missing barrier lets it overwrite is overwritten.
      for (unsigned int warp = 0; warp < threads; warp += 32) {
        bool again = begun;
        do {
          for (unsigned int i = warp; i < warp + 32; i++) {
            resume(i, again);
            expect(i, states[warp]);
          }
          again = true;
        } while (states[warp] == atShuffle);
        expect(warp, states[0]);
      }
      begun = true;
    } while (states[0] != ended);
  }
}

// Calls a kernel with arguments as a launch has them: an address each.
template <class... A, size_t... I>
static void call(void (*kernel)(A...), void** given, std::index_sequence<I...>) { kernel(*(A*)given[I]...); }
template <class... A> static void apply(void (*kernel)(A...), void** given) {
  call(kernel, given, std::index_sequence_for<A...>());
}
struct Entry { const char* name; void (*call)(void**); };
extern const Entry entries[];
static int loaded = 0;
static unsigned long long launches = 0;
}  // namespace host

static void __syncthreads() { host::wait(host::atBarrier); }
static float __shfl_xor_sync(unsigned int, float x, int lanes) {
  unsigned int me = threadIdx.x;
  host::exchanged[me] = x;
  host::wait(host::atShuffle);
  float other = host::exchanged[me ^ lanes];
  host::wait(host::atShuffle);
  return other;
}

extern "C" {
int host_loaded() { return host::loaded; }
unsigned long long host_launches() { return host::launches; }
int cuInit(unsigned int) { return 0; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return ordinal == 0 ? 0 : 101; }
int cuDevicePrimaryCtxRetain(unsigned long long* context, int) { *context = 7; host::loaded++; return 0; }
int cuDevicePrimaryCtxRelease_v2(int) { host::loaded--; return 0; }
int cuCtxSynchronize() { return 0; }
int cuCtxSetCurrent(unsigned long long context) { return context == 7 ? 0 : 201; }
int cuModuleLoadData(unsigned long long* module, const char* code) {
  *module = 1;
  if (strcmp(code, "host") != 0) return 200;
  host::loaded++;
  return 0;
}
int cuModuleUnload(unsigned long long) { host::loaded--; return 0; }
int cuModuleGetFunction(unsigned long long* entry, unsigned long long, const char* name) {
  for (const host::Entry* each = host::entries; each->name; each++)
    if (strcmp(each->name, name) == 0) { *entry = (unsigned long long)each; return 0; }
  return 500;
}
int cuLaunchKernel(
    unsigned long long entry, unsigned int blocks, unsigned int, unsigned int, unsigned int threads, unsigned int,
    unsigned int, unsigned int, unsigned long long, void** given, void**) {
  if (blocks == 0 || threads == 0 || threads > host::most || threads % 32 != 0) return 1;
  host::launches++;
  host::run(((const host::Entry*)entry)->call, blocks, threads, given);
  return 0;
}
int cuGetErrorString(int code, const char** text) {
  *text = code == 200 ? "device kernel image is invalid" : code == 1 ? "invalid argument" : "not found";
  return 0;
}
}
