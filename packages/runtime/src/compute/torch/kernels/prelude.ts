// What all kernels begin with: element types by their bits alone, elements in packs, sums over a block.

/** CUDA C++ without includes. Numbers are float32 in registers whatever they are in memory. */
export const prelude = `
typedef float float32;
struct bfloat16 { unsigned short bits; };

__device__ inline float widen(float32 x) { return x; }
__device__ inline float widen(bfloat16 x) { return __uint_as_float((unsigned int)x.bits << 16); }

// To nearest, ties to even. NaN stays NaN: rounding its bits could end at infinity or zero.
__device__ inline void narrow(float x, float32& to) { to = x; }
__device__ inline void narrow(float x, bfloat16& to) {
  unsigned int bits = __float_as_uint(x);
  bool number = (bits & 0x7fffffffu) <= 0x7f800000u;
  to.bits = number ? (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16 : bits >> 16 | 0x40u;
}

// N elements that are read and written at once.
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T at[N]; };

template <int N, class T> __device__ inline Pack<T, N> load(const T* from) { return *(const Pack<T, N>*)from; }
template <int N, class T> __device__ inline void store(T* to, Pack<T, N> pack) { *(Pack<T, N>*)to = pack; }

// Whether p may be read four at a time.
template <class T> __device__ inline bool packed(const T* p) { return (unsigned long long)p % (4 * sizeof(T)) == 0; }

// The sum over the block, in every thread, in an order that only the block's size decides.
__device__ inline float blockSum(float x) {
  __shared__ float sums[32];
  for (int apart = 16; apart > 0; apart /= 2) x += __shfl_xor_sync(0xffffffffu, x, apart);
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < blockDim.x / 32; i++) sum += sums[i];
  return sum;
}

__device__ inline float blockMax(float x) {
  __shared__ float most[32];
  for (int apart = 16; apart > 0; apart /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, apart));
  __syncthreads();
  if (threadIdx.x % 32 == 0) most[threadIdx.x / 32] = x;
  __syncthreads();
  float top = most[0];
  for (int i = 1; i < blockDim.x / 32; i++) top = fmaxf(top, most[i]);
  return top;
}
`
