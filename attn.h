// attn.h - v0.1.0 - attention for C and C++ in one file - public domain or MIT-0, your choice (end of file)
//
// Do this in one C or C++ file:               and this in the others:
//     #define ATTN_IMPLEMENTATION                 #include "attn.h"
//     #include "attn.h"
// Then:
//     attn_desc d = ATTN_ZERO;                    // zero is the default of every field
//     d.q = q; d.k = k; d.v = v; d.o = o;         // float [H,N,D], [H,M,D], [H,M,D], [H,N,D]
//     d.heads = 8; d.queries = 512; d.keys = 512; d.dim = 64;
//     d.causal = ATTN_CAUSAL_LOWER_RIGHT;
//     attn_status s = attn_fwd(&d);               // o = softmax(q k' / sqrt(D)) v
// cc -O2 file.c is the whole build: no -m flag, no -lm, no -pthread. The instruction set is chosen when it runs.
//
// -------------------------------------------------------------------------------------------------------------------
// >>manual
//
// CONTENTS      search for a tag to go to its room                                            budget (lines)
//     // >>manual       this text                                                                      800
//     // >>config       macros you may set                                                  with >>manual
//     // >>api          types and functions, in the order of the rooms below                          1600
//     // >>machine      the implementation begins: compiler, machine, what is included                  300
//     // >>base         status, checked sizes, libm-free maths, random numbers, threads, context        600
//     // >>tensor       storage types, shapes, strided views, broadcasting, iteration                   700
//     // >>work         what kernels are given, and read of it as plain code                            450
//     // >>vec          the vector vocabulary: one block for each instruction set                      1200
//     // >>kernels      the one text compiled once per instruction set                                 2600
//     // >>passes       re-inclusion, detection, choice                                                 250
//     // >>ops          matrix product, softmax and the tensor operators                               3500
//     // >>attention    the descriptor: checks, plan, splitting                                        2000
//     // >>tape         record, backward, optimisers                                                    700
//     // >>layers       (not yet here)                                                                 1600
//     // >>files        (not yet here)                                                                  600
//     // >>draw         heat maps and plots, SVG and terminal                                           700
//     // >>history      changes, licence                                                                100
//
// LETTERS       B batch, H heads, N queries, M keys, D features of a query or key per head, E features of a value.
//               Arrays are written [B,H,N,D]: row-major, the last axis contiguous unless strides are given. PyTorch's
//               documentation calls our N L, our M S, our D E and our E Ev.
//
// FOUR DEPTHS   1 kernels    arrays in, arrays out: attn_fwd, attn_matmul_f32, attn_softmax_f32, attn_norm_f32, ..
//               2 tensors    strided views in an arena that belongs to a context: attn_add(c, a, b), ...
//               3 tape       gradients of whatever depth 2 computed: attn_backward(c, loss), attn_sgd
//               4 layers     (not yet here)
//
// ERRORS        Depth 1 returns an attn_status; attn_explain writes the sentence (field, value, reason). A call that
//               fails has written nothing to its outputs. Depth 2 and up: a failed call returns the context's own empty
//               tensor, never NULL; the first error stays, with its text, until attn_clear(c), and later calls do
//               nothing, so a chain of calls is checked once at its end: if (attn_error(c)) puts(attn_message(c));
//
// MEMORY        Depth 1 allocates nothing when a workspace is given (attn_workspace says how much), else it takes one
//               block by ATTN_MALLOC and frees it. A context lives in memory that you give, or in chunks by
//               ATTN_MALLOC; parameters grow from one end, values from the other; attn_mark and attn_reset give back
//               values only.
//
// THREADS       None that you did not ask for. desc.parallel is one function that runs n tasks: yours (OpenMP, a job
//               system) or attn_pool_open's. Everything is reentrant on distinct workspaces and contexts. The only
//               mutable static is one word with the detected instruction sets. The number of threads never changes a
//               bit of a result.
//
// PRECISION     f64 arrays are computed in f64 (correct, not fast), all others in f32. exp is within 1 ULP, tanh, erf,
//               log and sigmoid within 4, on every instruction set (docs/precision.md). Masked keys are left out by a
//               predicate, never by a large negative number, and what is masked never reaches a result, NaN included.
//               f32 weights of softmax below 1.2e-38 may count as 0. With SSE all f32 denormals do in attention (custom
//               scores included) and the kernels over rows (softmax, norms): Intel's take over a hundred cycles each.
//
// THE ROW RULE  The bits of output row (b,h,i) depend on its own q, its keys and values and its options alone: not on
//               batch, heads, number of queries, threads, chunking or strides. Keys are worked in blocks counted from
//               key 0, in spans of 1024 that are folded left to right. It holds within one build, pass and set of
//               options.
//
// -O0           A debug build runs the kernels unoptimised, some 30 times slower. Two lines give back the speed:
//                   cc -O2 -c -x c -DATTN_IMPLEMENTATION attn.h -o attn.o       (once)
//                   cc -O0 -g game.c attn.o                                     (game.c includes attn.h plainly)
//
// -------------------------------------------------------------------------------------------------------------------
// >>config
//
//     macro                default         effect
//     ATTN_IMPLEMENTATION  not set         in one file: the functions, not only their declarations
//     ATTN_STATIC          not set         every function is static: a private copy for this file
//     ATTN_DEF             extern          what stands before each declaration (dllexport, a visibility attribute)
//     ATTN_MALLOC(n)       malloc          with ATTN_REALLOC(p, n) and ATTN_FREE(p): your allocator, all three or none
//     ATTN_ASSERT(x)       nothing         checks of what is trusted: the library's own sums, the workers of your run
//     ATTN_NO_STDLIB       not set         no malloc: caller's workspace and arena;
//                                          only memcpy, memmove, memset, memcmp (or bcmp); no attn_desc_layout
//     ATTN_NO_STDIO        not set         leaves out attn_to_file, the one function that knows FILE
//     ATTN_NO_THREADS      not set         leaves out attn_pool_open; the parallel hook stays
//     ATTN_NO_SIMD         not set         scalar passes only
//     ATTN_NO_F64          not set         leaves out the f64 pass; f64 arrays are then refused
//     ATTN_NO_AVX2         not set         leaves out that pass and those above it
//     ATTN_NO_AVX512       not set         the same
//     ATTN_NO_AVX512V      not set         the same
//     ATTN_NO_NEON         not set         the same
//     ATTN_NO_NEON82       not set         the same
//     ATTN_NO_NEON86       not set         the same
//     ATTN_USE_SIMDE       not set         adds the pass "simde": the avx2 block by SIMDe, at this file's own flags
//     ATTN_SIMDE_NEON      not set         with it: the neon block instead
//     ATTN_ONLY_KERNELS    not set         depth 1 alone: no tensors, tape, layers, drawing
//     ATTN_NO_DISPATCH     not set         no re-inclusion: one pass, the best that the compiler flags allow as such
//     ATTN_FILENAME        "attn.h"        the name under which the header finds itself:
//                                          set it when you rename the file
//
#ifndef ATTN__CONFIG
#define ATTN__CONFIG

#define ATTN_VERSION_MAJOR 0
#define ATTN_VERSION_MINOR 1
#define ATTN_VERSION_PATCH 0
#define ATTN_VERSION (ATTN_VERSION_MAJOR * 10000 + ATTN_VERSION_MINOR * 100 + ATTN_VERSION_PATCH)

#include <stddef.h>
#include <stdint.h>

#if (defined(ATTN_MALLOC) || defined(ATTN_REALLOC) || defined(ATTN_FREE)) && \
    !(defined(ATTN_MALLOC) && defined(ATTN_REALLOC) && defined(ATTN_FREE))
#error "attn.h: define all of ATTN_MALLOC, ATTN_REALLOC and ATTN_FREE, or none"
#endif
#if defined(ATTN_NO_STDLIB) && defined(ATTN_MALLOC)
#error "attn.h: ATTN_NO_STDLIB says no allocator, ATTN_MALLOC names one"
#endif
#if defined(ATTN_USE_SIMDE) && defined(ATTN_NO_SIMD)
#error "attn.h: ATTN_USE_SIMDE asks for a vector pass, ATTN_NO_SIMD for none"
#endif
#if defined(ATTN_SIMDE_NEON) && !defined(ATTN_USE_SIMDE)
#error "attn.h: ATTN_SIMDE_NEON chooses SIMDe's block: define ATTN_USE_SIMDE too"
#endif
#if defined(ATTN_USE_SIMDE) && defined(ATTN_NO_DISPATCH)
#error "attn.h: ATTN_NO_DISPATCH compiles one pass, ATTN_USE_SIMDE adds one by re-inclusion"
#endif
#if defined(ATTN_STATIC) && defined(ATTN_DEF)
#error "attn.h: ATTN_STATIC decides the linkage, ATTN_DEF as well: define one"
#endif

#if defined(ATTN_STATIC)
#if defined(__GNUC__) || defined(__clang__)
#define ATTN_DEF static __attribute__((unused))
#else
#define ATTN_DEF static
#endif
#elif !defined(ATTN_DEF)
#define ATTN_DEF extern
#endif

#ifdef __cplusplus
#define ATTN_ZERO {}
#else
#define ATTN_ZERO {0}
#endif
#endif // ATTN__CONFIG

// -------------------------------------------------------------------------------------------------------------------
// >>api
#ifndef ATTN_H
#define ATTN_H
#ifdef __cplusplus
extern "C" {
#endif

// ---- version, status, instruction sets

// The number of the implementation that was linked; compare with ATTN_VERSION, the number of this header.
ATTN_DEF int attn_version(void);
// What was compiled in, one line: version, compiler, passes, options. A misspelt config macro shows here.
ATTN_DEF const char *attn_build_info(void);

// Every status and its sentence, once.
#define ATTN_STATUS_LIST(ROW)                                                                    \
    ROW(OK, "done")                                                                              \
    ROW(ERR_NULL, "a pointer that is needed is NULL")                                            \
    ROW(ERR_SHAPE, "shapes do not fit together")                                                 \
    ROW(ERR_DTYPE, "a type that is not taken here")                                              \
    ROW(ERR_RANGE, "a number outside its range")                                                 \
    ROW(ERR_OVERLAP, "an output lies over an input or over itself")                              \
    ROW(ERR_WORKSPACE, "the workspace is too small")                                             \
    ROW(ERR_MEMORY, "out of memory")                                                             \
    ROW(ERR_STATE, "not possible in this state")                                                 \
    ROW(ERR_UNSUPPORTED, "not offered: the combination, or this build")                          \
    ROW(ERR_VERSION, "a descriptor longer than this version knows")                              \
    ROW(ERR_IO, "reading or writing failed")

typedef enum attn_status {
#define ATTN__ROW(NAME, text) ATTN_##NAME,
    ATTN_STATUS_LIST(ATTN__ROW)
#undef ATTN__ROW
    ATTN_STATUS_COUNT
} attn_status;

// The sentence of a status; "unknown status" for any other number.
ATTN_DEF const char *attn_status_str(attn_status s);

// Every instruction set, weakest first within a family. BEST (0) leaves the choice to the machine.
#define ATTN_ISA_LIST(ROW)                                                                       \
    ROW(BEST, best) ROW(SCALAR, scalar) ROW(SIMDE, simde) ROW(NEON, neon) ROW(NEON82, neon82)    \
    ROW(NEON86, neon86) ROW(AVX2, avx2) ROW(AVX512, avx512) ROW(AVX512V, avx512v)

enum {
#define ATTN__ROW(NAME, name) ATTN_ISA_##NAME,
    ATTN_ISA_LIST(ATTN__ROW)
#undef ATTN__ROW
    ATTN_ISA_COUNT
};

// The best instruction set that was compiled in and that this machine has: an ATTN_ISA_ number, never 0.
ATTN_DEF int attn_isa(void);
// ATTN_ISA_COUNT of the implementation: numbers 1 .. count-1 exist; attn_isa_has tells which can run here.
ATTN_DEF int attn_isa_count(void);
ATTN_DEF int attn_isa_has(int isa);
// "scalar", "avx2", ...; NULL for a number that is none.
ATTN_DEF const char *attn_isa_name(int isa);

// ---- types of array elements

#define ATTN_TYPE_LIST(ROW) /* name, text, bytes of a block, elements of a block */              \
    ROW(F32, "f32", 4, 1) ROW(F64, "f64", 8, 1) ROW(F16, "f16", 2, 1) ROW(BF16, "bf16", 2, 1)    \
    ROW(I8, "i8", 1, 1) ROW(U8, "u8", 1, 1) ROW(I32, "i32", 4, 1) ROW(I64, "i64", 8, 1)          \
    ROW(BOOL, "bool", 1, 1) ROW(Q8_0, "q8_0", 34, 32) ROW(Q4_0, "q4_0", 18, 32) ROW(Q4_1, "q4_1", 20, 32)

enum {
#define ATTN__ROW(NAME, text, bytes, elements) ATTN_##NAME,
    ATTN_TYPE_LIST(ATTN__ROW)
#undef ATTN__ROW
    ATTN_TYPE_COUNT
};
ATTN_DEF const char *attn_type_str(int type);

// ---- threads

// How to run tasks side by side. run must call task(arg, i, worker) for each i in 0..n-1 and return when all are done;
// worker is in 0..workers-1 and never the same in two calls at once. OpenMP, TBB or a job system in a few lines.
// Without run, or with workers 0 or 1, calls do their work themselves.
typedef struct attn_parallel {
    void (*run)(void *user, void (*task)(void *arg, ptrdiff_t i, int worker), void *arg, ptrdiff_t n);
    void *user;
    int workers;
} attn_parallel;

#ifndef ATTN_NO_THREADS
// A pool of `threads` workers, the caller's thread among them (0 = one for each processor); NULL when none can be had.
// Idle workers block. attn_pool_close(NULL) does nothing. A pool serves one call at a time; a second caller waits.
ATTN_DEF const attn_parallel *attn_pool_open(int threads);
ATTN_DEF void attn_pool_close(const attn_parallel *pool);
#endif

// ---- depth 1: random numbers

// out[0..3] = Philox4x32-10 of a 128-bit counter and a 64-bit key. Any element of a stream is had without the others.
// source  Salmon, Moraes, Dror, Shaw 2011
ATTN_DEF void attn_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

// ---- depth 1: functions of one argument

enum { ATTN_MAP_EXP, ATTN_MAP_TANH, ATTN_MAP_ERF, ATTN_MAP_RELU, ATTN_MAP_SQUARE, ATTN_MAP_LOG, ATTN_MAP_SQRT,
       ATTN_MAP_SIGMOID, ATTN_MAP_SILU, ATTN_MAP_GELU, ATTN_MAP_GELU_TANH, ATTN_MAP_COUNT };
// y[i] = f(x[i]) for n contiguous elements; y may be x. exp within 1 ULP, tanh, erf, log and sigmoid within 4, sqrt
// rounded right; silu x sigmoid(x) and gelu x (1 + erf(x / sqrt 2)) / 2 (_TANH: its approximation by tanh) within
// 2^-22 |x|. errors  NULL, RANGE (op, n < 0). source  gelu: Hendrycks and Gimpel 2016
ATTN_DEF attn_status attn_map_f32(int op, float *y, const float *x, ptrdiff_t n, int isa);
ATTN_DEF attn_status attn_map_f64(int op, double *y, const double *x, ptrdiff_t n);
// Sum of x[i]*y[i]. bf16 is a uint16_t with the upper half of a float; products are exact, sums f32 in an order of the
// pass's own. The i8 sum is exact (n up to 2^16). avx512v, neon82 and neon86 have instructions for these.
// errors  NULL, RANGE
ATTN_DEF attn_status attn_dot_bf16(float *sum, const uint16_t *x, const uint16_t *y, ptrdiff_t n, int isa);
ATTN_DEF attn_status attn_dot_i8(int32_t *sum, const int8_t *x, const int8_t *y, ptrdiff_t n, int isa);

// ---- depth 1: matrix product

#define ATTN_ACT(map) (256 + (map))   // desc.act of an ATTN_MAP_; the bare number is refused, 0 is none
// c = act(alpha a b + beta c + bias) for each of `batch` matrices: a [m,k], b [k,n], c [m,n]. {0} and the sizes is a
// plain product. attn_matmul_f32 reads other types too: the arithmetic is f32, c is rounded once.
typedef struct attn_matmul_desc {
    size_t size;                      // 0 = sizeof(attn_matmul_desc)
    const void *a, *b;
    void *c;                          // must not lie over a or b
    ptrdiff_t m, n, k;                // 0 is fine: k = 0 leaves beta c
    int32_t trans_a, trans_b;         // 1: a is stored [k,m], b is stored [n,k]
    ptrdiff_t a_row, a_col;           // elements from one stored row (column) to the next; both 0 = contiguous,
                                      // one alone repeats
    ptrdiff_t b_row, b_col;
    ptrdiff_t c_row, c_col;
    ptrdiff_t batch;                  // 0 = 1
    ptrdiff_t a_batch, b_batch;       // elements from one matrix to the next; 0 = all share one
    ptrdiff_t c_batch;                // 0 = contiguous
    double alpha, beta;               // alpha 0 = 1; beta 0 does not read c
    void *workspace;                  // NULL = one allocation where packing is needed
    size_t workspace_bytes;
    const attn_parallel *parallel;    // NULL = this thread
    int32_t isa;                      // cap; 0 = the best
    const void *bias;                 // [n], added to every row; f32 (attn_matmul_f64: f64); NULL = none
    int32_t act;                      // ATTN_ACT(ATTN_MAP_RELU), ...; 0 = none
    int32_t a_type, b_type, c_type;   // attn_matmul_f32: ATTN_F32, BF16, F16; b also Q8_0, Q4_0, Q4_1, stored [n,k]
                                      // (trans_b = 1) in blocks along k, b_row and b_batch in elements: whole blocks
} attn_matmul_desc;

// errors  NULL, SHAPE (negative; blocks), DTYPE, RANGE (overflow, act), OVERLAP (c_row, c_col), WORKSPACE, MEMORY
// Same bits for any number of threads. source  Goto and van de Geijn 2008; BLIS (Van Zee and van de Geijn 2015)
ATTN_DEF attn_status attn_matmul_f32(const attn_matmul_desc *d);
ATTN_DEF attn_status attn_matmul_f64(const attn_matmul_desc *d);
// Bytes of workspace that a call with this desc wants, 0 when none or when it is wrong; pointers may still be missing.
ATTN_DEF size_t attn_matmul_workspace(const attn_matmul_desc *d);

// ---- depth 1: softmax over rows

// y = softmax(x) over the last axis of x [rows,cols].
typedef struct attn_softmax_desc {
    size_t size;
    const void *x;                    // [rows,cols]
    void *y;                          // [rows,cols], may be x
    ptrdiff_t rows, cols;
    ptrdiff_t x_row, y_row;           // elements from row to row; 0 = cols
    const int32_t *lengths;           // [rows / rows_per_length]: elements j >= length are left out; NULL = none
    ptrdiff_t rows_per_length;        // 0 = 1. The notes' valid_lens of shape [B] with N queries: N
    float masked_score;               // 0 = left out exactly; else the number put in their place (the notes' -1e6)
    const attn_parallel *parallel;
    int32_t isa;
    int32_t log;                      // 1: the logarithm of that, x - max - log(sum)
} attn_softmax_desc;

// A row with every element left out is all 0, never NaN; what is left out is -inf in the logarithm, such a row too.
// errors  NULL, SHAPE, RANGE (a length outside 0..cols), OVERLAP
// source  Bridle 1990; maximum first: Milakov and Gimelshein 2018
ATTN_DEF attn_status attn_softmax_f32(const attn_softmax_desc *d);
ATTN_DEF attn_status attn_softmax_f64(const attn_softmax_desc *d);

// ---- depth 1: layer norm and RMS norm over rows

enum { ATTN_ROWS_LAYER, ATTN_ROWS_RMS, ATTN_ROWS_COUNT };
// layer: y = (x - mean x) / sqrt(mean (x - mean x)^2 + eps) weight + bias; rms: y = x / sqrt(mean x^2 + eps) weight +
// bias, means over the last axis of x [rows,cols].
typedef struct attn_norm_desc {
    size_t size;
    const void *x;                    // [rows,cols]
    void *y;                          // [rows,cols], may be x
    ptrdiff_t rows, cols;
    ptrdiff_t x_row, y_row;           // elements from row to row; 0 = cols
    const void *weight, *bias;        // [cols] of the type of x; NULL = 1 and 0
    double eps;                       // 0 = 1e-5 (layer), 1e-6 (rms)
    int32_t kind;                     // ATTN_ROWS_
    const attn_parallel *parallel;
    int32_t isa;
} attn_norm_desc;

// errors  NULL, SHAPE, RANGE, OVERLAP
// source  Ba, Kiros, Hinton 2016; Zhang and Sennrich 2019; two passes, corrected: Chan, Golub, LeVeque 1983
ATTN_DEF attn_status attn_norm_f32(const attn_norm_desc *d);
ATTN_DEF attn_status attn_norm_f64(const attn_norm_desc *d);

// ---- depth 1: attention

enum { ATTN_ARITH_F32, ATTN_ARITH_NATIVE, ATTN_ARITH_COUNT };
enum { ATTN_QK_NORM_NONE, ATTN_QK_NORM_RMS, ATTN_QK_NORM_L2, ATTN_QK_NORM_COUNT };
enum { ATTN_ALIGN_UPPER_LEFT, ATTN_ALIGN_LOWER_RIGHT, ATTN_ALIGN_AT, ATTN_ALIGN_COUNT };
enum { ATTN_CAUSAL_NONE, ATTN_CAUSAL_LOWER_RIGHT, ATTN_CAUSAL_UPPER_LEFT, ATTN_CAUSAL_AT, ATTN_CAUSAL_COUNT };
enum { ATTN_REL_NONE, ATTN_REL_OFFSET, ATTN_REL_T5, ATTN_REL_WINDOW_2D, ATTN_REL_COUNT };
enum { ATTN_SCORE_DOT, ATTN_SCORE_BILINEAR, ATTN_SCORE_ADDITIVE, ATTN_SCORE_GAUSSIAN, ATTN_SCORE_BOXCAR,
       ATTN_SCORE_EPANECHNIKOV, ATTN_SCORE_TRIANGLE, ATTN_SCORE_TRICUBE, ATTN_SCORE_COSINE, ATTN_SCORE_NEG_L2,
       ATTN_SCORE_CUSTOM, ATTN_SCORE_COUNT };
enum { ATTN_NORM_SOFTMAX, ATTN_NORM_HARD, ATTN_NORM_AVERAGE, ATTN_NORM_SIGMOID, ATTN_NORM_RELU, ATTN_NORM_NONE,
       ATTN_NORM_TOP_K, ATTN_NORM_SPARSEMAX, ATTN_NORM_ENTMAX15, ATTN_NORM_COUNT };
enum { ATTN_ROPE_NONE, ATTN_ROPE_INTERLEAVED, ATTN_ROPE_HALF, ATTN_ROPE_COUNT };
enum { ATTN_WEIGHTS_SOFTMAX, ATTN_WEIGHTS_SCORES, ATTN_WEIGHTS_CAPPED, ATTN_WEIGHTS_BIASED, ATTN_WEIGHTS_COUNT };
#define ATTN_SCALE_NONE 1.0f

// A block of scores handed to desc.custom: element (key j, query i) is s[(j - j0) * ld + (i - i0)].
typedef struct attn_tile {
    ptrdiff_t b, h, i0, ni, j0, nj, ld, dim;
    const float *const *q, *const *k; // rows i0.., j0.. as they met: f32, after qk_norm, rope and the cosine's norm
    float *const *dq, *const *dk;     // in custom_grad: gradients to add to
    int worker;
    void *user;
} attn_tile;

// How attention is computed. Zero is the default of every field; arrays are [B,H,N,D] contiguous unless strides are
// given (in elements, order B,H,N,D; all zero = contiguous). Masks and bias: all-zero strides = contiguous [N,M] shared
// by B and H; otherwise a stride of 0 repeats along that axis. Stages run in the order of the comment on attn_fwd.
typedef struct attn_desc {
    size_t size;                      // 0 = sizeof(attn_desc); a binding sets its own
    // -- arrays
    const void *q;                    // [B,H,N,D]
    const void *k;                    // [B,Hk,M,D]
    const void *v;                    // [B,Hk,M,E]
    void *o;                          // [B,H,N,E]; may be q's very array
    int32_t q_type, k_type, v_type, o_type;   // ATTN_F32, F16, BF16, or all F64;
                                              // k and v also Q8_0, Q4_0, Q4_1 along D (E)
    ptrdiff_t q_stride[4], k_stride[4], v_stride[4], o_stride[4];   // quantised arrays: elements too,
                                                                    // rows of whole blocks
    // -- sizes
    ptrdiff_t batch;                  // B; 0 = 1
    ptrdiff_t heads, kv_heads;        // H, Hk; kv_heads 0 = heads; query head h reads key head h / (H / Hk)
    ptrdiff_t queries, keys;          // N, M; 0 queries do nothing; 0 keys give zeros
    ptrdiff_t dim, vdim;              // D, E; vdim 0 = dim
    // -- arithmetic and scale
    int32_t arith;                    // ATTN_ARITH_: f32 (others widened), or native: bf16 and blocks are multiplied as
                                      // they are, by instructions of avx512v and neon82/86; see attn_fwd
    float scale;                      // 0 = 1/sqrt(D) for dot and custom, 1 for other scores; ATTN_SCALE_NONE = 1
    const float *logit_scale;         // [H], times the scale; finite, not negative for a distance
    int32_t qk_norm;                  // ATTN_QK_NORM_: rms x / sqrt(mean x^2 + eps), l2 x / max(|x|, eps); before rope
    float norm_eps;                   // 0 = 1e-6 for rms, 1e-12 for l2
    const float *q_norm, *k_norm;     // [D] factors after qk_norm; NULL = 1
    // -- position: query i stands at p_i = i + offset
    int32_t align;                    // ATTN_ALIGN_: upper left (offset 0), lower right (keys in use less queries), at
    int32_t query_offset;             // offset for ATTN_ALIGN_AT and ATTN_CAUSAL_AT
    const int32_t *query_offsets;     // [B], instead of query_offset
    int32_t causal;                   // ATTN_CAUSAL_: keys j <= p_i with that align
    int32_t window;                   // 1: p_i - window_left <= j <= p_i + window_right; -1 = open
    int32_t window_left, window_right;
    // -- lengths
    const int32_t *key_lengths;       // [B]: keys j >= length do not exist
    const int32_t *query_lengths;     // [B]: rows i >= length are zeros
    const int32_t *row_lengths;       // [B,N]: keys row i may see
    float masked_score;               // 0 = hidden keys are left out; else every key 0..M-1 (of a cache: in use) takes
                                      // part, hidden ones with this score
    // -- masks and bias
    const uint8_t *keep;              // 1 = may attend (PyTorch's SDPA, ONNX)
    const uint8_t *drop;              // 1 = may not (PyTorch's MultiheadAttention); both set: they intersect
    ptrdiff_t keep_stride[4], drop_stride[4];
    const void *bias;                 // added to scores; -inf hides the key, a finite -1e6 here is arithmetic
    int32_t bias_type;                // F32, F16, BF16; F64 with f64 arrays
    ptrdiff_t bias_stride[4];
    // -- structure
    const uint8_t *block_mask;        // [H or 1, ceil(N / block_q), ceil(M / block_k)]: 0 hides the block
    int32_t block_heads, block_q, block_k;
    const int32_t *doc_q, *doc_k;     // [B,N], [B,M], both or none: equal ids see each other
    const int32_t *prefix;            // [B]: causal hides no key j < prefix
    const int32_t *tree_parent;       // [N]: the last keys in use, one for each query in use, are the queries' nodes:
                                      // hidden but for the row's own and its ancestors; -1 = root, else parent < i
    // -- tables added to scores
    const float *alibi_slopes;        // [H]: - slope |p_i - j|
    int32_t alibi;                    // 1: the slopes of the paper for H heads, when alibi_slopes is NULL
    int32_t rel_kind;                 // ATTN_REL_: + rel_table[row][h]
    const float *rel_table;           // [rel_count,H]; 2-D: [(2 height - 1)(2 width - 1),H]
    int32_t rel_count;                // OFFSET: odd, row = clamp(j - p_i) + rel_count / 2. T5: buckets of j - p_i
    int32_t rel_max_distance, rel_both_ways;      // T5
    int32_t rel_height, rel_width;    // WINDOW_2D (Swin): i (not p_i), j = y width + x,
                                      // row (yi - yj + height - 1)(2 width - 1) + xi - xj + width - 1
    // -- score
    int32_t score;                    // ATTN_SCORE_
    const float *w_score;             // bilinear: q' W k, W [D,D]
    const float *w_q, *w_k, *w_v;     // additive: w_v . tanh(w_q q + w_k k):
                                      // [score_width,D], [score_width,D], [score_width]
    ptrdiff_t score_width;
    const float *kernel_width;        // [H] > 0, u = |q - k| / width: gaussian - u^2 / 2; the compact kernels log K(u),
                                      // hidden where K = 0; NULL = 1. COSINE: q.k / (|q| |k|). NEG_L2: - |q - k|
    void (*custom)(const attn_tile *t, float *s);      // turns the scaled score (ATTN_SCORE_CUSTOM: scale q.k) into the
                                      // one that softcap takes
    void (*custom_grad)(const attn_tile *t, const float *s, float *ds);
    void *user;
    float softcap;                    // c tanh(s / c); 0 = off
    const float *sink;                // [H]: a key with this score and no value
    int32_t off_by_one;               // 1: a sink of 0
    // -- normaliser: weights p from scores s of the keys that are seen
    int32_t norm;                     // ATTN_NORM_: softmax; hard 1 at the first maximum; average 1 / count;
    float sigmoid_bias, relu_div;     // sigmoid(s + sigmoid_bias); relu max(s, 0) / relu_div (0 = 1); none s;
    int32_t top_k;                    // top-k softmax of the top_k greatest (first on ties); sparsemax; entmax of 1.5
    // -- rope, from a table (attn_rope_table makes one)
    int32_t rope_kind, rope_dim;      // ATTN_ROPE_: no default pairing; columns from rope_dim (0 = D) on stay
    const float *rope_cos, *rope_sin; // [rope_positions, rope_dim / 2]
    ptrdiff_t rope_positions;
    const int32_t *rope_q_pos, *rope_k_pos;   // [B,N], [B,M]; NULL = p_i and j
    // -- dropout of weights
    float dropout;                    // p in 0..1: weights times 0 or 1 / (1 - p), kept where word j % 4 of
    const uint8_t *keep_weights;      // philox({j / 4, i, h, b}, seed) >= p 2^32, or where keep_weights [B,H,N,M] is 1
    uint64_t seed;
    // -- packed sequences
    const int32_t *cu_q, *cu_k;       // [B+1], with a cache cu_q alone: sequence b is rows cu[b] .. cu[b+1]-1 of q,
                                      // o [T,H,D] and k, v [Tk,Hk,D] (stride 0 is not used); queries, keys are at
                                      // least the largest; lse is [H,T]
    // -- cache, instead of k and v: tokens 0 .. key_lengths[b]-1 are in it; keys is its capacity
    void *k_cache, *v_cache;          // [B,Hk,keys,D]; k_type, v_type, k_stride, v_stride are the cache's
    const void *k_new, *v_new;        // attn_append: [B,Hk,new_keys,D], of q_type; v_new NULL where v_cache is part of
                                      // k_cache (a shared latent)
    ptrdiff_t new_keys;
    ptrdiff_t k_new_stride[4], v_new_stride[4];
    const int32_t *block_table;       // [B,pages_per_row] of page numbers: token t lies in page table[b][t / page],
                                      // slot t % page
    ptrdiff_t pages_per_row, page, page_count;   // of caches [page_count,Hk,page,D]:
                                                 // strides are page, head, slot, column
    int32_t ring;                     // slots of a ring [B,Hk,ring,D]: token t at slot t % ring, the last ring tokens
                                      // are there; keys is the most tokens ever (0 = 2^31 - 1, with pointers of 32
                                      // bits 2048 less), not a size
    // -- outputs beside o
    int32_t weights_stage;            // ATTN_WEIGHTS_: scores are scaled, capped after softcap, biased after tables and
                                      // masks (-inf)
    void *weights;                    // [B,H,N,M] contiguous, f32 (f64 for f64); NULL = not wanted. Stages scores and
                                      // capped hold every key, hidden ones too (of a cache: those in use). Rows past
                                      // the end of a packed sequence are not written
    void *lse;                        // [B,H,N] f32 (f64 for f64): natural log of the sum of exp of the scores and
                                      // sinks; -inf where there are none
    // -- gradients (attn_bwd, later)
    const void *grad_o, *grad_lse;
    void *grad_q, *grad_k, *grad_v, *grad_bias, *grad_sink, *grad_scale, *grad_slopes, *grad_rel_table;
    void *grad_w_score, *grad_w_q, *grad_w_k, *grad_w_v, *grad_kernel_width;
    int32_t grad_type, accumulate;
    // -- execution
    void *workspace;                  // NULL = one allocation for the call; 64-byte alignment is made inside; lies
                                      // over no array of the desc
    size_t workspace_bytes;
    const attn_parallel *parallel;    // NULL = this thread
    int32_t isa;                      // cap on the instruction set; 0 = the best
} attn_desc;

// o = norm(s) v, a row at a time. Order of stages: qk_norm, rope, score, scale and logit_scale, custom, softcap, bias
// and tables, masks, sinks, norm, dropout. A key is seen only if every rule given allows it. A row that sees no key is
// zeros in o and weights, -inf in lse (with a sink: the sink).
// ATTN_ARITH_NATIVE: k in bf16 meets q rounded to bf16, k in blocks q rounded to 8 bits in blocks of 32, v in bf16
// meets weights rounded to bf16; sums are f32 (in a block integers), numbers below 1.2e-38 are 0. v in blocks, and keys
// that a stage changes on their way (norm or rope without cache, cosine, custom), are f32 as ever. UNSUPPORTED where
// the machine cannot.
// errors  NULL, SHAPE, DTYPE, RANGE, OVERLAP, WORKSPACE, MEMORY, UNSUPPORTED, VERSION; outputs are then untouched
// source  Vaswani et al. 2017; online softmax in tiles: Rabe and Staats 2021, Dao et al. 2022
ATTN_DEF attn_status attn_fwd(const attn_desc *d);
// Writes k_new and v_new as tokens key_lengths[b] .. key_lengths[b] + new_keys - 1 of the cache, converted to its type;
// qk_norm and rope of the desc are applied to k_new here, and to q alone by attn_fwd. Add new_keys to the lengths after
// ATTN_OK; a lower length is a rollback, a copied row of the table a fork.
// errors  as attn_fwd; RANGE when the cache is full
ATTN_DEF attn_status attn_append(const attn_desc *d);
// Joins partial results over disjoint sets of keys, in place: o [rows,E] and lse [rows], rows in one order, take in o2
// and lse2. (Of packed sequences o is [T,H,E] where o_stride does not say [H,T,E], lse [H,T].) f32 alone.
// Associative within rounding; lse -inf is its identity, to the bit. errors  NULL, SHAPE.
// source  Milakov and Gimelshein 2018
ATTN_DEF attn_status attn_merge(float *o, float *lse, const float *o2, const float *lse2, ptrdiff_t rows,
                                ptrdiff_t vdim);
// cos and sin [positions, dim / 2] of angles pos / theta^(2t / dim); theta 0 = 10000. source  Su et al. 2021
// errors  NULL, SHAPE (dim odd), RANGE
ATTN_DEF attn_status attn_rope_table(float *cos_out, float *sin_out, ptrdiff_t positions, ptrdiff_t dim, double theta);
// o [B,H,N,D] = q as attn_fwd and attn_append turn rows: qk_norm, then rope at rope_q_pos[b,i] or i + offset. Of d it
// reads q, o, their types and strides, batch, heads, queries, dim, qk_norm, norm_eps, q_norm, align, query_offset(s),
// rope_, workspace (one row a worker, where o is not of the type computed in), parallel and isa. o may be q.
// errors  as attn_fwd
ATTN_DEF attn_status attn_rope(const attn_desc *d);
// Bytes that attn_fwd wants; 0 for a desc that is wrong in itself. Looks at no pointer: they may still be missing, and
// overlaps are not judged. It grows with every extent. What it needs depends, for a thread, on dim and vdim alone, but
// for hard, top-k, sparsemax and entmax (+ keys) and for the additive score (+ score_width). What it would like, and
// does without where it is not given: up to 8 times that, for queries that go through the keys together where keys or
// values are made ready for them (other types, rope, qk_norm, pages, rows a multiple of 4 KB apart) or exceed 1 MB a
// head; and with threads and more than 1024 keys up to 16 MB for rows whose keys several threads share (decoding).
ATTN_DEF size_t attn_workspace(const attn_desc *d);
// Enough on one thread for what it needs by dim and vdim alone: a constant, for static arrays.
#define ATTN_WORKSPACE(dim, vdim) ((size_t)(65536 + 1280 * ((dim) + 63) + 1536 * ((vdim) + 63)))
// Writes the sentence for what is wrong with d (field, value, reason) into text[0..n-1], ended by 0; returns text.
// The checks run again: no state is kept. For ATTN_OK, or a status not from the checks, the status's own sentence.
ATTN_DEF const char *attn_explain(attn_status s, const attn_desc *d, char *text, size_t n);
ATTN_DEF const char *attn_explain_matmul(attn_status s, const attn_matmul_desc *d, char *text, size_t n);
ATTN_DEF const char *attn_explain_softmax(attn_status s, const attn_softmax_desc *d, char *text, size_t n);
ATTN_DEF const char *attn_explain_norm(attn_status s, const attn_norm_desc *d, char *text, size_t n);

#ifndef ATTN_NO_STDLIB
// Layout of attn_desc for bindings: name, offset and size of field i; 0 past the last. Not with ATTN_NO_STDLIB.
typedef struct attn_field { const char *name; size_t offset, size; } attn_field;
ATTN_DEF int attn_desc_layout(int i, attn_field *field);
#endif

// The passes' own limits, for benchmarks: runs `loops` rounds of independent FMAs, returns the flops done. With
// ATTN_ARITH_NATIVE products of bf16 pairs; 0 where there are none.
ATTN_DEF double attn_peak_loop(ptrdiff_t loops, int isa, int arith);

#ifndef ATTN_ONLY_KERNELS
// ---- depth 2: contexts

typedef struct attn_ctx attn_ctx;

typedef struct attn_ctx_desc {
    size_t size;
    int32_t isa;                      // cap; 0 = the best
    const attn_parallel *parallel;
    size_t chunk;                     // bytes of a chunk when memory is not given; 0 = 1 MB
    uint64_t seed;                    // of attn_uniform and attn_normal
} attn_ctx_desc;

#define ATTN_MAX_RANK 6
enum { ATTN_TENSOR_PARAM = 1, ATTN_TENSOR_EMPTY = 2, ATTN_TENSOR_RECORDED = 4 };

// A strided view of an array. Read its fields; only the library writes them. Lives as long as its context or, for
// values, until attn_reset to a mark taken before it was made.
typedef struct attn_tensor {
    void *data;
    int32_t type, rank, flags;
    ptrdiff_t shape[ATTN_MAX_RANK], stride[ATTN_MAX_RANK];   // elements
    struct attn_tensor *grad;         // after attn_backward; same shape; NULL = none
    struct attn_tensor *next;         // the next parameter
    struct attn_tensor *state;        // of a parameter: the optimiser's
    size_t place;                     // where in the arena it was made
} attn_tensor;

// A context inside mem, or in growing chunks by ATTN_MALLOC when mem is NULL. desc may be NULL. NULL when memory is too
// small or there is none. A context is used by one thread at a time.
ATTN_DEF attn_ctx *attn_open(void *mem, size_t bytes, const attn_ctx_desc *desc);
ATTN_DEF void attn_close(attn_ctx *c);
// First error since attn_clear, and its text: operator, argument, both shapes. "" when there is none. Without a context
// (NULL) every function here and below does nothing and gives NULL or 0, or the status ATTN_ERR_NULL.
ATTN_DEF attn_status attn_error(const attn_ctx *c);
ATTN_DEF const char *attn_message(const attn_ctx *c);
ATTN_DEF void attn_clear(attn_ctx *c);
// Values made after attn_mark are given back by attn_reset; parameters and their gradients stay. What attn_mark does
// not give, or a mark beyond what is in use, is an error (RANGE).
ATTN_DEF size_t attn_mark(const attn_ctx *c);
ATTN_DEF void attn_reset(attn_ctx *c, size_t mark);
// Bytes in use now and at most so far, parameters and values.
ATTN_DEF size_t attn_used(const attn_ctx *c);
ATTN_DEF size_t attn_peak(const attn_ctx *c);

// ---- depth 2: making tensors; shape has `rank` extents; errors  DTYPE, SHAPE (rank, negative, overflow), MEMORY

ATTN_DEF attn_tensor *attn_zeros(attn_ctx *c, int type, int rank, const ptrdiff_t *shape);
ATTN_DEF attn_tensor *attn_full(attn_ctx *c, int type, int rank, const ptrdiff_t *shape, double value);
// A copy of data, contiguous, of that type.
ATTN_DEF attn_tensor *attn_from(attn_ctx *c, int type, int rank, const ptrdiff_t *shape, const void *data);
// A view of your memory, no copy; stride NULL = contiguous.
ATTN_DEF attn_tensor *attn_wrap(attn_ctx *c, int type, int rank, const ptrdiff_t *shape, const ptrdiff_t *stride,
                                void *data);
// Zeros that outlive attn_reset and whose gradient attn_backward collects. f32 or f64.
ATTN_DEF attn_tensor *attn_param(attn_ctx *c, int type, int rank, const ptrdiff_t *shape);
// First parameter, the others by ->next.
ATTN_DEF attn_tensor *attn_params(const attn_ctx *c);
// Fill t in place from the context's Philox stream: uniform in [low, high), normal by Box and Muller 1958.
// errors  RANGE (Inf, NaN, low above high, deviation below 0), OVERLAP (elements of a view lie over each other)
ATTN_DEF attn_tensor *attn_uniform(attn_ctx *c, attn_tensor *t, double low, double high);
ATTN_DEF attn_tensor *attn_normal(attn_ctx *c, attn_tensor *t, double mean, double deviation);
// 0, 1, .., n-1; RANGE where an integer type does not hold n-1.
ATTN_DEF attn_tensor *attn_arange(attn_ctx *c, int type, ptrdiff_t n);
// Number of elements; the one element of a tensor of one (0 and an error otherwise); all elements, row-major, into out.
ATTN_DEF ptrdiff_t attn_count(const attn_tensor *t);
ATTN_DEF double attn_item(attn_ctx *c, const attn_tensor *t);
ATTN_DEF attn_status attn_read(attn_ctx *c, const attn_tensor *t, void *out);
// Takes `bytes` bytes of UTF-8 text, not terminated; returns 0 when taken, anything else stops the writer with
// ATTN_ERR_IO.
typedef int (*attn_write)(void *user, const char *text, size_t bytes);
#if !defined(ATTN_NO_STDIO) && !defined(ATTN_NO_STDLIB)
// An attn_write whose user is a FILE *.
ATTN_DEF int attn_to_file(void *file, const char *text, size_t bytes);
#endif
// Prints t as NumPy 2.4 does (4 digits, all of them at rank 0; summary beyond 1000 elements), a line break at the end.
ATTN_DEF attn_status attn_format(const attn_tensor *t, attn_write write, void *user);

// ---- depth 2: operators. Shapes broadcast from the last axis as in NumPy; types must match; negative axes count from
// the end. On the tape unless it says otherwise. errors  SHAPE (names both), DTYPE, RANGE (axis), MEMORY, NULL

// Every operator, once: name, tensors in, what the tape keeps, whether a derivative exists (HAS, NONE by nature,
// LATER), the derivative (g = gradient of the result y).
#define ATTN_OP_LIST(ROW)                                                                                          \
    ROW(ADD, add, 2, NOTHING, HAS, "da = g, db = g, summed over broadcast axes")                                   \
    ROW(SUB, sub, 2, NOTHING, HAS, "da = g, db = -g")                                                              \
    ROW(MUL, mul, 2, INPUTS, HAS, "da = g b, db = g a")                                                            \
    ROW(DIV, div, 2, INPUTS, HAS, "da = g / b, db = -g a / b^2")                                                   \
    ROW(SCALE, scale, 1, NOTHING, HAS, "dx = s g")                                                                 \
    ROW(SQUARE, square, 1, INPUTS, HAS, "dx = 2 g x")                                                              \
    ROW(EXP, exp, 1, OUTPUT, HAS, "dx = g y")                                                                      \
    ROW(TANH, tanh, 1, OUTPUT, HAS, "dx = g (1 - y^2)")                                                            \
    ROW(RELU, relu, 1, OUTPUT, HAS, "dx = g where y > 0")                                                          \
    ROW(LOG, log, 1, INPUTS, HAS, "dx = g / x")                                                                    \
    ROW(SQRT, sqrt, 1, OUTPUT, HAS, "dx = g / (2 y)")                                                              \
    ROW(SIGMOID, sigmoid, 1, OUTPUT, HAS, "dx = g y (1 - y)")                                                      \
    ROW(SILU, silu, 1, INPUTS, HAS, "dx = g s (1 + x (1 - s)), s = sigmoid(x)")                                    \
    ROW(GELU, gelu, 1, INPUTS, HAS, "dx = g ((1 + erf(x / sqrt 2)) / 2 + x exp(-x^2 / 2) / sqrt(2 pi))")           \
    ROW(SUM, sum, 1, NOTHING, HAS, "dx = g, repeated")                                                             \
    ROW(MEAN, mean, 1, NOTHING, HAS, "dx = g / n, repeated")                                                       \
    ROW(MAX, max, 1, OUTPUT, HAS, "dx = g at the first maximum")                                                   \
    ROW(ARGMAX, argmax, 1, NOTHING, NONE, "an index has no derivative")                                            \
    ROW(MATMUL, matmul, 2, INPUTS, HAS, "da = g b', db = a' g, summed over broadcast batches")                     \
    ROW(SOFTMAX, softmax, 1, OUTPUT, HAS, "dx = y (g - sum(g y))")                                                 \
    ROW(LOG_SOFTMAX, log_softmax, 1, OUTPUT, HAS, "dx = g - exp(y) sum(g)")                                        \
    ROW(LAYER_NORM, layer_norm, 2, INPUTS, HAS, "u = g w, h = (x - mean) / s: dx = (u - mean(u) - h mean(u h)) / s")\
    ROW(RMS_NORM, rms_norm, 2, INPUTS, HAS, "u = g w, h = x / s: dx = (u - h mean(u h)) / s, dw = g h summed")     \
    ROW(RESHAPE, reshape, 1, NOTHING, HAS, "dx = g in the shape of x")                                             \
    ROW(TRANSPOSE, transpose, 1, NOTHING, HAS, "dx = g with the axes back")                                        \
    ROW(SLICE, slice, 1, NOTHING, HAS, "dx = g inside the slice, 0 outside")                                       \
    ROW(BROADCAST, broadcast, 1, NOTHING, HAS, "dx = g summed over the repeated axes")                             \
    ROW(CROSS_ENTROPY, cross_entropy, 2, INPUTS, HAS, "dx = (softmax(x) - onehot) g / n")                          \
    ROW(MSE, mse, 2, INPUTS, HAS, "da = 2 (a - b) g / n, db = -da")                                                \
    ROW(SDPA, sdpa, 3, OUTPUT, LATER, "with attn_bwd")

enum {
#define ATTN__ROW(NAME, name, in, keeps, has, grad) ATTN_OP_##NAME,
    ATTN_OP_LIST(ATTN__ROW)
#undef ATTN__ROW
    ATTN_OP_COUNT
};
enum { ATTN_GRAD_HAS, ATTN_GRAD_NONE, ATTN_GRAD_LATER };
typedef struct attn_op_info {
    const char *name;
    int inputs;
    const char *keeps;
    int has;
    const char *grad;
} attn_op_info;
// The row of an operator; NULL past the last.
ATTN_DEF const attn_op_info *attn_op(int op);

ATTN_DEF attn_tensor *attn_add(attn_ctx *c, attn_tensor *a, attn_tensor *b);
ATTN_DEF attn_tensor *attn_sub(attn_ctx *c, attn_tensor *a, attn_tensor *b);
ATTN_DEF attn_tensor *attn_mul(attn_ctx *c, attn_tensor *a, attn_tensor *b);
ATTN_DEF attn_tensor *attn_div(attn_ctx *c, attn_tensor *a, attn_tensor *b);
ATTN_DEF attn_tensor *attn_scale(attn_ctx *c, attn_tensor *x, double s);
ATTN_DEF attn_tensor *attn_square(attn_ctx *c, attn_tensor *x);
ATTN_DEF attn_tensor *attn_exp(attn_ctx *c, attn_tensor *x);
ATTN_DEF attn_tensor *attn_tanh(attn_ctx *c, attn_tensor *x);
ATTN_DEF attn_tensor *attn_relu(attn_ctx *c, attn_tensor *x);
ATTN_DEF attn_tensor *attn_log(attn_ctx *c, attn_tensor *x);
ATTN_DEF attn_tensor *attn_sqrt(attn_ctx *c, attn_tensor *x);
ATTN_DEF attn_tensor *attn_sigmoid(attn_ctx *c, attn_tensor *x);
ATTN_DEF attn_tensor *attn_silu(attn_ctx *c, attn_tensor *x);
// By erf, not its approximation by tanh.
ATTN_DEF attn_tensor *attn_gelu(attn_ctx *c, attn_tensor *x);
// Over one axis, kept with extent 1; attn_sum_all and attn_mean_all over all axes, to a tensor of rank 0.
ATTN_DEF attn_tensor *attn_sum(attn_ctx *c, attn_tensor *x, int axis);
ATTN_DEF attn_tensor *attn_mean(attn_ctx *c, attn_tensor *x, int axis);
ATTN_DEF attn_tensor *attn_sum_all(attn_ctx *c, attn_tensor *x);
ATTN_DEF attn_tensor *attn_mean_all(attn_ctx *c, attn_tensor *x);
// Largest element along an axis, kept with extent 1; the first of equals; NaN wins. argmax (not NULL) receives its
// index, i32. An axis of extent 0 is an error (SHAPE).
ATTN_DEF attn_tensor *attn_max(attn_ctx *c, attn_tensor *x, int axis, attn_tensor **argmax);
ATTN_DEF attn_tensor *attn_argmax(attn_ctx *c, attn_tensor *x, int axis);
// a [..,m,k], b [..,k,n] -> [..,m,n]; the axes before the last two broadcast. Transposes are views and cost nothing.
ATTN_DEF attn_tensor *attn_matmul(attn_ctx *c, attn_tensor *a, attn_tensor *b);
ATTN_DEF attn_tensor *attn_softmax(attn_ctx *c, attn_tensor *x, int axis);
ATTN_DEF attn_tensor *attn_log_softmax(attn_ctx *c, attn_tensor *x, int axis);
// Softmax over the last axis of x [B,N,M] or [B,M] with lengths i32 [B] or [B,N]: what lies beyond a length weighs 0.
ATTN_DEF attn_tensor *attn_masked_softmax(attn_ctx *c, attn_tensor *x, const attn_tensor *lengths);
// attn_norm_desc over the last axis of x [..,C]; weight and bias [C], NULL = 1 and 0; eps 0 = 1e-5 (rms 1e-6).
ATTN_DEF attn_tensor *attn_layer_norm(attn_ctx *c, attn_tensor *x, attn_tensor *weight, attn_tensor *bias, double eps);
ATTN_DEF attn_tensor *attn_rms_norm(attn_ctx *c, attn_tensor *x, attn_tensor *weight, double eps);
// One extent may be -1. A view where the strides allow it, else a copy.
ATTN_DEF attn_tensor *attn_reshape(attn_ctx *c, attn_tensor *x, int rank, const ptrdiff_t *shape);
// Two axes exchanged: a view.
ATTN_DEF attn_tensor *attn_transpose(attn_ctx *c, attn_tensor *x, int axis1, int axis2);
// Elements first .. first+count-1 of an axis: a view.
ATTN_DEF attn_tensor *attn_slice(attn_ctx *c, attn_tensor *x, int axis, ptrdiff_t first, ptrdiff_t count);
// Axes of extent 1, and axes in front, repeated: a view with strides 0.
ATTN_DEF attn_tensor *attn_broadcast(attn_ctx *c, attn_tensor *x, int rank, const ptrdiff_t *shape);
// A contiguous copy, x itself when it is.
ATTN_DEF attn_tensor *attn_contiguous(attn_ctx *c, attn_tensor *x);
// Mean over n rows of -log softmax(x)[target]: x [n,classes], targets i32 [n] in 0..classes-1 (RANGE otherwise).
// Rank 0.
ATTN_DEF attn_tensor *attn_cross_entropy(attn_ctx *c, attn_tensor *x, attn_tensor *targets);
// Mean of (a - b)^2 over all elements. Rank 0.
ATTN_DEF attn_tensor *attn_mse(attn_ctx *c, attn_tensor *a, attn_tensor *b);
// Attention on tensors q [B,H,N,D], k [B,Hk,M,D], v [B,Hk,M,E]; d may be NULL; its q, k, v, o, their
// types, sizes and strides are not read.
// Not on the tape yet: recording it is an error (UNSUPPORTED).
ATTN_DEF attn_tensor *attn_sdpa(attn_ctx *c, attn_tensor *q, attn_tensor *k, attn_tensor *v, const attn_desc *d);

// ---- depth 3: tape

// 1: operators are recorded from here on whatever their inputs; 0 (at opening): only those that depend on a parameter;
// -1: none. Returns what was set before.
ATTN_DEF int attn_record(attn_ctx *c, int on);
// Gradients of a loss of one element: every recorded tensor it depends on gets ->grad; parameters' gradients add up
// until attn_zero_grad. A second call for the same record is ATTN_ERR_STATE. First derivatives only.
ATTN_DEF attn_status attn_backward(attn_ctx *c, attn_tensor *loss);
ATTN_DEF void attn_zero_grad(attn_ctx *c);
// param -= rate * grad for every parameter with a gradient; momentum in 0..1 (RANGE otherwise), 0 = plain.
// source  Robbins and Monro 1951; Polyak 1964
ATTN_DEF attn_status attn_sgd(attn_ctx *c, double rate, double momentum);

// ---- draw: pictures as SVG text, or in the terminal ----------------------------------------------------------------

// Colour maps as in matplotlib. COOLWARM is for signed data: without `low` and `high` its range is symmetric about 0.
enum {
    ATTN_CMAP_REDS,
    ATTN_CMAP_VIRIDIS,
    ATTN_CMAP_BLUES,
    ATTN_CMAP_GREYS,  // small is white
    ATTN_CMAP_COOLWARM,
    ATTN_CMAP_COUNT
};

// Panels of matrices with one colour bar: the notes' show_heatmaps. Row 0 is on top, keys run to the right.
// All text is UTF-8; bytes that are not, and control characters, are shown as U+FFFD. Tick labels are cut at 24
// characters.
typedef struct attn_heatmap_desc {
    size_t size;                 // sizeof of this struct; 0 = this header's
    const float *data;           // [rows, cols, queries, keys], contiguous
    ptrdiff_t rows, cols;        // panels; 0 = 1
    ptrdiff_t queries, keys;     // of one panel; 0 = nothing to draw, which the picture says
    const char *title;           // of the whole picture; NULL = none
    const char *const *titles;   // [cols], repeated in each row of panels as in the notes; NULL = none
    int32_t titles_per_panel;    // 1: titles is [rows * cols]
    const char *xlabel, *ylabel; // "Keys" and "Queries", say; NULL = none
    const char *const *xticks;   // [keys] token labels; NULL = numbers
    const char *const *yticks;   // [queries]
    int32_t cmap;                // ATTN_CMAP_*; 0 = Reds
    int32_t own_range;           // 0: one colour range and one bar for all panels, so that they compare; 1: one each
    float low, high;             // colour range; both 0 = from the data: [min(0, least), largest]
    int32_t width;               // pixels of a panel's longer side; 0 = about 240
} attn_heatmap_desc;

// Writes the picture as one <svg> element without ids, scripts or references, so that several fit in one HTML page.
// NaN is hatched and named below the picture; +Inf and -Inf take the ends of the range, which finite values decide.
// Beyond 256 rows or columns a cell is the mean of a block (NaN if one of the block is), and the picture says so.
// The text is the same on every platform. About 12 bytes a run of equal cells.
// errors  NULL (desc, write, or data with cells to draw), RANGE (negative extents, too many cells, cmap, low >= high,
//         low or high not finite, width, size), IO. All but IO come before anything is written.
// source  colours: matplotlib and ColorBrewer 2.0
ATTN_DEF attn_status attn_heatmap_svg(const attn_heatmap_desc *d, attn_write write, void *user);

// The same in lines of text, panel below panel, at most 72 x 72 cells each.
//   color  2 = 24-bit colours, 1 = 256 colours, 0 = no escape sequences: shades of grey, NaN is '?'
// In colour a character holds two rows of queries (half blocks), without colour one. Up to 36 keys, without colour or
// with yticks, a line is one row and a cell two characters wide. In colour NaN is grey, amber in grey maps.
// Whether the terminal has colours, and whether NO_COLOR is set, is the program's to find out: nothing is asked here.
// errors  as attn_heatmap_svg; RANGE also for color
ATTN_DEF attn_status attn_heatmap_text(const attn_heatmap_desc *d, int color, attn_write write, void *user);

enum { ATTN_LINE, ATTN_SCATTER };
enum { ATTN_DASH_SOLID, ATTN_DASH_DASHED, ATTN_DASH_DOTTED, ATTN_DASH_DASHDOT };

// One line or one cloud of points. A point with a NaN or an infinity is left out and breaks the line.
typedef struct attn_series {
    const char *name; // in the legend; NULL = not there
    const float *x;   // [n]; NULL = 0, 1, 2, ..
    const float *y;   // [n]
    ptrdiff_t n;
    int32_t kind;     // ATTN_LINE or ATTN_SCATTER
    int32_t color;    // 0 = by position in the plot, else 1..10 of matplotlib's ten (blue, orange, green, red, ..)
    int32_t dash;     // ATTN_DASH_*, of lines
} attn_series;

typedef struct attn_plot_desc {
    size_t size;               // sizeof of this struct; 0 = this header's
    const attn_series *series; // [count]; drawn in this order
    ptrdiff_t count;
    const char *title, *xlabel, *ylabel;
    float xlow, xhigh;         // both 0 = from the data with 4 % margin
    float ylow, yhigh;
    int32_t xlog, ylog;        // 1 = logarithmic axis: values <= 0 are left out and break the line
    int32_t width, height;     // pixels; 0 = 480 x 320
    int32_t legend;            // 0 = where the fewest points are; -1 = none; 1 right top, 2 left top, 3 left bottom,
                               // 4 right bottom. There is one only if a series has a name.
} attn_plot_desc;

// Writes lines and points over a light grid as one <svg> element, made like that of attn_heatmap_svg. Nothing is drawn
// outside the axes. A line with more points than four a pixel is drawn by the extremes of each pixel column.
// errors  NULL (desc, write, series or y with points), RANGE (count, n, kind, color, dash, legend, size, a picture
//         below 120 x 90 or above 16384, low >= high, not finite, low <= 0 on a logarithmic axis), IO
ATTN_DEF attn_status attn_plot_svg(const attn_plot_desc *d, attn_write write, void *user);
#endif // ATTN_ONLY_KERNELS

#ifdef __cplusplus
}
#endif
#endif // ATTN_H
// ---- END OF API: what follows is the implementation -----------------------------------------------------------------

#if defined(ATTN_IMPLEMENTATION) && (!defined(ATTN__DONE) || defined(ATTN__AGAIN))
#ifndef ATTN__AGAIN // ======== machine, base, tensor, work: compiled once ========
#define ATTN__DONE
// -------------------------------------------------------------------------------------------------------------------
// >>machine
#include <string.h>
#ifndef ATTN_NO_STDLIB
#include <stdlib.h>
#ifndef ATTN_NO_STDIO
#include <stdio.h>
#endif
#ifndef ATTN_MALLOC
#define ATTN_MALLOC(n) malloc(n)
#define ATTN_REALLOC(p, n) realloc(p, n)
#define ATTN_FREE(p) free(p)
#endif
#endif
#ifndef ATTN_ASSERT
#define ATTN_ASSERT(x) ((void)0)
#endif
#ifndef ATTN_FILENAME
#define ATTN_FILENAME "attn.h"   // found beside the including text; __FILE__ is not, when the header came by -I
#endif

// For size? Asked once: GCC goes on defining __OPTIMIZE_SIZE__ behind a part that is compiled so (the f64 pass).
#ifdef __OPTIMIZE_SIZE__
#define ATTN__SIZE 1
#else
#define ATTN__SIZE 0
#endif
#if ATTN__SIZE && defined(ATTN_NO_SIMD)
#define ATTN__LEAN 1                                 // nothing is inlined by force or prefetched
#else
#define ATTN__LEAN 0
#endif
#define ATTN__CAT_(a, b) a##b
#define ATTN__CAT(a, b) ATTN__CAT_(a, b)
#define ATTN__PRAGMA(x) _Pragma(#x)
// Parts whose time is that of compiling them, not of running: what chooses and checks, the frame of a tile, and
// (small) the f64 pass.
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && !ATTN__SIZE
#define ATTN__LIGHT_ON ATTN__PRAGMA(GCC push_options) ATTN__PRAGMA(GCC optimize("O1"))
#define ATTN__SMALL_ON ATTN__PRAGMA(GCC push_options) ATTN__PRAGMA(GCC optimize("Os"))
#define ATTN__LIGHT_OFF ATTN__PRAGMA(GCC pop_options)
#else
#define ATTN__LIGHT_ON
#define ATTN__SMALL_ON
#define ATTN__LIGHT_OFF
#endif

#if (defined(__GNUC__) || defined(__clang__)) && !defined(__TINYC__)
#define ATTN__GNU 1
#define ATTN__FUNC static __attribute__((unused))
#define ATTN__OUTLINE static __attribute__((unused, noinline))
#define ATTN__INL_ALL static inline __attribute__((always_inline, unused))
#if ATTN__LEAN
#define ATTN__INL static inline __attribute__((unused))
#else
#define ATTN__INL ATTN__INL_ALL
#endif
#define ATTN__HIDE(p) __asm__("" : "+r"(p))          // the optimizer cannot see how p came about
#if ATTN__LEAN
#define ATTN__PREFETCH(p) ((void)(p))
#define ATTN__PREFETCH_NEAR(p) ((void)(p))
#define ATTN__PREFETCH_W(p) ((void)(p))
#else
#define ATTN__PREFETCH(p) __builtin_prefetch(p, 0, 2)
#define ATTN__PREFETCH_NEAR(p) __builtin_prefetch(p, 0, 3)       // into the first cache
#define ATTN__PREFETCH_W(p) __builtin_prefetch(p, 1, 2)
#endif
#define ATTN__LIKELY(x) __builtin_expect(!!(x), 1)
#define ATTN__LOAD_WORD(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define ATTN__STORE_WORD(p, x) __atomic_store_n(p, x, __ATOMIC_RELAXED)
#if (defined(__x86_64__) || (defined(__i386__) && defined(__SSE2_MATH__))) && !defined(ATTN_USE_SIMDE)
#define ATTN__HIDE_F(x) __asm__("" : "+v"(x))        // a float or vector value that must not be folded into the next
                                                     // step
#elif defined(__aarch64__)
#define ATTN__HIDE_F(x) __asm__("" : "+w"(x))
#else
#define ATTN__HIDE_F(x) __asm__("" : "+m"(x))
#endif
#else
#define ATTN__GNU 0
#define ATTN__FUNC static
#define ATTN__OUTLINE static
#define ATTN__INL static inline
#define ATTN__INL_ALL static inline
#define ATTN__HIDE(p) ((void)(p))
#define ATTN__PREFETCH(p) ((void)(p))
#define ATTN__PREFETCH_NEAR(p) ((void)(p))
#define ATTN__PREFETCH_W(p) ((void)(p))
#define ATTN__LIKELY(x) (x)
#define ATTN__LOAD_WORD(p) (*(volatile const int *)(p))
#define ATTN__STORE_WORD(p, x) (*(volatile int *)(p) = (x))
#define ATTN__HIDE_F(x) ((void)(x))
#endif
// What is written so many bytes on, perhaps past the end
#define ATTN__TOUCH_OUT(p, later) ATTN__PREFETCH_W((char *)((uintptr_t)(p) + (uintptr_t)(later)))
#if defined(__clang__)
#define ATTN__UNROLL_ALL _Pragma("clang loop unroll(full)")
#elif ATTN__GNU
#define ATTN__UNROLL_ALL _Pragma("GCC unroll 32")
#else
#define ATTN__UNROLL_ALL
#endif

#if (defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) || defined(_MSC_VER)
#define ATTN__LITTLE 1                               // byte i of a word is its i-th in memory
#else
#define ATTN__LITTLE 0
#endif

// The machine family, once. tcc defines __x86_64__ too but has no intrinsics.
#if !defined(ATTN_NO_SIMD) && !defined(ATTN_NO_DISPATCH) && !defined(__TINYC__)
#if (defined(__x86_64__) || defined(_M_X64)) && (ATTN__GNU || defined(_MSC_VER)) && !defined(ATTN_NO_AVX2)
#define ATTN__X86 1
#elif (defined(__aarch64__) || (defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA))) && ATTN__GNU && \
    !defined(ATTN_NO_NEON) && !defined(__AARCH64EB__) && !defined(__ARM_BIG_ENDIAN)
#define ATTN__ARM 1
#endif
#endif
#ifndef ATTN__X86
#define ATTN__X86 0
#endif
#ifndef ATTN__ARM
#define ATTN__ARM 0
#endif
// The dot-product overlays: gcc's arm_neon.h has their intrinsics always, clang's from 17 on or when the flags ask for
// them.
#if ATTN__ARM && defined(__aarch64__) && !defined(ATTN_NO_NEON82) && \
    (!defined(__clang__) || __clang_major__ >= 17 || defined(__ARM_FEATURE_DOTPROD))
#define ATTN__ARM82 1
#else
#define ATTN__ARM82 0
#endif
#if ATTN__ARM82 && !defined(ATTN_NO_NEON86) && \
    (!defined(__clang__) || __clang_major__ >= 17 || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC))
#define ATTN__ARM86 1
#else
#define ATTN__ARM86 0
#endif
// Intrinsics are included outside every target pragma: each function there carries its own target.
#if ATTN__X86
#include <immintrin.h>
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif
// The mode of float arithmetic, where denormals are slow
#if ATTN__GNU && (defined(__x86_64__) || defined(__i386__)) && defined(__SSE2_MATH__)
#define ATTN__FLOAT_MODE(was) __asm__ volatile("stmxcsr %0" : "=m"(was))
#define ATTN__SET_FLOAT_MODE(to) __asm__ volatile("ldmxcsr %0" : : "m"(to) : "memory")
#elif ATTN__X86 && !ATTN__GNU
#define ATTN__FLOAT_MODE(was) ((was) = _mm_getcsr())
#define ATTN__SET_FLOAT_MODE(to) _mm_setcsr(to)
#else
#define ATTN__FLOAT_MODE(was) ((was) = 0)
#define ATTN__SET_FLOAT_MODE(to) ((void)(to))
#endif
#if ATTN__ARM
#include <arm_neon.h>
#if defined(__linux__) && defined(__aarch64__) && !defined(ATTN_NO_STDLIB)
#include <sys/auxv.h>
#endif
#endif
#ifdef ATTN_USE_SIMDE
#if defined(__has_include)
#if !__has_include(<simde/x86/avx2.h>)
#error "attn.h: ATTN_USE_SIMDE: <simde/x86/avx2.h> not found; apt-get install libsimde-dev, or -I a copy of simde"
#endif
#endif
#ifdef ATTN_SIMDE_NEON
#include <simde/arm/neon.h>
#else
#include <simde/x86/avx2.h>
#include <simde/x86/fma.h>
#endif
#endif
#if !defined(ATTN_NO_THREADS) && !defined(ATTN_NO_STDLIB)
#if defined(_WIN32)
#define ATTN__WIN32 1
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#elif (defined(__unix__) || defined(__APPLE__)) && !(defined(__wasm__) && !defined(__EMSCRIPTEN_PTHREADS__))
#define ATTN__PTHREAD 1
#include <pthread.h>
#include <unistd.h>
#endif
#endif
#ifndef ATTN__WIN32
#define ATTN__WIN32 0
#endif
#ifndef ATTN__PTHREAD
#define ATTN__PTHREAD 0
#endif

// Sums and products stay as written, whatever the flags: gcc by options, clang by pragmas (design: -Ofast builds).
#if defined(__clang__)
#if __clang_major__ >= 12 && (defined(__x86_64__) || defined(__i386__))
#pragma float_control(push)
#pragma float_control(precise, on) // allows contraction, so it comes first
#endif
#pragma clang fp contract(off)
#elif ATTN__GNU
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off", "no-fast-math")
#if ATTN__SIZE
#pragma GCC optimize("no-move-loop-invariants", "no-tree-loop-im", "no-tree-scev-cprop")    // 2 % less code
#pragma GCC optimize("no-thread-jumps", "no-tree-dominator-opts", "no-optimize-sibling-calls")
#else
// A fifth of the time to compile, and these loops gain nothing by them (but by the last cores that take instructions in
// order may).
#pragma GCC optimize("no-tree-pre", "no-tree-dominator-opts", "no-tree-ccp", "no-tree-pta")
#endif
#if defined(__x86_64__)
#pragma GCC optimize("no-schedule-insns2")
#endif
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define ATTN__TEXT_(x) #x
#define ATTN__TEXT(x) ATTN__TEXT_(x)
ATTN_DEF const char *attn_build_info(void) {
    return "attn.h " ATTN__TEXT(ATTN_VERSION_MAJOR) "." ATTN__TEXT(ATTN_VERSION_MINOR) "."
        ATTN__TEXT(ATTN_VERSION_PATCH)
#if defined(__clang__)
        ", clang " ATTN__TEXT(__clang_major__)
#elif defined(__TINYC__)
        ", tcc"
#elif defined(__GNUC__)
        ", gcc " ATTN__TEXT(__GNUC__)
#elif defined(_MSC_VER)
        ", msvc"
#endif
#ifdef __cplusplus
        " C++"
#endif
        ", passes scalar"
#if !defined(ATTN_NO_F64) && !defined(ATTN_NO_DISPATCH)
        " f64"
#endif
#if defined(ATTN_SIMDE_NEON)
        " simde(neon)"
#elif defined(ATTN_USE_SIMDE)
        " simde(avx2)"
#endif
#if ATTN__ARM
        " neon"
#endif
#if ATTN__ARM82
        " neon82"
#endif
#if ATTN__ARM86
        " neon86"
#endif
#if ATTN__X86
        " avx2"
#ifndef ATTN_NO_AVX512
        " avx512"
#ifndef ATTN_NO_AVX512V
        " avx512v"
#endif
#endif
#endif
#ifdef ATTN_ONLY_KERNELS
        ", only-kernels"
#endif
#ifdef ATTN_NO_DISPATCH
        ", no-dispatch"
#endif
#ifdef ATTN_NO_SIMD
        ", no-simd"
#endif
#ifdef ATTN_NO_STDLIB
        ", no-stdlib"
#endif
#ifdef ATTN_NO_STDIO
        ", no-stdio"
#endif
#if ATTN__PTHREAD
        ", pthread"
#elif ATTN__WIN32
        ", win32 threads"
#else
        ", no threads"
#endif
#ifdef ATTN_STATIC
        ", static"
#endif
#ifdef __FAST_MATH__
        ", fast-math (the row rule is then not promised with clang)"
#endif
        ;
}

// -------------------------------------------------------------------------------------------------------------------
// >>base

// ---- status and sizes

static const char *const attn__status_text[ATTN_STATUS_COUNT] = {
#define ATTN__ROW(NAME, text) text,
    ATTN_STATUS_LIST(ATTN__ROW)
#undef ATTN__ROW
};
ATTN_DEF const char *attn_status_str(attn_status s) {
    return (int)s >= 0 && (int)s < ATTN_STATUS_COUNT ? attn__status_text[(int)s] : "unknown status";
}
ATTN_DEF int attn_version(void) { return ATTN_VERSION; }

typedef struct attn__type_row { const char *text; int bytes, elements; } attn__type_row;
#define ATTN__IN_BLOCKS(type) ((type) >= ATTN_Q8_0 && (type) <= ATTN_Q4_1)
static const attn__type_row attn__types[ATTN_TYPE_COUNT] = {
#define ATTN__ROW(NAME, text, bytes, elements) { text, bytes, elements },
    ATTN_TYPE_LIST(ATTN__ROW)
#undef ATTN__ROW
};
// Bytes of n elements, whole blocks; a division is spared where a block is one.
ATTN__INL ptrdiff_t attn__bytes(int type, ptrdiff_t n) {
    return (attn__types[type].elements > 1 ? n / attn__types[type].elements : n) * attn__types[type].bytes;
}
ATTN_DEF const char *attn_type_str(int type) {
    return type >= 0 && type < ATTN_TYPE_COUNT ? attn__types[type].text : "unknown type";
}

// x*y and x+y of extents that are not negative; -1 when the result does not fit (and -1 stays -1).
ATTN__INL ptrdiff_t attn__mul_size(ptrdiff_t x, ptrdiff_t y) {
    const ptrdiff_t half = (ptrdiff_t)1 << (4 * sizeof x - 1);
    if (x < 0 || y < 0) return -1;
    if (x < half && y < half) return x * y;             // spares a division
    return y != 0 && x > PTRDIFF_MAX / y ? -1 : x * y;
}
ATTN__INL ptrdiff_t attn__add_size(ptrdiff_t x, ptrdiff_t y) {
    return x < 0 || y < 0 || x > PTRDIFF_MAX - y ? -1 : x + y;
}
// Space for n bytes at a multiple of 64 from *at; NULL base only counts.
ATTN__FUNC void *attn__carve(void *base, size_t *at, size_t n) {
    void *p = base ? (void *)((char *)base + *at) : NULL;
    *at += (n + 63) & ~(size_t)63;
    return p;
}
ATTN__FUNC void *attn__align(void *p) {
    const uintptr_t a = (uintptr_t)p;
    return p ? (void *)((char *)p + ((64 - (a & 63)) & 63)) : NULL;
}

// ---- sentences: text is built in the caller's buffer, cut at its end

typedef struct attn__text { char *at; size_t left; } attn__text;
ATTN__FUNC void attn__say(attn__text *t, const char *s) {
    if (!t || !t->left) return;
    while (*s && t->left > 1) { *t->at++ = *s++; t->left--; }
    *t->at = 0;
}
ATTN__FUNC void attn__say_int(attn__text *t, int64_t x) {
    char b[24];
    int n = 23;
    uint64_t u = x < 0 ? 0u - (uint64_t)x : (uint64_t)x;
    b[n] = 0;
    do { b[--n] = (char)('0' + (int)(u % 10)); u /= 10; } while (u);
    if (x < 0) b[--n] = '-';
    attn__say(t, b + n);
}
ATTN__FUNC void attn__say_shape(attn__text *t, int rank, const ptrdiff_t *shape) {
    attn__say(t, "[");
    for (int i = 0; i < rank; i++) { if (i) attn__say(t, ","); attn__say_int(t, (int64_t)shape[i]); }
    attn__say(t, "]");
}
// field = value: reason
#define ATTN__UNSAID INT64_MIN           // for a value that is no whole number
ATTN__FUNC attn_status attn__wrong(attn__text *t, attn_status s, const char *field, int64_t value, const char *why) {
    attn__say(t, field);
    if (value != ATTN__UNSAID) { attn__say(t, " = "); attn__say_int(t, value); }
    attn__say(t, ": "); attn__say(t, why);
    return s;
}
ATTN__FUNC attn_status attn__missing(attn__text *t, const char *field) {
    attn__say(t, field); attn__say(t, " = NULL: it is needed");
    return ATTN_ERR_NULL;
}

// ---- maths in double without libm, for what is once per row or rarer
/* ---- scalar maths in double without libm. Infinities and NaN are made and recognised by bit pattern, and sums that
   must round where they stand are hidden from the compiler: -ffast-math costs a fraction of an ULP, not the result. */
#ifndef ATTN__HIDE_D
#if defined(__GNUC__) && !defined(__TINYC__)
#define ATTN__HIDE_D(x) __asm__("" : "+m"(x))
#else
#define ATTN__HIDE_D(x) do { volatile double attn__hidden = (x); (x) = attn__hidden; } while (0)
#endif
#endif
#define ATTN__D_SIGN UINT64_C(0x8000000000000000)
#define ATTN__D_INF  UINT64_C(0x7ff0000000000000)
#define ATTN__D_NAN  UINT64_C(0x7ff8000000000000)
#define ATTN__D_MANT UINT64_C(0x000fffffffffffff)
#define ATTN__D_ONE  UINT64_C(0x3ff0000000000000)

ATTN__FUNC uint64_t attn__bits_d(double x) { uint64_t u; memcpy(&u, &x, 8); return u; }
ATTN__FUNC double attn__from_bits_d(uint64_t u) { double x; memcpy(&x, &u, 8); return x; }
ATTN__FUNC double attn__keep_d(double x) { ATTN__HIDE_D(x); return x; }    /* x, rounded here and now */
ATTN__FUNC double attn__round_d(double x) {            /* to nearest even, |x| < 2^51 */
    return attn__keep_d(attn__keep_d(x + 6755399441055744.0) - 6755399441055744.0);
}
ATTN__FUNC double attn__poly_d(const double *k, int count, double x) {   /* highest power first */
    double p = k[0];
    int i;
    for (i = 1; i < count; i++) p = p * x + k[i];
    return p;
}

/* e^x. A subnormal result is rounded as an integer: right even where the processor flushes subnormals to zero. */
ATTN__FUNC double attn__exp_d(double x) {
    static const double k[] = {
        2.5000047364485488e-08, 2.7630265834642913e-07, 2.7557586505285732e-06, 2.4801493053878811e-05,
        0.00019841269506337591, 0.0013888888943669286, 0.0083333333334946139, 0.041666666666530031,
        0.16666666666666413, 0.50000000000000111 };
    const uint64_t u = attn__bits_d(x), a = u & ~ATTN__D_SIGN;
    double n, hi, lo, r, p;
    int64_t e;
    if (a > ATTN__D_INF) return attn__from_bits_d(u | ATTN__D_NAN);
    if (a >= UINT64_C(0x40874a0000000000)) return attn__from_bits_d(u >> 63 ? 0 : ATTN__D_INF);  /* |x| >= 745.25 */
    n = attn__round_d(x * 1.4426950408889634);
    hi = attn__keep_d(x - n * 0.6931471805592082);     /* exact: the constant has 40 bits */
    lo = n * 7.371002565167799e-13;
    r = attn__keep_d(hi - lo);
    p = r * r * attn__poly_d(k, 10, r);
    lo = attn__keep_d(hi - r) - lo;                    /* what r lost */
    p = attn__keep_d(attn__keep_d(p + lo) + r) + 1.0;
    e = (int64_t)n + (int64_t)(attn__bits_d(p) >> 52);
    if (e >= 2047) return attn__from_bits_d(ATTN__D_INF);
    if (e >= 1) return attn__from_bits_d((attn__bits_d(p) & ATTN__D_MANT) | (uint64_t)e << 52);
    p = attn__keep_d(p * attn__from_bits_d((uint64_t)((int64_t)n + 1074 + 1023) << 52));
    p += 4503599627370496.0;                           /* 2^52: the mantissa now holds p as an integer */
    return attn__from_bits_d(attn__bits_d(p) - UINT64_C(0x4330000000000000));
}

/* x > 0, finite: mantissa bits below 2^53 and exponent e with x = bits 2^e, bits >= 2^52 */
ATTN__FUNC uint64_t attn__split_d(uint64_t u, int *e) {
    if (u >> 52) { *e = (int)(u >> 52) - 1075; return (u & ATTN__D_MANT) | (ATTN__D_MANT + 1); }
    for (*e = -1074; !(u >> 52); --*e) u <<= 1;
    return u;
}

/* ln x = e ln 2 + ln(1 + f); with s = f / (2 + f), ln(1 + f) = 2 artanh s = f - s (f - s^2 q(s^2)) */
ATTN__FUNC double attn__log_d(double x) {
    static const double k[] = {
        0.14796148272033441, 0.15314035239463428, 0.1818356474061309, 0.22222198568885884,
        0.28571428742392385, 0.39999999999414831, 0.6666666666666734 };
    const uint64_t u = attn__bits_d(x);
    uint64_t m, up;
    double f, s, w, n;
    int e;
    if ((u & ~ATTN__D_SIGN) > ATTN__D_INF) return attn__from_bits_d(u | ATTN__D_NAN);
    if (!(u & ~ATTN__D_SIGN)) return attn__from_bits_d(ATTN__D_INF | ATTN__D_SIGN);
    if (u >> 63) return attn__from_bits_d(ATTN__D_NAN);
    if (u == ATTN__D_INF) return x;
    m = attn__split_d(u, &e) & ATTN__D_MANT;
    up = m > UINT64_C(0x6a09e667f3bcc);                /* above sqrt 2: halved, f in (-0.293, 0.414) */
    f = attn__keep_d(attn__from_bits_d((m | ATTN__D_ONE) - (up << 52)) - 1.0);
    n = e + 52 + (int)up;
    s = f / (2.0 + f);
    w = s * s;
    w = attn__keep_d(s * (f - w * attn__poly_d(k, 7, w)) - n * 7.371002565167799e-13);
    return n * 0.6931471805592082 + attn__keep_d(f - w);   /* the product is exact */
}

/* sin(x + quarter pi/2). |x| <= 1e6: error <= 1.5 ULP, also next to the zeros. Above, the absolute error grows as
   |x| 2^-53, which is how well x itself is known; NaN above 2^52. */
ATTN__FUNC double attn__sincos_d(double x, int quarter) {
    static const double ks[] = {
        1.5896188018432467e-10, -2.5050747057213432e-08, 2.7557313617022452e-06, -0.00019841269829577398,
        0.0083333333333221044, -0.1666666666666663 };
    static const double kc[] = {
        -1.1358507258986906e-11, 2.0875700290008489e-09, -2.7557314175337173e-07, 2.4801587288838365e-05,
        -0.0013888888888873036, 0.041666666666666595 };
    const uint64_t u = attn__bits_d(x);
    double n, a, b, c, w, r;
    if ((u & ~ATTN__D_SIGN) > UINT64_C(0x4330000000000000)) return attn__from_bits_d(u | ATTN__D_NAN);
    n = attn__round_d(x * 0.6366197723675814);
    a = attn__keep_d(x - n * 1.5707963267341256);      /* pi/2 in 33 + 33 + 53 bits: two exact products */
    w = attn__keep_d(n * 6.077100506303966e-11);
    b = attn__keep_d(a - w);
    c = attn__keep_d(attn__keep_d(a - b) - w);         /* what b lost */
    w = attn__keep_d(n * 2.0222662487959506e-21 - c);
    r = attn__keep_d(b - w);
    c = attn__keep_d(attn__keep_d(b - r) - w);         /* x - n pi/2 = r + c */
    quarter = (int)(((int64_t)n + quarter) & 3);
    w = r * r;
    if (quarter & 1) {
        a = 1.0 - attn__keep_d(0.5 * w - (w * w * attn__poly_d(kc, 6, w) - r * c));
    } else a = r + attn__keep_d(r * w * attn__poly_d(ks, 6, w) + c * (1.0 - 0.5 * w));
    return attn__from_bits_d(attn__bits_d(a) ^ (uint64_t)(quarter & 2) << 62);
}
ATTN__FUNC double attn__sin_d(double x) {              /* tiny x as it is: keeps -0 and subnormals */
    return (attn__bits_d(x) & ~ATTN__D_SIGN) < UINT64_C(0x3e40000000000000) ? x : attn__sincos_d(x, 0);
}
ATTN__FUNC double attn__cos_d(double x) { return attn__sincos_d(x, 1); }

/* correctly rounded: the machine's; or Heron's steps, then the exact remainder of the integer root y of m 2^52 (taken
   modulo 2^64) */
ATTN__FUNC double attn__sqrt_d(double x) {
#if ATTN__X86
    return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_setzero_pd(), _mm_set_sd(x)));
#elif ATTN__ARM && defined(__aarch64__)
    return vget_lane_f64(vsqrt_f64(vdup_n_f64(x)), 0);
#else
    const uint64_t u = attn__bits_d(x);
    uint64_t m, y;
    int64_t rest;
    double v, g;
    int e, i;
    if ((u & ~ATTN__D_SIGN) > ATTN__D_INF) return attn__from_bits_d(u | ATTN__D_NAN);
    if (!(u & ~ATTN__D_SIGN) || u == ATTN__D_INF) return x;
    if (u >> 63) return attn__from_bits_d(ATTN__D_NAN);
    m = attn__split_d(u, &e);
    if (e & 1) { m <<= 1; e--; }                       /* m in [2^52, 2^54) */
    v = (double)(int64_t)m * 2.220446049250313e-16;
    g = 0.6 + 0.36 * v;
    for (i = 0; i < 4; i++) g = 0.5 * (g + v / g);
    y = (uint64_t)(int64_t)(g * 4503599627370496.0);
    rest = (int64_t)((m << 52) - y * y);
    while (rest > (int64_t)y) { rest -= (int64_t)(2 * y + 1); y++; }
    while (rest <= -(int64_t)y) { rest += (int64_t)(2 * y - 1); y--; }
    return attn__from_bits_d((y & ATTN__D_MANT) | (uint64_t)(e / 2 + 26 + 1023) << 52);
#endif
}

ATTN__FUNC double attn__tanh_d(double x) {
    const uint64_t u = attn__bits_d(x), a = u & ~ATTN__D_SIGN;
    double y = attn__from_bits_d(a), z = y * y, d = 15.0;
    int i;
    if (a > ATTN__D_INF) return attn__from_bits_d(u | ATTN__D_NAN);
    if (a < UINT64_C(0x3e40000000000000)) return x;    /* 2^-27 */
    if (a < UINT64_C(0x3fe2000000000000)) {            /* 0.5625: tanh x = x / (1 + z / (3 + z / (5 + ...))) */
        for (i = 13; i > 1; i -= 2) d = i + z / d;
        y -= attn__keep_d(y * (z / (d + z)));
    } else y = a < UINT64_C(0x4034000000000000) ? 1.0 - 2.0 / (attn__exp_d(2.0 * y) + 1.0) : 1.0;     /* 20 */
    return attn__from_bits_d(attn__bits_d(y) | (u & ATTN__D_SIGN));
}

/* subnormal results are zero where the processor flushes them */
ATTN__FUNC double attn__erf_d(double x) {
    static const double k0[] = {                       /* erf(y) / y - 1 in y^2, y < 1 */
        -7.7794697812501107e-10, 1.3710981246786489e-08, -1.6206313997772236e-07, 1.6447131609245276e-06,
        -1.4924712305740111e-05, 0.00012055293577135585, -0.00085483259293239787, 0.005223977606118712,
        -0.026866170643111503, 0.11283791670944185, -0.37612638903183521, 0.12837916709551256 };
    static const double k1[] = {                       /* erfc(y) e^(y^2) in (y - 2) / (y + 2.5), 1 <= y < 6 */
        -0.00014632980625208251, -0.0002061575323229698, 0.00077810086150941838, 0.0013006241424912753,
        -0.0060798375767836619, -0.0034291753157341433, 0.063424140189696207, -0.19642321414371636,
        0.36592166188097364, -0.48058407834075012, 0.25539567631050503 };
    const uint64_t u = attn__bits_d(x), a = u & ~ATTN__D_SIGN;
    double y = attn__from_bits_d(a);
    if (a > ATTN__D_INF) return attn__from_bits_d(u | ATTN__D_NAN);
    if (a < UINT64_C(0x3e30000000000000)) y *= 1.1283791670955126;   /* 2^-28 */
    else if (a < ATTN__D_ONE) y += attn__keep_d(y * attn__poly_d(k0, 12, y * y));
    else if (a < UINT64_C(0x4018000000000000))
        y = 1.0 - attn__exp_d(-y * y) * attn__poly_d(k1, 11, (y - 2.0) / (y + 2.5));
    else y = 1.0;
    return attn__from_bits_d(attn__bits_d(y) | (u & ATTN__D_SIGN));
}

ATTN__FUNC size_t attn__length(const char *s) {          // hidden: the compiler would call strlen
    size_t n = 0;
    while (s[n]) { n++; ATTN__HIDE(n); }
    return n;
}
ATTN__FUNC int attn__finite(double x) { return (attn__bits_d(x) & 0x7fffffffffffffffu) < 0x7ff0000000000000u; }

// ---- random numbers

ATTN_DEF void attn_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int r = 0; r < 10; r++) {
        const uint64_t p = (uint64_t)0xD2511F53u * c0, q = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(q >> 32) ^ c1 ^ k0; c1 = (uint32_t)q;
        c2 = (uint32_t)(p >> 32) ^ c3 ^ k1; c3 = (uint32_t)p;
        k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
    }
    out[0] = c0; out[1] = c1; out[2] = c2; out[3] = c3;
}

// ---- threads

typedef void (*attn__task)(void *arg, ptrdiff_t i, int worker);
ATTN__FUNC int attn__workers(const attn_parallel *p) { return p && p->run && p->workers > 1 ? p->workers : 1; }
ATTN__FUNC void attn__run(const attn_parallel *p, attn__task task, void *arg, ptrdiff_t n) {
    if (attn__workers(p) > 1 && n > 1) { p->run(p->user, task, arg, n); return; }
    for (ptrdiff_t i = 0; i < n; i++) task(arg, i, 0);
}
// A task whose exponentials may be denormal begins with this, on Intel's x86 over a hundred cycles each, and at its end
// sets the mode that it returns. f64 is left as it is. Options whose 0 is a switch are made normal before.
ATTN__FUNC unsigned attn__flush_denormals(int bytes) {
    unsigned mode, flush;
    ATTN__FLOAT_MODE(mode);
    flush = bytes == 8 ? mode : mode | 0x8040;          // what is read and what results: 0
    ATTN__SET_FLOAT_MODE(flush);
    return mode;
}
ATTN__FUNC float attn__normal(float x) {
    const float least = 1.17549435e-38f;
    return x > 0 && x < least ? least : x < 0 && x > -least ? -least : x;
}

#ifndef ATTN_NO_THREADS
#if ATTN__PTHREAD
typedef pthread_t attn__thread;
typedef pthread_mutex_t attn__lock;
typedef pthread_cond_t attn__signal;
#define ATTN__LOCK_INIT(x) pthread_mutex_init(x, NULL)
#define ATTN__LOCK_FREE(x) pthread_mutex_destroy(x)
#define ATTN__LOCK(x) pthread_mutex_lock(x)
#define ATTN__UNLOCK(x) pthread_mutex_unlock(x)
#define ATTN__SIGNAL_INIT(x) pthread_cond_init(x, NULL)
#define ATTN__SIGNAL_FREE(x) pthread_cond_destroy(x)
#define ATTN__WAIT(s, x) pthread_cond_wait(s, x)
#define ATTN__WAKE(s) pthread_cond_broadcast(s)
#elif ATTN__WIN32
typedef HANDLE attn__thread;
typedef CRITICAL_SECTION attn__lock;
typedef CONDITION_VARIABLE attn__signal;
#define ATTN__LOCK_INIT(x) InitializeCriticalSection(x)
#define ATTN__LOCK_FREE(x) DeleteCriticalSection(x)
#define ATTN__LOCK(x) EnterCriticalSection(x)
#define ATTN__UNLOCK(x) LeaveCriticalSection(x)
#define ATTN__SIGNAL_INIT(x) InitializeConditionVariable(x)
#define ATTN__SIGNAL_FREE(x) ((void)(x))
#define ATTN__WAIT(s, x) SleepConditionVariableCS(s, x, INFINITE)
#define ATTN__WAKE(s) WakeAllConditionVariable(s)
#endif
#if ATTN__PTHREAD || ATTN__WIN32
typedef struct attn__pool attn__pool;
typedef struct attn__seat { attn__pool *pool; attn__thread thread; int worker; } attn__seat;
struct attn__pool {
    attn_parallel face;               // first: the caller holds a pointer to it
    attn__lock lock, turn;            // turn: one call at a time
    attn__signal work, done;
    attn__task task;
    void *arg;
    ptrdiff_t n, next, left;          // next unclaimed task, tasks not finished
    int stop, seats;
    attn__seat *seat;
};
// Claims tasks until none is left; the lock is held on entry and on return.
ATTN__FUNC void attn__pool_work(attn__pool *p, int worker) {
    while (p->next < p->n) {
        const ptrdiff_t i = p->next++;
        const attn__task task = p->task;
        void *arg = p->arg;
        ATTN__UNLOCK(&p->lock);
        task(arg, i, worker);
        ATTN__LOCK(&p->lock);
        if (--p->left == 0) ATTN__WAKE(&p->done);
    }
}
#if ATTN__WIN32
ATTN__FUNC DWORD WINAPI attn__pool_main(LPVOID arg) {
#else
ATTN__FUNC void *attn__pool_main(void *arg) {
#endif
    attn__seat *s = (attn__seat *)arg;
    attn__pool *p = s->pool;
    ATTN__LOCK(&p->lock);
    while (!p->stop) {
        if (p->next < p->n) attn__pool_work(p, s->worker);
        else ATTN__WAIT(&p->work, &p->lock);
    }
    ATTN__UNLOCK(&p->lock);
    return 0;
}
ATTN__FUNC void attn__pool_run(void *user, attn__task task, void *arg, ptrdiff_t n) {
    attn__pool *p = (attn__pool *)user;
    ATTN__LOCK(&p->turn);
    ATTN__LOCK(&p->lock);
    p->task = task; p->arg = arg; p->n = n; p->left = n; p->next = 0;
    ATTN__WAKE(&p->work);
    attn__pool_work(p, 0);
    while (p->left > 0) ATTN__WAIT(&p->done, &p->lock);
    p->n = 0; p->next = 0;
    ATTN__UNLOCK(&p->lock);
    ATTN__UNLOCK(&p->turn);
}
ATTN__FUNC int attn__processors(void) {
#if ATTN__WIN32
    SYSTEM_INFO s;
    GetSystemInfo(&s);
    return (int)s.dwNumberOfProcessors;
#else
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 1024 ? 1024 : (int)n;
#endif
}
ATTN__FUNC int attn__thread_start(attn__seat *s) {
#if ATTN__WIN32
    s->thread = CreateThread(NULL, 0, attn__pool_main, s, 0, NULL);
    return s->thread != NULL;
#else
    return pthread_create(&s->thread, NULL, attn__pool_main, s) == 0;
#endif
}
ATTN_DEF const attn_parallel *attn_pool_open(int threads) {
    attn__pool *p;
    if (threads <= 0) threads = attn__processors();
    if (threads > 4096) return NULL;
    p = (attn__pool *)ATTN_MALLOC(sizeof *p + sizeof(attn__seat) * (size_t)threads);
    if (!p) return NULL;
    memset(p, 0, sizeof *p);
    p->seat = (attn__seat *)(void *)(p + 1);
    p->face.run = attn__pool_run; p->face.user = p; p->face.workers = 1;
    ATTN__LOCK_INIT(&p->lock); ATTN__LOCK_INIT(&p->turn);
    ATTN__SIGNAL_INIT(&p->work); ATTN__SIGNAL_INIT(&p->done);
    while (p->seats < threads - 1) {
        attn__seat *s = &p->seat[p->seats];
        s->pool = p; s->worker = p->seats + 1;
        if (!attn__thread_start(s)) break;       // fewer workers than asked for still work
        p->seats++; p->face.workers++;
    }
    return &p->face;
}
ATTN_DEF void attn_pool_close(const attn_parallel *pool) {
    attn__pool *p;
    if (!pool) return;
    p = (attn__pool *)pool->user;
    ATTN__LOCK(&p->lock);
    p->stop = 1;
    ATTN__WAKE(&p->work);
    ATTN__UNLOCK(&p->lock);
    for (int i = 0; i < p->seats; i++) {
#if ATTN__WIN32
        WaitForSingleObject(p->seat[i].thread, INFINITE);
        CloseHandle(p->seat[i].thread);
#else
        pthread_join(p->seat[i].thread, NULL);
#endif
    }
    ATTN__LOCK_FREE(&p->lock); ATTN__LOCK_FREE(&p->turn);
    ATTN__SIGNAL_FREE(&p->work); ATTN__SIGNAL_FREE(&p->done);
    ATTN_FREE(p);
}
#else
ATTN_DEF const attn_parallel *attn_pool_open(int threads) { (void)threads; return NULL; }
ATTN_DEF void attn_pool_close(const attn_parallel *pool) { (void)pool; }
#endif
#endif // ATTN_NO_THREADS

ATTN__INL float attn__neg_inf(void) { const uint32_t u = 0xff800000u; float x; memcpy(&x, &u, 4); return x; }
#if ATTN__ARM || defined(ATTN_SIMDE_NEON)
static const uint32_t attn__lane_bits[4] = { 1, 2, 4, 8 };
#endif

#ifndef ATTN_ONLY_KERNELS
// ---- contexts: an arena with two ends

// Values are a chain of chunks; base: bytes of values in the chunks before. In memory that was given there is one
// chunk, and parameters come down from its end; a growing context has a second chain for them.
typedef struct attn__chunk {
    struct attn__chunk *prev, *next;
    size_t base, used, size;
    char *data;
} attn__chunk;
// One recorded operator. place: where in the arena, so that a reset finds it.
typedef struct attn__node {
    struct attn__node *prev;
    attn_tensor *y, *x[3];
    size_t place;
    ptrdiff_t i[4];
    double s;
    int op, all, done;
} attn__node;
struct attn_ctx {
    attn_ctx_desc d;
    attn__chunk first[2], *values, *params;
    attn_tensor *first_param, *last_param, *graded;   // graded: values with a gradient
    attn__node *nodes;                                // newest first
    attn_tensor empty;
    attn_status error;
    int record, grows;
    size_t param_bytes, peak;
    uint64_t drawn;                                   // random numbers taken
    char message[256];
};

ATTN__FUNC size_t attn__place(const attn_ctx *c) { return c->values->base + c->values->used; }
ATTN__FUNC void attn__rewind(attn_ctx *c, size_t mark) {
    while (c->values->prev && c->values->base >= mark) c->values = c->values->prev;
    c->values->used = mark - c->values->base;
}
ATTN__FUNC attn__chunk *attn__chunk_new(const attn_ctx *c, size_t bytes) {
#ifdef ATTN_NO_STDLIB
    (void)c; (void)bytes;
    return NULL;
#else
    const size_t size = bytes > c->d.chunk ? bytes : c->d.chunk;
    attn__chunk *k;
    if (size > (size_t)PTRDIFF_MAX - 256) return NULL;
    k = (attn__chunk *)ATTN_MALLOC(sizeof *k + 63 + size);
    if (!k) return NULL;
    memset(k, 0, sizeof *k);
    k->data = (char *)attn__align(k + 1); k->size = size;
    return k;
#endif
}
// n bytes of values or parameters; NULL when there are none
ATTN__FUNC void *attn__take(attn_ctx *c, size_t n, int param) {
    attn__chunk *k = param && c->grows ? c->params : c->values;
    void *p;
    if (n > (size_t)PTRDIFF_MAX - 63) return NULL;
    n = (n + 63) & ~(size_t)63;
    while (k->size - k->used < n) {
        attn__chunk *more = k->next;
        if (!c->grows) return NULL;
        if (!more || more->size < n) {
            more = attn__chunk_new(c, n);
            if (!more) return NULL;
            more->next = k->next; more->prev = k;
            if (k->next) k->next->prev = more;
            k->next = more;
        }
        more->used = 0; more->base = k->base + k->used;
        k = more;
    }
    if (param && !c->grows) { k->size -= n; p = k->data + k->size; }
    else { p = k->data + k->used; k->used += n; }
    if (param) { c->param_bytes += n; if (c->grows) c->params = k; } else c->values = k;
    if (c->param_bytes + attn__place(c) > c->peak) c->peak = c->param_bytes + attn__place(c);
    return p;
}
ATTN_DEF attn_ctx *attn_open(void *mem, size_t bytes, const attn_ctx_desc *desc) {
    attn_ctx *c = (attn_ctx *)attn__align(mem);
    attn_ctx_desc d;
    const size_t head = (sizeof *c + 63) & ~(size_t)63, lost = mem ? (size_t)((char *)c - (char *)mem) : 0;
    memset(&d, 0, sizeof d);
    if (desc) {
        const size_t size = desc->size ? desc->size : sizeof d;
        if (size > sizeof d || size < sizeof size) return NULL;
        memcpy(&d, desc, size);
    }
    if (d.isa < 0 || d.isa >= ATTN_ISA_COUNT) return NULL;
    if (!d.chunk) d.chunk = (size_t)1 << 20;
    if (!mem) {
#ifdef ATTN_NO_STDLIB
        return NULL;
#else
        c = (attn_ctx *)ATTN_MALLOC(sizeof *c);
        if (!c) return NULL;
#endif
    } else if (bytes < lost + head) return NULL;
    memset(c, 0, sizeof *c);
    c->d = d;
    c->grows = !mem;
    c->values = &c->first[0]; c->params = &c->first[1];
    if (mem) { c->first[0].data = (char *)c + head; c->first[0].size = (bytes - lost - head) & ~(size_t)63; }
    c->empty.flags = ATTN_TENSOR_EMPTY; c->empty.data = c->message;   // readable, and of no element
    c->empty.rank = 1; c->empty.stride[0] = 1;
    return c;
}
ATTN_DEF void attn_close(attn_ctx *c) {
    if (!c || !c->grows) return;
#ifndef ATTN_NO_STDLIB
    for (int i = 0; i < 2; i++)
        for (attn__chunk *k = c->first[i].next, *next; k; k = next) { next = k->next; ATTN_FREE(k); }
    ATTN_FREE(c);
#endif
}
ATTN_DEF attn_status attn_error(const attn_ctx *c) { return c ? c->error : ATTN_ERR_NULL; }
ATTN_DEF const char *attn_message(const attn_ctx *c) { return !c ? attn_status_str(ATTN_ERR_NULL) : c->message; }
ATTN_DEF void attn_clear(attn_ctx *c) { if (c) { c->error = ATTN_OK; c->message[0] = 0; } }
ATTN_DEF size_t attn_mark(const attn_ctx *c) { return c ? attn__place(c) : 0; }
ATTN_DEF size_t attn_used(const attn_ctx *c) { return c ? attn__place(c) + c->param_bytes : 0; }
ATTN_DEF size_t attn_peak(const attn_ctx *c) { return c ? c->peak : 0; }
// What an operator gives that failed: the empty tensor; NULL without a context.
ATTN__FUNC attn_tensor *attn__none(attn_ctx *c) { return c ? &c->empty : NULL; }
// The first error stays, with its text; returns the empty tensor.
ATTN__FUNC attn__text attn__fail_text(attn_ctx *c, attn_status s, const char *op) {
    attn__text t;
    t.at = c ? c->message : NULL; t.left = attn_error(c) ? 0 : sizeof c->message;
    if (!attn_error(c)) { c->error = s; c->message[0] = 0; attn__say(&t, op); attn__say(&t, ": "); }
    return t;
}
ATTN__FUNC attn_tensor *attn__fail(attn_ctx *c, attn_status s, const char *op, const char *why) {
    attn__text t = attn__fail_text(c, s, op);
    attn__say(&t, why);
    return attn__none(c);
}
ATTN__FUNC attn_tensor *attn__fail_shapes(attn_ctx *c, const char *op, const attn_tensor *a, const attn_tensor *b,
                                          const char *why) {
    attn__text t = attn__fail_text(c, ATTN_ERR_SHAPE, op);
    attn__say_shape(&t, a->rank, a->shape);
    if (b) { attn__say(&t, " and "); attn__say_shape(&t, b->rank, b->shape); }
    attn__say(&t, ": "); attn__say(&t, why);
    return attn__none(c);
}
ATTN__FUNC attn_tensor *attn__fail_number(attn_ctx *c, attn_status s, const char *op, const char *what, int64_t x,
                                          const char *why) {
    attn__text t = attn__fail_text(c, s, op);
    attn__wrong(&t, s, what, x, why);
    return attn__none(c);
}
ATTN_DEF void attn_reset(attn_ctx *c, size_t mark) {
    attn_tensor **link;
    if (!c) return;
    if (mark > attn__place(c) || mark % 64) {
        attn__fail_number(c, ATTN_ERR_RANGE, "attn_reset", "mark", (int64_t)mark,
                          "not of attn_mark, or given back");
        return;
    }
    while (c->nodes && c->nodes->place >= mark) c->nodes = c->nodes->prev;
    for (link = &c->graded; *link; ) {                  // gradients of older values go too when they were made later
        attn_tensor *t = *link;
        if (t->place < mark && t->grad && t->grad->place < mark) { link = &t->next; continue; }
        *link = t->next;
        if (t->place < mark) { t->grad = NULL; t->next = NULL; }
    }
    attn__rewind(c, mark);
}
#endif // ATTN_ONLY_KERNELS

// -------------------------------------------------------------------------------------------------------------------
// >>tensor

// ---- storage types: f16, bf16 and ggml's blocks of 32 (an f16 scale d, in q4_1 an f16 offset m, then 8 or 4 bits
// each)

ATTN__FUNC float attn__from_f16(uint16_t h) {
    uint32_t u = (uint32_t)(h & 0x7fffu) << 13;
    float x;
    if ((h & 0x7c00u) == 0x7c00u) u |= 0x7f800000u;
    else if (h & 0x7c00u) u += 112u << 23;
    else {                                             // subnormal: an integer times 2^-24
        x = (float)(h & 0x3ffu) * 5.9604644775390625e-8f;
        return h & 0x8000u ? -x : x;
    }
    u |= (uint32_t)(h & 0x8000u) << 16;
    memcpy(&x, &u, 4);
    return x;
}
ATTN__FUNC uint16_t attn__to_f16(float x) {            // nearest even
    uint32_t u, m, sign;
    memcpy(&u, &x, 4);
    sign = u >> 16 & 0x8000u; u &= 0x7fffffffu;
    if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (u >= 0x38800000u) { u += 0xfffu + (u >> 13 & 1); return (uint16_t)(sign | ((u - 0x38000000u) >> 13)); }
    if (u < 0x33000000u) return (uint16_t)sign;
    m = (u & 0x7fffffu) | 0x800000u;
    {
        const uint32_t shift = 126 - (u >> 23), rest = m & ((1u << shift) - 1), half = 1u << (shift - 1);
        m >>= shift;
        m += rest > half || (rest == half && (m & 1));
    }
    return (uint16_t)(sign | m);
}
ATTN__INL float attn__from_bf16(uint16_t h) {
    const uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}
ATTN__FUNC uint16_t attn__to_bf16(float x) {           // nearest even
    uint32_t u;
    memcpy(&u, &x, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 64u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
ATTN__INL uint16_t attn__u16(const void *p) { uint16_t h; memcpy(&h, p, 2); return h; }
ATTN__INL float attn__word(const void *p) { float x; memcpy(&x, p, 4); return x; }    // 32 bits of any meaning
// element i of a row
ATTN__FUNC double attn__stored(int type, const void *row, ptrdiff_t i) {
    const char *p = (const char *)row + attn__bytes(type, i);
    const uint8_t *b = (const uint8_t *)p;
    const int at = (int)(i % 32);
    float x;
    double y;
    switch (type) {
    case ATTN_F64: memcpy(&y, p, 8); return y;
    case ATTN_F16: return (double)attn__from_f16(attn__u16(p));
    case ATTN_BF16: return (double)attn__from_bf16(attn__u16(p));
    case ATTN_Q8_0: return (double)(attn__from_f16(attn__u16(p)) * (float)(int8_t)b[2 + at]);
    case ATTN_Q4_0: return (double)(attn__from_f16(attn__u16(p)) * (float)((b[2 + at % 16] >> (at / 16 * 4) & 15) - 8));
    case ATTN_Q4_1:
        x = (float)(b[4 + at % 16] >> (at / 16 * 4) & 15) * attn__from_f16(attn__u16(p));
        return (double)(x + attn__from_f16(attn__u16(p + 2)));
    default: memcpy(&x, p, 4); return (double)x;
    }
}
// y[i .. n-1] = elements of a row, col apart; the type is asked once
ATTN__FUNC void attn__widen(float *y, int type, const char *p, ptrdiff_t col, ptrdiff_t i, ptrdiff_t n) {
    if (type == ATTN_BF16) for (; i < n; i++) y[i] = attn__from_bf16(attn__u16(p + 2 * i * col));
    else if (type == ATTN_F16) for (; i < n; i++) y[i] = attn__from_f16(attn__u16(p + 2 * i * col));
    else if (type == ATTN_Q8_0 && i % 32 == 0) for (; i < n; i += 32) {
        const char *block = p + i / 32 * 34;
        const float d = attn__from_f16(attn__u16(block));
        for (ptrdiff_t u = 0; u < 32 && i + u < n; u++) y[i + u] = d * (float)((const int8_t *)block)[2 + u];
    }
    else for (; i < n; i++) y[i] = (float)attn__stored(type, p, i * col);
}
ATTN__FUNC void attn__store(int type, void *row, ptrdiff_t i, double x) {   // of types with one element in a block
    char *p = (char *)row + i * attn__types[type].bytes;
    const float f = (float)x;
    uint16_t h;
    switch (type) {
    case ATTN_F64: memcpy(p, &x, 8); break;
    case ATTN_F16: h = attn__to_f16(f); memcpy(p, &h, 2); break;
    case ATTN_BF16: h = attn__to_bf16(f); memcpy(p, &h, 2); break;
    default: memcpy(p, &f, 4); break;
    }
}
// 32 numbers -> one block, rounded as ggml does. source  ggml (MIT), the format of its blocks
ATTN__FUNC void attn__quantise(int type, void *block, const float *x) {
    uint8_t *p = (uint8_t *)block;
    float low = x[0], high = x[0], most = 0, d, inverse;
    uint16_t h;
    for (int i = 0; i < 32; i++) {
        const float a = x[i] < 0 ? -x[i] : x[i];
        if (a > (most < 0 ? -most : most)) most = x[i];
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    d = type == ATTN_Q8_0 ? (most < 0 ? -most : most) / 127 : type == ATTN_Q4_0 ? most / -8 : (high - low) / 15;
    inverse = d != 0 ? 1 / d : 0;
    h = attn__to_f16(d); memcpy(p, &h, 2); p += 2;
    if (type == ATTN_Q8_0) {
        for (int i = 0; i < 32; i++) p[i] = (uint8_t)(int8_t)(x[i] * inverse + (x[i] * inverse < 0 ? -0.5f : 0.5f));
        return;
    }
    if (type == ATTN_Q4_1) { h = attn__to_f16(low); memcpy(p, &h, 2); p += 2; }
    for (int i = 0; i < 16; i++) {
        int n[2];
        for (int k = 0; k < 2; k++) {
            const float y = type == ATTN_Q4_1 ? (x[i + 16 * k] - low) * inverse + 0.5f : x[i + 16 * k] * inverse + 8.5f;
            n[k] = y < 15 ? (int)y : 15;
        }
        p[i] = (uint8_t)(n[0] | n[1] << 4);
    }
}

// 32 numbers of q in 8 bits, as q8_0 but for the scale: f32, so that no q is too large or too small for it; NaN where
// one of them is no number
ATTN__FUNC float attn__bytes_of_row(int8_t *n, const float *x) {
    uint32_t most = 0;
    float top, inverse;
    for (int i = 0; i < 32; i++) {
        uint32_t u;
        memcpy(&u, x + i, 4);
        u &= 0x7fffffffu;
        if (u > most) most = u;
    }
    memcpy(&top, &most, 4);
    inverse = top > 1e-30f && most < 0x7f800000u ? 127 / top : 0;
    for (int i = 0; i < 32; i++) n[i] = inverse == 0 ? 0 : (int8_t)(x[i] * inverse + (x[i] < 0 ? -0.5f : 0.5f));
    return most < 0x7f800000u ? top / 127 : (float)attn__from_bits_d(ATTN__D_NAN);
}

#ifndef ATTN_ONLY_KERNELS
// ---- shapes, views, iteration

ATTN__FUNC int attn__is_float(int type) { return type == ATTN_F32 || type == ATTN_F64; }
ATTN_DEF ptrdiff_t attn_count(const attn_tensor *t) {
    ptrdiff_t n = 1;
    if (!t || t->flags & ATTN_TENSOR_EMPTY) return 0;
    for (int i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}
ATTN__FUNC void attn__contiguous_strides(attn_tensor *t) {
    ptrdiff_t s = 1;
    for (int i = t->rank - 1; i >= 0; i--) { t->stride[i] = s; s *= t->shape[i] ? t->shape[i] : 1; }
}
ATTN__FUNC int attn__is_contiguous(const attn_tensor *t) {
    ptrdiff_t s = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] > 1 && t->stride[i] != s) return 0;
        s *= t->shape[i];
    }
    return 1;
}
// A handle of that shape; data, uninitialised, with room
ATTN__FUNC attn_tensor *attn__new(attn_ctx *c, const char *op, int type, int rank, const ptrdiff_t *shape, int room,
                                  int param) {
    const size_t head = (sizeof(attn_tensor) + 63) & ~(size_t)63, place = attn_mark(c);
    ptrdiff_t n = 1;
    attn_tensor *t;
    if (attn_error(c)) return attn__none(c);
    if (type < 0 || type >= ATTN_TYPE_COUNT || attn__types[type].elements != 1)
        return attn__fail_number(c, ATTN_ERR_DTYPE, op, "type", type, "not a plain type");
    if (rank < 0 || rank > ATTN_MAX_RANK) return attn__fail_number(c, ATTN_ERR_SHAPE, op, "rank", rank, "outside 0..6");
    if (rank > 0 && !shape) return attn__fail(c, ATTN_ERR_NULL, op, "shape is NULL");
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0) return attn__fail_number(c, ATTN_ERR_SHAPE, op, "extent", shape[i], "negative");
        n = attn__mul_size(n, shape[i] ? shape[i] : 1);
    }
    n = attn__mul_size(n, attn__types[type].bytes);
    if (n < 0 || n > PTRDIFF_MAX - 4096) return attn__fail(c, ATTN_ERR_SHAPE, op, "more elements than memory can hold");
    t = (attn_tensor *)attn__take(c, head + (room ? (size_t)n : 0), param);
    if (!t) {
        attn__text w = attn__fail_text(c, ATTN_ERR_MEMORY, op);
        attn__say(&w, "no memory for "); attn__say_shape(&w, rank, shape);
        return &c->empty;
    }
    memset(t, 0, sizeof *t);
    t->data = room ? (char *)t + head : NULL;
    t->type = type; t->rank = rank; t->place = place; t->flags = param ? ATTN_TENSOR_PARAM : 0;
    for (int i = 0; i < rank; i++) t->shape[i] = shape[i];
    attn__contiguous_strides(t);
    return t;
}
// Inputs of an operator: none missing, none failed; says so once. 1 = go on
ATTN__FUNC int attn__ready(attn_ctx *c, const char *op, const attn_tensor *a, const attn_tensor *b) {
    if (attn_error(c)) return 0;
    if (!a || !b) { attn__fail(c, ATTN_ERR_NULL, op, "an input is NULL"); return 0; }
    if ((a->flags | b->flags) & ATTN_TENSOR_EMPTY) {
        attn__fail(c, ATTN_ERR_STATE, op, "an input failed before");
        return 0;
    }
    return 1;
}
ATTN__FUNC int attn__axis(attn_ctx *c, const char *op, const attn_tensor *x, int *axis) {
    const int a = *axis < 0 ? *axis + x->rank : *axis;
    if (a < 0 || a >= x->rank) { attn__fail_number(c, ATTN_ERR_RANGE, op, "axis", *axis, "no such axis"); return 0; }
    *axis = a;
    return 1;
}
// A second handle on x's data
ATTN__FUNC attn_tensor *attn__view(attn_ctx *c, const char *op, const attn_tensor *x, int rank,
                                   const ptrdiff_t *shape) {
    attn_tensor *t = attn__new(c, op, x->type, rank, shape, 0, 0);
    if (!(t->flags & ATTN_TENSOR_EMPTY)) t->data = x->data;
    return t;
}
// Shape that a and b broadcast to; 0 when they do not
ATTN__FUNC int attn__broadcast_shape(const attn_tensor *a, const attn_tensor *b, int *rank, ptrdiff_t *shape) {
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= *rank; i++) {
        const ptrdiff_t x = i <= a->rank ? a->shape[a->rank - i] : 1, y = i <= b->rank ? b->shape[b->rank - i] : 1;
        if (x != y && x != 1 && y != 1) return 0;
        shape[*rank - i] = x == 1 ? y : x;
    }
    return 1;
}
// Element `index` (row-major) of t
ATTN__FUNC char *attn__element(const attn_tensor *t, ptrdiff_t index) {
    ptrdiff_t at = 0;
    for (int i = t->rank - 1; i >= 0; i--) { at += index % t->shape[i] * t->stride[i]; index /= t->shape[i]; }
    return (char *)t->data + at * attn__types[t->type].bytes;
}
ATTN__FUNC double attn__get(int type, const void *p) {
    float f; double d; int32_t i; int64_t l;
    switch (type) {
    case ATTN_F32: memcpy(&f, p, 4); return (double)f;
    case ATTN_F64: memcpy(&d, p, 8); return d;
    case ATTN_I32: memcpy(&i, p, 4); return (double)i;
    case ATTN_I64: memcpy(&l, p, 8); return (double)l;
    case ATTN_I8: return (double)*(const int8_t *)p;
    case ATTN_BF16: {
        uint16_t h;
        uint32_t u;
        memcpy(&h, p, 2);
        u = (uint32_t)h << 16;
        memcpy(&f, &u, 4);
        return (double)f;
    }
    case ATTN_F16: {
        uint16_t h;
        double x;
        memcpy(&h, p, 2);
        if ((h >> 10 & 31) == 31) x = attn__from_bits_d(h & 1023 ? ATTN__D_NAN : ATTN__D_INF);
        else if (h >> 10 & 31)
            x = attn__from_bits_d(((uint64_t)(h >> 10 & 31) + 1008) << 52 | (uint64_t)(h & 1023) << 42);
        else x = (double)(h & 1023) * (1.0 / 16777216.0);
        return h >> 15 ? -x : x;
    }
    default: return (double)*(const uint8_t *)p;
    }
}
ATTN__FUNC void attn__put(int type, void *p, double x) {
    float f = (float)x; int32_t i; int64_t l;
    switch (type) {
    case ATTN_F32: memcpy(p, &f, 4); break;
    case ATTN_F64: memcpy(p, &x, 8); break;
    case ATTN_I32: i = (int32_t)x; memcpy(p, &i, 4); break;
    case ATTN_I64: l = (int64_t)x; memcpy(p, &l, 8); break;
    case ATTN_I8: *(int8_t *)p = (int8_t)x; break;
    case ATTN_BOOL: *(uint8_t *)p = x != 0; break;
    case ATTN_U8: *(uint8_t *)p = (uint8_t)x; break;
    default: break;
    }
}
// All elements, row-major, of any plain type
ATTN__FUNC void attn__copy_out(void *out, const attn_tensor *t) {
    const size_t e = (size_t)attn__types[t->type].bytes;
    const ptrdiff_t n = attn_count(t), run = t->rank && t->stride[t->rank - 1] == 1 ? t->shape[t->rank - 1] : 1;
    if (n == 0) return;
    if (attn__is_contiguous(t)) { memcpy(out, t->data, e * (size_t)n); return; }
    for (ptrdiff_t i = 0; i < n; i += run) memcpy((char *)out + (size_t)i * e, attn__element(t, i), e * (size_t)run);
}
// Puts an operator on the record when something it depends on is a parameter, or when everything is recorded.
ATTN__FUNC attn__node *attn__record_op(attn_ctx *c, int op, attn_tensor *y, attn_tensor *a, attn_tensor *b) {
    const int on = ATTN_TENSOR_PARAM | ATTN_TENSOR_RECORDED;
    attn__node *n;
    const size_t place = attn__place(c);
    if (c->record < 0 || c->error || y->flags & ATTN_TENSOR_EMPTY) return NULL;
    if (!c->record && !((a->flags | (b ? b->flags : 0)) & on)) return NULL;
    n = (attn__node *)attn__take(c, sizeof *n, 0);
    if (!n) { attn__fail(c, ATTN_ERR_MEMORY, "attn_record", "no memory for the record"); return NULL; }
    memset(n, 0, sizeof *n);
    n->op = op; n->y = y; n->x[0] = a; n->x[1] = b; n->all = c->record > 0; n->place = place;
    n->prev = c->nodes; c->nodes = n;
    y->flags |= ATTN_TENSOR_RECORDED;
    return n;
}
#endif // ATTN_ONLY_KERNELS

// -------------------------------------------------------------------------------------------------------------------
// >>work
//
// What the kernels are given, the same for every pass, and what they read of it as plain code.

// ---- arguments of the kernels: one struct each, the same for every pass

#define ATTN__TQ_MOST 32
enum { ATTN__SPAN = 1024 };            // keys that are summed on their own: the row rule
#define ATTN__KEYS_MOST (PTRDIFF_MAX > INT32_MAX ? INT32_MAX : INT32_MAX - 2 * ATTN__SPAN)    // a step past fits
enum { ATTN__RUN = ATTN__SIZE ? 1 : 8, ATTN__APART = 1024 };    // tiles of a run; rows a multiple of so many elements
                                       // apart meet in few lines of the first cache
// y[i] = f(a[i], b[i]), or y[i] += with add; ys 0 and add: y[0] gains the sum. s is the operator's number.
typedef struct attn__loop_args {
    int op, add;
    ptrdiff_t n, ys, as, bs;
    void *y;
    const void *a, *b;
    double s;
} attn__loop_args;
// Rows first .. first+rows-1 of a softmax, or of a norm: weight, bias, eps, kind
typedef struct attn__softmax_args {
    const void *x;
    void *y;
    ptrdiff_t rows, cols, x_row, y_row, per, first, later;    // later: bytes from what is written to what is touched
    const int32_t *lengths;
    float masked_score;
    int log, kind;
    const void *weight, *bias;
    double eps;
} attn__softmax_args;
// c[i*crs + j*ccs] = alpha sum over p of a[i*ars + p*acs] b[p*brs + j*bcs], added to c with add
typedef struct attn__gemm_args {
    const void *a, *b;
    void *c, *work;
    ptrdiff_t m, n, k, ars, acs, brs, bcs, crs, ccs;
    double alpha;
    int add, a_type, b_type;
} attn__gemm_args;
// A panel of w rows or columns, k deep: x[i * step + p * along] times s -> t[p * w + i]; or PANELS full ones of
// contiguous columns (many). n: so many are there, from this one on. The product takes as many at a time, too
enum { ATTN__PANELS = ATTN__LEAN ? 1 : 8 };
typedef struct attn__pack_panel_args {
    int many, type;
    void *t;
    const void *x;
    ptrdiff_t step, along, n, w, k;
    double s;
} attn__pack_panel_args;
// One panel of w rows (n real) of a against one of TQ columns (cols real) of b
typedef struct attn__gemm_panel_args {
    const void *a, *b;
    void *c, *work;
    ptrdiff_t w, n, cols, k, ars, acs, ldb, crs, ccs;
    int add;
} attn__gemm_panel_args;
// Element i of an array; of blocks the first element
ATTN__INL const char *attn__at(int type, const void *p, ptrdiff_t i) {
    return (const char *)p + attn__bytes(type, i);
}
// Where the keys or values of one entry and head lie.
typedef struct attn__rows {
    const char *at;                   // token 0; with pages page 0, slot 0
    ptrdiff_t row, col;               // elements
    // page > 0: token j in slot j % page of page table[j / page]; ring > 0: in slot j % ring
    ptrdiff_t page, page_step, ring;
    const int32_t *table;
    int type;
} attn__rows;
ATTN__FUNC const char *attn__row_at(const attn__rows *x, ptrdiff_t j) {
    ptrdiff_t e = (x->ring ? j % x->ring : j) * x->row;
    if (x->page) e = x->table[j / x->page] * x->page_step + j % x->page * x->row;
    return x->at + attn__bytes(x->type, e);
}
// How many of n rows from j on lie `row` apart.
ATTN__FUNC ptrdiff_t attn__rows_run(const attn__rows *x, ptrdiff_t j, ptrdiff_t n) {
    const ptrdiff_t run = x->ring ? x->ring - j % x->ring : x->page ? x->page - j % x->page : n;
    return run < n ? run : n;
}
// Addresses of n rows from j on
ATTN__FUNC void attn__rows_list(const char **p, const attn__rows *x, ptrdiff_t j, ptrdiff_t n) {
    const ptrdiff_t step = attn__bytes(x->type, x->row);
    for (ptrdiff_t i = 0, run; i < n; i += run) {
        const char *at = attn__row_at(x, j + i);
        ptrdiff_t r = 0;
        run = attn__rows_run(x, j + i, n - i);
        for (; r + 4 <= run; r += 4, at += 4 * step) {
            p[i + r] = at; p[i + r + 1] = at + step; p[i + r + 2] = at + 2 * step; p[i + r + 3] = at + 3 * step;
        }
        for (; r < run; r++, at += step) p[i + r] = at;
    }
}
// Touches rows, four lines at a time: four streams, `apart` rows apart, that each go in the order of memory, for one
// alone comes a sixth slower; but one where all lies together and four would be less than a page each.
typedef struct attn__ahead {
    const char *const *row;
    const char *line[4];              // of the one
    ptrdiff_t rows, apart, i, step, run, due, each, times;           // rows of a stream; dense ones are one
} attn__ahead;
// n rows of so many bytes from row[0] on (but for n % 4), in so many times
ATTN__FUNC void attn__look_ahead(attn__ahead *x, const char *const *row, ptrdiff_t n, ptrdiff_t bytes,
                                 ptrdiff_t times) {
    const ptrdiff_t all = n * bytes, part = n / 4;      // rows may be of two arrays, and the last line past both
    const int dense = (uintptr_t)row[n - 1] - (uintptr_t)row[0] == (uintptr_t)(all - bytes);
    const int one = dense && (all < 16384 || n < 4);
    for (int z = 0; z < 4; z++) x->line[z] = (const char *)((uintptr_t)row[0] + 64 * (uintptr_t)z);
    x->row = one ? x->line : row; x->i = x->due = 0; x->times = times;
    x->apart = one ? 1 : part; x->step = one ? 256 : 64;
    x->rows = dense ? 1 : part ? part : n; x->run = one ? all : dense ? part * bytes : bytes;
    x->each = x->rows * ((x->run + x->step - 1) / x->step);
}
ATTN__INL void attn__touch_ahead(attn__ahead *x) {
    for (x->due -= x->each; !ATTN__LEAN && x->due < 0; x->due += x->times) {
        const char *const *row = x->row;
        const ptrdiff_t apart = x->apart;
        const uintptr_t i = (uintptr_t)x->i;
        ATTN__PREFETCH((const char *)((uintptr_t)row[0] + i));
        ATTN__PREFETCH((const char *)((uintptr_t)row[apart] + i));
        ATTN__PREFETCH((const char *)((uintptr_t)row[2 * apart] + i));
        ATTN__PREFETCH((const char *)((uintptr_t)row[3 * apart] + i));
        if ((x->i += x->step) < x->run) continue;
        x->i = 0; x->row++;
        if (--x->rows == 0) { x->due = x->each = 0; break; }
    }
}
typedef struct attn__table attn__table;
// The arrays of a tile in the workspace: its own, and those that the tiles of a run share, in bytes together.
// held: k0 and nk of the keys and of the values that k and v hold, made ready for all of them
typedef struct attn__space {
    void *q, *o[2], *sum, *rows, *spare, *wide[3], *whole;
    void *s, *k, *v, *line, *add;
    uint32_t *vis;
    ptrdiff_t *held;
    size_t own, shared;
} attn__space;
ATTN__FUNC int attn__two_passes(const attn_desc *d) {  // weights that depend on all scores of the row at once
    return d->norm == ATTN_NORM_TOP_K || d->norm == ATTN_NORM_HARD || d->norm == ATTN_NORM_SPARSEMAX ||
           d->norm == ATTN_NORM_ENTMAX15;
}
ATTN__FUNC void attn__layout(attn__space *w, void *work, void *own, const attn_desc *d, int bytes, int tile,
                             int block) {
    const size_t e = (size_t)bytes, tq = (size_t)tile, kt = (size_t)block, dk = (size_t)d->dim, dv = (size_t)d->vdim;
    w->own = w->shared = 0;
    w->vis = (uint32_t *)attn__carve(work, &w->shared, kt * sizeof(uint32_t));
    w->held = (ptrdiff_t *)attn__carve(work, &w->shared, 4 * sizeof(ptrdiff_t));
    w->s = attn__carve(work, &w->shared, kt * tq * e);
    w->k = attn__carve(work, &w->shared, dk * kt * e);
    w->v = attn__carve(work, &w->shared, dv * kt * e);
    w->line = attn__carve(work, &w->shared, (kt + tq) * e);
    w->add = attn__carve(work, &w->shared, kt * tq * e);
    w->q = attn__carve(own, &w->own, dk * tq * e);
    w->o[0] = attn__carve(own, &w->own, dv * tq * e);
    w->o[1] = attn__carve(own, &w->own, dv * tq * e);
    w->sum = attn__carve(own, &w->own, dv * tq * e);
    w->rows = attn__carve(own, &w->own, dk * tq * e);
    w->spare = attn__carve(own, &w->own, dk * tq * e);
    for (int i = 0; d->score == ATTN_SCORE_ADDITIVE && i < 3; i++)
        w->wide[i] = attn__carve(own, &w->own, (size_t)(d->score_width + 4) * tq * e);   // products come 4 at least
    w->whole = attn__two_passes(d) ? attn__carve(own, &w->own, (size_t)(d->ring ? d->ring + ATTN__SPAN + tile
                                                                        : d->keys) * tq * e) : NULL;
}
// One tile of attention: up to TQ rows that read the same key head. Row `lane` is query[lane] of head[lane].
typedef struct attn__tile_args {
    const attn_desc *d;               // every default filled in
    attn__rows k, v;
    ptrdiff_t b, start, end;          // entry; keys start .. end-1 are worked, from a span's edge on
    ptrdiff_t tree;                   // the first key that is a node
    int worker;
    // With kept (dv + 3) TQ elements a span: spans from .. to-1 are left there, or with `fold` found there
    void *kept;
    ptrdiff_t from, to;
    int fold;
    int64_t offset;                   // p_i = i + offset
    int lanes, in_line;               // rows in use; in_line: queries that follow each other, of one head
    int masks, every;                 // masks: more than limits hides keys; every: hidden keys are computed too
    int adds, shaped;                 // adds: bias or tables; shaped: a stage that no product can end with
    int dead;                         // so many lanes from the end are no rows
    const attn__table *table;
    int words_k, words_v;             // ATTN__BF16_WORDS, ATTN__I8_WORDS: what the overlay multiplies
    int run;                          // tiles from this one on that read the same keys, block by block together
    void *work, *own;                 // shared by them, this one's
    ptrdiff_t after;                  // bytes to the keys of the next head, where the next tile reads them; 0: none
    int cold;                         // keys and values of the call are more than caches are likely to hold
    int touches;                      // this tile touches those of the next block
    attn__ahead coming[2];            // touched during products: keys and values; bias or mask of the next block
    ptrdiff_t lo_least, lo_most, hi_least, hi_most;
    const void *next_k, *next_v, *next_q;   // of the next key head, touched meanwhile; NULL = none
    void *next_o;
    size_t next_line, next_of_row, next_lines, next_calls, next_due;
    // Written for every tile, as far as the desc has them
    const void *q[ATTN__TQ_MOST];
    void *o[ATTN__TQ_MOST];
    ptrdiff_t query[ATTN__TQ_MOST], head[ATTN__TQ_MOST];
    double scale[ATTN__TQ_MOST], slope[ATTN__TQ_MOST];
    double rest[ATTN__TQ_MOST];       // with words_k: what the scores are times after the product
    ptrdiff_t lo[ATTN__TQ_MOST], hi[ATTN__TQ_MOST];    // keys lo .. hi-1 exist for the row
    const void *bias[ATTN__TQ_MOST];
    void *lse[ATTN__TQ_MOST], *weights[ATTN__TQ_MOST];
    const uint8_t *keep[ATTN__TQ_MOST], *drop[ATTN__TQ_MOST];
    const char *ahead_row[ATTN__TQ_MOST];
} attn__tile_args;
// One row of q or k in the pass's own type: y from p, through the stages of FN(ready)
typedef struct attn__row_args {
    const attn_desc *d;
    void *y;
    const void *p;
    int type, stages;
    ptrdiff_t col, n;
    const float *factor;
    int64_t position;
} attn__row_args;
// A step of a tile by the products of an overlay: q, k and weights are words there
typedef struct attn__words_args {
    attn__tile_args *g;
    const attn__space *w;
    int few;                          // rows one by one, not in lanes
    ptrdiff_t k0, nk;
    void *top, *out;                  // maximum of the scores outside from .. to-1; o
    ptrdiff_t from, to;
    const void *in;                   // o so far
    int test;                         // some lane does not see some key
    int row, rows, type;              // few: of this row or four
    const char *const *at;            // where the keys or values lie
    const ptrdiff_t *column;
    void *t, *l;                      // scores or weights of the keys; their sum
    ptrdiff_t o_row;
} attn__words_args;
typedef struct attn__peak_args { ptrdiff_t loops; double flops; } attn__peak_args;
typedef struct attn__dot_args { const void *x, *y; ptrdiff_t n; float f; int32_t i; } attn__dot_args;

// Every kernel, once; a pass that lacks one does not compile. DOTS are what the overlays replace.
#define ATTN__KERNELS(K) K(loop) K(softmax) K(norm) K(pack_panel) K(gemm_panel) K(gemv) K(tile) K(row) K(peak)
#define ATTN__DOTS(K) K(dot_bf16) K(dot_i8)
#define ATTN__WORDS(K) K(words_q) K(words_scores) K(words_outputs) K(words_few) K(words_columns)
typedef attn__softmax_args attn__norm_args;
typedef attn__gemm_args attn__gemv_args;
typedef attn__dot_args attn__dot_bf16_args;
typedef attn__dot_args attn__dot_i8_args;
typedef attn__words_args attn__words_q_args, attn__words_scores_args, attn__words_outputs_args, attn__words_few_args,
    attn__words_columns_args;
enum { ATTN__BF16_WORDS = 1, ATTN__I8_WORDS = 2 };
struct attn__table {
#define ATTN__ROW(name) void (*name)(attn__##name##_args *);
    ATTN__KERNELS(ATTN__ROW)
    ATTN__DOTS(ATTN__ROW)
    ATTN__WORDS(ATTN__ROW)             // of overlays, else NULL
#undef ATTN__ROW
    void (*words_peak)(attn__peak_args *);
    int words;                         // ATTN__BF16_WORDS, ATTN__I8_WORDS
    int bytes, tq, kt, mr, thin, r2, r1, mc, kc, nc, in_place;      // of an element; shapes that plans and workspaces
                                       // follow. thin: mr where columns fit half a tile
};

// What the loop kernel computes; g is b where it is a gradient.
enum { ATTN__LOOP_COPY, ATTN__LOOP_ADD, ATTN__LOOP_SUB, ATTN__LOOP_MUL, ATTN__LOOP_DIV, ATTN__LOOP_SCALE,
       ATTN__LOOP_SQUARE, ATTN__LOOP_EXP, ATTN__LOOP_TANH, ATTN__LOOP_ERF, ATTN__LOOP_RELU, ATTN__LOOP_MUL_SCALE,
       ATTN__LOOP_TANH_GRAD, ATTN__LOOP_RELU_GRAD, ATTN__LOOP_SQUARE_SUB, ATTN__LOOP_LOG, ATTN__LOOP_SQRT,
       ATTN__LOOP_SIGMOID, ATTN__LOOP_SILU, ATTN__LOOP_GELU, ATTN__LOOP_GELU_TANH };

// ---- attention: what a tile reads of the desc beside arrays. Plain code, compiled once: it is off where its field is
// zero

// Clears vis[r], bit of a lane, where document, block or tree hides key k0 + r from it.
ATTN__FUNC void attn__hide_more(const attn__tile_args *g, uint32_t *vis, ptrdiff_t k0, ptrdiff_t nk, int tq) {
    const attn_desc *d = g->d;
    const int blocks = d->block_mask != NULL;
    const ptrdiff_t cells_k = blocks ? (d->keys + d->block_k - 1) / d->block_k : 0;
    const ptrdiff_t cells_q = blocks ? (d->queries + d->block_q - 1) / d->block_q : 0;
    for (ptrdiff_t r = 0, to; r < nk && (d->doc_k || blocks); ) {       // ids and blocks come in runs
        const int32_t *id = d->doc_k ? d->doc_k + g->b * d->keys + k0 + r : NULL;
        const ptrdiff_t cell = blocks ? (k0 + r) / d->block_k : 0, end = blocks ? (cell + 1) * d->block_k - k0 : nk;
        uint32_t sees = 0;
        for (to = r + 1; to < nk && to < end && (!id || id[to - r] == *id); to++) { }
        for (int u = 0; u < tq; u++) {
            const ptrdiff_t i = g->query[u], plane = d->block_heads > 1 ? g->head[u] : 0;
            if ((!id || d->doc_q[g->b * d->queries + i] == *id) &&
                (!blocks || d->block_mask[(plane * cells_q + i / d->block_q) * cells_k + cell]))
                sees |= (uint32_t)1 << u;
        }
        for (; r < to; r++) vis[r] &= sees;
    }
    for (ptrdiff_t r = g->tree > k0 ? g->tree - k0 : 0; d->tree_parent && r < nk; r++) for (int u = 0; u < tq; u++) {
        ptrdiff_t node = g->query[u];
        while (node > k0 + r - g->tree) node = d->tree_parent[node];
        if (node != k0 + r - g->tree) vis[r] &= ~((uint32_t)1 << u);
    }
}
// Keys k0 .. k0+nk-1; those from .. to-1 of them are hidden from some lane. vis is filled for all where to > from.
typedef void attn__mask_words(uint64_t *word, const uint8_t *const *p, ptrdiff_t at);
typedef struct attn__part { ptrdiff_t k0, nk, from, to; } attn__part;
// vis[r] loses the bit of each lane that the bytes of its row hide; 64 keys at a time, turned by halves of a square of
// bits. words is the pass's, where it has one.
ATTN__FUNC void attn__mask_bytes(uint32_t *vis, const uint8_t *const *row, ptrdiff_t k0, ptrdiff_t nk, ptrdiff_t col,
                                 int drop, int tq, attn__mask_words *words) {
    for (ptrdiff_t r = 0; r < nk; r += 64) {
        const ptrdiff_t n = nk - r < 64 ? nk - r : 64;
        uint64_t bits[32] = { 0 }, half = 0xffff;
        if (words && col == 1 && n == 64) words(bits, row, k0 + r);
        else for (int lane = 0; lane < tq; lane++) {
            const uint8_t *p = row[lane] + (k0 + r) * col;
            for (ptrdiff_t i = 0; i < n; i++) bits[lane] |= (uint64_t)(p[i * col] != 0) << i;
        }
        for (int lane = 0; drop && lane < tq; lane++) bits[lane] = ~bits[lane];
        half |= half << 32;
        for (int j = 16; j; j >>= 1, half ^= half << j) for (int i = 0; i < 32; i = (i + j + 1) & ~j) {
            const uint64_t x = ((bits[i] >> j) ^ bits[i + j]) & half;
            bits[i] ^= x << j; bits[i + j] ^= x;
        }
        for (ptrdiff_t i = 0; i < n; i++) vis[r + i] &= (uint32_t)(bits[i % 32] >> (i / 32 * 32));
    }
}
// Which keys of the block a lane of tq sees: vis[r] has bit `lane` for key k0 + r. Keys at the ends that no lane sees
// are left off. 0 when none is seen.
ATTN__FUNC int attn__visible(const attn__tile_args *g, uint32_t *vis, ptrdiff_t k0, ptrdiff_t nk, int tq, attn__part *p,
                             attn__mask_words *words) {
    const uint32_t all = (uint32_t)(((uint64_t)1 << tq) - 1);
    ptrdiff_t lo = k0, hi = k0 + nk, n;
    int plain;
    if (!g->every) {
        if (lo < g->lo_least) lo = g->lo_least;
        if (hi > g->hi_most) hi = g->hi_most;
        if (lo >= hi) return 0;
    }
    plain = lo >= g->lo_most && hi <= g->hi_least;
    p->k0 = lo; p->nk = n = hi - lo; p->from = p->to = 0;
    if (plain && !g->masks) return 1;
    for (ptrdiff_t r = 0; r < n; r++) vis[r] = plain ? all : 0;
    if (!plain) {                                       // a lane's bit turns where its keys begin and where they end
        for (int i = 0; i < tq; i++) {
            const ptrdiff_t x = g->lo[i] > lo ? g->lo[i] - lo : 0, y = g->hi[i] < hi ? g->hi[i] - lo : n;
            if (x < y) vis[x] ^= (uint32_t)1 << i;
            if (x < y && y < n) vis[y] ^= (uint32_t)1 << i;
        }
        for (ptrdiff_t r = 1; r < n; r++) vis[r] ^= vis[r - 1];
    }
    if (g->keep[0]) attn__mask_bytes(vis, g->keep, lo, n, g->d->keep_stride[3], 0, tq, words);
    if (g->drop[0]) attn__mask_bytes(vis, g->drop, lo, n, g->d->drop_stride[3], 1, tq, words);
    if (g->masks > 1) attn__hide_more(g, vis, lo, n, tq);
    if (!g->every) {
        ptrdiff_t skip = 0;
        while (n > 0 && vis[n - 1] == 0) n--;
        while (skip < n && vis[skip] == 0) skip++;
        if (n == 0) return 0;
        if (skip) memmove(vis, vis + skip, sizeof *vis * (size_t)(n - skip));
        p->k0 += skip; p->nk = n -= skip;
    }
    while (n > 0 && vis[n - 1] == all) n--;
    while (p->from < n && vis[p->from] == all) p->from++;
    p->to = n;
    return 1;
}
// Row of the relative table for query i at p and key j. source  Raffel et al. 2020 (T5), Liu et al. 2021 (Swin)
ATTN__FUNC ptrdiff_t attn__rel_row(const attn_desc *d, ptrdiff_t i, int64_t p, ptrdiff_t j) {
    int64_t x = (int64_t)j - p, n = d->rel_count, base = 0;
    if (d->rel_kind == ATTN_REL_WINDOW_2D) {
        const ptrdiff_t width = d->rel_width;
        return (i / width - j / width + d->rel_height - 1) * (2 * width - 1) + i % width - j % width + width - 1;
    }
    if (d->rel_kind == ATTN_REL_OFFSET) return (ptrdiff_t)((x < -(n / 2) ? -(n / 2) : x > n / 2 ? n / 2 : x) + n / 2);
    if (d->rel_both_ways) { n /= 2; base = x > 0 ? n : 0; x = x < 0 ? -x : x; }
    else x = x < 0 ? -x : 0;
    // log-spaced; an exact power belongs to the bucket that it starts
    if (x >= n / 2) {
        const double half = (double)(n / 2);
        const double share = attn__log_d((double)x / half) / attn__log_d((double)d->rel_max_distance / half);
        x = share >= 1 ? n - 1 : n / 2 + (int64_t)(share * (1 + 1e-9) * (double)(n - n / 2));
        if (x > n - 1) x = n - 1;
    }
    return (ptrdiff_t)(base + x);
}
// The slope of head h for H heads: a geometric series where H is a power of two, else every other term of the next
// one's as well. source  Press et al. 2022
ATTN__FUNC double attn__slope(const attn_desc *d, ptrdiff_t h) {
    ptrdiff_t n = 1;
    if (d->alibi_slopes) return (double)d->alibi_slopes[h];
    while (2 * n <= d->heads) n *= 2;
    {
        const double x = 8 * (h < n ? (double)(h + 1) / (double)n : (double)(2 * (h - n) + 1) / (double)(2 * n));
        const int whole = (int)x;                       // 2^-whole is exact
        return attn__exp_d(-0.69314718055994531 * (x - whole)) / (double)(1 << whole);
    }
}
// factor[r]: 0 or 1 / (1 - p) for key k0 + r
ATTN__FUNC void attn__dropout(const attn_desc *d, ptrdiff_t b, ptrdiff_t h, ptrdiff_t i, ptrdiff_t k0, ptrdiff_t nk,
                              double *factor) {
    const double keep = d->dropout < 1 ? 1 / (1 - (double)d->dropout) : 0, limit = (double)d->dropout * 4294967296.0;
    const uint8_t *given = d->keep_weights ? d->keep_weights + ((b * d->heads + h) * d->queries + i) * d->keys : NULL;
    uint32_t word[4], counter[4], key[2];
    counter[1] = (uint32_t)i; counter[2] = (uint32_t)h; counter[3] = (uint32_t)b;
    key[0] = (uint32_t)d->seed; key[1] = (uint32_t)(d->seed >> 32);
    for (ptrdiff_t r = 0; r < nk; r++) {
        const ptrdiff_t j = k0 + r;
        if (given) { factor[r] = given[j] ? keep : 0; continue; }
        if (r == 0 || j % 4 == 0) { counter[0] = (uint32_t)(j / 4); attn_philox(counter, key, word); }
        factor[r] = (double)word[j % 4] >= limit ? keep : 0;
    }
}

#define ATTN__ISA scalar
#define ATTN__LANES 1
#endif // ======== vec and kernels: compiled once per pass ========
// -------------------------------------------------------------------------------------------------------------------
// >>vec
//
// The same words in every block. A pass is named by ATTN__ISA and chosen here by ATTN__BLOCK; nothing else in vec and
// kernels asks which instruction set it is in. a, b, c are vectors, m masks, p pointers, x one number.
//     attn__v attn__m attn__t        vector, mask, running magnitudes
//     _set _load _store              x in every lane; LANES elements at p
//     _load_n _store_n               the first n of them (n >= 1, also beyond LANES); _load_n fills with x
//     _add _sub _mul _div _max _min  _max(a, b) is a > b ? a : b, so a NaN in a gives b; _min likewise
//     _fma _fnma                     a b + c and c - a b, fused except in the scalar blocks
//     _abs _sign _round              magnitude; magnitude of a with b's sign (a >= 0); nearest even
//     _sqrt _expo                    rounded right; floor(log2 a) of a normal a > 0 (f32)
//     _lt _sel _any _bits _mask      a < b; m ? a : b; any lane; mask to bits; bits to mask
//     _hsum _hmax                    over lanes, in a fixed tree
//     _pow2n                         a 2^n, n integral, in steps that neither overflow nor vanish early
//     _exp2                          2^a for a <= 127, relative error 2e-7; 0 at -inf; NaN stays
//     _seen _bad                     magnitudes joined to a running maximum; did any reach Inf or NaN
//     _of_bf16(p) _of_f16(p) _of_i8(p)   LANES elements of that type; left out where there is no instruction
//     _of_u4(p, n)                   4 bits of LANES bytes, from bit n on; beside _of_i8
//     _chosen(a, p, n) _from_8()     lanes of a by those; -8 .. 7. Only where 16 lanes can be chosen from
//     attn__f16_at(p) _f16(p)        one f16 as a float; in every lane: beside _of_i8
//     attn__bits64(p)                bits of 64 bytes that are not 0; only where there is an instruction
//     _fma_at(acc, s, i, v)          acc + s[i] v with a packet of ATTN__PACKET scalars read at once
//     _swap(a) _twice(p)             neighbours exchanged; LANES / 2 elements at p, each in two lanes
//     _end()                         clears upper halves where compilers may not (gcc -O1: frames of tiles), before
//                                    code without vectors, which on Intel waits 0.1 us else
//     transpose(r)                   LANES x LANES in registers
//     turn4(r, p, i)                 r[u]: word u of 32 bits after byte i of LANES rows; with it _half(a, n), a bf16 of
//                                    each word; _byte(a, n), signed byte n; _fours(a, n), 4 bits from n on, less 8, of
//                                    each byte
// Shapes of the kernels: ATTN__QV vectors of queries (or columns) times a number of rows of scalars. ROWS: scalars that
// follow each other along the contraction (keys of a score); COLS: along the rows (columns of the output, packed a).
// Without packets the two are one kernel.

#define ATTN__FN(name) ATTN__CAT(ATTN__CAT(attn__, name), ATTN__CAT(_, ATTN__ISA))

#ifdef ATTN__DOUBLE
#define attn__e double
#define attn__u uint64_t
#define ATTN__C(x) x
#define ATTN__MAG_BITS 0x7fffffffffffffffu
#define ATTN__INF_BITS 0x7ff0000000000000u
#else
#define attn__e float
#define attn__u uint32_t
#define ATTN__C(x) x##f
#define ATTN__MAG_BITS 0x7fffffffu
#define ATTN__INF_BITS 0x7f800000u
#endif

// Shapes: QV vectors of columns by R3, R2, R1 rows; E2 columns of an output; KT keys of a block; MC, KC, NC blocks of a
// matrix product; MR rows of its panels, C2 the size below.
#if ATTN__LANES == 16
#define ATTN__QV 2
#define ATTN__R3 12
#define ATTN__R2 8
#define ATTN__R1 4
#define ATTN__E2 8
#define ATTN__PACKET 1
#define ATTN__KT 128
#define ATTN__MC 144
#define ATTN__KC 512
#define ATTN__NC 1024
#define ATTN__MR 12
#define ATTN__C2 4
#elif ATTN__LANES == 8
#define ATTN__QV 2
#define ATTN__R3 6
#define ATTN__R2 4
#define ATTN__R1 2
#define ATTN__E2 6
#define ATTN__PACKET 1
#define ATTN__KT 128
#define ATTN__MC 96
#define ATTN__KC 512
#define ATTN__NC 1024
#define ATTN__MR 6
#define ATTN__C2 4
#elif ATTN__LANES == 4
#define ATTN__QV 3
#define ATTN__R3 6
#define ATTN__R2 4
#define ATTN__R1 2
#define ATTN__E2 8
#define ATTN__PACKET 4
#define ATTN__KT 128
#define ATTN__MC 144
#define ATTN__KC 256
#define ATTN__NC 768
#define ATTN__MR 8
#define ATTN__C2 4
#elif defined(ATTN__DOUBLE)
#define ATTN__QV 1
#define ATTN__R3 6
#define ATTN__R2 2
#define ATTN__R1 1
#define ATTN__E2 6
#define ATTN__PACKET 1
#define ATTN__KT 64
#define ATTN__MC 96
#define ATTN__KC 256
#define ATTN__NC 256
#define ATTN__MR 6
#define ATTN__C2 2
#else
#define ATTN__QV 4
#define ATTN__R3 3
#define ATTN__R2 2
#define ATTN__R1 1
#define ATTN__E2 3
#define ATTN__PACKET 1
#define ATTN__KT 64
#define ATTN__MC 96
#define ATTN__KC 256
#define ATTN__NC 256
#define ATTN__MR 3
#define ATTN__C2 2
#endif
#define ATTN__TQ (ATTN__QV * ATTN__LANES)   // queries (columns) of a tile
#if ATTN__LANES == 1 && (ATTN__SIZE || defined(ATTN__DOUBLE))
#define ATTN__UNROLL                        // but in the microkernel, whose sums stay in registers
#else
#define ATTN__UNROLL ATTN__UNROLL_ALL
#endif
#define ATTN__FEW_KEYS (2 * ATTN__LANES)    // keys that few rows meet at once: one sum alone waits for itself

#if ATTN__LANES == 16
// ---- AVX-512
#define attn__v __m512
#define attn__m __mmask16
#define attn__t __m512i
#define attn__s __m512
#define attn__v_set(x) _mm512_set1_ps(x)
#define attn__v_load(p) _mm512_loadu_ps(p)
// in halves: what comes from memory comes a seventh faster so where 512 bits are two of 256 (Zen 4)
#define attn__v_load_halves(p) \
    _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(_mm256_loadu_ps(p))), \
                                        _mm256_castps_pd(_mm256_loadu_ps((p) + 8)), 1))
#define attn__v_store(p, a) _mm512_storeu_ps(p, a)
#define ATTN__FIRST(n) ((n) >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << (n)) - 1u))
#define attn__v_load_n(p, n, x) _mm512_mask_loadu_ps(_mm512_set1_ps(x), ATTN__FIRST(n), p)
#define attn__v_store_n(p, n, a) _mm512_mask_storeu_ps(p, ATTN__FIRST(n), a)
#define attn__v_add(a, b) _mm512_add_ps(a, b)
#define attn__v_sub(a, b) _mm512_sub_ps(a, b)
#define attn__v_mul(a, b) _mm512_mul_ps(a, b)
#define attn__v_div(a, b) _mm512_div_ps(a, b)
#define attn__v_max(a, b) _mm512_max_ps(a, b)
#define attn__v_min(a, b) _mm512_min_ps(a, b)
#define attn__v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define attn__v_fnma(a, b, c) _mm512_fnmadd_ps(a, b, c)
#define attn__v_abs(a) _mm512_abs_ps(a)
#define attn__v_sign(a, b) \
    _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b), \
                                                  _mm512_set1_epi32((int)0x80000000u), 0xd8))
#define attn__v_round(a) _mm512_roundscale_ps(a, 8)
#define attn__v_lt(a, b) _mm512_cmp_ps_mask(a, b, 0x11)
#define attn__v_sel(m, a, b) _mm512_mask_blend_ps(m, b, a)
#define attn__v_any(m) ((m) != 0)
#define attn__v_bits(m) ((uint32_t)(m))
#define attn__v_mask(bits) ((__mmask16)(bits))
#define attn__v_fract(a) _mm512_reduce_ps(a, 9)                     // a - floor(a); 0 at -inf
#define attn__v_scalef(a, n) _mm512_scalef_ps(a, n)                 // a 2^floor(n)
#define attn__v_pow2n(a, n) _mm512_scalef_ps(a, n)
#define attn__v_sqrt(a) _mm512_sqrt_ps(a)
#define attn__v_expo(a) _mm512_getexp_ps(a)
#define attn__t_zero() _mm512_setzero_si512()
#define attn__v_seen(t, a) \
    _mm512_max_epu32(t, _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)))
#define attn__t_bad(t) (_mm512_cmpge_epu32_mask(t, _mm512_set1_epi32(0x7f800000)) != 0)
#define attn__s_load(p) _mm512_set1_ps(*(p))
#define attn__v_fma_at(acc, s, i, v) _mm512_fmadd_ps(s, v, acc)
#define ATTN__H(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define attn__v_of_bf16(p) _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(ATTN__H(p)), 16))
#define attn__v_of_f16(p) _mm512_cvtph_ps(ATTN__H(p))
#define attn__f16_at(p) _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(attn__u16(p))))
#define attn__v_f16(p) _mm512_cvtph_ps(_mm256_set1_epi16((short)attn__u16(p)))
#define attn__v_of_i8(p) _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))))
#define attn__v_chosen(a, p, n) \
    _mm512_permutexvar_ps(_mm512_srlv_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))), \
                                            _mm512_set1_epi32(n)), a)
#define attn__v_from(n) _mm512_set_ps((n) + 15, (n) + 14, (n) + 13, (n) + 12, (n) + 11, (n) + 10, (n) + 9, (n) + 8, \
                                      (n) + 7, (n) + 6, (n) + 5, (n) + 4, (n) + 3, (n) + 2, (n) + 1, n)
#define attn__v_swap(a) _mm512_permute_ps(a, 0xb1)
ATTN__INL __m512 ATTN__FN(twice)(const float *p) {
    const __m512i x = _mm512_cvtepu32_epi64(ATTN__H(p));
    return _mm512_castsi512_ps(_mm512_or_si512(x, _mm512_slli_epi64(x, 32)));
}
#define attn__v_twice(p) ATTN__FN(twice)(p)
#define attn__bits64(p) ((uint64_t)_mm512_test_epi8_mask(_mm512_loadu_si512(p), _mm512_loadu_si512(p)))
#define attn__v_end() _mm256_zeroupper()
#define ATTN__FOLD512(a, op) \
    op(_mm512_castps512_ps256(a), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1)))
ATTN__INL float ATTN__FN(tree)(__m256 a, int sum) {
    __m128 b = _mm256_castps256_ps128(a), c = _mm256_extractf128_ps(a, 1);
    b = sum ? _mm_add_ps(b, c) : _mm_max_ps(b, c);
    c = _mm_movehl_ps(b, b); b = sum ? _mm_add_ps(b, c) : _mm_max_ps(b, c);
    c = _mm_movehdup_ps(b); b = sum ? _mm_add_ps(b, c) : _mm_max_ps(b, c);
    return _mm_cvtss_f32(b);
}
#define attn__v_hsum(a) ATTN__FN(tree)(ATTN__FOLD512(a, _mm256_add_ps), 1)
#define attn__v_hmax(a) ATTN__FN(tree)(ATTN__FOLD512(a, _mm256_max_ps), 0)
ATTN__INL void ATTN__FN(transpose)(__m512 *r) {
    __m512 t[16];
    ATTN__UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]); t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    ATTN__UNROLL for (int i = 0; i < 16; i += 4) {
        const __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]);
        const __m512d c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c)); r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d)); r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    ATTN__UNROLL for (int i = 0; i < 4; i++) {
        const __m512 a = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88), b = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        const __m512 c = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88),
            d = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
        r[i] = _mm512_shuffle_f32x4(a, c, 0x88); r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88); r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}
ATTN__INL void ATTN__FN(turn4)(__m512 *r, const char *const *p, ptrdiff_t i) {
    __m512 t[4];
#define ATTN__PART(n) _mm_loadu_ps((const float *)(const void *)(p[n] + i))
    ATTN__UNROLL for (int u = 0; u < 4; u++) {
        t[u] = _mm512_mask_broadcast_f32x4(_mm512_castps128_ps512(ATTN__PART(u)), 0x00f0, ATTN__PART(u + 4));
        t[u] = _mm512_mask_broadcast_f32x4(t[u], 0x0f00, ATTN__PART(u + 8));
        t[u] = _mm512_mask_broadcast_f32x4(t[u], 0xf000, ATTN__PART(u + 12));
    }
#undef ATTN__PART
    ATTN__UNROLL for (int u = 0; u < 4; u += 2) {
        const __m512d a = _mm512_castps_pd(u ? _mm512_unpackhi_ps(t[0], t[1]) : _mm512_unpacklo_ps(t[0], t[1]));
        const __m512d b = _mm512_castps_pd(u ? _mm512_unpackhi_ps(t[2], t[3]) : _mm512_unpacklo_ps(t[2], t[3]));
        r[u] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)); r[u + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
}
#define ATTN__IC(a) _mm512_castps_si512(a)
#define attn__v_half(a, n) _mm512_castsi512_ps( \
    (n) ? _mm512_and_si512(ATTN__IC(a), _mm512_set1_epi32(-65536)) : _mm512_slli_epi32(ATTN__IC(a), 16))
#define attn__v_byte(a, n) _mm512_cvtepi32_ps( \
    _mm512_srai_epi32(_mm512_slli_epi32(ATTN__IC(a), (unsigned)(24 - 8 * (n))), 24))
#define attn__v_fours(a, n, bias) _mm512_castsi512_ps(_mm512_sub_epi8(_mm512_and_si512( \
    _mm512_srl_epi32(ATTN__IC(a), _mm_cvtsi32_si128(n)), _mm512_set1_epi8(15)), _mm512_set1_epi8(bias)))

#elif ATTN__LANES == 8
// ---- AVX2 with FMA, native or by SIMDe
#ifdef ATTN__BY_SIMDE
#define ATTN__X(name) ATTN__CAT(simde, name)
#define attn__v_end() ((void)0)
#else
#define ATTN__X(name) name
#define attn__v_end() _mm256_zeroupper()
#endif
#define attn__v ATTN__X(__m256)
#define attn__m ATTN__X(__m256)
#define attn__t ATTN__X(__m256i)
#define attn__s ATTN__X(__m256)
#define ATTN__PS(name) ATTN__X(_mm256_##name##_ps)
#define ATTN__IC(a) ATTN__X(_mm256_castps_si256)(a)
#define ATTN__FC(a) ATTN__X(_mm256_castsi256_ps)(a)
#define attn__v_set(x) ATTN__PS(set1)(x)
#define attn__v_load(p) ATTN__PS(loadu)(p)
#define attn__v_store(p, a) ATTN__PS(storeu)(p, a)
ATTN__INL attn__t ATTN__FN(first)(ptrdiff_t n) {
    return ATTN__X(_mm256_cmpgt_epi32)(ATTN__X(_mm256_set1_epi32)(n > 8 ? 8 : (int)n),
                                       ATTN__X(_mm256_setr_epi32)(0, 1, 2, 3, 4, 5, 6, 7));
}
#define attn__v_load_n(p, n, x) \
    ATTN__PS(blendv)(ATTN__PS(set1)(x), ATTN__PS(maskload)(p, ATTN__FN(first)(n)), ATTN__FC(ATTN__FN(first)(n)))
#define attn__v_store_n(p, n, a) ATTN__PS(maskstore)(p, ATTN__FN(first)(n), a)
#define attn__v_add(a, b) ATTN__PS(add)(a, b)
#define attn__v_sub(a, b) ATTN__PS(sub)(a, b)
#define attn__v_mul(a, b) ATTN__PS(mul)(a, b)
#define attn__v_div(a, b) ATTN__PS(div)(a, b)
#define attn__v_max(a, b) ATTN__PS(max)(a, b)
#define attn__v_min(a, b) ATTN__PS(min)(a, b)
#define attn__v_fma(a, b, c) ATTN__PS(fmadd)(a, b, c)
#define attn__v_fnma(a, b, c) ATTN__PS(fnmadd)(a, b, c)
#define attn__v_abs(a) ATTN__PS(andnot)(ATTN__PS(set1)(-0.0f), a)
#define attn__v_sign(a, b) ATTN__X(_mm256_or_ps)(a, ATTN__X(_mm256_and_ps)(b, ATTN__PS(set1)(-0.0f)))
#define attn__v_lt(a, b) ATTN__PS(cmp)(a, b, 0x11)
#define attn__v_sel(m, a, b) ATTN__PS(blendv)(b, a, m)
#ifdef ATTN__BY_SIMDE
ATTN__INL attn__v ATTN__FN(round)(attn__v a) {                      // SIMDe's own would call libm
    const attn__v most = attn__v_set(8388608.0f), big = attn__v_sign(most, a);
    const attn__m fits = attn__v_lt(attn__v_abs(a), most);
    attn__v t = attn__v_add(attn__v_sel(fits, a, attn__v_set(0)), big);
    ATTN__HIDE_F(t);
    return attn__v_sel(fits, attn__v_sub(t, big), a);
}
#define attn__v_round(a) ATTN__FN(round)(a)
#else
#define attn__v_round(a) ATTN__PS(round)(a, 8)
#define attn__v_sqrt(a) ATTN__PS(sqrt)(a)
#endif
#define attn__v_expo(a) \
    attn__v_sub(ATTN__X(_mm256_cvtepi32_ps)(ATTN__X(_mm256_srli_epi32)(ATTN__IC(a), 23)), attn__v_set(127))
#define attn__v_any(m) (ATTN__PS(movemask)(m) != 0)
#define attn__v_bits(m) ((uint32_t)ATTN__PS(movemask)(m))
ATTN__INL attn__m ATTN__FN(mask)(uint32_t bits) {
    const attn__t one = ATTN__X(_mm256_setr_epi32)(1, 2, 4, 8, 16, 32, 64, 128);
    return ATTN__FC(ATTN__X(_mm256_cmpeq_epi32)(ATTN__X(_mm256_and_si256)(ATTN__X(_mm256_set1_epi32)((int)bits), one),
                                                one));
}
#define attn__v_mask(bits) ATTN__FN(mask)(bits)
#define ATTN__H(p) ATTN__X(_mm_loadu_si128)((const ATTN__X(__m128i) *)(const void *)(p))
#define attn__v_swap(a) ATTN__X(_mm256_permute_ps)(a, 0xb1)
ATTN__INL attn__v ATTN__FN(twice)(const float *p) {
    const ATTN__X(__m256i) x = ATTN__X(_mm256_cvtepu32_epi64)(ATTN__H(p));
    return ATTN__FC(ATTN__X(_mm256_or_si256)(x, ATTN__X(_mm256_slli_epi64)(x, 32)));
}
#define attn__v_twice(p) ATTN__FN(twice)(p)
#define attn__v_of_bf16(p) ATTN__FC(ATTN__X(_mm256_slli_epi32)(ATTN__X(_mm256_cvtepu16_epi32)(ATTN__H(p)), 16))
#define attn__v_of_i8(p) \
    ATTN__X(_mm256_cvtepi32_ps)(ATTN__X(_mm256_cvtepi8_epi32)( \
        ATTN__X(_mm_loadl_epi64)((const ATTN__X(__m128i) *)(const void *)(p))))
#define attn__v_of_u4(p, n) \
    ATTN__X(_mm256_cvtepi32_ps)(ATTN__X(_mm256_and_si256)(ATTN__X(_mm256_srl_epi32)(ATTN__X(_mm256_cvtepu8_epi32)( \
        ATTN__X(_mm_loadl_epi64)((const ATTN__X(__m128i) *)(const void *)(p))), ATTN__X(_mm_cvtsi32_si128)(n)),    \
        ATTN__X(_mm256_set1_epi32)(15)))
#ifndef ATTN__BY_SIMDE
#define attn__v_of_f16(p) _mm256_cvtph_ps(ATTN__H(p))
#define attn__f16_at(p) _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(attn__u16(p))))
#define attn__v_f16(p) _mm256_cvtph_ps(_mm_set1_epi16((short)attn__u16(p)))
#else
#define attn__f16_at(p) attn__from_f16(attn__u16(p))
#endif
ATTN__INL uint64_t ATTN__FN(bits64)(const uint8_t *p) {
    const attn__t zero = ATTN__X(_mm256_setzero_si256)();
    uint64_t bits = 0;
    for (int i = 32; i >= 0; i -= 32) {
        const attn__t x = ATTN__X(_mm256_loadu_si256)((const attn__t *)(const void *)(p + i));
        bits = bits << 32 | (uint32_t)~ATTN__X(_mm256_movemask_epi8)(ATTN__X(_mm256_cmpeq_epi8)(x, zero));
    }
    return bits;
}
#define attn__bits64(p) ATTN__FN(bits64)(p)
#define attn__v_addexp(p, t) \
    ATTN__FC(ATTN__X(_mm256_add_epi32)(ATTN__IC(p), ATTN__X(_mm256_slli_epi32)(ATTN__IC(t), 23)))
ATTN__INL attn__v ATTN__FN(ldexp)(attn__v a, attn__v n) {           // -126 <= n <= 127
    const attn__t e = ATTN__X(_mm256_add_epi32)(ATTN__X(_mm256_cvttps_epi32)(n), ATTN__X(_mm256_set1_epi32)(127));
    return attn__v_mul(a, ATTN__FC(ATTN__X(_mm256_slli_epi32)(e, 23)));
}
#define attn__t_zero() ATTN__X(_mm256_setzero_si256)()
#define attn__v_seen(t, a) ATTN__X(_mm256_max_epu32)(t, ATTN__IC(attn__v_abs(a)))
#define attn__t_bad(t) \
    (ATTN__X(_mm256_movemask_epi8)(ATTN__X(_mm256_cmpgt_epi32)(t, ATTN__X(_mm256_set1_epi32)(0x7f7fffff))) != 0)
#define attn__s_load(p) ATTN__X(_mm256_broadcast_ss)(p)
#define attn__v_fma_at(acc, s, i, v) ATTN__PS(fmadd)(s, v, acc)
ATTN__INL float ATTN__FN(tree)(attn__v a, int sum) {
    ATTN__X(__m128) b = ATTN__X(_mm256_castps256_ps128)(a), c = ATTN__X(_mm256_extractf128_ps)(a, 1);
    b = sum ? ATTN__X(_mm_add_ps)(b, c) : ATTN__X(_mm_max_ps)(b, c);
    c = ATTN__X(_mm_movehl_ps)(b, b); b = sum ? ATTN__X(_mm_add_ps)(b, c) : ATTN__X(_mm_max_ps)(b, c);
    c = ATTN__X(_mm_movehdup_ps)(b); b = sum ? ATTN__X(_mm_add_ps)(b, c) : ATTN__X(_mm_max_ps)(b, c);
    return ATTN__X(_mm_cvtss_f32)(b);
}
#define attn__v_hsum(a) ATTN__FN(tree)(a, 1)
#define attn__v_hmax(a) ATTN__FN(tree)(a, 0)
ATTN__INL void ATTN__FN(transpose)(attn__v *r) {
    attn__v t[8];
    ATTN__UNROLL for (int i = 0; i < 8; i += 2) {
        t[i] = ATTN__PS(unpacklo)(r[i], r[i + 1]); t[i + 1] = ATTN__PS(unpackhi)(r[i], r[i + 1]);
    }
    ATTN__UNROLL for (int i = 0; i < 8; i += 4) {
        r[i] = ATTN__PS(shuffle)(t[i], t[i + 2], 0x44); r[i + 1] = ATTN__PS(shuffle)(t[i], t[i + 2], 0xee);
        r[i + 2] = ATTN__PS(shuffle)(t[i + 1], t[i + 3], 0x44); r[i + 3] = ATTN__PS(shuffle)(t[i + 1], t[i + 3], 0xee);
    }
    ATTN__UNROLL for (int i = 0; i < 4; i++) {
        const attn__v a = ATTN__X(_mm256_permute2f128_ps)(r[i], r[i + 4], 0x20);
        const attn__v b = ATTN__X(_mm256_permute2f128_ps)(r[i], r[i + 4], 0x31);
        r[i] = a; r[i + 4] = b;
    }
}
ATTN__INL void ATTN__FN(turn4)(attn__v *r, const char *const *p, ptrdiff_t i) {
    attn__v t[4];
#define ATTN__PART(n) ATTN__X(_mm_loadu_ps)((const float *)(const void *)(p[n] + i))
    ATTN__UNROLL for (int u = 0; u < 4; u++)
        t[u] = ATTN__X(_mm256_insertf128_ps)(ATTN__X(_mm256_castps128_ps256)(ATTN__PART(u)), ATTN__PART(u + 4), 1);
#undef ATTN__PART
    ATTN__UNROLL for (int u = 0; u < 4; u += 2) {
        const attn__v a = u ? ATTN__PS(unpackhi)(t[0], t[1]) : ATTN__PS(unpacklo)(t[0], t[1]);
        const attn__v b = u ? ATTN__PS(unpackhi)(t[2], t[3]) : ATTN__PS(unpacklo)(t[2], t[3]);
        r[u] = ATTN__PS(shuffle)(a, b, 0x44); r[u + 1] = ATTN__PS(shuffle)(a, b, 0xee);
    }
}
#define attn__v_half(a, n) ATTN__FC((n) ? ATTN__X(_mm256_and_si256)(ATTN__IC(a), ATTN__X(_mm256_set1_epi32)(-65536)) \
                                        : ATTN__X(_mm256_slli_epi32)(ATTN__IC(a), 16))
#ifdef attn__v_of_f16
#define attn__v_byte(a, n) \
    _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(ATTN__IC(a), 24 - 8 * (n)), 24))
#define attn__v_fours(a, n, bias) ATTN__FC(_mm256_sub_epi8(_mm256_and_si256( \
    _mm256_srl_epi32(ATTN__IC(a), _mm_cvtsi32_si128(n)), _mm256_set1_epi8(15)), _mm256_set1_epi8(bias)))
#endif

#elif ATTN__LANES == 4
// ---- NEON, native (aarch64; armv7 with FMA) or by SIMDe. Words that SIMDe 0.7 or armv7 lack are built from others.
#ifdef ATTN__BY_SIMDE
#define ATTN__X(name) ATTN__CAT(simde_, name)
#else
#define ATTN__X(name) name
#endif
#define attn__v_end() ((void)0)
#define attn__v ATTN__X(float32x4_t)
#define attn__m ATTN__X(uint32x4_t)
#define attn__t ATTN__X(uint32x4_t)
#define attn__s ATTN__X(float32x4_t)
#define ATTN__IC(a) ATTN__X(vreinterpretq_u32_f32)(a)
#define ATTN__FC(a) ATTN__X(vreinterpretq_f32_u32)(a)
#define attn__v_set(x) ATTN__X(vdupq_n_f32)(x)
#define attn__v_load(p) ATTN__X(vld1q_f32)(p)
#define attn__v_store(p, a) ATTN__X(vst1q_f32)(p, a)
ATTN__INL attn__v ATTN__FN(load_n)(const float *p, ptrdiff_t n, float x) {
    float t[4];
    if (n >= 4) return attn__v_load(p);
    t[0] = p[0]; t[1] = n > 1 ? p[1] : x; t[2] = n > 2 ? p[2] : x; t[3] = x;
    return attn__v_load(t);
}
ATTN__INL void ATTN__FN(store_n)(float *p, ptrdiff_t n, attn__v a) {
    float t[4];
    if (n >= 4) { attn__v_store(p, a); return; }
    attn__v_store(t, a);
    p[0] = t[0]; if (n > 1) p[1] = t[1]; if (n > 2) p[2] = t[2];
}
#define attn__v_load_n(p, n, x) ATTN__FN(load_n)(p, n, x)
#define attn__v_store_n(p, n, a) ATTN__FN(store_n)(p, n, a)
#define attn__v_add(a, b) ATTN__X(vaddq_f32)(a, b)
#define attn__v_sub(a, b) ATTN__X(vsubq_f32)(a, b)
#define attn__v_mul(a, b) ATTN__X(vmulq_f32)(a, b)
#define attn__v_lt(a, b) ATTN__X(vcltq_f32)(a, b)
#define attn__v_sel(m, a, b) ATTN__X(vbslq_f32)(m, a, b)
#define attn__v_max(a, b) attn__v_sel(attn__v_lt(b, a), a, b)      // vmaxq gives NaN where either is
#define attn__v_min(a, b) attn__v_sel(attn__v_lt(a, b), a, b)
#define attn__v_fma(a, b, c) ATTN__X(vfmaq_f32)(c, a, b)
#if defined(ATTN__BY_SIMDE)
#define attn__v_fnma(a, b, c) ATTN__X(vfmaq_f32)(c, ATTN__X(vnegq_f32)(a), b)
#else
#define attn__v_fnma(a, b, c) vfmsq_f32(c, a, b)
#endif
#define attn__v_abs(a) ATTN__X(vabsq_f32)(a)
#define attn__v_sign(a, b) \
    ATTN__FC(ATTN__X(vorrq_u32)(ATTN__IC(a), ATTN__X(vandq_u32)(ATTN__IC(b), ATTN__X(vdupq_n_u32)(0x80000000u))))
#if defined(__aarch64__) && !defined(ATTN__BY_SIMDE)
#define attn__v_div(a, b) vdivq_f32(a, b)
#define attn__v_round(a) vrndnq_f32(a)
#define attn__v_sqrt(a) vsqrtq_f32(a)
#define attn__v_any(m) (vmaxvq_u32(m) != 0)
#define attn__v_bits(m) vaddvq_u32(vandq_u32(m, vld1q_u32(attn__lane_bits)))
#define ATTN__ROUND_INT(a) vcvtnq_s32_f32(a)
#define ATTN__LANE(acc, v, s, i) vfmaq_laneq_f32(acc, v, s, i)
#else
ATTN__INL attn__v ATTN__FN(div)(attn__v a, attn__v b) {
    float x[4], y[4];
    attn__v_store(x, a); attn__v_store(y, b);
    for (int i = 0; i < 4; i++) x[i] /= y[i];
    return attn__v_load(x);
}
#define attn__v_div(a, b) ATTN__FN(div)(a, b)
// beyond 2^22 every step is integral or huge already
ATTN__INL attn__v ATTN__FN(round)(attn__v a) {
    const attn__v big = attn__v_sign(attn__v_set(8388608.0f), a);
    attn__v t = attn__v_add(attn__v_sel(attn__v_lt(attn__v_abs(a), attn__v_set(8388608.0f)), a, attn__v_set(0)), big);
    ATTN__HIDE_F(t);
    return attn__v_sel(attn__v_lt(attn__v_abs(a), attn__v_set(8388608.0f)), attn__v_sub(t, big), a);
}
#define attn__v_round(a) ATTN__FN(round)(a)
ATTN__INL uint32_t ATTN__FN(bits)(attn__m m) {
    uint32_t t[4];
    ATTN__X(vst1q_u32)(t, m);
    return (t[0] & 1u) | (t[1] & 2u) | (t[2] & 4u) | (t[3] & 8u);
}
#define attn__v_bits(m) ATTN__FN(bits)(m)
#define attn__v_any(m) (ATTN__FN(bits)(m) != 0)
#define ATTN__ROUND_INT(a) ATTN__X(vcvtq_s32_f32)(attn__v_round(a))
#define ATTN__LANE(acc, v, s, i) ATTN__X(vfmaq_f32)(acc, v, attn__v_set(ATTN__X(vgetq_lane_f32)(s, i)))
#endif
ATTN__INL attn__m ATTN__FN(mask)(uint32_t bits) {
    const attn__m one = ATTN__X(vld1q_u32)(attn__lane_bits);
    return ATTN__X(vceqq_u32)(ATTN__X(vandq_u32)(ATTN__X(vdupq_n_u32)(bits), one), one);
}
#define attn__v_mask(bits) ATTN__FN(mask)(bits)
#define attn__v_addexp(p, t) ATTN__FC(ATTN__X(vaddq_u32)(ATTN__IC(p), ATTN__X(vshlq_n_u32)(ATTN__IC(t), 23)))
#define attn__v_expo(a) \
    attn__v_sub(ATTN__X(vcvtq_f32_u32)(ATTN__X(vshrq_n_u32)(ATTN__IC(a), 23)), attn__v_set(127))
ATTN__INL attn__v ATTN__FN(ldexp)(attn__v a, attn__v n) {
    const ATTN__X(int32x4_t) e = ATTN__X(vaddq_s32)(ATTN__ROUND_INT(n), ATTN__X(vdupq_n_s32)(127));
    return attn__v_mul(a, ATTN__X(vreinterpretq_f32_s32)(ATTN__X(vshlq_n_s32)(e, 23)));
}
#define attn__t_zero() ATTN__X(vdupq_n_u32)(0)
#define attn__v_seen(t, a) ATTN__X(vmaxq_u32)(t, ATTN__IC(attn__v_abs(a)))
#define attn__t_bad(t) attn__v_any(ATTN__X(vcgtq_u32)(t, ATTN__X(vdupq_n_u32)(0x7f7fffffu)))
#define attn__s_load(p) ATTN__X(vld1q_f32)(p)
#define attn__v_of_bf16(p) \
    ATTN__FC(ATTN__X(vshlq_n_u32)(ATTN__X(vmovl_u16)(ATTN__X(vld1_u16)((const uint16_t *)(const void *)(p))), 16))
#if defined(__aarch64__) && !defined(ATTN__BY_SIMDE)
#define attn__v_of_f16(p) vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)(const void *)(p))))
#endif
#define attn__v_swap(a) ATTN__X(vrev64q_f32)(a)
ATTN__INL attn__v ATTN__FN(twice)(const float *p) {
    const ATTN__X(float32x2_t) x = ATTN__X(vld1_f32)(p);
    const ATTN__X(float32x2x2_t) z = ATTN__X(vzip_f32)(x, x);
    return ATTN__X(vcombine_f32)(z.val[0], z.val[1]);
}
#define attn__v_twice(p) ATTN__FN(twice)(p)
#define attn__v_fma_at(acc, s, i, v) ATTN__LANE(acc, v, s, i)
ATTN__INL float ATTN__FN(tree)(attn__v a, int sum) {
    float t[4];
    attn__v_store(t, a);
    if (sum) return (t[0] + t[2]) + (t[1] + t[3]);
    t[0] = t[0] > t[2] ? t[0] : t[2]; t[1] = t[1] > t[3] ? t[1] : t[3];
    return t[0] > t[1] ? t[0] : t[1];
}
#define attn__v_hsum(a) ATTN__FN(tree)(a, 1)
#define attn__v_hmax(a) ATTN__FN(tree)(a, 0)
ATTN__INL void ATTN__FN(transpose)(attn__v *r) {
    const ATTN__X(float32x4x2_t) a = ATTN__X(vtrnq_f32)(r[0], r[1]), b = ATTN__X(vtrnq_f32)(r[2], r[3]);
    r[0] = ATTN__X(vcombine_f32)(ATTN__X(vget_low_f32)(a.val[0]), ATTN__X(vget_low_f32)(b.val[0]));
    r[1] = ATTN__X(vcombine_f32)(ATTN__X(vget_low_f32)(a.val[1]), ATTN__X(vget_low_f32)(b.val[1]));
    r[2] = ATTN__X(vcombine_f32)(ATTN__X(vget_high_f32)(a.val[0]), ATTN__X(vget_high_f32)(b.val[0]));
    r[3] = ATTN__X(vcombine_f32)(ATTN__X(vget_high_f32)(a.val[1]), ATTN__X(vget_high_f32)(b.val[1]));
}

#else
// ---- one lane of plain C: the scalar pass and the f64 pass. A product and a sum round twice here, on every machine.
#define attn__v attn__e
#define attn__m int
#define attn__t attn__u
#define attn__s attn__e
#define attn__v_end() ((void)0)
#define attn__v_set(x) ((attn__e)(x))
#define attn__v_load(p) (*(p))
#define attn__v_store(p, a) ((void)(*(p) = (a)))
#define attn__v_load_n(p, n, x) (*(p))
#define attn__v_store_n(p, n, a) ((void)(*(p) = (a)))
#define attn__v_add(a, b) ((a) + (b))
#define attn__v_sub(a, b) ((a) - (b))
#define attn__v_mul(a, b) ((a) * (b))
#define attn__v_div(a, b) ((a) / (b))
#define attn__v_fma(a, b, c) ((a) * (b) + (c))
#define attn__v_fnma(a, b, c) ((c) - (a) * (b))
#define attn__v_lt(a, b) ((a) < (b))
#define attn__v_sel(m, a, b) ((m) ? (a) : (b))
#define attn__v_any(m) (m)
#define attn__v_bits(m) ((uint32_t)(m))
#define attn__v_mask(bits) ((int)((bits) & 1u))
#define attn__v_hsum(a) (a)
#define attn__v_hmax(a) (a)
#define attn__t_zero() 0
#define attn__t_bad(t) ((t) >= ATTN__INF_BITS)
#define attn__s_load(p) (*(p))
#define attn__v_fma_at(acc, s, i, v) ((s) * (v) + (acc))
ATTN__INL attn__u ATTN__FN(to_bits)(attn__e x) { attn__u u; memcpy(&u, &x, sizeof u); return u; }
ATTN__INL attn__e ATTN__FN(of_bits)(attn__u u) { attn__e x; memcpy(&x, &u, sizeof x); return x; }
ATTN__INL attn__e ATTN__FN(greater)(attn__e a, attn__e b) { return a > b ? a : b; }
ATTN__INL attn__e ATTN__FN(lesser)(attn__e a, attn__e b) { return a < b ? a : b; }
ATTN__INL attn__u ATTN__FN(seen)(attn__u t, attn__e a) {
    const attn__u u = ATTN__FN(to_bits)(a) & (attn__u)ATTN__MAG_BITS;
    return u > t ? u : t;
}
#define attn__v_max(a, b) ATTN__FN(greater)(a, b)
#define attn__v_min(a, b) ATTN__FN(lesser)(a, b)
#define attn__v_abs(a) ATTN__FN(of_bits)(ATTN__FN(to_bits)(a) & (attn__u)ATTN__MAG_BITS)
#define attn__v_sign(a, b) \
    ATTN__FN(of_bits)(ATTN__FN(to_bits)(a) | (ATTN__FN(to_bits)(b) & ~(attn__u)ATTN__MAG_BITS))
#define attn__v_seen(t, a) ATTN__FN(seen)(t, a)
ATTN__INL void ATTN__FN(transpose)(attn__e *r) { (void)r; }
#ifndef ATTN__DOUBLE
ATTN__INL float ATTN__FN(round)(float x) {                          // |x| < 2^22; nearest even by the adder
    volatile float t = x + 12582912.0f;
    return t - 12582912.0f;
}
#define attn__v_round(a) ATTN__FN(round)(a)
ATTN__INL float ATTN__FN(addexp)(float p, float t) {
    return ATTN__FN(of_bits)(ATTN__FN(to_bits)(p) + (ATTN__FN(to_bits)(t) << 23));
}
#define attn__v_addexp(p, t) ATTN__FN(addexp)(p, t)
#define attn__v_expo(a) ((float)(ATTN__FN(to_bits)(a) >> 23) - 127.0f)
ATTN__INL float ATTN__FN(ldexp)(float a, float n) {
    const int e = n == n ? (int)n + 127 : 0;
    return a * ATTN__FN(of_bits)((uint32_t)e << 23);
}
#endif
#endif
#ifndef ATTN__OVERLAY
#if !defined(attn__v_pow2n) && !defined(ATTN__DOUBLE)
ATTN__INL attn__v ATTN__FN(pow2n)(attn__v a, attn__v n) {           // in two steps: 2^n alone may not be a number
    const attn__v half = attn__v_round(attn__v_mul(n, attn__v_set(0.5f)));
    return ATTN__FN(ldexp)(ATTN__FN(ldexp)(a, half), attn__v_sub(n, half));
}
#define attn__v_pow2n(a, n) ATTN__FN(pow2n)(a, n)
#endif
#ifndef attn__v_sqrt
ATTN__FUNC attn__v ATTN__FN(sqrt)(attn__v a) {                      // where there is no instruction
    attn__e t[ATTN__LANES];
    attn__v_store(t, a);
    for (int i = 0; i < ATTN__LANES; i++) t[i] = (attn__e)attn__sqrt_d((double)t[i]);
    return attn__v_load(t);
}
#define attn__v_sqrt(a) ATTN__FN(sqrt)(a)
#endif
#endif

#ifdef ATTN__OVERLAY
// ---- words of an overlay: 32 bits, two bf16 or four bytes, whose products one instruction sums
//     attn__x_fma(a, b, c) _fma_at   c + a b with a and b pairs of bf16 in every lane
//     attn__x_pairs(a, b) _of(p, r)  pairs of two vectors rounded to bf16; of LANES bf16 at p with those at r
//     zip(x, p, r)                   two vectors of attn__x_of
//     attn__x_dot(c, a, b)           c + a b in integers, b of -128..127, a of 0..255 (NEON: -128..127)
//     attn__x_bytes(p)               4 LANES bytes of -128..127 as such an a: ATTN__X_BIAS more
//     x_block(p, type, i, n)         bytes i .. of a row of blocks of n as an a: q8_0 as above, of 4 bits 0..15
//     x_sums(y, r)                   LANES sums of integers, by the row, of each block of 32 in r: y[block]
#if ATTN__LANES == 16
#define ATTN__HAS_BF16 1
#define ATTN__HAS_I8 1
#define ATTN__X_BIAS 128
#define attn__x_i __m512i
#define ATTN__BF(a) ((__m512bh)_mm512_castps_si512(a))
#define attn__x_fma(a, b, c) _mm512_dpbf16_ps(c, ATTN__BF(a), ATTN__BF(b))
#define attn__x_fma_at(c, s, i, a) attn__x_fma(s, a, c)
#define attn__x_dot(c, a, b) _mm512_dpbusd_epi32(c, _mm512_castps_si512(a), _mm512_castps_si512(b))
#define attn__x_bytes(p) \
    _mm512_castsi512_ps(_mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8((char)-128)))
#define attn__x_set(n) _mm512_set1_epi32(n)
#define attn__x_load(p) _mm512_loadu_si512(p)
#define attn__x_sum(a) _mm512_reduce_add_epi32(a)
#define attn__x_add(a, b) _mm512_add_epi32(a, b)
#define attn__x_float(a) _mm512_cvtepi32_ps(a)
// i and i + x as halves of word i
#define attn__x_both(x) \
    _mm512_add_epi32(_mm512_mullo_epi32(_mm512_cvtepi8_epi32(_mm_set_epi64x(0x0f0e0d0c0b0a0908, 0x0706050403020100)), \
                                        _mm512_set1_epi32(0x10001)), _mm512_set1_epi32((x) << 16))
ATTN__INL __m512 ATTN__FN(pairs)(__m512 a, __m512 b) {
    const __m512i from = attn__x_both(16);
    return _mm512_castsi512_ps(_mm512_permutexvar_epi16(from, (__m512i)_mm512_cvtne2ps_pbh(b, a)));
}
#define attn__x_pairs(a, b) ATTN__FN(pairs)(a, b)
#define attn__x_of(p, r) \
    _mm512_castsi512_ps(_mm512_or_si512(_mm512_cvtepu16_epi32(ATTN__H(p)), \
                                        _mm512_slli_epi32(_mm512_cvtepu16_epi32(ATTN__H(r)), 16)))
ATTN__INL void ATTN__FN(zip)(__m512 *x, const char *p, const char *r) {
    const __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(r), next = _mm512_set1_epi32(0x100010);
    const __m512i from = attn__x_both(32);
    x[0] = _mm512_castsi512_ps(_mm512_permutex2var_epi16(a, from, b));
    x[1] = _mm512_castsi512_ps(_mm512_permutex2var_epi16(a, _mm512_add_epi32(from, next), b));
}
ATTN__INL __m512 ATTN__FN(x_block)(const char *p, int type, ptrdiff_t i, ptrdiff_t n) {
    const int both = i + 32 < n, head = type == ATTN_Q4_1 ? 2 : 1, words = head + 8;       // of 16 bits, in a block
    p += i / 32 * attn__types[type].bytes;
    if (type == ATTN_Q8_0) {
        const __m256i top = _mm256_set1_epi8((char)-128);
        const __m512i a = _mm512_castsi256_si512(_mm256_xor_si256(ATTN__H(p + 2), top));
        return _mm512_castsi512_ps(_mm512_inserti64x4(a, both ? _mm256_xor_si256(ATTN__H(p + 36), top)
                                                      : _mm256_setzero_si256(), 1));
    } else {                                            // two blocks at once: twice the bytes of each, then one half
        const __m512i from = _mm512_add_epi16(_mm512_broadcast_i32x4(_mm_set_epi16(7, 6, 5, 4, 3, 2, 1, 0)),
                                              _mm512_inserti64x4(_mm512_set1_epi16((short)head),
                                                                 _mm256_set1_epi16((short)(head + words)), 1));
        const __m512i four = _mm512_broadcast_i64x4(_mm256_set_epi64x(0x4000400040004, 0x4000400040004, 0, 0));
        const __m512i a = _mm512_maskz_loadu_epi16(((__mmask32)1 << (both ? 2 * words : words)) - 1, p);
        return _mm512_castsi512_ps(_mm512_and_si512(_mm512_srlv_epi16(_mm512_permutexvar_epi16(from, a), four),
                                                    _mm512_set1_epi8(15)));
    }
}
ATTN__INL void ATTN__FN(x_sums)(__m512i *y, __m512i *r) {
    __m512i low, high;
    ATTN__UNROLL for (int i = 0; i < 16; i += 2)
        r[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(r[i], r[i + 1]), _mm512_unpackhi_epi32(r[i], r[i + 1]));
    ATTN__UNROLL for (int i = 0; i < 16; i += 4)
        r[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(r[i], r[i + 2]), _mm512_unpackhi_epi64(r[i], r[i + 2]));
    low = _mm512_add_epi32(_mm512_shuffle_i32x4(r[0], r[4], 0x88), _mm512_shuffle_i32x4(r[0], r[4], 0xdd));
    high = _mm512_add_epi32(_mm512_shuffle_i32x4(r[8], r[12], 0x88), _mm512_shuffle_i32x4(r[8], r[12], 0xdd));
    y[0] = _mm512_shuffle_i32x4(low, high, 0x88); y[1] = _mm512_shuffle_i32x4(low, high, 0xdd);
}
#else                                                   // NEON; ATTN__HAS_BF16 comes from the stanza that includes
#define ATTN__HAS_I8 1
#define ATTN__X_BIAS 0
#define attn__x_i int32x4_t
#define ATTN__BF(a) vreinterpretq_bf16_f32(a)
#define attn__x_fma(a, b, c) vbfdotq_f32(c, ATTN__BF(a), ATTN__BF(b))
#define attn__x_fma_at(c, s, i, a) vbfdotq_laneq_f32(c, ATTN__BF(a), ATTN__BF(s), i)
#define attn__x_dot(c, a, b) vdotq_s32(c, vreinterpretq_s8_f32(a), vreinterpretq_s8_f32(b))
#define attn__x_bytes(p) vreinterpretq_f32_s8(vld1q_s8(p))
#define attn__f16_at(p) attn__from_f16(attn__u16(p))
#define attn__x_set(n) vdupq_n_s32(n)
#define attn__x_load(p) vld1q_s32((const int32_t *)(const void *)(p))
#define attn__x_sum(a) vaddvq_s32(a)
#define attn__x_add(a, b) vaddq_s32(a, b)
#define attn__x_float(a) vcvtq_f32_s32(a)
#define ATTN__ZIP(a, b) vreinterpretq_f32_u16(vcombine_u16(vzip1_u16(a, b), vzip2_u16(a, b)))
#define attn__x_pairs(a, b) ATTN__ZIP(vreinterpret_u16_bf16(vcvt_bf16_f32(a)), vreinterpret_u16_bf16(vcvt_bf16_f32(b)))
#define attn__x_of(p, r) \
    ATTN__ZIP(vld1_u16((const uint16_t *)(const void *)(p)), vld1_u16((const uint16_t *)(const void *)(r)))
ATTN__INL void ATTN__FN(zip)(float32x4_t *x, const char *p, const char *r) {
    x[0] = attn__x_of(p, r); x[1] = attn__x_of(p + 8, r + 8);
}
ATTN__INL float32x4_t ATTN__FN(x_block)(const char *p, int type, ptrdiff_t i, ptrdiff_t n) {
    const uint8_t *b = (const uint8_t *)p + i / 32 * attn__types[type].bytes + (type == ATTN_Q4_1 ? 4 : 2);
    const uint8x16_t a = vld1q_u8(b + (type == ATTN_Q8_0 ? i % 32 : 0));
    (void)n;
    return vreinterpretq_f32_u8(type == ATTN_Q8_0 ? a : i % 32 ? vshrq_n_u8(a, 4) : vandq_u8(a, vdupq_n_u8(15)));
}
ATTN__INL void ATTN__FN(x_sums)(int32x4_t *y, int32x4_t *r) {
    y[0] = vpaddq_s32(vpaddq_s32(r[0], r[1]), vpaddq_s32(r[2], r[3]));
}
#endif
#endif

// -------------------------------------------------------------------------------------------------------------------
// >>kernels

#ifndef ATTN__OVERLAY

// ---- maths. f32: minimax polynomials, errors in docs/precision.md. f64: the cores of >>base.
#ifdef ATTN__DOUBLE
#define ATTN__NEG_INF attn__from_bits_d(0xfff0000000000000u)
#define ATTN__LARGEST 1.7976931348623157e308
ATTN__FUNC double ATTN__FN(exp)(double x) { return attn__exp_d(x); }
ATTN__FUNC double ATTN__FN(exp2)(double x) { return attn__exp_d(x * 0.69314718055994531); }
ATTN__FUNC double ATTN__FN(tanh)(double x) { return attn__tanh_d(x); }
ATTN__FUNC double ATTN__FN(erf)(double x) { return attn__erf_d(x); }
ATTN__FUNC double ATTN__FN(log)(double x) { return attn__log_d(x); }
#else
#define ATTN__NEG_INF attn__neg_inf()
#define ATTN__LARGEST 3.402823466e38f
ATTN__INL attn__v ATTN__FN(exp2)(attn__v x) {
    attn__v f, p;
#ifdef attn__v_scalef
    f = attn__v_fract(x);
    p = attn__v_fma(attn__v_set(0.0018671297f), f, attn__v_set(0.009017030708f));
    p = attn__v_fma(p, f, attn__v_set(0.05579990894f)); p = attn__v_fma(p, f, attn__v_set(0.2401644737f));
    p = attn__v_fma(p, f, attn__v_set(0.6931512952f)); p = attn__v_fma(p, f, attn__v_set(1.0f));
    return attn__v_scalef(p, x);
#else
    attn__v t;
    x = attn__v_max(attn__v_set(-127.0f), x);          // at -127 the exponent field becomes 0 and p is exactly 1
    t = attn__v_add(x, attn__v_set(12582912.0f)); ATTN__HIDE_F(t);
    f = attn__v_sub(t, attn__v_set(12582912.0f)); ATTN__HIDE_F(f);
    f = attn__v_sub(x, f);
    p = attn__v_fma(attn__v_set(0.001326472731f), f, attn__v_set(0.009671512991f));
    p = attn__v_fma(p, f, attn__v_set(0.05550732464f)); p = attn__v_fma(p, f, attn__v_set(0.2402224392f));
    p = attn__v_fma(p, f, attn__v_set(0.6931470037f)); p = attn__v_fma(p, f, attn__v_set(1.0f));
    return attn__v_addexp(p, t);
#endif
}
ATTN__INL attn__v ATTN__FN(exp)(attn__v x) {
    attn__v n, r, p;
    x = attn__v_min(attn__v_set(89.5f), attn__v_max(attn__v_set(-104.5f), x));   // this order keeps NaN
    n = attn__v_round(attn__v_mul(x, attn__v_set(1.44269504f))); ATTN__HIDE_F(n);
    r = attn__v_fnma(n, attn__v_set(0.693145751953125f), x); ATTN__HIDE_F(r);
    r = attn__v_fnma(n, attn__v_set(1.42860677e-6f), r);
    p = attn__v_fma(attn__v_set(0.00138145488f), r, attn__v_set(0.008368745228f));
    p = attn__v_fma(p, r, attn__v_set(0.04166839061f)); p = attn__v_fma(p, r, attn__v_set(0.166665204f));
    p = attn__v_fma(p, r, attn__v_set(0.4999999343f));
#if ATTN__LANES == 1
    p = attn__v_add(attn__v_fma(attn__v_mul(r, r), p, r), attn__v_set(1.0f));    // without FMA: 0.97 ULP, else 1.15
#else
    p = attn__v_fma(p, r, attn__v_set(1.0f)); p = attn__v_fma(p, r, attn__v_set(1.0f));
#endif
    return attn__v_pow2n(p, n);
}
// Odd polynomial below 0.625, 1 - 2 / (e^2x + 1) above.
ATTN__FUNC attn__v ATTN__FN(tanh)(attn__v x) {
    const attn__v a = attn__v_min(attn__v_set(9.5f), attn__v_abs(x)), z = attn__v_mul(x, x);
    const attn__v e = ATTN__FN(exp)(attn__v_add(a, a));
    const attn__v big = attn__v_sub(attn__v_set(1.0f),
                                    attn__v_div(attn__v_set(2.0f), attn__v_add(e, attn__v_set(1.0f))));
    attn__v p = attn__v_fma(attn__v_set(-0.005666974252f), z, attn__v_set(0.02060617384f));
    p = attn__v_fma(p, z, attn__v_set(-0.05373000623f)); p = attn__v_fma(p, z, attn__v_set(0.1333133099f));
    p = attn__v_fma(p, z, attn__v_set(-0.3333327806f));
    p = attn__v_fma(attn__v_mul(p, z), a, a);
    return attn__v_sign(attn__v_sel(attn__v_lt(a, attn__v_set(0.625f)), p, big), x);
}
// Odd polynomial below 1, 1 - e^q(|x|) above.
ATTN__FUNC attn__v ATTN__FN(erf)(attn__v x) {
    const attn__v a = attn__v_min(attn__v_set(3.95f), attn__v_abs(x)), z = attn__v_mul(x, x);
    attn__v p = attn__v_fma(attn__v_set(7.837262134e-5f), z, attn__v_set(-0.0008005568046f)), q;
    p = attn__v_fma(p, z, attn__v_set(0.005187847231f)); p = attn__v_fma(p, z, attn__v_set(-0.02685358352f));
    p = attn__v_fma(p, z, attn__v_set(0.1128358028f)); p = attn__v_fma(p, z, attn__v_set(-0.3761262545f));
    p = attn__v_fma(p, z, attn__v_set(0.1283791657f)); p = attn__v_fma(p, x, x);
    q = attn__v_fma(attn__v_set(-2.169761883e-5f), a, attn__v_set(0.0004414727156f));
    q = attn__v_fma(q, a, attn__v_set(-0.004205285123f)); q = attn__v_fma(q, a, attn__v_set(0.02521034093f));
    q = attn__v_fma(q, a, attn__v_set(-0.1084221018f)); q = attn__v_fma(q, a, attn__v_set(-0.6332163943f));
    q = attn__v_fma(q, a, attn__v_set(-1.129580313f)); q = attn__v_fma(q, a, attn__v_set(0.0001884682509f));
    q = attn__v_sub(attn__v_set(1.0f), ATTN__FN(exp)(q));
    return attn__v_sel(attn__v_lt(attn__v_abs(x), attn__v_set(1.0f)), p, attn__v_sign(q, x));
}
// x = 2^e (1 + r) with r in (-0.293, 0.415): e ln 2 + r - r^2 / 2 + r^3 p(r)
ATTN__FUNC attn__v ATTN__FN(log)(attn__v x) {
    const attn__v zero = attn__v_set(0), inf = attn__v_sub(zero, attn__v_set(ATTN__NEG_INF));
    const attn__m tiny = attn__v_lt(x, attn__v_set(2.350988702e-38f));
    const attn__v a = attn__v_sel(tiny, attn__v_mul(x, attn__v_set(33554432.0f)), x);      // 2^25
    attn__v e = attn__v_add(attn__v_expo(attn__v_mul(a, attn__v_set(0.7071067812f))), attn__v_set(1)), r, z, p;
    r = attn__v_sub(attn__v_pow2n(a, attn__v_sub(zero, e)), attn__v_set(1));
    e = attn__v_sub(e, attn__v_sel(tiny, attn__v_set(25), zero));
    z = attn__v_mul(r, r);
    p = attn__v_fma(attn__v_set(0.08700435609f), r, attn__v_set(-0.1426748633f));
    p = attn__v_fma(p, r, attn__v_set(0.1491476744f)); p = attn__v_fma(p, r, attn__v_set(-0.1657758504f));
    p = attn__v_fma(p, r, attn__v_set(0.199630633f)); p = attn__v_fma(p, r, attn__v_set(-0.2500133812f));
    p = attn__v_fma(p, r, attn__v_set(0.3333390951f));
    p = attn__v_fma(attn__v_mul(p, r), z, attn__v_mul(e, attn__v_set(-2.1219444e-4f)));    // ln 2 - 0.693359375
    p = attn__v_add(r, attn__v_fnma(attn__v_set(0.5f), z, p));
    p = attn__v_sel(attn__v_lt(x, inf), attn__v_fma(e, attn__v_set(0.693359375f), p), x);
    r = attn__v_sel(attn__v_lt(x, zero), attn__v_set((attn__e)attn__from_bits_d(ATTN__D_NAN)), attn__v_sub(x, inf));
    return attn__v_sel(attn__v_lt(zero, x), p, r);
}
#endif
// sigmoid z, or x sigmoid(z), of z = x, or the argument 2 sqrt(2 / pi) (x + 0.044715 x^3) that makes it a gelu.
// e^-|z| alone: no overflow, no cancellation.
ATTN__INL attn__v ATTN__FN(gate)(int op, attn__v x) {
    const int cubic = op == ATTN__LOOP_GELU_TANH;
    const attn__v one = attn__v_set(1), square = attn__v_min(attn__v_mul(x, x), attn__v_set(ATTN__C(1e10)));
    const attn__v z = attn__v_mul(x, attn__v_fma(square, attn__v_set(cubic ? ATTN__C(0.071354816272600249) : 0),
                                                 attn__v_set(cubic ? ATTN__C(1.5957691216057308) : 1)));
    const attn__v t = ATTN__FN(exp)(attn__v_sub(attn__v_set(0), attn__v_abs(z)));
    const attn__v y = attn__v_div(attn__v_sel(attn__v_lt(z, attn__v_set(0)), t, one), attn__v_add(one, t));
    return op == ATTN__LOOP_SIGMOID ? y : attn__v_mul(attn__v_max(attn__v_set(-ATTN__LARGEST), x), y);
}
// erf x, or with it gelu x; no infinity meets a 0
ATTN__INL attn__v ATTN__FN(bell)(int op, attn__v x) {
    const attn__e c = op == ATTN__LOOP_ERF ? 1 : ATTN__C(0.70710678118654752);
    const attn__v y = ATTN__FN(erf)(attn__v_mul(x, attn__v_set(c)));
    const attn__v half = attn__v_mul(attn__v_max(attn__v_set(-ATTN__LARGEST), x), attn__v_set(ATTN__C(0.5)));
    return op == ATTN__LOOP_ERF ? y : attn__v_mul(half, attn__v_add(attn__v_set(1), y));
}

// ---- elementwise

// Whole vectors only, strides 1, or 0 for what repeats. Returns the sum when ys is 0.
#define ATTN__LOOP(EXPR)                                                                                          \
    for (; i < n; i += ATTN__LANES) {                                                                             \
        const attn__v va = as ? attn__v_load(a + i) : a0, vb = bs ? attn__v_load(b + i) : b0, r = EXPR;           \
        (void)vb;                                                                                                 \
        if (!ys) sum = attn__v_add(sum, r);                                                                       \
        else attn__v_store(y + i, add ? attn__v_add(attn__v_load(y + i), r) : r);                                 \
    }                                                                                                             \
    break
ATTN__OUTLINE double ATTN__FN(loop_unit)(int op, attn__e *y, const attn__e *a, const attn__e *b, ptrdiff_t n, int ys,
                                         int as, int bs, int add, attn__e s) {
    const attn__v vs = attn__v_set(s), zero = attn__v_set(0), one = attn__v_set(1);
    const attn__v a0 = attn__v_set(*a), b0 = attn__v_set(*b);
    attn__v sum = zero;
    ptrdiff_t i = 0;
    switch (op) {
    case ATTN__LOOP_COPY: ATTN__LOOP(va);
    case ATTN__LOOP_ADD: ATTN__LOOP(attn__v_add(va, vb));
    case ATTN__LOOP_SUB: ATTN__LOOP(attn__v_sub(va, vb));
    case ATTN__LOOP_MUL: ATTN__LOOP(attn__v_mul(va, vb));
    case ATTN__LOOP_DIV: ATTN__LOOP(attn__v_div(va, vb));
    case ATTN__LOOP_SCALE: ATTN__LOOP(attn__v_mul(va, vs));
    case ATTN__LOOP_SQUARE: ATTN__LOOP(attn__v_mul(va, va));
    case ATTN__LOOP_EXP: ATTN__LOOP(ATTN__FN(exp)(va));
    case ATTN__LOOP_TANH: ATTN__LOOP(ATTN__FN(tanh)(va));
    case ATTN__LOOP_ERF: case ATTN__LOOP_GELU: ATTN__LOOP(ATTN__FN(bell)(op, va));
    case ATTN__LOOP_LOG: ATTN__LOOP(ATTN__FN(log)(va));
    case ATTN__LOOP_SQRT: ATTN__LOOP(attn__v_sqrt(va));
    case ATTN__LOOP_SIGMOID: case ATTN__LOOP_SILU: case ATTN__LOOP_GELU_TANH: ATTN__LOOP(ATTN__FN(gate)(op, va));
    case ATTN__LOOP_RELU: ATTN__LOOP(attn__v_max(zero, va));                          // NaN stays
    case ATTN__LOOP_MUL_SCALE: ATTN__LOOP(attn__v_mul(attn__v_mul(va, vb), vs));
    case ATTN__LOOP_TANH_GRAD: ATTN__LOOP(attn__v_mul(vb, attn__v_fnma(va, va, one)));
    case ATTN__LOOP_RELU_GRAD: ATTN__LOOP(attn__v_sel(attn__v_lt(zero, va), vb, zero));
    case ATTN__LOOP_SQUARE_SUB: ATTN__LOOP(attn__v_mul(attn__v_sub(va, vb), attn__v_sub(va, vb)));
    default: break;
    }
    return (double)attn__v_hsum(sum);
}
#undef ATTN__LOOP

// y[i] = f(a[i], b[i]). add: onto y; ys 0: all added up. What is no whole vector, or lies apart, goes through buffers.
ATTN__FUNC void ATTN__FN(loop)(attn__loop_args *g) {
    attn__e ya[64], aa[64], ba[64];
    attn__e *y = (attn__e *)g->y;
    const attn__e *a = (const attn__e *)g->a, *b = (const attn__e *)g->b;
    const attn__e s = (attn__e)g->s;
    const int unit = (g->ys == 1 || g->ys == 0) && (g->as == 1 || g->as == 0) && (g->bs == 1 || g->bs == 0);
    const int cold = !ATTN__LEAN && g->ys && g->n >= 1048576;   // more than near caches hold: touched a page ahead
    double total = 0;
    if (g->n <= 0) return;
    for (ptrdiff_t i = 0, n; i < g->n; i += n) {
        n = g->n - i;
        if (unit && n >= ATTN__LANES) {
            const ptrdiff_t most = cold ? 256 : 4096, ahead = i + 1024 < g->n - most ? i + 1024 : g->n - most;
            n = n > most ? most : n / ATTN__LANES * ATTN__LANES;
            for (ptrdiff_t u = 0; cold && u < n; u += 64 / (ptrdiff_t)sizeof(attn__e)) {
                ATTN__PREFETCH(a + (ahead + u) * g->as);
                if (g->bs) ATTN__PREFETCH(b + ahead + u);
                ATTN__PREFETCH_W(y + (ahead + u) * g->ys);
            }
            total += ATTN__FN(loop_unit)(g->op, y + i * g->ys, a + i * g->as, b + i * g->bs, n, (int)g->ys, (int)g->as,
                                         (int)g->bs, g->add, s);
            continue;
        }
        if (n > 64) n = 64;
        for (ptrdiff_t u = 0; u < n; u++) { aa[u] = a[(i + u) * g->as]; ba[u] = b[(i + u) * g->bs]; }
        for (ptrdiff_t u = n; u % ATTN__LANES; u++) aa[u] = ba[u] = 1;
        ATTN__FN(loop_unit)(g->op, ya, aa, ba, n, 1, 1, 1, 0, s);
        for (ptrdiff_t u = 0; u < n; u++) {
            attn__e *to = y + (i + u) * g->ys;
            if (g->ys == 0) total += (double)ya[u]; else *to = g->add ? *to + ya[u] : ya[u];
        }
    }
    if (g->ys == 0) *y = (attn__e)(g->add ? (double)*y + total : total);
    attn__v_end();
}

// ---- row softmax: maximum, exponentials with their sum, division

ATTN__FUNC void ATTN__FN(softmax_row)(attn__e *y, const attn__e *x, ptrdiff_t n, ptrdiff_t cols, attn__e masked,
                                      int log, ptrdiff_t next, ptrdiff_t later) {
    const attn__v log2e = attn__v_set(ATTN__C(1.4426950408889634));
    attn__v m[4], s[4], top, by = attn__v_set(1), less = attn__v_set(0);
    attn__e peak, total, hidden = 0, t[ATTN__LANES];
    const attn__e *from = x;
    ptrdiff_t i = 0;
    ATTN__UNROLL for (int u = 0; u < 4; u++) { m[u] = attn__v_set(ATTN__NEG_INF); s[u] = attn__v_set(0); }
    for (; i + 4 * ATTN__LANES <= n; i += 4 * ATTN__LANES)
        ATTN__UNROLL for (int u = 0; u < 4; u++) m[u] = attn__v_max(attn__v_load(x + i + u * ATTN__LANES), m[u]);
    for (; i < n; i += ATTN__LANES) m[0] = attn__v_max(attn__v_load_n(x + i, n - i, ATTN__NEG_INF), m[0]);
    peak = attn__v_hmax(attn__v_max(attn__v_max(m[0], m[1]), attn__v_max(m[2], m[3])));
    if (n < cols && masked != 0 && peak < masked) peak = masked;
    top = attn__v_max(attn__v_set(-ATTN__LARGEST), attn__v_set(peak));          // a row of -inf: zeros, not NaN
#define ATTN__P(a) ATTN__FN(exp2)(attn__v_mul(attn__v_sub(a, top), log2e))
    for (i = 0; i + 4 * ATTN__LANES <= n; i += 4 * ATTN__LANES)
        ATTN__UNROLL for (int u = 0; u < 4; u++) {
            const attn__v p = ATTN__P(attn__v_load(x + i + u * ATTN__LANES));
            s[u] = attn__v_add(s[u], p);
            if (!log) attn__v_store(y + i + u * ATTN__LANES, p);
            ATTN__PREFETCH_NEAR(x + next + i + u * ATTN__LANES);        // of the next row
            ATTN__TOUCH_OUT(y + i + u * ATTN__LANES, later);
        }
    for (; i < n; i += ATTN__LANES) {
        const attn__v p = ATTN__P(attn__v_load_n(x + i, n - i, ATTN__NEG_INF));
        s[0] = attn__v_add(s[0], p);
        if (!log) attn__v_store_n(y + i, n - i, p);
    }
    total = attn__v_hsum(attn__v_add(attn__v_add(s[0], s[1]), attn__v_add(s[2], s[3])));
    if (n < cols && masked != 0) {
        attn__v_store(t, ATTN__P(attn__v_set(masked)));
        hidden = t[0]; total += hidden * (attn__e)(cols - n);
    }
#undef ATTN__P
    if (log) {
        less = attn__v_set(total == 0 ? 0 : (attn__e)attn__log_d((double)total));
        hidden = masked != 0 ? masked : ATTN__NEG_INF;
    } else { by = attn__v_set(total > 0 ? 1 / total : total); from = y; }
#define ATTN__P(a) (log ? attn__v_sub(attn__v_sub(a, top), less) : attn__v_mul(a, by))
    for (i = 0; i + ATTN__LANES <= n; i += ATTN__LANES) attn__v_store(y + i, ATTN__P(attn__v_load(from + i)));
    if (i < n) attn__v_store_n(y + i, n - i, ATTN__P(attn__v_load_n(from + i, n - i, 0)));
    top = ATTN__P(attn__v_set(hidden));
#undef ATTN__P
    for (i = n; i < cols; i += ATTN__LANES) attn__v_store_n(y + i, cols - i, top);
}
ATTN__FUNC void ATTN__FN(softmax)(attn__softmax_args *g) {
    for (ptrdiff_t r = 0; r < g->rows; r++) {
        const ptrdiff_t n = g->lengths ? g->lengths[(g->first + r) / g->per] : g->cols;
        ATTN__FN(softmax_row)((attn__e *)g->y + r * g->y_row, (const attn__e *)g->x + r * g->x_row, n, g->cols,
                              (attn__e)g->masked_score, g->log, r + 1 < g->rows ? g->x_row : 0, g->later);
    }
    attn__v_end();
}

// ---- row norms: the row's mean, its deviations and their squares, then y; a row is read from the first cache

// Sums of x - mean and of its square
ATTN__OUTLINE void ATTN__FN(deviations)(const attn__e *x, ptrdiff_t n, attn__e mean, attn__e sums[2]) {
    const attn__v by = attn__v_set(mean);
    attn__v a[4], s[4];
    ptrdiff_t i = 0;
    for (int u = 0; u < 4; u++) a[u] = s[u] = attn__v_set(0);
    for (; i + 4 * ATTN__LANES <= n; i += 4 * ATTN__LANES)
        ATTN__UNROLL for (int u = 0; u < 4; u++) {
            const attn__v v = attn__v_sub(attn__v_load(x + i + u * ATTN__LANES), by);
            a[u] = attn__v_add(a[u], v); s[u] = attn__v_fma(v, v, s[u]);
        }
    for (; i < n; i += ATTN__LANES) {
        const attn__v v = attn__v_sub(attn__v_load_n(x + i, n - i, mean), by);
        a[0] = attn__v_add(a[0], v); s[0] = attn__v_fma(v, v, s[0]);
    }
    sums[0] = attn__v_hsum(attn__v_add(attn__v_add(a[0], a[1]), attn__v_add(a[2], a[3])));
    sums[1] = attn__v_hsum(attn__v_add(attn__v_add(s[0], s[1]), attn__v_add(s[2], s[3])));
}
ATTN__FUNC void ATTN__FN(norm)(attn__norm_args *g) {
    const attn__e *w = (const attn__e *)g->weight, *b = (const attn__e *)g->bias, count = (attn__e)g->cols;
    const ptrdiff_t n = g->cols;
    for (ptrdiff_t r = 0; r < g->rows; r++) {
        const attn__e *x = (const attn__e *)g->x + r * g->x_row;
        attn__e *y = (attn__e *)g->y + r * g->y_row, sums[2], mean = 0, rest = 0;
        const attn__e *next = r + 1 < g->rows ? x + g->x_row : x;          // comes while this row is written
        attn__e square;
        attn__v less, by, shift;
        ptrdiff_t i = 0;
        ATTN__FN(deviations)(x, n, 0, sums);
        if (g->kind == ATTN_ROWS_LAYER) {
            mean = sums[0] / count;
            ATTN__FN(deviations)(x, n, mean, sums);
            rest = sums[0] / count;                     // what the rounded mean left
        }
        square = sums[1] / count - rest * rest;
        if (square < 0) square = 0;
        less = attn__v_set(mean);
        by = attn__v_div(attn__v_set(1), attn__v_sqrt(attn__v_set(square + (attn__e)g->eps)));
        shift = attn__v_mul(attn__v_set(-rest), by);
#define ATTN__P(LOAD, REST) \
            attn__v v = attn__v_fma(attn__v_sub(LOAD(x + i REST), less), by, shift); \
            if (w) v = attn__v_mul(v, LOAD(w + i REST)); \
            if (b) v = attn__v_add(v, LOAD(b + i REST))
#define ATTN__REST , n - i, 0
        for (; i + ATTN__LANES <= n; i += ATTN__LANES) {
            ATTN__P(attn__v_load, );
            ATTN__PREFETCH_NEAR(next + i);
            ATTN__TOUCH_OUT(y + i, g->later);
            attn__v_store(y + i, v);
        }
        if (i < n) { ATTN__P(attn__v_load_n, ATTN__REST); attn__v_store_n(y + i, n - i, v); }
#undef ATTN__P
#undef ATTN__REST
    }
    attn__v_end();
}

#endif // not ATTN__OVERLAY
#define ATTN__LANES_OF(j) for (int j = 0; j < ATTN__QV; j++)
#if !defined(ATTN__OVERLAY) || defined(ATTN__HAS_BF16)
#ifdef ATTN__OVERLAY
#define attn__x_at(p) attn__v_set(attn__word(p))
#define ATTN__X_WIDE(n) (((n) + 1) / 2)
#else
#define attn__x_fma(a, b, c) attn__v_fma(a, b, c)
#define attn__x_fma_at(c, s, i, a) attn__v_fma_at(c, s, i, a)
#define attn__x_at(p) attn__v_set(*(p))
#define ATTN__X_WIDE(n) (n)
#endif

// ---- the microkernel of everything: n rows of scalars a against TQ columns of b
//
// c[i][*] = in[i][*] (0 without in) + sum over p < k of a[i*ars + p*acs] * b[p*ldb + *], one fma chain over p. Matrix
// products, scores (a: keys, b: queries in lanes) and outputs (a: columns of v, b: weights in lanes) are this loop. In
// an overlay an element is a word, two bf16, and a step of the chain is their two products.
// top, when given, takes the running maximum of c; test: the magnitudes of c are returned. Vectors of columns from
// `cols` on are left out: zeros.
// One pointer for every third row (+0, +ars, +2 ars are address modes): one per row overflows the integer registers.
ATTN__INL_ALL attn__t ATTN__FN(micro)(attn__e *c, ptrdiff_t ldc, const attn__e *in, const attn__e *a, ptrdiff_t ars,
                                  ptrdiff_t acs,
                                  const attn__e *b, ptrdiff_t ldb, ptrdiff_t k, attn__v *top, int test, const int n,
                                  const int along, const int cols) {
    attn__v acc[12][ATTN__QV];
    attn__t seen = attn__t_zero();
    const attn__e *row[4];
    ptrdiff_t p = 0;
    ATTN__UNROLL_ALL for (int i = 0; i < n; i++) ATTN__UNROLL_ALL for (int j = 0; j < ATTN__QV; j++)
        acc[i][j] = in && j < cols ? attn__v_load(in + i * ldc + j * ATTN__LANES) : attn__v_set(0);
    ATTN__UNROLL_ALL for (int i = 0; i < (n + 2) / 3; i++) row[i] = a + 3 * i * ars;
#if ATTN__PACKET > 1
    if (along) {
        // scalars that follow each other along the contraction
        for (; p + ATTN__PACKET <= k; p += ATTN__PACKET) {
            attn__s s[12];
            ATTN__UNROLL_ALL for (int i = 0; i < (n + 2) / 3; i++) ATTN__HIDE(row[i]);
            ATTN__UNROLL_ALL for (int i = 0; i < n; i++) s[i] = attn__s_load(row[i / 3] + (i % 3) * ars);
#define ATTN__STEP(u)                                                                                             \
            { attn__v q[ATTN__QV];                                                                                \
              ATTN__UNROLL_ALL for (int j = 0; j < cols; j++)                                                     \
                  q[j] = attn__v_load(b + (u) * ldb + j * ATTN__LANES);                                           \
              ATTN__UNROLL_ALL for (int i = 0; i < n; i++) ATTN__UNROLL_ALL for (int j = 0; j < cols; j++)        \
                  acc[i][j] = attn__x_fma_at(acc[i][j], s[i], u, q[j]); }
            ATTN__STEP(0) ATTN__STEP(1) ATTN__STEP(2) ATTN__STEP(3)
#undef ATTN__STEP
            ATTN__UNROLL_ALL for (int i = 0; i < (n + 2) / 3; i++) row[i] += ATTN__PACKET;
            b += ATTN__PACKET * ldb;
        }
    } else if (n % ATTN__PACKET == 0 && ars == 1) {
        for (; p < k; p++, a += acs, b += ldb) {                    // scalars that follow each other along the rows
            attn__v q[ATTN__QV];
            ATTN__UNROLL_ALL for (int j = 0; j < cols; j++) q[j] = attn__v_load(b + j * ATTN__LANES);
            ATTN__UNROLL_ALL for (int i = 0; i < n; i += ATTN__PACKET) {
                const attn__s s = attn__s_load(a + i);
#define ATTN__STEP(u)                                                                                             \
                ATTN__UNROLL_ALL for (int j = 0; j < cols; j++)                                                   \
                    acc[i + (n % 4 ? 0 : u)][j] = attn__x_fma_at(acc[i + (n % 4 ? 0 : u)][j], s, u, q[j]);
                ATTN__STEP(0) ATTN__STEP(1) ATTN__STEP(2) ATTN__STEP(3)
#undef ATTN__STEP
            }
        }
    }
#else
    (void)along;
#endif
    for (; p < k; p++, b += ldb) {
        attn__v q[ATTN__QV];
        ATTN__UNROLL_ALL for (int i = 0; i < (n + 2) / 3; i++) ATTN__HIDE(row[i]);
        ATTN__UNROLL_ALL for (int j = 0; j < cols; j++) q[j] = attn__v_load(b + j * ATTN__LANES);
        ATTN__UNROLL_ALL for (int i = 0; i < n; i++) {
            const attn__v s = attn__x_at(row[i / 3] + (i % 3) * ars);
            ATTN__UNROLL_ALL for (int j = 0; j < cols; j++) acc[i][j] = attn__x_fma(s, q[j], acc[i][j]);
        }
        ATTN__UNROLL_ALL for (int i = 0; i < (n + 2) / 3; i++) row[i] += acs;
    }
    ATTN__UNROLL_ALL for (int i = 0; i < n; i++) ATTN__UNROLL_ALL for (int j = 0; j < ATTN__QV; j++)
        attn__v_store(c + i * ldc + j * ATTN__LANES, acc[i][j]);
    if (top) ATTN__UNROLL_ALL for (int i = 0; i < n; i++) ATTN__UNROLL_ALL for (int j = 0; j < ATTN__QV; j++)
        top[j] = attn__v_max(acc[i][j], top[j]);
    if (test) ATTN__UNROLL_ALL for (int i = 0; i < n; i++) ATTN__UNROLL_ALL for (int j = 0; j < ATTN__QV; j++) {
        ATTN__HIDE_F(acc[i][j]);                        // -ffast-math would know that it is a number
        seen = attn__v_seen(seen, acc[i][j]);
    }
    return seen;
}
#define ATTN__MICRO(name, n, along, cols)                                                                         \
    ATTN__OUTLINE attn__t ATTN__FN(name)(attn__e *c, ptrdiff_t ldc, const attn__e *in, const attn__e *a,          \
                                         ptrdiff_t ars, ptrdiff_t acs, const attn__e *b, ptrdiff_t ldb,           \
                                         ptrdiff_t k, attn__v *top, int test) {                                   \
        return ATTN__FN(micro)(c, ldc, in, a, ars, acs, b, ldb, k, top, test, n, along, cols);                    \
    }
#if ATTN__PACKET > 1
ATTN__MICRO(rows3, ATTN__R3, 1, ATTN__QV)
ATTN__MICRO(rows2, ATTN__R2, 1, ATTN__QV)
ATTN__MICRO(rows1, ATTN__R1, 1, ATTN__QV)
ATTN__MICRO(cols3, ATTN__E2, 0, ATTN__QV)
ATTN__MICRO(cols2, ATTN__C2, 0, ATTN__QV)
ATTN__MICRO(cols0, 1, 0, ATTN__QV)
#define ATTN__ROWS(n) ((n) == ATTN__R3 ? ATTN__FN(rows3) : (n) == ATTN__R2 ? ATTN__FN(rows2) : ATTN__FN(rows1))
#define ATTN__COLS(n) ((n) == ATTN__E2 ? ATTN__FN(cols3) : (n) == ATTN__C2 ? ATTN__FN(cols2) : ATTN__FN(cols0))
#else
ATTN__MICRO(rows3, ATTN__R3, 0, ATTN__QV)
ATTN__MICRO(rows2, ATTN__R2, 0, ATTN__QV)
#if ATTN__R1 > 1
ATTN__MICRO(rows1, ATTN__R1, 0, ATTN__QV)
#endif
ATTN__MICRO(rows0, 1, 0, ATTN__QV)
#if ATTN__R1 > 1
#define ATTN__COLS(n) ((n) == ATTN__R3 ? ATTN__FN(rows3) : (n) == ATTN__R2 ? ATTN__FN(rows2) : \
                       (n) == ATTN__R1 ? ATTN__FN(rows1) : ATTN__FN(rows0))
#else
#define ATTN__COLS(n) ((n) == ATTN__R3 ? ATTN__FN(rows3) : (n) == ATTN__R2 ? ATTN__FN(rows2) : ATTN__FN(rows0))
#endif
#define ATTN__ROWS(n) ATTN__COLS(n)
#endif
#if ATTN__LANES > 1 && ATTN__QV > 1                      // one vector of columns
ATTN__MICRO(thin, ATTN__E2, 0, 1)
#define ATTN__THIN(lanes) ((lanes) <= ATTN__LANES)
#define ATTN__OR_THIN(fits, f) ((fits) ? ATTN__FN(thin) : (f))
#else
#define ATTN__THIN(lanes) ((void)(lanes), 0)
#define ATTN__OR_THIN(fits, f) ((void)(fits), (f))
#endif
#undef ATTN__MICRO
#endif
#ifndef ATTN__OVERLAY

// ---- rows of any type

#ifdef ATTN__DOUBLE
#define ATTN__OWN_TYPE ATTN_F64
#else
#define ATTN__OWN_TYPE ATTN_F32
#endif

ATTN__INL int ATTN__FN(loads)(int type) {               // are rows of this type read as vectors?
#ifdef attn__v_of_bf16
    if (type == ATTN_BF16) return 1;
#endif
#ifdef attn__v_of_f16
    if (type == ATTN_F16) return 1;
#endif
#ifdef attn__v_of_i8
    if (type == ATTN_Q8_0) return 1;
#endif
    return type == ATTN__OWN_TYPE;
}
#ifndef attn__v_load_halves
#define attn__v_load_halves(p) attn__v_load(p)
#endif
#ifndef attn__v_f16
#define attn__v_f16(p) attn__v_set(attn__f16_at(p))
#endif
// The types that vectors read: F(TYPE) a case. ATTN__LOAD_TYPE(p, i, c): elements i .. of the row at p, where c is
// ATTN__SCALE_TYPE(p, i), the same for all of a block.
#define ATTN__BLOCK(p, i, bytes) ((p) + (size_t)(i) / 32 * (bytes))
#define ATTN__LOAD_ATTN__OWN(p, i, c) ((void)(c), attn__v_load((const attn__e *)(const void *)(p) + (i)))
#define ATTN__LOAD_ATTN__HALVES(p, i, c) ((void)(c), attn__v_load_halves((const attn__e *)(const void *)(p) + (i)))
#define ATTN__LOAD_ATTN_BF16(p, i, c) ((void)(c), attn__v_of_bf16((p) + 2 * (i)))
#define ATTN__LOAD_ATTN_F16(p, i, c) ((void)(c), attn__v_of_f16((p) + 2 * (i)))
#define ATTN__LOAD_ATTN_Q8_0(p, i, c) attn__v_mul(c, attn__v_of_i8(ATTN__BLOCK(p, i, 34) + 2 + (size_t)(i) % 32))
#ifdef attn__v_chosen                                   // all 16 values of a block, and one of them for each
#define ATTN__LOAD_ATTN_Q4_0(p, i, c) attn__v_chosen(c, ATTN__BLOCK(p, i, 18) + 2 + (i) % 16, (int)((i) % 32 / 16 * 4))
#define ATTN__SCALE_ATTN_Q4_0(p, i) attn__v_mul(attn__v_from(-8), attn__v_f16(ATTN__BLOCK(p, i, 18)))
#define ATTN__LOAD_ATTN_Q4_1(p, i, c) attn__v_chosen(c, ATTN__BLOCK(p, i, 20) + 4 + (i) % 16, (int)((i) % 32 / 16 * 4))
#define ATTN__SCALE_ATTN_Q4_1(p, i) \
    attn__v_fma(attn__v_from(0), attn__v_f16(ATTN__BLOCK(p, i, 20)), attn__v_f16(ATTN__BLOCK(p, i, 20) + 2))
#else
#define ATTN__LOAD_ATTN_Q4_0(p, i, c) \
    attn__v_mul(attn__v_sub(attn__v_of_u4(ATTN__BLOCK(p, i, 18) + 2 + (i) % 16, (int)((i) % 32 / 16 * 4)), \
                            attn__v_set(8)), c)
#define ATTN__SCALE_ATTN_Q4_0(p, i) attn__v_f16(ATTN__BLOCK(p, i, 18))
#define ATTN__LOAD_ATTN_Q4_1(p, i, c) \
    attn__v_fma(attn__v_of_u4(ATTN__BLOCK(p, i, 20) + 4 + (i) % 16, (int)((i) % 32 / 16 * 4)), c, \
                attn__v_f16(ATTN__BLOCK(p, i, 20) + 2))
#define ATTN__SCALE_ATTN_Q4_1(p, i) attn__v_f16(ATTN__BLOCK(p, i, 20))
#endif
#define ATTN__SCALE_ATTN__OWN(p, i) attn__v_set(0)
#define ATTN__SCALE_ATTN__HALVES(p, i) attn__v_set(0)
#define ATTN__SCALE_ATTN_BF16(p, i) attn__v_set(0)
#define ATTN__SCALE_ATTN_F16(p, i) attn__v_set(0)
#define ATTN__SCALE_ATTN_Q8_0(p, i) attn__v_f16(ATTN__BLOCK(p, i, 34))
#define ATTN__LOAD(TYPE, p, i) ATTN__LOAD_##TYPE(p, i, ATTN__SCALE_##TYPE(p, i))
#ifdef attn__v_of_bf16
#define ATTN__TYPE_BF16(F) case ATTN_BF16: F(ATTN_BF16);
#else
#define ATTN__TYPE_BF16(F)
#endif
#ifdef attn__v_of_f16
#define ATTN__TYPE_F16(F) case ATTN_F16: F(ATTN_F16);
#else
#define ATTN__TYPE_F16(F)
#endif
#ifdef attn__v_of_i8
#define ATTN__TYPE_Q8_0(F) case ATTN_Q8_0: F(ATTN_Q8_0);
#define ATTN__TYPE_Q4_0(F) case ATTN_Q4_0: F(ATTN_Q4_0);    // of 4 bits: widened, and values in decoding
#define ATTN__TYPE_Q4_1(F) case ATTN_Q4_1: F(ATTN_Q4_1);
#else
#define ATTN__TYPE_Q8_0(F)
#define ATTN__TYPE_Q4_0(F)
#define ATTN__TYPE_Q4_1(F)
#endif
#define ATTN__TYPES_WHOLE(F) ATTN__TYPE_BF16(F) ATTN__TYPE_F16(F) default: F(ATTN__OWN);
#define ATTN__TYPES(F) ATTN__TYPE_Q8_0(F) ATTN__TYPES_WHOLE(F)
#ifdef attn__v_byte                                     // those that are not turned as words
#define ATTN__TYPES_LEFT(F) ATTN__TYPE_F16(F) default: F(ATTN__OWN);
#else
#define ATTN__TYPES_LEFT(F) ATTN__TYPES(F)
#endif
// r[u][v] = element i + u of row p[v], LANES x LANES. Short types are turned as words of several, in fewer steps; h:
// the scale (f16) of each row's block, FEW_KEYS later the offset of q4_1.
ATTN__INL void ATTN__FN(turned)(attn__v *r, const char *const *p, ptrdiff_t i, int type, const uint16_t *h) {
#ifdef attn__v_half
    if (type == ATTN_BF16) {
        ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u += 8) {
            attn__v w[4];
            ATTN__FN(turn4)(w, p, 2 * (i + u));
            ATTN__UNROLL for (int j = 0; j < 8; j++) r[u + j] = attn__v_half(w[j / 2], j % 2);
        }
        return;
    }
#endif
#ifdef attn__v_byte
    if (ATTN__IN_BLOCKS(type)) {
        const int fours = type != ATTN_Q8_0, q4_1 = type == ATTN_Q4_1, half = (int)(i % 32 / 16);
        const attn__v scale = attn__v_of_f16(h), low = q4_1 ? attn__v_of_f16(h + ATTN__FEW_KEYS) : attn__v_set(0);
        attn__v w[4];
        ATTN__FN(turn4)(w, p, i / 32 * attn__types[type].bytes + (q4_1 ? 4 : 2) + (fours ? 0 : 16 * half));
        if (i % 16) { w[0] = w[2]; w[1] = w[3]; }       // of 8 lanes
        ATTN__UNROLL for (int j = 0; j < ATTN__LANES / 4; j++)
            if (fours) w[j] = attn__v_fours(w[j], 4 * half, q4_1 ? 0 : 8);
        ATTN__UNROLL for (int j = 0; j < ATTN__LANES; j++)
            r[j] = attn__v_fma(attn__v_byte(w[j / 4], j % 4), scale, low);
        return;
    }
#endif
    (void)h;
#define ATTN__EACH(TYPE) ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++) r[u] = ATTN__LOAD(TYPE, p[u], i); break
    switch (type) { ATTN__TYPES_LEFT(ATTN__EACH) }
#undef ATTN__EACH
    ATTN__FN(transpose)(r);
}
ATTN__OUTLINE void ATTN__FN(widen)(attn__e *y, int type, const char *p, ptrdiff_t col, ptrdiff_t n) {
    ptrdiff_t i = 0;
#define ATTN__EACH(TYPE) attn__v_store(y + i, ATTN__LOAD(TYPE, p, i)); break
    if (col == 1 && ATTN__FN(loads)(ATTN__IN_BLOCKS(type) ? ATTN_Q8_0 : type))
        for (; i + ATTN__LANES <= n; i += ATTN__LANES) switch (type) {
            ATTN__TYPE_Q4_0(ATTN__EACH) ATTN__TYPE_Q4_1(ATTN__EACH) ATTN__TYPES(ATTN__EACH)
        }
#undef ATTN__EACH
#ifdef ATTN__DOUBLE
    for (; i < n; i++) y[i] = attn__stored(type, p, i * col);
#else
    attn__widen(y, type, p, col, i, n);
#endif
}

// ---- matrix product: panels for attn__gemm

// x[lane][p * col] times c -> t[p * w + lane] for w lanes, a multiple of LANES or fewer than LANES; then what is stored
// past a row is the next one's, and past the last LANES elements are free. Vectors whose lanes are past `used` are 0.
ATTN__OUTLINE void ATTN__FN(pack)(attn__e *t, ptrdiff_t w, const attn__e *const *x, ptrdiff_t col, ptrdiff_t n,
                                  const attn__v *c, ptrdiff_t used) {
    for (ptrdiff_t lane = 0; lane < w; lane += ATTN__LANES, c++) {
        ptrdiff_t p = 0;
        attn__v r[ATTN__LANES];
        attn__e z[ATTN__LANES];
        for (; ATTN__LANES > 1 && lane >= used && p < n; p++) attn__v_store(t + p * w + lane, attn__v_set(0));
        if (col == 1 && w > 1)
            for (; p + ATTN__LANES <= n; p += ATTN__LANES) {
                ATTN__UNROLL for (int i = 0; i < ATTN__LANES; i++) r[i] = attn__v_load(x[lane + i] + p);
                ATTN__FN(transpose)(r);
                ATTN__UNROLL for (int i = 0; i < ATTN__LANES; i++)
                    attn__v_store(t + (p + i) * w + lane, attn__v_mul(r[i], *c));
            }
        for (; p < n; p++) {
            for (int i = 0; i < ATTN__LANES; i++) z[i] = x[lane + i][p * col];
            attn__v_store(t + p * w + lane, attn__v_mul(attn__v_load(z), *c));
        }
    }
}
// t[p * TQ + lane] times f -> y[lane][at + p] for so many lanes; + 0 so that a zero has no sign
ATTN__OUTLINE void ATTN__FN(unpack)(void *const *y, ptrdiff_t at, int lanes, const attn__e *t, ptrdiff_t n,
                                    const attn__v *f) {
    for (int lane = 0; lane < lanes; lane += ATTN__LANES, f++) for (ptrdiff_t p = 0; p < n; p += ATTN__LANES) {
        attn__v r[ATTN__LANES];
        attn__e z[ATTN__LANES * ATTN__LANES];
        ATTN__UNROLL for (int i = 0; i < ATTN__LANES; i++)
            r[i] = attn__v_fma(attn__v_load(t + (p + i < n ? p + i : n - 1) * ATTN__TQ + lane), *f, attn__v_set(0));
        ATTN__FN(transpose)(r);
        if (lane + ATTN__LANES <= lanes && p + ATTN__LANES <= n) {
            ATTN__UNROLL for (int i = 0; i < ATTN__LANES; i++) attn__v_store((attn__e *)y[lane + i] + at + p, r[i]);
            continue;
        }
        ATTN__UNROLL for (int i = 0; i < ATTN__LANES; i++) attn__v_store(z + i * ATTN__LANES, r[i]);
        for (int i = 0; i < ATTN__LANES && lane + i < lanes; i++)
            attn__v_store_n((attn__e *)y[lane + i] + at + p, n - p, attn__v_load(z + i * ATTN__LANES));
    }
}
// Full panels of TQ columns at once from contiguous rows: longer runs of a row, and the rows to come are touched.
ATTN__OUTLINE void ATTN__FN(pack_panels)(attn__e *t, const attn__e *b, ptrdiff_t brs, ptrdiff_t k) {
    for (ptrdiff_t p = 0; p < k; p++, b += brs, t += ATTN__TQ) {
        if (p + 16 < k)
            for (int j = 0; j < ATTN__PANELS * ATTN__TQ; j += 64 / (int)sizeof(attn__e))
                ATTN__PREFETCH(b + 16 * brs + j);
        ATTN__UNROLL for (int q = 0; q < ATTN__PANELS; q++) ATTN__UNROLL for (int j = 0; j < ATTN__QV; j++)
            attn__v_store(t + q * ATTN__TQ * k + j * ATTN__LANES, attn__v_load(b + q * ATTN__TQ + j * ATTN__LANES));
    }
}
// 64 deep at a time: other types are widened first, the rows that the next panel takes are touched meanwhile
ATTN__FUNC void ATTN__FN(pack_panel)(attn__pack_panel_args *g) {
    enum { most = ATTN__TQ > ATTN__MR ? ATTN__TQ : ATTN__MR, deep = 64 };
    const ptrdiff_t w = g->w, n = g->n < w ? g->n : w, next = g->along == 1 && g->step != 1 ? g->n - w : 0;
    const attn__e *row[most];
    attn__e line[most * deep];
    attn__v c[most / ATTN__LANES];
    for (int i = 0; i < most / ATTN__LANES; i++) c[i] = attn__v_set((attn__e)g->s);
    if (ATTN__PANELS > 1 && g->many) ATTN__FN(pack_panels)((attn__e *)g->t, (const attn__e *)g->x, g->along, g->k);
    else for (ptrdiff_t p0 = 0; p0 < g->k; p0 += deep) {
        const ptrdiff_t k = g->k - p0 < deep ? g->k - p0 : (ptrdiff_t)deep;
        const ptrdiff_t run = attn__bytes(g->type, k);
        const char *at = attn__at(g->type, g->x, p0 * g->along);
        const attn__e *x = (const attn__e *)(const void *)at;
        attn__e *t = (attn__e *)g->t + p0 * w;
        ptrdiff_t step = g->step, along = g->along;
        const int wide = step == 1 && along != 1;       // widened by rows along the panel
        for (ptrdiff_t i = w; i < w + (next < w ? next : w); i++) {
            const char *to = attn__at(g->type, at, i * g->step);
            for (ptrdiff_t q = 0; q < run; q += 64) ATTN__PREFETCH(to + q);
        }
        if (g->type != ATTN__OWN_TYPE) {
            x = line;
            for (ptrdiff_t q = 0; q < (wide ? k : n); q++)
                ATTN__FN(widen)(line + q * (wide ? most : deep), g->type,
                                attn__at(g->type, at, q * (wide ? along : step)), wide ? 1 : along, wide ? n : k);
            step = wide ? 1 : deep; along = wide ? most : 1;
        }
        if (w == 1) for (ptrdiff_t p = 0; p < k; p++) t[p] = x[p * along] * (attn__e)g->s;
        else if (step == 1) {                           // as pack writes: what is past a row is the next one's
            for (ptrdiff_t p = 0; p < k; p++, x += along) for (ptrdiff_t i = 0; i < w; i += ATTN__LANES)
                attn__v_store(t + p * w + i, n - i >= ATTN__LANES ? attn__v_mul(attn__v_load(x + i), c[0])
                              : n > i ? attn__v_mul(attn__v_load_n(x + i, n - i, 0), c[0]) : c[0]);
        } else {
            for (ptrdiff_t i = 0; i < most; i++) row[i] = x + (i < n ? i : n - 1) * step;
            ATTN__FN(pack)(t, w, row, along, k, c, n);
        }
    }
    attn__v_end();
}
ATTN__FUNC void ATTN__FN(gemm_panel)(attn__gemm_panel_args *g) {
    attn__e *c = (attn__e *)g->c, *t = (attn__e *)g->work;
    const ptrdiff_t cols = g->cols < ATTN__TQ ? g->cols : ATTN__TQ;
    const int whole = g->n == g->w && cols == ATTN__TQ && g->ccs == 1;
    if (!whole && g->add) for (ptrdiff_t i = 0; i < g->w; i++) for (ptrdiff_t j = 0; j < ATTN__TQ; j++)
        t[i * ATTN__TQ + j] = i < g->n && j < cols ? c[i * g->crs + j * g->ccs] : 0;
    if (whole) t = c;
    for (ptrdiff_t i = 0; whole && g->add && g->cols > ATTN__TQ && i < g->w; i++)   // the next sums begin with c too
        for (int j = 2 * ATTN__TQ - 1; j >= ATTN__TQ; j -= 64 / (int)sizeof(attn__e))
            ATTN__PREFETCH_NEAR(c + i * g->crs + j);
    ATTN__OR_THIN(ATTN__THIN(cols) && g->w == ATTN__E2, ATTN__COLS(g->w))
        (t, whole ? g->crs : ATTN__TQ, g->add ? t : NULL, (const attn__e *)g->a, g->ars, g->acs,
         (const attn__e *)g->b, g->ldb, g->k, NULL, 0);
    if (!whole) for (ptrdiff_t i = 0; i < g->n; i++) for (ptrdiff_t j = 0; j < cols; j++)
        c[i * g->crs + j * g->ccs] = t[i * ATTN__TQ + j];
    attn__v_end();
}

// ---- one row times a matrix: b is read once, as it lies. c and (bcs 1) or (brs 1 and a) contiguous.

#define ATTN__LINES (ATTN__LANES > 1 ? 4 : 2)             // rows of b at a time
#define ATTN__WIDE 128                                    // elements of each that are widened at a time
// Elements i .. of the rows as vectors read them, at most n: whole ones where they lie, else in z with zeros for rows
// that are not there and up to a whole vector. Returns how many.
ATTN__OUTLINE ptrdiff_t ATTN__FN(lines)(const char **to, int *type, const char *const *row, int rows, attn__e *z,
                                        ptrdiff_t i, ptrdiff_t n) {
    const int from = *type, whole = rows == ATTN__LINES && n >= ATTN__LANES && ATTN__FN(loads)(from);
    if (whole) n = n / ATTN__LANES * ATTN__LANES;
    else {
        *type = ATTN__OWN_TYPE;
        if (n > ATTN__WIDE) n = ATTN__WIDE;
        memset(z, 0, ATTN__LINES * ATTN__WIDE * sizeof *z);
    }
    for (int u = 0; u < ATTN__LINES; u++) {
        to[u] = whole ? attn__at(from, row[u], i) : (const char *)(z + u * ATTN__WIDE);
        if (!whole && u < rows) ATTN__FN(widen)(z + u * ATTN__WIDE, from, attn__at(from, row[u], i), 1, n);
    }
    return n;
}
ATTN__FUNC void ATTN__FN(gemv)(attn__gemm_args *g) {
    const int down = g->bcs == 1;                       // rows of b are added up; else each is a dot product
    const ptrdiff_t most = down ? g->k : g->n, along = down ? g->n : g->k, step = down ? g->brs : g->bcs;
    const ptrdiff_t turns = most / ATTN__LINES;         // rows that far apart: streams that go on from turn to turn
    const ptrdiff_t bytes = attn__types[g->b_type].bytes, shift = attn__types[g->b_type].elements > 1 ? 5 : 0;
    const attn__e *a = (const attn__e *)g->a;
    attn__e *c = (attn__e *)g->c, z[ATTN__LINES * ATTN__WIDE];
    if (!g->add) memset(c, 0, (size_t)g->n * sizeof *c);
    for (ptrdiff_t t = 0; t < turns + (most % ATTN__LINES > 0); t++) {
        const ptrdiff_t apart = t < turns ? turns : 1, j = t < turns ? t : ATTN__LINES * turns;
        const int rows = t < turns ? ATTN__LINES : (int)(most - j);
        // the next rows are touched where widening leaves the loads too far apart to overlap
        const ptrdiff_t next = g->b_type != ATTN__OWN_TYPE && t + 1 < turns ? step : 0;
        const ptrdiff_t ahead = (bytes * next) >> shift;
        const char *row[ATTN__LINES], *to[ATTN__LINES];
        attn__v s[ATTN__LINES], sums[ATTN__LINES];
        attn__e by[ATTN__LINES];
        for (int u = 0; u < ATTN__LINES; u++) {
            const ptrdiff_t at = j + (u < rows ? u * apart : 0);
            row[u] = attn__at(g->b_type, g->b, at * step);
            by[u] = down && u < rows ? a[at * g->acs] * (attn__e)g->alpha : 0;
        }
        ATTN__UNROLL for (int u = 0; u < ATTN__LINES; u++) s[u] = attn__v_set(by[u]);
        for (ptrdiff_t p = 0, i, n; p < along; p += n) {
            int type = g->b_type;
            n = ATTN__FN(lines)(to, &type, row, down ? rows : ATTN__LINES, z, p, along - p);
            i = 0;
#define ATTN__STEPS(BODY)                                                                                         \
            for (; i + ATTN__LANES <= n; i += ATTN__LANES) {                                                      \
                if (ahead) ATTN__UNROLL for (int u = 0; u < ATTN__LINES; u++)                                     \
                    ATTN__PREFETCH(to[u] + ahead + ((i * bytes) >> shift));                                       \
                BODY                                                                                              \
            }                                                                                                     \
            break
#define ATTN__DOWN(TYPE) ATTN__STEPS(                                                                             \
                attn__v y = attn__v_load(c + p + i);                                                              \
                ATTN__UNROLL for (int u = 0; u < ATTN__LINES; u++)                                                \
                    y = attn__v_fma(s[u], ATTN__LOAD(TYPE, to[u], i), y);                                         \
                attn__v_store(c + p + i, y);)
#define ATTN__ALONG(TYPE) ATTN__STEPS(                                                                            \
                const attn__v x = attn__v_load(a + p + i);                                                        \
                ATTN__UNROLL for (int u = 0; u < ATTN__LINES; u++)                                                \
                    s[u] = attn__v_fma(x, ATTN__LOAD(TYPE, to[u], i), s[u]);)
            if (down) switch (type) {
                ATTN__TYPE_BF16(ATTN__DOWN) ATTN__TYPE_F16(ATTN__DOWN) default: ATTN__DOWN(ATTN__HALVES);
            } else switch (type) {
                ATTN__TYPE_BF16(ATTN__ALONG) ATTN__TYPE_F16(ATTN__ALONG) ATTN__TYPE_Q8_0(ATTN__ALONG)
                default: ATTN__ALONG(ATTN__HALVES);
            }
#undef ATTN__DOWN
#undef ATTN__ALONG
#undef ATTN__STEPS
            if (i < n) {                                // widened
                const attn__v x = attn__v_load_n((down ? c : a) + p + i, n - i, 0);
                attn__v y = x;
                ATTN__UNROLL for (int u = 0; u < ATTN__LINES; u++) {
                    const attn__v r = ATTN__LOAD(ATTN__OWN, to[u], i);
                    if (down) y = attn__v_fma(s[u], r, y); else s[u] = attn__v_fma(x, r, s[u]);
                }
                if (down) attn__v_store_n(c + p + i, n - i, y);
            }
        }
        ATTN__UNROLL for (int u = 0; u < ATTN__LINES; u++) sums[u] = s[u];      // s stays in registers
        for (int u = 0; u < rows && !down; u++) c[j + u * apart] += (attn__e)g->alpha * attn__v_hsum(sums[u]);
    }
    attn__v_end();
}

// ---- attention: queries in lanes
//
// A vector holds one score of LANES rows. Keys and values are read as scalars by the microkernel, so maximum,
// exponential and sum over keys are vertical. The order of a row's arithmetic is its own (the row rule, in the manual):
// scores are one fma chain over d; a block of KT keys from key 0 rescales the lane when its block maximum exceeds the
// running one by 2^8; l and o are one chain over keys; spans of SPAN keys start from nothing and are folded left to
// right.

#define ATTN__LOG2E ATTN__C(1.4426950408889634)

// x / sqrt(mean x^2 + eps), or x / max(|x|, eps); times factor
ATTN__OUTLINE void ATTN__FN(unit)(attn__e *x, ptrdiff_t n, int rms, double eps, const float *factor) {
    double sum, part[4] = { 0 };                        // chains that overlap
    ptrdiff_t i = 0;
    attn__e by;
    for (; i + 4 <= n; i += 4) ATTN__UNROLL_ALL for (int u = 0; u < 4; u++)
        part[u] += (double)x[i + u] * (double)x[i + u];
    for (; i < n; i++) part[0] += (double)x[i] * (double)x[i];
    sum = (part[0] + part[1]) + (part[2] + part[3]);
    sum = attn__sqrt_d(rms ? sum / (double)n + eps : sum);
    by = (attn__e)(1 / (rms || sum > eps ? sum : eps));
    for (i = 0; i < n; i += ATTN__LANES)
        attn__v_store_n(x + i, n - i, attn__v_mul(attn__v_load_n(x + i, n - i, 0), attn__v_set(by)));
    for (i = 0; factor && i < n; i++) x[i] *= (attn__e)factor[i];
}
// What qk_norm and rope (stage 1: as a cache keeps them) and the cosine (stage 2) make of a row of q or k
ATTN__OUTLINE void ATTN__FN(ready)(const attn_desc *d, attn__e *x, int stages, const float *factor, int64_t position) {
    const ptrdiff_t n = d->dim, turned = d->rope_dim ? d->rope_dim : n, half = turned / 2;
    const int rms = d->qk_norm == ATTN_QK_NORM_RMS;
    if ((stages & 1) && d->qk_norm)
        ATTN__FN(unit)(x, n, rms, d->norm_eps != 0 ? (double)d->norm_eps : rms ? 1e-6 : 1e-12, factor);
    if ((stages & 1) && d->rope_kind) {
        const ptrdiff_t at = position >= 0 && position < d->rope_positions ? (ptrdiff_t)position : 0;   // else no row
        const float *c = d->rope_cos + at * half, *s = d->rope_sin + at * half;
        const ptrdiff_t step = d->rope_kind == ATTN_ROPE_HALF ? 1 : 2, apart = d->rope_kind == ATTN_ROPE_HALF ? half
            : 1;
        ptrdiff_t t = 0;
#ifndef ATTN__DOUBLE
#ifdef attn__v_swap
        attn__e sign[ATTN__LANES];
        for (int i = 0; i < ATTN__LANES; i++) sign[i] = i % 2 ? 1 : -1;
        for (; step == 2 && 2 * t + ATTN__LANES <= turned; t += ATTN__LANES / 2) {
            const attn__v a = attn__v_load(x + 2 * t), b = attn__v_mul(attn__v_swap(a), attn__v_load(sign));
            attn__v_store(x + 2 * t, attn__v_fma(b, attn__v_twice(s + t), attn__v_mul(a, attn__v_twice(c + t))));
        }
#endif
        for (; step == 1 && t + ATTN__LANES <= half; t += ATTN__LANES) {
            const attn__v a = attn__v_load(x + t), b = attn__v_load(x + t + half), vc = attn__v_load(c + t),
                vs = attn__v_load(s + t);
            attn__v_store(x + t, attn__v_fnma(b, vs, attn__v_mul(a, vc)));
            attn__v_store(x + t + half, attn__v_fma(a, vs, attn__v_mul(b, vc)));
        }
#endif
        for (; t < half; t++) {
            const attn__e a = x[t * step], b = x[t * step + apart], vc = (attn__e)c[t], vs = (attn__e)s[t];
            x[t * step] = a * vc - b * vs;
            x[t * step + apart] = a * vs + b * vc;
        }
    }
    if ((stages & 2) && d->score == ATTN_SCORE_COSINE) ATTN__FN(unit)(x, n, 0, 1e-12, NULL);
}
ATTN__FUNC void ATTN__FN(row)(attn__row_args *g) {
    ATTN__FN(widen)((attn__e *)g->y, g->type, (const char *)g->p, g->col, g->n);
    if (g->stages) ATTN__FN(ready)(g->d, (attn__e *)g->y, g->stages, g->factor, g->position);
    attn__v_end();
}
// The stages that rows of q (keys: of k) go through
ATTN__INL int ATTN__FN(stages)(const attn_desc *d, int keys) {
    return ((d->qk_norm || d->rope_kind) && !(keys && d->k_cache)) | (d->score == ATTN_SCORE_COSINE) << 1;
}
// nk rows of keys or values from k0 on, made ready once for a run; so are rows that meet in the first cache
ATTN__OUTLINE const attn__e *ATTN__FN(take_rows)(const attn__tile_args *g, const attn__space *w, int keys, ptrdiff_t k0,
                                                 ptrdiff_t nk, ptrdiff_t *row) {
    const attn__rows *x = keys ? &g->k : &g->v;
    const attn_desc *d = g->d;
    const int ready = keys ? ATTN__FN(stages)(d, 1) : 0;
    attn__e *buffer = (attn__e *)(keys ? w->k : w->v);
    ptrdiff_t *held = w->held + 2 * keys;
    const char *p[ATTN__KT];
    *row = x->row;
    if (!ready && x->type == ATTN__OWN_TYPE && x->col == 1 && (g->run == 1 || x->row % ATTN__APART) &&
        attn__rows_run(x, k0, nk) == nk) {
        held[1] = 0;                                    // products of few keys write to the buffer
        return (const attn__e *)(const void *)attn__row_at(x, k0);
    }
    *row = keys ? d->dim : d->vdim;
    if (g->run > 1 && held[0] == k0 && held[1] == nk) return buffer;
    held[0] = k0; held[1] = nk;
    attn__rows_list(p, x, k0, nk);
    for (ptrdiff_t r = 0; r < nk; r++) {
        attn__e *y = buffer + r * *row;
        ATTN__FN(widen)(y, x->type, p[r], x->col, *row);
        if (ready)
            ATTN__FN(ready)(d, y, ready, d->k_norm, d->rope_k_pos ? d->rope_k_pos[g->b * d->keys + k0 + r] : k0 + r);
    }
    return buffer;
}
// Numbers of the desc as this pass's own; the buffer is used where they differ.
ATTN__INL const attn__e *ATTN__FN(numbers)(attn__e *buffer, const float *x, ptrdiff_t n) {
#ifdef ATTN__DOUBLE
    for (ptrdiff_t i = 0; i < n; i++) buffer[i] = (double)x[i];
    return buffer;
#else
    (void)buffer; (void)n;
    return x;
#endif
}
#endif // not ATTN__OVERLAY
#if !defined(ATTN__OVERLAY) || defined(ATTN__HAS_BF16)
// Touches rows of the next key head while this one is worked on: next_lines of each array spread over next_calls calls.
ATTN__INL void ATTN__FN(touch)(attn__tile_args *g) {
    for (g->next_due += g->next_lines; g->next_due >= g->next_calls &&
         g->next_line < g->next_lines; g->next_due -= g->next_calls) {
        const ptrdiff_t r = (ptrdiff_t)(g->next_line / g->next_of_row);
        const ptrdiff_t d = (ptrdiff_t)(g->next_line++ % g->next_of_row * (64 / sizeof(attn__e)));
        ATTN__PREFETCH((const attn__e *)g->next_k + r * g->k.row + d);
        ATTN__PREFETCH((const attn__e *)g->next_v + r * g->v.row + d);
        ATTN__PREFETCH((const attn__e *)g->next_q + r * g->d->q_stride[2] + d);
        ATTN__PREFETCH_W((attn__e *)g->next_o + r * g->d->o_stride[2] + d);
    }
}
// s[r][lane] = sum over d of k[r][d] t[d][lane]. top, when given, takes the maximum of the rows outside from .. to-1.
ATTN__OUTLINE void ATTN__FN(products)(attn__tile_args *g, attn__e *s, const attn__e *t, attn__e *spare,
                                      const attn__e *k, ptrdiff_t row,
                                      ptrdiff_t nk, int lanes, attn__v *top, ptrdiff_t from, ptrdiff_t to) {
    const ptrdiff_t dk = ATTN__X_WIDE(g->d->dim);
    for (ptrdiff_t i = 0; i < nk; ) {
        const ptrdiff_t left = nk - i;
        const int thin = ATTN__THIN(lanes) && left >= ATTN__E2;
        ptrdiff_t n = thin ? ATTN__E2 : left <= ATTN__R1 ? ATTN__R1 : left <= ATTN__R2 || left == 2 * ATTN__R2
            ? ATTN__R2 : ATTN__R3;
        ptrdiff_t at = i + n <= nk ? i : nk - n, stride = row;     // overlaps the keys before: the same scores again
        const attn__e *x = k + at * row;
        // fewer keys than the smallest size: the last one again
        if (at < 0) {
            for (ptrdiff_t r = 0; r < n; r++)
                memmove(spare + r * dk, k + (r < nk ? r : nk - 1) * row, sizeof(attn__e) * (size_t)dk);
            at = 0; x = spare; stride = dk;
        }
        if (!ATTN__LEAN && g->next_k) ATTN__FN(touch)(g);
        if (!ATTN__LEAN && (g->coming[0].each | g->coming[1].each))
            for (int j = 0; j < 2; j++) attn__touch_ahead(g->coming + j);
        ATTN__OR_THIN(thin, ATTN__ROWS(n))(s + at * ATTN__TQ, ATTN__TQ, NULL, x, stride, 1, t, ATTN__TQ, dk,
                                           at >= to || at + n <= from ? top : NULL, 0);
        i = at + n;
    }
}
// out[e][lane] = in[e][lane] + sum over keys of v[key][e] p[key][lane]; 1 when test finds Inf or NaN
ATTN__OUTLINE int ATTN__FN(outputs)(attn__e *out, const attn__e *in, const attn__e *p, const attn__e *v, ptrdiff_t row,
                                    ptrdiff_t nk, ptrdiff_t dv, int lanes, int test) {
    int bad = 0;
    for (ptrdiff_t e = 0, n; e < dv; e += n) {
        attn__t t;
        n = dv - e >= ATTN__E2 ? ATTN__E2 : dv - e >= ATTN__C2 ? ATTN__C2 : 1;
        t = ATTN__OR_THIN(ATTN__THIN(lanes) && n == ATTN__E2, ATTN__COLS(n))
            (out + e * ATTN__TQ, ATTN__TQ, in ? in + e * ATTN__TQ : NULL, v + e, 1, row, p, ATTN__TQ, nk, NULL, test);
        if (test) bad |= attn__t_bad(t);
    }
    return bad;
}
#endif
#ifndef ATTN__OVERLAY
// The same chains, a lane's step taken only where it sees the key.
ATTN__OUTLINE void ATTN__FN(outputs_guarded)(attn__e *out, const attn__e *in, const attn__e *p, const attn__e *v,
                                             ptrdiff_t row,
                                             ptrdiff_t nk, ptrdiff_t dv, const uint32_t *vis) {
    for (ptrdiff_t e = 0; e < dv; e++) ATTN__LANES_OF(j) {
        const ptrdiff_t at = e * ATTN__TQ + j * ATTN__LANES;
        attn__v a = in ? attn__v_load(in + at) : attn__v_set(0);
        for (ptrdiff_t r = 0; r < nk; r++)
            a = attn__v_sel(attn__v_mask(vis[r] >> (j * ATTN__LANES)),
                            attn__v_fma(attn__v_set(v[r * row + e]), attn__v_load(p + r * ATTN__TQ + j * ATTN__LANES),
                                        a), a);
        attn__v_store(out + at, a);
    }
}

// ---- queries

// u[i][lane] = sum over d of m[i][d] t[d][lane], m [width,D]
ATTN__OUTLINE void ATTN__FN(project)(attn__tile_args *g, const attn__space *w, attn__e *u, const float *m,
                                     const attn__e *t, int lanes) {
    const ptrdiff_t dk = g->d->dim, width = g->d->score_width;
    for (ptrdiff_t i = 0; i < width; i += ATTN__KT) {
        const ptrdiff_t n = width - i < ATTN__KT ? width - i : ATTN__KT;
        attn__e *buffer = (attn__e *)w->k;
        ATTN__FN(products)(g, u + i * ATTN__TQ, t, buffer, ATTN__FN(numbers)(buffer, m + i * dk, n * dk), dk, n, lanes,
                           NULL, 0, 0);
    }
}
ATTN__INL int ATTN__FN(is_product)(const attn_desc *d) {
    return d->score == ATTN_SCORE_DOT || d->score == ATTN_SCORE_BILINEAR || d->score == ATTN_SCORE_COSINE ||
        d->score == ATTN_SCORE_CUSTOM;
}
// Words of the queries in w->spare
ATTN__OUTLINE void ATTN__FN(q_words)(attn__tile_args *g, const attn__space *w, int few) {
    attn__words_args a;
    a.g = g; a.w = w; a.few = few;
    g->table->words_q(&a);
}
// q[d][lane] from the rows of the tile: widened, made ready, scaled where the score is a product, through W where there
// is one
ATTN__OUTLINE void ATTN__FN(take_queries)(attn__tile_args *g, attn__space *w) {
    const attn_desc *d = g->d;
    const attn__e *x[ATTN__TQ];
    const int ready = ATTN__FN(stages)(d, 0), bytes = ATTN__LANES > 1 && g->words_k == ATTN__I8_WORDS;
    const int own = d->q_type == ATTN__OWN_TYPE && !ready && !d->custom && !bytes;
    const int product = ATTN__FN(is_product)(d);
    attn__e scale[ATTN__TQ];
    attn__v c[ATTN__QV];
    for (int lane = 0; lane < ATTN__TQ; lane++) {
        attn__e *y = (attn__e *)w->rows + lane * d->dim;
        scale[lane] = product ? (attn__e)g->scale[lane] : 1;
        x[lane] = own ? (const attn__e *)g->q[lane] : y;
        if (own) continue;
        if (lane >= g->lanes) { x[lane] = x[g->lanes - 1]; continue; }
        ATTN__FN(widen)(y, d->q_type, (const char *)g->q[lane], d->q_stride[3], d->dim);
        if (ready)
            ATTN__FN(ready)(d, y, ready, d->q_norm, d->rope_q_pos ? d->rope_q_pos[g->b * d->queries + g->query[lane]]
                                                                  : g->query[lane] + g->offset);
    }
    if (bytes) { ATTN__FN(q_words)(g, w, 0); return; }
    ATTN__LANES_OF(j) c[j] = attn__v_load(scale + j * ATTN__LANES);
    ATTN__FN(pack)((attn__e *)w->q, ATTN__TQ, x, own ? d->q_stride[3] : 1, d->dim, c, g->lanes);
    if (d->score == ATTN_SCORE_ADDITIVE) ATTN__FN(project)(g, w, (attn__e *)w->wide[0], d->w_q, (const attn__e *)w->q,
                                                            g->lanes);
    if (d->score == ATTN_SCORE_BILINEAR) {              // q' W: the rows of W as values, the features of q as weights
        void *t = w->q;
        for (ptrdiff_t i = 0; i < d->dim; i += ATTN__KT) {
            const ptrdiff_t n = d->dim - i < ATTN__KT ? d->dim - i : ATTN__KT;
            const attn__e *m = ATTN__FN(numbers)((attn__e *)w->k, d->w_score + i * d->dim, n * d->dim);
            ATTN__FN(outputs)((attn__e *)w->spare, i ? (const attn__e *)w->spare : NULL,
                              (const attn__e *)w->q + i * ATTN__TQ, m,
                              d->dim, n, d->dim, g->lanes, 0);
        }
        w->q = w->spare; w->spare = t;
    }
    if (ATTN__LANES > 1 && g->words_k) ATTN__FN(q_words)(g, w, 0);
}

// ---- scores of a block

#define ATTN__ALL_LANES ((uint32_t)(((uint64_t)1 << ATTN__TQ) - 1))

// word[lane] = bits of 64 bytes from p[lane] + at on that are not 0
#ifdef attn__bits64
ATTN__OUTLINE void ATTN__FN(mask_words)(uint64_t *word, const uint8_t *const *p, ptrdiff_t at) {
    for (int lane = 0; lane < ATTN__TQ; lane++) word[lane] = attn__bits64(p[lane] + at);
}
#else
static attn__mask_words *const ATTN__FN(mask_words) = NULL;
#endif
// A score of -inf that a stage gave hides its key as a mask does.
ATTN__OUTLINE void ATTN__FN(unsee)(const attn__e *s, uint32_t *vis, attn__part *p) {
    for (ptrdiff_t r = 0; r < p->nk; r++) {
        uint32_t hidden = 0;
        ATTN__LANES_OF(j) hidden |= attn__v_bits(attn__v_lt(attn__v_load(s + r * ATTN__TQ + j * ATTN__LANES),
                                                            attn__v_set(-ATTN__LARGEST)))
                                    << (j * ATTN__LANES);
        vis[r] = (p->to > p->from ? vis[r] : ATTN__ALL_LANES) & ~hidden;
    }
    p->from = 0; p->to = p->nk;
}
// x of one score vector by the kernel of squared distances
ATTN__OUTLINE attn__v ATTN__FN(kernel)(const attn_desc *d, attn__v square, attn__v scale, attn__v inverse) {
    attn__e u[ATTN__LANES];
    if (d->score == ATTN_SCORE_GAUSSIAN)
        return attn__v_mul(attn__v_mul(attn__v_mul(square, inverse), inverse),
                           attn__v_mul(scale, attn__v_set(ATTN__C(-0.5))));
    attn__v_store(u, attn__v_mul(attn__v_mul(square, inverse), inverse));
    for (int i = 0; i < ATTN__LANES; i++) {
        const double s = (double)u[i], x = attn__sqrt_d(s);
        double y;
        switch (d->score) {
        case ATTN_SCORE_NEG_L2: u[i] = (attn__e)-x; continue;
        case ATTN_SCORE_BOXCAR: y = x <= 1 ? 1 : 0; break;
        case ATTN_SCORE_EPANECHNIKOV: y = 1 - s; break;
        case ATTN_SCORE_TRIANGLE: y = 1 - x; break;
        default: y = 1 - s * x; y = y > 0 ? y * y * y : 0; break;
        }
        u[i] = s == s ? y > 0 ? (attn__e)attn__log_d(y) : ATTN__NEG_INF : u[i];
    }
    return attn__v_mul(attn__v_load(u), scale);
}
// Scores that are no products: additive ones and those of distances.
ATTN__OUTLINE void ATTN__FN(others)(attn__tile_args *g, const attn__space *w, ptrdiff_t k0, ptrdiff_t nk) {
    const attn_desc *d = g->d;
    const int additive = d->score == ATTN_SCORE_ADDITIVE;
    const ptrdiff_t n = additive ? d->score_width : d->dim;
    const attn__e *q = (const attn__e *)(additive ? w->wide[0] : w->q), *x[ATTN__TQ], *factor = q;
    attn__v scale[ATTN__QV], inverse[ATTN__QV], one[ATTN__QV];
    ATTN__LANES_OF(j) {
        attn__e a[ATTN__LANES], b[ATTN__LANES];
        for (int i = 0; i < ATTN__LANES; i++) {
            const int lane = j * ATTN__LANES + i;
            a[i] = (attn__e)g->scale[lane];
            b[i] = d->kernel_width && d->score != ATTN_SCORE_NEG_L2 ? 1 / (attn__e)d->kernel_width[g->head[lane]] : 1;
        }
        scale[j] = attn__v_load(a); inverse[j] = attn__v_load(b); one[j] = attn__v_set(1);
    }
    for (ptrdiff_t r0 = 0; r0 < nk; r0 += ATTN__TQ) {
        const ptrdiff_t keys = nk - r0 < ATTN__TQ ? nk - r0 : ATTN__TQ;
        ptrdiff_t row, from_key = 1, to_next;
        const attn__e *k = ATTN__FN(take_rows)(g, w, 1, k0 + r0, keys, &row);
        to_next = row;
        if (additive) {                                 // the keys of the group in lanes, so that W k is a product too
            for (int i = 0; i < ATTN__TQ; i++) x[i] = k + (i < keys ? i : keys - 1) * row;
            ATTN__FN(pack)((attn__e *)w->spare, ATTN__TQ, x, 1, d->dim, one, keys);
            ATTN__FN(project)(g, w, (attn__e *)w->wide[1], d->w_k, (const attn__e *)w->spare,
                              (int)keys);
            factor = ATTN__FN(numbers)((attn__e *)w->wide[2], d->w_v, n);
            k = (const attn__e *)w->wide[1]; from_key = ATTN__TQ; to_next = 1;
        }
        for (ptrdiff_t r = 0; r < keys; r++, k += to_next) {
            attn__v a[ATTN__QV];
            ATTN__LANES_OF(j) a[j] = attn__v_set(0);
            for (ptrdiff_t i = 0; i < n; i++) ATTN__UNROLL ATTN__LANES_OF(j) {
                const attn__v y = attn__v_set(k[i * from_key]), z = attn__v_load(q + i * ATTN__TQ + j * ATTN__LANES);
                if (additive) a[j] = attn__v_fma(attn__v_set(factor[i]), ATTN__FN(tanh)(attn__v_add(z, y)), a[j]);
                else a[j] = attn__v_fma(attn__v_sub(z, y), attn__v_sub(z, y), a[j]);
            }
            ATTN__LANES_OF(j) attn__v_store((attn__e *)w->s + (r0 + r) * ATTN__TQ + j * ATTN__LANES,
                additive ? attn__v_mul(a[j], scale[j]) : ATTN__FN(kernel)(d, a[j], scale[j], inverse[j]));
        }
    }
}
#ifndef ATTN__DOUBLE
ATTN__OUTLINE void ATTN__FN(custom)(const attn__tile_args *g, const attn__space *w, const attn__e *k, ptrdiff_t row,
                                    ptrdiff_t k0,
                                    ptrdiff_t nk) {
    const float *q[ATTN__TQ], *keys[ATTN__KT];
    attn_tile t;
    memset(&t, 0, sizeof t);
    for (int i = 0; i < g->lanes; i++) q[i] = (const float *)w->rows + i * g->d->dim;
    for (ptrdiff_t r = 0; r < nk; r++) keys[r] = k + r * row;
    t.b = g->b; t.h = g->head[0]; t.i0 = g->query[0]; t.ni = g->lanes; t.j0 = k0; t.nj = nk; t.ld = ATTN__TQ;
    t.dim = g->d->dim;
    t.q = q; t.k = keys; t.user = g->d->user; t.worker = g->worker;
    g->d->custom(&t, (float *)w->s);
}
#endif
// t[r][lane]: what bias and tables add to the score of key k0 + r. A bias of -inf hides its key: 1 when there is one.
ATTN__OUTLINE int ATTN__FN(additions)(const attn__tile_args *g, attn__e *t, attn__e *line, ptrdiff_t k0, ptrdiff_t nk) {
    const attn_desc *d = g->d;
    const ptrdiff_t col = d->bias_stride[3];
    const int alibi = d->alibi || d->alibi_slopes, own = d->bias_type == ATTN__OWN_TYPE;
    attn__v least = attn__v_set(0), one[ATTN__QV];
    const attn__e *row[ATTN__TQ];
    ATTN__LANES_OF(j) one[j] = attn__v_set(1);
    for (int i = 0; own && d->bias && i < ATTN__TQ; i++) row[i] = (const attn__e *)g->bias[i] + k0 * col;
    if (!d->bias) for (ptrdiff_t i = 0; i < nk * ATTN__TQ; i += ATTN__LANES) attn__v_store(t + i, attn__v_set(0));
    else if (own) ATTN__FN(pack)(t, ATTN__TQ, row, col, nk, one, ATTN__TQ);
    else for (ptrdiff_t r = 0; r < nk; r++) for (int i = 0; i < ATTN__TQ; i++)
        t[r * ATTN__TQ + i] = (attn__e)attn__stored(d->bias_type, g->bias[i], (k0 + r) * col);
    for (ptrdiff_t i = 0; d->bias && i < nk * ATTN__TQ; i += ATTN__LANES)
        least = attn__v_min(attn__v_load(t + i), least);
    for (int lane = 0; alibi && lane < ATTN__TQ; lane += ATTN__LANES) {
        attn__e slope[ATTN__LANES], at[ATTN__LANES];
        const ptrdiff_t edge = k0 / ATTN__KT * ATTN__KT;    // of the block: a far position is rounded the same way then
        for (int i = 0; i < ATTN__LANES; i++) {
            slope[i] = (attn__e)g->slope[lane + i];
            at[i] = (attn__e)(g->query[lane + i] + g->offset - edge);
        }
        for (ptrdiff_t r = 0; r < nk; r++) {
            const attn__v gap = attn__v_abs(attn__v_sub(attn__v_load(at), attn__v_set((attn__e)(k0 - edge + r))));
            attn__e *x = t + r * ATTN__TQ + lane;
            attn__v_store(x, attn__v_fnma(attn__v_load(slope), gap, attn__v_load(x)));
        }
    }
    // depends on j - p alone, and lanes follow each other
    if (d->rel_kind && g->in_line && d->rel_kind != ATTN_REL_WINDOW_2D) {
        const ptrdiff_t n = nk + ATTN__TQ - 1;
        const int64_t p = g->query[0] + g->offset;
        for (ptrdiff_t i = 0; i < n; i++)               // line[i]: p is i - (nk - 1) further than the key
            line[i] = (attn__e)d->rel_table[attn__rel_row(d, 0, p + i - (nk - 1), k0) * d->heads + g->head[0]];
        for (ptrdiff_t r = 0; r < nk; r++) for (int lane = 0; lane < ATTN__TQ; lane += ATTN__LANES) {
            attn__e *x = t + r * ATTN__TQ + lane;
            attn__v_store(x, attn__v_add(attn__v_load(x), attn__v_load(line + nk - 1 - r + lane)));
        }
    } else if (d->rel_kind) for (ptrdiff_t r = 0; r < nk; r++) for (int i = 0; i < g->lanes; i++)
        t[r * ATTN__TQ + i] += (attn__e)d->rel_table[attn__rel_row(d, g->query[i], g->query[i] + g->offset, k0 + r) *
                                                     d->heads + g->head[i]];
    return attn__v_any(attn__v_lt(least, attn__v_set(-ATTN__LARGEST)));
}
#define ATTN__SHAPE_CAP 1
#define ATTN__SHAPE_ADD 2
#define ATTN__SHAPE_HIDE 4
// Softcap, additions, masks: one sweep over the scores of keys from .. to-1. top takes the maximum.
ATTN__OUTLINE void ATTN__FN(shape)(const attn__tile_args *g, const attn__space *w, const attn__part *p, int stages,
                                   ptrdiff_t from,
                                   ptrdiff_t to, attn__v *top) {
    const attn_desc *d = g->d;
    const attn__v hidden = attn__v_set(d->masked_score != 0 ? (attn__e)d->masked_score : ATTN__NEG_INF);
    const attn__v cap = attn__v_set((attn__e)d->softcap),
        uncap = attn__v_set(d->softcap > 0 ? 1 / (attn__e)d->softcap : 0);
    const int add = (stages & ATTN__SHAPE_ADD) && g->adds, hide = (stages & ATTN__SHAPE_HIDE) && p->to > p->from;
    attn__v most[ATTN__QV];                             // not *top: a store to s might change that
    ATTN__LANES_OF(j) most[j] = top[j];
    for (ptrdiff_t r = from; r < to; r++) ATTN__UNROLL ATTN__LANES_OF(j) {
        const ptrdiff_t at = r * ATTN__TQ + j * ATTN__LANES;
        attn__v x = attn__v_load((attn__e *)w->s + at);
        if ((stages & ATTN__SHAPE_CAP) && d->softcap > 0) x = attn__v_mul(cap, ATTN__FN(tanh)(attn__v_mul(x, uncap)));
        if (add) x = attn__v_add(x, attn__v_load((attn__e *)w->add + at));
        if (hide) x = attn__v_sel(attn__v_mask(w->vis[r] >> (j * ATTN__LANES)), x, hidden);
        attn__v_store((attn__e *)w->s + at, x);
        most[j] = attn__v_max(x, most[j]);
    }
    ATTN__LANES_OF(j) top[j] = most[j];
}
// scores of nk keys from k0 -> weights rows, as they are
ATTN__INL void ATTN__FN(keep_scores)(const attn__tile_args *g, const attn__e *s, ptrdiff_t k0, ptrdiff_t nk) {
    attn__v one[ATTN__QV];
    ATTN__LANES_OF(j) one[j] = attn__v_set(1);
    ATTN__FN(unpack)(g->weights, k0, g->lanes, s, nk, one);
}
// Final scores of the part in w->s, hidden ones -inf (masked_score); top takes their maximum, p where some are hidden.
ATTN__OUTLINE void ATTN__FN(scores)(attn__tile_args *g, const attn__space *w, attn__part *p, attn__v *top) {
    const attn_desc *d = g->d;
    attn__e *s = (attn__e *)w->s;
    const int stage = g->weights[0] ? d->weights_stage : ATTN_WEIGHTS_SOFTMAX, product = ATTN__FN(is_product)(d);
    const int compact = d->score >= ATTN_SCORE_BOXCAR && d->score <= ATTN_SCORE_TRICUBE;
    const int all = ATTN__SHAPE_CAP | ATTN__SHAPE_ADD | ATTN__SHAPE_HIDE, words = ATTN__LANES > 1 && g->words_k;
    const attn__e *k = NULL;
    ptrdiff_t row = 0;
    const char *coming[ATTN__LEAN ? 1 : 2 * ATTN__KT];
    g->coming[1].each = 0;
    if (!ATTN__LEAN && ATTN__LANES > 1 && product && g->touches && p->k0 + p->nk < g->end) {
        const ptrdiff_t next = p->k0 + p->nk, n = g->end - next < ATTN__KT ? g->end - next : ATTN__KT;
        const ptrdiff_t k_bytes = attn__bytes(g->k.type, d->dim), v_bytes = attn__bytes(g->v.type, d->vdim);
        const ptrdiff_t step = g->words_k == ATTN__I8_WORDS ? 4 : ATTN__THIN(g->lanes) ? ATTN__E2 : ATTN__R3;
        attn__rows_list(coming, &g->k, next, n);
        attn__rows_list(coming + n, &g->v, next, n);
        attn__look_ahead(g->coming, coming, 2 * n, k_bytes > v_bytes ? k_bytes : v_bytes, (p->nk + step - 1) / step);
    }
    if (!ATTN__LEAN && (d->bias ? d->bias_stride[3] == 1 : d->keep && d->keep_stride[3] == 1)) {
        const int type = d->bias ? d->bias_type : ATTN_U8;
        for (int i = 0; i < ATTN__TQ; i++)
            g->ahead_row[i] = attn__at(type, d->bias ? g->bias[i] : g->keep[i], p->k0 + ATTN__KT);
        if (p->k0 + ATTN__KT < g->end)
            attn__look_ahead(g->coming + 1, g->ahead_row, ATTN__TQ, attn__bytes(type, ATTN__KT), ATTN__KT / ATTN__R3);
    }
    if (g->adds && ATTN__FN(additions)(g, (attn__e *)w->add, (attn__e *)w->line, p->k0, p->nk))
        ATTN__FN(unsee)((const attn__e *)w->add, w->vis, p);
    ATTN__LANES_OF(j) top[j] = attn__v_set(ATTN__NEG_INF);
    if (product && !words) k = ATTN__FN(take_rows)(g, w, 1, p->k0, p->nk, &row);
    if (product) {
        const int ends = !g->shaped && !g->adds;        // the maximum is had in registers where no key is hidden
        if (words) {
            attn__words_args a;
            a.g = g; a.w = w; a.few = 0; a.k0 = p->k0; a.nk = p->nk;
            a.top = ends ? top : NULL; a.from = p->from; a.to = p->to;
            g->table->words_scores(&a);
        } else
            ATTN__FN(products)(g, s, (const attn__e *)w->q, (attn__e *)w->k, k, row, p->nk, g->lanes, ends ? top : NULL,
                               p->from, p->to);
        g->coming->each = 0;                            // its rows are listed here
        if (ends && p->to > p->from) {                  // and what shared a group of rows with hidden ones
            const ptrdiff_t group = ATTN__E2 > ATTN__R3 ? ATTN__E2 : ATTN__R3;
            const ptrdiff_t from = p->from - group, to = p->to + group;
            ATTN__FN(shape)(g, w, p, all, from < 0 ? 0 : from, to > p->nk ? p->nk : to, top);
        }
        if (ends) return;
    } else ATTN__FN(others)(g, w, p->k0, p->nk);
    if (stage == ATTN_WEIGHTS_SCORES) ATTN__FN(keep_scores)(g, s, p->k0, p->nk);
    if (compact) ATTN__FN(unsee)(s, w->vis, p);         // here, since tanh makes a number of -inf
#ifndef ATTN__DOUBLE
    if (d->custom) {
        if (!product) k = ATTN__FN(take_rows)(g, w, 1, p->k0, p->nk, &row);
        ATTN__FN(custom)(g, w, k, row, p->k0, p->nk);
        ATTN__FN(unsee)(s, w->vis, p);
    }
#endif
    if (stage == ATTN_WEIGHTS_CAPPED) {
        attn__v capped[ATTN__QV];
        ATTN__LANES_OF(j) capped[j] = top[j];
        ATTN__FN(shape)(g, w, p, ATTN__SHAPE_CAP, 0, p->nk, capped);
        ATTN__FN(keep_scores)(g, s, p->k0, p->nk);
        ATTN__FN(shape)(g, w, p, ATTN__SHAPE_ADD | ATTN__SHAPE_HIDE, 0, p->nk, top);
    } else ATTN__FN(shape)(g, w, p, all, 0, p->nk, top);
    if (d->masked_score != 0) p->from = p->to = 0;
    if (stage == ATTN_WEIGHTS_BIASED) ATTN__FN(keep_scores)(g, s, p->k0, p->nk);
}

// ---- weights of a block

// Weights of scores: e^(s - m) as 2^(s log2(e) + shift), shift = -m log2(e), rounded once for all keys of the row: a
// common factor near 1. Where m is so far out that it is not near 1, the difference comes first. m = -inf (nothing
// seen) shifts by 0.
typedef struct ATTN__FN(shift) { attn__v by, m, out; int any_out; } ATTN__FN(shift);
ATTN__INL ATTN__FN(shift) ATTN__FN(shift_of)(attn__v m) {
    ATTN__FN(shift) z;
    const attn__v zero = attn__v_set(0);
    z.m = attn__v_sel(attn__v_lt(m, attn__v_set(-ATTN__LARGEST)), zero, m);
    z.by = attn__v_sub(zero, attn__v_mul(z.m, attn__v_set(ATTN__LOG2E)));
    z.out = attn__v_abs(z.m);
    z.any_out = attn__v_any(attn__v_lt(attn__v_set(1048576), z.out));
    return z;
}
ATTN__INL attn__v ATTN__FN(weigh)(const ATTN__FN(shift) *z, attn__v s) {
    attn__v x = attn__v_fma(s, attn__v_set(ATTN__LOG2E), z->by);
    if (z->any_out)
        x = attn__v_sel(attn__v_lt(attn__v_set(1048576), z->out),
                        attn__v_mul(attn__v_sub(s, z->m), attn__v_set(ATTN__LOG2E)), x);
    return ATTN__FN(exp2)(x);
}
ATTN__INL int ATTN__FN(is_softmax)(const attn_desc *d) {
    return d->norm == ATTN_NORM_SOFTMAX || d->norm == ATTN_NORM_TOP_K;
}
// The weight of a score by the other normalisers; m is the row's greatest score, tau its threshold.
ATTN__OUTLINE attn__v ATTN__FN(weight)(const attn_desc *d, attn__v s, attn__v m, attn__v tau) {
    const attn__v zero = attn__v_set(0), one = attn__v_set(1);
    attn__v x = one;
    switch (d->norm) {
    case ATTN_NORM_SIGMOID:
        x = ATTN__FN(gate)(ATTN__LOOP_SIGMOID, attn__v_add(s, attn__v_set((attn__e)d->sigmoid_bias)));
        break;
    case ATTN_NORM_RELU: x = attn__v_max(zero, s);
    x = d->relu_div != 0 ? attn__v_div(x, attn__v_set((attn__e)d->relu_div)) : x; break;
    case ATTN_NORM_NONE: x = s; break;
    case ATTN_NORM_SPARSEMAX: x = attn__v_max(zero, attn__v_sub(attn__v_sub(s, m), tau)); break;
    case ATTN_NORM_ENTMAX15:
        x = attn__v_max(zero, attn__v_sub(attn__v_mul(attn__v_sub(s, m), attn__v_set(ATTN__C(0.5))), tau));
        x = attn__v_mul(x, x);
        break;
    default: break;
    }
    return attn__v_sel(attn__v_lt(s, attn__v_set(-ATTN__LARGEST)), zero, x);
}
ATTN__LIGHT_ON
// What a lane carries through a span: running maximum, sum, threshold; begun: o holds something.
typedef struct ATTN__FN(state) {
    attn__v m[ATTN__QV], l[ATTN__QV], tau[ATTN__QV];
    int begun;
} ATTN__FN(state);
#define ATTN__COUNT_EACH(r, x, body)                                                                              \
    for (ptrdiff_t r = 0; r < n; r++) ATTN__LANES_OF(j) {                                                         \
        const attn__v x = attn__v_load(s + r * ATTN__TQ + j * ATTN__LANES); body }
// All scores of the rows, n keys: what top-k (hard: k = 1), sparsemax and entmax keep.
// source  Martins and Astudillo 2016; Peters et al. 2019
ATTN__OUTLINE void ATTN__FN(threshold)(const attn_desc *d, attn__e *s, ptrdiff_t n, ATTN__FN(state) *z) {
    const attn__v zero = attn__v_set(0), one = attn__v_set(1), none = attn__v_set(ATTN__NEG_INF);
    attn__v count[ATTN__QV], more[ATTN__QV];
    ATTN__LANES_OF(j) { z->m[j] = none; z->tau[j] = attn__v_set(-1); more[j] = zero; }
    ATTN__COUNT_EACH(r, x, z->m[j] = attn__v_max(x, z->m[j]);)
    if (d->norm == ATTN_NORM_TOP_K || d->norm == ATTN_NORM_HARD) {   // the k-th greatest by halving the bit patterns
        const ptrdiff_t top_k = d->norm == ATTN_NORM_HARD ? 1 : d->top_k;
        const attn__v k = attn__v_set((attn__e)top_k);
        const attn__u sign = (attn__u)1 << (8 * sizeof(attn__u) - 1);
        attn__u at[ATTN__TQ] = { 0 };
        attn__e t[ATTN__TQ];
        for (int j = 0; j < ATTN__QV; j++) attn__v_store(t + j * ATTN__LANES, z->m[j]);
        for (attn__u bit = sign; top_k > 1; bit >>= 1) {
            for (int i = 0; i < ATTN__TQ; i++) {
                const attn__u u = at[i] | bit, least_u = sign | (attn__u)ATTN__INF_BITS;
                attn__u plain = u & sign ? u ^ sign : ~u;
                if (plain > least_u) plain = least_u;   // a NaN below -inf: what comparing makes of it is the flags'
                memcpy(t + i, &plain, sizeof plain);
            }
            if (!bit) break;
            ATTN__LANES_OF(j) count[j] = zero;
            ATTN__COUNT_EACH(r, x, count[j] =
                             attn__v_add(count[j], attn__v_sel(attn__v_lt(x, attn__v_load(t + j * ATTN__LANES)), zero,
                                                               one));)
            for (int j = 0; j < ATTN__QV; j++) {
                const uint32_t few = attn__v_bits(attn__v_lt(count[j], k));
                for (int i = 0; i < ATTN__LANES; i++) {
                    attn__u *u = at + j * ATTN__LANES + i;
                    if (!(few >> i & 1) && (*u | bit) <= (sign | (attn__u)ATTN__INF_BITS)) *u |= bit;   // no NaN
                }
            }
        }
        ATTN__LANES_OF(j) { z->tau[j] = attn__v_load(t + j * ATTN__LANES); count[j] = zero; }
        ATTN__COUNT_EACH(r, x, more[j] = attn__v_add(more[j], attn__v_sel(attn__v_lt(z->tau[j], x), one, zero));)
        ATTN__COUNT_EACH(r, x, {                        // of equals the first
            const attn__m below = attn__v_lt(x, z->tau[j]);
            const attn__v equal = attn__v_sel(below, zero, attn__v_sel(attn__v_lt(z->tau[j], x), zero, one));
            const attn__m full = attn__v_lt(attn__v_sub(k, more[j]), attn__v_add(count[j], equal));
            attn__v y = attn__v_sel(below, none, attn__v_sel(attn__v_lt(zero, equal), attn__v_sel(full, none, x), x));
            count[j] = attn__v_add(count[j], equal);
            attn__v_store(s + r * ATTN__TQ + j * ATTN__LANES, y); })
        return;
    }
    for (int step = 0, moved = 1; moved && step < 64; step++) {    // Newton from the left on a falling convex function
        moved = 0;
        ATTN__LANES_OF(j) count[j] = more[j] = zero;
        ATTN__COUNT_EACH(r, x, {
            const attn__v y = d->norm == ATTN_NORM_SPARSEMAX ? attn__v_sub(x, z->m[j])
                : attn__v_mul(attn__v_sub(x, z->m[j]), attn__v_set(ATTN__C(0.5)));
            const attn__v over = attn__v_max(zero, attn__v_sub(y, z->tau[j]));
            if (d->norm == ATTN_NORM_SPARSEMAX) {
                more[j] = attn__v_add(more[j], over);
                count[j] = attn__v_add(count[j], attn__v_sel(attn__v_lt(zero, over), one, zero));
            } else { more[j] = attn__v_fma(over, over, more[j]); count[j] =
                     attn__v_add(count[j], attn__v_add(over, over)); } })
        ATTN__LANES_OF(j) {
            const attn__v by = attn__v_div(attn__v_sub(more[j], one), count[j]), to = attn__v_add(z->tau[j], by);
            const attn__m up = attn__v_lt(z->tau[j], to);
            moved |= attn__v_any(up);
            z->tau[j] = attn__v_sel(up, to, z->tau[j]);
        }
    }
}
ATTN__LIGHT_OFF
#undef ATTN__COUNT_EACH
// Lane by lane: where top exceeds m by 8 ln 2, m becomes top and the factor is e^(old m - top); elsewhere m stays, the
// factor is 1.
#define ATTN__EXP(a) ATTN__FN(exp2)(attn__v_mul(a, attn__v_set(ATTN__LOG2E)))    // of a <= 6
#define ATTN__GROWS(m, top) attn__v_lt(attn__v_add(m, attn__v_set(ATTN__C(5.545177444))), top)
ATTN__INL attn__v ATTN__FN(rescale)(attn__v *m, attn__v top) {
    const attn__m grows = ATTN__GROWS(*m, top);
    const attn__v f = attn__v_sel(grows, ATTN__EXP(attn__v_sub(*m, top)), attn__v_set(1));
    *m = attn__v_sel(grows, top, *m);
    return f;
}
// c[e][lane] *= f[lane]
ATTN__INL void ATTN__FN(scale_lanes)(attn__e *c, ptrdiff_t rows, const attn__v *f) {
    for (ptrdiff_t d = 0; d < rows; d++) ATTN__UNROLL ATTN__LANES_OF(j)
        attn__v_store(c + d * ATTN__TQ + j * ATTN__LANES, attn__v_mul(attn__v_load(c + d * ATTN__TQ + j * ATTN__LANES),
                                                                      f[j]));
}
// Factors that join two partial results; an empty side (m = -inf, l = o = 0) leaves the other's bits as they are, since
// the larger side's factor is 1 by choice and not by exp2(0).
ATTN__INL void ATTN__FN(fold_factors)(attn__v *ma, attn__v mb, attn__v *ca, attn__v *cb) {
    const attn__v n = attn__v_max(*ma, mb), one = attn__v_set(1);
    *ca = attn__v_sel(attn__v_lt(*ma, n), ATTN__EXP(attn__v_sub(*ma, n)), one);
    *cb = attn__v_sel(attn__v_lt(mb, n), ATTN__EXP(attn__v_sub(mb, n)), one);
    *ma = n;
}
#define ATTN__JOIN(a, ca, b, cb) attn__v_fma(b, cb, attn__v_mul(a, ca))
// b joins a; o is NULL for a key without value
ATTN__OUTLINE void ATTN__FN(fold)(attn__e *sum, ATTN__FN(state) *a, const attn__e *o, const ATTN__FN(state) *b,
                                  ptrdiff_t dv) {
    attn__v ca[ATTN__QV], cb[ATTN__QV];
    ATTN__LANES_OF(j) {
        ATTN__FN(fold_factors)(&a->m[j], b->m[j], &ca[j], &cb[j]);
        a->l[j] = ATTN__JOIN(a->l[j], ca[j], b->l[j], cb[j]);
    }
    if (!o) { ATTN__FN(scale_lanes)(sum, dv, ca); return; }
    for (ptrdiff_t d = 0; d < dv; d++) ATTN__UNROLL ATTN__LANES_OF(j) {
        attn__e *x = sum + d * ATTN__TQ + j * ATTN__LANES;
        attn__v_store(x, ATTN__JOIN(attn__v_load(x), ca[j], attn__v_load(o + d * ATTN__TQ + j * ATTN__LANES), cb[j]));
    }
}
// weights of the part, times 0 or 1 / (1 - p)
ATTN__OUTLINE void ATTN__FN(drop_out)(const attn__tile_args *g, attn__e *s, const attn__part *p) {
    for (int lane = 0; lane < g->lanes; lane++) {
        double factor[ATTN__KT];
        attn__dropout(g->d, g->b, g->head[lane], g->query[lane], p->k0, p->nk, factor);
        for (ptrdiff_t r = 0; r < p->nk; r++) s[r * ATTN__TQ + lane] *= (attn__e)factor[r];
    }
}
// One block: keys k0 .. k0+nk-1 of a span. *at is the buffer that holds o.
ATTN__OUTLINE void ATTN__FN(block)(attn__tile_args *g, const attn__space *w, ptrdiff_t k0, ptrdiff_t nk,
                                   ATTN__FN(state) *z, int *at) {
    const attn_desc *d = g->d;
    const ptrdiff_t dv = d->vdim;
    attn__e *s = (attn__e *)w->s, *o = (attn__e *)w->o[*at];
    const attn__e *v, *in;
    ptrdiff_t row;
    int grow = 0;
    attn__v top[ATTN__QV], l[ATTN__QV];                 // not z->l: a store to s might change that
    ATTN__FN(shift) shift[ATTN__QV];
    attn__part p;
    attn__v_end();
    // nobody sees any: bits stay, keys are not read
    if (!attn__visible(g, w->vis, k0, nk, ATTN__TQ, &p, ATTN__FN(mask_words))) return;
    k0 = p.k0; nk = p.nk;                               // likewise
    ATTN_ASSERT(nk >= 1 && nk <= ATTN__KT && p.from <= p.to && p.to <= nk);
    if (w->whole) {
        memcpy(s, (attn__e *)w->whole + (k0 - g->start) * ATTN__TQ, sizeof(attn__e) * (size_t)(nk * ATTN__TQ));
        p.from = p.to = 0;
        ATTN__FN(unsee)(s, w->vis, &p);
        ATTN__LANES_OF(j) top[j] = z->m[j];
        if (d->norm == ATTN_NORM_TOP_K) {
            ATTN__LANES_OF(j) top[j] = attn__v_set(ATTN__NEG_INF);
            ATTN__FN(shape)(g, w, &p, 0, 0, nk, top);
        }
    } else ATTN__FN(scores)(g, w, &p, top);
    if (g->weights[0] && d->weights_stage == ATTN_WEIGHTS_SOFTMAX) ATTN__FN(keep_scores)(g, s, k0, nk);
    in = z->begun ? o : NULL;
    z->begun = 1;
    if (ATTN__FN(is_softmax)(d)) {
        ATTN__LANES_OF(j) grow |= attn__v_any(ATTN__GROWS(z->m[j], top[j]));
        if (grow) {
            attn__v f[ATTN__QV];
            ATTN__LANES_OF(j) { f[j] = ATTN__FN(rescale)(&z->m[j], top[j]); z->l[j] = attn__v_mul(z->l[j], f[j]); }
            if (in) ATTN__FN(scale_lanes)(o, dv, f);
        }
        ATTN__UNROLL ATTN__LANES_OF(j) { shift[j] = ATTN__FN(shift_of)(z->m[j]); l[j] = z->l[j]; }
        for (ptrdiff_t r = 0; r < nk; r++) ATTN__UNROLL ATTN__LANES_OF(j) {
            attn__e *x = s + r * ATTN__TQ + j * ATTN__LANES;
            const attn__v y = ATTN__FN(weigh)(&shift[j], attn__v_load(x));
            l[j] = attn__v_add(l[j], y); attn__v_store(x, y);
        }
        ATTN__LANES_OF(j) z->l[j] = l[j];
    } else for (ptrdiff_t r = 0; r < nk; r++) ATTN__LANES_OF(j) {
        attn__e *x = s + r * ATTN__TQ + j * ATTN__LANES;
        const attn__v y = ATTN__FN(weight)(d, attn__v_load(x), z->m[j], z->tau[j]);
        z->l[j] = attn__v_add(z->l[j], y); attn__v_store(x, y);
    }
    if (d->dropout > 0 || d->keep_weights) ATTN__FN(drop_out)(g, s, &p);
    if (ATTN__LANES > 1 && g->words_v) {
        attn__words_args a;
        a.g = g; a.w = w; a.few = 0; a.k0 = k0; a.nk = nk; a.in = in; a.test = p.to > p.from;
        if (a.test) *at = 1 - *at;                      // as below
        a.out = w->o[*at];
        g->table->words_outputs(&a);
        return;
    }
    v = ATTN__FN(take_rows)(g, w, 0, k0, nk, &row);
    if (2 * (p.to - p.from) > nk) { p.from = 0; p.to = nk; }
    if (p.to <= p.from) { ATTN__FN(outputs)(o, in, s, v, row, nk, dv, g->lanes, 0); return; }
    if (p.from > 0) { ATTN__FN(outputs)(o, in, s, v, row, p.from, dv, g->lanes, 0); in = o; }
    {                                                   // o goes to the other buffer: the keys can be done again
        const attn__e *ps = s + p.from * ATTN__TQ, *pv = v + p.from * row;
        o = (attn__e *)w->o[*at = 1 - *at];
        if (ATTN__FN(outputs)(o, in, ps, pv, row, p.to - p.from, dv, g->lanes, 1))
            ATTN__FN(outputs_guarded)(o, in, ps, pv, row, p.to - p.from, dv, w->vis + p.from);
    }
    if (p.to < nk) ATTN__FN(outputs)(o, o, s + p.to * ATTN__TQ, v + p.to * row, row, nk - p.to, dv, g->lanes, 0);
}

#if ATTN__LANES > 1
// ---- few rows that see the same keys: decoding
//
// Scores with keys in lanes (rows of k turned in registers), outputs with columns in lanes: k and v are read once for
// all rows and nothing is padded to a tile. Every sum has the tile's order, so the bits are the tile's.

// The rest of few_scores for LANES keys: features from d on, out of the last LANES; blocks have none
ATTN__OUTLINE void ATTN__FN(few_rest)(attn__e *t, const attn__e *q, ptrdiff_t dk, ptrdiff_t d, const char *const *k,
                                      int type, int rows) {
    const ptrdiff_t rest = dk - d;
    attn__e x[ATTN__LANES], z[ATTN__LANES * ATTN__LANES];
    for (int u = 0; u < ATTN__LANES; u++) {
#define ATTN__EACH(TYPE) attn__v_store(x, ATTN__LOAD(TYPE, k[u], dk - ATTN__LANES)); break
        switch (type) { ATTN__TYPES_WHOLE(ATTN__EACH) }
#undef ATTN__EACH
        for (ptrdiff_t i = 0; i < rest; i++) z[i * ATTN__LANES + u] = x[ATTN__LANES - rest + i];
    }
    for (int g = 0; g < rows; g++) {
        attn__v a = attn__v_load(t + g * ATTN__KT);
        for (ptrdiff_t i = 0; i < rest; i++)
            a = attn__v_fma(attn__v_set(q[g * dk + d + i]), attn__v_load(z + i * ATTN__LANES), a);
        attn__v_store(t + g * ATTN__KT, a);
    }
}
// t[g][i] = q[g] . k[i] for FEW_KEYS keys and one row or four
ATTN__OUTLINE void ATTN__FN(few_scores)(attn__e *t, const attn__e *q, ptrdiff_t dk, const char *const *k, int type,
                                        int rows, attn__ahead *touch) {
    attn__v a[2][4], r[ATTN__LANES];
    uint16_t h[16][2 * ATTN__FEW_KEYS];                 // scales of 512 features, and offsets
    ptrdiff_t d = 0;
    ATTN__UNROLL for (int g = 0; g < 4; g++) a[0][g] = a[1][g] = attn__v_set(0);
    for (; d + ATTN__LANES <= dk; d += ATTN__LANES) ATTN__UNROLL for (int b = 0; b < 2; b++) {
        const attn__e *x = q + d;
#ifdef attn__v_byte
        if (b == 0 && d % 512 == 0 && ATTN__IN_BLOCKS(type))
            for (ptrdiff_t i = d / 32; i < dk / 32 && i < d / 32 + 16; i++)
                for (int j = 0; j <= (type == ATTN_Q4_1); j++) ATTN__UNROLL for (int u = 0; u < ATTN__FEW_KEYS; u++)
                    h[i % 16][j * ATTN__FEW_KEYS + u] = attn__u16(k[u] + i * attn__types[type].bytes + 2 * j);
#endif
        ATTN__FN(turned)(r, k + b * ATTN__LANES, d, type, h[d % 512 / 32] + b * ATTN__LANES);
        if (b == 0) attn__touch_ahead(touch);
        ATTN__HIDE(x);
        ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++) a[b][0] = attn__v_fma(attn__v_set(x[u]), r[u], a[b][0]);
        if (rows > 1) ATTN__UNROLL for (int g = 1; g < 4; g++) {
            x += dk;
            ATTN__HIDE(x);
            ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++) a[b][g] = attn__v_fma(attn__v_set(x[u]), r[u], a[b][g]);
        }
    }
    ATTN__UNROLL for (int b = 0; b < 2; b++) ATTN__UNROLL for (int g = 0; g < 4; g++)
        if (g < rows) attn__v_store(t + g * ATTN__KT + b * ATTN__LANES, a[b][g]);
    for (int b = 0; d < dk && b < 2; b++)
        ATTN__FN(few_rest)(t + b * ATTN__LANES, q, dk, d, k + b * ATTN__LANES, type, rows);
}
// o[g][4 vectors] += sum over keys of p[g][key] v[key][column[u] ..] for four rows or one; `wide`: 8 vectors of one,
// not of q4_1, whose widening is work enough. l, when given, is one more chain.
ATTN__OUTLINE void ATTN__FN(few_columns)(attn__e *o, ptrdiff_t o_row, const attn__e *p, const char *const *v, int type,
                                         const ptrdiff_t *column, ptrdiff_t nk, attn__e *l, int rows, int wide,
                                         attn__ahead *touch) {
    const int sums = wide ? 2 : rows;                   // of 4 vectors each
    attn__v a[4][4];
    attn__e t[ATTN__LANES];
    ptrdiff_t at[8];
    ATTN__UNROLL for (int i = 0; i < 8; i++) { at[i] = column[i]; ATTN__HIDE(at[i]); }
    if (wide) o_row = 4 * ATTN__LANES;
    ATTN__UNROLL for (int g = 0; g < 4; g++) {
        ATTN__UNROLL for (int i = 0; i < 4; i++)
            a[g][i] = g < sums ? attn__v_load(o + g * o_row + i * ATTN__LANES) : attn__v_set(0);
    }
    for (int g = 0; l && g < rows; g++) {               // beside the outputs, and as vectors: rounded as a tile's
        attn__v sum = attn__v_set(l[g]);
        for (ptrdiff_t k = 0; k < nk; k++) {
            sum = attn__v_add(sum, attn__v_set(p[g * ATTN__KT + k]));
            ATTN__HIDE_F(sum);                          // in this order, also with -ffast-math
        }
        attn__v_store(t, sum);
        l[g] = t[0];
    }
#define ATTN__EACH(TYPE)                                                                                          \
    for (ptrdiff_t k = 0; k < nk; k++) {                                                                          \
        attn__v x[4];                                                                                             \
        attn__touch_ahead(touch);                                                                                 \
        ATTN__UNROLL for (int i = 0; i < 4; i += 2) {                 /* two of a block */                        \
            const attn__v c = ATTN__SCALE_##TYPE(v[k], at[i]);                                                    \
            x[i] = ATTN__LOAD_##TYPE(v[k], at[i], c); x[i + 1] = ATTN__LOAD_##TYPE(v[k], at[i + 1], c);           \
        }                                                                                                         \
        if (ATTN__IS_WIDE) ATTN__UNROLL for (int i = 0; i < 4; i += 2) {                                          \
            const attn__v c = ATTN__SCALE_##TYPE(v[k], at[4 + i]), y = attn__v_set(p[k]);                         \
            a[1][i] = attn__v_fma(ATTN__LOAD_##TYPE(v[k], at[4 + i], c), y, a[1][i]);                             \
            a[1][i + 1] = attn__v_fma(ATTN__LOAD_##TYPE(v[k], at[5 + i], c), y, a[1][i + 1]);                     \
        }                                                                                                         \
        ATTN__UNROLL for (int g = 0; g < 4; g++) {                                                                \
            if (g == 1 && rows == 1) break;                                                                       \
            { const attn__v y = attn__v_set(p[g * ATTN__KT + k]);                                                 \
              ATTN__UNROLL for (int i = 0; i < 4; i++) a[g][i] = attn__v_fma(x[i], y, a[g][i]); }                 \
        }                                                                                                         \
    }                                                                                                             \
    break
    switch (type) {
#define ATTN__IS_WIDE 0
    ATTN__TYPE_Q4_1(ATTN__EACH)
#undef ATTN__IS_WIDE
#define ATTN__IS_WIDE wide
    ATTN__TYPE_Q4_0(ATTN__EACH)
    ATTN__TYPES(ATTN__EACH)
#undef ATTN__IS_WIDE
    }
#undef ATTN__EACH
    ATTN__UNROLL for (int g = 0; g < 4; g++) if (g < sums)
        ATTN__UNROLL for (int i = 0; i < 4; i++) attn__v_store(o + g * o_row + i * ATTN__LANES, a[g][i]);
}
// p: the rows of k0 .. k0+n-1; those that no vector reads are widened, and p then says where. The type they have
ATTN__OUTLINE int ATTN__FN(few_rows)(const char **p, const attn__tile_args *g, const attn__space *w, int keys,
                                     ptrdiff_t k0, ptrdiff_t n) {
    const attn__rows *x = keys ? &g->k : &g->v;
    int words = keys ? g->words_k : g->words_v, type = x->type;
#ifdef attn__v_byte
    words |= ATTN__IN_BLOCKS(type) && !(keys && ATTN__FN(stages)(g->d, 1));
#elif defined(attn__v_of_i8)
    words |= !keys && ATTN__IN_BLOCKS(type);
#endif
    if (!words && !(x->col == 1 && ATTN__FN(loads)(type) && !(keys && ATTN__FN(stages)(g->d, 1)))) {
        ptrdiff_t row;
        const attn__e *y = ATTN__FN(take_rows)(g, w, keys, k0, n, &row);
        for (ptrdiff_t r = 0; r < n; r++) p[r] = (const char *)(const void *)(y + r * row);
        type = ATTN__OWN_TYPE;
    }
    for (; n % ATTN__FEW_KEYS; n++) p[n] = p[n - 1];
    return type;
}
ATTN__INL ptrdiff_t ATTN__FN(few_row)(ptrdiff_t dv) {
    return (dv + 4 * ATTN__LANES - 1) / (4 * ATTN__LANES) * 4 * ATTN__LANES;
}
// One span: keys k0 .. stop-1 from nothing. z gets m and l; o is left in w->o[1] as a tile's.
ATTN__OUTLINE void ATTN__FN(few_span)(attn__tile_args *g, const attn__space *w, ptrdiff_t k0, ptrdiff_t stop,
                                      ATTN__FN(state) *z) {
    // columns in groups of 4 vectors; those past the last whole one hold the last LANES columns
    const attn_desc *d = g->d;
    const ptrdiff_t dk = d->dim, dv = d->vdim, o_row = ATTN__FN(few_row)(dv), last = dv - ATTN__LANES;
    const ptrdiff_t edge = g->kept && g->to < g->hi_least ? g->to : g->hi_least;        // of what this worker reads
    const int lanes = g->lanes, step = lanes == 1 ? 1 : 4, group = (lanes + step - 1) / step * step;
    attn__e *t = (attn__e *)w->s, *o = (attn__e *)w->o[0], *q = (attn__e *)w->rows;
    attn__e m[ATTN__TQ], l[ATTN__TQ], keys[ATTN__LANES];
    const char *k[ATTN__KT], *v[ATTN__KT];
    // features and columns at a time; times that rows to come are touched, for FEW_KEYS keys and for a value or two
    const ptrdiff_t features = g->words_k == ATTN__I8_WORDS && ATTN__LANES < 8 ? 32 : ATTN__LANES << g->words_k;
    const int narrow = g->v.type == ATTN_Q4_1 && ATTN__FN(loads)(ATTN_Q8_0);
    const ptrdiff_t columns = (step == 1 && !g->words_v && !narrow ? 8 : 4) * ATTN__LANES;
    const ptrdiff_t k_times = (dk > features ? dk / features : 1) * (g->words_k ? 2 : 1) * (group / step);
    const ptrdiff_t v_times = (o_row + columns - 1) / columns * (group / step);
    const attn__v cap = attn__v_set((attn__e)d->softcap),
        uncap = attn__v_set(d->softcap > 0 ? 1 / (attn__e)d->softcap : 0);
    attn__words_args a;
    a.g = g; a.w = w; a.few = 1; a.rows = step; a.o_row = o_row;
    for (int i = 0; i < ATTN__TQ; i++) { m[i] = ATTN__NEG_INF; l[i] = 0; }
    for (int i = 0; i < ATTN__LANES; i++) keys[i] = (attn__e)i;
    memset(o, 0, sizeof(attn__e) * (size_t)(group * o_row));
    for (ptrdiff_t b = k0 / ATTN__KT * ATTN__KT; b < stop; b += ATTN__KT) {
        const ptrdiff_t first = b < k0 ? k0 : b, nk = (stop - b < ATTN__KT ? stop : b + ATTN__KT) - first;
        const int more = first + nk < edge;             // keys of this head
        const ptrdiff_t next = more ? first + nk : g->lo_least, left = edge - next;
        const ptrdiff_t coming = left < ATTN__KT ? left : ATTN__KT;
        int type;
        if (first == k0) attn__rows_list(k, &g->k, first, nk);
        attn__rows_list(v, &g->v, first, nk);           // touched while keys are read, the next keys while these are
        attn__look_ahead(g->coming, v, nk, attn__bytes(g->v.type, dv),
                         (nk + ATTN__FEW_KEYS - 1) / ATTN__FEW_KEYS * k_times);
        type = a.type = ATTN__FN(few_rows)(k, g, w, 1, first, nk);
        for (ptrdiff_t i = 0; i < nk; i += ATTN__FEW_KEYS) for (int u = 0; u < lanes; u += step) {
            if (!g->words_k)
                ATTN__FN(few_scores)(t + u * ATTN__KT + i, q + u * dk, dk, k + i, type, step, g->coming);
            else { a.t = t + u * ATTN__KT + i; a.row = u; a.at = k + i; g->table->words_few(&a); }
        }
        for (int u = 0; u < group; u++) {
            attn__e *s = t + u * ATTN__KT;
            attn__v top = attn__v_set(ATTN__NEG_INF), vm = attn__v_set(m[u]);
            ATTN__FN(shift) shift;
            if (d->softcap > 0) for (ptrdiff_t i = 0; i < nk; i += ATTN__LANES)
                attn__v_store(s + i, attn__v_mul(cap, ATTN__FN(tanh)(attn__v_mul(attn__v_load(s + i), uncap))));
            if (g->adds) {
                const int lane = u < lanes ? u : lanes - 1;
                const attn__v slope = attn__v_set((attn__e)g->slope[lane]), key = attn__v_load(keys);
                const attn__v at = attn__v_set((attn__e)(g->query[lane] + g->offset - b));
                for (ptrdiff_t i = 0; i < nk; i += ATTN__LANES) {
                    const attn__v j = attn__v_add(key, attn__v_set((attn__e)(first - b + i)));
                    const attn__v gap = attn__v_abs(attn__v_sub(at, j));
                    attn__v_store(s + i, attn__v_add(attn__v_load(s + i), attn__v_fnma(slope, gap, attn__v_set(0))));
                }
            }
            for (ptrdiff_t i = 0; i < nk; i += ATTN__LANES)
                top = attn__v_max(attn__v_load_n(s + i, nk - i, ATTN__NEG_INF), top);
            top = attn__v_set(attn__v_hmax(top));
            if (attn__v_any(ATTN__GROWS(vm, top))) {
                attn__e x[ATTN__LANES];
                const attn__v f = ATTN__FN(rescale)(&vm, top);
                attn__v_store(x, attn__v_mul(attn__v_set(l[u]), f)); l[u] = x[0];
                attn__v_store(x, vm); m[u] = x[0];
                for (ptrdiff_t i = 0; i < o_row; i += ATTN__LANES)
                    attn__v_store(o + u * o_row + i, attn__v_mul(attn__v_load(o + u * o_row + i), f));
            }
            shift = ATTN__FN(shift_of)(vm);
            for (ptrdiff_t i = 0; i < nk; i += ATTN__LANES)
                attn__v_store_n(s + i, nk - i, ATTN__FN(weigh)(&shift, attn__v_load_n(s + i, nk - i, 0)));
        }
        type = ATTN__FN(few_rows)(v, g, w, 0, first, nk);
        g->coming->each = 0;
        if (more || g->after) {
            attn__rows_list(k, &g->k, next, coming);
            for (ptrdiff_t i = 0; !more && i < coming; i++) k[i] += g->after;
            attn__look_ahead(g->coming, k, coming, attn__bytes(g->k.type, dk),
                             (g->words_v ? (nk + 1) / 2 : nk) * v_times);
        }
        for (ptrdiff_t r = 0, n; r < nk; r += n) {      // rows that stay near for all sweeps over their columns
            n = 16 - ((first + r) & 1);                 // pairs of words begin at an even key
            if (n > nk - r) n = nk - r;
            for (int u = 0; u < lanes; u += step) for (ptrdiff_t i = 0, sweep; i < o_row; i += sweep) {
                const int wide = columns == 8 * ATTN__LANES && i + columns <= o_row;
                ptrdiff_t column[8];
                sweep = (wide ? 8 : 4) * ATTN__LANES;
                for (int x = 0; x < 8; x++) column[x] = i + x * ATTN__LANES < last ? i + x * ATTN__LANES : last;
                if (!g->words_v)
                    ATTN__FN(few_columns)(o + u * o_row + i, o_row, t + u * ATTN__KT + r, v + r, type, column, n,
                                          i ? NULL : l + u, step, wide, g->coming);
                else {
                    a.out = o + u * o_row + i; a.t = t + u * ATTN__KT + r; a.at = v + r; a.column = column;
                    a.k0 = first + r; a.nk = n; a.l = i ? NULL : l + u;
                    g->table->words_columns(&a);
                }
            }
        }
    }
    g->coming->each = 0;                                 // its rows are listed here
    memset(w->o[1], 0, sizeof(attn__e) * (size_t)(dv * ATTN__TQ));
    for (int u = 0; u < lanes; u++) for (ptrdiff_t e = 0; e < dv; e++) {
        const ptrdiff_t whole = dv / ATTN__LANES * ATTN__LANES;
        ((attn__e *)w->o[1])[e * ATTN__TQ + u] = o[u * o_row + (e < whole ? e : whole + e - last)];
    }
    ATTN__LANES_OF(j) { z->m[j] = attn__v_load(m + j * ATTN__LANES); z->l[j] = attn__v_load(l + j * ATTN__LANES); }
    z->begun = 1;
}
ATTN__INL int ATTN__FN(is_few)(const attn__tile_args *g) {
    const attn_desc *d = g->d;
    const int many = g->lanes > 4, stored = g->k.type != ATTN__OWN_TYPE && !g->words_k;
    const ptrdiff_t keys = g->hi_most - g->lo_least, all = ATTN__TQ * d->vdim;
    ptrdiff_t sums;
    if (g->lanes > ATTN__TQ / 4 || d->dim < ATTN__LANES || d->vdim < ATTN__LANES || g->lo_least != g->lo_most ||
        g->hi_least != g->hi_most || g->masks || d->bias || d->rel_kind || g->every || d->custom || d->weights ||
        d->norm != ATTN_NORM_SOFTMAX || d->dropout != 0 || d->keep_weights ||
        (d->score != ATTN_SCORE_DOT && d->score != ATTN_SCORE_COSINE) || (g->words_v && g->v.col != 1) ||
        (g->words_k == ATTN__BF16_WORDS && (d->dim % 2 || g->k.col != 1))) return 0;
    // A tile takes less for few keys that are near, and where many of these sums are of no row or column
    sums = (g->lanes + 3) / 4 * 4 * ATTN__FN(few_row)(d->vdim);
    return sums <= all && (keys >= 32 && (g->cold || g->lanes == 1) ? 1 : g->words_k == ATTN__I8_WORDS ? keys >= 16
                           : stored ? keys >= 32 << many && 2 * sums <= all
                                    : keys >= (many || ATTN__TQ < 32 ? 128 : 32) && 10 * sums <= 3 * all);
}
ATTN__OUTLINE void ATTN__FN(few_queries)(attn__tile_args *g, const attn__space *w) {
    const attn_desc *d = g->d;
    attn__e *q = (attn__e *)w->rows;
    const int ready = ATTN__FN(stages)(d, 0);
    for (int u = 0; u < (ATTN__TQ / 4) || u < 4; u++) {
        const int lane = u < g->lanes ? u : g->lanes - 1;
        attn__e *y = q + u * d->dim;
        if (u >= (g->lanes == 1 ? 1 : (g->lanes + 3) / 4 * 4)) break;
        ATTN__FN(widen)(y, d->q_type, (const char *)g->q[lane], d->q_stride[3], d->dim);
        if (ready)
            ATTN__FN(ready)(d, y, ready, d->q_norm, d->rope_q_pos ? d->rope_q_pos[g->b * d->queries + g->query[lane]]
                                                                         : g->query[lane] + g->offset);
        for (ptrdiff_t i = 0; i < d->dim && g->words_k != ATTN__I8_WORDS; i++) y[i] *= (attn__e)g->scale[lane];
    }
    if (g->words_k) ATTN__FN(q_words)(g, w, 1);
}
#endif // ATTN__LANES > 1

ATTN__LIGHT_ON
// ---- results of a tile

// t[e][lane] * r[lane] -> rows of o
ATTN__OUTLINE void ATTN__FN(unpack_o)(const attn__tile_args *g, attn__e *t, const attn__v *r) {
    const attn_desc *d = g->d;
    if (d->o_stride[3] == 1 && d->o_type == ATTN__OWN_TYPE) {
        ATTN__FN(unpack)(g->o, 0, g->lanes, t, d->vdim, r);
        return;
    }
    for (ptrdiff_t e = 0; e < d->vdim; e++, t += ATTN__TQ) {
        ATTN__LANES_OF(j) attn__v_store(t + j * ATTN__LANES, attn__v_fma(attn__v_load(t + j * ATTN__LANES), r[j],
                                                                         attn__v_set(0)));
        for (int i = 0; i < g->lanes; i++) attn__store(d->o_type, g->o[i], e * d->o_stride[3], (double)t[i]);
    }
}
// The row of weights from its final scores
ATTN__OUTLINE void ATTN__FN(finish_weights)(const attn__tile_args *g, int lane, attn__e m, attn__e tau, attn__e r) {
    const attn_desc *d = g->d;
    attn__e *x = (attn__e *)g->weights[lane];
    const ATTN__FN(shift) z = ATTN__FN(shift_of)(attn__v_set(m));
    for (ptrdiff_t i = 0; i < d->keys; i += ATTN__LANES) {    // a hidden key weighs 0, also beside a NaN
        const attn__v s = attn__v_load_n(x + i, d->keys - i, 0);
        const attn__v y = ATTN__FN(is_softmax)(d) ? ATTN__FN(weigh)(&z, s)
            : ATTN__FN(weight)(d, s, attn__v_set(m), attn__v_set(tau));
        attn__v_store_n(x + i, d->keys - i,
                        attn__v_sel(attn__v_lt(s, attn__v_set(-ATTN__LARGEST)), attn__v_set(0),
                                    attn__v_mul(y, attn__v_set(r))));
    }
    if (d->dropout > 0 || d->keep_weights)
        for (ptrdiff_t i = 0; i < d->keys; i += ATTN__KT) {
            double factor[ATTN__KT];
            const ptrdiff_t n = d->keys - i < ATTN__KT ? d->keys - i : ATTN__KT;
            attn__dropout(d, g->b, g->head[lane], g->query[lane], i, n, factor);
            for (ptrdiff_t u = 0; u < n; u++) x[i + u] *= (attn__e)factor[u];
        }
}
// A tile under way: z of a span, sum of those before, in o
typedef struct ATTN__FN(course) {
    attn__tile_args *g;
    attn__space w;
    ATTN__FN(state) z, sum, start;
    attn__e *o, *kept;
    int at, few, spans;
} ATTN__FN(course);
ATTN__OUTLINE void ATTN__FN(begin)(ATTN__FN(course) *x, attn__tile_args *g) {
    const attn_desc *d = g->d;
    // weights that need no maximum: m is a constant, o is only added to
    const int local = !ATTN__FN(is_softmax)(d);
    attn__v r[ATTN__QV];
    x->g = g; x->kept = (attn__e *)g->kept; x->few = x->spans = 0;
    attn__layout(&x->w, g->work, g->own, d, (int)sizeof(attn__e), ATTN__TQ, ATTN__KT);
    x->o = (attn__e *)x->w.sum;
    x->w.held[1] = x->w.held[3] = 0;                    // nothing is
    if (g->weights[0]) for (int i = 0; i < g->lanes; i++) for (ptrdiff_t j = 0; j < d->keys; j++)
        ((attn__e *)g->weights[i])[j] = ATTN__NEG_INF;
#if ATTN__LANES > 1
    x->few = ATTN__FN(is_few)(g);
    if (x->few && !g->fold) ATTN__FN(few_queries)(g, &x->w);
#endif
    if (!x->few && !g->fold) ATTN__FN(take_queries)(g, &x->w);
    ATTN__LANES_OF(j) { x->start.m[j] = attn__v_set(ATTN__NEG_INF); x->start.tau[j] = x->start.l[j] = attn__v_set(0); }
    x->start.begun = 0;
    x->sum = x->start;
    if (x->w.whole) {
        attn__e *whole = (attn__e *)x->w.whole;
        for (ptrdiff_t i = 0; i < (g->end - g->start) * ATTN__TQ; i++) whole[i] = ATTN__NEG_INF;
        for (ptrdiff_t b = g->start; b < g->end; b += ATTN__KT) {
            attn__part p;
            if (!attn__visible(g, x->w.vis, b, g->end - b < ATTN__KT ? g->end - b : ATTN__KT, ATTN__TQ, &p,
                               ATTN__FN(mask_words))) continue;
            ATTN__FN(scores)(g, &x->w, &p, r);
            memcpy(whole + (p.k0 - g->start) * ATTN__TQ, x->w.s, sizeof(attn__e) * (size_t)(p.nk * ATTN__TQ));
        }
        ATTN__FN(threshold)(d, whole, g->end - g->start, &x->start);
        x->sum = x->start;
        if (!local) ATTN__LANES_OF(j) { x->start.m[j] = x->sum.m[j] = attn__v_set(ATTN__NEG_INF); }
    } else if (local) ATTN__LANES_OF(j) { x->start.m[j] = x->sum.m[j] = attn__v_set(0); }
    attn__v_end();
}
// z of a span that ends at stop joins the sum, or what was kept of it does
ATTN__OUTLINE void ATTN__FN(end_span)(ATTN__FN(course) *x, int skip, ptrdiff_t stop) {
    const attn__tile_args *g = x->g;
    const ptrdiff_t dv = g->d->vdim;
    const size_t o_bytes = sizeof(attn__e) * (size_t)(dv * ATTN__TQ);
    attn__e *of = (attn__e *)x->w.o[x->at];
    if (x->kept) {
        attn__e *kept = x->kept, *ml = kept + dv * ATTN__TQ;
        x->kept = ml + 3 * ATTN__TQ;
        if (!g->fold && skip) return;
        if (!g->fold) {
            if (x->z.begun) memcpy(kept, of, o_bytes);
            ATTN__LANES_OF(j) {
                attn__v_store(ml + j * ATTN__LANES, x->z.m[j]);
                attn__v_store(ml + ATTN__TQ + j * ATTN__LANES, x->z.l[j]);
            }
            ml[2 * ATTN__TQ] = (attn__e)x->z.begun;
            return;
        }
        ATTN__LANES_OF(j) {
            x->z.m[j] = attn__v_load(ml + j * ATTN__LANES);
            x->z.l[j] = attn__v_load(ml + ATTN__TQ + j * ATTN__LANES);
        }
        x->z.begun = ml[2 * ATTN__TQ] != 0;
        of = kept;
    }
    if (!x->z.begun) return;
    if (++x->spans == 1) {
        x->sum = x->z; x->o = of;
        if (stop < g->end) { memcpy(x->w.sum, of, o_bytes); x->o = (attn__e *)x->w.sum; }
    } else ATTN__FN(fold)((attn__e *)x->w.sum, &x->sum, of, &x->z, dv);
}
// Sinks, the division by the sum, and what the caller asked for
ATTN__OUTLINE void ATTN__FN(finish)(ATTN__FN(course) *x) {
    attn__tile_args *g = x->g;
    const attn_desc *d = g->d;
    attn__v r[ATTN__QV];
    attn__e m[ATTN__TQ], l[ATTN__TQ], rl[ATTN__TQ], tau[ATTN__TQ];
    ATTN__FN(state) z, sum = x->sum;
    attn__e *o = x->o;
    if (g->kept && !g->fold) return;
    if (!x->spans) memset(o, 0, sizeof(attn__e) * (size_t)(d->vdim * ATTN__TQ));
    if (g->dead) ATTN__LANES_OF(j) {                    // masked_score saw keys for rows that do not exist
        uint32_t alive = 0;
        for (int i = 0; i < ATTN__LANES; i++) alive |= (uint32_t)(j * ATTN__LANES + i < g->lanes - g->dead) << i;
        sum.m[j] = attn__v_sel(attn__v_mask(alive), sum.m[j], attn__v_set(ATTN__NEG_INF));
        sum.l[j] = attn__v_sel(attn__v_mask(alive), sum.l[j], attn__v_set(0));
    }
    for (int n = 0; n < 2; n++) {                       // sinks: keys without a value
        attn__e t[ATTN__TQ];
        if (n ? !d->off_by_one : !d->sink) continue;
        for (int i = 0; i < ATTN__TQ; i++) t[i] = n ? 0 : (attn__e)d->sink[g->head[i]];
        ATTN__LANES_OF(j) { z.m[j] = attn__v_load(t + j * ATTN__LANES); z.l[j] = attn__v_set(1); }
        ATTN__FN(fold)(o, &sum, NULL, &z, d->vdim);
    }
    ATTN__LANES_OF(j) {                                 // 0 for a row that sees no key, NaN stays
        const attn__v y = sum.l[j], zero = attn__v_set(0), one = attn__v_set(1);
        // fast maths may divide by a rounded reciprocal; the one winner weighs 1
        r[j] = attn__v_sel(attn__v_lt(zero, y), d->norm == ATTN_NORM_HARD ? one : attn__v_div(one, y),
                           attn__v_sel(attn__v_lt(y, attn__v_set(ATTN__C(1e-38))), zero, y));
        if (d->norm == ATTN_NORM_SIGMOID || d->norm == ATTN_NORM_RELU || d->norm == ATTN_NORM_NONE)
            r[j] = attn__v_set(1);
        attn__v_store(m + j * ATTN__LANES, sum.m[j]); attn__v_store(l + j * ATTN__LANES, y);
        attn__v_store(rl + j * ATTN__LANES, r[j]); attn__v_store(tau + j * ATTN__LANES, sum.tau[j]);
    }
    ATTN__FN(unpack_o)(g, o, r);
    attn__v_end();
    for (int i = 0; i < g->lanes; i++) {
        if (d->lse) {
            if (l[i] == 0) *(attn__e *)g->lse[i] = ATTN__NEG_INF;
            else *(attn__e *)g->lse[i] = (attn__e)((double)m[i] + attn__log_d((double)l[i]));
        }
        if (d->weights && d->weights_stage == ATTN_WEIGHTS_SOFTMAX)
            ATTN__FN(finish_weights)(g, i, m[i], tau[i], rl[i]);
        if (i >= g->lanes - g->dead) {
            for (ptrdiff_t e = 0; e < d->vdim; e++) attn__store(d->o_type, g->o[i], e * d->o_stride[3], 0);
            if (d->weights && d->weights_stage == ATTN_WEIGHTS_SOFTMAX)
                memset(g->weights[i], 0, sizeof(attn__e) * (size_t)d->keys);
        }
    }
}
ATTN__FUNC void ATTN__FN(tile)(attn__tile_args *g) {
    const int run = ATTN__RUN > 1 ? g->run : 1;
    ATTN__FN(course) all[ATTN__RUN];
    ptrdiff_t start = PTRDIFF_MAX, end = 0;
    for (int i = 0; i < run; i++) {
        ATTN__FN(begin)(all + i, g + i);
        if (g[i].start < start) start = g[i].start;
        if (g[i].end > end) end = g[i].end;
    }
    for (ptrdiff_t k0 = start; k0 < end; k0 += ATTN__SPAN) {
        ptrdiff_t stop[ATTN__RUN];                      // of a tile's blocks in this span
        int skip[ATTN__RUN];
        for (int i = 0; i < run; i++) {
            ATTN__FN(course) *x = all + i;
            const attn__tile_args *t = x->g;
            stop[i] = t->end - k0 < ATTN__SPAN ? t->end : k0 + ATTN__SPAN;
            if (k0 < t->start) stop[i] = k0;
            skip[i] = t->fold || (t->kept && (k0 < t->from || k0 >= t->to));
            x->z = x->start; x->at = 0;
#if ATTN__LANES > 1
            if (x->few && !skip[i]) {
                const ptrdiff_t from = k0 < t->lo_least ? t->lo_least : k0;
                if (from < stop[i]) { x->at = 1; ATTN__FN(few_span)(x->g, &x->w, from, stop[i], &x->z); }
            }
#endif
        }
        for (ptrdiff_t b = k0; b < k0 + ATTN__SPAN; b += ATTN__KT) for (int i = 0; i < run; i++) {
            ATTN__FN(course) *x = all + i;
            if (b < stop[i] && !x->few && !skip[i])
                ATTN__FN(block)(x->g, &x->w, b, stop[i] - b < ATTN__KT ? stop[i] - b : ATTN__KT, &x->z, &x->at);
        }
        for (int i = 0; i < run; i++) if (k0 < stop[i]) ATTN__FN(end_span)(all + i, skip[i], stop[i]);
    }
    for (int i = 0; i < run; i++) ATTN__FN(finish)(all + i);
    attn__v_end();
}
ATTN__LIGHT_OFF

#endif // not ATTN__OVERLAY
#if !defined(ATTN__OVERLAY) || defined(ATTN__HAS_BF16)

// ---- the FMA limit of the pass, for benchmarks; of an overlay that of its products

#ifdef ATTN__OVERLAY
#define ATTN__PEAK words_peak
#else
#define ATTN__PEAK peak
#endif
ATTN__FUNC void ATTN__FN(ATTN__PEAK)(attn__peak_args *g) {
    enum { chains = ATTN__R3 * ATTN__QV };
    attn__v acc[chains], x = attn__v_set(ATTN__C(0.999)), y = attn__v_set(ATTN__C(0.001));
    attn__e t[ATTN__LANES];
    volatile attn__e sink;
    ATTN__UNROLL for (int i = 0; i < chains; i++) acc[i] = attn__v_set((attn__e)i);
    for (ptrdiff_t n = 0; n < g->loops; n++)
        ATTN__UNROLL for (int i = 0; i < chains; i++) { acc[i] = attn__x_fma(x, y, acc[i]); ATTN__HIDE_F(acc[i]); }
    ATTN__UNROLL for (int i = 1; i < chains; i++) acc[0] = attn__v_add(acc[0], acc[i]);
    attn__v_store(t, acc[0]);
    sink = t[0]; (void)sink;
    g->flops = 4.0 / ATTN__X_WIDE(2) * (double)(chains * ATTN__LANES) * (double)g->loops;
    attn__v_end();
}
#endif

// ---- dot products of bf16 and i8: plain here, one instruction in the overlays

#if !defined(ATTN__OVERLAY) || defined(ATTN__HAS_BF16)
ATTN__FUNC void ATTN__FN(dot_bf16)(attn__dot_args *g) {
    const uint16_t *x = (const uint16_t *)g->x, *y = (const uint16_t *)g->y;
    ptrdiff_t i = 0;
    float sum = 0;
#ifdef ATTN__OVERLAY
    attn__v acc = attn__v_set(0);
    for (; i + 2 * ATTN__LANES <= g->n; i += 2 * ATTN__LANES)
        acc = attn__x_fma(attn__v_load((const float *)(const void *)(x + i)),
                          attn__v_load((const float *)(const void *)(y + i)), acc);
    sum = attn__v_hsum(acc);
#endif
    for (; i < g->n; i++) sum += attn__from_bf16(x[i]) * attn__from_bf16(y[i]);
    g->f = sum;
    attn__v_end();
}
#endif
#if !defined(ATTN__OVERLAY) || defined(ATTN__HAS_I8)
ATTN__FUNC void ATTN__FN(dot_i8)(attn__dot_args *g) {
    const int8_t *x = (const int8_t *)g->x, *y = (const int8_t *)g->y;
    ptrdiff_t i = 0;
    int32_t sum = 0;
#ifdef ATTN__OVERLAY
    const attn__v ones = attn__v_set(attn__word("\1\1\1\1"));
    attn__x_i acc = attn__x_set(0), more = acc;
    for (; i + 4 * ATTN__LANES <= g->n; i += 4 * ATTN__LANES) {
        const attn__v b = attn__v_load((const float *)(const void *)(y + i));
        acc = attn__x_dot(acc, attn__x_bytes(x + i), b);
        if (ATTN__X_BIAS) more = attn__x_dot(more, ones, b);
    }
    sum = (int32_t)((uint32_t)attn__x_sum(acc) - ATTN__X_BIAS * (uint32_t)attn__x_sum(more));
#endif
    for (; i < g->n; i++) sum += (int32_t)x[i] * y[i];
    g->i = sum;
    attn__v_end();
}
#endif

#ifdef ATTN__OVERLAY
// ---- products of words: ATTN_ARITH_NATIVE
//
// k in bf16: scores are chains over pairs of features. v in bf16: outputs are chains over pairs of keys, an even one
// and the next; weights are rounded to bf16. k in blocks: q becomes q8_0, a block is one sum of integers, blocks follow
// each other in one chain. Tiles and few rows take the same steps, so the row rule holds.

// Words of q, and of a block of 32 its scale, the sum of its integers times that, and the sum times -bias of k.
// Word i of row u is at words[u * row + i * next], block b at u * block_row + b * block_next.
typedef struct ATTN__FN(bytes) {
    attn__e *words, *scale, *part;
    int32_t *start;
    ptrdiff_t row, next, block_row, block_next;
} ATTN__FN(bytes);
ATTN__INL ATTN__FN(bytes) ATTN__FN(bytes_of)(const attn__words_args *a) {
    const ptrdiff_t n = a->g->d->dim;
    ATTN__FN(bytes) x;
    x.words = (attn__e *)a->w->spare;
    x.scale = x.words + n / 4 * ATTN__TQ; x.part = x.scale + n / 32 * ATTN__TQ;
    x.start = (int32_t *)(void *)(x.part + n / 32 * ATTN__TQ);
    x.row = a->few ? n / 4 : 1; x.next = a->few ? 1 : ATTN__TQ;
    x.block_row = a->few ? n / 32 : 1; x.block_next = a->few ? 1 : ATTN__TQ;
    return x;
}
#ifdef ATTN__HAS_BF16
ATTN__INL void ATTN__FN(halves)(uint16_t *to, const attn__e *x, ptrdiff_t n) {     // rounded to bf16 as pairs are
    for (ptrdiff_t i = 0; i < n; i += ATTN__LANES) {
        uint16_t half[2 * ATTN__LANES];
        attn__v_store((attn__e *)(void *)half, attn__x_pairs(attn__v_load_n(x + i, n - i, 0), attn__v_set(0)));
        for (ptrdiff_t u = 0; u < ATTN__LANES && i + u < n; u++) to[i + u] = half[2 * u];
    }
}
#endif
ATTN__FUNC void ATTN__FN(words_q)(attn__words_args *a) {
    attn__tile_args *g = a->g;
    const ptrdiff_t n = g->d->dim;
    const int many = !a->few ? ATTN__TQ : g->lanes == 1 ? 1 : (g->lanes + 3) / 4 * 4;
#ifdef ATTN__HAS_BF16
    if (g->words_k == ATTN__BF16_WORDS) {
        attn__e *t = (attn__e *)a->w->spare;
        const attn__e *q = (const attn__e *)(a->few ? a->w->rows : a->w->q);
        if (a->few) ATTN__FN(halves)((uint16_t *)a->w->spare, q, many * n);
        else for (ptrdiff_t i = 0; i < n; i += 2) ATTN__LANES_OF(j) {
            const attn__e *x = q + i * ATTN__TQ + j * ATTN__LANES;
            attn__v_store(t + i / 2 * ATTN__TQ + j * ATTN__LANES,
                          attn__x_pairs(attn__v_load(x), i + 1 < n ? attn__v_load(x + ATTN__TQ) : attn__v_set(0)));
        }
    } else
#endif
    {
        const ATTN__FN(bytes) x = ATTN__FN(bytes_of)(a);
        const int bias = g->k.type == ATTN_Q8_0 ? ATTN__X_BIAS : g->k.type == ATTN_Q4_0 ? 8 : 0;
        for (int u = 0; u < many; u++) for (ptrdiff_t b = 0; b < n / 32; b++) {
            const int lane = u < g->lanes ? u : g->lanes - 1;
            const ptrdiff_t at = u * x.block_row + b * x.block_next;
            int8_t block[32];
            int sum = 0;
            const attn__e scale = attn__bytes_of_row(block, (const attn__e *)a->w->rows + lane * n + 32 * b);
            for (int i = 0; i < 32; i++) sum += block[i];
            for (int i = 0; i < 8; i++) memcpy(x.words + u * x.row + (8 * b + i) * x.next, block + 4 * i, 4);
            x.scale[at] = scale * (attn__e)g->scale[lane];
            x.part[at] = x.scale[at] * (attn__e)sum; x.start[at] = -bias * sum;
        }
    }
    attn__v_end();
}
// s += the products of a block with one of q: c integers, ks and km the scale and offset of k
#define ATTN__BLOCK_SUM(s, c, ks, km, scale, part) \
    (s = attn__v_fma(attn__x_float(c), attn__v_mul(ks, scale), s), s = q4_1 ? attn__v_fma(km, part, s) : s)
// Keys 4 at a time, queries in lanes
ATTN__OUTLINE void ATTN__FN(bytes_scores)(const attn__words_args *a, attn__v *top) {
    const ATTN__FN(bytes) x = ATTN__FN(bytes_of)(a);
    const attn__rows *rows = &a->g->k;
    const ptrdiff_t n = a->g->d->dim, blocks = n / 32, bytes = attn__types[rows->type].bytes;
    const int q4_1 = rows->type == ATTN_Q4_1;
    attn__e *k = (attn__e *)a->w->k, *s = (attn__e *)a->w->s, scale[4], more[4];
    const char *p[ATTN__KT];
    attn__rows_list(p, rows, a->k0, a->nk);
    for (ptrdiff_t r = 0; r < a->nk; r += 4) {
        const char *row[4];
        attn__v sum[4][ATTN__QV];
        attn__touch_ahead(a->g->coming);
        for (int u = 0; u < 4; u++) {
            row[u] = p[r + u < a->nk ? r + u : a->nk - 1];
            ATTN__LANES_OF(j) sum[u][j] = attn__v_set(0);
            for (ptrdiff_t i = 0; i < n; i += 4 * ATTN__LANES)
                attn__v_store(k + u * (n / 4 + ATTN__LANES) + i / 4, ATTN__FN(x_block)(row[u], rows->type, i, n));
        }
        for (ptrdiff_t b = 0; b < blocks; b++) {
            attn__x_i c[4][ATTN__QV];
            for (int u = 0; u < 4; u++) {
                scale[u] = attn__f16_at(row[u] + b * bytes);
                more[u] = q4_1 ? attn__f16_at(row[u] + b * bytes + 2) : 0;
            }
            ATTN__UNROLL for (int u = 0; u < 4; u++) ATTN__UNROLL ATTN__LANES_OF(j)
                c[u][j] = attn__x_load(x.start + b * ATTN__TQ + j * ATTN__LANES);
            for (ptrdiff_t i = 8 * b; i < 8 * b + 8; i++) {
                attn__v q[ATTN__QV];
                ATTN__UNROLL ATTN__LANES_OF(j) q[j] = attn__v_load(x.words + i * ATTN__TQ + j * ATTN__LANES);
                ATTN__UNROLL for (int u = 0; u < 4; u++) {
                    const attn__v y = attn__v_set(attn__word(k + u * (n / 4 + ATTN__LANES) + i));
                    ATTN__UNROLL ATTN__LANES_OF(j) c[u][j] = attn__x_dot(c[u][j], y, q[j]);
                }
            }
            ATTN__UNROLL for (int u = 0; u < 4; u++) ATTN__UNROLL ATTN__LANES_OF(j) {
                const ptrdiff_t at = b * ATTN__TQ + j * ATTN__LANES;
                ATTN__BLOCK_SUM(sum[u][j], c[u][j], attn__v_set(scale[u]), attn__v_set(more[u]),
                                attn__v_load(x.scale + at), attn__v_load(x.part + at));
            }
        }
        for (ptrdiff_t u = 0; u < 4 && r + u < a->nk; u++) ATTN__LANES_OF(j) {
            attn__v_store(s + (r + u) * ATTN__TQ + j * ATTN__LANES, sum[u][j]);
            if (top && (r + u < a->from || r + u >= a->to)) top[j] = attn__v_max(sum[u][j], top[j]);
        }
    }
}
ATTN__FUNC void ATTN__FN(words_scores)(attn__words_args *a) {
    attn__tile_args *g = a->g;
    attn__v *top = (attn__v *)a->top;
    if (g->words_k == ATTN__I8_WORDS) ATTN__FN(bytes_scores)(a, top);
#ifdef ATTN__HAS_BF16
    else {
        const ptrdiff_t n = g->d->dim;
        ptrdiff_t row = (n + 1) / 2;
        const attn__e *k = (const attn__e *)a->w->k;
        attn__e *s = (attn__e *)a->w->s, rest[ATTN__TQ];
        attn__v most[ATTN__QV];                         // not top: a store to s might change that
        int plain = 1;
        ATTN__LANES_OF(j) most[j] = top ? top[j] : attn__v_set(0);
        for (int i = 0; i < ATTN__TQ; i++) { rest[i] = (attn__e)g->rest[i]; plain &= g->rest[i] == 1; }
        if (n % 2 == 0 && g->k.row % 2 == 0 && g->k.col == 1 && attn__rows_run(&g->k, a->k0, a->nk) == a->nk) {
            k = (const attn__e *)(const void *)attn__row_at(&g->k, a->k0);
            row = g->k.row / 2;
        } else {
            uint16_t *y = (uint16_t *)a->w->k;
            const char *p[ATTN__KT];
            attn__rows_list(p, &g->k, a->k0, a->nk);
            for (ptrdiff_t r = 0; r < a->nk; r++) for (ptrdiff_t i = 0; i < 2 * row; i++)
                *y++ = i < n ? attn__u16(p[r] + 2 * i * g->k.col) : 0;
        }
        ATTN__FN(products)(g, s, (const attn__e *)a->w->spare, (attn__e *)a->w->k, k, row, a->nk, g->lanes,
                           plain ? top : NULL, a->from, a->to);
        for (ptrdiff_t r = 0; !plain && r < a->nk; r++) ATTN__LANES_OF(j) {
            attn__e *x = s + r * ATTN__TQ + j * ATTN__LANES;
            const attn__v y = attn__v_mul(attn__v_load(x), attn__v_load(rest + j * ATTN__LANES));
            attn__v_store(x, y);
            if (r < a->from || r >= a->to) most[j] = attn__v_max(y, most[j]);
        }
        if (!plain && top) ATTN__LANES_OF(j) top[j] = most[j];
    }
#endif
    attn__v_end();
}
// o from the weights of a block and v in bf16
ATTN__FUNC void ATTN__FN(words_outputs)(attn__words_args *a) {
#ifdef ATTN__HAS_BF16
    const attn__rows *rows = &a->g->v;
    const ptrdiff_t dv = a->g->d->vdim, odd = a->k0 & 1, pairs = (odd + a->nk + 1) / 2;
    attn__e *s = (attn__e *)a->w->s, *v = (attn__e *)a->w->v, *o = (attn__e *)a->out, zero[ATTN__TQ] = { 0 };
    void *none = v + (ATTN__KT - 1) * dv;               // a row of zeros, for keys before the first and after the last
    const char *p[ATTN__KT + 2];
    const uint32_t *vis = a->w->vis;
    ptrdiff_t *held = a->w->held;
    const int ready = a->g->run > 1 && held[0] == a->k0 && held[1] == a->nk;
    int bad;
    held[0] = a->k0; held[1] = a->nk;
    for (ptrdiff_t i = 0; i < pairs; i++) {             // words overtake the weights
        const ptrdiff_t r = 2 * i - odd;
        const attn__e *x = r < 0 ? zero : s + r * ATTN__TQ, *y = r + 1 < a->nk ? s + (r + 1) * ATTN__TQ : zero;
        ATTN__UNROLL ATTN__LANES_OF(j)
            attn__v_store(s + i * ATTN__TQ + j * ATTN__LANES,
                          attn__x_pairs(attn__v_load(x + j * ATTN__LANES), attn__v_load(y + j * ATTN__LANES)));
    }
    if (!ready) {
        memset(none, 0, 2 * (size_t)dv);
        p[0] = (const char *)none;
        attn__rows_list(p + odd, rows, a->k0, a->nk);
        p[odd + a->nk] = (const char *)none;
    }
    for (ptrdiff_t i = 0; i < pairs && !ready; i++) {
        const ptrdiff_t r = 2 * i - odd;
        const char *x = p[2 * i], *y = p[2 * i + 1];
        ptrdiff_t e = 0;
        if (rows->col == 1) for (; e + 2 * ATTN__LANES <= dv; e += 2 * ATTN__LANES) {
            attn__v z[2];
            ATTN__FN(zip)(z, x + 2 * e, y + 2 * e);
            attn__v_store(v + i * dv + e, z[0]); attn__v_store(v + i * dv + e + ATTN__LANES, z[1]);
        }
        for (; e < dv; e++) {
            const ptrdiff_t xe = r < 0 ? e : e * rows->col, ye = r + 1 < a->nk ? e * rows->col : e;
            const uint16_t two[2] = { attn__u16(x + 2 * xe), attn__u16(y + 2 * ye) };
            memcpy(v + i * dv + e, two, 4);
        }
    }
    bad = ATTN__FN(outputs)(o, (const attn__e *)a->in, s, v, dv, pairs, dv, a->g->lanes, a->test);
    if (a->test && bad) for (ptrdiff_t e = 0; e < dv; e++) ATTN__LANES_OF(j) {      // unseen halves: 0
        attn__v c = a->in ? attn__v_load((const attn__e *)a->in + e * ATTN__TQ + j * ATTN__LANES) : attn__v_set(0);
        for (ptrdiff_t i = 0; i < pairs; i++) {
            const ptrdiff_t r = 2 * i - odd;
            uint16_t two[4] = { 0, 0, 0, 0 };
            attn__v low, high, both;
            attn__m first;
            memcpy(two, v + i * dv + e, 4);
            both = attn__v_set(attn__word(two));
            two[3] = two[1]; two[1] = 0;
            first = attn__v_mask(r < 0 ? 0 : vis[r] >> (j * ATTN__LANES));
            low = attn__v_sel(first, attn__v_set(attn__word(two)), attn__v_set(0));
            high = attn__v_sel(first, both, attn__v_set(attn__word(two + 2)));
            both = attn__v_sel(attn__v_mask(r + 1 < a->nk ? vis[r + 1] >> (j * ATTN__LANES) : 0), high, low);
            c = attn__x_fma(both, attn__v_load(s + i * ATTN__TQ + j * ATTN__LANES), c);
        }
        attn__v_store(o + e * ATTN__TQ + j * ATTN__LANES, c);
    }
#else
    (void)a;
#endif
    attn__v_end();
}
// t[u][i] = q[row + u] . k[i] for LANES keys and one row or four
ATTN__OUTLINE void ATTN__FN(bytes_few)(const attn__words_args *a, attn__v *s, const char *const *k) {
    enum { most = ATTN__LANES > 8 ? ATTN__LANES / 8 : 1, parts = 8 * most / ATTN__LANES };  // blocks at a time; vectors
    const ATTN__FN(bytes) x = ATTN__FN(bytes_of)(a);
    const ptrdiff_t n = a->g->d->dim, bytes = attn__types[a->type].bytes;
    const int q4_1 = a->type == ATTN_Q4_1;
    for (ptrdiff_t i = 0; i < n / 32; i += most) {
        const int blocks = n / 32 - i < most ? (int)(n / 32 - i) : most;
        uint16_t h[most][2][ATTN__LANES] = { { { 0 } } };        // long before they are read as a vector
        attn__v y[parts][ATTN__LANES];
        for (int b = 0; b < blocks; b++) {
            ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++) h[b][0][u] = attn__u16(k[u] + (i + b) * bytes);
            if (q4_1) ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++)
                h[b][1][u] = attn__u16(k[u] + (i + b) * bytes + 2);
        }
        attn__touch_ahead(a->g->coming);
        ATTN__UNROLL for (int p = 0; p < parts; p++) {
            const ptrdiff_t at = 32 * i + 4 * ATTN__LANES * p;
            if (a->type == ATTN_Q8_0) ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++)
                y[p][u] = ATTN__FN(x_block)(k[u], ATTN_Q8_0, at, n);
            else ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++)
                y[p][u] = ATTN__FN(x_block)(k[u], q4_1 ? ATTN_Q4_1 : ATTN_Q4_0, at, n);
        }
        for (int g = 0; g < a->rows; g++) {
            const attn__e *q = x.words + (a->row + g) * x.row + 8 * i;
            attn__x_i r[ATTN__LANES], c[most];
            ATTN__UNROLL for (int p = 0; p < parts; p++) {
                const attn__v z = attn__v_load_n(q + ATTN__LANES * p, 8 * blocks - ATTN__LANES * p, 0);
                ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++)
                    r[u] = attn__x_dot(p ? r[u] : attn__x_set(0), y[p][u], z);
            }
            ATTN__FN(x_sums)(c, r);
            ATTN__UNROLL for (int b = 0; b < most; b++) if (b < blocks) {
                const ptrdiff_t at = (a->row + g) * x.block_row + i + b;
                const attn__v scale = attn__v_of_f16(h[b][0]), more = attn__v_of_f16(h[b][1]);
                c[b] = attn__x_add(c[b], attn__x_set(x.start[at]));
                ATTN__BLOCK_SUM(s[g], c[b], scale, more, attn__v_set(x.scale[at]), attn__v_set(x.part[at]));
            }
        }
    }
}
#ifdef ATTN__HAS_BF16
ATTN__OUTLINE void ATTN__FN(pairs_few)(const attn__words_args *a, attn__v *s, const char *const *k) {
    const ptrdiff_t n = a->g->d->dim / 2;
    const attn__e *q = (const attn__e *)a->w->spare + a->row * n;
    attn__e z[ATTN__LANES * ATTN__LANES];
    for (ptrdiff_t i = 0; i < n; i += ATTN__LANES) {
        attn__v r[ATTN__LANES];
        attn__touch_ahead(a->g->coming);
        ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++)
            r[u] = attn__v_load_n((const attn__e *)(const void *)k[u] + i, n - i, 0);
        ATTN__FN(transpose)(r);
        ATTN__UNROLL for (int u = 0; u < ATTN__LANES; u++) attn__v_store(z + u * ATTN__LANES, r[u]);
        for (int g = 0; g < a->rows; g++) {
            attn__v c = s[g];
            for (ptrdiff_t w = 0; w < ATTN__LANES && i + w < n; w++)
                c = attn__x_fma(attn__x_at(q + g * n + i + w), attn__v_load(z + w * ATTN__LANES), c);
            s[g] = c;
        }
    }
}
#endif
ATTN__FUNC void ATTN__FN(words_few)(attn__words_args *a) {
    for (int b = 0; b < ATTN__FEW_KEYS; b += ATTN__LANES) {
        attn__v s[4];
        for (int g = 0; g < 4; g++) s[g] = attn__v_set(0);
#ifdef ATTN__HAS_BF16
        if (a->g->words_k == ATTN__BF16_WORDS) ATTN__FN(pairs_few)(a, s, a->at + b);
        else
#endif
            ATTN__FN(bytes_few)(a, s, a->at + b);
        for (int g = 0; g < a->rows; g++) {
            const attn__e rest = (attn__e)a->g->rest[a->row + g < a->g->lanes ? a->row + g : a->g->lanes - 1];
            attn__v_store((attn__e *)a->t + g * ATTN__KT + b, attn__v_mul(s[g], attn__v_set(rest)));
        }
    }
    attn__v_end();
}
// o[u][4 vectors] += sum over pairs of keys of weights times v[key][column ..] for one row or four; l: their sum
ATTN__FUNC void ATTN__FN(words_columns)(attn__words_args *a) {
#ifdef ATTN__HAS_BF16
    enum { most = 18 };
    const ptrdiff_t odd = a->k0 & 1, pairs = (odd + a->nk + 1) / 2;
    const attn__e *t = (const attn__e *)a->t;
    attn__e *o = (attn__e *)a->out, *l = (attn__e *)a->l;
    uint16_t p[4][most] = { { 0 } };
    void *none = a->w->v;                               // a row of zeros
    const char *v[most];
    attn__v c[4][4];
    if (2 * pairs != a->nk) memset(none, 0, 2 * (size_t)a->g->d->vdim);
    v[0] = v[odd + a->nk] = (const char *)none;
    for (ptrdiff_t k = 0; k < a->nk; k++) v[odd + k] = a->at[k];
    for (int g = 0; g < a->rows; g++) {
        ATTN__FN(halves)(p[g] + odd, t + g * ATTN__KT, a->nk);
        for (ptrdiff_t k = 0; l && k < a->nk; k++) { l[g] += t[g * ATTN__KT + k]; ATTN__HIDE_F(l[g]); }
    }
    ATTN__UNROLL for (int g = 0; g < 4; g++) ATTN__UNROLL for (int i = 0; i < 4; i++)
        c[g][i] = g < a->rows ? attn__v_load(o + g * a->o_row + i * ATTN__LANES) : attn__v_set(0);
    for (ptrdiff_t k = 0; k < pairs; k++) {
        attn__v x[4];
        attn__touch_ahead(a->g->coming);
        ATTN__UNROLL for (int i = 0; i < 4; i++)
            x[i] = attn__x_of(v[2 * k] + 2 * a->column[i], v[2 * k + 1] + 2 * a->column[i]);
        ATTN__UNROLL for (int g = 0; g < 4; g++) {
            if (g == 1 && a->rows == 1) break;
            { const attn__v y = attn__v_set(attn__word(p[g] + 2 * k));
              ATTN__UNROLL for (int i = 0; i < 4; i++) c[g][i] = attn__x_fma(x[i], y, c[g][i]); }
        }
    }
    ATTN__UNROLL for (int g = 0; g < 4; g++) if (g < a->rows)
        ATTN__UNROLL for (int i = 0; i < 4; i++) attn__v_store(o + g * a->o_row + i * ATTN__LANES, c[g][i]);
#else
    (void)a;
#endif
    attn__v_end();
}
#undef ATTN__BLOCK_SUM
#endif

// ---- the table of this pass, from the lists

static const attn__table ATTN__FN(table) = {
#ifdef ATTN__OVERLAY
#define ATTN__ROW(name) ATTN__CAT(ATTN__CAT(attn__, name), ATTN__CAT(_, ATTN__OVERLAY)),
#else
#define ATTN__ROW(name) ATTN__FN(name),
#endif
    ATTN__KERNELS(ATTN__ROW)
#undef ATTN__ROW
#ifdef ATTN__HAS_BF16
    ATTN__FN(dot_bf16),
#elif defined(ATTN__OVERLAY)
    ATTN__CAT(attn__dot_bf16_, ATTN__OVERLAY),
#else
    ATTN__FN(dot_bf16),
#endif
#if defined(ATTN__HAS_I8) || !defined(ATTN__OVERLAY)
    ATTN__FN(dot_i8),
#else
    ATTN__CAT(attn__dot_i8_, ATTN__OVERLAY),
#endif
#ifdef ATTN__OVERLAY
#define ATTN__ROW(name) ATTN__FN(name),
#else
#define ATTN__ROW(name) NULL,
#endif
    ATTN__WORDS(ATTN__ROW)
#undef ATTN__ROW
#if defined(ATTN__HAS_BF16)
    ATTN__FN(words_peak), ATTN__BF16_WORDS | ATTN__I8_WORDS,
#elif defined(ATTN__OVERLAY)
    NULL, ATTN__I8_WORDS,
#else
    NULL, 0,
#endif
    (int)sizeof(attn__e), ATTN__TQ, ATTN__KT, ATTN__MR, ATTN__E2,
#if ATTN__PACKET > 1
    ATTN__C2, ATTN__C2,
#else
    ATTN__R2, ATTN__R1,
#endif
    ATTN__MC, ATTN__KC, ATTN__NC, ATTN__PACKET == 1
};

#undef ATTN__ISA
#undef ATTN__LANES
#undef ATTN__DOUBLE
#undef ATTN__OVERLAY
#undef ATTN__BY_SIMDE
#undef ATTN__FN
#undef ATTN__C
#undef ATTN__MAG_BITS
#undef ATTN__INF_BITS
#undef ATTN__QV
#undef ATTN__R3
#undef ATTN__R2
#undef ATTN__R1
#undef ATTN__E2
#undef ATTN__C2
#undef ATTN__MR
#undef ATTN__PACKET
#undef ATTN__KT
#undef ATTN__MC
#undef ATTN__KC
#undef ATTN__NC
#undef ATTN__TQ
#undef ATTN__UNROLL
#undef ATTN__X
#undef ATTN__PS
#undef ATTN__IC
#undef ATTN__FC
#undef ATTN__FIRST
#undef ATTN__FOLD512
#undef ATTN__ROUND_INT
#undef ATTN__LANE
#undef ATTN__NEG_INF
#undef ATTN__LARGEST
#undef ATTN__ROWS
#undef ATTN__COLS
#undef ATTN__THIN
#undef ATTN__OR_THIN
#undef ATTN__LANES_OF
#undef ATTN__JOIN
#undef ATTN__LOG2E
#undef ATTN__SHAPE_CAP
#undef ATTN__SHAPE_ADD
#undef ATTN__SHAPE_HIDE
#undef ATTN__OWN_TYPE
#undef ATTN__EXP
#undef ATTN__GROWS
#undef ATTN__ALL_LANES
#undef ATTN__HAS_BF16
#undef ATTN__HAS_I8
#undef ATTN__X_BIAS
#undef ATTN__X_WIDE
#undef ATTN__PEAK
#undef ATTN__BF
#undef ATTN__ZIP
#undef attn__x_i
#undef attn__x_fma
#undef attn__x_fma_at
#undef attn__x_at
#undef attn__x_dot
#undef attn__x_bytes
#undef attn__x_set
#undef attn__x_load
#undef attn__x_sum
#undef attn__x_add
#undef attn__x_float
#undef attn__x_pairs
#undef attn__x_of
#undef attn__x_both
#undef attn__e
#undef attn__u
#undef attn__v
#undef attn__m
#undef attn__t
#undef attn__s
#undef attn__v_set
#undef attn__v_load
#undef attn__v_load_halves
#undef attn__v_store
#undef attn__v_load_n
#undef attn__v_store_n
#undef attn__v_add
#undef attn__v_sub
#undef attn__v_mul
#undef attn__v_div
#undef attn__v_max
#undef attn__v_min
#undef attn__v_fma
#undef attn__v_fnma
#undef attn__v_abs
#undef attn__v_sign
#undef attn__v_round
#undef attn__v_sqrt
#undef attn__v_expo
#undef attn__v_lt
#undef attn__v_sel
#undef attn__v_any
#undef attn__v_bits
#undef attn__v_mask
#undef attn__v_fract
#undef attn__v_scalef
#undef attn__v_addexp
#undef attn__v_pow2n
#undef attn__v_seen
#undef attn__v_hsum
#undef attn__v_hmax
#undef attn__v_fma_at
#undef attn__v_end
#undef attn__bits64
#undef attn__v_of_bf16
#undef attn__v_swap
#undef attn__v_twice
#undef attn__v_of_f16
#undef attn__v_of_i8
#undef attn__v_of_u4
#undef attn__v_half
#undef attn__v_byte
#undef attn__v_fours
#undef attn__v_chosen
#undef attn__v_from
#undef attn__f16_at
#undef attn__v_f16
#undef ATTN__H
#undef ATTN__FEW_AHEAD
#undef ATTN__FEW_KEYS
#undef ATTN__LOAD
#undef ATTN__SCALE_ATTN__OWN
#undef ATTN__SCALE_ATTN__HALVES
#undef ATTN__SCALE_ATTN_BF16
#undef ATTN__SCALE_ATTN_F16
#undef ATTN__SCALE_ATTN_Q8_0
#undef ATTN__SCALE_ATTN_Q4_0
#undef ATTN__SCALE_ATTN_Q4_1
#undef ATTN__LOAD_ATTN__OWN
#undef ATTN__LOAD_ATTN__HALVES
#undef ATTN__LOAD_ATTN_BF16
#undef ATTN__LOAD_ATTN_F16
#undef ATTN__LOAD_ATTN_Q8_0
#undef ATTN__LOAD_ATTN_Q4_0
#undef ATTN__LOAD_ATTN_Q4_1
#undef ATTN__BLOCK
#undef ATTN__TYPE_BF16
#undef ATTN__TYPE_F16
#undef ATTN__TYPE_Q8_0
#undef ATTN__TYPE_Q4_0
#undef ATTN__TYPE_Q4_1
#undef ATTN__TYPES
#undef ATTN__TYPES_WHOLE
#undef ATTN__TYPES_LEFT
#undef ATTN__LINES
#undef ATTN__WIDE
#undef attn__t_zero
#undef attn__t_bad
#undef attn__s_load

#ifndef ATTN__AGAIN // ======== passes and the rest: compiled once ========
// -------------------------------------------------------------------------------------------------------------------
// >>passes
//
// One stanza a pass: target on, name and lanes, this file again, target off. gcc's push_options keeps the
// floating-point mode of >>machine; intrinsics are functions with targets of their own.
#if defined(__clang__)
#define ATTN__TARGET_ON(set) ATTN__PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define ATTN__TARGET_OFF ATTN__PRAGMA(clang attribute pop)
#elif ATTN__GNU
#define ATTN__TARGET_ON(set) ATTN__PRAGMA(GCC push_options) ATTN__PRAGMA(GCC target(set))
#define ATTN__TARGET_OFF ATTN__PRAGMA(GCC pop_options)
#else
#define ATTN__TARGET_ON(set)
#define ATTN__TARGET_OFF
#endif
#ifndef ATTN_NO_DISPATCH
#define ATTN__AGAIN
#ifndef ATTN_NO_F64
ATTN__SMALL_ON
#define ATTN__ISA f64
#define ATTN__LANES 1
#define ATTN__DOUBLE
#include ATTN_FILENAME
ATTN__LIGHT_OFF
#endif
#ifdef ATTN_USE_SIMDE
#define ATTN__ISA simde
#define ATTN__BY_SIMDE
#ifdef ATTN_SIMDE_NEON
#define ATTN__LANES 4
#else
#define ATTN__LANES 8
#endif
#include ATTN_FILENAME
#endif
#if ATTN__X86
#if ATTN__GNU && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"   // gcc 12's own avx512fintrin.h, in C++
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __OPTIMIZE__
#pragma GCC diagnostic ignored "-Wsign-conversion"      // its macros at -O0
#endif
#endif
ATTN__TARGET_ON("avx2,fma,f16c")
#define ATTN__ISA avx2
#define ATTN__LANES 8
#include ATTN_FILENAME
ATTN__TARGET_OFF
#ifndef ATTN_NO_AVX512
ATTN__TARGET_ON("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#define ATTN__ISA avx512
#define ATTN__LANES 16
#include ATTN_FILENAME
ATTN__TARGET_OFF
#ifndef ATTN_NO_AVX512V
ATTN__TARGET_ON("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni")
#define ATTN__ISA avx512v
#define ATTN__LANES 16
#define ATTN__OVERLAY avx512
#include ATTN_FILENAME
ATTN__TARGET_OFF
#endif
#endif
#if ATTN__GNU && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif
#if ATTN__ARM
#define ATTN__ISA neon
#define ATTN__LANES 4
#include ATTN_FILENAME
#if ATTN__ARM82
#ifdef __clang__
ATTN__TARGET_ON("dotprod")
#else
ATTN__TARGET_ON("arch=armv8.2-a+dotprod")
#endif
#define ATTN__ISA neon82
#define ATTN__LANES 4
#define ATTN__OVERLAY neon
#include ATTN_FILENAME
ATTN__TARGET_OFF
#endif
#if ATTN__ARM86
#ifdef __clang__
ATTN__TARGET_ON("dotprod,bf16")
#else
ATTN__TARGET_ON("arch=armv8.2-a+dotprod+bf16")
#endif
#define ATTN__ISA neon86
#define ATTN__LANES 4
#define ATTN__OVERLAY neon
#define ATTN__HAS_BF16 1
#include ATTN_FILENAME
ATTN__TARGET_OFF
#endif
#endif
#undef ATTN__AGAIN
#endif // ATTN_NO_DISPATCH

// The tables by number; NULL where the pass is not compiled in.
static const attn__table *const attn__tables[ATTN_ISA_COUNT] = {
    NULL, &attn__table_scalar,
#ifdef ATTN_USE_SIMDE
    &attn__table_simde,
#else
    NULL,
#endif
#if ATTN__ARM
    &attn__table_neon,
#else
    NULL,
#endif
#if ATTN__ARM82
    &attn__table_neon82,
#else
    NULL,
#endif
#if ATTN__ARM86
    &attn__table_neon86,
#else
    NULL,
#endif
#if ATTN__X86
    &attn__table_avx2,
#else
    NULL,
#endif
#if ATTN__X86 && !defined(ATTN_NO_AVX512)
    &attn__table_avx512,
#else
    NULL,
#endif
#if ATTN__X86 && !defined(ATTN_NO_AVX512) && !defined(ATTN_NO_AVX512V)
    &attn__table_avx512v
#else
    NULL
#endif
};

// ---- what this machine has: one bit an instruction set; asked once, own cpuid (compilers' builtins miss names)

#if ATTN__X86
ATTN__FUNC void attn__cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4]) {
#ifdef _MSC_VER
    int t[4];
    __cpuidex(t, (int)leaf, (int)sub);
    for (int i = 0; i < 4; i++) r[i] = (uint32_t)t[i];
#else
    unsigned a, b, c, d;
    __cpuid_count(leaf, sub, a, b, c, d);
    r[0] = a; r[1] = b; r[2] = c; r[3] = d;
#endif
}
ATTN__FUNC uint32_t attn__xcr0(void) {
#ifdef _MSC_VER
    return (uint32_t)_xgetbv(0);
#else
    uint32_t lo, hi;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
#endif
}
ATTN__FUNC int attn__detect(void) {
    int found = 1 << ATTN_ISA_SCALAR;
    uint32_t r[4], one[4], most, xcr;
    attn__cpuid(0, 0, r); most = r[0];
    if (most < 7) return found;
    attn__cpuid(1, 0, one);
    if (!(one[2] >> 27 & 1)) return found;                                  // OSXSAVE
    xcr = attn__xcr0();
    attn__cpuid(7, 0, r);
    if ((xcr & 6) != 6 || !(one[2] >> 12 & 1) || !(one[2] >> 29 & 1) || !(r[1] >> 5 & 1))
        return found;                                                       // FMA F16C AVX2
    found |= 1 << ATTN_ISA_AVX2;
    if ((xcr & 0xe6) != 0xe6 || !(r[1] >> 16 & 1) || !(r[1] >> 17 & 1) || !(r[1] >> 30 & 1) || !(r[1] >> 31 & 1))
        return found;
    found |= 1 << ATTN_ISA_AVX512;
    if (!(r[2] >> 11 & 1) || r[0] < 1) return found;                        // VNNI
    attn__cpuid(7, 1, r);
    if (r[0] >> 5 & 1) found |= 1 << ATTN_ISA_AVX512V;                      // BF16
    return found;
}
#elif ATTN__ARM
ATTN__FUNC int attn__detect(void) {
    int found = 1 << ATTN_ISA_SCALAR | 1 << ATTN_ISA_NEON, dot = 0, bf16 = 0;
#if defined(__ARM_FEATURE_DOTPROD)
    dot = 1;
#endif
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
    bf16 = 1;
#endif
#if defined(__linux__) && defined(__aarch64__) && !defined(ATTN_NO_STDLIB)
    dot |= (int)(getauxval(AT_HWCAP) >> 20 & 1);                            // HWCAP_ASIMDDP
    bf16 |= (int)(getauxval(26) >> 14 & 1);                                 // AT_HWCAP2, HWCAP2_BF16
#endif
    if (dot) found |= 1 << ATTN_ISA_NEON82;
    if (dot && bf16) found |= 1 << ATTN_ISA_NEON86;
    return found;
}
#else
ATTN__FUNC int attn__detect(void) { return 1 << ATTN_ISA_SCALAR; }
#endif

// The only mutable static: written with the same word by whoever comes first.
static int attn__isa_word;
ATTN__FUNC int attn__isas(void) {
    int found = ATTN__LOAD_WORD(&attn__isa_word);
    if (found) return found;
    found = attn__detect() | 1 << ATTN_ISA_SIMDE;
    for (int i = 0; i < ATTN_ISA_COUNT; i++) if (!attn__tables[i]) found &= ~(1 << i);
    ATTN__STORE_WORD(&attn__isa_word, found);
    return found;
}
ATTN_DEF int attn_isa_count(void) { return ATTN_ISA_COUNT; }
ATTN_DEF int attn_isa_has(int isa) { return isa > 0 && isa < ATTN_ISA_COUNT && (attn__isas() >> isa & 1); }
ATTN_DEF const char *attn_isa_name(int isa) {
    static const char *const name[ATTN_ISA_COUNT] = {
#define ATTN__ROW(NAME, name) #name,
        ATTN_ISA_LIST(ATTN__ROW)
#undef ATTN__ROW
    };
    return isa >= 0 && isa < ATTN_ISA_COUNT ? name[isa] : NULL;
}
// The best set at or below the cap; a cap below all that exist leaves scalar.
ATTN__FUNC int attn__pick(int cap) {
    int i = cap <= 0 || cap >= ATTN_ISA_COUNT ? ATTN_ISA_COUNT - 1 : cap;
    const int found = attn__isas();
    while (i > ATTN_ISA_SCALAR && !(found >> i & 1)) i--;
    return i;
}
ATTN_DEF int attn_isa(void) { return attn__pick(0); }
// Table for an element type; NULL for a type without kernels in this build.
ATTN__FUNC const attn__table *attn__table_of(int type, int isa) {
    if (type == ATTN_F32) return attn__tables[attn__pick(isa)];
#if !defined(ATTN_NO_F64) && !defined(ATTN_NO_DISPATCH)
    if (type == ATTN_F64) return &attn__table_f64;
#endif
    return NULL;
}
ATTN_DEF double attn_peak_loop(ptrdiff_t loops, int isa, int arith) {
    const attn__table *t = attn__tables[attn__pick(isa)];
    attn__peak_args g;
    g.loops = loops; g.flops = 0;
    if (!arith) t->peak(&g); else if (t->words & ATTN__BF16_WORDS) t->words_peak(&g);
    return g.flops;
}

ATTN__LIGHT_ON
// -------------------------------------------------------------------------------------------------------------------
// >>ops
//
// Depth 1 first: checks at the door, then a plan, then kernels. Depth 2 stands on these.

#define ATTN__TRY(x) do { const attn_status attn__s = (x); if (attn__s) return attn__s; } while (0)
// A desc of the caller's own size becomes a whole one: missing tail 0, longer than known an error.
ATTN__FUNC attn_status attn__take_desc(void *full, size_t bytes, const void *desc, attn__text *why) {
    size_t size;
    if (!desc) return attn__missing(why, "desc");
    memcpy(&size, desc, sizeof size);
    if (size == 0) size = bytes;
    if (size < sizeof size)
        return attn__wrong(why, ATTN_ERR_RANGE, "size", (int64_t)size, "smaller than the field itself");
    if (size > bytes)
        return attn__wrong(why, ATTN_ERR_VERSION, "size", (int64_t)size, "longer than this version's desc");
    memcpy(full, desc, size);
    memset((char *)full + size, 0, bytes - size);
    return ATTN_OK;
}
ATTN__FUNC int attn__isa_wrong(int isa) { return isa < 0 || isa >= ATTN_ISA_COUNT; }

// ---- do two arrays share an element? Judged on sets: heads interleaved in one packed buffer do not.

typedef struct attn__set {
    uintptr_t at;
    int axes, bytes;                  // bytes: of an element, as steps
    ptrdiff_t n[4], step[4];
} attn__set;
ATTN__FUNC attn__set attn__set_of(const void *p, const ptrdiff_t n[4], const ptrdiff_t *stride, int bytes) {
    attn__set s;
    s.at = (uintptr_t)p; s.axes = 0; s.bytes = bytes;
    for (int i = 0; i < 4; i++) {
        ptrdiff_t x = 1, step;
        int k;
        if (stride) step = stride[i];
        else { for (int j = i + 1; j < 4; j++) x *= n[j]; step = x; }
        if (n[i] == 0) s.at = 0;                       // no element: meets nothing
        if (n[i] <= 1 || step == 0) continue;
        step *= bytes;
        for (k = s.axes++; k > 0 && s.step[k - 1] < step; k--) { s.step[k] = s.step[k - 1]; s.n[k] = s.n[k - 1]; }
        s.step[k] = step; s.n[k] = n[i];
    }
    return s;
}
ATTN__FUNC ptrdiff_t attn__set_span(const attn__set *s, int from) {
    ptrdiff_t x = 0;
    for (int i = from; i < s->axes; i++) x += (s->n[i] - 1) * s->step[i];
    return x;
}
// x's axes from i, y's from j, y's base `gap` bytes above x's. The largest step is taken apart first;
// when both have it only the difference of the two indices matters. Out of budget counts as sharing.
ATTN__FUNC int attn__sets_meet(const attn__set *x, int i, const attn__set *y, int j, ptrdiff_t gap, int *budget) {
    const ptrdiff_t rx = attn__set_span(x, i), ry = attn__set_span(y, j);
    const ptrdiff_t sx = i < x->axes ? x->step[i] : 0, sy = j < y->axes ? y->step[j] : 0, step = sx > sy ? sx : sy;
    ptrdiff_t lo, hi;
    if (gap >= rx + x->bytes || -gap >= ry + y->bytes) return 0;
    if (i == x->axes && j == y->axes) return 1;
    if (--*budget < 0) return 1;
    lo = sy == step ? -(y->n[j] - 1) : 0; hi = sx == step ? x->n[i] - 1 : 0;     // x's index less y's
    i += sx == step; j += sy == step;
    {   // only differences that leave the rests in reach
        const ptrdiff_t least = (gap - attn__set_span(x, i) - x->bytes + 1) / step - 1;
        const ptrdiff_t most = (gap + attn__set_span(y, j) + y->bytes - 1) / step + 1;
        if (lo < least) lo = least;
        if (hi > most) hi = most;
    }
    for (ptrdiff_t t = lo; t <= hi; t++) if (attn__sets_meet(x, i, y, j, gap - t * step, budget)) return 1;
    return 0;
}
// Does an output of these axes lie over itself? Nested axes do not; anything else counts as overlap.
ATTN__FUNC int attn__meets_itself(const attn__set *s, const ptrdiff_t n[4], const ptrdiff_t *stride) {
    if (!s->at) return 0;
    for (int i = 0; stride && i < 4; i++) if (n[i] > 1 && stride[i] == 0) return 1;
    for (int i = 0; i < s->axes; i++) if (s->step[i] < attn__set_span(s, i + 1) + s->bytes) return 1;
    return 0;
}
ATTN__FUNC int attn__meet(const attn__set *x, const attn__set *y) {
    int budget = 20000;
    if (!x->at || !y->at) return 0;
    if (x->at > y->at) { const attn__set *t = x; x = y; y = t; }
    if (y->at - x->at >= (uintptr_t)attn__set_span(x, 0) + (uintptr_t)x->bytes) return 0;
    return attn__sets_meet(x, 0, y, 0, (ptrdiff_t)(y->at - x->at), &budget);
}
// ---- functions of one argument, dot products

ATTN__FUNC attn_status attn__map(int type, int op, void *y, const void *x, ptrdiff_t n, int isa) {
    static const int loops[ATTN_MAP_COUNT] = { ATTN__LOOP_EXP, ATTN__LOOP_TANH, ATTN__LOOP_ERF, ATTN__LOOP_RELU,
                                               ATTN__LOOP_SQUARE, ATTN__LOOP_LOG, ATTN__LOOP_SQRT, ATTN__LOOP_SIGMOID,
                                               ATTN__LOOP_SILU, ATTN__LOOP_GELU, ATTN__LOOP_GELU_TANH };
    const attn__table *t = attn__table_of(type, isa);
    attn__loop_args g;
    if (op < 0 || op >= ATTN_MAP_COUNT || n < 0 || attn__isa_wrong(isa)) return ATTN_ERR_RANGE;
    if (!t) return ATTN_ERR_UNSUPPORTED;
    if (n == 0) return ATTN_OK;
    if (!y || !x) return ATTN_ERR_NULL;
    memset(&g, 0, sizeof g);
    g.op = loops[op]; g.n = n; g.ys = g.as = 1; g.y = y; g.a = g.b = x;
    t->loop(&g);
    return ATTN_OK;
}
ATTN_DEF attn_status attn_map_f32(int op, float *y, const float *x, ptrdiff_t n, int isa) {
    return attn__map(ATTN_F32, op, y, x, n, isa);
}
ATTN_DEF attn_status attn_map_f64(int op, double *y, const double *x, ptrdiff_t n) {
    return attn__map(ATTN_F64, op, y, x, n, 0);
}
ATTN__FUNC attn_status attn__dot(attn__dot_args *g, const void *sum, const void *x, const void *y, ptrdiff_t n,
                                 int isa, int bf16) {
    const attn__table *t = attn__tables[attn__pick(isa)];
    if (!sum || (n > 0 && (!x || !y))) return ATTN_ERR_NULL;
    if (n < 0 || attn__isa_wrong(isa)) return ATTN_ERR_RANGE;
    g->x = x; g->y = y; g->n = n;
    if (bf16) t->dot_bf16(g); else t->dot_i8(g);
    return ATTN_OK;
}
ATTN_DEF attn_status attn_dot_bf16(float *sum, const uint16_t *x, const uint16_t *y, ptrdiff_t n, int isa) {
    attn__dot_args g;
    const attn_status s = attn__dot(&g, sum, x, y, n, isa, 1);
    if (s == ATTN_OK) *sum = g.f;
    return s;
}
ATTN_DEF attn_status attn_dot_i8(int32_t *sum, const int8_t *x, const int8_t *y, ptrdiff_t n, int isa) {
    attn__dot_args g;
    const attn_status s = attn__dot(&g, sum, x, y, n, isa, 0);
    if (s == ATTN_OK) *sum = g.i;
    return s;
}

// ---- matrix product

// A matmul after its checks: strides of op(a) and op(b), which way round, how many parts and what each needs.
typedef struct attn__mm_plan {
    const attn__table *table;
    attn__gemm_args g;                // of the first matrix, whole
    ptrdiff_t batch, a_batch, b_batch, c_batch, part_m, part_n, parts_m, parts_n, mc, kc, nc;
    double beta;
    const char *bias;
    int type, isa, act, c_type, bytes;    // bytes: of an element in arithmetic
    int turned;                       // c' = b' a': bias runs along rows
    int vector;                       // one row, b as it lies
    int apart;                        // sums are made outside c
    int line;                         // vector: a is widened first
    size_t work;                      // of one worker
    char *space;
} attn__mm_plan;

ATTN__FUNC void attn__mm_swap(attn__gemm_args *g) {      // c' = b' a'
    attn__gemm_args h = *g;
    h.a = g->b; h.b = g->a; h.m = g->n; h.n = g->m;
    h.ars = g->bcs; h.acs = g->brs; h.brs = g->acs; h.bcs = g->ars; h.crs = g->ccs; h.ccs = g->crs;
    h.a_type = g->b_type; h.b_type = g->a_type;
    *g = h;
}
// Largest index that rows x cols x batch with these strides reach, in bytes; -1 when it does not fit.
ATTN__FUNC ptrdiff_t attn__reach(ptrdiff_t m, ptrdiff_t n, ptrdiff_t batch, ptrdiff_t rs, ptrdiff_t cs, ptrdiff_t bs,
                                 int bytes) {
    ptrdiff_t x = attn__add_size(attn__mul_size(m - 1, rs), attn__mul_size(n - 1, cs));
    x = attn__add_size(attn__add_size(x, attn__mul_size(batch - 1, bs)), 1);
    return attn__mul_size(x, bytes);
}
ATTN__FUNC attn_status attn__mm_overlap(const attn__mm_plan *p, const attn_matmul_desc *d, attn__text *why) {
    const attn__gemm_args *g = &p->g;
    const ptrdiff_t x = attn__types[g->b_type].elements, row = x > 1 ? 1 : g->brs;         // b in blocks
    const ptrdiff_t na[4] = { 1, p->batch, g->m, g->k }, nb[4] = { 1, p->batch, g->k / x, g->n };
    const ptrdiff_t nc[4] = { 1, p->batch, g->m, g->n }, ny[4] = { 1, 1, 1, g->n };
    const ptrdiff_t sa[4] = { 0, p->a_batch, g->ars, g->acs }, sb[4] = { 0, p->b_batch / x, row, g->bcs / x };
    const ptrdiff_t sc[4] = { 0, p->c_batch, g->crs, g->ccs };
    const attn__set a = attn__set_of(g->a, na, sa, attn__types[g->a_type].bytes);
    const attn__set b = attn__set_of(g->b, nb, sb, attn__types[g->b_type].bytes);
    const attn__set c = attn__set_of(g->c, nc, sc, attn__types[p->c_type].bytes);
    const attn__set y = attn__set_of(p->bias, ny, NULL, p->bytes);
    const ptrdiff_t nw[4] = { 1, 1, 1, (ptrdiff_t)d->workspace_bytes };
    const attn__set w = attn__set_of(d->workspace, nw, NULL, 1);
    if (attn__meets_itself(&c, nc, sc))
        return attn__wrong(why, ATTN_ERR_OVERLAP, "c_row", g->crs, "elements of c lie over each other");
    if (g->k > 0 && attn__meet(&c, &a)) { attn__say(why, "c lies over a"); return ATTN_ERR_OVERLAP; }
    if (g->k > 0 && attn__meet(&c, &b)) { attn__say(why, "c lies over b"); return ATTN_ERR_OVERLAP; }
    if (p->bias && attn__meet(&c, &y)) { attn__say(why, "c lies over bias"); return ATTN_ERR_OVERLAP; }
    if (d->workspace && (attn__meet(&w, &c) || (g->k > 0 && (attn__meet(&w, &a) || attn__meet(&w, &b))) ||
                         (p->bias && attn__meet(&w, &y)))) {
        attn__say(why, "workspace lies over a, b, c or bias");
        return ATTN_ERR_OVERLAP;
    }
    return ATTN_OK;
}
// A type that an array may have; 0 becomes the arithmetic's own.
ATTN__FUNC attn_status attn__mm_type(int32_t *t, int type, int blocks, const char *name, attn__text *why) {
    const int half = *t == ATTN_F16 || *t == ATTN_BF16;
    if (*t == 0) *t = type;
    if (*t == type || (type == ATTN_F32 && half)) return ATTN_OK;
    if (type == ATTN_F32 && blocks && ATTN__IN_BLOCKS(*t)) return ATTN_OK;
    return attn__wrong(why, ATTN_ERR_DTYPE, name, *t, half ? "attn_matmul_f64 takes f64 only" :
                       "not a type of this array");
}
ATTN__FUNC attn_status attn__mm_check(const attn_matmul_desc *user, int type, int values, attn__mm_plan *p,
                                      attn__text *why) {
    attn_matmul_desc d;
    attn__gemm_args *g = &p->g;
    ptrdiff_t x, row;
    attn_status s = attn__take_desc(&d, sizeof d, user, why);
    if (s) return s;
    if (d.m < 0) return attn__wrong(why, ATTN_ERR_SHAPE, "m", d.m, "negative");
    if (d.n < 0) return attn__wrong(why, ATTN_ERR_SHAPE, "n", d.n, "negative");
    if (d.k < 0) return attn__wrong(why, ATTN_ERR_SHAPE, "k", d.k, "negative");
    if (d.batch < 0) return attn__wrong(why, ATTN_ERR_SHAPE, "batch", d.batch, "negative");
    if (d.a_row < 0 || d.a_col < 0 || d.a_batch < 0)
        return attn__wrong(why, ATTN_ERR_RANGE, "a_row", d.a_row, "negative stride");
    if (d.b_row < 0 || d.b_col < 0 || d.b_batch < 0)
        return attn__wrong(why, ATTN_ERR_RANGE, "b_row", d.b_row, "negative stride");
    if (d.c_row < 0 || d.c_col < 0 || d.c_batch < 0)
        return attn__wrong(why, ATTN_ERR_RANGE, "c_row", d.c_row, "negative stride");
    if (d.trans_a != 0 && d.trans_a != 1) return attn__wrong(why, ATTN_ERR_RANGE, "trans_a", d.trans_a, "0 or 1");
    if (d.trans_b != 0 && d.trans_b != 1) return attn__wrong(why, ATTN_ERR_RANGE, "trans_b", d.trans_b, "0 or 1");
    if (attn__isa_wrong(d.isa)) return attn__wrong(why, ATTN_ERR_RANGE, "isa", d.isa, "no such instruction set");
    if ((s = attn__mm_type(&d.a_type, type, 0, "a_type", why)) != ATTN_OK) return s;
    if ((s = attn__mm_type(&d.b_type, type, 1, "b_type", why)) != ATTN_OK) return s;
    if ((s = attn__mm_type(&d.c_type, type, 0, "c_type", why)) != ATTN_OK) return s;
    if (d.act && (d.act < ATTN_ACT(0) || d.act >= ATTN_ACT(ATTN_MAP_COUNT)))
        return attn__wrong(why, ATTN_ERR_RANGE, "act", d.act, "neither 0 nor ATTN_ACT(one of ATTN_MAP_)");
    x = attn__types[d.b_type].elements;
    if (x > 1 && !d.trans_b)
        return attn__wrong(why, ATTN_ERR_UNSUPPORTED, "trans_b", 0, "b in blocks is stored [n,k]: 1");
    if (d.k % x) return attn__wrong(why, ATTN_ERR_SHAPE, "k", d.k, "not whole blocks of 32 (b_type)");
    if (x > 1 && (d.b_row || d.b_col) && d.b_col != 1)
        return attn__wrong(why, ATTN_ERR_RANGE, "b_col", d.b_col, "blocks lie along k: 1");
    if (d.b_row % x) return attn__wrong(why, ATTN_ERR_RANGE, "b_row", d.b_row, "not whole blocks of 32");
    if (d.b_batch % x) return attn__wrong(why, ATTN_ERR_RANGE, "b_batch", d.b_batch, "not whole blocks of 32");
    memset(p, 0, sizeof *p);
    p->table = attn__table_of(type, d.isa);
    if (!p->table) { attn__say(why, "f64: left out of this build"); return ATTN_ERR_UNSUPPORTED; }
    p->bytes = p->table->bytes;
    if (!d.a_row && !d.a_col) { d.a_row = d.trans_a ? d.m : d.k; d.a_col = 1; }
    if (!d.b_row && !d.b_col) { d.b_row = d.trans_b ? d.k : d.n; d.b_col = 1; }
    if (!d.c_row && !d.c_col) { d.c_row = d.n; d.c_col = 1; }
    g->a = d.a; g->b = d.b; g->c = d.c; g->m = d.m; g->n = d.n; g->k = d.k;
    g->ars = d.trans_a ? d.a_col : d.a_row; g->acs = d.trans_a ? d.a_row : d.a_col;
    g->brs = d.trans_b ? d.b_col : d.b_row; g->bcs = d.trans_b ? d.b_row : d.b_col;
    g->crs = d.c_row; g->ccs = d.c_col;
    g->alpha = d.alpha == 0 ? 1 : d.alpha; p->beta = d.beta;
    g->a_type = d.a_type; g->b_type = d.b_type; p->c_type = d.c_type;
    p->type = type; p->isa = d.isa; p->act = d.act; p->bias = (const char *)d.bias;
    p->batch = d.batch ? d.batch : 1; p->a_batch = d.a_batch; p->b_batch = d.b_batch;
    p->c_batch = d.c_batch;
    if (p->batch > 1 && !d.c_batch) {
        p->c_batch = attn__mul_size(d.m, d.n);
        if (d.c_row != d.n || d.c_col != 1)
            return attn__wrong(why, ATTN_ERR_OVERLAP, "c_batch", 0, "needed when c has strides");
    }
    if (d.m == 0 || d.n == 0) return ATTN_OK;
    if (values && !d.c) return attn__missing(why, "c");
    if (values && d.k > 0 && !d.a) return attn__missing(why, "a");
    if (values && d.k > 0 && !d.b) return attn__missing(why, "b");
    row = x > 1 ? 1 : g->brs;
    if (attn__reach(d.m, d.k ? d.k : 1, p->batch, g->ars, g->acs, p->a_batch, attn__types[d.a_type].bytes) < 0)
        return attn__wrong(why, ATTN_ERR_RANGE, "m", d.m, "a does not fit in memory");
    if (attn__reach(d.k ? d.k / x : 1, d.n, p->batch, row, g->bcs / x, p->b_batch / x, attn__types[d.b_type].bytes) < 0)
        return attn__wrong(why, ATTN_ERR_RANGE, "n", d.n, "b does not fit in memory");
    if (attn__reach(d.m, d.n, p->batch, g->crs, g->ccs, p->c_batch, attn__types[d.c_type].bytes) < 0)
        return attn__wrong(why, ATTN_ERR_RANGE, "n", d.n, "c does not fit in memory");
    return values ? attn__mm_overlap(p, &d, why) : ATTN_OK;
}
// How many rows a panel of `left` rows takes: the smallest size of the microkernel that holds them, at most mr, of
// the one for half a tile's columns `thin`.
ATTN__FUNC ptrdiff_t attn__panel(const attn__table *t, ptrdiff_t left, int thin) {
    return left > t->r2 ? (thin ? t->thin : t->mr) : left > t->r1 ? t->r2 : left > 1 ? t->r1 : 1;
}
// Chooses the shape of the work: one row reads b as it lies; else the orientation in which c is contiguous along
// columns.
ATTN__FUNC void attn__mm_plan_work(attn__mm_plan *p, int workers) {
    attn__gemm_args *g = &p->g;
    const attn__table *t = p->table;
    ptrdiff_t depth, want;
    if ((g->n == 1 && g->m > 1) || (g->ccs != 1 && g->crs == 1 && g->m > 1)) {
        const ptrdiff_t x = p->a_batch;
        attn__mm_swap(g);
        p->a_batch = p->b_batch; p->b_batch = x; p->turned = 1;
    }
    p->apart = p->c_type != p->type || (p->act && g->ccs != 1 && g->n > 1);
    p->vector = g->m == 1 && (g->ccs == 1 || g->n == 1 || p->apart) && (g->bcs == 1 || g->brs == 1);
    p->line = p->vector && (g->a_type != p->type || (g->bcs != 1 && g->acs != 1));
    p->part_m = g->m; p->part_n = g->n;
    want = p->batch >= 4 * workers ? 1 : 2 * (ptrdiff_t)workers;      // parts of one matrix; a few more than workers
    if ((double)g->m * (double)g->n * (double)g->k * (double)p->batch < 65536.0) want = 1;
    if (workers > 1 && want > 1) {                       // rows and columns of c cut at panels: sums stay whole
        if (g->n >= g->m) p->part_n = (g->n / want / t->tq + 1) * t->tq;
        else p->part_m = (g->m / want / t->mr + 1) * t->mr;
    }
    if (p->apart && p->part_m > 4 * t->mc) p->part_m = 4 * t->mc;     // rows of the sums that lie apart
    p->parts_m = (g->m + p->part_m - 1) / p->part_m; p->parts_n = (g->n + p->part_n - 1) / p->part_n;
    depth = (g->k + t->kc - 1) / t->kc; p->kc = depth ? (g->k + depth - 1) / depth : 0;
    if (attn__types[g->a_type].elements * attn__types[g->b_type].elements > 1) p->kc = (p->kc + 31) / 32 * 32;
    p->mc = p->part_m < t->mc ? (p->part_m + t->mr - 1) / t->mr * t->mr : t->mc;
    p->nc = p->vector ? 4096 : t->nc;                    // vector: a stretch of c that stays in the first cache
    if (p->part_n < p->nc) p->nc = (p->part_n + t->tq - 1) / t->tq * t->tq;
    p->work = 0;
    if (!p->vector) p->work = (size_t)(t->mr * t->tq + p->mc * p->kc + 64 + p->nc * p->kc + 64);
    if (p->line) p->work = (size_t)g->k;
    if (p->apart) p->work += (size_t)(p->part_m * p->nc);
    p->work = (p->work * (size_t)p->bytes + 63) & ~(size_t)63;
}
// The sums of a block start as beta c.
ATTN__FUNC void attn__mm_begin(const attn__mm_plan *p, const attn__gemm_args *g, const char *c) {
    const attn__table *t = p->table;
    const int zero = p->beta == 0 && g->k == 0;
    if (p->beta == 0 ? !zero : p->beta == 1 && !p->apart) return;
    for (ptrdiff_t i = 0; i < g->m; i++) {
        attn__loop_args l;
        attn__row_args r;
        memset(&l, 0, sizeof l);
        l.op = zero ? ATTN__LOOP_COPY : ATTN__LOOP_SCALE;
        l.s = p->beta; l.n = g->n; l.ys = g->ccs ? g->ccs : 1;
        l.y = (char *)g->c + i * g->crs * p->bytes; l.as = l.ys; l.a = l.b = l.y;
        if (p->apart && !zero) {
            memset(&r, 0, sizeof r);
            r.y = l.y; r.type = p->c_type; r.col = p->g.ccs; r.n = g->n;
            r.p = c + i * p->g.crs * attn__types[p->c_type].bytes;
            t->row(&r);
        }
        if (zero) { memset(l.y, 0, (size_t)p->bytes); l.as = 0; }
        if (p->beta != 1) t->loop(&l);
    }
}
// Sums of rows i0 .. become c = act(sum + bias). bias: of the block's first row and column
ATTN__FUNC void attn__mm_end(const attn__mm_plan *p, const attn__gemm_args *g, ptrdiff_t i0, ptrdiff_t rows, char *c,
                             const char *bias) {
    const ptrdiff_t e = p->bytes, bytes = attn__types[p->c_type].bytes;
    if (!bias && !p->act && !p->apart) return;
    for (ptrdiff_t i = i0; i < i0 + rows; i++) {
        char *x = (char *)g->c + i * g->crs * e, *to = c + i * p->g.crs * bytes;
        attn__loop_args l;
        memset(&l, 0, sizeof l);
        l.op = ATTN__LOOP_ADD; l.n = g->n; l.ys = l.as = g->ccs ? g->ccs : 1; l.y = x; l.a = x;
        l.b = p->turned && bias ? bias + i * e : bias; l.bs = !p->turned;
        if (bias) p->table->loop(&l);
        if (p->act) attn__map(p->type, p->act - ATTN_ACT(0), x, x, g->n, p->isa);
        for (ptrdiff_t j = 0; p->apart && j < g->n; j++)
            attn__store(p->c_type, to, j * p->g.ccs, attn__stored(p->type, x, j));
    }
}
// The loops around the microkernel for one block of columns: panels of b and a are packed into blocks that caches hold.
ATTN__FUNC void attn__gemm(const attn__mm_plan *plan, const attn__gemm_args *g, char *c0, const char *bias) {
    const attn__table *t = plan->table;
    const ptrdiff_t e = t->bytes, tq = t->tq, nc = g->n;
    // Rows near each other are read where they lie, in a small problem all: those of a, for few columns whatever they
    // are apart, where panels are full and alpha is 1; those of b by few rows of a, unless they meet in few lines of
    // the first cache.
    const int few = t->in_place && g->m <= 256, little = few && g->k * g->n <= 8192;
    const int near_a = ATTN__PANELS > 1 && t->in_place && g->acs == 1 && (g->ars < ATTN__APART || nc <= 128);
    const int direct_a = (little || near_a) && g->alpha == 1.0 && g->a_type == plan->type;
    const int thin = ATTN__PANELS > 1 && 2 * nc <= tq;
    const int own_b = g->bcs == 1 && g->b_type == plan->type;
    const int direct_b = own_b && (little || (few && g->brs < ATTN__APART)) && g->brs % ATTN__APART;
    char *pa = (char *)g->work + t->mr * tq * e, *pb = pa + (plan->mc * plan->kc + 64) * e;
    attn__pack_panel_args pack;
    attn__gemm_panel_args x;
    x.work = g->work; x.crs = g->crs; x.ccs = g->ccs;
    for (ptrdiff_t pc = 0; pc < g->k; pc += plan->kc) {
        const ptrdiff_t kc = g->k - pc < plan->kc ? g->k - pc : plan->kc;
        x.k = pack.k = kc; x.add = g->add || pc > 0;
        pack.step = g->bcs; pack.along = g->brs; pack.s = 1; pack.type = g->b_type;
        for (pack.n = nc; pack.n > 0; pack.n -= pack.w) {
            const ptrdiff_t j = nc - pack.n;
            pack.many = ATTN__PANELS > 1 && own_b && pack.n >= ATTN__PANELS * tq;
            pack.w = pack.many ? ATTN__PANELS * tq : tq;
            if (direct_b && pack.n >= tq) continue;
            pack.t = pb + j * kc * e; pack.x = attn__at(g->b_type, g->b, pc * g->brs + j * g->bcs);
            t->pack_panel(&pack);
        }
        for (ptrdiff_t ic = 0; ic < g->m; ic += plan->mc) {
            const ptrdiff_t mc = g->m - ic < plan->mc ? g->m - ic : plan->mc;
            const char *a = attn__at(g->a_type, g->a, ic * g->ars + pc * g->acs);
            char *c = (char *)g->c + ic * g->crs * e;
            pack.step = g->ars; pack.along = g->acs; pack.s = g->alpha; pack.many = 0; pack.type = g->a_type;
            for (pack.n = mc; pack.n > 0; pack.n -= pack.w) {
                const ptrdiff_t i = mc - pack.n;
                pack.w = attn__panel(t, pack.n, thin);
                if (direct_a && pack.n >= pack.w) continue;
                pack.t = pa + i * kc * e; pack.x = attn__at(g->a_type, a, i * g->ars);
                t->pack_panel(&pack);
            }
            // c along its rows, as far as panels of b stay in the second cache
            for (ptrdiff_t j0 = 0; j0 < nc; j0 += ATTN__PANELS * tq) for (ptrdiff_t i = 0; i < mc; i += x.w) {
                x.w = attn__panel(t, mc - i, thin);
                x.n = mc - i < x.w ? mc - i : x.w;
                x.a = pa + i * kc * e; x.ars = 1; x.acs = x.w;
                if (direct_a && x.n == x.w) { x.a = a + i * g->ars * e; x.ars = g->ars; x.acs = g->acs; }
                x.cols = nc - j0;
                for (int q = 0; q < ATTN__PANELS && x.cols > 0; q++, x.cols -= tq) {
                    const ptrdiff_t j = nc - x.cols;
                    x.b = pb + j * kc * e; x.ldb = tq;
                    if (direct_b && x.cols >= tq) { x.b = (const char *)g->b + (pc * g->brs + j) * e; x.ldb = g->brs; }
                    x.c = c + (i * g->crs + j * g->ccs) * e;
                    t->gemm_panel(&x);
                }
            }
            if (pc + kc == g->k) attn__mm_end(plan, g, ic, mc, c0, bias);
        }
    }
}
ATTN__FUNC void attn__mm_task(void *arg, ptrdiff_t i, int worker) {
    const attn__mm_plan *p = (const attn__mm_plan *)arg;
    const attn__gemm_args *w = &p->g;
    const ptrdiff_t n0 = i % p->parts_n * p->part_n, m0 = i / p->parts_n % p->parts_m * p->part_m;
    const ptrdiff_t b = i / p->parts_n / p->parts_m, end = w->n - n0 < p->part_n ? w->n : n0 + p->part_n, e = p->bytes;
    attn__gemm_args g = *w;
    g.add = p->beta != 0;
    if (g.m - m0 < p->part_m) g.m -= m0; else g.m = p->part_m;
    if (g.k > 0) g.a = attn__at(g.a_type, g.a, b * p->a_batch + m0 * g.ars);
    g.work = p->space ? p->space + (size_t)worker * p->work : NULL;
    if (p->line && g.k > 0) {
        attn__row_args r;
        memset(&r, 0, sizeof r);
        r.y = g.work; r.p = g.a; r.type = g.a_type; r.col = g.acs; r.n = g.k;
        p->table->row(&r);
        g.a = g.work; g.acs = 1;
    }
    for (ptrdiff_t j = n0; j < end; j += p->nc) {
        char *c = (char *)w->c + (b * p->c_batch + m0 * w->crs + j * w->ccs) * attn__types[p->c_type].bytes;
        const char *bias = p->bias ? p->bias + (p->turned ? m0 : j) * e : NULL;
        g.n = end - j < p->nc ? end - j : p->nc;
        if (g.k > 0) g.b = attn__at(g.b_type, w->b, b * p->b_batch + j * w->bcs);
        g.c = c;
        if (p->apart) { g.c = (char *)g.work + p->work - (size_t)(p->part_m * p->nc * e); g.crs = p->nc; g.ccs = 1; }
        attn__mm_begin(p, &g, c);
        if (g.k > 0 && !p->vector) attn__gemm(p, &g, c, bias);
        else {
            if (g.k > 0) p->table->gemv(&g);
            attn__mm_end(p, &g, 0, g.m, c, bias);
        }
    }
}
ATTN__FUNC attn_status attn__matmul(const attn_matmul_desc *user, int type) {
    attn__mm_plan p;
    attn_matmul_desc d;
    const attn_status s = attn__mm_check(user, type, 1, &p, NULL);
    size_t want;
#ifndef ATTN_NO_STDLIB
    void *own = NULL;
#endif
    if (s) return s;
    attn__take_desc(&d, sizeof d, user, NULL);
    if (p.g.m == 0 || p.g.n == 0) return ATTN_OK;
    attn__mm_plan_work(&p, attn__workers(d.parallel));
    want = p.work ? p.work * (size_t)attn__workers(d.parallel) + 63 : 0;
    if (want && d.workspace) {
        if (d.workspace_bytes < want) return ATTN_ERR_WORKSPACE;
        p.space = (char *)attn__align(d.workspace);
    } else if (want) {
#ifdef ATTN_NO_STDLIB
        return ATTN_ERR_WORKSPACE;
#else
        own = ATTN_MALLOC(want);
        if (!own) return ATTN_ERR_MEMORY;
        p.space = (char *)attn__align(own);
#endif
    }
    attn__run(d.parallel, attn__mm_task, &p, p.parts_m * p.parts_n * p.batch);
#ifndef ATTN_NO_STDLIB
    if (own) ATTN_FREE(own);
#endif
    return ATTN_OK;
}
ATTN_DEF attn_status attn_matmul_f32(const attn_matmul_desc *d) { return attn__matmul(d, ATTN_F32); }
ATTN_DEF attn_status attn_matmul_f64(const attn_matmul_desc *d) { return attn__matmul(d, ATTN_F64); }
ATTN_DEF size_t attn_matmul_workspace(const attn_matmul_desc *d) {
    static const int types[2] = { ATTN_F32, ATTN_F64 };
    size_t most = 0;
    for (int i = 0; i < 2; i++) {
        attn__mm_plan p;
        attn_matmul_desc full;
        if (attn__mm_check(d, types[i], 0, &p, NULL) || p.g.m == 0 || p.g.n == 0) continue;
        attn__take_desc(&full, sizeof full, d, NULL);
        attn__mm_plan_work(&p, attn__workers(full.parallel));
        p.work = p.work ? p.work * (size_t)attn__workers(full.parallel) + 63 : 0;
        if (p.work > most) most = p.work;
    }
    return most;
}

// ---- softmax over rows

// A plan for rows: g.x, g.y, sizes and strides checked here, the same for every kernel over rows
typedef struct attn__lines_plan {
    const attn__table *table;
    void (*kernel)(attn__softmax_args *);
    attn__softmax_args g;
    ptrdiff_t part;
} attn__lines_plan;
ATTN__FUNC attn_status attn__check_lines(attn__lines_plan *p, int type, int isa, attn__text *why) {
    attn__softmax_args *g = &p->g;
    const int bytes = type == ATTN_F64 ? 8 : 4;
    if (g->rows < 0) return attn__wrong(why, ATTN_ERR_SHAPE, "rows", g->rows, "negative");
    if (g->cols < 0) return attn__wrong(why, ATTN_ERR_SHAPE, "cols", g->cols, "negative");
    if (g->x_row < 0) return attn__wrong(why, ATTN_ERR_RANGE, "x_row", g->x_row, "negative stride");
    if (attn__isa_wrong(isa)) return attn__wrong(why, ATTN_ERR_RANGE, "isa", isa, "no such instruction set");
    p->table = attn__table_of(type, isa);
    if (!p->table) { attn__say(why, "f64: left out of this build"); return ATTN_ERR_UNSUPPORTED; }
    if (!g->x_row) g->x_row = g->cols;
    if (!g->y_row) g->y_row = g->cols;
    if (g->rows == 0 || g->cols == 0) return ATTN_OK;
    if (g->rows > 1 && g->y_row < g->cols)
        return attn__wrong(why, ATTN_ERR_OVERLAP, "y_row", g->y_row, "rows of y overlap");
    if (attn__reach(g->rows, g->cols, 1, g->x_row, 1, 0, bytes) < 0 ||
        attn__reach(g->rows, g->cols, 1, g->y_row, 1, 0, bytes) < 0)
        return attn__wrong(why, ATTN_ERR_RANGE, "rows", g->rows, "does not fit in memory");
    g->later = g->y_row == g->cols ? 2048 : g->y_row * bytes;      // in a gap it would fetch what nobody writes
    if (!g->x) return attn__missing(why, "x");
    if (!g->y) return attn__missing(why, "y");
    if (g->x != g->y || (g->rows > 1 && g->x_row != g->y_row)) {
        const ptrdiff_t n[4] = { 1, 1, g->rows, g->cols }, sx[4] = { 0, 0, g->x_row, 1 }, sy[4] = { 0, 0, g->y_row, 1 };
        const attn__set x = attn__set_of(g->x, n, sx, bytes), y = attn__set_of(g->y, n, sy, bytes);
        if (attn__meet(&x, &y)) return attn__wrong(why, ATTN_ERR_OVERLAP, "y", ATTN__UNSAID, "lies over a part of x");
    }
    return ATTN_OK;
}
ATTN__FUNC void attn__lines_task(void *arg, ptrdiff_t i, int worker) {
    const attn__lines_plan *p = (const attn__lines_plan *)arg;
    const unsigned mode = attn__flush_denormals(p->table->bytes);
    attn__softmax_args g = p->g;
    (void)worker;
    g.first = i * p->part;
    g.x = (const char *)g.x + g.first * g.x_row * p->table->bytes;
    g.y = (char *)g.y + g.first * g.y_row * p->table->bytes;
    if (g.rows - g.first < p->part) g.rows -= g.first; else g.rows = p->part;
    p->kernel(&g);
    ATTN__SET_FLOAT_MODE(mode);
}
ATTN__FUNC void attn__lines_run(attn__lines_plan *p, const attn_parallel *parallel) {
    if (p->g.rows == 0 || p->g.cols == 0) return;
    p->part = p->g.rows;
    if (attn__workers(parallel) > 1 && (double)p->g.rows * (double)p->g.cols > 32768.0)
        p->part = p->g.rows / (4 * attn__workers(parallel)) + 1;
    attn__run(parallel, attn__lines_task, p, (p->g.rows + p->part - 1) / p->part);
}
ATTN__FUNC attn_status attn__sm_check(const attn_softmax_desc *user, int type, attn_softmax_desc *d,
                                      attn__lines_plan *p, attn__text *why) {
    ATTN__TRY(attn__take_desc(d, sizeof *d, user, why));
    memset(p, 0, sizeof *p);
    p->g.x = d->x; p->g.y = d->y; p->g.rows = d->rows; p->g.cols = d->cols; p->g.x_row = d->x_row;
    p->g.y_row = d->y_row; p->g.per = d->rows_per_length ? d->rows_per_length : 1; p->g.lengths = d->lengths;
    p->g.masked_score = attn__normal(d->masked_score); p->g.log = d->log;
    if (d->log < 0 || d->log > 1) return attn__wrong(why, ATTN_ERR_RANGE, "log", d->log, "neither 0 nor 1");
    if (p->g.per < 0) return attn__wrong(why, ATTN_ERR_RANGE, "rows_per_length", d->rows_per_length, "negative");
    if (d->lengths && d->rows >= 0 && d->rows % p->g.per)
        return attn__wrong(why, ATTN_ERR_SHAPE, "rows_per_length", d->rows_per_length, "does not divide rows");
    ATTN__TRY(attn__check_lines(p, type, d->isa, why));
    for (ptrdiff_t i = 0; d->lengths && d->cols > 0 && i < d->rows / p->g.per; i++)
        if (d->lengths[i] < 0 || d->lengths[i] > d->cols)
            return attn__wrong(why, ATTN_ERR_RANGE, "lengths", d->lengths[i], "outside 0..cols");
    p->kernel = p->table->softmax;
    return ATTN_OK;
}
ATTN__FUNC attn_status attn__softmax(const attn_softmax_desc *user, int type) {
    attn_softmax_desc d;
    attn__lines_plan p;
    ATTN__TRY(attn__sm_check(user, type, &d, &p, NULL));
    attn__lines_run(&p, d.parallel);
    return ATTN_OK;
}
ATTN_DEF attn_status attn_softmax_f32(const attn_softmax_desc *d) { return attn__softmax(d, ATTN_F32); }
ATTN_DEF attn_status attn_softmax_f64(const attn_softmax_desc *d) { return attn__softmax(d, ATTN_F64); }

// ---- norms over rows

ATTN__FUNC double attn__norm_eps(int kind) { return kind == ATTN_ROWS_RMS ? 1e-6 : 1e-5; }
ATTN__FUNC attn_status attn__norm_check(const attn_norm_desc *user, int type, attn_norm_desc *d, attn__lines_plan *p,
                                        attn__text *why) {
    ATTN__TRY(attn__take_desc(d, sizeof *d, user, why));
    memset(p, 0, sizeof *p);
    p->g.x = d->x; p->g.y = d->y; p->g.rows = d->rows; p->g.cols = d->cols; p->g.x_row = d->x_row;
    p->g.y_row = d->y_row; p->g.weight = d->weight; p->g.bias = d->bias; p->g.kind = d->kind;
    p->g.eps = d->eps > 0 ? d->eps : attn__norm_eps(d->kind);
    if (d->kind < 0 || d->kind >= ATTN_ROWS_COUNT)
        return attn__wrong(why, ATTN_ERR_RANGE, "kind", d->kind, "none of ATTN_ROWS_");
    if (d->eps < 0 || !attn__finite(d->eps))
        return attn__wrong(why, ATTN_ERR_RANGE, "eps", ATTN__UNSAID, "negative or not finite");
    ATTN__TRY(attn__check_lines(p, type, d->isa, why));
    for (int i = 0; i < 2 && d->rows > 0; i++) {
        const ptrdiff_t n[4] = { 1, 1, d->rows, d->cols }, sy[4] = { 0, 0, p->g.y_row, 1 }, sw[4] = { 0, 0, 0, 1 };
        const attn__set y = attn__set_of(d->y, n, sy, p->table->bytes);
        const attn__set w = attn__set_of(i ? d->bias : d->weight, n, sw, p->table->bytes);
        if (attn__meet(&w, &y))
            return attn__wrong(why, ATTN_ERR_OVERLAP, "y", ATTN__UNSAID, i ? "lies over bias" : "lies over weight");
    }
    p->kernel = p->table->norm;
    return ATTN_OK;
}
ATTN__FUNC attn_status attn__norm(const attn_norm_desc *user, int type) {
    attn_norm_desc d;
    attn__lines_plan p;
    ATTN__TRY(attn__norm_check(user, type, &d, &p, NULL));
    attn__lines_run(&p, d.parallel);
    return ATTN_OK;
}
ATTN_DEF attn_status attn_norm_f32(const attn_norm_desc *d) { return attn__norm(d, ATTN_F32); }
ATTN_DEF attn_status attn_norm_f64(const attn_norm_desc *d) { return attn__norm(d, ATTN_F64); }

// ---- sentences

ATTN__FUNC attn__text attn__text_of(char *text, size_t n) {
    attn__text t;
    t.at = text; t.left = text ? n : 0;
    if (t.left) *text = 0;
    return t;
}
ATTN__FUNC const char *attn__explained(attn_status s, attn_status again, attn__text *t, char *text, size_t n) {
    if (!text || n == 0) return text ? text : "";
    if (s == ATTN_OK || again != s || !text[0]) { *t = attn__text_of(text, n); attn__say(t, attn_status_str(s)); }
    return text;
}
ATTN_DEF const char *attn_explain_matmul(attn_status s, const attn_matmul_desc *d, char *text, size_t n) {
    attn__text t = attn__text_of(text, n);
    attn__mm_plan p;
    attn_status again = attn__mm_check(d, ATTN_F32, 1, &p, &t);
    if (again != s) {                                  // the call may have been f64
        t = attn__text_of(text, n);
        again = attn__mm_check(d, ATTN_F64, 1, &p, &t);
    }
    return attn__explained(s, again, &t, text, n);
}
ATTN_DEF const char *attn_explain_softmax(attn_status s, const attn_softmax_desc *d, char *text, size_t n) {
    attn__text t = attn__text_of(text, n);
    attn_softmax_desc full;
    attn__lines_plan p;
    attn_status again = attn__sm_check(d, ATTN_F32, &full, &p, &t);
    if (again != s) { t = attn__text_of(text, n); again = attn__sm_check(d, ATTN_F64, &full, &p, &t); }
    return attn__explained(s, again, &t, text, n);
}
ATTN_DEF const char *attn_explain_norm(attn_status s, const attn_norm_desc *d, char *text, size_t n) {
    attn__text t = attn__text_of(text, n);
    attn_norm_desc full;
    attn__lines_plan p;
    attn_status again = attn__norm_check(d, ATTN_F32, &full, &p, &t);
    if (again != s) { t = attn__text_of(text, n); again = attn__norm_check(d, ATTN_F64, &full, &p, &t); }
    return attn__explained(s, again, &t, text, n);
}

#ifndef ATTN_ONLY_KERNELS
// -------------------------------------------------------------------------------------------------------------------
// ---- depth 2: forward functions, which record themselves

static const attn_op_info attn__ops[ATTN_OP_COUNT] = {
#define ATTN__ROW(NAME, name, in, keeps, has, grad) { #name, in, #keeps, ATTN_GRAD_##has, grad },
    ATTN_OP_LIST(ATTN__ROW)
#undef ATTN__ROW
};
ATTN_DEF const attn_op_info *attn_op(int op) { return op >= 0 && op < ATTN_OP_COUNT ? &attn__ops[op] : NULL; }

// y (+)= f(a, b) over the shape they broadcast to. y may repeat too (stride 0): then it gathers the sum, which needs
// add. Axes that lie one behind the other in all three are joined; the last one left is the kernel's.
typedef struct attn__walk {
    int rank;
    ptrdiff_t n[ATTN_MAX_RANK], y[ATTN_MAX_RANK], a[ATTN_MAX_RANK], b[ATTN_MAX_RANK];
} attn__walk;
ATTN__FUNC ptrdiff_t attn__stride_at(const attn_tensor *t, int from_end) {
    const int i = t->rank - from_end;
    return i < 0 || t->shape[i] == 1 ? 0 : t->stride[i];
}
ATTN__FUNC int attn__walk_shape(attn__walk *w, const attn_tensor *y, const attn_tensor *a, const attn_tensor *b) {
    const attn_tensor *t[3] = { y, a, b };
    int rank = 0;
    for (int k = 0; k < 3; k++) if (t[k]->rank > rank) rank = t[k]->rank;
    w->rank = 0;
    for (int i = rank; i >= 1; i--) {
        ptrdiff_t n = 1;
        int r = w->rank;
        for (int k = 0; k < 3; k++) {
            const ptrdiff_t x = i <= t[k]->rank ? t[k]->shape[t[k]->rank - i] : 1;
            if (x == 0) return 0;
            if (x != 1) n = x;
        }
        if (n == 1) continue;
        w->n[r] = n; w->y[r] = attn__stride_at(y, i); w->a[r] = attn__stride_at(a, i); w->b[r] = attn__stride_at(b, i);
        if (r && w->y[r - 1] == w->y[r] * n && w->a[r - 1] == w->a[r] * n && w->b[r - 1] == w->b[r] * n) {
            r--;
            w->n[r] *= n; w->y[r] = w->y[r + 1]; w->a[r] = w->a[r + 1]; w->b[r] = w->b[r + 1];
        }
        w->rank = r + 1;
    }
    for (int r = 0; r + 1 < w->rank; r++) if (w->y[r] == 0 && w->n[r] > 256) {   // a long sum belongs inside: it is
        const int l = w->rank - 1;                                               // kept in lanes and doubles there
        ptrdiff_t *const s[4] = { w->n, w->y, w->a, w->b };
        for (int k = 0; k < 4; k++) { const ptrdiff_t x = s[k][r]; s[k][r] = s[k][l]; s[k][l] = x; }
        break;
    }
    if (w->rank == 0) { w->rank = 1; w->n[0] = 1; w->y[0] = 1; w->a[0] = w->b[0] = 0; }
    return 1;
}
ATTN__FUNC void attn__each(const attn_ctx *c, int op, int add, const attn_tensor *y, const attn_tensor *a,
                           const attn_tensor *b, double s) {
    attn__walk w;
    attn__loop_args g;
    const attn__table *t = attn__table_of(y->type, c->d.isa);
    ptrdiff_t at[ATTN_MAX_RANK] = { 0 }, py = 0, pa = 0, pb = 0;
    int r;
    if (!attn__walk_shape(&w, y, a, b)) return;
    memset(&g, 0, sizeof g);
    g.op = op; g.add = add; g.s = s;
    g.n = w.n[w.rank - 1]; g.ys = w.y[w.rank - 1]; g.as = w.a[w.rank - 1]; g.bs = w.b[w.rank - 1];
    do {
        g.y = (char *)y->data + py * t->bytes;
        g.a = (const char *)a->data + pa * t->bytes;
        g.b = (const char *)b->data + pb * t->bytes;
        t->loop(&g);
        for (r = w.rank - 2; r >= 0; r--) {
            py += w.y[r]; pa += w.a[r]; pb += w.b[r];
            if (++at[r] < w.n[r]) break;
            py -= w.y[r] * w.n[r]; pa -= w.a[r] * w.n[r]; pb -= w.b[r] * w.n[r]; at[r] = 0;
        }
    } while (r >= 0);
}
ATTN__FUNC void attn__zero(attn_tensor *t) {
    memset(t->data, 0, (size_t)attn_count(t) * (size_t)attn__types[t->type].bytes);
}
ATTN__FUNC int attn__float_ready(attn_ctx *c, const char *op, const attn_tensor *a, const attn_tensor *b) {
    if (!attn__ready(c, op, a, b)) return 0;
    if (a->type != b->type) {
        attn__text t = attn__fail_text(c, ATTN_ERR_DTYPE, op);
        attn__say(&t, attn_type_str(a->type)); attn__say(&t, " and "); attn__say(&t, attn_type_str(b->type));
        attn__say(&t, ": types must match");
        return 0;
    }
    if (!attn__is_float(a->type) || !attn__table_of(a->type, 0)) {
        attn__text t = attn__fail_text(c, ATTN_ERR_DTYPE, op);
        attn__say(&t, attn_type_str(a->type)); attn__say(&t, ": f32 or f64 (and not left out of this build)");
        return 0;
    }
    return 1;
}

// ---- making tensors

ATTN_DEF attn_tensor *attn_zeros(attn_ctx *c, int type, int rank, const ptrdiff_t *shape) {
    attn_tensor *t = attn__new(c, "attn_zeros", type, rank, shape, 1, 0);
    if (attn_count(t) > 0) attn__zero(t);
    return t;
}
ATTN_DEF attn_tensor *attn_full(attn_ctx *c, int type, int rank, const ptrdiff_t *shape, double value) {
    attn_tensor *t = attn__new(c, "attn_full", type, rank, shape, 1, 0);
    if (type == ATTN_F16 || type == ATTN_BF16)
        return attn__fail(c, ATTN_ERR_DTYPE, "attn_full", "f16 and bf16 are not written yet");
    for (ptrdiff_t i = 0, n = attn_count(t); i < n; i++)
        attn__put(type, (char *)t->data + i * attn__types[type].bytes, value);
    return t;
}
ATTN_DEF attn_tensor *attn_from(attn_ctx *c, int type, int rank, const ptrdiff_t *shape, const void *data) {
    attn_tensor *t = attn__new(c, "attn_from", type, rank, shape, 1, 0);
    const ptrdiff_t n = attn_count(t);
    if (n == 0) return t;
    if (!data) return attn__fail(c, ATTN_ERR_NULL, "attn_from", "data is NULL");
    memcpy(t->data, data, (size_t)n * (size_t)attn__types[type].bytes);
    return t;
}
ATTN_DEF attn_tensor *attn_wrap(attn_ctx *c, int type, int rank, const ptrdiff_t *shape, const ptrdiff_t *stride,
                                void *data) {
    attn_tensor *t = attn__new(c, "attn_wrap", type, rank, shape, 0, 0);
    ptrdiff_t reach = 0;
    if (!t || t->flags & ATTN_TENSOR_EMPTY) return t;
    if (!data && attn_count(t) > 0) return attn__fail(c, ATTN_ERR_NULL, "attn_wrap", "data is NULL");
    for (int i = 0; stride && i < rank; i++) {
        if (stride[i] < 0) return attn__fail_number(c, ATTN_ERR_RANGE, "attn_wrap", "stride", stride[i], "negative");
        t->stride[i] = stride[i];
        reach = attn__add_size(reach, attn__mul_size(shape[i] ? shape[i] - 1 : 0, stride[i]));
    }
    if (attn__mul_size(reach, 8) < 0) return attn__fail(c, ATTN_ERR_RANGE, "attn_wrap", "strides reach beyond memory");
    t->data = data;
    return t;
}
ATTN_DEF attn_tensor *attn_param(attn_ctx *c, int type, int rank, const ptrdiff_t *shape) {
    attn_tensor *t;
    if (!attn__is_float(type))
        return attn__fail_number(c, ATTN_ERR_DTYPE, "attn_param", "type", type, "f32 or f64");
    t = attn__new(c, "attn_param", type, rank, shape, 1, 1);
    if (!t || t->flags & ATTN_TENSOR_EMPTY) return t;
    attn__zero(t);
    if (c->last_param) c->last_param->next = t; else c->first_param = t;
    c->last_param = t;
    return t;
}
ATTN_DEF attn_tensor *attn_params(const attn_ctx *c) { return c ? c->first_param : NULL; }
// The i-th number of the context's stream, uniform in [0, 1) with 53 bits: two of them from a Philox block
ATTN__FUNC double attn__draw(const attn_ctx *c, uint64_t i) {
    const uint32_t counter[4] = { (uint32_t)(i >> 1), (uint32_t)(i >> 33), 0, 0 };
    const uint32_t key[2] = { (uint32_t)c->d.seed, (uint32_t)(c->d.seed >> 32) };
    uint32_t r[4];
    attn_philox(counter, key, r);
    return (double)(((uint64_t)r[2 * (i & 1)] << 21) ^ (r[2 * (i & 1) + 1] >> 11)) * (1.0 / 9007199254740992.0);
}
// Two indices with one element; axes that do not nest count as that.
ATTN__FUNC int attn__lies_over_itself(const attn_tensor *t) {
    for (int i = 0; i < t->rank; i++) {
        ptrdiff_t span = 0;                            // of the axes with smaller steps
        for (int j = 0; j < t->rank; j++)
            if (t->shape[j] > 1 && (t->stride[j] < t->stride[i] || (t->stride[j] == t->stride[i] && j > i)))
                span += (t->shape[j] - 1) * t->stride[j];
        if (t->shape[i] > 1 && t->stride[i] <= span) return attn_count(t) > 0;
    }
    return 0;
}
ATTN__FUNC attn_tensor *attn__fill(attn_ctx *c, attn_tensor *t, const char *op, double x, double y, int normal) {
    if (!attn__float_ready(c, op, t, t)) return attn__none(c);
    if (!attn__finite(x) || !attn__finite(y) || (normal ? y < 0 : x > y))
        return attn__fail_number(c, ATTN_ERR_RANGE, op, normal ? "mean, deviation" : "low, high", ATTN__UNSAID,
                                 normal ? "Inf or NaN, or a negative deviation" : "Inf or NaN, or low above high");
    if (attn__lies_over_itself(t)) return attn__fail(c, ATTN_ERR_OVERLAP, op, "elements lie over each other");
    for (ptrdiff_t i = 0, n = attn_count(t); i < n; i++) {
        double u = attn__draw(c, c->drawn++);
        if (normal) {
            const double r = attn__sqrt_d(-2 * attn__log_d(1 - u));
            u = r * attn__cos_d(6.283185307179586 * attn__draw(c, c->drawn++)) * y + x;
        } else u = x + (y - x) * u;
        attn__put(t->type, attn__element(t, i), u);
    }
    return t;
}
ATTN_DEF attn_tensor *attn_uniform(attn_ctx *c, attn_tensor *t, double low, double high) {
    return attn__fill(c, t, "attn_uniform", low, high, 0);
}
ATTN_DEF attn_tensor *attn_normal(attn_ctx *c, attn_tensor *t, double mean, double deviation) {
    return attn__fill(c, t, "attn_normal", mean, deviation, 1);
}
ATTN_DEF attn_tensor *attn_arange(attn_ctx *c, int type, ptrdiff_t n) {
    attn_tensor *t = attn__new(c, "attn_arange", type, 1, &n, 1, 0);
    const double most = type == ATTN_BOOL ? 1 : type == ATTN_I8 ? 127 : type == ATTN_U8 ? 255 :
        type == ATTN_I32 ? 2147483647.0 : 1e300;
    if (type == ATTN_F16 || type == ATTN_BF16)
        return attn__fail(c, ATTN_ERR_DTYPE, "attn_arange", "f16 and bf16 are not written yet");
    if (attn_count(t) > 0 && (double)n - 1 > most)
        return attn__fail_number(c, ATTN_ERR_RANGE, "attn_arange", "n", n, "beyond what the type holds");
    for (ptrdiff_t i = 0, m = attn_count(t); i < m; i++)
        attn__put(type, (char *)t->data + i * attn__types[type].bytes, (double)i);
    return t;
}
ATTN_DEF double attn_item(attn_ctx *c, const attn_tensor *t) {
    if (!attn__ready(c, "attn_item", t, t)) return 0;
    if (attn_count(t) != 1) { attn__fail_shapes(c, "attn_item", t, NULL, "one element is wanted"); return 0; }
    return attn__get(t->type, t->data);
}
ATTN_DEF attn_status attn_read(attn_ctx *c, const attn_tensor *t, void *out) {
    if (!attn__ready(c, "attn_read", t, t)) return attn_error(c);
    if (!out && attn_count(t) > 0) { attn__fail(c, ATTN_ERR_NULL, "attn_read", "out is NULL"); return c->error; }
    attn__copy_out(out, t);
    return ATTN_OK;
}

// ---- two arguments, one argument

ATTN__FUNC attn_tensor *attn__binary(attn_ctx *c, int op, const char *name, int loop, attn_tensor *a, attn_tensor *b) {
    ptrdiff_t shape[ATTN_MAX_RANK];
    int rank;
    attn_tensor *y;
    if (!attn__float_ready(c, name, a, b)) return attn__none(c);
    if (!attn__broadcast_shape(a, b, &rank, shape)) return attn__fail_shapes(c, name, a, b, "do not broadcast");
    y = attn__new(c, name, a->type, rank, shape, 1, 0);
    if (c->error) return y;
    attn__each(c, loop, 0, y, a, b, 0);
    attn__record_op(c, op, y, a, b);
    return c->error ? &c->empty : y;
}
ATTN_DEF attn_tensor *attn_add(attn_ctx *c, attn_tensor *a, attn_tensor *b) {
    return attn__binary(c, ATTN_OP_ADD, "attn_add", ATTN__LOOP_ADD, a, b);
}
ATTN_DEF attn_tensor *attn_sub(attn_ctx *c, attn_tensor *a, attn_tensor *b) {
    return attn__binary(c, ATTN_OP_SUB, "attn_sub", ATTN__LOOP_SUB, a, b);
}
ATTN_DEF attn_tensor *attn_mul(attn_ctx *c, attn_tensor *a, attn_tensor *b) {
    return attn__binary(c, ATTN_OP_MUL, "attn_mul", ATTN__LOOP_MUL, a, b);
}
ATTN_DEF attn_tensor *attn_div(attn_ctx *c, attn_tensor *a, attn_tensor *b) {
    return attn__binary(c, ATTN_OP_DIV, "attn_div", ATTN__LOOP_DIV, a, b);
}
ATTN__FUNC attn_tensor *attn__unary(attn_ctx *c, int op, const char *name, int loop, attn_tensor *x, double s) {
    attn_tensor *y;
    attn__node *n;
    if (!attn__float_ready(c, name, x, x)) return attn__none(c);
    y = attn__new(c, name, x->type, x->rank, x->shape, 1, 0);
    if (c->error) return y;
    attn__each(c, loop, 0, y, x, x, s);
    n = attn__record_op(c, op, y, x, NULL);
    if (n) n->s = s;
    return c->error ? &c->empty : y;
}
ATTN_DEF attn_tensor *attn_scale(attn_ctx *c, attn_tensor *x, double s) {
    return attn__unary(c, ATTN_OP_SCALE, "attn_scale", ATTN__LOOP_SCALE, x, s);
}
ATTN_DEF attn_tensor *attn_square(attn_ctx *c, attn_tensor *x) {
    return attn__unary(c, ATTN_OP_SQUARE, "attn_square", ATTN__LOOP_SQUARE, x, 0);
}
ATTN_DEF attn_tensor *attn_exp(attn_ctx *c, attn_tensor *x) {
    return attn__unary(c, ATTN_OP_EXP, "attn_exp", ATTN__LOOP_EXP, x, 0);
}
ATTN_DEF attn_tensor *attn_tanh(attn_ctx *c, attn_tensor *x) {
    return attn__unary(c, ATTN_OP_TANH, "attn_tanh", ATTN__LOOP_TANH, x, 0);
}
ATTN_DEF attn_tensor *attn_relu(attn_ctx *c, attn_tensor *x) {
    return attn__unary(c, ATTN_OP_RELU, "attn_relu", ATTN__LOOP_RELU, x, 0);
}
ATTN_DEF attn_tensor *attn_log(attn_ctx *c, attn_tensor *x) {
    return attn__unary(c, ATTN_OP_LOG, "attn_log", ATTN__LOOP_LOG, x, 0);
}
ATTN_DEF attn_tensor *attn_sqrt(attn_ctx *c, attn_tensor *x) {
    return attn__unary(c, ATTN_OP_SQRT, "attn_sqrt", ATTN__LOOP_SQRT, x, 0);
}
ATTN_DEF attn_tensor *attn_sigmoid(attn_ctx *c, attn_tensor *x) {
    return attn__unary(c, ATTN_OP_SIGMOID, "attn_sigmoid", ATTN__LOOP_SIGMOID, x, 0);
}
ATTN_DEF attn_tensor *attn_silu(attn_ctx *c, attn_tensor *x) {
    return attn__unary(c, ATTN_OP_SILU, "attn_silu", ATTN__LOOP_SILU, x, 0);
}
ATTN_DEF attn_tensor *attn_gelu(attn_ctx *c, attn_tensor *x) {
    return attn__unary(c, ATTN_OP_GELU, "attn_gelu", ATTN__LOOP_GELU, x, 0);
}

// ---- reductions. axis -1 in a node stands for all of them

ATTN__FUNC attn_tensor *attn__reduce(attn_ctx *c, int op, const char *name, attn_tensor *x, int axis, int all) {
    ptrdiff_t shape[ATTN_MAX_RANK], n = 1;
    attn_tensor *y;
    attn__node *node;
    if (!attn__float_ready(c, name, x, x) || (!all && !attn__axis(c, name, x, &axis))) return attn__none(c);
    for (int i = 0; i < x->rank; i++) {
        shape[i] = i == axis ? 1 : x->shape[i];
        if (all || i == axis) n *= x->shape[i];
    }
    y = attn__new(c, name, x->type, all ? 0 : x->rank, shape, 1, 0);
    if (c->error) return y;
    attn__zero(y);
    attn__each(c, ATTN__LOOP_COPY, 1, y, x, x, 0);
    if (op == ATTN_OP_MEAN) {
        if (n == 0) for (ptrdiff_t i = 0, m = attn_count(y); i < m; i++)
            attn__put(y->type, (char *)y->data + i * attn__types[y->type].bytes, attn__from_bits_d(ATTN__D_NAN));
        else attn__each(c, ATTN__LOOP_SCALE, 0, y, y, y, 1.0 / (double)n);
    }
    node = attn__record_op(c, op, y, x, NULL);
    if (node) node->s = op == ATTN_OP_MEAN && n ? 1.0 / (double)n : 1;
    return c->error ? &c->empty : y;
}
ATTN_DEF attn_tensor *attn_sum(attn_ctx *c, attn_tensor *x, int axis) {
    return attn__reduce(c, ATTN_OP_SUM, "attn_sum", x, axis, 0);
}
ATTN_DEF attn_tensor *attn_mean(attn_ctx *c, attn_tensor *x, int axis) {
    return attn__reduce(c, ATTN_OP_MEAN, "attn_mean", x, axis, 0);
}
ATTN_DEF attn_tensor *attn_sum_all(attn_ctx *c, attn_tensor *x) {
    return attn__reduce(c, ATTN_OP_SUM, "attn_sum_all", x, 0, 1);
}
ATTN_DEF attn_tensor *attn_mean_all(attn_ctx *c, attn_tensor *x) {
    return attn__reduce(c, ATTN_OP_MEAN, "attn_mean_all", x, 0, 1);
}

ATTN__FUNC attn_tensor *attn__max_index(attn_ctx *c, const char *name, attn_tensor *x, int *axis, attn_tensor **y) {
    ptrdiff_t shape[ATTN_MAX_RANK], step;
    attn_tensor *index;
    if (!attn__float_ready(c, name, x, x) || !attn__axis(c, name, x, axis)) return attn__none(c);
    if (x->shape[*axis] == 0) return attn__fail_shapes(c, name, x, NULL, "an axis of extent 0 has no maximum");
    memcpy(shape, x->shape, sizeof shape);
    shape[*axis] = 1;
    index = attn__new(c, name, ATTN_I32, x->rank, shape, 1, 0);
    *y = attn__new(c, name, x->type, x->rank, shape, 1, 0);
    if (c->error) return &c->empty;
    step = x->stride[*axis] * attn__types[x->type].bytes;
    for (ptrdiff_t i = 0, n = attn_count(index); i < n; i++) {
        attn_tensor row = *x;
        const char *p;
        double best;
        int32_t at = 0;
        row.shape[*axis] = 1;
        p = attn__element(&row, i); best = attn__get(x->type, p);
        for (ptrdiff_t j = 1; j < x->shape[*axis] && best == best; j++) {
            const double v = attn__get(x->type, p + j * step);
            if (v > best || v != v) { best = v; at = (int32_t)j; }
        }
        ((int32_t *)index->data)[i] = at;
        attn__put(x->type, (char *)(*y)->data + i * attn__types[x->type].bytes, best);
    }
    return index;
}
ATTN_DEF attn_tensor *attn_max(attn_ctx *c, attn_tensor *x, int axis, attn_tensor **argmax) {
    attn_tensor *y = NULL, *index = attn__max_index(c, "attn_max", x, &axis, &y);
    attn__node *n;
    if (argmax) *argmax = index;
    if (attn_error(c)) return attn__none(c);
    n = attn__record_op(c, ATTN_OP_MAX, y, x, NULL);
    if (n) { n->x[1] = index; n->i[0] = axis; }
    return c->error ? &c->empty : y;
}
ATTN_DEF attn_tensor *attn_argmax(attn_ctx *c, attn_tensor *x, int axis) {
    attn_tensor *y = NULL;
    return attn__max_index(c, "attn_argmax", x, &axis, &y);
}

// ---- views

ATTN__FUNC attn_tensor *attn__viewed(attn_ctx *c, int op, attn_tensor *y, attn_tensor *x, ptrdiff_t i0, ptrdiff_t i1,
                                     ptrdiff_t i2) {
    attn__node *n = c->error ? NULL : attn__record_op(c, op, y, x, NULL);
    if (n) { n->i[0] = i0; n->i[1] = i1; n->i[2] = i2; }
    return c->error ? &c->empty : y;
}
ATTN_DEF attn_tensor *attn_contiguous(attn_ctx *c, attn_tensor *x) {
    attn_tensor *y;
    if (!attn__ready(c, "attn_contiguous", x, x)) return attn__none(c);
    if (attn__is_contiguous(x)) return x;
    y = attn__new(c, "attn_contiguous", x->type, x->rank, x->shape, 1, 0);
    if (!c->error) attn__copy_out(y->data, x);
    return attn__viewed(c, ATTN_OP_RESHAPE, y, x, 0, 0, 0);
}
// Strides of x's elements under a new shape, when they allow it: axes of each are joined from the left until they cover
// the same number, and what is joined in x must lie one behind the other.
ATTN__FUNC int attn__reshape_strides(const attn_tensor *x, attn_tensor *y) {
    int i = 0, j = 0;
    while (i < x->rank && j < y->rank) {
        ptrdiff_t nx = x->shape[i], ny = y->shape[j], s;
        const int j0 = j;
        int last = i;
        while (nx != ny) {
            if (nx < ny) {
                i++;
                if (x->shape[i] != 1) {
                    if (x->shape[last] != 1 && x->stride[last] != x->stride[i] * x->shape[i]) return 0;
                    last = i;
                }
                nx *= x->shape[i];
            } else ny *= y->shape[++j];
        }
        s = x->stride[last];
        for (int k = j; k >= j0; k--) { y->stride[k] = s; s *= y->shape[k]; }
        i++; j++;
    }
    for (; j < y->rank; j++) y->stride[j] = 1;
    return 1;
}
ATTN_DEF attn_tensor *attn_reshape(attn_ctx *c, attn_tensor *x, int rank, const ptrdiff_t *shape) {
    ptrdiff_t full[ATTN_MAX_RANK], n = 1;
    int open = -1;
    attn_tensor *y, want;
    if (!attn__ready(c, "attn_reshape", x, x)) return attn__none(c);
    if (rank < 0 || rank > ATTN_MAX_RANK)
        return attn__fail_number(c, ATTN_ERR_SHAPE, "attn_reshape", "rank", rank, "outside 0..6");
    if (rank > 0 && !shape) return attn__fail(c, ATTN_ERR_NULL, "attn_reshape", "shape is NULL");
    memset(&want, 0, sizeof want);
    want.rank = rank;
    for (int i = 0; i < rank; i++) {
        want.shape[i] = full[i] = shape[i];
        if (shape[i] == -1 && open < 0) open = i;
        else n = attn__mul_size(n, shape[i]);
    }
    if (open >= 0 && n > 0 && attn_count(x) % n == 0) { full[open] = attn_count(x) / n; n *= full[open]; }
    if (n != attn_count(x) || (open >= 0 && full[open] < 0))
        return attn__fail_shapes(c, "attn_reshape", x, &want, "differ in the number of elements");
    y = attn__view(c, "attn_reshape", x, rank, full);
    if (c->error) return y;
    if (n > 0 && !attn__is_contiguous(x) && !attn__reshape_strides(x, y)) {
        y = attn__new(c, "attn_reshape", x->type, rank, full, 1, 0);
        if (!c->error) attn__copy_out(y->data, x);
    }
    return attn__viewed(c, ATTN_OP_RESHAPE, y, x, 0, 0, 0);
}
ATTN_DEF attn_tensor *attn_transpose(attn_ctx *c, attn_tensor *x, int axis1, int axis2) {
    attn_tensor *y;
    if (!attn__ready(c, "attn_transpose", x, x)) return attn__none(c);
    if (!attn__axis(c, "attn_transpose", x, &axis1) || !attn__axis(c, "attn_transpose", x, &axis2)) return &c->empty;
    y = attn__view(c, "attn_transpose", x, x->rank, x->shape);
    if (c->error) return y;
    memcpy(y->stride, x->stride, sizeof y->stride);
    y->shape[axis1] = x->shape[axis2]; y->stride[axis1] = x->stride[axis2];
    y->shape[axis2] = x->shape[axis1]; y->stride[axis2] = x->stride[axis1];
    return attn__viewed(c, ATTN_OP_TRANSPOSE, y, x, axis1, axis2, 0);
}
ATTN__FUNC void attn__narrow(attn_tensor *y, int axis, ptrdiff_t first, ptrdiff_t count) {
    y->data = (char *)y->data + first * y->stride[axis] * attn__types[y->type].bytes;
    y->shape[axis] = count;
}
ATTN_DEF attn_tensor *attn_slice(attn_ctx *c, attn_tensor *x, int axis, ptrdiff_t first, ptrdiff_t count) {
    attn_tensor *y;
    if (!attn__ready(c, "attn_slice", x, x) || !attn__axis(c, "attn_slice", x, &axis)) return attn__none(c);
    if (first < 0 || first > x->shape[axis])
        return attn__fail_number(c, ATTN_ERR_RANGE, "attn_slice", "first", first, "outside the axis");
    if (count < 0 || count > x->shape[axis] - first)
        return attn__fail_number(c, ATTN_ERR_RANGE, "attn_slice", "count", count, "reaches past the axis");
    y = attn__view(c, "attn_slice", x, x->rank, x->shape);
    if (c->error) return y;
    memcpy(y->stride, x->stride, sizeof y->stride);
    attn__narrow(y, axis, first, count);
    return attn__viewed(c, ATTN_OP_SLICE, y, x, axis, first, count);
}
ATTN_DEF attn_tensor *attn_broadcast(attn_ctx *c, attn_tensor *x, int rank, const ptrdiff_t *shape) {
    attn_tensor *y, want;
    if (!attn__ready(c, "attn_broadcast", x, x)) return attn__none(c);
    y = attn__view(c, "attn_broadcast", x, rank, shape);
    if (c->error) return y;
    want = *y;
    for (int i = 1; i <= rank; i++) {
        const ptrdiff_t n = i <= x->rank ? x->shape[x->rank - i] : 1;
        if (n != 1 && n != shape[rank - i])
            return attn__fail_shapes(c, "attn_broadcast", x, &want, "does not broadcast");
        y->stride[rank - i] = n == 1 ? 0 : x->stride[x->rank - i];
    }
    if (x->rank > rank) return attn__fail_shapes(c, "attn_broadcast", x, &want, "has fewer axes");
    return attn__viewed(c, ATTN_OP_BROADCAST, y, x, 0, 0, 0);
}

// ---- matrix product

// y (+)= a b over the batch axes, with add; extents already agree, y's batch axes may repeat (then it gathers the sum)
ATTN__FUNC void attn__product(attn_ctx *c, const attn_tensor *y, const attn_tensor *a, const attn_tensor *b, int add) {
    const int rank = y->rank > a->rank ? (y->rank > b->rank ? y->rank : b->rank)
                                       : (a->rank > b->rank ? a->rank : b->rank);
    const attn_tensor *t[3] = { a, b, y };
    ptrdiff_t n[ATTN_MAX_RANK], at[ATTN_MAX_RANK] = { 0 }, p[3] = { 0 };
    const size_t mark = attn__place(c);
    attn_matmul_desc d;
    int r;
    memset(&d, 0, sizeof d);
    d.m = a->shape[a->rank - 2]; d.k = a->shape[a->rank - 1]; d.n = b->shape[b->rank - 1];
    d.a_row = a->stride[a->rank - 2]; d.a_col = a->stride[a->rank - 1];
    d.b_row = b->stride[b->rank - 2]; d.b_col = b->stride[b->rank - 1];
    d.c_row = y->stride[y->rank - 2]; d.c_col = y->stride[y->rank - 1];
    d.isa = c->d.isa; d.parallel = c->d.parallel; d.beta = add ? 1 : 0;
    for (int i = 0; i < rank - 2; i++) {
        n[i] = 1;
        for (int k = 0; k < 3; k++) if (rank - i <= t[k]->rank && t[k]->shape[t[k]->rank - (rank - i)] != 1)
            n[i] = t[k]->shape[t[k]->rank - (rank - i)];
        if (n[i] == 0) return;
    }
    r = rank - 3;
    if (r >= 0 && attn__stride_at(y, rank - r)) {       // the last batch axis is the desc's, unless it is summed over
        d.batch = n[r]; d.a_batch = attn__stride_at(a, rank - r); d.b_batch = attn__stride_at(b, rank - r);
        d.c_batch = attn__stride_at(y, rank - r);
        n[r] = 1;
    }
    d.workspace_bytes = attn_matmul_workspace(&d);      // the context's memory, not the heap's
    if (d.workspace_bytes) {
        d.workspace = attn__take(c, d.workspace_bytes, 0);
        if (!d.workspace) { attn__fail(c, ATTN_ERR_MEMORY, "attn_matmul", "no memory for packing"); return; }
    }
    do {
        const ptrdiff_t e = attn__types[y->type].bytes;
        attn_status s;
        d.a = (const char *)a->data + p[0] * e;
        d.b = (const char *)b->data + p[1] * e;
        d.c = (char *)y->data + p[2] * e;
        s = attn__matmul(&d, y->type);
        if (s) { attn__fail(c, s, "attn_matmul", attn_status_str(s)); break; }
        for (r = rank - 3; r >= 0; r--) {
            for (int k = 0; k < 3; k++) p[k] += attn__stride_at(t[k], rank - r);
            if (++at[r] < n[r]) break;
            for (int k = 0; k < 3; k++) p[k] -= attn__stride_at(t[k], rank - r) * n[r];
            at[r] = 0;
        }
    } while (r >= 0);
    attn__rewind(c, mark);
}
// A matrix that repeats along both of its last axes would read as contiguous: copied.
ATTN__FUNC attn_tensor *attn__solid(attn_ctx *c, attn_tensor *x) {
    return x->stride[x->rank - 1] == 0 && x->stride[x->rank - 2] == 0 ? attn_contiguous(c, x) : x;
}
ATTN_DEF attn_tensor *attn_matmul(attn_ctx *c, attn_tensor *a, attn_tensor *b) {
    ptrdiff_t shape[ATTN_MAX_RANK];
    int rank;
    attn_tensor *y, x[2];
    if (!attn__float_ready(c, "attn_matmul", a, b)) return attn__none(c);
    if (a->rank < 2 || b->rank < 2) return attn__fail_shapes(c, "attn_matmul", a, b, "two axes are needed");
    if (a->shape[a->rank - 1] != b->shape[b->rank - 2])
        return attn__fail_shapes(c, "attn_matmul", a, b, "the inner extents differ");
    x[0] = *a; x[1] = *b;
    for (int i = 0; i < 2; i++) x[i].shape[x[i].rank - 1] = x[i].shape[x[i].rank - 2] = 1;
    if (!attn__broadcast_shape(&x[0], &x[1], &rank, shape))
        return attn__fail_shapes(c, "attn_matmul", a, b, "batch axes do not broadcast");
    shape[rank - 2] = a->shape[a->rank - 2]; shape[rank - 1] = b->shape[b->rank - 1];
    a = attn__solid(c, a); b = attn__solid(c, b);
    y = attn__new(c, "attn_matmul", a->type, rank, shape, 1, 0);
    if (c->error) return &c->empty;
    attn__product(c, y, a, b, 0);
    attn__record_op(c, ATTN_OP_MATMUL, y, a, b);
    return c->error ? &c->empty : y;
}

// ---- softmax, norms

// over the last axis of a contiguous x
ATTN__FUNC attn_status attn__softmax_last(const attn_ctx *c, void *y, const attn_tensor *x, const int32_t *lengths,
                                          ptrdiff_t per, int log) {
    attn_softmax_desc d;
    memset(&d, 0, sizeof d);
    d.cols = x->shape[x->rank - 1]; d.rows = d.cols ? attn_count(x) / d.cols : 0;
    d.x = x->data; d.y = y; d.lengths = lengths; d.rows_per_length = per; d.log = log;
    d.isa = c->d.isa; d.parallel = c->d.parallel;
    return attn__softmax(&d, x->type);
}
ATTN__FUNC attn_tensor *attn__softmax_op(attn_ctx *c, const char *name, attn_tensor *x, const int32_t *lengths,
                                         ptrdiff_t per, int log) {
    attn_tensor *y;
    attn_status s;
    x = attn_contiguous(c, x);
    if (c->error) return &c->empty;
    y = attn__new(c, name, x->type, x->rank, x->shape, 1, 0);
    if (c->error) return y;
    s = attn__softmax_last(c, y->data, x, lengths, per, log);
    if (s) return attn__fail(c, s, name, attn_status_str(s));
    attn__record_op(c, log ? ATTN_OP_LOG_SOFTMAX : ATTN_OP_SOFTMAX, y, x, NULL);
    return c->error ? &c->empty : y;
}
ATTN__FUNC attn_tensor *attn__softmax_along(attn_ctx *c, const char *name, attn_tensor *x, int axis, int log) {
    if (!attn__float_ready(c, name, x, x) || !attn__axis(c, name, x, &axis)) return attn__none(c);
    if (axis == x->rank - 1) return attn__softmax_op(c, name, x, NULL, 0, log);
    return attn_transpose(c, attn__softmax_op(c, name, attn_transpose(c, x, axis, -1), NULL, 0, log), axis, -1);
}
ATTN_DEF attn_tensor *attn_softmax(attn_ctx *c, attn_tensor *x, int axis) {
    return attn__softmax_along(c, "attn_softmax", x, axis, 0);
}
ATTN_DEF attn_tensor *attn_log_softmax(attn_ctx *c, attn_tensor *x, int axis) {
    return attn__softmax_along(c, "attn_log_softmax", x, axis, 1);
}
ATTN_DEF attn_tensor *attn_masked_softmax(attn_ctx *c, attn_tensor *x, const attn_tensor *lengths) {
    const char *name = "attn_masked_softmax";
    if (!attn__float_ready(c, name, x, x) || !attn__ready(c, name, lengths, lengths)) return attn__none(c);
    if (lengths->type != ATTN_I32) return attn__fail(c, ATTN_ERR_DTYPE, name, "lengths must be i32");
    if (x->rank < 2 || lengths->rank < 1 || lengths->rank >= x->rank || !attn__is_contiguous(lengths) ||
        memcmp(x->shape, lengths->shape, sizeof(ptrdiff_t) * (size_t)lengths->rank))
        return attn__fail_shapes(c, name, x, lengths, "lengths must be [B] or [B,N] of x, contiguous");
    for (ptrdiff_t i = 0, n = attn_count(lengths); i < n; i++) {
        const int32_t length = ((const int32_t *)lengths->data)[i];
        if (length < 0 || length > x->shape[x->rank - 1])
            return attn__fail_number(c, ATTN_ERR_RANGE, name, "a length", length, "outside 0..M");
    }
    {
        ptrdiff_t per = 1;
        for (int i = lengths->rank; i < x->rank - 1; i++) per *= x->shape[i];
        return attn__softmax_op(c, name, x, (const int32_t *)lengths->data, per ? per : 1, 0);
    }
}

ATTN__FUNC attn_tensor *attn__norm_op(attn_ctx *c, int op, const char *name, attn_tensor *x, attn_tensor *weight,
                                      double eps) {
    attn_norm_desc d;
    attn_tensor *y;
    attn__node *n;
    attn_status s;
    if (!attn__float_ready(c, name, x, weight ? weight : x)) return attn__none(c);
    if (x->rank < 1 || (weight && (weight->rank != 1 || weight->shape[0] != x->shape[x->rank - 1])))
        return attn__fail_shapes(c, name, x, weight, "[..,C] and a weight [C] are wanted");
    x = attn_contiguous(c, x);
    if (weight) weight = attn_contiguous(c, weight);
    y = attn__new(c, name, x->type, x->rank, x->shape, 1, 0);
    if (c->error) return &c->empty;
    memset(&d, 0, sizeof d);
    d.cols = x->shape[x->rank - 1]; d.rows = d.cols ? attn_count(x) / d.cols : 0;
    d.x = x->data; d.y = y->data; d.weight = weight ? weight->data : NULL; d.isa = c->d.isa; d.parallel = c->d.parallel;
    d.kind = op == ATTN_OP_RMS_NORM ? ATTN_ROWS_RMS : ATTN_ROWS_LAYER;
    d.eps = eps;
    s = attn__norm(&d, x->type);
    if (s) return attn__fail(c, s, name, s == ATTN_ERR_RANGE ? "eps is negative or not finite" : attn_status_str(s));
    n = attn__record_op(c, op, y, x, weight);
    if (n) n->s = eps > 0 ? eps : attn__norm_eps(d.kind);
    return c->error ? &c->empty : y;
}
ATTN_DEF attn_tensor *attn_layer_norm(attn_ctx *c, attn_tensor *x, attn_tensor *weight, attn_tensor *bias,
                                      double eps) {
    attn_tensor *y = attn__norm_op(c, ATTN_OP_LAYER_NORM, "attn_layer_norm", x, weight, eps);
    return bias ? attn_add(c, y, bias) : y;              // the same numbers, and its gradient
}
ATTN_DEF attn_tensor *attn_rms_norm(attn_ctx *c, attn_tensor *x, attn_tensor *weight, double eps) {
    return attn__norm_op(c, ATTN_OP_RMS_NORM, "attn_rms_norm", x, weight, eps);
}

// ---- losses

ATTN_DEF attn_tensor *attn_cross_entropy(attn_ctx *c, attn_tensor *x, attn_tensor *targets) {
    const char *name = "attn_cross_entropy";
    attn_tensor *y, *p;
    double sum = 0;
    ptrdiff_t rows, cols, e;
    if (!attn__float_ready(c, name, x, x) || !attn__ready(c, name, targets, targets)) return attn__none(c);
    if (targets->type != ATTN_I32) return attn__fail(c, ATTN_ERR_DTYPE, name, "targets must be i32");
    if (x->rank != 2 || targets->rank != 1 || x->shape[0] != targets->shape[0])
        return attn__fail_shapes(c, name, x, targets, "[n,classes] and [n] are wanted");
    rows = x->shape[0]; cols = x->shape[1]; e = attn__types[x->type].bytes;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const double t = attn__get(ATTN_I32, attn__element(targets, i));
        if (t < 0 || t >= (double)cols)
            return attn__fail_number(c, ATTN_ERR_RANGE, name, "target", (ptrdiff_t)t, "outside the classes");
    }
    x = attn_contiguous(c, x); targets = attn_contiguous(c, targets);
    y = attn__new(c, name, x->type, 0, NULL, 1, 0);
    p = attn__new(c, name, x->type, 2, x->shape, 1, 0);             // kept: the derivative is p - onehot
    if (c->error) return &c->empty;
    attn__softmax_last(c, p->data, x, NULL, 0, 0);
    for (ptrdiff_t i = 0; i < rows; i++) {                          // log p[t] from the largest p, which is never tiny
        const char *xi = (const char *)x->data + i * cols * e, *pi = (const char *)p->data + i * cols * e;
        ptrdiff_t top = 0;
        for (ptrdiff_t j = 1; j < cols; j++)
            if (attn__get(x->type, pi + j * e) > attn__get(x->type, pi + top * e)) top = j;
        sum += attn__log_d(attn__get(x->type, pi + top * e)) +
               attn__get(x->type, xi + ((const int32_t *)targets->data)[i] * e) -
               attn__get(x->type, xi + top * e);
    }
    attn__put(y->type, y->data, -sum / (double)rows);
    {
        attn__node *n = attn__record_op(c, ATTN_OP_CROSS_ENTROPY, y, x, NULL);
        if (n) { n->x[1] = targets; n->x[2] = p; }
    }
    return c->error ? &c->empty : y;
}
ATTN_DEF attn_tensor *attn_mse(attn_ctx *c, attn_tensor *a, attn_tensor *b) {
    ptrdiff_t shape[ATTN_MAX_RANK], n = 1;
    int rank;
    attn_tensor *y;
    attn__node *node;
    if (!attn__float_ready(c, "attn_mse", a, b)) return attn__none(c);
    if (!attn__broadcast_shape(a, b, &rank, shape)) return attn__fail_shapes(c, "attn_mse", a, b, "do not broadcast");
    for (int i = 0; i < rank; i++) n *= shape[i];
    y = attn__new(c, "attn_mse", a->type, 0, NULL, 1, 0);
    if (c->error) return y;
    attn__zero(y);
    attn__each(c, ATTN__LOOP_SQUARE_SUB, 1, y, a, b, 0);
    attn__each(c, ATTN__LOOP_SCALE, 0, y, y, y, 1.0 / (double)n);
    node = attn__record_op(c, ATTN_OP_MSE, y, a, b);
    if (node) node->s = 2.0 / (double)n;
    return c->error ? &c->empty : y;
}

// ---- attention on tensors

ATTN_DEF attn_tensor *attn_sdpa(attn_ctx *c, attn_tensor *q, attn_tensor *k, attn_tensor *v, const attn_desc *desc) {
    attn_desc d;
    attn_tensor *y;
    attn_status s;
    size_t mark;
    ptrdiff_t shape[4];
    if (!attn__float_ready(c, "attn_sdpa", q, k) || !attn__float_ready(c, "attn_sdpa", k, v)) return attn__none(c);
    if (q->rank != 4 || k->rank != 4 || v->rank != 4)
        return attn__fail_shapes(c, "attn_sdpa", q, k, "[B,H,N,D] is wanted");
    if (c->record > 0 ||
        (c->record == 0 && (q->flags | k->flags | v->flags) & (ATTN_TENSOR_PARAM | ATTN_TENSOR_RECORDED)))
        return attn__fail(c, ATTN_ERR_UNSUPPORTED, "attn_sdpa",
                          "its derivative is not there yet; attn_record(c, -1) to go on without");
    if (q->shape[3] != k->shape[3] || q->shape[0] != k->shape[0])
        return attn__fail_shapes(c, "attn_sdpa", q, k, "q and k differ in B or D");
    if (memcmp(k->shape, v->shape, 3 * sizeof(ptrdiff_t)))
        return attn__fail_shapes(c, "attn_sdpa", k, v, "k and v differ in B, H or M");
    memset(&d, 0, sizeof d);
    if (desc) {
        s = attn__take_desc(&d, sizeof d, desc, NULL);
        if (s) return attn__fail(c, s, "attn_sdpa", attn_status_str(s));
        for (int i = 0; i < 4; i++) d.q_stride[i] = d.k_stride[i] = d.v_stride[i] = d.o_stride[i] = 0;
        if (d.cu_q || d.cu_k)
            return attn__fail(c, ATTN_ERR_UNSUPPORTED, "attn_sdpa", "cu_q, cu_k: a tensor has no packed sequences");
    }
    q = attn_contiguous(c, q); k = attn_contiguous(c, k); v = attn_contiguous(c, v);
    memcpy(shape, q->shape, sizeof shape);
    shape[3] = v->shape[3];
    y = attn__new(c, "attn_sdpa", q->type, 4, shape, 1, 0);
    if (c->error) return &c->empty;
    d.q = q->data; d.k = k->data; d.v = v->data; d.o = y->data;
    d.q_type = d.k_type = d.v_type = d.o_type = q->type;
    d.batch = shape[0]; d.heads = shape[1]; d.kv_heads = k->shape[1]; d.queries = shape[2]; d.keys = k->shape[2];
    d.dim = q->shape[3]; d.vdim = shape[3];
    if (!d.parallel) d.parallel = c->d.parallel;
    if (!d.isa) d.isa = c->d.isa;
    if (d.batch == 0) return y;
    mark = attn__place(c);
    d.workspace_bytes = attn_workspace(&d);
    d.workspace = attn__take(c, d.workspace_bytes, 0);
    s = d.workspace ? attn_fwd(&d) : ATTN_ERR_MEMORY;
    attn__rewind(c, mark);
    if (s) {
        char why[160];
        return attn__fail(c, s, "attn_sdpa", attn_explain(s, &d, why, sizeof why));
    }
    return y;
}

// ---- printing, as NumPy does with 4 digits

enum { ATTN__EDGE = 3, ATTN__LINE = 75 };
// tail: of e+00; all: not cut to 4 digits, as a number alone
typedef struct attn__style { int exponent, digits, left, tail, width, cut, all; } attn__style;
typedef struct attn__out { attn_write write; void *user; int column, failed, blanks; } attn__out;
// digits of a number: places first .. last-1 of d count, those from `point` on are its fraction
enum { ATTN__PLACES = 774 };          // (2^55 - 1) 5^1076, the longest, has 769
typedef struct attn__digits { char d[ATTN__PLACES]; int first, last, point; } attn__digits;
ATTN__FUNC int attn__find(const char *s, char ch) {
    int i = 0;
    while (s[i] && s[i] != ch) { i++; ATTN__HIDE(i); }
    return i;
}
// Blanks are held back: none are left at the end of a line.
ATTN__FUNC void attn__emit(attn__out *o, const char *s) {
    const size_t n = (size_t)attn__find(s, 0);
    for (; o->blanks > 0; o->blanks--) if (*s != '\n' && !o->failed) {
        if (o->write(o->user, " ", 1)) o->failed = 1;
        o->column++;
    }
    if (o->failed || n == 0) return;
    if (o->write(o->user, s, n)) o->failed = 1;
    o->column = s[n - 1] == '\n' ? 0 : o->column + (int)n;
}
// m 2^e in decimal, exactly and right-aligned: for e < 0 it is m 5^-e with -e places behind the point.
ATTN__FUNC void attn__expand(char *d, uint64_t m, int e) {
    uint32_t w[ATTN__PLACES / 9];
    int n = 2;
    memset(w, 0, sizeof w);
    w[0] = (uint32_t)(m % 1000000000); w[1] = (uint32_t)(m / 1000000000);
    for (int k = e < 0 ? -e : e; k > 0; ) {
        uint64_t by = 1, carry = 0;
        for (int i = 0; i < 12 && k > 0; i++, k--) by *= e < 0 ? 5 : 2;
        for (int i = 0; i < n; i++) {
            carry += w[i] * by;
            w[i] = (uint32_t)(carry % 1000000000); carry /= 1000000000;
        }
        if (carry) w[n++] = (uint32_t)carry;
    }
    for (int i = ATTN__PLACES; i-- > 0; ) {
        uint32_t *x = w + (ATTN__PLACES - 1 - i) / 9;
        d[i] = (char)('0' + *x % 10); *x /= 10;
    }
}
// The fewest digits between the middles to x's neighbours in its type; of those behind the first (or without exponent:
// behind the point) at least `least` and no more than `cut`. x >= 0. source  Steele and White 1990
ATTN__FUNC void attn__shortest(attn__digits *r, int type, double x, int exponent, int least, int cut) {
    const int p = type == ATTN_F64 ? 53 : type == ATTN_F32 ? 24 : type == ATTN_F16 ? 11 : 8;   // bits, lowest exponent
    const int lowest = type == ATTN_F64 ? -1074 : type == ATTN_F32 ? -149 : type == ATTN_F16 ? -24 : -133;
    const uint64_t bits = attn__bits_d(x), one = (uint64_t)1 << 52;
    const int e = bits >= one ? (int)(bits >> 52) - 1075 : -1074, ulp = e + 53 - p > lowest ? e + 53 - p : lowest;
    const uint64_t m = ((bits & (one - 1)) | (bits >= one ? one : 0)) >> (x != 0 ? ulp - e : 0);
    char full[ATTN__PLACES], low[ATTN__PLACES], high[ATTN__PLACES], up[ATTN__PLACES];
    int i = 0, down_fits, up_fits, nearer_up, rest = 0;
    memset(r->d, '0', sizeof r->d);
    r->point = x != 0 && ulp < 2 ? ATTN__PLACES + ulp - 2 : ATTN__PLACES;
    r->first = r->point - 1; r->last = r->point;
    if (x == 0) return;
    attn__expand(full, 4 * m, ulp - 2); attn__expand(high, 4 * m + 2, ulp - 2);
    attn__expand(low, 4 * m - (m == (uint64_t)1 << (p - 1) && ulp > lowest ? 1 : 2), ulp - 2);
    while (full[i] == '0') i++;
    cut += exponent ? i : r->point - 1;
    if (exponent) least += i;
    for (; ; i++) {
        int k = i;
        r->d[i] = full[i];
        memcpy(up, r->d, sizeof up);
        while (up[k] == '9') up[k--] = '0';
        up[k]++;
        down_fits = memcmp(r->d, low, sizeof low) >= (int)(m & 1);
        up_fits = memcmp(up, high, sizeof high) <= -(int)(m & 1);
        if (((down_fits || up_fits) && i >= least) || i >= cut || i == ATTN__PLACES - 1) break;
    }
    for (int k = i + 2; k < ATTN__PLACES; k++) rest |= full[k] != '0';
    nearer_up = i + 1 < ATTN__PLACES && (full[i + 1] > '5' || (full[i + 1] == '5' && (rest || full[i] & 1)));
    if (down_fits == up_fits ? nearer_up : up_fits) memcpy(r->d, up, sizeof up);
    for (r->first = 0; r->first < ATTN__PLACES - 1 && r->d[r->first] == '0'; ) r->first++;
    for (r->last = ATTN__PLACES; r->last > r->first + 1 && r->d[r->last - 1] == '0'; ) r->last--;
}
// One number in text; digits -1: as many as it needs. Returns the characters before the point.
ATTN__FUNC int attn__number(char text[48], int type, double x, const attn__style *st, int digits) {
    attn__digits r;
    attn__text t;
    int at, left;
    t.at = text; t.left = 48; *text = 0;
    if (type == ATTN_BOOL) { attn__say(&t, x != 0 ? "True" : "False"); return attn__find(text, 0); }
    if (!attn__is_float(type) && type != ATTN_F16 && type != ATTN_BF16) {
        attn__say_int(&t, (int64_t)x);
        return attn__find(text, 0);
    }
    if (!attn__finite(x)) {
        attn__say(&t, x > 0 ? "inf" : x < 0 ? "-inf" : "nan");
        return attn__find(text, 0);
    }
    if (attn__bits_d(x) >> 63) { attn__say(&t, "-"); x = -x; }
    attn__shortest(&r, type, x, st->exponent, digits, st->all ? ATTN__PLACES : 4);
    at = st->exponent || r.first < r.point ? r.first : r.point - 1;
    left = st->exponent ? at + 1 : r.point;                // places before the point end here
    if (digits < 0) digits = r.last > left ? r.last - left : st->all && !st->exponent;
    for (int end = left + digits; at < end || at < left; at++) {
        const char d[2] = { at < r.last ? r.d[at] : '0', 0 };
        if (at == left) attn__say(&t, ".");
        attn__say(&t, d);
    }
    if (digits == 0 && !st->all) attn__say(&t, ".");
    left = attn__find(text, '.');
    if (st->exponent) {
        const int e = r.point - 1 - r.first, size = e < 0 ? -e : e;
        attn__say(&t, e < 0 ? "e-" : "e+");
        if (size < 100 && st->tail > 4) attn__say(&t, "0");
        if (size < 10) attn__say(&t, "0");
        attn__say_int(&t, size);
    }
    return left;
}
// Is this index left out of a summary?
ATTN__FUNC int attn__left_out(const attn_tensor *t, ptrdiff_t index) {
    for (int i = t->rank - 1; i >= 0; i--) {
        const ptrdiff_t n = t->shape[i], x = index % n;
        if (n > 2 * ATTN__EDGE && x >= ATTN__EDGE && x < n - ATTN__EDGE) return 1;
        index /= n;
    }
    return 0;
}
ATTN__FUNC attn__style attn__style_of(const attn_tensor *t) {
    attn__style s;
    const double high = t->type == ATTN_F64 ? (t->rank ? 1e8 : 1e16) : t->type == ATTN_F16 ? 1e3 : 1e6;
    const double low = t->rank && t->type == ATTN_F32 ? (double)1e-4f : 1e-4;   // beyond them with e+00
    double most = 0, least = 0;
    int right = 0, special = 0;
    const ptrdiff_t n = attn_count(t);
    memset(&s, 0, sizeof s);
    s.cut = n > 1000; s.all = t->rank == 0;
    for (int pass = 0; pass < 2; pass++) {
        for (ptrdiff_t i = 0; i < n; i++) {
            char text[48];
            double x, a;
            int left, all, tail;
            if (s.cut && attn__left_out(t, i)) continue;
            x = attn__get(t->type, attn__element(t, i));
            a = x < 0 ? -x : x;
            if (!pass) {
                if (!attn__finite(x) || a == 0) continue;
                if (a > most) most = a;
                if (least == 0 || a < least) least = a;
                continue;
            }
            left = attn__number(text, t->type, x, &s, -1); all = attn__find(text, 0);
            if (!attn__finite(x)) { if (all > special) special = all; continue; }
            tail = s.exponent ? all - attn__find(text, 'e') : 0;
            if (left > s.left) s.left = left;
            if (tail > s.tail) s.tail = tail;
            if (all - left - tail > right) right = all - left - tail;
        }
        if (!pass) s.exponent = most >= high || (least > 0 && (least < low || (!s.all && most / least > 1000)));
    }
    s.digits = right > 0 ? right - 1 : 0;
    s.width = s.left + right + s.tail;
    if (special > s.width) s.width = special;
    return s;
}
// Numbers stand with their points in one column; what has none stands to the right.
ATTN__FUNC void attn__print_item(attn__out *o, const attn_tensor *t, ptrdiff_t index, const attn__style *s) {
    char text[48];
    const double x = attn__get(t->type, attn__element(t, index));
    const int left = attn__number(text, t->type, x, s, s->exponent ? s->digits : -1), all = attn__find(text, 0);
    const int point = attn__finite(x) && text[left] == '.';
    int pad = point ? s->width - (s->digits + 1 + s->tail) - left : s->width - all, after = s->width - pad - all;
    if (pad > 0) o->blanks += pad;
    attn__emit(o, text);
    if (after > 0) o->blanks = after;
}
ATTN__FUNC void attn__break_line(attn__out *o, int lines, int indent) {
    for (; lines > 0; lines--) attn__emit(o, "\n");
    for (; indent > 0; indent--) attn__emit(o, " ");
}
ATTN__FUNC void attn__print_axis(attn__out *o, const attn_tensor *t, int axis, ptrdiff_t base, const attn__style *s) {
    const ptrdiff_t n = t->shape[axis];
    attn__emit(o, "[");
    for (ptrdiff_t i = 0; i < n; i++) {
        const int last = axis == t->rank - 1, gap = s->cut && n > 2 * ATTN__EDGE && i == ATTN__EDGE;
        if (gap) {
            if (last) attn__emit(o, " ...");
            else { attn__break_line(o, t->rank - 1 - axis, axis + 1); attn__emit(o, "..."); }
            i = n - ATTN__EDGE;
        }
        if (last) {
            if (i && o->column + o->blanks + 1 + s->width >= ATTN__LINE - axis) attn__break_line(o, 1, axis + 1);
            else if (i) attn__emit(o, " ");
            attn__print_item(o, t, base + i, s);
        } else {
            if (i) attn__break_line(o, t->rank - 1 - axis, axis + 1);
            attn__print_axis(o, t, axis + 1, (base + i) * t->shape[axis + 1], s);
        }
    }
    attn__emit(o, "]");
}
#if !defined(ATTN_NO_STDIO) && !defined(ATTN_NO_STDLIB)
ATTN_DEF int attn_to_file(void *file, const char *text, size_t bytes) {
    return fwrite(text, 1, bytes, (FILE *)file) != bytes;
}
#endif
ATTN_DEF attn_status attn_format(const attn_tensor *t, attn_write write, void *user) {
    attn__out o;
    attn__style s;
    if (!t || !write) return ATTN_ERR_NULL;
    if (t->flags & ATTN_TENSOR_EMPTY) return ATTN_ERR_STATE;
    o.write = write; o.user = user; o.column = o.failed = o.blanks = 0;
    if (attn_count(t) == 0 && t->rank) attn__emit(&o, "[]");
    else {
        s = attn__style_of(t);
        if (t->rank == 0) attn__print_item(&o, t, 0, &s); else attn__print_axis(&o, t, 0, 0, &s);
    }
    attn__emit(&o, "\n");
    return o.failed ? ATTN_ERR_IO : ATTN_OK;
}

#endif // ATTN_ONLY_KERNELS

// -------------------------------------------------------------------------------------------------------------------
// >>attention
//
// attn_fwd: checks, defaults filled in, tiles planned and split, kernels. A tile's lanes are rows of one key head: row
// i*G + g is query i of the g-th of its G query heads, so a group shares every load of k and v.

// ---- checks: one function a group of fields, in the order of the desc

ATTN__FUNC attn_status attn__wrong_at(attn__text *t, attn_status s, const char *field, ptrdiff_t i, int64_t value,
                                      const char *why) {
    attn__say(t, field); attn__say(t, "["); attn__say_int(t, (int64_t)i);
    return attn__wrong(t, s, "]", value, why);
}
// A number of at most six decimals
ATTN__FUNC attn_status attn__wrong_number(attn__text *t, const char *field, double x, const char *why) {
    int64_t whole;
    attn__say(t, field);
    attn__say(t, x < 0 ? " = -" : " = ");               // none of NaN, whose sign is of the compiler
    x = attn__from_bits_d(attn__bits_d(x) & ~ATTN__D_SIGN);
    if (!attn__finite(x)) attn__say(t, attn__bits_d(x) > ATTN__D_INF ? "NaN" : "Inf");
    else if (x >= 1e9) attn__say(t, "over 1e9");
    else {
        x += 5e-7; whole = (int64_t)x; x -= (double)whole;
        attn__say_int(t, whole);
        if (x > 1e-6) attn__say(t, ".");
        for (double rest = 1e-6; x > rest; rest *= 10, x -= (double)whole) {
            whole = (int64_t)(x *= 10);
            attn__say_int(t, whole);
        }
    }
    attn__say(t, ": "); attn__say(t, why);
    return ATTN_ERR_RANGE;
}
// All-zero strides are contiguous [n0,n1,n2,n3]; with mask, [N,M] shared by the first two axes.
ATTN__FUNC attn_status attn__fill_strides(ptrdiff_t s[4], ptrdiff_t n1, ptrdiff_t n2, ptrdiff_t n3, int mask,
                                          const char *field,
                                          attn__text *why) {
    const ptrdiff_t all = s[0] | s[1] | s[2] | s[3];
    for (int i = 0; all < 0; i++)
        if (s[i] < 0) return attn__wrong_at(why, ATTN_ERR_RANGE, field, i, s[i], "negative stride");
    if (all) return ATTN_OK;
    s[3] = 1; s[2] = n3; s[1] = mask ? 0 : attn__mul_size(n2, n3); s[0] = mask ? 0 : attn__mul_size(n1, s[1]);
    if (s[1] < 0 || s[0] < 0) return attn__wrong(why, ATTN_ERR_RANGE, field, 0, "the array does not fit in memory");
    return ATTN_OK;
}
#define ATTN__REFUSE(wrong, status, name, value, words) \
    if (wrong) return attn__wrong(why, status, name, value, words)
#define ATTN__NEED(needed, field) if ((needed) && !d->field) return attn__missing(why, #field)

// Fields that are judged alone: whole numbers low..high ('i' int32_t, 'z' ptrdiff_t), finite floats ('f'; 'p' not below
// 0; 'u' in 0..1).
typedef struct attn__range { const char *name; int32_t high; uint16_t at; signed char low; char kind; } attn__range;
#define ATTN__RANGE(field, kind, low, high) { #field, high, offsetof(attn_desc, field), low, kind }
#define ATTN__ENUM(field, count) ATTN__RANGE(field, 'i', 0, (count) - 1)
static const attn__range attn__ranges[] = {
    ATTN__ENUM(q_type, ATTN_TYPE_COUNT), ATTN__ENUM(k_type, ATTN_TYPE_COUNT), ATTN__ENUM(v_type, ATTN_TYPE_COUNT),
    ATTN__ENUM(o_type, ATTN_TYPE_COUNT), ATTN__ENUM(bias_type, ATTN_TYPE_COUNT),
    ATTN__ENUM(grad_type, ATTN_TYPE_COUNT), ATTN__ENUM(arith, ATTN_ARITH_COUNT),
    ATTN__ENUM(qk_norm, ATTN_QK_NORM_COUNT), ATTN__ENUM(align, ATTN_ALIGN_COUNT),
    ATTN__ENUM(causal, ATTN_CAUSAL_COUNT), ATTN__ENUM(rel_kind, ATTN_REL_COUNT), ATTN__ENUM(score, ATTN_SCORE_COUNT),
    ATTN__ENUM(norm, ATTN_NORM_COUNT), ATTN__ENUM(rope_kind, ATTN_ROPE_COUNT),
    ATTN__ENUM(weights_stage, ATTN_WEIGHTS_COUNT), ATTN__ENUM(isa, ATTN_ISA_COUNT),
    ATTN__ENUM(window, 2), ATTN__RANGE(window_left, 'i', -1, INT32_MAX), ATTN__RANGE(window_right, 'i', -1, INT32_MAX),
    ATTN__ENUM(alibi, 2), ATTN__ENUM(off_by_one, 2), ATTN__ENUM(rel_both_ways, 2),
    ATTN__ENUM(accumulate, 2), ATTN__RANGE(block_heads, 'i', 0, INT32_MAX),
    ATTN__RANGE(ring, 'i', 0, INT32_MAX), ATTN__RANGE(batch, 'z', 0, INT32_MAX),
    ATTN__RANGE(heads, 'z', 1, INT32_MAX), ATTN__RANGE(kv_heads, 'z', 0, INT32_MAX),
    ATTN__RANGE(queries, 'z', 0, INT32_MAX), ATTN__RANGE(keys, 'z', 0, INT32_MAX), ATTN__RANGE(dim, 'z', 1, 65536),
    ATTN__RANGE(vdim, 'z', 0, 65536), ATTN__RANGE(scale, 'f', 0, 0), ATTN__RANGE(norm_eps, 'p', 0, 0),
    ATTN__RANGE(softcap, 'p', 0, 0), ATTN__RANGE(masked_score, 'f', 0, 0), ATTN__RANGE(dropout, 'u', 0, 0),
    ATTN__RANGE(relu_div, 'p', 0, 0), ATTN__RANGE(sigmoid_bias, 'f', 0, 0)
};
ATTN__FUNC attn_status attn__check_ranges(const attn_desc *d, attn__text *why) {
    const attn__range *end = attn__ranges + sizeof attn__ranges / sizeof *attn__ranges;
    for (const attn__range *r = attn__ranges; r < end; r++) {
        const char *at = (const char *)d + r->at;
        int32_t word;
        memcpy(&word, at, sizeof word);
        if (word == 0 && r->kind != 'z') continue;      // as most are
        if (r->kind == 'i' || r->kind == 'z') {
            ptrdiff_t x = word;
            if (r->kind == 'z') memcpy(&x, at, sizeof x);
            if (x >= r->low && x <= r->high) continue;
            attn__wrong(why, ATTN_OK, r->name, x, "outside ");
            attn__say_int(why, r->low); attn__say(why, ".."); attn__say_int(why, r->high);
            return r->kind == 'z' && x < r->low ? ATTN_ERR_SHAPE : ATTN_ERR_RANGE;
        } else {
            float x;
            memcpy(&x, at, sizeof x);
            if (attn__finite((double)x) && (r->kind == 'f' || x >= 0) && (r->kind != 'u' || x <= 1)) continue;
            return attn__wrong_number(why, r->name, (double)x, r->kind == 'u' ? "outside 0..1" : r->kind == 'p'
                                      ? "negative, Inf or NaN" : "Inf or NaN");
        }
    }
    return ATTN_OK;
}
ATTN__FUNC attn_status attn__check_sizes(attn_desc *d, attn__text *why) {
    if (!d->batch) d->batch = 1;
    if (!d->kv_heads) d->kv_heads = d->heads;
    if (!d->vdim) d->vdim = d->dim;
    if (d->q_type != ATTN_F64) {
        d->masked_score = attn__normal(d->masked_score); d->norm_eps = attn__normal(d->norm_eps);
        d->softcap = attn__normal(d->softcap); d->relu_div = attn__normal(d->relu_div);
    }
    if (d->ring && (!d->keys || d->keys > ATTN__KEYS_MOST)) d->keys = ATTN__KEYS_MOST;
    ATTN__REFUSE(d->keys > ATTN__KEYS_MOST, ATTN_ERR_RANGE, "keys", d->keys, "more than 32-bit pointers step past");
    if (d->heads % d->kv_heads) {
        attn__wrong(why, ATTN_OK, "heads", d->heads, "not a multiple of kv_heads = ");
        attn__say_int(why, d->kv_heads);
        return ATTN_ERR_SHAPE;
    }
    if (attn__mul_size(attn__mul_size(d->batch, d->heads), attn__mul_size(d->queries, 8)) < 0)
        return attn__wrong(why, ATTN_ERR_RANGE, "batch", d->batch, "batch x heads x queries does not fit");
    return ATTN_OK;
}
// What is not there yet, and what has no meaning together.
ATTN__FUNC attn_status attn__check_offered(const attn_desc *d, attn__text *why) {
    const int softmax = d->norm == ATTN_NORM_SOFTMAX || d->norm == ATTN_NORM_TOP_K, raw = d->weights &&
        d->weights_stage;
    ATTN__REFUSE(d->lse && !softmax, ATTN_ERR_UNSUPPORTED, "lse", ATTN__UNSAID, "has no meaning with this norm");
    ATTN__REFUSE(d->sink && !softmax, ATTN_ERR_UNSUPPORTED, "sink", ATTN__UNSAID, "has no meaning with this norm");
    ATTN__REFUSE(d->off_by_one && !softmax, ATTN_ERR_UNSUPPORTED, "off_by_one", d->off_by_one,
                 "has no meaning with this norm");
    ATTN__REFUSE(d->custom && d->q_type == ATTN_F64, ATTN_ERR_UNSUPPORTED, "custom", ATTN__UNSAID, "f32 scores only");
    ATTN__REFUSE(d->ring && d->masked_score != 0, ATTN_ERR_UNSUPPORTED, "masked_score", ATTN__UNSAID,
                 "its keys are gone");
    ATTN__REFUSE(d->ring && raw && d->weights_stage < ATTN_WEIGHTS_BIASED, ATTN_ERR_UNSUPPORTED, "weights_stage",
                 d->weights_stage, "its keys are gone");
    return ATTN_OK;
}
// f64 arrays are computed in f64, all others in f32.
ATTN__FUNC const attn__table *attn__table_for(const attn_desc *d) {
    return attn__table_of(d->q_type == ATTN_F64 ? ATTN_F64 : ATTN_F32, d->isa);
}
// What multiplies this type as it is
ATTN__FUNC int attn__words_of(int type) {
    return type == ATTN_BF16 ? ATTN__BF16_WORDS : ATTN__IN_BLOCKS(type) ? ATTN__I8_WORDS : 0;
}
ATTN__FUNC attn_status attn__check_types(const attn_desc *d, attn__text *why) {
    const int32_t types[5] = { d->q_type, d->k_type, d->v_type, d->o_type, d->bias ? d->bias_type : d->q_type };
    static const char *const names[5] = { "q_type", "k_type", "v_type", "o_type", "bias_type" };
    for (int i = 0; i < 5; i++) {
        const int t = types[i], blocks = ATTN__IN_BLOCKS(t), stored = i == 1 || i == 2;
        if (t != ATTN_F32 && t != ATTN_F64 && t != ATTN_F16 && t != ATTN_BF16 && !(blocks && stored))
            return attn__wrong(why, ATTN_ERR_DTYPE, names[i], t, "not a type of this array");
        if ((t == ATTN_F64) != (d->q_type == ATTN_F64))
            return attn__wrong(why, ATTN_ERR_DTYPE, names[i], t, "f64 with another type (q_type)");
        if (blocks && (i == 1 ? d->dim : d->vdim) % 32)
            return attn__wrong(why, ATTN_ERR_SHAPE, i == 1 ? "dim" : "vdim", i == 1 ? d->dim : d->vdim,
                               "not a multiple of the block of 32");
    }
    if (!attn__table_for(d)) {
        attn__say(why, "f64: left out of this build");
        return ATTN_ERR_UNSUPPORTED;
    }
    if (d->arith && (attn__words_of(d->k_type) | (attn__words_of(d->v_type) & ATTN__BF16_WORDS)) &
                    ~attn__table_for(d)->words)
        return attn__wrong(why, ATTN_ERR_UNSUPPORTED, "arith", d->arith,
                           "this instruction set does not multiply the type of k or v");
    return ATTN_OK;
}
// Offset of each query's position by causal and align; causal decides, another align beside it is a contradiction.
ATTN__FUNC attn_status attn__check_position(attn_desc *d, attn__text *why) {
    static const int32_t align_of[ATTN_CAUSAL_COUNT] = { 0, ATTN_ALIGN_LOWER_RIGHT, ATTN_ALIGN_UPPER_LEFT,
                                                         ATTN_ALIGN_AT };
    if (d->causal) {
        if (d->align && d->align != align_of[d->causal])
            return attn__wrong(why, ATTN_ERR_RANGE, "align", d->align, "contradicts causal");
        d->align = align_of[d->causal];
    }
    if (d->align != ATTN_ALIGN_AT && d->query_offset)
        return attn__wrong(why, ATTN_ERR_RANGE, "query_offset", d->query_offset, "needs causal or align AT");
    if (d->align != ATTN_ALIGN_AT && d->query_offsets)
        return attn__wrong(why, ATTN_ERR_RANGE, "query_offsets", ATTN__UNSAID, "needs causal or align AT");
    if (!d->window && (d->window_left || d->window_right))
        return attn__wrong(why, ATTN_ERR_RANGE, d->window_left ? "window_left" : "window_right",
                           d->window_left ? d->window_left : d->window_right, "needs window = 1");
    return ATTN_OK;
}
ATTN__FUNC int attn__is_distance(const attn_desc *d) {
    return d->score == ATTN_SCORE_NEG_L2 || (d->score >= ATTN_SCORE_GAUSSIAN && d->score <= ATTN_SCORE_TRICUBE);
}
// Numbers and pointers that an axis needs; `values` as in attn__check.
ATTN__FUNC attn_status attn__check_axes(const attn_desc *d, int values, attn__text *why) {
    const int t5 = d->rel_kind == ATTN_REL_T5;
    const ptrdiff_t turned = d->rope_dim ? d->rope_dim : d->dim;
    if (d->scale < 0 && attn__is_distance(d))
        return attn__wrong_number(why, "scale", (double)d->scale, "negative for a distance");
    ATTN__REFUSE(d->norm == ATTN_NORM_TOP_K && d->top_k < 1, ATTN_ERR_RANGE, "top_k", d->top_k, "at least 1");
    ATTN__REFUSE(d->score == ATTN_SCORE_ADDITIVE && (d->score_width < 1 || d->score_width > 65536), ATTN_ERR_RANGE,
                 "score_width", d->score_width, "outside 1..65536");
    ATTN__REFUSE(d->rope_kind && (turned % 2 || turned < 2 || turned > d->dim), ATTN_ERR_SHAPE, "rope_dim", turned,
                 "odd, or outside 2..dim");
    ATTN__REFUSE(d->block_mask && (d->block_q < 1 || d->block_k < 1), ATTN_ERR_RANGE,
                 d->block_q < 1 ? "block_q" : "block_k", d->block_q < 1 ? d->block_q : d->block_k, "at least 1");
    ATTN__REFUSE(d->block_mask && d->block_heads != d->heads && d->block_heads > 1, ATTN_ERR_SHAPE, "block_heads",
                 d->block_heads, "neither 1 nor heads");
    ATTN__REFUSE(d->rel_kind == ATTN_REL_OFFSET && (d->rel_count < 1 || d->rel_count % 2 == 0), ATTN_ERR_RANGE,
                 "rel_count", d->rel_count, "odd and at least 1");
    ATTN__REFUSE(t5 && (d->rel_count < (d->rel_both_ways ? 4 : 2) || d->rel_count % (d->rel_both_ways ? 4 : 2)),
                 ATTN_ERR_RANGE, "rel_count", d->rel_count, "must hold near and far");
    ATTN__REFUSE(t5 && d->rel_max_distance <= d->rel_count / (d->rel_both_ways ? 4 : 2), ATTN_ERR_RANGE,
                 "rel_max_distance", d->rel_max_distance, "not beyond the exact buckets");
    ATTN__REFUSE(d->rel_kind == ATTN_REL_WINDOW_2D && (d->rel_height < 1 || d->rel_width < 1 ||
                                                          d->rel_height > 32768 || d->rel_width > 32768),
                 ATTN_ERR_RANGE, "rel_height", d->rel_height, "height or width outside 1..32768");
    ATTN__REFUSE(d->rel_kind == ATTN_REL_WINDOW_2D && ((int64_t)d->rel_height * d->rel_width < d->queries ||
                                                       (int64_t)d->rel_height * d->rel_width < d->keys),
                 ATTN_ERR_SHAPE, "rel_height", d->rel_height, "queries or keys beyond height x width");
    ATTN__REFUSE(d->ring && d->keys == ATTN__KEYS_MOST &&
                 (d->weights || d->bias || d->keep || d->drop || d->keep_weights || d->doc_k || d->block_mask ||
                  d->rope_k_pos),
                 ATTN_ERR_RANGE, "keys", d->keys, "no end, beside an array of a column a key");
    ATTN__REFUSE(d->block_table && d->page < 1, ATTN_ERR_RANGE, "page", d->page, "at least 1");
    ATTN__REFUSE(d->block_table && (d->page_count < 0 || d->pages_per_row < 0), ATTN_ERR_SHAPE,
                 d->page_count < 0 ? "page_count" : "pages_per_row",
                 d->page_count < 0 ? d->page_count : d->pages_per_row, "negative");
    ATTN__REFUSE(d->ring && d->block_table, ATTN_ERR_RANGE, "ring", d->ring, "beside block_table");
    ATTN__REFUSE(d->k_cache && d->cu_k, ATTN_ERR_RANGE, "cu_k", ATTN__UNSAID, "beside a cache");
    if (d->score == ATTN_SCORE_CUSTOM && !d->custom && values) return attn__missing(why, "custom");
    if (!values) return ATTN_OK;
    ATTN__NEED(d->score == ATTN_SCORE_BILINEAR, w_score); ATTN__NEED(d->score == ATTN_SCORE_ADDITIVE, w_q);
    ATTN__NEED(d->score == ATTN_SCORE_ADDITIVE, w_k); ATTN__NEED(d->score == ATTN_SCORE_ADDITIVE, w_v);
    ATTN__NEED(d->rel_kind != 0, rel_table); ATTN__NEED(d->rope_kind != 0, rope_cos);
    ATTN__NEED(d->rope_kind != 0, rope_sin); ATTN__NEED(d->doc_k != NULL, doc_q); ATTN__NEED(d->doc_q != NULL, doc_k);
    ATTN__NEED(d->cu_k != NULL, cu_q); ATTN__NEED(d->cu_q != NULL && !d->k_cache, cu_k);
    ATTN__NEED(d->k_cache != NULL, v_cache); ATTN__NEED(d->v_cache || d->ring || d->block_table, k_cache);
    ATTN__NEED(d->k_cache != NULL, key_lengths);
    return ATTN_OK;
}
// x[i] .. x[n-1]
ATTN__FUNC attn_status attn__check_each(const int32_t *x, ptrdiff_t i, ptrdiff_t n, int64_t low, int64_t high,
                                        const char *name, const char *why_not, attn__text *why) {
    for (; x && i < n; i++)
        if (x[i] < low || x[i] > high) return attn__wrong_at(why, ATTN_ERR_RANGE, name, i, x[i], why_not);
    return ATTN_OK;
}
ATTN__FUNC attn_status attn__check_packed(const int32_t *cu, ptrdiff_t n, ptrdiff_t most, const char *name,
                                          attn__text *why) {
    if (cu[0] < 0) return attn__wrong_at(why, ATTN_ERR_RANGE, name, 0, cu[0], "negative");
    for (ptrdiff_t b = 0; b < n; b++) {
        if (cu[b + 1] < cu[b]) return attn__wrong_at(why, ATTN_ERR_RANGE, name, b + 1, cu[b + 1], "falls");
        if (cu[b + 1] - cu[b] > most)
            return attn__wrong_at(why, ATTN_ERR_RANGE, name, b + 1, cu[b + 1],
                                  "longer than queries or keys");
    }
    return ATTN_OK;
}
ATTN__FUNC ptrdiff_t attn__keys_in_use(const attn_desc *d, ptrdiff_t b);
ATTN__FUNC ptrdiff_t attn__queries_in_use(const attn_desc *d, ptrdiff_t b);
ATTN__FUNC int64_t attn__offset(const attn_desc *d, ptrdiff_t b);
// Arrays of numbers: lengths, offsets, tables of pages, positions.
ATTN__FUNC attn_status attn__check_lengths(const attn_desc *d, attn__text *why) {
    const ptrdiff_t n = d->batch;
    ATTN__TRY(attn__check_each(d->key_lengths, 0, n, 0, d->keys, "key_lengths", "outside 0..keys", why));
    ATTN__TRY(attn__check_each(d->query_lengths, 0, n, 0, d->queries, "query_lengths", "outside 0..queries", why));
    ATTN__TRY(attn__check_each(d->row_lengths, 0, n * d->queries, 0, d->keys, "row_lengths", "outside 0..keys", why));
    ATTN__TRY(attn__check_each(d->prefix, 0, n, 0, INT32_MAX, "prefix", "negative", why));
    for (ptrdiff_t h = 0; d->logit_scale && h < d->heads; h++) {
        const double f = (double)d->logit_scale[h];
        if (!attn__finite(f) || (f < 0 && attn__is_distance(d)))
            return attn__wrong_number(why, "logit_scale", f, "not finite, or negative for a distance");
    }
    for (ptrdiff_t h = 0; d->kernel_width && h < d->heads; h++) {
        const double w = (double)d->kernel_width[h];
        if (!attn__finite(w) || w <= 0) return attn__wrong_number(why, "kernel_width", w, "not above 0");
    }
    if (d->cu_q) ATTN__TRY(attn__check_packed(d->cu_q, n, d->queries, "cu_q", why));
    if (d->cu_k) ATTN__TRY(attn__check_packed(d->cu_k, n, d->keys, "cu_k", why));
    for (ptrdiff_t i = 0; d->tree_parent && i < d->queries; i++)
        if (d->tree_parent[i] < -1 || d->tree_parent[i] >= i)
            return attn__wrong_at(why, ATTN_ERR_RANGE, "tree_parent", i, d->tree_parent[i],
                                  "neither -1 nor an earlier node");
    for (ptrdiff_t b = 0; d->ring && d->causal == ATTN_CAUSAL_LOWER_RIGHT && b < n; b++)
        if (attn__queries_in_use(d, b) > d->ring && d->key_lengths[b] > d->ring)
            return attn__wrong(why, ATTN_ERR_RANGE, "queries", d->queries,
                               "more than the ring has slots");
    for (ptrdiff_t b = 0; d->block_table && b < n; b++) {
        const ptrdiff_t last = d->key_lengths[b] ? (d->key_lengths[b] - 1) / d->page + 1 : 0;
        if (last > d->pages_per_row)
            return attn__wrong_at(why, ATTN_ERR_RANGE, "key_lengths", b, d->key_lengths[b],
                                  "beyond the pages");
        for (ptrdiff_t i = 0; i < last; i++) {
            const int32_t page = d->block_table[b * d->pages_per_row + i];
            if (page < 0 || page >= d->page_count)
                return attn__wrong_at(why, ATTN_ERR_RANGE, "block_table", b * d->pages_per_row + i, page,
                                      "outside 0..page_count-1");
        }
    }
    if (d->rope_kind) {
        const int64_t last = (int64_t)d->rope_positions - 1;
        ATTN__TRY(attn__check_each(d->rope_q_pos, 0, n * d->queries, 0, last, "rope_q_pos", "outside the table", why));
        if (!d->k_cache)
            ATTN__TRY(attn__check_each(d->rope_k_pos, 0, n * d->keys, 0, last, "rope_k_pos", "outside the table", why));
        if (!d->rope_k_pos && !d->k_cache && d->keys - 1 > last)
            return attn__wrong(why, ATTN_ERR_RANGE, "rope_positions", last + 1, "fewer than keys");
        for (ptrdiff_t b = 0; !d->rope_q_pos && b < n; b++) {
            const int64_t first = attn__offset(d, b), n_q = attn__queries_in_use(d, b);
            if (n_q && (first < 0 || first + n_q - 1 > last))
                return attn__wrong(why, ATTN_ERR_RANGE, "rope_positions", last + 1, "outside the table");
        }
    }
    return ATTN_OK;
}

// ---- arrays: extents, strides, outputs that lie over nothing

// Rows of k from one (entry, head) to the next, in its cache or not
ATTN__FUNC ptrdiff_t attn__slots(const attn_desc *d) { return d->block_table ? d->page : d->ring ? d->ring : d->keys; }
// Extents of q, k, v, o as the strides walk them: packed sequences are one entry, a cache has its own.
typedef struct attn__extents { ptrdiff_t q[4], k[4], v[4], o[4], mask[4], lse[4]; } attn__extents;
ATTN__FUNC attn__extents attn__extents_of(const attn_desc *d, int values) {
    const ptrdiff_t packed_q = d->cu_q ? values ? d->cu_q[d->batch] : d->queries : 0, packed_k = d->cu_k ? values
        ? d->cu_k[d->batch] : d->keys : 0;
    const ptrdiff_t cache = d->block_table ? d->page_count : d->batch, slots = attn__slots(d);
    const attn__extents x = {
        { d->cu_q ? 1 : d->batch, d->heads, d->cu_q ? packed_q : d->queries, d->dim },
        { d->cu_k ? 1 : cache, d->kv_heads, d->cu_k ? packed_k : slots, d->dim },
        { d->cu_k ? 1 : cache, d->kv_heads, d->cu_k ? packed_k : slots, d->vdim },
        { d->cu_q ? 1 : d->batch, d->heads, d->cu_q ? packed_q : d->queries, d->vdim },
        { d->batch, d->heads, d->queries, d->keys },
            { 1, d->cu_q ? 1 : d->batch, d->heads, d->cu_q ? packed_q : d->queries } };
    return x;
}
// An array of the desc: what the overlap test asks of it
#define ATTN__OUTPUTS 4                                  // come first: o, lse, weights, workspace
typedef struct attn__array { const char *name; const void *at; const ptrdiff_t *n, *stride; int type; } attn__array;
ATTN__FUNC uintptr_t attn__array_end(const attn__array *a) {
    ptrdiff_t last = 0;
    for (int i = 0; i < 4; i++) {
        if (a->n[i] == 0) return (uintptr_t)a->at;
        last = a->stride ? last + (a->n[i] - 1) * a->stride[i] : last * a->n[i] + a->n[i] - 1;
    }
    return (uintptr_t)a->at + (uintptr_t)attn__bytes(a->type, last) + (uintptr_t)attn__types[a->type].bytes;
}
ATTN__FUNC attn__set attn__array_set(const attn__array *a) {
    const int per = attn__types[a->type].elements;
    ptrdiff_t blocks[4], step[4];
    if (per == 1) return attn__set_of(a->at, a->n, a->stride, attn__types[a->type].bytes);
    for (int i = 0; i < 4; i++) {
        blocks[i] = a->n[i] / (i < 3 ? 1 : per);
        if (a->stride) step[i] = a->stride[i] / (i < 3 ? per : 1);
    }
    return attn__set_of(a->at, blocks, a->stride ? step : NULL, attn__types[a->type].bytes);
}
// Outputs may lie over nothing: nearly always told by their ends, else by the sets of their elements.
ATTN__FUNC attn_status attn__check_apart(const attn__array *x, const attn__array *y, attn__text *why) {
    attn__set a, b;
    if (!x->at || !y->at || attn__array_end(x) <= (uintptr_t)y->at || attn__array_end(y) <= (uintptr_t)x->at)
        return ATTN_OK;
    a = attn__array_set(x); b = attn__array_set(y);
    if (!attn__meet(&a, &b)) return ATTN_OK;
    attn__say(why, x->name); attn__say(why, " lies over "); attn__say(why, y->name);
    return ATTN_ERR_OVERLAP;
}
ATTN__FUNC attn_status attn__check_extent(const ptrdiff_t n[4], const ptrdiff_t s[4], int type, const char *name,
                                          attn__text *why) {
    ptrdiff_t x = 0;
#if !ATTN__SIZE                                         // nearly every array: no sum or product can overflow
    if (attn__types[type].elements == 1 && !((n[0] | n[1] | n[2] | n[3]) >> 20) &&
        !((s[0] | s[1] | s[2] | s[3]) >> (8 * sizeof x - 26))) return ATTN_OK;
#endif
    for (int i = 0; i < 4; i++) x = attn__add_size(x, attn__mul_size(n[i] ? n[i] - 1 : 0, s[i]));
    for (int i = 0; attn__mul_size(attn__add_size(x, 1), attn__types[type].bytes) < 0; i++)
        if (i == 3 || attn__mul_size(attn__mul_size(n[i], s[i]), attn__types[type].bytes) < 0)
            return attn__wrong_at(why, ATTN_ERR_RANGE, name, i, s[i], "the array does not fit in memory");
    for (int i = 0; i < 4 && attn__types[type].elements > 1; i++)
        if (i < 3 ? s[i] % attn__types[type].elements : s[i] != 1)
            return attn__wrong_at(why, ATTN_ERR_RANGE, name, i, s[i], i < 3 ? "not whole blocks of 32"
                                  : "blocks lie along the last axis");
    return ATTN_OK;
}
// What is written must not lie over itself.
ATTN__FUNC attn_status attn__check_nested(const attn__array *a, const char *stride, attn__text *why) {
    const attn__set set = attn__array_set(a);
    if (!attn__meets_itself(&set, a->n, a->stride)) return ATTN_OK;
    return attn__wrong(why, ATTN_ERR_OVERLAP, stride, ATTN__UNSAID, "elements lie over each other");
}
// The desc's smaller inputs, one run of a x b elements each
enum { ATTN__N_1, ATTN__N_B, ATTN__N_B1, ATTN__N_H, ATTN__N_N, ATTN__N_M, ATTN__N_D, ATTN__N_W, ATTN__N_REL,
       ATTN__N_ROPE, ATTN__N_TURNS, ATTN__N_PAGES, ATTN__N_BLOCKS, ATTN__N_COUNT };
typedef struct attn__input { const char *name; uint16_t at; uint8_t a, b, type; } attn__input;
#define ATTN__INPUTS(X) \
    X(logit_scale, 1, H, F32) X(q_norm, 1, D, F32) X(k_norm, 1, D, F32) X(query_offsets, 1, B, I32) \
    X(key_lengths, 1, B, I32) X(query_lengths, 1, B, I32) X(row_lengths, B, N, I32) X(block_mask, 1, BLOCKS, U8) \
    X(doc_q, B, N, I32) X(doc_k, B, M, I32) X(prefix, 1, B, I32) X(tree_parent, 1, N, I32) \
    X(alibi_slopes, 1, H, F32) X(rel_table, REL, H, F32) X(w_score, D, D, F32) X(w_q, W, D, F32) X(w_k, W, D, F32) \
    X(w_v, 1, W, F32) X(kernel_width, 1, H, F32) X(sink, 1, H, F32) X(rope_cos, ROPE, TURNS, F32) \
    X(rope_sin, ROPE, TURNS, F32) X(rope_q_pos, B, N, I32) X(rope_k_pos, B, M, I32) X(cu_q, 1, B1, I32) \
    X(cu_k, 1, B1, I32) X(block_table, B, PAGES, I32)
#define ATTN__INPUT(field, a, b, type) { #field, offsetof(attn_desc, field), ATTN__N_##a, ATTN__N_##b, ATTN_##type },
#define ATTN__GIVEN(field, a, b, type) | (uintptr_t)d->field
static const attn__input attn__inputs[] = { ATTN__INPUTS(ATTN__INPUT) };
ATTN__FUNC attn_status attn__check_inputs(const attn_desc *d, const attn__array *out, const uintptr_t *end,
                                          attn__text *why) {
    ptrdiff_t n[ATTN__N_COUNT];
#if !ATTN__SIZE
    if (!(0 ATTN__INPUTS(ATTN__GIVEN))) return ATTN_OK; // as in nearly every call
#endif
    n[ATTN__N_1] = 1; n[ATTN__N_B] = d->batch; n[ATTN__N_B1] = d->batch + 1; n[ATTN__N_H] = d->heads;
    n[ATTN__N_N] = d->queries; n[ATTN__N_M] = d->keys; n[ATTN__N_D] = d->dim; n[ATTN__N_W] = d->score_width;
    n[ATTN__N_REL] = d->rel_kind == ATTN_REL_WINDOW_2D ? attn__mul_size(2 * (ptrdiff_t)d->rel_height - 1,
        2 * (ptrdiff_t)d->rel_width - 1) : d->rel_count;
    n[ATTN__N_ROPE] = d->rope_positions; n[ATTN__N_TURNS] = (d->rope_dim ? d->rope_dim : d->dim) / 2;
    n[ATTN__N_PAGES] = d->pages_per_row;
    n[ATTN__N_BLOCKS] = d->block_mask ? attn__mul_size(d->block_heads * ((d->queries - 1) / d->block_q + 1),
        (d->keys + d->block_k - 1) / d->block_k) : 0;
    for (size_t i = 0; i < sizeof attn__inputs / sizeof *attn__inputs; i++) {
        const attn__input *x = &attn__inputs[i];
        attn__array a;
        ptrdiff_t shape[4];
        memcpy(&a.at, (const char *)d + x->at, sizeof a.at);
        if (!a.at) continue;
        shape[0] = shape[1] = 1; shape[2] = n[x->a]; shape[3] = n[x->b];
        a.name = x->name; a.n = shape; a.stride = NULL; a.type = x->type;
        for (int j = 0; j < ATTN__OUTPUTS; j++)
            if (end[j] > (uintptr_t)a.at) ATTN__TRY(attn__check_apart(&out[j], &a, why));
    }
    return ATTN_OK;
}
ATTN__FUNC attn_status attn__check_arrays(const attn_desc *d, int values, attn__text *why) {
    const int e = d->q_type == ATTN_F64 ? 8 : 4;
    const attn__extents x = attn__extents_of(d, values);
    ATTN__TRY(attn__check_extent(x.q, d->q_stride, d->q_type, "q_stride", why));
    ATTN__TRY(attn__check_extent(x.k, d->k_stride, d->k_type, "k_stride", why));
    ATTN__TRY(attn__check_extent(x.v, d->v_stride, d->v_type, "v_stride", why));
    ATTN__TRY(attn__check_extent(x.o, d->o_stride, d->o_type, "o_stride", why));
    if (d->bias) ATTN__TRY(attn__check_extent(x.mask, d->bias_stride, d->bias_type, "bias_stride", why));
    if (d->keep) ATTN__TRY(attn__check_extent(x.mask, d->keep_stride, ATTN_U8, "keep_stride", why));
    if (d->drop) ATTN__TRY(attn__check_extent(x.mask, d->drop_stride, ATTN_U8, "drop_stride", why));
    if (d->weights && attn__mul_size(attn__mul_size(d->batch * d->heads * d->queries, d->keys), e) < 0)
        return attn__wrong(why, ATTN_ERR_RANGE, "weights", ATTN__UNSAID, "the array does not fit in memory");
    if (d->k && d->k_cache) return attn__wrong(why, ATTN_ERR_RANGE, "k", ATTN__UNSAID, "beside k_cache");
    if (d->v && d->v_cache) return attn__wrong(why, ATTN_ERR_RANGE, "v", ATTN__UNSAID, "beside v_cache");
    if (d->queries == 0 || !values) return ATTN_OK;
    if (!d->q) return attn__missing(why, "q");
    if (!d->o) return attn__missing(why, "o");
    if (d->keys > 0 && !d->k && !d->k_cache) return attn__missing(why, "k");
    if (d->keys > 0 && !d->v && !d->v_cache) return attn__missing(why, "v");
    {
        const int f = d->q_type == ATTN_F64 ? ATTN_F64 : ATTN_F32;
        const ptrdiff_t space[4] = { 1, 1, 1, (ptrdiff_t)d->workspace_bytes };
        const attn__array a[11] = { { "o", d->o, x.o, d->o_stride, d->o_type }, { "lse", d->lse, x.lse, NULL, f },
            { "weights", d->weights, x.mask, NULL, f }, { "workspace", d->workspace, space, NULL, ATTN_U8 },
            { "q", d->q, x.q, d->q_stride, d->q_type },
            { "k", d->k_cache ? d->k_cache : d->k, x.k, d->k_stride, d->k_type },
            { "v", d->v_cache ? d->v_cache : d->v, x.v, d->v_stride, d->v_type },
                { "bias", d->bias, x.mask, d->bias_stride, d->bias_type },
            { "keep", d->keep, x.mask, d->keep_stride, ATTN_U8 }, { "drop", d->drop, x.mask, d->drop_stride, ATTN_U8 },
            { "keep_weights", d->keep_weights, x.mask, NULL, ATTN_U8 } };
        const int same = d->o == d->q && d->vdim == d->dim && d->o_type == d->q_type &&
            !memcmp(d->o_stride, d->q_stride, sizeof d->o_stride);
        uintptr_t end[11];
        ATTN__TRY(attn__check_nested(&a[0], "o_stride", why));
        for (int i = 0; i < 11; i++) end[i] = a[i].at ? attn__array_end(&a[i]) : 0;
        for (int i = 0; i < ATTN__OUTPUTS; i++) for (int j = i + 1; j < 11 && a[i].at; j++)
            if (end[j] > (uintptr_t)a[i].at && end[i] > (uintptr_t)a[j].at && !(i == 0 && j == 4 && same))
                ATTN__TRY(attn__check_apart(&a[i], &a[j], why));
        return attn__check_inputs(d, a, end, why);
    }
}
// [T,H,D] where sequences are packed and no stride is given
ATTN__FUNC void attn__pack_strides(ptrdiff_t s[4], const int32_t *cu, ptrdiff_t heads, ptrdiff_t cols) {
    if (cu && !s[0] && !s[1] && !s[2] && !s[3]) { s[1] = cols; s[2] = heads * cols; s[3] = 1; }
    if (cu) s[0] = 0;
}
// The whole check; d becomes the desc with every default filled in. Without `values` only sizes are looked at: pointers
// may still be missing.
ATTN__FUNC attn_status attn__check(const attn_desc *user, attn_desc *d, int values, attn__text *why) {
    ATTN__TRY(attn__take_desc(d, sizeof *d, user, why));
    ATTN__TRY(attn__check_ranges(d, why));
    ATTN__TRY(attn__check_sizes(d, why));
    ATTN__TRY(attn__check_offered(d, why));
    ATTN__TRY(attn__check_types(d, why));
    ATTN__TRY(attn__check_position(d, why));
    ATTN__TRY(attn__check_axes(d, values, why));
    if (!d->heads || !d->block_heads) d->block_heads = 1;
    attn__pack_strides(d->q_stride, d->cu_q, d->heads, d->dim);
    attn__pack_strides(d->o_stride, d->cu_q, d->heads, d->vdim);
    attn__pack_strides(d->k_stride, d->cu_k, d->kv_heads, d->dim);
    attn__pack_strides(d->v_stride, d->cu_k, d->kv_heads, d->vdim);
    ATTN__TRY(attn__fill_strides(d->q_stride, d->heads, d->queries, d->dim, 0, "q_stride", why));
    ATTN__TRY(attn__fill_strides(d->k_stride, d->kv_heads, attn__slots(d), d->dim, 0, "k_stride", why));
    ATTN__TRY(attn__fill_strides(d->v_stride, d->kv_heads, attn__slots(d), d->vdim, 0, "v_stride", why));
    ATTN__TRY(attn__fill_strides(d->o_stride, d->heads, d->queries, d->vdim, 0, "o_stride", why));
    ATTN__TRY(attn__fill_strides(d->keep_stride, 0, 0, d->keys, 1, "keep_stride", why));
    ATTN__TRY(attn__fill_strides(d->drop_stride, 0, 0, d->keys, 1, "drop_stride", why));
    ATTN__TRY(attn__fill_strides(d->bias_stride, 0, 0, d->keys, 1, "bias_stride", why));
    if (values) ATTN__TRY(attn__check_lengths(d, why));
    return attn__check_arrays(d, values, why);
}

ATTN__LIGHT_OFF
// ---- plan and run

typedef struct attn__plan {
    attn_desc d;
    const attn__table *table;
    ptrdiff_t group, rows, units;     // heads side by side in lanes, rows of such a unit, units of an entry
    ptrdiff_t tiles, total, per;      // tiles of a unit, in all, of a task
    int bytes, near_heads;            // near_heads: small and contiguous, the next head is touched early
    int across;                       // heads share a mask or bias, whose rows serve all of them while they are near
    int run;                          // tiles that share a key block made ready; bytes of all and of each
    size_t shared, own;
    char *space;
    double scale;
    // tiles fewer than threads share: a tile's spans are `parts` tasks, their results in `kept` until all are there
    ptrdiff_t parts;
    size_t keeps, ask;                // bytes of a tile's; what a workspace has for all, growing with every extent
    char *kept;
    int fold;
} attn__plan;

// The workspace of one worker for any pass of this build
ATTN__FUNC void attn__sizes(attn__plan *p) {
    attn__space w;
    int tile = 0, block = 0;
    for (int i = 0; i <= ATTN_ISA_COUNT; i++) {
        const attn__table *t = i < ATTN_ISA_COUNT ? attn__tables[i] : attn__table_of(ATTN_F64, 0);
        if (t && t->tq * t->bytes > tile) tile = t->tq * t->bytes;
        if (t && t->kt * t->bytes > block) block = t->kt * t->bytes;
    }
    attn__layout(&w, NULL, NULL, &p->d, 4, tile / 4, block / 4);
    p->shared = w.shared; p->own = w.own;
}
// Of `run` tiles of a worker: their arguments, what they share, their own
ATTN__FUNC size_t attn__work(const attn__plan *p) {
    return (((size_t)p->run * sizeof(attn__tile_args) + 63) & ~(size_t)63) + p->shared + (size_t)p->run * p->own;
}
// Of batch entry b
ATTN__FUNC ptrdiff_t attn__keys_in_use(const attn_desc *d, ptrdiff_t b) {
    const ptrdiff_t n = d->cu_k ? d->cu_k[b + 1] - d->cu_k[b] : d->keys;
    return d->key_lengths && d->key_lengths[b] < n ? d->key_lengths[b] : n;
}
ATTN__FUNC ptrdiff_t attn__queries_in_use(const attn_desc *d, ptrdiff_t b) {
    const ptrdiff_t n = d->cu_q ? d->cu_q[b + 1] - d->cu_q[b] : d->queries;
    return d->query_lengths && d->query_lengths[b] < n ? d->query_lengths[b] : n;
}
// Position of query 0
ATTN__FUNC int64_t attn__offset(const attn_desc *d, ptrdiff_t b) {
    if (d->align == ATTN_ALIGN_LOWER_RIGHT) return (int64_t)attn__keys_in_use(d, b) - attn__queries_in_use(d, b);
    if (d->align == ATTN_ALIGN_AT) return d->query_offsets ? d->query_offsets[b] : d->query_offset;
    return 0;
}
// Keys lo..hi-1 that query i of entry b may see
ATTN__FUNC void attn__limits(const attn_desc *d, ptrdiff_t b, ptrdiff_t i, int64_t offset, ptrdiff_t *lo,
                             ptrdiff_t *hi) {
    const int64_t n = attn__keys_in_use(d, b), p = (int64_t)i + offset;
    int64_t from = d->ring && n > d->ring ? n - d->ring : 0, to = n;
    if (d->row_lengths && d->row_lengths[b * d->queries + i] < to) to = d->row_lengths[b * d->queries + i];
    if (d->causal) {
        const int64_t seen = d->prefix && d->prefix[b] > p + 1 ? d->prefix[b] : p + 1;
        if (seen < to) to = seen;
    }
    if (d->window && d->window_left >= 0 && p - d->window_left > from) from = p - d->window_left;
    if (d->window && d->window_right >= 0 && p + d->window_right + 1 < to) to = p + d->window_right + 1;
    if (from >= to || i >= attn__queries_in_use(d, b)) from = to = 0;
    *lo = (ptrdiff_t)from; *hi = (ptrdiff_t)to;
}
// A tile's lane: row r of the unit of G heads, query r / G of head r % G
ATTN__FUNC void attn__set_lane(const attn__plan *p, attn__tile_args *g, int lane, ptrdiff_t unit, ptrdiff_t r) {
    const attn_desc *d = &p->d;
    const ptrdiff_t b = g->b, e = p->bytes, first = d->cu_q ? d->cu_q[b] : 0;
    const ptrdiff_t i = p->group > 1 ? r / p->group : r, h = unit * p->group + r - i * p->group;
    const ptrdiff_t row = d->cu_q ? h * d->cu_q[d->batch] + first + i : (b * d->heads + h) * d->queries + i;
    g->query[lane] = i; g->head[lane] = h;
    g->slope[lane] = !d->alibi && !d->alibi_slopes ? 0 : lane && h == g->head[lane - 1] ? g->slope[lane - 1]
        : attn__slope(d, h);
    g->scale[lane] = p->scale * (d->logit_scale ? (double)d->logit_scale[h] : 1);
    g->rest[lane] = 1;
    if (g->words_k == ATTN__BF16_WORDS && g->scale[lane] != 0) {     // q takes the power of two: exact
        const double x = attn__from_bits_d(attn__bits_d(g->scale[lane]) & ATTN__D_INF);
        g->rest[lane] = g->scale[lane] / x; g->scale[lane] = x;
    }
#define ATTN__AT(field, type, i) \
    (b * d->field##_stride[0] + h * d->field##_stride[1] + (i) * d->field##_stride[2]) * attn__types[type].bytes
    g->q[lane] = (const char *)d->q + ATTN__AT(q, d->q_type, first + i);
    g->o[lane] = (char *)d->o + ATTN__AT(o, d->o_type, first + i);
    g->bias[lane] = d->bias ? (const char *)d->bias + ATTN__AT(bias, d->bias_type, i) : NULL;
    g->keep[lane] = d->keep ? d->keep + ATTN__AT(keep, ATTN_U8, i) : NULL;
    g->drop[lane] = d->drop ? d->drop + ATTN__AT(drop, ATTN_U8, i) : NULL;
#undef ATTN__AT
    g->lse[lane] = d->lse ? (char *)d->lse + row * e : NULL;
    g->weights[lane] = d->weights ? (char *)d->weights + ((b * d->heads + h) * d->queries + i) * d->keys * e : NULL;
}
#if !ATTN__SIZE
// Lanes from .. TQ-1 as the one before them and, up to g->lanes, a row further each: far less work than row by row
ATTN__FUNC void attn__next_lanes(const attn__plan *p, attn__tile_args *g, int from) {
    const attn_desc *d = &p->d;
    const int tq = p->table->tq, rows = from < g->lanes ? g->lanes : from;
    const ptrdiff_t head = g->head[from - 1], q_row = d->q_stride[2] * attn__types[d->q_type].bytes;
    const ptrdiff_t o_row = d->o_stride[2] * attn__types[d->o_type].bytes;
    const double slope = g->slope[from - 1], scale = g->scale[from - 1], rest = g->rest[from - 1];
    const char *q = (const char *)g->q[from - 1];
    char *o = (char *)g->o[from - 1];
    ptrdiff_t query = g->query[from - 1];
#define ATTN__NEXT(field, type, step) \
    if (from < tq && g->field[from - 1]) { \
        const ptrdiff_t by = from < rows ? (step) : 0; \
        type x = (type)g->field[from - 1]; \
        for (int i = from; i < rows; i++) g->field[i] = x += by; \
        for (int i = rows; i < tq; i++) g->field[i] = x; \
    }
    for (int i = from; i < tq; i++) {
        if (i < rows) { q += q_row; o += o_row; query++; }
        g->q[i] = q; g->o[i] = o; g->query[i] = query; g->head[i] = head; g->scale[i] = scale;
    }
    if (g->adds || g->words_k) for (int i = from; i < tq; i++) { g->slope[i] = slope; g->rest[i] = rest; }
    ATTN__NEXT(bias, const char *, d->bias_stride[2] * attn__types[d->bias_type].bytes)
    ATTN__NEXT(keep, const uint8_t *, d->keep_stride[2])
    ATTN__NEXT(drop, const uint8_t *, d->drop_stride[2])
    ATTN__NEXT(lse, char *, p->bytes)
    ATTN__NEXT(weights, char *, d->keys * p->bytes)
#undef ATTN__NEXT
}
#endif
// The lanes of one tile: rows r0 .. of a unit; lanes past the end repeat the last row.
ATTN__FUNC void attn__fill_lanes(const attn__plan *p, attn__tile_args *g, ptrdiff_t unit, ptrdiff_t rows,
                                 ptrdiff_t r0) {
    const attn_desc *d = &p->d;
    const ptrdiff_t b = g->b, used = attn__queries_in_use(d, b);
    // one range for all rows
    const int tq = p->table->tq, steady = !ATTN__SIZE && !d->causal && !d->window && !d->row_lengths &&
        !d->query_lengths;
    ptrdiff_t lo = 0, hi = 0;
    int set = tq, lane;
    g->lanes = rows - r0 < tq ? (int)(rows - r0) : tq;
    g->dead = 0; g->in_line = p->group == 1;
    g->hi_most = g->lo_most = 0; g->lo_least = g->hi_least = PTRDIFF_MAX;
#if !ATTN__SIZE
    set = g->in_line ? 1 : g->lanes;
#endif
    for (lane = 0; lane < set; lane++)
        attn__set_lane(p, g, lane, unit, r0 + (lane < g->lanes ? lane : g->lanes - 1));
#if !ATTN__SIZE
    attn__next_lanes(p, g, set);
#endif
    for (lane = 0; lane < (steady ? 1 : g->lanes); lane++) {
        attn__limits(d, b, g->query[lane], g->offset, &lo, &hi);
        g->lo[lane] = lo; g->hi[lane] = hi;
        if (lo < hi && lo < g->lo_least) g->lo_least = lo;           // not of a row that sees none
        if (lo > g->lo_most) g->lo_most = lo;
        if (hi < g->hi_least) g->hi_least = hi;
        if (hi > g->hi_most) g->hi_most = hi;
        if (g->query[lane] >= used) g->dead++;
    }
    if (!steady || g->every) for (const ptrdiff_t from = lo, to = hi; lane < tq; lane++) {
        g->lo[lane] = from; g->hi[lane] = to;
    }
    g->end = !g->every ? g->hi_most : d->k_cache ? attn__keys_in_use(d, b) : d->cu_k ? d->cu_k[b + 1] - d->cu_k[b]
        : d->keys;
    g->start = g->every ? 0 : g->lo_least / ATTN__SPAN * ATTN__SPAN;
    if (g->start > g->end) g->start = g->end;
    if (d->masked_score == 0) g->dead = 0;
}
// Where the keys or values of entry b, key head hk lie
ATTN__FUNC attn__rows attn__rows_of(const attn_desc *d, int keys, ptrdiff_t b, ptrdiff_t hk) {
    const ptrdiff_t *s = keys ? d->k_stride : d->v_stride;
    const void *at = keys ? (d->k_cache ? d->k_cache : d->k) : d->v_cache ? d->v_cache : d->v;
    attn__rows x;
    memset(&x, 0, sizeof x);
    x.type = keys ? d->k_type : d->v_type; x.row = s[2]; x.col = s[3];
    if (at)
        x.at = attn__at(x.type, at, (d->block_table ? 0 : b * s[0]) + hk * s[1] + (d->cu_k ? d->cu_k[b] * s[2] : 0));
    if (d->block_table) { x.page = d->page; x.page_step = s[0]; x.table = d->block_table + b * d->pages_per_row; }
    x.ring = d->ring;
    return x;
}
// The first rows of the head after this one, to be touched early.
ATTN__FUNC void attn__next_head(const attn__plan *p, attn__tile_args *g, ptrdiff_t b, ptrdiff_t h) {
    const attn_desc *d = &p->d;
    g->next_k = (const char *)d->k + (b * d->k_stride[0] + h * d->k_stride[1]) * p->bytes;
    g->next_v = (const char *)d->v + (b * d->v_stride[0] + h * d->v_stride[1]) * p->bytes;
    g->next_q = (const char *)d->q + (b * d->q_stride[0] + h * d->q_stride[1]) * p->bytes;
    g->next_o = (char *)d->o + (b * d->o_stride[0] + h * d->o_stride[1]) * p->bytes;
    g->next_line = g->next_due = 0; g->next_of_row = ((size_t)d->dim * (size_t)p->bytes + 63) / 64;
    g->next_lines = (size_t)(d->keys > d->queries ? d->keys : d->queries) * g->next_of_row;
    g->next_calls = (size_t)((p->tiles + p->run - 1) / p->run * ((d->keys + p->table->mr - 1) / p->table->mr));
}
ATTN__FUNC void attn__fwd_task(void *arg, ptrdiff_t task, int worker) {
    const attn__plan *p = (const attn__plan *)arg;
    const attn_desc *d = &p->d;
    attn__tile_args *all = (attn__tile_args *)(void *)(p->space + (size_t)worker * attn__work(p)), *g = all;
    const ptrdiff_t parts = p->fold ? 1 : p->parts, first = task / parts * p->per;
    const ptrdiff_t end = first + p->per < p->total ? first + p->per : p->total;
    ptrdiff_t head = -1;
    const unsigned mode = attn__flush_denormals(p->bytes);
    ATTN_ASSERT(worker >= 0 && worker < attn__workers(d->parallel));
    ATTN_ASSERT(p->per >= 1 && p->run >= 1 && p->parts >= 1 && first < end);
    memset(g, 0, offsetof(attn__tile_args, q));
    g->work = (char *)g + (attn__work(p) - p->shared - (size_t)p->run * p->own);
    g->own = (char *)g->work + p->shared;
    g->d = d; g->worker = worker; g->table = p->table;
    if (d->arith == ATTN_ARITH_NATIVE) {
        g->words_v = d->v_type == ATTN_BF16 ? ATTN__BF16_WORDS : 0;
        // keys that change on their way are f32
        if (!d->custom && (d->score == ATTN_SCORE_DOT || d->score == ATTN_SCORE_BILINEAR) &&
            (d->k_cache || (!d->qk_norm && !d->rope_kind))) g->words_k = attn__words_of(d->k_type);
        if (g->words_k == ATTN__I8_WORDS && d->score != ATTN_SCORE_DOT) g->words_k = 0;
    }
    g->masks = d->doc_k || d->block_mask || d->tree_parent ? 2 : d->keep || d->drop;
    g->every = d->masked_score != 0 || (d->weights &&
                                        (d->weights_stage == ATTN_WEIGHTS_SCORES ||
                                         d->weights_stage == ATTN_WEIGHTS_CAPPED));
    g->adds = d->bias || d->alibi || d->alibi_slopes || d->rel_kind;
    g->shaped = g->every || d->softcap != 0 || d->custom ||
                (d->score != ATTN_SCORE_DOT && d->score != ATTN_SCORE_BILINEAR && d->score != ATTN_SCORE_COSINE) ||
                (d->weights && d->weights_stage);
    for (ptrdiff_t t = first; t < end; t++) {
        const ptrdiff_t of_entry = p->units * p->tiles, b = t / of_entry;
        const ptrdiff_t unit = p->across ? t % p->units : t % of_entry / p->tiles;
        const ptrdiff_t r0 = (p->across ? t % of_entry / p->units : t % p->tiles) * p->table->tq;
        const ptrdiff_t hk = unit * p->group / (d->heads / d->kv_heads), at = b * d->kv_heads + hk, rows = d->cu_q
            ? (d->cu_q[b + 1] - d->cu_q[b]) * p->group : p->rows;
        if (r0 >= rows) continue;
        if (g > all) {
            memcpy(g, all, offsetof(attn__tile_args, q));
            g->own = (char *)all->own + (size_t)(g - all) * p->own;
            g->next_k = NULL;                           // the first touches the next head for all
        }
        g->b = b; g->offset = attn__offset(d, b);
        g->tree = attn__keys_in_use(d, b) - attn__queries_in_use(d, b);
        g->k = attn__rows_of(d, 1, b, hk); g->v = attn__rows_of(d, 0, b, hk);
        g->after = !ATTN__LEAN && p->tiles == 1 && t + 1 < end && hk + 1 < d->kv_heads
            ? attn__bytes(d->k_type, d->k_stride[1]) : 0;
        if (!ATTN__LEAN && p->near_heads && at != head) {
            g->next_k = NULL;
            if ((at + 1) * p->tiles < end) attn__next_head(p, g, (at + 1) / p->units, (at + 1) % p->units);
        }
        attn__fill_lanes(p, g, unit, rows, r0);
        g->cold = !ATTN__LEAN && g->end - g->start > 128 && (double)(g->end - g->start) *
            (double)d->batch * (double)d->kv_heads *
            (double)(attn__bytes(d->k_type, d->dim) + attn__bytes(d->v_type, d->vdim)) > 1048576;
        g->touches = g->cold && g->masks < 2 && !p->near_heads && !attn__two_passes(d) &&
                     (p->across ? r0 == 0 : at != head);
        head = at;
        if (p->parts > 1) {
            const ptrdiff_t spans = (g->end - g->start + ATTN__SPAN - 1) / ATTN__SPAN;
            const ptrdiff_t each = (spans + parts - 1) / parts, part = task % parts * each, to = part + each;
            g->kept = p->kept + (size_t)t * p->keeps; g->fold = p->fold;
            g->from = part < spans ? g->start + part * ATTN__SPAN : g->end;     // a step past the last might not fit
            g->to = to < spans ? g->start + to * ATTN__SPAN : g->end;
        }
        // the next tile reads the same keys: in one run with this one
        if (++g - all < p->run && t + 1 < end && ((t + 1) % p->tiles == 0 || r0 + p->table->tq < rows) &&
            (t + 1) / of_entry == b && (t + 1) % of_entry / p->tiles * p->group / (d->heads / d->kv_heads) == hk)
            continue;
        for (int run = (int)(g - all); g > all; ) (--g)->run = run;
        p->table->tile(all);
    }
    ATTN__SET_FLOAT_MODE(mode);
}
// Tiles go through the keys together, block by block, where no product reads keys or values as they lie, so that one
// making them ready does for all; where rows meet in the first cache; and where keys and values leave the second: rows
// a multiple of a power of two apart take as much of it as if they were so wide, for they meet in few of its sets.
ATTN__FUNC double attn__taken(ptrdiff_t row, ptrdiff_t dim) {
    const ptrdiff_t two = row & -row;
    return (double)(two > dim ? two : dim);
}
ATTN__FUNC int attn__runs(const attn__plan *p) {
    const attn_desc *d = &p->d;
    const int own = p->bytes == 8 ? ATTN_F64 : ATTN_F32;
    if (d->custom || attn__two_passes(d) || (d->score != ATTN_SCORE_DOT &&
        d->score != ATTN_SCORE_BILINEAR && d->score != ATTN_SCORE_COSINE)) return 0;
    return d->k_type != own || d->v_type != own || d->k_stride[3] != 1 || d->v_stride[3] != 1 || d->page ||
        d->score == ATTN_SCORE_COSINE || d->qk_norm || d->rope_kind ||
        (p->tiles > 2 && (d->k_stride[2] % ATTN__APART == 0 || d->v_stride[2] % ATTN__APART == 0 ||
                          (!p->across && attn__taken(d->k_stride[2], d->dim) + attn__taken(d->v_stride[2], d->vdim) >
                                         1048576.0 / p->bytes / (double)d->keys))) ||
        (!p->across && d->keys >= 1048576 / p->bytes / (d->dim + d->vdim));
}
// Tasks: a few more than workers, each some tiles; small calls stay whole. Heads of a group lie side by side in lanes
// only where one alone does not fill them.
ATTN__FUNC void attn__plan_tasks(attn__plan *p) {
    const attn_desc *d = &p->d;
    const ptrdiff_t workers = attn__workers(d->parallel);
    const double flops = 4.0 * (double)d->batch * (double)d->heads * (double)d->queries * (double)d->keys *
        (double)d->dim;
    const int dot = d->score == ATTN_SCORE_DOT || d->score == ATTN_SCORE_CUSTOM;
    p->table = attn__table_for(d);
    p->bytes = p->table->bytes;
    p->group = d->queries < p->table->tq && !d->custom ? d->heads / d->kv_heads : 1;
    p->rows = d->queries * p->group; p->units = d->heads / p->group;
    p->tiles = (p->rows + p->table->tq - 1) / p->table->tq;
    p->total = d->batch * p->units * p->tiles;
    p->per = workers > 1 && flops > 1e6 ? p->total / (workers * 8) + 1 : p->total;
    p->scale = d->scale != 0 ? (double)d->scale : dot ? 1 / attn__sqrt_d((double)d->dim) : 1;
    attn__sizes(p);
    p->across = p->units > 1 && d->queries * (d->bias ? 4 : 1) > 524288 / (d->keys + 1) &&
                (double)p->units * (double)d->keys <= 524288.0 / (double)(d->dim + d->vdim) &&
                ((d->bias && !d->bias_stride[1]) || (d->keep && !d->keep_stride[1]) || (d->drop && !d->drop_stride[1]));
    p->near_heads = !ATTN__LEAN && !p->across && d->heads == d->kv_heads && d->keys <= 32768 / d->dim &&
        d->queries <= 32768 / d->dim && d->dim == d->vdim &&
                    !d->cu_q && !d->k_cache && d->k_stride[3] == 1 && d->v_stride[3] == 1 && d->q_stride[3] == 1 &&
                        d->o_stride[3] == 1 &&
                    d->k_type == d->q_type && d->v_type == d->q_type && d->o_type == d->q_type &&
                        p->bytes == attn__types[d->q_type].bytes;
    {
        const ptrdiff_t keys = d->ring && d->ring < d->keys ? d->ring + ATTN__SPAN : d->keys;
        const ptrdiff_t spans = (keys + ATTN__SPAN - 1) / ATTN__SPAN, want = (2 * workers + p->total) / (p->total + 1);
        p->parts = 1; p->fold = 0; p->keeps = 0;
        const double most = 16777216;
        const double bytes = (double)(d->vdim + 3) * (double)(p->table->tq * p->bytes) * (double)spans;
        const double shared = bytes * (double)(p->total < 2 * workers ? p->total : 2 * workers - 1);
        const int can = workers > 1 && spans > 1 && !d->weights && !attn__two_passes(d);
        p->ask = !can ? 0 : shared < most ? (size_t)shared : (size_t)most;
        if (can && p->total < 2 * workers && p->total != workers && shared <= most && flops > 1e6) {
            p->parts = want < 2 ? 1 : want < spans ? want : spans;
            p->keeps = (size_t)bytes;
        }
        if (p->parts > 1) { p->per = 1; p->near_heads = 0; }
    }
    p->run = 1;
    if (ATTN__RUN > 1 && attn__runs(p)) {
        const ptrdiff_t tiles = p->tiles * (p->units / d->kv_heads);
        p->run = tiles < ATTN__RUN ? (int)tiles : ATTN__RUN;
    }
    if (p->run > 1) p->across = 0;
}
// `want` bytes of the caller's workspace or our own; *own is to be freed.
ATTN__FUNC attn_status attn__borrow(const attn_desc *d, size_t want, char **space, void **own) {
    *own = NULL;
    if (d->workspace) {
        if (d->workspace_bytes < want) return ATTN_ERR_WORKSPACE;
        *space = (char *)attn__align(d->workspace);
        return ATTN_OK;
    }
#ifdef ATTN_NO_STDLIB
    return ATTN_ERR_WORKSPACE;
#else
    *own = ATTN_MALLOC(want);
    if (!*own) return ATTN_ERR_MEMORY;
    *space = (char *)attn__align(*own);
    return ATTN_OK;
#endif
}
ATTN__FUNC void attn__give_back(void *own) {
#ifndef ATTN_NO_STDLIB
    if (own) ATTN_FREE(own);
#else
    (void)own;
#endif
}
ATTN_DEF size_t attn_workspace(const attn_desc *user) {
    attn__plan p;
    if (attn__check(user, &p.d, 0, NULL)) return 0;
    attn__plan_tasks(&p);
    return attn__work(&p) * (size_t)attn__workers(p.d.parallel) + 63 + p.ask;
}
ATTN_DEF attn_status attn_fwd(const attn_desc *d) {
    attn__plan p;
    void *own;
    size_t want, more;
    ATTN__TRY(attn__check(d, &p.d, 1, NULL));
    if (p.d.queries == 0) return ATTN_OK;
    attn__plan_tasks(&p);
    want = attn__work(&p) * (size_t)attn__workers(p.d.parallel) + 63;
    more = p.parts > 1 ? (size_t)p.total * p.keeps : 0;
    if (p.d.workspace && p.d.workspace_bytes < want + more) {       // do without
        p.parts = p.run = 1; more = 0;
        want = attn__work(&p) * (size_t)attn__workers(p.d.parallel) + 63;
    }
    ATTN__TRY(attn__borrow(&p.d, want + more, &p.space, &own));
    p.kept = p.space + attn__work(&p) * (size_t)attn__workers(p.d.parallel);
    attn__run(p.d.parallel, attn__fwd_task, &p, (p.total + p.per - 1) / p.per * p.parts);
    p.fold = p.parts > 1;
    if (p.fold) attn__run(p.d.parallel, attn__fwd_task, &p, p.total);
    attn__give_back(own);
    return ATTN_OK;
}

ATTN__LIGHT_ON
// ---- caches, partial results, rope tables

ATTN__FUNC attn_status attn__check_append(const attn_desc *user, attn_desc *d, attn__text *why) {
    const int32_t *table = NULL;
    attn_desc none;
    ATTN__TRY(attn__take_desc(&none, sizeof none, user, why));
    none.queries = 0; none.query_lengths = NULL; none.cu_q = NULL;   // of the step after this
    ATTN__TRY(attn__check(&none, d, 1, why));
    if (d->new_keys < 0) return attn__wrong(why, ATTN_ERR_SHAPE, "new_keys", d->new_keys, "negative");
    if (!d->k_cache) return attn__missing(why, "k_cache");
    if (d->new_keys && !d->k_new) return attn__missing(why, "k_new");
    ATTN__TRY(attn__fill_strides(d->k_new_stride, d->kv_heads, d->new_keys, d->dim, 0, "k_new_stride", why));
    ATTN__TRY(attn__fill_strides(d->v_new_stride, d->kv_heads, d->new_keys, d->vdim, 0, "v_new_stride", why));
    {
        const attn__extents x = attn__extents_of(d, 1);
        const ptrdiff_t nk[4] = { d->batch, d->kv_heads, d->new_keys, d->dim },
            nv[4] = { d->batch, d->kv_heads, d->new_keys, d->vdim };
        const ptrdiff_t space[4] = { 1, 1, 1, (ptrdiff_t)d->workspace_bytes };
        const attn__array a[5] = { { "k_cache", d->k_cache, x.k, d->k_stride, d->k_type },
                                   { "v_cache", d->v_cache, x.v, d->v_stride, d->v_type },
            { "workspace", d->workspace, space, NULL, ATTN_U8 },
            { "k_new", d->k_new, nk, d->k_new_stride, d->q_type },
                { "v_new", d->v_new, nv, d->v_new_stride, d->q_type } };
        uintptr_t end[ATTN__OUTPUTS] = { 0 };           // of the first three
        if (d->new_keys && !d->v_new && attn__check_apart(&a[0], &a[1], NULL) == ATTN_OK)
            return attn__missing(why, "v_new");
        for (int i = 0; i < 3; i++) {
            if (d->new_keys && (i == 0 || (i == 1 && d->v_new)))      // v of a shared latent is not written
                ATTN__TRY(attn__check_nested(&a[i], i ? "v_stride" : "k_stride", why));
            for (int j = i + 1; j < 5; j++)
                if (d->v_new || i || j > 1) ATTN__TRY(attn__check_apart(&a[i], &a[j], why));
            end[i] = a[i].at ? attn__array_end(&a[i]) : 0;
        }
        ATTN__TRY(attn__check_inputs(d, a, end, why));
    }
    for (ptrdiff_t b = 0; b < d->batch; b++) {
        ptrdiff_t n;
        if (d->new_keys > d->keys - d->key_lengths[b])
            return attn__wrong_at(why, ATTN_ERR_RANGE, "key_lengths", b, d->key_lengths[b],
                                  "the cache is full: beyond keys");
        n = d->key_lengths[b] + d->new_keys;
        if (d->rope_kind && !d->rope_k_pos && n > d->rope_positions)
            return attn__wrong(why, ATTN_ERR_RANGE, "rope_positions", d->rope_positions, "fewer than tokens");
        if (d->rope_kind && d->rope_k_pos)
            ATTN__TRY(attn__check_each(d->rope_k_pos, b * d->keys + d->key_lengths[b], b * d->keys + n, 0,
                                       (int64_t)d->rope_positions - 1, "rope_k_pos", "outside the table", why));
        if (!d->block_table || d->new_keys == 0) continue;
        if ((n - 1) / d->page >= d->pages_per_row)
            return attn__wrong_at(why, ATTN_ERR_RANGE, "key_lengths", b, d->key_lengths[b],
                                  "the cache is full: beyond the pages");
        table = d->block_table + b * d->pages_per_row;
        for (ptrdiff_t i = d->key_lengths[b] / d->page; i <= (n - 1) / d->page; i++)
            if (table[i] < 0 || table[i] >= d->page_count)
                return attn__wrong_at(why, ATTN_ERR_RANGE, "block_table", b * d->pages_per_row + i, table[i],
                                      "outside 0..page_count-1");
    }
    return ATTN_OK;
}
ATTN_DEF attn_status attn_append(const attn_desc *user) {
    attn__row_args g;
    attn_desc d;
    char *space;
    void *own;
    const attn__table *t;
    ATTN__TRY(attn__check_append(user, &d, NULL));
    if (d.new_keys == 0) return ATTN_OK;
    t = attn__table_for(&d);
    ATTN__TRY(attn__borrow(&d, (size_t)(d.dim > d.vdim ? d.dim : d.vdim) * (size_t)t->bytes + 63, &space, &own));
    g.d = &d; g.y = space; g.type = d.q_type; g.factor = d.k_norm;
    for (ptrdiff_t i = 0; i < 2 * d.batch * d.kv_heads; i++) {
        const ptrdiff_t b = i / 2 / d.kv_heads, h = i / 2 % d.kv_heads;
        const int keys = i % 2 == 0;
        const attn__rows to = attn__rows_of(&d, keys, b, h);
        const ptrdiff_t *s = keys ? d.k_new_stride : d.v_new_stride;
        g.n = keys ? d.dim : d.vdim; g.col = s[3]; g.stages = keys && (d.qk_norm || d.rope_kind);
        const char *from = (const char *)(keys ? d.k_new : d.v_new);
        for (ptrdiff_t t0 = 0; from && t0 < d.new_keys; t0++) {
            const ptrdiff_t token = d.key_lengths[b] + t0;
            union { const char *in; char *out; } row;       // the same address without const
            row.in = attn__row_at(&to, token);
            g.p = from + (b * s[0] + h * s[1] + t0 * s[2]) * attn__types[g.type].bytes;
            g.position = d.rope_k_pos ? d.rope_k_pos[b * d.keys + token] : token;
            t->row(&g);
            for (ptrdiff_t c = 0; c < g.n; c += attn__types[to.type].elements) {
                if (attn__types[to.type].elements > 1)
                    attn__quantise(to.type, row.out + c / 32 * attn__types[to.type].bytes, (const float *)g.y + c);
                else attn__store(to.type, row.out, c * to.col, t->bytes == 8 ? ((const double *)g.y)[c]
                                 : (double)((const float *)g.y)[c]);
            }
        }
    }
    attn__give_back(own);
    return ATTN_OK;
}
ATTN_DEF attn_status attn_merge(float *o, float *lse, const float *o2, const float *lse2, ptrdiff_t rows,
                                ptrdiff_t vdim) {
    if (rows < 0 || vdim < 0) return ATTN_ERR_SHAPE;
    if (rows == 0) return ATTN_OK;
    if (!lse || !lse2 || (vdim > 0 && (!o || !o2))) return ATTN_ERR_NULL;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const double a = (double)lse[r], b = (double)lse2[r], m = a > b ? a : b;
        double ca, cb, sum;
        if (attn__bits_d(b) == (ATTN__D_INF | ATTN__D_SIGN)) continue;
        if (attn__bits_d(a) == (ATTN__D_INF | ATTN__D_SIGN)) {
            lse[r] = lse2[r];
            for (ptrdiff_t e = 0; e < vdim; e++) o[r * vdim + e] = o2[r * vdim + e];
            continue;
        }
        ca = attn__exp_d(a - m); cb = attn__exp_d(b - m); sum = ca + cb;
        lse[r] = (float)(m + attn__log_d(sum));
        ca /= sum; cb /= sum;
        for (ptrdiff_t e = 0; e < vdim; e++)
            o[r * vdim + e] = (float)(ca * (double)o[r * vdim + e] + cb * (double)o2[r * vdim + e]);
    }
    return ATTN_OK;
}
ATTN_DEF attn_status attn_rope_table(float *cos_out, float *sin_out, ptrdiff_t positions, ptrdiff_t dim, double theta) {
    if (positions < 0 || dim < 0 || dim % 2) return ATTN_ERR_SHAPE;
    if (!(theta >= 0) || !attn__finite(theta)) return ATTN_ERR_RANGE;
    if (positions == 0 || dim == 0) return ATTN_OK;
    if (!cos_out || !sin_out) return ATTN_ERR_NULL;
    for (ptrdiff_t t = 0; t < dim / 2; t++) {
        const double step = attn__exp_d(-attn__log_d(theta != 0 ? theta : 10000) * (double)(2 * t) / (double)dim);
        for (ptrdiff_t i = 0; i < positions; i++) {
            cos_out[i * (dim / 2) + t] = (float)attn__cos_d((double)i * step);
            sin_out[i * (dim / 2) + t] = (float)attn__sin_d((double)i * step);
        }
    }
    return ATTN_OK;
}
typedef struct attn__turn {
    attn_desc d;
    const attn__table *table;
    char *space;
    size_t line;                      // bytes of a row there; 0: rows are written where they belong
    ptrdiff_t n, per;                 // rows in all, of a task
} attn__turn;
ATTN__FUNC void attn__turn_task(void *arg, ptrdiff_t i, int worker) {
    const attn__turn *p = (const attn__turn *)arg;
    const attn_desc *d = &p->d;
    attn__row_args g;
    ATTN_ASSERT(worker >= 0 && worker < attn__workers(d->parallel));
    memset(&g, 0, sizeof g);
    g.d = d; g.type = d->q_type; g.stages = d->qk_norm || d->rope_kind; g.col = d->q_stride[3]; g.n = d->dim;
    g.factor = d->q_norm;
    for (ptrdiff_t r = i * p->per; r < p->n && r < (i + 1) * p->per; r++) {
        const ptrdiff_t at = r % d->queries, h = r / d->queries % d->heads, b = r / d->queries / d->heads;
        char *o = (char *)d->o + (b * d->o_stride[0] + h * d->o_stride[1] + at * d->o_stride[2]) *
            attn__types[d->o_type].bytes;
        g.p = (const char *)d->q + (b * d->q_stride[0] + h * d->q_stride[1] + at * d->q_stride[2]) *
            attn__types[d->q_type].bytes;
        g.y = p->line ? p->space + (size_t)worker * p->line : o;
        g.position = d->rope_q_pos ? d->rope_q_pos[b * d->queries + at] : at + attn__offset(d, b);
        p->table->row(&g);
        for (ptrdiff_t c = 0; p->line && c < d->dim; c++)
            attn__store(d->o_type, o, c * d->o_stride[3], p->table->bytes == 8 ? ((const double *)g.y)[c]
                        : (double)((const float *)g.y)[c]);
    }
}
ATTN_DEF attn_status attn_rope(const attn_desc *user) {
    attn__turn p;
    attn_desc d, *to = &p.d;
    void *own = NULL;
    ATTN__TRY(attn__take_desc(&d, sizeof d, user, NULL));
    memset(&p, 0, sizeof p);
    to->q = d.q; to->o = d.o; to->q_type = to->k_type = to->v_type = d.q_type; to->o_type = d.o_type;
    memcpy(to->q_stride, d.q_stride, sizeof d.q_stride); memcpy(to->o_stride, d.o_stride, sizeof d.o_stride);
    to->batch = d.batch; to->heads = d.heads; to->queries = d.queries; to->dim = d.dim;
    to->qk_norm = d.qk_norm; to->norm_eps = d.norm_eps; to->q_norm = d.q_norm;
    to->align = d.align; to->query_offset = d.query_offset; to->query_offsets = d.query_offsets;
    to->rope_kind = d.rope_kind; to->rope_dim = d.rope_dim; to->rope_cos = d.rope_cos; to->rope_sin = d.rope_sin;
    to->rope_positions = d.rope_positions; to->rope_q_pos = d.rope_q_pos;
    to->workspace = d.workspace; to->workspace_bytes = d.workspace_bytes; to->parallel = d.parallel; to->isa = d.isa;
    d = *to;
    ATTN__TRY(attn__check(&d, to, 1, NULL));
    p.table = attn__table_for(to);
    p.n = p.per = to->batch * to->heads * to->queries;
    if (p.n == 0) return ATTN_OK;
    if (p.table->bytes != attn__types[to->o_type].bytes || to->o_stride[3] != 1)
        p.line = (size_t)to->dim * (size_t)p.table->bytes;
    if (attn__workers(to->parallel) > 1 && (double)p.n * (double)to->dim > 32768.0)
        p.per = p.n / (4 * attn__workers(to->parallel)) + 1;
    if (p.line) ATTN__TRY(attn__borrow(to, p.line * (size_t)attn__workers(to->parallel) + 63, &p.space, &own));
    attn__run(to->parallel, attn__turn_task, &p, (p.n + p.per - 1) / p.per);
    attn__give_back(own);
    return ATTN_OK;
}
ATTN_DEF const char *attn_explain(attn_status s, const attn_desc *d, char *text, size_t n) {
    attn__text t = attn__text_of(text, n);
    attn_desc full;
    attn_status again = attn__take_desc(&full, sizeof full, d, &t);
    if (again == ATTN_OK) {
        const int appends = full.new_keys || full.k_new;    // the call may have been attn_append, which needs less
        const int before = appends && s == ATTN_ERR_NULL;
        again = before ? attn__check_append(d, &full, &t) : attn__check(d, &full, 1, &t);
        if (again != s && appends && s != ATTN_OK && s != ATTN_ERR_WORKSPACE) {
            t = attn__text_of(text, n);
            again = before ? attn__check(d, &full, 1, &t) : attn__check_append(d, &full, &t);
        }
    }
    if (s == ATTN_ERR_WORKSPACE && again == ATTN_OK && t.left) {
        attn__wrong(&t, s, "workspace_bytes", (int64_t)full.workspace_bytes, "attn_workspace asks for ");
        attn__say_int(&t, (int64_t)attn_workspace(d));
        return text;
    }
    return attn__explained(s, again, &t, text, n);
}

#ifndef ATTN_NO_STDLIB
// ---- layout of the desc, for bindings. ORDER attn_desc

#define ATTN__DESC_FIELDS(F)                                                                                       \
    F(size) F(q) F(k) F(v) F(o) F(q_type) F(k_type) F(v_type) F(o_type) F(q_stride) F(k_stride) F(v_stride)        \
    F(o_stride) F(batch) F(heads) F(kv_heads) F(queries) F(keys) F(dim) F(vdim) F(arith) F(scale) F(logit_scale)   \
    F(qk_norm) F(norm_eps) F(q_norm) F(k_norm) F(align) F(query_offset) F(query_offsets) F(causal) F(window)       \
    F(window_left) F(window_right) F(key_lengths) F(query_lengths) F(row_lengths) F(masked_score) F(keep)          \
    F(drop) F(keep_stride) F(drop_stride) F(bias) F(bias_type) F(bias_stride) F(block_mask) F(block_heads)         \
    F(block_q) F(block_k) F(doc_q) F(doc_k) F(prefix) F(tree_parent) F(alibi_slopes) F(alibi) F(rel_kind)          \
    F(rel_table) F(rel_count) F(rel_max_distance) F(rel_both_ways) F(rel_height) F(rel_width) F(score)             \
    F(w_score) F(w_q) F(w_k) F(w_v) F(score_width) F(kernel_width) F(custom) F(custom_grad) F(user) F(softcap)     \
    F(sink) F(off_by_one) F(norm) F(sigmoid_bias) F(relu_div) F(top_k) F(rope_kind) F(rope_dim) F(rope_cos)        \
    F(rope_sin) F(rope_positions) F(rope_q_pos) F(rope_k_pos) F(dropout) F(keep_weights) F(seed) F(cu_q) F(cu_k)   \
    F(k_cache) F(v_cache) F(k_new) F(v_new) F(new_keys) F(k_new_stride) F(v_new_stride) F(block_table)             \
    F(pages_per_row) F(page) F(page_count) F(ring) F(weights_stage) F(weights) F(lse) F(grad_o) F(grad_lse)        \
    F(grad_q) F(grad_k) F(grad_v) F(grad_bias) F(grad_sink) F(grad_scale) F(grad_slopes) F(grad_rel_table)         \
    F(grad_w_score) F(grad_w_q) F(grad_w_k) F(grad_w_v) F(grad_kernel_width) F(grad_type) F(accumulate)            \
    F(workspace) F(workspace_bytes) F(parallel) F(isa)
ATTN_DEF int attn_desc_layout(int i, attn_field *field) {
#define ATTN__ROW(name) #name "\0"
    static const char names[] = ATTN__DESC_FIELDS(ATTN__ROW);
#undef ATTN__ROW
#define ATTN__ROW(name) { offsetof(attn_desc, name), sizeof(((attn_desc *)0)->name) },
    static const uint16_t fields[][2] = { ATTN__DESC_FIELDS(ATTN__ROW) };
#undef ATTN__ROW
    const char *name = names;
    if (i < 0 || i >= (int)(sizeof fields / sizeof fields[0]) || !field) return 0;
    for (int k = 0; k < i; k++) while (*name++) {}
    field->name = name; field->offset = fields[i][0]; field->size = fields[i][1];
    return 1;
}
#endif

#ifndef ATTN_ONLY_KERNELS
// -------------------------------------------------------------------------------------------------------------------
// >>tape
//
// A record is the list of nodes that the operators left, newest first. Going down it, each node whose result has a
// gradient adds to those of its inputs. What an operator's backward needs beside is scratch, given back after it.

ATTN_DEF int attn_record(attn_ctx *c, int on) {
    const int was = c ? c->record : 0;
    if (c) c->record = on > 0 ? 1 : on < 0 ? -1 : 0;
    return was;
}
enum { ATTN__REACHED = 256 };         // a tensor that the loss depends on, during attn_backward

// Gradient of x, zeros at first use; NULL when x wants none
ATTN__FUNC attn_tensor *attn__grad_of(attn_ctx *c, attn_tensor *x) {
    if (!(x->flags & ATTN__REACHED)) return NULL;
    if (x->grad) return x->grad;
    x->grad = attn__new(c, "attn_backward", x->type, x->rank, x->shape, 1, x->flags & ATTN_TENSOR_PARAM ? 1 : 0);
    if (x->grad->flags & ATTN_TENSOR_EMPTY) { x->grad = NULL; return NULL; }
    x->grad->flags = 0;
    attn__zero(x->grad);
    if (!(x->flags & ATTN_TENSOR_PARAM)) { x->next = c->graded; c->graded = x; }
    return x->grad;
}
// Uninitialised scratch of a shape; its EMPTY answer has no element, so that loops over it do nothing
ATTN__FUNC attn_tensor *attn__scratch(attn_ctx *c, int type, int rank, const ptrdiff_t *shape) {
    return attn__new(c, "attn_backward", type, rank, shape, 1, 0);
}
ATTN__FUNC attn_tensor attn__turned(const attn_tensor *x, int i, int j) {
    attn_tensor t = *x;
    t.shape[i] = x->shape[j]; t.stride[i] = x->stride[j]; t.shape[j] = x->shape[i]; t.stride[j] = x->stride[i];
    return t;
}
// da and db are NULL where no gradient is wanted; n->x, n->y, n->s, n->i are what the forward left.
#define ATTN__BWD(name) \
    ATTN__FUNC void attn__bwd_##name(attn_ctx *c, const attn__node *n, attn_tensor *g, attn_tensor *da, attn_tensor *db)
#define ATTN__UNUSED (void)c; (void)n; (void)g; (void)da; (void)db
ATTN__BWD(add) {
    ATTN__UNUSED;
    if (da) attn__each(c, ATTN__LOOP_COPY, 1, da, g, g, 0);
    if (db) attn__each(c, ATTN__LOOP_COPY, 1, db, g, g, 0);
}
ATTN__BWD(sub) {
    ATTN__UNUSED;
    if (da) attn__each(c, ATTN__LOOP_COPY, 1, da, g, g, 0);
    if (db) attn__each(c, ATTN__LOOP_SCALE, 1, db, g, g, -1);
}
ATTN__BWD(mul) {
    if (da) attn__each(c, ATTN__LOOP_MUL, 1, da, g, n->x[1], 0);
    if (db) attn__each(c, ATTN__LOOP_MUL, 1, db, g, n->x[0], 0);
}
ATTN__BWD(div) {
    if (da) attn__each(c, ATTN__LOOP_DIV, 1, da, g, n->x[1], 0);
    if (db) {                                            // -g y / b, y = a / b
        attn_tensor *t = attn__scratch(c, g->type, g->rank, g->shape);
        if (c->error) return;
        attn__each(c, ATTN__LOOP_MUL_SCALE, 0, t, g, n->y, -1);
        attn__each(c, ATTN__LOOP_DIV, 1, db, t, n->x[1], 0);
    }
}
ATTN__BWD(scale) { ATTN__UNUSED; attn__each(c, ATTN__LOOP_SCALE, 1, da, g, g, n->s); }
ATTN__BWD(square) { ATTN__UNUSED; attn__each(c, ATTN__LOOP_MUL_SCALE, 1, da, g, n->x[0], 2); }
ATTN__BWD(exp) { ATTN__UNUSED; attn__each(c, ATTN__LOOP_MUL, 1, da, g, n->y, 0); }
ATTN__BWD(tanh) { ATTN__UNUSED; attn__each(c, ATTN__LOOP_TANH_GRAD, 1, da, n->y, g, 0); }
ATTN__BWD(relu) { ATTN__UNUSED; attn__each(c, ATTN__LOOP_RELU_GRAD, 1, da, n->y, g, 0); }
ATTN__BWD(log) { ATTN__UNUSED; attn__each(c, ATTN__LOOP_DIV, 1, da, g, n->x[0], 0); }
ATTN__BWD(sqrt) {
    attn_tensor *t = attn__scratch(c, g->type, g->rank, g->shape);
    ATTN__UNUSED;
    if (c->error) return;
    attn__each(c, ATTN__LOOP_SCALE, 0, t, g, g, 0.5);
    attn__each(c, ATTN__LOOP_DIV, 1, da, t, n->y, 0);
}
ATTN__BWD(sigmoid) {
    attn_tensor *t = attn__scratch(c, g->type, g->rank, g->shape);
    ATTN__UNUSED;
    if (c->error) return;
    attn__each(c, ATTN__LOOP_SQUARE, 0, t, n->y, n->y, 0);
    attn__each(c, ATTN__LOOP_SUB, 0, t, n->y, t, 0);
    attn__each(c, ATTN__LOOP_MUL, 1, da, g, t, 0);
}
ATTN__BWD(silu) {                                        // s + s (x - x s)
    attn_tensor *s = attn__scratch(c, g->type, g->rank, g->shape), *t = attn__scratch(c, g->type, g->rank, g->shape);
    ATTN__UNUSED;
    if (c->error) return;
    attn__each(c, ATTN__LOOP_SIGMOID, 0, s, n->x[0], g, 0);
    attn__each(c, ATTN__LOOP_MUL, 0, t, n->x[0], s, 0);
    attn__each(c, ATTN__LOOP_SUB, 0, t, n->x[0], t, 0);
    attn__each(c, ATTN__LOOP_MUL, 0, t, t, s, 0);
    attn__each(c, ATTN__LOOP_ADD, 0, t, t, s, 0);
    attn__each(c, ATTN__LOOP_MUL, 1, da, g, t, 0);
}
ATTN__BWD(gelu) {
    attn_tensor *s = attn__scratch(c, g->type, g->rank, g->shape), *t = attn__scratch(c, g->type, g->rank, g->shape);
    ATTN__UNUSED;
    if (c->error) return;
    attn__each(c, ATTN__LOOP_SCALE, 0, s, n->x[0], g, 0.70710678118654752);
    attn__each(c, ATTN__LOOP_ERF, 0, s, s, s, 0);
    attn__each(c, ATTN__LOOP_MUL_SCALE, 0, t, n->x[0], n->x[0], -0.5);
    attn__each(c, ATTN__LOOP_EXP, 0, t, t, t, 0);
    attn__each(c, ATTN__LOOP_MUL_SCALE, 0, t, t, n->x[0], 0.39894228040143268);
    attn__each(c, ATTN__LOOP_MUL, 1, da, g, t, 0);
    attn__each(c, ATTN__LOOP_MUL_SCALE, 1, da, g, s, 0.5);
    attn__each(c, ATTN__LOOP_SCALE, 1, da, g, g, 0.5);
}
ATTN__BWD(sum) { ATTN__UNUSED; attn__each(c, ATTN__LOOP_SCALE, 1, da, g, g, n->s); }
ATTN__BWD(mean) { attn__bwd_sum(c, n, g, da, db); }
ATTN__BWD(max) {
    const int axis = (int)n->i[0], e = attn__types[g->type].bytes;
    attn_tensor row = *da;
    ATTN__UNUSED;
    row.shape[axis] = 1;
    for (ptrdiff_t i = 0, m = attn_count(g); i < m; i++) {
        char *p = attn__element(&row, i) + ((const int32_t *)n->x[1]->data)[i] * da->stride[axis] * e;
        attn__put(g->type, p, attn__get(g->type, p) + attn__get(g->type, (const char *)g->data + i * e));
    }
}
ATTN__BWD(matmul) {
    const attn_tensor at = attn__turned(n->x[0], n->x[0]->rank - 1, n->x[0]->rank - 2);
    const attn_tensor bt = attn__turned(n->x[1], n->x[1]->rank - 1, n->x[1]->rank - 2);
    if (da) attn__product(c, da, g, &bt, 1);
    if (db) attn__product(c, db, &at, g, 1);
}
ATTN__BWD(softmax) {
    ptrdiff_t shape[ATTN_MAX_RANK];
    attn_tensor *dot, *rest;
    ATTN__UNUSED;
    memcpy(shape, g->shape, sizeof shape);
    shape[g->rank - 1] = 1;
    dot = attn__scratch(c, g->type, g->rank, shape); rest = attn__scratch(c, g->type, g->rank, g->shape);
    if (c->error) return;
    attn__zero(dot);
    attn__each(c, ATTN__LOOP_MUL, 1, dot, g, n->y, 0);
    attn__each(c, ATTN__LOOP_SUB, 0, rest, g, dot, 0);
    attn__each(c, ATTN__LOOP_MUL, 1, da, n->y, rest, 0);
}
ATTN__BWD(log_softmax) {
    ptrdiff_t shape[ATTN_MAX_RANK];
    attn_tensor *sum, *p;
    ATTN__UNUSED;
    memcpy(shape, g->shape, sizeof shape);
    shape[g->rank - 1] = 1;
    sum = attn__scratch(c, g->type, g->rank, shape); p = attn__scratch(c, g->type, g->rank, g->shape);
    if (c->error) return;
    attn__zero(sum);
    attn__each(c, ATTN__LOOP_COPY, 1, sum, g, g, 0);
    attn__each(c, ATTN__LOOP_EXP, 0, p, n->y, g, 0);
    attn__each(c, ATTN__LOOP_COPY, 1, da, g, g, 0);
    attn__each(c, ATTN__LOOP_MUL_SCALE, 1, da, p, sum, -1);
}
// h = (x - mean) / s and u = g w: the gradient of s leaves u no part along h, that of the mean none along 1
ATTN__FUNC void attn__bwd_norm(attn_ctx *c, const attn__node *n, attn_tensor *g, attn_tensor *da, attn_tensor *db,
                               int layer) {
    const attn_tensor *x = n->x[0], *w = n->x[1];
    const double one = x->shape[x->rank - 1] ? 1.0 / (double)x->shape[x->rank - 1] : 0;
    ptrdiff_t shape[ATTN_MAX_RANK];
    attn_tensor *mean, *s, *h, *u;
    memcpy(shape, x->shape, sizeof shape);
    shape[x->rank - 1] = 1;
    mean = attn__scratch(c, x->type, x->rank, shape); s = attn__scratch(c, x->type, x->rank, shape);
    h = attn__scratch(c, x->type, x->rank, x->shape); u = attn__scratch(c, x->type, x->rank, x->shape);
    if (c->error) return;
    attn__zero(mean);
    if (layer) attn__each(c, ATTN__LOOP_SCALE, 1, mean, x, x, one);
    attn__each(c, ATTN__LOOP_SUB, 0, h, x, mean, 0);
    for (ptrdiff_t i = 0, m = attn_count(s); i < m; i++)
        attn__put(s->type, (char *)s->data + i * attn__types[s->type].bytes, n->s);
    attn__each(c, ATTN__LOOP_MUL_SCALE, 1, s, h, h, one);
    attn__each(c, ATTN__LOOP_SQRT, 0, s, s, s, 0);
    attn__each(c, ATTN__LOOP_DIV, 0, h, h, s, 0);
    if (db) attn__each(c, ATTN__LOOP_MUL, 1, db, g, h, 0);
    if (!da) return;
    attn__each(c, w ? ATTN__LOOP_MUL : ATTN__LOOP_COPY, 0, u, g, w ? w : g, 0);
    attn__zero(mean);
    if (layer) attn__each(c, ATTN__LOOP_SCALE, 1, mean, u, u, one);
    attn__each(c, ATTN__LOOP_SUB, 0, u, u, mean, 0);
    attn__zero(mean);
    attn__each(c, ATTN__LOOP_MUL_SCALE, 1, mean, u, h, -one);
    attn__each(c, ATTN__LOOP_MUL, 1, u, h, mean, 0);
    attn__each(c, ATTN__LOOP_DIV, 1, da, u, s, 0);
}
ATTN__BWD(layer_norm) { attn__bwd_norm(c, n, g, da, db, 1); }
ATTN__BWD(rms_norm) { attn__bwd_norm(c, n, g, da, db, 0); }
ATTN__BWD(reshape) {
    attn_tensor t = *n->x[0];
    ATTN__UNUSED;
    t.data = g->data;
    attn__contiguous_strides(&t);
    attn__each(c, ATTN__LOOP_COPY, 1, da, &t, &t, 0);
}
ATTN__BWD(transpose) {
    const attn_tensor t = attn__turned(da, (int)n->i[0], (int)n->i[1]);
    ATTN__UNUSED;
    attn__each(c, ATTN__LOOP_COPY, 1, &t, g, g, 0);
}
ATTN__BWD(slice) {
    attn_tensor t = *da;
    ATTN__UNUSED;
    attn__narrow(&t, (int)n->i[0], n->i[1], n->i[2]);
    attn__each(c, ATTN__LOOP_COPY, 1, &t, g, g, 0);
}
ATTN__BWD(broadcast) { ATTN__UNUSED; attn__each(c, ATTN__LOOP_COPY, 1, da, g, g, 0); }
ATTN__BWD(cross_entropy) {
    const ptrdiff_t rows = n->x[2]->shape[0], cols = n->x[2]->shape[1], e = attn__types[g->type].bytes;
    const double s = attn__get(g->type, g->data) / (double)rows;
    if (da) attn__each(c, ATTN__LOOP_SCALE, 1, da, n->x[2], n->x[2], s);
    for (ptrdiff_t i = 0; da && i < rows; i++) {
        char *p = (char *)da->data + (i * cols + ((const int32_t *)n->x[1]->data)[i]) * e;
        attn__put(g->type, p, attn__get(g->type, p) - s);
    }
    (void)db;
}
ATTN__BWD(mse) {
    ptrdiff_t shape[ATTN_MAX_RANK];
    int rank = 0;
    attn_tensor *t;
    attn__broadcast_shape(n->x[0], n->x[1], &rank, shape);
    t = attn__scratch(c, g->type, rank, shape);
    if (c->error) return;
    attn__each(c, ATTN__LOOP_SUB, 0, t, n->x[0], n->x[1], 0);
    if (da) attn__each(c, ATTN__LOOP_MUL_SCALE, 1, da, t, g, n->s);
    if (db) attn__each(c, ATTN__LOOP_MUL_SCALE, 1, db, t, g, -n->s);
}
// One function an operator, by its row: one that HAS a derivative and lacks it here does not compile.
typedef void (*attn__bwd)(attn_ctx *c, const attn__node *n, attn_tensor *g, attn_tensor *da, attn_tensor *db);
#define ATTN__BWD_HAS(name) attn__bwd_##name
#define ATTN__BWD_NONE(name) NULL
#define ATTN__BWD_LATER(name) NULL
static const attn__bwd attn__backwards[ATTN_OP_COUNT] = {
#define ATTN__ROW(NAME, name, in, keeps, has, grad) ATTN__BWD_##has(name),
    ATTN_OP_LIST(ATTN__ROW)
#undef ATTN__ROW
};

ATTN__FUNC int attn__differentiable(const attn__node *n, int k) {
    const attn_tensor *x = n->x[k];
    return x && k < attn__ops[n->op].inputs && attn__is_float(x->type) &&
           (n->all || x->flags & (ATTN_TENSOR_PARAM | ATTN_TENSOR_RECORDED));
}
// Marks what the loss depends on; 0 when part of it has been differentiated before
ATTN__FUNC int attn__reach_nodes(attn_ctx *c) {
    for (attn__node *n = c->nodes; n; n = n->prev) {
        if (!(n->y->flags & ATTN__REACHED)) continue;
        if (n->done) return 0;
        for (int k = 0; k < 2; k++) if (attn__differentiable(n, k)) n->x[k]->flags |= ATTN__REACHED;
    }
    return 1;
}
ATTN_DEF attn_status attn_backward(attn_ctx *c, attn_tensor *loss) {
    attn_tensor *seed;
    int fresh;
    if (!attn__float_ready(c, "attn_backward", loss, loss)) return attn_error(c);
    if (attn_count(loss) != 1) {
        attn__fail_shapes(c, "attn_backward", loss, NULL, "a loss of one element is wanted");
        return c->error;
    }
    if (!(loss->flags & ATTN_TENSOR_RECORDED)) {
        attn__fail(c, ATTN_ERR_STATE, "attn_backward", "the loss depends on no parameter, and nothing was recorded");
        return c->error;
    }
    loss->flags |= ATTN__REACHED;
    fresh = attn__reach_nodes(c);
    seed = fresh ? attn__grad_of(c, loss) : NULL;
    if (!fresh) attn__fail(c, ATTN_ERR_STATE, "attn_backward", "this record has been differentiated before");
    if (seed) attn__put(seed->type, seed->data, 1);
    for (attn__node *n = c->nodes; n && !c->error; n = n->prev) {
        attn_tensor *d[2] = { NULL, NULL };
        size_t mark;
        if (!(n->y->flags & ATTN__REACHED) || !n->y->grad) continue;
        for (int k = 0; k < 2; k++) if (attn__differentiable(n, k)) d[k] = attn__grad_of(c, n->x[k]);
        n->done = 1;
        mark = attn__place(c);
        if (!c->error && (d[0] || d[1])) attn__backwards[n->op](c, n, n->y->grad, d[0], d[1]);
        attn__rewind(c, mark);                           // the scratch
    }
    for (attn__node *n = c->nodes; n; n = n->prev) {
        n->y->flags &= ~ATTN__REACHED;
        for (int k = 0; k < 2; k++) if (n->x[k]) n->x[k]->flags &= ~ATTN__REACHED;
    }
    loss->flags &= ~ATTN__REACHED;
    return c->error;
}
ATTN_DEF void attn_zero_grad(attn_ctx *c) {
    for (attn_tensor *p = attn_params(c); p; p = p->next) if (p->grad) attn__zero(p->grad);
}

// ---- optimisers

ATTN_DEF attn_status attn_sgd(attn_ctx *c, double rate, double momentum) {
    if (attn_error(c)) return attn_error(c);
    if (!attn__finite(rate))
        attn__fail_number(c, ATTN_ERR_RANGE, "attn_sgd", "rate", ATTN__UNSAID, "Inf or NaN");
    else if (!(momentum >= 0 && momentum <= 1) || !attn__finite(momentum))
        attn__fail_number(c, ATTN_ERR_RANGE, "attn_sgd", "momentum", ATTN__UNSAID, "outside 0 <= m <= 1");
    if (c->error) return c->error;
    for (attn_tensor *p = c->first_param; p; p = p->next) {
        attn_tensor *step = p->grad;
        if (!step) continue;
        if (momentum != 0) {                             // v = momentum v + g
            if (!p->state) {
                p->state = attn__new(c, "attn_sgd", p->type, p->rank, p->shape, 1, 1);
                if (c->error) { p->state = NULL; return c->error; }
                p->state->flags = 0;
                attn__zero(p->state);
            }
            attn__each(c, ATTN__LOOP_SCALE, 0, p->state, p->state, p->state, momentum);
            attn__each(c, ATTN__LOOP_COPY, 1, p->state, step, step, 0);
            step = p->state;
        }
        attn__each(c, ATTN__LOOP_SCALE, 1, p, step, step, -rate);
    }
    return ATTN_OK;
}
#endif // ATTN_ONLY_KERNELS

#ifndef ATTN_ONLY_KERNELS
// -------------------------------------------------------------------------------------------------------------------
// >>draw
//
// Text goes through a pen. Sides of plots and heat maps and colour bars are one thing, attn__side.

// ---- the pen: gathers text, so that one call of the caller's function takes many pieces; numbers and words

typedef struct attn__pen { attn_write write; void *user; int xml, stopped; size_t used; char text[1024]; } attn__pen;
ATTN__FUNC attn_status attn__pen_flush(attn__pen *pen) {
    if (!pen->stopped && pen->used != 0 && pen->write(pen->user, pen->text, pen->used) != 0) pen->stopped = 1;
    pen->used = 0;
    return pen->stopped ? ATTN_ERR_IO : ATTN_OK;
}
ATTN__FUNC void attn__pen_bytes(attn__pen *pen, const char *text, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        if (pen->used == sizeof pen->text) (void)attn__pen_flush(pen);
        pen->text[pen->used++] = text[i];
    }
}
ATTN__FUNC void attn__pen_str(attn__pen *pen, const char *text) { attn__pen_bytes(pen, text, attn__length(text)); }
ATTN__FUNC double attn__draw_larger(double a, double b) { return a > b ? a : b; }
ATTN__FUNC double attn__draw_log10(double x) { return attn__log_d(x) * 0.43429448190325182765; }
ATTN__FUNC int64_t attn__draw_floor(double x) { return (int64_t)x - ((double)(int64_t)x > x); }
ATTN__FUNC double attn__draw_ten(int power) {
    double v = 1.0; // exact up to 10^22, and so is the rounding of its inverse
    for (int i = power < 0 ? -power : power; i > 0; --i) v *= 10.0;
    return power < 0 ? 1.0 / v : v;
}
// Writes digits * 10^power, plainly or as 1.5e-7, and a zero byte; returns the length, at most 40.
ATTN__FUNC int attn__draw_decimal(char *to, int64_t digits, int power, int sci) {
    char raw[24];
    int used = 0;
    for (; sci && digits != 0 && digits % 10 == 0; digits /= 10) ++power;
    if (digits == 0 && (sci || power > 0)) power = sci = 0;
    attn__text t = attn__text_of(raw, sizeof raw);
    attn__say_int(&t, digits < 0 ? -digits : digits);
    int n = (int)attn__length(raw), before = sci ? 1 : n + power; // digits before the point
    if (digits < 0) to[used++] = '-';
    for (int i = before < 1 ? before - 1 : 0; i < n || i < before; ++i) {
        if (i == before) to[used++] = '.';
        to[used++] = (char)(i >= 0 && i < n ? raw[i] : '0');
    }
    to[used] = 0;
    if (!sci) return used;
    to[used++] = 'e';
    return used + attn__draw_decimal(to + used, power + n - 1, 0, 0);
}
// Writes v rounded to a multiple of 10^power, without zeros behind the point.
ATTN__FUNC void attn__pen_round(attn__pen *pen, double v, int power, int sci) {
    char text[48];
    int64_t q = attn__draw_floor(v / attn__draw_ten(power) + 0.5); // a quotient: nothing for a compiler to fuse
    if (q == 0) power = 0;
    for (; q != 0 && q % 10 == 0; q /= 10) ++power;
    attn__draw_decimal(text, q, power, sci);
    attn__pen_str(pen, text);
}
// Writes a template: @ is the next of the numbers, rounded to 1/100; ~ is the next as a colour, 0xRRGGBB.
ATTN__FUNC void attn__pen_form(attn__pen *pen, const char *text, const double *v) {
    for (; *text != 0; ++text) {
        if (*text == '@') attn__pen_round(pen, *v++, -2, 0);
        else attn__pen_bytes(pen, *text == '~' ? "#" : text, 1);
        for (int shift = 20; *text == '~' && shift >= 0; shift -= 4)
            attn__pen_bytes(pen, &"0123456789abcdef"[(uint32_t)*v >> shift & 15], 1);
        v += *text == '~';
    }
}
#define ATTN__FORM(pen, text, ...) \
    do { const double attn__v[] = {__VA_ARGS__}; attn__pen_form(pen, text, attn__v); } while (0)
// The next code point of UTF-8 text; U+FFFD for what is not UTF-8, not allowed in XML or a control character.
ATTN__FUNC uint32_t attn__utf8_next(const char **at) {
    static const uint32_t least[4] = {0x20, 0xA0, 0x800, 0x10000};
    const char *s = *at;
    uint32_t lead = (unsigned char)s[0];
    int more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3, bad = (lead & 0xC0) == 0x80 || lead > 0xF7;
    uint32_t c = more == 0 ? lead : lead & 0x3Fu >> more;
    for (int i = 1; i <= more && !bad; ++i) { // the terminating zero is bad, too
        bad = ((unsigned char)s[i] & 0xC0) != 0x80;
        c = c << 6 | ((unsigned char)s[i] & 0x3Fu);
    }
    bad = bad || c < least[more] || c == 0x7F || (c >= 0xD800 && c < 0xE000) || (c & 0xFFFE) == 0xFFFE || c > 0x10FFFF;
    *at = s + (bad ? 1 : 1 + more);
    return bad ? 0xFFFDu : c;
}
// Writes at most `most` characters (XML) or columns, an ellipsis for the last where there are more. Not in XML East
// Asian characters and emoji are two columns. Returns the columns; only that without a pen.
ATTN__FUNC int attn__pen_text(attn__pen *pen, const char *text, int most) {
    int columns = 0, cut = 0, xml = pen != NULL && pen->xml;
    while (text != NULL && *text != 0 && !cut) {
        const char *from = text, *other = NULL;
        uint32_t c = attn__utf8_next(&text);
        int wide = !xml && ((c >= 0x2E80 && c < 0xE000) || (c >= 0xFF00 && c < 0xFF61) || c >= 0x1F000) ? 2 : 1;
        cut = columns + wide > most || (columns + wide == most && *text != 0);
        columns += cut ? 1 : wide;
        if (cut || c == 0xFFFD) other = cut ? "\xE2\x80\xA6" : "\xEF\xBF\xBD";
        else if (xml) other = c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : NULL;
        if (pen != NULL && other != NULL) attn__pen_str(pen, other);
        else if (pen != NULL) attn__pen_bytes(pen, from, (size_t)(text - from));
    }
    return columns;
}
ATTN__FUNC void attn__pen_value(attn__pen *pen, double v) { // with four significant digits
    int e = v == 0.0 ? 0 : (int)attn__draw_floor(attn__draw_log10(attn__draw_larger(v, -v)));
    attn__pen_round(pen, v, e - 3, e < -4 || e > 5);
}
ATTN__FUNC double attn__text_width(const char *text, int most, double size) { // pixels
    return 0.61 * size * attn__pen_text(NULL, text, most);
}
ATTN__FUNC void attn__svg_open(attn__pen *pen, double w, double h) {
    ATTN__FORM(pen, "<svg xmlns='http://www.w3.org/2000/svg' width='@' height='@' viewBox='0 0 @ @' "
               "font-family='DejaVu Sans, Helvetica, Arial, sans-serif' font-size='10' text-anchor='middle'>\n"
               "<rect width='100%' height='100%' fill='#fff'/>\n", w, h, w, h);
}
// Styles finish the attribute `transform`, so that a text may be turned, and begin others.
#define ATTN__TITLE "' font-size='13'"
#define ATTN__LABEL "' font-size='11'"
#define ATTN__START "' text-anchor='start'"
#define ATTN__END "' text-anchor='end'"
#define ATTN__TURN " rotate(-90)"
ATTN__FUNC void attn__svg_begin(attn__pen *pen, double x, double y, const char *style) {
    ATTN__FORM(pen, "<text transform='translate(@ @)", x, y);
    attn__pen_str(pen, style); attn__pen_str(pen, ">");
}
ATTN__FUNC void attn__svg_text(attn__pen *pen, double x, double y, const char *style, const char *text, int most) {
    if (text == NULL) return;
    attn__svg_begin(pen, x, y, style);
    attn__pen_text(pen, text, most); attn__pen_str(pen, "</text>\n");
}
// Opens a box whose units are cells; attn__svg_frame closes a box and draws its frame.
ATTN__FUNC void attn__svg_cells(attn__pen *pen, double x, double y, double w, double h, double cols, double rows) {
    ATTN__FORM(pen, "<svg x='@' y='@' width='@' height='@' viewBox='0 0 @ @' preserveAspectRatio='none' "
               "shape-rendering='crispEdges'>\n", x, y, w, h, cols, rows);
}
ATTN__FUNC void attn__svg_frame(attn__pen *pen, double x, double y, double w, double h) {
    ATTN__FORM(pen, "</svg>\n<path fill='none' stroke='#000' stroke-width='.8' d='M@ @h@v@h@z'/>\n", x, y, w, h, -w);
}

// ---- one side of a picture, or its colour bar

enum { ATTN__BELOW, ATTN__TURNED, ATTN__LEFT, ATTN__RIGHT }; // TURNED: below, words read upwards
// low .. high (on a logarithmic side the logarithms) are `length` pixels; marks are sought in least .. most. Mark k is
// (first + k) unit 10^power, on a logarithmic side one of `leads` (1, 2, 5) in every unit-th decade from 10^first on.
static const int attn__draw_lead[3] = {1, 2, 5};
typedef struct attn__side {
    double low, high, length, least, most, gap, room; // gap: pixels between marks, at least; room: what words take
    int place, log, whole, found; // whole: marks at whole numbers only; found: least and most are known
    const char *const *names;     // words of the marks 0, 1, 2, ..; NULL = numbers
    int leads, unit, power, sci;
    int64_t first, marks;
} attn__side;
ATTN__FUNC attn__side attn__side_of(int place, double length, double gap, int log) {
    attn__side a = ATTN_ZERO;
    a.place = place; a.length = length; a.gap = gap; a.log = log != 0; a.high = 1.0;
    return a;
}
// The pixel of a value; far outside it stays where a renderer can still count.
ATTN__FUNC double attn__side_at(const attn__side *a, double x) {
    double at = ((a->log ? attn__draw_log10(x) : x) - a->low) / (a->high - a->low) * a->length;
    if (a->place > ATTN__TURNED) at = a->length - at;
    return at > 1e6 ? 1e6 : at < -1e6 ? -1e6 : at;
}
// Walks over the marks, settles what they take and returns whether their words have room. With a pen draws them along
// the side that begins, on the left or on top, at (x, y): lines over `grid` pixels, marks, words if wanted.
ATTN__FUNC int attn__side_walk(attn__side *a, attn__pen *pen, double x, double y, double grid, int worded) {
    static const char *const style[4] = {"'", ATTN__TURN ATTN__END, ATTN__END, ATTN__START};
    static const double right[4] = {0.0, 3.5, -6.0, 6.0}, down[4] = {14.0, 7.0, 3.5, 3.5};
    double widest = 0.0, closest = 1e9, was = -1e9;
    int upright = a->place > ATTN__TURNED, shown = 0;
    for (int64_t k = 0; k < a->marks; ++k) {
        int64_t digits = a->leads != 0 ? attn__draw_lead[k % a->leads] : (a->first + k) * a->unit;
        int power = a->leads != 0 ? (int)(a->first + k / a->leads * a->unit) : a->power;
        double ten = attn__draw_ten(power < 0 ? -power : power); // digits / 10^3 is exact, digits * 10^-3 is not
        double at = attn__side_at(a, power < 0 ? (double)digits / ten : (double)digits * ten);
        char text[48];
        if (!(at >= -0.01 && at <= a->length + 0.01)) continue;
        attn__draw_decimal(text, digits, power, a->sci);
        const char *words = a->names != NULL ? a->names[(ptrdiff_t)((double)digits * ten)] : text;
        double apart = attn__draw_larger(at - was, was - at), px = upright ? x : x + at, py = upright ? y + at : y;
        if (apart < closest) closest = apart;
        widest = attn__draw_larger(widest, attn__text_width(words, 24, 10.0));
        was = at; ++shown;
        if (pen == NULL) continue;
        if (grid > 0.0) attn__pen_str(pen, "<path stroke='#ddd' stroke-width='.8' d='");
        if (grid > 0.0) ATTN__FORM(pen, upright ? "M@ @h@'/>" : "M@ @v-@'/>", px, py, grid);
        ATTN__FORM(pen, "<path stroke='#000' stroke-width='.8' d='M@ @h@v@'/>", px, py,
                   upright ? right[a->place] * 3.5 / 6.0 : 0.0, upright ? 0.0 : 3.5);
        if (worded) attn__svg_text(pen, px + right[a->place], py + down[a->place], style[a->place], words, 24);
    }
    if (a->leads != 0 && shown < 2) return 0;
    if (!upright && a->names != NULL && closest < widest + 9.0) a->place = ATTN__TURNED;
    a->room = a->place == ATTN__BELOW ? 17.0 : widest + 9.0;
    return closest >= (a->place == ATTN__BELOW ? attn__draw_larger(a->gap, widest + 9.0) : a->gap);
}
// Chooses the marks: from close to far the first that fit, 1, 2 or 5 times a power of ten apart. On a logarithmic side
// 1, 2, 5 of each decade, then decades; as on others where these are less than two.
ATTN__FUNC void attn__side_choose(attn__side *a) {
    double widest = attn__draw_larger(-a->least, a->most), raw = (a->most - a->least) * a->gap / a->length;
    int e = raw > 0.0 ? (int)attn__draw_floor(attn__draw_log10(raw)) : 0;
    if ((a->whole && e < 0) || a->names != NULL) e = 0;
    a->first = attn__draw_floor(a->low); a->sci = a->low < -4.0 || a->high >= 6.0;
    for (int k = 0; a->log && a->high - a->low > k; ++k) {
        a->leads = k == 0 ? 3 : 1; a->unit = k == 0 ? 1 : k;
        a->marks = (attn__draw_floor(a->high - (double)a->first + 1e-6) / a->unit + 1) * a->leads;
        if (attn__side_walk(a, NULL, 0.0, 0.0, 0.0, 0)) return;
    }
    a->leads = 0; a->sci = widest >= 1e6 || widest < 1e-4;
    for (int k = 0; k < 1000; ++k) {
        a->unit = attn__draw_lead[k % 3]; a->power = e + k / 3;
        double step = a->unit * attn__draw_ten(a->power);
        a->first = attn__draw_floor(a->least / step);
        a->marks = attn__draw_floor(a->most / step + 1e-6) - a->first + 1;
        if (attn__side_walk(a, NULL, 0.0, 0.0, 0.0, 0)) return;
    }
}

// ---- heat maps

// 0 = finite, 1 = +Inf, -1 = -Inf, 2 = NaN: by its bits, which -ffast-math leaves alone.
ATTN__FUNC int attn__draw_kind(const float *x) {
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    if ((bits & 0x7F800000u) != 0x7F800000u) return 0;
    return (bits & 0x7FFFFFu) != 0 ? 2 : bits >> 31 ? -1 : 1;
}
// Whether low and high are both 0 or the ends of an interval, on a logarithmic side above 0.
ATTN__FUNC int attn__draw_interval(const float *low, const float *high, int log) {
    if (attn__draw_kind(low) != 0 || attn__draw_kind(high) != 0) return 0;
    return (*low == 0.0f && *high == 0.0f) || (*low < *high && (log == 0 || *low > 0.0f));
}
#define ATTN__HEAT_NAN 256 // the level after the 256 colours
// 0xRRGGBB at equal distances: 9 of ColorBrewer's, 17 fitted to matplotlib's viridis (to 3/255) and coolwarm (4/255).
static const uint32_t attn__cmaps[ATTN_CMAP_COUNT][17] = {
    {0xFFF5F0, 0xFEE0D2, 0xFCBBA1, 0xFC9272, 0xFB6A4A, 0xEF3B2C, 0xCB181D, 0xA50F15, 0x67000D},
    {0x450154, 0x48186B, 0x482D7C, 0x424086, 0x3B528B, 0x33638D, 0x2C728E, 0x26818E, 0x21908C, 0x1E9F89, 0x27AE81,
     0x3DBC74, 0x5CC963, 0x81D34C, 0xABDC32, 0xD6E217, 0xFDE722},
    {0xF7FBFF, 0xDEEBF7, 0xC6DBEF, 0x9ECAE1, 0x6BAED6, 0x4292C6, 0x2171B5, 0x08519C, 0x08306B},
    {0xFFFFFF, 0xF0F0F0, 0xD9D9D9, 0xBDBDBD, 0x969696, 0x737373, 0x525252, 0x252525, 0x000000},
    {0x3B4CC0, 0x4D68D8, 0x6282EA, 0x779AF7, 0x8DB0FE, 0xA3C2FF, 0xB8D0F9, 0xCCD9EE, 0xDDDDDD, 0xECD3C5, 0xF5C4AD,
     0xF8B294, 0xF59A7B, 0xEC7F63, 0xDE5F4D, 0xCB4138, 0xB40726}};
typedef struct attn__heat {
    attn_heatmap_desc d;
    ptrdiff_t panel, panels, block, rows, cols; // panel: values of one; rows x cols cells are means of block x block
    int has_nan, own;
    attn__side x, y, bar;                       // bar: of the panel that is drawn
} attn__heat;
ATTN__FUNC uint32_t attn__heat_color(const attn__heat *t, int level) {
    int cmap = t->d.cmap, spans = cmap == ATTN_CMAP_VIRIDIS || cmap == ATTN_CMAP_COOLWARM ? 16 : 8;
    uint32_t color = 0, at = (uint32_t)(level * spans), part = at % 255;
    if (level >= ATTN__HEAT_NAN) return cmap == ATTN_CMAP_GREYS || cmap == ATTN_CMAP_COOLWARM ? 0xF0C040 : 0xB0B0B0;
    const uint32_t *from = attn__cmaps[cmap] + at / 255;
    for (int shift = 0; shift < 24; shift += 8) {
        uint32_t a = from[0] >> shift & 255, b = part != 0 ? from[1] >> shift & 255 : 0;
        color |= (a * (255 - part) + b * part + 127) / 255 << shift;
    }
    return color;
}
// Sets the colour range from count values; notes whether there is a NaN.
ATTN__FUNC void attn__heat_range(attn__heat *t, const float *x, ptrdiff_t count) {
    double least = 0.0, most = -1e300;
    for (ptrdiff_t i = 0; i < count; ++i) {
        int kind = attn__draw_kind(x + i);
        if (kind == 2) t->has_nan = 1;
        if (kind == 0 && (double)x[i] < least) least = (double)x[i];
        if (kind == 0 && (double)x[i] > most) most = (double)x[i];
    }
    if (most <= least) most = least < 0.0 ? 0.0 : 1.0; // all values equal and not above zero, or none
    if (t->d.cmap == ATTN_CMAP_COOLWARM) most = attn__draw_larger(most, -least), least = -most;
    if (t->d.low < t->d.high) least = (double)t->d.low, most = (double)t->d.high;
    t->bar.low = t->bar.least = least; t->bar.high = t->bar.most = most;
}
// Checks a desc; sizes above `cells` are cut into blocks.
ATTN__FUNC attn_status attn__heat_open(attn__heat *t, const attn_heatmap_desc *from, attn_write write, int cells) {
    attn_heatmap_desc *d = &t->d;
    if (from == NULL || write == NULL) return ATTN_ERR_NULL;
    if (attn__take_desc(d, sizeof *d, from, NULL) != ATTN_OK) return ATTN_ERR_RANGE;
    d->rows += d->rows == 0; d->cols += d->cols == 0; // 0 means 1
    t->panels = attn__mul_size(d->rows, d->cols);
    t->panel = attn__mul_size(d->queries, d->keys);
    if (d->queries < 0 || d->keys < 0 || d->cmap < 0 || d->cmap >= ATTN_CMAP_COUNT) return ATTN_ERR_RANGE;
    if (attn__mul_size(attn__mul_size(t->panels, t->panel), (ptrdiff_t)sizeof(float)) < 0) return ATTN_ERR_RANGE;
    if (d->width < 0 || d->width > 16384 || !attn__draw_interval(&d->low, &d->high, 0)) return ATTN_ERR_RANGE;
    if (t->panel != 0 && d->data == NULL) return ATTN_ERR_NULL;
    ptrdiff_t longer = d->queries > d->keys ? d->queries : d->keys;
    t->block = longer > cells ? (longer - 1) / cells + 1 : 1;
    t->rows = d->queries / t->block + (d->queries % t->block != 0);
    t->cols = d->keys / t->block + (d->keys % t->block != 0);
    t->has_nan = 0; t->own = d->own_range != 0;
    t->bar = attn__side_of(ATTN__RIGHT, 60.0, 14.0, 0);
    if (t->panel != 0) attn__heat_range(t, d->data, t->panel * t->panels);
    return ATTN_OK;
}
// Returns the panel's values; sets range and bar.
ATTN__FUNC const float *attn__heat_panel(attn__heat *t, ptrdiff_t p) {
    if (t->own) attn__heat_range(t, t->d.data + p * t->panel, t->panel);
    attn__side_choose(&t->bar);
    return t->d.data + p * t->panel;
}
ATTN__FUNC const char *attn__heat_title(const attn__heat *t, ptrdiff_t p) {
    return t->d.titles == NULL ? NULL : t->d.titles[t->d.titles_per_panel != 0 ? p : p % t->d.cols];
}
// The colour of cell (r, c): 0..255, or ATTN__HEAT_NAN.
ATTN__FUNC int attn__heat_level(const attn__heat *t, const float *x, ptrdiff_t r, ptrdiff_t c) {
    double sum = 0.0, n = 0.0;
    for (ptrdiff_t i = r * t->block; i < t->d.queries && i < (r + 1) * t->block; ++i) {
        for (ptrdiff_t j = c * t->block; j < t->d.keys && j < (c + 1) * t->block; ++j, n += 1.0) {
            const float *v = x + i * t->d.keys + j;
            int kind = attn__draw_kind(v);
            if (kind == 2) return ATTN__HEAT_NAN;
            sum += kind == 0 ? (double)*v : kind > 0 ? t->bar.high : t->bar.low;
        }
    }
    double at = (sum / n - t->bar.low) / (t->bar.high - t->bar.low) * 256.0;
    return at >= 255.0 ? 255 : at > 0.0 ? (int)at : 0;
}
// What colours do not say, as a sentence.
ATTN__FUNC void attn__heat_words(attn__pen *pen, const attn__heat *t) {
    double n = (double)t->block, rows = (double)t->d.queries, cols = (double)t->d.keys;
    if (t->panel == 0) ATTN__FORM(pen, "nothing to draw: @ queries, @ keys\n", rows, cols);
    else if (n > 1.0) ATTN__FORM(pen, "each cell is the mean of @ x @ values; @ x @ in all\n", n, n, rows, cols);
}
// Rows r0 .. r1 of cells, one path a colour: the levels are taken once, so 16 rows are held. NaN is crossed out.
ATTN__FUNC void attn__heat_band(attn__pen *pen, const attn__heat *t, const float *x, ptrdiff_t r0, ptrdiff_t r1) {
    short level[16 * 256];
    char seen[ATTN__HEAT_NAN + 1] = {0};
    double cell = t->x.length / (double)t->cols;
    ptrdiff_t cells = (r1 - r0) * t->cols, n = 0;
    for (ptrdiff_t i = 0; i < cells; ++i) {
        level[i] = (short)attn__heat_level(t, x, r0 + i / t->cols, i % t->cols);
        seen[level[i]] = 1;
    }
    for (int k = 0; k <= ATTN__HEAT_NAN; ++k) {
        ptrdiff_t px = 0, py = 0; // where the pen stands
        int crossed = k == ATTN__HEAT_NAN && cell >= 5.0;
        if (!seen[k]) continue;
        ATTN__FORM(pen, "<path fill='~'", (double)attn__heat_color(t, k));
        if (crossed) ATTN__FORM(pen, " shape-rendering='auto' stroke='#555' stroke-width='@'", 0.8 / cell);
        attn__pen_str(pen, " d='");
        for (ptrdiff_t i = 0; i < cells; i += n) {
            ptrdiff_t c = i % t->cols, r = r0 + i / t->cols;
            for (n = 1; c + n < t->cols && level[i + n] == level[i] && !crossed;) ++n;
            if (level[i] != k) continue;
            ATTN__FORM(pen, crossed ? "m@ @h@v1h@zl1 1m0-1l-1 1" : "m@ @h@v1h@", (double)(c - px), (double)(r - py),
                       (double)n, (double)-n);
            px = c, py = r + 1;
        }
        attn__pen_str(pen, "'/>");
    }
    attn__pen_str(pen, "\n");
}
// A side of a panel: mark i is in the middle of row or column i.
ATTN__FUNC attn__side attn__heat_side(int place, double length, ptrdiff_t count, const char *const *names) {
    attn__side a = attn__side_of(place, attn__draw_larger(length, 16.0), names != NULL ? 14.0 : 26.0, 0);
    a.names = names; a.whole = 1; a.most = (double)count - 1.0;
    a.low = place == ATTN__LEFT ? a.most + 0.5 : -0.5; // row 0 is on top
    a.high = a.most - a.low;
    attn__side_choose(&a);
    return a;
}
// Settles sides and the bar, which is as high as the panels are; returns the width of the widest bar.
ATTN__FUNC double attn__heat_size(attn__heat *t) {
    double side = t->d.width != 0 ? t->d.width : 240.0, cell = side / (double)(t->rows > t->cols ? t->rows : t->cols);
    if (cell >= 1.0) cell = (double)attn__draw_floor(cell + 0.5); // whole pixels are all of one size
    t->x = attn__heat_side(ATTN__BELOW, cell * (double)t->cols, t->d.keys, t->d.xticks);
    t->y = attn__heat_side(ATTN__LEFT, cell * (double)t->rows, t->d.queries, t->d.yticks);
    double high = t->own || t->d.rows == 1 ? t->y.length : 0.6 * (double)t->d.rows * (t->y.length + 24.0), room = 0.0;
    t->bar.length = attn__draw_larger(high, 60.0);
    t->bar.gap = attn__draw_larger(high / 8.0, 14.0);
    for (ptrdiff_t p = 0; p < (t->own ? t->panels : 1); ++p) {
        attn__heat_panel(t, p);
        room = attn__draw_larger(room, t->bar.room);
    }
    return room + 11.0;
}
ATTN__FUNC void attn__heat_bar(attn__pen *pen, attn__heat *t, double x, double y) {
    attn__svg_cells(pen, x, y, 10.0, t->bar.length, 1.0, 64.0);
    for (int k = 0; k < 64; ++k)
        ATTN__FORM(pen, "<path fill='~' d='M0 @h1v1h-1'/>", (double)attn__heat_color(t, 255 - k * 81 / 20), (double)k);
    attn__svg_frame(pen, x, y, 10.0, t->bar.length);
    attn__side_walk(&t->bar, pen, x + 10.0, y, 0.0, 1);
}
ATTN__FUNC void attn__heat_draw(attn__pen *pen, attn__heat *t, ptrdiff_t p, double x, double y, int most) {
    const float *data = attn__heat_panel(t, p);
    attn__svg_text(pen, x + t->x.length / 2.0, y - 5.0, ATTN__LABEL, attn__heat_title(t, p), most);
    attn__svg_cells(pen, x, y, t->x.length, t->y.length, (double)t->cols, (double)t->rows);
    for (ptrdiff_t i = 0; i < t->rows; i += 16) attn__heat_band(pen, t, data, i, i + 16 < t->rows ? i + 16 : t->rows);
    attn__svg_frame(pen, x, y, t->x.length, t->y.length);
    attn__side_walk(&t->x, pen, x, y + t->y.length, 0.0, p / t->d.cols == t->d.rows - 1);
    attn__side_walk(&t->y, pen, x, y, 0.0, p % t->d.cols == 0);
}
// The last line: what a crossed cell is, and the sentence.
ATTN__FUNC attn_status attn__heat_close(attn__pen *pen, const attn__heat *t, double y) {
    double nan = (double)attn__heat_color(t, ATTN__HEAT_NAN);
    if (t->has_nan) ATTN__FORM(pen, "<path stroke='#555' fill='~' d='M8 @v-9h9v9zl9-9m-9 0l9 9'/>\n", nan, y);
    if (t->has_nan) attn__svg_text(pen, 21.0, y - 1.0, ATTN__START, "NaN", 9);
    attn__svg_begin(pen, t->has_nan ? 56.0 : 8.0, y - 1.0, ATTN__START);
    attn__heat_words(pen, t);
    attn__pen_str(pen, "</text>\n</svg>\n");
    return attn__pen_flush(pen);
}
ATTN_DEF attn_status attn_heatmap_svg(const attn_heatmap_desc *d, attn_write write, void *user) {
    attn__heat heat, *t = &heat;
    attn__pen pen = {write, user, 1, 0, 0, ""};
    attn_status st = attn__heat_open(t, d, write, 256);
    if (st != ATTN_OK) return st;
    double least_w = attn__text_width(t->d.title, 120, 13.0) + 20.0;
    if (t->block > 1 || t->panel == 0) least_w = attn__draw_larger(least_w, 330.0); // the sentence
    if (t->panel == 0) {
        attn__svg_open(&pen, least_w, 60.0);
        attn__svg_text(&pen, least_w / 2.0, 20.0, ATTN__TITLE, t->d.title, 120);
        return attn__heat_close(&pen, t, 48.0);
    }
    // A panel and its bar are `used` pixels wide, in the middle of a field that has room for the words.
    double bar = attn__heat_size(t), named = t->d.titles != NULL ? 18.0 : 0.0;
    double used = t->x.length + (t->own ? 8.0 + bar : 0.0);
    double field_w = attn__draw_larger(attn__text_width(t->d.xlabel, 40, 11.0), 5.5 * named);
    double field_h = attn__draw_larger(attn__text_width(t->d.ylabel, 40, 11.0), 60.0);
    field_w = attn__draw_larger(field_w, used) + 16.0, field_h = attn__draw_larger(field_h, t->y.length) + 14.0 + named;
    double left = 10.0 + (t->d.ylabel != NULL ? 16.0 : 0.0) + t->y.room, top = t->d.title != NULL ? 34.0 : 10.0;
    double panels_w = field_w * (double)t->d.cols, panels_h = field_h * (double)t->d.rows - 14.0;
    double w = left + panels_w + (t->own ? 0.0 : bar) + 2.0, h = top + panels_h + t->x.room;
    h += (t->d.xlabel != NULL ? 18.0 : 0.0) + (t->has_nan || t->block > 1 ? 20.0 : 6.0);
    if (w < least_w) left += (least_w - w) / 2.0, w = least_w;
    attn__svg_open(&pen, w, h);
    attn__svg_text(&pen, w / 2.0, 20.0, ATTN__TITLE, t->d.title, 120);
    for (ptrdiff_t p = 0; p < t->panels; ++p) {
        ptrdiff_t r = p / t->d.cols, c = p % t->d.cols;
        double x = left + (double)c * field_w + (field_w - 16.0 - used) / 2.0, mid_x = x + t->x.length / 2.0;
        double mid_y = top + (double)r * field_h + (field_h - 14.0 + named) / 2.0, y = mid_y - t->y.length / 2.0;
        double below = y + t->y.length + t->x.room + 13.0;
        attn__heat_draw(&pen, t, p, x, y, (int)(field_w / 6.8));
        if (t->own) attn__heat_bar(&pen, t, x + t->x.length + 8.0, mid_y - t->bar.length / 2.0);
        if (r == t->d.rows - 1) attn__svg_text(&pen, mid_x, below, ATTN__LABEL, t->d.xlabel, 40);
        if (c == 0) attn__svg_text(&pen, left - t->y.room - 5.0, mid_y, ATTN__TURN ATTN__LABEL, t->d.ylabel, 40);
    }
    if (!t->own) attn__heat_bar(&pen, t, left + panels_w - 4.0, top + (named + panels_h - t->bar.length) / 2.0);
    return attn__heat_close(&pen, t, h - 6.0);
}

// ---- heat maps in the terminal

typedef struct attn__term { attn__heat *t; attn__pen *pen; int color, wide, half, was, was_below; } attn__term;
// Sets one of the terminal's colours; ground is 38 for the character, 48 for what is behind it, with level -1 nothing.
ATTN__FUNC void attn__term_color(attn__term *m, int ground, int level) {
    uint32_t rgb = attn__heat_color(m->t, level < 0 ? 0 : level);
    int part[3] = {(int)(rgb >> 16), (int)(rgb >> 8 & 255), (int)(rgb & 255)}, code = 0;
    const double v[4] = {(double)ground, (double)part[0], (double)part[1], (double)part[2]};
    for (int k = 0; k < 3; ++k) code = code * 6 + (part[k] < 48 ? 0 : part[k] < 115 ? 1 : (part[k] - 35) / 40);
    // 256 colours are 16, a cube of 6 x 6 x 6 (0, 95, 135, .. 255) and 24 greys (8, 18, .. 238)
    int grey = part[0] == part[1] && part[1] == part[2] && part[0] > 3 && part[0] < 243;
    if (level < 0) attn__pen_str(m->pen, "\x1b[49m");
    else if (m->color == 2) attn__pen_form(m->pen, "\x1b[@;2;@;@;@m", v);
    else ATTN__FORM(m->pen, "\x1b[@;5;@m", v[0], (double)(grey ? 232 + (part[0] - 3) / 10 : 16 + code));
}
// One cell and, where a character is a cell wide in colour, the one below it (-1: none). Colours that are set stay.
ATTN__FUNC void attn__term_cell(attn__term *m, int level, int below) {
    const char *text = level == ATTN__HEAT_NAN ? "?" : &" .:-=+*#%@"[level * 10 / 256];
    if (m->color != 0 && m->was != level) attn__term_color(m, m->half ? 38 : 48, level);
    if (m->half && m->was_below != below) attn__term_color(m, 48, below);
    m->was = level; m->was_below = below;
    if (m->half || m->color != 0) text = m->half ? "\xE2\x96\x80" : " "; // the upper half block
    for (int k = 0; k < m->wide; ++k) attn__pen_bytes(m->pen, text, m->half ? 3 : 1);
}
ATTN__FUNC void attn__term_edge(attn__term *m, const char *color_ends) {
    attn__pen_str(m->pen, m->color == 0 ? "|" : color_ends);
    m->was = m->was_below = -2;
}
ATTN__FUNC void attn__term_pad(attn__term *m, int n) { for (; n > 0; --n) attn__pen_str(m->pen, " "); }
// One panel: lines with the label of their first row, numbers of columns below, and which keys they are.
ATTN__FUNC void attn__term_panel(attn__term *m, const float *x) {
    const attn__heat *t = m->t;
    char text[48];
    int label = 5, at = 80, cells = (int)t->cols * m->wide;
    for (ptrdiff_t r = 0; t->d.yticks != NULL && r < t->d.queries; r += t->block)
        label = (int)attn__draw_larger(label, attn__pen_text(NULL, t->d.yticks[r], 16));
    if (label > 77 - cells) label = 77 - cells;
    for (ptrdiff_t r = 0; r < t->rows; r += 1 + m->half) {
        attn__draw_decimal(text, r * t->block, 0, 0);
        const char *name = t->d.yticks != NULL ? t->d.yticks[r * t->block] : text;
        attn__term_pad(m, label - attn__pen_text(NULL, name, label));
        attn__pen_text(m->pen, name, label); attn__pen_str(m->pen, " ");
        attn__term_edge(m, "");
        for (ptrdiff_t c = 0; c < t->cols; ++c) {
            int below = m->half && r + 1 < t->rows ? attn__heat_level(t, x, r + 1, c) : -1;
            attn__term_cell(m, attn__heat_level(t, x, r, c), below);
        }
        attn__term_edge(m, "\x1b[0m"); attn__pen_str(m->pen, "\n");
    }
    attn__term_pad(m, label + (m->color == 0 ? 2 : 1));
    for (int c = 0; c < cells; c += 10) {
        int n = attn__draw_decimal(text, c / m->wide * t->block, 0, 0);
        if (c == 0 || c + n <= cells) attn__pen_str(m->pen, text);
        if (c + 10 < cells) attn__term_pad(m, 10 - n);
    }
    for (ptrdiff_t c = 0; t->d.xticks != NULL && c < t->cols; c += t->cols <= 36 ? 1 : 10) {
        const char *name = t->d.xticks[c * t->block];
        int columns = 3 + attn__draw_decimal(text, c * t->block, 0, 0) + attn__pen_text(NULL, name, 16);
        int full = at + columns > 79;
        at = (full ? 6 : at) + columns;
        attn__pen_str(m->pen, c == 0 ? "\nkeys: " : full ? ",\n      " : ", ");
        attn__pen_str(m->pen, text); attn__pen_str(m->pen, " "); attn__pen_text(m->pen, name, 16);
    }
    attn__pen_str(m->pen, "\n");
}
ATTN__FUNC void attn__term_line(attn__pen *pen, const char *before, const char *text) {
    if (text == NULL) return;
    attn__pen_str(pen, before); attn__pen_text(pen, text, 70); attn__pen_str(pen, "\n");
}
ATTN_DEF attn_status attn_heatmap_text(const attn_heatmap_desc *d, int color, attn_write write, void *user) {
    attn__heat heat, *t = &heat;
    attn__pen pen = {write, user, 0, 0, 0, ""};
    attn_status st = attn__heat_open(t, d, write, 72);
    if (st != ATTN_OK || color < 0 || color > 2) return st != ATTN_OK ? st : ATTN_ERR_RANGE;
    int wide = t->cols <= 36 && (color == 0 || t->d.yticks != NULL) ? 2 : 1;
    attn__term term = {t, &pen, color, wide, color != 0 && wide == 1, -2, -2}, *m = &term;
    attn__term_line(&pen, "", t->d.title);
    attn__term_line(&pen, "rows: ", t->d.ylabel);
    attn__term_line(&pen, "columns: ", t->d.xlabel);
    for (ptrdiff_t p = 0; t->panel != 0 && p < t->panels; ++p) {
        const float *x = attn__heat_panel(t, p);
        double row = (double)(p / t->d.cols), col = (double)(p % t->d.cols);
        attn__term_line(&pen, "", attn__heat_title(t, p));
        if (attn__heat_title(t, p) == NULL && t->panels > 1) ATTN__FORM(&pen, "panel @, @\n", row, col);
        attn__term_panel(m, x);
        if (!t->own && p < t->panels - 1) continue;
        attn__pen_value(&pen, t->bar.low); attn__pen_str(&pen, " ");
        attn__term_edge(m, "");
        for (int k = 0, n = 20 / wide; k < n; ++k) attn__term_cell(m, k * 255 / (n - 1), k * 255 / (n - 1));
        attn__term_edge(m, "\x1b[0m");
        attn__pen_str(&pen, " "); attn__pen_value(&pen, t->bar.high); attn__pen_str(&pen, "\n");
    }
    if (t->has_nan) attn__term_cell(m, ATTN__HEAT_NAN, ATTN__HEAT_NAN);
    if (t->has_nan) attn__pen_str(&pen, color != 0 ? "\x1b[0m NaN\n" : " NaN\n");
    attn__heat_words(&pen, t); // what the colours alone do not say
    return attn__pen_flush(&pen);
}

// ---- plots

// Reads point i of a series and where it is in pixels; returns 0 where a side has no place for it.
ATTN__FUNC int attn__plot_point(const attn__side *side, const attn_series *s, ptrdiff_t i, double v[2], double px[2]) {
    if ((s->x != NULL && attn__draw_kind(s->x + i) != 0) || attn__draw_kind(s->y + i) != 0) return 0;
    v[0] = s->x != NULL ? (double)s->x[i] : (double)i;
    v[1] = (double)s->y[i];
    if ((side[0].log && v[0] <= 0.0) || (side[1].log && v[1] <= 0.0)) return 0;
    for (int k = 0; k < 2; ++k) px[k] = attn__side_at(&side[k], v[k]);
    return 1;
}
ATTN__FUNC void attn__plot_range(attn__side *side, const attn_series *s) {
    double v[2], px[2];
    for (ptrdiff_t i = 0; i < s->n; ++i)
        for (int k = 0; attn__plot_point(side, s, i, v, px) && k < 2; ++k) {
            attn__side *a = side + k;
            int whole = v[k] > -1e9 && v[k] < 1e9 && v[k] == (double)(int64_t)v[k];
            if (!a->found || v[k] < a->least) a->least = v[k];
            if (!a->found || v[k] > a->most) a->most = v[k];
            a->whole = whole && (a->whole || !a->found);
            a->found = 1;
        }
}
// Settles the ends of a side: the given ones, or the data's with a margin.
ATTN__FUNC void attn__plot_ends(attn__side *a, double low, double high) {
    int given = low < high;
    if (given) a->whole = 0, a->least = low, a->most = high;
    else if (!a->found) a->least = a->log ? 0.1 : 0.0, a->most = 1.0;
    a->low = a->log ? attn__draw_log10(a->least) : a->least;
    a->high = a->log ? attn__draw_log10(a->most) : a->most;
    double margin = 0.04 * (a->high - a->low);
    if (margin == 0.0) margin = a->log || a->low == 0.0 ? 0.5 : 0.05 * attn__draw_larger(a->low, -a->low);
    if (a->whole && a->least == a->most) margin = attn__draw_larger(margin, 1.0);
    if (!given) a->low -= margin, a->high += margin;
    if (!a->log) a->least = a->low, a->most = a->high;
}
// The path of a line, or of points. Of those in one pixel column a dense line keeps the first and what lies beyond it.
ATTN__FUNC void attn__plot_line(attn__pen *pen, const attn__side *side, const attn_series *s) {
    int dense = (double)s->n > 4.0 * side[0].length, open = 0;
    double v[2], px[2], column = 0.0, low = 0.0, high = 0.0;
    for (ptrdiff_t i = 0; i < s->n; ++i) {
        int shown = attn__plot_point(side, s, i, v, px);
        double at = shown ? (double)attn__draw_floor(px[0]) : 0.0;
        int held = shown && open && dense && at == column;
        if (held && px[1] >= low && px[1] <= high) continue;
        if (shown) ATTN__FORM(pen, open ? "L@ @" : "M@ @h0", px[0], px[1]); // h0: a lone point is a dot
        if (shown) low = held && low < px[1] ? low : px[1], high = held && high > px[1] ? high : px[1];
        column = at; open = shown && s->kind == ATTN_LINE;
    }
}
ATTN__FUNC void attn__plot_style(attn__pen *pen, const attn_series *s, ptrdiff_t position) {
    static const double palette[10] = {0x1F77B4, 0xFF7F0E, 0x2CA02C, 0xD62728, 0x9467BD,
                                       0x8C564B, 0xE377C2, 0x7F7F7F, 0xBCBD22, 0x17BECF};
    static const char *const dash[4] = {"none", "6 4", ".1 4", "7 4 .1 4"};
    int dot = s->kind == ATTN_SCATTER;
    ATTN__FORM(pen, "<path fill='none' stroke-linejoin='round' stroke-linecap='round' stroke='~' stroke-dasharray='",
               palette[s->color != 0 ? s->color - 1 : position % 10]);
    attn__pen_str(pen, dot ? "none" : dash[s->dash]);
    attn__pen_str(pen, dot ? "' stroke-width='5.5' stroke-opacity='.65' d='" : "' stroke-width='1.8' d='");
}
// How many points, and stretches of lines of 6 pixels, lie in a box and 6 pixels around it.
ATTN__FUNC int64_t attn__plot_crowd(const attn_plot_desc *d, const attn__side *side, const double box[4]) {
    int64_t crowd = 0;
    for (ptrdiff_t k = 0; k < d->count; ++k) {
        double v[2], px[2] = {0.0, 0.0}, was[2] = {0.0, 0.0};
        for (ptrdiff_t i = 0, open = 0; i < d->series[k].n; ++i, was[0] = px[0], was[1] = px[1]) {
            int shown = attn__plot_point(side, d->series + k, i, v, px), parts = 1;
            double dx = px[0] - was[0], dy = px[1] - was[1];
            double way = attn__draw_larger(dx, -dx) + attn__draw_larger(dy, -dy);
            if (open && d->series[k].kind == ATTN_LINE) parts = way > 3000.0 ? 500 : 1 + (int)(way / 6.0);
            for (int part = 0; shown && part < parts; ++part) {
                double right = px[0] - dx * part / parts - box[0], down = px[1] - dy * part / parts - box[1];
                crowd += right > -6.0 && right < box[2] + 6.0 && down > -6.0 && down < box[3] + 6.0;
            }
            open = shown;
        }
    }
    return crowd;
}
ATTN__FUNC void attn__plot_legend(attn__pen *pen, const attn_plot_desc *d, const attn__side *side) {
    // The four corners as the desc counts them, then the middles of the sides: of equal places the first is taken.
    static const int right[8] = {2, 0, 0, 2, 1, 1, 0, 2}, down[8] = {0, 0, 2, 2, 0, 2, 1, 1};
    double w = 0.0, h = 6.0, x = 0.0, y = 0.0;
    int64_t least = INT64_MAX;
    for (ptrdiff_t k = 0; k < d->count; ++k) {
        h += d->series[k].name != NULL ? 15.0 : 0.0;
        w = attn__draw_larger(w, attn__text_width(d->series[k].name, 40, 10.0) + 40.0);
    }
    if (h == 6.0 || d->legend < 0) return;
    for (int p = 0; p < 8 && least > 0; ++p) {
        const double box[4] = {6.0 + right[p] * (side[0].length - w - 12.0) / 2.0,
                               6.0 + down[p] * (side[1].length - h - 12.0) / 2.0, w, h};
        if (d->legend != 0 && d->legend != p + 1) continue;
        int64_t crowd = attn__plot_crowd(d, side, box);
        if (crowd < least) least = crowd, x = box[0], y = box[1];
    }
    ATTN__FORM(pen, "<rect x='@' y='@' width='@' height='@' rx='2' fill='#fff' fill-opacity='.85' stroke='#ccc'/>\n",
               x, y, w, h);
    for (ptrdiff_t k = 0; k < d->count; ++k) {
        int dot = d->series[k].kind == ATTN_SCATTER;
        if (d->series[k].name == NULL) continue;
        attn__plot_style(pen, d->series + k, k);
        ATTN__FORM(pen, dot ? "M@ @h0'/>" : "M@ @h20'/>", x + (dot ? 17.0 : 7.0), y + 11.0);
        attn__svg_text(pen, x + 34.0, y + 14.5, ATTN__START, d->series[k].name, 40);
        y += 15.0;
    }
}
ATTN_DEF attn_status attn_plot_svg(const attn_plot_desc *from, attn_write write, void *user) {
    attn_plot_desc desc, *d = &desc;
    attn__pen pen = {write, user, 1, 0, 0, ""};
    if (from == NULL || write == NULL) return ATTN_ERR_NULL;
    if (attn__take_desc(d, sizeof *d, from, NULL) != ATTN_OK) return ATTN_ERR_RANGE;
    if (d->count > 0 && d->series == NULL) return ATTN_ERR_NULL;
    double width = d->width != 0 ? d->width : 480.0, height = d->height != 0 ? d->height : 320.0;
    int ends = attn__draw_interval(&d->xlow, &d->xhigh, d->xlog) && attn__draw_interval(&d->ylow, &d->yhigh, d->ylog);
    if (!ends || d->count < 0 || d->legend < -1 || d->legend > 4) return ATTN_ERR_RANGE;
    if (width < 120.0 || width > 16384.0 || height < 90.0 || height > 16384.0) return ATTN_ERR_RANGE;
    for (ptrdiff_t k = 0; k < d->count; ++k) {
        const attn_series *s = d->series + k;
        if (s->n < 0 || (uint32_t)s->kind > ATTN_SCATTER) return ATTN_ERR_RANGE;
        if ((uint32_t)s->color > 10 || (uint32_t)s->dash > ATTN_DASH_DASHDOT) return ATTN_ERR_RANGE;
        if (s->n > 0 && s->y == NULL) return ATTN_ERR_NULL;
    }
    double top = d->title != NULL ? 30.0 : 12.0, h = height - top - 24.0 - (d->xlabel != NULL ? 17.0 : 0.0);
    attn__side side[2] = {attn__side_of(ATTN__BELOW, 1.0, 50.0, d->xlog), attn__side_of(ATTN__LEFT, h, 34.0, d->ylog)};
    for (ptrdiff_t k = 0; k < d->count; ++k) attn__plot_range(side, d->series + k);
    attn__plot_ends(&side[0], (double)d->xlow, (double)d->xhigh);
    attn__plot_ends(&side[1], (double)d->ylow, (double)d->yhigh);
    attn__side_choose(&side[1]);
    double left = 5.0 + (d->ylabel != NULL ? 16.0 : 0.0) + side[1].room;
    double w = attn__draw_larger(width - left - 18.0, 20.0);
    side[0].length = w; attn__side_choose(&side[0]);
    attn__svg_open(&pen, width, height);
    attn__side_walk(&side[0], &pen, left, top + h, h, 1);
    attn__side_walk(&side[1], &pen, left, top, w, 1);
    ATTN__FORM(&pen, "<svg x='@' y='@' width='@' height='@' overflow='hidden'>\n", left, top, w, h);
    for (ptrdiff_t k = 0; k < d->count; ++k) {
        attn__plot_style(&pen, d->series + k, k);
        attn__plot_line(&pen, side, d->series + k);
        attn__pen_str(&pen, "'/>\n");
    }
    attn__plot_legend(&pen, d, side);
    attn__svg_frame(&pen, left, top, w, h);
    attn__svg_text(&pen, left + w / 2.0, 19.0, ATTN__TITLE, d->title, (int)(width / 8.0));
    attn__svg_text(&pen, left + w / 2.0, height - 8.0, ATTN__LABEL, d->xlabel, (int)(width / 7.0));
    attn__svg_text(&pen, 16.0, top + h / 2.0, ATTN__TURN ATTN__LABEL, d->ylabel, (int)(height / 7.0));
    attn__pen_str(&pen, "</svg>\n");
    return attn__pen_flush(&pen);
}
#endif // ATTN_ONLY_KERNELS

#ifdef __cplusplus
}
#endif
#if defined(__clang__)
#if __clang_major__ >= 12 && (defined(__x86_64__) || defined(__i386__))
#pragma float_control(pop)
#endif
#pragma clang fp contract(on)
#elif ATTN__GNU
#pragma GCC pop_options
#endif
ATTN__LIGHT_OFF
#endif // ======== compiled once ========
#endif // ATTN_IMPLEMENTATION

// -------------------------------------------------------------------------------------------------------------------
// >>history
//
// 0.1.0  the architecture: passes, descriptor, tensors, tape, drawing; attention forward with every axis, caches
//
// LICENCE: your choice of two.
// 1 Public domain (unlicense.org): anyone is free to copy, modify, publish, use, compile, sell or distribute this
//   software, in source or as a binary, for any purpose, by any means. The authors dedicate any and all copyright
//   interest in it to the public domain.
// 2 MIT No Attribution: permission is hereby granted, free of charge, to any person obtaining a copy of this software
//   and associated documentation files, to deal in the software without restriction, including without limitation the
//   rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of it.
// In both: the software is provided "as is", without warranty of any kind, express or implied, including but not
// limited to the warranties of merchantability, fitness for a particular purpose and noninfringement. In no event shall
// the authors be liable for any claim, damages or other liability arising from the software or its use.
