// conformance.c - runs attn.h against vectors made by others (tests/conformance/README.md has the format).
//     cc -O2 -I. tests/conformance.c -o build/conformance
//     build/conformance [--isa NAME] [--list] [--cases] [--help] FILE.safetensors...
// Every case of the files' metadata is counted once: passed; passed (composed): put together from several public calls;
// FAILED; forward right, gradient later: the values agree but their gradients cannot be computed yet; not run, with the
// reason. A case is refused when it holds an attribute, input or output that its function below did not ask for.
// An operation is a row of `operations` below (or of `formulas` when it works element by element); its function lies in
// conformance_ops.h (arithmetic, movement, softmax, losses), conformance_nn.h (norms, activations, pooling, embedding),
// conformance_attention.h (by descriptor), conformance_layers.h (recurrent and Transformer layers, memories).
#define ATTN_IMPLEMENTATION
#include "attn.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef attn_tensor *tensor;

// ---- vectors: a reader of the trusted format that trusts nothing

typedef struct dtype { const char *text; int type; size_t bytes; int whole; } dtype;
static const dtype dtypes[] = {
    {"F32", ATTN_F32, 4, 0}, {"F64", ATTN_F64, 8, 0}, {"F16", ATTN_F16, 2, 0}, {"BF16", ATTN_BF16, 2, 0},
    {"I64", ATTN_I64, 8, 1}, {"I32", ATTN_I32, 4, 1}, {"I8", ATTN_I8, 1, 1}, {"U8", ATTN_U8, 1, 1},
    {"BOOL", ATTN_BOOL, 1, 1}};
enum { DTYPES = sizeof dtypes / sizeof dtypes[0], RANK = 8 };

typedef struct vector {
    const char *name;
    const dtype *type;
    int rank;
    ptrdiff_t shape[RANK], count;
    unsigned char *data;      // an allocation of its own, so that a read past the end is seen
} vector;
typedef struct entry { const char *name; char *text; } entry;   // a case: its line of metadata
typedef struct file {
    char *header, *at, *end;
    unsigned char *data;
    size_t bytes;
    vector *vectors;
    entry *cases;
    size_t vector_count, case_count;
} file;

static double half_value(unsigned h, int bits, int bias) {     // sign, then exponent, then `bits` bits of fraction
    int exponent = (int)((h & 0x7fff) >> bits), top = 0x7fff >> bits;
    double x = (double)(h & ((1u << bits) - 1)) + (exponent ? (double)(1u << bits) : 0);
    if (exponent == top) x = h & ((1u << bits) - 1) ? strtod("nan", NULL) : strtod("inf", NULL);
    for (int e = (exponent ? exponent : 1) - bias - bits; e; e += e < 0 ? 1 : -1) x *= e < 0 ? 0.5 : 2.0;
    return h & 0x8000 ? -x : x;
}
static double value_at(int type, const void *data, ptrdiff_t i) {
    switch (type) {
    case ATTN_F32: return (double)((const float *)data)[i];
    case ATTN_F64: return ((const double *)data)[i];
    case ATTN_F16: return half_value(((const uint16_t *)data)[i], 10, 15);
    case ATTN_BF16: return half_value(((const uint16_t *)data)[i], 7, 127);
    case ATTN_I64: return (double)((const int64_t *)data)[i];
    case ATTN_I32: return ((const int32_t *)data)[i];
    case ATTN_I8: return ((const int8_t *)data)[i];
    default: return ((const uint8_t *)data)[i];
    }
}

static int take(file *f, char c) {
    while (f->at < f->end && (*f->at == ' ' || *f->at == '\n')) f->at++;
    if (f->at >= f->end || *f->at != c) return 0;
    f->at++;
    return 1;
}
static char *take_string(file *f) {                            // ended in place; no escapes in this format
    char *s;
    if (!take(f, '"')) return NULL;
    for (s = f->at; f->at < f->end && *f->at != '"'; f->at++) if (*f->at == '\\') return NULL;
    if (f->at >= f->end) return NULL;
    *f->at++ = 0;
    return s;
}
static int take_numbers(file *f, size_t *n, int most) {        // [1,2,3]: how many, -1 = malformed
    int count = 0;
    if (!take(f, '[')) return -1;
    if (take(f, ']')) return 0;
    do {
        size_t x = 0;
        int digits = 0;
        take(f, ' ');
        for (; f->at < f->end && *f->at >= '0' && *f->at <= '9'; f->at++, digits++) {
            if (x > SIZE_MAX / 16) return -1;
            x = x * 10 + (size_t)(*f->at - '0');
        }
        if (!digits || count == most) return -1;
        n[count++] = x;
    } while (take(f, ','));
    return take(f, ']') ? count : -1;
}
static int little_endian(void) { const uint16_t one = 1; return *(const unsigned char *)&one; }

static int add_vector(file *f, const char *name, const char *type, int rank, const size_t *shape, const size_t *span) {
    vector v;
    size_t elements = 1, i;
    memset(&v, 0, sizeof v);
    for (i = 0; i < DTYPES; i++) if (!strcmp(dtypes[i].text, type)) v.type = &dtypes[i];
    if (!v.type || span[0] > span[1] || span[1] > f->bytes || span[0] % v.type->bytes) return 0;
    v.name = name;
    v.rank = rank;
    for (i = 0; i < (size_t)rank; i++) {
        if (shape[i] && elements > f->bytes / shape[i]) return 0;
        elements *= shape[i];
        v.shape[i] = (ptrdiff_t)shape[i];
    }
    if (elements > f->bytes || elements * v.type->bytes != span[1] - span[0]) return 0;
    v.count = (ptrdiff_t)elements;
    v.data = (unsigned char *)malloc(span[1] - span[0] + !elements);
    vector *grown = (vector *)realloc(f->vectors, (f->vector_count + 1) * sizeof v);
    if (grown) f->vectors = grown;
    if (!grown || !v.data) { free(v.data); return 0; }
    for (i = 0; i < span[1] - span[0]; i++)
        v.data[little_endian() ? i : i ^ (v.type->bytes - 1)] = f->data[span[0] + i];
    f->vectors[f->vector_count++] = v;
    return 1;
}
static int read_vector(file *f, const char *name) {            // {"dtype":"F32","shape":[2],"data_offsets":[0,8]}
    size_t shape[RANK], span[2] = {0, 0};
    int rank = -1, spans = 0;
    const char *type = NULL;
    if (!take(f, '{')) return 0;
    do {
        const char *key = take_string(f);
        if (!key || !take(f, ':')) return 0;
        if (!strcmp(key, "dtype")) type = take_string(f);
        else if (!strcmp(key, "shape")) rank = take_numbers(f, shape, RANK);
        else if (!strcmp(key, "data_offsets")) spans = take_numbers(f, span, 2);
        else return 0;
    } while (take(f, ','));
    return take(f, '}') && type && rank >= 0 && spans == 2 && add_vector(f, name, type, rank, shape, span);
}
static int read_cases(file *f) {
    if (!take(f, '{')) return 0;
    if (take(f, '}')) return 1;
    do {
        entry e = {take_string(f), NULL};
        if (!e.name || !take(f, ':') || !(e.text = take_string(f))) return 0;
        entry *grown = (entry *)realloc(f->cases, (f->case_count + 1) * sizeof e);
        if (!grown) return 0;
        f->cases = grown;
        f->cases[f->case_count++] = e;
    } while (take(f, ','));
    return take(f, '}');
}
static int read_header(file *f) {
    if (!take(f, '{')) return 0;
    do {
        const char *name = take_string(f);
        if (!name || !take(f, ':')) return 0;
        if (!strcmp(name, "__metadata__") ? !read_cases(f) : !read_vector(f, name)) return 0;
    } while (take(f, ','));
    return take(f, '}');
}
static void file_close(file *f) {
    for (size_t i = 0; i < f->vector_count; i++) free(f->vectors[i].data);
    free(f->vectors); free(f->cases); free(f->header); free(f->data);
    memset(f, 0, sizeof *f);
}
static const char *file_open(file *f, const char *path) {      // NULL, or what is wrong
    unsigned char size[8];
    size_t header = 0;
    long end;
    FILE *in = fopen(path, "rb");
    memset(f, 0, sizeof *f);
    if (!in) return "cannot be opened";
    if (fseek(in, 0, SEEK_END) || (end = ftell(in)) < 8 || fseek(in, 0, SEEK_SET) || fread(size, 1, 8, in) != 8) {
        fclose(in);
        return "is too short";
    }
    for (int i = 7; i >= 0; i--) header = (header << 8) + size[i];
    if (size[7] || header > (size_t)end - 8) { fclose(in); return "has a header longer than the file"; }
    f->bytes = (size_t)end - 8 - header;
    f->header = (char *)malloc(header + 1);
    f->data = (unsigned char *)malloc(f->bytes + 1);
    int whole = f->header && f->data && fread(f->header, 1, header, in) == header
        && fread(f->data, 1, f->bytes, in) == f->bytes;
    fclose(in);
    if (!whole) return "cannot be read";
    f->at = f->header;
    f->end = f->header + header;
    return read_header(f) ? NULL : "has a malformed header";
}
static vector *find_vector(const file *f, const char *name, const char *kind, int k) {
    char full[256];
    snprintf(full, sizeof full, "%s/%s%d", name, kind, k);
    for (size_t i = 0; i < f->vector_count; i++) if (!strcmp(f->vectors[i].name, full)) return &f->vectors[i];
    return NULL;
}

// ---- a case while it runs

enum { PASSED, COMPOSED, FAILED, FORWARD, NOT_RUN, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {
    "passed", "passed (composed)", "FAILED", "forward right, gradient later", "not run"};
enum { ATTRIBUTES = 32, INPUTS = 128, OUTPUTS = 16 };

typedef struct attribute { const char *key; char *value; int read; } attribute;
typedef struct input { const char *name; vector *v, *grad; tensor t; int used; } input;
typedef struct output { const char *name; vector *want, *upstream; double *got; ptrdiff_t filled; int type; } output;
typedef struct held { struct held *next; } held;
typedef struct run {
    const char *name, *op;
    attribute attributes[ATTRIBUTES];
    input in[INPUTS];
    output out[OUTPUTS];
    int attribute_count, inputs, outputs, opset;
    int composed, odd_type, off_tape, refused, failed;
    double atol, rtol;
    tensor loss;              // sum of doutK * outK so far
    held *memory;
    char reason[1024];
} run;
static attn_ctx *ctx;         // of the case that runs
static int isa;

static void refuse(run *r, const char *format, ...) {          // not run; the first reason stays
    va_list list;
    if (r->refused || r->failed) return;
    va_start(list, format); vsnprintf(r->reason, sizeof r->reason, format, list); va_end(list);
    r->refused = 1;
}
static void fail(run *r, const char *format, ...) {
    va_list list;
    if (r->refused || r->failed) return;
    va_start(list, format); vsnprintf(r->reason, sizeof r->reason, format, list); va_end(list);
    r->failed = 1;
}
static void *memory(run *r, ptrdiff_t bytes) {                 // zeros until the case ends
    held *b = (held *)calloc(1, 64 + (size_t)bytes);
    if (!b) { fprintf(stderr, "out of memory\n"); exit(2); }
    b->next = r->memory;
    r->memory = b;
    return (char *)b + 64;
}
static const char *word(run *r, const char *key, const char *missing) {
    for (int i = 0; i < r->attribute_count; i++)
        if (!strcmp(r->attributes[i].key, key)) { r->attributes[i].read = 1; return r->attributes[i].value; }
    return missing;
}
static double number(run *r, const char *key, double missing) {
    const char *text = word(r, key, NULL);
    char *end;
    if (!text) return missing;
    double x = strtod(text, &end);
    if (end == text || *end) refuse(r, "attribute %s=%s is no number", key, text);
    return x;
}
// an attribute with one value known
static int expect(run *r, const char *key, const char *missing, const char *only) {
    const char *text = word(r, key, missing);
    if (strcmp(text, only)) refuse(r, "attribute %s=%s", key, text);
    return !r->refused;
}
static vector *raw(run *r, int k) {
    if (k < 0 || k >= r->inputs || !r->in[k].v) return NULL;
    r->in[k].used = 1;
    return r->in[k].v;
}
static int named(const run *r, const char *name) {             // position of an input, -1 = absent
    for (int i = 0; i < r->inputs; i++) if (r->in[i].v && !strcmp(r->in[i].name, name)) return i;
    return -1;
}
static int output_named(const run *r, const char *name) {
    for (int i = 0; i < r->outputs; i++) if (r->out[i].want && !strcmp(r->out[i].name, name)) return i;
    return -1;
}
static tensor take_input(run *r, int k) {                      // a parameter when its gradient is wanted
    vector *v = raw(r, k);
    if (!v) return NULL;
    if (r->in[k].t) return r->in[k].t;
    if (v->rank > ATTN_MAX_RANK) { refuse(r, "rank %d", v->rank); return NULL; }
    if (v->type->type != ATTN_F32 && v->type->type != ATTN_F64) r->odd_type = 1;
    if (r->in[k].grad && !r->odd_type) {
        r->in[k].t = attn_param(ctx, v->type->type, v->rank, v->shape);
        if (!attn_error(ctx) && v->count) memcpy(r->in[k].t->data, v->data, (size_t)v->count * v->type->bytes);
    } else r->in[k].t = attn_from(ctx, v->type->type, v->rank, v->shape, v->data);
    return r->in[k].t;
}
static tensor take_named(run *r, const char *name) { return take_input(r, named(r, name)); }
static tensor need(run *r, int k) {                            // an input without which nothing can be done
    tensor t = take_input(r, k);
    if (!t) refuse(r, "input %d is missing", k);
    return t;
}
// by input k or attribute key; -1 = absent
static int whole_numbers(run *r, int k, const char *key, ptrdiff_t *n, int most) {
    const vector *v = raw(r, k);
    const char *text = key ? word(r, key, NULL) : NULL;
    int count = 0;
    if (v) {
        if (v->count > most || !v->type->whole) { refuse(r, "input %d is no short list of integers", k); return -1; }
        for (; count < v->count; count++) n[count] = (ptrdiff_t)value_at(v->type->type, v->data, count);
        return count;
    }
    if (!text) return -1;
    for (char *end; *text && count < most; text = end + (*end == ',')) {
        n[count++] = (ptrdiff_t)strtol(text, &end, 10);
        if (end == text || (*end && *end != ',')) { refuse(r, "attribute %s is no list", key); return -1; }
    }
    return count;
}

// ---- what came out

static ptrdiff_t count_of(const tensor t) { return attn_count(t); }
static void strides_of(const vector *v, ptrdiff_t *stride) {
    ptrdiff_t step = 1;
    for (int i = v->rank - 1; i >= 0; i--) { stride[i] = step; step *= v->shape[i]; }
}
static void give_values(run *r, int k, int type, ptrdiff_t rank, const ptrdiff_t *shape, const void *data,
                        ptrdiff_t first, const ptrdiff_t *stride) {
    output *o = &r->out[k];
    ptrdiff_t index[RANK] = {0}, count = 1, at = first;
    for (int i = 0; i < rank; i++) count *= shape[i];
    if (!o->got) o->got = (double *)memory(r, o->want->count * (ptrdiff_t)sizeof(double));
    o->type = type;
    o->filled += count;
    for (ptrdiff_t n = 0; n < count; n++) {
        if (at < 0 || at >= o->want->count) { fail(r, "out%d: more elements than wanted", k); return; }
        o->got[at] = value_at(type, data, n);
        for (ptrdiff_t i = rank - 1; i >= 0; i--) {
            at += stride[i];
            if (++index[i] < shape[i]) break;
            at -= stride[i] * shape[i];
            index[i] = 0;
        }
    }
}
static void give_upstream(run *r, int k, tensor t, ptrdiff_t first, const ptrdiff_t *stride) {
    const vector *g = r->out[k].upstream, *want = r->out[k].want;
    ptrdiff_t index[RANK] = {0}, at = first;
    if (t->type != g->type->type) { r->off_tape = 1; return; }
    unsigned char *part = (unsigned char *)memory(r, count_of(t) * (ptrdiff_t)g->type->bytes);
    for (ptrdiff_t n = 0; n < count_of(t); n++) {
        double y = value_at(want->type->type, want->data, at);
        if (y - y == 0)
            memcpy(part + (size_t)n * g->type->bytes, g->data + (size_t)at * g->type->bytes, g->type->bytes);
        for (int i = t->rank - 1; i >= 0; i--) {
            at += stride[i];
            if (++index[i] < t->shape[i]) break;
            at -= stride[i] * t->shape[i];
            index[i] = 0;
        }
    }
    tensor term = attn_sum_all(ctx, attn_mul(ctx, t, attn_from(ctx, t->type, t->rank, t->shape, part)));
    r->loss = r->loss ? attn_add(ctx, r->loss, term) : term;
}
// t is a part of output k: its element (i0,i1,..) is element first + i0*stride[0] + i1*stride[1] + .. of the output.
static void give_part(run *r, int k, tensor t, ptrdiff_t first, const ptrdiff_t *stride) {
    if (k < 0 || k >= r->outputs || !r->out[k].want || r->refused || r->failed || attn_error(ctx)) return;
    void *data = memory(r, count_of(t) * 8);
    if (attn_read(ctx, t, data)) return;
    give_values(r, k, t->type, t->rank, t->shape, data, first, stride);
    if (r->out[k].upstream && !r->failed && t->rank <= RANK) give_upstream(r, k, t, first, stride);
}
static void give(run *r, int k, tensor t) {                    // the whole output, of the very shape
    ptrdiff_t stride[RANK];
    if (k < 0 || k >= r->outputs || !r->out[k].want || r->refused || attn_error(ctx)) return;
    const vector *want = r->out[k].want;
    int same = t->rank == want->rank;
    for (int i = 0; same && i < t->rank; i++) same = t->shape[i] == want->shape[i];
    if (!same) fail(r, "out%d has another shape: rank %d, %ld elements, wanted rank %d, %ld elements", k, (int)t->rank,
                    (long)count_of(t), want->rank, (long)want->count);
    strides_of(want, stride);
    give_part(r, k, t, 0, stride);
}
static void give_at(run *r, int k, tensor t, int axis, ptrdiff_t index) {   // t is the output at one index of an axis
    ptrdiff_t stride[RANK] = {0}, first;
    if (k < 0 || k >= r->outputs || !r->out[k].want) return;
    strides_of(r->out[k].want, stride);
    first = index * stride[axis];
    for (int i = axis; i + 1 < r->out[k].want->rank; i++) stride[i] = stride[i + 1];
    give_part(r, k, t, first, stride);
}
// computed off the tape, in the output's order
static void give_array(run *r, int k, int type, const void *data) {
    ptrdiff_t one = 1;
    if (k < 0 || k >= r->outputs || !r->out[k].want || r->refused || r->failed) return;
    give_values(r, k, type, 1, &r->out[k].want->count, data, 0, &one);
    if (r->out[k].upstream) r->off_tape = 1;
}
// memory for give_array; NULL when the case has no such output
static void *array_for(run *r, int k, size_t bytes) {
    if (k < 0 || k >= r->outputs || !r->out[k].want) return NULL;
    return memory(r, r->out[k].want->count * (ptrdiff_t)bytes);
}

static void compare(run *r, const char *what, int k, const double *got, const vector *want) {
    double worst = -1, tolerance = 0, worst_tolerance = 0;
    ptrdiff_t at = 0;
    for (ptrdiff_t i = 0; i < want->count; i++) {
        double w = value_at(want->type->type, want->data, i), g = got ? got[i] : 0, apart = g > w ? g - w : w - g, over;
        tolerance = want->type->whole ? 0 : r->atol + r->rtol * (w < 0 ? -w : w);
        if (want->type->type == ATTN_I64 && (w > 9e15 || w < -9e15)) refuse(r, "an integer beyond 2^53");
        if (g == w || (g != g && w != w)) continue;
        if (apart <= tolerance && w - w == 0 && g - g == 0) continue;
        over = apart - apart != 0 ? 1e300 : apart / (tolerance > 0 ? tolerance : 1e-30);
        if (over > worst) { worst = over; at = i; worst_tolerance = tolerance; }
    }
    if (worst >= 0)
        fail(r, "%s%d[%ld] of %ld: got %.9g, want %.9g, tolerance %.3g", what, k, (long)at, (long)want->count,
             got ? got[at] : 0, value_at(want->type->type, want->data, at), worst_tolerance);
}
static void compare_gradients(run *r) {
    int any = 0;
    for (int k = 0; k < r->outputs; k++) any |= r->out[k].upstream != NULL;
    for (int k = 0; k < r->inputs; k++) if (r->in[k].grad && !r->in[k].t) r->off_tape = 1;
    if (!any || r->off_tape || r->failed || !r->loss) { r->off_tape |= any && !r->loss; return; }
    if (attn_backward(ctx, r->loss)) { fail(r, "backward: %s", attn_message(ctx)); return; }
    for (int k = 0; k < r->inputs; k++) {
        const vector *want = r->in[k].grad;
        tensor g = want ? r->in[k].t->grad : NULL;
        double *got = want ? (double *)memory(r, want->count * (ptrdiff_t)sizeof(double)) : NULL;
        if (!want) continue;
        if (want->count != r->in[k].v->count) { fail(r, "grad%d is not of the shape of in%d", k, k); continue; }
        void *data = memory(r, want->count * 8);
        if (g && attn_read(ctx, g, data)) fail(r, "grad%d: %s", k, attn_message(ctx));
        for (ptrdiff_t i = 0; i < want->count && g; i++) got[i] = value_at(g->type, data, i);
        compare(r, "grad", k, got, want);
    }
}
static int judge(run *r) {
    for (int i = 0; i < r->attribute_count; i++)
        if (!r->attributes[i].read)
            refuse(r, "attribute %s=%s not known here", r->attributes[i].key, r->attributes[i].value);
    for (int i = 0; i < r->inputs; i++)
        if (r->in[i].v && !r->in[i].used) refuse(r, "input %s not known here", r->in[i].name);
    if (r->refused) return NOT_RUN;
    attn_status s = attn_error(ctx);
    if (s == ATTN_ERR_UNSUPPORTED || (s == ATTN_ERR_DTYPE && r->odd_type)) refuse(r, "%s", attn_message(ctx));
    else if (s) fail(r, "%s: %s", attn_status_str(s), attn_message(ctx));
    for (int k = 0; k < r->outputs; k++) {
        const output *o = &r->out[k];
        if (!o->want) continue;
        if (!o->filled && o->want->count) refuse(r, "output %s not offered", o->name);
        else if (o->filled != o->want->count)
            fail(r, "out%d has %ld of %ld elements", k, (long)o->filled, (long)o->want->count);
        else if (o->filled && o->type != o->want->type->type
                 && !(o->type == ATTN_I32 && o->want->type->type == ATTN_I64))
            fail(r, "out%d is %s, wanted %s", k, attn_type_str(o->type), o->want->type->text);
        if (!r->refused && !r->failed) compare(r, "out", k, o->got, o->want);
    }
    if (!r->refused && !r->failed) compare_gradients(r);
    return r->refused ? NOT_RUN : r->failed ? FAILED : r->off_tape ? FORWARD : r->composed ? COMPOSED : PASSED;
}

#include "conformance_ops.h"
#include "conformance_nn.h"
#include "conformance_attention.h"
#include "conformance_layers.h"

// ---- the table: a new operation is a row here

static const struct { const char *op; void (*function)(run *r); } operations[] = {
    {"Add", run_arithmetic}, {"Sub", run_arithmetic}, {"Mul", run_arithmetic}, {"Div", run_arithmetic},
    {"Sum", run_several}, {"Mean", run_several}, {"Max", run_several}, {"Min", run_several}, {"Clip", run_clip},
    {"SwiGLU", run_gated}, {"swiglu", run_gated}, {"reglu", run_gated}, {"glu", run_gated}, {"PRelu", run_prelu},
    {"prelu", run_prelu}, {"Erf", run_erf}, {"erf", run_erf}, {"Gelu", run_erf}, {"gelu", run_erf},
    {"ReduceSum", run_reduce}, {"ReduceMean", run_reduce}, {"ReduceMax", run_reduce}, {"ReduceMin", run_reduce},
    {"ReduceL1", run_reduce}, {"ReduceSumSquare", run_reduce}, {"GlobalAveragePool", run_reduce},
    {"GlobalMaxPool", run_reduce}, {"ArgMax", run_argmax}, {"ArgMin", run_argmax}, {"MatMul", run_matmul},
    {"matmul", run_matmul}, {"Gemm", run_gemm}, {"Einsum", run_einsum}, {"einsum", run_einsum},
    {"ReduceLogSumExp", run_reduce_log_sum_exp}, {"ConstantOfShape", run_constant_of_shape}, {"Range", run_range},
    {"bahdanau_decoder", run_bahdanau}, {"linear", run_linear}, {"Transpose", run_transpose},
    {"Reshape", run_reshape}, {"Flatten", run_reshape}, {"Squeeze", run_reshape}, {"Unsqueeze", run_reshape},
    {"Expand", run_reshape}, {"Slice", run_slice}, {"Split", run_split}, {"Softmax", run_softmax},
    {"softmax", run_softmax}, {"LogSoftmax", run_log_softmax}, {"log_softmax", run_log_softmax},
    {"logsumexp", run_log_softmax}, {"cross_entropy", run_loss}, {"nll_loss", run_loss},
    {"SoftmaxCrossEntropyLoss", run_loss}, {"NegativeLogLikelihoodLoss", run_loss}, {"mse_loss", run_distance},
    {"l1_loss", run_distance}, {"huber_loss", run_distance}, {"smooth_l1_loss", run_distance}, {"opt_sgd", run_sgd},
    {"masked_softmax", run_masked_softmax}, {"dot_attention", run_scored_attention},
    {"additive_attention", run_scored_attention}, {"bilinear_attention", run_scored_attention},
    {"d2l_multihead", run_d2l_multihead}, {"nw_kernel", run_kernel}, {"nw_kernel_w", run_kernel},
    {"nw_average", run_average}, {"nw_train", run_nw_train}, {"soft_attention", run_soft_hard},
    {"hard_attention", run_soft_hard}, {"hopfield_modern", run_hopfield}, {"memory_network", run_memory_network},
    {"mha", run_mha}, {"gru_cell", run_cell}, {"lstm_cell", run_cell}, {"rnn_cell", run_cell},
    {"gru_layer", run_recurrent}, {"lstm_layer", run_recurrent}, {"rnn_layer", run_recurrent},
    {"linear_attn", run_linear_attn}, {"diff_attn", run_diff_attn}, {"sdpa", run_attn}, {"attn", run_attn},
    {"attn_varlen", run_varlen}, {"attn_paged", run_cached}, {"attn_ring", run_cached}, {"attn_merge", run_merge},
    {"Attention", run_onnx_attention}, {"FlexAttention", run_flex}, {"TensorScatter", run_tensor_scatter},
    {"RotaryEmbedding", run_rotary_embedding}, {"rope", run_rope}, {"alibi_slopes", run_alibi_slopes},
    {"t5_bucket", run_t5_bucket}, {"positional_encoding", run_positional_encoding},
    {"positional_add", run_positional_encoding}, {"LayerNormalization", run_norm}, {"RMSNormalization", run_norm},
    {"layer_norm", run_norm}, {"rms_norm", run_norm}, {"GroupNormalization", run_group_norm},
    {"group_norm", run_group_norm}, {"InstanceNormalization", run_group_norm}, {"instance_norm", run_group_norm},
    {"MeanVarianceNormalization", run_mean_variance}, {"LpNormalization", run_lp_norm}, {"lp_normalize", run_lp_norm},
    {"cosine_similarity", run_cosine_similarity}, {"clip_grad_norm", run_clip_grad_norm}, {"ReduceL2", run_reduce},
    {"ReduceProd", run_reduce}, {"CumSum", run_cumulative}, {"CumProd", run_cumulative}, {"Softplus", run_softplus},
    {"softplus", run_softplus}, {"logsigmoid", run_softplus}, {"mish", run_softplus}, {"Mish", run_softplus},
    {"bce_with_logits", run_bce_with_logits}, {"geglu", run_geglu}, {"Hardmax", run_hardmax},
    {"Dropout", run_dropout}, {"AveragePool", run_pool}, {"MaxPool", run_pool}, {"embedding", run_embedding},
    {"embedding_bag", run_embedding}, {"CausalConvWithState", run_causal_conv}, {"Tile", run_tile},
    {"LinearAttention", run_linear_attention}, {"Shape", run_shape}, {"Size", run_shape}, {"GRU", run_onnx_recurrent},
    {"LSTM", run_onnx_recurrent}, {"RNN", run_onnx_recurrent}, {"transformer_encoder_layer", run_transformer},
    {"transformer_decoder_layer", run_transformer}, {"transformer_encoder", run_transformer},
    {"transformer_decoder", run_transformer}, {"transformer", run_transformer},
    {"d2l_encoder_block", run_d2l_block}, {"d2l_decoder_block", run_d2l_block},
    {"hopfield_classical", run_hopfield_classical}, {"ntm_head", run_ntm_head}, {"Gather", run_gather},
    {"kl_div", run_kl_div}};

// ---- running

static void split(char *text, char at, void (*piece)(run *, char *), run *r) {
    while (text) {
        char *next = strchr(text, at);
        if (next) *next++ = 0;
        piece(r, text);
        text = next;
    }
}
static void add_attribute(run *r, char *text) {
    static const char *const notes[] = {"op", "in", "out", "atol", "rtol", "opset", "variant", "origin", "shrunk",
                                        "full_rows_masked"};
    char *value = strchr(text, '=');
    if (!value || r->attribute_count == ATTRIBUTES) { fail(r, "metadata: %s", text); return; }
    *value++ = 0;
    attribute *a = &r->attributes[r->attribute_count++];
    a->key = text;
    a->value = value;
    a->read = 0;
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) a->read |= !strcmp(text, notes[i]);
}
static void add_input(run *r, char *name) {
    if (r->inputs == INPUTS) { refuse(r, "too many inputs"); return; }
    r->in[r->inputs++].name = name;
}
static void add_output(run *r, char *name) {
    if (r->outputs == OUTPUTS) { refuse(r, "too many outputs"); return; }
    r->out[r->outputs++].name = name;
}
static void find_arrays(run *r, const file *f) {
    for (int i = 0; i < r->inputs; i++) {
        if (!*r->in[i].name) continue;
        r->in[i].v = find_vector(f, r->name, "in", i);
        r->in[i].grad = find_vector(f, r->name, "grad", i);
        if (!r->in[i].v) fail(r, "the file lacks input %s", r->in[i].name);
    }
    for (int i = 0; i < r->outputs; i++) {
        if (!*r->out[i].name) continue;
        r->out[i].want = find_vector(f, r->name, "out", i);
        r->out[i].upstream = find_vector(f, r->name, "dout", i);
        if (!r->out[i].want) fail(r, "the file lacks output %s", r->out[i].name);
        else if (r->out[i].upstream && r->out[i].upstream->count != r->out[i].want->count)
            fail(r, "dout%d is not of the shape of out%d", i, i);
    }
}
static void dispatch(run *r) {
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (!strcmp(operations[i].op, r->op)) { operations[i].function(r); return; }
    for (size_t i = 0; i < sizeof formulas / sizeof formulas[0]; i++)
        if (!strcmp(formulas[i].op, r->op)) { element_by_element(r, &formulas[i]); return; }
    refuse(r, "no such operation yet");
}
static int run_case(run *r, const file *f, const entry *e) {
    attn_ctx_desc d = ATTN_ZERO;
    int outcome;
    memset(r, 0, sizeof *r);
    r->name = e->name;
    d.isa = isa;
    if (!(ctx = attn_open(NULL, 0, &d))) { fprintf(stderr, "attn_open gave no context\n"); exit(2); }
    split(e->text, ';', add_attribute, r);
    r->op = word(r, "op", "");
    r->opset = (int)number(r, "opset", 0);
    r->atol = number(r, "atol", 0);
    r->rtol = number(r, "rtol", 0);
    for (int i = 0; i < r->attribute_count; i++) {
        const attribute *a = &r->attributes[i];
        if (!strcmp(a->key, "in")) split(a->value, ',', add_input, r);
        if (!strcmp(a->key, "out")) split(a->value, ',', add_output, r);
    }
    find_arrays(r, f);
    if (!r->outputs) fail(r, "metadata: no outputs");
    if (!r->failed) dispatch(r);
    outcome = judge(r);
    attn_close(ctx);
    while (r->memory) { held *next = r->memory->next; free(r->memory); r->memory = next; }
    return outcome;
}

typedef struct tally { char op[64], reason[96]; long n[OUTCOMES]; } tally;
enum { TALLIES = 512 };
static tally tallies[TALLIES];
static int tally_count;

static void count_case(const run *r, int outcome) {
    int i = 0;
    while (i < tally_count && strcmp(tallies[i].op, r->op)) i++;
    if (i == TALLIES) return;
    if (i == tally_count) snprintf(tallies[tally_count++].op, sizeof tallies[0].op, "%s", r->op);
    tallies[i].n[outcome]++;
    if (outcome == NOT_RUN && !*tallies[i].reason)
        snprintf(tallies[i].reason, sizeof tallies[0].reason, "%.90s", r->reason);
}
static void print_tallies(void) {
    printf("%-28s %7s %9s %7s %8s %8s  first reason\n", "operation", "passed", "composed", "FAILED", "forward",
           "not run");
    for (int i = 0; i < tally_count; i++) {
        const tally *t = &tallies[i];
        printf("%-28s %7ld %9ld %7ld %8ld %8ld  %s\n", t->op, t->n[PASSED], t->n[COMPOSED], t->n[FAILED],
               t->n[FORWARD], t->n[NOT_RUN], t->reason);
    }
}
static int run_file(const char *path, int cases, long *all) {  // 0 = cannot be read
    static run r;
    file f;
    long n[OUTCOMES] = {0};
    const char *wrong = file_open(&f, path), *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (wrong) { printf("%s %s\n", path, wrong); file_close(&f); return 0; }
    for (size_t i = 0; i < f.case_count; i++) {
        int outcome = run_case(&r, &f, &f.cases[i]);
        n[outcome]++;
        all[outcome]++;
        count_case(&r, outcome);
        if (outcome == FAILED || cases)
            printf("%s %s (%s)%s%s\n", outcome_names[outcome], r.name, r.op, *r.reason ? ": " : "", r.reason);
    }
    printf("%s: %ld cases:", name, (long)f.case_count);
    for (int i = 0; i < OUTCOMES; i++) printf("%s %ld %s", i ? "," : "", n[i], outcome_names[i]);
    printf("\n");
    file_close(&f);
    return 1;
}
static int isa_number(const char *name) {
    for (int i = 0; i < attn_isa_count(); i++)
        if (attn_isa_name(i) && !strcmp(attn_isa_name(i), name) && (!i || attn_isa_has(i))) return i;
    return -1;
}
int main(int argc, char **argv) {
    int list = 0, cases = 0, files = 0, broken = 0;
    long all[OUTCOMES] = {0};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--list")) list = 1;
        else if (!strcmp(argv[i], "--cases")) cases = 1;
        else if (!strcmp(argv[i], "--isa") && i + 1 < argc) {
            if ((isa = isa_number(argv[++i])) < 0) {
                fprintf(stderr, "no instruction set %s here\n", argv[i]);
                return 2;
            }
        } else if (argv[i][0] == '-') {
            printf("usage: %s [--isa NAME] [--list] [--cases] FILE.safetensors...\n"
                   "    --list   a table: one row for each operation\n    --cases  a line for each case\n", argv[0]);
            return strcmp(argv[i], "--help") ? 2 : 0;
        } else { argv[++files] = argv[i]; }
    }
    if (!files) { fprintf(stderr, "%s: no file given (--help)\n", argv[0]); return 2; }
    for (int i = 1; i <= files; i++) broken += !run_file(argv[i], cases, all);
    if (list) print_tallies();
    if (all[FORWARD]) printf("%ld of the skipped: %s\n", all[FORWARD], outcome_names[FORWARD]);
    if (all[COMPOSED]) printf("%ld of the passed: composed from several public calls\n", all[COMPOSED]);
    printf("%ld passed, %ld failed, %ld skipped\n", all[PASSED] + all[COMPOSED], all[FAILED] + broken, all[FORWARD]
           + all[NOT_RUN]);
    return all[FAILED] || broken;
}
