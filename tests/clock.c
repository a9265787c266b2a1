/* The system's clock, set an hour ahead as soon as the file that CLOCK_JUMP names is there. Made to be preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(id, now);
  if (id == CLOCK_REALTIME && !access(getenv("CLOCK_JUMP"), F_OK)) now->tv_sec += 3600;
  return failed;
}
