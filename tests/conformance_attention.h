// conformance_attention.h - what conformance.c runs by attn_fwd, its caches, attn_merge and the rope tables, and the
// attention of the study notes and of torch's modules: where a descriptor says it, attn_fwd's values are compared even
// when the gradients come from the same formula put together on the tape. Included by conformance.c with its table.

// ---- attention: one descriptor, filled from whatever names the case uses

static const char *explain(run *r, attn_status s, const attn_desc *d) {
    return attn_explain(s, d, (char *)memory(r, 512), 512);
}
static ptrdiff_t bytes_of(int type) { return type == ATTN_F64 ? 8 : type == ATTN_F32 ? 4 : 2; }
static int is_half(int type) { return type == ATTN_F16 || type == ATTN_BF16; }
// Values made in another way than those that were given: compared here and now.
static void also(run *r, int k, int type, const void *data) {
    if (k < 0 || k >= r->outputs || !r->out[k].want || r->refused || r->failed || attn_error(ctx)) return;
    const vector *want = r->out[k].want;
    double *got = (double *)memory(r, want->count * (ptrdiff_t)sizeof(double));
    for (ptrdiff_t i = 0; i < want->count; i++) got[i] = value_at(type, data, i);
    compare(r, "directly: out", k, got, want);
}
static void also_tensor(run *r, int k, tensor t) {
    if (k < 0 || k >= r->outputs || !r->out[k].want || r->refused || attn_error(ctx)) return;
    void *data = memory(r, count_of(t) * 8);
    if (count_of(t) != r->out[k].want->count) { fail(r, "directly: out%d has another size", k); return; }
    if (!attn_read(ctx, t, data)) also(r, k, t->type, data);
}
// Output k by a direct call. Where gradients are wanted the tape's tensor is given too, as the composition that it is.
static void give_direct(run *r, int k, const float *data, tensor taped) {
    if (!any_gradient(r)) { give_array(r, k, ATTN_F32, data); return; }
    also(r, k, ATTN_F32, data);
    give(r, k, taped);
    r->composed = 1;
}
static void contiguous(ptrdiff_t *stride, ptrdiff_t heads, ptrdiff_t rows, ptrdiff_t columns) {
    stride[0] = heads * rows * columns; stride[1] = rows * columns; stride[2] = columns; stride[3] = 1;
}
// [B,N,H*D] seen as B,H,N,D
static void packed(ptrdiff_t *stride, ptrdiff_t heads, ptrdiff_t rows, ptrdiff_t columns) {
    stride[0] = heads * rows * columns; stride[1] = columns; stride[2] = heads * columns; stride[3] = 1;
}
// Sizes, types and strides from q, k, v: rank 4, or rank 3 with the heads side by side in the last axis.
static int shape_attention(run *r, attn_desc *d, const vector *q, const vector *k, const vector *v, ptrdiff_t heads,
                           ptrdiff_t kv_heads) {
    int wide = q && q->rank == 3;
    if (!q || !k || !v || q->rank != (wide ? 3 : 4) || k->rank != q->rank || v->rank != q->rank) {
        refuse(r, "ranks of q, k, v");
        return 0;
    }
    d->q = q->data; d->k = k->data; d->v = v->data;
    d->q_type = q->type->type; d->k_type = k->type->type; d->v_type = v->type->type; d->o_type = q->type->type;
    if (q->type->type != ATTN_F32 && q->type->type != ATTN_F64) r->odd_type = 1;
    d->batch = q->shape[0];
    d->heads = wide ? heads : q->shape[1];
    d->kv_heads = wide ? kv_heads : k->shape[1];
    d->queries = q->shape[wide ? 1 : 2];
    d->keys = k->shape[wide ? 1 : 2];
    if (d->heads <= 0 || d->kv_heads <= 0) { refuse(r, "heads"); return 0; }
    d->dim = wide ? q->shape[2] / heads : q->shape[3];
    d->vdim = wide ? v->shape[2] / kv_heads : v->shape[3];
    d->isa = isa;
    if (wide) {
        packed(d->q_stride, d->heads, d->queries, d->dim); packed(d->o_stride, d->heads, d->queries, d->vdim);
        packed(d->k_stride, d->kv_heads, d->keys, d->dim); packed(d->v_stride, d->kv_heads, d->keys, d->vdim);
    }
    return 1;
}
static void set_scale(run *r, attn_desc *d) {
    double s = number(r, "scale", 0);
    d->scale = (float)s;
    if (word(r, "scale", NULL) && s == 0) refuse(r, "scale 0");
    if (d->q_type == ATTN_F64 && (double)d->scale != s) refuse(r, "the descriptor's scale is a float");
}
// A mask of any shape that broadcasts to B,H,N,M; what it lacks of the last axis counts as hidden. Strides where they
// can say it, else a copy of full size.
static void set_mask(run *r, attn_desc *d, const vector *m) {
    ptrdiff_t dims[4], stride[4] = {0, 0, 0, 0}, step = 1;
    ptrdiff_t *to = m->type->type == ATTN_BOOL ? d->keep_stride : d->bias_stride;
    int copy;
    dims[0] = d->batch; dims[1] = d->heads; dims[2] = d->queries; dims[3] = d->keys;
    for (int i = m->rank - 1, a = 3; i >= 0; step *= m->shape[i], i--, a--) {
        if (a < 0 || (m->shape[i] != 1 && m->shape[i] != dims[a] && (a < 3 || m->shape[i] > dims[a]))) {
            refuse(r, "shape of the mask");
            return;
        }
        stride[a] = m->shape[i] == 1 ? 0 : step;
    }
    if (m->type->type != ATTN_BOOL && (m->type->whole || (m->type->type == ATTN_F64) != (d->q_type == ATTN_F64))) {
        refuse(r, "type of the mask");
        return;
    }
    ptrdiff_t last = m->rank ? m->shape[m->rank - 1] : 1;
    copy = (last != 1 && last != dims[3]) || !(stride[0] | stride[1] | stride[2] | stride[3]);
    if (copy) {
        size_t size = m->type->bytes, n = 0;
        double hidden = strtod("-inf", NULL);
        float hidden_float = (float)hidden;
        uint16_t hidden_half = m->type->type == ATTN_F16 ? 0xfc00 : 0xff80;
        unsigned char *full = (unsigned char *)memory(r, dims[0] * dims[1] * dims[2] * dims[3] * (ptrdiff_t)size),
            no = 0;
        const void *fill = size == 1 ? (const void *)&no : size == 2 ? (const void *)&hidden_half
            : size == 4 ? (const void *)&hidden_float : (const void *)&hidden;
        for (ptrdiff_t i = 0; i < dims[0] * dims[1] * dims[2] * dims[3]; i++, n += size) {
            ptrdiff_t j = i % dims[3], row = i / dims[3] % dims[2], h = i / dims[3] / dims[2] % dims[1],
                b = i / dims[3] / dims[2] / dims[1];
            int inside = j < last || last == 1;
            size_t from = (size_t)(b * stride[0] + h * stride[1] + row * stride[2] + j * stride[3]);
            memcpy(full + n, inside ? (const void *)(m->data + from * size) : fill, size);
        }
        contiguous(to, dims[1], dims[2], dims[3]);
        step = 0;
        if (size == 1) d->keep = full; else d->bias = full;
    } else {
        for (int a = 0; a < 4; a++) to[a] = stride[a];
        if (m->type->type == ATTN_BOOL) d->keep = m->data; else d->bias = m->data;
    }
    if (m->type->type != ATTN_BOOL) d->bias_type = m->type->type;
}
static const int32_t *lengths_of(run *r, const vector *v, ptrdiff_t n) {
    int32_t *out = v ? (int32_t *)memory(r, v->count * 4 + 4) : NULL;
    if (v && (v->count != n || !v->type->whole)) refuse(r, "lengths");
    for (ptrdiff_t i = 0; v && i < v->count; i++) out[i] = (int32_t)value_at(v->type->type, v->data, i);
    return out;
}
static int call(run *r, attn_status s, const attn_desc *d) {   // 1 = done
    if (s == ATTN_ERR_UNSUPPORTED || (s == ATTN_ERR_DTYPE && r->odd_type)) refuse(r, "%s", explain(r, s, d));
    else if (s) fail(r, "%s: %s", attn_status_str(s), explain(r, s, d));
    return !s;
}
// lse and weights: f32 where the case's arrays are halves
static void give_float(run *r, int k, const attn_desc *d, const void *data) {
    if (k < 0 || k >= r->outputs || !r->out[k].want || !data) return;
    give_array(r, k, d->q_type == ATTN_F64 ? ATTN_F64 : ATTN_F32, data);
    if (is_half(d->q_type)) r->out[k].type = r->out[k].want->type->type;
}
// y into output `y` and lse, weights into theirs (-1 = none). A plain case is also run at depth 2: the same bits.
static int run_descriptor(run *r, attn_desc *d, int y, int lse, int weights) {
    size_t size = d->q_type == ATTN_F64 ? 8 : 4;
    ptrdiff_t elements = d->batch * d->heads * d->queries * d->vdim, given = elements;
    if (r->refused) return 0;
    if (d->cu_q && y >= 0 && r->out[y].want) elements = given = r->out[y].want->count;
    d->o = memory(r, elements * bytes_of(d->o_type));
    d->lse = array_for(r, lse, size);
    d->weights = array_for(r, weights, size);
    if (y >= 0 && r->out[y].want && r->out[y].want->count != given) { refuse(r, "sizes of the output"); return 0; }
    if (!call(r, attn_fwd(d), d)) return 0;
    give_array(r, y, d->o_type, d->o);
    give_float(r, lse, d, d->lse);
    give_float(r, weights, d, d->weights);
    if (d->keep || d->bias || d->key_lengths || d->lse || d->weights || d->cu_q || is_half(d->q_type)) return 1;
    if (d->q_stride[3] || d->k_stride[3] || d->v_stride[3]) return 1;
    ptrdiff_t sq[4], sk[4], sv[4];
    sq[0] = sk[0] = sv[0] = d->batch; sq[1] = d->heads; sk[1] = sv[1] = d->kv_heads;
    sq[2] = d->queries; sk[2] = sv[2] = d->keys; sq[3] = sk[3] = d->dim; sv[3] = d->vdim;
    tensor o = attn_sdpa(ctx, attn_from(ctx, d->q_type, 4, sq, d->q), attn_from(ctx, d->k_type, 4, sk, d->k),
                         attn_from(ctx, d->v_type, 4, sv, d->v), d);
    void *again = memory(r, elements * (ptrdiff_t)size);
    if (!attn_error(ctx) && !attn_read(ctx, o, again) && memcmp(again, d->o, (size_t)elements * size))
        fail(r, "attn_sdpa and attn_fwd differ in their bits");
    return 1;
}
static void set_window(run *r, attn_desc *d, const char *left, const char *right) {
    int32_t before = (int32_t)number(r, left, -1), behind = (int32_t)number(r, right, -1);
    if (before < 0 && behind < 0) return;
    d->window = 1;
    d->window_left = before;
    d->window_right = behind;
}
static const float *floats(run *r, const char *name) {
    const vector *v = raw(r, named(r, name));
    if (v && v->type->type != ATTN_F32) refuse(r, "type of %s", name);
    return v ? (const float *)(const void *)v->data : NULL;
}
static const int32_t *indices(run *r, const char *name) {
    const vector *v = raw(r, named(r, name));
    return lengths_of(r, v, v ? v->count : 0);
}
static void set_relative(run *r, attn_desc *d) {               // a table [buckets,H]: T5's rule, or Swin's window
    const char *window = word(r, "swin_window", NULL), *t5 = word(r, "t5_buckets", NULL);
    int type = window ? ATTN_REL_WINDOW_2D : t5 ? ATTN_REL_T5 : ATTN_REL_NONE;
    ptrdiff_t sides[2] = {0, 0};
    d->rel_kind = type;
    d->rel_table = type ? floats(r, window ? "swin_table" : "rel_bias") : NULL;
    d->rel_count = (int32_t)number(r, "t5_buckets", 0);
    d->rel_max_distance = (int32_t)number(r, "t5_max_distance", 0);
    d->rel_both_ways = (int32_t)number(r, "t5_bidirectional", 0);
    if (window && whole_numbers(r, -1, "swin_window", sides, 2) != 2) refuse(r, "swin_window");
    d->rel_height = (int32_t)sides[0];
    d->rel_width = (int32_t)sides[1];
}
static void set_structure(run *r, attn_desc *d) {              // what `variants` names; the library says what it offers
    const vector *block = raw(r, named(r, "block_mask")), *kept = raw(r, named(r, "drop_mask"));
    const char *norm = word(r, "softmax", "softmax"), *qk = word(r, "qk_norm", NULL);
    d->alibi_slopes = floats(r, "alibi_slopes");
    d->sink = floats(r, "sink");
    d->logit_scale = floats(r, "logit_scale");
    d->q_norm = floats(r, "q_norm");
    d->k_norm = floats(r, "k_norm");
    d->norm_eps = (float)number(r, "qk_norm_eps", 0);
    d->qk_norm = !qk ? ATTN_QK_NORM_NONE : !strcmp(qk, "rms") ? ATTN_QK_NORM_RMS : ATTN_QK_NORM_L2;
    if (qk && strcmp(qk, "rms") && strcmp(qk, "l2")) refuse(r, "attribute qk_norm=%s", qk);
    d->prefix = indices(r, "prefix");
    d->doc_q = indices(r, "doc_q");
    d->doc_k = indices(r, "doc_k");
    d->tree_parent = indices(r, "parent");
    d->softcap = (float)number(r, "softcap", 0);
    d->off_by_one = !strcmp(norm, "off_by_one");
    d->norm = !strcmp(norm, "sigmoid") ? ATTN_NORM_SIGMOID : !strcmp(norm, "relu") ? ATTN_NORM_RELU : ATTN_NORM_SOFTMAX;
    if (!d->off_by_one && d->norm == ATTN_NORM_SOFTMAX && strcmp(norm, "softmax"))
        refuse(r, "attribute softmax=%s", norm);
    d->sigmoid_bias = (float)number(r, "sigmoid_bias", 0);
    d->relu_div = (float)number(r, "relu_div", 0);
    d->dropout = (float)number(r, "dropout_p", 0);
    d->keep_weights = kept ? kept->data : NULL;
    set_relative(r, d);
    if (!block) return;
    d->block_mask = block->data;
    d->block_heads = (int32_t)block->shape[0];
    d->block_q = (int32_t)number(r, "block_q", 0);
    d->block_k = (int32_t)number(r, "block_k", 0);
}
// bottomright: M - N. M is the number of keys in use in a cache or a packed sequence, of the array beside key_len.
static void set_position(run *r, attn_desc *d, int causal) {
    const char *align = word(r, "align", "topleft");
    int right = !strcmp(align, "bottomright"), at = right && d->key_lengths && !d->k_cache;
    if (!right && strcmp(align, "topleft")) refuse(r, "attribute align=%s", align);
    d->query_offset = at ? (int32_t)(d->keys - d->queries) : 0;
    if (causal) d->causal = at ? ATTN_CAUSAL_AT : right ? ATTN_CAUSAL_LOWER_RIGHT : ATTN_CAUSAL_UPPER_LEFT;
    else d->align = at ? ATTN_ALIGN_AT : right ? ATTN_ALIGN_LOWER_RIGHT : ATTN_ALIGN_UPPER_LEFT;
}
// ---- rope: tables, positions

static double power(double x, double y) {                      // x^y for x > 0: exp of the library, the logarithm by it
    double log_x = 0, e = 1;
    for (int i = 0; i < 60; i++) {
        attn_map_f64(ATTN_MAP_EXP, &e, &log_x, 1);
        log_x += 2 * (x - e) / (x + e);
    }
    log_x *= y;
    attn_map_f64(ATTN_MAP_EXP, &e, &log_x, 1);
    return e;
}
static void turn(double angle, float *cosine, float *sine) {   // of a halved angle by series, doubled back
    double c = 1, s = 0, term = 1, x = angle - 6.283185307179586 * (double)(int64_t)(angle / 6.283185307179586);
    x /= 256;
    for (int i = 1; i < 14; i++) {
        term *= x / i;
        if (i & 1) s += i & 2 ? -term : term; else c += i & 2 ? -term : term;
    }
    for (int i = 0; i < 8; i++) { double twice = 2 * s * c; c = c * c - s * s; s = twice; }
    *cosine = (float)c;
    *sine = (float)s;
}
// Positions, one for each row of [B,N]; *most becomes their number at least.
static int32_t *positions_of(run *r, const vector *v, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t *most) {
    int32_t *x = (int32_t *)memory(r, batch * n * 4);
    if (v && ((v->count != n && v->count != batch * n) || !v->type->whole)) { refuse(r, "positions"); return x; }
    for (ptrdiff_t i = 0; i < batch * n; i++) {
        x[i] = v ? (int32_t)value_at(v->type->type, v->data, v->count == n ? i % n : i) : (int32_t)(i % n);
        if (x[i] < 0 || x[i] > 1 << 20) { refuse(r, "a position of %ld", (long)x[i]); return x; }
        if (x[i] >= *most) *most = x[i] + 1;
    }
    return x;
}
// Kind, columns and tables of the case for `most` positions; 0 = the case asks for none. A position that is divided has
// no table in the library: its angles are computed here, as a caller would.
static int set_rope(run *r, attn_desc *d, ptrdiff_t most) {
    const char *kind = word(r, "rope", NULL), *scaling = word(r, "rope_scaling", "none");
    double theta = number(r, "rope_theta", 10000), factor = number(r, "rope_factor", 1);
    ptrdiff_t n = (ptrdiff_t)number(r, "rope_dim", (double)d->dim), half = n / 2;
    if (!kind) return 0;
    d->rope_kind = !strcmp(kind, "half") ? ATTN_ROPE_HALF : ATTN_ROPE_INTERLEAVED;
    if (d->rope_kind != ATTN_ROPE_HALF && strcmp(kind, "interleaved")) refuse(r, "attribute rope=%s", kind);
    if (n < 2 || n % 2 || n > d->dim) { refuse(r, "rope_dim"); return 0; }
    float *cosine = (float *)memory(r, most * half * 4), *sine = (float *)memory(r, most * half * 4);
    int linear = !strcmp(scaling, "linear"), ntk = !strcmp(scaling, "ntk");
    if (strcmp(scaling, "none") && !linear && (!ntk || n == 2)) refuse(r, "attribute rope_scaling=%s", scaling);
    if (ntk && n > 2) theta *= power(factor, (double)n / (double)(n - 2));
    if (!linear && attn_rope_table(cosine, sine, most, n, theta)) fail(r, "attn_rope_table refused");
    for (ptrdiff_t i = 0; linear && i < most * half; i++)
        turn((double)(i / half) / factor / power(theta, 2 * (double)(i % half) / (double)n), cosine + i, sine + i);
    d->rope_dim = (int32_t)n;
    d->rope_cos = cosine; d->rope_sin = sine;
    d->rope_positions = most;
    return !r->refused;
}
static void run_attn(run *r) {                                 // sdpa of torch, attn of variants
    const vector *q = raw(r, named(r, "q")), *k = raw(r, named(r, "k")), *v = raw(r, named(r, "v"));
    const vector *mask = raw(r, named(r, "mask")), *bias = raw(r, named(r, "bias"));
    attn_desc d = ATTN_ZERO;
    ptrdiff_t columns = (ptrdiff_t)number(r, "v_from_k", 0);
    if (!shape_attention(r, &d, q, k, v ? v : k, 0, 0) || q->rank != 4) { refuse(r, "rank"); return; }
    if (!v) {                                                  // v is the first columns of k
        d.vdim = columns;
        contiguous(d.v_stride, d.kv_heads, d.keys, d.dim);
        if (columns < 1 || columns > d.dim) refuse(r, "v_from_k");
    } else if (columns) refuse(r, "v beside v_from_k");
    if (word(r, "enable_gqa", NULL) && number(r, "enable_gqa", 0) == 0 && d.heads != d.kv_heads) refuse(r, "heads");
    set_scale(r, &d);
    d.key_lengths = lengths_of(r, raw(r, named(r, "key_len")), d.batch);
    set_position(r, &d, number(r, "is_causal", 0) != 0 || number(r, "causal", 0) != 0);
    set_window(r, &d, "window_left", "window_right");
    set_structure(r, &d);
    if (word(r, "rope", NULL)) {
        ptrdiff_t most = 1;
        d.rope_q_pos = positions_of(r, raw(r, named(r, "q_pos")), d.batch, d.queries, &most);
        d.rope_k_pos = positions_of(r, raw(r, named(r, "k_pos")), d.batch, d.keys, &most);
        set_rope(r, &d, most);
    }
    if (mask && bias && mask->type->type != ATTN_BOOL) refuse(r, "a float mask beside a bias");
    if (mask && !r->refused) set_mask(r, &d, mask);
    if (bias && !r->refused) set_mask(r, &d, bias);
    run_descriptor(r, &d, output_named(r, "y"), output_named(r, "lse"), output_named(r, "p"));
}
// A cache of old + fresh tokens, [B,Hk,old+fresh,D]: the past is appended to the empty one, then the new keys. It is
// also what ONNX wants as `present`. The descriptor reads its keys from it afterwards.
static void set_past(run *r, attn_desc *d, const vector *past_k, const vector *past_v) {
    ptrdiff_t old = past_k->shape[2], fresh = d->keys, from[2][4];
    int32_t *used = (int32_t *)memory(r, d->batch * 4);
    const void *now[2];
    for (int i = 0; i < 2; i++) {
        const vector *past = i ? past_v : past_k;
        if (past->rank != 4 || past->type->type != d->q_type || past->shape[0] != d->batch || past->shape[2] != old
            || past->shape[1] != d->kv_heads || past->shape[3] != (i ? d->vdim : d->dim) || d->k_type != d->q_type
            || d->v_type != d->q_type) {
            refuse(r, "past");
            return;
        }
        for (int a = 0; a < 4; a++) from[i][a] = (i ? d->v_stride : d->k_stride)[a];
    }
    now[0] = d->k; now[1] = d->v;
    d->k = d->v = NULL;
    d->keys = old + fresh;
    for (int a = 0; a < 4; a++) d->k_stride[a] = d->v_stride[a] = 0;
    d->k_cache = memory(r, d->batch * d->kv_heads * d->keys * d->dim * bytes_of(d->k_type));
    d->v_cache = memory(r, d->batch * d->kv_heads * d->keys * d->vdim * bytes_of(d->v_type));
    d->key_lengths = used;
    d->k_new = past_k->data; d->v_new = past_v->data;
    d->new_keys = old;
    if (!call(r, attn_append(d), d)) return;
    for (ptrdiff_t b = 0; b < d->batch; b++) used[b] = (int32_t)old;
    d->k_new = now[0]; d->v_new = now[1];
    d->new_keys = fresh;
    for (int a = 0; a < 4; a++) { d->k_new_stride[a] = from[0][a]; d->v_new_stride[a] = from[1][a]; }
    if (!call(r, attn_append(d), d)) return;
    for (ptrdiff_t b = 0; b < d->batch; b++) used[b] = (int32_t)d->keys;
    if (r->outputs > 1 && r->out[1].want && r->out[1].want->count == d->batch * d->kv_heads * d->keys * d->dim)
        give_array(r, 1, d->k_type, d->k_cache);
    if (r->outputs > 2 && r->out[2].want && r->out[2].want->count == d->batch * d->kv_heads * d->keys * d->vdim)
        give_array(r, 2, d->v_type, d->v_cache);
}
static void run_onnx_attention(run *r) {
    static const int stages[4] = {ATTN_WEIGHTS_SCORES, ATTN_WEIGHTS_CAPPED, ATTN_WEIGHTS_BIASED, ATTN_WEIGHTS_SOFTMAX};
    const vector *mask = raw(r, 3), *past_k = raw(r, 4), *past_v = raw(r, 5), *used = raw(r, 6);
    attn_desc d = ATTN_ZERO;
    int mode = (int)number(r, "qk_matmul_output_mode", 0);
    ptrdiff_t heads = (ptrdiff_t)number(r, "q_num_heads", 0), kv_heads = (ptrdiff_t)number(r, "kv_num_heads",
            (double)heads);
    const char *precision = word(r, "softmax_precision", "F32");   // the tolerance says what is asked of it
    if (strcmp(precision, "F32") && strcmp(precision, "F64") && strcmp(precision, "F16") && strcmp(precision, "BF16"))
        refuse(r, "softmax_precision");
    if (mode < 0 || mode > 3 || !shape_attention(r, &d, raw(r, 0), raw(r, 1), raw(r, 2), heads, kv_heads)) {
        refuse(r, "mode");
        return;
    }
    if (past_k && past_v && !used && !r->refused) set_past(r, &d, past_k, past_v);
    else if (past_k || past_v) refuse(r, "one of past_key and past_value, or lengths beside them");
    set_scale(r, &d);
    d.softcap = (float)number(r, "softcap", 0);
    if (used) d.key_lengths = lengths_of(r, used, d.batch);
    set_window(r, &d, "left_window_size", "right_window_size");
    int causal = number(r, "is_causal", 0) != 0;               // queries stand after the past, whatever comes with them
    if (past_k) d.query_offset = (int32_t)past_k->shape[2];
    if (causal) d.causal = past_k ? ATTN_CAUSAL_AT : used ? ATTN_CAUSAL_LOWER_RIGHT : ATTN_CAUSAL_UPPER_LEFT;
    else d.align = past_k ? ATTN_ALIGN_AT : used ? ATTN_ALIGN_LOWER_RIGHT : ATTN_ALIGN_UPPER_LEFT;
    d.weights_stage = r->outputs > 3 ? stages[mode] : ATTN_WEIGHTS_SOFTMAX;
    if (mask && !r->refused) set_mask(r, &d, mask);
    run_descriptor(r, &d, 0, -1, 3);
}
static void run_flex(run *r) {                                 // FlexAttention: its subgraphs are words
    const char *mod = word(r, "score_mod", "none"), *prob = word(r, "prob_mod", "none");
    attn_desc d = ATTN_ZERO;
    double value = number(r, "score_mod_value", 0), weight = number(r, "prob_mod_value", 1);
    int apart;                                                 // a table of one row, or of one for each j - i
    if (!expect(r, "domain", "ai.onnx.preview", "ai.onnx.preview")) return;
    if (!shape_attention(r, &d, raw(r, 0), raw(r, 1), raw(r, 2), 0, 0)) return;
    set_scale(r, &d);
    apart = !strcmp(mod, "relative");
    if (!strcmp(mod, "causal")) d.causal = ATTN_CAUSAL_UPPER_LEFT;
    else if (!strcmp(mod, "softcap")) d.softcap = (float)value;
    else if (!strcmp(mod, "bias") || apart) {
        ptrdiff_t side = apart ? (d.queries > d.keys ? d.queries : d.keys) : 0, rows = 2 * side + 1;
        float *table = (float *)memory(r, rows * d.heads * 4);
        for (ptrdiff_t i = 0; i < rows * d.heads; i++) table[i] = apart ? (float)(side - i / d.heads) : (float)value;
        d.rel_kind = ATTN_REL_OFFSET;
        d.rel_table = table;
        d.rel_count = (int32_t)rows;
    } else if (strcmp(mod, "none")) refuse(r, "attribute score_mod=%s", mod);
    if (!strcmp(prob, "none")) { run_descriptor(r, &d, 0, -1, -1); return; }
    if (strcmp(prob, "scale") || is_half(d.q_type)) { refuse(r, "attribute prob_mod=%s", prob); return; }
    if (!run_descriptor(r, &d, -1, -1, -1)) return;            // weights times a number: so is what they sum up to
    ptrdiff_t shape[4];
    shape[0] = d.batch; shape[1] = d.heads; shape[2] = d.queries; shape[3] = d.vdim;
    r->composed = 1;
    give(r, 0, scale(attn_from(ctx, d.o_type, 4, shape, d.o), weight));
}
static void run_varlen(run *r) {                               // packed sequences
    const vector *q = raw(r, named(r, "q")), *k = raw(r, named(r, "k")), *v = raw(r, named(r, "v"));
    const vector *cq = raw(r, named(r, "cu_seqlens_q")), *ck = raw(r, named(r, "cu_seqlens_k"));
    attn_desc d = ATTN_ZERO;
    if (!q || !k || !v || !cq || !ck || q->rank != 3 || k->rank != 3 || v->rank != 3 || cq->count != ck->count
        || cq->count < 2) {
        refuse(r, "form");
        return;
    }
    d.cu_q = lengths_of(r, cq, cq->count); d.cu_k = lengths_of(r, ck, ck->count);
    d.batch = cq->count - 1;
    for (ptrdiff_t b = 0; b < d.batch && !r->refused; b++) {   // the longest
        if (d.cu_q[b + 1] - d.cu_q[b] > d.queries) d.queries = d.cu_q[b + 1] - d.cu_q[b];
        if (d.cu_k[b + 1] - d.cu_k[b] > d.keys) d.keys = d.cu_k[b + 1] - d.cu_k[b];
    }
    if (r->refused || d.cu_q[d.batch] != q->shape[0] || d.cu_k[d.batch] != k->shape[0] || v->shape[0] != k->shape[0]) {
        refuse(r, "offsets");
        return;
    }
    d.q = q->data; d.k = k->data; d.v = v->data; d.isa = isa;
    d.q_type = q->type->type; d.k_type = k->type->type; d.v_type = v->type->type; d.o_type = q->type->type;
    r->odd_type = is_half(d.q_type);
    d.heads = q->shape[1]; d.kv_heads = k->shape[1]; d.dim = q->shape[2]; d.vdim = v->shape[2];
    set_scale(r, &d);
    set_position(r, &d, number(r, "causal", 0) != 0);
    set_window(r, &d, "window_left", "window_right");
    set_structure(r, &d);
    run_descriptor(r, &d, output_named(r, "y"), output_named(r, "lse"), -1);
}
static void run_cached(run *r) {                               // attn_paged, attn_ring
    int paged = !strcmp(r->op, "attn_paged");
    const vector *q = raw(r, named(r, "q")), *k = raw(r, named(r, paged ? "k_cache" : "k_ring"));
    const vector *v = raw(r, named(r, paged ? "v_cache" : "v_ring")), *table = raw(r, named(r, "block_table"));
    const vector *used = raw(r, named(r, paged ? "context_lens" : "seen"));
    attn_desc d = ATTN_ZERO;
    if (!q || !k || !v || !used || q->rank != 4 || k->rank != 4 || v->rank != 4
        || (paged && (!table || table->rank != 2))) {
        refuse(r, "form");
        return;
    }
    d.q = q->data; d.k_cache = k->data; d.v_cache = v->data; d.isa = isa;
    d.q_type = q->type->type; d.k_type = k->type->type; d.v_type = v->type->type; d.o_type = q->type->type;
    r->odd_type = is_half(d.q_type);
    d.batch = q->shape[0]; d.heads = q->shape[1]; d.queries = q->shape[2]; d.dim = q->shape[3]; d.vdim = v->shape[3];
    d.key_lengths = lengths_of(r, used, d.batch);
    if (paged) {                                               // [pages,page,Hk,D]
        d.page_count = k->shape[0]; d.page = k->shape[1]; d.kv_heads = k->shape[2]; d.pages_per_row = table->shape[1];
        d.block_table = lengths_of(r, table, d.batch * d.pages_per_row);
        d.keys = d.pages_per_row * d.page;
        packed(d.k_stride, d.kv_heads, d.page, d.dim); packed(d.v_stride, d.kv_heads, d.page, d.vdim);
        if (number(r, "block_size", (double)d.page) != (double)d.page) refuse(r, "block_size");
    } else {
        d.kv_heads = k->shape[1];
        d.ring = (int32_t)k->shape[2];
        d.keys = INT32_MAX;                                    // of tokens, not of slots
    }
    set_scale(r, &d);
    set_position(r, &d, number(r, "causal", 0) != 0);
    set_window(r, &d, "window_left", "window_right");
    set_structure(r, &d);
    run_descriptor(r, &d, output_named(r, "y"), output_named(r, "lse"), -1);
}
static void run_merge(run *r) {                                // attn_merge
    const vector *y1 = raw(r, named(r, "y1")), *y2 = raw(r, named(r, "y2"));
    const vector *lse1 = raw(r, named(r, "lse1")), *lse2 = raw(r, named(r, "lse2"));
    if (!y1 || !y2 || !lse1 || !lse2 || y1->count != y2->count || lse1->count != lse2->count || !lse1->count
        || y1->count % lse1->count || y1->type->type != ATTN_F32 || y2->type != y1->type || lse1->type != y1->type
        || lse2->type != y1->type) {
        refuse(r, "form");
        return;
    }
    float *y = (float *)memory(r, y1->count * 4), *lse = (float *)memory(r, lse1->count * 4);
    memcpy(y, y1->data, (size_t)y1->count * 4);
    memcpy(lse, lse1->data, (size_t)lse1->count * 4);
    if (attn_merge(y, lse, (const float *)(const void *)y2->data, (const float *)(const void *)lse2->data, lse1->count,
                   y1->count / lse1->count)) fail(r, "attn_merge refused");
    give_array(r, output_named(r, "y"), ATTN_F32, y);
    give_array(r, output_named(r, "lse"), ATTN_F32, lse);
}

// ---- what attn_append alone does: writes into a cache, rotates

// TensorScatter: a cache [B,..,M,D] takes tokens at write_indices; circular: a ring
static void run_tensor_scatter(run *r) {
    const vector *past = raw(r, 0), *update = raw(r, 1), *at = raw(r, 2);
    const char *mode = word(r, "mode", "linear");
    attn_desc d = ATTN_ZERO;
    int circular = !strcmp(mode, "circular");
    if (!past || !update || past->rank < 3 || past->rank > 4 || update->rank != past->rank || update->type != past->type
        || past->type->whole || (!circular && strcmp(mode, "linear"))) {
        refuse(r, "form");
        return;
    }
    int rank = past->rank, axis = axis_of(r, number(r, "axis", -2), rank);
    if (axis != rank - 2 || past->shape[rank - 1] != update->shape[rank - 1]) { refuse(r, "axis"); return; }
    d.batch = past->shape[0]; d.kv_heads = d.heads = rank == 4 ? past->shape[1] : 1;
    d.dim = past->shape[rank - 1]; d.keys = past->shape[axis]; d.new_keys = update->shape[axis];
    int32_t *used = (int32_t *)memory(r, d.batch * 4);
    if (at) memcpy(used, lengths_of(r, at, d.batch), (size_t)d.batch * 4);
    unsigned char *twice[2];
    for (int i = 0; i < 2; i++) {
        twice[i] = (unsigned char *)memory(r, past->count * bytes_of(past->type->type));
        memcpy(twice[i], past->data, (size_t)past->count * past->type->bytes);
    }
    if (circular) { d.ring = (int32_t)d.keys; d.keys = INT32_MAX; }
    d.q_type = d.k_type = d.v_type = d.o_type = past->type->type;
    r->odd_type = is_half(d.q_type);
    d.k_cache = twice[0]; d.v_cache = twice[1]; d.k_new = d.v_new = update->data; d.key_lengths = used; d.isa = isa;
    if (r->refused || !call(r, attn_append(&d), &d)) return;
    if (memcmp(twice[0], twice[1], (size_t)past->count * past->type->bytes)) fail(r, "k and v differ");
    give_array(r, 0, d.k_type, d.k_cache);
}
// Rows [B,H,N,D] of k_new turned by attn_rope; the strides of the result are theirs.
static const float *rotated(run *r, attn_desc *d, const vector *x) {
    d->queries = d->new_keys; d->isa = isa;
    d->q_type = d->k_type = d->v_type = d->o_type = x->type->type;
    r->odd_type = is_half(d->q_type);
    d->q = x->data; d->o = memory(r, x->count * bytes_of(d->o_type));
    d->rope_q_pos = d->rope_k_pos;
    for (int a = 0; a < 4; a++) d->q_stride[a] = d->o_stride[a] = d->k_new_stride[a];
    if (r->refused || !call(r, attn_rope(d), d)) return NULL;
    return (const float *)d->o;
}
// [B,H,N,D] with cos, sin [B or 1,1,N,D/2] of its first columns, on the tape: the pairs' first and second elements
static void give_turned(run *r, tensor x, tensor cosine, tensor sine, const attn_desc *d) {
    ptrdiff_t half = d->rope_dim / 2, rest = d->dim - d->rope_dim, stride[5], b = x->shape[0], h = x->shape[1],
        n = x->shape[2];
    int apart = d->rope_kind == ATTN_ROPE_HALF;
    ptrdiff_t pairs[5];
    pairs[0] = b; pairs[1] = h; pairs[2] = n; pairs[3] = apart ? 2 : half; pairs[4] = apart ? half : 2;
    stride[0] = h * n * d->dim; stride[1] = n * d->dim; stride[2] = d->dim; stride[3] = apart ? 1 : 2; stride[4] = 1;
    tensor both = attn_reshape(ctx, slice(x, 3, 0, d->rope_dim), 5, pairs);
    tensor u = shaped(slice(both, apart ? 3 : 4, 0, 1), 4, b, h, n, half);
    tensor v = shaped(slice(both, apart ? 3 : 4, 1, 1), 4, b, h, n, half);
    give_part(r, 0, subtract(multiply(u, cosine), multiply(v, sine)), 0, stride);
    give_part(r, 0, add(multiply(u, sine), multiply(v, cosine)), apart ? half : 1, stride);
    stride[3] = 1;
    if (rest) give_part(r, 0, slice(x, 3, d->rope_dim, rest), d->rope_dim, stride);
}
static void run_rope(run *r) {                                 // rope of variants, with gradients
    const vector *x = raw(r, named(r, "x")), *pos = raw(r, named(r, "pos"));
    attn_desc d = ATTN_ZERO;
    ptrdiff_t most = 1, half, shape[4];
    if (!x || !pos || x->rank != 4) { refuse(r, "form"); return; }
    d.batch = x->shape[0]; d.heads = x->shape[1]; d.new_keys = x->shape[2]; d.dim = x->shape[3];
    int32_t *at = positions_of(r, pos, d.batch, d.new_keys, &most);
    d.rope_k_pos = at;
    if (r->refused || !set_rope(r, &d, most)) { refuse(r, "no rope"); return; }
    const float *y = rotated(r, &d, x);
    if (!y || !any_gradient(r)) { give_array(r, 0, d.k_type, y); return; }
    half = d.rope_dim / 2;
    float *cosine = (float *)memory(r, d.batch * d.new_keys * half * 4),
        *sine = (float *)memory(r, d.batch * d.new_keys * half * 4);
    for (ptrdiff_t i = 0; i < d.batch * d.new_keys * half; i++) {   // the tables' rows of these positions
        cosine[i] = d.rope_cos[at[i / half] * half + i % half];
        sine[i] = d.rope_sin[at[i / half] * half + i % half];
    }
    also(r, 0, ATTN_F32, y);
    shape[0] = d.batch; shape[1] = 1; shape[2] = d.new_keys; shape[3] = half;
    r->composed = 1;
    give_turned(r, take_named(r, "x"), attn_from(ctx, ATTN_F32, 4, shape, cosine),
                attn_from(ctx, ATTN_F32, 4, shape, sine), &d);
}
static void run_rotary_embedding(run *r) {                     // tables [positions,D/2], or [B,N,D/2] as they are
    const vector *x = raw(r, 0), *cosine = raw(r, 1), *sine = raw(r, 2), *ids = raw(r, 3);
    attn_desc d = ATTN_ZERO;
    ptrdiff_t heads = (ptrdiff_t)number(r, "num_heads", 0), most = 0;
    int wide = x && x->rank == 3;
    if (!x || !cosine || !sine || (x->rank != 4 && (!wide || heads < 1)) || cosine->rank != (ids ? 2 : 3)
        || cosine->type->whole || sine->type != cosine->type || sine->count != cosine->count) {
        refuse(r, "form");
        return;
    }
    d.batch = x->shape[0];
    d.heads = wide ? heads : x->shape[1];
    d.new_keys = x->shape[wide ? 1 : 2];
    d.dim = wide ? x->shape[2] / heads : x->shape[3];
    d.rope_kind = number(r, "interleaved", 0) != 0 ? ATTN_ROPE_INTERLEAVED : ATTN_ROPE_HALF;
    d.rope_dim = (int32_t)number(r, "rotary_embedding_dim", 0);
    if (!d.rope_dim) d.rope_dim = (int32_t)d.dim;
    if (cosine->shape[cosine->rank - 1] * 2 != d.rope_dim) { refuse(r, "columns of the tables"); return; }
    float *tables = (float *)memory(r, cosine->count * 8);     // the library's tables are f32
    for (ptrdiff_t i = 0; i < cosine->count; i++) {
        tables[i] = (float)value_at(cosine->type->type, cosine->data, i);
        tables[cosine->count + i] = (float)value_at(sine->type->type, sine->data, i);
    }
    d.rope_cos = tables; d.rope_sin = tables + cosine->count;
    d.rope_positions = cosine->count / (d.rope_dim / 2);
    int32_t *at = positions_of(r, ids, d.batch, d.new_keys, &most);
    for (ptrdiff_t i = 0; !ids && i < d.batch * d.new_keys; i++) at[i] = (int32_t)i;
    d.rope_k_pos = at;
    if (most > d.rope_positions || (!ids && d.rope_positions != d.batch * d.new_keys)) {
        refuse(r, "positions");
        return;
    }
    if (wide) packed(d.k_new_stride, d.heads, d.new_keys, d.dim);
    const float *y = rotated(r, &d, x);
    if (y) give_array(r, 0, d.k_type, y);
}

// ---- tables that the descriptor knows, read from the scores of q = 0

// Scores of one query at position p and keys 0 .. n-1, after the tables
static const float *table_scores(run *r, attn_desc *d, ptrdiff_t n, int32_t p) {
    d->q = d->k = d->v = memory(r, n * d->heads * 4);
    d->o = memory(r, d->heads * 4); d->weights = memory(r, n * d->heads * 4);
    d->queries = d->dim = d->kv_heads = 1;
    d->keys = n; d->isa = isa;
    d->align = ATTN_ALIGN_AT; d->query_offset = p;
    d->weights_stage = ATTN_WEIGHTS_BIASED;
    return call(r, attn_fwd(d), d) ? (const float *)d->weights : NULL;
}
static void run_alibi_slopes(run *r) {                         // - slope of a key one step away
    attn_desc d = ATTN_ZERO;
    d.heads = (ptrdiff_t)number(r, "heads", 0);
    d.alibi = 1;
    float *y = (float *)array_for(r, 0, 4);
    if (d.heads < 1 || !y || r->out[0].want->count != d.heads) { refuse(r, "heads"); return; }
    const float *s = table_scores(r, &d, 1, 1);
    for (ptrdiff_t h = 0; s && h < d.heads; h++) y[h] = -s[h];
    if (s) give_array(r, 0, ATTN_F32, y);
}
static void run_t5_bucket(run *r) {                            // a table that says its own row
    const vector *x = raw(r, 0);
    attn_desc d = ATTN_ZERO;
    int32_t *y = (int32_t *)array_for(r, 0, 4), low = 0, high = 0;
    if (!x || !x->type->whole || !y) { refuse(r, "form"); return; }
    const int32_t *at = lengths_of(r, x, x->count);
    d.heads = 1;
    d.rel_kind = ATTN_REL_T5;
    d.rel_count = (int32_t)number(r, "t5_buckets", 32);
    d.rel_max_distance = (int32_t)number(r, "t5_max_distance", 128);
    d.rel_both_ways = number(r, "t5_bidirectional", 1) != 0;
    for (ptrdiff_t i = 0; i < x->count; i++) { if (at[i] < low) low = at[i]; if (at[i] > high) high = at[i]; }
    if (d.rel_count < 1 || high - low > 1 << 20) { refuse(r, "distances"); return; }
    float *table = (float *)memory(r, d.rel_count * 4);
    for (int32_t i = 0; i < d.rel_count; i++) table[i] = (float)i;
    d.rel_table = table;
    const float *s = table_scores(r, &d, high - low + 1, -low);
    for (ptrdiff_t i = 0; s && i < x->count; i++) y[i] = (int32_t)s[at[i] - low];
    if (s) give_array(r, 0, ATTN_I32, y);
}
static void run_positional_encoding(run *r) {                  // sin and cos columns in turn: the rope table's
    const vector *x = raw(r, named(r, "x"));
    if (x && x->rank != 3) { refuse(r, "form"); return; }
    ptrdiff_t n = x ? x->shape[1] : (ptrdiff_t)number(r, "max_len", 0), shape[2],
        d = x ? x->shape[2] : (ptrdiff_t)number(r, "num_hiddens", 0);
    if (n < 1 || d < 2 || d % 2) { refuse(r, "form"); return; }
    float *cosine = (float *)memory(r, n * d * 2), *sine = (float *)memory(r, n * d * 2),
        *p = (float *)memory(r, n * d * 4);
    if (attn_rope_table(cosine, sine, n, d, 10000)) fail(r, "attn_rope_table refused");
    for (ptrdiff_t i = 0; i < n * d / 2; i++) { p[2 * i] = sine[i]; p[2 * i + 1] = cosine[i]; }
    if (!x) { give_array(r, 0, ATTN_F32, p); return; }
    shape[0] = n; shape[1] = d;
    r->composed = 1;
    give(r, 0, add(scale(take_named(r, "x"), number(r, "scale_by_sqrt_d", 0) != 0 ? root((double)d) : 1),
                   attn_from(ctx, ATTN_F32, 2, shape, p)));
}

// ---- the study notes' attention, with gradients through the tape

static tensor lengths_tensor(run *r, const char *name, ptrdiff_t heads) {   // i32; each entry repeated for every head
    const vector *v = raw(r, named(r, name));
    if (!v) return NULL;
    ptrdiff_t shape[2], per = v->rank == 2 ? v->shape[1] : 1;
    shape[0] = v->shape[0] * heads; shape[1] = per;
    int32_t *n = (int32_t *)memory(r, v->count * heads * 4);
    for (ptrdiff_t i = 0; i < v->count * heads; i++)
        n[i] = (int32_t)value_at(v->type->type, v->data, i / (heads * per) * per + i % per);
    return attn_from(ctx, ATTN_I32, v->rank == 2 ? 2 : 1, shape, n);
}
static int fill_known(run *r) {                                // lengths are at least 1: such a fill weighs exactly 0
    if (number(r, "fill", -1e6) > -1e5) refuse(r, "attribute fill");
    return !r->refused;
}
// valid_lens: one for each entry, or for each of its rows; the notes' fill in place of what lies beyond
static void set_valid_lens(run *r, attn_desc *d) {
    const vector *v = raw(r, named(r, "valid_lens"));
    if (!v) return;
    if (v->rank == 2) d->row_lengths = lengths_of(r, v, d->batch * d->queries);
    else d->key_lengths = lengths_of(r, v, d->batch);
    d->masked_score = (float)number(r, "fill", -1e6);
}
static void run_masked_softmax(run *r) {
    const vector *v = raw(r, named(r, "x")), *n = raw(r, named(r, "valid_lens"));
    tensor x = need(r, named(r, "x")), lengths = lengths_tensor(r, "valid_lens", 1);
    attn_softmax_desc d = ATTN_ZERO;
    if (!fill_known(r) || !x || x->rank < 2 || v->type->type != ATTN_F32) { refuse(r, "form"); return; }
    d.cols = x->shape[x->rank - 1];
    d.rows = d.cols ? v->count / d.cols : 0;
    d.x = v->data; d.y = array_for(r, 0, 4); d.isa = isa;
    if (n) {
        d.lengths = lengths_of(r, n, n->count);
        d.rows_per_length = n->count ? d.rows / n->count : 0;
        d.masked_score = (float)number(r, "fill", -1e6);
    }
    if (r->refused || attn_softmax_f32(&d)) { fail(r, "attn_softmax_f32 refused"); return; }
    if (!any_gradient(r)) { give_array(r, 0, ATTN_F32, d.y); return; }
    also(r, 0, ATTN_F32, d.y);
    give(r, 0, lengths ? attn_masked_softmax(ctx, x, lengths) : attn_softmax(ctx, x, -1));
}
// Columns of zeros after those of v, rows too; NULL where it is of another type than f32.
static const float *wider(run *r, const vector *v, ptrdiff_t rows, ptrdiff_t columns) {
    ptrdiff_t n = v->shape[v->rank - 1];
    float *x = (float *)memory(r, rows * columns * 4);
    if (v->type->type != ATTN_F32 || v->count > rows * n || n > columns) { refuse(r, "type or shape"); return x; }
    for (ptrdiff_t i = 0; i < v->count; i++) x[i / n * columns + i % n] = ((const float *)(const void *)v->data)[i];
    return x;
}
// The score of the op by one call: y [B,N,E] and weights [B,N,M]. q and k of unlike widths get columns of zeros.
static int score_directly(run *r, attn_desc *d) {
    const vector *q = raw(r, named(r, "q")), *k = raw(r, named(r, "k")), *v = raw(r, named(r, "v"));
    const vector *w = raw(r, named(r, "W")), *wq = raw(r, named(r, "W_q")), *wk = raw(r, named(r, "W_k"));
    ptrdiff_t n = q->shape[2] > k->shape[2] ? q->shape[2] : k->shape[2];
    d->batch = q->shape[0]; d->heads = 1; d->queries = q->shape[1]; d->keys = k->shape[1]; d->dim = n; d->isa = isa;
    d->vdim = v->shape[2];
    d->q = wider(r, q, d->batch * d->queries, n); d->k = wider(r, k, d->batch * d->keys, n);
    d->v = wider(r, v, d->batch * d->keys, d->vdim);
    if (r->op[0] == 'd' && number(r, "scaled", 1) == 0) d->scale = ATTN_SCALE_NONE;
    if (r->op[0] == 'b') { d->score = ATTN_SCORE_BILINEAR; d->w_score = wider(r, w, n, n); }
    if (r->op[0] == 'a') {
        d->score = ATTN_SCORE_ADDITIVE;
        d->score_width = wq->shape[0];
        d->w_q = wider(r, wq, d->score_width, n); d->w_k = wider(r, wk, d->score_width, n);
        d->w_v = floats(r, "w_v");
    }
    set_valid_lens(r, d);
    d->o = memory(r, d->batch * d->queries * d->vdim * 4);
    d->weights = memory(r, d->batch * d->queries * d->keys * 4);
    return !r->refused && call(r, attn_fwd(d), d);
}
static void run_scored_attention(run *r) {                     // dot_attention, additive_attention, bilinear_attention
    tensor q = take_named(r, "q"), k = take_named(r, "k"), v = take_named(r, "v"), s, w, y,
        mask = lengths_tensor(r, "valid_lens", 1);
    attn_desc d = ATTN_ZERO;
    if (!q || !k || !v || q->rank != 3 || k->rank != 3 || v->rank != 3 || !fill_known(r)) { refuse(r, "form"); return; }
    ptrdiff_t b = q->shape[0], n = q->shape[1], m = k->shape[1];
    if (r->op[0] == 'd') {
        if (q->shape[2] != k->shape[2]) { refuse(r, "widths of q and k"); return; }
        double f = number(r, "scaled", 1) != 0 ? 1 / root((double)q->shape[2]) : 1;
        s = scale(matmul(q, swap(k, 1, 2)), f);
    } else if (r->op[0] == 'b') {
        tensor weight = take_named(r, "W");
        if (!weight) { refuse(r, "no W"); return; }
        s = matmul(matmul(q, weight), swap(k, 1, 2));
    } else {
        tensor wq = take_named(r, "W_q"), wk = take_named(r, "W_k"), wv = take_named(r, "w_v");
        if (!wq || !wk || !wv) { refuse(r, "no weights"); return; }
        ptrdiff_t h = wq->shape[0];
        tensor both = add(shaped(linear(q, wq, NULL), 4, b, n, 1, h), shaped(linear(k, wk, NULL), 4, b, 1, m, h));
        s = shaped(matmul(attn_tanh(ctx, both), shaped(wv, 2, h, 1, 0, 0)), 3, b, n, m, 0);
    }
    if (r->refused || !score_directly(r, &d)) return;
    w = mask ? attn_masked_softmax(ctx, s, mask) : attn_softmax(ctx, s, -1);
    y = matmul(w, v);
    give_direct(r, output_named(r, "y"), (const float *)d.o, y);
    give_direct(r, output_named(r, "weights"), (const float *)d.weights, w);
}
static tensor heads_apart(tensor x, ptrdiff_t heads) {         // [B,N,H*D] -> [B,H,N,D]
    return swap(shaped(x, 4, x->shape[0], x->shape[1], heads, x->shape[2] / heads), 1, 2);
}
static tensor heads_together(tensor x) {                       // [B,H,N,D] -> [B,N,H*D]
    return shaped(swap(x, 1, 2), 3, x->shape[0], x->shape[2], x->shape[1] * x->shape[3], 0);
}
static void run_d2l_multihead(run *r) {
    static const char *const names[7] = {"q", "k", "v", "W_q", "W_k", "W_v", "W_o"};
    tensor t[7], w, p[3];
    attn_desc d = ATTN_ZERO;
    ptrdiff_t heads = (ptrdiff_t)number(r, "num_heads", 0);
    for (int i = 0; i < 7; i++)
        if (!(t[i] = take_named(r, names[i])) || t[i]->rank != (i < 3 ? 3 : 2)) {
            refuse(r, "no %s", names[i]);
            return;
        }
    if (heads < 1 || !fill_known(r)) { refuse(r, "heads"); return; }
    tensor lengths = lengths_tensor(r, "valid_lens", heads);
    for (int i = 0; i < 3; i++) {
        p[i] = linear(t[i], t[3 + i], NULL);
        if (attn_error(ctx)) return;
        if (i == 0) { d.q = p[0]->data; d.dim = p[0]->shape[2] / heads; d.batch = p[0]->shape[0]; }
        if (i == 0) d.queries = p[0]->shape[1];
        if (i == 1) { d.k = p[1]->data; d.keys = p[1]->shape[1]; }
        if (i == 2) { d.v = p[2]->data; d.vdim = p[2]->shape[2] / heads; }
        p[i] = heads_apart(p[i], heads);
        if (attn_error(ctx)) return;
        p[i] = shaped(p[i], 3, p[i]->shape[0] * heads, p[i]->shape[2], p[i]->shape[3], 0);
    }
    tensor y = attention_on_tape(r, p[0], p[1], p[2], 1 / root((double)p[0]->shape[2]), NULL, lengths, &w);
    if (attn_error(ctx)) return;
    d.heads = heads; d.isa = isa;                              // the heads where they lie, side by side
    packed(d.q_stride, heads, d.queries, d.dim); packed(d.o_stride, heads, d.queries, d.vdim);
    packed(d.k_stride, heads, d.keys, d.dim); packed(d.v_stride, heads, d.keys, d.vdim);
    set_valid_lens(r, &d);
    tensor o = attn_zeros(ctx, ATTN_F32, 3, t[0]->shape);
    d.weights = memory(r, d.batch * heads * d.queries * d.keys * 4);
    if (attn_error(ctx) || o->shape[2] != heads * d.vdim) { refuse(r, "widths"); return; }
    d.o = o->data;
    if (!call(r, attn_fwd(&d), &d)) return;
    also_tensor(r, output_named(r, "y"), linear(o, t[6], NULL));
    also(r, output_named(r, "weights"), ATTN_F32, d.weights);
    r->composed = 1;
    give(r, output_named(r, "weights"), shaped(w, 4, -1, heads, w->shape[1], w->shape[2]));
    y = heads_together(shaped(y, 4, -1, heads, y->shape[1], y->shape[2]));
    give(r, output_named(r, "y"), linear(y, t[6], NULL));
}
static tensor kernel_weights(tensor x, tensor keys, tensor w) {   // softmax_j(-((x_i - key_j) w)^2 / 2)
    tensor d = subtract(shaped(x, 2, -1, 1, 0, 0), keys);
    return attn_softmax(ctx, scale(attn_square(ctx, w ? multiply(d, w) : d), -0.5), -1);
}
// The same by one call: y and weights [n,m] of the Gaussian kernel of width 1 / w
static int kernel_directly(run *r, attn_desc *d, tensor x, tensor keys, tensor y, double w) {
    float *width = (float *)memory(r, 4);
    if (x->type != ATTN_F32 || keys->type != ATTN_F32 || y->type != ATTN_F32 || w == 0 || attn_error(ctx)) {
        refuse(r, "type or width");
        return 0;
    }
    *width = (float)(w > 0 ? 1 / w : -1 / w);
    d->q = x->data; d->k = keys->data; d->v = y->data;
    d->heads = d->dim = 1; d->queries = count_of(x); d->keys = count_of(keys); d->isa = isa;
    d->score = ATTN_SCORE_GAUSSIAN;
    d->kernel_width = width;
    d->o = memory(r, d->queries * 4);
    d->weights = memory(r, d->queries * d->keys * 4);
    return call(r, attn_fwd(d), d);
}
static void run_kernel(run *r) {                               // nw_kernel, nw_kernel_w
    tensor x = take_named(r, "x_test"), keys = take_named(r, "x_train"), y = take_named(r, "y_train"),
        w = take_named(r, "w");
    double fixed = number(r, "w", 1);
    if (!x || x->rank != 1 || !keys || !y || !expect(r, "kernel", "gaussian", "gaussian")) {
        refuse(r, "form");
        return;
    }
    if (fixed != 1) w = constant(x, fixed);
    if (w && count_of(w) != 1) { refuse(r, "several widths"); return; }
    tensor weights = kernel_weights(x, shaped(keys, 2, 1, -1, 0, 0), w);
    attn_desc d = ATTN_ZERO;
    if (!kernel_directly(r, &d, x, keys, y, w ? attn_item(ctx, w) : 1)) return;
    give_direct(r, output_named(r, "weights"), (const float *)d.weights, weights);
    give_direct(r, output_named(r, "y_hat"), (const float *)d.o,
                shaped(matmul(weights, shaped(y, 2, -1, 1, 0, 0)), 1, -1, 0, 0, 0));
}
static void run_average(run *r) {                              // nw_average
    tensor y = take_named(r, "y_train"), x = take_named(r, "x_test");
    attn_desc d = ATTN_ZERO;
    if (!y || !x || y->type != ATTN_F32 || x->type != ATTN_F32) { refuse(r, "form"); return; }
    d.q = x->data; d.k = d.v = y->data; d.o = memory(r, count_of(x) * 4);
    d.heads = d.dim = 1; d.queries = count_of(x); d.keys = count_of(y); d.norm = ATTN_NORM_AVERAGE; d.isa = isa;
    if (call(r, attn_fwd(&d), &d))
        give_direct(r, 0, (const float *)d.o, attn_broadcast(ctx, attn_mean_all(ctx, y), x->rank, x->shape));
}
static void run_nw_train(run *r) {                             // keys [n,n-1]: each point sees all the others
    const vector *w0 = raw(r, named(r, "w0"));
    tensor x = take_named(r, "x_train"), y = take_named(r, "y_train"), test = take_named(r, "x_test"), at[2], w, keys;
    double rate = number(r, "lr", 0);
    int epochs = (int)number(r, "epochs", 0);
    if (!w0 || !x || !y || !test || !expect(r, "loss", "", "sum_squares") || !expect(r, "leave_one_out", "0", "1")) {
        refuse(r, "form");
        return;
    }
    ptrdiff_t n = x->shape[0], shape[2];
    float *others = (float *)memory(r, 2 * n * n * 4);
    shape[0] = n; shape[1] = n - 1;
    for (int a = 0; a < 2; a++) {
        const float *from = floats(r, a ? "y_train" : "x_train");
        if (!from || r->refused) return;
        for (ptrdiff_t i = 0; i < n * (n - 1); i++)
            others[a * n * n + i] = from[i % (n - 1) + (i % (n - 1) >= i / (n - 1))];
        at[a] = attn_from(ctx, ATTN_F32, 2, shape, others + a * n * n);
    }
    if (w0->type->type != ATTN_F32 || attn_error(ctx)) { refuse(r, "type"); return; }
    w = attn_param(ctx, ATTN_F32, w0->rank, w0->shape);
    memcpy(w->data, w0->data, (size_t)w0->count * 4);
    for (int e = 0; e < epochs && !attn_error(ctx); e++) {
        tensor p = attn_sum(ctx, multiply(kernel_weights(x, at[0], w), at[1]), 1);
        tensor l = attn_sum_all(ctx, attn_square(ctx, subtract(shaped(p, 1, -1, 0, 0, 0), y)));
        if (attn_backward(ctx, l)) return;
        give_at(r, output_named(r, "loss"), l, 0, e);
        give_at(r, output_named(r, "grad_w"), shaped(w->grad, 0, 0, 0, 0, 0), 0, e);
        if (attn_sgd(ctx, rate, 0)) return;
        attn_zero_grad(ctx);
        give_at(r, output_named(r, "w"), shaped(w, 0, 0, 0, 0, 0), 0, e);
    }
    keys = kernel_weights(test, shaped(x, 2, 1, -1, 0, 0), w);
    attn_desc d = ATTN_ZERO;
    if (attn_error(ctx) || !kernel_directly(r, &d, test, x, y, attn_item(ctx, w))) return;
    also(r, output_named(r, "weights"), ATTN_F32, d.weights);
    also(r, output_named(r, "y_hat"), ATTN_F32, d.o);
    r->composed = 1;
    give(r, output_named(r, "weights"), keys);
    give(r, output_named(r, "y_hat"), shaped(matmul(keys, shaped(y, 2, -1, 1, 0, 0)), 1, -1, 0, 0, 0));
}
static void run_soft_hard(run *r) {                            // soft_attention, hard_attention
    tensor q = take_named(r, "q"), x = take_named(r, "X"), w;
    attn_desc d = ATTN_ZERO;
    int hard = r->op[0] == 'h';
    if (!q || !x || q->rank != 1 || x->rank != 2 || q->type != ATTN_F32 || !expect(r, "score", "", "scaled_dot")) {
        refuse(r, "form");
        return;
    }
    d.q = q->data; d.k = d.v = x->data; d.isa = isa;
    d.heads = d.queries = 1; d.keys = x->shape[0]; d.dim = x->shape[1];
    d.norm = hard ? ATTN_NORM_HARD : ATTN_NORM_SOFTMAX;
    float *y = (float *)memory(r, d.dim * 4), *p = (float *)memory(r, d.keys * 4);
    d.o = y; d.weights = p;
    if (x->shape[1] != q->shape[0] || !call(r, attn_fwd(&d), &d)) { refuse(r, "widths"); return; }
    if (hard) {                                                // the index is the place of the weight 1
        int32_t index = 0;
        while (index < d.keys - 1 && !(p[index] > 0.5f)) index++;
        if (any_gradient(r)) refuse(r, "gradients of a choice");
        if (r->out[0].want && output_named(r, "index") >= 0) give_array(r, output_named(r, "index"), ATTN_I32, &index);
        give_array(r, output_named(r, "y"), ATTN_F32, y);
        return;
    }
    w = attn_softmax(ctx, scale(matmul(x, shaped(q, 2, -1, 1, 0, 0)), 1 / root((double)q->shape[0])), 0);
    give_direct(r, output_named(r, "weights"), p, shaped(w, 1, -1, 0, 0, 0));
    give_direct(r, output_named(r, "y"), y, shaped(matmul(swap(w, 0, 1), x), 1, -1, 0, 0, 0));
}
// ---- torch's modules and the variants that the tape can say

// [B,M,E] and one more row [1,1,E] or [E]: selections by 0 and 1
static tensor after(run *r, tensor a, tensor b) {
    ptrdiff_t shape[2], m = a->shape[1];
    float *rows = (float *)memory(r, (m + 1) * m * 4), *last = (float *)memory(r, (m + 1) * 4);
    for (ptrdiff_t i = 0; i < m; i++) rows[i * m + i] = 1;
    last[m] = 1;
    shape[0] = m + 1; shape[1] = m;
    tensor y = matmul(attn_from(ctx, ATTN_F32, 2, shape, rows), a);
    shape[1] = 1;
    return b ? add(y, matmul(attn_from(ctx, ATTN_F32, 2, shape, last), b)) : y;
}
// [B,H,N,M], what is added: torch's masks, true = hidden or a number
static tensor hiding_mask(run *r, const vector *padding, const vector *mask, ptrdiff_t b, ptrdiff_t h, ptrdiff_t n,
                          ptrdiff_t m, ptrdiff_t keys) {
    ptrdiff_t shape[4], at[2];
    float *x = (float *)memory(r, b * h * n * m * 4), hidden = (float)strtod("-inf", NULL);
    if (!padding && !mask) return NULL;
    if ((padding && padding->count != b * keys)
        || (mask && mask->count != n * keys && mask->count != b * h * n * keys)) {
        refuse(r, "mask");
        return NULL;
    }
    for (ptrdiff_t i = 0; i < b * h * n * m; i++) {
        ptrdiff_t j = i % m, row = i / m;
        if (j >= keys) continue;
        at[0] = row / n / h * keys + j;
        at[1] = (mask && mask->count == n * keys ? row % n : row) * keys + j;
        for (int k = 0; k < 2; k++) {
            const vector *v = k ? mask : padding;
            if (!v) continue;
            double y = value_at(v->type->type, v->data, at[k]);
            x[i] += v->type->type != ATTN_BOOL ? (float)y : y != 0 ? hidden : 0;
        }
    }
    shape[0] = b; shape[1] = h; shape[2] = n; shape[3] = m;
    return attn_from(ctx, ATTN_F32, 4, shape, x);
}
static void run_mha(run *r) {
    static const char *const own[3] = {"q_proj_weight", "k_proj_weight", "v_proj_weight"};
    tensor x[3], w = take_named(r, "in_proj_weight"), bias = take_named(r, "in_proj_bias"), weights, mask;
    tensor more[3] = {NULL, take_named(r, "bias_k"), take_named(r, "bias_v")}, wo = take_named(r, "out_proj.weight"),
        bo = take_named(r, "out_proj.bias");
    ptrdiff_t e = (ptrdiff_t)number(r, "embed_dim", 0), heads = (ptrdiff_t)number(r, "num_heads", 1);
    int zero = number(r, "add_zero_attn", 0) != 0, average = number(r, "average_attn_weights", 1) != 0;
    x[0] = take_named(r, "query"); x[1] = take_named(r, "key"); x[2] = take_named(r, "value");
    if (!x[0] || !x[1] || !x[2] || x[0]->rank != 3 || !wo || heads < 1 || !expect(r, "batch_first", "0", "1")) {
        refuse(r, "form");
        return;
    }
    number(r, "kdim", 0); number(r, "vdim", 0);                // what the weights' shapes say
    if ((number(r, "bias", 1) != 0) != (bias != NULL) || (number(r, "add_bias_kv", 0) != 0) != (more[1] != NULL))
        refuse(r, "bias");
    ptrdiff_t b = x[0]->shape[0], n = x[0]->shape[1], keys = x[1]->shape[1], m = keys + zero + (more[1] != NULL);
    for (int i = 0; i < 3 && !r->refused; i++) {
        tensor wi = w ? slice(w, 0, i * e, e) : take_named(r, own[i]);
        if (!wi) { refuse(r, "no %s", own[i]); return; }
        x[i] = linear(x[i], wi, bias ? slice(bias, 0, i * e, e) : NULL);
        if (more[i]) x[i] = after(r, x[i], more[i]);
        if (i && zero && !attn_error(ctx)) x[i] = after(r, x[i], NULL);
        if (attn_error(ctx)) return;
        x[i] = heads_apart(x[i], heads);
    }
    if (r->refused) return;
    r->composed = 1;
    mask = hiding_mask(r, raw(r, named(r, "key_padding_mask")), raw(r, named(r, "attn_mask")), b, heads, n, m, keys);
    tensor y = attention_on_tape(r, x[0], x[1], x[2], 1 / root((double)(e / heads)), mask, NULL, &weights);
    give(r, output_named(r, "attn_output"), linear(heads_together(y), wo, bo));
    give(r, output_named(r, "attn_weights"), average ? shaped(attn_mean(ctx, weights, 1), 3, b, n, m, 0) : weights);
}
// [N,M]: query i stands at i + offset
static tensor causal_mask(run *r, tensor q, tensor k, ptrdiff_t offset, float seen, float hidden) {
    ptrdiff_t shape[2];
    shape[0] = q->shape[q->rank - 2]; shape[1] = k->shape[k->rank - 2];
    float *x = (float *)memory(r, shape[0] * shape[1] * 4);
    for (ptrdiff_t i = 0; i < shape[0] * shape[1]; i++) x[i] = i % shape[1] <= i / shape[1] + offset ? seen : hidden;
    return attn_from(ctx, ATTN_F32, 2, shape, x);
}
static tensor for_each_head(tensor k, ptrdiff_t heads) {       // [B,Hk,M,D] -> [B,heads,M,D], each repeated
    ptrdiff_t shape[5], group = k->shape[1] ? heads / k->shape[1] : 0;
    if (group <= 1 || attn_error(ctx)) return k;
    shape[0] = k->shape[0]; shape[1] = k->shape[1]; shape[2] = 1; shape[3] = k->shape[2]; shape[4] = k->shape[3];
    tensor y = attn_reshape(ctx, k, 5, shape);
    shape[2] = group;
    return shaped(attn_broadcast(ctx, y, 5, shape), 4, shape[0], heads, shape[3], shape[4]);
}
static tensor feature(run *r, tensor x, const char *name) {
    if (!strcmp(name, "elu1")) return shift(f_elu(x, 1, 0), 1);
    if (!strcmp(name, "relu")) return relu(x);
    if (!strcmp(name, "exp")) return attn_exp(ctx, x);
    if (strcmp(name, "identity")) refuse(r, "attribute feature=%s", name);
    return x;
}
static void run_linear_attn(run *r) {                          // linear_attn: (phi(q) phi(k)') v, masked where causal
    tensor q = take_named(r, "q"), k = take_named(r, "k"), v = take_named(r, "v"), s, y;
    const char *phi = word(r, "feature", "elu1");
    double eps = number(r, "eps", 0);
    if (!q || !k || !v || q->rank != 4 || k->rank != 4 || v->rank != 4 || !k->shape[1] || q->shape[1] % k->shape[1]
        || q->type != ATTN_F32) {
        refuse(r, "form");
        return;
    }
    k = for_each_head(k, q->shape[1]);
    v = for_each_head(v, q->shape[1]);
    if (attn_error(ctx)) return;
    s = matmul(feature(r, q, phi), swap(feature(r, k, phi), -1, -2));
    if (number(r, "causal", 0) != 0) s = multiply(s, causal_mask(r, q, k, 0, 1, 0));
    y = matmul(s, v);
    if (number(r, "normalize", 0) != 0) y = divide(y, shift(attn_sum(ctx, s, -1), eps));
    r->composed = 1;
    give(r, output_named(r, "y"), y);
}
static void run_diff_attn(run *r) {                            // A(q1,k1) v - lam A(q2,k2) v
    tensor q1 = take_named(r, "q1"), k1 = take_named(r, "k1"), q2 = take_named(r, "q2"), k2 = take_named(r, "k2"),
        v = take_named(r, "v");
    tensor lam = take_named(r, "lam"), mask = NULL, w, one, two, direct[2];
    ptrdiff_t shape[4];
    int causal = number(r, "causal", 0) != 0, vectors = !strcmp(word(r, "lambda", "scalar"), "vectors");
    double initial = number(r, "lambda_init", 0), eps = number(r, "subln_eps", 1e-5);
    tensor subln = number(r, "subln", 0) != 0 ? need(r, named(r, "subln_weight")) : NULL;
    if (r->refused) return;
    if (!q1 || !k1 || !q2 || !k2 || !v || q1->rank != 4 || k1->rank != 4) {
        refuse(r, "form");
        return;
    }
    if (vectors) {
        one = take_named(r, "lam_q1"); two = take_named(r, "lam_q2");
        if (!one || !two || named(r, "lam_k1") < 0 || named(r, "lam_k2") < 0) { refuse(r, "lambda"); return; }
        one = attn_exp(ctx, attn_sum_all(ctx, multiply(one, take_named(r, "lam_k1"))));
        two = attn_exp(ctx, attn_sum_all(ctx, multiply(two, take_named(r, "lam_k2"))));
        lam = shift(subtract(one, two), initial);
    }
    if (!lam || r->refused) { refuse(r, "lambda"); return; }
    for (int i = 0; i < 2; i++) {                              // the two calls
        attn_desc d = ATTN_ZERO;
        const vector *q = raw(r, named(r, i ? "q2" : "q1")), *k = raw(r, named(r, i ? "k2" : "k1"));
        if (!shape_attention(r, &d, q, k, raw(r, named(r, "v")), 0, 0) || d.q_type != ATTN_F32) {
            refuse(r, "type");
            return;
        }
        set_position(r, &d, causal);
        if (!run_descriptor(r, &d, -1, -1, -1)) return;
        shape[0] = d.batch; shape[1] = d.heads; shape[2] = d.queries; shape[3] = d.vdim;
        direct[i] = attn_from(ctx, ATTN_F32, 4, shape, d.o);
    }
    ptrdiff_t offset = strcmp(word(r, "align", "topleft"), "topleft") ? k1->shape[2] - q1->shape[2] : 0;
    if (causal) mask = causal_mask(r, q1, k1, offset, 0, (float)strtod("-inf", NULL));
    if (causal && offset < 0) { refuse(r, "rows that see nothing"); return; }
    k1 = for_each_head(k1, q1->shape[1]); k2 = for_each_head(k2, q1->shape[1]); v = for_each_head(v, q1->shape[1]);
    if (attn_error(ctx)) return;
    one = attention_on_tape(r, q1, k1, v, 1 / root((double)q1->shape[3]), mask, NULL, &w);
    two = attention_on_tape(r, q2, k2, v, 1 / root((double)q2->shape[3]), mask, NULL, &w);
    r->composed = 1;
    one = subtract(one, multiply(lam, two)); two = subtract(direct[0], multiply(lam, direct[1]));
    if (subln) {
        one = scale(multiply(normed(one, 3, eps, 0, NULL, NULL), subln), 1 - initial);
        two = scale(multiply(normed(two, 3, eps, 0, NULL, NULL), subln), 1 - initial);
    }
    also_tensor(r, output_named(r, "y"), two);
    give(r, output_named(r, "y"), one);
}
