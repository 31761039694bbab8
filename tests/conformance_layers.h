// conformance_layers.h - what conformance.c runs as whole layers: recurrent ones, Transformer layers of torch and of
// the study notes, Hopfield networks and external memories. All are compositions on the tape; the attention inside them
// is run by attn_fwd too and must agree. Included by conformance.c, where the table is.

// ---- recurrent layers

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

// ONNX: GRU z,r,h (reset before the product unless linear_before_reset), LSTM i,o,f,c with peepholes i,o,f, RNN
typedef struct onnx_cell {
    int kind, after;          // 'G', 'L', 'R'; linear_before_reset
    tensor wi, wh, bi, bh, peep;
} onnx_cell;
static tensor gate(tensor gates, int k, ptrdiff_t n) { return slice(gates, 1, k * n, n); }
static tensor peeped(const onnx_cell *l, tensor x, int k, tensor c, ptrdiff_t n) {
    return l->peep ? add(x, multiply(slice(l->peep, 0, k * n, n), c)) : x;
}
static tensor onnx_step(const onnx_cell *l, tensor x, tensor h, tensor *c) {
    ptrdiff_t n = h->shape[1];
    tensor in = linear(x, l->wi, l->bi), back = linear(h, l->wh, l->bh), z, i, o, y;
    if (l->kind == 'R') return attn_tanh(ctx, add(in, back));
    if (l->kind == 'G') {
        z = sigmoid(add(gate(in, 0, n), gate(back, 0, n)));
        i = sigmoid(add(gate(in, 1, n), gate(back, 1, n)));
        if (l->after) o = multiply(i, gate(back, 2, n));
        else o = linear(multiply(i, h), slice(l->wh, 0, 2 * n, n), l->bh ? slice(l->bh, 0, 2 * n, n) : NULL);
        o = attn_tanh(ctx, add(gate(in, 2, n), o));
        return add(o, multiply(z, subtract(h, o)));
    }
    y = add(in, back);
    i = sigmoid(peeped(l, gate(y, 0, n), 0, *c, n));
    z = sigmoid(peeped(l, gate(y, 2, n), 2, *c, n));
    o = gate(y, 1, n);
    *c = add(multiply(z, *c), multiply(i, attn_tanh(ctx, gate(y, 3, n))));
    return multiply(sigmoid(peeped(l, o, 1, *c, n)), attn_tanh(ctx, *c));
}
// 1 while a sequence lasts, [B,1]; NULL when all last
static tensor lasting(run *r, const int32_t *lengths, ptrdiff_t b, ptrdiff_t t, int *shorter) {
    ptrdiff_t shape[2];
    float *x = (float *)memory(r, b * 4);
    *shorter = 0;
    for (ptrdiff_t i = 0; lengths && i < b; i++) { x[i] = t < lengths[i]; *shorter |= t >= lengths[i]; }
    shape[0] = b; shape[1] = 1;
    return *shorter ? attn_from(ctx, ATTN_F32, 2, shape, x) : NULL;
}
static tensor plain(tensor x, ptrdiff_t a, ptrdiff_t b) {      // [a,b], or [a]
    return b ? shaped(x, 2, a, b, 0, 0) : shaped(x, 1, a, 0, 0, 0);
}
static void run_onnx_recurrent(run *r) {                       // GRU, LSTM, RNN with their default activations
    tensor x = need(r, 0), w = need(r, 1), u = need(r, 2), bias = take_input(r, 3), h0 = take_input(r, 5);
    int lstm = r->op[0] == 'L', layout = (int)number(r, "layout", 0), shorter;
    tensor c0 = lstm ? take_input(r, 6) : NULL, peep = lstm ? take_input(r, 7) : NULL;
    const char *direction = word(r, "direction", "forward");
    const vector *lengths = raw(r, 4);
    if (r->refused || x->rank != 3 || w->rank != 3 || u->rank != 3 || !expect(r, "clip", "", "")
        || !expect(r, "activations", "", "") || !expect(r, "input_forget", "0", "0")) {
        refuse(r, "form");
        return;
    }
    ptrdiff_t ways = w->shape[0], n = u->shape[2], gates = w->shape[1], stride[2];
    ptrdiff_t b = x->shape[layout ? 0 : 1], steps = x->shape[layout ? 1 : 0];
    int backward = !strcmp(direction, "reverse"), both = !strcmp(direction, "bidirectional");
    if ((!backward && !both && strcmp(direction, "forward")) || ways != 1 + both
        || number(r, "hidden_size", (double)n) != (double)n) {
        refuse(r, "attribute direction=%s", direction);
        return;
    }
    const int32_t *length = lengths_of(r, lengths, b);
    onnx_cell l;
    memset(&l, 0, sizeof l);
    l.kind = r->op[0] == 'R' ? 'R' : r->op[0];
    l.after = r->op[0] == 'G' && number(r, "linear_before_reset", 0) != 0;
    r->composed = 1;
    for (int way = 0; way < (int)ways && !r->refused; way++) {
        int turned = backward || way;
        l.wi = plain(slice(w, 0, way, 1), gates, -1); l.wh = plain(slice(u, 0, way, 1), gates, n);
        l.bi = bias ? plain(slice(slice(bias, 0, way, 1), 1, 0, gates), gates, 0) : NULL;
        l.bh = bias ? plain(slice(slice(bias, 0, way, 1), 1, gates, gates), gates, 0) : NULL;
        l.peep = peep ? plain(slice(peep, 0, way, 1), 3 * n, 0) : NULL;
        stride[0] = n; stride[1] = 1;
        ptrdiff_t shape[2], first = (layout ? 1 : b) * way * n;
        shape[0] = b; shape[1] = n;
        tensor h = h0 ? plain(slice(h0, layout, way, 1), b, n) : attn_zeros(ctx, x->type, 2, shape);
        tensor c = c0 ? plain(slice(c0, layout, way, 1), b, n) : lstm ? attn_zeros(ctx, x->type, 2, shape) : NULL;
        for (ptrdiff_t s = 0; s < steps && !attn_error(ctx); s++) {
            ptrdiff_t t = turned ? steps - 1 - s : s, at = layout ? t * ways * n + first : (t * ways + way) * b * n;
            tensor c1 = c, on = lasting(r, length, b, t, &shorter);
            tensor y = onnx_step(&l, plain(slice(x, layout ? 1 : 0, t, 1), b, -1), h, &c1);
            h = on ? add(h, multiply(on, subtract(y, h))) : y; // what is over keeps its state
            if (c) c = on ? add(c, multiply(on, subtract(c1, c))) : c1;
            stride[0] = layout ? steps * ways * n : n;
            give_part(r, 0, on ? multiply(on, y) : y, at, stride);
        }
        stride[0] = layout ? ways * n : n;
        give_part(r, 1, h, first, stride);
        if (c) give_part(r, 2, c, first, stride);
    }
}

// ---- Transformer layers of torch: inputs are named as in the module's state dict, after a prefix

typedef struct transformer {
    run *r;
    ptrdiff_t heads;
    double eps;
    int gelu, first;          // the activation; norms before the parts, not after
} transformer;
static tensor named_after(run *r, const char *prefix, const char *name) {
    char full[256];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return take_named(r, full);
}
static tensor layer_norm(const transformer *t, const char *prefix, const char *name, tensor x) {
    char full[128];
    snprintf(full, sizeof full, "%s%s.", prefix, name);
    tensor w = named_after(t->r, full, "weight"), b = named_after(t->r, full, "bias");
    if (attn_error(ctx)) return x;
    return attn_layer_norm(ctx, x, w, b, t->eps);
}
static tensor attend(const transformer *t, const char *prefix, const char *name, tensor x, tensor memory_of,
                     const vector *mask, const vector *padding) {
    char full[128];
    snprintf(full, sizeof full, "%s%s.", prefix, name);
    run *r = t->r;
    tensor w = named_after(r, full, "in_proj_weight"), bias = named_after(r, full, "in_proj_bias"), p[3], weights;
    tensor wo = named_after(r, full, "out_proj.weight"), bo = named_after(r, full, "out_proj.bias");
    if (!w || !wo || attn_error(ctx) || x->rank != 3 || memory_of->rank != 3) { refuse(r, "no weights"); return x; }
    ptrdiff_t e = x->shape[2], keys = memory_of->shape[1];
    for (int i = 0; i < 3; i++) {
        p[i] = linear(i ? memory_of : x, slice(w, 0, i * e, e), bias ? slice(bias, 0, i * e, e) : NULL);
        if (attn_error(ctx)) return x;
        p[i] = heads_apart(p[i], t->heads);
    }
    tensor hidden = hiding_mask(r, padding, mask, x->shape[0], t->heads, x->shape[1], keys, keys);
    if (r->refused || attn_error(ctx)) return x;
    x = attention_on_tape(r, p[0], p[1], p[2], 1 / root((double)(e / t->heads)), hidden, NULL, &weights);
    return attn_error(ctx) ? x : linear(heads_together(x), wo, bo);
}
static tensor feed_forward(const transformer *t, const char *prefix, tensor x) {
    tensor w1 = named_after(t->r, prefix, "linear1.weight"), b1 = named_after(t->r, prefix, "linear1.bias");
    tensor w2 = named_after(t->r, prefix, "linear2.weight"), b2 = named_after(t->r, prefix, "linear2.bias");
    if (!w1 || !w2 || attn_error(ctx)) { refuse(t->r, "no weights"); return x; }
    x = linear(x, w1, b1);
    return linear(t->gelu ? attn_gelu(ctx, x) : relu(x), w2, b2);
}
// A part with its residual and norm, by the place of the norm
#define PART(x, norm, part) do { \
    tensor in_ = t->first ? layer_norm(t, prefix, norm, x) : (x); \
    tensor out_ = add(x, part); \
    (x) = t->first ? out_ : layer_norm(t, prefix, norm, out_); \
} while (0)
static tensor encoder_layer(const transformer *t, const char *prefix, tensor x, const vector *mask,
                            const vector *padding) {
    PART(x, "norm1", attend(t, prefix, "self_attn", in_, in_, mask, padding));
    PART(x, "norm2", feed_forward(t, prefix, in_));
    return x;
}
static tensor decoder_layer(const transformer *t, const char *prefix, tensor x, tensor mem,
                            const vector *const *masks) {
    PART(x, "norm1", attend(t, prefix, "self_attn", in_, in_, masks[0], masks[2]));
    PART(x, "norm2", attend(t, prefix, "multihead_attn", in_, mem, masks[1], masks[3]));
    PART(x, "norm3", feed_forward(t, prefix, in_));
    return x;
}
static const vector *mask_named(run *r, const char *name) { return raw(r, named(r, name)); }
static void run_transformer(run *r) {                          // a layer, a stack of layers, or both stacks
    transformer t;
    const char *activation = word(r, "activation", "relu"), *kind = r->op + 11;
    char prefix[64];
    int layers = (int)number(r, "num_layers", 1), encoders = (int)number(r, "num_encoder_layers", layers),
        decoders = (int)number(r, "num_decoder_layers", 1), final_norm = (int)number(r, "final_norm", 1);
    const vector *own[2], *masks[4];
    t.r = r;
    t.heads = (ptrdiff_t)number(r, "nhead", 1);
    t.eps = number(r, "layer_norm_eps", 1e-5);
    t.gelu = !strcmp(activation, "gelu");
    t.first = number(r, "norm_first", 0) != 0;
    number(r, "d_model", 0); number(r, "dim_feedforward", 0); number(r, "bias", 1);   // what the weights say
    own[0] = mask_named(r, !strcmp(kind, "_encoder") ? "mask" : "src_mask");
    own[1] = mask_named(r, "src_key_padding_mask");
    masks[0] = mask_named(r, "tgt_mask"); masks[1] = mask_named(r, "memory_mask");
    masks[2] = mask_named(r, "tgt_key_padding_mask"); masks[3] = mask_named(r, "memory_key_padding_mask");
    tensor x = take_named(r, "src"), y = take_named(r, "tgt"), mem = take_named(r, "memory");
    if ((!t.gelu && strcmp(activation, "relu")) || t.heads < 1 || !expect(r, "batch_first", "0", "1")) {
        refuse(r, "attribute activation=%s, or form", activation);
        return;
    }
    r->composed = 1;
    if (!strcmp(kind, "_decoder_layer")) {
        if (!y || !mem) { refuse(r, "no tgt or memory"); return; }
        give(r, output_named(r, "y"), decoder_layer(&t, "", y, mem, masks));
        return;
    }
    if (!strcmp(kind, "_decoder")) { x = mem; encoders = 0; decoders = layers; }
    int stack = !strcmp(kind, "_encoder") || !strcmp(kind, "_decoder"), decodes = strcmp(kind, "_encoder") != 0;
    if (!x || (decodes && strcmp(kind, "_encoder_layer") && !y)) { refuse(r, "no src or tgt"); return; }
    if (!strcmp(kind, "_encoder_layer")) {
        give(r, output_named(r, "y"), encoder_layer(&t, "", x, own[0], own[1]));
        return;
    }
    for (int i = 0; i < encoders && !r->refused && !attn_error(ctx); i++) {
        snprintf(prefix, sizeof prefix, "%slayers.%d.", stack ? "" : "encoder.", i);
        x = encoder_layer(&t, prefix, x, own[0], own[1]);
    }
    if (final_norm && (!decodes || !stack)) x = layer_norm(&t, stack ? "" : "encoder.", "norm", x);
    for (int i = 0; i < decoders && decodes && !r->refused && !attn_error(ctx); i++) {
        snprintf(prefix, sizeof prefix, "%slayers.%d.", stack ? "" : "decoder.", i);
        y = decoder_layer(&t, prefix, y, x, masks);
    }
    if (decodes && final_norm) y = layer_norm(&t, stack ? "" : "decoder.", "norm", y);
    give(r, output_named(r, "y"), decodes ? y : x);
}

// ---- the study notes' blocks: post-norm, ReLU, attention without biases

static tensor notes_norm(run *r, tensor x, const char *name, double eps) {
    char full[32];
    snprintf(full, sizeof full, "%s_weight", name);
    tensor w = take_named(r, full);
    snprintf(full, sizeof full, "%s_bias", name);
    tensor b = take_named(r, full);
    if (!w || !b) { refuse(r, "no %s", full); return x; }
    return attn_error(ctx) ? x : add(multiply(normed(x, x->rank - 1, eps, 1, NULL, NULL), w), b);
}
static tensor notes_attention(run *r, tensor x, tensor mem, const char *which, ptrdiff_t heads, tensor lengths) {
    static const char *const names[4] = {"W_q", "W_k", "W_v", "W_o"};
    char full[16];
    tensor p[4], weights;
    for (int i = 0; i < 4; i++) {
        snprintf(full, sizeof full, "%s%s", names[i], which);
        if (!(p[i] = take_named(r, full))) { refuse(r, "no %s", full); return x; }
        if (i < 3) p[i] = linear(i ? mem : x, p[i], NULL);
        if (attn_error(ctx)) return x;
        if (i == 3) continue;
        p[i] = heads_apart(p[i], heads);
        p[i] = shaped(p[i], 3, p[i]->shape[0] * heads, p[i]->shape[2], p[i]->shape[3], 0);
    }
    tensor y = attention_on_tape(r, p[0], p[1], p[2], 1 / root((double)p[0]->shape[2]), NULL, lengths, &weights);
    if (attn_error(ctx)) return x;
    return linear(heads_together(shaped(y, 4, -1, heads, y->shape[1], y->shape[2])), p[3], NULL);
}
static void run_d2l_block(run *r) {                            // d2l_encoder_block, d2l_decoder_block
    tensor x = take_named(r, "x"), enc = take_named(r, "enc"), w[4], causal = NULL;
    static const char *const names[4] = {"ffn_w1", "ffn_b1", "ffn_w2", "ffn_b2"};
    ptrdiff_t heads = (ptrdiff_t)number(r, "num_heads", 1), shape[2];
    double eps = number(r, "eps", 1e-5);
    int decoder = !strcmp(r->op, "d2l_decoder_block");
    if (!x || x->rank != 3 || (decoder && !enc) || heads < 1 || !fill_known(r)) { refuse(r, "form"); return; }
    for (int i = 0; i < 4; i++) if (!(w[i] = take_named(r, names[i]))) { refuse(r, "no %s", names[i]); return; }
    r->composed = 1;
    if (decoder && number(r, "causal", 1) != 0) {              // row i sees i + 1 keys
        shape[0] = x->shape[0] * heads; shape[1] = x->shape[1];
        int32_t *n = (int32_t *)memory(r, shape[0] * shape[1] * 4);
        for (ptrdiff_t i = 0; i < shape[0] * shape[1]; i++) n[i] = (int32_t)(i % shape[1]) + 1;
        causal = attn_from(ctx, ATTN_I32, 2, shape, n);
    } else if (!decoder) causal = lengths_tensor(r, "valid_lens", heads);
    x = notes_norm(r, add(x, notes_attention(r, x, x, decoder ? "1" : "", heads, causal)), "ln1", eps);
    if (decoder) {
        tensor lengths = lengths_tensor(r, "enc_valid_lens", heads);
        x = notes_norm(r, add(x, notes_attention(r, x, enc, "2", heads, lengths)), "ln2", eps);
    }
    tensor y = linear(relu(linear(x, w[0], w[1])), w[2], w[3]);
    give(r, output_named(r, "y"), notes_norm(r, add(x, y), decoder ? "ln3" : "ln2", eps));
}

// ---- memories

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
        if (t < steps) z = attention_on_tape(r, z, x, x, beta, NULL, NULL, &w);
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
        u = add(u, attention_on_tape(r, u, m, c, 1, NULL, NULL, &p));
        give_at(r, output_named(r, "hop_weights"), shaped(p, 1, -1, 0, 0, 0), 0, i);
    }
    tensor logits = shaped(matmul(u, swap(e[hops], 0, 1)), 1, -1, 0, 0, 0);
    give(r, output_named(r, "u"), shaped(u, 1, -1, 0, 0, 0));
    give(r, output_named(r, "logits"), logits);
    give(r, output_named(r, "probs"), attn_softmax(ctx, logits, 0));
}
// hopfield_classical: units in the order given, one at a time; the sign of a field is decided here
static void run_hopfield_classical(run *r) {
    const vector *state = raw(r, named(r, "state")), *order = raw(r, named(r, "order"));
    tensor x = take_named(r, "patterns"), threshold = take_named(r, "threshold"), w, s = NULL, field, energy;
    if (!x || x->rank != 2 || !state || state->type->type != ATTN_F32 || !order || order->rank != 2
        || !expect(r, "update", "", "async") || !expect(r, "zero_field", "", "keep")
        || !expect(r, "weights", "", "hebbian/N_zero_diagonal") || state->count != x->shape[1]) {
        refuse(r, "form");
        return;
    }
    ptrdiff_t n = state->count, shape[2], sweeps = order->shape[0];
    float *now = (float *)memory(r, n * 4), *off = (float *)memory(r, n * n * 4);
    memcpy(now, state->data, (size_t)n * 4);
    for (ptrdiff_t i = 0; i < n * n; i++) off[i] = i % (n + 1) != 0;
    shape[0] = shape[1] = n;
    w = multiply(scale(matmul(swap(x, 0, 1), x), 1 / (double)n), attn_from(ctx, ATTN_F32, 2, shape, off));
    r->composed = 1;
    give(r, output_named(r, "W"), w);
    shape[1] = 1;
    for (ptrdiff_t sweep = 0; sweep <= sweeps && !attn_error(ctx); sweep++) {
        for (ptrdiff_t i = 0; sweep && i < order->shape[1]; i++) {
            ptrdiff_t unit = (ptrdiff_t)value_at(order->type->type, order->data, (sweep - 1) * order->shape[1] + i);
            if (unit < 0 || unit >= n) { refuse(r, "order"); return; }
            field = matmul(slice(w, 0, unit, 1), attn_from(ctx, ATTN_F32, 2, shape, now));
            if (threshold) field = subtract(field, slice(threshold, 0, unit, 1));
            double f = attn_item(ctx, field);
            if (f > 0 || f < 0) now[unit] = f > 0 ? 1 : -1;
        }
        s = attn_from(ctx, ATTN_F32, 2, shape, now);
        energy = scale(shaped(matmul(swap(s, 0, 1), matmul(w, s)), 0, 0, 0, 0, 0), -0.5);
        if (threshold) energy = add(energy, attn_sum_all(ctx, multiply(threshold, shaped(s, 1, -1, 0, 0, 0))));
        give_at(r, output_named(r, "energy"), energy, 0, sweep);
        if (sweep) give_at(r, output_named(r, "states"), shaped(s, 1, -1, 0, 0, 0), 0, sweep - 1);
    }
}
static tensor length_of(tensor x) { return root_of(attn_sum(ctx, attn_square(ctx, x), -1)); }
static void run_ntm_head(run *r) {
    static const char *const names[9] = {"memory", "w_prev", "key", "beta", "gate", "shift", "gamma", "erase", "add"};
    tensor t[9], w, dot, y = NULL;
    ptrdiff_t shifts[16], shape[2];
    int count = whole_numbers(r, -1, "shifts", shifts, 16);
    for (int i = 0; i < 9; i++) if (!(t[i] = take_named(r, names[i]))) { refuse(r, "no %s", names[i]); return; }
    if (t[0]->rank != 3 || t[1]->rank != 2 || count < 1 || t[5]->shape[1] != count) { refuse(r, "form"); return; }
    ptrdiff_t b = t[0]->shape[0], n = t[0]->shape[1], d = t[0]->shape[2];
    tensor key = shaped(t[2], 3, b, 1, d, 0);
    dot = attn_sum(ctx, multiply(key, t[0]), -1);
    dot = shaped(divide(dot, multiply(length_of(t[0]), length_of(key))), 2, b, n, 0, 0);
    r->composed = 1;
    w = attn_softmax(ctx, multiply(dot, t[3]), -1);
    give(r, output_named(r, "w_content"), w);
    w = add(t[1], multiply(t[4], subtract(w, t[1])));
    give(r, output_named(r, "w_gated"), w);
    shape[0] = shape[1] = n;
    for (int i = 0; i < count && !attn_error(ctx); i++) {      // a product with 0 and 1 turns the row
        float *turned = (float *)memory(r, n * n * 4);
        for (ptrdiff_t j = 0; j < n; j++) turned[(((j - shifts[i]) % n + n) % n) * n + j] = 1;
        tensor part = multiply(slice(t[5], 1, i, 1), matmul(w, attn_from(ctx, ATTN_F32, 2, shape, turned)));
        y = y ? add(y, part) : part;
    }
    give(r, output_named(r, "w_shifted"), y);
    w = attn_exp(ctx, multiply(t[6], log_of(y)));
    w = divide(w, attn_sum(ctx, w, -1));
    give(r, output_named(r, "w"), w);
    give(r, output_named(r, "read"), shaped(matmul(shaped(w, 3, b, 1, n, 0), t[0]), 2, b, d, 0, 0));
    tensor column = shaped(w, 3, b, n, 1, 0);
    y = multiply(t[0], shift(negative(multiply(column, shaped(t[7], 3, b, 1, d, 0))), 1));
    give(r, output_named(r, "memory"), add(y, multiply(column, shaped(t[8], 3, b, 1, d, 0))));
}
