// tools.h - what several test programs share: an allocator that counts its blocks and fails when told, arrays that end
// at a page nobody may touch, exp and log without libm. Include it before attn.h.
#ifndef TOOLS_H
#define TOOLS_H
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include "test.h"
#include <stddef.h>
#include <stdint.h>

#define EACH_ISA(isa) for (int isa = 1; isa < attn_isa_count(); isa++) if (attn_isa_has(isa))
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

// ---- the mode of float arithmetic
//
// x86 counts denormals of f32 as 0 in attention and the kernels over rows, for speed; elsewhere, and in f64, they count
#if (defined(__x86_64__) || defined(__i386__)) && defined(__SSE2_MATH__) && !defined(__TINYC__)
#define DENORMALS 0
static inline unsigned float_mode(void) { unsigned mode; __asm__ volatile("stmxcsr %0" : "=m"(mode)); return mode; }
static inline void set_float_mode(unsigned mode) { __asm__ volatile("ldmxcsr %0" : : "m"(mode)); }
#else
#define DENORMALS 1
static inline unsigned float_mode(void) { return 0; }
static inline void set_float_mode(unsigned mode) { (void)mode; }
#endif

// ---- allocator: call number heap_fail fails (with heap_later: all after it too); -1 = none

#ifdef ATTN__DONE               // the implementation is in tests/attn.c, which needs these four
#define HEAP
#else
#define HEAP static
#endif
HEAP void *heap_malloc(size_t n);
HEAP void *heap_realloc(void *p, size_t n);
HEAP void heap_free(void *p);
HEAP void tool_assert(int ok);

static long heap_live, heap_calls, heap_fail = -1;
static int heap_later;

static void heap_plan(long fail, int later) { heap_calls = 0; heap_fail = fail; heap_later = later; }
static int heap_refuses(size_t n) {
    long call = heap_calls++;
    if (n > (size_t)1 << 30) return 1;
    return heap_fail >= 0 && (heap_later ? call >= heap_fail : call == heap_fail);
}
HEAP void *heap_malloc(size_t n) {
    if (heap_refuses(n)) return NULL;
    void *p = malloc(n);
    if (p) { memset(p, 0xDB, n); heap_live++; }     // no test passes by finding zeros
    return p;
}
HEAP void *heap_realloc(void *p, size_t n) {
    if (heap_refuses(n)) return NULL;
    void *q = realloc(p, n);
    if (q && !p) heap_live++;
    return q;
}
HEAP void heap_free(void *p) { if (p) heap_live--; free(p); }
// ATTN_ASSERT: a failed check, but where a test provokes it
static int tool_asserted, tool_provoked;
HEAP void tool_assert(int ok) {
    if (ok) return;
    tool_asserted++;
    if (!tool_provoked) test_fail("attn.h", 0, "ATTN_ASSERT");
}
#ifndef ATTN_ASSERT
#define ATTN_ASSERT(x) tool_assert(x)
#endif
#ifndef ATTN_MALLOC
#define ATTN_MALLOC(n) heap_malloc(n)
#define ATTN_REALLOC(p, n) heap_realloc(p, n)
#define ATTN_FREE(p) heap_free(p)
#endif

// ---- fences: an array is given at the end of readable memory; the 256 bytes before it are checked

enum { FENCE_GUARD = 256, FENCE_BYTE = 0xA5 };
typedef struct fence { unsigned char *first, *end; } fence;

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
static fence fence_open(size_t bytes) {
    const size_t page = 65536;                      // no machine has larger ones by default
    size_t room = (bytes + FENCE_GUARD + page - 1) / page * page;
    void *p = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fence f;
    if (p == MAP_FAILED) { puts("no memory for the test"); exit(2); }
    f.first = (unsigned char *)p; f.end = f.first + room;
    if (mprotect(f.end, page, PROT_NONE)) { puts("no guard page for the test"); exit(2); }
    return f;
}
static void fence_close(fence *f) { munmap(f->first, (size_t)(f->end - f->first) + 65536); f->first = f->end = NULL; }
static int fence_after(const fence *f) { (void)f; return 1; }
// Addresses alone: memory comes with the pages that are written. NULL where so many are not to be had.
static void *far_open(size_t bytes) {
#ifdef MAP_NORESERVE
    void *p = sizeof(size_t) < 8 ? MAP_FAILED
        : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
#ifdef MADV_NOHUGEPAGE
    if (p != MAP_FAILED) madvise(p, bytes, MADV_NOHUGEPAGE);
#endif
    return p == MAP_FAILED ? NULL : p;
#else
    (void)bytes;
    return NULL;
#endif
}
static void far_close(void *p, size_t bytes) { if (p) munmap(p, bytes); }
#else
static void *far_open(size_t bytes) { (void)bytes; return NULL; }
static void far_close(void *p, size_t bytes) { (void)p; (void)bytes; }
static fence fence_open(size_t bytes) {
    fence f;
    f.first = (unsigned char *)malloc(bytes + 2 * FENCE_GUARD);
    if (!f.first) { puts("no memory for the test"); exit(2); }
    f.end = f.first + FENCE_GUARD + bytes;
    memset(f.end, FENCE_BYTE, FENCE_GUARD);
    return f;
}
static void fence_close(fence *f) { free(f->first); f->first = f->end = NULL; }
static int fence_after(const fence *f) {
    for (int i = 0; i < FENCE_GUARD; i++) if (f->end[i] != FENCE_BYTE) return 0;
    return 1;
}
#endif
// Array of that many bytes at the end of f.
static void *fence_array(fence *f, size_t bytes) {
    if (bytes + FENCE_GUARD > (size_t)(f->end - f->first)) { puts("a fence is too small for the test"); exit(2); }
    memset(f->end - bytes - FENCE_GUARD, FENCE_BYTE, FENCE_GUARD);
    return f->end - bytes;
}
// True when nothing was written beside the array last taken.
static int fence_holds(const fence *f, const void *array) {
    const unsigned char *p = (const unsigned char *)array;
    for (int i = 1; i <= FENCE_GUARD; i++) if (p[-i] != FENCE_BYTE) return 0;
    return fence_after(f);
}

// ---- functions: good to 1e-17 relative where long double is wider than double

static long double tool_exp(long double x) {
    long double r, sum = 1;
    int k;
    if (x != x) return x;
    if (x < -11300) return 0;
    if (x > 11300) return 1e300L * 1e300L;
    k = (int)(x * 1.4426950408889634074L + (x < 0 ? -0.5L : 0.5L));
    r = (x - k * 0.693145751953125L) - k * 1.42860682030941723212e-6L;
    for (int i = 22; i > 0; i--) sum = 1 + sum * r / i;     // the small terms first: near 1 ULP where it is a double
    for (; k > 0; k--) sum *= 2;
    for (; k < 0; k++) sum *= 0.5L;
    return sum;
}
static long double tool_log(long double x) {
    long double y = 0;
    for (long double s = x; s > 2; s /= 2) y += 0.693147180559945309417L;
    for (long double s = x; s < 0.5L; s *= 2) y -= 0.693147180559945309417L;
    for (int i = 0; i < 6; i++) { long double e = tool_exp(y); y += 2 * (x - e) / (x + e); }
    return y;
}
static double tool_tanh(double x) {
    long double e = tool_exp(2 * (x < 0 ? -(long double)x : (long double)x));
    double y = 0;
    if (x > -1 && x < 1) {                          // Lambert's fraction: no difference of near numbers
        for (int n = 29; n > 1; n -= 2) y = x * x / (n + y);
        return x / (1 + y);
    }
    long double t = x > 40 || x < -40 ? 1 : (e - 1) / (e + 1);
    return (double)(x < 0 ? -t : t);
}
static void tools_keep(void) {
    (void)heap_plan; (void)heap_malloc; (void)heap_realloc; (void)heap_free; (void)fence_open; (void)fence_close;
    (void)tool_assert; (void)tool_asserted; (void)far_open; (void)far_close;
    (void)fence_array; (void)fence_holds; (void)tool_log; (void)tool_tanh; (void)tools_keep; (void)test_keep;
}
#endif
