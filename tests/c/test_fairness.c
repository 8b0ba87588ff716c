/*
 * Processes that write into one file as fast as they can take turns.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "process.h"

#include <sys/mman.h>

/*
 * The puts of all are counted in rounds, and a round is even if the fastest process has made at most UNEVEN times as
 * many as the slowest. A busy machine keeps processes from writing too, so one uneven round proves nothing. The rounds
 * go on until MORE_EVEN more of them were even than not, or MORE_UNEVEN more were not. With eight other programs on two
 * processors, seven of eight rounds were even. When no process woke another one at the end of its slice, one of twenty
 * was.
 */
enum { PROCESSES = 8, ROUND = 16000, ROUNDS = 60, UNEVEN = 3, MORE_EVEN = 4, MORE_UNEVEN = 8 };

/* In memory that the processes share. */
struct turns {
    int puts;
    /* How many more rounds were even than not. */
    int lead;
    bool is_over;
    /* Which process has made each put, from 1 on. */
    unsigned char by[ROUNDS * ROUND];
};

static struct turns *turns;

/* Looks at the round that ends with this put. */
static void end_round(int last)
{
    int counts[PROCESSES + 1] = { 0 }, least = ROUND, most = 0;
    for (int put = last + 1 - ROUND; put <= last; put++)
        counts[__atomic_load_n(&turns->by[put], __ATOMIC_RELAXED)]++;
    for (int process = 1; process <= PROCESSES; process++) {
        least = counts[process] < least ? counts[process] : least;
        most = counts[process] > most ? counts[process] : most;
    }
    const bool is_even = most <= UNEVEN * least;
    const int lead = __atomic_add_fetch(&turns->lead, is_even ? 1 : -1, __ATOMIC_RELAXED);
    dprintf(STDOUT_FILENO, "# of %d puts, the slowest process has made %d, and the fastest %d\n", ROUND, least, most);
    if (lead == MORE_EVEN || lead == -MORE_UNEVEN)
        __atomic_store_n(&turns->is_over, true, __ATOMIC_RELAXED);
}

static void write_in_turns(void *process)
{
    struct kv kv = kv_open(scratch("kv.db"));
    const unsigned char number = *(const unsigned char *)process;
    char prefix[8];
    snprintf(prefix, sizeof prefix, "%d:", number);
    for (int own = 0; !check_failures && !__atomic_load_n(&turns->is_over, __ATOMIC_RELAXED); own++) {
        CHECK_STATUS(kv_put_number(kv.ns, prefix, own % 1000, &error), LUAT_KV_OK);
        const int put = __atomic_fetch_add(&turns->puts, 1, __ATOMIC_RELAXED);
        if (put >= ROUNDS * ROUND)
            break;
        __atomic_store_n(&turns->by[put], number, __ATOMIC_RELAXED);
        if ((put + 1) % ROUND == 0)
            end_round(put);
    }
    kv_close(kv);
}

static void processes_take_turns(void)
{
    pid_t children[PROCESSES];
    unsigned char numbers[PROCESSES];
    turns = mmap(NULL, sizeof *turns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (turns == MAP_FAILED) {
        CHECK(!"memory");
        return;
    }
    kv_close(kv_open(scratch("kv.db")));
    for (int index = 0; index < PROCESSES; index++) {
        numbers[index] = (unsigned char)(index + 1);
        children[index] = child_start(write_in_turns, &numbers[index]);
    }
    for (int index = 0; index < PROCESSES; index++)
        child_join(children[index]);
    CHECK(turns->lead > 0);
    munmap(turns, sizeof *turns);
    CHECK_INTEGRITY(scratch("kv.db"));
}

static const struct check_test tests[] = {
    TEST(processes_take_turns),
};

int main(void)
{
    check_tests("", tests);
    return check_done();
}
