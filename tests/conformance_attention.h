// conformance_attention.h - what conformance.c runs by attn_fwd, and the attention of the study notes and of torch's
// modules, put together from tensors on the tape, with gradients. Included by conformance.c, where the table is.

// ---- attention: one descriptor, filled from whatever names the case uses

static const char *explain(run *r, attn_status s, const attn_desc *d) {
    return attn_explain(s, d, (char *)memory(r, 512), 512);
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
    if (m->type->type != ATTN_BOOL && m->type->type != d->q_type) { refuse(r, "type of the mask"); return; }
    ptrdiff_t last = m->rank ? m->shape[m->rank - 1] : 1;
    copy = (last != 1 && last != dims[3]) || !(stride[0] | stride[1] | stride[2] | stride[3]);
    if (copy) {
        size_t size = m->type->bytes, n = 0;
        double hidden = strtod("-inf", NULL);
        float hidden_float = (float)hidden;
        unsigned char *full = (unsigned char *)memory(r, dims[0] * dims[1] * dims[2] * dims[3] * (ptrdiff_t)size),
            no = 0;
        const void *fill = size == 1 ? (const void *)&no : size == 4 ? (const void *)&hidden_float
            : (const void *)&hidden;
        if (size == 2) { refuse(r, "type of the mask"); return; }
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
// y into output `y` and lse, weights into theirs (-1 = none). A plain case is also run at depth 2: the same bits.
static int run_descriptor(run *r, attn_desc *d, int y, int lse, int weights) {
    size_t size = d->q_type == ATTN_F64 ? 8 : 4;
    ptrdiff_t elements = d->batch * d->heads * d->queries * d->vdim;
    if (r->refused) return 0;
    d->o = memory(r, elements * (ptrdiff_t)size);
    d->lse = array_for(r, lse, size);
    d->weights = array_for(r, weights, size);
    if (y >= 0 && r->out[y].want && r->out[y].want->count != elements) { refuse(r, "sizes of the output"); return 0; }
    attn_status s = attn_fwd(d);
    if (s == ATTN_ERR_UNSUPPORTED || (s == ATTN_ERR_DTYPE && r->odd_type)) refuse(r, "%s", explain(r, s, d));
    else if (s) fail(r, "%s: %s", attn_status_str(s), explain(r, s, d));
    if (s) return 0;
    give_array(r, y, d->o_type, d->o);
    if (d->lse) give_array(r, lse, d->o_type, d->lse);
    if (d->weights) give_array(r, weights, d->o_type, d->weights);
    if (d->keep || d->bias || d->key_lengths || d->lse || d->weights) return 1;
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
static void set_position(run *r, attn_desc *d, int causal) {
    const char *align = word(r, "align", "topleft");
    int right = !strcmp(align, "bottomright"), at = right && d->key_lengths;   // M - N there, not the keys in use
    if (!right && strcmp(align, "topleft")) refuse(r, "attribute align=%s", align);
    d->query_offset = at ? (int32_t)(d->keys - d->queries) : 0;
    if (causal) d->causal = at ? ATTN_CAUSAL_AT : right ? ATTN_CAUSAL_LOWER_RIGHT : ATTN_CAUSAL_UPPER_LEFT;
    else d->align = at ? ATTN_ALIGN_AT : right ? ATTN_ALIGN_LOWER_RIGHT : ATTN_ALIGN_UPPER_LEFT;
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
    if (mask && bias && mask->type->type != ATTN_BOOL) refuse(r, "a float mask beside a bias");
    if (mask && !r->refused) set_mask(r, &d, mask);
    if (bias && !r->refused) set_mask(r, &d, bias);
    run_descriptor(r, &d, output_named(r, "y"), output_named(r, "lse"), output_named(r, "p"));
}
// past and new keys in one array [B,Hk,P+M,D], which is also what ONNX wants as `present`
static void join_past(run *r, attn_desc *d, const vector *past, const void **data, ptrdiff_t *stride,
                      ptrdiff_t columns, ptrdiff_t fresh, int present) {
    size_t size = d->q_type == ATTN_F64 ? 8 : 4;
    ptrdiff_t old = past->shape[2], rows = old + fresh, n = 0;
    unsigned char *to = (unsigned char *)memory(r, d->batch * d->kv_heads * rows * columns * (ptrdiff_t)size);
    ptrdiff_t from[4];
    if (past->rank != 4 || past->type->type != d->k_type || past->shape[0] != d->batch
        || past->shape[1] != d->kv_heads || past->shape[3] != columns || r->odd_type) {
        refuse(r, "past");
        return;
    }
    for (int a = 0; a < 4; a++) from[a] = stride[a];
    if (!from[3]) contiguous(from, d->kv_heads, fresh, columns);
    for (ptrdiff_t bh = 0; bh < d->batch * d->kv_heads; bh++)
        for (ptrdiff_t i = 0; i < rows * columns; i++, n++)
            memcpy(to + (size_t)n * size, i < old * columns ? past->data + (size_t)(bh * old * columns + i) * size
                   : (const unsigned char *)*data + (size_t)(bh / d->kv_heads * from[0] + bh % d->kv_heads * from[1]
                     + (i / columns - old) * from[2] + i % columns) * size, size);
    *data = to;
    contiguous(stride, d->kv_heads, rows, columns);
    if (present < r->outputs && r->out[present].want && r->out[present].want->count == n)
        give_array(r, present, d->k_type, to);
    r->composed = 1;
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
    if (past_k && past_v && !r->refused) {
        ptrdiff_t fresh = d.keys;
        join_past(r, &d, past_k, &d.k, d.k_stride, d.dim, fresh, 1);
        join_past(r, &d, past_v, &d.v, d.v_stride, d.vdim, fresh, 2);
        d.keys = fresh + past_k->shape[2];
    } else if (past_k || past_v) refuse(r, "one of past_key and past_value");
    set_scale(r, &d);
    d.softcap = (float)number(r, "softcap", 0);
    d.key_lengths = lengths_of(r, used, d.batch);
    set_window(r, &d, "left_window_size", "right_window_size");
    int causal = number(r, "is_causal", 0) != 0;                // queries stand after the past, whatever comes with them
    if (past_k) d.query_offset = (int32_t)past_k->shape[2];
    if (causal) d.causal = past_k ? ATTN_CAUSAL_AT : used ? ATTN_CAUSAL_LOWER_RIGHT : ATTN_CAUSAL_UPPER_LEFT;
    else d.align = past_k ? ATTN_ALIGN_AT : used ? ATTN_ALIGN_LOWER_RIGHT : ATTN_ALIGN_UPPER_LEFT;
    d.weights_stage = r->outputs > 3 ? stages[mode] : ATTN_WEIGHTS_SOFTMAX;
    if (mask && !r->refused) set_mask(r, &d, mask);
    run_descriptor(r, &d, 0, -1, 3);
}
static void run_flex(run *r) {                                 // FlexAttention: its subgraphs are words
    const char *mod = word(r, "score_mod", "none");
    attn_desc d = ATTN_ZERO;
    double value = number(r, "score_mod_value", 0);
    if (!expect(r, "domain", "ai.onnx.preview", "ai.onnx.preview")) return;
    if (!shape_attention(r, &d, raw(r, 0), raw(r, 1), raw(r, 2), 0, 0)) return;
    set_scale(r, &d);
    ptrdiff_t cells = d.queries * d.keys;
    if (!strcmp(mod, "causal")) d.causal = ATTN_CAUSAL_UPPER_LEFT;
    else if (!strcmp(mod, "softcap")) d.softcap = (float)value;
    else if ((!strcmp(mod, "bias") || !strcmp(mod, "relative")) && d.q_type == ATTN_F32) {
        float *bias = (float *)memory(r, cells * 4);
        for (ptrdiff_t i = 0; i < cells; i++) bias[i] = mod[0] == 'b' ? (float)value : (float)(i / d.keys - i % d.keys);
        d.bias = bias;
        r->composed = 1;
    } else if (strcmp(mod, "none")) refuse(r, "attribute score_mod=%s", mod);
    run_descriptor(r, &d, 0, -1, -1);
}
static void run_varlen(run *r) {                               // one call for each packed sequence, by strides
    const vector *q = raw(r, named(r, "q")), *k = raw(r, named(r, "k")), *v = raw(r, named(r, "v"));
    const vector *cq = raw(r, named(r, "cu_seqlens_q")), *ck = raw(r, named(r, "cu_seqlens_k"));
    if (!q || !k || !v || !cq || !ck || q->rank != 3 || k->rank != 3 || v->rank != 3 || q->type->type != ATTN_F32
        || cq->count != ck->count) {
        refuse(r, "form");
        return;
    }
    float *y = (float *)array_for(r, output_named(r, "y"), 4), *lse = (float *)array_for(r, output_named(r, "lse"), 4);
    const int32_t *at_q = lengths_of(r, cq, cq->count), *at_k = lengths_of(r, ck, ck->count);
    r->composed = 1;
    for (ptrdiff_t s = 0; s + 1 < cq->count && y && !r->refused && !r->failed; s++) {
        attn_desc d = ATTN_ZERO;
        d.queries = at_q[s + 1] - at_q[s]; d.keys = at_k[s + 1] - at_k[s];
        if (at_q[s] < 0 || d.queries < 0 || at_q[s + 1] > q->shape[0] || at_k[s] < 0 || d.keys < 0
            || at_k[s + 1] > k->shape[0]) {
            refuse(r, "offsets");
            return;
        }
        d.heads = q->shape[1]; d.kv_heads = k->shape[1]; d.dim = q->shape[2]; d.vdim = v->shape[2]; d.isa = isa;
        d.q = (const float *)(const void *)q->data + at_q[s] * d.heads * d.dim;
        d.k = (const float *)(const void *)k->data + at_k[s] * d.kv_heads * d.dim;
        d.v = (const float *)(const void *)v->data + at_k[s] * d.kv_heads * d.vdim;
        d.o = y + at_q[s] * d.heads * d.vdim;
        packed(d.q_stride, d.heads, d.queries, d.dim); packed(d.k_stride, d.kv_heads, d.keys, d.dim);
        packed(d.v_stride, d.kv_heads, d.keys, d.vdim); packed(d.o_stride, d.heads, d.queries, d.vdim);
        set_scale(r, &d);
        set_position(r, &d, number(r, "causal", 0) != 0);
        set_window(r, &d, "window_left", "window_right");
        d.lse = lse ? memory(r, d.heads * d.queries * 4) : NULL;
        attn_status status = attn_fwd(&d);
        if (status == ATTN_ERR_UNSUPPORTED) refuse(r, "%s", explain(r, status, &d));
        else if (status) fail(r, "%s", explain(r, status, &d));
        for (ptrdiff_t i = 0; lse && i < d.heads * d.queries; i++)
            lse[i / d.queries * q->shape[0] + at_q[s] + i % d.queries] = ((float *)d.lse)[i];
    }
    give_array(r, output_named(r, "y"), ATTN_F32, y);
    if (lse) give_array(r, output_named(r, "lse"), ATTN_F32, lse);
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
static void run_masked_softmax(run *r) {
    tensor x = need(r, named(r, "x")), lengths = lengths_tensor(r, "valid_lens", 1);
    if (!fill_known(r) || !x) return;
    give(r, 0, lengths ? attn_masked_softmax(ctx, x, lengths) : attn_softmax(ctx, x, -1));
}
static void run_scored_attention(run *r) {                     // dot_attention, additive_attention, bilinear_attention
    tensor q = take_named(r, "q"), k = take_named(r, "k"), v = take_named(r, "v"), s, w,
        mask = lengths_tensor(r, "valid_lens", 1);
    if (!q || !k || !v || q->rank != 3 || k->rank != 3 || !fill_known(r)) { refuse(r, "form"); return; }
    ptrdiff_t b = q->shape[0], n = q->shape[1], m = k->shape[1];
    r->composed = 1;
    if (r->op[0] == 'd') {
        double f = number(r, "scaled", 1) != 0 ? 1 / root((double)q->shape[2]) : 1;
        s = attention_on_tape(q, k, v, f, NULL, mask, &w);
        give(r, output_named(r, "y"), s);
        give(r, output_named(r, "weights"), w);
        return;
    }
    if (r->op[0] == 'b') {
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
    w = mask ? attn_masked_softmax(ctx, s, mask) : attn_softmax(ctx, s, -1);
    give(r, output_named(r, "y"), matmul(w, v));
    give(r, output_named(r, "weights"), w);
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
    ptrdiff_t heads = (ptrdiff_t)number(r, "num_heads", 0);
    for (int i = 0; i < 7; i++)
        if (!(t[i] = take_named(r, names[i])) || t[i]->rank != (i < 3 ? 3 : 2)) {
            refuse(r, "no %s", names[i]);
            return;
        }
    if (heads < 1 || !fill_known(r)) { refuse(r, "heads"); return; }
    tensor lengths = lengths_tensor(r, "valid_lens", heads);
    for (int i = 0; i < 3; i++) {
        p[i] = heads_apart(linear(t[i], t[3 + i], NULL), heads);
        if (attn_error(ctx)) return;
        p[i] = shaped(p[i], 3, p[i]->shape[0] * heads, p[i]->shape[2], p[i]->shape[3], 0);
    }
    tensor y = attention_on_tape(p[0], p[1], p[2], 1 / root((double)p[0]->shape[2]), NULL, lengths, &w);
    r->composed = 1;
    if (attn_error(ctx)) return;
    give(r, output_named(r, "weights"), shaped(w, 4, -1, heads, w->shape[1], w->shape[2]));
    y = heads_together(shaped(y, 4, -1, heads, y->shape[1], y->shape[2]));
    give(r, output_named(r, "y"), linear(y, t[6], NULL));
}
static tensor kernel_weights(tensor x, tensor keys, tensor w) {   // softmax_j(-((x_i - key_j) w)^2 / 2)
    tensor d = subtract(shaped(x, 2, -1, 1, 0, 0), keys);
    return attn_softmax(ctx, scale(attn_square(ctx, w ? multiply(d, w) : d), -0.5), -1);
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
    tensor weights = kernel_weights(x, shaped(keys, 2, 1, -1, 0, 0), w);
    r->composed = 1;
    give(r, output_named(r, "weights"), weights);
    give(r, output_named(r, "y_hat"), shaped(matmul(weights, shaped(y, 2, -1, 1, 0, 0)), 1, -1, 0, 0, 0));
}
static void run_average(run *r) {                              // nw_average
    tensor y = take_named(r, "y_train"), x = take_named(r, "x_test");
    if (!y || !x) { refuse(r, "form"); return; }
    r->composed = 1;
    give(r, 0, attn_broadcast(ctx, attn_mean_all(ctx, y), x->rank, x->shape));
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
    r->composed = 1;
    give(r, output_named(r, "weights"), keys);
    give(r, output_named(r, "y_hat"), shaped(matmul(keys, shaped(y, 2, -1, 1, 0, 0)), 1, -1, 0, 0, 0));
}
static void run_soft_hard(run *r) {                            // soft_attention, hard_attention
    tensor q = take_named(r, "q"), x = take_named(r, "X"), s, w;
    if (!q || !x || q->rank != 1 || !expect(r, "score", "", "scaled_dot")) { refuse(r, "form"); return; }
    s = scale(matmul(x, shaped(q, 2, -1, 1, 0, 0)), 1 / root((double)q->shape[0]));
    r->composed = 1;
    if (r->op[0] == 's') {
        w = attn_softmax(ctx, s, 0);
        give(r, output_named(r, "weights"), shaped(w, 1, -1, 0, 0, 0));
        give(r, output_named(r, "y"), shaped(matmul(swap(w, 0, 1), x), 1, -1, 0, 0, 0));
    } else {
        w = shaped(attn_argmax(ctx, s, 0), 0, 0, 0, 0, 0);
        give(r, output_named(r, "index"), w);
        if (!attn_error(ctx))
            give(r, output_named(r, "y"), shaped(slice(x, 0, (ptrdiff_t)attn_item(ctx, w), 1), 1, -1, 0, 0, 0));
    }
}
// hopfield_modern; lse from attn_fwd, also log(N) as lse of N zeros
static void run_hopfield(run *r) {
    tensor x = take_named(r, "X"), z = take_named(r, "state"), w;
    double beta = number(r, "beta", 1);
    int steps = (int)number(r, "steps", 1), k = output_named(r, "energy");
    if (!x || !z || !expect(r, "energy", "", "-lse(beta,Xz)+z.z/2+log(N)/beta+M^2/2") || beta <= 0) {
        refuse(r, "form");
        return;
    }
    ptrdiff_t n = z->shape[0], m = x->shape[0], one = 1;
    attn_desc d = ATTN_ZERO;
    float *zs = (float *)memory(r, n * z->shape[1] * 4), *o = (float *)memory(r, n * z->shape[1] * 4),
        *lse = (float *)memory(r, n * 8);
    d.k = d.v = x->data; d.o = o; d.lse = lse; d.heads = 1; d.queries = n; d.keys = m; d.dim = x->shape[1]; d.isa = isa;
    d.q = zs;                                                  // zeros so far: lse = log(N)
    if (attn_fwd(&d)) { fail(r, "attn_fwd"); return; }
    tensor norms = attn_sum(ctx, attn_square(ctx, x), 1);
    double log_n = (double)lse[0], largest = attn_item(ctx, attn_max(ctx, norms, 0, NULL));
    d.scale = (float)beta;
    r->composed = 1;
    for (int t = 0; t <= steps; t++) {
        if (attn_read(ctx, z, zs) || attn_fwd(&d)) { fail(r, "attn_fwd"); return; }
        for (ptrdiff_t i = 0; i < n && k >= 0; i++) {
            float e = (float)((log_n - (double)lse[i]) / beta + largest / 2);
            for (ptrdiff_t j = 0; j < d.dim; j++) e += zs[i * d.dim + j] * zs[i * d.dim + j] / 2;
            give_values(r, k, ATTN_F32, 1, &one, &e, i * (steps + 1) + t, &one);
        }
        if (t < steps) z = attention_on_tape(z, x, x, beta, NULL, NULL, &w);
    }
    give(r, output_named(r, "state"), z);
}
// Sum over the words' rows of an embedding, [sentences,d]: a product with counts, weighted by position where asked.
static tensor bag(run *r, const char *words, tensor table, int position) {
    const vector *v = raw(r, named(r, words));
    ptrdiff_t j = v->shape[v->rank - 1], n = v->rank == 2 ? v->shape[0] : 1, d = table->shape[1], shape[3];
    float *hot = (float *)memory(r, n * j * table->shape[0] * 4), *weight = (float *)memory(r, j * d * 4);
    for (ptrdiff_t i = 0; i < n * j; i++) hot[i * table->shape[0] + (ptrdiff_t)value_at(v->type->type, v->data, i)] = 1;
    for (ptrdiff_t i = 0; i < j * d; i++) {
        double a = (double)(i / d + 1) / (double)j, b = (double)(i % d + 1) / (double)d;
        weight[i] = position ? (float)((1 - a) - b * (1 - 2 * a)) : 1;
    }
    shape[0] = n; shape[1] = j; shape[2] = table->shape[0];
    tensor rows = matmul(attn_from(ctx, ATTN_F32, 3, shape, hot), table);
    shape[0] = j; shape[1] = d;
    return shaped(attn_sum(ctx, multiply(rows, attn_from(ctx, ATTN_F32, 2, shape, weight)), 1), 2, n, d, 0, 0);
}
static void run_memory_network(run *r) {
    int hops = (int)number(r, "hops", 0), position = number(r, "position_encoding", 0) != 0,
        temporal = number(r, "temporal", 0) != 0;
    char name[16];
    tensor e[16], t[16], u, p = NULL;
    if (hops < 1 || hops > 14 || !expect(r, "tying", "", "adjacent") || !temporal) { refuse(r, "form"); return; }
    for (int i = 0; i <= hops; i++) {
        snprintf(name, sizeof name, "E%d", i); e[i] = take_named(r, name);
        snprintf(name, sizeof name, "T%d", i); t[i] = take_named(r, name);
        if (!e[i] || !t[i] || e[i]->type != ATTN_F32) { refuse(r, "no %s", name); return; }
    }
    u = bag(r, "question", e[0], position);
    r->composed = 1;
    for (int i = 0; i < hops && !attn_error(ctx); i++) {
        tensor m = add(bag(r, "story", e[i], position), t[i]), c = add(bag(r, "story", e[i + 1], position), t[i + 1]);
        u = add(u, attention_on_tape(u, m, c, 1, NULL, NULL, &p));
        give_at(r, output_named(r, "hop_weights"), shaped(p, 1, -1, 0, 0, 0), 0, i);
    }
    tensor logits = shaped(matmul(u, swap(e[hops], 0, 1)), 1, -1, 0, 0, 0);
    give(r, output_named(r, "u"), shaped(u, 1, -1, 0, 0, 0));
    give(r, output_named(r, "logits"), logits);
    give(r, output_named(r, "probs"), attn_softmax(ctx, logits, 0));
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
// [B,H,N,M], what is added
static tensor hiding_mask(run *r, ptrdiff_t b, ptrdiff_t h, ptrdiff_t n, ptrdiff_t m, ptrdiff_t keys) {
    const vector *padding = raw(r, named(r, "key_padding_mask")), *mask = raw(r, named(r, "attn_mask"));
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
    mask = hiding_mask(r, b, heads, n, m, keys);
    tensor y = attention_on_tape(x[0], x[1], x[2], 1 / root((double)(e / heads)), mask, NULL, &weights);
    give(r, output_named(r, "attn_output"), linear(heads_together(y), wo, bo));
    give(r, output_named(r, "attn_weights"), average ? shaped(attn_mean(ctx, weights, 1), 3, b, n, m, 0) : weights);
}
// 'g'ru, 'l'stm, 't'anh, 'r'elu
static tensor step_of(char kind, tensor gates, tensor h, tensor *c, tensor wh, tensor bh) {
    ptrdiff_t n = h->shape[1];
    tensor back = linear(h, wh, bh), z, i, o;
    if (kind == 'l') {
        gates = add(gates, back);
        i = multiply(sigmoid(slice(gates, 1, 0, n)), attn_tanh(ctx, slice(gates, 1, 2 * n, n)));
        *c = add(multiply(sigmoid(slice(gates, 1, n, n)), *c), i);
        o = sigmoid(slice(gates, 1, 3 * n, n));
        return multiply(o, attn_tanh(ctx, *c));
    }
    if (kind == 'g') {
        i = sigmoid(add(slice(gates, 1, 0, n), slice(back, 1, 0, n)));
        z = sigmoid(add(slice(gates, 1, n, n), slice(back, 1, n, n)));
        o = attn_tanh(ctx, add(slice(gates, 1, 2 * n, n), multiply(i, slice(back, 1, 2 * n, n))));
        return add(o, multiply(z, subtract(h, o)));
    }
    gates = add(gates, back);
    return kind == 'r' ? relu(gates) : attn_tanh(ctx, gates);
}
static char cell_kind(run *r) {
    char kind = r->op[0];
    if (kind == 'r') kind = word(r, "nonlinearity", "tanh")[0];
    number(r, "input", 0); number(r, "hidden", 0);             // what the weights' shapes say
    r->composed = 1;
    return kind;
}
static void run_cell(run *r) {                                 // gru_cell, lstm_cell, rnn_cell
    tensor x = take_named(r, "x"), h = take_named(r, "h"), c = take_named(r, "c"), wi = take_named(r, "weight_ih"),
        wh = take_named(r, "weight_hh");
    tensor bi = take_named(r, "bias_ih"), bh = take_named(r, "bias_hh");
    char kind = cell_kind(r);
    if ((number(r, "bias", 1) != 0) != (bi != NULL) || !x || !h || !wi || !wh || (kind == 'l' && !c)) {
        refuse(r, "form");
        return;
    }
    h = step_of(kind, linear(x, wi, bi), h, &c, wh, bh);
    give(r, output_named(r, "h1"), h);
    if (kind == 'l') give(r, output_named(r, "c1"), c);
}
static tensor weight_of(run *r, const char *kind, int layer, int backward) {
    char name[48];
    snprintf(name, sizeof name, "%s_l%d%s", kind, layer, backward ? "_reverse" : "");
    return take_named(r, name);
}
// gru_layer, lstm_layer, rnn_layer; both ways without joining them
static void run_recurrent(run *r) {
    enum { STEPS = 64 };
    tensor seen[2][STEPS] = {{0}}, next[2][STEPS], x = take_named(r, "x"), h0 = take_named(r, "h0"),
        c0 = take_named(r, "c0");
    int layers = (int)number(r, "layers", 1), ways = 1 + (number(r, "bidirectional", 0) != 0);
    char kind = cell_kind(r);
    if (!x || !h0 || (kind == 'l' && !c0) || x->rank != 3 || x->shape[1] > STEPS
        || !expect(r, "batch_first", "0", "1")) {
        refuse(r, "form");
        return;
    }
    ptrdiff_t b = x->shape[0], steps = x->shape[1], n = h0->shape[2], stride[2];
    stride[0] = steps * ways * n; stride[1] = 1;
    for (ptrdiff_t t = 0; t < steps; t++) seen[0][t] = shaped(slice(x, 1, t, 1), 2, b, -1, 0, 0);
    for (int l = 0; l < layers; l++) {
        for (int w = 0; w < ways; w++) {
            tensor wi = weight_of(r, "weight_ih", l, w), wh = weight_of(r, "weight_hh", l, w),
                bi = weight_of(r, "bias_ih", l, w), bh = weight_of(r, "bias_hh", l, w);
            if (!wi || !wh) { refuse(r, "no weights"); return; }
            tensor h = shaped(slice(h0, 0, l * ways + w, 1), 2, b, n, 0, 0);
            tensor c = c0 ? shaped(slice(c0, 0, l * ways + w, 1), 2, b, n, 0, 0) : NULL;
            for (ptrdiff_t s = 0; s < steps && !attn_error(ctx); s++) {
                ptrdiff_t t = w ? steps - 1 - s : s, first = seen[0][t]->shape[1];
                tensor gates = linear(seen[0][t], seen[1][t] ? slice(wi, 1, 0, first) : wi, bi);
                if (seen[1][t]) gates = add(gates, linear(seen[1][t], slice(wi, 1, first, first), NULL));
                next[w][t] = h = step_of(kind, gates, h, &c, wh, bh);
                if (l == layers - 1) give_part(r, output_named(r, "y"), h, t * ways * n + w * n, stride);
            }
            give_at(r, output_named(r, "hn"), h, 0, l * ways + w);
            if (c) give_at(r, output_named(r, "cn"), c, 0, l * ways + w);
        }
        for (int w = 0; w < ways; w++) for (ptrdiff_t t = 0; t < steps; t++) seen[w][t] = next[w][t];
    }
}
// [B,embedding]: a product with 0 and 1
static tensor tokens_at(run *r, const vector *tokens, tensor table, ptrdiff_t step) {
    ptrdiff_t shape[2];
    shape[0] = tokens->shape[0]; shape[1] = table->shape[0];
    float *hot = (float *)memory(r, shape[0] * shape[1] * 4);
    for (ptrdiff_t b = 0; b < shape[0]; b++) {
        double token = value_at(tokens->type->type, tokens->data, b * tokens->shape[1] + step);
        if (token < 0 || token >= (double)shape[1]) { refuse(r, "a token out of range"); return table; }
        hot[b * shape[1] + (ptrdiff_t)token] = 1;
    }
    return matmul(attn_from(ctx, ATTN_F32, 2, shape, hot), table);
}
static void run_bahdanau(run *r) {                             // additive attention of the top state, then GRU layers
    const vector *tokens = raw(r, named(r, "tokens"));
    tensor enc = take_named(r, "enc_outputs"), h0 = take_named(r, "h0"), table = take_named(r, "embedding"), state[8],
        w, y;
    tensor wq = take_named(r, "W_q"), wk = take_named(r, "W_k"), wv = take_named(r, "w_v"),
        mask = lengths_tensor(r, "valid_lens", 1);
    tensor dense = take_named(r, "dense_weight"), bias = take_named(r, "dense_bias");
    ptrdiff_t layers = (ptrdiff_t)number(r, "layers", 1), steps = (ptrdiff_t)number(r, "steps", 0);
    if (!tokens || tokens->rank != 2 || !enc || !h0 || !table || !wq || !wk || !wv || !dense || layers > 8) {
        refuse(r, "form");
        return;
    }
    if (!fill_known(r) || !expect(r, "gate_order", "r,z,n", "r,z,n") || steps != tokens->shape[1] || h0->rank != 3) {
        refuse(r, "form");
        return;
    }
    ptrdiff_t b = h0->shape[1], n = h0->shape[2], m = enc->shape[1], width = wq->shape[0];
    tensor keys = shaped(linear(enc, wk, NULL), 3, b, m, width, 0);
    for (ptrdiff_t l = 0; l < layers; l++) state[l] = shaped(slice(h0, 0, l, 1), 2, b, n, 0, 0);
    r->composed = 1;
    for (ptrdiff_t s = 0; s < steps && !attn_error(ctx) && !r->refused; s++) {
        tensor both = add(shaped(linear(state[layers - 1], wq, NULL), 3, b, 1, width, 0), keys);
        tensor score = shaped(matmul(attn_tanh(ctx, both), shaped(wv, 2, width, 1, 0, 0)), 3, b, 1, m, 0);
        w = mask ? attn_masked_softmax(ctx, score, mask) : attn_softmax(ctx, score, -1);
        give_at(r, output_named(r, "weights"), shaped(w, 2, b, m, 0, 0), 1, s);
        y = shaped(matmul(w, enc), 2, b, -1, 0, 0);
        for (ptrdiff_t l = 0; l < layers && !attn_error(ctx); l++) {
            tensor wi = weight_of(r, "gru_w_ih", (int)l, 0), wh = weight_of(r, "gru_w_hh", (int)l, 0), gates;
            tensor bi = weight_of(r, "gru_b_ih", (int)l, 0), bh = weight_of(r, "gru_b_hh", (int)l, 0);
            if (!wi || !wh) { refuse(r, "no weights"); return; }
            ptrdiff_t first = y->shape[1], rest = wi->shape[1] - first;
            gates = linear(y, l ? wi : slice(wi, 1, 0, first), bi);
            if (!l) gates = add(gates, linear(tokens_at(r, tokens, table, s), slice(wi, 1, first, rest), NULL));
            y = state[l] = step_of('g', gates, state[l], NULL, wh, bh);
        }
        give_at(r, output_named(r, "logits"), linear(y, dense, bias), 1, s);
    }
    for (ptrdiff_t l = 0; l < layers; l++) give_at(r, output_named(r, "h"), state[l], 0, l);
}
static tensor causal_mask(run *r, tensor q, tensor k, float seen, float hidden) {   // [N,M], top-left
    ptrdiff_t shape[2];
    shape[0] = q->shape[q->rank - 2]; shape[1] = k->shape[k->rank - 2];
    float *x = (float *)memory(r, shape[0] * shape[1] * 4);
    for (ptrdiff_t i = 0; i < shape[0] * shape[1]; i++) x[i] = i % shape[1] <= i / shape[1] ? seen : hidden;
    return attn_from(ctx, ATTN_F32, 2, shape, x);
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
    if (!q || !k || !v || q->rank != 4 || q->shape[1] != k->shape[1] || q->type != ATTN_F32) {
        refuse(r, "form");
        return;
    }
    s = matmul(feature(r, q, phi), swap(feature(r, k, phi), -1, -2));
    if (number(r, "causal", 0) != 0) s = multiply(s, causal_mask(r, q, k, 1, 0));
    y = matmul(s, v);
    if (number(r, "normalize", 0) != 0) y = divide(y, shift(attn_sum(ctx, s, -1), eps));
    r->composed = 1;
    give(r, output_named(r, "y"), y);
}
static void run_diff_attn(run *r) {                            // A(q1,k1) v - lam A(q2,k2) v
    tensor q1 = take_named(r, "q1"), k1 = take_named(r, "k1"), q2 = take_named(r, "q2"), k2 = take_named(r, "k2"),
        v = take_named(r, "v");
    tensor lam = take_named(r, "lam"), mask = NULL, w, one, two;
    int causal = number(r, "causal", 0) != 0, vectors = !strcmp(word(r, "lambda", "scalar"), "vectors");
    double initial = number(r, "lambda_init", 0);
    number(r, "subln_eps", 0);
    if (!q1 || !k1 || !q2 || !k2 || !v || q1->rank != 4 || !expect(r, "subln", "0", "0")
        || !expect(r, "align", "topleft", "topleft")) {
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
    if (causal) mask = causal_mask(r, q1, k1, 0, (float)strtod("-inf", NULL));
    one = attention_on_tape(q1, k1, v, 1 / root((double)q1->shape[3]), mask, NULL, &w);
    two = attention_on_tape(q2, k2, v, 1 / root((double)q2->shape[3]), mask, NULL, &w);
    r->composed = 1;
    give(r, output_named(r, "y"), subtract(one, multiply(lam, two)));
}

