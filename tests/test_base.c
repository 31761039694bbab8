// test_base - room >>base: statuses, instruction sets, build info, Philox, the pool of threads.
//     cc -O2 -I. tests/test_base.c -o test_base && ./test_base
#include "tools.h"
#define ATTN_IMPLEMENTATION
#include "attn.h"

TEST(status, every_status_has_its_sentence) {
#define ROW(NAME, text) CHECK(!strcmp(attn_status_str(ATTN_##NAME), text));
    ATTN_STATUS_LIST(ROW)
#undef ROW
    CHECK(ATTN_OK == 0);
    CHECK(!strcmp(attn_status_str((attn_status)ATTN_STATUS_COUNT), "unknown status"));
    CHECK(!strcmp(attn_status_str((attn_status)-1), "unknown status"));
    CHECK(!strcmp(attn_status_str((attn_status)1000000), "unknown status"));
}

TEST(types, every_type_has_its_name) {
#define ROW(NAME, text, bytes, elements) CHECK(!strcmp(attn_type_str(ATTN_##NAME), text));
    ATTN_TYPE_LIST(ROW)
#undef ROW
    const char *none = attn_type_str(-1), *past = attn_type_str(ATTN_TYPE_COUNT);     // NULL or a word, never a crash
    CHECK(none == NULL || none[0]);
    CHECK(past == NULL || past[0]);
}

TEST(isa, names_and_numbers_agree) {
#define ROW(NAME, name) if (ATTN_ISA_##NAME != ATTN_ISA_BEST) CHECK(!strcmp(attn_isa_name(ATTN_ISA_##NAME), #name));
    ATTN_ISA_LIST(ROW)
#undef ROW
    CHECK(attn_isa_count() == ATTN_ISA_COUNT);
    CHECK(attn_isa_name(-1) == NULL);
    CHECK(attn_isa_name(attn_isa_count()) == NULL);
    CHECK(!attn_isa_has(-1));
    CHECK(!attn_isa_has(attn_isa_count()));
}

TEST(isa, the_best_is_had_and_nothing_had_is_better) {
    int best = attn_isa();
    CHECK(best > 0 && best < attn_isa_count());
    CHECK(attn_isa_has(best));
    CHECK(attn_isa_has(ATTN_ISA_SCALAR));
    for (int isa = best + 1; isa < attn_isa_count(); isa++) CHECK(!attn_isa_has(isa));
    CHECK(attn_isa() == best);
}

TEST(build, info_names_every_pass_and_the_version) {
    const char *info = attn_build_info();
    char version[32];
    CHECK(info && info[0]);
    EACH_ISA(isa) CHECK(strstr(info, attn_isa_name(isa)) != NULL);
    sprintf(version, "%d.%d.%d", ATTN_VERSION_MAJOR, ATTN_VERSION_MINOR, ATTN_VERSION_PATCH);
    CHECK(strstr(info, version) != NULL);
    CHECK(attn_version() == ATTN_VERSION);
}

TEST(philox, known_answers_of_random123) {
    static const uint32_t kat[3][10] = {
        { 0, 0, 0, 0, 0, 0, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u },
        { 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu,
          0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu },
        { 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u,
          0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u },
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[6] = { 0, 0, 0, 0, 0xA5A5A5A5u, 0xA5A5A5A5u };
        attn_philox(kat[i], kat[i] + 4, out);
        CHECK(!memcmp(out, kat[i] + 6, 16));
        CHECK(out[4] == 0xA5A5A5A5u && out[5] == 0xA5A5A5A5u);
    }
}

// ---- the pool

#if defined(ATTN_NO_THREADS) || !(defined(__unix__) || defined(__APPLE__))
static void run_pool(void) { test_skip("pool", "no threads in this build"); }
#else
#include <pthread.h>
#include <sched.h>
#include <time.h>

typedef struct watch {               // of one pool: which workers are at work; the lock guards all counts
    pthread_mutex_t lock;
    pthread_cond_t change;
    int workers, bad, arrived, late, busy[64];
} watch;
typedef struct call { watch *w; int *runs; ptrdiff_t n; const attn_parallel *pool; int rounds; } call;

static void watch_open(watch *w, int workers) {
    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->change, NULL);
    w->workers = workers;
}
static void watch_close(watch *w) { pthread_mutex_destroy(&w->lock); pthread_cond_destroy(&w->change); }

static void count_task(void *arg, ptrdiff_t i, int worker) {
    call *k = (call *)arg;
    int known = worker >= 0 && worker < k->w->workers;
    pthread_mutex_lock(&k->w->lock);
    if (!known || k->w->busy[worker]++) k->w->bad++;
    pthread_mutex_unlock(&k->w->lock);
    if (i % 7 == 0) sched_yield();
    pthread_mutex_lock(&k->w->lock);
    if (known) k->w->busy[worker]--;
    if (i < 0 || i >= k->n) k->w->bad++;
    else k->runs[i]++;
    pthread_mutex_unlock(&k->w->lock);
}
static int all_once(const int *runs, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) if (runs[i] != 1) return 0;
    return 1;
}

TEST(pool, every_task_runs_once_and_no_worker_twice_at_once) {
    static int runs[1000];
    for (int threads = 1; threads <= 16; threads++) {
        const attn_parallel *pool = attn_pool_open(threads);
        watch w;
        CHECK(pool && pool->workers == threads);
        if (!pool) continue;
        watch_open(&w, pool->workers);
        for (ptrdiff_t n = 0; n <= 1000; n += n < 70 ? 1 : 31) {
            call k = { &w, runs, n, NULL, 0 };
            memset(runs, 0, sizeof runs);
            pool->run(pool->user, count_task, &k, n);
            CHECK(all_once(runs, n));
        }
        CHECK(w.bad == 0);
        watch_close(&w);
        attn_pool_close(pool);
    }
    CHECK(heap_live == 0);
}

static void meet_task(void *arg, ptrdiff_t i, int worker) {
    watch *w = (watch *)arg;
    struct timespec until;
    (void)i; (void)worker;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    pthread_mutex_lock(&w->lock);
    w->arrived++;
    pthread_cond_broadcast(&w->change);
    while (w->arrived < w->workers && !w->late)
        if (pthread_cond_timedwait(&w->change, &w->lock, &until)) w->late = 1;
    pthread_mutex_unlock(&w->lock);
}
TEST(pool, workers_run_side_by_side) {
    for (int threads = 2; threads <= 16; threads *= 2) {
        const attn_parallel *pool = attn_pool_open(threads);
        watch w;
        CHECK(pool != NULL);
        if (!pool) continue;
        watch_open(&w, threads);
        pool->run(pool->user, meet_task, &w, threads);      // each task waits for all others
        CHECK(w.arrived == threads && !w.late);
        watch_close(&w);
        attn_pool_close(pool);
    }
}

static void *caller(void *arg) {
    call *k = (call *)arg;
    for (int r = 0; r < k->rounds; r++) {
        memset(k->runs, 0, (size_t)k->n * sizeof *k->runs);
        k->pool->run(k->pool->user, count_task, k, k->n);
        pthread_mutex_lock(&k->w->lock);                    // all done when run returns
        if (!all_once(k->runs, k->n)) k->w->bad++;
        pthread_mutex_unlock(&k->w->lock);
    }
    return NULL;
}
TEST(pool, a_second_caller_waits) {
    static int runs[6][64];
    for (int threads = 1; threads <= 4; threads++) {
        const attn_parallel *pool = attn_pool_open(threads);
        pthread_t t[6];
        call k[6];
        watch w;
        CHECK(pool != NULL);
        if (!pool) continue;
        watch_open(&w, pool->workers);
        for (int i = 0; i < 6; i++) {
            k[i].w = &w; k[i].runs = runs[i]; k[i].n = 10 * i + 3; k[i].pool = pool; k[i].rounds = 100;
            CHECK(pthread_create(&t[i], NULL, caller, &k[i]) == 0);
        }
        for (int i = 0; i < 6; i++) pthread_join(t[i], NULL);
        CHECK(w.bad == 0);
        watch_close(&w);
        attn_pool_close(pool);
    }
}

TEST(pool, opens_and_closes_idle_and_by_default) {
    const attn_parallel *pool = attn_pool_open(0);
    CHECK(pool && pool->workers >= 1);
    attn_pool_close(pool);
    attn_pool_close(NULL);
    for (int i = 0; i < 100; i++) attn_pool_close(attn_pool_open(1 + i % 5));
    CHECK(heap_live == 0);
}

TEST(pool, out_of_memory_is_null) {
    long n = 0;
    for (;; n++) {
        const attn_parallel *pool;
        heap_plan(n, 0);
        pool = attn_pool_open(3);
        if (heap_calls <= n) { CHECK(pool != NULL); attn_pool_close(pool); break; }
        attn_pool_close(pool);                              // NULL, or a pool that does with less
        CHECK(heap_live == 0);
    }
    heap_plan(-1, 0);
    CHECK(heap_live == 0);
}
static void run_pool(void) {
    RUN(pool, every_task_runs_once_and_no_worker_twice_at_once);
    RUN(pool, workers_run_side_by_side);
    RUN(pool, a_second_caller_waits);
    RUN(pool, opens_and_closes_idle_and_by_default);
    RUN(pool, out_of_memory_is_null);
}
#endif

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(status, every_status_has_its_sentence);
    RUN(types, every_type_has_its_name);
    RUN(isa, names_and_numbers_agree);
    RUN(isa, the_best_is_had_and_nothing_had_is_better);
    RUN(build, info_names_every_pass_and_the_version);
    RUN(philox, known_answers_of_random123);
    run_pool();
    return test_end();
}
