/* libpcp_rate HOST PORT USER PASSWORD COUNT: prints the nanoseconds that COUNT node infos take, one after the other on one
 * connection, as libpcp asks. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	void *library = dlopen("libpcp.so.2", RTLD_NOW);
	if (library == NULL || argc != 6)
		return 2;
	void *(*connect)(char *, int, char *, char *, FILE *) = dlsym(library, "pcp_connect");
	void *(*node_info)(void *, int) = dlsym(library, "pcp_node_info");
	void (*free_result)(void *) = dlsym(library, "pcp_free_result");
	void *connection = connect(argv[1], atoi(argv[2]), argv[3], argv[4], NULL);
	int count = atoi(argv[5]);
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < count; i++)
	{
		void *result = node_info(connection, 1);
		if (result == NULL)
			return 1;
		free_result(connection);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + (end.tv_nsec - start.tv_nsec));
	return 0;
}
