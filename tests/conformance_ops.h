// conformance_ops.h - what conformance.c runs by tensors and tape: arithmetic, reductions, products, movement, softmax,
// losses. A function for each kind of operation; the table that names them is in conformance.c, which includes this.

// ---- short words for depth 2, all in the case's context

static tensor add(tensor a, tensor b) { return attn_add(ctx, a, b); }
static tensor subtract(tensor a, tensor b) { return attn_sub(ctx, a, b); }
static tensor multiply(tensor a, tensor b) { return attn_mul(ctx, a, b); }
static tensor divide(tensor a, tensor b) { return attn_div(ctx, a, b); }
static tensor matmul(tensor a, tensor b) { return attn_matmul(ctx, a, b); }
static tensor scale(tensor x, double s) { return attn_scale(ctx, x, s); }
static tensor relu(tensor x) { return attn_relu(ctx, x); }
static tensor swap(tensor x, int a, int b) { return attn_transpose(ctx, x, a, b); }
static tensor slice(tensor x, int axis, ptrdiff_t first, ptrdiff_t n) { return attn_slice(ctx, x, axis, first, n); }
static tensor constant(tensor like, double x) { return attn_full(ctx, like->type, 0, NULL, x); }
static tensor shift(tensor x, double s) { return add(x, constant(x, s)); }
static tensor negative(tensor x) { return scale(x, -1); }
static tensor magnitude(tensor x) { return add(relu(x), relu(negative(x))); }
static tensor larger(tensor a, tensor b) { return add(a, relu(subtract(b, a))); }
static tensor smaller(tensor a, tensor b) { return subtract(a, relu(subtract(a, b))); }
static tensor sigmoid(tensor x) { return attn_sigmoid(ctx, x); }
static tensor shaped(tensor x, int rank, ptrdiff_t a, ptrdiff_t b, ptrdiff_t c, ptrdiff_t d) {
    ptrdiff_t shape[4];
    shape[0] = a; shape[1] = b; shape[2] = c; shape[3] = d;
    return attn_reshape(ctx, x, rank, shape);
}
static tensor linear(tensor x, tensor weight, tensor bias) {   // x W' + b
    tensor y = matmul(x, swap(weight, 0, 1));
    return bias ? add(y, bias) : y;
}
static int axis_of(run *r, double axis, int rank) {
    int a = (int)axis;
    if (a < -rank || a >= rank + (rank == 0)) refuse(r, "axis %d of rank %d", a, rank);
    return a < 0 ? a + rank : a;
}
static double root(double x) {                                 // square root without libm
    double y = x > 1 ? x : 1;
    for (int i = 0; i < 100; i++) y = 0.5 * (y + x / y);
    return y;
}
static int any_gradient(const run *r) {
    for (int k = 0; k < r->outputs; k++) if (r->out[k].upstream) return 1;
    return 0;
}
static ptrdiff_t extent(tensor t, int from_last) { return from_last < t->rank ? t->shape[t->rank - 1 - from_last] : 1; }
static ptrdiff_t step(tensor t, int from_last) { return from_last < t->rank ? t->stride[t->rank - 1 - from_last] : 0; }
// What attention_on_tape put together, once more by attn_fwd on the same tensors, views as they are.
static void same_directly(run *r, tensor q, tensor k, tensor v, double s, tensor mask, tensor lengths, tensor y) {
    attn_desc d = ATTN_ZERO;
    ptrdiff_t wide = q->rank == 3 ? 1 : 0, n = count_of(y), *stride[4];
    tensor t[4];
    t[0] = q; t[1] = k; t[2] = v; t[3] = mask;
    stride[0] = d.q_stride; stride[1] = d.k_stride; stride[2] = d.v_stride; stride[3] = d.bias_stride;
    if (q->type != ATTN_F32 || q->rank > 4 || n == 0 || (mask && wide && mask->rank > 2)) return;
    for (int i = 0; i < 4; i++) {                              // rank 3: entries without heads
        if (!t[i]) continue;
        for (int a = 0; a < 4; a++) stride[i][3 - a] = a < 2 || !wide ? step(t[i], a) : a == 3 ? step(t[i], 2) : 0;
        for (int a = 0; a < 4 && i == 3; a++) if (extent(mask, a) == 1) stride[i][3 - a] = 0;
    }
    d.q = q->data; d.k = k->data; d.v = v->data; d.isa = isa;
    d.batch = wide ? extent(q, 2) : extent(q, 3); d.heads = wide ? 1 : extent(q, 2);
    d.kv_heads = wide ? 1 : extent(k, 2);
    d.queries = extent(q, 1); d.keys = extent(k, 1); d.dim = extent(q, 0); d.vdim = extent(v, 0);
    d.scale = (float)s;
    if (mask) { d.bias = mask->data; d.bias_type = mask->type; }
    if (mask && !(d.bias_stride[0] | d.bias_stride[1] | d.bias_stride[2] | d.bias_stride[3])) return;
    if (lengths && lengths->rank == 2) d.row_lengths = (const int32_t *)lengths->data;
    else if (lengths) d.key_lengths = (const int32_t *)lengths->data;
    float *o = (float *)memory(r, n * 4), *want = (float *)memory(r, n * 4);
    d.o = o;
    attn_status status = attn_fwd(&d);
    if (status) { fail(r, "%s", attn_explain(status, &d, (char *)memory(r, 512), 512)); return; }
    if (attn_read(ctx, y, want)) return;
    for (ptrdiff_t i = 0; i < n; i++) {
        double apart = (double)o[i] - (double)want[i], size = want[i] < 0 ? -(double)want[i] : (double)want[i];
        if (!((apart < 0 ? -apart : apart) <= r->atol + r->rtol * size) && (o[i] == o[i] || want[i] == want[i])) {
            fail(r, "attn_fwd inside: [%ld] is %.9g, the composition's %.9g", (long)i, (double)o[i], (double)want[i]);
            return;
        }
    }
}
static tensor attention_on_tape(run *r, tensor q, tensor k, tensor v, double s, tensor mask, tensor lengths,
                                tensor *weights) {
    tensor score = scale(matmul(q, swap(k, -1, -2)), s);
    if (mask) score = add(score, mask);
    *weights = lengths ? attn_masked_softmax(ctx, score, lengths) : attn_softmax(ctx, score, -1);
    tensor y = matmul(*weights, v);
    if (!attn_error(ctx)) same_directly(r, q, k, v, s, mask, lengths, y);
    return y;
}

// ---- element by element: one row each

typedef struct formula {
    const char *op;
    tensor (*f)(tensor x, double a, double b);
    const char *a;
    double a_missing;
    const char *b;
    double b_missing;
    int composed;
} formula;
#define FORMULA(name, y) static tensor name(tensor x, double a, double b) { (void)a; (void)b; return y; }
FORMULA(f_exp, attn_exp(ctx, x))
FORMULA(f_tanh, attn_tanh(ctx, x))
FORMULA(f_relu, relu(x))
FORMULA(f_square, attn_square(ctx, x))
FORMULA(f_sqrt, attn_sqrt(ctx, x))
FORMULA(f_log, attn_log(ctx, x))
FORMULA(f_identity, x)
FORMULA(f_negative, negative(x))
FORMULA(f_magnitude, magnitude(x))
FORMULA(f_reciprocal, divide(constant(x, 1), x))
FORMULA(f_sinh, scale(subtract(attn_exp(ctx, x), attn_exp(ctx, negative(x))), 0.5))
FORMULA(f_cosh, scale(add(attn_exp(ctx, x), attn_exp(ctx, negative(x))), 0.5))
FORMULA(f_exp2, attn_exp(ctx, scale(x, 0.69314718055994530942)))
FORMULA(f_sigmoid, sigmoid(x))
static tensor f_silu(tensor x, double a, double b) {
    (void)b;
    return a < 1 || a > 1 ? multiply(x, sigmoid(scale(x, a))) : attn_silu(ctx, x);
}
FORMULA(f_softsign, divide(x, shift(magnitude(x), 1)))
FORMULA(f_tanhshrink, subtract(x, attn_tanh(ctx, x)))
FORMULA(f_leaky, subtract(relu(x), scale(relu(negative(x)), a)))
FORMULA(f_elu, add(relu(x), scale(shift(attn_exp(ctx, negative(relu(negative(x)))), -1), a)))
FORMULA(f_selu, scale(f_elu(x, a, 0), b))
FORMULA(f_celu, scale(f_elu(scale(x, 1 / a), 1, 0), a))
FORMULA(f_between, shift(negative(relu(shift(negative(relu(shift(x, -a))), b - a))), b))
FORMULA(f_relu6, f_between(x, 0, 6))
FORMULA(f_hardsigmoid, f_between(shift(scale(x, a), b), 0, 1))
FORMULA(f_hardswish, multiply(x, f_hardsigmoid(x, 1.0 / 6, 0.5)))
FORMULA(f_softshrink, subtract(relu(shift(x, -a)), relu(shift(negative(x), -a))))
static const formula formulas[] = {
    {"Identity", f_identity, 0, 0, 0, 0, 0}, {"Exp", f_exp, 0, 0, 0, 0, 0}, {"Tanh", f_tanh, 0, 0, 0, 0, 0},
    {"tanh", f_tanh, 0, 0, 0, 0, 0}, {"Relu", f_relu, 0, 0, 0, 0, 0}, {"relu", f_relu, 0, 0, 0, 0, 0},
    {"Sqrt", f_sqrt, 0, 0, 0, 0, 0}, {"Log", f_log, 0, 0, 0, 0, 0},
    {"square", f_square, 0, 0, 0, 0, 0}, {"Neg", f_negative, 0, 0, 0, 0, 0}, {"Abs", f_magnitude, 0, 0, 0, 0, 1},
    {"Reciprocal", f_reciprocal, 0, 0, 0, 0, 0}, {"Sinh", f_sinh, 0, 0, 0, 0, 1}, {"Cosh", f_cosh, 0, 0, 0, 0, 1},
    {"exp2", f_exp2, 0, 0, 0, 0, 1}, {"Sigmoid", f_sigmoid, 0, 0, 0, 0, 0}, {"sigmoid", f_sigmoid, 0, 0, 0, 0, 0},
    {"Swish", f_silu, "alpha", 1, 0, 0, 1}, {"silu", f_silu, "", 1, 0, 0, 0}, {"Softsign", f_softsign, 0, 0, 0, 0, 1},
    {"softsign", f_softsign, 0, 0, 0, 0, 1}, {"tanhshrink", f_tanhshrink, 0, 0, 0, 0, 1},
    {"relu6", f_relu6, 0, 0, 0, 0, 1},
    {"LeakyRelu", f_leaky, "alpha", 0.01, 0, 0, 1}, {"leaky_relu", f_leaky, "negative_slope", 0.01, 0, 0, 1},
    {"Elu", f_elu, "alpha", 1, 0, 0, 1}, {"elu", f_elu, "alpha", 1, 0, 0, 1}, {"Celu", f_celu, "alpha", 1, 0, 0, 1},
    {"celu", f_celu, "alpha", 1, 0, 0, 1},
    {"Selu", f_selu, "alpha", 1.67326319217681885, "gamma", 1.05070102214813232, 1},
    {"selu", f_selu, "alpha", 1.67326324235437728, "gamma", 1.05070098735548049, 1},
    {"HardSigmoid", f_hardsigmoid, "alpha", 0.2, "beta", 0.5, 1},
    {"HardSwish", f_hardswish, 0, 0, 0, 0, 1},
    {"hardsigmoid", f_hardsigmoid, "", 1.0 / 6, "", 0.5, 1}, {"hardswish", f_hardswish, 0, 0, 0, 0, 1},
    {"hardtanh", f_between, "min", -1, "max", 1, 1}, {"softshrink", f_softshrink, "lambd", 0.5, 0, 0, 1}};

static void moderate(run *r) {                                 // composed by differences: exact enough up to 100 only
    for (int k = 0; k < r->inputs; k++)
        for (ptrdiff_t i = 0; r->in[k].v && i < r->in[k].v->count; i++) {
            double x = value_at(r->in[k].v->type->type, r->in[k].v->data, i);
            if (!(x >= -100 && x <= 100)) { refuse(r, "the composition is for inputs up to 100"); return; }
        }
}
static void element_by_element(run *r, const formula *f) {
    tensor x = need(r, 0);
    double a = f->a ? number(r, f->a, f->a_missing) : 0, b = f->b ? number(r, f->b, f->b_missing) : 0;
    r->composed = f->composed;
    if (!r->refused) give(r, 0, f->f(x, a, b));
}
static void run_erf(run *r) {                                  // erf and the gelu that stands on it
    const vector *x = raw(r, 0);
    const char *form = word(r, "approximate", "none");
    int gelu = r->op[0] != 'e' && r->op[0] != 'E';
    if (!x || x->type->type != ATTN_F32) { refuse(r, "type"); return; }
    if (gelu && !strcmp(form, "tanh")) {
        if (!any_gradient(r)) {
            float *t = (float *)memory(r, x->count * 4);
            if (attn_map_f32(ATTN_MAP_GELU_TANH, t, (const float *)(const void *)x->data, x->count, isa))
                fail(r, "attn_map_f32 refused");
            give_array(r, 0, ATTN_F32, t);
            return;
        }
        tensor t = take_input(r, 0), cube = multiply(attn_square(ctx, t), t);
        tensor u = scale(add(t, scale(cube, 0.044715)), 0.79788456080286536);
        r->composed = 1;
        give(r, 0, scale(multiply(t, shift(attn_tanh(ctx, u), 1)), 0.5));
        return;
    }
    if (strcmp(form, "none")) refuse(r, "attribute approximate=%s", form);
    if (gelu) { give(r, 0, attn_gelu(ctx, take_input(r, 0))); return; }
    float *y = (float *)memory(r, x->count * 4);
    if (attn_map_f32(ATTN_MAP_ERF, y, (const float *)(const void *)x->data, x->count, isa))
        fail(r, "attn_map_f32 refused");
    give_array(r, 0, ATTN_F32, y);
}

// ---- arithmetic and reductions

static void run_arithmetic(run *r) {
    tensor a = need(r, 0), b = need(r, 1);
    if (r->refused) return;
    give(r, 0, r->op[0] == 'A' ? add(a, b) : r->op[0] == 'S' ? subtract(a, b)
             : r->op[0] == 'M' ? multiply(a, b) : divide(a, b));
}
static void run_several(run *r) {                              // Sum, Mean, Max, Min of any number of arrays
    tensor y = need(r, 0);
    r->composed = r->inputs > 1;
    if (!strcmp(r->op, "Max") || !strcmp(r->op, "Min")) moderate(r);
    for (int k = 1; k < r->inputs && !r->refused; k++) {
        tensor x = need(r, k);
        if (!r->refused) y = !strcmp(r->op, "Max") ? larger(y, x) : !strcmp(r->op, "Min") ? smaller(y, x) : add(y, x);
    }
    if (!r->refused) give(r, 0, !strcmp(r->op, "Mean") ? scale(y, 1.0 / r->inputs) : y);
}
static void run_clip(run *r) {
    tensor x = need(r, 0), low = take_input(r, 1), high = take_input(r, 2);
    r->composed = 1;
    moderate(r);
    if (!r->refused && low) x = larger(low, x);
    if (!r->refused) give(r, 0, high ? smaller(high, x) : x);
}
static void run_gated(run *r) {                                // SwiGLU, swiglu, reglu, glu
    tensor a = need(r, 0), b = take_input(r, 1);
    double alpha = r->op[0] == 'S' ? number(r, "alpha", 1) : 1;
    if (r->refused) return;
    r->composed = 1;
    if (!strcmp(r->op, "glu")) {
        int axis = axis_of(r, number(r, "axis", -1), a->rank);
        if (r->refused) return;
        tensor half = slice(a, axis, 0, a->shape[axis] / 2);
        give(r, 0, multiply(half, sigmoid(slice(a, axis, a->shape[axis] / 2, a->shape[axis] / 2))));
    } else if (!b) refuse(r, "input 1 is missing");
    else give(r, 0, multiply(b, r->op[0] == 'r' ? relu(a) : f_silu(a, alpha, 0)));
}
// ONNX: the slope broadcasts; torch: one for each channel
static void run_prelu(run *r) {
    tensor x = need(r, 0), slope = need(r, 1);
    if (r->refused) return;
    r->composed = 1;
    if (r->op[0] == 'p' && slope->rank == 1 && x->rank == 3) slope = shaped(slope, 2, -1, 1, 0, 0);
    else if (r->op[0] == 'p' && x->rank != 2) refuse(r, "rank %d", (int)x->rank);
    give(r, 0, subtract(relu(x), multiply(slope, relu(negative(x)))));
}
static tensor without(tensor x, const int *drop) {             // axes of extent 1 dropped
    ptrdiff_t shape[RANK];
    int rank = 0;
    for (int i = 0; i < x->rank; i++) if (!drop[i]) shape[rank++] = x->shape[i];
    return attn_reshape(ctx, x, rank, shape);
}
static tensor product_over(tensor x, int axis) {               // along an axis, kept with extent 1
    tensor y = slice(x, axis, 0, x->shape[axis] > 0);
    if (!x->shape[axis]) {
        ptrdiff_t shape[RANK];
        for (int i = 0; i < x->rank; i++) shape[i] = i == axis ? 1 : x->shape[i];
        return attn_full(ctx, x->type, x->rank, shape, 1);
    }
    for (ptrdiff_t i = 1; i < x->shape[axis]; i++) y = multiply(y, slice(x, axis, i, 1));
    return y;
}
static tensor root_of(tensor x) { return attn_sqrt(ctx, x); }
static tensor log_of(tensor x) { return attn_log(ctx, x); }
static int reduced_axes(run *r, int rank, int *drop) {         // how many; all when none is named; -1 = none (noop)
    ptrdiff_t axes[RANK];
    int count = whole_numbers(r, 1, "axes", axes, RANK), n = 0;
    if (number(r, "noop_with_empty_axes", 0) != 0 && count <= 0) return -1;
    for (int i = 0; i < rank; i++) drop[i] = count <= 0;
    for (int i = 0; i < count; i++) {
        int axis = axis_of(r, (double)axes[i], rank);
        if (r->refused) return 0;
        drop[axis] = 1;
    }
    for (int i = 0; i < rank; i++) n += drop[i];
    return n;
}
static void run_reduce(run *r) {
    const char *kind = r->op + 6;                              // ReduceSum, GlobalAveragePool
    tensor x = need(r, 0);
    int drop[RANK] = {0}, keep = (int)number(r, "keepdims", 1), largest = strstr(kind, "Max") || !strcmp(kind, "Min");
    int product = !strcmp(kind, "Prod");
    if (r->refused) return;
    int n = r->op[0] == 'G' ? x->rank - 2 : reduced_axes(r, x->rank, drop);
    for (int i = 2; r->op[0] == 'G' && i < x->rank; i++) drop[i] = 1;
    r->composed = n > 1 || !strcmp(kind, "L1") || !strcmp(kind, "SumSquare") || !strcmp(kind, "Min")
        || !strcmp(kind, "L2") || product;
    if (n < 0) {
        if (strcmp(kind, "Sum") && strcmp(kind, "Mean") && strcmp(kind, "Max"))
            refuse(r, "noop_with_empty_axes of %s", r->op);
        give(r, 0, x);
        return;
    }
    if (!strcmp(kind, "L1")) x = magnitude(x);
    if (!strcmp(kind, "SumSquare") || !strcmp(kind, "L2")) x = attn_square(ctx, x);
    if (!strcmp(kind, "Min")) x = negative(x);
    for (int i = 0; i < x->rank && !r->refused && !attn_error(ctx); i++) {
        if (!drop[i]) continue;
        if (largest && !x->shape[i]) refuse(r, "the maximum of nothing is an error here");
        else if (largest) x = attn_max(ctx, x, i, NULL);
        else if (product) x = product_over(x, i);
        else x = kind[0] == 'M' || kind[0] == 'A' ? attn_mean(ctx, x, i) : attn_sum(ctx, x, i);
    }
    if (!strcmp(kind, "Min")) x = negative(x);
    if (!strcmp(kind, "L2")) x = root_of(x);
    if (!r->refused) give(r, 0, keep ? x : without(x, drop));
}
static void run_cumulative(run *r) {                           // CumSum, CumProd: slice by slice
    tensor x = need(r, 0), y = NULL;
    const vector *at = raw(r, 1);
    int exclusive = number(r, "exclusive", 0) != 0, backwards = number(r, "reverse", 0) != 0, drop[RANK] = {0};
    int product = !strcmp(r->op, "CumProd");
    if (r->refused || !at || at->count != 1) { refuse(r, "axis"); return; }
    int axis = axis_of(r, value_at(at->type->type, at->data, 0), x->rank);
    r->composed = 1;
    for (ptrdiff_t i = 0; !r->refused && i < x->shape[axis] && !attn_error(ctx); i++) {
        ptrdiff_t j = backwards ? x->shape[axis] - 1 - i : i;
        tensor part;
        drop[axis] = 1;
        part = without(slice(x, axis, j, 1), drop);
        if (!y) y = attn_full(ctx, x->type, part->rank, part->shape, product);
        if (exclusive) give_at(r, 0, y, axis, j);
        y = product ? multiply(y, part) : add(y, part);
        if (!exclusive) give_at(r, 0, y, axis, j);
    }
}
static tensor reversed(run *r, const vector *v, int axis) {    // the data in the opposite order along an axis
    ptrdiff_t inner = 1, n = v->shape[axis];
    for (int i = axis + 1; i < v->rank; i++) inner *= v->shape[i];
    unsigned char *x = (unsigned char *)memory(r, v->count * (ptrdiff_t)v->type->bytes);
    for (ptrdiff_t i = 0; i < v->count; i++) {
        ptrdiff_t j = i / inner % n, from = i + (n - 1 - 2 * j) * inner;
        memcpy(x + (size_t)i * v->type->bytes, v->data + (size_t)from * v->type->bytes, v->type->bytes);
    }
    return attn_from(ctx, v->type->type, v->rank, v->shape, x);
}
static void run_argmax(run *r) {
    tensor x = need(r, 0);
    int drop[RANK] = {0}, keep = (int)number(r, "keepdims", 1), last = number(r, "select_last_index", 0) != 0;
    if (r->refused) return;
    int axis = axis_of(r, number(r, "axis", 0), x->rank);
    if (r->refused) return;
    drop[axis] = 1;
    int least = !strcmp(r->op, "ArgMin");
    ptrdiff_t n = x->shape[axis];
    r->composed = least || last;
    if (last) x = reversed(r, raw(r, 0), axis);
    x = attn_argmax(ctx, least ? negative(x) : x, axis);
    if (!last) { give(r, 0, keep ? x : without(x, drop)); return; }
    int32_t *index = (int32_t *)memory(r, count_of(x) * 4);    // counted from the end
    if (attn_read(ctx, x, index)) return;
    for (ptrdiff_t i = 0; i < count_of(x); i++) index[i] = (int32_t)n - 1 - index[i];
    give(r, 0, attn_from(ctx, ATTN_I32, (keep ? x : without(x, drop))->rank, (keep ? x : without(x, drop))->shape,
                         index));
}

// ---- products

// a vector counts as a matrix of one row (left) or column
static void run_matmul(run *r) {
    tensor a = need(r, 0), b = need(r, 1);
    if (r->refused) return;
    int row = a->rank == 1, column = b->rank == 1;
    tensor y = matmul(row ? shaped(a, 2, 1, -1, 0, 0) : a, column ? shaped(b, 2, -1, 1, 0, 0) : b);
    int drop[RANK] = {0};
    if (row && y->rank >= 2) drop[y->rank - 2] = 1;
    if (column && y->rank >= 1) drop[y->rank - 1] = 1;
    give(r, 0, row || column ? without(y, drop) : y);
}
static void run_linear(run *r) {
    tensor x = take_named(r, "x"), w = take_named(r, "weight"), b = take_named(r, "bias");
    if (!x || !w) { refuse(r, "input is missing"); return; }
    r->composed = 1;
    give(r, 0, linear(x, w, b));
}
static void run_gemm(run *r) {                                 // depth 1, C laid into the result first
    const vector *a = raw(r, 0), *b = raw(r, 1), *c = raw(r, 2);
    attn_matmul_desc d = ATTN_ZERO;
    if (!a || !b || a->rank != 2 || b->rank != 2 || (c && c->rank > 2)) { refuse(r, "ranks"); return; }
    if (a->type != b->type || (c && c->type != a->type) || a->type->whole || a->type->bytes < 4) {
        refuse(r, "type");
        return;
    }
    d.alpha = number(r, "alpha", 1);
    d.beta = c ? number(r, "beta", 1) : 0;
    d.trans_a = number(r, "transA", 0) != 0;
    d.trans_b = number(r, "transB", 0) != 0;
    d.m = a->shape[d.trans_a];
    d.k = a->shape[!d.trans_a];
    d.n = b->shape[!d.trans_b];
    if (d.alpha == 0 || b->shape[d.trans_b] != d.k) { refuse(r, "alpha 0, or shapes"); return; }
    size_t size = a->type->bytes;
    unsigned char *y = (unsigned char *)array_for(r, 0, size);
    ptrdiff_t rows = c && c->rank == 2 ? c->shape[0] : 1, columns = c && c->rank ? c->shape[c->rank - 1] : 1;
    if (!y || r->out[0].want->count != d.m * d.n) { fail(r, "out0 is not of m x n"); return; }
    for (ptrdiff_t i = 0; c && i < d.m * d.n; i++)
        memcpy(y + (size_t)i * size,
               c->data + (size_t)((rows > 1 ? i / d.n * columns : 0) + (columns > 1 ? i % d.n : 0)) * size, size);
    d.a = a->data; d.b = b->data; d.c = y; d.isa = isa;
    attn_status s = a->type->type == ATTN_F64 ? attn_matmul_f64(&d) : attn_matmul_f32(&d);
    if (s) fail(r, "%s", attn_explain_matmul(s, &d, (char *)memory(r, 256), 256));
    give_array(r, 0, a->type->type, y);
}

// x has one axis for each letter of `labels`; here they come into the order of `wanted`, labels likewise.
static tensor arranged(tensor x, char *labels, const char *wanted) {
    for (int i = 0; wanted[i]; i++) {
        int from = (int)(strchr(labels, wanted[i]) - labels);
        if (from != i) x = swap(x, i, from);
        labels[from] = labels[i];
        labels[i] = wanted[i];
    }
    return x;
}
static tensor summed(tensor x, char *labels, const char *keep, const char *keep_too) {   // letters in neither go
    for (int i = (int)strlen(labels) - 1; i >= 0 && !attn_error(ctx); i--) {
        int drop[RANK] = {0};
        if (strchr(keep, labels[i]) || strchr(keep_too, labels[i])) continue;
        drop[i] = 1;
        x = without(attn_sum(ctx, x, i), drop);
        memmove(labels + i, labels + i + 1, strlen(labels + i));
    }
    return x;
}
// la becomes the result's letters
static tensor contracted(tensor a, char *la, tensor b, char *lb, const char *keep) {
    char batch[32] = {0}, free_a[32] = {0}, free_b[32] = {0}, inner[32] = {0}, order[64];
    ptrdiff_t extent[128] = {0}, shape[32], size[4] = {1, 1, 1, 1};
    char *to[4];
    int rank = 0;
    to[0] = batch; to[1] = free_a; to[2] = inner; to[3] = free_b;
    for (int side = 0; side < 2; side++)
        for (const char *l = side ? lb : la; *l; l++) {
            int both = strchr(side ? la : lb, *l) != NULL, kind = !both ? (side ? 3 : 1) : strchr(keep, *l) ? 0 : 2;
            extent[(int)*l] = (side ? b : a)->shape[l - (side ? lb : la)];
            if (both && side) continue;
            size[kind] *= extent[(int)*l];
            to[kind][strlen(to[kind])] = *l;
        }
    snprintf(order, sizeof order, "%.9s%.9s%.9s", batch, free_a, inner);
    a = shaped(arranged(a, la, order), 3, size[0], size[1], size[2], 0);
    snprintf(order, sizeof order, "%.9s%.9s%.9s", batch, inner, free_b);
    b = shaped(arranged(b, lb, order), 3, size[0], size[2], size[3], 0);
    snprintf(la, 32, "%.9s%.9s%.9s", batch, free_a, free_b);
    for (; la[rank]; rank++) shape[rank] = extent[(int)la[rank]];
    return attn_reshape(ctx, matmul(a, b), rank, shape);
}
static tensor diagonal(run *r, tensor x, char *labels) {       // a letter that occurs twice: a product with 0 and 1
    for (int i = 0; labels[i] && !attn_error(ctx); i++) {
        char *second = strchr(labels + i + 1, labels[i]);
        int j = second ? (int)(second - labels) : 0, drop[RANK] = {0};
        ptrdiff_t shape[RANK], n = x->shape[i];
        if (!second) continue;
        if (x->shape[j] != n) { refuse(r, "equation"); return x; }
        float *eye = (float *)memory(r, n * n * 4);
        double *eye64 = (double *)memory(r, n * n * 8);
        for (ptrdiff_t k = 0; k < n; k++) { eye[k * (n + 1)] = 1; eye64[k * (n + 1)] = 1; }
        for (int k = 0; k < x->rank; k++) shape[k] = k == i || k == j ? n : 1;
        x = multiply(x, attn_from(ctx, x->type, x->rank, shape,
                                  x->type == ATTN_F64 ? (const void *)eye64 : (const void *)eye));
        drop[j] = 1;
        x = without(attn_sum(ctx, x, j), drop);
        memmove(second, second + 1, strlen(second));
        i = -1;
    }
    return x;
}
// `...` becomes digits, the last axis always 9
static void unfold(char *to, const char *equation, int axes) {
    for (; *equation; equation++) {
        if (*equation != '.') { *to++ = *equation; continue; }
        for (int i = 0; i < axes; i++) *to++ = (char)('9' - axes + 1 + i);
        equation += 2;
    }
    *to = 0;
}
static void run_einsum(run *r) {                               // letters, and `...` of one extent in every operand
    const char *text = word(r, "equation", "");
    char labels[8][32] = {{0}}, out[32] = {0}, keep[256], plain[256];
    int operands = 0, n = 0, arrow = strstr(text, "->") != NULL, letters = 0;
    tensor y = need(r, 0);
    for (const char *l = text; *l && *l != ',' && *l != '-'; l++) letters += *l != '.' && *l != ' ';
    if (strstr(text, "...") && (r->refused || strlen(text) > 100 || y->rank < letters || y->rank - letters > 6)) {
        refuse(r, "equation");
        return;
    }
    if (strlen(text) > 200 || r->refused) { refuse(r, "equation"); return; }
    unfold(plain, text, y->rank - letters);
    text = plain;
    for (; *text; text++) {
        if (*text == ',' && operands < 7) { operands++; n = 0; }
        else if (*text == '-' && text[1] == '>') { n = 0; text++; arrow = 2; }
        else if (*text != ' ') {
            char *l = arrow == 2 ? out : labels[operands];
            int digit = *text >= '0' && *text <= '9', letter = (*text | 32) >= 'a' && (*text | 32) <= 'z';
            if ((!digit && !letter) || n >= ATTN_MAX_RANK || (l == out && strchr(l, *text))) refuse(r, "equation");
            else l[n++] = *text;
        }
    }
    for (char l = '0'; l <= 'z' && !arrow; l++) {              // without an arrow: the letters that occur once
        int times = 0;
        for (int k = 0; k <= operands; k++)
            for (const char *at = labels[k]; *at; at++) times += *at == l;
        if ((times == 1 || (times && l <= '9')) && strlen(out) < ATTN_MAX_RANK) out[strlen(out)] = l;
    }
    if (operands + 1 != r->inputs) refuse(r, "equation");
    for (int k = 0; k <= operands && !r->refused && !attn_error(ctx); k++) {
        tensor x = need(r, k);
        if (r->refused || x->rank != (int)strlen(labels[k])) { refuse(r, "equation"); return; }
        x = diagonal(r, x, labels[k]);
        if (!k) y = x;
        snprintf(keep, sizeof keep, "%s", out);
        for (int j = k + 1; j <= operands; j++) strcat(keep, labels[j]);
        if (!k) { y = summed(y, labels[0], keep, ""); continue; }
        x = summed(x, labels[k], keep, labels[0]);
        if (!attn_error(ctx)) y = summed(contracted(y, labels[0], x, labels[k], keep), labels[0], keep, "");
    }
    r->composed = 1;
    if (r->refused || attn_error(ctx)) return;
    if (strlen(labels[0]) != strlen(out)) { refuse(r, "equation"); return; }
    give(r, 0, arranged(y, labels[0], out));
}

// ---- shape and data movement

static void run_transpose(run *r) {
    tensor x = need(r, 0);
    ptrdiff_t perm[RANK];
    int place[RANK], n = whole_numbers(r, -1, "perm", perm, RANK);
    if (r->refused) return;
    for (int i = 0; i < x->rank; i++) place[i] = i;            // which axis of the input lies at i now
    for (int i = 0; i < x->rank; i++) {
        int from = i, wanted = n < 0 ? x->rank - 1 - i : i < n ? (int)perm[i] : -1;
        while (from < x->rank && place[from] != wanted) from++;
        if (from == x->rank) { refuse(r, "perm"); return; }
        if (from != i) x = swap(x, i, from);
        place[from] = place[i];
        place[i] = wanted;
    }
    give(r, 0, x);
}
static void run_reshape(run *r) {                              // Reshape, Flatten, Squeeze, Unsqueeze, Expand
    tensor x = need(r, 0);
    ptrdiff_t n[RANK], shape[2 * RANK], left = 1;
    int axes = r->op[0] != 'R' && r->op[0] != 'E', count, drop[2 * RANK] = {0};
    if (r->refused) return;
    if (!strcmp(r->op, "Flatten")) {
        int axis = (int)number(r, "axis", 1);
        for (int i = 0; i < (axis < 0 ? axis + x->rank : axis) && i < x->rank; i++) left *= x->shape[i];
        give(r, 0, shaped(x, 2, left, left ? count_of(x) / left : 1, 0, 0));
        return;
    }
    count = whole_numbers(r, 1, axes ? "axes" : "shape", n, RANK);
    int rank = r->op[0] == 'U' ? x->rank + count : r->op[0] == 'S' ? x->rank : count,
        zero = (int)number(r, "allowzero", 0), from = 0;
    if (r->refused || (count < 0 && r->op[0] != 'S') || rank > ATTN_MAX_RANK) { refuse(r, "rank or no shape"); return; }
    for (int i = 0; axes && i < count; i++) drop[axis_of(r, (double)n[i], rank ? rank : 1) & (RANK - 1)] = 1;
    if (r->op[0] == 'S') {
        for (int i = 0; i < rank && count < 0; i++) drop[i] = x->shape[i] == 1;
        give(r, 0, without(x, drop));
    } else if (r->op[0] == 'E') {
        for (rank = x->rank > count ? x->rank : count; from < rank; from++) {
            int a = from - (rank - count), b = from - (rank - x->rank);
            shape[from] = a < 0 || n[a] == 1 ? (b < 0 ? 1 : x->shape[b]) : n[a];
        }
        give(r, 0, attn_broadcast(ctx, x, rank, shape));
    } else {
        for (int i = 0; i < rank; i++)
            shape[i] = r->op[0] == 'U' ? (drop[i] ? 1 : from < x->rank ? x->shape[from++] : 1)
                     : n[i] == 0 && !zero && i < x->rank ? x->shape[i] : n[i];
        give(r, 0, attn_reshape(ctx, x, rank, shape));
    }
}
static void run_gather(run *r) {                               // a slice for each index
    tensor x = need(r, 0);
    const vector *index = raw(r, 1);
    if (r->refused || !index || !index->type->whole) { refuse(r, "indices"); return; }
    int axis = axis_of(r, number(r, "axis", 0), x->rank), drop[RANK] = {0};
    ptrdiff_t stride[RANK], inner = 1, n = 1;
    if (r->refused) return;
    for (int i = x->rank - 1; i >= 0; i--) {                   // of the result, the axis left out
        if (i == axis) { inner = n; n *= index->count; continue; }
        stride[i > axis ? i - 1 : i] = n;
        n *= x->shape[i];
    }
    drop[axis] = 1;
    r->composed = 1;
    for (ptrdiff_t j = 0; j < index->count && !attn_error(ctx); j++) {
        ptrdiff_t at = (ptrdiff_t)value_at(index->type->type, index->data, j);
        give_part(r, 0, without(slice(x, axis, at < 0 ? at + x->shape[axis] : at, 1), drop), j * inner, stride);
    }
}
static void run_tile(run *r) {                                 // each axis: repeated before it, then joined
    tensor x = need(r, 0);
    ptrdiff_t times[RANK], shape[RANK], wide[3];
    int n = whole_numbers(r, 1, "repeats", times, RANK);
    if (r->refused || n != x->rank) { refuse(r, "repeats"); return; }
    for (int i = 0; i < n; i++) shape[i] = x->shape[i];
    r->composed = 1;
    for (int i = n - 1; i >= 0 && !attn_error(ctx); i--) {
        wide[0] = wide[2] = 1; wide[1] = times[i];
        for (int a = 0; a < n; a++) wide[a < i ? 0 : 2] *= shape[a];
        x = attn_broadcast(ctx, shaped(x, 3, wide[0], 1, wide[2], 0), 3, wide);
        shape[i] *= times[i];
        x = attn_reshape(ctx, x, n, shape);
    }
    give(r, 0, x);
}
static void run_shape(run *r) {                                // Shape, Size: what a tensor says of itself
    tensor x = need(r, 0);
    int32_t extents[RANK], count = 0;
    if (r->refused || attn_error(ctx)) return;
    int first = (int)number(r, "start", 0), end = (int)number(r, "end", x->rank);
    if (!strcmp(r->op, "Size")) { extents[0] = (int32_t)attn_count(x); give_array(r, 0, ATTN_I32, extents); return; }
    first = first < -x->rank ? 0 : first < 0 ? first + x->rank : first;
    end = end < 0 ? end + x->rank : end > x->rank ? x->rank : end;
    for (int i = first; i < end; i++) extents[count++] = (int32_t)x->shape[i];
    if (r->out[0].want && r->out[0].want->count != count) fail(r, "%d extents", (int)count);
    give_array(r, 0, ATTN_I32, extents);
}
static void run_slice(run *r) {                                // unit steps
    tensor x = need(r, 0);
    ptrdiff_t starts[RANK], ends[RANK], axes[RANK], steps[RANK];
    int n = whole_numbers(r, 1, "starts", starts, RANK), m = whole_numbers(r, 2, "ends", ends, RANK);
    int named_axes = whole_numbers(r, 3, "axes", axes, RANK), stepped = whole_numbers(r, 4, "steps", steps, RANK);
    for (int i = 0; i < n && !r->refused; i++) {
        int axis = axis_of(r, named_axes < 0 ? i : (double)axes[i], x->rank);
        if (m != n || (stepped >= 0 && steps[i] != 1)) refuse(r, "steps other than 1");
        if (r->refused) return;
        ptrdiff_t extent = x->shape[axis], first = starts[i] < 0 ? starts[i] + extent : starts[i];
        ptrdiff_t end = ends[i] < 0 ? ends[i] + extent : ends[i];
        first = first < 0 ? 0 : first > extent ? extent : first;
        end = end > extent ? extent : end < first ? first : end;
        x = slice(x, axis, first, end - first);
    }
    if (n >= 0 && !r->refused) give(r, 0, x);
}
static void run_constant_of_shape(run *r) {
    ptrdiff_t shape[RANK];
    int rank = whole_numbers(r, 0, NULL, shape, ATTN_MAX_RANK), type = -1;
    const char *name = word(r, "value_dtype", "F32");
    for (int i = 0; i < DTYPES; i++) if (!strcmp(dtypes[i].text, name)) type = dtypes[i].type;
    if (rank < 0 || type < 0) { refuse(r, "shape or type"); return; }
    give(r, 0, attn_full(ctx, type, rank, shape, number(r, "value", 0)));
}
static void run_range(run *r) {                                // start + delta * 0, 1, ..
    double x[3];
    for (int k = 0; k < 3; k++) {
        const vector *v = raw(r, k);
        if (!v || v->count != 1 || v->type->whole) { refuse(r, "type"); return; }
        x[k] = value_at(v->type->type, v->data, 0);
    }
    double count = (x[1] - x[0]) / x[2];
    ptrdiff_t n = count > 0 && count < 1e6 ? (ptrdiff_t)count + ((double)(ptrdiff_t)count < count) : 0;
    r->composed = 1;
    r->odd_type = raw(r, 0)->type->bytes < 4;
    give(r, 0, shift(scale(attn_arange(ctx, raw(r, 0)->type->type, n), x[2]), x[0]));
}
static void run_split(run *r) {
    tensor x = need(r, 0);
    ptrdiff_t sizes[OUTPUTS], first = 0;
    int n = whole_numbers(r, 1, "split", sizes, OUTPUTS), parts = (int)number(r, "num_outputs", r->outputs);
    if (r->refused) return;
    int axis = axis_of(r, number(r, "axis", 0), x->rank);
    if (r->refused || parts != r->outputs || (n >= 0 && n != r->outputs)) { refuse(r, "parts"); return; }
    for (int k = 0; k < parts; k++) {
        ptrdiff_t size = n < 0 ? (x->shape[axis] + parts - 1) / parts : sizes[k];
        if (n < 0 && first + size > x->shape[axis]) size = x->shape[axis] - first;
        give(r, k, slice(x, axis, first, size));
        first += size;
    }
}

// ---- softmax and losses

static void run_softmax(run *r) {
    tensor x = need(r, 0);
    double temperature = number(r, "temperature", 1);
    // ONNX before 13: a matrix of the axes before and from `axis`
    int old = r->opset && r->opset < 13;
    if (r->refused) return;
    int axis = axis_of(r, number(r, "axis", old ? 1 : -1), x->rank), rank = x->rank;
    ptrdiff_t shape[RANK], rows = 1;
    if (r->refused) return;
    for (int i = 0; i < rank; i++) { shape[i] = x->shape[i]; if (i < axis) rows *= shape[i]; }
    if (temperature != 1) { x = scale(x, 1 / temperature); r->composed = 1; }
    if (old) x = attn_reshape(ctx, attn_softmax(ctx, shaped(x, 2, rows, -1, 0, 0), 1), rank, shape);
    else x = attn_softmax(ctx, x, axis);
    give(r, 0, x);
}
static tensor rows_of(tensor x, int axis, ptrdiff_t *outer, ptrdiff_t *n, ptrdiff_t *inner) {   // [outer * inner, n]
    *outer = *inner = 1;
    *n = x->shape[axis];
    for (int i = 0; i < x->rank; i++) *(i < axis ? outer : inner) *= i == axis ? 1 : x->shape[i];
    return shaped(swap(shaped(x, 3, *outer, *n, *inner, 0), 1, 2), 2, *outer * *inner, *n, 0, 0);
}
static tensor minus_log(tensor rows, ptrdiff_t row, ptrdiff_t target, int given) {   // -log softmax(row)[target]
    ptrdiff_t one = 1;
    int32_t t = (int32_t)target;
    tensor x = slice(rows, 0, row, 1);
    return given ? negative(attn_reshape(ctx, slice(x, 1, target, 1), 0, NULL))
                 : attn_cross_entropy(ctx, x, attn_from(ctx, ATTN_I32, 1, &one, &t));
}
static void run_log_softmax(run *r) {                          // logsumexp: by the cross entropy of one row
    tensor x = need(r, 0);
    ptrdiff_t outer, n, inner, stride = 1;
    int sum = r->op[3] == 's' && r->op[4] == 'u', old = r->opset && r->opset < 13;     // logsumexp
    if (r->refused || (sum && !expect(r, "keepdims", "0", "0"))) return;
    int axis = axis_of(r, number(r, "axis", old ? 1 : -1), x->rank);
    if (r->refused) return;
    if (old) {
        for (outer = 1; axis > 0; axis--) outer *= x->shape[axis - 1];
        x = shaped(x, 2, outer, -1, 0, 0);
        axis = 1;
    }
    if (!sum) { give(r, 0, attn_log_softmax(ctx, x, axis)); return; }
    tensor rows = rows_of(x, axis, &outer, &n, &inner);
    r->composed = 1;
    for (ptrdiff_t i = 0; i < outer * inner && n && !attn_error(ctx); i++)
        give_part(r, 0, add(minus_log(rows, i, 0, 0), attn_reshape(ctx, slice(slice(rows, 0, i, 1), 1, 0, 1), 0,
                                                                   NULL)), i, &stride);
}
static void run_reduce_log_sum_exp(run *r) {                   // of one axis, or of all
    tensor x = need(r, 0), rows;
    ptrdiff_t outer = 1, n, inner = 1, stride = 1;
    int drop[RANK] = {0}, axis = 0;
    number(r, "keepdims", 1);                                  // the elements lie in the same order
    if (r->refused) return;
    int dropped = reduced_axes(r, x->rank, drop);
    if (r->refused || (dropped != 1 && dropped != x->rank) || !count_of(x)) {
        refuse(r, "axes, or nothing to sum");
        return;
    }
    while (dropped == 1 && !drop[axis]) axis++;
    rows = dropped == 1 ? rows_of(x, axis, &outer, &n, &inner) : shaped(x, 2, 1, -1, 0, 0);
    r->composed = 1;
    for (ptrdiff_t i = 0; i < outer * inner && !attn_error(ctx); i++)
        give_part(r, 0, add(minus_log(rows, i, 0, 0), attn_reshape(ctx, slice(slice(rows, 0, i, 1), 1, 0, 1), 0,
                                                                   NULL)), i, &stride);
}
typedef struct loss {
    tensor rows, target;
    const vector *t, *w;
    ptrdiff_t outer, n, inner, ignored;
    double smooth;
    int given;                // x holds logarithms already
} loss;
static double loss_weight(const loss *l, ptrdiff_t c) { return l->w ? value_at(l->w->type->type, l->w->data, c) : 1; }
static tensor loss_of_row(const loss *l, ptrdiff_t i, ptrdiff_t t) {
    tensor y = NULL;
    for (ptrdiff_t c = l->target || l->smooth != 0 ? 0 : t; c < (l->target || l->smooth != 0 ? l->n : t + 1); c++) {
        double s = loss_weight(l, c) * (l->target ? 1 : (c == t ? 1 - l->smooth : 0) + l->smooth / (double)l->n);
        tensor term = scale(minus_log(l->rows, i, c, l->given), s);
        if (l->target) term = multiply(term, attn_reshape(ctx, slice(slice(l->target, 0, i, 1), 1, c, 1), 0, NULL));
        y = y ? add(y, term) : term;
    }
    return y;
}
static int loss_direct(run *r, const loss *l, tensor x, int mean) {   // what attn_cross_entropy does in one call
    if (!mean || l->w || l->target || l->smooth != 0 || l->given || output_named(r, "log_prob") >= 0) return 0;
    int32_t *t = (int32_t *)memory(r, l->outer * l->inner * 4);
    for (ptrdiff_t i = 0; i < l->outer * l->inner; i++) {
        t[i] = (int32_t)value_at(l->t->type->type, l->t->data, i);
        if (t[i] == l->ignored) return 0;
    }
    r->composed = x->rank > 2;
    give(r, 0, attn_cross_entropy(ctx, l->rows, attn_from(ctx, ATTN_I32, 1, l->rows->shape, t)));
    return 1;
}
static void run_loss(run *r) {                                 // cross_entropy, nll_loss and their ONNX names
    tensor x = need(r, 0), total = NULL;
    const char *reduction = word(r, "reduction", "mean");
    loss l = {NULL, NULL, raw(r, 1), raw(r, 2), 0, 0, 0, (ptrdiff_t)number(r, "ignore_index", -100), 0, 0};
    ptrdiff_t one = 1;
    double weight = 0;
    int none = !strcmp(reduction, "none"), mean = !strcmp(reduction, "mean");
    l.smooth = number(r, "label_smoothing", 0);
    l.given = r->op[0] == 'n' || r->op[0] == 'N';
    if (!expect(r, "class_axis", "1", "1") || !l.t || x->rank < 2 || (!none && !mean && strcmp(reduction, "sum")))
        refuse(r, "form");
    if (!strcmp(word(r, "target", ""), "probabilities")) l.target = take_input(r, 1);
    if (l.target && (l.smooth != 0 || x->rank != 2 || none)) refuse(r, "form of probabilities");
    if (r->refused) return;
    l.rows = rows_of(x, 1, &l.outer, &l.n, &l.inner);
    if ((l.w && l.w->count != l.n) || (l.target ? 0 : l.t->count != l.outer * l.inner)) { refuse(r, "shapes"); return; }
    if (loss_direct(r, &l, x, mean)) return;
    r->composed = 1;
    for (ptrdiff_t i = 0; i < l.outer * l.inner && !attn_error(ctx); i++) {
        ptrdiff_t t = l.target ? 0 : (ptrdiff_t)value_at(l.t->type->type, l.t->data, i);
        int skip = !l.target && t == l.ignored;
        if (!skip && (t < 0 || t >= l.n)) { refuse(r, "a target out of range"); return; }
        tensor y = skip ? constant(x, 0) : loss_of_row(&l, i, t);
        weight += skip ? 0 : l.target ? 1 : loss_weight(&l, t);
        if (none) give_part(r, 0, y, i, &one);
        else total = total ? add(total, y) : y;
        for (ptrdiff_t c = 0; c < l.n && output_named(r, "log_prob") >= 0; c++)
            give_part(r, output_named(r, "log_prob"), negative(minus_log(l.rows, i, c, 0)),
                      (i / l.inner * l.n + c) * l.inner + i % l.inner, &one);
    }
    if (!none && total) give(r, 0, mean ? scale(total, 1 / weight) : total);
}
static void run_distance(run *r) {                             // mse, l1, huber, smooth l1
    tensor x = need(r, 0), target = need(r, 1), d, clipped;
    const char *reduction = word(r, "reduction", "mean");
    double delta = r->op[0] == 'h' ? number(r, "delta", 1) : r->op[0] == 's' ? number(r, "beta", 1) : 1;
    if (r->refused) return;
    if (!strcmp(r->op, "mse_loss") && !strcmp(reduction, "mean")) { give(r, 0, attn_mse(ctx, x, target)); return; }
    r->composed = 1;
    d = subtract(x, target);
    if (r->op[0] == 'm') d = attn_square(ctx, d);
    else d = magnitude(d);
    if (r->op[0] == 'h' || r->op[0] == 's') {
        clipped = subtract(d, relu(shift(d, -delta)));
        d = add(scale(attn_square(ctx, clipped), 0.5), scale(subtract(d, clipped), delta));
        if (r->op[0] == 's') d = scale(d, 1 / delta);
    }
    if (!strcmp(reduction, "mean")) d = attn_mean_all(ctx, d);
    else if (!strcmp(reduction, "sum")) d = attn_sum_all(ctx, d);
    else if (strcmp(reduction, "none")) refuse(r, "attribute reduction=%s", reduction);
    give(r, 0, d);
}
static void run_sgd(run *r) {                                  // gradients handed in through the loss sum(param * g)
    vector *start = raw(r, 0), *grads = raw(r, 1);
    double rate = number(r, "lr", 0), momentum = number(r, "momentum", 0), decay = number(r, "weight_decay", 0);
    double sign = number(r, "maximize", 0) != 0 ? -1 : 1;
    if (!expect(r, "dampening", "0", "0") || !expect(r, "nesterov", "0", "0") || !start || !grads || grads->rank != 2)
        return;
    tensor p = attn_param(ctx, start->type->type, start->rank, start->shape);
    if (attn_error(ctx) || grads->type != start->type || grads->shape[1] != start->count) return;
    memcpy(p->data, start->data, (size_t)start->count * start->type->bytes);
    r->composed = decay != 0 || sign < 0;
    for (ptrdiff_t step = 0; step < grads->shape[0]; step++) {
        const unsigned char *g = grads->data + (size_t)(step * start->count) * start->type->bytes;
        tensor l = attn_sum_all(ctx, scale(multiply(p, attn_from(ctx, p->type, p->rank, p->shape, g)), sign));
        if (decay != 0) l = add(l, scale(attn_sum_all(ctx, attn_square(ctx, p)), decay / 2));
        if (attn_backward(ctx, l) || attn_sgd(ctx, rate, momentum)) return;
        attn_zero_grad(ctx);
        give_at(r, 0, p, 0, step);
    }
}

