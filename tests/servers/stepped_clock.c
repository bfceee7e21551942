/* The machine's wall clock plus the seconds in a file, for a process that has this preloaded; see stepped_clock.py. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long *seconds;

static time_t step(void) {
    if (!seconds) {
        static const long none = 0;
        int file = open(getenv("STEPPED_CLOCK"), O_RDONLY);
        void *shared = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
        seconds = shared == MAP_FAILED ? &none : shared;
        if (file >= 0) close(file);
    }
    return *seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += step();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed) now->tv_sec += step();
    return failed;
}

time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}

/* What waits until a time of the wall clock: the kernel knows nothing of the step. A time since boot is far smaller. */
static struct timespec unstepped(const struct timespec *until) {
    struct timespec there = *until;
    if (there.tv_sec > 1000000000) there.tv_sec -= step();
    return there;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    struct timespec there = unstepped(until);
    return REAL(pthread_cond_timedwait)(cond, mutex, &there);
}

int pthread_cond_clockwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex, clockid_t clock,
                           const struct timespec *restrict until) {
    struct timespec there = unstepped(until);
    return REAL(pthread_cond_clockwait)(cond, mutex, clock, &there);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    struct timespec there = unstepped(until);
    return REAL(sem_timedwait)(semaphore, &there);
}
