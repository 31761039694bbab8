// attn.c - the implementation for the test programs that include tools.h: compiled once, linked with each of them. Its
// memory is that of tools.h, so that a test can count and fail its allocations.
//     cc -O2 -c -I. tests/attn.c -o build/tests.o
//     cc -O2 -DATTN__DONE -I. tests/test_base.c build/tests.o -o build/test_base
// ATTN__DONE tells a program that the implementation is there already.
// Each test program compiles alone as well, by the line of its head: `sh tests/hygiene.sh alone:tests` does that.
#include <stddef.h>
void *heap_malloc(size_t n);
void *heap_realloc(void *p, size_t n);
void heap_free(void *p);
void tool_assert(int ok);
#define ATTN_ASSERT(x) tool_assert(x)
#define ATTN_MALLOC(n) heap_malloc(n)
#define ATTN_REALLOC(p, n) heap_realloc(p, n)
#define ATTN_FREE(p) heap_free(p)
#define ATTN_IMPLEMENTATION
#include "attn.h"
