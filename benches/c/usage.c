/* usage RUNS PROGRAM ARGUMENT..: prints what RUNS runs take, one after the other: microseconds of CPU in all, and the most KiB of
 * memory that one of them had. In C because a program's peak is at least that of the one that starts it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage usage;

	for (int run = atoi(argv[1]); run > 0; run--)
	{
		int status;

		if (vfork() == 0)
		{
			dup2(open("/dev/null", O_WRONLY), 1);
			execvp(argv[2], argv + 2);
			_exit(127);
		}
		if (wait(&status) < 0 || status != 0)
			return 1;
	}
	getrusage(RUSAGE_CHILDREN, &usage);
	printf("%lld %ld\n", (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec +
		   usage.ru_stime.tv_usec, usage.ru_maxrss);
	return 0;
}
