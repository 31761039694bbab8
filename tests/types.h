// types.h - elements of every storage type, without the library's own conversions. Include it after attn.h.
#ifndef TYPES_H
#define TYPES_H
#include <math.h>
#include <string.h>

static ptrdiff_t type_elements(int type) { return type >= ATTN_Q8_0 && type <= ATTN_Q4_1 ? 32 : 1; }
static ptrdiff_t type_bytes(int type, ptrdiff_t n) {
    static const ptrdiff_t blocks[] = { 34, 18, 20 };
    if (type_elements(type) > 1) return n / 32 * blocks[type - ATTN_Q8_0];
    return n * (type == ATTN_F64 ? 8 : type == ATTN_F16 || type == ATTN_BF16 ? 2 : 4);
}
// f16 of x, cut towards 0.
static unsigned type_half(double x) {
    unsigned sign = signbit(x) ? 0x8000u : 0, e = 25;
    double m = fabs(x);
    if (!(m < 65536)) return sign | (m == m ? 0x7C00u : 0x7E00u);
    for (; m >= 2048; m /= 2) e++;
    for (; m < 1024 && e > 1; m *= 2) e--;
    return sign + (m < 1024 ? (unsigned)m : (e << 10) + ((unsigned)m - 1024));
}
static unsigned type_bits(const unsigned char *p) { uint16_t u; memcpy(&u, p, 2); return u; }
static double type_of_half(const unsigned char *p) {
    const unsigned bits = type_bits(p), e = bits >> 10 & 31, m = bits & 1023;
    const double x = e == 31 ? (m ? (double)NAN : HUGE_VAL) : ldexp((double)(e ? m + 1024 : m), (int)(e ? e : 1) - 25);
    return bits >> 15 ? -x : x;
}
static void type_two(unsigned char *p, unsigned bits) { const uint16_t u = (uint16_t)bits; memcpy(p, &u, 2); }
static double type_get(int type, const void *array, ptrdiff_t i) {
    const unsigned char *p = (const unsigned char *)array;
    const int at = (int)(i % 32);
    uint32_t bits;
    float x;
    if (type == ATTN_F64) return ((const double *)array)[i];
    if (type == ATTN_F32) return (double)((const float *)array)[i];
    if (type == ATTN_F16) return type_of_half(p + 2 * i);
    if (type == ATTN_BF16) {
        bits = (uint32_t)type_bits(p + 2 * i) << 16;
        memcpy(&x, &bits, 4);
        return (double)x;
    }
    p += type_bytes(type, i / 32 * 32);
    if (type == ATTN_Q8_0) return type_of_half(p) * (double)(signed char)p[2 + at];
    if (type == ATTN_Q4_0) return type_of_half(p) * ((p[2 + at % 16] >> at / 16 * 4 & 15) - 8);
    return type_of_half(p) * (p[4 + at % 16] >> at / 16 * 4 & 15) + type_of_half(p + 2);
}
// One element of a type without blocks; f16 and bf16 are cut towards 0.
static void type_put(int type, void *array, ptrdiff_t i, double x) {
    unsigned char *p = (unsigned char *)array;
    const float narrow = (float)x;
    uint32_t bits;
    memcpy(&bits, &narrow, 4);
    if (type == ATTN_F64) ((double *)array)[i] = x;
    else if (type == ATTN_F32) ((float *)array)[i] = narrow;
    else type_two(p + 2 * i, type == ATTN_F16 ? type_half(x) : bits >> 16);
}
// n values, in blocks near them.
static void type_fill(int type, void *array, const double *v, ptrdiff_t n) {
    unsigned char *p = (unsigned char *)array;
    if (type_elements(type) == 1) { for (ptrdiff_t i = 0; i < n; i++) type_put(type, array, i, v[i]); return; }
    for (ptrdiff_t b = 0; b < n; b += 32, p += type_bytes(type, 32)) {
        const int most = type == ATTN_Q8_0 ? 127 : 7, high = type == ATTN_Q8_0 ? 127 : 15;
        double scale = 0, low = 0;
        memset(p, 0, (size_t)type_bytes(type, 32));
        for (int i = 0; i < 32; i++) if (fabs(v[b + i]) > scale) scale = fabs(v[b + i]);
        type_two(p, type_half(scale / most + 1e-4));
        if (type == ATTN_Q4_1) type_two(p + 2, type_half(-scale));
        scale = type_of_half(p);
        if (type == ATTN_Q4_1) low = type_of_half(p + 2);
        for (int i = 0; i < 32; i++) {
            int k = (int)((v[b + i] - low) / scale + 1000.5) - 1000 + (type == ATTN_Q4_0 ? 8 : 0);
            if (k > high) k = high;
            if (type == ATTN_Q8_0) p[2 + i] = (unsigned char)(signed char)k;
            else p[(type == ATTN_Q4_1 ? 4 : 2) + i % 16] |= (unsigned char)((k < 0 ? 0 : k) << i / 16 * 4);
        }
    }
}
static void types_keep(void) { (void)type_get; (void)type_fill; }
#endif
