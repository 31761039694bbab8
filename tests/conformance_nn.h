// conformance_nn.h - what conformance.c composes around attention: norms, activations that need more than a formula,
// pooling, embedding, a causal convolution and recurrent linear attention. Included by conformance.c.

// ---- norms

// Over the axes from `first` on: (x - mean) / sqrt(variance + eps), without the mean unless `centre`
static tensor normed(tensor x, int first, double eps, int centre, tensor *mean, tensor *inverse) {
    tensor m = x, v, by;
    if (attn_error(ctx)) return x;
    for (int i = first; centre && i < x->rank; i++) m = attn_mean(ctx, m, i);
    if (mean) *mean = m;
    if (centre) x = subtract(x, m);
    v = attn_square(ctx, x);
    for (int i = first; i < x->rank && !attn_error(ctx); i++) v = attn_mean(ctx, v, i);
    by = divide(constant(x, 1), root_of(shift(v, eps)));
    if (inverse) *inverse = by;
    return multiply(x, by);
}
// LayerNormalization, RMSNormalization, layer_norm, rms_norm
static void run_norm(run *r) {
    tensor x = need(r, 0), w = take_input(r, 1), b = take_input(r, 2), mean, inverse, y, rows;
    int onnx = r->op[0] < 'a', rms = r->op[0] == 'R' || r->op[0] == 'r';
    double eps = number(r, onnx ? "epsilon" : "eps", 1e-5);
    if (r->refused || !expect(r, "stash_type", "F32", "F32")) return;
    int first = onnx ? axis_of(r, number(r, "axis", -1), x->rank) : x->rank - (int)number(r, "axes", 1);
    if (r->refused || first < 0 || first >= x->rank) { refuse(r, "axis"); return; }
    ptrdiff_t n = 1;
    for (int i = first; i < x->rank; i++) n *= x->shape[i];
    if (n && count_of(x) && eps > 0 && (!w || count_of(w) == n)) {   // the last axes as one
        rows = shaped(x, 2, -1, n, 0, 0);
        if (w) w = shaped(w, 1, n, 0, 0, 0);
        y = rms ? attn_rms_norm(ctx, rows, w, eps) : attn_layer_norm(ctx, rows, w, NULL, eps);
        y = attn_reshape(ctx, y, x->rank, x->shape);
    } else {
        y = normed(x, first, eps, !rms, NULL, NULL);
        if (w) y = multiply(y, w);
        r->composed = 1;
    }
    give(r, 0, b ? add(y, b) : y);
    if (rms || r->outputs < 2) return;
    normed(x, first, eps, 1, &mean, &inverse);
    r->composed = 1;
    give(r, 1, mean);
    give(r, 2, inverse);
}
static tensor by_channel(tensor w, int rank) {                 // [C] beside x [B,C,..]
    ptrdiff_t shape[RANK];
    for (int i = 0; i < RANK; i++) shape[i] = i ? 1 : -1;
    return attn_reshape(ctx, w, rank - 1, shape);
}
static void run_group_norm(run *r) {                           // group_norm, instance_norm and their ONNX names
    tensor x = need(r, 0), w = take_input(r, 1), b = take_input(r, 2), y;
    int onnx = r->op[0] < 'a', instance = r->op[0] == 'I' || r->op[0] == 'i';
    double eps = number(r, onnx ? "epsilon" : "eps", 1e-5);
    ptrdiff_t groups = instance ? 0 : (ptrdiff_t)number(r, onnx ? "num_groups" : "groups", 1);
    if (r->refused || !expect(r, "stash_type", "F32", "F32") || x->rank < 2) { refuse(r, "form"); return; }
    if (instance) groups = x->shape[1];
    if (groups < 1 || x->shape[1] % groups || (onnx && !instance && r->opset < 21)) { refuse(r, "groups"); return; }
    y = attn_reshape(ctx, normed(shaped(x, 3, x->shape[0], groups, -1, 0), 2, eps, 1, NULL, NULL), x->rank, x->shape);
    if (w) y = multiply(y, by_channel(w, x->rank));
    r->composed = 1;
    give(r, 0, b ? add(y, by_channel(b, x->rank)) : y);
}
static void run_mean_variance(run *r) {                        // (x - mean) / (deviation + 1e-9)
    tensor x = need(r, 0), m, v;
    ptrdiff_t axes[RANK] = {0, 2, 3};
    int n = whole_numbers(r, -1, "axes", axes, RANK);
    if (r->refused) return;
    m = x;
    if (n < 0) n = 3;
    for (int i = 0; i < n; i++) { axes[i] = axis_of(r, (double)axes[i], x->rank); if (r->refused) return; }
    for (int i = 0; i < n; i++) m = attn_mean(ctx, m, (int)axes[i]);
    x = subtract(x, m);
    v = attn_square(ctx, x);
    for (int i = 0; i < n; i++) v = attn_mean(ctx, v, (int)axes[i]);
    r->composed = 1;
    give(r, 0, divide(x, shift(root_of(v), 1e-9)));
}
// (sum |x|^p)^(1/p) along an axis, kept
static tensor p_norm(tensor x, int axis, int p) {
    tensor a = magnitude(x), y = a;
    if (p == 2) return root_of(attn_sum(ctx, attn_square(ctx, x), axis));
    for (int i = 1; i < p; i++) y = multiply(y, a);
    y = attn_sum(ctx, y, axis);
    return p == 1 ? y : attn_exp(ctx, scale(log_of(y), 1.0 / p));
}
static void run_lp_norm(run *r) {                              // LpNormalization, lp_normalize
    tensor x = need(r, 0);
    double p = number(r, "p", 2), eps = number(r, "eps", 1e-12);
    if (r->refused || p < 1 || p > 8 || p != (double)(int)p) { refuse(r, "p"); return; }
    int axis = axis_of(r, number(r, "axis", -1), x->rank);
    r->composed = 1;
    if (!r->refused) give(r, 0, divide(x, larger(p_norm(x, axis, (int)p), constant(x, eps))));
}
static void run_cosine_similarity(run *r) {
    tensor a = need(r, 0), b = need(r, 1), y;
    double eps = number(r, "eps", 1e-8);
    int drop[RANK] = {0};
    if (r->refused) return;
    int axis = axis_of(r, number(r, "axis", 1), a->rank);
    if (r->refused) return;
    y = divide(attn_sum(ctx, multiply(a, b), axis),
               multiply(larger(p_norm(a, axis, 2), constant(a, eps)), larger(p_norm(b, axis, 2), constant(b, eps))));
    drop[axis] = 1;
    r->composed = 1;
    give(r, 0, without(y, drop));
}
static void run_clip_grad_norm(run *r) {
    tensor total = NULL, by;
    const char *kind = word(r, "norm_type", "2");
    int p = !strcmp(kind, "inf") ? 0 : (int)number(r, "norm_type", 2);
    double most = number(r, "max_norm", 1);
    if (p < 0 || p > 2) refuse(r, "attribute norm_type=%s", kind);
    for (int k = 0; k < r->inputs && !r->refused; k++) {
        tensor x = need(r, k);
        if (r->refused) return;
        x = shaped(x, 1, -1, 0, 0, 0);
        x = p == 2 ? attn_square(ctx, x) : magnitude(x);
        x = p ? attn_sum(ctx, x, 0) : attn_max(ctx, x, 0, NULL);
        total = !total ? x : p ? add(total, x) : larger(total, x);
    }
    if (!total || r->refused) return;
    total = shaped(total, 0, 0, 0, 0, 0);
    if (p == 2) total = root_of(total);
    by = smaller(constant(total, 1), divide(constant(total, most), shift(total, 1e-6)));
    r->composed = 1;
    for (int k = 0; k < r->inputs; k++) give(r, k, multiply(need(r, k), by));
    give(r, output_named(r, "total_norm"), total);
}

// ---- activations

// log(1 + e^x), an element at a time: the cross entropy of the logits x, 0 and the second class
static tensor softplus_rows(run *r, tensor x) {                // [n,2] of those logits
    ptrdiff_t shape[2];
    float *first = (float *)memory(r, 8);
    shape[0] = 1; shape[1] = 2;
    first[0] = 1;
    return matmul(shaped(x, 2, -1, 1, 0, 0), attn_from(ctx, ATTN_F32, 2, shape, first));
}
static void run_softplus(run *r) {                             // softplus, logsigmoid, mish and their ONNX names
    tensor x = need(r, 0), rows, y;
    double beta = number(r, "beta", 1), most = number(r, "threshold", 1e30);
    int mish = r->op[0] == 'm' || r->op[0] == 'M', minus = r->op[0] == 'l';
    ptrdiff_t one = 1;
    if (r->refused || x->type != ATTN_F32 || beta <= 0 || raw(r, 0)->count > 4096) { refuse(r, "type"); return; }
    tensor flat = shaped(x, 1, -1, 0, 0, 0);
    rows = softplus_rows(r, scale(flat, minus ? -beta : beta));
    r->composed = 1;
    for (ptrdiff_t i = 0; i < raw(r, 0)->count && !attn_error(ctx); i++) {
        tensor at = attn_reshape(ctx, slice(flat, 0, i, 1), 0, NULL);
        double x_i = value_at(ATTN_F32, raw(r, 0)->data, i);
        y = x_i * beta > most ? at : scale(minus_log(rows, i, 1, 0), 1 / beta);
        if (mish) y = multiply(at, attn_tanh(ctx, y));
        give_part(r, 0, minus ? negative(y) : y, i, &one);
    }
}
static void run_bce_with_logits(run *r) {                      // softplus(x) - x t
    tensor x = need(r, 0), t = need(r, 1), y = NULL;
    const char *reduction = word(r, "reduction", "mean");
    if (r->refused || x->type != ATTN_F32 || count_of(x) != count_of(t) || count_of(x) > 4096
        || (strcmp(reduction, "mean") && strcmp(reduction, "sum"))) {
        refuse(r, "form");
        return;
    }
    tensor rows = softplus_rows(r, shaped(x, 1, -1, 0, 0, 0));
    for (ptrdiff_t i = 0; i < count_of(x) && !attn_error(ctx); i++)
        y = y ? add(y, minus_log(rows, i, 1, 0)) : minus_log(rows, i, 1, 0);
    if (!y) { refuse(r, "nothing to sum"); return; }
    y = subtract(y, attn_sum_all(ctx, multiply(x, t)));
    r->composed = 1;
    give(r, 0, reduction[0] == 'm' ? scale(y, 1 / (double)count_of(x)) : y);
}
static void run_kl_div(run *r) {                               // sum of t (log t - x)
    tensor x = need(r, 0), t = need(r, 1), y;
    const char *reduction = word(r, "reduction", "mean");
    if (r->refused || !expect(r, "log_target", "0", "0") || x->rank < 1) { refuse(r, "form"); return; }
    y = multiply(t, subtract(log_of(larger(t, constant(t, 1e-30))), x));
    r->composed = 1;
    if (!strcmp(reduction, "none")) { give(r, 0, y); return; }
    y = attn_sum_all(ctx, y);
    if (!strcmp(reduction, "batchmean")) y = scale(y, 1 / (double)x->shape[0]);
    else if (!strcmp(reduction, "mean")) y = scale(y, 1 / (double)count_of(x));
    else if (strcmp(reduction, "sum")) refuse(r, "attribute reduction=%s", reduction);
    give(r, 0, y);
}
static void run_geglu(run *r) {
    tensor a = need(r, 0), b = need(r, 1);
    r->composed = 1;
    if (!r->refused) give(r, 0, multiply(attn_gelu(ctx, a), b));
}
// weights of a row that hides nothing: 1 at its first maximum, by attn_fwd with the row as its bias
static void run_hardmax(run *r) {
    tensor x = need(r, 0);
    ptrdiff_t outer, n, inner;
    attn_desc d = ATTN_ZERO;
    int old = r->opset && r->opset < 13;
    if (r->refused || x->type != ATTN_F32) { refuse(r, "type"); return; }
    int axis = axis_of(r, number(r, "axis", old ? 1 : -1), x->rank), rank = x->rank;
    ptrdiff_t shape[RANK];
    if (r->refused) return;
    for (int i = 0; i < rank; i++) shape[i] = x->shape[i];
    if (old) {
        for (outer = 1; axis > 0; axis--) outer *= x->shape[axis - 1];
        x = shaped(x, 2, outer, -1, 0, 0);
        axis = 1;
    }
    tensor rows = attn_contiguous(ctx, rows_of(x, axis, &outer, &n, &inner));
    if (attn_error(ctx) || n == 0) { refuse(r, "nothing to choose from"); return; }
    d.heads = d.dim = 1; d.queries = outer * inner; d.keys = n; d.isa = isa;
    d.q = memory(r, d.queries * 4); d.k = d.v = memory(r, n * 4); d.o = memory(r, d.queries * 4);
    d.bias = rows->data;
    d.norm = ATTN_NORM_HARD;
    d.weights = memory(r, d.queries * n * 4);
    attn_status s = attn_fwd(&d);
    if (s) { fail(r, "%s", attn_explain(s, &d, (char *)memory(r, 512), 512)); return; }
    ptrdiff_t back[3];
    back[0] = outer; back[1] = inner; back[2] = n;
    tensor y = swap(attn_from(ctx, ATTN_F32, 3, back, d.weights), 1, 2);
    r->composed = 1;
    give(r, 0, attn_reshape(ctx, y, rank, shape));
}
static void run_dropout(run *r) {                              // as it is at inference, or with ratio 0
    tensor x = need(r, 0);
    const vector *ratio = raw(r, 1), *training = raw(r, 2);
    double p = ratio ? value_at(ratio->type->type, ratio->data, 0) : number(r, "ratio", 0.5);
    number(r, "seed", 0); number(r, "ratio", 0.5);
    if (training && value_at(training->type->type, training->data, 0) != 0 && p != 0)
        refuse(r, "the generator of another library");
    if (r->refused) return;
    r->composed = 1;
    give(r, 0, x);
    give(r, 1, attn_full(ctx, ATTN_BOOL, x->rank, x->shape, 1));
}

// ---- pooling, embedding, convolution

static void run_pool(run *r) {                                 // AveragePool, MaxPool of one axis: windows by slices
    tensor x = need(r, 0);
    ptrdiff_t width = 0, step_by = 1, pads[2] = {0, 0}, spread = 1;
    whole_numbers(r, -1, "kernel_shape", &width, 1);
    whole_numbers(r, -1, "strides", &step_by, 1);
    whole_numbers(r, -1, "pads", pads, 2);
    whole_numbers(r, -1, "dilations", &spread, 1);
    number(r, "count_include_pad", 0);                         // there is none
    if (r->refused || x->rank != 3 || width < 1 || step_by < 1 || pads[0] || pads[1] || spread != 1
        || !expect(r, "auto_pad", "NOTSET", "NOTSET") || !expect(r, "ceil_mode", "0", "0")) {
        refuse(r, "form");
        return;
    }
    r->composed = 1;
    for (ptrdiff_t i = 0; i * step_by + width <= x->shape[2] && !attn_error(ctx); i++) {
        tensor window = slice(x, 2, i * step_by, width);
        window = r->op[0] == 'M' ? attn_max(ctx, window, 2, NULL) : attn_mean(ctx, window, 2);
        give_at(r, 0, shaped(window, 2, x->shape[0], x->shape[1], 0, 0), 2, i);
    }
}
// Rows of a table by index, [n,d]: a product with 0 and 1. No gradient reaches the row `padding` (-1 = all take part).
static tensor looked_up(run *r, const vector *index, tensor table, ptrdiff_t padding) {
    ptrdiff_t shape[2];
    float *hot = (float *)memory(r, index->count * table->shape[0] * 4), *fixed = NULL;
    shape[0] = index->count; shape[1] = table->shape[0];
    if (padding >= 0) fixed = (float *)memory(r, index->count * table->shape[0] * 4);
    for (ptrdiff_t i = 0; i < index->count; i++) {
        ptrdiff_t row = (ptrdiff_t)value_at(index->type->type, index->data, i);
        if (row < 0 || row >= table->shape[0]) { refuse(r, "an index out of range"); return table; }
        (row == padding ? fixed : hot)[i * table->shape[0] + row] = 1;
    }
    tensor y = matmul(attn_from(ctx, ATTN_F32, 2, shape, hot), table);
    if (!fixed || attn_error(ctx)) return y;
    return add(y, matmul(attn_from(ctx, ATTN_F32, 2, shape, fixed),
                         attn_from(ctx, ATTN_F32, 2, table->shape, table->data)));
}
static void run_embedding(run *r) {                            // embedding, embedding_bag
    const vector *index = raw(r, named(r, "index"));
    tensor table = take_named(r, "weight"), y;
    ptrdiff_t padding = (ptrdiff_t)number(r, "padding_idx", -1);
    int bag_of = !strcmp(r->op, "embedding_bag");
    const char *mode = bag_of ? word(r, "mode", "mean") : "";
    if (!index || !index->type->whole || index->rank >= ATTN_MAX_RANK || (bag_of && index->rank != 2) || !table
        || table->rank != 2 || table->type != ATTN_F32 || (bag_of && padding >= 0)) {
        refuse(r, "form");
        return;
    }
    ptrdiff_t shape[RANK];
    for (int i = 0; i < index->rank; i++) shape[i] = index->shape[i];
    shape[index->rank] = table->shape[1];
    y = attn_reshape(ctx, looked_up(r, index, table, padding), index->rank + 1, shape);
    r->composed = 1;
    if (r->refused || attn_error(ctx)) return;
    if (bag_of && !strcmp(mode, "sum")) y = attn_sum(ctx, y, 1);
    else if (bag_of && !strcmp(mode, "mean")) y = attn_mean(ctx, y, 1);
    else if (bag_of && !strcmp(mode, "max")) y = attn_max(ctx, y, 1, NULL);
    else if (bag_of) refuse(r, "attribute mode=%s", mode);
    give(r, 0, bag_of ? shaped(y, 2, index->shape[0], -1, 0, 0) : y);
}
static void run_causal_conv(run *r) {                          // CausalConvWithState: a tap after another
    tensor x = need(r, 0), w = need(r, 1), bias = take_input(r, 2), past = take_input(r, 3), zero, y;
    const char *activation = word(r, "activation", "none");
    int silu = !strcmp(activation, "silu") || !strcmp(activation, "swish");
    if (r->refused || x->rank != 3 || w->rank != 3 || w->shape[1] != 1 || (!silu && strcmp(activation, "none"))) {
        refuse(r, "form");
        return;
    }
    ptrdiff_t taps = w->shape[2], steps = x->shape[2], shape[3];
    shape[0] = x->shape[0]; shape[1] = x->shape[1]; shape[2] = 1;
    if (w->shape[0] != shape[1] || (past && past->shape[2] != taps - 1)) { refuse(r, "shapes"); return; }
    zero = attn_full(ctx, x->type == ATTN_F64 ? ATTN_F64 : ATTN_F32, 3, shape, 0);
    r->composed = 1;
    for (ptrdiff_t t = 0; t < steps + taps - 1 && !attn_error(ctx); t++) {
        ptrdiff_t at = t - (taps - 1);                         // place t of the past and x together
        tensor column = at >= 0 ? slice(x, 2, at, 1) : past ? slice(past, 2, t, 1) : zero;
        if (t >= steps) give_at(r, 1, shaped(column, 2, shape[0], shape[1], 0, 0), 2, t - steps);
        if (t >= steps) continue;
        y = NULL;
        for (ptrdiff_t i = 0; i < taps && !attn_error(ctx); i++) {
            ptrdiff_t from = t + i - (taps - 1);
            tensor in = from >= 0 ? slice(x, 2, from, 1) : past ? slice(past, 2, t + i, 1) : zero;
            in = multiply(in, shaped(slice(w, 2, i, 1), 3, 1, -1, 1, 0));
            y = y ? add(y, in) : in;
        }
        if (bias) y = add(y, shaped(bias, 3, 1, -1, 1, 0));
        if (silu) y = multiply(y, sigmoid(y));
        give_at(r, 0, shaped(y, 2, shape[0], shape[1], 0, 0), 2, t);
    }
}

// ---- LinearAttention of ONNX: a state [B,Hk,D,E], a token at a time

static void run_linear_attention(run *r) {
    tensor q = need(r, 0), k = need(r, 1), v = need(r, 2), state = take_input(r, 3), decay = take_input(r, 4),
        beta = take_input(r, 5);
    const char *rule = word(r, "update_rule", "gated_delta");
    ptrdiff_t heads = (ptrdiff_t)number(r, "q_num_heads", 0), kv = (ptrdiff_t)number(r, "kv_num_heads", 0);
    double factor = number(r, "scale", 0);
    int gated = !strncmp(rule, "gated", 5), delta = strstr(rule, "delta") != NULL;
    number(r, "chunk_size", 0);                                // how, not what
    if (r->refused || q->rank != 3 || k->rank != 3 || v->rank != 3 || heads < 1 || kv < 1 || heads % kv
        || (gated && !decay) || (delta && !beta) || (!gated && !delta && strcmp(rule, "linear"))
        || (gated && rule[5] && strcmp(rule, "gated_delta")) || (delta && !gated && strcmp(rule, "delta"))) {
        refuse(r, "attribute update_rule=%s, or form", rule);
        return;
    }
    ptrdiff_t b = q->shape[0], steps = q->shape[1], d = q->shape[2] / heads, e = v->shape[2] / kv, shape[4];
    shape[0] = b; shape[1] = kv; shape[2] = d; shape[3] = e;
    if (factor == 0) factor = 1 / root((double)d);
    if (!state) state = attn_full(ctx, q->type == ATTN_F64 ? ATTN_F64 : ATTN_F32, 4, shape, 0);
    r->composed = 1;
    for (ptrdiff_t t = 0; t < steps && !attn_error(ctx); t++) {
        tensor kt = shaped(slice(k, 1, t, 1), 4, b, kv, d, 1), vt = shaped(slice(v, 1, t, 1), 4, b, kv, 1, e), y;
        if (gated) {
            ptrdiff_t each = decay->shape[2] / kv;             // one for a head or for each of its columns
            state = multiply(state, attn_exp(ctx, shaped(slice(decay, 1, t, 1), 4, b, kv, each, 1)));
        }
        if (delta) {
            vt = subtract(vt, matmul(swap(kt, 2, 3), state));
            vt = multiply(vt, shaped(slice(beta, 1, t, 1), 4, b, beta->shape[2], 1, 1));
        }
        state = add(state, matmul(kt, vt));
        y = matmul(shaped(slice(q, 1, t, 1), 4, b, kv, heads / kv, d), state);
        give_at(r, 0, shaped(scale(y, factor), 2, b, heads * e, 0, 0), 1, t);
    }
    give(r, 1, state);
}
