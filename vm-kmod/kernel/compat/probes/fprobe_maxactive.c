/* struct fprobe has nr_maxactive */
#include <linux/fprobe.h>
int probe(struct fprobe *fp);
int probe(struct fprobe *fp)
{
	return fp->nr_maxactive;
}
